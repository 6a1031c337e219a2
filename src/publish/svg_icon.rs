//! Draws an icon from an SVG, each size by itself, so that all of them are sharp.
//!
//! In: the bytes of a file. Out: a square picture for each size, and the same drawing as an SVG for
//! desktops that scale icons themselves, or the end of a sentence about what is wrong. Never: a
//! file, a font or an address that the SVG names; a wait without an end.

mod cost;

use std::sync::mpsc;
use std::time::Duration;

use image::{ImageFormat, RgbaImage};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::roxmltree::{Document, ParsingOptions};
use resvg::usvg::{ImageHrefResolver, Options, Tree, WriteOptions};

use crate::model::icon_file::MAX_SVG_BYTES;
use crate::plain;
use crate::threads;

/// Sides that are drawn, pixels: those of Linux' hicolor theme, of Windows and of macOS.
const SIDES: [u32; 11] = [16, 20, 24, 32, 40, 48, 64, 128, 256, 512, LARGEST_SIDE];
/// The largest of them.
pub(crate) const LARGEST_SIDE: u32 = 1024;
/// The side of the picture that a release has, pixels; no launcher shows a larger one.
pub(crate) const RELEASE_SIDE: u32 = 512;
/// How long one drawing may take. Usual icons take half a second, and a computer with other work may
/// give this program a fiftieth of its time.
const TIME_LIMIT: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "http://www.w3.org/2000/svg";
/// Elements that are not drawn: text needs fonts, and the other two bring contents from elsewhere.
const NOT_DRAWN: [(&str, &str); 3] =
    [("text", "text"), ("image", "pictures"), ("foreignObject", "foreign objects")];

/// An SVG in all sizes.
#[derive(Clone, Debug)]
pub(crate) struct SvgIcon {
    /// From the smallest to the largest.
    pictures: Vec<RgbaImage>,
    /// The drawing without anything that acts or leads elsewhere; `None` if parts of the SVG are
    /// not drawn, so that it would look another way.
    scalable: Option<String>,
    /// What is in the SVG and not in the pictures.
    not_drawn: Vec<&'static str>,
}

impl SvgIcon {
    /// Draws it.
    ///
    /// # Errors
    /// The end of a sentence that begins with the file.
    pub(crate) fn draw(svg: Vec<u8>) -> Result<Self, String> {
        within(TIME_LIMIT, move || drawn(svg))
    }

    /// The picture of `side` pixels, or else the next larger one, or else the largest.
    pub(crate) fn picture(&self, side: u32) -> Option<&RgbaImage> {
        self.pictures.iter().find(|it| it.width() >= side).or(self.pictures.last())
    }

    /// The picture of `side` pixels as PNG; `None` if it is none of the drawn ones.
    pub(crate) fn png(&self, side: u32) -> Option<Vec<u8>> {
        let mut png = std::io::Cursor::new(Vec::new());
        let picture = self.picture(side).filter(|it| it.width() == side)?;
        picture.write_to(&mut png, ImageFormat::Png).ok()?;
        Some(png.into_inner())
    }

    /// The drawing as an SVG, if it looks like the pictures.
    pub(crate) fn scalable(&self) -> Option<&[u8]> {
        self.scalable.as_deref().map(str::as_bytes)
    }

    /// What the pictures lack, as the end of a sentence that begins with the file.
    pub(crate) fn warning(&self) -> Option<String> {
        let what = self.not_drawn.join(" and ");
        (!what.is_empty()).then(|| {
            format!(
                "contains {what}, which icons are drawn without; convert to paths what is to be seen, and save it again"
            )
        })
    }
}

