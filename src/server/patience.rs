//! A socket that does not wait for ever for its reader: one that takes next to nothing must not hold a connection and memory.
//!
//! A limit on the pause between two writes alone (nginx's `send_timeout`) is met by a client that takes one byte at a time.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Fails a write with `TimedOut` when the reader, once it had to be waited for, took less than `least` bytes in `time`.
///
/// The system's send buffer grows with the link's speed and wakes a writer when a third of it is free, so a slow but honest
/// link makes waits of a second or two; `time` must be well above that.
pub(super) struct Patient<S> {
    stream: S,
    time: Duration,
    least: u64,
    /// Set while a reader is waited for.
    waiting: Option<Waiting>,
}

struct Waiting {
    end: Pin<Box<Sleep>>,
    taken: u64,
}

impl<S> Patient<S> {
    /// Wraps a connected stream.
    pub(super) fn new(stream: S, time: Duration, least: u64) -> Self {
        Self { stream, time, least, waiting: None }
    }

    fn watch(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.taken += count as u64;
                    if waiting.taken >= self.least {
                        self.waiting = None;
                    }
                }
            }
            Poll::Pending => {
                let time = self.time;
                let begin = || Waiting { end: Box::pin(tokio::time::sleep_until(Instant::now() + time)), taken: 0 };
                if self.waiting.get_or_insert_with(begin).end.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Flushed means that nothing is waited for: the time between two answers does not count.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.waiting = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}
