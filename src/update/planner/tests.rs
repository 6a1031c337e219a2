//! Tests of `update::planner`.

use super::*;
use crate::model::manifest::{Entry, Permissions};
use crate::model::package_index::{Compression, Packed};
use crate::model::{Patch, PieceTable};
use proptest::prelude::*;

const ALLOWANCE: Allowance = Allowance {
    enabled: true,
    largest_patch: 10_000,
    memory: 128 << 20,
    longest_chain: 5,
    threshold: 0.7,
};
/// A second a byte: prices are bytes.
const BYTES: Prices = Prices {
    bytes_per_second: 1.0,
    request: 0.0,
    decoded_per_second: f64::INFINITY,
    made_per_second: f64::INFINITY,
    unpacked_per_second: f64::INFINITY,
};

fn id(version: u64) -> ContainerId {
    format!("sample_{version}.0.0_Linux_x86_64").parse().unwrap()
}

fn number(id: &ContainerId) -> u64 {
    id.version.to_string().split('.').next().unwrap().parse().unwrap()
}

fn manifest_of(version: u64) -> Digest {
    Digest::of(&version.to_le_bytes())
}

fn pack(from: u64, to: u64, length: u64) -> SignedPatch {
    let patch = Patch {
        from: id(from),
        to: id(to),
        base_manifest: manifest_of(from),
        target_manifest: manifest_of(to),
        cloned: 10,
        patched: 1,
        added: 0,
        removed: 0,
        written: 0,
        memory: 0,
        created: jiff::Timestamp::UNIX_EPOCH,
        requires_restart: false,
        hot_swappable: 1,
        piece_size: 0,
        pieces: Vec::new(),
    };
    SignedPatch { target: patch.target_name(), length, hash: Digest::of(b""), patch }
}

fn chain(
    installed: &[u64],
    to: u64,
    packs: &[SignedPatch],
    allowance: &Allowance,
) -> Result<Vec<(u64, u64)>, Reason> {
    let ids: Vec<(ContainerId, Digest)> =
        installed.iter().map(|version| (id(*version), manifest_of(*version))).collect();
    let installed: Vec<Installed<'_>> = ids.iter().map(|(id, manifest)| (id, *manifest)).collect();
    let wanted = WantedRelease {
        container: &id(to),
        manifest: manifest_of(to),
        full_bytes: 1000,
        files: 11,
        unpacked: 0,
    };
    let plan = by_patches(wanted, &installed, packs, allowance, &BYTES)?;
    assert_eq!(plan.bytes, plan.patches.iter().map(|signed| signed.length).sum::<u64>());
    Ok(plan.patches.iter().map(|s| (number(&s.patch.from), number(&s.patch.to))).collect())
}

#[test]
fn the_cheapest_path_wins_whatever_its_length() {
    let packs = [pack(1, 3, 300), pack(1, 2, 100), pack(2, 3, 100), pack(3, 1, 5), pack(2, 1, 1)];
    assert_eq!(chain(&[1], 3, &packs, &ALLOWANCE), Ok(vec![(1, 2), (2, 3)]));
    assert_eq!(chain(&[1, 2], 3, &packs, &ALLOWANCE), Ok(vec![(2, 3)]));
    assert_eq!(chain(&[3], 1, &packs, &ALLOWANCE), Ok(vec![(3, 1)]), "backward as well");
    let short = Allowance { longest_chain: 1, ..ALLOWANCE };
    assert_eq!(chain(&[1], 3, &packs, &short), Ok(vec![(1, 3)]));
}

