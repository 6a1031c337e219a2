//! The groups of a pack: selects which files are coded together, aligns them, then codes them on
//! several cores and proves each group by decoding it.
//!
//! Between alignment and coding it decides whose literals get the heavy model, and whose go to the
//! streams that all groups share: only then is the number of literals known. In: a plan and the two
//! trees. Out: coded groups and packed streams, all proved. Never: a group that does not decode to
//! its files. The work takes about as much memory as the caller allows, and the literals of all
//! large groups once; a group that needs more for itself is coded alone, with what it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Mutex;

use super::coding_job::{Coded, CodingJob};
use super::error::MakePackError;
use super::input::{Choice, MakeOptions, Tree, read};
use super::plan::Plan;
use crate::model::{Digest, Hasher, RelativePath};
use crate::mutex;
use crate::pack::group::{self, Alignment, Class, Contents};
use crate::pack::{Algorithm, apply, literals};
use crate::parallel;
use kuzflow_delta::coder::STREAMS;
use kuzflow_delta::prediction::ReadAt;

/// Most bytes of bases and targets in a group of small files. Larger groups share more and use
/// fewer cores when they are applied.
const MAX_GROUP_BYTES: u64 = 8 << 20;
/// A file of at least this size, in bytes, is a group alone.
const OWN_GROUP: u64 = 1 << 20;
/// Bytes of memory that coding takes for each byte of a group, about: suffixes, diagonals, both
/// sides.
const MEMORY_A_BYTE: u64 = 16;

/// The literals that may have the heavy model are a small part if there are more than this many
/// times as many literals in all.
const SMALL_PART: u64 = 8;

/// The literals that a group leaves to the shared streams.
type Left = [Vec<u8>; STREAMS];

/// Plans the groups: files of one class, with files of like kind and name together.
pub(super) fn plan(
    plan: &Plan,
    (old, new): (&dyn Tree, &dyn Tree),
    options: MakeOptions,
) -> Result<Vec<CodingJob>, MakePackError> {
    let alone = options.choice == Choice::Only(Algorithm::Bsdiff4);
    let mut files = Vec::new();
    for (number, (path, made)) in plan.outline.made().enumerate() {
        let class = Class::of(&read(new, path)?);
        let base = made
            .base
            .as_ref()
            .and_then(|base| old.manifest().file_manifest.get(base))
            .map_or(0, |entry| entry.size);
        let extension = path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension);
        files.push((class, made.size > OWN_GROUP, extension, path, number, made.size + base));
    }
    files.sort();
    let mut jobs: Vec<CodingJob> = Vec::new();
    for (class, large, _, _, number, weight) in files {
        match jobs.last_mut() {
            Some(job)
                if job.class == class
                    && !large
                    && !alone
                    && job.weight + weight <= MAX_GROUP_BYTES =>
            {
                job.members.push(number);
                job.weight += weight;
            }
            _ => jobs.push(CodingJob { class, members: vec![number], weight }),
        }
    }
    Ok(jobs)
}

/// Which jobs leave their literals to the shared streams. The jobs with fewest literals have the
/// heavy model, as far as time allows, but not if they are a small part of all literals: there it
/// would save less than a hundredth. On dense bytes it could save nothing.
fn apart(jobs: &[CodingJob], alignments: &[Option<Alignment>], most_heavy: u64) -> Vec<bool> {
    let literals = |(number, alignment): (usize, &Option<Alignment>)| {
        Some((alignment.as_ref()?.literals(), number))
    };
    let mut order: Vec<(u64, usize)> = alignments.iter().enumerate().filter_map(literals).collect();
    order.sort_unstable();
    let dense = |number: usize| jobs[number].class == Class::Dense;
    let all: u64 =
        order.iter().filter(|(_, number)| !dense(*number)).map(|(literals, _)| literals).sum();
    let most_heavy = if all > most_heavy.saturating_mul(SMALL_PART) { 0 } else { most_heavy };
    let mut apart = vec![false; jobs.len()];
    let mut total = 0;
    for (literals, number) in order {
        total += if dense(number) { 0 } else { literals };
        apart[number] = dense(number) || total > most_heavy;
    }
    apart
}

