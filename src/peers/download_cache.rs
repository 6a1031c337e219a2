//! The download cache: fetched objects that stay for a while for peers that come later. A cached
//! object is a hard link, a second name of the same file. So it costs room only once the first name
//! is gone. Where the disk has no hard links, nothing is cached. Time and bytes are bounded.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::share_index::Share;
use crate::durable;
use crate::error_chain;
use crate::fetch::Availability;
use crate::look;
use crate::model::{Digest, PieceSet, PieceTable};

/// Largest description of a cached object that is read, bytes.
const MAX_DESCRIPTION_BYTES: u64 = 4 << 20;
/// File extensions of a cached object and of its description.
const OBJECT: &str = "object";
const DESCRIPTION: &str = "json";

/// The description of a cached object.
#[derive(Serialize, Deserialize)]
struct Description {
    object_length: u64,
    pieces: PieceTable,
}

/// The folder of cached objects, and its limits.
#[derive(Clone, Debug)]
pub(super) struct DownloadCache {
    pub folder: PathBuf,
    /// Bytes at most, of all objects together.
    pub bytes: u64,
    /// How long each object stays.
    pub time: Duration,
}

impl DownloadCache {
    /// Stores the whole object in `file`. Where the disk has no hard links, it stores nothing.
    pub(super) fn keep(
        &self,
        digest: &Digest,
        table: &Arc<PieceTable>,
        object_length: u64,
        file: &Path,
    ) -> Option<Share> {
        if table.length > self.bytes || self.time.is_zero() {
            return None;
        }
        let (object, package_documents) =
            (self.file(digest, OBJECT), self.file(digest, DESCRIPTION));
        let cache = || -> std::io::Result<()> {
            durable::create_folders(&self.folder)?;
            let _ = fs::remove_file(&object);
            fs::hard_link(file, &object)?;
            let description = Description { object_length, pieces: PieceTable::clone(table) };
            durable::replace(&package_documents, &serde_json::to_vec(&description)?)
        };
        if let Err(error) = cache() {
            tracing::info!(
                error = error_chain::line(&error),
                "what was fetched is not kept for peers"
            );
            let _ = fs::remove_file(&object);
            return None;
        }
        self.remove_old(SystemTime::now());
        let all = 0..table.count();
        Some(whole(Arc::clone(table), object_length, object, PieceSet::of(table.count(), all)))
    }

    /// The stored objects, with their unchanged pieces: this hashes every piece.
    pub(super) fn load(&self) -> Vec<(Digest, Share)> {
        self.remove_old(SystemTime::now());
        let entries = look::entries_if_readable(&self.folder).into_iter();
        let digests = entries.filter_map(|entry| {
            entry.file_name().to_str()?.strip_suffix(".json")?.parse::<Digest>().ok()
        });
        digests.filter_map(|digest| Some((digest, self.open(&digest)?))).collect()
    }

    fn open(&self, digest: &Digest) -> Option<Share> {
        let mut json = Vec::new();
        File::open(self.file(digest, DESCRIPTION))
            .ok()?
            .take(MAX_DESCRIPTION_BYTES)
            .read_to_end(&mut json)
            .ok()?;
        let Description { object_length, pieces } = serde_json::from_slice(&json).ok()?;
        pieces.check().ok()?;
        let object = self.file(digest, OBJECT);
        let mut file = File::open(&object).ok()?;
        let mut held = PieceSet::none(pieces.count());
        let mut bytes = Vec::new();
        for index in 0..pieces.count() {
            let span = pieces.span(index);
            bytes.clear();
            (&mut file).take(span.end - span.start).read_to_end(&mut bytes).ok()?;
            if pieces.hashes.get(index as usize) == Some(&Digest::of(&bytes)) {
                held.insert(index);
            }
        }
        Some(whole(Arc::new(pieces), object_length, object, held))
    }

    /// Deletes objects that are too old, and then the oldest ones until the rest fits.
    pub(super) fn remove_old(&self, now: SystemTime) {
        let entries = look::entries_if_readable(&self.folder).into_iter();
        let mut found: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter(|entry| is_own(&entry.path()))
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                // The description is written when the object is stored; the object itself has the
                // time of its last piece. An object whose description cannot be read stays for now.
                // An object without a description counts as old.
                let package_documents = look::at(&entry.path().with_extension(DESCRIPTION)).ok()?;
                let time = package_documents
                    .and_then(|found| found.modified().ok())
                    .unwrap_or(SystemTime::UNIX_EPOCH);
                Some((time, metadata.len(), entry.path()))
            })
            .collect();
        found.sort_by_key(|(time, ..)| std::cmp::Reverse(*time));
        let mut bytes = 0;
        for (time, length, path) in found {
            bytes += length;
            let old = now.duration_since(time).is_ok_and(|age| age > self.time);
            if (old || bytes > self.bytes.saturating_add(MAX_DESCRIPTION_BYTES))
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::info!(error = error_chain::line(&error), file = %path.display(), "a kept object is not deleted");
            }
        }
    }

    fn file(&self, digest: &Digest, ending: &str) -> PathBuf {
        self.folder.join(format!("{digest}.{ending}"))
    }
}

