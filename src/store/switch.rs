//! Makes another installed version the active one, in a transaction.
//!
//! ```text
//! prepare    the next version's files are laid out aside: its defaults,
//!            the user's files, migrated                                    (nothing counts yet)
//! note       the version that is left gets a snapshot to return to
//! commit     journal, folders moved into place, pointer                    (forward only)
//! ```
//!
//! A failure or a kill while preparing leaves everything as it was. The next holder of the lock
//! finishes a commit that was interrupted. The app must have ended: whatever it still wrote would
//! be left behind. The new version is then on probation ([`super::Probation`]) until it has come
//! up. A switch back is a switch like any other: the user's present files are carried over.
//! [`super::rollback`] instead returns to the files as they were.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::carry_over::{self, CarriedOver, ProgressSink};
use super::copying::can_clone;
use super::files::remove_tree;
use super::journal::{self, Journal};
use super::launch::Variable;
use super::lock::{HomeLock, NotStarting, RunningLock};
use super::names::{INCOMING, REMOVED};
use super::snapshots::{self, Reason, Snapshot};
use super::{Active, Home, InstalledRecord, Probation, StoreError, migration_script};
use crate::durable;
use crate::error_chain;
use crate::file_error::FileResult as _;
use crate::model::ContainerId;

/// Space that stays free on the disk, bytes.
const RESERVE: u64 = 16 << 20;

#[derive(Clone, Copy)]
pub(crate) struct SwitchOptions<'a> {
    /// Reads the environment, for the migration script.
    pub variable: Variable<'a>,
    /// How long a release's own migration may take.
    pub migration_limit: Duration,
    /// Receives the bytes done and the total bytes.
    pub on_progress: ProgressSink<'a>,
}

impl SwitchOptions<'_> {
    /// No environment variables, five minutes for a migration, no progress reports.
    pub(crate) const PLAIN: SwitchOptions<'static> = SwitchOptions {
        variable: &|_| None,
        migration_limit: Duration::from_secs(300),
        on_progress: &|_, _| (),
    };
}

/// Switches to `id` at once.
pub(crate) fn switch(
    home: &Home,
    id: &ContainerId,
    options: SwitchOptions,
    lock: &HomeLock,
) -> Result<(InstalledRecord, CarriedOver), StoreError> {
    journal::settle(home, lock)?;
    let record = home.record(id)?;
    let before = match home.active() {
        Ok(before) => Some(before),
        Err(StoreError::NothingInstalled { .. }) => None,
        Err(error) => return Err(error),
    };
    let damaged = damaged_before(home, id)?;
    let source = match &before {
        Some((active, _)) if active.container != *id => Some(home.container(&active.container)),
        _ => damaged.clone(),
    };
    let Some(source) = source else {
        let (previous, probation) = match before {
            Some((active, _)) if !home.has_lost_pointer() => (active.previous, active.probation),
            // A first version has no predecessor to return to yet. It still gets a probation, so
            // that a version that never comes up is no rollback target later.
            _ => (None, Some(Probation::begin(jiff::Timestamp::now()))),
        };
        home.set_active(&Active {
            container: id.clone(),
            previous,
            pending: None,
            pending_goes_back: false,
            pending_failures: 0,
            probation,
        })?;
        return Ok((record, CarriedOver::default()));
    };
    let left = before.filter(|(active, _)| active.container != *id);
    // Nobody may write to the files while they are moved.
    RunningLock::refuse_if_running(home, id)?;
    let from = left.as_ref().map(|(active, _)| &active.container);
    let alone = from.map(|from| Alone::begin(home, from)).transpose()?;
    let switched =
        transfer(home, &source, left.as_ref().zip(alone.as_ref()), &record, options, lock);
    if switched.is_err() {
        // On a full disk the app needs the space.
        journal::remove_prepared(home);
    }
    Ok((record, switched?))
}

/// Ensures that nobody starts or works in the version that is left. A start waits for a switch, but
/// with a limit. If this launcher was stopped, or a migration takes long, another launcher starts
/// the version nevertheless, and its user's work counts. So the version is checked for this before
/// the switch takes effect, and once more afterwards.
struct Alone<'a> {
    home: &'a Home,
    id: &'a ContainerId,
    waiting: NotStarting,
    /// The fingerprint of the user's files when this began.
    files: u64,
}

