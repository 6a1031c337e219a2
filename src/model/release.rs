//! A release as signed metadata describes it: the custom part of a package's TUF target. It says
//! what may be installed, where and for whom, and where the manifest lies in the package.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::hot_swap::HotSwap;
use super::platform::{ContainerId, Platform};
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
    /// Which changes a running app can take over; absent if the publisher gave no patterns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hot_swap: Option<HotSwap>,
    /// The targets with the release notes in Markdown, by language tag (`zh-CN`, `en`; empty for
    /// any).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
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
            hot_swap: None,
            notes: BTreeMap::new(),
        }
    }

    /// Whether it is not halted, and directly reachable from `current` (`None`: a first install).
    pub fn open_to(&self, current: Option<&Version>) -> bool {
        let reachable = match (&self.minimum_version, current) {
            (Some(minimum), Some(current)) => current >= minimum,
            _ => true,
        };
        !self.halted && reachable
    }

    /// The notes for a reader of these languages, in order of preference: exactly such a tag,
    /// otherwise the same language of another region, the notes for any language, English notes, or
    /// any notes. Returns the language tag and the target.
    pub fn notes_in(&self, wanted: &[String]) -> Option<(&str, &str)> {
        let primary = |tag: &str| tag.split(['-', '_']).next().unwrap_or(tag).to_ascii_lowercase();
        let find = |matches: &dyn Fn(&str) -> bool| self.notes.iter().find(|(tag, _)| matches(tag));
        let same = |wanted: &String| find(&|tag| tag.eq_ignore_ascii_case(wanted));
        let similar =
            |wanted: &String| find(&|tag| !tag.is_empty() && primary(tag) == primary(wanted));
        let by_language = wanted.iter().find_map(|wanted| same(wanted).or_else(|| similar(wanted)));
        let found = by_language
            .or_else(|| find(&str::is_empty))
            .or_else(|| find(&|tag| primary(tag) == "en"));
        found
            .or_else(|| self.notes.iter().next())
            .map(|(tag, target)| (tag.as_str(), target.as_str()))
    }
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

/// The facts of an installation that decide which release it gets.
#[derive(Clone, Debug)]
pub struct Audience<'a> {
    /// The app's name.
    pub app: &'a str,
    /// The platform of the installation.
    pub platform: &'a Platform,
    /// The channel that it follows.
    pub channel: &'a str,
    /// The active version; `None` before the first install.
    pub current: Option<&'a Version>,
    /// A stable random text of this installation.
    pub installation_id: &'a str,
    /// Versions that the user skipped, or that failed on this computer.
    pub skipped: &'a [Version],
}

