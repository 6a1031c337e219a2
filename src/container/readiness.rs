//! Computes which entries become whole when a piece arrives, so that unpacking overlaps the
//! download. Pure.

use crate::model::{PackageIndex, RelativePath};

/// Counts the missing pieces of each entry. Set-up is linear in entries and pieces; all arrivals
/// together cost as much once more, in any order.
pub(crate) struct Readiness {
    /// Entries in the order of their bytes in the package.
    entries: Vec<Waiting>,
    /// For each piece, the entries that need it. Spans do not overlap, so an inner piece has
    /// exactly one.
    needed_by: Vec<Vec<u32>>,
    arrived: Vec<bool>,
}

struct Waiting {
    path: RelativePath,
    missing: u32,
}

impl Readiness {
    /// No piece has arrived yet.
    pub(crate) fn new(index: &PackageIndex) -> Self {
        let pieces = &index.pieces;
        let mut packed: Vec<_> = index.places.iter().map(|(path, packed)| (packed, path)).collect();
        packed.sort_unstable_by_key(|(packed, _)| packed.offset);
        let mut needed_by = vec![Vec::new(); pieces.hashes.len()];
        let mut entries = Vec::with_capacity(packed.len());
        for (index, (packed, path)) in (0u32..).zip(packed) {
            let covering = pieces.covering(&packed.span());
            for piece in covering.clone() {
                if let Some(entries) = needed_by.get_mut(piece as usize) {
                    entries.push(index);
                }
            }
            entries.push(Waiting { path: path.clone(), missing: covering.end - covering.start });
        }
        Self { entries, arrived: vec![false; needed_by.len()], needed_by }
    }

    /// Records that `piece` has arrived (verified), and returns the entries that are whole with it,
    /// in package order. A piece that arrives a second time returns no entries.
    pub(crate) fn arrived(&mut self, piece: u32) -> Vec<RelativePath> {
        let Some(arrived) = self.arrived.get_mut(piece as usize) else { return Vec::new() };
        if std::mem::replace(arrived, true) {
            return Vec::new();
        }
        let mut ready = Vec::new();
        for index in std::mem::take(&mut self.needed_by[piece as usize]) {
            let entry = &mut self.entries[index as usize];
            entry.missing -= 1;
            if entry.missing == 0 {
                ready.push(entry.path.clone());
            }
        }
        ready
    }

    /// How many entries are not whole yet.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.entries.iter().filter(|entry| entry.missing > 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn each_entry_is_ready_once_whatever_the_order() {
        let big = vec![7u8; 300];
        let (_, mut index, package) =
            fixture::container_stored(&[("app/a", b"ab"), ("app/big", &big), ("app/c", b"cdef")]);
        index.pieces = fixture::pieces(&package, 64);
        let count = index.pieces.count();
        for seed in 0..20 {
            let mut order: Vec<u32> = (0..count).chain(0..count).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut order);
            let mut readiness = Readiness::new(&index);
            let mut there = std::collections::HashSet::new();
            let mut ready = Vec::new();
            for piece in order {
                there.insert(piece);
                for path in readiness.arrived(piece) {
                    let span = index.places[&path].span();
                    assert!(index.pieces.covering(&span).all(|piece| there.contains(&piece)));
                    ready.push(path.to_string());
                }
            }
            ready.sort();
            assert_eq!(ready, ["app/a", "app/app.py", "app/big", "app/c"]);
            assert_eq!(readiness.waiting(), 0);
        }
        assert!(Readiness::new(&index).arrived(count + 5).is_empty());
    }
}
