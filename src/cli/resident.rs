//! The launcher's life beside the running app: it looks for releases when the schedule says so, fetches and has the app take over what
//! it may without a question, and tells a person what should be known. It ends with the app.
//!
//! In: a context with the app started, what the schedule, the engine and a person say. Out: the app's own end. Never: work while
//! nothing happens (one thread waits for the next event or the next date), or a window that was not called for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::output::Output;
use super::own::Own;
use super::shown::{Options, announce, listen, show, show_wanted};
use super::{Ending, desktop};
use crate::engine::announcements::Announcements;
use crate::engine::context::Context;
use crate::engine::mailbox::Handle;
use crate::engine::protocol::{Command, Event, Phase, ProblemKind};
use crate::engine::reminder::{Reminder, Step};
use crate::engine::schedule::{Check, Input, Outcome, Rules};
use crate::engine::watch::{self, Watch};
use crate::host;
use crate::launcher::{self, Told, ViewState};
use crate::model::{Offer, Version};
use crate::settings::CheckTime;
use crate::store::launch::exit_code;

/// How often a version on probation is looked at, while a check waits for it.
const LOOK_AT_TRIAL: Duration = Duration::from_millis(200);
/// How often it is asked whether that version has proved itself, by a launcher that leaves then.
const LOOK_AT_PROBATION: Duration = Duration::from_secs(2);
/// Longest wait where nothing is waited for; whatever happens ends it.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Stays with the app. `handle` is of an engine that knows that the app runs.
pub fn live(context: &Context, handle: &Handle, options: Options, output: &Output, own: &Own) -> Ending {
    let mut resident = Resident::new(context, handle, options, output);
    let _listening = listen(context, handle, options);
    std::thread::scope(|scope| {
        let mut followed = false;
        while !resident.is_over() && !handle.closed() {
            resident.wait();
            if resident.has_looked() && !std::mem::replace(&mut followed, true) {
                // What the launcher does for itself and for the desktop must not keep the app's own updates waiting.
                scope.spawn(move || {
                    desktop::follow(context, own, false);
                    own.update(context, &|| context.app.running().is_some());
                });
            }
        }
        if context.app.is_over() {
            // A start that follows at once must not find the version locked whose code the app ran.
            context.channel.release();
        }
        resident.finish();
    });
    if handle.closed() {
        tracing::error!("the engine has ended; the app goes on without it");
        return stay(context);
    }
    let Some(status) = context.app.get().and_then(|app| app.ended()) else { return Ending::App(0) };
    Ending::App(exit_code(status))
}

/// The rest of the launcher's life without an engine: as long as the app runs, without a thread that wakes up, or a look at anything. If
/// the settings do not want that, only as long as a version is on probation.
pub fn stay(context: &Context) -> Ending {
    if !context.settings.health.stay && !context.app.is_attended() && !context.app.is_over() {
        return Ending::App(0);
    }
    let status = context.app.wait();
    context.channel.release();
    status.map_or(Ending::Failed, |status| Ending::App(exit_code(status)))
}

struct Resident<'a> {
    context: &'a Context,
    handle: &'a Handle,
    options: Options,
    output: &'a Output,
    watch: Option<Watch>,
    /// A check that is due.
    due: Arc<Mutex<Option<Check>>>,
    announcements: Announcements,
    /// What was announced and went unanswered.
    reminder: Reminder,
    began: Instant,
    /// What the last check allows to be fetched without a question.
    may_fetch: bool,
    /// The check under way was begun here.
    own_check: bool,
    /// A check is under way.
    checking: bool,
    /// What was begun without a question and came to nothing: the next time somebody is asked.
    in_vain: Option<Version>,
    /// A check has begun.
    asked: bool,
    /// A check has ended, or none is made.
    looked: bool,
    /// What is under way was begun here without a question, so its end is told here.
    ours: Option<Version>,
    view: ViewState,
}

