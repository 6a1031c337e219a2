//! The window's states as users meet them, for tests, pictures and `examples/window_states.rs`.

use kuzflow::testing::gui::Language;
use kuzflow::testing::gui::ViewState;
use kuzflow::testing::messages::protocol::{
    ClosingWait, DiskUse, Event, FaultKind, FilesHeld, FolderUse, FoundShortcut, InstalledVersion,
    LoginStart, NoUpdate, NodeFault, NodeProgress, NodeState, OldShortcuts, Phase, Problem,
    ProblemKind, Progress, RetainedFiles, SwapBlocker,
};
use kuzflow::testing::model::digest::Digest;
use kuzflow::testing::model::incident::{Conflict, Incident, LaunchFailure, Notice, StandIn};
use kuzflow::testing::model::patch::{Patch, SignedPatch};
use kuzflow::testing::model::plan::{FileCounts, Plan, Reason, UpdateStrategy};
use kuzflow::testing::model::release::{DocumentLocation, Release, SignedRelease};
use kuzflow::testing::model::{Node, Offer, Version};

const LONG_VERSION: &str = "2026.11.22-rc.12+build.20261122.linux.x86-64.release";
const PACKAGE: u64 = 82_617_013;
/// Bytes of the pack from 1.8.5 to 1.8.6.
const PACK: u64 = 5_432;
const FILES: u64 = 1532;
const NOTES_CHINESE: &str = "## 新功能\n\n- 支持 **YOLO 格式** 的批量导出，见[使用说明](https://example.org/guide)\n- 图像列表可按 `文件名` 或标注数量排序\n\n## 修复\n\n1. 修复在高分辨率屏幕上标注框偏移的问题\n2. 修复打开大尺寸图像时界面停顿的问题\n3. 保存时不再覆盖*未修改*的标注文件\n";
const NOTES_ENGLISH: &str = "## New\n\n- Batch export in **YOLO format**, see the [guide](https://example.org/guide)\n- The image list can be sorted by `file name` or number of labels\n\n## Fixed\n\n1. Boxes were shifted on screens with high resolution\n2. Opening large images froze the window for a moment\n3. Saving no longer overwrites label files that *did not change*\n";

/// An offer as labelImg 1.8.5 would get it.
pub fn offer(language: Language) -> Offer {
    let hash = Digest::of(b"");
    Offer {
        signed: SignedRelease {
            target: "labelimg_1.8.6_Linux_x86_64.kuzflow".to_owned(),
            length: PACKAGE,
            hash,
            release: Release {
                display_name: "LabelImg".to_owned(),
                unpacked_size: 245_000_000,
                file_count: FILES,
                ..Release::without_terms(
                    "labelimg_1.8.6_Linux_x86_64".parse().unwrap(),
                    jiff::Timestamp::UNIX_EPOCH,
                    DocumentLocation { offset: 0, packed_size: 1, size: 1, hash },
                    DocumentLocation { offset: 0, packed_size: 1, size: 1, hash },
                )
            },
        },
        current: Some(Version::new(1, 8, 5)),
        plan: Plan::full(PACKAGE, FILES, Reason::Unknown),
        bytes_to_fetch: PACKAGE,
        notes: if language == Language::Chinese { NOTES_CHINESE } else { NOTES_ENGLISH }.to_owned(),
        nodes: nodes(language),
        estimated_seconds: Some(14),
        recalled: None,
        installing_seconds: None,
        file: None,
    }
}

/// A plan of packs, one after another through these versions; the last pack ends at 1.8.6.
pub fn patches(versions: &[&str], bytes: u64) -> Plan {
    let ends = versions.iter().skip(1).copied().chain(["1.8.6"]);
    let container = |version: &str| format!("labelimg_{version}_Linux_x86_64").parse().unwrap();
    let count = versions.len() as u64;
    let packs = versions.iter().zip(ends).map(|(from, to)| {
        let hash = Digest::of(from.as_bytes());
        let patch = Patch {
            from: container(from),
            to: container(to),
            base_manifest: hash,
            target_manifest: hash,
            cloned: 1521,
            patched: 9,
            added: 2,
            removed: 1,
            written: 412_000,
            memory: 33_554_432,
            created: jiff::Timestamp::UNIX_EPOCH,
            requires_restart: true,
            hot_swappable: 0,
            piece_size: 0,
            pieces: Vec::new(),
        };
        SignedPatch { target: patch.target_name(), length: bytes / count, hash, patch }
    });
    Plan {
        strategy: UpdateStrategy::Patches,
        bytes,
        from: versions.first().map(|version| version.parse().unwrap()),
        patches: packs.collect(),
        files: FileCounts { cloned: 1521, patched: 9, fetched: 2 },
        ..Plan::full(PACKAGE, FILES, Reason::Cheapest)
    }
}

