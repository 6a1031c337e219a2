//! Judges a peer's request before anything is looked up. A pure core: the head of the request goes
//! in, and what it asks for, or a status, comes out.
//!
//! A web page in a browser of this network can make that browser send requests to us, also under a
//! host name of the attacker that leads to our address (DNS rebinding). The page cannot keep the
//! browser from naming a `Host` that is no address, or from adding `Origin`, `Sec-…` or `Referer`.
//! Since no answer carries a CORS header, the page could not read an answer.

use std::net::SocketAddr;
use std::ops::Range;

use hyper::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, ORIGIN, RANGE, REFERER,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, StatusCode, Uri};
use url::Url;

use crate::model::Digest;

/// The version of the protocol.
pub(super) const PROTOCOL: u32 = 1;

/// `http://ADDRESS/kuzflow/1/APP/KIND/DIGEST`.
pub(super) fn address_of(address: SocketAddr, app: &str, kind: &str, digest: &Digest) -> Url {
    let mut url = NOWHERE.clone();
    // Neither can fail for an address of this scheme.
    let _ = url.set_ip_host(address.ip());
    let _ = url.set_port(Some(address.port()));
    url.set_path(&format!("/kuzflow/{PROTOCOL}/{app}/{kind}/{digest}"));
    url
}

#[expect(clippy::expect_used, reason = "a constant that a test parses")]
static NOWHERE: std::sync::LazyLock<Url> =
    std::sync::LazyLock::new(|| Url::parse("http://0.0.0.0/").expect("a constant"));

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PeerRequest {
    /// Which parts of an object are here.
    Have(Digest),
    /// Bytes of an object: this span (its end may lie behind the object's end), or all.
    Content(Digest, Option<Range<u64>>),
}

/// Headers that only a browser or an attacker sends.
const REFUSED: [hyper::header::HeaderName; 6] =
    [ORIGIN, REFERER, COOKIE, AUTHORIZATION, UPGRADE, EXPECT];

