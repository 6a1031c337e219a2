//! What the page shows, from the rows of the room `fleet`. Pure.
//!
//! In: statistics. Out: lines of tables, and series of the chart. Never: a sum that differs from
//! that of the rows; HTML.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::{NodeRow, Outcome, RegionRow, Statistics, VersionRow};
use crate::model::Version;
use crate::model::report::ReportKind;

/// Seconds in a day.
const DAY: i64 = 24 * 60 * 60;
/// Series of the chart; what is beyond them is one more.
pub(super) const SERIES: usize = 7;
/// Most days of the chart.
const MOST_DAYS: i64 = 400;

/// The steps of the page, with the two that end an update otherwise.
pub(super) const STAGES: [ReportKind; 6] = [
    ReportKind::Offered,
    ReportKind::Fetched,
    ReportKind::Installed,
    ReportKind::Up,
    ReportKind::RolledBack,
    ReportKind::Failed,
];

/// Puts the newest version first; what is no version comes last.
pub(super) fn newest_first(versions: &mut [String]) {
    versions.sort_by_cached_key(|version| Reverse(version.parse::<Version>().ok()));
}

/// Which release a line is about. Newer ones come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ReleaseName {
    app: String,
    number: Reverse<Option<Version>>,
    version: String,
}

impl ReleaseName {
    fn new(app: &str, version: &str) -> Self {
        Self {
            app: app.to_owned(),
            number: Reverse(version.parse().ok()),
            version: version.to_owned(),
        }
    }
}

/// A release in the funnel: how many updates reached each of [`STAGES`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FunnelLine {
    pub(super) release: String,
    pub(super) reached: [i64; STAGES.len()],
}

/// A release, a reason, and how often.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ReasonLine {
    pub(super) release: String,
    pub(super) reason: String,
    pub(super) n: i64,
}

/// A problem, how often, and with which releases.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProblemLine {
    pub(super) problem: String,
    pub(super) n: i64,
    /// The release and how often, most often first.
    pub(super) releases: Vec<(String, i64)>,
}

/// A node.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NodeLine {
    pub(super) node: String,
    pub(super) regions: Vec<String>,
    pub(super) downloads: i64,
    pub(super) bytes: i64,
    pub(super) faults: i64,
}

/// Installations of a release on each day of the chart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Series {
    /// `None` for all other releases together.
    pub(super) release: Option<String>,
    pub(super) installations: Vec<i64>,
}

/// Everything on the page.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The days of the chart, each by its beginning.
    pub(super) days: Vec<i64>,
    pub(super) series: Vec<Series>,
    pub(super) funnel: Vec<FunnelLine>,
    pub(super) rollbacks: Vec<ReasonLine>,
    pub(super) failures: Vec<ProblemLine>,
    pub(super) nodes: Vec<NodeLine>,
    pub(super) regions: Vec<RegionRow>,
    pub(super) dropped: i64,
    pub(super) is_empty: bool,
    /// The place of the day that the figure of installations is about: the last one that is over, if
    /// there is one. Today has installations that have not reported yet.
    whole: usize,
}

impl View {
    /// `now`: seconds since 1970.
    pub(super) fn of(all: Statistics, now: i64) -> Self {
        let names = Names::of(&all);
        let days = days(&all.versions);
        let is_over = |day: &i64| *day + DAY <= now;
        let last = days.len().saturating_sub(1);
        let whole = days.iter().rposition(is_over).unwrap_or(last);
        Self {
            series: series(&all.versions, &days, &names, whole),
            days,
            whole,
            funnel: funnel(&all, &names),
            rollbacks: rollbacks(&all.outcomes, &names),
            failures: failures(&all.outcomes, &names),
            nodes: nodes(&all.nodes),
            is_empty: all.outcomes.is_empty() && all.versions.is_empty(),
            regions: all.regions,
            dropped: all.dropped,
        }
    }

