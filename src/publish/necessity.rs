//! Finds the releases that some installations are offered, or will be: these must stay in the
//! repository.
//!
//! In: releases as they are signed. Out: why each of them is needed, or nothing. Never: a file, a
//! signature, a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::model::audience::next_watershed;
use crate::model::{ContainerId, Platform, Release, Version};

/// Why a release must stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// It is the newest release that every installation may have.
    Offered,
    /// Some installations are offered it: a share of them, or those that may not have a newer one
    /// yet.
    RollingOut,
    /// Installations that are older than release `to` requires reach `to` by way of this one.
    TransactionStep {
        /// The release that those installations cannot reach directly.
        to: Version,
    },
    /// Older installations pass through it.
    Watershed,
    /// It is the newest that runs on systems too old for the newer ones.
    OldSystems,
    /// Installations that have it learn here that it is recalled.
    Recalled,
    /// It takes the place of a recalled release.
    InPlaceOf {
        /// The recalled release.
        bad: Version,
    },
    /// The plan of a release names it for a recall.
    WayBack {
        /// The release with the plan.
        from: Version,
    },
    /// It is newer than the release that every installation may have, and its rollout has not
    /// begun.
    Waiting,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offered => f.write_str("it is what new installations are offered"),
            Self::RollingOut => f.write_str("it is being rolled out"),
            Self::TransactionStep { to } => {
                write!(f, "older installations get to {to} by way of it")
            }
            Self::Watershed => f.write_str("older installations pass through it"),
            Self::OldSystems => f.write_str("it is the newest for some older systems"),
            Self::Recalled => f.write_str("installations that have it learn that it is recalled"),
            Self::InPlaceOf { bad } => write!(f, "it takes the place of {bad}, which is recalled"),
            Self::WayBack { from } => write!(f, "a recall of {from} would lead to it"),
            Self::Waiting => f.write_str("it waits for its rollout"),
        }
    }
}

/// App, channel and platform: an installation is offered only releases of its own kind.
type ReleaseKind<'a> = (String, &'a str, &'a Platform);

/// Which part of all installations a release reaches, in thousandths. A plan may be for some of them, or
/// for a later time, and a server may halt it: while a release has one, others are needed beside it.
fn share(release: &Release) -> u16 {
    match release.plan {
        Some(_) => release.rollout_permille.min(999),
        None => release.rollout_permille,
    }
}

/// Groups releases by kind, the newest first.
pub(super) fn kinds<'a>(releases: impl IntoIterator<Item = &'a Release>) -> Vec<Vec<&'a Release>> {
    let mut kinds: BTreeMap<ReleaseKind<'a>, Vec<&'a Release>> = BTreeMap::new();
    for release in releases {
        let container = &release.container;
        let kind = (container.app.to_string(), release.channel.as_str(), &container.platform);
        kinds.entry(kind).or_default().push(release);
    }
    let mut kinds: Vec<Vec<&Release>> = kinds.into_values().collect();
    for kind in &mut kinds {
        kind.sort_by(|a, b| b.container.version.cmp(&a.container.version));
    }
    kinds
}

/// Why each of these releases of one kind, given with the newest first, must stay. Releases that
/// nobody needs are left out.
pub(super) fn needed(kind: &[&Release]) -> BTreeMap<ContainerId, Need> {
    let open: Vec<&Release> = kind.iter().filter(|release| !release.halted).copied().collect();
    let mut needed = BTreeMap::new();
    for share in open
        .iter()
        .map(|release| share(release))
        .filter(|share| *share > 0)
        .collect::<BTreeSet<_>>()
    {
        let admitted: Vec<&Release> =
            open.iter().filter(|release| self::share(release) >= share).copied().collect();
        for start in starts(kind) {
            // Nobody passes the next watershed at once.
            let watershed = match &start {
                Start::Nothing => None,
                Start::Before => watersheds(kind).map(|(mark, _)| &mark.container.version).min(),
                Start::At(current) => next_watershed(kind.iter().copied(), Some(current)),
            };
            let is_before = |release: &Release| {
                watershed.is_none_or(|watershed| release.container.version <= *watershed)
            };
            let newer = |release: &&&Release| match &start {
                Start::Nothing => true,
                Start::Before => release.minimum_version.is_none() && is_before(release),
                Start::At(current) => {
                    release.container.version > **current
                        && release.open_to(Some(current))
                        && is_before(release)
                }
            };
            let Some(offer) = admitted.iter().find(newer) else { continue };
            let newest = admitted.first().map(|release| &release.container.version);
            let need = match newest.filter(|newest| **newest != offer.container.version) {
                Some(newest) => Need::TransactionStep { to: newest.clone() },
                None if share == 1000 => Need::Offered,
                None => Need::RollingOut,
            };
            // Reports the simplest reason: a release that is offered to all may also be a step.
            match needed.get(&offer.container) {
                Some(Need::Offered) => {}
                Some(Need::RollingOut) if need != Need::Offered => {}
                _ => _ = needed.insert(offer.container.clone(), need),
            }
        }
    }
    let offered = open
        .iter()
        .find(|release| share(release) == 1000)
        .map(|release| &release.container.version);
    for release in open.iter().filter(|release| Some(&release.container.version) > offered) {
        let need = if release.rollout_permille > 0 { Need::RollingOut } else { Need::Waiting };
        needed.entry(release.container.clone()).or_insert(need);
    }
    let ways_back: Vec<_> = ways_back(kind, &needed).collect();
    let further = watersheds(kind).chain(recalls(kind)).chain(ways_back);
    for (release, need) in further.chain(for_old_systems(&open)) {
        let known = needed.entry(release.container.clone()).or_insert_with(|| need.clone());
        // That it is a watershed is the simpler reason.
        if need == Need::Watershed && matches!(known, Need::TransactionStep { .. }) {
            *known = need;
        }
    }
    needed
}

