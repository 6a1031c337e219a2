//! Fetches single entries of a package: large runs as pieces, from several nodes at the same time;
//! small runs as spans, several at a time.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{StreamExt as _, TryStreamExt as _};

use super::download_sources::{DownloadOutcome, DownloadSources, blocking, stop_flag};
use super::package_documents::patiently;
use super::planner;
use crate::container::{self, ContainerError};
use crate::durable;
use crate::fetch::{self, FetchEvent, Span};
use crate::file_error::FileResult as _;
use crate::messages::problem;
use crate::messages::protocol::Problem;
use crate::model::manifest::Entry;
use crate::model::package_index::Packed;
use crate::model::release::SignedRelease;
use crate::model::{Digest, Manifest, PackageIndex, RelativePath};

/// From this many pieces on, a run of entries is fetched in pieces: the bytes beside the run are
/// then a small part of them.
const PIECES_OF_A_RUN: u64 = 4;
/// How long a download may get no bytes from any node where there is another strategy.
pub(super) const ENTRY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// A file, its manifest entry, and where its bytes lie in the package.
type WantedEntry = (RelativePath, Entry, Packed);

/// A content's digest, and the file that has this content now.
pub(super) type Placed = (Digest, PathBuf);

/// A package to take entries from.
pub(super) struct EntrySource<'a> {
    /// The release, as signed.
    pub signed: &'a SignedRelease,
    /// The release's manifest.
    pub manifest: &'a Manifest,
    /// Where its entries lie.
    pub index: &'a PackageIndex,
    /// Where pieces of large entries are collected.
    pub partial: PathBuf,
    /// Whether to wait for a network that is gone for a moment. False where there is another
    /// strategy.
    pub tolerant: bool,
}

/// Progress of a fetch of entries.
pub(super) enum Arrived {
    /// An event of a download of pieces.
    Event(FetchEvent),
    /// This many bytes have arrived and are verified.
    Bytes(u64),
}

/// Receives the progress of a fetch.
pub(super) type ArrivalSink<'a> = dyn FnMut(Arrived) + Send + 'a;

/// Fetches the entries of `absent` into the folder `to`, which it makes, and verifies them; `None`
/// if somebody cancelled.
pub(super) async fn fetch(
    sources: &DownloadSources,
    source: &EntrySource<'_>,
    absent: &[RelativePath],
    to: &Path,
    on_arrival: &mut ArrivalSink<'_>,
) -> Result<Option<Vec<Placed>>, Problem> {
    durable::create_folders(to).map_err(|error| problem::of_disk(to, &error))?;
    let piece = u64::from(source.index.pieces.piece_size);
    let spans = planner::spans(source.index, absent.iter());
    let (runs, small): (Vec<_>, Vec<_>) =
        spans.into_iter().partition(|span| span.end - span.start >= PIECES_OF_A_RUN * piece);
    let wanted = wanted(source, absent);
    let mut placed = Vec::new();
    if !runs.is_empty() {
        if !fetch_runs(sources, source, &runs, on_arrival).await? {
            return Ok(None);
        }
        let (inside, package, folder) =
            (within(&wanted, &runs), source.partial.clone(), to.to_owned());
        let stop = stop_flag(sources.control.clone());
        let stopping = Arc::clone(&stop);
        let unpack = move || unpack_runs(&inside, &package, &folder, &stopping);
        let unpacked = blocking(unpack).await?;
        // A stop makes the entry that is being unpacked fail.
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        placed.extend(unpacked.map_err(|error| problem::of_container(&error))?);
    }
    let small: Vec<(Range<u64>, Vec<WantedEntry>)> = small
        .into_iter()
        .map(|span| (span.clone(), within(&wanted, std::slice::from_ref(&span))))
        .collect();
    let fetched = tokio::select! {
        fetched = fetch_small(sources, source, small, to, on_arrival) => fetched?,
        () = sources.cancelled() => return Ok(None),
    };
    placed.extend(fetched);
    Ok(Some(placed))
}

/// Fetches the pieces that cover `runs`; `false` if somebody cancelled.
async fn fetch_runs(
    sources: &DownloadSources,
    source: &EntrySource<'_>,
    runs: &[Range<u64>],
    on_arrival: &mut ArrivalSink<'_>,
) -> Result<bool, Problem> {
    let table = &source.index.pieces;
    let mut pieces: Vec<u32> = runs.iter().flat_map(|span| table.covering(span)).collect();
    pieces.sort_unstable();
    pieces.dedup();
    let bytes: u64 =
        pieces.iter().map(|piece| table.span(*piece)).map(|span| span.end - span.start).sum();
    let EntrySource { signed, partial, .. } = source;
    let mut job = fetch::DownloadJob::new(
        signed.location(),
        signed.length,
        Arc::new(table.clone()),
        sources.nodes.clone(),
        partial.clone(),
    );
    job.digest = Some(signed.hash);
    if !source.tolerant {
        job.timeout = ENTRY_TIMEOUT;
    }
    let mut take = |event| {
        on_arrival(Arrived::Event(event));
        None
    };
    match sources.download(fetch::DownloadJob { wanted: Some(pieces), ..job }, &mut take).await? {
        DownloadOutcome::Complete => {}
        DownloadOutcome::Cancelled => return Ok(false),
        DownloadOutcome::Failed(error) => return Err(problem::of_fetch(&error)),
    }
    on_arrival(Arrived::Bytes(bytes));
    Ok(true)
}

