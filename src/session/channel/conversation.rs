//! The launcher's side of the conversation with its app, as a pure machine: what comes in goes to
//! [`Conversation::step`], and what has to be done for it comes out. The order of things is that of
//! `assets/runtime/PROTOCOL.md`.
//!
//! In: messages, what the engine tells, what it wants, and the time. Out: messages, commands for
//! the engine, outcomes. Never: I/O, a clock, or trust in what an app says beyond what it says of
//! itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::wire::{Message, PROTOCOL};
use crate::messages::protocol::{Command, Event, Phase, Progress, SwapBlocker};
use crate::model::ContainerId;
use crate::model::hot_swap::Change;
use crate::token_bucket::{Rate, TokenBucket};
use fields::{answer, available, phase_name, progress_fields, refusal, words};

mod fields;
mod swapping;

/// How long an app may take to say what it would do with an update, or that it will try.
const PLAN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a swap may take: after that it counts as failed.
const SWAP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an app may take to say whether it has heard that it should end.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a check that an app asked for may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two messages about progress.
const BETWEEN_PROGRESS: Duration = Duration::from_millis(250);
/// Seconds between two heartbeats of an app: it says in between whatever it wants to say.
const HEARTBEAT_SECONDS: u64 = 60;
/// Checks that an app may make the engine do: so many at once, and one a minute.
const CHECKS: Rate = Rate { per_second: 1.0 / 60.0, capacity: 10.0 };
/// Most requests of the app that wait for the end of a check.
const MOST_WAITING: usize = 32;
/// Most containers whose code an app may say that it runs.
const MOST_IN_USE: usize = 16;

/// What comes in.
#[derive(Clone, Debug)]
pub(super) enum ConversationInput {
    /// An app has shown the token; this is its first message.
    Connected(Message),
    /// The app says something.
    Message(Message),
    /// The connection has ended.
    Gone,
    /// The engine tells something.
    Event(Box<Event>),
    /// The app shall take over another container's code.
    Swap(Swap),
    /// The app shall end.
    End,
    /// It need not end any more.
    KeepRunning,
    /// Time has passed.
    Tick,
}

/// What an app shall take over.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Swap {
    /// The installed version.
    pub container: ContainerId,
    /// All files that differ from the version whose code the app runs.
    pub changes: Vec<Change>,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// Send this to the app.
    Send {
        /// Its number.
        id: i64,
        /// What it is.
        kind: &'static str,
        /// The rest.
        fields: Map<String, Value>,
    },
    /// A command for the engine.
    Command(Command),
    /// The app says that it is up.
    Up,
    /// The app has code of these containers, and takes new code from the last.
    Runs(Vec<ContainerId>),
    /// Nobody is connected any more.
    Alone,
    /// A swap has ended: with the modules that were loaded anew, or with what stood against it.
    Swapped(Result<Vec<String>, Vec<SwapBlocker>>),
    /// Whether the app has heard that it should end.
    Heard(bool),
    /// The app was to end, and goes on: its person has unsaved work.
    GoesOn,
}

/// One conversation; it outlives connections.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    connected: bool,
    number: i64,
    /// Our requests without an answer.
    asked: BTreeMap<i64, Asked>,
    swapping: Option<Swapping>,
    ending: Option<Duration>,
    /// Requests of the app that wait for the end of a check, and until when.
    checks: Vec<(i64, Duration)>,
    check_limit: CheckLimit,
    /// How the last check ended, if one has.
    checked: Option<Result<(), String>>,
    /// What was last told of an offer; `None` once there is none.
    available: Option<Map<String, Value>>,
    phase: Option<Phase>,
    on_event: Option<Duration>,
}

/// How many more checks the app may make the engine do.
#[derive(Debug)]
struct CheckLimit(TokenBucket);

