//! Starts the app, and watches a version on probation until it has come up. A version that fails is
//! tried once more, then rolled back with the user's files, and no person is asked.
//!
//! The supervisor counts a start before it begins, so that it also counts a start that kills the
//! launcher. While the app is on probation a thread looks at it some times a second until it is up,
//! and then every few seconds until it is settled. For every other version nothing here wakes the
//! processor.
//! In: a session in which no app runs. Out: the running app in its handle, and incidents as
//! notices. Never: makes a second attempt for a version that was settled.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use super::app::{self, Attending};
use super::app_session::AppSession;
use super::closing::{self, InUse};
use super::health::{self, AppEnd, Assessment, Observation, Others, Rules};
use super::hooks;
use super::switching;
use super::trial::{
    Trial, after_failure, change, count, fail, fallback, go_back, remember_failed, rules,
    take_back_start, withdraw_failed_release,
};
use crate::error_chain;
use crate::host;
use crate::messages::problem;
use crate::messages::protocol::Event;
use crate::model::incident::{Incident, LaunchFailure};
use crate::reports::{self, Happening};
use crate::store::launch::{self, Call, RunningApp, Which, WindowOwners, exit_code};
use crate::store::resolution::{Resolved, resolve_for_start};
use crate::store::{InstalledRecord, Probation, StoreError, recall};
use crate::threads;

/// Interval between two checks of an app that is not known to be up.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Interval between two checks of an app that is up and not settled yet.
const POLL_INTERVAL_WHEN_UP: Duration = Duration::from_secs(2);
/// How long an app that hangs may take to end when it is asked to.
const HUNG_APP_TIMEOUT: Duration = Duration::from_secs(5);
/// Most times that a start begins again because another launcher was switching.
const MAX_RESOLUTIONS: u32 = 5;

/// Starts the active version, after a pending switch, and attends it while it is on probation.
/// `tell` receives the events of the switch.
pub(crate) fn start(
    session: &AppSession,
    tell: &dyn Fn(Event),
) -> Result<Arc<RunningApp>, StoreError> {
    let mut resolutions = 0;
    loop {
        match start_once(session, tell, resolutions < MAX_RESOLUTIONS) {
            Err(StoreError::Switched { .. }) if resolutions < MAX_RESOLUTIONS => resolutions += 1,
            result => return result,
        }
    }
}

/// One attempt of [`start`]. With `looks_again` it does not start a version that another launcher
/// has left since it was chosen.
fn start_once(
    session: &AppSession,
    tell: &dyn Fn(Event),
    looks_again: bool,
) -> Result<Arc<RunningApp>, StoreError> {
    app::tell_pending(session.home(), tell);
    let on_progress = |done, total| app::tell_progress(tell, done, total);
    let options = switching::options(&session.environment, &on_progress);
    let was_recalled = recall::is_active_recalled(session.home());
    let resolved = resolve_for_start(session.home(), options)?;
    notice_switch(session, &resolved, was_recalled);
    notice_unreadable(session, &resolved);
    let chosen = resolved.record.container.clone();
    // Before the start is counted: a hook that a kill interrupts is no start that failed.
    hooks::run_if_due(session, &resolved.record);
    let mut trial = count(session, resolved.record);
    // Where a rollback could not be written to disk, the started version is not the one that the
    // pointer names. Another launcher may have switched since the version was chosen; its files are
    // then gone.
    let is_active = looks_again && trial.record.container == chosen
        || session
            .home()
            .active()
            .is_ok_and(|(active, _)| active.container == trial.record.container);
    let which = if is_active { Which::Active } else { Which::Any };
    if !trial.is_assessed() {
        return Ok(session.app.set(launch_or_other(session, &trial.record, which)?));
    }
    let app = match launch_on_trial(session, &mut trial, which)? {
        TrialStart::Attended(app) => app,
        TrialStart::Unattended(app) => return Ok(session.app.set(app)),
    };
    // If no version could take its place, nobody waits for the assessment.
    let on_trial = fallback(session, &trial.record.container).is_some();
    let (app, attending) = session.app.set_attended(app, on_trial);
    let (session, attended) = (session.clone(), Arc::clone(&app));
    let thread = threads::spawn("supervisor", move || attend(&session, trial, attended, attending));
    if let Err(error) = thread {
        tracing::warn!(
            error = error_chain::line(&error),
            "nobody stays with the version on probation"
        );
    }
    Ok(app)
}

/// How a version on trial was started.
enum TrialStart {
    /// It runs, and its start is to be assessed.
    Attended(RunningApp),
    /// The failure of its start says nothing about it, or another version runs in its place: nothing
    /// is assessed.
    Unattended(RunningApp),
}

