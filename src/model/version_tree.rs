//! The version tree: which release came from which, and what each one changed, file by file, in the
//! specification's form (its section 1.1). It is a signed document beside the packages of one
//! platform, for the server and for people. The launcher does not fetch it: the manifests of two
//! versions give it the same facts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digest::Digest;
use super::manifest::Manifest;
use super::path::RelativePath;
use super::pattern::AppPatterns;
use super::platform::ContainerId;
use super::version::Version;

/// Largest tree that is written or read, bytes: some six releases of an app of 15,000 files with
/// nothing in common, or thousands that change a few files each.
pub const MAX_VERSION_TREE_BYTES: usize = 16 << 20;

/// The releases of one app for one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionTree {
    version_tree: BTreeMap<Version, VersionNode>,
}

/// One release in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionNode {
    /// The release that the changes are relative to: the newest older one when this one was
    /// published. `None` for a root.
    pub parent: Option<Version>,
    /// For a root every file; else those that were added or modified.
    pub files: BTreeMap<RelativePath, FileState>,
    /// The changes relative to the parent; absent for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Absent for a root; else a number or null, which are not the same: see
    /// [`VersionNode::patch_size`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    patch_size: Option<Option<u64>>,
    /// Bytes of the package.
    pub full_size: u64,
}

/// What a release changed. Each list is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Files with other bytes than in the parent.
    pub modified: BTreeSet<RelativePath>,
    /// Files that the parent lacks.
    pub added: BTreeSet<RelativePath>,
    /// Files of the parent that this release lacks.
    pub deleted: BTreeSet<RelativePath>,
}

/// One file of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// Digest of its bytes; of its target if it is a symlink.
    #[serde(with = "prefixed")]
    pub hash: Digest,
    /// Size, bytes.
    pub size: u64,
    /// Whether a change of it needs a restart, by the publisher's patterns at that time.
    pub critical: bool,
    /// Whether a running app can take over a change of it, by the publisher's patterns at that
    /// time.
    pub hot_updatable: bool,
}

/// Why a version tree is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidVersionTree {
    /// It is not JSON of the tree's form.
    #[error("the version tree cannot be read")]
    Form(#[from] serde_json::Error),
    /// The parent of a release is missing or not older, or the release's files and changes
    /// contradict each other.
    #[error("the version tree's release {version} {reason}")]
    Node {
        /// The release.
        version: Version,
        reason: &'static str,
    },
}

impl VersionNode {
    /// Bytes of the pack from the parent to this release; `None` if there is none, or none was
    /// known when the tree was written.
    pub fn patch_size(&self) -> Option<u64> {
        self.patch_size.flatten()
    }
}

impl FileState {
    /// The state of every file in a manifest.
    pub fn all(manifest: &Manifest, patterns: AppPatterns<'_>) -> BTreeMap<RelativePath, Self> {
        let state = |path: &RelativePath, hash, size| Self {
            hash,
            size,
            critical: patterns.is_critical(path),
            hot_updatable: patterns.is_hot_updatable(path),
        };
        manifest
            .file_manifest
            .iter()
            .map(|(path, entry)| (path.clone(), state(path, entry.hash, entry.size)))
            .collect()
    }

    /// Whether the file has other bytes; another result of the patterns does not count as a change.
    fn has_changed(&self, before: &Self) -> bool {
        (self.hash, self.size) != (before.hash, before.size)
    }
}

impl VersionTree {
    /// Name of the TUF target that holds the tree of this container's app and platform.
    pub fn target_name(container: &ContainerId) -> String {
        format!("{}_{}.versions.json", container.app, container.platform)
    }

