//! Applies a patch pack to the files on this disk. Where a base is damaged or missing, the groups
//! that need it wait until it is repaired, and are then applied once more. The other groups are
//! applied only once.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable;
use crate::error_chain;
use crate::messages::problem;
use crate::messages::protocol::Problem;
use crate::model::{Digest, Manifest, RelativePath, SignedPatch};
use crate::pack::{self, Applied, ApplyOptions, Bases, FileBytes, Group, Pack, PackError};
use crate::parallel;
use crate::store::contents::Contents;

/// Most cores in use while the user works.
const MAX_CORES: usize = 4;

/// The threads that an update works on.
pub(super) fn workers() -> usize {
    parallel::workers().min(MAX_CORES)
}

/// A release's verified manifest, with its bytes.
pub(super) struct ApplyTarget {
    pub manifest: Arc<Manifest>,
    /// The manifest's bytes, as signed.
    pub json: Arc<Vec<u8>>,
}

/// Why a pack was not applied.
pub(super) enum ApplyFailure {
    /// The pack is at fault.
    Pack(PackError),
    /// This computer is at fault: another strategy would not help.
    Local(Problem),
}

impl From<PackError> for ApplyFailure {
    fn from(error: PackError) -> Self {
        Self::Pack(error)
    }
}

impl Bases for Contents {
    fn open(&self, _: &RelativePath, digest: &Digest) -> Option<File> {
        Contents::open(self, digest)
    }
}

/// A pack that is being applied: what it has made so far, and which bases it lacks.
pub(super) struct Application {
    signed: SignedPatch,
    base: Arc<Manifest>,
    bytes: Arc<FileBytes>,
    folder: PathBuf,
    pack: Pack,
    made: Vec<Option<Applied>>,
    /// The groups still to apply.
    left: Vec<Group>,
    /// Base files that the remaining groups need, and of which this disk has no intact copy.
    lacking: BTreeSet<RelativePath>,
}

impl Application {
    /// Opens the pack in `file`. It creates `folder`, for the files that the pack makes.
    pub(super) fn open(
        file: &Path,
        signed: SignedPatch,
        base: Arc<Manifest>,
        folder: PathBuf,
    ) -> Result<Self, ApplyFailure> {
        durable::create_folders(&folder)
            .map_err(|error| ApplyFailure::Local(problem::of_disk(&folder, &error)))?;
        let bytes =
            File::open(file).and_then(FileBytes::new).map_err(|error| match error.kind() {
                // A missing file was not fetched, and that was logged.
                std::io::ErrorKind::NotFound => ApplyFailure::Pack(PackError::NoPack),
                _ => ApplyFailure::Local(problem::of_disk(file, &error)),
            })?;
        let pack = Pack::open(&bytes, &base)?;
        // The signed size bounds what is written, whatever the pack claims.
        let sizes = pack.outline.made().map(|(_, made)| made.size);
        if sizes.fold(0u64, u64::saturating_add) > signed.patch.written {
            return Err(ApplyFailure::Pack(PackError::Form(
                "it makes more than its description says",
            )));
        }
        let (made, left) = (vec![None; pack.outline.made().count()], pack.groups.clone());
        Ok(Self {
            signed,
            base,
            bytes: Arc::new(bytes),
            folder,
            pack,
            made,
            left,
            lacking: BTreeSet::new(),
        })
    }

    /// Drops all groups except those that make one of the wanted files of the target.
    pub(super) fn only(&mut self, wanted: &dyn Fn(&RelativePath) -> bool) {
        let numbers: BTreeSet<usize> = self
            .pack
            .outline
            .made()
            .enumerate()
            .filter(|(_, (path, _))| wanted(path))
            .map(|(number, _)| number)
            .collect();
        self.left.retain(|group| group.members.iter().any(|member| numbers.contains(member)));
    }

