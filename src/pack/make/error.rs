//! Why a pack was not made.
//!
//! In: what reading, coding and proving find. Out: one error with the file. Never: a panic.

use std::io;

use crate::model::RelativePath;
use crate::pack::error::PackError;
use crate::pack::group::GroupError;
use kuzflow_delta::base_selection;

/// Why a pack was not made.
#[derive(Debug, thiserror::Error)]
pub enum MakePackError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: RelativePath,
        /// Why.
        source: io::Error,
    },
    /// A file that may be what another one descends from cannot be read.
    #[error("cannot find what the new files descend from")]
    BaseFile(#[from] base_selection::BaseSelectionError),
    /// The pack cannot be written.
    #[error("cannot write the patch pack")]
    Write(#[source] io::Error),
    /// A group cannot be coded.
    #[error("cannot code {path} and what goes with it")]
    Code {
        /// The group's first file.
        path: RelativePath,
        /// Why.
        source: GroupError,
    },
    /// The outline cannot be written.
    #[error("cannot describe the difference of the two releases")]
    Outline(#[from] PackError),
    /// What was made does not come back: a fault of this program.
    #[error("the patch of {path} does not give its file back")]
    Unsound {
        /// The group's first file.
        path: RelativePath,
    },
    /// What groups share cannot be packed, or does not come back: a fault of this program.
    #[error("cannot pack the fresh bytes of the patch")]
    Literals(#[source] io::Error),
}
