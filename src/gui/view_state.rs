//! The view state: the values that the window shows, made from events of the engine.
//!
//! In: events. Out: a [`ViewState`]. Never: egui, a clock, I/O, or a decision about updates. The
//! buttons of each state are in [`super::actions`].

mod node;

pub(crate) use node::NodeView;

use super::texts::Language;
use crate::messages::protocol::{
    Command, DiskUse, Event, InstalledVersion, LoginStart, NodeFault, NodeState, OldShortcuts,
    Phase, Problem, Progress, RetainedFiles, SwapBlocker,
};
use crate::model::incident::Notice;
use crate::model::{Node, Offer};

/// All values from which a screen is drawn.
#[derive(Clone, Debug)]
pub struct ViewState {
    /// The engine's phase.
    pub phase: Phase,
    /// The newest progress of this download.
    pub progress: Progress,
    /// The nodes in a fixed order, with the known facts of each.
    pub nodes: Vec<NodeView>,
    /// The installed versions, the newest first.
    pub installed: Vec<InstalledVersion>,
    /// The retained user data of versions that were left, the newest first.
    pub retained: Vec<RetainedFiles>,
    /// The room on the disk, once the engine has measured it.
    pub disk_use: Option<DiskUse>,
    /// Whether this launcher shares releases with peers; `None` where sharing is not offered.
    pub sharing: Option<bool>,
    /// Whether this launcher reports to the publisher; `None` where he wants no reports.
    pub reporting: Option<bool>,
    /// The channel that is followed, and all that the user may choose from; `None` if there is no
    /// choice.
    pub channels: Option<(String, Vec<String>)>,
    /// Whether the app starts at login; `None` where there is no switch for it.
    pub login_start: Option<LoginStart>,
    /// The shortcuts of an earlier installation, as far as there are any.
    pub old_shortcuts: OldShortcuts,
    /// Release notes of the newest offer, in Markdown; they stay while it is fetched and installed.
    pub notes: String,
    /// The language tags of these notes for readers of each language, in the order of
    /// [`Language::ALL`].
    notes_tags: [Option<String>; 2],
    /// Whether the newest offer fetches less than the whole package. It stays until that is fetched
    /// and installed.
    pub incremental: bool,
    /// Whether the newest offer comes from a bundle. It stays until that is installed.
    pub from_file: bool,
    /// Whether the running check is of a bundle from the user; false again when the check has
    /// ended.
    pub file_given: bool,
    /// The app runs, but another launcher has started it. So this launcher cannot restart it.
    pub elsewhere: bool,
    /// A problem that did not end the phase, until the user dismisses it.
    pub notice: Option<Problem>,
    /// Why the running app continues with its present code; empty if no blocker kept it from taking
    /// the newest version over.
    pub blockers: Vec<SwapBlocker>,
    /// Incidents of the app or the user's files that the user has not acknowledged; the newest
    /// first.
    pub incidents: Vec<Notice>,
    /// The window was opened only to report these incidents.
    only_reports: bool,
    /// The window was opened only to ask about old shortcuts.
    only_asks: bool,
    /// The app is starting, which takes longer than usual.
    pub starts: bool,
    /// The window has no engine.
    alone: bool,
    /// There was an offer, with which the engine can continue.
    offered: bool,
}

impl Default for ViewState {
    fn default() -> Self {
        Self {
            phase: Phase::Idle,
            progress: Progress::default(),
            nodes: Vec::new(),
            installed: Vec::new(),
            retained: Vec::new(),
            disk_use: None,
            sharing: None,
            reporting: None,
            channels: None,
            login_start: None,
            old_shortcuts: OldShortcuts::default(),
            notes: String::new(),
            notes_tags: [None, None],
            incremental: false,
            from_file: false,
            file_given: false,
            elsewhere: false,
            notice: None,
            blockers: Vec::new(),
            incidents: Vec::new(),
            only_reports: false,
            only_asks: false,
            starts: false,
            alone: false,
            offered: false,
        }
    }
}

