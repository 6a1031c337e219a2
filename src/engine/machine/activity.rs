//! What the machine is doing, with all its data.
//!
//! In: what the machine decides. Out: the [`Phase`] that everybody else sees. Never: decides.

use std::path::PathBuf;

use crate::messages::language::SwitchTo;
use crate::messages::protocol::{
    CheckTrigger, ClosingWait, FilesHeld, NoUpdate, Phase, Problem, Repaired,
};
use crate::model::{ContainerId, Offer, Version};

/// What follows a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AfterCheck {
    /// A person decides.
    Ask,
    /// The release is fetched at once.
    Fetch,
    /// Whatever comes of it, this bundle is read: a person opened it meanwhile.
    Open(PathBuf),
}

/// Why a release is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The release becomes the active version.
    Install,
    /// The release is offered again, with nothing left to fetch.
    Prefetch,
}

/// State of the download of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    Running,
    Paused,
    /// Somebody cancelled, perhaps after a pause. Until the download has ended no other command
    /// steers it.
    Cancelled {
        paused: bool,
    },
    /// All bytes have arrived.
    Complete,
}

/// Why the app is closed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AfterClosing {
    Restart { switch_to: Option<SwitchTo> },
    RollBack { to: Option<ContainerId> },
}

/// A version chosen for the next start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) to: SwitchTo,
    /// The release, if the running app could load it by a hot swap.
    pub(super) swap: Option<Box<Offer>>,
}

/// What "try again" repeats.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Retry {
    Check,
    CheckBundle(PathBuf),
    Update(Box<Offer>),
    Choose(Choice),
    RollBack(Option<ContainerId>),
    Repair(ContainerId),
    Restart,
}

/// What the machine is doing, with all its data.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Activity {
    Idle,
    Checking {
        trigger: CheckTrigger,
        then: AfterCheck,
    },
    UpToDate {
        reason: NoUpdate,
        current: Option<Version>,
    },
    Offered {
        offer: Box<Offer>,
    },
    /// The driver fetches a release and puts it together.
    Fetching {
        offer: Box<Offer>,
        purpose: Purpose,
        transfer: Transfer,
    },
    /// The fetched release is becoming the version of the next start.
    Choosing {
        version: Version,
    },
    Ready {
        version: Version,
        running: bool,
    },
    Swapping {
        version: Version,
    },
    Swapped {
        version: Version,
        modules: Vec<String>,
    },
    Closing {
        after: AfterClosing,
        wait: ClosingWait,
        /// The activity to which the machine returns if the app goes on.
        before: Box<Activity>,
    },
    Switching {
        version: Version,
    },
    RollingBack {
        to: Option<ContainerId>,
    },
    RolledBack {
        from: Version,
        to: Version,
        retained: PathBuf,
        files: FilesHeld,
    },
    Launched {
        version: Version,
    },
    Repairing {
        id: ContainerId,
        cancelled: bool,
    },
    Repaired {
        id: ContainerId,
        repaired: Box<Repaired>,
    },
    Failed {
        problem: Problem,
        retry: Retry,
    },
    /// Stopped by a person; the offer is still valid.
    Cancelled {
        offer: Option<Box<Offer>>,
    },
}

impl Activity {
    /// The phase that everybody else sees.
    pub(super) fn phase(&self) -> Phase {
        match self.clone() {
            Self::Idle => Phase::Idle,
            Self::Checking { .. } => Phase::Checking,
            Self::UpToDate { reason, current } => Phase::UpToDate { reason, current },
            Self::Offered { offer } => Phase::Offered { offer },
            Self::Fetching { offer, transfer, .. } => {
                let version = offer.version().clone();
                match transfer {
                    Transfer::Running | Transfer::Cancelled { paused: false } => {
                        Phase::Downloading { version }
                    }
                    Transfer::Paused | Transfer::Cancelled { paused: true } => {
                        Phase::Paused { version }
                    }
                    Transfer::Complete => Phase::Installing { version },
                }
            }
            Self::Choosing { version } => Phase::Installing { version },
            Self::Ready { version, running } => Phase::Ready { version, running },
            Self::Swapping { version } => Phase::Swapping { version },
            Self::Swapped { version, modules } => Phase::Swapped { version, modules },
            Self::Closing { after, wait, .. } => {
                let (id, back) = match after {
                    AfterClosing::Restart { switch_to } => (switch_to.map(|to| to.id), false),
                    AfterClosing::RollBack { to } => (to, true),
                };
                Phase::Closing { version: id.map(|id| id.version), back, wait }
            }
            Self::Switching { version } => Phase::Switching { version },
            Self::RollingBack { .. } => Phase::RollingBack,
            Self::RolledBack { from, to, retained, files } => {
                Phase::RolledBack { from, to, retained, files }
            }
            Self::Launched { version } => Phase::Launched { version },
            Self::Repairing { id, .. } => Phase::Repairing { version: id.version },
            Self::Repaired { repaired, .. } => Phase::Repaired(repaired),
            Self::Failed { problem, .. } => Phase::Failed { problem },
            Self::Cancelled { .. } => Phase::Cancelled,
        }
    }

    /// Whether nothing is under way that a new check or a switch would disturb.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase().is_at_rest()
    }

    /// Whether the machine waits for the end of its own work. A switch or start that was begun
    /// before may end meanwhile, and leaves the activity as it is.
    pub(super) const fn awaits_its_end(&self) -> bool {
        matches!(
            self,
            Self::Fetching { .. }
                | Self::Closing { .. }
                | Self::RollingBack { .. }
                | Self::Repairing { .. }
        )
    }
}
