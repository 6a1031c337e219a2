//! A range of versions, as `>=2.0, <3`: each part must hold. Plain comparisons only, by the order of
//! versions: a pre-release of 2.1.0 lies between 2.0 and 3 as everybody expects.
//!
//! In: text. Out: whether a version is inside. Never: a meaning that the text does not show.

use std::fmt;
use std::str::FromStr;

use super::text::serde_as_text;
use super::version::{InvalidVersion, Version};

/// Most comparisons in a range.
const MOST_PARTS: usize = 8;

/// Comparisons that must all hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange(Vec<(Comparison, Version)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
    Exactly,
}

impl Comparison {
    /// All, with the longer signs before those that they begin with.
    const ALL: [(Self, &'static str); 5] = [
        (Self::AtLeast, ">="),
        (Self::AtMost, "<="),
        (Self::Above, ">"),
        (Self::Below, "<"),
        (Self::Exactly, "="),
    ];

    fn holds(self, version: &Version, bound: &Version) -> bool {
        match self {
            Self::AtLeast => version >= bound,
            Self::Above => version > bound,
            Self::AtMost => version <= bound,
            Self::Below => version < bound,
            Self::Exactly => version == bound,
        }
    }

    fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("=", |(_, sign)| *sign)
    }
}

/// Text that is no range.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRange {
    #[error("not a range of versions: {0:?}, expected for example \">=2.0, <3\"")]
    Sign(String),
    #[error(transparent)]
    Version(#[from] InvalidVersion),
    #[error("a range of versions has at most {MOST_PARTS} parts")]
    Long,
}

impl VersionRange {
    /// Whether a version is inside.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().all(|(comparison, bound)| comparison.holds(version, bound))
    }
}

impl FromStr for VersionRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let mut parts = Vec::new();
        for part in text.split(',').map(str::trim) {
            let found = Comparison::ALL
                .iter()
                .find_map(|(one, sign)| part.strip_prefix(sign).map(|rest| (*one, rest)));
            let (comparison, bound) =
                found.ok_or_else(|| InvalidRange::Sign(text.chars().take(80).collect()))?;
            parts.push((comparison, bound.parse()?));
        }
        if parts.len() > MOST_PARTS { Err(InvalidRange::Long) } else { Ok(Self(parts)) }
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (comparison, bound)) in self.0.iter().enumerate() {
            let between = if place == 0 { "" } else { ", " };
            write!(f, "{between}{}{bound}", comparison.sign())?;
        }
        Ok(())
    }
}

serde_as_text!(VersionRange);

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, version: &str) -> bool {
        range.parse::<VersionRange>().unwrap().contains(&version.parse().unwrap())
    }

    #[test]
    fn all_parts_must_hold() {
        assert!(contains(">=2.0, <3", "2.0.0") && contains(">=2.0, <3", "2.9.9"));
        assert!(!contains(">=2.0, <3", "3.0.0") && !contains(">=2.0, <3", "1.9.9"));
        assert!(contains(">=2.0,<3", "2.1.0-beta.1"), "a pre-release lies in its place");
        assert!(contains("=1.2", "1.2.0") && !contains("=1.2", "1.2.1"));
        assert!(contains("<=1", "1.0.0") && !contains(">1", "1.0.0") && contains(">1", "1.0.1"));
    }

    #[test]
    fn a_range_is_written_as_it_is_read() {
        let range: VersionRange = " >= v2.0 ,<3".parse().unwrap();
        assert_eq!(range.to_string(), ">=2.0.0, <3.0.0");
        assert_eq!(range.to_string().parse::<VersionRange>().unwrap(), range);
    }

    #[test]
    fn other_text_is_refused() {
        for bad in ["", "2.0", ">=2.0,", ">=two", "~1.2", ">= 1 <2", &[">1"; 9].join(",")] {
            assert!(bad.parse::<VersionRange>().is_err(), "{bad}");
        }
    }
}
