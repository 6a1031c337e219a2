//! The parts of the page: the figures at its head, and each table.
//!
//! In: what is shown, the words of a language. Out: HTML. Never: a sum; a text of a report that is
//! not escaped.

use std::fmt::Write as _;

use super::charts;
use super::view::{FunnelLine, NodeLine, ProblemLine, ReasonLine, Series, View};
use super::words::{Language, Words};
use crate::fleet::RegionRow;
use crate::model::report::ReportKind;
use crate::server::html::{escaped, grouped, percent, size};

/// Releases of the funnel that are shown at once.
const SHOWN_RELEASES: usize = 10;
/// Releases that a line of failures names.
const NAMED_RELEASES: usize = 3;

/// A cell with a number, which programs find in `value`.
fn number(value: i64, text: &str, more: &str) -> String {
    format!("<td class=\"number\"><data value=\"{value}\">{text}</data>{more}</td>")
}

fn count(value: i64) -> String {
    number(value, &grouped(value), "")
}

fn cell(text: &str) -> String {
    format!("<td>{}</td>", escaped(text))
}

/// A table; the heads of columns with numbers begin with `#`.
pub(super) fn table(heads: &[&str], rows: &str) -> String {
    let heads: String = heads
        .iter()
        .map(|head| match head.strip_prefix('#') {
            Some(head) => format!("<th class=\"number\">{head}</th>"),
            None => format!("<th>{head}</th>"),
        })
        .collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

pub(super) fn section(id: &str, title: &str, hint: &str, content: &str) -> String {
    let hint =
        if hint.is_empty() { String::new() } else { format!("<p class=\"hint\">{hint}</p>\n") };
    format!("<section class=\"card\" id=\"{id}\">\n<h2>{title}</h2>\n{hint}{content}</section>\n")
}

fn nothing(text: &str) -> String {
    format!("<p class=\"hint\">{text}</p>\n")
}

/// A day as `2026-11-29`.
pub(super) fn day_name(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

/// A minute as `2026-11-29 14:05`.
pub(super) fn time_name(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}

/// The figures at the head of the page.
pub(super) fn tiles(view: &View, words: &Words) -> String {
    let [offered, up, rolled_back, failed] =
        [ReportKind::Offered, ReportKind::Up, ReportKind::RolledBack, ReportKind::Failed]
            .map(|stage| view.reached(stage));
    let (bytes, full_bytes) = view.bytes();
    let saved = (full_bytes - bytes).max(0);
    let last_day = view.day().map(|day| words.on_day.replace("{}", &day_name(day)));
    let of = |text: &str, share: String| text.replace("{}", &share);
    let tile = |name: &str, value: i64, text: String, class: &str, small: String| {
        format!(
            "<div class=\"card\"><dt>{name}</dt><dd><data class=\"figure{class}\" value=\"{value}\">{text}</data><small>{small}</small></dd></div>\n"
        )
    };
    let plain = |name: &str, value: i64, class: &str, small: String| {
        tile(name, value, grouped(value), if value > 0 { class } else { "" }, small)
    };
    let ended = percent(rolled_back, up + rolled_back);
    let mut tiles = [
        plain(words.installations, view.installations(), "", last_day.unwrap_or_default()),
        plain(words.updates_up, up, "", of(words.of_offered, percent(up, offered))),
        plain(words.rolled_back, rolled_back, " bad", of(words.of_ended, ended)),
        plain(words.failed, failed, " bad", of(words.of_offered, percent(failed, offered))),
        tile(
            words.saved,
            saved,
            size(saved),
            "",
            of(words.of_packages, percent(saved, full_bytes)),
        ),
    ]
    .concat();
    if view.dropped > 0 {
        tiles.push_str(&plain(words.dropped, view.dropped, "", words.dropped_hint.to_owned()));
    }
    format!("<dl class=\"tiles\">\n{tiles}</dl>\n")
}

/// Versions over time, as a picture and as a table.
pub(super) fn versions(view: &View, words: &Words) -> String {
    let content = if view.days.is_empty() {
        nothing(words.no_versions)
    } else {
        let days: Vec<String> = view.days.iter().map(|day| day_name(*day)).collect();
        let title =
            |series: &Series| series.release.clone().unwrap_or_else(|| words.others.to_owned());
        let titles: Vec<String> = view.series.iter().map(title).collect();
        let highest = charts::highest(&view.series, days.len());
        let legend: String = titles
            .iter()
            .enumerate()
            .map(|(place, title)| format!("<li>{}{}</li>", charts::sign(place), escaped(title)))
            .collect();
        let middle = if highest > 1 { grouped(highest / 2) } else { String::new() };
        let (first, last) = (days.first().cloned(), days.last().cloned());
        format!(
            "<figure class=\"chart\">\n<ul class=\"legend\">{legend}</ul>\n<div class=\"plot\"><span class=\"top\">{}</span>\
             <span class=\"middle\">{middle}</span><span class=\"bottom\">0</span>\n{}</div>\n\
             <div class=\"ends\"><span>{}</span><span>{}</span></div>\n</figure>\n\
             <details><summary>{}</summary>\n{}</details>\n",
            grouped(highest),
            charts::stacked(&view.series, &titles, &days, words.versions_title),
            first.filter(|_| days.len() > 1).unwrap_or_default(),
            last.unwrap_or_default(),
            words.as_table,
            versions_table(view, &days, &titles, words),
        )
    };
    section("versions", words.versions_title, words.versions_hint, &content)
}

fn versions_table(view: &View, days: &[String], titles: &[String], words: &Words) -> String {
    let mut rows = String::new();
    for (place, day) in days.iter().enumerate().rev() {
        let values = view.series.iter().filter_map(|series| series.installations.get(place));
        let cells: String = values.map(|value| count(*value)).collect();
        // Writing into a string does not fail.
        let _ = writeln!(rows, "<tr><td>{day}</td>{cells}</tr>");
    }
    let titles: Vec<String> = titles.iter().map(|title| format!("#{}", escaped(title))).collect();
    let heads: Vec<&str> =
        std::iter::once(words.day).chain(titles.iter().map(String::as_str)).collect();
    table(&heads, &rows)
}

/// How far updates came.
pub(super) fn funnel(lines: &[FunnelLine], words: &Words) -> String {
    let heads = [
        words.version,
        &format!("#{}", words.offered),
        &format!("#{}", words.fetched),
        &format!("#{}", words.installed),
        &format!("#{}", words.up),
        &format!("#{}", words.rolled_back),
        &format!("#{}", words.failed),
    ];
    let rows = |lines: &[FunnelLine]| -> String { lines.iter().map(funnel_row).collect() };
    let (shown, older) = lines.split_at(lines.len().min(SHOWN_RELEASES));
    let mut content =
        if shown.is_empty() { nothing(words.no_funnel) } else { table(&heads, &rows(shown)) };
    if !older.is_empty() {
        let summary = words.older.replace("{}", &grouped(older.len() as i64));
        let older = table(&heads, &rows(older));
        content.push_str(&format!("<details><summary>{summary}</summary>\n{older}</details>\n"));
    }
    section("funnel", words.funnel_title, words.funnel_hint, &content)
}

fn funnel_row(line: &FunnelLine) -> String {
    // Without an offer (a first installation from a bundle) the largest step is the whole.
    let whole = match line.reached[0] {
        0 => line.reached.iter().copied().max().unwrap_or(0),
        offered => offered,
    };
    let cells: String = line
        .reached
        .iter()
        .enumerate()
        .map(|(place, value)| {
            let class = if place < 4 { "s0" } else { "warn" };
            number(*value, &grouped(*value), &charts::bar(*value, whole, class))
        })
        .collect();
    format!("<tr>{}{cells}</tr>\n", cell(&line.release))
}

/// Rollbacks with their reasons.
pub(super) fn rollbacks(lines: &[ReasonLine], language: Language) -> String {
    let words = language.words();
    let rows: String = lines
        .iter()
        .map(|line| {
            let reason = cell(&language.meaning(&line.reason));
            format!("<tr>{}{reason}{}</tr>\n", cell(&line.release), count(line.n))
        })
        .collect();
    let heads = [words.version, words.reason, &format!("#{}", words.how_often)];
    let content = if lines.is_empty() { nothing(words.no_rollbacks) } else { table(&heads, &rows) };
    section("rollbacks", words.rollbacks_title, "", &content)
}

/// Failures by kind.
pub(super) fn failures(lines: &[ProblemLine], language: Language) -> String {
    let words = language.words();
    let most = lines.iter().map(|line| line.n).max().unwrap_or(0);
    let rows: String = lines
        .iter()
        .map(|line| {
            let mut named: Vec<String> = line
                .releases
                .iter()
                .take(NAMED_RELEASES)
                .map(|(release, n)| format!("{release} ({})", grouped(*n)))
                .collect();
            if line.releases.len() > NAMED_RELEASES {
                named.push("…".to_owned());
            }
            format!(
                "<tr><td>{}<small>{}</small></td>{}{}</tr>\n",
                escaped(&language.meaning(&line.problem)),
                escaped(&line.problem),
                number(line.n, &grouped(line.n), &charts::bar(line.n, most, "warn")),
                cell(&named.join(", ")),
            )
        })
        .collect();
    let heads = [words.problem, &format!("#{}", words.how_often), words.with_versions];
    let content = if lines.is_empty() { nothing(words.no_failures) } else { table(&heads, &rows) };
    section("failures", words.failures_title, "", &content)
}

/// Nodes.
pub(super) fn nodes(lines: &[NodeLine], words: &Words) -> String {
    let all: i64 = lines.iter().map(|line| line.bytes).sum();
    let rows: String = lines
        .iter()
        .map(|line| {
            let rate = line.faults as f64 * 1000.0 / line.downloads.max(1) as f64;
            let rate = words.fault_rate.replace("{}", &format!("{rate:.1}"));
            let rate = format!("<small>{rate}</small>");
            format!(
                "<tr><td>{}<small>{}</small></td>{}{}{}</tr>\n",
                escaped(&line.node),
                escaped(&line.regions.join(", ")),
                count(line.downloads),
                number(line.bytes, &size(line.bytes), &charts::bar(line.bytes, all, "s0")),
                number(line.faults, &grouped(line.faults), &rate),
            )
        })
        .collect();
    let heads = [
        words.node,
        &format!("#{}", words.downloads),
        &format!("#{}", words.bytes),
        &format!("#{}", words.faults),
    ];
    let content = if lines.is_empty() { nothing(words.no_nodes) } else { table(&heads, &rows) };
    section("nodes", words.nodes_title, words.nodes_hint, &content)
}

/// Regions.
pub(super) fn regions(rows: &[RegionRow], words: &Words) -> String {
    let speed = |row: &RegionRow| row.bytes as f64 / (row.milliseconds.max(1) as f64 * 1000.0);
    let fastest = rows.iter().map(speed).fold(0.0, f64::max);
    let thousandths = |speed: f64| (speed * 1000.0) as i64;
    let lines: String = rows
        .iter()
        .map(|row| {
            let saved = (row.full_bytes - row.bytes).max(0);
            let speed = speed(row);
            let bar = charts::bar(thousandths(speed), thousandths(fastest), "s1");
            let share = format!("<small>{}</small>", percent(saved, row.full_bytes));
            format!(
                "<tr>{}{}<td class=\"number\">{speed:.2} MB/s{bar}</td>{}{}</tr>\n",
                cell(&row.region),
                count(row.downloads),
                number(row.bytes, &size(row.bytes), ""),
                number(saved, &size(saved), &share),
            )
        })
        .collect();
    let heads = [
        words.region,
        &format!("#{}", words.downloads),
        &format!("#{}", words.speed),
        &format!("#{}", words.bytes),
        &format!("#{}", words.saved),
    ];
    let content = if rows.is_empty() { nothing(words.no_regions) } else { table(&heads, &lines) };
    section("regions", words.regions_title, "", &content)
}
