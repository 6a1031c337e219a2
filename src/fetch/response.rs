//! Checks the head of an answer to a range request: is this the requested span, of the object that
//! metadata names?

use std::ops::Range;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_RANGE, HeaderMap, RETRY_AFTER};

use crate::model::transfer::FaultKind;

/// Why an answer is refused.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unfit {
    pub kind: FaultKind,
    /// In English, for the log.
    pub detail: String,
    /// Whether asking again is unlikely to help.
    pub lasting: bool,
    /// Seconds after which the node wants to be asked again.
    pub retry_after: Option<f64>,
}

/// Bytes of a whole-object answer that may be read and thrown away to reach the requested span.
/// Reading more costs more than leaving the node.
const CHEAP_SKIP: u64 = 256 << 10;

/// An answer that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// Bytes of the body to pass over before the span begins. It is 0 for a proper 206. It is the
    /// span's start where the node sends the whole object and that is cheap or allowed.
    pub skip: u64,
    /// The byte that the answer ends before: a node may send less than was requested.
    pub end: u64,
}

/// Checks an answer to the request for `span`. A different validator (`ETag`, `Last-Modified`) does
/// not matter: several servers behind one name have their own, and the hash proves the bytes. A
/// length that the node does not name does not matter either.
pub(super) fn judge(
    status: StatusCode,
    headers: &HeaderMap,
    body_length: Option<u64>,
    span: &Range<u64>,
    object_length: u64,
    whole_allowed: bool,
) -> Result<Fit, Unfit> {
    let encoding = headers
        .get(CONTENT_ENCODING)
        .map(|value| value.to_str().unwrap_or("that cannot be read").to_owned())
        .filter(|encoding| !encoding.eq_ignore_ascii_case("identity") && status.is_success());
    if let Some(encoding) = encoding {
        let detail = format!("answered with Content-Encoding {encoding}");
        return Err(unfit(FaultKind::IgnoredRange, detail, true));
    }
    match status {
        StatusCode::PARTIAL_CONTENT => judge_part(headers, span, object_length),
        StatusCode::OK => judge_whole(body_length, span, object_length, whole_allowed),
        status => Err(refusal(status, headers)),
    }
}

const fn unfit(kind: FaultKind, detail: String, lasting: bool) -> Unfit {
    Unfit { kind, detail, lasting, retry_after: None }
}

/// Checks an answer with a part of the object.
fn judge_part(headers: &HeaderMap, span: &Range<u64>, object_length: u64) -> Result<Fit, Unfit> {
    match content_range(headers) {
        None => {
            let detail = "answered 206 without a readable Content-Range".to_owned();
            Err(unfit(FaultKind::IgnoredRange, detail, true))
        }
        Some((_, Some(length))) if length != object_length => {
            Err(different_length(length, object_length))
        }
        Some((got, _)) if got.start != span.start || got.end > span.end || got.is_empty() => {
            let detail = format!(
                "answered with bytes {}-{} in place of {}-{}",
                got.start, got.end, span.start, span.end
            );
            Err(unfit(FaultKind::DifferentFile, detail, true))
        }
        Some((got, _)) => Ok(Fit { skip: 0, end: got.end }),
    }
}

/// Checks an answer with the whole object.
fn judge_whole(
    body_length: Option<u64>,
    span: &Range<u64>,
    object_length: u64,
    whole_allowed: bool,
) -> Result<Fit, Unfit> {
    match body_length {
        Some(length) if length != object_length => Err(different_length(length, object_length)),
        _ if span.start <= CHEAP_SKIP || whole_allowed => {
            Ok(Fit { skip: span.start, end: span.end })
        }
        _ => {
            let detail = "sent the whole file in place of a range".to_owned();
            Err(unfit(FaultKind::IgnoredRange, detail, false))
        }
    }
}

fn different_length(length: u64, object_length: u64) -> Unfit {
    let detail = format!("its file has {length} bytes in place of {object_length}");
    unfit(FaultKind::DifferentFile, detail, true)
}