    /// Parses and checks a tree.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidVersionTree> {
        let tree: Self = serde_json::from_slice(json)?;
        tree.check()?;
        Ok(tree)
    }

    /// The document's bytes: compact JSON in a fixed order, so that equal trees have equal bytes.
    pub fn to_json(&self) -> Result<Vec<u8>, InvalidVersionTree> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The releases, ordered by version.
    pub fn nodes(&self) -> impl Iterator<Item = (&Version, &VersionNode)> {
        self.version_tree.iter()
    }

    /// The release with this version.
    pub fn node(&self, version: &Version) -> Option<&VersionNode> {
        self.version_tree.get(version)
    }

    /// Every file of a release; `None` if the release is not in the tree.
    pub fn files_of(&self, version: &Version) -> Option<BTreeMap<RelativePath, FileState>> {
        let mut line = vec![self.node(version)?];
        // Parents are older than their children, so the loop ends.
        while let Some(parent) = line.last().and_then(|node| node.parent.as_ref()) {
            line.push(self.node(parent)?);
        }
        let mut files = BTreeMap::new();
        for node in line.into_iter().rev() {
            for path in node.changes.iter().flat_map(|changes| &changes.deleted) {
                files.remove(path);
            }
            files.extend(node.files.iter().map(|(path, state)| (path.clone(), state.clone())));
        }
        Some(files)
    }

    /// Adds a release, or replaces the one of the same version; `full_size` is the size of its
    /// package, bytes. Without an older `parent` in the tree it becomes a root.
    pub fn add(
        &mut self,
        version: &Version,
        parent: Option<&Version>,
        files: BTreeMap<RelativePath, FileState>,
        full_size: u64,
    ) {
        let before = parent
            .filter(|parent| *parent < version)
            .and_then(|parent| Some((parent, self.files_of(parent)?)));
        let node = match before {
            None => VersionNode { parent: None, files, changes: None, patch_size: None, full_size },
            Some((parent, before)) => {
                let deleted =
                    before.keys().filter(|path| !files.contains_key(*path)).cloned().collect();
                let mut changes = Changes { deleted, ..Changes::default() };
                let mut changed = BTreeMap::new();
                for (path, state) in files {
                    match before.get(&path) {
                        Some(old) if !state.has_changed(old) => continue,
                        Some(_) => changes.modified.insert(path.clone()),
                        None => changes.added.insert(path.clone()),
                    };
                    changed.insert(path, state);
                }
                let parent = Some(parent.clone());
                VersionNode {
                    parent,
                    files: changed,
                    changes: Some(changes),
                    patch_size: Some(None),
                    full_size,
                }
            }
        };
        self.version_tree.insert(version.clone(), node);
    }

    /// Sets the sizes of the packs from parents; `size` gives them by (parent, release).
    pub fn set_patch_sizes(&mut self, size: impl Fn(&Version, &Version) -> Option<u64>) {
        for (version, node) in &mut self.version_tree {
            node.patch_size = node.parent.as_ref().map(|parent| size(parent, version));
        }
    }

    /// Removes a release. Its children get its parent, or become roots.
    pub fn remove(&mut self, version: &Version) {
        let Some(node) = self.node(version) else { return };
        let parent = node.parent.clone();
        let children: Vec<Version> = self
            .nodes()
            .filter(|(_, node)| node.parent.as_ref() == Some(version))
            .map(|(child, _)| child.clone())
            .collect();
        for child in children {
            if let (Some(files), Some(node)) = (self.files_of(&child), self.node(&child)) {
                let full_size = node.full_size;
                self.add(&child, parent.as_ref(), files, full_size);
            }
        }
        self.version_tree.remove(version);
    }

    /// The document's bytes, at most `limit`: the oldest releases are removed until the document
    /// fits, but never the newest.
    pub fn json_within(&mut self, limit: usize) -> Result<Vec<u8>, InvalidVersionTree> {
        loop {
            let json = self.to_json()?;
            let oldest =
                self.version_tree.keys().next().filter(|_| self.version_tree.len() > 1).cloned();
            match oldest {
                Some(oldest) if json.len() > limit => self.remove(&oldest),
                _ => return Ok(json),
            }
        }
    }

    fn check(&self) -> Result<(), InvalidVersionTree> {
        for (version, node) in &self.version_tree {
            let refuse =
                |reason| Err(InvalidVersionTree::Node { version: version.clone(), reason });
            let (Some(parent), Some(changes)) = (&node.parent, &node.changes) else {
                if node.parent.is_none() && node.changes.is_none() && node.patch_size.is_none() {
                    continue;
                }
                return refuse("has changes without a parent, or a parent without changes");
            };
            if parent >= version || !self.version_tree.contains_key(parent) {
                return refuse("has a parent that is not there or not older");
            }
            let listed = changes.modified.union(&changes.added);
            if !listed.eq(node.files.keys())
                || changes.modified.intersection(&changes.added).next().is_some()
            {
                return refuse("lists other files than those it changed");
            }
            if changes.deleted.iter().any(|path| node.files.contains_key(path)) {
                return refuse("has a file that it deleted");
            }
        }
        Ok(())
    }
}

/// A field that is present, even if it is null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Hashes with `sha256:` before the digits, as the specification writes them.
mod prefixed {
    use super::{Deserialize, Deserializer, Digest, Serializer};

    const PREFIX: &str = "sha256:";

    pub(super) fn serialize<S: Serializer>(
        hash: &Digest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{PREFIX}{hash}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Digest, D::Error> {
        use serde::de::Error;
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let digits = text
            .strip_prefix(PREFIX)
            .ok_or_else(|| Error::custom(format!("the hash {text:?} is no {PREFIX}…")))?;
        digits.parse().map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests;
