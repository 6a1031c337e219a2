//! Which release an installation is offered: the rules of the publisher's terms, in one place.
//!
//! In: signed releases, words of rollouts, the facts of an installation, a time. Out: a choice; the
//! same question always gets the same answer. Never: an older release than the active one, except
//! by a recall; a release beyond a watershed, for another system, or outside its rollout.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::digest::Digest;
use super::platform::{ContainerId, Platform};
use super::release::{Release, SignedRelease};
use super::rollout_plan::{Place, RolloutWord, share};
use super::system::{SystemTooOld, SystemVersions};
use super::version::Version;

/// The words that hold for an app's releases.
pub type Words = BTreeMap<Version, RolloutWord>;

/// How many recalls are followed from a recalled release to the one that takes its place.
const RECALLS_IN_A_ROW: usize = 8;

/// The facts of an installation that decide which release it gets.
#[derive(Clone, Copy, Debug)]
pub struct Audience<'a> {
    /// The app's name.
    pub app: &'a str,
    /// The platform of the installation.
    pub platform: &'a Platform,
    /// The channel that it follows.
    pub channel: &'a str,
    /// The active version; `None` before the first install.
    pub current: Option<&'a Version>,
    /// A stable random text of this installation.
    pub installation_id: &'a str,
    /// Versions that the user skipped, or that failed on this computer.
    pub skipped: &'a [Version],
    /// Versions that failed on this computer.
    pub failed: &'a [Version],
    /// Its region.
    pub region: &'a str,
    /// Its ring; empty if it is in none.
    pub ring: &'a str,
    /// Its system.
    pub system: &'a SystemVersions,
    /// How far servers have moved rollouts.
    pub words: &'a Words,
    /// The time for which rollouts are computed.
    pub now: Timestamp,
}

