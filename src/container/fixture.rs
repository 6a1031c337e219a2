//! Small containers for the tests of this module: entries in a row, without a zip around them.

use std::collections::BTreeMap;

use crate::model::manifest::*;
use crate::model::package_index::{Compression, Packed};
use crate::model::{Digest, PackageIndex, PieceTable};

/// A manifest, an index and the payload that they describe. The function adds `app/app.py`, and
/// packs entries where that makes them smaller.
pub(crate) fn container(files: &[(&str, &[u8])]) -> (Manifest, PackageIndex, Vec<u8>) {
    build(files, true)
}

/// The same, with every entry stored.
pub(crate) fn container_stored(files: &[(&str, &[u8])]) -> (Manifest, PackageIndex, Vec<u8>) {
    build(files, false)
}

/// The entry of a symlink.
pub(crate) fn link(target: &str) -> Entry {
    Entry {
        size: 0,
        mtime: 0,
        hash: Digest::of(target.as_bytes()),
        permissions: Permissions::from_mode(0o755),
        symlink: Some(target.to_owned()),
    }
}

/// The table over `payload`.
pub(crate) fn pieces(payload: &[u8], piece_size: u32) -> PieceTable {
    let hashes = payload.chunks(piece_size as usize).map(Digest::of).collect();
    PieceTable { piece_size, length: payload.len() as u64, hashes }
}

fn build(files: &[(&str, &[u8])], packing: bool) -> (Manifest, PackageIndex, Vec<u8>) {
    let mut payload = b"local header".to_vec();
    let (mut file_manifest, mut places) = (BTreeMap::new(), BTreeMap::new());
    let with_program = files
        .iter()
        .copied()
        .chain((!files.iter().any(|f| f.0 == "app/app.py")).then_some(("app/app.py", &b"#"[..])));
    for (path, content) in with_program {
        let frame = zstd::encode_all(content, 3).unwrap();
        let (bytes, compression) = match packing && frame.len() < content.len() {
            true => (&frame[..], Compression::Zstd),
            false => (content, Compression::Stored),
        };
        let packed = Packed { offset: payload.len() as u64, size: bytes.len() as u64, compression };
        payload.extend_from_slice(bytes);
        let entry = Entry {
            size: content.len() as u64,
            mtime: 1_700_000_000,
            hash: Digest::of(content),
            permissions: if path.ends_with(".sh") {
                Permissions::PROGRAM
            } else {
                Permissions::FILE
            },
            symlink: None,
        };
        file_manifest.insert(path.parse().unwrap(), entry);
        if !content.is_empty() {
            places.insert(path.parse().unwrap(), packed);
        }
    }
    let index = PackageIndex { places, pieces: pieces(&payload, 64) };
    (Manifest::sample(file_manifest), index, payload)
}
