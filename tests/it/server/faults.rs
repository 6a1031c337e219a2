//! Clients and files that misbehave, the end of a server, and the fault-injection proxy.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kuzflow::testing::model::Digest;
use kuzflow::testing::server::fault_injection::FaultInjection;

use super::client::{connect, get, read_answer};
use super::repository::{Repository, package, package_path};
use super::running::Server;
use crate::support::waiting::until;

#[test]
fn a_flood_of_checks_is_answered_and_broken_requests_are_not() {
    let repository = Repository::sample();
    let server = Server::start(repository.options());
    let address = server.address;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(move || {
                let mut stream = BufReader::new(connect(address));
                for _ in 0..500 {
                    let request = "GET /api/containers/check_update?platform=Linux_x86_64&current_version=1.0.0 HTTP/1.1\r\nHost: n\r\n\r\n";
                    stream.get_mut().write_all(request.as_bytes()).unwrap();
                    assert_eq!(read_answer(&mut stream, false).status, 200);
                }
            })
        })
        .collect();
    for request in [
        "nonsense\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "GET /\0 HTTP/1.1\r\nHost: n\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nHost: n\r\n\r\n", "a".repeat(5000)),
        format!("GET /{} HTTP/1.1\r\nHost: n\r\n\r\n", "a".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nHost: n\r\nX: {}\r\n\r\n", "a".repeat(100_000)),
        format!("GET / HTTP/1.1\r\nHost: n\r\n{}\r\n", "X: a\r\n".repeat(1000)),
    ] {
        let mut stream = connect(address);
        _ = stream.write_all(request.as_bytes()); // the server may close before it has all of it
        let mut status = [0; 12];
        let refused = match stream.read_exact(&mut status) {
            Ok(()) => status.starts_with(b"HTTP/1.1 4"),
            Err(_) => true,
        };
        assert!(
            refused,
            "{:?}: {}",
            &request[..20.min(request.len())],
            String::from_utf8_lossy(&status)
        );
    }
    for client in clients {
        client.join().unwrap();
    }
}

/// A repository with a package larger than the system's socket buffers (some MB on loopback), as a
/// sparse file.
fn with_large_package(length: u64) -> (Repository, String) {
    let mut repository = Repository::sample();
    let name = format!("{}.large", Digest::of(b"large"));
    let file = std::fs::File::create(repository.path().join("targets").join(&name)).unwrap();
    file.set_len(length).unwrap();
    repository.publish();
    (repository, format!("/targets/{name}"))
}

#[test]
fn clients_that_send_or_read_too_slowly_are_left() {
    let (repository, large) = with_large_package(256 << 20);
    let mut options = repository.options();
    options.limits.header_time = Duration::from_secs(1);
    options.limits.stall_time = Duration::from_secs(1);
    (options.limits.connections, options.limits.listeners) = (4, 0);
    let server = Server::start(options);

    // There is room again although no client leaves by itself.
    let mut senders: Vec<TcpStream> = (0..4).map(|_| connect(server.address)).collect();
    senders[0].write_all(b"GET /healthz HT").unwrap();
    assert_eq!(get(server.address, "/healthz").status, 200);

    let mut readers: Vec<TcpStream> = (0..4).map(|_| connect(server.address)).collect();
    // All requests are there before the first answer is waited for: none of them may come late.
    for stream in &mut readers {
        stream.write_all(format!("GET {large} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).unwrap();
    }
    for stream in &mut readers {
        stream.read_exact(&mut [0; 15]).unwrap();
    }
    assert_eq!(get(server.address, "/healthz").status, 200);
    let mut buffer = vec![0; 1 << 20];
    let mut rest = |mut stream: TcpStream| -> usize {
        std::iter::from_fn(|| stream.read(&mut buffer).ok().filter(|count| *count > 0)).sum()
    };
    let shortest = readers.into_iter().map(&mut rest).min().unwrap();
    assert!(
        shortest < 200 << 20,
        "{shortest} bytes: the connection that was left ends before the file does"
    );
}

#[test]
fn a_file_cut_while_it_is_sent_breaks_the_connection() {
    let (repository, large) = with_large_package(64 << 20);
    let server = Server::start(repository.options());
    let mut stream = connect(server.address);
    stream.write_all(format!("GET {large} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).unwrap();
    std::fs::File::options()
        .write(true)
        .open(repository.path().join(&large[1..]))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let mut rest = Vec::new();
    _ = stream.read_to_end(&mut rest); // an end or a reset, but an end
    assert!(rest.len() < 63 << 20, "{} bytes", rest.len());
}

#[test]
fn asked_to_stop_it_ends_what_runs_and_takes_no_more() {
    let (repository, large) = with_large_package(64 << 20);
    let mut server = Server::start(repository.options());
    let mut idle = connect(server.address);
    let mut stream = BufReader::new(connect(server.address));
    stream
        .get_mut()
        .write_all(format!("GET {large} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes())
        .unwrap();
    stream.fill_buf().unwrap();
    server.tell_to_stop();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "an idle connection is closed");
    until("no new connections", || TcpStream::connect(server.address).is_err());
    assert_eq!(read_answer(&mut stream, false).body.len(), 64 << 20, "a running answer ends");
    server.wait().unwrap();

    let mut options = repository.options();
    options.limits.grace = Duration::from_millis(50);
    let mut server = Server::start(options);
    let mut stuck = connect(server.address);
    stuck.write_all(format!("GET {large} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).unwrap();
    stuck.read_exact(&mut [0; 15]).unwrap();
    server.tell_to_stop();
    server.wait().unwrap(); // although the client reads no further
}

#[test]
fn a_rehearsed_node_is_slow_then_dead() {
    let repository = Repository::sample();
    let server = Server::start(repository.options());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let relay = |fault_injection: FaultInjection| {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        (address, runtime.spawn(fault_injection.run(listener, server.address)))
    };
    let (address, _running) =
        relay(FaultInjection { bytes_per_second: Some(4_000_000), dies_after_bytes: None });
    let began = Instant::now();
    assert!(get(address, &package_path()).body == package());
    assert!(
        began.elapsed() >= Duration::from_millis(250),
        "a megabyte at 4 MB/s took {:?}",
        began.elapsed()
    );

    let (address, running) =
        relay(FaultInjection { bytes_per_second: None, dies_after_bytes: Some(600_000) });
    let mut stream = connect(address);
    stream
        .write_all(format!("GET {} HTTP/1.1\r\nHost: n\r\n\r\n", package_path()).as_bytes())
        .unwrap();
    let mut got = Vec::new();
    _ = stream.read_to_end(&mut got);
    assert!((1..=600_000).contains(&got.len()), "{} bytes", got.len());
    runtime.block_on(running).unwrap().unwrap();
    assert!(TcpStream::connect(address).is_err(), "dead nodes take no connections");
}