/// An offer with a plan other than the whole package.
pub fn planned(language: Language, plan: Plan) -> Offer {
    Offer {
        bytes_to_fetch: plan.bytes,
        estimated_seconds: Some(1 + plan.bytes / 6_000_000),
        plan,
        ..offer(language)
    }
}

/// Progress of writing files after a download.
pub fn step(done: u64, fallen_back: u64) -> Event {
    Event::Progress(Progress {
        done: PACK,
        total: PACK,
        files_done: done,
        files_total: FILES,
        fallen_back,
        ..Progress::default()
    })
}

/// Four nodes as `launcher.toml` names them.
pub fn nodes(language: Language) -> Vec<Node> {
    let chinese = language == Language::Chinese;
    let named = [
        ("ap-1", if chinese { "上海" } else { "Shanghai" }, "Asia-Pacific", 400.0),
        ("ap-2", if chinese { "东京" } else { "Tokyo" }, "Asia-Pacific", 300.0),
        ("cdn", "CDN", "Global", 1000.0),
        ("eu-1", if chinese { "法兰克福" } else { "Frankfurt" }, "Europe", 200.0),
    ];
    named
        .into_iter()
        .map(|(id, name, region, bandwidth)| Node {
            id: id.to_owned(),
            name: name.to_owned(),
            region: region.to_owned(),
            bandwidth: Some(bandwidth),
            ..Node::at(format!("https://{id}.example.org/").parse().unwrap())
        })
        .collect()
}

/// Only the active version is installed, so the switches below it are in sight.
fn one_version() -> Event {
    let active = installed().into_iter().filter(|version| version.active);
    Event::Installed { versions: active.collect(), retained: Vec::new() }
}

/// Three installed versions. The newest is active and runs; a rollback to the others is possible.
pub fn installed() -> Vec<InstalledVersion> {
    let version = |version: &str, size, installed: &str, active| InstalledVersion {
        id: format!("labelimg_{version}_Linux_x86_64").parse().unwrap(),
        size,
        installed: installed.parse().unwrap(),
        active,
        left: None,
        holds_files: true,
        failed: false,
        recalled: false,
        pinned: false,
        surplus: false,
        running: active,
        ready: false,
        folder: folder(version),
    };
    let mut versions = vec![
        version("1.8.5", 244_700_000, "2026-09-03T08:00:00Z", true),
        version("1.8.4", 239_100_000, "2026-03-17T08:00:00Z", false),
        version("1.8.0", 231_500_000, "2025-11-02T08:00:00Z", false),
    ];
    for (version, retained) in versions.iter_mut().skip(1).zip(retained()) {
        version.left = Some(retained.left);
    }
    versions
}

fn folder(version: &str) -> std::path::PathBuf {
    format!("/home/user/.local/share/labelimg/containers/labelimg_{version}_Linux_x86_64").into()
}

/// The retained user data of versions that were left.
pub fn retained() -> Vec<RetainedFiles> {
    let retained = |version: &str, left: &str| RetainedFiles {
        version: version.parse().unwrap(),
        left: left.parse().unwrap(),
        folder: folder(version),
        only_copy: false,
    };
    vec![retained("1.8.4", "2026-09-03T08:02:00Z"), retained("1.8.0", "2026-03-17T08:01:00Z")]
}

