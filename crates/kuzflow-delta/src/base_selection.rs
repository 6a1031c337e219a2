//! Finds the base of each new file: the old file that its patch is made against.
//!
//! In: paths, sizes and digests of both trees, and a function that reads a file. Out: for each new
//! file its best base, and a second base where that holds parts that the first one lacks. Never:
//! the file system, a clock, randomness: the same trees give the same answer. A wrong answer costs
//! only bytes.
//!
//! A file with the same content anywhere is a move. For the others, [`names`] propose bases (the
//! same path, or one that differs in version numbers and hashes). [`sketch`]es propose bases as
//! well (from an inverted index of content samples), and they decide: content distinguishes files
//! that swapped names, and the name identifies a recompiled library that has another hash in its
//! name. Time is linear in the bytes read. The search reads each file at most once, and unchanged
//! old files only for new files that nothing else explains.

mod names;
mod sketch;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;

use names::{Name, RENUMBERED, SAME};
use sketch::Sketch;

/// Most old files that one sample or one name is looked up for: a sample or name that more files
/// share identifies nothing.
const MAX_CROWD: usize = 32;

/// Most old files that content proposes for one new file.
const MAX_CHOICE: usize = 6;

/// Most unchanged old files that are read for one new file.
const MAX_SEARCH: usize = 8;

/// What part of a new file has to be in an old one, in thousandths, to select that base by content
/// alone.
const MIN_SIMILARITY: u32 = 80;

/// What part of a new file a second base has to add, in thousandths.
const MIN_ADDITION: u32 = 100;

/// The tree that a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The installed version's tree.
    Old,
    /// The tree of the version that is being published.
    New,
}

/// A file of a tree. Links and folders have no base and appear in no tree here.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its path: relative, with `/` between folders.
    pub path: &'a str,
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of its content.
    pub digest: [u8; 32],
}

/// How much is read. A file beyond these limits is matched by its name and digest alone.
#[derive(Clone, Copy, Debug)]
pub struct SelectionLimits {
    /// Bytes read in all.
    pub all: u64,
    /// Bytes of the largest file read; one file is in memory at a time.
    pub one: u64,
}

impl Default for SelectionLimits {
    fn default() -> Self {
        Self { all: 8 << 30, one: 1 << 30 }
    }
}

/// How the base of a new file was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same content at the same path.
    Unchanged,
    /// The same content at another path: a clone, no patch.
    Moved,
    /// The file of the same path.
    SamePath,
    /// A file of another path.
    Descends,
}

/// The base of a new file. Old files are given by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaseFile {
    /// The best base.
    pub base: usize,
    /// How it was recognised.
    pub relation: Relation,
    /// About what part of the new file is in the base, in thousandths; `None` where either was not
    /// read.
    pub similarity: Option<u32>,
    /// A second base that holds parts which the first one lacks.
    pub second: Option<usize>,
}