/// Whether the cache gave this name; other files in the folder are not the launcher's.
fn is_own(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let name = path.file_stem().and_then(|name| name.to_str());
    ending.is_some_and(|ending| [OBJECT, DESCRIPTION].contains(&ending))
        && name.is_some_and(|name| name.parse::<Digest>().is_ok())
        || path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(durable::TEMPORARY_PREFIX))
}

/// A share that no longer changes.
fn whole(table: Arc<PieceTable>, object_length: u64, file: PathBuf, held: PieceSet) -> Share {
    let in_flight = PieceSet::none(table.count());
    let (_, availability) =
        watch::channel(Availability { held, in_flight, takes_part: false, received: 0 });
    Share { table, object_length, file, availability }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(folder: &Path, byte: u8) -> (PathBuf, Digest, Arc<PieceTable>) {
        let bytes = [byte; 10];
        let file = folder.join(format!("{byte}.partial"));
        fs::write(&file, bytes).unwrap();
        let hashes = bytes.chunks(4).map(Digest::of).collect();
        (file, Digest::of(&bytes), Arc::new(PieceTable { piece_size: 4, length: 10, hashes }))
    }

    #[test]
    fn what_is_retained_outlives_its_first_name_and_is_proved_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DownloadCache {
            folder: folder.path().join("neighbours"),
            bytes: 1000,
            time: Duration::from_secs(60),
        };
        let (file, digest, table) = object(folder.path(), 1);
        assert!(cache.keep(&digest, &table, 12, &file).is_some());
        fs::remove_file(&file).unwrap();
        let loaded = cache.load();
        assert_eq!((loaded[0].0, loaded[0].1.object_length), (digest, 12));
        assert_eq!(loaded[0].1.availability.borrow().held.pieces().collect::<Vec<_>>(), [0, 1, 2]);
        let mut bytes = fs::read(&loaded[0].1.file).unwrap();
        bytes[5] ^= 1;
        fs::write(&loaded[0].1.file, bytes).unwrap();
        assert_eq!(
            cache.load()[0].1.availability.borrow().held.pieces().collect::<Vec<_>>(),
            [0, 2]
        );
        cache.remove_old(SystemTime::now() + Duration::from_secs(61));
        assert!(cache.load().is_empty() && fs::read_dir(&cache.folder).unwrap().next().is_none());
    }

    #[test]
    fn the_oldest_goes_when_there_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DownloadCache {
            folder: folder.path().join("neighbours"),
            bytes: MAX_DESCRIPTION_BYTES,
            time: Duration::from_secs(60),
        };
        let small = DownloadCache { bytes: 5, ..cache.clone() };
        let (file, digest, table) = object(folder.path(), 1);
        assert!(
            small.keep(&digest, &table, 10, &file).is_none(),
            "larger than all that may be kept"
        );
        cache.keep(&digest, &table, 10, &file).unwrap();
        let large = cache.file(&Digest::of(b"another"), OBJECT);
        fs::write(&large, vec![0; 3 << 20]).unwrap();
        fs::write(large.with_extension("json"), "").unwrap();
        let past = SystemTime::now() - Duration::from_secs(30);
        File::options()
            .write(true)
            .open(large.with_extension("json"))
            .unwrap()
            .set_modified(past)
            .unwrap();
        cache.remove_old(SystemTime::now());
        assert!(large.exists(), "there is room for both");
        let room = DownloadCache { bytes: 0, ..cache };
        fs::write(&large, vec![0; 5 << 20]).unwrap();
        room.remove_old(SystemTime::now());
        assert!(!large.exists() && room.load().len() == 1);
        let foreign = folder.path().join("neighbours/list");
        fs::write(&foreign, vec![0; 5 << 20]).unwrap();
        room.remove_old(SystemTime::now());
        assert!(foreign.exists(), "it is not the launcher's");
    }
}
