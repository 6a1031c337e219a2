//! Uninstalling: removes everything that the launcher put on this computer. The user's own files
//! stay, unless the user wants them removed too.
//!
//! The order of the steps makes a kill at any time harmless. First, one rename makes the app
//! uninstalled, with all files still present. Then the user's files move to a safe folder. Then the
//! rest is deleted. A repeated call completes an interrupted one. So does the next installation, as
//! far as the user's files are concerned.

use std::fs;
use std::path::{Path, PathBuf};

use super::program::LauncherFile;
use super::shortcut::{self, System};
use super::{DesktopError, OwnCall, autostart, old_shortcuts, remove_file};
use crate::durable;
use crate::error_chain;
use crate::host::UserFolders;
use crate::look;
use crate::store::hooks::{self, HookOptions};
use crate::store::lock::{HomeLock, RunningLock};
use crate::store::ownership::Owner;
use crate::store::{Home, StoreError, retained};

/// The result of uninstalling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uninstalled {
    /// Whether there was anything to remove.
    pub anything: bool,
    /// Folders with the user's files, retained for the next installation.
    pub retained: Vec<PathBuf>,
    /// Items in the home that are not the launcher's.
    pub foreign: Vec<PathBuf>,
    /// Why the release's `before-uninstall` did not succeed, outermost cause first; empty if it did,
    /// or if there is none.
    pub hook_failure: Vec<String>,
}

/// The options of an uninstall.
#[derive(Clone, Copy)]
pub(crate) struct Uninstall<'a> {
    pub home: &'a Home,
    /// Folders that may contain shortcuts.
    pub folders: Option<&'a UserFolders>,
    /// The launcher's own executable, beside which it may have left files. The executable itself
    /// stays: on some systems a running program cannot remove itself, and whoever put it there
    /// removes it.
    pub program: Option<&'a LauncherFile>,
    /// How this home's shortcuts call the launcher, if it knows its own path.
    pub own: Option<&'a OwnCall>,
    /// Whether the user's files stay.
    pub keep_data: bool,
    /// How the release's `before-uninstall` is run.
    pub hook: HookOptions<'a>,
    /// The time, for the name of the folder of retained user data.
    pub now: jiff::Timestamp,
}

/// Whether there is anything to uninstall. The logs of this launcher alone are nothing: the call
/// itself writes one.
fn is_installed(home: &Home) -> bool {
    if matches!(home.owner(), Owner::Another(_)) {
        return false;
    }
    // An item that cannot be examined counts as the launcher's: then uninstalling reports why it
    // fails.
    let is_file = |name: &str| look::is_there(&home.root().join(name)).unwrap_or(true);
    let has_items = |folder: &'static str| {
        let path = home.root().join(folder);
        match look::at(&path) {
            Ok(Some(found)) if found.is_dir() => {
                look::entries(&path).is_err() || !home.own_in(folder).is_empty()
            }
            Ok(Some(found)) => found.is_symlink(),
            found => found.is_err(),
        }
    };
    let is_log_folder = |folder: &str| {
        let found = look::at(&home.root().join(folder));
        folder == "logs" && found.is_ok_and(|found| found.is_some_and(|found| found.is_dir()))
    };
    let leftovers = || foreign(home).iter().any(|path| name_of(path).starts_with("uninstalling-"));
    Home::FILES.into_iter().any(is_file)
        || Home::FOLDERS.into_iter().any(|folder| has_items(folder) && !is_log_folder(folder))
        || leftovers()
        || shortcut::is_made(home)
        || autostart::is_made(home)
        || old_shortcuts::is_recorded(home)
}

impl Uninstall<'_> {
    /// Uninstalls.
    ///
    /// # Errors
    /// [`crate::store::StoreError::InUse`] while a version is running, [`crate::store::StoreError::Busy`] while another
    /// launcher is at work: nothing is changed then. After another error a repeated call goes on.
    pub(crate) fn perform(self) -> Result<Uninstalled, DesktopError> {
        let Self { home, folders, program, own, keep_data, hook, now } = self;
        if !is_installed(home) && (keep_data || !look::is_there(&home.user_data()).unwrap_or(true))
        {
            return Ok(Uninstalled { foreign: foreign(home), ..Uninstalled::default() });
        }
        let lock = HomeLock::take(home)?;
        refuse_if_running(home)?;
        let hook_failure = run_hook(home, hook, &lock);
        // The hook may take a while, and the user may have started the app meanwhile.
        refuse_if_running(home)?;
        retained::put_away(home, now, &lock)?;
        let retained = retained::settle(home, keep_data, &lock)?;
        shortcut::remove(home, own, folders, System::current())?;
        autostart::turn_off(home, own)?;
        old_shortcuts::restore(home)?;
        if !keep_data {
            home.remove_own("user-data")?;
        }
        // The pointer goes last: until then it names the user's files that the next installation
        // takes over.
        for folder in Home::FOLDERS {
            home.remove_own(folder)?;
        }
        for file in Home::FILES {
            remove_file(&home.root().join(file))?;
        }
        for path in
            foreign(home).iter().filter(|path| name_of(path).starts_with(durable::TEMPORARY_PREFIX))
        {
            remove_file(path)?;
        }
        if let Some(program) = program
            && let Err(error) = program.remove_all()
        {
            tracing::info!(
                error = error_chain::line(&error),
                "what lies beside the launcher stays"
            );
        }
        // While somebody's files lie in its folders, only the marker shows that the next
        // installation may use them.
        if Home::FOLDERS.into_iter().all(|folder| home.foreign_in(folder).is_empty()) {
            remove_file(&home.marker())?;
        }
        // The lock is released before its file is deleted: Windows keeps an open file's name.
        drop(lock);
        remove_file(&home.root().join("lock"))?;
        let foreign = foreign(home);
        // Deletes the home only if it is empty; foreign or retained files keep it.
        let _ = fs::remove_dir(home.root());
        Ok(Uninstalled { anything: true, retained, foreign, hook_failure })
    }
}

