//! Plans the fate of each file of the target, and reports it.
//!
//! In: two trees. Out: fates, which files are made from which, verdicts. Never: the coding of a
//! byte.

use std::collections::{BTreeMap, HashMap};
use std::{fmt, io};

use serde::Serialize;

use super::coding_job::{Coded, CodingJob};
use super::error::MakePackError;
use super::input::Tree;
use crate::model::{Manifest, RelativePath};
use crate::pack::algorithm::Algorithm;
use crate::pack::outline::{Content, Fate, Made, Outline};
use kuzflow_delta::base_selection::{self, Relation};
use kuzflow_delta::coder::STREAMS;

/// The fate of each file.
pub(super) struct Plan {
    /// All fates.
    pub outline: Outline,
    /// The paths that the pack makes, by number, with the base of each.
    pub made: Vec<(RelativePath, Option<RelativePath>)>,
}

impl Plan {
    /// Compares two trees.
    pub(super) fn new(old: &dyn Tree, new: &dyn Tree) -> Result<Self, MakePackError> {
        let (base, target) = (old.manifest(), new.manifest());
        let mut base_file = base_of(old, new)?;
        let mut fates = BTreeMap::new();
        for (path, entry) in &target.file_manifest {
            let own = base.file_manifest.get(path).filter(|old| old.has_bytes());
            let content = match (&entry.symlink, own) {
                (Some(target), _) => Content::Link(target.clone()),
                _ if entry.size == 0 => Content::Empty,
                (_, Some(own)) if own.hash == entry.hash => Content::Old(path.clone()),
                _ => match base_file.remove(path) {
                    Some((other, Relation::Unchanged | Relation::Moved)) => Content::Old(other),
                    found => {
                        Content::Made(Made { size: entry.size, base: found.map(|(base, _)| base) })
                    }
                },
            };
            fates.insert(
                path.clone(),
                Fate { content, permissions: entry.permissions, mtime: entry.mtime },
            );
        }
        let head = Manifest { file_manifest: BTreeMap::new(), ..target.clone() };
        let outline = Outline { head, fates };
        let made = outline.made().map(|(path, made)| (path.clone(), made.base.clone())).collect();
        Ok(Self { outline, made })
    }

    /// The verdict on each file that changed; `shared` is the cost of a literal in each shared
    /// stream.
    pub(super) fn verdicts(
        &self,
        base: &Manifest,
        jobs: &[CodingJob],
        coded: &[Coded],
        shared: [f64; STREAMS],
    ) -> Vec<Verdict> {
        let shares = self.shares(jobs, coded, shared);
        let changed = self.outline.fates.iter().filter_map(|(path, fate)| {
            let share = shares.get(path).copied();
            fate_verdict(path, fate, base, share)
        });
        let removed =
            base.file_manifest.iter().filter(|(path, _)| !self.outline.fates.contains_key(*path));
        let removed = removed
            .map(|(path, entry)| Verdict::without_bytes(path, FileChange::Removed, entry.size));
        changed.chain(removed).collect()
    }

    /// How each made file was coded, and its share of the pack in bytes.
    fn shares(
        &self,
        jobs: &[CodingJob],
        coded: &[Coded],
        shared: [f64; STREAMS],
    ) -> HashMap<&RelativePath, (Algorithm, u64)> {
        let mut shares = HashMap::new();
        for (job, coded) in jobs.iter().zip(coded) {
            let literals: f64 = coded
                .literals
                .iter()
                .zip(shared)
                .map(|(literals, shared)| *literals as f64 * shared)
                .sum();
            let bytes = coded.bytes.len() as f64 + literals;
            for (number, share) in job.members.iter().zip(&coded.shares) {
                shares.insert(&self.made[*number].0, (coded.algorithm, (bytes * share) as u64));
            }
        }
        shares
    }
}

