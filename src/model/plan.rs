//! A plan: the strategy by which a release is fetched, its cost, and the reason for this strategy.

use serde::Serialize;

use super::patch::SignedPatch;
use super::version::Version;

/// How a release is fetched, and what that costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    #[serde(rename = "way")]
    pub strategy: UpdateStrategy,
    /// Why this strategy was chosen.
    pub reason: Reason,
    /// Bytes to fetch, without signed metadata.
    pub bytes: u64,
    /// Bytes of the whole package.
    pub full_bytes: u64,
    /// The installed version that gives most of the content; `None` if everything is fetched.
    pub from: Option<Version>,
    /// The packs to apply, in this order; empty unless the strategy is [`UpdateStrategy::Patches`]
    /// or [`UpdateStrategy::PatchesAndEntries`].
    pub patches: Vec<SignedPatch>,
    /// How many files come from where.
    pub files: FileCounts,
    /// Whether a running app needs a restart.
    pub requires_restart: bool,
    /// How many of the changed files a running app can take over.
    pub hot_swappable: u64,
}

/// The strategies for fetching a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateStrategy {
    /// The whole package.
    Full,
    /// One or more patch packs; all other files are cloned from installed versions.
    Patches,
    /// Single entries of the package; all other files are cloned from installed versions.
    Entries,
    /// One or more patch packs to another release on the way, and then single entries of the
    /// package for the differences from that one.
    PatchesAndEntries,
    /// No download: the package lies in a file on this computer.
    File,
    /// No download: the version is installed, and only needs to become active.
    Installed,
}

/// Why a strategy was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It needs the fewest bytes.
    Cheapest,
    /// Applying patches would take much longer than fetching the whole package.
    Sooner,
    /// No installed version has files to start from.
    NothingInstalled,
    /// Patches and single entries would exceed the share of the package that the settings allow.
    AboveThreshold,
    /// The settings rule out the others.
    SwitchedOff,
    /// It is not known what the installed versions have in common with the release.
    Unknown,
}

/// Numbers of files, by the origin of their content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileCounts {
    /// Cloned unchanged from an installed version.
    pub cloned: u64,
    /// Made from an installed file and a difference.
    pub patched: u64,
    /// Fetched whole.
    pub fetched: u64,
}

impl Plan {
    /// The plan that fetches the whole package.
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

    /// The plan without a download, since everything is on this computer: in a file, or installed.
    pub fn without_fetching(strategy: UpdateStrategy, full_bytes: u64) -> Self {
        Self {
            strategy,
            bytes: 0,
            files: FileCounts::default(),
            ..Self::full(full_bytes, 0, Reason::Cheapest)
        }
    }

    /// Whether only a part of the package is fetched.
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
