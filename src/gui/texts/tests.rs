//! Tests of `gui::texts`.

use super::*;
use std::collections::BTreeSet;
use std::path::Path;

/// Names of messages and the arguments each uses, from the catalogue's text.
fn messages(language: Language) -> Vec<(String, BTreeSet<String>)> {
    let mut found: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in language.source().lines() {
        if let Some((name, _)) = line.split_once(" = ")
            && !line.starts_with([' ', '#'])
        {
            found.push((name.to_owned(), BTreeSet::new()));
        }
        if let Some((name, _)) =
            line.trim_start().strip_prefix('.').and_then(|rest| rest.split_once(" = "))
        {
            let message = found.last().unwrap().0.split('.').next().unwrap().to_owned();
            found.push((format!("{message}.{name}"), BTreeSet::new()));
        }
        for (at, _) in line.match_indices('$') {
            let argument = line[at + 1..].chars().take_while(char::is_ascii_alphanumeric).collect();
            found.last_mut().unwrap().1.insert(argument);
        }
    }
    found
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn both_languages_parse_and_say_the_same_things() {
    for language in Language::ALL {
        assert!(
            FluentResource::try_new(language.source().to_owned()).is_ok(),
            "{language:?} does not parse"
        );
    }
    let names = |language| messages(language).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(Language::Chinese), names(Language::English));
    let total: BTreeSet<String> = names(Language::English).into_iter().collect();
    assert_eq!(total.len(), names(Language::English).len(), "a message is written twice");
    for ((name, chinese), (_, english)) in
        messages(Language::Chinese).iter().zip(messages(Language::English))
    {
        if name != "date" {
            assert_eq!(*chinese, english, "{name} takes other arguments in the other language");
        }
    }
}

#[test]
fn no_message_is_unused_and_none_is_missing() {
    let mut code = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    let names: BTreeSet<String> =
        messages(Language::English).into_iter().map(|(name, _)| name).collect();
    for name in names.iter().filter(|name| !name.contains('.')) {
        assert!(code.contains(&format!("\"{name}\"")), "{name} is used nowhere");
    }
    for call in ["texts.get(\"", "texts.with(\"", "texts.count(\"", "self.get(\"", "self.with(\""] {
        for (at, _) in code.match_indices(call) {
            let name = code[at + call.len()..].split('"').next().unwrap();
            assert!(names.contains(name), "{name} is not in the catalogue");
        }
    }
}

#[test]
fn every_kind_has_a_text_in_each_language() {
    for texts in Language::ALL.map(Texts::new) {
        for kind in ProblemKind::ALL {
            let problem = Problem { kind, subject: "SUBJECT".to_owned(), chain: Vec::new() };
            for text in texts.problem(&problem) {
                assert!(!text.contains("problem-") && !text.contains('{'), "{kind:?}: {text}");
            }
            let unknown = Problem { subject: String::new(), ..problem };
            assert!(
                texts
                    .problem(&unknown)
                    .iter()
                    .all(|text| !text.contains("  ") && !text.contains("SUBJECT"))
            );
        }
        for fault in [
            FaultKind::Unreachable,
            FaultKind::Refused,
            FaultKind::Stalled,
            FaultKind::Truncated,
            FaultKind::WrongBytes,
            FaultKind::IgnoredRange,
            FaultKind::DifferentFile,
        ] {
            assert!(!texts.fault(fault).starts_with("fault-"));
        }
        for reason in [
            NoUpdate::Newest,
            NoUpdate::Skipped,
            NoUpdate::FailedHere,
            NoUpdate::Pinned,
            NoUpdate::NotYet,
            NoUpdate::NothingPublished,
            NoUpdate::Installed,
            NoUpdate::OnlyWhole,
            NoUpdate::Recalled { why: String::new(), besides: None },
        ] {
            assert!(!texts.no_update(&reason).starts_with("no-update-"));
        }
        let [needed, found] = ["glibc 2.28".to_owned(), "glibc 2.17".to_owned()];
        let text = texts.no_update(&NoUpdate::SystemTooOld(SystemTooOld { needed, found }));
        assert!(text.contains("glibc 2.28") && text.contains("glibc 2.17"), "{text}");
        let besides = Some(Box::new(NoUpdate::Skipped));
        let text = texts.no_update(&NoUpdate::Recalled { why: "It crashes.".to_owned(), besides });
        let skipped = texts.no_update(&NoUpdate::Skipped);
        assert!(text.contains("It crashes.") && text.ends_with(&skipped), "{text}");
    }
}

