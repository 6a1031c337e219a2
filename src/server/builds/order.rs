//! What is to be built. Pure.
//!
//! In: the fields of a request, as the specification names them. Out: an order, checked, which is
//! the job's payload. Never: a path that leaves the app's folder; a look at the disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::platform::AppName;
use crate::model::{ContainerId, Digest, Platform, RelativePath, Version};
use crate::publish::bundling::EntryPoint;

/// Longest `x_user`, bytes.
const LONGEST_USER: usize = 64;
/// Longest name of a branch, a tag or a commit, bytes.
const LONGEST_REFERENCE: usize = 200;

/// Where the app comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// An archive that was sent.
    Archive { digest: Digest, length: u64 },
    /// A repository that the settings name.
    Git { repository: String, reference: String },
}

/// How it is to be built: the options of `kuzflow build`. What is absent follows from a
/// `kuzflow.toml` in the app's folder, else it has its usual value. Paths count from the top of what
/// was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BuildConfig {
    pub(super) name: Option<AppName>,
    pub(super) display_name: Option<String>,
    pub(super) description: Option<String>,
    /// The app's folder.
    pub(super) folder: Option<RelativePath>,
    pub(super) entry: Option<String>,
    /// `host`, `none`, or a folder or an archive that was sent along.
    pub(super) runtime: Option<String>,
    pub(super) requirements: Option<RelativePath>,
    pub(super) icon: Option<RelativePath>,
    pub(super) config_defaults: Option<RelativePath>,
    pub(super) migrate: Option<RelativePath>,
    pub(super) after_install: Option<RelativePath>,
    pub(super) before_uninstall: Option<RelativePath>,
    pub(super) build_number: Option<String>,
    pub(super) data_schema: Option<u32>,
    pub(super) level: Option<u8>,
    pub(super) exclude: Vec<String>,
    pub(super) foreign_files: Vec<String>,
    pub(super) runtime_exclude: Vec<String>,
    pub(super) prune: Vec<String>,
    pub(super) reports_up: bool,
    pub(super) tkinter: bool,
    pub(super) console: bool,
    pub(super) bytecode: Option<bool>,
    /// Whether the build needs the network, for example to install requirements.
    pub(super) network: bool,
}

/// A build that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BuildOrder {
    pub(super) app: AppName,
    pub(super) version: Version,
    pub(super) platform: Platform,
    pub(super) source: Source,
    pub(super) config: BuildConfig,
    /// The name of the token.
    pub(super) token: String,
}

/// What the server allows and knows.
pub(super) struct Allowed<'a> {
    pub(super) network: bool,
    pub(super) repositories: &'a BTreeMap<String, String>,
    /// The app of this server, if it has one alone.
    pub(super) app: Option<&'a AppName>,
}

/// The fields of a request by their names.
pub(super) type Fields = BTreeMap<String, String>;

/// The fields that a request may have, besides the archive.
pub(super) const FIELDS: [&str; 6] =
    ["version", "platform", "build_config", "x_user", "repository", "git_ref"];

impl BuildOrder {
    /// The order of a request; `archive` is what it sent. The error says what to mend.
    pub(super) fn of(
        fields: &Fields,
        archive: Option<(Digest, u64)>,
        token: &str,
        allowed: &Allowed<'_>,
    ) -> Result<Self, String> {
        let required = |name: &str, example: &str| {
            let value = fields.get(name).map(String::as_str).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("{name}: missing, expected for example {example}"))
        };
        let version = required("version", "1.0.0")?;
        let version = version.parse().map_err(|error| format!("version: {error}"))?;
        let platform = required("platform", "Linux_x86_64")?;
        let platform = platform.parse().map_err(|error| format!("platform: {error}"))?;
        let config: BuildConfig = match fields.get("build_config").map(|text| text.trim()) {
            None | Some("") => BuildConfig::default(),
            Some(text) => {
                serde_json::from_str(text).map_err(|error| format!("build_config: {error}"))?
            }
        };
        config.check(allowed)?;
        let app =
            config.name.as_ref().or(allowed.app).cloned().ok_or(
                "build_config: name is missing, and this server does not have one app alone",
            )?;
        let source = source(fields, archive, allowed)?;
        Ok(Self { app, version, platform, source, config, token: token.to_owned() })
    }

    pub(super) fn container(&self) -> ContainerId {
        ContainerId {
            app: self.app.clone(),
            version: self.version.clone(),
            platform: self.platform.clone(),
        }
    }

    /// What a repetition of the request has in common with it; `None` if the same request can mean
    /// another commit later.
    pub(super) fn content(&self, user: &str) -> Option<String> {
        if let Source::Git { reference, .. } = &self.source
            && !is_commit(reference)
        {
            return None;
        }
        let text = serde_json::to_string(&(self, user)).ok()?;
        Some(Digest::of(text.as_bytes()).to_string())
    }
}

