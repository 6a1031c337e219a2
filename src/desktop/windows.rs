//! Shortcuts and file types on Windows. Pure: an entry in, values out; `super::shell` passes them
//! to the system.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{BUNDLE_SUFFIX, DesktopError, Document, Entry, text};
use crate::model::Digest;
use crate::model::path::is_device;

/// The values of a `.lnk` file that Windows writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub target: PathBuf,
    /// Its command line after the program, quoted.
    pub arguments: String,
    /// The working folder.
    pub folder: PathBuf,
    pub icon: PathBuf,
    /// The tooltip.
    pub description: String,
}

impl Link {
    /// All values of the link as text, to compare it with an earlier one.
    pub(crate) fn facts(&self) -> String {
        let Self { target, arguments, folder, icon, description } = self;
        format!(
            "{}\n{arguments}\n{}\n{}\n{description}",
            target.display(),
            folder.display(),
            icon.display()
        )
    }
}

/// One value below `HKEY_CURRENT_USER\Software\Classes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClassValue {
    /// The key, relative to that one.
    pub key: String,
    /// The value's name; empty for the key's default value.
    pub name: String,
    pub value: String,
    /// Whether it is set only where no program has set one.
    pub is_for_unclaimed: bool,
}

impl ClassValue {
    fn new(key: String, name: &str, value: String) -> Self {
        Self { key, name: name.to_owned(), value, is_for_unclaimed: false }
    }
}

/// The link that starts the app.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
pub(crate) fn link(entry: &Entry, icon: &Path) -> Result<Link, DesktopError> {
    let mut words = arguments(&entry.arguments)?;
    words.push("run".to_owned());
    Ok(Link {
        target: entry.program.clone(),
        arguments: words.join(" "),
        folder: entry.program.parent().map(Path::to_path_buf).unwrap_or_default(),
        icon: icon.to_owned(),
        description: entry.comments.first().map(|(_, comment)| comment.clone()).unwrap_or_default(),
    })
}

/// The link that starts the app at login; it has the launcher's own icon.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
pub(super) fn login_link(entry: &Entry, words: &[&str]) -> Result<Link, DesktopError> {
    let mut all = arguments(&entry.arguments)?;
    all.extend(words.iter().map(|word| (*word).to_owned()));
    Ok(Link { arguments: all.join(" "), ..link(entry, &entry.program)? })
}

/// The link that opens the launcher's window, and its file name; `None` without such an action.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
pub(crate) fn window_link(
    entry: &Entry,
    icon: &Path,
) -> Result<Option<(String, Link)>, DesktopError> {
    let Some(action) = entry.actions.first() else { return Ok(None) };
    let mut words = arguments(&entry.arguments)?;
    words.extend(action.words.iter().map(|word| (*word).to_owned()));
    let title = action.names.first().map(|(_, name)| name.clone()).unwrap_or_default();
    let name = link_name(&Entry { name: format!("{} - {title}", entry.name), ..entry.clone() });
    Ok(Some((name, Link { arguments: words.join(" "), description: title, ..link(entry, icon)? })))
}

/// The file name of the link, with forbidden characters replaced.
pub(crate) fn link_name(entry: &Entry) -> String {
    let name: String = entry
        .name
        .chars()
        .map(|c| if "<>:\"/\\|?*".contains(c) || c.is_control() { '-' } else { c })
        .collect();
    let name = name.trim().trim_end_matches(['.', ' ']);
    format!("{}.lnk", if name.is_empty() || is_device(name) { &entry.id } else { name })
}

/// A type of files in Windows' registry, as this app's launcher opens it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileClass {
    /// The ending of the files' names, without a dot.
    pub extension: String,
    /// The key that describes them.
    pub class: String,
}

/// The class of the bundles that this app's launcher opens.
pub(super) fn class(entry: &Entry) -> String {
    format!("{}.{BUNDLE_SUFFIX}", entry.id)
}

/// The classes of the app's documents, one for each extension.
pub(super) fn document_classes(entry: &Entry) -> Vec<FileClass> {
    let extensions = entry.documents.iter().flat_map(|document| &document.kind.extensions);
    extensions
        .map(|extension| FileClass {
            extension: extension.clone(),
            class: format!("{}.{extension}", entry.id),
        })
        .collect()
}

/// The file of a document's icon, beside that of the app.
pub(super) fn document_icon(document: &Document, icon: &Path) -> PathBuf {
    icon.with_file_name(format!("{}.ico", document.kind.file_stem()))
}

