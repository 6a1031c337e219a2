//! The form of a pack: its head, its outline and the list of its groups, read and written.
//!
//! In: a pack's bytes and the base's manifest. Out: an opened [`Pack`], or the bytes of a list of
//! groups. Never: trust in a number of the pack; each is bounded before it is used.

use std::io;
use std::ops::Range;

use super::algorithm::Algorithm;
use super::error::PackError;
#[cfg(feature = "publisher")]
use super::numbers;
use super::numbers::Numbers;
use super::outline::{self, Made, Outline};
use crate::model::{Digest, Manifest, RelativePath};
use kuzflow_delta::coder::{self, CoderLimits, STREAMS};
use kuzflow_delta::prediction::{PlainPredictor, ReadAt};

/// The first bytes of every pack.
pub(super) const MAGIC: &[u8; 4] = b"KZP3";

/// Most bytes that are read of all the outline's streams together: about 500,000 changed files.
const MAX_OUTLINE_BYTES: u64 = 64 << 20;

/// Memory that the outline's models may take, in bytes.
const OUTLINE_MEMORY: u64 = 64 << 20;

/// Files that are coded together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How.
    pub algorithm: Algorithm,
    /// Its bytes in the pack.
    pub span: Range<u64>,
    /// Its bytes in each of the unpacked streams of literals.
    pub literals: [Range<u64>; STREAMS],
    /// Its files: numbers in [`Outline::made`], in their order in the stream.
    pub members: Vec<usize>,
}

/// A stream of literals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Literals {
    /// Its packed bytes in the pack.
    pub span: Range<u64>,
    /// How many bytes it has unpacked.
    pub length: u64,
}

/// An opened pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    /// The fate of each file.
    pub outline: Outline,
    /// The groups that make files; each file is in exactly one group.
    pub groups: Vec<Group>,
    /// The streams of literals that groups share; empty if no group has any.
    pub literals: [Literals; STREAMS],
    check: [u8; 4],
}

impl Pack {
    /// Opens a pack for the release of the manifest `base`. Nothing in the pack is trusted.
    pub fn open(file: &dyn ReadAt, base: &Manifest) -> Result<Self, PackError> {
        let unreadable = |_| PackError::NoPack;
        let mut start = vec![0; usize::try_from(file.len().min(64)).unwrap_or(0)];
        file.read_at(0, &mut start).map_err(unreadable)?;
        let mut numbers = Numbers::new(&start);
        if numbers.bytes(4).map_err(|_| PackError::NoPack)? != MAGIC {
            return Err(PackError::NoPack);
        }
        let check = numbers.bytes(4)?.try_into().map_err(|_| PackError::NoPack)?;
        let packed_length = numbers.next()?;
        let lengths = [numbers.next()?, numbers.next()?, numbers.next()?];
        let total = lengths.iter().try_fold(0u64, |sum, length| sum.checked_add(*length));
        let total = total
            .filter(|total| *total <= MAX_OUTLINE_BYTES)
            .ok_or(PackError::Form("its outline is too large"))?;
        let at = (start.len() - numbers.rest().len()) as u64;
        if at.checked_add(packed_length).is_none_or(|end| end > file.len()) {
            return Err(PackError::Form("its outline lies outside of it"));
        }
        if packed_length > MAX_OUTLINE_BYTES {
            return Err(PackError::Form("its outline is too large"));
        }
        let mut packed = vec![0; usize::try_from(packed_length).unwrap_or(usize::MAX)];
        file.read_at(at, &mut packed).map_err(unreadable)?;
        let mut streams = Vec::new();
        let old = outline_base(base)?;
        let limits = CoderLimits { most_steps: 1 << 20, most_memory: OUTLINE_MEMORY };
        let mut none = [(); STREAMS].map(|()| io::empty());
        let none = none.each_mut().map(|none| none as &mut dyn io::Read);
        coder::decode(
            &old,
            total,
            &limits,
            (&mut &packed[..], none),
            |_| Ok(Box::new(PlainPredictor::new(&old))),
            &mut |bytes| {
                streams.extend_from_slice(bytes);
                Ok(())
            },
        )
        .map_err(PackError::Outline)?;
        let cut = lengths.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let (head, rest) = streams
            .split_at_checked(cut[0])
            .ok_or(PackError::Form("its outline ends too early"))?;
        let (names, numbers) =
            rest.split_at_checked(cut[1]).ok_or(PackError::Form("its outline ends too early"))?;
        let mut numbers = Numbers::new(numbers);
        let outline = Outline::read(base, head, names, &mut numbers)?;
        let made: Vec<u64> = outline.made().map(|(_, made)| made.size).collect();
        let (groups, literals) = read_groups(&mut numbers, &made, at + packed_length, file.len())?;
        if !numbers.rest().is_empty() {
            return Err(PackError::Form("something follows its outline"));
        }
        Ok(Self { outline, groups, literals, check })
    }

    /// The manifest of the target, from the digests of the files that were made. It is checked, and
    /// it is the one that the pack was made for, as far as four bytes of its digest can show. The
    /// caller proves whether it is the signed one.
    pub fn manifest(
        &self,
        base: &Manifest,
        made: &[Digest],
    ) -> Result<(Manifest, Vec<u8>), PackError> {
        let manifest = self.outline.manifest(base, made)?;
        manifest.check()?;
        let json = manifest.to_json()?;
        if Digest::of(&json).as_bytes()[..4] != self.check {
            return Err(PackError::OtherBase);
        }
        Ok((manifest, json))
    }

