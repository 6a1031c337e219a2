//! Where the publisher's folder and its keys are, and how long a verb waits for it.
//!
//! In: what was typed. Out: the project and its keys. Never: a password on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{VerbError, passwords, project};
use crate::app::streams::error_line;
use crate::host;
use crate::publish::{Keyring, Project};

/// How long another publisher, or a server that makes packs, is waited for.
pub(crate) const PUBLISHER_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the publisher's folder and its keys are.
#[derive(Debug, Args)]
pub(crate) struct RepositoryPlace {
    /// The publisher's folder (the one that `init` made), or the repository in it; the one in or
    /// around the current folder if absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) repo: Option<PathBuf>,
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
    pub(crate) fn open(&self) -> Result<(Project, Keyring), VerbError> {
        let mut project = Project::open(&project::folder(self.repo.as_deref())?)?;
        if self.trust_clock {
            project = project.trusting_clock();
        }
        // A change signs several documents with the same keys.
        let keyring = self.keyring(&project)?.remembering();
        if let Some(doubt) = project.clock_doubt(host::now()) {
            error_line(&format!("warning: {doubt}"));
        }
        Ok((project, keyring))
    }

    /// The keys of the publisher's folder `project` and those that were named.
    pub(crate) fn keyring(&self, project: &Project) -> Result<Keyring, VerbError> {
        passwords::check_folders(&self.keys)?;
        let folders = self.keys.iter().cloned().chain([project.keys_folder()]);
        Ok(Keyring::new(folders).with_passwords(passwords::ask))
    }
}
