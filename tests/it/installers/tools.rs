//! The packages of this project's own programs, as `packaging/release` makes them: read by the
//! systems' tools, installed and removed under Wine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool;
use super::windows::Windows;
use crate::support::release::text;

/// A stand-in for both programs, which stays while a file `stay` lies beside it.
const PROGRAM: &str = r#"
#include <windows.h>
#include <wchar.h>
#include <io.h>
int WINAPI wWinMain(HINSTANCE a, HINSTANCE b, LPWSTR line, int c) {
  wchar_t path[2000];
  GetModuleFileNameW(0, path, 1000);
  wcscpy(wcsrchr(path, L'\\') + 1, L"started");
  fclose(_wfopen(path, L"w"));
  wcscpy(wcsrchr(path, L'\\') + 1, L"stay");
  while (_waccess(path, 0) == 0) Sleep(100);
  return 0;
}
"#;

/// What lintian may say, each with its reason.
const LINTIAN_EXCEPTIONS: &[(&str, &str)] = &[
    ("initial-upload-closes-no-bugs", "this package is not for Debian's own archive"),
    ("malformed-contact", "this project has no address for mail"),
    ("bogus-mail-host-in-debian-changelog", "for the same reason"),
    ("hardening-no-fortify-functions", "the stand-in is not built for this package"),
];

/// A folder with small programs in the place of those that take minutes to build and to pack.
struct Built {
    folder: tempfile::TempDir,
    systems: &'static str,
}

impl Built {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let put = |system: &str, name: &str, from: &Path| {
            let place = folder.path().join("built").join(system);
            fs::create_dir_all(&place).unwrap();
            fs::copy(from, place.join(name)).unwrap();
        };
        for name in ["kuzflow", "kuzflow-launcher"] {
            put("linux", name, super::small_program());
        }
        let (source, program) = (folder.path().join("one.c"), folder.path().join("one.exe"));
        fs::write(&source, PROGRAM).unwrap();
        let options = ["-municode", "-mwindows", "-Os", "-o", text(&program), text(&source)];
        let has_windows = tool("makensis", &["-VERSION"]).is_some()
            && tool("x86_64-w64-mingw32-gcc", &options).is_some();
        if has_windows {
            put("windows", "kuzflow.exe", &program);
            put("windows", "kuzflow-launcher.exe", &program);
        }
        Self { folder, systems: if has_windows { "linux,windows" } else { "linux" } }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `packaging/release`; returns the folder with the packages.
    fn release(&self, out: &str) -> PathBuf {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/release");
        let (built, out) = (self.path("built"), self.path(out));
        let mut command = Command::new(script);
        command.args(["--systems", self.systems, "--built", text(&built), "--out", text(&out)]);
        command.env("KUZFLOW", env!("CARGO_BIN_EXE_kuzflow"));
        let output = command.env("SOURCE_DATE_EPOCH", "1767225600").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        out
    }

    fn has_windows(&self) -> bool {
        self.systems.contains("windows")
    }
}

fn named(name: &str) -> String {
    format!("{name}{}", env!("CARGO_PKG_VERSION"))
}

#[test]
fn a_release_of_this_project_has_its_programs_manuals_completions_and_checksums() {
    let built = Built::new();
    let out = built.release("out");
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), if built.has_windows() { 3 } else { 1 }, "{sums}");
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let bytes = fs::read(out.join(name)).unwrap();
        assert_eq!(sum, kuzflow::testing::model::Digest::of(&bytes).to_string(), "{name}");
        // The second run makes the same bytes.
        assert!(bytes == fs::read(built.release("again").join(name)).unwrap(), "{name}");
    }
    let mut made = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let deb = made.find(|path| path.extension().is_some_and(|it| it == "deb")).unwrap();
    assert!(text(&deb).contains(&named("kuzflow_")));
    let Some(list) = tool("dpkg-deb", &["--contents", text(&deb)]) else { return };
    for file in [
        "usr/bin/kuzflow",
        "usr/bin/kuzflow-launcher",
        "usr/share/man/man1/kuzflow.1.gz",
        "usr/share/man/man1/kuzflow-launcher.1.gz",
        "usr/share/bash-completion/completions/kuzflow",
        "usr/share/zsh/vendor-completions/_kuzflow-launcher",
        "usr/share/fish/vendor_completions.d/kuzflow.fish",
        "usr/share/doc/kuzflow/copyright",
    ] {
        let is_program = file.starts_with("usr/bin/");
        let line = list.lines().find(|line| line.split_whitespace().last() == Some(file));
        let line = line.unwrap_or_else(|| panic!("{file}: {list}"));
        assert!(line.starts_with(if is_program { "-rwxr-xr-x" } else { "-rw-r--r--" }), "{line}");
    }
    let other = "usr/lib/kuzflow/launchers/Windows_AMD64/kuzflow-launcher.exe";
    assert_eq!(list.contains(other), built.has_windows(), "{list}");
    let control = tool("dpkg-deb", &["--field", text(&deb)]).unwrap();
    assert!(control.contains("Depends: libc6 (>= 2."), "{control}");
    let tags = LINTIAN_EXCEPTIONS.iter().map(|(tag, _)| *tag).collect::<Vec<_>>().join(",");
    let options = ["--allow-root", "--fail-on", "error,warning", "--suppress-tags", &tags];
    tool("lintian", &[&options[..], &[text(&deb)]].concat());
}

