//! Runs the hook of a version that is about to start for the first time.
//!
//! In: a session, the version. Out: a notice if the hook failed. Never: keeps the version from
//! starting.

use super::app_session::AppSession;
use crate::error_chain;
use crate::host;
use crate::model::incident::Incident;
use crate::store::InstalledRecord;
use crate::store::hooks::{self, HookError, HookOptions};

/// Runs the version's `after-install`, if it is due. A launcher that is at work in the home may be
/// running it: then this start leaves it to that one.
pub(super) fn run_if_due(session: &AppSession, record: &InstalledRecord) {
    if !hooks::is_due(session.home(), &record.container) {
        return;
    }
    let options = options(session);
    let lock = session.lock_for_start().map_err(HookError::from);
    let ended = lock.and_then(|lock| hooks::after_install(session.home(), record, options, &lock));
    let Err(error) = ended else { return };
    tracing::warn!(error = error_chain::line(&error), "a hook of the release did not succeed");
    if error.is_final() {
        let version = record.container.version.clone();
        session.leave_notice(Incident::HookFailed { version, chain: error_chain::list(&error) });
    }
}

fn options(session: &AppSession) -> HookOptions<'static> {
    let limit = session.environment.settings.update.hook_limit();
    HookOptions { variable: &host::variable, limit }
}
