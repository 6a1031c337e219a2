//! Who did what: a list in which each entry covers the one before, so that nobody changes or takes
//! out an entry without being seen by whoever knows a later digest.
//!
//! In: what was done, within the transaction that does it. Out: entries, and whether their chain is
//! whole. Never: an entry without its deed, or a deed without its entry; two entries after the same
//! one, also if several servers write at the same time: the first statement takes the number, and
//! whoever comes second waits until the first has committed.

use serde::Serialize;

use super::database::on;
use super::error::FleetError;
use super::store::Store;
use crate::model::Digest;

/// The name of the row of `totals` that counts the entries.
pub(super) const TOTAL: &str = "audit";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    NewToken,
    RevokedToken,
    Login,
    /// A token that was valid once.
    LoginRefused,
    Logout,
    NewBuild,
    CancelledBuild,
    HaltedRollout,
    ResumedRollout,
    NextStage,
    RecalledRelease,
    TookRecallBack,
    SignedElsewhere,
}

impl Deed {
    /// All of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 13] = [
        Self::NewToken,
        Self::RevokedToken,
        Self::Login,
        Self::LoginRefused,
        Self::Logout,
        Self::NewBuild,
        Self::CancelledBuild,
        Self::HaltedRollout,
        Self::ResumedRollout,
        Self::NextStage,
        Self::RecalledRelease,
        Self::TookRecallBack,
        Self::SignedElsewhere,
    ];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::NewToken => "token_new",
            Self::RevokedToken => "token_revoked",
            Self::Login => "login",
            Self::LoginRefused => "login_refused",
            Self::Logout => "logout",
            Self::NewBuild => "build_new",
            Self::CancelledBuild => "build_cancelled",
            Self::HaltedRollout => "rollout_halted",
            Self::ResumedRollout => "rollout_resumed",
            Self::NextStage => "rollout_next_stage",
            Self::RecalledRelease => "release_recalled",
            Self::TookRecallBack => "recall_taken_back",
            Self::SignedElsewhere => "rollout_signed_elsewhere",
        }
    }
}

/// A row of `audit`.
type Row = (i64, i64, String, String, String, String, String);

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AuditEntry {
    /// Counts from 1.
    pub number: i64,
    /// Seconds since 1970.
    pub at: i64,
    /// The token's name, or `terminal` for who works on the database itself.
    pub who: String,
    pub what: String,
    /// What it was done to.
    pub subject: String,
    /// The digest of the entry before; empty for the first one.
    pub before: String,
    /// The digest of everything above.
    pub hash: String,
}

impl AuditEntry {
    fn from_row((number, at, who, what, subject, before, hash): Row) -> Self {
        Self { number, at, who, what, subject, before, hash }
    }

    /// An entry that follows the one with the digest `before`.
    pub(super) fn after(
        before: Option<String>,
        number: i64,
        (at, who, deed, subject): (i64, &str, Deed, &str),
    ) -> Self {
        let entry = Self {
            number,
            at,
            who: who.to_owned(),
            what: deed.word().to_owned(),
            subject: subject.to_owned(),
            before: before.unwrap_or_default(),
            hash: String::new(),
        };
        Self { hash: entry.digest(), ..entry }
    }

    /// SHA-256 of the fields as a JSON array without spaces: no two entries give the same text, and
    /// another program can compute it.
    fn digest(&self) -> String {
        let Self { number, at, who, what, subject, before, hash: _ } = self;
        let text = serde_json::json!([number, at, who, what, subject, before]).to_string();
        Digest::of(text.as_bytes()).to_string()
    }
}

