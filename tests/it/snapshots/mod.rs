//! What both programs print, and what a server answers, as it stands in the files beside this one:
//! a change of a text or a field is seen where it is reviewed.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --test it snapshots` writes the files anew. What differs from run
//! to run (folders, ports, times, durations, digests, large numbers) is replaced by a word.

mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory as _;
use kuzflow::testing::cli::{LauncherArguments, PublisherArguments};
use serde_json::Value;

use crate::support::release::{World, text};
use settle::settle;

const WRITE: &str = "UPDATE_SNAPSHOTS";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots")
}

/// Compares a text with its file, or writes the file.
fn check(name: &str, found: &str) {
    let file = folder().join(name);
    if std::env::var_os(WRITE).is_some() {
        fs::write(file, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default().replace("\r\n", "\n");
    let lines = || expected.lines().map(Some).chain(std::iter::repeat(None)).zip(found.lines());
    let first = lines().enumerate().find(|(_, (expected, found))| *expected != Some(*found));
    assert!(
        expected == found,
        "{name} is no longer what is printed; {WRITE}=1 writes it anew. First difference: {first:#?}"
    );
}

/// What is typed, and what comes of it.
struct Terminal<'a> {
    world: &'a World,
    json: bool,
    seen: String,
    /// Fields of events and results by the verb.
    fields: BTreeSet<(String, String)>,
}

impl<'a> Terminal<'a> {
    fn new(world: &'a World, json: bool) -> Self {
        Self { world, json, seen: String::new(), fields: BTreeSet::new() }
    }

    fn kuzflow(&mut self, arguments: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
        command.args(self.json.then_some("--json")).args(arguments);
        self.run("kuzflow", arguments, command);
    }

    fn launcher(&mut self, arguments: &[&str]) {
        let json: &[&str] = if self.json { &["--json"] } else { &[] };
        let command = self.world.launcher(&[json, arguments].concat());
        self.run("kuzflow-launcher", arguments, command);
    }

    fn run(&mut self, program: &str, arguments: &[&str], mut command: Command) {
        let output = command.stdin(Stdio::null()).env("LANG", "C.UTF-8").output().unwrap();
        let status = output.status.code().unwrap();
        let _ = writeln!(self.seen, "$ {program} {}", arguments.join(" "));
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            // `run` prints what the app does, too.
            if self.json && line.starts_with('{') {
                self.note(arguments[0], line);
            }
            // What a launcher tells beside an app depends on how long the app runs.
            let is_beside = arguments[0] == "run" && line.starts_with("{\"event\"");
            if !is_beside && !is_fleeting(line) {
                let _ = writeln!(self.seen, "{line}");
            }
        }
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            let _ = writeln!(self.seen, "! {line}");
        }
        let _ = writeln!(self.seen, "= {status}\n");
    }

    /// Remembers the fields of a line.
    fn note(&mut self, verb: &str, line: &str) {
        let line: Value = serde_json::from_str(line).unwrap();
        let (name, fields) = match (&line["event"], line.get("result")) {
            (Value::String(event), _) => (event.clone(), &line),
            (_, Some(result)) => (verb.to_owned(), result),
            _ => panic!("neither event nor result: {line}"),
        };
        self.fields
            .extend(fields.as_object().unwrap().keys().map(|field| (name.clone(), field.clone())));
    }

    fn check(&self, name: &str) {
        check(name, &settle(&self.seen, text(&self.world.path(""))));
    }
}

/// A line of which there are more or fewer, by how busy the computer is.
fn is_fleeting(line: &str) -> bool {
    ["{\"event\":\"progress\"", "{\"event\":\"disk_use\""]
        .iter()
        .any(|start| line.starts_with(start))
}

/// A page of the reference names each field that is written.
fn are_in_the_reference(fields: &BTreeSet<(String, String)>) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/json-output.md");
    let page = fs::read_to_string(page).unwrap();
    let missing: Vec<_> =
        fields.iter().filter(|(_, field)| !page.contains(&format!("`{field}`"))).collect();
    assert!(missing.is_empty(), "docs/reference/json-output.md lacks {missing:?}");
    assert!(fields.len() > 20, "{fields:?}");
}

