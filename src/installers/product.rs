//! What every installer says of the app: its names, its version, who publishes it, how it looks.
//!
//! In: `[app]` of `kuzflow.toml`, the release, the texts of the menu. Out: a [`Product`] with
//! checked values. Never: says how a format spells them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use jiff::Timestamp as Time;
use url::Url;

use super::error::{InstallerError, InstallerFaults};
use super::icons::Icon;
use crate::desktop::{Document, Entry, MenuTexts};
use crate::file_error::FileResult as _;
use crate::model::document_type::DocumentType;
use crate::model::icon_file;
use crate::model::path::is_device;
use crate::model::platform::AppName;
use crate::model::release::INCLUDED_BUNDLE;
use crate::model::replaced_program::ReplacedProgram;
use crate::model::{Platform, Version};
use crate::plain;
use crate::publish::ProjectSettings;
use crate::publish::recipe::Recipe;
use crate::publish::svg_icon::RELEASE_SIDE;
use crate::real_path;

/// The licence of an app that names none.
const NO_LICENSE: &str = "LicenseRef-proprietary";
/// Hosts on which a project's address belongs to a user of the host.
const SHARED_HOSTS: [(&str, &str); 3] =
    [("github.com", "io.github"), ("gitlab.com", "io.gitlab"), ("codeberg.org", "org.codeberg")];

/// Names in the folder of the launcher, which an app's launcher cannot have as well.
const FILES_BESIDE: [&str; 6] =
    ["uninstall", "launcher.toml", "root.json", "icon.png", "icon.svg", INCLUDED_BUNDLE];
/// Longest name of a file: with the ending of another file behind it, it has at most 255 bytes.
const MAX_NAME_CHARACTERS: usize = 60;
/// Longest name of an application bundle without its ending, bytes: a record of the disk image holds
/// one of about 150.
const MAX_VOLUME_NAME_BYTES: usize = 120;

/// What every installer says of the app.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    /// The app's name in ids.
    pub app: AppName,
    /// The app's name for people.
    pub display_name: String,
    /// The version of the release that is installed first.
    pub version: Version,
    /// One line about the app, without a full stop.
    pub summary: String,
    pub publisher: Publisher,
    /// The app's page on the web.
    pub homepage: Option<Url>,
    /// An SPDX expression.
    pub license: String,
    /// The text of the licence.
    pub license_text: Option<String>,
    /// Who has the rights, and since when.
    pub copyright: String,
    /// Where menus show it: categories of the Desktop Menu Specification.
    pub categories: Vec<String>,
    pub icon: Icon,
    /// The documents that the app opens.
    pub documents: Vec<Document>,
    /// Programs of an earlier installation, whose shortcuts this one replaces.
    pub replaces: Vec<ReplacedProgram>,
    /// The texts of the menu entry.
    pub menu: MenuTexts,
    /// The time of every file in the installer.
    pub time: Time,
}

/// Who publishes the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publisher {
    pub name: String,
    /// The address for mail about the installers.
    pub email: Option<String>,
}

/// What a [`Product`] is made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProductSources<'a> {
    pub settings: &'a ProjectSettings,
    /// The folder of `kuzflow.toml`.
    pub folder: &'a Path,
    /// The version that the installers bring, and since when it is published.
    pub version: &'a Version,
    pub published: Time,
    pub menu: &'a MenuTexts,
    /// The icon of an app that has none, a PNG.
    pub letter: &'a [u8],
    /// The time of every file; that of the publication if absent.
    pub time: Option<Time>,
}

impl Publisher {
    /// Reads `Name` or `Name <address>`.
    fn parse(text: &str) -> Result<Self, InstallerError> {
        let refuse = |reason: &str| {
            Err(InstallerError::Setting { setting: "publisher", reason: reason.to_owned() })
        };
        let (name, email) = match text.split_once('<') {
            Some((name, rest)) => match rest.trim_end().strip_suffix('>') {
                Some(email) => (name.trim(), Some(email.trim().to_owned())),
                None => return refuse("it has a < without a >"),
            },
            None => (text.trim(), None),
        };
        if name.is_empty() || name.chars().any(char::is_control) {
            return refuse("it needs a name on one line");
        }
        let is_address = |email: &String| {
            email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
                && !email.contains(|c: char| c.is_whitespace() || c.is_control() || c == '>')
        };
        if email.as_ref().is_some_and(|email| !is_address(email)) {
            return refuse("what stands between < and > is no address for mail");
        }
        Ok(Self { name: name.to_owned(), email })
    }
}

