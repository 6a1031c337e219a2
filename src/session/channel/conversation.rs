//! The launcher's side of the conversation with its app, as a pure machine. Inputs go to
//! [`Conversation::step`], which returns the effects to perform. The order of messages is that of
//! `assets/runtime/PROTOCOL.md`.
//!
//! In: the app's messages, the engine's events and requests, and the time. Out: messages, commands
//! for the engine, outcomes. Never: does I/O, reads a clock, or believes an app on anything but
//! itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::wire::{Message, PROTOCOL};
use crate::messages::protocol::{CheckTrigger, Command, Event, Phase, Progress};
use crate::model::ContainerId;
use crate::token_bucket::{Rate, TokenBucket};
pub(crate) use exchange::Swap;
pub(super) use exchange::{ConversationInput, Effect};
use fields::{answer, available, phase_name, progress_fields, refusal, words};

mod exchange;
mod fields;
mod swapping;

/// How long an app may take to answer with its plan for an update, or to agree to the swap.
const PLAN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a swap may take: after that it counts as failed.
const SWAP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an app may take to confirm a request to end.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a check that an app asked for may take.
const CHECK_TIMEOUT: Duration = Duration::from_secs(120);
/// Interval between two messages about progress.
const BETWEEN_PROGRESS: Duration = Duration::from_millis(250);
/// Seconds between two heartbeats of an app. It may send other messages in between.
const HEARTBEAT_SECONDS: u64 = 60;
/// Checks that an app may make the engine do: `capacity` at once, then one a minute.
const CHECKS: Rate = Rate { per_second: 1.0 / 60.0, capacity: 10.0 };
/// Most requests of the app that wait for the end of a check.
const MAX_WAITING: usize = 32;
/// Most containers whose code an app may report to run.
const MAX_IN_USE: usize = 16;

/// One conversation; it outlives connections.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    connected: bool,
    number: i64,
    /// The launcher's requests without an answer.
    pending: BTreeMap<i64, PendingRequest>,
    swapping: Option<Swapping>,
    ending: Option<Duration>,
    /// Requests of the app that wait for the end of a check, and until when.
    checks: Vec<(i64, Duration)>,
    check_limit: CheckLimit,
    /// How the last check ended, if one has ended.
    checked: Option<Result<(), String>>,
    /// The channel that is followed, and all that the user may choose from.
    channels: Option<(String, Vec<String>)>,
    /// Why the last check found nothing to install; `None` if it found something, or failed.
    nothing: Option<Value>,
    /// The fields last sent about an offer; `None` once there is none.
    available: Option<Map<String, Value>>,
    phase: Option<Phase>,
    /// When a message about progress was last sent.
    last_progress: Option<Duration>,
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
enum PendingRequest {
    Plan,
    Swap,
    End,
}

#[derive(Debug)]
struct Swapping {
    swap: Swap,
    until: Duration,
    /// The number of the request that began the swap, once that was sent.
    request: Option<i64>,
    /// How long the app's main thread has been stuck, by the app's last report.
    stuck: Option<f64>,
}

