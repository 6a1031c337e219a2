//! Lists what is installed, as a person sees it: the versions with their marks, the retained user
//! data of versions that were left, and the disk space that all of it takes.
//!
//! In: the home. Out: values of [`crate::messages::protocol`]. Never: changes anything.

use std::collections::HashSet;

use crate::environment::Environment;
use crate::messages::protocol::{DiskUse, FolderUse, InstalledVersion, RetainedFiles};
use crate::model::ContainerId;
use crate::store::lock::RunningLock;
use crate::store::{HomeState, StoreError, remove, rollback, snapshots, usage};

/// The installed versions as the version menu shows them.
pub(crate) fn installed(environment: &Environment) -> Result<Vec<InstalledVersion>, StoreError> {
    let home = &environment.home;
    let active = home.chosen().ok();
    // Before the first installation there is no folder that could hold a state.
    let HomeState { failed, recalled, pinned, skipped, .. } = home.state().unwrap_or_default();
    let waits = |id: &ContainerId| {
        active.as_ref().is_some_and(|active| id.version > active.version)
            && !skipped.contains(&id.version)
            && !recalled.contains(&id.version)
    };
    let records = home.installed()?;
    let points = rollback::points(home)?;
    // Asked once: between two questions the app may end, and the marks would contradict each other.
    let ids = records.iter().map(|record| &record.container);
    let running: HashSet<ContainerId> =
        ids.filter(|id| RunningLock::is_held(home, id)).cloned().collect();
    let keep = environment.settings.update.keep_versions;
    let surplus = remove::surplus_beside(home, keep, &|id| running.contains(id))?;
    Ok(records
        .into_iter()
        .map(|record| InstalledVersion {
            active: active.as_ref() == Some(&record.container),
            running: running.contains(&record.container),
            ready: waits(&record.container),
            folder: home.container(&record.container),
            holds_files: usage::holds_all_user_files(&home.container(&record.container)),
            size: record.size,
            installed: record.installed,
            left: points
                .iter()
                .find(|point| point.container == record.container)
                .map(|point| point.left),
            failed: failed.contains(&record.container.version),
            recalled: recalled.contains(&record.container.version),
            pinned: pinned.is_some() && active.as_ref() == Some(&record.container),
            surplus: surplus.contains(&record.container),
            id: record.container,
        })
        .collect())
}

/// The retained user data of versions that were left.
pub(crate) fn retained(environment: &Environment) -> Vec<RetainedFiles> {
    let home = &environment.home;
    let only_copies = snapshots::only_copies(home).unwrap_or_default();
    let retained = |snapshot: &snapshots::Snapshot| RetainedFiles {
        version: snapshot.container.version.clone(),
        left: snapshot.left,
        folder: snapshot.place(home),
        only_copy: only_copies.contains(snapshot),
    };
    // Only what can be read now and holds something is shown.
    let retained =
        snapshots::list(home).unwrap_or_default().iter().map(retained).collect::<Vec<_>>();
    retained.into_iter().filter(|retained| usage::holds_user_files(&retained.folder)).collect()
}

/// The disk space that the installation takes. Reads the size of every file.
pub(crate) fn disk_use(environment: &Environment) -> DiskUse {
    let usage::Usage { whole, folders } = usage::measure(&environment.home);
    DiskUse {
        whole,
        folders: folders.into_iter().map(|(folder, bytes)| FolderUse { folder, bytes }).collect(),
    }
}
