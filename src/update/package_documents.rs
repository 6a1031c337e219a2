//! Gets a package's manifest and index: from an interrupted try, from the cache, or from the
//! package's end, where the two lie one behind the other.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::peer_service::PeerHandle;
use crate::backoff::{self, Backoff};
use crate::container::{self, ContainerError};
use crate::environment::Environment;
use crate::error_chain;
use crate::fetch::{self, Client, FetchError, Span};
use crate::look;
use crate::messages::mailbox::Emitter;
use crate::messages::problem;
use crate::messages::protocol::{Event, Problem, ProblemKind};
use crate::model::release::{DocumentLocation, SignedRelease};
use crate::model::{Digest, Manifest, Node, PackageIndex};
use crate::mutex;
use crate::store::staging::Staging;

/// Number of tries to fetch something small, and the pauses between them. They vary by a quarter,
/// so that many clients do not come back at once.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(500), longest: Duration::from_secs(4) };
const RETRIES: u32 = 4;
/// No try begins after this time. The timeout for a silent node doubles from try to try, a bounded
/// number of times. So a node that needs twenty seconds for its answer succeeds, and one that never
/// answers costs less than two minutes.
const RETRY_PERIOD: Duration = Duration::from_secs(60);
const DOUBLINGS: u32 = 2;

/// Documents from this size on, packed, are worth waiting for peers that are fetching them, bytes.
const WORTH_WAITING: u64 = 128 << 10;

/// A package's manifest with its verified bytes, and its index.
#[derive(Clone, Debug)]
pub(crate) struct PackageDocuments {
    pub manifest: Arc<Manifest>,
    /// Its bytes.
    pub json: Arc<Vec<u8>>,
    pub index: Arc<PackageIndex>,
    /// Its bytes.
    index_json: Arc<Vec<u8>>,
}

/// The documents that were fetched last. Clones share the cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct DocumentCache(Arc<Mutex<Option<(Digest, PackageDocuments)>>>);

impl DocumentCache {
    fn get(&self, manifest: &Digest) -> Option<PackageDocuments> {
        let held = mutex::lock(&self.0);
        held.as_ref()
            .filter(|(digest, _)| digest == manifest)
            .map(|(_, package_documents)| package_documents.clone())
    }

    fn set(&self, manifest: Digest, package_documents: PackageDocuments) {
        *mutex::lock(&self.0) = Some((manifest, package_documents));
    }
}

/// The sources of documents, and the places where they may be already.
#[derive(Clone, Copy)]
pub(crate) struct Library<'a> {
    pub client: &'a Client,
    /// The nodes to ask, the best first.
    pub nodes: &'a [Node],
    /// The documents that were fetched before.
    pub cache: &'a DocumentCache,
    /// Peers that may have them too.
    pub peers: &'a PeerHandle,
    /// Where an interrupted try may have left them, and where they are stored for the next one.
    pub staging: Option<&'a Staging>,
    /// Takes the events of nodes that fail.
    pub emitter: Option<&'a Emitter>,
}

/// Bytes of a package that hold its manifest and index.
pub(crate) fn span(signed: &SignedRelease) -> Range<u64> {
    let locations = [&signed.release.manifest, &signed.release.index];
    let start = locations.map(|location| location.offset).into_iter().min().unwrap_or_default();
    let end = locations
        .map(|location| location.offset.saturating_add(location.packed_size))
        .into_iter()
        .max();
    start..end.unwrap_or_default()
}

/// The release with this manifest, if the repository listed it at the last check. Its metadata may
/// have expired since; that does not matter, since the caller knows the digest of the expected
/// content. Reads and verifies files.
pub(crate) fn listed(environment: &Environment, manifest: &Digest) -> Option<SignedRelease> {
    let trust = environment.trust().with_history();
    trust.cached()?.releases.into_iter().find(|signed| signed.release.manifest.hash == *manifest)
}

