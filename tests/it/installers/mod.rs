//! Installers through the real executables: `kuzflow package` writes them, the systems' own tools
//! read and install them, and the launcher in them brings the app.
//!
//! A tool that is not on this computer is named, and its part is passed over; CI has all of them.

mod ci_template;
mod debian;
mod documents;
mod download_page;
mod for_one_user;
mod mac;
mod mac_signing;
mod old_shortcuts;
mod red_hat;
mod release_inside;
mod svg_icon;
mod tools;
mod windows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use kuzflow::testing::model::Platform;
use serde_json::Value;

use crate::support::release::{NodeProcess, World, text};

/// What `[app]` says in these tests, besides the names.
const ABOUT: &str = "description = \"An editor for samples\"\npublisher = \"Example Ltd <hello@example.com>\"\n\
    homepage = \"https://www.example.com/\"\nlicense = \"MIT\"\nlicense_file = \"license.txt\"\n\
    copyright = \"Copyright 2026 Example Ltd\"\ncategories = [\"Office\", \"TextEditor\"]\n";

/// A publisher with one release and a node.
struct Shop {
    world: World,
    node: NodeProcess,
}

impl Shop {
    fn new() -> Self {
        let world = World::new();
        let settings = world.path("publisher/kuzflow.toml");
        let before = fs::read_to_string(&settings).unwrap();
        let after = before.replacen("[app]\n", &format!("[app]\n{ABOUT}"), 1);
        assert_ne!(before, after);
        fs::write(&settings, after).unwrap();
        fs::write(world.path("publisher/license.txt"), "Permission is granted.\n").unwrap();
        world.release("1.0.0", 4000);
        let node = world.serve();
        world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
        Self { world, node }
    }

    /// Runs `kuzflow package` with this launcher; returns the result of `--json`.
    fn package(&self, launcher: &Path, more: &[&str]) -> Value {
        let folder = self.world.path("publisher");
        let launcher = format!("{}={}", Platform::current(), text(launcher));
        let usual = ["--json", "package", "--repo", text(&folder), "--launcher", &launcher];
        let output = self.world.kuzflow(&[&usual, more].concat());
        let answer = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str::<Value>(answer.lines().last().unwrap()).unwrap()["result"].clone()
    }

    /// Makes one installer.
    fn installer(&self, format: &str, launcher: &Path, more: &[&str]) -> PathBuf {
        let made = self.package(launcher, &[&["--format", format], more].concat());
        PathBuf::from(made["installers"][0]["path"].as_str().unwrap())
    }

    /// A user's folder.
    fn user(&self) -> PathBuf {
        let user = self.world.path("user");
        fs::create_dir_all(&user).unwrap();
        user
    }

    /// A program as this user starts it, without a display.
    fn as_user(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Output {
        let user = self.user();
        let mut command = Command::new(program.as_ref());
        command.args(arguments).current_dir(&user).env("HOME", &user).env("LANG", "C.UTF-8");
        for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "XDG_DATA_HOME"] {
            command.env_remove(variable);
        }
        command.output().unwrap()
    }

    /// What the app of this user says when it is started as the menu does it.
    fn start(&self, program: impl AsRef<Path>) -> String {
        let output = self.as_user(program, &["--headless", "run"]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The user's files of the app.
    fn data(&self, version: &str) -> PathBuf {
        let id = format!("sample_{version}_{}", Platform::current());
        self.user().join(".local/share/kuzflow/sample/containers").join(id).join("data")
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.world.end_apps();
    }
}

/// The launcher without its symbols, which are most of its bytes here. Made once.
fn launcher() -> &'static Path {
    static LAUNCHER: OnceLock<PathBuf> = OnceLock::new();
    LAUNCHER.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("launcher-to-package");
        let from = env!("CARGO_BIN_EXE_kuzflow-launcher");
        let stripped = Command::new("strip").arg("-o").arg(&path).arg(from).status();
        assert!(stripped.unwrap().success());
        path
    })
}

/// A small program in the launcher's place, where nobody starts it.
pub(crate) fn small_program() -> &'static Path {
    Path::new("/bin/true")
}

