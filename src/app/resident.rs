//! The launcher's life beside the running app. It checks for releases on schedule, fetches them and
//! lets the app take them over without a question where the settings allow it, and notifies the
//! user. It ends with the app.
//!
//! In: a session with the started app; events of the schedule, the engine and the user. Out: the
//! app's own exit status. Never: works while nothing changes (one thread waits for the next event
//! or the next due time); opens a window without a request or a need.

mod state;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use self::state::{AppPresence, Automatic, DueCheck, NextStep, ResidentState};
use super::output::Output;
use super::present::{PresentOptions, announce, listen, show, show_wanted};
use super::reports::Reports;
use super::self_update::SelfUpdate;
use super::{Ending, program_list, shortcuts};
use crate::error_chain;
use crate::gui::{self, NotificationEnd, ViewState};
use crate::host;
use crate::messages::mailbox::Handle;
use crate::messages::protocol::{CheckTrigger, Command, Event, Phase, ProblemKind};
use crate::mutex;
use crate::schedule::reminder::{Reminder, ReminderStep};
use crate::schedule::schedule::{Check, CheckEnd, Rules, ScheduleInput};
use crate::schedule::watch::{self, Watch};
use crate::session::app_session::AppSession;
use crate::settings::{CheckTime, Settings};
use crate::store::launch::exit_code;
use crate::threads;
use crate::update::peer_service::PeerHandle;

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
            if resident.state.has_looked() && !std::mem::replace(&mut followed, true) {
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
        // Another version may have been started meanwhile.
        program_list::follow(&session.environment, own, false);
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
    state: ResidentState,
    /// The announcement that nobody has answered.
    reminder: Reminder,
    began: Instant,
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
        let settings = &session.environment.settings;
        let due = Arc::new(Mutex::new(None));
        let watch = (settings.update.check != CheckTime::Never)
            .then(|| start_watch(session, handle, &due))
            .flatten();
        let automatic = Automatic {
            hot_swap: settings.hot_update.automatic,
            prefetch: settings.update.prefetch,
        };
        Self {
            session,
            handle,
            options,
            output,
            state: ResidentState::new(automatic, watch.is_some()),
            watch,
            due,
            reminder: Reminder::default(),
            began: Instant::now(),
            view: ViewState::default(),
            reports: Reports::new(session, handle, options, output),
        }
    }

    /// Whether there is no reason to stay.
    fn is_over(&self) -> bool {
        let app = &self.session.app;
        let presence = if app.is_over() {
            let status = app.get().and_then(|app| app.ended());
            AppPresence::Ended {
                well: status.is_some_and(|status| status.success()),
                has_failed: self.reports.has_failed(),
            }
        } else {
            AppPresence::Running { launcher_may_leave: !self.stays() && !app.is_attended() }
        };
        self.state.is_over(presence, self.handle.phase().is_at_rest())
    }

    fn stays(&self) -> bool {
        self.session.environment.settings.health.stay
    }

    /// Waits for the next event and handles it.
    fn wait(&mut self) {
        if self.state.asks_for_check(self.session.app.is_over()) {
            self.tell(ScheduleInput::Asked);
        }
        let check_waits = self.session.app.is_on_trial() && self.due().is_some();
        let limit =
            self.state.longest_wait(check_waits || self.reports.has_failed(), self.stays(), || {
                self.session.app.running().is_some_and(|app| app.bound_errors())
            });
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
        self.reports.report_what_is_due(&mut self.view, self.state.has_looked());
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
        mutex::lock(&self.due)
    }

    fn tell(&self, input: ScheduleInput) {
        if let Some(watch) = &self.watch {
            watch.tell(input);
        }
    }

    /// Begins a check if one is due.
    fn look(&mut self) {
        let Some(check) = self.due().take() else { return };
        gui::catch_up();
        match self.state.check_due(check, self.handle.phase().is_at_rest()) {
            DueCheck::Begin => {
                tracing::info!(reason = ?check.reason, "looking for a release");
                self.handle.send(Command::Check(CheckTrigger::Schedule));
            }
            DueCheck::Answered => self.tell(ScheduleInput::Ended(CheckEnd::Answered)),
        }
    }

    fn entered(&mut self, phase: &Phase) {
        let permitted = || {
            let rules = Rules::of(&self.session.environment.settings.update);
            rules.permitted(&host::conditions()).prefetch
        };
        let ended = self.state.check_ended(phase, self.view.notice.is_some(), permitted);
        if let Some(end) = ended {
            self.tell(ScheduleInput::Ended(end));
        }
        // Events of earlier phases may still arrive after a window has gone on from there.
        if self.handle.phase() != *phase {
            return;
        }
        match self.state.next_step(phase) {
            Some(NextStep::Start) => self.handle.send(Command::Start),
            Some(NextStep::Prefetch) => self.handle.send(Command::Prefetch),
            Some(NextStep::Announce) => self.announce(),
            None => {}
        }
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
    // A channel that the user chooses meanwhile is listened to from the next start on; checks ask for
    // it at once.
    let channel = session.environment.channel();
    let settings = Settings { channel, ..session.environment.settings.clone() };
    let watch = Watch::start(watch::WatchOptions::of(&settings), move |check| {
        *mutex::lock(&due) = Some(check);
        handle.poke();
    });
    watch.inspect_err(|problem| tracing::error!(?problem, "no schedule")).ok()
}
