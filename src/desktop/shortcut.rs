//! Makes, refreshes and removes the app's shortcuts on a user's desktop. `<home>/desktop.json`
//! lists the files. The launcher writes this list before the first file, so a launcher that is
//! killed leaves no unlisted file.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::windows::Link;
use super::{DesktopError, Entry, freedesktop, icon, mac, remove_file, windows};
use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::host::UserFolders;
use crate::look;
use crate::model::Digest;
use crate::store::Home;

/// The kind of desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Linux and related systems.
    Freedesktop,
    /// Windows.
    Windows,
    /// macOS.
    Mac,
}

impl System {
    /// The system this program runs on.
    pub(crate) const fn current() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::Mac
        } else {
            Self::Freedesktop
        }
    }
}

/// A file that belongs to a shortcut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// Its purpose; the same in every version of the app.
    pub kind: String,
    pub path: PathBuf,
    pub content: ShortcutContent,
    /// Whether it must be executable.
    pub executable: bool,
}

/// The content of such a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShortcutContent {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A link that Windows writes from these values.
    Link(Link),
}

impl ShortcutContent {
    fn digest(&self) -> Digest {
        match self {
            Self::Bytes(bytes) => Digest::of(bytes),
            Self::Link(link) => Digest::of(link.facts().as_bytes()),
        }
    }
}

/// The content of `<home>/desktop.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ShortcutRecord {
    /// Whether the user wanted an icon on the desktop.
    desktop: bool,
    files: Vec<Made>,
    /// The class in Windows' registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    kind: String,
    path: PathBuf,
    /// Digest of the content that it was made from.
    source: Digest,
    /// Digest of the file; absent until the file is known to be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<Digest>,
}

/// The name of a shortcut's files: from the app, and from its home if that is not the usual one. So
/// two installations of an app can both have a shortcut.
pub(crate) fn id(app: &str, home: &Path, usual_home: Option<&Path>) -> String {
    if usual_home == Some(home) {
        return format!("kuzflow-{app}");
    }
    let digest = Digest::of(home.as_os_str().as_encoded_bytes()).to_string();
    format!("kuzflow-{app}-{}", &digest[..8])
}

/// All files of a shortcut on `system`. Pure.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path is not Unicode.
pub(crate) fn artifacts(
    entry: &Entry,
    home: &Home,
    folders: &UserFolders,
    on_desktop: bool,
    system: System,
) -> Result<Vec<Artifact>, DesktopError> {
    let file = |kind: &str, path: PathBuf, bytes: Vec<u8>, executable| Artifact {
        kind: kind.to_owned(),
        path,
        content: ShortcutContent::Bytes(bytes),
        executable,
    };
    // Without a desktop folder the menu entry is made all the same.
    let desktop = folders.desktop.as_ref().filter(|_| on_desktop);
    let (id, data) = (&entry.id, &folders.data);
    let mut all = Vec::new();
    match system {
        System::Freedesktop => {
            for (side, png) in icon::for_hicolor(&entry.icon) {
                let path = data.join(format!("icons/hicolor/{side}x{side}/apps/{id}.png"));
                all.push(file(&format!("icon-{side}"), path, png, false));
            }
            let application = freedesktop::application(entry)?.into_bytes();
            all.push(file(
                "bundles",
                data.join(format!("mime/packages/{id}.xml")),
                freedesktop::mime_package(entry).into(),
                false,
            ));
            let opener = freedesktop::opener(entry)?.into_bytes();
            all.push(file(
                "opener",
                data.join(format!("applications/{id}-install.desktop")),
                opener,
                false,
            ));
            all.push(file(
                "menu",
                data.join(format!("applications/{id}.desktop")),
                application.clone(),
                false,
            ));
            // Desktops start only files that are marked as a program.
            all.extend(desktop.map(|folder| {
                file("desktop", folder.join(format!("{id}.desktop")), application, true)
            }));
        }
        System::Windows => {
            let icon_file = home.root().join("icon.ico");
            all.extend(
                icon::for_windows(&entry.icon)
                    .map(|icon| file("icon", icon_file.clone(), icon, false)),
            );
            let link = windows::link(entry, &icon_file)?;
            let name = windows::link_name(entry);
            let mut add = |kind: &str, folder: PathBuf| {
                let content = ShortcutContent::Link(link.clone());
                all.push(Artifact {
                    kind: kind.to_owned(),
                    path: folder.join(&name),
                    content,
                    executable: false,
                });
            };
            let menu = data.join("Microsoft\\Windows\\Start Menu\\Programs");
            add("menu", menu.clone());
            desktop.into_iter().for_each(|folder| add("desktop", folder.clone()));
            let second = windows::window_link(entry, &icon_file)?;
            all.extend(second.map(|(name, link)| Artifact {
                kind: "menu-window".to_owned(),
                path: menu.join(name),
                content: ShortcutContent::Link(link),
                executable: false,
            }));
        }
        System::Mac => {
            let name = mac::bundle_name(entry);
            let folder = folders.home.join("Applications").join(&name).join("Contents");
            all.extend(
                icon::for_mac(&entry.icon)
                    .map(|icon| file("icon", folder.join("Resources/icon.icns"), icon, false)),
            );
            all.push(file(
                "information",
                folder.join("Info.plist"),
                mac::information(entry).into_bytes(),
                false,
            ));
            all.push(file(
                "menu",
                folder.join("MacOS/start"),
                mac::script(entry)?.into_bytes(),
                true,
            ));
            if let Some(desktop) = desktop {
                // Finder opens such a script in a terminal, which is more than an icon; no text
                // file can be an alias.
                let path = desktop.join(format!("{}.command", name.trim_end_matches(".app")));
                all.push(file("desktop", path, mac::script(entry)?.into_bytes(), true));
            }
        }
    }
    Ok(all)
}

