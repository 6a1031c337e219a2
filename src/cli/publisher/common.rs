//! What several verbs of the publisher share: where the folder and its keys are, how long a verb
//! waits, and a bar.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::output::Say;
use super::{passwords, project};
use crate::app::streams::error_line;
use crate::host;
use crate::publish::{Keyring, Project};

/// What ends a verb.
pub(super) type VerbError = Box<dyn std::error::Error>;

/// How long another publisher, or a server that makes packs, is waited for.
pub(super) const PUBLISHER_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the publisher's folder and its keys are.
#[derive(Debug, Args)]
pub(super) struct RepositoryPlace {
    /// The publisher's folder (the one that `init` made), or the repository in it; the one in or
    /// around the current folder if absent.
    #[arg(long, value_name = "DIR")]
    pub(super) repo: Option<PathBuf>,
    /// More folders with keys, for example on removable media. The password of an encrypted key is
    /// typed, piped in, or taken from the variable KUZFLOW_KEY_PASSWORD.
    #[arg(long, value_name = "DIR")]
    keys: Vec<PathBuf>,
    /// Sign although the repository shows a later time than this computer's clock: after a signing
    /// with a clock that was ahead.
    #[arg(long)]
    trust_clock: bool,
}

impl RepositoryPlace {
    /// Opens it, with the keys. Tells of a clock that does not fit what the repository shows.
    pub(super) fn open(&self) -> Result<(Project, Keyring), VerbError> {
        let mut project = Project::open(&project::folder(self.repo.as_deref())?)?;
        if self.trust_clock {
            project = project.trusting_clock();
        }
        let keyring = self.keyring(&project)?;
        if let Some(doubt) = project.clock_doubt(host::now()) {
            error_line(&format!("warning: {doubt}"));
        }
        Ok((project, keyring))
    }

    /// The keys of the publisher's folder `project` and those that were named.
    pub(super) fn keyring(&self, project: &Project) -> Result<Keyring, VerbError> {
        passwords::check_folders(&self.keys)?;
        let folders = self.keys.iter().cloned().chain([project.keys_folder()]);
        Ok(Keyring::new(folders).with_passwords(passwords::ask))
    }
}

/// A bar of the bytes that are compared; how many there will be is not known before.
pub(super) fn bar(say: &Say, what: String) -> ProgressBar {
    if say.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bytes} compared, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A share of installations in thousandths.
pub(super) fn permille(percent: f64) -> Result<u16, VerbError> {
    if !(0.0..=100.0).contains(&percent) {
        return Err(format!("a rollout is 0 to 100 percent, not {percent}").into());
    }
    Ok((percent * 10.0).round() as u16)
}
