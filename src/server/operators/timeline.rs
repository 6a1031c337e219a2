//! What happened, on the page: releases as they were published, and what people and the server did.
//!
//! In: releases, entries of the audit, the words of a language. Out: HTML, the newest first. Never: a
//! text of an entry that is not escaped.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::{section, table, time_name};
use super::words::Language;
use crate::fleet::AuditEntry;
use crate::model::Release;
use crate::server::html::escaped;

/// Most lines that are shown.
pub(super) const SHOWN: usize = 30;

/// The section; empty if nothing has happened yet.
pub(super) fn timeline<'a>(
    releases: impl Iterator<Item = &'a Release>,
    audit: &[AuditEntry],
    language: Language,
) -> String {
    let words = language.words();
    let mut platforms: BTreeMap<(i64, String, String), BTreeSet<String>> = BTreeMap::new();
    for release in releases {
        let name = format!("{} {}", release.container.app, release.container.version);
        let key = (release.published.as_second(), name, release.channel.clone());
        platforms.entry(key).or_default().insert(release.container.platform.to_string());
    }
    let mut lines: Vec<(i64, String)> = Vec::new();
    for ((at, name, channel), platforms) in platforms {
        let platforms: Vec<String> = platforms.into_iter().collect();
        let subject = format!("{name} · {channel} · {}", platforms.join(", "));
        lines.push((at, line(at, "", words.released, &subject)));
    }
    for entry in audit {
        let what = language.meaning(&entry.what);
        lines.push((entry.at, line(entry.at, &entry.who, &what, &entry.subject)));
    }
    if lines.is_empty() {
        return String::new();
    }
    lines.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let rows: String = lines.into_iter().take(SHOWN).map(|(_, line)| line).collect();
    let heads = [words.when, words.what, words.which, words.by_whom];
    section("timeline", words.timeline_title, "", &table(&heads, &rows))
}

fn line(at: i64, who: &str, what: &str, subject: &str) -> String {
    let who = if who.is_empty() { "–".to_owned() } else { escaped(who) };
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{who}</td></tr>\n",
        time_name(at),
        escaped(what),
        escaped(subject)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: i64, what: &str, subject: &str) -> AuditEntry {
        AuditEntry {
            number: 1,
            at,
            who: "<anna>".to_owned(),
            what: what.to_owned(),
            subject: subject.to_owned(),
            before: String::new(),
            hash: String::new(),
        }
    }

    #[test]
    fn the_newest_stands_first_and_a_release_counts_once_for_all_its_platforms() {
        let mut one = Release::sample("1.0.0");
        let mut other = one.clone();
        one.published = "2026-11-01T10:00:00Z".parse().unwrap();
        other.published = one.published;
        other.container.platform = "Windows_AMD64".parse().unwrap();
        let at = one.published.as_second() + 60;
        let audit = [entry(at, "rollout_halted", "sample 1.0.0: word 1, stage 1")];
        let html = timeline([&one, &other].into_iter(), &audit, Language::English);
        assert_eq!(html.matches("<tr><td>2026").count(), 2, "{html}");
        let [halted, released] =
            ["rollout halted", "release published"].map(|text| html.find(text));
        assert!(halted.is_some() && halted < released, "{html}");
        assert!(html.contains("&lt;anna&gt;") && html.contains(", Windows_AMD64"), "{html}");
        let chinese = timeline([&one].into_iter(), &audit, Language::Chinese);
        assert!(!chinese.contains("rollout_halted") && !chinese.contains("rollout halted"));
        assert_eq!(timeline([].into_iter(), &[], Language::English), "");
    }
}
