//! Apps that end by themselves at once, with status 0: often a program without a call of its own
//! main function. The launcher takes such an end for a wish of the app, so users would see nothing.
//!
//! In: how a trial went, and what was started. Out: a warning, or none. Never: a failure, since a
//! program of a terminal may well end at once.

use super::app::Fared;
use crate::model::Manifest;

/// The Python that a container for Windows starts only if its app has a console.
const CONSOLE_PYTHON: &str = "python.exe";

/// A warning about an app that has ended where one with a window would go on. `may_end`: it was
/// only imported, or the publisher has said that it is a program of a terminal.
pub(super) fn warning(fared: &Fared, manifest: &Manifest, may_end: bool) -> Option<&'static str> {
    let program = &manifest.application_info.launch.program;
    let has_console = program.file_name().eq_ignore_ascii_case(CONSOLE_PYTHON);
    let may_end = may_end || has_console || *fared != Fared::Ended(0);
    (!may_end).then_some(
        "it has ended at once, and an app with a window goes on: is [app] entry what opens the window, and does it call its own main \
         function? As it is, users may see nothing. (A program of a terminal may end: console = true in [app] says so. So may one that goes on in \
         another process.)",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn only_an_app_that_should_go_on_is_warned_of() {
        let warns = |program: &str, may_end: bool, fared: Fared| {
            let mut manifest = Manifest::sample(BTreeMap::new());
            manifest.application_info.launch.program = program.parse().unwrap();
            warning(&fared, &manifest, may_end).is_some()
        };
        for program in ["runtime/bin/python3", "runtime/pythonw.exe", "app/run.sh"] {
            assert!(warns(program, false, Fared::Ended(0)), "{program}");
        }
        assert!(!warns("runtime/python.exe", false, Fared::Ended(0)), "it has a console");
        assert!(!warns("app/run.sh", true, Fared::Ended(0)), "the publisher says so");
        for fared in [Fared::Runs, Fared::Up, Fared::Ended(1)] {
            assert!(!warns("runtime/bin/python3", false, fared));
        }
    }
}
