//! The action of a desktop shortcut: start the active version at once, then check for a release,
//! and open the window only if there is something to show. An installed version starts whatever
//! else fails (promises 1 and 2).

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::installation::PlaceError;
use super::output::Output;
use super::present::{PresentOptions, listen, nameless_window_options, show, window_options};
use super::resident::{self, follow, share, stay};
use super::self_update::SelfUpdate;
use super::{Ending, repairing, shortcuts, starting, terminal};
use crate::engine::driver;
use crate::error_chain;
use crate::gui::{self, ViewState};
use crate::host;
use crate::look;
use crate::messages::language::Setup;
use crate::messages::mailbox::{Handle, WindowPart};
use crate::messages::problem;
use crate::messages::protocol::{CheckTrigger, Command, Phase, Problem, ProblemKind};
use crate::model::ContainerId;
use crate::session::app_session::AppSession;
use crate::session::{app, instance, supervisor};
use crate::settings::CheckTime;
use crate::store::launch::{RunningApp, exit_code};
use crate::store::lock::RunningLock;
use crate::store::{Home, StoreError};
use crate::update::repair;

/// Starts the app and keeps it up to date; returns when the app has ended.
pub(crate) fn run(
    session: &AppSession,
    options: PresentOptions,
    output: &Output,
    own: &SelfUpdate,
) -> Ending {
    // Without a terminal the app's standard error is stored in a file. A person at a terminal, or a
    // script, gets it directly.
    if !options.headless && !std::io::stderr().is_terminal() {
        session.app.keep_errors();
    }
    let started = match session.home().active_for_start() {
        Ok(_) if waits_for_check(session) => {
            let setup = Setup { launch_when_ready: true, start_anyway: true, running: false };
            return before_the_app(session, setup, options, output, own);
        }
        Ok(_) => match start(session, options, output) {
            Ok(app) => app,
            Err(error @ StoreError::NoPrograms { .. }) => {
                own.confirm();
                return show_problem(session, options, output, &problem::of_store(&error));
            }
            // No version can be started: repairing the one that should start is the only option
            // left.
            Err(error) => match repair_and_start(session, options, output) {
                Some(app) => app,
                None => {
                    own.confirm();
                    return show_problem(session, options, output, &problem::of_store(&error));
                }
            },
        },
        // No version is whole, not even by its record. A version that is named is still worth
        // repairing: the user's files are in it.
        Err(error) => match repair_and_start(session, options, output) {
            Some(app) => app,
            None => {
                tracing::info!(error = error_chain::line(&error), "first install");
                return before_the_app(
                    session,
                    Setup { launch_when_ready: true, ..Setup::default() },
                    options,
                    output,
                    own,
                );
            }
        },
    };
    let stepped_over = repair::stepped_over(&session.environment, &started.container);
    drop(started);
    own.confirm();
    beside_the_app(session, stepped_over, options, output, own)
}

/// Starts the app and shows every step that takes long.
fn start(
    session: &AppSession,
    options: PresentOptions,
    output: &Output,
) -> Result<Arc<RunningApp>, StoreError> {
    let show = |handle: &Handle, view| {
        !options.headless && show(&session.environment, handle, view, options)
    };
    starting::start(options.began, show, output, |tell| supervisor::start(session, tell))
}

/// Whether the user chose to wait for checks, a mandatory release is known, or the version to start
/// is recalled.
fn waits_for_check(session: &AppSession) -> bool {
    let mandatory = || {
        let state = session.home().state().ok()?;
        let chosen = session.home().chosen().ok()?.version;
        let is_recalled = state.recalled.contains(&chosen);
        Some(state.mandatory? > chosen || is_recalled)
    };
    session.environment.settings.update.check == CheckTime::BeforeStart
        || mandatory().unwrap_or(false)
}

/// The app runs. This shows incidents, repairs a version that should have been started and could
/// not be, and then stays.
fn beside_the_app(
    session: &AppSession,
    stepped_over: Option<ContainerId>,
    options: PresentOptions,
    output: &Output,
    own: &SelfUpdate,
) -> Ending {
    let setup =
        Setup { launch_when_ready: true, start_anyway: false, running: !session.app.is_over() };
    let (handle, engine) = match driver::spawn(session.clone(), setup) {
        Ok(engine) => engine,
        Err(problem) => {
            tracing::error!(?problem, "no engine");
            return stay(session);
        }
    };
    session.home().remove_left_if_idle();
    match stepped_over {
        Some(damaged) => repairing::beside_the_app(session, &handle, damaged, output),
        None => repairing::report_work_in_stand_ins(session),
    }
    let ending = resident::live(session, &handle, options, output, own);
    driver::quit(&handle, engine);
    ending
}

