//! Platforms (`Linux_x86_64`, `Windows_AMD64`, `Darwin_arm64`: the values of Python's
//! `platform.system()` and `machine()`) and the container id `{app}_{version}_{platform}`.

use std::fmt;
use std::str::FromStr;

use super::text::serde_as_text;
use super::version::Version;

/// An operating system and an architecture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// Operating system: `Linux`, `Windows` or `Darwin`.
    pub os: String,
    /// Architecture as the operating system spells it: `x86_64`, `AMD64`, `arm64`, `aarch64`.
    pub architecture: String,
}

/// Text that does not have the form `Linux_x86_64`.
#[derive(Debug, thiserror::Error)]
#[error("not a platform: {0:?}, expected for example Linux_x86_64, Windows_AMD64 or Darwin_arm64")]
pub struct InvalidPlatform(String);

impl Platform {
    /// The platform that this program was built for.
    pub fn current() -> Self {
        let (os, architecture) = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("windows", "x86_64") => ("Windows", "AMD64"),
            ("windows", "aarch64") => ("Windows", "ARM64"),
            ("windows", other) => ("Windows", other),
            ("macos", "aarch64") => ("Darwin", "arm64"),
            ("macos", other) => ("Darwin", other),
            ("linux", other) => ("Linux", other),
            (os, other) => (os, other),
        };
        Self { os: os.to_owned(), architecture: architecture.to_owned() }
    }

    /// Whether containers for this platform are started by `launch.bat` and hold `python.exe`.
    pub fn is_windows(&self) -> bool {
        self.os == "Windows"
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        match text.split_once('_') {
            Some((os, architecture)) if plain(os) && plain(architecture) && text.len() <= 64 => {
                Ok(Self { os: os.to_owned(), architecture: architecture.to_owned() })
            }
            _ => Err(InvalidPlatform(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.os, self.architecture)
    }
}

/// The name of an app in ids and file names: ASCII letters, digits, `-` and `.`, beginning with a
/// letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppName(String);

/// Text that cannot be an app's name.
#[derive(Debug, thiserror::Error)]
#[error(
    "not an app name: {0:?}, allowed are up to 64 ASCII letters, digits, '-' and '.', beginning with a letter or digit"
)]
pub struct InvalidAppName(String);

impl AppName {
    /// A placeholder name for a folder without an app's name, when folders are compared.
    pub fn nameless() -> Self {
        Self("nameless".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = InvalidAppName;

    fn from_str(text: &str) -> Result<Self, InvalidAppName> {
        let good = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && !text.ends_with('.');
        if good {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAppName(text.chars().take(80).collect()))
        }
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a container, `{app}_{version}_{platform}`; also the name of its folder and the stem of
/// its package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId {
    pub app: AppName,
    /// Version of the release.
    pub version: Version,
    /// Platform of the release.
    pub platform: Platform,
}

/// Text that does not have the form `{app}_{version}_{platform}`.
#[derive(Debug, thiserror::Error)]
#[error(
    "not a container id: {0:?}, expected {{app}}_{{version}}_{{platform}}, for example labelimg_1.8.6_Linux_x86_64"
)]
pub struct InvalidContainerId(String);

impl FromStr for ContainerId {
    type Err = InvalidContainerId;

    fn from_str(text: &str) -> Result<Self, InvalidContainerId> {
        let invalid = || InvalidContainerId(text.chars().take(120).collect());
        let mut parts = text.splitn(3, '_');
        let (Some(app), Some(version), Some(platform)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        let id = Self {
            app: app.parse().map_err(|_| invalid())?,
            version: version.parse().map_err(|_| invalid())?,
            platform: platform.parse().map_err(|_| invalid())?,
        };
        // Each id has one spelling: `app_1.8_…` must not name the folder of `app_1.8.0_…`.
        if id.to_string() == text { Ok(id) } else { Err(invalid()) }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.app, self.version, self.platform)
    }
}

serde_as_text!(Platform, AppName, ContainerId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        let id: ContainerId = "labelimg_1.8.6_Linux_x86_64".parse().unwrap();
        assert_eq!(
            (id.app.as_str(), id.version.to_string(), id.platform.architecture.as_str()),
            ("labelimg", "1.8.6".to_owned(), "x86_64")
        );
        assert_eq!(id.to_string(), "labelimg_1.8.6_Linux_x86_64");
        for bad in [
            "labelimg",
            "labelimg_1.8_Linux_x86_64",
            "a_1.0.0_Linux",
            "a_1.0.0_../x_y",
            ".._1.0.0_Linux_x86_64",
            "a/b_1.0.0_Linux_x86_64",
        ] {
            assert!(bad.parse::<ContainerId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_current_platform_can_be_read_back() {
        let current = Platform::current();
        assert_eq!(current.to_string().parse::<Platform>().unwrap(), current);
    }
}
