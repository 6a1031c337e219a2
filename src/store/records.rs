//! The small records of the store. All are JSON, replaced in one step, and small enough that a
//! start reads them in well under a millisecond (the manifest of an app has megabytes).

use serde::{Deserialize, Serialize};

use crate::model::incident::Notice;
use crate::model::{ContainerId, Digest, Launch, Manifest, RelativePath, Version};

/// `active.json`: which version the next start uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Active {
    /// The active version.
    pub container: ContainerId,
    /// The version that was active before, to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ContainerId>,
    /// An installed version to switch to before the next start, when the app is not running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<ContainerId>,
    /// How often that switch was tried and failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pending_failures: u32,
    /// Set while the active version has not proved yet that it comes up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probation: Option<Probation>,
}

/// How a version that was switched to has fared so far. It ends when the version has ended well
/// twice after it had come up, or has run for long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probation {
    /// When it was switched to.
    pub since: jiff::Timestamp,
    /// How often it was started without having come up; written before each start.
    pub starts: u32,
    /// How often in a row it was seen to fail.
    pub failures: u32,
    /// It has come up once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub up: bool,
    /// How many of its runs came up and ended well.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub good_runs: u32,
    /// It had proved itself already, and then a start failed: the next start that comes up proves
    /// it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relapsed: bool,
    /// The version before it fails here as well: going back helps nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excused: bool,
}

impl Probation {
    /// The beginning of one.
    pub(crate) fn begin(now: jiff::Timestamp) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// That of a version that had proved itself long ago, and has failed at its last start.
    pub(crate) fn relapse(now: jiff::Timestamp) -> Self {
        Self { up: true, failures: 1, relapsed: true, ..Self::begin(now) }
    }
}

/// `containers/<id>/metadata/installed.json`: written last into a staged tree, so a folder that has
/// it is a whole version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstalledRecord {
    /// Which version.
    pub container: ContainerId,
    /// Name of the app for people.
    pub display_name: String,
    /// The app's icon, a PNG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<RelativePath>,
    /// How it starts.
    pub launch: Launch,
    /// The form of user data that it knows; higher is newer, 0 if the publisher does not count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub data_schema: u32,
    /// Bytes of all files.
    pub size: u64,
    /// When it was installed.
    pub installed: jiff::Timestamp,
    /// Digest of the manifest, which was covered by signed metadata when this was written.
    pub manifest: Digest,
}

impl InstalledRecord {
    /// The record of the version that `manifest`, a document with this digest, describes.
    pub(crate) fn of(manifest: &Manifest, digest: Digest, installed: jiff::Timestamp) -> Self {
        let application = &manifest.application_info;
        Self {
            container: manifest.id(),
            display_name: application.display_name.clone(),
            icon: application.icon.clone(),
            launch: application.launch.clone(),
            data_schema: application.data_schema,
            size: manifest.unpacked_size(),
            installed,
            manifest: digest,
        }
    }
}

// The form that serde's `skip_serializing_if` calls.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(schema: &u32) -> bool {
    *schema == 0
}

/// A version that did not come up. If the one that took its place fails as well, it is this
/// computer that keeps both from starting, and the release is not charged with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accused {
    /// Which version.
    pub version: Version,
    /// What was started in its place.
    pub fallback: ContainerId,
    /// It had proved itself before: where the fallback fails too, it becomes active again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relapsed: bool,
}

/// `state.json`: what this installation remembers between starts. Nothing here is needed to start
/// the app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HomeState {
    /// Stable random number of this installation; decides its place in rollouts.
    pub installation_id: String,
    /// Versions that the user does not want to be shown.
    pub skipped: Vec<Version>,
    /// Language chosen in the window.
    pub language: Option<String>,
    /// A mandatory release that is known and not installed yet.
    pub mandatory: Option<Version>,
    /// The version the user wants to stay at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Version>,
    /// The user does not want to share releases with other computers of the local network.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub peers_off: bool,
    /// Versions that did not come up here; not offered again unless somebody asks for one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Version>,
    /// A version that did not come up, while it is not known whether the one that took its place
    /// does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accused: Option<Accused>,
    /// What the user has not been told yet, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "known_notices")]
    pub notices: Vec<Notice>,
}

/// A notice that a newer launcher left is no reason to forget the rest.
fn known_notices<'a, D: serde::Deserializer<'a>>(json: D) -> Result<Vec<Notice>, D::Error> {
    let notices = Vec::<serde_json::Value>::deserialize(json)?;
    Ok(notices.into_iter().filter_map(|notice| serde_json::from_value(notice).ok()).collect())
}
