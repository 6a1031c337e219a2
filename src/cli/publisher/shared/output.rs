//! The output of the publisher's verbs: English lines for people, or one JSON object a line for
//! scripts.

use serde_json::{Value, json};

use crate::app::streams::write_line;
use crate::plain;

/// What the publisher's verbs print: English lines, or JSON.
pub(crate) struct Say {
    json: bool,
}

impl Say {
    /// Lines, or JSON.
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether JSON is wanted.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A line for people.
    pub(crate) fn line(&self, line: &str) {
        if !self.json {
            write_line(line);
        }
    }

    /// What usually comes next, as it is typed.
    pub(crate) fn next(&self, words: &str) {
        self.line(&format!("next: {words}"));
    }

    /// An event for scripts.
    pub(crate) fn event(&self, event: &Value) {
        if self.json {
            write_line(&plain::json(&event.to_string()));
        }
    }

    /// The last line for scripts.
    pub(crate) fn result(&self, value: serde_json::Value) {
        if self.json {
            write_line(&plain::json(&json!({ "result": value }).to_string()));
        }
    }
}
