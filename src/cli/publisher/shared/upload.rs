//! The step after a change of the repository: a web server that has a copy of it needs the new
//! files. A halt that nobody uploads stops nothing.
//!
//! In: the publisher's folder. Out: the words for it. Never: an upload.

use super::output::Say;
use super::project::typed;
use crate::publish::Project;

/// Tells how a change comes to launchers. Verbs tell it as well if their change was made before:
/// whoever repeats a call may have forgotten the upload.
pub(crate) fn tell_next(project: &Project, say: &Say) {
    say.next(&format!(
        "{}; launchers see the change only then (a server of this folder itself needs no copy)",
        copying(project)
    ));
}

/// How the repository is copied, so that a client that looks meanwhile finds the old state or the
/// new one.
pub(crate) fn copying(project: &Project) -> String {
    format!(
        "copy {} to your web server: targets first, metadata/timestamp.json last",
        typed(&project.repository())
    )
}
