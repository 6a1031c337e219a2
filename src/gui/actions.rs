//! The buttons of a screen: which of them make sense in a state, which command each sends, and what
//! closing the window means.
//!
//! In: a [`ViewState`]. Out: [`Actions`], and the command and text of each [`Action`]. Never: a
//! decision about updates, a clock or I/O.

use super::view_state::ViewState;
use crate::messages::protocol::{
    CheckTrigger, ClosingWait, Command, NoUpdate, Phase, Problem, ProblemKind, ShortcutChoice,
};
use crate::model::Offer;

/// What a button does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin the update.
    Start,
    /// Begin the first installation.
    Install,
    /// Continue a first installation that was cancelled.
    GoOn,
    /// Put the offer off.
    Later,
    /// Skip this version.
    Skip,
    /// Offer the skipped version after all.
    OfferSkipped,
    /// Go back to the newest version of the channel that the user has chosen.
    BackToChannel,
    /// Pause the download.
    Pause,
    /// Continue the download.
    Resume,
    /// Stop the download.
    Cancel,
    /// End the running app and start the new version.
    RestartNow,
    /// Start the new version; none is running.
    StartNow,
    /// Start the new version at the next start of the app.
    RestartLater,
    /// Leave the closing app running; the new version starts the next time.
    KeepRunning,
    /// Leave the closing app running and do not roll back.
    NotBack,
    /// End the closing app by force; the window asks a second time.
    EndApp,
    /// Stay at the version that was restored by the rollback.
    StayHere,
    /// Try the failed step again.
    Retry,
    /// Look at the installed versions.
    Versions,
    /// Look for a release.
    Check,
    /// Choose a bundle to install from.
    InstallFile,
    /// Install from a bundle although it is old.
    AcceptExpired,
    /// Let the shortcuts of an earlier installation give way.
    ReplaceShortcuts,
    /// Leave the shortcuts of an earlier installation as they are.
    LeaveShortcuts,
    /// Close the window.
    Close,
    /// Acknowledge the notices and close the window.
    Ok,
}

/// The buttons of a screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// The choice of most people; Enter presses it.
    pub primary: Option<Action>,
    /// The other choice.
    pub secondary: Option<Action>,
    /// Stands apart from the others, without emphasis.
    pub quiet: Option<Action>,
}

impl Action {
    /// The command that the action sends; `None` if it concerns only the window.
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
            Self::Check => Command::Check(CheckTrigger::Person),
            Self::AcceptExpired => Command::AcceptExpired,
            Self::ReplaceShortcuts => Command::OldShortcuts(ShortcutChoice::Replace),
            Self::LeaveShortcuts => Command::OldShortcuts(ShortcutChoice::Leave),
            Self::InstallFile
            | Self::BackToChannel
            | Self::Versions
            | Self::Close
            | Self::Ok
            | Self::EndApp
            | Self::StayHere => return None,
        })
    }

    /// Whether the action closes the window.
    pub const fn closes(self) -> bool {
        matches!(
            self,
            Self::Later
                | Self::Skip
                | Self::RestartLater
                | Self::KeepRunning
                | Self::NotBack
                | Self::StayHere
                | Self::LeaveShortcuts
                | Self::Close
                | Self::Ok
        )
    }

    /// The name of the action's text in the catalogue.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Start => "action-start",
            Self::Install => "action-install",
            Self::GoOn => "action-go-on",
            Self::Later => "action-later",
            Self::Skip => "action-skip",
            Self::OfferSkipped => "action-offer-skipped",
            Self::BackToChannel => "action-back-to-channel",
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
            Self::ReplaceShortcuts => "action-replace-shortcuts",
            Self::LeaveShortcuts => "action-leave-shortcuts",
            Self::Close => "action-close",
            Self::Ok => "action-ok",
        }
    }
}