/// Judges a request that arrived at the address `here` of this computer.
pub(super) fn judge(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    here: SocketAddr,
    app: &str,
) -> Result<PeerRequest, StatusCode> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let browser = REFUSED.iter().any(|name| headers.contains_key(name))
        || headers.keys().any(|name| name.as_str().starts_with("sec-"));
    if browser {
        return Err(StatusCode::FORBIDDEN);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()?.parse::<SocketAddr>().ok());
    let meant = host.is_some_and(|host| {
        host.ip().to_canonical() == here.ip().to_canonical() && host.port() == here.port()
    });
    if !meant || hosts.next().is_some() || uri.authority().is_some() {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if has_body {
        return Err(StatusCode::BAD_REQUEST);
    }
    let (kind, digest) = parts(uri, app).ok_or(StatusCode::NOT_FOUND)?;
    match kind {
        "have" => Ok(PeerRequest::Have(digest)),
        "content" => Ok(PeerRequest::Content(digest, span(headers)?)),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

/// Reads `/kuzflow/1/app/have/HASH`.
fn parts<'a>(uri: &'a Uri, app: &str) -> Option<(&'a str, Digest)> {
    if uri.query().is_some() {
        return None;
    }
    let rest = uri.path().strip_prefix("/kuzflow/")?;
    let (protocol, rest) = rest.split_once('/')?;
    let (named, rest) = rest.split_once('/')?;
    let (kind, digest) = rest.split_once('/')?;
    let plain = digest.len() == 64
        && digest.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
    (protocol == PROTOCOL.to_string() && named == app && plain)
        .then(|| Some((kind, digest.parse().ok()?)))
        .flatten()
}

/// Reads one span, `bytes=FIRST-LAST`, or none: a launcher asks for nothing else.
fn span(headers: &HeaderMap) -> Result<Option<Range<u64>>, StatusCode> {
    let mut ranges = headers.get_all(RANGE).iter();
    let Some(range) = ranges.next() else { return Ok(None) };
    let read = || {
        let (first, last) = range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| {
            text.bytes()
                .all(|digit| digit.is_ascii_digit())
                .then(|| text.parse::<u64>().ok())
                .flatten()
        };
        let span = number(first)?..number(last)?.checked_add(1)?;
        (span.start < span.end).then_some(span)
    };
    match (read(), ranges.next()) {
        (Some(span), None) => Ok(Some(span)),
        _ => Err(StatusCode::RANGE_NOT_SATISFIABLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderName;

    const HERE: &str = "192.168.1.5:40000";

    fn path(kind: &str) -> String {
        format!("/kuzflow/{PROTOCOL}/sample/{kind}/{}", Digest::of(b"x"))
    }

    fn ask(method: Method, uri: &str, headers: &[(&str, &str)]) -> Result<PeerRequest, StatusCode> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        judge(&method, &uri.parse().unwrap(), &map, HERE.parse().unwrap(), "sample")
    }

    #[test]
    fn what_a_launcher_asks_is_understood() {
        let digest = Digest::of(b"x");
        assert_eq!(
            ask(Method::GET, &path("have"), &[("host", HERE)]),
            Ok(PeerRequest::Have(digest))
        );
        assert_eq!(
            ask(Method::HEAD, &path("content"), &[("host", HERE)]),
            Ok(PeerRequest::Content(digest, None))
        );
        let range = [("host", HERE), ("range", "bytes=5-14")];
        assert_eq!(
            ask(Method::GET, &path("content"), &range),
            Ok(PeerRequest::Content(digest, Some(5..15)))
        );
    }

    #[test]
    fn a_web_page_gets_nothing() {
        for host in [
            "evil.example:40000",
            "localhost:40000",
            "192.168.1.5",
            "192.168.1.5:80",
            "192.168.1.6:40000",
            "",
            "127.0.0.1:40000",
        ] {
            assert_eq!(
                ask(Method::GET, &path("have"), &[("host", host)]),
                Err(StatusCode::MISDIRECTED_REQUEST),
                "{host}"
            );
        }
        assert_eq!(ask(Method::GET, &path("have"), &[]), Err(StatusCode::MISDIRECTED_REQUEST));
        assert_eq!(
            ask(Method::GET, &path("have"), &[("host", HERE), ("host", HERE)]),
            Err(StatusCode::MISDIRECTED_REQUEST)
        );
        let absolute = format!("http://{HERE}{}", path("have"));
        assert_eq!(
            ask(Method::GET, &absolute, &[("host", HERE)]),
            Err(StatusCode::MISDIRECTED_REQUEST)
        );
        for name in [
            "origin",
            "referer",
            "cookie",
            "sec-fetch-site",
            "sec-fetch-mode",
            "sec-ch-ua",
            "authorization",
            "upgrade",
            "expect",
        ] {
            assert_eq!(
                ask(Method::GET, &path("have"), &[("host", HERE), (name, "x")]),
                Err(StatusCode::FORBIDDEN),
                "{name}"
            );
        }
        for method in [Method::POST, Method::OPTIONS, Method::PUT, Method::DELETE, Method::CONNECT]
        {
            assert_eq!(
                ask(method, &path("have"), &[("host", HERE)]),
                Err(StatusCode::METHOD_NOT_ALLOWED)
            );
        }
        assert_eq!(
            ask(Method::GET, &path("have"), &[("host", HERE), ("content-length", "1")]),
            Err(StatusCode::BAD_REQUEST)
        );
    }

    #[test]
    fn nothing_but_digests_has_a_path() {
        let digest = Digest::of(b"x").to_string();
        let base = format!("/kuzflow/{PROTOCOL}");
        let wrong = [
            "/".to_owned(),
            "/kuzflow/".to_owned(),
            format!("{base}/sample/content/"),
            format!("{base}/sample/content/../../etc/passwd"),
            format!("{base}/sample/content/%2e%2e%2fetc%2fpasswd"),
            format!("{base}/sample/content/{digest}/"),
            format!("{base}/sample/content/{digest}?x=1"),
            format!("{base}/sample/content/{}", digest.to_uppercase()),
            format!("{base}/sample/content/{}", &digest[1..]),
            format!("{base}/sample/list/{digest}"),
            format!("{base}/other/content/{digest}"),
            format!("/kuzflow/2/sample/content/{digest}"),
            format!("/{base}/sample/content/{digest}"),
        ];
        for uri in wrong {
            assert_eq!(
                ask(Method::GET, &uri, &[("host", HERE)]),
                Err(StatusCode::NOT_FOUND),
                "{uri}"
            );
        }
    }

    #[test]
    fn only_one_plain_range_is_taken() {
        for range in [
            "bytes=5-",
            "bytes=-5",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "items=0-1",
            "bytes=0-18446744073709551615",
            "bytes=-",
        ] {
            let headers = [("host", HERE), ("range", range)];
            assert_eq!(
                ask(Method::GET, &path("content"), &headers),
                Err(StatusCode::RANGE_NOT_SATISFIABLE),
                "{range}"
            );
        }
        let twice = [("host", HERE), ("range", "bytes=0-1"), ("range", "bytes=0-1")];
        assert_eq!(
            ask(Method::GET, &path("content"), &twice),
            Err(StatusCode::RANGE_NOT_SATISFIABLE)
        );
    }
}
