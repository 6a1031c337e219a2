//! What an installation has come to trust, on disk: `root.json`, and `metadata.json` with the other roles.
//!
//! Two files, since the root goes ahead alone when the rest of a load fails. Each is replaced in one step.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tough::schema::{Metafile, RoleType, Root, Signed, Snapshot, Targets, Timestamp};

use super::error::TrustError;
use super::patches;
use crate::durable;

const ROOT: &str = "root.json";
const METADATA: &str = "metadata.json";

/// The roles below the root, as one load found them.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    pub(super) timestamp: Signed<Timestamp>,
    pub(super) snapshot: Signed<Snapshot>,
    pub(super) targets: Signed<Targets>,
    /// Verified on its own, see [`super::patches`]; `None` if there is none that can be used.
    pub(super) patches: Option<Signed<Targets>>,
}

/// The same as text, exactly as the mirror had it, so that digests can be compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Texts {
    timestamp: String,
    snapshot: String,
    targets: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) patches: Option<String>,
}

impl Documents {
    /// Whether `root`'s keys signed the first three, and each names the next: what a refresh has checked, once more.
    pub(super) fn verify(&self, root: &Signed<Root>) -> bool {
        let names =
            |meta: &HashMap<String, Metafile>, file: &str, version| meta.get(file).is_some_and(|entry| entry.version == version);
        root.signed.verify_role(&self.timestamp).is_ok()
            && root.signed.verify_role(&self.snapshot).is_ok()
            && root.signed.verify_role(&self.targets).is_ok()
            && names(&self.timestamp.signed.meta, "snapshot.json", self.snapshot.signed.version)
            && names(&self.snapshot.signed.meta, "targets.json", self.targets.signed.version)
    }

    /// Where the timestamp, the snapshot and the targets lie on a mirror.
    fn locations(&self) -> [String; 3] {
        [
            "metadata/timestamp.json".to_owned(),
            format!("metadata/{}.snapshot.json", self.snapshot.signed.version),
            format!("metadata/{}.targets.json", self.targets.signed.version),
        ]
    }