impl ViewState {
    /// Which buttons make sense in this state.
    pub fn actions(&self) -> Actions {
        match &self.phase {
            _ if self.asks_about_shortcuts() => {
                actions(Some(Action::ReplaceShortcuts), Some(Action::LeaveShortcuts), None)
            }
            Phase::Idle if self.reports() => actions(Some(Action::Ok), None, None),
            Phase::Idle if self.starts => Actions::default(),
            Phase::Idle => actions(Some(Action::Check), Some(Action::Close), None),
            Phase::Checking => actions(None, Some(Action::Close), None),
            Phase::UpToDate { reason, .. } => {
                let other = match reason.of_newer() {
                    NoUpdate::Skipped => Action::OfferSkipped,
                    NoUpdate::AheadOfChannel { .. } => Action::BackToChannel,
                    _ => Action::Check,
                };
                actions(Some(Action::Close), Some(other), None)
            }
            Phase::Offered { offer } => offer_actions(offer),
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
            Phase::Failed { problem } => self.failure_actions(problem),
            Phase::Repairing { .. } => actions(None, None, Some(Action::Cancel)),
            Phase::Repaired(repaired) if !repaired.left.is_empty() => {
                actions(Some(Action::Retry), Some(Action::Close), None)
            }
            Phase::Repaired(_) => actions(Some(Action::Close), None, None),
            Phase::Cancelled if self.first_install() && self.was_offered() => {
                actions(Some(Action::GoOn), Some(Action::Close), None)
            }
            Phase::Cancelled => actions(Some(Action::Check), Some(Action::Close), None),
        }
    }

    fn failure_actions(&self, problem: &Problem) -> Actions {
        let close = Some(Action::Close);
        match problem.kind {
            _ if self.is_alone() => actions(close, None, None),
            kind if kind.is_the_apps_end() && self.has_other_versions() => {
                actions(Some(Action::Retry), Some(Action::Versions), close)
            }
            kind if kind.is_the_apps_end() => actions(Some(Action::Retry), close, None),
            ProblemKind::BundleExpired => {
                actions(close, Some(Action::InstallFile), Some(Action::AcceptExpired))
            }
            kind if wants_another_file(kind) => actions(Some(Action::InstallFile), close, None),
            // A bundle could replace the missing network.
            kind if kind.is_of_the_network() || kind == ProblemKind::NothingInstalled => {
                actions(Some(Action::Retry), close, Some(Action::InstallFile))
            }
            kind if !worth_retrying(kind) => actions(close, None, None),
            _ => actions(Some(Action::Retry), close, None),
        }
    }

    /// What closing the window means on this screen, by Escape or by the window's own button. Where
    /// a question is open it is the answer "not now". It is `None` while work is under way, where
    /// Escape must do nothing.
    pub fn dismissal(&self) -> Option<Action> {
        let actions = self.actions();
        let answers = [actions.secondary, actions.primary].into_iter().flatten();
        answers.into_iter().find(|action| action.closes() && *action != Action::StayHere)
    }
}

const fn actions(
    primary: Option<Action>,
    secondary: Option<Action>,
    quiet: Option<Action>,
) -> Actions {
    Actions { primary, secondary, quiet }
}

fn offer_actions(offer: &Offer) -> Actions {
    if offer.file.is_some() {
        actions(Some(Action::Install), Some(Action::Later), None)
    } else if offer.current.is_none() {
        actions(Some(Action::Install), Some(Action::Close), None)
    } else if offer.signed.release.mandatory {
        actions(Some(Action::Start), Some(Action::Later), None)
    } else {
        actions(Some(Action::Start), Some(Action::Later), Some(Action::Skip))
    }
}

/// Whether a retry can help without anyone changing a file or a program first.
const fn worth_retrying(kind: ProblemKind) -> bool {
    !matches!(
        kind,
        ProblemKind::BadSettings
            | ProblemKind::HomeOfAnotherProgram
            | ProblemKind::AppOfAnotherPublisher
            | ProblemKind::LauncherTooOld
            | ProblemKind::NoSuchVersion
            | ProblemKind::NotInstalled
            | ProblemKind::NoRollbackPoint
            | ProblemKind::DataTooNew
    )
}

/// Whether choosing another file helps.
const fn wants_another_file(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::BundleDamaged
            | ProblemKind::BundleIsPackage
            | ProblemKind::BundleNotTrusted
            | ProblemKind::BundleUnsuitable
            | ProblemKind::BundleWithdrawn
            | ProblemKind::BundleUndecided
            | ProblemKind::BundleTooFar
    )
}
