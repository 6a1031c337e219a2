//! The messages between the engine and its driver: [`Command`]s go in, [`Event`]s come out.
//!
//! Progress is a latest-value slot: a slow driver sees fewer progress events, and always the newest
//! one. A queue holds all other events.

mod login_start;
mod old_shortcuts;
mod problem;
mod repaired;
mod versions;

use std::path::PathBuf;

use serde::Serialize;

pub use login_start::LoginStart;
pub use old_shortcuts::{FoundShortcut, OldShortcuts, ShortcutChoice};
pub use problem::{Problem, ProblemKind};
pub use repaired::{DamagedItem, How, Repaired, RepairedItem};
pub use versions::{DiskUse, FilesHeld, FolderUse, InstalledVersion, RetainedFiles};

use crate::model::incident::Incident;
use crate::model::system::SystemTooOld;
pub use crate::model::transfer::{FaultKind, NodeFault, NodeProgress, NodeState};
use crate::model::{ContainerId, Offer, Version};

/// Why a check is made, and so how its failure is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckTrigger {
    /// The schedule: it fails quietly.
    Schedule,
    /// A person, to whom a failure is shown.
    Person,
    /// A person opened this bundle: it is read instead of asking a server. A failure is shown also
    /// where the app waits to be started.
    Bundle(PathBuf),
    /// The launcher was installed together with this bundle, and nothing else is installed yet: its
    /// release is installed without a question. If it cannot be used, a server is asked as for a
    /// person.
    Included(PathBuf),
}

/// What a person, a timer or a script asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look for a release now, and offer it.
    Check(CheckTrigger),
    /// Look for this version, even an older one, and offer it.
    CheckVersion(Version),
    /// Offer the release of a bundle that was refused only because it has expired.
    AcceptExpired,
    /// Fetch and install what is on offer.
    Start,
    /// Fetch and install the offered release without switching to it: it is offered again, with
    /// nothing left to fetch.
    Prefetch,
    /// Fetch and install this version, even an older one.
    StartVersion(Version),
    /// Stop fetching and retain the verified pieces.
    Pause,
    /// Continue after a pause.
    Resume,
    /// Stop; verified pieces stay on disk for the next try.
    Cancel,
    /// Do not show this offer until the next start.
    Later,
    /// Never show this version again.
    Skip,
    /// Clear the list of skipped versions, and look for a release.
    OfferSkipped,
    /// Repeat the step that failed.
    Retry,
    /// The start of the app failed: the window shows the problem, and a retry starts the app again.
    StartFailed(Box<Problem>),
    /// Make another installed version the active one.
    Switch(ContainerId),
    /// Return to an earlier state, version and user files: that of this version, or of the version
    /// before the active one.
    RollBack(Option<ContainerId>),
    /// Stay at this version (mandatory releases are installed nevertheless); `None` removes the
    /// pin.
    Pin(Option<Version>),
    /// Delete an installed version (never the active or the running one).
    Remove(ContainerId),
    /// Check an installed version, whole or not, against its manifest, and repair the damaged
    /// files.
    Repair(ContainerId),
    /// Delete the versions beyond the number that the settings retain.
    Prune,
    /// Delete the user's files that were set aside in this folder.
    DeleteRetained(PathBuf),
    /// Report the installed versions.
    List,
    /// Report how much disk space versions and retained files take.
    MeasureDisk,
    /// Begin or end sharing with peers; without effect where the publisher does not allow it.
    Share(bool),
    /// Report to the publisher what becomes of updates, or no longer; without effect where the
    /// publisher wants no reports.
    Report(bool),
    /// Follow this channel from now on, and look for a release; without effect for one that the
    /// publisher does not offer.
    ChooseChannel(String),
    /// Make the system start the app when its user logs in, or no longer.
    StartAtLogin(bool),
    /// Let the shortcuts of an earlier installation give way, leave them, or put them back.
    OldShortcuts(ShortcutChoice),
    /// A person has acknowledged this incident; the next start does not report it again.
    Seen(Box<Incident>),
    /// After an update: end the running app, switch, start the new version.
    RestartNow,
    /// The app is about to end by itself and asks for a restart in the version that is active then.
    RestartWhenEnded,
    /// After an update: the new version starts the next time. While the app is closing: it
    /// continues.
    RestartLater,
    /// While the app is closing: end it by force; unsaved work is lost.
    EndApp,
    /// Bytes per second at most; `None` for no limit.
    LimitBandwidth(Option<u64>),
    /// End the engine. A download stays on disk as at a pause.
    Quit,
}