/// Every badge and every button: the newest version did not start, the active one is pinned, the
/// oldest is beyond the number to keep.
fn every_kind() -> Event {
    let mut versions = installed();
    let (active, oldest) = (0, versions.len() - 1);
    versions[active].pinned = true;
    versions[oldest].surplus = true;
    let id = "labelimg_1.8.6_Linux_x86_64".parse().unwrap();
    let installed = "2026-11-20T08:00:00Z".parse().unwrap();
    let (active, running, pinned) = (false, false, false);
    let failed = InstalledVersion {
        id,
        installed,
        active,
        running,
        pinned,
        failed: true,
        folder: folder("1.8.6"),
        ..versions[0].clone()
    };
    versions.insert(0, failed);
    let own = RetainedFiles {
        version: Version::new(1, 8, 6),
        left: "2026-11-21T19:44:00Z".parse().unwrap(),
        folder: own_folder(),
        only_copy: true,
    };
    Event::Installed { versions, retained: std::iter::once(own).chain(retained()).collect() }
}

fn own_folder() -> std::path::PathBuf {
    "/home/user/.local/share/labelimg/snapshots/20261121T194400.000000Z-labelimg_1.8.6_Linux_x86_64"
        .into()
}

/// The use of the disk, as if it had been measured.
fn disk_use(whole: u64) -> Event {
    let measured = |(folder, bytes)| FolderUse { folder, bytes };
    let folders = [
        (folder("1.8.6"), 245_900_000),
        (folder("1.8.5"), 258_200_000),
        (folder("1.8.4"), 241_300_000),
        (folder("1.8.0"), 233_000_000),
        (own_folder(), 12_400_000),
    ];
    Event::DiskUse(DiskUse { whole, folders: folders.map(measured).to_vec() })
}

/// Notices of incidents that nobody saw, the oldest first.
pub fn notices(name: &str) -> Vec<Notice> {
    let when = "2026-11-21T19:44:00Z".parse().unwrap();
    let (from, to) = (Version::new(1, 8, 6), Version::new(1, 8, 5));
    let back = |failure| Incident::RolledBack {
        from: from.clone(),
        to: to.clone(),
        failure,
        retained: own_folder(),
        holds_files: true,
    };
    let conflicts = |count| {
        let names = ["settings", "shortcuts", "colours", "predefined-classes", "recent-folders"];
        let conflict = |index: usize| {
            let yours = match index {
                0..5 => format!("config/{}.ini", names[index]),
                _ => format!("data/label-templates/of-the-second-project/template-{index}.json"),
            };
            Conflict { beside: format!("{yours}.new-default").into(), yours: yours.into() }
        };
        Incident::Conflicts { version: to.clone(), files: (0..count).map(conflict).collect() }
    };
    let chain = problem(ProblemKind::MigrationFailed, "").chain;
    let not_switched = Incident::NotSwitched { to: from.clone(), chain };
    let reported = match name {
        "incident" => vec![back(LaunchFailure::Hung)],
        "incident-crashed" => vec![back(LaunchFailure::Crashed { status: 139 })],
        "incident-reported" => {
            vec![back(LaunchFailure::Reported {
                reason: "ImportError: libQt5Core.so.5: cannot open shared object file".to_owned(),
            })]
        }
        "incident-not-switched" => vec![not_switched],
        "incident-unreadable" => vec![Incident::Unreadable {
            version: to.clone(),
            path: own_folder().join("metadata/installed.json"),
            chain: vec!["cannot read it".to_owned(), "Input/output error".to_owned()],
        }],
        "incident-repaired" => vec![
            Incident::Repaired { version: to.clone(), stand_in: None },
            Incident::NotRepaired { version: to.clone(), stand_in: None },
        ],
        "incident-stand-in" => {
            let stand_in = Some(StandIn {
                version: to.clone(),
                files_of: Some(when - jiff::SignedDuration::from_hours(72)),
                holds_files: true,
            });
            vec![
                Incident::NotRepaired { version: from.clone(), stand_in },
                Incident::WorkedInStandIn {
                    version: from.clone(),
                    worked_in: to.clone(),
                    retained: own_folder(),
                },
            ]
        }
        "incident-recalled" => vec![Incident::Recalled {
            from: from.clone(),
            to: to.clone(),
            files_of: when - jiff::SignedDuration::from_hours(1000),
            retained: own_folder(),
            holds_files: true,
        }],
        "incident-withdrawn" => vec![Incident::Withdrawn { version: from.clone() }],
        "incident-conflicts" => vec![conflicts(3)],
        "incident-many-conflicts" => vec![conflicts(12)],
        "incident-several" => vec![conflicts(1), not_switched, back(LaunchFailure::EndedAtOnce)],
        _ => Vec::new(),
    };
    reported.into_iter().map(|what| Notice { when, what }).collect()
}

