//! Shortcuts that an earlier installation of the app has left: of Squirrel, of PyInstaller, of an
//! MSI. They start the old program, so the user would go on with the old version.
//!
//! In: the programs that the publisher names, the user's folders. Out: the shortcuts that start one
//! of them; if the user says so, they give way, and `<home>/old-shortcuts.json` holds them. Never:
//! touches one without the user's word, one of the system's own folders, or one that starts this
//! launcher.

mod entry_file;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::shortcut::{self, Artifact, System, put};
use super::{DesktopError, Entry, link_file, remove_file};
use crate::durable;
use crate::file_error::FileResult as _;
use crate::host::UserFolders;
use crate::look;
use crate::model::replaced_program::ReplacedProgram;
use crate::store::Home;

/// How many folders deep menus are searched.
const DEPTH: u32 = 3;

/// A shortcut that starts a program of an earlier installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OldShortcut {
    pub path: PathBuf,
    /// Its name as its user sees it.
    pub name: String,
    /// The program that it starts, as the shortcut names it.
    pub program: String,
    /// Whether it lies on the desktop.
    pub is_on_desktop: bool,
    content: Vec<u8>,
}

/// A shortcut that has given way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Replaced {
    path: PathBuf,
    program: String,
    content: Vec<u8>,
    /// Whether the file was marked as a program, as desktops of Linux want it.
    #[serde(default)]
    executable: bool,
}