/// Codes all jobs, the heaviest first, on as many cores as memory allows. Also returns the packed
/// shared streams, and how many bytes each has unpacked. `progress` receives bytes of bases and
/// targets, all of them in the end.
#[expect(clippy::type_complexity, reason = "three results of one step")]
pub(super) fn code(
    plan: &Plan,
    jobs: &[CodingJob],
    trees: (&dyn Tree, &dyn Tree),
    options: MakeOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(Vec<Coded>, [Vec<u8>; STREAMS], [u64; STREAMS]), MakePackError> {
    let alignments = each(jobs, options, |_, job| {
        let aligned = job.align(plan, trees, options);
        progress(job.weight / 2);
        aligned
    })?;
    let apart = apart(jobs, &alignments, options.most_heavy);
    let prepared: Vec<Mutex<Option<Alignment>>> = alignments.into_iter().map(Mutex::new).collect();
    let coded = each(jobs, options, |number, job| {
        let alignment = mutex::lock(&prepared[number]).take();
        let coded = job.code(plan, trees, options, (alignment, apart[number]));
        progress(job.weight - job.weight / 2);
        coded
    })?;
    let mut lengths = [0; STREAMS];
    for (coded, _) in &coded {
        lengths.iter_mut().zip(coded.literals).for_each(|(sum, length)| *sum += length);
    }
    let mut all = Vec::with_capacity(coded.len());
    let mut shared = lengths.map(|length| Vec::with_capacity(usize::try_from(length).unwrap_or(0)));
    for (coded, literals) in coded {
        all.push(coded);
        shared.iter_mut().zip(literals).for_each(|(shared, literals)| shared.extend(literals));
    }
    Ok((all, pack_literals(shared, options)?, lengths))
}

/// Runs `work` on each job, the heaviest first, on as many cores as memory allows.
fn each<T: Send>(
    jobs: &[CodingJob],
    options: MakeOptions,
    work: impl Fn(usize, &CodingJob) -> Result<T, MakePackError> + Sync,
) -> Result<Vec<T>, MakePackError> {
    let mut queue: Vec<usize> = (0..jobs.len()).collect();
    queue.sort_by_key(|number| std::cmp::Reverse(jobs[*number].weight));
    let heaviest = queue.first().map_or(0, |number| jobs[*number].weight);
    let fit = options.memory / (heaviest * MEMORY_A_BYTE).max(64 << 20);
    let threads = options.threads.min(usize::try_from(fit).unwrap_or(usize::MAX));
    let results: Mutex<BTreeMap<usize, T>> = Mutex::default();
    let one = |(): &mut (), number: &usize| -> Result<(), MakePackError> {
        let done = work(*number, &jobs[*number])?;
        mutex::lock(&results).insert(*number, done);
        Ok(())
    };
    parallel::each(&queue, threads, || (), one)?;
    Ok(mutex::into_inner(results).into_values().collect())
}

/// Packs the shared streams, proved like the groups. Each is freed as soon as it is packed.
fn pack_literals(streams: Left, options: MakeOptions) -> Result<Left, MakePackError> {
    let streams = streams.map(Mutex::new);
    let take = |number: usize| std::mem::take(&mut *mutex::lock(&streams[number]));
    let memory = options.memory / options.threads.clamp(1, STREAMS) as u64;
    let work = |(): &mut (), number: &usize| -> Result<(), MakePackError> {
        let bytes = take(*number);
        let packed = if bytes.is_empty() {
            bytes
        } else {
            literals::pack(bytes, *number, memory).map_err(MakePackError::Literals)?
        };
        *mutex::lock(&streams[*number]) = packed;
        Ok(())
    };
    parallel::each(
        &std::array::from_fn::<_, STREAMS, _>(|number| number),
        options.threads,
        || (),
        work,
    )?;
    Ok(std::array::from_fn(take))
}

/// The old and new files of a job, in memory.
struct Loaded {
    bases: Vec<Vec<u8>>,
    target: Vec<u8>,
    sizes: Vec<u64>,
}

impl CodingJob {
    fn load(
        &self,
        plan: &Plan,
        (old, new): (&dyn Tree, &dyn Tree),
    ) -> Result<Loaded, MakePackError> {
        let mut seen = BTreeSet::new();
        let mut loaded = Loaded { bases: Vec::new(), target: Vec::new(), sizes: Vec::new() };
        for number in &self.members {
            let (path, base) = &plan.made[*number];
            if let Some(base) = base.as_ref().filter(|base| seen.insert((*base).clone())) {
                loaded.bases.push(read(old, base)?);
            }
            let content = read(new, path)?;
            loaded.sizes.push(content.len() as u64);
            loaded.target.extend(content);
        }
        Ok(loaded)
    }

    fn first(&self, plan: &Plan) -> RelativePath {
        plan.made[self.members[0]].0.clone()
    }

    /// Aligns the group with its bases, if it is to be coded that way.
    fn align(
        &self,
        plan: &Plan,
        trees: (&dyn Tree, &dyn Tree),
        options: MakeOptions,
    ) -> Result<Option<Alignment>, MakePackError> {
        if !matches!(self.candidates(options.choice).first(), Some((Algorithm::Aligned, _))) {
            return Ok(None);
        }
        let loaded = self.load(plan, trees)?;
        let sources: Vec<&dyn ReadAt> =
            loaded.bases.iter().map(|base| base as &dyn ReadAt).collect();
        let aligned = group::align(self.contents(&loaded, &sources), false, 1);
        Ok(Some(aligned.map_err(|source| MakePackError::Code { path: self.first(plan), source })?))
    }

    fn contents<'a>(&self, loaded: &'a Loaded, bases: &'a [&'a dyn ReadAt]) -> Contents<'a> {
        Contents { class: self.class, bases, target: &loaded.target, lengths: &loaded.sizes }
    }

    fn code(
        &self,
        plan: &Plan,
        trees: (&dyn Tree, &dyn Tree),
        options: MakeOptions,
        (alignment, apart): (Option<Alignment>, bool),
    ) -> Result<(Coded, Left), MakePackError> {
        let loaded = self.load(plan, trees)?;
        let sources: Vec<&dyn ReadAt> =
            loaded.bases.iter().map(|base| base as &dyn ReadAt).collect();
        let contents = self.contents(&loaded, &sources);
        // Text has another alignment where old bytes do not help to predict its literals.
        let mut alignment = alignment.filter(|_| !(apart && self.class == Class::Text));
        let total = loaded.target.len().max(1) as f64;
        let mut refused = None;
        for (algorithm, coarseness) in self.candidates(options.choice) {
            let (mut bytes, mut literals) = (Vec::new(), Left::default());
            let coded = match algorithm {
                Algorithm::Aligned => alignment
                    .take()
                    .map_or_else(|| group::align(contents, apart, coarseness), Ok)
                    .and_then(|aligned| {
                        group::encode(contents, &aligned, apart, (&mut bytes, &mut literals))
                    }),
                _ => group::encode_otherwise(algorithm, contents, &mut bytes),
            };
            if let Err(error) = coded {
                refused = Some(error);
                continue;
            }
            // The first algorithm in the list whose result a client can apply is the preferred one.
            if comes_back(algorithm, (&bytes, &literals), contents) {
                let shares = loaded.sizes.iter().map(|size| *size as f64 / total).collect();
                let lengths = literals.each_ref().map(|literals| literals.len() as u64);
                return Ok((Coded { algorithm, bytes, literals: lengths, shares }, literals));
            }
        }
        let path = self.first(plan);
        Err(refused.map_or(MakePackError::Unsound { path: path.clone() }, |source| {
            MakePackError::Code { path, source }
        }))
    }

    /// The candidates, tried one after another until a client can apply the result: the algorithm,
    /// and how coarse its instructions are. Our own made smaller results than the two others on
    /// almost every group of every measured pair (benches/deltas), so it is the first.
    fn candidates(&self, choice: Choice) -> Vec<(Algorithm, u32)> {
        let aligned = [1, 4, 16].map(|coarseness| (Algorithm::Aligned, coarseness));
        let first = match choice {
            // bsdiff 4 supports one file with one base.
            Choice::Only(Algorithm::Bsdiff4) if self.members.len() == 1 => Some(Algorithm::Bsdiff4),
            Choice::Only(Algorithm::Bsdiff4 | Algorithm::Zstd) => Some(Algorithm::Zstd),
            Choice::Only(Algorithm::Aligned) | Choice::Smallest => None,
        };
        let last = (choice == Choice::Smallest).then_some((Algorithm::Zstd, 1));
        first.map(|algorithm| (algorithm, 1)).into_iter().chain(aligned).chain(last).collect()
    }
}

/// Decodes the coded group: nothing leaves the publisher that does not decode to its files.
fn comes_back(
    algorithm: Algorithm,
    (mut bytes, literals): (&[u8], &Left),
    contents: Contents<'_>,
) -> bool {
    let mut hasher = Hasher::default();
    let mut sink = |bytes: &[u8]| {
        hasher.update(bytes);
        Ok(())
    };
    let mut literals = literals.each_ref().map(|literals| &literals[..]);
    let literals = literals.each_mut().map(|literals| literals as &mut dyn Read);
    let memory = apply::MEMORY_OF_A_GROUP;
    let decoded = group::decode(
        algorithm,
        contents.bases,
        contents.lengths,
        (&mut bytes, literals),
        memory,
        &mut sink,
    );
    decoded.is_ok() && hasher.finish() == Digest::of(contents.target)
}
