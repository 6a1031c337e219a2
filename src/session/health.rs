//! Assesses whether a version that was just started has come up. Pure, without clock or process.
//!
//! In: how long the app has been running, how it ended, its last health report. Out: an [`Assessment`].
//! Never: acts.

use std::time::Duration;

use crate::model::exit_code::ProcessEnd;
use crate::model::incident::LaunchFailure;
use crate::store::probation::HealthReport;

/// Which observations count as coming up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// An app without health reports counts as up after this time.
    pub survival: Duration,
    /// An app with health reports must report `up` within this time.
    pub up_within: Duration,
    /// Failures in a row, before it has come up once, that lead to a rollback.
    pub tries: u32,
}

/// An end before this counts as an end at once: a person needs longer to close a window that has
/// just opened.
pub(crate) const IMMEDIATE_END: Duration = Duration::from_secs(3);
/// A version is settled once it has run for this time: a later end has nothing to do with the
/// update. Short, since some apps crash whenever they are closed, and a rollback takes the user's
/// files back as well.
pub(crate) const SETTLED: Duration = Duration::from_secs(2 * 60);
/// A version is settled after this many good runs. One is too few: its second run may be unable to
/// read what the first one wrote.
pub(crate) const GOOD_RUNS: u32 = 2;
/// A version that came up is settled after this time, however its runs ended: by then a rollback
/// would undo too much of the user's work.
pub(crate) const SETTLED_ANYWAY: Duration = Duration::from_secs(2 * 24 * 60 * 60);
/// Tries in all for a version that has come up, and then crashed before it was settled.
const TRIES_WHEN_UP: u32 = 3;
/// Most starts with unknown outcome: the computer lost its power, or the launcher was killed too.
pub(crate) const MAX_UNKNOWN_STARTS: u32 = 5;

/// What the launcher has observed of a running or ended app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Observation {
    /// Time from its start until now, or until its end. While a process that it left goes on, until
    /// now.
    pub age: Duration,
    /// How it ended, if it has ended.
    pub ended: Option<AppEnd>,
    /// Its last health report.
    pub health_report: Option<HealthReport>,
    /// Whether it will report `up`.
    pub reports_up: bool,
    /// Other processes of the same version that live, now that it has ended.
    pub others: Others,
    /// Whether it has ended, and another process went on with its work for a while.
    pub handed_over: bool,
    /// Whether it was started with arguments of the user's (`--help`, a missing file), which may
    /// have made it end.
    pub has_arguments: bool,
    /// Whether it came up in this run or in an earlier one.
    pub was_up: bool,
    /// Whether its version was settled, and failed at its last start.
    pub was_settled: bool,
}

/// Which other processes of the same version live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// No known process.
    None,
    /// A process that goes on in its place, and whose end the launcher will see.
    Successor,
    /// A process that the app started and left behind: its successor, or a helper.
    Left,
    /// Another instance with a separate start: this app may have handed its work to it.
    Instance,
}

/// How an app ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppEnd {
    /// With status 0.
    Well,
    /// The launcher, the session or a person at a terminal ended it.
    Asked,
    /// With this exit code; never 0.
    Badly(u32),
}

/// What an observation says about the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assessment {
    /// Undecided so far: look again.
    Wait,
    /// The app is up, and may still crash.
    Up,
    /// The version is settled: its probation ends.
    Settled,
    /// A good run: the app has come up and ended well. More of them may be needed.
    Good,
    /// The app ended in a way that proves nothing.
    Undecided,
    /// The start failed.
    Failed(LaunchFailure),
    /// The start failed, or the user's arguments were wrong: counts only if it happens again.
    Doubtful(LaunchFailure),
}