/// The verdict on a file of the new release, whose bytes in the pack are `share`; `None` if nothing
/// about it changed.
fn fate_verdict(
    path: &RelativePath,
    fate: &Fate,
    base: &Manifest,
    share: Option<(Algorithm, u64)>,
) -> Option<Verdict> {
    let old = base.file_manifest.get(path);
    match &fate.content {
        Content::Made(made) => Some(Verdict {
            path: path.clone(),
            what: if made.base.is_some() { FileChange::Patched } else { FileChange::Added },
            base: made.base.clone().filter(|base| base != path),
            size: made.size,
            algorithm: share.map(|(algorithm, _)| algorithm),
            packed: share.map_or(0, |(_, packed)| packed),
        }),
        Content::Old(other) => {
            let size = base.file_manifest.get(other).map_or(0, |entry| entry.size);
            if other != path {
                let moved = Verdict::without_bytes(path, FileChange::Moved, size);
                Some(Verdict { base: Some(other.clone()), ..moved })
            } else {
                old.is_some_and(|old| old.permissions != fate.permissions)
                    .then(|| Verdict::without_bytes(path, FileChange::Attributes, size))
            }
        }
        Content::Empty | Content::Link(_) => {
            let same = old.is_some_and(|old| match (&fate.content, &old.symlink) {
                (Content::Link(target), Some(old)) => target == old,
                (Content::Empty, None) => old.size == 0,
                _ => false,
            });
            let what = if old.is_some() { FileChange::Patched } else { FileChange::Added };
            (!same).then(|| Verdict::without_bytes(path, what, 0))
        }
    }
}

/// Finds the base of each new or changed file.
fn base_of(
    old: &dyn Tree,
    new: &dyn Tree,
) -> Result<HashMap<RelativePath, (RelativePath, Relation)>, MakePackError> {
    fn files(manifest: &Manifest) -> Vec<base_selection::File<'_>> {
        manifest
            .files_with_bytes()
            .map(|(path, entry)| base_selection::File {
                path: path.as_str(),
                size: entry.size,
                digest: *entry.hash.as_bytes(),
            })
            .collect()
    }
    let (olds, new_files) = (files(old.manifest()), files(new.manifest()));
    let mut read = |side: base_selection::Side, path: &str| {
        let path: RelativePath =
            path.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        if side == base_selection::Side::Old { old.read(&path) } else { new.read(&path) }
    };
    let found = base_selection::find(
        &olds,
        &new_files,
        base_selection::SelectionLimits::default(),
        &mut read,
    )?;
    let mut bases = HashMap::new();
    for (file, base_file) in new_files.iter().zip(found) {
        let paths =
            base_file.map(|base_file| (olds[base_file.base].path.parse(), base_file.relation));
        if let (Ok(path), Some((Ok(base), relation))) = (file.path.parse(), paths) {
            bases.insert(path, (base, relation));
        }
    }
    Ok(bases)
}

/// What a pack does to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChange {
    /// It has other content than the base's file at this path, or than a similar file of the base.
    Patched,
    /// Nothing in the base is like it.
    Added,
    /// Its content is that of a file at another path of the base.
    Moved,
    /// Its content stays, and its permissions change.
    Attributes,
    /// The target lacks it.
    Removed,
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Patched => "patched",
            Self::Added => "added",
            Self::Moved => "moved",
            Self::Attributes => "attributes",
            Self::Removed => "removed",
        })
    }
}

/// The fate of one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Its path in the target; in the base if it is removed.
    pub path: RelativePath,
    /// What happens to it.
    pub what: FileChange,
    /// The file of the base that it is made from, if that has another path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<RelativePath>,
    /// Its length in bytes.
    pub size: u64,
    /// The algorithm that coded it, if the pack makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// Its share of its group's bytes.
    pub packed: u64,
}

impl Verdict {
    /// The verdict on a file for which the pack has no bytes.
    fn without_bytes(path: &RelativePath, what: FileChange, size: u64) -> Self {
        Self { path: path.clone(), what, base: None, size, algorithm: None, packed: 0 }
    }
}
