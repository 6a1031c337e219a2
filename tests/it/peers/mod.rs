//! Peers over real sockets: an object is fetched about once, lying and vanishing peers cost little,
//! and intruders get nothing (docs/security.md, fault 18).

mod strangers;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kuzflow::testing::fetch::{
    Client, ClientOptions, Control, DownloadJob, FetchError, FetchEvent, PeerSource, Summary,
    download_among,
};
use kuzflow::testing::model::transfer::{FaultKind, NodeFault};
use kuzflow::testing::model::{Digest, PieceTable};
use kuzflow::testing::peers::{Library, PeerNetwork, PeerOptions, Volume};
use tokio::sync::{mpsc, watch};

use crate::support::faulty_node::{Behaviour, FaultyNode};
use crate::support::waiting::{LIMIT, until};

const PIECE: u32 = 16 << 10;

fn content(length: usize) -> Arc<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(11);
    Arc::new(std::iter::repeat_with(|| random.u8(..)).take(length).collect())
}

fn table(content: &[u8]) -> Arc<PieceTable> {
    let hashes = content.chunks(PIECE as usize).map(Digest::of).collect();
    Arc::new(PieceTable { piece_size: PIECE, length: content.len() as u64, hashes })
}

/// A computer: its folder, and its peer network.
struct Computer {
    folder: tempfile::TempDir,
    peer_network: PeerNetwork,
}

/// A port for a peer network that others know before it starts. It is outside the range of ports
/// that the system assigns, so that no other program gets it meanwhile.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let _ = NEXT.compare_exchange(
        0,
        fastrand::u16(10_000..20_000),
        Ordering::Relaxed,
        Ordering::Relaxed,
    );
    let mut ports = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed));
    ports.find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()).unwrap()
}

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn options(folder: &Path, port: u16, known: Vec<SocketAddr>) -> PeerOptions {
    PeerOptions {
        app: "sample".to_owned(),
        port,
        discover: false,
        known,
        upload_bytes_per_second: 0,
        connections: 64,
        connections_per_address: 64,
        cache: folder.join("neighbours"),
        cache_bytes: 1 << 30,
        cache_time: Duration::from_secs(600),
    }
}

fn nothing_installed() -> Library {
    Arc::new(|_| None)
}

impl Computer {
    fn at(port: u16, known: Vec<SocketAddr>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let peer_network = PeerNetwork::start(
            options(folder.path(), port, known),
            nothing_installed(),
            Arc::new(|| true),
        )
        .unwrap();
        Self { folder, peer_network }
    }

    /// Computers that know each other by their addresses.
    fn many(count: usize) -> Vec<Self> {
        let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let known: Vec<SocketAddr> = ports.iter().map(|port| here(*port)).collect();
        ports.iter().map(|port| Self::at(*port, known.clone())).collect()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("package.partial")
    }

    fn join(&self, content: &[u8]) -> PeerSource {
        self.peer_network.share(
            Digest::of(content),
            &table(content),
            content.len() as u64,
            &self.file(),
        )
    }

    async fn download(&self, content: &[u8], node: &FaultyNode) -> Outcome {
        let mut job = DownloadJob::new(
            "targets/package",
            content.len() as u64,
            table(content),
            vec![node.node()],
            self.file(),
        );
        job.timeout = LIMIT;
        let client = Client::new(&ClientOptions::default()).unwrap();
        let (_control, orders) = watch::channel(Control::default());
        let (sender, mut events) = mpsc::unbounded_channel();
        let peer_source = self.join(content);
        let result = download_among(&client, job, orders, sender, Some(peer_source)).await;
        let mut faults = Vec::new();
        while let Some(event) = events.recv().await {
            if let FetchEvent::Fault(fault) = event {
                faults.push(fault);
            }
        }
        assert!(result.is_err() || std::fs::read(self.file()).unwrap() == content, "another file");
        Outcome { result, faults }
    }

    fn keep(&self, content: &[u8]) {
        self.peer_network.keep(
            Digest::of(content),
            &table(content),
            content.len() as u64,
            &self.file(),
        );
    }
}

struct Outcome {
    result: Result<Summary, FetchError>,
    faults: Vec<NodeFault>,
}

