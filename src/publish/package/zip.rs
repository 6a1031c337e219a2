//! Writes the few zip structures of a package, as bytes. Section numbers are those of PKWARE's
//! APPNOTE 6.3.10.
//!
//! This code replaces the `zip` crate, because the manifest must know each entry's data offset
//! before the first byte is written, and because several cores compress the entries in advance.
//! Tests read the result with that crate.
//!
//! There is exactly one way to write an entry. So the inspector checks a package by writing its
//! headers again and comparing them.

use crate::model::package_index::Compression;

/// The values in the headers of one entry.
#[derive(Clone, Debug)]
pub(super) struct ZipRecord {
    /// Path with `/`; a folder's path ends with `/`.
    pub name: String,
    /// Unix file type and permissions.
    pub mode: u32,
    /// Stored, or a zstd frame.
    pub compression: Compression,
    /// CRC-32 of the unpacked bytes.
    pub crc: u32,
    /// Bytes in the package.
    pub packed_size: u64,
    /// Bytes when unpacked.
    pub size: u64,
    /// Where the local header begins.
    pub offset: u64,
}

/// Unix file types in `mode`.
pub(super) const FILE: u32 = 0o100_000;
pub(super) const FOLDER: u32 = 0o040_000;
/// A symlink.
pub(super) const LINK: u32 = 0o120_000;

/// Bytes of an end of central directory record without comment (4.3.16).
pub(super) const END_SIZE: usize = 22;
/// Bytes of the Zip64 end record and its locator (4.3.14, 4.3.15).
const END64_SIZE: usize = 56 + 20;
const CENTRAL_SIZE: usize = 46;
/// Marks a 32-bit field whose value is in the Zip64 extra field (4.4.1.4).
const SEE_ZIP64: u32 = u32::MAX;

impl ZipRecord {
    /// The local file header (4.3.7).
    pub(super) fn local(&self, time: DosTime) -> Vec<u8> {
        let mut extra = Vec::new();
        if self.large_sizes() {
            // 4.5.3: a local header must contain both sizes.
            zip64_extra(&mut extra, &[self.size, self.packed_size]);
        }
        let mut out = Vec::with_capacity(30 + self.name.len() + extra.len());
        out.extend(0x0403_4b50_u32.to_le_bytes());
        self.common(&mut out, time, &extra);
        out.extend(self.name.as_bytes());
        out.extend(extra);
        out
    }

    /// The central directory's header (4.3.12).
    pub(super) fn central(&self, time: DosTime) -> Vec<u8> {
        let large_offset = self.offset >= u64::from(SEE_ZIP64);
        let mut wide = Vec::new();
        if self.large_sizes() {
            wide.extend([self.size, self.packed_size]);
        }
        if large_offset {
            wide.push(self.offset);
        }
        let mut extra = Vec::new();
        if !wide.is_empty() {
            zip64_extra(&mut extra, &wide);
        }
        let mut out = Vec::with_capacity(CENTRAL_SIZE + self.name.len() + extra.len());
        out.extend(0x0201_4b50_u32.to_le_bytes());
        // 4.4.2: made on Unix (3), by specification 6.3.
        out.extend([63, 3]);
        self.common(&mut out, time, &extra);
        // No comment, disk 0, no internal attributes (4.4.12 to 4.4.14).
        out.extend([0; 6]);
        let dos_folder = if self.name.ends_with('/') { 0x10 } else { 0 };
        // 4.4.15: Unix mode above, MS-DOS attributes below.
        out.extend((self.mode << 16 | dos_folder).to_le_bytes());
        out.extend(low(self.offset, large_offset).to_le_bytes());
        out.extend(self.name.as_bytes());
        out.extend(extra);
        out
    }

    /// Appends the fields that both headers have in the same order.
    fn common(&self, out: &mut Vec<u8>, time: DosTime, extra: &[u8]) {
        let large = self.large_sizes();
        // 4.4.3: the version that an extractor must support.
        let needed: u16 = match self.compression {
            Compression::Zstd => 63,
            Compression::Stored if large || self.offset >= u64::from(SEE_ZIP64) => 45,
            Compression::Stored => 20,
        };
        out.extend(needed.to_le_bytes());
        // 4.4.4: bit 11, names are UTF-8.
        out.extend(0x0800_u16.to_le_bytes());
        let method: u16 = match self.compression {
            Compression::Stored => 0,
            Compression::Zstd => 93,
        };
        out.extend(method.to_le_bytes());
        out.extend(time.time.to_le_bytes());
        out.extend(time.date.to_le_bytes());
        out.extend(self.crc.to_le_bytes());
        out.extend(low(self.packed_size, large).to_le_bytes());
        out.extend(low(self.size, large).to_le_bytes());
        out.extend(short(self.name.len()).to_le_bytes());
        out.extend(short(extra.len()).to_le_bytes());
    }

