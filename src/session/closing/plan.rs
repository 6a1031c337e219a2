//! Decides which window to ask to close next, and what is being waited for. Pure, without clock or
//! display.
//!
//! Windows are asked one after another, as a program closes its own. Each is asked once, and the
//! next one only when the one before has gone. So a person who keeps one window open keeps all
//! windows after it. Only windows that were open at the beginning are asked. A window that opens
//! later is the app's own answer, a question for instance.

use std::time::Duration;

use crate::host::app_windows::{Window, WindowKind};
use crate::host::processes::Process;
use crate::messages::protocol::ClosingWait;

/// Pause before the next window is asked: an app that has closed a window may be about to end.
const SETTLED: Duration = Duration::from_millis(700);
/// A window that is still open after this waits for a person.
const PERSON_NEEDED_AFTER: Duration = Duration::from_millis(1000);
/// How long an app whose last window has gone may write, before the user sees that it goes on.
const WRITING_TIME: Duration = Duration::from_secs(5);

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClosingStep {
    /// Ask this window to close.
    Ask(Window),
    /// Bring this window, which has a question, to the front.
    Show(Window),
    /// Do nothing now.
    Wait,
}

/// What was seen and done so far.
#[derive(Debug, Default)]
pub(super) struct ClosePlan {
    /// Windows that were open at the beginning.
    first: Option<Vec<u64>>,
    asked: Vec<u64>,
    /// The app was asked through its channel, and closes its windows by itself.
    closes_itself: bool,
    /// When the last window was asked, or was found to have gone.
    changed: Duration,
    /// The window that was brought forward last.
    shown: Option<u64>,
}

impl ClosePlan {
    /// A plan for an app that has agreed to close by itself: its windows are only watched.
    pub(super) fn of_an_app_that_closes_itself() -> Self {
        Self { closes_itself: true, ..Self::default() }
    }

    /// Whether the app has had a window since the beginning.
    pub(super) fn has_seen_windows(&self) -> bool {
        self.first.as_ref().is_some_and(|first| !first.is_empty())
    }

    /// Takes in which windows are open at `now`, and returns the next step and what is being waited
    /// for.
    pub(super) fn step(&mut self, now: Duration, windows: &[Window]) -> (ClosingStep, ClosingWait) {
        let first =
            self.first.get_or_insert_with(|| windows.iter().map(|window| window.id).collect());
        let is_open = |id: &u64| windows.iter().any(|window| window.id == *id);
        let before = self.asked.len();
        let open_asked = self.asked.iter().copied().find(is_open);
        self.asked.retain(is_open);
        if self.asked.len() < before {
            self.changed = now;
        }
        let since = now.saturating_sub(self.changed);
        if windows.is_empty() {
            let wait =
                if since < WRITING_TIME { ClosingWait::App } else { ClosingWait::Unreachable };
            return (ClosingStep::Wait, wait);
        }
        let question = question(windows);
        if self.closes_itself || open_asked.is_some() {
            let front = question.or_else(|| {
                windows.iter().find(|window| open_asked.is_none_or(|id| window.id == id)).copied()
            });
            return self.wait_for_person(since, front);
        }
        // An app ignores the request while it shows a question: the user has to answer that first.
        if question.is_some_and(|question| {
            windows.iter().any(|window| window.id != question.id && window.kind == WindowKind::Main)
        }) {
            return self.wait_for_person(PERSON_NEEDED_AFTER, question);
        }
        let mut candidates: Vec<&Window> = windows
            .iter()
            .filter(|window| first.contains(&window.id) && !belongs_to_another(window, windows))
            .collect();
        // Stable: the oldest of a kind stay first, which is usually the app's main window.
        candidates.sort_by_key(|window| window.kind);
        match candidates.iter().find(|window| window.can_close) {
            Some(_) if self.has_lost_a_window(now) => (ClosingStep::Wait, ClosingWait::App),
            Some(window) => {
                let window = **window;
                self.asked.push(window.id);
                self.changed = now;
                (ClosingStep::Ask(window), ClosingWait::App)
            }
            None if candidates.is_empty() => self.wait_for_person(since, windows.first().copied()),
            None => (ClosingStep::Wait, ClosingWait::Unreachable),
        }
    }

    /// Whether a window has gone only just now.
    fn has_lost_a_window(&self, now: Duration) -> bool {
        self.changed > Duration::ZERO && now.saturating_sub(self.changed) < SETTLED
    }

