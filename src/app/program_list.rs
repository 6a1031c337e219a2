//! The app in the system's list of installed programs, which shows the version that is installed.
//!
//! In: the app's active version, its home, this launcher. Out: what `desktop` writes. Never: an
//! error of its own: the list is no reason to disturb anybody.

use super::self_update::SelfUpdate;
use crate::desktop::program_list;
use crate::environment::Environment;
use crate::error_chain;
use crate::look;
use crate::store::usage;

/// Background work after a start or an update. `was_empty`: nothing was installed before.
pub(crate) fn follow(environment: &Environment, own: &SelfUpdate, was_empty: bool) {
    // A launcher that was called with a place of its own is not the one that a setup has installed.
    let Some(program) = own.program().filter(|_| own.place().is_empty()) else { return };
    let Ok((active, _)) = environment.home.active() else { return };
    let path = program.path();
    let kilobytes = || {
        let launcher = look::at(path).ok().flatten().map_or(0, |found| found.len());
        let bytes = usage::measure(&environment.home).whole + launcher;
        u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
    };
    let app = environment.settings.app.as_str();
    match program_list::follow(app, path, &active.container.version, was_empty, kilobytes) {
        Ok(true) => tracing::info!("the list of installed programs is up to date"),
        Ok(false) => {}
        Err(error) => tracing::info!(
            error = error_chain::line(&error),
            "the list of installed programs stays as it is"
        ),
    }
}
