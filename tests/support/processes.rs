//! Ends the apps and launchers that a test has started and left.

use std::path::Path;

#[cfg(windows)]
pub use system::is_any_running;
pub use system::{ask_apps_to_end, end_all};

#[cfg(unix)]
mod system {
    use std::process::{Command, Stdio};

    use super::Path;
    use crate::support::release::text;

    /// Asks the apps that work in `home` to end.
    pub fn ask_apps_to_end(home: &Path) {
        for process in processes(|process| works_in(process, home)) {
            signal("-TERM", &process);
        }
    }

    /// Ends the processes that work in `folder` or have it in their arguments.
    pub fn end_all(folder: &Path) {
        let is_named = |process: &Path| {
            let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
            words
                .split(|byte| *byte == 0)
                .any(|word| String::from_utf8_lossy(word).contains(text(folder)))
        };
        for process in processes(|process| works_in(process, folder) || is_named(process)) {
            signal("-KILL", &process);
        }
    }

    /// The ids of the wanted processes, where the system lists them.
    fn processes(wanted: impl Fn(&Path) -> bool) -> Vec<String> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbered = entries.filter_map(|entry| {
            entry.file_name().into_string().ok().filter(|name| name.parse::<u32>().is_ok())
        });
        numbered.filter(|number| wanted(&Path::new("/proc").join(number))).collect()
    }

    fn works_in(process: &Path, folder: &Path) -> bool {
        std::fs::read_link(process.join("cwd")).is_ok_and(|working| working.starts_with(folder))
    }

    /// The process may have ended by itself meanwhile.
    fn signal(signal: &str, process: &str) {
        let _ = Command::new("kill").args([signal, process]).stderr(Stdio::null()).status();
    }
}

#[cfg(windows)]
mod system {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use super::Path;

    /// How long an app may take to notice that it shall end.
    const LONGEST: Duration = Duration::from_secs(5);

    /// Asks the apps of `home` to end, see `examples/sample_app.rs`.
    pub fn ask_apps_to_end(home: &Path) {
        for note in notes(home) {
            let _ = std::fs::write(note.with_extension("end"), "");
        }
    }

    /// Whether an app of `home` stays.
    pub fn is_any_running(home: &Path) -> bool {
        !notes(home).is_empty()
    }

    /// Ends the apps in `folder`. A launcher ends after its app.
    pub fn end_all(folder: &Path) {
        let end = Instant::now() + LONGEST;
        while !notes(folder).is_empty() && Instant::now() < end {
            ask_apps_to_end(folder);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The notes of running apps below `folder`.
    fn notes(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                found.append(&mut notes(&path));
            } else if path.extension().is_some_and(|extension| extension == "pid") {
                found.push(path);
            }
        }
        found
    }
}
