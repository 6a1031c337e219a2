//! Brings an order's app into the build's folder: from the archive that was sent, or from a
//! repository that the settings name.
//!
//! In: an order, the settings. Out: a folder with the app, and its commit. Never: a file of the
//! archive or of the commit outside of that folder; a repository that the settings do not name; a
//! program of a repository (a hook, a filter) outside of the sandbox.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::failure::BuildFailure;
use super::folder;
use super::log::LogFile;
use super::order::{BuildOrder, Source};
use super::watch::{self, Ended, Limits, Program};
use crate::host;
use crate::mutex;
use crate::publish::BuildSettings;
use crate::publish::source_archive::{self, ArchiveLimits};

/// Most files, folders and links of an app.
const MOST_ENTRIES: usize = 200_000;
/// How long a repository may take to give a commit.
const GIT_TIME: Duration = Duration::from_secs(10 * 60);
/// Variables that git needs to reach a repository: the operator's own keys and proxies.
const GIT_VARIABLES: [&str; 11] = [
    "PATH",
    "HOME",
    "SSH_AUTH_SOCK",
    "GIT_SSH_COMMAND",
    "GIT_CONFIG_GLOBAL",
    "GIT_ASKPASS",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "SystemRoot",
];

/// An app that is there.
#[derive(Debug)]
pub(super) struct Brought {
    /// The top of what was sent.
    pub(super) top: PathBuf,
    pub(super) commit: Option<Commit>,
}

/// A commit and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) id: String,
    pub(super) seconds: String,
}

/// Where an app comes from and goes to.
pub(super) struct Bringing<'a> {
    pub(super) settings: &'a BuildSettings,
    /// The archive, if one was sent.
    pub(super) archive: &'a Path,
    /// The build's folder.
    pub(super) folder: &'a Path,
    pub(super) log: &'a Arc<Mutex<LogFile>>,
    pub(super) is_over: &'a dyn Fn() -> bool,
}

impl Bringing<'_> {
    pub(super) fn bring(&self, order: &BuildOrder) -> Result<Brought, BuildFailure> {
        let to = self.folder.join("source");
        let (archive, commit) = match &order.source {
            Source::Archive { .. } => (self.archive.to_owned(), None),
            Source::Git { repository, reference } => {
                let (archive, commit) = self.fetch_commit(repository, reference)?;
                (archive, Some(commit))
            }
        };
        let bytes = u64::from(self.settings.disk_mb) << 20;
        let limits = ArchiveLimits { bytes, entries: MOST_ENTRIES };
        source_archive::unpack(&archive, &to, limits, self.is_over)?;
        if commit.is_some() {
            folder::remove(&archive);
            return Ok(Brought { top: to, commit });
        }
        Ok(Brought { top: source_archive::top(&to), commit })
    }

    /// The commit as an archive. Its files are unpacked as carefully as those of an archive that
    /// was sent.
    fn fetch_commit(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<(PathBuf, Commit), BuildFailure> {
        let address = self.settings.repositories.get(repository);
        let address =
            address.ok_or_else(|| BuildFailure::Repository(repository.to_owned()))?.as_str();
        let (place, archive) = (self.folder.join("git"), self.folder.join("commit.tar"));
        let git = |words: &[&str], failed: &str| {
            self.git(words, &place, address).and_then(|(ended, output)| match ended {
                Ended::Exited(status) if status.success() => Ok(output),
                Ended::Over => Err(BuildFailure::Over),
                Ended::Disk => Err(BuildFailure::Disk(self.settings.disk_mb)),
                _ => {
                    mutex::lock(self.log).line(failed);
                    let (repository, reference) = (repository.to_owned(), reference.to_owned());
                    Err(BuildFailure::Git { repository, reference })
                }
            })
        };
        std::fs::create_dir_all(&place)
            .map_err(|error| crate::file_error::FileError::new("create", &place, error))?;
        let not_there = format!("{repository} does not give {reference}");
        git(&["init", "--quiet", "--bare", "."], "git does not begin")?;
        let fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--", address, reference];
        git(&fetch, &not_there)?;
        let output = git(&["log", "-1", "--format=%H %ct", "FETCH_HEAD"], &not_there)?;
        let commit = output.lines().next().and_then(|line| line.split_once(' '));
        let commit = commit.map(|(id, seconds)| Commit { id: id.into(), seconds: seconds.into() });
        let commit = commit.ok_or_else(|| BuildFailure::Git {
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        })?;
        let output = format!("--output={}", archive.display());
        git(&["archive", "--format=tar", &output, "FETCH_HEAD"], "git packs nothing")?;
        folder::remove(&place);
        mutex::lock(self.log).line(&format!("{repository}: {reference} is {}", commit.id));
        Ok((archive, commit))
    }

    /// Runs git, and returns what it printed.
    fn git(
        &self,
        words: &[&str],
        place: &Path,
        address: &str,
    ) -> Result<(Ended, String), BuildFailure> {
        let settings = ["-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null"];
        let words: Vec<OsString> = ["git"]
            .into_iter()
            .chain(settings)
            .chain(words.iter().copied())
            .map(Into::into)
            .collect();
        let named = |name: &str| Some((name.into(), host::variable(name)?));
        let mut environment: Vec<(OsString, OsString)> =
            GIT_VARIABLES.into_iter().filter_map(named).collect();
        environment.push(("GIT_TERMINAL_PROMPT".into(), "0".into()));
        let program =
            Program { words: &words, environment: &environment, begin: place, folder: self.folder };
        let disk = u64::from(self.settings.disk_mb) << 20;
        let limits = Limits { time: GIT_TIME, memory: u64::MAX >> 8, disk };
        let output = Arc::new(Mutex::new(String::new()));
        let add = {
            let (output, log, address) = (output.clone(), self.log.clone(), address.to_owned());
            move |line: &str| {
                // An address may have a password.
                let line = line.replace(&address, "…");
                if line.starts_with("fatal:") || line.starts_with("error:") {
                    mutex::lock(&log).line(&line);
                }
                let mut output = mutex::lock(&output);
                output.push_str(&line);
                output.push('\n');
            }
        };
        let ended = watch::run(&program, limits, self.is_over, add).map_err(BuildFailure::Start)?;
        let output = mutex::lock(&output).clone();
        Ok((ended, output))
    }
}
