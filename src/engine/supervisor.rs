//! Starting the app, and staying with a version on probation until it has come up: tried again
//! once, then rolled back, code and the user's files, with nobody asked.
//!
//! The start is counted before it happens, so that also one that takes the launcher along counts.
//! While the app is on probation a thread looks at it some times a second until it is up, and then
//! every few seconds until it is settled; for every other version nothing here wakes the processor.
//! In: a context. Out: the running app in its slot, what happened as a notice. Never: a judgement
//! on a version that is no longer the active one (another launcher may have rolled it back), a
//! second attempt for one that was settled, or a rollback of a rollback. Where a rollback cannot be
//! written down (a full disk), the version it would go to is started all the same.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use super::driver::WORTH_A_BAR;
use crate::error_chain;
use crate::messages::protocol::{Event, Phase, Progress};
use crate::model::Version;
use crate::model::incident::{Incident, LaunchFailure};
use crate::session::app::{self, Attending};
use crate::session::closing;
use crate::session::health::{self, Ended, Observation, Others, Rules, Verdict};
use crate::store::launch::{self, Call, RunningApp, Which, exit_code};
use crate::store::lock::RunningLock;
use crate::store::probation::{self, HealthReport};
use crate::store::rollback::{self, RollbackTarget};
use crate::store::switch::{self, Resolved, SwitchOptions};
use crate::store::{InstalledRecord, Probation, StoreError, usage};
use crate::threads;
use crate::update::context::Context;

/// Between two looks at an app that is not known to be up.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks at an app that is up and not settled yet.
const LOOK_WHEN_UP: Duration = Duration::from_secs(2);
/// How long an app that hangs may take to end when it is asked to.
const HUNG_APP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a start is begun anew because another launcher was switching.
const MOST_RESOLUTIONS: u32 = 5;

/// Starts the active version, a pending switch first, and attends it while it is on probation.
/// `tell` hears of the switch.
pub(crate) fn start(
    context: &Context,
    tell: &dyn Fn(Event),
) -> Result<Arc<RunningApp>, StoreError> {
    let mut resolutions = 0;
    loop {
        match start_once(context, tell, resolutions < MOST_RESOLUTIONS) {
            Err(StoreError::Switched { .. }) if resolutions < MOST_RESOLUTIONS => resolutions += 1,
            result => return result,
        }
    }
}

/// With `looks_again`, a version that another launcher has left since it was chosen is not started.
fn start_once(
    context: &Context,
    tell: &dyn Fn(Event),
    looks_again: bool,
) -> Result<Arc<RunningApp>, StoreError> {
    if let Some(coming) = context.home.named().ok().flatten().and_then(|active| active.pending) {
        tell(Event::Phase { phase: Phase::Switching { version: coming.version } });
    }
    let on_progress = |done, total| {
        // Once they are there the release's own migration follows, of which nobody knows how far it
        // is.
        let known = if done < total && total >= WORTH_A_BAR { (done, total) } else { (0, 0) };
        tell(Event::Progress(Progress { done: known.0, total: known.1, ..Progress::default() }));
    };
    let options = SwitchOptions {
        variable: &context.variable,
        migration_limit: context.settings.update.migration_limit(),
        on_progress: &on_progress,
    };
    let resolved = switch::resolve_for_start(&context.home, options)?;
    notice_switch(context, &resolved);
    notice_unreadable(context, &resolved);
    let chosen = resolved.record.container.clone();
    let mut trial = count(context, resolved.record);
    // Where a rollback could not be written down, what is started is not what the pointer names.
    // Another launcher may have switched since the version was chosen; its files are then no longer
    // there.
    let is_active = looks_again && trial.record.container == chosen
        || context
            .home
            .active()
            .is_ok_and(|(active, _)| active.container == trial.record.container);
    let which = if is_active { Which::Active } else { Which::Any };
    if !trial.is_judged() {
        return Ok(context.app.set(launch_or_other(context, &trial.record, which)?));
    }
    let rules = rules(context);
    let app = loop {
        let environment = context.channel.admit();
        let error =
            match launch::start(&context.home, &trial.record, which, call(context, &environment)) {
                Ok(app) => break app,
                Err(error @ StoreError::Switched { .. }) => return Err(error),
                Err(error) => error,
            };
        // What this computer forbids every version, and damage on this disk, are no fault of the
        // release.
        let program =
            trial.record.launch.program.under(&context.home.container(&trial.record.container));
        let is_damaged = !program.try_exists().unwrap_or(false);
        if error.is_of_the_system()
            || is_damaged
            || trial.probation.is_none()
            || trial.has_relapsed()
        {
            uncount(context, &trial.record);
            return match launch_or_other(context, &trial.record, which) {
                Ok(app) => Ok(context.app.set(app)),
                Err(error) => {
                    trial.fallback_failed(context);
                    Err(error)
                }
            };
        }
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "a version on probation cannot be started"
        );
        // A scanner may still hold what was just written.
        std::thread::sleep(LOOK);
        if fail(context, &mut trial, &rules, true) {
            let next = go_back(context, &trial.record, LaunchFailure::NotStarted)
                .unwrap_or_else(|_| trial.record.clone());
            let started =
                launch_or_other(context, &next, Which::Any).inspect_err(|_| acquit(context));
            return Ok(context.app.set(started?));
        }
    };
    // Nobody has to wait for the judgement of a version that nothing could take the place of.
    let on_trial = fallback(context, &trial.record).is_some();
    let (app, attending) = context.app.set_attended(app, on_trial);
    let (context, attended) = (context.clone(), Arc::clone(&app));
    let thread = threads::spawn("supervisor", move || attend(&context, trial, attended, attending));
    if let Err(error) = thread {
        tracing::warn!(%error, "nobody stays with the version on probation");
    }
    Ok(app)
}

