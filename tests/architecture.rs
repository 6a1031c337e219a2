//! Guards the rooms: imports run one way, egui stays in the launcher, the environment is asked through one door, and every text a
//! reader relies on (module heads) is there. The compiler does not object to any of this inside one package.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import. A room that is not listed here has no place in the house yet.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("host", &["threads"]),
    ("durable", &["look"]),
    ("plain", &[]),
    ("causes", &["plain"]),
    ("look", &[]),
    ("hedge", &[]),
    ("https", &[]),
    ("parallel", &["threads"]),
    ("programs", &[]),
    ("threads", &[]),
    ("settings", &["look", "model"]),
    ("container", &["model", "parallel", "threads"]),
    ("delta", &["model", "parallel"]),
    ("trust", &["causes", "hedge", "look", "model", "durable"]),
    ("fetch", &["causes", "https", "look", "model", "durable", "threads"]),
    ("peers", &["causes", "look", "model", "durable", "fetch", "threads"]),
    ("store", &["causes", "look", "model", "durable", "programs", "container"]),
    ("desktop", &["causes", "look", "model", "host", "durable", "programs", "store", "threads"]),
    (
        "engine",
        &[
            "plain",
            "causes",
            "hedge",
            "look",
            "model",
            "host",
            "settings",
            "container",
            "delta",
            "trust",
            "fetch",
            "peers",
            "store",
            "desktop",
            "threads",
        ],
    ),
    ("gui", &["model", "host", "settings", "engine", "threads"]),
    ("publish", &["causes", "model", "host", "settings", "durable", "parallel", "container", "delta", "trust"]),
    ("server", &["causes", "https", "model", "host", "settings", "durable", "trust", "publish"]),
    ("demo", &["causes", "durable", "model", "host", "settings", "publish", "server", "store", "engine", "gui"]),
    (
        "cli",
        &[
            "plain",
            "causes",
            "look",
            "model",
            "host",
            "settings",
            "parallel",
            "programs",
            "threads",
            "container",
            "delta",
            "store",
            "desktop",
            "engine",
            "gui",
            "publish",
            "server",
            "demo",
        ],
    ),
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Source files with their room, tests at their ends cut off.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).unwrap().to_owned();
            let first = relative.iter().next().unwrap().to_str().unwrap();
            let room = first.strip_suffix(".rs").unwrap_or(first).to_owned();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
            (room, relative, code)
        })
        .collect()
}

/// Names that follow `crate::` in code, also those of `use crate::{a::b, c}`.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => group.split(',').map(str::trim).collect(),
                None => vec![rest],
            };
            found.extend(
                names.into_iter().map(|name| name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()),
            );
        }
    }
    found
}

#[test]
fn imports_run_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut broken = Vec::new();
    for (room, path, code) in sources() {
        if ["lib", "bin"].contains(&room.as_str()) {
            continue;
        }
        let Some(may) = allowed.get(room.as_str()) else {
            broken.push(format!("{}: room {room} is not in the plan", path.display()));
            continue;
        };
        for name in imports(&code) {
            if name != room && allowed.contains_key(name.as_str()) && !may.contains(&name.as_str()) {
                broken.push(format!("{}: {room} must not import {name}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn libraries_stay_in_their_rooms() {
    let homes: &[(&str, &[&str])] = &[
        ("egui", &["gui"]),
        ("eframe", &["gui"]),
        ("reqwest", &["fetch", "https", "server"]),
        ("tough", &["trust", "publish"]),
        ("axum", &["server", "cli", "demo"]),
        ("zip", &["publish"]),
        ("mdns_sd", &["peers"]),
        ("hyper", &["peers", "server"]),
        ("clap", &["cli"]),
        ("rfd", &["gui"]),
    ];
    let mut broken = Vec::new();
    for (room, path, code) in sources() {
        for (library, rooms) in homes {
            let used = code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
                line.match_indices(&format!("{library}::")).any(|(at, _)| {
                    !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':')
                })
            });
            if used && !rooms.contains(&room.as_str()) {
                broken.push(format!("{}: {library} belongs in {rooms:?}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_environment_has_one_door() {
    let doors = ["std::env::var", "env::var(", "env::var_os", "env::args", "env::current_exe", "env::temp_dir", "env::home_dir"];
    let mut broken = Vec::new();
    for (room, path, code) in sources() {
        if room != "host" {
            broken.extend(doors.iter().filter(|door| code.contains(**door)).map(|door| format!("{}: {door}", path.display())));
        }
    }
    assert!(broken.is_empty(), "only host.rs asks the environment:\n{}", broken.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> = sources().into_iter().filter(|(_, _, code)| !code.starts_with("//!")).map(|(_, path, _)| path).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// An error is no absence: in rooms where something is deleted, moved or replaced because another thing is not there, files are looked at
/// through `look`, which tells the two apart.
#[test]
fn no_look_takes_an_error_for_absence() {
    let forms = [
        (".flatten().flatten()", "look::entries, or look::entries_if_readable where nothing is decided by it"),
        (".exists()", "look::is_there"),
        (".is_dir()\n", "look::is_folder"),
        ("symlink_metadata(path).is_ok()", "look::is_there"),
        ("symlink_metadata(from).is_err()", "look::is_there"),
        ("fs::read(", "look::read"),
        ("read_to_string(", "look::read"),
        ("fs::read_dir(", "look::entries"),
    ];
    let places = ["store", "desktop", "peers", "fetch", "trust", "engine", "durable.rs"];
    let allowed = [
        // What a script has written is shown.
        ("store/migration_script.rs", "fs::read("),
        // A pipe from a program that was started.
        ("desktop/program/staged.rs", "read_to_string("),
        // The system's own files.
        ("store/lock.rs", "read_to_string("),
        // Every file of a tree is made durable; an error ends it.
        ("durable.rs", "fs::read_dir("),
    ];
    let mut found = Vec::new();
    for (_, path, code) in sources() {
        let path = path.to_str().unwrap().replace('\\', "/");
        let is_guarded = places.iter().any(|place| path == *place || path.starts_with(&format!("{place}/")));
        if !is_guarded || path.ends_with("tests.rs") || path.ends_with("fixture.rs") {
            continue;
        }
        let code = code.split("mod tests {").next().unwrap_or_default();
        for (form, instead) in forms {
            if code.contains(form) && !allowed.contains(&(path.as_str(), form)) {
                found.push(format!("{path}: `{}`: use {instead}", form.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The system may have no thread: whoever starts one where the launcher works goes through `threads`, which gives an error and no panic.
#[test]
fn no_thread_is_taken_for_granted() {
    let forms = [
        "thread::spawn(",
        "scope.spawn(",
        "thread::Builder",
        "Runtime::new()",
        "Builder::new_multi_thread",
        "Builder::new_current_thread",
    ];
    let publishers = ["publish", "server", "demo", "threads"];
    let verbs = ["cli/passwords.rs", "cli/try_start.rs", "cli/serve.rs"];
    let mut found = Vec::new();
    for (room, path, code) in sources() {
        let path = path.to_str().unwrap().replace('\\', "/");
        if publishers.contains(&room.as_str()) || verbs.contains(&path.as_str()) || path.ends_with("tests.rs") {
            continue;
        }
        let code = code.split("mod tests {").next().unwrap_or_default();
        found.extend(forms.iter().filter(|form| code.contains(**form)).map(|form| format!("{path}: {form}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
