//! Hedged requests: asks several sources for the same thing. The next source is asked as soon as
//! those before it have failed or are silent, so one silent source costs a second and not its whole
//! timeout.
//!
//! In: how to ask each source, the order, and how many bytes have come from each. Out: answers, in
//! the order in which they arrive. Never: judges an answer or sets a time limit for a source: each
//! source ends by itself.
//!
//! A slow source is not a silent one: while bytes arrive steadily, no other source is asked. When
//! two slow sources send together, only the better one goes on, since both may share the same line.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long a source may be silent before the next one is asked as well.
pub(crate) const SILENCE: Duration = Duration::from_millis(900);
/// Bytes within [`SILENCE`] from which on a source does not count as silent.
const STEADY_BYTES: u64 = 512;
/// How long sources are compared before the slower ones are stopped.
const COMPARISON: Duration = Duration::from_secs(4);
/// Pause between two looks at the sources.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How often one source is asked at most: a second time if it was stopped for a better one that has
/// failed since.
const STARTS: u8 = 2;

/// How many bytes have come from a source; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Received(Arc<AtomicU64>);

impl Received {
    /// Adds `bytes`.
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Records a whole answer: however short, the source is not silent.
    pub fn answered(&self) {
        self.add(STEADY_BYTES);
    }

    fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

type PendingAnswer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sources that are asked for the same thing.
pub(crate) struct Hedge<'a, T> {
    ask: Box<dyn Fn(usize, Received) -> PendingAnswer<'a, T> + Send + Sync + 'a>,
    board: Board,
    /// The pending answers, in the board's order of the asked sources.
    answers: Vec<PendingAnswer<'a, T>>,
}

impl<'a, T: Send + 'a> Hedge<'a, T> {
    /// Asks the sources with the numbers in `order`, the best first. Nothing is sent before
    /// [`Self::next`].
    pub(crate) fn new<F>(
        order: impl IntoIterator<Item = usize>,
        ask: impl Fn(usize, Received) -> F + Send + Sync + 'a,
    ) -> Self
    where
        F: Future<Output = T> + Send + 'a,
    {
        let ask =
            Box::new(move |index, received| Box::pin(ask(index, received)) as PendingAnswer<'a, T>);
        Self { ask, board: Board::new(order), answers: Vec::new() }
    }

    /// The next answer and the number of its source; `None` when every source has answered. Another
    /// call waits for another answer.
    pub(crate) async fn next(&mut self) -> Option<(usize, T)> {
        loop {
            self.look(Instant::now());
            if self.answers.is_empty() {
                return None;
            }
            let first = poll_fn(|context| {
                for (place, answer) in self.answers.iter_mut().enumerate() {
                    if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                        return Poll::Ready((place, answer));
                    }
                }
                Poll::Pending
            });
            if let Ok((place, answer)) = tokio::time::timeout(POLL_INTERVAL, first).await {
                drop(self.answers.remove(place));
                return Some((self.board.asked.remove(place).index, answer));
            }
        }
    }

    fn look(&mut self, now: Instant) {
        if let Some(best) = self.board.leave_the_slower(now) {
            let best = self.answers.remove(best);
            self.answers = vec![best];
        }
        if let Some((index, received)) = self.board.start_next(now) {
            self.answers.push((self.ask)(index, received));
        }
    }
}

/// The decisions, without the asking: which source was asked when, and how many bytes have come.
struct Board {
    /// Sources that are not asked yet, or stopped; with the number of times they were asked.
    waiting: VecDeque<(usize, u8)>,
    asked: Vec<PendingSource>,
}

/// A source that has not answered yet.
struct PendingSource {
    index: usize,
    starts: u8,
    since: Instant,
    received: Received,
    /// The bytes received at several times, the newest last; all but the first are at most
    /// [`COMPARISON`] old.
    seen: VecDeque<(Instant, u64)>,
}

impl PendingSource {
    /// Bytes that arrived within `time` before `now`.
    fn lately(&self, now: Instant, time: Duration) -> u64 {
        let before = self.seen.iter().take_while(|(when, _)| *when + time <= now).last();
        self.received.total().saturating_sub(before.map_or(0, |(_, total)| *total))
    }

    /// Whether it is worth waiting for this source alone.
    fn is_promising(&self, now: Instant) -> bool {
        now < self.since + SILENCE || self.lately(now, SILENCE) >= STEADY_BYTES
    }

    fn note(&mut self, now: Instant) {
        self.seen.push_back((now, self.received.total()));
        while self.seen.get(1).is_some_and(|(when, _)| *when + COMPARISON <= now) {
            self.seen.pop_front();
        }
    }
}

impl Board {
    fn new(order: impl IntoIterator<Item = usize>) -> Self {
        Self { waiting: order.into_iter().map(|index| (index, 0)).collect(), asked: Vec::new() }
    }