impl Library<'_> {
    /// The index of a package whose manifest is here already. Unless it is `tolerant`, it asks each
    /// node once: there is then another strategy.
    pub(crate) async fn index(
        &self,
        signed: &SignedRelease,
        manifest: &Manifest,
        tolerant: bool,
    ) -> Result<Arc<PackageIndex>, Problem> {
        if let Some(package_documents) = self.cache.get(&signed.release.manifest.hash) {
            return Ok(package_documents.index);
        }
        let location = &signed.release.index;
        let span = location.span().unwrap_or_default();
        let accept = |packed: &[u8]| container::read_document(packed, location).is_ok();
        let location_of_package = signed.location();
        let wanted = Span::new(&location_of_package, signed.length, span, &accept);
        let fetched = if tolerant {
            patiently(self.client, self.nodes, wanted).await
        } else {
            fetch::fetch_span(self.client, self.nodes, &wanted).await
        };
        let packed = fetched.map_err(|error| problem::of_fetch(&error))?;
        container::read_index(&packed, location, manifest)
            .map(Arc::new)
            .map_err(|error| problem::of_container(&error))
    }

    /// Gets the documents of a signed package.
    pub(crate) async fn describe(
        &self,
        signed: &SignedRelease,
    ) -> Result<PackageDocuments, Problem> {
        let digest = signed.release.manifest.hash;
        let locations = [&signed.release.manifest, &signed.release.index];
        let files = self.staging.map(|staging| [staging.manifest(), staging.index()]);
        let keep = |documents: [&[u8]; 2]| {
            let mut pairs = documents.into_iter().zip(files.iter().flatten());
            pairs.try_for_each(|(json, file)| {
                std::fs::write(file, json).map_err(|error| problem::of_disk(file, &error))
            })
        };
        let offer = |documents: [&[u8]; 2]| {
            if let Some(peer_network) = self.peers.get() {
                locations
                    .iter()
                    .zip(documents)
                    .for_each(|(location, json)| peer_network.offer(location.hash, json));
            }
        };
        if let Some(package_documents) = self.cache.get(&digest) {
            offer([&package_documents.json, &package_documents.index_json]);
            keep([&package_documents.json, &package_documents.index_json])?;
            return Ok(package_documents);
        }
        let retained = |number: usize| {
            // Unreadable documents are fetched again. Stored ones are verified like fetched ones.
            let json = look::read(&files.as_ref()?[number], look::LARGE).ok()??;
            (Digest::of(&json) == locations[number].hash).then_some(json)
        };
        let documents = match (retained(0), retained(1)) {
            (Some(manifest), Some(index)) => [manifest, index],
            _ => {
                let documents = match self.ask_peers(signed).await {
                    Some(documents) => documents,
                    None => self.fetch(signed).await?,
                };
                keep([&documents[0], &documents[1]])?;
                documents
            }
        };
        offer([&documents[0], &documents[1]]);
        let package_documents = PackageDocuments::new(signed, documents)?;
        self.cache.set(digest, package_documents.clone());
        Ok(package_documents)
    }

    /// Both documents, verified, if a peer has them.
    async fn ask_peers(&self, signed: &SignedRelease) -> Option<[Vec<u8>; 2]> {
        let peer_network = self.peers.get()?;
        let span = span(signed);
        let waits = span.end - span.start >= WORTH_WAITING;
        let locations = [&signed.release.manifest, &signed.release.index];
        let [manifest, index] =
            locations.map(|location| peer_network.document(location.hash, location.size, waits));
        let (manifest, index) = tokio::join!(manifest, index);
        Some([manifest?.to_vec(), index?.to_vec()])
    }

    async fn fetch(&self, signed: &SignedRelease) -> Result<[Vec<u8>; 2], Problem> {
        // A node whose bytes are not the signed documents has sent wrong bytes; the next one is
        // asked.
        let accept = |packed: &[u8]| documents(signed, packed).is_ok();
        let location = signed.location();
        let on_fault = |fault| {
            if let Some(emitter) = self.emitter {
                emitter.emit(Event::NodeFault(fault));
            }
        };
        let wanted = Span {
            faults: &on_fault,
            ..Span::new(&location, signed.length, span(signed), &accept)
        };
        let mut fetched = patiently(self.client, self.nodes, wanted).await;
        // To show the price of an update does not justify fetching a whole package.
        if let Err(FetchError::NoneAcceptable { whole: true, .. }) = &fetched
            && self.staging.is_some()
        {
            tracing::warn!(
                location,
                "no node sends parts of a file: all that lies before the package's manifest comes as well"
            );
            let whole = Span {
                faults: &on_fault,
                whole: true,
                ..Span::new(&location, signed.length, span(signed), &accept)
            };
            fetched = patiently(self.client, self.nodes, whole).await;
        }
        let packed = fetched.map_err(|error| problem::of_fetch(&error))?;
        documents(signed, &packed).map_err(|error| problem::of_container(&error))
    }
}

