//! Closes the running app as its window manager would, and waits as long as the app's user needs.
//!
//! 1. An app that talks to its launcher gets a request to end, and closes by itself.
//! 2. Otherwise the launcher asks its windows to close, one after another. What the app then asks
//!    its user is between the two.
//! 3. An app that has no window and cannot have one (a program in the background) gets the system's
//!    polite signal with all that it has started, as when the computer is shut down. Where a person may be at work in it all the
//!    same (a terminal, Wayland, an icon in the panel) the launcher sends nothing, and shows the
//!    user that the app must be ended by hand.
//!
//! In: the app, its channel, what a person decides meanwhile. Out: whether the app has ended, and
//! what the launcher is waiting for. Never: sends a signal to an app with a window, forces an end
//! without a person's order, asks a second time where the first request was refused, or holds a
//! lock while it waits.

mod plan;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use plan::{ClosePlan, ClosingStep, own_windows};

use super::channel::ChannelHandle;
use crate::error_chain;
use crate::host::app_windows::{DisplayConnection, Unseen, may_face_a_person, may_hide_windows};
use crate::host::processes;
use crate::messages::protocol::ClosingWait;
use crate::store::launch::{RunningApp, WindowOwners};

/// Interval between two checks of an app that is closing.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Interval between two checks of its windows, at first and after a while.
const WINDOW_POLL_INTERVAL: Duration = Duration::from_millis(300);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// How long an app may take to end after a person chose to force it, before the launcher kills it.
const FORCED_WITHIN: Duration = Duration::from_secs(5);
/// How long a program in the background may take before the user sees that it goes on.
const SIGNAL_WITHIN: Duration = Duration::from_secs(10);

/// What a person decides while an app is closing. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CloseControl(Arc<AtomicU8>);

impl CloseControl {
    const TAKEN_BACK: u8 = 1;
    const FORCED: u8 = 2;

    /// Takes the close request back: the app shall go on.
    pub(crate) fn take_back(&self) {
        self.0.store(Self::TAKEN_BACK, Ordering::Release);
    }

    /// Orders a forced end, whatever is lost.
    pub(crate) fn force(&self) {
        // A request that was taken back stays so.
        let _ = self.0.compare_exchange(0, Self::FORCED, Ordering::AcqRel, Ordering::Acquire);
    }

    fn is(&self, decision: u8) -> bool {
        self.0.load(Ordering::Acquire) == decision
    }
}

/// The outcome of closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The app has ended.
    Ended,
    /// The app goes on: its user has refused, or the request was taken back.
    GoesOn,
}

/// Closes the app and waits for its end. `on_wait` receives what is being waited for, whenever that
/// changes.
pub(crate) fn close(
    app: &RunningApp,
    channel: &ChannelHandle,
    control: &CloseControl,
    on_wait: &dyn Fn(ClosingWait),
) -> Closed {
    app.note_asked();
    let closed = Closing::begin(app, channel).wait(control, on_wait);
    if closed == Closed::GoesOn {
        app.goes_on();
    }
    closed
}

struct Closing<'a> {
    app: &'a RunningApp,
    channel: &'a ChannelHandle,
    began: Instant,
    desktop: Result<DisplayConnection, Unseen>,
    plan: ClosePlan,
    /// The app has confirmed the request on its channel.
    heard: bool,
    /// When the polite signal was sent, and to which processes.
    signalled: Option<(Instant, Vec<u32>)>,
    wait: ClosingWait,
}

/// Waits for an app that has announced its end. Returns `GoesOn` if its user refused, or if the app
/// does not end: an app that asks its user may take any time, any other app `limit`.
pub(crate) fn wait_for_own_end(
    app: &RunningApp,
    channel: &ChannelHandle,
    limit: Duration,
) -> Closed {
    app.note_asked();
    let began = Instant::now();
    loop {
        if app.ended().is_some() {
            return Closed::Ended;
        }
        if channel.was_refused() || began.elapsed() >= limit && !asks_its_person(app) {
            app.goes_on();
            return Closed::GoesOn;
        }
        std::thread::sleep(if began.elapsed() < limit { POLL_INTERVAL } else { MAX_PAUSE });
    }
}

/// Whether the app shows its user a question.
fn asks_its_person(app: &RunningApp) -> bool {
    let Ok(tree) = processes::trees(&app.processes()) else { return false };
    let windows = DisplayConnection::connect().and_then(|desktop| desktop.windows(&tree));
    windows.is_ok_and(|windows| own_windows(&tree, windows).iter().any(|window| window.modal))
}

