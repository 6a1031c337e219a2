//! The launcher's life beside the running app. It checks for releases on schedule, fetches them and
//! lets the app take them over without a question where the settings allow it, and notifies the
//! user. It ends with the app.
//!
//! In: a session with the started app; events of the schedule, the engine and the user. Out: the
//! app's own exit status. Never: works while nothing changes (one thread waits for the next event
//! or the next due time); opens a window without a request or a need.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::output::Output;
use super::present::{PresentOptions, announce, listen, show, show_wanted};
use super::reports::Reports;
use super::self_update::SelfUpdate;
use super::{Ending, shortcuts};
use crate::error_chain;
use crate::gui::{self, NotificationEnd, ViewState};
use crate::host;
use crate::messages::mailbox::Handle;
use crate::messages::protocol::{CheckTrigger, Command, Event, Phase, ProblemKind};
use crate::model::{Offer, Version};
use crate::schedule::announcements::Announcements;
use crate::schedule::reminder::{Reminder, ReminderStep};
use crate::schedule::schedule::{Check, CheckEnd, Rules, ScheduleInput};
use crate::schedule::watch::{self, Watch};
use crate::session::app_session::AppSession;
use crate::settings::CheckTime;
use crate::store::launch::exit_code;
use crate::threads;
use crate::update::peer_service::PeerHandle;

/// Pause between two looks at a version on probation, while a check waits for the probation's end.
const TRIAL_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Pause between two looks at the probation, for a launcher that ends with it.
const PROBATION_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Pause between two looks at the size of the app's standard error, where that is stored in a file.
const ERROR_OUTPUT_POLL_INTERVAL: Duration = Duration::from_secs(30);
/// Longest wait for an event; every event ends it earlier.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Stays beside the app. `handle` belongs to an engine that knows that the app runs.
pub(crate) fn live(
    session: &AppSession,
    handle: &Handle,
    options: PresentOptions,
    output: &Output,
    own: &SelfUpdate,
) -> Ending {
    let mut resident = Resident::new(session, handle, options, output);
    let _listening = listen(&session.environment, handle, options);
    std::thread::scope(|scope| {
        let mut followed = false;
        while !resident.is_over() && !handle.closed() {
            resident.wait();
            if resident.has_looked() && !std::mem::replace(&mut followed, true) {
                // The launcher's work for itself and for the desktop must not delay the app's own
                // updates.
                let follow = move || {
                    shortcuts::follow(&session.environment, own, false);
                    own.update(&session.environment, &|| session.app.running().is_some());
                };
                if let Err(error) = threads::spawn_scoped(scope, "follow", follow) {
                    tracing::warn!(
                        error = error_chain::line(&error),
                        "the launcher does not update itself this time"
                    );
                }
            }
        }
        if session.app.is_over() {
            // A start that follows at once must find the version of the running code unlocked.
            session.channel.release();
        }
        resident.finish();
        resident.reports.report_at_the_end(&mut resident.view);
    });
    if handle.closed() {
        tracing::error!("the engine has ended; the app goes on without it");
        return stay(session);
    }
    let Some(status) = session.app.get().and_then(|app| app.ended()) else { return Ending::App(0) };
    Ending::App(exit_code(status))
}

/// The rest of the launcher's life without an engine. It lasts as long as the app runs, without a
/// thread that wakes up, and without polling. If the settings do not want that, it lasts only while
/// a version is on probation.
pub(crate) fn stay(session: &AppSession) -> Ending {
    if !session.environment.settings.health.stay
        && !session.app.is_attended()
        && !session.app.is_over()
    {
        return Ending::App(0);
    }
    let _sharing = share(session);
    let status = session.app.wait();
    session.channel.release();
    status.map_or(Ending::Failed, |status| Ending::App(exit_code(status)))
}

/// Shares data with peers on the local network as long as the value lives, also where no engine
/// runs.
pub(crate) fn share(session: &AppSession) -> PeerHandle {
    let peers = PeerHandle::default();
    peers.open(&session.environment);
    peers
}

struct Resident<'a> {
    session: &'a AppSession,
    handle: &'a Handle,
    options: PresentOptions,
    output: &'a Output,
    watch: Option<Watch>,
    due: Arc<Mutex<Option<Check>>>,
    announcements: Announcements,
    /// The announcement that nobody has answered.
    reminder: Reminder,
    began: Instant,
    /// Whether the last check allows fetching without a question.
    may_fetch: bool,
    /// Whether the resident itself began the running check.
    own_check: bool,
    /// Whether a check is running.
    checking: bool,
    /// A version whose update was begun without a question and failed: the next time the user is
    /// asked.
    in_vain: Option<Version>,
    /// Whether a check has begun.
    asked: bool,
    /// Whether a check has ended, or none is made.
    looked: bool,
    /// The version whose update the resident began without a question; the resident then also
    /// reports its end.
    ours: Option<Version>,
    view: ViewState,
    reports: Reports<'a>,
}

