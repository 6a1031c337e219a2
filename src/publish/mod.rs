//! The publisher's side: makes packages from an app's folder, and a signed repository from
//! packages.
//!
//! In: an app's folder, keys, the time. Out: packages, and a folder that any static host can serve
//! and every client can verify. Never: a state in which clients see half of a change; code that the
//! launcher needs at run time (the launcher is built without this module).

mod address;
pub mod bundle;
pub mod bundling;
pub(crate) mod clock;
mod conversion;
mod current;
pub(crate) mod deadlines;
mod delegated;
pub(crate) mod discover;
mod entries;
pub(crate) mod error;
mod form;
mod in_force;
pub mod keys;
pub(crate) mod launcher;
mod launcher_settings;
mod leaked_keys;
mod metadata;
pub(crate) mod necessity;
pub(crate) mod offering;
pub(crate) mod pack_file;
pub(crate) mod pack_making;
pub mod package;
pub(crate) mod patches;
pub(crate) mod per_platform;
mod plan_file;
pub(crate) mod project;
mod readiness;
pub(crate) mod recipe;
pub mod release_trees;
pub(crate) mod renewal;
pub(crate) mod repository;
pub(crate) mod retiring;
mod role;
mod rollout_change;
pub(crate) mod rotation;
mod runtimes;
mod server_settings;
pub(crate) mod settings;
pub(crate) mod signing;
pub(crate) mod source_archive;
mod steering;
pub(crate) mod svg_icon;
pub(crate) mod terms;
pub(crate) mod transaction;
mod version_tree;

pub(crate) use address::address;
pub(crate) use conversion::{Conversion, ConversionStep};
pub(crate) use deadlines::{Deadline, Urgency};
pub use error::PublishError;
pub use form::MetadataForm;
pub use keys::Keyring;
pub(crate) use offering::Offering;
pub(crate) use pack_making::{Making, PackMaker};
pub use patches::PackToPublish;
pub use project::{InitOptions, Project};
pub(crate) use renewal::Renewal;
pub use renewal::RenewalOptions;
pub use repository::PackageToPublish;
pub(crate) use retiring::Retired;
pub use retiring::{Retirement, Selection};
pub use role::KeyRole;
pub use rollout_change::RolloutChange;
pub use rotation::Rotation;
pub(crate) use runtimes::Runtimes;
pub(crate) use server_settings::{BuildSettings, LoginRole, LoginSettings};
pub use settings::{Lifetimes, ProjectSettings};
pub(crate) use steering::PlannedRollout;
pub use terms::{Standing, Terms};
pub use transaction::Transaction;
