//! What a build is, as JSON. Pure.
//!
//! In: a job. Out: the answer about it. Never: a path of the server.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::order::{BuildOrder, Source};
use crate::fleet::{Job, JobState};

/// An answer about a build. The specification's fields, then ours.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::server) struct BuildAnswer {
    pub(super) build_id: String,
    pub(super) status: JobState,
    /// For people.
    pub(super) message: String,
    /// The place in the queue: 1 is the next one.
    pub(super) position: Option<i64>,
    pub(in crate::server) app: Option<String>,
    pub(in crate::server) version: Option<String>,
    pub(in crate::server) platform: Option<String>,
    pub(super) x_user: String,
    /// The token that asked for it.
    token: Option<String>,
    repository: Option<String>,
    git_ref: Option<String>,
    /// How often it was begun.
    attempt: i64,
    /// Whether it is about to end since somebody wants that.
    cancelling: bool,
    created: Option<Timestamp>,
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
    /// What came of it; `url` is `null` once its file is gone.
    pub(super) result: Option<Value>,
    pub(super) error: Option<Value>,
    /// Its log.
    events: String,
}

/// The address of a build.
pub(super) fn address(id: &str) -> String {
    format!("/api/containers/build/{id}")
}

impl BuildAnswer {
    pub(in crate::server) fn of(job: &Job) -> Self {
        let order: Option<BuildOrder> = serde_json::from_str(&job.payload).ok();
        let order = order.as_ref();
        let result: Value = serde_json::from_str(&job.result).unwrap_or_default();
        let part = |name: &str| result.get(name).cloned();
        let (repository, git_ref) = match order.map(|order| &order.source) {
            Some(Source::Git { repository, reference }) => {
                (Some(repository.clone()), Some(reference.clone()))
            }
            _ => (None, None),
        };
        let time = |seconds: i64| Timestamp::from_second(seconds).ok();
        let lost = job.state == JobState::Failed && job.result.is_empty();
        let lost = lost.then(|| {
            serde_json::json!({ "code": "server", "message": "the server ended each time before the build did" })
        });
        Self {
            build_id: job.id.clone(),
            status: job.state,
            message: message(job).to_owned(),
            position: None,
            app: order.map(|order| order.app.to_string()),
            version: order.map(|order| order.version.to_string()),
            platform: order.map(|order| order.platform.to_string()),
            x_user: job.asked_by.clone(),
            token: order.map(|order| order.token.clone()),
            repository,
            git_ref,
            attempt: job.attempt,
            cancelling: job.is_cancelled && !job.state.has_ended(),
            created: time(job.created),
            began: job.began.and_then(time),
            ended: Some(job.changed).filter(|_| job.state.has_ended()).and_then(time),
            result: part("package"),
            error: part("error").or(lost),
            events: format!("{}/events", address(&job.id)),
        }
    }

    /// Adds the address of the package, if its file is there.
    pub(super) fn with_package(mut self, is_there: bool) -> Self {
        if let Some(Value::Object(result)) = &mut self.result {
            let url = is_there.then(|| format!("{}/package", address(&self.build_id)));
            result.insert("url".to_owned(), url.into());
        }
        self
    }
}

fn message(job: &Job) -> &'static str {
    match job.state {
        JobState::Queued => "the build is queued",
        JobState::Running if job.is_cancelled => "the build is about to end",
        JobState::Running => "the build is running",
        JobState::Done => "the package waits, unsigned, for `kuzflow publish --build`",
        JobState::Failed => "the build failed",
        JobState::Cancelled => "the build was cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: JobState, result: &str) -> Job {
        let payload = serde_json::json!({
            "app": "sample", "version": "1.2.0", "platform": "Linux_x86_64", "token": "ci", "config": {},
            "source": {"git": {"repository": "main-repository", "reference": "v1.2.0"}},
        });
        Job {
            id: "0".repeat(32),
            asked_by: "ann".to_owned(),
            state,
            payload: payload.to_string(),
            result: result.to_owned(),
            attempt: 3,
            created: 1_796_000_000,
            began: Some(1_796_000_001),
            changed: 1_796_000_002,
            is_cancelled: false,
        }
    }

    #[test]
    fn a_result_has_an_address_as_long_as_its_file_is_there() {
        let done = job(JobState::Done, r#"{"package": {"length": 7}}"#);
        let value =
            |is_there| serde_json::to_value(BuildAnswer::of(&done).with_package(is_there)).unwrap();
        let there = value(true);
        assert_eq!(there["result"]["url"], format!("/api/containers/build/{}/package", done.id));
        assert_eq!((&there["status"], &there["git_ref"]), (&"done".into(), &"v1.2.0".into()));
        assert_eq!(there["ended"], "2026-11-30T00:53:22Z");
        assert_eq!(value(false)["result"]["url"], Value::Null);
    }

    #[test]
    fn a_build_whose_servers_ended_says_so() {
        let lost = BuildAnswer::of(&job(JobState::Failed, ""));
        assert_eq!(lost.error.unwrap()["code"], "server");
        let running = BuildAnswer::of(&job(JobState::Running, ""));
        assert_eq!((running.error, running.ended), (None, None));
    }
}
