//! Why a stream was not coded or not decoded.
//!
//! In: what the parts of the coder find. Out: one error with its reason. Never: a panic.

use std::io;

/// Why coding or decoding a stream failed.
#[derive(Debug, thiserror::Error)]
pub enum CoderError {
    /// The packed bytes end too early.
    #[error("the patch ends too early")]
    Truncated,
    /// Bytes follow the end of the stream.
    #[error("bytes follow the end of the patch")]
    Trailing,
    /// The instructions do not fit the old and the new length.
    #[error("the patch's steps do not fit the files")]
    Steps,
    /// The stream has more instructions than the caller allows.
    #[error("the patch has more than {most} steps")]
    TooManySteps {
        /// The number that the caller allows.
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
    /// Reading old or packed bytes failed, or the sink refused new bytes.
    #[error(transparent)]
    Io(#[from] io::Error),
}