impl Product {
    /// Reads and checks it.
    ///
    /// # Errors
    /// [`InstallerFaults`] with each value that cannot be used, and each file that cannot be read.
    pub(crate) fn read(sources: ProductSources<'_>) -> Result<Self, InstallerFaults> {
        let ProductSources { settings, folder, version, published, menu, letter, time } = sources;
        let recipe = &settings.recipe;
        let mut faults = Vec::new();
        let publisher = noted(
            match recipe.publisher.as_deref() {
                Some(text) => Publisher::parse(text),
                None => Ok(Publisher { name: settings.display_name.clone(), email: None }),
            },
            &mut faults,
        );
        let license_text =
            recipe.license_file.as_ref().map(|file| read_text(&real_path::joined(folder, file)));
        let license_text = noted(license_text.transpose(), &mut faults);
        let icon = noted(
            match &recipe.icon {
                Some(file) => icon_at(&icon_path(folder, recipe, file)),
                None => icon_of(Path::new(""), letter.to_vec()),
            },
            &mut faults,
        );
        let homepage = noted(homepage(recipe.homepage.as_deref()), &mut faults);
        let categories = noted(categories(&recipe.categories), &mut faults);
        let documents = noted(documents(settings, folder), &mut faults);
        let time = time.unwrap_or(published);
        let year = time.to_zoned(jiff::tz::TimeZone::UTC).year();
        let summary = Some(one_line(&recipe.description)).filter(|summary| !summary.is_empty());
        let (
            Some(publisher),
            Some(license_text),
            Some(icon),
            Some(homepage),
            Some(categories),
            Some(documents),
        ) = (publisher, license_text, icon, homepage, categories, documents)
        else {
            return Err(InstallerFaults(faults));
        };
        let copyright = recipe.copyright.clone();
        Ok(Self {
            app: settings.app.clone(),
            display_name: one_line(&settings.display_name),
            version: version.clone(),
            // Package managers refuse a summary that only repeats the name.
            summary: summary
                .unwrap_or_else(|| format!("Desktop app {}", one_line(&settings.display_name))),
            homepage,
            license: recipe.license.clone().unwrap_or_else(|| NO_LICENSE.to_owned()),
            license_text,
            copyright: copyright.unwrap_or_else(|| format!("Copyright {year} {}", publisher.name)),
            categories,
            documents,
            replaces: recipe.replaces.clone(),
            publisher,
            icon,
            menu: menu.clone(),
            time,
        })
    }

    /// The app's name as package managers allow it: in lower case.
    pub(crate) fn package_name(&self) -> String {
        let name = self.app.as_str().to_lowercase();
        // Debian asks for two characters.
        if name.len() < 2 || FILES_BESIDE.contains(&name.as_str()) {
            format!("{name}-app")
        } else {
            name
        }
    }

    /// The name of the launcher's file on `platform`: users see it in the list of processes.
    pub(crate) fn program_name(&self, platform: &Platform) -> String {
        if platform.os == "Linux" {
            return self.package_name();
        }
        if platform.is_windows() {
            format!("{}.exe", self.windows_name())
        } else {
            shortened(&self.file_name(), MAX_VOLUME_NAME_BYTES).to_owned()
        }
    }

    /// The name of the app's folder, launcher and links on Windows.
    pub(super) fn windows_name(&self) -> String {
        let name = self.file_name();
        let stem = name.split('.').next().unwrap_or_default();
        // Windows opens a device by these names, and the uninstaller has its own.
        if is_device(&name) || name.eq_ignore_ascii_case("uninstall") {
            return format!("{}-app{}", stem.trim_end(), &name[stem.len()..]);
        }
        name
    }

    /// The app's name as the name of a file.
    fn file_name(&self) -> String {
        // NSIS gives the two sides of a comparison on between grave accents.
        let is_forbidden = |c: char| c.is_control() || "/\\:*?\"<>|`".contains(c);
        let name = self.display_name.replace(is_forbidden, "-");
        let name: String = name.chars().take(MAX_NAME_CHARACTERS).collect();
        // Windows drops dots and spaces at the end.
        let name = name.trim_matches(|c: char| c == '.' || c.is_whitespace());
        if name.is_empty() { self.app.to_string() } else { name.to_owned() }
    }

    /// A name that no other app has, in reverse order of domains: from the homepage, if there is
    /// one.
    pub(crate) fn identifier(&self) -> String {
        let labels = self.domain().unwrap_or_else(|| vec!["kuzflow".to_owned()]);
        let labels = labels.into_iter().chain([self.app.as_str().replace('.', "-")]);
        labels.map(|label| identifier_part(&label)).collect::<Vec<_>>().join(".")
    }

