//! A report: what became of an update at one installation, as launchers send it and servers count
//! it. docs/reference/reports.md describes it for people.
//!
//! In: values of the launcher, or JSON from anybody. Out: checked values within their bounds. Never:
//! a name of a person or a computer, an address, a path, a text of a message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::platform::{AppName, Platform};
use super::text::serde_as_text;
use super::version::Version;

/// Most reports in a batch.
pub(crate) const BATCH_REPORTS: usize = 64;
/// Largest batch, bytes.
pub(crate) const BATCH_BYTES: usize = 96 << 10;
/// Most nodes in a report.
pub(crate) const REPORT_NODES: usize = 8;
/// Longest text in a report, bytes.
const TEXT_BYTES: usize = 64;

/// A random number of 128 bits as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RandomId(String);

/// Text that is no [`RandomId`].
#[derive(Debug, thiserror::Error)]
#[error("not an id: {0:?}, expected 32 hexadecimal digits")]
pub(crate) struct InvalidId(String);

impl RandomId {
    /// The id with these bits.
    pub(crate) fn new(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RandomId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 32 && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId(text.chars().take(TEXT_BYTES).collect()))
        }
    }
}

impl fmt::Display for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(RandomId);

/// What a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportKind {
    /// A release was offered to this installation.
    Offered,
    /// Its download began.
    Started,
    /// All bytes have arrived.
    Fetched,
    /// The version stands beside the others.
    Installed,
    /// It became the active version.
    Switched,
    /// The app came up in it.
    Up,
    /// The app did not come up, and the version before is active again.
    RolledBack,
    /// A check or an update failed.
    Failed,
    /// The version that is in use; once a day.
    Active,
    /// A kind of a newer launcher.
    #[serde(other)]
    Other,
}

impl ReportKind {
    /// The steps of an update, in their order.
    pub(crate) const STEPS: [Self; 6] =
        [Self::Offered, Self::Started, Self::Fetched, Self::Installed, Self::Switched, Self::Up];
    /// Every kind.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 10] = [
        Self::Offered,
        Self::Started,
        Self::Fetched,
        Self::Installed,
        Self::Switched,
        Self::Up,
        Self::RolledBack,
        Self::Failed,
        Self::Active,
        Self::Other,
    ];

    /// The word on the wire.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Started => "started",
            Self::Fetched => "fetched",
            Self::Installed => "installed",
            Self::Switched => "switched",
            Self::Up => "up",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Active => "active",
            Self::Other => "other",
        }
    }
}

/// A node in a report: its share of a download, and its faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportedNode {
    /// The node's id, as the settings or the repository name it.
    pub node: String,
    /// Verified bytes from it.
    #[serde(default)]
    pub bytes: u64,
    /// How often it had a fault.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub faults: u64,
}

/// One report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The same report has the same id, however often it is sent.
    pub id: RandomId,
    /// Stands for the installation for at most 28 days.
    pub installation: RandomId,
    /// Stands for one update, from the offer to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<RandomId>,
    /// Seconds since 1970, by the launcher's clock, rounded down to a minute.
    pub at: i64,
    pub kind: ReportKind,
    pub app: AppName,
    pub channel: String,
    pub platform: Platform,
    /// The version before; absent at a first installation, or if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    /// The version that the update leads to, or that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Version>,
    /// The launcher's own version.
    pub launcher: Version,
    pub region: String,
    /// How the release is fetched: `full`, `patches`, ….
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// Bytes that were fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Bytes of the whole package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_bytes: Option<u64>,
    /// How long the download took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<ReportedNode>,
    /// The kind of problem, for `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How the app failed to come up, for `rolled_back`; `recalled`, for a `switched` that followed a
    /// recall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The app's exit status, if it crashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
}

