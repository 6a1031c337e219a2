//! Single files from neighbours that installed a version before, by digest: each is proved on its
//! way to the disk.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::availability::{AvailabilityMessage, LARGEST};
use super::roster::number;
use super::{Inner, address_of};
use crate::model::Digest;

/// How long neighbours may take to say whether they have something.
const ANSWER_TIME: Duration = Duration::from_millis(800);
/// How long a file may take: a moment, and so many bytes a second at least.
const FILE_TIME: Duration = Duration::from_secs(3);
const LEAST_RATE: u64 = 1 << 20;
/// Largest file that is fetched so, bytes: it is proved in memory.
const LARGEST_FILE: u64 = 64 << 20;
/// Files that are fetched from one neighbour at a time.
const AT_ONCE: usize = 2;

/// How long all of an office may take to give a document: a moment, and what it takes at
/// [`LEAST_RATE`]. The next neighbour is asked when one has not given it within so long.
const DOCUMENT_TIME: Duration = Duration::from_secs(1);
const DOCUMENT_HEDGE: Duration = Duration::from_millis(150);

/// How long each waits for one that comes before it, for how many of them at most, and how often it
/// looks.
const TURN: Duration = Duration::from_millis(150);
const MOST_TURNS: u32 = 6;
const LOOK_AGAIN: Duration = Duration::from_millis(60);

/// A file that is wanted: its digest and its bytes.
pub(crate) type Wanted = (Digest, u64);

/// Neighbours that have the object `digest` as a file.
pub(super) async fn holders(inner: &Arc<Inner>, digest: Digest) -> Vec<SocketAddr> {
    which(inner, digest, |message| message.whole).await
}

/// Neighbours that have it in pieces, or are fetching it.
pub(super) async fn sharers(inner: &Arc<Inner>, digest: Digest) -> Vec<SocketAddr> {
    which(inner, digest, |message| message.pieces.is_some()).await
}

async fn which(
    inner: &Arc<Inner>,
    digest: Digest,
    is_one: fn(&AvailabilityMessage) -> bool,
) -> Vec<SocketAddr> {
    let message = ask(inner, digest).await;
    message.into_iter().filter(|(_, message)| is_one(message)).map(|(address, _)| address).collect()
}

/// What all neighbours say of an object, as far as they answer.
async fn ask(inner: &Arc<Inner>, digest: Digest) -> Vec<(SocketAddr, AvailabilityMessage)> {
    let mut asking = JoinSet::new();
    for (_, address) in inner.peers() {
        let inner = Arc::clone(inner);
        asking.spawn(async move {
            let url = address_of(address, &inner.options.app, "have", &digest);
            let json = inner.client.get_from_peer(&url, LARGEST, ANSWER_TIME).await.ok()?;
            Some((address, serde_json::from_slice::<AvailabilityMessage>(&json).ok()?))
        });
    }
    let mut message = Vec::new();
    while let Some(answer) = asking.join_next().await {
        message.extend(answer.ok().flatten());
    }
    message
}