/// Two releases of an app with text that a pack is worth having for; not yet published.
fn releases(world: &World) -> [PathBuf; 2] {
    let lines = |version: &str| {
        let mut text = format!("release {version}\n");
        for number in 0..4000_u32 {
            let _ = writeln!(text, "{number} {}", number.wrapping_mul(0x9E37_79B1));
        }
        text.into_bytes()
    };
    ["1.0.0", "1.1.0"]
        .map(|version| world.build(version, &BTreeMap::from([("data/lines.txt", lines(version))])))
}

/// The publisher's day.
fn publishing(json: bool, name: &str) {
    let world = World::new();
    let [one, two] = releases(&world);
    let [new, repository] = [world.path("new"), world.path("publisher")];
    let (app, again) = (world.path("app 1.0.0"), world.path("again.kuzflow"));
    let [one, two, repository] = [&one, &two, &repository].map(|path| text(path));
    let mut terminal = Terminal::new(&world, json);
    terminal.kuzflow(&["init", text(&new), "--app", "other", "--node", "http://127.0.0.1:9/"]);
    let build = ["build", "--app", text(&app), "--name", "sample", "--app-version", "1.0.0"];
    let rest =
        ["--entry", "exe:run.sh", "--runtime", "none", "--level", "1", "--out", text(&again)];
    terminal.kuzflow(&[build.as_slice(), rest.as_slice()].concat());
    terminal.kuzflow(&["inspect", one]);
    terminal.kuzflow(&["inspect", text(&world.path("missing.kuzflow"))]);
    terminal.kuzflow(&["publish", one, "--repo", repository]);
    terminal.kuzflow(&["publish", two, "--repo", repository]);
    terminal.kuzflow(&["publish", two, "--repo", repository]);
    terminal.kuzflow(&["list", "--repo", repository]);
    let rollout = ["rollout", "--repo", repository, "--version", "1.1.0"];
    terminal.kuzflow(&[rollout.as_slice(), &["--percent", "50"]].concat());
    terminal.kuzflow(&[rollout.as_slice(), &["--halt"]].concat());
    terminal.kuzflow(&["diff", one, two]);
    let pack = world.path("pack.kuzpatch");
    terminal.kuzflow(&["diff", one, two, "--out", text(&pack)]);
    terminal.kuzflow(&["patch", "--repo", repository, "--from", "1.1.0", "--to", "1.0.0"]);
    terminal.kuzflow(&["refresh", "--repo", repository]);
    terminal.kuzflow(&["renew", "--repo", repository]);
    let bundle = world.path("one.kuzflow-bundle");
    let bundle = ["bundle", "--repo", repository, "--version", "1.0.0", "--out", text(&bundle)];
    terminal.kuzflow(&bundle);
    terminal.kuzflow(&["retire", "--repo", repository, "--keep", "1", "--dry-run"]);
    terminal.check(name);
    if json {
        are_in_the_reference(&terminal.fields);
    }
}

/// A user's day.
fn using(json: bool, name: &str) {
    let world = World::new();
    let [one, two] = releases(&world);
    world.publish(&one, &[]);
    let node = world.serve();
    world.configure(&[&node.address], "");
    let mut terminal = Terminal::new(&world, json);
    terminal.launcher(&["list"]);
    terminal.launcher(&["check"]);
    terminal.launcher(&["update"]);
    terminal.launcher(&["update"]);
    world.publish(&two, &[]);
    terminal.launcher(&["check"]);
    terminal.launcher(&["update", "--dry-run"]);
    terminal.launcher(&["skip", "1.1.0"]);
    terminal.launcher(&["check"]);
    terminal.launcher(&["update", "--to", "1.1.0"]);
    terminal.launcher(&["list"]);
    terminal.launcher(&["verify"]);
    terminal.launcher(&["run"]);
    terminal.launcher(&["rollback", "--list"]);
    terminal.launcher(&["switch", "1.0.0"]);
    terminal.launcher(&["switch", "9.9.9"]);
    terminal.launcher(&["pin"]);
    terminal.launcher(&["check"]);
    terminal.launcher(&["pin", "--off"]);
    terminal.launcher(&["remove", "1.0.0"]);
    terminal.launcher(&["peers", "status"]);
    terminal.launcher(&["prune", "--keep", "0"]);
    drop(node);
    terminal.launcher(&["check"]);
    terminal.check(name);
    if json {
        are_in_the_reference(&terminal.fields);
    }
}

