//! Where metadata comes from: one source per mirror.

use async_trait::async_trait;

use super::error::Cause;
use crate::hedge::Received;

/// A mirror of a repository, as far as small files are concerned.
#[async_trait]
pub trait MetadataSource: Send + Sync {
    /// What to call this mirror in messages: the node's id.
    fn name(&self) -> &str;

    /// The file at `location` (relative to the repository, for example `metadata/timestamp.json`),
    /// at most `limit` bytes.
    ///
    /// A source stops reading at `limit` and gives up on a mirror that drips; its bytes need no
    /// check, they get one here.
    async fn get(&self, location: &str, limit: u64) -> Result<Vec<u8>, SourceError>;

    /// As [`Self::get`]; `received` is told of bytes as they come, so that a slow mirror is not
    /// taken for a silent one.
    async fn get_counting(
        &self,
        location: &str,
        limit: u64,
        received: &Received,
    ) -> Result<Vec<u8>, SourceError> {
        let answer = self.get(location, limit).await;
        received.answered();
        answer
    }
}

/// Why a source has no bytes.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The mirror answers that there is no such file. A static host may say so with 403 as well as
    /// with 404.
    #[error("there is no such file")]
    NotFound,
    /// The file goes on beyond the limit.
    #[error("longer than the {limit} bytes allowed")]
    TooLong {
        /// Bytes.
        limit: u64,
    },
    /// No connection, an error status, a broken or too slow body.
    #[error(transparent)]
    Other(Cause),
}

/// The same bytes if there are not too many of them, whatever the source promised.
pub(super) fn within(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, SourceError> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(SourceError::TooLong { limit })
    }
}

/// A name as one part of an address: only letters, digits and `-._~` stand for themselves.
pub(super) fn encoded(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_stay_one_part_of_an_address() {
        assert_eq!(encoded("patches"), "patches");
        assert_eq!(encoded("../a b?#/说"), "..%2Fa%20b%3F%23%2F%E8%AF%B4");
    }

    #[test]
    fn bytes_are_taken_up_to_the_limit() {
        assert_eq!(within(b"12345".to_vec(), 5).unwrap(), b"12345");
        assert!(matches!(within(b"12345".to_vec(), 4), Err(SourceError::TooLong { limit: 4 })));
    }
}
