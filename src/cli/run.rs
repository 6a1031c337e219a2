//! What a desktop shortcut does: start the active version at once, then look for a release, and open the window only if there is
//! something to show. Whatever fails, an installed version starts (promises 1 and 2).

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::output::Output;
use super::own::Own;
use super::place::PlaceError;
use super::shown::{announce, show};
use super::{Ending, desktop, terminal};
use crate::engine::app::{self, AppSlot};
use crate::engine::context::Context;
use crate::engine::driver;
use crate::engine::machine::Setup;
use crate::engine::mailbox::Handle;
use crate::engine::problem;
use crate::engine::protocol::{Command, Event, Phase, Problem, ProblemKind};
use crate::engine::repair;
use crate::engine::supervisor;
use crate::host;
use crate::launcher::{self, Language, ViewState};
use crate::model::ContainerId;
use crate::settings::{CheckTime, Renderer};
use crate::store::launch::{RunningApp, exit_code};
use crate::store::lock::RunningLock;
use crate::store::{Home, probation};

/// What the command line says about the window.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// No window.
    pub headless: bool,
    /// Instead of the setting.
    pub renderer: Option<Renderer>,
    /// To begin with.
    pub language: Language,
}

/// Starts the app and keeps it up to date; returns when the app has ended.
pub fn run(context: &Context, options: Options, output: &Output, own: &Own) -> Ending {
    let started = match context.home.active() {
        Ok(_) if waits_for_check(context) => {
            let setup = Setup { launch_when_ready: true, start_anyway: true, running: false };
            return before_the_app(context, setup, options, output, own);
        }
        Ok(_) => match driver::start(context) {
            Ok(app) => app,
            // No version can be started: mending the one that should is the only way left.
            Err(error) => match mend_and_start(context, output) {
                Some(app) => app,
                None => {
                    own.confirm();
                    return told(context, options, output, &problem::of_store(&error));
                }
            },
        },
        // No version is whole, not even by its record. One that is named is still worth mending: the user's files are in it.
        Err(error) => match mend_and_start(context, output) {
            Some(app) => app,
            None => {
                tracing::info!(%error, "first install");
                return before_the_app(context, Setup { launch_when_ready: true, ..Setup::default() }, options, output, own);
            }
        },
    };
    let stepped_over = repair::stepped_over(context, &started.container);
    drop(started);
    own.confirm();
    context.home.tidy();
    tell_what_happened(context, options, output);
    if context.settings.update.check == CheckTime::Never && stepped_over.is_none() {
        return stay(context);
    }
    beside_the_app(context, stepped_over, options, output, own)
}

/// Whether the user chose to wait, or a mandatory release is known.
fn waits_for_check(context: &Context) -> bool {
    let mandatory = || {
        let state = context.home.state().ok()?;
        let (active, _) = context.home.active().ok()?;
        Some(state.mandatory? > active.pending.unwrap_or(active.container).version)
    };
    context.settings.update.check == CheckTime::BeforeStart || mandatory().unwrap_or(false)
}

/// The app runs; a version that should have been started and could not is mended, a release is looked for, and only if there is one the
/// window opens.
fn beside_the_app(context: &Context, stepped_over: Option<ContainerId>, options: Options, output: &Output, own: &Own) -> Ending {
    wait_for_trial(&context.app, context.settings.check_delay());
    // A version that fails at once is no reason to stop looking: the release that mends it may be there.
    let ended_well =
        || context.app.is_over() && context.app.get().and_then(|app| app.ended()).is_some_and(|status| status.success());
    if ended_well() && stepped_over.is_none() {
        return Ending::App(0);
    }
    let setup = Setup { launch_when_ready: true, start_anyway: false, running: !context.app.is_over() };
    let (handle, engine) = match driver::spawn(context.clone(), setup) {
        Ok(engine) => engine,
        Err(problem) => {
            tracing::error!(?problem, "no engine");
            return stay(context);
        }
    };
    if let Some(damaged) = stepped_over {
        mend(&handle, damaged, output);
        if ended_well() || context.settings.update.check == CheckTime::Never {
            quit(&handle, engine);
            return stay(context);
        }
    }
    handle.send(Command::Check { by_user: false });
    let mut view = ViewState::default();
    let prefetch = context.settings.update.prefetch;
    follow(&handle, &mut view, output, |phase, view| match phase {
        // A check that failed quietly leaves a notice and goes back to idle.
        Phase::Idle | Phase::Checking => view.notice.is_some() || ended_well(),
        Phase::Offered { offer } if prefetch && !offer.plan.is_local() => {
            handle.send(Command::Prefetch);
            ended_well()
        }
        // Fetched by itself: offered once nothing is left to fetch, and nothing is said if that fails.
        Phase::Downloading { .. } | Phase::Installing { .. } if prefetch => ended_well(),
        _ => true,
    });
    if view.offer().is_some() && !options.headless {
        announce(context, &handle, view, options);
        // A window that was closed on the way does not stop the download: the new version is there at the next start.
        follow(&handle, &mut ViewState::default(), output, |phase, _| match phase {
            // Between two versions no app runs; what was begun there is brought to its end.
            Phase::Installing { .. } | Phase::Switching { .. } => false,
            Phase::Downloading { .. } => context.app.running().is_none(),
            _ => true,
        });
    }
    quit(&handle, engine);
    afterwards(context, own, false);
    stay(context)
}

