//! Rollouts as programs see and move them.
//!
//! In: requests with a token. Out: JSON. Never: a move that the token's role does not allow; a
//! decision, which is the conductor's.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::admission;
use super::conductor::{self, RefusedByServer, Standing};
use super::fleet::Fleet;
use super::refusal::Refusal;
use super::state::ServerState;
use super::steering::Steering;
use super::updates;
use crate::fleet::Role;
use crate::host;
use crate::model::rollout_move::{RolloutMove, present};
use crate::model::rollout_plan::share;
use crate::publish::PlannedRollout;

/// `GET /api/rollouts`: all rollouts with a plan.
pub(super) async fn list(
    State(shared): State<ServerState>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (fleet, steering) = parts(&shared)?;
    admission::check(fleet, &headers, Role::Read).await?;
    let standings = conductor::standings(fleet, steering).await;
    let standings = standings.map_err(|error| Refusal::internal(&error))?;
    let rollouts: Vec<Value> = standings.iter().map(with_numbers).collect();
    Ok(updates::answer(&json!({ "rollouts": rollouts })))
}

/// `POST /api/rollouts/{app}/{version}/{move}`: halts or resumes a rollout, opens its next stage, or
/// recalls the release to where its plan leads.
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
    let moved = conductor::move_by(fleet, steering, (&who, wanted), (&app, &version)).await;
    let (changed, rollout) = moved.map_err(|error| refusal(&error))?;
    Ok(updates::answer(&json!({
        "status": if changed { "done" } else { "nothing_to_do" },
        "rollout": described(&rollout, host::now()),
    })))
}

/// The parts of a server that steers.
pub(super) fn parts(shared: &ServerState) -> Result<(&Fleet, &Steering), Refusal> {
    match (&shared.fleet, &shared.options.steering) {
        (Some(fleet), Some(steering)) => Ok((fleet, steering)),
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "this server does not steer rollouts".to_owned(),
        )),
    }
}

fn refusal(error: &RefusedByServer) -> Refusal {
    match error {
        RefusedByServer::NoSuchRollout(..) => {
            Refusal::new(StatusCode::NOT_FOUND, "no_such_rollout", error.to_string())
        }
        RefusedByServer::NotAllowed(_) | RefusedByServer::TooLate => {
            Refusal::new(StatusCode::CONFLICT, "not_allowed", error.to_string())
        }
        RefusedByServer::Failed(error) => Refusal::internal(error),
    }
}

/// The share of installations that a rollout reaches at `now`, in thousandths.
pub(super) fn reach(rollout: &PlannedRollout, now: Timestamp) -> u16 {
    if rollout.is_halted_offline {
        return 0;
    }
    share(&rollout.plan, rollout.word.as_ref(), now)
}

fn described(rollout: &PlannedRollout, now: Timestamp) -> Value {
    let word = present(&rollout.plan, rollout.word.as_ref());
    json!({
        "app": rollout.app,
        "version": rollout.version,
        "plan": rollout.plan,
        "word": rollout.word,
        "stage": word.stage + 1,
        "stages": rollout.plan.stages().len(),
        "permille": reach(rollout, now),
        "halted": rollout.is_halted_offline || word.halted,
        "halted_offline": rollout.is_halted_offline,
        "recalled": word.recalled,
    })
}

fn with_numbers(Standing { rollout, state, since, tally, at }: &Standing) -> Value {
    let mut described = described(rollout, *at);
    described["state"] = json!(state);
    described["since"] = json!(since);
    described["updates"] =
        json!({ "up": tally.up, "rolled_back": tally.rolled_back, "failed": tally.failed });
    described
}
