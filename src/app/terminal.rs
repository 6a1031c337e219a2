//! Drives an engine without a window. It prints progress bars, one for each node during the
//! download and one for the files while they are written, or JSON lines.

use std::collections::HashMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::Ending;
use super::output::Output;
use crate::gui::texts::Texts;
use crate::gui::view_state::step;
use crate::gui::{repaired_subtitle, repaired_title};
use crate::messages::mailbox::Handle;
use crate::messages::protocol::{
    DamagedItem, Event, How, NoUpdate, NodeState, Phase, Progress, Repaired, RepairedItem,
};
use crate::model::plan::UpdateStrategy;
use crate::model::transfer::{PEER_ID_PREFIX, PEER_REGION};
use crate::model::{Offer, Plan};

/// Seconds above which an estimate of the time left is useless.
const MAX_ESTIMATE_SECONDS: u64 = 24 * 3600;

/// Follows the engine until `until` gives the ending, and prints every step and the ending.
pub(crate) fn follow(
    handle: &Handle,
    output: &Output,
    until: impl Fn(&Phase) -> Option<Ending>,
) -> Ending {
    follow_until(handle, output, "checking-title", &until, &tell)
}

/// The same for a bundle. If `until` ends at the offer, the offer is refused: it is a step back that
/// nobody has accepted.
pub(crate) fn follow_bundle(
    handle: &Handle,
    output: &Output,
    until: impl Fn(&Phase) -> Option<Ending>,
) -> Ending {
    let tell_refusal = |phase: &Phase, plan: Option<&Plan>, output: &Output, ending| match phase {
        Phase::Offered { offer } => tell_step_back(offer, output, ending),
        _ => tell(phase, plan, output, ending),
    };
    follow_until(handle, output, "checking-file-title", &until, &tell_refusal)
}

/// What is said of the last phase, and how the verb ends.
type Tell<'a> = &'a dyn Fn(&Phase, Option<&Plan>, &Output, Ending) -> Ending;

