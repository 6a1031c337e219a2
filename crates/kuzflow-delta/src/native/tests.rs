//! Tests of native prediction.

use proptest::prelude::*;

use super::x86::{Operand, decode};
use super::*;
use crate::CopyInstruction;
use crate::align::AlignOptions;
use crate::prediction::{Predictor as _, UNSURE};

/// A program of functions that call each other: a 64-bit ELF file with one segment. The bodies are
/// made from the numbers in `functions`; each function calls those with the next three numbers.
fn program(functions: &[u32]) -> Vec<u8> {
    const HEAD: usize = 120;
    const BODY: usize = 64;
    let place = |number: u32| {
        functions.iter().position(|&other| other == number).map(|index| HEAD + index * BODY)
    };
    let length = HEAD + functions.len() * BODY;
    let mut file = vec![0; HEAD];
    file[..8].copy_from_slice(&[0x7F, b'E', b'L', b'F', 2, 1, 1, 0]);
    file[16..20].copy_from_slice(&[3, 0, 62, 0]);
    file[32] = 64;
    file[54] = 56;
    file[56] = 1;
    file[64..72].copy_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
    for at in [96, 104] {
        file[at..at + 8].copy_from_slice(&(length as u64).to_le_bytes());
    }
    for &number in functions {
        let start = file.len();
        for round in 0..5 {
            // mov eax, with a number for each function
            file.push(0xB8);
            file.extend(
                number.wrapping_mul(0x9E37_79B1).wrapping_add(round * 0x0101_4703).to_le_bytes(),
            );
            if let Some(target) = place(number + 1 + round % 3) {
                file.push(0xE8);
                file.extend((target as i32 - file.len() as i32 - 4).to_le_bytes());
            }
        }
        file.resize(start + BODY, 0xCC);
    }
    file
}

/// Counts correctly predicted fields, wrong fields and wrong plain bytes in copies; checks that the
/// instructions tile the target.
fn predict(
    old: &[u8],
    new: &[u8],
    program: &NativeImages,
    aligned: &Aligned,
) -> (usize, usize, usize) {
    let lengths = [new.len() as u64];
    let old = old.to_vec();
    let mut predictor =
        NativePredictor::new(&old, program, &lengths, &aligned.steps, &aligned.hints).unwrap();
    let mut result = (0, 0, 0);
    let mut at = 0;
    for step in &aligned.steps {
        at += step.literals as usize;
        let (mut old_at, end) = (step.old_at, at + step.length as usize);
        while at < end {
            let mut buffer = [0; 32];
            let room = buffer.len().min(end - at);
            let chunk = predictor.next(at as u64, old_at, &mut buffer[..room]).unwrap();
            assert!(chunk.length > 0 && chunk.length <= room);
            let actual = &new[at..at + chunk.length];
            if chunk.kind > 0 {
                assert_eq!(chunk.length, fields::size(chunk.kind & !UNSURE));
                if actual == &buffer[..chunk.length] {
                    result.0 += 1
                } else {
                    result.1 += 1
                }
                predictor.settle(actual);
            } else {
                result.2 += actual.iter().zip(&buffer).filter(|(one, other)| one != other).count();
            }
            at += chunk.length;
            old_at += chunk.length as u64;
        }
    }
    assert!(at <= new.len());
    result
}

fn aligned(old: &[u8], new: &[u8]) -> (NativeImages, Aligned) {
    let (old, new) = (old.to_vec(), new.to_vec());
    let program = NativeImages::new(&old, &[old.len() as u64]).unwrap();
    let aligned =
        align(&old, &program, &new, &[new.len() as u64], &AlignOptions::native()).unwrap();
    (program, aligned)
}

#[test]
fn a_moved_program_is_predicted() {
    let old: Vec<u32> = (0..60).collect();
    let mut new = old.clone();
    new.splice(30..30, [1000, 2000]);
    let (old, new) = (program(&old), program(&new));
    let (images, aligned) = aligned(&old, &new);
    assert!(images.fields() > 280, "{}", images.fields());
    let (hits, misses, _) = predict(&old, &new, &images, &aligned);
    assert!(hits > 280 && misses == 0, "{hits} {misses}");
    let differing = old.iter().zip(&new).filter(|(one, other)| one != other).count();
    assert!(differing > 300);
}

