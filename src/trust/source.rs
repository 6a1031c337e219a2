//! Where metadata comes from: one source per mirror, dressed as a transport of `tough`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::Deserialize;
use tough::schema::RoleType;
use tough::{Transport, TransportError, TransportErrorKind, TransportStream};
use url::Url;

use super::LIMITS;
use super::error::Cause;
use crate::model::Digest;

/// A mirror of a repository, as far as small files are concerned.
#[async_trait]
pub trait MetadataSource: Send + Sync {
    /// What to call this mirror in messages: the node's id.
    fn name(&self) -> &str;

    /// The file at `location` (relative to the repository, for example `metadata/timestamp.json`), at most `limit` bytes.
    ///
    /// A source stops reading at `limit` and gives up on a mirror that drips; its bytes need no check, they get one here.
    async fn get(&self, location: &str, limit: u64) -> Result<Vec<u8>, SourceError>;
}

/// Why a source has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The mirror answers that there is no such file. A static host may say so with 403 as well as with 404.
    #[error("there is no such file")]
    NotFound,
    /// The file goes on beyond the limit.
    #[error("longer than the {limit} bytes allowed")]
    TooLong {
        /// Bytes.
        limit: u64,
    },
    /// No connection, an error status, a broken or too slow body.
    #[error(transparent)]
    Other(Cause),
}

/// A repository in a folder: the publisher's own, one on removable media, or a test's.
#[derive(Clone, Debug)]
pub struct FolderSource {
    folder: PathBuf,
    name: String,
}

impl FolderSource {
    /// The repository in `folder` (which holds `metadata` and `targets`).
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { name: folder.display().to_string(), folder }
    }
}

#[async_trait]
impl MetadataSource for FolderSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, location: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        use tokio::io::AsyncReadExt as _;
        let other = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => SourceError::NotFound,
            _ => SourceError::Other(error.into()),
        };
        let file = tokio::fs::File::open(self.folder.join(location)).await.map_err(other)?;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).await.map_err(other)?;
        within(bytes, limit)
    }
}

/// The same bytes if there are not too many of them, whatever the source promised.
pub(super) fn within(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, SourceError> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) { Ok(bytes) } else { Err(SourceError::TooLong { limit }) }
}

/// The addresses that `tough` is given: they never leave this process, only their paths count.
pub(super) struct BaseUrls {
    pub(super) metadata: Url,
    pub(super) targets: Url,
}

pub(super) fn base_url() -> Result<BaseUrls, url::ParseError> {
    Ok(BaseUrls { metadata: Url::parse("mirror://repository/metadata/")?, targets: Url::parse("mirror://repository/targets/")? })
}

/// A source as `tough` wants it, with a memory: a file that is known from the last load and that the mirror still names by its
/// digest is not fetched again. A check without news costs one small file.
#[derive(Clone)]
pub(super) struct SourceTransport {
    source: Arc<dyn MetadataSource>,
    memory: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    /// Location to bytes, from the last load.
    known: BTreeMap<String, Vec<u8>>,
    /// Digests that this mirror's files name. Unchecked: they decide only whether to fetch, and `tough` checks the bytes.
    named: BTreeSet<String>,
    /// Location to bytes, in this load.
    used: BTreeMap<String, Vec<u8>>,
}

impl SourceTransport {
    pub(super) fn new(source: Arc<dyn MetadataSource>, known: BTreeMap<String, Vec<u8>>) -> Self {
        Self { source, memory: Arc::new(Mutex::new(Memory { known, ..Memory::default() })) }
    }

    /// What is known of `location` from the last load, if this load's documents name it by its digest.
    pub(super) fn recalled(&self, location: &str) -> Option<Vec<u8>> {
        self.memory().recall(location)
    }

    /// The bytes that this load was given for `location`.
    pub(super) fn used(&self, location: &str) -> Option<Vec<u8>> {
        self.memory().used.get(location).cloned()
    }

    async fn get(&self, location: &str) -> Result<Vec<u8>, SourceError> {
        let recalled = self.memory().recall(location);
        let bytes = match recalled {
            Some(bytes) => bytes,
            None => {
                let limit = limit_for(location);
                self.source.get(location, limit).await.and_then(|bytes| within(bytes, limit))?
            }
        };
        self.memory().keep(location, &bytes);
        Ok(bytes)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn recall(&self, location: &str) -> Option<Vec<u8>> {
        self.known.get(location).filter(|bytes| self.named.contains(&Digest::of(bytes).to_string())).cloned()
    }

    fn keep(&mut self, location: &str, bytes: &[u8]) {
        #[derive(Deserialize)]
        struct Document {
            signed: Signed,
        }
        #[derive(Deserialize)]
        struct Signed {
            meta: BTreeMap<String, Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            hashes: BTreeMap<String, String>,
        }
        // Roots and targets name no other documents.
        if let Ok(document) = serde_json::from_slice::<Document>(bytes) {
            self.named.extend(document.signed.meta.into_values().filter_map(|mut entry| entry.hashes.remove("sha256")));
        }
        self.used.insert(location.to_owned(), bytes.to_vec());
    }
}

impl std::fmt::Debug for SourceTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SourceTransport").field(&self.source.name()).finish()
    }
}

#[async_trait]
impl Transport for SourceTransport {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let location = url.path().trim_start_matches('/');
        // Delegated roles are no business of `tough`: see `patches`.
        let answer = if role_of(location).is_some() { self.get(location).await } else { Err(SourceError::NotFound) };
        let item = match answer {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => {
                let kind = match error {
                    SourceError::NotFound => TransportErrorKind::FileNotFound,
                    _ => TransportErrorKind::Other,
                };
                Err(TransportError::new_with_cause(kind, &url, error))
            }
        };
        // An error goes into the stream: at this level `tough` takes every error for the end of the root's chain, and a mirror
        // that breaks off would hide a newer root.
        Ok(Box::pin(futures_util::stream::iter([item])))
    }
}

/// The role of a metadata file, from its name; `None` for a delegated one's.
fn role_of(location: &str) -> Option<RoleType> {
    location.trim_end_matches(".json").rsplit(['.', '/']).next().and_then(|role| role.parse().ok())
}

/// The cap for a metadata file, from its name.
fn limit_for(location: &str) -> u64 {
    match role_of(location) {
        Some(RoleType::Root) => LIMITS.max_root_size,
        Some(RoleType::Timestamp) => LIMITS.max_timestamp_size,
        Some(RoleType::Snapshot) => LIMITS.max_snapshot_size,
        _ => LIMITS.max_targets_size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delegated_roles_are_told_apart() {
        assert_eq!(role_of("metadata/3.targets.json"), Some(RoleType::Targets));
        assert_eq!(role_of("metadata/3.patches.json"), None);
    }

    #[test]
    fn each_role_has_its_cap() {
        assert_eq!(limit_for("metadata/timestamp.json"), LIMITS.max_timestamp_size);
        assert_eq!(limit_for("metadata/12.root.json"), LIMITS.max_root_size);
        assert_eq!(limit_for("metadata/3.snapshot.json"), LIMITS.max_snapshot_size);
        assert_eq!(limit_for("metadata/3.targets.json"), LIMITS.max_targets_size);
    }

    #[tokio::test]
    async fn a_folder_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"12345").unwrap();
        let source = FolderSource::new(folder.path());
        assert_eq!(source.get("file", 5).await.unwrap(), b"12345");
        assert!(matches!(source.get("file", 4).await, Err(SourceError::TooLong { limit: 4 })));
        assert!(matches!(source.get("none", 4).await, Err(SourceError::NotFound)));
    }
}
