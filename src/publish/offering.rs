//! Publishes releases on terms: a new release begins on the given terms; a published one retains
//! its own unless the publisher asks for a change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp as Time;
use tough::schema::Targets;

use super::current::Current;
use super::entries::{release_of, target_name};
use super::error::PublishError;
use super::keys::Keyring;
use super::launcher::launcher_of;
use super::patches::hash_of;
use super::project::Project;
use super::repository::{Notes, PackageToPublish, read_notes};
use super::rollout_change::{check_watersheds, check_way_back};
use super::terms::{self, Remark, Standing, Terms};
use super::transaction::{Transaction, TransactionStep};
use crate::model::version_tree::FileState;
use crate::model::{Digest, RelativePath, Release};

/// The result for one package.
#[derive(Clone, Debug)]
pub struct Offering {
    /// The description that is signed.
    pub release: Release,
    /// Whether the package is new, unchanged or changed.
    pub standing: Standing,
    /// Remarks for the publisher.
    pub remarks: Vec<Remark>,
}

impl Project {
    /// Prepares releases for publication, all in one step for clients. A package that is published
    /// already retains its terms, so that a retry is harmless. With [`Terms::again`] the given
    /// terms change, and nothing else. Only [`Project::set_rollout`] ends a halt.
    ///
    /// # Errors
    /// [`PublishError::AlreadyPublished`] for other bytes of a published version.
    pub fn publish_on(
        &self,
        terms: &Terms,
        packages: &[PackageToPublish],
        keyring: &Keyring,
        now: Time,
    ) -> Result<(Transaction, Vec<Offering>), PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let mut targets = current.content();
        let (mut files, mut packages, mut offerings) = (Vec::new(), packages.to_vec(), Vec::new());
        for package in &mut packages {
            let (standing, remarks) = self.decided(&targets, package, terms)?;
            let notes = match standing {
                Standing::New => Notes::Replaced,
                Standing::Changed if !package.notes.is_empty() => Notes::Replaced,
                Standing::Changed => Notes::Retained,
                Standing::Retained => Notes::Untouched,
            };
            files.extend(self.add_package(&mut targets, package, notes)?);
            offerings.push(Offering { release: package.release.clone(), standing, remarks });
        }
        for offering in &mut offerings {
            offering.remarks.extend(self.reach(&targets, &offering.release));
        }
        let steps = self.bring(&current, targets, files, &packages, keyring, now)?;
        Ok((Transaction::new(lock, steps), offerings))
    }

    /// Returns `packages` with the terms on which [`Project::publish_on`] would publish them now.
    ///
    /// # Errors
    /// The errors of reading the repository, or the notes.
    pub fn foresee(
        &self,
        terms: &Terms,
        packages: &mut [PackageToPublish],
    ) -> Result<(), PublishError> {
        let targets = self.current()?.content();
        packages
            .iter_mut()
            .try_for_each(|package| self.decided(&targets, package, terms).map(|_| ()))
    }

    /// All steps that bring `targets` with the files of new packages to clients; none if `targets`
    /// and files are unchanged.
    pub(super) fn bring(
        &self,
        current: &Current,
        mut targets: Targets,
        mut files: Vec<TransactionStep>,
        packages: &[PackageToPublish],
        keyring: &Keyring,
        now: Time,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let trees = self.grow_trees(current, &mut targets, packages)?;
        let is_changed = targets.targets != current.content().targets;
        if is_changed {
            // New settings alone are no reason to sign: a retry in CI may have no offline keys.
            files.extend(self.renew_launcher_settings(&mut targets)?);
        }
        let nodes = self.nodes_step()?;
        let mut steps: Vec<TransactionStep> =
            files.into_iter().chain(trees.before).chain(nodes).collect();
        if is_changed {
            steps.extend(self.new_targets(current, targets, keyring, now)?);
        }
        steps.extend(trees.after);
        Ok(steps)
    }

    fn reach(&self, targets: &Targets, release: &Release) -> Vec<Remark> {
        let releases: Vec<Release> = targets.targets.values().filter_map(release_of).collect();
        let launchers: Vec<_> = targets.targets.values().filter_map(launcher_of).collect();
        let releases: Vec<&Release> = releases.iter().collect();
        let mut remarks = terms::reach(release, &releases, &launchers, &self.settings().channel);
        let shipped = self.shipped_app();
        remarks.extend(shipped.and_then(|app| terms::for_another_app(release, &releases, &app)));
        remarks
    }

    /// The app in the settings beside the launcher, if they can be read: the publisher may store
    /// them elsewhere.
    fn shipped_app(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.launcher_folder().join("launcher.toml")).ok()?;
        let settings: toml::Table = text.parse().ok()?;
        settings.get("app")?.as_str().map(str::to_owned)
    }

    /// Puts the terms of a package into its description.
    fn decided(
        &self,
        targets: &Targets,
        package: &mut PackageToPublish,
        terms: &Terms,
    ) -> Result<(Standing, Vec<Remark>), PublishError> {
        let container = package.release.container.clone();
        let releases: Vec<Release> = targets.targets.values().filter_map(release_of).collect();
        let published = releases.iter().find(|release| release.container == container);
        let siblings: Vec<&Release> = releases
            .iter()
            .filter(|release| {
                let other = &release.container;
                other.app == container.app
                    && other.version == container.version
                    && other.platform != container.platform
            })
            .collect();
        if published.is_none() {
            self.check_history(targets, package, terms)?;
        }
        let notes_differ = match published {
            Some(published) => notes_differ(targets, published, &package.notes)?,
            None => false,
        };
        let (standing, mut remarks) =
            terms::decide(&mut package.release, terms, published, &siblings, notes_differ);
        check_watersheds(&package.release, &releases)?;
        if siblings.iter().any(|sibling| sibling.plan != package.release.plan) {
            remarks.push(Remark::Unreached(format!(
                "{} has different plans on its platforms: a server can halt it, and opens no stage",
                container.version
            )));
        }
        let known_plan = published.and_then(|release| release.plan.as_ref());
        if let Some(plan) = package.release.plan.as_ref().filter(|plan| Some(*plan) != known_plan) {
            check_way_back(&package.release, plan, &releases)?;
        }
        // Without this word, whoever has edited kuzflow.toml would take the new rules for
        // published.
        let rules = self.settings().incremental_update.hot_swap();
        let has_others = package.release.hot_swap.as_ref().is_some_and(|signed| *signed != rules);
        if standing == Standing::Changed && has_others {
            remarks.push(Remark::RulesRetained);
        }
        Ok((standing, remarks))
    }

    /// A version that was taken out stays out unless the publisher asks for it. It can never be
    /// another build: there are installations of it.
    fn check_history(
        &self,
        targets: &Targets,
        package: &PackageToPublish,
        terms: &Terms,
    ) -> Result<(), PublishError> {
        let container = package.release.container.clone();
        let Some(files) = self.history_of(targets, &container)? else { return Ok(()) };
        let known =
            |files: BTreeMap<RelativePath, FileState>| -> BTreeMap<RelativePath, (Digest, u64)> {
                files.into_iter().map(|(path, state)| (path, (state.hash, state.size))).collect()
            };
        let patterns = self.settings().incremental_update.patterns();
        if known(files) != known(FileState::all(&package.manifest, patterns)) {
            return Err(PublishError::AlreadyPublished { container });
        }
        if terms.again { Ok(()) } else { Err(PublishError::Retired { container }) }
    }
}

/// Whether one of these notes differs from the published one of its language.
fn notes_differ(
    targets: &Targets,
    published: &Release,
    notes: &BTreeMap<String, PathBuf>,
) -> Result<bool, PublishError> {
    for (language, path) in notes {
        let (_, bytes) = read_notes(&published.container, language, path)?;
        let signed = match published.notes.get(language) {
            Some(name) => targets.targets.get(&target_name(name)?).and_then(hash_of),
            None => None,
        };
        if signed != Some(Digest::of(&bytes)) {
            return Ok(true);
        }
    }
    Ok(false)
}
