//! Tests of the public patch formats: other programs apply our patches, and we apply theirs; forged
//! patches are refused.
#![cfg(feature = "encoder")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]
#![allow(clippy::disallowed_methods)] // tests look for programs on this computer

mod forged;
mod programs;
mod random;

use kuzflow_delta::bsdiff4::{self, Bsdiff4Error};
use kuzflow_delta::dictionary::{self, DictionaryError};

const ENOUGH: u64 = 64 << 20;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Old and new bytes of every kind that matters, with a name.
fn pairs() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let text: String = (0..4000)
        .map(|line| format!("{line}: the number {} is not {}\n", line * 7, line ^ 99))
        .collect();
    let edited = text.replace("1: the", "1: a").replace("77", "seventy-seven");
    let binary = noise(1, 200_000);
    let mut moved = binary.clone();
    moved.rotate_left(70_000);
    moved.iter_mut().step_by(37).for_each(|byte| *byte = byte.wrapping_add(3));
    moved.extend(noise(2, 5000));
    vec![
        ("text", text.clone().into_bytes(), edited.into_bytes()),
        ("binary", binary.clone(), moved),
        ("empty old", Vec::new(), text.clone().into_bytes()),
        ("empty new", text.into_bytes(), Vec::new()),
        ("both empty", Vec::new(), Vec::new()),
        ("equal", binary.clone(), binary.clone()),
        ("one byte", vec![1], vec![2]),
        ("zeros", vec![0; 50_000], vec![0; 70_001]),
        ("cut", binary.clone(), binary[50_000..50_100].to_vec()),
    ]
}

fn bspatch(old: &[u8], patch: &[u8], size: u64) -> Result<Vec<u8>, Bsdiff4Error> {
    let mut made = Vec::new();
    bsdiff4::apply(&old.to_vec(), patch, size, &mut |block| {
        made.extend_from_slice(block);
        assert!(made.len() as u64 <= size, "more than it should be");
        Ok(())
    })?;
    Ok(made)
}

fn unpack(bases: &[u8], patch: &[u8], size: u64, limit: u64) -> Result<Vec<u8>, DictionaryError> {
    let mut made = Vec::new();
    dictionary::apply(bases, patch, size, limit, &mut |block| {
        made.extend_from_slice(block);
        assert!(made.len() as u64 <= size, "more than it should be");
        Ok(())
    })?;
    Ok(made)
}

#[test]
fn what_we_make_we_apply() {
    for (name, old, new) in pairs() {
        let patch = bsdiff4::make(&old, &new).unwrap();
        assert!(bspatch(&old, &patch, new.len() as u64).unwrap() == new, "{name}");
        let patch = dictionary::make(&old, &new, 19).unwrap();
        assert!(unpack(&old, &patch, new.len() as u64, ENOUGH).unwrap() == new, "{name}");
    }
}

#[test]
fn patches_are_small() {
    for (name, old, new) in pairs() {
        if matches!(name, "text" | "equal" | "cut" | "zeros") {
            let sizes = [
                bsdiff4::make(&old, &new).unwrap().len(),
                dictionary::make(&old, &new, 19).unwrap().len(),
            ];
            assert!(sizes.iter().all(|size| *size < 3200), "{name}: {sizes:?}");
        }
    }
}