impl Default for CheckLimit {
    fn default() -> Self {
        Self(TokenBucket::with(CHECKS.capacity))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Plan,
    Swap,
    End,
}

#[derive(Debug)]
struct Swapping {
    swap: Swap,
    until: Duration,
    /// The number of the request that began it, once that was sent.
    request: Option<i64>,
    /// How long the app's main thread has not done anything, as it said last.
    stuck: Option<f64>,
}

impl Conversation {
    /// Takes in what happened at `now`; gives what has to be done, in order.
    pub(super) fn step(&mut self, now: Duration, input: ConversationInput) -> Vec<Effect> {
        let mut effects = match input {
            ConversationInput::Connected(hello) => self.connected(&hello),
            ConversationInput::Message(message) if message.kind == "answer" => {
                self.answered(now, &message)
            }
            ConversationInput::Message(message) => self.asked(now, &message),
            ConversationInput::Gone => self.gone(),
            ConversationInput::Event(event) => self.on_event(now, *event),
            ConversationInput::Swap(swap) => self.swap(now, swap),
            ConversationInput::End => self.end(now),
            ConversationInput::KeepRunning if self.connected => {
                vec![self.request("goes_on", Map::new(), None)]
            }
            ConversationInput::KeepRunning => Vec::new(),
            ConversationInput::Tick => Vec::new(),
        };
        effects.extend(self.late(now));
        effects
    }

    /// When the next [`ConversationInput::Tick`] is due, if one is.
    pub(super) fn due(&self) -> Option<Duration> {
        let swapping = self.swapping.as_ref().map(|swapping| swapping.until);
        swapping
            .into_iter()
            .chain(self.ending)
            .chain(self.checks.iter().map(|(_, until)| *until))
            .min()
    }

    fn connected(&mut self, hello: &Message) -> Vec<Effect> {
        self.connected = true;
        self.asked.clear();
        self.checks.clear();
        let mut effects =
            vec![answer(hello.id, json!({ "ok": true, "heartbeat_seconds": HEARTBEAT_SECONDS }))];
        effects.extend(self.runs(hello));
        if hello.fields.get("up") == Some(&Value::Bool(true)) {
            effects.push(Effect::Up);
        }
        if let Some(available) = self.available.clone() {
            effects.push(self.request("update_available", available, None));
        }
        effects
    }

    /// What the app says of the code that it runs. A swap whose outcome was lost with a connection
    /// is known from it.
    fn runs(&mut self, message: &Message) -> Vec<Effect> {
        let id = |value: &Value| value.as_str()?.parse::<ContainerId>().ok();
        let container = message.fields.get("container").and_then(id);
        let in_use = message
            .fields
            .get("in_use")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut in_use: Vec<ContainerId> = in_use.iter().filter_map(id).take(MOST_IN_USE).collect();
        if let Some(container) = &container {
            in_use.retain(|other| other != container);
            in_use.push(container.clone());
        } else {
            // Without it nothing is known of the code that runs.
            in_use.clear();
        }
        let done = self
            .swapping
            .as_ref()
            .is_some_and(|swapping| Some(&swapping.swap.container) == container.as_ref());
        let mut effects = vec![Effect::Runs(in_use)];
        if done && message.kind == "hello" {
            self.swapping = None;
            effects.push(Effect::Swapped(Ok(Vec::new())));
        }
        effects
    }

    fn gone(&mut self) -> Vec<Effect> {
        self.connected = false;
        self.checks.clear();
        let lost = std::mem::take(&mut self.asked);
        let mut effects = vec![Effect::Alone];
        if lost.values().any(|asked| *asked == Asked::End) && self.ending.take().is_some() {
            effects.push(Effect::Heard(false));
        }
        // A swap that has begun goes on without a connection; one that was only asked about has not
        // begun.
        if self.swapping.as_ref().is_some_and(|swapping| swapping.request.is_none()) {
            effects.extend(self.swap_fails("not-connected", "the app is no longer connected"));
        }
        effects
    }

    /// `asked` if the answer matters.
    fn request(
        &mut self,
        kind: &'static str,
        fields: Map<String, Value>,
        asked: Option<Asked>,
    ) -> Effect {
        self.number += 1;
        if let Some(asked) = asked {
            self.asked.insert(self.number, asked);
        }
        Effect::Send { id: self.number, kind, fields }
    }