impl ViewState {
    /// A state that knows the nodes before any of them was measured.
    pub fn with_nodes(nodes: &[Node]) -> Self {
        Self { nodes: nodes.iter().map(NodeView::published).collect(), ..Self::default() }
    }

    /// A state for a bundle from the user; `elsewhere` if the app runs, started by another
    /// launcher.
    pub fn of_file(elsewhere: bool) -> Self {
        Self { file_given: true, elsewhere, ..Self::default() }
    }

    /// A state before the first event; `elsewhere` if the app runs, started by another launcher.
    pub fn beside(elsewhere: bool) -> Self {
        Self { elsewhere, ..Self::default() }
    }

    /// A state of a start that takes longer than usual: it asks nothing and offers no choice.
    pub fn of_start() -> Self {
        Self { starts: true, alone: true, ..Self::default() }
    }

    /// A state of a failure that the window cannot repair.
    pub fn of_problem(problem: Problem) -> Self {
        Self { phase: Phase::Failed { problem }, alone: true, ..Self::default() }
    }

    /// A state of a window that only reports incidents; `notices` are the oldest first.
    pub fn telling(notices: Vec<Notice>) -> Self {
        Self {
            incidents: notices.into_iter().rev().collect(),
            only_reports: true,
            ..Self::default()
        }
    }

    /// A state of a window that only asks about old shortcuts.
    pub fn asking(old_shortcuts: OldShortcuts) -> Self {
        Self { old_shortcuts, only_asks: true, ..Self::default() }
    }

    /// Whether the screen asks what becomes of the shortcuts of an earlier installation: once, when
    /// the app has been installed and started, and nothing else is to be decided.
    pub fn asks_about_shortcuts(&self) -> bool {
        let may_ask = match self.phase {
            Phase::Launched { .. } => true,
            Phase::Idle => self.only_asks,
            _ => false,
        };
        may_ask && self.old_shortcuts.asks()
    }

    /// Whether the window was opened only to ask, and nothing else has come up.
    pub fn is_only_asking(&self) -> bool {
        self.only_asks && self.phase == Phase::Idle
    }

    /// Whether such a window has its answer.
    pub fn is_answered(&self) -> bool {
        self.is_only_asking() && !self.asks_about_shortcuts()
    }

    /// Whether this screen only reports notices. It ends when the user chooses something in the
    /// version menu.
    pub fn reports(&self) -> bool {
        self.only_reports && self.phase == Phase::Idle && !self.incidents.is_empty()
    }

    /// The only notice on this screen, if there is exactly one.
    pub fn reports_one(&self) -> Option<&Notice> {
        match self.incidents.as_slice() {
            [notice] if self.reports() => Some(notice),
            _ => None,
        }
    }

