//! The version tree: which release came from which, what each changed, file by file, in the specification's form (its section 1.1).
//! A signed document beside the packages of one platform, for the server and for people; the launcher does not fetch it, since
//! manifests tell it the same of the two versions it cares about.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digest::Digest;
use super::manifest::Manifest;
use super::path::RelativePath;
use super::pattern::AppPatterns;
use super::platform::ContainerId;
use super::version::Version;

/// Largest tree that is written or read, bytes: some six releases of an app of 15,000 files that share nothing, or thousands that
/// change a few files each.
pub const LARGEST_VERSION_TREE: usize = 16 << 20;

/// The releases of one app for one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionTree {
    version_tree: BTreeMap<Version, VersionNode>,
}

/// One release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionNode {
    /// The release that the changes are relative to: the newest older one when this one was published. `None` for a root.
    pub parent: Option<Version>,
    /// For a root every file; else those that were added or modified.
    pub files: BTreeMap<RelativePath, FileState>,
    /// Absent for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Absent for a root; else a number or null, which are not the same: see [`VersionNode::patch_size`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    patch_size: Option<Option<u64>>,
    /// Bytes of the package.
    pub full_size: u64,
}

/// What a release changed. Each list is in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Files with other bytes than in the parent.
    pub modified: BTreeSet<RelativePath>,
    /// Files that the parent lacks.
    pub added: BTreeSet<RelativePath>,
    /// Files of the parent that are no more.
    pub deleted: BTreeSet<RelativePath>,
}

/// One file as a release has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// Of its bytes; of its target if it is a symlink.
    #[serde(with = "prefixed")]
    pub hash: Digest,
    /// Bytes.
    pub size: u64,
    /// Whether a change of it needs a new start, as the publisher's patterns said at the time.
    pub critical: bool,
    /// Whether a running app can take over a change of it, as the publisher's patterns said at the time.
    pub hot_updatable: bool,
}

/// A tree that does not hold together.
#[derive(Debug, thiserror::Error)]
pub enum InvalidVersionTree {
    /// Not JSON of the tree's form.
    #[error("the version tree cannot be read")]
    Form(#[from] serde_json::Error),
    /// A release whose parent is not there or not older, or whose files and changes contradict each other.
    #[error("the version tree's release {version} {reason}")]
    Node {
        /// Which.
        version: Version,
        /// What does not fit.
        reason: &'static str,
    },
}

impl VersionNode {
    /// Bytes of the pack from the parent to this release; `None` if there is none, or none was known when the tree was written.
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
        manifest.file_manifest.iter().map(|(path, entry)| (path.clone(), state(path, entry.hash, entry.size))).collect()
    }

    /// Whether these are other bytes: what the patterns say of them is no change of the file.
    fn has_changed(&self, before: &Self) -> bool {
        (self.hash, self.size) != (before.hash, before.size)
    }
}

impl VersionTree {
    /// Name of the TUF target that holds the tree of this container's app and platform.
    pub fn target_name(container: &ContainerId) -> String {
        format!("{}_{}.versions.json", container.app, container.platform)
    }