/// What the engine reports to its driver.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Another phase has begun.
    Phase {
        /// The new phase.
        #[serde(flatten)]
        phase: Phase,
    },
    /// The progress of a download; the newest replaces all before it.
    Progress(Progress),
    /// A node misbehaved: in what way, and whether the download left it.
    NodeFault(NodeFault),
    /// The installed versions, after a change or on request.
    Installed {
        /// All of them, the newest first.
        versions: Vec<InstalledVersion>,
        /// The retained user files of versions that were left, the newest first.
        #[serde(rename = "kept")]
        retained: Vec<RetainedFiles>,
    },
    /// Whether this launcher shares releases with peers. Sent only where the publisher allows it.
    Sharing {
        /// The user's choice.
        on: bool,
    },
    /// Whether this launcher reports to the publisher what becomes of updates. Sent only where the
    /// publisher wants that.
    Reporting {
        /// The user's choice.
        on: bool,
    },
    /// The channels that the user may choose from. Sent only where the publisher offers some.
    Channels {
        /// The one that this installation follows.
        channel: String,
        /// All of them.
        channels: Vec<String>,
    },
    /// Whether the app starts when its user logs in. Sent where the launcher knows its own path.
    LoginStart {
        /// How the switch stands.
        state: LoginStart,
    },
    /// The shortcuts of an earlier installation. Sent where the publisher names its program, or
    /// where some have given way.
    OldShortcuts(OldShortcuts),
    /// How much disk space the installation takes.
    DiskUse(DiskUse),
    /// An incident with the app or its files that a person should know of.
    #[serde(rename = "happened")]
    Incident {
        /// The time of the incident.
        when: jiff::Timestamp,
        /// The kind of incident, with its details.
        what: Incident,
    },
    /// The running app continues with its present code, because it needs a restart for this
    /// version.
    NotSwapped {
        /// The version that the app could not load.
        version: Version,
        /// All blockers that were found.
        reasons: Vec<SwapBlocker>,
    },
    /// A problem that does not end the phase, for example a version that could not be removed.
    Notice {
        /// The problem to show.
        problem: Problem,
    },
}

/// The engine's phase. Each phase has one screen.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// The engine has received no command yet.
    Idle,
    /// The engine asks the repository.
    Checking,
    /// There is nothing to do.
    UpToDate {
        /// Why there is nothing to do.
        #[serde(flatten)]
        reason: NoUpdate,
        /// The active version; `None` before the first installation.
        current: Option<Version>,
    },
    /// A release is on offer.
    Offered {
        /// The release, its price and its notes.
        offer: Box<Offer>,
    },
    /// Bytes arrive, and entries are unpacked as they arrive.
    Downloading {
        /// The version that is being downloaded.
        version: Version,
    },
    /// Paused by a person.
    Paused {
        /// The version that is being downloaded.
        version: Version,
    },
    /// All bytes are on disk; the last files are written and made durable.
    Installing {
        /// The version that is being installed.
        version: Version,
    },
    /// The version is installed, and the next start uses it.
    Ready {
        /// The new version.
        version: Version,
        /// Whether an older version is running right now (then "restart now" makes sense).
        running: bool,
    },
    /// The running app loads the changed modules, without a restart.
    Swapping {
        /// The version that the modules belong to.
        version: Version,
    },
    /// The running app has loaded the modules; the next start uses this version as well.
    Swapped {
        /// The version that the modules belong to.
        version: Version,
        /// The reloaded modules, by their dotted names.
        modules: Vec<String>,
    },
    /// The launcher has asked the running app to close, and the user answers the app's questions.
    /// Nothing is lost: the launcher does not end the app.
    Closing {
        /// The version that starts afterwards, if it is known.
        version: Option<Version>,
        /// Whether a rollback to the user's earlier state follows.
        back: bool,
        /// What the closing app waits for.
        wait: ClosingWait,
    },
    /// The app has ended: the engine switches and starts.
    Switching {
        /// The version that becomes active.
        version: Version,
    },
    /// The engine returns to an earlier state.
    RollingBack,
    /// The earlier state is restored.
    RolledBack {
        /// The version that was left.
        from: Version,
        /// The version that is active now.
        to: Version,
        /// The folder of the retained user files of the version that was left.
        #[serde(serialize_with = "crate::model::readable::path")]
        #[serde(rename = "kept")]
        retained: std::path::PathBuf,
        /// Which of the two versions have user files.
        files: FilesHeld,
    },
    /// The app runs in this version; the window may close.
    Launched {
        /// The version that runs.
        version: Version,
    },
    /// The engine checks and repairs an installed version.
    Repairing {
        /// The version under repair.
        version: Version,
    },
    /// A repair has ended.
    Repaired(Box<Repaired>),
    /// The phase failed. Retry begins again where it makes sense.
    Failed {
        /// The problem that ended the phase.
        problem: Problem,
    },
    /// A person stopped the phase.
    Cancelled,
}

