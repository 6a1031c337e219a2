//! What a group of new reports adds to which rows.
//!
//! In: reports, the hour of their arrival. Out: sums by key, sorted: two servers that add them at
//! the same time lock rows in the same order. Never: a clock or a database.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use super::{DAY, HOUR};
use crate::model::report::{Report, ReportKind};

/// Different values of one kind that an app may bring in a day, beside those that the repository
/// has. Real fleets have fewer; false reports must not make the tables grow.
const MOST_VALUES: usize = 256;
/// Different rows that the reports of an app may make in an hour, for counts and for nodes.
const MOST_ROWS: usize = 4096;
/// Stands for the values beyond that.
const OTHER: &str = "other";

/// The key of a row of `counts`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CountKey {
    pub(super) app: String,
    pub(super) channel: String,
    pub(super) platform: String,
    pub(super) version: String,
    pub(super) region: String,
    pub(super) kind: Cow<'static, str>,
    pub(super) detail: String,
}

/// What is added to a row of `counts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) n: i64,
    pub(super) bytes: i64,
    pub(super) full_bytes: i64,
    pub(super) milliseconds: i64,
}

/// The key of a row of `funnel`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FunnelKey {
    pub(super) app: String,
    pub(super) channel: String,
    pub(super) platform: String,
    pub(super) version: String,
    pub(super) stage: Cow<'static, str>,
}

/// A row of `machines`: which version an installation has today.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Machine {
    /// Orders the reports of an installation: by their time, and within a minute by their kind.
    pub(super) latest: i64,
    pub(super) channel: String,
    pub(super) platform: String,
    pub(super) version: String,
}

/// What is added to a row of `nodes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeSums {
    pub(super) n: i64,
    pub(super) bytes: i64,
    pub(super) faults: i64,
}

/// Everything that a group of reports adds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Additions {
    pub(super) counts: BTreeMap<CountKey, Sums>,
    /// By app, node and region.
    pub(super) nodes: BTreeMap<(String, String, String), NodeSums>,
    /// By installation and app; the latest report counts, in whichever order they come.
    pub(super) machines: BTreeMap<(String, String), Machine>,
}

/// The beginning of the hour of a time.
pub(super) const fn hour_of(seconds: i64) -> i64 {
    seconds - seconds.rem_euclid(HOUR)
}

/// The beginning of the day of a time.
pub(super) const fn day_of(seconds: i64) -> i64 {
    seconds - seconds.rem_euclid(DAY)
}

/// What the repository itself names: releases, channels, platforms, nodes. Strangers cannot crowd
/// these out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    values: HashSet<(String, Field, String)>,
}

impl Known {
    /// Adds a value of an app.
    pub(crate) fn add(&mut self, app: &str, field: Field, value: String) {
        self.values.insert((app.to_owned(), field, value));
    }
}

/// A label of a report whose different values are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Channel,
    Platform,
    Version,
    Region,
    Detail,
    Node,
}

/// Bounds the number of different values, and of rows. It begins anew each day and each hour, and
/// with each server.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    day: i64,
    hour: i64,
    seen: HashMap<(String, Field), HashSet<String>>,
    rows: HashMap<String, HashSet<String>>,
    node_rows: HashMap<String, HashSet<String>>,
    pub(super) known: Arc<Known>,
}

/// Whether `key` is in a set, or there is still room for it.
fn has_room<K: Eq + Hash>(
    sets: &mut HashMap<K, HashSet<String>>,
    of: K,
    key: &str,
    most: usize,
) -> bool {
    let set = sets.entry(of).or_default();
    set.contains(key) || set.len() < most && set.insert(key.to_owned())
}

impl Bounds {
    /// `value`, or a word that stands for all values beyond the bound.
    fn admit(&mut self, app: &str, field: Field, value: &str) -> String {
        let is_known = self.known.values.contains(&(app.to_owned(), field, value.to_owned()));
        if is_known || has_room(&mut self.seen, (app.to_owned(), field), value, MOST_VALUES) {
            value.to_owned()
        } else {
            OTHER.to_owned()
        }
    }

    fn begin_anew(&mut self, now: i64) {
        let (day, hour) = (day_of(now), hour_of(now));
        if day != self.day {
            self.seen.clear();
        }
        if hour != self.hour {
            self.rows.clear();
            self.node_rows.clear();
        }
        (self.day, self.hour) = (day, hour);
    }