    /// Removes a notice that the user has acknowledged. Returns the command that makes the engine
    /// remove it too.
    pub fn seen(&mut self, notice: &Notice) -> Command {
        self.incidents.retain(|reported| reported != notice);
        Command::Seen(Box::new(notice.what.clone()))
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Phase { phase } => self.enter(phase),
            Event::Progress(progress) => self.advance(progress),
            Event::NodeFault(fault) => self.blame(&fault),
            Event::Installed { versions, retained } => {
                (self.installed, self.retained) = (versions, retained)
            }
            Event::Sharing { on } => self.sharing = Some(on),
            Event::Reporting { on } => self.reporting = Some(on),
            Event::Channels { channel, channels } => self.channels = Some((channel, channels)),
            Event::LoginStart { state } => self.login_start = Some(state),
            Event::OldShortcuts(state) => self.old_shortcuts = state,
            Event::DiskUse(disk_use) => self.disk_use = Some(disk_use),
            Event::Notice { problem } => self.notice = Some(problem),
            Event::NotSwapped { reasons, .. } => self.blockers = reasons,
            Event::Incident { when, what } => self.incidents.insert(0, Notice { when, what }),
        }
    }

    /// The done part of the whole, 0 to 1: bytes, and once all bytes are there
    /// ([`ViewState::counts_files`]) files.
    pub fn fraction(&self) -> f32 {
        if self.counts_files() {
            fraction(self.progress.files_done, self.progress.files_total)
        } else {
            fraction(self.progress.done, self.progress.total)
        }
    }

    /// Whether progress counts written files and no longer fetched bytes.
    pub const fn counts_files(&self) -> bool {
        matches!(self.phase, Phase::Installing { .. }) && self.progress.files_total > 0
    }

    /// Whether the last byte of a download has just arrived.
    pub const fn has_all_bytes(&self) -> bool {
        matches!(self.phase, Phase::Downloading { .. })
            && self.progress.total > 0
            && self.progress.done >= self.progress.total
    }

    /// Whether progress counts the user's files that the launcher carries over to another version.
    pub const fn takes_files_along(&self) -> bool {
        matches!(self.phase, Phase::Switching { .. }) && self.progress.total > 0
    }

    /// Bytes on disk of a version: the measured figure, else that of its manifest.
    pub fn size_of(&self, version: &InstalledVersion) -> u64 {
        self.disk_use
            .as_ref()
            .and_then(|disk_use| disk_use.of(&version.folder))
            .unwrap_or(version.size)
    }

    /// The versions that pruning would remove.
    pub fn surplus(&self) -> impl Iterator<Item = &InstalledVersion> {
        self.installed.iter().filter(|version| version.surplus)
    }

    /// Whether the active version holds user files, which a switch would carry over.
    pub fn holds_files(&self) -> bool {
        self.active().is_some_and(|active| active.holds_files)
    }

    /// Whether any installed version or retained folder holds user files.
    pub fn holds_any_files(&self) -> bool {
        !self.retained.is_empty() || self.installed.iter().any(|version| version.holds_files)
    }

    /// Whether another version can be chosen in place of the active one.
    pub fn has_other_versions(&self) -> bool {
        self.installed.len() > 1
    }

    /// The active version, if it is known.
    pub fn active(&self) -> Option<&InstalledVersion> {
        self.installed.iter().find(|version| version.active)
    }

    /// Whether the screen shows nodes. It does while bytes arrive, and when files are fetched whole
    /// since their patches did not fit.
    pub fn shows_nodes(&self) -> bool {
        !self.nodes.is_empty() && (!self.counts_files() || self.active_nodes() > 0)
    }

    /// A node's share of all bytes, 0 to 1; while bytes arrive the shares add up to
    /// [`ViewState::fraction`].
    pub fn share(&self, node: &NodeView) -> f32 {
        fraction(node.done, self.progress.total)
    }

    /// The number of nodes that are sending.
    pub fn active_nodes(&self) -> usize {
        self.nodes.iter().filter(|node| node.state == NodeState::Active).count()
    }

    /// The number of peers among the nodes that are sending.
    pub fn active_peers(&self) -> usize {
        let sends = |node: &&NodeView| node.state == NodeState::Active && node.is_peer();
        self.nodes.iter().filter(sends).count()
    }

    /// Whether no version is installed yet, as far as the window knows.
    pub fn first_install(&self) -> bool {
        match &self.phase {
            Phase::Offered { offer } => offer.current.is_none(),
            _ => self.installed.is_empty(),
        }
    }

    /// The offered release, while the offer stands.
    pub fn offer(&self) -> Option<&Offer> {
        match &self.phase {
            Phase::Offered { offer } => Some(offer),
            _ => None,
        }
    }

    /// The language of the notes that a reader of `language` gets, if it is known.
    pub fn notes_tag(&self, language: Language) -> Option<&str> {
        let place = Language::ALL.into_iter().position(|other| other == language)?;
        self.notes_tags.get(place)?.as_deref()
    }

    /// Whether nothing arrives at the moment although it should: every node has failed or waits.
    pub fn stands_still(&self) -> bool {
        let faulty = |node: &NodeView| node.fault.is_some() || node.state == NodeState::Waiting;
        matches!(self.phase, Phase::Downloading { .. })
            && self.active_nodes() == 0
            && self.nodes.iter().any(faulty)
    }

    /// Whether a version waits for the app's restart.
    pub const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    /// Whether there was an offer, with which the engine can continue.
    pub const fn was_offered(&self) -> bool {
        self.offered
    }

    /// Whether no operation is under way that a switch or a removal would disturb.
    pub const fn at_rest(&self) -> bool {
        !self.alone && self.phase.is_at_rest()
    }

    /// Whether this screen only shows why the launcher could not begin.
    pub const fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether the window has nothing more to show: the app runs, the user has seen every notice,
    /// and there is no question.
    pub fn finished(&self) -> bool {
        matches!(self.phase, Phase::Launched { .. })
            && self.incidents.is_empty()
            && !self.asks_about_shortcuts()
    }

    fn enter(&mut self, phase: Phase) {
        if self.reports() && phase != Phase::Idle {
            // The user has read the notices and continues from there. They need not appear again,
            // and they may no longer hold.
            self.incidents.clear();
            self.only_reports = false;
        }
        self.only_asks &= phase == Phase::Idle;
        // Another download has another progress; pausing and installing belong to the same one.
        if matches!(phase, Phase::Switching { .. } | Phase::RollingBack) {
            // From here on progress counts the user's files.
            self.progress = Progress::default();
        }
        if matches!(phase, Phase::Checking | Phase::Offered { .. }) {
            self.blockers.clear();
            self.progress = Progress::default();
            for node in &mut self.nodes {
                (node.done, node.state, node.fault) = (0, NodeState::Idle, None);
            }
        }
        if !matches!(phase, Phase::Downloading { .. }) {
            self.progress.speed = 0.0;
            self.progress.seconds_left = None;
        }
        if matches!(phase, Phase::Installing { .. }) {
            // All bytes are there; a node that sends again is reported again.
            for node in self.nodes.iter_mut().filter(|node| node.state == NodeState::Active) {
                (node.state, node.speed) = (NodeState::Idle, 0.0);
            }
        }
        self.file_given &= phase == Phase::Checking;
        if let Phase::Offered { offer } = &phase {
            self.offered = true;
            self.from_file = offer.file.is_some();
            self.incremental = offer.plan.is_incremental();
            self.notes.clone_from(&offer.notes);
            let release = &offer.signed.release;
            self.notes_tags = Language::ALL
                .map(|language| Some(release.notes_in(&[language.tag().to_owned()])?.0.to_owned()));
            // The remains of an earlier try count as done from the first moment on.
            self.progress.total = offer.plan.bytes.max(offer.bytes_to_fetch);
            self.progress.done = self.progress.total - offer.bytes_to_fetch;
            if offer.plan.is_local() {
                self.nodes.clear();
            } else if !offer.nodes.is_empty() {
                self.nodes = offer.nodes.iter().map(NodeView::published).collect();
            }
        }
        self.phase = phase;
    }

    fn advance(&mut self, mut progress: Progress) {
        for seen in std::mem::take(&mut progress.nodes) {
            match self.nodes.iter_mut().find(|node| node.id == seen.id) {
                Some(node) => node.update(seen),
                None => self.nodes.push(NodeView::seen(seen)),
            }
        }
        // The remains of an earlier try are counted one object after another. The highest sum so
        // far stays.
        let goes_on = matches!(self.phase, Phase::Downloading { .. } | Phase::Paused { .. });
        if goes_on && progress.total == self.progress.total {
            progress.done = progress.done.max(self.progress.done);
        }
        self.progress = progress;
    }

    fn blame(&mut self, fault: &NodeFault) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.id == fault.node) {
            node.fault = Some(fault.fault);
            node.speed = 0.0;
            node.state = if fault.dropped { NodeState::Dropped } else { NodeState::Waiting };
        }
    }
}

/// The number of the file that is being written, counted from 1, and the number of all files; the
/// last file stays until the end.
pub(crate) fn step(progress: &Progress) -> (u64, u64) {
    (progress.files_done.saturating_add(1).min(progress.files_total), progress.files_total)
}

/// A part divided by its whole; an unknown whole gives 0, a part that is too large 1.
fn fraction(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { ((part as f64 / whole as f64) as f32).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests;
