//! The cheapest way from what is installed to a release. Pure: no file is looked at, no clock, no
//! network.
//!
//! Two questions, since the answer to the second needs documents that the first may save:
//!
//! 1. [`by_patches`]: releases are nodes of a graph, packs are its edges, installed versions are
//!    where a path may begin. The cheapest path of at most so many packs, from signed metadata
//!    alone (the version tree and shortest path of the specification).
//! 2. [`by_entries`]: with the release's manifest and package index, each file whose content is
//!    held nowhere is an entry of the package. This needs no patch, so it leads from any version to
//!    any other on any static host.
//!
//! Both answers are held against the whole package: neither may cost more than the share of it that
//! the settings allow, so no plan ever costs more than the full download.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use crate::model::plan::{FileCounts, Reason, UpdateStrategy};
use crate::model::{ContainerId, Digest, Manifest, PackageIndex, Plan, RelativePath, SignedPatch};

/// What the settings allow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Allowance {
    /// Whether anything but the whole package is.
    pub enabled: bool,
    /// Bytes of the largest pack.
    pub largest_patch: u64,
    /// Memory for applying a pack, bytes.
    pub memory: u64,
    /// Packs one after another at most.
    pub longest_chain: usize,
    /// Share of the package from which on the whole of it is fetched.
    pub threshold: f64,
}

/// What things cost, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prices {
    /// Bytes a second that the network brings.
    pub bytes_per_second: f64,
    /// Seconds that a request takes before its first byte.
    pub request: f64,
    /// Bytes of a pack a second that its decoder takes in: what is hard to foretell is what takes
    /// time.
    pub decoded_per_second: f64,
    /// Bytes of files a second that applying a pack reads, makes, hashes and writes, whatever its
    /// own size.
    pub made_per_second: f64,
    /// Bytes of files a second that unpacking the whole package makes.
    pub unpacked_per_second: f64,
}

impl Default for Prices {
    /// A line that was not measured yet: 20 Mbit/s, 50 ms. On two cores. A decoder took 0.27
    /// microseconds of one core for each byte of a large pack, and 4 nanoseconds for each byte of
    /// the files made, to which come reading, hashing and writing (34 groups of labelme, 19 of an
    /// app on Windows). Unpacking made some 200 MB a second. A small pack takes ten times as long
    /// for a byte, which is moments.
    fn default() -> Self {
        Self {
            bytes_per_second: 2.5e6,
            request: 0.05,
            decoded_per_second: 7e6,
            made_per_second: 2e8,
            unpacked_per_second: 2e8,
        }
    }
}

/// A release that is to be had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// Which.
    pub container: &'a ContainerId,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Bytes of its package.
    pub full_bytes: u64,
    /// How many files it has.
    pub files: u64,
    /// Bytes of all files.
    pub unpacked: u64,
}

/// An installed version: its id and its manifest's digest.
pub(super) type Installed<'a> = (&'a ContainerId, Digest);

/// The cheapest path of packs from an installed version to the release; `None` if none leads there
/// within the allowance, with [`Reason::AboveThreshold`] if one would but costs too much,
/// [`Reason::Sooner`] if the whole package would be there much sooner.
pub(super) fn by_patches(
    wanted: Wanted<'_>,
    installed: &[Installed<'_>],
    patches: &[SignedPatch],
    allowance: &Allowance,
    prices: &Prices,
) -> Result<Plan, Reason> {
    if !allowance.enabled {
        return Err(Reason::SwitchedOff);
    }
    if installed.is_empty() {
        return Err(Reason::NothingInstalled);
    }
    let path =
        cheapest_path(wanted, installed, patches, allowance, prices).ok_or(Reason::Unknown)?;
    let bytes = path.iter().map(|signed| signed.length).sum();
    if bytes as f64 > allowance.threshold * wanted.full_bytes as f64 {
        return Err(Reason::AboveThreshold);
    }
    // Where the line is very fast and the patches are hard work, the whole package is there sooner.
    // Bytes count for more than moments.
    let price: f64 = path.iter().map(|signed| price_of(signed, prices)).sum();
    let full = wanted.full_bytes as f64 / prices.bytes_per_second
        + wanted.unpacked as f64 / prices.unpacked_per_second;
    if price > full + MAX_EXTRA_WAIT {
        return Err(Reason::Sooner);
    }
    let (Some(first), Some(last)) = (path.first(), path.last()) else {
        return Err(Reason::Unknown);
    };
    let files = FileCounts {
        cloned: last.patch.cloned,
        patched: last.patch.patched,
        fetched: last.patch.added,
    };
    Ok(Plan {
        strategy: UpdateStrategy::Patches,
        reason: Reason::Cheapest,
        bytes,
        full_bytes: wanted.full_bytes,
        from: Some(first.patch.from.version.clone()),
        files,
        requires_restart: path.iter().any(|signed| signed.patch.requires_restart),
        hot_swappable: path.iter().map(|signed| signed.patch.hot_swappable).sum(),
        patches: path.into_iter().cloned().collect(),
    })
}

/// Seconds that a user waits for the sake of fewer bytes.
const MAX_EXTRA_WAIT: f64 = 10.0;

/// One way to a release: its price, and the pack that ends it with the number of packs before it.
type Reached<'a> = (f64, Option<&'a SignedPatch>);