/// Starts the version on trial, as often as its rules allow.
fn launch_on_trial(
    session: &AppSession,
    trial: &mut Trial,
    which: Which,
) -> Result<TrialStart, StoreError> {
    let rules = rules(session);
    loop {
        let variables = session.channel.admit();
        let error =
            match launch::start(session.home(), &trial.record, which, call(session, &variables)) {
                Ok(app) => return Ok(TrialStart::Attended(app)),
                Err(error @ StoreError::Switched { .. }) => return Err(error),
                Err(error) => error,
            };
        if !counts_as_failure(session, trial, &error) {
            take_back_start(session, &trial.record);
            return launch_or_other(session, &trial.record, which)
                .map(TrialStart::Unattended)
                .inspect_err(|_| trial.fallback_failed(session));
        }
        tracing::error!(
            error = error_chain::line(&error),
            "a version on probation cannot be started"
        );
        // A virus scanner may still hold files that were just written.
        std::thread::sleep(POLL_INTERVAL);
        if fail(session, trial, &rules, true) {
            let next = go_back(session, &trial.record, LaunchFailure::NotStarted)
                .unwrap_or_else(|_| trial.record.clone());
            return launch_or_other(session, &next, Which::Any)
                .map(TrialStart::Unattended)
                .inspect_err(|_| withdraw_failed_release(session));
        }
    }
}

/// Whether a start that failed counts against a release on its first probation. A failure that this
/// computer causes for every version, or damage on this disk, is no fault of the release. Nor is a
/// program that the disk does not let anybody look at.
fn counts_as_failure(session: &AppSession, trial: &Trial, error: &StoreError) -> bool {
    let folder = session.home().container(&trial.record.container);
    let is_damaged = !trial.record.launch.program.under(&folder).try_exists().unwrap_or(false);
    let on_first_probation = trial.probation.is_some() && !trial.was_settled();
    on_first_probation && !error.is_of_the_system() && !is_damaged
}

/// Starts `record`, or another version where that cannot be started. A version that the pointer
/// does not name (after a rollback that could not be written to disk) starts all the same.
fn launch_or_other(
    session: &AppSession,
    record: &InstalledRecord,
    which: Which,
) -> Result<RunningApp, StoreError> {
    app::launch_or_other(session.home(), record, which, call(session, &session.channel.admit()))
}

fn call<'a>(session: &'a AppSession, variables: &'a [(&'static str, OsString)]) -> Call<'a> {
    let keep_errors = session.app.keeps_errors();
    Call {
        arguments: &session.environment.arguments,
        variable: &host::variable,
        environment: variables,
        keep_errors,
    }
}

/// Leaves a notice about a switch that was carried out before this start.
fn notice_switch(session: &AppSession, resolved: &Resolved, was_recalled: bool) {
    if let Some(Ok(_)) = &resolved.switched {
        let version = resolved.record.container.version.clone();
        let happening = Happening::switched(version, was_recalled);
        reports::record_soon(&session.environment, happening);
    }
    match &resolved.switched {
        Some(Ok(files)) => {
            let version = resolved.record.container.version.clone();
            if let Some(back) = files.went_back.clone() {
                session.leave_notice(switching::went_back(version.clone(), back));
            }
            let conflicts = files.carried_over.conflicts.clone();
            if !conflicts.is_empty() {
                session.leave_notice(Incident::Conflicts { version, files: conflicts });
            }
        }
        Some(Err((to, error))) => {
            let to = to.version.clone();
            if let Some(happening) = Happening::not_switched(&to, &problem::of_store(error)) {
                reports::record_soon(&session.environment, happening);
            }
            // The release's own script would refuse again; any other error may pass.
            if matches!(error, StoreError::Migration { .. }) {
                remember_failed(session, &to);
            }
            session.leave_notice(Incident::NotSwitched { to, chain: error_chain::list(error) });
        }
        None => {}
    }
    if let Some(withdrawn) = &resolved.withdrawn {
        session.leave_notice(Incident::Withdrawn { version: withdrawn.version.clone() });
    }
}

/// Leaves a notice about what could not be read, and what was used in its place.
fn notice_unreadable(session: &AppSession, resolved: &Resolved) {
    let id = &resolved.record.container;
    let found = session.home().unreadable(id);
    if let Some(StoreError::File(error)) = resolved.waits.as_ref().or(found.as_ref()) {
        let (version, path) = (id.version.clone(), error.path.clone());
        let chain = error_chain::list(error);
        session.leave_notice(Incident::Unreadable { version, path, chain });
    }
}

/// Leaves a notice about an app that does not say that it is ready, if no window of it is seen: its
/// user alone knows whether it hangs.
fn notice_left_alone(session: &AppSession, record: &InstalledRecord, in_use: InUse) {
    if in_use == InUse::Perhaps {
        session.leave_notice(Incident::LeftAlone { version: record.container.version.clone() });
    }
}

