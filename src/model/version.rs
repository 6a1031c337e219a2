//! Versions and their order: semantic versions, parsed leniently (`v1.8` is `1.8.0`), since PyQt
//! apps seldom have exactly three numbers.

use std::fmt;
use std::str::FromStr;

use super::text::serde_as_text;

/// A semantic version; pre-releases come before their release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

/// Text that is not a version.
#[derive(Debug, thiserror::Error)]
#[error("not a version: {text:?}, {advice}")]
pub struct InvalidVersion {
    text: String,
    /// How the version should be written.
    advice: String,
    source: semver::Error,
}

impl Version {
    /// Three numbers without a pre-release.
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// Major, minor and patch.
    #[cfg(feature = "publisher")]
    pub(crate) const fn numbers(&self) -> [u64; 3] {
        [self.0.major, self.0.minor, self.0.patch]
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
        let padded =
            format!("{}{}{}", &trimmed[..numbers], ".0".repeat(missing), &trimmed[numbers..]);
        semver::Version::parse(&padded).map(Self).map_err(|source| InvalidVersion {
            text: text.chars().take(80).collect(),
            advice: advice(trimmed),
            source,
        })
    }
}

/// The spelling to use here for versions of other tools: with a fourth number, or with Python's
/// pre-releases.
fn advice(text: &str) -> String {
    let numbers: Vec<&str> = text.split('.').collect();
    if numbers.len() > 3 && numbers.iter().all(|part| part.parse::<u64>().is_ok()) {
        return format!(
            "it has more than three numbers; write for example {}",
            numbers[..3].join(".")
        );
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (release, rest) = (text[..end].trim_end_matches('.'), &text[end..]);
    let kind: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
    let number = rest[kind.len()..].trim_start_matches('.');
    let name = match kind.to_ascii_lowercase().as_str() {
        "a" | "alpha" => "alpha",
        "b" | "beta" => "beta",
        "rc" | "c" | "pre" | "preview" => "rc",
        "dev" => "dev",
        _ => "",
    };
    if !name.is_empty() && !release.is_empty() && number.parse::<u64>().is_ok() {
        let missing = 2usize.saturating_sub(release.matches('.').count());
        return format!("write it as {release}{}-{name}.{number}", ".0".repeat(missing));
    }
    "expected for example 1.8.6 or 2.0.0-beta.1".to_owned()
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

serde_as_text!(Version);

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_semantic() {
        let sorted =
            ["1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0", "1.2", "v1.10", "2"];
        assert!(sorted.windows(2).all(|pair| version(pair[0]) < version(pair[1])));
        assert_eq!(version("1.8"), Version::new(1, 8, 0));
        assert_eq!(version("v1.8-rc.1").to_string(), "1.8.0-rc.1");
    }

    #[test]
    fn what_other_tools_take_for_a_version_is_rewritten_in_the_message() {
        for (text, reported) in [
            ("1.2.3.4", "write for example 1.2.3"),
            ("2.0rc1", "write it as 2.0.0-rc.1"),
            ("v2.0.0b3", "write it as 2.0.0-beta.3"),
            ("1.0.dev5", "write it as 1.0.0-dev.5"),
            ("8.O.2", "expected for example"),
        ] {
            let error = text.parse::<Version>().unwrap_err().to_string();
            assert!(error.contains(reported), "{error}");
            if let Some((_, proposed)) = reported.split_once("write it as ") {
                assert!(proposed.parse::<Version>().is_ok());
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "latest", "1.2.3.4", "1..2", "../1.0.0", "1.0.0/2", "-1"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }
}
