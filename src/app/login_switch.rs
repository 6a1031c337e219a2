//! The start of the app at login, for the window and for the verb `autostart`.
//!
//! In: the environment, this launcher's own path. Out: what `desktop::autostart` makes and removes.
//! Never: turned on without the user's word.

use std::path::PathBuf;
use std::sync::Arc;

use super::self_update::SelfUpdate;
use super::shortcuts::{entry, own_call};
use crate::desktop::autostart::{self, State};
use crate::desktop::shortcut::System;
use crate::desktop::{DesktopError, Entry, OwnCall};
use crate::environment::Environment;
use crate::host::{self, UserFolders};
use crate::messages::login_switch::LoginSwitch;
use crate::messages::problem;
use crate::messages::protocol::{LoginStart, Problem};

/// The switch of one launcher.
pub(crate) struct AppLoginSwitch {
    environment: Arc<Environment>,
    own: Arc<SelfUpdate>,
    /// `None` if the system names none.
    folders: Option<UserFolders>,
}

impl AppLoginSwitch {
    /// The switch; `None` for a launcher that does not know its own path, which no system can
    /// start.
    pub(crate) fn new(environment: Arc<Environment>, own: Arc<SelfUpdate>) -> Option<Self> {
        own.program()?;
        Some(Self { environment, own, folders: host::user_folders() })
    }

    fn entry(&self) -> Option<Entry> {
        entry(&self.environment, &self.own)
    }

    fn own_call(&self) -> Option<OwnCall> {
        own_call(&self.environment, &self.own)
    }
}

impl LoginSwitch for AppLoginSwitch {
    fn state(&self) -> Result<LoginStart, Problem> {
        if self.folders.is_none() {
            return Ok(LoginStart::Unavailable);
        }
        let state = autostart::state(&self.environment.home, self.own_call().as_ref());
        Ok(match state.map_err(|error| problem::of_desktop(&error))? {
            State::On(_) => LoginStart::On,
            State::Off => LoginStart::Off,
            State::OffInSystem => LoginStart::OffInSystem,
        })
    }

    fn turn(&self, on: bool) -> Result<(), Problem> {
        let done = if on {
            turn_on(&self.environment, self.entry(), self.folders.as_ref())
        } else {
            autostart::turn_off(&self.environment.home, self.own_call().as_ref())
        };
        done.map(|_| ()).map_err(|error| problem::of_desktop(&error))
    }
}

/// Makes the system start the app at login. Returns the file, or `None` if it was there before.
///
/// # Errors
/// [`DesktopError::NoFolder`] without folders of the user or a path of the launcher; those of
/// [`autostart::turn_on`].
pub(crate) fn turn_on(
    environment: &Environment,
    entry: Option<Entry>,
    folders: Option<&UserFolders>,
) -> Result<Option<PathBuf>, DesktopError> {
    let (Some(entry), Some(folders)) = (entry, folders) else {
        return Err(DesktopError::NoFolder("programs that start at login"));
    };
    autostart::turn_on(&entry, &environment.home, folders, System::current())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;
    use crate::store::Home;

    const SETTINGS: &str =
        "app = 'sample'\n[[nodes]]\nid = 'one'\nurl = 'http://127.0.0.1:8080/'\n";

    fn switch(root: &Path, folders: Option<UserFolders>) -> AppLoginSwitch {
        let environment = Environment {
            home: Home::new(root.join("home")),
            settings: Settings::parse(SETTINGS, Path::new("launcher.toml")).unwrap(),
            shipped_root: Vec::new(),
            included_bundle: None,
            arguments: Vec::new(),
            language: "en".to_owned(),
        };
        let own = Arc::new(SelfUpdate::new(None, None));
        AppLoginSwitch { environment: Arc::new(environment), own, folders }
    }

    #[test]
    fn the_switch_makes_and_removes_the_file_that_the_system_reads() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let folders = UserFolders {
            home: root.join("user"),
            data: root.join("user/data"),
            config: root.join("user/config"),
            desktop: None,
        };
        let switch = switch(root, Some(folders));
        let files =
            || std::fs::read_dir(root.join("user/config/autostart")).map_or(0, Iterator::count);
        assert_eq!((switch.state(), files()), (Ok(LoginStart::Off), 0));
        for (on, state, count) in
            [(true, LoginStart::On, 1), (true, LoginStart::On, 1), (false, LoginStart::Off, 0)]
        {
            switch.turn(on).unwrap();
            assert_eq!((switch.state(), files()), (Ok(state), count), "{on}");
        }
    }

    #[test]
    fn without_a_folder_of_the_user_it_cannot_be_turned_on() {
        let folder = tempfile::tempdir().unwrap();
        let switch = switch(folder.path(), None);
        assert_eq!(switch.state(), Ok(LoginStart::Unavailable));
        assert!(switch.turn(true).is_err());
    }
}
