//! The headline of the update page: what the current phase is called, what is said below that, and
//! the mark at the app's icon.
//!
//! In: the view state. Out: words and a mark. Never: draws.

use std::fmt::Display;

use super::offer;
use super::state::{Dialog, Headline};
use crate::gui::widgets::Mark;
use crate::gui::{repaired_subtitle, repaired_title};
use crate::messages::protocol::{
    ClosingWait, FilesHeld, NoUpdate, Phase, Problem, ProblemKind, Repaired,
};
use crate::model::Version;

impl Dialog {
    /// The headline of the current phase: a table.
    pub(super) fn headline(&self) -> Headline {
        match &self.view.phase {
            _ if self.view.asks_about_shortcuts() => self.old_shortcuts_headline(),
            Phase::Idle => self.idle_headline(),
            Phase::Checking if self.view.file_given => {
                self.plain_headline("checking-file-title", "checking-file-subtitle", None)
            }
            Phase::Checking => self.plain_headline("checking-title", "checking-subtitle", None),
            Phase::UpToDate { reason, current } => {
                self.up_to_date_headline(reason, current.as_ref())
            }
            Phase::Offered { offer } => offer::headline(&self.texts, offer),
            Phase::Downloading { version } => {
                let first = self.view.first_install();
                let subtitle =
                    if first { "downloading-subtitle-first" } else { "downloading-subtitle" };
                self.version_headline("downloading-title", version, subtitle, None)
            }
            Phase::Paused { .. } => {
                self.plain_headline("paused-title", "paused-subtitle", Some(Mark::Paused))
            }
            Phase::Installing { version } => self.installing_headline(version),
            Phase::Ready { version, running } => self.ready_headline(version, *running),
            Phase::Swapping { version } => {
                self.version_headline("swapping-title", version, "swapping-subtitle", None)
            }
            Phase::Swapped { version, .. } => {
                let mark = Some(Mark::Done);
                self.version_headline("swapped-title", version, "swapped-subtitle", mark)
            }
            Phase::Closing { wait, .. } => self.closing_headline(*wait),
            Phase::Switching { version } => {
                let starts = self.view.starts;
                let subtitle =
                    if starts { "switching-subtitle-start" } else { "switching-subtitle" };
                self.version_headline("switching-title", version, subtitle, None)
            }
            Phase::Launched { version } => {
                let finished = self.view.finished();
                let subtitle =
                    if finished { "launched-subtitle" } else { "launched-subtitle-notice" };
                self.version_headline("launched-title", version, subtitle, Some(Mark::Done))
            }
            Phase::RollingBack => {
                let subtitle = if self.view.holds_any_files() {
                    "rolling-back-subtitle"
                } else {
                    "rolling-back-subtitle-plain"
                };
                self.plain_headline("rolling-back-title", subtitle, None)
            }
            Phase::RolledBack { from, to, files, .. } => {
                self.rolled_back_headline(from, to, *files)
            }
            Phase::Failed { problem } => self.failed_headline(problem),
            Phase::Repairing { version } => {
                self.version_headline("repairing-title", version, "repairing-subtitle", None)
            }
            Phase::Repaired(repaired) => self.repaired_headline(repaired),
            Phase::Cancelled => {
                let first = self.view.first_install();
                let title = if first { "cancelled-title-first" } else { "cancelled-title" };
                self.plain_headline(title, "cancelled-subtitle", Some(Mark::Paused))
            }
        }
    }

    fn idle_headline(&self) -> Headline {
        if self.view.reports() {
            self.incidents_headline()
        } else if self.view.starts {
            self.plain_headline("starting-title", "starting-subtitle", None)
        } else {
            self.plain_headline("idle-title", "idle-subtitle", None)
        }
    }

    fn up_to_date_headline(&self, reason: &NoUpdate, current: Option<&Version>) -> Headline {
        let Some(current) = current else {
            let mark = Some(Mark::Note);
            return self.plain_headline("nothing-title", "current-subtitle-none", mark);
        };
        // The title says "newest" only if no newer release exists.
        let newest = matches!(reason, NoUpdate::Newest | NoUpdate::Installed);
        let (title, mark) =
            if newest { ("current-title", Mark::Done) } else { ("no-update-title", Mark::Note) };
        (self.versioned(title, current), self.versioned("current-subtitle", current), Some(mark))
    }