    /// The texts of a report; what is beyond the bounds is replaced.
    pub(super) fn labels(&mut self, report: &Report, now: i64) -> Labels {
        self.begin_anew(now);
        let app = report.app.as_str();
        let version = report.to.as_ref().map(ToString::to_string).unwrap_or_default();
        let from = report.from.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut labels = Labels {
            app: app.to_owned(),
            channel: self.admit(app, Field::Channel, &report.channel),
            platform: self.admit(app, Field::Platform, &report.platform.to_string()),
            version: self.admit(app, Field::Version, &version),
            from: self.admit(app, Field::Version, &from),
            region: self.admit(app, Field::Region, &report.region),
            detail: self.admit(app, Field::Detail, report.detail()),
            nodes: Vec::new(),
        };
        let row =
            [&labels.channel, &labels.platform, &labels.version, &labels.region, &labels.detail];
        let row = format!("{row:?} {}", report.kind.word());
        if !has_room(&mut self.rows, app.to_owned(), &row, MOST_ROWS) {
            let Labels { channel, platform, version, from, region, detail, .. } = &mut labels;
            for label in [channel, platform, version, from, region, detail] {
                OTHER.clone_into(label);
            }
        }
        for node in &report.nodes {
            let name = self.admit(app, Field::Node, &node.node);
            let row = format!("{:?}", [&name, &labels.region]);
            let fits = has_room(&mut self.node_rows, app.to_owned(), &row, MOST_ROWS);
            labels.nodes.push(if fits { name } else { OTHER.to_owned() });
        }
        labels
    }
}

/// The texts of a report, within the bounds.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) app: String,
    pub(super) channel: String,
    pub(super) platform: String,
    pub(super) version: String,
    from: String,
    region: String,
    detail: String,
    nodes: Vec<String>,
}

impl Labels {
    /// The key of the report's step in the funnel.
    pub(super) fn funnel(&self, kind: ReportKind) -> FunnelKey {
        FunnelKey {
            app: self.app.clone(),
            channel: self.channel.clone(),
            platform: self.platform.clone(),
            version: self.version.clone(),
            stage: Cow::Borrowed(kind.word()),
        }
    }
}

/// Whether the kind is a step that the funnel counts.
pub(super) fn is_stage(kind: ReportKind) -> bool {
    ReportKind::STEPS.contains(&kind) || matches!(kind, ReportKind::RolledBack | ReportKind::Failed)
}

/// The sums of these reports.
pub(super) fn add_up<'a>(reports: impl IntoIterator<Item = (&'a Report, &'a Labels)>) -> Additions {
    let mut additions = Additions::default();
    for (report, labels) in reports {
        let key = CountKey {
            app: labels.app.clone(),
            channel: labels.channel.clone(),
            platform: labels.platform.clone(),
            version: labels.version.clone(),
            region: labels.region.clone(),
            kind: Cow::Borrowed(report.kind.word()),
            detail: labels.detail.clone(),
        };
        let sums = additions.counts.entry(key).or_default();
        sums.n += 1;
        sums.bytes += number(report.bytes);
        sums.full_bytes += number(report.full_bytes);
        sums.milliseconds += number(report.milliseconds);
        for (node, name) in report.nodes.iter().zip(&labels.nodes) {
            let key = (labels.app.clone(), name.clone(), labels.region.clone());
            let sums = additions.nodes.entry(key).or_default();
            sums.n += 1;
            sums.bytes += number(Some(node.bytes));
            sums.faults += number(Some(node.faults));
        }
        if let Some(version) = version_in_use(report.kind, labels) {
            let key = (report.installation.to_string(), labels.app.clone());
            let machine = Machine {
                latest: latest(report),
                channel: labels.channel.clone(),
                platform: labels.platform.clone(),
                version: version.to_owned(),
            };
            let place = additions.machines.entry(key).or_insert_with(|| machine.clone());
            if machine > *place {
                *place = machine;
            }
        }
    }
    additions
}

/// The version that an installation has after this report; `None` if the report does not tell.
fn version_in_use(kind: ReportKind, labels: &Labels) -> Option<&str> {
    let version = match kind {
        ReportKind::Active | ReportKind::Up => &labels.version,
        ReportKind::RolledBack => &labels.from,
        _ => return None,
    };
    Some(version.as_str()).filter(|version| !version.is_empty())
}

/// The place of a report among those of its installation. Within a minute the app comes up after it
/// was active in the version before, and a version is rolled back after it came up.
const fn latest(report: &Report) -> i64 {
    let rank = match report.kind {
        ReportKind::Up => 1,
        ReportKind::RolledBack => 2,
        _ => 0,
    };
    report.at.saturating_mul(4).saturating_add(rank)
}

