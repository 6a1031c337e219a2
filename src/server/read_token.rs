//! The word with which an operator reads numbers without a token of the store: a file beside the
//! store, or one that is named.
//!
//! In: the file. Out: whether a word is that one. Never: an answer that tells more than yes or
//! no; a word that was chosen by a person, which could be guessed.

use std::io::{self, Write as _};
use std::path::Path;

use crate::file_error::{FileError, FileResult as _};
use crate::look;
use crate::model::Digest;

/// Shortest word: 128 bits in hexadecimal digits.
const SHORTEST: usize = 32;
/// Longest file, bytes.
const LONGEST: u64 = 1024;

/// The digest of the word: comparing digests tells a stranger nothing about the word.
#[derive(Clone, Debug)]
pub(super) struct ReadToken(Digest);

impl ReadToken {
    /// Reads the word from `path`, and makes one if there is no such file. Only its owner can read
    /// the file.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        if let Some(token) = Self::read(path)? {
            return Ok(token);
        }
        make(path).at("write the token", path)?;
        Self::read(path)?
            .ok_or_else(|| FileError::new("read the token", path, io::ErrorKind::NotFound))
    }

    fn read(path: &Path) -> Result<Option<Self>, FileError> {
        let Some(bytes) = look::read(path, LONGEST).at("read the token", path)? else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&bytes);
        let word = text.trim();
        if word.len() < SHORTEST {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                "a token has 32 characters or more; delete the file, and the server makes one",
            );
            return Err(FileError::new("use the token", path, error));
        }
        Ok(Some(Self(Digest::of(word.as_bytes()))))
    }

    /// Whether this is the word.
    pub(super) fn admits(&self, word: &str) -> bool {
        Digest::of(word.as_bytes()) == self.0
    }

    /// Stands for the word where that must not stand: with another word it is another one.
    pub(super) fn fingerprint(&self) -> String {
        Digest::of(self.0.as_bytes()).to_string()
    }
}

fn make(path: &Path) -> io::Result<()> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let word: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // Such a file is its owner's alone.
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(file, "{word}")?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        // Another server has made it meanwhile.
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(failed) => Err(failed.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_made_once_and_nothing_else_is_admitted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("read-token");
        let token = ReadToken::open(&path).unwrap();
        let word = std::fs::read_to_string(&path).unwrap().trim().to_owned();
        for token in [&token, &ReadToken::open(&path).unwrap()] {
            assert!(token.admits(&word));
            for wrong in ["", &word[1..], &word.to_uppercase()] {
                assert!(!token.admits(wrong), "{wrong}");
            }
            assert!(!token.fingerprint().contains(&word));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(&path, "short").unwrap();
        assert!(ReadToken::open(&path).is_err(), "anybody could guess it");
    }
}
