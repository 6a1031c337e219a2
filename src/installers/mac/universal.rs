//! One program for both processors of macOS.
//!
//! In: a program for each processor. Out: one file with all. Never: a change of a program.

/// What begins a program of macOS, 64 bits, little-endian.
const MACH_O: u32 = 0xfeed_facf;
/// What begins a universal program, big-endian.
const UNIVERSAL: u32 = 0xcafe_babe;
/// Programs begin at multiples of 16 KiB, the larger page size of both processors.
const ALIGNMENT_POWER: u32 = 14;

/// The programs in one file, each for another processor; one alone stays as it is. `None` if one is
/// no program of macOS for a single processor, or two are for the same.
pub(in crate::installers) fn universal(programs: &[&[u8]]) -> Option<Vec<u8>> {
    let mut sorted: Vec<(u32, u32, &[u8])> =
        programs.iter().map(|program| processor(program)).collect::<Option<_>>()?;
    sorted.sort_unstable_by_key(|(processor, ..)| *processor);
    if sorted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return None;
    }
    match sorted[..] {
        [] => return None,
        [(_, _, program)] => return Some(program.to_vec()),
        _ => {}
    }
    let alignment = 1 << ALIGNMENT_POWER;
    let count = u32::try_from(sorted.len()).ok()?;
    let mut file = [UNIVERSAL, count].map(u32::to_be_bytes).concat();
    let mut offset = (8 + 20 * sorted.len()).next_multiple_of(alignment);
    for (processor, kind, program) in &sorted {
        let (begin, length) = (u32::try_from(offset).ok()?, u32::try_from(program.len()).ok()?);
        for field in [*processor, *kind, begin, length, ALIGNMENT_POWER] {
            file.extend(field.to_be_bytes());
        }
        offset = (offset + program.len()).next_multiple_of(alignment);
    }
    for (_, _, program) in sorted {
        file.resize(file.len().next_multiple_of(alignment), 0);
        file.extend(program);
    }
    Some(file)
}

/// The processor that a program is for, its kind, and the program.
fn processor(program: &[u8]) -> Option<(u32, u32, &[u8])> {
    let number = |at: usize| -> Option<u32> {
        program.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    };
    (number(0)? == MACH_O).then_some((number(4)?, number(8)?, program))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(processor: u32, length: usize) -> Vec<u8> {
        let mut bytes = [MACH_O, processor, 3].map(u32::to_le_bytes).concat();
        bytes.resize(length, 7);
        bytes
    }

    #[test]
    fn each_program_lies_where_the_table_says() {
        let (intel, arm) = (program(0x0100_0007, 20_000), program(0x0100_000c, 33));
        let both = universal(&[&arm, &intel]).unwrap();
        assert_eq!(both, universal(&[&intel, &arm]).unwrap(), "the order does not matter");
        let number = |at: usize| u32::from_be_bytes(both[at..at + 4].try_into().unwrap());
        assert_eq!((number(0), number(4)), (UNIVERSAL, 2));
        for (at, program) in [(8, &intel), (28, &arm)] {
            assert_eq!(number(at).to_le_bytes(), program[4..8]);
            let (begin, length) = (number(at + 8) as usize, number(at + 12) as usize);
            assert_eq!(
                (begin % (1 << number(at + 16)), &both[begin..begin + length]),
                (0, &program[..])
            );
        }
        assert_eq!(universal(&[&arm]).unwrap(), arm, "one alone stays as it is");
    }

    #[test]
    fn other_files_and_two_of_a_kind_are_refused() {
        let arm = program(0x0100_000c, 100);
        let both = universal(&[&arm, &program(0x0100_0007, 100)]).unwrap();
        assert_eq!(universal(&[&arm, &arm]), None);
        assert_eq!(universal(&[&both, &arm]), None, "a universal program is none for one");
        assert_eq!(universal(&[b"MZ", &arm]), None);
        assert_eq!(universal(&[]), None);
    }
}
