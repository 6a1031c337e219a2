//! Values only: a version, a platform, a digest, a path inside a container, a manifest, a release,
//! a patch pack, a node, an offer. The types also decide which values cannot exist (a path that
//! leaves the container, a manifest whose entries overlap).
//!
//! In: text and JSON. Out: checked values. Never: does I/O, reads the clock or the environment,
//! imports another room of this crate.

pub mod audience;
mod der;
pub mod digest;
pub(crate) mod document_type;
pub mod exit_code;
pub mod hot_swap;
pub(crate) mod icon_file;
pub mod incident;
pub mod launcher;
pub(crate) mod made_file;
pub mod manifest;
pub(crate) mod network;
pub mod node;
pub mod offer;
pub mod package_index;
pub mod patch;
pub mod path;
pub mod pattern;
pub mod pieces;
pub mod plan;
pub mod platform;
pub(crate) mod publisher;
pub mod readable;
pub mod release;
pub(crate) mod replaced_program;
pub(crate) mod report;
#[cfg(feature = "publisher")]
pub mod rollout_move;
pub mod rollout_plan;
pub mod session;
pub mod system;
pub(crate) mod text;
pub mod transfer;
pub mod version;
pub mod version_range;
pub mod version_tree;

pub use digest::{Digest, Hasher};
pub use hot_swap::HotSwap;
pub use launcher::{Launcher, SignedLauncher};
pub use manifest::{Launch, Manifest};
pub use node::Node;
pub use offer::Offer;
pub use package_index::PackageIndex;
pub use patch::{Patch, SignedPatch};
pub use path::RelativePath;
pub use pieces::{PieceSet, PieceTable};
pub use plan::Plan;
pub use platform::{ContainerId, Platform};
pub use release::Release;
pub use version::Version;
pub use version_tree::VersionTree;
