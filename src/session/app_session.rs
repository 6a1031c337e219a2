//! The launcher's connection with the app that it started: the environment that the app was started
//! in, two live handles, the app and its channel, and the user's switches for what lies outside the
//! home: its start at login, and the shortcuts of an earlier installation.
//!
//! Never: starts, closes or talks to the app; other modules do that.

use std::sync::Arc;
use std::time::Duration;

use super::app::AppHandle;
use super::channel::ChannelHandle;
use crate::environment::Environment;
use crate::error_chain;
use crate::messages::login_switch::LoginSwitch;
use crate::messages::old_shortcuts::OldShortcutsSwitch;
use crate::model::incident::Incident;
use crate::store::lock::HomeLock;
use crate::store::probation;
use crate::store::{Home, StoreError};

/// How long a start waits for the home's lock before the app runs. Short, so that a person waits
/// for the app no longer than necessary.
const LOCK_TIMEOUT_OF_A_START: Duration = Duration::from_millis(400);

/// The app of this launcher. Clones share it.
#[derive(Clone)]
pub(crate) struct AppSession {
    /// Home, settings and arguments of the launcher.
    pub environment: Arc<Environment>,
    pub app: AppHandle,
    /// The conversation with that app.
    pub channel: ChannelHandle,
    /// The start of the app at login; `None` where this launcher offers no switch for it.
    pub login_switch: Option<Arc<dyn LoginSwitch>>,
    /// The shortcuts of an earlier installation; `None` where this launcher knows of none.
    pub old_shortcuts: Option<Arc<dyn OldShortcutsSwitch>>,
}

impl AppSession {
    /// A session in which no app was started yet.
    pub(crate) fn new(environment: Arc<Environment>, channel: ChannelHandle) -> Self {
        let app = AppHandle::default();
        Self { environment, app, channel, login_switch: None, old_shortcuts: None }
    }

    /// The same with a switch for the start of the app at login.
    pub(crate) fn with_login_switch(self, switch: Option<Arc<dyn LoginSwitch>>) -> Self {
        Self { login_switch: switch, ..self }
    }

    /// The same with the shortcuts of an earlier installation.
    pub(crate) fn with_old_shortcuts(self, switch: Option<Arc<dyn OldShortcutsSwitch>>) -> Self {
        Self { old_shortcuts: switch, ..self }
    }

    /// The home of the installation.
    pub(crate) fn home(&self) -> &Home {
        &self.environment.home
    }

    /// Takes the home's lock on the way to a start. Until the app runs the wait is short, so that
    /// another launcher that is stopped cannot delay the start.
    pub(crate) fn lock_for_start(&self) -> Result<HomeLock, StoreError> {
        match self.app.get() {
            Some(_) => self.environment.lock(),
            None => self.environment.lock_within(LOCK_TIMEOUT_OF_A_START),
        }
    }

    /// Leaves a notice, and passes it at once to the listener.
    pub(crate) fn leave_notice(&self, what: Incident) {
        self.app.tell(&what);
        if let Err(error) = probation::leave_notice(self.home(), what, jiff::Timestamp::now()) {
            tracing::warn!(error = error_chain::line(&error), "nobody will be told");
        }
    }
}