impl BuildConfig {
    fn check(&self, allowed: &Allowed<'_>) -> Result<(), String> {
        let wrong = |name: &str, why: String| Err(format!("build_config: {name}: {why}"));
        if let Some(Err(error)) = self.entry.as_deref().map(str::parse::<EntryPoint>) {
            return wrong("entry", error.to_string());
        }
        if let Some(Err(error)) = self.runtime.as_deref().map(str::parse::<RelativePath>) {
            return wrong("runtime", format!("{error}; expected host, none, or a path"));
        }
        if self.level.is_some_and(|level| !(1..=22).contains(&level)) {
            return wrong("level", "expected 1 to 22".to_owned());
        }
        let texts = [&self.display_name, &self.description, &self.build_number];
        let lists = [&self.exclude, &self.foreign_files, &self.runtime_exclude, &self.prune];
        let mut texts = texts.into_iter().flatten().chain(lists.into_iter().flatten());
        if let Some(text) = texts.find(|text| text.contains('\0')) {
            return wrong("a text", format!("it cannot be given to a program: {text:?}"));
        }
        if self.network && !allowed.network {
            let why = "this server gives builds no network; send the packages along (pip's --find-links), or ask its operator for network = true in [server.builds]";
            return wrong("network", why.to_owned());
        }
        Ok(())
    }
}

/// Where the app of a request comes from.
fn source(
    fields: &Fields,
    archive: Option<(Digest, u64)>,
    allowed: &Allowed<'_>,
) -> Result<Source, String> {
    let field = |name: &str| fields.get(name).filter(|value| !value.is_empty());
    match (archive, field("git_ref")) {
        (Some((digest, length)), None) => Ok(Source::Archive { digest, length }),
        (None, Some(reference)) => {
            if !is_reference(reference) {
                return Err(format!("git_ref: not a branch, a tag or a commit: {reference:?}"));
            }
            let named = field("repository");
            let mut known = allowed.repositories.keys();
            let repository = match (named, known.next(), known.next()) {
                (Some(name), ..) if allowed.repositories.contains_key(name) => name,
                (None, Some(only), None) => only,
                (Some(_), ..) => return Err("repository: the server's settings name none of this name ([server.builds.repositories])".to_owned()),
                (None, ..) => return Err("repository: missing; it is a name in the server's settings ([server.builds.repositories])".to_owned()),
            };
            let (repository, reference) = (repository.clone(), reference.clone());
            Ok(Source::Git { repository, reference })
        }
        (Some(_), Some(_)) => Err("archive, git_ref: give one of them".to_owned()),
        (None, None) => {
            Err("archive: missing; send the app's folder as .zip or .tar.gz, or name a git_ref"
                .to_owned())
        }
    }
}

/// Whether git takes this for a branch, a tag or a commit, and for nothing else.
fn is_reference(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-+".contains(&byte);
    text.len() <= LONGEST_REFERENCE
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(plain)
        && !text.contains("..")
        && !text.contains("//")
        && !text.ends_with(['/', '.'])
}

