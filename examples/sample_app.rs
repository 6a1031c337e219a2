//! The app of the integration tests on Windows, where no shell script can be one.
//!
//! It does what `tests/support/program.rs` says. With the variable `HAND_OVER` another process of it stays for so many seconds, and this one ends. While it stays,
//! `temp/N.pid` in its version's folder names its process, and a file `temp/N.end` asks it to end:
//! the system has no signal for that.

#![allow(clippy::disallowed_methods)] // a program of its own

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Pause between two looks at whether it shall end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long the first process works with the one that continues.
const BEFORE_HANDING_OVER: Duration = Duration::from_millis(500);

fn main() {
    let version = std::env::var("KUZFLOW_VERSION").unwrap_or_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("version={version} args={}", arguments.join(" "));
    let code = order("CODE");
    let is_silent = code.is_some() || order("SILENT").is_some();
    if let (false, Some(health)) = (is_silent, std::env::var_os("KUZFLOW_HEALTH")) {
        let health = std::fs::File::options().append(true).open(health);
        let _ = health.and_then(|mut health| health.write_all(b"up\n"));
    }
    if let Ok(seconds) = std::env::var("HAND_OVER") {
        hand_over(&seconds);
    } else if let Some(seconds) = order("STAY").and_then(|seconds| seconds.parse().ok()) {
        stay(Duration::from_secs(seconds));
    }
    if let Some(complaint) = order("COMPLAINT") {
        eprintln!("{complaint}");
    }
    // Codes of Windows have four bytes.
    let code = code.and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
    std::process::exit(code.cast_signed());
}

fn order(name: &str) -> Option<String> {
    let variable = std::env::var(name).ok();
    let in_file = || {
        let file = std::env::current_exe().ok()?.with_file_name("orders");
        let orders = std::fs::read_to_string(file).ok()?;
        orders.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    };
    variable.or_else(in_file).filter(|value| !value.is_empty())
}

fn hand_over(seconds: &str) {
    let program = std::env::current_exe().unwrap_or_default();
    let mut command = Command::new(program);
    command.env("STAY", seconds).env_remove("HAND_OVER").stdout(Stdio::null());
    // A program that ends at once is a program that has not started.
    let _ = command.spawn().map(|_| std::thread::sleep(BEFORE_HANDING_OVER));
}

fn stay(limit: Duration) {
    let home = std::env::var_os("KUZFLOW_HOME").map(PathBuf::from).unwrap_or_default();
    let named = |ending: &str| home.join(format!("temp/{}.{ending}", std::process::id()));
    let (note, wish) = (named("pid"), named("end"));
    let _ = std::fs::write(&note, "");
    let end = Instant::now() + limit;
    while Instant::now() < end && !wish.exists() {
        std::thread::sleep(POLL_INTERVAL);
    }
    let _ = std::fs::remove_file(note);
    let _ = std::fs::remove_file(wish);
}
