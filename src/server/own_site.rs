//! Whether a request came from this server's own page. Pure.
//!
//! In: the headers of a request. Out: yes or no. Never: a change that another site asked for in the
//! name of somebody whose browser was there.

use axum::http::HeaderMap;
use axum::http::header::{HOST, HeaderName, ORIGIN};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Whether a form was sent by this page. Browsers say where a form came from; the cookie's
/// `SameSite` is the other half of it.
pub(super) fn is_own_form(headers: &HeaderMap) -> bool {
    if let Some(site) = text(headers, FETCH_SITE) {
        return site == "same-origin";
    }
    // Without TLS browsers name the origin alone; programs name nothing.
    let Some(origin) = text(headers, ORIGIN) else { return true };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(headers, HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn forms_of_other_sites_are_not_taken() {
        let site = |site| headers(&[("sec-fetch-site", site), ("host", "a.example")]);
        assert!(is_own_form(&site("same-origin")));
        for other in ["cross-site", "same-site", "none", ""] {
            assert!(!is_own_form(&site(other)), "{other}");
        }
        let origin = |origin| headers(&[("origin", origin), ("host", "a.example:8080")]);
        assert!(is_own_form(&origin("http://a.example:8080")) && is_own_form(&HeaderMap::new()));
        for other in ["http://a.example", "https://evil.example", "null", ""] {
            assert!(!is_own_form(&origin(other)), "{other}");
        }
    }
}
