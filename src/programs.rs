//! Starts programs whose files may just have been written. Ground floor: every room that installs
//! or unpacks a program and starts it uses this.
//!
//! In: a command. Out: the child process. Never: starts a started program again, waits for anything
//! but the program's file.

use std::io;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Longest wait for a file that another process holds open for writing.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts a program. While its file was being written, another thread may have started a child,
/// which holds that file open for writing until it executes its own program. Until then Unix
/// refuses to run the file, and this function tries again.
///
/// # Errors
/// If the program cannot be started, or its file is held for longer than any start takes.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let end = Instant::now() + MAX_WAIT;
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
