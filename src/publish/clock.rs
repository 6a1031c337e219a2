//! Checks whether this computer's clock fits the times that the repository proves.
//!
//! In: until when the timestamp holds, how long timestamps last, the time. Out: a warning, or a
//! refusal to sign what would have expired already. The timestamp signs every change last, so its
//! date is the newest time that a repository can prove. Never: reads a clock, the network.

use std::fmt;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp as Time};

use super::current::Current;
use super::deadlines::span;
use super::error::PublishError;
use super::project::Project;
use super::role::KeyRole;
use super::settings::Lifetimes;

/// Most difference between two computers' clocks that is accepted without a warning.
const TOLERANCE: SignedDuration = SignedDuration::from_hours(1);
/// Few repositories are left alone for this long after their end; a clock that is ahead is as
/// likely.
const LONG_PAUSE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How the clock and the repository disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockDoubt {
    /// The repository was signed later than now.
    Behind {
        /// The time of this computer's clock.
        now: Time,
        /// When the repository was signed.
        signed: Time,
    },
    /// Its files were written later than now.
    BehindFiles {
        /// The time of this computer's clock.
        now: Time,
        /// The time of the file `timestamp.json`.
        written: Time,
    },
    /// The last signature expired long ago.
    Ahead {
        /// The time of this computer's clock.
        now: Time,
        /// When the repository was signed.
        signed: Time,
    },
}

impl fmt::Display for ClockDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind { now, signed } => write!(
                f,
                "this computer's clock says {now}, but the repository was signed at {signed}, {} later. Check the clock: what is signed now \
                 expires too early",
                span(signed.duration_since(*now))
            ),
            Self::BehindFiles { now, written } => write!(
                f,
                "this computer's clock says {now}, but the repository's timestamp.json was written at {written}, {} later. Check the clock: \
                 what is signed now may expire too early",
                span(written.duration_since(*now))
            ),
            Self::Ahead { now, signed } => write!(
                f,
                "this computer's clock says {now}, and the repository was last signed at {signed}, {} before. If the clock is ahead, set it \
                 and run `kuzflow renew --trust-clock --repo DIR --keys DIR`: otherwise what is signed now holds for too long",
                span(now.duration_since(*signed))
            ),
        }
    }
}

/// Refuses to sign at `now` if that would have expired by `signed`, when the repository was last
/// signed.
fn refuse_expired(signed: Time, now: Time, lifetimes: &Lifetimes) -> Result<(), PublishError> {
    let behind = signed.duration_since(now);
    let shortest = KeyRole::ALL.into_iter().map(|role| lifetimes.of(role)).min();
    if shortest.is_some_and(|shortest| behind >= shortest.max(TOLERANCE)) {
        return Err(PublishError::ClockBehind { now, signed });
    }
    Ok(())
}

/// The doubt about signing at `now`. `expires` is until when the last signature holds, `written`
/// the time of its file. Copies and backups change the file's time, so it is no reason to refuse.
fn doubt(signed: Time, expires: Time, written: Option<Time>, now: Time) -> Option<ClockDoubt> {
    if signed.duration_since(now) > TOLERANCE {
        return Some(ClockDoubt::Behind { now, signed });
    }
    if let Some(written) = written.filter(|written| written.duration_since(now) > TOLERANCE) {
        return Some(ClockDoubt::BehindFiles { now, written });
    }
    let is_ahead = now.duration_since(expires) > LONG_PAUSE;
    is_ahead.then_some(ClockDoubt::Ahead { now, signed })
}

impl Project {
    /// Returns this folder with trust in this computer's clock: changes are signed with its time,
    /// whatever the repository shows. For use after a signing with a clock that was ahead.
    #[must_use]
    pub fn trusting_clock(mut self) -> Self {
        self.trusts_clock = true;
        self
    }

    /// The doubt about this computer's clock, which says `now`; `None` for a repository that cannot
    /// be read.
    pub fn clock_doubt(&self, now: Time) -> Option<ClockDoubt> {
        if self.trusts_clock {
            return None;
        }
        let current = self.current().ok()?;
        let (_, written) = self.times_of_files();
        doubt(self.last_signing(&current), current.timestamp_expires(), written, now)
    }

