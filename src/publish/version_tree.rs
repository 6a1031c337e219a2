//! The version trees of a repository: one signed document for each app and platform, which grows
//! with each release that is published.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::Timestamp as Time;
use tough::schema::{Target, Targets};

use super::current::Current;
use super::entries::{release_of, target, target_name};
use super::error::{PublishError, at};
use super::keys::{Keyring, crypto};
use super::patches::{hash_of, signed_patch};
use super::project::Project;
use super::repository::{PackageToPublish, is_there};
use super::transaction::{Transaction, TransactionStep};
use crate::error_chain;
use crate::model::patch::Patch;
use crate::model::platform::{AppName, Platform};
use crate::model::version_tree::{FileState, MAX_VERSION_TREE_BYTES};
use crate::model::{ContainerId, Digest, RelativePath, Release, Version, VersionTree};

/// The steps for a change of trees: before the metadata is signed, and after it is in force.
#[derive(Debug, Default)]
pub(super) struct TreeSteps {
    pub(super) before: Vec<TransactionStep>,
    pub(super) after: Vec<TransactionStep>,
}

impl Project {
    /// Adds the releases of `packages`, which `targets` already names, to their version trees, and
    /// the trees to `targets`. A release that is in its tree stays unchanged, so that publishing it
    /// again changes nothing. Known sizes of packs are updated whenever a tree is written anyway.
    pub(super) fn grow_trees(
        &self,
        current: &Current,
        targets: &mut Targets,
        packages: &[PackageToPublish],
    ) -> Result<TreeSteps, PublishError> {
        let mut groups: BTreeMap<(&AppName, &Platform), Vec<&PackageToPublish>> = BTreeMap::new();
        for package in packages {
            let container = &package.release.container;
            groups.entry((&container.app, &container.platform)).or_default().push(package);
        }
        let mut steps = TreeSteps::default();
        for mut group in groups.into_values() {
            // Older releases first: they are parents of the newer ones.
            group.sort_by(|a, b| a.release.container.version.cmp(&b.release.container.version));
            self.grow_tree(current, targets, &group, &mut steps)?;
        }
        Ok(steps)
    }

    /// The same for packages of one app and platform.
    fn grow_tree(
        &self,
        current: &Current,
        targets: &mut Targets,
        packages: &[&PackageToPublish],
        steps: &mut TreeSteps,
    ) -> Result<(), PublishError> {
        let Some(container) = packages.first().map(|package| &package.release.container) else {
            return Ok(());
        };
        let name = VersionTree::target_name(container);
        let key = target_name(&name)?;
        let mut tree = targets
            .targets
            .get(&key)
            .and_then(|target| self.read_tree(&name, target))
            .unwrap_or_default();
        let released: BTreeMap<Version, (Release, u64)> = targets
            .targets
            .values()
            .filter_map(|target| Some((release_of(target)?, target.length)))
            .filter(|(release, _)| {
                release.container.app == container.app
                    && release.container.platform == container.platform
            })
            .map(|(release, length)| (release.container.version.clone(), (release, length)))
            .collect();
        let mut has_grown = false;
        for package in packages {
            let version = &package.release.container.version;
            if tree.node(version).is_some() {
                continue;
            }
            // The newest older release of the same channel that the tree contains. A folder from
            // before there were trees has other releases as well.
            let can_be_parent = |(older, (release, _)): &(&Version, &(Release, u64))| {
                release.channel == package.release.channel && tree.node(older).is_some()
            };
            let parent =
                released.range(..version).rev().find(can_be_parent).map(|(older, _)| older.clone());
            let files =
                FileState::all(&package.manifest, self.settings().incremental_update.patterns());
            let full_size = released.get(version).map_or(0, |(_, length)| *length);
            tree.add(version, parent.as_ref(), files, full_size);
            has_grown = true;
        }
        if !has_grown {
            return Ok(());
        }
        self.put_tree(current, targets, container, tree, steps)
    }

