//! Lists what is installed, as a person sees it: the versions with their marks, the retained user
//! data of versions that were left, and the disk space that all of it takes.
//!
//! In: the home. Out: values of [`crate::messages::protocol`]. Never: changes anything.

use crate::environment::Environment;
use crate::messages::protocol::{DiskUse, FolderUse, InstalledVersion, RetainedFiles};
use crate::model::ContainerId;
use crate::store::lock::RunningLock;
use crate::store::{HomeState, StoreError, remove, rollback, snapshots, usage};

/// The installed versions as the version menu shows them.
pub(crate) fn installed(environment: &Environment) -> Result<Vec<InstalledVersion>, StoreError> {
    let active = environment.home.chosen().ok();
    let skipped = environment.home.state().map(|state| state.skipped).unwrap_or_default();
    let waits = |id: &ContainerId| {
        active.as_ref().is_some_and(|active| id.version > active.version)
            && !skipped.contains(&id.version)
    };
    let records = environment.home.installed()?;
    let points = rollback::points(&environment.home)?;
    // Before the first installation there is no folder that could hold a state.
    let HomeState { failed, pinned, .. } = environment.home.state().unwrap_or_default();
    let surplus = remove::surplus(&environment.home, environment.settings.update.keep_versions)?;
    Ok(records
        .into_iter()
        .map(|record| InstalledVersion {
            active: active.as_ref() == Some(&record.container),
            running: RunningLock::is_held(&environment.home, &record.container),
            ready: waits(&record.container),
            folder: environment.home.container(&record.container),
            holds_files: usage::holds_all_user_files(
                &environment.home.container(&record.container),
            ),
            size: record.size,
            installed: record.installed,
            left: points
                .iter()
                .find(|point| point.container == record.container)
                .map(|point| point.left),
            failed: failed.contains(&record.container.version),
            pinned: pinned.is_some() && active.as_ref() == Some(&record.container),
            surplus: surplus.contains(&record.container),
            id: record.container,
        })
        .collect())
}

/// The retained user data of versions that were left.
pub(crate) fn retained(environment: &Environment) -> Vec<RetainedFiles> {
    let home = &environment.home;
    let retained = |snapshot: &snapshots::Snapshot| RetainedFiles {
        version: snapshot.container.version.clone(),
        left: snapshot.left,
        folder: snapshot.place(home),
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
