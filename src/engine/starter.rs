//! Starting the app anew: for a switch, a rollback, or since the app asked for it.
//!
//! In: a context, who wants what. Out: the app in its slot, and whoever waits for its end. Never:
//! two apps at once, an app that is ended without its person's word (see [`super::closing`]), or a
//! start for a wish that was taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::driver::{choose, start};
use crate::messages::language::{Back, MachineInput, RolledBackTo};
use crate::messages::mailbox::Emitter;
use crate::messages::problem;
use crate::messages::protocol::{Event, FilesHeld, Problem, ProblemKind};
use crate::model::{ContainerId, Version};
use crate::session::app::AppSlot;
use crate::session::closing::{self, CloseControl, Closed};
use crate::store::launch::RunningApp;
use crate::store::{rollback, usage};
use crate::threads;
use crate::update::context::Context;

/// How long an app that is about to end by itself may take, without asking its person anything.
const OWN_END_WITHIN: Duration = Duration::from_secs(60);

/// What a start needs besides the context.
#[derive(Clone)]
pub(super) struct Starter {
    /// For what goes wrong on the way.
    pub emitter: Emitter,
    /// For the end of the app.
    pub inputs: mpsc::UnboundedSender<MachineInput>,
    /// Who waits for it.
    pub watcher: Watcher,
}

/// The one thread that waits for the end of the app, whichever is the last one. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Watcher(Arc<AtomicBool>);

impl Starter {
    /// Has the running app closed, and waits for it as long as it takes its person. Whether it has
    /// ended.
    pub(super) fn close(
        &self,
        context: &Context,
        back: Option<Back>,
        control: &CloseControl,
    ) -> Result<bool, Problem> {
        if let Some(Back { to }) = back {
            // Nothing is closed for what would be refused.
            rollback::check(&context.home, to.as_ref())
                .map_err(|error| problem::of_store(&error))?;
        }
        let Some(app) = context.app.running() else { return Ok(true) };
        let on_wait = |wait| {
            // Nobody is left to hear it once the engine has ended.
            let _ = self.inputs.send(MachineInput::Closing(wait));
        };
        Ok(closing::close(&app, &context.channel, control, &on_wait) == Closed::Ended)
    }

    /// Switches and starts; no app runs. If the switch fails the app starts all the same, in the
    /// version it had.
    pub(super) fn restart(
        &self,
        context: &Context,
        switch_to: Option<ContainerId>,
    ) -> Result<Version, Problem> {
        let _alone = context.app.alone();
        refuse_beside_an_app(context)?;
        if let Some(id) = switch_to
            && let Err(problem) = choose(context, id, false, &|event| self.emitter.emit(event))
        {
            tracing::error!(?problem, "the switch failed; starting the version before it");
            self.emitter.emit(Event::Notice { problem });
        }
        self.start(context)
    }

    fn start(&self, context: &Context) -> Result<Version, Problem> {
        let app = start(context, &|_| ()).map_err(|error| problem::of_store(&error))?;
        let version = app.container.version.clone();
        self.watcher.watch(app, &context.app, &self.inputs);
        Ok(version)
    }

    /// Waits for the end of the app, which said that it is about to end, and starts the version
    /// that is active then. `None` if it goes on after all (somebody had unsaved work), or if
    /// somebody else has started another one meanwhile.
    pub(super) fn restart_when_ended(&self, context: &Context) -> Option<Result<Version, Problem>> {
        let app = context.app.get()?;
        context.channel.expect_end();
        if closing::wait_for_own_end(&app, &context.channel, OWN_END_WITHIN) == Closed::GoesOn {
            tracing::info!(
                "the app wanted to be started anew and has not ended: the wish is forgotten"
            );
            return None;
        }
        let _alone = context.app.alone();
        if !context.app.holds(&app) {
            return None;
        }
        context.channel.release();
        Some(self.start(context))
    }

    /// Goes back, and starts if wanted; no app of ours runs.
    pub(super) fn roll_back(
        &self,
        context: &Context,
        to: Option<ContainerId>,
        launch: bool,
    ) -> Result<RolledBackTo, Problem> {
        let home = &context.home;
        let _alone = context.app.alone();
        refuse_beside_an_app(context)?;
        let back = context.lock().and_then(|lock| rollback::roll_back(home, to.as_ref(), &lock));
        if launch {
            self.start(context)?;
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
fn refuse_beside_an_app(context: &Context) -> Result<(), Problem> {
    if let Some(app) = context.app.running() {
        let chain = vec!["the app runs again".to_owned()];
        return Err(Problem {
            kind: ProblemKind::AppRunning,
            subject: app.container.to_string(),
            chain,
        });
    }
    context.channel.release();
    Ok(())
}

impl Watcher {
    /// Tells the engine when `app` ends, or the one that took its place by then, unless another one
    /// is started in its place.
    pub(super) fn watch(
        &self,
        app: Arc<RunningApp>,
        slot: &AppSlot,
        inputs: &mpsc::UnboundedSender<MachineInput>,
    ) {
        if self.0.swap(true, Ordering::AcqRel) {
            // The one that waits goes on with whatever was started.
            return;
        }
        let (watching, slot, inputs) = (Arc::clone(&self.0), slot.clone(), inputs.clone());
        let spawned = threads::spawn("app", move || {
            let mut app = app;
            loop {
                // A version on probation may be tried again, or be replaced by the one before it.
                while let (_, Some(next)) = slot.wait_for(&app) {
                    app = next;
                }
                watching.store(false, Ordering::Release);
                if slot.holds(&app) {
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
