//! The inputs and the effects of the engine's machine, as values.

use std::path::PathBuf;

use super::protocol::{
    ClosingWait, Command, Event, FilesHeld, NoUpdate, Problem, Repaired, ShortcutChoice,
    SwapBlocker,
};
use crate::model::incident::{Incident, Notice};
use crate::model::{ContainerId, Offer, Version};

/// Fixed options of the engine, set when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Start the app once an update is installed and no app is running (the window). If `false`,
    /// the caller starts it (the terminal).
    pub launch_when_ready: bool,
    /// An installed version waits for this check: if the check leads to no update, that version
    /// starts (docs/security.md, promise 1).
    pub start_anyway: bool,
    /// The app is already running.
    pub running: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MachineInput {
    /// A command from a person, a timer or a script.
    Command(Command),
    /// It is time to try again by itself what failed as often as this.
    RetryDue(u32),
    /// A check has ended.
    Checked(Result<Checked, Problem>),
    /// All bytes of the package are on disk.
    Fetched,
    /// A download has ended.
    Updated(Result<Updated, Problem>),
    /// The store switched to a version, or refused to.
    Chosen(Result<Chosen, Problem>),
    /// The running app has loaded these modules of a version, or continues with its present code
    /// for these reasons.
    Swapped(Result<Vec<String>, Vec<SwapBlocker>>),
    /// The app is closing, and now waits for something else.
    Closing(ClosingWait),
    /// The app was asked to close: `true` if it has ended, `false` if it continues. An error if the
    /// step that should follow is refused.
    Closed(Result<bool, Problem>),
    /// The app was started, or the start failed.
    Launched(Result<Version, Problem>),
    /// The app asked for a restart, which succeeded or failed.
    Relaunched(Result<Version, Problem>),
    /// The running app has ended.
    AppEnded,
    /// A rollback restored the user's earlier state, or failed.
    RolledBack(Result<RolledBackTo, Problem>),
    /// An incident with the running app that no command caused.
    Incident(Notice),
    /// A repair has ended; `None` if somebody cancelled it.
    Repaired(Result<Option<Box<Repaired>>, Problem>),
    /// The store removed a version, or refused to.
    Removed(Result<(), Problem>),
}

/// A version to switch to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SwitchTo {
    pub id: ContainerId,
    /// It takes the place of the active version, which is recalled: where that leads back, the
    /// user's files of then come back with it. Otherwise the present ones go along.
    pub for_recall: bool,
}

impl From<ContainerId> for SwitchTo {
    /// What a person chose.
    fn from(id: ContainerId) -> Self {
        Self { id, for_recall: false }
    }
}

/// An earlier state to return to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Back {
    /// The version whose state is meant; `None`: the one before the active version.
    pub to: Option<ContainerId>,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Checked {
    /// A release to offer.
    Offer(Box<Offer>),
    /// Nothing to do.
    Nothing {
        /// Why there is nothing to do.
        reason: NoUpdate,
        /// The active version; `None` before the first installation.
        current: Option<Version>,
    },
}

/// The result of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The version that was switched to.
    pub id: ContainerId,
    /// The switch waits for the end of the app, which runs in another version.
    pub at_next_start: bool,
}

/// The result of a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RolledBackTo {
    /// The version that was left.
    pub from: Version,
    /// The version that is active now.
    pub to: Version,
    /// The folder of the retained user files of the version that was left.
    pub retained: PathBuf,
    /// Which of the two versions have user files.
    pub files: FilesHeld,
    /// Whether the app was started.
    pub running: bool,
}

/// The result of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    /// The version is registered in the store.
    Installed(ContainerId),
    /// Stopped by command; verified pieces are on disk.
    Stopped,
}

/// An effect: work that the machine asks its driver to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Report an event.
    Emit(Event),
    /// Ask the repository for the best release, or for this one.
    Check(Option<Version>),
    /// Read this bundle.
    CheckFile {
        path: PathBuf,
        /// Accept a bundle that has expired.
        accept_expired: bool,
    },
    /// Fetch and install.
    Update(Box<Offer>),
    /// Begin or end sharing with peers.
    Share(bool),
    /// Begin or end reports to the publisher.
    Report(bool),
    /// Follow this channel.
    ChooseChannel(String),
    /// Make the system start the app at login, or no longer.
    StartAtLogin(bool),
    /// Do with the shortcuts of an earlier installation what the user has chosen.
    OldShortcuts(ShortcutChoice),
    /// Stop fetching for now.
    Pause,
    /// Continue a paused download.
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
        to: SwitchTo,
        /// The app is running, so wait for its end.
        at_next_start: bool,
    },
    /// Have the running app load this release, which is installed, without a restart.
    Swap(Box<Offer>),
    /// Wait for the end of the running app, and start the version that is active then.
    RestartWhenEnded,
    /// Have the running app closed, as its window manager would.
    Close {
        /// Set when the purpose is a rollback to this state, which is checked first.
        back: Option<Back>,
    },
    /// Let the closing app continue.
    KeepRunning,
    /// End the closing app by force.
    EndApp,
    /// Switch and start; no app runs.
    Restart {
        /// Switch to this version first.
        switch_to: Option<SwitchTo>,
    },
    /// Go back to an earlier state: this version's, or the one before; no app runs.
    RollBack {
        /// The version whose state is meant; `None`: the one before the active version.
        to: Option<ContainerId>,
        /// Start the app afterwards.
        launch: bool,
    },
    /// Pin the app to this version; `None` removes the pin.
    Pin(Option<Version>),
    /// Repair an installed version.
    Repair(ContainerId),
    /// Remove an installed version.
    Remove(ContainerId),
    /// Remove the versions beyond the number to keep.
    Prune,
    /// Delete the user's files that were set aside in this folder.
    DeleteRetained(PathBuf),
    /// The same automatically, once no urgent work is left.
    PruneAutomatically,
    /// Measure the disk use and report it.
    MeasureDisk,
    /// Delete this incident, so that the next start does not report it.
    RemoveIncident(Box<Incident>),
    /// Report the installed versions.
    List,
    /// Change the rate limit.
    LimitBandwidth(Option<u64>),
    /// Report [`MachineInput::RetryDue`] after a pause that grows with this number of failures.
    RetryLater(u32),
    /// End the engine.
    Stop,
}