impl<'a> Resident<'a> {
    fn new(context: &'a Context, handle: &'a Handle, options: Options, output: &'a Output) -> Self {
        let due = Arc::new(Mutex::new(None));
        let watch = (context.settings.update.check != CheckTime::Never).then(|| start_watch(context, handle, &due)).flatten();
        Self {
            context,
            handle,
            options,
            output,
            asked: false,
            looked: watch.is_none(),
            watch,
            due,
            announcements: Announcements::default(),
            reminder: Reminder::default(),
            began: Instant::now(),
            may_fetch: false,
            own_check: false,
            checking: false,
            in_vain: None,
            ours: None,
            view: ViewState::default(),
        }
    }

    /// Whether there is nothing left to stay for.
    fn is_over(&self) -> bool {
        let app = &self.context.app;
        if app.is_over() {
            let ended_well = app.get().and_then(|app| app.ended()).is_some_and(|status| status.success());
            // A version that fails at once is no reason to stop looking: the release that mends it may be there.
            return ended_well || self.looked;
        }
        let may_leave = !self.context.settings.health.stay && !app.is_attended();
        may_leave && self.looked && self.handle.phase().is_at_rest()
    }

    fn has_looked(&self) -> bool {
        self.looked
    }

    /// Waits for the next thing that happens, and sees to it.
    fn wait(&mut self) {
        if !self.asked && !self.looked && self.context.app.is_over() {
            // The app has ended, and not well: nobody has to wait for its sake.
            self.tell(Input::Asked);
            self.asked = true;
        }
        let waits_for_trial = self.context.app.is_on_trial() && self.due().is_some();
        // Nothing tells when a version has proved itself.
        let waits_for_end_of_trial = self.looked && !self.context.settings.health.stay;
        let limit = match (waits_for_trial, waits_for_end_of_trial) {
            (true, _) => LOOK_AT_TRIAL,
            (false, true) => LOOK_AT_PROBATION,
            (false, false) => LONGEST_WAIT,
        };
        let limit = match self.remind() {
            Step::LookIn(wait) => limit.min(wait),
            Step::Nothing | Step::Announce => limit,
        };
        for event in self.handle.wait(limit) {
            self.output.event(&event);
            self.view.apply(event.clone());
            if let Event::Phase { phase } = event {
                self.entered(&phase);
            }
        }
        if self.handle.wanted().is_some() {
            show_wanted(self.context, self.handle, std::mem::take(&mut self.view), self.options);
        }
        if !self.context.app.is_on_trial() {
            self.look();
        }
    }

