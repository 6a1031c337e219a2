//! Programs of others apply our patches, and we apply theirs.

use std::fs;
use std::path::Path;
use std::process::Command;

use kuzflow_delta::{bsdiff4, dictionary};

use crate::{ENOUGH, bspatch, pairs, unpack};

/// Whether the program ran. If it is missing, the test prints a note, or fails on the machine that
/// checks every change.
fn run(command: &mut Command, missing: &str) -> bool {
    match command.output() {
        Ok(output) if output.status.success() => true,
        // Python without the module ends with this status, which our script sets.
        Err(_) => absent(missing),
        Ok(output) if output.status.code() == Some(77) => absent(missing),
        Ok(output) => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn absent(missing: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{missing} is missing");
    eprintln!("passed over: {missing} is missing");
    false
}

/// Tests both directions with one program: `apply` and `make` receive the files `old`, `new` and
/// `patch` of a folder. The second direction leaves out the pairs that `cannot_make` selects.
fn exchange(
    missing: &str,
    ours: impl Fn(&[u8], &[u8]) -> Vec<u8>,
    read: impl Fn(&[u8], &[u8], u64) -> Vec<u8>,
    apply: impl Fn(&Path) -> Command,
    make: impl Fn(&Path) -> Command,
    cannot_make: impl Fn(&[u8], &[u8]) -> bool,
) {
    for (name, old, new) in pairs() {
        let folder = tempfile::tempdir().unwrap();
        let at = |file: &str| folder.path().join(file);
        fs::write(at("old"), &old).unwrap();
        fs::write(at("patch"), ours(&old, &new)).unwrap();
        if !run(&mut apply(folder.path()), missing) {
            return;
        }
        assert!(
            fs::read(at("new")).unwrap() == new,
            "{name}: {missing} makes other bytes of our patch"
        );
        if cannot_make(&old, &new) {
            continue;
        }
        fs::remove_file(at("patch")).unwrap();
        if !run(&mut make(folder.path()), missing) {
            return;
        }
        assert!(
            read(&old, &fs::read(at("patch")).unwrap(), new.len() as u64) == new,
            "{name}: we make other bytes of its patch"
        );
    }
}

fn with_arguments(program: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments);
    command
}

#[test]
fn bspatch_and_bsdiff_understand_us() {
    exchange(
        "bsdiff",
        |old, new| bsdiff4::make(old, new).unwrap(),
        |old, patch, size| bspatch(old, patch, size).unwrap(),
        |folder| with_arguments("bspatch", folder, &["old", "new", "patch"]),
        |folder| with_arguments("bsdiff", folder, &["old", "new", "patch"]),
        // Debian's program maps both files, and no empty file can be mapped.
        |old, new| old.is_empty() || new.is_empty(),
    );
}

#[test]
fn the_python_module_bsdiff4_understands_us() {
    let script = |call: &str| {
        format!("try: import bsdiff4\nexcept ImportError: raise SystemExit(77)\nbsdiff4.{call}")
    };
    // The virtual environment that `.ci/run` makes, else the system's Python.
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tuf-venv/bin/python");
    let usual = if std::path::Path::new(ours).exists() { ours } else { "python3" };
    let python = std::env::var("PYTHON").unwrap_or_else(|_| usual.to_owned());
    exchange(
        "Python's bsdiff4",
        |old, new| bsdiff4::make(old, new).unwrap(),
        |old, patch, size| bspatch(old, patch, size).unwrap(),
        |folder| {
            with_arguments(&python, folder, &["-c", &script("file_patch('old', 'new', 'patch')")])
        },
        |folder| {
            with_arguments(&python, folder, &["-c", &script("file_diff('old', 'new', 'patch')")])
        },
        |_, _| false,
    );
}

#[test]
fn zstd_understands_us() {
    exchange(
        "zstd",
        |old, new| dictionary::make(old, new, 19).unwrap(),
        |old, patch, size| unpack(old, patch, size, ENOUGH).unwrap(),
        |folder| {
            with_arguments(
                "zstd",
                folder,
                &["-q", "-f", "-d", "--patch-from=old", "patch", "-o", "new"],
            )
        },
        |folder| {
            with_arguments(
                "zstd",
                folder,
                &["-q", "-19", "--long=25", "--patch-from=old", "new", "-o", "patch"],
            )
        },
        // Version 1.5.4 aborts.
        |_, new| new.is_empty(),
    );
}
