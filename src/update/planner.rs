//! Computes the cheapest plan from what is installed to a release. Pure: reads no file, no clock
//! and no network.
//!
//! It answers two questions, since the answer to the second needs documents that the first may
//! save:
//!
//! 1. [`by_patches`]: releases are nodes of a graph, packs are its edges, installed versions are
//!    where a path may begin. It finds the cheapest path within the limit of packs, from signed
//!    metadata alone (the version tree and shortest path of the specification).
//! 2. [`by_entries`]: with the release's manifest and package index, each file whose content no
//!    installed version has is an entry of the package. This needs no patch, so it leads from any
//!    version to any other on any static host.
//!
//! Both answers are compared with the whole package: neither may cost more than the share of it
//! that the settings allow, so no plan ever costs more than the full download.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use crate::model::plan::{FileCounts, Reason, UpdateStrategy};
use crate::model::{ContainerId, Digest, Manifest, PackageIndex, Plan, RelativePath, SignedPatch};

/// The limits that the settings set to plans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Allowance {
    /// Whether the settings allow anything but the whole package.
    pub enabled: bool,
    /// Size of the largest pack, bytes.
    pub largest_patch: u64,
    /// Most memory for applying a pack, bytes.
    pub memory: u64,
    /// Most packs one after another.
    pub longest_chain: usize,
    /// From this share of the package on, the whole package is fetched.
    pub threshold: f64,
}

/// The rates and times by which a plan is priced, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prices {
    /// Bytes a second that the network brings.
    pub bytes_per_second: f64,
    /// Seconds that a request takes before its first byte.
    pub request: f64,
    /// Bytes of a pack a second that its decoder takes in: the bytes that are hard to predict take
    /// the time.
    pub decoded_per_second: f64,
    /// Bytes of files a second that applying a pack reads, makes, hashes and writes, whatever its
    /// own size.
    pub made_per_second: f64,
    /// Bytes of files a second that unpacking the whole package makes.
    pub unpacked_per_second: f64,
}

impl Default for Prices {
    /// A connection that was not measured yet: 20 Mbit/s, 50 ms. On two cores. A decoder took 0.27
    /// microseconds of one core for each byte of a large pack, and 4 nanoseconds for each byte of
    /// the files made, to which come reading, hashing and writing (34 groups of labelme, 19 of an
    /// app on Windows). Unpacking made some 200 MB a second. A small pack takes ten times as long
    /// for a byte, but that is only moments.
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

/// A release that can be fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct WantedRelease<'a> {
    /// Its container's id.
    pub container: &'a ContainerId,
    pub manifest: Digest,
    /// Bytes of its package.
    pub full_bytes: u64,
    /// Number of its files.
    pub files: u64,
    /// Bytes of all its files.
    pub unpacked: u64,
}

/// An installed version: its id and its manifest's digest.
pub(super) type Installed<'a> = (&'a ContainerId, Digest);

/// The cheapest path of packs from an installed version to the release. `None` if no path leads
/// there within the limits. The reason is [`Reason::AboveThreshold`] if a path costs too much, and
/// [`Reason::Sooner`] if the whole package would arrive much sooner.
pub(super) fn by_patches(
    wanted: WantedRelease<'_>,
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
    // Where the connection is very fast and the patches are hard work, the whole package arrives
    // sooner. Fewer bytes are worth a short wait.
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

/// Most seconds that a plan with fewer bytes may take longer.
const MAX_EXTRA_WAIT: f64 = 10.0;

/// A path to a release: its price, and its last pack.
type Reached<'a> = (f64, Option<&'a SignedPatch>);

/// Bellman and Ford's algorithm by length of the path, which is what the chain's limit asks for:
/// `reached[k]` holds for each manifest the cheapest path of at most `k` packs.
fn cheapest_path<'a>(
    wanted: WantedRelease<'_>,
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
        // A level starts as a copy of the one before it. Its own step is the cheapest one there.
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

/// A gap between two wanted entries up to this size is fetched with them, since a second request
/// costs more; bytes.
const SMALL_GAP: u64 = 16 << 10;

/// The part of a package to fetch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entries {
    pub plan: Plan,
    /// Files whose content is missing on this disk, each content once.
    pub missing: Vec<RelativePath>,
}

/// The entries of the release's package to fetch, given the contents that are `held`. `documents`
/// are the bytes of manifest and index, which are fetched as well.
pub(super) fn by_entries(
    wanted: WantedRelease<'_>,
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

/// Files whose content is not `held`, the first path of each content.
pub(super) fn missing(manifest: &Manifest, held: &dyn Fn(&Digest) -> bool) -> Vec<RelativePath> {
    let mut seen = BTreeSet::new();
    let files = manifest
        .files_with_bytes()
        .filter(|(_, entry)| !held(&entry.hash) && seen.insert(entry.hash));
    files.map(|(path, _)| path.clone()).collect()
}

/// The spans of the package that hold these files, in their order in the package. Spans with a
/// small gap between them become one.
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
