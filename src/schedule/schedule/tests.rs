//! A launcher's life, hours of it in no real time: jitter, retries, hints, sleep, conditions.

use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const RULES: Rules = Rules {
    delay: Duration::from_secs(5),
    interval: Duration::from_secs(2 * 3600),
    hint_spread: Duration::from_secs(60),
    on_metered: Background::Check,
    on_low_battery: Background::Check,
};
const USUAL: Conditions =
    Conditions { metered: None, on_battery: None, battery_low: None, saver: None };

/// Makes the next due check, which must be for `reason`, and returns its time.
fn check(schedule: &mut Schedule, reason: Reason) -> Duration {
    let now = schedule.next();
    assert_eq!(
        schedule.step(now, ScheduleInput::Due(USUAL)),
        Some(Check { reason, prefetch: true }),
        "at {now:?}"
    );
    now
}

fn ended(schedule: &mut Schedule, now: Duration, outcome: CheckEnd) {
    assert_eq!(schedule.step(now, ScheduleInput::Ended(outcome)), None);
}

/// A schedule whose first check was answered, and the time of that answer.
fn going(seed: u64) -> (Schedule, Duration) {
    let mut schedule = Schedule::new(RULES, seed);
    let now = check(&mut schedule, Reason::Start);
    ended(&mut schedule, now, CheckEnd::Answered);
    (schedule, now)
}

#[test]
fn after_the_start_and_then_about_every_interval() {
    let mut waits = Vec::new();
    for seed in 0..200 {
        let mut schedule = Schedule::new(RULES, seed);
        assert_eq!(schedule.next(), RULES.delay);
        assert_eq!(
            schedule.step(RULES.delay - Duration::from_millis(1), ScheduleInput::Due(USUAL)),
            None,
            "not yet"
        );
        let mut now = check(&mut schedule, Reason::Start);
        for _ in 0..3 {
            assert_eq!(schedule.step(now, ScheduleInput::Due(USUAL)), None, "one at a time");
            ended(&mut schedule, now, CheckEnd::Answered);
            waits.push((schedule.next() - now).as_secs_f64() / RULES.interval.as_secs_f64());
            now = check(&mut schedule, Reason::Interval);
        }
    }
    assert!(waits.iter().all(|wait| (0.9..=1.1).contains(wait)), "{waits:?}");
    for tenth in 0..10 {
        let from = 0.9 + 0.02 * f64::from(tenth);
        let count = waits.iter().filter(|wait| (from..from + 0.02).contains(*wait)).count();
        assert!(
            (30..90).contains(&count),
            "{count} of 600 between {from} and {}: not uniform",
            from + 0.02
        );
    }
}

#[test]
fn failures_wait_twice_as_long_each_time_up_to_the_interval() {
    let mut schedule = Schedule::new(RULES, 1);
    let mut now = check(&mut schedule, Reason::Start);
    for minutes in [5, 10, 20, 40, 80, 120, 120, 120] {
        ended(&mut schedule, now, CheckEnd::Failed);
        let wait = schedule.next() - now;
        let mean = minutes * MINUTE;
        assert!(wait >= mean / 2 && wait <= mean * 3 / 2, "{wait:?} in place of about {mean:?}");
        now = check(&mut schedule, Reason::Retry);
    }
    for _ in 0..100 {
        ended(&mut schedule, now, CheckEnd::Failed);
        now = check(&mut schedule, Reason::Retry);
    }
    ended(&mut schedule, now, CheckEnd::Answered);
    assert!(schedule.next() - now > RULES.interval / 2);
    now = check(&mut schedule, Reason::Interval);
    ended(&mut schedule, now, CheckEnd::Failed);
    assert!(schedule.next() - now < 8 * MINUTE, "what was before counts no longer");
}

#[test]
fn a_hint_is_followed_soon_but_not_by_all_at_once() {
    let mut seconds = [0; 60];
    for seed in 0..10_000 {
        let (mut schedule, now) = going(seed);
        let now = now + HOUR;
        assert_eq!(schedule.step(now, ScheduleInput::Hint), None);
        seconds[usize::try_from((schedule.next() - now).as_secs()).unwrap()] += 1;
        check(&mut schedule, Reason::Hint);
    }
    assert!(seconds.iter().all(|count| (100..250).contains(count)), "{seconds:?}");
}