fn refuse_if_running(home: &Home) -> Result<(), StoreError> {
    home.folders()?.iter().try_for_each(|id| RunningLock::refuse_if_held(home, id))
}

/// Runs the release's `before-uninstall`. The user wants the app gone: a failure is told, and
/// nothing else comes of it.
fn run_hook(home: &Home, options: HookOptions, lock: &HomeLock) -> Vec<String> {
    match hooks::before_uninstall(home, options, lock) {
        Ok(()) => Vec::new(),
        Err(error) => {
            tracing::warn!(error = error_chain::line(&error), "uninstalling goes on");
            error_chain::list(&error)
        }
    }
}

/// The items in the home that are not the launcher's.
fn foreign(home: &Home) -> Vec<PathBuf> {
    let entries = look::entries_if_readable(home.root()).into_iter();
    let own = [
        home.user_data(),
        home.desktop_record(),
        home.autostart_record(),
        home.old_shortcuts(),
        home.marker(),
        home.root().join("lock"),
    ];
    let is_known = |path: &PathBuf| {
        let name = name_of(path);
        own.contains(path)
            || Home::FILES.contains(&name.as_str())
            || Home::FOLDERS.contains(&name.as_str())
    };
    let mut foreign: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| !is_known(path)).collect();
    foreign.extend(Home::FOLDERS.into_iter().flat_map(|folder| home.foreign_in(folder)));
    foreign.sort();
    foreign
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> jiff::Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn uninstall(home: &Home, keep_data: bool) -> Result<Uninstalled, DesktopError> {
        let hook = HookOptions::PLAIN;
        let (folders, program, own, now) = (None, None, None, now());
        Uninstall { home, folders, program, own, keep_data, hook, now }.perform()
    }

    #[test]
    fn foreign_files_stay_and_a_second_call_finds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        home.create().unwrap();
        home.state().unwrap();
        fs::write(home.root().join("failed.json"), "[]").unwrap();
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
    fn what_somebody_put_into_the_launchers_folders_stays() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        home.create().unwrap();
        let version = home.containers().join("sample_1.0.0_Linux_x86_64/data");
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("mine"), "x").unwrap();
        fs::write(home.logs().join("launcher.log"), "x").unwrap();
        let foreign = ["containers/my", "logs/app.log", "staging/draft.txt", "trust/deed.pdf"];
        fs::create_dir(home.root().join(foreign[0])).unwrap();
        foreign[1..].iter().for_each(|path| fs::write(home.root().join(path), "x").unwrap());
        let done = uninstall(&home, false).unwrap();
        assert_eq!(done.foreign, foreign.map(|path| home.root().join(path)));
        assert!(foreign.iter().all(|path| home.root().join(path).exists()));
        assert!(!home.logs().join("launcher.log").exists() && !home.running().exists());
        assert!(!home.containers().join("sample_1.0.0_Linux_x86_64").exists());
        assert!(!uninstall(&home, false).unwrap().anything);
    }

    #[test]
    fn an_empty_home_with_its_logs_is_no_installation() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("home"));
        home.create().unwrap();
        fs::write(home.logs().join("launcher.log"), "x").unwrap();
        assert!(!uninstall(&home, true).unwrap().anything);
        home.state().unwrap();
        assert!(uninstall(&home, true).unwrap().anything);
        assert!(!home.root().exists());
    }

    #[test]
    fn a_folder_of_another_program_has_nothing_to_uninstall() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        fs::create_dir(home.logs()).unwrap();
        fs::write(home.logs().join("my.log"), "x").unwrap();
        assert!(!uninstall(&home, true).unwrap().anything);
        let left: Vec<_> = fs::read_dir(home.root()).unwrap().collect();
        assert!(left.len() == 1 && home.logs().join("my.log").exists());
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
