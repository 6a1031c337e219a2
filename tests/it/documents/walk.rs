//! The guide's first app, typed by a machine: each block of its page in order, in one shell, with
//! the built programs.
//!
//! In: the page. The test types a block `sh`, and types `sh terminal=2` in another terminal, where
//! it continues to run. It saves a block with `file=NAME`. Each line of a block `text` must have
//! been printed since the block before. The test changes only the port.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::process::Command;

use super::pages::{Page, root};

/// A page as a script. Its output goes to standard output, between marks.
fn script(page: &Page, port: u16) -> (String, Vec<Vec<String>>) {
    let mut script = "set -eu\n".to_owned();
    let mut expected = Vec::new();
    let in_use = |text: &str| text.replace("8080", &port.to_string());
    for block in &page.code_blocks {
        let words: Vec<&str> = block.words.split_whitespace().collect();
        let file = words.iter().find_map(|word| word.strip_prefix("file="));
        match (words.first().copied(), file) {
            (_, Some(name)) => {
                let _ = write!(
                    script,
                    "cat > {name} <<'END OF THE FILE'\n{}END OF THE FILE\n",
                    block.text
                );
            }
            (Some("sh"), None) if words.contains(&"terminal=2") => {
                let command = in_use(&block.text);
                let _ = write!(
                    script,
                    "{} > \"$OTHER_TERMINAL\" 2>&1 &\ntrap \"kill $!\" EXIT\n",
                    command.trim_end()
                );
                let _ = writeln!(
                    script,
                    "for try in $(seq 300); do grep -q 127.0.0.1 \"$OTHER_TERMINAL\" && break; sleep 0.1; done"
                );
            }
            (Some("sh"), None) => {
                let _ = write!(script, "echo '=== {}'\n{}", expected.len(), in_use(&block.text));
                expected.push(Vec::new());
            }
            (Some("text"), None) => {
                let lines = block.text.lines().map(in_use_of_this_machine);
                expected
                    .last_mut()
                    .unwrap_or_else(|| panic!("the page begins with output"))
                    .extend(lines);
            }
            _ => {}
        }
    }
    (script, expected)
}

/// The guide shows the output of a common computer.
fn in_use_of_this_machine(line: &str) -> String {
    let system = if cfg!(target_os = "macos") { "Darwin" } else { "Linux" };
    let architecture = match (cfg!(target_os = "macos"), cfg!(target_arch = "aarch64")) {
        (true, true) => "arm64",
        (false, true) => "aarch64",
        _ => "x86_64",
    };
    line.replace("Linux_x86_64", &format!("{system}_{architecture}"))
}

fn walk(name: &str) {
    let page = Page::read(&root().join(name));
    // The port is freed at once; another program is unlikely to take it in the meantime.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (script, expected) = script(&page, port);
    let folder = tempfile::Builder::new().prefix("kuzflow guide ").tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    let programs = std::path::Path::new(env!("CARGO_BIN_EXE_kuzflow")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("HOME", &home)
        .env("OTHER_TERMINAL", folder.path().join("terminal"))
        .env("LC_ALL", "C.UTF-8")
        .env("LANG", "C.UTF-8")
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("LANGUAGE")
        .output()
        .unwrap();
    let reply = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} as written fails:\n{reply}\n{errors}");
    for (number, lines) in expected.iter().enumerate() {
        let from = reply.find(&format!("=== {number}\n")).unwrap();
        let end = reply[from..]
            .find(&format!("=== {}\n", number + 1))
            .map_or(reply.len(), |end| from + end);
        for line in lines {
            assert!(
                reply[from..end].lines().any(|reply| reply == line),
                "{name} says {line:?}, printed was:\n{}",
                &reply[from..end]
            );
        }
    }
    assert!(
        expected.iter().filter(|lines| !lines.is_empty()).count() >= 5,
        "{name} shows what is printed"
    );
    assert!(
        !home.join(".local/share/kuzflow/my-app/containers").exists(),
        "and leaves nothing behind"
    );
}

#[test]
fn the_guides_first_app_works_as_it_is_written() {
    walk("docs/guide/first-app.md");
}
