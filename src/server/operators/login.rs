//! Cookies. Pure.
//!
//! In: the headers of a request. Out: the cookie's word, headers of an answer. Never: a cookie that
//! scripts or other sites can use.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderName};

use super::question::PAGE;
use crate::fleet::SESSION_SECONDS;

/// The cookie's name.
const NAME: &str = "kuzflow-fleet";
const FORWARDED_PROTOCOL: HeaderName = HeaderName::from_static("x-forwarded-proto");

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The word in the request's cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).find_map(|value| {
        value.split(';').find_map(|pair| {
            let (name, word) = pair.trim().split_once('=')?;
            (name == NAME).then_some(word)
        })
    })
}

/// `Set-Cookie` for a login with this word.
pub(super) fn set_cookie(word: &str, is_private: bool) -> String {
    header(word, SESSION_SECONDS, is_private)
}

/// `Set-Cookie` that takes the cookie away.
pub(super) fn clear_cookie(is_private: bool) -> String {
    header("", 0, is_private)
}

fn header(word: &str, seconds: i64, is_private: bool) -> String {
    let secure = if is_private { "; Secure" } else { "" };
    format!("{NAME}={word}; Path={PAGE}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// Whether the browser came over TLS. A proxy has it, unless it says otherwise; without a proxy
/// there is none.
pub(super) fn is_private(headers: &HeaderMap, behind_proxy: bool) -> bool {
    behind_proxy && text(headers, FORWARDED_PROTOCOL).is_none_or(|protocol| protocol != "http")
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
    fn a_cookie_is_found_among_others() {
        for (value, word) in [
            ("kuzflow-fleet=abc", Some("abc")),
            ("a=b; kuzflow-fleet=abc; c=d", Some("abc")),
            ("other-kuzflow-fleet=abc", None),
            ("", None),
        ] {
            assert_eq!(cookie(&headers(&[("cookie", value)])), word, "{value}");
        }
    }

    #[test]
    fn a_cookie_is_for_this_page_alone() {
        let private = set_cookie("abc", true);
        let parts = ["Path=/fleet", "HttpOnly", "SameSite=Strict", "Secure", "Max-Age=43200"];
        assert!(parts.iter().all(|part| private.split("; ").any(|it| it == *part)), "{private}");
        assert!(!set_cookie("abc", false).contains("Secure"));
        assert!(
            clear_cookie(true).starts_with("kuzflow-fleet=; ")
                && clear_cookie(true).contains("Max-Age=0")
        );
    }

    #[test]
    fn a_proxy_has_tls_unless_it_says_otherwise_and_nobody_else_says_so() {
        let says = |protocol| headers(&[("x-forwarded-proto", protocol)]);
        assert!(is_private(&says("https"), true) && is_private(&HeaderMap::new(), true));
        assert!(!is_private(&says("http"), true));
        assert!(!is_private(&says("https"), false), "anybody can write this");
    }
}