/// A version whose start is being judged.
struct Trial {
    record: InstalledRecord,
    /// It has to prove itself.
    probation: Option<Probation>,
    /// It took the place of a version that did not come up: if it fails as well, neither is
    /// charged.
    accused: Option<Version>,
}

impl Trial {
    fn new(context: &Context, record: InstalledRecord, probation: Option<Probation>) -> Self {
        let accused = probation::accused(&context.home, &record.container);
        Self { record, probation, accused }
    }

    fn is_judged(&self) -> bool {
        self.probation.is_some() || self.accused.is_some()
    }

    fn is_up(&self) -> bool {
        self.probation.as_ref().is_some_and(|probation| probation.up)
    }

    fn has_relapsed(&self) -> bool {
        self.probation.as_ref().is_some_and(|probation| probation.relapsed)
    }

    /// It has come up and ended well; whether so often that it has proved itself.
    fn ran_well(&mut self, context: &Context) -> bool {
        self.came_up(context);
        let Some(probation) = &mut self.probation else { return true };
        probation.good_runs += 1;
        let good_runs = probation.good_runs;
        if good_runs < health::GOOD_RUNS {
            change(context, &self.record, |probation| Some(Probation { good_runs, ..probation }));
        }
        good_runs >= health::GOOD_RUNS
    }

    /// It has come up: the version before it failed by its own fault.
    fn came_up(&mut self, context: &Context) {
        if let Some(probation) = &mut self.probation {
            (probation.up, probation.failures) = (true, 0);
            change(context, &self.record, |probation| {
                Some(Probation { up: true, failures: 0, ..probation })
            });
        }
        if self.accused.take().is_some()
            && let Err(error) = probation::convict(&context.home)
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "who was at fault is not written down"
            );
        }
    }

    /// It has failed like the version whose place it took.
    fn fallback_failed(&mut self, context: &Context) {
        if let Some(version) = self.accused.take() {
            tracing::error!(%version, container = %self.record.container, "both fail here: neither is charged with it");
            let back = context.lock_for_start();
            let back = back.and_then(|lock| {
                probation::return_to_accused(&context.home, &self.record.container, &lock)
            });
            if let Err(error) = back {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the version that was left stays so"
                );
            }
            acquit(context);
        }
    }
}

fn acquit(context: &Context) {
    if let Err(error) = probation::acquit(&context.home) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a release stays charged with what it may not be guilty of"
        );
    }
}

/// Starts `record`, or where that cannot be started another version. One that the pointer does not
/// name (a rollback that could not be written down) starts all the same.
fn launch_or_other(
    context: &Context,
    record: &InstalledRecord,
    which: Which,
) -> Result<RunningApp, StoreError> {
    app::launch_or_other(&context.home, record, which, call(context, &context.channel.admit()))
}

fn call<'a>(context: &'a Context, environment: &'a [(&'static str, OsString)]) -> Call<'a> {
    let keep_errors = context.app.keeps_errors();
    Call { arguments: &context.arguments, variable: &context.variable, environment, keep_errors }
}

/// What a person should know of a switch that was carried out before this start.
fn notice_switch(context: &Context, resolved: &Resolved) {
    match &resolved.switched {
        Some(Ok(migration)) if !migration.conflicts.is_empty() => {
            let version = resolved.record.container.version.clone();
            leave(context, Incident::Conflicts { version, files: migration.conflicts.clone() });
        }
        Some(Err((to, error))) => {
            let to = to.version.clone();
            // What the release itself refused it will refuse again; anything else may pass.
            if matches!(error, StoreError::Migration { .. }) {
                remember_failed(context, &to);
            }
            leave(context, Incident::NotSwitched { to, chain: error_chain::list(error) });
        }
        _ => {}
    }
}

