//! Makes the plan of an offer: gives the planner what is installed and what the network measured.

use std::collections::HashSet;
use std::ops::Range;

use super::hot_swap;
use super::package_documents::{self, DocumentCache, Library, PackageDocuments};
use super::planner::{self, Allowance, Prices, WantedRelease};
use crate::environment::Environment;
use crate::fetch::{NodeMemory, Partial};
use crate::host;
use crate::look;
use crate::messages::protocol::Problem;
use crate::model::plan::{FileCounts, Reason, UpdateStrategy};
use crate::model::release::SignedRelease;
use crate::model::{Digest, Manifest, Node, PackageIndex, Plan, SignedPatch, Version};
use crate::session::channel::ChannelHandle;
use crate::store::contents::Contents;
use crate::store::staging;
use crate::trust::Repository;

/// A package that costs no more than this many times its manifest and index is fetched whole,
/// without asking for its entries.
const WORTH_ASKING: u64 = 4;

/// The cheapest plan for `signed` that the settings allow.
pub(crate) async fn plan(
    environment: &Environment,
    channel: &ChannelHandle,
    library: &Library<'_>,
    repository: &Repository,
    signed: &SignedRelease,
    memory: &NodeMemory,
) -> Result<Plan, Problem> {
    let release = &signed.release;
    let full = |reason| Plan::full(signed.length, release.file_count, reason);
    let predicted = |plan, manifest: Option<&Manifest>| {
        hot_swap::predict_hot_swap(environment, channel, release, plan, manifest)
    };
    let home = environment.home.clone();
    // On a slow disk it takes a moment to look at every file.
    let Ok(contents) = tokio::task::spawn_blocking(move || Contents::of(&home)).await else {
        return Ok(full(Reason::Unknown));
    };
    let ids: Vec<_> =
        contents.manifests().map(|(digest, manifest)| (manifest.id(), *digest)).collect();
    let installed: Vec<planner::Installed<'_>> =
        ids.iter().map(|(id, digest)| (id, *digest)).collect();
    let in_force = repository.patches_expire.is_some_and(|expires| expires > host::now());
    let input = PlanningInput {
        wanted: wanted(signed),
        documents: length(&package_documents::span(signed)),
        installed: &installed,
        patches: if in_force { &repository.patches } else { &[] },
        allowance: allowance(environment),
        prices: prices(environment, library.nodes, memory),
    };
    let reason = match input.by_patches(input.wanted) {
        Ok(plan) => return Ok(predicted(plan, None)),
        Err(reason @ (Reason::SwitchedOff | Reason::NothingInstalled | Reason::Sooner)) => {
            return Ok(full(reason));
        }
        Err(reason) => reason,
    };
    // No worthwhile pack leads there. The package's manifest shows which contents are here already.
    let may_be_full = environment.settings.fallback.enable_full_update;
    if may_be_full && input.documents.saturating_mul(WORTH_ASKING) > signed.length {
        return Ok(full(reason));
    }
    let documents = match library.describe(signed).await {
        Ok(documents) => documents,
        Err(problem) => {
            tracing::info!(?problem, "what the release holds is not known");
            return Ok(full(Reason::Unknown));
        }
    };
    let entries = input.by_entries(&documents, &|digest| contents.holds(digest));
    let dearest = entries.as_ref().map_or(signed.length, |plan| plan.bytes);
    let both =
        input.intermediate(&repository.releases, &contents, &documents, library, dearest).await;
    Ok(match both.map_or(entries, Ok) {
        Ok(plan) => predicted(plan, Some(&documents.manifest)),
        Err(reason) => full(reason),
    })
}

fn wanted(signed: &SignedRelease) -> WantedRelease<'_> {
    let release = &signed.release;
    WantedRelease {
        container: &release.container,
        manifest: release.manifest.hash,
        full_bytes: signed.length,
        files: release.file_count,
        unpacked: release.unpacked_size,
    }
}

const fn length(span: &Range<u64>) -> u64 {
    span.end - span.start
}

/// The release to plan for, and what is known of it.
struct PlanningInput<'a> {
    wanted: WantedRelease<'a>,
    /// Bytes of the release's manifest and index.
    documents: u64,
    installed: &'a [planner::Installed<'a>],
    patches: &'a [SignedPatch],
    allowance: Allowance,
    prices: Prices,
}

