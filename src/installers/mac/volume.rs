//! A volume that macOS mounts without a driver of its own: ISO 9660 with the Rock Ridge names,
//! modes and links of Unix.
//!
//! In: a tree of folders, files and links. Out: the bytes of the volume. Never: an owner, a time
//! other than the given one, or a name that is no part of the tree.
//!
//! HFS+ and APFS have no small writer outside of macOS. ECMA-119 has: a descriptor, a list of
//! folders, then each folder as a run of records, each with its Rock Ridge fields (IEEE P1282).

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::installers::tree::{Content, Node};

/// Bytes of a sector.
const SECTOR: usize = 2048;
/// Sectors before the descriptor, which belong to the system.
const SYSTEM_SECTORS: usize = 16;
/// Type bits and permissions.
const FOLDER_MODE: u32 = 0o040_755;
const FILE_MODE: u32 = 0o100_644;
const PROGRAM_MODE: u32 = 0o100_755;
const LINK_MODE: u32 = 0o120_755;
/// Flag of a record: it is a folder.
const IS_FOLDER: u8 = 2;
/// Longest record, bytes: one byte holds its length, which is even.
const MAX_RECORD_BYTES: usize = 254;

/// Why a volume cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VolumeError {
    #[error("the name {0} is too long for a disk image")]
    Name(String),
    #[error("a disk image of this kind holds 4 GB")]
    Size,
}

/// A folder while the volume is laid out.
#[derive(Default)]
struct Folder<'a> {
    parent: usize,
    /// Its name in the list of folders: only counted, since Rock Ridge has the real one.
    id: Vec<u8>,
    records: Vec<Entry<'a>>,
    sector: usize,
    bytes: usize,
}

struct Entry<'a> {
    node: &'a Node,
    id: Vec<u8>,
    /// Index of the folder, or the first sector of the file.
    place: usize,
}

/// The volume with these entries in its root.
///
/// # Errors
/// [`VolumeError`].
pub(super) fn volume(label: &str, root: &[Node], time: Timestamp) -> Result<Vec<u8>, VolumeError> {
    let time = Time::new(time);
    let mut folders = folders_of(root);
    let paths = path_table_bytes(&folders);
    let path_sectors = paths.div_ceil(SECTOR);
    // Behind the descriptor and its end are both byte orders of the list of folders.
    let first_folder = SYSTEM_SECTORS + 2 + 2 * path_sectors;
    let mut sector = first_folder;
    for index in 0..folders.len() {
        // Its length does not depend on where everything lies.
        let bytes = folder_records(&folders, index, 0, &time)?.len();
        (folders[index].sector, folders[index].bytes) = (sector, bytes);
        sector += bytes / SECTOR;
    }
    // The text that names Rock Ridge follows the folders: readers look only forward.
    let continuation = sector;
    sector += 1;
    let mut files = Vec::new();
    for folder in &mut folders {
        for entry in &mut folder.records {
            if let Content::File { bytes, .. } = &entry.node.content {
                entry.place = sector;
                sector += bytes.len().div_ceil(SECTOR);
                files.push(bytes);
            }
        }
    }
    u32::try_from(sector * SECTOR).map_err(|_| VolumeError::Size)?;
    let mut volume = vec![0; SYSTEM_SECTORS * SECTOR];
    volume.extend(descriptor(label, &folders[0], sector, paths, path_sectors, &time));
    volume.extend(descriptor_end());
    for order in [u32::to_le_bytes, u32::to_be_bytes] {
        volume.extend(path_table(&folders, order));
        pad(&mut volume);
    }
    for index in 0..folders.len() {
        volume.extend(folder_records(&folders, index, continuation, &time)?);
    }
    volume.extend(rock_ridge_name());
    pad(&mut volume);
    for bytes in files {
        volume.extend(bytes);
        pad(&mut volume);
    }
    Ok(volume)
}

