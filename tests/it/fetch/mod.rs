//! The downloader against nodes that misbehave (docs/security.md, faults 6, 16, 17), over real
//! sockets on loopback.

mod proxies;
mod spans;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kuzflow::testing::fetch::{
    Client, ClientOptions, Control, DownloadJob, FetchError, FetchEvent, NodeMemory, Partial,
    Progress, RunState, Span, Summary, download, fetch_span,
};
use kuzflow::testing::model::transfer::{FaultKind, NodeFault};
use kuzflow::testing::model::{Digest, PieceTable};
use tokio::sync::{mpsc, watch};

use crate::support::faulty_node::{Behaviour, FaultyNode};
use crate::support::waiting;

const PIECE: u32 = 16 << 10;

fn content(length: usize) -> Arc<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(7);
    Arc::new(std::iter::repeat_with(|| random.u8(..)).take(length).collect())
}

fn table(content: &[u8]) -> Arc<PieceTable> {
    let hashes = content.chunks(PIECE as usize).map(Digest::of).collect();
    Arc::new(PieceTable { piece_size: PIECE, length: content.len() as u64, hashes })
}

fn client() -> Client {
    Client::new(&ClientOptions {
        document_silence: Duration::from_millis(1500),
        ..ClientOptions::default()
    })
    .unwrap()
}

fn job(content: &[u8], nodes: &[&FaultyNode], folder: &Path) -> DownloadJob {
    let nodes = nodes.iter().map(|node| node.node()).collect();
    let job = DownloadJob::new(
        "targets/package",
        content.len() as u64,
        table(content),
        nodes,
        folder.join("package.partial"),
    );
    DownloadJob { timeout: waiting::LIMIT, ..job }
}

/// How many bytes of the content, which has hardly a zero in it, are on the disk.
fn on_disk(folder: &Path) -> usize {
    std::fs::read(folder.join("package.partial"))
        .unwrap_or_default()
        .iter()
        .filter(|byte| **byte != 0)
        .count()
}

