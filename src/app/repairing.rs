//! Repairs a version that could not be started: before any app runs, or beside another version.
//!
//! In: the damaged version. Out: whether it is whole, and notices about it. Never: keeps a person
//! waiting without a message. Before the app a window, or standard error, shows a repair that
//! lasts, and closing that window ends it. Beside the app a repair that lasts ends soon after the
//! app.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::output::Output;
use super::present::{PresentOptions, show};
use super::resident::follow;
use super::starting::{TELL_AFTER, TELL_AGAIN};
use super::streams::error_line;
use crate::engine::driver;
use crate::error_chain;
use crate::gui::ViewState;
use crate::messages::language::Setup;
use crate::messages::mailbox::Handle;
use crate::messages::protocol::{Command, Phase};
use crate::model::ContainerId;
use crate::model::incident::{Incident, StandIn};
use crate::session::app_session::AppSession;
use crate::store::lock::HomeLock;
use crate::store::snapshots::Snapshot;
use crate::store::{stand_in, usage};
use crate::threads;

/// How long a repair may go on although the app has ended. Most repairs end in this time, and an
/// app that runs only for moments must not keep the other version from being repaired.
const AFTER_THE_APP: Duration = Duration::from_secs(5);
/// A repair that takes less than this is not shown.
const SHORTEST_SHOWN_REPAIR: Duration = Duration::from_millis(500);
/// Pause between two looks at the repair while the window shows it.
const REPAIR_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Repairs a version that could not be started while another one runs; the next start uses it
/// again. The result is shown.
pub(super) fn beside_the_app(
    session: &AppSession,
    handle: &Handle,
    damaged: ContainerId,
    output: &Output,
) {
    begin(handle, &damaged);
    let app_ended = Cell::new(None);
    follow(handle, &mut ViewState::default(), output, |phase, _| {
        // The app may run again meanwhile.
        let ended = || app_ended.get().unwrap_or_else(Instant::now);
        app_ended.set(session.app.is_over().then(ended));
        if app_ended.get().is_some_and(|at| at.elapsed() >= AFTER_THE_APP) {
            handle.send(Command::Cancel);
        }
        has_ended(phase)
    });
    report(session, handle, &damaged);
}

/// Repairs a version while no app runs. A person who sees it last can end it. Returns whether the
/// repair was shown.
pub(super) fn before_the_app(
    session: &AppSession,
    damaged: ContainerId,
    options: PresentOptions,
    output: &Output,
) -> bool {
    let (handle, engine) = match driver::spawn(session.clone(), Setup::default()) {
        Ok(engine) => engine,
        Err(problem) => {
            tracing::error!(?problem, "no engine; nothing is repaired");
            return false;
        }
    };
    begin(&handle, &damaged);
    let mut view = ViewState::default();
    let began = Instant::now();
    // The waits before this one count, but a repair of moments is not shown.
    let is_long =
        || options.began.elapsed() >= TELL_AFTER && began.elapsed() >= SHORTEST_SHOWN_REPAIR;
    follow(&handle, &mut view, output, |phase, _| has_ended(phase) || is_long());
    let lasts = !has_ended(&handle.phase());
    if lasts {
        tracing::warn!("the repair lasts");
        show_until_it_ends(session, &handle, view, options, output);
    }
    report(session, &handle, &damaged);
    driver::quit(&handle, engine);
    lasts
}

fn begin(handle: &Handle, damaged: &ContainerId) {
    tracing::warn!(container = %damaged, "a version that could not be started is being repaired");
    handle.send(Command::Repair(damaged.clone()));
}

fn has_ended(phase: &Phase) -> bool {
    matches!(phase, Phase::Repaired(_) | Phase::Failed { .. } | Phase::Cancelled)
}

/// A window that closes with the end of the repair; without one, lines on standard error.
fn show_until_it_ends(
    session: &AppSession,
    handle: &Handle,
    view: ViewState,
    options: PresentOptions,
    output: &Output,
) {
    std::thread::scope(|scope| {
        let close_at_end = || {
            while !has_ended(&handle.phase()) && !handle.closed() {
                std::thread::sleep(REPAIR_POLL_INTERVAL);
            }
            // The window closes with its engine.
            handle.send(Command::Quit);
        };
        let shown = !options.headless
            && threads::spawn_scoped(scope, "repair", close_at_end).is_ok()
            && show(&session.environment, handle, view, options);
        if shown {
            // Whoever closes the window does not want to wait.
            handle.send(Command::Cancel);
        }
        print_until_it_ends(handle, output);
    });
}

fn print_until_it_ends(handle: &Handle, output: &Output) {
    let mut view = ViewState::default();
    while !has_ended(&handle.phase()) && !handle.closed() {
        if let Phase::Repairing { version } = handle.phase() {
            let title = output.texts.with("repairing-title", &[("version", &version.to_string())]);
            let value = output.texts.get("repairing-subtitle");
            error_line(&output.texts.with("detail-line", &[("name", &title), ("value", &value)]));
        }
        let printed = Instant::now();
        let is_due = || printed.elapsed() >= TELL_AGAIN;
        follow(handle, &mut view, output, |phase, _| has_ended(phase) || is_due());
    }
}

fn report(session: &AppSession, handle: &Handle, damaged: &ContainerId) {
    let (version, stand_in) = (damaged.version.clone(), stand_in_for(session, damaged));
    match handle.phase() {
        Phase::Repaired(repaired) if repaired.left.is_empty() => {
            tracing::info!(%version, "the version is whole again; the next start uses it");
            session.leave_notice(Incident::Repaired { version, stand_in });
        }
        phase => {
            match phase {
                // By the person, or because the app in its place has ended.
                Phase::Cancelled => tracing::warn!(
                    %version,
                    "the repair was cancelled; the next start goes on with it"
                ),
                phase => tracing::error!(?phase, "the version could not be repaired"),
            }
            // If no other version runs in its place, the window shows the failure.
            if session.app.get().is_some() {
                session.leave_notice(Incident::NotRepaired { version, stand_in });
            }
        }
    }
}

/// The version that was started in the place of `damaged`, with what its user should know of its
/// files; `None` if none was.
fn stand_in_for(session: &AppSession, damaged: &ContainerId) -> Option<StandIn> {
    let (home, running) = (session.home(), session.app.get()?.container.clone());
    Some(StandIn {
        files_of: stand_in::files_before(home, &running)?.changed,
        version: running.version,
        holds_files: usage::holds_user_files(&home.container(damaged)),
    })
}

/// Says where the files are that the user changed in a version while it stood in for the one that
/// runs again.
pub(super) fn report_work_in_stand_ins(session: &AppSession) {
    let home = session.home();
    if !stand_in::has_left(home) {
        return;
    }
    let tell = |retained: &Snapshot| {
        session.leave_notice(Incident::WorkedInStandIn {
            version: retained.next.version.clone(),
            worked_in: retained.container.version.clone(),
            retained: retained.place(home),
        });
    };
    let settled = HomeLock::take(home)
        .and_then(|lock| stand_in::settle(home, jiff::Timestamp::now(), &lock, &tell));
    if let Err(error) = settled {
        tracing::info!(
            error = error_chain::line(&error),
            "the next start says what was done in a version that stood in"
        );
    }
}
