//! The launchers that installers are made from: those that the publisher names, or those in the
//! usual places.
//!
//! In: `--launcher`, the publisher's folder, the folder of this program. Out: a file for each
//! platform. Never: a file that is no program for its platform; two files for one platform.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::app::streams::error_line;
use crate::cli::publisher::shared::faults::Faults;
use crate::cli::publisher::shared::output::Say;
use crate::host;
use crate::model::launcher::{LAUNCHER, own_version, program_in, version_in};
use crate::model::{Platform, Version};
use crate::publish::launcher::{check_processor, system_of};
use crate::real_path;

/// The folder for launchers, in the publisher's folder and beside this program: in it a folder for
/// each platform.
pub(super) const FOLDER: &str = "launchers";
/// Where a package of a Linux distribution has that folder, from the folder of this program.
const INSTALLED: &str = "../lib/kuzflow";

/// A launcher and the platform that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LauncherFile {
    pub(super) platform: Platform,
    pub(super) path: PathBuf,
}

impl LauncherFile {
    /// The one beside this program, whether it is there or not.
    pub(super) fn beside() -> Self {
        let platform = Platform::current();
        let path = host::program_folder().unwrap_or_default().join(name(&platform));
        Self { platform, path }
    }
}

impl FromStr for LauncherFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (platform, path) = text
            .split_once('=')
            .ok_or("expected a platform and a file, for example Linux_x86_64=kuzflow-launcher")?;
        let platform = platform.parse::<Platform>().map_err(|error| error.to_string())?;
        Ok(Self { platform, path: real_path::simplified(Path::new(path)) })
    }
}

/// The file's name on its platform.
fn name(platform: &Platform) -> &'static str {
    if platform.is_windows() { "kuzflow-launcher.exe" } else { LAUNCHER }
}

/// Where a folder of launchers has the one for `platform`.
pub(super) fn usual_path(folder: &Path, platform: &Platform) -> PathBuf {
    folder.join(platform.to_string()).join(name(platform))
}

/// All launchers in the usual places, one for each platform: `own` is the publisher's folder of
/// launchers, which counts before what came with this program.
pub(super) fn found(own: &Path) -> Vec<LauncherFile> {
    let program = host::program_folder().unwrap_or_default();
    let beside = LauncherFile::beside();
    let mut all = in_folder(own);
    all.extend(Some(beside).filter(|launcher| launcher.path.is_file()));
    all.extend(in_folder(&program.join(FOLDER)));
    all.extend(in_folder(&program.join(INSTALLED).join(FOLDER)));
    first_of_each(all)
}

/// The launchers in a folder, sorted by platform. A folder that cannot be read has none.
fn in_folder(folder: &Path) -> Vec<LauncherFile> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let platforms = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let files = platforms.map(|platform: Platform| {
        let path = usual_path(folder, &platform);
        LauncherFile { platform, path }
    });
    let mut files: Vec<_> = files.filter(|launcher| launcher.path.is_file()).collect();
    files.sort_by(|one, other| one.platform.cmp(&other.platform));
    files
}

/// The first launcher of each platform.
fn first_of_each(all: Vec<LauncherFile>) -> Vec<LauncherFile> {
    let mut first: Vec<LauncherFile> = Vec::new();
    for launcher in all {
        if first.iter().all(|earlier| earlier.platform != launcher.platform) {
            first.push(launcher);
        }
    }
    first
}

/// The launchers, one for each platform; says which they are, and what is wrong with them.
pub(super) fn checked(
    launchers: Vec<LauncherFile>,
    say: &Say,
    faults: &mut Faults,
) -> Vec<LauncherFile> {
    for (index, LauncherFile { platform, .. }) in launchers.iter().enumerate() {
        if launchers[..index].iter().any(|earlier| earlier.platform == *platform) {
            faults.add(format!("there are two launchers for {platform}; name one"));
        }
    }
    let first = first_of_each(launchers);
    for LauncherFile { platform, path } in &first {
        match check(path, platform) {
            Ok(Some(version)) => {
                say.line(&format!("{}: {LAUNCHER} {version} for {platform}", path.display()));
                warn_of_old(path, &version);
            }
            Ok(None) => error_line(&format!(
                "warning: {} does not look like the launcher, which is called {LAUNCHER}; users would start this program in place of it",
                path.display()
            )),
            Err(fault) => faults.add(fault),
        }
    }
    first
}

fn warn_of_old(path: &Path, version: &Version) {
    let own = own_version();
    if *version < own {
        error_line(&format!(
            "warning: {} is of version {version}, older than this kuzflow ({own}); if a newer launcher is there, give that",
            path.display()
        ));
    }
}

/// Refuses a file that is no program for `platform`, or another one of this project's programs.
/// Returns the launcher's version; `None` if the file does not say that it is the launcher, which is
/// no fault: one of somebody's own need not say so.
fn check(path: &Path, platform: &Platform) -> Result<Option<Version>, String> {
    let shown = path.display();
    let program = std::fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            format!("there is no launcher {shown}; name it with --launcher {platform}=FILE")
        }
        _ => format!("cannot read the launcher {shown}: {error}"),
    })?;
    match system_of(&program) {
        Some(system) if system == platform.os => {}
        Some(system) => {
            return Err(format!("{shown} is a program for {system}, not for {platform}"));
        }
        None => return Err(format!("{shown} is no program")),
    }
    check_processor(&program, platform).map_err(|reason| format!("{shown}: {reason}"))?;
    match program_in(&program) {
        Some(found) if found.name == LAUNCHER => Ok(Some(found.version)),
        Some(found) => Err(format!(
            "{shown} is {}, not {LAUNCHER}; users would start it in place of the app",
            found.name
        )),
        // Older programs say only their version, the same in all of them.
        None if path.file_stem().is_some_and(|name| name == "kuzflow") => Ok(None),
        None => Ok(version_in(&program)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_launcher_for_each_platform() {
        let folder = tempfile::tempdir().unwrap();
        let put = |place: &str| {
            let path = folder.path().join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        let windows = "Windows_AMD64/kuzflow-launcher.exe";
        for place in [windows, "Darwin_arm64/kuzflow-launcher", "Linux_x86_64/other", "README"] {
            put(place);
        }
        let found = in_folder(folder.path());
        let shown: Vec<String> =
            found.iter().map(|launcher| launcher.platform.to_string()).collect();
        assert_eq!(shown, ["Darwin_arm64", "Windows_AMD64"]);
        assert_eq!(found[1].path, folder.path().join(windows));
        assert_eq!(in_folder(&folder.path().join("absent")), []);
    }

    #[test]
    fn what_the_publisher_put_there_counts_before_what_came_along() {
        let one = |platform: &str, path: &str| LauncherFile {
            platform: platform.parse().unwrap(),
            path: path.into(),
        };
        let all = ["own", "shipped"].map(|place| one("Windows_AMD64", place));
        let all = all.into_iter().chain([one("Darwin_arm64", "shipped")]).collect();
        let first = first_of_each(all);
        assert_eq!(first, [one("Windows_AMD64", "own"), one("Darwin_arm64", "shipped")]);
    }
}
