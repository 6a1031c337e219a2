//! What `kuzflow.toml` says.

use std::path::Path;

use jiff::{SignedDuration, Timestamp as Time};
use serde::{Deserialize, Serialize};

use super::error::PublishError;
use super::keys::KeyRole;
use crate::model::Node;
use crate::model::platform::AppName;
use crate::settings::incremental;
use crate::settings::{Fallback, IncrementalUpdate, Performance};

/// What `kuzflow.toml` says. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSettings {
    /// The app's name in ids; every package published here must bear it.
    pub app: AppName,
    /// The app's name for people.
    pub display_name: String,
    /// The channel that releases go to if none is named.
    #[serde(default = "stable")]
    pub channel: String,
    /// How long signatures last.
    #[serde(default)]
    pub lifetimes: Lifetimes,
    /// Whether and how patches are made.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub incremental_update: IncrementalUpdate,
    /// What making and applying patches may cost.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub performance: Performance,
    /// When clients should rather fetch the full package: what the server's answers assume.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub fallback: Fallback,
    /// Where the repository is served: written to `nodes.json` for clients to find new nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
}

/// How long signatures last, in days. When one has passed, clients refuse the repository until that role signs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifetimes {
    /// Of the root: how often the root keys must be fetched from their safe.
    pub root_days: u32,
    /// Of the targets: a repository without a new release for this long must be signed again.
    pub targets_days: u32,
    /// Of the snapshot; renewed by `refresh`.
    pub snapshot_days: u32,
    /// Of the timestamp; renewed by `refresh`. This is how long someone in the middle can hide a release from a client.
    pub timestamp_days: u32,
    /// Of the list of patches; renewed by `refresh`. When it has passed, clients go on without patches.
    pub patches_days: u32,
}

impl ProjectSettings {
    /// Settings for an app whose other settings are the usual ones: no node yet, the channel `stable`.
    pub fn new(app: AppName, display_name: impl Into<String>) -> Self {
        Self {
            app,
            display_name: display_name.into(),
            channel: stable(),
            lifetimes: Lifetimes::default(),
            incremental_update: IncrementalUpdate::default(),
            performance: Performance::default(),
            fallback: Fallback::default(),
            nodes: Vec::new(),
        }
    }

    /// Whether all that concerns patches has its default.
    pub(super) fn has_usual_patches(&self) -> bool {
        incremental::is_default(&self.incremental_update)
            && incremental::is_default(&self.performance)
            && incremental::is_default(&self.fallback)
    }

    pub(super) fn check(&self, path: &Path) -> Result<(), PublishError> {
        incremental::check(path, &self.incremental_update, &self.performance, &self.fallback)
            .map_err(|error| PublishError::Settings { path: path.to_owned(), source: error.into() })
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { root_days: 365, targets_days: 365, snapshot_days: 30, timestamp_days: 7, patches_days: 90 }
    }
}

impl Lifetimes {
    /// How long a signature of `role` lasts.
    pub fn of(&self, role: KeyRole) -> SignedDuration {
        let days = match role {
            KeyRole::Root => self.root_days,
            KeyRole::Targets => self.targets_days,
            KeyRole::Snapshot => self.snapshot_days,
            KeyRole::Timestamp => self.timestamp_days,
            KeyRole::Patches => self.patches_days,
        };
        SignedDuration::from_hours(24 * i64::from(days))
    }

    /// When a signature of `role` made now expires; whole seconds, as the TUF specification writes times.
    pub(super) fn expiry(&self, role: KeyRole, now: Time) -> Result<Time, PublishError> {
        let expires = now.checked_add(self.of(role)).ok().and_then(|time| Time::from_second(time.as_second()).ok());
        expires.ok_or_else(|| PublishError::Options(format!("the lifetime of the {role} role is too long")))
    }
}

fn stable() -> String {
    "stable".to_owned()
}
