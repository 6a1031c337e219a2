//! What must hold after an interruption. One plain run starts a healthy version with the user's
//! files as they were before or after. The same verb can be repeated, and then the home is as
//! without the interruption.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::points::{Errno, Fault};
use crate::scenes::{Scene, Stage, reply_of_app};
use crate::support::release::reply;

/// A scene played without a disturbance.
pub struct Reference {
    /// The app's output afterwards.
    after: String,
    home: BTreeMap<String, String>,
    /// States after a disturbance that already led to a good end: the test does not play the same
    /// state again.
    good: Mutex<HashSet<(bool, u64)>>,
}

/// The outcome of a disturbed run.
pub struct Point {
    /// Whether the run reached the number of the point.
    pub reached: bool,
    pub failure: Option<String>,
}

impl Reference {
    pub fn play(stage: &Stage, scene: &Scene) -> Self {
        let home = stage.copy(&scene.template, &format!("{} undisturbed", scene.name));
        let output = stage
            .launcher(&home, scene.settings, &[&["--json"], scene.verb].concat())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            scene.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let after = stage.start(&home).0;
        let converged = converge(stage, scene, &home)
            .unwrap_or_else(|problem| panic!("{}: {problem}", scene.name));
        assert!(!after.is_empty() && after == converged, "{}: {after} {converged}", scene.name);
        Self { after, home: listing(&home), good: Mutex::default() }
    }
}

/// Disturbs the scene at one point, and checks the result.
pub fn try_point(
    stage: &Stage,
    scene: &Scene,
    reference: &Reference,
    (fault, number): (Fault, usize),
) -> Point {
    let home = stage.copy(&scene.template, &format!("{} {fault:?} {number}", scene.name));
    let command = stage.launcher(&home, scene.settings, &[&["--json"], scene.verb].concat());
    let traced = stage.tracer.run(&command, Some((fault, number)), &home);
    let reached = traced.changes.len() >= number;
    let place = traced
        .changes
        .get(number - 1)
        .map_or("never reached", |change| change)
        .replace(home.to_str().unwrap(), "~");
    let failure = look_at(fault, scene, reference, &traced.output)
        .and_then(|done| look_after(stage, scene, reference, &home, (fault, done)))
        .err()
        .map(|problem| {
            format!(
                "{} · {fault:?} {number} · {place}\n  {}\n  ({}; {})",
                scene.name,
                problem.replace('\n', "\n  "),
                traced.output.status,
                String::from_utf8_lossy(&traced.output.stderr).trim().replace('\n', "\n  ")
            )
        });
    if failure.is_none() {
        let _ = fs::remove_dir_all(&home);
    }
    Point { reached, failure }
}

/// Longest wait for the app beside a stopped launcher, which would last for ever. The promise is
/// five seconds; a busy machine gets more.
const START_WITHIN: Duration = Duration::from_secs(90);

/// Stops the scene's verb at one of its changes, starts the app, works in it, lets the verb
/// continue, and checks the result.
pub fn try_stop(
    stage: &Stage,
    scene: &Scene,
    reference: &Reference,
    number: usize,
) -> Result<(), String> {
    let home = stage.copy(&scene.template, &format!("{} stopped {number}", scene.name));
    let command = stage.launcher(&home, scene.settings, &[&["--json"], scene.verb].concat());
    let Some(stopped) = stage.tracer.stop(&command, number, &home) else { return Ok(()) };
    let begun = Instant::now();
    let (reported, how) = stage.start(&home);
    let took = begun.elapsed();
    let version = reported
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("version="))
        .unwrap_or_default()
        .to_owned();
    let later = "document of later";
    if !version.is_empty() {
        fs::write(stage.container(&home, &version).join("data/document"), format!("{later}\n"))
            .unwrap();
    }
    let output = stopped.go_on();
    let say = |problem: String| {
        Err(format!(
            "{} stopped at {number}: {problem}\n{how}\n{}",
            scene.name,
            reply(&output).errors
        ))
    };
    if reported != scene.before && reported != reference.after {
        return say(format!("the start beside it says {reported:?}"));
    }
    if took > START_WITHIN {
        return say(format!("the start beside it took {took:?}"));
    }
    let (reported, again) = stage.start(&home);
    let goes_along = ["switch", "update"].contains(&scene.verb[0]);
    if reported.is_empty() || goes_along && !reported.contains(later) {
        return say(format!(
            "after {version} was worked in the next start says {reported:?}\n{again}"
        ));
    }
    let is_retained =
        Command::new("grep").args(["-rqF", later]).arg(&home).status().unwrap().success();
    if !is_retained {
        return say(format!("what was written in {version} is gone"));
    }
    let _ = fs::remove_dir_all(&home);
    Ok(())
}

