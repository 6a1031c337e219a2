//! A release as signed metadata describes it: the custom part of a package's TUF target. It says
//! what may be installed, where and for whom, and where the manifest lies in the package.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::hot_swap::HotSwap;
use super::platform::ContainerId;
use super::rollout_plan::RolloutPlan;
use super::system::SystemVersions;
use super::version::Version;

/// The description of one package. The publisher writes it, and the targets role signs it. Fields
/// with their default value are left out: every client fetches every byte of metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// App, version and platform.
    pub container: ContainerId,
    /// Name for people.
    pub display_name: String,
    /// `stable`, `beta`, …; an installation follows one channel.
    pub channel: String,
    /// When it was published.
    pub published: jiff::Timestamp,
    /// Where the manifest's packed bytes lie in the package.
    pub manifest: DocumentLocation,
    /// Where the package index's packed bytes lie in the package.
    pub index: DocumentLocation,
    /// Bytes of all files when unpacked.
    pub unpacked_size: u64,
    /// How many files and links it contains.
    pub file_count: u64,
    /// Whether a known release is checked for before each start, and cannot be skipped; without a
    /// network the app starts all the same.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mandatory: bool,
    /// Share of installations that may see it, in thousandths (canonical JSON has no fractions).
    #[serde(default = "everyone", skip_serializing_if = "is_everyone")]
    pub rollout_permille: u16,
    /// Whether new installs are stopped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub halted: bool,
    /// Oldest installed version that may update directly to this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_version: Option<Version>,
    /// Oldest launcher that can install it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_launcher: Option<Version>,
    /// How it reaches more installations step by step; with a plan, the share above holds for
    /// launchers that know no plans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<RolloutPlan>,
    /// Whether an older installation passes through it before it is offered a newer one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub watershed: bool,
    /// The oldest systems that it runs on.
    #[serde(default, skip_serializing_if = "SystemVersions::is_none")]
    pub system: SystemVersions,
    /// Whether installations that have it go to another version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recalled: Option<Recall>,
    /// Which changes a running app can take over; absent if the publisher gave no patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_swap: Option<HotSwap>,
    /// The targets with the release notes in Markdown, by language tag (`zh-CN`, `en`; empty for
    /// any).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

/// A release that is bad: installations that have it go to another version, also to an older one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// The version that takes its place.
    pub to: Version,
    /// Why, by language tag (`zh-CN`, `en`; empty for any).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reason: BTreeMap<String, String>,
}

/// Where one of a package's own documents (manifest, index) lies in the package, with its size and
/// digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentLocation {
    /// Offset from the start of the package, behind the local header.
    pub offset: u64,
    /// Packed size, bytes (one zstd frame).
    pub packed_size: u64,
    /// Unpacked size, bytes.
    pub size: u64,
    /// Digest of the unpacked bytes.
    pub hash: Digest,
}

impl DocumentLocation {
    /// The bytes of the package that hold it; `None` if the end overflows 64 bits.
    pub fn span(&self) -> Option<std::ops::Range<u64>> {
        Some(self.offset..self.offset.checked_add(self.packed_size)?)
    }
}

/// Largest manifest or index that is read, bytes unpacked: enough for 200,000 files.
pub const MAX_DOCUMENT_BYTES: u64 = 96 << 20;

/// Ending of the name of a bundle, without the dot: a release with its signed metadata in one file.
pub const BUNDLE_EXTENSION: &str = "kuzflow-bundle";
/// The bundle beside a launcher that was installed together with a release.
pub(crate) const INCLUDED_BUNDLE: &str = "release.kuzflow-bundle";

impl Release {
    /// A package as it is offered if the publisher says nothing about it: on the channel `stable`,
    /// to everyone.
    pub fn without_terms(
        container: ContainerId,
        published: jiff::Timestamp,
        manifest: DocumentLocation,
        index: DocumentLocation,
    ) -> Self {
        Self {
            container,
            display_name: String::new(),
            channel: "stable".to_owned(),
            published,
            manifest,
            index,
            unpacked_size: 0,
            file_count: 0,
            mandatory: false,
            rollout_permille: everyone(),
            halted: false,
            minimum_version: None,
            minimum_launcher: None,
            plan: None,
            watershed: false,
            system: SystemVersions::default(),
            recalled: None,
            hot_swap: None,
            notes: BTreeMap::new(),
        }
    }

    /// Whether it is not halted or recalled, and directly reachable from `current` (`None`: a first install).
    pub fn open_to(&self, current: Option<&Version>) -> bool {
        let reachable = match (&self.minimum_version, current) {
            (Some(minimum), Some(current)) => current >= minimum,
            _ => true,
        };
        !self.halted && self.recalled.is_none() && reachable
    }

    /// The notes for a reader of these languages, in order of preference: exactly such a tag,
    /// otherwise the same language of another region, the notes for any language, English notes, or
    /// any notes. Returns the language tag and the target.
    pub fn notes_in(&self, wanted: &[String]) -> Option<(&str, &str)> {
        in_language(&self.notes, wanted)
    }
}

