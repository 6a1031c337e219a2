//! Starts the app again: for a switch, for a rollback, or because the app asked for it.
//!
//! In: the reason for the restart. Out: the app in its handle, and a thread that waits for its end.
//! Never: runs two apps at once, ends an app without its user's consent (see [`super::closing`]),
//! or starts for a request that was taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::app::AppHandle;
use super::app_session::AppSession;
use super::closing::{self, CloseControl, Closed};
use super::supervisor;
use super::switching::{choose, happening};
use crate::error_chain;
use crate::host::processes;
use crate::messages::language::{Back, MachineInput, RolledBackTo, SwitchTo};
use crate::messages::mailbox::Emitter;
use crate::messages::problem;
use crate::messages::protocol::{Event, FilesHeld, Problem, ProblemKind};
use crate::model::{ContainerId, Version};
use crate::reports;
use crate::store::launch::RunningApp;
use crate::store::lock::RunningLock;
use crate::store::{recall, rollback, usage};
use crate::threads;

/// How long an app that has announced its end may take, unless it asks its user something.
const OWN_END_WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Starter {
    /// The session: the app and its environment.
    pub session: AppSession,
    /// Takes the events of failures on the way.
    pub emitter: Emitter,
    /// Takes the input for the end of the app.
    pub inputs: mpsc::UnboundedSender<MachineInput>,
    /// The thread that waits for that end.
    pub watcher: Watcher,
}

/// The one thread that waits for the end of the app started last. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Watcher(Arc<AtomicBool>);

impl Starter {
    /// Closes the running app, and waits as long as its user needs. Returns whether the app has
    /// ended. Closes nothing if the version must change for the request and cannot.
    pub(crate) fn close(
        &self,
        back: Option<&Back>,
        control: &CloseControl,
    ) -> Result<bool, Problem> {
        let home = self.session.home();
        if let Some(Back { to }) = back {
            // A rollback that would be refused closes no app.
            rollback::check(home, to.as_ref()).map_err(|error| problem::of_store(&error))?;
        }
        let Some(app) = self.session.app.running() else { return Ok(true) };
        let active = home.named().ok().flatten();
        if let Some(active) = active.filter(|active| back.is_some() || active.pending.is_some()) {
            refuse_beside_an_instance(&self.session, &active.container, &app)?;
        }
        let on_wait = |wait| {
            // Once the engine has ended there is no receiver.
            let _ = self.inputs.send(MachineInput::Closing(wait));
        };
        Ok(closing::close(&app, &self.session.channel, control, &on_wait) == Closed::Ended)
    }

    /// Switches and starts, while no app runs. If the switch fails the app starts all the same, in
    /// the version it had.
    pub(crate) fn restart(&self, switch_to: Option<SwitchTo>) -> Result<Version, Problem> {
        let _alone = self.session.app.alone();
        refuse_beside_an_app(&self.session)?;
        if let Some(to) = switch_to {
            let environment = &self.session.environment;
            let was_recalled = recall::is_active_recalled(&environment.home);
            let version = to.id.version.clone();
            let chosen = choose(environment, to, false, &|event| self.emitter.emit(event));
            if let Some(happening) = happening(&version, &chosen, was_recalled) {
                reports::record_soon(environment, happening);
            }
            if let Err(problem) = chosen {
                tracing::error!(?problem, "the switch failed; starting the version before it");
                self.emitter.emit(Event::Notice { problem });
            }
        }
        self.start()
    }

    fn start(&self) -> Result<Version, Problem> {
        let app =
            supervisor::start(&self.session, &|_| ()).map_err(|error| problem::of_store(&error))?;
        let version = app.container.version.clone();
        self.watcher.watch(app, &self.session.app, &self.inputs);
        Ok(version)
    }

