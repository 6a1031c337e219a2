//! Starting programs that may just have been written. Ground floor: whoever installs or unpacks a
//! program and starts it uses this.
//!
//! In: a command. Out: the child. Never: a second start of what has started, or a wait for anything
//! but the file of the program.

use std::io;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Longest wait for a file that somebody holds open for writing.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts a program. A child of another thread that was started while its file was written holds
/// that file open for writing until it has become a program of its own; until then Unix refuses to
/// run the file, and this tries again.
///
/// # Errors
/// If it cannot be started, or its file is held for longer than any start takes.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let end = Instant::now() + LONGEST_WAIT;
    loop {
        match command.spawn() {
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && Instant::now() < end =>
            {
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_program_that_somebody_still_holds_open_is_started_a_moment_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::write(&path, "#!/bin/sh\nexit 7\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let held = std::fs::File::options().append(true).open(&path).unwrap();
        let mut command = Command::new(&path);
        assert_eq!(command.spawn().unwrap_err().kind(), io::ErrorKind::ExecutableFileBusy);
        let release = std::thread::spawn(move || {
            std::thread::sleep(10 * PAUSE);
            drop(held);
        });
        assert_eq!(spawn(&mut command).unwrap().wait().unwrap().code(), Some(7));
        release.join().unwrap();
        assert_eq!(
            spawn(&mut Command::new(folder.path().join("none"))).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