    /// The next source to ask, if none of the asked ones is worth waiting for alone.
    fn start_next(&mut self, now: Instant) -> Option<(usize, Received)> {
        self.asked.iter_mut().for_each(|asked| asked.note(now));
        if self.asked.iter().any(|asked| asked.is_promising(now)) {
            return None;
        }
        let (index, starts) = self.waiting.pop_front()?;
        let received = Received::default();
        let seen = VecDeque::from([(now, 0)]);
        self.asked.push(PendingSource {
            index,
            starts: starts + 1,
            since: now,
            received: received.clone(),
            seen,
        });
        Some((index, received))
    }

    /// The index of the only source that goes on, once several have been compared for long enough.
    fn leave_the_slower(&mut self, now: Instant) -> Option<usize> {
        if self.asked.len() < 2 || self.asked.iter().any(|asked| now < asked.since + COMPARISON) {
            return None;
        }
        let bytes: Vec<u64> =
            self.asked.iter().map(|asked| asked.lately(now, COMPARISON)).collect();
        let most = bytes.iter().max().copied().filter(|most| *most > 0)?;
        let best = bytes.iter().position(|bytes| *bytes == most)?;
        let retained = self.asked.remove(best);
        let left = std::mem::replace(&mut self.asked, vec![retained]);
        let again = left
            .into_iter()
            .filter(|asked| asked.starts < STARTS)
            .map(|asked| (asked.index, asked.starts));
        self.waiting.extend(again);
        Some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The behaviour of a source: bytes every 100 ms, and milliseconds until its answer; 0 means
    /// never.
    #[derive(Clone, Copy)]
    struct Source(u64, u64);

    /// Runs the board with a simulated clock: the source that answers first, after how many
    /// milliseconds, and the sources that were asked.
    fn first(sources: &[Source]) -> (usize, u64, Vec<usize>) {
        let (start, mut board, mut order) =
            (Instant::now(), Board::new(0..sources.len()), Vec::new());
        for time in (0..3_600_000).step_by(100) {
            let now = start + Duration::from_millis(time);
            for asked in &board.asked {
                asked.received.add(sources[asked.index].0);
            }
            let due = |asked: &&PendingSource| {
                let needed = sources[asked.index].1;
                needed > 0 && now >= asked.since + Duration::from_millis(needed)
            };
            if let Some(asked) = board.asked.iter().find(due) {
                return (asked.index, time, order);
            }
            board.leave_the_slower(now);
            order.extend(board.start_next(now).map(|(index, _)| index));
        }
        panic!("nobody answers; asked were {order:?}");
    }

    #[test]
    fn a_silent_source_costs_a_second() {
        let (silent, good) = (Source(0, 0), Source(100, 300));
        assert_eq!(first(&[good, good]), (0, 300, vec![0]));
        assert_eq!(first(&[silent, good]), (1, 1200, vec![0, 1]));
        assert_eq!(first(&[silent, silent, good]), (2, 2100, vec![0, 1, 2]));
    }

    #[test]
    fn a_drip_is_silence_and_a_slow_line_is_not() {
        let (drip, good) = (Source(1, 0), Source(100, 300));
        assert_eq!(first(&[drip, good]), (1, 1200, vec![0, 1]));
        // A thousand bytes a second for a minute.
        assert_eq!(first(&[Source(100, 60_000), good]), (0, 60_000, vec![0]));
        // A source that breaks off after a good start is detected, too.
        let mut board = Board::new(0..2);
        let start = Instant::now();
        let (_, received) = board.start_next(start).unwrap();
        received.add(100_000);
        assert!(board.start_next(start + Duration::from_millis(800)).is_none());
        assert!(board.start_next(start + Duration::from_millis(1800)).is_some());
    }

    #[test]
    fn of_two_slow_ones_the_better_goes_on() {
        let (index, time, asked) = first(&[Source(30, 60_000), Source(10, 90_000)]);
        assert_eq!((index, time), (0, 60_000));
        assert!(asked.len() <= 3, "each is asked twice at most: {asked:?}");
    }

    #[tokio::test]
    async fn the_next_is_asked_at_once_after_an_answer_that_was_not_wanted() {
        let mut hedge = Hedge::new([2, 0], |index, _| async move { index * 10 });
        assert_eq!(hedge.next().await, Some((2, 20)));
        assert_eq!(hedge.next().await, Some((0, 0)));
        assert_eq!(hedge.next().await, None);
    }

    #[tokio::test]
    async fn the_first_answer_ends_the_waiting_for_silent_ones() {
        let ask = |index, _| async move {
            if index == 0 {
                std::future::pending::<()>().await;
            }
            index
        };
        let mut hedge = Hedge::new(0..2, ask);
        assert_eq!(hedge.next().await, Some((1, 1)));
        assert_eq!(hedge.board.asked.iter().map(|asked| asked.index).collect::<Vec<_>>(), [0]);
    }
}