impl<'a> Resident<'a> {
    fn new(
        session: &'a AppSession,
        handle: &'a Handle,
        options: PresentOptions,
        output: &'a Output,
    ) -> Self {
        let due = Arc::new(Mutex::new(None));
        let watch = (session.environment.settings.update.check != CheckTime::Never)
            .then(|| start_watch(session, handle, &due))
            .flatten();
        Self {
            session,
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
            reports: Reports::new(session, handle, options, output),
        }
    }

    /// Whether there is no reason to stay.
    fn is_over(&self) -> bool {
        let app = &self.session.app;
        if app.is_over() {
            let ended_well =
                app.get().and_then(|app| app.ended()).is_some_and(|status| status.success());
            // A version that fails at once is no reason to end the checks: the release that fixes
            // it may already exist.
            return ended_well || self.looked && !self.reports.has_failed();
        }
        let may_leave = !self.session.environment.settings.health.stay && !app.is_attended();
        may_leave && self.looked && self.handle.phase().is_at_rest()
    }

    fn has_looked(&self) -> bool {
        self.looked
    }

    /// Waits for the next event and handles it.
    fn wait(&mut self) {
        if !self.asked && !self.looked && self.session.app.is_over() {
            // The app has ended with a failure, so the check need not wait for its sake.
            self.tell(ScheduleInput::Asked);
            self.asked = true;
        }
        let waits_for_trial = self.session.app.is_on_trial() && self.due().is_some();
        // No event reports that a version has ended its probation.
        let waits_for_end_of_trial = self.looked && !self.session.environment.settings.health.stay;
        let keeps_errors = || self.session.app.running().is_some_and(|app| app.bound_errors());
        let limit = match (waits_for_trial || self.reports.has_failed(), waits_for_end_of_trial) {
            (true, _) => TRIAL_POLL_INTERVAL,
            (false, true) => PROBATION_POLL_INTERVAL,
            (false, false) if keeps_errors() => ERROR_OUTPUT_POLL_INTERVAL,
            (false, false) => MAX_WAIT,
        };
        let limit = match self.remind() {
            ReminderStep::LookIn(wait) => limit.min(wait),
            ReminderStep::Nothing | ReminderStep::Announce => limit,
        };
        let limit = self.reports.due_in().map_or(limit, |wait| limit.min(wait));
        for event in self.handle.wait(limit) {
            self.output.event(&event);
            self.view.apply(event.clone());
            match event {
                Event::Phase { phase } => self.entered(&phase),
                Event::Incident { what, .. } => self.reports.heard(what),
                _ => {}
            }
        }
        self.reports.report_what_is_due(&mut self.view, self.looked);
        if self.handle.wanted().is_some() {
            show_wanted(
                &self.session.environment,
                self.handle,
                std::mem::take(&mut self.view),
                self.options,
            );
        }
        if !self.session.app.is_on_trial() {
            self.look();
        }
    }

