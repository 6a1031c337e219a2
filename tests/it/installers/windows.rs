//! `Setup.exe` and the portable folder: as 7-Zip, icoutils and osslsigncode read them, and as
//! Windows installs them, under Wine if it is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Shop, tool};
use crate::support::release::text;
use crate::support::waiting::until;

const PLATFORM: &str = "Windows_AMD64";
/// A launcher's stand-in: it is called `uninstall` by the uninstaller, `old-shortcuts` by the setup
/// and `run` with a document, and stays while a file `stay` lies beside it.
const PROGRAM: &str = r#"
#include <windows.h>
#include <wchar.h>
const char stamp[] = "kuzflow-launcher-version:[7.1.3]";
int WINAPI wWinMain(HINSTANCE a, HINSTANCE b, LPWSTR line, int c) {
  wchar_t path[2000];
  GetModuleFileNameW(0, path, 1000);
  wchar_t *name = wcsrchr(path, L'\\') + 1;
  if (wcsstr(line, L"uninstall") || wcsstr(line, L"old-shortcuts")) {
    wcscpy(name, L"..\\called.txt");
    FILE *log = _wfopen(path, L"a");
    fwprintf(log, L"%ls\n", line);
    fclose(log);
    return stamp[0] != 'k';
  }
  if (wcsstr(line, L"run --")) {
    wcscpy(name, L"..\\opened.txt");
    FILE *log = _wfopen(path, L"ab");
    fwrite(line, sizeof *line, wcslen(line), log);
    fclose(log);
    return 0;
  }
  wcscpy(name, L"started");
  fclose(_wfopen(path, L"w"));
  wcscpy(name, L"stay");
  while (_waccess(path, 0) == 0) Sleep(100);
  return 0;
}
"#;

/// The stand-in as a program of Windows; `None` without a compiler for it.
fn program(shop: &Shop) -> Option<PathBuf> {
    let (source, path) = (shop.world.path("launcher.c"), shop.world.path("launcher.exe"));
    fs::write(&source, PROGRAM).unwrap();
    let options = ["-municode", "-mwindows", "-Os", "-s", "-o", text(&path), text(&source)];
    tool("x86_64-w64-mingw32-gcc", &options).map(|_| path)
}

/// A shop with a release for Windows; `None` without the tools that make an installer.
pub(super) fn shop() -> Option<(Shop, PathBuf)> {
    tool("makensis", &["-VERSION"])?;
    let shop = Shop::new();
    let app = shop.world.path("app 2.0.0");
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("run.exe"), b"MZ of the app").unwrap();
    let options = ["--runtime", "none", "--platform", PLATFORM, "--display-name", "示例 Sample"];
    let package = shop.world.pack("2.0.0", "exe:run.exe", &options);
    shop.world.publish(&package, &["--no-patches"]);
    let launcher = program(&shop)?;
    Some((shop, launcher))
}

/// Makes installers of these formats; returns their paths.
pub(super) fn package(shop: &Shop, launcher: &Path, formats: &str, more: &[&str]) -> Vec<PathBuf> {
    let folder = shop.world.path("publisher");
    let launcher = format!("{PLATFORM}={}", text(launcher));
    let usual = ["--json", "package", "--repo", text(&folder), "--format", formats];
    let output = shop.world.kuzflow(&[&usual[..], &["--launcher", &launcher], more].concat());
    let printed = String::from_utf8(output.stdout).unwrap();
    let result: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let made = result["result"]["installers"].as_array().unwrap();
    made.iter().map(|made| made["path"].as_str().unwrap().into()).collect()
}

/// The launcher as it is shipped.
fn shipped(shop: &Shop) -> PathBuf {
    shop.world.path("publisher/installers/launchers/Windows_AMD64/示例 Sample.exe")
}

