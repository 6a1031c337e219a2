//! The share index: what peers may have. It offers proved pieces of objects that are being fetched
//! or were fetched lately, and the unchangeable files of installed versions. A digest names each of
//! them. There is no list, and no file name ever comes from outside.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::watch;

use super::availability::{AvailabilityMessage, Pieces};
use super::library::Library;
use crate::fetch::Availability;
use crate::look;
use crate::model::{Digest, PieceTable};
use crate::mutex;

/// Objects in pieces, and documents, that are offered at most; the oldest goes first.
const MAX_SHARES: usize = 16;
const MAX_DOCUMENTS: usize = 4;

/// An object that is offered in pieces.
#[derive(Clone)]
pub(super) struct Share {
    pub table: Arc<PieceTable>,
    /// Bytes of the whole object, of which the pieces cover the beginning.
    pub object_length: u64,
    /// The file that holds its pieces.
    pub file: PathBuf,
    pub availability: watch::Receiver<Availability>,
}

/// The source of bytes to send.
pub(super) enum SharedSource {
    File(File),
    Memory(Bytes),
}

/// The bytes that answer a request.
pub(super) struct Portion {
    pub source: SharedSource,
    pub span: Range<u64>,
    pub length: u64,
}

/// Everything that this launcher offers, by digest.
pub(super) struct ShareIndex {
    instance: u64,
    library: Library,
    shares: Mutex<Vec<(Digest, Share)>>,
    /// Proved documents of releases that are being fetched.
    documents: Mutex<Vec<(Digest, Bytes)>>,
    /// Documents that this client is about to fetch.
    awaited: Mutex<Vec<Digest>>,
    /// Installed files that were hashed: path, length and time as they were then.
    proved: Mutex<HashMap<Digest, (PathBuf, u64, SystemTime)>>,
}

impl ShareIndex {
    pub(super) fn new(instance: u64, library: Library) -> Self {
        Self {
            instance,
            library,
            shares: Mutex::default(),
            documents: Mutex::default(),
            awaited: Mutex::default(),
            proved: Mutex::default(),
        }
    }

    /// Offers an object in pieces, in place of an earlier offer under the same digest.
    pub(super) fn put(&self, digest: Digest, share: Share) {
        let mut shares = mutex::lock(&self.shares);
        shares.retain(|(held, _)| *held != digest);
        shares.push((digest, share));
        let surplus = shares.len().saturating_sub(MAX_SHARES);
        shares.drain(..surplus);
    }

    /// Notes that this client is about to fetch a document.
    pub(super) fn await_document(&self, digest: Digest) {
        let mut awaited = mutex::lock(&self.awaited);
        awaited.retain(|held| *held != digest);
        awaited.push(digest);
        let surplus = awaited.len().saturating_sub(MAX_DOCUMENTS);
        awaited.drain(..surplus);
    }

    /// Offers a proved document.
    pub(super) fn put_document(&self, digest: Digest, document: Bytes) {
        let mut documents = mutex::lock(&self.documents);
        documents.retain(|(held, _)| *held != digest);
        documents.push((digest, document));
        let surplus = documents.len().saturating_sub(MAX_DOCUMENTS);
        documents.drain(..surplus);
    }

    fn document(&self, digest: &Digest) -> Option<Bytes> {
        let documents = mutex::lock(&self.documents);
        documents.iter().find(|(held, _)| held == digest).map(|(_, document)| document.clone())
    }

    fn share(&self, digest: &Digest) -> Option<Share> {
        let shares = mutex::lock(&self.shares);
        shares.iter().find(|(held, _)| held == digest).map(|(_, share)| share.clone())
    }

    /// What is here of an object. Reads the file system.
    pub(super) fn have(&self, digest: &Digest) -> AvailabilityMessage {
        let mut message = AvailabilityMessage::nothing(self.instance);
        if let Some(share) = self.share(digest).filter(|share| is_plain(&share.file)) {
            message.pieces = Some(Pieces::of(&share.availability.borrow()));
        }
        message.whole = self.document(digest).is_some() || (self.library)(digest).is_some();
        message.soon = !message.whole && mutex::lock(&self.awaited).contains(digest);
        message
    }

    /// Opens the bytes of `span` of an object; `None` if they are absent or not proved. Reads
    /// files. Before it sends an installed file for the first time, it hashes the whole file, since
    /// the user may have changed it.
    pub(super) fn open(&self, digest: &Digest, span: Option<&Range<u64>>) -> Option<Portion> {
        if let Some(share) = self.share(digest) {
            let span = span.filter(|span| span.end <= share.table.length)?;
            let held = share
                .table
                .covering(span)
                .all(|piece| share.availability.borrow().held.holds(piece));
            if held && let Some(file) = open_plain(&share.file) {
                return Some(Portion {
                    source: SharedSource::File(file),
                    span: span.clone(),
                    length: share.object_length,
                });
            }
        }
        if let Some(document) = self.document(digest) {
            let length = document.len() as u64;
            let span = span.cloned().unwrap_or(0..length);
            let span = span.start..span.end.min(length);
            return (span.start < span.end).then_some(Portion {
                source: SharedSource::Memory(document),
                span,
                length,
            });
        }
        let volume = (self.library)(digest)?;
        let file = open_plain(&volume.path)?;
        let found = file.metadata().ok().filter(|found| found.len() == volume.size)?;
        let print = (volume.path, found.len(), found.modified().ok()?);
        let known = mutex::lock(&self.proved).get(digest) == Some(&print);
        if !known {
            if look::digest(&file).ok()? != *digest {
                tracing::info!(file = %print.0.display(), "an installed file is not what it was; peers do not get it");
                return None;
            }
            mutex::lock(&self.proved).insert(*digest, print);
        }
        let span = span.cloned().unwrap_or(0..volume.size);
        let span = span.start..span.end.min(volume.size);
        (span.start < span.end).then_some(Portion {
            source: SharedSource::File(file),
            span,
            length: volume.size,
        })
    }

