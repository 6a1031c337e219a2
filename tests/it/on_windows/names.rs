//! Names that Windows forbids or changes.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use crate::support::release::{PROGRAM, World, text};

/// Builds an app that has one more file. The system's rules for names do not hold for the way in
/// which the file is written, as for a file that another system has written.
fn build_with(name: &str) -> Output {
    let world = World::new();
    world.build("1.0.0", &BTreeMap::new());
    let app = world.path("app 1.0.0");
    let path = format!(r"\\?\{}\{name}", text(&app));
    fs::write(&path, "forbidden").unwrap_or_else(|error| panic!("{path}: {error}"));
    let (out, entry) = (world.path("again.kuzflow"), format!("exe:{PROGRAM}"));
    let output = Command::new(env!("CARGO_BIN_EXE_kuzflow"))
        .args(["build", "--app", text(&app), "--out", text(&out), "--runtime", "none"])
        .args(["--name", "sample", "--app-version", "1.0.0", "--entry", &entry])
        .output()
        .unwrap();
    assert!(!out.exists() || output.status.success());
    output
}

#[test]
fn a_file_whose_name_windows_forbids_or_changes_is_refused_and_named() {
    for name in ["aux.txt", "COM1", "a dot at the end.", "a space at the end "] {
        let output = build_with(name);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name}: {errors}");
        assert!(errors.contains(name.trim_end()), "{name}: {errors}");
    }
}