/// The result of choosing a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    Offer(&'a SignedRelease),
    /// The active release is recalled: `to` takes its place, even if it is older.
    Recalled {
        /// The active release.
        bad: &'a SignedRelease,
        /// What takes its place.
        to: &'a SignedRelease,
    },
    /// The active release is recalled, and nothing that may take its place is to be had.
    Withdrawn(&'a SignedRelease),
    /// The newest release is installed.
    UpToDate,
    /// A newer release exists, but the user skipped it or it failed on this computer.
    Skipped(&'a SignedRelease),
    /// A newer release exists, but its rollout has not reached this installation, or was halted.
    NotYet(&'a SignedRelease),
    /// A newer release exists, but this system is too old for it.
    SystemTooOld(&'a SignedRelease, SystemTooOld),
    /// The repository has no release for this app, platform and channel.
    Nothing,
}

/// Whether nobody may be offered a release: the offline keys have halted or recalled it, or a word
/// within its plan has.
pub fn is_stopped(release: &Release, words: &Words) -> bool {
    let by_word = || {
        let word = words.get(&release.container.version);
        word.is_some_and(|word| word.halted || word.recalled)
    };
    release.halted || release.recalled.is_some() || release.plan.is_some() && by_word()
}

/// The versions that are not offered to a user who skipped `skipped`: those, and every version
/// older than the newest of them that is still available. A mandatory release is offered all the
/// same.
pub fn put_aside(releases: &[SignedRelease], skipped: &[Version], words: &Words) -> Vec<Version> {
    let version = |signed: &SignedRelease| signed.release.container.version.clone();
    let is_skipped = |signed: &&SignedRelease| skipped.contains(&signed.release.container.version);
    let newest = releases
        .iter()
        .filter(is_skipped)
        .filter(|signed| !is_stopped(&signed.release, words))
        .map(version)
        .max();
    let aside = |signed: &&SignedRelease| {
        is_skipped(signed) || newest.as_ref() > Some(&signed.release.container.version)
    };
    releases.iter().filter(|signed| !signed.release.mandatory).filter(aside).map(version).collect()
}

/// The lowest release that an installation of `current` passes through before anything newer. One
/// that is halted or recalled is still in the way: what comes behind it relies on it.
pub fn next_watershed<'a>(
    releases: impl Iterator<Item = &'a Release>,
    current: Option<&Version>,
) -> Option<&'a Version> {
    let current = current?;
    releases
        .filter(|release| release.watershed && release.container.version > *current)
        .map(|release| &release.container.version)
        .min()
}

impl Audience<'_> {
    /// The release to offer among `releases`.
    pub fn choose<'a>(&self, releases: &'a [SignedRelease]) -> Choice<'a> {
        let mut mine: Vec<&SignedRelease> =
            releases.iter().filter(|signed| self.concerns(&signed.release)).collect();
        mine.sort_by(|a, b| b.release.container.version.cmp(&a.release.container.version));
        let bad = self.recalled(&mine).or_else(|| self.recalled_elsewhere(releases));
        if let Some((bad, Some(to))) = bad {
            return Choice::Recalled { bad, to };
        }
        if mine.is_empty() {
            return Choice::Nothing;
        }
        match self.newer(&mine) {
            Choice::UpToDate => bad.map_or(Choice::UpToDate, |(bad, _)| Choice::Withdrawn(bad)),
            choice => choice,
        }
    }

    /// The active release, if it is recalled.
    pub fn recalled_active<'a>(&self, releases: &'a [SignedRelease]) -> Option<&'a SignedRelease> {
        let listed = self.listed(releases, self.current?);
        listed.into_iter().find(|signed| self.recall(&signed.release).is_some())
    }

    /// Whether the publisher has recalled a version; `None` if no list has it.
    pub fn has_recalled(&self, releases: &[SignedRelease], version: &Version) -> Option<bool> {
        let listed = self.listed(releases, version);
        let is_recalled = |signed: &&SignedRelease| self.recall(&signed.release).is_some();
        (!listed.is_empty()).then(|| listed.iter().any(is_recalled))
    }

    /// The entries of a version: that of the followed channel, else those of others, where a person
    /// may have got it before.
    fn listed<'a>(
        &self,
        releases: &'a [SignedRelease],
        version: &Version,
    ) -> Vec<&'a SignedRelease> {
        let all = releases.iter().filter(|signed| self.is_for_this_app(&signed.release));
        let all = all.filter(|signed| signed.release.container.version == *version);
        let (mine, others): (Vec<_>, Vec<_>) =
            all.partition(|signed| signed.release.channel == self.channel);
        if mine.is_empty() { others } else { mine }
    }

    /// The same as [`Self::recalled`] where the active release is of a channel that the user has left:
    /// that one says what takes its place.
    fn recalled_elsewhere<'a>(
        &self,
        releases: &'a [SignedRelease],
    ) -> Option<(&'a SignedRelease, Option<&'a SignedRelease>)> {
        let channel = self.recalled_active(releases)?.release.channel.as_str();
        let left = Audience { channel, ..*self };
        let its: Vec<_> = releases.iter().filter(|signed| left.concerns(&signed.release)).collect();
        left.recalled(&its)
    }

    /// The active release if it is recalled, and what may take its place.
    fn recalled<'a>(
        &self,
        mine: &[&'a SignedRelease],
    ) -> Option<(&'a SignedRelease, Option<&'a SignedRelease>)> {
        let of = |version: &Version| {
            mine.iter().find(|signed| signed.release.container.version == *version).copied()
        };
        let bad = of(self.current?)?;
        let mut to = self.recall(&bad.release)?;
        // What takes its place may have been recalled since. A circle ends at a recalled one.
        for _ in 0..RECALLS_IN_A_ROW {
            match of(to).and_then(|signed| self.recall(&signed.release)) {
                Some(next) => to = next,
                None => break,
            }
        }
        let watershed = next_watershed(mine.iter().map(|signed| &signed.release), self.current);
        let current = &bad.release.container.version;
        // The way forward is that of every update; the way back is a rollback.
        let is_reachable = |release: &Release| {
            release.container.version < *current
                || watershed.is_none_or(|watershed| release.container.version <= *watershed)
                    && release.minimum_version.as_ref().is_none_or(|minimum| minimum <= current)
        };
        let may_take_its_place = |to: &&SignedRelease| {
            let release = &to.release;
            !is_stopped(release, self.words)
                && self.recall(release).is_none()
                && release.system.unmet_by(self.system).is_none()
                && !self.failed.contains(&release.container.version)
                && release.container.version != *current
                && is_reachable(release)
        };
        Some((bad, of(to).filter(may_take_its_place)))
    }

    /// Where a release's recall leads: by the offline keys, or by a word within its plan.
    pub fn recall<'a>(&self, release: &'a Release) -> Option<&'a Version> {
        let signed = release.recalled.as_ref().map(|recall| &recall.to);
        let by_word =
            || release.plan.as_ref()?.recalled_by(self.words.get(&release.container.version));
        signed.or_else(by_word)
    }

    /// The newest release that is newer than the active one, and open to this installation.
    fn newer<'a>(&self, mine: &[&'a SignedRelease]) -> Choice<'a> {
        let releases = mine.iter().map(|signed| &signed.release);
        let watershed = next_watershed(releases, self.current);
        let candidates: Vec<&SignedRelease> = mine
            .iter()
            .filter(|signed| {
                let version = &signed.release.container.version;
                self.current.is_none_or(|current| version > current)
                    && watershed.is_none_or(|watershed| version <= watershed)
                    && (self.recall(&signed.release).is_none() || Some(version) == watershed)
            })
            .copied()
            .collect();
        let open = |signed: &&&SignedRelease| self.admitted(&signed.release);
        let fits = |signed: &&&SignedRelease| signed.release.system.unmet_by(self.system).is_none();
        let wanted =
            |signed: &&&SignedRelease| !self.skipped.contains(&signed.release.container.version);
        let unmet = || {
            candidates
                .iter()
                .filter(open)
                .find_map(|signed| Some((*signed, signed.release.system.unmet_by(self.system)?)))
        };
        if let Some(offer) = candidates.iter().filter(open).filter(fits).find(wanted) {
            Choice::Offer(offer)
        } else if let Some(skipped) = candidates.iter().filter(fits).find(open) {
            Choice::Skipped(skipped)
        } else if let Some((signed, unmet)) = unmet() {
            Choice::SystemTooOld(signed, unmet)
        } else if let Some(closed) = candidates.first() {
            Choice::NotYet(closed)
        } else {
            Choice::UpToDate
        }
    }

    /// Whether app, platform and channel match.
    fn concerns(&self, release: &Release) -> bool {
        self.is_for_this_app(release) && release.channel == self.channel
    }

    /// Whether app and platform match.
    fn is_for_this_app(&self, release: &Release) -> bool {
        release.container.app.as_str() == self.app && release.container.platform == *self.platform
    }

    /// Whether it is inside the rollout, not halted, not recalled, and reachable from the active
    /// version. A first install follows the rollout as well: the same buckets decide for all
    /// installations.
    fn admitted(&self, release: &Release) -> bool {
        release.open_to(self.current)
            && self.recall(release).is_none()
            && self.bucket(&release.container) < self.share(release)
    }

    /// The share of installations that may see it now, in thousandths, if it is for this one at all.
    fn share(&self, release: &Release) -> u16 {
        let Some(plan) = &release.plan else { return release.rollout_permille };
        let place = Place {
            platform: self.platform,
            current: self.current,
            region: self.region,
            ring: self.ring,
        };
        if !plan.only().contains(place) {
            return 0;
        }
        share(plan, self.words.get(&release.container.version), self.now)
    }

    /// A number below 1000, fixed for this installation and release: a growing share only ever adds
    /// installations.
    fn bucket(&self, container: &ContainerId) -> u16 {
        let digest = Digest::of(format!("{}\n{container}", self.installation_id).as_bytes());
        let bytes: [u8; 8] = std::array::from_fn(|k| digest.as_bytes()[k]);
        u16::try_from(u64::from_be_bytes(bytes) % 1000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