/// Lists the folders, level after level. The entries of a folder have ids that sort as they count.
fn folders_of(root: &[Node]) -> Vec<Folder<'_>> {
    let mut below = vec![root];
    let mut folders = vec![Folder { parent: 0, id: b"\0".to_vec(), ..Folder::default() }];
    let mut own = 0;
    while own < folders.len() {
        for (index, node) in below[own].iter().enumerate() {
            let name = format!("E{index:07}").into_bytes();
            let place = folders.len();
            let id = if let Content::Folder(nodes) = &node.content {
                below.push(nodes);
                folders.push(Folder { parent: own, id: name.clone(), ..Folder::default() });
                name
            } else {
                [name.as_slice(), b".;1"].concat()
            };
            folders[own].records.push(Entry { node, id, place });
        }
        own += 1;
    }
    folders
}

/// A time as records hold it, and as the descriptor does.
struct Time {
    record: [u8; 7],
    text: Vec<u8>,
}

impl Time {
    fn new(time: Timestamp) -> Self {
        let time = time.to_zoned(TimeZone::UTC).datetime();
        let small = |number: i8| u8::try_from(number).unwrap_or_default();
        let year = u8::try_from(time.year() - 1900).unwrap_or_default();
        let (month, day) = (small(time.month()), small(time.day()));
        let (hour, minute, second) =
            (small(time.hour()), small(time.minute()), small(time.second()));
        let text = time.strftime("%Y%m%d%H%M%S00").to_string();
        Self {
            record: [year, month, day, hour, minute, second, 0],
            text: [text.as_bytes(), &[0]].concat(),
        }
    }
}

fn both(number: usize) -> Vec<u8> {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}

fn both_short(number: u16) -> Vec<u8> {
    [number.to_le_bytes(), number.to_be_bytes()].concat()
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
}

/// The primary descriptor. Texts are filled with blanks.
fn descriptor(
    label: &str,
    root: &Folder,
    sectors: usize,
    path_bytes: usize,
    path_sectors: usize,
    time: &Time,
) -> Vec<u8> {
    let mut bytes = b"\x01CD001\x01\0".to_vec();
    bytes.extend([b' '; 32]);
    bytes.extend(volume_label(label));
    bytes.extend([0; 8]);
    bytes.extend(both(sectors));
    bytes.extend([0; 32]);
    // One volume, the first of its set, with sectors of 2048 bytes.
    bytes.extend([both_short(1), both_short(1), both_short(2048)].concat());
    bytes.extend(both(path_bytes));
    let first = SYSTEM_SECTORS + 2;
    let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    bytes.extend(place(first).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(place(first + path_sectors).to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(record(b"\0", root.sector, root.bytes, IS_FOLDER, &[], time));
    // Names of the set, the publisher, the preparer, the program, and of three files.
    bytes.extend([b' '; 4 * 128 + 3 * 37]);
    bytes.extend([time.text.clone(), time.text.clone()].concat());
    // It does not expire, and counts from now on.
    bytes.extend([[b'0'; 16].as_slice(), &[0], &[b'0'; 16], &[0]].concat());
    bytes.extend([1, 0]);
    bytes.resize(SECTOR, 0);
    bytes
}

/// The label in the letters that ISO 9660 has, blanks behind it.
fn volume_label(label: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = label
        .bytes()
        .filter(u8::is_ascii)
        .map(|byte| if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { b'_' })
        .take(32)
        .collect();
    bytes.resize(32, b' ');
    bytes
}

fn descriptor_end() -> Vec<u8> {
    let mut bytes = b"\xffCD001\x01".to_vec();
    bytes.resize(SECTOR, 0);
    bytes
}

fn path_table_bytes(folders: &[Folder]) -> usize {
    folders.iter().map(|folder| 8 + folder.id.len().next_multiple_of(2)).sum()
}

/// The list of all folders, each with its parent's number.
fn path_table(folders: &[Folder], order: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let is_little = order(1)[0] == 1;
    let mut bytes = Vec::new();
    for folder in folders {
        bytes.extend([u8::try_from(folder.id.len()).unwrap_or(u8::MAX), 0]);
        bytes.extend(order(u32::try_from(folder.sector).unwrap_or(u32::MAX)));
        let parent = order(u32::try_from(folder.parent + 1).unwrap_or(u32::MAX));
        bytes.extend(if is_little { &parent[..2] } else { &parent[2..] });
        bytes.extend(&folder.id);
        if folder.id.len() % 2 == 1 {
            bytes.push(0);
        }
    }
    bytes
}

/// One record of a folder: where the content lies, then the fields of Rock Ridge.
fn record(
    id: &[u8],
    sector: usize,
    bytes: usize,
    flags: u8,
    fields: &[u8],
    time: &Time,
) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both(sector));
    record.extend(both(bytes));
    record.extend(time.record);
    record.extend([flags, 0, 0]);
    record.extend(both_short(1));
    record.push(u8::try_from(id.len()).unwrap_or(u8::MAX));
    record.extend(id);
    record.resize(record.len().next_multiple_of(2), 0);
    record.extend(fields);
    record.resize(record.len().next_multiple_of(2), 0);
    record[0] = u8::try_from(record.len()).unwrap_or(u8::MAX);
    record
}

