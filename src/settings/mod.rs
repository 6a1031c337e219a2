//! Settings: `launcher.toml` as written, checked and completed into what the launcher uses.
//!
//! In: TOML text, command-line overrides. Out: [`Settings`]. Never: trust. Settings come from an
//! unsigned file, so nothing here may replace the trusted root of an installation
//! (docs/security.md, fault 10).

pub(crate) mod incremental;
pub(crate) mod peers;
pub(crate) mod renewed;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::incremental::{Algorithm, Fallback, IncrementalUpdate, Performance};
pub(crate) use self::peers::Peers;
use crate::look;
use crate::model::node::Node;
use crate::model::platform::AppName;

/// What `launcher.toml` says. Unknown keys are errors: a misspelt setting must not be silently
/// ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The app's name in ids.
    pub app: AppName,
    /// The app's name for people, until a container says it.
    #[serde(default)]
    pub display_name: String,
    /// A PNG, shown until the app is installed and brings its own; a relative path begins at the
    /// settings' folder.
    #[serde(default)]
    pub icon: Option<PathBuf>,
    /// The channel this installation follows.
    #[serde(default = "stable")]
    pub channel: String,
    /// Where the user is, for the first choice of nodes.
    #[serde(default = "global")]
    pub region: String,
    /// Nodes that are always known. At least one; more may come from the repository's `nodes.json`.
    pub nodes: Vec<Node>,
    /// The server that answers `check_update` with nodes near the user; optional, a static host
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
    /// What applying patches may cost.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub performance: Performance,
    /// When the full package is fetched instead.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub fallback: Fallback,
    /// Whether a running app takes updates over without a restart.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub hot_update: HotUpdateSettings,
    /// Sharing with other installations on the same local network.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub peers: Peers,
    /// What is made on the user's desktop.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub desktop: DesktopSettings,
    /// The launcher itself.
    #[serde(default, skip_serializing_if = "incremental::is_default")]
    pub launcher: LauncherSettings,
    /// Where versions are installed; the user's data folder if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,
}

/// `[update]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateSettings {
    /// When to look for a release.
    pub check: CheckTime,
    /// Seconds to wait after the app's start before looking.
    pub delay_seconds: u64,
    /// Hours between two looks while the app runs: [`SHORTEST_CHECK_HOURS`] to
    /// [`LONGEST_CHECK_HOURS`].
    pub check_hours: f64,
    /// Whether the server named by `api` may say that it is worth looking.
    pub push: bool,
    /// Seconds over which launchers that are told so at the same time are spread.
    pub push_spread_seconds: u64,
    /// What is done in the background on a network that is paid for by the byte.
    pub on_metered: Background,
    /// What is done in the background on a battery that is low, or when the system saves power.
    pub on_low_battery: Background,
    /// Bytes a second at most; 0 for no limit.
    pub max_bytes_per_second: u64,
    /// How many nodes to use at most.
    pub max_nodes: usize,
    /// Installed versions to keep besides the active one.
    pub keep_versions: usize,
    /// Fetch a release that was found by itself, and offer it when nothing is left to fetch.
    pub prefetch: bool,
    /// Seconds that a release's own migration of user data may take.
    pub migration_seconds: u64,
}

impl UpdateSettings {
    /// How long a release's own migration of user data may take.
    pub fn migration_limit(&self) -> Duration {
        Duration::from_secs(self.migration_seconds)
    }

    /// How long after a look the next one is taken while the app runs.
    pub fn check_interval(&self) -> Duration {
        Duration::from_secs_f64(
            self.check_hours.clamp(SHORTEST_CHECK_HOURS, LONGEST_CHECK_HOURS) * 3600.0,
        )
    }
}

/// Hours between two looks at least: three minutes. Thousands of launchers ask the same server.
pub(crate) const SHORTEST_CHECK_HOURS: f64 = 0.05;
/// Hours between two looks at most: a month.
pub(crate) const LONGEST_CHECK_HOURS: f64 = 744.0;
/// Seconds over which a hint may be spread at most: an hour.
pub(crate) const LONGEST_PUSH_SPREAD_SECONDS: u64 = 3600;

/// What may be done without anybody having asked, where power or bytes are dear. Each includes
/// those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    /// Nothing at all; a person may ask.
    Nothing,
    /// Look for a release: some kilobytes.
    Check,
    /// Fetch it as well, if `prefetch` says so.
    All,
}