    /// Whether a group needs bytes of the shared streams.
    pub fn shares(group: &Group) -> bool {
        group.literals.iter().any(|literals| !literals.is_empty())
    }

    /// The bases of a group, each once, in the order of their bytes in the coder's address space.
    pub fn bases_of(&self, group: &Group) -> Vec<&RelativePath> {
        let made: Vec<(&RelativePath, &Made)> = self.outline.made().collect();
        let mut bases: Vec<&RelativePath> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for number in &group.members {
            if let Some(base) = made.get(*number).and_then(|(_, made)| made.base.as_ref())
                && seen.insert(base)
            {
                bases.push(base);
            }
        }
        bases
    }
}

/// The bytes that the outline's stream is coded against: the base's head and all its names.
pub(super) fn outline_base(base: &Manifest) -> Result<Vec<u8>, PackError> {
    let mut old = outline::head_of(base)?;
    for path in base.file_manifest.keys() {
        old.extend_from_slice(path.as_str().as_bytes());
        old.push(b'\n');
    }
    Ok(old)
}

/// Appends the groups to the outline's numbers.
#[cfg(feature = "publisher")]
pub(super) fn write_groups(numbers: &mut Vec<u8>, groups: &[Group], literals: [usize; STREAMS]) {
    numbers::put(numbers, groups.len() as u64);
    for group in groups {
        numbers.push(group.algorithm as u8);
        numbers::put(numbers, group.span.end - group.span.start);
        let lengths = group.literals.each_ref().map(|literals| literals.end - literals.start);
        numbers.push(lengths.iter().rev().fold(0, |set, length| set << 1 | u8::from(*length > 0)));
        lengths
            .iter()
            .filter(|length| **length > 0)
            .for_each(|length| numbers::put(numbers, *length));
        numbers::put(numbers, group.members.len() as u64);
        let mut next = 0;
        for member in &group.members {
            numbers::put_signed(numbers, *member as i64 - next);
            next = *member as i64 + 1;
        }
    }
    literals
        .iter()
        .filter(|length| **length > 0)
        .for_each(|length| numbers::put(numbers, *length as u64));
}

/// Reads the groups. They must contain each of the `made` files (given by their lengths) exactly
/// once, and lie in `start..end` with the streams of their literals behind them.
fn read_groups(
    numbers: &mut Numbers<'_>,
    made: &[u64],
    start: u64,
    end: u64,
) -> Result<(Vec<Group>, [Literals; STREAMS]), PackError> {
    let count = numbers.below(made.len() + 1)?;
    let mut groups = Vec::with_capacity(count);
    let mut seen = vec![false; made.len()];
    let (mut at, mut literals_at) = (start, [0_u64; STREAMS]);
    let mut span = |length: u64| {
        let span =
            at..at.checked_add(length).ok_or(PackError::Form("a part of it lies outside of it"))?;
        at = span.end;
        Ok::<_, PackError>(span)
    };
    for _ in 0..count {
        let algorithm = *Algorithm::ALL
            .get(usize::from(numbers.byte()?))
            .ok_or(PackError::Form("a group is of no known kind"))?;
        let span = span(numbers.next()?)?;
        let set = numbers.byte()?;
        if u32::from(set) >> STREAMS > 0 {
            return Err(PackError::Form("a group has more streams than there are"));
        }
        let mut literals = [0; STREAMS];
        for (_, length) in
            literals.iter_mut().enumerate().filter(|(number, _)| set >> number & 1 == 1)
        {
            *length = numbers.next()?;
        }
        let length = numbers.below(made.len() + 1)?;
        let mut members = Vec::with_capacity(length);
        let mut next = 0i64;
        let mut bytes = 0_u64;
        for _ in 0..length {
            let member = next
                .checked_add(numbers.signed()?)
                .ok_or(PackError::Form("a number is out of bounds"))?;
            let index =
                usize::try_from(member).ok().filter(|index| seen.get(*index) == Some(&false));
            let index = index.ok_or(PackError::Form("a file is in two groups, or is none"))?;
            seen[index] = true;
            bytes = bytes.saturating_add(made[index]);
            members.push(index);
            next = member + 1;
        }
        if members.is_empty() || (algorithm == Algorithm::Bsdiff4 && members.len() != 1) {
            return Err(PackError::Form("a group has too few or too many files"));
        }
        if literals.iter().fold(0, |sum: u64, length| sum.saturating_add(*length)) > bytes {
            return Err(PackError::Form("a group has more fresh bytes than bytes"));
        }
        // A group has at most as many literals as its files have bytes, and the caller compares the
        // sum of those with what was signed.
        let from = literals_at;
        literals_at = std::array::from_fn(|number| from[number].saturating_add(literals[number]));
        let literals = std::array::from_fn(|number| from[number]..literals_at[number]);
        groups.push(Group { algorithm, span, literals, members });
    }
    let mut literals: [Literals; STREAMS] = Default::default();
    for (stream, length) in literals.iter_mut().zip(literals_at).filter(|(_, length)| *length > 0) {
        *stream = Literals { span: span(numbers.next()?)?, length };
    }
    match at == end && seen.iter().all(|seen| *seen) {
        true => Ok((groups, literals)),
        false => Err(PackError::Form("its groups are not all of it")),
    }
}