/// Progress with a part of the whole done.
pub fn progress(language: Language, part: f64, active: bool) -> Event {
    progress_of(PACKAGE, language, part, active)
}

/// Progress with a part of so many bytes done.
pub fn progress_of(total: u64, language: Language, part: f64, active: bool) -> Event {
    let done = (total as f64 * part) as u64;
    let shares = [(0.46, 3_120_000.0), (0.21, 1_430_000.0), (0.33, 2_260_000.0), (0.0, 0.0)];
    let nodes = nodes(language).into_iter().zip(shares).enumerate().map(
        |(index, (node, (share, speed)))| NodeProgress {
            id: node.id,
            name: node.name,
            region: node.region,
            done: (done as f64 * share) as u64,
            speed: if active { speed } else { 0.0 },
            state: match index {
                3 => NodeState::Dropped,
                1 if part > 0.6 => NodeState::Waiting,
                _ if active => NodeState::Active,
                _ => NodeState::Idle,
            },
        },
    );
    Event::Progress(Progress {
        done,
        total,
        speed: if active { 6_810_000.0 } else { 0.0 },
        seconds_left: active.then_some(((total - done) as f64 / 6_810_000.0) as u64),
        files_done: (FILES as f64 * part) as u64,
        files_total: FILES,
        fallen_back: 0,
        repaired_bases: 0,
        nodes: nodes.collect(),
    })
}

/// A download on a large local network: the nodes, and a dozen peers.
fn peers(language: Language) -> Event {
    let Event::Progress(mut progress) = progress(language, 0.6, true) else {
        return progress(language, 0.6, true);
    };
    progress.nodes.iter_mut().for_each(|node| node.done /= 8);
    let peer = |number: u64| NodeProgress {
        id: format!("near:{:04x}", 0x9b3c + number * 4111),
        name: format!("{:04x}", 0x9b3c + number * 4111),
        region: "LAN".to_owned(),
        done: progress.done / 20 + number * 300_000,
        speed: 2_400_000.0 - number as f64 * 110_000.0,
        state: if number == 4 { NodeState::Dropped } else { NodeState::Active },
    };
    let peer: Vec<NodeProgress> = (0..12).map(peer).collect();
    progress.nodes.extend(peer);
    Event::Progress(progress)
}

/// Files whose patch did not fit are fetched whole while the others are written.
fn fetching_whole(language: Language) -> Event {
    match progress_of(2_450_000, language, 0.55, true) {
        Event::Progress(progress) => {
            Event::Progress(Progress { files_done: 1180, fallen_back: 3, ..progress })
        }
        other => other,
    }
}

fn fault(node: &str, fault: FaultKind, dropped: bool) -> Event {
    Event::NodeFault(NodeFault {
        node: node.to_owned(),
        name: node.to_owned(),
        fault,
        detail: String::new(),
        dropped,
    })
}

/// A problem with an error chain.
pub fn problem(kind: ProblemKind, subject: &str) -> Problem {
    let chain = [
        "cannot fetch the timestamp role",
        "error sending request for url (https://ap-1.example.org/metadata/timestamp.json)",
        "connection refused",
    ];
    Problem { kind, subject: subject.to_owned(), chain: chain.map(str::to_owned).to_vec() }
}

mod rare;

/// Names of all scenes.
pub fn names() -> Vec<String> {
    let usual = NAMES.into_iter().chain(rare::NAMES).map(str::to_owned);
    usual.chain(rare::problem_scenes().map(|(name, _)| name)).collect()
}

/// Whether few users ever see the scene.
pub fn is_rare(name: &str) -> bool {
    !NAMES.contains(&name)
}

