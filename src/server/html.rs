//! Texts and numbers as pages show them. Pure.
//!
//! In: texts of anybody, numbers. Out: HTML, or text for it. Never: a sign that a browser takes for
//! more than text.

/// Text in HTML, also between double quotes.
pub(super) fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

/// A number in groups of three digits.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that fits, three digits of it.
pub(super) fn size(bytes: i64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut number, mut unit) = (bytes.max(0) as f64, 0);
    while number >= 999.5 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    let digits = match number {
        _ if unit == 0 => 0,
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.digits$} {}", units[unit])
}

/// A part of a whole in percent, one digit behind the point for small parts.
pub(super) fn percent(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return "–".to_owned();
    }
    let share = 100.0 * part as f64 / whole as f64;
    if share == 0.0 || share >= 9.95 { format!("{share:.0} %") } else { format!("{share:.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")]
        {
            assert_eq!(grouped(number), text);
        }
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_600, "1.00 MB"),
            (123_456_789, "123 MB"),
            (-5, "0 B"),
            (i64::MAX, "9223 PB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!((percent(1, 3).as_str(), percent(1, 200).as_str()), ("33 %", "0.5 %"));
        assert_eq!((percent(0, 7).as_str(), percent(1, 0).as_str()), ("0 %", "–"));
    }

    #[test]
    fn nothing_ends_a_text_or_an_attribute() {
        assert_eq!(escaped("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
    }
}
