//! Why a pack was not made.
//!
//! In: what reading, coding and proving find. Out: one error with the file. Never: a panic.

use std::io;

use crate::model::RelativePath;
use crate::pack::error::PackError;
use crate::pack::group::GroupError;
use kuzflow_delta::base_selection;

/// Why making a pack failed.
#[derive(Debug, thiserror::Error)]
pub enum MakePackError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read { path: RelativePath, source: io::Error },
    /// Reading a file that may be a base failed.
    #[error("cannot find what the new files descend from")]
    BaseFile(#[from] base_selection::BaseSelectionError),
    /// Writing the pack failed.
    #[error("cannot write the patch pack")]
    Write(#[source] io::Error),
    /// Coding a group failed.
    #[error("cannot code {path} and what goes with it")]
    Code {
        /// The group's first file.
        path: RelativePath,
        source: GroupError,
    },
    /// Writing the outline failed.
    #[error("cannot describe the difference of the two releases")]
    Outline(#[from] PackError),
    /// A coded group does not decode to its files: a fault of this program.
    #[error("the patch of {path} does not give its file back")]
    Unsound {
        /// The group's first file.
        path: RelativePath,
    },
    /// The shared literals cannot be packed, or do not unpack to the same bytes: a fault of this
    /// program.
    #[error("cannot pack the fresh bytes of the patch")]
    Literals(#[source] io::Error),
}