    fn due(&self) -> std::sync::MutexGuard<'_, Option<Check>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, input: Input) {
        if let Some(watch) = &self.watch {
            watch.tell(input);
        }
    }

    /// Begins a check if one is due.
    fn look(&mut self) {
        let Some(check) = self.due().take() else { return };
        self.asked = true;
        launcher::catch_up();
        if self.handle.phase().is_at_rest() {
            (self.may_fetch, self.own_check) = (check.prefetch, true);
            tracing::info!(reason = ?check.reason, "looking for a release");
            self.handle.send(Command::Check { by_user: false });
        } else {
            // What is under way was found by a check not long ago.
            self.looked = true;
            self.tell(Input::Ended(Outcome::Answered));
        }
    }

    fn entered(&mut self, phase: &Phase) {
        if *phase == Phase::Checking {
            self.checking = true;
            if !std::mem::take(&mut self.own_check) {
                // The app asked, or a person: what may be fetched by itself is as it is now.
                let rules = Rules::of(&self.context.settings.update);
                self.may_fetch = rules.permitted(&host::conditions()).prefetch;
            }
        } else if std::mem::take(&mut self.checking) {
            // A check that failed quietly leaves a notice and goes back to idle.
            let failed = matches!(phase, Phase::Failed { .. }) || *phase == Phase::Idle && self.view.notice.is_some();
            self.ended(if failed { Outcome::Failed } else { Outcome::Answered });
        }
        // Events of earlier phases may still come when a window has gone on from there.
        if self.handle.phase() != *phase {
            return;
        }
        match phase {
            Phase::Offered { offer } => self.offered(offer),
            Phase::Swapped { .. } | Phase::Ready { .. } if self.ours.take().is_some() => self.announce(),
            Phase::Failed { .. } | Phase::Cancelled => self.in_vain = self.ours.take().or(self.in_vain.take()),
            _ => {}
        }
    }

    fn offered(&mut self, offer: &Offer) {
        let settings = &self.context.settings;
        let takes_over = settings.hot_update.automatic && !offer.plan.requires_restart;
        let prefetches = settings.update.prefetch && !offer.plan.is_local();
        let by_itself = self.may_fetch && self.in_vain.as_ref() != Some(offer.version());
        if by_itself && (takes_over || prefetches) {
            self.ours = Some(offer.version().clone());
            self.handle.send(if takes_over { Command::Start } else { Command::Prefetch });
            return;
        }
        // Fetched, and now a person is asked.
        self.ours = None;
        if self.announcements.shows(offer.version(), offer.signed.release.mandatory) {
            self.announce();
        }
    }

    fn ended(&mut self, outcome: Outcome) {
        self.looked = true;
        self.tell(Input::Ended(outcome));
    }

    /// Announces an offer again that nobody has answered, if it is time; what is under way or answered is not announced.
    fn remind(&mut self) -> Step {
        if !matches!(self.handle.phase(), Phase::Offered { .. }) {
            self.reminder.settled();
        }
        let step = self.reminder.step(self.began.elapsed(), host::screen::idle);
        if step == Step::Announce {
            tracing::info!("what nobody has answered is announced again");
            let phase = self.handle.phase();
            self.view.apply(Event::Phase { phase });
            self.announce();
        }
        step
    }

    /// Tells a person where the engine is.
    fn announce(&mut self) {
        if self.options.headless {
            return;
        }
        let told = announce(self.context, self.handle, std::mem::take(&mut self.view), self.options);
        if told == Told::TimedOut {
            self.reminder.unanswered(self.began.elapsed());
        } else {
            self.reminder.settled();
        }
    }

    /// A window that was closed on the way stops nothing: the new version is there at the next start.
    fn finish(&mut self) {
        let (context, handle) = (self.context, self.handle);
        follow(handle, &mut self.view, self.output, |phase, _| match phase {
            // Between two versions no app runs; what was begun there is brought to its end.
            Phase::Installing { .. }
            | Phase::Swapping { .. }
            | Phase::Closing { .. }
            | Phase::Switching { .. }
            | Phase::RollingBack => false,
            Phase::Downloading { .. } => context.app.running().is_none(),
            _ => true,
        });
        // The app wanted to be started anew, and could not be: nobody else is left to tell it.
        let failed = matches!(handle.phase(), Phase::Failed { problem } if problem.kind == ProblemKind::LaunchFailed);
        if failed && context.app.is_over() && !self.options.headless {
            show(context, handle, std::mem::take(&mut self.view), self.options);
        }
    }
}

/// Takes events in until `enough`, looking at least every second.
pub fn follow(handle: &Handle, view: &mut ViewState, output: &Output, enough: impl Fn(&Phase, &ViewState) -> bool) {
    while !enough(&handle.phase(), view) && !handle.closed() {
        for event in handle.wait(Duration::from_secs(1)) {
            output.event(&event);
            view.apply(event);
        }
    }
    // The phase is known before the events that tell of it are taken.
    for event in handle.take() {
        output.event(&event);
        view.apply(event);
    }
}

/// Where nobody can watch, nothing is looked for; the next start tries again.
fn start_watch(context: &Context, handle: &Handle, due: &Arc<Mutex<Option<Check>>>) -> Option<Watch> {
    let (due, handle) = (Arc::clone(due), handle.clone());
    let watch = Watch::start(watch::Options::of(&context.settings), move |check| {
        *due.lock().unwrap_or_else(PoisonError::into_inner) = Some(check);
        handle.poke();
    });
    watch.inspect_err(|problem| tracing::error!(?problem, "no schedule")).ok()
}
