//! The window's states that most users never see, and others with very long words: each kind of
//! problem, few and many nodes, silence.

use kuzflow::testing::gui::Language;
use kuzflow::testing::gui::ViewState;
use kuzflow::testing::messages::protocol::{
    ClosingWait, DamagedItem, Event, FaultKind, FilesHeld, How, NoUpdate, NodeProgress, NodeState,
    Phase, Problem, ProblemKind, Progress, Repaired, RepairedItem,
};
use kuzflow::testing::model::incident::Incident;
use kuzflow::testing::model::offer::RecalledVersion;
use kuzflow::testing::model::system::SystemTooOld;
use kuzflow::testing::model::{Offer, Version};

use super::{fault, folder, installed, notices, offer, problem, progress};

/// Names of the scenes here, besides one for each kind of problem (see [`problem_scenes`]).
pub const NAMES: [&str; 41] = [
    "skipped",
    "pinned",
    "failed-here",
    "only-whole",
    "system-too-old",
    "withdrawn",
    "withdrawn-skipped",
    "ahead-of-channel",
    "recalled",
    "first-nothing",
    "connecting",
    "one-node",
    "two-nodes",
    "eight-offered",
    "eight-nodes",
    "one-node-silent",
    "all-silent",
    "slow",
    "paused-one-node",
    "ready-stopped",
    "ready-elsewhere",
    "closing-back",
    "rolling-back-plain",
    "rolled-back-plain",
    "repairing",
    "repaired-whole",
    "repaired-items",
    "repaired-left",
    "notice",
    "launched",
    "first-cancelled",
    "first-failed",
    "first-did-not-start",
    "did-not-start",
    "alone-forbidden",
    "notes-of-another-language",
    "notes-200-lines",
    "notes-none",
    "error-very-long",
    "incident-plain",
    "incident-several-plain",
];

/// The channels that a publisher offers, one of them followed.
pub fn channels(followed: &str) -> Event {
    let channels = vec!["stable".to_owned(), "beta".to_owned()];
    Event::Channels { channel: followed.to_owned(), channels }
}

/// The lines that an app wrote before it ended.
const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"/home/user/.local/share/labelimg/containers/labelimg_1.8.6_Linux_x86_64/app/labelImg.py\", line 21, in <module>\n    from PyQt5.QtGui import QImage\nImportError: libxcb-xinerama.so.0: cannot open shared object file: No such file or directory";
const PATH: &str = "/home/user/.local/share/labelimg/containers/labelimg_1.8.6_Linux_x86_64/app/data/predefined_classes.txt";

/// A scene for each kind of problem.
pub fn problem_scenes() -> impl Iterator<Item = (String, ProblemKind)> {
    ProblemKind::ALL.into_iter().map(|kind| (format!("problem-{kind:?}").to_lowercase(), kind))
}

/// Kinds of problems that a window without an engine shows: the launcher could not begin.
fn is_at_the_beginning(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::BadSettings
            | ProblemKind::HomeOfAnotherProgram
            | ProblemKind::AppOfAnotherPublisher
    )
}