#[test]
fn a_flood_of_hints_is_one_check_in_five_minutes() {
    let (mut schedule, start) = going(7);
    let mut checks = 0;
    for second in 0..3600 {
        let now = start + Duration::from_secs(second);
        for _ in 0..10 {
            assert_eq!(schedule.step(now, ScheduleInput::Hint), None);
        }
        if now >= schedule.next() && schedule.step(now, ScheduleInput::Due(USUAL)).is_some() {
            checks += 1;
            schedule.step(now, ScheduleInput::Hint);
            ended(&mut schedule, now, CheckEnd::Answered);
        }
    }
    assert!((9..=12).contains(&checks), "{checks} in an hour");
}

#[test]
fn more_hints_do_not_draw_lots_again() {
    let (mut schedule, start) = going(3);
    schedule.step(start, ScheduleInput::Hint);
    let due = schedule.next();
    for _ in 0..1000 {
        schedule.step(start, ScheduleInput::Hint);
    }
    assert_eq!(schedule.next(), due);
}

#[test]
fn a_hint_that_comes_during_a_check_is_followed_afterwards() {
    let (mut schedule, _) = going(4);
    let now = check(&mut schedule, Reason::Interval);
    schedule.step(now, ScheduleInput::Hint);
    ended(&mut schedule, now, CheckEnd::Answered);
    assert!(schedule.next() <= now + RULES.hint_spread);
    check(&mut schedule, Reason::Hint);
}

#[test]
fn a_hint_does_not_delay_what_comes_sooner_anyway() {
    let mut schedule = Schedule::new(
        RULES,
        (0..100).find(|seed| Schedule::new(RULES, *seed).random.f64() > 0.5).unwrap(),
    );
    schedule.step(Duration::ZERO, ScheduleInput::Hint);
    assert_eq!(schedule.next(), RULES.delay);
    check(&mut schedule, Reason::Start);
}

#[test]
fn sleep_counts_as_time_and_leads_to_one_check() {
    let mut after = Vec::new();
    for seed in 0..100 {
        let (mut schedule, start) = going(seed);
        let before = schedule.next();
        let now = start + 10 * MINUTE;
        schedule.step(now, ScheduleInput::Woken { uncounted: 30 * MINUTE });
        assert_eq!(schedule.next(), before - 30 * MINUTE, "not due yet, only sooner");
        schedule.step(now, ScheduleInput::Woken { uncounted: 8 * HOUR });
        let due = schedule.next();
        assert!(due >= now + AFTER_SLEEP && due <= now + MINUTE, "{:?}", due - now);
        after.push(due);
        // The computer wakes and sleeps again before the check.
        schedule.step(now + Duration::from_secs(1), ScheduleInput::Woken { uncounted: 8 * HOUR });
        let now = check(&mut schedule, Reason::Woken);
        ended(&mut schedule, now, CheckEnd::Answered);
        assert!(
            schedule.next() > now + HOUR,
            "one, not one for each interval that was slept through"
        );
    }
    after.sort_unstable();
    after.dedup();
    assert!(after.len() > 90, "they do not all wake the repository at once");
}

#[test]
fn a_clock_that_ran_on_during_sleep_gives_the_network_time_all_the_same() {
    let (mut schedule, _) = going(5);
    let now = schedule.next() + HOUR;
    schedule.step(now, ScheduleInput::Woken { uncounted: Duration::ZERO });
    assert_eq!(schedule.step(now, ScheduleInput::Due(USUAL)), None);
    assert!(check(&mut schedule, Reason::Woken) >= now + AFTER_SLEEP);
}

#[test]
fn a_person_is_answered_at_once() {
    let (mut schedule, start) = going(6);
    assert_eq!(
        schedule.step(start, ScheduleInput::Asked),
        Some(Check { reason: Reason::Asked, prefetch: true })
    );
    assert_eq!(schedule.step(start, ScheduleInput::Asked), None, "it is under way");
    ended(&mut schedule, start + MINUTE, CheckEnd::Answered);
    assert!(schedule.next() > start + HOUR, "and the next one by itself is an interval later");
}

#[test]
fn a_check_whose_end_nobody_reports_does_not_end_the_schedule() {
    let mut schedule = Schedule::new(RULES, 8);
    let begun = check(&mut schedule, Reason::Start);
    let limit = schedule.next();
    assert_eq!(limit, begun + MAX_CHECK);
    assert_eq!(schedule.step(limit, ScheduleInput::Due(USUAL)), None);
    check(&mut schedule, Reason::Retry);
}

