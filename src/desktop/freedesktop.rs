//! Menu entries, and the types of bundles and of the app's documents, for Linux and related systems: Desktop Entry
//! Specification 1.5, Shared MIME-info Database 0.22, Icon Theme Specification 0.13. Pure: an entry
//! in, texts out.

use super::{BUNDLE_SUFFIX, DesktopError, Document, Entry, text};

/// The MIME type of bundles.
pub(crate) const BUNDLE_TYPE: &str = "application/vnd.kuzflow.bundle";
/// The version of the specification that has all keys used here.
const SPECIFICATION: &str = "1.1";

/// The menu entry that starts the app.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
pub(crate) fn application(entry: &Entry) -> Result<String, DesktopError> {
    let mut lines = head(entry)?;
    // One file for each start, as on Windows: an app that takes one file misses none.
    let file = if entry.documents.is_empty() { "" } else { " -- %f" };
    lines.push(format!("Exec={} run{file}", command(entry)?));
    let types: String = entry.documents.iter().map(|it| format!("{};", it.kind.mime)).collect();
    if !types.is_empty() {
        lines.push(format!("MimeType={types}"));
    }
    lines.push(format!("Categories={}", list(&entry.categories)));
    let keywords = list(&entry.keywords);
    if !keywords.is_empty() {
        lines.push(format!("Keywords={keywords}"));
    }
    lines.push(format!("StartupWMClass={}", string(&entry.window_class)));
    let ids: String = entry.actions.iter().map(|action| format!("{};", action.id)).collect();
    if !ids.is_empty() {
        lines.push(format!("Actions={ids}"));
    }
    for action in &entry.actions {
        lines.extend([String::new(), format!("[Desktop Action {}]", action.id)]);
        lines.extend(
            action.names.iter().map(|(tag, name)| format!("Name{}={}", locale(tag), string(name))),
        );
        lines.push(format!("Exec={} {}", command(entry)?, action.words.join(" ")));
    }
    Ok(lines.join("\n") + "\n")
}

/// The entry that starts the app at login.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
pub(super) fn autostart(entry: &Entry, words: &[&str]) -> Result<String, DesktopError> {
    let mut lines = head(entry)?;
    lines.push(format!("Exec={} {}", command(entry)?, words.join(" ")));
    lines.push("NoDisplay=true".to_owned());
    Ok(lines.join("\n") + "\n")
}

/// The entry that opens a bundle; no menu shows it.
///
/// # Errors
/// [`DesktopError::NotUnicode`] if a path of the entry is not Unicode.
pub(crate) fn opener(entry: &Entry) -> Result<String, DesktopError> {
    let mut lines = head(entry)?;
    lines.push(format!("Exec={} %f", command(entry)?));
    lines.push(format!("MimeType={BUNDLE_TYPE};"));
    lines.push("NoDisplay=true".to_owned());
    Ok(lines.join("\n") + "\n")
}

fn head(entry: &Entry) -> Result<Vec<String>, DesktopError> {
    let mut lines = vec![
        "[Desktop Entry]".to_owned(),
        "Type=Application".to_owned(),
        format!("Version={SPECIFICATION}"),
        format!("Name={}", string(&entry.name)),
    ];
    lines.extend(
        entry
            .comments
            .iter()
            .map(|(tag, comment)| format!("Comment{}={}", locale(tag), string(comment))),
    );
    lines.extend([
        format!("Icon={}", string(&entry.id)),
        // The menu hides the entry while the launcher is missing.
        format!("TryExec={}", string(text(&entry.program)?)),
        "Terminal=false".to_owned(),
        "StartupNotify=false".to_owned(),
    ]);
    Ok(lines)
}

/// Starts the command that follows it.
const DETOUR: [&str; 3] = ["sh", "-c", "exec \"$0\" \"$@\""];

/// The command line of the launcher up to its verb.
fn command(entry: &Entry) -> Result<String, DesktopError> {
    let program = text(&entry.program)?;
    // The specification allows no equals sign in the program's name, and GLib looks for the program
    // before it has replaced two percent signs by one. As an argument of another program the same
    // name is allowed.
    let detour = if program.contains(['=', '%']) { DETOUR.as_slice() } else { &[] };
    let mut words: Vec<String> = detour.iter().copied().chain([program]).map(argument).collect();
    for word in &entry.arguments {
        words.push(argument(text(word.as_ref())?));
    }
    Ok(words.join(" "))
}

/// The locale suffix of a tag: `[zh_CN]` for `zh-CN`.
fn locale(tag: &str) -> String {
    if tag.is_empty() { String::new() } else { format!("[{}]", tag.replace('-', "_")) }
}

