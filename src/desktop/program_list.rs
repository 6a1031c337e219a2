//! The app in Windows' list of installed programs. `Setup.exe` has made the entry with the version
//! that it brought. The launcher updates the app without a setup, so it writes there which version
//! is installed by now, and how much room it takes.
//!
//! In: this launcher, the active version. Out: two values of the entry. Never: makes an entry;
//! changes that of another installation, such as the one of a launcher that was copied away.

use std::path::Path;

use super::DesktopError;
use super::same_path::is_same;
#[cfg(windows)]
use super::shell::{listed, renew_listed};
use super::windows::Listed;
use crate::model::Version;

/// Brings the entry of this launcher up to date, if there is one that it may write. `kilobytes` is
/// asked only then: that takes a walk through the home. Returns whether something has changed.
///
/// # Errors
/// [`DesktopError::System`] if it cannot be written: that of all users is an administrator's.
pub(crate) fn follow(
    app: &str,
    program: &Path,
    version: &Version,
    is_first: bool,
    kilobytes: impl FnOnce() -> u32,
) -> Result<bool, DesktopError> {
    let (listed, version) = (listed(app), version.to_string());
    let Some(own) = outdated(&listed, program, &version, is_first) else { return Ok(false) };
    renew_listed(app, own, &version, kilobytes)?;
    Ok(true)
}

/// The entry of the launcher `program`, if it names another version. After the first installation
/// it is out of date in any case: the setup knew the size of the launcher alone.
fn outdated<'a>(
    listed: &'a [Listed],
    program: &Path,
    version: &str,
    is_first: bool,
) -> Option<&'a Listed> {
    let folder = program.parent()?;
    let own = listed.iter().find(|it| is_same(Path::new(&it.folder), folder))?;
    (is_first || own.version != version).then_some(own)
}

/// Only Windows has such a list that an installer fills.
#[cfg(not(windows))]
fn listed(_app: &str) -> Vec<Listed> {
    Vec::new()
}

#[cfg(not(windows))]
fn renew_listed(
    _app: &str,
    _listed: &Listed,
    _version: &str,
    _kilobytes: impl FnOnce() -> u32,
) -> Result<(), DesktopError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_entry_of_this_launcher_with_another_version_is_renewed() {
        let entry = |is_for_all, folder: &str| Listed {
            is_for_all,
            version: "1.0.0".to_owned(),
            folder: folder.to_owned(),
        };
        let listed = [entry(false, "D:/Programs/Sample"), entry(true, "C:/Program Files/Sample/")];
        let of = |program: &str, version: &str, is_first| {
            let own = outdated(&listed, Path::new(program), version, is_first)?;
            Some(own.is_for_all)
        };
        assert_eq!(of("D:/programs/sample/Sample.exe", "1.1.0", false), Some(false));
        assert_eq!(of("C:/Program Files/Sample/Sample.exe", "0.9.0", false), Some(true));
        assert_eq!(of("D:/Programs/Sample/Sample.exe", "1.0.0", false), None, "nothing is new");
        assert_eq!(of("D:/Programs/Sample/Sample.exe", "1.0.0", true), Some(false), "but its size");
        for other in ["E:/copy/Sample.exe", "D:/Programs/Sample/sub/Sample.exe", "Sample.exe", ""] {
            assert_eq!(of(other, "1.1.0", true), None, "{other:?}");
        }
    }
    #[test]
    #[cfg(unix)]
    fn a_setup_may_know_the_folder_by_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (place, link) = (folder.path().join("place"), folder.path().join("link"));
        std::fs::create_dir(&place).unwrap();
        std::os::unix::fs::symlink(&place, &link).unwrap();
        let folder = link.to_str().unwrap().to_owned();
        let listed = [Listed { is_for_all: false, version: "1.0.0".to_owned(), folder }];
        assert!(outdated(&listed, &place.join("Sample.exe"), "1.1.0", false).is_some());
    }

    #[test]
    #[cfg(windows)]
    fn nothing_is_measured_for_an_entry_that_cannot_be_written() {
        let listed = Listed {
            is_for_all: false,
            version: "1.0.0".to_owned(),
            folder: "C:\\none".to_owned(),
        };
        let measured = || -> u32 { panic!("nobody may write it") };
        assert!(renew_listed("kuzflow-test-without-an-entry", &listed, "1.1.0", measured).is_err());
    }
}