#[test]
fn conditions_say_what_is_permitted() {
    let metered = Conditions { metered: Some(true), ..USUAL };
    let battery = Conditions { on_battery: Some(true), battery_low: Some(false), ..USUAL };
    let low = Conditions { battery_low: Some(true), ..battery };
    let charging = Conditions { on_battery: Some(false), battery_low: Some(true), ..USUAL };
    let saver = Conditions { saver: Some(true), ..USUAL };
    let permitted = |rules: Rules, conditions: &Conditions| {
        let Permitted { check, prefetch } = rules.permitted(conditions);
        (check, prefetch)
    };
    for free in
        [USUAL, battery, charging, Conditions { metered: Some(false), saver: Some(false), ..USUAL }]
    {
        let strict =
            Rules { on_metered: Background::Nothing, on_low_battery: Background::Nothing, ..RULES };
        assert_eq!(permitted(strict, &free), (true, true), "{free:?}");
    }
    for limited in [metered, low, saver] {
        assert_eq!(permitted(RULES, &limited), (true, false), "{limited:?}");
    }
    let careless = Rules { on_metered: Background::All, ..RULES };
    assert_eq!(permitted(careless, &metered), (true, true));
    assert_eq!(
        permitted(careless, &Conditions { saver: Some(true), ..metered }),
        (true, false),
        "the stricter one counts"
    );
    let strict = Rules { on_metered: Background::Nothing, ..RULES };
    assert_eq!(
        [permitted(strict, &metered), permitted(strict, &low)],
        [(false, false), (true, false)]
    );
}

#[test]
fn a_forbidden_check_waits_for_better_conditions_but_not_for_ever() {
    let mut schedule = Schedule::new(Rules { on_metered: Background::Nothing, ..RULES }, 9);
    let metered = Conditions { metered: Some(true), ..USUAL };
    let mut now = schedule.next();
    for _ in 0..10 {
        assert_eq!(schedule.step(now, ScheduleInput::Due(metered)), None);
        let wait = schedule.next() - now;
        assert!(wait >= POSTPONED / 2 && wait <= POSTPONED * 3 / 2, "{wait:?}");
        now = schedule.next();
    }
    check(&mut schedule, Reason::Start);
    let mut asked = Schedule::new(Rules { on_metered: Background::Nothing, ..RULES }, 9);
    assert!(
        asked.step(Duration::ZERO, ScheduleInput::Asked).is_some(),
        "a person knows what it costs"
    );
}

proptest! {
    /// For all inputs in all orders: the next look is never further away than an interval, the
    /// number of checks that nobody asked for is bounded, and no two checks overlap.
    #[test]
    fn no_order_of_events_makes_a_burst_or_an_end(seed: u64, steps in prop::collection::vec((0_u64..2000, 0_u8..8), 1..400)) {
        let mut schedule = Schedule::new(RULES, seed);
        let (mut now, mut in_progress, mut hints, mut others) = (Duration::ZERO, None, Vec::new(), 0);
        let mut slept = Duration::ZERO;
        for (seconds, what) in steps {
            now += Duration::from_secs(seconds);
            let input = match what {
                0 => ScheduleInput::Ended(CheckEnd::Answered),
                1 => ScheduleInput::Ended(CheckEnd::Failed),
                2 | 3 => ScheduleInput::Hint,
                4 => ScheduleInput::Woken { uncounted: Duration::from_secs(seconds * 7) },
                5 => ScheduleInput::Asked,
                _ => ScheduleInput::Due(if seconds % 2 == 0 { USUAL } else { Conditions { metered: Some(true), ..USUAL } }),
            };
            if let ScheduleInput::Woken { uncounted } = input {
                slept += uncounted;
            }
            if matches!(input, ScheduleInput::Ended(_)) {
                in_progress = None;
            }
            let check = schedule.step(now, input);
            if let Some(Check { reason, .. }) = check {
                prop_assert!(in_progress.is_none_or(|since| now >= since + MAX_CHECK), "two at once");
                in_progress = Some(now);
                match reason {
                    Reason::Hint => hints.push(now),
                    Reason::Asked => {}
                    _ => others += 1,
                }
            }
            prop_assert!(schedule.next() <= now + RULES.interval.mul_f64(1.5), "{:?} away", schedule.next() - now);
        }
        prop_assert!(hints.windows(2).all(|pair| pair[1] - pair[0] >= BETWEEN_HINTS), "{hints:?}");
        // The shortest wait before a retry is two and a half minutes; nothing comes sooner.
        let most = 2 + (now + slept).as_secs() / 150;
        prop_assert!(others <= most, "{others} checks in {now:?} and {slept:?} of sleep");
    }
}