pub(crate) fn assess(rules: &Rules, seen: &Observation) -> Assessment {
    let says_up = seen.health_report == Some(HealthReport::Up);
    let survived = !seen.reports_up && seen.age >= rules.survival;
    let up_now = says_up || survived;
    let up = seen.was_up || up_now;
    match (seen.ended, &seen.health_report) {
        // A settled version is assessed again only for starts that fail at once.
        _ if seen.was_settled && up_now => Assessment::Settled,
        (Some(_), _) if up && seen.age >= SETTLED => Assessment::Settled,
        (Some(AppEnd::Asked), _) => Assessment::Undecided,
        (Some(_), _) if seen.others == Others::Instance => Assessment::Undecided,
        // Nobody is taken from a version that worked for what was typed.
        (Some(AppEnd::Badly(status)), _)
            if seen.was_settled
                && seen.has_arguments
                && !is_crash(status)
                && seen.age < IMMEDIATE_END =>
        {
            Assessment::Undecided
        }
        // Perhaps an error in the user's arguments, reported by a status of the program's choice.
        (Some(AppEnd::Badly(status)), _)
            if seen.has_arguments && !is_crash(status) && seen.age < IMMEDIATE_END =>
        {
            Assessment::Doubtful(LaunchFailure::Crashed { status })
        }
        (ended, Some(HealthReport::Failed(reason))) if !seen.was_up || ended.is_some() => {
            Assessment::Failed(LaunchFailure::Reported { reason: reason.clone() })
        }
        // A process that a crash leaves behind is a helper, perhaps the one that reports crashes.
        (Some(AppEnd::Badly(status)), _) if is_crash(status) => {
            Assessment::Failed(LaunchFailure::Crashed { status })
        }
        // The app handed over: its successor is assessed. How the successor ends is unknown.
        (Some(_), _) if seen.others == Others::Successor && up => Assessment::Up,
        (Some(_), _) if seen.others == Others::Left && up_now => Assessment::Good,
        (Some(_), _) if matches!(seen.others, Others::Successor | Others::Left) && !up => {
            Assessment::Wait
        }
        (Some(AppEnd::Badly(_)), _) if seen.handed_over && up_now => Assessment::Good,
        (Some(AppEnd::Badly(_)), _) if seen.handed_over && up => Assessment::Undecided,
        (Some(AppEnd::Badly(status)), _) => Assessment::Failed(LaunchFailure::Crashed { status }),
        (Some(AppEnd::Well), _) if up_now => Assessment::Good,
        // Failures of a version that worked count in a row only.
        (Some(AppEnd::Well), _) if seen.was_settled => Assessment::Settled,
        // An end with status 0 alone is never a failure: the app may have handed over to a process
        // that the launcher cannot see.
        (Some(AppEnd::Well), _) => Assessment::Undecided,
        (None, _) if up && seen.age >= SETTLED => Assessment::Settled,
        (None, _) if up => Assessment::Up,
        (None, _) if seen.reports_up && seen.age >= rules.up_within => {
            Assessment::Failed(LaunchFailure::Hung)
        }
        (None, _) => Assessment::Wait,
    }
}

fn is_crash(status: u32) -> bool {
    ProcessEnd::of(status).is_crash()
}

/// Whether a version with `failures` failures in a row, the last of them doubtful, is rolled back.
pub(crate) fn exceeds_tries_in_doubt(rules: &Rules, failures: u32) -> bool {
    failures >= TRIES_WHEN_UP.max(rules.tries)
}

/// Whether a version that fails although no other one works either is left again after `failures`
/// failures: by then another one may work.
pub(crate) fn ends_excuse(failures: u32) -> bool {
    failures > TRIES_WHEN_UP
}

/// Whether a version with `failures` failures in a row is rolled back.
pub(crate) fn exceeds_tries(rules: &Rules, failures: u32, was_up: bool) -> bool {
    failures >= if was_up { TRIES_WHEN_UP.max(rules.tries) } else { rules.tries }
}

