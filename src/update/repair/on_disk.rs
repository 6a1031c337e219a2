//! The part of a repair that needs only this disk: it sorts the damage by what it takes, makes what
//! takes no bytes, copies and verifies contents, and puts staged files into their places.
//!
//! In: a verification report of the version, contents by digest. Out: whole files, each put in
//! place by one rename. Never: uses the network.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::container::{self, Harm, Substance, Verification, substance};
use crate::messages::problem;
use crate::messages::protocol::{How, Problem, RepairedItem};
use crate::model::manifest::{Entry, MANIFEST_PATH};
use crate::model::{Digest, Manifest, RelativePath};
use crate::store::StoreError;
use crate::store::contents::Contents;
use crate::store::repair::Repair;

/// A file that was made again, where it is staged, and how it was made.
pub(super) type Staged = (RelativePath, PathBuf, How);

/// A repair after contents were copied: the copies, and what is still needed.
pub(super) type Copied = (Repair, Vec<Staged>, Needed);

/// The needed contents, with the files that need them and their manifest entries.
pub(super) type Needed = BTreeMap<Digest, Vec<(RelativePath, Entry)>>;

/// Sorts the damage into what is made without any bytes (folders come before what is in them) and
/// the needed contents.
pub(super) fn sort_out(
    manifest: &Manifest,
    found: &Verification,
) -> (Vec<(RelativePath, bool)>, Needed) {
    let (mut plain, mut needed) = (Vec::new(), Needed::new());
    for damage in &found.damaged {
        let only_permissions = matches!(damage.what, Harm::Permissions { .. });
        match substance(manifest, &damage.path) {
            Some(Substance::Bytes(entry)) if !only_permissions => {
                needed.entry(entry.hash).or_default().push((damage.path.clone(), entry.clone()));
            }
            _ => plain.push((damage.path.clone(), only_permissions)),
        }
    }
    (plain, needed)
}

/// Makes folders, links, empty files and permissions. The caller writes the manifest.
pub(super) fn make_plain(
    repair: &mut Repair,
    plain: &[(RelativePath, bool)],
    manifest: &Manifest,
) -> Result<Vec<RepairedItem>, Problem> {
    let mut repaired = Vec::new();
    let store = |error: StoreError| problem::of_store(&error);
    for (path, only_permissions) in plain.iter().filter(|(path, _)| path.as_str() != MANIFEST_PATH)
    {
        let staged = repair.fresh();
        let how = match (substance(manifest, path), only_permissions) {
            (Some(Substance::Bytes(entry) | Substance::Empty(entry)), true) => {
                repair.dress(path, entry).map_err(store)?;
                How::Permissions
            }
            (None, _) => {
                repair.make_folder(path).map_err(store)?;
                How::Made
            }
            (Some(kind), _) => {
                let made = match kind {
                    Substance::Link(target) => {
                        container::make_link_at(manifest, path, target, repair.root(), &staged)
                    }
                    Substance::Empty(entry) | Substance::Bytes(entry) => {
                        container::make_empty(path, entry, &staged)
                    }
                };
                made.map_err(|error| problem::of_container(&error))?;
                repair.put(path, &staged).map_err(store)?;
                How::Made
            }
        };
        repaired.push(RepairedItem { path: path.to_string(), how });
    }
    Ok(repaired)
}

/// Copies what `contents` hold, and verifies each file on its way; `None` soon after `stop` is set.
pub(super) fn copy(
    mut repair: Repair,
    contents: &mut Contents,
    needed: Needed,
    how: How,
    stop: &AtomicBool,
) -> Result<Option<Copied>, Problem> {
    let (mut staged, mut rest) = (Vec::new(), Needed::new());
    for (digest, paths) in needed {
        for (path, entry) in paths {
            let mut made = None;
            while let Some(source) = contents.places(&digest).first().cloned() {
                let to = repair.fresh();
                let copied = container::copy_entry(&path, &entry, &source, &to, stop);
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                match copied {
                    Ok(()) => {
                        made = Some(to);
                        break;
                    }
                    Err(error) if error.is_the_sources() => contents.forget(&digest, &source),
                    Err(error) => return Err(problem::of_container(&error)),
                }
            }
            match made {
                Some(to) => staged.push((path, to, how)),
                None => rest.entry(digest).or_default().push((path, entry)),
            }
        }
    }
    Ok(Some((repair, staged, rest)))
}

/// Puts staged files into their places once all of them are durable, the app's program last. While
/// the program is missing a start skips the version. So an interrupted repair cannot lead to the
/// start of a half repaired version. `None` if `stop` was set before the first file was in place.
pub(super) fn put(
    mut repair: Repair,
    mut staged: Vec<Staged>,
    program: &RelativePath,
    stop: &AtomicBool,
) -> Result<Option<(Repair, Vec<RepairedItem>)>, Problem> {
    staged.sort_by_key(|(path, ..)| path == program);
    repair.sync().map_err(|error| problem::of_store(&error))?;
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let mut repaired = Vec::new();
    for (path, file, how) in staged {
        repair.put(&path, &file).map_err(|error| problem::of_store(&error))?;
        repaired.push(RepairedItem { path: path.to_string(), how });
    }
    Ok(Some((repair, repaired)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look;
    use crate::store::fixture::Fixture;

    #[test]
    fn a_stopped_repair_copies_no_further_puts_nothing_in_place_and_leaves_nothing() {
        let fixture = Fixture::new();
        let id = fixture.install("1.0.0", &[("app/a", "whole")]);
        let json = look::read(&fixture.home.manifest(&id), look::LARGE).unwrap().unwrap();
        let path: RelativePath = "app/a".parse().unwrap();
        let entry = Manifest::from_json(&json).unwrap().file_manifest[&path].clone();
        let mut contents = Contents::of(&fixture.home);
        let mut copied = |stop: bool| {
            let needed = Needed::from([(entry.hash, vec![(path.clone(), entry.clone())])]);
            let repair = Repair::begin(&fixture.home, &id, &fixture.lock).unwrap();
            copy(repair, &mut contents, needed, How::Cloned, &AtomicBool::new(stop)).unwrap()
        };
        assert!(copied(true).is_none());
        let (repair, staged, rest) = copied(false).expect("the source is not forgotten");
        assert_eq!((staged.len(), rest.len()), (1, 0));
        fixture.write(&id, "app/a", "damaged");
        assert!(put(repair, staged, &path, &AtomicBool::new(true)).unwrap().is_none());
        assert_eq!(fixture.read(&id, "app/a").as_deref(), Some("damaged"));
        let left = look::entries(&fixture.home.staging()).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}
