//! The trusted state that an installation stores: the root, and the newest verified document of
//! each role below it. Each file is replaced in one step.
//!
//! The newest documents need not fit together: a load may have failed halfway, and the documents
//! that it verified still count. So the last set that did fit is stored beside them whenever it
//! differs.
//!
//! Everything that is read back is verified again: the disk may have been damaged, and the two
//! files are not written in one step.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tough::schema::Root;

use super::document::{self, Texts, TufDocument};
use super::error::TrustError;
use super::release_roles::WantedRole;
use super::repository_keys::RootKeys;
use super::source::encoded;
use super::workflow::{RoleDocument, Trusted};
use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::look;

/// What this file does, for its errors.
const KEEP: &str = "keep the trusted metadata in";
const ROOT: &str = "root.json";
const METADATA: &str = "metadata.json";
/// The ids of the keys of all roots that were trusted here.
const KEYS: &str = "repository-keys.json";
/// The folder for documents of delegated roles, one file each.
const DELEGATED: &str = "delegated";

/// All stored documents below the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredMetadata {
    /// The newest document of each role.
    #[serde(flatten)]
    pub(super) newest: Texts,
    /// The last set of documents that fit together, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) whole: Option<Texts>,
}

impl StoredMetadata {
    /// The texts that fit together, as far as they are known.
    pub(super) fn whole(&self) -> &Texts {
        self.whole.as_ref().unwrap_or(&self.newest)
    }

    /// The newest documents of `trusted`, beside the last set that fit together.
    pub(super) fn of(trusted: &Trusted, whole: &Texts) -> Self {
        let mut newest = trusted.texts();
        let same = (&newest.timestamp, &newest.snapshot, &newest.targets)
            == (&whole.timestamp, &whole.snapshot, &whole.targets);
        if same {
            newest.patches.clone_from(&whole.patches);
            newest.roles.clone_from(&whole.roles);
        }
        Self { newest, whole: (!same && whole.timestamp.is_some()).then(|| whole.clone()) }
    }
}

/// The folder of the trusted state.
#[derive(Clone, Debug)]
pub(super) struct StateFolder {
    folder: PathBuf,
}

impl StateFolder {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The stored root; the shipped one if no root is stored or the stored one is damaged.
    pub(super) fn root(&self, shipped: &[u8]) -> Result<TufDocument<Root>, TrustError> {
        let path = self.folder.join(ROOT);
        match look::read(&path, look::LARGE) {
            Ok(Some(bytes)) => match document::root(&bytes) {
                Ok(root) => return Ok(root),
                Err(refusal) => {
                    tracing::warn!(
                        "{} is damaged, beginning with the shipped root: {}",
                        path.display(),
                        refusal.cause
                    );
                }
            },
            Ok(None) => {}
            // An error is not the same as "damaged": falling back here would let a temporary disk
            // error undo a revocation.
            Err(error) => return Err(FileError::new(KEEP, path, error).into()),
        }
        if shipped.is_empty() {
            return Err(TrustError::Root {
                source:
                    "root.json is missing beside launcher.toml, it is empty, or it cannot be read"
                        .into(),
            });
        }
        document::root(shipped).map_err(|refusal| TrustError::Root { source: refusal.cause })
    }

    /// The stored documents, unverified; none if the file is damaged.
    pub(super) fn stored(&self) -> Result<StoredMetadata, TrustError> {
        let path = self.folder.join(METADATA);
        let bytes = match look::read(&path, look::LARGE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(StoredMetadata::default()),
            // An error is not the same as "nothing": a temporary disk error must not undo what was
            // seen.
            Err(error) => return Err(FileError::new(KEEP, path, error).into()),
        };
        let parsed = serde_json::from_slice(&bytes);
        Ok(parsed
            .inspect_err(|error| {
                tracing::warn!(error = error_chain::line(error), path = %path.display(), "this file is damaged and not used")
            })
            .unwrap_or_default())
    }

    /// Stores the documents and the root, unless the files hold the same already.
    pub(super) fn save(
        &self,
        root: &TufDocument<Root>,
        stored: &StoredMetadata,
    ) -> Result<(), TrustError> {
        // The root is written last. After a kill between the two writes, the next load finds
        // documents whose keys seem replaced, and drops them. The other order could leave
        // fast-forwarded documents under the root that was made to remove them.
        let json = serde_json::to_vec(stored).at(KEEP, &self.folder.join(METADATA))?;
        self.write(METADATA, &json)?;
        self.write(ROOT, root.text.as_bytes())
    }

