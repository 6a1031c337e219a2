//! Words about rollouts: what the conductor and people have decided, before and after it is signed.
//!
//! In: decisions, and who made them; words that were signed. Out: the newest word about a version,
//! whether it waits for its signature, and what came of updates since it holds. Never: two words of
//! one number about a version; a word without its entry in the audit; a signature.

use super::audit::{Deed, append};
use super::counting::hour_of;
use super::database::on;
use super::error::FleetError;
use super::numbers::Window;
use super::store::Store;
use crate::model::rollout_move::RolloutMove;
use crate::model::rollout_plan::RolloutWord;

/// A version of an app.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub app: &'a str,
    pub version: &'a str,
}

/// Who has signed a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A server of this store, by a decision that it has.
    Here,
    /// Somebody at a terminal, or with the key in another place.
    Elsewhere,
}

/// Updates to a version by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    pub up: i64,
    pub rolled_back: i64,
    pub failed: i64,
}

/// A word that was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredWord {
    pub word: RolloutWord,
    /// When it was signed, seconds since 1970; `None` while it waits for that.
    pub signed: Option<i64>,
    /// What had come of updates before, within the hour in which it was signed: counts are stored by
    /// the hour.
    pub before: Ended,
}

/// A row of `words` without its key.
type Row = (String, i64, i64, i64, i64);

impl StoredWord {
    fn from_row((word, signed, up, rolled_back, failed): Row) -> Option<Self> {
        Some(Self {
            word: serde_json::from_str(&word).ok()?,
            signed: Some(signed).filter(|time| *time != 0),
            before: Ended { up, rolled_back, failed },
        })
    }
}

impl Deed {
    fn of(wanted: RolloutMove) -> Self {
        match wanted {
            RolloutMove::Halt => Self::HaltedRollout,
            RolloutMove::Resume => Self::ResumedRollout,
            RolloutMove::Next => Self::NextStage,
            RolloutMove::Recall => Self::RecalledRelease,
            RolloutMove::TakeBack => Self::TookRecallBack,
        }
    }
}

impl Store {
    /// Stores a decision. Returns whether it is the first with its number: else somebody else has
    /// decided meanwhile.
    pub(crate) async fn decide(
        &self,
        About { app, version }: About<'_>,
        (who, wanted): (&str, RolloutMove),
        word: &RolloutWord,
    ) -> Result<bool, FleetError> {
        let failed = || FleetError::database("write the word");
        let now = self.database.now().await?;
        let subject = subject(About { app, version }, word);
        on!(&self.database, pool, Kind => {
            let mut transaction = pool.begin().await.map_err(failed())?;
            append!(transaction, (now, who, Deed::of(wanted), subject.as_str()));
            let inserted = sqlx::query(
                "INSERT INTO words (app, version, sequence, word, signed, up, rolled_back, failed) \
                 VALUES ($1, $2, $3, $4, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
            )
            .bind(app)
            .bind(version)
            .bind(number(word))
            .bind(text(word))
            .execute(&mut *transaction)
            .await
            .map_err(failed())?
            .rows_affected();
            if inserted == 0 {
                transaction.rollback().await.map_err(failed())?;
                return Ok(false);
            }
            transaction.commit().await.map_err(failed())?;
            Ok(true)
        })
    }