    /// Reads and checks a tree.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidVersionTree> {
        let tree: Self = serde_json::from_slice(json)?;
        tree.check()?;
        Ok(tree)
    }

    /// The document's bytes: compact JSON in a fixed order, so that the same tree has the same bytes.
    pub fn to_json(&self) -> Result<Vec<u8>, InvalidVersionTree> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The releases in order.
    pub fn nodes(&self) -> impl Iterator<Item = (&Version, &VersionNode)> {
        self.version_tree.iter()
    }

    /// One release.
    pub fn node(&self, version: &Version) -> Option<&VersionNode> {
        self.version_tree.get(version)
    }

    /// Every file of a release; `None` for one that is not in the tree.
    pub fn files_of(&self, version: &Version) -> Option<BTreeMap<RelativePath, FileState>> {
        let mut line = vec![self.node(version)?];
        // Parents are older, so this ends.
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

    /// Adds a release, or puts it in the place of one of the same version; `full_size` are the bytes of its package. Without an older
    /// `parent` that is in the tree it becomes a root.
    pub fn add(&mut self, version: &Version, parent: Option<&Version>, files: BTreeMap<RelativePath, FileState>, full_size: u64) {
        let before = parent.filter(|parent| *parent < version).and_then(|parent| Some((parent, self.files_of(parent)?)));
        let node = match before {
            None => VersionNode { parent: None, files, changes: None, patch_size: None, full_size },
            Some((parent, before)) => {
                let deleted = before.keys().filter(|path| !files.contains_key(*path)).cloned().collect();
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
                VersionNode { parent, files: changed, changes: Some(changes), patch_size: Some(None), full_size }
            }
        };
        self.version_tree.insert(version.clone(), node);
    }

    /// Writes down how large the packs from parents are, as `size` knows them by (parent, release).
    pub fn set_patch_sizes(&mut self, size: impl Fn(&Version, &Version) -> Option<u64>) {
        for (version, node) in &mut self.version_tree {
            node.patch_size = node.parent.as_ref().map(|parent| size(parent, version));
        }
    }

    /// Takes a release out. Those that came from it come from its parent then, or become roots.
    pub fn forget(&mut self, version: &Version) {
        let Some(node) = self.node(version) else { return };
        let parent = node.parent.clone();
        let children: Vec<Version> =
            self.nodes().filter(|(_, node)| node.parent.as_ref() == Some(version)).map(|(child, _)| child.clone()).collect();
        for child in children {
            if let (Some(files), Some(node)) = (self.files_of(&child), self.node(&child)) {
                let full_size = node.full_size;
                self.add(&child, parent.as_ref(), files, full_size);
            }
        }
        self.version_tree.remove(version);
    }

    /// The document's bytes, `limit` at most: the oldest releases are forgotten until it fits, but never the newest.
    pub fn to_json_within(&mut self, limit: usize) -> Result<Vec<u8>, InvalidVersionTree> {
        loop {
            let json = self.to_json()?;
            let oldest = self.version_tree.keys().next().filter(|_| self.version_tree.len() > 1).cloned();
            match oldest {
                Some(oldest) if json.len() > limit => self.forget(&oldest),
                _ => return Ok(json),
            }
        }
    }

    fn check(&self) -> Result<(), InvalidVersionTree> {
        for (version, node) in &self.version_tree {
            let refuse = |reason| Err(InvalidVersionTree::Node { version: version.clone(), reason });
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
            if !listed.eq(node.files.keys()) || changes.modified.intersection(&changes.added).next().is_some() {
                return refuse("lists other files than those it changed");
            }
            if changes.deleted.iter().any(|path| node.files.contains_key(path)) {
                return refuse("has a file that it deleted");
            }
        }
        Ok(())
    }
}

/// A field that is there, be it null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// `sha256:` before the digits, as the specification writes hashes.
mod prefixed {
    use super::{Deserialize, Deserializer, Digest, Serializer};

    const PREFIX: &str = "sha256:";

