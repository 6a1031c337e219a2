//! One group of files, coded and decoded: the algorithms behind one door.

use std::io::{self, Read};

use super::Algorithm;
use super::bytes::Joined;
use crate::delta::align::Step;
use crate::delta::coder::{self, CoderError, Limits};
use crate::delta::forecast::{Forecast, PlainForecast, ReadAt};

/// Why a group was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// Our own algorithm's stream is damaged.
    #[error("its aligned stream is damaged")]
    Aligned(#[from] CoderError),
}

/// Bytes that the models of one decoder may take; [`decode`] takes the bases' part on top.
const MODELS: u64 = 48 << 20;

/// Decodes `length` bytes made from `bases` and hands them to `sink` in order. `memory` bounds what it takes, bytes.
pub fn decode(
    algorithm: Algorithm,
    bases: &[&dyn ReadAt],
    length: u64,
    packed: &mut dyn Read,
    memory: u64,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), GroupError> {
    match algorithm {
        Algorithm::Aligned => {
            let old = Joined::new(bases.iter().copied());
            let left = memory.saturating_sub(MODELS).max(4 << 20);
            let limits = Limits { most_steps: usize::try_from(left / 48).unwrap_or(usize::MAX), most_memory: MODELS };
            Ok(coder::decode(&old, length, &limits, packed, |steps| forecast(&old, bases, steps), sink)?)
        }
        Algorithm::Zstd | Algorithm::Bsdiff4 => Err(CoderError::Steps.into()),
    }
}

/// What copies of `old` are foretold to be; both sides come here, and must get the same.
fn forecast<'a>(old: &'a dyn ReadAt, _bases: &[&dyn ReadAt], _steps: &[Step]) -> io::Result<Box<dyn Forecast + 'a>> {
    Ok(Box::new(PlainForecast::new(old)))
}

#[cfg(feature = "publisher")]
pub use encode::{Class, encode};

#[cfg(feature = "publisher")]
mod encode {
    use super::*;
    use crate::delta::align::{self, Options};
    use crate::delta::coder::Nature;

    /// What kind of bytes a file has; files of one class share groups.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Class {
        /// Words and lines.
        Text,
        /// Anything else that is no program.
        Data,
        /// A program or library.
        Native,
    }

    impl Class {
        /// The class of a file that begins like this.
        pub fn of(start: &[u8]) -> Self {
            let magic = start.get(..4).unwrap_or_default();
            let mach = [0xfeed_face_u32, 0xfeed_facf, 0xcafe_babe].map(|magic| (magic.to_be_bytes(), magic.to_le_bytes()));
            if magic == b"\x7fELF" || magic.starts_with(b"MZ") || mach.iter().any(|(a, b)| magic == a || magic == b) {
                return Self::Native;
            }
            let start = &start[..start.len().min(4096)];
            let strange = start.iter().filter(|byte| matches!(byte, 0..=8 | 14..=31 | 127)).count();
            if strange * 50 > start.len() || start.contains(&0) { Self::Data } else { Self::Text }
        }
    }

    /// Codes `target` against `bases` and appends it to `out`.
    pub fn encode(
        algorithm: Algorithm,
        class: Class,
        bases: &[&dyn ReadAt],
        target: &Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), GroupError> {
        match algorithm {
            Algorithm::Aligned => {
                let old = Joined::new(bases.iter().copied());
                let options = if class == Class::Native { Options::native() } else { Options::plain() };
                let steps = align::align(&old, target, &options).map_err(CoderError::from)?;
                let fresh = steps.iter().map(|step| step.fresh).sum();
                let nature = if class == Class::Text { Nature::Text } else { Nature::Binary };
                let options = coder::Options::for_target(nature, target.len() as u64, fresh);
                let mut forecast = forecast(&old, bases, &steps).map_err(CoderError::from)?;
                Ok(coder::encode(&old, target, &steps, options, &mut *forecast, out)?)
            }
            Algorithm::Zstd | Algorithm::Bsdiff4 => Err(CoderError::Steps.into()),
        }
    }
}