impl Conversation {
    /// Takes in an input at `now`, and returns the effects to perform, in order.
    pub(super) fn step(&mut self, now: Duration, input: ConversationInput) -> Vec<Effect> {
        let mut effects = match input {
            ConversationInput::Connected(hello) => self.connected(&hello),
            ConversationInput::Message(message) if message.kind == "answer" => {
                self.answered(now, &message)
            }
            ConversationInput::Message(message) => self.request_of_app(now, &message),
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
        self.pending.clear();
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

    /// Takes in the app's report about the code that it runs. It also reveals the outcome of a swap
    /// that was lost with a connection.
    fn runs(&mut self, message: &Message) -> Vec<Effect> {
        let id = |value: &Value| value.as_str()?.parse::<ContainerId>().ok();
        let container = message.fields.get("container").and_then(id);
        let in_use = message
            .fields
            .get("in_use")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut in_use: Vec<ContainerId> = in_use.iter().filter_map(id).take(MAX_IN_USE).collect();
        if let Some(container) = &container {
            in_use.retain(|other| other != container);
            in_use.push(container.clone());
        } else {
            // Without a list the code that runs is unknown.
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
        let lost = std::mem::take(&mut self.pending);
        let mut effects = vec![Effect::Disconnected];
        if lost.values().any(|request| *request == PendingRequest::End)
            && self.ending.take().is_some()
        {
            effects.push(Effect::EndConfirmed(false));
        }
        // A swap that has begun goes on without a connection. A swap in its plan stage has not
        // begun.
        if self.swapping.as_ref().is_some_and(|swapping| swapping.request.is_none()) {
            effects.extend(self.swap_fails("not-connected", "the app is no longer connected"));
        }
        effects
    }

    /// Sends a request. `pending` is given if its answer matters.
    fn request(
        &mut self,
        kind: &'static str,
        fields: Map<String, Value>,
        pending: Option<PendingRequest>,
    ) -> Effect {
        self.number += 1;
        if let Some(pending) = pending {
            self.pending.insert(self.number, pending);
        }
        Effect::Send { id: self.number, kind, fields }
    }

    /// Answers a request of the app.
    fn request_of_app(&mut self, now: Duration, message: &Message) -> Vec<Effect> {
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
            "channels" => {
                let (channel, channels) = self.channels.clone().unwrap_or_default();
                let channel = Some(channel).filter(|name| !name.is_empty());
                vec![answer(id, json!({ "ok": true, "channel": channel, "channels": channels }))]
            }
            "choose_channel" => self.choose_channel(message),
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
            "goes_on" => vec![done(), Effect::EndRefused],
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

    fn choose_channel(&self, message: &Message) -> Vec<Effect> {
        let wanted = message.fields.get("channel").and_then(Value::as_str).unwrap_or_default();
        let offered = self.channels.iter().flat_map(|(_, channels)| channels);
        match offered.into_iter().find(|name| *name == wanted) {
            Some(name) => vec![
                Effect::Command(Command::ChooseChannel(name.clone())),
                answer(message.id, json!({ "ok": true })),
            ],
            None => {
                let text = "the publisher offers no such channel";
                vec![refusal(message.id, "unknown-channel", text)]
            }
        }
    }

    fn check(&mut self, now: Duration, id: i64) -> Vec<Effect> {
        if self.phase.as_ref().is_some_and(is_at_work) {
            return vec![self.found(id)];
        }
        if self.checks.len() >= MAX_WAITING {
            return vec![refusal(id, "busy", "too many checks are waiting")];
        }
        // Another check may be under way, whose end answers as well.
        let in_progress = self.phase == Some(Phase::Checking);
        if !in_progress && !self.may_check(now) {
            return vec![match &self.checked {
                Some(Ok(())) => self.found(id),
                Some(Err(words)) => refusal(id, "failed", words),
                None => refusal(id, "busy", "too many checks in a short time"),
            }];
        }
        self.checks.push((id, now + CHECK_TIMEOUT));
        if in_progress {
            Vec::new()
        } else {
            vec![Effect::Command(Command::Check(CheckTrigger::Schedule))]
        }
    }

    /// The answer to a check that has not failed.
    fn found(&self, id: i64) -> Effect {
        answer(id, json!({ "ok": true, "available": self.available, "nothing": self.nothing }))
    }

    /// Whether the app may make the engine ask the publisher's servers once more. All users of an
    /// app with such a loop would flood the servers. Beyond the limit the app gets the result of
    /// the last check.
    fn may_check(&mut self, now: Duration) -> bool {
        self.check_limit.0.try_take(now, 1.0, CHECKS)
    }

    /// Takes in the app's answer to a request.
    fn answered(&mut self, now: Duration, message: &Message) -> Vec<Effect> {
        let ok = message.fields.get("ok") == Some(&Value::Bool(true));
        match self.pending.remove(&message.id) {
            Some(PendingRequest::Plan) => self.planned(now, message, ok),
            Some(PendingRequest::Swap) if !ok => self.swap_is_refused(message),
            Some(PendingRequest::End) if self.ending.take().is_some() => {
                vec![Effect::EndConfirmed(
                    ok && message.fields.get("heard") == Some(&Value::Bool(true)),
                )]
            }
            _ => Vec::new(),
        }
    }

    fn end(&mut self, now: Duration) -> Vec<Effect> {
        if !self.connected {
            return vec![Effect::EndConfirmed(false)];
        }
        self.ending = Some(now + END_TIMEOUT);
        let reason =
            Map::from_iter([("reason".to_owned(), "another version will be started".into())]);
        vec![self.request("restart", reason, Some(PendingRequest::End))]
    }

    /// Passes on events of the engine, as far as they concern an app.
    fn on_event(&mut self, now: Duration, event: Event) -> Vec<Effect> {
        match event {
            Event::Progress(progress) => self.progress(now, &progress),
            Event::Phase { phase } => self.phase(now, phase),
            Event::Channels { channel, channels } => {
                self.channels = Some((channel, channels));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn progress(&mut self, now: Duration, progress: &Progress) -> Vec<Effect> {
        let Some(name) = self.phase.as_ref().and_then(phase_name) else { return Vec::new() };
        if !self.connected
            || self.last_progress.is_some_and(|last| now.saturating_sub(last) < BETWEEN_PROGRESS)
        {
            return Vec::new();
        }
        self.last_progress = Some(now);
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
        self.nothing = match &phase {
            Phase::UpToDate { reason, .. } => serde_json::to_value(reason).ok(),
            Phase::Checking => self.nothing.take(),
            _ => None,
        };
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
                    _ => self.found(id),
                });
            }
        }
        if let Some(name) = phase_name(&phase).filter(|_| self.connected) {
            let detail = match &phase {
                Phase::Failed { problem } => words(problem),
                _ => String::new(),
            };
            self.last_progress = Some(now);
            effects.push(self.request(
                "update_progress",
                progress_fields(name, &Progress::default(), &detail),
                None,
            ));
        }
        self.phase = Some(phase);
        effects
    }

    /// Ends what has passed its deadline.
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
            effects.push(Effect::EndConfirmed(false));
        }
        let late = self.checks.extract_if(.., |(_, until)| *until <= now);
        effects.extend(late.map(|(id, _)| refusal(id, "failed", "the check takes too long")));
        effects
    }
}

/// Whether an update or other work is under way that a check would have to wait for. A running
/// check does not count: its own end answers.
fn is_at_work(phase: &Phase) -> bool {
    !phase.is_at_rest() && *phase != Phase::Checking
}

/// Whether an offer from before this phase is still valid.
const fn keeps_offer(phase: &Phase) -> bool {
    // No catch-all arm: the compiler demands a decision for each new phase.
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