#[test]
fn what_is_too_long_too_dear_or_too_large_is_not_taken() {
    let line: Vec<SignedPatch> = (1..8).map(|from| pack(from, from + 1, 10)).collect();
    assert_eq!(chain(&[3], 8, &line, &ALLOWANCE).unwrap().len(), 5);
    assert_eq!(chain(&[2], 8, &line, &ALLOWANCE), Err(Reason::Unknown));
    assert_eq!(chain(&[], 8, &line, &ALLOWANCE), Err(Reason::NothingInstalled));
    assert_eq!(chain(&[1], 2, &[pack(1, 2, 701)], &ALLOWANCE), Err(Reason::AboveThreshold));
    assert_eq!(chain(&[1], 2, &[pack(1, 2, 10_001)], &ALLOWANCE), Err(Reason::Unknown));
    let off = Allowance { enabled: false, ..ALLOWANCE };
    assert_eq!(chain(&[1], 2, &[pack(1, 2, 1)], &off), Err(Reason::SwitchedOff));
    let mut hungry = pack(1, 2, 1);
    hungry.patch.memory = 129 << 20;
    assert_eq!(chain(&[1], 2, &[hungry], &ALLOWANCE), Err(Reason::Unknown));
    let mut foreign = pack(1, 2, 1);
    foreign.patch.to = "other_2.0.0_Linux_x86_64".parse().unwrap();
    assert_eq!(chain(&[1], 2, &[foreign], &ALLOWANCE), Err(Reason::Unknown));
}

#[test]
fn on_a_fast_line_hard_work_is_not_worth_it() {
    let mut packs = [pack(1, 2, 100)];
    packs[0].patch.written = 2000;
    let ids = [(id(1), manifest_of(1))];
    let installed: Vec<Installed<'_>> = ids.iter().map(|(id, manifest)| (id, *manifest)).collect();
    let wanted = WantedRelease {
        container: &id(2),
        manifest: manifest_of(2),
        full_bytes: 1000,
        files: 11,
        unpacked: 1000,
    };
    let plan = |bytes_per_second| {
        let rest = Prices { made_per_second: 100.0, unpacked_per_second: 1000.0, ..BYTES };
        let prices = Prices { bytes_per_second, ..rest };
        by_patches(wanted, &installed, &packs, &ALLOWANCE, &prices).map(|plan| plan.bytes)
    };
    assert_eq!((plan(10.0), plan(1e6)), (Ok(100), Err(Reason::Sooner)));
}

/// Figures measured on two cores: the time to apply a pack depends on the pack's bytes, and hardly
/// on the files' bytes.
#[test]
fn waiting_is_what_decides_on_a_gigabit_line() {
    let plan =
        |length: u64, written: u64, full_bytes: u64, unpacked: u64, bytes_per_second: f64| {
            let mut packs = [pack(1, 2, length)];
            packs[0].patch.written = written;
            let ids = [(id(1), manifest_of(1))];
            let installed: Vec<Installed<'_>> =
                ids.iter().map(|(id, manifest)| (id, *manifest)).collect();
            let wanted = WantedRelease {
                container: &id(2),
                manifest: manifest_of(2),
                full_bytes,
                files: 11,
                unpacked,
            };
            let allowance = Allowance { largest_patch: u64::MAX, ..ALLOWANCE };
            by_patches(
                wanted,
                &installed,
                &packs,
                &allowance,
                &Prices { bytes_per_second, ..Prices::default() },
            )
            .map(|plan| plan.bytes)
        };
    // labelme 5.4.0 to 5.4.1: 1.7 s by the pack, 4 s in full.
    assert_eq!(plan(7_439_882, 116_169_150, 136_824_509, 589_882_245, 1.25e8), Ok(7_439_882));
    // A gigabyte with a few changed bytes is little work.
    assert_eq!(plan(100_000, 1_000_000_000, 400_000_000, 1_000_000_000, 1.25e8), Ok(100_000));
    // 120 MB of differences are 24 s of work, where all of it would be there in 8 s: not worth it.
    // On a usual connection it is.
    assert_eq!(
        plan(120_000_000, 1_000_000_000, 400_000_000, 1_000_000_000, 1.25e8),
        Err(Reason::Sooner)
    );
    assert_eq!(
        plan(120_000_000, 1_000_000_000, 400_000_000, 1_000_000_000, 2.5e6),
        Ok(120_000_000)
    );
}

