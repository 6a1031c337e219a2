//! Makes packs for releases that are published, or about to be: selects the pairs, decides whether
//! a pack is worth publishing, and predicts what a running app can take over from it.
//!
//! In: the packages in the repository, the tables on patches in `kuzflow.toml`. Out: a pack in a
//! temporary file of the publisher's folder and its description, for [`Project::add_patches`]; or
//! the reason for its absence. Never: a signature, an unverified package.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp as Time;
use tempfile::NamedTempFile;

use super::entries::release_of;
use super::error::{PublishError, at};
use super::keys::Keyring;
use super::patches::{PackToPublish, hash_of};
use super::project::Project;
use super::release_trees::{PackageTree, TreeError};
use super::repository::PackageToPublish;
use super::transaction::when_free;
use crate::durable;
use crate::host;
use crate::model::hot_swap::Difference;
use crate::model::pattern::AppPatterns;
use crate::model::{ContainerId, Digest, Manifest, Patch, Platform, SignedPatch, Version};
use crate::pack::{
    self, APPLY_MEMORY, Choice, FileChange, MadePack, MakeOptions, MakePackError, Tree as _,
};
use crate::settings::Algorithm;

/// Folder in the publisher's folder where packs are written before they are published.
const FOLDER: &str = "making";
/// An older pack there belongs to a process that was killed.
const MAX_MAKING_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Why making a pack failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackMakingError {
    /// One of the two packages is missing or refused.
    #[error("the package of {container} cannot be used")]
    Package { container: ContainerId, source: Box<TreeError> },
    /// The two packages cannot be compared.
    #[error("the pack from {from} to {to} cannot be made")]
    Make {
        /// The version that the pack starts from.
        from: Version,
        /// The version that the pack makes.
        to: Version,
        source: Box<MakePackError>,
    },
    /// An error of the repository or its folder.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// A package that packs start from or lead to.
#[derive(Clone, Debug)]
pub struct ContainerSource {
    pub container: ContainerId,
    pub channel: String,
    /// The package.
    pub path: PathBuf,
    /// Bytes of the package.
    pub length: u64,
    pub manifest: Digest,
}

impl ContainerSource {
    /// Describes a package that is about to be published.
    pub fn of(package: &PackageToPublish) -> Result<Self, PublishError> {
        let (path, release) = (&package.path, &package.release);
        Ok(Self {
            container: release.container.clone(),
            channel: release.channel.clone(),
            path: path.clone(),
            length: fs::metadata(path).map_err(at(path))?.len(),
            manifest: release.manifest.hash,
        })
    }
}

/// Why a pack is not published although it could be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Unworthy {
    /// `incremental_update.enabled` is false.
    #[error("kuzflow.toml says incremental_update.enabled = false")]
    SwitchedOff,
    /// The pack is larger than `incremental_update.max_patch_size`.
    #[error("it has {length} bytes, max_patch_size allows {limit}")]
    TooLarge {
        /// Bytes of the pack.
        length: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// The pack is not smaller than `fallback.fallback_threshold` of the package.
    #[error("it has {length} bytes, which saves too little of the package's {package}")]
    SavesTooLittle {
        /// Bytes of the pack.
        length: u64,
        /// Bytes of the package.
        package: u64,
    },
    /// Applying the pack needs more memory than `performance.max_memory_usage`.
    #[error("applying it needs {needed} bytes of memory, max_memory_usage allows {limit}")]
    Memory {
        /// Bytes it needs.
        needed: u64,
        /// Bytes it may need.
        limit: u64,
    },
}

/// The result for a pair of releases.
#[derive(Debug)]
pub(crate) enum Making {
    /// Its pack is published already, for exactly these releases.
    Known(SignedPatch),
    /// A pack that is worth publishing.
    Made(NewPack),
    /// No pack of this pair is worth publishing; this is reported, and it is no error.
    Refused(Unworthy),
}

/// A pack that waits to be published; its file is deleted with this value.
#[derive(Debug)]
pub struct NewPack {
    file: NamedTempFile,
    /// Its description.
    pub patch: Patch,
    /// Bytes of the pack.
    pub length: u64,
    /// Bytes of the package that the pack replaces.
    pub package: u64,
}

impl NewPack {
    /// The pack in the form that [`Project::add_patches`] takes.
    pub fn to_publish(&self) -> PackToPublish {
        PackToPublish { path: self.file.path().to_owned(), patch: self.patch.clone() }
    }
}

impl Project {
    /// The packages of all published releases.
    pub fn sources(&self) -> Result<Vec<ContainerSource>, PublishError> {
        let current = self.current()?;
        let content = current.content();
        let targets = content.targets.iter();
        let source = |(name, target): (&tough::TargetName, &tough::schema::Target)| {
            let release = release_of(target)?;
            Some(ContainerSource {
                path: self.targets_folder().join(format!("{}.{}", hash_of(target)?, name.raw())),
                container: release.container,
                channel: release.channel,
                length: target.length,
                manifest: release.manifest.hash,
            })
        };
        let mut sources: Vec<ContainerSource> = targets.filter_map(source).collect();
        sources.sort_by(|a, b| a.container.cmp(&b.container));
        Ok(sources)
    }

    /// The package of a published release.
    ///
    /// # Errors
    /// [`PublishError::NoSuchRelease`] if the release is not published.
    pub fn source(&self, container: &ContainerId) -> Result<ContainerSource, PublishError> {
        let found = self.sources()?.into_iter().find(|source| source.container == *container);
        found.ok_or_else(|| PublishError::NoSuchRelease { version: container.version.clone() })
    }

    /// The pairs of releases with these versions, one for each platform, or for the given one.
    ///
    /// # Errors
    /// [`PublishError::NoSuchRelease`] if one of the versions is not published,
    /// [`PublishError::Options`] if no platform has both.
    pub fn pairs(
        &self,
        from: &Version,
        to: &Version,
        platform: Option<&Platform>,
    ) -> Result<Vec<(ContainerSource, ContainerSource)>, PublishError> {
        let sources = self.sources()?;
        let of = |version: &Version| -> Result<Vec<&ContainerSource>, PublishError> {
            let wanted = |source: &&ContainerSource| {
                platform.is_none_or(|platform| source.container.platform == *platform)
            };
            let all = sources.iter().filter(|source| source.container.version == *version);
            let found: Vec<&ContainerSource> = all.filter(wanted).collect();
            if found.is_empty() {
                Err(PublishError::NoSuchRelease { version: version.clone() })
            } else {
                Ok(found)
            }
        };
        let (olds, newer) = (of(from)?, of(to)?);
        let pairs: Vec<(ContainerSource, ContainerSource)> = newer
            .into_iter()
            .filter_map(|new| {
                let same = |old: &&&ContainerSource| {
                    old.container.platform == new.container.platform
                        && old.container.app == new.container.app
                };
                Some(((*olds.iter().find(same)?).clone(), new.clone()))
            })
            .filter(|(old, new)| old.container != new.container)
            .collect();
        match pairs.is_empty() {
            true => Err(PublishError::Options(format!(
                "no platform has both {from} and {to}, or they are the same"
            ))),
            false => Ok(pairs),
        }
    }

    /// Publishes packs, all in one step for clients. If another publisher is working in the folder,
    /// it waits for that one, at most this long. Returns whether anything changed.
    ///
    /// # Errors
    /// The same as for [`Project::add_patches`].
    pub fn publish_packs(
        &self,
        packs: &[NewPack],
        keyring: &Keyring,
        timeout: Duration,
    ) -> Result<bool, PublishError> {
        let packs: Vec<PackToPublish> = packs.iter().map(NewPack::to_publish).collect();
        let transaction = when_free(timeout, || self.add_patches(&packs, keyring, host::now()))?;
        let changes = !transaction.is_empty();
        transaction.run()?;
        Ok(changes)
    }
}

/// The releases among `published` that packs to `to` start from: the newest `latest` older ones of
/// its channel and platform.
pub(crate) fn earlier<'a>(
    published: &'a [ContainerSource],
    to: &ContainerSource,
    latest: usize,
) -> Vec<&'a ContainerSource> {
    let concerned = |source: &&ContainerSource| {
        let (old, new) = (&source.container, &to.container);
        old.app == new.app
            && old.platform == new.platform
            && old.version < new.version
            && source.channel == to.channel
    };
    let mut found: Vec<&ContainerSource> = published.iter().filter(concerned).collect();
    found.sort_by(|a, b| b.container.version.cmp(&a.container.version));
    found.truncate(latest);
    found
}

