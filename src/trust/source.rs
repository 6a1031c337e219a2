//! Sources of metadata: one for each mirror.

use async_trait::async_trait;

use super::error::SourceError;
use crate::hedge::Received;

/// A mirror of a repository, for small files.
#[async_trait]
pub trait MetadataSource: Send + Sync {
    /// The mirror's name in messages: the node's id.
    fn name(&self) -> &str;

    /// The file at `location` (relative to the repository, for example `metadata/timestamp.json`),
    /// at most `limit` bytes.
    ///
    /// A source stops reading at `limit` and gives up on a mirror that sends too slowly. It need
    /// not check the bytes; the caller does.
    async fn get(&self, location: &str, limit: u64) -> Result<Vec<u8>, SourceError>;

    /// Like [`Self::get`]. It also counts bytes in `received` as they arrive, so that a slow mirror
    /// does not count as a silent one.
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

/// The same bytes if they are within the limit, whatever the source promised.
pub(super) fn within(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, SourceError> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(SourceError::TooLong { limit })
    }
}

/// A name as one part of an address: only letters, digits and `-._~` stay unescaped.
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
