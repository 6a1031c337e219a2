//! The launcher's reports of what became of updates: what is worth one, the queue on disk, when to
//! send, sending.
//!
//! In: happenings of the session and events of the engine. Out: files below `reports` in the home,
//! and batches to the publisher's server. Never: a wait before the app's start; anything that names
//! a person, a computer or a file; a report that the publisher or the user does not want.
//!
//! ```text
//! observer   the engine's events -> happenings (pure)      happening   what is worth a report
//! memory     happenings -> reports, once each (pure)       queue       files on disk, within bounds
//! pacing     when to send again (pure)                     sending     one batch after the other
//! ```

mod happening;
mod memory;
mod observer;
mod pacing;
mod queue;
mod sending;

use std::sync::{Arc, Mutex};

pub(crate) use happening::Happening;
pub(crate) use observer::Observer;
pub(crate) use sending::send;

use self::memory::{Memory, Surroundings};
use self::queue::Queue;
use crate::environment::Environment;
use crate::error_chain;
use crate::file_error::FileError;
use crate::host;
use crate::model::Platform;
use crate::model::report::{Report, label};
use crate::store::{Home, StoreError};
use crate::{mutex, threads};

/// What is remembered is read, changed, written and deleted by one thread at a time. Another launcher
/// of this home may do the same: then a step may be reported twice, and the server counts it once.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Whether the publisher wants reports, and the user has certainly left them on. Where that cannot
/// be read now, the user may have switched them off, and nothing is reported.
pub(crate) fn is_on(environment: &Environment) -> bool {
    let settings = &environment.settings;
    settings.reports.address(settings.api.as_ref()).is_some()
        && environment
            .home
            .stored_state()
            .is_ok_and(|state| state.is_none_or(|state| !state.reports_off))
}

/// Turns the user's switch. What waits is deleted when it is turned off, and with it the numbers
/// that stand for this installation. So it is when it is turned on again: another launcher may have
/// written a last report with the old numbers meanwhile.
pub(crate) fn turn(home: &Home, on: bool) -> Result<(), StoreError> {
    home.create()?;
    let _alone = mutex::lock(&ONE_AT_A_TIME);
    let mut state = home.state()?;
    let were_off = std::mem::replace(&mut state.reports_off, !on);
    home.set_state(&state)?;
    if !on || were_off {
        Queue::of(home).clear()?;
    }
    Ok(())
}

/// Deletes what waits, if the publisher wants no reports, or the user has switched them off.
pub(crate) fn remove_unwanted(environment: &Environment) {
    let _alone = mutex::lock(&ONE_AT_A_TIME);
    let settings = &environment.settings;
    let is_off = |home: &Home| {
        home.stored_state().is_ok_and(|state| state.is_some_and(|state| state.reports_off))
    };
    let is_wanted = settings.reports.address(settings.api.as_ref()).is_some();
    if (!is_wanted || is_off(&environment.home))
        && let Err(error) = Queue::of(&environment.home).clear()
    {
        tracing::info!(error = error_chain::line(&error), "reports that nobody wants stay");
    }
}

/// Puts a report of what happened into the queue, if reports are wanted and it is worth one.
pub(crate) fn record(environment: &Environment, happening: &Happening) {
    let _alone = mutex::lock(&ONE_AT_A_TIME);
    // Nobody switches them off until it is written.
    if !is_on(environment) {
        return;
    }
    if let Err(error) = try_to_record(environment, happening) {
        tracing::info!(error = error_chain::line(&error), "a report is lost");
    }
}

/// The same on a thread of its own, for callers on whom a person waits.
pub(crate) fn record_soon(environment: &Arc<Environment>, happening: Happening) {
    if environment.settings.reports.is_on() {
        let environment = Arc::clone(environment);
        let thread = threads::spawn("report", move || record(&environment, &happening));
        if let Err(error) = thread {
            tracing::info!(error = error_chain::line(&error), "a report is lost");
        }
    }
}

fn try_to_record(environment: &Environment, happening: &Happening) -> Result<(), FileError> {
    let queue = Queue::of(&environment.home);
    let mut memory: Memory = queue.memory();
    let settings = &environment.settings;
    let surroundings = Surroundings {
        app: settings.app.clone(),
        channel: label(&environment.channel()),
        platform: Platform::current(),
        region: label(&settings.region),
        now: host::now().as_second(),
        random: &random,
    };
    if let Some(report) = memory.report(happening, &surroundings) {
        memory.dropped += queue.add(&report)?;
        queue.remember(&memory)?;
    }
    Ok(())
}

/// The reports that wait, the oldest first.
pub(crate) fn waiting(home: &Home) -> Vec<Report> {
    Queue::of(home).waiting().into_iter().map(|waiting| waiting.report).collect()
}

/// Makes every report wait, as a disk does that is busy.
#[cfg(test)]
pub(crate) fn hold() -> std::sync::MutexGuard<'static, ()> {
    mutex::lock(&ONE_AT_A_TIME)
}

/// 128 random bits. Where the system has none, those of the program's own generator: the numbers
/// must differ, nothing is protected by them.
fn random() -> u128 {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_ne_bytes(bytes),
        Err(_) => fastrand::u128(..),
    }
}

#[cfg(test)]
pub(crate) mod tests;