    /// Notes that a word is signed: counts begin anew with it. One that was signed elsewhere gets an
    /// entry in the audit when it is first seen.
    pub(crate) async fn note_signed(
        &self,
        about: About<'_>,
        word: &RolloutWord,
        origin: Origin,
    ) -> Result<(), FleetError> {
        let now = self.database.now().await?;
        if origin == Origin::Elsewhere && !self.knows(about, word).await? {
            let stopped = match (word.recalled, word.halted) {
                (true, _) => ", recalled",
                (false, true) => ", halted",
                (false, false) => "",
            };
            let subject = format!("{}{stopped}", subject(about, word));
            self.record((now, "", Deed::SignedElsewhere, &subject)).await?;
        }
        let before = self.ended_since(about, hour_of(now)).await?;
        let done = on!(&self.database, pool, Kind => {
            sqlx::query(
                "INSERT INTO words (app, version, sequence, word, signed, up, rolled_back, failed) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (app, version, sequence) DO UPDATE SET \
                 word = excluded.word, signed = excluded.signed, up = excluded.up, rolled_back = excluded.rolled_back, \
                 failed = excluded.failed WHERE words.signed = 0",
            )
            .bind(about.app)
            .bind(about.version)
            .bind(number(word))
            .bind(text(word))
            .bind(now)
            .bind(before.up)
            .bind(before.rolled_back)
            .bind(before.failed)
            .execute(pool)
            .await
            .map(drop)
        });
        done.map_err(FleetError::database("write the word"))
    }

    /// Whether there is a word with this number about the version.
    async fn knows(&self, about: About<'_>, word: &RolloutWord) -> Result<bool, FleetError> {
        let found = on!(&self.database, pool, Kind => {
            sqlx::query_scalar::<_, i64>(
                "SELECT COUNT(*) FROM words WHERE app = $1 AND version = $2 AND sequence = $3",
            )
            .bind(about.app)
            .bind(about.version)
            .bind(number(word))
            .fetch_one(pool)
            .await
        });
        Ok(found.map_err(FleetError::database("read the words"))? > 0)
    }

    /// The word with the highest number about this version.
    pub(crate) async fn newest_word(
        &self,
        about: About<'_>,
    ) -> Result<Option<StoredWord>, FleetError> {
        let row = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, Row>(
                "SELECT word, signed, up, rolled_back, failed FROM words WHERE app = $1 AND version = $2 \
                 ORDER BY sequence DESC LIMIT 1",
            )
            .bind(about.app)
            .bind(about.version)
            .fetch_optional(pool)
            .await
        });
        let row = row.map_err(FleetError::database("read the words"))?;
        Ok(row.and_then(StoredWord::from_row))
    }

    /// What came of updates to this version since the hour of `since`.
    pub(crate) async fn ended_since(
        &self,
        about: About<'_>,
        since: i64,
    ) -> Result<Ended, FleetError> {
        let window = Window {
            since,
            app: about.app.to_owned(),
            version: about.version.to_owned(),
            ..Window::all()
        };
        let mut ended = Ended::default();
        for row in self.funnel(&window).await? {
            let sum = match row.stage.as_str() {
                "up" => &mut ended.up,
                "rolled_back" => &mut ended.rolled_back,
                "failed" => &mut ended.failed,
                _ => continue,
            };
            *sum = sum.saturating_add(row.n);
        }
        Ok(ended)
    }

    /// Takes the lease `name` for so many seconds, or renews it; `false` while another owner has it.
    pub(crate) async fn lease(
        &self,
        name: &str,
        owner: &str,
        seconds: i64,
    ) -> Result<bool, FleetError> {
        let now = self.database.now().await?;
        let taken = on!(&self.database, pool, Kind => {
            sqlx::query(
                "INSERT INTO leases (name, owner, until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET \
                 owner = excluded.owner, until = excluded.until WHERE leases.until <= $4 OR leases.owner = excluded.owner",
            )
            .bind(name)
            .bind(owner)
            .bind(now.saturating_add(seconds))
            .bind(now)
            .execute(pool)
            .await
            .map(|done| done.rows_affected())
        });
        let taken = taken.map_err(FleetError::database("take the lease"))?;
        Ok(taken > 0)
    }
}

impl Ended {
    /// These without those that had ended before.
    pub(crate) fn without(self, before: Self) -> Self {
        let less = |all: i64, before: i64| all.saturating_sub(before).max(0);
        Self {
            up: less(self.up, before.up),
            rolled_back: less(self.rolled_back, before.rolled_back),
            failed: less(self.failed, before.failed),
        }
    }
}