impl PlanningInput<'_> {
    /// Packs from an installed version to `wanted`.
    fn by_patches(&self, wanted: WantedRelease<'_>) -> Result<Plan, Reason> {
        planner::by_patches(wanted, self.installed, self.patches, &self.allowance, &self.prices)
    }

    /// The entries of the wanted release whose contents are not `held`.
    fn by_entries(
        &self,
        documents: &PackageDocuments,
        held: &dyn Fn(&Digest) -> bool,
    ) -> Result<Plan, Reason> {
        let PackageDocuments { manifest, index, .. } = documents;
        planner::by_entries(self.wanted, self.documents, manifest, index, held, &self.allowance)
            .map(|entries| entries.plan)
    }

    /// Packs to another release that has more in common with the wanted one than what is installed,
    /// and then the entries that differ from that one; `None` if that is not cheaper than `dearest`
    /// (the cost without packs, bytes), or if the other release's contents are unknown.
    async fn intermediate(
        &self,
        releases: &[SignedRelease],
        contents: &Contents,
        documents: &PackageDocuments,
        library: &Library<'_>,
        dearest: u64,
    ) -> Option<Plan> {
        let (other, path) = self.release_on_the_way(releases, contents)?;
        let question = length(&package_documents::span(other)).saturating_mul(WORTH_ASKING);
        if path.bytes.saturating_add(question) >= dearest.saturating_sub(self.documents) {
            return None;
        }
        // A separate cache, so that the wanted release's documents stay in theirs.
        let cache = DocumentCache::default();
        let between = Library { cache: &cache, ..*library }.describe(other).await;
        let between = between
            .inspect_err(|problem| {
                tracing::info!(?problem, "what a release on the way holds is not known")
            })
            .ok()?;
        let digests: HashSet<Digest> =
            between.manifest.files_with_bytes().map(|(_, entry)| entry.hash).collect();
        let held = |digest: &Digest| contents.holds(digest) || digests.contains(digest);
        let rest = self.by_entries(documents, &held).ok()?;
        let absent = planner::missing(&documents.manifest, &|digest| contents.holds(digest));
        let plan = by_both(path, rest, absent.len() as u64);
        let allowed = self.allowance.threshold * self.wanted.full_bytes as f64;
        (plan.bytes < dearest && plan.bytes as f64 <= allowed).then_some(plan)
    }

    /// The release between what is installed and the wanted one, and the packs that lead there.
    fn release_on_the_way<'r>(
        &self,
        releases: &'r [SignedRelease],
        contents: &Contents,
    ) -> Option<(&'r SignedRelease, Plan)> {
        let kind = self.wanted.container;
        let others = releases.iter().filter(|other| {
            let (container, hash) = (&other.release.container, &other.release.manifest.hash);
            let same_kind = container.app == kind.app && container.platform == kind.platform;
            same_kind && container != kind && contents.manifest(hash).is_none()
        });
        let reached = others.filter_map(|other| {
            let stop = WantedRelease {
                container: &other.release.container,
                manifest: other.release.manifest.hash,
                ..self.wanted
            };
            Some((other, self.by_patches(stop).ok()?))
        });
        nearest(reached, &kind.version, |(other, _)| &other.release.container.version)
    }
}

/// Of the releases that can be reached, the one that is likely to have most in common with
/// `wanted`: the newest of the older ones, else the oldest of the newer ones.
fn nearest<T>(
    reached: impl Iterator<Item = T>,
    wanted: &Version,
    version: impl Fn(&T) -> &Version,
) -> Option<T> {
    // Every older release is preferred to every newer one. Of the older ones the newest wins, of
    // the newer ones the oldest.
    reached.max_by(|a, b| {
        let (a, b) = (version(a), version(b));
        match (a < wanted, b < wanted) {
            (true, true) => a.cmp(b),
            (false, false) => b.cmp(a),
            (older, other) => older.cmp(&other),
        }
    })
}

/// The packs of `path`, and then the entries of `rest`; `absent` files of the release have content
/// that no installed version holds.
fn by_both(path: Plan, rest: Plan, absent: u64) -> Plan {
    let files = FileCounts { patched: absent.saturating_sub(rest.files.fetched), ..rest.files };
    Plan {
        strategy: UpdateStrategy::PatchesAndEntries,
        bytes: path.bytes.saturating_add(rest.bytes),
        from: path.from,
        patches: path.patches,
        files: FileCounts { cloned: files.cloned.saturating_sub(files.patched), ..files },
        ..rest
    }
}