/// Names of the scenes that most users meet.
const NAMES: [&str; 62] = [
    "idle",
    "checking",
    "up-to-date",
    "not-yet",
    "offer",
    "offer-incremental",
    "offer-chain",
    "offer-entries",
    "offer-above-threshold",
    "offer-file",
    "offer-older",
    "offer-prefetched",
    "file-expired",
    "mandatory",
    "first-install",
    "downloading",
    "first-download",
    "troubled",
    "peers",
    "sharing",
    "paused",
    "installing",
    "applying",
    "fallen-back",
    "ready",
    "closing",
    "closing-person",
    "closing-unreachable",
    "switching",
    "failed",
    "not-trusted",
    "cancelled",
    "long-offer",
    "long-incremental",
    "long-fallen-back",
    "long-failed",
    "long-download",
    "incident",
    "incident-crashed",
    "incident-reported",
    "incident-not-switched",
    "incident-recalled",
    "incident-withdrawn",
    "incident-conflicts",
    "incident-many-conflicts",
    "incident-several",
    "incident-beside",
    "incident-stand-in",
    "versions-all",
    "login-off-in-system",
    "taking-along",
    "rolling-back",
    "rolled-back",
    "launched-incident",
    "old-shortcuts",
    "launched-old-shortcuts",
    "old-shortcuts-replaced",
    "notification-hot",
    "strip-downloading",
    "strip-swapping",
    "swapped",
    "ready-blocker",
];