impl<'a> Alone<'a> {
    fn begin(home: &'a Home, id: &'a ContainerId) -> Result<Self, StoreError> {
        let waiting = RunningLock::keep_from_starting(home, id)?;
        Ok(Self { home, id, waiting, files: carry_over::fingerprint(&home.container(id))? })
    }

    /// Returns [`StoreError::InUse`] if somebody has started the version meanwhile, or has worked
    /// in it.
    fn check(&self) -> Result<(), StoreError> {
        self.waiting.refuse_if_outrun(self.home, self.id)?;
        if self.waiting.may_be_outrun()
            && carry_over::fingerprint(&self.home.container(self.id))? != self.files
        {
            return Err(StoreError::InUse {
                id: self.id.to_string(),
                reason: "somebody has worked in it meanwhile",
            });
        }
        Ok(())
    }
}

fn transfer(
    home: &Home,
    source: &Path,
    left: Option<(&(Active, InstalledRecord), &Alone)>,
    to: &InstalledRecord,
    options: SwitchOptions,
    lock: &HomeLock,
) -> Result<CarriedOver, StoreError> {
    let id = &to.container;
    let (left, alone) = (left.map(|(left, _)| left), left.map(|(_, alone)| alone));
    let (work, carried_over) = prepare(home, source, left.map(|(_, record)| record), to, options)?;
    if let (Some((before, _)), Some(alone)) = (left, alone) {
        wait_for_next_start(home, before, id, alone.check())?;
    }
    let now = jiff::Timestamp::now();
    let displaced = displaced(home, id, now)?;
    let note = match left {
        Some((active, _)) => {
            let healthy = active.probation.as_ref().is_none_or(|probation| probation.up);
            let note = Snapshot {
                healthy,
                ..Snapshot::new(home, &active.container, id, Reason::Switched, now)?
            };
            note.write(home)?;
            Some(note)
        }
        None => None,
    };
    // A version that never came up is no rollback target.
    let previous = left.and_then(|(active, _)| match &active.probation {
        Some(probation) if !probation.up => {
            active.previous.clone().filter(|previous| previous != id)
        }
        _ => Some(active.container.clone()),
    });
    let probation = left.map(|_| Probation::begin(now));
    let active = Active {
        container: id.clone(),
        previous,
        pending: None,
        pending_goes_back: false,
        pending_failures: 0,
        probation,
    };
    // If a kill after this point is followed by a disk that refuses, the old version remains
    // active; then the next start tries again.
    if let Some((before, _)) = left {
        home.set_active(&before.with_pending(id))?;
    }
    let journal = commit(home, &work, &displaced, active, lock).inspect_err(|_| {
        if let Some((before, _)) = left
            && let Err(error) = home.set_active(before)
        {
            tracing::warn!(
                error = error_chain::line(&error),
                "the next start will try the switch again"
            );
        }
    })?;
    if let (Some((before, _)), Some(alone)) = (left, alone)
        && let Err(outrun) = alone.check()
    {
        // Somebody may have begun to work in the new version by now; then the switch remains valid.
        if let Ok(_waiting) = RunningLock::keep_from_starting(home, id) {
            journal.take_back(home, &before.with_pending(id))?;
            return Err(outrun);
        }
    }
    finish(home, &displaced, note.as_ref());
    Ok(carried_over)
}

/// Leaves a switch to the next start, because somebody has started the version meanwhile.
fn wait_for_next_start(
    home: &Home,
    before: &Active,
    id: &ContainerId,
    checked: Result<(), StoreError>,
) -> Result<(), StoreError> {
    if let Err(StoreError::InUse { .. }) = checked {
        home.set_active(&before.with_pending(id))?;
    }
    checked
}

/// Writes the journal and performs the switch.
pub(super) fn commit(
    home: &Home,
    prepared: &Path,
    displaced: &Path,
    active: Active,
    lock: &HomeLock,
) -> Result<Journal, StoreError> {
    let below = |path: &Path| path.strip_prefix(home.root()).unwrap_or(path).to_owned();
    let folders = journal::folders_in(prepared)?;
    let container = active.container.clone();
    let journal = Journal {
        container,
        prepared: below(prepared),
        folders,
        displaced: below(displaced),
        active,
    };
    journal.commit(home, lock)?;
    Ok(journal)
}