    /// Installations on the last day that is over; else on the last day of the chart.
    pub(super) fn installations(&self) -> i64 {
        self.series.iter().filter_map(|series| series.installations.get(self.whole)).sum()
    }

    /// The day of [`Self::installations`].
    pub(super) fn day(&self) -> Option<i64> {
        self.days.get(self.whole).copied()
    }

    /// How many updates reached a step, of all releases.
    pub(super) fn reached(&self, stage: ReportKind) -> i64 {
        let place = STAGES.iter().position(|one| *one == stage);
        place.map_or(0, |place| self.funnel.iter().map(|line| line.reached[place]).sum())
    }

    /// Bytes that were fetched, and those of the whole packages.
    pub(super) fn bytes(&self) -> (i64, i64) {
        let regions = self.regions.iter();
        regions.fold((0, 0), |(bytes, full), row| (bytes + row.bytes, full + row.full_bytes))
    }
}

/// How releases are named: by the version alone if all rows are about one app.
struct Names {
    with_app: bool,
}

impl Names {
    fn of(all: &Statistics) -> Self {
        let outcomes = all.outcomes.iter().map(|row| row.app.as_str());
        let apps: BTreeSet<&str> =
            outcomes.chain(all.versions.iter().map(|row| row.app.as_str())).collect();
        Self { with_app: apps.len() > 1 }
    }

    fn text(&self, name: &ReleaseName) -> String {
        let version = if name.version.is_empty() { "–" } else { &name.version };
        if self.with_app { format!("{} {version}", name.app) } else { version.to_owned() }
    }
}

/// All days from the first to the last, also those without a row.
fn days(rows: &[VersionRow]) -> Vec<i64> {
    let first = rows.iter().map(|row| row.day).min();
    let last = rows.iter().map(|row| row.day).max();
    let (Some(first), Some(last)) = (first, last) else { return Vec::new() };
    let first = first.max(last - (MOST_DAYS - 1) * DAY);
    (0..=(last - first) / DAY).map(|number| first + number * DAY).collect()
}

fn series(rows: &[VersionRow], days: &[i64], names: &Names, whole: usize) -> Vec<Series> {
    let mut by_release: BTreeMap<ReleaseName, Vec<i64>> = BTreeMap::new();
    let place = |day: i64| days.iter().position(|one| *one == day);
    for row in rows {
        let name = ReleaseName::new(&row.app, &row.version);
        let values = by_release.entry(name).or_insert_with(|| vec![0; days.len()]);
        if let Some(value) = place(row.day).and_then(|place| values.get_mut(place)) {
            *value += row.installations;
        }
    }
    // The releases that most have now, then those that most have had.
    let mut weights: Vec<_> = by_release
        .iter()
        .map(|(name, values)| {
            (values.get(whole).copied(), values.iter().sum::<i64>(), name.clone())
        })
        .collect();
    weights.sort_by_key(|(last, all, _)| Reverse((*last, *all)));
    let shown: BTreeSet<ReleaseName> =
        weights.into_iter().take(SERIES).map(|(_, _, name)| name).collect();
    let mut others = vec![0; days.len()];
    let mut series = Vec::new();
    for (name, values) in by_release {
        if shown.contains(&name) {
            series.push(Series { release: Some(names.text(&name)), installations: values });
        } else {
            others.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
    if others.iter().any(|value| *value > 0) {
        series.push(Series { release: None, installations: others });
    }
    series
}

fn funnel(all: &Statistics, names: &Names) -> Vec<FunnelLine> {
    let mut lines: BTreeMap<ReleaseName, [i64; STAGES.len()]> = BTreeMap::new();
    for row in &all.funnel {
        let reached = lines.entry(ReleaseName::new(&row.app, &row.version)).or_default();
        if let Some(place) = STAGES.iter().position(|stage| stage.word() == row.stage) {
            reached[place] += row.n;
        }
    }
    let lines = lines.into_iter();
    lines.map(|(name, reached)| FunnelLine { release: names.text(&name), reached }).collect()
}

fn rollbacks(rows: &[Outcome], names: &Names) -> Vec<ReasonLine> {
    let mut lines: BTreeMap<(ReleaseName, &str), i64> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.kind == ReportKind::RolledBack.word()) {
        let name = ReleaseName::new(&row.app, &row.version);
        *lines.entry((name, row.detail.as_str())).or_default() += row.n;
    }
    let lines = lines.into_iter().map(|((name, reason), n)| ReasonLine {
        release: names.text(&name),
        reason: reason.to_owned(),
        n,
    });
    lines.collect()
}

fn failures(rows: &[Outcome], names: &Names) -> Vec<ProblemLine> {
    let mut problems: BTreeMap<&str, BTreeMap<ReleaseName, i64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.kind == ReportKind::Failed.word()) {
        let releases = problems.entry(row.detail.as_str()).or_default();
        *releases.entry(ReleaseName::new(&row.app, &row.version)).or_default() += row.n;
    }
    let mut lines: Vec<ProblemLine> = problems
        .into_iter()
        .map(|(problem, releases)| {
            let n = releases.values().sum();
            let mut releases: Vec<(String, i64)> =
                releases.iter().map(|(name, n)| (names.text(name), *n)).collect();
            releases.sort_by_key(|(_, n)| Reverse(*n));
            ProblemLine { problem: problem.to_owned(), n, releases }
        })
        .collect();
    lines.sort_by_key(|line| Reverse(line.n));
    lines
}

