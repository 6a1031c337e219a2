//! The language between the engine and whoever drives it: [`Command`]s go in, [`Event`]s come out.
//!
//! Progress is a latest-value slot: a driver that is slow sees fewer of them, never older ones.
//! Everything else is a queue.

mod problem;
mod repaired;
mod versions;

use serde::Serialize;

pub use problem::{Problem, ProblemKind};
pub use repaired::{How, Mended, Repaired, Unmended};
pub use versions::{DiskUse, FilesHeld, FolderUse, InstalledVersion, RetainedFiles};

use crate::model::incident::Incident;
pub use crate::model::transfer::{FaultKind, NodeFault, NodeProgress, NodeState};
use crate::model::{ContainerId, Offer, Version};

/// What a person, a timer or a script asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look for a release now. A check that a person asked for fails loudly, a scheduled one
    /// quietly.
    Check {
        /// Whether a person asked.
        by_user: bool,
    },
    /// Look for this version, also an older one, and offer it.
    CheckVersion(Version),
    /// Look into this bundle, and offer the release in it.
    InstallFile(std::path::PathBuf),
    /// After a bundle was refused only since it is old: offer its release all the same.
    AcceptExpired,
    /// Fetch and install what is on offer.
    Start,
    /// Fetch and install what is on offer, but do not choose it: it is offered again, with nothing
    /// left to fetch.
    Prefetch,
    /// Fetch and install this version, also an older one.
    StartVersion(Version),
    /// Keep what is there and stop fetching.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Stop; what was verified stays on disk for the next time.
    Cancel,
    /// Do not show this offer until the next start.
    Later,
    /// Never show this version again.
    Skip,
    /// Skip no version any longer, and look for a release.
    OfferSkipped,
    /// Try again what failed.
    Retry,
    /// The app was started and came to nothing: shown, and begun again if somebody wants that.
    StartFailed(Box<Problem>),
    /// Make another installed version the active one.
    Switch(ContainerId),
    /// Go back to the user's files and the version as they were: of this version, or of the one
    /// before the active.
    RollBack(Option<ContainerId>),
    /// Stay at this version (mandatory releases come all the same); `None`: no longer.
    Pin(Option<Version>),
    /// Delete an installed version (never the active or the running one).
    Remove(ContainerId),
    /// Hold an installed version, whole or not, against its manifest, and mend what is bad.
    Repair(ContainerId),
    /// Delete the versions that are more than the settings want to keep.
    Prune,
    /// Tell what is installed.
    List,
    /// Tell how much room versions and kept files take on the disk.
    MeasureDisk,
    /// Share with computers nearby, or no longer; without effect where the publisher does not allow
    /// it.
    Share(bool),
    /// A person has seen this; it is not told again at the next start.
    Seen(Box<Incident>),
    /// After an update: end the running app, switch, start the new version.
    RestartNow,
    /// The app is about to end by itself and wants to be started anew, in the version that is
    /// active then.
    RestartWhenEnded,
    /// After an update: the new version starts the next time. While the app is closing: it goes on.
    RestartLater,
    /// While the app is closing: end it by force, whatever is lost.
    EndApp,
    /// Bytes per second at most; `None` for no limit.
    LimitBandwidth(Option<u64>),
    /// End the engine. A download is kept as at a pause.
    Quit,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Another phase has begun.
    Phase {
        /// Which.
        #[serde(flatten)]
        phase: Phase,
    },
    /// How far it is; the newest replaces all before it.
    Progress(Progress),
    /// A node misbehaved, in what way, and whether it was left.
    NodeFault(NodeFault),
    /// The installed versions changed, or were asked for.
    Installed {
        /// All of them, the newest first.
        versions: Vec<InstalledVersion>,
        /// The user's files that are kept of versions that were left, the newest first.
        #[serde(rename = "kept")]
        retained: Vec<RetainedFiles>,
    },
    /// Whether fetched and installed releases are shared with computers nearby. Told only where the
    /// publisher allows it.
    Sharing {
        /// As the user wants it.
        on: bool,
    },
    /// How much room the installation takes on the disk.
    DiskUse(DiskUse),
    /// Something happened to the app or to its files that a person should know.
    #[serde(rename = "happened")]
    Incident {
        /// When.
        when: jiff::Timestamp,
        /// What.
        what: Incident,
    },
    /// The running app goes on with the code it has: why it cannot take over this version without a
    /// restart.
    NotSwapped {
        /// Which version.
        version: Version,
        /// Every reason.
        reasons: Vec<SwapBlocker>,
    },
    /// Something went wrong that does not end the phase, for example a version that could not be
    /// removed.
    Notice {
        /// What.
        problem: Problem,
    },
}

