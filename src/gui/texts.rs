//! The catalogue: every text for people, in Simplified Chinese and English, and the formats of
//! sizes, speeds, durations and dates.
//!
//! In: message names, numbers. Out: text in the chosen language. Never: a text written in code.

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};

use crate::messages::protocol::{FaultKind, NoUpdate, Problem, ProblemKind};
use crate::model::Offer;
use crate::model::incident::Incident;
use crate::model::system::SystemTooOld;
use crate::model::transfer::PEER_REGION;

/// A language of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Simplified Chinese.
    Chinese,
    English,
}

impl Language {
    /// Both languages, for a switch and for tests.
    pub const ALL: [Self; 2] = [Self::Chinese, Self::English];

    /// The language's tag in settings: `zh-CN` or `en`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    /// The language's name in itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chinese => "中文",
            Self::English => "English",
        }
    }

    /// The language for a setting (`auto`, `zh-CN`, `en`) on a system with the language `system` (a
    /// tag such as `zh_CN.UTF-8`). A system in any Chinese gets Chinese, every other one English.
    pub fn choose(setting: &str, system: Option<&str>) -> Self {
        let tag = if setting == "auto" { system.unwrap_or_default() } else { setting };
        let primary = tag.split(['-', '_', '.']).next().unwrap_or_default();
        if primary.eq_ignore_ascii_case("zh") { Self::Chinese } else { Self::English }
    }

    /// A replacement for an unknown name of an app.
    const fn any_app(self) -> &'static str {
        match self {
            Self::Chinese => "应用",
            Self::English => "The app",
        }
    }

    const fn source(self) -> &'static str {
        match self {
            Self::Chinese => include_str!("../../assets/texts/zh-CN.ftl"),
            Self::English => include_str!("../../assets/texts/en.ftl"),
        }
    }
}

/// The catalogue in one language.
pub struct Texts {
    language: Language,
    /// The app's name for people, used in every text with the app's name.
    app: Option<String>,
    /// Whether people read it in a terminal: what to do next is typed there.
    is_for_terminal: bool,
    bundle: FluentBundle<FluentResource>,
}

impl Texts {
    /// Reads the catalogue that is compiled in. A message that cannot be read is left out, and the
    /// text shows the message's name instead.
    pub fn new(language: Language) -> Self {
        let resource = FluentResource::try_new(language.source().to_owned())
            .unwrap_or_else(|(resource, _)| resource);
        let mut bundle =
            FluentBundle::new_concurrent(vec![language.tag().parse().unwrap_or_default()]);
        // Neither language is written from right to left, and fonts have no glyph for the isolation
        // marks.
        bundle.set_use_isolating(false);
        bundle.set_formatter(Some(|value, _| match value {
            FluentValue::Number(number) => Some(grouped(number.value as u64)),
            _ => None,
        }));
        bundle.add_resource_overriding(resource);
        Self { language, app: None, is_for_terminal: false, bundle }
    }

    /// The same catalogue for an app of this name.
    #[must_use]
    pub fn of_app(self, name: &str) -> Self {
        Self { app: Some(name.to_owned()), ..self }
    }

    /// The same catalogue for a terminal. Where a text names what can be clicked, it names what can
    /// be typed.
    #[must_use]
    pub fn for_terminal(self) -> Self {
        Self { is_for_terminal: true, ..self }
    }

    /// The same catalogue and app in another language.
    #[must_use]
    pub fn in_language(&self, language: Language) -> Self {
        let (app, is_for_terminal) = (self.app.clone(), self.is_for_terminal);
        Self { app, is_for_terminal, ..Self::new(language) }
    }

    /// The language of all texts.
    pub const fn language(&self) -> Language {
        self.language
    }

    /// A message without arguments.
    pub fn get(&self, name: &str) -> String {
        self.format(name, None, &FluentArgs::new())
    }

    /// A message with text arguments.
    pub fn with(&self, name: &str, arguments: &[(&str, &str)]) -> String {
        let arguments: FluentArgs<'_> =
            arguments.iter().map(|(name, value)| (*name, FluentValue::from(*value))).collect();
        self.format(name, None, &arguments)
    }

    /// A message about a number of things (`$count`), perhaps with further arguments.
    pub fn count(&self, name: &str, count: u64, arguments: &[(&str, &str)]) -> String {
        let mut all: FluentArgs<'_> =
            arguments.iter().map(|(name, value)| (*name, FluentValue::from(*value))).collect();
        all.set("count", count);
        self.format(name, None, &all)
    }

