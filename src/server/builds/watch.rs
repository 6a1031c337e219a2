//! Runs a program of a build within its limits, and ends it with all that it has started.
//!
//! In: a command, limits. Out: how it ended; its lines. Never: a process that lives longer than the
//! server or than the wish for it, as far as the system can tell: in a sandbox it always can.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, PipeReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::folder;
use crate::error_chain;
use crate::host::processes;
use crate::process_group::ProcessGroup;
use crate::{programs, threads};

/// How often a program is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often its memory and its files are counted.
const COUNT: Duration = Duration::from_secs(1);
/// How long its last lines are waited for.
const LAST_LINES: Duration = Duration::from_secs(5);
/// Longest line that is taken as one, bytes.
const LINE_BYTES: u64 = 16 << 10;

/// What a program may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) time: Duration,
    /// Bytes.
    pub(super) memory: u64,
    /// Bytes.
    pub(super) disk: u64,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Exited(ExitStatus),
    Time,
    Memory,
    Disk,
    /// Nobody wants it any more.
    Over,
}

/// A program to run.
pub(super) struct Program<'a> {
    pub(super) words: &'a [OsString],
    pub(super) environment: &'a [(OsString, OsString)],
    /// The folder in which it begins.
    pub(super) begin: &'a Path,
    /// The folder whose size is limited.
    pub(super) folder: &'a Path,
}

/// Runs the program to its end. `line` gets what it prints.
pub(super) fn run(
    program: &Program<'_>,
    limits: Limits,
    is_over: &dyn Fn() -> bool,
    line: impl FnMut(&str) + Send + 'static,
) -> io::Result<Ended> {
    let (reader, writer) = io::pipe()?;
    let mut command = limited(program.words, limits);
    command.env_clear().envs(program.environment.iter().cloned()).current_dir(program.begin);
    // What holds the other end of its input open is this server.
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer);
    ProcessGroup::prepare(&mut command);
    let mut child = programs::spawn(&mut command)?;
    // The command holds the pipe's other end.
    drop(command);
    let group = ProcessGroup::of(&child);
    let lines = read_lines(reader, line);
    let ended = watch(&mut child, program.folder, limits, is_over);
    group.end();
    drop(child.stdin.take());
    let status = child.wait();
    match lines {
        Ok(done) => drop(done.recv_timeout(LAST_LINES)),
        Err(error) => {
            tracing::warn!(error = error_chain::line(&error), "a program's lines are lost");
        }
    }
    Ok(match ended? {
        Some(ended) => ended,
        None => Ended::Exited(status?),
    })
}

/// Waits for the program's end; returns the limit that it passed, if any.
fn watch(
    child: &mut Child,
    folder: &Path,
    limits: Limits,
    is_over: &dyn Fn() -> bool,
) -> io::Result<Option<Ended>> {
    let begin = Instant::now();
    let mut count_at = begin + COUNT;
    loop {
        if child.try_wait()?.is_some() {
            return Ok(None);
        }
        let now = Instant::now();
        if is_over() {
            return Ok(Some(Ended::Over));
        }
        if now.duration_since(begin) > limits.time {
            return Ok(Some(Ended::Time));
        }
        if now >= count_at {
            // A system that does not tell has the limit of each process alone.
            if processes::memory(child.id()).is_ok_and(|memory| memory > limits.memory) {
                return Ok(Some(Ended::Memory));
            }
            if folder::size(folder) > limits.disk {
                return Ok(Some(Ended::Disk));
            }
            // A folder of very many files is not counted all the time.
            count_at = now + COUNT.max(now.elapsed() * 10);
        }
        std::thread::sleep(LOOK);
    }
}

/// Reads lines on a thread of its own; what comes out says that it has ended.
fn read_lines(
    reader: PipeReader,
    mut line: impl FnMut(&str) + Send + 'static,
) -> io::Result<Receiver<()>> {
    let (sender, done) = channel();
    threads::spawn("build-lines", move || {
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let mut part = io::Read::take(&mut reader, LINE_BYTES);
            match part.read_until(b'\n', &mut bytes) {
                Ok(0) | Err(_) => break,
                Ok(_) => line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r'])),
            }
        }
        // Nobody may wait any more.
        let _ = sender.send(());
    })?;
    Ok(done)
}

