//! Shows what happened to the app: incidents, and an app that ended before anybody saw it. Asks
//! once what becomes of the shortcuts of an earlier installation.
//!
//! In: incidents as events and from the home, the end of the app, old shortcuts. Out: windows in front of the
//! app's own, or lines in the terminal. Never: a decision about what the app or an update does.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::output::Output;
use super::present::{PresentOptions, show};
use super::streams;
use crate::error_chain;
use crate::gui::ViewState;
use crate::messages::mailbox::Handle;
use crate::messages::protocol::{Command, Event, Phase, Problem, ProblemKind};
use crate::model::incident::{Incident, Notice};
use crate::session::app_session::AppSession;
use crate::session::failed_start::{self, FailedStart};
use crate::store::launch::RunningApp;
use crate::store::probation;

/// How long after the app's start its window is open, so that a message can appear in front of it.
const UNTIL_THE_APP_IS_SEEN: Duration = Duration::from_millis(2500);
/// How long a failure to start waits for a check to find a release that fixes it, before it is
/// shown.
const CHECK_TIMEOUT: Duration = Duration::from_secs(4);
/// Pause between two looks at an engine that takes a failure in.
const ENGINE_POLL_INTERVAL: Duration = Duration::from_millis(200);

pub(super) struct Reports<'a> {
    session: &'a AppSession,
    handle: &'a Handle,
    options: PresentOptions,
    output: &'a Output,
    /// When stored incidents are shown.
    due: Option<Instant>,
    /// When the user is asked about old shortcuts.
    question_due: Option<Instant>,
    /// Incidents that arrived as events.
    heard: Vec<Incident>,
    /// The last app whose failure to start has been handled.
    dealt_with: Option<Arc<RunningApp>>,
    /// When the app's failure became known.
    failed_since: Option<Instant>,
}

impl<'a> Reports<'a> {
    pub(super) fn new(
        session: &'a AppSession,
        handle: &'a Handle,
        options: PresentOptions,
        output: &'a Output,
    ) -> Self {
        let seen_at = Instant::now() + UNTIL_THE_APP_IS_SEEN;
        // Incidents that happened while nobody looked.
        let stored = session.home().state().is_ok_and(|state| !state.notices.is_empty());
        let asks = session.old_shortcuts.is_some() && !options.at_login;
        Self {
            session,
            handle,
            options,
            output,
            due: stored.then_some(seen_at),
            question_due: asks.then_some(seen_at),
            heard: Vec::new(),
            dealt_with: None,
            failed_since: None,
        }
    }

    /// Takes an incident that arrived as an event.
    pub(super) fn heard(&mut self, what: Incident) {
        self.heard.push(what);
        self.due = Some(Instant::now() + UNTIL_THE_APP_IS_SEEN);
    }

    /// How long until something is shown; `None` if there is nothing.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let next = self.due.into_iter().chain(self.question_due).min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether the last app has failed, and the failure has not been handled yet.
    pub(super) fn has_failed(&self) -> bool {
        let app = &self.session.app;
        let Some(last) = app.get().filter(|_| app.is_over()) else { return false };
        let is_dealt_with = self.dealt_with.as_ref().is_some_and(|known| Arc::ptr_eq(known, &last));
        !is_dealt_with && last.ended().is_some_and(|status| !status.success())
    }

    /// Shows incidents at their time. A failure of the app waits for the end of the running check.
    pub(super) fn report_what_is_due(&mut self, view: &mut ViewState, has_looked: bool) {
        if self.due.is_some_and(|at| Instant::now() >= at) {
            self.report_incidents(view);
            // One window is enough: the question waits for the next start.
            self.question_due = None;
        }
        if self.question_due.is_some_and(|at| Instant::now() >= at) {
            self.ask_about_old_shortcuts();
        }
        if !self.has_failed() {
            self.failed_since = None;
            return;
        }
        let since = *self.failed_since.get_or_insert_with(Instant::now);
        if has_looked || since.elapsed() >= CHECK_TIMEOUT {
            self.report_failed_start(view);
        }
    }

    /// Shows the incidents that still wait when the launcher ends.
    pub(super) fn report_at_the_end(&mut self, view: &mut ViewState) {
        if self.due.is_some() {
            self.report_incidents(view);
        }
    }

