//! Runs a release's own migration, `scripts/migrate`, on the copy of the user's files that the new
//! version will get, before the switch counts.
//!
//! In: the copy, both versions, a time limit. Out: a changed copy, or an error. Never: touches the
//! user's present files, takes longer than the limit.
//!
//! The script is called with two arguments, the version that is left and the next one, in a folder
//! that holds `config`, `data` and `logs`. `KUZFLOW_FROM`, `KUZFLOW_TO`, `KUZFLOW_CONFIG` and
//! `KUZFLOW_DATA` hold the same values. Status 0 means that the copy is right for the next version.
//! The newer of the two versions supplies the script, since only that one knows both forms.

use std::path::Path;
use std::time::Duration;

use super::app_environment::Variable;
use super::output_file::Writer;
use super::release_script::{self, ReleaseScript, Run, ScriptFailure};
use super::{Home, InstalledRecord, StoreError};
use crate::file_error::FileResult as _;
use crate::model::ContainerId;

const NAME: &str = "migrate";

/// Whether the newer version of a switch has a migration script.
pub(super) fn is_there(home: &Home, owner: &ContainerId) -> Result<bool, StoreError> {
    release_script::find(&home.container(owner), NAME).map(|script| script.is_some())
}

/// Runs the migration of `owner`, if it has one, on the files in `work`.
pub(super) fn run(
    home: &Home,
    owner: &InstalledRecord,
    (from, to): (&ContainerId, &ContainerId),
    work: &Path,
    limit: Duration,
    variable: Variable,
) -> Result<(), StoreError> {
    let Some(script) = ReleaseScript::of(home, owner, NAME)? else { return Ok(()) };
    let work = std::path::absolute(work).at("find", work)?;
    let [left, next] = [from, to].map(|id| id.version.to_string());
    tracing::info!(%from, %to, "migrating");
    let run = Run {
        variable,
        environment: vec![
            ("KUZFLOW_FROM", left.clone().into()),
            ("KUZFLOW_TO", next.clone().into()),
            ("KUZFLOW_CONFIG", work.join("config").into()),
            ("KUZFLOW_DATA", work.join("data").into()),
        ],
        arguments: vec![left.into(), next.into()],
        working_folder: &work,
        writer: Writer::Migration,
        limit,
    };
    let Err(failure) = script.run(home, run) else { return Ok(()) };
    let (id, script) = (to.to_string(), script.path);
    Err(match failure.of_the_system(&script) {
        Ok(error) => StoreError::File(error),
        Err(ScriptFailure::TimeLimit { seconds, .. }) => {
            StoreError::MigrationTime { id, script, seconds }
        }
        Err(failure) => StoreError::Migration { id, script, reason: failure.to_string() },
    })
}
