//! Renewed settings: a publisher changes settings of installed launchers by a signed document. It
//! renews the addresses of the repository and those switches of `launcher.toml` that the publisher
//! decides.
//!
//! Renewed settings replace those of the shipped `launcher.toml`. The user's own decisions (in the
//! home's state and on the command line) replace both. The document cannot renew the app, its
//! channel, the region, the home, the window, the desktop and the launcher's own update: these
//! belong to the installation.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Settings, SettingsError};
use crate::error_chain;
use crate::model::Node;
use crate::model::node::redacted;
use crate::model::platform::AppName;

/// Largest document that is read, bytes.
pub(crate) const MAX_RENEWAL_BYTES: u64 = 64 << 10;
/// Most nodes that a document may name.
const MAX_NODES: usize = 64;
/// The settings that a document may renew.
pub(crate) const RENEWABLE: [&str; 10] = [
    "nodes",
    "api",
    "update",
    "health",
    "incremental_update",
    "performance",
    "fallback",
    "hot_update",
    "peers",
    "reports",
];

/// The target that holds the settings of an app's launchers.
pub(crate) fn target_name(app: &AppName) -> String {
    format!("launcher-settings_{app}.json")
}

/// The document of renewed settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Renewal {
    /// The app whose launchers it is for.
    pub app: AppName,
    /// The renewed settings, in the form of `launcher.toml`. A launcher ignores settings that it
    /// does not know: they may be meant for a newer one.
    pub settings: Map<String, Value>,
}

/// Why a document renews nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenewalError {
    /// It is not a document of this form.
    #[error("the renewed settings are not understood")]
    Form(#[from] serde_json::Error),
    /// It is for another app.
    #[error("the renewed settings are for the app {0}")]
    OtherApp(AppName),
    /// Its values do not make valid settings.
    #[error("the renewed settings cannot be used")]
    Settings(#[from] SettingsError),
    /// The two cannot be merged into one document.
    #[error("the renewed settings cannot be laid over the shipped ones: {0}")]
    Overlay(String),
    /// The setting does not belong to the publisher, or is not known.
    #[error("it is none of the settings that can be renewed")]
    NotRenewable,
    /// One of the settings is ignored.
    #[error("the renewed setting {name} is passed over")]
    PassedOver {
        /// The setting's name, as in `update.check_hours`.
        name: String,
        source: Box<RenewalError>,
    },
}

impl Renewal {
    /// Parses a verified document.
    pub(crate) fn parse(bytes: &[u8], app: &AppName) -> Result<Self, RenewalError> {
        let renewal: Self = serde_json::from_slice(bytes)?;
        if renewal.app == *app { Ok(renewal) } else { Err(RenewalError::OtherApp(renewal.app)) }
    }

    /// The nodes that it names.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        self.settings.get("nodes").map(Self::nodes_in).unwrap_or_default()
    }

    fn nodes_in(list: &Value) -> Vec<Node> {
        let nodes =
            list.as_array().into_iter().flatten().filter_map(|node| Node::deserialize(node).ok());
        nodes.filter(|node| matches!(node.url.scheme(), "http" | "https")).take(MAX_NODES).collect()
    }

    /// The settings in force, where `shipped` is the text of `launcher.toml` at `path`, and the
    /// ignored ones: settings that this launcher does not know, or whose value makes no sense. One
    /// bad value does not affect the others.
    ///
    /// # Errors
    /// Errors of the shipped settings themselves.
    pub(crate) fn over(
        &self,
        shipped: &str,
        path: &Path,
    ) -> Result<(Settings, Vec<RenewalError>), RenewalError> {
        let table = toml::from_str(shipped)
            .map_err(|error: toml::de::Error| RenewalError::Overlay(error.to_string()))?;
        let mut base: (toml::Table, Settings) = (table, Settings::parse(shipped, path)?);
        let mut passed_over = Vec::new();
        for change in self.changes() {
            let (key, within) = (change.key, change.within);
            let changed = change.apply(base.0.clone()).and_then(|table| {
                let text = toml::to_string(&table)
                    .map_err(|error| RenewalError::Overlay(error.to_string()))?;
                Ok((table, Settings::parse(&text, path)?))
            });
            match changed {
                Ok(changed) => base = changed,
                Err(error) => {
                    let name =
                        within.map_or_else(|| key.to_owned(), |within| format!("{key}.{within}"));
                    passed_over.push(RenewalError::PassedOver { name, source: Box::new(error) });
                }
            }
        }
        Ok((base.1, passed_over))
    }

    /// Each single value that it renews.
    fn changes(&self) -> impl Iterator<Item = RenewedValue<'_>> {
        self.settings.iter().flat_map(|(key, value)| match value {
            Value::Object(table) => table
                .iter()
                .map(|(within, value)| RenewedValue { key, within: Some(within.as_str()), value })
                .collect::<Vec<_>>(),
            value => vec![RenewedValue { key, within: None, value }],
        })
    }
}

/// One renewed value.
#[derive(Clone, Copy)]
struct RenewedValue<'a> {
    key: &'a str,
    within: Option<&'a str>,
    value: &'a Value,
}

