//! The guide's way from an app's folder to all installers and their page, typed by a machine.
//!
//! In: the page, its app and its commands. The tools lie as a package of Debian installs them. What
//! the commands would download is made here: wheels, the Pythons and launchers of other systems.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::pages::{Page, root};
use crate::build::is_missing;
use crate::build_for_other_systems::{
    host_python, mac_code, standalone_python, windows_python, zip_of,
};
use crate::installers::{small_program, tool};
use crate::support::release::text;

const PAGE: &str = "docs/guide/installers.md";
/// What stands in for PyQt5: windows that nobody sees, closed at once.
const QT: &str = "class Anything:\n    def __init__(self, *words): pass\n    def __getattr__(self, name): return lambda *words: None\n\
    QApplication = QMainWindow = QPlainTextEdit = Anything\n";

/// A publisher's computer: the tools below `usr`, the app's folder, and what lies beside it.
struct Computer {
    folder: tempfile::TempDir,
}

impl Computer {
    /// `None` if it cannot make everything.
    fn new(page: &Page) -> Option<Self> {
        if is_missing(&["-m", "pip", "--version"]) {
            return None;
        }
        tool("makensis", &["-VERSION"])?;
        // Where the programs can be linked to. Pip takes several folders with spaces between them.
        let place = env!("CARGO_TARGET_TMPDIR");
        let folder = tempfile::Builder::new().prefix("five-commands-").tempdir_in(place).unwrap();
        let computer = Self { folder };
        computer.install_tools()?;
        computer.write_app(page);
        let (name, magic) = host_python();
        for (file, bytes) in [
            ("python-3.11.9-embed-amd64.zip", windows_python(&name, &magic)),
            (
                "cpython-3.11.9-aarch64-apple-darwin-install_only.tar.gz",
                standalone_python(&name, &mac_code()),
            ),
            ("wheels/PyQt5-5.15.11-py3-none-any.whl", wheel()),
            ("kuzflow-launcher-for-macos", [mac_code(), vec![7; 50_000]].concat()),
        ] {
            computer.write(file, &bytes);
        }
        Some(computer)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// `usr/bin` with both programs, and the launcher for Windows in `usr/lib`.
    fn install_tools(&self) -> Option<()> {
        let windows = self.path("usr/lib/kuzflow/launchers/Windows_AMD64/kuzflow-launcher.exe");
        for folder in [&self.path("usr/bin"), windows.parent().unwrap()] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::hard_link(env!("CARGO_BIN_EXE_kuzflow"), self.path("usr/bin/kuzflow")).unwrap();
        fs::copy(small_program(), self.path("usr/bin/kuzflow-launcher")).unwrap();
        let source = self.path("launcher.c");
        fs::write(
            &source,
            "#include <windows.h>\nconst char stamp[] = \"kuzflow-launcher-version:[7.1.3]\";\n\
             int WINAPI WinMain(HINSTANCE a, HINSTANCE b, LPSTR line, int c) { return stamp[c]; }\n",
        )
        .unwrap();
        let options = ["-mwindows", "-Os", "-s", "-o", text(&windows), text(&source)];
        tool("x86_64-w64-mingw32-gcc", &options).map(|_| ())
    }

    fn write_app(&self, page: &Page) {
        for block in &page.code_blocks {
            let mut words = block.words.split_whitespace();
            if let Some(name) = words.find_map(|word| word.strip_prefix("file=")) {
                self.write(&format!("feather-notes/{name}"), block.text.as_bytes());
            }
        }
        let icon = fs::read(root().join("assets/icons/launcher.png")).unwrap();
        self.write("feather-notes/icon.png", &icon);
    }

    /// Types the commands in the app's folder.
    fn type_in(&self, commands: &str) {
        let path = format!("{}:{}", text(&self.path("usr/bin")), std::env::var("PATH").unwrap());
        let output = Command::new("bash")
            .args(["-euc", commands])
            .current_dir(self.path("feather-notes"))
            .env("PATH", path)
            .env("HOME", self.folder.path())
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", self.path("wheels"))
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{PAGE} as written fails:\n{printed}\n{errors}");
        assert!(!errors.contains("gets no installer"), "{errors}");
    }
}

/// A wheel of what stands in for PyQt5.
fn wheel() -> Vec<u8> {
    let info = "PyQt5-5.15.11.dist-info";
    let tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let files = [
        ("PyQt5/__init__.py".to_owned(), String::new()),
        ("PyQt5/QtWidgets.py".to_owned(), QT.to_owned()),
        (
            format!("{info}/METADATA"),
            "Metadata-Version: 2.1\nName: PyQt5\nVersion: 5.15.11\n".to_owned(),
        ),
        (format!("{info}/WHEEL"), tag.to_owned()),
        (format!("{info}/RECORD"), String::new()),
    ];
    zip_of(&files.into_iter().map(|(name, content)| (name, content.into_bytes())).collect())
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_guides_five_commands_make_every_installer_and_the_page() {
    let page = Page::read(&root().join(PAGE));
    let blocks = page.code_blocks.iter();
    let commands: Vec<_> = blocks.filter(|block| block.words == "sh five-commands").collect();
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].text.lines().count(), 5, "{}", commands[0].text);
    let Some(computer) = Computer::new(&page) else { return };
    computer.type_in(&commands[0].text);

    let made = computer.path("feather-notes/kuzflow/installers");
    let index = fs::read_to_string(made.join("installers.json")).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    for format in ["deb", "rpm", "run", "setup", "portable", "app", "dmg"] {
        assert!(index.to_string().contains(&format!("\"format\":\"{format}\"")), "{index}");
    }
    let names = names_in(&made);
    for name in [
        "feather-notes_1.0.0_amd64.deb",
        "feather-notes-1.0.0-1.x86_64.rpm",
        "feather-notes-1.0.0-linux-x86_64.run",
        "feather-notes-1.0.0-windows-x64-setup.exe",
        "feather-notes-1.0.0-windows-x64-portable.zip",
        "feather-notes-1.0.0-macos-arm64.zip",
        "feather-notes-1.0.0-macos-arm64.dmg",
        "index.html",
    ] {
        assert!(names.iter().any(|made| made == name), "{name}: {names:?}");
    }
    let html = fs::read_to_string(made.join("index.html")).unwrap();
    assert!(html.contains("feather-notes-1.0.0-windows-x64-setup.exe"), "{html}");
}
