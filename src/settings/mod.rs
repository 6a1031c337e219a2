//! Settings: reads `launcher.toml`, checks it, and completes it into the values that the launcher
//! uses.
//!
//! In: TOML text, command-line overrides. Out: [`Settings`]. Never: changes what is trusted.
//! Settings come from an unsigned file, so nothing here may replace the trusted root of an
//! installation (docs/security.md, fault 10).

mod error;
pub(crate) mod incremental;
pub(crate) mod peers;
pub(crate) mod renewed;
pub(crate) mod reports;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::error::SettingsError;
pub(crate) use self::incremental::{Algorithm, Fallback, IncrementalUpdate, Performance};
pub(crate) use self::peers::Peers;
pub(crate) use self::reports::Reports;
use crate::file_error::FileResult as _;
use crate::look;
use crate::model::document_type::{DocumentSettings, DocumentType};
use crate::model::node::Node;
use crate::model::platform::AppName;
use crate::model::replaced_program::ReplacedProgram;
use crate::plain;

/// The content of `launcher.toml`. Unknown keys are errors: a misspelt setting must not be ignored
/// silently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The app's name in ids.
    pub app: AppName,
    /// The app's name for people, until a container gives it.
    #[serde(default)]
    pub display_name: String,
    /// Path of a PNG, shown until the app is installed and brings its own icon. A relative path
    /// begins at the settings' folder.
    #[serde(default)]
    pub icon: Option<PathBuf>,
    /// The channel this installation follows.
    #[serde(default = "stable")]
    pub channel: String,
    /// The channels that the user may choose from; empty if the publisher decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// The user's region, for the first choice of nodes.
    #[serde(default = "global")]
    pub region: String,
    /// The ring of this installation, for rollouts that name rings; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ring: String,
    /// Nodes that are always known, at least one; the repository's `nodes.json` may add more.
    pub nodes: Vec<Node>,
    /// The server that answers `check_update` with nodes close to the user. Optional: a static host
    /// needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<url::Url>,
    /// When and how to update.
    #[serde(default)]
    pub update: UpdateSettings,
    /// How the window looks.
    #[serde(default)]
    pub window: WindowSettings,
    /// When a new version counts as healthy.
    #[serde(default)]
    pub health: HealthSettings,
    /// Whether and how patches are used.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub incremental_update: IncrementalUpdate,
    /// Limits for applying patches.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub performance: Performance,
    /// When the full package is fetched instead.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub fallback: Fallback,
    /// Whether a running app takes over updates without a restart.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub hot_update: HotUpdateSettings,
    /// Sharing downloads with other installations on the same local network.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub peers: Peers,
    /// Reports of what became of updates.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub reports: Reports,
    /// Which shortcuts are made on the user's desktop.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub desktop: DesktopSettings,
    /// Settings of the launcher itself.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub launcher: LauncherSettings,
    /// The folder of installed versions; the user's data folder if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,
}

/// The table `[update]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateSettings {
    /// When to look for a release.
    pub check: CheckTime,
    /// Seconds between the app's start and the first check.
    pub delay_seconds: u64,
    /// Hours between two checks while the app runs: [`MIN_CHECK_HOURS`] to
    /// [`MAX_CHECK_HOURS`].
    pub check_hours: f64,
    /// Whether the server in `api` may notify the launcher that a check is worthwhile.
    pub push: bool,
    /// Seconds over which the checks of all launchers that got the same notification are spread.
    pub push_spread_seconds: u64,
    /// The background work that is allowed on a metered network.
    pub on_metered: Background,
    /// The background work that is allowed on a low battery, or while the system saves power.
    pub on_low_battery: Background,
    /// Rate limit, bytes a second; 0 for no limit.
    pub max_bytes_per_second: u64,
    /// Most nodes that a download uses.
    pub max_nodes: usize,
    /// How many installed versions are retained besides the active one.
    pub keep_versions: usize,
    /// Whether a found release is fetched without a question, and offered when everything is
    /// fetched.
    pub prefetch: bool,
    /// Seconds that a release's migration script may take.
    pub migration_seconds: u64,
    /// Seconds that a hook of a release may take.
    pub hook_seconds: u64,
}

impl UpdateSettings {
    /// Time limit of a release's migration script.
    pub fn migration_limit(&self) -> Duration {
        Duration::from_secs(self.migration_seconds)
    }

    /// Time limit of a release's hook.
    pub fn hook_limit(&self) -> Duration {
        Duration::from_secs(self.hook_seconds)
    }

