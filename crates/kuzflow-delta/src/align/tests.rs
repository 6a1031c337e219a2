//! Tests of the aligner.

use proptest::prelude::*;

use super::*;

/// Checks that instructions tile `new` and stay in `old`; returns (literals, differing bytes).
fn check(old: &[u8], new: &[u8], steps: &[CopyInstruction]) -> (u64, u64) {
    let (mut at, mut literals, mut differing) = (0, 0, 0);
    for (index, step) in steps.iter().enumerate() {
        at += step.literals;
        literals += step.literals;
        assert!(step.length > 0 || index + 1 == steps.len());
        assert!(step.old_at + step.length <= old.len() as u64);
        for offset in 0..step.length {
            differing +=
                u64::from(new[(at + offset) as usize] != old[(step.old_at + offset) as usize]);
        }
        at += step.length;
    }
    assert_eq!(at, new.len() as u64);
    (literals, differing)
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn copies_run_through_single_differences() {
    let old = noise(4000, 1);
    let mut new = old.clone();
    new[1000] ^= 1;
    new[1001] ^= 7;
    new[3000] ^= 1;
    let steps = align(&old, &new, &AlignOptions::native()).unwrap();
    assert_eq!(steps, [CopyInstruction { literals: 0, old_at: 0, length: 4000 }]);
}

#[test]
fn moved_and_inserted_blocks() {
    let old = noise(9000, 2);
    let new = [&old[6000..9000], &noise(500, 3), &old[0..3000], &old[3100..6000]].concat();
    let steps = align(&old, &new, &AlignOptions::plain()).unwrap();
    let (literals, differing) = check(&old, &new, &steps);
    assert!((480..=500).contains(&literals) && differing < 20, "{steps:?}");
    assert_eq!(steps.len(), 3);
}

#[test]
fn windows_find_what_moved_little() {
    let old = noise(100_000, 4);
    let new = [&old[..40_000], b"something else", &old[40_000..]].concat();
    let steps =
        align(&old, &new, &AlignOptions { window: 16_384, ..AlignOptions::native() }).unwrap();
    let (literals, _) = check(&old, &new, &steps);
    assert!(literals <= 14, "{steps:?}");
}

#[test]
fn runs_of_one_byte() {
    let old = vec![0; 300_000];
    let mut new = vec![0; 400_000];
    new[70_000..70_100].fill(1);
    let steps = align(&old, &new, &AlignOptions::native()).unwrap();
    check(&old, &new, &steps);
    assert!(steps.len() < 10);
}

#[test]
fn nothing_to_copy_from() {
    for new in [b"".as_slice(), b"fresh"] {
        let steps = align(&b"".as_slice(), &new, &AlignOptions::plain()).unwrap();
        assert_eq!(check(b"", new, &steps).0, new.len() as u64);
    }
}

proptest! {
    #[test]
    fn steps_tile_the_targets(
        old in proptest::collection::vec(0..6_u8, 0..600),
        new in proptest::collection::vec(0..6_u8, 0..600),
        window in 64..800_usize,
    ) {
        let steps = align(&old, &new, &AlignOptions { window, ..AlignOptions::plain() }).unwrap();
        check(&old, &new, &steps);
    }

    #[test]
    fn edited_bytes_are_tiled(
        edits in proptest::collection::vec((0..2000_usize, 0..40_usize, proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
        window in 64..4000_usize,
    ) {
        let old = noise(2000, 9);
        let mut new = old.clone();
        for (at, removed, inserted) in edits {
            let at = at.min(new.len());
            let end = (at + removed).min(new.len());
            new.splice(at..end, inserted);
        }
        let steps = align(&old, &new, &AlignOptions { window, ..AlignOptions::native() }).unwrap();
        check(&old, &new, &steps);
    }
}