/// Fetches files into `folder` until that time, each named by its digest. One that a neighbour does
/// not give, or gives wrong, is asked of the others; a neighbour that fails is left. Tells of each
/// file, and gives those that are there now.
pub(super) async fn fetch(
    inner: &Arc<Inner>,
    holders: Vec<SocketAddr>,
    wanted: Vec<Wanted>,
    folder: &Path,
    until: Instant,
    noted: &(impl Fn(u64) + Clone + Send + Sync + 'static),
) -> Vec<(Digest, PathBuf)> {
    let mut wanted: Vec<Wanted> =
        wanted.into_iter().filter(|(_, size)| *size <= LARGEST_FILE).collect();
    wanted.sort_unstable();
    wanted.dedup_by_key(|(digest, _)| *digest);
    let open: Arc<Mutex<VecDeque<Wanted>>> = Arc::new(Mutex::new(wanted.into()));
    let mut working = JoinSet::new();
    for address in holders.into_iter().flat_map(|address| [address; AT_ONCE]) {
        let (inner, open, folder, noted) =
            (Arc::clone(inner), Arc::clone(&open), folder.to_owned(), noted.clone());
        working.spawn(async move {
            let mut placed = Vec::new();
            while Instant::now() < until {
                let next = open.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((digest, size)) = next else { break };
                let path = folder.join(digest.to_string());
                if one(&inner, address, (digest, size), path.clone(), until).await {
                    noted(size);
                    placed.push((digest, path));
                } else {
                    open.lock().unwrap_or_else(PoisonError::into_inner).push_back((digest, size));
                    break;
                }
            }
            placed
        });
    }
    let mut all = Vec::new();
    while let Some(placed) = working.join_next().await {
        all.extend(placed.unwrap_or_default());
    }
    all
}

/// A document of `size` bytes that some neighbour has, proved. While others are fetching it from
/// the internet that come before this client in the order of the neighbours, it waits a little for
/// them, if `waits`: of an office that updates at once few fetch it.
pub(super) async fn document(
    inner: &Arc<Inner>,
    digest: Digest,
    size: u64,
    waits: bool,
) -> Option<Bytes> {
    inner.shared.await_document(digest);
    let began = Instant::now();
    let until = began + DOCUMENT_TIME + Duration::from_secs(size / LEAST_RATE);
    let mine = crate::fetch::weight(inner.instance, &digest);
    loop {
        let message = ask(inner, digest).await;
        let holders: Vec<SocketAddr> = message
            .iter()
            .filter(|(_, message)| message.whole)
            .map(|(address, _)| *address)
            .collect();
        if let Some(bytes) = first_proved(inner, holders, (digest, size), until).await {
            return Some(bytes);
        }
        let before = |message: &AvailabilityMessage| {
            message.soon
                && number(&message.instance)
                    .is_some_and(|other| crate::fetch::weight(other, &digest) > mine)
        };
        let turns = message.iter().filter(|(_, message)| before(message)).count();
        if !waits
            || Instant::now() >= until
            || began.elapsed() >= TURN * u32::try_from(turns).unwrap_or(MOST_TURNS).min(MOST_TURNS)
        {
            return None;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The document from the first of these neighbours that gives it: asked in any order, each a moment
/// after the one before, and none of them for longer than all of them together.
async fn first_proved(
    inner: &Arc<Inner>,
    mut holders: Vec<SocketAddr>,
    (digest, size): Wanted,
    until: Instant,
) -> Option<Bytes> {
    fastrand::shuffle(&mut holders);
    let mut asking = JoinSet::new();
    loop {
        let next = holders.pop();
        if next.is_none() && asking.is_empty() {
            return None;
        }
        if let Some(address) = next {
            let inner = Arc::clone(inner);
            asking.spawn(async move {
                let url = address_of(address, &inner.options.app, "content", &digest);
                let time = until.saturating_duration_since(Instant::now());
                let bytes = inner.client.get_from_peer(&url, size, time).await;
                let proved = bytes.ok().filter(|bytes| Digest::of(bytes) == digest);
                if proved.is_none() {
                    tracing::info!(%address, %digest, "a neighbour does not give a document that it has");
                }
                proved
            });
        }
        tokio::select! {
            Some(given) = asking.join_next() => if let Ok(Some(bytes)) = given {
                return Some(bytes);
            },
            () = tokio::time::sleep(DOCUMENT_HEDGE), if !holders.is_empty() => {}
            () = tokio::time::sleep_until(until.into()) => return None,
        }
    }
}

async fn one(
    inner: &Arc<Inner>,
    address: SocketAddr,
    (digest, size): Wanted,
    path: PathBuf,
    until: Instant,
) -> bool {
    let url = address_of(address, &inner.options.app, "content", &digest);
    let time = (FILE_TIME + Duration::from_secs(size / LEAST_RATE))
        .min(until.saturating_duration_since(Instant::now()));
    let bytes = match inner.client.get_from_peer(&url, size, time).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::info!(%address, error = crate::error_chain::line(&error), "a neighbour does not give a file");
            return false;
        }
    };
    let written = tokio::task::spawn_blocking(move || {
        if bytes.len() as u64 != size || Digest::of(&bytes) != digest {
            tracing::warn!(%address, %digest, "a neighbour gave another file");
            return false;
        }
        std::fs::write(&path, &bytes).is_ok()
    });
    written.await.unwrap_or(false)
}
