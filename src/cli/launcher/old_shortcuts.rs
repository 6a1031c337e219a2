//! `old-shortcuts`: what an earlier installation of the app has left in the menu and on the desktop.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::app::Ending;
use crate::app::output::Output;
use crate::app::self_update::SelfUpdate;
use crate::app::shortcuts::{entry, name_of};
use crate::desktop::old_shortcuts::{self, OldShortcut};
use crate::desktop::shortcut::{self, System};
use crate::desktop::{DesktopError, Entry};
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
    let done = match (entry(environment, own), host::user_folders()) {
        (Some(entry), Some(folders)) => perform(environment, &entry, &folders, what),
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
    entry: &Entry,
    folders: &UserFolders,
    what: What,
) -> Result<Vec<PathBuf>, DesktopError> {
    let home = &environment.home;
    let system = System::current();
    if what == What::Restore {
        return old_shortcuts::restore(home);
    }
    let programs = &environment.settings.desktop.replaces;
    let own: &Path = &entry.program;
    let old = old_shortcuts::find(programs, own, home, folders, system);
    if what == What::Replace && !old.is_empty() {
        // The new entry comes first, so that the user is never without one.
        make_entry(environment, entry, folders, &old)?;
        old_shortcuts::replace(&old, home)?;
    }
    Ok(old.into_iter().map(|old| old.path).collect())
}

/// Makes the app's own entry, with an icon on the desktop if an old one lies there. A package or an
/// installer has made one already.
fn make_entry(
    environment: &Environment,
    entry: &Entry,
    folders: &UserFolders,
    old: &[OldShortcut],
) -> Result<(), DesktopError> {
    let is_package = !environment.settings.launcher.self_update;
    let system = System::current();
    if is_package || old_shortcuts::is_in_menu(entry, folders, system) {
        return Ok(());
    }
    let on_desktop = old.iter().any(|old| old.is_on_desktop);
    shortcut::make(entry, &environment.home, folders, on_desktop, system).map(drop)
}
