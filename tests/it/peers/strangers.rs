//! Peers that lie, vanish, pose as many, or are none.

use super::*;

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
    // All at a time, and each with a node so slow that a busy computer has asked the peer before
    // the end.
    let check = async |(name, act, kind): (&str, Act, FaultKind)| {
        let node = FaultyNode::start(&content, Behaviour::Limited(150_000));
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
    };
    futures_util::future::join_all(cases.into_iter().map(check)).await;
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
