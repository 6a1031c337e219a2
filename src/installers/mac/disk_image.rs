//! A disk image of macOS (`.dmg`, UDIF): a volume in compressed parts.
//!
//! In: the bytes of a volume. Out: the bytes of the file. Never: knowledge of what is in the volume.
//!
//! The file is the compressed parts, then a property list that says where each is, then a trailer
//! ("koly") that says where the list is. All numbers are big-endian.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// Bytes of a sector, in which places in the volume are counted.
const SECTOR: usize = 512;
/// Sectors of a part.
const PART_SECTORS: usize = 1024;
/// A part that zlib compressed, and the end of the list.
const ZLIB: u32 = 0x8000_0005;
const END: u32 = 0xffff_ffff;
/// The whole device, in place of a partition.
const WHOLE_DEVICE: u32 = 0xffff_fffe;
/// Kind and length in bits of a checksum.
const CRC32: [u32; 2] = [2, 32];
/// Words of room for a checksum.
const CHECKSUM_WORDS: usize = 32;

/// The disk image of a volume, filled up to a whole sector.
///
/// # Errors
/// Those of the compression.
pub(super) fn disk_image(volume: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut volume = volume.to_vec();
    volume.resize(volume.len().next_multiple_of(SECTOR), 0);
    let sectors = volume.len() / SECTOR;
    let mut image = Vec::new();
    let mut parts = Vec::new();
    for (index, part) in volume.chunks(PART_SECTORS * SECTOR).enumerate() {
        let begin = image.len();
        let mut encoder = ZlibEncoder::new(&mut image, Compression::best());
        encoder.write_all(part)?;
        encoder.finish()?;
        parts.push(Part {
            kind: ZLIB,
            sector: index * PART_SECTORS,
            sectors: part.len() / SECTOR,
            offset: begin,
            bytes: image.len() - begin,
        });
    }
    parts.push(Part { kind: END, sector: sectors, sectors: 0, offset: image.len(), bytes: 0 });
    let data_bytes = image.len();
    let data_checksum = crc32fast::hash(&image);
    let volume_checksum = crc32fast::hash(&volume);
    let table = table(sectors, &parts, volume_checksum);
    // The checksum of the checksums of all tables; there is one.
    let master_checksum = crc32fast::hash(&volume_checksum.to_be_bytes());
    let list = property_list(&base64(&table));
    image.extend(list.as_bytes());
    image.extend(trailer(data_bytes, list.len(), sectors, data_checksum, master_checksum));
    Ok(image)
}

struct Part {
    kind: u32,
    sector: usize,
    sectors: usize,
    offset: usize,
    bytes: usize,
}

fn long(number: usize) -> [u8; 8] {
    (number as u64).to_be_bytes()
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn checksum(sum: u32) -> Vec<u8> {
    let mut bytes = words(&[CRC32[0], CRC32[1], sum]);
    bytes.resize(8 + 4 * CHECKSUM_WORDS, 0);
    bytes
}

/// Where each part is ("mish").
fn table(sectors: usize, parts: &[Part], sum: u32) -> Vec<u8> {
    let mut bytes = b"mish".to_vec();
    bytes.extend(words(&[1]));
    // The first sector, their number, and where the data begins.
    bytes.extend([long(0), long(sectors), long(0)].concat());
    let buffers = u32::try_from(PART_SECTORS + 8).unwrap_or(u32::MAX);
    bytes.extend(words(&[buffers, WHOLE_DEVICE, 0, 0, 0, 0, 0, 0]));
    bytes.extend(checksum(sum));
    bytes.extend(words(&[u32::try_from(parts.len()).unwrap_or(u32::MAX)]));
    for part in parts {
        bytes.extend(words(&[part.kind, 0]));
        for number in [part.sector, part.sectors, part.offset, part.bytes] {
            bytes.extend(long(number));
        }
    }
    bytes
}

fn property_list(table: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n<key>resource-fork</key>\n<dict>\n<key>blkx</key>\n\
         <array>\n<dict>\n<key>Attributes</key>\n<string>0x0050</string>\n\
         <key>CFName</key>\n<string>whole disk (Apple_ISO : 0)</string>\n\
         <key>Data</key>\n<data>\n{table}\n</data>\n<key>ID</key>\n<string>0</string>\n\
         <key>Name</key>\n<string>whole disk (Apple_ISO : 0)</string>\n</dict>\n</array>\n\
         </dict>\n</dict>\n</plist>\n"
    )
}

fn trailer(
    data_bytes: usize,
    list_bytes: usize,
    sectors: usize,
    data_sum: u32,
    master_sum: u32,
) -> Vec<u8> {
    let mut bytes = b"koly".to_vec();
    // Version, length of the trailer, flags ("flattened").
    bytes.extend(words(&[4, 512, 1]));
    // Where the running data begins, the data with its length, no fork of resources.
    bytes.extend([long(0), long(0), long(data_bytes), long(0), long(0)].concat());
    // One segment of one, without an id.
    bytes.extend(words(&[1, 1, 0, 0, 0, 0]));
    bytes.extend(checksum(data_sum));
    bytes.extend([long(data_bytes), long(list_bytes)].concat());
    bytes.resize(bytes.len() + 120, 0);
    bytes.extend(checksum(master_sum));
    // A device, not a partition.
    bytes.extend(words(&[1]));
    bytes.extend(long(sectors));
    bytes.resize(512, 0);
    bytes
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0_usize, |number, at| {
            number << 8 | usize::from(three.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let letter = LETTERS[number >> (18 - 6 * at) & 63];
            text.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_parts_give_the_volume_back() {
        let volume: Vec<u8> =
            (0..1_300_001_usize).map(|at| (at % 251) as u8 ^ (at >> 12) as u8).collect();
        let image = disk_image(&volume).unwrap();
        assert_eq!(disk_image(&volume).unwrap(), image);
        let trailer = &image[image.len() - 512..];
        let long = |bytes: &[u8], at: usize| {
            u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
        };
        assert_eq!((&trailer[..4], trailer[11]), (b"koly".as_slice(), 0));
        let (list_begin, list_bytes) = (long(trailer, 216), long(trailer, 224));
        assert_eq!(list_begin + list_bytes + 512, image.len());
        assert_eq!(long(trailer, 492), volume.len().div_ceil(SECTOR));
        let mut found = Vec::new();
        let mut rest = &image[..list_begin];
        while !rest.is_empty() {
            let mut decoder = flate2::bufread::ZlibDecoder::new(rest);
            std::io::Read::read_to_end(&mut decoder, &mut found).unwrap();
            rest = decoder.into_inner();
        }
        assert_eq!(found[..volume.len()], volume[..]);
        assert_eq!(found.len() % SECTOR, 0);
    }
}
