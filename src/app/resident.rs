//! The launcher's life beside the running app: it looks for releases when the schedule says so,
//! fetches and has the app take over what it may without a question, and tells a person what should
//! be known. It ends with the app.
//!
//! In: a session with the app started, what the schedule, the engine and a person say. Out: the
//! app's own end. Never: work while nothing happens (one thread waits for the next event or the
//! next date), or a window that was not called for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::output::Output;
use super::present::{PresentOptions, announce, listen, show, show_wanted};
use super::self_update::SelfUpdate;
use super::{Ending, shortcuts};
use crate::gui::{self, NotificationEnd, ViewState};
use crate::host;
use crate::messages::mailbox::Handle;
use crate::messages::protocol::{Command, Event, Phase, Problem, ProblemKind};
use crate::model::incident::{Incident, Notice};
use crate::model::{Offer, Version};
use crate::schedule::announcements::Announcements;
use crate::schedule::reminder::{Reminder, ReminderStep};
use crate::schedule::schedule::{Check, CheckEnd, Rules, ScheduleInput};
use crate::schedule::watch::{self, Watch};
use crate::session::app_session::AppSession;
use crate::session::failed_start::{self, FailedStart};
use crate::settings::CheckTime;
use crate::store::launch::{RunningApp, exit_code};
use crate::store::probation;
use crate::threads;
use crate::update::peer_service::PeerHandle;

/// How often a version on probation is looked at, while a check waits for it.
const LOOK_AT_TRIAL: Duration = Duration::from_millis(200);
/// How often it is asked whether that version has proved itself, by a launcher that leaves then.
const LOOK_AT_PROBATION: Duration = Duration::from_secs(2);
/// How long after the start of the app its window is there, in front of which something can be
/// told.
const UNTIL_THE_APP_IS_SEEN: Duration = Duration::from_millis(2500);
/// How long a look for a release that mends a failed start is waited for before the failure is
/// shown.
const CHECK_TIMEOUT: Duration = Duration::from_secs(4);
/// How often it is looked whether what the app writes to standard error has become too long, where
/// that is kept.
const LOOK_AT_ERRORS: Duration = Duration::from_secs(30);
/// Longest wait where nothing is waited for; whatever happens ends it.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Stays with the app. `handle` is of an engine that knows that the app runs.
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
                // What the launcher does for itself and for the desktop must not keep the app's own
                // updates waiting.
                let follow = move || {
                    shortcuts::follow(&session.environment, own, false);
                    own.update(&session.environment, &|| session.app.running().is_some());
                };
                if let Err(error) = threads::spawn_scoped(scope, "follow", follow) {
                    tracing::warn!(%error, "the launcher does not update itself this time");
                }
            }
        }
        if session.app.is_over() {
            // A start that follows at once must not find the version locked whose code the app ran.
            session.channel.release();
        }
        resident.finish();
        if resident.tell_at.is_some() {
            resident.report_incidents();
        }
    });
    if handle.closed() {
        tracing::error!("the engine has ended; the app goes on without it");
        return stay(session);
    }
    let Some(status) = session.app.get().and_then(|app| app.ended()) else { return Ending::App(0) };
    Ending::App(exit_code(status))
}

/// The rest of the launcher's life without an engine: as long as the app runs, without a thread
/// that wakes up, or a look at anything. If the settings do not want that, only as long as a
/// version is on probation.
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

