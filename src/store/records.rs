//! The small records of the store. All are JSON, replaced in one step, and small enough that a
//! start reads them in well under a millisecond (the manifest of an app has megabytes).

use serde::{Deserialize, Serialize};

use crate::model::incident::Notice;
use crate::model::{ContainerId, Digest, Launch, Manifest, RelativePath, Version};

/// `active.json`: which version the next start uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Active {
    pub container: ContainerId,
    /// The version that was active before, for a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ContainerId>,
    /// An installed version to switch to before the next start, when the app is not running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<ContainerId>,
    /// Whether that switch follows a recall: the user's files are then as that version left them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending_goes_back: bool,
    /// How many tries of that switch have failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pending_failures: u32,
    /// Set while the active version has yet to prove that it comes up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probation: Option<Probation>,
}

impl Active {
    /// The same with a switch to `id` before the next start, which takes the present files along.
    pub(crate) fn with_pending(&self, id: &ContainerId) -> Self {
        Self { pending: Some(id.clone()), pending_goes_back: false, ..self.clone() }
    }
}

/// The record of a version on probation. Probation ends when the version has ended well twice after
/// it had come up, or has run for long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Probation {
    /// When the version was switched to.
    pub since: jiff::Timestamp,
    /// How many starts have not come up; written before each start.
    pub starts: u32,
    /// How many failures in a row were seen.
    pub failures: u32,
    /// The version has come up once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub up: bool,
    /// How many of its runs came up and ended well.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub good_runs: u32,
    /// The version had proved itself already, and then a start failed: the next start that comes up
    /// proves it again.
    #[serde(rename = "relapsed", default, skip_serializing_if = "std::ops::Not::not")]
    pub was_settled: bool,
    /// The version before this one fails on this computer as well: a rollback would not help.
    #[serde(rename = "excused", default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback_is_useless: bool,
}

impl Probation {
    /// The probation of a version that was switched to at `now`.
    pub(crate) fn begin(now: jiff::Timestamp) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// The probation of a version that had proved itself long ago, and whose last start failed.
    pub(crate) fn begin_again(now: jiff::Timestamp) -> Self {
        Self { up: true, failures: 1, was_settled: true, ..Self::begin(now) }
    }
}

/// `containers/<id>/metadata/installed.json`: written last into a staged tree, so a folder that has
/// it is a whole version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstalledRecord {
    pub container: ContainerId,
    /// The app's name for people.
    pub display_name: String,
    /// The app's icon, a PNG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<RelativePath>,
    pub launch: Launch,
    /// The newest form of user data that the version knows; 0 if the publisher does not number
    /// forms.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub data_schema: u32,
    pub size: u64,
    pub installed: jiff::Timestamp,
    /// Digest of the manifest, which was covered by signed metadata when this was written.
    pub manifest: Digest,
}

impl InstalledRecord {
    /// The record of the version that `manifest` describes; `digest` is that document's digest.
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

// serde's `skip_serializing_if` requires this signature.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero<T: Copy + Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

/// A version that did not come up. If no fallback comes up either, the cause is this computer, and
/// the release is no longer recorded as failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedRelease {
    pub version: Version,
    /// The version that was started instead.
    pub fallback: ContainerId,
    /// The version had proved itself before: if the fallback fails too, it becomes active again.
    #[serde(rename = "relapsed", default, skip_serializing_if = "std::ops::Not::not")]
    pub was_settled: bool,
    /// Versions that were started in its place before `fallback`, and failed as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_failed: Vec<Version>,
}

impl FailedRelease {
    /// Whether `version` failed in this search for a version that comes up.
    pub(crate) fn names(&self, version: &Version) -> bool {
        self.version == *version || self.also_failed.contains(version)
    }
}

/// A switch that a recall asked for, and that failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefusedRecall {
    /// The recalled version.
    pub from: Version,
    /// What should have taken its place.
    pub to: Version,
}

/// `state.json`: what this installation remembers between starts. The app starts without it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HomeState {
    /// Stable random number of this installation; decides its place in rollouts.
    pub installation_id: String,
    /// Versions that the user has skipped.
    pub skipped: Vec<Version>,
    /// The language that the user selected in the window.
    pub language: Option<String>,
    /// A mandatory release that is known but not installed yet.
    pub mandatory: Option<Version>,
    /// The version that the user pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Version>,
    /// The channel that the user has chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The user has turned off sharing with peers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub peers_off: bool,
    /// The user has said what becomes of the shortcuts of an earlier installation.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub old_shortcuts_answered: bool,
    /// The user has turned off reports to the publisher.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reports_off: bool,
    /// Versions that did not come up on this computer; not offered again unless somebody asks for
    /// one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Version>,
    /// Versions that the publisher has recalled, of those that are or were installed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recalled: Vec<Version>,
    /// A switch that a recall asked for, and that no further try would bring about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_recall: Option<RefusedRecall>,
    /// A version that did not come up, while it is unknown whether its fallback does.
    #[serde(rename = "accused", skip_serializing_if = "Option::is_none")]
    pub failed_release: Option<FailedRelease>,
    /// Bytes of set-aside files that the user was last told of.
    #[serde(skip_serializing_if = "is_zero")]
    pub reported_set_aside: u64,
    /// The notices that the user has not seen yet, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "known_notices")]
    pub notices: Vec<Notice>,
}

/// Skips a notice of an unknown kind, which a newer launcher left, and reads the rest.
fn known_notices<'a, D: serde::Deserializer<'a>>(json: D) -> Result<Vec<Notice>, D::Error> {
    let notices = Vec::<serde_json::Value>::deserialize(json)?;
    Ok(notices.into_iter().filter_map(|notice| serde_json::from_value(notice).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_disk_stay() {
        let probation = Probation {
            rollback_is_useless: true,
            ..Probation::begin_again(jiff::Timestamp::UNIX_EPOCH)
        };
        let json = r#"{"since":"1970-01-01T00:00:00Z","starts":0,"failures":1,"up":true,"relapsed":true,"excused":true}"#;
        assert_eq!(serde_json::to_string(&probation).unwrap(), json);
        assert_eq!(serde_json::from_str::<Probation>(json).unwrap(), probation);
        let failed = FailedRelease {
            version: Version::new(2, 0, 0),
            fallback: "app_1.0.0_Linux_x86_64".parse().unwrap(),
            was_settled: true,
            also_failed: Vec::new(),
        };
        let state = HomeState { failed_release: Some(failed), ..HomeState::default() };
        let json = serde_json::to_value(&state).unwrap();
        assert_eq!(
            json["accused"],
            serde_json::json!({
                "version": "2.0.0", "fallback": "app_1.0.0_Linux_x86_64", "relapsed": true
            })
        );
        assert_eq!(serde_json::from_value::<HomeState>(json).unwrap(), state);
    }
}
