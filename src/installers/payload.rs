//! The files that an installer puts into the app's folder: the launcher under the app's name, its
//! settings, its root, and with `--with-release` a release.
//!
//! In: the launcher's file, the publisher's `launcher/` folder. Out: named contents; a large one
//! stays a file until it is written. Never: a place on the user's computer.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::InstallerError;
use super::product::Product;
use crate::desktop::{Document, icon};
use crate::file_error::FileResult as _;
use crate::model::Platform;
use crate::model::document_type::{DocumentName, DocumentSettings, DocumentType};
use crate::model::release::INCLUDED_BUNDLE;
use crate::model::replaced_program::ReplacedProgram;
use crate::settings::{DesktopSettings, Settings};

/// The launcher's settings, beside it.
pub(super) const LAUNCHER_SETTINGS: &str = "launcher.toml";
/// The root that the launcher trusts first.
const ROOT: &str = "root.json";
/// The icon that the window shows until the app is installed.
const ICON: &str = "icon.png";
const ICON_SIDE: u32 = 256;
/// The same for the menus of Linux, beside it.
const SCALABLE_ICON: &str = "icon.svg";

/// The files of the app's folder, sorted by name.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub platform: Platform,
    pub files: Vec<PayloadFile>,
}

/// A file of the app's folder.
#[derive(Clone, Debug)]
pub(crate) struct PayloadFile {
    /// Its name; there are no folders.
    pub name: String,
    /// Whether it is executable.
    pub is_program: bool,
    pub content: Content,
}

/// The bytes of a file in an installer.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    /// The bytes of this file.
    File(PathBuf),
}

/// What a [`Payload`] is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PayloadSources<'a> {
    pub product: &'a Product,
    pub platform: &'a Platform,
    /// The launcher's executable.
    pub launcher: &'a Path,
    /// The folder with `launcher.toml` and `root.json`.
    pub settings: &'a Path,
    /// The release that is installed without a network.
    pub bundle: Option<&'a Path>,
    /// Whether a package manager owns the files.
    pub is_managed: bool,
}

impl Payload {
    /// Reads the files.
    ///
    /// # Errors
    /// [`InstallerError`] if one is missing, or the settings cannot be used.
    pub(crate) fn read(sources: PayloadSources<'_>) -> Result<Self, InstallerError> {
        let PayloadSources { product, platform, launcher, settings, bundle, is_managed } = sources;
        let program = product.program_name(platform);
        let path = settings.join(LAUNCHER_SETTINGS);
        let text = fs::read_to_string(&path).at("read", &path)?;
        let root = settings.join(ROOT);
        let mut files = vec![
            PayloadFile::program(&program, Content::File(launcher.to_owned())),
            PayloadFile::plain(ROOT, Content::Bytes(fs::read(&root).at("read", &root)?)),
        ];
        let icon = if is_managed {
            // The menu's icon serves for the window as well.
            let (side, name) = (product.icon.largest_side(), product.package_name());
            format!("/usr/share/icons/hicolor/{side}x{side}/apps/{name}.png")
        } else {
            let png = product.icon.png(ICON_SIDE).unwrap_or_default();
            files.push(PayloadFile::plain(ICON, Content::Bytes(png)));
            let scalable = product.icon.scalable().filter(|_| platform.os == "Linux");
            files.extend(
                scalable.map(|svg| PayloadFile::plain(SCALABLE_ICON, Content::Bytes(svg.to_vec()))),
            );
            files.extend(product.license_text.as_ref().map(|text| {
                PayloadFile::plain("LICENSE.txt", Content::Bytes(text.clone().into_bytes()))
            }));
            files.extend(document_pictures(product, platform));
            ICON.to_owned()
        };
        let documents = documents(product);
        let shipped = Shipped {
            name: &product.display_name,
            icon: &icon,
            documents: if is_managed { &[] } else { &documents },
            replaces: &product.replaces,
            is_managed,
        };
        let text = shipped.settings(&text, &path)?;
        files.push(PayloadFile::plain(LAUNCHER_SETTINGS, Content::Bytes(text.into_bytes())));
        files.extend(
            bundle.map(|path| PayloadFile::plain(INCLUDED_BUNDLE, Content::File(path.to_owned()))),
        );
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { platform: platform.clone(), files })
    }

    /// Refuses settings in `folder` that no installer of the app can ship.
    ///
    /// # Errors
    /// [`InstallerError`] if they are missing or cannot be used.
    pub(crate) fn check_settings(product: &Product, folder: &Path) -> Result<(), InstallerError> {
        let path = folder.join(LAUNCHER_SETTINGS);
        let text = fs::read_to_string(&path).at("read", &path)?;
        let root = folder.join(ROOT);
        fs::read(&root).at("read", &root)?;
        let shipped = Shipped {
            name: &product.display_name,
            icon: ICON,
            documents: &documents(product),
            replaces: &product.replaces,
            is_managed: false,
        };
        shipped.settings(&text, &path).map(drop)
    }

    /// The launcher.
    pub(crate) fn program(&self) -> Option<&PayloadFile> {
        self.files.iter().find(|file| file.is_program)
    }
}

