//! Numbers in the text that Prometheus reads.
//!
//! In: rows, and the measures of a server. Out: text. Never: a number that the rows do not have.

use std::fmt::Write as _;

use super::numbers::{FunnelRow, NodeRow, Outcome, RegionRow, Statistics};

/// What becomes of a number in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MeasureKind {
    /// It only grows, and begins anew with the server.
    Counter,
    Gauge,
}

/// A number of a server, at this moment.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    pub kind: MeasureKind,
    pub name: &'static str,
    pub help: &'static str,
    /// Label and its value.
    pub label: Option<(&'static str, String)>,
    pub value: f64,
}

/// The whole page: sums since the store began, and measures, of which those of one name stand
/// together.
pub(crate) fn text(all: &Statistics, measures: &[Measure]) -> String {
    let mut page = Page::default();
    page.outcomes(&all.outcomes);
    page.funnel(&all.funnel);
    page.nodes(&all.nodes);
    page.regions(&all.regions);
    page.head("kuzflow_reports_dropped_total", "Reports that launchers had to drop.", "counter");
    page.row("kuzflow_reports_dropped_total", &[], all.dropped as f64);
    let mut last = "";
    for Measure { kind, name, help, label, value } in measures {
        if *name != last {
            let kind = match kind {
                MeasureKind::Counter => "counter",
                MeasureKind::Gauge => "gauge",
            };
            page.head(name, help, kind);
            last = name;
        }
        let labels: Vec<(&str, &str)> =
            label.iter().map(|(name, value)| (*name, value.as_str())).collect();
        page.row(name, &labels, *value);
    }
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn row(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let sign = if number == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{sign}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn outcomes(&mut self, rows: &[Outcome]) {
        let name = "kuzflow_reports_total";
        self.head(name, "Reports of launchers.", "counter");
        for Outcome { app, channel, platform, version, kind, detail, n } in rows {
            let labels = [
                ("app", app.as_str()),
                ("channel", channel),
                ("platform", platform),
                ("version", version),
                ("kind", kind),
                ("detail", detail),
            ];
            self.row(name, &labels, *n as f64);
        }
    }

    fn funnel(&mut self, rows: &[FunnelRow]) {
        let name = "kuzflow_updates_total";
        self.head(name, "Updates that reached a step, each once.", "counter");
        for FunnelRow { app, channel, platform, version, stage, n } in rows {
            let labels = [
                ("app", app.as_str()),
                ("channel", channel),
                ("platform", platform),
                ("version", version),
                ("stage", stage),
            ];
            self.row(name, &labels, *n as f64);
        }
    }

    fn nodes(&mut self, rows: &[NodeRow]) {
        type Value = fn(&NodeRow) -> i64;
        let metrics: [(&str, &str, Value); 2] = [
            ("kuzflow_node_bytes_total", "Verified bytes that downloads had of a node.", |row| {
                row.bytes
            }),
            ("kuzflow_node_faults_total", "Faults of a node in downloads.", |row| row.faults),
        ];
        for (name, help, value) in metrics {
            self.head(name, help, "counter");
            for row in rows {
                let labels = [("node", row.node.as_str()), ("region", row.region.as_str())];
                self.row(name, &labels, value(row) as f64);
            }
        }
    }

    fn regions(&mut self, rows: &[RegionRow]) {
        type Value = fn(&RegionRow) -> f64;
        let metrics: [(&str, &str, Value); 3] = [
            ("kuzflow_fetched_bytes_total", "Bytes that updates fetched.", |row| row.bytes as f64),
            (
                "kuzflow_package_bytes_total",
                "Bytes of the whole packages of these updates.",
                |row| row.full_bytes as f64,
            ),
            ("kuzflow_fetching_seconds_total", "How long these downloads took.", |row| {
                row.milliseconds as f64 / 1000.0
            }),
        ];
        for (name, help, value) in metrics {
            self.head(name, help, "counter");
            for row in rows {
                self.row(name, &[("region", row.region.as_str())], value(row));
            }
        }
    }
}

/// A label's value: backslash, quote and line end are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_lines_with_a_head_for_each_name() {
        let all = Statistics {
            outcomes: vec![Outcome {
                app: "sample".to_owned(),
                channel: "stable".to_owned(),
                platform: "Linux_x86_64".to_owned(),
                version: "2.0.0".to_owned(),
                kind: "failed".to_owned(),
                detail: "a\"b\\c\nd".to_owned(),
                n: 3,
            }],
            dropped: 7,
            ..Statistics::default()
        };
        let gauge = |role: &str, value| Measure {
            kind: MeasureKind::Gauge,
            name: "kuzflow_signature_seconds",
            help: "Seconds until a signature expires.",
            label: Some(("role", role.to_owned())),
            value,
        };
        let page = text(&all, &[gauge("root", 5.0), gauge("timestamp", -1.0)]);
        for line in [
            r#"kuzflow_reports_total{app="sample",channel="stable",platform="Linux_x86_64",version="2.0.0",kind="failed",detail="a\"b\\c\nd"} 3"#,
            "kuzflow_reports_dropped_total 7",
            "kuzflow_signature_seconds{role=\"root\"} 5",
            "kuzflow_signature_seconds{role=\"timestamp\"} -1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert_eq!(page.matches("# TYPE kuzflow_signature_seconds gauge").count(), 1);
    }
}
