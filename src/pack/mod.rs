//! Packs: one file with everything that turns the files of one release into those of another.
//!
//! ```text
//! "KZP3"  check: 4 bytes of the target manifest's digest
//! outline  lengths, then one coded stream: head of the manifest, names, numbers (what becomes of each file; the groups)
//! groups   one behind the other: files that are coded together
//! literals what stands in no old file, of all groups that leave it to these streams
//! ```
//!
//! Files that are alike share a group, and with it everything that the coder has learned: of a
//! release that changes nine text files, eight profit. Groups are independent, so all cores apply
//! them. Where there are many literals, those of all groups are separate streams, which are decoded
//! first ([`literals`]).
//!
//! In: the base's manifest, the base's files by content. Out: the target's files, and the target's
//! manifest, which the caller compares with signed metadata. Never: a hash in the pack that anyone
//! trusts; the four bytes of check only reveal a mistake early.

mod algorithm;
mod apply;
mod bytes;
mod error;
mod form;
mod group;
mod literals;
#[cfg(feature = "publisher")]
mod make;
mod numbers;
mod outline;

pub use algorithm::Algorithm;
pub use apply::{Applied, ApplyOptions, Bases, Failed, apply};
pub(crate) use bytes::FileBytes;
pub use error::PackError;
pub(crate) use form::Group;
pub use form::Pack;
#[cfg(feature = "publisher")]
pub use make::{Choice, MakeOptions, Tree, make};
#[cfg(feature = "publisher")]
pub(crate) use make::{FileChange, MadePack, MakePackError};
pub use outline::{Content, Made};

/// Memory, in bytes, in which every pack can be applied on one core: its outline first, then one
/// group at a time with its small bases.
pub(crate) const APPLY_MEMORY: u64 = 64 << 20;
