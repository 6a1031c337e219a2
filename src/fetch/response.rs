//! Judges the head of an answer to a Range request: is this the span that was asked for, of the object that metadata names?

use std::ops::Range;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, RETRY_AFTER};

use crate::model::transfer::FaultKind;

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unfit {
    /// Its kind.
    pub kind: FaultKind,
    /// In English, for the log.
    pub detail: String,
    /// Whether asking again makes no sense.
    pub lasting: bool,
    /// Seconds after which the node wants to be asked again.
    pub retry_after: Option<f64>,
}

/// Bytes of a whole-object answer that may be read and thrown away to reach the span that was asked for; more than this costs
/// more than leaving the node.
const CHEAP_SKIP: u64 = 256 << 10;

/// How many bytes of the body to skip before the span begins: 0 for a proper 206, the span's start where the node sent the
/// whole object and that is cheap or `whole_allowed`.
pub(super) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    body_length: Option<u64>,
    span: &Range<u64>,
    object_length: u64,
    whole_allowed: bool,
) -> Result<u64, Unfit> {
    let unfit = |kind, detail: String, lasting| Err(Unfit { kind, detail, lasting, retry_after: None });
    let encoding = headers.get(CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    if let Some(encoding) = encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("identity") && status.is_success()) {
        return unfit(FaultKind::IgnoredRange, format!("answered with Content-Encoding {encoding}"), true);
    }
    match status {
        StatusCode::PARTIAL_CONTENT => match content_range(headers) {
            None => unfit(FaultKind::IgnoredRange, "answered 206 without a readable Content-Range".to_owned(), true),
            Some((_, Some(length))) if length != object_length => {
                unfit(FaultKind::DifferentFile, format!("its file has {length} bytes in place of {object_length}"), true)
            }
            Some((got, _)) if got != *span => {
                let detail = format!("answered with bytes {}-{} in place of {}-{}", got.start, got.end, span.start, span.end);
                unfit(FaultKind::DifferentFile, detail, true)
            }
            Some(_) => Ok(0),
        },
        StatusCode::OK => match body_length {
            Some(length) if length != object_length => {
                unfit(FaultKind::DifferentFile, format!("its file has {length} bytes in place of {object_length}"), true)
            }
            Some(_) if span.start <= CHEAP_SKIP || whole_allowed => Ok(span.start),
            Some(_) => unfit(FaultKind::IgnoredRange, "sent the whole file in place of a range".to_owned(), false),
            None => unfit(FaultKind::IgnoredRange, "sent a whole document of unknown length".to_owned(), true),
        },
        StatusCode::RANGE_NOT_SATISFIABLE => {
            unfit(FaultKind::DifferentFile, "says that the range is not in its file (status 416)".to_owned(), true)
        }
        status => {
            // What a client may mend by waiting: time-outs, rate limits, anything that is the server's own trouble.
            let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
            let retry_after = retry_after(headers);
            let detail = format!("answered with status {}", status.as_u16());
            Err(Unfit { kind: FaultKind::Refused, detail, lasting: !passing, retry_after })
        }
    }
}

/// Seconds after which a node that refuses for now wants to be asked again, if it says so in seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<f64> {
    headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok())
}

/// The entity tag, for noticing that a node's file changed midway.
pub(super) fn entity_tag(headers: &HeaderMap) -> Option<String> {
    Some(String::from_utf8_lossy(headers.get(ETAG)?.as_bytes()).into_owned())
}

/// `bytes 0-9/100` as the span and the object's length; `None` for the length if the node does not say it.
fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    let (span, length) = text.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let length = match length.trim() {
        "*" => None,
        digits => Some(digits.parse().ok()?),
    };
    Some((first..last.checked_add(1)?, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderName;

    fn answer(
        status: u16,
        headers: &[(HeaderName, &str)],
        body_length: Option<u64>,
        start: u64,
        whole: bool,
    ) -> Result<u64, Unfit> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        judge(StatusCode::from_u16(status).unwrap(), &headers, body_length, &(start..start + 10), 1_000_000, whole)
    }

    fn kind(answer: Result<u64, Unfit>) -> (FaultKind, bool) {
        let unfit = answer.unwrap_err();
        (unfit.kind, unfit.lasting)
    }

    #[test]
    fn only_the_span_asked_for_is_accepted() {
        assert_eq!(answer(206, &[(CONTENT_RANGE, "bytes 5-14/1000000")], Some(10), 5, false), Ok(0));
        assert_eq!(answer(206, &[(CONTENT_RANGE, "bytes 5-14/*")], Some(10), 5, false), Ok(0));
        for wrong in ["bytes 6-15/1000000", "bytes 5-13/1000000", "bytes 5-14/999999"] {
            assert_eq!(
                kind(answer(206, &[(CONTENT_RANGE, wrong)], Some(10), 5, false)),
                (FaultKind::DifferentFile, true),
                "{wrong}"
            );
        }
        for wrong in ["bytes */1000000", "5-14/1000000", "bytes 5-18446744073709551615/1000000", ""] {
            assert_eq!(
                kind(answer(206, &[(CONTENT_RANGE, wrong)], Some(10), 5, false)),
                (FaultKind::IgnoredRange, true),
                "{wrong}"
            );
        }
        assert_eq!(kind(answer(206, &[], Some(10), 5, false)), (FaultKind::IgnoredRange, true));
    }

    #[test]
    fn a_whole_file_is_used_where_it_is_cheap() {
        assert_eq!(answer(200, &[], Some(1_000_000), 5, false), Ok(5));
        assert_eq!(kind(answer(200, &[], Some(1_000_000), 900_000, false)), (FaultKind::IgnoredRange, false));
        assert_eq!(answer(200, &[], Some(1_000_000), 900_000, true), Ok(900_000));
        assert_eq!(kind(answer(200, &[], Some(512), 5, true)), (FaultKind::DifferentFile, true));
        assert_eq!(kind(answer(200, &[], None, 5, true)), (FaultKind::IgnoredRange, true));
    }

    #[test]
    fn encodings_and_errors() {
        let gzip = [(CONTENT_ENCODING, "gzip"), (CONTENT_RANGE, "bytes 5-14/1000000")];
        assert_eq!(kind(answer(206, &gzip, Some(10), 5, false)), (FaultKind::IgnoredRange, true));
        assert_eq!(kind(answer(416, &[], None, 5, false)), (FaultKind::DifferentFile, true));
        assert_eq!(kind(answer(404, &[], None, 5, false)), (FaultKind::Refused, true));
        assert_eq!(answer(503, &[(RETRY_AFTER, "7")], None, 5, false).unwrap_err().retry_after, Some(7.0));
        assert_eq!(kind(answer(503, &[], None, 5, false)), (FaultKind::Refused, false));
    }
}
