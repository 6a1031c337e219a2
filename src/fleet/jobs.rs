//! Jobs: work that one worker at a time does, and that outlives the server in which it began.
//!
//! In: jobs of people; workers that ask for one. Out: a job with a lease for one worker; what became
//! of each. Never: a job that two workers hold; a write of a worker whose job was taken by another
//! one, since each of its writes names its attempt; a time of another clock than the database's.

use super::audit::append;
use super::database::on;
use super::error::FleetError;
use super::job::{Claim, Ending, Job, JobKind, JobNumbers, JobState, Lease, NewJob, Row};
use super::secret;
use super::store::Store;
use crate::model::report::RandomId;

/// How long a worker holds a job after its last word, seconds.
const LEASE: i64 = 60;
/// How often a job is begun. One that ends its server each time would do so for ever.
const ATTEMPTS: i64 = 3;
/// Most jobs of a kind that wait.
const MOST_WAITING: i64 = 64;
/// What the key of a request begins with if nobody chose one: it is known by its content. After a
/// failure the same content may be asked for again.
const BY_CONTENT: &str = "content:";

/// The columns of a [`Row`].
macro_rules! columns {
    () => {
        "id, asked_by, state, payload, result, attempt, created, began, changed, cancel"
    };
}

/// Counts an ended job within the transaction that ends it.
macro_rules! count_ended {
    ($transaction:expr, $kind:expr, $state:expr) => {
        sqlx::query(
            "INSERT INTO totals (name, n) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET n = totals.n + 1",
        )
        .bind(total_name($kind, $state))
        .execute(&mut *$transaction)
        .await
        .map(drop)
    };
}

fn total_name(kind: JobKind, state: JobState) -> String {
    format!("{}_{}", kind.word(), state.word())
}

/// A new id.
pub(crate) fn new_job_id() -> Result<String, FleetError> {
    Ok(RandomId::new(u128::from_be_bytes(secret::random()?)).to_string())
}

impl Store {
    /// Lets the jobs go that were held when the only server of this store ended, so that they need
    /// not wait for the end of their leases.
    pub(crate) async fn free_jobs(&self) -> Result<(), FleetError> {
        let freed = on!(&self.database, pool, Kind => {
            sqlx::query("UPDATE jobs SET until = 0 WHERE state = 'running'")
                .execute(pool)
                .await
                .map(drop)
        });
        freed.map_err(FleetError::database("let the jobs go"))
    }

    /// Puts a job into the queue. Returns it, and whether it is new: a request that was made before
    /// gives the job of then.
    ///
    /// # Errors
    /// [`FleetError::QueueFull`] if too many wait.
    pub(crate) async fn new_job(
        &self,
        kind: JobKind,
        new: &NewJob<'_>,
    ) -> Result<(Job, bool), FleetError> {
        let once = match new.key {
            Some(key) => format!("key:{}:{}:{key}", kind.word(), new.who),
            None => format!("{BY_CONTENT}{}:{}", kind.word(), new.content),
        };
        loop {
            if let Some(job) = self.insert_job(kind, new, &once).await? {
                return Ok((job, true));
            }
            // It may have failed in this moment, and then its key is free.
            if let Some(job) = self.job_with_key(&once).await? {
                return Ok((job, false));
            }
        }
    }

