//! The types of an app's documents: which endings of file names the app opens, and what such a file
//! is called.
//!
//! In: the tables `[[app.documents]]` of `kuzflow.toml` and `[[desktop.documents]]` of
//! `launcher.toml`. Out: checked [`DocumentType`]s. Never: makes the app the usual opener of a
//! common type; there it is only offered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::platform::AppName;
use super::release::BUNDLE_EXTENSION;

/// Longest extension, in characters.
const MAX_EXTENSION: usize = 32;
/// Longest name of a type, in characters.
const MAX_NAME: usize = 80;
/// Top-level types of RFC 6838 that files have.
const TOP_LEVEL: [&str; 9] =
    ["application", "audio", "font", "image", "message", "model", "multipart", "text", "video"];
/// What the subtype of a type begins with that no standard defines.
const NO_STANDARD: [&str; 3] = ["x-", "vnd.", "prs."];
/// The language whose name serves for readers of all languages without one.
const USUAL_LANGUAGE: &str = "en";

/// Extensions of files that a system starts or loads. An app that opened them would stand between
/// the user and other programs.
const PROGRAMS: [&str; 36] = [
    "apk",
    "app",
    "appimage",
    "appref-ms",
    "bat",
    "cmd",
    "com",
    "command",
    "cpl",
    "deb",
    "desktop",
    "dll",
    "dmg",
    "exe",
    "hta",
    "inf",
    "jar",
    "jse",
    "lnk",
    "msc",
    "msi",
    "msix",
    "pif",
    "pkg",
    "ps1",
    "reg",
    "rpm",
    "run",
    "scr",
    "so",
    "sys",
    "url",
    "vbe",
    "vbs",
    "wsf",
    "wsh",
];

