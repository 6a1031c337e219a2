//! Peers over real sockets: an object is fetched about once, lying and vanishing peers cost little,
//! and intruders get nothing (docs/security.md, fault 18).

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
    let node = FaultyNode::start(&content, Behaviour::Limited(1_000_000));
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
    let node = FaultyNode::start(&content, Behaviour::Limited(2_000_000));
    let liar = Computer::at(free_port(), Vec::new());
    liar.download(&content, &node).await.result.unwrap();
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

/// A peer that claims to have everything, and handles requests for content with `act`.
fn pretender(content: &[u8], act: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> SocketAddr {
    pretender_called(0xff, content, act)
}

fn pretender_called(
    instance: u64,
    content: &[u8],
    act: impl Fn(&mut TcpStream) + Send + Sync + 'static,
) -> SocketAddr {
    pretender_that_reads(instance, content, move |stream, _| act(stream))
}

/// The same; `act` also gets the head of the request.
fn pretender_that_reads(
    instance: u64,
    content: &[u8],
    act: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let pieces =
        kuzflow::testing::model::PieceSet::of(table(content).count(), 0..table(content).count());
    let none = kuzflow::testing::model::PieceSet::none(table(content).count());
    let reply = serde_json::json!({
        "instance": format!("{instance:016x}"),
        "whole": true,
        "pieces": { "held": pieces.to_hex(), "coming": none.to_hex(), "received": 0 },
    })
    .to_string();
    let act = Arc::new(act);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let (reply, act) = (reply.clone(), Arc::clone(&act));
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut head) {
                    let asked = String::from_utf8_lossy(&head[..count]).into_owned();
                    if asked.contains("/have/") {
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{reply}",
                            reply.len()
                        );
                        let _ = stream.write_all(answer.as_bytes());
                    } else {
                        act(&mut stream, &asked);
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The reaction to a request for content.
type Act = Box<dyn Fn(&mut TcpStream) + Send + Sync>;

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_vanish_refuse_or_lead_astray_cost_little() {
    let content = content(1_000_000);
    let bait = FaultyNode::start(&content, Behaviour::Healthy);
    let elsewhere = bait.url();
    let cases: Vec<(&str, Act, FaultKind)> = vec![
        ("silence", Box::new(|_: &mut TcpStream| std::thread::sleep(LIMIT)), FaultKind::Stalled),
        ("gone", Box::new(|_: &mut TcpStream| ()), FaultKind::Unreachable),
        (
            "astray",
            Box::new(move |stream: &mut TcpStream| {
                let _ = write!(
                    stream,
                    "HTTP/1.1 302 Found\r\nLocation: {elsewhere}x\r\nContent-Length: 0\r\n\r\n"
                );
            }),
            FaultKind::Refused,
        ),
        (
            "endless",
            Box::new(|stream: &mut TcpStream| {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                while stream.write_all(&[0; 4096]).is_ok() {}
            }),
            FaultKind::IgnoredRange,
        ),
    ];
    for (name, act, kind) in cases {
        let node = FaultyNode::start(&content, Behaviour::Limited(400_000));
        let address = pretender(&content, act);
        let computer = Computer::at(free_port(), vec![address]);
        let began = Instant::now();
        let outcome = computer.download(&content, &node).await;
        assert_eq!(outcome.local(), 0, "{name}");
        assert!(
            outcome.faults.iter().any(|fault| fault.fault == kind),
            "{name}: {:?}",
            outcome.faults
        );
        assert!(
            outcome.faults.iter().all(|fault| fault.node.starts_with("near:")),
            "{name}: {:?}",
            outcome.faults
        );
        // This takes some seconds; the silent peer is silent for minutes.
        assert!(began.elapsed() < LIMIT / 2, "{name}: {:?}", began.elapsed());
    }
    assert_eq!(bait.requests(), 0, "a neighbour sends nobody elsewhere");
}

/// Sends a byte each half second, and promises the whole body. The answer is written as a literal.
fn drip(stream: &mut TcpStream) {
    let mut head = [0; 1];
    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
    let _ = stream.write_all(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/1\r\nContent-Length: 1000000\r\n\r\n");
    while !matches!(stream.read(&mut head), Ok(0)) && stream.write_all(b"x").is_ok() {}
}

/// One computer that poses as some peers. They claim to have everything, answer correctly, and send
/// a byte each half second. The downloader has the good node, and fetches from it.
#[tokio::test(flavor = "multi_thread")]
async fn one_computer_that_poses_as_many_peers_holds_up_nobody() {
    let content = content(6_000_000);
    for count in [1, 3, 24] {
        let length = content.len();
        let drip = move |stream: &mut TcpStream, asked: &str| {
            let range = asked.to_lowercase();
            let range = range.split("range: bytes=").nth(1).and_then(|rest| rest.lines().next());
            let Some((first, last)) = range.and_then(|range| range.split_once('-')) else { return };
            let bytes = last.parse::<u64>().unwrap() - first.parse::<u64>().unwrap() + 1;
            let _ = write!(
                stream,
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{last}/{length}\r\nContent-Length: {bytes}\r\n\r\n"
            );
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(500));
            }
        };
        let known =
            (1..=count).map(|number| pretender_that_reads(number, &content, drip)).collect();
        let node = FaultyNode::start(&content, Behaviour::Limited(2_000_000));
        let computer = Computer::at(free_port(), known);
        let began = Instant::now();
        let outcome = computer.download(&content, &node).await;
        assert!(outcome.result.is_ok(), "{count}: {:?} {:?}", outcome.result, outcome.faults);
        assert_eq!(outcome.local(), 0, "{count}");
        // From the node alone it takes three seconds; a piece that the peers never released took
        // two minutes.
        assert!(began.elapsed() < LIMIT / 2, "{count}: {:?}", began.elapsed());
        let sent = node.sent();
        assert!(sent < 9_000_000, "{count}: {sent} bytes of the node for 6,000,000");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_asked_of_many_at_a_time_and_for_a_second() {
    let content = content(100_000);
    let silent = |stream: &mut TcpStream| {
        let _ = stream.read(&mut [0; 1]);
    };
    let mut known: Vec<SocketAddr> =
        (1..=24).map(|number| pretender_called(number, &content, silent)).collect();
    known.extend((25..=36).map(|number| pretender_called(number, &content, drip)));
    let computer = Computer::at(free_port(), known.clone());
    let began = Instant::now();
    assert_eq!(
        computer.peer_network.document(Digest::of(&content), content.len() as u64, true).await,
        None
    );
    // One after another they would take more than half a minute.
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    // The same for files: the downloader leaves each peer that has not sent its first file.
    let wanted = (0..20_u8).map(|number| (Digest::of(&[number]), 30_000_000)).collect();
    let until = Instant::now() + 2 * LIMIT;
    assert_eq!(
        computer.peer_network.files(known, wanted, computer.folder.path(), until, |_| ()).await,
        []
    );
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}

fn say(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(here(port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => answer.extend_from_slice(&buffer[..count]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_and_a_curious_stranger_get_nothing() {
    let content = content(100_000);
    let node = FaultyNode::start(&content, Behaviour::Healthy);
    let computer = Computer::at(free_port(), Vec::new());
    computer.download(&content, &node).await.result.unwrap();
    let (port, digest) = (computer.peer_network.port(), Digest::of(&content));
    let host = format!("Host: 127.0.0.1:{port}\r\n");
    let path = format!("/kuzflow/1/sample/content/{digest}");
    let range = "Range: bytes=0-99\r\n";
    let good = say(port, &format!("GET {path} HTTP/1.1\r\n{host}{range}\r\n"));
    assert!(good.starts_with("HTTP/1.1 206 "), "{good}");
    let head = say(port, &format!("HEAD {path} HTTP/1.1\r\n{host}{range}\r\n"));
    assert!(
        head.starts_with("HTTP/1.1 206 ") && head.to_lowercase().contains("content-length: 100"),
        "{head}"
    );
    let refused = [
        (format!("GET {path} HTTP/1.1\r\nHost: evil.example:{port}\r\n{range}\r\n"), "421"),
        (format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{range}\r\n"), "421"),
        (format!("GET {path} HTTP/1.1\r\n{range}\r\n"), "421"),
        (format!("GET {path} HTTP/1.1\r\n{host}{range}Origin: http://evil.example\r\n\r\n"), "403"),
        (format!("GET {path} HTTP/1.1\r\n{host}{range}Origin: null\r\n\r\n"), "403"),
        (format!("GET {path} HTTP/1.1\r\n{host}{range}Sec-Fetch-Site: cross-site\r\n\r\n"), "403"),
        (
            format!("GET {path} HTTP/1.1\r\n{host}{range}Referer: http://evil.example/\r\n\r\n"),
            "403",
        ),
        (
            format!(
                "OPTIONS {path} HTTP/1.1\r\n{host}Access-Control-Request-Private-Network: true\r\n\r\n"
            ),
            "405",
        ),
        (format!("POST {path} HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n"), "405"),
        (format!("GET /kuzflow/1/other/content/{digest} HTTP/1.1\r\n{host}{range}\r\n"), "404"),
        (
            format!(
                "GET /kuzflow/1/sample/content/{} HTTP/1.1\r\n{host}{range}\r\n",
                Digest::of(b"not of this app")
            ),
            "404",
        ),
        (
            format!("GET /kuzflow/1/sample/content/../../../etc/passwd HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            format!("GET /kuzflow/1/sample/content/..%2f..%2fetc%2fpasswd HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (format!("GET / HTTP/1.1\r\n{host}\r\n"), "404"),
        (format!("GET {path} HTTP/1.1\r\n{host}Range: bytes=0-1,5-6\r\n\r\n"), "416"),
        (format!("GET {path} HTTP/1.1\r\n{host}\r\n"), "200 or nothing"),
        (format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(20_000)), "4"),
        (format!("GET {path} HTTP/1.1\r\n{host}X: {}\r\n\r\n", "a".repeat(20_000)), "4"),
        ("\u{16}\u{3}\u{1} nonsense\r\n\r\n".to_owned(), "4"),
    ];
    for (request, status) in refused {
        let answer = say(port, &request);
        let shown = request.chars().take(200).collect::<String>();
        assert!(!answer.to_lowercase().contains("access-control"), "{shown}: {answer}");
        if status == "200 or nothing" {
            // An object in pieces is not available whole.
            assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        } else {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown}: {answer}");
        }
    }
    let good = say(port, &format!("GET {path} HTTP/1.1\r\n{host}{range}\r\n"));
    assert!(good.starts_with("HTTP/1.1 206 "), "it still works: {good}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let few = PeerOptions {
        connections: 6,
        connections_per_address: 4,
        ..options(folder.path(), 0, Vec::new())
    };
    let peer_network = PeerNetwork::start(few, nothing_installed(), Arc::new(|| true)).unwrap();
    let request = format!(
        "GET /kuzflow/1/sample/have/{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n",
        Digest::of(b""),
        peer_network.port()
    );
    // Connections that send nothing take a place each.
    let idle: Vec<TcpStream> =
        (0..4).map(|_| TcpStream::connect(here(peer_network.port())).unwrap()).collect();
    let answered = |request: &str| {
        let mut stream = TcpStream::connect(here(peer_network.port())).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let _ = stream.write_all(request.as_bytes());
        matches!(stream.read(&mut [0; 64]), Ok(1..))
    };
    assert!(!answered(&request), "a fifth connection of one address");
    drop(idle);
    until("places come back", || answered(&request));
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
