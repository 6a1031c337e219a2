//! The content of `kuzflow.toml`.

use std::fmt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp as Time};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize};

use super::bundling::{BuildRequest, InvalidRuntime, Runtime};
use super::error::PublishError;
use super::recipe::Recipe;
use super::role::KeyRole;
use super::runtimes::Runtimes;
use super::server_settings::ServerSettings;
use super::signing::SigningCommands;
use crate::model::Node;
use crate::model::document_type::DocumentType;
use crate::model::node::redacted;
use crate::model::platform::AppName;
use crate::model::system::SystemVersions;
use crate::settings::incremental::{self, PUBLISHER_EXAMPLE};
use crate::settings::{Fallback, IncrementalUpdate, Performance};

/// The text above and below the settings that `init` writes.
const HEAD: &str = "\
# What is published from this folder. Relative paths are from here. Lifetimes are in days; `kuzflow refresh` renews the
# snapshot, the timestamp and the list of patches.

";
const NODES: &str = r#"
# Where the repository is served. Clients learn of new nodes from here.
#[[nodes]]
#id = "asia-1"
#name = "Shanghai"
#region = "Asia-Pacific" # or Europe, Americas, Global
#url = "https://updates.example.com/sample/"
"#;

/// The content of `kuzflow.toml`. Unknown keys are errors.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct ProjectSettings {
    /// The app's name in ids; every package that is published here must have it.
    pub app: AppName,
    /// The app's name for people.
    pub display_name: String,
    /// The sources of its releases.
    pub recipe: Recipe,
    /// The runtimes of platforms, as archives with digests.
    pub runtimes: Runtimes,
    /// The channel of a release for which the publisher names none.
    pub channel: String,
    /// The oldest systems that new releases run on.
    pub system: SystemVersions,
    /// How long signatures last.
    pub lifetimes: Lifetimes,
    /// Whether and how patches are made.
    pub incremental_update: IncrementalUpdate,
    /// The limits on making and applying patches.
    pub performance: Performance,
    /// When clients should rather fetch the full package; the server's answers assume this.
    pub fallback: Fallback,
    /// Settings of `launcher.toml` that launchers take over from signed metadata, see
    /// [`crate::settings::renewed`].
    pub client: toml::Table,
    /// The addresses that serve the repository; `nodes.json` has them, so that clients find new
    /// nodes.
    pub nodes: Vec<Node>,
    /// The commands with which programs and installers are signed.
    pub sign: SigningCommands,
    /// What a server of this folder does beside serving it.
    pub server: ServerSettings,
}

/// The file as it is written. Before there was `[app]`, the names stood at the top: `app =
/// "sample"`, `display_name`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    app: WrittenApp,
    display_name: Option<String>,
    #[serde(default)]
    runtimes: Runtimes,
    #[serde(default = "stable")]
    channel: String,
    #[serde(default)]
    system: SystemVersions,
    #[serde(default)]
    lifetimes: Lifetimes,
    #[serde(default)]
    incremental_update: IncrementalUpdate,
    #[serde(default)]
    performance: Performance,
    #[serde(default)]
    fallback: Fallback,
    #[serde(default)]
    client: toml::Table,
    #[serde(default)]
    nodes: Vec<Node>,
    #[serde(default)]
    sign: SigningCommands,
    #[serde(default)]
    server: ServerSettings,
}

/// `app = "sample"`, or the table.
enum WrittenApp {
    Name(AppName),
    Table(Box<AppTable>),
}

/// `[app]`. Serde cannot refuse unknown keys of a table in two parts, so the remaining keys are
/// parsed as the recipe, which refuses them.
#[derive(Deserialize)]
struct AppTable {
    name: AppName,
    display_name: Option<String>,
    #[serde(flatten)]
    rest: toml::Table,
}

impl<'de> Deserialize<'de> for WrittenApp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = WrittenApp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the app's name, or the table [app]")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<WrittenApp, E> {
                text.parse().map(WrittenApp::Name).map_err(E::custom)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                map: A,
            ) -> Result<WrittenApp, A::Error> {
                AppTable::deserialize(MapAccessDeserializer::new(map))
                    .map(|table| WrittenApp::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl TryFrom<Written> for ProjectSettings {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let (app, display_name, recipe) = match written.app {
            WrittenApp::Name(app) => (app, written.display_name, Recipe::default()),
            WrittenApp::Table(_) if written.display_name.is_some() => {
                return Err(
                    "display_name stands in [app] as well as at the top; leave it in [app]"
                        .to_owned(),
                );
            }
            WrittenApp::Table(table) => {
                let recipe = Recipe::deserialize(table.rest)
                    .map_err(|error| format!("in [app]: {error}"))?;
                (table.name, table.display_name, recipe)
            }
        };
        // Two places for one thing would have to agree.
        if let Some(platform) =
            written.runtimes.platforms().find(|platform| recipe.names_runtime_of(platform))
        {
            return Err(format!(
                "the runtime of {platform} stands in [runtimes] as well as in runtime of [app]; leave it in one of them"
            ));
        }
        Ok(Self {
            display_name: display_name.unwrap_or_else(|| app.to_string()),
            app,
            recipe,
            runtimes: written.runtimes,
            channel: written.channel,
            system: written.system,
            lifetimes: written.lifetimes,
            incremental_update: written.incremental_update,
            performance: written.performance,
            fallback: written.fallback,
            client: written.client,
            nodes: written.nodes,
            sign: written.sign,
            server: written.server,
        })
    }
}

/// The tables behind `[app]`.
#[derive(Serialize)]
struct Rest {
    #[serde(skip_serializing_if = "Runtimes::is_empty")]
    runtimes: Runtimes,
    #[serde(skip_serializing_if = "SystemVersions::is_none")]
    system: SystemVersions,
    lifetimes: Lifetimes,
    #[serde(skip_serializing_if = "incremental::is_default")]
    incremental_update: IncrementalUpdate,
    #[serde(skip_serializing_if = "incremental::is_default")]
    performance: Performance,
    #[serde(skip_serializing_if = "incremental::is_default")]
    fallback: Fallback,
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    client: toml::Table,
    #[serde(skip_serializing_if = "SigningCommands::is_empty")]
    sign: SigningCommands,
    #[serde(skip_serializing_if = "ServerSettings::is_default")]
    server: ServerSettings,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<Node>,
}

/// How long signatures last, in days. When one has expired, clients refuse the repository until
/// that role signs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifetimes {
    /// The root's signature: how often someone must fetch the root keys from their safe.
    pub root_days: u32,
    /// The targets' signature: a repository without a new release for this long must be signed
    /// again.
    pub targets_days: u32,
    /// The snapshot's signature; `refresh` renews it.
    pub snapshot_days: u32,
    /// The timestamp's signature; `refresh` renews it. This is how long an attacker between client
    /// and server can hide a release from a client.
    pub timestamp_days: u32,
    /// The signatures of the lists of patches, and of the words of rollouts; `refresh` renews them.
    /// When one has expired, clients go on without patches, and rollouts stay where the targets role
    /// left them.
    pub patches_days: u32,
}

