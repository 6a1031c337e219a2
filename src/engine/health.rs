//! Whether a version that was just started has come up: the judgement, without clock or process.
//!
//! In: how long it has been running, how it ended, what it said. Out: a [`Verdict`]. Never: an action.

use std::time::Duration;

use crate::model::happened::Failure;
use crate::store::probation::Said;

/// What counts as coming up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// An app that says nothing is up once it has run for so long.
    pub survival: Duration,
    /// An app that says when it is up must do so within this time.
    pub up_within: Duration,
    /// Failures in a row, before it has come up once, that lead to a rollback.
    pub tries: u32,
}

/// Ending with status 0 before this is no start: a person needs longer to close a window that has just opened.
pub const AT_ONCE: Duration = Duration::from_secs(3);
/// A version that has run for so long once is settled: what ends it later is no matter of the update. Short, since some apps crash
/// whenever they are closed, and a rollback takes the user's files back as well.
pub const SETTLED: Duration = Duration::from_secs(2 * 60);
/// A version that came up is settled after so long, however its runs ended: by then a rollback would take too much back.
pub const SETTLED_ANYWAY: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// A version that has come up, and then crashed before it was settled, has this many tries in all.
const TRIES_WHEN_UP: u32 = 3;
/// Starts that neither came up nor were seen to fail: somebody pulled the plug, or the launcher was killed too.
pub const MOST_UNKNOWN_STARTS: u32 = 5;

/// What is known of a running or ended app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Time since it was started, or from its start to its end.
    pub age: Duration,
    /// How it ended, if it has.
    pub ended: Option<Ended>,
    /// What it said last.
    pub said: Option<Said>,
    /// Whether it will say when it is up.
    pub reports_up: bool,
    /// Whether another process of the same version lives: an instance that took this one's work over, or that this one started in its
    /// place.
    pub has_successor: bool,
    /// Whether it may well end at once: it was started with arguments of the user's (`--help`, a file that may not be there), or is an app
    /// that does so.
    pub may_be_short: bool,
    /// Whether it came up in this run or in an earlier one.
    pub was_up: bool,
}

/// How an app ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With status 0.
    Well,
    /// The launcher, the session or a person at a terminal ended it.
    Asked,
    /// With this status, as a shell tells it.
    Badly(u8),
}

/// The judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not known yet; look again.
    Wait,
    /// It is up, and still may crash.
    Up,
    /// It has come up and proved itself: the probation ends.
    Settled,
    /// It ended in a way that says nothing.
    Undecided,
    /// It failed.
    Failed(Failure),
}

/// Judges an observation.
pub fn judge(rules: &Rules, seen: &Observation) -> Verdict {
    let says_up = seen.said == Some(Said::Up);
    let survived = !seen.reports_up && seen.age >= rules.survival;
    let up = seen.was_up || says_up || survived;
    match (seen.ended, &seen.said) {
        (Some(_), _) if up && seen.age >= SETTLED => Verdict::Settled,
        (Some(Ended::Asked), _) => Verdict::Undecided,
        (Some(_), _) if seen.has_successor => Verdict::Undecided,
        // An error in what was typed, told with a status that programs choose themselves.
        (Some(Ended::Badly(status)), _) if seen.may_be_short && status < 128 && seen.age < AT_ONCE => Verdict::Undecided,
        (_, Some(Said::Failed(reason))) if !seen.was_up => Verdict::Failed(Failure::Said { reason: reason.clone() }),
        (Some(Ended::Badly(status)), _) => Verdict::Failed(Failure::Crashed { status }),
        (Some(Ended::Well), _) if up => Verdict::Settled,
        (Some(Ended::Well), _) if seen.age < AT_ONCE && !seen.may_be_short => Verdict::Failed(Failure::EndedAtOnce),
        (Some(Ended::Well), _) => Verdict::Undecided,
        (None, _) if up && seen.age >= SETTLED => Verdict::Settled,
        (None, _) if up => Verdict::Up,
        (None, _) if seen.reports_up && seen.age >= rules.up_within => Verdict::Failed(Failure::Hung),
        (None, _) => Verdict::Wait,
    }
}

/// Whether a version with so many failures in a row is rolled back.
pub fn is_beaten(rules: &Rules, failures: u32, was_up: bool) -> bool {
    failures >= if was_up { TRIES_WHEN_UP.max(rules.tries) } else { rules.tries }
}

