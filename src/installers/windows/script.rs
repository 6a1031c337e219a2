//! The script from which NSIS makes an installer: the template with the app's texts in it.
//!
//! In: texts, names of files. Out: one text. Never: a text of the publisher's that NSIS would read
//! as its own.

use super::document_script;
use super::escaping::{escaped, escaped_for_resource};
use super::version_information::numbers;
use crate::desktop::Document;
use crate::installers::error::InstallerError;
use crate::installers::payload::PayloadFile;
use crate::installers::product::Product;
use crate::model::release::INCLUDED_BUNDLE;

/// The template; `@NAME@` and the like stand for texts.
const TEMPLATE: &str = include_str!("../../../assets/installers/setup.nsi");

/// What every installer says.
#[derive(Clone, Debug)]
pub(super) struct SetupTexts<'a> {
    /// Name of the registry's keys: letters, digits, `-` and `.`.
    pub id: &'a str,
    pub name: &'a str,
    pub publisher: &'a str,
    pub homepage: &'a str,
    pub copyright: &'a str,
    pub version: String,
    pub version_numbers: [u16; 4],
    /// Kilobytes that it takes when it is installed.
    pub kilobytes: u64,
}

impl<'a> SetupTexts<'a> {
    /// What is said of a product with these files.
    pub(super) fn of<'f>(
        product: &'a Product,
        files: impl Iterator<Item = &'f PayloadFile>,
    ) -> Result<Self, InstallerError> {
        let mut bytes = 0;
        for file in files {
            bytes += file.content.length()?;
        }
        Ok(Self {
            id: product.app.as_str(),
            name: &product.display_name,
            publisher: &product.publisher.name,
            homepage: product.homepage.as_ref().map(url::Url::as_str).unwrap_or_default(),
            copyright: &product.copyright,
            version: product.version.to_string(),
            version_numbers: numbers(&product.version),
            kilobytes: bytes.div_ceil(1024),
        })
    }

    /// The texts by the names of their places.
    pub(super) fn places(&self) -> Vec<(&'static str, String)> {
        let numbers = self.version_numbers.map(|number| number.to_string()).join(".");
        vec![
            ("NAME", escaped(self.name)),
            ("NAME_FOR_LABELS", escaped(self.name).replace('&', "&&")),
            ("NAME_FIXED", escaped_for_resource(self.name)),
            ("PUBLISHER", escaped(self.publisher)),
            ("PUBLISHER_FIXED", escaped_for_resource(self.publisher)),
            ("COPYRIGHT_FIXED", escaped_for_resource(self.copyright)),
            ("HOMEPAGE", escaped(self.homepage)),
            ("VERSION", escaped(&self.version)),
            ("VERSION_FIXED", escaped_for_resource(&self.version)),
            ("VERSION_NUMBERS", numbers),
            ("ID", escaped(self.id)),
            ("KILOBYTES", self.kilobytes.min(u64::from(u32::MAX)).to_string()),
        ]
    }
}

/// What the installer of an app says, and which files it brings.
#[derive(Clone, Debug)]
pub(super) struct Script<'a> {
    pub texts: SetupTexts<'a>,
    pub description: &'a str,
    /// The version of the launcher, which renews itself: an older one does not take its place.
    pub launcher_numbers: [u16; 4],
    /// The app's name as the name of a file: of the launcher, the folder and the shortcuts.
    pub file_name: &'a str,
    /// The files besides the launcher.
    pub files: &'a [ScriptFile<'a>],
    /// The documents that the app opens.
    pub documents: &'a [Document],
}

/// A file that the installer brings.
#[derive(Clone, Debug)]
pub(super) struct ScriptFile<'a> {
    /// Its name in the folder of the installation.
    pub name: &'a str,
    /// Its name beside the script.
    pub source: String,
}

