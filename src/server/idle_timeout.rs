//! A socket with an idle timeout for its reader: a client that reads almost nothing must not hold a
//! connection and memory.
//!
//! A limit on the pause between two writes (nginx's `send_timeout`) is not enough: a client that
//! reads one byte at a time stays within it.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Fails a write with `TimedOut` when the reader, once the server had to wait for it, took less
/// than `least` bytes in `time`.
///
/// The system's send buffer grows with the link's speed and wakes a writer when a third of it is
/// free. So a slow but honest link causes waits of a second or two; `time` must be well above that.
pub(super) struct WithIdleTimeout<S> {
    stream: S,
    time: Duration,
    least: u64,
    /// Set while the server waits for the reader.
    waiting: Option<Waiting>,
}

struct Waiting {
    end: Pin<Box<Sleep>>,
    taken: u64,
}

impl<S> WithIdleTimeout<S> {
    /// Wraps a connected stream.
    pub(super) fn new(stream: S, time: Duration, least: u64) -> Self {
        Self { stream, time, least, waiting: None }
    }

    fn watch(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
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
                let begin = || Waiting {
                    end: Box::pin(tokio::time::sleep_until(Instant::now() + time)),
                    taken: 0,
                };
                if self.waiting.get_or_insert_with(begin).end.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithIdleTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
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

    /// After a flush nothing is waiting: the time between two answers does not count.
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

impl<S: AsyncRead + Unpin> AsyncRead for WithIdleTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream whose next writes have these outcomes: a number of bytes, or not ready; afterwards
    /// it is never ready again.
    struct Script(Vec<Option<usize>>);

    impl AsyncWrite for Script {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            let next = if self.0.is_empty() { None } else { self.0.remove(0) };
            next.map_or(Poll::Pending, |count| Poll::Ready(Ok(count)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    const LONG: Duration = Duration::from_secs(3600);

    fn write(stream: &mut WithIdleTimeout<Script>) -> Poll<io::Result<usize>> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        Pin::new(stream).poll_write(&mut context, &[0; 100])
    }

    #[tokio::test]
    async fn a_reader_that_takes_too_little_in_time_is_left() {
        let mut stream = WithIdleTimeout::new(
            Script(vec![Some(100), None, Some(15)]),
            Duration::from_millis(1),
            16,
        );
        assert!(matches!(write(&mut stream), Poll::Ready(Ok(100))));
        assert!(write(&mut stream).is_pending());
        assert!(matches!(write(&mut stream), Poll::Ready(Ok(15))));
        let error =
            std::future::poll_fn(|context| Pin::new(&mut stream).poll_write(context, &[0; 100]))
                .await
                .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_wait_ends_with_enough_bytes_or_with_nothing_left_to_write() {
        let mut stream =
            WithIdleTimeout::new(Script(vec![None, Some(10), None, Some(6), None]), LONG, 16);
        assert!(write(&mut stream).is_pending() && stream.waiting.is_some());
        assert!(
            write(&mut stream).is_ready() && stream.waiting.is_some(),
            "10 of 16 bytes: the clock runs on"
        );
        assert!(write(&mut stream).is_pending());
        assert!(write(&mut stream).is_ready() && stream.waiting.is_none());
        assert!(write(&mut stream).is_pending() && stream.waiting.is_some());
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(
            Pin::new(&mut stream).poll_flush(&mut context).is_ready() && stream.waiting.is_none()
        );
    }
}