/// Extensions that other programs open as well, with the MIME type that systems give them.
const COMMON: [(&str, &str); 69] = [
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("c", "text/x-csrc"),
    ("cfg", "text/plain"),
    ("conf", "text/plain"),
    ("cpp", "text/x-c++src"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eml", "message/rfc822"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("h", "text/x-chdr"),
    ("heic", "image/heif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ics", "text/calendar"),
    ("ini", "text/plain"),
    ("iso", "application/x-cd-image"),
    ("java", "text/x-java"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ogg", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("py", "text/x-python"),
    ("rar", "application/vnd.rar"),
    ("rst", "text/x-rst"),
    ("rtf", "application/rtf"),
    ("sh", "application/x-shellscript"),
    ("sqlite", "application/vnd.sqlite3"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("txt", "text/plain"),
    ("wav", "audio/x-wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
];

/// One table as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentSettings {
    /// Endings of file names, without a dot.
    pub extensions: Vec<String>,
    /// What people call such a file.
    pub name: DocumentName,
    /// Its MIME type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// The icon of such files, a PNG; the app's icon if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<PathBuf>,
}

/// The name in every language, or in each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a name, or a table with a name for each language")]
pub enum DocumentName {
    /// The same for all.
    All(String),
    /// One for each language tag.
    Each(BTreeMap<String, String>),
}

impl DocumentName {
    /// The names as they are written: those that [`DocumentType::names`] has.
    pub(crate) fn of(names: &[(String, String)]) -> Self {
        match names {
            [(_, only)] => Self::All(only.clone()),
            _ => {
                let tagged = names.iter().filter(|(tag, _)| !tag.is_empty());
                Self::Each(tagged.cloned().collect())
            }
        }
    }
}

/// A type of documents that the app opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentType {
    /// Endings of file names, in lower case, without a dot; at least one.
    pub extensions: Vec<String>,
    /// What people call such a file: language tag (empty for any, which comes first) and text.
    pub names: Vec<(String, String)>,
    pub mime: String,
    /// Whether the app defines the type. Another one belongs to the system, or to every program.
    pub is_own: bool,
    /// The PNG of its icon.
    pub icon: Option<PathBuf>,
}

/// A table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DocumentTypeError(String);

fn refuse<T>(reason: impl Into<String>) -> Result<T, DocumentTypeError> {
    Err(DocumentTypeError(reason.into()))
}

impl DocumentType {
    /// Checks all tables of an app.
    ///
    /// # Errors
    /// [`DocumentTypeError`] with the first value that cannot be used.
    pub(crate) fn all(
        tables: &[DocumentSettings],
        app: &AppName,
    ) -> Result<Vec<Self>, DocumentTypeError> {
        let types: Vec<Self> =
            tables.iter().map(|table| Self::of(table, app)).collect::<Result<_, _>>()?;
        let (mut extensions, mut mimes) = (BTreeSet::new(), BTreeSet::new());
        for kind in &types {
            if let Some(twice) = kind.extensions.iter().find(|it| !extensions.insert(it.as_str())) {
                return refuse(format!("the extension {twice:?} stands there twice"));
            }
            if !mimes.insert(kind.mime.as_str()) {
                return refuse(format!(
                    "the type {} stands there twice; one table takes several extensions",
                    kind.mime
                ));
            }
        }
        Ok(types)
    }

    fn of(table: &DocumentSettings, app: &AppName) -> Result<Self, DocumentTypeError> {
        let extensions: Vec<String> =
            table.extensions.iter().map(|text| extension(text)).collect::<Result<_, _>>()?;
        let Some(first) = extensions.first() else {
            return refuse("extensions is empty; name at least one, such as [\"lbl\"]");
        };
        let common = common_type(&extensions)?;
        let given = table.mime.as_deref().map(mime).transpose()?;
        let is_own = common.is_none() && given.as_deref().is_none_or(is_no_standard);
        let mime = given.or_else(|| common.map(str::to_owned));
        Ok(Self {
            mime: mime.unwrap_or_else(|| own_type(app, first)),
            is_own,
            names: names(&table.name)?,
            icon: table.icon.clone(),
            extensions,
        })
    }

    /// Its name for readers of every language.
    pub(crate) fn usual_name(&self) -> &str {
        self.names.first().map_or(&self.mime, |(_, name)| name)
    }

    /// The first part of the names of its files: the icon beside the launcher, for example.
    pub(crate) fn file_stem(&self) -> String {
        let extension = self.extensions.first().map(String::as_str).unwrap_or_default();
        format!("document-{extension}")
    }
}

/// The extension in lower case.
fn extension(text: &str) -> Result<String, DocumentTypeError> {
    if let Some(bare) = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
        return refuse(format!("write the extension {text:?} without its dot: {bare:?}"));
    }
    if text.contains('.') {
        return refuse(format!(
            "the extension {text:?} has a dot; Windows knows a type by what follows the last one"
        ));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_+".contains(c);
    if text.is_empty() || text.len() > MAX_EXTENSION || !text.chars().all(is_plain) {
        return refuse(format!(
            "the extension {text:?} is none; use up to {MAX_EXTENSION} letters, digits, `-`, `_` and `+`"
        ));
    }
    let lower = text.to_ascii_lowercase();
    if PROGRAMS.contains(&lower.as_str()) {
        return refuse(format!(
            "{lower} files are for the system itself, which starts or loads them"
        ));
    }
    if lower == BUNDLE_EXTENSION {
        return refuse(format!("{lower} files are for the launcher itself"));
    }
    Ok(lower)
}

/// The MIME type that systems give all these extensions; `None` if they are the app's own.
fn common_type(extensions: &[String]) -> Result<Option<&'static str>, DocumentTypeError> {
    let known = |extension: &String| {
        COMMON.iter().find(|(common, _)| common == extension).map(|(_, mime)| *mime)
    };
    let mut types = extensions.iter().map(known);
    let first = types.next().flatten();
    if types.any(|other| other != first) {
        return refuse(format!(
            "the extensions {} are of different types; give each type a table of its own",
            extensions.join(", ")
        ));
    }
    Ok(first)
}

/// The MIME type in lower case.
fn mime(text: &str) -> Result<String, DocumentTypeError> {
    let lower = text.to_ascii_lowercase();
    let is_sign = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c);
    let is_one = lower.split_once('/').is_some_and(|(top, sub)| {
        TOP_LEVEL.contains(&top) && !sub.is_empty() && sub.len() < 128 && sub.chars().all(is_sign)
    });
    if is_one {
        Ok(lower)
    } else {
        refuse(format!("{text:?} is no MIME type, such as application/x-label"))
    }
}

fn is_no_standard(mime: &str) -> bool {
    let sub = mime.split('/').nth(1).unwrap_or_default();
    NO_STANDARD.iter().any(|start| sub.starts_with(start))
}

/// The MIME type of a document for which the publisher names none.
fn own_type(app: &AppName, extension: &str) -> String {
    format!("application/x-{}-{extension}", app.as_str().to_lowercase())
}

