//! Starting the app anew: for a switch, a rollback, or since the app asked for it.
//!
//! In: who wants what. Out: the app in its handle, and whoever waits for its end. Never: two apps at
//! once, an app that is ended without its person's word (see [`super::closing`]), or a start for a
//! wish that was taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::app::AppHandle;
use super::app_session::AppSession;
use super::closing::{self, CloseControl, Closed};
use super::supervisor;
use super::switching::choose;
use crate::messages::language::{Back, MachineInput, RolledBackTo};
use crate::messages::mailbox::Emitter;
use crate::messages::problem;
use crate::messages::protocol::{Event, FilesHeld, Problem, ProblemKind};
use crate::model::{ContainerId, Version};
use crate::store::launch::RunningApp;
use crate::store::{rollback, usage};
use crate::threads;

/// How long an app that is about to end by itself may take, without asking its person anything.
const OWN_END_WITHIN: Duration = Duration::from_secs(60);

/// What a start needs.
#[derive(Clone)]
pub(crate) struct Starter {
    /// The app, and what it is started in.
    pub session: AppSession,
    /// For what goes wrong on the way.
    pub emitter: Emitter,
    /// For the end of the app.
    pub inputs: mpsc::UnboundedSender<MachineInput>,
    /// Who waits for it.
    pub watcher: Watcher,
}

/// The one thread that waits for the end of the app, whichever is the last one. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Watcher(Arc<AtomicBool>);

impl Starter {
    /// Has the running app closed, and waits for it as long as it takes its person. Whether it has
    /// ended.
    pub(crate) fn close(
        &self,
        back: Option<Back>,
        control: &CloseControl,
    ) -> Result<bool, Problem> {
        if let Some(Back { to }) = back {
            // Nothing is closed for what would be refused.
            rollback::check(self.session.home(), to.as_ref())
                .map_err(|error| problem::of_store(&error))?;
        }
        let Some(app) = self.session.app.running() else { return Ok(true) };
        let on_wait = |wait| {
            // Nobody is left to hear it once the engine has ended.
            let _ = self.inputs.send(MachineInput::Closing(wait));
        };
        Ok(closing::close(&app, &self.session.channel, control, &on_wait) == Closed::Ended)
    }

    /// Switches and starts; no app runs. If the switch fails the app starts all the same, in the
    /// version it had.
    pub(crate) fn restart(&self, switch_to: Option<ContainerId>) -> Result<Version, Problem> {
        let _alone = self.session.app.alone();
        refuse_beside_an_app(&self.session)?;
        if let Some(id) = switch_to
            && let Err(problem) =
                choose(&self.session.environment, id, false, &|event| self.emitter.emit(event))
        {
            tracing::error!(?problem, "the switch failed; starting the version before it");
            self.emitter.emit(Event::Notice { problem });
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

    /// Waits for the end of the app, which said that it is about to end, and starts the version
    /// that is active then. `None` if it goes on after all (somebody had unsaved work), or if
    /// somebody else has started another one meanwhile.
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

    /// Goes back, and starts if wanted; no app of ours runs.
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
            of_left: usage::holds_user_files(&back.retained),
            of_active: usage::holds_user_files(&home.container(&back.record.container)),
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

/// Nothing is started beside an app: one that was started in the place of the one that has ended,
/// by whoever attends it, goes on.
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

impl Watcher {
    /// Tells the engine when `app` ends, or the one that took its place by then, unless another one
    /// is started in its place.
    pub(crate) fn watch(
        &self,
        app: Arc<RunningApp>,
        handle: &AppHandle,
        inputs: &mpsc::UnboundedSender<MachineInput>,
    ) {
        if self.0.swap(true, Ordering::AcqRel) {
            // The one that waits goes on with whatever was started.
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
                // Started since: whoever did so may have relied on this thread.
                if watching.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
        if let Err(error) = spawned {
            self.0.store(false, Ordering::Release);
            tracing::warn!(%error, "the end of the app will not be noticed");
        }
    }
}