/// How an app ended: by `code` if it ended by itself, with `status` as a shell reports it. `asked`
/// if the launcher asked it to end.
pub(crate) fn ended(code: Option<i32>, status: u32, asked: bool) -> AppEnd {
    /// Signals by which a session, a terminal or an administrator ends programs: HUP, INT, TERM.
    const ASKED: [u32; 3] = [128 + 1, 128 + 2, 128 + 15];
    /// STATUS_CONTROL_C_EXIT (a console or a session that closes) and DBG_TERMINATE_PROCESS (a
    /// session that ends).
    const ASKED_ON_WINDOWS: [u32; 2] = [0xC000_013A, 0x4001_0004];
    match code {
        _ if asked => AppEnd::Asked,
        Some(0) => AppEnd::Well,
        Some(code) if cfg!(windows) && ASKED_ON_WINDOWS.contains(&code.cast_unsigned()) => {
            AppEnd::Asked
        }
        None if ASKED.contains(&status) => AppEnd::Asked,
        _ => AppEnd::Badly(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exit code of a program that the system ends for a wrong access to memory.
    const CRASH: u32 = if cfg!(windows) { 0xC000_0005 } else { 128 + 11 };

    const RULES: Rules =
        Rules { survival: Duration::from_secs(10), up_within: Duration::from_secs(60), tries: 2 };

    fn seen(seconds: u64) -> Observation {
        Observation {
            age: Duration::from_secs(seconds),
            ended: None,
            health_report: None,
            reports_up: false,
            others: Others::None,
            handed_over: false,
            has_arguments: false,
            was_up: false,
            was_settled: false,
        }
    }

    #[test]
    fn a_version_that_was_settled_is_assessed_by_starts_that_fail_at_once() {
        let again = |seconds, ended| {
            assess(&RULES, &Observation { ended, was_up: true, was_settled: true, ..seen(seconds) })
        };
        assert_eq!(again(1, None), Assessment::Up);
        assert_eq!(
            again(1, Some(AppEnd::Badly(1))),
            Assessment::Failed(LaunchFailure::Crashed { status: 1 })
        );
        assert_eq!(
            [again(1, Some(AppEnd::Well)), again(1, Some(AppEnd::Asked))],
            [Assessment::Settled, Assessment::Undecided],
            "only failures in a row count"
        );
        let typed = Observation {
            ended: Some(AppEnd::Badly(1)),
            was_up: true,
            was_settled: true,
            has_arguments: true,
            ..seen(1)
        };
        assert_eq!(assess(&RULES, &typed), Assessment::Undecided, "what was typed is no failure");
        for ended in [None, Some(AppEnd::Well), Some(AppEnd::Badly(1))] {
            assert_eq!(
                again(10, ended),
                Assessment::Settled,
                "every app crashes sometimes: {ended:?}"
            );
        }
    }

    #[test]
    fn what_a_later_run_does_counts_by_itself() {
        let later =
            |seconds, ended| Observation { ended: Some(ended), was_up: true, ..seen(seconds) };
        assert_eq!(
            assess(&RULES, &later(1, AppEnd::Well)),
            Assessment::Undecided,
            "it did not come up this time"
        );
        assert_eq!(assess(&RULES, &later(20, AppEnd::Well)), Assessment::Good);
        let reported = Observation {
            health_report: Some(HealthReport::Failed("no".to_owned())),
            ..later(1, AppEnd::Well)
        };
        assert_eq!(
            assess(&RULES, &reported),
            Assessment::Failed(LaunchFailure::Reported { reason: "no".to_owned() })
        );
    }

    #[test]
    fn an_app_that_says_nothing_is_up_when_it_survives() {
        assert_eq!(assess(&RULES, &seen(9)), Assessment::Wait);
        assert_eq!(assess(&RULES, &seen(10)), Assessment::Up);
        assert_eq!(assess(&RULES, &seen(120)), Assessment::Settled);
        assert_eq!(
            assess(&RULES, &Observation { health_report: Some(HealthReport::Up), ..seen(1) }),
            Assessment::Up
        );
    }

    #[test]
    fn an_app_that_reports_must_do_so_in_time() {
        let quiet = |seconds| Observation { reports_up: true, ..seen(seconds) };
        assert_eq!(assess(&RULES, &quiet(59)), Assessment::Wait, "surviving is not enough");
        assert_eq!(assess(&RULES, &quiet(60)), Assessment::Failed(LaunchFailure::Hung));
        assert_eq!(
            assess(&RULES, &Observation { was_up: true, ..quiet(60) }),
            Assessment::Up,
            "it came up in an earlier run"
        );
        let failed = Observation {
            health_report: Some(HealthReport::Failed("no display".to_owned())),
            ..quiet(1)
        };
        assert_eq!(
            assess(&RULES, &failed),
            Assessment::Failed(LaunchFailure::Reported { reason: "no display".to_owned() })
        );
    }

    #[test]
    fn how_it_ended_counts() {
        let end = |seconds, ended| Observation { ended: Some(ended), ..seen(seconds) };
        let crashed = Assessment::Failed(LaunchFailure::Crashed { status: CRASH });
        assert_eq!(assess(&RULES, &end(1, AppEnd::Badly(CRASH))), crashed);
        assert_eq!(
            assess(&RULES, &end(100, AppEnd::Badly(CRASH))),
            crashed,
            "it comes up and crashes later"
        );
        assert_eq!(
            assess(&RULES, &end(120, AppEnd::Badly(CRASH))),
            Assessment::Settled,
            "every app crashes sometimes"
        );
        assert_eq!(
            assess(&RULES, &end(120, AppEnd::Asked)),
            Assessment::Settled,
            "a session that ends is no reason to doubt"
        );
        assert_eq!(
            assess(&RULES, &end(1, AppEnd::Well)),
            Assessment::Undecided,
            "what is not known is not bad"
        );
        for ended in [AppEnd::Well, AppEnd::Badly(1), AppEnd::Badly(CRASH)] {
            let replaced = Observation { others: Others::Instance, ..end(1, ended) };
            assert_eq!(assess(&RULES, &replaced), Assessment::Undecided, "{ended:?}");
        }
        let typed = |ended| assess(&RULES, &Observation { has_arguments: true, ..end(1, ended) });
        let doubtful = Assessment::Doubtful(LaunchFailure::Crashed { status: 2 });
        assert_eq!(
            [typed(AppEnd::Well), typed(AppEnd::Badly(2))],
            [Assessment::Undecided, doubtful]
        );
        assert_eq!(typed(AppEnd::Badly(CRASH)), crashed, "no argument causes that");
        assert_eq!(
            assess(
                &RULES,
                &Observation { health_report: Some(HealthReport::Up), ..end(1, AppEnd::Well) }
            ),
            Assessment::Good
        );
        assert_eq!(
            assess(&RULES, &end(5, AppEnd::Well)),
            Assessment::Undecided,
            "closed by a person before it was known to be up"
        );
        assert_eq!(assess(&RULES, &end(20, AppEnd::Well)), Assessment::Good);
        assert_eq!(assess(&RULES, &end(1, AppEnd::Asked)), Assessment::Undecided);
    }

    #[test]
    fn what_goes_on_in_its_place_is_assessed() {
        let crashed = |status| Assessment::Failed(LaunchFailure::Crashed { status });
        // How the first process ended, which processes are left, after how many seconds, and
        // whether it came up before: the expected verdict.
        for (ended, others, age, was_up, expected) in [
            (AppEnd::Well, Others::Successor, 1, false, Assessment::Wait),
            (AppEnd::Well, Others::Successor, 10, false, Assessment::Up),
            (AppEnd::Well, Others::Successor, 1, true, Assessment::Up),
            (AppEnd::Well, Others::Successor, 120, true, Assessment::Settled),
            (AppEnd::Well, Others::Left, 1, false, Assessment::Wait),
            (AppEnd::Well, Others::Left, 9, false, Assessment::Wait),
            (AppEnd::Well, Others::Left, 10, false, Assessment::Good),
            (AppEnd::Well, Others::Left, 1, true, Assessment::Undecided),
            (AppEnd::Well, Others::None, 9, false, Assessment::Undecided),
            (AppEnd::Well, Others::None, 10, true, Assessment::Good),
            (AppEnd::Badly(3), Others::Left, 9, false, Assessment::Wait),
            (AppEnd::Badly(3), Others::Left, 10, false, Assessment::Good),
            (AppEnd::Badly(3), Others::Successor, 10, false, Assessment::Up),
            (AppEnd::Badly(3), Others::None, 9, false, crashed(3)),
            (AppEnd::Badly(3), Others::None, 9, true, Assessment::Undecided),
            (AppEnd::Badly(3), Others::None, 10, true, Assessment::Good),
            (AppEnd::Badly(CRASH), Others::Left, 10, false, crashed(CRASH)),
        ] {
            let handed_over =
                Observation { ended: Some(ended), others, handed_over: true, was_up, ..seen(age) };
            assert_eq!(assess(&RULES, &handed_over), expected, "{ended:?}, {others:?}, {age} s");
        }
    }

    #[test]
    fn who_ended_it_is_read_from_the_status() {
        assert_eq!(ended(Some(0), 0, false), AppEnd::Well);
        assert_eq!(ended(Some(0), 0, true), AppEnd::Asked);
        assert_eq!(ended(Some(3), 3, false), AppEnd::Badly(3));
        assert_eq!(ended(Some(0x100), 0x100, false), AppEnd::Badly(0x100));
        assert_eq!(
            [ended(None, 143, false), ended(None, CRASH, false)],
            [AppEnd::Asked, AppEnd::Badly(CRASH)]
        );
        assert_eq!(
            ended(Some(143), 143, false),
            AppEnd::Badly(143),
            "a code of the app's own, no signal"
        );
        #[cfg(windows)]
        {
            let windows = |code: u32| ended(Some(code.cast_signed()), code, false);
            assert_eq!(windows(0xC000_013A), AppEnd::Asked);
            assert_eq!(windows(0xC000_0005), AppEnd::Badly(0xC000_0005));
        }
    }

    #[test]
    fn tries_are_bounded() {
        assert!(!exceeds_tries(&RULES, 1, false) && exceeds_tries(&RULES, 2, false));
        assert!(!exceeds_tries(&RULES, 2, true) && exceeds_tries(&RULES, 3, true));
        assert!(!exceeds_tries_in_doubt(&RULES, 2) && exceeds_tries_in_doubt(&RULES, 3));
    }
}
