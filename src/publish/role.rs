//! Who signs what.
//!
//! In: a role's name. Out: [`KeyRole`]. Never: a key.

use std::fmt;
use std::str::FromStr;

use tough::schema::RoleType;

use crate::trust::{PATCHES_ROLE, ROLLOUT_ROLE};

/// The roles that sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyRole {
    /// Names the keys of all roles; offline.
    Root,
    /// Signs releases; offline.
    Targets,
    /// Signs which targets belong together; online.
    Snapshot,
    /// Signs that all this is current; online.
    Timestamp,
    /// Signs patch packs, and can sign nothing else; online. The targets role delegates to it.
    Patches,
    /// Moves rollouts within the plans that the targets role signed, and can sign nothing else;
    /// online. The targets role delegates to it.
    Rollout,
}

impl KeyRole {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp, Self::Patches, Self::Rollout];

    /// Whether its keys should stay away from machines with a network.
    pub fn is_offline(self) -> bool {
        matches!(self, Self::Root | Self::Targets)
    }

    /// Whether the targets role delegates to it, in place of the root.
    pub(super) fn is_delegated(self) -> bool {
        matches!(self, Self::Patches | Self::Rollout)
    }

    pub(super) fn of(role: RoleType) -> Option<Self> {
        Self::ALL.into_iter().find(|candidate| candidate.tuf() == role)
    }

    pub(super) fn tuf(self) -> RoleType {
        match self {
            Self::Root => RoleType::Root,
            Self::Targets => RoleType::Targets,
            Self::Snapshot => RoleType::Snapshot,
            Self::Timestamp => RoleType::Timestamp,
            Self::Patches | Self::Rollout => RoleType::DelegatedTargets,
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
            Self::Patches => PATCHES_ROLE,
            Self::Rollout => ROLLOUT_ROLE,
        })
    }
}

impl FromStr for KeyRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.to_string() == text);
        found.ok_or_else(|| {
            format!("not a role: {text:?}, expected root, targets, snapshot, timestamp, patches or rollout")
        })
    }
}