    /// What the app asks.
    fn asked(&mut self, now: Duration, message: &Message) -> Vec<Effect> {
        let id = message.id;
        if message.protocol != PROTOCOL {
            return vec![refusal(
                id,
                "protocol",
                &format!("only protocol {PROTOCOL} is spoken here"),
            )];
        }
        let done = || answer(id, json!({ "ok": true }));
        match message.kind.as_str() {
            "heartbeat" => {
                if let Some(swapping) = &mut self.swapping {
                    swapping.stuck =
                        message.fields.get("main_thread_seconds").and_then(Value::as_f64);
                }
                vec![done()]
            }
            "up" => vec![done(), Effect::Up],
            "check_for_updates" => self.check(now, id),
            "start_update" => match &self.phase {
                Some(Phase::Offered { .. } | Phase::Cancelled) => {
                    vec![done(), Effect::Command(Command::Start)]
                }
                Some(phase) if is_at_work(phase) => {
                    vec![refusal(id, "busy", "an update is under way")]
                }
                _ => vec![refusal(id, "nothing-available", "there is no release to install")],
            },
            // First the command: the app ends as soon as it has the answer.
            "restart" => vec![Effect::Command(Command::RestartWhenEnded), done()],
            "swap_result" => self.result(message).into_iter().chain([done()]).collect(),
            "runs" => self.runs(message).into_iter().chain([done()]).collect(),
            "goes_on" => vec![done(), Effect::GoesOn],
            "bye" => vec![done()],
            kind => {
                let kind: String = kind.chars().take(100).collect();
                vec![refusal(
                    id,
                    "unknown-type",
                    &format!("not a request of this protocol: {kind}"),
                )]
            }
        }
    }

    fn check(&mut self, now: Duration, id: i64) -> Vec<Effect> {
        if self.phase.as_ref().is_some_and(is_at_work) {
            let available = self.available.clone();
            return vec![answer(id, json!({ "ok": true, "available": available }))];
        }
        if self.checks.len() >= MOST_WAITING {
            return vec![refusal(id, "busy", "too many checks are waiting")];
        }
        // Another one may be under way, whose end answers as well.
        let in_progress = self.phase == Some(Phase::Checking);
        if !in_progress && !self.may_check(now) {
            return vec![match &self.checked {
                Some(Ok(())) => answer(id, json!({ "ok": true, "available": self.available })),
                Some(Err(words)) => refusal(id, "failed", words),
                None => refusal(id, "busy", "too many checks in a short time"),
            }];
        }
        self.checks.push((id, now + CHECK_TIMEOUT));
        if in_progress {
            Vec::new()
        } else {
            vec![Effect::Command(Command::Check { by_user: false })]
        }
    }

    /// Whether the app may make the engine ask the publisher's servers once more: all users of an
    /// app with a loop in it would be a flood. Beyond that it is told what the last check has
    /// found.
    fn may_check(&mut self, now: Duration) -> bool {
        self.check_limit.0.try_take(now, 1.0, CHECKS)
    }

    /// What the app answers to what was asked.
    fn answered(&mut self, now: Duration, message: &Message) -> Vec<Effect> {
        let ok = message.fields.get("ok") == Some(&Value::Bool(true));
        match self.asked.remove(&message.id) {
            Some(Asked::Plan) => self.planned(now, message, ok),
            Some(Asked::Swap) if !ok => self.swap_is_refused(message),
            Some(Asked::End) if self.ending.take().is_some() => {
                vec![Effect::Heard(ok && message.fields.get("heard") == Some(&Value::Bool(true)))]
            }
            _ => Vec::new(),
        }
    }

    fn end(&mut self, now: Duration) -> Vec<Effect> {
        if !self.connected {
            return vec![Effect::Heard(false)];
        }
        self.ending = Some(now + END_TIMEOUT);
        let reason =
            Map::from_iter([("reason".to_owned(), "another version will be started".into())]);
        vec![self.request("restart", reason, Some(Asked::End))]
    }