impl RenewedValue<'_> {
    fn apply(self, mut settings: toml::Table) -> Result<toml::Table, RenewalError> {
        let overlay = |error: toml::ser::Error| RenewalError::Overlay(error.to_string());
        if !RENEWABLE.contains(&self.key) {
            return Err(RenewalError::NotRenewable);
        }
        let value = if self.key == "nodes" {
            let renewed = Renewal::nodes_in(self.value);
            toml::Value::try_from(with_shipped(renewed, &settings)).map_err(overlay)?
        } else {
            toml::Value::try_from(self.value).map_err(overlay)?
        };
        match self.within {
            None => drop(settings.insert(self.key.to_owned(), value)),
            Some(within) => {
                let table = settings
                    .entry(self.key)
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()));
                let Some(table) = table.as_table_mut() else {
                    return Err(RenewalError::Overlay("it is no table".to_owned()));
                };
                table.insert(within.to_owned(), value);
            }
        }
        Ok(settings)
    }
}

/// The renewed nodes, followed by the shipped ones that they do not replace: these are a last
/// resort.
fn with_shipped(mut nodes: Vec<Node>, settings: &toml::Table) -> Vec<Node> {
    let shipped = settings.get("nodes").and_then(toml::Value::as_array).into_iter().flatten();
    for node in shipped.filter_map(|node| Node::deserialize(node.clone()).ok()) {
        // The public document contains no password; the launcher that was shipped with one retains
        // it.
        if let Some(same) = nodes.iter_mut().find(|renewed| renewed.url == redacted(&node.url)) {
            same.url = node.url;
        } else if !nodes.iter().any(|renewed| renewed.id == node.id || renewed.url == node.url) {
            nodes.push(node);
        }
    }
    nodes
}

/// The stored copy of a verified document; `None` if there is no readable one.
pub(crate) fn read(path: &Path) -> Option<Vec<u8>> {
    crate::look::read(path, MAX_RENEWAL_BYTES)
        .inspect_err(|error| {
            tracing::warn!(error = error_chain::line(error), "the renewed settings cannot be read")
        })
        .ok()
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHIPPED: &str = "app = 'sample'\nchannel = 'beta'\n[update]\nprefetch = true\n[[nodes]]\nid = 'one'\nurl = 'http://old.example.com/'\n[[nodes]]\nid = 'two'\nurl = 'http://two.example.com/'\n";

    fn over(settings: Value) -> Result<(Settings, Vec<RenewalError>), RenewalError> {
        let bytes = serde_json::to_vec(&json!({"app": "sample", "settings": settings})).unwrap();
        Renewal::parse(&bytes, &"sample".parse().unwrap())?
            .over(SHIPPED, Path::new("launcher.toml"))
    }

    #[test]
    fn what_is_named_is_renewed_and_the_rest_stays() {
        let nodes = json!([{"id": "new", "url": "https://new.example.com/"}, {"id": "one", "url": "https://one.example.com/"}]);
        let (settings, passed_over) = over(json!({
            "nodes": nodes, "api": "https://api.example.com/", "update": {"check_hours": 12.0}, "peers": {"enabled": true},
        }))
        .unwrap();
        let urls: Vec<_> = settings.nodes.iter().map(|node| node.url.as_str()).collect();
        assert_eq!(
            urls,
            ["https://new.example.com/", "https://one.example.com/", "http://two.example.com/"]
        );
        assert_eq!((settings.update.check_hours, settings.update.prefetch), (12.0, true));
        assert!(settings.peers.enabled && settings.api.is_some());
        assert_eq!((settings.channel.as_str(), passed_over.len()), ("beta", 0));
    }

    #[test]
    fn a_shipped_password_is_retained_for_the_same_node() {
        let shipped =
            "app = 'sample'\n[[nodes]]\nid = 'one'\nurl = 'https://user:secret@one.example.com/'\n";
        let nodes = json!([{"id": "one", "url": "https://one.example.com/"}]);
        let renewal = Renewal {
            app: "sample".parse().unwrap(),
            settings: Map::from_iter([("nodes".to_owned(), nodes)]),
        };
        let (settings, _) = renewal.over(shipped, Path::new("launcher.toml")).unwrap();
        assert_eq!(
            settings.nodes.iter().map(|node| node.url.as_str()).collect::<Vec<_>>(),
            ["https://user:secret@one.example.com/"]
        );
    }

    #[test]
    fn what_belongs_to_the_installation_is_not_renewed() {
        let (settings, passed_over) = over(json!({
            "app": "other", "channel": "stable", "home": "/", "region": "Europe", "launcher": {"self_update": false},
            "window": {"language": "en"}, "desktop": {"shortcut": true}, "of a later time": {"x": 1},
        }))
        .unwrap();
        assert_eq!(settings, Settings::parse(SHIPPED, Path::new("launcher.toml")).unwrap());
        assert_eq!(passed_over.len(), 8);
    }

    #[test]
    fn one_bad_value_does_not_take_the_others_along() {
        for bad in [
            json!({"update": {"check_hours": 0, "prefetch": false}}),
            json!({"update": {"no_such_setting": 5, "prefetch": false}}),
            json!({"api": "file:///etc/passwd", "update": {"prefetch": false}}),
            json!({"update": {"check_hours": null, "prefetch": false}}),
            json!({"health": 5, "update": {"prefetch": false}}),
        ] {
            let (settings, passed_over) = over(bad.clone()).unwrap();
            assert_eq!((settings.update.prefetch, passed_over.len()), (false, 1), "{bad}");
            assert_eq!(settings.update.check_hours, 2.0);
        }
        assert!(
            over(json!({"nodes": []})).is_ok_and(|(settings, _)| settings.nodes.len() == 2),
            "never without a node"
        );
        let other = br#"{"app": "other", "settings": {}}"#;
        assert!(matches!(
            Renewal::parse(other, &"sample".parse().unwrap()),
            Err(RenewalError::OtherApp(_))
        ));
        assert!(Renewal::parse(b"nonsense", &"sample".parse().unwrap()).is_err());
    }
}
