//! The app's icon in every size that a system asks for.
//!
//! In: a PNG or an SVG. Out: square PNGs. Never: reads a file, enlarges a PNG for a theme.

use image::RgbaImage;

use crate::desktop::icon;
use crate::model::icon_file;
use crate::publish::svg_icon::{LARGEST_SIDE, SvgIcon};

/// Sizes of the folders in hicolor, the theme that every other one falls back on.
const HICOLOR_SIDES: [u32; 8] = [16, 24, 32, 48, 64, 128, 256, 512];

/// The app's icon.
#[derive(Clone, Debug)]
pub(crate) struct Icon {
    source: Source,
}

/// What an icon is made from.
#[derive(Clone, Debug)]
enum Source {
    Picture(RgbaImage),
    Drawing(SvgIcon),
}

impl Icon {
    /// Decodes a PNG; `None` if it is none, or far larger than any icon.
    pub(crate) fn read(png: &[u8]) -> Option<Self> {
        Some(Self { source: Source::Picture(icon::read(png)?) })
    }

    /// Decodes a PNG, or draws an SVG.
    ///
    /// # Errors
    /// The end of a sentence that begins with the file.
    pub(crate) fn open(bytes: Vec<u8>) -> Result<Self, String> {
        if icon_file::may_be_svg(&bytes) {
            return Ok(Self { source: Source::Drawing(SvgIcon::draw(bytes)?) });
        }
        Self::read(&bytes).ok_or_else(|| icon_file::fault(&bytes))
    }

    /// The same icon for desktops that scale it themselves.
    pub(crate) fn scalable(&self) -> Option<&[u8]> {
        match &self.source {
            Source::Picture(_) => None,
            Source::Drawing(drawing) => drawing.scalable(),
        }
    }

    /// What its pictures lack, as the end of a sentence that begins with the file.
    pub(crate) fn warning(&self) -> Option<String> {
        match &self.source {
            Source::Picture(_) => None,
            Source::Drawing(drawing) => drawing.warning(),
        }
    }

    /// A square PNG of `side` pixels.
    pub(crate) fn png(&self, side: u32) -> Option<Vec<u8>> {
        match &self.source {
            Source::Picture(picture) => icon::fitted(picture, side),
            Source::Drawing(drawing) => {
                drawing.png(side).or_else(|| icon::fitted(drawing.picture(side)?, side))
            }
        }
    }

    /// The picture as a square of `side` pixels.
    pub(super) fn square(&self, side: u32) -> RgbaImage {
        match &self.source {
            Source::Picture(picture) => icon::fitted_picture(picture, side),
            Source::Drawing(drawing) => match drawing.picture(side) {
                Some(picture) if picture.width() == side => picture.clone(),
                Some(picture) => icon::fitted_picture(picture, side),
                None => RgbaImage::new(side, side),
            },
        }
    }

    /// The longer side of the picture, pixels.
    pub(super) fn longer_side(&self) -> u32 {
        match &self.source {
            Source::Picture(picture) => picture.width().max(picture.height()),
            Source::Drawing(_) => LARGEST_SIDE,
        }
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

    #[test]
    fn an_icon_drawn_from_an_svg_has_every_size() {
        let svg = b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><circle cx='4' cy='4' r='4'/></svg>";
        let icon = Icon::open(svg.to_vec()).unwrap();
        let made = icon.for_hicolor();
        assert_eq!(made.iter().map(|(side, _)| *side).collect::<Vec<_>>(), HICOLOR_SIDES);
        for side in [16, 100, 512, LARGEST_SIDE] {
            let square = icon.square(side);
            assert_eq!(square.dimensions(), (side, side));
            assert_eq!(icon::read(&icon.png(side).unwrap()).unwrap(), square);
        }
        assert!(icon.scalable().is_some() && icon.warning().is_none());
        let fault = |bytes: &[u8]| Icon::open(bytes.to_vec()).err().unwrap_or_default();
        assert!(fault(b"<svg").starts_with("is no SVG"), "{}", fault(b"<svg"));
        assert!(fault(b"GIF89a").starts_with("is no PNG and no SVG but a GIF"));
    }
}
