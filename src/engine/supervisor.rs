//! Starting the app, and staying with a version on probation until it has come up: tried again once, then rolled back, code and
//! the user's files, with nobody asked.
//!
//! The start is counted before it happens, so that also one that takes the launcher along counts. While the app is on probation a thread
//! looks at it some times a second until it is up, and then every few seconds until it is settled; for every other version nothing here
//! wakes the processor. In: a context. Out: the running app in its slot, what happened as a notice. Never: a judgement on a version
//! that is no longer the active one (another launcher may have rolled it back), a second attempt for one that was settled, or a rollback
//! of a rollback. Where a rollback cannot be written down (a full disk), the version it would go to is started all the same.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use super::app::{self, Attending};
use super::closing;
use super::context::Context;
use super::health::{self, Ended, Observation, Rules, Verdict};
use crate::causes;
use crate::model::Version;
use crate::model::happened::{Failure, Happened};
use crate::store::launch::{self, Call, RunningApp, Which, exit_code};
use crate::store::lock::RunningLock;
use crate::store::probation::{self, Said};
use crate::store::rollback;
use crate::store::switch::{self, Means, Resolved};
use crate::store::{InstalledRecord, Probation, State, StoreError};

/// Between two looks at an app that is not known to be up.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks at an app that is up and not settled yet.
const LOOK_WHEN_UP: Duration = Duration::from_secs(2);
/// How long an app that hangs may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a start is begun anew because another launcher was switching.
const MOST_RESOLUTIONS: u32 = 5;

/// Starts the active version, a pending switch first, and attends it while it is on probation.
pub fn start(context: &Context) -> Result<Arc<RunningApp>, StoreError> {
    let mut resolutions = 0;
    loop {
        match start_once(context) {
            Err(StoreError::Switched { .. }) if resolutions < MOST_RESOLUTIONS => resolutions += 1,
            result => return result,
        }
    }
}

fn start_once(context: &Context) -> Result<Arc<RunningApp>, StoreError> {
    let means =
        Means { variable: &context.variable, migration_limit: context.settings.update.migration_limit(), told: &|_, _| () };
    let resolved = switch::resolve_for_start(&context.home, means)?;
    notice_switch(context, &resolved);
    let (record, probation) = count(context, resolved.record);
    // Where a rollback could not be written down, what is started is not what the pointer names.
    let is_active = context.home.active().is_ok_and(|(active, _)| active.container == record.container);
    let which = if is_active { Which::Active } else { Which::Any };
    let Some(mut probation) = probation else {
        return Ok(context.app.set(launch_or_other(context, &record, which)?));
    };
    let rules = rules(context);
    let app = loop {
        let environment = context.channel.admit();
        match launch::start(&context.home, &record, Which::Active, call(context, &environment)) {
            Ok(app) => break app,
            Err(error @ StoreError::Switched { .. }) => return Err(error),
            // Damage on this disk is no fault of the release: it is stepped over, and mended.
            Err(_) if !record.launch.program.under(&context.home.container(&record.container)).exists() => {
                return Ok(context.app.set(launch_or_other(context, &record, which)?));
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a version on probation cannot be started");
                // A scanner may still hold what was just written.
                std::thread::sleep(LOOK);
                if fail(context, &record, &rules, &mut probation) {
                    let next = go_back(context, &record, Failure::NotStarted).unwrap_or(record);
                    return Ok(context.app.set(launch_or_other(context, &next, Which::Any)?));
                }
            }
        }
    };
    let (app, attending) = context.app.set_attended(app);
    let (context, attended) = (context.clone(), Arc::clone(&app));
    let thread = std::thread::Builder::new()
        .name("supervisor".to_owned())
        .spawn(move || attend(&context, record, probation, attended, attending));
    if let Err(error) = thread {
        tracing::warn!(%error, "nobody stays with the version on probation");
    }
    Ok(app)
}

/// Starts `record`, or where that cannot be started another version. One that the pointer does not name (a rollback that could not be written
/// down) starts all the same.
fn launch_or_other(context: &Context, record: &InstalledRecord, which: Which) -> Result<RunningApp, StoreError> {
    app::launch_or_other(&context.home, record, which, call(context, &context.channel.admit()))
}

