//! What the window shows, as values: engine events go in, [`ViewState`] comes out.
//!
//! Pure: no egui, no clock, no I/O. It decides nothing about updates; it says which actions make
//! sense on a screen and which command each of them stands for.

use super::texts::Language;
use crate::messages::protocol::{
    ClosingWait, Command, DiskUse, Event, FaultKind, InstalledVersion, NoUpdate, NodeFault,
    NodeProgress, NodeState, Phase, Problem, ProblemKind, Progress, RetainedFiles, SwapBlocker,
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

/// A node as the window shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Its region as the node list names it.
    pub region: String,
    /// Published bandwidth, Mbit/s.
    pub published: Option<f64>,
    /// Verified bytes from it.
    pub done: u64,
    /// Bytes a second, measured; 0 if unknown.
    pub speed: f64,
    /// What it is doing.
    pub state: NodeState,
    /// What it did wrong last, until it sends again.
    pub fault: Option<FaultKind>,
}

/// What a button stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin the update.
    Start,
    /// Begin the first installation.
    Install,
    /// Go on with a first installation that was cancelled.
    GoOn,
    /// Not now.
    Later,
    /// Never this version.
    Skip,
    /// What was skipped after all.
    OfferSkipped,
    /// Pause the download.
    Pause,
    /// Go on.
    Resume,
    /// Stop the download.
    Cancel,
    /// End the running app and start the new version.
    RestartNow,
    /// Start the new version; none is running.
    StartNow,
    /// The new version starts the next time.
    RestartLater,
    /// The app that is closing goes on; the new version starts the next time.
    KeepRunning,
    /// The app that is closing goes on, and nothing is gone back to.
    NotBack,
    /// End the app that is closing by force; asked a second time.
    EndApp,
    /// Stay at the version that was gone back to.
    StayHere,
    /// Try again what failed.
    Retry,
    /// Look at the installed versions.
    Versions,
    /// Look for a release.
    Check,
    /// Choose a bundle to install from.
    InstallFile,
    /// Install from a bundle although it is old.
    AcceptExpired,
    /// Close the window.
    Close,
    /// What was told has been read; close the window.
    Ok,
}

/// The buttons of a screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// What most people want; Enter presses it.
    pub primary: Option<Action>,
    /// The other choice.
    pub secondary: Option<Action>,
    /// Set apart and quiet.
    pub quiet: Option<Action>,
}

impl Action {
    /// The command it stands for; `None` if it concerns only the window.
    pub const fn command(self) -> Option<Command> {
        Some(match self {
            Self::Start | Self::Install | Self::GoOn => Command::Start,
            Self::Later => Command::Later,
            Self::Skip => Command::Skip,
            Self::OfferSkipped => Command::OfferSkipped,
            Self::Pause => Command::Pause,
            Self::Resume => Command::Resume,
            Self::Cancel => Command::Cancel,
            Self::RestartNow | Self::StartNow => Command::RestartNow,
            Self::RestartLater | Self::KeepRunning | Self::NotBack => Command::RestartLater,
            Self::Retry => Command::Retry,
            Self::Check => Command::Check { by_user: true },
            Self::AcceptExpired => Command::AcceptExpired,
            Self::InstallFile
            | Self::Versions
            | Self::Close
            | Self::Ok
            | Self::EndApp
            | Self::StayHere => return None,
        })
    }

    /// Whether the window closes with it.
    pub const fn closes(self) -> bool {
        matches!(
            self,
            Self::Later
                | Self::Skip
                | Self::RestartLater
                | Self::KeepRunning
                | Self::NotBack
                | Self::StayHere
                | Self::Close
                | Self::Ok
        )
    }

