//! Makes text from outside (nodes, servers, peers, files) safe for a terminal, a log and a window,
//! and reads the text of files that people write. Ground floor.
//!
//! In: any text, or the bytes of a file. Out: the same text without characters that move the cursor,
//! change colours or titles, or turn the direction of the text after them; a file's text. Never:
//! judges what the text says.

use std::fmt::Write as _;
use std::string::FromUtf8Error;

/// Whether a character has an effect instead of a visible form: control characters, and characters
/// that override the direction of writing or break a line unexpectedly.
fn acts(character: char) -> bool {
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    character.is_control() || turns
}

/// The text of a file that a person has written. An editor may begin it with a byte order mark, and
/// PowerShell's `>` writes UTF-16 with one.
///
/// # Errors
/// [`NotText`] for any other encoding than these.
pub(crate) fn of_file(bytes: Vec<u8>) -> Result<String, NotText> {
    let utf16 = |read: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes[2..].as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| read(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty()).ok_or(NotText(None))
    };
    match bytes.as_slice() {
        [0xFF, 0xFE, ..] => utf16(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => utf16(u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => {
            String::from_utf8(rest.to_vec()).map_err(|error| NotText(Some(error)))
        }
        _ => String::from_utf8(bytes).map_err(|error| NotText(Some(error))),
    }
}

/// A file is no text, or text in an encoding that nobody can recognise.
#[derive(Debug, thiserror::Error)]
#[error("it is not UTF-8 text: save it as UTF-8")]
pub(crate) struct NotText(#[source] Option<FromUtf8Error>);

/// Text of several lines: line feeds and tabs stay.
pub(crate) fn text(text: &str) -> String {
    text.chars().filter(|character| !acts(*character) || matches!(character, '\n' | '\t')).collect()
}

/// One line of at most `most` characters, without spaces at its ends or two in a row.
pub(crate) fn line(text: &str, most: usize) -> String {
    let spaced: String =
        text.chars().map(|character| if acts(character) { ' ' } else { character }).collect();
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    let mut cut: String = line.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A JSON document with the characters that have an effect escaped; in JSON they can only be inside
/// strings.
pub(crate) fn json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if acts(character) && character != '\n' {
            // All of them are in the basic multilingual plane.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2Jnode\r\n\u{9b}31m one\u{202e}txt.exe\u{7f}";

    #[test]
    fn a_file_is_read_in_every_encoding_that_marks_itself() {
        let text = "app = '示例'\r\n";
        let with_mark = |pair: fn(u16) -> [u8; 2]| {
            let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
            units.flat_map(pair).collect::<Vec<u8>>()
        };
        let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
        let [little, big] = [with_mark(u16::to_le_bytes), with_mark(u16::to_be_bytes)];
        for bytes in [text.as_bytes().to_vec(), marked, little.clone(), big] {
            assert_eq!(of_file(bytes).unwrap(), text);
        }
        let latin = b"name = '\xE9t\xE9'".to_vec();
        let odd = [little.as_slice(), b"x"].concat();
        for bytes in [latin, odd, vec![0xFF, 0xFE, 0x00, 0xD8]] {
            assert!(of_file(bytes).unwrap_err().to_string().contains("save it as UTF-8"));
        }
        assert_eq!(of_file(Vec::new()).unwrap(), "");
    }

    #[test]
    fn nothing_is_left_that_acts() {
        assert_eq!(line(HOSTILE, 60), "]0;owned [2Jnode 31m one txt.exe");
        assert_eq!(text(HOSTILE), "]0;owned[2Jnode\n31m onetxt.exe");
        assert_eq!(text("two\nlines\tand 上海 é"), "two\nlines\tand 上海 é");
        assert_eq!(line(&"上海 ".repeat(100), 5), "上海 上…");
        assert_eq!(line(" Shanghai  1 ", 60), "Shanghai 1");
    }

    #[test]
    fn json_stays_the_same_document() {
        let document = serde_json::json!({ "name": HOSTILE });
        let escaped = json(&document.to_string());
        assert!(!escaped.chars().any(acts));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), document);
    }
}
