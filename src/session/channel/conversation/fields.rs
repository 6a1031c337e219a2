//! Builds the fields of messages to the app.

use serde_json::{Map, Value, json};

use super::Effect;
use crate::messages::protocol::{Phase, Problem, Progress};
use crate::model::Offer;

/// Longest release notes that an app is sent, characters.
const MAX_NOTES_CHARACTERS: usize = 64 << 10;

pub(super) fn available(offer: &Offer) -> Map<String, Value> {
    fields(json!({
        "version": offer.version(),
        "notes": offer.notes.chars().take(MAX_NOTES_CHARACTERS).collect::<String>(),
        "download_bytes": offer.bytes_to_fetch,
        "mandatory": offer.signed.release.mandatory,
        "recalled": offer.recalled,
        "requires_restart": offer.plan.requires_restart,
        "hot_swappable_count": offer.plan.hot_swappable,
    }))
}

/// The names of the phases that an app is sent: those of an update under way, and its ends.
pub(super) fn phase_name(phase: &Phase) -> Option<&'static str> {
    Some(match phase {
        Phase::Downloading { .. } => "downloading",
        Phase::Paused { .. } => "paused",
        Phase::Installing { .. } => "installing",
        Phase::Swapping { .. } => "swapping",
        Phase::Swapped { .. } => "swapped",
        Phase::Ready { .. } => "ready",
        Phase::Failed { .. } => "failed",
        Phase::Cancelled => "cancelled",
        _ => return None,
    })
}

pub(super) fn progress_fields(
    phase: &str,
    progress: &Progress,
    detail: &str,
) -> Map<String, Value> {
    fields(json!({
        "phase": phase,
        "step": progress.files_done,
        "steps": progress.files_total,
        "bytes_done": progress.done,
        "bytes_total": progress.total,
        "detail": detail,
    }))
}

pub(super) fn words(problem: &Problem) -> String {
    problem.chain.join(": ")
}

pub(super) fn answer(id: i64, value: Value) -> Effect {
    Effect::Send { id, kind: "answer", fields: fields(value) }
}

pub(super) fn refusal(id: i64, code: &str, text: &str) -> Effect {
    answer(id, json!({ "ok": false, "error": { "code": code, "text": text } }))
}

pub(super) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