    /// Shows the incidents in front of the app's window, which is open by now, or in the terminal.
    fn report_incidents(&mut self, view: &mut ViewState) {
        self.due = None;
        let home = self.session.home();
        let notices = home.state().map(|state| state.notices).unwrap_or_else(|error| {
            tracing::warn!(error = error_chain::line(&error), "older notices are not known");
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
        view.incidents.clear();
        if notices.is_empty() {
            return;
        }
        let view = ViewState::telling(notices.clone());
        let is_shown = self.options.headless
            || std::io::stdout().is_terminal()
            || show(&self.session.environment, self.handle, view, self.options);
        // Where nobody sees them now, the next start shows them.
        if is_shown && let Err(error) = probation::remove_notices(home, &notices) {
            tracing::warn!(
                error = error_chain::line(&error),
                "what has been shown is shown again at the next start"
            );
        }
    }

    /// Asks what becomes of the shortcuts of an earlier installation, unless the user has answered,
    /// as in the window of the first installation. Who starts the app in a terminal is not asked:
    /// there is a verb.
    fn ask_about_old_shortcuts(&mut self) {
        self.question_due = None;
        if self.options.headless || self.session.app.is_over() || streams::have_a_caller() {
            return;
        }
        let state = self.session.old_shortcuts.as_ref().map(|switch| switch.state());
        match state {
            Some(Ok(state)) if state.asks() => {
                let view = ViewState::asking(state);
                show(&self.session.environment, self.handle, view, self.options);
            }
            Some(Err(problem)) => tracing::warn!(?problem, "nobody is asked about old shortcuts"),
            _ => tracing::info!("old shortcuts: nothing to ask"),
        }
    }

    /// Shows an app that ended before anybody saw it, with its last output.
    fn report_failed_start(&mut self, view: &mut ViewState) {
        self.dealt_with = self.session.app.get();
        let Some(failed) = failed_start::failed_start(self.session) else { return };
        if failed.is_sure {
            if !failed.was_up {
                failed_start::note_failure(self.session);
            }
        } else if self.options.headless || std::io::stderr().is_terminal() {
            // The person has read there what the app says about the arguments.
            return;
        }
        let problem = self.problem_of(&failed);
        if (!failed.is_sure || failed.was_up) && streams::have_a_caller() {
            // A script waits for the end, and no window may hold it up.
            return self.complain(&problem);
        }
        if self.options.headless {
            return self.complain(&problem);
        }
        let phase = self.handle.phase();
        if !phase.is_at_rest() || matches!(phase, Phase::Offered { .. }) {
            // The window has shown, or shows, a release that may fix it.
            return;
        }
        self.handle.send(Command::StartFailed(Box::new(problem.clone())));
        let end = Instant::now() + CHECK_TIMEOUT;
        while !matches!(self.handle.phase(), Phase::Failed { .. }) && Instant::now() < end {
            for event in self.handle.wait(ENGINE_POLL_INTERVAL) {
                self.output.event(&event);
                view.apply(event);
            }
        }
        let view = std::mem::take(view);
        if !show(&self.session.environment, self.handle, view, self.options) {
            self.complain(&problem);
        }
    }

    /// The problem without a window. Other versions are named only if there are some.
    fn complain(&self, problem: &Problem) {
        let is_alone = self.session.home().installed().is_ok_and(|all| all.len() < 2);
        if is_alone {
            self.output.complain_with(problem, &self.output.texts.get("did-not-start-alone"));
        } else {
            self.output.complain(problem);
        }
    }

    fn problem_of(&self, failed: &FailedStart) -> Problem {
        let FailedStart { version, failure, lines, was_up, .. } = failed;
        let wrote = if lines.is_empty() {
            "it wrote nothing that was kept".to_owned()
        } else {
            lines.join("\n")
        };
        let what = if *was_up { "the app ended with an error" } else { "the app did not start" };
        tracing::error!(%version, %failure, "{what}; it wrote last:\n{wrote}");
        let chain =
            vec![format!("{} {version}: {failure}", self.session.environment.settings.app), wrote];
        Problem {
            kind: if *was_up { ProblemKind::EndedWithError } else { ProblemKind::DidNotStart },
            subject: self.output.texts.failure(failure),
            chain,
        }
    }
}
