//! Round trips, and forged streams.

use std::io;

use proptest::prelude::*;

use super::range::{Coder, Decoder, Encoder};
use super::{CoderError, CoderLimits, CoderOptions, Mode, Nature, STREAMS, decode, encode};
use crate::CopyInstruction;
use crate::prediction::{Chunk, PlainPredictor, Predictor, ReadAt};

const LIMITS: CoderLimits = CoderLimits { most_steps: 1 << 16, most_memory: 64 << 20 };

/// Old bytes unchanged, with a field of four bytes at each position that 7 divides; learned values
/// predict the field.
struct Fields<'a> {
    old: &'a [u8],
    shift: u8,
    predicted: u8,
}

impl Predictor for Fields<'_> {
    fn next(&mut self, new_at: u64, old_at: u64, buffer: &mut [u8]) -> io::Result<Chunk> {
        let ahead = (7 - new_at % 7) as usize % 7;
        if ahead == 0 && buffer.len() >= 4 {
            self.old.read_at(old_at, &mut buffer[..4])?;
            self.predicted = buffer[0];
            buffer[0] = buffer[0].wrapping_add(self.shift);
            return Ok(Chunk { length: 4, kind: 1 + (new_at % 3) as u8 });
        }
        let length = buffer.len().min(ahead.max(1));
        self.old.read_at(old_at, &mut buffer[..length])?;
        Ok(Chunk { length, kind: 0 })
    }

    fn settle(&mut self, actual: &[u8]) {
        self.shift = actual[0].wrapping_sub(self.predicted);
    }
}

fn fields(old: &[u8]) -> Fields<'_> {
    Fields { old, shift: 0, predicted: 0 }
}

/// A stream, and the literals that stand apart from it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Packed {
    stream: Vec<u8>,
    literals: [Vec<u8>; STREAMS],
}

fn pack(
    old: &[u8],
    new: &[u8],
    steps: &[CopyInstruction],
    options: CoderOptions,
    plain: bool,
) -> Packed {
    let mut packed = Packed::default();
    let out = (&mut packed.stream, &mut packed.literals);
    if plain {
        encode(&old, new, steps, options, &mut PlainPredictor::new(&old), out).unwrap();
    } else {
        encode(&old, new, steps, options, &mut fields(old), out).unwrap();
    }
    packed
}

/// The decoded bytes, and how decoding ended.
fn unpack(
    old: &[u8],
    length: u64,
    packed: &Packed,
    plain: bool,
) -> (Vec<u8>, Result<(), CoderError>) {
    let mut new = Vec::new();
    let mut sink = |bytes: &[u8]| {
        new.extend_from_slice(bytes);
        Ok(())
    };
    let mut literals = packed.literals.each_ref().map(|literals| &literals[..]);
    let literals = literals.each_mut().map(|literals| literals as &mut dyn io::Read);
    let ended = decode(
        &old,
        length,
        &LIMITS,
        (&mut &packed.stream[..], literals),
        |_| {
            Ok(if plain {
                Box::new(PlainPredictor::new(&old)) as Box<dyn Predictor>
            } else {
                Box::new(fields(old))
            })
        },
        &mut sink,
    );
    (new, ended)
}

fn options(nature: Nature, length: usize) -> CoderOptions {
    let whole = CoderOptions::for_target(nature, length as u64, length as u64);
    CoderOptions { tables: whole.tables.min(10), ..whole }
}