proptest! {
    #[test]
    fn no_chain_is_cheaper_than_the_one_found(
        edges in proptest::collection::vec((0u64..6, 0u64..6, 1u64..120), 0..20),
        longest in 1usize..5,
    ) {
        let packs: Vec<SignedPatch> =
            edges.iter().filter(|(from, to, _)| from != to).map(|(from, to, length)| pack(*from, *to, *length)).collect();
        // Tries every path of at most `left` packs.
        fn least(at: u64, left: usize, packs: &[SignedPatch]) -> Option<u64> {
            if at == 5 {
                return Some(0);
            }
            if left == 0 {
                return None;
            }
            let here = packs.iter().filter(|signed| signed.patch.from == id(at));
            here.filter_map(|signed| Some(signed.length + least(number(&signed.patch.to), left - 1, packs)?)).min()
        }
        let allowance = Allowance { longest_chain: longest, threshold: 1.0, ..ALLOWANCE };
        let found = chain(&[0], 5, &packs, &allowance);
        let expected = least(0, longest, &packs);
        match (found, expected) {
            (Ok(path), Some(expected)) => {
                prop_assert!(path.len() <= longest);
                prop_assert_eq!(path.first().unwrap().0, 0);
                prop_assert_eq!(path.last().unwrap().1, 5);
                prop_assert!(path.windows(2).all(|pair| pair[0].1 == pair[1].0));
                let plan_bytes: u64 = path.iter().map(|(from, to)| {
                    packs.iter().filter(|s| s.patch.from == id(*from) && s.patch.to == id(*to)).map(|s| s.length).min().unwrap()
                }).sum();
                prop_assert_eq!(plan_bytes, expected);
            }
            (Err(_), None) => {}
            (Err(Reason::AboveThreshold), Some(expected)) => prop_assert!(expected > 1000),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn entries_that_nobody_holds_are_fetched_with_few_requests() {
    let entry = |text: &str| Entry {
        size: text.len() as u64,
        mtime: 0,
        hash: Digest::of(text.as_bytes()),
        permissions: Permissions::FILE,
        symlink: None,
    };
    let names = ["app/a", "app/b", "app/c", "app/copy of a", "app/d"];
    let texts = ["a", "b", "c", "a", "d"];
    let files: BTreeMap<RelativePath, Entry> =
        names.iter().zip(texts).map(|(name, text)| (name.parse().unwrap(), entry(text))).collect();
    let manifest = Manifest::sample(files);
    let place = |number: u64| Packed {
        offset: number * 10_000,
        size: 100,
        compression: Compression::Stored,
    };
    let mut places: BTreeMap<RelativePath, Packed> =
        (0u64..).zip(names).map(|(number, name)| (name.parse().unwrap(), place(number))).collect();
    places.get_mut("app/d").unwrap().offset = 1 << 20;
    let index = PackageIndex {
        places,
        pieces: PieceTable { piece_size: 1, length: 0, hashes: Vec::new() },
    };
    let wanted = WantedRelease {
        container: &id(2),
        manifest: manifest_of(2),
        full_bytes: 40_000,
        files: 5,
        unpacked: 0,
    };
    let held = |digest: &Digest| *digest == Digest::of(b"c");
    let entries = by_entries(wanted, 50, &manifest, &index, &held, &ALLOWANCE).unwrap();
    assert_eq!(
        entries.missing.iter().map(RelativePath::as_str).collect::<Vec<_>>(),
        ["app/a", "app/b", "app/d"]
    );
    assert_eq!(spans(&index, entries.missing.iter()), [0..10_100, (1 << 20)..(1 << 20) + 100]);
    assert_eq!((entries.plan.bytes, entries.plan.files.cloned), (50 + 10_100 + 100, 2));
    let small = WantedRelease { full_bytes: 12_000, ..wanted };
    assert_eq!(
        by_entries(small, 50, &manifest, &index, &held, &ALLOWANCE),
        Err(Reason::AboveThreshold)
    );
}