/// The result of choosing a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    Offer(&'a SignedRelease),
    /// The newest release is installed.
    UpToDate,
    /// A newer release exists, but the user skipped it or it failed on this computer.
    Skipped(&'a SignedRelease),
    /// A newer release exists, but its rollout has not reached this installation, or was halted.
    NotYet(&'a SignedRelease),
    /// The repository has no release for this app, platform and channel.
    Nothing,
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

/// The versions that are not offered to a user who skipped `skipped`: those, and every version
/// older than the newest of them that is still available. A mandatory release is offered all the
/// same.
pub fn put_aside(releases: &[SignedRelease], skipped: &[Version]) -> Vec<Version> {
    let version = |signed: &SignedRelease| signed.release.container.version.clone();
    let is_skipped = |signed: &&SignedRelease| skipped.contains(&signed.release.container.version);
    let newest = releases
        .iter()
        .filter(is_skipped)
        .filter(|signed| !signed.release.halted)
        .map(version)
        .max();
    let aside = |signed: &&SignedRelease| {
        is_skipped(signed) || newest.as_ref() > Some(&signed.release.container.version)
    };
    releases.iter().filter(|signed| !signed.release.mandatory).filter(aside).map(version).collect()
}

impl Audience<'_> {
    /// The release to offer among `releases`, never an older one than the active version; the same
    /// question always gets the same answer.
    pub fn choose<'a>(&self, releases: &'a [SignedRelease]) -> Choice<'a> {
        let mut mine: Vec<&SignedRelease> =
            releases.iter().filter(|signed| self.concerns(&signed.release)).collect();
        mine.sort_by(|a, b| b.release.container.version.cmp(&a.release.container.version));
        let newer = |signed: &&&SignedRelease| {
            self.current.is_none_or(|current| signed.release.container.version > *current)
        };
        if mine.is_empty() {
            return Choice::Nothing;
        }
        let candidates: Vec<&SignedRelease> = mine.iter().filter(newer).copied().collect();
        let open = |signed: &&&SignedRelease| self.admitted(&signed.release);
        let wanted =
            |signed: &&&SignedRelease| !self.skipped.contains(&signed.release.container.version);
        if let Some(offer) = candidates.iter().filter(open).find(wanted) {
            Choice::Offer(offer)
        } else if let Some(skipped) = candidates.iter().find(open) {
            Choice::Skipped(skipped)
        } else if let Some(closed) = candidates.first() {
            Choice::NotYet(closed)
        } else {
            Choice::UpToDate
        }
    }

    /// Whether app, platform and channel match.
    fn concerns(&self, release: &Release) -> bool {
        release.container.app.as_str() == self.app
            && release.container.platform == *self.platform
            && release.channel == self.channel
    }

    /// Whether it is inside the rollout, not halted, and reachable from the active version. A first
    /// install follows the rollout as well: the same buckets decide for all installations.
    fn admitted(&self, release: &Release) -> bool {
        release.open_to(self.current) && self.bucket(&release.container) < release.rollout_permille
    }

    /// A number below 1000, fixed for this installation and release: a growing share only ever adds
    /// installations.
    fn bucket(&self, container: &ContainerId) -> u16 {
        let digest = Digest::of(format!("{}\n{container}", self.installation_id).as_bytes());
        let bytes: [u8; 8] = std::array::from_fn(|k| digest.as_bytes()[k]);
        u16::try_from(u64::from_be_bytes(bytes) % 1000).unwrap_or(0)
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

    fn release(version: &str, permille: u16) -> SignedRelease {
        let container: ContainerId = format!("sample_{version}_Linux_x86_64").parse().unwrap();
        SignedRelease {
            target: format!("{container}.kuzflow"),
            length: 1,
            hash: Digest::of(b""),
            release: Release { container, rollout_permille: permille, ..Release::sample(version) },
        }
    }

    fn choose<'a>(
        releases: &'a [SignedRelease],
        current: Option<&str>,
        skipped: &[Version],
        id: &str,
    ) -> Choice<'a> {
        let platform = "Linux_x86_64".parse().unwrap();
        let current = current.map(|text| text.parse().unwrap());
        Audience {
            app: "sample",
            platform: &platform,
            channel: "stable",
            current: current.as_ref(),
            installation_id: id,
            skipped,
        }
        .choose(releases)
    }

    #[test]
    fn the_newest_newer_release_is_offered() {
        let releases = [release("1.0.0", 1000), release("1.10.0", 1000), release("1.9.0", 1000)];
        assert_eq!(choose(&releases, Some("1.0.0"), &[], "i"), Choice::Offer(&releases[1]));
        assert_eq!(choose(&releases, None, &[], "i"), Choice::Offer(&releases[1]));
        assert_eq!(choose(&releases, Some("1.10.0"), &[], "i"), Choice::UpToDate);
        assert_eq!(choose(&releases, Some("2.0.0"), &[], "i"), Choice::UpToDate);
        assert_eq!(
            choose(&releases, Some("1.9.0"), &[Version::new(1, 10, 0)], "i"),
            Choice::Skipped(&releases[1])
        );
    }

    #[test]
    fn who_skips_a_version_is_not_offered_an_older_one_instead() {
        let mut releases = [release("1.1.0", 1000), release("1.2.0", 1000), release("1.3.0", 1000)];
        let skipped = [Version::new(1, 2, 0)];
        assert_eq!(put_aside(&releases, &[]), []);
        assert_eq!(put_aside(&releases, &skipped), [Version::new(1, 1, 0), Version::new(1, 2, 0)]);
        let aside = put_aside(&releases, &skipped);
        assert_eq!(
            choose(&releases, Some("1.0.0"), &aside, "i"),
            Choice::Offer(&releases[2]),
            "the newer one is"
        );
        // The skipped release is withdrawn: the older one takes its place.
        releases[1].release.halted = true;
        assert_eq!(put_aside(&releases, &skipped), [Version::new(1, 2, 0)]);
        releases[1].release.halted = false;
        releases[0].release.mandatory = true;
        assert_eq!(put_aside(&releases, &skipped), [Version::new(1, 2, 0)]);
        assert_eq!(put_aside(&releases, &[Version::new(9, 9, 9)]), []);
    }

    #[test]
    fn another_product_platform_or_channel_is_nothing() {
        let mut beta = release("2.0.0", 1000);
        beta.release.channel = "beta".to_owned();
        let mut windows = release("2.0.0", 1000);
        windows.release.container.platform = "Windows_AMD64".parse().unwrap();
        let mut other = release("2.0.0", 1000);
        other.release.container.app = "other".parse().unwrap();
        assert_eq!(choose(&[beta, windows, other], Some("1.0.0"), &[], "i"), Choice::Nothing);
    }

    #[test]
    fn a_rollout_is_stable_and_only_grows() {
        let admitted = |permille: u16, id: &str| {
            matches!(
                choose(&[release("2.0.0", permille)], Some("1.0.0"), &[], id),
                Choice::Offer(_)
            )
        };
        let ids: Vec<String> = (0..2000).map(|n| format!("installation-{n}")).collect();
        let share = ids.iter().filter(|id| admitted(250, id)).count();
        assert!((400..600).contains(&share), "{share} of 2000 in a rollout of a quarter");
        assert!(ids.iter().all(|id| !admitted(250, id) || admitted(500, id)));
        assert!(ids.iter().all(|id| !admitted(0, id) && admitted(1000, id)));
        let mut halted = release("2.0.0", 1000);
        halted.release.halted = true;
        assert!(matches!(choose(&[halted], Some("1.0.0"), &[], "i"), Choice::NotYet(_)));
    }

    #[test]
    fn notes_are_given_in_the_nearest_language() {
        let notes = |tags: &[&str], language: &str| {
            let mut release = release("1.0.0", 1000).release;
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
    fn a_minimum_version_closes_the_direct_path() {
        let mut far = release("3.0.0", 1000);
        far.release.minimum_version = Some(Version::new(2, 0, 0));
        let releases = [far, release("2.0.0", 1000)];
        assert_eq!(choose(&releases, Some("1.0.0"), &[], "i"), Choice::Offer(&releases[1]));
        assert_eq!(choose(&releases, Some("2.0.0"), &[], "i"), Choice::Offer(&releases[0]));
    }

    #[test]
    fn notes_fall_back_from_tag_to_language_to_anything() {
        let best = |tags: &[&str], wanted: &[&str]| {
            let mut signed = release("1.0.0", 1000);
            signed.release.notes =
                tags.iter().map(|tag| ((*tag).to_owned(), format!("notes.{tag}.md"))).collect();
            let wanted: Vec<String> = wanted.iter().map(|tag| (*tag).to_owned()).collect();
            signed.release.notes_in(&wanted).map(|(tag, _)| tag.to_owned())
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
