//! Moves rollouts within the plans that the offline keys signed: signs words with the online key of
//! the role `rollout`, which can name words and nothing else.
//!
//! In: the current repository, a move or a word, online keys, the time. Out: a transaction with the
//! list of words, the snapshot and the timestamp. Never: a word that the plan of its release does
//! not allow; a number that is not above the one before; a release, or a share.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp as Time;
use tough::schema::Target;

use super::current::Current;
use super::entries::{release_of, target, target_name};
use super::error::PublishError;
use super::in_force::NewDocuments;
use super::keys::Keyring;
use super::metadata;
use super::project::Project;
use super::repository::to_value;
use super::transaction::Transaction;
use crate::model::platform::AppName;
use crate::model::rollout_move::RolloutMove;
use crate::model::rollout_plan::{RolloutPlan, RolloutWord};
use crate::model::{Digest, Version};
use crate::trust::{ROLLOUT_ROLE, SignedWord};

/// A release with a plan, on all its platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRollout {
    /// The app.
    pub app: AppName,
    /// The version.
    pub version: Version,
    /// The plan.
    pub plan: RolloutPlan,
    /// Whether its platforms have different plans. One word cannot move them; it can stop all.
    pub plans_differ: bool,
    /// Whether the offline keys have halted it, which no word undoes.
    pub is_halted_offline: bool,
    /// The word that holds, if there is one.
    pub word: Option<RolloutWord>,
}

impl Project {
    /// All releases with a plan, ordered by app and version. Of a version whose platforms have
    /// different plans it is the first one's.
    ///
    /// # Errors
    /// The errors of reading the repository.
    pub fn planned_rollouts(&self) -> Result<Vec<PlannedRollout>, PublishError> {
        Ok(planned(&self.current()?).into_values().collect())
    }

    /// Prepares a word: the one that `choose` makes from the present one; an empty transaction if
    /// that is none, or the present one.
    ///
    /// # Errors
    /// [`PublishError::Rollout`] if there is no such release with a plan, or the plan does not allow
    /// it; [`PublishError::NoRolloutRole`] in a repository that was made before there were plans.
    pub fn steer(
        &self,
        (app, version): (&AppName, &Version),
        choose: impl FnOnce(&PlannedRollout) -> Result<Option<RolloutWord>, PublishError>,
        keyring: &Keyring,
        now: Time,
    ) -> Result<(Transaction, Option<RolloutWord>), PublishError> {
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let planned = planned(&current);
        let rollout = planned
            .get(&(app.clone(), version.clone()))
            .ok_or_else(|| refused(app, version, "there is no such release with a plan"))?;
        let Some(word) = choose(rollout)?.filter(|word| Some(*word) != rollout.word) else {
            return Ok((Transaction::new(lock, []), rollout.word));
        };
        check(rollout, &word)?;
        // A word goes with its plan.
        let mut words = words(&current);
        words.retain(|about, _| planned.contains_key(about));
        words.insert((app.clone(), version.clone()), word);
        let version = current.next_version_of(ROLLOUT_ROLE)?;
        let lifetimes = &self.settings().lifetimes;
        let mut document = metadata::new_role(ROLLOUT_ROLE, version, now, lifetimes)?;
        for ((app, version), word) in &words {
            let name = target_name(&SignedWord::target_name(app, version))?;
            document.targets.insert(name, entry(word)?);
        }
        let delegating = &current.targets.signed.signed;
        let signed = metadata::sign_role(ROLLOUT_ROLE, document, delegating, keyring, &[])?;
        let mut new = NewDocuments::default();
        new.roles.insert(ROLLOUT_ROLE.to_owned(), signed);
        let steps = self.put_in_force(&current, &new, keyring, now)?;
        Ok((Transaction::new(lock, steps), Some(word)))
    }

    /// Prepares the word after a move that a person makes.
    ///
    /// # Errors
    /// Those of [`Project::steer`].
    pub fn move_rollout(
        &self,
        (app, version): (&AppName, &Version),
        wanted: RolloutMove,
        keyring: &Keyring,
        now: Time,
    ) -> Result<(Transaction, Option<RolloutWord>), PublishError> {
        let choose = |rollout: &PlannedRollout| {
            rollout.after(wanted, now).map_err(|reason| refused(app, version, &reason))
        };
        self.steer((app, version), choose, keyring, now)
    }
}

impl PlannedRollout {
    /// The word after a move; `None` if it changes nothing. An error text if it is not allowed.
    pub fn after(&self, wanted: RolloutMove, now: Time) -> Result<Option<RolloutWord>, String> {
        if self.is_halted_offline && wanted != RolloutMove::Halt {
            return Err("the offline keys have halted it, and they alone resume it".to_owned());
        }
        let needs_one = matches!(wanted, RolloutMove::Next | RolloutMove::Recall);
        if self.plans_differ && needs_one {
            let one = "`kuzflow rollout --plan` gives them one";
            return Err(format!("its platforms have different plans; {one}"));
        }
        wanted.after(&self.plan, self.word.as_ref(), now).map_err(|error| error.to_string())
    }
}

/// Refuses a word that launchers would not follow, and one that would go back.
fn check(rollout: &PlannedRollout, word: &RolloutWord) -> Result<(), PublishError> {
    let refuse = |reason: &str| Err(refused(&rollout.app, &rollout.version, reason));
    if word.plan != Some(rollout.plan.digest()) {
        return refuse("its plan has been replaced");
    }
    if word.stage >= rollout.plan.stages().len() {
        return refuse("its plan has no such stage");
    }
    if word.recalled && rollout.plan.recall_to().is_none() {
        return refuse("its plan names no version that a recall leads to");
    }
    if rollout.word.is_some_and(|known| word.sequence <= known.sequence) {
        return refuse("a newer word is signed already");
    }
    Ok(())
}

fn refused(app: &AppName, version: &Version, reason: &str) -> PublishError {
    PublishError::Rollout { release: format!("{app} {version}"), reason: reason.to_owned() }
}

/// The releases with a plan.
fn planned(current: &Current) -> BTreeMap<(AppName, Version), PlannedRollout> {
    let words = words(current);
    let mut planned: BTreeMap<(AppName, Version), PlannedRollout> = BTreeMap::new();
    for release in current.content().targets.values().filter_map(release_of) {
        let Some(plan) = release.plan else { continue };
        let key = (release.container.app, release.container.version);
        let new = PlannedRollout {
            app: key.0.clone(),
            version: key.1.clone(),
            plan,
            plans_differ: false,
            is_halted_offline: release.halted,
            word: words.get(&key).copied(),
        };
        planned
            .entry(key)
            .and_modify(|known| {
                known.plans_differ |= known.plan != new.plan;
                known.is_halted_offline |= new.is_halted_offline;
            })
            .or_insert(new);
    }
    planned
}

/// The signed words.
fn words(current: &Current) -> BTreeMap<(AppName, Version), RolloutWord> {
    let list = current.roles.get(ROLLOUT_ROLE);
    let targets = list.into_iter().flat_map(|list| &list.signed.signed.targets);
    let read = targets.filter_map(|(name, target)| {
        let custom = target.custom.clone().into_iter().collect();
        SignedWord::read(name.raw(), custom).ok()
    });
    read.map(|signed| ((signed.app, signed.version), signed.word)).collect()
}

/// A word as a target: it has no bytes, and says everything in its description.
fn entry(word: &RolloutWord) -> Result<Target, PublishError> {
    let custom = match to_value(word)? {
        serde_json::Value::Object(fields) => fields.into_iter().collect(),
        _ => HashMap::new(),
    };
    Ok(target(Digest::of(b""), 0, custom))
}
