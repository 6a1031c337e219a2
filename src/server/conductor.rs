//! The conductor of a server: moves rollouts within their signed plans, by the numbers and by a
//! person's word.
//!
//! In: the releases with a plan, what launchers report, moves of operators. Out: words, signed with
//! the online key of the role `rollout`, and what an operator sees of each rollout. Never: a move
//! that the plan does not allow; a word that is signed before it is stored; two servers that conduct
//! one app at a time.
//!
//! A server that dies between storing and signing signs the stored word when it, or another one, has
//! the lease again.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::admission;
use super::error::ServerError;
use super::fleet::Fleet;
use super::refusal::Refusal;
use super::state::ServerState;
use super::steering::Steering;
use super::updates;
use crate::error_chain;
use crate::fleet::{About, Ended, Role, Step, StoredWord, Tally, step};
use crate::host;
use crate::model::report::RandomId;
use crate::model::rollout_move::{RolloutMove, present};
use crate::model::rollout_plan::{RolloutWord, share};
use crate::publish::PlannedRollout;

/// How often the conductor looks.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long a conductor that is silent holds its apps, seconds.
const LEASE_SECONDS: i64 = 60;
/// Who moves a rollout by the numbers, in the audit.
const CONDUCTOR: &str = "conductor";

/// A rollout with what the store knows of it.
struct Present<'a> {
    rollout: &'a PlannedRollout,
    /// The app and version as the store has them.
    names: (String, String),
    stored: Option<StoredWord>,
}

impl Present<'_> {
    fn about(&self) -> About<'_> {
        About { app: &self.names.0, version: &self.names.1 }
    }

    /// Since when the word that holds does so.
    fn began(&self) -> Timestamp {
        let signed = self.stored.and_then(|stored| stored.signed);
        let signed = signed.and_then(|seconds| Timestamp::from_second(seconds).ok());
        signed.unwrap_or(self.rollout.plan.begins())
    }

    /// What came of updates since then.
    async fn tally(&self, fleet: &Fleet) -> Result<Tally, ServerError> {
        let all = fleet.store.ended_since(self.about(), self.began().as_second()).await?;
        let before = self.stored.map_or(Ended::default(), |stored| stored.before);
        let Ended { up, rolled_back, failed } = all.without(before);
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Ok(Tally { up: count(up), rolled_back: count(rolled_back), failed: count(failed) })
    }
}

/// Reads what the store knows of a rollout, after the store and the repository agree: a word that
/// waits is signed, and one that was signed elsewhere is noted.
async fn agreed<'a>(
    fleet: &Fleet,
    steering: &Steering,
    rollout: &'a mut PlannedRollout,
) -> Result<Present<'a>, ServerError> {
    let names = (rollout.app.to_string(), rollout.version.to_string());
    let about = About { app: &names.0, version: &names.1 };
    let stored = fleet.store.newest_word(about).await?;
    let signed = rollout.word.map_or(0, |word| word.sequence);
    match stored {
        // A word for a stage that the present plan lacks stays unsigned, and the next one has a higher number.
        Some(StoredWord { word, signed: None, .. })
            if word.sequence > signed && word.stage < rollout.plan.stages().len() =>
        {
            steering.sign(rollout, word).await?;
            fleet.store.note_signed(about, &word).await?;
            rollout.word = Some(word);
        }
        Some(StoredWord { word, signed: Some(_), .. }) if word.sequence >= signed => {}
        _ => {
            if let Some(word) = rollout.word {
                fleet.store.note_signed(about, &word).await?;
            }
        }
    }
    let stored = fleet.store.newest_word(about).await?;
    Ok(Present { rollout, names, stored })
}

/// Stores a move and signs it.
async fn make_move(
    fleet: &Fleet,
    steering: &Steering,
    present: &Present<'_>,
    (who, wanted): (&str, RolloutMove),
    word: RolloutWord,
) -> Result<bool, ServerError> {
    // The repository's number falls after a restore from a backup, or when a plan came anew.
    let known = present.stored.as_ref().map_or(0, |stored| stored.word.sequence);
    let word = RolloutWord { sequence: word.sequence.max(known.saturating_add(1)), ..word };
    if !fleet.store.decide(present.about(), (who, wanted), &word).await? {
        return Ok(false);
    }
    steering.sign(present.rollout, word).await?;
    fleet.store.note_signed(present.about(), &word).await?;
    Ok(true)
}

/// Conducts all rollouts until it is aborted.
pub(super) async fn keep_conducting(shared: ServerState) {
    let (Some(fleet), Some(steering)) = (&shared.fleet, &shared.options.steering) else { return };
    let owner = RandomId::new(u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(..)));
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let catalogue = shared.repository.catalogue().await;
        if catalogue.releases.iter().all(|signed| signed.release.plan.is_none()) {
            continue;
        }
        if let Err(error) = conduct(fleet, steering, &owner.to_string()).await {
            tracing::warn!(error = error_chain::line(&error), "rollouts are not conducted");
        }
    }
}

/// One look at all rollouts.
async fn conduct(fleet: &Fleet, steering: &Steering, owner: &str) -> Result<(), ServerError> {
    for mut rollout in steering.rollouts().await? {
        let lease = format!("conductor-{}", rollout.app);
        if !fleet.store.lease(&lease, owner, LEASE_SECONDS).await? {
            continue;
        }
        // One rollout that cannot be signed does not stop the others.
        if let Err(error) = conduct_one(fleet, steering, &mut rollout).await {
            let (app, version) = (&rollout.app, &rollout.version);
            tracing::warn!(%app, %version, error = error_chain::line(&error), "a rollout is not conducted");
        }
    }
    Ok(())
}