/// How an app ended: by `code` if it ended by itself, `status` as a shell tells it; `asked` if the launcher asked it to.
pub fn ended(code: Option<i32>, status: u8, asked: bool) -> Ended {
    /// Signals by which a session, a terminal or an administrator ends programs: HUP, INT, TERM.
    const ASKED: [u8; 3] = [128 + 1, 128 + 2, 128 + 15];
    /// STATUS_CONTROL_C_EXIT (a console or a session that closes) and DBG_TERMINATE_PROCESS (a session that ends).
    const ASKED_ON_WINDOWS: [u32; 2] = [0xC000_013A, 0x4001_0004];
    match code {
        _ if asked => Ended::Asked,
        Some(0) => Ended::Well,
        Some(code) if cfg!(windows) && ASKED_ON_WINDOWS.contains(&code.cast_unsigned()) => Ended::Asked,
        None if ASKED.contains(&status) => Ended::Asked,
        // On Windows the last byte of a code may be 0.
        _ => Ended::Badly(status.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { survival: Duration::from_secs(10), up_within: Duration::from_secs(60), tries: 2 };

    fn seen(seconds: u64) -> Observation {
        Observation {
            age: Duration::from_secs(seconds),
            ended: None,
            said: None,
            reports_up: false,
            has_successor: false,
            may_be_short: false,
            was_up: false,
        }
    }

    #[test]
    fn an_app_that_says_nothing_is_up_when_it_survives() {
        assert_eq!(judge(&RULES, &seen(9)), Verdict::Wait);
        assert_eq!(judge(&RULES, &seen(10)), Verdict::Up);
        assert_eq!(judge(&RULES, &seen(120)), Verdict::Settled);
        assert_eq!(judge(&RULES, &Observation { said: Some(Said::Up), ..seen(1) }), Verdict::Up);
    }

    #[test]
    fn an_app_that_reports_must_do_so_in_time() {
        let quiet = |seconds| Observation { reports_up: true, ..seen(seconds) };
        assert_eq!(judge(&RULES, &quiet(59)), Verdict::Wait, "surviving is not enough");
        assert_eq!(judge(&RULES, &quiet(60)), Verdict::Failed(Failure::Hung));
        assert_eq!(judge(&RULES, &Observation { was_up: true, ..quiet(60) }), Verdict::Up, "it came up in an earlier run");
        let failed = Observation { said: Some(Said::Failed("no display".to_owned())), ..quiet(1) };
        assert_eq!(judge(&RULES, &failed), Verdict::Failed(Failure::Said { reason: "no display".to_owned() }));
    }

    #[test]
    fn how_it_ended_counts() {
        let end = |seconds, ended| Observation { ended: Some(ended), ..seen(seconds) };
        let crashed = Verdict::Failed(Failure::Crashed { status: 139 });
        assert_eq!(judge(&RULES, &end(1, Ended::Badly(139))), crashed);
        assert_eq!(judge(&RULES, &end(100, Ended::Badly(139))), crashed, "it comes up and crashes later");
        assert_eq!(judge(&RULES, &end(120, Ended::Badly(139))), Verdict::Settled, "every app crashes sometimes");
        assert_eq!(judge(&RULES, &end(120, Ended::Asked)), Verdict::Settled, "a session that ends is no reason to doubt");
        assert_eq!(judge(&RULES, &end(1, Ended::Well)), Verdict::Failed(Failure::EndedAtOnce));
        for ended in [Ended::Well, Ended::Badly(1), Ended::Badly(139)] {
            let handed_over = Observation { has_successor: true, ..end(1, ended) };
            assert_eq!(judge(&RULES, &handed_over), Verdict::Undecided, "{ended:?}");
        }
        let typed = |ended| judge(&RULES, &Observation { may_be_short: true, ..end(1, ended) });
        assert_eq!([typed(Ended::Well), typed(Ended::Badly(2))], [Verdict::Undecided, Verdict::Undecided]);
        assert_eq!(typed(Ended::Badly(139)), crashed, "no argument excuses that");
        assert_eq!(judge(&RULES, &Observation { said: Some(Said::Up), ..end(1, Ended::Well) }), Verdict::Settled);
        assert_eq!(judge(&RULES, &end(5, Ended::Well)), Verdict::Undecided, "closed by a person before it was known to be up");
        assert_eq!(judge(&RULES, &end(20, Ended::Well)), Verdict::Settled);
        assert_eq!(judge(&RULES, &end(1, Ended::Asked)), Verdict::Undecided);
    }

    #[test]
    fn who_ended_it_is_read_from_the_status() {
        assert_eq!(ended(Some(0), 0, false), Ended::Well);
        assert_eq!(ended(Some(0), 0, true), Ended::Asked);
        assert_eq!(ended(Some(3), 3, false), Ended::Badly(3));
        assert_eq!(ended(Some(0x100), 0, false), Ended::Badly(1));
        assert_eq!([ended(None, 143, false), ended(None, 139, false)], [Ended::Asked, Ended::Badly(139)]);
        assert_eq!(ended(Some(143), 143, false), Ended::Badly(143), "a code of the app's own, no signal");
        #[cfg(windows)]
        assert_eq!(ended(Some(0xC000_013A_u32.cast_signed()), 0x3A, false), Ended::Asked);
    }

    #[test]
    fn tries_are_bounded() {
        assert!(!is_beaten(&RULES, 1, false) && is_beaten(&RULES, 2, false));
        assert!(!is_beaten(&RULES, 2, true) && is_beaten(&RULES, 3, true));
    }
}