#[test]
fn setup_brings_the_launcher_with_the_apps_name_icon_and_version() {
    let Some((shop, launcher)) = shop() else { return };
    let setup = &package(&shop, &launcher, "setup", &[])[0];
    assert!(setup.ends_with("sample-2.0.0-windows-x64-setup.exe"));
    let place = shop.world.path("unpacked");
    let out = format!("-o{}", text(&place));
    tool("7z", &["x", "-y", &out, text(setup)]);
    let launcher = fs::read(place.join("示例 Sample.setup.exe")).unwrap();
    assert_eq!(launcher, fs::read(shipped(&shop)).unwrap());
    for name in ["launcher.toml", "root.json", "icon.png", "LICENSE.txt"] {
        assert!(place.join(name).is_file(), "{name}");
    }
    // The same texts and pictures in the program and in its installer.
    for (program, name) in [(&shipped(&shop), "示例 Sample"), (setup, "示例 Sample Setup")] {
        let Some(list) = tool("wrestool", &["--list", text(program)]) else { return };
        assert_eq!(list.matches("type=icon ").count(), 9, "{list}");
        let raw = ["--extract", "--raw", "--type=16", text(program)];
        let output = Command::new("wrestool").args(raw).output().unwrap().stdout;
        let version = String::from_utf16_lossy(
            &output
                .chunks_exact(2)
                .map(|two| u16::from_le_bytes([two[0], two[1]]))
                .collect::<Vec<_>>(),
        );
        for expected in [&format!("FileDescription\0{name}\0"), "CompanyName\0Example Ltd\0"] {
            // Values begin at a multiple of four bytes.
            let version = version.replace("\0\0", "\0");
            assert!(version.contains(expected), "{expected:?}: {version:?}");
        }
    }
}

#[test]
fn the_same_release_makes_the_same_files() {
    let Some((shop, launcher)) = shop() else { return };
    let made = |out: &str| {
        let out = shop.world.path(out);
        let files =
            package(&shop, &launcher, "setup,portable", &["--out", text(&out), "--with-release"]);
        files.iter().map(|file| fs::read(file).unwrap()).collect::<Vec<_>>()
    };
    let (first, second) = (made("first"), made("second"));
    assert_eq!(first.len(), 2);
    assert!(first == second);
}

#[test]
fn the_portable_folder_has_its_home_inside() {
    let Some((shop, launcher)) = shop() else { return };
    let archive = &package(&shop, &launcher, "portable", &[])[0];
    let Some(list) = tool("bsdtar", &["-tf", text(archive)]) else { return };
    assert!(list.lines().any(|line| line == "示例 Sample/示例 Sample.exe"), "{list}");
    let settings = tool("bsdtar", &["-xOf", text(archive), "*/launcher.toml"]).unwrap();
    let settings: toml::Table = settings.parse().unwrap();
    assert_eq!(settings["home"].as_str(), Some("home"));
    assert_eq!(settings["app"].as_str(), Some("sample"));
}

/// Adds `[sign]` to the publisher's settings.
fn sign_with(shop: &Shop, command: &[&str]) {
    let path = shop.world.path("publisher/kuzflow.toml");
    let before = fs::read_to_string(&path).unwrap();
    let before = before.split("\n[sign]").next().unwrap();
    fs::write(&path, format!("{before}\n[sign]\nwindows = {command:?}\n")).unwrap();
}

#[test]
fn the_launcher_and_the_installer_are_signed_by_the_publishers_command() {
    let Some((shop, launcher)) = shop() else { return };
    let (key, certificate) = (shop.world.path("key.pem"), shop.world.path("certificate.pem"));
    let options =
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Example"];
    let files = ["-keyout", text(&key), "-out", text(&certificate)];
    let usage = ["-addext", "extendedKeyUsage=codeSigning"];
    if tool("openssl", &[&options[..], &files, &usage].concat()).is_none()
        || tool("osslsigncode", &["--version"]).is_none()
    {
        return;
    }
    let keys = ["sign", "-certs", text(&certificate), "-key", text(&key)];
    let place = ["-in", "{file}", "-out", "{signed}"];
    sign_with(&shop, &[&["osslsigncode"][..], &keys, &place].concat());
    let setup = package(&shop, &launcher, "setup", &[]).remove(0);
    let is_signed = |path: &Path| {
        let output =
            tool("osslsigncode", &["verify", "-CAfile", text(&certificate), "-in", text(path)]);
        assert!(output.unwrap().contains("Signature verification: ok"), "{}", path.display());
    };
    is_signed(&setup);
    is_signed(&shipped(&shop));
    let place = shop.world.path("unpacked");
    tool("7z", &["x", "-y", &format!("-o{}", text(&place)), text(&setup)]);
    assert_eq!(
        fs::read(place.join("示例 Sample.setup.exe")).unwrap(),
        fs::read(shipped(&shop)).unwrap(),
        "the launcher is signed before it is packed"
    );
    // A launcher with a signature is shipped as it is.
    let signed = shop.world.path("signed.exe");
    fs::rename(shipped(&shop), &signed).unwrap();
    package(&shop, &signed, "portable", &[]);
    assert!(!shipped(&shop).exists());
}