/// Writes an entry within a transaction: `append!(transaction, (at, who, deed, subject))`. It stands
/// before all else in the transaction, and so nothing that the transaction reads is old.
macro_rules! append {
    ($transaction:expr, $entry:expr) => {{
        let failed = || $crate::fleet::error::FleetError::database("write the audit");
        let number: i64 = sqlx::query_scalar(
            "INSERT INTO totals (name, n) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET n = totals.n + 1 RETURNING n",
        )
        .bind($crate::fleet::audit::TOTAL)
        .fetch_one(&mut *$transaction)
        .await
        .map_err(failed())?;
        let before: Option<String> = sqlx::query_scalar("SELECT hash FROM audit WHERE number = $1")
            .bind(number - 1)
            .fetch_optional(&mut *$transaction)
            .await
            .map_err(failed())?;
        let entry = $crate::fleet::audit::AuditEntry::after(before, number, $entry);
        sqlx::query(
            "INSERT INTO audit (number, at, who, what, subject, before, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(entry.number)
        .bind(entry.at)
        .bind(entry.who)
        .bind(entry.what)
        .bind(entry.subject)
        .bind(entry.before)
        .bind(entry.hash)
        .execute(&mut *$transaction)
        .await
        .map(drop)
        .map_err(failed())?;
    }};
}
pub(super) use append;

/// All entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) entries: Vec<AuditEntry>,
    /// How many there have been.
    counted: i64,
}

/// Where the chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenChain {
    #[error("entry {0} is missing")]
    Missing(i64),
    #[error("entry {0} was changed: its hash is another one")]
    Changed(i64),
    #[error("entry {0} does not follow the entry before it")]
    Severed(i64),
    #[error(
        "no entry has the hash {0}: what was written after it, or it itself, is another one now"
    )]
    Unknown(String),
}

impl Audit {
    /// The digest of the last entry; whoever writes it down elsewhere can tell later that nothing
    /// before it was changed.
    pub(crate) fn last(&self) -> Option<&AuditEntry> {
        self.entries.last()
    }

    /// Whether the chain is whole, and has the digest that was written down earlier.
    ///
    /// # Errors
    /// [`BrokenChain`] with the first place that is wrong.
    pub(crate) fn verify(&self, known: Option<&str>) -> Result<(), BrokenChain> {
        let mut before = "";
        for (number, entry) in (1..).zip(&self.entries) {
            if entry.number != number {
                return Err(BrokenChain::Missing(number));
            }
            if entry.digest() != entry.hash {
                return Err(BrokenChain::Changed(number));
            }
            if entry.before != before {
                return Err(BrokenChain::Severed(number));
            }
            before = &entry.hash;
        }
        let last = self.last().map_or(0, |entry| entry.number);
        if last < self.counted {
            return Err(BrokenChain::Missing(last + 1));
        }
        match known {
            Some(known) if !self.entries.iter().any(|entry| entry.hash == known) => {
                Err(BrokenChain::Unknown(known.to_owned()))
            }
            _ => Ok(()),
        }
    }
}

impl Store {
    /// All entries, the first one first.
    pub(crate) async fn audit(&self) -> Result<Audit, FleetError> {
        let read = || FleetError::database("read the audit");
        on!(&self.database, pool, Kind => {
            // Counted before: an entry that is written meanwhile is one more, none less.
            let counted = sqlx::query_scalar::<_, i64>("SELECT n FROM totals WHERE name = $1")
                .bind(TOTAL)
                .fetch_optional(pool)
                .await
                .map_err(read())?;
            let rows = sqlx::query_as::<_, Row>(
                "SELECT number, at, who, what, subject, before, hash FROM audit ORDER BY number",
            )
            .fetch_all(pool)
            .await
            .map_err(read())?;
            let entries = rows.into_iter().map(AuditEntry::from_row);
            Ok(Audit { entries: entries.collect(), counted: counted.unwrap_or(0) })
        })
    }

