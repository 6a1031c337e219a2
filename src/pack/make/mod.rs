//! Makes a pack: finds the changes between two trees and the base of each new file, codes groups on
//! several cores, and applies the result once in memory before anyone signs it.
//!
//! ```text
//! plan   what becomes of each file ── jobs   groups, aligned and coded ── here: outline, groups and shared streams one behind the other
//! ```

mod coding_job;
mod error;
mod input;
mod jobs;
mod plan;

use std::io::Write;

pub(crate) use self::error::MakePackError;
pub use self::input::{Choice, MakeOptions, Tree};
pub(crate) use self::plan::FileChange;
pub(super) use self::plan::Verdict;

use self::plan::Plan;
use super::error::PackError;
use super::form::{Group, MAGIC, outline_base, write_groups};
use super::numbers;
use super::outline::{Content, Made, Outline};
use crate::model::{Digest, Manifest};
use kuzflow_delta::align::{self, AlignOptions};
use kuzflow_delta::coder::{self, CoderError, Nature, STREAMS};
use kuzflow_delta::prediction::PlainPredictor;

/// The figures of a pack that was made.
#[derive(Clone, Debug)]
pub struct MadePack {
    /// Bytes of the pack.
    pub length: u64,
    /// Bytes of its outline, including the manifest's change.
    pub outline: u64,
    /// The fate of each file that changed.
    pub verdicts: Vec<Verdict>,
    /// Number of files that are cloned unchanged, including moved ones.
    pub cloned: u64,
    /// Bytes of the files that applying it writes.
    pub written: u64,
}

impl MadePack {
    /// How many files the pack changes in this way.
    pub fn count(&self, change: FileChange) -> usize {
        self.verdicts.iter().filter(|verdict| verdict.what == change).count()
    }
}

/// Writes the pack that leads from `old` to `new` to `out`. `progress` receives the finished bytes
/// of old and new files, in two halves, from any thread.
pub fn make(
    old: &dyn Tree,
    new: &dyn Tree,
    options: MakeOptions,
    out: &mut dyn Write,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<MadePack, MakePackError> {
    let plan = Plan::new(old, new)?;
    let jobs = jobs::plan(&plan, (old, new), options)?;
    let (coded, shared, literals) = jobs::code(&plan, &jobs, (old, new), options, progress)?;
    let mut groups = Vec::new();
    let (mut at, mut literals_at) = (0, [0; STREAMS]);
    for (job, coded) in jobs.iter().zip(&coded) {
        let span = at..at + coded.bytes.len() as u64;
        at = span.end;
        let from = literals_at;
        literals_at = std::array::from_fn(|number| from[number] + coded.literals[number]);
        let literals = std::array::from_fn(|number| from[number]..literals_at[number]);
        groups.push(Group {
            algorithm: coded.algorithm,
            span,
            literals,
            members: job.members.clone(),
        });
    }
    let lengths = shared.each_ref().map(Vec::len);
    let head = write_outline(&plan.outline, (old.manifest(), new.manifest()), &groups, lengths)?;
    out.write_all(&head).map_err(MakePackError::Write)?;
    for coded in &coded {
        out.write_all(&coded.bytes).map_err(MakePackError::Write)?;
    }
    for stream in &shared {
        out.write_all(stream).map_err(MakePackError::Write)?;
    }
    let shares =
        std::array::from_fn(|number| lengths[number] as f64 / literals[number].max(1) as f64);
    let verdicts = plan.verdicts(old.manifest(), &jobs, &coded, shares);
    let made: Vec<&Made> = plan.outline.made().map(|(_, made)| made).collect();
    Ok(MadePack {
        length: head.len() as u64 + at + lengths.iter().sum::<usize>() as u64,
        outline: head.len() as u64,
        cloned: plan
            .outline
            .fates
            .values()
            .filter(|fate| matches!(fate.content, Content::Old(_)))
            .count() as u64,
        written: made.iter().map(|made| made.size).sum(),
        verdicts,
    })
}

/// The pack's beginning: magic, check, outline.
fn write_outline(
    outline: &Outline,
    (base, target): (&Manifest, &Manifest),
    groups: &[Group],
    literals: [usize; STREAMS],
) -> Result<Vec<u8>, MakePackError> {
    let digests: Vec<Digest> =
        outline.made().filter_map(|(path, _)| Some(target.file_manifest.get(path)?.hash)).collect();
    if outline.manifest(base, &digests)? != *target {
        return Err(PackError::Form("it does not give the target's manifest back").into());
    }
    let json = target.to_json().map_err(PackError::from)?;
    let mut streams = outline.write(base)?;
    write_groups(&mut streams.numbers, groups, literals);
    let old = outline_base(base)?;
    let joined = [&streams.head[..], &streams.names, &streams.numbers].concat();
    let unwritable = |error: CoderError| MakePackError::Outline(PackError::Outline(error));
    let steps = align::align(&old, &joined, &AlignOptions::text())
        .map_err(|error| unwritable(error.into()))?;
    let literals = steps.iter().map(|step| step.literals).sum();
    let options = coder::CoderOptions::for_target(Nature::Text, joined.len() as u64, literals);
    let mut packed = Vec::new();
    let mut predictor = PlainPredictor::new(&old);
    coder::encode(
        &old,
        &joined,
        &steps,
        options,
        &mut predictor,
        (&mut packed, &mut Default::default()),
    )
    .map_err(unwritable)?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&Digest::of(&json).as_bytes()[..4]);
    for length in [packed.len(), streams.head.len(), streams.names.len(), streams.numbers.len()] {
        numbers::put(&mut out, length as u64);
    }
    out.extend(packed);
    Ok(out)
}