/// A number of a report; reports are checked, so it fits.
fn number(number: Option<u64>) -> i64 {
    number.and_then(|number| i64::try_from(number).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::RandomId;

    fn report(kind: &str, more: serde_json::Value) -> Report {
        let mut json = serde_json::json!({
            "id": RandomId::new(1), "installation": RandomId::new(1), "at": 0, "kind": kind, "app": "sample",
            "channel": "stable", "platform": "Linux_x86_64", "from": "1.0.0", "to": "2.0.0", "launcher": "0.1.0", "region": "Europe",
        });
        for (key, value) in more.as_object().unwrap() {
            json[key] = value.clone();
        }
        Report::parse(json).unwrap()
    }

    fn sums(reports: &[Report]) -> Additions {
        let mut bounds = Bounds::default();
        let labels: Vec<Labels> = reports.iter().map(|report| bounds.labels(report, 0)).collect();
        add_up(reports.iter().zip(&labels))
    }

    #[test]
    fn equal_reports_are_one_row_and_their_numbers_are_added() {
        let fetched = |bytes: u64| {
            let nodes = serde_json::json!([{"node": "asia", "bytes": bytes, "faults": 1}, {"node": "europe", "bytes": 1}]);
            report(
                "fetched",
                serde_json::json!({"way": "patches", "bytes": bytes, "full_bytes": 100, "milliseconds": 5, "nodes": nodes}),
            )
        };
        let failed = report("failed", serde_json::json!({"problem": "disk_full"}));
        let all = sums(&[fetched(10), fetched(20), failed]);
        let rows: Vec<(&str, &str, Sums)> = all
            .counts
            .iter()
            .map(|(key, sums)| (key.kind.as_ref(), key.detail.as_str(), *sums))
            .collect();
        let one = Sums { n: 1, ..Sums::default() };
        let two = Sums { n: 2, bytes: 30, full_bytes: 200, milliseconds: 10 };
        assert_eq!(rows, [("failed", "disk_full", one), ("fetched", "patches", two)]);
        let nodes: Vec<(&str, NodeSums)> =
            all.nodes.iter().map(|((_, node, _), sums)| (node.as_str(), *sums)).collect();
        let node = |bytes, faults| NodeSums { n: 2, bytes, faults };
        assert_eq!(nodes, [("asia", node(30, 2)), ("europe", node(2, 0))]);
    }

    #[test]
    fn an_installation_has_the_version_that_its_last_report_tells() {
        let none = serde_json::json!({});
        let version = |kinds: &[&str]| {
            let reports: Vec<Report> =
                kinds.iter().map(|kind| report(kind, none.clone())).collect();
            sums(&reports).machines.into_values().map(|machine| machine.version).next()
        };
        assert_eq!(version(&["offered", "installed", "switched"]), None);
        assert_eq!(version(&["up"]).as_deref(), Some("2.0.0"));
        assert_eq!(version(&["up", "rolled_back"]).as_deref(), Some("1.0.0"));
        // In whichever order they come: ids are random.
        assert_eq!(version(&["rolled_back", "up"]).as_deref(), Some("1.0.0"));
        let later = |at: i64, to: &str| report("active", serde_json::json!({"at": at, "to": to}));
        let reports = [later(120, "3.0.0"), later(60, "2.0.0")];
        let last = sums(&reports).machines.into_values().next().unwrap();
        assert_eq!(last.version, "3.0.0");
    }

    #[test]
    fn strangers_do_not_crowd_out_what_the_repository_has() {
        let mut bounds = Bounds::default();
        let mut known = Known::default();
        known.add("sample", Field::Version, "2.0.0".to_owned());
        bounds.known = Arc::new(known);
        for number in 0..1000 {
            bounds.labels(&report("up", serde_json::json!({"to": format!("9.9.{number}")})), 0);
        }
        let labels = bounds.labels(&report("up", serde_json::json!({"from": "0.5.0"})), 0);
        assert_eq!((labels.version.as_str(), labels.from.as_str()), ("2.0.0", OTHER));
    }

    #[test]
    fn false_reports_cannot_multiply_their_labels() {
        let mut bounds = Bounds::default();
        let (mut rows, mut nodes) = (HashSet::new(), HashSet::new());
        for number in 0..20_000 {
            let more = serde_json::json!({
                "region": format!("r{}", number % 199), "channel": format!("c{}", number % 211), "way": format!("w{}", number % 7),
                "nodes": [{"node": format!("n{}", number % 223), "bytes": 1}],
            });
            let report = [report("fetched", more)];
            let labels = [bounds.labels(&report[0], 0)];
            let sums = add_up(report.iter().zip(&labels));
            rows.extend(sums.counts.into_keys().map(|key| format!("{key:?}")));
            nodes.extend(sums.nodes.into_keys());
        }
        assert_eq!(rows.len(), MOST_ROWS + 1);
        assert!((MOST_ROWS..2 * MOST_ROWS).contains(&nodes.len()), "{}", nodes.len());
        // The next hour begins anew.
        let labels = bounds.labels(&report("up", serde_json::json!({})), HOUR);
        assert_eq!(labels.region, "Europe");
    }

    #[test]
    fn false_reports_cannot_make_the_tables_grow() {
        let mut bounds = Bounds::default();
        let mut seen = HashSet::new();
        for number in 0..2000 {
            let region = format!("region {number}");
            let report = report("up", serde_json::json!({"region": region}));
            seen.insert(bounds.labels(&report, 0).region);
        }
        assert_eq!(seen.len(), MOST_VALUES + 1);
        // What is known stays, and the next day begins anew.
        let known = report("up", serde_json::json!({"region": "region 5"}));
        let late = report("up", serde_json::json!({"region": "region 1999"}));
        assert_eq!(bounds.labels(&known, 0).region, "region 5");
        assert_eq!(bounds.labels(&late, 0).region, OTHER);
        assert_eq!(bounds.labels(&late, DAY).region, "region 1999");
    }

    #[test]
    fn hours_and_days_begin_where_they_do() {
        assert_eq!(hour_of(3601), 3600);
        assert_eq!(hour_of(-1), -3600);
        assert_eq!(day_of(2 * DAY - 1), DAY);
    }
}
