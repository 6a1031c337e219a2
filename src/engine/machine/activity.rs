//! What the machine is doing, each with all that belongs to it, so that nothing can be paused,
//! cancelled or tried again that is not there.
//!
//! In: what the machine decides. Out: the [`Phase`] that everybody else sees. Never: a decision.

use std::path::PathBuf;

use crate::messages::protocol::{ClosingWait, FilesHeld, NoUpdate, Phase, Problem, Repaired};
use crate::model::{ContainerId, Offer, Version};

/// Why a check is made, and so what its failure means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CheckTrigger {
    /// The schedule: it fails quietly.
    Schedule,
    /// A person, who is told.
    Person,
    /// A person gave this bundle, and is told also where the app waits to be started.
    Bundle(PathBuf),
}

/// What follows a check that finds a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterCheck {
    /// A person is asked.
    Ask,
    /// It is fetched at once.
    Fetch,
}

/// What a release is fetched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It becomes the active version.
    Install,
    /// It is offered again, with nothing left to fetch.
    Prefetch,
}

/// How far the bytes of a release are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transfer {
    Running,
    Paused,
    /// Somebody cancelled, after a pause or without; until the download has ended nothing else
    /// steers it.
    Cancelled {
        paused: bool,
    },
    /// All are there.
    Complete,
}

/// What an app is closed for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AfterClosing {
    Restart { switch_to: Option<ContainerId> },
    RollBack { to: Option<ContainerId> },
}

/// A version that was chosen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) id: ContainerId,
    /// The release, if the running app could take it over.
    pub(super) swap: Option<Box<Offer>>,
}

/// What "try again" does.
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

/// What the machine is doing.
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
    /// A release is fetched and put together.
    Fetching {
        offer: Box<Offer>,
        purpose: Purpose,
        transfer: Transfer,
    },
    /// A release that was fetched is being chosen.
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
        /// Where the machine goes back to if the app goes on.
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
    Repaired(Box<Repaired>),
    Failed {
        problem: Problem,
        retry: Retry,
    },
    /// Stopped by a person; the offer that was fetched still stands.
    Cancelled {
        offer: Option<Box<Offer>>,
    },
}

impl Activity {
    /// What everybody else sees of it.
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
                    AfterClosing::Restart { switch_to } => (switch_to, false),
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
            Self::Repaired(repaired) => Phase::Repaired(repaired),
            Self::Failed { problem, .. } => Phase::Failed { problem },
            Self::Cancelled { .. } => Phase::Cancelled,
        }
    }

    /// Whether nothing is under way that a new check or a switch would disturb.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase().is_at_rest()
    }

    /// Whether work is under way whose own end is waited for: what else ends meanwhile, a switch or
    /// a start that was begun before, does not take its place.
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
