//! The progress of a build: a bar on a terminal, a line for each step elsewhere.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Say;
use crate::app::streams::error_line;
use crate::mutex;
use crate::publish::bundling::{BuildProgress, BundlingStep};

/// Time between two lines about a long step where no terminal shows a bar.
const BETWEEN_LINES: Duration = Duration::from_secs(15);

/// Follows a build.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Whether to print lines on standard error, since it is no terminal.
    lines: bool,
    now: Mutex<(Option<BundlingStep>, Instant)>,
    level: i32,
}

impl Progress {
    /// For a build that packs at `level`.
    pub(crate) fn new(say: &Say, level: i32) -> Self {
        let template = "{msg:<28} {wide_bar} {bytes}/{total_bytes} {eta:>4}";
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = if say.is_json() { ProgressBar::hidden() } else { ProgressBar::new(0) };
        bar.enable_steady_tick(Duration::from_millis(200));
        let lines = !say.is_json() && !std::io::stderr().is_terminal();
        Self { bar: bar.with_style(style), lines, now: Mutex::new((None, Instant::now())), level }
    }

    /// Tells it; from any thread.
    pub(crate) fn show(&self, progress: BuildProgress) {
        let mut now = mutex::lock(&self.now);
        let is_new = now.0.replace(progress.step) != Some(progress.step);
        if is_new {
            now.1 = Instant::now();
            self.bar.set_message(self.words(progress.step));
            self.bar.reset_eta();
        }
        if self.lines {
            if is_new && progress.total > 1 {
                error_line(&format!(
                    "{}, {} MB …",
                    self.words(progress.step),
                    progress.total / 1_000_000
                ));
            } else if is_new {
                error_line(&format!("{} …", self.words(progress.step)));
            } else if progress.total > 1 && now.1.elapsed() >= BETWEEN_LINES {
                now.1 = Instant::now();
                error_line(&format!(
                    "{}: {} %",
                    self.words(progress.step),
                    progress.done * 100 / progress.total
                ));
            }
        }
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
    }

    /// The build is over.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn words(&self, step: BundlingStep) -> String {
        match step {
            BundlingStep::Pack => format!("packing at level {}", self.level),
            BundlingStep::App => "copying the app".to_owned(),
            BundlingStep::Download => "downloading the runtime".to_owned(),
            BundlingStep::Runtime => "laying out the runtime".to_owned(),
            BundlingStep::Dependencies => "installing requirements".to_owned(),
            BundlingStep::Bytecode => "compiling bytecode".to_owned(),
        }
    }
}

/// The step's name in a report.
pub(crate) fn name(step: BundlingStep) -> &'static str {
    match step {
        BundlingStep::Download => "download",
        BundlingStep::Runtime => "runtime",
        BundlingStep::Dependencies => "dependencies",
        BundlingStep::App => "app",
        BundlingStep::Bytecode => "bytecode",
        BundlingStep::Pack => "pack",
    }
}

/// A bar of the bytes that are compared; how many there will be is not known before.
pub(crate) fn bar(say: &Say, what: String) -> ProgressBar {
    if say.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bytes} compared, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