/// Why the base selection failed.
#[derive(Debug, thiserror::Error)]
pub enum BaseSelectionError {
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file's path in its tree.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Reads a whole file of one tree.
pub type Read<'a> = dyn FnMut(Side, &str) -> io::Result<Vec<u8>> + 'a;

/// Finds the base of each file of `new`, in its order, among all files of `old`.
///
/// Both are whole trees, unchanged files included: the search needs to know which files are gone
/// and which stay. `None` means that no old file helps. An empty file that is new, or was not empty
/// before, has `None` as well. Returns the errors of `read`.
pub fn find(
    old: &[File<'_>],
    new: &[File<'_>],
    limits: SelectionLimits,
    read: &mut Read<'_>,
) -> Result<Vec<Option<BaseFile>>, BaseSelectionError> {
    let mut search = Search::new(old, new, limits);
    let mut bases: Vec<Option<BaseFile>> =
        (0..new.len()).map(|index| search.same_content(index)).collect();
    let open: Vec<usize> =
        (0..new.len()).filter(|index| bases[*index].is_none() && new[*index].size > 0).collect();
    if open.is_empty() {
        return Ok(bases);
    }
    let vanished = search.vanished().into_iter().map(|index| (Side::Old, index));
    search.read(vanished.chain(open.iter().map(|index| (Side::New, *index))).collect(), read)?;
    for index in &open {
        bases[*index] = search.best(*index);
    }
    let unexplained: Vec<usize> = open
        .into_iter()
        .filter(|index| !bases[*index].is_some_and(|bases| explains(&bases)))
        .collect();
    let siblings: BTreeSet<usize> =
        unexplained.iter().flat_map(|index| search.siblings(*index)).collect();
    search.read(siblings.into_iter().map(|index| (Side::Old, index)).collect(), read)?;
    for index in unexplained {
        bases[index] = search.best(index);
    }
    Ok(bases)
}

/// Whether this base is good enough, so that the search can leave out unchanged old files.
fn explains(bases: &BaseFile) -> bool {
    bases.relation == Relation::SamePath
        || bases.similarity.is_none_or(|similarity| similarity >= 500)
}

/// An old file as a possible base of a new one.
#[derive(Clone, Copy)]
struct Candidate {
    old: usize,
    nearness: u32,
    /// In thousandths, if both files were read; 0 where it may be chance.
    similarity: Option<u32>,
}

impl Candidate {
    /// Content counts, and up to twice as much where the name agrees: a file of another name has to
    /// be clearly better than the file of the same path. Where content is unknown, names decide.
    fn score(&self) -> u32 {
        (self.similarity.unwrap_or(300) + self.nearness / 20) * (1000 + self.nearness)
    }

    fn is_alike(&self) -> bool {
        self.similarity.is_some_and(|similarity| similarity >= MIN_SIMILARITY)
    }
}

/// Both trees with everything that is known about them so far.
struct Search<'a> {
    old: &'a [File<'a>],
    new: &'a [File<'a>],
    limits: SelectionLimits,
    old_names: Vec<Name<'a>>,
    new_names: Vec<Name<'a>>,
    old_sketches: Vec<Option<Sketch>>,
    new_sketches: Vec<Option<Sketch>>,
    old_by_path: HashMap<&'a str, usize>,
    new_by_path: HashMap<&'a str, usize>,
    old_by_digest: HashMap<[u8; 32], Vec<usize>>,
    /// Old files by each of [`keys`].
    old_by_name: HashMap<String, Vec<usize>>,
    /// Old files by their folder key, in the order of their paths.
    old_by_folder_key: HashMap<String, Vec<usize>>,
    /// Samples of old files with their files, ascending.
    samples: Vec<(u64, usize)>,
}

/// The keys under which a name is looked up: whole path, innermost folder and file, file; each
/// without versions and hashes.
fn keys(name: &Name<'_>) -> [String; 3] {
    // An absolute path and an empty folder cannot be names of the tree, so the three kinds stay
    // distinct.
    [
        format!("/{}", name.plain_path()),
        format!("//{}", name.plain_tail()),
        format!("///{}", name.file),
    ]
}

