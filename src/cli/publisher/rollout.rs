//! `kuzflow rollout`: how many installations may see a release.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::renew;
use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::place::{PUBLISHER_LOCK_TIMEOUT, RepositoryPlace};
use super::shared::{offered, upload};
use crate::app::Ending;
use crate::host;
use crate::model::Version;
use crate::model::rollout_move::RolloutMove;
use crate::model::rollout_plan::RolloutPlan;
use crate::publish::transaction::when_free;
use crate::publish::{Keyring, Project, RolloutChange, Transaction};

/// The arguments of `kuzflow rollout`.
#[derive(Debug, Args)]
pub(super) struct RolloutArguments {
    #[command(flatten)]
    place: RepositoryPlace,
    /// Which release.
    #[arg(long, value_name = "VERSION")]
    version: Version,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Change {
    /// Share of installations that may see it, in percent.
    #[arg(long, value_name = "N")]
    percent: Option<f64>,
    /// No new installs.
    #[arg(long)]
    halt: bool,
    /// Installs again, up to the share it had.
    #[arg(long)]
    resume: bool,
    /// It reaches more installations step by step, as this TOML file says.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The stage of its plan that is reached; the first one is 1.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    stage: Option<u16>,
    /// Older installations pass through it before they are offered a newer release.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    watershed: Option<bool>,
    /// A move within its plan, with the key of the role rollout and the other online keys alone, as a
    /// server with --steer does: halt, resume, next (opens the next stage), recall (to the version
    /// that the plan names) or take-back (ends a recall, and leaves it halted).
    #[arg(long, value_name = "MOVE")]
    online: Option<RolloutMove>,
}

impl Change {
    fn read(&self) -> Result<RolloutChange, VerbError> {
        Ok(match self {
            Self { halt: true, .. } => RolloutChange::Halt,
            Self { resume: true, .. } => RolloutChange::Resume,
            Self { plan: Some(path), .. } => {
                RolloutChange::Plan(Box::new(RolloutPlan::read(path, host::now())?))
            }
            Self { stage: Some(stage), .. } => RolloutChange::Stage(usize::from(*stage) - 1),
            Self { watershed: Some(watershed), .. } => RolloutChange::Watershed(*watershed),
            Self { percent, .. } => RolloutChange::Permille(permille(percent.unwrap_or_default())?),
        })
    }
}

/// Changes the share, or halts a release.
pub(super) fn rollout(arguments: &RolloutArguments, say: &Say) -> Result<Ending, VerbError> {
    let (project, keyring) = arguments.place.open()?;
    if let Some(wanted) = arguments.change.online {
        let ending = move_rollout((&project, &keyring), &arguments.version, wanted, say)?;
        return Ok(renew::warn_after(&project, ending));
    }
    let change = arguments.change.read()?;
    let ending = change_release((&project, &keyring), &arguments.version, &change, say)?;
    Ok(renew::warn_after(&project, ending))
}

/// Signs a word about a rollout.
fn move_rollout(
    (project, keyring): (&Project, &Keyring),
    version: &Version,
    wanted: RolloutMove,
    say: &Say,
) -> Result<Ending, VerbError> {
    let (transaction, word) = when_free(PUBLISHER_LOCK_TIMEOUT, || {
        let about = (&project.settings().app, version);
        project.move_rollout(about, wanted, keyring, host::now())
    })?;
    if let Some(word) = word {
        let stopped = match (word.recalled, word.halted) {
            (true, _) => ", recalled",
            (false, true) => ", halted",
            (false, false) => "",
        };
        say.line(&format!("{version}: word {}, stage {}{stopped}", word.sequence, word.stage + 1));
    }
    let ending = finish(transaction, say, "rollout changed")?;
    upload::tell_next(project, say);
    Ok(ending)
}

/// Signs a change of a release, and tells how it stands then.
pub(super) fn change_release(
    (project, keyring): (&Project, &Keyring),
    version: &Version,
    change: &RolloutChange,
    say: &Say,
) -> Result<Ending, VerbError> {
    let transaction = when_free(PUBLISHER_LOCK_TIMEOUT, || {
        project.set_rollout(version, change.clone(), keyring, host::now())
    })?;
    let ending = finish(transaction, say, "rollout changed")?;
    offered::tell_version(project, version, say)?;
    upload::tell_next(project, say);
    Ok(ending)
}

fn finish(transaction: Transaction, say: &Say, done: &str) -> Result<Ending, VerbError> {
    if transaction.is_empty() {
        say.line("nothing to do");
        say.result(json!({ "status": "nothing_to_do" }));
        return Ok(Ending::NothingToDo);
    }
    transaction.run()?;
    say.line(done);
    say.result(json!({ "status": "done" }));
    Ok(Ending::Done)
}

/// A share of installations in thousandths. Finer shares are refused: rounded, they would reach
/// more people than the publisher has typed, or nobody.
pub(super) fn permille(percent: f64) -> Result<u16, VerbError> {
    if !(0.0..=100.0).contains(&percent) {
        return Err(format!("a rollout is 0 to 100 percent, not {percent}").into());
    }
    let thousandths = percent * 10.0;
    let whole = thousandths.round();
    if (thousandths - whole).abs() > 1e-6 {
        return Err(format!("a rollout is a multiple of 0.1 percent, not {percent}").into());
    }
    Ok(whole as u16)
}

#[cfg(test)]
mod tests {
    use super::permille;

    #[test]
    fn a_share_has_whole_thousandths() {
        for (percent, thousandths) in [(0.0, 0), (0.1, 1), (12.3, 123), (33.3, 333), (100.0, 1000)]
        {
            assert_eq!(permille(percent).unwrap(), thousandths);
        }
        for percent in [0.05, 12.34, 99.99, -1.0, 100.1, f64::NAN] {
            assert!(permille(percent).is_err(), "{percent}");
        }
    }
}
