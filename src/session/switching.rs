//! Makes another version the active one: now, or at the next start while the app is running.
//!
//! In: a version, the home's lock. Out: the outcome of the switch, events on the way, what of it is
//! worth a report. Never: starts the app.

use super::set_aside;
use crate::environment::Environment;
use crate::error_chain;
use crate::host;
use crate::messages::language::{Chosen, SwitchTo};
use crate::messages::problem;
use crate::messages::protocol::{Event, Problem, Progress};
use crate::model::incident::Incident;
use crate::model::{ContainerId, Version};
use crate::reports::Happening;
use crate::store::lock::RunningLock;
use crate::store::recall::WentBack;
use crate::store::switch::{self, SwitchOptions};
use crate::store::{Home, StoreError, probation, recall, remove};

/// From this amount of user files on the window shows the progress of carrying them over, bytes.
pub(crate) const WORTH_A_BAR: u64 = 32 << 20;

/// Switches to `id` now, or at the next start while the app is running in another version, even if
/// another launcher started it.
pub(crate) fn choose(
    environment: &Environment,
    to: SwitchTo,
    at_next_start: bool,
    tell: &dyn Fn(Event),
) -> Result<Chosen, Problem> {
    let home = &environment.home;
    let SwitchTo { id, for_recall } = to;
    let result = environment.lock().and_then(|lock| {
        let in_use = |active: ContainerId| active != id && RunningLock::is_held(home, &active);
        let at_next_start =
            at_next_start || home.active().is_ok_and(|(active, _)| in_use(active.container));
        if at_next_start {
            match for_recall {
                true => recall::follow_at_next_start(home, &id, &lock)?,
                false => switch::switch_at_next_start(home, &id, &lock)?,
            }
        } else {
            let on_progress = |done, total| {
                if total >= WORTH_A_BAR {
                    tell(Event::Progress(Progress { done, total, ..Progress::default() }));
                }
            };
            let options = options(environment, &on_progress);
            let switched = match for_recall {
                true => recall::follow(home, &id, options, &lock),
                false => recall::leave(home, &id, options, &lock),
            };
            let (record, files) = match switched {
                // Another launcher has started the version to be left meanwhile: the switch waits
                // for its end.
                Err(StoreError::InUse { .. })
                    if home.named()?.is_some_and(|active| active.pending.as_ref() == Some(&id)) =>
                {
                    return Ok(true);
                }
                result => result?,
            };
            files.carried_over.log();
            if !files.carried_over.conflicts.is_empty() {
                let version = record.container.version.clone();
                let what = Incident::Conflicts { version, files: files.carried_over.conflicts };
                tell(Event::Incident { when: host::now(), what });
            }
            if let Some(back) = files.went_back {
                let what = went_back(record.container.version, back);
                leave_notice(home, what.clone());
                tell(Event::Incident { when: host::now(), what });
            }
        }
        Ok(at_next_start)
    });
    result
        .map(|at_next_start| Chosen { id, at_next_start })
        .map_err(|error| problem::of_store(&error))
}

/// The incident of a recall that led back: where the user's files are.
pub(super) fn went_back(to: Version, back: WentBack) -> Incident {
    let WentBack { from, files_of, retained, holds_files } = back;
    Incident::Recalled { from, to, files_of, retained, holds_files }
}

/// Leaves an incident for the next window too: perhaps nobody looks now.
fn leave_notice(home: &Home, what: Incident) {
    if let Err(error) = probation::leave_notice(home, what, host::now()) {
        tracing::warn!(error = error_chain::line(&error), "the next start will not tell it");
    }
}

/// What of the outcome of [`choose`] is worth a report; `was_recalled` is whether the version before
/// it is recalled.
pub(crate) fn happening(
    to: &Version,
    chosen: &Result<Chosen, Problem>,
    was_recalled: bool,
) -> Option<Happening> {
    match chosen {
        Ok(Chosen { at_next_start: true, .. }) => None,
        Ok(_) => Some(Happening::switched(to.clone(), was_recalled)),
        Err(problem) => Happening::not_switched(to, problem),
    }
}

/// Prunes the versions beyond the number that the settings keep, at a time when nobody waits for
/// it. It holds the home's lock only until the old versions have lost their names; deleting their
/// files takes longer, and meanwhile others can switch. A version that cannot be deleted is no
/// reason to fail.
pub(crate) fn prune_automatically(environment: &Environment) {
    let keep = environment.settings.update.keep_versions;
    match environment.remove_versions(|home, lock| remove::set_aside_surplus(home, keep, lock)) {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => tracing::info!(?removed, "old versions removed"),
        Err(error) => {
            tracing::warn!(error = error_chain::line(&error), "old versions could not be removed")
        }
    }
    set_aside::report(environment);
}

/// The switch options of this launcher.
pub(super) fn options<'a>(
    environment: &'a Environment,
    on_progress: &'a dyn Fn(u64, u64),
) -> SwitchOptions<'a> {
    SwitchOptions {
        variable: &host::variable,
        migration_limit: environment.settings.update.migration_limit(),
        on_progress,
    }
}