    async fn insert_job(
        &self,
        kind: JobKind,
        new: &NewJob<'_>,
        once: &str,
    ) -> Result<Option<Job>, FleetError> {
        let failed = || FleetError::database("write the job");
        let now = self.database.now().await?;
        let subject = format!("{} ({})", new.id, new.subject);
        on!(&self.database, pool, Kind => {
            let mut transaction = pool.begin().await.map_err(failed())?;
            append!(transaction, (now, new.who, kind.deeds().0, subject.as_str()));
            let row = sqlx::query_as::<_, Row>(concat!(
                "INSERT INTO jobs (id, kind, once, asked_by, state, payload, result, attempt, owner, until, created, began, \
                 changed, cancel) VALUES ($1, $2, $3, $4, 'queued', $5, '', 0, '', 0, $6, 0, $6, 0) \
                 ON CONFLICT (once) DO NOTHING RETURNING ", columns!()
            ))
            .bind(new.id)
            .bind(kind.word())
            .bind(once)
            .bind(new.asked_by)
            .bind(new.payload)
            .bind(now)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed())?;
            let Some(job) = row.and_then(Job::from_row) else { return Ok(None) };
            let waiting: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM jobs WHERE kind = $1 AND state = 'queued'",
            )
            .bind(kind.word())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed())?;
            if waiting > MOST_WAITING {
                return Err(FleetError::QueueFull(MOST_WAITING));
            }
            transaction.commit().await.map_err(failed())?;
            Ok(Some(job))
        })
    }

    async fn job_with_key(&self, once: &str) -> Result<Option<Job>, FleetError> {
        let row = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, Row>(concat!("SELECT ", columns!(), " FROM jobs WHERE once = $1"))
                .bind(once)
                .fetch_optional(pool)
                .await
        });
        Ok(row.map_err(FleetError::database("read the job"))?.and_then(Job::from_row))
    }

    /// The job with this id.
    pub(crate) async fn job(&self, kind: JobKind, id: &str) -> Result<Option<Job>, FleetError> {
        let row = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, Row>(
                concat!("SELECT ", columns!(), " FROM jobs WHERE id = $1 AND kind = $2"),
            )
            .bind(id)
            .bind(kind.word())
            .fetch_optional(pool)
            .await
        });
        Ok(row.map_err(FleetError::database("read the job"))?.and_then(Job::from_row))
    }

    /// The newest jobs, of one person if `asked_by` is not empty.
    pub(crate) async fn jobs(
        &self,
        kind: JobKind,
        asked_by: &str,
        most: i64,
    ) -> Result<Vec<Job>, FleetError> {
        let rows = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, Row>(concat!(
                "SELECT ", columns!(), " FROM jobs WHERE kind = $1 AND ($2 = '' OR asked_by = $2) \
                 ORDER BY created DESC, id DESC LIMIT $3"
            ))
            .bind(kind.word())
            .bind(asked_by)
            .bind(most)
            .fetch_all(pool)
            .await
        });
        let rows = rows.map_err(FleetError::database("read the jobs"))?;
        Ok(rows.into_iter().filter_map(Job::from_row).collect())
    }

    /// The place of a job that waits: 1 is the next one.
    pub(crate) async fn job_position(&self, kind: JobKind, job: &Job) -> Result<i64, FleetError> {
        let place = on!(&self.database, pool, Kind => {
            sqlx::query_scalar::<_, i64>(
                "SELECT COUNT(*) FROM jobs WHERE kind = $1 AND state = 'queued' AND (created < $2 OR (created = $2 AND id <= $3))",
            )
            .bind(kind.word())
            .bind(job.created)
            .bind(job.id.as_str())
            .fetch_one(pool)
            .await
        });
        place.map_err(FleetError::database("read the jobs"))
    }

    /// Gives the oldest job that nobody holds to a worker. A job whose worker was silent for too
    /// long is one of them.
    pub(crate) async fn claim_job(
        &self,
        kind: JobKind,
        owner: &str,
    ) -> Result<Option<Claim>, FleetError> {
        loop {
            let now = self.database.now().await?;
            let open = on!(&self.database, pool, Kind => {
                sqlx::query_as::<_, (String, i64, i64)>(
                    "SELECT id, attempt, cancel FROM jobs WHERE kind = $1 \
                     AND (state = 'queued' OR (state = 'running' AND until < $2)) ORDER BY created, id LIMIT 1",
                )
                .bind(kind.word())
                .bind(now)
                .fetch_optional(pool)
                .await
            });
            let open = open.map_err(FleetError::database("read the jobs"))?;
            let Some((id, attempt, cancel)) = open else { return Ok(None) };
            let given_up = match (cancel != 0, attempt >= ATTEMPTS) {
                (true, _) => Some(Ending::Cancelled),
                (false, true) => Some(Ending::Failed("")),
                (false, false) => None,
            };
            // Whoever loses against another worker tries the next one.
            if let Some(ending) = given_up {
                self.end_attempt(kind, (&id, attempt), ending, now).await?;
            } else if let Some(claim) = self.take_job(&id, attempt, owner, now).await? {
                return Ok(Some(claim));
            }
        }
    }

    async fn take_job(
        &self,
        id: &str,
        attempt: i64,
        owner: &str,
        now: i64,
    ) -> Result<Option<Claim>, FleetError> {
        let row = on!(&self.database, pool, Kind => {
            sqlx::query_as::<_, Row>(concat!(
                "UPDATE jobs SET state = 'running', attempt = attempt + 1, owner = $3, until = $4, began = $5, changed = $5 \
                 WHERE id = $1 AND attempt = $2 AND (state = 'queued' OR (state = 'running' AND until < $5)) RETURNING ",
                columns!()
            ))
            .bind(id)
            .bind(attempt)
            .bind(owner)
            .bind(now + LEASE)
            .bind(now)
            .fetch_optional(pool)
            .await
        });
        let row = row.map_err(FleetError::database("take the job"))?;
        Ok(row.and_then(Job::from_row).map(|job| Claim { job }))
    }

    /// A worker's word that it goes on; to be given more often than [`LEASE`].
    pub(crate) async fn renew_job(&self, claim: &Claim) -> Result<Lease, FleetError> {
        let until = self.database.now().await? + LEASE;
        let cancel = on!(&self.database, pool, Kind => {
            sqlx::query_scalar::<_, i64>(
                "UPDATE jobs SET until = $3 WHERE id = $1 AND attempt = $2 AND state = 'running' RETURNING cancel",
            )
            .bind(claim.job.id.as_str())
            .bind(claim.job.attempt)
            .bind(until)
            .fetch_optional(pool)
            .await
        });
        Ok(match cancel.map_err(FleetError::database("renew the lease"))? {
            None => Lease::Lost,
            Some(0) => Lease::Held,
            Some(_) => Lease::Cancelled,
        })
    }

    /// A worker's last word. Returns whether it counted: a worker that has lost its job changes
    /// nothing.
    pub(crate) async fn end_job(
        &self,
        kind: JobKind,
        claim: &Claim,
        ending: Ending<'_>,
    ) -> Result<bool, FleetError> {
        // Held until now, however late it is.
        self.end_attempt(kind, (&claim.job.id, claim.job.attempt), ending, i64::MAX).await
    }

    /// Ends an attempt whose lease is over at `at`.
    async fn end_attempt(
        &self,
        kind: JobKind,
        (id, attempt): (&str, i64),
        ending: Ending<'_>,
        at: i64,
    ) -> Result<bool, FleetError> {
        let failed = || FleetError::database("end the job");
        let now = self.database.now().await?;
        let state = ending.state();
        let is_free = matches!(ending, Ending::Failed(_) | Ending::Cancelled);
        on!(&self.database, pool, Kind => {
            let mut transaction = pool.begin().await.map_err(failed())?;
            let ended = sqlx::query(
                "UPDATE jobs SET state = $3, result = $4, changed = $5, owner = '', until = 0, \
                 once = CASE WHEN $6 = 1 AND once LIKE 'content:%' THEN id ELSE once END \
                 WHERE id = $1 AND attempt = $2 AND (state = 'queued' OR (state = 'running' AND until < $7))",
            )
            .bind(id)
            .bind(attempt)
            .bind(state.word())
            .bind(ending.result())
            .bind(now)
            .bind(i64::from(is_free))
            .bind(at)
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
            if ended.rows_affected() == 0 {
                return Ok(false);
            }
            if state.has_ended() {
                count_ended!(transaction, kind, state).map_err(failed())?;
            }
            transaction.commit().await.map_err(failed())?;
            Ok(true)
        })
    }

    /// Ends a job: one that waits at once, one that runs when its worker hears of it. Returns the
    /// job; one that has ended stays as it is. `None` if there is none.
    pub(crate) async fn cancel_job(
        &self,
        kind: JobKind,
        id: &str,
        who: &str,
    ) -> Result<Option<Job>, FleetError> {
        let failed = || FleetError::database("cancel the job");
        let now = self.database.now().await?;
        let row = on!(&self.database, pool, Kind => {
            let mut transaction = pool.begin().await.map_err(failed())?;
            append!(transaction, (now, who, kind.deeds().1, id));
            let row = sqlx::query_as::<_, Row>(concat!(
                "UPDATE jobs SET cancel = 1, changed = $3, state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END, \
                 once = CASE WHEN state = 'queued' AND once LIKE 'content:%' THEN id ELSE once END \
                 WHERE id = $1 AND kind = $2 AND cancel = 0 AND state IN ('queued', 'running') RETURNING ", columns!()
            ))
            .bind(id)
            .bind(kind.word())
            .bind(now)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed())?;
            let row = row.and_then(Job::from_row);
            // Nothing was done, and so nothing is in the audit.
            if let Some(job) = &row {
                if job.state.has_ended() {
                    count_ended!(transaction, kind, job.state).map_err(failed())?;
                }
                transaction.commit().await.map_err(failed())?;
            }
            row
        });
        match row {
            Some(job) => Ok(Some(job)),
            None => self.job(kind, id).await,
        }
    }

    /// How many jobs there are.
    pub(crate) async fn job_numbers(&self, kind: JobKind) -> Result<JobNumbers, FleetError> {
        let read = || FleetError::database("count the jobs");
        let now = self.database.now().await?;
        let mut numbers = JobNumbers::default();
        on!(&self.database, pool, Kind => {
            let states = sqlx::query_as::<_, (String, i64, i64)>(
                "SELECT state, COUNT(*), MIN(created) FROM jobs WHERE kind = $1 AND state IN ('queued', 'running') GROUP BY state",
            )
            .bind(kind.word())
            .fetch_all(pool)
            .await
            .map_err(read())?;
            for (state, n, oldest) in states {
                if state == JobState::Queued.word() {
                    (numbers.queued, numbers.oldest_seconds) = (n, (now - oldest).max(0));
                } else {
                    numbers.running = n;
                }
            }
            for (state, n) in [
                (JobState::Done, &mut numbers.done),
                (JobState::Failed, &mut numbers.failed),
                (JobState::Cancelled, &mut numbers.cancelled),
            ] {
                let total = sqlx::query_scalar::<_, i64>("SELECT n FROM totals WHERE name = $1")
                    .bind(total_name(kind, state))
                    .fetch_optional(pool)
                    .await
                    .map_err(read())?;
                *n = total.unwrap_or(0);
            }
        });
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests;