    /// A problem in three texts: what happened, why, and what to do next.
    pub fn problem(&self, problem: &Problem) -> [String; 3] {
        let name = problem_name(problem.kind);
        let subject = match (problem.subject.as_str(), problem.subject.parse::<jiff::civil::Date>())
        {
            ("", _) => self.get("problem-subject-unknown"),
            // A day has the format of all other days.
            (_, Ok(day)) => self.day(day),
            (subject, Err(_)) => subject.to_owned(),
        };
        let (wanted, found) = subject.split_once(Problem::BOTH_SIDES).unwrap_or((&subject, ""));
        let sides = [
            ("wanted", FluentValue::from(wanted.to_owned())),
            ("found", FluentValue::from(found.to_owned())),
        ];
        let arguments: FluentArgs<'_> =
            sides.into_iter().chain([("subject", FluentValue::from(subject))]).collect();
        [None, Some("why"), Some("next")].map(|attribute| self.format(name, attribute, &arguments))
    }

    /// Joins whole sentences; Chinese leaves no space between them.
    pub fn paragraph(&self, sentences: &[&str]) -> String {
        sentences.join(if self.language == Language::Chinese { "" } else { " " })
    }

    /// The fault of a node.
    pub fn fault(&self, fault: FaultKind) -> String {
        self.get(fault_name(fault))
    }

    /// Why there is no update.
    pub fn no_update(&self, reason: &NoUpdate) -> String {
        self.get(match reason {
            NoUpdate::SystemTooOld(SystemTooOld { needed, found }) => {
                let sides = [("needed", needed.as_str()), ("found", found.as_str())];
                return self.with("no-update-system-too-old", &sides);
            }
            NoUpdate::AheadOfChannel { newest } => {
                let newest = newest.to_string();
                return self.with("no-update-ahead", &[("version", &newest)]);
            }
            NoUpdate::Recalled { why, besides } => {
                let text = self.get(match besides {
                    Some(_) => "no-update-recalled-besides",
                    None => "no-update-recalled",
                });
                let because =
                    (!why.is_empty()).then(|| self.with("recalled-because", &[("reason", why)]));
                let besides = besides.as_ref().map(|reason| self.no_update(reason));
                let sentences: Vec<_> =
                    std::iter::once(text).chain(because).chain(besides).collect();
                return self.paragraph(&sentences.iter().map(String::as_str).collect::<Vec<_>>());
            }
            NoUpdate::Newest => "no-update-newest",
            NoUpdate::Skipped => "no-update-skipped",
            NoUpdate::FailedHere => "no-update-failed-here",
            NoUpdate::Pinned => "no-update-pinned",
            NoUpdate::NotYet => "no-update-not-yet",
            NoUpdate::NothingPublished => "no-update-nothing",
            NoUpdate::Installed => "no-update-installed",
            NoUpdate::OnlyWhole => "no-update-only-whole",
        })
    }