    /// Time from one check to the next while the app runs.
    pub fn check_interval(&self) -> Duration {
        Duration::from_secs_f64(self.check_hours.clamp(MIN_CHECK_HOURS, MAX_CHECK_HOURS) * 3600.0)
    }
}

/// Shortest time between two checks, hours: three minutes. Thousands of launchers ask the same
/// server.
pub(crate) const MIN_CHECK_HOURS: f64 = 0.05;
/// Longest time between two checks, hours: a month.
pub(crate) const MAX_CHECK_HOURS: f64 = 744.0;
/// Longest time over which checks may be spread after a notification, seconds: an hour.
pub(crate) const MAX_PUSH_SPREAD_SECONDS: u64 = 3600;

/// The work that is allowed without a question, where power or bytes are expensive. Each value
/// includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    /// No work at all; a person may still ask for it.
    Nothing,
    /// Checks for a release: some kilobytes.
    Check,
    /// Also fetches the release, if `prefetch` allows it.
    All,
}

/// The table `[health]`: the probation of a version after a switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSettings {
    /// Seconds after which an app without health reports counts as up.
    pub survival_seconds: u64,
    /// Seconds within which an app with health reports must report `up`.
    pub up_within_seconds: u64,
    /// How often a version that does not come up is tried before the rollback.
    pub tries: u32,
    /// Whether the rollback happens without a question.
    pub automatic_rollback: bool,
    /// Whether the launcher stays, without a window, as long as the app runs. Otherwise it ends
    /// once it has nothing left to watch.
    pub stay: bool,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            survival_seconds: 10,
            up_within_seconds: 60,
            tries: 2,
            automatic_rollback: true,
            stay: true,
        }
    }
}

/// When the launcher checks for a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckTime {
    /// After the app has started; the user never waits for the network.
    AfterStart,
    /// Before the app starts; the user accepts the wait.
    BeforeStart,
    /// Only on request.
    Never,
}

/// The table `[window]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WindowSettings {
    /// `auto`, `zh-CN` or `en`.
    pub language: String,
    /// `auto`, `light` or `dark`.
    pub theme: Theme,
    /// `auto` (software), `opengl` or `software`.
    pub renderer: Renderer,
    /// How an update is announced while the app runs: `window`, `system`, `dialog` or `off`.
    pub notification: Announcement,
    /// The effect of a second start of the launcher without a verb while the app runs: `window` or
    /// `app`.
    pub second_start: SecondStart,
}

/// The table `[hot_update]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HotUpdateSettings {
    /// Whether a running app takes over what it can, so that no restart is needed. Without it every
    /// update waits for the next start.
    pub enabled: bool,
    /// Whether such an update is fetched and taken over without a question, and shown when it is
    /// done.
    pub automatic: bool,
}

impl Default for HotUpdateSettings {
    fn default() -> Self {
        // The specification's rule: "If it is a hot update, apply it by itself."
        Self { enabled: true, automatic: true }
    }
}

/// The table `[desktop]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DesktopSettings {
    /// Whether the first installation makes a menu entry. The default is no: an installer or a
    /// package that brings the launcher brings its own entry, and users do not want two.
    pub shortcut: bool,
    /// What the app is called with when the user has it started at login.
    pub login_arguments: Vec<String>,
    /// The documents that the app opens; the menu entry that the launcher makes names them. Paths of
    /// icons begin at the settings' folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentSettings>,
    /// Programs of an earlier installation of the app: the user may let this one's shortcut take the
    /// place of theirs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<ReplacedProgram>,
}

/// The table `[launcher]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LauncherSettings {
    /// Whether the launcher exchanges its own executable for a newer published one. A package
    /// manager that updates the launcher switches this off.
    pub self_update: bool,
}

impl Default for LauncherSettings {
    fn default() -> Self {
        Self { self_update: true }
    }
}

/// The colours of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// The same as the system.
    Auto,
    Light,
    Dark,
}

/// How the window is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Renderer {
    /// The launcher's choice, which is software: it looks the same everywhere, and needs less
    /// memory and no driver.
    Auto,
    /// OpenGL only.
    Opengl,
    /// Software only.
    Software,
}

/// How an update is announced while the app runs. A mandatory release always opens the whole
/// window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Announcement {
    /// A small window at the edge of the screen, which closes by itself, for small updates; the
    /// whole window for others.
    Window,
    /// A notification of the system, if the system has notifications with answers.
    System,
    /// The whole window.
    Dialog,
    /// No announcement: the user begins the update in the window of the installed versions, in the
    /// terminal or in the app.
    Off,
}

