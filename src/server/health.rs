//! The state of the repository: for monitors at `/healthz`, for operators in the log.
//!
//! In: the catalogue and the time. Out: an HTTP status that a monitor can use without parsing the
//! body, and one warning a day. Never: refuses to serve a file because it has expired; clients
//! refuse expired metadata themselves.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp as Time};

use super::state::ServerState;
use super::updates;
use crate::host;
use crate::publish::deadlines::{deadlines, most_urgent};
use crate::publish::{Deadline, KeyRole, Urgency};

/// How often the server looks at the deadlines.
const CHECK_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// How often the server repeats the warning about the same deadline.
const REMIND_EVERY: SignedDuration = SignedDuration::from_hours(24);

/// `GET /healthz`: the node, its releases and their expiry. 503 once a signature has expired; a
/// warning while one expires soon, or its end is not known.
pub(super) async fn healthz(State(shared): State<ServerState>) -> Response {
    let catalogue = shared.repository.catalogue().await;
    let deadlines = deadlines(&catalogue.expiries, &shared.options.lifetimes, host::now());
    let (status, code) = match most_urgent(&deadlines) {
        Urgency::Fine => ("ok", StatusCode::OK),
        Urgency::Soon | Urgency::Unknown => ("warning", StatusCode::OK),
        Urgency::Past => ("expired", StatusCode::SERVICE_UNAVAILABLE),
    };
    let pressing: Vec<String> = deadlines
        .iter()
        .filter(|deadline| deadline.is_pressing())
        .map(ToString::to_string)
        .collect();
    let mut response = updates::answer(&serde_json::json!({
        "status": status,
        "node": shared.options.node,
        "region": shared.options.region,
        "metadata_version": catalogue.version,
        "metadata_expires": catalogue.expires,
        "expires": deadlines.first().and_then(|first| first.expires),
        "deadlines": deadlines,
        "warnings": pressing,
        "releases": catalogue.releases.len(),
        "listeners": shared.events.listeners(),
    }));
    *response.status_mut() = code;
    response
}

/// Logs deadlines that are close or past: at once, when one comes close or passes, and once a day.
pub(super) async fn keep_reminding(shared: ServerState) {
    let mut reminder = Reminder::default();
    loop {
        let (catalogue, now) = (shared.repository.catalogue().await, host::now());
        for deadline in
            reminder.due(deadlines(&catalogue.expiries, &shared.options.lifetimes, now), now)
        {
            match deadline.state {
                Urgency::Past => tracing::error!("{deadline}"),
                _ => tracing::warn!("{deadline}"),
            }
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

/// The deadlines of the last warning, and its time.
#[derive(Debug, Default)]
struct Reminder {
    last: Option<(Vec<(KeyRole, Urgency)>, Time)>,
}

impl Reminder {
    /// The deadlines that the server must log now.
    fn due(&mut self, mut deadlines: Vec<Deadline>, now: Time) -> Vec<Deadline> {
        deadlines.retain(Deadline::is_pressing);
        let mut states: Vec<(KeyRole, Urgency)> =
            deadlines.iter().map(|deadline| (deadline.role, deadline.state)).collect();
        states.sort_by_key(|(role, _)| role.to_string());
        let stated = self.last.as_ref().is_some_and(|(before, at)| {
            *before == states && now.duration_since(*at) < REMIND_EVERY
        });
        if stated || states.is_empty() {
            if states.is_empty() {
                self.last = None;
            }
            return Vec::new();
        }
        self.last = Some((states, now));
        deadlines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::Lifetimes;

    #[test]
    fn a_deadline_is_reported_at_once_when_it_changes_and_once_a_day() {
        let now: Time = "2026-12-01T00:00:00Z".parse().unwrap();
        let mut reminder = Reminder::default();
        let mut stated = |expires: &str, hours: i64| {
            let now = now + SignedDuration::from_hours(hours);
            let expiries = [(KeyRole::Timestamp, Some(expires.parse().unwrap()))];
            reminder.due(deadlines(&expiries, &Lifetimes::default(), now), now).len()
        };
        assert_eq!(stated("2026-12-10T00:00:00Z", 0), 0, "nothing is near");
        assert_eq!(stated("2026-12-03T00:00:00Z", 1), 1, "at once");
        assert_eq!(stated("2026-12-03T00:00:00Z", 2), 0);
        assert_eq!(stated("2026-12-03T00:00:00Z", 25), 1, "a day later");
        assert_eq!(stated("2026-12-03T00:00:00Z", 48), 1, "it has passed");
        assert_eq!(stated("2026-12-10T00:00:00Z", 49), 0, "it was signed again");
        assert_eq!(stated("2026-12-04T00:00:00Z", 50), 1, "and is near again");
    }
}