/// The registry values that make Windows offer this launcher for bundles and for the app's
/// documents. The user decides in Windows which of several programs opens them by default; an
/// extension that no program has opened before is opened by the app.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
pub(super) fn classes(entry: &Entry, icon: &Path) -> Result<Vec<ClassValue>, DesktopError> {
    let mut words = vec![quoted(text(&entry.program)?)];
    words.extend(arguments(&entry.arguments)?);
    let launcher = words.join(" ");
    let bundle = FileClass { extension: BUNDLE_SUFFIX.to_owned(), class: class(entry) };
    let name = entry.bundle_names.first().map_or("", |(_, name)| name);
    let mut values = class_values(&bundle, name, icon, &format!("{launcher} \"%1\""))?;
    for document in &entry.documents {
        let kind = &document.kind;
        let picture = document.icon.as_ref().map(|_| document_icon(document, icon));
        let icon = picture.as_deref().unwrap_or(icon);
        for extension in &kind.extensions {
            let class = format!("{}.{extension}", entry.id);
            let class = FileClass { extension: extension.clone(), class };
            let open = format!("{launcher} run -- \"%1\"");
            values.extend(class_values(&class, kind.usual_name(), icon, &open)?);
            values.extend(kind.is_own.then(|| ClassValue {
                is_for_unclaimed: true,
                ..ClassValue::new(format!(".{extension}"), "", class.class)
            }));
        }
    }
    Ok(values)
}

/// The digest of all these values, to compare them with those of an earlier call.
pub(super) fn digest(values: &[ClassValue]) -> Digest {
    let line = |value: &ClassValue| {
        let ClassValue { key, name, value, is_for_unclaimed } = value;
        format!("{key}\n{name}\n{value}\n{is_for_unclaimed}\n")
    };
    Digest::of(values.iter().map(line).collect::<String>().as_bytes())
}

/// The values that describe a class, and offer it for its extension.
fn class_values(
    file_class: &FileClass,
    name: &str,
    icon: &Path,
    open: &str,
) -> Result<Vec<ClassValue>, DesktopError> {
    let FileClass { extension, class } = file_class;
    Ok(vec![
        ClassValue::new(class.clone(), "", name.to_owned()),
        ClassValue::new(format!("{class}\\DefaultIcon"), "", text(icon)?.to_owned()),
        ClassValue::new(format!("{class}\\shell\\open\\command"), "", open.to_owned()),
        ClassValue::new(format!(".{extension}\\OpenWithProgids"), class, String::new()),
    ])
}

/// What Windows' list of installed programs has of the app.
#[cfg_attr(not(windows), allow(dead_code, reason = "only Windows has such a list"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Whether it is installed for all users of the computer.
    pub is_for_all: bool,
    /// The version as it is shown.
    pub version: String,
    /// The folder of the installation.
    pub folder: String,
}

/// Reads an entry of Windows' list of startup apps. Its first byte is odd while the user has the app
/// switched off, in the task manager or in the settings; the others are the time of that.
#[cfg(any(windows, test))]
pub(super) fn is_startup_off(entry: &[u8]) -> bool {
    entry.first().is_some_and(|state| state % 2 == 1)
}

fn arguments(arguments: &[OsString]) -> Result<Vec<String>, DesktopError> {
    arguments.iter().map(|word| text(word.as_ref()).map(quoted)).collect()
}

/// The launcher's options as a link has them before the verb.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path in them is not Unicode.
pub(super) fn options(options: &[OsString]) -> Result<String, DesktopError> {
    arguments(options).map(|words| words.join(" "))
}

