//! A plan: the way in which a release is fetched, what it costs, and why this way was chosen.

use serde::Serialize;

use super::patch::SignedPatch;
use super::version::Version;

/// How a release is fetched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The way.
    #[serde(rename = "way")]
    pub strategy: UpdateStrategy,
    /// Why this way.
    pub reason: Reason,
    /// Bytes that it fetches beside signed metadata.
    pub bytes: u64,
    /// Bytes of the whole package.
    pub full_bytes: u64,
    /// The installed version that most content comes from; `None` if everything is fetched.
    pub from: Option<Version>,
    /// The packs to apply, in this order; empty unless the way is [`UpdateStrategy::Patches`] or
    /// [`UpdateStrategy::PatchesAndEntries`].
    pub patches: Vec<SignedPatch>,
    /// What becomes of the files.
    pub files: FileCounts,
    /// Whether a running app must be started anew.
    pub requires_restart: bool,
    /// How many of the changed files a running app can take over.
    pub hot_swappable: u64,
}

/// How a release is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateStrategy {
    /// The whole package.
    Full,
    /// One or more patch packs; all else is taken from installed versions.
    Patches,
    /// Single entries of the package; all else is taken from installed versions.
    Entries,
    /// One or more patch packs to another release on the way, and then single entries of the
    /// package for what differs from that one.
    PatchesAndEntries,
    /// Nothing is fetched: the package lies in a file on this computer.
    File,
    /// Nothing is fetched: the version is installed, and only waits to be chosen.
    Installed,
}

/// Why a way was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It costs least.
    Cheapest,
    /// Patches would take much longer to apply than the whole package takes to come.
    Sooner,
    /// Nothing is installed that anything could be taken from.
    NothingInstalled,
    /// Patches and single entries would cost more than the share of the package that the settings
    /// allow.
    AboveThreshold,
    /// The settings say so.
    SwitchedOff,
    /// What the installed versions have in common with the release is not known.
    Unknown,
}

/// Files by where their content comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileCounts {
    /// Taken from an installed version as they are.
    pub cloned: u64,
    /// Made from an installed file and a difference.
    pub patched: u64,
    /// Fetched whole.
    pub fetched: u64,
}

impl Plan {
    /// The whole package.
    pub fn full(full_bytes: u64, files: u64, reason: Reason) -> Self {
        Self {
            strategy: UpdateStrategy::Full,
            reason,
            bytes: full_bytes,
            full_bytes,
            from: None,
            patches: Vec::new(),
            files: FileCounts { fetched: files, ..FileCounts::default() },
            requires_restart: true,
            hot_swappable: 0,
        }
    }

    /// Nothing to fetch, since everything is on this computer: in a file, or installed.
    pub fn without_fetching(strategy: UpdateStrategy, full_bytes: u64) -> Self {
        Self {
            strategy,
            bytes: 0,
            files: FileCounts::default(),
            ..Self::full(full_bytes, 0, Reason::Cheapest)
        }
    }

    /// Whether a part of the package is fetched.
    pub fn is_incremental(&self) -> bool {
        matches!(
            self.strategy,
            UpdateStrategy::Patches | UpdateStrategy::Entries | UpdateStrategy::PatchesAndEntries
        )
    }

    /// Whether nothing is fetched.
    pub fn is_local(&self) -> bool {
        matches!(self.strategy, UpdateStrategy::File | UpdateStrategy::Installed)
    }
}