/// The pictures of the documents, for the entry that the launcher makes; on Windows also as the
/// installer's entry needs them.
fn document_pictures(product: &Product, platform: &Platform) -> Vec<PayloadFile> {
    let mut files = Vec::new();
    for document in &product.documents {
        let Some(png) = &document.icon else { continue };
        let name = picture_name(&document.kind);
        files.push(PayloadFile::plain(&name, Content::Bytes(png.clone())));
        if platform.is_windows() {
            let name = windows_picture_name(&document.kind);
            let bytes = icon::for_windows(png).unwrap_or_default();
            files.push(PayloadFile::plain(&name, Content::Bytes(bytes)));
        }
    }
    files
}

fn picture_name(kind: &DocumentType) -> String {
    format!("{}.png", kind.file_stem())
}

/// The name of a document's icon in the folder of an installation on Windows.
pub(super) fn windows_picture_name(kind: &DocumentType) -> String {
    format!("{}.ico", kind.file_stem())
}

/// The documents as `launcher.toml` has them.
fn documents(product: &Product) -> Vec<DocumentSettings> {
    let written = |document: &Document| {
        let kind = &document.kind;
        DocumentSettings {
            extensions: kind.extensions.clone(),
            name: DocumentName::of(&kind.names),
            mime: Some(kind.mime.clone()),
            icon: document.icon.as_ref().map(|_| picture_name(kind).into()),
        }
    };
    product.documents.iter().map(written).collect()
}

impl PayloadFile {
    fn program(name: &str, content: Content) -> Self {
        Self { name: name.to_owned(), is_program: true, content }
    }

    fn plain(name: &str, content: Content) -> Self {
        Self { name: name.to_owned(), is_program: false, content }
    }

    /// Its permissions on Unix.
    pub(crate) const fn mode(&self) -> u32 {
        if self.is_program { 0o755 } else { 0o644 }
    }
}

impl Content {
    /// How many bytes it has.
    pub(crate) fn length(&self) -> Result<u64, InstallerError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(path) => Ok(fs::metadata(path).at("read", path)?.len()),
        }
    }

    /// Reads its bytes from the beginning.
    pub(crate) fn open(&self) -> Result<Box<dyn Read + '_>, InstallerError> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(io::Cursor::new(bytes))),
            Self::File(path) => Ok(Box::new(File::open(path).at("read", path)?)),
        }
    }

    /// All bytes at once, for files that fit into memory.
    pub(crate) fn read(&self) -> Result<Vec<u8>, InstallerError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File(path) => Ok(fs::read(path).at("read", path)?),
        }
    }
}

/// What an installer says in `launcher.toml`, beside what the publisher wrote there.
struct Shipped<'a> {
    /// The app's name for people.
    name: &'a str,
    /// The path of the icon.
    icon: &'a str,
    /// The documents that the app opens.
    documents: &'a [DocumentSettings],
    /// Programs of an earlier installation.
    replaces: &'a [ReplacedProgram],
    /// Whether a package manager owns the files, and with them the launcher's own update.
    is_managed: bool,
}