impl<'a> Search<'a> {
    fn new(old: &'a [File<'a>], new: &'a [File<'a>], limits: SelectionLimits) -> Self {
        let old_names: Vec<Name<'a>> = old.iter().map(|file| Name::new(file.path)).collect();
        let new_names = new.iter().map(|file| Name::new(file.path)).collect();
        let mut in_order: Vec<usize> = (0..old.len()).collect();
        in_order.sort_by_key(|index| old[*index].path);
        let (mut old_by_digest, mut old_by_name, mut old_by_folder_key) =
            (HashMap::new(), HashMap::new(), HashMap::new());
        for index in in_order {
            let list: &mut Vec<usize> = old_by_digest.entry(old[index].digest).or_default();
            list.push(index);
            for key in keys(&old_names[index]) {
                let list: &mut Vec<usize> = old_by_name.entry(key).or_default();
                list.push(index);
            }
            let list: &mut Vec<usize> =
                old_by_folder_key.entry(old_names[index].folder_key()).or_default();
            list.push(index);
        }
        let by_path = |files: &'a [File<'a>]| {
            files.iter().enumerate().map(|(index, file)| (file.path, index)).collect()
        };
        Self {
            old,
            new,
            limits,
            old_names,
            new_names,
            old_sketches: vec![None; old.len()],
            new_sketches: vec![None; new.len()],
            old_by_path: by_path(old),
            new_by_path: by_path(new),
            old_by_digest,
            old_by_name,
            old_by_folder_key,
            samples: Vec::new(),
        }
    }

    /// The old file with the same bytes; of several the one with the closest name.
    fn same_content(&self, index: usize) -> Option<BaseFile> {
        let file = &self.new[index];
        let unchanged =
            self.old_by_path.get(file.path).filter(|old| self.old[**old].digest == file.digest);
        let (base, relation) = match unchanged {
            Some(base) => (*base, Relation::Unchanged),
            None if file.size == 0 => return None,
            None => {
                let same = self.old_by_digest.get(&file.digest)?;
                let nearness =
                    |old: &&usize| self.old_names[**old].nearness(&self.new_names[index]);
                let base = same.iter().take(MAX_CROWD).rev().max_by_key(nearness)?;
                (*base, Relation::Moved)
            }
        };
        Some(BaseFile { base, relation, similarity: Some(SAME), second: None })
    }

    /// Old files whose content is nowhere in the new tree: the most likely bases of new files.
    fn vanished(&self) -> Vec<usize> {
        let staying: HashSet<[u8; 32]> = self.new.iter().map(|file| file.digest).collect();
        (0..self.old.len()).filter(|index| !staying.contains(&self.old[*index].digest)).collect()
    }

    /// Reads and sketches files that have no sketch yet, as far as the limits allow.
    fn read(
        &mut self,
        mut files: Vec<(Side, usize)>,
        read: &mut Read<'_>,
    ) -> Result<(), BaseSelectionError> {
        let (old, new) = (self.old, self.new);
        let file = |(side, index): (Side, usize)| match side {
            Side::Old => &old[index],
            Side::New => &new[index],
        };
        // Small files first: the search then reads more files before it reaches a limit.
        files.sort_by_key(|one| file(*one).size);
        for (side, index) in files {
            let File { path, size, .. } = *file((side, index));
            let sketch = match side {
                Side::Old => &mut self.old_sketches[index],
                Side::New => &mut self.new_sketches[index],
            };
            if sketch.is_some() || size == 0 || size > self.limits.one || size > self.limits.all {
                continue;
            }
            self.limits.all -= size;
            let content = read(side, path)
                .map_err(|source| BaseSelectionError::Read { path: path.to_owned(), source })?;
            *sketch = Some(Sketch::of(&content));
        }
        let sketches = self
            .old_sketches
            .iter()
            .enumerate()
            .filter_map(|(index, sketch)| Some((index, sketch.as_ref()?)));
        self.samples = sketches
            .flat_map(|(index, sketch)| sketch.samples().iter().map(move |sample| (*sample, index)))
            .collect();
        self.samples.sort_unstable();
        Ok(())
    }

    /// The best known base of a new file whose content is nowhere in the old tree.
    fn best(&self, index: usize) -> Option<BaseFile> {
        let new = &self.new[index];
        let mut proposed: BTreeSet<usize> = self.alike_by_name(index).collect();
        proposed.extend(self.alike_by_content(index));
        let candidates: Vec<Candidate> =
            proposed.into_iter().map(|old| self.compare(old, index)).collect();
        let order = |candidate: &&Candidate| {
            let old = &self.old[candidate.old];
            (candidate.score(), Reverse(old.size.abs_diff(new.size)), Reverse(old.path))
        };
        let best = candidates
            .iter()
            .filter(|candidate| self.is_base(candidate, index))
            .max_by_key(order)?;
        let addition = |candidate: &&Candidate| {
            let sketches = (
                &self.new_sketches[index],
                &self.old_sketches[best.old],
                &self.old_sketches[candidate.old],
            );
            let (Some(new), Some(first), Some(second)) = sketches else { return 0 };
            let added = new.added_by(second, first);
            if added.is_sure(new) { added.permille() } else { 0 }
        };
        let others = candidates
            .iter()
            .filter(|candidate| candidate.old != best.old && addition(candidate) >= MIN_ADDITION);
        let second = others.max_by_key(|candidate| (addition(candidate), order(candidate)));
        Some(BaseFile {
            base: best.old,
            relation: if best.nearness == SAME { Relation::SamePath } else { Relation::Descends },
            similarity: best.similarity,
            second: second.map(|candidate| candidate.old),
        })
    }

    fn compare(&self, old: usize, index: usize) -> Candidate {
        let nearness = self.old_names[old].nearness(&self.new_names[index]);
        let similarity = self.new_sketches[index]
            .as_ref()
            .zip(self.old_sketches[old].as_ref())
            .map(|(new, old)| {
                let shared = new.shared_with(old);
                if shared.is_sure(new) { shared.permille() } else { 0 }
            });
        Candidate { old, nearness, similarity }
    }

    /// Whether a candidate is more than a guess.
    fn is_base(&self, candidate: &Candidate, index: usize) -> bool {
        let old = &self.old[candidate.old];
        let replaced = candidate.nearness == RENUMBERED && !self.new_by_path.contains_key(old.path);
        candidate.nearness == SAME
            || candidate.is_alike()
            || replaced && are_commensurate(old.size, self.new[index].size)
    }

    fn alike_by_name(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let name = &self.new_names[index];
        let lists = keys(name).into_iter().filter_map(|key| self.old_by_name.get(&key));
        let small = lists.filter(|list| list.len() <= MAX_CROWD).flatten();
        small.chain(self.old_by_path.get(name.path)).copied()
    }

    /// The old files that share the most samples.
    fn alike_by_content(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for sample in self.new_sketches[index].iter().flat_map(Sketch::samples) {
            let from = self.samples.partition_point(|(other, _)| other < sample);
            let holders = self.samples[from..]
                .iter()
                .take_while(|(other, _)| other == sample)
                .take(MAX_CROWD + 1);
            if holders.clone().count() <= MAX_CROWD {
                holders.for_each(|(_, old)| *counts.entry(*old).or_default() += 1);
            }
        }
        let mut ranked: Vec<(usize, usize)> = counts.into_iter().collect();
        ranked.sort_by_key(|(old, count)| (Reverse(*count), self.old[*old].path));
        ranked.into_iter().take(MAX_CHOICE).map(|(old, _)| old)
    }

    /// Unread old files that an unexplained new file might be a copy of: files with almost the same
    /// name, or those beside it in the order of the same folder.
    fn siblings(&self, index: usize) -> Vec<usize> {
        let (new, name) = (&self.new[index], &self.new_names[index]);
        let folder_key =
            self.old_by_folder_key.get(&name.folder_key()).map_or(&[][..], Vec::as_slice);
        let place = folder_key.partition_point(|old| self.old[*old].path < new.path);
        let half = MAX_SEARCH / 2;
        let beside = &folder_key[place.saturating_sub(half)..folder_key.len().min(place + half)];
        let found: BTreeSet<usize> =
            self.alike_by_name(index).chain(beside.iter().copied()).collect();
        let unread = |old: &usize| {
            self.old_sketches[*old].is_none() && are_commensurate(self.old[*old].size, new.size)
        };
        let mut found: Vec<usize> = found.into_iter().filter(unread).collect();
        found
            .sort_by_key(|old| (Reverse(self.old_names[*old].nearness(name)), self.old[*old].path));
        found.truncate(MAX_SEARCH);
        found
    }
}

/// Whether one size is at most eight times the other.
fn are_commensurate(one: u64, other: u64) -> bool {
    one.min(other) >= one.max(other) / 8
}

#[cfg(test)]
mod tests;