/// What could not be read, and what else was used in its place.
fn notice_unreadable(context: &Context, resolved: &Resolved) {
    let id = &resolved.record.container;
    let found = context.home.unreadable(id);
    if let Some(error @ StoreError::Io { path, .. }) = resolved.waits.as_ref().or(found.as_ref()) {
        let (version, chain) = (id.version.clone(), error_chain::list(error));
        leave(context, Incident::Unreadable { version, path: path.clone(), chain });
    }
}

/// Leaves a notice, and tells it at once to whoever listens.
pub(crate) fn leave(context: &Context, what: Incident) {
    context.app.tell(&what);
    if let Err(error) = probation::leave_notice(&context.home, what, jiff::Timestamp::now()) {
        tracing::warn!(error = &error as &dyn std::error::Error, "nobody will be told");
    }
}

/// Whether it is written down that the version is not to be offered again.
fn remember_failed(context: &Context, version: &Version) -> bool {
    let written = probation::remember_failed(&context.home, version);
    if let Err(error) = &written {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "the failed version may be offered again"
        );
    }
    written.is_ok()
}

/// Counts the start of a version on probation, which may be one too many: then the version to start
/// is the one before it.
fn count(context: &Context, record: InstalledRecord) -> Trial {
    let home = &context.home;
    let trial = |probation| Trial::new(context, record.clone(), probation);
    let probation = match home.active() {
        Ok((active, _)) => active.probation,
        // What it was worth is not known, and cannot be written down.
        Err(error) if is_out_of_reach(&error) => {
            return trial(Some(Probation::begin(jiff::Timestamp::now())));
        }
        Err(_) => None,
    };
    let Some(probation) = probation else { return trial(None) };
    if probation.up {
        let age = jiff::Timestamp::now().duration_since(probation.since);
        if !probation.relapsed
            && Duration::try_from(age).is_ok_and(|age| age > health::SETTLED_ANYWAY)
        {
            change(context, &record, |_| None);
            return trial(None);
        }
        return trial(Some(probation));
    }
    if launch::last_words_of_app(home, &record.container, probation.since) == Some(HealthReport::Up)
    {
        // It came up, and the launcher did not live to see it.
        let mut trial = trial(Some(probation));
        trial.came_up(context);
        return trial;
    }
    if RunningLock::is_started(home, &record.container) {
        // A second instance: the first one is being judged.
        return trial(Some(probation));
    }
    if probation.starts >= health::MOST_UNKNOWN_STARTS
        && let Ok(back) = go_back(context, &record, LaunchFailure::NeverUp)
    {
        let probation = home.active().ok().and_then(|(active, _)| active.probation);
        return Trial::new(context, back, probation);
    }
    change(context, &record, |probation| {
        Some(Probation { starts: probation.starts + 1, ..probation })
    });
    trial(Some(Probation { starts: probation.starts + 1, ..probation }))
}

/// A start whose end was seen, and says nothing, does not count.
fn uncount(context: &Context, record: &InstalledRecord) {
    change(context, record, |probation| {
        let starts =
            if probation.up { probation.starts } else { probation.starts.saturating_sub(1) };
        Some(Probation { starts, ..probation })
    });
}

/// Writes down how the probation goes on. That it cannot be written is told in the log: then this
/// launcher goes on as if it had been.
fn change(
    context: &Context,
    record: &InstalledRecord,
    changed: impl FnOnce(Probation) -> Option<Probation>,
) {
    let written = context
        .lock_for_start()
        .and_then(|lock| probation::change(&context.home, &record.container, &lock, changed));
    if let Err(error) = written {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the probation is not written down"
        );
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
fn fail(context: &Context, trial: &mut Trial, rules: &Rules, is_sure: bool) -> bool {
    let Some(probation) = &mut trial.probation else { return false };
    probation.failures += 1;
    let (failures, up, excused) = (probation.failures, probation.up, probation.excused);
    change(context, &trial.record, |probation| Some(Probation { failures, ..probation }));
    if excused {
        return false;
    }
    if is_sure {
        health::is_beaten(rules, failures, up)
    } else {
        health::is_beaten_in_doubt(rules, failures)
    }
}

/// Whether `record` is still the version that is active and on probation: another launcher may have
/// rolled it back meanwhile.
fn is_judged_here(context: &Context, record: &InstalledRecord) -> bool {
    match context.home.active() {
        Ok((active, _)) => active.container == record.container && active.probation.is_some(),
        Err(error) => is_out_of_reach(&error),
    }
}

/// Whether it is not known which version is active: what was started is judged all the same.
fn is_out_of_reach(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { .. })
}

