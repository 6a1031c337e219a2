//! When reports are sent again, after what the server answered.
//!
//! In: the answer, how often sending has failed, chance. Out: what becomes of the batch. Never: a
//! clock, a wait.

use std::time::Duration;

use crate::backoff::{self, Backoff};
use crate::model::report::BatchAnswer;

/// Pauses after failures.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_secs(10 * 60), longest: Duration::from_secs(24 * 60 * 60) };
/// The pauses that a server may ask for. A longer one would silence launchers for ever by mistake.
const SHORTEST: Duration = Duration::from_secs(60);
/// A server that takes no reports is asked again after this time.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Outcome {
    /// No answer, or one that nobody can understand.
    None,
    /// An answer; its body, if it is one of a server of ours.
    Answered { status: u16, retry_after: Option<f64>, answer: Option<BatchAnswer> },
}

/// What becomes of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The server has it.
    Taken,
    /// The server will never take it.
    Lost,
    /// It waits for so long. `failed` tells whether that counts as a failure.
    Waits { pause: Duration, failed: bool },
}

/// What becomes of a batch of `sent` reports after `failures` in a row; `random` is in 0..1.
pub(super) fn fate(outcome: Outcome, sent: u64, failures: u32, random: f64) -> Fate {
    let again = || {
        let pause = backoff::spread(BACKOFF.pause(failures.saturating_add(1)), 0.25, random);
        Fate::Waits { pause, failed: true }
    };
    let Outcome::Answered { status, retry_after, answer } = outcome else { return again() };
    match status {
        200 => {
            // A portal of a hotel answers everything with its own page.
            let counted = answer.map(|answer| {
                answer.accepted.saturating_add(answer.known).saturating_add(answer.refused)
            });
            if counted == Some(sent) { Fate::Taken } else { again() }
        }
        429 | 503 => match retry_after.and_then(|time| Duration::try_from_secs_f64(time).ok()) {
            // Spread, so that launchers do not come back together.
            Some(time) => {
                let pause = backoff::between(time.clamp(SHORTEST, LONGEST), 1.0, 1.25, random);
                Fate::Waits { pause, failed: false }
            }
            None => again(),
        },
        404 | 405 | 410 | 501 => {
            Fate::Waits { pause: backoff::spread(LONGEST, 0.25, random), failed: false }
        }
        400 | 413 | 422 => Fate::Lost,
        // A redirect, too: reports are for the address in the settings alone.
        _ => again(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, retry_after: Option<f64>) -> Fate {
        fate(Outcome::Answered { status, retry_after, answer: None }, 2, 0, 0.5)
    }

    fn pause(fate: Fate) -> (u64, bool) {
        match fate {
            Fate::Waits { pause, failed } => (pause.as_secs(), failed),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_an_answer_about_each_report_takes_them() {
        let with = |accepted, known, refused| {
            let answer = Some(BatchAnswer { accepted, known, refused });
            fate(Outcome::Answered { status: 200, retry_after: None, answer }, 2, 0, 0.5)
        };
        assert_eq!([with(2, 0, 0), with(0, 1, 1)], [Fate::Taken; 2]);
        assert!(pause(with(1, 0, 0)).1, "one is missing");
        assert!(pause(answered(200, None)).1, "it is not our server's answer");
    }

    #[test]
    fn the_server_says_when_and_launchers_do_not_come_back_together() {
        assert_eq!(pause(answered(429, Some(600.0))), (675, false));
        assert_eq!(pause(answered(503, Some(0.0))), (67, false));
        assert_eq!(pause(answered(503, Some(1e12))).0, 97_200);
        assert_eq!(pause(answered(503, Some(-1.0))), (600, true));
        assert_eq!(pause(answered(429, Some(f64::NAN))), (600, true));
        assert_eq!(pause(answered(404, None)), (86_400, false));
    }

    #[test]
    fn failures_make_the_pause_longer_up_to_a_day() {
        let pauses: Vec<u64> = [0, 1, 2, 30, u32::MAX]
            .map(|failures| pause(fate(Outcome::None, 2, failures, 0.5)).0)
            .into();
        assert_eq!(pauses, [600, 1200, 2400, 86_400, 86_400]);
        for status in [500, 301, 302, 307, 308] {
            assert_eq!(pause(answered(status, Some(5.0))), (600, true), "{status}");
        }
    }

    #[test]
    fn what_is_never_taken_is_not_sent_again() {
        assert_eq!([400, 413, 422].map(|status| answered(status, None)), [Fate::Lost; 3]);
    }
}
