//! People who have logged in at the reverse proxy before this server: it names them in headers.
//!
//! In: requests with the address that they came from. Out: the same requests, whose headers of a
//! login are a named proxy's or absent; who that is, and what he may do. Never: a login by a header
//! of anybody else, or by one that stands there twice (one of the two may be the client's own); a
//! change that another site asked for, since browsers send the proxy's cookie along by themselves.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Mutex;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName};

use super::error::ServerError;
use super::own_site::is_own_form;
use crate::fleet::{LOGIN, Role, SESSION_SECONDS};
use crate::model::network::Network;
use crate::mutex;
use crate::publish::{LoginRole, LoginSettings};

/// Longest name of a person, bytes.
const LONGEST_NAME: usize = 128;
/// Most groups that are looked at.
const MOST_GROUPS: usize = 1000;
/// People whose last login is remembered at a time.
const MOST_NAMES: usize = 10_000;

/// Whose logins are taken.
#[derive(Debug)]
pub(super) struct ProxyLogins {
    proxies: Vec<Network>,
    user: Option<HeaderName>,
    email: Option<HeaderName>,
    groups: Option<HeaderName>,
    roles: BTreeMap<String, LoginRole>,
    users: BTreeMap<String, LoginRole>,
    /// When each person's login was written into the audit.
    recorded: Mutex<HashMap<String, i64>>,
}

/// A person whom the proxy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProxyLogin {
    /// For the audit.
    pub(super) name: String,
    roles: Vec<Role>,
}

impl ProxyLogin {
    pub(super) fn allows(&self, needed: Role) -> bool {
        self.roles.iter().any(|role| role.allows(needed))
    }
}

/// Headers that name nobody for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnclearLogin {
    #[error(
        "a header of the login stands there twice: the proxy must replace what clients send, not add to it"
    )]
    Twice,
    #[error("the name in the login is not plain text of at most {LONGEST_NAME} bytes")]
    Name,
}

const fn role(role: LoginRole) -> Role {
    match role {
        LoginRole::Read => Role::Read,
        LoginRole::Build => Role::Build,
        LoginRole::Operate => Role::Operate,
    }
}

impl ProxyLogins {
    pub(super) fn new(settings: &LoginSettings) -> Result<Self, ServerError> {
        let header = |name: &String| {
            let named = Some(name).filter(|name| !name.is_empty());
            let parsed = named.map(|name| HeaderName::from_bytes(name.as_bytes())).transpose();
            parsed.map_err(|_| ServerError::LoginHeader(name.clone()))
        };
        Ok(Self {
            proxies: settings.proxies.clone(),
            user: header(&settings.user)?,
            email: header(&settings.email)?,
            groups: header(&settings.groups)?,
            roles: settings.roles.clone(),
            users: settings.users.clone(),
            recorded: Mutex::default(),
        })
    }

    /// Takes the headers of a login out of a request that is not a named proxy's, or that another
    /// site wants something changed by. They are not refused: networks of companies add such headers
    /// on the way out, and their launchers must still get updates.
    pub(super) fn clean(&self, request: &mut Request, connected: Option<IpAddr>) {
        let is_proxy =
            connected.is_some_and(|address| self.proxies.iter().any(|it| it.contains(address)));
        if is_proxy && (request.method().is_safe() || is_own_form(request.headers())) {
            return;
        }
        for name in [&self.user, &self.email, &self.groups].into_iter().flatten() {
            while request.headers_mut().remove(name).is_some() {}
        }
    }

    /// The person in the headers of a request that was cleaned.
    pub(super) fn login(&self, headers: &HeaderMap) -> Result<Option<ProxyLogin>, UnclearLogin> {
        let (email, user) = (single(headers, &self.email)?, single(headers, &self.user)?);
        let groups = single(headers, &self.groups)?.unwrap_or_default();
        let Some(name) = email.or(user) else { return Ok(None) };
        if name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(UnclearLogin::Name);
        }
        let of_groups = groups.split(',').take(MOST_GROUPS).map(str::trim);
        let of_groups = of_groups.filter_map(|group| self.roles.get(group));
        let mut roles: Vec<Role> = Vec::new();
        for found in of_groups.chain(self.users.get(name)) {
            let found = role(*found);
            if !roles.contains(&found) {
                roles.push(found);
            }
        }
        Ok(Some(ProxyLogin { name: format!("{LOGIN}{name}"), roles }))
    }

    /// Whether this person's login is to be written into the audit now: once in the time that a
    /// login with a token lasts.
    pub(super) fn is_new(&self, name: &str, now: i64) -> bool {
        let mut recorded = mutex::lock(&self.recorded);
        recorded.retain(|_, at| (*at..at.saturating_add(SESSION_SECONDS)).contains(&now));
        if recorded.contains_key(name) {
            return false;
        }
        if recorded.len() >= MOST_NAMES {
            recorded.clear();
        }
        recorded.insert(name.to_owned(), now);
        true
    }
}