    /// Why an offer is more than one: the version in use is recalled, or the release is mandatory.
    /// With dates of the time zone.
    pub fn obligation(&self, offer: &Offer, zone: &jiff::tz::TimeZone) -> Option<String> {
        if let Some(recalled) = &offer.recalled {
            let reason = (!recalled.reason.is_empty())
                .then(|| self.with("recalled-because", &[("reason", &recalled.reason)]));
            let files = recalled.files_of.map(|files_of| {
                self.with("recalled-files", &[("date", &self.moment(files_of, zone))])
            });
            let text = self.with("recalled", &[("version", &recalled.version.to_string())]);
            let sentences: Vec<String> = std::iter::once(text).chain(reason).chain(files).collect();
            return Some(self.paragraph(&sentences.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        let binds = offer.signed.release.mandatory && offer.current.is_some();
        binds.then(|| self.get("mandatory"))
    }

    /// An incident in a sentence or two, with dates of the time zone.
    pub fn incident(&self, what: &Incident, zone: &jiff::tz::TimeZone) -> String {
        match what {
            Incident::RolledBack { from, to, holds_files, .. } => {
                let text = if *holds_files {
                    "incident-rolled-back"
                } else {
                    "incident-rolled-back-plain"
                };
                self.with(text, &[("from", &from.to_string()), ("to", &to.to_string())])
            }
            Incident::Recalled { from, to, files_of, retained, holds_files } => {
                let text = match holds_files {
                    true => "incident-recalled",
                    false => "incident-recalled-plain",
                };
                let (from, to) = (from.to_string(), to.to_string());
                let (date, path) = (self.moment(*files_of, zone), retained.display().to_string());
                self.with(text, &[("from", &from), ("to", &to), ("date", &date), ("path", &path)])
            }
            Incident::Withdrawn { version } => {
                self.with("incident-withdrawn", &[("version", &version.to_string())])
            }
            Incident::NotSwitched { to, .. } => {
                self.with("incident-not-switched", &[("version", &to.to_string())])
            }
            Incident::Conflicts { version, files } => {
                let count = u64::try_from(files.len()).unwrap_or(u64::MAX);
                self.count("incident-conflicts", count, &[("version", &version.to_string())])
            }
            Incident::Unreadable { version, path, .. } => {
                let path = path.display().to_string();
                let of = [("version", version.to_string()), ("path", path)];
                self.with(
                    "incident-unreadable",
                    &of.each_ref().map(|(name, value)| (*name, value.as_str())),
                )
            }
            Incident::HookFailed { version, .. } => {
                self.with("incident-hook-failed", &[("version", &version.to_string())])
            }
            Incident::Repaired { version, stand_in: None } => {
                self.with("incident-repaired", &[("version", &version.to_string())])
            }
            Incident::Repaired { version, stand_in: Some(stand_in) } => {
                self.about_stand_in("incident-repaired-later", version, stand_in, zone)
            }
            Incident::NotRepaired { version, stand_in: None } => {
                self.with("incident-not-repaired", &[("version", &version.to_string())])
            }
            Incident::NotRepaired { version, stand_in: Some(stand_in) } => {
                self.about_stand_in("incident-not-repaired-so", version, stand_in, zone)
            }
            Incident::LeftAlone { version } => {
                self.with("incident-left-alone", &[("version", &version.to_string())])
            }
            Incident::SetAside { bytes } => {
                self.with("incident-set-aside", &[("size", &self.size(*bytes))])
            }
            Incident::WorkedInStandIn { version, worked_in, retained } => {
                let [version, worked_in] = [version, worked_in].map(ToString::to_string);
                let path = retained.display().to_string();
                let of = [("version", &version), ("worked", &worked_in), ("path", &path)];
                self.with("incident-worked-in", &of.map(|(name, value)| (name, value.as_str())))
            }
        }
    }

    /// A region; a region without a text in the catalogue is shown as it is.
    pub fn region(&self, region: &str) -> String {
        match region {
            "Asia-Pacific" => self.get("region-asia-pacific"),
            "Europe" => self.get("region-europe"),
            "Americas" => self.get("region-americas"),
            "Global" => self.get("region-global"),
            PEER_REGION => self.get("region-peer"),
            other => other.to_owned(),
        }
    }

    /// A node's name; a peer's name stands in a text of the catalogue that marks it as a peer.
    pub fn node(&self, name: &str, is_peer: bool) -> String {
        if is_peer { self.with("node-peer", &[("name", name)]) } else { name.to_owned() }
    }

    /// A number, in groups of three digits: `1,532`.
    pub fn number(&self, number: u64) -> String {
        grouped(number)
    }

    /// Bytes, in units of a thousand as shops and network providers count: `812 B`, `5.4 KB`, `82.6
    /// MB`.
    pub fn size(&self, bytes: u64) -> String {
        size(bytes)
    }

    /// Bytes a second: `5.2 MB/s`. Anything that is not a positive number counts as nothing.
    pub fn speed(&self, bytes_per_second: f64) -> String {
        self.with("progress-speed", &[("speed", &size(whole(bytes_per_second)))])
    }

    /// A duration: `12 seconds`, `1 min 20 s`, `2 h 5 min`.
    pub fn duration(&self, seconds: u64) -> String {
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let (name, numbers) = match (hours, minutes) {
            (0, 0) => ("duration-seconds", [("seconds", rest), ("minutes", 0)]),
            (0, _) => ("duration-minutes", [("minutes", minutes), ("seconds", rest)]),
            _ => ("duration-hours", [("hours", hours), ("minutes", minutes)]),
        };
        let arguments: FluentArgs<'_> =
            numbers.map(|(name, number)| (name, FluentValue::from(number))).into_iter().collect();
        self.format(name, None, &arguments)
    }

    /// A rough duration: beyond a minute in whole minutes or steps of ten seconds, since an
    /// estimate is no more exact.
    pub fn about(&self, seconds: u64) -> String {
        let rounded = match seconds {
            0..60 => seconds.max(1),
            60..600 => seconds.next_multiple_of(10),
            _ => seconds.next_multiple_of(60),
        };
        self.with("about", &[("duration", &self.duration(rounded))])
    }

    /// The day of a moment in a time zone.
    pub fn date(&self, moment: jiff::Timestamp, zone: &jiff::tz::TimeZone) -> String {
        self.day(moment.to_zoned(zone.clone()).date())
    }

    fn day(&self, day: jiff::civil::Date) -> String {
        let name = day.strftime("%B").to_string();
        self.with(
            "date",
            &[
                ("year", &day.year().to_string()),
                ("month", &day.month().to_string()),
                ("monthname", &name),
                ("day", &day.day().to_string()),
            ],
        )
    }

    fn format(&self, name: &str, attribute: Option<&str>, arguments: &FluentArgs<'_>) -> String {
        let pattern = self.bundle.get_message(name).and_then(|message| {
            let named = |name: &str| message.get_attribute(name).map(|found| found.value());
            let typed = || {
                named(&attribute.map_or(IN_TERMINAL.to_owned(), |attribute| {
                    format!("{attribute}-{IN_TERMINAL}")
                }))
            };
            let typed = self.is_for_terminal.then(typed).flatten();
            typed.or_else(|| attribute.map_or(message.value(), named))
        });
        let mut all = FluentArgs::new();
        all.set("app", self.app.clone().unwrap_or_else(|| self.language.any_app().to_owned()));
        for (name, value) in arguments.iter() {
            all.set(name, value.clone());
        }
        // The text shows a missing argument by its name, and the catalogue's test finds it.
        pattern.map_or_else(
            || name.to_owned(),
            |pattern| self.bundle.format_pattern(pattern, Some(&all), &mut Vec::new()).into_owned(),
        )
    }
}

/// The attribute of a message, and the ending of an attribute's name, for a terminal.
const IN_TERMINAL: &str = "in-terminal";

/// The message for a kind of problem; `.why` and `.next` are its attributes.
const fn problem_name(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::NoNetwork => "problem-no-network",
        ProblemKind::NodesUnusable => "problem-nodes-unusable",
        ProblemKind::NotTrusted => "problem-not-trusted",
        ProblemKind::MetadataExpired => "problem-metadata-expired",
        ProblemKind::DiskFull => "problem-disk-full",
        ProblemKind::DiskError => "problem-disk-error",
        ProblemKind::FileSizeLimit => "problem-file-size-limit",
        ProblemKind::FileMissing => "problem-file-missing",
        ProblemKind::AnotherDisk => "problem-another-disk",
        ProblemKind::Exhausted => "problem-exhausted",
        ProblemKind::Busy => "problem-busy",
        ProblemKind::BadPackage => "problem-bad-package",
        ProblemKind::NoSuchVersion => "problem-no-such-version",
        ProblemKind::NotInstalled => "problem-not-installed",
        ProblemKind::VersionInUse => "problem-version-in-use",
        ProblemKind::DataTooNew => "problem-data-too-new",
        ProblemKind::MigrationFailed => "problem-migration-failed",
        ProblemKind::NoRollbackPoint => "problem-no-rollback-point",
        ProblemKind::AppRunning => "problem-app-running",
        ProblemKind::OpenTwice => "problem-open-twice",
        ProblemKind::LaunchFailed => "problem-launch-failed",
        ProblemKind::DidNotStart => "problem-did-not-start",
        ProblemKind::EndedWithError => "problem-ended-with-error",
        ProblemKind::ProgramsForbidden => "problem-programs-forbidden",
        ProblemKind::NothingInstalled => "problem-nothing-installed",
        ProblemKind::HomeOfAnotherProgram => "problem-home-of-another-program",
        ProblemKind::AppOfAnotherPublisher => "problem-app-of-another-publisher",
        ProblemKind::NothingForThis => "problem-nothing-for-this",
        ProblemKind::BadSettings => "problem-bad-settings",
        ProblemKind::LauncherTooOld => "problem-launcher-too-old",
        ProblemKind::BundleDamaged => "problem-bundle-damaged",
        ProblemKind::BundleIsPackage => "problem-bundle-is-package",
        ProblemKind::BundleNotTrusted => "problem-bundle-not-trusted",
        ProblemKind::BundleExpired => "problem-bundle-expired",
        ProblemKind::BundleUnsuitable => "problem-bundle-unsuitable",
        ProblemKind::BundleWithdrawn => "problem-bundle-withdrawn",
        ProblemKind::BundleUndecided => "problem-bundle-undecided",
        ProblemKind::BundleTooFar => "problem-bundle-too-far",
        ProblemKind::Internal => "problem-internal",
    }
}

const fn fault_name(fault: FaultKind) -> &'static str {
    match fault {
        FaultKind::Unreachable => "fault-unreachable",
        FaultKind::Refused => "fault-refused",
        FaultKind::Stalled => "fault-stalled",
        FaultKind::Truncated => "fault-truncated",
        FaultKind::WrongBytes => "fault-wrong-bytes",
        FaultKind::IgnoredRange => "fault-ignored-range",
        FaultKind::DifferentFile => "fault-different-file",
    }
}

/// A speed as whole bytes; the cast saturates, and turns a value that is not a number into 0.
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// Groups of three digits; both languages put a comma between them.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits, so that a running figure keeps its width.
fn size(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = 0;
    const UNITS: [&str; 5] = ["B", "KB", "MB", "GB", "TB"];
    // Without this 999.5 would be written as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = usize::from(value < 99.95) + usize::from(value < 9.995 && unit > 2);
    format!("{value:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests;