#[test]
fn what_to_do_next_is_clicked_in_the_window_and_typed_in_a_terminal() {
    let to_click = ["“Installed versions”", "“已安装版本”", "“恢复”", "this window", "此窗口"];
    let to_type = ["--", "VERSION", "FILE", "“list”", "“update”"];
    for language in Language::ALL {
        let (window, terminal) = (Texts::new(language), Texts::new(language).for_terminal());
        for kind in ProblemKind::ALL {
            let problem = Problem { kind, subject: "1.0.0".to_owned(), chain: Vec::new() };
            let ([what, why, clicked], typed) =
                (window.problem(&problem), terminal.problem(&problem));
            assert!(!to_type.iter().any(|word| clicked.contains(word)), "{clicked}");
            assert!(!to_click.iter().any(|word| typed[2].contains(word)), "{}", typed[2]);
            assert_eq!([what, why], typed[..2], "only what to do next depends on the place");
        }
        assert!(window.no_update(&NoUpdate::Pinned) != terminal.no_update(&NoUpdate::Pinned));
    }
}

#[test]
fn figures_are_written_for_people() {
    let written =
        [0, 999, 1000, 82_617_013, 999_949, 999_999, 1_234_567_890, 245_000_000].map(size);
    assert_eq!(
        written,
        ["0 B", "999 B", "1.0 KB", "82.6 MB", "1.0 MB", "1.0 MB", "1.23 GB", "245 MB"]
    );
    assert_eq!(size(u64::MAX), "18446744 TB");
    assert_eq!([812, 5_432, 99_949, 99_951].map(size), ["812 B", "5.4 KB", "99.9 KB", "100 KB"]);
    let numbers = [0, 999, 1532, 1_234_567].map(grouped);
    assert_eq!(numbers, ["0", "999", "1,532", "1,234,567"]);
    let (chinese, english) = (Texts::new(Language::Chinese), Texts::new(Language::English));
    assert_eq!(chinese.speed(5_240_000.0), "5.2 MB/s");
    assert_eq!(chinese.speed(f64::NAN), "0 B/s");
    assert_eq!(
        [1, 59, 80, 7500].map(|s| english.duration(s)),
        ["1 second", "59 seconds", "1 min 20 s", "2 h 5 min"]
    );
    assert_eq!([1, 80, 7500].map(|s| chinese.duration(s)), ["1 秒", "1 分 20 秒", "2 小时 5 分"]);
    assert_eq!(english.about(0), "about 1 second");
    assert_eq!(english.about(83), "about 1 min 30 s");
    assert_eq!(english.count("status-downloading", 1, &[]), "Downloading from one server");
    let day = jiff::Timestamp::from_second(1_795_305_600).unwrap();
    assert_eq!(chinese.date(day, &jiff::tz::TimeZone::UTC), "2026 年 11 月 22 日");
    assert_eq!(english.date(day, &jiff::tz::TimeZone::UTC), "November 22, 2026");
}

#[test]
fn the_system_chooses_unless_the_user_does() {
    assert_eq!(Language::choose("auto", Some("zh_TW.UTF-8")), Language::Chinese);
    assert_eq!(Language::choose("auto", Some("zh-Hans-CN")), Language::Chinese);
    assert_eq!(Language::choose("auto", Some("de-AT")), Language::English);
    assert_eq!(Language::choose("auto", None), Language::English);
    assert_eq!(Language::choose("zh-CN", Some("en")), Language::Chinese);
    assert_eq!(Language::choose("en", Some("zh")), Language::English);
}

#[test]
fn sentences_stand_apart_in_english_and_not_in_chinese() {
    let of = |language| Texts::new(language).paragraph(&["一。", "二。"]);
    assert_eq!(of(Language::English), "一。 二。");
    assert_eq!(of(Language::Chinese), "一。二。");
}