/// Unpacks manifest and index from the bytes of [`span`], and verifies that each is the signed one.
pub(crate) fn documents(
    signed: &SignedRelease,
    packed: &[u8],
) -> Result<[Vec<u8>; 2], ContainerError> {
    let start = span(signed).start;
    let read = |location: &DocumentLocation| {
        let from = usize::try_from(location.offset - start).unwrap_or(usize::MAX);
        let length = usize::try_from(location.packed_size).unwrap_or(usize::MAX);
        container::read_document(
            packed.get(from..from.saturating_add(length)).unwrap_or_default(),
            location,
        )
    };
    Ok([read(&signed.release.manifest)?, read(&signed.release.index)?])
}

impl PackageDocuments {
    /// Reads verified documents, and refuses those that contradict the signed release.
    pub(crate) fn new(signed: &SignedRelease, documents: [Vec<u8>; 2]) -> Result<Self, Problem> {
        let [json, index_json] = documents;
        let manifest =
            Manifest::from_json(&json).map_err(|error| problem::of_container(&error.into()))?;
        let index = PackageIndex::from_json(&index_json, &manifest)
            .map_err(|error| problem::of_container(&error.into()))?;
        if manifest.id() != signed.release.container || index.pieces.length > signed.length {
            let chain = vec![format!(
                "the manifest describes {}, the signed release is {}",
                manifest.id(),
                signed.release.container
            )];
            return Err(Problem {
                kind: ProblemKind::BadPackage,
                subject: signed.target.clone(),
                chain,
            });
        }
        Ok(Self {
            manifest: Arc::new(manifest),
            json: Arc::new(json),
            index: Arc::new(index),
            index_json: Arc::new(index_json),
        })
    }

    /// The same for a package that begins `offset` bytes behind the start of its file. The
    /// positions of its entries move by that, those of its pieces stay.
    pub(crate) fn moved_by(&self, offset: u64) -> Self {
        let mut index = PackageIndex::clone(&self.index);
        for packed in index.places.values_mut() {
            packed.offset = packed.offset.saturating_add(offset);
        }
        Self { index: Arc::new(index), ..self.clone() }
    }
}

/// Fetches a span of an object. It waits for a network that is gone for a moment, as a download of
/// pieces does. It does not try a node again that sends whole objects only: the node would do so
/// the next time.
pub(crate) async fn patiently(
    client: &Client,
    nodes: &[Node],
    mut wanted: Span<'_>,
) -> Result<bytes::Bytes, FetchError> {
    let (mut failures, began) = (1..=RETRIES, Instant::now());
    loop {
        let fetched = fetch::fetch_span(client, nodes, &wanted).await;
        match (fetched, failures.next().filter(|_| began.elapsed() < RETRY_PERIOD)) {
            (Err(error @ FetchError::NoneAcceptable { whole: true, .. }), _) => return Err(error),
            (Err(error), Some(failures)) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "a part of a package cannot be had; trying again"
                );
                let pause = backoff::spread(BACKOFF.pause(failures), 0.25, fastrand::f64());
                tokio::time::sleep(pause).await;
                if failures <= DOUBLINGS {
                    wanted.silence *= 2;
                }
            }
            (fetched, _) => return fetched,
        }
    }
}
