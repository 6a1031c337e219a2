//! Builds on request: an app goes up as an archive, and a launcher installs what comes of it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use kuzflow::testing::model::Platform;
use serde_json::Value;

use super::{address, new_token};
use crate::server::client::{Answer, ask, get, post, post_with};
use crate::support::program;
use crate::support::release::{NodeProcess, PROGRAM, World, kuzflow, started_versions, text};
use crate::support::waiting::until;

const BUILD: &str = "/api/containers/build";

/// Whether this computer lets a build have its sandbox.
fn has_sandbox() -> bool {
    let tried = Command::new("bwrap")
        .args(["--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"])
        .output();
    tried.is_ok_and(|output| output.status.success())
}

/// A publisher's folder with one release, a server that builds, and a token.
struct Service {
    world: World,
    node: NodeProcess,
    token: String,
}

impl Service {
    fn begin() -> Self {
        let world = World::new();
        world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
        let node = serve(&world, "127.0.0.1:0");
        let token = new_token(&world.path("data"), "ci", "build");
        Self { world, node, token }
    }

    fn address(&self) -> SocketAddr {
        address(&self.node)
    }

    fn ask(&self, method: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        ask(self.address(), method, path, &[("Authorization", &bearer)])
    }

    fn send(
        &self,
        fields: &[(&str, &str)],
        archive: Option<&[u8]>,
        more: &[(&str, &str)],
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let head = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "multipart/form-data; boundary=edge"),
        ];
        post_with(self.address(), BUILD, &[&head, more].concat(), &form(fields, archive))
    }

    /// Orders version 2.0.0 of this archive, and returns the build's id.
    fn order(&self, config: &str, archive: &[u8]) -> String {
        let platform = Platform::current().to_string();
        let fields = [("version", "2.0.0"), ("platform", &platform), ("build_config", config)];
        let answer = self.send(&fields, Some(archive), &[]);
        assert_eq!(answer.status, 202, "{}", answer.json());
        let answer = answer.json();
        assert_eq!(answer["status"], "queued", "{answer}");
        answer["build_id"].as_str().unwrap().to_owned()
    }

    fn build(&self, id: &str) -> Value {
        self.ask("GET", &format!("{BUILD}/{id}")).json()
    }

    /// Waits until the build has this status.
    fn wait(&self, id: &str, status: &str) -> Value {
        until(&format!("the build is {status}"), || {
            let build = self.build(id);
            let is_other_end = ["done", "failed", "cancelled"]
                .iter()
                .any(|end| *end != status && build["status"] == *end);
            assert!(!is_other_end, "{build:#}\n{}", self.log(id));
            build["status"] == status
        });
        self.build(id)
    }

    fn log(&self, id: &str) -> String {
        fs::read_to_string(self.world.path("data/builds").join(id).join("log")).unwrap_or_default()
    }
}

fn serve(world: &World, at: &str) -> NodeProcess {
    let data = world.path("data");
    let mut more = vec!["--data", text(&data)];
    if !has_sandbox() {
        eprintln!("without a sandbox: this computer has no bubblewrap, or lets it make none");
        more.push("--unsandboxed");
    }
    world.serve_at(at, &more)
}

fn form(fields: &[(&str, &str)], archive: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let head = format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend([head.as_bytes(), value.as_bytes(), b"\r\n"].concat());
    }
    if let Some(archive) = archive {
        let head = "--edge\r\nContent-Disposition: form-data; name=\"archive\"; filename=\"app.tar\"\r\n\r\n";
        body.extend([head.as_bytes(), archive, b"\r\n"].concat());
    }
    body.extend(b"--edge--\r\n");
    body
}

