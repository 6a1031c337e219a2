//! Prints the output of the verbs: sentences for people, or one JSON object a line for scripts.

use serde::Serialize;
use serde_json::{Value, json};

use super::Ending;
use super::streams::{error_line, write_line};
use crate::gui::texts::Texts;
use crate::messages::protocol::Problem;
use crate::model::incident::{Conflict, Incident};
use crate::plain;

/// Prints sentences and events.
pub(crate) struct Output {
    json: bool,
    silent: bool,
    /// The catalogue in the user's language.
    pub texts: Texts,
}

impl Output {
    /// Prints sentences in the catalogue's language, or JSON.
    pub(crate) fn new(json: bool, texts: Texts) -> Self {
        Self { json, silent: false, texts: texts.for_terminal() }
    }

    /// Prints failures only.
    #[cfg(feature = "publisher")]
    pub(crate) fn silent(texts: Texts) -> Self {
        Self { json: false, silent: true, texts: texts.for_terminal() }
    }

    /// Whether a progress bar would be visible.
    pub(crate) fn shows_bars(&self) -> bool {
        !self.json && !self.silent
    }

    /// A line for people.
    pub(crate) fn say(&self, line: &str) {
        if !self.json && !self.silent {
            write_line(line);
        }
    }

    /// An incident, for people: a sentence, and each file of which both copies are retained.
    pub(crate) fn incident(&self, what: &Incident) {
        self.say(&self.texts.incident(what, &jiff::tz::TimeZone::system()));
        if let Incident::Conflicts { files, .. } = what {
            for Conflict { yours, beside } in files {
                let [yours, beside] = [yours, beside].map(|path| path.display().to_string());
                self.say(&format!(
                    "  {}",
                    self.texts.with("incident-file", &[("yours", &yours), ("beside", &beside)])
                ));
            }
        }
    }

    /// An event for scripts.
    pub(crate) fn event(&self, event: &impl Serialize) {
        if self.json
            && let Ok(line) = serde_json::to_string(event)
        {
            write_line(&plain::json(&line));
        }
    }

    /// The last line for scripts.
    pub(crate) fn result(&self, result: Value) {
        if self.json {
            write_line(&plain::json(&json!({ "result": result }).to_string()));
        }
    }

    /// A failure. Standard error shows what failed, why, and what to do next; scripts get the error
    /// chain.
    pub(crate) fn problem(&self, problem: &Problem) -> Ending {
        self.complain(problem);
        self.result(json!({ "status": "failed", "problem": problem }));
        Ending::Failed
    }

    /// Shows on standard error what failed, why, and what to do next.
    pub(crate) fn complain(&self, problem: &Problem) {
        let [_, _, next] = self.texts.problem(problem);
        self.complain_with(problem, &next);
    }

    /// The same with another text for what to do next.
    pub(crate) fn complain_with(&self, problem: &Problem, next: &str) {
        let [what, why, _] = self.texts.problem(problem);
        error_line(&format!("{what}\n{why}\n{next}"));
        for (depth, cause) in problem.chain.iter().enumerate() {
            error_line(&format!("{}{cause}", if depth == 0 { "  " } else { "  ← " }));
        }
    }
}
