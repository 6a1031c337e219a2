//! Random files, damage and controls.

use kuzflow_delta::{bsdiff4, dictionary};
use proptest::prelude::*;

use crate::forged::forged;
use crate::{ENOUGH, bspatch, unpack};

/// An old file, and a new one made of its pieces, edits and literals.
fn related() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let bytes = || {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            prop::collection::vec(0_u8..3, 0..600)
        ]
    };
    let edits = prop::collection::vec(
        (any::<prop::sample::Index>(), 0_usize..300, bytes(), any::<bool>()),
        0..6,
    );
    (bytes(), edits).prop_map(|(old, edits)| {
        let mut new = Vec::new();
        for (from, length, literals, keep) in edits {
            if !old.is_empty() {
                let from = from.index(old.len());
                new.extend_from_slice(&old[from..old.len().min(from + length)]);
            }
            if let Some(middle) = new.len().checked_div(2).and_then(|at| new.get_mut(at)) {
                *middle = middle.wrapping_add(1);
            }
            if keep {
                new.extend(literals);
            }
        }
        (old, new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pair_comes_back((old, new) in related()) {
        let patch = bsdiff4::make(&old, &new).unwrap();
        prop_assert!(bspatch(&old, &patch, new.len() as u64).unwrap() == new);
        let patch = dictionary::make(&old, &new, 12).unwrap();
        prop_assert!(unpack(&old, &patch, new.len() as u64, ENOUGH).unwrap() == new);
    }

    /// Changed bytes give an error, or as many bytes as expected; never more, and never a panic.
    #[test]
    fn any_damage_is_survived((old, new) in related(), places in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4)) {
        let size = new.len() as u64;
        for format in 0..2 {
            let mut patch = if format == 0 { bsdiff4::make(&old, &new).unwrap() } else { dictionary::make(&old, &new, 12).unwrap() };
            for (place, change) in &places {
                let at = place.index(patch.len());
                patch[at] ^= change;
            }
            let made = if format == 0 { bspatch(&old, &patch, size).ok() } else { unpack(&old, &patch, size, ENOUGH).ok() };
            prop_assert!(made.is_none_or(|made| made.len() as u64 == size));
        }
    }

    /// The streams' contents, not their packing, are arbitrary here, so that controls are reached.
    #[test]
    fn any_controls_are_survived(
        controls in prop::collection::vec([-3_i64..40, -3_i64..40, -60_i64..60], 0..8),
        differences in prop::collection::vec(any::<u8>(), 0..100),
        literals in prop::collection::vec(any::<u8>(), 0..100),
        size in 0_i64..100,
    ) {
        let patch = forged(&controls, &differences, &literals, size);
        let made = bspatch(&[9; 50], &patch, size.unsigned_abs());
        prop_assert!(made.is_err() || made.unwrap().len() as i64 == size);
    }
}
