//! Judges whether a version that was just started has come up. Pure, without clock or process.
//!
//! In: how long the app has been running, how it ended, its last health report. Out: a [`Verdict`].
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
    pub relapsed: bool,
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

/// The result of judging an observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
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

pub(crate) fn judge(rules: &Rules, seen: &Observation) -> Verdict {
    let says_up = seen.health_report == Some(HealthReport::Up);
    let survived = !seen.reports_up && seen.age >= rules.survival;
    let up_now = says_up || survived;
    let up = seen.was_up || up_now;
    match (seen.ended, &seen.health_report) {
        // A settled version is judged again only for starts that fail at once.
        _ if seen.relapsed && up_now => Verdict::Settled,
        (Some(_), _) if up && seen.age >= SETTLED => Verdict::Settled,
        (Some(AppEnd::Asked), _) => Verdict::Undecided,
        (Some(_), _) if seen.others == Others::Instance => Verdict::Undecided,
        // Nobody is taken from a version that worked for what was typed.
        (Some(AppEnd::Badly(status)), _)
            if seen.relapsed
                && seen.has_arguments
                && !is_crash(status)
                && seen.age < IMMEDIATE_END =>
        {
            Verdict::Undecided
        }
        // Perhaps an error in the user's arguments, reported by a status of the program's choice.
        (Some(AppEnd::Badly(status)), _)
            if seen.has_arguments && !is_crash(status) && seen.age < IMMEDIATE_END =>
        {
            Verdict::Doubtful(LaunchFailure::Crashed { status })
        }
        (ended, Some(HealthReport::Failed(reason))) if !seen.was_up || ended.is_some() => {
            Verdict::Failed(LaunchFailure::Reported { reason: reason.clone() })
        }
        // A process that a crash leaves behind is a helper, perhaps the one that reports crashes.
        (Some(AppEnd::Badly(status)), _) if is_crash(status) => {
            Verdict::Failed(LaunchFailure::Crashed { status })
        }
        // The app handed over: its successor is judged. How the successor ends is unknown.
        (Some(_), _) if seen.others == Others::Successor && up => Verdict::Up,
        (Some(_), _) if seen.others == Others::Left && up_now => Verdict::Good,
        (Some(_), _) if matches!(seen.others, Others::Successor | Others::Left) && !up => {
            Verdict::Wait
        }
        (Some(AppEnd::Badly(_)), _) if seen.handed_over && up_now => Verdict::Good,
        (Some(AppEnd::Badly(_)), _) if seen.handed_over && up => Verdict::Undecided,
        (Some(AppEnd::Badly(status)), _) => Verdict::Failed(LaunchFailure::Crashed { status }),
        (Some(AppEnd::Well), _) if up_now => Verdict::Good,
        // Failures of a version that worked count in a row only.
        (Some(AppEnd::Well), _) if seen.relapsed => Verdict::Settled,
        // An end with status 0 alone is never a failure: the app may have handed over to a process
        // that the launcher cannot see.
        (Some(AppEnd::Well), _) => Verdict::Undecided,
        (None, _) if up && seen.age >= SETTLED => Verdict::Settled,
        (None, _) if up => Verdict::Up,
        (None, _) if seen.reports_up && seen.age >= rules.up_within => {
            Verdict::Failed(LaunchFailure::Hung)
        }
        (None, _) => Verdict::Wait,
    }
}

fn is_crash(status: u32) -> bool {
    ProcessEnd::of(status).is_crash()
}

/// Whether a version with `failures` failures in a row, the last of them doubtful, is rolled back.
pub(crate) fn is_beaten_in_doubt(rules: &Rules, failures: u32) -> bool {
    failures >= TRIES_WHEN_UP.max(rules.tries)
}

