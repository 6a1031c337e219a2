//! Where each target stands in signed metadata. Each app, channel and platform has a role for what
//! is offered, one for history, and one for the patch packs to what is offered; the targets role
//! delegates to them, and has the rest: launchers and their settings. So a client fetches what
//! concerns it, however many releases there are.
//!
//! In: all targets of a repository, or all its packs. Out: the targets of each role, and the
//! delegations. Never: a signature, a file; a release in a role that no launcher looks into.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tough::TargetName;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::{DelegatedRole, Delegations, PathPattern, PathSet, Root, Target, Targets};

use super::current::Current;
use super::entries::{package_name, release_of, target_name};
use super::error::PublishError;
use super::form::MetadataForm;
use super::keys::crypto;
use super::metadata;
use super::necessity;
use super::role::KeyRole;
use crate::model::patch::PACK_SUFFIX;
use crate::model::{ContainerId, Release, Version, VersionTree};
use crate::trust::{PATCHES_ROLE, ReleaseKind, RolePart, WORD_SUFFIX, is_plain_name};

/// Most packs in the list of one app, channel and platform, unless the publisher wants more for each
/// release: each costs every client some 430 bytes.
const MOST_PACKS: usize = 8;
/// Number of releases that are offered at least, if there are as many: where the newest fails, the
/// one before it is still there.
const OFFERED_AT_LEAST: usize = 2;

/// The targets of each role.
#[derive(Debug)]
pub(super) struct Placed {
    /// Those of the targets role itself.
    pub(super) own: HashMap<TargetName, Target>,
    /// Those of the roles for offers and history, by the role's name.
    pub(super) roles: BTreeMap<String, HashMap<TargetName, Target>>,
    kinds: BTreeSet<ReleaseKind>,
}

/// Places all targets of a repository.
pub(super) fn place(
    content: &HashMap<TargetName, Target>,
    form: MetadataForm,
) -> Result<Placed, PublishError> {
    let mut placed =
        Placed { own: content.clone(), roles: BTreeMap::new(), kinds: BTreeSet::new() };
    if form == MetadataForm::Single {
        return Ok(placed);
    }
    let releases: Vec<Release> = content.values().filter_map(release_of).collect();
    for releases in necessity::kinds(&releases) {
        let Some(newest) = releases.first() else { continue };
        let kind = ReleaseKind::of(newest);
        // The role's name is part of a file's name, on every host and in a bundle.
        if !is_plain_name(&kind.role(RolePart::History)) {
            continue;
        }
        let offered = offered(&releases);
        let (mut offer, mut history) = (HashMap::new(), HashMap::new());
        for release in &releases {
            let is_offered = offered.contains(&release.container);
            let list = if is_offered { &mut offer } else { &mut history };
            let package = package_name(&release.container);
            for name in std::iter::once(&package).chain(release.notes.values()) {
                list.extend(placed.own.remove_entry(&target_name(name)?));
            }
        }
        // The tree is one for all channels; the first has it.
        let tree = target_name(&VersionTree::target_name(&newest.container))?;
        history.extend(placed.own.remove_entry(&tree));
        // Where dots stand in names, two kinds may have one role.
        placed.roles.entry(kind.role(RolePart::Offer)).or_default().extend(offer);
        placed.roles.entry(kind.role(RolePart::History)).or_default().extend(history);
        placed.kinds.insert(kind);
    }
    if form == MetadataForm::Both {
        placed.own.clone_from(content);
    }
    Ok(placed)
}

/// The releases of one kind, given with the newest first, that some installation may be offered.
fn offered(releases: &[&Release]) -> BTreeSet<ContainerId> {
    let mut offered: BTreeSet<ContainerId> = necessity::needed(releases).into_keys().collect();
    offered.extend(releases.first().map(|newest| newest.container.clone()));
    for release in releases {
        if offered.len() >= OFFERED_AT_LEAST {
            break;
        }
        offered.insert(release.container.clone());
    }
    offered
}

impl Placed {
    /// Whether some installation may be offered this release.
    fn offers(&self, kind: &ReleaseKind, container: &ContainerId) -> Result<bool, PublishError> {
        let package = target_name(&package_name(container))?;
        let offer = self.roles.get(&kind.role(RolePart::Offer));
        Ok(offer.is_some_and(|offer| offer.contains_key(&package)))
    }

