//! `autostart`: the user's switch for starting the app at login.

use std::path::PathBuf;

use serde_json::json;

use crate::app::Ending;
use crate::app::output::Output;
use crate::app::self_update::SelfUpdate;
use crate::app::shortcuts::{entry, name_of};
use crate::desktop::shortcut::System;
use crate::desktop::{DesktopError, autostart};
use crate::environment::Environment;
use crate::host;
use crate::messages::problem;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum What {
    /// Start the app at each login of this user.
    On,
    /// Do not.
    Off,
    /// Tell which it is.
    Status,
}

/// Performs the verb. Status 3: it was so before.
pub(super) fn autostart(
    environment: &Environment,
    own: &SelfUpdate,
    what: What,
    output: &Output,
) -> Ending {
    let home = &environment.home;
    let done = match what {
        What::On => turn_on(environment, own),
        What::Off => autostart::turn_off(home),
        What::Status => Ok(None),
    };
    let in_force = done.and_then(|changed| Ok((changed, autostart::in_force(home)?)));
    let (changed, file) = match in_force {
        Ok(known) => known,
        Err(error) => return output.problem(&problem::of_desktop(&error)),
    };
    let text = if file.is_some() { "autostart-is-on" } else { "autostart-is-off" };
    output.say(&output.texts.with(text, &[("app", &name_of(environment))]));
    let is_done = changed.is_some() || what == What::Status;
    let status = if is_done { "done" } else { "nothing_to_do" };
    let path = file.as_ref().map(|path| path.to_string_lossy());
    output.result(json!({ "status": status, "autostart": file.is_some(), "file": path }));
    if is_done { Ending::Done } else { Ending::NothingToDo }
}

fn turn_on(environment: &Environment, own: &SelfUpdate) -> Result<Option<PathBuf>, DesktopError> {
    match (entry(environment, own), host::user_folders()) {
        (Some(entry), Some(folders)) => {
            autostart::turn_on(&entry, &environment.home, &folders, System::current())
        }
        _ => Err(DesktopError::NoFolder("programs that start at login")),
    }
}
