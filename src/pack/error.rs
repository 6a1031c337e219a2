//! Why a pack was refused or not applied.
//!
//! In: what reading and applying find. Out: one error with its reason. Never: a panic.

use kuzflow_delta::coder::CoderError;

/// Why a pack was refused or not applied.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file is no pack.
    #[error("it is no patch pack of a form that this program reads")]
    NoPack,
    /// The outline has a value that is not allowed, or it is for another base.
    #[error("the patch pack is refused: {0}")]
    Form(&'static str),
    /// The outline is damaged.
    #[error("the patch pack's outline cannot be read")]
    Outline(#[source] CoderError),
    /// The resulting manifest is not the one that the pack was made for: the base is another one.
    #[error("the patch pack is for another release than the installed one")]
    OtherBase,
    /// The resulting manifest has a value that is not allowed.
    #[error("the manifest that the patch pack makes is refused")]
    Manifest(#[from] crate::model::manifest::InvalidManifest),
    /// Somebody stopped it.
    #[error("it was stopped")]
    Stopped,
}
