//! Makes, refreshes and removes the app's shortcuts on a user's desktop. `<home>/desktop.json`
//! lists the files. The launcher writes this list before the first file, so a launcher that is
//! killed leaves no unlisted file. `artifacts` says which files there are, `record` is that list.

mod artifacts;
mod record;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(super) use artifacts::{Artifact, ShortcutContent, artifacts, mark};
pub(crate) use artifacts::{System, id};
pub(super) use record::{Made, digest_of};

use super::windows::{ClassValue, FileClass, Link};
use super::{BUNDLE_SUFFIX, DesktopError, Entry, OwnCall, remove_file, second_home, windows};
use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::host::UserFolders;
use crate::store::Home;
use record::{ShortcutRecord, read, write};

/// Makes the shortcut, or brings it up to date. Files that a person changed or deleted are made
/// again. Returns the files that were written.
///
/// # Errors
/// Those of [`artifacts()`]; [`DesktopError::File`] and [`DesktopError::System`] if something cannot be
/// written.
pub(crate) fn make(
    entry: &Entry,
    home: &Home,
    folders: &UserFolders,
    on_desktop: bool,
    system: System,
) -> Result<Vec<PathBuf>, DesktopError> {
    let before = read(home)?.unwrap_or_default();
    let wanted = wanted(entry, &before, home, folders, on_desktop, system)?;
    let changes = Changes::between(&before, wanted, on_desktop, |_, _| true);
    changes.carry_out(entry, &before, home, folders, system)
}

/// Brings an existing shortcut up to date with the app's name and icon. A file that a person
/// deleted stays away, and a file that a person changed stays as it is. Does nothing if there is no
/// shortcut.
///
/// # Errors
/// As [`make`].
pub(crate) fn refresh(
    entry: &Entry,
    home: &Home,
    folders: &UserFolders,
    system: System,
) -> Result<Vec<PathBuf>, DesktopError> {
    let Some(before) = read(home)? else { return Ok(Vec::new()) };
    let on_desktop = before.desktop;
    let wanted = wanted(entry, &before, home, folders, on_desktop, system)?;
    let ours = |made: Option<&Made>, artifact: &Artifact| match made {
        Some(made) => {
            let outdated = made.source != artifact.content.digest() || made.path != artifact.path;
            outdated && digest_of(&made.path).is_some_and(|found| made.file == Some(found))
        }
        // A size of the icon that the previous icon was too small for.
        None => artifact.kind.starts_with("icon"),
    };
    Changes::between(&before, wanted, on_desktop, ours)
        .carry_out(entry, &before, home, folders, system)
}

/// Whether this home has a shortcut, or may have one.
pub(crate) fn is_made(home: &Home) -> bool {
    !matches!(read(home), Ok(None))
}

/// The files that the launcher has made for this home's shortcut.
pub(super) fn files(home: &Home) -> Vec<PathBuf> {
    let record = read(home).ok().flatten().unwrap_or_default();
    record.files.into_iter().map(|made| made.path).collect()
}

/// The files of a shortcut, with names that no other home of the app has.
fn wanted(
    entry: &Entry,
    before: &ShortcutRecord,
    home: &Home,
    folders: &UserFolders,
    on_desktop: bool,
    system: System,
) -> Result<Vec<Artifact>, DesktopError> {
    let all = |entry: &Entry| artifacts(entry, home, folders, on_desktop, system);
    // There the home is in the names of the files already.
    if system == System::Freedesktop {
        return all(entry);
    }
    second_home::distinct(entry, home, &before.files, all)
}

/// The difference between the files of a shortcut as they are and as they should be.
struct Changes {
    to_write: Vec<Artifact>,
    /// Files that stay as they are.
    retained: Vec<Made>,
    /// Files to remove.
    outdated: Vec<Made>,
    /// Whether there is to be a shortcut on the desktop as well.
    desktop: bool,
}

