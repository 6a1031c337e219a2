//! Which processes get the order to end: the app's, and everything that they have started, without
//! other programs that may face a person (a browser that the app has opened).
//!
//! In: the app's processes, which of those below them have windows. Out: processes with their start
//! times. Never: takes a process for a child of the app that was there before its parent, or sends
//! the order itself.

use std::io;

use crate::error_chain;
use crate::host;
use crate::store::lock::RunningLock;
use crate::store::processes::{self, Process};
use crate::store::successors;

/// What is known of the windows of the app's processes and of those that they have started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WindowOwners {
    /// Processes with windows beside those of the app: other programs, unless they run the
    /// version's files.
    pub beside: Vec<u32>,
    /// Processes with windows that look like the app's own; where windows cannot be seen, all
    /// processes.
    pub own: Vec<u32>,
}

/// The processes to end with these. Where the system does not list processes, these alone.
pub(super) fn to_end(
    roots: Vec<Process>,
    windows: &WindowOwners,
    lock: Option<&RunningLock>,
) -> Vec<Process> {
    let roots = distinct(roots);
    match tree(&roots) {
        Ok(tree) => without_other_programs(tree, windows, lock)
            .into_iter()
            .map(|process| Process::identified(process.id, process.started))
            .collect(),
        Err(error) => {
            tracing::warn!(
                error = error_chain::line(&error),
                "processes that the app has started may live on"
            );
            roots
        }
    }
}

/// Each process once, and as a root: without a parent.
fn distinct(roots: Vec<Process>) -> Vec<Process> {
    let mut distinct: Vec<Process> = Vec::new();
    for root in roots {
        if !distinct.iter().any(|known| known.id == root.id) {
            distinct.push(Process::identified(root.id, root.started));
        }
    }
    distinct
}

/// These processes and those below them, parents first.
///
/// # Errors
/// If the system does not list the processes.
fn tree(roots: &[Process]) -> io::Result<Vec<Process>> {
    let ids: Vec<u32> = roots.iter().map(|root| root.id).collect();
    let mut tree = roots.to_vec();
    for listed in host::processes::trees(&ids)? {
        if tree.iter().any(|known| known.id == listed.id) {
            continue;
        }
        let parent = tree.iter().find(|known| known.id == listed.parent);
        let Some((parent, started)) = parent.zip(processes::start(listed.id)) else { continue };
        // Otherwise its own parent has ended, and this process got its id later.
        if !successors::is_earlier(&started, &parent.started) {
            let parent = Some(parent.id);
            tree.push(Process { parent, ..Process::identified(listed.id, started) });
        }
    }
    Ok(tree)
}

/// The tree without the other programs in it, and without what these have started. Its roots, the
/// app's own processes, stay.
fn without_other_programs(
    tree: Vec<Process>,
    windows: &WindowOwners,
    lock: Option<&RunningLock>,
) -> Vec<Process> {
    let has_window = |process: &Process| {
        process.parent.is_some()
            && (windows.own.contains(&process.id) || windows.beside.contains(&process.id))
    };
    if !tree.iter().any(has_window) {
        return tree;
    }
    let known = processes::all().unwrap_or_default();
    let root_started = tree.first().map(|root| root.started.clone()).unwrap_or_default();
    let is_app = |process: &Process| {
        let came_with_start = || {
            !windows.beside.contains(&process.id)
                && successors::came_with_start(&process.started, &root_started)
        };
        let known = known.iter().find(|known| known.id == process.id);
        came_with_start() || known.zip(lock).is_some_and(|(known, lock)| lock.is_used_by(known))
    };
    let mut remaining: Vec<Process> = Vec::new();
    for process in tree {
        let is_below = process.parent.is_none_or(|id| remaining.iter().any(|known| known.id == id));
        if is_below && (!has_window(&process) || is_app(&process)) {
            remaining.push(process);
        }
    }
    remaining
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn child() -> Child {
        // Waits for input that never comes.
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    fn root(started: String) -> Process {
        Process::identified(std::process::id(), started)
    }

    #[test]
    fn a_tree_holds_each_process_with_its_start_and_none_from_before_its_parent() {
        let mut child = child();
        let own = root(processes::start(std::process::id()).unwrap());
        let listed = tree(std::slice::from_ref(&own)).unwrap();
        let found = listed.iter().find(|process| process.id == child.id()).unwrap();
        assert_eq!(Some(&found.started), processes::start(child.id()).as_ref());
        // A process with the id of the parent, which came later.
        let later = root((found.started.parse::<u64>().unwrap() + 1).to_string());
        assert_eq!(tree(std::slice::from_ref(&later)).unwrap(), [later]);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn other_programs_stay_with_all_that_they_have_started() {
        let process = |id, parent, started: &str| Process {
            parent,
            ..Process::identified(id, started.to_owned())
        };
        // Ids that no process has.
        let [app, child, late, below] = [1, 2, 3, 4].map(|number| u32::MAX - number);
        let tree = vec![
            process(app, None, "1000"),
            process(child, Some(app), "1001"),
            process(late, Some(app), "90000"),
            process(below, Some(late), "90001"),
        ];
        let remaining = |windows: WindowOwners| -> Vec<u32> {
            let remaining = without_other_programs(tree.clone(), &windows, None);
            remaining.iter().map(|process| process.id).collect()
        };
        let windows = |own: &[u32], beside: &[u32]| WindowOwners {
            own: own.to_vec(),
            beside: beside.to_vec(),
        };
        assert_eq!(remaining(windows(&[], &[])), [app, child, late, below]);
        assert_eq!(remaining(windows(&[app], &[late])), [app, child]);
        assert_eq!(remaining(windows(&[app], &[child])), [app, late, below]);
        assert_eq!(
            remaining(windows(&[child, late], &[])),
            [app, child],
            "a program that the app has not come with"
        );
        assert_eq!(remaining(windows(&[app], &[])), [app, child, late, below]);
    }
}
