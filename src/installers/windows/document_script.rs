//! What the script of an installer says of the app's documents: their names, and their classes in
//! the registry.
//!
//! In: the types of documents. Out: lines of the script. Never: makes the app the opener of a
//! common type; it is only offered for these. What is registered here, `RemoveDocuments` of the
//! template takes away.

use super::escaping::escaped;
use crate::desktop::Document;
use crate::installers::payload::windows_picture_name;

/// The languages of the installer, as NSIS and as language tags name them.
const LANGUAGES: [(&str, &str); 2] = [("LANG_ENGLISH", "en"), ("LANG_SIMPCHINESE", "zh-CN")];

/// The names of the documents in each language of the installer.
pub(super) fn names(documents: &[Document]) -> String {
    let mut lines = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        for (language, tag) in LANGUAGES {
            let names = &document.kind.names;
            let found = names.iter().find(|(of, _)| of == tag).map(|(_, name)| name.as_str());
            let name = escaped(found.unwrap_or_else(|| document.kind.usual_name()));
            lines.push(format!("LangString Document{number} ${{{language}}} \"{name}\""));
        }
    }
    lines.join("\n")
}

/// The lines that register the documents of the app with this id and this launcher. Both are
/// escaped already.
pub(super) fn classes(documents: &[Document], id: &str, program: &str) -> String {
    let mut lines = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        let icon = match &document.icon {
            Some(_) => windows_picture_name(&document.kind),
            None => program.to_owned(),
        };
        let open = format!("'\"$INSTDIR\\{program}\" run -- \"%1\"'");
        for extension in &document.kind.extensions {
            let class = format!("{id}.{extension}");
            let key = format!("${{CLASSES}}\\{class}");
            let openers = format!("${{CLASSES}}\\.{extension}\\OpenWithProgids");
            lines.extend([
                // The list comes first: so all that an interrupted installation has set goes, too.
                set("${UNINSTALL_KEY}\\Documents", extension, "\"\""),
                set(&key, "", &format!("\"$(Document{number})\"")),
                set(&format!("{key}\\DefaultIcon"), "", &format!("\"$INSTDIR\\{icon}\"")),
                set(&format!("{key}\\shell\\open\\command"), "", &open),
                set(&openers, &class, "\"\""),
            ]);
            if document.kind.is_own {
                lines.extend(usual_opener(extension, &class));
            }
        }
    }
    lines.join("\n")
}

/// A line that sets a value of the registry; `value` is a word of the script with its quotes.
fn set(key: &str, name: &str, value: &str) -> String {
    format!("  WriteRegStr SHCTX \"{key}\" \"{name}\" {value}")
}

/// The lines that let the app open an extension by default, unless another program does so for this
/// user or for all.
fn usual_opener(extension: &str, class: &str) -> [String; 5] {
    let key = format!("${{CLASSES}}\\.{extension}");
    [
        format!("  ReadRegStr $0 SHCTX \"{key}\" \"\""),
        format!("  ReadRegStr $1 HKLM \"{key}\" \"\""),
        "  ${If} \"$0$1\" == \"\"".to_owned(),
        set(&key, "", &format!("\"{class}\"")),
        "  ${EndIf}".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desktop::shortcut::tests::document;

    #[test]
    fn each_language_has_its_name_and_no_name_is_read_as_the_language_of_the_script() {
        let mut label = document(&["lbl"], "application/x-sample-lbl", true);
        label.kind.names[0].1 = "$INSTDIR \"x\"".to_owned();
        let expected = [
            "LangString Document0 ${LANG_ENGLISH} \"${DOLLAR}INSTDIR $\\\"x$\\\"\"",
            "LangString Document0 ${LANG_SIMPCHINESE} \"标签文件\"",
        ];
        assert_eq!(names(&[label]), expected.join("\n"));
    }

    #[test]
    fn an_extension_is_taken_only_if_it_is_the_apps_own_and_unclaimed() {
        let pictured = Document {
            icon: Some(Vec::new()),
            ..document(&["lbl", "label"], "application/x-sample-lbl", true)
        };
        let text = classes(&[pictured, document(&["txt"], "text/plain", false)], "my-app", "A.exe");
        for line in [
            "  WriteRegStr SHCTX \"${UNINSTALL_KEY}\\Documents\" \"label\" \"\"",
            "  WriteRegStr SHCTX \"${CLASSES}\\my-app.lbl\" \"\" \"$(Document0)\"",
            "  WriteRegStr SHCTX \"${CLASSES}\\my-app.txt\" \"\" \"$(Document1)\"",
            "  WriteRegStr SHCTX \"${CLASSES}\\my-app.label\\DefaultIcon\" \"\" \"$INSTDIR\\document-lbl.ico\"",
            "  WriteRegStr SHCTX \"${CLASSES}\\my-app.txt\\DefaultIcon\" \"\" \"$INSTDIR\\A.exe\"",
            "  WriteRegStr SHCTX \"${CLASSES}\\my-app.txt\\shell\\open\\command\" \"\" '\"$INSTDIR\\A.exe\" run -- \"%1\"'",
            "  WriteRegStr SHCTX \"${CLASSES}\\.txt\\OpenWithProgids\" \"my-app.txt\" \"\"",
            "  ReadRegStr $1 HKLM \"${CLASSES}\\.lbl\" \"\"\n  ${If} \"$0$1\" == \"\"",
            "\n  WriteRegStr SHCTX \"${CLASSES}\\.lbl\" \"\" \"my-app.lbl\"",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("\"${CLASSES}\\.txt\" "), "a common type stays everybody's: {text}");
    }
}
