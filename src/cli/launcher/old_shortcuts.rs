//! `old-shortcuts`: what an earlier installation of the app has left in the menu and on the desktop.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::app::output::Output;
use crate::app::self_update::SelfUpdate;
use crate::app::shortcuts::name_of;
use crate::app::{Ending, old_shortcuts};
use crate::desktop::DesktopError;
use crate::environment::Environment;
use crate::host::{self, UserFolders};
use crate::messages::problem;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum What {
    /// Tell which there are.
    Status,
    /// Take them away, and put the app itself into the menu.
    Replace,
    /// Put back what was taken away, where the old program is still there.
    Restore,
}

/// Performs the verb. Status 3: there is none.
pub(super) fn old_shortcuts(
    environment: &Environment,
    own: &SelfUpdate,
    what: What,
    output: &Output,
) -> Ending {
    let done = match host::user_folders() {
        Some(folders) if own.program().is_some() => perform(environment, own, &folders, what),
        _ => Err(DesktopError::NoFolder("a user's menu")),
    };
    let paths = match done {
        Ok(paths) => paths,
        Err(error) => return output.problem(&problem::of_desktop(&error)),
    };
    let text = match what {
        _ if paths.is_empty() => "old-shortcuts-none",
        What::Status => "old-shortcuts-found",
        What::Replace => "old-shortcuts-replaced",
        What::Restore => "old-shortcuts-restored",
    };
    output.say(&output.texts.with(text, &[("app", &name_of(environment))]));
    paths.iter().for_each(|path| output.say(&format!("  {}", path.display())));
    let listed: Vec<Value> = paths.iter().map(|path| json!(path.to_string_lossy())).collect();
    let status = if paths.is_empty() { "nothing_to_do" } else { "done" };
    output.result(json!({ "status": status, "old_shortcuts": listed }));
    if paths.is_empty() { Ending::NothingToDo } else { Ending::Done }
}

fn perform(
    environment: &Environment,
    own: &SelfUpdate,
    folders: &UserFolders,
    what: What,
) -> Result<Vec<PathBuf>, DesktopError> {
    let paths = match what {
        What::Status => {
            let found = old_shortcuts::find(environment, own, folders);
            return Ok(found.into_iter().map(|old| old.path).collect());
        }
        What::Replace => old_shortcuts::replace(environment, own, folders)?,
        What::Restore => old_shortcuts::restore(&environment.home)?,
    };
    // The window need not ask any more.
    if !paths.is_empty() {
        old_shortcuts::answered(&environment.home)?;
    }
    Ok(paths)
}
