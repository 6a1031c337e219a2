//! What every verb works with: the installation, the options and the printed output of this run.
//!
//! In: what the command line says. Out: the environment, an engine with one command. Never: a
//! decision about what a verb does.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Instant;

use super::arguments::Common;
use crate::app::installation::Installation;
use crate::app::login_switch::AppLoginSwitch;
use crate::app::old_shortcuts::AppOldShortcuts;
use crate::app::output::Output;
use crate::app::self_update::SelfUpdate;
use crate::app::{Ending, present, terminal};
use crate::engine::driver;
use crate::environment::Environment;
use crate::gui::texts::Language;
use crate::host;
use crate::messages::language::Setup;
use crate::messages::login_switch::LoginSwitch;
use crate::messages::old_shortcuts::OldShortcutsSwitch;
use crate::messages::protocol::{Command, Phase};
use crate::model::Version;
use crate::session::app_session::AppSession;
use crate::session::channel::ChannelHandle;
use crate::store::{InstalledRecord, StoreError};

/// One run of the program with one verb.
pub(super) struct Invocation<'a> {
    pub place: Installation,
    pub common: &'a Common,
    pub output: &'a Output,
    pub app_arguments: Vec<OsString>,
    pub language: Language,
    pub own: &'a Arc<SelfUpdate>,
    /// When the program began.
    pub began: Instant,
}

impl Invocation<'_> {
    pub(super) fn environment(&self) -> Arc<Environment> {
        let Installation { settings, shipped_root, included_bundle, home } = self.place.clone();
        let arguments = self.app_arguments.clone();
        let language = self.language.tag().to_owned();
        Arc::new(Environment { home, settings, shipped_root, included_bundle, arguments, language })
    }

    pub(super) fn app_session(&self) -> AppSession {
        AppSession::new(self.environment(), ChannelHandle::new(host::private_folders()))
    }

    /// The same for verbs that may open the window, which has switches for the start at login and
    /// for old shortcuts.
    pub(super) fn app_session_of_window(&self) -> AppSession {
        let session = self.app_session();
        let environment = Arc::clone(&session.environment);
        let login = AppLoginSwitch::new(Arc::clone(&environment), Arc::clone(self.own));
        let old = AppOldShortcuts::new(environment, Arc::clone(self.own));
        session
            .with_login_switch(login.map(|switch| Arc::new(switch) as Arc<dyn LoginSwitch>))
            .with_old_shortcuts(old.map(|switch| Arc::new(switch) as Arc<dyn OldShortcutsSwitch>))
    }

    pub(super) fn options(&self) -> present::PresentOptions {
        self.common.options(self.language, self.began)
    }

    /// Starts an engine, gives it one command, and follows it until `until` returns an ending.
    pub(super) fn engine(
        &self,
        command: Command,
        until: impl Fn(&Phase) -> Option<Ending>,
    ) -> Ending {
        let (handle, thread) = match driver::spawn(self.app_session(), Setup::default()) {
            Ok(engine) => engine,
            Err(problem) => return self.output.problem(&problem),
        };
        handle.send(command);
        let ending = terminal::follow(&handle, self.output, until);
        driver::quit(&handle, thread);
        ending
    }

    pub(super) fn record(&self, version: &Version) -> Result<InstalledRecord, StoreError> {
        let records = self.place.home.installed()?;
        let found = records.into_iter().find(|record| record.container.version == *version);
        // A version that exists and cannot be read now is not reported as absent.
        let here = if found.is_none() { self.place.home.folders()? } else { Vec::new() };
        if let Some(id) = here.into_iter().find(|id| id.version == *version)
            && let Err(error @ StoreError::File(_)) = self.place.home.record(&id)
        {
            return Err(error);
        }
        found.ok_or_else(|| StoreError::NotInstalled { id: version.to_string() })
    }
}