/// Fetches spans, several at a time. Each span asks the nodes in another order, so that all nodes
/// share the work.
async fn fetch_small(
    sources: &DownloadSources,
    source: &EntrySource<'_>,
    spans: Vec<(Range<u64>, Vec<WantedEntry>)>,
    folder: &Path,
    on_arrival: &mut ArrivalSink<'_>,
) -> Result<Vec<Placed>, Problem> {
    let (location, length) = (source.signed.location(), source.signed.length);
    let fetches = spans.into_iter().enumerate().map(|(number, (span, inside))| {
        let mut nodes = sources.nodes.clone();
        let count = nodes.len().max(1);
        nodes.rotate_left(number % count);
        let location = location.clone();
        async move {
            let accept =
                |bytes: &[u8]| inside.iter().all(|wanted| is_right(wanted, bytes, span.start));
            let wanted = Span::new(&location, length, span.clone(), &accept);
            let bytes = if source.tolerant {
                patiently(&sources.client, &nodes, wanted).await
            } else {
                fetch::fetch_span(&sources.client, &nodes, &wanted).await
            };
            let bytes = bytes.map_err(|error| problem::of_fetch(&error))?;
            let length = bytes.len() as u64;
            let folder = folder.to_owned();
            let placed =
                blocking(move || unpack_small(&inside, &bytes, span.start, &folder)).await?;
            placed.map(|placed| (placed, length)).map_err(|error| problem::of_container(&error))
        }
    });
    let mut arriving = futures_util::stream::iter(fetches).buffer_unordered(sources.at_once);
    let mut all = Vec::new();
    while let Some((placed, length)) = arriving.try_next().await? {
        all.extend(placed);
        on_arrival(Arrived::Bytes(length));
    }
    Ok(all)
}

fn wanted(source: &EntrySource<'_>, absent: &[RelativePath]) -> Vec<WantedEntry> {
    let find = |path: &RelativePath| {
        let entry = source.manifest.file_manifest.get(path)?;
        Some((path.clone(), entry.clone(), *source.index.places.get(path)?))
    };
    absent.iter().filter_map(find).collect()
}

fn within(wanted: &[WantedEntry], spans: &[Range<u64>]) -> Vec<WantedEntry> {
    let inside = |packed: &Packed| {
        spans.iter().any(|span| span.start <= packed.offset && packed.span().end <= span.end)
    };
    wanted.iter().filter(|(_, _, packed)| inside(packed)).cloned().collect()
}

/// An entry's packed bytes in a span of the package that begins at `start`.
fn part<'a>(packed: &Packed, bytes: &'a [u8], start: u64) -> &'a [u8] {
    let from = usize::try_from(packed.offset.saturating_sub(start)).unwrap_or(usize::MAX);
    let length = usize::try_from(packed.size).unwrap_or(usize::MAX);
    bytes.get(from..from.saturating_add(length)).unwrap_or_default()
}

fn is_right((_, entry, packed): &WantedEntry, bytes: &[u8], start: u64) -> bool {
    container::check_entry(entry, packed, &mut part(packed, bytes, start)).is_ok()
}

fn unpack_small(
    inside: &[WantedEntry],
    bytes: &[u8],
    start: u64,
    folder: &Path,
) -> Result<Vec<Placed>, ContainerError> {
    let unpack = |wanted: &WantedEntry| {
        let (path, entry, packed) = wanted;
        let to = folder.join(entry.hash.to_string());
        container::unpack_entry(path, entry, packed, &mut part(packed, bytes, start), &to)?;
        Ok((entry.hash, to))
    };
    inside.iter().map(unpack).collect()
}

fn unpack_runs(
    inside: &[WantedEntry],
    package: &Path,
    folder: &Path,
    stop: &AtomicBool,
) -> Result<Vec<Placed>, ContainerError> {
    let file = File::open(package).at("open", package)?;
    let unpack = |wanted: &WantedEntry| {
        let (path, entry, packed) = wanted;
        let to = folder.join(entry.hash.to_string());
        let packed_bytes = container::SpanReader::new(&file, packed);
        let mut packed_bytes = container::Stoppable::new(packed_bytes, stop);
        container::unpack_entry(path, entry, packed, &mut packed_bytes, &to)?;
        Ok((entry.hash, to))
    };
    inside.iter().map(unpack).collect()
}
