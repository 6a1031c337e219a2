//! What the first bytes of an icon's file say, and what is wrong with one that cannot be used.
//!
//! In: the bytes of a file. Out: a size, or the end of a sentence. Never: decodes a picture.

/// Largest width and height of a picture that is decoded, pixels.
pub(crate) const MAX_SIDE_PIXELS: u32 = 4096;
/// Largest SVG that is drawn, bytes.
pub(crate) const MAX_SVG_BYTES: usize = 2 << 20;
/// How each kind of file begins that is taken for a PNG most.
const OTHER_KINDS: [(&[u8], &str); 7] = [
    (b"\xff\xd8\xff", "a JPEG"),
    (b"GIF8", "a GIF"),
    (b"\0\0\x01\0", "a Windows icon"),
    (b"icns", "a macOS icon"),
    (b"BM", "a bitmap"),
    (b"RIFF", "a WebP"),
    (b"\x1f\x8b", "a compressed file"),
];
/// The first bytes of every PNG.
const PNG_BEGIN: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Width and height that the first bytes of a PNG say, in pixels; `None` if it is none.
pub(crate) fn dimensions(head: &[u8]) -> Option<(u32, u32)> {
    let fields = head.strip_prefix(PNG_BEGIN)?;
    let number = |at: usize| Some(u32::from_be_bytes(fields.get(at..at + 4)?.try_into().ok()?));
    if fields.get(4..8)? != b"IHDR" {
        return None;
    }
    Some((number(8)?, number(12)?))
}

/// Whether a file that begins with `head` may be an SVG: it is a text that begins with a bracket, in
/// an encoding that marks itself or in UTF-8.
pub(crate) fn may_be_svg(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    text.starts_with(b"<") || head.starts_with(b"\xff\xfe<\0") || head.starts_with(b"\xfe\xff\0<")
}

/// Whether a picture of this width and height is decoded.
pub(crate) fn is_usable((width, height): &(u32, u32)) -> bool {
    (1..=MAX_SIDE_PIXELS).contains(width) && (1..=MAX_SIDE_PIXELS).contains(height)
}

/// Why these bytes are no usable icon, as the end of a sentence that begins with their file.
pub(crate) fn fault(bytes: &[u8]) -> String {
    match dimensions(bytes) {
        Some(size @ (width, height)) if !is_usable(&size) => format!(
            "has {width} × {height} pixels; save it with at most {MAX_SIDE_PIXELS}, better 1024"
        ),
        Some(_) => "is a damaged PNG; save it again".to_owned(),
        None => {
            let kind = OTHER_KINDS.iter().find(|(begin, _)| bytes.starts_with(begin));
            let kind = kind.map_or_else(String::new, |(_, kind)| format!(" but {kind}"));
            format!(
                "is no PNG and no SVG{kind}; save it as a PNG, a square of 256 pixels or more, or as an SVG"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_svg_is_known_by_its_beginning() {
        for begin in [&b"<svg"[..], b"\xef\xbb\xbf<?xml", b"\n  <!--", b"\xff\xfe<\0s\0"] {
            assert!(may_be_svg(begin));
        }
        for begin in [PNG_BEGIN, b"", b"svg", b"\x1f\x8b"] {
            assert!(!may_be_svg(begin));
        }
    }

    #[test]
    fn what_is_wrong_with_an_icon_is_named() {
        let small = [PNG_BEGIN, &13_u32.to_be_bytes(), b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 3]].concat();
        assert_eq!(dimensions(&small), Some((2, 3)));
        assert_eq!(dimensions(&small[..small.len() - 1]), None);
        let mut large = small.clone();
        large[16..24].copy_from_slice(&[0, 0, 0x20, 0, 0, 0, 0x20, 0]);
        for (bytes, words) in [
            (large.as_slice(), "has 8192 × 8192 pixels"),
            (small.as_slice(), "is a damaged PNG"),
            (b"\xff\xd8\xff\xe0", "is no PNG and no SVG but a JPEG"),
            (b"\0\0\x01\0\x02", "is no PNG and no SVG but a Windows icon"),
            (b"\x1f\x8b\x08", "is no PNG and no SVG but a compressed file"),
            (b"", "is no PNG and no SVG; save"),
        ] {
            assert!(fault(bytes).starts_with(words), "{}", fault(bytes));
        }
    }
}
