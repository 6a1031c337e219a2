//! A pack made: what changed between two trees, which old file each new one is made from, groups coded on several cores, and the
//! result applied once in memory before anyone signs it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::group::{self, Class, GroupError};
use super::outline::{Content, Fate, Made, Outline};
use super::{Algorithm, Group, MAGIC, PackError, fresh, numbers, outline_base, write_groups};
use crate::delta::align::{self, Options};
use crate::delta::coder::{self, CoderError, Nature, STREAMS};
use crate::delta::forecast::{PlainForecast, ReadAt};
use crate::delta::kin::{self, Relation};
use crate::model::{Digest, Hasher, Manifest, RelativePath};
use crate::parallel;

/// A release's files.
pub trait Tree: Sync {
    /// What they are.
    fn manifest(&self) -> &Manifest;
    /// The content of one of them.
    fn read(&self, path: &RelativePath) -> io::Result<Vec<u8>>;
}

/// Which algorithm to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The smallest for each group.
    #[default]
    Smallest,
    /// This one wherever it can be used.
    Only(Algorithm),
}

/// How to make a pack.
#[derive(Clone, Copy, Debug)]
pub struct MakeOptions {
    /// Which algorithm.
    pub choice: Choice,
    /// Cores to use.
    pub threads: usize,
    /// Memory to take, bytes: fewer cores are used where it does not suffice for all of them, and alignment works in windows.
    pub memory: u64,
    /// Bytes without a counterpart that have the heavy model at most ([`MakeOptions::MOST_HEAVY`]); all others share streams.
    pub most_heavy: u64,
}

impl MakeOptions {
    /// What is best for users: such bytes take about 3 microseconds each with the heavy model, in the streams that groups share a hundredth
    /// of one. Enough for a small update, which should be as small as can be, and less than a second in a large one, where shared streams
    /// are hardly larger.
    pub const MOST_HEAVY: u64 = 288 << 10;
}

/// A pack that was made.
#[derive(Clone, Debug)]
pub struct MadePack {
    /// Bytes of the pack.
    pub length: u64,
    /// Bytes of its outline, the manifest's change included.
    pub outline: u64,
    /// What became of each file that is not as it was.
    pub verdicts: Vec<Verdict>,
    /// Files taken over as they are, moved ones included.
    pub cloned: u64,
    /// Bytes of the files that applying it writes.
    pub written: u64,
}

/// What became of one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Its path in the target; in the base if it is removed.
    pub path: RelativePath,
    /// `patched`, `added`, `moved`, `attributes` or `removed`.
    pub what: &'static str,
    /// The file of the base it is made from, if that has another path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<RelativePath>,
    /// Its length, bytes.
    pub size: u64,
    /// How it is coded, if the pack makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// Its share of its group's bytes.
    pub packed: u64,
}

