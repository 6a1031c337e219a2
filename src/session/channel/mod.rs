//! The conversation with the running app: the app reports that it is up, asks for updates, and
//! loads new code without a restart. `assets/runtime/PROTOCOL.md` is the contract, and
//! `assets/runtime/kuzflow_runtime` is the app's side.
//!
//! ```text
//! socket        a Unix domain socket or a named pipe that only this user can open
//! wire          bytes <-> messages, bounded
//! conversation  pure: who may send what and when, and what follows
//! serve         connections and timers, on the engine's runtime
//! ```
//!
//! In: connections of a process that knows the token from its environment, and the engine's events.
//! Out: commands for the engine, outcomes of hot swaps. Never: trusts an app beyond what concerns
//! the app itself, delays the app's start, or fails a start because no socket can be opened.

mod conversation;
mod serve;
mod socket;
pub(crate) mod wire;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

pub(crate) use conversation::Swap;
pub(crate) use serve::serve;
// On Windows another room of a session needs one as well.
#[cfg(windows)]
pub(in crate::session) use socket::secret;

use crate::error_chain;
use crate::messages::protocol::{Event, SwapBlocker};
use crate::model::{ContainerId, Digest};
use crate::mutex;
use crate::store::lock::RunningLock;
use crate::threads;

/// The variable with the address.
pub(crate) const ADDRESS: &str = "KUZFLOW_CHANNEL";
/// The variable with the token.
pub(crate) const TOKEN: &str = "KUZFLOW_TOKEN";
/// How long a caller waits for the app to confirm a request to end. A little longer than the
/// conversation's own limit.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// The outcome of a swap: the modules that the app has reloaded, or the blockers.
pub(crate) type Swapped = Result<Vec<String>, Vec<SwapBlocker>>;

/// The channel to the app that this launcher starts. Clones share it. Without a place to listen no
/// app is admitted, and nothing is sent.
#[derive(Clone, Default)]
pub(crate) struct ChannelHandle(Arc<Mutex<ChannelState>>);

#[derive(Default)]
struct ChannelState {
    /// Folders that a socket may lie in, the best first.
    places: Vec<PathBuf>,
    endpoint: Option<socket::Endpoint>,
    /// Digest of the token of the app started last.
    token: Option<Digest>,
    requests: Option<mpsc::UnboundedSender<Request>>,
    /// The containers whose code the connected app runs; it loads new code from the last one.
    runs: Vec<ContainerId>,
    /// Locks that keep those containers from being removed.
    locks: Vec<(ContainerId, RunningLock)>,
    /// The app's user has refused to close it since the last request.
    refused: bool,
}

/// A request of the rest of the launcher to the conversation.
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

    // A panic elsewhere leaves each value valid by itself.
    fn lock(&self) -> MutexGuard<'_, ChannelState> {
        mutex::lock(&self.0)
    }

    /// The variables for an app that is about to be started. The token is new each time: an app
    /// started before can no longer connect.
    pub(crate) fn admit(&self) -> Vec<(&'static str, OsString)> {
        let mut shared = self.lock();
        if shared.places.is_empty() {
            return Vec::new();
        }
        match shared.admit() {
            Ok((address, token)) => vec![(ADDRESS, address), (TOKEN, token.into())],
            Err(error) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "the app cannot talk to its launcher"
                );
                Vec::new()
            }
        }
    }

    /// The container from which the connected app loads its code now; `None` if no app is
    /// connected.
    pub(crate) fn runs(&self) -> Option<ContainerId> {
        self.lock().runs.last().cloned()
    }

    /// Sends an event to the app.
    pub(crate) fn tell(&self, event: &Event) {
        self.send(Request::Tell(Box::new(event.clone())));
    }

    /// Asks the app to load another container's code, and returns the outcome.
    pub(crate) async fn swap(&self, swap: Swap) -> Swapped {
        let (sender, outcome) = oneshot::channel();
        self.send(Request::Swap(swap, sender));
        outcome.await.unwrap_or_else(|_| {
            Err(vec![SwapBlocker::new("not-connected", "nobody talks to the app")])
        })
    }

    /// Whether the app has answered that it goes on, since the last request to end or its own
    /// announcement to end.
    pub(crate) fn was_refused(&self) -> bool {
        self.lock().refused
    }

    /// Clears the refusal: only a later one counts.
    pub(crate) fn expect_end(&self) {
        self.lock().refused = false;
    }

    /// Asks the app to end by itself, and returns whether it has confirmed that. Blocks for some
    /// seconds at most.
    pub(crate) fn ask_to_end(&self) -> bool {
        self.expect_end();
        let (sender, heard) = oneshot::channel();
        if !self.send(Request::End(sender)) {
            return false;
        }
        // The conversation answers in time. This limit is a second guard, since a person waits.
        let (done, waiting) = std::sync::mpsc::channel();
        let waiter = threads::spawn("ending", move || {
            let _ = done.send(heard.blocking_recv().unwrap_or(false));
        });
        waiter.is_ok() && waiting.recv_timeout(END_TIMEOUT).unwrap_or(false)
    }

    /// Withdraws the request to end.
    pub(crate) fn keep_running(&self) {
        self.send(Request::KeepRunning);
    }

    /// Releases the locks on the containers whose code the app ran: it has ended.
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
    /// The endpoint to listen at. The first caller makes it: a start of the app, or an engine that
    /// starts before it.
    fn endpoint(&mut self) -> io::Result<&mut socket::Endpoint> {
        let endpoint = match self.endpoint.take() {
            Some(endpoint) => endpoint,
            None => socket::Endpoint::open(&self.places)?,
        };
        Ok(self.endpoint.insert(endpoint))
    }

    fn admit(&mut self) -> io::Result<(OsString, String)> {
        let address = self.endpoint()?.address();
        let token = socket::secret()?;
        self.token = Some(Digest::of(token.as_bytes()));
        // An app that ran before has ended.
        self.runs.clear();
        self.locks.clear();
        Ok((address, token))
    }

    /// Compares digests, so that the time of the comparison reveals nothing about the token.
    fn is_token(&self, token: &str) -> bool {
        self.token.is_some_and(|expected| expected == Digest::of(token.as_bytes()))
    }
}