/// What can take the place of `record`, the version that is active or, where that is not known, was
/// started.
fn fallback(context: &Context, record: &InstalledRecord) -> Option<RollbackTarget> {
    match context.home.active() {
        Err(error) if is_out_of_reach(&error) => {
            rollback::other_than(&context.home, &record.container)
        }
        _ => rollback::fallback(&context.home),
    }
}

/// Stays with `app` until it is decided what becomes of its version.
fn attend(context: &Context, mut trial: Trial, mut app: Arc<RunningApp>, mut attending: Attending) {
    let rules = rules(context);
    loop {
        if trial.is_up() {
            attending.came_up();
        }
        let (failure, is_sure) = match watch(context, &rules, (&app, &attending), &mut trial) {
            Verdict::Failed(failure) => (failure, true),
            Verdict::Doubtful(failure) => (failure, false),
            Verdict::Settled => {
                tracing::info!(container = %trial.record.container, "the version has proved itself");
                trial.came_up(context);
                return change(context, &trial.record, |_| None);
            }
            Verdict::Good => {
                if trial.ran_well(context) {
                    tracing::info!(container = %trial.record.container, "the version has proved itself");
                    change(context, &trial.record, |_| None);
                }
                return;
            }
            // It ended in a way that says nothing, and was seen to.
            _ => return uncount(context, &trial.record),
        };
        if app.ended().is_none() && closing::may_have_window(&app) {
            // Its person may have work in it, or read what is wrong: it is judged when it has
            // ended.
            std::thread::sleep(LOOK_WHEN_UP);
            continue;
        }
        tracing::error!(%failure, container = %trial.record.container, age = ?app.age(), "a version that has to prove itself failed");
        if app.ended().is_none()
            && let Err(error) = app.stop(HUNG_APP_TIMEOUT)
        {
            tracing::error!(%error, "it cannot be ended");
        }
        let _alone = context.app.alone();
        trial.fallback_failed(context);
        // One that only took another one's place has nothing to prove itself.
        if trial.probation.is_none() || !is_judged_here(context, &trial.record) {
            return;
        }
        let is_beaten = fail(context, &mut trial, &rules, is_sure);
        if fallback(context, &trial.record).is_none() {
            // Nothing can take its place: the person is told, and decides.
            return uncount(context, &trial.record);
        }
        let next = if is_beaten {
            match go_back(context, &trial.record, failure) {
                Ok(back) => back,
                Err(_) => return,
            }
        } else if trial.is_up() || !is_sure {
            // It worked for a while, or did not like what was typed; whoever saw it decides whether
            // to start it again.
            return uncount(context, &trial.record);
        } else {
            trial.record.clone()
        };
        match attending.replace(|| launch_or_other(context, &next, Which::Any)) {
            Ok(Some(started)) => {
                if started.container != trial.record.container {
                    let probation = home_probation(context, &started);
                    trial = Trial::new(context, next, probation);
                    if trial.record.container != started.container || !trial.is_judged() {
                        return;
                    }
                }
                app = started;
            }
            // Somebody else started the app.
            Ok(None) => return,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the next start failed");
                return acquit(context);
            }
        }
    }
}

/// The probation of a version that was just started, if it is the active one.
fn home_probation(context: &Context, app: &RunningApp) -> Option<Probation> {
    let (active, _) = context.home.active().ok()?;
    active.probation.filter(|_| active.container == app.container)
}

/// Lines of what an app wrote to standard error that are told.
const REPORTED_LINES: usize = 24;

/// In what way the last app failed to start, and what it wrote last: for the person who sees
/// nothing. `None` if it did not fail, was up before, or may not have liked what was typed.
pub(crate) fn failed_start(context: &Context) -> Option<FailedStart> {
    let app = context.app.get()?;
    let status = app.ended()?;
    let ended = health::ended(status.code(), exit_code(status), app.was_asked_to_end());
    let others = if app.has_instance(&context.home) { Others::Instance } else { Others::None };
    let rules = rules(context);
    let was_up = app.health_report() == Some(HealthReport::Up) || app.lifetime() >= rules.survival;
    let seen = Observation {
        age: app.lifetime(),
        ended: Some(ended),
        health_report: app.health_report(),
        reports_up: app.reports_up(),
        others,
        handed_over: false,
        has_arguments: !context.arguments.is_empty(),
        was_up,
        relapsed: false,
    };
    match health::judge(&rules, &seen) {
        Verdict::Failed(failure) if !was_up => Some(FailedStart {
            version: app.container.version.clone(),
            failure,
            lines: app.last_lines(REPORTED_LINES),
        }),
        _ => None,
    }
}

