//! Why a new launcher does not take the place of this one.
//!
//! In: what its proof and its self-test find. Out: one error. Never: a change.

use std::io;
use std::time::Duration;

use crate::file_error::FileError;
use crate::model::Digest;
use crate::model::publisher::OtherPublisher;

/// Why a new launcher does not replace this one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    /// The bytes are not the signed ones.
    #[error("the new launcher has the digest {found}, signed is {signed}")]
    Digest {
        /// Digest of the bytes.
        found: Digest,
        signed: Digest,
    },
    /// It is not signed by the publisher who has signed the launcher that is in place.
    #[error(transparent)]
    Publisher(OtherPublisher),
    /// It could not be started.
    #[error("the new launcher cannot be started")]
    Start(#[source] io::Error),
    /// It did not answer in time.
    #[error("the new launcher did not answer within {0:?}")]
    Late(Duration),
    /// It ended with an error, or gave a wrong answer.
    #[error("the new launcher failed its self-test: {0}")]
    Answer(String),
    /// This build has failed here before.
    #[error("this build of the launcher has failed here before")]
    Known,
    /// Another launcher is exchanging the executable, or waits for its confirmation.
    #[error("another launcher is exchanging the executable")]
    Busy,
    /// One of the launcher's files could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Unfit {
    /// Whether the build itself is at fault.
    pub(super) fn is_the_builds(&self) -> bool {
        matches!(self, Self::Start(_) | Self::Late(_) | Self::Answer(_))
    }
}
