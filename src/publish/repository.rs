//! Changes of a signed repository: releases, their rollout, new signatures.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::Timestamp as Time;
use serde::Serialize;
use tough::schema::Targets;
use unicode_normalization::UnicodeNormalization as _;

use super::entries::{file_of, release_of, target, target_name};
use super::error::{PublishError, at};
use super::keys::Keyring;
use super::project::Project;
use super::rollout_change::RolloutChange;
use super::transaction::{Transaction, TransactionStep, digest_of};
use crate::model::release::MAX_DOCUMENT_BYTES;
use crate::model::{ContainerId, Digest, Manifest, Release, Version};
use crate::trust::{RELEASE_KEY, is_plain_name};

/// Largest release notes in one language, in bytes; no launcher shows longer ones.
pub(crate) const MAX_NOTES_BYTES: u64 = 256 << 10;

/// A built package that is to be published.
#[derive(Clone, Debug)]
pub struct PackageToPublish {
    /// The package.
    pub path: PathBuf,
    /// Its description. This module fills in its `notes`.
    pub release: Release,
    /// The package's manifest, for the version tree.
    pub manifest: Manifest,
    /// Release notes in Markdown: language tag (`zh-CN`, `en`; empty for any) to file.
    pub notes: BTreeMap<String, PathBuf>,
}

/// The change of a published release's notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notes {
    /// The given notes replace the published ones.
    Replaced,
    /// The published notes stay.
    Retained,
    /// Nothing of the release changes.
    Untouched,
}

impl Project {
    /// Prepares releases for publication, all in one step for clients. Packages of the same version
    /// for several platforms belong in one call.
    ///
    /// The descriptions are signed as they are given, whatever was decided before; a person's
    /// request goes through [`Project::publish_on`]. If nothing changes, the transaction is empty.
    pub fn publish(
        &self,
        packages: &[PackageToPublish],
        keyring: &Keyring,
        now: Time,
    ) -> Result<Transaction, PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let mut targets = current.content();
        let mut files = Vec::new();
        for package in packages {
            files.extend(self.add_package(&mut targets, package, Notes::Replaced)?);
        }
        let steps = self.bring(&current, targets, files, packages, keyring, now)?;
        Ok(Transaction::new(lock, steps))
    }

    /// Prepares a change of rollout for the release of `version` on every platform.
    pub fn set_rollout(
        &self,
        version: &Version,
        change: RolloutChange,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Transaction, PublishError> {
        change.check()?;
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let mut targets = current.content();
        let others: Vec<Release> = targets.targets.values().filter_map(release_of).collect();
        let mut found = false;
        let app = &self.settings().app;
        let is_meant = |release: &Release| {
            release.container.version == *version && release.container.app == *app
        };
        for target in targets.targets.values_mut() {
            let Some(mut release) = release_of(target).filter(is_meant) else {
                continue;
            };
            found = true;
            change.apply(&mut release, &others)?;
            target.custom.insert(RELEASE_KEY.to_owned(), to_value(&release)?);
        }
        if !found {
            return Err(PublishError::NoSuchRelease { version: version.clone() });
        }
        let unchanged = targets.targets == current.content().targets;
        let steps =
            if unchanged { Vec::new() } else { self.new_targets(&current, targets, keyring, now)? };
        Ok(Transaction::new(lock, steps))
    }

    pub fn releases(&self) -> Result<Vec<Release>, PublishError> {
        let mut releases: Vec<Release> =
            self.current()?.content().targets.values().filter_map(release_of).collect();
        releases.sort_by(|a, b| {
            b.container.version.cmp(&a.container.version).then(a.container.cmp(&b.container))
        });
        Ok(releases)
    }

    /// The release notes of a version by language tag, from the first platform that has some.
    ///
    /// # Errors
    /// The errors of reading the repository.
    pub(crate) fn notes_of(
        &self,
        version: &Version,
    ) -> Result<BTreeMap<String, String>, PublishError> {
        let targets = self.current()?.content().targets;
        let releases = targets.values().filter_map(release_of);
        let mut named = releases
            .filter(|release| release.container.version == *version)
            .map(|release| release.notes);
        let named = named.find(|notes| !notes.is_empty()).unwrap_or_default();
        let mut notes = BTreeMap::new();
        for (language, name) in named {
            let Some(target) = targets.get(&target_name(&name)?) else { continue };
            let path = self.targets_folder().join(file_of(&name, target));
            notes.insert(language, std::fs::read_to_string(&path).map_err(at(&path))?);
        }
        Ok(notes)
    }

    /// Adds a package and its notes to `targets`; returns the steps that bring their bytes.
    pub(super) fn add_package(
        &self,
        targets: &mut Targets,
        package: &PackageToPublish,
        change: Notes,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let PackageToPublish { path, release, notes, .. } = package;
        self.refuse_foreign(package)?;
        let container = &release.container;
        let name = format!("{container}.kuzflow");
        let (hash, length) = digest_of(path)?;
        let mut release = release.clone();
        let earlier = targets
            .targets
            .get(&target_name(&name)?)
            .map(|target| (target.hashes.sha256.to_vec(), release_of(target)));
        if let Some((earlier_hash, earlier)) = earlier {
            if earlier_hash != hash.as_bytes() {
                return Err(PublishError::AlreadyPublished { container: container.clone() });
            }
            if let Some(earlier) = earlier {
                release.published = earlier.published;
                if change == Notes::Replaced {
                    for name in earlier.notes.values() {
                        targets.targets.remove(&target_name(name)?);
                    }
                }
            }
        }
        // After the comparison: the description of a published version is that of the published
        // bytes.
        check_manifest(path, &release)?;
        let mut steps = Vec::new();
        let destination = self.targets_folder().join(format!("{hash}.{name}"));
        if !is_there(&destination, hash, length)? {
            steps.push(TransactionStep::Copy { source: path.clone(), destination, hash });
        }
        if change == Notes::Untouched {
            return Ok(steps);
        }
        if change == Notes::Replaced {
            steps.extend(self.replace_notes(targets, &mut release, notes)?);
        }
        let custom = HashMap::from([(RELEASE_KEY.to_owned(), to_value(&release)?)]);
        targets.targets.insert(target_name(&name)?, target(hash, length, custom));
        Ok(steps)
    }

    /// Refuses a package of another app, and one whose parts contradict each other.
    fn refuse_foreign(&self, package: &PackageToPublish) -> Result<(), PublishError> {
        let PackageToPublish { path, release, manifest, .. } = package;
        let container = &release.container;
        let reason = if container.app != self.settings().app {
            format!("it is {container}, published here is {}", self.settings().app)
        } else if manifest.id() != *container {
            format!(
                "its manifest is that of {}, its description that of {container}",
                manifest.id()
            )
        } else if release.rollout_permille > 1000 {
            format!("its rollout is {} of 1000", release.rollout_permille)
        } else {
            return Ok(());
        };
        Err(PublishError::Package { path: path.clone(), reason })
    }

    /// Gives `release` these notes, and adds them to `targets`; returns the steps that bring their
    /// bytes.
    fn replace_notes(
        &self,
        targets: &mut Targets,
        release: &mut Release,
        notes: &BTreeMap<String, PathBuf>,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let mut steps = Vec::new();
        release.notes.clear();
        for (language, path) in notes {
            let (name, bytes) = read_notes(&release.container, language, path)?;
            let (hash, length) = (Digest::of(&bytes), bytes.len() as u64);
            let destination = self.targets_folder().join(format!("{hash}.{name}"));
            if !is_there(&destination, hash, length)? {
                steps.push(TransactionStep::Write { path: destination, bytes });
            }
            targets.targets.insert(target_name(&name)?, target(hash, length, HashMap::new()));
            release.notes.insert(language.clone(), name);
        }
        Ok(steps)
    }
}

