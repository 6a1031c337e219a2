//! The engine's side of the local network: whether peers are there at all, what of this
//! installation they may have, and what is taken from them file by file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::environment::Environment;
use crate::error_chain;
use crate::look;
use crate::model::manifest::MUTABLE_FOLDERS;
use crate::model::{ContainerId, Digest, Manifest, RelativePath};
use crate::peers::{Library, PeerNetwork, PeerOptions, Volume};
use crate::store::Home;

/// How long the list of installed versions is believed.
const BELIEVED: Duration = Duration::from_secs(2);

/// The peer network of this process; clones share it. It ends with the last of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerHandle(Arc<Mutex<Option<Arc<PeerNetwork>>>>);

impl PeerHandle {
    /// The peer network, if there is one.
    pub(crate) fn get(&self) -> Option<Arc<PeerNetwork>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens it, unless that was done before, or somebody does not want it. That it cannot be
    /// opened is no reason to fail.
    pub(crate) fn open(&self, environment: &Environment) -> Option<Arc<PeerNetwork>> {
        if !in_force(environment) {
            self.close();
            let cache = environment.home.for_peers();
            // What was kept for others is of no use any more; the next try deletes what this one
            // could not.
            if look::is_there(&cache).unwrap_or(true) {
                let _ = std::fs::remove_dir_all(cache);
            }
            return None;
        }
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            let (home, shared) = (environment.home.clone(), environment.home.clone());
            let allowed = Arc::new(move || !home.state().is_ok_and(|state| state.peers_off));
            match PeerNetwork::start(options(environment), library(shared), allowed) {
                Ok(peer_network) => *slot = Some(Arc::new(peer_network)),
                Err(error) => tracing::warn!(cause = error_chain::line(&error), "no neighbours"),
            }
        }
        slot.clone()
    }

    /// Closes it.
    pub(crate) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The publisher allows it, and the user has not switched it off.
pub(crate) fn in_force(environment: &Environment) -> bool {
    environment.settings.peers.enabled
        && !environment.home.state().is_ok_and(|state| state.peers_off)
}

fn options(environment: &Environment) -> PeerOptions {
    let peers = &environment.settings.peers;
    PeerOptions {
        app: environment.settings.app.to_string(),
        port: peers.port,
        discover: peers.multicast,
        known: peers.known.clone(),
        upload_bytes_per_second: peers.upload_bytes_per_second,
        connections: peers.connections,
        connections_per_address: peers.connections_per_address,
        cache: environment.home.for_peers(),
        cache_bytes: peers.keep_bytes,
        cache_time: peers.keep_time(),
    }
}

#[derive(Default)]
struct Catalogue {
    looked: Option<Instant>,
    versions: Vec<ContainerId>,
    volumes: HashMap<Digest, Volume>,
}

/// The unchangeable files of whole versions, and their manifests: what signed metadata has covered
/// when they were installed. Nothing in the folders that are the user's, whatever the manifest says
/// of it.
fn library(home: Home) -> Library {
    let catalogue = Mutex::new(Catalogue::default());
    Arc::new(move |digest| {
        let mut catalogue = catalogue.lock().unwrap_or_else(PoisonError::into_inner);
        if catalogue.looked.is_none_or(|looked| looked.elapsed() > BELIEVED) {
            look(&home, &mut catalogue);
            catalogue.looked = Some(Instant::now());
        }
        catalogue.volumes.get(digest).cloned()
    })
}

fn look(home: &Home, catalogue: &mut Catalogue) {
    let records = home.installed().unwrap_or_default();
    let versions: Vec<ContainerId> =
        records.iter().map(|record| record.container.clone()).collect();
    if versions == catalogue.versions {
        return;
    }
    catalogue.volumes.clear();
    for record in records {
        let (root, path) = (home.container(&record.container), home.manifest(&record.container));
        let Ok(Some(json)) = look::read(&path, look::LARGE) else { continue };
        if Digest::of(&json) != record.manifest {
            continue;
        }
        let Ok(manifest) = Manifest::from_json(&json) else { continue };
        let volumes = shared(&manifest)
            .map(|(path, digest, size)| (digest, Volume { path: path.under(&root), size }));
        catalogue.volumes.extend(volumes);
        catalogue.volumes.insert(record.manifest, Volume { path, size: json.len() as u64 });
    }
    catalogue.versions = versions;
}

/// The files of a release that may be handed out.
fn shared(manifest: &Manifest) -> impl Iterator<Item = (&RelativePath, Digest, u64)> {
    let mutable = |path: &RelativePath| MUTABLE_FOLDERS.iter().any(|folder| path.is_under(folder));
    let files = manifest.files_with_bytes().filter(move |(path, _)| !mutable(path));
    files.map(|(path, entry)| (path, entry.hash, entry.size))
}

/// Of `absent` what neighbours may have.
pub(crate) fn wanted(manifest: &Manifest, absent: &[RelativePath]) -> Vec<(Digest, u64)> {
    let mutable = |path: &RelativePath| MUTABLE_FOLDERS.iter().any(|folder| path.is_under(folder));
    let entries = absent
        .iter()
        .filter(|path| !mutable(path))
        .filter_map(|path| manifest.file_manifest.get(path));
    entries.filter(|entry| entry.has_bytes()).map(|entry| (entry.hash, entry.size)).collect()
}