/// The effect of a second start of the launcher without a verb while the app runs. `run`, the verb
/// of shortcuts, always starts the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecondStart {
    /// The launcher beside the app shows its window.
    Window,
    /// The app is started once more.
    App,
}

impl Default for UpdateSettings {
    fn default() -> Self {
        Self {
            check: CheckTime::AfterStart,
            delay_seconds: 5,
            check_hours: 2.0,
            push: true,
            push_spread_seconds: 60,
            on_metered: Background::Check,
            on_low_battery: Background::Check,
            max_bytes_per_second: 0,
            max_nodes: 8,
            keep_versions: 2,
            prefetch: false,
            migration_seconds: 300,
            hook_seconds: 60,
        }
    }
}

impl Default for WindowSettings {
    fn default() -> Self {
        Self {
            language: "auto".to_owned(),
            theme: Theme::Auto,
            renderer: Renderer::Auto,
            notification: Announcement::Window,
            second_start: SecondStart::Window,
        }
    }
}

fn stable() -> String {
    "stable".to_owned()
}

fn global() -> String {
    "Global".to_owned()
}

impl Settings {
    /// Reads and checks `launcher.toml`.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        const READ: &str = "read the settings file";
        let bytes = look::read(path, look::SMALL).at(READ, path)?;
        let bytes = bytes.ok_or_else(|| SettingsError::Missing { path: path.to_owned() })?;
        let text = plain::of_file(bytes).map_err(std::io::Error::other).at(READ, path)?;
        let mut settings = Self::parse(&text, path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        settings.icon = settings.icon.map(|icon| folder.join(icon));
        for document in &mut settings.desktop.documents {
            document.icon = document.icon.take().map(|icon| folder.join(icon));
        }
        Ok(settings)
    }

    /// Checks settings given as text; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text).map_err(|source| SettingsError::Form {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let refuse = |setting, reason: &str| {
            Err(SettingsError::Value { path: path.to_owned(), setting, reason: reason.to_owned() })
        };
        if settings.nodes.is_empty() {
            return refuse("nodes", "at least one node is needed");
        }
        let mut ids: Vec<&str> = settings.nodes.iter().map(|node| node.id.as_str()).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse("nodes", "two nodes have the same id");
        }
        if settings.nodes.iter().any(|node| !matches!(node.url.scheme(), "http" | "https")) {
            return refuse("nodes", "a node's url must begin with http:// or https://");
        }
        if !["auto", "zh-CN", "en"].contains(&settings.window.language.as_str()) {
            return refuse("window.language", "expected auto, zh-CN or en");
        }
        if settings.update.max_nodes == 0 {
            return refuse("update.max_nodes", "at least one node must be allowed");
        }
        if !(MIN_CHECK_HOURS..=MAX_CHECK_HOURS).contains(&settings.update.check_hours) {
            return refuse(
                "update.check_hours",
                "expected a number of hours from 0.05 (three minutes) to 744 (a month)",
            );
        }
        if settings.update.push_spread_seconds > MAX_PUSH_SPREAD_SECONDS {
            return refuse("update.push_spread_seconds", "expected at most 3600 seconds");
        }
        if settings.api.as_ref().is_some_and(|api| !matches!(api.scheme(), "http" | "https")) {
            return refuse("api", "it must begin with http:// or https://");
        }
        let channels = &settings.channels;
        if !channels.is_empty() && !channels.contains(&settings.channel) {
            return refuse("channels", "the channel of this installation must be among them");
        }
        if let Some((setting, reason)) = settings.reports.fault(settings.api.as_ref()) {
            return refuse(setting, reason);
        }
        if settings.peers.connections == 0 || settings.peers.connections_per_address == 0 {
            return refuse(
                "peers.connections",
                "at least one connection is needed; enabled = false switches sharing off",
            );
        }
        if settings.health.tries == 0 {
            return refuse("health.tries", "at least one try is needed");
        }
        if let Err(error) = DocumentType::all(&settings.desktop.documents, &settings.app) {
            return refuse("desktop.documents", &error.to_string());
        }
        incremental::check(
            path,
            &settings.incremental_update,
            &settings.performance,
            &settings.fallback,
        )?;
        Ok(settings)
    }

    /// Rate limit, bytes a second; `None` for no limit.
    pub fn bandwidth_limit(&self) -> Option<u64> {
        Some(self.update.max_bytes_per_second).filter(|limit| *limit > 0)
    }

    /// Time between the app's start and the first check.
    pub fn check_delay(&self) -> Duration {
        Duration::from_secs(self.update.delay_seconds)
    }
}

#[cfg(test)]
mod tests;