    /// Checks the clock alone, before the caller prepares what it wants to sign.
    ///
    /// # Errors
    /// The same as for every change.
    pub fn check_clock(&self, now: Time) -> Result<(), PublishError> {
        self.current_to_sign(now).map(|_| ())
    }

    /// The current repository, to be changed and signed at `now`.
    ///
    /// # Errors
    /// [`PublishError::ClockBehind`] if the new signatures would have expired already; the errors
    /// of reading.
    pub(super) fn current_to_sign(&self, now: Time) -> Result<Current, PublishError> {
        let current = self.current()?;
        if !self.trusts_clock {
            refuse_expired(self.last_signing(&current), now, &self.settings().lifetimes)?;
        }
        Ok(current)
    }

    /// When the repository was last signed, by the clock of that time.
    fn last_signing(&self, current: &Current) -> Time {
        let now_set = self.settings().lifetimes.of(KeyRole::Timestamp);
        // Settings that were written after the last signing may have shortened the lifetime since.
        let usual = Lifetimes::default().of(KeyRole::Timestamp);
        let (settings, timestamp) = self.times_of_files();
        let expires = current.timestamp_expires();
        let before = |lifetime| expires.checked_sub(lifetime).unwrap_or(Time::MIN);
        if settings <= timestamp {
            return before(now_set);
        }
        // The file's own time bounds it, whatever the lifetime was.
        let signed = before(now_set.max(usual));
        timestamp.map_or(signed, |written| signed.min(written))
    }

    /// When `kuzflow.toml` and `timestamp.json` were written, by the file system.
    fn times_of_files(&self) -> (Option<Time>, Option<Time>) {
        let written = |path: &std::path::Path| {
            let modified: SystemTime = std::fs::metadata(path).ok()?.modified().ok()?;
            Time::try_from(modified).ok()
        };
        (written(&self.settings_file()), written(&self.metadata_folder().join("timestamp.json")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(count: i64) -> Time {
        let start: Time = "2026-11-28T12:00:00Z".parse().unwrap();
        start + SignedDuration::from_hours(24 * count)
    }

    fn is_refused(signed: i64, now: i64, lifetimes: &Lifetimes) -> bool {
        refuse_expired(day(signed), day(now), lifetimes).is_err()
    }

    #[test]
    fn what_would_have_expired_already_is_not_signed() {
        let usual = Lifetimes::default();
        assert!(!is_refused(0, 0, &usual));
        assert!(!is_refused(0, 400, &usual), "a long pause is no fault of the clock");
        assert!(!is_refused(6, 0, &usual), "it would hold for one more day");
        assert!(is_refused(7, 0, &usual), "the very second is too late");
        assert!(is_refused(400, 0, &usual));
        let short = Lifetimes { timestamp_days: 1, ..usual };
        assert!(is_refused(1, 0, &short));
        let short = Lifetimes { snapshot_days: 2, ..usual };
        assert!(is_refused(2, 0, &short), "of whatever role");
    }

    #[test]
    fn a_clock_that_differs_is_reported() {
        let doubt = |signed, written: Option<i64>, now| {
            doubt(day(signed), day(signed + 7), written.map(day), day(now))
        };
        assert_eq!(doubt(0, Some(0), 0), None);
        assert_eq!(doubt(0, Some(0), 37), None, "30 days after its end");
        assert!(matches!(doubt(0, Some(0), 38), Some(ClockDoubt::Ahead { .. })));
        assert!(matches!(doubt(1, None, 0), Some(ClockDoubt::Behind { .. })));
        assert!(matches!(doubt(0, Some(1), 0), Some(ClockDoubt::BehindFiles { .. })));
        let ahead = doubt(0, None, 400).unwrap().to_string();
        for part in ["2028-01-02", "2026-11-28", "400 days before", "--trust-clock"] {
            assert!(ahead.contains(part), "{part}: {ahead}");
        }
    }
}
