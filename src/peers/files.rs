//! Fetches single files by digest from peers that have installed the version already. It verifies
//! each file before it writes it to the disk.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::availability::{AvailabilityMessage, MAX_MESSAGE_BYTES};
use super::inner::Inner;
use super::request::address_of;
use super::roster::number;
use crate::error_chain;
use crate::model::Digest;
use crate::mutex;

/// How long peers may take to answer whether they have something.
const ANSWER_TIME: Duration = Duration::from_millis(800);
/// Time for a file: a moment, and the time for its bytes at a minimum rate, bytes a second.
const FILE_TIME: Duration = Duration::from_secs(3);
const MIN_BYTES_PER_SECOND: u64 = 1 << 20;
/// Largest file that is fetched from peers, bytes: it is verified in memory.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Files that are fetched from one peer at a time.
const AT_ONCE: usize = 2;

/// How long all peers together may take to give a document: a moment, and the time for its bytes at
/// [`MIN_BYTES_PER_SECOND`]. The next peer is asked when one has not given the document within the second
/// time.
const DOCUMENT_TIME: Duration = Duration::from_secs(1);
const DOCUMENT_HEDGE: Duration = Duration::from_millis(150);

/// A turn: how long this client waits for each peer that comes before it, and how many of them it
/// waits for at most.
const TURN: Duration = Duration::from_millis(150);
const MAX_TURNS: u32 = 6;
const RETRY_INTERVAL: Duration = Duration::from_millis(60);

/// A wanted file: its digest and its length in bytes.
pub(crate) type WantedFile = (Digest, u64);

/// Peers that have the object `digest` as a file.
pub(super) async fn holders(inner: &Arc<Inner>, digest: Digest) -> Vec<SocketAddr> {
    which(inner, digest, |message| message.whole).await
}

/// Peers that have the object in pieces, or are fetching it.
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

/// Asks all peers what they have of an object, and returns the answers.
async fn ask(inner: &Arc<Inner>, digest: Digest) -> Vec<(SocketAddr, AvailabilityMessage)> {
    let mut asking = JoinSet::new();
    for (_, address) in inner.peers() {
        let inner = Arc::clone(inner);
        asking.spawn(async move {
            let url = address_of(address, &inner.options.app, "have", &digest);
            let json =
                inner.client.get_from_peer(&url, MAX_MESSAGE_BYTES, ANSWER_TIME).await.ok()?;
            Some((address, serde_json::from_slice::<AvailabilityMessage>(&json).ok()?))
        });
    }
    let mut message = Vec::new();
    while let Some(answer) = asking.join_next().await {
        message.extend(answer.ok().flatten());
    }
    message
}

/// Fetches files into `folder` until the deadline. Each file has its digest as its name. When a
/// peer does not give a file, or gives wrong bytes, the others are asked; a peer that fails is
/// left. Reports each file, and returns the files that are there now.
pub(super) async fn fetch(
    inner: &Arc<Inner>,
    holders: Vec<SocketAddr>,
    wanted: Vec<WantedFile>,
    folder: &Path,
    until: Instant,
    noted: &(impl Fn(u64) + Clone + Send + Sync + 'static),
) -> Vec<(Digest, PathBuf)> {
    let mut wanted: Vec<WantedFile> =
        wanted.into_iter().filter(|(_, size)| *size <= MAX_FILE_BYTES).collect();
    wanted.sort_unstable();
    wanted.dedup_by_key(|(digest, _)| *digest);
    let open: Arc<Mutex<VecDeque<WantedFile>>> = Arc::new(Mutex::new(wanted.into()));
    let mut working = JoinSet::new();
    for address in holders.into_iter().flat_map(|address| [address; AT_ONCE]) {
        let (inner, open, folder, noted) =
            (Arc::clone(inner), Arc::clone(&open), folder.to_owned(), noted.clone());
        working.spawn(async move {
            let mut placed = Vec::new();
            while Instant::now() < until {
                let next = mutex::lock(&open).pop_front();
                let Some((digest, size)) = next else { break };
                let path = folder.join(digest.to_string());
                if one(&inner, address, (digest, size), path.clone(), until).await {
                    noted(size);
                    placed.push((digest, path));
                } else {
                    mutex::lock(&open).push_back((digest, size));
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

/// A verified document of `size` bytes from a peer. With `waits`, this client first waits a little
/// while peers that come before it in the order are fetching the document from the internet. So of
/// many clients that update at once, few fetch it there.
pub(super) async fn document(
    inner: &Arc<Inner>,
    digest: Digest,
    size: u64,
    waits: bool,
) -> Option<Bytes> {
    inner.shared.await_document(digest);
    let began = Instant::now();
    let until = began + DOCUMENT_TIME + Duration::from_secs(size / MIN_BYTES_PER_SECOND);
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
            || began.elapsed() >= TURN * u32::try_from(turns).unwrap_or(MAX_TURNS).min(MAX_TURNS)
        {
            return None;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// The document from the first of these peers that gives it. The peers are asked in any order, each
/// a moment after the one before, within one time limit for all of them together.
async fn first_proved(
    inner: &Arc<Inner>,
    mut holders: Vec<SocketAddr>,
    (digest, size): WantedFile,
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
                    tracing::info!(%address, %digest, "a peer does not give a document that it has");
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
    (digest, size): WantedFile,
    path: PathBuf,
    until: Instant,
) -> bool {
    let url = address_of(address, &inner.options.app, "content", &digest);
    let time = (FILE_TIME + Duration::from_secs(size / MIN_BYTES_PER_SECOND))
        .min(until.saturating_duration_since(Instant::now()));
    let bytes = match inner.client.get_from_peer(&url, size, time).await {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::info!(%address, error = error_chain::line(&error), "a peer does not give a file");
            return false;
        }
    };
    let written = tokio::task::spawn_blocking(move || {
        if bytes.len() as u64 != size || Digest::of(&bytes) != digest {
            tracing::warn!(%address, %digest, "a peer gave another file");
            return false;
        }
        std::fs::write(&path, &bytes).is_ok()
    });
    written.await.unwrap_or(false)
}
