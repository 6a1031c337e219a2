//! A hot swap within the conversation: the app first plans it, then performs it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fields::fields;
use super::{Conversation, Effect, PLAN_TIMEOUT, PendingRequest, SWAP_TIMEOUT, Swap, Swapping};
use crate::messages::protocol::SwapBlocker;
use crate::session::channel::wire::Message;

impl Conversation {
    pub(super) fn result(&mut self, message: &Message) -> Vec<Effect> {
        let mut effects = self.runs(message);
        let request = message.fields.get("swap").and_then(Value::as_i64);
        let Some(swapping) = self
            .swapping
            .take_if(|swapping| swapping.request.is_some() && swapping.request == request)
        else {
            return effects;
        };
        tracing::info!(container = %swapping.swap.container, ?message, "the app has tried to take over new code");
        effects.push(Effect::Swapped(if message.fields.get("ok") == Some(&Value::Bool(true)) {
            Ok(texts(message.fields.get("swapped")))
        } else {
            Err(blockers(message.fields.get("reasons")))
        }));
        effects
    }

    pub(super) fn planned(&mut self, now: Duration, message: &Message, ok: bool) -> Vec<Effect> {
        let plan = message.fields.get("plan").cloned().unwrap_or_default();
        if !ok {
            return self.swap_is_refused(message);
        }
        if plan.get("requires_restart") != Some(&Value::Bool(false)) {
            self.swapping = None;
            return vec![Effect::Swapped(Err(blockers(plan.get("reasons"))))];
        }
        let Some(swap) = self.swapping.as_ref().map(|swapping| fields_of(&swapping.swap)) else {
            return Vec::new();
        };
        let effect = self.request("swap", swap, Some(PendingRequest::Swap));
        if let (Some(swapping), Effect::Send { id, .. }) = (&mut self.swapping, &effect) {
            (swapping.request, swapping.until) = (Some(*id), now + SWAP_TIMEOUT);
        }
        vec![effect]
    }

    pub(super) fn swap_is_refused(&mut self, message: &Message) -> Vec<Effect> {
        let error = message.fields.get("error");
        let text = |name: &str| {
            error
                .and_then(|error| error.get(name))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if text("code") == "already" {
            self.swapping = None;
            return vec![Effect::Swapped(Ok(Vec::new()))];
        }
        let reasons = message.fields.get("plan").and_then(|plan| plan.get("reasons"));
        if reasons.is_some() {
            self.swapping = None;
            return vec![Effect::Swapped(Err(blockers(reasons)))];
        }
        self.swap_fails(&text("code"), &text("text"))
    }

    pub(super) fn swap_fails(&mut self, code: &str, text: &str) -> Vec<Effect> {
        if self.swapping.take().is_none() {
            return Vec::new();
        }
        vec![Effect::Swapped(Err(vec![SwapBlocker::new(code, text)]))]
    }

    pub(super) fn swap(&mut self, now: Duration, swap: Swap) -> Vec<Effect> {
        let refused =
            |code: &str, text: &str| vec![Effect::Swapped(Err(vec![SwapBlocker::new(code, text)]))];
        if !self.connected {
            return refused("not-connected", "the app does not talk to its launcher");
        }
        if self.swapping.is_some() {
            return refused("busy", "another swap is being done");
        }
        let fields = fields_of(&swap);
        self.swapping =
            Some(Swapping { swap, until: now + PLAN_TIMEOUT, request: None, stuck: None });
        vec![self.request("plan_swap", fields, Some(PendingRequest::Plan))]
    }
}

fn fields_of(swap: &Swap) -> Map<String, Value> {
    fields(json!({ "container": swap.container, "changes": swap.changes }))
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let all = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Reads the app's blockers. Returns at least one: a value that cannot be read is a blocker too.
fn blockers(value: Option<&Value>) -> Vec<SwapBlocker> {
    let read = value
        .and_then(|value| serde_json::from_value::<Vec<SwapBlocker>>(value.clone()).ok())
        .unwrap_or_default();
    if read.is_empty() { vec![SwapBlocker::new("failed", "the app did not say why")] } else { read }
}