impl<'a> Closing<'a> {
    fn begin(app: &'a RunningApp, channel: &'a ChannelHandle) -> Self {
        let heard = app.ended().is_none() && channel.ask_to_end();
        Self {
            app,
            channel,
            began: Instant::now(),
            desktop: DisplayConnection::connect(),
            plan: if heard {
                ClosePlan::of_an_app_that_closes_itself()
            } else {
                ClosePlan::default()
            },
            heard,
            signalled: None,
            wait: ClosingWait::App,
        }
    }

    fn wait(mut self, control: &CloseControl, on_wait: &dyn Fn(ClosingWait)) -> Closed {
        let mut looked: Option<Instant> = None;
        loop {
            if self.app.ended().is_some() {
                return Closed::Ended;
            }
            if control.is(CloseControl::TAKEN_BACK) {
                tracing::info!("the wish to close the app is taken back");
                self.channel.keep_running();
                return Closed::GoesOn;
            }
            if self.channel.was_refused() {
                tracing::info!("the app goes on, as its person wants it");
                return Closed::GoesOn;
            }
            if control.is(CloseControl::FORCED) {
                return self.end_by_force();
            }
            // The longer a person thinks, the longer the pause.
            let pause = (self.began.elapsed() / 20).clamp(WINDOW_POLL_INTERVAL, MAX_PAUSE);
            if looked.is_none_or(|looked| looked.elapsed() >= pause) {
                let wait = self.look();
                if std::mem::replace(&mut self.wait, wait) != wait {
                    tracing::info!(?wait, "the app is closing");
                    on_wait(wait);
                }
                looked = Some(Instant::now());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn end_by_force(&self) -> Closed {
        tracing::warn!("the app is ended by force, as a person wants it");
        match self.app.stop(FORCED_WITHIN, &self.window_owners()) {
            Ok(_) => Closed::Ended,
            Err(error) => {
                tracing::error!(error = error_chain::line(&error), "the app cannot be ended");
                Closed::GoesOn
            }
        }
    }

    /// Who has windows: a person's word ends the app, and no other program that the app has started.
    fn window_owners(&self) -> WindowOwners {
        let Ok(tree) = processes::trees(&self.app.processes()) else {
            return WindowOwners::default();
        };
        let windows = match &self.desktop {
            Ok(desktop) => desktop.windows(&tree),
            Err(_) => Ok(Vec::new()),
        };
        let is_unknown = windows.is_err() || may_hide_windows(&self.desktop);
        let windows = windows.unwrap_or_default();
        let owners: Vec<u32> = windows.iter().map(|window| window.process).collect();
        let mut own: Vec<u32> =
            own_windows(&tree, windows).iter().map(|window| window.process).collect();
        let beside: Vec<u32> = owners.into_iter().filter(|owner| !own.contains(owner)).collect();
        if is_unknown {
            let others = tree.iter().map(|process| process.id);
            own = others.filter(|process| !beside.contains(process)).collect();
        }
        WindowOwners { beside, own }
    }

    /// Looks at the app's windows, and performs the next step.
    fn look(&mut self) -> ClosingWait {
        let tree = match processes::trees(&self.app.processes()) {
            Ok(tree) => tree,
            Err(error) => {
                // A window may belong to one of its children.
                tracing::warn!(
                    error = error_chain::line(&error),
                    "the app's processes are not known"
                );
                return self.unseen();
            }
        };
        let windows = match &self.desktop {
            Ok(desktop) => desktop.windows(&tree),
            Err(Unseen::NoDisplay) => Ok(Vec::new()),
            Err(Unseen::Hidden) => Err(Unseen::Hidden),
            Err(Unseen::Broken(why)) => Err(Unseen::Broken(why.clone())),
        };
        let windows = match windows {
            Ok(windows) => own_windows(&tree, windows),
            Err(error) => {
                // The display has gone, or hangs: the next check may find it again.
                tracing::debug!(
                    error = error_chain::line(&error),
                    "the app's windows are not known"
                );
                if matches!(error, Unseen::Broken(_)) {
                    self.desktop = DisplayConnection::connect();
                }
                return self.unseen();
            }
        };
        // Helper processes that the windows have left are asked as well.
        let was_never_seen = || !self.heard && !self.plan.has_seen_windows();
        if windows.is_empty() && (self.app.was_handed_over() || was_never_seen()) {
            let hidden = may_face_a_person(&self.desktop, &tree);
            return if hidden { ClosingWait::Unreachable } else { self.signal() };
        }
        let (step, wait) = self.plan.step(self.began.elapsed(), &windows);
        if let Ok(desktop) = &self.desktop {
            let done = match &step {
                ClosingStep::Ask(window) => desktop.ask_to_close(window),
                ClosingStep::Show(window) => desktop.bring_forward(window),
                ClosingStep::Wait => Ok(()),
            };
            if !matches!(step, ClosingStep::Wait) {
                tracing::info!(?step, "a window of the app");
            }
            if let Err(error) = done {
                tracing::info!(
                    error = error_chain::line(&error),
                    "a window could not be spoken to"
                );
            }
        }
        wait
    }

    /// The launcher cannot see the app's windows. An app that has confirmed the request will ask
    /// its user; any other must be ended by hand.
    fn unseen(&self) -> ClosingWait {
        match self.heard {
            false => ClosingWait::Unreachable,
            true if self.began.elapsed() < SIGNAL_WITHIN => ClosingWait::App,
            true => ClosingWait::Person,
        }
    }

    /// Signals a program in the background: no window, no display, no terminal.
    fn signal(&mut self) -> ClosingWait {
        let processes = self.app.processes();
        let since = match &self.signalled {
            Some((since, asked)) if *asked == processes => *since,
            _ => {
                tracing::info!(
                    "the app runs in the background and gets the system's signal to end"
                );
                self.app.ask_politely();
                self.signalled = Some((Instant::now(), processes));
                Instant::now()
            }
        };
        if since.elapsed() < SIGNAL_WITHIN { ClosingWait::App } else { ClosingWait::Unreachable }
    }
}

/// Whether a person is using the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InUse {
    /// A window of it, or of a program that it started, is open.
    Yes,
    /// It may have a window that is hidden or cannot be seen, or it reads from a terminal. Also if
    /// that is unknown.
    Perhaps,
    No,
}

/// Looks whether a person is using the app.
pub(crate) fn in_use(app: &RunningApp) -> InUse {
    let Ok(tree) = processes::trees(&app.processes()) else { return InUse::Perhaps };
    let desktop = DisplayConnection::connect();
    match desktop.as_ref().map(|desktop| desktop.windows(&tree)) {
        Ok(Ok(windows)) if !windows.is_empty() => InUse::Yes,
        Ok(Err(_)) => InUse::Perhaps,
        _ if may_face_a_person(&desktop, &tree) => InUse::Perhaps,
        _ => InUse::No,
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::Fixture;
    use crate::store::launch::{Call, Which, start};

    /// An app that ignores the system's signal.
    fn stubborn(fixture: &Fixture) -> RunningApp {
        let id = fixture.install("1.0.0", &[]);
        let script =
            "#!/bin/sh\ntrap '' TERM\n: > \"$KUZFLOW_HOME/begun\"\nwhile :; do sleep 0.1; done\n";
        fixture.write(&id, "runtime/run", script);
        let app = start(&fixture.home, &fixture.record(&id), Which::Any, Call::PLAIN).unwrap();
        while fixture.read(&id, "begun").is_none() {
            std::thread::sleep(POLL_INTERVAL);
        }
        app
    }

    #[test]
    fn an_app_goes_on_when_the_wish_is_taken_back_and_is_ended_by_force_on_a_persons_word_only() {
        let fixture = Fixture::new();
        let app = stubborn(&fixture);
        let channel = ChannelHandle::default();
        let on_wait = std::sync::Mutex::new(Vec::new());
        let tell = |wait| on_wait.lock().unwrap().push(wait);

        let control = CloseControl::default();
        control.take_back();
        control.force();
        assert_eq!(
            close(&app, &channel, &control, &tell),
            Closed::GoesOn,
            "what was taken back stays so"
        );
        assert!(app.ended().is_none() && !app.was_asked_to_end());

        assert_eq!(wait_for_own_end(&app, &channel, Duration::from_millis(300)), Closed::GoesOn);
        assert!(app.ended().is_none() && !app.was_asked_to_end());

        let control = CloseControl::default();
        control.force();
        assert_eq!(close(&app, &channel, &control, &tell), Closed::Ended);
        assert!(app.was_asked_to_end());
        assert_eq!(
            close(&app, &channel, &CloseControl::default(), &tell),
            Closed::Ended,
            "one that has ended"
        );
    }
}
