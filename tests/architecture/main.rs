//! Guards the rooms: imports go one way, libraries stay in their rooms, every module has a head, and
//! names are those of the glossary. Inside one package the compiler checks none of this. Functions
//! of the standard library that only one room may call are in `clippy.toml`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod circles;
mod looks;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use words::names_only;

/// The imports that each room may have. A room that is missing here is an error.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("mutex", &[]),
    ("host", &["model", "real_path", "threads"]),
    ("durable", &["error_chain", "look"]),
    ("plain", &[]),
    ("positional", &[]),
    ("error_chain", &["plain"]),
    ("look", &["error_chain", "model"]),
    ("file_error", &[]),
    ("named_file", &["file_error", "look", "model"]),
    ("backoff", &[]),
    ("hedge", &[]),
    ("token_bucket", &[]),
    ("https", &["error_chain"]),
    ("parallel", &["threads"]),
    ("process_group", &["error_chain", "host"]),
    ("programs", &[]),
    ("real_path", &["model"]),
    ("threads", &[]),
    ("settings", &["file_error", "error_chain", "look", "model", "plain"]),
    (
        "container",
        &["mutex", "file_error", "durable", "look", "model", "parallel", "positional", "threads"],
    ),
    ("pack", &["mutex", "file_error", "error_chain", "model", "parallel", "positional"]),
    ("trust", &["mutex", "file_error", "error_chain", "hedge", "look", "model", "durable"]),
    (
        "fetch",
        &[
            "mutex",
            "file_error",
            "parallel",
            "backoff",
            "error_chain",
            "https",
            "look",
            "model",
            "durable",
            "positional",
            "threads",
            "token_bucket",
        ],
    ),
    (
        "peers",
        &[
            "mutex",
            "error_chain",
            "look",
            "model",
            "durable",
            "fetch",
            "positional",
            "threads",
            "token_bucket",
        ],
    ),
    (
        "store",
        &[
            "mutex",
            "file_error",
            "error_chain",
            "host",
            "look",
            "model",
            "durable",
            "process_group",
            "programs",
            "real_path",
            "container",
        ],
    ),
    (
        "desktop",
        &[
            "file_error",
            "error_chain",
            "look",
            "model",
            "host",
            "durable",
            "programs",
            "real_path",
            "store",
            "threads",
        ],
    ),
    (
        "messages",
        &[
            "mutex",
            "file_error",
            "error_chain",
            "look",
            "model",
            "container",
            "trust",
            "fetch",
            "store",
            "desktop",
        ],
    ),
    ("environment", &["settings", "store", "trust"]),
    (
        "reports",
        &[
            "mutex",
            "backoff",
            "error_chain",
            "file_error",
            "durable",
            "look",
            "model",
            "host",
            "settings",
            "fetch",
            "store",
            "threads",
            "environment",
            "messages",
        ],
    ),
    (
        "session",
        &[
            "reports",
            "mutex",
            "error_chain",
            "look",
            "model",
            "host",
            "real_path",
            "threads",
            "token_bucket",
            "store",
            "environment",
            "messages",
        ],
    ),
    (
        "schedule",
        &[
            "backoff",
            "error_chain",
            "model",
            "host",
            "settings",
            "fetch",
            "threads",
            "token_bucket",
            "messages",
        ],
    ),
    (
        "update",
        &[
            "mutex",
            "file_error",
            "parallel",
            "backoff",
            "durable",
            "plain",
            "error_chain",
            "hedge",
            "look",
            "model",
            "host",
            "settings",
            "container",
            "pack",
            "trust",
            "fetch",
            "peers",
            "store",
            "desktop",
            "threads",
            "environment",
            "messages",
            "session",
        ],
    ),
    (
        "engine",
        &[
            "mutex",
            "reports",
            "backoff",
            "error_chain",
            "model",
            "host",
            "trust",
            "fetch",
            "store",
            "threads",
            "environment",
            "messages",
            "session",
            "update",
        ],
    ),
    ("gui", &["error_chain", "model", "host", "settings", "messages", "threads"]),
    (
        "publish",
        &[
            "mutex",
            "file_error",
            "error_chain",
            "look",
            "named_file",
            "model",
            "plain",
            "host",
            "real_path",
            "threads",
            "settings",
            "durable",
            "parallel",
            "https",
            "container",
            "pack",
            "trust",
        ],
    ),
    (
        "installers",
        &[
            "file_error",
            "error_chain",
            "durable",
            "look",
            "named_file",
            "model",
            "plain",
            "process_group",
            "programs",
            "real_path",
            "settings",
            // Menu entries and icons are the same as those that the launcher makes.
            "desktop",
            "publish",
        ],
    ),
    ("site", &["durable", "file_error", "installers", "look", "model", "named_file"]),
    ("fleet", &["error_chain", "file_error", "durable", "look", "mutex", "model"]),
    (
        "server",
        &[
            "fleet",
            "mutex",
            "file_error",
            "error_chain",
            "https",
            "model",
            "host",
            "settings",
            "durable",
            "look",
            "plain",
            "process_group",
            "programs",
            "threads",
            "trust",
            "publish",
        ],
    ),
    (
        "testing",
        &[
            "cli",
            "error_chain",
            "model",
            "host",
            "settings",
            "container",
            "pack",
            "trust",
            "fetch",
            "peers",
            "messages",
            "schedule",
            "gui",
            "publish",
            "server",
        ],
    ),
    (
        "demo",
        &["file_error", "error_chain", "durable", "model", "host", "settings", "publish", "server"],
    ),
    (
        "app",
        &[
            "reports",
            "mutex",
            "durable",
            "error_chain",
            "plain",
            "look",
            "model",
            "host",
            "settings",
            "threads",
            "container",
            "store",
            "desktop",
            "environment",
            "messages",
            "session",
            "schedule",
            "update",
            "engine",
            "gui",
        ],
    ),
    (
        "cli",
        &[
            "fleet",
            "https",
            "reports",
            "mutex",
            "plain",
            "error_chain",
            "look",
            "named_file",
            "model",
            "host",
            "settings",
            "parallel",
            "programs",
            "real_path",
            "threads",
            "container",
            "pack",
            "store",
            "desktop",
            "environment",
            "messages",
            "session",
            "update",
            "engine",
            "gui",
            "app",
            "installers",
            "site",
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

/// Source files with their room; the tests at the end of a file are cut off.
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
            // Tests may import everything, in the file itself or in a file beside it.
            let code = if relative.ends_with("tests.rs") {
                text.lines().take_while(|line| line.starts_with("//!")).collect()
            } else {
                text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
            };
            (room, relative, code)
        })
        .collect()
}