impl Recall {
    /// The reason for a reader of these languages; empty if there is none.
    pub fn reason_in(&self, wanted: &[String]) -> &str {
        in_language(&self.reason, wanted).map_or("", |(_, reason)| reason)
    }
}

/// The text for a reader of these languages, with its tag: exactly such a tag, otherwise the same
/// language of another region, the text for any language, English, or any.
fn in_language<'a>(
    texts: &'a BTreeMap<String, String>,
    wanted: &[String],
) -> Option<(&'a str, &'a str)> {
    let primary = |tag: &str| tag.split(['-', '_']).next().unwrap_or(tag).to_ascii_lowercase();
    let find = |matches: &dyn Fn(&str) -> bool| texts.iter().find(|(tag, _)| matches(tag));
    let same = |wanted: &String| find(&|tag| tag.eq_ignore_ascii_case(wanted));
    let similar = |wanted: &String| find(&|tag| !tag.is_empty() && primary(tag) == primary(wanted));
    let by_language = wanted.iter().find_map(|wanted| same(wanted).or_else(|| similar(wanted)));
    let found =
        by_language.or_else(|| find(&str::is_empty)).or_else(|| find(&|tag| primary(tag) == "en"));
    found.or_else(|| texts.iter().next()).map(|(tag, text)| (tag.as_str(), text.as_str()))
}

/// All installations, in thousandths.
const EVERYONE: u16 = 1000;

fn everyone() -> u16 {
    EVERYONE
}

// The forms that serde's `skip_serializing_if` calls.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_everyone(share: &u16) -> bool {
    *share == EVERYONE
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A release with the signed length and digest of its package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedRelease {
    /// Name of the TUF target: `{container id}.kuzflow`.
    pub target: String,
    /// Bytes of the package.
    pub length: u64,
    /// Digest of the package.
    pub hash: Digest,
    /// The signed description.
    pub release: Release,
}

impl SignedRelease {
    /// Where nodes serve the package, relative to their base address.
    pub fn location(&self) -> String {
        format!("targets/{}.{}", self.hash, self.target)
    }
}

#[cfg(test)]
impl Release {
    /// A release for tests: this version of `sample` for Linux, with documents that nobody reads.
    pub(crate) fn sample(version: &str) -> Self {
        let location =
            DocumentLocation { offset: 0, packed_size: 1, size: 1, hash: Digest::of(b"") };
        let container = format!("sample_{version}_Linux_x86_64").parse().unwrap();
        Self {
            display_name: "Sample".to_owned(),
            ..Self::without_terms(
                container,
                jiff::Timestamp::UNIX_EPOCH,
                location.clone(),
                location,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_given_in_the_nearest_language() {
        let notes = |tags: &[&str], language: &str| {
            let mut release = Release::sample("1.0.0");
            release.notes =
                tags.iter().map(|tag| ((*tag).to_owned(), format!("notes.{tag}"))).collect();
            release.notes_in(&[language.to_owned()]).map(|(_, target)| target.to_owned())
        };
        assert_eq!(notes(&["en", "zh-CN", "zh-TW"], "zh-tw").as_deref(), Some("notes.zh-TW"));
        assert_eq!(notes(&["en", "zh-CN"], "zh-Hans-SG").as_deref(), Some("notes.zh-CN"));
        assert_eq!(notes(&["", "en"], "fr").as_deref(), Some("notes."));
        assert_eq!(notes(&["de", "en-GB"], "fr").as_deref(), Some("notes.en-GB"));
        assert_eq!(notes(&["de"], "").as_deref(), Some("notes.de"));
        assert_eq!(notes(&[], "en"), None);
    }

    #[test]
    fn notes_fall_back_from_tag_to_language_to_anything() {
        let best = |tags: &[&str], wanted: &[&str]| {
            let mut release = Release::sample("1.0.0");
            release.notes =
                tags.iter().map(|tag| ((*tag).to_owned(), format!("notes.{tag}.md"))).collect();
            let wanted: Vec<String> = wanted.iter().map(|tag| (*tag).to_owned()).collect();
            release.notes_in(&wanted).map(|(tag, _)| tag.to_owned())
        };
        assert_eq!(best(&["en", "zh-CN"], &["zh-cn"]).as_deref(), Some("zh-CN"));
        assert_eq!(best(&["en", "zh-CN"], &["zh-TW"]).as_deref(), Some("zh-CN"));
        assert_eq!(best(&["en", "zh-CN"], &["de", "zh"]).as_deref(), Some("zh-CN"));
        assert_eq!(best(&["", "en"], &["de"]).as_deref(), Some(""));
        assert_eq!(best(&["en-GB", "fr"], &["de"]).as_deref(), Some("en-GB"));
        assert_eq!(best(&["fr"], &[]).as_deref(), Some("fr"));
        assert_eq!(best(&[], &["en"]), None);
    }
}