#[test]
fn the_zip_for_windows_has_one_folder_with_both_programs() {
    let built = Built::new();
    if !built.has_windows() {
        return;
    }
    let archive =
        built.release("out").join(format!("{}-windows-x64-portable.zip", named("kuzflow-")));
    let Some(list) = tool("bsdtar", &["-tf", text(&archive)]) else { return };
    let other = format!("launchers/Linux_{}/kuzflow-launcher", std::env::consts::ARCH);
    for file in [
        "kuzflow.exe",
        "kuzflow-launcher.exe",
        "LICENSE.txt",
        "completions/kuzflow.ps1",
        other.as_str(),
    ] {
        let path = format!("{}/{file}", named("Kuzflow-"));
        assert!(list.lines().any(|line| line == path), "{path}: {list}");
    }
    assert!(list.lines().all(|line| line.starts_with(&named("Kuzflow-"))), "{list}");
}

/// The user's PATH, as the registry has it.
fn search_path(windows: &Windows) -> Option<String> {
    let query = ["reg", "query", r"HKCU\Environment", "/v", "Path"];
    let output = windows.command("wine").args(query).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().find(|line| line.trim_start().starts_with("Path "))?;
    Some(line.rsplit("    ").next().unwrap().trim().to_owned())
}

#[test]
fn setup_puts_the_tools_on_the_path_and_takes_them_off_again() {
    let built = Built::new();
    if !built.has_windows() {
        return;
    }
    let Some(windows) = Windows::new() else { return };
    let setup = built.release("out").join(format!("{}-windows-x64-setup.exe", named("kuzflow-")));
    let place = windows.path("Tools/O'Brien&Co");
    let install = || windows.run(&setup, &["/S", r"/D=C:\Tools\O'Brien&Co"]);
    let uninstall =
        || windows.run(&place.join("uninstall.exe"), &["/S", r"_?=C:\Tools\O'Brien&Co"]);
    // Longer than the texts of NSIS, with a folder at its end whose name goes on.
    let other = r"%USERPROFILE%\bin;".to_owned() + &r"C:\Some\Other\Folder;".repeat(100);
    let before = other + r"C:\Tools\O'Brien&Co\more";
    let add = ["reg", "add", r"HKCU\Environment", "/v", "Path", "/t", "REG_EXPAND_SZ", "/f", "/d"];
    windows.command("wine").args(add).arg(&before).output().unwrap();

    assert_eq!(install(), 0);
    let after = format!(r"{before};C:\Tools\O'Brien&Co");
    assert_eq!(search_path(&windows).as_deref(), Some(after.as_str()));
    assert_eq!(install(), 0);
    assert_eq!(search_path(&windows), Some(after), "a second installation adds nothing");
    let completion = place.join("completions/kuzflow-launcher.ps1");
    assert!(place.join("kuzflow.exe").is_file() && completion.is_file());

    // A program that runs is moved aside by the next installation, and refuses to be removed.
    fs::write(place.join("stay"), "").unwrap();
    let mut running = windows.command("wine").arg(place.join("kuzflow.exe")).spawn().unwrap();
    crate::support::waiting::until("the program runs", || place.join("started").is_file());
    assert_eq!(uninstall(), 4);
    assert_eq!(install(), 0);
    assert!(place.join("kuzflow.exe.old").is_file() && place.join("kuzflow.exe").is_file());
    fs::remove_file(place.join("stay")).unwrap();
    fs::remove_file(place.join("started")).unwrap();
    running.wait().unwrap();

    assert_eq!(uninstall(), 0);
    assert_eq!(search_path(&windows), Some(before));
    let left: Vec<_> = fs::read_dir(&place).unwrap().map(|it| it.unwrap().file_name()).collect();
    // With `_?=` the uninstaller waits for its end in its own place, so that it stays itself.
    assert_eq!(left, ["uninstall.exe"]);

    // Where there was no PATH, none is left.
    let delete = ["reg", "delete", r"HKCU\Environment", "/v", "Path", "/f"];
    windows.command("wine").args(delete).output().unwrap();
    assert_eq!(install(), 0);
    assert_eq!(search_path(&windows).as_deref(), Some(r"C:\Tools\O'Brien&Co"));
    assert_eq!(uninstall(), 0);
    assert_eq!(search_path(&windows), None);
    assert_eq!(windows.run(&setup, &["/S", "/NoPath", r"/D=C:\Tools\O'Brien&Co"]), 0);
    assert_eq!(search_path(&windows), None);
}
