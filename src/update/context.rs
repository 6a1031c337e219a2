//! What an engine works with, and the home's lock taken with a little patience.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::package_documents::DocumentCache;
use super::peer_service::PeerNetworkSlot;
use crate::session::app::AppSlot;
use crate::session::channel::ChannelSlot;
use crate::settings::Settings;
use crate::store::lock::HomeLock;
use crate::store::{Home, StoreError};

/// How long a short operation waits for another launcher to finish its own.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// The same before the app has started: nobody waits longer for his app than must be.
const LOCK_TIMEOUT_OF_A_START: Duration = Duration::from_millis(400);

/// What an engine works with.
#[derive(Clone)]
pub(crate) struct Context {
    /// Where versions are installed.
    pub home: Home,
    /// The settings in force.
    pub settings: Settings,
    /// `root.json` as it was shipped with the launcher.
    pub shipped_root: Vec<u8>,
    /// The user's own arguments for the app.
    pub arguments: Vec<OsString>,
    /// The language of release notes: `zh-CN` or `en`.
    pub language: String,
    /// The app this launcher started.
    pub app: AppSlot,
    /// Where the app that this launcher started can talk to it.
    pub channel: ChannelSlot,
    /// The documents of the package that was asked about last.
    pub package_documents: DocumentCache,
    /// The neighbours on the local network.
    pub peer_network: PeerNetworkSlot,
    /// Asks the environment.
    pub variable: fn(&str) -> Option<OsString>,
}

impl Context {
    /// Takes the home's lock, waiting a little for another launcher.
    pub(crate) fn lock(&self) -> Result<HomeLock, StoreError> {
        self.lock_within(LOCK_TIMEOUT)
    }

    /// The same on the way to a start, which a launcher that is stopped must not hold up: until the
    /// app runs the wait is short.
    pub(crate) fn lock_for_start(&self) -> Result<HomeLock, StoreError> {
        self.lock_within(if self.app.get().is_some() {
            LOCK_TIMEOUT
        } else {
            LOCK_TIMEOUT_OF_A_START
        })
    }

    fn lock_within(&self, limit: Duration) -> Result<HomeLock, StoreError> {
        let end = Instant::now() + limit;
        loop {
            match HomeLock::take(&self.home) {
                Err(StoreError::Busy { .. }) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                result => return result,
            }
        }
    }
}