/// Makes the shortcut, or brings it up to date. Files that a person changed or deleted are made
/// again. Returns the files that were written.
///
/// # Errors
/// Those of [`artifacts`]; [`DesktopError::File`] and [`DesktopError::System`] if something cannot be
/// written.
pub(crate) fn make(
    entry: &Entry,
    home: &Home,
    folders: &UserFolders,
    on_desktop: bool,
    system: System,
) -> Result<Vec<PathBuf>, DesktopError> {
    let wanted = artifacts(entry, home, folders, on_desktop, system)?;
    let before = read(home).unwrap_or_default();
    bring(entry, home, folders, system, before, wanted, on_desktop, |_, _| true)
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
    let Some(before) = read(home) else { return Ok(Vec::new()) };
    let on_desktop = before.desktop;
    let wanted = artifacts(entry, home, folders, on_desktop, system)?;
    let ours = |made: Option<&Made>, artifact: &Artifact| match made {
        Some(made) => {
            let outdated = made.source != artifact.content.digest() || made.path != artifact.path;
            outdated && digest_of(&made.path).is_some_and(|found| made.file == Some(found))
        }
        // A size of the icon that the previous icon was too small for.
        None => artifact.kind.starts_with("icon"),
    };
    bring(entry, home, folders, system, before, wanted, on_desktop, ours)
}

/// Whether this home has a shortcut.
pub(crate) fn is_made(home: &Home) -> bool {
    read(home).is_some()
}

