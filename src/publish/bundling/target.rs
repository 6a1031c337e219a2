//! Another system as pip and uv must be given it: the wheels that run there, and the values that
//! environment markers have there.
//!
//! In: a platform and the version of the container's Python. Out: options, values of markers, and
//! what installed wheels demand of the system. Never: runs a program; a value of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::model::Platform;

/// The C library that every Linux in support has (2.28 is of 2018): wheels for it, and for older
/// ones, come before those that demand a newer one.
const COMMON_GLIBC: u32 = 28;
/// The newest C library for which a wheel is taken if there is no other.
const NEWEST_GLIBC: u32 = 39;
/// The macOS that every Mac with Apple's processors has. Wheels for it, and for older ones, come
/// first.
const COMMON_MACOS: u32 = 11;
/// The newest macOS for which a wheel is taken if there is no other.
const NEWEST_MACOS: u32 = 15;

/// The Python of a container for another system than this one, or with another Python.
pub(super) struct InstallTarget<'a> {
    pub(super) platform: &'a Platform,
    /// The short version, such as `3.12`.
    pub(super) name: &'a str,
    /// The full version, such as `3.12.8`.
    pub(super) version: &'a str,
}

impl InstallTarget<'_> {
    /// The short version, without the letters of an unusual build.
    pub(super) fn short_version(&self) -> &str {
        self.name.trim_end_matches(|c: char| c.is_ascii_alphabetic())
    }

    /// Options with which pip takes wheels that run there, the best first.
    pub(super) fn pip_options(&self) -> Vec<String> {
        let version = self.short_version();
        let mut options = vec![
            "--only-binary=:all:".to_owned(),
            format!("--python-version={version}"),
            "--implementation=cp".to_owned(),
            format!("--abi=cp{}", self.name.replace('.', "")),
        ];
        options.extend(pip_platforms(self.platform).iter().map(|tag| format!("--platform={tag}")));
        options
    }

    /// The same for uv; `None` if it knows no such system.
    pub(super) fn uv_options(&self) -> Option<Vec<String>> {
        Some(vec![
            "--only-binary=:all:".to_owned(),
            format!("--python-version={}", self.full_version()),
            format!("--python-platform={}", uv_platform(self.platform)?),
        ])
    }

    /// The values of environment markers there. pip has no option for them, and would take this
    /// machine's.
    pub(super) fn markers(&self) -> BTreeMap<&'static str, String> {
        // The releases of the oldest systems in support: a marker may compare them.
        let (os_name, sys_platform, release) = match self.platform.os.as_str() {
            "Windows" => ("nt", "win32", "10"),
            "Darwin" => ("posix", "darwin", "20.0.0"),
            _ => ("posix", "linux", ""),
        };
        BTreeMap::from([
            ("implementation_name", "cpython".to_owned()),
            ("implementation_version", self.full_version()),
            ("os_name", os_name.to_owned()),
            ("platform_machine", self.platform.architecture.clone()),
            ("platform_python_implementation", "CPython".to_owned()),
            ("platform_release", release.to_owned()),
            ("platform_system", self.platform.os.clone()),
            ("platform_version", String::new()),
            ("python_full_version", self.full_version()),
            ("python_version", self.short_version().to_owned()),
            ("sys_platform", sys_platform.to_owned()),
        ])
    }

    /// The markers as JSON, for the program that runs pip.
    pub(super) fn markers_json(&self) -> Value {
        json!(self.markers())
    }

    /// A marker that is false there, as an example.
    pub(super) fn excluding_marker(&self) -> String {
        let markers = self.markers();
        format!("sys_platform != \"{}\"", markers.get("sys_platform").map_or("", String::as_str))
    }

    /// Markers compare three numbers; an interpreter whose file does not show them counts as the
    /// first of its minor version.
    fn full_version(&self) -> String {
        match self.version.matches('.').count() {
            0 | 1 => format!("{}.0", self.short_version()),
            _ => self.version.to_owned(),
        }
    }
}