    fn large_sizes(&self) -> bool {
        self.size.max(self.packed_size) >= u64::from(SEE_ZIP64)
    }
}

/// The end of the central directory, with the Zip64 records where a field needs them (4.3.14 to
/// 4.3.16).
pub(super) fn end(count: u64, directory: u64, directory_size: u64) -> Vec<u8> {
    let large =
        count >= u64::from(u16::MAX) || directory.max(directory_size) >= u64::from(SEE_ZIP64);
    let mut out = Vec::with_capacity(END_SIZE + END64_SIZE);
    if large {
        out.extend(0x0606_4b50_u32.to_le_bytes());
        out.extend(44_u64.to_le_bytes());
        out.extend([63, 3, 45, 0]);
        out.extend([0; 8]);
        for field in [count, count, directory_size, directory] {
            out.extend(field.to_le_bytes());
        }
        out.extend(0x0706_4b50_u32.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        out.extend((directory + directory_size).to_le_bytes());
        out.extend(1_u32.to_le_bytes());
    }
    let few = if large { u16::MAX } else { short(usize::try_from(count).unwrap_or(usize::MAX)) };
    out.extend(0x0605_4b50_u32.to_le_bytes());
    out.extend([0; 4]);
    out.extend(few.to_le_bytes());
    out.extend(few.to_le_bytes());
    out.extend(low(directory_size, large).to_le_bytes());
    out.extend(low(directory, large).to_le_bytes());
    out.extend([0; 2]);
    out
}

/// The place of one of the last entries of a package, from the tail of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LastEntry {
    /// Where its local header begins.
    pub offset: u64,
    /// Bytes in the package.
    pub packed_size: u64,
    /// Bytes when unpacked.
    pub size: u64,
    /// CRC-32 of the unpacked bytes.
    pub crc: u32,
}

/// How many bytes of a file's end [`last_entries`] needs (fewer if the file has fewer).
pub(super) const TAIL: usize = END_SIZE + END64_SIZE + 2 * (CENTRAL_SIZE + 64);

/// Finds the last two central headers, which must be those of `names`, in the last [`TAIL`] bytes
/// of a package. Nothing here is trusted: `inspect` writes the whole directory again and compares.
pub(super) fn last_entries(tail: &[u8], names: [&str; 2]) -> Option<[LastEntry; 2]> {
    let end = tail.get(tail.len().checked_sub(END_SIZE)?..)?;
    if u32_at(end, 0)? != 0x0605_4b50 || u16_at(end, 20)? != 0 {
        return None;
    }
    let mut directory_end = tail.len() - END_SIZE;
    let locator = tail.get(directory_end.checked_sub(20)?..directory_end)?;
    if u32_at(locator, 0)? == 0x0706_4b50 {
        directory_end = directory_end.checked_sub(END64_SIZE)?;
    }
    let (last, start) = header_before(tail, directory_end, names[1])?;
    let (first, _) = header_before(tail, start, names[0])?;
    Some([first, last])
}

/// The central header of `name` that ends at `end`, and where it begins.
fn header_before(tail: &[u8], end: usize, name: &str) -> Option<(LastEntry, usize)> {
    // Without a Zip64 offset, and with one (4 bytes head, 8 bytes offset).
    for extra in [0, 12] {
        let start = end.checked_sub(CENTRAL_SIZE + name.len() + extra)?;
        let header = tail.get(start..end)?;
        let named = header.get(CENTRAL_SIZE..CENTRAL_SIZE + name.len())? == name.as_bytes();
        if u32_at(header, 0)? == 0x0201_4b50 && named && usize::from(u16_at(header, 30)?) == extra {
            let offset = match extra {
                0 => u64::from(u32_at(header, 42)?),
                _ => u64_at(header, CENTRAL_SIZE + name.len() + 4)?,
            };
            let (packed_size, size) =
                (u64::from(u32_at(header, 20)?), u64::from(u32_at(header, 24)?));
            return Some((
                LastEntry { offset, packed_size, size, crc: u32_at(header, 16)? },
                start,
            ));
        }
    }
    None
}

