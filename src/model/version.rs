//! Versions and their order: semantic versions, read leniently (`v1.8` is `1.8.0`), since PyQt apps seldom keep to three numbers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A semantic version; pre-releases come before their release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

/// Text that no semantic version can be made of.
#[derive(Debug, thiserror::Error)]
#[error("not a version: {text:?}, expected for example 1.8.6 or 2.0.0-beta.1")]
pub struct InvalidVersion {
    text: String,
    source: semver::Error,
}

impl Version {
    /// Three numbers without a pre-release.
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// Whether this is a pre-release such as `2.0.0-beta.1`.
    pub fn is_pre_release(&self) -> bool {
        !self.0.pre.is_empty()
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let trimmed = text.trim();
        let trimmed = trimmed.strip_prefix(['v', 'V']).unwrap_or(trimmed);
        let numbers = trimmed.find(['-', '+']).unwrap_or(trimmed.len());
        let missing = 2usize.saturating_sub(trimmed[..numbers].matches('.').count());
        let padded = format!("{}{}{}", &trimmed[..numbers], ".0".repeat(missing), &trimmed[numbers..]);
        semver::Version::parse(&padded)
            .map(Self)
            .map_err(|source| InvalidVersion { text: text.chars().take(80).collect(), source })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_semantic() {
        let sorted = ["1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0", "1.2", "v1.10", "2"];
        assert!(sorted.windows(2).all(|pair| version(pair[0]) < version(pair[1])));
        assert_eq!(version("1.8"), Version::new(1, 8, 0));
        assert_eq!(version("v1.8-rc.1").to_string(), "1.8.0-rc.1");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "latest", "1.2.3.4", "1..2", "../1.0.0", "1.0.0/2", "-1"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }
}
