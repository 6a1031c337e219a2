//! `.app` and `.dmg`: as Python's plistlib, libarchive and 7-Zip read them. Nothing here runs macOS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Shop, tool};
use crate::support::release::text;

pub(super) const PLATFORMS: [&str; 2] = ["Darwin_arm64", "Darwin_x86_64"];

/// A shop with a release for both processors, and a launcher for each.
pub(super) fn shop() -> (Shop, [PathBuf; 2]) {
    let shop = Shop::new();
    let app = shop.world.path("app 2.0.0");
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("run"), b"#!/bin/sh\n").unwrap();
    let mut packages = Vec::new();
    for platform in PLATFORMS {
        let options =
            ["--runtime", "none", "--platform", platform, "--display-name", "示例 Sample"];
        let package = shop.world.pack("2.0.0", "exe:run", &options);
        let named = shop.world.path(&format!("{platform}.kuzflow"));
        fs::rename(package, &named).unwrap();
        packages.push(named);
    }
    let folder = shop.world.path("publisher");
    let publish = ["publish", text(&packages[0]), text(&packages[1]), "--no-patches"];
    shop.world.kuzflow(&[&publish[..], &["--repo", text(&folder)]].concat());
    // Magic, processor and its kind, then something to tell them apart.
    let launcher = |platform: usize, processor: u32| {
        let mut bytes = [0xfeed_facf_u32, processor, 0].map(u32::to_le_bytes).concat();
        bytes.resize(50_000, platform as u8);
        let path = shop.world.path(&format!("launcher for {}", PLATFORMS[platform]));
        fs::write(&path, bytes).unwrap();
        path
    };
    let launchers = [launcher(0, 0x0100_000c), launcher(1, 0x0100_0007)];
    (shop, launchers)
}

/// Makes installers; returns their paths.
pub(super) fn package(
    shop: &Shop,
    launchers: &[PathBuf],
    formats: &str,
    more: &[&str],
) -> Vec<PathBuf> {
    let folder = shop.world.path("publisher");
    let mut arguments = vec!["--json", "package", "--repo", text(&folder), "--format", formats];
    let launchers: Vec<String> = launchers
        .iter()
        .zip(PLATFORMS)
        .map(|(path, platform)| format!("--launcher={platform}={}", text(path)))
        .collect();
    arguments.extend(launchers.iter().map(String::as_str));
    arguments.extend(more);
    let output = shop.world.kuzflow(&arguments);
    let printed = String::from_utf8(output.stdout).unwrap();
    let result: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let made = result["result"]["installers"].as_array().unwrap();
    made.iter().map(|made| made["path"].as_str().unwrap().into()).collect()
}

/// Asks Python for facts of a file.
fn python(script: &str, file: &Path) -> Option<Value> {
    let printed = tool("python3", &["-c", script, text(file)])?;
    Some(serde_json::from_str(&printed).unwrap())
}

#[test]
fn the_application_bundle_is_read_by_others() {
    let (shop, launchers) = shop();
    let made = package(&shop, &launchers[..1], "app,dmg", &[]);
    assert!(made[0].ends_with("sample-2.0.0-macos-arm64.zip"), "{made:?}");
    let script = "import zipfile, plistlib, json, sys\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        p = plistlib.loads(z.read('示例 Sample.app/Contents/Info.plist'))\n\
        m = {i.filename: oct(i.external_attr >> 16) for i in z.infolist()}\n\
        print(json.dumps([p, m, z.testzip()]))";
    let Some(found) = python(script, &made[0]) else { return };
    let (information, modes) = (&found[0], &found[1]);
    for (key, value) in [
        ("CFBundleExecutable", "示例 Sample"),
        ("CFBundleDisplayName", "示例 Sample"),
        ("CFBundleIdentifier", "com.example.sample"),
        ("CFBundleShortVersionString", "2.0.0"),
        ("CFBundleIconFile", "icon"),
        ("NSHumanReadableCopyright", "Copyright 2026 Example Ltd"),
    ] {
        assert_eq!(information[key], value, "{key}");
    }
    assert_eq!(modes["示例 Sample.app/Contents/MacOS/示例 Sample"], "0o100755");
    for resource in ["icon.icns", "launcher.toml", "root.json", "LICENSE.txt"] {
        let path = format!("示例 Sample.app/Contents/Resources/{resource}");
        assert_eq!(modes[&path], "0o100644", "{resource}");
    }
    assert_eq!(found[2], Value::Null, "all checksums are right");
    let mode = modes.as_object().unwrap().keys().filter(|name| name.contains("/MacOS/")).count();
    assert_eq!(mode, 2, "the folder and the program: a signature takes all there for programs");
}

