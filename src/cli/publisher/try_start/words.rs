//! What is said of a trial: how the app fared, advice for the most common failures, and the end of
//! its output.
//!
//! In: the outcome and the output. Out: words. Never: an app's output that could move the cursor.

use std::time::Duration;

use super::app::Fared;
use crate::app::streams::error_line;
use crate::model::exit_code::ProcessEnd;

/// How many lines of an app's output are printed.
const REPORTED_LINES: usize = 20;

/// How the app fared, in a sentence.
pub(super) fn words(fared: &Fared, took: Duration) -> String {
    let seconds = format!("{:.1} s", took.as_secs_f64());
    match fared {
        Fared::Up => format!("it said that it is up after {seconds}"),
        Fared::Runs => format!("it runs after {seconds}"),
        Fared::Ended(0) => format!("it ended by itself with status 0 after {seconds}"),
        Fared::Ended(code) => match ProcessEnd::of(*code) {
            ProcessEnd::Status(status) => format!("it ended with status {status} after {seconds}"),
            ProcessEnd::Signal(signal) => {
                format!("it crashed after {seconds} (status {code}, signal {signal})")
            }
            ProcessEnd::Exception(_) => {
                format!("it crashed after {seconds} (exception 0x{code:08X})")
            }
        },
        Fared::ReportedFailure(reason) => format!("it said that it failed: {reason}"),
        Fared::NotUp => {
            format!(
                "it has not said that it is up after {seconds}; call kuzflow_runtime.up() in it, or build without --reports-up"
            )
        }
    }
}

/// Advice for the most common failures, found by words in the app's output.
pub(super) fn hints(wrote: &str) -> Vec<String> {
    let after = |marker: &str| {
        wrote.rsplit_once(marker).and_then(|(_, rest)| rest.lines().next()).map(str::trim)
    };
    let mut hints = Vec::new();
    if let Some(module) = after("No module named ") {
        let module = module.trim_matches(['\'', '"', '.', ';']);
        hints.push(format!(
            "{module} is neither in the app nor installed: add its package to the requirements (--requirements FILE, or `requirements` in kuzflow.toml)"
        ));
    } else if wrote.contains("cannot open shared object file") {
        hints.push("a library of the system is missing here; users' computers may lack it, too: name it in your instructions, or bring it along".into());
    }
    if [
        "could not connect to display",
        "no display name and no $DISPLAY",
        "cannot open display",
        "couldn't connect to display",
    ]
    .iter()
    .any(|words| wrote.contains(words))
    {
        hints.push("there is no display here: try --import-only, or run this under Xvfb (xvfb-run kuzflow …)".into());
    }
    if wrote.contains("could not load the Qt platform plugin")
        || wrote.contains("Could not find the Qt platform plugin")
    {
        hints.push("the Qt in the container lacks its plugin for windows drawn nowhere: try --show, with a display".into());
    }
    hints
}

/// Prints the last lines of an app's output.
pub(super) fn tell_last(wrote: &str) {
    let lines: Vec<&str> = wrote.lines().collect();
    for line in &lines[lines.len().saturating_sub(REPORTED_LINES)..] {
        // An app's output must not move the cursor or colour the terminal.
        let plain: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        error_line(&format!("  | {plain}"));
    }
    if lines.is_empty() {
        error_line("  it wrote nothing");
    }
}