#[test]
fn several_members_do_not_mix() {
    let first: Vec<u32> = (0..40).collect();
    let second: Vec<u32> = (500..540).collect();
    let text = b"some text between the programs".to_vec();
    let old = [program(&first), text.clone(), program(&second)];
    let mut moved = second.clone();
    moved.insert(7, 900);
    let new = [program(&moved), text, program(&first)];
    let lengths =
        |members: &[Vec<u8>]| members.iter().map(|member| member.len() as u64).collect::<Vec<_>>();
    let (old_lengths, new_lengths) = (lengths(&old), lengths(&new));
    let (old, new) = (old.concat(), new.concat());
    let images = NativeImages::new(&old, &old_lengths).unwrap();
    let aligned = align(&old, &images, &new, &new_lengths, &AlignOptions::native()).unwrap();
    let mut predictor =
        NativePredictor::new(&old, &images, &new_lengths, &aligned.steps, &aligned.hints).unwrap();
    let (mut at, mut misses) = (0, 0);
    for step in &aligned.steps {
        at += step.literals as usize;
        let mut done = 0;
        while done < step.length as usize {
            let mut buffer = vec![0; step.length as usize - done];
            let chunk =
                predictor.next((at + done) as u64, step.old_at + done as u64, &mut buffer).unwrap();
            let actual = &new[at + done..at + done + chunk.length];
            if chunk.kind > 0 {
                misses += usize::from(actual != &buffer[..chunk.length]);
                predictor.settle(actual);
            }
            done += chunk.length;
        }
        at += step.length as usize;
    }
    assert_eq!(at, new.len());
    assert!(misses <= 2, "{misses}");
}

#[test]
fn branches_of_arm_keep_their_opcode() {
    // bl, 16 bytes ahead, then 16 bytes back.
    let word = 0x9400_0004_u32;
    assert_eq!(reference::number(kind::ARM_BRANCH, &word.to_le_bytes()), 16);
    let mut field = word.to_le_bytes();
    reference::replace(kind::ARM_BRANCH, &mut field, 16_u64.wrapping_neg());
    assert_eq!(u32::from_le_bytes(field), 0x97FF_FFFC);
    assert_eq!(reference::number(kind::ARM_BRANCH, &field) as i64, -16);
}

#[test]
fn hints_are_refused_when_wrong() {
    let old = program(&[1, 2, 3]);
    let images = NativeImages::new(&old, &[old.len() as u64]).unwrap();
    for hints in [&[][..], &[9], &[1], &[1, 0, 0], &[1, 255, 255, 255, 255, 255], &[0x80; 20]] {
        assert!(NativePredictor::new(&old, &images, &[50], &[], hints).is_err(), "{hints:?}");
    }
    assert!(NativePredictor::new(&old, &images, &[50], &[], &[1, 0]).is_ok());
}

#[test]
fn known_instructions() {
    for (code, length, operand) in [
        (&[0x90][..], 1, Operand::None),
        (&[0xE8, 1, 2, 3, 4], 5, Operand::Call),
        (&[0x0F, 0x84, 1, 2, 3, 4], 6, Operand::Branch),
        (&[0x48, 0x8D, 0x05, 1, 2, 3, 4], 7, Operand::Address),
        (&[0xC7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8], 10, Operand::Memory),
        (&[0x66, 0x81, 0xC3, 1, 2], 5, Operand::None),
        (&[0x48, 0xB8, 1, 2, 3, 4, 5, 6, 7, 8], 10, Operand::None),
        (&[0xC5, 0xF8, 0x77], 3, Operand::None),
        (&[0xC5, 0xFB, 0x10, 0x05, 1, 2, 3, 4], 8, Operand::Memory),
        (&[0xF7, 0xC1, 1, 2, 3, 4], 6, Operand::None),
        (&[0xF7, 0xD9], 2, Operand::None),
        (&[0x06], 1, Operand::None),
        (&[0xE8, 1, 2], 1, Operand::None),
    ] {
        let instruction = decode(code, true);
        assert_eq!(
            (usize::from(instruction.length), instruction.operand),
            (length, operand),
            "{code:02x?}"
        );
    }
}