/// The code without its comments, on one line.
fn without_comments(code: &str) -> String {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or_default()).collect::<Vec<_>>().join(" ")
}

/// The first name of each path in a group `{a::b, c::{d, e}}`; `rest` begins after the first brace.
fn first_names(rest: &str) -> Vec<String> {
    let (mut depth, mut names, mut name) = (1, Vec::new(), Some(String::new()));
    for sign in rest.chars() {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && sign == ',') {
            names.extend(name.replace(String::new()));
        }
        if depth == 0 {
            break;
        }
        match (&mut name, sign) {
            (Some(letters), sign) if sign.is_alphanumeric() || sign == '_' => letters.push(sign),
            (Some(letters), _) if !letters.is_empty() => names.extend(name.take()),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Names that follow `crate::` in code, also those of `use crate::{a::b, c::{d, e}}` over several
/// lines, and the names that `super::` reaches from a file `depth` modules below the crate.
fn imports(code: &str, depth: usize) -> Vec<String> {
    let code = without_comments(code).split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for door in ["crate::".to_owned(), "super::".repeat(depth)] {
        for (at, _) in code.match_indices(&door) {
            let is_start = !code[..at].ends_with(|before: char| {
                before.is_alphanumeric() || before == '_' || before == ':'
            });
            if door.is_empty() || !is_start {
                continue;
            }
            let rest = code[at + door.len()..].trim_start();
            let name = |text: &str| {
                text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
            };
            match rest.strip_prefix('{') {
                Some(group) => found.extend(first_names(group)),
                None => found.push(name(rest)),
            }
        }
    }
    found
}

#[test]
fn imports_are_seen_in_every_form() {
    let seen = |code: &str, depth| imports(code, depth).join(" ");
    assert_eq!(seen("use crate::gui::Texts;", 1), "gui");
    assert_eq!(seen("use crate::{\n    gui::Texts, // words\n    host,\n};", 1), "gui host");
    assert_eq!(
        seen("use crate::{model::{Offer, plan::{Plan, Reason}}, engine::{self}};", 1),
        "model engine"
    );
    assert_eq!(seen("fn a() { crate::gui::b(); crate::host::now() }", 1), "gui host");
    assert_eq!(seen("// crate::gui\nuse super::super::gui::Texts;", 2), "gui");
    assert_eq!(seen("use super::super::{gui, engine::driver};", 2), "gui engine");
    assert_eq!(seen("use super::gui::Texts;", 2), "");
    assert_eq!(seen("pub(in crate::store) fn a() {}", 2), "store");
}

/// How many modules a file lies below the crate.
fn depth_of(path: &Path) -> usize {
    path.iter().count() - usize::from(path.ends_with("mod.rs"))
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
        for name in imports(&code, depth_of(&path)) {
            if name != room && allowed.contains_key(name.as_str()) && !may.contains(&name.as_str())
            {
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
        ("zip", &["publish", "installers"]),
        ("mdns_sd", &["peers"]),
        ("hyper", &["peers", "server"]),
        ("clap", &["cli"]),
        ("kuzflow_delta", &["pack"]),
        ("rfd", &["gui"]),
        ("sqlx", &["fleet"]),
    ];
    let mut broken = Vec::new();
    for (room, path, code) in sources() {
        for (library, rooms) in homes {
            let used =
                code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
                    line.match_indices(&format!("{library}::")).any(|(at, _)| {
                        !line[..at].ends_with(|before: char| {
                            before.is_alphanumeric() || before == '_' || before == ':'
                        })
                    })
                });
            if used && !rooms.contains(&room.as_str()) {
                broken.push(format!("{}: {library} belongs in {rooms:?}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// An error in the log is a chain, in one form.
#[test]
fn the_log_has_whole_error_chains() {
    let mut found = Vec::new();
    for (room, path, code) in sources() {
        if room != "error_chain" && code.contains("as &dyn std::error::Error") {
            found.push(path.display().to_string());
        }
        let bare = log_calls(&code).into_iter().filter(|call| has_bare_error(call));
        found.extend(bare.map(|call| format!("{}: {call}", path.display())));
    }
    assert!(found.is_empty(), "`error = error_chain::line(&error)`:\n{}", found.join("\n"));
}

/// The arguments of each call that writes to the log.
fn log_calls(code: &str) -> Vec<&str> {
    let levels = ["trace", "debug", "info", "warn", "error"];
    let starts = levels.iter().flat_map(|level| {
        let call = format!("tracing::{level}!(");
        code.match_indices(&call).map(|(at, _)| at + call.len()).collect::<Vec<_>>()
    });
    starts
        .map(|start| {
            let mut depth = 1;
            let end = code[start..].find(|letter| {
                depth += i32::from(letter == '(') - i32::from(letter == ')');
                depth == 0
            });
            &code[start..end.map_or(code.len(), |end| start + end)]
        })
        .collect()
}

/// Whether the call writes an error without its causes.
fn has_bare_error(call: &str) -> bool {
    ["error", "source", "cause"].iter().any(|name| {
        let forms = [format!("%{name}"), format!("?{name}"), format!("{{{name}")];
        forms.iter().any(|form| {
            call.match_indices(form).any(|(at, _)| {
                !call[at + form.len()..]
                    .starts_with(|next: char| next.is_alphanumeric() || next == '_')
            })
        })
    })
}

#[test]
fn bare_errors_are_found_in_every_form() {
    for (code, bare) in [
        ("tracing::warn!(%error, \"a (text)\")", true),
        ("tracing::info!(path = %path.display(), ?source, \"text\")", true),
        ("tracing::error!(\n  cause = %cause,\n  \"text\")", true),
        ("tracing::debug!(\"text: {error}\")", true),
        ("tracing::debug!(\"text: {error:?}\")", true),
        ("tracing::warn!(error = error_chain::line(&error), %errors, \"text\")", false),
        ("tracing::warn!(\"text\"); say(format!(\"{error}\"))", false),
    ] {
        let calls = log_calls(code);
        assert_eq!(
            (calls.len(), calls.iter().any(|call| has_bare_error(call))),
            (1, bare),
            "{code}"
        );
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, _, code)| !code.starts_with("//!"))
        .map(|(_, path, _)| path)
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

/// The codec of differences is a crate for anyone: bytes in, bytes out, and only the dependencies
/// that it needs.
#[test]
fn the_codec_stays_by_itself() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/kuzflow-delta");
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    assert!(files.len() > 30, "{files:?}");
    let doors = ["fs::", "net::", "thread::", "env::", "process::", "time::", "fastrand"];
    let mut broken = Vec::new();
    let tests = |path: &Path| path.ends_with("tests.rs") || path.ends_with("native/oracles.rs");
    for path in files.iter().filter(|path| !tests(path)) {
        let text = fs::read_to_string(path).unwrap();
        let code = names_only(text.split("#[cfg(test)]\nmod tests {").next().unwrap());
        broken.extend(
            doors
                .iter()
                .filter(|door| code.contains(**door))
                .map(|door| format!("{}: {door}", path.display())),
        );
        if !text.starts_with("//!") {
            broken.push(format!("{}: it does not say what it is for", path.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let manifest: toml::Table =
        fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let dependencies: Vec<&str> =
        manifest["dependencies"].as_table().unwrap().keys().map(String::as_str).collect();
    assert_eq!(dependencies, ["bsdiff", "bzip2", "thiserror", "zstd"]);
}