/// Old bytes, new bytes, and instructions that tile them: some bytes of each copy differ.
fn case() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, Vec<CopyInstruction>)> {
    let byte = prop_oneof![3 => 97..102_u8, 1 => any::<u8>()];
    let old = proptest::collection::vec(byte.clone(), 0..2000);
    let parts = proptest::collection::vec(
        (
            proptest::collection::vec(byte, 0..40),
            any::<u16>(),
            0..700_u64,
            proptest::collection::vec((any::<u16>(), any::<u8>()), 0..6),
        ),
        0..12,
    );
    (old, parts).prop_map(|(old, parts)| {
        let (mut new, mut steps) = (Vec::new(), Vec::new());
        for (literals, at, length, changes) in parts {
            let old_at = u64::from(at) % (old.len() as u64 + 1);
            let length = length.min(old.len() as u64 - old_at);
            if literals.is_empty() && length == 0 {
                continue;
            }
            new.extend_from_slice(&literals);
            let from = new.len();
            new.extend_from_slice(&old[old_at as usize..(old_at + length) as usize]);
            for (at, byte) in changes {
                if length > 0 {
                    new[from + usize::from(at) % length as usize] = byte;
                }
            }
            steps.push(CopyInstruction {
                literals: literals.len() as u64,
                old_at: if length > 0 { old_at } else { 0 },
                length,
            });
        }
        (old, new, steps)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_was_packed_comes_back((old, new, steps) in case(), text: bool, plain: bool, training in 0..8_u32, recall: bool, apart: bool, code in 0..3_usize) {
        let nature = if text { Nature::Text } else { Nature::Binary };
        let code = [None, Some(Mode::Narrow), Some(Mode::Wide)][code].filter(|_| apart);
        let options = CoderOptions { training, recall, apart, code, ..options(nature, new.len()) };
        let packed = pack(&old, &new, &steps, options, plain);
        prop_assert_eq!(&packed, &pack(&old, &new, &steps, options, plain));
        let (back, ended) = unpack(&old, new.len() as u64, &packed, plain);
        prop_assert!(ended.is_ok(), "{ended:?}");
        prop_assert_eq!(back, new);
        let literals: u64 = steps.iter().map(|step| step.literals).sum();
        prop_assert_eq!(packed.literals.iter().map(|literals| literals.len() as u64).sum::<u64>(), if apart { literals } else { 0 });
    }

    #[test]
    fn a_damaged_stream_never_gives_more_than_was_asked_for((old, new, steps) in case(), flips in proptest::collection::vec((any::<u16>(), 1..=255_u8), 1..4), apart: bool) {
        let options = CoderOptions { apart, code: Some(Mode::Wide).filter(|_| apart), ..options(Nature::Text, new.len()) };
        let mut packed = pack(&old, &new, &steps, options, true);
        for (at, flip) in flips {
            let stream = if at % 3 == 0 { &mut packed.literals[usize::from(at) % STREAMS] } else { &mut packed.stream };
            let at = usize::from(at) % stream.len().max(1);
            if let Some(byte) = stream.get_mut(at) {
                *byte ^= flip;
            }
        }
        let (back, _) = unpack(&old, new.len() as u64, &packed, false);
        prop_assert!(back.len() <= new.len());
    }

    #[test]
    fn noise_is_refused_or_bounded(noise in proptest::collection::vec(any::<u8>(), 0..300), length in 0..5000_u64) {
        let old = b"some old bytes, and some more of them".repeat(20);
        let packed = Packed { literals: [(); STREAMS].map(|()| noise.clone()), stream: noise };
        let (back, _) = unpack(&old, length, &packed, true);
        prop_assert!(back.len() as u64 <= length);
    }
}

/// For any bits, and however many zeros the stream ends with: all bits come back, and nothing is
/// missing.
#[test]
fn every_stream_of_bits_comes_back() {
    let mut state = 7_u64;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    for _ in 0..20_000 {
        let likely = random() % 3 == 0;
        let bits: Vec<(bool, u32)> = (0..random() % 200)
            .map(|_| {
                let probability = if likely { 65_500 } else { 1 + random() % 65_535 };
                (random() % 65_536 < probability, probability)
            })
            .collect();
        let mut packed = Vec::new();
        let mut encoder = Encoder::new(&mut packed);
        bits.iter()
            .for_each(|(bit, probability)| assert_eq!(encoder.code(*bit, *probability), *bit));
        encoder.finish();
        let mut input = &packed[..];
        let mut decoder = Decoder::new(&mut input);
        for (bit, probability) in &bits {
            assert_eq!(decoder.code(false, *probability), *bit);
        }
        assert!(!decoder.failed() && !decoder.has_more());
    }
}

#[test]
fn nothing_packs_to_almost_nothing() {
    let packed = pack(b"old", b"", &[], options(Nature::Text, 0), true);
    assert!(packed.stream.len() <= 3, "{packed:?}");
    assert!(unpack(b"old", 0, &packed, true).1.is_ok());
}

#[test]
fn a_long_copy_costs_a_few_bytes() {
    let old: Vec<u8> =
        (0..1_000_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let steps = [CopyInstruction { literals: 0, old_at: 0, length: 1_000_000 }];
    let packed = pack(&old, &old, &steps, options(Nature::Binary, old.len()), true);
    assert!(packed.stream.len() < 40, "{}", packed.stream.len());
    assert_eq!(unpack(&old, 1_000_000, &packed, true).0, old);
}

#[test]
fn a_stream_cut_anywhere_never_gives_more_than_was_asked_for() {
    let old = b"The quick brown fox jumps over the lazy dog. ".repeat(30);
    let mut new = old.clone();
    new.splice(100..110, *b"something entirely different");
    let steps = [
        CopyInstruction { literals: 0, old_at: 0, length: 100 },
        CopyInstruction { literals: 28, old_at: 110, length: old.len() as u64 - 110 },
    ];
    let packed = pack(&old, &new, &steps, options(Nature::Text, new.len()), true);
    for cut in 0..packed.stream.len() {
        let part = Packed { stream: packed.stream[..cut].to_vec(), ..Packed::default() };
        let (back, ended) = unpack(&old, new.len() as u64, &part, true);
        assert!(back.len() <= new.len());
        assert!(ended.is_err() || back.len() == new.len());
        // The last bytes may equal what the decoder would read behind the end; all others are
        // needed.
        assert!(
            ended.is_err() || back != new || cut + 2 >= packed.stream.len(),
            "cut at {cut}: {packed:?}"
        );
    }
}

#[test]
fn bytes_behind_the_end_are_an_error() {
    let mut packed = pack(
        b"old",
        b"new",
        &[CopyInstruction { literals: 3, old_at: 0, length: 0 }],
        options(Nature::Text, 3),
        true,
    );
    packed.stream.extend_from_slice(&[7; 20]);
    assert!(matches!(unpack(b"old", 3, &packed, true).1, Err(CoderError::Trailing)));
}

#[test]
fn fresh_bytes_that_are_missing_or_too_many_are_an_error() {
    let steps = [CopyInstruction { literals: 3, old_at: 0, length: 0 }];
    let options = CoderOptions { apart: true, ..options(Nature::Binary, 3) };
    let packed = pack(b"old", b"new", &steps, options, true);
    assert_eq!(packed.literals[0], b"new");
    let with = |literals: &[u8]| Packed {
        literals: [literals.to_vec(), vec![], vec![], vec![], vec![]],
        ..packed.clone()
    };
    assert!(unpack(b"old", 3, &packed, true).1.is_ok());
    assert!(matches!(unpack(b"old", 3, &with(b"ne"), true).1, Err(CoderError::Truncated)));
    assert!(matches!(unpack(b"old", 3, &with(b"news"), true).1, Err(CoderError::Trailing)));
}

/// Copies that return to distances of earlier ones, as with functions in a new order.
#[test]
fn a_distance_that_was_met_costs_little() {
    let old: Vec<u8> =
        (0..400_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cost = |distances: [u64; 3]| {
        let (mut new, mut steps) = (Vec::new(), Vec::new());
        for index in 0..300_u64 {
            let old_at = new.len() as u64
                + distances[index as usize % 3] * (1 + if distances[2] == 0 { index } else { 0 });
            new.extend_from_slice(&old[old_at as usize..old_at as usize + 100]);
            steps.push(CopyInstruction { literals: 0, old_at, length: 100 });
        }
        let packed = pack(&old, &new, &steps, options(Nature::Binary, new.len()), true);
        assert_eq!(unpack(&old, new.len() as u64, &packed, true).0, new);
        packed.stream.len()
    };
    // Three distances in turn, and distances that never come back.
    let (known, unknown) = (cost([100_000, 313, 50_011]), cost([1009, 7, 0]));
    assert!(known * 3 < unknown * 2, "{known} {unknown}");
}

#[test]
fn limits_hold() {
    let steps: Vec<CopyInstruction> =
        (0..50).map(|_| CopyInstruction { literals: 1, old_at: 0, length: 1 }).collect();
    let new = b"xo".repeat(50);
    let packed = pack(b"old", &new, &steps, options(Nature::Text, 100), true);
    let try_with = |limits: CoderLimits| {
        let old = &b"old"[..];
        let predictor = PlainPredictor::new(&old);
        let mut none = [(); STREAMS].map(|()| io::empty());
        let none = none.each_mut().map(|none| none as &mut dyn io::Read);
        decode(
            &old,
            100,
            &limits,
            (&mut &packed.stream[..], none),
            |_| Ok(Box::new(predictor)),
            &mut |_| Ok(()),
        )
    };
    assert!(matches!(
        try_with(CoderLimits { most_steps: 49, ..LIMITS }),
        Err(CoderError::TooManySteps { most: 49 })
    ));
    assert!(matches!(
        try_with(CoderLimits { most_memory: 1 << 20, ..LIMITS }),
        Err(CoderError::Memory { .. })
    ));
    assert!(try_with(LIMITS).is_ok());
}