    /// Applies the remaining groups; those that lack a base remain once more. New files go into
    /// `contents`, and files that turn out to be damaged are removed from it. `progress` gets the
    /// number of files made so far, from any thread.
    pub(super) fn run(
        &mut self,
        contents: &mut Contents,
        options: ApplyOptions<'_>,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<(), ApplyFailure> {
        let mut part = self.pack.clone();
        part.groups = std::mem::take(&mut self.left);
        self.lacking.clear();
        let before = self.made.iter().flatten().count();
        let on_progress = |count| progress(before + count);
        let (made, failed) = pack::apply(
            &part,
            &*self.bytes,
            &self.base,
            contents,
            &self.folder,
            options,
            &on_progress,
        )?;
        for (number, applied) in
            made.into_iter().enumerate().filter_map(|(number, made)| Some((number, made?)))
        {
            contents.insert(applied.digest, applied.path.clone());
            self.made[number] = Some(applied);
        }
        for failed in &failed {
            tracing::warn!(
                error = error_chain::line(failed),
                pack = self.signed.target,
                "a part of a patch pack fails"
            );
            if let pack::Failed::File(error) = failed
                && error.is_disk_full()
            {
                return Err(ApplyFailure::Local(problem::of_disk(&error.path, &error.source)));
            }
        }
        // Verifying the bases of failed groups shows whether the bases were at fault.
        let mut proofs = HashMap::new();
        for group in part.groups {
            if group
                .members
                .iter()
                .all(|member| self.made.get(*member).is_some_and(Option::is_some))
            {
                continue;
            }
            let mut for_want = false;
            for path in self.pack.bases_of(&group) {
                let Some(entry) = self.base.file_manifest.get(path) else { continue };
                let forgotten =
                    *proofs.entry(entry.hash).or_insert_with(|| contents.prove(&entry.hash));
                let held = contents.holds(&entry.hash);
                for_want |= forgotten > 0 || !held;
                if !held {
                    self.lacking.insert(path.clone());
                }
            }
            if for_want {
                self.left.push(group);
            }
        }
        Ok(())
    }

    /// The release that the pack starts from.
    pub(super) fn base(&self) -> &Arc<Manifest> {
        &self.base
    }

    /// Whether some groups wait for a base.
    pub(super) fn waits(&self) -> bool {
        !self.left.is_empty()
    }

    /// Base files that have to be repaired first, each content once. Empty if the remaining groups
    /// can be applied at once.
    pub(super) fn lacking(&self) -> Vec<RelativePath> {
        let mut seen = BTreeSet::new();
        let hash = |path: &RelativePath| self.base.file_manifest.get(path).map(|entry| entry.hash);
        self.lacking
            .iter()
            .filter(|path| hash(path).is_some_and(|hash| seen.insert(hash)))
            .cloned()
            .collect()
    }

    /// Bytes of the missing bases, and of the files that wait for them.
    pub(super) fn at_stake(&self) -> (u64, u64) {
        let bases = self.lacking();
        let sizes: Vec<u64> = self.pack.outline.made().map(|(_, made)| made.size).collect();
        let bases = bases
            .iter()
            .filter_map(|path| self.base.file_manifest.get(path))
            .map(|entry| entry.size);
        let files = self
            .left
            .iter()
            .flat_map(|group| &group.members)
            .filter_map(|member| sizes.get(*member).copied());
        (bases.fold(0, u64::saturating_add), files.fold(0, u64::saturating_add))
    }

    /// Number of files that the pack has not made.
    pub(super) fn lost(&self) -> u64 {
        self.made.iter().filter(|made| made.is_none()).count() as u64
    }

    /// The release that the pack leads to, if every group was applied.
    pub(super) fn target(&self) -> Option<ApplyTarget> {
        let made: Vec<Digest> = self
            .made
            .iter()
            .map(|made| made.as_ref().map(|applied| applied.digest))
            .collect::<Option<_>>()?;
        let name = &self.signed.target;
        match self.pack.manifest(&self.base, &made) {
            Ok((manifest, json)) if Digest::of(&json) == self.signed.patch.target_manifest => {
                Some(ApplyTarget { manifest: Arc::new(manifest), json: Arc::new(json) })
            }
            // All files are made, and some are wrong: the signed manifest will show which.
            Ok(_) => {
                tracing::warn!(pack = name, "what a patch pack makes is not what was signed");
                None
            }
            Err(error) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    pack = name,
                    "a patch pack makes no manifest"
                );
                None
            }
        }
    }
}
