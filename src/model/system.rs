//! What a release needs of the system, and which system there is: versions of Windows, macOS, the GNU
//! library and the Linux kernel.
//!
//! In: text. Out: whether the one meets the other. Never: asks the system; takes a system that is not
//! known for one that is too old.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::serde_as_text;

/// Most numbers in the version of a system.
const MOST_NUMBERS: usize = 4;

/// The version of a system: up to four numbers, as `10.0.17763`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemVersion {
    /// The numbers; those that were not written are 0.
    numbers: [u64; MOST_NUMBERS],
    /// How many were written.
    written: usize,
}

/// Text that is no [`SystemVersion`].
#[derive(Debug, thiserror::Error)]
#[error("not the version of a system: {0:?}, expected for example 10.0.17763 or 2.28")]
pub struct InvalidSystemVersion(String);

impl SystemVersion {
    /// The numbers that a text begins with: `5.10.0-26-amd64` is `5.10.0`.
    pub fn leading(text: &str) -> Option<Self> {
        let end = text.find(|sign: char| !sign.is_ascii_digit() && sign != '.');
        let numbers = text[..end.unwrap_or(text.len())].trim_end_matches('.');
        let parts: Vec<&str> = numbers.split('.').take(MOST_NUMBERS).collect();
        parts.join(".").parse().ok()
    }

    fn is_before(self, other: Self) -> bool {
        self.numbers < other.numbers
    }
}

impl FromStr for SystemVersion {
    type Err = InvalidSystemVersion;

    fn from_str(text: &str) -> Result<Self, InvalidSystemVersion> {
        let invalid = || InvalidSystemVersion(text.chars().take(80).collect());
        let parts: Vec<&str> = text.trim().split('.').collect();
        if parts.len() > MOST_NUMBERS {
            return Err(invalid());
        }
        let mut numbers = [0; MOST_NUMBERS];
        for (number, part) in numbers.iter_mut().zip(&parts) {
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            *number = part.parse().ok().filter(|_| is_number).ok_or_else(invalid)?;
        }
        Ok(Self { numbers, written: parts.len() })
    }
}

impl fmt::Display for SystemVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, number) in self.numbers.iter().take(self.written).enumerate() {
            let between = if place == 0 { "" } else { "." };
            write!(f, "{between}{number}")?;
        }
        Ok(())
    }
}

serde_as_text!(SystemVersion);

/// Versions of systems: those that a release needs at least, or those that a computer has. A release
/// with a need that this launcher does not know is left out, as everything that it does not
/// understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemVersions {
    /// Windows, with its build: `10.0.17763`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<SystemVersion>,
    /// macOS: `11.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macos: Option<SystemVersion>,
    /// The GNU library: `2.28`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glibc: Option<SystemVersion>,
    /// The kernel of Linux: `4.18`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<SystemVersion>,
}

/// A system is older than a release needs: both, as people name them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemTooOld {
    /// What the release needs: `glibc 2.28`.
    pub needed: String,
    /// What there is: `glibc 2.17`.
    pub found: String,
}

impl SystemVersions {
    /// Whether nothing is needed.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The needs that mean a platform: a release for Windows needs no GNU library.
    #[cfg(feature = "publisher")]
    pub fn of(&self, platform: &super::platform::Platform) -> Self {
        let on = |os: &str, need: Option<SystemVersion>| need.filter(|_| platform.os == os);
        Self {
            windows: on("Windows", self.windows),
            macos: on("Darwin", self.macos),
            glibc: on("Linux", self.glibc),
            kernel: on("Linux", self.kernel),
        }
    }

    /// Whether a system that meets just `other` does not meet these.
    #[cfg(feature = "publisher")]
    pub fn need_more_than(&self, other: &Self) -> bool {
        let pairs = [
            (self.windows, other.windows),
            (self.macos, other.macos),
            (self.glibc, other.glibc),
            (self.kernel, other.kernel),
        ];
        pairs.into_iter().any(|(own, other)| {
            own.is_some_and(|own| other.is_none_or(|other| other.is_before(own)))
        })
    }

