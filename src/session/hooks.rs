//! Runs the hook of a version that is about to start for the first time.
//!
//! In: a session, the version. Out: a notice if the hook failed. Never: keeps the version from
//! starting.

use super::app_session::AppSession;
use crate::error_chain;
use crate::host;
use crate::model::incident::Incident;
use crate::store::InstalledRecord;
use crate::store::hooks::{self, HookOptions};

/// Runs the version's `after-install`, if it is due.
pub(super) fn run_if_due(session: &AppSession, record: &InstalledRecord) {
    let limit = session.environment.settings.update.hook_limit();
    let options = HookOptions { variable: &host::variable, limit };
    let ended = hooks::run_if_due(session.home(), record, options, || session.lock_for_start());
    if let Err(error) = ended
        && error.is_final()
    {
        let version = record.container.version.clone();
        session.leave_notice(Incident::HookFailed { version, chain: error_chain::list(&error) });
    }
}
