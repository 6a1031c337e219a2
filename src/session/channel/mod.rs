//! The conversation with the running app: it says that it is up, asks for updates, and takes new
//! code over without a restart. `assets/runtime/PROTOCOL.md` is the contract, and
//! `assets/runtime/kuzflow_runtime` the app's side.
//!
//! ```text
//! socket        a Unix domain socket or a named pipe that only this user can open
//! wire          bytes <-> messages, bounded
//! conversation  pure: who may say what when, and what follows
//! serve         connections and timers, on the engine's runtime
//! ```
//!
//! In: connections of a process that knows the token which its environment told it, the engine's
//! events. Out: commands for the engine, what came of a swap. Never: trust in an app beyond what
//! concerns itself, a wait of the app's start, or a start that fails since nobody can listen.

mod conversation;
mod serve;
mod socket;
pub(crate) mod wire;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub(crate) use conversation::Swap;
pub(crate) use serve::serve;

use crate::messages::protocol::{Event, SwapBlocker};
use crate::model::{ContainerId, Digest};
use crate::store::lock::RunningLock;
use crate::threads;

/// The variable with the address.
pub(crate) const ADDRESS: &str = "KUZFLOW_CHANNEL";
/// The variable with the token.
pub(crate) const TOKEN: &str = "KUZFLOW_TOKEN";
/// How long somebody waits for an app to say whether it has heard that it should end; a little
/// longer than the conversation does.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// What a swap came to: the modules that were loaded anew, or what stood against it.
pub(crate) type Swapped = Result<Vec<String>, Vec<SwapBlocker>>;

/// Where the app that this launcher starts can talk to it. Clones share it. Without a place to
/// listen nobody is admitted, and all that would be said is not.
#[derive(Clone, Default)]
pub(crate) struct ChannelHandle(Arc<Mutex<ChannelState>>);

#[derive(Default)]
struct ChannelState {
    /// Folders that a socket may lie in, the best first.
    places: Vec<PathBuf>,
    endpoint: Option<socket::Endpoint>,
    /// Of the token that the app started last was given.
    token: Option<Digest>,
    requests: Option<mpsc::UnboundedSender<Request>>,
    /// The containers whose code the connected app runs; the last one is that which it takes new
    /// code from.
    runs: Vec<ContainerId>,
    /// Keep those from being removed.
    locks: Vec<(ContainerId, RunningLock)>,
    /// The app's person has refused to close it since it was last asked.
    refused: bool,
}

/// What the rest of the launcher wants of the conversation.
enum Request {
    Tell(Box<Event>),
    Swap(Swap, oneshot::Sender<Swapped>),
    End(oneshot::Sender<bool>),
    KeepRunning,
}

impl ChannelHandle {
    /// A channel whose socket lies in the first of `places` (folders) that can be used.
    pub(crate) fn new(places: Vec<PathBuf>) -> Self {
        Self(Arc::new(Mutex::new(ChannelState { places, ..ChannelState::default() })))
    }

    // A panic elsewhere leaves values that are right one by one.
    fn lock(&self) -> MutexGuard<'_, ChannelState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The variables for an app that is about to be started. The token is new each time: an app
    /// started before is no longer let in.
    pub(crate) fn admit(&self) -> Vec<(&'static str, OsString)> {
        let mut shared = self.lock();
        if shared.places.is_empty() {
            return Vec::new();
        }
        match shared.admit() {
            Ok((address, token)) => vec![(ADDRESS, address), (TOKEN, token.into())],
            Err(error) => {
                tracing::warn!(%error, "the app cannot talk to its launcher");
                Vec::new()
            }
        }
    }

    /// The container from which the connected app takes its code now; `None` if none is connected.
    pub(crate) fn runs(&self) -> Option<ContainerId> {
        self.lock().runs.last().cloned()
    }

    /// Has the app told of an event.
    pub(crate) fn tell(&self, event: &Event) {
        self.send(Request::Tell(Box::new(event.clone())));
    }

    /// Has the app take over another container's code; gives what came of it.
    pub(crate) async fn swap(&self, swap: Swap) -> Swapped {
        let (sender, outcome) = oneshot::channel();
        self.send(Request::Swap(swap, sender));
        outcome.await.unwrap_or_else(|_| {
            Err(vec![SwapBlocker::new("not-connected", "nobody talks to the app")])
        })
    }

    /// Whether the app has said, since it was last asked to end or wanted to, that it goes on.
    pub(crate) fn was_refused(&self) -> bool {
        self.lock().refused
    }

    /// From here on a refusal counts.
    pub(crate) fn expect_end(&self) {
        self.lock().refused = false;
    }

    /// Asks the app to end by itself; tells whether it has heard. Blocks for some seconds at most.
    pub(crate) fn ask_to_end(&self) -> bool {
        self.expect_end();
        let (sender, heard) = oneshot::channel();
        if !self.send(Request::End(sender)) {
            return false;
        }
        // The conversation answers in time; a limit all the same, since a person waits.
        let (done, waiting) = std::sync::mpsc::channel();
        let waiter = threads::spawn("ending", move || {
            let _ = done.send(heard.blocking_recv().unwrap_or(false));
        });
        waiter.is_ok() && waiting.recv_timeout(END_TIMEOUT).unwrap_or(false)
    }

    /// Tells the app that it need not end any more.
    pub(crate) fn keep_running(&self) {
        self.send(Request::KeepRunning);
    }

    /// Lets go of the containers whose code the app ran: it has ended.
    pub(crate) fn release(&self) {
        let mut shared = self.lock();
        shared.runs.clear();
        shared.locks.clear();
    }

    fn send(&self, request: Request) -> bool {
        self.lock().requests.as_ref().is_some_and(|requests| requests.send(request).is_ok())
    }
}

impl ChannelState {
    /// The place to listen at, made when it is first asked for: by a start of the app, or by an
    /// engine that comes before it.
    fn endpoint(&mut self) -> io::Result<&mut socket::Endpoint> {
        let endpoint = match self.endpoint.take() {
            Some(endpoint) => endpoint,
            None => socket::Endpoint::open(&self.places)?,
        };
        Ok(self.endpoint.insert(endpoint))
    }

    fn admit(&mut self) -> io::Result<(OsString, String)> {
        let address = self.endpoint()?.address();
        let token = secret()?;
        self.token = Some(Digest::of(token.as_bytes()));
        // An app that ran before has ended.
        self.runs.clear();
        self.locks.clear();
        Ok((address, token))
    }

    /// Digests are compared, so that the time it takes says nothing about the token.
    fn is_token(&self, token: &str) -> bool {
        self.token.is_some_and(|expected| expected == Digest::of(token.as_bytes()))
    }
}

/// 128 random bits as hexadecimal digits.
pub(crate) fn secret() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