/// The platform tags of wheels that run there, the best first. pip takes macOS tags for older
/// systems, too; it compares all others literally.
fn pip_platforms(platform: &Platform) -> Vec<String> {
    let architecture = platform.architecture.as_str();
    match platform.os.as_str() {
        "Windows" => vec![match architecture {
            "AMD64" => "win_amd64".to_owned(),
            "ARM64" => "win_arm64".to_owned(),
            _ => "win32".to_owned(),
        }],
        "Darwin" => {
            let own = |major: u32| format!("macosx_{major}_0_{architecture}");
            let universal = |major: u32| format!("macosx_{major}_0_universal2");
            (COMMON_MACOS..=NEWEST_MACOS).flat_map(|major| [own(major), universal(major)]).collect()
        }
        _ => {
            let tag = |name: &str| format!("{name}_{architecture}");
            let for_glibc = |minor: u32| tag(&format!("manylinux_2_{minor}"));
            // Older names of the same tags stand behind the new ones.
            let older_name = |minor: u32| match minor {
                17 => Some(tag("manylinux2014")),
                12 => Some(tag("manylinux2010")),
                5 => Some(tag("manylinux1")),
                _ => None,
            };
            (5..=COMMON_GLIBC)
                .rev()
                .flat_map(|minor| [Some(for_glibc(minor)), older_name(minor)])
                .flatten()
                .chain((COMMON_GLIBC + 1..=NEWEST_GLIBC).map(for_glibc))
                .chain([tag("linux")])
                .collect()
        }
    }
}

fn uv_platform(platform: &Platform) -> Option<&'static str> {
    Some(match (platform.os.as_str(), platform.architecture.as_str()) {
        ("Windows", "AMD64") => "x86_64-pc-windows-msvc",
        ("Windows", "ARM64") => "aarch64-pc-windows-msvc",
        ("Windows", "x86") => "i686-pc-windows-msvc",
        ("Darwin", "arm64") => "aarch64-apple-darwin",
        ("Darwin", "x86_64") => "x86_64-apple-darwin",
        ("Linux", "x86_64") => "x86_64-manylinux_2_28",
        ("Linux", "aarch64") => "aarch64-manylinux_2_28",
        _ => return None,
    })
}

/// The name of the platform as its systems spell it, if `platform` is spelled otherwise: no
/// computer would ever look for a release for it.
pub(super) fn misspelled(platform: &Platform) -> Option<String> {
    let os = match platform.os.to_lowercase().as_str() {
        "linux" => "Linux",
        "windows" | "win" | "win32" | "win64" => "Windows",
        "darwin" | "macos" | "mac" | "osx" => "Darwin",
        _ => return Some("it begins with Linux, Windows or Darwin".to_owned()),
    };
    let processor = platform.architecture.to_lowercase();
    let architecture = match (os, processor.as_str()) {
        ("Windows", "amd64" | "x86_64" | "x64") => "AMD64",
        ("Windows", "arm64" | "aarch64") => "ARM64",
        ("Darwin", "arm64" | "aarch64") => "arm64",
        ("Linux", "arm64" | "aarch64") => "aarch64",
        (_, "amd64" | "x86_64" | "x64") => "x86_64",
        _ => platform.architecture.as_str(),
    };
    let right = format!("{os}_{architecture}");
    (right != platform.to_string()).then(|| format!("it is {right}"))
}

/// What installed wheels demand beyond what every system in support has, one line for each.
pub(super) fn demands(site: &Path) -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(site)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let name = name.strip_suffix(".dist-info")?.split('-').next()?.to_owned();
            let wheel = fs::read_to_string(entry.path().join("WHEEL")).ok()?;
            Some(format!("{name} needs {}", demand(&wheel)?))
        })
        .collect();
    found.sort_unstable();
    found
}

