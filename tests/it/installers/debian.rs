//! `.deb`: as dpkg, lintian, AppStream and the desktop's tools see it; installed, updated, removed
//! and purged, with the launcher started from its place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Shop, launcher, small_program, tool};
use crate::support::release::text;

/// What lintian may say, each with its reason.
const LINTIAN_EXCEPTIONS: &[(&str, &str)] = &[
    ("embedded-library", "the launcher is one file, whose libraries are linked into it"),
    ("hardening-no-fortify-functions", "Rust checks bounds by itself"),
    ("extended-description-is-probably-too-short", "the app's own description is one line"),
];

#[test]
fn the_tools_of_debian_and_of_desktops_accept_it() {
    let shop = Shop::new();
    let deb = shop.installer("deb", small_program(), &[]);
    let deb = text(&deb);
    let Some(control) = tool("dpkg-deb", &["--field", deb]) else { return };
    for line in [
        "Package: sample",
        "Version: 1.0.0",
        "Maintainer: Example Ltd <hello@example.com>",
        "Homepage: https://www.example.com/",
        "Description: Editor for samples",
    ] {
        assert!(control.lines().any(|found| found == line), "{line}: {control}");
    }
    assert!(control.contains("Depends: libc6 (>= 2."), "{control}");
    assert!(control.contains(", ca-certificates\n"), "servers are proved by them: {control}");
    let place = shop.world.path("unpacked");
    tool("dpkg-deb", &["--extract", deb, text(&place)]);
    let share = place.join("usr/share");
    let entries = fs::read_dir(share.join("applications")).unwrap();
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    assert_eq!(entries.len(), 2);
    for entry in &entries {
        tool("desktop-file-validate", &["--no-hints", text(entry)]);
    }
    let entry = fs::read_to_string(&entries[1]).unwrap();
    assert!(entry.contains("\nExec=/usr/bin/sample run\n"), "{entry}");
    assert!(entry.contains("\nCategories=Office;TextEditor;\n"), "{entry}");
    let metainfo = share.join("metainfo/com.example.sample.metainfo.xml");
    tool("appstreamcli", &["validate", "--no-net", text(&metainfo)]);
    let shipped = fs::read_to_string(place.join("usr/lib/sample/launcher.toml")).unwrap();
    assert!(shipped.contains("self_update = false"), "dpkg brings the next launcher: {shipped}");
    assert!(share.join("icons/hicolor/48x48/apps/sample.png").is_file());
}

#[test]
fn lintian_finds_only_what_is_excepted() {
    let shop = Shop::new();
    let deb = shop.installer("deb", small_program(), &[]);
    let tags = LINTIAN_EXCEPTIONS.iter().map(|(tag, _)| *tag).collect::<Vec<_>>().join(",");
    let options = ["--allow-root", "--fail-on", "error,warning", "--suppress-tags", &tags];
    tool("lintian", &[&options[..], &[text(&deb)]].concat());
}

/// A system of its own for dpkg: an empty folder.
struct System {
    root: PathBuf,
}

impl System {
    fn dpkg(&self, arguments: &[&str]) -> Option<String> {
        let root = format!("--root={}", text(&self.root));
        // The libraries that it depends on are those of this computer, not of the empty folder.
        let usual = [root.as_str(), "--force-depends", "--no-triggers", "--log=/dev/null"];
        tool("dpkg", &[&usual[..], arguments].concat())
    }
}

#[test]
fn it_is_installed_updated_removed_and_purged_and_the_users_files_stay() {
    if !Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n") {
        eprintln!("not tested: dpkg asks for root");
        return;
    }
    let shop = Shop::new();
    let system = System { root: shop.world.path("system") };
    fs::create_dir_all(system.root.join("var/lib/dpkg/updates")).unwrap();
    fs::create_dir_all(system.root.join("var/lib/dpkg/info")).unwrap();
    for name in ["status", "available"] {
        fs::write(system.root.join("var/lib/dpkg").join(name), "").unwrap();
    }
    let deb = shop.installer("deb", launcher(), &[]);
    if system.dpkg(&["--install", text(&deb)]).is_none() {
        return;
    }
    let program = system.root.join("usr/bin/sample");
    assert!(shop.start(&program).contains("version=1.0.0"), "the first start installs the app");
    fs::write(shop.data("1.0.0").join("mine"), "x").unwrap();

    // The next release comes from the node, whatever the package is.
    shop.world.release("1.1.0", 4400);
    let update = shop.as_user(&program, &["--headless", "update"]);
    assert!(update.status.success(), "{}", String::from_utf8_lossy(&update.stderr));
    assert!(shop.start(&program).contains("version=1.1.0"));

    // The next package replaces the files of the one before.
    let newer = shop.installer("deb", small_program(), &[]);
    assert!(text(&newer).contains("1.1.0"));
    system.dpkg(&["--install", text(&newer)]);
    let installed = fs::read(system.root.join("usr/lib/sample/sample")).unwrap();
    assert_eq!(installed, fs::read(small_program()).unwrap());
    system.dpkg(&["--remove", "sample"]);
    system.dpkg(&["--purge", "sample"]);
    for left in ["usr/bin/sample", "usr/lib/sample", "usr/share/applications/sample.desktop"] {
        assert!(fs::symlink_metadata(system.root.join(left)).is_err(), "{left}");
    }
    assert!(shop.data("1.1.0").join("mine").is_file(), "no package manager looks into a home");
}

#[test]
fn the_installed_files_belong_to_root_and_others_may_read_them() {
    let shop = Shop::new();
    let deb = shop.installer("deb", small_program(), &[]);
    let Some(list) = tool("dpkg-deb", &["--contents", text(&deb)]) else { return };
    let mut found = 0;
    for line in list.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1], "root/root", "{line}");
        let mode = match words[5] {
            "usr/lib/sample/sample" => "-rwxr-xr-x",
            "usr/bin/sample" => "lrwxrwxrwx",
            path if path.ends_with('/') => "drwxr-xr-x",
            _ => "-rw-r--r--",
        };
        assert_eq!(words[0], mode, "{line}");
        found += 1;
        assert!(Path::new(words[5]).starts_with("usr"), "{line}");
    }
    assert!(found > 20, "{list}");
}