/// The command within the limits that the system holds by itself: memory of one process, size of
/// one file. A process beside it waits for the end of the server, which closes its input, and then
/// ends the whole group.
#[cfg(unix)]
fn limited(words: &[OsString], limits: Limits) -> Command {
    const SCRIPT: &str = "ulimit -v \"$1\" 2>/dev/null; ulimit -f \"$2\" 2>/dev/null; shift 2; exec 3<&0; \
         (cat <&3; kill -9 0) >/dev/null 2>&1 & exec \"$@\" </dev/null 3<&-";
    let mut command = Command::new("/bin/sh");
    // Addresses are more than memory: programs reserve what they may never use.
    let (kilobytes, blocks) = (limits.memory.saturating_mul(4) / 1024, limits.disk / 512);
    command.args(["-c", SCRIPT, "kuzflow-build", &kilobytes.to_string(), &blocks.to_string()]);
    command.args(words);
    command
}

#[cfg(not(unix))]
fn limited(words: &[OsString], _limits: Limits) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map(OsString::as_os_str).unwrap_or_default());
    command.args(words);
    command
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const LIMITS: Limits =
        Limits { time: Duration::from_secs(300), memory: 4 << 30, disk: 1 << 30 };

    fn run_script(
        script: &str,
        limits: Limits,
        is_over: &dyn Fn(&Path) -> bool,
    ) -> (Ended, Vec<String>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let words = ["/bin/sh", "-c", script].map(OsString::from);
        let path = (OsString::from("PATH"), OsString::from("/usr/bin:/bin"));
        let program = Program {
            words: &words,
            environment: &[path],
            begin: folder.path(),
            folder: folder.path(),
        };
        let lines = Arc::new(Mutex::new(Vec::new()));
        let add = {
            let lines = lines.clone();
            move |line: &str| lines.lock().unwrap().push(line.to_owned())
        };
        let ended = run(&program, limits, &|| is_over(folder.path()), add).unwrap();
        let lines = lines.lock().unwrap().clone();
        (ended, lines, folder)
    }

    #[test]
    fn a_program_s_lines_and_its_end_are_known() {
        let script =
            "echo one; echo two >&2; read x; echo \"[$x]\"; echo \"$HOME|\"; printf end; exit 7";
        let (ended, lines, _) = run_script(script, LIMITS, &|_| false);
        assert!(matches!(ended, Ended::Exited(status) if status.code() == Some(7)), "{ended:?}");
        assert_eq!(lines, ["one", "two", "[]", "|", "end"], "no input, no environment");
    }

    #[test]
    fn a_program_ends_at_its_limits_with_all_that_it_has_started() {
        let script =
            "(while :; do echo x >> late; sleep 0.01; done) & while :; do sleep 0.01; done";
        let has_begun = |folder: &Path| folder.join("late").exists();
        let (ended, _, folder) = run_script(script, LIMITS, &has_begun);
        assert_eq!(ended, Ended::Over);
        let length = || std::fs::metadata(folder.path().join("late")).unwrap().len();
        let before = length();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(length(), before, "nothing goes on");
        let short = Limits { time: Duration::from_millis(300), ..LIMITS };
        assert_eq!(run_script("sleep 300", short, &|_| false).0, Ended::Time);
        let small = Limits { disk: 4 << 20, ..LIMITS };
        let script = "for n in 1 2 3; do head -c 2000000 /dev/zero > $n; done; sleep 300";
        assert_eq!(run_script(script, small, &|_| false).0, Ended::Disk);
    }

    #[test]
    fn what_a_program_leaves_behind_ends_with_it() {
        let script = "(while :; do echo x >> late; sleep 0.01; done) >/dev/null 2>&1 & sleep 0.1";
        let (ended, _, folder) = run_script(script, LIMITS, &|_| false);
        assert!(matches!(ended, Ended::Exited(status) if status.success()), "{ended:?}");
        let length =
            || std::fs::metadata(folder.path().join("late")).map_or(0, |found| found.len());
        let before = length();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(length(), before);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_of_all_its_processes_is_counted() {
        let script = "for n in 1 2 3; do (x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 300; echo \"$x\") & done; wait";
        let small = Limits { memory: 45_000_000, ..LIMITS };
        // Address space that is four times as large, so each process by itself is allowed.
        assert_eq!(run_script(script, small, &|_| false).0, Ended::Memory);
    }
}