impl Phase {
    /// Whether the engine is free: a check, a switch or a removal would disturb nothing.
    pub const fn is_at_rest(&self) -> bool {
        // No catch-all arm: each new phase must be considered here.
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

/// What a closing app waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosingWait {
    /// Nothing yet: the launcher asked it a moment ago.
    App,
    /// The user's answer in a window of the app: save or discard.
    Person,
    /// The user, who must end it by hand: it continues without a window that could be asked.
    Unreachable,
}

/// A reason why a running app needs a restart to load a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct SwapBlocker {
    /// The kind, as `assets/runtime/PROTOCOL.md` lists it. The window shows `text` for a kind that
    /// is not listed there.
    pub code: String,
    /// The same in English, for the log.
    #[serde(default)]
    pub text: String,
    /// The module concerned, by its dotted name.
    #[serde(default)]
    pub module: Option<String>,
    /// The file concerned, relative to the container.
    #[serde(default)]
    pub path: Option<String>,
}

impl SwapBlocker {
    /// A reason that concerns no single module or file.
    pub fn new(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: code.into(), text: text.into(), module: None, path: None }
    }
}

/// Why there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum NoUpdate {
    /// The newest release is installed.
    Newest,
    /// The user skipped the newer release.
    Skipped,
    /// The rollout of the newer release has not reached this installation yet.
    NotYet,
    /// The newer release did not come up on this computer.
    FailedHere,
    /// The user pinned the app to this version.
    Pinned,
    /// The repository has nothing for this app, platform and channel.
    NothingPublished,
    /// The version in the bundle is already active.
    Installed,
    /// The newer release needs a full update, which the settings do not allow.
    OnlyWhole,
    /// The newer release needs a newer system than this one.
    SystemTooOld(SystemTooOld),
    /// The active version is newer than all of the channel that the user has chosen: it stays until
    /// the channel has a newer one, unless the user goes back.
    AheadOfChannel {
        /// The newest version of the channel.
        newest: Version,
    },
    /// The publisher has recalled the active version, and nothing that could take its place is to
    /// be had.
    Recalled {
        /// The publisher's reason, in the best available language; empty if there is none.
        why: String,
        /// Why a newer release does not take its place; `None` if there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        besides: Option<Box<NoUpdate>>,
    },
}

impl NoUpdate {
    /// Why no newer release is offered, whether or not the active one is recalled.
    pub fn of_newer(&self) -> &Self {
        match self {
            Self::Recalled { besides: Some(besides), .. } => besides,
            _ => self,
        }
    }
}

/// The progress of a download.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Verified bytes.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes a second, smoothed over the last seconds.
    pub speed: f64,
    /// Seconds left at this speed; `None` while the speed is unknown.
    pub seconds_left: Option<u64>,
    /// Files written so far.
    pub files_done: u64,
    pub files_total: u64,
    /// Files whose patch failed, so that they are fetched whole.
    pub fallen_back: u64,
    /// Installed files that proved damaged or missing, whose content is fetched again.
    #[serde(rename = "mended")]
    pub repaired_bases: u64,
    /// One entry for each node, in a fixed order.
    pub nodes: Vec<NodeProgress>,
}

impl Progress {
    /// The same progress once all bytes have arrived: no node sends any more.
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