/// Damaged headers that lead into the middle of the parsers.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let noise = proptest::collection::vec(any::<u8>(), 0..2000);
    let edits = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..40);
    (0..3_u8, noise, edits).prop_map(|(which, noise, edits)| {
        let mut file = program(&(0..30).collect::<Vec<_>>());
        if which == 1 {
            file[4] = 1;
            file[18] = 3;
        }
        if which == 2 {
            file[..2].copy_from_slice(b"MZ");
            file[0x3C..0x40].copy_from_slice(&[0x40, 0, 0, 0]);
            file[0x40..0x4C].copy_from_slice(&[b'P', b'E', 0, 0, 0x64, 0x86, 2, 0, 0, 0, 0, 0]);
            file[0x54..0x5A].copy_from_slice(&[0xF0, 0, 0, 0, 0x0B, 2]);
        }
        file.extend(noise);
        for (place, byte) in edits {
            // Most damage is in the headers.
            let limit = if byte & 3 == 0 { file.len() } else { 400 };
            let at = place.index(limit);
            file[at] = byte;
        }
        file
    })
}

proptest! {
    #[test]
    fn hostile_files_do_no_harm(old in damaged(), new in damaged()) {
        let (images, aligned) = aligned(&old, &new);
        let first = predict(&old, &new, &images, &aligned);
        // The decoder's side gives the same result.
        let again = NativeImages::new(&old, &[old.len() as u64]).unwrap();
        prop_assert_eq!(first, predict(&old, &new, &again, &aligned));
    }

    #[test]
    fn hostile_hints_and_steps_do_no_harm(
        old in damaged(),
        hints in proptest::collection::vec(any::<u8>(), 0..60),
        steps in proptest::collection::vec((0..50_u64, 0..900_u64, 1..900_u64), 0..20),
    ) {
        let steps: Vec<CopyInstruction> = steps
            .into_iter()
            .map(|(literals, old_at, length)| CopyInstruction { literals, old_at, length: length.min(old.len() as u64 - old_at) })
            .collect();
        let length = steps.iter().map(|step| step.literals + step.length).sum::<u64>();
        let new = vec![7; length as usize];
        let images = NativeImages::new(&old, &[old.len() as u64]).unwrap();
        let mut hints = hints;
        if !images.is_empty() {
            hints.splice(0..0, [1, 3]);
        }
        if NativePredictor::new(&old, &images, &[length], &steps, &hints).is_ok() {
            predict(&old, &new, &images, &Aligned { steps, hints });
        }
    }

    #[test]
    fn any_bytes_are_instructions(code in proptest::collection::vec(any::<u8>(), 1..40), wide in any::<bool>()) {
        let instruction = decode(&code, wide);
        prop_assert!(instruction.length >= 1 && usize::from(instruction.length) <= code.len());
        if instruction.operand != Operand::None {
            prop_assert!(instruction.at + 4 <= instruction.length);
        }
    }
}

/// A header may name any position of the file, also one that no file has.
#[test]
fn a_place_that_no_file_has_is_an_address_like_others() {
    let layout = super::image::Layout::new(0, Vec::new(), 100);
    for at in [0, 100, u64::MAX / 2, u64::MAX] {
        assert!(!layout.holds(layout.address(at)) || at < 100, "{at}");
    }
}

/// Packs hold what was found in code when they were made, so nothing else may ever be found.
#[test]
fn the_same_instructions_are_found_for_ever() {
    let mut state = 1_u64;
    let mut digest = 0xCBF2_9CE4_8422_2325_u64; // FNV-1a
    for _ in 0..200_000 {
        let code: [u8; 16] = std::array::from_fn(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        for wide in [false, true] {
            let found = decode(&code, wide);
            for byte in [found.length, found.operand as u8, found.at] {
                digest = (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
            }
        }
    }
    assert_eq!(digest, 0x8DDC_51AF_DF2B_483B);
}