/// Makes packs. It holds the last target open, since several packs lead to each new release.
pub(crate) struct PackMaker {
    project: Project,
    threads: usize,
    target: Option<(PathBuf, Arc<PackageTree>)>,
}

impl PackMaker {
    /// A pack maker for this folder that uses `threads` cores.
    pub(crate) fn new(project: &Project, threads: usize) -> Self {
        Self { project: project.clone(), threads: threads.max(1), target: None }
    }

    /// Makes the pack of a pair, unless it exists. `progress` receives the finished bytes of both
    /// sides, from any thread.
    pub(crate) fn make(
        &mut self,
        from: &ContainerSource,
        to: &ContainerSource,
        now: Time,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Making, PackMakingError> {
        let incremental = self.project.settings().incremental_update.clone();
        if !incremental.enabled {
            return Ok(Making::Refused(Unworthy::SwitchedOff));
        }
        let same = |known: &SignedPatch| {
            let patch = &known.patch;
            (&patch.from, patch.base_manifest) == (&from.container, from.manifest)
                && (&patch.to, patch.target_manifest) == (&to.container, to.manifest)
        };
        if let Some(known) = self.project.patches()?.into_iter().find(same) {
            return Ok(Making::Known(known));
        }
        let limit = self.project.settings().performance.max_memory_usage;
        if limit < APPLY_MEMORY {
            return Ok(Making::Refused(Unworthy::Memory { needed: APPLY_MEMORY, limit }));
        }
        let old = open(from, self.threads)?;
        let new = self.target(to)?;
        let mut file = self.temporary()?;
        let made = {
            let mut out = BufWriter::new(file.as_file_mut());
            let made = pack::make(&old, &*new, self.options(), &mut out, progress);
            let made =
                made.and_then(|made| out.flush().map(|()| made).map_err(MakePackError::Write));
            made.map_err(|source| PackMakingError::Make {
                from: from.container.version.clone(),
                to: to.container.version.clone(),
                source: source.into(),
            })?
        };
        let length = made.length;
        if length > incremental.max_patch_size {
            return Ok(Making::Refused(Unworthy::TooLarge {
                length,
                limit: incremental.max_patch_size,
            }));
        }
        if length as f64 >= self.project.settings().fallback.fallback_threshold * to.length as f64 {
            return Ok(Making::Refused(Unworthy::SavesTooLittle { length, package: to.length }));
        }
        let patch = describe(
            from,
            to,
            &made,
            (old.manifest(), new.manifest()),
            incremental.patterns(),
            now,
        );
        Ok(Making::Made(NewPack { file, patch, length, package: to.length }))
    }

    /// The tree of a target, opened once for several pairs.
    fn target(&mut self, to: &ContainerSource) -> Result<Arc<PackageTree>, PackMakingError> {
        if let Some((path, tree)) = &self.target
            && *path == to.path
        {
            return Ok(tree.clone());
        }
        // The previous tree is dropped first: memory need not hold two large trees.
        self.target = None;
        let tree = Arc::new(open(to, self.threads)?);
        self.target = Some((to.path.clone(), tree.clone()));
        Ok(tree)
    }

    fn options(&self) -> MakeOptions {
        let settings = self.project.settings();
        let choice = match settings.performance.compression_algorithm {
            Algorithm::Auto => Choice::Smallest,
            Algorithm::Aligned => Choice::Only(pack::Algorithm::Aligned),
            Algorithm::Zstd => Choice::Only(pack::Algorithm::Zstd),
            Algorithm::Bsdiff4 => Choice::Only(pack::Algorithm::Bsdiff4),
        };
        let memory = settings.incremental_update.making_memory;
        MakeOptions {
            choice,
            threads: self.threads,
            memory,
            most_heavy: MakeOptions::MAX_HEAVY_BYTES,
        }
    }

    fn temporary(&self) -> Result<NamedTempFile, PublishError> {
        let folder = self.project.folder().join(FOLDER);
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        remove_old(&folder).map_err(at(&folder))?;
        durable::temporary(&folder.join("pack")).map_err(at(&folder))
    }
}

fn open(source: &ContainerSource, threads: usize) -> Result<PackageTree, PackMakingError> {
    PackageTree::open(&source.path, threads).map_err(|error| PackMakingError::Package {
        container: source.container.clone(),
        source: error.into(),
    })
}

/// Removes the files of processes that were killed.
fn remove_old(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let old = |modified: SystemTime| modified.elapsed().is_ok_and(|age| age > MAX_MAKING_TIME);
        if entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(old) {
            // Another process may have removed the file already.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn describe(
    from: &ContainerSource,
    to: &ContainerSource,
    made: &MadePack,
    (old, new): (&Manifest, &Manifest),
    patterns: AppPatterns<'_>,
    now: Time,
) -> Patch {
    let count = |change| made.count(change) as u64;
    let difference = Difference::between(old, new, patterns);
    Patch {
        from: from.container.clone(),
        to: to.container.clone(),
        base_manifest: from.manifest,
        target_manifest: to.manifest,
        cloned: made.cloned,
        patched: count(FileChange::Patched),
        added: count(FileChange::Added),
        removed: count(FileChange::Removed),
        written: made.written,
        memory: APPLY_MEMORY,
        created: now,
        requires_restart: difference.requires_restart,
        hot_swappable: difference.modules,
        piece_size: 0,
        pieces: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