/// What an answer without bytes of the object means.
fn refusal(status: StatusCode, headers: &HeaderMap) -> Unfit {
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        let detail = "says that the range is not in its file (status 416)".to_owned();
        return unfit(FaultKind::DifferentFile, detail, true);
    }
    // Faults that a client may cure by waiting: timeouts, rate limits, all of the server's own
    // trouble.
    let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    let detail = format!("answered with status {}", status.as_u16());
    Unfit { retry_after: retry_after(headers), ..unfit(FaultKind::Refused, detail, !passing) }
}

/// Seconds after which a node that refuses for now wants to be asked again, if it gives seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<f64> {
    headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok())
}

/// Reads `bytes 0-9/100` as the span and the object's length; `None` for the length if the node
/// does not give it.
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
    ) -> Result<Fit, Unfit> {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        judge(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            body_length,
            &(start..start + 10),
            1_000_000,
            whole,
        )
    }

    fn whole(skip: u64) -> Result<Fit, Unfit> {
        Ok(Fit { skip, end: skip + 10 })
    }

    fn kind(answer: Result<Fit, Unfit>) -> (FaultKind, bool) {
        let unfit = answer.unwrap_err();
        (unfit.kind, unfit.lasting)
    }

    #[test]
    fn only_the_span_asked_for_is_accepted() {
        let all = Ok(Fit { skip: 0, end: 15 });
        assert_eq!(answer(206, &[(CONTENT_RANGE, "bytes 5-14/1000000")], Some(10), 5, false), all);
        assert_eq!(answer(206, &[(CONTENT_RANGE, "bytes 5-14/*")], Some(10), 5, false), all);
        let part = Ok(Fit { skip: 0, end: 14 });
        assert_eq!(
            answer(206, &[(CONTENT_RANGE, "bytes 5-13/1000000")], Some(9), 5, false),
            part,
            "less than was asked for"
        );
        for wrong in
            ["bytes 6-15/1000000", "bytes 5-15/1000000", "bytes 5-4/1000000", "bytes 5-14/999999"]
        {
            assert_eq!(
                kind(answer(206, &[(CONTENT_RANGE, wrong)], Some(10), 5, false)),
                (FaultKind::DifferentFile, true),
                "{wrong}"
            );
        }
        for wrong in ["bytes */1000000", "5-14/1000000", "bytes 5-18446744073709551615/1000000", ""]
        {
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
        assert_eq!(answer(200, &[], Some(1_000_000), 5, false), whole(5));
        assert_eq!(
            kind(answer(200, &[], Some(1_000_000), 900_000, false)),
            (FaultKind::IgnoredRange, false)
        );
        assert_eq!(answer(200, &[], Some(1_000_000), 900_000, true), whole(900_000));
        assert_eq!(kind(answer(200, &[], Some(512), 5, true)), (FaultKind::DifferentFile, true));
        assert_eq!(answer(200, &[], None, 5, false), whole(5), "of unknown length");
        assert_eq!(answer(200, &[], None, 900_000, true), whole(900_000));
        assert_eq!(kind(answer(200, &[], None, 900_000, false)), (FaultKind::IgnoredRange, false));
    }

    #[test]
    fn encodings_and_errors() {
        let gzip = [(CONTENT_ENCODING, "gzip"), (CONTENT_RANGE, "bytes 5-14/1000000")];
        assert_eq!(kind(answer(206, &gzip, Some(10), 5, false)), (FaultKind::IgnoredRange, true));
        assert_eq!(kind(answer(416, &[], None, 5, false)), (FaultKind::DifferentFile, true));
        assert_eq!(kind(answer(404, &[], None, 5, false)), (FaultKind::Refused, true));
        assert_eq!(
            answer(503, &[(RETRY_AFTER, "7")], None, 5, false).unwrap_err().retry_after,
            Some(7.0)
        );
        assert_eq!(kind(answer(503, &[], None, 5, false)), (FaultKind::Refused, false));
    }
}