/// Reads release notes and determines the name of their target.
pub(super) fn read_notes(
    container: &ContainerId,
    language: &str,
    path: &Path,
) -> Result<(String, Vec<u8>), PublishError> {
    let refuse = |reason: String| PublishError::Package { path: path.to_owned(), reason };
    let name = if language.is_empty() {
        format!("{container}.md")
    } else {
        format!("{container}.{language}.md")
    };
    if !is_plain_name(&name) {
        return Err(refuse(format!("{language:?} is not a language tag such as zh-CN or en")));
    }
    let file = std::fs::File::open(path).map_err(at(path))?;
    let mut bytes = Vec::new();
    file.take(MAX_NOTES_BYTES + 1).read_to_end(&mut bytes).map_err(at(path))?;
    if bytes.len() as u64 > MAX_NOTES_BYTES {
        return Err(refuse(format!("release notes may have {MAX_NOTES_BYTES} bytes")));
    }
    if std::str::from_utf8(&bytes).is_err() {
        return Err(refuse("release notes must be UTF-8".to_owned()));
    }
    Ok((name, bytes))
}

/// Checks that the manifest lies in the package where the description says, so that clients can
/// install what is signed.
fn check_manifest(path: &Path, release: &Release) -> Result<(), PublishError> {
    let refuse =
        |reason: &str| PublishError::Package { path: path.to_owned(), reason: reason.to_owned() };
    let location = &release.manifest;
    if location.size > MAX_DOCUMENT_BYTES {
        return Err(refuse("its manifest is too large"));
    }
    let mut file = std::fs::File::open(path).map_err(at(path))?;
    file.seek(SeekFrom::Start(location.offset)).map_err(at(path))?;
    let mut manifest = Vec::new();
    zstd::Decoder::new(file.take(location.packed_size))
        .and_then(|decoder| {
            decoder.take(location.size.saturating_add(1)).read_to_end(&mut manifest)
        })
        .map_err(|_| refuse("there is no manifest where the description says"))?;
    if manifest.len() as u64 != location.size || Digest::of(&manifest) != location.hash {
        return Err(refuse("its manifest is not the one described"));
    }
    Ok(())
}

/// Whether a publisher that was killed, or an earlier release with the same notes, has brought this
/// file already.
pub(super) fn is_there(path: &Path, hash: Digest, length: u64) -> Result<bool, PublishError> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() == length => Ok(digest_of(path)?.0 == hash),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(at(path)(error)),
    }
}

/// A description as it is signed: all text in NFC. `tough` signs text in that form, and other
/// clients verify it as it is written.
pub(super) fn to_value<T: Serialize>(description: &T) -> Result<serde_json::Value, PublishError> {
    let value = serde_json::to_value(description)
        .map_err(|error| super::keys::crypto("write a description", error))?;
    Ok(normalized(value))
}

fn normalized(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(text.nfc().collect()),
        Value::Array(values) => Value::Array(values.into_iter().map(normalized).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| (key.nfc().collect(), normalized(value)))
                .collect(),
        ),
        other => other,
    }
}
