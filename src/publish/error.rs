//! Why something could not be published.

use std::path::{Path, PathBuf};

use super::keys::KeyRole;
use super::necessity::Need;
use super::settings::InvalidAddress;
use crate::model::{ContainerId, Version};

/// Any error, with its own causes.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why something could not be published. Whatever it is, the repository is as valid as it was
/// before.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file cannot be read or written.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `kuzflow.toml` or a value in it makes no sense.
    #[error("{}: not valid settings", path.display())]
    Settings {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Cause,
    },
    /// A folder that is to become a publisher's folder has something in it already.
    #[error("{} is there already; choose another folder, or delete what an interrupted init left", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// A folder that is a publisher's already: its keys must not be taken for the remains of an
    /// init.
    #[error("{} is a publisher's folder already, with its keys; go on with it, or choose another folder", folder.display())]
    IsProject {
        /// Which folder.
        folder: PathBuf,
    },
    /// A file where a folder is needed.
    #[error("{} is no folder; choose another name", path.display())]
    NoFolder {
        /// What is there.
        path: PathBuf,
    },
    /// A node's address that cannot be used or must not be published.
    #[error("the address of node {node} cannot be used: {reason}")]
    Address {
        /// The node's id, which is its host.
        node: String,
        /// Why.
        reason: InvalidAddress,
    },
    /// The folder is no publisher's folder.
    #[error(
        "{} is no publisher's folder: it has no kuzflow.toml. Make one with `kuzflow init`, or name yours with --repo DIR",
        folder.display()
    )]
    NoProject {
        /// Which folder.
        folder: PathBuf,
    },
    /// Options that contradict each other.
    #[error("{0}")]
    Options(String),
    /// Another publisher is at work in this folder.
    #[error("another publisher is at work in {}", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// What would be signed now has expired already, by what the repository shows of the time.
    #[error(
        "this computer's clock says {now}, but the repository was signed at {signed}: what is signed now would have expired by then, and \
         launchers would refuse it. Set the clock and try again. If it is right, and the repository was signed while a clock was ahead, \
         add --trust-clock"
    )]
    ClockBehind {
        /// What this computer's clock says.
        now: jiff::Timestamp,
        /// When the repository was signed last.
        signed: jiff::Timestamp,
    },
    /// A key cannot be read.
    #[error("cannot use the key {}: {reason}", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// Not enough keys to sign.
    #[error(
        "{needed} of the keys of the role {role} must sign, {found} found in {}; bring it with `--keys DIR`, the folder with {}",
        list(folders),
        files.join(" or ")
    )]
    MissingKeys {
        /// Whose keys.
        role: KeyRole,
        /// How many must sign.
        needed: u64,
        /// How many are there.
        found: usize,
        /// What their files are called.
        files: Vec<String>,
        /// Where they were looked for.
        folders: Vec<PathBuf>,
    },
    /// New keys would be less safe than the ones they replace.
    #[error(
        "the keys of the role {role} are encrypted, and so must be the new ones: type a password, pipe it in, or set KUZFLOW_KEY_PASSWORD"
    )]
    NewPassword {
        /// Whose keys.
        role: KeyRole,
    },
    /// The repository was made before there were patch packs.
    #[error(
        "the repository has no role for patches yet; publish a release, or run rotate --replace patches, with the targets key"
    )]
    NoPatchesRole,
    /// Signing or making a key failed.
    #[error("cannot {what}")]
    Crypto {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: Cause,
    },
    /// The repository's own metadata does not hold together; nothing is signed on top of it.
    #[error("the repository's {file} is damaged: {reason}")]
    Damaged {
        /// Which file of `metadata`.
        file: String,
        /// What does not hold.
        reason: String,
    },
    /// A file of the repository's metadata is missing.
    #[error(
        "the repository is incomplete: there is no {}. Bring its folder back from a backup, or from a node that serves it",
        path.display()
    )]
    Incomplete {
        /// Which file.
        path: PathBuf,
    },
    /// The version is published, with other bytes. Clients may have it: give the build another
    /// version.
    #[error(
        "{container} is published already with other bytes; a changed build needs a new version"
    )]
    AlreadyPublished {
        /// Which.
        container: ContainerId,
    },
    /// No published release of this version.
    #[error("no release of version {version} is published")]
    NoSuchRelease {
        /// Which.
        version: Version,
    },
    /// A release that somebody is offered cannot be taken out.
    #[error("{container} cannot be taken out: {need}. To stop it: `kuzflow rollout --version {} --halt`", container.version)]
    Needed {
        /// Which.
        container: ContainerId,
        /// Why.
        need: Box<Need>,
    },
    /// A release that was taken out comes back only if that is said.
    #[error("{container} was retired; `kuzflow publish --again` brings it back")]
    Retired {
        /// Which.
        container: ContainerId,
    },
    /// A package that its description does not fit.
    #[error("{} cannot be published: {reason}", path.display())]
    Package {
        /// Its file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Names the path an error of the operating system is about.
pub(super) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> PublishError {
    let path = path.to_owned();
    |source| PublishError::Io { path, source }
}
