//! Single entries of a package: large runs as pieces, from several nodes at the same time; small ones as they are, some at a time.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{StreamExt as _, TryStreamExt as _};

use super::incremental::Counts;
use super::{Ended, Job, blocking, cancelled};
use crate::container::{self, ContainerError};
use crate::delta::plan;
use crate::engine::described::{Described, patiently};
use crate::engine::problem;
use crate::engine::protocol::{Problem, Progress};
use crate::fetch::{self, FetchError};
use crate::model::RelativePath;
use crate::model::manifest::Entry;
use crate::model::package_index::Packed;
use crate::store::contents::Contents;
use crate::store::staging::Staging;

/// From this many pieces on, a run of entries is fetched in pieces: what they hold beside the run is a small part of it then.
const PIECES_OF_A_RUN: u64 = 4;

/// A file, and where its bytes lie.
type Wanted = (RelativePath, Entry, Packed);

impl Job {
    /// Fetches the entries of `absent` into `folder`, proved, and notes them in `contents`.
    pub(super) async fn fetch_entries(
        &self,
        staging: &Staging,
        absent: Vec<RelativePath>,
        folder: &Path,
        contents: &mut Contents,
        counts: &mut Counts,
    ) -> Result<Ended, Problem> {
        let described = self.library(staging).describe(&self.offer.signed).await?;
        std::fs::create_dir_all(folder).map_err(|error| problem::of_disk(folder, &error))?;
        let piece = u64::from(described.index.pieces.piece_size);
        let spans = plan::spans(&described.index, absent.iter());
        let (runs, small): (Vec<_>, Vec<_>) =
            spans.into_iter().partition(|span| span.end - span.start >= PIECES_OF_A_RUN * piece);
        let wanted = wanted(&described, &absent);
        if !runs.is_empty() {
            match self.fetch_runs(staging, &described, &runs, counts).await? {
                Ended::Complete => {}
                Ended::Stopped => return Ok(Ended::Stopped),
            }
            let (inside, package, folder) = (within(&wanted, &runs), staging.package(), folder.to_owned());
            let unpacked = blocking(move || unpack_runs(&inside, &package, &folder)).await?;
            note(unpacked.map_err(|error| problem::of_container(&error))?, contents);
        }
        let small: Vec<(Range<u64>, Vec<Wanted>)> =
            small.into_iter().map(|span| (span.clone(), within(&wanted, std::slice::from_ref(&span)))).collect();
        let fetch = self.fetch_small(small, folder, counts);
        let fetched = tokio::select! {
            fetched = fetch => fetched?,
            () = cancelled(self.control.clone()) => return Ok(Ended::Stopped),
        };
        note(fetched, contents);
        Ok(Ended::Complete)
    }

    async fn fetch_runs(
        &self,
        staging: &Staging,
        described: &Described,
        runs: &[Range<u64>],
        counts: &mut Counts,
    ) -> Result<Ended, Problem> {
        let table = &described.index.pieces;
        let mut pieces: Vec<u32> = runs.iter().flat_map(|span| table.covering(span)).collect();
        pieces.sort_unstable();
        pieces.dedup();
        let bytes: u64 = pieces.iter().map(|piece| table.span(*piece)).map(|span| span.end - span.start).sum();
        let signed = &self.offer.signed;
        let nodes = self.offer.nodes.clone();
        let job = fetch::Job::new(signed.location(), signed.length, Arc::new(table.clone()), nodes, staging.package());
        let mut take = |event| self.take_bytes(event, counts);
        match self.download(fetch::Job { wanted: Some(pieces), ..job }, &mut take).await? {
            Ok(_) => {}
            Err(FetchError::Cancelled) => return Ok(Ended::Stopped),
            Err(error) => return Err(problem::of_fetch(&error)),
        }
        counts.fetched += bytes;
        Ok(Ended::Complete)
    }

