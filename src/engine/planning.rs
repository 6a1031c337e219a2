//! A plan for an offer: what the planner is asked, with what is installed and what the network was like.

use super::context::Context;
use super::described::{self, Library};
use super::protocol::Problem;
use super::take_over;
use crate::delta::plan::{self, Allowance, Prices, Wanted};
use crate::fetch::{Client, NodeMemory, Partial};
use crate::host;
use crate::model::plan::{Reason, Way};
use crate::model::release::SignedRelease;
use crate::model::{Digest, Manifest, Node, PackageIndex, Plan};
use crate::store::contents::Contents;
use crate::store::staging;
use crate::trust::Repository;

/// Packages that cost no more than this many times their manifest and index are not worth a question about their entries.
const WORTH_ASKING: u64 = 4;

/// The cheapest way to `signed` that the settings allow.
pub async fn plan(
    context: &Context,
    client: &Client,
    repository: &Repository,
    signed: &SignedRelease,
    nodes: &[Node],
    memory: &NodeMemory,
) -> Result<Plan, Problem> {
    let allowance = allowance(context);
    let release = &signed.release;
    let wanted = Wanted {
        container: &release.container,
        manifest: release.manifest.hash,
        full_bytes: signed.length,
        files: release.file_count,
        unpacked: release.unpacked_size,
    };
    let full = |reason| Plan::full(signed.length, release.file_count, reason);
    let home = context.home.clone();
    // Looking at every file takes a moment on a slow disk.
    let Ok(contents) = tokio::task::spawn_blocking(move || Contents::of(&home)).await else {
        return Ok(full(Reason::Unknown));
    };
    let ids: Vec<_> = contents.manifests().map(|(digest, manifest)| (manifest.id(), *digest)).collect();
    let installed: Vec<plan::Installed<'_>> = ids.iter().map(|(id, digest)| (id, *digest)).collect();
    let in_force = repository.patches_expire.is_some_and(|expires| expires > host::now());
    let patches = if in_force { repository.patches.as_slice() } else { &[] };
    let reason = match plan::by_patches(wanted, &installed, patches, &allowance, &prices(context, nodes, memory)) {
        Ok(plan) => return Ok(take_over::foretell(context, release, plan, None)),
        Err(reason @ (Reason::SwitchedOff | Reason::NothingInstalled | Reason::Sooner)) => return Ok(full(reason)),
        Err(reason) => reason,
    };
    // No pack leads there, or none that is worth it. What of the package is held already is told by its manifest.
    let span = described::span(signed);
    let documents = span.end - span.start;
    let may_be_full = context.settings.fallback.enable_full_update;
    if may_be_full && documents.saturating_mul(WORTH_ASKING) > signed.length {
        return Ok(full(reason));
    }
    let library = Library { client, nodes, slot: &context.described, office: &context.office, staging: None };
    let described = match library.describe(signed).await {
        Ok(described) => described,
        Err(problem) => {
            tracing::info!(?problem, "what the release holds is not known");
            return Ok(full(Reason::Unknown));
        }
    };
    let held = |digest: &Digest| contents.holds(digest);
    Ok(match plan::by_entries(wanted, documents, &described.manifest, &described.index, &held, &allowance) {
        Ok(entries) => take_over::foretell(context, release, entries.plan, Some(&described.manifest)),
        Err(reason) => full(reason),
    })
}

fn allowance(context: &Context) -> Allowance {
    let settings = &context.settings;
    Allowance {
        enabled: settings.incremental_update.enabled,
        largest_patch: settings.incremental_update.max_patch_size,
        memory: settings.performance.max_memory_usage,
        longest_chain: settings.fallback.max_patch_chain_length,
        // Without the whole package as a way out, any share of it will do.
        threshold: if settings.fallback.enable_full_update { settings.fallback.fallback_threshold } else { 1.0 },
    }
}

/// Prices by what this client measured of its nodes.
fn prices(context: &Context, nodes: &[Node], memory: &NodeMemory) -> Prices {
    let measured: Vec<_> = nodes.iter().filter_map(|node| memory.of(node)).collect();
    let mut usual = Prices::default();
    if !context.settings.fallback.enable_full_update {
        // The whole package is no way out: it is never there sooner.
        usual.unpacked_per_second = f64::MIN_POSITIVE;
    }
    if measured.is_empty() {
        return usual;
    }
    let bytes_per_second: f64 = measured.iter().map(|measured| measured.bytes_per_second).sum();
    let latency = measured.iter().map(|measured| measured.latency_seconds).fold(f64::INFINITY, f64::min);
    Prices { bytes_per_second: bytes_per_second.max(1.0), request: latency.clamp(0.0, 10.0), ..usual }
}

/// Bytes that an interrupted download left, by its own account: for showing a price, proved when it goes on.
pub fn already_here(context: &Context, signed: &SignedRelease, plan: &Plan) -> u64 {
    let staging = staging::left_by(&context.home, &signed.release.container);
    if plan.way == Way::Patches {
        let marked =
            |signed: &crate::model::SignedPatch| Partial::marked_bytes(&staging.pack(&signed.target), &signed.piece_table());
        return plan.patches.iter().map(marked).sum();
    }
    let read = |path: std::path::PathBuf, hash| std::fs::read(path).ok().filter(|json| Digest::of(json) == hash);
    let manifest = read(staging.manifest(), signed.release.manifest.hash);
    let manifest = manifest.and_then(|json| Manifest::from_json(&json).ok());
    let index = read(staging.index(), signed.release.index.hash);
    let index = manifest.zip(index).and_then(|(manifest, json)| PackageIndex::from_json(&json, &manifest).ok());
    index.map_or(0, |index| Partial::marked_bytes(&staging.package(), &index.pieces))
}