/// One word of a command line, as `CommandLineToArgvW` reads it: backslashes have a meaning only
/// before a quote.
fn quoted(word: &str) -> String {
    if !word.is_empty() && !word.contains([' ', '\t', '\n', '"']) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    let mut backslashes = 0;
    for character in word.chars() {
        if character == '"' {
            quoted.push_str(&"\\".repeat(backslashes + 1));
        }
        backslashes = if character == '\\' { backslashes + 1 } else { 0 };
        quoted.push(character);
    }
    quoted.push_str(&"\\".repeat(backslashes));
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desktop::shortcut::tests::{document, entry};

    #[test]
    fn words_are_quoted_as_windows_reads_them() {
        for (word, expected) in [
            ("plain", "plain"),
            ("", "\"\""),
            ("C:\\My Folder\\", "\"C:\\My Folder\\\\\""),
            ("a\"b", "\"a\\\"b\""),
            ("a \\\"b", "\"a \\\\\\\"b\""),
            ("C:\\数据\\x", "C:\\数据\\x"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn the_link_and_the_class_name_the_launcher() {
        let program = "C:\\Program Files\\应用\\kuzflow-launcher.exe";
        let entry = Entry {
            program: program.into(),
            arguments: vec!["--home".into(), "D:\\my data".into()],
            ..entry()
        };
        let link = link(&entry, Path::new("D:\\icon.ico")).unwrap();
        assert_eq!(
            (link.target.to_str().unwrap(), link.arguments.as_str()),
            (program, "--home \"D:\\my data\" run")
        );
        let classes = classes(&entry, Path::new("D:\\icon.ico")).unwrap();
        assert_eq!(classes[2].value, format!("\"{program}\" --home \"D:\\my data\" \"%1\""));
        assert_eq!(
            (classes[3].key.as_str(), classes[3].name.as_str()),
            (".kuzflow-bundle\\OpenWithProgids", "kuzflow-sample.kuzflow-bundle")
        );
    }

    #[test]
    fn documents_are_offered_and_only_an_unclaimed_extension_is_opened_by_default() {
        let pictured =
            Document { icon: Some(Vec::new()), ..document(&["lbl", "label"], "text/x-a", true) };
        let entry = Entry {
            program: "C:\\My App\\App.exe".into(),
            documents: vec![pictured, document(&["txt"], "text/plain", false)],
            ..entry()
        };
        let values = classes(&entry, Path::new("D:\\icon.ico")).unwrap();
        let value = |key: &str, name: &str| {
            let found = values.iter().find(|value| value.key == key && value.name == name);
            found.map(|value| (value.value.as_str(), value.is_for_unclaimed))
        };
        let command = "kuzflow-sample.lbl\\shell\\open\\command";
        let words = "\"C:\\My App\\App.exe\" run -- \"%1\"";
        assert_eq!(value(command, ""), Some((words, false)));
        assert_eq!(value("kuzflow-sample.txt\\shell\\open\\command", ""), Some((words, false)));
        assert_eq!(value("kuzflow-sample.lbl", ""), Some(("Label & file", false)));
        for extension in ["lbl", "label", "txt"] {
            let key = format!(".{extension}\\OpenWithProgids");
            let class = format!("kuzflow-sample.{extension}");
            assert_eq!(value(&key, &class), Some(("", false)), "{extension}");
        }
        assert_eq!(value(".lbl", ""), Some(("kuzflow-sample.lbl", true)));
        assert_eq!(value(".label", ""), Some(("kuzflow-sample.label", true)));
        assert_eq!(value(".txt", ""), None, "a common type is never taken over");
        let icon = value("kuzflow-sample.label\\DefaultIcon", "").unwrap().0;
        assert!(icon.ends_with("document-lbl.ico"), "{icon}");
        let icon = value("kuzflow-sample.txt\\DefaultIcon", "");
        assert_eq!(icon, Some(("D:\\icon.ico", false)));
    }

    #[test]
    fn the_list_of_startup_apps_says_which_are_switched_off() {
        let switched_off = [3, 0, 0, 0, 0x40, 0x2c, 0xd1, 0x5b, 0x71, 0x8e, 0xd8, 1];
        for (entry, expected) in [
            (&switched_off[..], true),
            (&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], true),
            (&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false),
            (&[6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], false),
            (&[], false),
        ] {
            assert_eq!(is_startup_off(entry), expected, "{entry:?}");
        }
    }

    #[test]
    fn a_second_link_opens_the_window() {
        let names = vec![(String::new(), "Versions and updates".to_owned())];
        let action =
            crate::desktop::Action { id: "versions", words: vec!["window", "--versions"], names };
        let entry = Entry {
            name: "A: B".to_owned(),
            arguments: vec!["--home".into(), "D:\\x".into()],
            actions: vec![action],
            ..entry()
        };
        let (name, link) = window_link(&entry, Path::new("D:\\icon.ico")).unwrap().unwrap();
        assert_eq!(
            (name.as_str(), link.arguments.as_str()),
            ("A- B - Versions and updates.lnk", "--home D:\\x window --versions")
        );
        assert_eq!(
            window_link(&Entry { actions: Vec::new(), ..entry }, Path::new("x")).unwrap(),
            None
        );
    }

    #[test]
    fn names_of_links_are_names_of_files() {
        let named = |name: &str| link_name(&Entry { name: name.to_owned(), ..entry() });
        assert_eq!(
            (named("A: B/C?").as_str(), named("示例 Sample").as_str()),
            ("A- B-C-.lnk", "示例 Sample.lnk")
        );
        for reserved in ["CON", "nul.x", "com1", "LPT9 ", "...", " "] {
            assert_eq!(named(reserved), "kuzflow-sample.lnk", "{reserved}");
        }
    }
}
