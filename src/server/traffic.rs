//! What this server has answered since it began.
//!
//! In: answers. Out: counts. Never: who asked, or for what.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

/// Counts of answers. They only grow.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// By the first digit of the status, from 1 to 5.
    classes: [AtomicU64; 5],
    bytes: AtomicU64,
    ranges: AtomicU64,
}

impl Traffic {
    /// The classes of status as their label names them.
    pub(super) const CLASSES: [&'static str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

    /// An answer has ended, in full or not.
    pub(super) fn ended(&self, status: StatusCode, asked_for_range: bool) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(count) = self.classes.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if asked_for_range {
            self.ranges.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Bytes of a body were handed to a connection.
    pub(super) fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Answers of each class.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.classes.iter().map(|count| count.load(Ordering::Relaxed));
        Self::CLASSES.into_iter().zip(counts)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn ranges(&self) -> u64 {
        self.ranges.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_by_their_class() {
        let traffic = Traffic::default();
        for (status, range) in [(200, false), (206, true), (304, false), (404, true), (503, false)]
        {
            traffic.ended(StatusCode::from_u16(status).unwrap(), range);
        }
        traffic.sent(5);
        traffic.sent(6);
        let answers: Vec<u64> = traffic.answers().map(|(_, count)| count).collect();
        assert_eq!(answers, [0, 2, 1, 1, 1]);
        assert_eq!((traffic.bytes(), traffic.ranges()), (11, 2));
    }
}