#[allow(clippy::too_many_arguments)] // the one way for both of the above
fn bring(
    entry: &Entry,
    home: &Home,
    folders: &UserFolders,
    system: System,
    before: ShortcutRecord,
    wanted: Vec<Artifact>,
    desktop: bool,
    may_write: impl Fn(Option<&Made>, &Artifact) -> bool,
) -> Result<Vec<PathBuf>, DesktopError> {
    let earlier = |artifact: &Artifact| before.files.iter().find(|made| made.kind == artifact.kind);
    let is_there = |artifact: &Artifact| {
        earlier(artifact).is_some_and(|made| {
            made.path == artifact.path
                && made.source == artifact.content.digest()
                && made.file.is_some()
                && digest_of(&made.path) == made.file
        })
    };
    let (to_write, mut retained): (Vec<Artifact>, Vec<Made>) = {
        let mut to_write = Vec::new();
        let mut retained = Vec::new();
        for artifact in wanted {
            let made = earlier(&artifact);
            if !is_there(&artifact) && may_write(made, &artifact) {
                to_write.push(artifact);
            } else {
                retained.extend(made.cloned());
            }
        }
        (to_write, retained)
    };
    let outdated: Vec<Made> = before
        .files
        .iter()
        .filter(|made| {
            !retained.contains(made) && !to_write.iter().any(|artifact| artifact.path == made.path)
        })
        .cloned()
        .collect();
    let class = (system == System::Windows).then(|| windows::class(entry));
    if to_write.is_empty() && outdated.is_empty() && before.desktop == desktop {
        return Ok(Vec::new());
    }
    // The complete list, existing and new, is stored before any file changes.
    let planned = to_write.iter().map(|artifact| Made {
        kind: artifact.kind.clone(),
        path: artifact.path.clone(),
        source: artifact.content.digest(),
        file: None,
    });
    let files = retained.iter().chain(&outdated).cloned().chain(planned).collect();
    write(home, &ShortcutRecord { desktop, files, class: class.clone() })?;
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
    for made in outdated {
        remove_made(&made.path)?;
    }
    associate(entry, home, system)?;
    write(home, &ShortcutRecord { desktop, files: retained, class })?;
    tell_system(system, folders, &written);
    Ok(written)
}

/// Removes all files of this home's shortcut. Returns those that existed.
///
/// # Errors
/// [`DesktopError::File`] and [`DesktopError::System`] if something cannot be removed; a repeated
/// call goes on from there.
pub(crate) fn remove(
    home: &Home,
    folders: Option<&UserFolders>,
    system: System,
) -> Result<Vec<PathBuf>, DesktopError> {
    let Some(record) = read(home) else { return Ok(Vec::new()) };
    let mut removed = Vec::new();
    for made in &record.files {
        if remove_made(&made.path)? {
            removed.push(made.path.clone());
        }
    }
    if let Some(class) = &record.class {
        dissociate(class)?;
    }
    remove_file(&home.desktop_record())?;
    if let Some(folders) = folders {
        tell_system(system, folders, &[]);
    }
    Ok(removed)
}

fn put(artifact: &Artifact) -> Result<(), DesktopError> {
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

fn digest_of(path: &Path) -> Option<Digest> {
    look::read(path, look::SMALL).ok().flatten().map(|bytes| Digest::of(&bytes))
}

/// The stored record; `None` if there is none. A damaged record counts as none: the files that it
/// named stay.
fn read(home: &Home) -> Option<ShortcutRecord> {
    let path = home.desktop_record();
    let json = match look::read(&path, look::SMALL) {
        Ok(json) => json?,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "the list of shortcuts cannot be read");
            return None;
        }
    };
    serde_json::from_slice(&json)
        .inspect_err(|error| tracing::warn!(%error, path = %path.display(), "the list of shortcuts is damaged"))
        .ok()
}

fn write(home: &Home, record: &ShortcutRecord) -> Result<(), DesktopError> {
    let path = home.desktop_record();
    let json = serde_json::to_vec_pretty(record).at("write", &path)?;
    durable::create_folders(home.root()).at("create", home.root())?;
    Ok(durable::replace(&path, &json).at("write", &path)?)
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

#[cfg(windows)]
fn associate(entry: &Entry, home: &Home, system: System) -> Result<(), DesktopError> {
    if system != System::Windows {
        return Ok(());
    }
    super::shell::associate(&windows::classes(entry, &home.root().join("icon.ico"))?)
}

#[cfg(windows)]
fn dissociate(class: &str) -> Result<(), DesktopError> {
    super::shell::dissociate(class)
}

/// Only Windows has links; the other systems ask for none.
#[cfg(not(windows))]
fn write_link(path: &Path, _link: &Link) -> Result<(), DesktopError> {
    Err(FileError::new("make the link", path, std::io::ErrorKind::Unsupported).into())
}

/// Only Windows has a registry.
#[cfg(not(windows))]
fn associate(_entry: &Entry, _home: &Home, _system: System) -> Result<(), DesktopError> {
    Ok(())
}

#[cfg(not(windows))]
fn dissociate(_class: &str) -> Result<(), DesktopError> {
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