/// What a wheel demands, by its tags: the least of them counts.
fn demand(wheel: &str) -> Option<String> {
    let tags = wheel.lines().filter_map(|line| line.strip_prefix("Tag:"));
    let platforms: Vec<&str> = tags.filter_map(|tag| tag.trim().splitn(3, '-').nth(2)).collect();
    let least = |prefix: &str, part: usize| {
        let numbers = platforms.iter().map(|tag| {
            let number = tag.strip_prefix(prefix)?.split('_').nth(part)?;
            number.parse::<u32>().ok()
        });
        // A tag of another kind demands nothing that is known here.
        numbers.collect::<Option<Vec<u32>>>()?.into_iter().min()
    };
    let macos = least("macosx_", 0).filter(|major| *major > COMMON_MACOS);
    let glibc = least("manylinux_", 1).filter(|minor| *minor > COMMON_GLIBC);
    macos
        .map(|major| format!("macOS {major} or later"))
        .or(glibc.map(|minor| format!("the GNU C library 2.{minor} or later")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(name: &str) -> Platform {
        name.parse().unwrap()
    }

    #[test]
    fn wheels_for_many_systems_come_before_those_for_few() {
        let place = |tags: &[String], tag: &str| {
            tags.iter().position(|there| there == tag).unwrap_or_else(|| panic!("{tag}: {tags:?}"))
        };
        let linux = pip_platforms(&platform("Linux_aarch64"));
        let order = [
            "manylinux_2_28_aarch64",
            "manylinux_2_17_aarch64",
            "manylinux2014_aarch64",
            "manylinux_2_5_aarch64",
            "manylinux_2_31_aarch64",
            "linux_aarch64",
        ];
        assert!(order.is_sorted_by_key(|tag| place(&linux, tag)), "{linux:?}");
        let mac = pip_platforms(&platform("Darwin_arm64"));
        let order = ["macosx_11_0_arm64", "macosx_11_0_universal2", "macosx_14_0_arm64"];
        assert!(order.is_sorted_by_key(|tag| place(&mac, tag)), "{mac:?}");
        assert_eq!(pip_platforms(&platform("Windows_AMD64")), ["win_amd64"]);
    }

    #[test]
    fn markers_are_those_of_the_other_system() {
        let windows = platform("Windows_AMD64");
        let target = InstallTarget { platform: &windows, name: "3.12", version: "3.12.8" };
        let markers = target.markers();
        for (name, value) in [
            ("os_name", "nt"),
            ("sys_platform", "win32"),
            ("platform_system", "Windows"),
            ("platform_machine", "AMD64"),
            ("python_version", "3.12"),
            ("python_full_version", "3.12.8"),
        ] {
            assert_eq!(markers[name], value, "{name}");
        }
        assert_eq!(target.excluding_marker(), "sys_platform != \"win32\"");
        assert!(target.pip_options().contains(&"--abi=cp312".to_owned()));
        let unknown = InstallTarget { version: "3.12", ..target };
        assert_eq!(unknown.markers()["python_full_version"], "3.12.0");
    }

    #[test]
    fn platforms_are_spelled_as_their_systems_spell_them() {
        for (given, right) in [
            ("Windows_x86_64", Some("it is Windows_AMD64")),
            ("macos_arm64", Some("it is Darwin_arm64")),
            ("Linux_arm64", Some("it is Linux_aarch64")),
            ("linux_x86_64", Some("it is Linux_x86_64")),
            ("Plan9_x", Some("it begins with Linux, Windows or Darwin")),
            ("Windows_AMD64", None),
            ("Darwin_x86_64", None),
            ("Linux_riscv64", None),
        ] {
            assert_eq!(misspelled(&platform(given)).as_deref(), right, "{given}");
        }
    }

    #[test]
    fn what_a_wheel_demands() {
        let demand = |tags: &[&str]| {
            let lines: String = tags.iter().map(|tag| format!("Tag: {tag}\n")).collect();
            demand(&format!("Wheel-Version: 1.0\n{lines}"))
        };
        assert_eq!(demand(&["cp312-cp312-macosx_14_0_arm64"]).unwrap(), "macOS 14 or later");
        assert_eq!(demand(&["cp312-abi3-macosx_10_9_universal2"]), None);
        assert!(demand(&["cp312-cp312-manylinux_2_35_x86_64"]).unwrap().contains("2.35"));
        let both = ["cp312-cp312-manylinux_2_17_x86_64", "cp312-cp312-manylinux2014_x86_64"];
        assert_eq!(demand(&both), None);
        assert_eq!(demand(&["py3-none-any"]), None);
    }
}