/// Mode, links, owner and group (root), and the time of the last change.
fn attributes(mode: u32, links: usize, time: &Time) -> Vec<u8> {
    let mut fields = b"PX\x24\x01".to_vec();
    for number in [mode as usize, links, 0, 0] {
        fields.extend(both(number));
    }
    // Only the time of the content (flag 2).
    fields.extend(b"TF\x0c\x01\x02");
    fields.extend(time.record);
    fields
}

/// The name, and where a link leads.
fn fields_of(node: &Node, time: &Time) -> Result<Vec<u8>, VolumeError> {
    let too_long = || VolumeError::Name(node.name.clone());
    let mode = match &node.content {
        Content::Folder(_) => FOLDER_MODE,
        Content::File { is_executable: true, .. } => PROGRAM_MODE,
        Content::File { is_executable: false, .. } => FILE_MODE,
        Content::Link(_) => LINK_MODE,
    };
    let mut fields = attributes(mode, links_of(&node.content), time);
    fields.extend(field(b"NM", 0, node.name.as_bytes()).ok_or_else(too_long)?);
    if let Content::Link(path) = &node.content {
        // The root, then each part.
        let mut parts = vec![8, 0];
        for part in path.split('/').filter(|part| !part.is_empty()) {
            parts.extend([0, u8::try_from(part.len()).map_err(|_| too_long())?]);
            parts.extend(part.as_bytes());
        }
        fields.extend(field(b"SL", 0, &parts).ok_or_else(too_long)?);
    }
    Ok(fields)
}

/// A folder has a link in its parent, one to itself, and one in each folder below.
fn links_of(content: &Content) -> usize {
    match content {
        Content::Folder(nodes) => {
            let is_folder = |node: &&Node| matches!(node.content, Content::Folder(_));
            2 + nodes.iter().filter(is_folder).count()
        }
        _ => 1,
    }
}

/// A field with flags and content.
fn field(name: &[u8; 2], flags: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(content.len() + 5).ok()?;
    Some([name.as_slice(), &[length, 1, flags], content].concat())
}

/// What the fields are: the text stands in a sector of its own, since it is long.
fn rock_ridge_name() -> Vec<u8> {
    const ID: &str = "RRIP_1991A";
    const DESCRIPTION: &str = "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX \
                               FILE SYSTEM SEMANTICS";
    const SOURCE: &str = "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER \
                          IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION.";
    let texts = [ID, DESCRIPTION, SOURCE];
    let lengths = texts.map(|text| u8::try_from(text.len()).unwrap_or(u8::MAX));
    let all = u8::try_from(8 + texts.concat().len()).unwrap_or(u8::MAX);
    [b"ER", [all, 1].as_slice(), &lengths, &[1], texts.concat().as_bytes()].concat()
}

