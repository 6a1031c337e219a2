//! A pack made: what changed between two trees, which old file each new one is made from, groups
//! coded on several cores, and the result applied once in memory before anyone signs it.
//!
//! ```text
//! plan   what becomes of each file ── jobs   groups, aligned and coded ── here: outline, groups and shared streams one behind the other
//! ```

mod jobs;
mod plan;

use std::io::{self, Write};

use serde::Serialize;

use self::plan::Plan;
use super::group::GroupError;
use super::outline::{Content, Made, Outline};
use super::{Algorithm, Group, MAGIC, PackError, numbers, outline_base, write_groups};
use crate::model::{Digest, Manifest, RelativePath};
use kuzflow_delta::align::{self, AlignOptions};
use kuzflow_delta::base_selection;
use kuzflow_delta::coder::{self, CoderError, Nature, STREAMS};
use kuzflow_delta::prediction::PlainPredictor;

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
    /// Memory to take, bytes: fewer cores are used where it does not suffice for all of them, and
    /// alignment works in windows.
    pub memory: u64,
    /// Bytes without a counterpart that have the heavy model at most ([`MakeOptions::MOST_HEAVY`]);
    /// all others share streams.
    pub most_heavy: u64,
}

impl MakeOptions {
    /// What is best for users: such bytes take about 3 microseconds each with the heavy model, in
    /// the streams that groups share a hundredth of one. Enough for a small update, which should be
    /// as small as can be, and less than a second in a large one, where shared streams are hardly
    /// larger.
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
    BaseFile(#[from] base_selection::BaseSelectionError),
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
    /// What groups share cannot be packed, or does not come back: a fault of this program.
    #[error("cannot pack the fresh bytes of the patch")]
    Literals(#[source] io::Error),
}

/// Writes the pack that leads from `old` to `new` to `out`. `progress` is told the bytes of old and
/// new files that are done, in two halves, from any thread.
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

fn read(tree: &dyn Tree, path: &RelativePath) -> Result<Vec<u8>, MakePackError> {
    tree.read(path).map_err(|source| MakePackError::Read { path: path.clone(), source })
}
