//! The launcher's connection with the app that it started: the environment that it was started in,
//! and the two live handles of it.
//!
//! Never: work of its own; starting, closing and talking have their own modules.

use std::sync::Arc;
use std::time::Duration;

use super::app::AppHandle;
use super::channel::ChannelHandle;
use crate::environment::Environment;
use crate::model::incident::Incident;
use crate::store::lock::HomeLock;
use crate::store::probation;
use crate::store::{Home, StoreError};

/// How long the home's lock is waited for before the app has started: nobody waits longer for his
/// app than must be.
const LOCK_TIMEOUT_OF_A_START: Duration = Duration::from_millis(400);

/// The app of this launcher. Clones share it.
#[derive(Clone)]
pub(crate) struct AppSession {
    /// What the launcher works with.
    pub environment: Arc<Environment>,
    /// The app that this launcher started.
    pub app: AppHandle,
    /// Where that app can talk to its launcher.
    pub channel: ChannelHandle,
}

impl AppSession {
    /// A session in which no app was started yet.
    pub(crate) fn new(environment: Arc<Environment>, channel: ChannelHandle) -> Self {
        Self { environment, app: AppHandle::default(), channel }
    }

    /// Where versions are installed.
    pub(crate) fn home(&self) -> &Home {
        &self.environment.home
    }

    /// Takes the home's lock on the way to a start, which a launcher that is stopped must not hold
    /// up: until the app runs the wait is short.
    pub(crate) fn lock_for_start(&self) -> Result<HomeLock, StoreError> {
        match self.app.get() {
            Some(_) => self.environment.lock(),
            None => self.environment.lock_within(LOCK_TIMEOUT_OF_A_START),
        }
    }

    /// Leaves a notice, and tells it at once to whoever listens.
    pub(crate) fn leave_notice(&self, what: Incident) {
        self.app.tell(&what);
        if let Err(error) = probation::leave_notice(self.home(), what, jiff::Timestamp::now()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "nobody will be told");
        }
    }
}
