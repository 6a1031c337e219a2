//! Shortcuts and file types on Windows. Pure: an entry in, values out; `super::shell` passes them
//! to the system.

use std::path::{Path, PathBuf};

use super::{BUNDLE_SUFFIX, DesktopError, Entry, text};
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
#[cfg(any(windows, test))]
pub(crate) struct ClassValue {
    /// The key, relative to that one.
    pub key: String,
    /// The value's name; empty for the key's default value.
    pub name: String,
    pub value: String,
}

/// The link that starts the app.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
pub(crate) fn link(entry: &Entry, icon: &Path) -> Result<Link, DesktopError> {
    let mut words = arguments(entry)?;
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
    let mut all = arguments(entry)?;
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
    let mut words = arguments(entry)?;
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

/// The registry class of the bundles that this app's launcher opens.
pub(crate) fn class(entry: &Entry) -> String {
    format!("{}.{BUNDLE_SUFFIX}", entry.id)
}

/// The registry values that make Windows offer this launcher for bundles. The user decides in
/// Windows which of several programs opens them by default.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
#[cfg(any(windows, test))]
pub(crate) fn classes(entry: &Entry, icon: &Path) -> Result<Vec<ClassValue>, DesktopError> {
    let class = class(entry);
    let value =
        |key: String, name: &str, value: String| ClassValue { key, name: name.to_owned(), value };
    let mut words = vec![quoted(text(&entry.program)?)];
    words.extend(arguments(entry)?);
    let bundle = entry.bundle_names.first().map(|(_, name)| name.clone()).unwrap_or_default();
    Ok(vec![
        value(class.clone(), "", bundle),
        value(format!("{class}\\DefaultIcon"), "", text(icon)?.to_owned()),
        value(format!("{class}\\shell\\open\\command"), "", format!("{} \"%1\"", words.join(" "))),
        value(format!(".{BUNDLE_SUFFIX}\\OpenWithProgids"), &class, String::new()),
    ])
}

fn arguments(entry: &Entry) -> Result<Vec<String>, DesktopError> {
    entry.arguments.iter().map(|word| text(word.as_ref()).map(quoted)).collect()
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
    use crate::desktop::shortcut::tests::entry;

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