fn follow_until(
    handle: &Handle,
    output: &Output,
    check: &str,
    until: &dyn Fn(&Phase) -> Option<Ending>,
    tell: Tell<'_>,
) -> Ending {
    let mut bars = Bars::default();
    let mut plan = None;
    loop {
        for event in handle.wait(Duration::from_secs(3600)) {
            output.event(&event);
            match &event {
                Event::Progress(progress) if output.shows_bars() => bars.show(progress, output),
                Event::NodeFault(fault) => {
                    let name =
                        output.texts.node(&fault.name, fault.node.starts_with(PEER_ID_PREFIX));
                    bars.say(output, &format!("{name}: {}", output.texts.fault(fault.fault)));
                }
                Event::Incident { what, .. } if output.shows_bars() => {
                    bars.all.suspend(|| output.incident(what))
                }
                // Something failed beside what was asked for; the work goes on.
                Event::Notice { problem } if output.shows_bars() => {
                    bars.all.suspend(|| output.complain(problem))
                }
                Event::Phase { phase } => {
                    if let Phase::Offered { offer } = phase {
                        plan = Some(offer.plan.clone());
                    }
                    bars.enter(phase, output);
                    if let Some(ending) = until(phase) {
                        bars.clear();
                        // Another launcher has worked in place of this one and has told the rest.
                        if matches!(ending, Ending::App(_)) {
                            return ending;
                        }
                        return tell(phase, plan.as_ref(), output, ending);
                    }
                    if let Some(line) = line(phase, output, check) {
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

fn line(phase: &Phase, output: &Output, check: &str) -> Option<String> {
    let texts = &output.texts;
    let version = |name: &str, version: &crate::model::Version| {
        texts.with(name, &[("version", &version.to_string())])
    };
    match phase {
        Phase::Checking => Some(texts.get(check)),
        Phase::Offered { offer } => Some(offered(offer, texts)),
        Phase::Downloading { version: coming } => Some(version("downloading-title", coming)),
        Phase::Installing { version: coming } => Some(version("installing-title", coming)),
        Phase::Repairing { version: bad } => Some(version("repairing-title", bad)),
        Phase::Swapping { version: new } => Some(version("swapping-title", new)),
        Phase::Switching { version: chosen } => Some(version("switching-title", chosen)),
        _ => None,
    }
}

/// An offer in one line: the version, how much is fetched, and the strategy. Another line says why
/// the version in use is left, if it is recalled, and what becomes of the user's files.
fn offered(offer: &Offer, texts: &Texts) -> String {
    let line = texts.with(
        "detail-line",
        &[("name", &texts.offered(offer)), ("value", &texts.price(&offer.plan))],
    );
    let zone = jiff::tz::TimeZone::system();
    match texts.obligation(offer, &zone).filter(|_| offer.recalled.is_some()) {
        Some(why) => format!("{line}\n{why}"),
        None => line,
    }
}

/// A plan for people, one line for each fact: cost and savings, the strategy, each pack, the
/// reason, what becomes of the files, and whether a restart follows.
pub(crate) fn plan_lines(plan: &Plan, texts: &Texts) -> Vec<String> {
    let line = |name: &str, value: String| {
        texts.with("detail-line", &[("name", &texts.get(name)), ("value", &value)])
    };
    let mut lines = vec![
        texts.price(plan),
        line("detail-size", texts.fetched(plan, plan.bytes)),
        line("detail-way", texts.strategy(plan)),
    ];
    lines.extend(plan.patches.iter().map(|pack| {
        let (from, to) = (&pack.patch.from.version, &pack.patch.to.version);
        format!("  {from} → {to}  {}", texts.size(pack.length))
    }));
    lines.extend(texts.reason(plan).map(|reason| line("detail-reason", reason)));
    if !plan.is_local() {
        lines.push(texts.files(plan.files));
    }
    lines.push(line("detail-restart", texts.restart(plan)));
    lines
}

/// Why nothing is to be done, with what belongs to the reason.
fn nothing_to_do(reason: &NoUpdate, current: Option<&crate::model::Version>) -> serde_json::Value {
    let mut result = json!({ "status": "nothing_to_do" });
    let reason = serde_json::to_value(reason).unwrap_or_default();
    if let (Some(result), serde_json::Value::Object(reason)) = (result.as_object_mut(), reason) {
        result.extend(reason);
        result.insert("current".to_owned(), json!(current));
    }
    result
}

/// `plan` is the plan of the preceding offer, if there was one.
fn tell(phase: &Phase, plan: Option<&Plan>, output: &Output, ending: Ending) -> Ending {
    let texts = &output.texts;
    let version = |name: &str, version: &crate::model::Version| {
        texts.with(name, &[("version", &version.to_string())])
    };
    match phase {
        Phase::Failed { problem } => return output.problem(problem),
        Phase::UpToDate { reason, current } => {
            output.say(&texts.no_update(reason));
            output.result(nothing_to_do(reason, current.as_ref()));
        }
        Phase::Offered { offer } => {
            output.say(&offered(offer, texts));
            output.result(json!({
                "status": "update_available",
                "version": offer.version(),
                "current": offer.current,
                "bytes": offer.bytes_to_fetch,
                "ready": offer.plan.strategy == UpdateStrategy::Installed,
                "mandatory": offer.signed.release.mandatory,
                "recalled": offer.recalled,
                "plan": plan,
            }));
        }
        Phase::Ready { version: new, .. } => {
            output.say(&version("ready-title", new));
            output.result(json!({ "status": "installed", "version": new, "plan": plan }));
        }
        Phase::Swapped { version: new, modules } => {
            output.say(&version("swapped-title", new));
            output.result(
                json!({ "status": "swapped", "version": new, "modules": modules, "plan": plan }),
            );
        }
        Phase::Launched { version: new } => {
            output.say(&version("launched-title", new));
            output.result(json!({ "status": "launched", "version": new, "plan": plan }));
        }
        Phase::RolledBack { from, to, retained, files } => {
            output.say(&version("rolled-back-title", to));
            if files.of_left {
                let path = retained.display().to_string();
                output.say(&texts.with(
                    "rolled-back-retained",
                    &[("version", &from.to_string()), ("path", &path)],
                ));
            }
            output.result(json!({ "status": "rolled_back", "from": from, "version": to, "kept": retained.to_string_lossy() }));
        }
        Phase::Repaired(repaired) => tell_repaired(repaired, output),
        Phase::Cancelled => {
            output.say(&texts.get("cancelled-title"));
            output.result(json!({ "status": "cancelled" }));
        }
        _ => output.result(json!({ "status": "ended" })),
    }
    ending
}

/// Prints that an older release was not installed, and how it can be.
fn tell_step_back(offer: &Offer, output: &Output, ending: Ending) -> Ending {
    output.say(&output.texts.offered(offer));
    output.say(&output.texts.with("older-refused", &[("version", &offer.version().to_string())]));
    output.result(json!({
        "status": "nothing_to_do",
        "reason": "older",
        "version": offer.version(),
        "current": offer.current,
    }));
    ending
}

/// Prints each repaired file, and each file that was not repaired with the reason.
fn tell_repaired(repaired: &Repaired, output: &Output) {
    let texts = &output.texts;
    let line = |name: &str, value: &str| {
        output.say(&texts.with("detail-line", &[("name", name), ("value", value)]))
    };
    for RepairedItem { path, how } in &repaired.items {
        line(path, &texts.get(how_name(*how)));
    }
    for path in &repaired.removed {
        output.say(&texts.with("repaired-removed", &[("path", &path.display().to_string())]));
    }
    if let Some(folder) = &repaired.aside {
        output.say(&texts.with("repaired-aside", &[("path", &folder.display().to_string())]));
    }
    for DamagedItem { path, what } in &repaired.left {
        line(path, what);
    }
    let title = texts.with(repaired_title(repaired), &[("version", &repaired.version.to_string())]);
    line(&title, &repaired_subtitle(texts, repaired));
    if let Some(problem) = &repaired.problem {
        output.complain(problem);
    }
    let status = if repaired.left.is_empty() { "done" } else { "damaged" };
    let mut result = json!({ "status": status });
    if let (Some(result), Ok(serde_json::Value::Object(more))) =
        (result.as_object_mut(), serde_json::to_value(repaired))
    {
        result.extend(more);
    }
    output.result(result);
}

const fn how_name(how: How) -> &'static str {
    match how {
        How::Cloned => "how-cloned",
        How::Patched => "how-patched",
        How::Fetched => "how-fetched",
        How::Made => "how-made",
        How::Permissions => "how-permissions",
    }
}

/// One bar for all bytes, one for each node, and one for the files. Nothing is drawn if standard
/// error is no terminal.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    total: Option<ProgressBar>,
    nodes: HashMap<String, ProgressBar>,
    /// Whether files are being written; before that, bytes are fetched.
    installing: bool,
    /// Files that were fetched whole since their patches did not fit.
    fallen_back: u64,
    /// Installed files that were damaged and fetched again.
    repaired_bases: u64,
}

impl Bars {
    fn bar(&self, length: u64, template: &str) -> ProgressBar {
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.all.add(ProgressBar::new(length).with_style(style.progress_chars("━╸ ")))
    }

    /// Enters a phase: removes the bars of the phase before, and prints its notable facts.
    fn enter(&mut self, phase: &Phase, output: &Output) {
        let installing = matches!(phase, Phase::Installing { .. } | Phase::Repairing { .. });
        if installing != self.installing {
            for bar in self.nodes.drain().map(|(_, bar)| bar).chain(self.total.take()) {
                bar.finish_and_clear();
            }
        }
        self.installing = installing;
        if matches!(phase, Phase::Ready { .. } | Phase::Launched { .. }) {
            let counts =
                [std::mem::take(&mut self.fallen_back), std::mem::take(&mut self.repaired_bases)];
            let reported =
                [output.texts.fallen_back(counts[0]), output.texts.repaired_bases(counts[1])];
            reported.into_iter().flatten().for_each(|reported| self.say(output, &reported));
        }
    }

    fn show(&mut self, progress: &Progress, output: &Output) {
        (self.fallen_back, self.repaired_bases) = (progress.fallen_back, progress.repaired_bases);
        // A repair counts files, and bytes once it fetches.
        if self.installing && progress.files_total > 0 {
            self.show_files(progress, output);
        } else {
            self.show_bytes(progress, output);
        }
    }

    fn show_files(&mut self, progress: &Progress, output: &Output) {
        if progress.files_total == 0 {
            return;
        }
        let bar = match &self.total {
            Some(bar) => bar.clone(),
            None => self
                .total
                .insert(self.bar(progress.files_total, "{wide_bar} {percent:>3}%  {msg}"))
                .clone(),
        };
        let (file, files) = step(progress);
        let numbers = [file, files].map(|number| output.texts.number(number));
        bar.set_length(progress.files_total);
        bar.set_position(progress.files_done);
        bar.set_message(
            output.texts.with("progress-step", &[("done", &numbers[0]), ("total", &numbers[1])]),
        );
    }

    fn show_bytes(&mut self, progress: &Progress, output: &Output) {
        let texts = &output.texts;
        let total = match &self.total {
            Some(bar) => bar.clone(),
            None => self
                .total
                .insert(self.bar(progress.total, "{prefix:<24!} {wide_bar} {percent:>3}%  {msg}"))
                .clone(),
        };
        let left = match progress.seconds_left {
            Some(seconds) if seconds > MAX_ESTIMATE_SECONDS => texts.get("progress-left-long"),
            Some(seconds) => texts.duration(seconds),
            None => String::new(),
        };
        let nothing_comes = progress.speed < 1.0 && progress.done < progress.total;
        total.set_length(progress.total);
        total.set_position(progress.done);
        total.set_prefix(texts.size(progress.total));
        total.set_message(if nothing_comes {
            texts.get("progress-waiting")
        } else {
            format!("{} {left}", texts.speed(progress.speed))
        });
        for node in &progress.nodes {
            if !self.nodes.contains_key(&node.id) {
                let bar = self.bar(progress.total, "  {prefix:<22!} {wide_bar}       {msg}");
                bar.set_prefix(texts.node(&node.name, node.region == PEER_REGION));
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
        // Bars that cannot be erased stay on the screen; nothing else depends on it.
        let _ = self.all.clear();
    }
}

#[cfg(test)]
mod tests;