fn call<'a>(context: &'a Context, environment: &'a [(&'static str, OsString)]) -> Call<'a> {
    Call { arguments: &context.arguments, variable: &context.variable, environment }
}

/// What a person should know of a switch that was carried out before this start.
fn notice_switch(context: &Context, resolved: &Resolved) {
    match &resolved.switched {
        Some(Ok(migration)) if !migration.conflicts.is_empty() => {
            let version = resolved.record.container.version.clone();
            leave(context, Happened::Conflicts { version, files: migration.conflicts.clone() });
        }
        Some(Err((to, error))) => {
            let to = to.version.clone();
            // What the release itself refused it will refuse again; anything else may pass.
            if matches!(error, StoreError::Migration { .. }) {
                remember_failed(context, &to);
            }
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
fn remember_failed(context: &Context, version: &Version) -> bool {
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
        let age = jiff::Timestamp::now().duration_since(probation.since);
        if Duration::try_from(age).is_ok_and(|age| age > health::SETTLED_ANYWAY) {
            change(context, &record, |_| None);
            return (record, None);
        }
        return (record, Some(probation));
    }
    if launch::said_last(home, &record.container, probation.since) == Some(Said::Up) {
        // It came up, and the launcher did not live to see it.
        change(context, &record, |probation| Some(Probation { up: true, failures: 0, ..probation }));
        return (record, Some(Probation { up: true, failures: 0, ..probation }));
    }
    if RunningLock::is_held(home, &record.container) {
        // A second instance: the first one is being judged.
        return (record, Some(probation));
    }
    if probation.starts >= health::MOST_UNKNOWN_STARTS
        && let Ok(back) = go_back(context, &record, Failure::NeverUp)
    {
        return (back, None);
    }
    change(context, &record, |probation| Some(Probation { starts: probation.starts + 1, ..probation }));
    (record, Some(Probation { starts: probation.starts + 1, ..probation }))
}

/// Writes down how the probation goes on. That it cannot be written is told in the log: then this launcher goes on as if it had been.
fn change(context: &Context, record: &InstalledRecord, changed: impl FnOnce(Probation) -> Option<Probation>) {
    let written = context.lock_for_start().and_then(|lock| probation::change(&context.home, &record.container, &lock, changed));
    if let Err(error) = written {
        tracing::warn!(error = &error as &dyn std::error::Error, "the probation is not written down");
    }
}

fn rules(context: &Context) -> Rules {
    let health = &context.settings.health;
    Rules {
        survival: Duration::from_secs(health.survival_seconds),
        up_within: Duration::from_secs(health.up_within_seconds),
        tries: health.tries,
    }
}

/// Counts a failure; tells whether it was one too many.
fn fail(context: &Context, record: &InstalledRecord, rules: &Rules, probation: &mut Probation) -> bool {
    probation.failures += 1;
    let failures = probation.failures;
    change(context, record, |probation| Some(Probation { failures, ..probation }));
    health::is_beaten(rules, failures, probation.up)
}

/// Whether `record` is still the version that is active and on probation: another launcher may have rolled it back meanwhile.
fn is_judged_here(context: &Context, record: &InstalledRecord) -> bool {
    context.home.active().is_ok_and(|(active, _)| active.container == record.container && active.probation.is_some())
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
        let failure = match watch(context, &record, &rules, (&app, &attending), &mut probation) {
            Verdict::Failed(failure) => failure,
            Verdict::Settled => {
                tracing::info!(container = %record.container, "the new version has proved itself");
                return change(context, &record, |_| None);
            }
            _ => {
                // It ended in a way that says nothing, and was seen to: this start does not count. One that ended at once may have.
                if !probation.up && app.lifetime() >= health::AT_ONCE {
                    change(context, &record, |probation| {
                        Some(Probation { starts: probation.starts.saturating_sub(1), ..probation })
                    });
                }
                return;
            }
        };
        if app.ended().is_none() && closing::may_have_window(&app) {
            // Its person may have work in it, or read what is wrong: it is judged when it has ended.
            std::thread::sleep(LOOK_WHEN_UP);
            continue;
        }
        tracing::error!(?failure, container = %record.container, age = ?app.age(), "a version on probation failed");
        if app.ended().is_none()
            && let Err(error) = app.stop(PATIENCE)
        {
            tracing::error!(%error, "it cannot be ended");
        }
        let _alone = context.app.alone();
        if !is_judged_here(context, &record) {
            return;
        }
        let next = if fail(context, &record, &rules, &mut probation) {
            match go_back(context, &record, failure) {
                Ok(back) => back,
                Err(_) => return,
            }
        } else if probation.up {
            // It worked for a while; whoever saw it crash decides whether to start it again.
            return;
        } else {
            record.clone()
        };
        match attending.replace(|| launch_or_other(context, &next, Which::Any)) {
            Ok(Some(started)) if started.container == record.container => app = started,
            // The version before has proved itself long ago; or somebody else started the app.
            Ok(_) => return,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the next start failed");
                return;
            }
        }
    }
}