    /// Waits for the end of the app, which has announced it, and starts the version that is active
    /// then. `None` if the app goes on after all (its user had unsaved work), or if another thread
    /// has started an app meanwhile.
    pub(crate) fn restart_when_ended(&self) -> Option<Result<Version, Problem>> {
        let app = self.session.app.get()?;
        self.session.channel.expect_end();
        if closing::wait_for_own_end(&app, &self.session.channel, OWN_END_WITHIN) == Closed::GoesOn
        {
            tracing::info!(
                "the app wanted to be started anew and has not ended: the wish is forgotten"
            );
            return None;
        }
        let _alone = self.session.app.alone();
        if !self.session.app.holds(&app) {
            return None;
        }
        self.session.channel.release();
        Some(self.start())
    }

    /// Rolls back, and starts the app if requested. No app of this launcher runs.
    pub(crate) fn roll_back(
        &self,
        to: Option<ContainerId>,
        launch: bool,
    ) -> Result<RolledBackTo, Problem> {
        let home = self.session.home();
        let _alone = self.session.app.alone();
        refuse_beside_an_app(&self.session)?;
        let back = self
            .session
            .environment
            .lock()
            .and_then(|lock| rollback::roll_back(home, to.as_ref(), &lock));
        if launch {
            self.start()?;
        }
        let back = back.map_err(|error| problem::of_store(&error))?;
        let files = FilesHeld {
            of_left: usage::holds_all_user_files(&back.retained),
            of_active: usage::holds_all_user_files(&home.container(&back.record.container)),
        };
        let to = back.record.container.version;
        Ok(RolledBackTo {
            from: back.from.version,
            to,
            retained: back.retained,
            files,
            running: launch,
        })
    }
}

/// Refuses a start while an app runs: the thread that attends the ended app may have started
/// another one in its place, and that one goes on.
fn refuse_beside_an_app(session: &AppSession) -> Result<(), Problem> {
    if let Some(app) = session.app.running() {
        let chain = vec!["the app runs again".to_owned()];
        return Err(Problem {
            kind: ProblemKind::AppRunning,
            subject: app.container.to_string(),
            chain,
        });
    }
    session.channel.release();
    Ok(())
}

/// Refuses to leave the active version while a second instance of it runs: its files are in use, so
/// the app would be closed and start again as it was.
fn refuse_beside_an_instance(
    session: &AppSession,
    active: &ContainerId,
    app: &RunningApp,
) -> Result<(), Problem> {
    let mut own = app.processes();
    if let Ok(tree) = processes::trees(&own) {
        own.extend(tree.iter().map(|process| process.id));
    }
    if !RunningLock::is_run_beside(session.home(), active, &own) {
        return Ok(());
    }
    tracing::info!("a second instance of the app is open: nothing is closed");
    Err(Problem {
        kind: ProblemKind::OpenTwice,
        subject: active.version.to_string(),
        chain: vec![format!("another process runs {active}")],
    })
}

impl Watcher {
    /// Notifies the engine when `app` ends, or the app that took its place by then, unless another
    /// one is started in its place.
    pub(crate) fn watch(
        &self,
        app: Arc<RunningApp>,
        handle: &AppHandle,
        inputs: &mpsc::UnboundedSender<MachineInput>,
    ) {
        if self.0.swap(true, Ordering::AcqRel) {
            // The waiting thread also covers the app that was just started.
            return;
        }
        let (watching, handle, inputs) = (Arc::clone(&self.0), handle.clone(), inputs.clone());
        let spawned = threads::spawn("app", move || {
            let mut app = app;
            loop {
                // A version on probation may be tried again, or be replaced by the one before it.
                while let (_, Some(next)) = handle.wait_for(&app) {
                    app = next;
                }
                watching.store(false, Ordering::Release);
                if handle.holds(&app) {
                    let _ = inputs.send(MachineInput::AppEnded);
                    return;
                }
                // An app was started since, perhaps by a thread that relies on this one.
                if watching.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
        if let Err(error) = spawned {
            self.0.store(false, Ordering::Release);
            tracing::warn!(
                error = error_chain::line(&error),
                "the end of the app will not be noticed"
            );
        }
    }
}