impl Script<'_> {
    /// The text of the script.
    pub(super) fn text(&self) -> String {
        let [major, minor, patch, build] = self.launcher_numbers.map(u32::from);
        let file_name = escaped(self.file_name);
        let program = format!("{file_name}.exe");
        let id = escaped(self.texts.id);
        let mut texts = self.texts.places();
        texts.extend([
            ("DESCRIPTION", escaped(self.description)),
            ("LAUNCHER_HIGH", (major << 16 | minor).to_string()),
            ("LAUNCHER_LOW", (patch << 16 | build).to_string()),
            ("FOLDER", file_name.clone()),
            ("LINK", file_name.clone()),
            ("EXE", program.clone()),
            ("DOCUMENT_NAMES", document_script::names(self.documents)),
            ("DOCUMENT_CLASSES", document_script::classes(self.documents, &id, &program)),
            ("STEM", file_name),
            // One block for all files is the smallest, but compresses also what is compressed.
            ("SOLID", if self.has_bundle() { "" } else { "/SOLID " }.to_owned()),
            ("FILES", self.files_put()),
            ("FILES_REMOVED", self.files_removed()),
        ]);
        filled(TEMPLATE, &texts)
    }

    fn has_bundle(&self) -> bool {
        self.files.iter().any(|file| file.name == INCLUDED_BUNDLE)
    }

    fn files_put(&self) -> String {
        let line = |file: &ScriptFile| {
            let line = format!("  File \"/oname={}\" \"{}\"", escaped(file.name), file.source);
            match file.name {
                // A second compression takes minutes and gains nothing.
                INCLUDED_BUNDLE => format!("  SetCompress off\n{line}\n  SetCompress auto"),
                _ => line,
            }
        };
        self.files.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn files_removed(&self) -> String {
        let line = |file: &ScriptFile| format!("  Delete \"$INSTDIR\\{}\"", escaped(file.name));
        self.files.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The template with the texts in it. One pass: a text that looks like a place stays a text.
pub(super) fn filled(template: &str, texts: &[(&str, String)]) -> String {
    let mut parts = template.split('@');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    let mut follows_name = false;
    for part in parts {
        let text = texts.iter().find(|(name, _)| !follows_name && *name == part);
        match text {
            Some((_, text)) => filled.push_str(text),
            None if follows_name => filled.push_str(part),
            None => {
                filled.push('@');
                filled.push_str(part);
            }
        }
        follows_name = text.is_some();
    }
    filled
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::installers::windows) fn texts(name: &str) -> SetupTexts<'_> {
        SetupTexts {
            id: "my-app",
            name,
            publisher: "Müller & Co",
            homepage: "https://example.com/",
            copyright: "",
            version: "1.2.3-beta.1".to_owned(),
            version_numbers: [1, 2, 3, 0],
            kilobytes: 12,
        }
    }

    fn script(name: &str) -> String {
        script_with(name, "b c $x.txt")
    }

    fn script_with(name: &str, second: &str) -> String {
        let file = |name, source: &str| ScriptFile { name, source: source.to_owned() };
        let files = [file("launcher.toml", "file0"), file(second, "file1")];
        let script = Script {
            texts: texts(name),
            description: "one \"line\"",
            launcher_numbers: [2, 1, 4, 0],
            file_name: "My App",
            files: &files,
            documents: &[],
        };
        script.text()
    }

    #[test]
    fn every_place_of_the_template_is_filled() {
        let text = script("A & B $1");
        assert!(text.contains("Name \"A & B ${DOLLAR}1\" \"A && B ${DOLLAR}1\"\n"));
        assert!(text.contains("VIProductVersion \"1.2.3.0\"\n"));
        assert!(text.contains("${If} $0 U> 131073\n"), "the launcher's version: 2.1");
        let left: Vec<&str> = text.lines().filter(|line| line.contains('@')).collect();
        assert_eq!(
            left,
            [
                "; The installer of an app for Windows. `kuzflow package` fills in what stands between @ signs, and"
            ]
        );
        // A name that looks like a place stays a name.
        assert!(script("@VERSION@ a@b").contains("Name \"@VERSION@ a@b\""));
    }

    #[test]
    fn each_file_is_put_and_removed() {
        let text = script("x");
        assert!(text.contains("  File \"/oname=b c ${DOLLAR}x.txt\" \"file1\"\n"));
        assert!(text.contains("  Delete \"$INSTDIR\\launcher.toml\"\n"));
        assert!(text.contains("  Delete \"$INSTDIR\\b c ${DOLLAR}x.txt\"\n"));
    }

    #[test]
    fn a_bundle_is_not_compressed_again() {
        let text = script_with("x", INCLUDED_BUNDLE);
        let file = "  File \"/oname=release.kuzflow-bundle\" \"file1\"\n";
        assert!(text.contains(&format!("  SetCompress off\n{file}  SetCompress auto\n")), "{text}");
        assert!(text.contains("\nSetCompressor lzma\n"));
        let small = script("x");
        assert!(small.contains("\nSetCompressor /SOLID lzma\n"));
        assert!(!small.contains("SetCompress off"));
    }
}
