//! Pictures of numbers as SVG. Pure.
//!
//! In: numbers. Out: SVG inside a page; its colours are classes of the style sheet. Never: text in a
//! picture, which would shrink with it; a number that only a picture shows.

use std::fmt::Write as _;

use super::view::Series;
use crate::server::html::escaped;

/// Width of a day in a chart, in its own units.
const STEP: usize = 10;

/// The largest sum of a day, at least 1.
pub(super) fn highest(series: &[Series], days: usize) -> i64 {
    let sum = |day: usize| -> i64 {
        series.iter().filter_map(|series| series.installations.get(day)).sum()
    };
    (0..days).map(sum).max().unwrap_or(0).max(1)
}

/// Bars of days, each made of the series. `label` says what the picture shows, `titles` each
/// series, `day_names` each day.
pub(super) fn stacked(
    series: &[Series],
    titles: &[String],
    day_names: &[String],
    label: &str,
) -> String {
    let days = day_names.len();
    let scale = 100.0 / highest(series, days) as f64;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">\n\
         <path class=\"grid\" d=\"M0 0H{width}M0 50H{width}M0 100H{width}\"/>\n",
        days * STEP,
        escaped(label),
        width = days * STEP,
    );
    for (day, name) in day_names.iter().enumerate() {
        let mut top = 100.0;
        for (number, (series, title)) in series.iter().zip(titles).enumerate() {
            let value = series.installations.get(day).copied().unwrap_or(0);
            if value <= 0 {
                continue;
            }
            let height = value as f64 * scale;
            top -= height;
            // Writing into a string does not fail.
            let _ = write!(
                svg,
                "<rect class=\"s{number}\" x=\"{}\" y=\"{top:.2}\" width=\"{}\" height=\"{height:.2}\">\
                 <title>{name} · {} · {value}</title></rect>",
                day * STEP + 1,
                STEP - 2,
                escaped(title),
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// The sign of a series in a legend.
pub(super) fn sign(number: usize) -> String {
    format!(
        "<svg class=\"sign\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"s{number}\" width=\"10\" height=\"10\"/></svg>"
    )
}

/// A bar whose length is a part of a whole.
pub(super) fn bar(part: i64, whole: i64, class: &str) -> String {
    let share = if whole > 0 { 100.0 * part as f64 / whole as f64 } else { 0.0 };
    let share = share.clamp(0.0, 100.0);
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"rest\" width=\"100\" height=\"4\"/><rect class=\"{class}\" width=\"{share:.2}\" height=\"4\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_day_fills_the_picture_and_names_are_text() {
        let series = [
            Series { release: None, installations: vec![10, 30] },
            Series { release: None, installations: vec![0, 10] },
        ];
        let titles = ["<script>".to_owned(), "b\"c".to_owned()];
        let days = ["2026-11-28".to_owned(), "2026-11-29".to_owned()];
        let svg = stacked(&series, &titles, &days, "\"label\"");
        assert_eq!(highest(&series, 2), 40);
        assert_eq!(svg.matches("<rect").count(), 3, "no bar for nothing");
        assert!(svg.contains("y=\"0.00\" width=\"8\" height=\"25.00\""), "{svg}");
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"));
        assert!(svg.contains("aria-label=\"&quot;label&quot;\""));
    }

    #[test]
    fn a_bar_stays_within_its_bounds() {
        for (part, whole, width) in
            [(1, 4, "25.00"), (9, 4, "100.00"), (-1, 4, "0.00"), (1, 0, "0.00")]
        {
            assert!(bar(part, whole, "s0").contains(&format!("class=\"s0\" width=\"{width}\"")));
        }
    }
}
