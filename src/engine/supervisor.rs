//! Starting the app, and staying with a version on probation until it has come up: tried again once, then rolled back, code and
//! the user's files, with nobody asked.
//!
//! The start is counted before it happens, so that also one that takes the launcher along counts. While the app is on probation a thread
//! looks at it some times a second; once it is up, and for every other version, nothing here wakes the processor. In: a context. Out:
//! the running app in its slot, what happened as a notice. Never: a second attempt for a version that was settled, or a rollback
//! of a rollback.

use std::sync::Arc;
use std::time::Duration;

use super::app::{self, Attending};
use super::context::Context;
use super::health::{self, Ended, Observation, Rules, Verdict};
use crate::causes;
use crate::model::happened::{Failure, Happened};
use crate::store::launch::{self, RunningApp, exit_code};
use crate::store::lock::RunningLock;
use crate::store::probation;
use crate::store::rollback::{self, RolledBack};
use crate::store::switch::{self, Means, Resolved};
use crate::store::{InstalledRecord, Probation, StoreError};

/// Between two looks at an app that is not known to be up.
const LOOK: Duration = Duration::from_millis(100);
/// How long an app that hangs may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Starts the active version, a pending switch first, and attends it while it is on probation.
pub fn start(context: &Context) -> Result<Arc<RunningApp>, StoreError> {
    let means =
        Means { variable: &context.variable, migration_limit: context.settings.update.migration_limit(), told: &|_, _| () };
    let resolved = switch::resolve_for_start(&context.home, means)?;
    notice_switch(context, &resolved);
    let (record, probation) = count(context, resolved.record);
    let Some(probation) = probation else {
        let app = app::launch_or_other(&context.home, &record, &context.arguments, &context.variable)?;
        return Ok(context.app.set(app));
    };
    let (app, attending) = match launch(context, &record) {
        Ok(app) => context.app.set_attended(app),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a version on probation cannot be started");
            let record = match go_back(context, &record, Failure::NotStarted) {
                Ok(back) => back.record,
                Err(_) => record,
            };
            let app = app::launch_or_other(&context.home, &record, &context.arguments, &context.variable)?;
            return Ok(context.app.set(app));
        }
    };
    let (thread_context, attended) = (context.clone(), Arc::clone(&app));
    let thread = std::thread::Builder::new()
        .name("supervisor".to_owned())
        .spawn(move || attend(&thread_context, record, probation, attended, attending));
    if let Err(error) = thread {
        tracing::warn!(%error, "nobody stays with the version on probation");
    }
    Ok(app)
}

fn launch(context: &Context, record: &InstalledRecord) -> Result<RunningApp, StoreError> {
    launch::start(&context.home, record, &context.arguments, &context.variable)
}

/// What a person should know of a switch that was carried out before this start.
fn notice_switch(context: &Context, resolved: &Resolved) {
    let version = || resolved.record.container.version.clone();
    match &resolved.switched {
        Some(Ok(migration)) if !migration.conflicts.is_empty() => {
            leave(context, Happened::Conflicts { version: version(), files: migration.conflicts.clone() });
        }
        Some(Err((to, error))) if error.is_final() => {
            let to = to.version.clone();
            forget_version(context, &to);
            leave(context, Happened::NotSwitched { to, chain: causes::list(error) });
        }
        _ => {}
    }
}

fn leave(context: &Context, what: Happened) {
    context.app.tell(&what);
    if let Err(error) = probation::leave_notice(&context.home, what, jiff::Timestamp::now()) {
        tracing::warn!(error = &error as &dyn std::error::Error, "nobody will be told");
    }
}

/// Whether it is written down that the version is not to be offered again.
fn forget_version(context: &Context, version: &crate::model::Version) -> bool {
    let written = probation::remember_failed(&context.home, version);
    if let Err(error) = &written {
        tracing::warn!(error = error as &dyn std::error::Error, "the failed version may be offered again");
    }
    written.is_ok()
}

/// Counts the start of a version on probation, which may be one too many: then the version to start is the one before it.
fn count(context: &Context, record: InstalledRecord) -> (InstalledRecord, Option<Probation>) {
    let home = &context.home;
    let Some(probation) = home.active().ok().and_then(|(active, _)| active.probation) else { return (record, None) };
    if probation.up {
        return (record, Some(probation));
    }
    if launch::said_last(home, &record.container) == Some(probation::Said::Up) {
        // It came up, and the launcher did not live to see it.
        let up = change(context, &record, |probation| Some(Probation { up: true, failures: 0, ..probation }));
        return (record, up.or(Some(probation)));
    }
    if probation.starts >= health::MOST_UNKNOWN_STARTS {
        return match go_back(context, &record, Failure::NeverUp) {
            Ok(back) => (back.record, None),
            Err(_) => version_before(context, &record).map_or((record, Some(probation)), |before| (before, None)),
        };
    }
    let counted = change(context, &record, |probation| Some(Probation { starts: probation.starts + 1, ..probation }));
    (record, counted.or(Some(probation)))
}