fn nodes(rows: &[NodeRow]) -> Vec<NodeLine> {
    let mut lines: BTreeMap<&str, NodeLine> = BTreeMap::new();
    for row in rows {
        let line = lines.entry(&row.node).or_default();
        line.node.clone_from(&row.node);
        line.regions.push(row.region.clone());
        line.downloads += row.downloads;
        line.bytes += row.bytes;
        line.faults += row.faults;
    }
    let mut lines: Vec<NodeLine> = lines.into_values().collect();
    lines.sort_by_key(|line| Reverse(line.bytes));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::FunnelRow;

    fn version(day: i64, version: &str, installations: i64) -> VersionRow {
        let app = "sample".to_owned();
        VersionRow { day: day * DAY, app, version: version.to_owned(), installations }
    }

    fn outcome(app: &str, version: &str, kind: &str, detail: &str, n: i64) -> Outcome {
        let [app, version, kind, detail] = [app, version, kind, detail].map(ToOwned::to_owned);
        let [channel, platform] = ["stable", "Linux_x86_64"].map(ToOwned::to_owned);
        Outcome { app, channel, platform, version, kind, detail, n }
    }

    #[test]
    fn days_without_a_row_have_their_place_and_newer_releases_come_first() {
        let versions =
            vec![version(3, "1.9.0", 5), version(6, "1.9.0", 2), version(6, "1.10.0", 4)];
        let view = View::of(Statistics { versions, ..Statistics::default() }, 100 * DAY);
        assert_eq!(view.days, [3 * DAY, 4 * DAY, 5 * DAY, 6 * DAY]);
        let named = |name: &str, installations: [i64; 4]| Series {
            release: Some(name.to_owned()),
            installations: installations.to_vec(),
        };
        assert_eq!(view.series, [named("1.10.0", [0, 0, 0, 4]), named("1.9.0", [5, 0, 0, 2])]);
        assert_eq!((view.installations(), view.day()), (6, Some(6 * DAY)));
    }

    #[test]
    fn a_day_that_has_just_begun_is_not_the_figure() {
        let view = |days: &[i64]| {
            let versions = days.iter().map(|day| version(*day, "1.0.0", 100 - 10 * day)).collect();
            let all = Statistics { versions, ..Statistics::default() };
            let view = View::of(all, 6 * DAY + 1800);
            (view.day().map(|day| day / DAY), view.installations())
        };
        assert_eq!(view(&[4, 5, 6]), (Some(5), 50));
        assert_eq!(view(&[6]), (Some(6), 40), "there is no other");
        assert_eq!(view(&[]), (None, 0));
    }

    #[test]
    fn releases_beyond_the_chart_are_one_series_and_none_is_lost() {
        let versions: Vec<VersionRow> =
            (0..20).map(|number| version(1, &format!("1.{number}.0"), 20 - number)).collect();
        let all: i64 = versions.iter().map(|row| row.installations).sum();
        let view = View::of(Statistics { versions, ..Statistics::default() }, 100 * DAY);
        assert_eq!(view.series.len(), SERIES + 1);
        assert_eq!(view.series[0].release.as_deref(), Some("1.6.0"));
        assert_eq!((view.series[SERIES].release.as_ref(), view.installations()), (None, all));
    }

    #[test]
    fn sums_are_those_of_the_rows() {
        let stage = |platform: &str, stage: &str, n: i64| FunnelRow {
            app: "sample".to_owned(),
            channel: "stable".to_owned(),
            platform: platform.to_owned(),
            version: "2.0.0".to_owned(),
            stage: stage.to_owned(),
            n,
        };
        let node = |node: &str, region: &str, bytes: i64| NodeRow {
            node: node.to_owned(),
            region: region.to_owned(),
            downloads: 1,
            bytes,
            faults: 2,
        };
        let view = View::of(
            Statistics {
                funnel: vec![
                    stage("Linux_x86_64", "offered", 5),
                    stage("Windows_AMD64", "offered", 7),
                    stage("Linux_x86_64", "rolled_back", 1),
                    stage("Linux_x86_64", "started", 9),
                ],
                outcomes: vec![
                    outcome("sample", "2.0.0", "rolled_back", "hung", 2),
                    outcome("sample", "2.0.0", "rolled_back", "hung", 3),
                    outcome("sample", "1.0.0", "failed", "disk_full", 2),
                    outcome("sample", "2.0.0", "failed", "disk_full", 4),
                    outcome("sample", "2.0.0", "failed", "no_network", 7),
                ],
                nodes: vec![
                    node("b", "Europe", 5),
                    node("b", "Americas", 6),
                    node("a", "Europe", 10),
                ],
                ..Statistics::default()
            },
            0,
        );
        assert_eq!(view.funnel.len(), 1);
        assert_eq!(view.reached(ReportKind::Offered), 12);
        assert_eq!((view.reached(ReportKind::RolledBack), view.rollbacks[0].n), (1, 5));
        let failures: Vec<(&str, i64)> =
            view.failures.iter().map(|line| (line.problem.as_str(), line.n)).collect();
        assert_eq!(failures, [("no_network", 7), ("disk_full", 6)]);
        assert_eq!(view.failures[1].releases, [("2.0.0".to_owned(), 4), ("1.0.0".to_owned(), 2)]);
        assert_eq!((view.nodes[0].node.as_str(), view.nodes[0].bytes), ("b", 11));
        assert_eq!((view.nodes[0].faults, view.nodes[0].regions.len()), (4, 2));
    }

    #[test]
    fn choices_begin_with_the_newest() {
        let mut versions = ["1.9.0", "other", "1.10.0"].map(ToOwned::to_owned);
        newest_first(&mut versions);
        assert_eq!(versions, ["1.10.0", "1.9.0", "other"]);
    }

    #[test]
    fn several_apps_are_named() {
        let outcomes = vec![
            outcome("one", "1.0.0", "rolled_back", "hung", 1),
            outcome("two", "1.0.0", "rolled_back", "hung", 1),
        ];
        let view = View::of(Statistics { outcomes, ..Statistics::default() }, 0);
        let names: Vec<&str> = view.rollbacks.iter().map(|line| line.release.as_str()).collect();
        assert_eq!(names, ["one 1.0.0", "two 1.0.0"]);
    }
}
