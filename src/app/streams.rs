//! Writes to standard output and standard error without ever failing or blocking for long.
//!
//! Output is never a reason to fail or to wait. A full disk behind standard error, a pipe whose
//! reader has ended, or a pipe whose reader is stopped must not keep an app from starting. In:
//! lines. Out: bytes to the two streams, or nothing. Never: panics, returns an error, or waits for
//! a stopped reader for longer than [`MAX_WAIT`].

#[cfg(any(not(unix), test))]
mod queued;

use std::io::{self, IsTerminal as _, Write};
#[cfg(unix)]
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[cfg(unix)]
use crate::mutex;
use crate::plain;
use crate::threads;

/// How long a reader that does not read is waited for, once.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Bytes that a ready pipe takes without blocking (PIPE_BUF).
#[cfg(unix)]
const PIECE: usize = 4096;

/// The state of a stream.
#[cfg(unix)]
#[derive(Default)]
struct StandardStream {
    /// Held while one line is written.
    alone: Mutex<()>,
    /// The reader did not read in time; the launcher does not wait again until it reads.
    stalled: AtomicBool,
    /// The last line was cut off in the middle.
    cut: AtomicBool,
}

/// A stream whose reader cannot be asked; started by its first line.
#[cfg(not(unix))]
#[derive(Default)]
struct StandardStream(std::sync::OnceLock<Option<queued::QueuedStream>>);

#[cfg(unix)]
impl StandardStream {
    const fn new() -> Self {
        Self { alone: Mutex::new(()), stalled: AtomicBool::new(false), cut: AtomicBool::new(false) }
    }
}

#[cfg(not(unix))]
impl StandardStream {
    const fn new() -> Self {
        Self(std::sync::OnceLock::new())
    }
}

static OUTPUT: StandardStream = StandardStream::new();
static ERRORS: StandardStream = StandardStream::new();
/// Whether text for standard output may be dropped.
static OUTPUT_IS_TALK: AtomicBool = AtomicBool::new(false);

/// From now on the launcher does not wait for a reader of standard output that does not read: when
/// it starts an app, messages about the app matter less than the start. Other verbs wait for their
/// reader, who wants all of the output.
pub(crate) fn never_wait_for_output() {
    OUTPUT_IS_TALK.store(true, Ordering::Relaxed);
}

/// Whether a line for standard output is lost: its disk is full, or fails.
static OUTPUT_IS_LOST: AtomicBool = AtomicBool::new(false);

/// Whether a line for standard output could not be written. A closed pipe (`… | head`) is no loss:
/// its reader has enough.
pub(crate) fn output_is_lost() -> bool {
    OUTPUT_IS_LOST.load(Ordering::Relaxed)
}

/// Writes a line to standard output.
pub(crate) fn write_line(line: &str) {
    let line = plain::text(line);
    if OUTPUT_IS_TALK.load(Ordering::Relaxed) {
        OUTPUT.write(io::stdout(), format!("{line}\n").as_bytes());
    } else {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{line}").and_then(|()| out.flush());
        if written.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            OUTPUT_IS_LOST.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether somebody reads what the app prints: a person at a terminal, or a program behind a pipe.
/// What a desktop starts has neither.
pub(crate) fn have_a_caller() -> bool {
    io::stdout().is_terminal() || is_pipe(&io::stdout()) || is_pipe(&io::stderr())
}

#[cfg(unix)]
fn is_pipe(stream: &impl std::os::fd::AsFd) -> bool {
    rustix::fs::fstat(stream)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_fifo())
}

/// A program without a console has no streams of its own here.
#[cfg(not(unix))]
fn is_pipe<T>(_stream: &T) -> bool {
    false
}

/// Writes a line to standard error.
pub(crate) fn error_line(line: &str) {
    ERRORS.write(io::stderr(), format!("{}\n", plain::text(line)).as_bytes());
}

/// Standard error as a writer that never fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        ERRORS.write(io::stderr(), bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reports a panic in the log and on standard error, without blocking on either.
pub(crate) fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if threads::may_panic() {
            return tracing::info!(%panic, "the system has no more threads");
        }
        let thread = std::thread::current();
        error_line(&format!("thread '{}' {panic}", thread.name().unwrap_or("without a name")));
        tracing::error!(%panic, "a bug");
    }));
}

#[cfg(unix)]
impl StandardStream {
    fn write(&self, stream: impl std::os::fd::AsFd, bytes: &[u8]) {
        let _alone = mutex::lock(&self.alone);
        let line_end: &[u8] = if self.cut.swap(false, Ordering::Relaxed) { b"\n" } else { b"" };
        for piece in
            std::iter::once(line_end).chain(bytes.chunks(PIECE)).filter(|piece| !piece.is_empty())
        {
            if !self.write_piece(&stream, piece) {
                self.cut.store(true, Ordering::Relaxed);
                return;
            }
        }
    }

    /// Whether the stream took all of it.
    fn write_piece(&self, stream: &impl std::os::fd::AsFd, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if !self.is_ready(stream) {
                return false;
            }
            match rustix::io::write(stream, bytes) {
                Ok(0) => return false,
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Waits until the stream can take bytes. An error counts as ready: the write reports it.
    fn is_ready(&self, stream: &impl std::os::fd::AsFd) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let wait = if self.stalled.load(Ordering::Relaxed) { Duration::ZERO } else { MAX_WAIT };
        let limit = Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(0), tv_nsec: 0 };
        let ready =
            !matches!(poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&limit)), Ok(0));
        self.stalled.store(!ready, Ordering::Relaxed);
        ready
    }
}

#[cfg(not(unix))]
impl StandardStream {
    /// The system offers no way to ask whether a pipe can take bytes: another thread writes.
    fn write(&self, stream: impl Write + Send + 'static, bytes: &[u8]) {
        if let Some(stream) = self.0.get_or_init(|| queued::QueuedStream::start(stream)) {
            stream.write(bytes, MAX_WAIT);
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    #[test]
    fn a_reader_that_does_not_read_is_waited_for_once_and_gets_whole_lines_again_when_it_does() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let stream = StandardStream::default();
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        let begun = Instant::now();
        for _ in 0..2_000 {
            stream.write(&writer, &line);
        }
        assert!(stream.stalled.load(Ordering::Relaxed), "two megabytes do not fit");
        assert!(begun.elapsed() < Duration::from_secs(60), "not a second for each line");
        reader.set_nonblocking(true).unwrap();
        let mut read = Vec::new();
        let _ = reader.read_to_end(&mut read);
        stream.write(&writer, b"again\n");
        read.clear();
        let _ = reader.read_to_end(&mut read);
        assert!(read == b"\nagain\n" || read == b"again\n", "{:?}", String::from_utf8_lossy(&read));
    }

    #[test]
    fn what_cannot_be_written_is_dropped() {
        let (reader, writer) = UnixStream::pair().unwrap();
        drop(reader);
        StandardStream::default().write(&writer, b"to nobody\n");
        if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
            StandardStream::default().write(&full, b"no room\n");
        }
    }
}