/// The fields of a folder's record of itself. That of the root says that fields follow at all, and
/// where the text is that names them.
fn fields_of_itself(folders: &[Folder], index: usize, continuation: usize, time: &Time) -> Vec<u8> {
    let below = folders[index]
        .records
        .iter()
        .filter(|entry| matches!(entry.node.content, Content::Folder(_)));
    let own = attributes(FOLDER_MODE, 2 + below.count(), time);
    if index != 0 {
        return own;
    }
    let mut fields = b"SP\x07\x01\xbe\xef\0".to_vec();
    fields.extend(own);
    fields.extend(b"CE\x1c\x01");
    for number in [continuation, 0, rock_ridge_name().len()] {
        fields.extend(both(number));
    }
    fields
}

/// The records of a folder: itself, its parent, its entries. None goes over the end of a sector.
fn folder_records(
    folders: &[Folder],
    index: usize,
    continuation: usize,
    time: &Time,
) -> Result<Vec<u8>, VolumeError> {
    let folder = &folders[index];
    let parent = &folders[folder.parent];
    let own = fields_of_itself(folders, index, continuation, time);
    let parents = attributes(FOLDER_MODE, 2, time);
    let mut records = vec![
        record(b"\0", folder.sector, folder.bytes, IS_FOLDER, &own, time),
        record(b"\x01", parent.sector, parent.bytes, IS_FOLDER, &parents, time),
    ];
    for entry in &folder.records {
        let fields = fields_of(entry.node, time)?;
        let (sector, bytes, flags) = match &entry.node.content {
            Content::Folder(_) => {
                (folders[entry.place].sector, folders[entry.place].bytes, IS_FOLDER)
            }
            Content::File { bytes, .. } => (entry.place, bytes.len(), 0),
            Content::Link(_) => (0, 0, 0),
        };
        // The name and the rest of the record: 33 bytes before the id.
        if 34 + entry.id.len() + fields.len() > MAX_RECORD_BYTES {
            return Err(VolumeError::Name(entry.node.name.clone()));
        }
        records.push(record(&entry.id, sector, bytes, flags, &fields, time));
    }
    let mut bytes = Vec::new();
    for record in records {
        if bytes.len() % SECTOR + record.len() > SECTOR {
            pad(&mut bytes);
        }
        bytes.extend(record);
    }
    pad(&mut bytes);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> Node {
        let content = Content::File { bytes: bytes.to_vec(), is_executable: false };
        Node { name: name.to_owned(), content }
    }

    fn made(root: &[Node]) -> Result<Vec<u8>, VolumeError> {
        volume("My App", root, "2026-03-01T12:34:56Z".parse().unwrap())
    }

    #[test]
    fn the_descriptor_and_the_root_are_where_readers_look() {
        let volume = made(&[file("a", b"content"), file("b", &[1; 5000])]).unwrap();
        let descriptor = &volume[SYSTEM_SECTORS * SECTOR..];
        assert_eq!(descriptor[..6], *b"\x01CD001");
        assert_eq!(descriptor[40..72], *b"MY_APP                          ");
        assert_eq!(descriptor[813..830], *b"2026030112345600\0");
        let number = |bytes: &[u8], at: usize| {
            u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
        };
        assert_eq!(number(descriptor, 80) * SECTOR, volume.len());
        let root = &volume[number(descriptor, 158) * SECTOR..];
        // Itself, its parent, then the file.
        let mut at = usize::from(root[0]);
        at += usize::from(root[at]);
        let record = &root[at..at + usize::from(root[at])];
        let content = &volume[number(record, 2) * SECTOR..][..number(record, 10)];
        assert_eq!(content, b"content");
        assert!(record.windows(6).any(|field| field == b"NM\x06\x01\0a"));
    }

    #[test]
    fn names_have_the_length_that_a_record_has_room_for() {
        let name = "数".repeat(43);
        assert!(made(&[file(&name, b"")]).is_ok());
        let name = "数".repeat(60);
        assert_eq!(made(&[file(&name, b"")]).unwrap_err(), VolumeError::Name(name));
    }
}