    /// Whether the shipped root belongs to another repository than the stored one. Where one of
    /// the two is missing or cannot be read, nothing speaks against it: a start goes first.
    pub(super) fn is_of_another(&self, shipped: &[u8]) -> bool {
        let stored = look::read(&self.folder.join(ROOT), look::LARGE).ok().flatten();
        let stored = stored.and_then(|bytes| RootKeys::of(&bytes));
        let pair = RootKeys::of(shipped).zip(stored);
        pair.is_some_and(|(shipped, stored)| !shipped.belong_to(&stored, self.keys().as_ref()))
    }

    /// Remembers the keys of `root`, and those of the shipped root if it belongs to it. A failure
    /// is logged, and the next call tries again.
    pub(super) fn remember_keys(&self, root: &TufDocument<Root>, shipped: &[u8]) {
        let Some(newest) = RootKeys::of(root.text.as_bytes()) else { return };
        let remembered = self.keys();
        let shipped =
            RootKeys::of(shipped).filter(|shipped| shipped.belong_to(&newest, remembered.as_ref()));
        let mut keys = remembered.unwrap_or_default();
        let shipped = shipped.map(RootKeys::into_keys).unwrap_or_default();
        keys.extend(newest.into_keys().into_iter().chain(shipped));
        let written = serde_json::to_vec(&keys)
            .at(KEEP, &self.folder.join(KEYS))
            .map_err(TrustError::from)
            .and_then(|json| self.write(KEYS, &json));
        if let Err(error) = written {
            tracing::warn!(error = error_chain::line(&error), "the repository's keys are not kept");
        }
    }

    fn keys(&self) -> Option<BTreeSet<String>> {
        let bytes = look::read(&self.folder.join(KEYS), look::LARGE).ok().flatten()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The stored document of a delegated role, unverified.
    pub(super) fn delegated(&self, role: &str) -> Option<Vec<u8>> {
        // A document that cannot be read is fetched again: its version is signed elsewhere.
        look::read(&self.delegated_path(role), look::LARGE).ok().flatten()
    }

    /// The stored document of a role that holds releases or packs, among `texts` or in a file, if
    /// it is the wanted one.
    pub(super) fn known_role(&self, role: &WantedRole<'_>, texts: &Texts) -> Option<RoleDocument> {
        let verify = |bytes: &[u8]| role.verify(bytes).ok();
        let known = texts.role(role.name()).and_then(|text| verify(text.as_bytes()));
        known.or_else(|| verify(&self.delegated(role.name())?))
    }

    /// The last list of words that was verified, where the wanted one is not to be had.
    pub(super) fn last_words(role: &WantedRole<'_>, texts: &Texts) -> Option<RoleDocument> {
        role.verify_last_words(texts.role(role.name())?.as_bytes()).ok()
    }

    /// All stored documents of delegated roles by their encoded names.
    pub(super) fn all_delegated(&self) -> Result<Vec<(String, String)>, TrustError> {
        let folder = self.folder.join(DELEGATED);
        let entries = look::entries(&folder).at(KEEP, &folder)?;
        let mut all = Vec::new();
        for entry in entries {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Some(role) = name.strip_prefix("r.").and_then(|rest| rest.strip_suffix(".json"))
            else {
                continue;
            };
            let path = entry.path();
            let bytes = look::read(&path, look::LARGE).at(KEEP, &path)?;
            all.extend(
                bytes
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .map(|text| (role.to_owned(), text)),
            );
        }
        Ok(all)
    }

    /// Stores the document of a delegated role.
    pub(super) fn save_delegated(&self, role: &str, text: &str) -> Result<(), TrustError> {
        let path = self.delegated_path(role);
        if self.delegated(role).is_some_and(|stored| stored == text.as_bytes()) {
            return Ok(());
        }
        let folder = self.folder.join(DELEGATED);
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| durable::replace(&path, text.as_bytes()));
        Ok(written.at(KEEP, &path)?)
    }

    /// A role's name cannot lead out of the folder: besides letters and digits, the encoded name
    /// has only `-`, `_`, `~` and dots, after a letter.
    fn delegated_path(&self, role: &str) -> PathBuf {
        self.folder.join(DELEGATED).join(format!("r.{}.json", encoded(role)))
    }

    /// Replaces a file in one step, unless it holds the same already.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrustError> {
        let path = self.folder.join(name);
        if look::read(&path, look::LARGE)
            .is_ok_and(|stored| stored.is_some_and(|stored| stored == bytes))
        {
            return Ok(());
        }
        let written =
            std::fs::create_dir_all(&self.folder).and_then(|()| durable::replace(&path, bytes));
        Ok(written.at(KEEP, &path)?)
    }
}