/// Waits until so many bytes have arrived.
async fn arrived(folder: &Path, bytes: usize) {
    let end = Instant::now() + waiting::LIMIT;
    while on_disk(folder) < bytes {
        assert!(Instant::now() < end, "nothing comes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

struct Outcome {
    result: Result<Summary, FetchError>,
    pieces: Vec<u32>,
    faults: Vec<NodeFault>,
    progress: Vec<Progress>,
}

impl Outcome {
    /// The kinds of fault that the download reported of a node.
    fn kinds(&self, node: &FaultyNode) -> Vec<FaultKind> {
        let id = node.node().id;
        self.faults.iter().filter(|fault| fault.node == id).map(|fault| fault.fault).collect()
    }
}

async fn run(job: DownloadJob) -> Outcome {
    let (_control, orders) = watch::channel(Control::default());
    run_with(job, client(), orders).await
}

async fn run_with(job: DownloadJob, client: Client, orders: watch::Receiver<Control>) -> Outcome {
    let (sender, mut events) = mpsc::unbounded_channel();
    let result = download(&client, job, orders, sender).await;
    let mut outcome =
        Outcome { result, pieces: Vec::new(), faults: Vec::new(), progress: Vec::new() };
    while let Some(event) = events.recv().await {
        match event {
            FetchEvent::Piece(piece) => outcome.pieces.push(piece),
            FetchEvent::Fault(fault) => outcome.faults.push(fault),
            FetchEvent::Progress(progress) => outcome.progress.push(progress),
        }
    }
    outcome
}

fn assert_whole(outcome: &Outcome, content: &[u8], folder: &Path) {
    let summary = outcome.result.as_ref().unwrap();
    assert!(std::fs::read(folder.join("package.partial")).unwrap() == content, "another file");
    let mut pieces = outcome.pieces.clone();
    pieces.sort_unstable();
    assert_eq!(pieces, (0..table(content).count()).collect::<Vec<_>>(), "each piece is told once");
    assert_eq!(outcome.progress.last().unwrap().done, content.len() as u64);
    let fetched: u64 = summary.nodes.iter().map(|node| node.done).sum();
    assert_eq!(fetched + summary.resumed, content.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_nodes_share_the_work() {
    let (content, folder) = (content(3_000_000), tempfile::tempdir().unwrap());
    let one = FaultyNode::start(&content, Behaviour::Limited(2_000_000));
    let two = FaultyNode::start(&content, Behaviour::Limited(4_000_000));
    let memory = folder.path().join("nodes.json");
    let outcome = run(DownloadJob {
        memory: Some(memory.clone()),
        ..job(&content, &[&one, &two], folder.path())
    })
    .await;
    assert_whole(&outcome, &content, folder.path());
    assert!(outcome.faults.is_empty(), "{:?}", outcome.faults);
    assert!(one.sent() > 100_000 && two.sent() > 100_000, "{} and {}", one.sent(), two.sent());
    assert!(
        one.heads().iter().all(|head| head.to_lowercase().contains("accept-encoding: identity"))
    );
    assert!(one.heads().iter().all(|head| head.starts_with("GET /targets/package ")));
    let memory = NodeMemory::load(&memory);
    assert!(memory.of(&two.node()).is_some());
    assert!(memory.estimated_seconds(&[two.node()], 1_000_000, None).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_object_is_one_request() {
    let (content, folder) = (content(50_000), tempfile::tempdir().unwrap());
    let (one, two) = (
        FaultyNode::start(&content, Behaviour::Healthy),
        FaultyNode::start(&content, Behaviour::Healthy),
    );
    let outcome = run(job(&content, &[&one, &two], folder.path())).await;
    assert_whole(&outcome, &content, folder.path());
    assert_eq!((one.requests(), two.requests()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_named_and_the_healthy_node_does_the_work() {
    let content = content(2_000_000);
    let (different, passing) = (FaultKind::DifferentFile, FaultKind::Truncated);
    let cases = [
        (Behaviour::LieAt(20_000), FaultKind::WrongBytes, true),
        (Behaviour::WrongContentRange, different, true),
        (Behaviour::Status(416), different, true),
        (Behaviour::Size(1_999_999), different, true),
        (Behaviour::Portal, different, true),
        (Behaviour::Gzip, FaultKind::IgnoredRange, true),
        (Behaviour::Status(404), FaultKind::Refused, true),
        (Behaviour::Status(503), FaultKind::Refused, false),
        (Behaviour::Dead, FaultKind::Unreachable, false),
        (Behaviour::CutAfter(70_000), passing, false),
    ];
    let check = async |(behaviour, kind, dropped): (Behaviour, FaultKind, bool)| {
        let folder = tempfile::tempdir().unwrap();
        let bad = FaultyNode::start(&content, behaviour.clone());
        // So slow that a busy computer has asked the other one as well before the end.
        let good = FaultyNode::start(&content, Behaviour::Limited(400_000));
        let outcome = run(job(&content, &[&bad, &good], folder.path())).await;
        assert_whole(&outcome, &content, folder.path());
        assert_eq!(outcome.kinds(&bad).first(), Some(&kind), "{behaviour:?}: {:?}", outcome.faults);
        assert!(outcome.kinds(&good).is_empty(), "{behaviour:?}: {:?}", outcome.faults);
        if dropped {
            let fault = outcome.faults.first().unwrap();
            assert!(fault.dropped && !fault.detail.is_empty(), "{behaviour:?}: {fault:?}");
        }
    };
    futures_util::future::join_all(cases.map(check)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ignores_ranges_is_left_for_one_that_does_not() {
    let (content, folder) = (content(4_000_000), tempfile::tempdir().unwrap());
    let bad = FaultyNode::start(&content, Behaviour::IgnoreRange);
    let good = FaultyNode::start(&content, Behaviour::Limited(800_000));
    let outcome = run(job(&content, &[&good, &bad], folder.path())).await;
    assert_whole(&outcome, &content, folder.path());
    assert!(
        outcome.faults.iter().any(|fault| fault.fault == FaultKind::IgnoredRange && fault.dropped),
        "{:?}",
        outcome.faults
    );
    // A slow node is better than none.
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(job(&content, &[&bad], folder.path())).await;
    assert_whole(&outcome, &content, folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stalls_or_drips_is_overtaken() {
    // Large, so that the good node is at work for longer than a silence that is named.
    let (content, folder) = (content(40_000_000), tempfile::tempdir().unwrap());
    let bad = FaultyNode::start(&content, Behaviour::StallAfter(300_000));
    let good = FaultyNode::start(&content, Behaviour::Limited(2_000_000));
    let outcome = run(job(&content, &[&bad, &good], folder.path())).await;
    assert_whole(&outcome, &content, folder.path());
    assert!(outcome.kinds(&bad).contains(&FaultKind::Stalled), "{:?}", outcome.faults);
    // A drip never falls silent; a faster node overtakes it.
    let folder = tempfile::tempdir().unwrap();
    bad.becomes(Behaviour::Drip(200));
    let outcome = run(job(&content[..1_000_000], &[&bad, &good], folder.path())).await;
    assert!(outcome.result.is_err(), "the nodes hold a longer file than the metadata says");
    let folder = tempfile::tempdir().unwrap();
    good.becomes(Behaviour::Healthy);
    let outcome = run(job(&content, &[&bad, &good], folder.path())).await;
    assert_whole(&outcome, &content, folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_after_every_so_many_bytes_a_single_node_still_delivers() {
    let content = content(200_000);
    for bytes in [5_000, 16_384, 50_001] {
        let folder = tempfile::tempdir().unwrap();
        let node = FaultyNode::start(&content, Behaviour::CutAfter(bytes));
        // Pauses after faults make this slow where every answer is far smaller than a piece.
        let length = if bytes < 10_000 { 40_000 } else { 200_000 };
        let cut = Arc::new(content[..length].to_vec());
        let node = if length == content.len() {
            node
        } else {
            FaultyNode::start(&cut, Behaviour::CutAfter(bytes))
        };
        let outcome = run(job(&cut, &[&node], folder.path())).await;
        assert_whole(&outcome, &cut, folder.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_it() {
    let (content, folder) = (content(500_000), tempfile::tempdir().unwrap());
    let one = FaultyNode::start(&content, Behaviour::LieAt(3));
    let two = FaultyNode::start(&content, Behaviour::Status(404));
    let outcome = run(job(&content, &[&one, &two], folder.path())).await;
    let error = outcome.result.unwrap_err();
    assert!(
        matches!(&error, FetchError::NodesFailed { faults, .. } if faults.len() == 2),
        "{error}"
    );
    assert!(!error.is_unreachable());
    let dead = FaultyNode::start(&content, Behaviour::Dead);
    let outcome = run(DownloadJob {
        timeout: Duration::from_millis(700),
        ..job(&content, &[&dead], folder.path())
    })
    .await;
    assert!(outcome.result.unwrap_err().is_unreachable());
    let outcome = run(job(&content, &[], folder.path())).await;
    assert!(matches!(outcome.result, Err(FetchError::NoNodes { .. })));
    let outcome = run(job(&content, &[&dead], &folder.path().join("gone"))).await;
    assert!(
        matches!(outcome.result, Err(FetchError::Disk(error)) if error.path.ends_with("gone/package.partial"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_gone_for_a_while_then_back() {
    let (content, folder) = (content(2_000_000), tempfile::tempdir().unwrap());
    // The end is far away when both go, also for a busy computer that sees late what has come.
    let one = FaultyNode::start(&content, Behaviour::Limited(100_000));
    let two = FaultyNode::start(&content, Behaviour::Limited(100_000));
    let (left, right) = tokio::join!(run(job(&content, &[&one, &two], folder.path())), async {
        arrived(folder.path(), 200_000).await;
        one.becomes(Behaviour::Dead);
        two.becomes(Behaviour::Dead);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        one.becomes(Behaviour::Healthy);
        two.becomes(Behaviour::Healthy);
    });
    let ((), outcome) = (right, left);
    assert_whole(&outcome, &content, folder.path());
    assert!(!outcome.faults.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_was_killed_goes_on_with_proved_pieces_only() {
    let (content, folder) = (content(3_000_000), tempfile::tempdir().unwrap());
    let node = FaultyNode::start(&content, Behaviour::Limited(300_000));
    let work = || job(&content, &[&node], folder.path());
    // The download is dropped in the middle, like a kill: the journal's last batch may be missing.
    tokio::select! {
        _ = run(work()) => panic!("it has ended already"),
        () = arrived(folder.path(), 500_000) => {}
    }
    let path = folder.path().join("package.partial");
    waiting::until("it is noted what has come", || {
        Partial::marked_bytes(&path, &table(&content)) > 100_000
    });
    // Some of the written bytes rot.
    let mut bytes = std::fs::read(&path).unwrap();
    let rotten = bytes.iter().position(|byte| *byte != 0).unwrap();
    bytes[rotten] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    node.becomes(Behaviour::Healthy);
    let outcome = run(work()).await;
    assert_whole(&outcome, &content, folder.path());
    let resumed = outcome.result.as_ref().unwrap().resumed;
    assert!(resumed > 0 && resumed < content.len() as u64, "{resumed}");
    // All pieces are there: the download sends no request.
    let requests = node.requests();
    let outcome = run(work()).await;
    assert_whole(&outcome, &content, folder.path());
    assert_eq!(node.requests(), requests);
    // Another piece table: the download reuses no old piece.
    let other = Arc::new(content[..2_000_000].to_vec());
    let node = FaultyNode::start(&other, Behaviour::Healthy);
    let outcome = run(job(&other, &[&node], folder.path())).await;
    assert_whole(&outcome, &other, folder.path());
    assert_eq!(outcome.result.unwrap().resumed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_resume_and_cancel() {
    let (content, folder) = (content(3_000_000), tempfile::tempdir().unwrap());
    let slow = Behaviour::Limited(300_000);
    let node = FaultyNode::start(&content, slow.clone());
    let (control, orders) = watch::channel(Control::default());
    let order = |state| control.send_modify(|control| control.state = state);
    let (outcome, ()) =
        tokio::join!(run_with(job(&content, &[&node], folder.path()), client(), orders), async {
            arrived(folder.path(), 200_000).await;
            order(RunState::Pause);
            // Bytes in flight may still arrive.
            let mut sent = node.sent();
            loop {
                tokio::time::sleep(Duration::from_millis(400)).await;
                if node.sent() == sent {
                    break;
                }
                sent = node.sent();
            }
            assert!(sent < 2_500_000, "nothing comes during a pause: {sent}");
            node.becomes(Behaviour::Healthy);
            order(RunState::Run);
        });
    assert_whole(&outcome, &content, folder.path());
    assert!(outcome.faults.is_empty(), "a pause is nobody's fault: {:?}", outcome.faults);
    node.becomes(slow);
    let folder = tempfile::tempdir().unwrap();
    let (control, orders) = watch::channel(Control::default());
    let (outcome, ()) =
        tokio::join!(run_with(job(&content, &[&node], folder.path()), client(), orders), async {
            arrived(folder.path(), 200_000).await;
            control.send_modify(|control| control.state = RunState::Cancel);
        });
    assert!(matches!(outcome.result, Err(FetchError::Cancelled)));
    assert!(
        Partial::marked_bytes(&folder.path().join("package.partial"), &table(&content)) > 0,
        "what came is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bandwidth_cap_holds_and_can_be_lifted() {
    let (content, folder) = (content(2_000_000), tempfile::tempdir().unwrap());
    let node = FaultyNode::start(&content, Behaviour::Healthy);
    let (control, orders) = watch::channel(Control { limit: Some(400_000), ..Control::default() });
    let began = Instant::now();
    let (outcome, (early, seconds)) =
        tokio::join!(run_with(job(&content, &[&node], folder.path()), client(), orders), async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let early = on_disk(folder.path());
            // The time is taken last, so that a delay of this test counts as the node's.
            let seconds = began.elapsed().as_secs_f64();
            control.send_modify(|control| control.limit = None);
            (early, seconds)
        });
    assert_whole(&outcome, &content, folder.path());
    assert!(
        early as f64 <= 400_000.0 * seconds + 800_000.0,
        "{early} bytes after {seconds} s at 400,000 a second"
    );
}

/// A server's claims about its file prove nothing: the hashes do. In each case this node is the
/// only one.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_node_will_do_however_odd_it_is() {
    let content = content(2_000_000);
    let odd = [
        Behaviour::Tags,
        Behaviour::Chunked,
        Behaviour::IgnoreRange,
        Behaviour::AtMost(100_000),
        Behaviour::AtMost(9_000),
        Behaviour::NotEverywhere,
        Behaviour::Late(5_500),
    ];
    let check = async |behaviour: Behaviour| {
        let folder = tempfile::tempdir().unwrap();
        let node = FaultyNode::start(&content, behaviour.clone());
        let outcome = run(job(&content, &[&node], folder.path())).await;
        assert!(outcome.result.is_ok(), "{behaviour:?}: {:?} {:?}", outcome.result, outcome.faults);
        assert_whole(&outcome, &content, folder.path());
        if matches!(behaviour, Behaviour::Tags | Behaviour::AtMost(_)) {
            assert!(outcome.faults.is_empty(), "{behaviour:?}: {:?}", outcome.faults);
        }
    };
    futures_util::future::join_all(odd.map(check)).await;
}

/// One computer that poses as many nodes, each sending a byte now and then, beside one good node.
#[tokio::test(flavor = "multi_thread")]
async fn dripping_nodes_beside_a_good_one_cost_little() {
    let content = content(20_000_000);
    let rate = 4_000_000;
    let good = FaultyNode::start(&content, Behaviour::Limited(rate));
    let slow: Vec<FaultyNode> =
        (0..7).map(|_| FaultyNode::start(&content, Behaviour::Fades(0))).collect();
    let folder = tempfile::tempdir().unwrap();
    let nodes: Vec<&FaultyNode> = slow.iter().chain([&good]).collect();
    let outcome = run(job(&content, &nodes, folder.path())).await;
    assert_whole(&outcome, &content, folder.path());
    assert!(outcome.kinds(&good).is_empty(), "{:?}", outcome.faults);
    assert!(good.sent() < 26_000_000, "{} bytes of the good node", good.sent());
}

/// A small update is one piece: on a slow line its progress is visible all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_piece_is_seen_to_come() {
    let (content, folder) = (content(300_000), tempfile::tempdir().unwrap());
    let node = FaultyNode::start(&content, Behaviour::Limited(100_000));
    let pieces = Arc::new(PieceTable {
        piece_size: 1 << 20,
        length: 300_000,
        hashes: vec![Digest::of(&content)],
    });
    let outcome = run(DownloadJob { pieces, ..job(&content, &[&node], folder.path()) }).await;
    assert!(outcome.result.is_ok());
    let done: Vec<u64> = outcome.progress.iter().map(|progress| progress.done).collect();
    assert!(done.iter().any(|done| (1..300_000).contains(done)), "{done:?}");
    assert!(done.is_sorted() && done.last() == Some(&300_000), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_under_a_cap_is_not_remembered_as_the_nodes() {
    let (content, folder) = (content(400_000), tempfile::tempdir().unwrap());
    let node = FaultyNode::start(&content, Behaviour::Healthy);
    let memory = folder.path().join("nodes.json");
    let (_control, orders) = watch::channel(Control { limit: Some(300_000), ..Control::default() });
    let work =
        DownloadJob { memory: Some(memory.clone()), ..job(&content, &[&node], folder.path()) };
    assert_whole(&run_with(work, client(), orders).await, &content, folder.path());
    assert!(NodeMemory::load(&memory).of(&node.node()).is_none());
}
