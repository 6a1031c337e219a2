//! The app's icon: whether it can be used, and where it lies in the release.
//!
//! In: a PNG or an SVG. Out: a refusal, a warning, files in the tree. Never: an SVG as the release's icon: the
//! launcher shows PNGs, and an SVG beside one in menus that scale it.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use super::BuildError;
use crate::file_error::FileResult as _;
use crate::model::icon_file;
use crate::publish::svg_icon::{RELEASE_SIDE, SvgIcon};

/// A desktop shows an icon with fewer pixels than this blurred.
const MIN_SHARP_PIXELS: u32 = 128;
/// The place of an icon that is not in the app's folder.
pub(super) const PLACE: &str = "metadata/icon.png";
/// The same for desktops that scale icons; the launcher looks for it beside the PNG.
const SCALABLE_PLACE: &str = "metadata/icon.svg";

/// Refuses an icon that no desktop and no installer can use; warns of one that will look bad.
pub(super) fn check(path: &Path) -> Result<Option<String>, BuildError> {
    if let Some(drawing) = draw(path)? {
        return Ok(drawing.warning().map(|reason| format!("the icon {} {reason}", path.display())));
    }
    let head = &start(path, 24)?;
    let Some((width, height)) = icon_file::dimensions(head).filter(icon_file::is_usable) else {
        return Err(BuildError::Icon { path: path.to_owned(), reason: icon_file::fault(head) });
    };
    if width == height && width >= MIN_SHARP_PIXELS {
        return Ok(None);
    }
    Ok(Some(format!(
        "the icon {} has {width} × {height} pixels; desktops show a square of 256 or more best",
        path.display()
    )))
}

/// Whether the icon is an SVG.
pub(super) fn is_svg(path: &Path) -> Result<bool, BuildError> {
    Ok(icon_file::may_be_svg(&start(path, 1024)?))
}

/// Draws an icon that is an SVG, and writes it to its place in the tree.
pub(super) fn lay_out_svg(path: &Path, tree: &Path) -> Result<(), BuildError> {
    let Some(drawing) = draw(path)? else { return Ok(()) };
    let png = drawing.png(RELEASE_SIDE).unwrap_or_default();
    let files = [(PLACE, Some(png.as_slice())), (SCALABLE_PLACE, drawing.scalable())];
    for (place, bytes) in files {
        let place = tree.join(place);
        bytes.map(|bytes| fs::write(&place, bytes)).transpose().at("write", &place)?;
    }
    Ok(())
}

/// Draws the icon, if it is an SVG.
fn draw(path: &Path) -> Result<Option<SvgIcon>, BuildError> {
    if !is_svg(path)? {
        return Ok(None);
    }
    // One byte more than is allowed says that it is too large.
    let svg = start(path, icon_file::MAX_SVG_BYTES + 1)?;
    let refused = |reason| BuildError::Icon { path: path.to_owned(), reason };
    SvgIcon::draw(svg).map(Some).map_err(refused)
}

/// The first bytes of a file, at most `most`.
fn start(path: &Path, most: usize) -> Result<Vec<u8>, BuildError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most as u64).read_to_end(&mut bytes));
    read.at("read the icon", path)?;
    Ok(bytes)
}
