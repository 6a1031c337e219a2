//! Who may see and do what: the token in a request of a program, or the person whom a proxy names.
//!
//! In: the headers of a request, and which role it needs. Out: a refusal, or who it is. Never: an
//! answer that tells a word that was revoked from one that never was; trust in an address, since a
//! proxy makes all of them local, beside those of proxies that the settings name.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};

use super::fleet::Fleet;
use super::proxy_login::ProxyLogin;
use super::refusal::Refusal;
use crate::fleet::{Credential, Role, Token};
use crate::host;

/// Longest word that is looked up, bytes: tokens have 47.
const LONGEST: usize = 256;

/// Refuses a request without a token or a login that allows this.
pub(super) async fn check(fleet: &Fleet, headers: &HeaderMap, needed: Role) -> Result<(), Refusal> {
    who(fleet, headers, needed).await.map(drop)
}

/// The name of the token of a request, or of the person who has logged in at a proxy. Refuses one
/// without either that allows this. A token counts before a login: programs have it.
pub(super) async fn who(
    fleet: &Fleet,
    headers: &HeaderMap,
    needed: Role,
) -> Result<String, Refusal> {
    let found = match bearer(headers) {
        Some(word) => credential(fleet, word).await?,
        None => match login(fleet, headers)? {
            Some(login) if login.allows(needed) => return Ok(login.name),
            Some(login) => return Err(no_role(&login, needed)),
            None => None,
        },
    };
    let (role, name) = match found {
        Some(Found::Valid(Credential::Token(token))) => (token.role, token.name),
        Some(Found::Valid(Credential::File(_))) => (Role::Read, "read-token".to_owned()),
        Some(Found::Ended(_)) | None => {
            return Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "a token is needed: Authorization: Bearer TOKEN",
            ));
        }
    };
    if role.allows(needed) {
        return Ok(name);
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        format!("the token's role is {}, this needs {}", role.word(), needed.word()),
    ))
}

/// The person whom the proxy names.
pub(super) fn login(fleet: &Fleet, headers: &HeaderMap) -> Result<Option<ProxyLogin>, Refusal> {
    let Some(logins) = &fleet.proxy_logins else { return Ok(None) };
    logins.login(headers).map_err(|unclear| {
        Refusal::new(StatusCode::BAD_REQUEST, "unclear_login", unclear.to_string())
    })
}

fn no_role(login: &ProxyLogin, needed: Role) -> Refusal {
    let message = format!("{} does not have the role {} here", login.name, needed.word());
    Refusal::new(StatusCode::FORBIDDEN, "forbidden", message)
}

/// What a word is.
pub(super) enum Found {
    Valid(Credential),
    /// A token that has expired or was revoked.
    Ended(Token),
}

/// What this word is; `None` if it never was a token.
pub(super) async fn credential(fleet: &Fleet, word: &str) -> Result<Option<Found>, Refusal> {
    let word = word.trim();
    if word.is_empty() || word.len() > LONGEST {
        return Ok(None);
    }
    if let Some(token) = fleet.token.as_ref().filter(|token| token.admits(word)) {
        return Ok(Some(Found::Valid(Credential::File(token.fingerprint()))));
    }
    let token = fleet.store.token_of(word).await.map_err(|error| Refusal::internal(&error))?;
    Ok(token.map(|token| {
        if token.is_valid(host::now().as_second()) {
            Found::Valid(Credential::Token(token))
        } else {
            Found::Ended(token)
        }
    }))
}

/// The word in `Authorization: Bearer WORD`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, word) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(word)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;
    use crate::fleet::Place;
    use crate::server::options::FleetOptions;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[tokio::test]
    async fn a_request_needs_a_token_of_its_role() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("read-token");
        let place = Place::Folder(folder.path().join("data"));
        let options = FleetOptions { place, token: Some(file.clone()), login: None };
        let fleet = Fleet::open(&options).await.unwrap();
        let now = host::now().as_second();
        let token = async |name: &str, role: Role, expires: Option<i64>| {
            fleet.store.new_token(&name.parse().unwrap(), role, expires, now).await.unwrap()
        };
        let reader = token("reader", Role::Read, None).await;
        let operator = token("operator", Role::Operate, Some(now + 1000)).await;
        let expired = token("expired", Role::Operate, Some(now - 1)).await;
        let revoked = token("revoked", Role::Operate, None).await;
        fleet.store.revoke_token(&"revoked".parse().unwrap(), now).await.unwrap();
        let own = std::fs::read_to_string(&file).unwrap();
        let status = async |value: &str, needed: Role| {
            let outcome = check(&fleet, &headers(value), needed).await;
            outcome.map_or_else(|refusal| refusal.into_response().status().as_u16(), |()| 200)
        };
        for word in [reader.as_str(), operator.as_str(), own.trim()] {
            assert_eq!(status(&format!("Bearer {word}"), Role::Read).await, 200);
            assert_eq!(status(&format!("bearer  {word}"), Role::Read).await, 200);
            assert_eq!(status(&format!("Basic {word}"), Role::Read).await, 401);
            assert_eq!(status(word, Role::Read).await, 401);
            assert_eq!(status(&format!("Bearer {}", &word[1..]), Role::Read).await, 401);
        }
        assert_eq!(status(&format!("Bearer {operator}"), Role::Operate).await, 200);
        assert_eq!(status(&format!("Bearer {operator}"), Role::Build).await, 403);
        assert_eq!(status(&format!("Bearer {reader}"), Role::Operate).await, 403);
        assert_eq!(status(&format!("Bearer {}", own.trim()), Role::Operate).await, 403);
        for word in [&expired, &revoked, &"x".repeat(5000), &String::new()] {
            assert_eq!(status(&format!("Bearer {word}"), Role::Read).await, 401);
        }
        assert!(check(&fleet, &HeaderMap::new(), Role::Read).await.is_err());
    }
}