impl ProjectSettings {
    /// Settings for an app with default values for all else: no node yet, the channel `stable`.
    pub fn new(app: AppName, display_name: impl Into<String>) -> Self {
        Self {
            app,
            display_name: display_name.into(),
            recipe: Recipe::default(),
            runtimes: Runtimes::default(),
            channel: stable(),
            system: SystemVersions::default(),
            lifetimes: Lifetimes::default(),
            incremental_update: IncrementalUpdate::default(),
            performance: Performance::default(),
            fallback: Fallback::default(),
            client: toml::Table::new(),
            nodes: Vec::new(),
            sign: SigningCommands::default(),
            server: ServerSettings::default(),
        }
    }

    /// Applies `[app]` and `[runtimes]` to a request; `project` is the folder of `kuzflow.toml`.
    pub fn fill(&self, request: &mut BuildRequest, project: &Path) -> Result<(), InvalidRuntime> {
        self.recipe.fill(request, project)?;
        if let Some(pinned) = self.runtimes.pinned_for(&request.platform, project) {
            request.runtime = Runtime::Pinned(pinned);
        }
        Ok(())
    }

    /// The text of `kuzflow.toml`.
    pub(super) fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let channel = toml::Value::from(self.channel.as_str());
        let app = self.recipe.to_toml(&self.app, &self.display_name)?;
        let rest = Rest {
            runtimes: self.runtimes.clone(),
            system: self.system,
            lifetimes: self.lifetimes,
            incremental_update: self.incremental_update.clone(),
            performance: self.performance.clone(),
            fallback: self.fallback.clone(),
            client: self.client.clone(),
            sign: self.sign.clone(),
            server: self.server.clone(),
            nodes: self.nodes.clone(),
        };
        let rest = toml::to_string(&rest)?;
        let nodes = if self.nodes.is_empty() { NODES } else { "" };
        // Values that differ from the defaults stand above; a comment with the same table beside
        // them would mislead.
        let patches = if self.has_usual_patches() { PUBLISHER_EXAMPLE } else { "" };
        Ok(format!("{HEAD}channel = {channel}\n\n{app}\n{rest}{patches}{nodes}"))
    }

    /// The nodes for public readers, without the name or password in an address.
    pub(super) fn public_nodes(&self) -> Vec<Node> {
        self.nodes.iter().map(|node| Node { url: redacted(&node.url), ..node.clone() }).collect()
    }

    /// Whether all settings about patches have their defaults.
    pub(super) fn has_usual_patches(&self) -> bool {
        incremental::is_default(&self.incremental_update)
            && incremental::is_default(&self.performance)
            && incremental::is_default(&self.fallback)
    }

    pub(super) fn check(&self, path: &Path) -> Result<(), PublishError> {
        incremental::check(path, &self.incremental_update, &self.performance, &self.fallback)
            .map_err(|error| PublishError::Settings {
                path: path.to_owned(),
                source: error.into(),
            })?;
        DocumentType::all(&self.recipe.documents, &self.app).map_err(|error| {
            let source = format!("[[app.documents]]: {error}").into();
            PublishError::Settings { path: path.to_owned(), source }
        })?;
        self.server.check().map_err(|error| PublishError::Settings {
            path: path.to_owned(),
            source: error.into(),
        })?;
        self.check_client(path)
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            root_days: 365,
            targets_days: 365,
            snapshot_days: 30,
            timestamp_days: 7,
            patches_days: 90,
        }
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
            KeyRole::Patches | KeyRole::Rollout => self.patches_days,
        };
        SignedDuration::from_hours(24 * i64::from(days))
    }

    /// Whether half of the life of a signature of `role` that lasts until `expires` is over.
    pub(super) fn is_half_over(&self, role: KeyRole, expires: Time, now: Time) -> bool {
        expires.duration_since(now) < self.of(role) / 2
    }

    /// When a signature of `role` made now expires; whole seconds, as the TUF specification
    /// requires.
    pub(super) fn expiry(&self, role: KeyRole, now: Time) -> Result<Time, PublishError> {
        let expires = now
            .checked_add(self.of(role))
            .ok()
            .and_then(|time| Time::from_second(time.as_second()).ok());
        expires.ok_or_else(|| {
            PublishError::Options(format!("the lifetime of the {role} role is too long"))
        })
    }
}

fn stable() -> String {
    "stable".to_owned()
}

#[cfg(test)]
mod tests;