// serde's `skip_serializing_if` requires this signature.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a report is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidReport {
    #[error("no report: {0}")]
    Form(#[from] serde_json::Error),
    #[error("{0} is longer than {TEXT_BYTES} bytes, or has signs that it cannot have")]
    Text(&'static str),
    #[error("{0} is larger than it can be")]
    Number(&'static str),
}

impl Report {
    /// Checks a report that came from anybody.
    ///
    /// # Errors
    /// [`InvalidReport`] for another form, and for values beyond their bounds.
    pub(crate) fn parse(value: serde_json::Value) -> Result<Self, InvalidReport> {
        let report: Self = serde_json::from_value(value)?;
        report.check().map(|()| report)
    }

    fn check(&self) -> Result<(), InvalidReport> {
        let long = |version: &Option<Version>| {
            version.as_ref().is_some_and(|version| version.to_string().len() > TEXT_BYTES)
        };
        let texts = [
            ("app", self.app.as_str().len() > TEXT_BYTES),
            ("channel", !is_plain(&self.channel)),
            ("from", long(&self.from)),
            ("to", long(&self.to)),
            ("launcher", self.launcher.to_string().len() > TEXT_BYTES),
            ("region", !is_plain(&self.region)),
            ("way", !self.way.as_deref().is_none_or(is_plain)),
            ("problem", !self.problem.as_deref().is_none_or(is_plain)),
            ("reason", !self.reason.as_deref().is_none_or(is_plain)),
            ("nodes", self.nodes.iter().any(|node| !is_plain(&node.node))),
        ];
        if let Some((name, _)) = texts.into_iter().find(|(_, wrong)| *wrong) {
            return Err(InvalidReport::Text(name));
        }
        let large = |number: u64| number > LARGEST;
        let numbers = [
            ("bytes", self.bytes.is_some_and(large)),
            ("full_bytes", self.full_bytes.is_some_and(large)),
            ("milliseconds", self.milliseconds.is_some_and(large)),
            (
                "nodes",
                self.nodes.len() > REPORT_NODES
                    || self.nodes.iter().any(|node| large(node.bytes) || node.faults > NODE_FAULTS)
                    || (1..self.nodes.len()).any(|at| {
                        self.nodes[..at].iter().any(|other| other.node == self.nodes[at].node)
                    }),
            ),
        ];
        match numbers.into_iter().find(|(_, wrong)| *wrong) {
            Some((name, _)) => Err(InvalidReport::Number(name)),
            None => Ok(()),
        }
    }

    /// What the counts of its kind are split by: the problem, the reason, or the way. A sentence, which
    /// only a stranger can have written, counts as `other`.
    #[cfg(feature = "publisher")]
    pub(crate) fn detail(&self) -> &str {
        let detail = match self.kind {
            ReportKind::Failed => &self.problem,
            ReportKind::RolledBack | ReportKind::Switched => &self.reason,
            ReportKind::Started | ReportKind::Fetched => &self.way,
            _ => &None,
        };
        let is_word = |text: &&str| {
            text.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        detail.as_deref().map_or("", |text| Some(text).filter(is_word).unwrap_or("other"))
    }
}

/// Largest number in a report: 128 GiB, or four years in milliseconds.
const LARGEST: u64 = 1 << 37;
/// Most faults of a node in a report.
pub(crate) const NODE_FAULTS: u64 = 1 << 20;

/// Whether a text can be a label: short, without signs that cannot be seen, and not empty.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_BYTES && !text.chars().any(is_hidden)
}

/// Whether a sign is not seen itself: control signs, and those that join letters or turn the
/// direction of a text, with which a stranger's label could pass for another one.
fn is_hidden(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A text as a label: shortened, and without signs that cannot be seen.
pub(crate) fn label(text: &str) -> String {
    let mut label: String = text.chars().filter(|sign| !is_hidden(*sign)).collect();
    while label.len() > TEXT_BYTES {
        label.pop();
    }
    if label.is_empty() { "-".to_owned() } else { label }
}

/// What a launcher sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Batch<T = Report> {
    pub reports: Vec<T>,
    /// How many reports this launcher has had to drop since the last batch that was taken.
    #[serde(default)]
    pub dropped: u64,
}

/// What the server answers once the batch is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchAnswer {
    /// Counted now.
    pub accepted: u64,
    /// Counted before.
    pub known: u64,
    /// Not understood, or beyond a bound.
    pub refused: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> serde_json::Value {
        serde_json::json!({
            "id": "0123456789abcdef0123456789abcdef", "installation": "00000000000000000000000000000001",
            "at": 1_796_000_000, "kind": "up", "app": "sample", "channel": "stable", "platform": "Linux_x86_64",
            "to": "1.2.0", "launcher": "0.1.0", "region": "Europe",
        })
    }

    fn with(key: &str, value: serde_json::Value) -> Result<Report, InvalidReport> {
        let mut report = report();
        report[key] = value;
        Report::parse(report)
    }

    #[test]
    fn a_report_has_the_same_form_on_both_sides() {
        let parsed = Report::parse(report()).unwrap();
        assert_eq!(serde_json::to_value(&parsed).unwrap(), report());
        for kind in ReportKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }

    #[test]
    fn what_a_newer_launcher_says_is_taken() {
        assert_eq!(with("kind", "something_new".into()).unwrap().kind, ReportKind::Other);
        assert!(with("new_field", 5.into()).is_ok());
    }

    #[test]
    fn values_beyond_their_bounds_are_refused() {
        let long = "x".repeat(65);
        let nodes: Vec<_> =
            (0..9).map(|node| serde_json::json!({"node": node.to_string()})).collect();
        for (key, value) in [
            ("id", "0123456789ABCDEF0123456789abcdef".into()),
            ("id", "1".into()),
            ("channel", long.clone().into()),
            ("channel", "a\nb".into()),
            ("region", "".into()),
            ("problem", long.clone().into()),
            ("to", format!("1.0.0-{long}").into()),
            ("app", "../x".into()),
            ("bytes", (LARGEST + 1).into()),
            ("bytes", (-1).into()),
            ("nodes", nodes.into()),
            ("nodes", serde_json::json!([{"node": long}])),
            ("nodes", serde_json::json!([{"node": "a", "bytes": 1}, {"node": "a", "bytes": 1}])),
            ("nodes", serde_json::json!([{"node": "a", "faults": 1 + NODE_FAULTS}])),
            ("region", "a\u{202e}b".into()),
        ] {
            assert!(with(key, value.clone()).is_err(), "{key} {value}");
        }
        assert!(with("bytes", LARGEST.into()).is_ok());
    }

    #[cfg(feature = "publisher")]
    #[test]
    fn a_problem_is_a_word() {
        let detail = |problem: &str| {
            let mut report = with("problem", problem.into()).unwrap();
            report.kind = ReportKind::Failed;
            report.detail().to_owned()
        };
        assert_eq!(detail("disk_full"), "disk_full");
        assert_eq!(detail("Call this number"), "other");
    }

    #[test]
    fn a_label_is_short_and_plain() {
        assert_eq!(label("a\u{1b}[2Jb\n\u{202e}"), "a[2Jb");
        assert_eq!(label(""), "-");
        assert_eq!(label(&"说".repeat(30)).len(), 63);
    }
}
