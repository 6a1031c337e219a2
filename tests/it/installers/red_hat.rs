//! `.rpm`: as rpm itself reads, verifies and installs it.

use std::fs;

use super::{Shop, small_program, tool};
use crate::support::release::text;

#[test]
fn rpm_verifies_installs_and_removes_it() {
    let shop = Shop::new();
    let package = shop.installer("rpm", small_program(), &[]);
    let package = text(&package);
    let root = shop.world.path("rpm");
    let database = format!("--dbpath={}", text(&shop.world.path("rpm database")));
    let Some(answer) = tool("rpm", &["--checksig", "--verbose", &database, package]) else {
        return;
    };
    for digest in ["Header SHA256 digest: OK", "Payload SHA256 digest: OK"] {
        assert!(answer.contains(digest), "{digest}: {answer}");
    }
    let info = tool("rpm", &["--query", "--info", &database, "--package", package]).unwrap();
    for (name, value) in [
        ("Name", "sample"),
        ("Version", "1.0.0"),
        ("License", "MIT"),
        ("Vendor", "Example Ltd"),
        ("URL", "https://www.example.com/"),
        ("Summary", "Editor for samples"),
    ] {
        let has = |line: &str| {
            line.split_once(':').is_some_and(|(n, v)| n.trim() == name && v.trim() == value)
        };
        assert!(info.lines().any(has), "{name}: {info}");
    }
    // The list of files as rpm itself understands it.
    let list = tool("rpm", &["--query", "--list", &database, "--package", package]).unwrap();
    for path in ["/usr/bin/sample", "/usr/lib/sample", "/usr/lib/sample/root.json"] {
        assert!(list.lines().any(|line| line == path), "{path}: {list}");
    }
    let needs = tool("rpm", &["--query", "--requires", &database, "--package", package]).unwrap();
    assert!(needs.contains("libc.so.6(GLIBC_2."), "{needs}");

    fs::create_dir_all(&root).unwrap();
    let root = format!("--root={}", text(&root));
    let options = [root.as_str(), "--nodeps", "--ignorearch", "--noscripts"];
    tool("rpm", &[&options[..], &["--install", package]].concat());
    let program = shop.world.path("rpm/usr/lib/sample/sample");
    assert_eq!(fs::read(&program).unwrap(), fs::read(small_program()).unwrap());
    tool("rpm", &[root.as_str(), "--verify", "--nodeps", "sample"]);
    tool("rpm", &[&options[..2], &["--erase", "sample"]].concat());
    assert!(!shop.world.path("rpm/usr/lib/sample").exists(), "its own folder goes with it");
}