/// Notes that the version that was started last, which had proved itself, did not come up: if its
/// next starts fail as well, one that is known to work takes its place. What goes on elsewhere, and
/// what is on probation already, is judged by others.
pub(crate) fn note_relapse(context: &Context) {
    let Some(app) = context.app.get() else { return };
    if app.was_handed_over() || app.has_left_a_process(&context.home) {
        return;
    }
    let now = jiff::Timestamp::now();
    let noted = context
        .lock_for_start()
        .and_then(|lock| probation::relapse(&context.home, &app.container, now, &lock));
    if let Err(error) = noted {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "that a start failed is not written down"
        );
    }
}

/// A start that came to nothing.
#[derive(Debug)]
pub(crate) struct FailedStart {
    /// Of which version.
    pub version: Version,
    /// In what way.
    pub failure: LaunchFailure,
    /// What it wrote last to standard error, as far as that was kept.
    pub lines: Vec<String>,
}

/// Looks at the app, and once it has ended at what it left in its place, until something is known
/// for good; notes on the way that it is up.
fn watch(
    context: &Context,
    rules: &Rules,
    (app, attending): (&RunningApp, &Attending),
    trial: &mut Trial,
) -> Verdict {
    let mut handed_over = false;
    loop {
        let status = app.first_ended();
        let ended = status
            .map(|status| health::ended(status.code(), exit_code(status), app.was_asked_to_end()));
        let others = match ended {
            None | Some(Ended::Asked) => Others::None,
            Some(_) if app.was_handed_over() => Others::Successor,
            Some(_) if app.has_instance(&context.home) => Others::Instance,
            Some(_) if app.has_left_a_process(&context.home) => Others::Left,
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
            has_arguments: !context.arguments.is_empty(),
            was_up: trial.is_up(),
            relapsed: trial.has_relapsed(),
        };
        match health::judge(rules, &seen) {
            Verdict::Wait => std::thread::sleep(LOOK),
            Verdict::Up if trial.probation.is_none() => return Verdict::Settled,
            Verdict::Up => {
                if !trial.is_up() {
                    tracing::info!(container = %trial.record.container, age = ?seen.age, "the new version is up");
                    trial.came_up(context);
                    attending.came_up();
                }
                std::thread::sleep(LOOK_WHEN_UP);
            }
            verdict => return verdict,
        }
    }
}

/// Rolls back, remembers, and leaves a notice; gives the version to start. Where it cannot be
/// written down that version is started all the same, with its own files.
fn go_back(
    context: &Context,
    record: &InstalledRecord,
    failure: LaunchFailure,
) -> Result<InstalledRecord, StoreError> {
    let home = &context.home;
    let refused = || StoreError::NoRollbackPoint { id: record.container.to_string() };
    if !context.settings.health.automatic_rollback {
        return Err(refused());
    }
    let target = fallback(context, record).ok_or_else(refused)?;
    let probation = home.active().ok().and_then(|(active, _)| active.probation);
    let has_relapsed = probation.is_some_and(|probation| probation.relapsed);
    let back = context.lock_for_start().and_then(|lock| {
        // Under the lock: two launchers may have seen the same version fail, and only one goes
        // back.
        if !is_judged_here(context, record) {
            return Err(StoreError::Switched { id: record.container.to_string() });
        }
        // Before, so that a kill does not leave a version that nobody knows to have failed.
        let is_known = remember_failed(context, &record.container.version);
        let back = rollback::go_to(home, &target, &lock);
        if !is_known {
            remember_failed(context, &record.container.version);
        }
        back
    });
    match back {
        Ok(back) => {
            let (from, to) = (back.from.version.clone(), back.record.container.version.clone());
            if let Err(error) = probation::accuse(home, &from, &back.record.container, has_relapsed)
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "if the version before fails as well, nobody will know"
                );
            }
            let places = [back.retained.clone(), home.container(&back.record.container)];
            let holds_files = places.iter().any(|place| usage::holds_user_files(place));
            leave(
                context,
                Incident::RolledBack {
                    from,
                    to,
                    failure,
                    retained: back.retained.clone(),
                    holds_files,
                },
            );
            Ok(back.record)
        }
        Err(error @ (StoreError::Switched { .. } | StoreError::InUse { .. })) => Err(error),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "it could not be rolled back; the version before is started"
            );
            home.record(&target.container)
        }
    }
}