#[test]
fn help_of_every_verb() {
    for (name, program, command) in [
        ("kuzflow", env!("CARGO_BIN_EXE_kuzflow"), PublisherArguments::command()),
        ("kuzflow-launcher", env!("CARGO_BIN_EXE_kuzflow-launcher"), LauncherArguments::command()),
    ] {
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        let mut seen = String::new();
        for verb in std::iter::once("").chain(verbs.map(clap::Command::get_name)) {
            let mut help = Command::new(program);
            if !verb.is_empty() {
                help.arg(verb);
            }
            let output = help.arg("--help").env("COLUMNS", "100").output().unwrap();
            assert!(output.status.success(), "{name} {verb}");
            let _ = writeln!(seen, "$ {name} {verb}\n{}", String::from_utf8_lossy(&output.stdout));
        }
        check(&format!("help-{name}.txt"), &seen);
    }
}

#[test]
fn what_a_publisher_reads() {
    publishing(false, "publisher.txt");
}

#[test]
fn what_a_publishers_scripts_read() {
    publishing(true, "publisher-json.txt");
}

#[test]
fn what_a_user_reads_in_a_terminal() {
    using(false, "launcher.txt");
}

#[test]
fn what_scripts_read_of_the_launcher() {
    using(true, "launcher-json.txt");
}

/// The answers of a server, head and body.
#[test]
fn what_a_server_answers() {
    let world = World::new();
    for package in releases(&world) {
        world.publish(&package, &[]);
    }
    let node = world.serve();
    let address = node.address.parse().unwrap();
    let mut seen = String::new();
    let mut ask = |method: &str, path: &str, body: &str| {
        let answer = match method {
            "POST" => crate::server::client::post(address, path, body.as_bytes()),
            _ => crate::server::client::ask(address, method, path, &[]),
        };
        let _ = writeln!(seen, "> {method} {path} {body}\n< {}", answer.status);
        for (name, value) in &answer.fields {
            let _ = writeln!(seen, "{name}: {value}");
        }
        let _ = writeln!(seen, "\n{}\n", String::from_utf8_lossy(&answer.body));
    };
    let check_update = "/api/containers/check_update?platform=Linux_x86_64";
    ask("GET", "/nodes.json", "");
    ask("HEAD", "/metadata/timestamp.json", "");
    ask("GET", "/metadata/9.targets.json", "");
    ask("GET", "/healthz", "");
    ask("GET", check_update, "");
    ask("GET", &format!("{check_update}&current_version=1.0.0"), "");
    ask("GET", &format!("{check_update}&current_version=1.1.0"), "");
    ask("GET", "/api/containers/check_update", "");
    ask("HEAD", "/api/containers/download/sample_1.1.0_Linux_x86_64", "");
    ask("GET", "/api/containers/changelog/1.1.0", "");
    let question = r#"{"current_fingerprint": {"version": "1.0.0"}, "target_version": "1.1.0"}"#;
    ask("POST", "/api/incremental/analyze", question);
    ask("POST", "/api/incremental/analyze", "{");
    ask("HEAD", "/api/incremental/patch/1.0.0_1.1.0_Linux_x86_64", "");
    ask("GET", "/api/incremental/patch/1.0.0_9.0.0_Linux_x86_64", "");
    ask("PUT", "/nodes.json", "");
    ask("GET", "/nowhere", "");
    check("http.txt", &settle(&seen, text(&world.path(""))));
}
