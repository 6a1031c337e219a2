//! Computes until when signatures hold, and when someone must act.
//!
//! In: when each role expires, if that is known, how long its signatures last, the time. Out: each
//! role's deadline, the earliest first, and a sentence that says what to do. Never: a clock, a
//! file.

use std::fmt;

use jiff::{SignedDuration, Timestamp as Time};
use serde::{Serialize, Serializer};

use super::role::KeyRole;
use super::settings::Lifetimes;

/// How long before its end an offline role is reported: someone must fetch its keys from their
/// safe.
const OFFLINE_WARNING_TIME: SignedDuration = SignedDuration::from_hours(60 * 24);
/// How long before its end an online role is reported: the timer that renews it has failed by then.
const ONLINE_WARNING_TIME: SignedDuration = SignedDuration::from_hours(3 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How soon a deadline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Nobody needs to act yet.
    Fine,
    /// Nobody knows until when the signature holds, and nobody would be warned before its end.
    Unknown,
    /// Someone must sign it again soon.
    Soon,
    /// Clients already refuse it.
    Past,
}

/// A role and the time after which clients refuse what it signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deadline {
    /// The role that signs.
    #[serde(serialize_with = "as_text")]
    pub role: KeyRole,
    /// Until when its signature holds; `None` if that is not known.
    pub expires: Option<Time>,
    /// How soon that is.
    pub state: Urgency,
    /// The time at which this was true.
    #[serde(skip)]
    now: Time,
}

/// The deadlines of all roles at the time `now`, the earliest first and unknown ones last.
pub(crate) fn deadlines(
    expiries: &[(KeyRole, Option<Time>)],
    lifetimes: &Lifetimes,
    now: Time,
) -> Vec<Deadline> {
    let deadline = |&(role, expires): &(KeyRole, Option<Time>)| {
        let state = match expires.map(|expires| expires.duration_since(now)) {
            None => Urgency::Unknown,
            Some(left) if left <= SignedDuration::ZERO => Urgency::Past,
            Some(left) if left <= warning_time(role, lifetimes) => Urgency::Soon,
            Some(_) => Urgency::Fine,
        };
        Deadline { role, expires, state, now }
    };
    let mut found: Vec<Deadline> = expiries.iter().map(deadline).collect();
    found.sort_by_key(|deadline| (deadline.expires.is_none(), deadline.expires));
    found
}

/// The most urgent state among `deadlines`.
pub(crate) fn most_urgent(deadlines: &[Deadline]) -> Urgency {
    deadlines.iter().map(|deadline| deadline.state).max().unwrap_or(Urgency::Fine)
}

/// How long before its end a role is reported. A signature that is short on purpose is reported in
/// the second half of its life: a warning that is always there warns of nothing.
fn warning_time(role: KeyRole, lifetimes: &Lifetimes) -> SignedDuration {
    let usual = if role.is_offline() { OFFLINE_WARNING_TIME } else { ONLINE_WARNING_TIME };
    usual.min(lifetimes.of(role) / 2)
}

impl Deadline {
    /// Whether someone must act.
    pub fn is_pressing(&self) -> bool {
        self.state != Urgency::Fine
    }

    /// The command that renews the signature.
    pub fn remedy(&self) -> &'static str {
        if self.role.is_offline() {
            "kuzflow renew --repo DIR --keys DIR"
        } else {
            "kuzflow refresh --repo DIR"
        }
    }

    fn consequence(&self) -> &'static str {
        match (self.role, self.state) {
            (KeyRole::Patches, Urgency::Past) => {
                "launchers fetch whole packages in place of patches"
            }
            (KeyRole::Patches, _) => {
                "after that launchers fetch whole packages in place of patches"
            }
            (KeyRole::Rollout, Urgency::Past) => "rollouts are at the first stages of their plans",
            (KeyRole::Rollout, _) => "after that rollouts are at the first stages of their plans",
            (_, Urgency::Past) => "launchers refuse every update",
            (_, _) => "after that launchers refuse every update",
        }
    }
}

/// Names the deadline, its consequence, and what to do.
impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = self.role;
        let Some(expires) = self.expires else {
            return write!(
                f,
                "until when the signature of the {role} role holds is not known: its document in metadata/ is missing or cannot be read, \
                 and nobody is warned before its end. Copy metadata/ from the publisher's folder again, timestamp.json last"
            );
        };
        let left = expires.duration_since(self.now);
        let when = match self.state {
            Urgency::Past => format!("expired {} ago", span(-left)),
            _ => format!("expires in {}", span(left)),
        };
        let verb = if role.is_offline() { "bring its key and run" } else { "run" };
        let remedy = self.remedy();
        write!(
            f,
            "the signature of the {role} role {when} ({expires}); {}: {verb} `{remedy}`",
            self.consequence()
        )
    }
}

