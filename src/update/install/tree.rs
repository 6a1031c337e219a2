//! Puts the release's tree together from files on this disk: moves files that were staged for it,
//! and clones the others from installed versions. Every byte is hashed on its way.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::container::{ContainerError, Unpacker};
use crate::error_chain;
use crate::messages::problem;
use crate::messages::protocol::Problem;
use crate::model::{Digest, Manifest, RelativePath};
use crate::mutex;
use crate::parallel;
use crate::store::contents::Contents;
use crate::update::applying;
use crate::update::planner;

pub(super) enum TreeOutcome {
    /// The tree is complete, except for what [`Unpacker::finish`] adds.
    Complete(Box<Unpacker>),
    /// The contents without those that turned out to be wrong, and the number of files that lack
    /// theirs.
    Lacking(Contents, u64),
    /// Somebody stopped it.
    Stopped,
}

/// Builds the tree of `manifest` in the empty folder `tree`. `progress` is called for each file.
pub(super) fn build(
    manifest: &Arc<Manifest>,
    tree: &Path,
    contents: Contents,
    stop: &Arc<AtomicBool>,
    progress: &(dyn Fn() + Sync),
) -> Result<TreeOutcome, Problem> {
    let unpacker = Unpacker::new(Arc::clone(manifest), tree.to_owned())
        .map_err(|error| problem::of_container(&error))?
        .stopped_by(stop);
    let work: Vec<_> = planner::by_digest(manifest).into_iter().collect();
    let (contents, moved) = (Mutex::new(contents), Mutex::new(Vec::new()));
    let lacking = AtomicU64::new(0);
    let each = |(): &mut (), (digest, paths): &(Digest, Vec<&RelativePath>)| {
        if !stop.load(Ordering::Relaxed) {
            let count = place(&unpacker, tree, digest, paths, &contents, &moved, progress)?;
            lacking.fetch_add(count, Ordering::Relaxed);
        }
        Ok(())
    };
    let placed = parallel::each(&work, applying::workers(), || (), each);
    // A stop makes the file that is being cloned fail.
    if stop.load(Ordering::Relaxed) {
        return Ok(TreeOutcome::Stopped);
    }
    placed.map_err(|error: ContainerError| problem::of_container(&error))?;
    Ok(match lacking.into_inner() {
        0 => TreeOutcome::Complete(Box::new(unpacker)),
        count => {
            let mut contents = mutex::into_inner(contents);
            give_back(tree, mutex::into_inner(moved), &mut contents);
            TreeOutcome::Lacking(contents, count)
        }
    })
}

/// A staged file that was moved into the tree.
struct Moved {
    digest: Digest,
    from: PathBuf,
    to: RelativePath,
}

/// Moves files back to the staging folder: the next attempt begins with an empty tree and needs
/// them again.
fn give_back(tree: &Path, moved: Vec<Moved>, contents: &mut Contents) {
    for Moved { digest, from, to } in moved {
        if let Err(error) = fs::rename(to.under(tree), &from) {
            tracing::warn!(error = error_chain::line(&error), file = %from.display(), "a file that was made here is lost and will be fetched");
            contents.forget(&digest, &from);
        }
    }
}

/// Puts one content at all its paths, and returns the number of paths that stay without it. An
/// error means that this computer is at fault.
fn place(
    unpacker: &Unpacker,
    tree: &Path,
    digest: &Digest,
    paths: &[&RelativePath],
    contents: &Mutex<Contents>,
    moved: &Mutex<Vec<Moved>>,
    progress: &dyn Fn(),
) -> Result<u64, ContainerError> {
    let Some((first, others)) = paths.split_first() else { return Ok(0) };
    let held = || mutex::lock(contents);
    let places = held().places(digest).to_vec();
    // Staged files lie beside the tree, and are moved: they were hashed when they were written.
    let staging = tree.parent().unwrap_or(tree);
    let mut done = false;
    for place in places {
        let is_staged = place.starts_with(staging);
        let placed = if is_staged {
            unpacker.adopt(first, &place, *digest)
        } else {
            unpacker.clone_from(first, &place)
        };
        match placed {
            Ok(()) => {
                if is_staged {
                    let moved_file = Moved { digest: *digest, from: place, to: (*first).clone() };
                    mutex::lock(moved).push(moved_file);
                }
                done = true;
                break;
            }
            // The file is not at fault.
            Err(_) if unpacker.is_stopped() => break,
            Err(error) if error.is_the_sources() => {
                tracing::warn!(error = error_chain::line(&error), source = %place.display(), "a file is not what it should be");
                held().forget(digest, &place);
            }
            Err(error) => return Err(error),
        }
    }
    if !done {
        return Ok(paths.len() as u64);
    }
    progress();
    for path in others {
        unpacker.clone_from(path, &first.under(tree))?;
        progress();
    }
    Ok(0)
}