/// Work on a thread of its own, which is left alone when its time is over: the program ends with
/// the error soon, and the thread with it.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (sender, done) = mpsc::channel();
    threads::spawn_deep("icon", move || sender.send(work()).is_ok())
        .map_err(|error| format!("cannot be drawn: {error}"))?;
    done.recv_timeout(limit).unwrap_or_else(|error| {
        Err(match error {
            mpsc::RecvTimeoutError::Timeout => format!(
                "takes more than {} s to draw; simplify it, or save it as a PNG",
                limit.as_secs_f32()
            ),
            mpsc::RecvTimeoutError::Disconnected => {
                "cannot be drawn; simplify it, or save it as a PNG".to_owned()
            }
        })
    })
}

fn drawn(svg: Vec<u8>) -> Result<SvgIcon, String> {
    if svg.len() > MAX_SVG_BYTES {
        return Err(format!(
            "has {} bytes; an icon may have {MAX_SVG_BYTES}, so simplify it, or save it as a PNG",
            svg.len()
        ));
    }
    let text = plain::of_file(svg).map_err(|_| "is no UTF-8 text; save it as UTF-8".to_owned())?;
    let options =
        ParsingOptions { allow_dtd: true, nodes_limit: cost::MAX_NODES, ..Default::default() };
    let document = Document::parse_with_options(&text, options)
        .map_err(|error| format!("is no SVG that can be read: {error}"))?;
    let root = document.root_element();
    if root.tag_name().name() != "svg" || root.tag_name().namespace() != Some(NAMESPACE) {
        return Err(format!("is no SVG: it does not begin with <svg xmlns=\"{NAMESPACE}\">"));
    }
    cost::check(&document)?;
    let not_drawn = NOT_DRAWN.into_iter().filter(|(name, _)| {
        document.descendants().any(|node| {
            node.tag_name().name() == *name && node.tag_name().namespace() == Some(NAMESPACE)
        })
    });
    let not_drawn: Vec<&'static str> = not_drawn.map(|(_, name)| name).collect();
    let tree = Tree::from_xmltree(&document, &options_without_resources())
        .map_err(|error| format!("is no SVG that can be drawn: {error}"))?;
    cost::check_filters(&tree)?;
    let pictures = SIDES.into_iter().map(|side| picture(&tree, side)).collect::<Option<Vec<_>>>();
    let pictures = pictures.ok_or("cannot be drawn: there is no memory for it")?;
    if pictures.iter().all(|picture| picture.pixels().all(|pixel| pixel.0[3] == 0)) {
        let why = match not_drawn.join(" and ") {
            what if what.is_empty() => String::new(),
            what => format!(": {what} in it cannot be; convert them to paths"),
        };
        return Err(format!("shows nothing when it is drawn{why}"));
    }
    let scalable = not_drawn.is_empty().then(|| tree.to_string(&WriteOptions::default()));
    let scalable = scalable.filter(|text| text.len() <= MAX_SVG_BYTES);
    Ok(SvgIcon { pictures, scalable, not_drawn })
}

/// Nothing that lies outside of the file, and no file inside of it.
fn options_without_resources() -> Options<'static> {
    Options {
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    }
}

/// The drawing in the middle of a square; `None` if there is no memory for it.
fn picture(tree: &Tree, side: u32) -> Option<RgbaImage> {
    let size = tree.size();
    #[allow(clippy::cast_precision_loss)] // at most 1024
    let pixels = side as f32;
    let scale = pixels / size.width().max(size.height());
    // On whole pixels, or else straight edges are blurred.
    let margin = |length: f32| ((pixels - length * scale) / 2.0).round();
    let transform = Transform::from_scale(scale, scale)
        .post_translate(margin(size.width()), margin(size.height()));
    let mut pixmap = Pixmap::new(side, side)?;
    resvg::render(tree, transform, &mut pixmap.as_mut());
    let colours = pixmap.pixels().iter().map(|pixel| pixel.demultiply());
    let bytes = colours.flat_map(|it| [it.red(), it.green(), it.blue(), it.alpha()]).collect();
    RgbaImage::from_raw(side, side, bytes)
}

#[cfg(test)]
mod tests;
