//! Texts of the publisher's, as the script of an installer has them between double quotes.
//!
//! In: any text. Out: the same, with no sign that NSIS would read as its own. Never: the quotes
//! themselves.
//!
//! NSIS expands `${…}` and `$%…%` even behind `$$`. What comes out of a define is not expanded
//! again, so each `$` is written as a define.

/// A text between double quotes that the installer uses when it runs. Control characters other than
/// ends of lines have no place in a window.
pub(super) fn escaped(text: &str) -> String {
    quoted(text, "${DOLLAR}")
}

/// The same for the version resource, whose texts the compiler takes as they are.
pub(super) fn escaped_for_resource(text: &str) -> String {
    quoted(text, "${DOLLAR_FIXED}")
}

fn quoted(text: &str, dollar: &str) -> String {
    let mut quoted = String::new();
    for character in text.chars() {
        match character {
            '$' => quoted.push_str(dollar),
            '"' => quoted.push_str("$\\\""),
            '\'' => quoted.push_str("$\\'"),
            '\n' => quoted.push_str("$\\r$\\n"),
            '\t' => quoted.push_str("$\\t"),
            other if other.is_control() => {}
            other => quoted.push(other),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_the_publisher_is_read_as_the_language_of_the_script() {
        for (text, expected) in [
            ("plain 示例", "plain 示例"),
            (
                "$INSTDIR ${NSISDIR} $%PATH% $(x) $$",
                concat!(
                    "${DOLLAR}INSTDIR ${DOLLAR}{NSISDIR} ${DOLLAR}%PATH% ${DOLLAR}(x) ",
                    "${DOLLAR}${DOLLAR}"
                ),
            ),
            ("say \"hello\"", "say $\\\"hello$\\\""),
            ("two\r\nlines\t\u{7}", "two$\\r$\\nlines$\\t"),
            ("back\\slash `tick` 'single' ; # !", "back\\slash `tick` $\\'single$\\' ; # !"),
        ] {
            assert_eq!(escaped(text), expected);
        }
        assert_eq!(escaped_for_resource("$1"), "${DOLLAR_FIXED}1");
    }
}