/// Kills the scene's verb after `delay`, and checks the result.
pub fn try_time(
    stage: &Stage,
    scene: &Scene,
    reference: &Reference,
    delay: Duration,
) -> Result<(), String> {
    let home = stage.copy(&scene.template, &format!("{} killed", scene.name));
    let mut command = stage.launcher(&home, scene.settings, &[&["--json"], scene.verb].concat());
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(delay);
    let _ = child.kill();
    child.wait().unwrap();
    look_after(stage, scene, reference, &home, (Fault::Kill, false))
        .map_err(|problem| format!("{} killed after {delay:?}\n{problem}", scene.name))
}

/// Checks the disturbed run itself: no panic, no hang, and a disk problem reported as one. It must
/// also start the app if that is its purpose. Returns whether the run reported success.
fn look_at(
    fault: Fault,
    scene: &Scene,
    reference: &Reference,
    output: &std::process::Output,
) -> Result<bool, String> {
    let code = output.status.code().unwrap_or(-1);
    let reply = reply(output);
    if reply.errors.contains("panicked") || [124, 125, 126, 101, 134].contains(&code) {
        return Err(format!("the disturbed run ended with {code}"));
    }
    if fault == Fault::Kill {
        return Ok(code == 0);
    }
    let kind = reply.result["problem"]["kind"].as_str().unwrap_or_default();
    let has_run_out = match fault {
        Fault::Look(errno) | Fault::Lasting(errno) => {
            matches!(errno, Errno::Handles | Errno::Memory)
        }
        Fault::Threads | Fault::Tasks => true,
        _ => false,
    };
    if scene.verb == ["run"] {
        let reported = reply_of_app(&output.stdout);
        // Under this fault no process or thread can start.
        if fault == Fault::Tasks && reported.is_empty() && (code, kind) == (1, "exhausted") {
            return Ok(false);
        }
        if reported.is_empty()
            || ![&reference.after, &scene.before, &scene.meanwhile].contains(&&reported)
        {
            return Err(format!("the disturbed run did not start the app: {reported:?}"));
        }
        return Ok(false);
    }
    match (code, kind) {
        (0, _) => Ok(true),
        (1, "exhausted" | "disk_error") if has_run_out => Ok(false),
        (1, "disk_full") if matches!(fault, Fault::Full) => Ok(false),
        (1, "disk_error") if !has_run_out && fault != Fault::Full => Ok(false),
        _ => Err(format!("the disturbed run ended with {code} {kind:?}")),
    }
}

/// Checks the home after the run.
fn look_after(
    stage: &Stage,
    scene: &Scene,
    reference: &Reference,
    home: &Path,
    how: (Fault, bool),
) -> Result<(), String> {
    let state = (how.1, state(home));
    if reference.good.lock().unwrap().contains(&state) {
        return Ok(());
    }
    look_on(stage, scene, reference, home, how)?;
    reference.good.lock().unwrap().insert(state);
    Ok(())
}

/// The state of a home as one number: its listing, and the number of passing files in each folder.
fn state(home: &Path) -> u64 {
    let passing = ["running", "logs", "sockets"].map(|folder| {
        let below = fs::read_dir(home.join(folder)).into_iter().flatten().flatten();
        let mut counts: Vec<_> = below
            .map(|entry| (entry.file_name(), fs::read_dir(entry.path()).map_or(0, Iterator::count)))
            .filter(|(_, count)| *count > 0)
            .collect();
        counts.sort();
        counts
    });
    hash(format!("{:?} {passing:?} {}", listing(home), home.join("nodes.json").exists()).as_bytes())
}

