//! The literals of a pack: bytes that stand in no old file, of all groups that leave them to these
//! streams, one behind the other.
//!
//! Libraries that are built together hold the same code many times over, so one dictionary for all
//! of them saves more than a stronger model for each. For the 20 MB from labelme 5.4.0 to 5.4.1,
//! LZMA (Igor Pavlov, 7-Zip) gave a smaller result than context mixing group by group, and decodes
//! in a fifteenth of the time. It needs no old byte, so a damaged base costs no other group
//! anything. One stream holds code and everything else, one each kind of operand, and one holds
//! dense bytes, on which nothing can be saved, as they are ([`STREAMS`]).
//!
//! In: bytes, or their packed form and length. Out: the other of the two. Never: more memory than
//! about one and a half times the dictionary, whose size is in the first byte and bounded (the
//! decoder's window grows by doubling); a byte more than the caller asked for.

use std::io::{self, Read};

use lzma_rust2::LzmaReader;

use kuzflow_delta::coder::STREAMS;

/// The largest dictionary, as a power of two, bytes.
const MAX_DICTIONARY_LOG: u32 = 24;

/// LZMA's parameters for one kind of bytes, in bits: how many bits of the previous byte and of the
/// position select the context of LZMA's literals, and how many bits of the position select all
/// other contexts.
#[derive(Clone, Copy)]
struct Parameters {
    literal: u32,
    literal_position: u32,
    position: u32,
}

/// Code has no alignment; operands have four bytes each. `None` for the stream that is stored
/// unchanged.
const PARAMETERS: [Option<Parameters>; STREAMS] = {
    let operands = Some(Parameters { literal: 0, literal_position: 2, position: 2 });
    [
        Some(Parameters { literal: 8, literal_position: 0, position: 0 }),
        operands,
        operands,
        operands,
        None,
    ]
};

/// Reads the `length` bytes of stream `number` that were packed.
pub(super) fn unpack<'a>(
    mut packed: impl Read + 'a,
    number: usize,
    length: u64,
) -> io::Result<Box<dyn Read + 'a>> {
    let Some(Parameters { literal, literal_position, position }) =
        PARAMETERS[number.min(STREAMS - 1)]
    else {
        return Ok(Box::new(packed.take(length)));
    };
    let mut head = [0];
    packed.read_exact(&mut head)?;
    let dictionary = u32::from(head[0]);
    if dictionary > MAX_DICTIONARY_LOG {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the dictionary is too large"));
    }
    let packed = io::BufReader::new(packed);
    Ok(Box::new(LzmaReader::new(
        packed,
        length,
        literal,
        literal_position,
        position,
        1 << dictionary,
        None,
    )?))
}

#[cfg(feature = "publisher")]
mod encode {
    use std::io::{self, Read, Write};

    use lzma_rust2::{EncodeMode, LzmaOptions, LzmaWriter, MfType};

    use super::{MAX_DICTIONARY_LOG, PARAMETERS, Parameters, unpack};
    use kuzflow_delta::coder::STREAMS;

    /// The longest match, and how many matches are examined: more finds hardly anything.
    const NICE_LENGTH: u32 = 273;
    const DEPTH: i32 = 512;
    /// Bytes of memory that packing takes for each byte of the dictionary.
    const MEMORY_A_BYTE: u64 = 12;

    /// Packs the bytes of stream `number` in about `memory` bytes of memory beside them, or in what
    /// the smallest dictionary needs. It unpacks the result once, and returns an error if that
    /// gives other bytes.
    pub(crate) fn pack(bytes: Vec<u8>, number: usize, memory: u64) -> io::Result<Vec<u8>> {
        let Some(Parameters { literal, literal_position, position }) =
            PARAMETERS[number.min(STREAMS - 1)]
        else {
            return Ok(bytes);
        };
        let fits = (memory / MEMORY_A_BYTE).max(1).ilog2();
        let needed = (bytes.len().max(1) as u64).next_power_of_two().ilog2();
        let dictionary = needed.min(fits).clamp(16, MAX_DICTIONARY_LOG);
        let (mode, finder) = (EncodeMode::Normal, MfType::Bt4);
        let options = LzmaOptions::new(
            1 << dictionary,
            literal,
            literal_position,
            position,
            mode,
            NICE_LENGTH,
            finder,
            DEPTH,
        );
        let mut writer = LzmaWriter::new_no_header(vec![dictionary as u8], &options, false)?;
        writer.write_all(&bytes)?;
        let packed = writer.finish()?;
        let mut unpacked = unpack(&packed[..], number, bytes.len() as u64)?;
        let mut block = [0; 1 << 14];
        for expected in bytes.chunks(block.len()) {
            let block = &mut block[..expected.len()];
            unpacked.read_exact(block)?;
            if block != expected {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "other bytes come back"));
            }
        }
        drop(unpacked);
        Ok(packed)
    }
}

#[cfg(feature = "publisher")]
pub(super) use encode::pack;

#[cfg(all(test, feature = "publisher"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back() {
        for length in [1, 2, 100, 70_000, 300_000] {
            let bytes: Vec<u8> = (0..length as u32)
                .map(|index| (index.wrapping_mul(2_654_435_761) >> 27) as u8)
                .collect();
            for (number, memory) in [(0, 0), (0, 1 << 30), (1, 1 << 30), (3, 0), (4, 0)] {
                let packed = pack(bytes.clone(), number, memory).unwrap();
                let mut back = Vec::new();
                unpack(&packed[..], number, length).unwrap().read_to_end(&mut back).unwrap();
                assert!(back == bytes, "{length}");
            }
        }
    }

    #[test]
    fn a_stream_that_is_cut_or_wants_too_much_is_refused() {
        let bytes: Vec<u8> =
            (0..10_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut packed = pack(bytes, 0, 1 << 30).unwrap();
        let mut back = Vec::new();
        assert!(
            unpack(&packed[..packed.len() / 2], 0, 10_000).unwrap().read_to_end(&mut back).is_err()
        );
        packed[0] = 25;
        assert!(unpack(&packed[..], 0, 10_000).is_err());
        assert!(unpack(&[][..], 0, 10_000).is_err());
    }
}