    pub(super) fn serialize<S: Serializer>(hash: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{PREFIX}{hash}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        use serde::de::Error;
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let digits = text.strip_prefix(PREFIX).ok_or_else(|| Error::custom(format!("the hash {text:?} is no {PREFIX}…")))?;
        digits.parse().map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn files(files: &[(&str, &str)]) -> BTreeMap<RelativePath, FileState> {
        let (hot, critical) = (["manipulate.*".parse().unwrap()], ["app.py".parse().unwrap()]);
        let patterns = AppPatterns { hot_swap_modules: &hot, critical_files: &critical };
        let state = |path: &RelativePath, content: &str| FileState {
            hash: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            critical: patterns.is_critical(path),
            hot_updatable: patterns.is_hot_updatable(path),
        };
        let with_path = |(path, content): &(&str, &str)| {
            let path: RelativePath = path.parse().unwrap();
            (path.clone(), state(&path, content))
        };
        files.iter().map(with_path).collect()
    }

    fn tree() -> VersionTree {
        let mut tree = VersionTree::default();
        let old = [("app/app.py", "main"), ("app/manipulate/executor.py", "one"), ("app/old_file.py", "old")];
        let new = [("app/app.py", "main"), ("app/manipulate/executor.py", "two"), ("app/manipulate/new_module.py", "new")];
        tree.add(&version("1.0.0"), None, files(&old), 52_428_800);
        tree.add(&version("1.0.1"), Some(&version("1.0.0")), files(&new), 52_428_900);
        tree
    }

    #[test]
    fn it_has_the_specifications_form() {
        let mut tree = tree();
        let hash = |content: &str| format!("sha256:{}", Digest::of(content.as_bytes()));
        let hot = |content: &str| json!({"hash": hash(content), "size": 3, "critical": false, "hot_updatable": true});
        let mut expected = json!({"version_tree": {
            "1.0.0": {
                "parent": null,
                "files": {
                    "app/app.py": {"hash": hash("main"), "size": 4, "critical": true, "hot_updatable": false},
                    "app/manipulate/executor.py": hot("one"),
                    "app/old_file.py": {"hash": hash("old"), "size": 3, "critical": false, "hot_updatable": false},
                },
                "full_size": 52_428_800,
            },
            "1.0.1": {
                "parent": "1.0.0",
                "files": {"app/manipulate/executor.py": hot("two"), "app/manipulate/new_module.py": hot("new")},
                "changes": {
                    "modified": ["app/manipulate/executor.py"],
                    "added": ["app/manipulate/new_module.py"],
                    "deleted": ["app/old_file.py"],
                },
                "patch_size": null,
                "full_size": 52_428_900,
            },
        }});
        let written = |tree: &VersionTree| serde_json::from_slice::<Value>(&tree.to_json().unwrap()).unwrap();
        assert_eq!(written(&tree), expected);
        assert_eq!(VersionTree::from_json(&tree.to_json().unwrap()).unwrap(), tree);
        tree.set_patch_sizes(|from, to| (*from == version("1.0.0") && *to == version("1.0.1")).then_some(2048));
        expected["version_tree"]["1.0.1"]["patch_size"] = 2048.into();
        assert_eq!(written(&tree), expected);
        assert_eq!(
            VersionTree::from_json(&tree.to_json().unwrap()).unwrap().node(&version("1.0.1")).unwrap().patch_size(),
            Some(2048)
        );
    }

    #[test]
    fn every_file_of_every_release_can_be_listed() {
        let mut tree = tree();
        let reported = |tree: &VersionTree, text: &str| {
            let files = tree.files_of(&version(text)).unwrap();
            files.into_iter().map(|(path, state)| format!("{path} {}", state.size)).collect::<Vec<_>>()
        };
        let newest = ["app/app.py 4", "app/manipulate/executor.py 3", "app/manipulate/new_module.py 3"];
        assert_eq!(reported(&tree, "1.0.1"), newest);
        tree.add(&version("1.0.2"), Some(&version("1.0.1")), files(&[("app/app.py", "longer")]), 1);
        assert_eq!(reported(&tree, "1.0.2"), ["app/app.py 6"]);
        assert_eq!(reported(&tree, "1.0.1"), newest);
        assert!(tree.files_of(&version("9.0.0")).is_none());
        // What comes back after it was deleted.
        tree.add(&version("1.0.3"), Some(&version("1.0.2")), files(&[("app/app.py", "longer"), ("app/old_file.py", "back")]), 1);
        assert_eq!(reported(&tree, "1.0.3"), ["app/app.py 6", "app/old_file.py 4"]);

        // The middle goes, then the root.
        tree.forget(&version("1.0.1"));
        assert_eq!(tree.node(&version("1.0.2")).unwrap().parent, Some(version("1.0.0")));
        assert_eq!(reported(&tree, "1.0.2"), ["app/app.py 6"]);
        tree.forget(&version("1.0.0"));
        assert_eq!(tree.node(&version("1.0.2")).unwrap().parent, None);
        assert_eq!(reported(&tree, "1.0.3"), ["app/app.py 6", "app/old_file.py 4"]);
        VersionTree::from_json(&tree.to_json().unwrap()).unwrap();
    }

    #[test]
    fn a_parent_is_older_and_there() {
        let mut tree = tree();
        tree.add(&version("0.9.0"), Some(&version("1.0.0")), files(&[]), 1);
        tree.add(&version("2.0.0"), Some(&version("1.5.0")), files(&[]), 1);
        assert!(["0.9.0", "2.0.0"].iter().all(|text| tree.node(&version(text)).unwrap().parent.is_none()));
    }

    #[test]
    fn what_does_not_hold_together_is_refused() {
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut json = serde_json::to_value(tree()).unwrap();
            change(&mut json["version_tree"]);
            VersionTree::from_json(json.to_string().as_bytes())
        };
        changed(&|_| {}).unwrap();
        for change in [
            (&|tree: &mut Value| tree["1.0.1"]["parent"] = "0.1.0".into()) as &dyn Fn(&mut Value),
            &|tree| tree["1.0.1"]["parent"] = "1.0.1".into(),
            &|tree| tree["1.0.1"]["parent"] = Value::Null,
            &|tree| tree["1.0.0"]["parent"] = "1.0.1".into(),
            &|tree| tree["1.0.1"]["changes"]["added"] = json!([]),
            &|tree| tree["1.0.1"]["changes"]["deleted"] = json!(["app/manipulate/new_module.py"]),
            &|tree| tree["1.0.1"]["changes"]["modified"] = json!(["../x"]),
            &|tree| tree["1.0.0"]["files"]["app/app.py"]["hash"] = "md5:00".into(),
            &|tree| tree["1.0.0"]["files"] = json!({"/etc/passwd": {}}),
            &|tree| *tree = json!([]),
        ] {
            assert!(changed(change).is_err());
        }
    }