    /// The labels of the homepage's domain, the most general first.
    fn domain(&self) -> Option<Vec<String>> {
        let homepage = self.homepage.as_ref()?;
        let host = homepage.domain()?.trim_start_matches("www.").to_owned();
        let user = homepage.path_segments().and_then(|mut parts| parts.next()).unwrap_or_default();
        match SHARED_HOSTS.iter().find(|(shared, _)| *shared == host) {
            Some((_, prefix)) if !user.is_empty() => {
                Some(prefix.split('.').chain([user]).map(str::to_owned).collect())
            }
            _ => Some(host.rsplit('.').map(str::to_owned).collect()),
        }
    }

    /// The menu entry that starts `program`.
    pub(crate) fn entry(&self, program: PathBuf, icon: Vec<u8>) -> Entry {
        Entry {
            id: self.package_name(),
            name: self.display_name.clone(),
            comments: self.menu.comments.clone(),
            bundle_names: self.menu.bundle_names.clone(),
            actions: self.menu.actions.clone(),
            keywords: vec![self.app.to_string()],
            categories: self.categories.clone(),
            program,
            arguments: Vec::new(),
            window_class: self.app.to_string(),
            documents: self.documents.clone(),
            scalable_icon: None,
            icon,
        }
    }

    /// The time of every file, in seconds since 1970; installers know no time before that.
    pub(crate) fn seconds(&self) -> u64 {
        u64::try_from(self.time.as_second()).unwrap_or(0)
    }
}

