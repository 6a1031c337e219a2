//! The conductor of a server: moves rollouts within their signed plans, by the numbers and by a
//! person's word.
//!
//! In: the releases with a plan, what launchers report, moves of operators. Out: words, signed with
//! the online key of the role `rollout`, and how each rollout stands. Never: a move
//! that the plan does not allow; a word that is signed before it is stored; two servers that conduct
//! one app at a time.
//!
//! A server that dies between storing and signing signs the stored word when it, or another one, has
//! the lease again.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::error::ServerError;
use super::fleet::Fleet;
use super::state::ServerState;
use super::steering::Steering;
use crate::error_chain;
use crate::fleet::{About, Ended, Origin, Step, StoredWord, Tally, step};
use crate::host;
use crate::model::report::RandomId;
use crate::model::rollout_move::{RolloutMove, present};
use crate::model::rollout_plan::{RolloutPlan, RolloutWord};
use crate::publish::PlannedRollout;

/// How often the conductor looks.
const INTERVAL: Duration = Duration::from_secs(10);
/// How long a conductor that is silent holds its apps, seconds.
const LEASE_SECONDS: i64 = 60;
/// How often a stop is tried while others move the same rollout.
const STOP_TRIES: usize = 4;
/// Who moves a rollout by the numbers, in the audit.
const CONDUCTOR: &str = "conductor";

/// How a rollout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RolloutState {
    /// Its plan begins later.
    NotBegun,
    /// A stage lasts, or its numbers do not suffice yet.
    Running,
    /// The next stage is earned, and a person opens it.
    WaitsForApproval,
    /// The last stage has lasted its hours, and its numbers are good.
    Finished,
    /// A word has halted it.
    Halted,
    /// The offline keys have halted it.
    HaltedOffline,
    /// A word has recalled the release.
    Recalled,
}

impl RolloutState {
    pub(super) const ALL: [Self; 7] = [
        Self::NotBegun,
        Self::Running,
        Self::WaitsForApproval,
        Self::Finished,
        Self::Halted,
        Self::HaltedOffline,
        Self::Recalled,
    ];

    /// The state as JSON has it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::NotBegun => "not_begun",
            Self::Running => "running",
            Self::WaitsForApproval => "waits_for_approval",
            Self::Finished => "finished",
            Self::Halted => "halted",
            Self::HaltedOffline => "halted_offline",
            Self::Recalled => "recalled",
        }
    }

    /// The state of a rollout whose stage began at `since`.
    fn of(rollout: &PlannedRollout, since: Timestamp, tally: Tally, now: Timestamp) -> Self {
        let word = present(&rollout.plan, rollout.word.as_ref());
        if word.recalled {
            Self::Recalled
        } else if rollout.is_halted_offline {
            Self::HaltedOffline
        } else if word.halted {
            Self::Halted
        } else if now < rollout.plan.begins() {
            Self::NotBegun
        } else {
            match step(&rollout.plan, &word, since, tally, now) {
                Step::Ask => Self::WaitsForApproval,
                Step::Finish => Self::Finished,
                Step::Stay | Step::Next | Step::Halt(_) => Self::Running,
            }
        }
    }
}

/// A rollout as an operator sees it.
pub(super) struct Standing {
    pub(super) rollout: PlannedRollout,
    pub(super) state: RolloutState,
    /// Since when its word holds; the tally counts from then on.
    pub(super) since: Timestamp,
    pub(super) tally: Tally,
    /// When it was looked at.
    pub(super) at: Timestamp,
}

/// Why a move of a person is not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum RefusedByServer {
    #[error("there is no release {0} {1} with a plan")]
    NoSuchRollout(String, String),
    #[error("{0}")]
    NotAllowed(String),
    #[error("somebody else has just moved it; look again")]
    TooLate,
    #[error(transparent)]
    Failed(#[from] ServerError),
}

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

    /// Since when the word that holds does so; that of an older plan ends when the present one
    /// begins.
    fn began(&self) -> Timestamp {
        let signed = self.stored.and_then(|stored| stored.signed);
        let signed = signed.and_then(|seconds| Timestamp::from_second(seconds).ok());
        let begins = self.rollout.plan.begins();
        signed.map_or(begins, |signed| signed.max(begins))
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
    match what_agrees(rollout, stored) {
        Agreement::Sign(word) => {
            steering.sign(rollout, word).await?;
            fleet.store.note_signed(about, &word, Origin::Here).await?;
            rollout.word = Some(word);
        }
        Agreement::Note(word) => {
            fleet.store.note_signed(about, &word, Origin::Elsewhere).await?;
        }
        Agreement::Nothing => {}
    }
    let stored = fleet.store.newest_word(about).await?;
    Ok(Present { rollout, names, stored })
}

/// What brings the store and the repository together.
#[derive(Debug, PartialEq, Eq)]
enum Agreement {
    /// The store's word is signed: it waits for that, or the repository has lost it (a restore from
    /// a backup, an upload of an older copy).
    Sign(RolloutWord),
    /// The repository's word was signed elsewhere, and is noted.
    Note(RolloutWord),
    Nothing,
}