/// A value of type string, with line ends and escape characters escaped.
fn string(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            other => escaped.push(other),
        }
    }
    // Readers drop spaces at the beginning.
    if escaped.starts_with(' ') { escaped.replacen(' ', "\\s", 1) } else { escaped }
}

/// A value of type list of strings.
fn list(words: &[String]) -> String {
    words.iter().map(|word| format!("{};", string(word).replace(';', "\\;"))).collect()
}

/// One word of `Exec`: percent signs doubled, and quoted unless the word is plain. The escaping of
/// strings comes after that.
fn argument(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.,:+@=".contains(c);
    let doubled = word.replace('%', "%%");
    if !word.is_empty() && word.chars().all(plain) {
        return doubled;
    }
    let mut quoted = String::from("\"");
    for character in doubled.chars() {
        if "\"`$\\".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    string(&quoted)
}

/// The document that adds the type of bundles, and the types that the app defines, to the shared
/// MIME-info database. A common type has its place there already.
pub(crate) fn mime_package(entry: &Entry) -> String {
    let own = entry.documents.iter().filter(|document| document.kind.is_own);
    let own: String = own.map(|document| document_type(document, &entry.id)).collect();
    let bundle = mime_type(BUNDLE_TYPE, &entry.bundle_names, None, &[BUNDLE_SUFFIX]);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<mime-info xmlns=\"http://www.freedesktop.org/standards/shared-mime-info\">\n\
         {bundle}{own}</mime-info>\n"
    )
}

fn document_type(document: &Document, id: &str) -> String {
    let kind = &document.kind;
    let extensions: Vec<&str> = kind.extensions.iter().map(String::as_str).collect();
    let icon = match document.icon {
        Some(_) => icon_of_type(id, &kind.mime),
        None => id.to_owned(),
    };
    mime_type(&kind.mime, &kind.names, Some(&icon), &extensions)
}

fn mime_type(
    mime: &str,
    names: &[(String, String)],
    icon: Option<&str>,
    extensions: &[&str],
) -> String {
    let comments = names.iter().map(|(tag, name)| match tag.as_str() {
        "" => format!("    <comment>{}</comment>\n", xml(name)),
        tag => format!(
            "    <comment xml:lang=\"{}\">{}</comment>\n",
            xml(&tag.replace('-', "_")),
            xml(name)
        ),
    });
    let icon = icon.map(|name| format!("    <icon name=\"{}\"/>\n", xml(name)));
    let globs = extensions
        .iter()
        .map(|extension| format!("    <glob pattern=\"*.{}\"/>\n", xml(extension)));
    let lines: String = comments.chain(icon).chain(globs).collect();
    format!("  <mime-type type=\"{}\">\n{lines}  </mime-type>\n", xml(mime))
}

/// The name of the icon of files of a type that the app defines. The usual name, that of the type
/// alone, would be one file for all who define this type: two homes of an app, or two packages.
pub(crate) fn icon_of_type(id: &str, mime: &str) -> String {
    format!("{id}-{}", mime.replace('/', "-"))
}