impl Changes {
    /// What brings the files of `before` to the `wanted` ones. A file is written only if
    /// `may_write` allows it.
    fn between(
        before: &ShortcutRecord,
        wanted: Vec<Artifact>,
        desktop: bool,
        may_write: impl Fn(Option<&Made>, &Artifact) -> bool,
    ) -> Self {
        let (mut to_write, mut retained) = (Vec::new(), Vec::new());
        for artifact in wanted {
            let made = before.files.iter().find(|made| made.kind == artifact.kind);
            let is_there = made.is_some_and(|made| {
                made.path == artifact.path
                    && made.source == artifact.content.digest()
                    && made.file.is_some()
                    && digest_of(&made.path) == made.file
            });
            if !is_there && may_write(made, &artifact) {
                to_write.push(artifact);
            } else {
                retained.extend(made.cloned());
            }
        }
        let is_outdated = |made: &&Made| {
            let is_written = to_write.iter().any(|artifact| artifact.path == made.path);
            !retained.contains(made) && !is_written
        };
        let outdated = before.files.iter().filter(is_outdated).cloned().collect();
        Self { to_write, retained, outdated, desktop }
    }

    /// Writes and removes the files. Returns those that were renewed; none if nothing has changed.
    fn carry_out(
        self,
        entry: &Entry,
        before: &ShortcutRecord,
        home: &Home,
        folders: &UserFolders,
        system: System,
    ) -> Result<Vec<PathBuf>, DesktopError> {
        let Self { to_write, mut retained, outdated, desktop } = self;
        let values = registry_values(entry, home, system)?;
        let is_windows = system == System::Windows;
        let class = is_windows.then(|| windows::class(entry));
        let documents = if is_windows { windows::document_classes(entry) } else { Vec::new() };
        let registered = is_windows.then(|| windows::digest(&values));
        let is_recorded = before.desktop == desktop && before.registered == registered;
        if to_write.is_empty() && outdated.is_empty() && is_recorded {
            return Ok(Vec::new());
        }
        let former = before.documents.iter().filter(|class| !documents.contains(class));
        let all = documents.iter().chain(former.clone()).cloned().collect();
        // The complete list, existing and new, is stored before any file changes.
        let planned = to_write.iter().map(|artifact| Made {
            kind: artifact.kind.clone(),
            path: artifact.path.clone(),
            source: artifact.content.digest(),
            file: None,
        });
        let files = retained.iter().chain(&outdated).cloned().chain(planned).collect();
        let planned = ShortcutRecord {
            desktop,
            files,
            class: class.clone(),
            documents: all,
            registered: None,
        };
        write(home, &planned)?;
        let mut written = Vec::new();
        for artifact in to_write {
            put(&artifact)?;
            retained.push(Made {
                source: artifact.content.digest(),
                file: digest_of(&artifact.path),
                kind: artifact.kind,
                path: artifact.path.clone(),
            });
            written.push(artifact.path);
        }
        let own = entry.own_call();
        let is_ours = |made: &&Made| {
            !second_home::belongs_to_another_home_now(made, &before.files, home, Some(&own))
        };
        for made in outdated.iter().filter(is_ours) {
            remove_made(&made.path)?;
        }
        for class in former {
            dissociate(class)?;
        }
        associate(&values)?;
        let entries: Vec<PathBuf> = retained.iter().map(|made| made.path.clone()).collect();
        let files = retained;
        write(home, &ShortcutRecord { desktop, files, class, documents, registered })?;
        tell_system(system, folders, &written);
        // Only what they open has changed: then the entries that stay are what was renewed.
        Ok(if written.is_empty() { entries } else { written })
    }
}

/// Removes all files of this home's shortcut, which is called so. Returns those that existed.
///
/// # Errors
/// [`DesktopError::File`] and [`DesktopError::System`] if something cannot be removed; a repeated
/// call goes on from there.
pub(crate) fn remove(
    home: &Home,
    own: Option<&OwnCall>,
    folders: Option<&UserFolders>,
    system: System,
) -> Result<Vec<PathBuf>, DesktopError> {
    let Some(record) = read(home)? else { return Ok(Vec::new()) };
    let mut removed = Vec::new();
    let is_ours =
        |made: &&Made| !second_home::belongs_to_another_home_now(made, &record.files, home, own);
    for made in record.files.iter().filter(is_ours) {
        if remove_made(&made.path)? {
            removed.push(made.path.clone());
        }
    }
    let bundles = record.class.map(|class| FileClass { extension: BUNDLE_SUFFIX.into(), class });
    for class in bundles.iter().chain(&record.documents) {
        dissociate(class)?;
    }
    remove_file(&home.desktop_record())?;
    if let Some(folders) = folders {
        tell_system(system, folders, &[]);
    }
    Ok(removed)
}