    /// The name of its text in the catalogue.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Start => "action-start",
            Self::Install => "action-install",
            Self::GoOn => "action-go-on",
            Self::Later => "action-later",
            Self::Skip => "action-skip",
            Self::OfferSkipped => "action-offer-skipped",
            Self::Pause => "action-pause",
            Self::Resume => "action-resume",
            Self::Cancel => "action-cancel",
            Self::RestartNow => "action-restart-now",
            Self::StartNow => "action-start-now",
            Self::RestartLater => "action-restart-later",
            Self::KeepRunning => "action-keep-running",
            Self::NotBack => "action-not-back",
            Self::EndApp => "action-end-app",
            Self::StayHere => "action-pin",
            Self::Retry => "action-retry",
            Self::Versions => "action-versions",
            Self::Check => "action-check",
            Self::InstallFile => "action-install-file",
            Self::AcceptExpired => "action-accept-expired",
            Self::Close => "action-close",
            Self::Ok => "action-ok",
        }
    }
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

    /// Which buttons make sense.
    pub fn actions(&self) -> Actions {
        let actions = |primary, secondary, quiet| Actions { primary, secondary, quiet };
        match &self.phase {
            Phase::Idle if self.reports() => actions(Some(Action::Ok), None, None),
            Phase::Idle if self.starts => Actions::default(),
            Phase::Idle => actions(Some(Action::Check), Some(Action::Close), None),
            Phase::Checking => actions(None, Some(Action::Close), None),
            Phase::UpToDate { reason: NoUpdate::Skipped, .. } => {
                actions(Some(Action::Close), Some(Action::OfferSkipped), None)
            }
            Phase::UpToDate { .. } => actions(Some(Action::Close), Some(Action::Check), None),
            Phase::Offered { offer } if offer.file.is_some() => {
                actions(Some(Action::Install), Some(Action::Later), None)
            }
            Phase::Offered { offer } if offer.current.is_none() => {
                actions(Some(Action::Install), Some(Action::Close), None)
            }
            Phase::Offered { offer } if offer.signed.release.mandatory => {
                actions(Some(Action::Start), Some(Action::Later), None)
            }
            Phase::Offered { .. } => {
                actions(Some(Action::Start), Some(Action::Later), Some(Action::Skip))
            }
            Phase::Downloading { .. } => actions(None, Some(Action::Pause), Some(Action::Cancel)),
            Phase::Paused { .. } => actions(Some(Action::Resume), None, Some(Action::Cancel)),
            Phase::Launched { .. } if self.incidents.is_empty() => Actions::default(),
            Phase::Installing { .. }
            | Phase::Swapping { .. }
            | Phase::Switching { .. }
            | Phase::RollingBack => Actions::default(),
            Phase::Closing { back, wait, .. } => {
                let stay = if *back { Action::NotBack } else { Action::KeepRunning };
                actions(None, Some(stay), (*wait != ClosingWait::App).then_some(Action::EndApp))
            }
            Phase::RolledBack { .. } => actions(Some(Action::Close), Some(Action::StayHere), None),
            Phase::Swapped { .. } | Phase::Launched { .. } => {
                actions(Some(Action::Close), None, None)
            }
            Phase::Ready { running: true, .. } if self.elsewhere => {
                actions(Some(Action::Close), None, None)
            }
            Phase::Ready { running: true, .. } => {
                actions(Some(Action::RestartNow), Some(Action::RestartLater), None)
            }
            Phase::Ready { running: false, .. } => {
                actions(Some(Action::StartNow), Some(Action::RestartLater), None)
            }
            Phase::Failed { .. } if self.alone => actions(Some(Action::Close), None, None),
            Phase::Failed { problem } if problem.kind == ProblemKind::DidNotStart => {
                actions(Some(Action::Retry), Some(Action::Versions), Some(Action::Close))
            }
            Phase::Failed { problem } if problem.kind == ProblemKind::BundleExpired => {
                actions(Some(Action::Close), Some(Action::InstallFile), Some(Action::AcceptExpired))
            }
            Phase::Failed { problem } if wants_another_file(problem.kind) => {
                actions(Some(Action::InstallFile), Some(Action::Close), None)
            }
            Phase::Failed { problem } if wants_network(problem.kind) => {
                actions(Some(Action::Retry), Some(Action::Close), Some(Action::InstallFile))
            }
            Phase::Failed { problem } if !worth_retrying(problem.kind) => {
                actions(Some(Action::Close), None, None)
            }
            Phase::Failed { .. } => actions(Some(Action::Retry), Some(Action::Close), None),
            Phase::Repairing { .. } => actions(None, None, Some(Action::Cancel)),
            Phase::Repaired(_) => actions(Some(Action::Close), None, None),
            Phase::Cancelled if self.first_install() && self.offered => {
                actions(Some(Action::GoOn), Some(Action::Close), None)
            }
            Phase::Cancelled => actions(Some(Action::Check), Some(Action::Close), None),
        }
    }

    /// What closing the window means on this screen, by Escape or by the window's own button: the
    /// answer "not now" where a question is open. `None` where Escape must not do anything, since
    /// work is under way.
    pub fn dismissal(&self) -> Option<Action> {
        let actions = self.actions();
        let answers = [actions.secondary, actions.primary].into_iter().flatten();
        answers.into_iter().find(|action| action.closes() && *action != Action::StayHere)
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

impl NodeView {
    fn published(node: &Node) -> Self {
        Self {
            id: node.id.clone(),
            name: node.label().to_owned(),
            region: node.region.clone(),
            published: node.metrics.bandwidth_mbps.or(node.bandwidth),
            done: 0,
            speed: 0.0,
            state: NodeState::Idle,
            fault: None,
        }
    }

    fn seen(node: NodeProgress) -> Self {
        Self {
            id: node.id,
            name: node.name,
            region: node.region,
            published: None,
            done: node.done,
            speed: node.speed,
            state: node.state,
            fault: None,
        }
    }

    fn update(&mut self, seen: NodeProgress) {
        // A node that sends again is forgiven.
        let fault = self.fault.filter(|_| seen.state != NodeState::Active);
        *self = Self { published: self.published, fault, ..Self::seen(seen) };
    }
}

/// The file that is being written, counted from 1, and how many there are; the last one until the
/// end.
pub fn step(progress: &Progress) -> (u64, u64) {
    (progress.files_done.saturating_add(1).min(progress.files_total), progress.files_total)
}

/// Whether trying again can help without anyone changing a file or a program first.
const fn worth_retrying(kind: ProblemKind) -> bool {
    !matches!(
        kind,
        ProblemKind::BadSettings
            | ProblemKind::LauncherTooOld
            | ProblemKind::NoSuchVersion
            | ProblemKind::NotInstalled
    )
}

/// Whether another file is what helps.
const fn wants_another_file(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::BundleDamaged
            | ProblemKind::BundleIsPackage
            | ProblemKind::BundleNotTrusted
            | ProblemKind::BundleUnsuitable
            | ProblemKind::BundleWithdrawn
            | ProblemKind::BundleTooFar
    )
}

/// Whether a file would be a way without a network.
const fn wants_network(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::NoNetwork | ProblemKind::NodesUnusable | ProblemKind::NothingInstalled
    )
}

/// A part of a whole; an unknown whole gives 0, a part that is too large 1.
fn fraction(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { ((part as f64 / whole as f64) as f32).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests;
