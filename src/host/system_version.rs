//! Which version of its system this computer runs.
//!
//! In: the registry of Windows; the system's own list of versions on macOS; the kernel's name and the
//! loaded GNU library on Linux. Out: versions, each absent where the system does not give it. Never:
//! starts a program, takes longer than a few milliseconds, returns an error.

use crate::model::system::SystemVersions;

/// The versions of this system.
pub(crate) fn system_versions() -> SystemVersions {
    system::versions()
}

#[cfg(all(unix, not(target_os = "macos")))]
mod system {
    use std::path::Path;

    use crate::model::system::{SystemVersion, SystemVersions};

    /// Largest library that is looked through, bytes.
    const LARGEST_LIBRARY: u64 = 32 << 20;
    /// Largest list of loaded files that is read, bytes.
    const LARGEST_LIST: u64 = 4 << 20;

    pub(super) fn versions() -> SystemVersions {
        let release = read(Path::new("/proc/sys/kernel/osrelease"), LARGEST_LIST);
        let kernel =
            release.and_then(|text| SystemVersion::leading(&String::from_utf8_lossy(&text)));
        SystemVersions { kernel, glibc: glibc(), ..SystemVersions::default() }
    }

    /// The version of the GNU library that this program has loaded.
    fn glibc() -> Option<SystemVersion> {
        let loaded = read(Path::new("/proc/self/maps"), LARGEST_LIST)?;
        let path = super::gnu_library(&String::from_utf8_lossy(&loaded))?;
        super::version_of_gnu_library(&read(Path::new(&path), LARGEST_LIBRARY)?)
    }

    /// At most so many bytes of a file; `None` if it cannot be read.
    fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        std::fs::File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

#[cfg(windows)]
mod system {
    use crate::model::system::SystemVersions;

    /// From the registry, since Windows tells programs older versions than its own.
    pub(super) fn versions() -> SystemVersions {
        const PLACE: &str = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
        let Ok(current) = windows_registry::LOCAL_MACHINE.open(PLACE) else {
            return SystemVersions::default();
        };
        let build = current.get_string("CurrentBuildNumber").ok();
        let major = current.get_u32("CurrentMajorVersionNumber");
        let numbers = match (major, current.get_u32("CurrentMinorVersionNumber")) {
            (Ok(major), Ok(minor)) => Some(format!("{major}.{minor}")),
            // Before Windows 10.
            _ => current.get_string("CurrentVersion").ok(),
        };
        let windows = numbers
            .zip(build)
            .and_then(|(numbers, build)| format!("{numbers}.{}", build.trim()).parse().ok());
        SystemVersions { windows, ..SystemVersions::default() }
    }
}

#[cfg(target_os = "macos")]
mod system {
    use crate::model::system::SystemVersions;

    pub(super) fn versions() -> SystemVersions {
        let list = std::fs::read_to_string("/System/Library/CoreServices/SystemVersion.plist");
        let macos = list.ok().and_then(|list| super::version_in_list(&list));
        SystemVersions { macos, ..SystemVersions::default() }
    }
}

/// The path of the GNU library in a list of loaded files, as `/proc/self/maps` has it.
#[cfg(any(test, all(unix, not(target_os = "macos"))))]
fn gnu_library(loaded: &str) -> Option<String> {
    let paths = loaded.lines().filter_map(|line| line.find('/').map(|at| line[at..].trim_end()));
    let is_library = |path: &&str| {
        let name = path.rsplit('/').next().unwrap_or_default();
        name == "libc.so.6" || name.starts_with("libc-2.") && name.ends_with(".so")
    };
    paths.into_iter().find(is_library).map(str::to_owned)
}

/// The version that the GNU library itself prints when it is started as a program.
#[cfg(any(test, all(unix, not(target_os = "macos"))))]
fn version_of_gnu_library(library: &[u8]) -> Option<crate::model::system::SystemVersion> {
    const BEFORE: &[u8] = b"GNU C Library ";
    const VERSION: &str = "release version ";
    let at = library.windows(BEFORE.len()).position(|bytes| bytes == BEFORE)?;
    let banner = library.get(at..library.len().min(at + 200))?;
    let text = String::from_utf8_lossy(banner);
    crate::model::system::SystemVersion::leading(text.split(VERSION).nth(1)?)
}

/// The product's version in the system's own list on macOS.
#[cfg(any(test, target_os = "macos"))]
fn version_in_list(list: &str) -> Option<crate::model::system::SystemVersion> {
    let after = list.split("<key>ProductVersion</key>").nth(1)?;
    let text = after.split("<string>").nth(1)?.split("</string>").next()?;
    crate::model::system::SystemVersion::leading(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_system_says_its_version() {
        let found = system_versions();
        if cfg!(target_os = "linux") {
            assert!(found.kernel.is_some() && found.windows.is_none());
        }
        if cfg!(all(target_os = "linux", target_env = "gnu")) {
            let glibc = found.glibc.expect("the GNU library is loaded").to_string();
            assert!(glibc.starts_with("2."), "{glibc}");
        }
        if cfg!(windows) {
            assert!(found.windows.is_some());
        }
    }

    #[test]
    fn the_library_is_found_among_the_loaded_files() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 5  /usr/lib/libcap.so.2\n7f02-7f03 r--p 00000000 08:01 6  /usr/lib/x86_64-linux-gnu/libc.so.6\n";
        assert_eq!(gnu_library(maps).as_deref(), Some("/usr/lib/x86_64-linux-gnu/libc.so.6"));
        assert_eq!(
            gnu_library("1-2 r /lib64/libc-2.17.so\n").as_deref(),
            Some("/lib64/libc-2.17.so")
        );
        assert_eq!(gnu_library("1-2 rw-p 0 00:00 0 [heap]\n"), None);
        let banner = b"\0GNU C Library (Debian GLIBC 2.36-9+deb12u4) stable release version 2.36.\nCopyright";
        assert_eq!(version_of_gnu_library(banner).unwrap().to_string(), "2.36");
        assert_eq!(version_of_gnu_library(b"musl libc"), None);
    }

    #[test]
    fn the_version_of_macos_is_read_from_its_list() {
        let list = "<dict><key>ProductName</key><string>macOS</string>\n<key>ProductVersion</key>\n<string>14.5</string></dict>";
        assert_eq!(version_in_list(list).unwrap().to_string(), "14.5");
        assert_eq!(version_in_list("<dict/>"), None);
    }
}