#[test]
fn a_command_that_does_not_sign_stops_everything() {
    let Some((shop, launcher)) = shop() else { return };
    let refused = |command: &[&str]| {
        sign_with(&shop, command);
        let folder = shop.world.path("publisher");
        let launcher = format!("{PLATFORM}={}", text(&launcher));
        let mut package = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        package.args(["package", "--repo", text(&folder), "--format", "setup"]);
        let output = package.args(["--launcher", &launcher]).output().unwrap();
        assert!(!output.status.success(), "{command:?}");
        assert!(!folder.join("installers/sample-2.0.0-windows-x64-setup.exe").exists());
        String::from_utf8(output.stderr).unwrap()
    };
    let printed = refused(&["sh", "-c", "echo no token >&2; exit 3", "{file}"]);
    assert!(
        printed.contains("no token") && printed.contains("示例 Sample.exe is not signed"),
        "{printed}"
    );
    assert!(refused(&["signtool", "sign"]).contains("has no {file}"));
    assert!(refused(&["no-such-program", "{file}"]).contains("no-such-program"));
    assert!(refused(&["true", "{file}", "{signed}"]).contains("it has not written"));
    assert!(refused(&["true", "{file}"]).contains("it has left no signature"));
}

#[test]
fn without_nsis_the_way_to_get_it_is_named_before_anything_is_written() {
    let Some((shop, launcher)) = shop() else { return };
    let folder = shop.world.path("publisher");
    let launcher = format!("{PLATFORM}={}", text(&launcher));
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
    command.args(["package", "--repo", text(&folder), "--launcher", &launcher]);
    let output = command.env("PATH", "/nowhere").output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(
        printed.contains("makensis is not installed") && printed.contains("apt install nsis"),
        "{printed}"
    );
    assert!(!folder.join("installers").exists());
}

/// A computer with Windows, as Wine plays it; `None` if there is no Wine.
pub(super) struct Windows {
    prefix: tempfile::TempDir,
}

impl Windows {
    pub(super) fn new() -> Option<Self> {
        // Wine takes no path for its files with characters that the locale lacks.
        let prefix = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let windows = Self { prefix };
        match windows.command("wineboot").arg("-i").output() {
            Ok(output) if output.status.success() => Some(windows),
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => {
                eprintln!("not tested: there is no Wine on this computer");
                None
            }
        }
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("WINEPREFIX", self.prefix.path()).env("WINEDEBUG", "-all");
        command.env("WINEDLLOVERRIDES", "winemenubuilder.exe=d;mscoree=d;mshtml=d");
        // The desktop of Windows is a link to the one in the user's home.
        command.env("HOME", self.prefix.path());
        command.env("LC_ALL", "C.UTF-8").env_remove("DISPLAY");
        command
    }

    /// Runs a program; returns its exit code.
    pub(super) fn run(&self, program: &Path, arguments: &[&str]) -> i32 {
        self.command("wine").arg(program).args(arguments).status().unwrap().code().unwrap()
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.prefix.path().join("drive_c").join(path)
    }