/// Repairs the version that the next start should use, and starts it; `None` at once if there is
/// none.
fn repair_and_start(
    session: &AppSession,
    options: PresentOptions,
    output: &Output,
) -> Option<Arc<RunningApp>> {
    let damaged = session.home().named().ok().flatten()?.container;
    if !look::is_folder(&session.home().container(&damaged)).unwrap_or(true) {
        return None;
    }
    let was_shown = repairing::before_the_app(session, damaged, options, output);
    // What a person has just seen is no silent wait.
    let options = if was_shown { options.begun_now() } else { options };
    let started = start(session, options, output);
    started
        .inspect_err(|error| {
            tracing::error!(error = error_chain::line(&error), "nor can it be started now")
        })
        .ok()
}

/// No app runs yet: the window (or the terminal) shows the check, and the app starts at its end,
/// whatever the result.
fn before_the_app(
    session: &AppSession,
    setup: Setup,
    options: PresentOptions,
    output: &Output,
    own: &SelfUpdate,
) -> Ending {
    let was_empty = shortcuts::is_empty(session.home());
    let (handle, engine) = match driver::spawn(session.clone(), setup) {
        Ok(engine) => engine,
        Err(problem) if setup.start_anyway => {
            tracing::error!(?problem, "no engine; starting what is installed");
            return start_and_wait(session, options, output);
        }
        Err(problem) => return show_problem(session, options, output, &problem),
    };
    // Where the app starts anyway, a failure is no reason to keep its person waiting.
    let included = session.environment.included_bundle.clone().filter(|_| was_empty);
    let trigger = match included {
        Some(bundle) => CheckTrigger::Included(bundle),
        None if setup.start_anyway => CheckTrigger::Schedule,
        None => CheckTrigger::Person,
    };
    handle.send(Command::Check(trigger));
    let listening = listen(&session.environment, &handle, options);
    let shown =
        !options.headless && show(&session.environment, &handle, ViewState::default(), options);
    let ending = if shown { Ending::Failed } else { in_terminal(&handle, setup, output) };
    let too_old = matches!(handle.phase(), Phase::Failed { problem } if problem.kind == ProblemKind::LauncherTooOld);
    // The launcher has worked, even if the network did not.
    own.confirm();
    drop(listening);
    if session.app.get().is_some() {
        shortcuts::follow(&session.environment, own, was_empty);
        let ending = resident::live(session, &handle, options, output, own);
        driver::quit(&handle, engine);
        return ending;
    }
    driver::quit(&handle, engine);
    // This launcher is too old to install the release; a newer launcher can do it, from the
    // beginning.
    if too_old
        && own.update(&session.environment, &|| true)
        && let Some(ending) = own.hand_over()
    {
        return ending;
    }
    // The window was closed before the check ended, or the check failed: the installed version
    // starts all the same.
    if setup.start_anyway { start_and_wait(session, options.begun_now(), output) } else { ending }
}

/// The active version; `None` if nothing is installed.
fn active_version(home: &Home) -> Result<Option<ContainerId>, Problem> {
    match home.active() {
        Ok((active, _)) => Ok(Some(active.container)),
        Err(StoreError::NothingInstalled { .. }) => Ok(None),
        Err(error) => Err(problem::of_store(&error)),
    }
}

/// The window with the content of a bundle. An app that already runs, started by another launcher,
/// goes on: the new version waits for its next start.
pub(crate) fn open(
    session: &AppSession,
    file: PathBuf,
    options: PresentOptions,
    output: &Output,
) -> Ending {
    let active = match active_version(session.home()) {
        Ok(active) => active,
        Err(problem) => return show_problem(session, options, output, &problem),
    };
    let elsewhere = active.as_ref().is_some_and(|id| RunningLock::is_held(session.home(), id));
    let setup =
        Setup { launch_when_ready: active.is_none(), start_anyway: false, running: elsewhere };
    let (handle, engine) = match driver::spawn(session.clone(), setup) {
        Ok(engine) => engine,
        Err(problem) => return show_problem(session, options, output, &problem),
    };
    handle.send(Command::Check(CheckTrigger::Bundle(file)));
    let view = ViewState::of_file(elsewhere);
    in_window(session, &handle, view, options, output, engine)
}

