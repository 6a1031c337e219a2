//! What the window shows, as values: engine events go in, [`ViewState`] comes out.
//!
//! Pure: no egui, no clock, no I/O. It decides nothing about updates. The buttons of each state are
//! in [`super::actions`].

mod node;

pub(crate) use node::NodeView;

use super::texts::Language;
use crate::messages::protocol::{
    Command, DiskUse, Event, InstalledVersion, NodeFault, NodeState, Phase, Problem, Progress,
    RetainedFiles, SwapBlocker,
};
use crate::model::incident::Notice;
use crate::model::{Node, Offer};

/// Everything a screen is drawn from.
#[derive(Clone, Debug)]
pub struct ViewState {
    /// Where the engine is.
    pub phase: Phase,
    /// The newest progress of this download.
    pub progress: Progress,
    /// The nodes in a fixed order, with what is known of each.
    pub nodes: Vec<NodeView>,
    /// The installed versions, the newest first.
    pub installed: Vec<InstalledVersion>,
    /// The user's files that are kept of versions that were left, the newest first.
    pub retained: Vec<RetainedFiles>,
    /// The room on the disk, once it was measured.
    pub disk_use: Option<DiskUse>,
    /// Whether releases are shared with computers nearby; `None` where that is no question.
    pub sharing: Option<bool>,
    /// Release notes of the newest offer, in Markdown; they stay while it is fetched and installed.
    pub notes: String,
    /// The language tags of these notes for readers of each language, in the order of
    /// [`Language::ALL`].
    notes_tags: [Option<String>; 2],
    /// Whether the newest offer is of less than the whole package; it stays while that is fetched
    /// and installed.
    pub incremental: bool,
    /// Whether the newest offer comes from a file; it stays while that is installed.
    pub from_file: bool,
    /// What is checked is a file that a person gave, until the check has ended.
    pub file_given: bool,
    /// The app runs, but another launcher has started it: this one cannot start it anew.
    pub elsewhere: bool,
    /// Something that went wrong without ending the phase, until it is dismissed.
    pub notice: Option<Problem>,
    /// Why the running app goes on with the code it has; empty if nothing kept it from taking over
    /// the newest version.
    pub obstacles: Vec<SwapBlocker>,
    /// What happened to the app or the user's files, and has not been dismissed; the newest first.
    pub incidents: Vec<Notice>,
    /// The window was opened for that and for nothing else.
    only_reports: bool,
    /// The app is being started, which takes longer than usual.
    pub starts: bool,
    /// There is no engine that anything could be asked of.
    alone: bool,
    /// There was an offer, which the engine can go on with.
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
            notes: String::new(),
            notes_tags: [None, None],
            incremental: false,
            from_file: false,
            file_given: false,
            elsewhere: false,
            notice: None,
            obstacles: Vec::new(),
            incidents: Vec::new(),
            only_reports: false,
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

    /// A state for a file that a person gave; `elsewhere` if the app runs, started by another
    /// launcher.
    pub fn of_file(elsewhere: bool) -> Self {
        Self { file_given: true, elsewhere, ..Self::default() }
    }

    /// A state before anything is known; `elsewhere` if the app runs, started by another launcher.
    pub fn beside(elsewhere: bool) -> Self {
        Self { elsewhere, ..Self::default() }
    }

    /// A state of a start that takes longer than usual: nothing is asked, and nothing can be
    /// chosen.
    pub fn of_start() -> Self {
        Self { starts: true, alone: true, ..Self::default() }
    }

    /// A state in which something failed and nothing can be done about it here.
    pub fn of_problem(problem: Problem) -> Self {
        Self { phase: Phase::Failed { problem }, alone: true, ..Self::default() }
    }

    /// A state of a window that only tells what happened while nobody looked; `notices` are the
    /// oldest first.
    pub fn telling(notices: Vec<Notice>) -> Self {
        Self {
            incidents: notices.into_iter().rev().collect(),
            only_reports: true,
            ..Self::default()
        }
    }

    /// Whether this screen tells what happened and asks nothing: until something else is chosen in
    /// the version menu.
    pub fn reports(&self) -> bool {
        self.only_reports && self.phase == Phase::Idle && !self.incidents.is_empty()
    }

    /// The only thing that this screen tells, if it is one.
    pub fn reports_one(&self) -> Option<&Notice> {
        match self.incidents.as_slice() {
            [notice] if self.reports() => Some(notice),
            _ => None,
        }
    }

    /// Forgets something that was told, once a person has seen it. Gives the command that makes the
    /// engine forget it too.
    pub fn seen(&mut self, notice: &Notice) -> Command {
        self.incidents.retain(|reported| reported != notice);
        Command::Seen(Box::new(notice.what.clone()))
    }