/// The events that lead to a scene.
pub fn events(name: &str, language: Language) -> Vec<Event> {
    let version = Version::new(1, 8, 6);
    let phase = |phase| Event::Phase { phase };
    let offered = |change: fn(&mut Offer)| {
        let mut offer = offer(language);
        change(&mut offer);
        phase(Phase::Offered { offer: Box::new(offer) })
    };
    let current = Some(Version::new(1, 8, 5));
    let known = || {
        vec![
            Event::Installed { versions: installed(), retained: retained() },
            disk_use(748_600_000),
        ]
    };
    if name.starts_with("incident-") || name == "incident" {
        let besides = (name == "incident-beside")
            .then(|| events("offer", language).into_iter().chain(incidents("incident")));
        return besides.map_or_else(known, Iterator::collect);
    }
    let mut events = known();
    if name.starts_with("first") {
        events.clear();
        events.push(offered(|offer| {
            offer.current = None;
            offer.plan.reason = Reason::NothingInstalled;
        }));
    } else {
        events.push(offered(|_| ()));
    }
    let with_plan = |plan| phase(Phase::Offered { offer: Box::new(planned(language, plan)) });
    let downloading = phase(Phase::Downloading { version: version.clone() });
    let installing = phase(Phase::Installing { version: version.clone() });
    if let Some(rare) = rare::events(name, language) {
        events.extend(rare);
        return events;
    }
    events.extend(match name {
        "idle" => vec![phase(Phase::Idle)],
        "checking" => vec![phase(Phase::Checking)],
        "up-to-date" => vec![phase(Phase::UpToDate { reason: NoUpdate::Newest, current })],
        "not-yet" => vec![phase(Phase::UpToDate { reason: NoUpdate::NotYet, current })],
        "offer-incremental" => vec![with_plan(patches(&["1.8.5"], PACK))],
        "offer-chain" => vec![with_plan(Plan { requires_restart: false, ..patches(&["1.8.0", "1.8.4", "1.8.5"], 3_210_000) })],
        "offer-entries" => {
            let files = FileCounts { cloned: 1484, patched: 0, fetched: 48 };
            vec![with_plan(Plan { strategy: UpdateStrategy::Entries, patches: Vec::new(), files, ..patches(&["1.8.4"], 12_480_000) })]
        }
        "offer-above-threshold" => vec![with_plan(Plan::full(PACKAGE, FILES, Reason::AboveThreshold))],
        "offer-file" => vec![offered(|offer| {
            offer.plan = Plan::without_fetching(UpdateStrategy::File, PACKAGE);
            (offer.bytes_to_fetch, offer.estimated_seconds, offer.nodes) = (0, None, Vec::new());
            offer.file = Some("/media/stick/labelimg-1.8.6.kuzflow-bundle".into());
        })],
        "offer-older" => {
            let mut events = self::events("offer-file", language);
            for event in &mut events {
                if let Event::Phase { phase: Phase::Offered { offer } } = event {
                    offer.current = Some(Version::new(1, 9, 0));
                }
            }
            events
        }
        "offer-prefetched" => vec![with_plan(Plan::without_fetching(UpdateStrategy::Installed, PACKAGE))],
        "file-expired" => vec![phase(Phase::Failed { problem: problem(ProblemKind::BundleExpired, "2026-09-30") })],
        "applying" => vec![with_plan(patches(&["1.8.5"], PACK)), downloading, installing, step(643, 0)],
        "fallen-back" => vec![
            with_plan(patches(&["1.8.5"], PACK)),
            downloading,
            installing,
            fetching_whole(language),
        ],
        "mandatory" => vec![offered(|offer| {
            offer.signed.release.mandatory = true;
            offer.bytes_to_fetch /= 3;
        })],
        "downloading" | "first-download" => {
            vec![downloading, progress(language, 0.42, true), fault("eu-1", FaultKind::WrongBytes, true)]
        }
        "troubled" => vec![
            downloading,
            progress(language, 0.68, true),
            fault("eu-1", FaultKind::IgnoredRange, true),
            fault("ap-2", FaultKind::Stalled, false),
        ],
        "sharing" => vec![phase(Phase::UpToDate { reason: NoUpdate::Newest, current }), Event::Sharing { on: true }],
        "peers" => vec![downloading, peers(language)],
        "paused" => vec![downloading, progress(language, 0.42, false), phase(Phase::Paused { version })],
        "installing" => vec![downloading, progress(language, 1.0, false), phase(Phase::Installing { version })],
        "ready" => vec![phase(Phase::Ready { version, running: true })],
        "closing" => vec![phase(Phase::Closing { version: Some(version), back: false, wait: ClosingWait::App })],
        "closing-person" => vec![phase(Phase::Closing { version: Some(version), back: false, wait: ClosingWait::Person })],
        "closing-unreachable" => {
            vec![phase(Phase::Closing { version: Some(version), back: true, wait: ClosingWait::Unreachable })]
        }
        "switching" => vec![phase(Phase::Switching { version })],
        "failed" => vec![phase(Phase::Failed { problem: problem(ProblemKind::NoNetwork, "") })],
        "not-trusted" => vec![phase(Phase::Failed { problem: problem(ProblemKind::NotTrusted, "timestamp.json") })],
        "cancelled" => vec![phase(Phase::Cancelled)],
        "versions-all" => vec![phase(Phase::UpToDate { reason: NoUpdate::Pinned, current }), every_kind(), disk_use(1_006_900_000), Event::Sharing { on: true }, Event::Reporting { on: true }, Event::LoginStart { state: LoginStart::Off }],
        "login-off-in-system" => vec![phase(Phase::UpToDate { reason: NoUpdate::Newest, current }), one_version(), Event::LoginStart { state: LoginStart::OffInSystem }],
        "notification-hot" => vec![with_plan(Plan { requires_restart: false, hot_swappable: 9, ..patches(&["1.8.5"], 1_210_000) })],
        "strip-downloading" => vec![with_plan(patches(&["1.8.5"], 1_210_000)), downloading, progress_of(1_210_000, language, 0.42, true)],
        "strip-swapping" => vec![phase(Phase::Swapping { version })],
        "swapped" => vec![phase(Phase::Swapped { version, modules: vec!["app.executor".to_owned()] })],
        "ready-blocker" => {
            let blocker = SwapBlocker {
                code: "c-extension".to_owned(),
                text: "a compiled module has changed".to_owned(),
                module: None,
                path: Some("app/engine/_fast.so".to_owned()),
            };
            let not_swapped = Event::NotSwapped { version: version.clone(), reasons: vec![blocker] };
            vec![not_swapped, phase(Phase::Ready { version, running: true })]
        }
        "taking-along" => {
            let progress = Progress { done: 312_400_000, total: 1_024_000_000, ..Progress::default() };
            vec![phase(Phase::Switching { version }), Event::Progress(progress)]
        }
        "rolling-back" => vec![phase(Phase::RollingBack)],
        "rolled-back" => {
            let to = Version::new(1, 8, 4);
            vec![phase(Phase::RolledBack { from: Version::new(1, 8, 5), to, retained: folder("1.8.5"), files: FilesHeld { of_left: true, of_active: true } })]
        }
        "old-shortcuts" => vec![phase(Phase::Idle)],
        "launched-old-shortcuts" => {
            vec![Event::OldShortcuts(old_shortcuts(1)), phase(Phase::Launched { version })]
        }
        "old-shortcuts-replaced" => {
            let replaced = OldShortcuts { replaced: 2, answered: true, ..OldShortcuts::default() };
            vec![phase(Phase::UpToDate { reason: NoUpdate::Newest, current }), one_version(), Event::OldShortcuts(replaced)]
        }
        "launched-incident" => incidents("incident-conflicts").chain([phase(Phase::Launched { version })]).collect(),
        "long-offer" => vec![offered(|offer| {
            offer.signed.release.container.version = LONG_VERSION.parse().unwrap();
            offer.current = Some(LONG_VERSION.replace("rc.12", "beta.9").parse().unwrap());
            offer.bytes_to_fetch /= 3;
            offer.estimated_seconds = Some(19_000);
            offer.notes = offer.notes.repeat(8);
        })],
        "long-incremental" => {
            let from = LONG_VERSION.replace("rc.12", "beta.9").parse().unwrap();
            let plan = Plan { from: Some(from), ..patches(&["1.8.0", "1.8.4", "1.8.5"], 3_210_000) };
            let mut offer = Offer { bytes_to_fetch: 1_110_000, ..planned(language, plan) };
            offer.signed.release.container.version = LONG_VERSION.parse().unwrap();
            vec![phase(Phase::Offered { offer: Box::new(offer) })]
        }
        "long-fallen-back" => {
            let version = LONG_VERSION.parse().unwrap();
            vec![with_plan(patches(&["1.8.5"], PACK)), phase(Phase::Installing { version }), step(1180, 12_345)]
        }
        "long-download" => {
            let version = LONG_VERSION.parse().unwrap();
            let Event::Progress(mut progress) = progress(language, 0.5, true) else { return events };
            for (index, node) in progress.nodes.iter_mut().enumerate() {
                node.id = format!("other-{index}");
                node.name = "mirror-of-a-university-in-a-far-away-country.example.org:8443".to_owned();
                node.region = "Somewhere beyond the mountains".to_owned();
            }
            vec![phase(Phase::Downloading { version }), Event::Progress(progress)]
        }
        "long-failed" => {
            let path = "/home/a-user-with-a-long-name/.local/share/labelimg/containers/labelimg_1.8.6_Linux_x86_64/runtime/lib/python3.11/site-packages/PyQt5/Qt5/lib/libQt5Core.so.5";
            vec![phase(Phase::Failed { problem: problem(ProblemKind::DiskError, path) })]
        }
        _ => Vec::new(),
    });
    events
}

fn incidents(name: &str) -> impl Iterator<Item = Event> {
    notices(name).into_iter().map(|Notice { when, what }| Event::Incident { when, what })
}

/// So many shortcuts of an earlier installation.
pub fn old_shortcuts(count: usize) -> OldShortcuts {
    let shortcut = |(name, on_desktop): (&str, bool)| {
        let name = name.to_owned();
        FoundShortcut { name, on_desktop }
    };
    let found = [("LabelImg", true), ("LabelImg", false), ("LabelImg (safe mode)", false)];
    let found = found.into_iter().map(shortcut).take(count).collect();
    OldShortcuts { found, ..OldShortcuts::default() }
}

/// A scene as a state.
pub fn state(name: &str, language: Language) -> ViewState {
    if let Some(state) = rare::state(name, language) {
        return state;
    }
    let notices = notices(name);
    let mut state = if name == "old-shortcuts" {
        return ViewState::asking(old_shortcuts(3));
    } else if notices.is_empty() {
        ViewState::with_nodes(&nodes(language))
    } else {
        ViewState::telling(notices)
    };
    for event in events(name, language) {
        state.apply(event);
    }
    state
}
