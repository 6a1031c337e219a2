//! Hints about a possible release: the real server through the launcher's own listener, and hosts
//! without events, or with wrong ones.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use kuzflow::testing::fetch::{Client, ClientOptions};
use kuzflow::testing::schedule::push::{self, Pace, Subscription};
use kuzflow::testing::schedule::schedule::{Check, CheckEnd, Reason, ScheduleInput};
use kuzflow::testing::schedule::watch::{Watch, WatchOptions};
use kuzflow::testing::settings::Settings;

use crate::support::release::World;
use crate::support::waiting;

/// Longer than any step here takes; an awaited hint that does not come by then is a failure.
const LONG: Duration = waiting::LIMIT;
/// Longer than a client needs that may come at once, also on a busy machine.
const WHILE: Duration = Duration::from_millis(500);

/// Settings with a first check in the far future, and with hints that are followed at once.
fn settings(api: &str) -> Settings {
    let text = format!(
        "app = 'sample'\napi = 'http://{api}/'\n[[nodes]]\nid = 'one'\nurl = 'http://{api}/'\n\
         [update]\ndelay_seconds = 7200\npush_spread_seconds = 0\n"
    );
    Settings::parse(&text, Path::new("launcher.toml")).unwrap()
}

/// A listener that reconnects at once, except after an address without events.
fn hasty() -> Pace {
    let (first, longest) = (Duration::from_millis(20), Duration::from_millis(100));
    Pace { first, longest, absent: LONG * 60, good: Duration::ZERO, asked: longest, silence: LONG }
}

/// The hints that follow from `settings`, until this is dropped.
struct Hints {
    received: mpsc::Receiver<()>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Hints {
    fn of(settings: &Settings, pace: Pace) -> Self {
        let subscription = Subscription::of(settings).unwrap();
        let (sender, received) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = Client::new(&ClientOptions::default()).unwrap();
                let hint = || sender.send(()).unwrap();
                tokio::select! {
                    never = push::listen(&client, &subscription, pace, 1, hint) => match never {},
                    _ = stopped => {}
                }
            });
        });
        Self { received, stop: Some(stop), thread: Some(thread) }
    }

    fn next(&self) {
        self.received.recv_timeout(LONG).expect("a hint");
    }

    fn none(&self) {
        assert!(self.received.recv_timeout(WHILE).is_err(), "a hint out of nothing");
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        _ = self.stop.take().map(|stop| stop.send(()));
        _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// An address for a server that will be restarted: no other program takes its port meanwhile, since
/// no other one uses this address. Only Linux has all of 127.0.0.0/8.
fn own_address(test: u8) -> String {
    if cfg!(target_os = "linux") { format!("127.0.7.{test}:0") } else { "127.0.0.1:0".to_owned() }
}

/// Waits until a server has so many listeners.
fn wait_for_listeners(address: &str, count: u64) {
    waiting::until(&format!("{count} listeners"), || listeners(address) == Some(count));
}

fn listeners(address: &str) -> Option<u64> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    body["listeners"].as_u64()
}

#[test]
fn a_release_that_is_published_leads_to_a_check_at_once() {
    let world = World::new();
    world.release("1.0.0", 1 << 16);
    let server = world.serve();
    let (sender, checks) = mpsc::channel();
    let watch = Watch::start(WatchOptions::of(&settings(&server.address)), move |check| {
        sender.send(check).unwrap()
    })
    .unwrap();
    wait_for_listeners(&server.address, 1);
    world.release("1.1.0", 1 << 16);
    let check: Check = checks.recv_timeout(LONG).expect("a check");
    assert_eq!(check.reason, Reason::Hint);
    // The next hint comes, and waits its turn.
    watch.tell(ScheduleInput::Ended(CheckEnd::Answered));
    world.release("1.2.0", 1 << 16);
    watch.tell(ScheduleInput::Hint);
    assert!(checks.recv_timeout(WHILE).is_err(), "hints are followed every five minutes at most");
    watch.tell(ScheduleInput::Asked);
    assert_eq!(
        checks.recv_timeout(LONG).expect("a check").reason,
        Reason::Asked,
        "a person does not wait"
    );
    drop(watch);
    wait_for_listeners(&server.address, 0);
}

#[test]
fn nobody_listens_if_the_settings_do_not_want_it() {
    let mut settings = settings("127.0.0.1:9");
    assert!(Subscription::of(&settings).is_some());
    settings.update.push = false;
    assert!(Subscription::of(&settings).is_none());
    settings.update.push = true;
    settings.api = None;
    assert!(Subscription::of(&settings).is_none(), "nodes may be plain files");
}

#[test]
fn what_was_published_while_the_server_was_down_is_heard_of_when_it_is_back() {
    let world = World::new();
    world.release("1.0.0", 1 << 16);
    let server = world.serve_at(&own_address(1), &[]);
    let address = server.address.clone();
    let hints = Hints::of(&settings(&address), hasty());
    wait_for_listeners(&address, 1);
    drop(server);
    world.release("1.1.0", 1 << 16);
    hints.none();
    let server = world.serve_at(&address, &[]);
    hints.next();
    // Another restart, which has no effect.
    drop(server);
    let _server = world.serve_at(&address, &[]);
    wait_for_listeners(&address, 1);
    hints.none();
    world.release("1.2.0", 1 << 16);
    hints.next();
}

