//! The verb `demo`: a publisher, three nodes and a launcher in one process.
//!
//! In: the folder for its files, and the size of the download. Out: an update to watch. Never: a
//! change outside of that folder.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::arguments::Common;
use super::invocation::Invocation;
use crate::app::installation::Installation;
use crate::app::output::Output;
use crate::app::self_update::SelfUpdate;
use crate::app::{Ending, run};
use crate::gui::texts::{Language, Texts};
use crate::session::supervisor;

/// The demo prepares a repository, installs the old release, then updates to the new one, in the
/// window or in the terminal.
pub(super) fn demo(
    keep: Option<&Path>,
    megabytes: u32,
    common: &Common,
    output: &Output,
    language: Language,
) -> Result<Ending, Box<dyn std::error::Error>> {
    let temporary = tempfile::tempdir()?;
    let folder = keep.unwrap_or(temporary.path());
    let bar = indicatif::ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let demo = crate::demo::Demo::prepare(folder, megabytes, &|version, progress| {
        bar.set_message(format!("{version}: {:?}", progress.step));
    })?;
    bar.finish_and_clear();
    let silent = Output::silent(Texts::new(language));
    // The demo does not show the self-update, so its launcher keeps its executable.
    let own = Arc::new(SelfUpdate::default());
    let began = Instant::now();
    let invocation =
        |output, arguments: &[&str]| -> Result<Invocation<'_>, Box<dyn std::error::Error>> {
            let place = Installation::find(Some(&demo.config()), Some(&demo.home()))?;
            let app_arguments = arguments.iter().map(OsString::from).collect();
            Ok(Invocation { place, common, output, app_arguments, language, own: &own, began })
        };
    // The demo does not show how the old release is installed.
    if invocation(&silent, &[])?.update(None) != Ending::Done {
        return Ok(Ending::Failed);
    }
    demo.go_on()?;
    if !common.headless && !common.json {
        let invocation = invocation(output, &[])?;
        return Ok(run::run(&invocation.app_session(), invocation.options(), output, &own));
    }
    let invocation = invocation(output, &["--once"])?;
    let ending = invocation.update(None);
    if ending != Ending::Done {
        return Ok(ending);
    }
    // Events are on standard output; the app's own output would disturb them.
    if common.json {
        return Ok(Ending::Done);
    }
    Ok(match supervisor::start(&invocation.app_session(), &|_| ())?.wait() {
        status if status.success() => Ending::Done,
        _ => Ending::Failed,
    })
}
