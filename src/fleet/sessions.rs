//! Logins of people with a browser: a token is shown once, and a cookie stands for it afterwards.
//!
//! In: tokens that were accepted, words of cookies. Out: a cookie's word once; whose it is. Never: a
//! login that outlives its token, or twelve hours; a cookie's word at rest.

use super::audit::{Deed, append};
use super::database::on;
use super::error::FleetError;
use super::secret;
use super::store::Store;
use super::tokens::{Role, Token};

/// How long a login lasts, seconds.
pub(crate) const SESSION_SECONDS: i64 = 12 * 60 * 60;
/// What people log in to, in the audit.
const PAGE: &str = "page";

/// By what somebody has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A token of the store.
    Token(Token),
    /// A server's own word, which stands in a file; its digest.
    File(String),
}

impl Credential {
    /// What the audit calls it.
    fn name(&self) -> &str {
        match self {
            Self::Token(token) => &token.name,
            Self::File(_) => "read-token",
        }
    }

    /// What the row of a login refers to. An id of a token has no colon.
    fn reference(&self) -> String {
        match self {
            Self::Token(token) => token.id.clone(),
            Self::File(digest) => format!("file:{digest}"),
        }
    }
}

/// Who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The token's name.
    pub name: String,
    pub role: Role,
    /// The digest of the server's own word, if it was that.
    pub file: Option<String>,
}

impl Store {
    /// Begins a login and returns the cookie's word.
    pub(crate) async fn log_in(
        &self,
        credential: &Credential,
        now: i64,
    ) -> Result<String, FleetError> {
        let failed = || FleetError::database("write the login");
        let word = secret::word("")?;
        on!(&self.database, pool, Kind => {
            let mut transaction = pool.begin().await.map_err(failed())?;
            append!(transaction, (now, credential.name(), Deed::Login, PAGE));
            sqlx::query("INSERT INTO sessions (hash, token, name, expires) VALUES ($1, $2, $3, $4)")
                .bind(secret::digest(&word))
                .bind(credential.reference())
                .bind(credential.name())
                .bind(now + SESSION_SECONDS)
                .execute(&mut *transaction)
                .await
                .map_err(failed())?;
            transaction.commit().await.map_err(failed())?;
        });
        Ok(word)
    }

    /// Writes down that somebody came who has logged in elsewhere.
    pub(crate) async fn record_login(&self, name: &str, now: i64) -> Result<(), FleetError> {
        self.record((now, name, Deed::Login, PAGE)).await
    }

    /// Writes down that somebody tried to log in with a token that was valid once. Strangers' words
    /// are not written down: they would fill the disk.
    pub(crate) async fn refuse_login(&self, token: &Token, now: i64) -> Result<(), FleetError> {
        self.record((now, &token.name, Deed::LoginRefused, PAGE)).await
    }

    /// Who has the cookie with this word.
    pub(crate) async fn session(
        &self,
        word: &str,
        now: i64,
    ) -> Result<Option<Session>, FleetError> {
        let row = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, (String, String, String)>(
                "SELECT sessions.token, sessions.name, COALESCE(tokens.role, '') AS role FROM sessions \
                 LEFT JOIN tokens ON tokens.id = sessions.token WHERE sessions.hash = $1 AND sessions.expires > $2 \
                 AND (tokens.id IS NULL OR (tokens.revoked = 0 AND (tokens.expires = 0 OR tokens.expires > $2)))",
            )
            .bind(secret::digest(word))
            .bind(now)
            .fetch_optional(pool)
            .await
        });
        let row = row.map_err(FleetError::database("read the logins"))?;
        Ok(row.and_then(|(token, name, role)| match token.strip_prefix("file:") {
            Some(digest) => Some(Session { name, role: Role::Read, file: Some(digest.to_owned()) }),
            None => Some(Session { name, role: role.parse().ok()?, file: None }),
        }))
    }

    /// Ends a login.
    pub(crate) async fn log_out(&self, word: &str, now: i64) -> Result<(), FleetError> {
        let failed = || FleetError::database("end the login");
        let Some(session) = self.session(word, now).await? else { return Ok(()) };
        on!(&self.database, pool, Kind => {
            let mut transaction = pool.begin().await.map_err(failed())?;
            append!(transaction, (now, session.name.as_str(), Deed::Logout, PAGE));
            sqlx::query("DELETE FROM sessions WHERE hash = $1")
                .bind(secret::digest(word))
                .execute(&mut *transaction)
                .await
                .map(drop)
                .map_err(failed())?;
            transaction.commit().await.map_err(failed())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture::each;

    const NOW: i64 = 1_796_000_000;

    #[tokio::test]
    async fn a_login_ends_by_itself_by_its_token_and_by_logging_out() {
        each(async |store| {
            let name = "alice".parse().unwrap();
            let word = store.new_token(&name, Role::Operate, None, NOW).await.unwrap();
            let token = store.token_of(&word).await.unwrap().unwrap();
            let credential = Credential::Token(token.clone());
            let [one, two, three] = [
                store.log_in(&credential, NOW).await.unwrap(),
                store.log_in(&credential, NOW).await.unwrap(),
                store.log_in(&Credential::File("abc".to_owned()), NOW).await.unwrap(),
            ];
            let who = async |word: &str, now: i64| store.session(word, now).await.unwrap();
            let alice = Session { name: "alice".to_owned(), role: Role::Operate, file: None };
            assert_eq!(who(&one, NOW + SESSION_SECONDS - 1).await, Some(alice));
            assert_eq!(who(&one, NOW + SESSION_SECONDS).await, None);
            assert_eq!(who(&word, NOW).await, None, "a token is no cookie");
            store.log_out(&one, NOW).await.unwrap();
            store.log_out(&one, NOW).await.unwrap();
            assert!(who(&one, NOW).await.is_none() && who(&two, NOW).await.is_some());
            store.revoke_token(&name, NOW).await.unwrap();
            assert_eq!(who(&two, NOW).await, None);
            let file = who(&three, NOW).await.unwrap();
            assert_eq!((file.role, file.file.as_deref()), (Role::Read, Some("abc")));
            store.refuse_login(&token, NOW).await.unwrap();
            let audit = store.audit().await.unwrap();
            let deeds: Vec<&str> = audit.entries.iter().map(|entry| entry.what.as_str()).collect();
            let expected = [
                "token_new",
                "login",
                "login",
                "login",
                "logout",
                "token_revoked",
                "login_refused",
            ];
            assert_eq!(deeds, expected);
            assert_eq!(audit.verify(None), Ok(()));
        })
        .await;
    }

    #[tokio::test]
    async fn a_login_ends_with_its_token() {
        each(async |store| {
            let end = Some(NOW + 60);
            let word = store.new_token(&"b".parse().unwrap(), Role::Read, end, NOW).await.unwrap();
            let token = store.token_of(&word).await.unwrap().unwrap();
            let cookie = store.log_in(&Credential::Token(token), NOW).await.unwrap();
            assert!(store.session(&cookie, NOW + 59).await.unwrap().is_some());
            assert!(store.session(&cookie, NOW + 60).await.unwrap().is_none());
        })
        .await;
    }
}
