//! Codes and decodes one group of files, with any of the algorithms.

use std::io::{self, Read};

use super::algorithm::Algorithm;
use super::bytes::Joined;
use kuzflow_delta::CopyInstruction;
use kuzflow_delta::bsdiff4::{self, Bsdiff4Error};
use kuzflow_delta::coder::{self, CoderError, CoderLimits, STREAMS};
use kuzflow_delta::dictionary::{self, DictionaryError};
use kuzflow_delta::native::{NativeImages, NativePredictor};
use kuzflow_delta::prediction::{PlainPredictor, Predictor, ReadAt};

/// Why coding or decoding a group failed.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// Our own algorithm's stream is damaged.
    #[error("its aligned stream is damaged")]
    Aligned(#[from] CoderError),
    /// The zstd frame is damaged.
    #[error("its zstd frame is damaged")]
    Zstd(#[from] DictionaryError),
    /// The bsdiff patch is damaged.
    #[error("its bsdiff patch is damaged")]
    Bsdiff4(#[from] Bsdiff4Error),
    /// Packed or old bytes cannot be read.
    #[error("its bytes cannot be read")]
    Read(#[from] io::Error),
    /// The group needs more memory than allowed.
    #[error("it needs {needed} bytes of memory, {allowed} are allowed")]
    Memory {
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that it may take.
        allowed: u64,
    },
    /// The literals that it shares with other groups are damaged.
    #[error("what its files share with others is damaged")]
    SharedLiterals,
    /// The algorithm cannot code this many files, or files of this kind.
    #[error("its files cannot be coded in this way")]
    Unfit,
}

/// Bytes that the models of one decoder may take.
const MODELS: u64 = 48 << 20;
/// Bytes that an entry of a decoder's instruction list takes, including its data in the predictor.
const MEMORY_OF_A_STEP: u64 = 48;

/// Decodes files of the given `lengths`, made from `bases`, and passes their bytes to `sink` in
/// order. `literals` are this group's parts of the shared streams. `memory` bounds what decoding
/// takes beside the bases, in bytes.
pub(super) fn decode(
    algorithm: Algorithm,
    bases: &[&dyn ReadAt],
    lengths: &[u64],
    (packed, literals): (&mut dyn Read, [&mut dyn Read; STREAMS]),
    memory: u64,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), GroupError> {
    let old = Joined::new(bases.iter().copied());
    let length = lengths.iter().sum();
    match algorithm {
        Algorithm::Aligned => {
            let program = program_of(&old, bases)?;
            let hints = if program.is_empty() { Vec::new() } else { read_hints(packed)? };
            let most_steps = usize::try_from(memory / 2 / MEMORY_OF_A_STEP).unwrap_or(usize::MAX);
            let limits = CoderLimits { most_steps, most_memory: MODELS };
            let predict =
                |steps: &[CopyInstruction]| predictor(&old, &program, lengths, steps, &hints);
            Ok(coder::decode(&old, length, &limits, (packed, literals), predict, sink)?)
        }
        Algorithm::Zstd => {
            let (bases, patch) = (in_memory(&old, memory)?, read_patch(packed, memory)?);
            Ok(dictionary::apply(&bases, &patch, length, memory, sink)?)
        }
        Algorithm::Bsdiff4 => {
            let patch = read_patch(packed, memory)?;
            Ok(bsdiff4::apply(&old, &patch, length, sink)?)
        }
    }
}

/// Finds the programs among the bases; both sides find them in the same way.
fn program_of(old: &dyn ReadAt, bases: &[&dyn ReadAt]) -> io::Result<NativeImages> {
    let lengths: Vec<u64> = bases.iter().map(|base| base.len()).collect();
    NativeImages::new(old, &lengths)
}

/// The predictor for copies of `old`; both sides call this and must get the same predictor.
fn predictor<'a>(
    old: &'a dyn ReadAt,
    program: &'a NativeImages,
    lengths: &[u64],
    steps: &[CopyInstruction],
    hints: &[u8],
) -> io::Result<Box<dyn Predictor + 'a>> {
    if program.is_empty() {
        return Ok(Box::new(PlainPredictor::new(old)));
    }
    Ok(Box::new(NativePredictor::new(old, program, lengths, steps, hints)?))
}

/// Longest hints about the new files' layout, in bytes.
const MAX_HINTS_BYTES: u32 = 1 << 20;

fn read_hints(packed: &mut dyn Read) -> Result<Vec<u8>, GroupError> {
    let mut head = [0; 3];
    packed.read_exact(&mut head)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], 0]);
    if length > MAX_HINTS_BYTES {
        return Err(GroupError::Memory { needed: length.into(), allowed: MAX_HINTS_BYTES.into() });
    }
    let mut hints = vec![0; length as usize];
    packed.read_exact(&mut hints)?;
    Ok(hints)
}

fn in_memory(old: &dyn ReadAt, memory: u64) -> Result<Vec<u8>, GroupError> {
    let length = usize::try_from(old.len()).ok().filter(|_| old.len() <= memory);
    let mut bytes =
        vec![0; length.ok_or(GroupError::Memory { needed: old.len(), allowed: memory })?];
    old.read_at(0, &mut bytes)?;
    Ok(bytes)
}

fn read_patch(packed: &mut dyn Read, memory: u64) -> Result<Vec<u8>, GroupError> {
    let mut patch = Vec::new();
    packed.take(memory.saturating_add(1)).read_to_end(&mut patch)?;
    let needed = patch.len() as u64;
    if needed > memory { Err(GroupError::Memory { needed, allowed: memory }) } else { Ok(patch) }
}

#[cfg(feature = "publisher")]
pub(super) use encode::{Alignment, Class, Contents, align, encode, encode_otherwise};

