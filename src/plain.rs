//! Makes text from outside (nodes, servers, peers, files) safe for a terminal, a log and a window.
//! Ground floor.
//!
//! In: any text. Out: the same text without characters that move the cursor, change colours or
//! titles, or turn the direction of the text after them. Never: judges what the text says.

use std::fmt::Write as _;

/// Whether a character has an effect instead of a visible form: control characters, and characters
/// that override the direction of writing or break a line unexpectedly.
fn acts(character: char) -> bool {
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    character.is_control() || turns
}

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