    /// Gives `targets` the delegations to all roles: to those that it has already, since a role that
    /// clients have seen never ends, and to the new ones.
    pub(super) fn delegate(&self, targets: &mut Targets, root: &Root) -> Result<(), PublishError> {
        for kind in &self.kinds {
            for part in RolePart::OF_A_KIND {
                let name = kind.role(part);
                let roles = targets.delegations.iter().flat_map(|known| &known.roles);
                if roles.into_iter().all(|role| role.name != name) {
                    let paths = paths(kind, part)?;
                    add_role(
                        targets,
                        DelegatedRole {
                            name,
                            keyids: Vec::new(),
                            threshold: std::num::NonZeroU64::MIN,
                            paths,
                            terminating: false,
                            targets: None,
                        },
                    );
                }
            }
        }
        if let Some(delegations) = &mut targets.delegations {
            // The order in which a search visits them.
            delegations.roles.sort_by_key(|role| RolePart::of(&role.name));
        }
        give_keys(targets, root);
        Ok(())
    }
}

fn add_role(targets: &mut Targets, role: DelegatedRole) {
    let delegations = targets.delegations.get_or_insert_with(Delegations::default);
    delegations.roles.push(role);
}

/// Gives the roles for releases the keys of the targets role, and the roles for packs those of the
/// role for patches.
pub(super) fn give_keys(targets: &mut Targets, root: &Root) {
    let Some(delegations) = &mut targets.delegations else { return };
    let online = delegations.roles.iter().find(|role| role.name == PATCHES_ROLE);
    let online = online.map(|role| (role.keyids.clone(), role.threshold));
    let offline = (
        metadata::key_ids(root, KeyRole::Targets).to_vec(),
        metadata::threshold(root, KeyRole::Targets),
    );
    for role in &mut delegations.roles {
        let keys = match RolePart::of(&role.name) {
            None | Some(RolePart::Words) => continue,
            Some(RolePart::Patches) => online.clone(),
            Some(RolePart::Offer | RolePart::History) => Some(offline.clone()),
        };
        if let Some((keyids, threshold)) = keys {
            (role.keyids, role.threshold) = (keyids, threshold);
        }
    }
    let roles = &delegations.roles;
    let named = |id: &Decoded<Hex>| roles.iter().any(|role| role.keyids.contains(id));
    let public = root.keys.iter().filter(|(id, _)| named(id));
    delegations.keys.extend(public.map(|(id, key)| (id.clone(), key.clone())));
    delegations.keys.retain(|id, _| named(id));
}

/// The names of the targets that a role may sign.
fn paths(kind: &ReleaseKind, part: RolePart) -> Result<PathSet, PublishError> {
    let ReleaseKind { app, platform, .. } = kind;
    let container = format!("{app}_*_{platform}");
    let releases = ["kuzflow", "md", "*.md"].map(|ending| format!("{container}.{ending}"));
    let patterns = match part {
        RolePart::Offer => releases.to_vec(),
        RolePart::History => {
            let tree = format!("{app}_{platform}.versions.json");
            releases.into_iter().chain([tree]).collect()
        }
        RolePart::Patches => vec![format!("{container}.from-*{PACK_SUFFIX}")],
        RolePart::Words => vec![format!("*{WORD_SUFFIX}")],
    };
    let patterns = patterns.into_iter().map(PathPattern::new).collect::<Result<_, _>>();
    patterns
        .map(PathSet::Paths)
        .map_err(|error| crypto("delegate to the roles for releases", error))
}

/// All packs as they should be listed, and what decides in which list each of them stands.
pub(super) struct PacksToList<'a> {
    /// All packs.
    pub(super) packs: &'a HashMap<TargetName, Target>,
    /// The names of those that come with this change.
    pub(super) new: &'a BTreeSet<TargetName>,
    /// The targets of all roles but packs.
    pub(super) content: &'a Targets,
    pub(super) form: MetadataForm,
    /// How many packs the settings want for a release.
    pub(super) wanted: usize,
}

