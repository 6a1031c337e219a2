//! The script from which NSIS makes an installer of tools: its template with texts and files in it.
//!
//! In: texts, names of files. Out: one text. Never: a name of a file that NSIS would read as its own
//! language.

use super::escaping::escaped;
use super::script::{ScriptFile, SetupTexts, filled};

/// The template; `@NAME@` and the like stand for texts.
const TEMPLATE: &str = include_str!("../../../assets/installers/tools.nsi");

/// What the installer of tools says, and which files it brings.
#[derive(Clone, Debug)]
pub(super) struct ToolsScript<'a> {
    pub texts: SetupTexts<'a>,
    /// The name of the folder of the installation.
    pub folder: &'a str,
    /// The files by their paths, with `/` between folders.
    pub files: &'a [ScriptFile<'a>],
}

impl ToolsScript<'_> {
    /// The text of the script.
    pub(super) fn text(&self) -> String {
        let mut texts = self.texts.places();
        texts.extend([
            ("FOLDER", escaped(self.folder)),
            ("FILES", self.files_put()),
            ("PROGRAMS_CHECKED", self.for_programs("CHECK_ENDED")),
            ("FILES_REMOVED", self.files_removed()),
        ]);
        filled(TEMPLATE, &texts)
    }

    fn files_put(&self) -> String {
        let folders = self.folders().into_iter();
        let mut lines: Vec<String> =
            folders.map(|folder| format!("  CreateDirectory \"$INSTDIR\\{folder}\"")).collect();
        lines.push(self.for_programs("MOVE_ASIDE"));
        lines.extend(self.files.iter().map(|file| {
            format!("  File \"/oname={}\" \"{}\"", windows_path(file.name), file.source)
        }));
        lines.join("\n")
    }

    fn files_removed(&self) -> String {
        let delete = |path: String| format!("  Delete \"$INSTDIR\\{path}\"");
        let mut lines: Vec<String> =
            self.files.iter().map(|file| delete(windows_path(file.name))).collect();
        lines.extend(self.programs().map(|name| delete(format!("{}.old", windows_path(name)))));
        // The inner folders come first.
        let folders = self.folders().into_iter().rev();
        lines.extend(folders.map(|folder| format!("  RMDir \"$INSTDIR\\{folder}\"")));
        lines.join("\n")
    }

    /// A call of a macro for each program.
    fn for_programs(&self, name: &str) -> String {
        let line = |program: &str| format!("  !insertmacro {name} \"{}\"", windows_path(program));
        self.programs().map(line).collect::<Vec<_>>().join("\n")
    }

    fn programs(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name).filter(|name| name.ends_with(".exe"))
    }

    /// The folders of the files, each after the one that it lies in.
    fn folders(&self) -> Vec<String> {
        let mut folders: Vec<String> = self
            .files
            .iter()
            .flat_map(|file| file.name.match_indices('/').map(|(at, _)| &file.name[..at]))
            .map(windows_path)
            .collect();
        folders.sort();
        folders.dedup();
        folders
    }
}

fn windows_path(path: &str) -> String {
    escaped(&path.replace('/', "\\"))
}

#[cfg(test)]
mod tests {
    use super::super::script::tests::texts;
    use super::*;

    #[test]
    fn each_file_is_put_into_its_folder_and_removed() {
        let file = |name, source: &str| ScriptFile { name, source: source.to_owned() };
        let files = [file("a $b/c/d.ps1", "file0"), file("one.exe", "file1")];
        let text = ToolsScript { texts: texts("A & B"), folder: "one", files: &files }.text();
        for line in [
            "  CreateDirectory \"$INSTDIR\\a ${DOLLAR}b\"\n  CreateDirectory \"$INSTDIR\\a ${DOLLAR}b\\c\"",
            "  !insertmacro MOVE_ASIDE \"one.exe\"\n",
            "  !insertmacro CHECK_ENDED \"one.exe\"\n",
            "  File \"/oname=a ${DOLLAR}b\\c\\d.ps1\" \"file0\"\n",
            "  Delete \"$INSTDIR\\one.exe.old\"\n  RMDir \"$INSTDIR\\a ${DOLLAR}b\\c\"\n  RMDir \"$INSTDIR\\a ${DOLLAR}b\"\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let left = text.lines().skip(1).filter(|line| line.contains('@')).count();
        assert_eq!(left, 0, "every place of the template is filled");
    }
}