/// Why a pack was not made.
#[derive(Debug, thiserror::Error)]
pub enum MakePackError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: RelativePath,
        /// Why.
        source: io::Error,
    },
    /// A file that may be what another one descends from cannot be read.
    #[error("cannot find what the new files descend from")]
    Kin(#[from] kin::KinError),
    /// The pack cannot be written.
    #[error("cannot write the patch pack")]
    Write(#[source] io::Error),
    /// A group cannot be coded.
    #[error("cannot code {path} and what goes with it")]
    Code {
        /// The group's first file.
        path: RelativePath,
        /// Why.
        source: GroupError,
    },
    /// The outline cannot be written.
    #[error("cannot describe the difference of the two releases")]
    Outline(#[from] PackError),
    /// What was made does not come back: a fault of this program.
    #[error("the patch of {path} does not give its file back")]
    Unsound {
        /// The group's first file.
        path: RelativePath,
    },
    /// The shared stream does not come back: a fault of this program.
    #[error("the fresh bytes of the patch do not come back")]
    UnsoundFresh,
}

/// Bases and targets of a group of small files at most, bytes. Larger groups share more and are applied on fewer cores.
const LARGEST_GROUP: u64 = 8 << 20;
/// A file from this size on, bytes, is its own group.
const OWN_GROUP: u64 = 1 << 20;
/// Memory that coding one byte of a group takes about, bytes: suffixes, lanes, both sides.
const MEMORY_A_BYTE: u64 = 16;

/// Writes the pack that leads from `old` to `new` to `out`. `progress` is told the bytes of new files that are done, from any thread.
pub fn make(
    old: &dyn Tree,
    new: &dyn Tree,
    options: MakeOptions,
    out: &mut dyn Write,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<MadePack, MakePackError> {
    let plan = Plan::new(old, new)?;
    let jobs = plan.jobs((old, new), options)?;
    let (coded, fresh) = code(&plan, &jobs, (old, new), options, progress)?;
    let mut groups = Vec::new();
    let (mut at, mut fresh_at) = (0, [0; STREAMS]);
    for (job, coded) in jobs.iter().zip(&coded) {
        let span = at..at + coded.bytes.len() as u64;
        at = span.end;
        let from = fresh_at;
        fresh_at = std::array::from_fn(|number| from[number] + coded.fresh[number]);
        let fresh = std::array::from_fn(|number| from[number]..fresh_at[number]);
        groups.push(Group { algorithm: coded.algorithm, span, fresh, members: job.members.clone() });
    }
    let shared = pack_fresh(&fresh, options)?;
    let lengths = shared.each_ref().map(Vec::len);
    let head = write_outline(&plan.outline, (old.manifest(), new.manifest()), &groups, lengths)?;
    out.write_all(&head).map_err(MakePackError::Write)?;
    for coded in &coded {
        out.write_all(&coded.bytes).map_err(MakePackError::Write)?;
    }
    for stream in &shared {
        out.write_all(stream).map_err(MakePackError::Write)?;
    }
    let shares = std::array::from_fn(|number| lengths[number] as f64 / fresh[number].len().max(1) as f64);
    let verdicts = plan.verdicts(old.manifest(), &jobs, &coded, shares);
    let made: Vec<&Made> = plan.outline.made().map(|(_, made)| made).collect();
    Ok(MadePack {
        length: head.len() as u64 + at + lengths.iter().sum::<usize>() as u64,
        outline: head.len() as u64,
        cloned: plan.outline.fates.values().filter(|fate| matches!(fate.content, Content::Old(_))).count() as u64,
        written: made.iter().map(|made| made.size).sum(),
        verdicts,
    })
}

/// For each new or changed file the old one that it descends from.
fn kin_of(old: &dyn Tree, new: &dyn Tree) -> Result<HashMap<RelativePath, (RelativePath, Relation)>, MakePackError> {
    fn files(manifest: &Manifest) -> Vec<kin::File<'_>> {
        manifest
            .files_with_bytes()
            .map(|(path, entry)| kin::File { path: path.as_str(), size: entry.size, digest: *entry.hash.as_bytes() })
            .collect()
    }
    let (olds, news) = (files(old.manifest()), files(new.manifest()));
    let mut read = |side: kin::Side, path: &str| {
        let path: RelativePath = path.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        if side == kin::Side::Old { old.read(&path) } else { new.read(&path) }
    };
    let found = kin::find(&olds, &news, kin::Limits::default(), &mut read)?;
    let mut bases = HashMap::new();
    for (file, kin) in news.iter().zip(found) {
        let paths = kin.map(|kin| (olds[kin.base].path.parse(), kin.relation));
        if let (Ok(path), Some((Ok(base), relation))) = (file.path.parse(), paths) {
            bases.insert(path, (base, relation));
        }
    }
    Ok(bases)
}

/// The pack's beginning: magic, check, outline.
fn write_outline(
    outline: &Outline,
    (base, target): (&Manifest, &Manifest),
    groups: &[Group],
    fresh: [usize; STREAMS],
) -> Result<Vec<u8>, MakePackError> {
    let digests: Vec<Digest> = outline.made().filter_map(|(path, _)| Some(target.file_manifest.get(path)?.hash)).collect();
    if outline.manifest(base, &digests)? != *target {
        return Err(PackError::Form("it does not give the target's manifest back").into());
    }
    let json = target.to_json().map_err(PackError::from)?;
    let mut streams = outline.write(base)?;
    write_groups(&mut streams.numbers, groups, fresh);
    let old = outline_base(base)?;
    let joined = [&streams.head[..], &streams.names, &streams.numbers].concat();
    let unwritable = |error: CoderError| MakePackError::Outline(PackError::Outline(error));
    let steps = align::align(&old, &joined, &Options::text()).map_err(|error| unwritable(error.into()))?;
    let fresh = steps.iter().map(|step| step.fresh).sum();
    let options = coder::Options::for_target(Nature::Text, joined.len() as u64, fresh);
    let mut packed = Vec::new();
    let mut forecast = PlainForecast::new(&old);
    coder::encode(&old, &joined, &steps, options, &mut forecast, (&mut packed, &mut Default::default())).map_err(unwritable)?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&Digest::of(&json).as_bytes()[..4]);
    for length in [packed.len(), streams.head.len(), streams.names.len(), streams.numbers.len()] {
        numbers::put(&mut out, length as u64);
    }
    out.extend(packed);
    Ok(out)
}

/// What becomes of each file.
struct Plan {
    outline: Outline,
    /// The paths that the pack makes, by number, with what each is made from.
    made: Vec<(RelativePath, Option<RelativePath>)>,
}

impl Plan {
    fn new(old: &dyn Tree, new: &dyn Tree) -> Result<Self, MakePackError> {
        let (base, target) = (old.manifest(), new.manifest());
        let mut kin = kin_of(old, new)?;
        let mut fates = BTreeMap::new();
        for (path, entry) in &target.file_manifest {
            let own = base.file_manifest.get(path).filter(|old| old.has_bytes());
            let content = match (&entry.symlink, own) {
                (Some(target), _) => Content::Link(target.clone()),
                _ if entry.size == 0 => Content::Empty,
                (_, Some(own)) if own.hash == entry.hash => Content::Old(path.clone()),
                _ => match kin.remove(path) {
                    Some((other, Relation::Unchanged | Relation::Moved)) => Content::Old(other),
                    found => Content::Made(Made { size: entry.size, base: found.map(|(base, _)| base) }),
                },
            };
            fates.insert(path.clone(), Fate { content, permissions: entry.permissions, mtime: entry.mtime });
        }
        let head = Manifest { file_manifest: BTreeMap::new(), ..target.clone() };
        let outline = Outline { head, fates };
        let made = outline.made().map(|(path, made)| (path.clone(), made.base.clone())).collect();
        Ok(Self { outline, made })
    }

    /// The groups: files of one class, neighbours by kind and name together.
    fn jobs(&self, (old, new): (&dyn Tree, &dyn Tree), options: MakeOptions) -> Result<Vec<Job>, MakePackError> {
        let alone = options.choice == Choice::Only(Algorithm::Bsdiff4);
        let mut files = Vec::new();
        for (number, (path, made)) in self.outline.made().enumerate() {
            let class = Class::of(&read(new, path)?);
            let base = made.base.as_ref().and_then(|base| old.manifest().file_manifest.get(base)).map_or(0, |entry| entry.size);
            let extension = path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension);
            let fresh = if base == 0 { made.size } else { made.size / class.bytes_for_a_fresh_one() };
            files.push((class, made.size > OWN_GROUP, extension, path, number, (made.size + base, fresh)));
        }
        files.sort();
        let mut jobs: Vec<Job> = Vec::new();
        for (class, large, _, _, number, (weight, fresh)) in files {
            match jobs.last_mut() {
                Some(job) if job.class == class && !large && !alone && job.weight + weight <= LARGEST_GROUP => {
                    job.members.push(number);
                    job.weight += weight;
                    job.fresh += fresh;
                }
                _ => jobs.push(Job { class, apart: false, members: vec![number], weight, fresh }),
            }
        }
        // The jobs with least to code have the heavy model, as far as time allows.
        let mut order: Vec<&mut Job> = jobs.iter_mut().collect();
        order.sort_by_key(|job| job.fresh);
        let mut total = 0;
        for job in order {
            total += job.fresh;
            job.apart = total > options.most_heavy;
        }
        Ok(jobs)
    }

    /// `shared` is what a fresh byte in each shared stream costs there.
    fn verdicts(&self, base: &Manifest, jobs: &[Job], coded: &[Coded], shared: [f64; STREAMS]) -> Vec<Verdict> {
        let mut shares = HashMap::new();
        for (job, coded) in jobs.iter().zip(coded) {
            let fresh: f64 = coded.fresh.iter().zip(shared).map(|(fresh, shared)| *fresh as f64 * shared).sum();
            let bytes = coded.bytes.len() as f64 + fresh;
            for (number, share) in job.members.iter().zip(&coded.shares) {
                shares.insert(&self.made[*number].0, (coded.algorithm, (bytes * share) as u64));
            }
        }
        let mut verdicts = Vec::new();
        for (path, fate) in &self.outline.fates {
            let old = base.file_manifest.get(path);
            let verdict = |what, base: Option<&RelativePath>, size, algorithm, packed| Verdict {
                path: path.clone(),
                what,
                base: base.filter(|base| *base != path).cloned(),
                size,
                algorithm,
                packed,
            };
            match &fate.content {
                Content::Made(made) => {
                    let (algorithm, packed) =
                        shares.get(path).map_or((None, 0), |(algorithm, packed)| (Some(*algorithm), *packed));
                    let what = if made.base.is_some() { "patched" } else { "added" };
                    verdicts.push(verdict(what, made.base.as_ref(), made.size, algorithm, packed));
                }
                Content::Old(other) => {
                    let size = base.file_manifest.get(other).map_or(0, |entry| entry.size);
                    if other != path {
                        verdicts.push(verdict("moved", Some(other), size, None, 0));
                    } else if old.is_some_and(|old| old.permissions != fate.permissions) {
                        verdicts.push(verdict("attributes", None, size, None, 0));
                    }
                }
                Content::Empty | Content::Link(_) => {
                    let same = old.is_some_and(|old| match (&fate.content, &old.symlink) {
                        (Content::Link(target), Some(old)) => target == old,
                        (Content::Empty, None) => old.size == 0,
                        _ => false,
                    });
                    if !same {
                        verdicts.push(verdict(if old.is_some() { "patched" } else { "added" }, None, 0, None, 0));
                    }
                }
            }
        }
        for (path, entry) in base.file_manifest.iter().filter(|(path, _)| !self.outline.fates.contains_key(*path)) {
            let path = path.clone();
            verdicts.push(Verdict { path, what: "removed", base: None, size: entry.size, algorithm: None, packed: 0 });
        }
        verdicts
    }
}

