//! Takes releases out of the repository: metadata no longer names them and their files are deleted.
//! No installation changes.
//!
//! Metadata travels whole to every client after each publish; without this it would grow for ever.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp as Time};
use tough::TargetName;
use tough::schema::{Target, Targets};

use super::delegated::PacksToList;
use super::entries::{package_name, release_of, target_name};
use super::error::{PublishError, at};
use super::keys::Keyring;
use super::metadata::RoleDocuments;
use super::necessity::{self, Need};
use super::patches::{hash_of, signed_patch};
use super::project::Project;
use super::transaction::{Transaction, TransactionStep};
use crate::model::{ContainerId, Digest, Platform, Release, Version};

/// Endings of the names of packages and of release notes, in `targets`.
const FILES_OF_RELEASES: [&str; 2] = [".kuzflow", ".md"];

/// The releases to take out.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These versions. A version that is needed is refused.
    Versions(Vec<Version>),
    /// All releases that meet both conditions and are not needed.
    Rule {
        /// Takes no release among this many newest ones of its channel and platform.
        keep: Option<usize>,
        /// Takes only releases that were published at least this many days ago.
        older_than_days: Option<u32>,
    },
}

/// A request to take releases out.
#[derive(Clone, Debug)]
pub struct Retirement {
    /// The releases to take out.
    pub selection: Selection,
    /// If set, only releases of this platform.
    pub platform: Option<Platform>,
    /// If set, only releases of this channel.
    pub channel: Option<String>,
    /// Whether the files of packages and notes stay in place.
    pub keep_files: bool,
}

/// The effect of a retirement.
#[derive(Debug, Default)]
pub struct Retired {
    /// The releases that are taken out, the newest first.
    pub releases: Vec<Release>,
    /// The releases that the rule selects but that stay, and why they stay.
    pub needed: Vec<(ContainerId, Need)>,
    /// Versions that were taken out before.
    pub already: Vec<Version>,
    /// Number of packs that are taken out.
    pub packs: usize,
    /// Number of deleted files, and their bytes.
    pub files: (usize, u64),
}

