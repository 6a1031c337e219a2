//! Writes to a stream through a thread of its own, for systems where nobody can ask whether a pipe
//! takes bytes.
//!
//! In: bytes. Out: the same bytes on the stream, in order, or nothing. Never: waits for a reader
//! that does not read for longer than a limit, once; keeps more than [`MAX_QUEUED`] for it.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::mutex;
use crate::threads;

/// Bytes that wait for a reader at most; what comes after them is dropped.
const MAX_QUEUED: usize = 64 << 10;

/// A stream with its thread.
pub(super) struct QueuedStream {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    /// Bytes that are not written yet.
    bytes: usize,
    /// The reader did not read in time; nobody waits for it again until it reads.
    stalled: bool,
}

impl QueuedStream {
    /// Starts the thread that writes to `stream`; `None` if the system has no thread.
    pub(super) fn start(mut stream: impl Write + Send + 'static) -> Option<Self> {
        let shared = Arc::<Shared>::default();
        let ours = Arc::clone(&shared);
        let write = move || {
            loop {
                let bytes = ours.next();
                // What cannot be written is dropped.
                let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
                ours.written(bytes.len());
            }
        };
        threads::spawn("output", write).ok().map(|_| Self { shared })
    }

    /// Writes all bytes or none, and returns when they are written, or after `limit` if the reader
    /// does not read.
    pub(super) fn write(&self, bytes: &[u8], limit: Duration) {
        let mut queue = mutex::lock(&self.shared.queue);
        // One piece is taken whatever its length.
        if queue.bytes > 0 && queue.bytes + bytes.len() > MAX_QUEUED {
            return;
        }
        queue.bytes += bytes.len();
        queue.waiting.push_back(bytes.to_vec());
        self.shared.changed.notify_all();
        if queue.stalled {
            return;
        }
        let is_waiting = |queue: &mut Queue| queue.bytes > 0;
        let (mut queue, _) = self
            .shared
            .changed
            .wait_timeout_while(queue, limit, is_waiting)
            .unwrap_or_else(PoisonError::into_inner);
        queue.stalled = queue.bytes > 0;
    }
}

impl Shared {
    /// Waits for the next bytes to write.
    fn next(&self) -> Vec<u8> {
        let mut queue = mutex::lock(&self.queue);
        loop {
            match queue.waiting.pop_front() {
                Some(bytes) => return bytes,
                None => {
                    queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn written(&self, bytes: usize) {
        let mut queue = mutex::lock(&self.queue);
        queue.bytes = queue.bytes.saturating_sub(bytes);
        queue.stalled = false;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Instant;

    use super::*;

    /// A pipe without any room: a write ends when its bytes are read.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe() -> (QueuedStream, Receiver<Vec<u8>>) {
        let (sender, reader) = sync_channel(0);
        (QueuedStream::start(Pipe(sender)).unwrap(), reader)
    }

    #[test]
    fn a_reader_that_does_not_read_is_waited_for_once() {
        let (stream, reader) = pipe();
        let (line, limit) = ([b'x'; 1000], Duration::from_secs(1));
        let begun = Instant::now();
        for _ in 0..2000 {
            stream.write(&line, limit);
        }
        assert!(begun.elapsed() < 60 * limit, "not a second for each line");
        // It gets what there was room for, in whole lines.
        let mut read = 0;
        while let Ok(bytes) = reader.recv_timeout(limit) {
            assert_eq!(bytes, line);
            read += 1;
        }
        assert!((2..=MAX_QUEUED / line.len() + 1).contains(&read), "{read}");
    }

    #[test]
    fn bytes_are_written_when_the_call_returns() {
        let (stream, reader) = pipe();
        let reading = std::thread::spawn(move || reader.iter().collect::<Vec<_>>().concat());
        for line in ["one\n", "two\n"] {
            stream.write(line.as_bytes(), Duration::from_secs(600));
        }
        assert_eq!(mutex::lock(&stream.shared.queue).bytes, 0);
        // The thread of the stream lives as long as the program, and its reader with it.
        drop(reading);
    }

    #[test]
    fn a_reader_that_has_gone_holds_nobody_up() {
        let (stream, reader) = pipe();
        drop(reader);
        stream.write(b"to nobody\n", Duration::from_secs(600));
    }
}