#[cfg(feature = "publisher")]
mod encode {
    use super::*;
    use kuzflow_delta::align::{self, AlignOptions};
    use kuzflow_delta::coder::{Mode, Nature};
    use kuzflow_delta::native;

    /// zstd's level for patches.
    const LEVEL: i32 = 19;

    /// What kind of bytes a file has; files of one class share groups.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub(crate) enum Class {
        /// Words and lines.
        Text,
        /// Anything else that is no program.
        Data,
        /// Data that was compressed or encrypted before.
        Dense,
        /// A program or library.
        Native,
    }

    impl Class {
        /// Determines the class of a file.
        pub(crate) fn of(file: &[u8]) -> Self {
            let magic = file.get(..4).unwrap_or_default();
            let mach = [0xfeed_face_u32, 0xfeed_facf, 0xcafe_babe]
                .map(|magic| (magic.to_be_bytes(), magic.to_le_bytes()));
            if magic == b"\x7fELF"
                || magic.starts_with(b"MZ")
                || mach.iter().any(|(a, b)| magic == a || magic == b)
            {
                return Self::Native;
            }
            if coder::is_dense(file) {
                return Self::Dense;
            }
            let start = &file[..file.len().min(4096)];
            let strange = start.iter().filter(|byte| matches!(byte, 0..=8 | 14..=31 | 127)).count();
            if strange * 50 > start.len() || start.contains(&0) { Self::Data } else { Self::Text }
        }
    }

    /// The mode of the first of these files that is a program for x86 processors.
    fn mode(target: &[u8], lengths: &[u64]) -> Option<Mode> {
        let mut rest = target;
        lengths.iter().find_map(|length| {
            let (file, behind) =
                rest.split_at(rest.len().min(usize::try_from(*length).unwrap_or(usize::MAX)));
            rest = behind;
            native::is_wide_x86(file).map(|wide| if wide { Mode::Wide } else { Mode::Narrow })
        })
    }

    /// The content of a group that is to be coded.
    #[derive(Clone, Copy)]
    pub(crate) struct Contents<'a> {
        /// The class of all of its files.
        pub class: Class,
        /// The old files.
        pub bases: &'a [&'a dyn ReadAt],
        /// The new files, one behind the other.
        pub target: &'a Vec<u8>,
        pub lengths: &'a [u64],
    }

    /// Which old bytes stand where in the new ones.
    pub(crate) struct Alignment {
        steps: Vec<CopyInstruction>,
        /// Hints about the new programs for the decoder; `None` if there is no old program.
        hints: Option<Vec<u8>>,
    }

    impl Alignment {
        /// Number of bytes without a counterpart.
        pub(crate) fn literals(&self) -> u64 {
            self.steps.iter().map(|step| step.literals).sum()
        }
    }

    /// Aligns for our own algorithm; instructions cost `coarseness` times as much where there would
    /// otherwise be too many for a decoder's memory.
    pub(crate) fn align(
        contents: Contents<'_>,
        apart: bool,
        coarseness: u32,
    ) -> Result<Alignment, GroupError> {
        let Contents { class, bases, target, lengths } = contents;
        let old = Joined::new(bases.iter().copied());
        let program = program_of(&old, bases)?;
        let options = match class {
            Class::Text if apart => AlignOptions::text_apart(),
            Class::Text => AlignOptions::text(),
            Class::Data | Class::Dense => AlignOptions::plain(),
            Class::Native => AlignOptions::native(),
        }
        .coarser(coarseness);
        if program.is_empty() {
            return Ok(Alignment { steps: align::align(&old, target, &options)?, hints: None });
        }
        let native::Aligned { steps, hints } =
            native::align(&old, &program, target, lengths, &options)?;
        Ok(Alignment { steps, hints: Some(hints) })
    }

    /// Codes the alignment and appends it to `out`. Literals go to `literals` if they are to stand
    /// `apart`.
    pub(crate) fn encode(
        contents: Contents<'_>,
        Alignment { steps, hints }: &Alignment,
        apart: bool,
        (out, literals): (&mut Vec<u8>, &mut [Vec<u8>; STREAMS]),
    ) -> Result<(), GroupError> {
        let Contents { class, bases, target, lengths } = contents;
        let old = Joined::new(bases.iter().copied());
        let program = program_of(&old, bases)?;
        let hints = match hints {
            Some(hints) => {
                let length =
                    u32::try_from(hints.len()).ok().filter(|length| *length <= MAX_HINTS_BYTES);
                out.extend_from_slice(&length.ok_or(GroupError::Unfit)?.to_le_bytes()[..3]);
                out.extend_from_slice(hints);
                hints
            }
            None => &Vec::new(),
        };
        let count = steps.iter().map(|step| step.literals).sum();
        let nature = if class == Class::Text { Nature::Text } else { Nature::Binary };
        let code = mode(target, lengths).filter(|_| apart && class == Class::Native);
        let options = coder::CoderOptions {
            apart,
            code,
            ..coder::CoderOptions::for_target(nature, target.len() as u64, count)
        };
        let mut predictor = predictor(&old, &program, lengths, steps, hints)?;
        Ok(coder::encode(&old, target, steps, options, &mut *predictor, (out, literals))?)
    }

    /// Codes with one of the other algorithms and appends the result to `out`.
    pub(crate) fn encode_otherwise(
        algorithm: Algorithm,
        contents: Contents<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), GroupError> {
        let old = in_memory(&Joined::new(contents.bases.iter().copied()), u64::MAX)?;
        match algorithm {
            Algorithm::Aligned => return Err(GroupError::Unfit),
            Algorithm::Zstd => out.extend(dictionary::make(&old, contents.target, LEVEL)?),
            Algorithm::Bsdiff4 => out.extend(bsdiff4::make(&old, contents.target)?),
        }
        Ok(())
    }
}
