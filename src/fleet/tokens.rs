//! Tokens: who may see and do what.
//!
//! In: names and roles from the terminal, words from requests. Out: a word once, when it is made; the
//! token that a word belongs to. Never: a word at rest; a token that was revoked or has expired and
//! still counts.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::audit::{Deed, append};
use super::database::on;
use super::error::FleetError;
use super::secret;
use super::store::Store;
use crate::model::report::RandomId;

/// Longest name of a token, bytes.
const LONGEST_NAME: usize = 64;
/// What stands before the name of a person who has logged in elsewhere, in the audit.
pub(crate) const LOGIN: &str = "login:";
/// Who works on the database itself, in the audit.
const TERMINAL: &str = "terminal";

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Numbers.
    Read,
    /// Numbers, and what builds.
    Build,
    /// Numbers, and what steers.
    Operate,
}

/// A word that is no [`Role`].
#[derive(Debug, thiserror::Error)]
#[error("not a role: {0:?}, expected read, build or operate")]
pub(crate) struct InvalidRole(String);

impl Role {
    /// The words of all roles.
    pub(crate) const WORDS: [&'static str; 3] = ["read", "build", "operate"];

    /// The word in the store and on the command line.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Build => "build",
            Self::Operate => "operate",
        }
    }

    /// Whether this role may do what `needed` may. Everybody with a role may read; who builds does
    /// not steer, and who steers does not build.
    pub(crate) fn allows(self, needed: Self) -> bool {
        needed == Self::Read || self == needed
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(word: &str) -> Result<Self, InvalidRole> {
        let roles = [Self::Read, Self::Build, Self::Operate];
        let role = roles.into_iter().find(|role| role.word() == word);
        role.ok_or_else(|| InvalidRole(word.chars().take(LONGEST_NAME).collect()))
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// The name of a token: whose it is, or what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenName(String);

/// Text that is no [`TokenName`].
#[derive(Debug, thiserror::Error)]
#[error(
    "not a name of a token: {0:?}, expected 1 to {LONGEST_NAME} bytes without control signs, and not {LOGIN} at the beginning"
)]
pub(crate) struct InvalidTokenName(String);

impl FromStr for TokenName {
    type Err = InvalidTokenName;

    fn from_str(text: &str) -> Result<Self, InvalidTokenName> {
        let is_name = !text.is_empty()
            && text.len() <= LONGEST_NAME
            && text == text.trim()
            && !text.starts_with(LOGIN)
            && !text.chars().any(char::is_control);
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTokenName(text.chars().take(LONGEST_NAME).collect()))
        }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Token {
    #[serde(skip)]
    pub(super) id: String,
    pub name: String,
    pub role: Role,
    /// Seconds since 1970, as the times below.
    pub created: i64,
    /// `None` if it has no end.
    pub expires: Option<i64>,
    /// `None` if it is in use.
    pub revoked: Option<i64>,
}

/// A row of `tokens` without the digest.
type Row = (String, String, String, i64, i64, i64);

impl Token {
    fn from_row((id, name, role, created, expires, revoked): Row) -> Option<Self> {
        let time = |time: i64| Some(time).filter(|time| *time != 0);
        // A role of a newer program allows nothing here.
        let role = role.parse().ok()?;
        Some(Self { id, name, role, created, expires: time(expires), revoked: time(revoked) })
    }

    /// Whether it counts at `now`.
    pub(crate) fn is_valid(&self, now: i64) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}