/// Whether a version with `failures` failures in a row is rolled back.
pub(crate) fn is_beaten(rules: &Rules, failures: u32, was_up: bool) -> bool {
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
            relapsed: false,
        }
    }

    #[test]
    fn a_version_that_was_settled_is_judged_by_starts_that_fail_at_once() {
        let again = |seconds, ended| {
            judge(&RULES, &Observation { ended, was_up: true, relapsed: true, ..seen(seconds) })
        };
        assert_eq!(again(1, None), Verdict::Up);
        assert_eq!(
            again(1, Some(AppEnd::Badly(1))),
            Verdict::Failed(LaunchFailure::Crashed { status: 1 })
        );
        assert_eq!(
            [again(1, Some(AppEnd::Well)), again(1, Some(AppEnd::Asked))],
            [Verdict::Settled, Verdict::Undecided],
            "only failures in a row count"
        );
        let typed = Observation {
            ended: Some(AppEnd::Badly(1)),
            was_up: true,
            relapsed: true,
            has_arguments: true,
            ..seen(1)
        };
        assert_eq!(judge(&RULES, &typed), Verdict::Undecided, "what was typed is no failure");
        for ended in [None, Some(AppEnd::Well), Some(AppEnd::Badly(1))] {
            assert_eq!(
                again(10, ended),
                Verdict::Settled,
                "every app crashes sometimes: {ended:?}"
            );
        }
    }

    #[test]
    fn what_a_later_run_does_counts_by_itself() {
        let later =
            |seconds, ended| Observation { ended: Some(ended), was_up: true, ..seen(seconds) };
        assert_eq!(
            judge(&RULES, &later(1, AppEnd::Well)),
            Verdict::Undecided,
            "it did not come up this time"
        );
        assert_eq!(judge(&RULES, &later(20, AppEnd::Well)), Verdict::Good);
        let reported = Observation {
            health_report: Some(HealthReport::Failed("no".to_owned())),
            ..later(1, AppEnd::Well)
        };
        assert_eq!(
            judge(&RULES, &reported),
            Verdict::Failed(LaunchFailure::Reported { reason: "no".to_owned() })
        );
    }

    #[test]
    fn an_app_that_says_nothing_is_up_when_it_survives() {
        assert_eq!(judge(&RULES, &seen(9)), Verdict::Wait);
        assert_eq!(judge(&RULES, &seen(10)), Verdict::Up);
        assert_eq!(judge(&RULES, &seen(120)), Verdict::Settled);
        assert_eq!(
            judge(&RULES, &Observation { health_report: Some(HealthReport::Up), ..seen(1) }),
            Verdict::Up
        );
    }

    #[test]
    fn an_app_that_reports_must_do_so_in_time() {
        let quiet = |seconds| Observation { reports_up: true, ..seen(seconds) };
        assert_eq!(judge(&RULES, &quiet(59)), Verdict::Wait, "surviving is not enough");
        assert_eq!(judge(&RULES, &quiet(60)), Verdict::Failed(LaunchFailure::Hung));
        assert_eq!(
            judge(&RULES, &Observation { was_up: true, ..quiet(60) }),
            Verdict::Up,
            "it came up in an earlier run"
        );
        let failed = Observation {
            health_report: Some(HealthReport::Failed("no display".to_owned())),
            ..quiet(1)
        };
        assert_eq!(
            judge(&RULES, &failed),
            Verdict::Failed(LaunchFailure::Reported { reason: "no display".to_owned() })
        );
    }

    #[test]
    fn how_it_ended_counts() {
        let end = |seconds, ended| Observation { ended: Some(ended), ..seen(seconds) };
        let crashed = Verdict::Failed(LaunchFailure::Crashed { status: CRASH });
        assert_eq!(judge(&RULES, &end(1, AppEnd::Badly(CRASH))), crashed);
        assert_eq!(
            judge(&RULES, &end(100, AppEnd::Badly(CRASH))),
            crashed,
            "it comes up and crashes later"
        );
        assert_eq!(
            judge(&RULES, &end(120, AppEnd::Badly(CRASH))),
            Verdict::Settled,
            "every app crashes sometimes"
        );
        assert_eq!(
            judge(&RULES, &end(120, AppEnd::Asked)),
            Verdict::Settled,
            "a session that ends is no reason to doubt"
        );
        assert_eq!(
            judge(&RULES, &end(1, AppEnd::Well)),
            Verdict::Undecided,
            "what is not known is not bad"
        );
        for ended in [AppEnd::Well, AppEnd::Badly(1), AppEnd::Badly(CRASH)] {
            let replaced = Observation { others: Others::Instance, ..end(1, ended) };
            assert_eq!(judge(&RULES, &replaced), Verdict::Undecided, "{ended:?}");
        }
        let typed = |ended| judge(&RULES, &Observation { has_arguments: true, ..end(1, ended) });
        let doubtful = Verdict::Doubtful(LaunchFailure::Crashed { status: 2 });
        assert_eq!([typed(AppEnd::Well), typed(AppEnd::Badly(2))], [Verdict::Undecided, doubtful]);
        assert_eq!(typed(AppEnd::Badly(CRASH)), crashed, "no argument excuses that");
        assert_eq!(
            judge(
                &RULES,
                &Observation { health_report: Some(HealthReport::Up), ..end(1, AppEnd::Well) }
            ),
            Verdict::Good
        );
        assert_eq!(
            judge(&RULES, &end(5, AppEnd::Well)),
            Verdict::Undecided,
            "closed by a person before it was known to be up"
        );
        assert_eq!(judge(&RULES, &end(20, AppEnd::Well)), Verdict::Good);
        assert_eq!(judge(&RULES, &end(1, AppEnd::Asked)), Verdict::Undecided);
    }

    #[test]
    fn what_goes_on_in_its_place_is_judged() {
        let crashed = |status| Verdict::Failed(LaunchFailure::Crashed { status });
        // How the first process ended, which processes are left, after how many seconds, and
        // whether it came up before: the expected verdict.
        for (ended, others, age, was_up, expected) in [
            (AppEnd::Well, Others::Successor, 1, false, Verdict::Wait),
            (AppEnd::Well, Others::Successor, 10, false, Verdict::Up),
            (AppEnd::Well, Others::Successor, 1, true, Verdict::Up),
            (AppEnd::Well, Others::Successor, 120, true, Verdict::Settled),
            (AppEnd::Well, Others::Left, 1, false, Verdict::Wait),
            (AppEnd::Well, Others::Left, 9, false, Verdict::Wait),
            (AppEnd::Well, Others::Left, 10, false, Verdict::Good),
            (AppEnd::Well, Others::Left, 1, true, Verdict::Undecided),
            (AppEnd::Well, Others::None, 9, false, Verdict::Undecided),
            (AppEnd::Well, Others::None, 10, true, Verdict::Good),
            (AppEnd::Badly(3), Others::Left, 9, false, Verdict::Wait),
            (AppEnd::Badly(3), Others::Left, 10, false, Verdict::Good),
            (AppEnd::Badly(3), Others::Successor, 10, false, Verdict::Up),
            (AppEnd::Badly(3), Others::None, 9, false, crashed(3)),
            (AppEnd::Badly(3), Others::None, 9, true, Verdict::Undecided),
            (AppEnd::Badly(3), Others::None, 10, true, Verdict::Good),
            (AppEnd::Badly(CRASH), Others::Left, 10, false, crashed(CRASH)),
        ] {
            let handed_over =
                Observation { ended: Some(ended), others, handed_over: true, was_up, ..seen(age) };
            assert_eq!(judge(&RULES, &handed_over), expected, "{ended:?}, {others:?}, {age} s");
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
        assert!(!is_beaten(&RULES, 1, false) && is_beaten(&RULES, 2, false));
        assert!(!is_beaten(&RULES, 2, true) && is_beaten(&RULES, 3, true));
        assert!(!is_beaten_in_doubt(&RULES, 2) && is_beaten_in_doubt(&RULES, 3));
    }
}
