//! The order of a package's entries, and each entry's zip header. Writer and inspector both use
//! this module, so they always agree.

use std::collections::BTreeMap;

use super::zip::{self, ZipRecord};
use crate::model::RelativePath;
use crate::model::manifest::{Entry, Permissions};
use crate::model::package_index::{Compression, Packed};

/// Files of at least this unpacked size, in bytes, lie in the front part of the package.
///
/// A file can be unpacked only once all its pieces have arrived, and a large file takes long. With
/// the large files first, only small files remain to be unpacked when the last bytes of a download
/// arrive. Unpacking out of order keeps all cores busy.
const LARGE: u64 = 1 << 20;

/// One entry of the zip.
pub(super) struct Slot<'a> {
    pub path: &'a RelativePath,
    /// What it is.
    pub kind: SlotKind<'a>,
}

/// What an entry of the zip is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotKind<'a> {
    /// A file with bytes.
    File,
    /// A symlink to this.
    Link(&'a str),
    /// An empty folder.
    Folder,
}

/// All entries but index and manifest in their order: large files by path, then all others by path.
pub(super) fn slots<'a>(
    items: impl Iterator<Item = (&'a RelativePath, Option<&'a str>)>,
    empty_folders: &'a [RelativePath],
    sizes: &BTreeMap<RelativePath, Entry>,
) -> Vec<Slot<'a>> {
    let items =
        items.map(|(path, link)| Slot { path, kind: link.map_or(SlotKind::File, SlotKind::Link) });
    let folders = empty_folders.iter().map(|path| Slot { path, kind: SlotKind::Folder });
    let mut slots: Vec<_> = items.chain(folders).collect();
    let small = |slot: &Slot<'_>| sizes.get(slot.path).is_none_or(|entry| entry.size < LARGE);
    slots.sort_by(|a, b| small(a).cmp(&small(b)).then_with(|| a.path.cmp(b.path)));
    slots
}

impl Slot<'_> {
    /// The header of this entry at `offset`. `entry` is its line in the manifest (a folder has
    /// none), `packed` how its bytes are packed, if it has any. `crc` is that of its unpacked
    /// bytes, 0 if it has none; for a link this function computes it.
    pub(super) fn record(
        &self,
        entry: Option<&Entry>,
        packed: Option<&Packed>,
        crc: u32,
        offset: u64,
    ) -> ZipRecord {
        let permissions = entry.map_or(0o755, |entry| entry.permissions.mode());
        let (name, mode, crc, packed_size, size) = match self.kind {
            SlotKind::File => {
                let sizes =
                    (packed.map_or(0, |packed| packed.size), entry.map_or(0, |entry| entry.size));
                (self.path.to_string(), zip::FILE | permissions, crc, sizes.0, sizes.1)
            }
            SlotKind::Link(target) => {
                let length = target.len() as u64;
                (
                    self.path.to_string(),
                    zip::LINK | 0o777,
                    crc32fast::hash(target.as_bytes()),
                    length,
                    length,
                )
            }
            SlotKind::Folder => (format!("{}/", self.path), zip::FOLDER | 0o755, 0, 0, 0),
        };
        let compression = packed.map_or(Compression::Stored, |packed| packed.compression);
        ZipRecord { name, mode, compression, crc, packed_size, size, offset }
    }
}

/// The header of the index or the manifest.
pub(super) fn document_record(
    name: &str,
    offset: u64,
    packed_size: u64,
    size: u64,
    crc: u32,
) -> ZipRecord {
    ZipRecord {
        name: name.to_owned(),
        mode: zip::FILE | Permissions::FILE.mode(),
        compression: Compression::Zstd,
        crc,
        packed_size,
        size,
        offset,
    }
}