fn is_commit(reference: &str) -> bool {
    reference.len() == 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// For whom it is built: what the request says, else the name of the token.
pub(super) fn user(fields: &Fields, header: Option<&str>, token: &str) -> Result<String, String> {
    let named = fields.get("x_user").map(String::as_str).or(header).map(str::trim);
    let Some(user) = named.filter(|user| !user.is_empty()) else { return Ok(token.to_owned()) };
    if user.len() > LONGEST_USER || user.chars().any(char::is_control) {
        return Err(format!("x_user: at most {LONGEST_USER} bytes without control signs"));
    }
    Ok(user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(more: &[(&str, &str)]) -> Fields {
        [("version", "1.2.0"), ("platform", "Linux_x86_64")]
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn order(more: &[(&str, &str)], archive: bool) -> Result<BuildOrder, String> {
        let repositories =
            BTreeMap::from([("sample".to_owned(), "https://example.com/x.git".to_owned())]);
        let app = "sample".parse().unwrap();
        let allowed = Allowed { network: false, repositories: &repositories, app: Some(&app) };
        let archive = archive.then(|| (Digest::of(b"x"), 1));
        BuildOrder::of(&fields(more), archive, "ci", &allowed)
    }

    #[test]
    fn a_request_becomes_an_order() {
        let config = r#"{"entry": "exe:program", "runtime": "none", "icon": "art/icon.png", "exclude": ["*.log"], "level": 3}"#;
        let order = order(&[("build_config", config)], true).unwrap();
        assert_eq!(order.container().to_string(), "sample_1.2.0_Linux_x86_64");
        assert_eq!(order.config.icon.as_ref().unwrap().as_str(), "art/icon.png");
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<BuildOrder>(&text).unwrap(), order);
    }

    #[test]
    fn mistakes_are_named() {
        for (more, archive, part) in [
            (&[("version", "one")][..], true, "version"),
            (&[("platform", "")], true, "platform: missing"),
            (&[], false, "archive: missing"),
            (&[("git_ref", "main")], true, "give one of them"),
            (&[("git_ref", "main"), ("repository", "other")], false, "repository"),
            (&[("git_ref", "--upload-pack=x")], false, "git_ref"),
            (&[("git_ref", "a..b")], false, "git_ref"),
            (&[("build_config", "[]x")], true, "build_config"),
            (&[("build_config", r#"{"icon": "../../etc/passwd"}"#)], true, "build_config"),
            (&[("build_config", r#"{"runtime": "/usr"}"#)], true, "runtime"),
            (&[("build_config", r#"{"entry": ""}"#)], true, "entry"),
            (&[("build_config", r#"{"level": 23}"#)], true, "level"),
            (&[("build_config", r#"{"nonsense": 1}"#)], true, "nonsense"),
            (&[("build_config", r#"{"network": true}"#)], true, "network"),
            (&[("build_config", r#"{"exclude": ["a\u0000b"]}"#)], true, "a text"),
        ] {
            let error = order(more, archive).unwrap_err();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn only_what_cannot_change_is_known_again() {
        let content =
            |more: &[(&str, &str)], archive, user| order(more, archive).unwrap().content(user);
        assert_eq!(content(&[], true, "a"), content(&[], true, "a"));
        assert_ne!(content(&[], true, "a"), content(&[], true, "b"));
        assert_ne!(content(&[], true, "a"), content(&[("version", "1.2.1")], true, "a"));
        assert_eq!(content(&[("git_ref", "main")], false, "a"), None);
        let commit = "0123456789abcdef0123456789abcdef01234567";
        assert!(content(&[("git_ref", commit)], false, "a").is_some());
    }

    #[test]
    fn the_user_is_named_by_the_request_or_is_the_token() {
        let named = fields(&[("x_user", " ann ")]);
        assert_eq!(user(&named, Some("ben"), "ci").unwrap(), "ann");
        assert_eq!(user(&fields(&[]), Some("ben"), "ci").unwrap(), "ben");
        assert_eq!(user(&fields(&[]), None, "ci").unwrap(), "ci");
        assert!(user(&fields(&[("x_user", "a\nb")]), None, "ci").is_err());
    }
}
