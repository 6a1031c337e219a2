//! What goes into the conversation and what comes out of it, as values.

use serde_json::{Map, Value};

use crate::messages::protocol::{Command, Event, SwapBlocker};
use crate::model::ContainerId;
use crate::model::hot_swap::ChangedFile;
use crate::session::channel::wire::Message;

/// An input of the machine.
#[derive(Clone, Debug)]
pub(in crate::session::channel) enum ConversationInput {
    /// An app has shown the token; this is its first message.
    Connected(Message),
    /// Any later message of the app.
    Message(Message),
    /// The connection has ended.
    Gone,
    /// An event of the engine.
    Event(Box<Event>),
    /// The app shall load another container's code.
    Swap(Swap),
    /// The app shall end.
    End,
    /// The request to end is withdrawn.
    KeepRunning,
    /// A deadline may have passed.
    Tick,
}

/// What an app shall load in a hot swap.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Swap {
    pub container: ContainerId,
    /// All files that differ from the version whose code the app runs.
    pub changes: Vec<ChangedFile>,
}

/// An effect for the caller to perform.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::session::channel) enum Effect {
    /// Send a message to the app.
    Send {
        /// The number of the request that it makes or answers.
        id: i64,
        kind: &'static str,
        fields: Map<String, Value>,
    },
    /// A command for the engine.
    Command(Command),
    /// The app reports that it is up.
    Up,
    /// The app runs code of these containers, and loads new code from the last.
    Runs(Vec<ContainerId>),
    /// The app is no longer connected.
    Disconnected,
    /// A swap has ended: with the modules that the app has reloaded, or with the blockers.
    Swapped(Result<Vec<String>, Vec<SwapBlocker>>),
    /// Whether the app has confirmed the request to end.
    EndConfirmed(bool),
    /// The app refuses to end: its user has unsaved work.
    EndRefused,
}
