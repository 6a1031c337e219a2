//! Why a stream was not coded or not decoded.
//!
//! In: what the parts of the coder find. Out: one error with its reason. Never: a panic.

use std::io;

/// Why a stream was not coded or not decoded.
#[derive(Debug, thiserror::Error)]
pub enum CoderError {
    /// The packed bytes end too early.
    #[error("the patch ends too early")]
    Truncated,
    /// Something follows the end.
    #[error("bytes follow the end of the patch")]
    Trailing,
    /// The steps do not fit the old and the new length.
    #[error("the patch's steps do not fit the files")]
    Steps,
    /// More steps than the caller allows.
    #[error("the patch has more than {most} steps")]
    TooManySteps {
        /// How many are allowed.
        most: usize,
    },
    /// The models would take more memory than the caller allows.
    #[error("the patch needs {needed} bytes of memory, {most} are allowed")]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        most: u64,
    },
    /// Old or packed bytes cannot be read, or new bytes not be handed on.
    #[error(transparent)]
    Io(#[from] io::Error),
}
