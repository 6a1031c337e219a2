//! An app's folder with a publisher's folder in it, as a newcomer has it, and verbs of `kuzflow` in
//! it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::program::{self, PROGRAM};

/// The outcome of a verb.
pub struct Did {
    pub code: i32,
    pub reply: String,
    pub errors: String,
}

/// Runs `kuzflow` in a folder.
pub fn kuzflow(folder: &Path, arguments: &[&str]) -> Did {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    Did {
        code: output.status.code().unwrap(),
        reply: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

/// An app's folder with a program that ends at once, and a publisher's folder in it that builds it
/// without a Python.
pub fn app() -> (tempfile::TempDir, PathBuf) {
    app_of(program::write)
}

/// The same with a script.
#[cfg(unix)]
pub fn app_with(script: &str) -> (tempfile::TempDir, PathBuf) {
    app_of(|path| program::write_script(path, &format!("#!/bin/sh\n{script}\n")))
}

fn app_of(write_program: impl FnOnce(&Path)) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::Builder::new().prefix("kuzflow 测试 ").tempdir().unwrap();
    let app = folder.path().join("my-app");
    fs::create_dir(&app).unwrap();
    write_program(&app.join(PROGRAM));
    let init = kuzflow(&app, &["init", "--name", "my-app", "--display-name", "My App"]);
    assert_eq!(init.code, 0, "{}", init.errors);
    let settings = app.join("kuzflow/kuzflow.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let entry = format!("entry = \"exe:{PROGRAM}\"\n");
    let found = ["folder = \"..\"\n", &entry, "runtime = \"none\"\n"];
    assert!(
        found.iter().all(|line| text.contains(line)),
        "init finds the only program of a folder: {text}"
    );
    let text =
        text.replacen("display_name = \"My App\"\n", "display_name = \"My App\"\nlevel = 1\n", 1);
    fs::write(&settings, text).unwrap();
    (folder, app)
}

impl Did {
    /// The last line of an output with `--json`.
    pub fn result(&self) -> serde_json::Value {
        let last = self.reply.lines().last().unwrap_or_else(|| panic!("{}", self.errors));
        serde_json::from_str::<serde_json::Value>(last).unwrap()["result"].clone()
    }
}