/// `[health]`: the probation of a version that was just switched to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthSettings {
    /// An app that says nothing is up once it has run for so many seconds.
    pub survival_seconds: u64,
    /// An app that says when it is up must do so within so many seconds.
    pub up_within_seconds: u64,
    /// How often a version that does not come up is tried before it is rolled back.
    pub tries: u32,
    /// Whether it is rolled back without anybody being asked.
    pub automatic_rollback: bool,
    /// Whether the launcher stays, without a window, as long as the app runs; else it ends once
    /// there is nothing left to watch.
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

/// When to look for a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckTime {
    /// After the app has started (the user never waits for the network).
    AfterStart,
    /// Before the app starts; the user chose to wait.
    BeforeStart,
    /// Only when asked.
    Never,
}

/// `[window]`.
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
    /// What a second start of the launcher without a verb does while the app runs: `window` or
    /// `app`.
    pub second_start: SecondStart,
}

/// `[hot_update]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HotUpdateSettings {
    /// Whether a running app takes over what it can, so that no restart is needed. Without it every
    /// update waits for the next start.
    pub enabled: bool,
    /// Whether such an update is fetched and taken over without a question, and told when it is
    /// done.
    pub automatic: bool,
}

impl Default for HotUpdateSettings {
    fn default() -> Self {
        // As the specification has it: "If it is a hot update, apply it by itself."
        Self { enabled: true, automatic: true }
    }
}

/// `[desktop]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DesktopSettings {
    /// Whether the first installation makes a menu entry. Not by itself: an installer or a package
    /// that brings the launcher brings its own entry, and nobody wants to find two.
    pub shortcut: bool,
}

/// `[launcher]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LauncherSettings {
    /// Whether the launcher exchanges its own executable for a newer one that is published. A
    /// package manager that looks after it switches this off.
    pub self_update: bool,
}

impl Default for LauncherSettings {
    fn default() -> Self {
        Self { self_update: true }
    }
}

/// Light or dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// As the system.
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// How the window is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Renderer {
    /// What the launcher finds best: software, which looks the same, needs less memory and no
    /// driver.
    Auto,
    /// OpenGL only.
    Opengl,
    /// Software only.
    Software,
}

/// How an update is announced while the app runs. A mandatory release always comes with the whole
/// window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Announcement {
    /// Small updates by a small window at the edge of the screen that goes by itself, others by the
    /// whole one.
    Window,
    /// By the notification of the system, where it has some that can be answered.
    System,
    /// By the whole window.
    Dialog,
    /// Not at all: the window of the installed versions, the terminal or the app itself begins it.
    Off,
}

/// What a second start of the launcher without a verb does while the app runs. `run`, which
/// shortcuts use, always starts the app.
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

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings file {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no such file.
    #[error("there is no settings file {}; it belongs beside the launcher, or is named with --config", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// Not TOML, or a key is misspelt or has the wrong kind of value.
    #[error("{}: not valid settings", path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{}: {setting}: {reason}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which setting.
        setting: &'static str,
        /// What it should be.
        reason: String,
    },
}

impl Settings {
    /// Reads and checks `launcher.toml`.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let failed = |source| SettingsError::Read { path: path.to_owned(), source };
        let bytes = look::read(path, look::SMALL).map_err(failed)?;
        let bytes = bytes.ok_or_else(|| SettingsError::Missing { path: path.to_owned() })?;
        let text =
            String::from_utf8(bytes).map_err(|error| failed(std::io::Error::other(error)))?;
        let mut settings = Self::parse(&text, path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        settings.icon = settings.icon.map(|icon| folder.join(icon));
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
        if !(SHORTEST_CHECK_HOURS..=LONGEST_CHECK_HOURS).contains(&settings.update.check_hours) {
            return refuse(
                "update.check_hours",
                "expected a number of hours from 0.05 (three minutes) to 744 (a month)",
            );
        }
        if settings.update.push_spread_seconds > LONGEST_PUSH_SPREAD_SECONDS {
            return refuse("update.push_spread_seconds", "expected at most 3600 seconds");
        }
        if settings.api.as_ref().is_some_and(|api| !matches!(api.scheme(), "http" | "https")) {
            return refuse("api", "it must begin with http:// or https://");
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
        incremental::check(
            path,
            &settings.incremental_update,
            &settings.performance,
            &settings.fallback,
        )?;
        Ok(settings)
    }

    /// The bandwidth cap; `None` for no limit.
    pub fn bandwidth_limit(&self) -> Option<u64> {
        Some(self.update.max_bytes_per_second).filter(|limit| *limit > 0)
    }

    /// How long to wait after the app's start before looking for a release.
    pub fn check_delay(&self) -> Duration {
        Duration::from_secs(self.update.delay_seconds)
    }
}

#[cfg(test)]
mod tests;
