//! The publisher's side: from an app's folder to a package, and from packages to a signed
//! repository.
//!
//! In: an app's folder, keys, the time. Out: packages, and a folder that any static host can serve
//! and every client can verify.
//! Never: a state in which clients see half of a change; anything the launcher needs at run time
//! (it is built without this room).

pub mod bundle;
pub mod bundling;
pub mod clock;
pub mod deadlines;
pub mod discover;
pub mod error;
pub mod keys;
pub mod launcher;
mod launcher_settings;
mod metadata;
pub mod necessity;
pub mod offering;
pub mod pack_making;
pub mod package;
pub mod patches;
pub mod project;
mod readiness;
pub mod recipe;
pub mod release_trees;
pub mod renewal;
pub mod repository;
pub mod retiring;
pub mod rotation;
pub mod settings;
pub mod terms;
pub mod transaction;
mod version_tree;

pub use clock::ClockDoubt;
pub use deadlines::{Deadline, Urgency};
pub use error::PublishError;
pub use keys::{KeyRole, Keyring};
pub use offering::Offering;
pub use pack_making::{Making, PackMaker};
pub use patches::PackToPublish;
pub use project::{InitOptions, Project};
pub use renewal::{Renewal, RenewalOptions};
pub use repository::{PackageToPublish, RolloutChange};
pub use retiring::{Retired, Retirement, Selection};
pub use rotation::Rotation;
pub use settings::{InvalidAddress, Lifetimes, ProjectSettings, address};
pub use terms::{Standing, Terms};
pub use transaction::Transaction;