/// What an entry of the audit is about.
fn subject(About { app, version }: About<'_>, word: &RolloutWord) -> String {
    format!("{app} {version}: word {}, stage {}", word.sequence, word.stage.saturating_add(1))
}

fn number(word: &RolloutWord) -> i64 {
    i64::try_from(word.sequence).unwrap_or(i64::MAX)
}

fn text(word: &RolloutWord) -> String {
    serde_json::json!(word).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fleet::fixture::{each, each_pair, report};
    use crate::fleet::ingest::Ingest;

    const ABOUT: About<'_> = About { app: "sample", version: "2.0.0" };

    fn word(sequence: u64, halted: bool) -> RolloutWord {
        RolloutWord { sequence, halted, ..RolloutWord::default() }
    }

    #[tokio::test]
    async fn each_number_is_one_word_and_each_word_has_its_entry() {
        each(async |store| {
            assert_eq!(store.newest_word(ABOUT).await.unwrap(), None);
            let decide = async |who: &str, word: RolloutWord| {
                store.decide(ABOUT, (who, RolloutMove::Halt), &word).await.unwrap()
            };
            assert!(decide("conductor", word(1, true)).await);
            assert!(!decide("anna", word(1, false)).await, "somebody was faster");
            let newest = store.newest_word(ABOUT).await.unwrap().unwrap();
            assert_eq!((newest.word, newest.signed), (word(1, true), None));
            store.note_signed(ABOUT, &word(1, true), Origin::Here).await.unwrap();
            assert!(store.newest_word(ABOUT).await.unwrap().unwrap().signed.is_some());
            // One that was signed at a terminal.
            store.note_signed(ABOUT, &word(4, false), Origin::Elsewhere).await.unwrap();
            assert_eq!(store.newest_word(ABOUT).await.unwrap().unwrap().word.sequence, 4);
            let audit = store.audit().await.unwrap();
            assert_eq!(audit.entries.len(), 2, "{:?}", audit.entries);
            assert_eq!(audit.entries[1].what, "rollout_signed_elsewhere");
            assert_eq!(
                (audit.entries[0].who.as_str(), audit.entries[0].what.as_str()),
                ("conductor", "rollout_halted")
            );
            assert_eq!(audit.verify(None), Ok(()));
        })
        .await;
    }

    #[tokio::test]
    async fn what_ended_before_a_word_does_not_count_against_it() {
        each(async |store| {
            let now = store.database.now().await.unwrap();
            let arrivals = Ingest::begin(store.clone(), Arc::new(move || now));
            let ingest = async |numbers: std::ops::Range<u128>, kind: &str| {
                let reports = numbers.map(|number| report(number, kind)).collect();
                arrivals.take(reports, 0).await.unwrap();
            };
            ingest(0..5, "rolled_back").await;
            store.note_signed(ABOUT, &word(1, false), Origin::Here).await.unwrap();
            ingest(5..7, "rolled_back").await;
            ingest(10..13, "up").await;
            let stored = store.newest_word(ABOUT).await.unwrap().unwrap();
            let all = store.ended_since(ABOUT, stored.signed.unwrap()).await.unwrap();
            assert_eq!(all.without(stored.before), Ended { up: 3, rolled_back: 2, failed: 0 });
            let other = About { version: "3.0.0", ..ABOUT };
            assert_eq!(store.ended_since(other, 0).await.unwrap(), Ended::default());
        })
        .await;
    }

    #[tokio::test]
    async fn a_lease_has_one_owner() {
        each_pair(async |one, other| {
            assert!(one.lease("conductor-a", "one", 60).await.unwrap());
            assert!(!other.lease("conductor-a", "other", 60).await.unwrap());
            assert!(other.lease("conductor-b", "other", 60).await.unwrap());
            assert!(
                one.lease("conductor-a", "one", 0).await.unwrap(),
                "renewed, and ended at once"
            );
            assert!(other.lease("conductor-a", "other", 60).await.unwrap());
            assert!(!one.lease("conductor-a", "one", 60).await.unwrap());
        })
        .await;
    }
}