fn watersheds<'a>(kind: &'a [&'a Release]) -> impl Iterator<Item = (&'a Release, Need)> {
    let marked = kind.iter().filter(|release| release.watershed);
    marked.map(|release| (*release, Need::Watershed))
}

/// Recalled releases, and what takes their places.
fn recalls<'a>(kind: &'a [&'a Release]) -> impl Iterator<Item = (&'a Release, Need)> {
    let bad = kind.iter().filter_map(|bad| Some((*bad, bad.recalled.as_ref()?)));
    bad.flat_map(|(bad, recall)| {
        let instead = kind.iter().filter(|release| release.container.version == recall.to);
        let version = bad.container.version.clone();
        let instead = instead.map(move |to| (*to, Need::InPlaceOf { bad: version.clone() }));
        std::iter::once((bad, Need::Recalled)).chain(instead)
    })
}

/// Where a word may send those who have a release that is still rolled out.
fn ways_back<'a>(
    kind: &'a [&'a Release],
    needed: &BTreeMap<ContainerId, Need>,
) -> impl Iterator<Item = (&'a Release, Need)> {
    let rolling = kind.iter().filter(|release| needed.contains_key(&release.container));
    rolling.filter_map(|release| {
        let to = release.plan.as_ref()?.recall_to()?;
        let to = kind.iter().find(|other| other.container.version == *to)?;
        Some((*to, Need::WayBack { from: release.container.version.clone() }))
    })
}

/// The releases that run on a system which is too old for each newer one.
fn for_old_systems<'a>(open: &'a [&'a Release]) -> impl Iterator<Item = (&'a Release, Need)> {
    let all: Vec<&'a Release> =
        open.iter().filter(|release| share(release) == 1000).copied().collect();
    let mut newer: Vec<&Release> = Vec::new();
    let mut found = Vec::new();
    for release in all {
        if !newer.is_empty()
            && newer.iter().all(|newer| newer.system.need_more_than(&release.system))
        {
            found.push((release, Need::OldSystems));
        }
        newer.push(release);
    }
    found.into_iter()
}

/// The states of an installation that differ in what it is offered.
enum Start<'a> {
    /// A first installation.
    Nothing,
    /// Older than every published version, and than every minimum.
    Before,
    At(&'a Version),
}