    fn wait_for_person(
        &mut self,
        since: Duration,
        front: Option<Window>,
    ) -> (ClosingStep, ClosingWait) {
        if since < PERSON_NEEDED_AFTER {
            return (ClosingStep::Wait, ClosingWait::App);
        }
        match front {
            Some(window) if self.shown != Some(window.id) => {
                self.shown = Some(window.id);
                (ClosingStep::Show(window), ClosingWait::Person)
            }
            _ => (ClosingStep::Wait, ClosingWait::Person),
        }
    }
}

/// The question in front: the newest window that blocks the others.
fn question(windows: &[Window]) -> Option<Window> {
    windows.iter().rev().find(|window| window.modal).copied()
}

fn belongs_to_another(window: &Window, windows: &[Window]) -> bool {
    window
        .owner
        .is_some_and(|owner| owner != window.id && windows.iter().any(|other| other.id == owner))
}

/// The app's own windows: those of a process that has some while none of its parents within the app
/// has any. A program that the app has started (a browser, say) is not the app, as long as the app
/// has a window itself.
pub(super) fn own_windows(tree: &[Process], windows: Vec<Window>) -> Vec<Window> {
    let has_windows = |id: u32| windows.iter().any(|window| window.process == id);
    let parent = |id: u32| {
        tree.iter()
            .find(|process| process.id == id && Some(process) != tree.first().as_ref())
            .map(|process| process.parent)
    };
    let is_nearest = |id: u32| {
        let mut next = parent(id);
        // At most as many steps as there are processes: the system's list of parents may contain a
        // cycle.
        for _ in 0..tree.len() {
            match next {
                Some(id) if has_windows(id) => return false,
                Some(id) => next = parent(id),
                None => break,
            }
        }
        true
    };
    let ours: Vec<bool> = windows.iter().map(|window| is_nearest(window.process)).collect();
    windows.into_iter().zip(ours).filter_map(|(window, ours)| ours.then_some(window)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(id: u64) -> Window {
        Window {
            id,
            process: 10,
            kind: WindowKind::Main,
            owner: None,
            modal: false,
            can_close: true,
        }
    }

    fn question_of(id: u64, owner: u64) -> Window {
        Window { kind: WindowKind::Dialog, owner: Some(owner), modal: true, ..window(id) }
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn one_window_is_asked_once_and_waited_for_without_limit() {
        let mut plan = ClosePlan::default();
        assert_eq!(plan.step(at(0), &[window(1)]), (ClosingStep::Ask(window(1)), ClosingWait::App));
        assert_eq!(plan.step(at(500), &[window(1)]), (ClosingStep::Wait, ClosingWait::App));
        // The app shows its question, which is brought to the front once.
        let asks = [window(1), question_of(2, 1)];
        assert_eq!(plan.step(at(1200), &asks), (ClosingStep::Show(asks[1]), ClosingWait::Person));
        assert_eq!(plan.step(at(1400), &asks), (ClosingStep::Wait, ClosingWait::Person));
        // The user answers "cancel": the window is never asked again, nor put before others.
        assert!(matches!(plan.step(at(60_000), &[window(1)]), (_, ClosingWait::Person)));
        for hours in 1..100 {
            let (step, wait) = plan.step(at(hours * 3_600_000), &[window(1)]);
            assert_eq!((step, wait), (ClosingStep::Wait, ClosingWait::Person));
        }
    }

    #[test]
    fn the_next_window_is_asked_when_the_one_before_has_gone_and_the_app_goes_on() {
        let mut plan = ClosePlan::default();
        let both = [window(1), window(2)];
        assert_eq!(plan.step(at(0), &both).0, ClosingStep::Ask(window(1)));
        assert_eq!(plan.step(at(900), &both).0, ClosingStep::Wait);
        assert_eq!(plan.step(at(2000), &[window(2)]).0, ClosingStep::Wait, "the app may be ending");
        assert_eq!(plan.step(at(2800), &[window(2)]).0, ClosingStep::Ask(window(2)));
        // What opens now is the app's own answer, and is not closed.
        let progress = Window { kind: WindowKind::Dialog, ..window(3) };
        assert_eq!(plan.step(at(4000), &[progress]).0, ClosingStep::Wait);
        assert!(matches!(plan.step(at(9000), &[progress]), (_, ClosingWait::Person)));
    }

    #[test]
    fn a_question_that_is_open_already_comes_first() {
        let mut plan = ClosePlan::default();
        let open = [window(1), question_of(2, 1)];
        assert_eq!(plan.step(at(0), &open), (ClosingStep::Show(open[1]), ClosingWait::Person));
        assert_eq!(plan.step(at(5000), &open), (ClosingStep::Wait, ClosingWait::Person));
        assert_eq!(plan.step(at(6000), &open[..1]).0, ClosingStep::Ask(window(1)));
        // An app whose only window is a dialog.
        let mut plan = ClosePlan::default();
        let only = Window { kind: WindowKind::Dialog, modal: true, ..window(7) };
        assert_eq!(plan.step(at(0), &[only]).0, ClosingStep::Ask(only));
    }

    #[test]
    fn windows_that_belong_to_others_and_tools_are_not_asked_before_main_ones() {
        let find = Window { kind: WindowKind::Dialog, owner: Some(2), ..window(1) };
        let tools = Window { kind: WindowKind::Other, ..window(3) };
        let mut plan = ClosePlan::default();
        assert_eq!(plan.step(at(0), &[tools, find, window(2)]).0, ClosingStep::Ask(window(2)));
        let mut plan = ClosePlan::default();
        assert_eq!(plan.step(at(0), &[tools]).0, ClosingStep::Ask(tools), "a desktop's own gadget");
        // Its owner is not visible: then it counts by itself.
        let mut plan = ClosePlan::default();
        assert_eq!(plan.step(at(0), &[find]).0, ClosingStep::Ask(find));
    }

    #[test]
    fn what_cannot_be_asked_is_left_to_its_person() {
        let mut plan = ClosePlan::default();
        let deaf = Window { can_close: false, ..window(1) };
        assert_eq!(plan.step(at(0), &[deaf]), (ClosingStep::Wait, ClosingWait::Unreachable));
        assert_eq!(plan.step(at(90_000), &[deaf]), (ClosingStep::Wait, ClosingWait::Unreachable));
        // Another window that can be asked is asked.
        let mut plan = ClosePlan::default();
        assert_eq!(plan.step(at(0), &[deaf, window(2)]).0, ClosingStep::Ask(window(2)));
        assert_eq!(plan.step(at(5000), &[deaf]), (ClosingStep::Wait, ClosingWait::Unreachable));
    }

    #[test]
    fn an_app_whose_windows_have_gone_may_take_its_time_and_is_never_ended() {
        let mut plan = ClosePlan::default();
        plan.step(at(0), &[window(1)]);
        assert_eq!(plan.step(at(1000), &[]), (ClosingStep::Wait, ClosingWait::App));
        assert_eq!(
            plan.step(at(5500), &[]),
            (ClosingStep::Wait, ClosingWait::App),
            "it writes its files"
        );
        assert_eq!(
            plan.step(at(7000), &[]),
            (ClosingStep::Wait, ClosingWait::Unreachable),
            "an icon in the panel is left"
        );
        assert!(plan.has_seen_windows());
    }

    #[test]
    fn an_app_that_closes_itself_is_only_watched() {
        let mut plan = ClosePlan::of_an_app_that_closes_itself();
        assert_eq!(plan.step(at(0), &[window(1)]), (ClosingStep::Wait, ClosingWait::App));
        let asks = [window(1), question_of(2, 1)];
        assert_eq!(plan.step(at(1500), &asks), (ClosingStep::Show(asks[1]), ClosingWait::Person));
        assert_eq!(plan.step(at(90_000), &[window(1)]).1, ClosingWait::Person);
    }

    #[test]
    fn a_program_that_the_app_started_is_not_the_app() {
        let tree =
            [(10, 1), (11, 10), (12, 11), (13, 10)].map(|(id, parent)| Process { id, parent });
        let of = |process| Window { process, ..window(u64::from(process)) };
        let own = |windows: &[Window]| {
            own_windows(&tree, windows.to_vec())
                .iter()
                .map(|window| window.process)
                .collect::<Vec<_>>()
        };
        assert_eq!(own(&[of(10), of(11), of(13)]), [10], "a browser below the app");
        assert_eq!(
            own(&[of(11), of(12)]),
            [11],
            "a script that starts the app, which starts a browser"
        );
        assert_eq!(own(&[of(12), of(13)]), [12, 13], "two programs that a script starts");
    }
}