impl Shipped<'_> {
    /// `launcher.toml` as it is shipped. What the publisher wrote there stays; a name that nobody
    /// has changed since `kuzflow init` is no such word.
    fn settings(&self, text: &str, path: &Path) -> Result<String, InstallerError> {
        let refuse =
            |reason: String| InstallerError::LauncherSettings { path: path.to_owned(), reason };
        let settings = Settings::parse(text, path)
            .map_err(|error| refuse(crate::error_chain::line(&error)))?;
        if settings.home.as_ref().is_some_and(|home| home.is_relative()) {
            return Err(refuse(
                "its home lies beside the program, where the next installation would replace the user's files; leave `home` out (the portable \
                 folder gets its own)"
                    .to_owned(),
            ));
        }
        if settings.icon.is_some() {
            return Err(refuse(
                "it has an icon of its own, which no installer brings; name it as icon in [app] of kuzflow.toml instead".to_owned(),
            ));
        }
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
        table.insert("icon".to_owned(), self.icon.into());
        if settings.display_name.is_empty() || settings.display_name == settings.app.as_str() {
            table.insert("display_name".to_owned(), self.name.into());
        }
        let mut desktop = settings.desktop;
        if desktop.documents.is_empty() {
            desktop.documents = self.documents.to_vec();
        }
        if desktop.replaces.is_empty() {
            desktop.replaces = self.replaces.to_vec();
        }
        if desktop != DesktopSettings::default() {
            let desktop = toml::Value::try_from(desktop);
            table.insert("desktop".to_owned(), desktop.map_err(|error| refuse(error.to_string()))?);
        }
        if self.is_managed {
            let launcher = table.entry("launcher").or_insert_with(|| toml::Table::new().into());
            if let Some(launcher) = launcher.as_table_mut() {
                launcher.insert("self_update".to_owned(), false.into());
            }
        }
        toml::to_string(&table).map_err(|error| refuse(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain<'a>(is_managed: bool) -> Shipped<'a> {
        Shipped { name: "Sample", icon: "icon.png", documents: &[], replaces: &[], is_managed }
    }

    #[test]
    fn the_first_window_has_the_name_that_the_installer_has() {
        let named = |display_name: &str| {
            let shipped = Shipped { name: "My Notes", icon: "icon.png", ..plain(false) };
            let nodes = "[[nodes]]\nid = 'one'\nurl = 'https://example.com/'\n";
            let text = format!("app = 'my-notes'\n{display_name}\n{nodes}");
            let path = Path::new("launcher.toml");
            let shipped = shipped.settings(&text, path).unwrap();
            Settings::parse(&shipped, path).unwrap().display_name
        };
        assert_eq!(named(""), "My Notes");
        assert_eq!(named("display_name = 'my-notes'"), "My Notes");
        assert_eq!(named("display_name = 'Notes of the office'"), "Notes of the office");
    }

    #[test]
    fn only_a_launcher_that_makes_its_own_entry_has_the_documents() {
        let table: DocumentSettings =
            toml::from_str("extensions = ['lbl']\nname = { en = 'Label', zh-CN = '标签' }")
                .unwrap();
        let kinds = DocumentType::all(&[table], &"sample".parse().unwrap()).unwrap();
        let picture = icon::png(vec![9; 4], 1, 1);
        let document = Document { kind: kinds[0].clone(), icon: picture };
        let product =
            Product { documents: vec![document], ..super::super::product::tests::sample() };
        let path = Path::new("launcher.toml");
        let documents = documents(&product);
        let shipped = |is_managed: bool, more: &str| {
            let documents = if is_managed { &[] } else { documents.as_slice() };
            let replaces = &["LabelImg/Update.exe".parse().unwrap()];
            let shipped = Shipped { documents, replaces, ..plain(is_managed) };
            let nodes = "[[nodes]]\nid = 'one'\nurl = 'https://example.com/'\n";
            let text = shipped.settings(&format!("app = 'sample'\n{nodes}{more}"), path).unwrap();
            Settings::parse(&text, path).unwrap().desktop
        };
        let of_run = shipped(false, "[desktop]\nshortcut = true\n");
        assert!(of_run.shortcut);
        let read = DocumentType::all(&of_run.documents, &product.app).unwrap();
        let icon = Some(PathBuf::from("document-lbl.png"));
        assert_eq!(read, [DocumentType { icon, ..kinds[0].clone() }]);
        let of_package = shipped(true, "");
        assert_eq!(of_package.documents, [], "the package has the entry");
        assert_eq!(of_package.replaces.len(), 1, "a user's old shortcut is there all the same");
        let own = "[[desktop.documents]]\nextensions = ['mine']\nname = 'Mine'\n";
        assert_eq!(shipped(false, own).documents[0].extensions, ["mine"]);
        let names = |platform: &str| {
            let pictures = document_pictures(&product, &platform.parse().unwrap());
            pictures.into_iter().map(|file| file.name).collect::<Vec<_>>()
        };
        assert_eq!(names("Linux_x86_64"), ["document-lbl.png"]);
        assert_eq!(names("Windows_AMD64"), ["document-lbl.png", "document-lbl.ico"]);
    }
}