/// The subject of a problem of this kind.
fn subject(kind: ProblemKind, language: Language) -> &'static str {
    match kind {
        ProblemKind::DiskFull => "1.3 GB",
        ProblemKind::DiskError
        | ProblemKind::FileSizeLimit
        | ProblemKind::FileMissing
        | ProblemKind::AnotherDisk => PATH,
        ProblemKind::BadPackage => "app/data/predefined_classes.txt",
        ProblemKind::DidNotStart | ProblemKind::EndedWithError => match language {
            Language::English => "It closed by itself with error code 1.",
            Language::Chinese => "它自行退出了，错误代码 1。",
        },
        ProblemKind::LaunchFailed => "Exec format error (os error 8)",
        ProblemKind::ProgramsForbidden => "/media/user/USB STICK/labelimg",
        ProblemKind::AppRunning => "LabelImg",
        ProblemKind::NothingForThis => {
            "labelimg, beta, Linux_x86_64 / labelimg, stable, Windows_x86_64; labelimg, stable, macOS_arm64"
        }
        ProblemKind::HomeOfAnotherProgram | ProblemKind::AppOfAnotherPublisher => {
            "/home/user/.local/share/kuzflow/labelimg"
        }
        ProblemKind::BadSettings => "/opt/labelimg/launcher.toml",
        ProblemKind::BundleExpired => "2026-09-30",
        ProblemKind::BundleUnsuitable => "paint 3.1.0 (Windows_x86_64, stable)",
        ProblemKind::BundleDamaged | ProblemKind::BundleNotTrusted => {
            "/media/user/USB STICK/labelimg-1.8.6.kuzflow-bundle"
        }
        _ => "1.8.6",
    }
}

fn did_not_start(language: Language) -> Phase {
    let chain = vec!["labelimg 1.8.6: Crashed { status: 1 }".to_owned(), TRACEBACK.to_owned()];
    let kind = ProblemKind::DidNotStart;
    Phase::Failed { problem: Problem { kind, subject: subject(kind, language).to_owned(), chain } }
}

/// Progress of a download from so many nodes, each of which sends or is silent.
fn from_nodes(count: usize, part: f64, speed: f64) -> Event {
    let total = 82_617_013_u64;
    let done = (total as f64 * part) as u64;
    let each = done / count.max(1) as u64;
    let node = |index: usize| NodeProgress {
        id: format!("node-{index}"),
        name: format!("Mirror {}", index + 1),
        region: ["Asia-Pacific", "Europe", "Americas", "Global"][index % 4].to_owned(),
        done: each,
        speed: speed / count as f64,
        state: if speed > 0.0 { NodeState::Active } else { NodeState::Idle },
    };
    let seconds_left = (speed > 0.0).then(|| ((total - done) as f64 / speed) as u64);
    let nodes = (0..count).map(node).collect();
    Event::Progress(Progress {
        done,
        total,
        speed,
        seconds_left,
        files_done: 0,
        files_total: 1532,
        nodes,
        ..Progress::default()
    })
}

fn offered(language: Language, count: usize) -> Event {
    let mut offer = offer(language);
    offer.nodes = (0..count)
        .map(|index| kuzflow::testing::model::Node {
            id: format!("node-{index}"),
            name: format!("Mirror {}", index + 1),
            region: ["Asia-Pacific", "Europe", "Americas", "Global"][index % 4].to_owned(),
            ..kuzflow::testing::model::Node::at(
                format!("https://node-{index}.example.org/").parse().unwrap(),
            )
        })
        .collect();
    Event::Phase { phase: Phase::Offered { offer: Box::new(offer) } }
}

fn without_files() -> Event {
    let mut versions = installed();
    versions.iter_mut().for_each(|version| version.holds_files = false);
    Event::Installed { versions, retained: Vec::new() }
}

