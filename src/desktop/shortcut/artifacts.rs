//! The files of a shortcut on each system: their places and contents. Pure.

use std::path::{Path, PathBuf};

use crate::desktop::windows::Link;
use crate::desktop::{DesktopError, Entry, freedesktop, icon, mac, windows};
use crate::host::UserFolders;
use crate::model::Digest;
use crate::store::Home;

/// The kind of desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Linux and related systems.
    Freedesktop,
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
    pub(in crate::desktop) fn digest(&self) -> Digest {
        match self {
            Self::Bytes(bytes) => Digest::of(bytes),
            Self::Link(link) => Digest::of(link.facts().as_bytes()),
        }
    }
}

impl Artifact {
    pub(in crate::desktop) fn file(kind: &str, path: PathBuf, bytes: impl Into<Vec<u8>>) -> Self {
        let content = ShortcutContent::Bytes(bytes.into());
        Self { kind: kind.to_owned(), path, content, executable: false }
    }

    fn program(kind: &str, path: PathBuf, bytes: impl Into<Vec<u8>>) -> Self {
        Self { executable: true, ..Self::file(kind, path, bytes) }
    }

    pub(in crate::desktop) fn link(kind: &str, path: PathBuf, link: Link) -> Self {
        let content = ShortcutContent::Link(link);
        Self { kind: kind.to_owned(), path, content, executable: false }
    }
}

/// The name of a shortcut's files: from the app, and from its home if that is not the usual one. So
/// two installations of an app can both have a shortcut.
pub(crate) fn id(app: &str, home: &Path, usual_home: Option<&Path>) -> String {
    if usual_home == Some(home) {
        return format!("kuzflow-{app}");
    }
    format!("kuzflow-{app}-{}", mark(home))
}

/// What tells a home from another one: some digits that follow from its path.
pub(in crate::desktop) fn mark(home: &Path) -> String {
    let digest = Digest::of(home.as_os_str().as_encoded_bytes()).to_string();
    digest[..8].to_owned()
}

/// All files of a shortcut on `system`.
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
    // Without a desktop folder the menu entry is made all the same.
    let desktop = folders.desktop.as_deref().filter(|_| on_desktop);
    match system {
        System::Freedesktop => for_freedesktop(entry, &folders.data, desktop),
        System::Windows => for_windows(entry, &home.root().join("icon.ico"), folders, desktop),
        System::Mac => for_mac(entry, folders, desktop),
    }
}

fn for_freedesktop(
    entry: &Entry,
    data: &Path,
    desktop: Option<&Path>,
) -> Result<Vec<Artifact>, DesktopError> {
    let id = &entry.id;
    let icons = icon::for_hicolor(&entry.icon).into_iter().map(|(side, png)| {
        let path = data.join(format!("icons/hicolor/{side}x{side}/apps/{id}.png"));
        Artifact::file(&format!("icon-{side}"), path, png)
    });
    let mut all: Vec<Artifact> = icons.collect();
    all.extend(entry.scalable_icon.as_ref().map(|svg| {
        let path = data.join(format!("icons/hicolor/scalable/apps/{id}.svg"));
        Artifact::file("icon-scalable", path, svg.clone())
    }));
    // A common type has the theme's picture.
    for document in entry.documents.iter().filter(|document| document.kind.is_own) {
        let name = freedesktop::icon_of_type(id, &document.kind.mime);
        let png = document.icon.as_deref().unwrap_or_default();
        all.extend(icon::for_hicolor(png).into_iter().map(|(side, png)| {
            let path = data.join(format!("icons/hicolor/{side}x{side}/mimetypes/{name}.png"));
            Artifact::file(&format!("icon-{name}-{side}"), path, png)
        }));
    }
    let application = freedesktop::application(entry)?;
    let bundles = data.join(format!("mime/packages/{id}.xml"));
    all.push(Artifact::file("bundles", bundles, freedesktop::mime_package(entry)));
    let opener = data.join(format!("applications/{id}-install.desktop"));
    all.push(Artifact::file("opener", opener, freedesktop::opener(entry)?));
    let menu = data.join(format!("applications/{id}.desktop"));
    all.push(Artifact::file("menu", menu, application.clone()));
    // Desktops start only files that are marked as a program.
    all.extend(desktop.map(|folder| {
        Artifact::program("desktop", folder.join(format!("{id}.desktop")), application)
    }));
    Ok(all)
}

fn for_windows(
    entry: &Entry,
    icon_file: &Path,
    folders: &UserFolders,
    desktop: Option<&Path>,
) -> Result<Vec<Artifact>, DesktopError> {
    let icon = icon::for_windows(&entry.icon);
    let icon = icon.map(|icon| Artifact::file("icon", icon_file.to_owned(), icon));
    let mut all: Vec<Artifact> = icon.into_iter().collect();
    for document in &entry.documents {
        let path = windows::document_icon(document, icon_file);
        let icon = document.icon.as_deref().and_then(icon::for_windows);
        let kind = format!("icon-{}", document.kind.file_stem());
        all.extend(icon.map(|icon| Artifact::file(&kind, path, icon)));
    }
    let (name, link) = (windows::link_name(entry), windows::link(entry, icon_file)?);
    let menu = folders.data.join("Microsoft\\Windows\\Start Menu\\Programs");
    all.push(Artifact::link("menu", menu.join(&name), link.clone()));
    all.extend(desktop.map(|folder| Artifact::link("desktop", folder.join(&name), link)));
    let window = windows::window_link(entry, icon_file)?;
    all.extend(window.map(|(name, link)| Artifact::link("menu-window", menu.join(name), link)));
    Ok(all)
}

fn for_mac(
    entry: &Entry,
    folders: &UserFolders,
    desktop: Option<&Path>,
) -> Result<Vec<Artifact>, DesktopError> {
    let name = mac::bundle_name(entry);
    let folder = folders.home.join("Applications").join(&name).join("Contents");
    let icon = icon::for_mac(&entry.icon);
    let icon = icon.map(|icon| Artifact::file("icon", folder.join("Resources/icon.icns"), icon));
    let mut all: Vec<Artifact> = icon.into_iter().collect();
    let information = folder.join("Info.plist");
    all.push(Artifact::file("information", information, mac::information(entry)));
    let script = mac::script(&entry.own_call())?;
    all.push(Artifact::program("menu", folder.join("MacOS/start"), script.clone()));
    all.extend(desktop.map(|desktop| {
        // Finder opens such a script in a terminal, which is more than an icon; no text file can be
        // an alias.
        let path = desktop.join(format!("{}.command", name.trim_end_matches(".app")));
        Artifact::program("desktop", path, script)
    }));
    Ok(all)
}
