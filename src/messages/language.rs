//! What goes into the machine and what comes out of it, as values.

use std::path::PathBuf;

use super::protocol::{
    ClosingWait, Command, Event, FilesHeld, NoUpdate, Problem, Repaired, SwapBlocker,
};
use crate::model::incident::{Incident, Notice};
use crate::model::{ContainerId, Offer, Version};

/// What the engine was started for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Start the app when an update is in place and nothing is running (the window), or leave that
    /// to the caller (the terminal).
    pub launch_when_ready: bool,
    /// An installed version waits for this check: if nothing comes of it, that version starts
    /// (docs/security.md, promise 1).
    pub start_anyway: bool,
    /// The app runs already.
    pub running: bool,
}

/// What comes in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MachineInput {
    /// From a person, a timer or a script.
    Command(Command),
    /// A check has ended.
    Checked(Result<Checked, Problem>),
    /// All bytes of the package are there.
    Fetched,
    /// A download has ended.
    Updated(Result<Updated, Problem>),
    /// A version was chosen, or was refused.
    Chosen(Result<Chosen, Problem>),
    /// The running app has taken over a version, with these modules, or goes on with the code it
    /// has, and why.
    Swapped(Result<Vec<String>, Vec<SwapBlocker>>),
    /// The app is closing, and waits for something else than before.
    Closing(ClosingWait),
    /// The app was asked to close: whether it has ended, or goes on. An error if what should follow
    /// is refused.
    Closed(Result<bool, Problem>),
    /// The app was started, or could not be.
    Launched(Result<Version, Problem>),
    /// The app asked to be started anew, and was, or could not be.
    Relaunched(Result<Version, Problem>),
    /// The running app has ended.
    AppEnded,
    /// The user's earlier state is back, or could not be had.
    RolledBack(Result<RolledBackTo, Problem>),
    /// Something happened to the running app without anybody having asked.
    Incident(Notice),
    /// A repair has ended; `None` if somebody cancelled it.
    Repaired(Result<Option<Box<Repaired>>, Problem>),
    /// A version was removed, or was refused.
    Removed(Result<(), Problem>),
}

/// A state to go back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Back {
    /// This version's, or that of the one before.
    pub to: Option<ContainerId>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Checked {
    /// A release to offer.
    Offer(Box<Offer>),
    /// Nothing to do.
    Nothing {
        /// Why.
        reason: NoUpdate,
        /// The active version.
        current: Option<Version>,
    },
}

/// A version that was switched to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Which version.
    pub id: ContainerId,
    /// The switch waits for the end of the app, which runs in another version.
    pub at_next_start: bool,
}

/// What came of a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RolledBackTo {
    /// The version that was left.
    pub from: Version,
    /// The version that is active now.
    pub to: Version,
    /// Where the user's files of the version that was left are kept.
    pub retained: PathBuf,
    /// Which of the two have files of the user.
    pub files: FilesHeld,
    /// Whether the app was started.
    pub running: bool,
}

/// How a download ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    /// The version is registered in the store.
    Installed(ContainerId),
    /// Stopped by command; verified pieces are on disk.
    Stopped,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Tell the driver's user.
    Emit(Event),
    /// Ask the repository: for the best release, or for this one.
    Check(Option<Version>),
    /// Look into this bundle.
    CheckFile {
        /// Where it is.
        path: PathBuf,
        /// Whether it may be old.
        accept_expired: bool,
    },
    /// Fetch and install.
    Update(Box<Offer>),
    /// Share with computers nearby, or no longer.
    Share(bool),
    /// Stop fetching for now.
    Pause,
    /// Go on.
    Resume,
    /// Stop fetching for good.
    Cancel,
    /// Never offer this version again.
    Skip(Version),
    /// Remember that no version is skipped.
    SkipNothing,
    /// Switch to this version: now, or at the next start while the app is running.
    Choose {
        /// Which version.
        id: ContainerId,
        /// The app is running, so wait for its end.
        at_next_start: bool,
    },
    /// Have the running app take over this release, which is installed.
    Swap(Box<Offer>),
    /// Wait for the end of the running app, and start the version that is active then.
    RestartWhenEnded,
    /// Have the running app closed, as its window manager would.
    Close {
        /// It is for going back to this state, which is looked at first.
        back: Option<Back>,
    },
    /// The app that is closing goes on.
    KeepRunning,
    /// The app that is closing is ended by force.
    EndApp,
    /// Switch and start; no app runs.
    Restart {
        /// Switch to this version first.
        switch_to: Option<ContainerId>,
    },
    /// Go back to an earlier state: this version's, or the one before; no app runs.
    RollBack {
        /// Whose state.
        to: Option<ContainerId>,
        /// Start the app afterwards.
        launch: bool,
    },
    /// Stay at this version, or no longer.
    Pin(Option<Version>),
    /// Mend an installed version.
    Repair(ContainerId),
    /// Remove an installed version.
    Remove(ContainerId),
    /// Remove the versions that are too many.
    Prune,
    /// The same by itself, once nothing more urgent is to be done.
    TidyUp,
    /// Measure and tell the room on the disk.
    MeasureDisk,
    /// Do not tell this at the next start.
    Forget(Box<Incident>),
    /// Tell what is installed.
    List,
    /// Change the bandwidth cap.
    LimitBandwidth(Option<u64>),
    /// End the engine.
    Stop,
}