/// A stop wins: nothing that ends one is signed a second time, or after it. The person who wanted
/// that does it again.
fn what_agrees(rollout: &PlannedRollout, stored: Option<StoredWord>) -> Agreement {
    let stops = |word: &RolloutWord| word.halted || word.recalled;
    let signed = rollout.word;
    let Some(StoredWord { word: known, signed: noted, .. }) = stored else {
        return signed.map_or(Agreement::Nothing, Agreement::Note);
    };
    let number = signed.map_or(0, |word| word.sequence);
    let is_stopped = signed.as_ref().is_some_and(stops);
    // Two moves with one number: this one waited while another was made at a terminal.
    let is_overtaken = known.sequence == number && signed != Some(known) && noted.is_none();
    if known.sequence > number || is_overtaken && stops(&known) && !is_stopped {
        let ends_a_stop = is_stopped && !stops(&known);
        if ends_a_stop || !still_holds(&rollout.plan, &known) {
            return Agreement::Nothing;
        }
        return Agreement::Sign(signed_anew(&rollout.plan, &known, number));
    }
    match signed {
        Some(word) if word.sequence > known.sequence || noted.is_none() => Agreement::Note(word),
        _ => Agreement::Nothing,
    }
}

/// Whether a stored word still means something. Of one about a plan that another one has replaced
/// only the stop does; the next word has a higher number.
fn still_holds(plan: &RolloutPlan, word: &RolloutWord) -> bool {
    let is_about_it = word.plan == Some(plan.digest()) && word.stage < plan.stages().len();
    is_about_it || word.halted || word.recalled
}

/// A stored word in terms of the present plan, above the number in the repository. A recall under a
/// plan that leads nowhere is a halt.
fn signed_anew(plan: &RolloutPlan, known: &RolloutWord, number: u64) -> RolloutWord {
    let word = present(plan, Some(known));
    let recalled = word.recalled && plan.recall_to().is_some();
    let sequence = known.sequence.max(number.saturating_add(1));
    RolloutWord { sequence, recalled, halted: word.halted || word.recalled && !recalled, ..word }
}

/// Stores a move and signs it. Returns the word; `None` if somebody else was faster.
async fn make_move(
    fleet: &Fleet,
    steering: &Steering,
    present: &Present<'_>,
    (who, wanted): (&str, RolloutMove),
    word: RolloutWord,
) -> Result<Option<RolloutWord>, ServerError> {
    // The repository's number falls after a restore from a backup, or when a plan came anew.
    let known = present.stored.as_ref().map_or(0, |stored| stored.word.sequence);
    let word = RolloutWord { sequence: word.sequence.max(known.saturating_add(1)), ..word };
    if !fleet.store.decide(present.about(), (who, wanted), &word).await? {
        return Ok(None);
    }
    steering.sign(present.rollout, word).await?;
    fleet.store.note_signed(present.about(), &word, Origin::Here).await?;
    Ok(Some(word))
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
            let made = make_move(fleet, steering, &known, (CONDUCTOR, wanted), next).await?;
            if made.is_none() {
                let version = &rollout.version;
                tracing::warn!(%version, "somebody else has moved the rollout; it is looked at again");
            }
        }
        Ok(None) => {}
        Err(reason) => tracing::debug!(version = %rollout.version, "no move: {reason}"),
    }
    Ok(())
}

/// All rollouts with a plan.
pub(super) async fn standings(
    fleet: &Fleet,
    steering: &Steering,
) -> Result<Vec<Standing>, ServerError> {
    let now = host::now();
    let mut standings = Vec::new();
    for mut rollout in steering.rollouts().await? {
        let names = (rollout.app.to_string(), rollout.version.to_string());
        let about = About { app: &names.0, version: &names.1 };
        let stored = fleet.store.newest_word(about).await?;
        let known = Present { rollout: &mut rollout, names, stored };
        let (since, tally) = (known.began(), known.tally(fleet).await?);
        let state = RolloutState::of(&rollout, since, tally, now);
        standings.push(Standing { rollout, state, since, tally, at: now });
    }
    Ok(standings)
}

/// Makes a person's move. Returns whether it changed anything, and the rollout as it stands then. A
/// stop is made on top of whatever somebody else has just done.
pub(super) async fn move_by(
    fleet: &Fleet,
    steering: &Steering,
    (who, wanted): (&str, RolloutMove),
    about: (&str, &str),
) -> Result<(bool, PlannedRollout), RefusedByServer> {
    let tries = match wanted {
        RolloutMove::Halt | RolloutMove::Recall => STOP_TRIES,
        RolloutMove::Resume | RolloutMove::Next | RolloutMove::TakeBack => 1,
    };
    for _ in 1..tries {
        match move_once(fleet, steering, (who, wanted), about).await {
            Err(RefusedByServer::TooLate) => {}
            moved => return moved,
        }
    }
    move_once(fleet, steering, (who, wanted), about).await
}

async fn move_once(
    fleet: &Fleet,
    steering: &Steering,
    (who, wanted): (&str, RolloutMove),
    (app, version): (&str, &str),
) -> Result<(bool, PlannedRollout), RefusedByServer> {
    let mut rollouts = steering.rollouts().await?.into_iter();
    let is_meant = |rollout: &PlannedRollout| {
        rollout.app.as_str() == app && rollout.version.to_string() == version
    };
    let Some(mut rollout) = rollouts.find(is_meant) else {
        return Err(RefusedByServer::NoSuchRollout(app.to_owned(), version.to_owned()));
    };
    let known = agreed(fleet, steering, &mut rollout).await?;
    let next = known.rollout.after(wanted, host::now()).map_err(RefusedByServer::NotAllowed)?;
    let Some(word) = next else { return Ok((false, known.rollout.clone())) };
    let Some(word) = make_move(fleet, steering, &known, (who, wanted), word).await? else {
        return Err(RefusedByServer::TooLate);
    };
    Ok((true, PlannedRollout { word: Some(word), ..known.rollout.clone() }))
}

#[cfg(test)]
mod tests;
