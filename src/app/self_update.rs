//! The launcher as a thing on this computer: its executable, how it was called, and what that means
//! for its own update and for a shortcut.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Ending;
use crate::desktop::program::{Attempt, Begun, Program};
use crate::environment::Environment;
use crate::host;
use crate::model::launcher::own_version;
use crate::update::self_update::{self, SelfUpdateOutcome};

/// This launcher.
#[derive(Debug, Default)]
pub(crate) struct SelfUpdate {
    /// Its executable, as it was found when the process began; an exchange changes what the system
    /// says of it.
    program: Option<Program>,
    /// `--config` and `--home` as they were given, absolute.
    config: Option<PathBuf>,
    home: Option<PathBuf>,
    attempt: Mutex<Option<Attempt>>,
}

impl SelfUpdate {
    /// To be asked for at the start of a process.
    pub(crate) fn new(config: Option<&Path>, home: Option<&Path>) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            program: host::program().map(Program::new),
            config: config.map(absolute),
            home: home.map(absolute),
            attempt: Mutex::default(),
        }
    }

    /// Its executable, if the system tells it.
    pub(crate) fn program(&self) -> Option<&Program> {
        self.program.as_ref()
    }

    /// What another start needs in order to mean the same app and home.
    pub(crate) fn place(&self) -> Vec<OsString> {
        let pair = |name: &str, path: &Option<PathBuf>| {
            path.as_ref().map(|path| [OsString::from(name), path.clone().into()])
        };
        [pair("--config", &self.config), pair("--home", &self.home)]
            .into_iter()
            .flatten()
            .flatten()
            .collect()
    }

    /// The first thing that starting the app does. A launcher that has not come up before is
    /// replaced by the one before it, which then runs instead of this one; its ending is given.
    pub(crate) fn begin(&self) -> Option<Ending> {
        let program = self.program.as_ref()?;
        match program.begin(&own_version()) {
            Begun::Usual => None,
            Begun::Unproved(attempt) => {
                *self.attempt() = Some(attempt);
                None
            }
            Begun::PutBack => self.hand_over(),
        }
    }

    /// This launcher has done what it is for: if it is a new one, it stays.
    pub(crate) fn confirm(&self) {
        let attempt = self.attempt().take();
        if let (Some(program), Some(attempt)) = (&self.program, attempt) {
            program.confirm(attempt);
        }
    }

    fn attempt(&self) -> std::sync::MutexGuard<'_, Option<Attempt>> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exchanges the executable if a newer one is published; whether it was. What goes wrong is
    /// told in the log only.
    pub(crate) fn update(&self, environment: &Environment, go_on: &dyn Fn() -> bool) -> bool {
        let Some(program) = &self.program else { return false };
        program.tidy();
        let test: Vec<OsString> =
            self.place().into_iter().chain(["--json".into(), "self-test".into()]).collect();
        match self_update::perform(environment, program, &test, go_on) {
            Ok(outcome) => matches!(outcome, SelfUpdateOutcome::Exchanged(_)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the launcher stays as it is"
                );
                false
            }
        }
    }

    /// Starts the executable that is in place now instead of this process, with the same arguments;
    /// how it ended, where a process cannot be replaced.
    pub(crate) fn hand_over(&self) -> Option<Ending> {
        let arguments: Vec<OsString> = host::arguments().into_iter().skip(1).collect();
        match self.program.as_ref()?.hand_over(&arguments) {
            Ok(status) => Some(Ending::App(status)),
            Err(error) => {
                tracing::error!(%error, "the launcher that is in place cannot be started; this one goes on");
                None
            }
        }
    }
}