/// Watches `app` until the fate of its version is decided.
fn attend(
    session: &AppSession,
    mut trial: Trial,
    mut app: Arc<RunningApp>,
    mut attending: Attending,
) {
    let rules = rules(session);
    let mut is_left_alone = false;
    loop {
        if trial.is_up() {
            attending.came_up();
        }
        let (failure, is_sure) = match watch(session, &rules, (&app, &attending), &mut trial) {
            Assessment::Failed(failure) => (failure, true),
            Assessment::Doubtful(failure) => (failure, false),
            Assessment::Settled => {
                tracing::info!(container = %trial.record.container, "the version has proved itself");
                trial.came_up(session);
                return change(session, &trial.record, |_| None);
            }
            Assessment::Good => {
                if trial.ran_well(session) {
                    tracing::info!(container = %trial.record.container, "the version has proved itself");
                    change(session, &trial.record, |_| None);
                }
                return;
            }
            // The end was seen, and proves nothing.
            _ => return take_back_start(session, &trial.record),
        };
        let in_use = if app.ended().is_none() { closing::in_use(&app) } else { InUse::No };
        if in_use != InUse::No {
            // Its user may have work in it, or read an error message: it is assessed when it has
            // ended.
            if !std::mem::replace(&mut is_left_alone, true) {
                tracing::warn!(%failure, ?in_use, container = %trial.record.container, "a person may be using the app: it is left alone");
                notice_left_alone(session, &trial.record, in_use);
            }
            std::thread::sleep(POLL_INTERVAL_WHEN_UP);
            continue;
        }
        tracing::error!(%failure, container = %trial.record.container, age = ?app.age(), "a version that has to prove itself failed");
        if app.ended().is_none()
            && let Err(error) = app.stop(HUNG_APP_TIMEOUT, &WindowOwners::default())
        {
            tracing::error!(error = error_chain::line(&error), "it cannot be ended");
        }
        let _alone = session.app.alone();
        let Some(next) = after_failure(session, &mut trial, &rules, failure, is_sure) else {
            return;
        };
        match attending.replace(|| launch_or_other(session, &next, Which::Any)) {
            Ok(Some(started)) => {
                if started.container != trial.record.container {
                    let probation = home_probation(session, &started);
                    trial = Trial::new(session, next, probation);
                    if trial.record.container != started.container || !trial.is_assessed() {
                        return;
                    }
                }
                (app, is_left_alone) = (started, false);
            }
            // Another thread has started the app.
            Ok(None) => return,
            Err(error) => {
                tracing::error!(error = error_chain::line(&error), "the next start failed");
                return withdraw_failed_release(session);
            }
        }
    }
}

/// The probation of a version that was just started, if it is the active one.
fn home_probation(session: &AppSession, app: &RunningApp) -> Option<Probation> {
    let (active, _) = session.home().active().ok()?;
    active.probation.filter(|_| active.container == app.container)
}

/// Watches the app, and after its end the processes that it left, until the assessment is final.
/// Records on the way that the app is up.
fn watch(
    session: &AppSession,
    rules: &Rules,
    (app, attending): (&RunningApp, &Attending),
    trial: &mut Trial,
) -> Assessment {
    let mut handed_over = false;
    loop {
        let status = app.first_ended();
        let ended = status
            .map(|status| health::ended(status.code(), exit_code(status), app.was_asked_to_end()));
        let others = match ended {
            None | Some(AppEnd::Asked) => Others::None,
            Some(_) if app.was_handed_over() => Others::Successor,
            Some(_) if app.has_instance(session.home()) => Others::Instance,
            Some(_) if app.has_left_a_process(session.home()) => Others::Left,
            Some(_) => Others::None,
        };
        let goes_on = matches!(others, Others::Successor | Others::Left);
        handed_over |= goes_on;
        let seen = Observation {
            age: if goes_on { app.age() } else { app.lifetime() },
            ended,
            health_report: app.health_report(),
            reports_up: app.reports_up(),
            others,
            handed_over,
            has_arguments: !session.environment.arguments.is_empty(),
            was_up: trial.is_up(),
            was_settled: trial.was_settled(),
        };
        match health::assess(rules, &seen) {
            Assessment::Wait => std::thread::sleep(POLL_INTERVAL),
            Assessment::Up if trial.probation.is_none() => return Assessment::Settled,
            Assessment::Up => {
                if !trial.is_up() {
                    tracing::info!(container = %trial.record.container, age = ?seen.age, "the new version is up");
                    trial.came_up(session);
                    attending.came_up();
                }
                std::thread::sleep(POLL_INTERVAL_WHEN_UP);
            }
            verdict => return verdict,
        }
    }
}