/// Runs a tool that must succeed; returns what it wrote. `None` if it is not on this computer.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> Option<String> {
    let output = match Command::new(name).args(arguments).env("LC_ALL", "C.UTF-8").output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("not tested: there is no {name} on this computer");
            return None;
        }
        Err(error) => panic!("{name}: {error}"),
    };
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {answer}{errors}");
    Some(answer)
}

#[test]
fn the_same_release_makes_the_same_installers() {
    let shop = Shop::new();
    let formats = ["deb", "rpm", "run"];
    let made = |out: &str| {
        let out = shop.world.path(out);
        let result = shop.package(small_program(), &["--out", text(&out), "--with-release"]);
        let made = result["installers"].as_array().unwrap().clone();
        let named: Vec<&str> = made.iter().map(|it| it["format"].as_str().unwrap()).collect();
        assert_eq!(named, formats, "all that fit this launcher");
        made.iter()
            .map(|it| {
                let bytes = fs::read(it["path"].as_str().unwrap()).unwrap();
                assert_eq!(it["length"], bytes.len());
                assert_eq!(it["hash"], kuzflow::testing::model::Digest::of(&bytes).to_string());
                bytes
            })
            .collect::<Vec<_>>()
    };
    let first = made("first");
    for (format, (first, second)) in formats.iter().zip(first.iter().zip(made("second"))) {
        assert!(*first == second, "{format} differs from one call to the next");
    }
}

