//! Incidents in words: what happened in one sentence, and in what way.
//!
//! In: an incident from the engine. Out: text in the catalogue's language. Never: a guess about
//! unknown causes.

use jiff::tz::TimeZone;

use super::texts::Texts;
use crate::model::Version;
use crate::model::exit_code::ProcessEnd;
use crate::model::incident::{Incident, LaunchFailure, StandIn};

impl Texts {
    /// A title and a sentence or two: what happened, and what it means for the user. With dates of
    /// the time zone.
    pub fn notice_text(&self, what: &Incident, zone: &TimeZone) -> [String; 2] {
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
            Incident::Recalled { from, to, files_of, holds_files, .. } => {
                let date = self.moment(*files_of, zone);
                let now = match holds_files {
                    true => "notice-recalled-now",
                    false => "notice-rolled-back-now-plain",
                };
                [
                    self.with("notice-recalled", &[("version", &from.to_string())]),
                    self.with(now, &[("version", &to.to_string()), ("date", &date)]),
                ]
            }
            Incident::Withdrawn { version } => [
                self.with("notice-withdrawn", &[("version", &version.to_string())]),
                self.get("notice-withdrawn-now"),
            ],
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
            Incident::HookFailed { version, .. } => [
                self.with("notice-hook-failed", &[("version", &version.to_string())]),
                self.get("notice-hook-failed-now"),
            ],
            Incident::Repaired { version, stand_in } => [
                self.with("notice-repaired", &[("version", &version.to_string())]),
                match stand_in {
                    Some(stand_in) => {
                        self.about_stand_in("notice-repaired-later", version, stand_in, zone)
                    }
                    None => self.get("notice-repaired-now"),
                },
            ],
            Incident::NotRepaired { version, stand_in } => [
                self.with("notice-not-repaired", &[("version", &version.to_string())]),
                match stand_in {
                    Some(stand_in) => {
                        self.about_stand_in("notice-not-repaired-so", version, stand_in, zone)
                    }
                    None => self.get("notice-not-repaired-now"),
                },
            ],
            Incident::LeftAlone { version } => [
                self.with("notice-left-alone", &[("version", &version.to_string())]),
                self.get("notice-left-alone-now"),
            ],
            Incident::SetAside { bytes } => [
                self.with("notice-set-aside", &[("size", &self.size(*bytes))]),
                self.get("notice-set-aside-now"),
            ],
            Incident::WorkedInStandIn { version, worked_in, .. } => [
                self.with("notice-worked-in", &[("worked", &worked_in.to_string())]),
                self.with("notice-worked-in-now", &[("version", &version.to_string())]),
            ],
        }
    }

    /// The sentence `name` about a version that runs in the place of `damaged`, and one about which
    /// files it has and where the newer ones are.
    pub(super) fn about_stand_in(
        &self,
        name: &str,
        damaged: &Version,
        stand_in: &StandIn,
        zone: &TimeZone,
    ) -> String {
        let [damaged, started] = [damaged, &stand_in.version].map(ToString::to_string);
        let versions = [("version", damaged.as_str()), ("started", started.as_str())];
        let sentence = self.with(name, &versions);
        if !stand_in.holds_files {
            return sentence;
        }
        let files = match stand_in.files_of {
            Some(changed) => {
                let date = self.moment(changed, zone);
                let [version, started] = versions;
                self.with("stand-in-files", &[version, started, ("date", &date)])
            }
            None => self.with("stand-in-without-files", &versions),
        };
        self.with("sentences", &[("first", &sentence), ("second", &files)])
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
    pub fn moment(&self, moment: jiff::Timestamp, zone: &TimeZone) -> String {
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
        assert_eq!(texts.notice_text(&back, &TimeZone::UTC), expected);
        let Incident::RolledBack { from, to, failure, retained, .. } = back.clone() else {
            unreachable!()
        };
        let plain =
            Incident::RolledBack { from: from.clone(), to, failure, retained, holds_files: false };
        assert_eq!(
            texts.notice_text(&plain, &TimeZone::UTC),
            ["Version 2.0.0 did not start properly", "You are back on 1.9.0."]
        );
        assert!(!texts.incident(&plain, &TimeZone::UTC).contains("files"));
        let recalled = |holds_files| Incident::Recalled {
            from: from.clone(),
            to: Version::new(1, 9, 0),
            files_of: jiff::Timestamp::from_second(1_795_305_600).unwrap(),
            retained: "/k".into(),
            holds_files,
        };
        assert_eq!(
            texts.notice_text(&recalled(true), &TimeZone::UTC),
            [
                "The publisher has recalled version 2.0.0",
                "You are back on 1.9.0, with your files as they were on November 22, 2026, 00:00. What you did since then is kept."
            ]
        );
        assert!(texts.incident(&recalled(true), &TimeZone::UTC).contains("/k"));
        assert!(!texts.incident(&recalled(false), &TimeZone::UTC).contains("files"));
        for texts in Language::ALL.map(Texts::new) {
            for what in [
                back.clone(),
                plain.clone(),
                Incident::NotSwitched { to: from.clone(), chain: Vec::new() },
                recalled(true),
                recalled(false),
                Incident::Withdrawn { version: from.clone() },
                Incident::Conflicts { version: from.clone(), files: Vec::new() },
                Incident::Unreadable {
                    version: from.clone(),
                    path: "/h/active.json".into(),
                    chain: Vec::new(),
                },
                Incident::Repaired { version: from.clone(), stand_in: None },
                Incident::NotRepaired { version: from.clone(), stand_in: None },
                Incident::SetAside { bytes: 2_000_000_000 },
                Incident::LeftAlone { version: from.clone() },
            ] {
                assert!(
                    texts
                        .notice_text(&what, &TimeZone::UTC)
                        .iter()
                        .all(|text| !text.contains("notice-") && !text.contains('{')),
                    "{what:?}"
                );
                assert!(!texts.incident(&what, &TimeZone::UTC).starts_with("incident-"));
            }
        }
    }

    #[test]
    fn which_version_stands_in_and_with_which_files_is_clear() {
        let stand_in = |files_of, holds_files| {
            let version = Version::new(1, 2, 0);
            Some(StandIn { version, files_of, holds_files })
        };
        let moment = jiff::Timestamp::from_second(1_795_305_600).ok();
        let damaged = Version::new(1, 3, 0);
        let texts = Texts::new(Language::English);
        let incident = |stand_in| {
            let what = Incident::NotRepaired { version: damaged.clone(), stand_in };
            texts.incident(&what, &TimeZone::UTC)
        };
        let so = "Version 1.3.0 is damaged and could not be repaired yet, so version 1.2.0 was started. The next start tries again.";
        assert_eq!(incident(stand_in(None, false)), so);
        assert_eq!(
            incident(stand_in(moment, true)),
            format!(
                "{so} In 1.2.0 your files are as they were on November 22, 2026, 00:00; your newer files are in 1.3.0, unchanged."
            )
        );
        assert_eq!(
            incident(stand_in(None, true)),
            format!("{so} 1.2.0 has none of your files; they are in 1.3.0, unchanged.")
        );
        let worked = Incident::WorkedInStandIn {
            version: damaged.clone(),
            worked_in: Version::new(1, 2, 0),
            retained: "/k".into(),
        };
        for texts in Language::ALL.map(Texts::new) {
            let repaired =
                Incident::Repaired { version: damaged.clone(), stand_in: stand_in(moment, true) };
            let sentences = [texts.incident(&repaired, &TimeZone::UTC)]
                .into_iter()
                .chain(texts.notice_text(&repaired, &TimeZone::UTC).into_iter().skip(1));
            for text in sentences {
                let all = ["1.2.0", "1.3.0", "2026"];
                assert!(all.iter().all(|part| text.contains(part)), "{text}");
            }
            assert!(texts.incident(&worked, &TimeZone::UTC).contains("/k"));
            assert!(texts.notice_text(&worked, &TimeZone::UTC)[0].contains("1.2.0"));
        }
    }

    #[test]
    fn moments_and_megabytes_are_written_for_people() {
        let [chinese, english] = Language::ALL.map(Texts::new);
        let moment = jiff::Timestamp::from_second(1_795_305_600 + 7 * 3600 + 5 * 60).unwrap();
        assert_eq!(english.moment(moment, &TimeZone::UTC), "November 22, 2026, 07:05");
        assert_eq!(chinese.moment(moment, &TimeZone::UTC), "2026 年 11 月 22 日 07:05");
        assert_eq!(
            english.taken_along(312_400_000, 1_024_000_000),
            "Copying your files: 312 of 1,024 MB"
        );
    }
}