    /// The newest entries, the newest first.
    pub(crate) async fn newest_audit(&self, most: usize) -> Result<Vec<AuditEntry>, FleetError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, Row>(
                "SELECT number, at, who, what, subject, before, hash FROM audit ORDER BY number DESC LIMIT $1",
            )
            .bind(most)
            .fetch_all(pool)
            .await
        });
        let rows = rows.map_err(FleetError::database("read the audit"))?;
        Ok(rows.into_iter().map(AuditEntry::from_row).collect())
    }

    /// Writes an entry by itself.
    pub(super) async fn record(&self, entry: (i64, &str, Deed, &str)) -> Result<(), FleetError> {
        let failed = || FleetError::database("write the audit");
        on!(&self.database, pool, Kind => {
            let mut transaction = pool.begin().await.map_err(failed())?;
            append!(transaction, entry);
            transaction.commit().await.map_err(failed())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::fixture::each;
    use crate::fleet::store::Place;

    fn chain(length: i64) -> Audit {
        let mut audit = Audit { counted: length, ..Audit::default() };
        for number in 1..=length {
            let before = audit.last().map(|entry| entry.hash.clone());
            let deed = (1_796_000_000 + number, "terminal", Deed::NewToken, "a");
            audit.entries.push(AuditEntry::after(before, number, deed));
        }
        audit
    }

    #[test]
    fn an_entry_that_was_changed_or_taken_out_is_found() {
        let whole = chain(5);
        assert_eq!(whole.verify(None), Ok(()));
        assert_eq!(whole.verify(Some(&whole.entries[2].hash)), Ok(()));
        assert_eq!(Audit::default().verify(None), Ok(()));
        let changed = |change: fn(&mut Audit)| {
            let mut audit = whole.clone();
            change(&mut audit);
            audit.verify(Some(&whole.entries[4].hash)).unwrap_err()
        };
        assert_eq!(changed(|audit| audit.entries[1].who = "b".into()), BrokenChain::Changed(2));
        assert_eq!(changed(|audit| drop(audit.entries.remove(1))), BrokenChain::Missing(2));
        assert_eq!(changed(|audit| drop(audit.entries.pop())), BrokenChain::Missing(5));
        let renumbered = |audit: &mut Audit| {
            audit.entries.remove(1);
            for (number, entry) in (1..).zip(&mut audit.entries) {
                entry.number = number;
                entry.hash = entry.digest();
            }
        };
        assert_eq!(changed(renumbered), BrokenChain::Severed(2));
        // Whoever writes everything anew cannot have the digest that stands elsewhere.
        let anew = |audit: &mut Audit| {
            *audit = chain(4);
            audit.entries[0].at = 0;
            audit.entries.iter_mut().for_each(|entry| entry.hash.clear());
            let mut before = String::new();
            for entry in &mut audit.entries {
                entry.before = before;
                entry.hash = entry.digest();
                before = entry.hash.clone();
            }
        };
        assert!(matches!(changed(anew), BrokenChain::Unknown(_)));
    }

    #[test]
    fn the_digest_is_what_another_program_computes() {
        // printf '[1,1796000001,"terminal","token_new","a",""]' | sha256sum
        let digest = Digest::of(br#"[1,1796000001,"terminal","token_new","a",""]"#).to_string();
        assert_eq!(chain(1).entries[0].hash, digest);
    }

    #[tokio::test]
    async fn many_writers_make_one_chain() {
        each(async |store| {
            let writers = (0..8).map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    for number in 0..20 {
                        let who = format!("writer-{writer}");
                        let entry = (number, who.as_str(), Deed::Login, "page");
                        store.record(entry).await.unwrap();
                    }
                })
            });
            for writer in writers.collect::<Vec<_>>() {
                writer.await.unwrap();
            }
            let audit = store.audit().await.unwrap();
            assert_eq!((audit.entries.len(), audit.counted), (160, 160));
            assert_eq!(audit.verify(None), Ok(()));
        })
        .await;
    }

    #[tokio::test]
    async fn a_store_beside_the_server_writes_into_the_same_chain() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path().join("data"));
        let server = Store::open(&place).await.unwrap();
        let terminal = Store::read(&place).await.unwrap();
        for number in 0..30 {
            let store = if number % 2 == 0 { &server } else { &terminal };
            store.record((number, "x", Deed::Logout, "page")).await.unwrap();
        }
        assert_eq!(terminal.audit().await.unwrap().verify(None), Ok(()));
    }
}
