//! The verbs that bring a release to this computer: `check`, `update`, `install`, and a bundle that
//! the user opened.
//!
//! In: the typed arguments. Out: commands to an engine, and how they ended. Never: a decision about
//! a release, which is the engine's.

use std::path::PathBuf;

use super::invocation::Invocation;
use crate::app::{Ending, log, run, shortcuts, terminal};
use crate::engine::driver;
use crate::messages::language::Setup;
use crate::messages::problem;
use crate::messages::protocol::{CheckTrigger, Command, Phase, ProblemKind};
use crate::model::Version;
use crate::store::StoreError;

/// What a person accepts of a bundle that is installed without a question.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Accept {
    /// Metadata that is too old to say that there is nothing newer.
    pub(super) expired: bool,
    /// A release that is older than the active version.
    pub(super) older: bool,
}

impl Invocation<'_> {
    pub(super) fn check(&self) -> Ending {
        self.engine(Command::Check(CheckTrigger::Person), |phase| match phase {
            Phase::Offered { .. } => Some(Ending::Done),
            Phase::UpToDate { .. } => Some(Ending::NothingToDo),
            Phase::Failed { .. } => Some(Ending::Failed),
            _ => None,
        })
    }

    /// Shows what an update would do.
    pub(super) fn plan(&self, to: Option<Version>) -> Ending {
        let command = to.map_or(Command::Check(CheckTrigger::Person), Command::CheckVersion);
        self.engine(command, |phase| match phase {
            Phase::Offered { offer } => {
                terminal::plan_lines(&offer.plan, &self.output.texts)
                    .iter()
                    .for_each(|line| self.output.say(line));
                Some(Ending::Done)
            }
            Phase::UpToDate { .. } => Some(Ending::NothingToDo),
            Phase::Failed { .. } => Some(Ending::Failed),
            _ => None,
        })
    }

    pub(super) fn update(&self, to: Option<Version>) -> Ending {
        if let Some(version) = &to
            && !matches!(self.record(version), Err(StoreError::NotInstalled { .. }))
        {
            self.say_if_older(version);
            return self
                .switch(version)
                .unwrap_or_else(|error| self.output.problem(&problem::of_store(&error)));
        }
        let handle_offer = to.is_none();
        let environment = self.environment();
        let was_empty = shortcuts::is_empty(&environment.home);
        let (handle, thread) = match driver::spawn(self.app_session(), Setup::default()) {
            Ok(engine) => engine,
            Err(problem) => return self.output.problem(&problem),
        };
        handle.send(to.map_or(Command::Check(CheckTrigger::Person), Command::StartVersion));
        let ending = terminal::follow(&handle, self.output, |phase| match phase {
            Phase::Offered { .. } if handle_offer => {
                handle.send(Command::Start);
                None
            }
            Phase::UpToDate { .. } => Some(Ending::NothingToDo),
            Phase::Ready { .. } => Some(Ending::Done),
            // The newer launcher can do what this one cannot.
            Phase::Failed { problem }
                if problem.kind == ProblemKind::LauncherTooOld
                    && self.own.update(&environment, &|| true) =>
            {
                Some(self.own.hand_over().unwrap_or(Ending::Failed))
            }
            Phase::Failed { .. } | Phase::Cancelled => Some(Ending::Failed),
            _ => None,
        });
        driver::quit(&handle, thread);
        if matches!(ending, Ending::Done | Ending::NothingToDo) {
            shortcuts::follow(&environment, self.own, was_empty);
            self.own.update(&environment, &|| true);
        }
        ending
    }

    /// Says that an installed version is no new one.
    fn say_if_older(&self, version: &Version) {
        let Some(current) = self.chosen().map(|id| id.version).filter(|id| id > version) else {
            return;
        };
        let versions = [("version", version.to_string()), ("current", current.to_string())];
        let versions = versions.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.output.say(&self.output.texts.with("offer-title-older", &versions));
    }

    /// Fetches a release without making it the active version.
    pub(super) fn prefetch(&self, to: Option<Version>) -> Ending {
        let (handle, thread) = match driver::spawn(self.app_session(), Setup::default()) {
            Ok(engine) => engine,
            Err(problem) => return self.output.problem(&problem),
        };
        handle.send(to.map_or(Command::Check(CheckTrigger::Person), Command::CheckVersion));
        let began = std::cell::Cell::new(false);
        let ending = terminal::follow(&handle, self.output, |phase| match phase {
            Phase::Offered { offer } if offer.plan.is_local() => {
                Some(if began.get() { Ending::Done } else { Ending::NothingToDo })
            }
            Phase::Offered { .. } => {
                began.set(true);
                handle.send(Command::Prefetch);
                None
            }
            Phase::UpToDate { .. } => Some(Ending::NothingToDo),
            Phase::Failed { .. } | Phase::Cancelled => Some(Ending::Failed),
            _ => None,
        });
        driver::quit(&handle, thread);
        ending
    }

    /// Installs the release in a bundle.
    pub(super) fn install(&self, file: PathBuf, accept: Accept) -> Ending {
        let (handle, thread) = match driver::spawn(self.app_session(), Setup::default()) {
            Ok(engine) => engine,
            Err(problem) => return self.output.problem(&problem),
        };
        handle.send(Command::Check(CheckTrigger::Bundle(file)));
        let ending = terminal::follow_bundle(&handle, self.output, |phase| match phase {
            Phase::Offered { offer } if offer.replaces_newer().is_some() && !accept.older => {
                Some(Ending::NothingToDo)
            }
            Phase::Offered { .. } => {
                handle.send(Command::Start);
                None
            }
            Phase::UpToDate { .. } => Some(Ending::NothingToDo),
            Phase::Ready { .. } => Some(Ending::Done),
            Phase::Failed { problem }
                if problem.kind == ProblemKind::BundleExpired && accept.expired =>
            {
                let [what, why, _] = self.output.texts.problem(problem);
                self.output.say(&what);
                self.output.say(&why);
                handle.send(Command::AcceptExpired);
                None
            }
            Phase::Failed { .. } | Phase::Cancelled => Some(Ending::Failed),
            _ => None,
        });
        driver::quit(&handle, thread);
        ending
    }

    /// Shows the release of a bundle and asks. Without a window it installs the release, as the
    /// verb does.
    pub(super) fn open(&self, file: PathBuf) -> Ending {
        if self.common.headless || self.common.json {
            log::to_terminal(self.common.verbose);
            return self.install(file, Accept::default());
        }
        if self.common.verbose {
            log::to_terminal(true);
        } else {
            log::to_folder(&self.place.home.logs());
        }
        run::open(&self.app_session_of_window(), file, self.options(), self.output)
    }
}