    /// The value of the app among those that can be uninstalled.
    fn uninstall_value(&self, name: &str) -> Option<String> {
        self.value(r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\sample", name)
    }

    /// A value in the registry; without a name the key's own.
    pub(super) fn value(&self, key: &str, name: &str) -> Option<String> {
        let which = if name.is_empty() { vec!["/ve"] } else { vec!["/v", name] };
        let mut query = self.command("wine");
        let output = query.args(["reg", "query", key]).args(which).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        // A name, the kind of value, the value.
        let line = printed.lines().find(|line| line.contains("    REG_"))?;
        let value = line.rsplit("    ").next().unwrap().trim();
        (value != "(value not set)").then(|| value.to_owned())
    }
}

impl Drop for Windows {
    fn drop(&mut self) {
        let _ = self.command("wineserver").arg("-k").status();
    }
}

#[test]
fn a_renamed_app_leaves_nothing_of_its_former_name() {
    let Some((shop, launcher)) = shop() else { return };
    let Some(windows) = Windows::new() else { return };
    let place = windows.path("Apps/Sample");
    let install = |setup: &Path| windows.run(setup, &["/S", r"/D=C:\Apps\Sample"]);
    // The next one of this version has the same name.
    let former = shop.world.path("former.exe");
    fs::rename(package(&shop, &launcher, "setup", &[]).remove(0), &former).unwrap();
    assert_eq!(install(&former), 0);
    let menu = |user: &Path| user.join("AppData/Roaming/Microsoft/Windows/Start Menu/Programs");
    let links = || {
        let users = fs::read_dir(windows.path("users")).unwrap().map(|user| user.unwrap().path());
        let folders = users.flat_map(|user| [menu(&user), user.join("Desktop")]);
        let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let names =
            names.map(|name| name.replace("版本与更新设置", "Versions and update settings"));
        let mut links: Vec<String> = names.filter(|name| name.ends_with(".lnk")).collect();
        links.sort();
        links
    };
    // The window has a door of its own; then in the menu, on the desktop.
    let all = |name: &str| {
        let window = format!("{name} - Versions and update settings.lnk");
        [window, format!("{name}.lnk"), format!("{name}.lnk")]
    };
    assert_eq!(links(), all("示例 Sample"));

    // The launcher runs while the app gets its new name.
    fs::write(place.join("stay"), "").unwrap();
    fs::write(place.join("示例 Sample.update.json"), "{}").unwrap();
    let mut running = windows.command("wine").arg(place.join("示例 Sample.exe")).spawn().unwrap();
    until("the launcher runs", || place.join("started").is_file());
    let settings = shop.world.path("publisher/kuzflow.toml");
    let renamed = fs::read_to_string(&settings).unwrap().replace("示例 Sample", "Other Name");
    fs::write(&settings, renamed).unwrap();
    let renamed = package(&shop, &launcher, "setup", &[]).remove(0);
    assert_eq!(install(&renamed), 0);
    assert_eq!(links(), all("Other Name"));
    assert_eq!(windows.uninstall_value("DisplayName").as_deref(), Some("Other Name"));
    assert!(place.join("Other Name.exe").is_file() && place.join("Other Name.old.exe").is_file());
    assert!(place.join("Other Name.update.json").is_file());
    assert!(running.try_wait().unwrap().is_none(), "nothing was ended");
    fs::remove_file(place.join("stay")).unwrap();
    fs::remove_file(place.join("started")).unwrap();
    running.wait().unwrap();

    // An icon that a person has removed stays away, whatever the app was called then.
    let desktop = fs::read_dir(windows.path("users")).unwrap();
    for user in desktop.map(|user| user.unwrap().path()) {
        let _ = fs::remove_file(user.join("Desktop/Other Name.lnk"));
    }
    assert_eq!(install(&former), 0);
    assert_eq!(links(), all("示例 Sample")[..2]);
    assert_eq!(windows.run(&place.join("uninstall.exe"), &["/S", r"_?=C:\Apps\Sample"]), 0);
    let left: Vec<_> = fs::read_dir(&place).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["uninstall.exe"], "nothing has the other name");
    assert_eq!(links(), [""; 0]);
}

