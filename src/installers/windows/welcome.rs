//! The picture at the side of the installer's first and last page: the app's icon on white.
//!
//! In: the icon. Out: a bitmap in the one form that NSIS reads. Never: a text.

use image::{Rgba, RgbaImage, imageops};

use crate::installers::icons::Icon;

/// Twice the size of the page's own picture, for screens at 200 %.
const WIDTH: u32 = 328;
const HEIGHT: u32 = 628;
const ICON_SIDE: u32 = 160;
const ICON_TOP: i64 = 80;
/// Bytes of both headers of the file.
const HEADER_BYTES: u32 = 54;

/// The picture as a file of 24 bits for each pixel, rows from the bottom.
pub(super) fn picture(icon: &Icon) -> Vec<u8> {
    let mut page = RgbaImage::from_pixel(WIDTH, HEIGHT, Rgba([255; 4]));
    imageops::overlay(
        &mut page,
        &icon.square(ICON_SIDE),
        i64::from((WIDTH - ICON_SIDE) / 2),
        ICON_TOP,
    );
    // 328 pixels of three bytes are a multiple of four bytes, as rows must be.
    let pixel_bytes = WIDTH * HEIGHT * 3;
    let mut file = b"BM".to_vec();
    for number in [HEADER_BYTES + pixel_bytes, 0, HEADER_BYTES, 40, WIDTH, HEIGHT] {
        file.extend(number.to_le_bytes());
    }
    // One plane of 24 bits, without compression.
    file.extend([1, 0, 24, 0]);
    file.extend([0; 24]);
    for row in page.rows().rev() {
        file.extend(row.flat_map(|pixel| [pixel.0[2], pixel.0[1], pixel.0[0]]));
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_stands_on_white_in_the_form_that_nsis_reads() {
        let png = crate::desktop::icon::png([10, 20, 200, 255].repeat(64 * 64), 64, 64).unwrap();
        let file = picture(&Icon::read(&png).unwrap());
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!(
            (&file[..2], number(2) as usize, number(10)),
            (b"BM".as_slice(), file.len(), 54)
        );
        assert_eq!((number(18), number(22), file[28]), (WIDTH, HEIGHT, 24));
        let pixel = |x: u32, y: u32| {
            // Rows begin at the bottom.
            let at = (HEADER_BYTES + 3 * ((HEIGHT - 1 - y) * WIDTH + x)) as usize;
            [file[at + 2], file[at + 1], file[at]]
        };
        assert_eq!((pixel(0, 0), pixel(WIDTH / 2, 160)), ([255; 3], [10, 20, 200]));
    }
}
