//! Errors of publishing.

use std::path::{Path, PathBuf};

use super::address::InvalidAddress;
use super::necessity::Need;
use super::role::KeyRole;
use crate::file_error::FileError;
use crate::model::{ContainerId, RelativePath, Version};
use crate::named_file::OutputError;

/// Any error, with its own chain of causes.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why publishing failed. After any of these errors the repository is as valid as before.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Reading or writing a file failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The place of what is to be written is taken by something else.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// `kuzflow.toml` or a value in it is invalid.
    #[error("{}: not valid settings", path.display())]
    Settings {
        path: PathBuf,
        /// The place and the reason.
        source: Cause,
    },
    /// A folder that is to become a publisher's folder is not empty.
    #[error("{} is there already; choose another folder, or delete what an interrupted init left", path.display())]
    Exists {
        /// The path that exists already.
        path: PathBuf,
    },
    /// The folder is a publisher's folder already: its keys must not be mistaken for the remains of
    /// an init.
    #[error("{} is a publisher's folder already, with its keys; go on with it, or choose another folder", folder.display())]
    IsProject { folder: PathBuf },
    /// There is a file where a folder is needed.
    #[error("{} is no folder; choose another name", path.display())]
    NoFolder { path: PathBuf },
    /// A node's address cannot be used or must not be published.
    #[error("the address of node {node} cannot be used: {reason}")]
    Address {
        /// The node's id, which is its host.
        node: String,
        /// Why it cannot be used.
        reason: InvalidAddress,
    },
    #[error(
        "{} is no publisher's folder: it has no kuzflow.toml. Make one with `kuzflow init`, or name yours with --repo DIR",
        folder.display()
    )]
    NoProject { folder: PathBuf },
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// Another publisher is working in this folder.
    #[error("another publisher is at work in {}; wait until it is done, and call the same again", path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// A package would bring a key that signs this repository to everybody.
    #[error(
        "{entry} in the package is a key that signs your releases: everybody who installs the app could sign in your name. Move it out of \
         the app's folder, build again, and if such a package was ever published, make new keys with `kuzflow rotate`"
    )]
    OwnKey {
        /// The key's path in the package.
        entry: RelativePath,
    },
    /// The new signatures would have expired already, by the times that the repository proves.
    #[error(
        "this computer's clock says {now}, but the repository was signed at {signed}: what is signed now would have expired by then, and \
         launchers would refuse it. Set the clock and try again. If it is right, and the repository was signed while a clock was ahead, \
         add --trust-clock"
    )]
    ClockBehind {
        /// The time of this computer's clock.
        now: jiff::Timestamp,
        /// When the repository was last signed.
        signed: jiff::Timestamp,
    },
    /// A key cannot be read.
    #[error("cannot use the key {}: {reason}", path.display())]
    Key {
        /// The path of its file.
        path: PathBuf,
        /// Why it cannot be read.
        reason: &'static str,
    },
    /// There are not enough keys to sign.
    #[error(
        "{needed} of the keys of the role {role} must sign, {found} found in {}; bring it with `--keys DIR`, the folder with {}",
        list(folders),
        files.join(" or ")
    )]
    MissingKeys {
        role: KeyRole,
        /// How many keys must sign.
        needed: u64,
        /// How many keys were found.
        found: usize,
        /// The names of the keys' files.
        files: Vec<String>,
        /// The folders that were searched.
        folders: Vec<PathBuf>,
    },
    /// The new keys would be less safe than the ones that they replace.
    #[error(
        "the keys of the role {role} are encrypted, and so must be the new ones: type a password, pipe it in, or set KUZFLOW_KEY_PASSWORD"
    )]
    NewPassword { role: KeyRole },
    /// The repository was made before there were patch packs.
    #[error(
        "the repository has no role for patches yet; publish a release, or run rotate --replace patches, with the targets key"
    )]
    NoPatchesRole,
    /// A rollout cannot be moved so.
    #[error("{release}: {reason}")]
    Rollout {
        /// App and version.
        release: String,
        /// Why not.
        reason: String,
    },
    /// The repository was made before rollouts had plans.
    #[error(
        "the repository has no role that moves rollouts yet; run rotate --replace rollout, with the root and targets keys"
    )]
    NoRolloutRole,
    /// Signing or making a key failed.
    #[error("cannot {what}")]
    Crypto { what: &'static str, source: Cause },
    /// The repository's own metadata is inconsistent; nothing is signed on top of it.
    #[error(
        "the repository's {file} is damaged: {reason}. Bring its folder back from a backup, or from a node that serves it"
    )]
    Damaged {
        /// The file in `metadata`.
        file: String,
        /// The inconsistency.
        reason: String,
    },
    /// A file of the repository's metadata is missing.
    #[error(
        "the repository is incomplete: there is no {}. Bring its folder back from a backup, or from a node that serves it",
        path.display()
    )]
    Incomplete { path: PathBuf },
    /// The version is published, with other bytes. Clients may have it: give the build another
    /// version.
    #[error(
        "{container} is published already with other bytes; a changed build needs a new version"
    )]
    AlreadyPublished {
        /// The container of the release.
        container: ContainerId,
    },
    /// There is no published release of this version.
    #[error("no release of version {version} is published; `kuzflow list` shows what is")]
    NoSuchRelease {
        /// The version that was asked for.
        version: Version,
    },
    /// A release that some installations are offered cannot be taken out.
    #[error("{container} cannot be taken out: {need}. To stop it: `kuzflow rollout --version {} --halt`", container.version)]
    Needed {
        /// The container of the release.
        container: ContainerId,
        /// Why installations need it.
        need: Box<Need>,
    },
    /// Launchers that look for releases in the targets role alone may still be installed.
    #[error(
        "{container} has not required a launcher of {launcher} or newer for {days} days, so an older one may still be installed and would find \
         no release any more. Publish with `--minimum-launcher {launcher}`, and run this {days} days later"
    )]
    OldLaunchers {
        /// The offered release that an old launcher can install.
        container: Box<ContainerId>,
        /// The first version that reads the new form.
        launcher: Box<Version>,
        /// How long installations get for a newer launcher.
        days: u32,
    },
    /// A release that was taken out comes back only on explicit request.
    #[error("{container} was retired; `kuzflow publish --again` brings it back")]
    Retired {
        /// The container of the release.
        container: ContainerId,
    },
    /// A package and its description do not fit each other.
    #[error("{} cannot be published: {reason}", path.display())]
    Package {
        /// The path of the package.
        path: PathBuf,
        /// The part that does not fit.
        reason: String,
    },
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Adds the path to an error of the operating system.
pub(super) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> PublishError {
    move |error| FileError::new("read or write", path, error).into()
}