/// The names, the one for every language first.
fn names(name: &DocumentName) -> Result<Vec<(String, String)>, DocumentTypeError> {
    let checked = |text: &str| {
        let text = text.trim();
        let is_one = !text.is_empty()
            && text.chars().count() <= MAX_NAME
            && !text.chars().any(char::is_control);
        if is_one {
            Ok(text.to_owned())
        } else {
            refuse(format!(
                "the name {text:?} is none; use one line of up to {MAX_NAME} characters"
            ))
        }
    };
    match name {
        DocumentName::All(text) => Ok(vec![(String::new(), checked(text)?)]),
        DocumentName::Each(each) => {
            let usual = each.get(USUAL_LANGUAGE).or_else(|| each.values().next());
            let Some(usual) = usual else { return refuse("the table of names is empty") };
            let mut names = vec![(String::new(), checked(usual)?)];
            for (tag, text) in each {
                if tag.is_empty() || !tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                    return refuse(format!("{tag:?} is no tag of a language, such as zh-CN"));
                }
                names.push((tag.clone(), checked(text)?));
            }
            Ok(names)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<DocumentType>, DocumentTypeError> {
        #[derive(Deserialize)]
        struct Tables {
            documents: Vec<DocumentSettings>,
        }
        let tables: Tables = toml::from_str(text).unwrap();
        DocumentType::all(&tables.documents, &"My-App".parse().unwrap())
    }

    fn one(lines: &str) -> DocumentType {
        read(&format!("[[documents]]\nname = 'Label file'\n{lines}")).unwrap().remove(0)
    }

    fn refusal(lines: &str) -> String {
        let text = format!("[[documents]]\nname = 'Label file'\n{lines}");
        read(&text).expect_err(lines).to_string()
    }

    #[test]
    fn an_ending_of_its_own_makes_a_type_of_its_own() {
        let label = one("extensions = ['LBL', 'label']");
        assert_eq!(label.extensions, ["lbl", "label"]);
        assert_eq!((label.mime.as_str(), label.is_own), ("application/x-my-app-lbl", true));
        let named = one("extensions = ['lbl']\nmime = 'application/vnd.example.Label'");
        assert_eq!((named.mime.as_str(), named.is_own), ("application/vnd.example.label", true));
    }

    #[test]
    fn a_common_type_stays_everybodys() {
        for lines in [
            "extensions = ['txt', 'log']",
            "extensions = ['TXT']\nmime = 'application/x-notes'",
            "extensions = ['foo']\nmime = 'text/plain'",
            "extensions = ['xlsx']",
        ] {
            assert!(!one(lines).is_own, "{lines}");
        }
        assert_eq!(one("extensions = ['jpg', 'jpeg']").mime, "image/jpeg");
    }

    #[test]
    fn names_come_in_each_language_with_one_for_all_others() {
        let text = "[[documents]]\nextensions = ['lbl']\n\
            name = { zh-CN = '标签文件', en = 'Label file' }";
        let names = read(text).unwrap().remove(0).names;
        let pair = |tag: &str, name: &str| (tag.to_owned(), name.to_owned());
        let expected =
            [pair("", "Label file"), pair("en", "Label file"), pair("zh-CN", "标签文件")];
        assert_eq!(names, expected);
    }

    #[test]
    fn what_no_system_could_use_is_refused_with_the_way_out() {
        for (lines, reason) in [
            ("extensions = ['.lbl']", "without its dot: \"lbl\""),
            ("extensions = ['*.lbl']", "without its dot: \"lbl\""),
            ("extensions = ['tar.lbl']", "what follows the last one"),
            ("extensions = []", "name at least one"),
            ("extensions = ['']", "use up to 32 letters"),
            ("extensions = ['标签']", "use up to 32 letters"),
            ("extensions = ['a\\b']", "use up to 32 letters"),
            ("extensions = ['EXE']", "exe files are for the system itself"),
            ("extensions = ['kuzflow-bundle']", "for the launcher itself"),
            ("extensions = ['png', 'jpg']", "a table of its own"),
            ("extensions = ['lbl', 'txt']", "a table of its own"),
            ("extensions = ['lbl', 'LBL']", "\"lbl\" stands there twice"),
            ("extensions = ['lbl']\nmime = 'label'", "is no MIME type"),
            ("extensions = ['lbl']\nmime = 'x/y'", "is no MIME type"),
            ("extensions = ['lbl']\nmime = 'text/a;b'", "is no MIME type"),
        ] {
            assert!(refusal(lines).contains(reason), "{lines}: {}", refusal(lines));
        }
        let table = "[[documents]]\nextensions = ['EXT']\nname = 'x'\nmime = 'text/x-a'\n";
        let twice = [table.replace("EXT", "a"), table.replace("EXT", "b")].concat();
        assert!(read(&twice).unwrap_err().to_string().contains("text/x-a stands there twice"));
        for name in ["''", "'a\tb'", "{}", "{ 'zh/CN' = 'x' }"] {
            assert!(read(&format!("[[documents]]\nextensions = ['a']\nname = {name}")).is_err());
        }
    }

    #[test]
    fn the_table_of_common_types_is_sorted_and_holds_types() {
        assert!(COMMON.is_sorted() && PROGRAMS.is_sorted());
        for (extension, mime) in COMMON {
            assert_eq!(super::mime(mime).unwrap(), mime, "{extension}");
            assert!(!PROGRAMS.contains(&extension));
        }
    }
}