#[test]
fn windows_installs_renews_and_removes_it_without_a_question() {
    let Some((shop, launcher)) = shop() else { return };
    let Some(windows) = Windows::new() else { return };
    let setup = package(&shop, &launcher, "setup", &[]).remove(0);
    let place = windows.path("Apps/Sample");
    let program = place.join("示例 Sample.exe");
    let install = || windows.run(&setup, &["/S", "/NoDesktopIcon", r"/D=C:\Apps\Sample"]);
    // An icon of the same name, which an earlier installation has left.
    let users = fs::read_dir(windows.path("users")).unwrap().map(|user| user.unwrap().path());
    let desktops = users.map(|user| user.join("Desktop")).filter(|desktop| desktop.is_dir());
    let icons: Vec<PathBuf> = desktops.map(|folder| folder.join("示例 Sample.lnk")).collect();
    icons.iter().for_each(|icon| fs::write(icon, "another's").unwrap());
    assert!(!icons.is_empty());
    assert_eq!(install(), 0);
    assert!(!windows.path("Apps/called.txt").exists(), "no shortcut gives way without a word");
    assert!(fs::read(&program).unwrap() == fs::read(shipped(&shop)).unwrap());
    assert!(place.join("launcher.toml").is_file() && place.join("root.json").is_file());
    assert_eq!(windows.uninstall_value("DisplayVersion").as_deref(), Some("2.0.0"));
    assert_eq!(windows.uninstall_value("Publisher").as_deref(), Some("Example Ltd"));
    assert_ne!(windows.uninstall_value("EstimatedSize").as_deref(), Some("0x0"));

    // A launcher that runs serves its app to the end; the next start uses the new one.
    fs::write(place.join("stay"), "").unwrap();
    let mut running = windows.command("wine").arg(&program).spawn().unwrap();
    until("the launcher runs", || place.join("started").is_file());
    let uninstall = ["/S", r"_?=C:\Apps\Sample"];
    assert_eq!(windows.run(&place.join("uninstall.exe"), &uninstall), 4);
    assert!(program.is_file(), "while it runs nothing is removed");
    assert_eq!(install(), 0);
    assert!(place.join("示例 Sample.old.exe").is_file() && program.is_file());
    assert!(running.try_wait().unwrap().is_none(), "nothing was ended");
    fs::remove_file(place.join("stay")).unwrap();
    fs::remove_file(place.join("started")).unwrap();
    running.wait().unwrap();

    // A newer launcher than the one in the installer stays.
    let newer = PROGRAM.replace("[7.1.3]", "[7.2.0]");
    let source = shop.world.path("newer.c");
    let other = shop.world.path("newer.exe");
    fs::write(&source, newer).unwrap();
    let options = ["-municode", "-mwindows", "-Os", "-s", "-o", text(&other), text(&source)];
    tool("x86_64-w64-mingw32-gcc", &options);
    package(&shop, &other, "portable", &[]);
    fs::copy(shipped(&shop), &program).unwrap();
    assert_eq!(install(), 0);
    assert!(fs::read(&program).unwrap() == fs::read(shipped(&shop)).unwrap());

    // A setup that would make an icon leaves the one that is not its own, and gets its word.
    assert_eq!(windows.run(&setup, &["/S", "/ReplaceShortcuts", r"/D=C:\Apps\Sample"]), 0);
    let called = fs::read_to_string(windows.path("Apps/called.txt")).unwrap();
    assert_eq!(called.lines().last(), Some("--headless old-shortcuts replace"));

    fs::write(place.join("mine"), "x").unwrap();
    let uninstall = ["/S", "/DeleteData", r"_?=C:\Apps\Sample"];
    assert_eq!(windows.run(&place.join("uninstall.exe"), &uninstall), 0);
    let called = fs::read_to_string(windows.path("Apps/called.txt")).unwrap();
    assert_eq!(called.lines().last(), Some("--headless uninstall --delete-data --yes"));
    let mut left: Vec<_> = fs::read_dir(&place).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    // With `_?=` the uninstaller waits for its end in its own place, so that it stays itself.
    assert_eq!(left, ["mine", "uninstall.exe"]);
    assert_eq!(windows.uninstall_value("DisplayVersion"), None);
    assert!(icons.iter().all(|icon| fs::read(icon).unwrap() == b"another's"));
}
