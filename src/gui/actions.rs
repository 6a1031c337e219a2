//! The buttons of a screen: which of them make sense in a state, which command each stands for, and
//! what closing the window means.
//!
//! In: a [`ViewState`]. Out: [`Actions`], and the commands and texts of each [`Action`]. Never: a
//! decision about updates, a clock or I/O.

use super::view_state::ViewState;
use crate::messages::protocol::{ClosingWait, Command, NoUpdate, Phase, ProblemKind};

/// What a button stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin the update.
    Start,
    /// Begin the first installation.
    Install,
    /// Go on with a first installation that was cancelled.
    GoOn,
    /// Not now.
    Later,
    /// Never this version.
    Skip,
    /// What was skipped after all.
    OfferSkipped,
    /// Pause the download.
    Pause,
    /// Go on.
    Resume,
    /// Stop the download.
    Cancel,
    /// End the running app and start the new version.
    RestartNow,
    /// Start the new version; none is running.
    StartNow,
    /// The new version starts the next time.
    RestartLater,
    /// The app that is closing goes on; the new version starts the next time.
    KeepRunning,
    /// The app that is closing goes on, and nothing is gone back to.
    NotBack,
    /// End the app that is closing by force; asked a second time.
    EndApp,
    /// Stay at the version that was gone back to.
    StayHere,
    /// Try again what failed.
    Retry,
    /// Look at the installed versions.
    Versions,
    /// Look for a release.
    Check,
    /// Choose a bundle to install from.
    InstallFile,
    /// Install from a bundle although it is old.
    AcceptExpired,
    /// Close the window.
    Close,
    /// What was told has been read; close the window.
    Ok,
}

/// The buttons of a screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// What most people want; Enter presses it.
    pub primary: Option<Action>,
    /// The other choice.
    pub secondary: Option<Action>,
    /// Set apart and quiet.
    pub quiet: Option<Action>,
}

impl Action {
    /// The command it stands for; `None` if it concerns only the window.
    pub const fn command(self) -> Option<Command> {
        Some(match self {
            Self::Start | Self::Install | Self::GoOn => Command::Start,
            Self::Later => Command::Later,
            Self::Skip => Command::Skip,
            Self::OfferSkipped => Command::OfferSkipped,
            Self::Pause => Command::Pause,
            Self::Resume => Command::Resume,
            Self::Cancel => Command::Cancel,
            Self::RestartNow | Self::StartNow => Command::RestartNow,
            Self::RestartLater | Self::KeepRunning | Self::NotBack => Command::RestartLater,
            Self::Retry => Command::Retry,
            Self::Check => Command::Check { by_user: true },
            Self::AcceptExpired => Command::AcceptExpired,
            Self::InstallFile
            | Self::Versions
            | Self::Close
            | Self::Ok
            | Self::EndApp
            | Self::StayHere => return None,
        })
    }

    /// Whether the window closes with it.
    pub const fn closes(self) -> bool {
        matches!(
            self,
            Self::Later
                | Self::Skip
                | Self::RestartLater
                | Self::KeepRunning
                | Self::NotBack
                | Self::StayHere
                | Self::Close
                | Self::Ok
        )
    }

    /// The name of its text in the catalogue.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Start => "action-start",
            Self::Install => "action-install",
            Self::GoOn => "action-go-on",
            Self::Later => "action-later",
            Self::Skip => "action-skip",
            Self::OfferSkipped => "action-offer-skipped",
            Self::Pause => "action-pause",
            Self::Resume => "action-resume",
            Self::Cancel => "action-cancel",
            Self::RestartNow => "action-restart-now",
            Self::StartNow => "action-start-now",
            Self::RestartLater => "action-restart-later",
            Self::KeepRunning => "action-keep-running",
            Self::NotBack => "action-not-back",
            Self::EndApp => "action-end-app",
            Self::StayHere => "action-pin",
            Self::Retry => "action-retry",
            Self::Versions => "action-versions",
            Self::Check => "action-check",
            Self::InstallFile => "action-install-file",
            Self::AcceptExpired => "action-accept-expired",
            Self::Close => "action-close",
            Self::Ok => "action-ok",
        }
    }
}

