//! Decides which part of a file the server sends (RFC 9110, sections 13 and 14). A pure core:
//! headers in, a decision out.
//!
//! The strong ETag is the only validator. It is the content's digest, so it is the same on every
//! node, while a modification time differs between mirrors. A date in `If-Range` therefore never
//! matches, and the server sends the whole file.

use std::ops::Range;

use axum::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use axum::http::{HeaderValue, Method};

/// The part of the file that the server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Portion {
    /// 200 with all bytes.
    Whole,
    /// 206 with these bytes, at least one.
    Part(Range<u64>),
    /// 304: the client has it already.
    NotModified,
    /// 412: the client asks for other content than this.
    OtherContent,
    /// 416: no byte of the file is in the range, or the range is malformed.
    OutOfRange,
}

/// Decides for a file of `length` bytes with the strong, quoted `etag`.
///
/// Several ranges in one request get the whole file, as RFC 9110 (14.2) allows: no download of ours
/// asks so, and overlapping ranges are a known way to overload a server.
pub(super) fn portion(method: &Method, headers: &HeaderMap, etag: &str, length: u64) -> Portion {
    if headers.contains_key(IF_MATCH) && !listed(headers, IF_MATCH, |tag| tag == etag) {
        return Portion::OtherContent;
    }
    if listed(headers, IF_NONE_MATCH, |tag| tag.strip_prefix("W/").unwrap_or(tag) == etag) {
        return Portion::NotModified;
    }
    // Ranges are defined for GET alone.
    let same = headers.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == etag.as_bytes());
    let mut ranges = headers.get_all(RANGE).iter();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) if method == Method::GET && same => requested(range, length),
        _ => Portion::Whole,
    }
}

/// Whether one of the tags in a list header is `*` or satisfies `matches`.
fn listed(headers: &HeaderMap, name: HeaderName, matches: impl Fn(&str) -> bool) -> bool {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).any(|tag| tag == "*" || matches(tag))
}

fn requested(range: &HeaderValue, length: u64) -> Portion {
    let Some((unit, spec)) = range.to_str().ok().and_then(|text| text.split_once('=')) else {
        return Portion::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Portion::Whole;
    }
    match spec.trim().split_once('-').and_then(|(first, last)| bounds(first, last, length)) {
        Some(part) if part.start < part.end => Portion::Part(part),
        _ => Portion::OutOfRange,
    }
}

/// Parses `first-last`, `first-` or `-suffix`, cut to the file; `None` if it is malformed.
fn bounds(first: &str, last: &str, length: u64) -> Option<Range<u64>> {
    if first.is_empty() {
        return Some(length.saturating_sub(number(last)?)..length);
    }
    let first = number(first)?;
    if last.is_empty() {
        return Some(first..length);
    }
    let last = number(last)?;
    (first <= last).then(|| first..length.min(last.saturating_add(1)))
}

/// Parses digits only (`str::parse` would accept a sign). A number too large for 64 bits lies
/// behind the end of every file.
fn number(digits: &str) -> Option<u64> {
    let digits_only = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits_only.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"abc\"";

    fn ask(length: u64, headers: &[(HeaderName, &str)]) -> Portion {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        portion(&Method::GET, &map, ETAG, length)
    }

    #[test]
    fn single_ranges() {
        for (range, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-", 0..100),
            ("bytes=99-", 99..100),
            ("bytes=10-19", 10..20),
            ("bytes=90-1000", 90..100),
            ("bytes=0-99999999999999999999999", 0..100),
            ("bytes=-1", 99..100),
            ("bytes=-1000", 0..100),
            ("bytes= 10-19 ", 10..20),
        ] {
            assert_eq!(ask(100, &[(RANGE, range)]), Portion::Part(expected), "{range}");
        }
    }

    #[test]
    fn ranges_without_a_byte_and_malformed_ones() {
        for range in [
            "100-",
            "100-200",
            "-0",
            "5-2",
            "",
            "-",
            "a-b",
            "1",
            "+1-2",
            "1-2-3",
            "--1",
            "99999999999999999999999-",
        ] {
            assert_eq!(
                ask(100, &[(RANGE, &format!("bytes={range}"))]),
                Portion::OutOfRange,
                "{range}"
            );
        }
        assert_eq!(ask(0, &[(RANGE, "bytes=0-")]), Portion::OutOfRange);
        assert_eq!(ask(0, &[(RANGE, "bytes=-5")]), Portion::OutOfRange);
    }

    #[test]
    fn ranges_that_are_ignored() {
        assert_eq!(ask(100, &[(RANGE, "bytes=0-1,5-6")]), Portion::Whole);
        assert_eq!(ask(100, &[(RANGE, "bytes=0-1"), (RANGE, "bytes=5-6")]), Portion::Whole);
        assert_eq!(ask(100, &[(RANGE, "pieces=0-1")]), Portion::Whole);
        assert_eq!(ask(100, &[(RANGE, "nonsense")]), Portion::Whole);
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-1"))]);
        assert_eq!(portion(&Method::HEAD, &headers, ETAG, 100), Portion::Whole);
    }

    #[test]
    fn if_range_is_compared_strongly() {
        let with = |tag: &str| ask(100, &[(RANGE, "bytes=5-"), (IF_RANGE, tag)]);
        assert_eq!(with(ETAG), Portion::Part(5..100));
        for other in ["\"other\"", "W/\"abc\"", "abc", "Sun, 22 Nov 2026 08:00:00 GMT"] {
            assert_eq!(with(other), Portion::Whole, "{other}");
        }
    }

    #[test]
    fn conditions_come_before_ranges() {
        for tags in [ETAG, "W/\"abc\"", "*", "\"x\", \"abc\""] {
            assert_eq!(
                ask(100, &[(IF_NONE_MATCH, tags), (RANGE, "bytes=0-1")]),
                Portion::NotModified,
                "{tags}"
            );
        }
        assert_eq!(ask(100, &[(IF_NONE_MATCH, "\"x\"")]), Portion::Whole);
        assert_eq!(ask(100, &[(IF_MATCH, ETAG), (RANGE, "bytes=0-1")]), Portion::Part(0..2));
        assert_eq!(ask(100, &[(IF_MATCH, "*")]), Portion::Whole);
        for tags in ["\"x\"", "W/\"abc\"", ""] {
            assert_eq!(ask(100, &[(IF_MATCH, tags)]), Portion::OtherContent, "{tags}");
        }
    }
}