/// Writes down how the probation goes on. That it cannot be written is told in the log: then it goes on as if it had been.
fn change(
    context: &Context,
    record: &InstalledRecord,
    changed: impl FnOnce(Probation) -> Option<Probation>,
) -> Option<Probation> {
    let written = context.lock().and_then(|lock| probation::change(&context.home, &record.container, &lock, changed));
    written.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "the probation is not written down");
        None
    })
}

fn rules(context: &Context) -> Rules {
    let health = &context.settings.health;
    Rules {
        survival: Duration::from_secs(health.survival_seconds),
        up_within: Duration::from_secs(health.up_within_seconds),
        tries: health.tries,
    }
}

/// Stays with `app` until it is decided what becomes of its version.
fn attend(
    context: &Context,
    record: InstalledRecord,
    mut probation: Probation,
    mut app: Arc<RunningApp>,
    mut attending: Attending,
) {
    let rules = rules(context);
    loop {
        if probation.up {
            attending.came_up();
        }
        let verdict = watch(context, &record, &rules, (&app, &attending), &mut probation);
        let Verdict::Failed(failure) = verdict else {
            if verdict == Verdict::Settled {
                tracing::info!(container = %record.container, "the new version has proved itself");
                change(context, &record, |_| None);
            }
            return;
        };
        tracing::error!(?failure, container = %record.container, age = ?app.age(), "a version on probation failed");
        if app.ended().is_none()
            && let Err(error) = app.stop(PATIENCE)
        {
            tracing::error!(%error, "it cannot be ended");
        }
        probation.failures += 1;
        let failures = probation.failures;
        change(context, &record, |probation| Some(Probation { failures, ..probation }));
        let next = if health::is_beaten(&rules, failures, probation.up) {
            match go_back(context, &record, failure) {
                Ok(back) => back.record,
                Err(_) => match version_before(context, &record) {
                    Some(before) => before,
                    None => return,
                },
            }
        } else if probation.up {
            // It worked for a while; whoever saw it crash decides whether to start it again.
            return;
        } else {
            record.clone()
        };
        let again = next.container == record.container;
        let started = attending.replace(|| app::launch_or_other(&context.home, &next, &context.arguments, &context.variable));
        match started {
            Ok(Some(started)) if again => app = started,
            // The version before has proved itself long ago; or somebody else started the app.
            Ok(_) => return,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the next start failed");
                return;
            }
        }
    }
}

/// Looks at the app until something is known for good; notes on the way that it is up.
fn watch(
    context: &Context,
    record: &InstalledRecord,
    rules: &Rules,
    (app, attending): (&RunningApp, &Attending),
    probation: &mut Probation,
) -> Verdict {
    loop {
        let ended = app.ended().map(|status| health::ended(exit_code(status), app.was_asked_to_end()));
        let seen = Observation {
            age: app.age(),
            ended,
            said: app.said(),
            reports_up: app.reports_up(),
            another_runs: ended == Some(Ended::Well) && RunningLock::is_held(&context.home, &record.container),
            was_up: probation.up,
        };
        match health::judge(rules, &seen) {
            Verdict::Wait => std::thread::sleep(LOOK),
            Verdict::Up => {
                if !probation.up {
                    tracing::info!(container = %record.container, age = ?seen.age, "the new version is up");
                    (probation.up, probation.failures) = (true, 0);
                    attending.came_up();
                    change(context, record, |probation| Some(Probation { up: true, failures: 0, ..probation }));
                }
                // Its end is the next thing that tells something.
                app.wait();
            }
            verdict => return verdict,
        }
    }
}

/// The version to start although going back to it could not be written down, or not to the end: on a full or read-only disk the app
/// starts all the same, and the next start tries again.
fn version_before(context: &Context, failed: &InstalledRecord) -> Option<InstalledRecord> {
    if !context.settings.health.automatic_rollback {
        return None;
    }
    match context.home.active() {
        Ok((_, active)) if active.container != failed.container => Some(active),
        _ => context.home.record(&rollback::default_point(&context.home)?.container).ok(),
    }
}

/// Rolls back, remembers, and leaves a notice.
fn go_back(context: &Context, record: &InstalledRecord, failure: Failure) -> Result<RolledBack, StoreError> {
    if !context.settings.health.automatic_rollback {
        return Err(StoreError::NoRollbackPoint { id: record.container.to_string() });
    }
    // Before, so that a kill does not leave a version that nobody knows to have failed.
    let is_known = forget_version(context, &record.container.version);
    let back = context.lock().and_then(|lock| rollback::roll_back(&context.home, None, &lock));
    if !is_known {
        forget_version(context, &record.container.version);
    }
    match &back {
        Ok(back) => leave(
            context,
            Happened::RolledBack {
                from: back.from.version.clone(),
                to: back.record.container.version.clone(),
                failure,
                kept: back.kept.clone(),
            },
        ),
        Err(error) => tracing::error!(error = error as &dyn std::error::Error, "it could not be rolled back"),
    }
    back
}