impl ViewState {
    /// Which buttons make sense.
    pub fn actions(&self) -> Actions {
        let actions = |primary, secondary, quiet| Actions { primary, secondary, quiet };
        match &self.phase {
            Phase::Idle if self.reports() => actions(Some(Action::Ok), None, None),
            Phase::Idle if self.starts => Actions::default(),
            Phase::Idle => actions(Some(Action::Check), Some(Action::Close), None),
            Phase::Checking => actions(None, Some(Action::Close), None),
            Phase::UpToDate { reason: NoUpdate::Skipped, .. } => {
                actions(Some(Action::Close), Some(Action::OfferSkipped), None)
            }
            Phase::UpToDate { .. } => actions(Some(Action::Close), Some(Action::Check), None),
            Phase::Offered { offer } if offer.file.is_some() => {
                actions(Some(Action::Install), Some(Action::Later), None)
            }
            Phase::Offered { offer } if offer.current.is_none() => {
                actions(Some(Action::Install), Some(Action::Close), None)
            }
            Phase::Offered { offer } if offer.signed.release.mandatory => {
                actions(Some(Action::Start), Some(Action::Later), None)
            }
            Phase::Offered { .. } => {
                actions(Some(Action::Start), Some(Action::Later), Some(Action::Skip))
            }
            Phase::Downloading { .. } => actions(None, Some(Action::Pause), Some(Action::Cancel)),
            Phase::Paused { .. } => actions(Some(Action::Resume), None, Some(Action::Cancel)),
            Phase::Launched { .. } if self.incidents.is_empty() => Actions::default(),
            Phase::Installing { .. }
            | Phase::Swapping { .. }
            | Phase::Switching { .. }
            | Phase::RollingBack => Actions::default(),
            Phase::Closing { back, wait, .. } => {
                let stay = if *back { Action::NotBack } else { Action::KeepRunning };
                actions(None, Some(stay), (*wait != ClosingWait::App).then_some(Action::EndApp))
            }
            Phase::RolledBack { .. } => actions(Some(Action::Close), Some(Action::StayHere), None),
            Phase::Swapped { .. } | Phase::Launched { .. } => {
                actions(Some(Action::Close), None, None)
            }
            Phase::Ready { running: true, .. } if self.elsewhere => {
                actions(Some(Action::Close), None, None)
            }
            Phase::Ready { running: true, .. } => {
                actions(Some(Action::RestartNow), Some(Action::RestartLater), None)
            }
            Phase::Ready { running: false, .. } => {
                actions(Some(Action::StartNow), Some(Action::RestartLater), None)
            }
            Phase::Failed { .. } if self.is_alone() => actions(Some(Action::Close), None, None),
            Phase::Failed { problem } if problem.kind == ProblemKind::DidNotStart => {
                actions(Some(Action::Retry), Some(Action::Versions), Some(Action::Close))
            }
            Phase::Failed { problem } if problem.kind == ProblemKind::BundleExpired => {
                actions(Some(Action::Close), Some(Action::InstallFile), Some(Action::AcceptExpired))
            }
            Phase::Failed { problem } if wants_another_file(problem.kind) => {
                actions(Some(Action::InstallFile), Some(Action::Close), None)
            }
            Phase::Failed { problem } if wants_network(problem.kind) => {
                actions(Some(Action::Retry), Some(Action::Close), Some(Action::InstallFile))
            }
            Phase::Failed { problem } if !worth_retrying(problem.kind) => {
                actions(Some(Action::Close), None, None)
            }
            Phase::Failed { .. } => actions(Some(Action::Retry), Some(Action::Close), None),
            Phase::Repairing { .. } => actions(None, None, Some(Action::Cancel)),
            Phase::Repaired(_) => actions(Some(Action::Close), None, None),
            Phase::Cancelled if self.first_install() && self.was_offered() => {
                actions(Some(Action::GoOn), Some(Action::Close), None)
            }
            Phase::Cancelled => actions(Some(Action::Check), Some(Action::Close), None),
        }
    }

    /// What closing the window means on this screen, by Escape or by the window's own button: the
    /// answer "not now" where a question is open. `None` where Escape must not do anything, since
    /// work is under way.
    pub fn dismissal(&self) -> Option<Action> {
        let actions = self.actions();
        let answers = [actions.secondary, actions.primary].into_iter().flatten();
        answers.into_iter().find(|action| action.closes() && *action != Action::StayHere)
    }
}

/// Whether trying again can help without anyone changing a file or a program first.
const fn worth_retrying(kind: ProblemKind) -> bool {
    !matches!(
        kind,
        ProblemKind::BadSettings
            | ProblemKind::LauncherTooOld
            | ProblemKind::NoSuchVersion
            | ProblemKind::NotInstalled
    )
}

/// Whether another file is what helps.
const fn wants_another_file(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::BundleDamaged
            | ProblemKind::BundleIsPackage
            | ProblemKind::BundleNotTrusted
            | ProblemKind::BundleUnsuitable
            | ProblemKind::BundleWithdrawn
            | ProblemKind::BundleTooFar
    )
}

/// Whether a file would be a way without a network.
const fn wants_network(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::NoNetwork | ProblemKind::NodesUnusable | ProblemKind::NothingInstalled
    )
}
