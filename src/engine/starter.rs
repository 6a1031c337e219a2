//! Ending the app and starting it again: for a switch, a rollback, or since the app asked for it.
//!
//! In: a context, who wants what. Out: the app in its slot, and whoever waits for its end. Never: two apps at once, an app that is ended
//! although it has heard that it should and is asking its user what to do, or a start for a wish that was taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::app::AppSlot;
use super::context::Context;
use super::driver::{choose, start};
use super::machine::{Input, RolledBackTo};
use super::mailbox::Emitter;
use super::problem;
use super::protocol::{Event, Problem, ProblemKind};
use crate::model::{ContainerId, Version};
use crate::store::launch::RunningApp;
use crate::store::rollback;

/// How long an app that is asked by the system to end may take before it is ended.
const PATIENCE_WITH_APP: Duration = Duration::from_secs(10);
/// How long an app that has heard its launcher may take: it may have to ask its user what becomes of unsaved work.
const PATIENCE_WITH_A_PERSON: Duration = Duration::from_secs(60);

/// What a start needs besides the context.
#[derive(Clone)]
pub struct Starter {
    /// For what goes wrong on the way.
    pub emitter: Emitter,
    /// For the end of the app.
    pub inputs: mpsc::UnboundedSender<Input>,
    /// Who waits for it.
    pub watcher: Watcher,
}

/// The one thread that waits for the end of the app, whichever is the last one. Clones share it.
#[derive(Clone, Default)]
pub struct Watcher(Arc<AtomicBool>);

impl Starter {
    /// Ends the running app, switches, starts. If the switch fails the app starts all the same, in the version it had.
    pub fn restart(&self, context: &Context, switch_to: Option<ContainerId>) -> Result<Version, Problem> {
        let _alone = context.app.alone();
        end_app(context)?;
        if let Some(id) = switch_to
            && let Err(problem) = choose(context, id, false, &|event| self.emitter.emit(event))
        {
            tracing::error!(?problem, "the switch failed; starting the version before it");
            self.emitter.emit(Event::Notice { problem });
        }
        self.start(context)
    }

    fn start(&self, context: &Context) -> Result<Version, Problem> {
        let app = start(context).map_err(|error| problem::of_store(&error))?;
        let version = app.container.version.clone();
        self.watcher.watch(app, &context.app, &self.inputs);
        Ok(version)
    }

    /// Waits for the end of the app, which said that it is about to end, and starts the version that is active then. `None` if it goes on
    /// after all (somebody had unsaved work), or if somebody else has started another one meanwhile.
    pub fn restart_when_ended(&self, context: &Context) -> Option<Result<Version, Problem>> {
        let app = context.app.get()?;
        if app.end_by_itself(PATIENCE_WITH_A_PERSON).is_none() {
            app.goes_on();
            tracing::info!("the app wanted to be started anew and has not ended: the wish is forgotten");
            return None;
        }
        let _alone = context.app.alone();
        if !context.app.holds(&app) {
            return None;
        }
        context.channel.release();
        Some(self.start(context))
    }

    /// Ends the running app, goes back, and starts if wanted. An app that somebody else started is not ended.
    pub fn roll_back(&self, context: &Context, to: Option<ContainerId>, launch: bool) -> Result<RolledBackTo, Problem> {
        let home = &context.home;
        // Nothing is ended for what would be refused.
        rollback::check(home, to.as_ref()).map_err(|error| problem::of_store(&error))?;
        let _alone = context.app.alone();
        end_app(context)?;
        let back = context.lock().and_then(|lock| rollback::roll_back(home, to.as_ref(), &lock));
        if launch {
            self.start(context)?;
        }
        let back = back.map_err(|error| problem::of_store(&error))?;
        Ok(RolledBackTo { from: back.from.version, to: back.record.container.version, kept: back.kept, running: launch })
    }
}

/// Ends the running app. One that listens to its launcher ends as it does by itself, and is not ended if its user does not let it; any
/// other is asked in the system's way, and ended if it does not hear.
fn end_app(context: &Context) -> Result<(), Problem> {
    if let Some(app) = context.app.running() {
        if context.channel.ask_to_end() {
            if app.end_by_itself(PATIENCE_WITH_A_PERSON).is_none() {
                app.goes_on();
                let chain = vec!["the app was asked to end and has not".to_owned()];
                return Err(Problem { kind: ProblemKind::AppRunning, subject: app.container.to_string(), chain });
            }
        } else {
            let stopped = app.stop(PATIENCE_WITH_APP);
            stopped.map_err(|error| Problem::new(ProblemKind::LaunchFailed, app.container.to_string(), &error))?;
        }
    }
    context.channel.release();
    Ok(())
}

impl Watcher {
    /// Tells the engine when `app` ends, or the one that took its place by then, unless another one is started in its place.
    pub fn watch(&self, app: Arc<RunningApp>, slot: &AppSlot, inputs: &mpsc::UnboundedSender<Input>) {
        if self.0.swap(true, Ordering::AcqRel) {
            // The one that waits goes on with whatever was started.
            return;
        }
        let (watching, slot, inputs) = (Arc::clone(&self.0), slot.clone(), inputs.clone());
        let spawned = std::thread::Builder::new().name("app".to_owned()).spawn(move || {
            let mut app = app;
            loop {
                // A version on probation may be tried again, or be replaced by the one before it.
                while let (_, Some(next)) = slot.wait_for(&app) {
                    app = next;
                }
                watching.store(false, Ordering::Release);
                if slot.holds(&app) {
                    let _ = inputs.send(Input::AppEnded);
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