/// The events of a scene after those of an offer; `None` if this module has no such scene.
pub fn events(name: &str, language: Language) -> Option<Vec<Event>> {
    let version = Version::new(1, 8, 6);
    let current = Some(Version::new(1, 8, 5));
    let phase = |phase| Event::Phase { phase };
    let downloading = || phase(Phase::Downloading { version: version.clone() });
    let no_update = |reason, current| vec![phase(Phase::UpToDate { reason, current })];
    let silent = |node: &str| fault(node, FaultKind::Stalled, false);
    let noted = |change: &dyn Fn(&mut Offer)| {
        let mut offer = offer(language);
        change(&mut offer);
        vec![phase(Phase::Offered { offer: Box::new(offer) })]
    };
    let repaired = |change: &dyn Fn(&mut Repaired)| {
        let mut repaired = Repaired::begun(Version::new(1, 8, 5));
        change(&mut repaired);
        vec![phase(Phase::Repaired(Box::new(repaired)))]
    };
    let bad = |path: &str| DamagedItem {
        path: path.to_owned(),
        what: "the bytes are not those of the release".to_owned(),
    };
    Some(match name {
        "skipped" => no_update(NoUpdate::Skipped, current),
        "pinned" => no_update(NoUpdate::Pinned, current),
        "failed-here" => no_update(NoUpdate::FailedHere, current),
        "only-whole" => no_update(NoUpdate::OnlyWhole, current),
        "system-too-old" => {
            let [needed, found] = ["glibc 2.28", "glibc 2.17"].map(str::to_owned);
            no_update(NoUpdate::SystemTooOld(SystemTooOld { needed, found }), current)
        }
        "withdrawn" => no_update(NoUpdate::Recalled { why: String::new(), besides: None }, current),
        "withdrawn-skipped" => {
            let why = "It loses labels when an image is turned.".to_owned();
            let besides = Some(Box::new(NoUpdate::Skipped));
            no_update(NoUpdate::Recalled { why, besides }, current)
        }
        "ahead-of-channel" => {
            let newest = Version::new(1, 8, 4);
            let ahead = no_update(NoUpdate::AheadOfChannel { newest }, current);
            std::iter::once(channels("stable")).chain(ahead).collect()
        }
        "recalled" => noted(&|offer| {
            let release = &mut offer.signed.release;
            release.container = "labelimg_1.8.4_Linux_x86_64".parse().unwrap();
            release.mandatory = true;
            let reason = match language {
                Language::English => "It loses labels when an image is turned.",
                Language::Chinese => "旋转图像时会丢失标注。",
            };
            let version = Version::new(1, 8, 5);
            let files_of = "2026-10-08T07:05:00Z".parse().ok();
            let reason = reason.to_owned();
            offer.recalled = Some(RecalledVersion { version, reason, files_of });
        }),
        "first-nothing" => no_update(NoUpdate::NothingPublished, None),
        "connecting" => vec![offered(language, 2), downloading()],
        "one-node" => vec![offered(language, 1), downloading(), from_nodes(1, 0.42, 6_810_000.0)],
        "two-nodes" => vec![offered(language, 2), downloading(), from_nodes(2, 0.42, 6_810_000.0)],
        "eight-offered" => vec![offered(language, 8)],
        "eight-nodes" => {
            vec![offered(language, 8), downloading(), from_nodes(8, 0.42, 6_810_000.0)]
        }
        "one-node-silent" => {
            vec![offered(language, 1), downloading(), from_nodes(1, 0.42, 0.0), silent("node-0")]
        }
        "all-silent" => {
            let faults = (0..3).map(|index| silent(&format!("node-{index}")));
            [offered(language, 3), downloading(), from_nodes(3, 0.42, 0.0)]
                .into_iter()
                .chain(faults)
                .collect()
        }
        "slow" => vec![offered(language, 1), downloading(), from_nodes(1, 0.02, 241.0)],
        "paused-one-node" => {
            let paused = phase(Phase::Paused { version: version.clone() });
            vec![offered(language, 1), downloading(), from_nodes(1, 0.42, 6_810_000.0), paused]
        }
        "ready-stopped" => vec![phase(Phase::Ready { version, running: false })],
        "ready-elsewhere" => vec![phase(Phase::Ready { version, running: true })],
        "closing-back" => {
            vec![phase(Phase::Closing { version: None, back: true, wait: ClosingWait::Person })]
        }
        "rolling-back-plain" => vec![without_files(), phase(Phase::RollingBack)],
        "rolled-back-plain" => {
            let (from, to) = (Version::new(1, 8, 5), Version::new(1, 8, 4));
            vec![
                without_files(),
                phase(Phase::RolledBack {
                    from,
                    to,
                    retained: folder("1.8.5"),
                    files: FilesHeld::default(),
                }),
            ]
        }
        "repairing" => vec![phase(Phase::Repairing { version: Version::new(1, 8, 5) })],
        "repaired-whole" => repaired(&|_| ()),
        "repaired-items" => repaired(&|repaired| {
            let item = |path: &str, how| RepairedItem { path: path.to_owned(), how };
            repaired.items = vec![
                item("app/labelImg.py", How::Fetched),
                item("runtime/bin/python3", How::Cloned),
            ];
            repaired.aside = Some("/home/user/.local/share/labelimg/aside/1.8.5".into());
        }),
        "repaired-left" => repaired(&|repaired| {
            repaired.left = vec![bad("app/labelImg.py"), bad("app/libs/canvas.py")];
            repaired.problem = Some(problem(ProblemKind::NoNetwork, ""));
        }),
        "notice" => vec![Event::Notice { problem: problem(ProblemKind::VersionInUse, "1.8.4") }],
        "launched" => vec![phase(Phase::Launched { version })],
        "first-cancelled" => vec![phase(Phase::Cancelled)],
        "first-failed" => {
            vec![phase(Phase::Failed { problem: problem(ProblemKind::NoNetwork, "") })]
        }
        "first-did-not-start" | "did-not-start" => vec![phase(did_not_start(language))],
        "notes-of-another-language" => noted(&|offer| {
            let (tag, text) = match language {
                Language::English => ("zh-CN", super::NOTES_CHINESE),
                Language::Chinese => ("en", super::NOTES_ENGLISH),
            };
            offer.signed.release.notes = [(tag.to_owned(), text.to_owned())].into();
            offer.notes = text.to_owned();
        }),
        "notes-200-lines" => noted(&|offer| {
            offer.notes = (1..=200)
                .map(|line| {
                    format!("- Change number {line} of this release, which fixes something\n")
                })
                .collect();
        }),
        "notes-none" => noted(&|offer| offer.notes.clear()),
        "error-very-long" => {
            let subject = format!("{PATH}/{}", "a-folder-with-a-long-name/".repeat(60));
            let mut problem = problem(ProblemKind::DiskError, &subject);
            problem.chain = (0..60)
                .map(|depth| format!("cause number {depth} of what could not be done: {PATH}"))
                .collect();
            vec![phase(Phase::Failed { problem })]
        }
        _ => {
            let (_, kind) = problem_scenes().find(|(scene, _)| scene == name)?;
            let failed = phase(Phase::Failed { problem: problem(kind, subject(kind, language)) });
            vec![downloading(), progress(language, 0.42, false), failed]
        }
    })
}

