//! Finds the processes of an app, and whether a person may be using one that has no window.
//!
//! In: process ids. Out: the processes below them, or the system's error. Never: takes a list that
//! the system does not give for an empty one.

use std::io;

/// A process and its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub id: u32,
    pub parent: u32,
}

/// These processes and their living descendants, parents first, each process once. A process whose
/// parent has ended has another parent by then.
///
/// # Errors
/// If the system does not list the processes.
pub(crate) fn trees(roots: &[u32]) -> io::Result<Vec<Process>> {
    let all = all()?;
    let mut found: Vec<Process> = Vec::new();
    for process in roots.iter().flat_map(|root| below(*root, &all)) {
        if found.iter().all(|known| known.id != process.id) {
            found.push(process);
        }
    }
    Ok(found)
}

fn below(root: u32, all: &[Process]) -> Vec<Process> {
    let parent = all.iter().find(|process| process.id == root).map_or(0, |process| process.parent);
    let mut tree = vec![Process { id: root, parent }];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        let is_new = |process: &&Process| {
            process.parent == parent.id && tree.iter().all(|known| known.id != process.id)
        };
        let children: Vec<Process> = all.iter().filter(is_new).copied().collect();
        tree.extend(children);
        next += 1;
    }
    tree
}

#[cfg(target_os = "linux")]
fn all() -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(stat) = of_living(std::fs::read(format!("/proc/{id}/stat")))? {
            found.extend(parent_in(&stat).map(|parent| Process { id, parent }));
        }
    }
    Ok(found)
}

/// Memory of a process and its descendants that belongs to them alone, bytes.
///
/// # Errors
/// If the system does not tell it.
#[cfg(all(feature = "publisher", target_os = "linux"))]
pub(crate) fn memory(root: u32) -> io::Result<u64> {
    let mut bytes = 0;
    for process in trees(&[root])? {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id));
        bytes += of_living(status)?.map_or(0, |status| own_memory(&status));
    }
    Ok(bytes)
}

/// proc_pid_status(5): what is no file's, as kilobytes.
#[cfg(all(feature = "publisher", target_os = "linux"))]
fn own_memory(status: &str) -> u64 {
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let own = lines.filter(|(name, _)| ["RssAnon", "RssShmem"].contains(name));
    let kilobytes = own.filter_map(|(_, value)| value.split_whitespace().next()?.parse().ok());
    kilobytes.map(|kilobytes: u64| kilobytes * 1024).sum()
}

/// Memory of a process and its descendants; this system is not asked for it.
#[cfg(all(feature = "publisher", not(target_os = "linux")))]
pub(crate) fn memory(_root: u32) -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

/// proc_pid_stat(5): the program's name in parentheses may hold anything; state and parent follow
/// it.
#[cfg(target_os = "linux")]
fn parent_in(stat: &[u8]) -> Option<u32> {
    let stat = String::from_utf8_lossy(stat);
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// What was read of a process; `None` if it has ended, or is hidden from this user.
///
/// # Errors
/// Every error that leaves open whether the process lives.
#[cfg(target_os = "linux")]
pub(crate) fn of_living<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{NotFound, PermissionDenied};
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => Ok(None),
        // It ended during the read.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn all() -> io::Result<Vec<Process>> {
    let text = listed_by_ps(&["-axo", "pid=,ppid="])?;
    let process = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        Some(Process { id: numbers.next()?.ok()?, parent: numbers.next()?.ok()? })
    };
    Ok(text.lines().filter_map(process).collect())
}

/// What the system's `ps` prints.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn listed_by_ps(arguments: &[&str]) -> io::Result<String> {
    let output = std::process::Command::new("/bin/ps").args(arguments).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("ps: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// All processes of this computer.
#[cfg(windows)]
pub(crate) fn all() -> io::Result<Vec<Process>> {
    use windows_sys::Win32::Foundation::{CloseHandle, ERROR_NO_MORE_FILES, INVALID_HANDLE_VALUE};
    use windows_sys::Win32::System::Diagnostics::ToolHelp::{
        CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW,
        TH32CS_SNAPPROCESS,
    };

    let mut found = Vec::new();
    // SAFETY: the entry is a plain record that says its own size; the handle is this function's own
    // and is closed once.
    #[allow(unsafe_code)]
    unsafe {
        let snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
        if snapshot == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        let mut entry: PROCESSENTRY32W = std::mem::zeroed();
        entry.dwSize = u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or_default();
        let mut more = Process32FirstW(snapshot, &raw mut entry);
        while more != 0 {
            found.push(Process { id: entry.th32ProcessID, parent: entry.th32ParentProcessID });
            more = Process32NextW(snapshot, &raw mut entry);
        }
        let ended = io::Error::last_os_error();
        CloseHandle(snapshot);
        // The only error that means that the list is whole.
        if ended.raw_os_error() != Some(ERROR_NO_MORE_FILES.cast_signed()) {
            return Err(ended);
        }
    }
    Ok(found)
}

/// Whether a process reads from a terminal, where a person may be using it.
#[cfg(target_os = "linux")]
pub(crate) fn reads_terminal(process: u32) -> bool {
    let input = std::fs::read_link(format!("/proc/{process}/fd/0"));
    input.is_ok_and(|input| {
        input.starts_with("/dev/pts") || input.to_string_lossy().starts_with("/dev/tty")
    })
}

/// This system does not say it of another process; an app has the launcher's own input.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn reads_terminal(_process: u32) -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdin())
}

/// On this system consoles have their own windows.
#[cfg(not(unix))]
pub(crate) fn reads_terminal(_process: u32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_everything_below_its_root_and_nothing_else() {
        let all = [(1, 0), (40, 1), (7, 40), (41, 40), (9, 7), (8, 1), (3, 3)]
            .map(|(id, parent)| Process { id, parent });
        let ids = |root| below(root, &all).iter().map(|process| process.id).collect::<Vec<_>>();
        assert_eq!(ids(40), [40, 7, 41, 9]);
        assert_eq!(ids(8), [8]);
        assert_eq!(ids(3), [3], "one that claims to be its own parent");
        assert_eq!(ids(999), [999], "one that has ended meanwhile");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_cannot_be_read_counts_as_absent_only_where_it_is() {
        use rustix::io::Errno;
        let read = |errno: Errno| of_living(Err::<(), _>(io::Error::from(errno)));
        for gone in [Errno::NOENT, Errno::SRCH, Errno::ACCESS, Errno::PERM] {
            assert!(matches!(read(gone), Ok(None)), "{gone}");
        }
        for unknown in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO] {
            assert!(read(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    #[cfg(all(feature = "publisher", target_os = "linux"))]
    fn memory_is_what_is_no_file_s() {
        let status =
            "Name:\tx\nVmRSS:\t 900 kB\nRssAnon:\t  20 kB\nRssFile:\t 870 kB\nRssShmem:\t 10 kB\n";
        assert_eq!(own_memory(status), 30 * 1024);
        assert!(memory(std::process::id()).unwrap() > 100 * 1024);
    }

    #[test]
    fn a_child_is_found() {
        // Both wait for input that never comes.
        let mut child = std::process::Command::new(if cfg!(windows) { "cmd" } else { "cat" })
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        assert!(
            trees(&[std::process::id(), std::process::id()])
                .unwrap()
                .contains(&Process { id: child.id(), parent: std::process::id() })
        );
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
