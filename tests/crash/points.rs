//! Runs a command under `points.c`, which counts its changes of files and interferes with one of
//! them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A disturbance at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL before the call.
    Kill,
    /// EIO instead of the call, once.
    Error,
    /// ENOSPC instead of the call and of every later call that needs room.
    Full,
    /// EROFS instead of the call and of every later call.
    ReadOnly,
    /// The process stops before that call, until the test lets it continue.
    Stop,
    /// This error instead of a look (opening for reading, stat, listing, reading), once.
    Look(Errno),
    /// This error instead of a look and of every later one at the same path.
    Lasting(Errno),
    /// EAGAIN instead of the start of a thread and of every later one: no memory for stacks.
    Threads,
    /// The same for threads and processes, as under a limit of them.
    Tasks,
}

/// Passing errors of looks: a cable, a scanner, no handles, no memory, a network disk, a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errno {
    Io,
    Access,
    Handles,
    Memory,
    Stale,
    Interrupted,
}

impl Errno {
    pub const ALL: [Self; 6] =
        [Self::Io, Self::Access, Self::Handles, Self::Memory, Self::Stale, Self::Interrupted];

    fn name(self) -> &'static str {
        match self {
            Self::Io => "EIO",
            Self::Access => "EACCES",
            Self::Handles => "EMFILE",
            Self::Memory => "ENOMEM",
            Self::Stale => "ESTALE",
            Self::Interrupted => "EINTR",
        }
    }
}

impl Fault {
    /// The disturbances that are tried at each point.
    pub const AT_EACH: [Self; 3] = [Self::Kill, Self::Error, Self::Full];

    fn word(self) -> String {
        match self {
            Self::Kill => "kill".into(),
            Self::Error => "error".into(),
            Self::Full => "full".into(),
            Self::ReadOnly => "readonly".into(),
            Self::Stop => "stop".into(),
            Self::Threads => "threads".into(),
            Self::Tasks => "tasks".into(),
            Self::Look(errno) => format!("look-{}", errno.name()),
            Self::Lasting(errno) => format!("lasting-{}", errno.name()),
        }
    }
}

/// The compiled tool.
pub struct Tracer {
    program: PathBuf,
}

/// A command that is stopped in the middle.
pub struct Stopped {
    child: Child,
    log: PathBuf,
}

impl Stopped {
    fn file(&self, ending: &str) -> PathBuf {
        let mut name = self.log.as_os_str().to_owned();
        name.push(format!(".{ending}"));
        PathBuf::from(name)
    }

    /// Lets the command continue to its end.
    pub fn go_on(self) -> Output {
        fs::write(self.file("go"), "").unwrap();
        let files = ["go", "stopped"].map(|ending| self.file(ending));
        let output = self.child.wait_with_output().unwrap();
        files.iter().for_each(|file| fs::remove_file(file).unwrap());
        output
    }
}

/// The outcome of a command.
pub struct Traced {
    pub output: Output,
    /// The changes in their order: `openat /path`.
    pub changes: Vec<String>,
}

impl Tracer {
    /// Compiles the tool into `folder` and tries it. It fails where processes cannot be traced: a
    /// crash test that tests nothing must not pass.
    pub fn compile(folder: &Path) -> Self {
        let program = folder.join("points");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/points.c");
        let compiled = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(&source).output();
        let compiled = compiled.expect("this test needs a C compiler (cc)");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let tracer = Self { program };
        let probe = folder.join("probe");
        fs::create_dir(&probe).unwrap();
        let mut touch = Command::new("touch");
        touch.arg(probe.join("file"));
        let traced = tracer.run(&touch, None, &probe);
        let reported = String::from_utf8_lossy(&traced.output.stderr);
        assert!(
            traced.output.status.success() && !traced.changes.is_empty(),
            "processes cannot be traced here, so nothing can be tested: in a container, allow ptrace (--cap-add=SYS_PTRACE \
             --security-opt seccomp=unconfined). {reported}"
        );
        tracer
    }

    /// Runs `command`. `fault` happens at its change with that number of a file below `folder`, or
    /// at its look at one.
    pub fn run(&self, command: &Command, fault: Option<(Fault, usize)>, folder: &Path) -> Traced {
        let log = self.log(folder);
        let output = self.traced(command, fault, folder).output().unwrap();
        let changes = fs::read(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        let changes = String::from_utf8_lossy(&changes)
            .lines()
            .map(|line| line.split_once(' ').unwrap().1.to_owned())
            .collect();
        Traced { output, changes }
    }

    /// Starts `command`, which stops at its change with that number; `None` if it ends earlier.
    pub fn stop(&self, command: &Command, number: usize, folder: &Path) -> Option<Stopped> {
        let log = self.log(folder);
        let mut traced = self.traced(command, Some((Fault::Stop, number)), folder);
        let child = traced.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stopped = Stopped { child, log };
        loop {
            if stopped.file("stopped").exists() {
                return Some(stopped);
            }
            if stopped.child.try_wait().unwrap().is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn traced(&self, command: &Command, fault: Option<(Fault, usize)>, folder: &Path) -> Command {
        let log = self.log(folder);
        let (word, number) =
            fault.map_or(("none".into(), 0), |(fault, number)| (fault.word(), number));
        // A hang at a point is a failure and must not hang the test.
        let mut traced = Command::new("timeout");
        traced
            .args(["--kill-after=1", "120"])
            .arg(&self.program)
            .arg(&log)
            .args([&word, &number.to_string()])
            .arg(folder);
        traced.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => traced.env(name, value),
                None => traced.env_remove(name),
            };
        }
        traced.stdin(Stdio::null());
        traced
    }

    /// The changes, or looks, at which `fault` can happen in `command`.
    pub fn places(&self, command: &Command, fault: Fault, folder: &Path) -> Vec<String> {
        // This number is never reached.
        self.run(command, Some((fault, usize::MAX >> 1)), folder).changes
    }

    fn log(&self, folder: &Path) -> PathBuf {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        self.program.with_file_name(format!("log of {name}"))
    }
}