/// Bellman and Ford's algorithm by length of the path, which is what the chain's limit asks for:
/// `reached[k]` holds for each manifest the cheapest way by at most `k` packs.
fn cheapest_path<'a>(
    wanted: Wanted<'_>,
    installed: &[Installed<'_>],
    patches: &'a [SignedPatch],
    allowance: &Allowance,
    prices: &Prices,
) -> Option<Vec<&'a SignedPatch>> {
    let usable: Vec<&SignedPatch> = patches
        .iter()
        .filter(|signed| {
            signed.length <= allowance.largest_patch && signed.patch.memory <= allowance.memory
        })
        .filter(|signed| {
            signed.patch.to.app == wanted.container.app
                && signed.patch.to.platform == wanted.container.platform
        })
        .collect();
    let start: HashMap<Digest, Reached<'a>> =
        installed.iter().map(|(_, manifest)| (*manifest, (0.0, None))).collect();
    let mut reached = vec![start];
    for _ in 0..allowance.longest_chain {
        let before = reached.last()?;
        let mut next = before.clone();
        for signed in &usable {
            let Some((so_far, _)) = before.get(&signed.patch.base_manifest) else { continue };
            let price = so_far + price_of(signed, prices);
            let known = next.get(&signed.patch.target_manifest).map(|(price, _)| *price);
            if known.is_none_or(|known| price < known) {
                next.insert(signed.patch.target_manifest, (price, Some(signed)));
            }
        }
        reached.push(next);
    }
    let mut path = Vec::new();
    let mut at = wanted.manifest;
    for level in reached.iter().rev() {
        // A level repeats what the one before it knew; its own step is the one that was cheapest
        // there.
        match level.get(&at)?.1 {
            Some(signed) => {
                path.push(signed);
                at = signed.patch.base_manifest;
            }
            None => break,
        }
    }
    path.reverse();
    (!path.is_empty()).then_some(path)
}

fn price_of(signed: &SignedPatch, prices: &Prices) -> f64 {
    let (packed, written) = (signed.length as f64, signed.patch.written as f64);
    let fetched = packed / prices.bytes_per_second + prices.request;
    fetched + packed / prices.decoded_per_second + written / prices.made_per_second
}

/// Bytes between two wanted entries that are fetched with them rather than asked around, since a
/// request costs more.
const SMALL_GAP: u64 = 16 << 10;

/// What is to be fetched of a package.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entries {
    /// The plan.
    pub plan: Plan,
    /// Files whose content is held nowhere, each content once.
    pub missing: Vec<RelativePath>,
}

/// Which entries of the release's package are to be fetched, given the contents that are `held`.
/// `documents` are the bytes of manifest and index, which are fetched as well.
pub(super) fn by_entries(
    wanted: Wanted<'_>,
    documents: u64,
    manifest: &Manifest,
    index: &PackageIndex,
    held: &dyn Fn(&Digest) -> bool,
    allowance: &Allowance,
) -> Result<Entries, Reason> {
    if !allowance.enabled {
        return Err(Reason::SwitchedOff);
    }
    let missing = missing(manifest, held);
    let spans = spans(index, missing.iter());
    let bytes = documents + spans.iter().map(|span| span.end - span.start).sum::<u64>();
    if bytes as f64 > allowance.threshold * wanted.full_bytes as f64 {
        return Err(Reason::AboveThreshold);
    }
    let files = FileCounts {
        cloned: wanted.files.saturating_sub(missing.len() as u64),
        patched: 0,
        fetched: missing.len() as u64,
    };
    let plan = Plan {
        strategy: UpdateStrategy::Entries,
        reason: Reason::Cheapest,
        bytes,
        full_bytes: wanted.full_bytes,
        from: None,
        patches: Vec::new(),
        files,
        requires_restart: true,
        hot_swappable: 0,
    };
    Ok(Entries { plan, missing })
}

/// Files whose content is held nowhere, the first path of each content.
pub(super) fn missing(manifest: &Manifest, held: &dyn Fn(&Digest) -> bool) -> Vec<RelativePath> {
    let mut seen = BTreeSet::new();
    let files = manifest
        .files_with_bytes()
        .filter(|(_, entry)| !held(&entry.hash) && seen.insert(entry.hash));
    files.map(|(path, _)| path.clone()).collect()
}

/// The spans of the package that hold these files, in their order in the package; near ones are
/// one.
pub(super) fn spans<'a>(
    index: &PackageIndex,
    files: impl Iterator<Item = &'a RelativePath>,
) -> Vec<Range<u64>> {
    let mut wanted: Vec<Range<u64>> =
        files.filter_map(|path| index.places.get(path)).map(|packed| packed.span()).collect();
    wanted.sort_unstable_by_key(|span| span.start);
    let mut spans: Vec<Range<u64>> = Vec::new();
    for span in wanted {
        match spans.last_mut() {
            Some(last) if span.start <= last.end.saturating_add(SMALL_GAP) => {
                last.end = last.end.max(span.end)
            }
            _ => spans.push(span),
        }
    }
    spans
}

/// Files by the digest of their content.
pub(super) fn by_digest(manifest: &Manifest) -> BTreeMap<Digest, Vec<&RelativePath>> {
    let mut files: BTreeMap<Digest, Vec<&RelativePath>> = BTreeMap::new();
    for (path, entry) in manifest.files_with_bytes() {
        files.entry(entry.hash).or_default().push(path);
    }
    files
}

#[cfg(test)]
mod tests;
