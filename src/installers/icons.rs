//! The app's icon in every size that a system asks for.
//!
//! In: a PNG. Out: square PNGs. Never: reads a file. SVG is not read: it needs a renderer, and an
//! app has a PNG for its window anyway.

use image::RgbaImage;

use crate::desktop::icon;

/// Sizes of the folders in hicolor, the theme that every other one falls back on.
const HICOLOR_SIDES: [u32; 8] = [16, 24, 32, 48, 64, 128, 256, 512];

/// The app's icon.
#[derive(Clone, Debug)]
pub(crate) struct Icon {
    picture: RgbaImage,
}

impl Icon {
    /// Decodes a PNG; `None` if it is none, or far larger than any icon.
    pub(crate) fn read(png: &[u8]) -> Option<Self> {
        Some(Self { picture: icon::read(png)? })
    }

    /// A square PNG of `side` pixels.
    pub(crate) fn png(&self, side: u32) -> Option<Vec<u8>> {
        icon::fitted(&self.picture, side)
    }

    /// The picture as a square of `side` pixels.
    pub(super) fn square(&self, side: u32) -> RgbaImage {
        icon::fitted_picture(&self.picture, side)
    }

    /// The longer side of the picture, pixels.
    pub(super) fn longer_side(&self) -> u32 {
        self.picture.width().max(self.picture.height())
    }

    /// The largest side of hicolor that the picture has enough pixels for.
    pub(crate) fn largest_side(&self) -> u32 {
        let pixels = self.longer_side();
        HICOLOR_SIDES.into_iter().rev().find(|side| *side <= pixels).unwrap_or(HICOLOR_SIDES[0])
    }

    /// The sizes of hicolor with their PNGs, none larger than the picture itself.
    pub(crate) fn for_hicolor(&self) -> Vec<(u32, Vec<u8>)> {
        let largest = self.largest_side();
        let sides = HICOLOR_SIDES.into_iter().filter(|side| *side <= largest);
        sides.filter_map(|side| Some((side, self.png(side)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icon_is_shrunk_and_never_enlarged() {
        let png = icon::png(vec![200; 100 * 70 * 4], 100, 70).unwrap();
        let icon = Icon::read(&png).unwrap();
        let made = icon.for_hicolor();
        assert_eq!(made.iter().map(|(side, _)| *side).collect::<Vec<_>>(), [16, 24, 32, 48, 64]);
        for (side, png) in &made {
            assert_eq!(icon::read(png).unwrap().dimensions(), (*side, *side));
        }
        assert_eq!(made, icon.for_hicolor(), "the same pixels make the same bytes");
        assert!(Icon::read(b"<svg/>").is_none());
    }
}