impl Project {
    /// Prepares taking releases out, all in one step for clients: first the metadata that no longer
    /// names them, then the removal of their files. It also removes everything that an earlier call
    /// of this kind left behind.
    ///
    /// # Errors
    /// [`PublishError::Needed`] for a version that some installations are offered,
    /// [`PublishError::NoSuchRelease`] for one that was never published.
    pub fn retire(
        &self,
        retirement: &Retirement,
        keyring: &Keyring,
        now: Time,
    ) -> Result<(Transaction, Retired), PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let mut targets = current.content();
        let releases: Vec<Release> = targets.targets.values().filter_map(release_of).collect();
        let mut retired = Retired::default();
        match &retirement.selection {
            Selection::Versions(versions) => {
                self.by_name(versions, retirement, &releases, &mut retired)?
            }
            Selection::Rule { keep, older_than_days } => {
                by_rule((*keep, *older_than_days), retirement, &releases, now, &mut retired);
            }
        }
        retired.releases.sort_by(|a, b| {
            b.container.version.cmp(&a.container.version).then(a.container.cmp(&b.container))
        });
        for release in &retired.releases {
            targets.targets.remove(&target_name(&package_name(&release.container))?);
            for name in release.notes.values() {
                targets.targets.remove(&target_name(name)?);
            }
        }
        let gone: BTreeSet<&ContainerId> =
            retired.releases.iter().map(|release| &release.container).collect();
        let before = current.packs();
        let packs = without_packs_to(&gone, &before);
        retired.packs = before.len() - packs.len();
        let files = self.unnamed_files(&targets, &packs, retirement.keep_files)?;
        let mut steps = Vec::new();
        if !retired.releases.is_empty() {
            steps.extend(self.renew_launcher_settings(&mut targets)?);
            let lists = if retired.packs == 0 {
                RoleDocuments::new()
            } else {
                let (new, form) = (&BTreeSet::new(), current.form());
                let wanted = self.packs_for_each_release();
                let packs = PacksToList { packs: &packs, new, content: &targets, form, wanted };
                let delegating = &current.targets.signed.signed;
                self.changed_lists(&current, &packs, delegating, keyring, now)?
            };
            steps.extend(self.new_content(&current, targets, lists, keyring, now)?);
        }
        for (path, length) in files {
            retired.files = (retired.files.0 + 1, retired.files.1 + length);
            steps.push(TransactionStep::Remove { path });
        }
        Ok((Transaction::new(lock, steps), retired))
    }

    /// The releases that were published once and are taken out, as far as the version trees record
    /// them.
    ///
    /// # Errors
    /// The errors of reading the repository.
    pub fn retired(&self) -> Result<Vec<ContainerId>, PublishError> {
        let current = self.current()?;
        let targets = &current.content();
        let published: HashSet<ContainerId> = targets
            .targets
            .values()
            .filter_map(release_of)
            .map(|release| release.container)
            .collect();
        let mut retired: Vec<ContainerId> = self
            .histories(targets)
            .into_iter()
            .filter(|container| !published.contains(container))
            .collect();
        retired.sort();
        Ok(retired)
    }

    fn by_name(
        &self,
        versions: &[Version],
        retirement: &Retirement,
        releases: &[Release],
        retired: &mut Retired,
    ) -> Result<(), PublishError> {
        let needs = needs(releases);
        for version in versions {
            let named = releases.iter().filter(|release| {
                release.container.version == *version && is_meant(retirement, release)
            });
            let mut found = false;
            for release in named {
                found = true;
                if let Some(need) = needs.get(&release.container) {
                    return Err(PublishError::Needed {
                        container: release.container.clone(),
                        need: Box::new(need.clone()),
                    });
                }
                if !retired.releases.contains(release) {
                    retired.releases.push(release.clone());
                }
            }
            if found {
                continue;
            }
            let here = |platform: &Platform| {
                retirement.platform.as_ref().is_none_or(|wanted| wanted == platform)
            };
            let was_there =
                self.retired()?.iter().any(|was| was.version == *version && here(&was.platform));
            if let Some(other) =
                releases.iter().find(|release| release.container.version == *version)
            {
                let (container, channel) = (&other.container, &other.channel);
                return Err(PublishError::Options(format!(
                    "{container} is published, in the channel {channel}; nothing else of {version}"
                )));
            }
            if !was_there {
                return Err(PublishError::NoSuchRelease { version: version.clone() });
            }
            retired.already.push(version.clone());
        }
        Ok(())
    }

    /// Files of packages, notes and packs that neither of these documents names, with their
    /// lengths.
    fn unnamed_files(
        &self,
        targets: &Targets,
        packs: &HashMap<TargetName, Target>,
        keep_files: bool,
    ) -> Result<Vec<(std::path::PathBuf, u64)>, PublishError> {
        let named: HashSet<String> = targets
            .targets
            .iter()
            .chain(packs)
            .filter_map(|(name, target)| Some(format!("{}.{}", hash_of(target)?, name.raw())))
            .collect();
        let folder = self.targets_folder();
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_pack = name.ends_with(crate::model::patch::PACK_SUFFIX);
            if !named.contains(&name) && (is_pack || !keep_files && self.is_of_a_release(&name)) {
                found.push((entry.path(), entry.metadata().map_or(0, |file| file.len())));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether a file in `targets` is a package of this app, or notes of one; all other files stay.
    fn is_of_a_release(&self, name: &str) -> bool {
        let Some((digest, rest)) = name.split_once('.') else { return false };
        let of_the_app = rest
            .strip_prefix(self.settings().app.as_str())
            .is_some_and(|rest| rest.starts_with('_'));
        digest.parse::<Digest>().is_ok()
            && of_the_app
            && FILES_OF_RELEASES.iter().any(|end| rest.ends_with(end))
    }
}

/// The packs that do not lead to `gone`. Packs from `gone` to a release that stays remain: with them
/// installations of `gone` update at little cost.
fn without_packs_to(
    gone: &BTreeSet<&ContainerId>,
    packs: &HashMap<TargetName, Target>,
) -> HashMap<TargetName, Target> {
    let leads_there = |name: &str, target: &Target| {
        signed_patch(name, target).is_some_and(|signed| gone.contains(&signed.patch.to))
    };
    let stay = packs.iter().filter(|(name, target)| !leads_there(name.raw(), target));
    stay.map(|(name, target)| (name.clone(), target.clone())).collect()
}

fn by_rule(
    (keep, older_than_days): (Option<usize>, Option<u32>),
    retirement: &Retirement,
    releases: &[Release],
    now: Time,
    retired: &mut Retired,
) {
    let needs = needs(releases);
    let age = SignedDuration::from_hours(24 * i64::from(older_than_days.unwrap_or(0)));
    for kind in necessity::kinds(releases) {
        let open = |release: &&&Release| needs.get(&release.container) == Some(&Need::Offered);
        // A release that is newer than what every installation may have is unfinished work, halted
        // or not.
        let Some(offered) = kind.iter().find(open).map(|release| release.container.version.clone())
        else {
            continue;
        };
        let old = kind
            .iter()
            .skip(keep.unwrap_or(0))
            .filter(|release| now.duration_since(release.published) >= age);
        for release in old
            .filter(|release| release.container.version <= offered && is_meant(retirement, release))
        {
            match needs.get(&release.container) {
                Some(need) => retired.needed.push((release.container.clone(), need.clone())),
                None => retired.releases.push((*release).clone()),
            }
        }
    }
}

fn needs(releases: &[Release]) -> BTreeMap<ContainerId, Need> {
    necessity::kinds(releases).iter().flat_map(|kind| necessity::needed(kind)).collect()
}

fn is_meant(retirement: &Retirement, release: &Release) -> bool {
    let Retirement { platform, channel, .. } = retirement;
    platform.as_ref().is_none_or(|platform| release.container.platform == *platform)
        && channel.as_ref().is_none_or(|channel| release.channel == *channel)
}
