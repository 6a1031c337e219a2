//! Incidents in words: what happened in one sentence, and in what way.
//!
//! In: an incident from the engine. Out: text in the catalogue's language. Never: a guess about
//! unknown causes.

use super::texts::Texts;
use crate::model::exit_code::ProcessEnd;
use crate::model::incident::{Incident, LaunchFailure};

impl Texts {
    /// A title and a sentence: what happened, and what it means for the user.
    pub fn notice_text(&self, what: &Incident) -> [String; 2] {
        match what {
            Incident::RolledBack { from, to, holds_files, .. } => {
                let now = if *holds_files {
                    "notice-rolled-back-now"
                } else {
                    "notice-rolled-back-now-plain"
                };
                [
                    self.with("notice-rolled-back", &[("version", &from.to_string())]),
                    self.with(now, &[("version", &to.to_string())]),
                ]
            }
            Incident::NotSwitched { to, .. } => [
                self.with("notice-not-switched", &[("version", &to.to_string())]),
                self.get("notice-not-switched-now"),
            ],
            Incident::Conflicts { version, files } => {
                let count = u64::try_from(files.len()).unwrap_or(u64::MAX);
                let text =
                    self.count("notice-conflicts-now", count, &[("version", &version.to_string())]);
                [self.count("notice-conflicts", count, &[]), text]
            }
            Incident::Unreadable { version, .. } => [
                self.get("notice-unreadable"),
                self.with("notice-unreadable-now", &[("version", &version.to_string())]),
            ],
            Incident::Repaired { version } => [
                self.with("notice-repaired", &[("version", &version.to_string())]),
                self.get("notice-repaired-now"),
            ],
            Incident::NotRepaired { version } => [
                self.with("notice-not-repaired", &[("version", &version.to_string())]),
                self.get("notice-not-repaired-now"),
            ],
        }
    }

    /// In what way a version did not come up.
    pub fn failure(&self, failure: &LaunchFailure) -> String {
        match failure {
            LaunchFailure::Crashed { status } => self.crash(ProcessEnd::of(*status)),
            LaunchFailure::EndedAtOnce => self.get("failure-ended-at-once"),
            LaunchFailure::Hung => self.get("failure-hung"),
            LaunchFailure::Reported { reason } if reason.is_empty() => {
                self.get("failure-reported-nothing")
            }
            LaunchFailure::Reported { reason } => {
                self.with("failure-reported", &[("reason", reason)])
            }
            LaunchFailure::NotStarted => self.get("failure-not-started"),
            LaunchFailure::NeverUp => self.get("failure-never-up"),
        }
    }

    fn crash(&self, end: ProcessEnd) -> String {
        match end {
            ProcessEnd::Status(status) => {
                self.with("failure-crashed", &[("status", &status.to_string())])
            }
            ProcessEnd::Signal(signal) => {
                self.with("failure-signal", &[("signal", &signal.to_string())])
            }
            ProcessEnd::Exception(code) => {
                self.with("failure-exception", &[("code", &format!("0x{code:08X}"))])
            }
        }
    }

    /// The day and the minute of a moment in a time zone.
    pub fn moment(&self, moment: jiff::Timestamp, zone: &jiff::tz::TimeZone) -> String {
        let time = moment.to_zoned(zone.clone()).strftime("%H:%M").to_string();
        self.with("moment", &[("date", &self.date(moment, zone)), ("time", &time)])
    }

    /// Bytes done and in all as megabytes of one width: `312 of 1,024 MB`.
    pub fn taken_along(&self, done: u64, total: u64) -> String {
        let [done, total] = [done, total].map(|bytes| self.number(bytes / 1_000_000));
        self.with("switching-progress", &[("done", &done), ("total", &total)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gui::Language;
    use crate::model::Version;

    #[test]
    fn every_way_to_fail_has_its_own_words_in_each_language() {
        let failures = [
            LaunchFailure::EndedAtOnce,
            LaunchFailure::Hung,
            LaunchFailure::Reported { reason: "no display".to_owned() },
            LaunchFailure::Reported { reason: String::new() },
            LaunchFailure::NotStarted,
            LaunchFailure::NeverUp,
        ];
        let ends =
            [ProcessEnd::Status(1), ProcessEnd::Signal(11), ProcessEnd::Exception(0xC000_0005)];
        for texts in Language::ALL.map(Texts::new) {
            let notice_text: std::collections::BTreeSet<_> = failures
                .iter()
                .map(|failure| texts.failure(failure))
                .chain(ends.map(|end| texts.crash(end)))
                .collect();
            assert_eq!(notice_text.len(), failures.len() + ends.len(), "{notice_text:?}");
            assert!(
                notice_text.iter().all(|text| !text.starts_with("failure-") && !text.contains('{')),
                "{notice_text:?}"
            );
            assert!(
                notice_text.iter().any(|text| text.contains("11"))
                    && notice_text.iter().any(|text| text.contains("0xC0000005"))
                    && notice_text.iter().any(|text| text.contains("no display"))
            );
        }
    }

    #[test]
    fn what_occurred_is_one_sentence_about_the_person() {
        let texts = Texts::new(Language::English);
        let (from, to) = (Version::new(2, 0, 0), Version::new(1, 9, 0));
        let back = Incident::RolledBack {
            from: from.clone(),
            to,
            failure: LaunchFailure::Hung,
            retained: "/k".into(),
            holds_files: true,
        };
        let expected = [
            "Version 2.0.0 did not start properly",
            "You are back on 1.9.0, and your files are as they were.",
        ];
        assert_eq!(texts.notice_text(&back), expected);
        let Incident::RolledBack { from, to, failure, retained, .. } = back.clone() else {
            unreachable!()
        };
        let plain =
            Incident::RolledBack { from: from.clone(), to, failure, retained, holds_files: false };
        assert_eq!(
            texts.notice_text(&plain),
            ["Version 2.0.0 did not start properly", "You are back on 1.9.0."]
        );
        assert!(!texts.incident(&plain).contains("files"));
        for texts in Language::ALL.map(Texts::new) {
            for what in [
                back.clone(),
                plain.clone(),
                Incident::NotSwitched { to: from.clone(), chain: Vec::new() },
                Incident::Conflicts { version: from.clone(), files: Vec::new() },
                Incident::Unreadable {
                    version: from.clone(),
                    path: "/h/active.json".into(),
                    chain: Vec::new(),
                },
                Incident::Repaired { version: from.clone() },
                Incident::NotRepaired { version: from.clone() },
            ] {
                assert!(
                    texts
                        .notice_text(&what)
                        .iter()
                        .all(|text| !text.contains("notice-") && !text.contains('{')),
                    "{what:?}"
                );
                assert!(!texts.incident(&what).starts_with("incident-"));
            }
        }
    }

    #[test]
    fn moments_and_megabytes_are_written_for_people() {
        let [chinese, english] = Language::ALL.map(Texts::new);
        let moment = jiff::Timestamp::from_second(1_795_305_600 + 7 * 3600 + 5 * 60).unwrap();
        assert_eq!(english.moment(moment, &jiff::tz::TimeZone::UTC), "November 22, 2026, 07:05");
        assert_eq!(chinese.moment(moment, &jiff::tz::TimeZone::UTC), "2026 年 11 月 22 日 07:05");
        assert_eq!(
            english.taken_along(312_400_000, 1_024_000_000),
            "Copying your files: 312 of 1,024 MB"
        );
    }
}