    /// What the engine tells, as far as an app may want to know it.
    fn on_event(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        match event {
            Event::Progress(progress) => self.progress(now, &progress),
            Event::Phase { phase } => self.phase(now, phase),
            _ => Vec::new(),
        }
    }

    fn progress(&mut self, now: Duration, progress: &Progress) -> Vec<Effect> {
        let Some(name) = self.phase.as_ref().and_then(phase_name) else { return Vec::new() };
        if !self.connected
            || self.on_event.is_some_and(|on_event| now.saturating_sub(on_event) < BETWEEN_PROGRESS)
        {
            return Vec::new();
        }
        self.on_event = Some(now);
        vec![self.request("update_progress", progress_fields(name, progress, ""), None)]
    }

    fn phase(&mut self, now: Duration, phase: Phase) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Phase::Offered { offer } = &phase {
            let available = available(offer);
            self.available = Some(available.clone());
            if self.connected {
                effects.push(self.request("update_available", available, None));
            }
        }
        if !keeps_offer(&phase) {
            self.available = None;
        }
        if self.phase == Some(Phase::Checking) && phase != Phase::Checking {
            self.checked = Some(match &phase {
                Phase::Failed { problem } => Err(words(problem)),
                _ => Ok(()),
            });
        }
        if phase != Phase::Checking {
            for (id, _) in std::mem::take(&mut self.checks) {
                effects.push(match &phase {
                    Phase::Failed { problem } => refusal(id, "failed", &words(problem)),
                    _ => answer(id, json!({ "ok": true, "available": self.available })),
                });
            }
        }
        if let Some(name) = phase_name(&phase).filter(|_| self.connected) {
            let detail = match &phase {
                Phase::Failed { problem } => words(problem),
                _ => String::new(),
            };
            self.on_event = Some(now);
            effects.push(self.request(
                "update_progress",
                progress_fields(name, &Progress::default(), &detail),
                None,
            ));
        }
        self.phase = Some(phase);
        effects
    }

    /// What took too long.
    fn late(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(swapping) = self.swapping.as_ref().filter(|swapping| swapping.until <= now) {
            let text = match swapping.stuck {
                Some(seconds) => format!(
                    "the app has not answered in time; its main thread was busy for {seconds:.0} seconds"
                ),
                None => "the app has not answered in time".to_owned(),
            };
            effects.extend(self.swap_fails("timeout", &text));
        }
        if self.ending.take_if(|until| *until <= now).is_some() {
            effects.push(Effect::Heard(false));
        }
        let late = self.checks.extract_if(.., |(_, until)| *until <= now);
        effects.extend(late.map(|(id, _)| refusal(id, "failed", "the check takes too long")));
        effects
    }
}

/// An update, or something else that one would have to wait for; a check has an end of its own.
fn is_at_work(phase: &Phase) -> bool {
    !phase.is_at_rest() && *phase != Phase::Checking
}

/// Whether what was on offer before this phase still is.
const fn keeps_offer(phase: &Phase) -> bool {
    // Without a last arm: a new phase must be thought of here.
    match phase {
        Phase::Offered { .. }
        | Phase::Checking
        | Phase::Downloading { .. }
        | Phase::Paused { .. }
        | Phase::Installing { .. }
        | Phase::Failed { .. }
        | Phase::Cancelled => true,
        Phase::Idle
        | Phase::UpToDate { .. }
        | Phase::Ready { .. }
        | Phase::Swapping { .. }
        | Phase::Swapped { .. }
        | Phase::Closing { .. }
        | Phase::Switching { .. }
        | Phase::RollingBack
        | Phase::RolledBack { .. }
        | Phase::Launched { .. }
        | Phase::Repairing { .. }
        | Phase::Repaired(_) => false,
    }
}

#[cfg(test)]
mod tests;