/// An archive with the sample program in a folder, and more files.
fn archive(more: &[(&str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join(PROGRAM);
    program::write(&app);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_path_with_name(&app, format!("my-app-2.0/{PROGRAM}")).unwrap();
    for (name, content) in more {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, format!("my-app-2.0/{name}"), content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn config() -> String {
    format!(
        r#"{{"entry": "exe:{PROGRAM}", "runtime": "none", "display_name": "示例 Sample", "level": 1}}"#
    )
}

/// The events of a build from a place on: their ids, kinds and data.
fn events(answer: &Answer) -> Vec<(String, String, Value)> {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.to_owned()
    };
    let events = text.split("\n\n").filter(|event| event.contains("data: "));
    events
        .map(|event| {
            let data = serde_json::from_str(&field(event, "data: ")).unwrap();
            (field(event, "id: "), field(event, "event: "), data)
        })
        .collect()
}

#[test]
fn an_archive_becomes_a_release_that_a_launcher_installs() {
    let service = Service::begin();
    let world = &service.world;
    let sent = archive(&[("data.txt", "new in 2.0.0")]);
    let id = service.order(&config(), &sent);
    let done = service.wait(&id, "done");
    assert_eq!(done["x_user"], "ci", "{done:#}");
    let result = &done["result"];
    let ratio = result["compression_ratio"].as_f64().unwrap();
    assert!(ratio > 0.0 && ratio.is_finite(), "{done:#}");
    let container = format!("sample_2.0.0_{}", Platform::current());
    assert_eq!(result["container_id"], container.as_str());
    // What it worked with goes with its last word.
    let files = || fs::read_dir(world.path("data/builds").join(&id)).unwrap().count();
    until("the log and the package are left", || files() == 2);

    // Its log, whole and from the middle.
    let path = format!("{BUILD}/{id}/events");
    let all = events(&service.ask("GET", &path));
    let (last_id, kind, last) = all.last().unwrap();
    assert_eq!((last_id.as_str(), kind.as_str()), ("end", "status"));
    assert_eq!(last["status"], "done");
    let lines = all.iter().filter(|(_, kind, _)| kind == "log").count();
    assert!(lines > 2, "{all:?}");
    let bearer = format!("Bearer {}", service.token);
    let from = |id: &str| {
        let fields = [("Authorization", bearer.as_str()), ("Last-Event-ID", id)];
        ask(service.address(), "GET", &path, &fields)
    };
    let rest = events(&from(&all[0].0));
    assert_eq!(rest[..], all[1..]);
    assert_eq!(from("end").status, 204);

    // Sent again it is the same build.
    let platform = Platform::current().to_string();
    let config = config();
    let fields = [("version", "2.0.0"), ("platform", platform.as_str()), ("build_config", &config)];
    let again = service.send(&fields, Some(&sent), &[]);
    assert_eq!((again.status, again.json()["build_id"].as_str()), (200, Some(id.as_str())));

    // Whoever has the key publishes it; a download that broke off goes on.
    let token = world.path("token");
    fs::write(&token, &service.token).unwrap();
    let server = format!("http://{}/", service.node.address);
    let publisher = world.path("publisher");
    let partial = publisher.join("packages").join(format!("{id}.part"));
    let package = service.ask("GET", &format!("{BUILD}/{id}/package")).body;
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, &package[..package.len() / 2]).unwrap();
    let publish = [
        "publish",
        "--build",
        &id,
        "--server",
        &server,
        "--repo",
        text(&publisher),
        "--no-patches",
    ];
    let refused = kuzflow(&publish);
    assert_eq!(refused.code, 1, "without a token");
    let published = kuzflow(&[&publish[..], &["--token-file", text(&token)]].concat());
    assert_eq!(published.code, 0, "{}", published.errors);
    let fetched = published.events.iter().find(|event| event["event"] == "fetched").unwrap();
    let missing = package.len() - package.len() / 2;
    assert_eq!(fetched["bytes"].as_u64(), Some(missing as u64), "{fetched}");
    assert!(!partial.exists());

    world.configure(&[&service.node.address], "");
    world.update();
    assert_eq!(started_versions(&world.start()), ["2.0.0"]);
}

#[test]
fn strangers_and_mistakes_are_refused() {
    let service = Service::begin();
    let world = &service.world;
    let to = service.address();
    assert_eq!(post(to, BUILD, b"").status, 401);
    for (method, path) in [
        ("GET", "/api/containers/builds"),
        ("GET", "/api/containers/build/0123"),
        ("DELETE", "/api/containers/build/0123"),
        ("GET", "/api/containers/build/0123/events"),
        ("GET", "/api/containers/build/0123/package"),
    ] {
        assert_eq!(ask(to, method, path, &[]).status, 401, "{path}");
        let reader =
            format!("Bearer {}", fs::read_to_string(world.path("data/read-token")).unwrap().trim());
        assert_eq!(ask(to, method, path, &[("Authorization", &reader)]).status, 403, "{path}");
        let expected = if path.ends_with("builds") { 200 } else { 404 };
        assert_eq!(service.ask(method, path).status, expected, "{path}");
    }
    let platform = Platform::current().to_string();
    let good = [("version", "2.0.0"), ("platform", platform.as_str())];
    let refused = |fields: &[(&str, &str)], archive: Option<&[u8]>| {
        let answer = service.send(fields, archive, &[]);
        (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(refused(&good, None).0, 400);
    assert_eq!(refused(&good[..1], Some(b"x")).0, 400);
    let (status, message) =
        refused(&[good[0], good[1], ("build_config", r#"{"network": true}"#)], Some(b"x"));
    assert!(status == 400 && message.contains("[server.builds]"), "{message}");
    assert_eq!(refused(&[good[0], good[1], ("git_ref", "main")], None).0, 400);

    // A file that leaves the folder.
    let evil = {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..7].copy_from_slice(b"../evil");
        header.set_size(0);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, &b""[..]).unwrap();
        builder.into_inner().unwrap()
    };
    let id = service.order(&config(), &evil);
    let failed = service.wait(&id, "failed");
    assert_eq!(failed["error"]["code"], "source", "{failed:#}");
    assert_eq!(service.ask("GET", &format!("{BUILD}/{id}/package")).status, 409);

    // Two requests with one key are one build; cancelling what has ended changes nothing.
    let keyed = |key: &str| {
        let answer =
            service.send(&good, Some(&evil), &[("Idempotency-Key", key), ("X-User", "ann")]);
        answer.json()["build_id"].as_str().unwrap().to_owned()
    };
    let first = keyed("run 1");
    assert_eq!(keyed("run 1"), first);
    assert_ne!(keyed("run 2"), first);
    let of = |user: &str| {
        let answer = service.ask("GET", &format!("/api/containers/builds?x_user={user}")).json();
        answer["builds"].as_array().unwrap().len()
    };
    assert_eq!((of("ann"), of("ci"), of("ben")), (2, 1, 0));
    assert_eq!(service.ask("DELETE", &format!("{BUILD}/{id}")).json()["status"], "failed");
    let deeds = kuzflow(&["audit", "--data", text(&world.path("data"))]).result;
    let deeds = deeds["entries"].as_array().unwrap().iter();
    assert_eq!(deeds.filter(|entry| entry["what"] == "build_new").count(), 3);

    // Without a store there are no builds.
    let plain = world.serve();
    assert_eq!(get(address(&plain), "/api/containers/builds").status, 404);
    assert_eq!(post(address(&plain), BUILD, b"").status, 404);
}

/// Whether a process with this word among its arguments runs.
#[cfg(target_os = "linux")]
fn runs(word: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let arguments = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    arguments.into_iter().any(|line| String::from_utf8_lossy(&line).contains(word))
}

/// An app whose Python is a program of a stranger, which a build asks for its folders.
#[cfg(target_os = "linux")]
fn with_python(script: &str) -> Vec<u8> {
    let settings = "[app]\nname = 'sample'\npython = 'tools/python3'\n";
    let script = format!("#!/bin/sh\n{script}\n");
    archive(&[("tools/python3", &script), ("app.py", "print(1)"), ("kuzflow.toml", settings)])
}

#[cfg(target_os = "linux")]
const WITH_PYTHON: &str = r#"{"entry": "app.py", "level": 1}"#;

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_is_killed_takes_the_build_again_and_a_cancelled_one_leaves_no_process() {
    let mut service = Service::begin();
    // A number that no other process of this computer sleeps for.
    let word = format!("9{:09}", fastrand::u32(..1_000_000_000));
    let id = service.order(WITH_PYTHON, &with_python(&format!("sleep {word}; exit 1")));
    until("the build runs", || runs(&word));
    assert_eq!(service.build(&id)["attempt"], 1);
    let at = service.node.address.clone();
    // SIGKILL.
    drop(std::mem::replace(&mut service.node, service.world.serve()));
    until("its processes are gone", || !runs(&word));
    service.node = serve(&service.world, &at);
    until("the build runs again", || runs(&word));
    let build = service.build(&id);
    assert_eq!((build["attempt"].as_i64(), build["status"].as_str()), (Some(2), Some("running")));
    let cancelled = service.ask("DELETE", &format!("{BUILD}/{id}"));
    assert_eq!((cancelled.status, cancelled.json()["cancelling"].as_bool()), (202, Some(true)));
    service.wait(&id, "cancelled");
    assert!(!runs(&word));
    let log = service.log(&id);
    assert!(log.contains("begins anew") && log.contains("cancelled"), "{log}");
    let folder = service.world.path("data/builds").join(&id);
    until("only the log is left", || fs::read_dir(&folder).unwrap().count() == 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_of_a_stranger_sees_nothing_of_the_server() {
    if !has_sandbox() {
        eprintln!("passed over: this computer has no bubblewrap, or lets it make no sandbox");
        return;
    }
    let service = Service::begin();
    let keys = service.world.path("publisher/keys");
    assert!(keys.is_dir());
    let script = format!(
        "exec >&2; ls '{}' && echo SAW-KEYS; ls /root /home /etc/passwd && echo SAW-HOMES; env; \
         echo x > /usr/evil && echo WROTE; echo x > /evil && echo WROTE; \
         echo \"NETWORKS=$(grep -c : /proc/net/dev)\"; echo END; exit 1",
        text(&keys),
    );
    let id = service.order(WITH_PYTHON, &with_python(&script));
    let failed = service.wait(&id, "failed");
    assert_eq!(failed["error"]["code"], "build", "{failed:#}");
    let log = service.log(&id);
    assert!(log.contains("END"), "the program ran: {log}");
    assert!(log.contains("NETWORKS=1"), "its own loopback alone: {log}");
    for secret in ["SAW-KEYS", "SAW-HOMES", "WROTE", "CARGO"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
