//! `shortcut`: puts the app into the system's menu, or removes it from there.

use serde_json::json;

use crate::app::Ending;
use crate::app::output::Output;
use crate::app::self_update::SelfUpdate;
use crate::app::shortcuts::{entry, name_of, own_call};
use crate::desktop::DesktopError;
use crate::desktop::shortcut::{self, System};
use crate::environment::Environment;
use crate::host;
use crate::messages::problem;

/// Makes or removes the shortcut.
pub(crate) fn shortcut(
    environment: &Environment,
    own: &SelfUpdate,
    remove: bool,
    on_desktop: bool,
    output: &Output,
) -> Ending {
    let reported = |done: Result<Vec<std::path::PathBuf>, DesktopError>,
                    message: &str,
                    key: &str| match done {
        Ok(paths) => {
            let text = if paths.is_empty() { "shortcut-nothing" } else { message };
            output.say(&output.texts.with(text, &[("app", &name_of(environment))]));
            paths.iter().for_each(|path| output.say(&format!("  {}", path.display())));
            let status = if paths.is_empty() { "nothing_to_do" } else { "done" };
            let mut result = json!({ "status": status });
            result[key] =
                json!(paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>());
            output.result(result);
            if paths.is_empty() { Ending::NothingToDo } else { Ending::Done }
        }
        Err(error) => output.problem(&problem::of_desktop(&error)),
    };
    let folders = host::user_folders();
    if remove {
        return reported(
            shortcut::remove(
                &environment.home,
                own_call(environment, own).as_ref(),
                folders.as_ref(),
                System::current(),
            ),
            "shortcut-removed",
            "removed",
        );
    }
    let made = match (entry(environment, own), &folders) {
        (Some(entry), Some(folders)) => {
            shortcut::make(&entry, &environment.home, folders, on_desktop, System::current())
        }
        _ => Err(DesktopError::NoFolder("a user's menu")),
    };
    let lacks_desktop =
        on_desktop && folders.as_ref().is_some_and(|folders| folders.desktop.is_none());
    if lacks_desktop && made.is_ok() {
        output.say(&output.texts.get("shortcut-no-desktop"));
    }
    reported(made, "shortcut-made", "written")
}