    /// Takes in what happened.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Phase { phase } => self.enter(phase),
            Event::Progress(progress) => self.advance(progress),
            Event::NodeFault(fault) => self.blame(&fault),
            Event::Installed { versions, retained } => {
                (self.installed, self.retained) = (versions, retained)
            }
            Event::Sharing { on } => self.sharing = Some(on),
            Event::DiskUse(disk_use) => self.disk_use = Some(disk_use),
            Event::Notice { problem } => self.notice = Some(problem),
            Event::NotSwapped { reasons, .. } => self.obstacles = reasons,
            Event::Incident { when, what } => self.incidents.insert(0, Notice { when, what }),
        }
    }

    /// Done of the whole, 0 to 1: bytes, and once they are there ([`ViewState::counts_files`])
    /// files.
    pub fn fraction(&self) -> f32 {
        if self.counts_files() {
            fraction(self.progress.files_done, self.progress.files_total)
        } else {
            fraction(self.progress.done, self.progress.total)
        }
    }

    /// Whether progress is that of writing files and no longer that of fetching bytes.
    pub const fn counts_files(&self) -> bool {
        matches!(self.phase, Phase::Installing { .. }) && self.progress.files_total > 0
    }

    /// Whether progress is that of the user's files, which are taken along to another version.
    pub const fn takes_files_along(&self) -> bool {
        matches!(self.phase, Phase::Switching { .. }) && self.progress.total > 0
    }

    /// Bytes on disk of a version: as measured, else as its manifest says.
    pub fn size_of(&self, version: &InstalledVersion) -> u64 {
        self.disk_use
            .as_ref()
            .and_then(|disk_use| disk_use.of(&version.folder))
            .unwrap_or(version.size)
    }

    /// The versions that freeing up space would remove.
    pub fn surplus(&self) -> impl Iterator<Item = &InstalledVersion> {
        self.installed.iter().filter(|version| version.surplus)
    }

    /// Whether the active version holds files of the user, which a switch would take along.
    pub fn holds_files(&self) -> bool {
        self.active().is_some_and(|active| active.holds_files)
    }

    /// Whether the launcher holds any file of the user, of whichever version.
    pub fn holds_any_files(&self) -> bool {
        !self.retained.is_empty() || self.installed.iter().any(|version| version.holds_files)
    }

    /// The active version, as far as is known.
    pub fn active(&self) -> Option<&InstalledVersion> {
        self.installed.iter().find(|version| version.active)
    }

    /// Whether nodes are of interest: they are while bytes come, and when files are fetched whole
    /// since their patches did not fit.
    pub fn shows_nodes(&self) -> bool {
        !self.nodes.is_empty() && (!self.counts_files() || self.active_nodes() > 0)
    }

    /// A node's part of all bytes, 0 to 1; while bytes come the parts add up to
    /// [`ViewState::fraction`].
    pub fn share(&self, node: &NodeView) -> f32 {
        fraction(node.done, self.progress.total)
    }

    /// Nodes that are sending.
    pub fn active_nodes(&self) -> usize {
        self.nodes.iter().filter(|node| node.state == NodeState::Active).count()
    }

    /// Peers among the nodes that are sending.
    pub fn active_peers(&self) -> usize {
        let sends = |node: &&NodeView| node.state == NodeState::Active && node.is_peer();
        self.nodes.iter().filter(sends).count()
    }

    /// Whether no version is installed yet, as far as is known.
    pub fn first_install(&self) -> bool {
        match &self.phase {
            Phase::Offered { offer } => offer.current.is_none(),
            _ => self.installed.is_empty(),
        }
    }

    /// The release on offer, while it is.
    pub fn offer(&self) -> Option<&Offer> {
        match &self.phase {
            Phase::Offered { offer } => Some(offer),
            _ => None,
        }
    }

    /// The language of the notes that a reader of `language` was given, if it is known.
    pub fn notes_tag(&self, language: Language) -> Option<&str> {
        let place = Language::ALL.into_iter().position(|other| other == language)?;
        self.notes_tags.get(place)?.as_deref()
    }

    /// Whether nothing comes at the moment although it should: every node has failed or waits.
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

    /// Whether there was an offer, which the engine can go on with.
    pub const fn was_offered(&self) -> bool {
        self.offered
    }

    /// Whether nothing is under way that a switch or a removal would disturb.
    pub const fn at_rest(&self) -> bool {
        !self.alone && self.phase.is_at_rest()
    }

    /// Whether this screen tells why nothing could be begun at all.
    pub const fn is_alone(&self) -> bool {
        self.alone
    }

    /// Whether the window has nothing more to show: the app runs, and whatever should be known was
    /// seen.
    pub fn finished(&self) -> bool {
        matches!(self.phase, Phase::Launched { .. }) && self.incidents.is_empty()
    }

    fn enter(&mut self, phase: Phase) {
        if self.reports() && phase != Phase::Idle {
            // It was read; whoever goes on from there need not be told again, and what it says may
            // no longer hold.
            self.incidents.clear();
            self.only_reports = false;
        }
        // Another download, another progress; pausing and installing belong to the same one.
        if matches!(phase, Phase::Switching { .. } | Phase::RollingBack) {
            // From here on it is of the user's files.
            self.progress = Progress::default();
        }
        if matches!(phase, Phase::Checking | Phase::Offered { .. }) {
            self.obstacles.clear();
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
            // All bytes are there; a node that sends again says so.
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
            // What an earlier try has left is done, from the first moment on.
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
        // What an earlier try has left is counted one object after another; what was reached by all
        // of them stays reached.
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

/// The file that is being written, counted from 1, and how many there are; the last one until the
/// end.
pub(crate) fn step(progress: &Progress) -> (u64, u64) {
    (progress.files_done.saturating_add(1).min(progress.files_total), progress.files_total)
}

/// A part of a whole; an unknown whole gives 0, a part that is too large 1.
fn fraction(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { ((part as f64 / whole as f64) as f32).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests;