    /// The first of these needs that `found` does not meet. A version that is not known meets each.
    pub fn unmet_by(&self, found: &Self) -> Option<SystemTooOld> {
        let sides = [
            ("Windows", self.windows, found.windows),
            ("macOS", self.macos, found.macos),
            ("glibc", self.glibc, found.glibc),
            ("Linux", self.kernel, found.kernel),
        ];
        sides.into_iter().find_map(|(name, needed, found)| {
            let (needed, found) = (needed?, found?);
            found.is_before(needed).then(|| SystemTooOld {
                needed: format!("{name} {needed}"),
                found: format!("{name} {found}"),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn systems(text: &str) -> SystemVersions {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_missing_ones_are_zero() {
        let before =
            |a: &str, b: &str| a.parse::<SystemVersion>().unwrap().is_before(b.parse().unwrap());
        assert!(before("2.9", "2.28") && before("10.0.17763", "10.0.19041"));
        assert!(!before("11", "11.0") && !before("11.0", "11"));
        assert!(before("10.15.7", "11"));
        assert_eq!("10.0.17763".parse::<SystemVersion>().unwrap().to_string(), "10.0.17763");
        for bad in ["", "2.", "2.x", "1.2.3.4.5", "-1", "+1"] {
            assert!(bad.parse::<SystemVersion>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_systems_call_themselves_is_read_up_to_the_first_sign() {
        let leading = |text: &str| SystemVersion::leading(text).map(|found| found.to_string());
        assert_eq!(leading("5.10.0-26-amd64").as_deref(), Some("5.10.0"));
        assert_eq!(leading("6.1.0.1.2").as_deref(), Some("6.1.0.1"));
        assert_eq!(leading("2.36.").as_deref(), Some("2.36"));
        assert_eq!(leading("unknown"), None);
    }

    #[test]
    fn only_a_known_and_older_system_is_too_old() {
        let needs = systems(r#"{"glibc": "2.28", "kernel": "4.18", "windows": "10.0.17763"}"#);
        assert_eq!(needs.unmet_by(&systems("{}")), None, "nothing is known");
        assert_eq!(needs.unmet_by(&systems(r#"{"glibc": "2.28", "kernel": "4.18.1"}"#)), None);
        let found = needs.unmet_by(&systems(r#"{"glibc": "2.17", "kernel": "6.1"}"#)).unwrap();
        assert_eq!((found.needed.as_str(), found.found.as_str()), ("glibc 2.28", "glibc 2.17"));
        let found = needs.unmet_by(&systems(r#"{"glibc": "2.36", "kernel": "4.4"}"#)).unwrap();
        assert_eq!((found.needed.as_str(), found.found.as_str()), ("Linux 4.18", "Linux 4.4"));
        assert!(serde_json::from_str::<SystemVersions>(r#"{"android": "14"}"#).is_err());
    }

    #[test]
    fn more_is_needed_where_any_system_must_be_newer() {
        let (old, new) = (systems(r#"{"glibc": "2.17"}"#), systems(r#"{"glibc": "2.28"}"#));
        assert!(new.need_more_than(&old) && !old.need_more_than(&new));
        assert!(old.need_more_than(&SystemVersions::default()));
        assert!(!SystemVersions::default().need_more_than(&old) && !old.need_more_than(&old));
    }

    #[test]
    fn a_release_has_the_needs_of_its_own_system() {
        let needs = systems(r#"{"glibc": "2.28", "windows": "10.0", "macos": "11"}"#);
        let of = |platform: &str| needs.of(&platform.parse().unwrap());
        assert_eq!(of("Linux_x86_64"), systems(r#"{"glibc": "2.28"}"#));
        assert_eq!(of("Windows_AMD64"), systems(r#"{"windows": "10.0"}"#));
        assert_eq!(of("Darwin_arm64"), systems(r#"{"macos": "11"}"#));
    }
}