impl Store {
    /// Makes a token and returns its word, which nobody can read again.
    ///
    /// # Errors
    /// [`FleetError::TokenExists`] if a token that is not revoked has this name.
    pub(crate) async fn new_token(
        &self,
        name: &TokenName,
        role: Role,
        expires: Option<i64>,
        now: i64,
    ) -> Result<String, FleetError> {
        let failed = || FleetError::database("write the token");
        let word = secret::word(secret::TOKEN)?;
        let id = RandomId::new(u128::from_be_bytes(secret::random()?)).to_string();
        let subject = format!("{name} ({})", role.word());
        on!(&self.database, pool, Kind => {
            let mut transaction = pool.begin().await.map_err(failed())?;
            append!(transaction, (now, TERMINAL, Deed::NewToken, subject.as_str()));
            let inserted = sqlx::query(
                "INSERT INTO tokens (id, name, hash, role, created, expires, revoked) VALUES ($1, $2, $3, $4, $5, $6, 0)",
            )
            .bind(id)
            .bind(name.0.as_str())
            .bind(secret::digest(&word))
            .bind(role.word())
            .bind(now)
            .bind(expires.unwrap_or(0))
            .execute(&mut *transaction)
            .await;
            match inserted {
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                    return Err(FleetError::TokenExists(name.0.clone()));
                }
                inserted => inserted.map(drop).map_err(failed())?,
            }
            transaction.commit().await.map_err(failed())?;
        });
        Ok(word)
    }

    /// All tokens, also those that were revoked, by their age.
    pub(crate) async fn tokens(&self) -> Result<Vec<Token>, FleetError> {
        let rows = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, Row>(
                "SELECT id, name, role, created, expires, revoked FROM tokens ORDER BY created, id",
            )
            .fetch_all(pool)
            .await
        });
        let rows = rows.map_err(FleetError::database("read the tokens"))?;
        Ok(rows.into_iter().filter_map(Token::from_row).collect())
    }

    /// Revokes the token of this name, and so ends the logins with it. Returns whether it was in use
    /// until now.
    ///
    /// # Errors
    /// [`FleetError::NoSuchToken`] if there never was one.
    pub(crate) async fn revoke_token(
        &self,
        name: &TokenName,
        now: i64,
    ) -> Result<bool, FleetError> {
        let failed = || FleetError::database("revoke the token");
        on!(&self.database, pool, Kind => {
            let mut transaction = pool.begin().await.map_err(failed())?;
            append!(transaction, (now, TERMINAL, Deed::RevokedToken, name.0.as_str()));
            let revoked = sqlx::query("UPDATE tokens SET revoked = $1 WHERE name = $2 AND revoked = 0")
                .bind(now)
                .bind(name.0.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(failed())?
                .rows_affected();
            if revoked > 0 {
                transaction.commit().await.map_err(failed())?;
                return Ok(true);
            }
            transaction.rollback().await.map_err(failed())?;
        });
        let was_there = self.tokens().await?.iter().any(|token| token.name == name.0);
        if was_there { Ok(false) } else { Err(FleetError::NoSuchToken(name.0.clone())) }
    }

    /// The token of this word, whether it still counts or not.
    pub(crate) async fn token_of(&self, word: &str) -> Result<Option<Token>, FleetError> {
        let row = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, Row>(
                "SELECT id, name, role, created, expires, revoked FROM tokens WHERE hash = $1",
            )
            .bind(secret::digest(word))
            .fetch_optional(pool)
            .await
        });
        Ok(row.map_err(FleetError::database("read the tokens"))?.and_then(Token::from_row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture::each;

    const NOW: i64 = 1_796_000_000;

    fn name(text: &str) -> TokenName {
        text.parse().unwrap()
    }

    #[test]
    fn a_role_allows_itself_and_reading() {
        use Role::{Build, Operate, Read};
        for role in [Read, Build, Operate] {
            assert!(role.allows(Read) && role.allows(role));
            assert_eq!(role.word().parse::<Role>().unwrap(), role);
            assert!(Role::WORDS.contains(&role.word()));
        }
        for (role, needed) in [(Read, Build), (Read, Operate), (Build, Operate), (Operate, Build)] {
            assert!(!role.allows(needed), "{role:?} {needed:?}");
        }
        assert!("admin".parse::<Role>().is_err());
    }

    #[test]
    fn names_are_short_and_plain() {
        let long = "x".repeat(65);
        for wrong in ["", " a", "a ", "a\nb", "\u{1b}[2J", long.as_str()] {
            assert!(wrong.parse::<TokenName>().is_err(), "{wrong:?}");
        }
        assert_eq!(name("Prometheus in Frankfurt").to_string(), "Prometheus in Frankfurt");
    }

    #[tokio::test]
    async fn a_token_counts_until_it_expires_or_is_revoked() {
        each(async |store| {
            let endless = store.new_token(&name("a"), Role::Read, None, NOW).await.unwrap();
            let short =
                store.new_token(&name("b"), Role::Operate, Some(NOW + 100), NOW).await.unwrap();
            let counts = async |word: &str, now: i64| {
                store.token_of(word).await.unwrap().is_some_and(|token| token.is_valid(now))
            };
            assert!(counts(&endless, NOW + 1_000_000).await);
            assert!(counts(&short, NOW + 99).await && !counts(&short, NOW + 100).await);
            assert_eq!(store.token_of(&short).await.unwrap().unwrap().role, Role::Operate);
            for wrong in ["", "kuz_", &endless[..46], &endless.to_lowercase(), "' OR 1 = 1 --"] {
                assert_eq!(store.token_of(wrong).await.unwrap(), None, "{wrong}");
            }
            assert!(store.revoke_token(&name("a"), NOW).await.unwrap());
            assert!(!counts(&endless, NOW).await);
            assert!(!store.revoke_token(&name("a"), NOW).await.unwrap(), "it was before");
            let unknown = store.revoke_token(&name("c"), NOW).await;
            assert!(matches!(unknown, Err(FleetError::NoSuchToken(_))));
        })
        .await;
    }

    #[tokio::test]
    async fn one_token_in_use_has_a_name_and_the_word_is_nowhere() {
        each(async |store| {
            let word = store.new_token(&name("a"), Role::Read, None, NOW).await.unwrap();
            let again = store.new_token(&name("a"), Role::Build, None, NOW).await;
            assert!(matches!(again, Err(FleetError::TokenExists(_))));
            store.revoke_token(&name("a"), NOW + 1).await.unwrap();
            store.new_token(&name("a"), Role::Build, None, NOW + 2).await.unwrap();
            let tokens = store.tokens().await.unwrap();
            let roles: Vec<(Role, bool)> =
                tokens.iter().map(|token| (token.role, token.is_valid(NOW + 2))).collect();
            assert_eq!(roles, [(Role::Read, false), (Role::Build, true)]);
            let hashes: Vec<String> = on!(&store.database, pool, Kind => {
                sqlx::query_scalar("SELECT hash FROM tokens").fetch_all(pool).await.unwrap()
            });
            assert!(hashes.iter().all(|hash| !hash.contains(&word) && hash.len() == 64));
            // Only what was done is in the audit.
            let audit = store.audit().await.unwrap();
            let deeds: Vec<(&str, &str)> = audit
                .entries
                .iter()
                .map(|entry| (entry.what.as_str(), entry.subject.as_str()))
                .collect();
            assert_eq!(
                deeds,
                [("token_new", "a (read)"), ("token_revoked", "a"), ("token_new", "a (build)")]
            );
            assert_eq!(audit.verify(None), Ok(()));
        })
        .await;
    }
}
