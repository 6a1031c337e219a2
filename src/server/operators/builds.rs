//! Builds on the page: which wait, run and have ended, for whom, and how long they took.
//!
//! In: jobs, the words of a language, the time. Out: HTML. Never: a log, an address of a package; a
//! text of a request that is not escaped.

use super::parts::{section, table, time_name};
use super::words::Language;
use crate::fleet::{Job, JobNumbers, JobState};
use crate::server::builds::BuildAnswer;
use crate::server::html::{escaped, grouped};

/// Most builds that are shown.
pub(super) const SHOWN: i64 = 20;

/// The section of builds.
pub(super) fn builds(jobs: &[Job], numbers: &JobNumbers, language: Language, now: i64) -> String {
    let words = language.words();
    let counts = [
        (words.queued, numbers.queued),
        (words.running, numbers.running),
        (words.done, numbers.done),
        (words.build_failed, numbers.failed),
        (words.cancelled, numbers.cancelled),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(name, n)| format!("{name}: <data value=\"{n}\">{}</data>", grouped(n)))
        .collect();
    let rows: String = jobs.iter().map(|job| row(job, language, now)).collect();
    let heads =
        [words.build, words.for_whom, words.state, words.asked_at, &format!("#{}", words.duration)];
    let counts = format!("<p>{}</p>\n", counts.join(" · "));
    section("builds", words.builds_title, words.builds_hint, &(counts + &table(&heads, &rows)))
}

fn row(job: &Job, language: Language, now: i64) -> String {
    let words = language.words();
    let answer = BuildAnswer::of(job);
    let name = |part: &Option<String>| escaped(part.as_deref().unwrap_or("–"));
    let (state, class) = match job.state {
        JobState::Queued => (words.queued, ""),
        JobState::Running => (words.running, ""),
        JobState::Done => (words.done, ""),
        JobState::Failed => (words.build_failed, " class=\"bad\""),
        JobState::Cancelled => (words.cancelled, ""),
    };
    let until = if job.state.has_ended() { job.changed } else { now };
    let seconds = job.began.map(|began| (until - began).max(0));
    let duration = seconds.map_or("–".to_owned(), |seconds| words.seconds(seconds));
    format!(
        "<tr><td>{} {}<small>{} · {}</small></td><td>{}</td><td{class}>{state}</td><td>{}</td><td class=\"number\">{duration}</td></tr>\n",
        name(&answer.app),
        name(&answer.version),
        name(&answer.platform),
        escaped(&job.id),
        escaped(&job.asked_by),
        time_name(job.created),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_shown_in_both_languages_and_escaped() {
        let payload = serde_json::json!({
            "app": "sample", "version": "1.2.0", "platform": "Linux_x86_64", "token": "ci", "config": {},
            "source": {"archive": {"digest": "0".repeat(64), "length": 1}},
        });
        let job = Job {
            id: "0".repeat(32),
            asked_by: "<b>ann".to_owned(),
            state: JobState::Failed,
            payload: payload.to_string(),
            result: String::new(),
            attempt: 1,
            created: 1_796_000_000,
            began: Some(1_796_000_010),
            changed: 1_796_000_100,
            is_cancelled: false,
        };
        let numbers = JobNumbers { queued: 1234, ..JobNumbers::default() };
        let html = builds(std::slice::from_ref(&job), &numbers, Language::English, 0);
        for part in [
            "sample 1.2.0",
            "&lt;b&gt;ann",
            "class=\"bad\"",
            "1 min 30 s",
            "2026-11-30 00:53",
            "value=\"1234\"",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        let chinese = builds(&[job], &numbers, Language::Chinese, 0);
        assert!(chinese.contains("1 分 30 秒") && !chinese.contains("<b>"), "{chinese}");
    }
}