    /// The objects that are offered in pieces, with the number of bytes that are here.
    pub(super) fn shares(&self) -> BTreeMap<Digest, u64> {
        let shares = mutex::lock(&self.shares);
        let bytes = |share: &Share| {
            let held = share.availability.borrow();
            held.held
                .pieces()
                .map(|piece| share.table.span(piece))
                .map(|span| span.end - span.start)
                .sum()
        };
        shares.iter().map(|(digest, share)| (*digest, bytes(share))).collect()
    }
}

fn is_plain(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// Opens a plain file, and refuses links.
fn open_plain(path: &Path) -> Option<File> {
    if !is_plain(path) {
        return None;
    }
    File::open(path).ok().filter(|file| file.metadata().is_ok_and(|found| found.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PieceSet;
    use crate::peers::Volume;
    use std::io::{self, Read as _, Seek as _};

    fn shared(files: Vec<(Digest, PathBuf, u64)>) -> ShareIndex {
        ShareIndex::new(
            7,
            Arc::new(move |digest| {
                let found = files.iter().find(|(held, _, _)| held == digest)?;
                Some(Volume { path: found.1.clone(), size: found.2 })
            }),
        )
    }

    fn read(portion: Portion) -> Vec<u8> {
        let mut bytes = Vec::new();
        match portion.source {
            SharedSource::File(mut file) => {
                file.seek(io::SeekFrom::Start(portion.span.start)).unwrap();
                file.take(portion.span.end - portion.span.start).read_to_end(&mut bytes).unwrap();
            }
            SharedSource::Memory(document) => bytes.extend_from_slice(
                &document[portion.span.start as usize..portion.span.end as usize],
            ),
        }
        bytes
    }

    #[test]
    fn only_proved_pieces_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("package.partial");
        fs::write(&file, b"0123456789").unwrap();
        let table =
            Arc::new(PieceTable { piece_size: 4, length: 10, hashes: vec![Digest::of(b""); 3] });
        let availability = |pieces: &[u32]| Availability {
            held: PieceSet::of(3, pieces.iter().copied()),
            ..Availability::default()
        };
        let (sender, receiver) = watch::channel(availability(&[0, 1]));
        let shared = shared(Vec::new());
        let digest = Digest::of(b"object");
        shared.put(
            digest,
            Share { table, object_length: 12, file: file.clone(), availability: receiver },
        );
        let open = |span: Range<u64>| {
            shared.open(&digest, Some(&span)).map(|portion| (portion.length, read(portion)))
        };
        assert_eq!(open(2..8), Some((12, b"234567".to_vec())));
        for not_there in [2..9, 8..10, 0..12, 9..10] {
            assert_eq!(open(not_there.clone()), None, "{not_there:?}");
        }
        assert!(shared.open(&digest, None).is_none(), "no whole object that is not whole");
        sender.send_replace(availability(&[0, 1, 2]));
        assert_eq!(open(8..10), Some((12, b"89".to_vec())));
        assert_eq!(shared.have(&digest).pieces.unwrap().held, "07");
        assert_eq!(shared.have(&Digest::of(b"other")), AvailabilityMessage::nothing(7));
        fs::remove_file(&file).unwrap();
        assert_eq!((shared.have(&digest), open(2..8)), (AvailabilityMessage::nothing(7), None));
    }

    #[test]
    fn documents_are_given_as_they_are() {
        let shared = shared(Vec::new());
        let numbers: Vec<u8> = (0..10).collect();
        for number in &numbers {
            shared.put_document(Digest::of(&[*number]), Bytes::from(vec![*number; 5]));
        }
        let open = |number: u8, span: Option<&Range<u64>>| {
            shared.open(&Digest::of(&[number]), span).map(read)
        };
        assert_eq!((open(9, None), open(9, Some(&(3..9)))), (Some(vec![9; 5]), Some(vec![9; 2])));
        assert_eq!(
            (open(9, Some(&(5..9))), open(0, None)),
            (None, None),
            "behind its end; too many"
        );
        assert!(shared.have(&Digest::of(&[9])).whole && !shared.have(&Digest::of(&[0])).whole);
    }

    #[test]
    fn an_installed_file_that_was_changed_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let (good, link) = (folder.path().join("good"), folder.path().join("link"));
        fs::write(&good, b"content").unwrap();
        let digest = Digest::of(b"content");
        let stale = shared(vec![(digest, good.clone(), 7)]);
        assert!(stale.have(&digest).whole);
        assert_eq!(read(stale.open(&digest, None).unwrap()), b"content");
        assert_eq!(read(stale.open(&digest, Some(&(3..100))).unwrap()), b"tent");
        assert!(stale.open(&digest, Some(&(7..100))).is_none());
        // A file of the same size, with private words of the user in it.
        fs::write(&good, b"private").unwrap();
        File::options()
            .write(true)
            .open(&good)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert!(stale.open(&digest, None).is_none());
        #[cfg(unix)]
        {
            fs::write(folder.path().join("elsewhere"), b"content").unwrap();
            std::os::unix::fs::symlink("elsewhere", &link).unwrap();
            assert!(shared(vec![(digest, link, 7)]).open(&digest, None).is_none());
        }
        #[cfg(not(unix))]
        drop(link);
    }
}
