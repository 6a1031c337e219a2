//! The id of a pack in URLs and of its patch job on disk: `{from}_{to}_{platform}`, for example
//! `1.0.0_1.1.0_Linux_x86_64`.

use std::fmt;
use std::str::FromStr;

use crate::model::text::serde_as_text;
use crate::model::{Platform, Version};

/// Longest id, bytes.
const MAX_ID_BYTES: usize = 160;

/// A pair of versions for one platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PatchId {
    pub(super) from: Version,
    pub(super) to: Version,
    pub(super) platform: Platform,
}

/// Text that is no id.
#[derive(Debug, thiserror::Error)]
#[error("not a patch id: expected for example 1.0.0_1.1.0_Linux_x86_64")]
pub(super) struct InvalidPatchId;

impl FromStr for PatchId {
    type Err = InvalidPatchId;

    /// Accepts only the one spelling that [`fmt::Display`] gives: an id is also a file's name.
    fn from_str(text: &str) -> Result<Self, InvalidPatchId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte);
        if text.len() > MAX_ID_BYTES || !text.bytes().all(plain) {
            return Err(InvalidPatchId);
        }
        let mut parts = text.splitn(3, '_');
        let mut next = || parts.next().ok_or(InvalidPatchId);
        let (from, to, platform) = (next()?.parse(), next()?.parse(), next()?.parse());
        let (Ok(from), Ok(to), Ok(platform)) = (from, to, platform) else {
            return Err(InvalidPatchId);
        };
        let id = Self { from, to, platform };
        if id.to_string() == text && id.from != id.to { Ok(id) } else { Err(InvalidPatchId) }
    }
}

impl fmt::Display for PatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.from, self.to, self.platform)
    }
}

serde_as_text!(PatchId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_and_no_path() {
        for good in [
            "1.0.0_1.1.0_Linux_x86_64",
            "2.0.0_1.0.0_Windows_AMD64",
            "1.0.0-rc.1+b_1.0.0_Darwin_arm64",
        ] {
            assert_eq!(good.parse::<PatchId>().unwrap().to_string(), good);
        }
        let long = format!("1.0.0-{}_1.0.0_Linux_x86_64", "a".repeat(200));
        for bad in [
            "",
            "_",
            "__",
            "..",
            "1.0.0_1.1.0",
            "1.0.0_1.1.0_Linux",
            "1.0.0_1.0.0_Linux_x86_64",
            "v1.0.0_1.1.0_Linux_x86_64",
            "1.0_1.1.0_Linux_x86_64",
            "1.0.0_1.1.0_Linux_x86_64/",
            "../1.0.0_1.1.0_Linux_x86_64",
            "1.0.0_1.1.0_..\\Linux_x86_64",
            "1.0.0_1.1.0_Linux_x86_64\0",
            "1.0.0_1.1.0_Linux_x86_64.json ",
            "1.0.0_１.1.0_Linux_x86_64",
            long.as_str(),
        ] {
            assert!(bad.parse::<PatchId>().is_err(), "{bad}");
        }
    }
}