    /// Prepares version trees with the sizes of the packs that are published by now. Packs are made
    /// for releases that are published, and the offline keys sign trees, so this step comes last.
    /// The transaction is empty if the trees have these sizes already.
    pub fn tell_patch_sizes(
        &self,
        keyring: &Keyring,
        now: Time,
    ) -> Result<Transaction, PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let mut targets = current.content();
        let containers: BTreeMap<String, ContainerId> = targets
            .targets
            .values()
            .filter_map(release_of)
            .map(|release| (VersionTree::target_name(&release.container), release.container))
            .collect();
        let mut trees = TreeSteps::default();
        for (name, container) in &containers {
            let target = targets.targets.get(&target_name(name)?);
            if let Some(tree) = target.and_then(|target| self.read_tree(name, target)) {
                self.put_tree(&current, &mut targets, container, tree, &mut trees)?;
            }
        }
        let mut steps = Vec::new();
        if targets.targets != current.content().targets {
            steps.extend(trees.before);
            steps.extend(self.new_targets(&current, targets, keyring, now)?);
            steps.extend(trees.after);
        }
        Ok(Transaction::new(lock, steps))
    }

    /// Puts the tree of `container`'s app and platform into `targets`, with the sizes of the
    /// published packs.
    fn put_tree(
        &self,
        current: &Current,
        targets: &mut Targets,
        container: &ContainerId,
        mut tree: VersionTree,
        steps: &mut TreeSteps,
    ) -> Result<(), PublishError> {
        let name = VersionTree::target_name(container);
        let packs = current.packs();
        let packs: Vec<(Patch, u64)> = packs
            .iter()
            .filter_map(|(name, target)| signed_patch(name.raw(), target))
            .filter(|pack| {
                pack.patch.to.app == container.app && pack.patch.to.platform == container.platform
            })
            .map(|pack| (pack.patch, pack.length))
            .collect();
        tree.set_patch_sizes(|from, to| {
            packs
                .iter()
                .find(|(patch, _)| patch.from.version == *from && patch.to.version == *to)
                .map(|(_, length)| *length)
        });
        let bytes = tree
            .json_within(MAX_VERSION_TREE_BYTES)
            .map_err(|error| crypto("write a version tree", error))?;
        let (hash, length) = (Digest::of(&bytes), bytes.len() as u64);
        let destination = self.targets_folder().join(format!("{hash}.{name}"));
        if !is_there(&destination, hash, length)? {
            steps.before.push(TransactionStep::Write { path: destination.clone(), bytes });
        }
        steps.after.extend(self.other_trees(&name, &destination)?);
        targets.targets.insert(target_name(&name)?, target(hash, length, HashMap::new()));
        Ok(())
    }

    /// Every release in the version trees of `targets`, also those that are no longer published.
    pub(super) fn histories(&self, targets: &Targets) -> Vec<ContainerId> {
        let app = &self.settings().app;
        let mut found = Vec::new();
        for (name, target) in &targets.targets {
            let Some(platform) = platform_of_tree(app, name.raw()) else { continue };
            let Some(tree) = self.read_tree(name.raw(), target) else { continue };
            let container = |version: &Version| ContainerId {
                app: app.clone(),
                version: version.clone(),
                platform: platform.clone(),
            };
            found.extend(tree.nodes().map(|(version, _)| container(version)));
        }
        found
    }

    /// The files of a release in its version tree, whether it is published or not; `None` if the
    /// tree does not contain it.
    pub(super) fn history_of(
        &self,
        targets: &Targets,
        container: &ContainerId,
    ) -> Result<Option<BTreeMap<RelativePath, FileState>>, PublishError> {
        let name = VersionTree::target_name(container);
        let tree = targets
            .targets
            .get(&target_name(&name)?)
            .and_then(|target| self.read_tree(&name, target));
        Ok(tree.and_then(|tree| tree.files_of(&container.version)))
    }

    /// Reads a published tree; `None`, with a warning, if its file is lost or damaged: a tree is a
    /// convenience, and no release waits for it.
    fn read_tree(&self, name: &str, target: &Target) -> Option<VersionTree> {
        let hash = hash_of(target)?;
        let path = self.targets_folder().join(format!("{hash}.{name}"));
        let complain =
            |reason: String| tracing::warn!("{} is begun anew: {reason}", path.display());
        let bytes = std::fs::read(&path).inspect_err(|error| complain(error.to_string())).ok()?;
        if Digest::of(&bytes) != hash {
            complain("it is not what was signed".to_owned());
            return None;
        }
        VersionTree::from_json(&bytes).inspect_err(|error| complain(error_chain::line(error))).ok()
    }

    /// Steps that remove every other version of a tree: each version contains everything from the
    /// ones before it.
    fn other_trees(
        &self,
        name: &str,
        retained: &Path,
    ) -> Result<Vec<TransactionStep>, PublishError> {
        let folder = self.targets_folder();
        let end = format!(".{name}");
        let mut steps = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(at(&folder))? {
            let path = entry.map_err(at(&folder))?.path();
            let is_tree = path
                .file_name()
                .and_then(|file| file.to_str()?.strip_suffix(&end))
                .is_some_and(|digest| digest.parse::<Digest>().is_ok());
            if is_tree && path != retained {
                steps.push(TransactionStep::Remove { path });
            }
        }
        Ok(steps)
    }
}

/// The platform of the tree that a target of this name contains.
fn platform_of_tree(app: &AppName, name: &str) -> Option<Platform> {
    name.strip_prefix(app.as_str())?.strip_prefix('_')?.strip_suffix(".versions.json")?.parse().ok()
}
