//! The roles that hold the releases of one app, channel and platform: what is offered, its history,
//! and the patch packs to what is offered. The targets role delegates to them, so that a check
//! fetches what concerns this installation and nothing else.
//!
//! In: the names and documents of delegated roles. Out: which roles a load needs, and their
//! verified documents. Never: reads a release from a role that is not named after that release's
//! app, channel and platform, or under a name that the delegation does not allow.
//!
//! A repository from before there were these roles has its releases in the targets role itself, and
//! one list of packs in the role `patches`. Both forms are read alike.

use super::document::{
    DelegatedRole, Delegations, MetaFile, SnapshotBody, TargetsBody, Unverified,
};
use super::error::{MirrorFaultKind, Refusal};
use super::names::fits;
use super::role_names::{PATCHES_ROLE, ReleaseKind, RolePart};
use super::source::encoded;
use super::workflow::{RoleDocument, meant};

/// How much of the releases a load reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Extent {
    /// What is offered to this installation.
    Offered,
    /// The same in all channels, for this app and platform.
    OfferedAnywhere,
    /// All releases of all channels for this app and platform.
    AllChannels,
    /// All releases.
    #[default]
    Everything,
    /// All releases that the mirror has: a file that was made for one platform lacks the others.
    Available,
}

/// Which roles a load reads.
#[derive(Clone, Debug, Default)]
pub(super) struct Interest {
    kind: Option<ReleaseKind>,
    extent: Extent,
}

impl Interest {
    /// What is offered to installations of this kind.
    pub(super) fn of(kind: ReleaseKind) -> Self {
        Self { kind: Some(kind), extent: Extent::Offered }
    }

    /// The same with what is offered in other channels.
    #[must_use]
    pub(super) fn with_other_channels(mut self) -> Self {
        if self.kind.is_some() {
            self.extent = Extent::OfferedAnywhere;
        }
        self
    }

    /// The same with the releases of the past, and those of other channels.
    #[must_use]
    pub(super) fn with_history(mut self) -> Self {
        if self.kind.is_some() {
            self.extent = Extent::AllChannels;
        }
        self
    }

    /// Whatever the mirror has.
    #[must_use]
    pub(super) fn available(self) -> Self {
        Self { extent: Extent::Available, ..self }
    }

    fn includes(&self, role: &str, part: RolePart) -> bool {
        let Some(kind) = self.kind.as_ref().filter(|_| part != RolePart::Words) else {
            return true;
        };
        match self.extent {
            Extent::Offered => part != RolePart::History && role == kind.role(part),
            Extent::OfferedAnywhere if part == RolePart::History => false,
            Extent::OfferedAnywhere | Extent::AllChannels if part == RolePart::Patches => {
                role == kind.role(part)
            }
            Extent::OfferedAnywhere | Extent::AllChannels => kind.is_of_any_channel(role),
            Extent::Everything | Extent::Available => true,
        }
    }

    /// Whether a load fails without this role.
    fn requires(&self, role: &str, part: RolePart) -> bool {
        let is_mine = self.kind.as_ref().is_none_or(|kind| role == kind.role(part));
        is_mine && part.holds_releases() && self.extent != Extent::Available
    }
}

/// A role that a load reads, as targets and snapshot describe it.
#[derive(Clone, Copy, Debug)]
pub(super) struct WantedRole<'a> {
    delegations: &'a Delegations,
    role: &'a DelegatedRole,
    file: Option<&'a MetaFile>,
    pub(super) part: RolePart,
    /// Whether there is no repository without it. Packs only save bytes, and without words a
    /// rollout stays where the offline keys left it.
    pub(super) is_required: bool,
    /// Whether it is left out when it has expired, and the others still count.
    pub(super) is_dispensable: bool,
}

/// The roles that `interest` selects, in the order of the delegations.
pub(super) fn wanted<'a>(
    interest: &Interest,
    targets: &'a TargetsBody,
    snapshot: &'a SnapshotBody,
) -> Vec<WantedRole<'a>> {
    let Some(delegations) = &targets.delegations else { return Vec::new() };
    let has_offers = offers(targets).next().is_some();
    let part_of = |role: &DelegatedRole| {
        if role.name == PATCHES_ROLE {
            // The one list of all packs. Where there are offers, each has its own list.
            return (!has_offers).then_some(RolePart::Patches);
        }
        RolePart::of(&role.name).filter(|part| interest.includes(&role.name, *part))
    };
    // A list of packs is there from the first pack on, and the words from the first one.
    let is_there = |role: &DelegatedRole, part: RolePart| {
        part.holds_releases() || snapshot.0.meta.contains_key(&format!("{}.json", role.name))
    };
    let roles = delegations.roles.iter().filter_map(|role| Some((role, part_of(role)?)));
    roles
        .filter(|(role, part)| is_there(role, *part))
        .map(|(role, part)| {
            let is_required = interest.requires(&role.name, part);
            let is_anywhere =
                matches!(interest.extent, Extent::OfferedAnywhere | Extent::AllChannels);
            let is_other_channel = !is_required && is_anywhere;
            WantedRole {
                delegations,
                role,
                file: snapshot.0.meta.get(&format!("{}.json", role.name)),
                part,
                is_required,
                is_dispensable: !part.holds_releases() || is_other_channel,
            }
        })
        .collect()
}