/// The value; a fault goes to the others.
fn noted<T>(result: Result<T, InstallerError>, faults: &mut Vec<InstallerError>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

/// Letters, digits and `_`, not beginning with a digit.
fn identifier_part(label: &str) -> String {
    let part = label.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    if part.starts_with(|c: char| c.is_ascii_digit()) { format!("_{part}") } else { part }
}

fn one_line(text: &str) -> String {
    let line = text.split(char::is_control).collect::<Vec<_>>().join(" ");
    line.trim().trim_end_matches('.').trim_end().to_owned()
}

fn read_text(path: &Path) -> Result<String, InstallerError> {
    let bytes = fs::read(path).at("read", path)?;
    Ok(plain::of_file(bytes).map_err(io::Error::other).at("read", path)?)
}

/// The beginning of `name` that has at most `most` bytes.
fn shortened(name: &str, most: usize) -> &str {
    name[..name.floor_char_boundary(most)].trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

/// The icon's file: from the folder of `kuzflow.toml`, or else from the app's, as `kuzflow build`
/// looks for it.
fn icon_path(folder: &Path, recipe: &Recipe, file: &Path) -> PathBuf {
    let here = real_path::joined(folder, file);
    if here.exists() {
        return here;
    }
    // An app with a folder for each system has the icon in any of them.
    let in_app = || recipe.folders().map(|app| real_path::joined(&folder.join(app), file));
    in_app().find(|path| path.exists()).or_else(|| in_app().next()).unwrap_or(here)
}

fn icon_at(path: &Path) -> Result<Icon, InstallerError> {
    icon_of(path, fs::read(path).at("read", path)?)
}

fn icon_of(path: &Path, bytes: Vec<u8>) -> Result<Icon, InstallerError> {
    Icon::open(bytes).map_err(|reason| InstallerError::Icon { path: path.to_owned(), reason })
}

/// The documents that the app opens, each with its picture.
fn documents(settings: &ProjectSettings, folder: &Path) -> Result<Vec<Document>, InstallerError> {
    let recipe = &settings.recipe;
    let types = DocumentType::all(&recipe.documents, &settings.app).map_err(|error| {
        InstallerError::Setting { setting: "documents", reason: error.to_string() }
    })?;
    let pictured = |kind: DocumentType| {
        let path = kind.icon.as_ref().map(|it| icon_path(folder, recipe, it));
        let icon = path.map(|path| {
            let bytes = fs::read(&path).at("read", &path)?;
            if !icon_file::may_be_svg(&bytes) {
                return icon_of(&path, bytes.clone()).map(|_| bytes);
            }
            Ok(icon_of(&path, bytes)?.png(RELEASE_SIDE).unwrap_or_default())
        });
        Ok(Document { icon: icon.transpose()?, kind })
    };
    types.into_iter().map(pictured).collect()
}

fn homepage(text: Option<&str>) -> Result<Option<Url>, InstallerError> {
    let refuse = |reason: String| InstallerError::Setting { setting: "homepage", reason };
    let Some(text) = text else { return Ok(None) };
    let url: Url = text.parse().map_err(|error: url::ParseError| refuse(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("it must begin with https:// or http://".to_owned()));
    }
    Ok(Some(url))
}

fn categories(given: &[String]) -> Result<Vec<String>, InstallerError> {
    if given.is_empty() {
        return Ok(vec!["Utility".to_owned()]);
    }
    let is_name = |name: &String| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    match given.iter().find(|name| !is_name(name)) {
        Some(bad) => Err(InstallerError::Setting {
            setting: "categories",
            reason: format!("{bad:?} is no category of menus, such as Graphics or Office"),
        }),
        None => Ok(given.to_vec()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::desktop::icon;

    /// An invented app, for the tests of the formats.
    pub(in crate::installers) fn sample() -> Product {
        let icon = icon::png(vec![120; 64 * 64 * 4], 64, 64).unwrap();
        let menu = MenuTexts {
            comments: vec![(String::new(), "Start it".to_owned())],
            bundle_names: vec![(String::new(), "Update bundle".to_owned())],
            actions: Vec::new(),
        };
        Product {
            app: "Sample".parse().unwrap(),
            display_name: "示例 Sample".to_owned(),
            version: "1.2.0-rc.1".parse().unwrap(),
            summary: "An editor".to_owned(),
            publisher: Publisher::parse("Example Ltd <hello@example.com>").unwrap(),
            homepage: Some("https://www.example.com/sample/".parse().unwrap()),
            license: "MIT".to_owned(),
            license_text: Some("Permission is granted.\n".to_owned()),
            copyright: "Copyright 2026 Example Ltd".to_owned(),
            categories: vec!["Office".to_owned()],
            icon: Icon::read(&icon).unwrap(),
            documents: Vec::new(),
            replaces: Vec::new(),
            menu,
            time: "2026-03-01T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_identifier_follows_the_homepage() {
        let identifier = |homepage: Option<&str>| {
            let homepage = homepage.map(|text| text.parse().unwrap());
            Product { homepage, ..sample() }.identifier()
        };
        assert_eq!(identifier(Some("https://www.example.com/x")), "com.example.Sample");
        assert_eq!(identifier(Some("https://github.com/some-one/x")), "io.github.some-one.Sample");
        assert_eq!(identifier(Some("https://7zip.example/")), "example._7zip.Sample");
        assert_eq!(identifier(None), "kuzflow.Sample");
    }

    #[test]
    fn the_program_is_named_as_each_system_allows() {
        let name = |name: &str, platform: &str| {
            let product = Product { display_name: name.to_owned(), ..sample() };
            product.program_name(&platform.parse().unwrap())
        };
        assert_eq!(name("My App", "Linux_x86_64"), "sample");
        assert_eq!(name("My: \"App\"?", "Windows_AMD64"), "My- -App--.exe");
        assert_eq!(name("../..", "Darwin_arm64"), "-");
        assert_eq!(name("...", "Darwin_arm64"), "Sample");
        assert_eq!(name(" . My App . .", "Windows_AMD64"), "My App.exe");
        assert_eq!(name(&"长".repeat(90), "Windows_AMD64"), format!("{}.exe", "长".repeat(60)));
        assert_eq!(name(&"长".repeat(90), "Darwin_arm64"), "长".repeat(40));
        assert_eq!(name("a`b", "Windows_AMD64"), "a-b.exe");
    }

    #[test]
    fn no_program_has_the_name_of_a_device_or_of_a_file_beside_it() {
        let windows = |name: &str| {
            let product = Product { display_name: name.to_owned(), ..sample() };
            product.program_name(&"Windows_AMD64".parse().unwrap())
        };
        for (name, expected) in [
            ("CON", "CON-app.exe"),
            ("nul", "nul-app.exe"),
            ("aux.txt", "aux-app.txt.exe"),
            ("com1 .x", "com1-app.x.exe"),
            ("LPT²", "LPT²-app.exe"),
            ("Uninstall", "Uninstall-app.exe"),
            ("Console", "Console.exe"),
            ("com10", "com10.exe"),
        ] {
            assert_eq!(windows(name), expected, "{name}");
        }
        let device =
            Product { app: "con".parse().unwrap(), display_name: "?".repeat(0), ..sample() };
        assert_eq!(device.program_name(&"Windows_AMD64".parse().unwrap()), "con-app.exe");
        for (app, expected) in
            [("Root.json", "root.json-app"), ("uninstall", "uninstall-app"), ("x", "x-app")]
        {
            let product = Product { app: app.parse().unwrap(), ..sample() };
            assert_eq!(product.program_name(&"Linux_x86_64".parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_publisher_may_have_an_address() {
        let parse = |text: &str| Publisher::parse(text).map(|p| (p.name, p.email)).ok();
        let with = |name: &str, email: Option<&str>| Some((name.into(), email.map(str::to_owned)));
        assert_eq!(parse("Example Ltd"), with("Example Ltd", None));
        assert_eq!(parse("张三 <z@example.com>"), with("张三", Some("z@example.com")));
        for bad in ["", "<a@b>", "A <a@b", "A <ab>", "A <a b@c>", "A\nB"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
