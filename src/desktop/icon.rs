//! Converts one PNG to the sizes and formats that desktops need. Pure.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::{ImageFormat, ImageReader, Limits, RgbaImage};

use crate::model::icon_file::MAX_SIDE_PIXELS;

/// Sizes of the folders in hicolor, the fallback of every theme.
const HICOLOR: [u32; 7] = [16, 32, 48, 64, 128, 256, 512];
/// Sizes in a Windows icon: lists, task bar, desktop, large tiles.
const WINDOWS: [u32; 4] = [16, 32, 48, 256];
/// Sizes in a macOS icon with their type codes: "PNG of 128, 256 and 512 pixels".
const MAC: [(u32, &[u8; 4]); 3] = [(128, b"ic07"), (256, b"ic08"), (512, b"ic09")];

/// Decodes a PNG; `None` if it is none, or far larger than any icon.
pub(crate) fn read(png: &[u8]) -> Option<RgbaImage> {
    let mut reader = ImageReader::with_format(Cursor::new(png), ImageFormat::Png);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) =
        (Some(MAX_SIDE_PIXELS), Some(MAX_SIDE_PIXELS));
    reader.limits(limits);
    Some(reader.decode().ok()?.into_rgba8())
}

/// Encodes pixels (red, green, blue, alpha) as PNG; `None` if their number does not fit width and
/// height.
pub(crate) fn png(pixels: Vec<u8>, width: u32, height: u32) -> Option<Vec<u8>> {
    encoded(&RgbaImage::from_raw(width, height, pixels)?)
}

fn encoded(picture: &RgbaImage) -> Option<Vec<u8>> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).ok()?;
    Some(png.into_inner())
}

/// The picture fitted into a square of `side` pixels as PNG; the rest is transparent.
pub(crate) fn fitted(picture: &RgbaImage, side: u32) -> Option<Vec<u8>> {
    encoded(&fitted_picture(picture, side))
}

/// The picture fitted into a square of `side` pixels; the rest is transparent.
pub(crate) fn fitted_picture(picture: &RgbaImage, side: u32) -> RgbaImage {
    let (width, height) = picture.dimensions();
    let longer = width.max(height).max(1);
    let part = |length: u32| {
        u32::try_from(u64::from(length) * u64::from(side) / u64::from(longer))
            .unwrap_or(side)
            .max(1)
    };
    let (width, height) = (part(width), part(height));
    let scaled = imageops::resize(picture, width, height, FilterType::CatmullRom);
    let mut square = RgbaImage::new(side, side);
    imageops::replace(
        &mut square,
        &scaled,
        i64::from((side - width) / 2),
        i64::from((side - height) / 2),
    );
    square
}

/// The pictures for hicolor, each with its size: the largest size that the icon has enough pixels
/// for, and one for lists.
pub(crate) fn for_hicolor(png: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let Some(picture) = read(png) else { return Vec::new() };
    let pixels = picture.width().max(picture.height());
    let largest = HICOLOR.into_iter().rev().find(|side| *side <= pixels).unwrap_or(HICOLOR[0]);
    let sides = if largest > 48 { vec![48, largest] } else { vec![largest] };
    let exact = |side| picture.dimensions() == (side, side);
    let made = sides
        .into_iter()
        .map(|side| (side, if exact(side) { Some(png.to_vec()) } else { fitted(&picture, side) }));
    made.filter_map(|(side, png)| Some((side, png?))).collect()
}

/// A Windows icon file: a table, then the pictures as PNG, which Windows reads since Vista.
pub(crate) fn for_windows(png: &[u8]) -> Option<Vec<u8>> {
    let picture = read(png)?;
    let pictures: Vec<(u32, Vec<u8>)> = WINDOWS
        .into_iter()
        .map(|side| Some((side, fitted(&picture, side)?)))
        .collect::<Option<_>>()?;
    let count = u16::try_from(pictures.len()).ok()?;
    let mut file = vec![0, 0, 1, 0];
    file.extend(count.to_le_bytes());
    let mut offset = 6 + 16 * u32::from(count);
    for (side, png) in &pictures {
        // 0 means 256.
        let side = u8::try_from(*side).unwrap_or(0);
        let length = u32::try_from(png.len()).ok()?;
        file.extend([side, side, 0, 0, 1, 0, 32, 0]);
        file.extend(length.to_le_bytes());
        file.extend(offset.to_le_bytes());
        offset += length;
    }
    file.extend(pictures.into_iter().flat_map(|(_, png)| png));
    Some(file)
}

