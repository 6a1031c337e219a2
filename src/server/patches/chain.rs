//! Finds the cheapest chain of packs from one version to another. A pure core: packs in, a chain
//! out.

use std::collections::BTreeMap;

use crate::model::{SignedPatch, Version};

/// The chain of at most `longest` of `packs`, all of one app and platform, with the fewest bytes;
/// of equal ones the shortest. `None` if no chain leads there.
///
/// Bellman-Ford in rounds: after round `n` the best chains of at most `n` packs are known, which
/// gives the limit on the length.
pub(super) fn cheapest<'a>(
    packs: &[&'a SignedPatch],
    from: &Version,
    to: &Version,
    longest: usize,
) -> Option<Vec<&'a SignedPatch>> {
    // For each version: the bytes so far, and the packs.
    let mut best: BTreeMap<&Version, (u64, Vec<&'a SignedPatch>)> =
        BTreeMap::from([(from, (0, Vec::new()))]);
    for _ in 0..longest {
        let mut next = best.clone();
        for pack in packs {
            let Some((bytes, chain)) = best.get(&pack.patch.from.version) else { continue };
            let bytes = bytes.saturating_add(pack.length);
            let known = next.get(&pack.patch.to.version);
            if known.is_none_or(|(known, _)| bytes < *known) {
                let chain = chain.iter().chain([pack]).copied().collect();
                next.insert(&pack.patch.to.version, (bytes, chain));
            }
        }
        best = next;
    }
    best.remove(to).map(|(_, chain)| chain).filter(|chain| !chain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;
    use serde_json::json;

    fn pack(from: u64, to: u64, length: u64) -> SignedPatch {
        let patch = json!({
            "from": format!("sample_{from}.0.0_Linux_x86_64"), "to": format!("sample_{to}.0.0_Linux_x86_64"),
            "base_manifest": Digest::of(b""), "target_manifest": Digest::of(b""),
            "cloned": 0, "patched": 0, "added": 0, "removed": 0, "written": 0, "memory": 0,
            "created": "2026-01-01T00:00:00Z", "requires_restart": true, "hot_swappable": 0,
        });
        let patch: crate::model::Patch = serde_json::from_value(patch).unwrap();
        SignedPatch { target: patch.target_name(), length, hash: Digest::of(b""), patch }
    }

    fn chain(packs: &[SignedPatch], from: u64, to: u64, longest: usize) -> Option<(u64, usize)> {
        let packs: Vec<&SignedPatch> = packs.iter().collect();
        let version = |number| Version::new(number, 0, 0);
        let chain = cheapest(&packs, &version(from), &version(to), longest)?;
        assert!(chain.windows(2).all(|pair| pair[0].patch.to == pair[1].patch.from), "{chain:?}");
        Some((chain.iter().map(|pack| pack.length).sum(), chain.len()))
    }

    #[test]
    fn the_fewest_bytes_within_the_longest_chain() {
        let packs = [
            pack(1, 5, 100),
            pack(1, 2, 10),
            pack(2, 3, 10),
            pack(3, 4, 10),
            pack(4, 5, 10),
            pack(3, 5, 40),
            pack(5, 1, 7),
            pack(2, 1, 1),
        ];
        assert_eq!(chain(&packs, 1, 5, 5), Some((40, 4)));
        assert_eq!(chain(&packs, 1, 5, 3), Some((60, 3)));
        assert_eq!(chain(&packs, 1, 5, 2), Some((100, 1)));
        assert_eq!(chain(&packs, 5, 2, 5), Some((17, 2)), "also backwards");
        assert_eq!(chain(&packs, 1, 6, 5), None);
        assert_eq!(chain(&packs, 6, 1, 5), None);
        assert_eq!(chain(&packs, 1, 1, 5), None);
        assert_eq!(chain(&packs, 1, 5, 0), None);
    }

    #[test]
    fn the_best_of_all_chains_is_found() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let packs: Vec<SignedPatch> = (0..12)
                .map(|_| pack(random.u64(1..6), random.u64(1..6), random.u64(1..50)))
                .collect();
            let longest = random.usize(1..5);
            let found = chain(&packs, 1, 5, longest).map(|(bytes, _)| bytes);
            // Tries every chain in turn.
            fn search(packs: &[SignedPatch], at: u64, left: usize) -> Option<u64> {
                if at == 5 {
                    return Some(0);
                }
                let from = Version::new(at, 0, 0);
                let next = packs.iter().filter(|pack| left > 0 && pack.patch.from.version == from);
                let number = |pack: &SignedPatch| {
                    (1..6)
                        .find(|number| Version::new(*number, 0, 0) == pack.patch.to.version)
                        .unwrap_or(0)
                };
                next.filter_map(|pack| Some(pack.length + search(packs, number(pack), left - 1)?))
                    .min()
            }
            assert_eq!(found, search(&packs, 1, longest));
        }
    }
}
