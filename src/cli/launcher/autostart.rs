//! `autostart`: the user's switch for starting the app at login.

use serde_json::json;

use crate::app::Ending;
use crate::app::login_switch::turn_on;
use crate::app::output::Output;
use crate::app::self_update::SelfUpdate;
use crate::app::shortcuts::{entry, name_of, own_call};
use crate::desktop::autostart::{self, State};
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
    let (home, own_call) = (&environment.home, own_call(environment, own));
    let done = match what {
        What::On => turn_on(environment, entry(environment, own), host::user_folders().as_ref()),
        What::Off => autostart::turn_off(home, own_call.as_ref()),
        What::Status => Ok(None),
    };
    let state = done.and_then(|changed| Ok((changed, autostart::state(home, own_call.as_ref())?)));
    let (changed, state) = match state {
        Ok(known) => known,
        Err(error) => return output.problem(&problem::of_desktop(&error)),
    };
    let text = if matches!(state, State::On(_)) { "autostart-is-on" } else { "autostart-is-off" };
    output.say(&output.texts.with(text, &[("app", &name_of(environment))]));
    if state == State::OffInSystem {
        output.say(&output.texts.get("login-start-off-in-system"));
    }
    let file = match state {
        State::On(file) => Some(file),
        State::Off | State::OffInSystem => None,
    };
    let is_done = changed.is_some() || what == What::Status;
    let status = if is_done { "done" } else { "nothing_to_do" };
    let path = file.as_ref().map(|path| path.to_string_lossy());
    output.result(json!({ "status": status, "autostart": file.is_some(), "file": path }));
    if is_done { Ending::Done } else { Ending::NothingToDo }
}