#[test]
fn the_disk_image_holds_the_same_bundle_and_a_link() {
    let (shop, launchers) = shop();
    let made = package(&shop, &launchers[..1], "app,dmg", &["--with-release"]);
    let (zip, image) = (shop.world.path("zip"), shop.world.path("image"));
    if tool("7z", &["x", "-y", &format!("-o{}", text(&zip)), text(&made[0])]).is_none() {
        return;
    }
    // 7-Zip opens the image and finds a volume, which libarchive reads with modes and links.
    tool("7z", &["x", "-y", "-tdmg", &format!("-o{}", text(&image)), text(&made[1])]);
    let volumes: Vec<_> =
        fs::read_dir(&image).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    let mounted = shop.world.path("mounted");
    fs::create_dir(&mounted).unwrap();
    tool("bsdtar", &["-xf", text(&volumes[0]), "-C", text(&mounted)]);
    assert_eq!(fs::read_link(mounted.join("Applications")).unwrap(), Path::new("/Applications"));
    let app = crate::support::release::tree(&mounted.join("示例 Sample.app"));
    assert_eq!(app, crate::support::release::tree(&zip.join("示例 Sample.app")));
    assert!(mounted.join("示例 Sample.app/Contents/Resources/release.kuzflow-bundle").is_file());
    let listed = tool("bsdtar", &["-tvf", text(&volumes[0])]).unwrap();
    let program = listed.lines().find(|line| line.ends_with("/MacOS/示例 Sample")).unwrap();
    assert!(program.starts_with("-rwxr-xr-x"), "{program}");
}

#[test]
fn two_launchers_make_one_program_for_both_processors() {
    let (shop, launchers) = shop();
    let made = package(&shop, &launchers, "app", &["--with-release"]);
    assert!(made[0].ends_with("sample-2.0.0-macos-universal.zip"), "{made:?}");
    let program = shop.world.path("publisher/installers/launchers/Darwin_universal2/示例 Sample");
    let bytes = fs::read(program).unwrap();
    assert_eq!(bytes[..8], [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2]);
    for launcher in &launchers {
        let part = fs::read(launcher).unwrap();
        assert!(bytes.windows(part.len()).any(|window| window == part));
    }
    // The release inside is there for both.
    let bundle = "*/release.kuzflow-bundle";
    let Some(_) = tool("bsdtar", &["-tf", text(&made[0]), bundle]) else { return };
    let unpacked = shop.world.path("unpacked");
    fs::create_dir(&unpacked).unwrap();
    tool("bsdtar", &["-xf", text(&made[0]), "-C", text(&unpacked), "--strip-components=3", bundle]);
    let names = tool("bsdtar", &["-tf", text(&unpacked.join("release.kuzflow-bundle"))]).unwrap();
    for platform in PLATFORMS {
        assert!(names.contains(&format!("sample_2.0.0_{platform}")), "{names}");
    }
}

#[test]
fn the_bundle_is_signed_before_it_is_packed_and_the_image_after() {
    let (shop, launchers) = shop();
    let log = shop.world.path("log");
    let script = shop.world.path("sign.sh");
    let content = "#!/bin/sh\necho \"$2\" >> \"$1\"\n\
        [ ! -d \"$2\" ] || { mkdir \"$2/Contents/_CodeSignature\"; echo seal > \"$2/Contents/_CodeSignature/CodeResources\"; }\n\
        [ -d \"$2\" ] || echo signature >> \"$2\"\n";
    fs::write(&script, content).unwrap();
    let settings = shop.world.path("publisher/kuzflow.toml");
    let before = fs::read_to_string(&settings).unwrap();
    let sign = |command: &[&str]| {
        fs::write(&settings, format!("{before}\n[sign]\nmacos = {command:?}\n")).unwrap();
    };
    sign(&["sh", text(&script), text(&log), "{file}"]);
    let made = package(&shop, &launchers[..1], "dmg", &[]);
    let log = fs::read_to_string(&log).unwrap();
    let signed: Vec<&str> = log.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
    assert_eq!(signed, ["示例 Sample.app", "sample.dmg"]);
    assert!(fs::read(&made[0]).unwrap().ends_with(b"signature\n"));
    if let Some(list) = tool("7z", &["l", text(&made[0])]) {
        assert!(list.contains("_CodeSignature/CodeResources"), "{list}");
    }
    // A command that leaves no seal has not signed.
    sign(&["true", "{file}"]);
    let folder = shop.world.path("publisher");
    let launcher = format!("{}={}", PLATFORMS[0], text(&launchers[0]));
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
    command.args(["package", "--repo", text(&folder), "--format", "app", "--launcher", &launcher]);
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("it has left no signature"));
}
