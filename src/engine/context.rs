//! What an engine works with, and the home's lock taken with a little patience.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use super::app::AppSlot;
use super::channel::ChannelSlot;
use super::described::DescribedSlot;
use super::neighbours::OfficeSlot;
use crate::settings::Settings;
use crate::store::lock::HomeLock;
use crate::store::{Home, StoreError};

/// How long a short operation waits for another launcher to finish its own.
const PATIENCE_WITH_LOCK: Duration = Duration::from_secs(3);

/// What an engine works with.
#[derive(Clone)]
pub struct Context {
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
    pub described: DescribedSlot,
    /// The neighbours on the local network.
    pub office: OfficeSlot,
    /// Asks the environment.
    pub variable: fn(&str) -> Option<OsString>,
}

impl Context {
    /// Takes the home's lock, waiting a little for another launcher.
    pub fn lock(&self) -> Result<HomeLock, StoreError> {
        let end = Instant::now() + PATIENCE_WITH_LOCK;
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
