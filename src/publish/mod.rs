//! The publisher's side: keys, the signed repository, and how a release gets into it.
//!
//! In: a publisher's folder, built packages with their descriptions, the time. Out: a folder that any static host can serve and
//! every client can verify. Never: a state in which clients see half of a change.

pub mod error;
pub mod keys;
mod metadata;
pub mod project;
pub mod repository;
pub mod rotation;
pub mod transaction;

pub use error::PublishError;
pub use keys::{KeyRole, Keyring};
pub use project::{InitOptions, Lifetimes, Project, ProjectSettings};
pub use repository::{PackageToPublish, RolloutChange};
pub use rotation::Rotation;
pub use transaction::Transaction;
