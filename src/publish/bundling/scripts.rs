//! The scripts of a release that the launcher runs: the migration of the user's files, and the
//! hooks.
//!
//! In: a request. Out: `scripts/NAME` in the tree, with the ending by which the launcher knows how
//! to run it; or why a script would not run on the container's system. Never: runs one.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use super::machine_code::{HEAD_BYTES, MachineCode};
use super::{BuildError, BuildRequest, EntryPoint};
use crate::file_error::FileResult as _;

/// Endings of what Windows runs by itself.
const WINDOWS_ENDINGS: [&str; 3] = ["exe", "cmd", "bat"];
/// The ending of what the container's Python runs.
const PYTHON_ENDING: &str = "py";

/// A script of the release, as the publisher names it.
pub(super) struct ReleaseScript<'a> {
    /// What it is, for messages.
    pub what: &'static str,
    /// Its name in `scripts`, without an ending.
    name: &'static str,
    pub source: &'a Path,
}

/// The scripts of a request.
pub(super) fn of(request: &BuildRequest) -> impl Iterator<Item = ReleaseScript<'_>> {
    let all = [
        ("the migration", "migrate", &request.migrate),
        ("the script after the installation", "after-install", &request.after_install),
        ("the script before uninstalling", "before-uninstall", &request.before_uninstall),
    ];
    all.into_iter().filter_map(|(what, name, source)| {
        Some(ReleaseScript { what, name, source: source.as_ref()? })
    })
}

impl ReleaseScript<'_> {
    /// Refuses what the launcher could not run in the container.
    pub(super) fn check(&self, request: &BuildRequest) -> Result<(), BuildError> {
        let refused = match self.ending() {
            Some(PYTHON_ENDING) if matches!(request.entry, EntryPoint::Executable(_)) => {
                Some("the container has no Python; name a program")
            }
            Some(PYTHON_ENDING) => None,
            Some(_) if !request.platform.is_windows() => {
                Some("this is for Windows; name one for each platform: { Windows_AMD64 = \"…\" }")
            }
            None if request.platform.is_windows() => Some(
                "Windows runs what ends with .exe, .cmd or .bat, and the container's Python what ends with .py",
            ),
            Some(_) => None,
            None => self.unfit_for_unix(request)?,
        };
        match refused {
            Some(reason) => {
                let path = self.source.to_owned();
                Err(BuildError::Script { what: self.what, path, reason })
            }
            None => Ok(()),
        }
    }

    /// Why Unix would not run the file as a program.
    fn unfit_for_unix(&self, request: &BuildRequest) -> Result<Option<&'static str>, BuildError> {
        let mut head = Vec::new();
        let read = File::open(self.source)
            .and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head));
        read.at("read", self.source)?;
        let first_line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(match MachineCode::of(&head) {
            Some(code) if !code.runs_on(&request.platform) => {
                Some("it is machine code for another system")
            }
            Some(_) => None,
            None if !head.starts_with(b"#!") => {
                Some("begin it with the program that reads it, such as #!/bin/sh")
            }
            None if first_line.ends_with(b"\r") => {
                Some("its lines end as on Windows; save it with Unix line ends")
            }
            None => None,
        })
    }

    /// Copies it into the tree, as a program.
    pub(super) fn lay_out(&self, tree: &Path) -> Result<(), BuildError> {
        let folder = tree.join("scripts");
        let name = match self.ending() {
            Some(ending) => format!("{}.{ending}", self.name),
            None => self.name.to_owned(),
        };
        let place = folder.join(name);
        fs::create_dir_all(&folder).at("create", &folder)?;
        fs::copy(self.source, &place).at("copy", self.source)?;
        #[cfg(unix)]
        fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .at("change", &place)?;
        Ok(())
    }

    /// Its ending, if it decides how the script is run.
    fn ending(&self) -> Option<&str> {
        let ending = self.source.extension()?.to_str()?;
        (ending == PYTHON_ENDING || WINDOWS_ENDINGS.contains(&ending)).then_some(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Platform;

    /// The reason why a hook with this name and text is refused for `platform`.
    fn refused(name: &str, text: &[u8], entry: &str, platform: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let (version, app) = ("1.0.0".parse().unwrap(), "sample".parse().unwrap());
        let mut request = BuildRequest::new(folder.path(), app, version, entry.parse().unwrap());
        request.platform = platform.parse::<Platform>().unwrap();
        request.after_install = Some(path);
        of(&request).next().unwrap().check(&request).err().map(|error| error.to_string())
    }

    #[test]
    fn a_script_that_its_system_would_not_run_is_refused_with_what_helps() {
        const LINUX: &str = "Linux_x86_64";
        const WINDOWS: &str = "Windows_AMD64";
        let fine: [(&str, &[u8], &str, &str); 5] = [
            ("hook.sh", b"#!/bin/sh\n", "app.py", LINUX),
            ("hook.py", b"print()\r\n", "app.py", LINUX),
            ("hook.py", b"print()", "module:sample", WINDOWS),
            ("hook.bat", b"@echo off\r\n", "exe:run.exe", WINDOWS),
            ("hook", b"#!/usr/bin/env python3\n", "exe:run", LINUX),
        ];
        for (name, text, entry, platform) in fine {
            assert_eq!(refused(name, text, entry, platform), None, "{name} on {platform}");
        }
        let unfit: [(&str, &[u8], &str, &str, &str); 6] = [
            ("hook.sh", b"echo hello\n", "app.py", LINUX, "#!/bin/sh"),
            ("hook.sh", b"#!/bin/sh\r\necho\r\n", "app.py", LINUX, "Unix line ends"),
            ("hook.sh", b"#!/bin/sh\n", "app.py", WINDOWS, ".bat"),
            ("hook.bat", b"@echo off\r\n", "app.py", LINUX, "for Windows"),
            ("hook.py", b"print()", "exe:run", LINUX, "no Python"),
            ("hook", b"", "app.py", LINUX, "#!/bin/sh"),
        ];
        for (name, text, entry, platform, reason) in unfit {
            let shown = refused(name, text, entry, platform).unwrap_or_default();
            assert!(
                shown.contains(reason) && shown.contains("the script after the installation"),
                "{name} on {platform}: {shown}"
            );
        }
    }
}