/// A duration in whole days, or in hours below two days.
pub(super) fn span(length: SignedDuration) -> String {
    if length.as_hours() == 0 {
        return "less than an hour".to_owned();
    }
    let (count, unit) = if length >= DAY * 2 {
        (length.as_hours() / 24, "day")
    } else {
        (length.as_hours(), "hour")
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

fn as_text<S: Serializer>(role: &KeyRole, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(role)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        text.parse().unwrap()
    }

    fn at(now: &str, lifetimes: &Lifetimes) -> Vec<(String, Urgency)> {
        let expiries = [
            (KeyRole::Root, time("2027-03-01T00:00:00Z")),
            (KeyRole::Targets, time("2027-03-02T00:00:00Z")),
            (KeyRole::Snapshot, time("2026-12-30T00:00:00Z")),
            (KeyRole::Timestamp, time("2026-12-08T00:00:00Z")),
            (KeyRole::Patches, time("2027-02-01T00:00:00Z")),
        ];
        let expiries = expiries.map(|(role, expires)| (role, Some(expires)));
        let found = deadlines(&expiries, lifetimes, time(now)).into_iter();
        found.map(|deadline| (deadline.role.to_string(), deadline.state)).collect()
    }

    #[test]
    fn offline_roles_are_reported_60_days_before_and_online_ones_3() {
        use Urgency::{Fine, Past, Soon};
        let usual = Lifetimes::default();
        let states =
            |now: &str| at(now, &usual).into_iter().map(|(_, state)| state).collect::<Vec<_>>();
        let order: Vec<String> =
            at("2026-12-01T00:00:00Z", &usual).into_iter().map(|(role, _)| role).collect();
        assert_eq!(
            order,
            ["timestamp", "snapshot", "patches", "root", "targets"],
            "the earliest first"
        );
        assert_eq!(states("2026-12-04T23:59:59Z"), [Fine; 5]);
        assert_eq!(states("2026-12-05T00:00:00Z"), [Soon, Fine, Fine, Fine, Fine]);
        assert_eq!(
            states("2026-12-08T00:00:00Z"),
            [Past, Fine, Fine, Fine, Fine],
            "the very second is too late"
        );
        assert_eq!(
            states("2026-12-31T00:00:00Z"),
            [Past, Past, Fine, Soon, Fine],
            "60 days before the root"
        );
        assert_eq!(states("2027-01-01T00:00:00Z"), [Past, Past, Fine, Soon, Soon]);
        assert_eq!(states("2027-03-03T00:00:00Z"), [Past; 5]);
    }

    #[test]
    fn what_lasts_short_on_purpose_is_not_reported_from_its_first_day() {
        let short = Lifetimes { root_days: 30, timestamp_days: 1, ..Lifetimes::default() };
        let root = [(KeyRole::Root, Some(time("2027-03-01T00:00:00Z")))];
        let state = |now: &str| deadlines(&root, &short, time(now))[0].state;
        assert_eq!(state("2027-02-13T00:00:00Z"), Urgency::Fine);
        assert_eq!(state("2027-02-14T00:00:00Z"), Urgency::Soon);
        let timestamp = [(KeyRole::Timestamp, Some(time("2026-12-02T00:00:00Z")))];
        assert_eq!(
            deadlines(&timestamp, &short, time("2026-12-01T00:00:00Z"))[0].state,
            Urgency::Fine
        );
        assert_eq!(
            deadlines(&timestamp, &short, time("2026-12-01T13:00:00Z"))[0].state,
            Urgency::Soon
        );
    }

    #[test]
    fn an_end_that_is_not_known_is_not_fine() {
        let expiries =
            [(KeyRole::Root, None), (KeyRole::Timestamp, Some(time("2999-01-01T00:00:00Z")))];
        let found = deadlines(&expiries, &Lifetimes::default(), time("2026-12-01T00:00:00Z"));
        let roles: Vec<KeyRole> = found.iter().map(|deadline| deadline.role).collect();
        assert_eq!(roles, [KeyRole::Timestamp, KeyRole::Root], "what is known comes first");
        assert_eq!(most_urgent(&found), Urgency::Unknown);
        assert!(found[1].is_pressing() && !found[0].is_pressing());
        let text = found[1].to_string();
        assert!(text.contains("root") && text.contains("not known"), "{text}");
        assert!(Urgency::Unknown < Urgency::Soon, "an end that is near says more");
    }

    #[test]
    fn a_deadline_says_when_what_and_the_way_out() {
        let say = |role, now: &str| {
            let expiries = [(role, Some(time("2027-03-01T00:00:00Z")))];
            deadlines(&expiries, &Lifetimes::default(), time(now))[0].to_string()
        };
        let root = say(KeyRole::Root, "2027-02-14T06:00:00Z");
        for part in
            ["root", "expires in 14 days", "2027-03-01", "refuse every update", "kuzflow renew"]
        {
            assert!(root.contains(part), "{part}: {root}");
        }
        let past = say(KeyRole::Timestamp, "2027-03-02T01:00:00Z");
        for part in ["timestamp", "expired 25 hours ago", "launchers refuse", "kuzflow refresh"] {
            assert!(past.contains(part), "{part}: {past}");
        }
        assert!(say(KeyRole::Patches, "2027-02-28T23:00:00Z").contains("expires in 1 hour "));
    }
}