/// The rest of the launcher's life: as long as the app runs, without a window, a thread that wakes up, or a look at anything. If the
/// settings do not want that, only as long as a version is on probation.
fn stay(context: &Context) -> Ending {
    if !context.settings.health.stay && !context.app.is_attended() && !context.app.is_over() {
        return Ending::App(0);
    }
    let status = context.app.wait();
    supervisor::note_end(context);
    status.map_or(Ending::Failed, |status| Ending::App(exit_code(status)))
}

/// What happened while nobody looked, in the window or in the terminal.
fn tell_what_happened(context: &Context, options: Options, output: &Output) {
    let notices = probation::take_notices(&context.home).unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "what happened is not known");
        Vec::new()
    });
    for notice in &notices {
        output.event(&Event::Happened { when: notice.when, what: notice.what.clone() });
        output.happened(&notice.what);
    }
    if notices.is_empty() || options.headless {
        return;
    }
    let setup = Setup { running: true, ..Setup::default() };
    match driver::spawn(context.clone(), setup) {
        Ok((handle, engine)) => {
            show(context, &handle, ViewState::telling(notices), options);
            quit(&handle, engine);
        }
        Err(problem) => tracing::error!(?problem, "no engine"),
    }
}

/// Mends a version that could not be started while another one runs; the next start uses it again. What comes of it is in the log.
fn mend(handle: &Handle, damaged: ContainerId, output: &Output) {
    tracing::warn!(container = %damaged, "a version that could not be started is being repaired");
    handle.send(Command::Repair(damaged));
    let ended = |phase: &Phase| matches!(phase, Phase::Repaired(_) | Phase::Failed { .. } | Phase::Cancelled);
    follow(handle, &mut ViewState::default(), output, |phase, _| ended(phase));
    match handle.phase() {
        Phase::Repaired(repaired) if repaired.left.is_empty() => {
            tracing::info!(version = %repaired.version, "the version is whole again; the next start uses it");
        }
        phase => tracing::error!(?phase, "the version could not be repaired"),
    }
}

/// Mends the version that the next start should use, and starts it; `None` at once if there is none.
fn mend_and_start(context: &Context, output: &Output) -> Option<Arc<RunningApp>> {
    let damaged = context.home.named().ok().flatten()?.container;
    if !context.home.container(&damaged).is_dir() {
        return None;
    }
    let (handle, engine) = driver::spawn(context.clone(), Setup::default()).ok()?;
    mend(&handle, damaged, output);
    quit(&handle, engine);
    let started = driver::start(context);
    started.inspect_err(|error| tracing::error!(%error, "nor can it be started now")).ok()
}

/// Nothing runs yet: the window (or the terminal) shows the check, and the app starts at the end of it, whatever the end is.
fn before_the_app(context: &Context, setup: Setup, options: Options, output: &Output, own: &Own) -> Ending {
    let was_empty = desktop::is_empty(&context.home);
    let (handle, engine) = match driver::spawn(context.clone(), setup) {
        Ok(engine) => engine,
        Err(problem) if setup.start_anyway => {
            tracing::error!(?problem, "no engine; starting what is installed");
            return start_and_wait(context, options, output);
        }
        Err(problem) => return told(context, options, output, &problem),
    };
    handle.send(Command::Check { by_user: !setup.start_anyway });
    let shown = !options.headless && show(context, &handle, ViewState::default(), options);
    let ending = if shown { Ending::Failed } else { in_terminal(&handle, setup, output) };
    let too_old = matches!(handle.phase(), Phase::Failed { problem } if problem.kind == ProblemKind::LauncherTooOld);
    quit(&handle, engine);
    // It has shown that it works, also where the network did not.
    own.confirm();
    // Nothing can be installed by this launcher; a newer one can do it, from the beginning.
    if context.app.get().is_none()
        && too_old
        && own.update(context, &|| true)
        && let Some(ending) = own.hand_over()
    {
        return ending;
    }
    match context.app.get() {
        Some(_) => {
            afterwards(context, own, was_empty);
            stay(context)
        }
        // The window was closed before the check was over, or the check failed: the installed version starts all the same.
        None if setup.start_anyway => start_and_wait(context, options, output),
        None => ending,
    }
}