/// The whole window, in any phase: the window of the launcher beside the app if there is one,
/// otherwise a new one.
pub(crate) fn window(
    session: &AppSession,
    part: WindowPart,
    options: PresentOptions,
    output: &Output,
) -> Ending {
    if instance::ask(session.home(), &host::private_folders(), part) {
        return Ending::Done;
    }
    let active = match active_version(session.home()) {
        Ok(active) => active,
        Err(problem) => return show_problem(session, options, output, &problem),
    };
    let elsewhere = active.as_ref().is_some_and(|id| RunningLock::is_held(session.home(), id));
    let setup =
        Setup { launch_when_ready: active.is_none(), start_anyway: false, running: elsewhere };
    let (handle, engine) = match driver::spawn(session.clone(), setup) {
        Ok(engine) => engine,
        Err(problem) => return show_problem(session, options, output, &problem),
    };
    // Nothing is installed, so installing is the only useful action.
    handle.want(if active.is_none() { WindowPart::Check } else { part });
    let _listening = listen(&session.environment, &handle, options);
    let view = ViewState::beside(elsewhere);
    in_window(session, &handle, view, options, output, engine)
}

/// Shows the window, and completes the work that was begun in it.
fn in_window(
    session: &AppSession,
    handle: &Handle,
    view: ViewState,
    options: PresentOptions,
    output: &Output,
    engine: std::thread::JoinHandle<()>,
) -> Ending {
    let shown = show(&session.environment, handle, view, options);
    if shown {
        // Closing the window midway does not stop the work.
        follow(handle, &mut ViewState::default(), output, |phase, _| {
            !matches!(
                phase,
                Phase::Installing { .. } | Phase::Closing { .. } | Phase::Switching { .. }
            )
        });
    }
    driver::quit(handle, engine);
    match session.app.get() {
        Some(app) => {
            let _sharing = share(session);
            Ending::App(exit_code(app.wait()))
        }
        None if shown => Ending::Done,
        None => Ending::Failed,
    }
}

fn in_terminal(handle: &Handle, setup: Setup, output: &Output) -> Ending {
    terminal::follow(handle, output, |phase| match phase {
        Phase::Offered { offer } => {
            // Nobody is there to answer: a first installation goes on, and a recalled version is
            // left; another update waits for an answer.
            let waits = setup.start_anyway && offer.recalled.is_none();
            handle.send(if waits { Command::Later } else { Command::Start });
            None
        }
        Phase::Launched { .. } => Some(Ending::Done),
        Phase::UpToDate { .. } | Phase::Failed { .. } | Phase::Cancelled => Some(Ending::Failed),
        _ => None,
    })
}

fn start_and_wait(session: &AppSession, options: PresentOptions, output: &Output) -> Ending {
    match start(session, options, output) {
        Ok(_) => stay(session),
        Err(error) => show_problem(session, options, output, &problem::of_store(&error)),
    }
}

/// Shows a problem on standard error, and in a window for a user who clicked a shortcut.
fn show_problem(
    session: &AppSession,
    options: PresentOptions,
    output: &Output,
    problem: &Problem,
) -> Ending {
    let ending = output.problem(problem);
    if !options.headless {
        gui::show_problem(window_options(&session.environment, options), problem);
    }
    ending
}

/// The settings or the home cannot be used. If only the settings are wrong, the installed version
/// starts all the same from `home` (docs/security.md, promise 1). If nothing starts, a user who clicked a shortcut sees the reason
/// in a window.
pub(crate) fn without_settings(
    home: Option<&Home>,
    error: &PlaceError,
    arguments: &[OsString],
    options: PresentOptions,
    output: &Output,
) -> Ending {
    let problem = error.problem();
    let show_problem = output.problem(&problem);
    let app_name = home.and_then(name_in).unwrap_or_else(|| env!("CARGO_PKG_NAME").to_owned());
    let window = nameless_window_options(app_name, options);
    if let Some(home) = home {
        let show = |handle: &Handle, view| {
            !options.headless && gui::open(window.clone(), handle.clone(), view).is_ok()
        };
        let begin = |tell: starting::Tell| app::start(home, arguments, &host::variable, &tell);
        match starting::start(options.began, show, output, begin) {
            Ok(app) => return Ending::App(exit_code(app.wait())),
            Err(error) => tracing::error!(
                error = error_chain::line(&error),
                "nor does the installed version start"
            ),
        }
    }
    if !options.headless {
        gui::show_problem(window, &problem);
    }
    show_problem
}

/// The name of the app that is active in a home.
pub(crate) fn name_in(home: &Home) -> Option<String> {
    Some(home.active().ok()?.1.display_name)
}