/// Lays out the files that `to` will get; returns the folder.
fn prepare(
    home: &Home,
    source: &Path,
    from: Option<&InstalledRecord>,
    to: &InstalledRecord,
    options: SwitchOptions,
) -> Result<(PathBuf, CarriedOver), StoreError> {
    let newer = from.filter(|from| from.container.version > to.container.version).unwrap_or(to);
    if let Some(from) = from
        && from.data_schema > to.data_schema
        && !migration_script::is_there(home, &newer.container)?
    {
        return Err(StoreError::DataTooNew {
            id: to.container.to_string(),
            found: from.data_schema,
            known: to.data_schema,
        });
    }
    let work = fresh_incoming(home)?;
    if !can_clone(&work) {
        home.check_space(carry_over::bytes_of(source)?.saturating_add(RESERVE))?;
    }
    let carried_over = carry_over::lay_out(
        source,
        &home.container(&to.container),
        &work,
        from.is_none(),
        options.on_progress,
    )?;
    if let Some(from) = from {
        let versions = (&from.container, &to.container);
        migration_script::run(
            home,
            newer,
            versions,
            &work,
            options.migration_limit,
            options.variable,
        )?;
    }
    durable::sync_tree(&work).at("make durable", &work)?;
    Ok((work, carried_over))
}

/// Returns a new empty folder that only this user may read. Each has a different name: a migration
/// script whose launcher was killed may still write to an earlier one.
fn fresh_incoming(home: &Home) -> Result<PathBuf, StoreError> {
    home.remove_own(INCOMING)?;
    let work = home.incoming().join(format!("{:08x}", fastrand::u32(..)));
    durable::create_private_folders(&work).at("create", &work)?;
    Ok(work)
}

/// The place for the present user files of `id`: the snapshot of the time when it was left, a new
/// snapshot, or, if nobody ever changed them, the folder of removed files.
pub(super) fn displaced(
    home: &Home,
    id: &ContainerId,
    now: jiff::Timestamp,
) -> Result<PathBuf, StoreError> {
    if let Some(snapshot) = snapshots::in_version(home, id)? {
        snapshots::complete(&snapshot)?;
        return Ok(snapshot.files());
    }
    if carry_over::is_pristine(&home.container(id)) {
        return Ok(home.containers().join(format!("{REMOVED}{id}-{:08x}", fastrand::u32(..))));
    }
    let snapshot = Snapshot::new(home, id, id, Reason::Replaced, now)?;
    snapshot.write(home)?;
    Ok(snapshot.files())
}

/// Deletes the remains of a switch. A failure is logged, and the next cleaning tries again.
pub(super) fn finish(home: &Home, displaced: &Path, note: Option<&Snapshot>) {
    journal::remove_prepared(home);
    let is_removed =
        displaced.file_name().is_some_and(|name| name.to_string_lossy().starts_with(REMOVED));
    if is_removed && let Err(error) = remove_tree(displaced) {
        tracing::warn!(
            error = error_chain::line(&error),
            "what a switch left could not be removed"
        );
    }
    snapshots::prune(home, note.map(Snapshot::folder));
}

/// The folder of the version that the pointer names, if `id` only replaces it: the version is
/// damaged, but the user's present files are there.
fn damaged_before(home: &Home, id: &ContainerId) -> Result<Option<PathBuf>, StoreError> {
    let named = home.named()?.map(|active| active.container);
    Ok(named.filter(|named| named != id).map(|named| home.container(&named)))
}

/// Records that the next start switches to `id`, since the app is running now.
pub(crate) fn switch_at_next_start(
    home: &Home,
    id: &ContainerId,
    _lock: &HomeLock,
) -> Result<(), StoreError> {
    wait(home, id, false)
}

/// The same, with the user's files that it gets.
pub(super) fn wait(home: &Home, id: &ContainerId, goes_back: bool) -> Result<(), StoreError> {
    home.record(id)?;
    let (active, _) = home.active()?;
    let pending = (active.container != *id).then(|| id.clone());
    let pending_goes_back = goes_back && pending.is_some();
    home.set_active(&Active { pending, pending_goes_back, pending_failures: 0, ..active })
}

#[cfg(test)]
mod tests;