/// A scene that does not begin with an offer; `None` if this module has no such scene.
pub fn state(name: &str, language: Language) -> Option<ViewState> {
    let plain = |scene: &str| {
        let mut notices = notices(scene);
        for notice in &mut notices {
            if let Incident::RolledBack { holds_files, .. } = &mut notice.what {
                *holds_files = false;
            }
        }
        notices.retain(|notice| !matches!(notice.what, Incident::Conflicts { .. }));
        ViewState::telling(notices)
    };
    let mut at_the_beginning = problem_scenes().filter(|(_, kind)| is_at_the_beginning(*kind));
    if let Some((_, kind)) = at_the_beginning.find(|(scene, _)| scene == name) {
        return Some(ViewState::of_problem(problem(kind, subject(kind, language))));
    }
    Some(match name {
        "alone-forbidden" => ViewState::of_problem(problem(
            ProblemKind::ProgramsForbidden,
            "/media/user/USB STICK/labelimg",
        )),
        "incident-plain" => plain("incident-crashed"),
        "incident-several-plain" => plain("incident-several"),
        "ready-elsewhere" => {
            let mut state = ViewState::beside(true);
            super::events("offer", language).into_iter().for_each(|event| state.apply(event));
            events(name, language)?.into_iter().for_each(|event| state.apply(event));
            state
        }
        _ => return None,
    })
}