impl Outcome {
    /// Bytes from peers.
    fn local(&self) -> u64 {
        let nodes = &self.result.as_ref().unwrap().nodes;
        nodes.iter().filter(|node| node.region == "LAN").map(|node| node.done).sum()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_network_fetches_an_object_about_once() {
    let content = content(3_000_000);
    let node = FaultyNode::start(&content, Behaviour::Limited(500_000));
    let computers = Computer::many(5);
    let outcomes = futures_util::future::join_all(
        computers.iter().map(|computer| computer.download(&content, &node)),
    )
    .await;
    for outcome in &outcomes {
        assert!(outcome.faults.is_empty(), "{:?}", outcome.faults);
        assert!(outcome.local() > content.len() as u64 / 3, "{}", outcome.local());
    }
    let times = node.sent() as f64 / content.len() as f64;
    assert!(times < 2.2, "{times} times in place of 5");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_later_gets_it_from_the_peer_also_after_a_restart() {
    let content = content(2_000_000);
    let node = FaultyNode::start(&content, Behaviour::Healthy);
    let (first, second) = (free_port(), free_port());
    let one = Computer::at(first, Vec::new());
    one.download(&content, &node).await.result.unwrap();
    one.keep(&content);
    std::fs::remove_file(one.file()).unwrap();
    // A busy computer learns late that the peer has it: the node does not send much until then.
    node.becomes(Behaviour::Limited(50_000));
    let sent = node.sent();
    let late = Computer::at(second, vec![here(first)]);
    let outcome = late.download(&content, &node).await;
    assert!(
        outcome.local() > 1_500_000 && node.sent() - sent < 500_000,
        "{} {}",
        outcome.local(),
        node.sent() - sent
    );
    // The launcher ends and another one starts: it verifies the cached object and offers it again.
    let Computer { folder, peer_network } = one;
    drop(peer_network);
    let _again = PeerNetwork::start(
        options(folder.path(), first, Vec::new()),
        nothing_installed(),
        Arc::new(|| true),
    )
    .unwrap();
    let sent = node.sent();
    let later = Computer::at(free_port(), vec![here(first)]);
    let outcome = later.download(&content, &node).await;
    assert!(
        outcome.local() > 1_500_000 && node.sent() - sent < 500_000,
        "{} {}",
        outcome.local(),
        node.sent() - sent
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lies_is_named_and_left() {
    let content = content(2_000_000);
    let node = FaultyNode::start(&content, Behaviour::Healthy);
    let liar = Computer::at(free_port(), Vec::new());
    liar.download(&content, &node).await.result.unwrap();
    // Slow, so that the liar is asked before the end, however busy the computer is.
    node.becomes(Behaviour::Limited(300_000));
    liar.keep(&content);
    // The file changes unnoticed, as on a rotten disk.
    std::fs::write(liar.file(), vec![0; content.len()]).unwrap();
    let honest = Computer::at(free_port(), vec![here(liar.peer_network.port())]);
    let outcome = honest.download(&content, &node).await;
    assert_eq!(outcome.local(), 0);
    let wrong: Vec<_> =
        outcome.faults.iter().filter(|fault| fault.fault == FaultKind::WrongBytes).collect();
    assert!(
        wrong.len() == 1 && wrong[0].dropped && wrong[0].node.starts_with("near:"),
        "{:?}",
        outcome.faults
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_from_those_that_have_them_and_only_as_they_were_signed() {
    let folder = tempfile::tempdir().unwrap();
    let contents: Vec<Vec<u8>> =
        (0_u8..20).map(|number| vec![number; 1000 + usize::from(number)]).collect();
    let mut share_index = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, content).unwrap();
        share_index.push((Digest::of(content), Volume { path, size: content.len() as u64 }));
    }
    // One file was changed since its installation.
    std::fs::write(folder.path().join("3"), vec![9; 1003]).unwrap();
    let library: Library = Arc::new(move |digest| {
        share_index.iter().find(|(held, _)| held == digest).map(|(_, volume)| volume.clone())
    });
    let peer_network =
        PeerNetwork::start(options(folder.path(), 0, Vec::new()), library, Arc::new(|| true))
            .unwrap();
    let wrong = FaultyNode::start(&Arc::new(vec![1; 1001]), Behaviour::Healthy);
    let wrong_address: SocketAddr =
        wrong.url().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let asker = Computer::at(free_port(), vec![here(peer_network.port()), wrong_address]);
    // Each peer is asked for a moment only, in which a busy computer may not answer.
    let mut holders = Vec::new();
    for _ in 0..60 {
        holders = asker.peer_network.holders(Digest::of(&contents[0])).await;
        if !holders.is_empty() {
            break;
        }
    }
    assert_eq!(holders, [here(peer_network.port())]);
    let wanted =
        contents.iter().map(|content| (Digest::of(content), content.len() as u64)).collect();
    let to = tempfile::tempdir().unwrap();
    let reported = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&reported);
    let until = Instant::now() + LIMIT;
    let all = vec![wrong_address, here(peer_network.port())];
    let tell = move |bytes| {
        count.fetch_add(bytes, Ordering::Relaxed);
    };
    let placed = asker.peer_network.files(all, wanted, to.path(), until, tell).await;
    // The liar is right about one of them by chance. The changed file ends the use of the peer that
    // should have it, once for each of its connections.
    assert!(
        placed.iter().all(|(digest, path)| Digest::of(&std::fs::read(path).unwrap()) == *digest)
    );
    assert!(!placed.iter().any(|(digest, _)| *digest == Digest::of(&contents[3])));
    assert_eq!(
        reported.load(Ordering::Relaxed),
        placed.iter().map(|(_, path)| path.metadata().unwrap().len()).sum::<u64>()
    );
    assert_eq!(
        std::fs::read_dir(to.path()).unwrap().count(),
        placed.len(),
        "nothing unproved is left"
    );
    assert!(placed.len() > 3, "{}", placed.len());
}

/// Whether multicast goes from this computer to itself over a network other than the loopback one.
fn multicast_works() -> bool {
    let group = Ipv4Addr::new(239, 77, 77, 77);
    let probe = || -> std::io::Result<bool> {
        // The address that packets to the outside would have.
        let out = UdpSocket::bind("0.0.0.0:0")?;
        out.connect("192.0.2.1:9")?;
        let SocketAddr::V4(own) = out.local_addr()? else { return Ok(false) };
        if own.ip().is_loopback() || !(own.ip().is_private() || own.ip().is_link_local()) {
            return Ok(false);
        }
        let hear = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        hear.join_multicast_v4(&group, own.ip())?;
        hear.set_read_timeout(Some(Duration::from_secs(1)))?;
        let say = UdpSocket::bind((*own.ip(), 0))?;
        say.send_to(b"anybody?", (group, hear.local_addr()?.port()))?;
        Ok(hear.recv_from(&mut [0; 16]).is_ok())
    };
    probe().unwrap_or(false)
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_find_each_other_where_multicast_works() {
    if !multicast_works() {
        eprintln!("no multicast on this computer: nothing to see");
        return;
    }
    let start = |app: &str| {
        let folder = tempfile::tempdir().unwrap();
        let options = PeerOptions {
            app: app.to_owned(),
            discover: true,
            ..options(folder.path(), 0, Vec::new())
        };
        (PeerNetwork::start(options, nothing_installed(), Arc::new(|| true)).unwrap(), folder)
    };
    let app = format!("sample-{:x}", fastrand::u32(..));
    // Forged records: of addresses that are not here, of a system's service, and under another
    // launcher's name.
    let forger = mdns_sd::ServiceDaemon::new().unwrap();
    for (name, id, address, port) in [
        ("00000000000000a1", "00000000000000a1", "8.8.8.8", 4711),
        ("00000000000000a2", "00000000000000a2", "127.0.0.1", 4711),
        ("00000000000000a3", "00000000000000a3", "192.168.1.1", 80),
        ("00000000000000a4", "00000000000000a5", "192.168.1.1", 4711),
        ("anything", "anything", "192.168.1.1", 4711),
    ] {
        let properties = [("v", "1"), ("app", app.as_str()), ("id", id)];
        let host = format!("{name}.local.");
        let record = mdns_sd::ServiceInfo::new(
            "_kuzflow._tcp.local.",
            name,
            &host,
            address,
            port,
            &properties[..],
        )
        .unwrap();
        forger.register(record).unwrap();
    }
    let (one, two, stranger) = (start(&app), start(&app), start("another-app"));
    until("they know each other", || (one.0.known(), two.0.known()) == (1, 1));
    assert_eq!(stranger.0.known(), 0, "another app's installations are strangers");
    // Time for the forged records to arrive as well.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((one.0.known(), two.0.known()), (1, 1), "a forged record is nobody");
    let _ = forger.shutdown();
    drop(two);
    until("a goodbye is heard", || one.0.known() == 0);
}
