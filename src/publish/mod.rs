//! The publisher's side: from an app's folder to a signed repository.
//!
//! In: an app's folder and settings. Out: packages and a repository that any static host can serve. Never: anything the
//! launcher needs at run time (it is built without this room).

pub mod build;
pub mod package;
