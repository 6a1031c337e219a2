//! Translates old addresses to new ones.
//!
//! In: instructions, and the layouts of an old and a new image. Out: the new address of the bytes
//! at an old address. The instructions give it for all bytes that were copied; for others the
//! closest known address decides.

use std::collections::BTreeMap;

use super::image::{HIGHEST, Layout, OUTSIDE};

/// Old and new addresses of a copied span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stretch {
    old: u64,
    length: u64,
    new: u64,
}

/// The search checks this many spans before a place, to find the one that holds it.
const DEPTH: usize = 16;
/// A target with this many copied bytes behind it is surely the right one.
const SOLID: u64 = 64;
/// Most addresses that are remembered.
const MAX_LEARNED: usize = 1 << 16;

/// Maps the old addresses of one image to those of one new image.
#[derive(Default)]
pub(super) struct Translation {
    stretches: Vec<Stretch>,
    /// The learned new addresses of targets without a counterpart: old address and the distance to
    /// the new one.
    learned: BTreeMap<u64, u64>,
}

/// Cuts at the ends of segments: the address of a position, and how many bytes follow there without
/// a gap.
fn stretch(layout: &Layout, at: u64) -> (u64, u64) {
    match layout.segment(at) {
        Some(segment) => {
            (segment.address + (at - segment.file_at), segment.file - (at - segment.file_at))
        }
        None => {
            let next = layout
                .segments
                .iter()
                .filter(|segment| segment.file_at > at && segment.file > 0)
                .map(|segment| segment.file_at)
                .min();
            (OUTSIDE + at, next.map_or(u64::MAX, |next| next - at))
        }
    }
}

impl Translation {
    /// Adds a copied span of the files.
    pub(super) fn add(
        &mut self,
        old: &Layout,
        old_at: u64,
        new: &Layout,
        new_at: u64,
        length: u64,
    ) {
        let mut done = 0;
        while done < length {
            let (old_address, old_rest) = stretch(old, old_at + done);
            let (new_address, new_rest) = stretch(new, new_at + done);
            let part = old_rest.min(new_rest).min(length - done).max(1);
            self.stretches.push(Stretch { old: old_address, length: part, new: new_address });
            done += part;
        }
    }

    /// Completes the map when all spans are known. Memory without bytes in the file moves with its
    /// segment.
    pub(super) fn finish(&mut self, old: &Layout, new: &Layout) {
        if old.segments.len() == new.segments.len() {
            for (old, new) in old.segments.iter().zip(&new.segments) {
                if old.memory > old.file {
                    self.stretches.push(Stretch {
                        old: old.address + old.file,
                        length: old.memory - old.file,
                        new: new.address + new.file,
                    });
                }
            }
        }
        self.stretches.sort_unstable();
        self.stretches.shrink_to_fit();
    }

    /// The new address of an old one, and whether its bytes were copied. Of several copies the one
    /// closest to `hint` counts, or the longest one that continues behind it.
    pub(super) fn translate(&self, target: u64, hint: Option<u64>) -> (u64, bool) {
        let index = self.stretches.partition_point(|stretch| stretch.old <= target);
        let before = &self.stretches[index.saturating_sub(DEPTH)..index];
        let containing = before
            .iter()
            .filter(|stretch| target - stretch.old < stretch.length)
            .max_by_key(|stretch| match hint {
                Some(hint) => !hint.abs_diff(stretch.new + (target - stretch.old)),
                // A span that ends right behind the target matched by chance into the next bytes.
                None => {
                    (stretch.old + stretch.length - target).min(SOLID) << 48
                        | stretch.length.min(HIGHEST - 1)
                }
            });
        if let Some(stretch) = containing {
            return (stretch.new + (target - stretch.old), true);
        }
        let mut nearest = (u64::MAX, 0);
        if let Some(stretch) = before.iter().max_by_key(|stretch| stretch.old + stretch.length) {
            nearest =
                (target - (stretch.old + stretch.length), stretch.new.wrapping_sub(stretch.old));
        }
        if let Some(stretch) = self.stretches.get(index)
            && stretch.old - target < nearest.0
        {
            nearest = (stretch.old - target, stretch.new.wrapping_sub(stretch.old));
        }
        let beside =
            [self.learned.range(..=target).next_back(), self.learned.range(target..).next()];
        for (&old, &shift) in beside.into_iter().flatten() {
            if old.abs_diff(target) <= nearest.0 {
                nearest = (old.abs_diff(target), shift);
            }
        }
        (target.wrapping_add(nearest.1), false)
    }

    /// Records the new address of a target without a counterpart.
    pub(super) fn learn(&mut self, target: u64, new: u64) {
        if self.learned.len() < MAX_LEARNED {
            self.learned.insert(target, new.wrapping_sub(target));
        }
    }
}