/// Finds the shortcuts of this user that start one of `programs`. `own` is this launcher.
pub(crate) fn find(
    programs: &[ReplacedProgram],
    own: &Path,
    home: &Home,
    folders: &UserFolders,
    system: System,
) -> Vec<OldShortcut> {
    if programs.is_empty() {
        return Vec::new();
    }
    let ours = shortcut::files(home);
    let mut found = Vec::new();
    for path in candidates(folders, system) {
        if ours.contains(&path) {
            continue;
        }
        // What cannot be read stays as it is.
        let Ok(Some(content)) = look::read(&path, look::SMALL) else { continue };
        let words = words(&content, system);
        if words.iter().any(|word| Path::new(word) == own) {
            continue;
        }
        let program = words.into_iter().find(|word| programs.iter().any(|it| it.is(word)));
        let is_on_desktop = folders.desktop.as_deref() == path.parent();
        let name = name(&path, &content, system);
        found.extend(program.map(|program| OldShortcut {
            path,
            name,
            program,
            is_on_desktop,
            content,
        }));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Whether the menu or the desktop of this user has a shortcut that starts this launcher, whoever
/// has made it.
pub(crate) fn is_in_menu(entry: &Entry, folders: &UserFolders, system: System) -> bool {
    candidates(folders, system).iter().any(|path| {
        let content = look::read(path, look::SMALL).ok().flatten().unwrap_or_default();
        words(&content, system).iter().any(|word| Path::new(word) == entry.program)
    })
}

/// The words of a shortcut's command: the program, and on Linux its arguments, one of which may be
/// a script.
fn words(shortcut: &[u8], system: System) -> Vec<String> {
    match system {
        System::Windows => link_file::target(shortcut).into_iter().collect(),
        _ => entry_file::words(&String::from_utf8_lossy(shortcut)),
    }
}

/// What the user sees below the icon: on Windows the name of the file.
fn name(path: &Path, shortcut: &[u8], system: System) -> String {
    let named = (system != System::Windows)
        .then(|| entry_file::name(&String::from_utf8_lossy(shortcut)))
        .flatten();
    named.unwrap_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
}

/// The files that may be such shortcuts. A user's applications on macOS are programs, not
/// shortcuts.
fn candidates(folders: &UserFolders, system: System) -> Vec<PathBuf> {
    let (menu, ending) = match system {
        System::Freedesktop => (folders.data.join("applications"), "desktop"),
        System::Windows => (folders.data.join("Microsoft\\Windows\\Start Menu\\Programs"), "lnk"),
        System::Mac => return Vec::new(),
    };
    let mut files = Vec::new();
    add_files(&menu, ending, DEPTH, &mut files);
    if let Some(desktop) = &folders.desktop {
        add_files(desktop, ending, 1, &mut files);
    }
    files
}

fn add_files(folder: &Path, ending: &str, depth: u32, files: &mut Vec<PathBuf>) {
    if depth == 0 {
        return;
    }
    for entry in look::entries_if_readable(folder) {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => add_files(&path, ending, depth - 1, files),
            Ok(kind) if kind.is_file() => {
                files.extend(path.extension().is_some_and(|it| it == ending).then_some(path));
            }
            // A link leads elsewhere, and is somebody's own work.
            _ => {}
        }
    }
}

/// Notes these shortcuts in the home, before anything happens to them: a launcher that is killed
/// loses none.
///
/// # Errors
/// [`DesktopError::File`] if the record cannot be read or written.
pub(crate) fn record(old: &[OldShortcut], home: &Home) -> Result<(), DesktopError> {
    let mut record = read(home)?;
    record.retain(|former| old.iter().all(|it| it.path != former.path));
    record.extend(old.iter().map(|it| Replaced {
        path: it.path.clone(),
        program: it.program.clone(),
        content: it.content.clone(),
        executable: is_executable(&it.path),
    }));
    write(home, &record)
}

/// Removes these shortcuts, which are recorded. One whose place something else has taken meanwhile,
/// as the app's own shortcut of the same name, stays.
///
/// # Errors
/// [`DesktopError::File`] if a file cannot be read or removed.
pub(crate) fn remove(old: &[OldShortcut]) -> Result<(), DesktopError> {
    for it in old {
        let found = look::read(&it.path, look::SMALL).at("read", &it.path)?;
        if found.as_ref() == Some(&it.content) {
            remove_file(&it.path)?;
        }
    }
    Ok(())
}

/// How many shortcuts have given way and can be put back while the app is installed.
///
/// # Errors
/// [`DesktopError::File`] if the record cannot be read.
pub(crate) fn replaced(home: &Home) -> Result<usize, DesktopError> {
    let ours = shortcut::files(home);
    Ok(read(home)?.iter().filter(|old| !ours.contains(&old.path)).count())
}

/// Puts back the shortcuts whose program is still there, unless something has taken their place.
/// Returns their paths. After that only those are recorded in whose place the app's own shortcut
/// is: the uninstallation puts them back.
///
/// # Errors
/// [`DesktopError::File`] if one cannot be written; a repeated call goes on from there.
pub(crate) fn restore(home: &Home) -> Result<Vec<PathBuf>, DesktopError> {
    let mut restored = Vec::new();
    let ours = shortcut::files(home);
    let (covered, free): (Vec<_>, Vec<_>) =
        read(home)?.into_iter().partition(|old| ours.contains(&old.path));
    for old in free {
        let program = Path::new(&old.program);
        let is_gone = program.is_absolute() && !look::is_there(program).unwrap_or(true);
        if is_gone || look::is_there(&old.path).at("look at", &old.path)? {
            continue;
        }
        let artifact = Artifact::file("old", old.path.clone(), old.content);
        put(&Artifact { executable: old.executable, ..artifact })?;
        restored.push(old.path);
    }
    if covered.is_empty() {
        remove_file(&home.old_shortcuts())?;
    } else {
        write(home, &covered)?;
    }
    Ok(restored)
}

/// Whether there is a record of shortcuts that have given way.
pub(crate) fn is_recorded(home: &Home) -> bool {
    look::is_there(&home.old_shortcuts()).unwrap_or(true)
}

fn read(home: &Home) -> Result<Vec<Replaced>, DesktopError> {
    let path = home.old_shortcuts();
    let json = look::read(&path, look::SMALL).at("read", &path)?;
    let Some(json) = json else { return Ok(Vec::new()) };
    Ok(serde_json::from_slice(&json).at("read", &path)?)
}

fn write(home: &Home, record: &[Replaced]) -> Result<(), DesktopError> {
    let path = home.old_shortcuts();
    let json = serde_json::to_vec(record).at("write", &path)?;
    home.create()?;
    Ok(durable::replace(&path, &json).at("write", &path)?)
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    look::at(path).ok().flatten().is_some_and(|found| found.permissions().mode() & 0o100 != 0)
}

/// Windows has no such mark.
#[cfg(not(unix))]
fn is_executable(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests;
