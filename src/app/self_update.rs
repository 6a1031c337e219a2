//! The launcher's own executable and how it was called, for its self-update and for shortcuts.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::Ending;
use crate::desktop::program::{Attempt, Begun, LauncherFile};
use crate::environment::Environment;
use crate::error_chain;
use crate::host;
use crate::model::launcher::own_version;
use crate::mutex;
use crate::update::self_update::{self, SelfUpdateOutcome};

/// The executable of this launcher, with its options.
#[derive(Debug, Default)]
pub(crate) struct SelfUpdate {
    /// The path of the executable when the process began; after an exchange the system may name
    /// another path.
    program: Option<LauncherFile>,
    /// `--config` and `--home` as given, made absolute.
    config: Option<PathBuf>,
    home: Option<PathBuf>,
    attempt: Mutex<Option<Attempt>>,
}

impl SelfUpdate {
    /// Call it at the start of a process.
    pub(crate) fn new(config: Option<&Path>, home: Option<&Path>) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            program: host::program().map(LauncherFile::new),
            config: config.map(absolute),
            home: home.map(absolute),
            attempt: Mutex::default(),
        }
    }

    /// The executable, if the system names it.
    pub(crate) fn program(&self) -> Option<&LauncherFile> {
        self.program.as_ref()
    }

    /// The options that another start needs in order to use the same app and home.
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

    /// The first action of a start of the app. If this launcher is new and did not come up before,
    /// the one before it is put back and runs instead; the result is its ending.
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

    /// Confirms that this launcher has started the app: a new launcher stays from now on. Removes
    /// an old one that was still running when the new one was confirmed.
    pub(crate) fn confirm(&self) {
        let Some(program) = &self.program else { return };
        match self.attempt().take() {
            Some(attempt) => program.confirm(attempt),
            None => program.remove_left(),
        }
    }

    fn attempt(&self) -> std::sync::MutexGuard<'_, Option<Attempt>> {
        mutex::lock(&self.attempt)
    }

    /// Exchanges the executable if a newer one is published; returns whether it did. Errors are
    /// only logged.
    pub(crate) fn update(&self, environment: &Environment, go_on: &dyn Fn() -> bool) -> bool {
        let Some(program) = &self.program else { return false };
        program.remove_left();
        let test: Vec<OsString> =
            self.place().into_iter().chain(["--json".into(), "self-test".into()]).collect();
        match self_update::perform(environment, program, &test, go_on) {
            Ok(outcome) => matches!(outcome, SelfUpdateOutcome::Exchanged(_)),
            Err(error) => {
                tracing::warn!(error = error_chain::line(&error), "the launcher stays as it is");
                false
            }
        }
    }

    /// Replaces this process by the executable that is now in place, with the same arguments. Where
    /// the system cannot replace a process, it returns how the executable ended.
    pub(crate) fn hand_over(&self) -> Option<Ending> {
        let arguments: Vec<OsString> = host::arguments().into_iter().skip(1).collect();
        match self.program.as_ref()?.hand_over(&arguments) {
            Ok(status) => Some(Ending::App(status)),
            Err(error) => {
                tracing::error!(
                    error = error_chain::line(&error),
                    "the launcher that is in place cannot be started; this one goes on"
                );
                None
            }
        }
    }
}