/// The window with what is in a bundle. An app that runs already, started by another launcher, goes on: the new version waits for
/// its next start.
pub fn open(context: &Context, file: PathBuf, options: Options, output: &Output) -> Ending {
    let active = context.home.active().ok().map(|(active, _)| active.container);
    let elsewhere = active.as_ref().is_some_and(|id| RunningLock::is_held(&context.home, id));
    let setup = Setup { launch_when_ready: active.is_none(), start_anyway: false, running: elsewhere };
    let (handle, engine) = match driver::spawn(context.clone(), setup) {
        Ok(engine) => engine,
        Err(problem) => return told(context, options, output, &problem),
    };
    handle.send(Command::InstallFile(file));
    let view = ViewState::of_file(elsewhere);
    let shown = show(context, &handle, view, options);
    if shown {
        // A window that was closed on the way does not stop what was begun.
        follow(&handle, &mut ViewState::default(), output, |phase, _| {
            !matches!(phase, Phase::Installing { .. } | Phase::Switching { .. })
        });
    }
    quit(&handle, engine);
    match context.app.get() {
        Some(app) => Ending::App(exit_code(app.wait())),
        None if shown => Ending::Done,
        None => Ending::Failed,
    }
}

/// What a running launcher does for itself and for the desktop, as long as the app runs.
fn afterwards(context: &Context, own: &Own, was_empty: bool) {
    desktop::follow(context, own, was_empty);
    own.update(context, &|| context.app.running().is_some());
}

fn in_terminal(handle: &Handle, setup: Setup, output: &Output) -> Ending {
    terminal::follow(handle, output, |phase| match phase {
        Phase::Offered { .. } => {
            // Nobody is there to be asked: a first install goes on, an update waits for somebody.
            handle.send(if setup.start_anyway { Command::Later } else { Command::Start });
            None
        }
        Phase::Launched { .. } => Some(Ending::Done),
        Phase::UpToDate { .. } | Phase::Failed { .. } | Phase::Cancelled => Some(Ending::Failed),
        _ => None,
    })
}

/// Takes events in until `enough`, looking at least every second.
fn follow(handle: &Handle, view: &mut ViewState, output: &Output, enough: impl Fn(&Phase, &ViewState) -> bool) {
    while !enough(&handle.phase(), view) && !handle.closed() {
        for event in handle.wait(Duration::from_secs(1)) {
            output.event(&event);
            view.apply(event);
        }
    }
    // The phase is known before the events that tell of it are taken.
    for event in handle.take() {
        output.event(&event);
        view.apply(event);
    }
}

/// Waits until `limit` has passed and a version on probation is up, or all is over.
fn wait_for_trial(app: &AppSlot, limit: Duration) {
    let end = Instant::now() + limit;
    while !app.is_over() && (Instant::now() < end || app.is_on_trial()) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn quit(handle: &Handle, engine: std::thread::JoinHandle<()>) {
    handle.send(Command::Quit);
    // A panic there was told by the panic hook.
    let _ = engine.join();
}

fn start_and_wait(context: &Context, options: Options, output: &Output) -> Ending {
    match driver::start(context) {
        Ok(_) => stay(context),
        Err(error) => told(context, options, output, &problem::of_store(&error)),
    }
}

/// On standard error, and for whoever clicked a shortcut in a message of the system.
fn told(context: &Context, options: Options, output: &Output, problem: &Problem) -> Ending {
    let ending = output.problem(problem);
    if !options.headless {
        launcher::tell_problem(context.settings.app.as_str(), &output.texts, problem);
    }
    ending
}

/// The settings cannot be used. The installed version starts all the same, if its home can be found (promise 1).
pub fn without_settings(home: Option<&Home>, error: &PlaceError, arguments: &[OsString], output: &Output) -> Ending {
    let told = output.problem(&Problem::new(ProblemKind::BadSettings, "", error));
    let started = home.and_then(|home| app::start(home, arguments, &host::variable).ok());
    started.map_or(told, |app| Ending::App(exit_code(app.wait())))
}