    /// Some spans at a time, each from the nodes in another order, so that all of them share the work.
    async fn fetch_small(
        &self,
        spans: Vec<(Range<u64>, Vec<Wanted>)>,
        folder: &Path,
        counts: &mut Counts,
    ) -> Result<Vec<Placed>, Problem> {
        let signed = &self.offer.signed;
        let location = signed.location();
        let at_once = self.context.settings.incremental_update.parallel_downloads.max(1);
        let fetches = spans.into_iter().enumerate().map(|(number, (span, inside))| {
            let mut nodes = self.offer.nodes.clone();
            let count = nodes.len().max(1);
            nodes.rotate_left(number % count);
            let location = location.clone();
            async move {
                let accept = |bytes: &[u8]| inside.iter().all(|wanted| is_right(wanted, bytes, span.start));
                let object = (location.as_str(), signed.length);
                let bytes = patiently(&self.client, &nodes, object, span.clone(), &accept).await;
                let bytes = bytes.map_err(|error| problem::of_fetch(&error))?;
                let length = bytes.len() as u64;
                let folder = folder.to_owned();
                let placed = blocking(move || unpack_small(&inside, &bytes, span.start, &folder)).await?;
                placed.map(|placed| (placed, length)).map_err(|error| problem::of_container(&error))
            }
        });
        let mut arriving = futures_util::stream::iter(fetches).buffer_unordered(at_once);
        let mut all = Vec::new();
        while let Some((placed, length)) = arriving.try_next().await? {
            counts.fetched += length;
            all.extend(placed);
            self.progress(Progress {
                done: counts.fetched,
                total: self.offer.plan.bytes.max(counts.fetched),
                files_total: self.offer.signed.release.file_count,
                fallen_back: counts.fallen_back,
                ..Progress::default()
            });
        }
        Ok(all)
    }
}

/// A content, and the file that has it now.
type Placed = (crate::model::Digest, std::path::PathBuf);

fn note(placed: Vec<Placed>, contents: &mut Contents) {
    for (digest, path) in placed {
        contents.insert(digest, path);
    }
}

fn wanted(described: &Described, absent: &[RelativePath]) -> Vec<Wanted> {
    let find = |path: &RelativePath| {
        let entry = described.manifest.file_manifest.get(path)?;
        Some((path.clone(), entry.clone(), *described.index.places.get(path)?))
    };
    absent.iter().filter_map(find).collect()
}

fn within(wanted: &[Wanted], spans: &[Range<u64>]) -> Vec<Wanted> {
    let inside = |packed: &Packed| spans.iter().any(|span| span.start <= packed.offset && packed.span().end <= span.end);
    wanted.iter().filter(|(_, _, packed)| inside(packed)).cloned().collect()
}

/// An entry's packed bytes in a span of the package that begins at `start`.
fn part<'a>(packed: &Packed, bytes: &'a [u8], start: u64) -> &'a [u8] {
    let from = usize::try_from(packed.offset.saturating_sub(start)).unwrap_or(usize::MAX);
    let length = usize::try_from(packed.size).unwrap_or(usize::MAX);
    bytes.get(from..from.saturating_add(length)).unwrap_or_default()
}

fn is_right((_, entry, packed): &Wanted, bytes: &[u8], start: u64) -> bool {
    container::check_entry(entry, packed, &mut part(packed, bytes, start)).is_ok()
}

fn unpack_small(inside: &[Wanted], bytes: &[u8], start: u64, folder: &Path) -> Result<Vec<Placed>, ContainerError> {
    let unpack = |wanted: &Wanted| {
        let (path, entry, packed) = wanted;
        let to = folder.join(entry.hash.to_string());
        container::unpack_entry(path, entry, packed, &mut part(packed, bytes, start), &to)?;
        Ok((entry.hash, to))
    };
    inside.iter().map(unpack).collect()
}

fn unpack_runs(inside: &[Wanted], package: &Path, folder: &Path) -> Result<Vec<Placed>, ContainerError> {
    let opened = File::open(package);
    let file = opened.map_err(|source| ContainerError::File { action: "open", path: package.to_owned(), source })?;
    let unpack = |wanted: &Wanted| {
        let (path, entry, packed) = wanted;
        let to = folder.join(entry.hash.to_string());
        container::unpack_entry(path, entry, packed, &mut container::SpanReader::new(&file, packed), &to)?;
        Ok((entry.hash, to))
    };
    inside.iter().map(unpack).collect()
}