    #[test]
    fn many_releases_of_a_large_app_stay_readable() {
        let mut tree = VersionTree::default();
        let path = |index: usize| format!("runtime/lib/python3.11/site-packages/package/module_{index}.py").parse().unwrap();
        let state =
            |text: String| FileState { hash: Digest::of(text.as_bytes()), size: 1, critical: false, hot_updatable: false };
        let mut files: BTreeMap<RelativePath, FileState> =
            (0..3000).map(|index| (path(index), state(format!("{index}")))).collect();
        let mut parent = None;
        for release in 0..60_u64 {
            for index in 0..20 {
                files.insert(path((release as usize * 37 + index) % 3000), state(format!("{release} {index}")));
            }
            let this = Version::new(1, release, 0);
            tree.add(&this, parent.as_ref(), files.clone(), 1);
            parent = Some(this);
        }
        let whole = tree.to_json().unwrap();
        assert!(whole.len() < LARGEST_VERSION_TREE / 10, "{}", whole.len());
        // A tenth more than one release: the oldest are forgotten, the newest is there, whole.
        let mut short = tree.clone();
        let json = short.to_json_within(whole.len() * 7 / 10).unwrap();
        assert!(json.len() <= whole.len() * 7 / 10);
        assert!(short.node(&Version::new(1, 0, 0)).is_none() && short.nodes().count() > 1);
        assert_eq!(VersionTree::from_json(&json).unwrap().files_of(&Version::new(1, 59, 0)).unwrap(), files);
        short.to_json_within(10).unwrap();
        assert_eq!(short.nodes().count(), 1, "the newest stays, whatever its size");
    }
}
