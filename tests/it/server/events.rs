//! The events of `/api/events`: their contents, their receivers, and the limit of listeners.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{connect, get};
use super::repository::Repository;
use super::running::{Nginx, Server};
use crate::support::waiting::until;

/// A listening client; the server counts it once the first line has arrived.
struct Listener {
    stream: BufReader<TcpStream>,
    id: String,
}

impl Listener {
    fn new(address: SocketAddr, question: &str, last: Option<&str>) -> Self {
        let mut stream = connect(address);
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        stream
            .write_all(
                format!("GET /api/events{question} HTTP/1.1\r\nHost: n\r\n{last}\r\n").as_bytes(),
            )
            .unwrap();
        let mut listener = Self { stream: BufReader::new(stream), id: String::new() };
        assert_eq!(listener.line("content-type: "), "text/event-stream");
        assert_eq!(listener.line("retry: "), "10000");
        listener.id = listener.line("id: ");
        listener
    }

    /// The rest of the next line with this beginning.
    fn line(&mut self, start: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(
                self.stream.read_line(&mut line).unwrap() > 0,
                "the stream ended before {start:?}"
            );
            let line = line.trim_end();
            // nginx writes header names with capitals.
            if line.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start)) {
                return line[start.len()..].to_owned();
            }
        }
    }

    /// The next event, and its id.
    fn event(&mut self) -> (Value, String) {
        assert_eq!(self.line("event: "), "release");
        let id = self.line("id: ");
        (serde_json::from_str(&self.line("data: ")).unwrap(), id)
    }
}

fn release(repository: &mut Repository, id: &str, changes: Value) {
    repository.release(id, id.as_bytes(), changes);
    repository.publish();
}

fn reply(app: &str, channel: &str, platform: &str, version: &str) -> Value {
    json!({ "app": app, "channel": channel, "platform": platform, "version": version })
}

#[test]
fn who_listens_hears_of_a_release_and_of_nothing_else() {
    let mut repository = Repository::sample();
    let mut options = repository.options();
    // A connection's time limits do not apply to a listener.
    (options.limits.header_time, options.limits.request_time) =
        (Duration::from_secs(2), Duration::from_secs(2));
    let server = Server::start(options);
    let mut stable =
        Listener::new(server.address, "?app=sample&channel=stable&platform=Linux_x86_64", None);
    let mut all = Listener::new(server.address, "", None);
    assert_eq!(get(server.address, "/healthz").json()["listeners"], 2);
    // A connection with half a request is closed once the limits have passed, and it came after
    // those that listen.
    let mut late = connect(server.address);
    late.write_all(b"GET /healthz HT").unwrap();
    let _closed = late.read_to_end(&mut Vec::new());

    // Metadata that is only signed again gives no event. Neither does another channel, for a
    // listener who did not ask for it.
    repository.publish();
    release(&mut repository, "sample_3.0.0-beta.2_Linux_x86_64", json!({ "channel": "beta" }));
    assert_eq!(all.event().0, reply("sample", "beta", "Linux_x86_64", "3.0.0-beta.2"));
    release(&mut repository, "sample_2.1.0_Linux_x86_64", json!({ "rollout_permille": 100 }));
    for listener in [&mut all, &mut stable] {
        let (event, id) = listener.event();
        assert_eq!(event, reply("sample", "stable", "Linux_x86_64", "2.1.0"));
        assert_ne!(id, listener.id);
    }
    // A rollout that grows, and a halt, concern clients as well.
    release(&mut repository, "sample_2.1.0_Linux_x86_64", json!({ "rollout_permille": 1000 }));
    assert_eq!(stable.event().0["version"], "2.1.0");
    release(&mut repository, "sample_2.1.0_Linux_x86_64", json!({ "halted": true }));
    assert_eq!(stable.event().0["version"], "2.0.0");
    release(&mut repository, "other_1.0.0_Linux_x86_64", json!({}));
    release(&mut repository, "sample_2.2.0_Linux_x86_64", json!({}));
    assert_eq!(stable.event().0["version"], "2.2.0");
}

#[test]
fn who_comes_back_hears_what_was_missed() {
    let mut repository = Repository::sample();
    let question = "?app=sample&channel=stable";
    let first = Listener::new(Server::start(repository.options()).address, question, None);
    // Another server of the same repository has the same ids.
    let server = Server::start(repository.options());
    let mut nothing = Listener::new(server.address, question, Some(&first.id));
    assert_eq!(nothing.id, first.id);
    release(&mut repository, "sample_2.1.0_Linux_x86_64", json!({}));
    let (event, id) = nothing.event();
    assert_eq!(event["version"], "2.1.0", "nothing was missed before");
    let mut back = Listener::new(server.address, question, Some(&first.id));
    assert_eq!(back.event(), (reply("sample", "stable", "Linux_x86_64", "2.1.0"), id.clone()));
    assert_eq!(back.id, id);
    for odd in ["", "nonsense", "\u{e9}"] {
        let mut listener = Listener::new(server.address, question, Some(odd));
        assert_eq!(listener.event().0["version"], "2.1.0", "{odd:?}");
    }
}

#[test]
fn room_is_bounded_and_given_back() {
    let repository = Repository::sample();
    let mut options = repository.options();
    options.limits.listeners = 2;
    let server = Server::start(options);
    let (first, _second) =
        (Listener::new(server.address, "", None), Listener::new(server.address, "", None));
    let refused = get(server.address, "/api/events");
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("600")), "{refused:?}");
    assert_eq!(refused.json()["error"], "no_room");
    assert_eq!(get(server.address, "/healthz").status, 200, "the others are served");
    drop(first);
    // The server knows it once it has read the end of that connection.
    until("there is room", || get(server.address, "/healthz").json()["listeners"] == 1);
    Listener::new(server.address, "", None);
    let bad = get(server.address, "/api/events?platform=nonsense");
    assert_eq!((bad.status, bad.json()["error"].as_str()), (400, Some("bad_request")));
}

#[test]
fn a_server_that_ends_does_not_wait_for_those_who_listen() {
    let repository = Repository::sample();
    let mut options = repository.options();
    options.limits.grace = Duration::from_secs(3600);
    let mut server = Server::start(options);
    let mut listener = Listener::new(server.address, "", None);
    server.tell_to_stop();
    listener.stream.read_to_end(&mut Vec::new()).unwrap();
    server.wait().unwrap();
}

#[test]
fn nginx_passes_events_on_at_once() {
    let mut repository = Repository::sample();
    let server = Server::start(repository.options());
    let Some(nginx) = Nginx::start(repository.path(), Some(server.address)) else { return };
    let mut listener = Listener::new(nginx.address, "?app=sample", None);
    release(&mut repository, "sample_2.1.0_Linux_x86_64", json!({}));
    assert_eq!(listener.event().0["version"], "2.1.0");
    let plain = Nginx::start(repository.path(), None).unwrap();
    assert_eq!(get(plain.address, "/api/events").status, 404, "a static host has none");
}
