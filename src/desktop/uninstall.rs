//! Everything goes that the launcher put on this computer, but the user's own files, unless that is
//! wanted too.
//!
//! The order is what makes a kill at any time harmless: first one rename makes the app uninstalled,
//! with all files still there; then the user's files move into safety; then the rest goes. A
//! repeated call ends what an interrupted one began, and so does the next installation, as far as
//! the user's files are concerned.

use std::fs;
use std::path::{Path, PathBuf};

use super::program::Program;
use super::shortcut::{self, System};
use super::{DesktopError, remove_file};
use crate::durable;
use crate::host::UserFolders;
use crate::look;
use crate::store::lock::{HomeLock, RunningLock};
use crate::store::{Home, retained};

/// Files in a home that are the launcher's. Whoever adds one to the home's layout adds it here, or
/// it stays behind, and is told.
const FILES: [&str; 5] =
    ["active.json", "state.json", "nodes.json", "known-nodes.json", "journal.json"];
/// Folders in a home that are the launcher's, whole.
const FOLDERS: [&str; 9] = [
    "containers",
    "staging",
    "incoming",
    "running",
    "snapshots",
    "trust",
    "logs",
    "own-update",
    "neighbours",
];

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uninstalled {
    /// Whether anything was there.
    pub anything: bool,
    /// Folders with the user's files, for the next installation.
    pub retained: Vec<PathBuf>,
    /// What is in the home and is none of ours.
    pub foreign: Vec<PathBuf>,
}

/// What to uninstall, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uninstall<'a> {
    /// From where.
    pub home: &'a Home,
    /// Where shortcuts may be.
    pub folders: Option<&'a UserFolders>,
    /// The launcher's own executable, beside which it may have left something. It stays itself: a
    /// running program cannot remove itself everywhere, and whoever put it there takes it away.
    pub program: Option<&'a Program>,
    /// Whether the user's files stay.
    pub keep_data: bool,
    /// Names what is kept.
    pub now: jiff::Timestamp,
}

/// Whether there is anything to uninstall.
pub(crate) fn is_installed(home: &Home) -> bool {
    let ours = |name: &str| {
        let path = home.root().join(name);
        // What cannot be looked at is taken for ours: then the uninstalling says why it fails.
        match look::at(&path) {
            Ok(Some(found)) if found.is_dir() => {
                look::entries(&path).map_or(true, |all| !all.is_empty())
            }
            found => !matches!(found, Ok(None)),
        }
    };
    let leftovers = || foreign(home).iter().any(|path| name_of(path).starts_with("uninstalling-"));
    FILES.into_iter().chain(FOLDERS).any(ours) || leftovers() || shortcut::is_made(home)
}

impl Uninstall<'_> {
    /// Does it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while a version is running, [`StoreError::Busy`] while another launcher is at work: nothing was touched then.
    /// After another error a repeated call goes on.
    pub(crate) fn perform(self) -> Result<Uninstalled, DesktopError> {
        let Self { home, folders, program, keep_data, now } = self;
        if !is_installed(home) && (keep_data || !look::is_there(&home.user_data()).unwrap_or(true))
        {
            return Ok(Uninstalled { foreign: foreign(home), ..Uninstalled::default() });
        }
        let lock = HomeLock::take(home)?;
        for id in home.folders()? {
            RunningLock::refuse_if_held(home, &id)?;
        }
        retained::put_away(home, now, &lock)?;
        let retained = retained::settle(home, keep_data, &lock)?;
        shortcut::remove(home, folders, System::current())?;
        if !keep_data {
            remove_folder(&home.user_data())?;
        }
        // The pointer last: until now it told whose files the next installation takes over.
        for folder in FOLDERS {
            remove_folder(&home.root().join(folder))?;
        }
        for file in FILES {
            remove_file(&home.root().join(file))?;
        }
        for path in
            foreign(home).iter().filter(|path| name_of(path).starts_with(durable::TEMPORARY_PREFIX))
        {
            remove_file(path)?;
        }
        if let Some(program) = program
            && let Err(error) = program.forget()
        {
            tracing::info!(
                error = &error as &dyn std::error::Error,
                "what lies beside the launcher stays"
            );
        }
        // The lock is let go before its file goes: Windows keeps an open file's name.
        drop(lock);
        remove_file(&home.root().join("lock"))?;
        let foreign = foreign(home);
        // Only an empty folder goes; one with foreign or kept files in it stays.
        let _ = fs::remove_dir(home.root());
        Ok(Uninstalled { anything: true, retained, foreign })
    }
}

/// What is in the home and belongs to nobody here.
fn foreign(home: &Home) -> Vec<PathBuf> {
    let entries = look::entries_if_readable(home.root()).into_iter();
    let retained = home.user_data();
    let mut foreign: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = name_of(path);
            *path != retained
                && *path != home.desktop_record()
                && name != "lock"
                && !FILES.contains(&name.as_str())
                && !FOLDERS.contains(&name.as_str())
        })
        .collect();
    foreign.sort();
    foreign
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Deletes a folder of ours with all in it; a link in its place goes, what it leads to stays.
fn remove_folder(path: &Path) -> Result<(), DesktopError> {
    match look::at(path).map_err(DesktopError::io("look at", path))? {
        Some(found) if found.is_dir() => {
            fs::remove_dir_all(path).map_err(DesktopError::io("remove", path))
        }
        Some(_) => remove_file(path).map(drop),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> jiff::Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn uninstall(home: &Home, keep_data: bool) -> Result<Uninstalled, DesktopError> {
        Uninstall { home, folders: None, program: None, keep_data, now: now() }.perform()
    }

    #[test]
    fn foreign_files_stay_and_a_second_call_finds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        home.create().unwrap();
        home.state().unwrap();
        fs::create_dir_all(home.containers().join("sample_1.0.0_Linux_x86_64/data")).unwrap();
        fs::write(home.containers().join("sample_1.0.0_Linux_x86_64/data/mine"), "x").unwrap();
        fs::write(home.root().join("launcher.toml"), "app = 'sample'").unwrap();
        fs::create_dir(home.root().join("photos")).unwrap();
        let done = uninstall(&home, true).unwrap();
        assert_eq!(done.foreign, [home.root().join("launcher.toml"), home.root().join("photos")]);
        assert_eq!(done.retained.len(), 1);
        let left: Vec<String> = fs::read_dir(home.root())
            .unwrap()
            .map(|entry| name_of(&entry.unwrap().path()))
            .collect();
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(!uninstall(&home, true).unwrap().anything);
        assert!(uninstall(&home, false).unwrap().anything, "what was kept can go later");
        assert!(!home.user_data().exists() && home.root().join("photos").is_dir());
        assert!(!uninstall(&Home::new(folder.path().join("none")), true).unwrap().anything);
        assert!(!folder.path().join("none").exists(), "nothing is made in order to remove it");
    }

    #[test]
    #[cfg(unix)]
    fn a_link_goes_and_what_it_leads_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        home.create().unwrap();
        let outside = folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "x").unwrap();
        fs::remove_dir(home.logs()).unwrap();
        std::os::unix::fs::symlink(&outside, home.logs()).unwrap();
        uninstall(&home, false).unwrap();
        assert!(!home.root().exists() && outside.join("precious").is_file());
    }
}
