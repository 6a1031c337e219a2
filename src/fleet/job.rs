//! The values of jobs: what a job is, where it is, and how a worker leaves it.
//!
//! In: words of the store. Out: values. Never: a query.

use serde::{Serialize, Serializer};

use super::audit::Deed;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobKind {
    Build,
}

impl JobKind {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
        }
    }

    /// How the audit names that one is wanted, and that one is cancelled.
    pub(super) const fn deeds(self) -> (Deed, Deed) {
        match self {
            Self::Build => (Deed::NewBuild, Deed::CancelledBuild),
        }
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    Queued,
    Running,
    Done,
    Failed,
    Cancelled,
}

impl JobState {
    const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// The word in the store and in answers.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more becomes of it.
    pub(crate) const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl Serialize for JobState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// A job that somebody wants.
#[derive(Clone, Debug)]
pub(crate) struct NewJob<'a> {
    /// Its id, one of `new_job_id`.
    pub id: &'a str,
    /// What is to be done, as its kind writes it.
    pub payload: &'a str,
    /// For whom.
    pub asked_by: &'a str,
    /// The key that its sender chose; a repetition has the same.
    pub key: Option<&'a str>,
    /// What a request without a key is known by.
    pub content: &'a str,
    /// The name of the token, and what is done, for the audit.
    pub who: &'a str,
    pub subject: &'a str,
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub id: String,
    pub asked_by: String,
    pub state: JobState,
    pub payload: String,
    /// What came of it, as its kind writes it; empty until it has ended, and if its servers ended
    /// each time.
    pub result: String,
    /// How often it was begun.
    pub attempt: i64,
    /// Seconds since 1970, as the times below.
    pub created: i64,
    /// `None` until it is begun.
    pub began: Option<i64>,
    pub changed: i64,
    /// Whether somebody wants it to end.
    pub is_cancelled: bool,
}

/// A job in the hands of a worker.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub job: Job,
}

/// Whether a worker still holds its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    Held,
    /// It holds it, and somebody wants it to end.
    Cancelled,
    /// It was too slow, and the job is in other hands.
    Lost,
}

/// How a worker leaves its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending<'a> {
    Done(&'a str),
    Failed(&'a str),
    Cancelled,
    /// The server ends: another worker begins it again.
    Returned,
}

impl<'a> Ending<'a> {
    pub(super) const fn state(self) -> JobState {
        match self {
            Self::Done(_) => JobState::Done,
            Self::Failed(_) => JobState::Failed,
            Self::Cancelled => JobState::Cancelled,
            Self::Returned => JobState::Queued,
        }
    }

    pub(super) const fn result(self) -> &'a str {
        match self {
            Self::Done(result) | Self::Failed(result) => result,
            Self::Cancelled | Self::Returned => "",
        }
    }
}

/// How many jobs there are, and how many have ended in which way since the store began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobNumbers {
    pub queued: i64,
    pub running: i64,
    /// How long the oldest one has waited, seconds.
    pub oldest_seconds: i64,
    pub done: i64,
    pub failed: i64,
    pub cancelled: i64,
}

/// A row of `jobs`.
pub(super) type Row = (String, String, String, String, String, i64, i64, i64, i64, i64);

impl Job {
    pub(super) fn from_row(row: Row) -> Option<Self> {
        let (id, asked_by, state, payload, result, attempt, created, began, changed, cancel) = row;
        let state = JobState::of(&state)?;
        let began = Some(began).filter(|began| *began != 0);
        let is_cancelled = cancel != 0;
        Some(Self {
            id,
            asked_by,
            state,
            payload,
            result,
            attempt,
            created,
            began,
            changed,
            is_cancelled,
        })
    }
}