pub(super) fn put(artifact: &Artifact) -> Result<(), DesktopError> {
    let path = &artifact.path;
    if let Some(folder) = path.parent() {
        durable::create_folders(folder).at("create", folder)?;
    }
    match &artifact.content {
        ShortcutContent::Bytes(bytes) => durable::replace(path, bytes).at("write", path)?,
        ShortcutContent::Link(link) => write_link(path, link)?,
    }
    #[cfg(unix)]
    if artifact.executable {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, mode).at("make executable", path)?;
    }
    Ok(())
}

/// Deletes a file, and the folders of an application bundle once they are empty.
fn remove_made(path: &Path) -> Result<bool, DesktopError> {
    let removed = remove_file(path)?;
    let bundle = |folder: &&Path| {
        folder
            .components()
            .any(|part| Path::new(part.as_os_str()).extension().is_some_and(|e| e == "app"))
    };
    for folder in path.ancestors().skip(1).take(3).take_while(bundle) {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(removed)
}

/// Makes the desktop notice the change at once. Without these programs it notices it later.
fn tell_system(system: System, folders: &UserFolders, written: &[PathBuf]) {
    if system != System::Freedesktop {
        return;
    }
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        let silent = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match silent {
            Ok(status) if status.success() => {}
            Ok(status) => {
                tracing::info!(program, %status, "the desktop may notice the shortcut later")
            }
            Err(error) => tracing::info!(
                program,
                error = error_chain::line(&error),
                "the desktop may notice the shortcut later"
            ),
        }
    };
    for (program, folder) in
        [("update-desktop-database", "applications"), ("update-mime-database", "mime")]
    {
        let folder = folders.data.join(folder);
        if folder.is_dir() {
            run(program, &[folder.as_os_str()]);
        }
    }
    // GNOME asks before it starts a file on the desktop, unless this attribute says that the user
    // has agreed.
    for path in written.iter().filter(|path| folders.desktop.as_deref() == path.parent()) {
        run(
            "gio",
            &["set".as_ref(), path.as_os_str(), "metadata::trusted".as_ref(), "true".as_ref()],
        );
    }
}

#[cfg(windows)]
fn write_link(path: &Path, link: &Link) -> Result<(), DesktopError> {
    super::shell::write_link(path, link)
}

/// What the registry holds of the app; nothing on the other systems.
fn registry_values(
    entry: &Entry,
    home: &Home,
    system: System,
) -> Result<Vec<ClassValue>, DesktopError> {
    if system != System::Windows {
        return Ok(Vec::new());
    }
    windows::classes(entry, &home.root().join("icon.ico"))
}

#[cfg(windows)]
fn associate(values: &[ClassValue]) -> Result<(), DesktopError> {
    if values.is_empty() { Ok(()) } else { super::shell::associate(values) }
}

#[cfg(windows)]
fn dissociate(class: &FileClass) -> Result<(), DesktopError> {
    super::shell::dissociate(class)
}

/// Only Windows has links; the other systems ask for none.
#[cfg(not(windows))]
fn write_link(path: &Path, _link: &Link) -> Result<(), DesktopError> {
    Err(FileError::new("make the link", path, std::io::ErrorKind::Unsupported).into())
}

/// Only Windows has a registry.
#[cfg(not(windows))]
fn associate(_values: &[ClassValue]) -> Result<(), DesktopError> {
    Ok(())
}

#[cfg(not(windows))]
fn dissociate(_class: &FileClass) -> Result<(), DesktopError> {
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
