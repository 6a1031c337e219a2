//! `[server]` of `kuzflow.toml`: what a server of this folder does beside serving it.
//!
//! In: the table as it is written. Out: the same with its defaults, checked. Never: a look at the
//! disk or the network.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::network::Network;

/// Most builds at the same time.
const MOST_WORKERS: u8 = 16;

/// `[server]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// How a server builds.
    pub builds: BuildSettings,
    /// Whose logins a server takes from a reverse proxy.
    pub login: LoginSettings,
}

/// `[server.login]`: people who log in at a reverse proxy, which names them in headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginSettings {
    /// The addresses of the proxies; nobody else's headers count.
    pub proxies: Vec<Network>,
    /// The header with the name of a person; empty if there is none, as of the next two.
    pub user: String,
    /// The header with the person's address of mail, which is the name where it is there.
    pub email: String,
    /// The header with the person's groups, parted by commas.
    pub groups: String,
    /// What members of groups may do.
    pub roles: BTreeMap<String, LoginRole>,
    /// What single people may do, by their names.
    pub users: BTreeMap<String, LoginRole>,
}

/// What a person may do: the words of `kuzflow token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoginRole {
    Read,
    Build,
    Operate,
}

impl Default for LoginSettings {
    fn default() -> Self {
        Self {
            proxies: Vec::new(),
            user: "X-Forwarded-User".to_owned(),
            email: "X-Forwarded-Email".to_owned(),
            groups: "X-Forwarded-Groups".to_owned(),
            roles: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }
}

/// Headers with another meaning: those of strangers are taken out of their requests.
const OTHER_HEADERS: [&str; 8] = [
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "origin",
    "x-forwarded-for",
    "x-forwarded-proto",
];

impl LoginSettings {
    /// What is wrong with the values.
    fn mistake(&self) -> Option<String> {
        let mut names = Vec::new();
        for (key, name) in [("user", &self.user), ("email", &self.email), ("groups", &self.groups)]
        {
            let name = name.to_ascii_lowercase();
            let is_header = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if !is_header || OTHER_HEADERS.contains(&name.as_str()) {
                return Some(format!("{key}: not a header for this: {name:?}"));
            }
            if !name.is_empty() && names.contains(&name) {
                return Some(format!("{key}: {name} is another key's header"));
            }
            names.push(name);
        }
        (names[0].is_empty() && names[1].is_empty())
            .then(|| "user, email: one of them must name a header".to_owned())
    }
}

/// `[server.builds]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuildSettings {
    /// How many builds run at the same time; 0 if other servers of the same database build.
    pub workers: u8,
    /// Whether a build that asks for the network gets it.
    pub network: bool,
    /// How long a build may take.
    pub minutes: u32,
    /// Memory of a build with all its programs.
    pub memory_mb: u32,
    /// What a build may write, its unpacked source included.
    pub disk_mb: u32,
    /// Largest upload.
    pub upload_mb: u32,
    /// How long results stay.
    pub days: u32,
    /// What all results may take; the oldest go first.
    pub results_mb: u32,
    /// The Python of builds; what the system calls `python3` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<PathBuf>,
    /// Folders that builds may read, besides the system's programs and libraries.
    pub read: Vec<PathBuf>,
    /// Variables in the environment of builds.
    pub environment: BTreeMap<String, String>,
    /// Repositories of git that may be built, by names.
    pub repositories: BTreeMap<String, String>,
}

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            workers: 3,
            network: false,
            minutes: 30,
            memory_mb: 4096,
            disk_mb: 8192,
            upload_mb: 1024,
            days: 14,
            results_mb: 20_480,
            python: None,
            read: Vec::new(),
            environment: BTreeMap::new(),
            repositories: BTreeMap::new(),
        }
    }
}

impl BuildSettings {
    /// What is wrong with the values.
    fn mistake(&self) -> Option<String> {
        if self.workers > MOST_WORKERS {
            return Some(format!("workers: at most {MOST_WORKERS}"));
        }
        let numbers = [
            ("minutes", self.minutes),
            ("memory_mb", self.memory_mb),
            ("disk_mb", self.disk_mb),
            ("upload_mb", self.upload_mb),
            ("days", self.days),
            ("results_mb", self.results_mb),
        ];
        if let Some((name, _)) = numbers.into_iter().find(|(_, number)| *number == 0) {
            return Some(format!("{name}: must be 1 or more"));
        }
        if let Some(path) = self.python.iter().chain(&self.read).find(|path| !path.is_absolute()) {
            return Some(format!("{}: a build needs the whole path", path.display()));
        }
        if let Some(name) = self.environment.keys().find(|name| !is_variable(name)) {
            return Some(format!("environment: not a name of a variable: {name:?}"));
        }
        let address = self.repositories.values().find(|address| address.starts_with('-'))?;
        Some(format!("repositories: not an address: {address:?}"))
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl ServerSettings {
    /// Whether nothing is set.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the values.
    pub(super) fn check(&self) -> Result<(), String> {
        let of_table = |table: &str, mistake: Option<String>| match mistake {
            Some(mistake) => Err(format!("[server.{table}] {mistake}")),
            None => Ok(()),
        };
        of_table("builds", self.builds.mistake())?;
        of_table("login", self.login.mistake())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_make_no_sense_are_refused() {
        let check = |text: &str| {
            let settings: ServerSettings =
                toml::from_str(text).map_err(|error| error.to_string())?;
            settings.check()
        };
        for good in [
            "",
            "[builds]\nworkers = 0\nnetwork = true\npython = '/opt/python/bin/python3'\n",
            "[builds.repositories]\nsample = 'https://example.com/sample.git'\n",
            "[login]\nproxies = ['127.0.0.1', '10.0.0.0/8']\nroles = { sre = 'operate' }\nusers = { 'a@example.com' = 'read' }\n",
            "[login]\nuser = ''\ngroups = 'Remote-Groups'\n",
        ] {
            // On Windows the path has no drive.
            assert!(cfg!(windows) || check(good).is_ok(), "{good}");
        }
        for bad in [
            "[builds]\nworkers = 17\n",
            "[builds]\nminutes = 0\n",
            "[builds]\npython = 'python3'\n",
            "[builds]\nread = ['tools']\n",
            "[builds.environment]\n'A B' = ''\n",
            "[builds.repositories]\nsample = '--upload-pack=x'\n",
            "[builds]\nnonsense = 1\n",
            "[login]\nproxies = ['localhost']\n",
            "[login]\nroles = { sre = 'admin' }\n",
            "[login]\nuser = 'Authorization'\n",
            "[login]\nuser = 'a b'\n",
            "[login]\nuser = 'x-forwarded-groups'\n",
            "[login]\nuser = ''\nemail = ''\n",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