async fn conduct_one(
    fleet: &Fleet,
    steering: &Steering,
    rollout: &mut PlannedRollout,
) -> Result<(), ServerError> {
    let now = host::now();
    let known = agreed(fleet, steering, rollout).await?;
    let rollout = known.rollout;
    if rollout.is_halted_offline || now < rollout.plan.begins() {
        return Ok(());
    }
    let word = present(&rollout.plan, rollout.word.as_ref());
    let tally = known.tally(fleet).await?;
    let wanted = match step(&rollout.plan, &word, known.began(), tally, now) {
        Step::Halt(reason) => {
            tracing::warn!(app = %rollout.app, version = %rollout.version, ?reason, "the rollout is halted");
            RolloutMove::Halt
        }
        Step::Next => RolloutMove::Next,
        Step::Stay | Step::Ask | Step::Finish => return Ok(()),
    };
    match rollout.after(wanted, now) {
        Ok(Some(next)) => {
            if !make_move(fleet, steering, &known, (CONDUCTOR, wanted), next).await? {
                let version = &rollout.version;
                tracing::warn!(%version, "somebody else has moved the rollout; it is looked at again");
            }
        }
        Ok(None) => {}
        Err(reason) => tracing::debug!(version = %rollout.version, "no move: {reason}"),
    }
    Ok(())
}

/// `GET /api/rollouts`: all rollouts with a plan.
pub(super) async fn list(
    State(shared): State<ServerState>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (fleet, steering) = parts(&shared)?;
    admission::check(fleet, &headers, Role::Read).await?;
    let mut rollouts = Vec::new();
    for rollout in &steering.rollouts().await.map_err(failed)? {
        let names = (rollout.app.to_string(), rollout.version.to_string());
        let about = About { app: &names.0, version: &names.1 };
        let stored =
            fleet.store.newest_word(about).await.map_err(|error| Refusal::internal(&error))?;
        let known = Present { rollout, names, stored };
        let tally = known.tally(fleet).await.map_err(failed)?;
        rollouts.push(described(rollout, Some((known.began(), tally))));
    }
    Ok(updates::answer(&json!({ "rollouts": rollouts })))
}

/// `POST /api/rollouts/{app}/{version}/{move}`: halts or resumes a rollout, or opens its next stage.
pub(super) async fn steer(
    State(shared): State<ServerState>,
    Path((app, version, wanted)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (fleet, steering) = parts(&shared)?;
    let who = admission::who(fleet, &headers, Role::Operate).await?;
    let wanted: RolloutMove = wanted
        .parse()
        .map_err(|message: String| Refusal::new(StatusCode::NOT_FOUND, "no_such_move", message))?;
    let mut rollouts = steering.rollouts().await.map_err(failed)?.into_iter();
    let is_meant = |rollout: &PlannedRollout| {
        rollout.app.as_str() == app && rollout.version.to_string() == version
    };
    let Some(mut rollout) = rollouts.find(is_meant) else {
        let message = format!("there is no release {app} {version} with a plan");
        return Err(Refusal::new(StatusCode::NOT_FOUND, "no_such_rollout", message));
    };
    let known = agreed(fleet, steering, &mut rollout).await.map_err(failed)?;
    let refuse = |reason: String| Refusal::new(StatusCode::CONFLICT, "not_allowed", reason);
    let next = known.rollout.after(wanted, host::now()).map_err(refuse)?;
    if let Some(word) = next {
        let made = make_move(fleet, steering, &known, (&who, wanted), word).await;
        if !made.map_err(failed)? {
            return Err(refuse("somebody else has just moved it; look again".to_owned()));
        }
    }
    let word = next.or(known.rollout.word);
    let moved = PlannedRollout { word, ..known.rollout.clone() };
    Ok(updates::answer(&json!({
        "status": if next.is_some() { "done" } else { "nothing_to_do" },
        "rollout": described(&moved, None),
    })))
}

fn parts(shared: &ServerState) -> Result<(&Fleet, &Steering), Refusal> {
    match (&shared.fleet, &shared.options.steering) {
        (Some(fleet), Some(steering)) => Ok((fleet, steering)),
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "this server does not steer rollouts".to_owned(),
        )),
    }
}

fn failed(error: ServerError) -> Refusal {
    Refusal::internal(&error)
}

/// What an operator sees of a rollout.
fn described(rollout: &PlannedRollout, numbers: Option<(Timestamp, Tally)>) -> Value {
    let now = host::now();
    let word = present(&rollout.plan, rollout.word.as_ref());
    let share = if rollout.is_halted_offline {
        0
    } else {
        share(&rollout.plan, rollout.word.as_ref(), now)
    };
    let mut described = json!({
        "app": rollout.app,
        "version": rollout.version,
        "plan": rollout.plan,
        "word": rollout.word,
        "stage": word.stage + 1,
        "stages": rollout.plan.stages().len(),
        "permille": share,
        "halted": rollout.is_halted_offline || word.halted,
        "halted_offline": rollout.is_halted_offline,
    });
    if let Some((since, tally)) = numbers {
        described["since"] = json!(since);
        described["updates"] =
            json!({ "up": tally.up, "rolled_back": tally.rolled_back, "failed": tally.failed });
    }
    described
}