/// Installations have halted and recalled versions as well.
fn starts<'a>(kind: &[&'a Release]) -> Vec<Start<'a>> {
    let minimums = kind.iter().filter_map(|release| release.minimum_version.as_ref());
    let versions: BTreeSet<&Version> =
        kind.iter().map(|release| &release.container.version).chain(minimums).collect();
    [Start::Nothing, Start::Before].into_iter().chain(versions.into_iter().map(Start::At)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::release::Recall;

    fn shared(version: &str, permille: u16) -> Release {
        Release { rollout_permille: permille, ..Release::sample(version) }
    }

    fn minimum(version: &str, minimum: &str) -> Release {
        Release { minimum_version: Some(minimum.parse().unwrap()), ..Release::sample(version) }
    }

    fn reported(releases: &[Release]) -> Vec<(String, Need)> {
        let kinds = kinds(releases);
        let all = kinds.iter().flat_map(|kind| needed(kind));
        all.map(|(container, need)| (container.version.to_string(), need)).collect()
    }

    fn step(version: &str, to: &str) -> (String, Need) {
        (version.to_owned(), Need::TransactionStep { to: to.parse().unwrap() })
    }

    #[test]
    fn the_newest_open_release_is_needed_and_older_ones_are_not() {
        let offered = |version: &str| (version.to_owned(), Need::Offered);
        assert_eq!(reported(&[]), []);
        assert_eq!(
            reported(&[
                Release::sample("1.0.0"),
                Release::sample("2.0.0"),
                Release::sample("1.9.0")
            ]),
            [offered("2.0.0")]
        );
        let halted = Release { halted: true, ..Release::sample("3.0.0") };
        assert_eq!(
            reported(&[Release::sample("1.0.0"), Release::sample("2.0.0"), halted]),
            [offered("2.0.0")]
        );
        let beta = Release { channel: "beta".to_owned(), ..Release::sample("1.5.0") };
        assert_eq!(
            reported(&[Release::sample("1.0.0"), Release::sample("2.0.0"), beta]),
            [offered("1.5.0"), offered("2.0.0")],
            "another channel"
        );
    }

    #[test]
    fn a_release_with_a_plan_does_not_reach_everybody() {
        let plan =
            serde_json::json!({"stages": [{"permille": 1000}], "begins": "2030-01-01T00:00:00Z"});
        let planned = Release {
            plan: Some(serde_json::from_value(plan).unwrap()),
            ..Release::sample("2.0.0")
        };
        let needed = reported(&[Release::sample("1.0.0"), planned.clone()]);
        let all = [("1.0.0".to_owned(), Need::Offered), ("2.0.0".to_owned(), Need::RollingOut)];
        assert_eq!(needed, all);
        let mut plan = serde_json::to_value(&planned.plan).unwrap();
        plan["recall_to"] = "1.0.0".into();
        let planned = Release { plan: Some(serde_json::from_value(plan).unwrap()), ..planned };
        let needed = reported(&[Release::sample("1.0.0"), Release::sample("1.1.0"), planned]);
        let back = Need::WayBack { from: Version::new(2, 0, 0) };
        assert!(needed.contains(&("1.0.0".to_owned(), back)), "{needed:?}");
    }

    #[test]
    fn a_step_to_a_watershed_is_needed() {
        let releases = [
            Release::sample("1.0.0"),
            Release::sample("1.5.0"),
            Release { watershed: true, ..minimum("2.0.0", "1.5.0") },
            Release::sample("3.0.0"),
        ];
        let needed = reported(&releases);
        assert!(needed.contains(&step("1.5.0", "3.0.0")), "{needed:?}");
        assert!(needed.contains(&("2.0.0".to_owned(), Need::Watershed)), "{needed:?}");
        assert!(needed.contains(&("3.0.0".to_owned(), Need::Offered)), "{needed:?}");
    }

    #[test]
    fn who_has_a_halted_watershed_still_gets_on() {
        let releases = [
            Release::sample("1.0.0"),
            Release { watershed: true, halted: true, ..Release::sample("2.0.0") },
            Release::sample("2.5.0"),
            minimum("3.0.0", "2.5.0"),
        ];
        let needed = reported(&releases);
        assert!(needed.contains(&step("2.5.0", "3.0.0")), "{needed:?}");
    }

    #[test]
    fn watersheds_recalls_and_releases_for_old_systems_are_needed() {
        let system = serde_json::from_str(r#"{"glibc": "2.28"}"#).unwrap();
        let recall = Recall { to: Version::new(1, 1, 0), reason: BTreeMap::new() };
        let releases = [
            Release::sample("1.0.0"),
            Release { watershed: true, ..Release::sample("1.0.5") },
            Release::sample("1.1.0"),
            Release { recalled: Some(recall), halted: true, ..Release::sample("1.2.0") },
            Release::sample("1.3.0"),
            Release { system, ..Release::sample("2.0.0") },
            Release { system, ..Release::sample("2.1.0") },
        ];
        let need = |version: &str, need: Need| (version.to_owned(), need);
        assert_eq!(
            reported(&releases),
            [
                need("1.0.5", Need::Watershed),
                need("1.1.0", Need::InPlaceOf { bad: Version::new(1, 2, 0) }),
                need("1.2.0", Need::Recalled),
                need("1.3.0", Need::OldSystems),
                need("2.1.0", Need::Offered),
            ]
        );
    }

    #[test]
    fn a_rollout_needs_each_of_its_stages() {
        let releases = [
            Release::sample("1.0.0"),
            Release::sample("1.5.0"),
            shared("2.0.0", 500),
            shared("3.0.0", 100),
            shared("4.0.0", 0),
        ];
        let expected = [
            ("1.5.0", Need::Offered),
            ("2.0.0", Need::RollingOut),
            ("3.0.0", Need::RollingOut),
            ("4.0.0", Need::Waiting),
        ];
        assert_eq!(reported(&releases), expected.map(|(version, need)| (version.to_owned(), need)));
        // No installation is offered 2.0.0 as long as 3.0.0 goes to more of them; once 3.0.0 is
        // halted, 2.0.0 is the next.
        let releases = [Release::sample("1.0.0"), shared("2.0.0", 100), shared("3.0.0", 500)];
        assert_eq!(reported(&releases).len(), 3);
    }

    #[test]
    fn a_step_on_the_way_is_needed() {
        let releases = [
            Release::sample("1.0.0"),
            Release::sample("1.5.0"),
            minimum("2.0.0", "1.2.0"),
            minimum("3.0.0", "2.0.0"),
        ];
        let expected =
            [step("1.5.0", "3.0.0"), step("2.0.0", "3.0.0"), ("3.0.0".to_owned(), Need::Offered)];
        assert_eq!(reported(&releases), expected);
        // A newer step replaces an older one.
        let releases = [
            Release::sample("1.0.0"),
            Release::sample("2.0.0"),
            Release::sample("2.5.0"),
            minimum("3.0.0", "2.0.0"),
        ];
        assert_eq!(
            reported(&releases),
            [step("2.5.0", "3.0.0"), ("3.0.0".to_owned(), Need::Offered)]
        );
    }
}