    fn installing_headline(&self, version: &Version) -> Headline {
        let subtitle = match (self.view.incremental, self.view.from_file) {
            (true, _) => "installing-subtitle-incremental",
            (false, true) => "installing-subtitle-file",
            (false, false) => "installing-subtitle",
        };
        self.version_headline("installing-title", version, subtitle, None)
    }

    fn ready_headline(&self, version: &Version, running: bool) -> Headline {
        let subtitle = match (running, self.view.elsewhere) {
            (true, true) => "ready-subtitle-elsewhere",
            (true, false) => "ready-subtitle-running",
            (false, _) => "ready-subtitle-stopped",
        };
        let title = self.versioned("ready-title", version);
        (title, self.versioned(subtitle, version), Some(Mark::Done))
    }

    fn closing_headline(&self, wait: ClosingWait) -> Headline {
        let (title, subtitle, mark) = match wait {
            ClosingWait::App => ("closing-title", "closing-subtitle", None),
            ClosingWait::Person => {
                ("closing-title-person", "closing-subtitle-person", Some(Mark::Paused))
            }
            ClosingWait::Unreachable => {
                ("closing-title-unreachable", "closing-subtitle-unreachable", Some(Mark::Paused))
            }
        };
        self.plain_headline(title, subtitle, mark)
    }

    fn rolled_back_headline(&self, from: &Version, to: &Version, files: FilesHeld) -> Headline {
        let subtitle = if files.any() {
            self.texts.get("rolled-back-subtitle")
        } else {
            self.versioned("rolled-back-subtitle-plain", from)
        };
        (self.versioned("rolled-back-title", to), subtitle, Some(Mark::Done))
    }

    fn failed_headline(&self, problem: &Problem) -> Headline {
        let (title, subtitle) = match problem.kind {
            ProblemKind::DidNotStart => {
                return self.app_end_headline(problem, "failed-subtitle-did-not-start");
            }
            ProblemKind::EndedWithError => {
                return self.app_end_headline(problem, "failed-subtitle-ended-with-error");
            }
            kind if is_no_start(kind) => ("failed-title-start", "failed-subtitle-launch"),
            kind if is_no_update(kind) => ("failed-title-other", "failed-subtitle-start"),
            _ if self.view.is_alone() => ("failed-title-start", "failed-subtitle-start"),
            kind if self.view.first_install() && kind.is_of_the_network() => {
                ("failed-title-first", "failed-subtitle-tries-again")
            }
            kind if self.view.first_install() || kind == ProblemKind::NothingInstalled => {
                ("failed-title-first", "failed-subtitle")
            }
            _ => ("failed-title", "failed-subtitle-safe"),
        };
        self.plain_headline(title, subtitle, Some(Mark::Failed))
    }

    /// The headline of an app that ended: its title is the problem itself.
    fn app_end_headline(&self, problem: &Problem, subtitle: &str) -> Headline {
        let title = self.texts.problem(problem)[0].clone();
        (title, self.texts.get(subtitle), Some(Mark::Failed))
    }

    fn repaired_headline(&self, repaired: &Repaired) -> Headline {
        let mark = if repaired.left.is_empty() { Mark::Done } else { Mark::Failed };
        let title = self.versioned(repaired_title(repaired), &repaired.version);
        (title, repaired_subtitle(&self.texts, repaired), Some(mark))
    }

    /// A headline that names no version.
    fn plain_headline(&self, title: &str, subtitle: &str, mark: Option<Mark>) -> Headline {
        (self.texts.get(title), self.texts.get(subtitle), mark)
    }

    /// A headline whose title names `version`.
    fn version_headline(
        &self,
        title: &str,
        version: &Version,
        subtitle: &str,
        mark: Option<Mark>,
    ) -> Headline {
        (self.versioned(title, version), self.texts.get(subtitle), mark)
    }

    /// The text `name`, which names `version`.
    fn versioned(&self, name: &str, version: &dyn Display) -> String {
        self.texts.with(name, &[("version", &version.to_string())])
    }
}

/// Whether the failed step is the start of an installed version.
const fn is_no_start(kind: ProblemKind) -> bool {
    matches!(kind, ProblemKind::LaunchFailed | ProblemKind::ProgramsForbidden)
}

/// Whether the failed step is a choice among the installed versions, and not an update.
const fn is_no_update(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::NoRollbackPoint
            | ProblemKind::DataTooNew
            | ProblemKind::VersionInUse
            | ProblemKind::NoSuchVersion
            | ProblemKind::NotInstalled
            | ProblemKind::AppRunning
            | ProblemKind::OpenTwice
    )
}