    /// The texts of these documents, as `used` has them by location.
    pub(super) fn texts(&self, used: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Texts> {
        let [timestamp, snapshot, targets] =
            self.locations().map(|location| used(&location).and_then(|bytes| String::from_utf8(bytes).ok()));
        Some(Texts { timestamp: timestamp?, snapshot: snapshot?, targets: targets?, patches: None })
    }
}

impl Texts {
    fn parse(&self) -> Result<Documents, serde_json::Error> {
        Ok(Documents {
            timestamp: serde_json::from_str(&self.timestamp)?,
            snapshot: serde_json::from_str(&self.snapshot)?,
            targets: serde_json::from_str(&self.targets)?,
            patches: None,
        })
    }
}

/// The folder of the trusted state.
#[derive(Clone, Debug)]
pub(super) struct State {
    folder: PathBuf,
}

impl State {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The stored root; the shipped one if none is stored or the stored one is damaged.
    pub(super) fn root(&self, shipped: &[u8]) -> Result<Signed<Root>, TrustError> {
        let path = self.folder.join(ROOT);
        match std::fs::read(&path) {
            Ok(bytes) => match parse_root(&bytes) {
                Ok(root) => return Ok(root),
                Err(error) => tracing::warn!("{} is damaged, beginning with the shipped root: {error}", path.display()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // Not "damaged": falling back here would let a passing fault of the disk undo a revocation.
            Err(source) => return Err(TrustError::Io { path, source }),
        }
        parse_root(shipped).map_err(|source| TrustError::Root { source })
    }

    /// The stored documents, signatures unchecked, the patches' only as text; `None` if there are none or they are damaged.
    pub(super) fn documents(&self) -> Option<(Documents, Texts)> {
        let path = self.folder.join(METADATA);
        let bytes = std::fs::read(&path).ok()?;
        let parsed = serde_json::from_slice(&bytes).and_then(|texts: Texts| Ok((texts.parse()?, texts)));
        parsed.inspect_err(|error| tracing::warn!("{} is damaged and not used: {error}", path.display())).ok()
    }

    /// A folder of its own for one load of `tough`, with what it needs to notice a rollback; and what need not be fetched again,
    /// by location.
    pub(super) fn scratch(&self) -> Result<(tempfile::TempDir, BTreeMap<String, Vec<u8>>), TrustError> {
        let failed = |path: &Path, source| TrustError::Io { path: path.to_owned(), source };
        let scratch = tempfile::tempdir().map_err(|source| failed(Path::new("(temporary folder)"), source))?;
        let Some((documents, texts)) = self.documents() else { return Ok((scratch, BTreeMap::new())) };
        for (name, text) in [("timestamp.json", &texts.timestamp), ("snapshot.json", &texts.snapshot)] {
            let path = scratch.path().join(name);
            std::fs::write(&path, text).map_err(|source| failed(&path, source))?;
        }
        // The timestamp is always fetched: it is what tells whether there is news.
        let [_, snapshot, targets] = documents.locations();
        let patches = patches::wanted(&documents.targets.signed, &documents.snapshot.signed).map(|wanted| wanted.location());
        let patches = patches.zip(texts.patches).map(|(location, text)| (location, text.into_bytes()));
        let known = [(snapshot, texts.snapshot.into_bytes()), (targets, texts.targets.into_bytes())].into_iter().chain(patches);
        Ok((scratch, known.collect()))
    }

    /// Keeps a whole verified load.
    pub(super) fn save(&self, root: &Signed<Root>, documents: &Texts) -> Result<(), TrustError> {
        // The root last: a kill between the two leaves documents that the next load takes for signed with replaced keys and
        // drops. The other order could leave fast-forwarded documents under the root that was made to get rid of them.
        self.write(METADATA, to_json(documents))?;
        self.write(ROOT, to_json(root))
    }

    /// Keeps a newer root alone. If it replaces the timestamp's or the snapshot's keys, what they signed is forgotten: that is
    /// how clients recover from version numbers driven up with stolen keys (TUF 5.3.11).
    pub(super) fn advance(&self, old: &Signed<Root>, new: &Signed<Root>) -> Result<(), TrustError> {
        let replaced = |role| !old.signed.keys(role).eq(new.signed.keys(role));
        if replaced(RoleType::Timestamp) || replaced(RoleType::Snapshot) {
            let path = self.folder.join(METADATA);
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(TrustError::Io { path, source }),
                _ => {}
            }
        }
        self.write(ROOT, to_json(new))
    }

    fn write(&self, name: &str, json: std::io::Result<Vec<u8>>) -> Result<(), TrustError> {
        let path = self.folder.join(name);
        let write = |json: Vec<u8>| {
            std::fs::create_dir_all(&self.folder)?;
            durable::replace(&path, &json)
        };
        json.and_then(write).map_err(|source| TrustError::Io { path, source })
    }
}

/// The root that a load verified and left in `scratch`, if it is newer than `root`.
pub(super) fn newer_root(scratch: &Path, root: &Signed<Root>) -> Option<Signed<Root>> {
    let found = parse_root(&std::fs::read(scratch.join(ROOT)).ok()?).ok()?;
    (found.signed.version > root.signed.version).then_some(found)
}

/// The root and the documents below it that a load verified and left in `scratch` before it came to the delegated roles; `None` if
/// it did not come that far. That the targets are there says so: `tough` writes each document once it is checked, the targets
/// last, and begins without them.
pub(super) fn before_delegations(scratch: &Path) -> Option<(Signed<Root>, Documents)> {
    fn parsed<T: serde::de::DeserializeOwned>(scratch: &Path, name: &str) -> Option<T> {
        serde_json::from_slice(&std::fs::read(scratch.join(name)).ok()?).ok()
    }
    let targets = parsed(scratch, "targets.json")?;
    let root = parse_root(&std::fs::read(scratch.join(ROOT)).ok()?).ok()?;
    let (timestamp, snapshot) = (parsed(scratch, "timestamp.json")?, parsed(scratch, "snapshot.json")?);
    let documents = Documents { timestamp, snapshot, targets, patches: None };
    documents.verify(&root).then_some((root, documents))
}

/// A root that its own keys signed.
fn parse_root(bytes: &[u8]) -> Result<Signed<Root>, super::error::Cause> {
    let root: Signed<Root> = serde_json::from_slice(bytes)?;
    root.signed.verify_role(&root)?;
    Ok(root)
}

fn to_json<T: Serialize>(value: &T) -> std::io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(std::io::Error::other)
}