/// A macOS icon file: blocks with a name and a length, each with a PNG.
pub(crate) fn for_mac(png: &[u8]) -> Option<Vec<u8>> {
    let picture = read(png)?;
    mac_file(MAC.into_iter().map(|(side, name)| (name, fitted(&picture, side))))
}

/// A macOS icon file of these blocks: their names, and their PNGs. `None` if one is missing.
pub(crate) fn mac_file(
    pictures: impl Iterator<Item = (&'static [u8; 4], Option<Vec<u8>>)>,
) -> Option<Vec<u8>> {
    let mut blocks = Vec::new();
    for (name, png) in pictures {
        let png = png?;
        blocks.extend(name);
        blocks.extend(u32::try_from(png.len() + 8).ok()?.to_be_bytes());
        blocks.extend(png);
    }
    let mut file = b"icns".to_vec();
    file.extend(u32::try_from(blocks.len() + 8).ok()?.to_be_bytes());
    file.extend(blocks);
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let picture = RgbaImage::from_pixel(width, height, image::Rgba([200, 30, 60, 255]));
        let mut png = Cursor::new(Vec::new());
        picture.write_to(&mut png, ImageFormat::Png).unwrap();
        png.into_inner()
    }

    #[test]
    fn an_icon_of_any_shape_becomes_squares_of_known_sizes() {
        let square = png(256, 256);
        let made = for_hicolor(&square);
        assert_eq!(made.iter().map(|(side, _)| *side).collect::<Vec<_>>(), [48, 256]);
        assert_eq!(made[1].1, square, "what fits is taken as it is");
        let wide = for_hicolor(&png(300, 100));
        let largest = read(&wide[1].1).unwrap();
        assert_eq!((wide[1].0, largest.dimensions()), (256, (256, 256)));
        assert_eq!(
            (largest.get_pixel(128, 10).0[3], largest.get_pixel(128, 128).0),
            (0, [200, 30, 60, 255])
        );
        assert_eq!(for_hicolor(&png(10, 20))[0].0, 16);
        assert!(
            for_hicolor(b"nonsense").is_empty()
                && for_windows(b"").is_none()
                && for_mac(b"\x89PNG").is_none()
        );
        let mut huge = square;
        huge[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
        assert!(read(&huge).is_none());
    }

    #[test]
    fn the_tables_of_both_formats_lead_to_pictures() {
        let file = for_windows(&png(64, 64)).unwrap();
        assert_eq!(file[..6], [0, 0, 1, 0, 4, 0]);
        for (index, side) in WINDOWS.into_iter().enumerate() {
            let entry = &file[6 + 16 * index..][..16];
            let number =
                |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()) as usize;
            let picture = read(&file[number(12)..][..number(8)]).unwrap();
            assert_eq!((picture.dimensions(), u32::from(entry[0])), ((side, side), side % 256));
        }
        let file = for_mac(&png(64, 64)).unwrap();
        assert_eq!(
            (&file[..4], u32::from_be_bytes(file[4..8].try_into().unwrap()) as usize),
            (b"icns".as_slice(), file.len())
        );
        let mut rest = &file[8..];
        for (side, name) in MAC {
            let length = u32::from_be_bytes(rest[4..8].try_into().unwrap()) as usize;
            assert_eq!(
                (&rest[..4], read(&rest[8..length]).unwrap().width()),
                (name.as_slice(), side)
            );
            rest = &rest[length..];
        }
        assert!(rest.is_empty());
    }
}
