//! The shortcuts of an earlier installation, for the window and for the verb `old-shortcuts`.
//!
//! In: the environment, this launcher's own path, the user's word. Out: what
//! `desktop::old_shortcuts` finds, takes away and puts back. Never: takes one away without the
//! user's word, or leaves the user without an entry of the app.

use std::path::PathBuf;
use std::sync::Arc;

use super::self_update::SelfUpdate;
use super::shortcuts::entry;
use crate::desktop::old_shortcuts::{self, OldShortcut};
use crate::desktop::shortcut::{self, System};
use crate::desktop::{DesktopError, Entry};
use crate::environment::Environment;
use crate::host::{self, UserFolders};
use crate::messages::old_shortcuts::OldShortcutsSwitch;
use crate::messages::problem;
use crate::messages::protocol::{FoundShortcut, OldShortcuts, Problem, ShortcutChoice};
use crate::store::{Home, HomeState};

/// The old shortcuts of one launcher's user.
pub(crate) struct AppOldShortcuts {
    environment: Arc<Environment>,
    own: Arc<SelfUpdate>,
    folders: UserFolders,
}

impl AppOldShortcuts {
    /// `None` if the publisher names no earlier program and none has given way, or if the system
    /// names no folders of this user.
    pub(crate) fn new(environment: Arc<Environment>, own: Arc<SelfUpdate>) -> Option<Self> {
        let is_known = !environment.settings.desktop.replaces.is_empty()
            || old_shortcuts::is_recorded(&environment.home);
        let folders = host::user_folders().filter(|_| is_known && own.program().is_some())?;
        Some(Self { environment, own, folders })
    }

    fn present(&self) -> Result<OldShortcuts, DesktopError> {
        let home = &self.environment.home;
        let found = find(&self.environment, &self.own, &self.folders).into_iter();
        Ok(OldShortcuts {
            found: found.map(seen).collect(),
            replaced: old_shortcuts::replaced(home)?,
            answered: home.stored_state()?.unwrap_or_default().old_shortcuts_answered,
        })
    }
}

impl OldShortcutsSwitch for AppOldShortcuts {
    fn state(&self) -> Result<OldShortcuts, Problem> {
        self.present().map_err(|error| problem::of_desktop(&error))
    }

    fn choose(&self, choice: ShortcutChoice) -> Result<(), Problem> {
        let home = &self.environment.home;
        let done = match choice {
            ShortcutChoice::Replace => replace(&self.environment, &self.own, &self.folders),
            ShortcutChoice::Leave => Ok(Vec::new()),
            ShortcutChoice::Restore => restore(home),
        };
        done.and_then(|_| answered(home)).map_err(|error| problem::of_desktop(&error))
    }
}

/// The shortcut as its user sees it.
fn seen(old: OldShortcut) -> FoundShortcut {
    FoundShortcut { name: old.name, on_desktop: old.is_on_desktop }
}

/// Remembers that the user has said what becomes of old shortcuts.
pub(crate) fn answered(home: &Home) -> Result<(), DesktopError> {
    let state = home.state()?;
    if !state.old_shortcuts_answered {
        home.set_state(&HomeState { old_shortcuts_answered: true, ..state })?;
    }
    Ok(())
}

/// The shortcuts that still start the earlier installation.
pub(crate) fn find(
    environment: &Environment,
    own: &SelfUpdate,
    folders: &UserFolders,
) -> Vec<OldShortcut> {
    let Some(program) = own.program() else { return Vec::new() };
    let programs = &environment.settings.desktop.replaces;
    let home = &environment.home;
    old_shortcuts::find(programs, program.path(), home, folders, System::current())
}

/// Puts back those that have given way. Returns their paths.
///
/// # Errors
/// [`DesktopError::File`] if one cannot be written; a repeated call goes on from there.
pub(crate) fn restore(home: &Home) -> Result<Vec<PathBuf>, DesktopError> {
    old_shortcuts::restore(home)
}

/// Lets the old shortcuts give way, and sees to it that the app itself is in the menu. Returns their
/// paths.
///
/// # Errors
/// Those of [`shortcut::make`] and of the removal; a repeated call goes on from there.
pub(crate) fn replace(
    environment: &Environment,
    own: &SelfUpdate,
    folders: &UserFolders,
) -> Result<Vec<PathBuf>, DesktopError> {
    let old = find(environment, own, folders);
    let Some(entry) = entry(environment, own).filter(|_| !old.is_empty()) else {
        return Ok(Vec::new());
    };
    // The record comes first, since the app's own shortcut may take the place of an old one. The
    // old ones go last, so that the user is never without one.
    old_shortcuts::record(&old, &environment.home)?;
    make_entry(environment, &entry, folders, &old)?;
    old_shortcuts::remove(&old)?;
    Ok(old.into_iter().map(|old| old.path).collect())
}

/// Makes the app's own entry, with an icon on the desktop if an old one lies there. A package or an
/// installer has made one already.
fn make_entry(
    environment: &Environment,
    entry: &Entry,
    folders: &UserFolders,
    old: &[OldShortcut],
) -> Result<(), DesktopError> {
    let is_package = !environment.settings.launcher.self_update;
    let system = System::current();
    if is_package || old_shortcuts::is_in_menu(entry, folders, system) {
        return Ok(());
    }
    let on_desktop = old.iter().any(|old| old.is_on_desktop);
    shortcut::make(entry, &environment.home, folders, on_desktop, system).map(drop)
}
