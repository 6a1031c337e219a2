//! `uninstall`: removes everything, and asks in a terminal what becomes of the user's files.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use serde_json::json;

use crate::app::Ending;
use crate::app::output::Output;
use crate::app::self_update::SelfUpdate;
use crate::app::shortcuts::{name_of, own_call};
use crate::desktop::DesktopError;
use crate::desktop::uninstall::Uninstall;
use crate::environment::Environment;
use crate::host;
use crate::messages::problem;
use crate::messages::protocol::{Problem, ProblemKind};
use crate::store::StoreError;
use crate::store::hooks::HookOptions;

/// The options of `uninstall`.
#[derive(Clone, Copy, Debug)]
pub(super) struct UninstallOptions {
    /// Whether the user's files stay; `None` asks the user, or keeps them if nobody can answer.
    pub keep_data: Option<bool>,
    /// Uninstall without questions.
    pub yes: bool,
    /// No person can answer questions.
    pub unattended: bool,
}

/// Uninstalls, and asks the user what becomes of the user's files if a person can answer.
pub(crate) fn uninstall(
    environment: &Environment,
    own: &SelfUpdate,
    options: UninstallOptions,
    output: &Output,
) -> Ending {
    let name = name_of(environment);
    let folder = environment.home.root().display().to_string();
    let ask = |message: &str, usual: bool| {
        ask(&output.texts.with(message, &[("app", &name), ("folder", &folder)]), usual)
    };
    let attended = !options.unattended && !options.yes && std::io::stdin().is_terminal();
    if attended && !ask("uninstall-question", false) {
        output.say(&output.texts.get("uninstall-left"));
        return Ending::NothingToDo;
    }
    let keep_data =
        options.keep_data.unwrap_or_else(|| !attended || ask("uninstall-question-data", true));
    let (folders, own_call) = (host::user_folders(), own_call(environment, own));
    let uninstall = Uninstall {
        home: &environment.home,
        folders: folders.as_ref(),
        program: own.program(),
        own: own_call.as_ref(),
        keep_data,
        hook: HookOptions {
            variable: &host::variable,
            limit: environment.settings.update.hook_limit(),
        },
        now: host::now(),
    };
    match uninstall.perform() {
        Ok(done) => {
            output.say(&output.texts.with(
                if done.anything { "uninstall-done" } else { "uninstall-nothing" },
                &[("app", &name)],
            ));
            let tell = |message: &str, path: &std::path::Path| {
                output.say(&output.texts.with(message, &[("folder", &path.display().to_string())]));
            };
            if !done.hook_failure.is_empty() {
                output.say(&output.texts.get("uninstall-hook-failed"));
                done.hook_failure.iter().for_each(|line| output.say(&format!("  {line}")));
            }
            done.retained.iter().for_each(|path| tell("uninstall-retained", path));
            done.foreign.iter().for_each(|path| tell("uninstall-foreign", path));
            if let Some(program) = own.program().filter(|_| done.anything) {
                tell("uninstall-launcher", program.path());
            }
            let paths = |paths: &[std::path::PathBuf]| {
                paths.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>()
            };
            let status = if done.anything { "done" } else { "nothing_to_do" };
            output.result(json!({ "status": status, "kept": paths(&done.retained), "foreign": paths(&done.foreign), "hook_failed": done.hook_failure }));
            if done.anything { Ending::Done } else { Ending::NothingToDo }
        }
        Err(DesktopError::Store(error @ StoreError::InUse { .. })) => {
            output.problem(&Problem::new(ProblemKind::AppRunning, name, &error))
        }
        Err(error) => output.problem(&problem::of_desktop(&error)),
    }
}

/// The home is a folder of another program: nothing is installed, and nothing is changed.
pub(super) fn nothing(app: &str, output: &Output) -> Ending {
    output.say(&output.texts.with("uninstall-nothing", &[("app", app)]));
    output.result(json!({ "status": "nothing_to_do", "kept": [], "foreign": [] }));
    Ending::NothingToDo
}

/// The home is that of another publisher's app: its own launcher removes it, and nothing is changed.
pub(super) fn of_another_publisher(problem: &Problem, output: &Output) -> Ending {
    output.complain(problem);
    output.result(
        json!({ "status": "nothing_to_do", "kept": [], "foreign": [], "problem": problem }),
    );
    Ending::NothingToDo
}

/// A question with yes or no as an answer; an empty answer, or the end of the input, means `usual`.
fn ask(question: &str, usual: bool) -> bool {
    let mut out = std::io::stderr();
    let choice = if usual { "[Y/n]" } else { "[y/N]" };
    // If the question cannot be shown, nobody can answer it; then the usual answer holds.
    let shown = write!(out, "{question} {choice} ").and_then(|()| out.flush());
    let mut answer = String::new();
    if shown.is_err() || std::io::stdin().lock().read_line(&mut answer).is_err() {
        return usual;
    }
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" | "是" => true,
        "n" | "no" | "否" => false,
        _ => usual,
    }
}