#[test]
fn a_server_that_was_not_there_at_the_start_is_announced() {
    let world = World::new();
    world.release("1.0.0", 1 << 16);
    let address = world.serve_at(&own_address(2), &[]).address.clone();
    // It is known that the listener has tried, and no server has answered.
    let gone = TcpListener::bind(&address).unwrap();
    let hints = Hints::of(&settings(&address), hasty());
    drop(gone.accept().unwrap());
    drop(gone);
    hints.none();
    let _server = world.serve_at(&address, &[]);
    hints.next();
}

/// A host that runs a function for each connection after it has read the request. The function gets
/// whether the client has named an event that it has heard; the host reports each request.
struct Host {
    address: String,
    requests: mpsc::Receiver<String>,
}

impl Host {
    fn start(behave: impl Fn(bool, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let head = head.join("\n");
                let has_heard = head.contains("last-event-id");
                if sender.send(head).is_err() {
                    return;
                }
                behave(has_heard, &mut stream);
            }
        });
        Self { address, requests }
    }

    fn request(&self) -> String {
        self.requests.recv_timeout(LONG).expect("a request")
    }

    fn no_request(&self) {
        assert!(self.requests.recv_timeout(WHILE).is_err(), "it was asked again");
    }
}

const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nConnection: close\r\n\r\n";
const RELEASE: &[u8] = b"event: release\nid: 7\ndata: {\"app\":\"sample\",\"channel\":\"stable\",\"version\":\"9.9.9\"}\n\n";

/// Holds the connection until the other end closes it.
fn hold(stream: &mut TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn a_host_without_events_is_left_alone() {
    for status in ["404 Not Found", "403 Forbidden", "410 Gone"] {
        let host = Host::start(move |_, stream| {
            let _ = stream
                .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        });
        let hints = Hints::of(&settings(&host.address), hasty());
        let request = host.request();
        assert!(
            request.starts_with("GET /api/events?app=sample&channel=stable&platform="),
            "{request}"
        );
        host.no_request();
        hints.none();
    }
}

#[test]
fn pages_and_errors_are_no_events() {
    let body = String::from_utf8_lossy(RELEASE);
    for head in [
        "200 OK\r\nContent-Type: text/html",
        "503 No Room\r\nContent-Type: text/event-stream",
        "204 None",
        "200 OK",
    ] {
        let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}");
        let host = Host::start(move |_, stream| drop(stream.write_all(answer.as_bytes())));
        let hints = Hints::of(&settings(&host.address), hasty());
        (0..3).for_each(|_| drop(host.request()));
        hints.none();
    }
}

#[test]
fn nonsense_is_passed_over_and_events_of_others_too() {
    let host = Host::start(|has_heard, stream| {
        if has_heard {
            return hold(stream);
        }
        let mut random = fastrand::Rng::with_seed(1);
        let mut garbage =
            b"data: \xff\xfe\n\nevent: release\n\nevent: release\ndata: [1, {]}\n\nevent: release\ndata: 7\n\n".to_vec();
        garbage.extend((0..20_000).map(|_| random.u8(..)));
        garbage.extend(b"\n\nevent: other\ndata: {\"app\":\"sample\"}\n\n");
        garbage.extend(
            b"event: release\ndata: {\"app\":\"another\"}\n\nevent: release\ndata: {\"app\":\"sample\",\"channel\":\"beta\"}\n\n",
        );
        garbage.extend(b"event: release\ndata: {\"app\":\"sample\",\"platform\":\"Plan9_mips\"}\n\nid: garbage\n\n");
        let _ = stream.write_all(&[STREAM, &garbage].concat());
    });
    let hints = Hints::of(&settings(&host.address), hasty());
    host.request();
    assert!(host.request().contains("last-event-id: garbage"), "all of it was read");
    hints.none();
}

#[test]
fn lines_without_an_end_and_floods_end_the_connection() {
    let flood = |piece: &'static [u8]| {
        Host::start(move |_, stream| {
            let _ = stream.write_all(STREAM);
            // The loop ends when the client closes the connection.
            while stream.write_all(&piece.repeat(100)).is_ok() {}
        })
    };
    for piece in [b"data: never an end".as_slice(), b"data\n", b":\n", RELEASE] {
        let host = flood(piece);
        let hints = Hints::of(&settings(&host.address), hasty());
        (0..3).for_each(|_| drop(host.request()));
        let heard = hints.received.try_iter().count();
        assert!(piece == RELEASE || heard == 0, "{heard} hints of {piece:?}");
        // At most one hint for each read of the socket, and a connection may send 64 KiB.
        assert!(heard < 4 * 700, "{heard} hints");
    }
}

#[test]
fn silence_ends_a_connection_and_the_id_is_retained() {
    // A busy host may answer only after the client has given a connection up.
    let host = Host::start(|has_heard, stream| {
        let _ = stream.write_all(STREAM);
        if !has_heard {
            let _ = stream.write_all(RELEASE);
        }
        hold(stream);
    });
    let hints = Hints::of(
        &settings(&host.address),
        Pace { silence: Duration::from_millis(100), ..hasty() },
    );
    assert!(!host.request().contains("last-event-id"));
    hints.next();
    while !host.request().contains("last-event-id: 7") {}
    assert!(host.request().contains("last-event-id: 7"));
    hints.none();
}

#[test]
fn one_connection_at_a_time() {
    let host = Host::start(|_, stream| {
        let _ = stream.write_all(&[STREAM, RELEASE].concat());
        hold(stream);
    });
    let hints = Hints::of(&settings(&host.address), hasty());
    host.request();
    hints.next();
    host.no_request();
    drop(hints);
    host.no_request();
}
