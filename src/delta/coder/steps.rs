//! The list of steps at the head of a stream.
//!
//! Where a copy stands in the old bytes is told relative to the end of the copy before, which is small as long as both texts run
//! side by side. The list ends when the target's length is reached, so nothing else says how many there are.

use super::CoderError;
use super::Limits;
use super::numbers::{Numbers, magnitude};
use super::range::Coder;
use crate::delta::align::Step;

/// Codes `steps`, which the encoder knows and the decoder does not, for targets of `target_length` bytes.
pub fn code<C: Coder>(
    coder: &mut C,
    steps: Option<&[Step]>,
    base_length: u64,
    target_length: u64,
    limits: &Limits,
) -> Result<Vec<Step>, CoderError> {
    let mut fresh = Numbers::new(24);
    let mut length = Numbers::new(24);
    let mut jump = Numbers::new(24);
    let mut read: Vec<Step> = Vec::new();
    let (mut at, mut expected) = (0_u64, 0_u64);
    let mut last = Step { fresh: 0, old_at: 0, length: 0 };
    while at < target_length {
        if coder.failed() {
            return Err(CoderError::Truncated);
        }
        if read.len() >= limits.most_steps {
            return Err(CoderError::TooManySteps { most: limits.most_steps });
        }
        let step = match steps {
            Some(steps) => steps.get(read.len()).copied().ok_or(CoderError::Steps)?,
            None => Step { fresh: 0, old_at: 0, length: 0 },
        };
        let mut found = Step { fresh: 0, old_at: 0, length: 0 };
        found.fresh = fresh.code(coder, step.fresh, magnitude(last.length).min(23));
        found.length = length.code(coder, step.length, magnitude(found.fresh).min(23));
        if found.length > 0 {
            // Jumps ahead are even, jumps back odd.
            let ahead = step.old_at.wrapping_sub(expected) as i64;
            let folded = (ahead << 1 ^ ahead >> 63) as u64;
            let folded = jump.code(coder, folded, magnitude(found.fresh).min(23));
            let ahead = (folded >> 1) as i64 ^ -((folded & 1) as i64);
            found.old_at = expected.wrapping_add(ahead as u64);
            expected = found.old_at.checked_add(found.length).filter(|&end| end <= base_length).ok_or(CoderError::Steps)?;
        } else if found.fresh == 0 {
            return Err(CoderError::Steps);
        }
        at = at
            .checked_add(found.fresh)
            .and_then(|at| at.checked_add(found.length))
            .filter(|&at| at <= target_length)
            .ok_or(CoderError::Steps)?;
        read.push(found);
        last = found;
    }
    Ok(read)
}
