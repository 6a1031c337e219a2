//! The engine's side of the local network: opens the peer network, decides which files of this
//! installation peers may have, and fetches single files from peers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::environment::Environment;
use crate::error_chain;
use crate::look;
use crate::model::manifest::MUTABLE_FOLDERS;
use crate::model::{ContainerId, Digest, Manifest, RelativePath};
use crate::mutex;
use crate::peers::{Library, PeerNetwork, PeerOptions, Volume};
use crate::store::{Home, StoreError};

/// How long a list of installed versions is used before it is read again.
const BELIEVED: Duration = Duration::from_secs(2);

/// The peer network of this process. Clones share it, and it ends with the last of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerHandle(Arc<Mutex<Option<Arc<PeerNetwork>>>>);

impl PeerHandle {
    /// The peer network, if it is open.
    pub(crate) fn get(&self) -> Option<Arc<PeerNetwork>> {
        mutex::lock(&self.0).clone()
    }

    /// Opens the peer network, unless it is open already, or the publisher or the user does not
    /// want it. Without it updates work all the same.
    pub(crate) fn open(&self, environment: &Environment) -> Option<Arc<PeerNetwork>> {
        let allowed = is_allowed(environment);
        if !matches!(allowed, Ok(true)) {
            self.close();
            // The download cache for peers is now useless. The next try deletes what this one could
            // not.
            if allowed.is_ok() {
                let _ = environment.home.remove_own("neighbours");
            }
            return None;
        }
        let mut slot = mutex::lock(&self.0);
        if slot.is_none() {
            let (home, shared) = (environment.home.clone(), environment.home.clone());
            let allowed = Arc::new(move || user_allows(&home).unwrap_or(false));
            match PeerNetwork::start(options(environment), library(shared), allowed) {
                Ok(peer_network) => *slot = Some(Arc::new(peer_network)),
                Err(error) => tracing::warn!(error = error_chain::line(&error), "no peer network"),
            }
        }
        slot.clone()
    }

    /// Closes the peer network.
    pub(crate) fn close(&self) {
        *mutex::lock(&self.0) = None;
    }
}

/// Whether the publisher allows the peer network, and the user has certainly left it on.
pub(crate) fn in_force(environment: &Environment) -> bool {
    is_allowed(environment).unwrap_or(false)
}

fn is_allowed(environment: &Environment) -> Result<bool, StoreError> {
    Ok(environment.settings.peers.enabled && user_allows(&environment.home)?)
}

/// Whether the user has left the peer network on. Where that cannot be read now, the user may have
/// switched it off, and nothing is shared.
fn user_allows(home: &Home) -> Result<bool, StoreError> {
    let stored = home.stored_state().inspect_err(
        // A peer's request asks this too, so a level that is not in the log by itself.
        |error| {
            tracing::debug!(
                error = error_chain::line(error),
                "it is unknown whether the user shares with peers"
            )
        },
    );
    Ok(stored?.is_none_or(|state| !state.peers_off))
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

/// The immutable files of whole versions, and their manifests: those that signed metadata covered
/// at the installation. The user's folders are excluded, whatever the manifest lists in them.
fn library(home: Home) -> Library {
    let catalogue = Mutex::new(Catalogue::default());
    Arc::new(move |digest| {
        let mut catalogue = mutex::lock(&catalogue);
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

/// The files of a release that peers may have.
fn shared(manifest: &Manifest) -> impl Iterator<Item = (&RelativePath, Digest, u64)> {
    let mutable = |path: &RelativePath| MUTABLE_FOLDERS.iter().any(|folder| path.is_under(folder));
    let files = manifest.files_with_bytes().filter(move |(path, _)| !mutable(path));
    files.map(|(path, entry)| (path, entry.hash, entry.size))
}

/// The files of `absent` that peers may have.
pub(crate) fn wanted(manifest: &Manifest, absent: &[RelativePath]) -> Vec<(Digest, u64)> {
    let mutable = |path: &RelativePath| MUTABLE_FOLDERS.iter().any(|folder| path.is_under(folder));
    let entries = absent
        .iter()
        .filter(|path| !mutable(path))
        .filter_map(|path| manifest.file_manifest.get(path));
    entries.filter(|entry| entry.has_bytes()).map(|entry| (entry.hash, entry.size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::HomeState;

    #[test]
    #[cfg(unix)]
    fn nothing_is_shared_while_it_is_unknown_whether_the_user_wants_that() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        assert!(user_allows(&home).unwrap(), "nobody was asked yet");
        let state = home.state().unwrap();
        home.set_state(&HomeState { peers_off: true, ..state }).unwrap();
        assert!(!user_allows(&home).unwrap());
        crate::store::fixture::make_unreadable(&folder.path().join("state.json"));
        assert!(user_allows(&home).is_err());
    }
}
