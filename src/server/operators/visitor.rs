//! Who looks at the page: whoever has a cookie, or whom the reverse proxy names.
//!
//! In: the headers of a request that was cleaned. Out: a person and what he may do. Never: a login
//! that is not clear; a cookie whose token has ended.

use axum::http::HeaderMap;

use super::login;
use crate::fleet::{FleetError, Role, Session};
use crate::host;
use crate::server::admission;
use crate::server::fleet::Fleet;

/// Who looks at the page.
pub(super) enum Visitor {
    Stranger,
    Known(Person),
    /// The proxy names somebody who may not look.
    WithoutRole,
}

/// Somebody who may look.
pub(super) struct Person {
    /// For the audit.
    pub(super) name: String,
    /// Whether he may move rollouts.
    pub(super) operates: bool,
    /// Whether the login ends here; one at a proxy ends there.
    pub(super) leaves_here: bool,
}

/// Whom the proxy or the cookie names.
pub(super) async fn visitor(fleet: &Fleet, headers: &HeaderMap) -> Result<Visitor, FleetError> {
    // A login that is not clear is nobody's; the page refuses it before.
    let login = admission::login(fleet, headers).ok().flatten();
    let now = host::now().as_second();
    if let (Some(login), Some(logins)) = (&login, &fleet.proxy_logins)
        && login.allows(Role::Read)
    {
        if logins.is_new(&login.name, now) {
            fleet.store.record_login(&login.name, now).await?;
        }
        let operates = login.allows(Role::Operate);
        let name = login.name.clone();
        return Ok(Visitor::Known(Person { name, operates, leaves_here: false }));
    }
    Ok(match session(fleet, headers).await? {
        Some(session) => {
            let operates = session.role.allows(Role::Operate);
            Visitor::Known(Person { name: session.name, operates, leaves_here: true })
        }
        None if login.is_some() => Visitor::WithoutRole,
        None => Visitor::Stranger,
    })
}

/// Who has logged in, if this server knows the cookie.
async fn session(fleet: &Fleet, headers: &HeaderMap) -> Result<Option<Session>, FleetError> {
    let Some(word) = login::cookie(headers) else { return Ok(None) };
    let session = fleet.store.session(word, host::now().as_second()).await?;
    let session = session.filter(|session| session.role.allows(Role::Read));
    // A login with the word of a file ends when the file gets another one.
    Ok(session.filter(|session| match &session.file {
        Some(file) => fleet.token.as_ref().is_some_and(|token| token.fingerprint() == *file),
        None => true,
    }))
}