    fn due(&self) -> std::sync::MutexGuard<'_, Option<Check>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, input: ScheduleInput) {
        if let Some(watch) = &self.watch {
            watch.tell(input);
        }
    }

    /// Begins a check if one is due.
    fn look(&mut self) {
        let Some(check) = self.due().take() else { return };
        self.asked = true;
        gui::catch_up();
        if self.handle.phase().is_at_rest() {
            (self.may_fetch, self.own_check) = (check.prefetch, true);
            tracing::info!(reason = ?check.reason, "looking for a release");
            self.handle.send(Command::Check(CheckTrigger::Schedule));
        } else {
            // A recent check found the update that is running.
            self.looked = true;
            self.tell(ScheduleInput::Ended(CheckEnd::Answered));
        }
    }

    fn entered(&mut self, phase: &Phase) {
        if *phase == Phase::Checking {
            self.checking = true;
            if !std::mem::take(&mut self.own_check) {
                // The app or a person asked for this check, so the present conditions decide what
                // may be fetched without a question.
                let rules = Rules::of(&self.session.environment.settings.update);
                self.may_fetch = rules.permitted(&host::conditions()).prefetch;
            }
        } else if std::mem::take(&mut self.checking) {
            // A check that failed quietly leaves a notice and goes back to idle.
            let failed = matches!(phase, Phase::Failed { .. })
                || *phase == Phase::Idle && self.view.notice.is_some();
            self.ended(if failed { CheckEnd::Failed } else { CheckEnd::Answered });
        }
        // Events of earlier phases may still arrive after a window has gone on from there.
        if self.handle.phase() != *phase {
            return;
        }
        match phase {
            Phase::Offered { offer } => self.offered(offer),
            Phase::Swapped { .. } | Phase::Ready { .. } if self.ours.take().is_some() => {
                self.announce()
            }
            Phase::Failed { .. } | Phase::Cancelled => {
                self.in_vain = self.ours.take().or(self.in_vain.take())
            }
            _ => {}
        }
    }

    fn offered(&mut self, offer: &Offer) {
        let settings = &self.session.environment.settings;
        let swaps = settings.hot_update.automatic && !offer.plan.requires_restart;
        let prefetches = settings.update.prefetch && !offer.plan.is_local();
        let by_itself = self.may_fetch && self.in_vain.as_ref() != Some(offer.version());
        if by_itself && (swaps || prefetches) {
            self.ours = Some(offer.version().clone());
            self.handle.send(if swaps { Command::Start } else { Command::Prefetch });
            return;
        }
        // It is fetched; now the user is asked.
        self.ours = None;
        if self.announcements.shows(offer.version(), offer.signed.release.mandatory) {
            self.announce();
        }
    }

    fn ended(&mut self, outcome: CheckEnd) {
        self.looked = true;
        self.tell(ScheduleInput::Ended(outcome));
    }

    /// Announces an unanswered offer again, if it is time. A running update or an answered offer is
    /// not announced.
    fn remind(&mut self) -> ReminderStep {
        if !matches!(self.handle.phase(), Phase::Offered { .. }) {
            self.reminder.settled();
        }
        let step = self.reminder.step(self.began.elapsed(), host::screen::idle);
        if step == ReminderStep::Announce {
            tracing::info!("what nobody has answered is announced again");
            let phase = self.handle.phase();
            self.view.apply(Event::Phase { phase });
            self.announce();
        }
        step
    }

    /// Announces the engine's phase to the user.
    fn announce(&mut self) {
        if self.options.headless {
            return;
        }
        let outcome =
            announce(self.session, self.handle, std::mem::take(&mut self.view), self.options);
        if outcome == NotificationEnd::TimedOut {
            self.reminder.unanswered(self.began.elapsed());
        } else {
            self.reminder.settled();
        }
    }

    /// A window that was closed midway stops nothing: the new version is ready at the next start.
    fn finish(&mut self) {
        let (session, handle) = (self.session, self.handle);
        follow(handle, &mut self.view, self.output, |phase, _| match phase {
            // Between two versions no app runs; the work that was begun then is completed.
            Phase::Installing { .. }
            | Phase::Swapping { .. }
            | Phase::Closing { .. }
            | Phase::Switching { .. }
            | Phase::RollingBack => false,
            Phase::Downloading { .. } => session.app.running().is_none(),
            _ => true,
        });
        // The app asked for a restart, and it failed: only the launcher is left to show that.
        let failed = matches!(handle.phase(), Phase::Failed { problem } if problem.kind == ProblemKind::LaunchFailed);
        if failed && session.app.is_over() && !self.options.headless {
            show(&session.environment, handle, std::mem::take(&mut self.view), self.options);
        }
    }
}

/// Applies events until `enough`, looking at least every second.
pub(super) fn follow(
    handle: &Handle,
    view: &mut ViewState,
    output: &Output,
    enough: impl Fn(&Phase, &ViewState) -> bool,
) {
    while !enough(&handle.phase(), view) && !handle.closed() {
        for event in handle.wait(Duration::from_secs(1)) {
            output.event(&event);
            view.apply(event);
        }
    }
    // The phase is read before the events that report it.
    for event in handle.take() {
        output.event(&event);
        view.apply(event);
    }
}

/// If no thread for the schedule can be started, there are no checks; the next start tries again.
fn start_watch(
    session: &AppSession,
    handle: &Handle,
    due: &Arc<Mutex<Option<Check>>>,
) -> Option<Watch> {
    let (due, handle) = (Arc::clone(due), handle.clone());
    let watch =
        Watch::start(watch::WatchOptions::of(&session.environment.settings), move |check| {
            *due.lock().unwrap_or_else(PoisonError::into_inner) = Some(check);
            handle.poke();
        });
    watch.inspect_err(|problem| tracing::error!(?problem, "no schedule")).ok()
}
