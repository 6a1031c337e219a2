//! A verified repository as a value: its releases, and the lengths and digests of all other files
//! that it names.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tough::schema::Root;

use super::document::{Body as _, TargetFile, signed_length_and_hash};
use super::error::SourceError;
use super::error::{MirrorFault, MirrorFaultKind, TrustError};
use super::names::is_plain_name;
use super::patches;
use super::release_roles::{may_name, offers};
use super::role_names::{ReleaseKind, RolePart, kind_in_name};
use super::source::{MetadataSource, within};
use super::words::{self, SignedWord};
use super::workflow::{Documents, RoleDocument};
use crate::hedge::{Hedge, Received};
use crate::model::audience::Words;
use crate::model::launcher::MAX_LAUNCHER_BYTES;
use crate::model::platform::AppName;
use crate::model::release::{DocumentLocation, MAX_DOCUMENT_BYTES, SignedRelease};
use crate::model::{Digest, Launcher, Release, SignedLauncher, SignedPatch};

/// The key in a target's custom metadata that holds its [`Release`].
pub(crate) const RELEASE_KEY: &str = "release";
/// The key in a target's custom metadata that holds its [`Launcher`].
pub(crate) const LAUNCHER_KEY: &str = "launcher";

/// The content of verified metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The releases, ordered by target name.
    pub releases: Vec<SignedRelease>,
    /// Patch packs to these releases, ordered by target name. Empty if their role is broken,
    /// expired or missing: packs save bytes, and nothing depends on them.
    pub patches: Vec<SignedPatch>,
    /// Launchers, ordered by target name.
    #[serde(default)]
    pub launchers: Vec<SignedLauncher>,
    /// Moves of rollouts within the plans that their releases have, ordered by target name.
    #[serde(default)]
    pub words: Vec<SignedWord>,
    /// When the first of the roles that say what may be installed expires.
    pub expires: Timestamp,
    /// When the role for patches expires; `None` if there is no such role, or if it cannot be used.
    pub patches_expire: Option<Timestamp>,
    /// Whether there are more releases for this app and platform, in roles that were not read:
    /// those that are no longer offered.
    #[serde(default)]
    pub lacks_history: bool,
    /// App, channel and platform of the offers that were not read, for messages.
    #[serde(default)]
    pub others: Vec<[String; 3]>,
    /// The versions of the documents that this was made from.
    pub versions: Versions,
    targets: BTreeMap<String, Target>,
}

/// Version numbers of the roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Version of the root.
    pub root: u64,
    /// Version of the timestamp.
    pub timestamp: u64,
    /// Version of the snapshot.
    pub snapshot: u64,
    /// Version of the targets.
    pub targets: u64,
    /// Version of the patches; `None` if there are none, or if they cannot be used.
    #[serde(default)]
    pub patches: Option<u64>,
}

/// Length and digest of a file that signed metadata names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where mirrors serve it, relative to their base address.
    pub location: String,
    /// Length of the file, bytes.
    pub length: u64,
    /// Digest of the file.
    pub hash: Digest,
}

