//! Decides when to announce an unanswered offer again: at the user's next pause in work. A pure
//! core; time is an argument, counted from any moment.
//!
//! In: whether the user answered an announcement, the time, how long nobody has used the keyboard
//! or the pointer. Out: when to look again, and when to announce. Never: an announcement in the
//! middle of a sentence, or while the user is away.

use std::time::Duration;

/// Silence after each announcement that nobody answered; the last value holds for all further ones.
const BREAKS: [Duration; 4] = [
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(4 * 3600),
];
/// A user who has touched nothing for this long makes a pause.
const PAUSE: Duration = Duration::from_secs(20);
/// A user who has touched nothing for this long is away, and would not see an announcement.
const AWAY: Duration = Duration::from_secs(5 * 60);
/// While the user is away, time between two checks for their return.
const POLL_INTERVAL: Duration = Duration::from_secs(10);

/// What the caller must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReminderStep {
    /// No announcement is waiting.
    Nothing,
    /// Look again after this time.
    LookIn(Duration),
    /// Announce the offer now.
    Announce,
}

/// The reminder of an offer that nobody has answered, if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reminder {
    unanswered: usize,
    due: Option<Duration>,
}

impl Reminder {
    /// Notes that an announcement went unanswered.
    pub(crate) fn unanswered(&mut self, now: Duration) {
        let pause = BREAKS.get(self.unanswered).or(BREAKS.last()).copied().unwrap_or(AWAY);
        self.unanswered += 1;
        self.due = Some(now.saturating_add(pause));
    }

    /// Notes that the user has answered, or that there is no offer any more.
    pub(crate) fn settled(&mut self) {
        *self = Self::default();
    }

    /// What to do now. `idle` gives how long nobody has touched keyboard or pointer, where the
    /// system reports it.
    pub(crate) fn step(
        &self,
        now: Duration,
        idle: impl FnOnce() -> Option<Duration>,
    ) -> ReminderStep {
        let Some(due) = self.due else { return ReminderStep::Nothing };
        let left = due.saturating_sub(now);
        if !left.is_zero() {
            return ReminderStep::LookIn(left);
        }
        match idle() {
            Some(idle) if idle < PAUSE => {
                ReminderStep::LookIn((PAUSE - idle).max(Duration::from_secs(1)))
            }
            Some(idle) if idle >= AWAY => ReminderStep::LookIn(POLL_INTERVAL),
            _ => ReminderStep::Announce,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    const fn idle(seconds: u64) -> impl FnOnce() -> Option<Duration> {
        move || Some(Duration::from_secs(seconds))
    }

    #[test]
    fn what_nobody_answered_comes_back_at_the_next_pause() {
        let mut reminder = Reminder::default();
        assert_eq!(reminder.step(minutes(1), idle(30)), ReminderStep::Nothing);
        reminder.unanswered(minutes(1));
        assert_eq!(
            reminder.step(minutes(2), idle(30)),
            ReminderStep::LookIn(minutes(4)),
            "not at once again"
        );
        assert_eq!(
            reminder.step(minutes(6), idle(5)),
            ReminderStep::LookIn(Duration::from_secs(15)),
            "somebody types"
        );
        assert_eq!(
            reminder.step(minutes(6), idle(3600)),
            ReminderStep::LookIn(POLL_INTERVAL),
            "nobody is there"
        );
        assert_eq!(reminder.step(minutes(6), idle(30)), ReminderStep::Announce);
        assert_eq!(
            reminder.step(minutes(6), || None),
            ReminderStep::Announce,
            "where nobody knows, the clock decides"
        );
    }

    #[test]
    fn it_comes_ever_less_often_until_somebody_answers() {
        let mut reminder = Reminder::default();
        for wanted in [5, 30, 120, 240, 240] {
            reminder.unanswered(minutes(0));
            assert_eq!(reminder.step(minutes(0), idle(30)), ReminderStep::LookIn(minutes(wanted)));
        }
        reminder.settled();
        assert_eq!(reminder.step(minutes(999), idle(30)), ReminderStep::Nothing);
        reminder.unanswered(minutes(0));
        assert_eq!(reminder.step(minutes(0), idle(30)), ReminderStep::LookIn(minutes(5)));
    }
}