fn look_on(
    stage: &Stage,
    scene: &Scene,
    reference: &Reference,
    home: &Path,
    (fault, done): (Fault, bool),
) -> Result<(), String> {
    let (reported, how) = stage.start(home);
    let is_before = reported == scene.before && !done && !reported.is_empty();
    if !is_before && reported != reference.after {
        return Err(format!("a plain run says {reported:?}\n{how}"));
    }
    let reported = converge(stage, scene, home)?;
    if reported != reference.after {
        return Err(format!(
            "after the second try a plain run says {reported:?}, not {:?}",
            reference.after
        ));
    }
    let listing = listing(home);
    let lacking = reference.home.iter().filter(|(path, what)| listing.get(*path) != Some(*what));
    // An unreadable file may be the user's, so the launcher retains it.
    let may_be_more =
        |path: &str| matches!(fault, Fault::Lasting(_)) && path.starts_with("snapshots/");
    let surplus = listing
        .iter()
        .filter(|(path, what)| reference.home.get(*path) != Some(*what) && !may_be_more(path));
    let lines: Vec<String> = lacking
        .map(|(path, what)| format!("- {path} {what}"))
        .chain(surplus.map(|(path, what)| format!("+ {path} {what}")))
        .collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(format!("the home is not as without the disturbance:\n{}", lines.join("\n")))
    }
}

/// Repeats the verb, then makes a plain run.
fn converge(stage: &Stage, scene: &Scene, home: &Path) -> Result<String, String> {
    let again = stage
        .launcher(home, scene.settings, &[&["--json"], scene.verb].concat())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let reply = reply(&again);
    let kind = reply.result["problem"]["kind"].as_str().unwrap_or_default();
    if !matches!(reply.code, 0 | 3) && !scene.nothing_left.contains(&kind) {
        return Err(format!("the second try ended with {} {kind}\n{}", reply.code, reply.errors));
    }
    Ok(stage.start(home).0)
}

/// The contents of a home that are equal in two homes with the same state: without times, random
/// names and measurements.
pub fn listing(home: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    list(home, Path::new(""), &mut found);
    found
}

fn list(home: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(home.join(folder)).unwrap().flatten() {
        let path = folder.join(entry.file_name());
        let name = same_name(&path);
        let metadata = entry.metadata().unwrap();
        let what = if metadata.is_symlink() {
            format!("link to {}", fs::read_link(entry.path()).unwrap().display())
        } else {
            let content =
                if metadata.is_dir() { "folder".to_owned() } else { content(&path, &entry.path()) };
            format!("{:o} {content}", metadata.permissions().mode() & 0o7777)
        };
        // The next start of that version removes health files and records of processes;
        // measurements differ.
        let is_passing = matches!(path.components().count(), 3) && path.starts_with("running");
        if is_passing || path.starts_with("logs/") || path == Path::new("nodes.json") {
            continue;
        }
        if let Some(twin) = found.insert(name.clone(), what) {
            found.insert(format!("{name} (twin)"), twin);
        }
        if metadata.is_dir() {
            list(home, &path, found);
        }
    }
}

/// The path without the times in the names of snapshots.
fn same_name(path: &Path) -> String {
    let parts = path.iter().map(|part| part.to_str().unwrap());
    let parts = parts.map(|part| match part.split_once("Z-") {
        Some((time, id)) if time.len() == "20260131T235959.000000".len() => format!("(time)-{id}"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn content(path: &Path, file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    // Records are sorted by name, since their own order changes from run to run.
    let value = path
        .extension()
        .filter(|ending| *ending == "json")
        .and_then(|_| serde_json::from_slice::<Value>(&bytes).ok());
    let Some(mut value) = value else {
        return format!("{} bytes, {:016x}", bytes.len(), hash(&bytes));
    };
    without_times(&mut value);
    let text = value.to_string();
    if text.len() > 500 { format!("record {:016x}", hash(text.as_bytes())) } else { text }
}

fn without_times(value: &mut Value) {
    let Value::Object(object) = value else { return };
    for key in ["since", "installed", "left", "installation_id", "when", "kept"] {
        object.remove(key);
    }
    // A version that has come up; how many good runs it has had depends on how often it was started.
    if object.get("probation").is_some_and(|probation| probation["up"] == true) {
        object.remove("probation");
    }
    object.values_mut().for_each(|value| match value {
        Value::Array(values) => values.iter_mut().for_each(without_times),
        value => without_times(value),
    });
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}