impl Repository {
    pub(super) fn new(root: &Root, documents: &Documents) -> Self {
        let Documents { timestamp, snapshot, targets, roles, lacks_history } = documents;
        let of_part = |part| roles.iter().filter(move |role| role.part == part);
        let lists: Vec<&RoleDocument> = of_part(RolePart::Patches).collect();
        let lists_of_releases = roles.iter().filter(|role| role.part.holds_releases());
        let was_read = |name: &str| roles.iter().any(|role| role.name == name);
        let mut repository = Self {
            releases: Vec::new(),
            patches: Vec::new(),
            launchers: Vec::new(),
            words: of_part(RolePart::Words)
                .flat_map(|role| {
                    let words = words::words(&targets.signed, &role.document.signed);
                    words.into_iter().map(|word| word.in_force(role.has_lapsed))
                })
                .collect(),
            patches_expire: lists.iter().map(|list| list.document.signed.expires).min(),
            lacks_history: *lacks_history,
            others: offers(&targets.signed)
                .filter(|name| !was_read(name))
                .filter_map(kind_in_name)
                .collect(),
            expires: lists_of_releases
                .clone()
                .map(|role| role.document.signed.expires)
                .chain([root.expires, timestamp.signed.expires(), snapshot.signed.expires()])
                .fold(targets.signed.expires, Timestamp::min),
            versions: Versions {
                root: root.version.get(),
                timestamp: timestamp.signed.version(),
                snapshot: snapshot.signed.version(),
                targets: targets.signed.version.get(),
                patches: lists.iter().map(|list| list.document.signed.version.get()).max(),
            },
            targets: BTreeMap::new(),
        };
        // An entry that this program does not understand may be meant for a newer one: it is left
        // out and is no error.
        for (name, target) in &targets.signed.targets {
            match read_launcher(name, target) {
                Ok(launcher) => repository.launchers.extend(launcher),
                Err(reason) => tracing::warn!("the launcher {:?} is left out: {reason}", name),
            }
            repository.add(name, target, |_| Ok(()));
        }
        for role in lists_of_releases {
            let is_own = |release: Option<&SignedRelease>| {
                let own = |signed: &SignedRelease| ReleaseKind::of(&signed.release).role(role.part);
                match release.map(own) {
                    Some(own) if own != role.name => Err(format!("it belongs to the role {own}")),
                    _ => Ok(()),
                }
            };
            for (name, target) in &role.document.signed.targets {
                if may_name(&targets.signed, &role.name, name) {
                    repository.add(name, target, is_own);
                } else {
                    tracing::warn!("the role {} may not sign {name:?}: it is left out", role.name);
                }
            }
        }
        repository.releases.sort_by(|a, b| a.target.cmp(&b.target));
        repository.launchers.sort_by(|a, b| a.target.cmp(&b.target));
        for list in lists {
            let signed = (list.name.as_str(), &list.document.signed);
            let packs = patches::packs(&targets.signed, signed, &repository.releases);
            repository.patches.extend(packs);
        }
        repository.patches.sort_by(|a, b| a.target.cmp(&b.target));
        repository
    }

    /// Adds a target of a role, unless an earlier role names it: the roles come in the order in
    /// which a search visits them.
    fn add(
        &mut self,
        name: &str,
        target: &TargetFile,
        check: impl Fn(Option<&SignedRelease>) -> Result<(), String>,
    ) {
        if self.targets.contains_key(name) {
            return;
        }
        let read = read_target(name, target).and_then(|read| check(read.1.as_ref()).map(|()| read));
        match read {
            Ok((target, release)) => {
                self.releases.extend(release);
                self.targets.insert(name.to_owned(), target);
            }
            Err(reason) => tracing::warn!("the target {name:?} is left out: {reason}"),
        }
    }

    /// The words about an app's versions.
    pub fn words_of(&self, app: &AppName) -> Words {
        let mine = self.words.iter().filter(|signed| signed.app == *app);
        mine.map(|signed| (signed.version.clone(), signed.word)).collect()
    }

