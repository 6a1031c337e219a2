//! Describes a failed start to a user who sees nothing of the app, or nothing of it any more.
//!
//! In: the app that was started last. Out: how it failed, and what it wrote last. Never: assesses its
//! version; `supervisor` and `trial` do.

use super::app_session::AppSession;
use super::health::{self, Assessment, Observation, Others};
use super::trial::{fallback, rules};
use crate::error_chain;
use crate::model::Version;
use crate::model::incident::LaunchFailure;
use crate::store::launch::exit_code;
use crate::store::probation::{self, HealthReport};

/// Most lines of an app's standard error that are shown.
const REPORTED_LINES: usize = 24;

/// How the last app failed to start, and what it wrote last. `None` if it did not fail, or was up
/// before and another version can take its place once it has failed too often. Without such a
/// version the user alone can do something about an app that never runs for long.
pub(crate) fn failed_start(session: &AppSession) -> Option<FailedStart> {
    let app = session.app.get()?;
    let status = app.ended()?;
    let ended = health::ended(status.code(), exit_code(status), app.was_asked_to_end());
    let others = if app.has_instance(session.home()) { Others::Instance } else { Others::None };
    let rules = rules(session);
    let was_up = app.health_report() == Some(HealthReport::Up) || app.lifetime() >= rules.survival;
    let seen = Observation {
        age: app.lifetime(),
        ended: Some(ended),
        health_report: app.health_report(),
        reports_up: app.reports_up(),
        others,
        handed_over: false,
        has_arguments: !session.environment.arguments.is_empty(),
        was_up,
        was_settled: false,
    };
    let (failure, is_sure) = match health::assess(&rules, &seen) {
        Assessment::Failed(failure) => (failure, true),
        Assessment::Doubtful(failure) => (failure, false),
        _ => return None,
    };
    let may_be_left = session.environment.settings.health.automatic_rollback
        && fallback(session, &app.container).is_some();
    if was_up && may_be_left {
        return None;
    }
    let (version, lines) = (app.container.version.clone(), app.last_lines(REPORTED_LINES));
    Some(FailedStart { version, failure, is_sure, was_up, lines })
}

/// Records that the version started last, which was settled, did not come up. If its next starts
/// fail as well, a version that is known to work takes its place. A version that goes on in another
/// process, or that is on probation already, is assessed elsewhere.
pub(crate) fn note_failure(session: &AppSession) {
    let Some(app) = session.app.get() else { return };
    if app.was_handed_over() || app.has_left_a_process(session.home()) {
        return;
    }
    let now = jiff::Timestamp::now();
    let noted = session
        .lock_for_start()
        .and_then(|lock| probation::begin_again(session.home(), &app.container, now, &lock));
    if let Err(error) = noted {
        tracing::warn!(
            error = error_chain::line(&error),
            "that a start failed is not written down"
        );
    }
}

/// A failed start of the app, as the user sees it.
#[derive(Debug)]
pub(crate) struct FailedStart {
    pub version: Version,
    /// How the start failed.
    pub failure: LaunchFailure,
    /// Whether the version failed. Otherwise the arguments may be wrong: what the user typed, or
    /// the file that was opened.
    pub is_sure: bool,
    /// Whether the app was up before it failed.
    pub was_up: bool,
    /// What the app wrote last to standard error, as far as that was stored.
    pub lines: Vec<String>,
}
