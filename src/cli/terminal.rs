//! An engine's driver without a window: progress bars, one a node, or JSON lines.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::Ending;
use super::output::Output;
use crate::engine::mailbox::Handle;
use crate::engine::protocol::{Event, NodeState, Phase, Progress};

/// Follows the engine until `until` knows the ending, tells everything on the way, and tells the ending.
pub fn follow(handle: &Handle, output: &Output, until: impl Fn(&Phase) -> Option<Ending>) -> Ending {
    let mut bars = Bars::default();
    loop {
        for event in handle.wait(Duration::from_secs(3600)) {
            output.event(&event);
            match &event {
                Event::Progress(progress) if output.shows_bars() => bars.show(progress, output),
                Event::NodeFault(fault) => bars.say(output, &format!("{}: {}", fault.name, output.texts.fault(fault.fault))),
                Event::Notice { problem } => tracing::warn!(?problem, "notice"),
                Event::Phase { phase } => {
                    if let Some(ending) = until(phase) {
                        bars.clear();
                        return tell(phase, output, ending);
                    }
                    if let Some(line) = line(phase, output) {
                        bars.say(output, &line);
                    }
                }
                _ => {}
            }
        }
        if handle.closed() {
            bars.clear();
            output.result(json!({ "status": "failed" }));
            return Ending::Failed;
        }
    }
}

fn line(phase: &Phase, output: &Output) -> Option<String> {
    let texts = &output.texts;
    let version = |name: &str, version: &crate::model::Version| texts.with(name, &[("version", &version.to_string())]);
    match phase {
        Phase::Checking => Some(texts.get("checking-title")),
        Phase::Offered { offer } => Some(version("offer-title", offer.version())),
        Phase::Downloading { version: coming } => Some(version("downloading-title", coming)),
        Phase::Installing { version: coming } => Some(version("installing-title", coming)),
        Phase::Switching { version: chosen } => Some(version("switching-title", chosen)),
        _ => None,
    }
}

fn tell(phase: &Phase, output: &Output, ending: Ending) -> Ending {
    let texts = &output.texts;
    let version = |name: &str, version: &crate::model::Version| texts.with(name, &[("version", &version.to_string())]);
    match phase {
        Phase::Failed { problem } => return output.problem(problem),
        Phase::UpToDate { reason, current } => {
            output.say(&texts.no_update(*reason));
            output.result(json!({ "status": "nothing_to_do", "reason": reason, "current": current }));
        }
        Phase::Offered { offer } => {
            let size = texts.size(offer.bytes_to_fetch);
            output.say(&format!("{} ({size})", version("offer-title", offer.version())));
            output.result(json!({ "status": "update_available", "version": offer.version(), "current": offer.current, "bytes": offer.bytes_to_fetch, "mandatory": offer.signed.release.mandatory }));
        }
        Phase::Ready { version: new, .. } => {
            output.say(&version("ready-title", new));
            output.result(json!({ "status": "installed", "version": new }));
        }
        Phase::Launched { version: new } => {
            output.say(&version("launched-title", new));
            output.result(json!({ "status": "launched", "version": new }));
        }
        Phase::Cancelled => {
            output.say(&texts.get("cancelled-title"));
            output.result(json!({ "status": "cancelled" }));
        }
        _ => output.result(json!({ "status": "ended" })),
    }
    ending
}

/// One bar for the whole and one a node. Nothing is drawn where standard error is no terminal.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    total: Option<ProgressBar>,
    nodes: HashMap<String, ProgressBar>,
}

impl Bars {
    fn bar(&self, length: u64, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.all.add(ProgressBar::new(length).with_style(style.progress_chars("━╸ ")))
    }

    fn show(&mut self, progress: &Progress, output: &Output) {
        let texts = &output.texts;
        let total = match &self.total {
            Some(bar) => bar.clone(),
            None => self.total.insert(self.bar(progress.total, "{prefix:<24!} {wide_bar} {percent:>3}%  {msg}")).clone(),
        };
        let left = progress.seconds_left.map(|seconds| texts.duration(seconds)).unwrap_or_default();
        total.set_position(progress.done);
        total.set_prefix(texts.size(progress.total));
        total.set_message(format!("{} {left}", texts.speed(progress.speed)));
        for node in &progress.nodes {
            if !self.nodes.contains_key(&node.id) {
                let bar = self.bar(progress.total, "  {prefix:<22!} {wide_bar}       {msg}");
                bar.set_prefix(node.name.clone());
                self.nodes.insert(node.id.clone(), bar);
            }
            if let Some(bar) = self.nodes.get(&node.id) {
                bar.set_position(node.done);
                bar.set_message(match node.state {
                    NodeState::Active => texts.speed(node.speed),
                    NodeState::Idle => texts.size(node.done),
                    NodeState::Waiting => "…".to_owned(),
                    NodeState::Dropped => "✗".to_owned(),
                });
            }
        }
    }

    fn say(&self, output: &Output, line: &str) {
        if output.shows_bars() {
            self.all.suspend(|| output.say(line));
        }
    }

    fn clear(&self) {
        // Bars that cannot be wiped stay on the screen; nothing else depends on it.
        let _ = self.all.clear();
    }
}