    /// A target by name, for example a release's notes; `None` if no signed metadata names it.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.get(name)
    }

    /// Reads a small target as [`Self::read_small`] does, from the source that delivers it first.
    pub async fn read_small_from(
        &self,
        sources: &[Arc<dyn MetadataSource>],
        name: &str,
        limit: u64,
    ) -> Result<Vec<u8>, TrustError> {
        let mut answers = Hedge::new(0..sources.len(), |index, received| {
            let (source, name) = (Arc::clone(&sources[index]), name.to_owned());
            async move { self.read_counting(source.as_ref(), &name, limit, &received).await }
        });
        let mut first = None;
        while let Some((_, answer)) = answers.next().await {
            match answer {
                Ok(bytes) => return Ok(bytes),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Err(first.unwrap_or(TrustError::Mirrors { faults: Vec::new() }))
    }

    /// Reads a small target, at most `limit` bytes, and verifies it.
    pub async fn read_small(
        &self,
        source: &dyn MetadataSource,
        name: &str,
        limit: u64,
    ) -> Result<Vec<u8>, TrustError> {
        self.read_counting(source, name, limit, &Received::default()).await
    }

    async fn read_counting(
        &self,
        source: &dyn MetadataSource,
        name: &str,
        limit: u64,
        received: &Received,
    ) -> Result<Vec<u8>, TrustError> {
        let target =
            self.target(name).ok_or_else(|| TrustError::UnknownTarget { name: name.to_owned() })?;
        if target.length > limit {
            return Err(TrustError::TooLong {
                name: name.to_owned(),
                length: target.length,
                limit,
            });
        }
        let fault = |kind, cause| TrustError::Target {
            name: name.to_owned(),
            fault: MirrorFault { mirror: source.name().to_owned(), kind, cause },
        };
        let bytes = match source
            .get_counting(&target.location, target.length, received)
            .await
            .and_then(|bytes| within(bytes, target.length))
        {
            Ok(bytes) => bytes,
            Err(error @ SourceError::NotFound) => {
                return Err(fault(MirrorFaultKind::Unusable, error.into()));
            }
            Err(error @ SourceError::TooLong { .. }) => {
                return Err(fault(MirrorFaultKind::NotTrusted, error.into()));
            }
            Err(error @ SourceError::Other(_)) => {
                return Err(fault(MirrorFaultKind::Unreachable, error.into()));
            }
        };
        let found = Digest::of(&bytes);
        if found != target.hash {
            let cause = format!(
                "its {} bytes have the digest {found}, signed is {}",
                bytes.len(),
                target.hash
            );
            return Err(fault(MirrorFaultKind::NotTrusted, cause.into()));
        }
        Ok(bytes)
    }
}

/// Whether a target says that it is a release.
pub(super) fn has_release(target: &TargetFile) -> bool {
    target.custom.contains_key(RELEASE_KEY)
}

/// Parses a target and, if it is a package, its release.
fn read_target(name: &str, target: &TargetFile) -> Result<(Target, Option<SignedRelease>), String> {
    if !is_plain_name(name) {
        return Err("its name is not plain".to_owned());
    }
    let (length, hash) = signed_length_and_hash(target)?;
    let release = match target.custom.get(RELEASE_KEY) {
        None => None,
        Some(value) => {
            let release = Release::deserialize(value).map_err(|error| error.to_string())?;
            check_release(name, length, &release)?;
            Some(SignedRelease { target: name.to_owned(), length, hash, release })
        }
    };
    Ok((Target { location: format!("targets/{hash}.{name}"), length, hash }, release))
}

/// The launcher in a target, if the target is one.
fn read_launcher(name: &str, target: &TargetFile) -> Result<Option<SignedLauncher>, String> {
    let Some(value) = target.custom.get(LAUNCHER_KEY) else { return Ok(None) };
    let launcher = Launcher::deserialize(value).map_err(|error| error.to_string())?;
    let (length, hash) = signed_length_and_hash(target)?;
    launcher.pieces.check().map_err(|error| error.to_string())?;
    if name != launcher.target() || !is_plain_name(name) {
        Err(format!("it describes {}", launcher.target()))
    } else if launcher.pieces.length != length {
        Err(format!("its pieces have {} bytes, it has {length}", launcher.pieces.length))
    } else if launcher.size > MAX_LAUNCHER_BYTES {
        Err(format!("it has {} bytes, at most {MAX_LAUNCHER_BYTES} are unpacked", launcher.size))
    } else {
        Ok(Some(SignedLauncher { target: name.to_owned(), length, hash, launcher }))
    }
}

/// Refuses a description that contradicts itself or its target.
fn check_release(name: &str, length: u64, release: &Release) -> Result<(), String> {
    let expected = format!("{}.kuzflow", release.container);
    let mut documents = [("manifest", &release.manifest), ("index", &release.index)].into_iter();
    let outside =
        |document: &DocumentLocation| document.span().is_none_or(|span| span.end > length);
    if name != expected {
        Err(format!("it describes {expected}"))
    } else if let Some((which, _)) = documents.clone().find(|(_, document)| outside(document)) {
        Err(format!("its {which} lies outside the package"))
    } else if let Some((which, document)) =
        documents.find(|(_, document)| document.size > MAX_DOCUMENT_BYTES)
    {
        Err(format!(
            "its {which} has {} bytes, at most {MAX_DOCUMENT_BYTES} are read",
            document.size
        ))
    } else if release.rollout_permille > 1000 {
        Err(format!("its rollout is {} of 1000", release.rollout_permille))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(custom: serde_json::Value) -> TargetFile {
        let json = json!({"length": 100, "hashes": {"sha256": Digest::of(b"").to_string()}, "custom": custom});
        serde_json::from_value(json).unwrap()
    }

    fn release() -> serde_json::Value {
        json!({
            "container": "sample_1.0.0_Linux_x86_64", "display_name": "Sample", "channel": "stable",
            "published": "2026-01-01T00:00:00Z", "unpacked_size": 1, "file_count": 1,
            "manifest": {"offset": 50, "packed_size": 50, "size": 60, "hash": Digest::of(b"").to_string()},
            "index": {"offset": 10, "packed_size": 40, "size": 60, "hash": Digest::of(b"").to_string()},
        })
    }

    const NAME: &str = "sample_1.0.0_Linux_x86_64.kuzflow";

    #[test]
    fn a_package_is_a_release_and_anything_else_is_not() {
        let (found, release) = read_target(NAME, &target(json!({"release": release()}))).unwrap();
        assert_eq!(found.location, release.unwrap().location());
        let (_, release) = read_target("notes.md", &target(json!({"other": 1}))).unwrap();
        assert_eq!(release, None);
    }

    #[test]
    fn contradictions_are_left_out() {
        let with = |pointer: &str, value: serde_json::Value| {
            let mut json = release();
            *json.pointer_mut(pointer).unwrap() = value;
            read_target(NAME, &target(json!({"release": json})))
        };
        assert!(with("/channel", json!("beta")).is_ok());
        assert!(with("/channel", json!(1)).is_err());
        assert!(with("/container", json!("sample_1.0.1_Linux_x86_64")).is_err());
        assert!(with("/container", json!("../x")).is_err());
        assert!(with("/manifest/packed_size", json!(51)).is_err());
        assert!(with("/manifest/offset", json!(u64::MAX)).is_err());
        assert!(with("/manifest/size", json!(MAX_DOCUMENT_BYTES + 1)).is_err());
        assert!(with("/index/packed_size", json!(91)).is_err());
        assert!(with("/index/size", json!(MAX_DOCUMENT_BYTES + 1)).is_err());
        let mut generous = release();
        generous["rollout_permille"] = json!(1001);
        assert!(read_target(NAME, &target(json!({"release": generous}))).is_err());
    }

    #[test]
    fn a_launcher_that_contradicts_its_target_is_left_out() {
        const NAME: &str = "kuzflow-launcher_2.0.0_Linux_x86_64.launcher";
        let good = json!({
            "version": "2.0.0", "platform": "Linux_x86_64", "size": 300, "hash": Digest::of(b"x").to_string(),
            "pieces": {"piece_size": 64, "length": 100, "hashes": vec![Digest::of(b"").to_string(); 2]},
        });
        let with = |pointer: &str, value: serde_json::Value| {
            let mut json = good.clone();
            *json.pointer_mut(pointer).unwrap() = value;
            read_launcher(NAME, &target(json!({"launcher": json})))
        };
        assert_eq!(
            with("/size", json!(301)).unwrap().unwrap().launcher.version.to_string(),
            "2.0.0"
        );
        for (pointer, value) in [
            ("/version", json!("2.0.1")),
            ("/version", json!("../2")),
            ("/platform", json!("Windows_AMD64")),
            ("/size", json!(MAX_LAUNCHER_BYTES + 1)),
            ("/pieces/length", json!(99)),
            ("/pieces/piece_size", json!(0)),
            ("/hash", json!("abc")),
        ] {
            assert!(with(pointer, value).is_err(), "{pointer}");
        }
        assert!(read_launcher(NAME, &target(json!({}))).unwrap().is_none());
    }

    #[test]
    fn names_of_folders_are_left_out() {
        assert!(read_target("a/b", &target(json!({}))).is_err());
    }
}
