//! The app's picture in the form of `org.freedesktop.Notifications`.
//!
//! In: an icon of any size. Out: the value of the hint `image-data`, small enough for a message.
//! Never: a file, which a desktop in another sandbox could not read.

use egui::{Color32, ColorImage};
use zbus::zvariant::{Structure, Value};

/// Longest side of the picture, pixels: twice of what desktops show, for dense screens.
const MAX_SIDE: usize = 128;

/// The hint's value.
pub(super) fn hint(icon: ColorImage) -> Value<'static> {
    /// Bits of a sample, and samples of a pixel: red, green, blue and alpha.
    const SAMPLES: (i32, i32) = (8, 4);
    let icon = reduced(icon);
    let [width, height] = icon.size.map(|side| i32::try_from(side).unwrap_or(0));
    let bytes: Vec<u8> =
        icon.pixels.iter().flat_map(|pixel| pixel.to_srgba_unmultiplied()).collect();
    let (bits, samples) = SAMPLES;
    Value::from(Structure::from((width, height, width * samples, true, bits, samples, bytes)))
}

/// Halves a picture until it is small enough.
fn reduced(mut icon: ColorImage) -> ColorImage {
    while icon.size.iter().any(|side| *side > MAX_SIDE) {
        let [width, height] = icon.size.map(|side| side.div_ceil(2));
        let pixels =
            (0..width * height).map(|at| mean(&icon, (at % width) * 2, (at / width) * 2)).collect();
        icon = ColorImage::new([width, height], pixels);
    }
    icon
}

/// The mean of the four pixels at a place; fewer at the edge.
fn mean(icon: &ColorImage, left: usize, top: usize) -> Color32 {
    let mut sum = [0_u32; 4];
    let mut count = 0;
    for y in top..(top + 2).min(icon.height()) {
        for x in left..(left + 2).min(icon.width()) {
            for (sum, sample) in sum.iter_mut().zip(icon[(x, y)].to_array()) {
                *sum += u32::from(sample);
            }
            count += 1;
        }
    }
    let [red, green, blue, alpha] =
        sum.map(|sum| u8::try_from(sum / count.max(1)).unwrap_or(u8::MAX));
    Color32::from_rgba_premultiplied(red, green, blue, alpha)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(icon: ColorImage) -> (String, Vec<i32>, Vec<u8>) {
        let Value::Structure(picture) = hint(icon) else { panic!("a structure") };
        let signature = picture.signature().to_string();
        let numbers = picture.fields().iter().filter_map(|field| i32::try_from(field).ok());
        let bytes = picture.fields().last().unwrap().try_clone().unwrap();
        (signature, numbers.collect(), Vec::try_from(bytes).unwrap())
    }

    #[test]
    fn an_icon_has_the_form_that_desktops_want() {
        let colour = Color32::from_rgba_unmultiplied(200, 100, 0, 255);
        let (signature, numbers, bytes) = fields(ColorImage::filled([300, 100], colour));
        assert_eq!(signature, "(iiibiiay)");
        assert_eq!(numbers, [75, 25, 300, 8, 4]);
        assert_eq!(bytes.len(), 75 * 25 * 4);
        assert!(bytes.chunks(4).all(|pixel| pixel == [200, 100, 0, 255]));
    }

    #[test]
    fn a_small_icon_stays_as_it_is() {
        let half = Color32::from_rgba_unmultiplied(10, 20, 30, 128);
        let icon = ColorImage::new([1, 2], vec![half, Color32::TRANSPARENT]);
        let (_, numbers, bytes) = fields(icon);
        assert_eq!(numbers, [1, 2, 4, 8, 4]);
        assert_eq!((&bytes[3..4], &bytes[4..]), (&[128][..], &[0, 0, 0, 0][..]));
    }
}