fn allowance(environment: &Environment) -> Allowance {
    let settings = &environment.settings;
    Allowance {
        enabled: settings.incremental_update.enabled,
        largest_patch: settings.incremental_update.max_patch_size,
        memory: settings.performance.max_memory_usage,
        longest_chain: settings.fallback.max_patch_chain_length,
        // Without the whole package as a last resort any share of it is allowed.
        threshold: if settings.fallback.enable_full_update {
            settings.fallback.fallback_threshold
        } else {
            1.0
        },
    }
}

/// Prices from this client's measurements of its nodes.
fn prices(environment: &Environment, nodes: &[Node], memory: &NodeMemory) -> Prices {
    let measured: Vec<_> = nodes.iter().filter_map(|node| memory.of(node)).collect();
    let mut usual = Prices::default();
    if !environment.settings.fallback.enable_full_update {
        // The settings exclude the whole package: it never counts as sooner.
        usual.unpacked_per_second = f64::MIN_POSITIVE;
    }
    // No node is faster than the user's rate limit.
    let capped = |rate: f64| {
        environment.settings.bandwidth_limit().map_or(rate, |cap| rate.min(cap as f64)).max(1.0)
    };
    if measured.is_empty() {
        return Prices { bytes_per_second: capped(usual.bytes_per_second), ..usual };
    }
    let bytes_per_second: f64 = measured.iter().map(|measured| measured.bytes_per_second).sum();
    let latency =
        measured.iter().map(|measured| measured.latency_seconds).fold(f64::INFINITY, f64::min);
    Prices {
        bytes_per_second: capped(bytes_per_second),
        request: latency.clamp(0.0, 10.0),
        ..usual
    }
}

/// Bytes that an interrupted download left, by its own record. They serve to show a price, and are
/// verified when the download goes on.
pub(crate) fn already_here(environment: &Environment, signed: &SignedRelease, plan: &Plan) -> u64 {
    let staging = staging::left_by(&environment.home, &signed.release.container);
    if !plan.patches.is_empty() {
        let marked = |signed: &crate::model::SignedPatch| {
            Partial::marked_bytes(&staging.pack(&signed.target), &signed.piece_table())
        };
        return plan.patches.iter().map(marked).sum();
    }
    let read = |path: std::path::PathBuf, hash| {
        look::read(&path, look::LARGE).ok().flatten().filter(|json| Digest::of(json) == hash)
    };
    let manifest = read(staging.manifest(), signed.release.manifest.hash);
    let manifest = manifest.and_then(|json| Manifest::from_json(&json).ok());
    let index = read(staging.index(), signed.release.index.hash);
    let index = manifest
        .zip(index)
        .and_then(|(manifest, json)| PackageIndex::from_json(&json, &manifest).ok());
    // Behind the pieces lie the package documents.
    let documents = |index: &PackageIndex| signed.length.saturating_sub(index.pieces.length);
    index.map_or(0, |index| {
        Partial::marked_bytes(&staging.package(), &index.pieces) + documents(&index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_release_is_the_newest_older_one() {
        let version = |major| Version::new(major, 0, 0);
        let nearest = |reached: &[u64]| {
            nearest(reached.iter().map(|major| version(*major)), &version(5), |version| version)
        };
        assert_eq!(nearest(&[1, 4, 3, 6]), Some(version(4)));
        assert_eq!(nearest(&[9, 6, 7]), Some(version(6)));
        assert_eq!(nearest(&[7, 1]), Some(version(1)));
        assert_eq!(nearest(&[]), None);
    }

    #[test]
    fn files_of_a_mixed_strategy_are_counted_once() {
        let files = FileCounts { cloned: 95, patched: 0, fetched: 5 };
        let rest = Plan {
            strategy: UpdateStrategy::Entries,
            bytes: 500,
            files,
            ..Plan::full(10_000, 100, Reason::Cheapest)
        };
        let path = Plan {
            strategy: UpdateStrategy::Patches,
            bytes: 70,
            from: Some(Version::new(1, 0, 0)),
            ..rest.clone()
        };
        let both = by_both(path, rest, 20);
        assert_eq!(
            (both.strategy, both.bytes, both.from),
            (UpdateStrategy::PatchesAndEntries, 570, Some(Version::new(1, 0, 0)))
        );
        assert_eq!(both.files, FileCounts { cloned: 80, patched: 15, fetched: 5 });
    }
}