/// A group that is to be coded.
struct Job {
    class: Class,
    /// Its fresh bytes go to the shared stream: there are so many that the heavy model would take longer than fetching everything.
    apart: bool,
    members: Vec<usize>,
    /// Bytes of bases and targets together.
    weight: u64,
    /// About how many bytes have no counterpart.
    fresh: u64,
}

/// A group that was coded.
struct Coded {
    algorithm: Algorithm,
    bytes: Vec<u8>,
    /// How many fresh bytes it leaves to each shared stream.
    fresh: [u64; STREAMS],
    /// For each member, its share of what the group costs.
    shares: Vec<f64>,
}

fn read(tree: &dyn Tree, path: &RelativePath) -> Result<Vec<u8>, MakePackError> {
    tree.read(path).map_err(|source| MakePackError::Read { path: path.clone(), source })
}

/// The shared streams, proved like the groups.
fn pack_fresh(streams: &[Vec<u8>; STREAMS], options: MakeOptions) -> Result<[Vec<u8>; STREAMS], MakePackError> {
    let packed: [Mutex<Vec<u8>>; STREAMS] = Default::default();
    let work = |(): &mut (), number: &usize| {
        let bytes = &streams[*number];
        if bytes.is_empty() {
            return Ok(());
        }
        let made = fresh::pack(bytes, *number, options.memory).map_err(MakePackError::Write)?;
        let mut back = Vec::with_capacity(bytes.len());
        let unpacked = fresh::unpack(&made[..], *number, bytes.len() as u64);
        unpacked.and_then(|mut unpacked| unpacked.read_to_end(&mut back)).map_err(MakePackError::Write)?;
        if back != *bytes {
            return Err(MakePackError::UnsoundFresh);
        }
        *packed[*number].lock().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    };
    parallel::each(&std::array::from_fn::<_, STREAMS, _>(|number| number), options.threads, || (), work)?;
    Ok(packed.map(|packed| packed.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Codes all jobs, the heaviest first, on as many cores as memory allows; gives what they leave to the shared stream as well.
fn code(
    plan: &Plan,
    jobs: &[Job],
    trees: (&dyn Tree, &dyn Tree),
    options: MakeOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(Vec<Coded>, [Vec<u8>; STREAMS]), MakePackError> {
    let mut queue: Vec<usize> = (0..jobs.len()).collect();
    queue.sort_by_key(|index| std::cmp::Reverse(jobs[*index].weight));
    let results: Mutex<BTreeMap<usize, (Coded, [Vec<u8>; STREAMS])>> = Mutex::default();
    let work = |(): &mut (), index: &usize| -> Result<(), MakePackError> {
        let coded = jobs[*index].code(plan, trees, options)?;
        progress(jobs[*index].weight);
        results.lock().unwrap_or_else(PoisonError::into_inner).insert(*index, coded);
        Ok(())
    };
    let heaviest = queue.first().map_or(0, |index| jobs[*index].weight);
    let fit = options.memory / (heaviest * MEMORY_A_BYTE).max(64 << 20);
    let threads = options.threads.min(usize::try_from(fit).unwrap_or(usize::MAX));
    parallel::each(&queue, threads, || (), work)?;
    let (mut all, mut shared) = (Vec::new(), <[Vec<u8>; STREAMS]>::default());
    for (coded, fresh) in results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values() {
        all.push(coded);
        shared.iter_mut().zip(fresh).for_each(|(shared, fresh)| shared.extend(fresh));
    }
    Ok((all, shared))
}

impl Job {
    fn code(
        &self,
        plan: &Plan,
        (old, new): (&dyn Tree, &dyn Tree),
        options: MakeOptions,
    ) -> Result<(Coded, [Vec<u8>; STREAMS]), MakePackError> {
        let made = &plan.made;
        let mut seen = BTreeSet::new();
        let (mut bases, mut target, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        for number in &self.members {
            let (path, base) = &made[*number];
            if let Some(base) = base.as_ref().filter(|base| seen.insert((*base).clone())) {
                bases.push(read(old, base)?);
            }
            let content = read(new, path)?;
            sizes.push(content.len() as u64);
            target.extend(content);
        }
        let first = || made[self.members[0]].0.clone();
        let sources: Vec<&dyn ReadAt> = bases.iter().map(|base| base as &dyn ReadAt).collect();
        let total = sizes.iter().sum::<u64>().max(1);
        for (algorithm, coarseness) in self.candidates(options.choice) {
            let (mut bytes, mut fresh) = (Vec::new(), Default::default());
            let how = (&sizes[..], self.apart, coarseness);
            let coded = group::encode(algorithm, self.class, &sources, &target, how, (&mut bytes, &mut fresh));
            coded.map_err(|source| MakePackError::Code { path: first(), source })?;
            // The first that a client can apply is the one wanted most.
            if self.comes_back(algorithm, (&bytes, &fresh), &sources, &sizes, &target) {
                let shares = sizes.iter().map(|size| *size as f64 / total as f64).collect();
                let lengths = fresh.each_ref().map(|fresh| fresh.len() as u64);
                return Ok((Coded { algorithm, bytes, fresh: lengths, shares }, fresh));
            }
        }
        Err(MakePackError::Unsound { path: first() })
    }

    /// What is tried, one after another, until a client can apply it: the algorithm, and how coarse its steps are. Ours made less than
    /// the two others on every group of every pair that was measured (benches/deltas), so nothing else is tried first.
    fn candidates(&self, choice: Choice) -> Vec<(Algorithm, u32)> {
        let aligned = [1, 4, 16].map(|coarseness| (Algorithm::Aligned, coarseness));
        let first = match choice {
            // bsdiff 4 knows one file with one base.
            Choice::Only(Algorithm::Bsdiff4) if self.members.len() == 1 => Some(Algorithm::Bsdiff4),
            Choice::Only(Algorithm::Bsdiff4 | Algorithm::Zstd) => Some(Algorithm::Zstd),
            Choice::Only(Algorithm::Aligned) | Choice::Smallest => None,
        };
        first.map(|algorithm| (algorithm, 1)).into_iter().chain(aligned).collect()
    }

    /// Decodes what was coded: nothing leaves the publisher that does not come back.
    fn comes_back(
        &self,
        algorithm: Algorithm,
        (mut bytes, fresh): (&[u8], &[Vec<u8>; STREAMS]),
        bases: &[&dyn ReadAt],
        sizes: &[u64],
        target: &[u8],
    ) -> bool {
        let mut hasher = Hasher::default();
        let mut sink = |bytes: &[u8]| {
            hasher.update(bytes);
            Ok(())
        };
        let memory = super::apply::MEMORY_OF_A_GROUP;
        let mut fresh = fresh.each_ref().map(|fresh| &fresh[..]);
        let fresh = fresh.each_mut().map(|fresh| fresh as &mut dyn Read);
        let decoded = group::decode(algorithm, bases, sizes, (&mut bytes, fresh), memory, &mut sink);
        decoded.is_ok() && hasher.finish() == Digest::of(target)
    }
}