/// A time in MS-DOS form (4.4.6): local time without a zone, two-second steps, from 1980 to 2107.
/// Packages contain UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DosTime {
    date: u16,
    time: u16,
}

impl DosTime {
    /// The latest representable time that is not after `time`.
    pub(super) fn new(time: jiff::Timestamp) -> Self {
        let civil = time.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let field = |value: i8| u16::try_from(value).unwrap_or(0);
        match u16::try_from(i32::from(civil.year()) - 1980) {
            Ok(years @ 0..=127) => Self {
                date: years << 9 | field(civil.month()) << 5 | field(civil.day()),
                time: field(civil.hour()) << 11
                    | field(civil.minute()) << 5
                    | field(civil.second()) >> 1,
            },
            _ => Self { date: 1 << 5 | 1, time: 0 },
        }
    }
}

fn zip64_extra(out: &mut Vec<u8>, fields: &[u64]) {
    out.extend(1_u16.to_le_bytes());
    out.extend(short(fields.len() * 8).to_le_bytes());
    fields.iter().for_each(|field| out.extend(field.to_le_bytes()));
}

fn low(value: u64, large: bool) -> u32 {
    if large { SEE_ZIP64 } else { u32::try_from(value).unwrap_or(SEE_ZIP64) }
}

/// Names are at most 1024 bytes and extra fields at most 28.
fn short(value: usize) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: u64, size: u64) -> ZipRecord {
        ZipRecord {
            name: "metadata/container.json".to_owned(),
            mode: FILE | 0o644,
            compression: Compression::Zstd,
            crc: 0x1234_5678,
            packed_size: 17,
            size,
            offset,
        }
    }

    const NAMES: [&str; 2] = ["metadata/package.json", "metadata/container.json"];

    #[test]
    fn the_last_entries_are_found_with_and_without_zip64() {
        let time = DosTime::new(jiff::Timestamp::UNIX_EPOCH);
        for (offset, count) in [(100, 3), (100, 70_000), (5 << 32, 3), (5 << 32, 70_000)] {
            let index =
                ZipRecord { name: "metadata/package.json".to_owned(), ..record(offset - 50, 98) };
            let directory = [index.central(time), record(offset, 99).central(time)].concat();
            let mut file = vec![0; 300];
            file.extend(&directory);
            file.extend(end(count, offset + 47, directory.len() as u64));
            let tail = &file[file.len().saturating_sub(TAIL)..];
            let expected =
                |offset, size| LastEntry { offset, packed_size: 17, size, crc: 0x1234_5678 };
            let found = last_entries(tail, NAMES);
            assert_eq!(
                found,
                Some([expected(offset - 50, 98), expected(offset, 99)]),
                "{offset} {count}"
            );
            assert_eq!(
                last_entries(tail, ["metadata/package.json", "metadata/Container.json"]),
                None
            );
            assert_eq!(
                last_entries(tail, ["metadata/Package.json", "metadata/container.json"]),
                None
            );
        }
        for short in 0..200 {
            assert_eq!(last_entries(&vec![0x50; short], NAMES), None);
        }
    }

    #[test]
    fn sizes_beyond_32_bits_move_to_the_extra_field() {
        let time = DosTime::new(jiff::Timestamp::UNIX_EPOCH);
        let header = record(0, 5 << 32).local(time);
        assert_eq!(u32_at(&header, 22), Some(u32::MAX));
        assert_eq!(u64_at(&header, 30 + 23 + 4), Some(5 << 32));
        assert_eq!(u64_at(&header, 30 + 23 + 12), Some(17));
        assert_eq!(record(0, 5).local(time).len(), 30 + 23);
    }

    #[test]
    fn times() {
        let time = |text: &str| DosTime::new(text.parse().unwrap());
        assert_eq!(
            time("2024-02-29T13:45:59Z"),
            DosTime { date: 44 << 9 | 2 << 5 | 29, time: 13 << 11 | 45 << 5 | 29 }
        );
        assert_eq!(time("1970-01-01T00:00:00Z"), time("1980-01-01T00:00:00Z"));
    }
}