/// Text between or inside XML tags; control characters, which XML cannot contain, are left out.
pub(crate) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other if other.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desktop::Action;
    use crate::desktop::shortcut::tests::{document, entry};

    /// Parses `Exec` as a desktop does: the string's escapes, the words and their quotes, the
    /// percent signs.
    fn read_back(exec: &str) -> Vec<String> {
        let mut unescaped = String::new();
        let mut characters = exec.chars();
        while let Some(character) = characters.next() {
            match (character, character == '\\') {
                (_, true) => match characters.next().unwrap() {
                    's' => unescaped.push(' '),
                    'n' => unescaped.push('\n'),
                    't' => unescaped.push('\t'),
                    'r' => unescaped.push('\r'),
                    other => unescaped.push(other),
                },
                (other, false) => unescaped.push(other),
            }
        }
        let (mut words, mut word, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
        let mut characters = unescaped.chars();
        while let Some(character) = characters.next() {
            match character {
                '"' => (quoted, any) = (!quoted, true),
                '\\' if quoted => word.push(characters.next().unwrap()),
                ' ' if !quoted => {
                    if any {
                        words.push(std::mem::take(&mut word));
                    }
                    any = false;
                }
                other => {
                    word.push(other);
                    any = true;
                }
            }
        }
        words.push(word);
        words.into_iter().map(|word| word.replace("%%", "%")).collect()
    }

    #[test]
    fn any_path_comes_back_from_exec() {
        for path in [
            "/opt/app/kuzflow-launcher",
            "/home/张三/我的 应用/kuzflow-launcher",
            "/tmp/a \"b\" `c` $d \\e 'g' ;#&|<>()*?~!",
            "/tmp/two\nlines\tand a tab",
            " ",
            "",
        ] {
            let entry = Entry {
                program: path.into(),
                arguments: vec!["--home".into(), path.into()],
                ..entry()
            };
            let text = application(&entry).unwrap();
            let exec = text.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap();
            assert_eq!(read_back(exec), [path, "--home", path, "run"], "{exec}");
        }
        for path in ["/tmp/100% %f", "/tmp/a=b"] {
            let entry = Entry {
                program: path.into(),
                arguments: vec!["--home".into(), path.into()],
                ..entry()
            };
            let text = application(&entry).unwrap();
            let exec = text.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap();
            assert_eq!(
                read_back(exec),
                ["sh", "-c", "exec \"$0\" \"$@\"", path, "--home", path, "run"],
                "{exec}"
            );
        }
    }

    #[test]
    fn the_window_is_among_the_actions_of_the_entry() {
        let names =
            vec![(String::new(), "Versions".to_owned()), ("zh-CN".to_owned(), "版本".to_owned())];
        let action = Action { id: "versions", words: vec!["window", "--versions"], names };
        let entry =
            Entry { program: "/opt/kuzflow-launcher".into(), actions: vec![action], ..entry() };
        let text = application(&entry).unwrap();
        let (main, action) = text.split_once("\n\n").unwrap();
        assert!(main.ends_with("\nActions=versions;"), "{main}");
        let wanted = [
            "[Desktop Action versions]",
            "Name=Versions",
            "Name[zh_CN]=版本",
            "Exec=/opt/kuzflow-launcher window --versions",
        ];
        assert_eq!(action.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn texts_cannot_break_out_of_their_line() {
        let entry = Entry {
            name: "A\nExec=evil\\".to_owned(),
            keywords: vec!["a;b".to_owned(), "数据".to_owned()],
            ..entry()
        };
        let text = application(&entry).unwrap();
        assert!(
            text.contains("\nName=A\\nExec=evil\\\\\n")
                && text.contains("\nKeywords=a\\;b;数据;\n"),
            "{text}"
        );
        assert_eq!(text.lines().filter(|line| line.starts_with("Exec=")).count(), 1);
        assert!(
            opener(&entry)
                .unwrap()
                .contains("%f\nMimeType=application/vnd.kuzflow.bundle;\nNoDisplay=true\n")
        );
        let entry = Entry {
            bundle_names: vec![("zh-CN".to_owned(), "<更新> & \"包\"".to_owned())],
            ..entry
        };
        assert!(
            mime_package(&entry).contains(
                "<comment xml:lang=\"zh_CN\">&lt;更新&gt; &amp; &quot;包&quot;</comment>"
            )
        );
    }

    #[test]
    fn an_entry_with_documents_takes_a_file_and_names_their_types() {
        let own = document(&["lbl", "label"], "application/x-sample-lbl", true);
        let pictured = Document {
            icon: Some(Vec::new()),
            ..document(&["dat"], "application/x-sample-dat", true)
        };
        let common = document(&["txt"], "text/plain", false);
        let entry =
            Entry { program: "/opt/a=b".into(), documents: vec![own, pictured, common], ..entry() };
        let text = application(&entry).unwrap();
        let exec = text.lines().find_map(|line| line.strip_prefix("Exec=")).unwrap();
        let words = ["sh", "-c", "exec \"$0\" \"$@\"", "/opt/a=b", "run", "--", "%f"];
        assert_eq!(read_back(exec), words);
        let types = "\nMimeType=application/x-sample-lbl;application/x-sample-dat;text/plain;\n";
        assert!(text.contains(types), "{text}");
        let types = mime_package(&entry);
        let own = [
            "  <mime-type type=\"application/x-sample-lbl\">",
            "    <comment>Label &amp; file</comment>",
            "    <comment xml:lang=\"zh_CN\">标签文件</comment>",
            "    <icon name=\"kuzflow-sample\"/>",
            "    <glob pattern=\"*.lbl\"/>",
            "    <glob pattern=\"*.label\"/>",
            "  </mime-type>",
        ];
        assert!(types.contains(&own.join("\n")), "{types}");
        assert!(!types.contains("text/plain"), "a common type is not defined anew: {types}");
        let pictured = types.split("application/x-sample-dat").nth(1).unwrap();
        let icon = "<icon name=\"kuzflow-sample-application-x-sample-dat\"/>";
        assert!(pictured.contains(icon), "{types}");
    }

    #[test]
    #[cfg(unix)]
    fn what_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStringExt as _;
        let path = std::ffi::OsString::from_vec(b"/tmp/\xff".to_vec());
        let entry = Entry { program: path.into(), ..entry() };
        assert!(matches!(application(&entry), Err(DesktopError::NotUnicode { .. })));
    }
}