/// Remembers that the app ends at once, if it just did so in a version that is not on probation: then the next version may do the same.
pub fn note_end(context: &Context) {
    let Some(app) = context.app.get() else { return };
    let ended_well = app.ended().is_some_and(|status| status.success());
    let on_probation = context.home.active().is_ok_and(|(active, _)| active.probation.is_some());
    if !ended_well || app.lifetime() >= health::AT_ONCE || !context.arguments.is_empty() || on_probation {
        return;
    }
    // One that could not say that it is up is not known to be short.
    if !app.can_say() || app.said().is_some() {
        return;
    }
    let noted = context.home.state().and_then(|state| match state.ends_at_once {
        true => Ok(()),
        false => context.home.set_state(&State { ends_at_once: true, ..state }),
    });
    if let Err(error) = noted {
        tracing::info!(error = &error as &dyn std::error::Error, "that the app ends at once is not remembered");
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
    let short = context.home.state().is_ok_and(|state| state.ends_at_once);
    loop {
        let status = app.ended();
        let ended = status.map(|status| health::ended(status.code(), exit_code(status), app.was_asked_to_end()));
        let seen = Observation {
            age: app.lifetime(),
            ended,
            said: app.said(),
            reports_up: app.reports_up(),
            has_successor: ended.is_some_and(|ended| ended != Ended::Asked) && app.has_successor(&context.home),
            may_be_short: !context.arguments.is_empty() || short,
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
                std::thread::sleep(LOOK_WHEN_UP);
            }
            verdict => return verdict,
        }
    }
}

/// Rolls back, remembers, and leaves a notice; gives the version to start. Where it cannot be written down that version is started all the
/// same, with its own files.
fn go_back(context: &Context, record: &InstalledRecord, failure: Failure) -> Result<InstalledRecord, StoreError> {
    let home = &context.home;
    let refused = || StoreError::NoRollbackPoint { id: record.container.to_string() };
    if !context.settings.health.automatic_rollback {
        return Err(refused());
    }
    let point = rollback::default_point(home)?.ok_or_else(refused)?;
    let back = context.lock_for_start().and_then(|lock| {
        // Under the lock: two launchers may have seen the same version fail, and only one goes back.
        if !is_judged_here(context, record) {
            return Err(StoreError::Switched { id: record.container.to_string() });
        }
        // Before, so that a kill does not leave a version that nobody knows to have failed.
        let is_known = remember_failed(context, &record.container.version);
        let back = rollback::roll_back(home, Some(&point.container), &lock);
        if !is_known {
            remember_failed(context, &record.container.version);
        }
        back
    });
    match back {
        Ok(back) => {
            let (from, to) = (back.from.version.clone(), back.record.container.version.clone());
            leave(context, Happened::RolledBack { from, to, failure, kept: back.kept.clone() });
            Ok(back.record)
        }
        Err(error @ (StoreError::Switched { .. } | StoreError::InUse { .. })) => Err(error),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "it could not be rolled back; the version before is started"
            );
            home.record(&point.container)
        }
    }
}