/// Where the engine is. One phase, one screen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Nothing asked for yet.
    Idle,
    /// Asking the repository.
    Checking,
    /// Nothing to do.
    UpToDate {
        /// Why.
        reason: NoUpdate,
        /// The active version.
        current: Option<Version>,
    },
    /// A release is on offer.
    Offered {
        /// The release, its price and its notes.
        offer: Box<Offer>,
    },
    /// Bytes are coming, entries are unpacked as they come.
    Downloading {
        /// The version that is coming.
        version: Version,
    },
    /// Paused by a person.
    Paused {
        /// The version that is coming.
        version: Version,
    },
    /// All bytes are there; the last files are written and made durable.
    Installing {
        /// The version that is being installed.
        version: Version,
    },
    /// Installed and chosen for the next start.
    Ready {
        /// The new version.
        version: Version,
        /// Whether an older version is running right now (then "restart now" makes sense).
        running: bool,
    },
    /// The running app takes over the modules that changed, without a restart.
    Swapping {
        /// The version that they come from.
        version: Version,
    },
    /// The running app has taken them over; the next start is in this version as well.
    Swapped {
        /// Which version.
        version: Version,
        /// The modules that were loaded anew, by their dotted names.
        modules: Vec<String>,
    },
    /// The running app is asked to close, and its person answers what it asks. Nothing is lost: it
    /// is not ended.
    Closing {
        /// Which version starts afterwards, if that is known.
        version: Option<Version>,
        /// Whether the user's earlier state comes back with it.
        back: bool,
        /// What is waited for.
        wait: ClosingWait,
    },
    /// The app has ended: switching and starting.
    Switching {
        /// To which version.
        version: Version,
    },
    /// Going back to an earlier state.
    RollingBack,
    /// The earlier state is back.
    RolledBack {
        /// The version that was left.
        from: Version,
        /// The version that is active now.
        to: Version,
        /// Where the user's files of the version that was left are kept.
        #[serde(serialize_with = "crate::model::readable::path")]
        #[serde(rename = "kept")]
        retained: std::path::PathBuf,
        /// Which of the two have files of the user.
        files: FilesHeld,
    },
    /// The app runs in this version; the window may close.
    Launched {
        /// Which version.
        version: Version,
    },
    /// An installed version is checked and mended.
    Repairing {
        /// Which version.
        version: Version,
    },
    /// A repair has ended.
    Repaired(Box<Repaired>),
    /// It failed. Retry begins again where it makes sense.
    Failed {
        /// What happened.
        problem: Problem,
    },
    /// Stopped by a person.
    Cancelled,
}

impl Phase {
    /// Whether nothing is under way that a check, a switch or a removal would disturb.
    pub const fn is_at_rest(&self) -> bool {
        // Without a last arm: a new phase must be thought of here.
        match self {
            Self::Idle
            | Self::UpToDate { .. }
            | Self::Offered { .. }
            | Self::Ready { .. }
            | Self::Swapped { .. }
            | Self::Launched { .. }
            | Self::RolledBack { .. }
            | Self::Repaired(_)
            | Self::Failed { .. }
            | Self::Cancelled => true,
            Self::Checking
            | Self::Downloading { .. }
            | Self::Paused { .. }
            | Self::Installing { .. }
            | Self::Swapping { .. }
            | Self::Closing { .. }
            | Self::Switching { .. }
            | Self::RollingBack
            | Self::Repairing { .. } => false,
        }
    }
}

/// What an app that shall close waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosingWait {
    /// Nothing yet: it was asked a moment ago.
    App,
    /// Its person, in a window of its own: to save or discard.
    Person,
    /// Its person, who must end it by hand: it goes on without a window that could be asked.
    Unreachable,
}

/// Something that keeps a running app from taking over a version without a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct SwapBlocker {
    /// What kind, as `assets/runtime/PROTOCOL.md` lists them; what is not listed there is shown by
    /// its text.
    pub code: String,
    /// The same in English, for the log.
    #[serde(default)]
    pub text: String,
    /// The module it is about, by its dotted name.
    #[serde(default)]
    pub module: Option<String>,
    /// The file it is about, below the container.
    #[serde(default)]
    pub path: Option<String>,
}

impl SwapBlocker {
    /// One that is about no single module or file.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), module: None, path: None }
    }
}

/// Why there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoUpdate {
    /// The newest release is installed.
    Newest,
    /// The newer release was skipped by the user.
    Skipped,
    /// The newer release has not reached this installation yet.
    NotYet,
    /// The newer release did not come up here.
    FailedHere,
    /// The user wants to stay at this version.
    Pinned,
    /// The repository has nothing for this app, platform and channel.
    NothingPublished,
    /// The version in the file is the active one already.
    Installed,
    /// The newer release could only be fetched whole, which the settings do not allow.
    OnlyWhole,
}

/// How far a download is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Verified bytes.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes a second, smoothed over the last seconds.
    pub speed: f64,
    /// Seconds left at this speed; `None` before anything is known.
    pub seconds_left: Option<u64>,
    /// Files written so far.
    pub files_done: u64,
    /// Files in all.
    pub files_total: u64,
    /// Files for which a patch did not work out, so that they are fetched whole.
    pub fallen_back: u64,
    /// Installed files that turned out to be damaged or gone, whose content is fetched again.
    pub mended: u64,
    /// One line a node, in a fixed order.
    pub nodes: Vec<NodeProgress>,
}

impl Progress {
    /// The same once all bytes are here: no node sends any more.
    pub fn at_rest(mut self) -> Self {
        (self.speed, self.seconds_left) = (0.0, None);
        for node in &mut self.nodes {
            node.speed = 0.0;
            if node.state == NodeState::Active {
                node.state = NodeState::Idle;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_all_bytes_are_here_no_node_sends() {
        let node = |state| NodeProgress {
            id: "a".to_owned(),
            name: "a".to_owned(),
            region: "Global".to_owned(),
            done: 5,
            speed: 7.0,
            state,
        };
        let progress = Progress {
            done: 10,
            total: 10,
            speed: 7.0,
            seconds_left: Some(1),
            nodes: vec![node(NodeState::Active), node(NodeState::Dropped)],
            ..Progress::default()
        };
        let after = progress.at_rest();
        assert_eq!((after.done, after.speed, after.seconds_left), (10, 0.0, None));
        let nodes: Vec<_> = after.nodes.iter().map(|node| (node.state, node.speed)).collect();
        assert_eq!(nodes, [(NodeState::Idle, 0.0), (NodeState::Dropped, 0.0)]);
    }
}