/// The lists in which packs stand, by the name of their role. A list that would be too long lacks
/// the packs of least use: those to releases that are no longer offered, to older ones, and from
/// older ones. New packs come first.
pub(super) fn lists(
    current: &Current,
    PacksToList { packs, new, content, form, wanted }: &PacksToList<'_>,
) -> Result<BTreeMap<String, HashMap<TargetName, Target>>, PublishError> {
    let (packs, form, most) = (*packs, *form, MOST_PACKS.max(*wanted));
    if form == MetadataForm::Single {
        return Ok(BTreeMap::from([(PATCHES_ROLE.to_owned(), packs.clone())]));
    }
    let placed = place(&content.targets, form)?;
    let kinds: BTreeMap<ContainerId, ReleaseKind> = content
        .targets
        .values()
        .filter_map(release_of)
        .map(|release| (release.container.clone(), ReleaseKind::of(&release)))
        .filter(|(_, kind)| placed.kinds.contains(kind))
        .collect();
    let mut ranked: BTreeMap<String, Vec<(PackRank, &TargetName)>> =
        current.lists().map(|(name, _)| (name.to_owned(), Vec::new())).collect();
    let mut elsewhere = HashMap::new();
    for (name, target) in packs {
        let to = name.raw().split_once(".from-").and_then(|(to, _)| to.parse().ok());
        let kind = to.as_ref().and_then(|to: &ContainerId| kinds.get(to));
        let Some((to, kind)) = to.as_ref().zip(kind) else {
            elsewhere.insert(name.clone(), target.clone());
            continue;
        };
        let rank = PackRank {
            is_new: new.contains(name),
            is_offered: placed.offers(kind, to)?,
            to: to.version.clone(),
            from: from_version(name),
        };
        ranked.entry(kind.role(RolePart::Patches)).or_default().push((rank, name));
    }
    let short = |mut ranked: Vec<(PackRank, &TargetName)>| {
        ranked.sort_by(|a, b| b.cmp(a));
        let most_useful = ranked.into_iter().take(most);
        most_useful.filter_map(|(_, name)| packs.get_key_value(name)).map(owned).collect()
    };
    let mut all: BTreeMap<String, HashMap<TargetName, Target>> =
        ranked.into_iter().map(|(role, ranked)| (role, short(ranked))).collect();
    let every = if form == MetadataForm::Both { packs.clone() } else { elsewhere };
    all.insert(PATCHES_ROLE.to_owned(), every);
    Ok(all)
}

fn owned((name, target): (&TargetName, &Target)) -> (TargetName, Target) {
    (name.clone(), target.clone())
}

/// How useful a pack is: the greater, the more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PackRank {
    is_new: bool,
    is_offered: bool,
    to: Version,
    from: Option<Version>,
}

fn from_version(name: &TargetName) -> Option<Version> {
    let (_, rest) = name.raw().split_once(".from-")?;
    rest.strip_suffix(PACK_SUFFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_of(release: &Release) -> (TargetName, Target) {
        let json = serde_json::json!({
            "length": 1, "hashes": {"sha256": "00".repeat(32)}, "custom": {"release": release},
        });
        let name = target_name(&package_name(&release.container)).unwrap();
        (name, serde_json::from_value(json).unwrap())
    }

    fn names(targets: &HashMap<TargetName, Target>) -> Vec<&str> {
        let mut names: Vec<&str> = targets.keys().map(TargetName::raw).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_offered_stands_apart_from_history() {
        let mut content: HashMap<_, _> = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]
            .map(Release::sample)
            .iter()
            .map(target_of)
            .collect();
        let beta = Release { channel: "beta".to_owned(), ..Release::sample("2.0.0") };
        content.extend([target_of(&beta)]);
        let single = place(&content, MetadataForm::Single).unwrap();
        assert_eq!((single.own.len(), single.roles.len()), (5, 0));
        let placed = place(&content, MetadataForm::Roles).unwrap();
        assert!(placed.own.is_empty());
        let role = |name: &str| names(&placed.roles[&format!("sample.{name}")]);
        let package = |version: &str| format!("sample_{version}_Linux_x86_64.kuzflow");
        assert_eq!(role("stable.Linux_x86_64.offer"), [package("1.2.0"), package("1.3.0")]);
        assert_eq!(role("stable.Linux_x86_64.history"), [package("1.0.0"), package("1.1.0")]);
        assert_eq!(role("beta.Linux_x86_64.offer"), [package("2.0.0")]);
        assert!(role("beta.Linux_x86_64.history").is_empty());
        let both = place(&content, MetadataForm::Both).unwrap();
        assert_eq!((both.own.len(), both.roles.len()), (5, 4));
    }

    #[test]
    fn a_step_that_older_installations_need_stays_offered() {
        let step = Release::sample("1.1.0");
        let newest =
            Release { minimum_version: Some("1.1.0".parse().unwrap()), ..Release::sample("3.0.0") };
        let releases = [Release::sample("1.0.0"), step, Release::sample("0.9.0"), newest];
        let content = releases.iter().map(target_of).collect();
        let placed = place(&content, MetadataForm::Roles).unwrap();
        assert_eq!(
            names(&placed.roles["sample.stable.Linux_x86_64.offer"]),
            ["sample_1.1.0_Linux_x86_64.kuzflow", "sample_3.0.0_Linux_x86_64.kuzflow"]
        );
    }
}
