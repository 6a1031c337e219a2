//! Icons of Windows: as a file, and as resources of a program.
//!
//! In: a square picture. Out: bytes. Never: a picture larger than its source has pixels for, but
//! for the sizes that Windows always asks for.
//!
//! Sizes below 256 pixels are bitmaps, since installers and older parts of the shell read no PNG
//! there. The largest is a PNG, as Windows itself writes it.

use image::RgbaImage;

use super::resources::{ICON, ICON_GROUP, Resources};
use crate::installers::icons::Icon;

/// Sizes that Explorer, the task bar and the desktop show at 100 % to 250 %.
const SIDES: [u32; 8] = [16, 20, 24, 32, 40, 48, 64, 128];
const LARGEST: u32 = 256;

/// One size of an icon.
struct Image {
    side: u32,
    bytes: Vec<u8>,
}

/// The file `icon.ico`; `None` if a PNG cannot be written.
pub(super) fn file(icon: &Icon) -> Option<Vec<u8>> {
    let images = images(icon)?;
    let mut file = header(images.len())?;
    let mut offset = u32::try_from(6 + 16 * images.len()).ok()?;
    for image in &images {
        file.extend(description(image)?);
        file.extend(offset.to_le_bytes());
        offset += u32::try_from(image.bytes.len()).ok()?;
    }
    file.extend(images.into_iter().flat_map(|image| image.bytes));
    Some(file)
}

/// Puts the icon among a program's resources, in place of the one it has; `None` as for [`file()`].
pub(super) fn put(icon: &Icon, resources: &mut Resources) -> Option<()> {
    let images = images(icon)?;
    let mut group = header(images.len())?;
    resources.remove(ICON);
    resources.remove(ICON_GROUP);
    for (id, image) in (1_u16..).zip(images) {
        group.extend(description(&image)?);
        group.extend(id.to_le_bytes());
        resources.insert(ICON, id, image.bytes);
    }
    resources.insert(ICON_GROUP, 1, group);
    Some(())
}

fn images(icon: &Icon) -> Option<Vec<Image>> {
    let bitmaps = SIDES.map(|side| Image { side, bytes: bitmap(&icon.square(side)) });
    let largest = Image { side: LARGEST, bytes: icon.png(LARGEST)? };
    Some(bitmaps.into_iter().chain([largest]).collect())
}

/// A reserved zero, the type (1: icon) and the number of images.
fn header(count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0, 0, 1, 0];
    bytes.extend(u16::try_from(count).ok()?.to_le_bytes());
    Some(bytes)
}

/// Width and height (0 means 256), no palette, one plane of 32 bits, the number of bytes.
fn description(image: &Image) -> Option<Vec<u8>> {
    let side = u8::try_from(image.side).unwrap_or(0);
    let mut bytes = vec![side, side, 0, 0, 1, 0, 32, 0];
    bytes.extend(u32::try_from(image.bytes.len()).ok()?.to_le_bytes());
    Some(bytes)
}

/// A bitmap without its file header, rows from the bottom: first colours with opacity, then one bit
/// for each pixel that is transparent where only that is read.
fn bitmap(picture: &RgbaImage) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let mut bytes = Vec::new();
    // Its own length, then the size: both parts count for the height.
    for number in [40, width, 2 * height] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([1, 0, 32, 0]);
    bytes.extend([0; 24]);
    for row in picture.rows().rev() {
        bytes.extend(row.flat_map(|pixel| {
            let [red, green, blue, alpha] = pixel.0;
            [blue, green, red, alpha]
        }));
    }
    for row in picture.rows().rev() {
        let bits: Vec<bool> = row.map(|pixel| pixel.0[3] == 0).collect();
        let mut line: Vec<u8> = bits
            .chunks(8)
            .map(|bits| {
                bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << (7 - at))
            })
            .collect();
        line.resize(line.len().next_multiple_of(4), 0);
        bytes.extend(line);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red, but for a transparent upper left quarter.
    fn picture() -> Icon {
        let is_clear = |at: u32| at % 64 < 32 && at / 64 < 32;
        let pixels = (0..64 * 64)
            .flat_map(|at| if is_clear(at) { [0; 4] } else { [200, 10, 20, 255] })
            .collect();
        Icon::read(&crate::desktop::icon::png(pixels, 64, 64).unwrap()).unwrap()
    }

    fn number(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    #[test]
    fn the_file_has_each_size_where_its_table_says() {
        let file = file(&picture()).unwrap();
        assert_eq!(file[..6], [0, 0, 1, 0, 9, 0]);
        for (index, side) in SIDES.into_iter().enumerate() {
            let entry = &file[6 + 16 * index..][..16];
            let bitmap = &file[number(entry, 12)..][..number(entry, 8)];
            assert_eq!((u32::from(entry[0]), u32::from(entry[1])), (side, side));
            let side = side as usize;
            assert_eq!(
                (number(bitmap, 0), number(bitmap, 4), number(bitmap, 8)),
                (40, side, 2 * side)
            );
            let mask_row = side.div_ceil(32) * 4;
            assert_eq!(bitmap.len(), 40 + 4 * side * side + mask_row * side);
            // Rows begin at the bottom: the first pixel is red, the first of the last row is none.
            assert_eq!(bitmap[40..44], [20, 10, 200, 255]);
            assert_eq!(bitmap[40 + 4 * side * (side - 1)..][..4], [0; 4]);
            let mask = &bitmap[40 + 4 * side * side..];
            assert_eq!((mask[0] >> 7, mask[mask_row * (side - 1)] >> 7), (0, 1));
        }
        let largest = &file[6 + 16 * SIDES.len()..][..16];
        assert_eq!(largest[..2], [0, 0], "256");
        assert!(file[number(largest, 12)..].starts_with(b"\x89PNG"));
    }

    #[test]
    fn the_group_names_each_image() {
        let mut resources = Resources::default();
        resources.insert(ICON, 99, b"an older one".to_vec());
        put(&picture(), &mut resources).unwrap();
        let group = resources.first(ICON_GROUP).unwrap().to_vec();
        assert_eq!((group[4], group.len()), (9, 6 + 14 * 9));
        assert_eq!(group[6 + 14 * 8 + 12..], [9, 0], "the last one is number 9");
        assert_eq!(number(resources.first(ICON).unwrap(), 4), 16);
    }
}
