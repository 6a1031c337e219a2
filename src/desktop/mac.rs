//! A macOS application bundle that starts the launcher. Pure: an entry in, texts out.
//!
//! The launcher makes it on this computer, so it carries no quarantine mark and needs no signature;
//! the launcher that it starts has one.

use super::freedesktop::xml;
use super::{DesktopError, Entry, OwnCall, text};

/// The beginning of the identifier of such a bundle.
const IDENTIFIER: &str = "kuzflow.shortcut.";

/// What stands around the launcher's path and options in the script of such a bundle.
const SCRIPT_BEGINS: &str = "#!/bin/sh\nexec ";
const SCRIPT_ENDS: &str = " run\n";

/// The entry's id in the text of an `Info.plist`; `None` if it is not one of such a bundle.
pub(super) fn identifier_in(information: &str) -> Option<String> {
    let (_, identifier) = information.split_once(&format!("<string>{IDENTIFIER}"))?;
    identifier.split('<').next().map(str::to_owned)
}

/// The text of `Contents/Info.plist`.
pub(crate) fn information(entry: &Entry) -> String {
    let pairs = [
        ("CFBundleName", entry.name.as_str()),
        ("CFBundleDisplayName", &entry.name),
        ("CFBundleIdentifier", &format!("{IDENTIFIER}{}", entry.id)),
        ("CFBundleExecutable", "start"),
        ("CFBundleIconFile", "icon"),
        ("CFBundlePackageType", "APPL"),
        ("CFBundleInfoDictionaryVersion", "6.0"),
        ("CFBundleVersion", "1"),
        ("CFBundleShortVersionString", "1"),
    ];
    let pairs: String = pairs
        .iter()
        .map(|(key, value)| format!("  <key>{key}</key>\n  <string>{}</string>\n", xml(value)))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n{pairs}  <key>LSUIElement</key>\n  \
         <true/>\n</dict>\n</plist>\n"
    )
}

/// The text of `Contents/MacOS/start`: a script in place of the program. The app that it starts has
/// its own icon in the Dock; this bundle shows none (`LSUIElement`).
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the call is not Unicode.
pub(super) fn script(call: &OwnCall) -> Result<String, DesktopError> {
    let mut words = vec![quoted(text(&call.program)?)];
    for word in &call.arguments {
        words.push(quoted(text(word.as_ref())?));
    }
    Ok(format!("{SCRIPT_BEGINS}{}{SCRIPT_ENDS}", words.join(" ")))
}

/// Whether this is the text of such a script, of whatever home.
pub(super) fn is_script(text: &str) -> bool {
    let words = text.strip_prefix(SCRIPT_BEGINS).and_then(|text| text.strip_suffix(SCRIPT_ENDS));
    words.is_some_and(|words| words.starts_with('\'') && words.ends_with('\''))
}

/// The text of `~/Library/LaunchAgents/ID.plist`, which starts the app at login.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
pub(super) fn launch_agent(entry: &Entry, words: &[&str]) -> Result<String, DesktopError> {
    let mut all = vec![text(&entry.program)?];
    for word in &entry.arguments {
        all.push(text(word.as_ref())?);
    }
    all.extend(words);
    let all: String =
        all.iter().map(|word| format!("    <string>{}</string>\n", xml(word))).collect();
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  \
         <string>{}</string>\n  <key>ProgramArguments</key>\n  <array>\n{all}  </array>\n  <key>RunAtLoad</key>\n  \
         <true/>\n</dict>\n</plist>\n",
        xml(&entry.id)
    ))
}

/// A word quoted for a shell: between single quotes no character has a meaning.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The bundle's name in the folder for applications; characters that are a problem in Finder or in
/// a path are replaced.
pub(crate) fn bundle_name(entry: &Entry) -> String {
    let name: String = entry
        .name
        .chars()
        .map(|c| if c == '/' || c == ':' || c.is_control() { '-' } else { c })
        .collect();
    let name = name.trim().trim_start_matches('.');
    format!("{}.app", if name.is_empty() { &entry.id } else { name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desktop::shortcut::tests::entry;

    #[test]
    fn names_are_escaped_and_cannot_leave_the_folder() {
        let entry = Entry { name: "../A & <B>".to_owned(), ..entry() };
        assert_eq!(bundle_name(&entry), "-A & <B>.app");
        assert!(information(&entry).contains("<string>../A &amp; &lt;B&gt;</string>"));
        assert_eq!(
            bundle_name(&Entry { name: "..".to_owned(), ..entry.clone() }),
            format!("{}.app", entry.id)
        );
    }

    #[test]
    #[cfg(unix)]
    fn a_shell_gives_the_words_back() {
        let path = "/tmp/it's a \"$HOME\" `x` \\ 数据";
        let entry = Entry {
            program: "printf".into(),
            arguments: vec!["%s|".into(), path.into()],
            ..entry()
        };
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script(&entry.own_call()).unwrap())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{path}|run|"));
    }
}