#[test]
fn what_users_would_wonder_at_is_warned_of() {
    let shop = Shop::new();
    let folder = shop.world.path("publisher");
    let warnings = |launcher: &str| {
        let launcher = format!("{}={launcher}", Platform::current());
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        command.args(["package", "--repo", text(&folder), "--format", "run"]);
        let output = command.args(["--launcher", &launcher]).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let own = env!("CARGO_BIN_EXE_kuzflow-launcher");
    let reported = warnings(own);
    assert!(
        !reported.contains("does not look like") && !reported.contains("calls the app"),
        "{reported}"
    );
    let other = "/bin/true";
    let reported = warnings(other);
    assert!(reported.contains(&format!("{other} does not look like the launcher")), "{reported}");
    // An older publisher's tool, which does not say in its file which program it is.
    let unstamped = stamped(&shop, "kuzflow", env!("CARGO_BIN_EXE_kuzflow"), "kuzflow-xxxxxxx:[");
    let reported = warnings(text(&unstamped));
    assert!(reported.contains("kuzflow does not look like the launcher"), "{reported}");
    let older = stamped(&shop, "older", own, "kuzflow-program:[kuzflow-launcher 0.0.9]");
    let reported = warnings(text(&older));
    assert!(reported.contains("is of version 0.0.9, older than this kuzflow ("), "{reported}");
    let settings = folder.join("launcher/launcher.toml");
    let mut before: toml::Table = fs::read_to_string(&settings).unwrap().parse().unwrap();
    before.insert("display_name".to_owned(), "Its former name".into());
    fs::write(&settings, before.to_string()).unwrap();
    let reported = warnings(own);
    assert!(
        reported.contains("calls the app \"Its former name\", kuzflow.toml calls it"),
        "{reported}"
    );
}

/// A copy of a program with other bytes in place of its stamp's beginning.
fn stamped(shop: &Shop, name: &str, program: &str, stamp: &str) -> PathBuf {
    let begin = b"kuzflow-program:[kuzflow";
    let path = shop.world.path(name);
    let stripped = Command::new("strip").arg("-o").arg(&path).arg(program).status();
    assert!(stripped.unwrap().success());
    let mut bytes = fs::read(&path).unwrap();
    let found: Vec<usize> = memchr::memmem::find_iter(&bytes, begin).collect();
    assert!(!found.is_empty(), "{program} says which program it is");
    for at in found {
        bytes[at..at + stamp.len()].copy_from_slice(stamp.as_bytes());
    }
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn all_that_is_wrong_is_named_in_one_go() {
    let shop = Shop::new();
    let folder = shop.world.path("publisher");
    let settings = folder.join("kuzflow.toml");
    let before = fs::read_to_string(&settings).unwrap();
    let after = before
        .replacen("[app]\n", "[app]\nicon = \"../publisher/./none.png\"\n", 1)
        .replace("hello@example.com", "hello")
        .replace("license.txt", "none.txt")
        .replace("https://www.example.com/", "ftp://example.com/")
        .replace("\"Office\"", "\"Office & more\"");
    fs::write(&settings, after + "\n[sign]\nwindows = [\"sign\"]\n").unwrap();
    let mut launcher: toml::Table =
        fs::read_to_string(folder.join("launcher/launcher.toml")).unwrap().parse().unwrap();
    launcher.insert("icon".to_owned(), "own.png".into());
    fs::write(folder.join("launcher/launcher.toml"), launcher.to_string()).unwrap();
    let package = |launcher: &str| {
        let launcher = format!("{}={launcher}", Platform::current());
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        command.args(["package", "--repo", text(&folder), "--launcher", &launcher]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(!folder.join("installers").exists());
        String::from_utf8(output.stderr).unwrap()
    };
    let reported = package(env!("CARGO_BIN_EXE_kuzflow"));
    for words in [
        "error: nothing is written; 7 things are to be mended first:\n",
        "  - [app] publisher in kuzflow.toml cannot be used: ",
        "publisher/none.png: ",
        "publisher/none.txt: ",
        "  - [app] homepage in kuzflow.toml cannot be used: ",
        "  - [app] categories in kuzflow.toml cannot be used: ",
        "  - [sign] in kuzflow.toml: ",
        "kuzflow is kuzflow, not kuzflow-launcher; users would",
    ] {
        assert!(reported.contains(words), "{words}: {reported}");
    }
    assert!(!reported.contains("/./") && !reported.contains("/../"), "{reported}");
    // What only the shipped settings have comes when the rest is mended.
    fs::write(&settings, before).unwrap();
    let reported = package("/bin/true");
    assert!(
        reported.contains("error: ") && reported.contains("has an icon of its own"),
        "{reported}"
    );
}

#[test]
fn what_cannot_be_packaged_is_named_before_anything_is_written() {
    let shop = Shop::new();
    let folder = shop.world.path("publisher");
    let refused = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        command.args(["package", "--repo", text(&folder)]).args(arguments);
        let output = command.output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(!folder.join("installers").exists(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let platform = Platform::current();
    let launcher = format!("{platform}=/bin/true");
    let script = shop.world.path("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    // The headers of a program for Windows on ARM64, and on a 32-bit processor.
    let windows = |name: &str, machine: [u8; 2]| {
        let mut program = [b"MZ".as_slice(), &[0; 58], &[0x80, 0, 0, 0]].concat();
        program.resize(0x80, 0);
        program.extend([b"PE\0\0", &machine[..]].concat());
        let path = shop.world.path(name);
        fs::write(&path, program).unwrap();
        text(&path).to_owned()
    };
    let (arm, small) = (windows("arm.exe", [0x64, 0xaa]), windows("small.exe", [0x4c, 1]));
    let cases: [(&[&str], &str); 10] = [
        (&["--launcher", "Linux_aarch64=/bin/true"], "a program for processors called x86_64"),
        (&["--launcher", &format!("Windows_AMD64={arm}")], "called aarch64 or arm64 or ARM64"),
        (
            &["--launcher", &format!("Windows_ARM64={arm}"), "--format", "setup"],
            "setup is not made for Windows_ARM64, only for 64-bit processors of Intel and AMD; portable is",
        ),
        (&["--launcher", &format!("Windows_x86={small}")], "no installer is made for Windows_x86"),
        (&["--launcher", "Windows_AMD64=/bin/true"], "is a program for Linux"),
        (&["--launcher", &format!("{platform}={}", text(&script))], "is no program"),
        (
            &["--launcher", &format!("{platform}=/no/such/file")],
            "there is no launcher /no/such/file",
        ),
        (&["--launcher", &launcher, "9.9.9"], "no release 9.9.9 is published"),
        (&["--launcher", "Linux_other=/bin/true"], "no release is published for Linux_other"),
        (&["--launcher", &launcher, "--launcher", &launcher], "two launchers"),
    ];
    for (arguments, reason) in cases {
        let answer = refused(arguments);
        assert!(answer.contains(reason), "{arguments:?}: {answer}");
    }
    // A value that no format can hold.
    let settings = folder.join("kuzflow.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace("hello@example.com", "hello")).unwrap();
    let answer = refused(&["--launcher", &launcher]);
    assert!(answer.contains("[app] publisher in kuzflow.toml cannot be used"), "{answer}");
}