/// Peers on the local network have what they may from this computer as long as the value lives, also
/// where no engine runs.
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
    /// When what happened is told.
    tell_at: Option<Instant>,
    /// What of it came as an event.
    heard: Vec<Incident>,
    /// The last app whose failure to start was dealt with.
    dealt_with: Option<Arc<RunningApp>>,
    /// Since when the app is known to have failed.
    failed_since: Option<Instant>,
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
            // What happened while nobody looked.
            tell_at: session
                .home()
                .state()
                .is_ok_and(|state| !state.notices.is_empty())
                .then(|| Instant::now() + UNTIL_THE_APP_IS_SEEN),
            heard: Vec::new(),
            dealt_with: None,
            failed_since: None,
        }
    }

    /// Whether there is nothing left to stay for.
    fn is_over(&self) -> bool {
        let app = &self.session.app;
        if app.is_over() {
            let ended_well =
                app.get().and_then(|app| app.ended()).is_some_and(|status| status.success());
            // A version that fails at once is no reason to stop looking: the release that mends it
            // may be there.
            return ended_well || self.looked && !self.has_failed();
        }
        let may_leave = !self.session.environment.settings.health.stay && !app.is_attended();
        may_leave && self.looked && self.handle.phase().is_at_rest()
    }

    fn has_looked(&self) -> bool {
        self.looked
    }

    /// Waits for the next thing that happens, and sees to it.
    fn wait(&mut self) {
        if !self.asked && !self.looked && self.session.app.is_over() {
            // The app has ended, and not well: nobody has to wait for its sake.
            self.tell(ScheduleInput::Asked);
            self.asked = true;
        }
        let waits_for_trial = self.session.app.is_on_trial() && self.due().is_some();
        // Nothing tells when a version has proved itself.
        let waits_for_end_of_trial = self.looked && !self.session.environment.settings.health.stay;
        let keeps_errors = || self.session.app.running().is_some_and(|app| app.bound_errors());
        let limit = match (waits_for_trial || self.has_failed(), waits_for_end_of_trial) {
            (true, _) => LOOK_AT_TRIAL,
            (false, true) => LOOK_AT_PROBATION,
            (false, false) if keeps_errors() => LOOK_AT_ERRORS,
            (false, false) => LONGEST_WAIT,
        };
        let limit = match self.remind() {
            ReminderStep::LookIn(wait) => limit.min(wait),
            ReminderStep::Nothing | ReminderStep::Announce => limit,
        };
        let limit = self
            .tell_at
            .map_or(limit, |at| limit.min(at.saturating_duration_since(Instant::now())));
        for event in self.handle.wait(limit) {
            self.output.event(&event);
            self.view.apply(event.clone());
            match event {
                Event::Phase { phase } => self.entered(&phase),
                Event::Incident { what, .. } => {
                    self.heard.push(what);
                    self.tell_at = Some(Instant::now() + UNTIL_THE_APP_IS_SEEN);
                }
                _ => {}
            }
        }
        self.tell_what_is_due();
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

    /// Whether the last app has failed, and that was not dealt with yet.
    fn has_failed(&self) -> bool {
        let app = &self.session.app;
        let Some(last) = app.get().filter(|_| app.is_over()) else { return false };
        let is_dealt_with = self.dealt_with.as_ref().is_some_and(|known| Arc::ptr_eq(known, &last));
        !is_dealt_with && last.ended().is_some_and(|status| !status.success())
    }

    fn tell_what_is_due(&mut self) {
        if self.tell_at.is_some_and(|at| Instant::now() >= at) {
            self.report_incidents();
        }
        if !self.has_failed() {
            self.failed_since = None;
            return;
        }
        let since = *self.failed_since.get_or_insert_with(Instant::now);
        if self.looked || since.elapsed() >= CHECK_TIMEOUT {
            self.tell_failed_start();
        }
    }

    /// What happened, in front of the app's window that has come up meanwhile, or in the terminal.
    fn report_incidents(&mut self) {
        self.tell_at = None;
        let notices = probation::take_notices(self.session.home()).unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "older notices are not known");
            let now = jiff::Timestamp::now();
            let heard = std::mem::take(&mut self.heard).into_iter();
            heard.map(|what| Notice { when: now, what }).collect()
        });
        for notice in &notices {
            if !self.heard.contains(&notice.what) {
                self.output
                    .event(&Event::Incident { when: notice.when, what: notice.what.clone() });
            }
            self.output.incident(&notice.what);
        }
        self.view.incidents.clear();
        if !notices.is_empty() && !self.options.headless {
            show(&self.session.environment, self.handle, ViewState::telling(notices), self.options);
        }
    }

    /// An app that ends before anybody sees it is shown, with what it wrote last.
    fn tell_failed_start(&mut self) {
        self.dealt_with = self.session.app.get();
        let Some(failed) = failed_start::failed_start(self.session) else { return };
        failed_start::note_relapse(self.session);
        let problem = self.problem_of(&failed);
        if self.options.headless {
            self.output.complain(&problem);
            return;
        }
        let phase = self.handle.phase();
        if !phase.is_at_rest() || matches!(phase, Phase::Offered { .. }) {
            // The window has shown, or shows, a release that may mend it.
            return;
        }
        self.handle.send(Command::StartFailed(Box::new(problem.clone())));
        let end = Instant::now() + CHECK_TIMEOUT;
        while !matches!(self.handle.phase(), Phase::Failed { .. }) && Instant::now() < end {
            for event in self.handle.wait(LOOK_AT_TRIAL) {
                self.output.event(&event);
                self.view.apply(event);
            }
        }
        if !show(
            &self.session.environment,
            self.handle,
            std::mem::take(&mut self.view),
            self.options,
        ) {
            self.output.complain(&problem);
        }
    }

    fn problem_of(&self, failed: &FailedStart) -> Problem {
        let FailedStart { version, failure, lines } = failed;
        let wrote = if lines.is_empty() {
            "it wrote nothing that was kept".to_owned()
        } else {
            lines.join("\n")
        };
        tracing::error!(%version, %failure, "the app did not start; it wrote last:\n{wrote}");
        let chain =
            vec![format!("{} {version}: {failure}", self.session.environment.settings.app), wrote];
        Problem {
            kind: ProblemKind::DidNotStart,
            subject: self.output.texts.failure(failure),
            chain,
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
            self.handle.send(Command::Check { by_user: false });
        } else {
            // What is under way was found by a check not long ago.
            self.looked = true;
            self.tell(ScheduleInput::Ended(CheckEnd::Answered));
        }
    }

    fn entered(&mut self, phase: &Phase) {
        if *phase == Phase::Checking {
            self.checking = true;
            if !std::mem::take(&mut self.own_check) {
                // The app asked, or a person: what may be fetched by itself is as it is now.
                let rules = Rules::of(&self.session.environment.settings.update);
                self.may_fetch = rules.permitted(&host::conditions()).prefetch;
            }
        } else if std::mem::take(&mut self.checking) {
            // A check that failed quietly leaves a notice and goes back to idle.
            let failed = matches!(phase, Phase::Failed { .. })
                || *phase == Phase::Idle && self.view.notice.is_some();
            self.ended(if failed { CheckEnd::Failed } else { CheckEnd::Answered });
        }
        // Events of earlier phases may still come when a window has gone on from there.
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
        // Fetched, and now a person is asked.
        self.ours = None;
        if self.announcements.shows(offer.version(), offer.signed.release.mandatory) {
            self.announce();
        }
    }

    fn ended(&mut self, outcome: CheckEnd) {
        self.looked = true;
        self.tell(ScheduleInput::Ended(outcome));
    }

    /// Announces an offer again that nobody has answered, if it is time; what is under way or
    /// answered is not announced.
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

    /// Tells a person where the engine is.
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

    /// A window that was closed on the way stops nothing: the new version is there at the next
    /// start.
    fn finish(&mut self) {
        let (session, handle) = (self.session, self.handle);
        follow(handle, &mut self.view, self.output, |phase, _| match phase {
            // Between two versions no app runs; what was begun there is brought to its end.
            Phase::Installing { .. }
            | Phase::Swapping { .. }
            | Phase::Closing { .. }
            | Phase::Switching { .. }
            | Phase::RollingBack => false,
            Phase::Downloading { .. } => session.app.running().is_none(),
            _ => true,
        });
        // The app wanted to be started anew, and could not be: nobody else is left to tell it.
        let failed = matches!(handle.phase(), Phase::Failed { problem } if problem.kind == ProblemKind::LaunchFailed);
        if failed && session.app.is_over() && !self.options.headless {
            show(&session.environment, handle, std::mem::take(&mut self.view), self.options);
        }
    }
}

/// Takes events in until `enough`, looking at least every second.
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
    // The phase is known before the events that tell of it are taken.
    for event in handle.take() {
        output.event(&event);
        view.apply(event);
    }
}

/// Where nobody can watch, nothing is looked for; the next start tries again.
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