/// The value of a header that stands there once; `None` if it is absent or empty.
fn single<'a>(
    headers: &'a HeaderMap,
    name: &Option<HeaderName>,
) -> Result<Option<&'a str>, UnclearLogin> {
    let Some(name) = name else { return Ok(None) };
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(UnclearLogin::Twice);
    }
    let value = std::str::from_utf8(value.as_bytes()).map_err(|_| UnclearLogin::Name)?.trim();
    Ok(Some(value).filter(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    const PROXY: &str = "192.0.2.1";

    fn logins() -> ProxyLogins {
        let pairs = |pairs: &[(&str, LoginRole)]| {
            pairs.iter().map(|(name, role)| ((*name).to_owned(), *role)).collect()
        };
        let settings = LoginSettings {
            proxies: vec![PROXY.parse().unwrap()],
            roles: pairs(&[("sre", LoginRole::Operate), ("makers", LoginRole::Build)]),
            users: pairs(&[("ann@example.com", LoginRole::Read)]),
            ..LoginSettings::default()
        };
        ProxyLogins::new(&settings).unwrap()
    }

    fn after(from: &str, method: &str, fields: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        logins().clean(&mut request, Some(from.parse().unwrap()));
        request
    }

    fn login(fields: &[(&str, &str)]) -> Result<Option<ProxyLogin>, UnclearLogin> {
        logins().login(after(PROXY, "GET", fields).headers())
    }

    #[test]
    fn groups_and_names_have_roles() {
        let user = ("X-Forwarded-User", "4711");
        let roles = |groups| {
            let found = login(&[user, ("X-Forwarded-Groups", groups)]).unwrap().unwrap();
            assert_eq!(found.name, "login:4711");
            found.roles
        };
        assert_eq!(roles("sre"), [Role::Operate]);
        assert_eq!(roles("staff, makers,sre,sre"), [Role::Build, Role::Operate]);
        for unknown in ["", "staff", "SRE", "sre;makers", "read", "operate"] {
            assert_eq!(roles(unknown), [], "{unknown}");
        }
        let ann = login(&[user, ("x-forwarded-email", "ann@example.com")]).unwrap().unwrap();
        assert_eq!(
            ann,
            ProxyLogin { name: "login:ann@example.com".into(), roles: vec![Role::Read] }
        );
        assert!(ann.allows(Role::Read) && !ann.allows(Role::Operate));
        assert_eq!(login(&[("X-Forwarded-Groups", "sre")]), Ok(None), "groups are nobody");
        assert_eq!(login(&[("X-Forwarded-User", " ")]), Ok(None));
    }

    #[test]
    fn a_header_that_stands_there_twice_names_nobody() {
        for twice in ["X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups"] {
            let fields = [("X-Forwarded-User", "ben"), (twice, "sre"), (twice, "sre")];
            assert_eq!(login(&fields), Err(UnclearLogin::Twice), "{twice}");
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        for name in [long.as_str(), "a\tb"] {
            assert_eq!(login(&[("X-Forwarded-User", name)]), Err(UnclearLogin::Name));
        }
    }

    #[test]
    fn nobody_else_says_who_he_is() {
        let fields = [("X-Forwarded-User", "ben"), ("X-Forwarded-Groups", "sre")];
        let both = [fields, fields].concat();
        for from in ["192.0.2.2", "127.0.0.1", "::1", "::ffff:192.0.2.2"] {
            let request = after(from, "GET", &both);
            assert!(request.headers().is_empty(), "{from}");
        }
        assert_eq!(after("::ffff:192.0.2.1", "GET", &fields).headers().len(), 2);
    }

    #[test]
    fn another_site_changes_nothing_by_the_cookie_of_the_proxy() {
        let names = |method, site| {
            let fields = [("X-Forwarded-User", "ben"), ("Sec-Fetch-Site", site)];
            logins().login(after(PROXY, method, &fields).headers()).unwrap().is_some()
        };
        assert!(names("POST", "same-origin") && names("GET", "cross-site"));
        for method in ["POST", "DELETE", "PUT"] {
            assert!(!names(method, "cross-site") && !names(method, "same-site"), "{method}");
        }
        assert!(
            !after(
                PROXY,
                "POST",
                &[("X-Forwarded-User", "ben"), ("Origin", "https://evil.example")]
            )
            .headers()
            .contains_key("x-forwarded-user")
        );
    }

    #[test]
    fn a_login_is_written_down_once_in_its_time() {
        let logins = logins();
        let is_new = |name, now| logins.is_new(name, now);
        assert!(is_new("a", 100) && is_new("b", 100) && !is_new("a", 100 + SESSION_SECONDS - 1));
        assert!(is_new("a", 100 + SESSION_SECONDS));
    }
}
