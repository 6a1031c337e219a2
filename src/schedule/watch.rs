//! Drives the [`Schedule`]: looks at the clock and listens to the server as long as the app runs.
//!
//! In: how checks ended ([`Watch::tell`]), the settings, power and network when a check is due.
//! Out: calls of `due`, each with a [`Check`] to make now. Never: a check itself, a second
//! connection, an unnecessary wake-up. Between two checks there is one timer. There is one socket,
//! if the settings name a server that sends a push when releases change.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::push::{self, Pace, Subscription};
use super::schedule::{Check, Rules, Schedule, ScheduleInput};
use crate::fetch::{Client, ClientOptions};
use crate::host::{self, Conditions};
use crate::messages::problem;
use crate::messages::protocol::Problem;
use crate::settings::Settings;
use crate::threads;

/// Longest time without a look at the clock. On most systems, timers stand still while the computer
/// sleeps.
const MAX_NAP: Duration = Duration::from_secs(10 * 60);
/// A nap that took so much longer than planned was the computer's sleep.
const SLEPT: Duration = Duration::from_secs(60);

/// The settings of a watch.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// When to check.
    pub rules: Rules,
    /// The server that may hint that a check is worth it, if any.
    pub subscription: Option<Subscription>,
    /// The wait times of the listener.
    pub pace: Pace,
    /// Reads the conditions of power and network when a check is due; may block for a second.
    pub conditions: fn() -> Conditions,
}

impl WatchOptions {
    /// The options that the settings ask for.
    pub fn of(settings: &Settings) -> Self {
        Self {
            rules: Rules::of(&settings.update),
            subscription: Subscription::of(settings),
            pace: Pace::default(),
            conditions: host::conditions,
        }
    }
}

/// A watch that goes on until it is dropped.
#[derive(Debug)]
pub struct Watch {
    inputs: mpsc::UnboundedSender<ScheduleInput>,
}

impl Watch {
    /// Starts the watch on its own thread, with its own runtime. The thread calls `due`, which
    /// should be quick: it sends a command. The settings give the time until the first check,
    /// counted from now.
    pub fn start(
        options: WatchOptions,
        due: impl FnMut(Check) + Send + 'static,
    ) -> Result<Self, Problem> {
        let client = options
            .subscription
            .is_some()
            .then(|| Client::new(&ClientOptions::default()))
            .transpose();
        let client = client.map_err(|error| problem::of_fetch(&error))?;
        let internal = |error: std::io::Error| problem::of_system(&error);
        let runtime = threads::runtime(0).map_err(internal)?;
        let (inputs, receiver) = mpsc::unbounded_channel();
        let hints = inputs.downgrade();
        let watching = move || {
            runtime.block_on(run(options, client, hints, receiver, due));
            // At most one question to the system may still be running.
            runtime.shutdown_background();
        };
        threads::spawn("watch", watching).map_err(internal)?;
        Ok(Self { inputs })
    }

    /// Reports an input: a check has ended, or a person asks for one.
    pub fn tell(&self, input: ScheduleInput) {
        // The receiver exists until this value is dropped.
        let _ = self.inputs.send(input);
    }
}

/// Runs until all senders of `inputs` but the weak one are gone.
async fn run(
    options: WatchOptions,
    client: Option<Client>,
    hints: mpsc::WeakUnboundedSender<ScheduleInput>,
    inputs: mpsc::UnboundedReceiver<ScheduleInput>,
    due: impl FnMut(Check),
) {
    let schedule = Schedule::new(options.rules, fastrand::u64(..));
    let ticking = keep_time(schedule, inputs, options.conditions, due);
    let (Some(client), Some(subscription)) = (client, options.subscription) else {
        return ticking.await;
    };
    let hint = || {
        if let Some(inputs) = hints.upgrade() {
            let _ = inputs.send(ScheduleInput::Hint);
        }
    };
    tokio::select! {
        () = ticking => {}
        never = push::listen(&client, &subscription, options.pace, fastrand::u64(..), hint) => match never {},
    }
}

async fn keep_time(
    mut schedule: Schedule,
    mut inputs: mpsc::UnboundedReceiver<ScheduleInput>,
    conditions: fn() -> Conditions,
    mut due: impl FnMut(Check),
) {
    let began = Instant::now();
    loop {
        let nap = schedule.next().saturating_sub(began.elapsed()).min(MAX_NAP);
        let (before, clock_before) = (Instant::now(), host::now());
        let input = tokio::select! {
            input = inputs.recv() => match input {
                Some(input) => Some(input),
                None => return,
            },
            () = tokio::time::sleep(nap) => None,
        };
        // A clock that was set back gives no information.
        let on_the_clock =
            Duration::try_from(host::now().duration_since(clock_before)).unwrap_or_default();
        if let Some(uncounted) = slept(nap, before.elapsed(), on_the_clock) {
            tracing::info!(?on_the_clock, "the computer slept");
            schedule.step(began.elapsed(), ScheduleInput::Woken { uncounted });
        }
        if let Some(input) = input {
            schedule.step(began.elapsed(), input).into_iter().for_each(&mut due);
        }
        if schedule.next() <= began.elapsed() {
            // The panic hook has already reported a panic of that thread.
            let conditions = tokio::task::spawn_blocking(conditions).await.unwrap_or_default();
            let check = schedule.step(began.elapsed(), ScheduleInput::Due(conditions));
            tracing::info!(?conditions, ?check, "a check is due");
            check.into_iter().for_each(&mut due);
        }
    }
}

/// Detects whether the computer slept during a nap. Returns the time that the timer's clock did not
/// count; on some systems that clock goes on during sleep.
fn slept(nap: Duration, counted: Duration, on_the_clock: Duration) -> Option<Duration> {
    let awake = nap.min(counted);
    (on_the_clock > awake + SLEPT).then(|| on_the_clock.saturating_sub(counted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_seen_whether_the_clock_of_timers_goes_on_or_not() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let (nap, second) = (minutes(10), Duration::from_secs(1));
        assert_eq!(slept(nap, nap, nap + second), None);
        assert_eq!(slept(nap, second, second), None, "something came in");
        assert_eq!(slept(nap, nap + second, nap + second), None, "a busy computer");
        assert_eq!(slept(nap, nap, minutes(500)), Some(minutes(490)), "its clock stood still");
        assert_eq!(
            slept(nap, minutes(500), minutes(500)),
            Some(Duration::ZERO),
            "its clock went on"
        );
        assert_eq!(
            slept(nap, minutes(1), minutes(61)),
            Some(minutes(60)),
            "woken, and something came in at once"
        );
        assert_eq!(slept(nap, nap, Duration::ZERO), None, "the clock was set back");
    }
}