/// Whether `read` lacks a history that `interest` would have with history.
pub(super) fn lacks_history(
    interest: &Interest,
    targets: &TargetsBody,
    read: &[RoleDocument],
) -> bool {
    let all = interest.clone().with_history();
    let mut roles = targets.delegations.iter().flat_map(|delegations| &delegations.roles);
    roles.any(|role| {
        RolePart::of(&role.name) == Some(RolePart::History)
            && all.includes(&role.name, RolePart::History)
            && !read.iter().any(|read| read.name == role.name)
    })
}

/// The names of all roles with offers.
pub(super) fn offers(targets: &TargetsBody) -> impl Iterator<Item = &str> {
    let roles = targets.delegations.iter().flat_map(|delegations| &delegations.roles);
    roles.map(|role| role.name.as_str()).filter(|name| RolePart::of(name) == Some(RolePart::Offer))
}

impl<'a> WantedRole<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.role.name
    }

    fn file(&self) -> Result<&'a MetaFile, Refusal> {
        self.file.ok_or_else(|| {
            Refusal::new(
                MirrorFaultKind::NotTrusted,
                format!("the snapshot does not name the document of the role {}", self.role.name),
            )
        })
    }

    /// The document's location on a mirror, and the most bytes that it may have; `most` if the
    /// snapshot gives no length.
    pub(super) fn location(&self, most: u64) -> Result<(String, u64), Refusal> {
        let file = self.file()?;
        let location = format!("metadata/{}.{}.json", file.version, encoded(&self.role.name));
        Ok((location, file.limit(most)))
    }

    /// An older document of the role in `bytes`, if its keys signed it and it is one of words: a
    /// newer list that is not to be had does not end what the last one stopped.
    pub(super) fn verify_last_words(&self, bytes: &[u8]) -> Result<RoleDocument, Refusal> {
        let newest = self.file()?.version.get();
        let keys = self.delegations.keys_of(self.role);
        let document = Unverified::<TargetsBody>::read(bytes)?.verify(&keys)?;
        if self.part != RolePart::Words || document.signed.version.get() > newest {
            let cause = format!("it is no older list of words of the role {}", self.role.name);
            return Err(Refusal::new(MirrorFaultKind::NotTrusted, cause));
        }
        Ok(RoleDocument {
            name: self.role.name.clone(),
            part: self.part,
            document,
            has_lapsed: false,
        })
    }

    /// The verified document in `bytes`, if it is the wanted one and the role's keys signed it.
    pub(super) fn verify(&self, bytes: &[u8]) -> Result<RoleDocument, Refusal> {
        let keys = self.delegations.keys_of(self.role);
        let document = meant(self.file()?, &self.role.name, bytes, &keys)?;
        Ok(RoleDocument {
            name: self.role.name.clone(),
            part: self.part,
            document,
            has_lapsed: false,
        })
    }
}

/// Whether `targets` allows a role to sign a target of this name.
pub(super) fn may_name(targets: &TargetsBody, role: &str, name: &str) -> bool {
    let roles = targets.delegations.iter().flat_map(|delegations| &delegations.roles);
    let mut paths = roles.filter(|known| known.name == role).flat_map(|known| &known.paths);
    paths.any(|paths| paths.iter().any(|pattern| fits(pattern, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(app: &str, channel: &str) -> ReleaseKind {
        ReleaseKind {
            app: app.parse().unwrap(),
            channel: channel.to_owned(),
            platform: "Linux_x86_64".parse().unwrap(),
        }
    }

    #[test]
    fn a_check_reads_its_own_offer_and_packs_alone() {
        let interest = Interest::of(kind("sample", "stable"));
        let reads = |interest: &Interest, kind: &ReleaseKind| {
            RolePart::OF_A_KIND.map(|part| interest.includes(&kind.role(part), part))
        };
        assert_eq!(reads(&interest, &kind("sample", "stable")), [true, false, true]);
        for other in [kind("sample", "beta"), kind("sampler", "stable"), kind("a.sample", "stable")]
        {
            assert_eq!(reads(&interest, &other), [false; 3], "{other:?}");
        }
        let windows =
            ReleaseKind { platform: "Windows_AMD64".parse().unwrap(), ..kind("sample", "stable") };
        assert_eq!(reads(&interest, &windows), [false; 3]);
        let all = interest.with_history();
        assert_eq!(reads(&all, &kind("sample", "stable")), [true; 3]);
        assert_eq!(reads(&all, &kind("sample", "beta")), [true, true, false]);
        assert_eq!(reads(&all, &windows), [false; 3]);
        let role = |channel, part| kind("sample", channel).role(part);
        assert!(all.requires(&role("stable", RolePart::History), RolePart::History));
        assert!(!all.requires(&role("beta", RolePart::Offer), RolePart::Offer));
        assert!(!all.requires(&role("stable", RolePart::Patches), RolePart::Patches));
        let file = all.available();
        assert_eq!(reads(&file, &windows), [true; 3]);
        assert!(!file.requires(&role("stable", RolePart::Offer), RolePart::Offer));
    }
}
