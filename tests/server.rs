//! The repository over HTTP: `kuzflow serve` and nginx with `packaging/nginx/kuzflow.conf` through the same table of cases,
//! then what only the server does: the API, limits, slow readers, an orderly end (FAULTS 6, 16, 27).

#![cfg(feature = "publisher")]
#![allow(missing_docs)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kuzflow::model::Digest;
use kuzflow::server::rehearsal::Rehearsal;
use kuzflow::server::{Limits, ServerError, ServerOptions, app, serve};
use serde_json::{Value, json};
use tokio::sync::oneshot;

// ---- a repository ----

/// A repository with metadata as the publisher writes it, but unsigned: the server does not look at signatures.
struct Repository {
    folder: tempfile::TempDir,
    targets: serde_json::Map<String, Value>,
    version: u64,
}

impl Repository {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["metadata", "targets"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        Self { folder, targets: serde_json::Map::new(), version: 0 }
    }

    /// Two releases for Linux, one beta, notes in two languages, three nodes.
    fn sample() -> Self {
        let mut repository = Self::new();
        let chinese = repository.target("sample-2.0.0.zh-CN.md", "# 新\n".as_bytes(), json!({}));
        let english = repository.target("sample-2.0.0.en.md", b"# New\n", json!({}));
        repository.release("sample_1.0.0_Linux_x86_64", b"old", json!({}));
        let notes = json!({ "notes": { "zh-CN": chinese, "en": english }, "mandatory": true });
        repository.release("sample_2.0.0_Linux_x86_64", &package(), notes);
        repository.release("sample_3.0.0-beta.1_Linux_x86_64", b"beta", json!({ "channel": "beta" }));
        repository.nodes(&json!([
            { "id": "eu", "name": "Frankfurt", "region": "Europe", "url": "http://127.0.0.1:1/eu/", "bandwidth": 800 },
            { "id": "ap", "name": "上海", "region": "Asia-Pacific", "url": "http://127.0.0.1:1/ap/", "bandwidth": 400 },
            { "id": "us", "region": "Americas", "url": "http://127.0.0.1:1/us/" },
            { "id": "cdn", "region": "Global", "url": "http://127.0.0.1:1/cdn/", "bandwidth": 100 },
        ]));
        repository.publish();
        repository
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn options(&self) -> ServerOptions {
        let limits = Limits { look_interval: Duration::ZERO, ..Limits::default() };
        let (node, region) = ("上海-1".to_owned(), "Asia-Pacific".to_owned());
        ServerOptions { node, region, health_interval: None, limits, ..ServerOptions::new(self.path()) }
    }

    fn target(&mut self, name: &str, bytes: &[u8], custom: Value) -> String {
        let digest = Digest::of(bytes);
        std::fs::write(self.path().join(format!("targets/{digest}.{name}")), bytes).unwrap();
        let target = json!({ "length": bytes.len(), "hashes": { "sha256": digest }, "custom": custom });
        self.targets.insert(name.to_owned(), target);
        name.to_owned()
    }

    fn release(&mut self, id: &str, bytes: &[u8], changes: Value) {
        let mut release = json!({
            "container": id, "display_name": "Sample", "channel": "stable", "published": "2026-11-22T00:00:00Z",
            "manifest": { "offset": 0, "packed_size": 1, "size": 1, "hash": Digest::of(b"") },
            "unpacked_size": 1, "file_count": 1,
        });
        release.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.target(&format!("{id}.kuzflow"), bytes, json!({ "kuzflow": release }));
    }

    fn nodes(&self, nodes: &Value) {
        std::fs::write(self.path().join("nodes.json"), nodes.to_string()).unwrap();
    }

    fn publish(&mut self) {
        self.version += 1;
        let write = |name: String, signed: Value| {
            let path = self.path().join("metadata").join(name);
            std::fs::write(path, json!({ "signed": signed, "signatures": [] }).to_string()).unwrap();
        };
        let version = self.version;
        write(format!("{version}.root.json"), json!({ "version": version }));
        write(format!("{version}.targets.json"), json!({ "version": version, "targets": self.targets }));
        let meta = json!({ "targets.json": { "version": version } });
        write(format!("{version}.snapshot.json"), json!({ "version": version, "meta": meta }));
        let meta = json!({ "snapshot.json": { "version": version } });
        write("timestamp.json".to_owned(), json!({ "version": version, "expires": "2999-01-01T00:00:00Z", "meta": meta }));
    }
}

/// A package of 1,000,000 bytes, each telling its place.
fn package() -> Vec<u8> {
    (0..250_000_u32).flat_map(u32::to_be_bytes).collect()
}

fn package_path() -> String {
    format!("/targets/{}.sample_2.0.0_Linux_x86_64.kuzflow", Digest::of(&package()))
}

// ---- servers ----

/// `kuzflow serve` on a free port of the loopback, in a runtime of its own.
struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Result<(), ServerError>>>,
}

impl Server {
    fn start(options: ServerOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let shutdown = async { _ = stopped.await };
                serve(options, listener, shutdown).await
            })
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    fn tell_to_stop(&mut self) {
        _ = self.stop.take().map(|stop| stop.send(()));
    }

    fn wait(&mut self) -> Result<(), ServerError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tell_to_stop();
        _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// nginx with the configuration that we ship, its listen address, root and proxied server replaced.
struct Nginx {
    address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// `None`, with the reason on standard error, where there is no nginx; a failure where CI says that there must be one.
    fn start(repository: &Path, api: Option<SocketAddr>) -> Option<Self> {
        let found = ["nginx", "/usr/sbin/nginx"].into_iter().find(|program| Command::new(program).arg("-v").output().is_ok());
        let Some(program) = found else {
            assert!(std::env::var_os("CI").is_none(), "nginx is missing");
            eprintln!("skipped: nginx is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/nginx/kuzflow.conf");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut site = std::fs::read_to_string(shipped).unwrap();
        for (shipped, here) in [
            ("listen 8080;", format!("listen 127.0.0.1:{port};")),
            ("root /srv/kuzflow/repository;", format!("root \"{}\";", repository.display())),
        ] {
            assert!(site.contains(shipped), "{shipped} is not in the shipped configuration");
            site = site.replace(shipped, &here);
        }
        if let Some(api) = api {
            let at = site.find("    # location ~ \"^/(api/").unwrap();
            let proxied = site[at..].replace("    # ", "    ").replace("127.0.0.1:8081", &api.to_string());
            site.replace_range(at.., &proxied);
        }
        std::fs::write(folder.path().join("kuzflow.conf"), site).unwrap();
        std::fs::write(folder.path().join("nginx.conf"), MAIN.replace("FOLDER", folder.path().to_str().unwrap())).unwrap();
        let mut command = Command::new(program);
        command.args(["-e", "stderr", "-c"]).arg(folder.path().join("nginx.conf")).arg("-p").arg(folder.path());
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        let nginx = Self { address: SocketAddr::from(([127, 0, 0, 1], port)), process, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(nginx.address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen; its message is on standard error");
            std::thread::sleep(Duration::from_millis(10));
        }
        return Some(nginx);

        const MAIN: &str = "daemon off; master_process off; pid \"FOLDER/pid\"; error_log stderr crit;
            events { worker_connections 256; }
            http {
                access_log off;
                client_body_temp_path \"FOLDER/body\"; proxy_temp_path \"FOLDER/proxy\"; fastcgi_temp_path \"FOLDER/fastcgi\";
                uwsgi_temp_path \"FOLDER/uwsgi\"; scgi_temp_path \"FOLDER/scgi\";
                include kuzflow.conf;
            }";
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

// ---- a client that sends exactly what it is told ----

#[derive(Debug)]
struct Answer {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, &[])
}

fn ask(address: SocketAddr, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n{fields}\r\n");
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&mut BufReader::new(stream), method == "HEAD")
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn read_answer(stream: &mut BufReader<TcpStream>, head: bool) -> Answer {
    let mut lines = std::iter::from_fn(|| {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        Some(line.trim_end().to_owned()).filter(|line| !line.is_empty())
    });
    let status = lines.next().expect("an answer").split(' ').nth(1).unwrap().parse().unwrap();
    let fields: Vec<(String, String)> =
        lines.map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect();
    let mut answer = Answer { status, fields, body: Vec::new() };
    let length: Option<u64> = answer.field("content-length").map(|length| length.parse().unwrap());
    match length {
        _ if head || status == 304 => {}
        Some(length) => assert_eq!(stream.take(length).read_to_end(&mut answer.body).unwrap() as u64, length, "{answer:?}"),
        None => _ = stream.read_to_end(&mut answer.body).unwrap(),
    }
    answer
}

// ---- the table ----

struct Case {
    method: &'static str,
    path: String,
    fields: Vec<(&'static str, String)>,
    status: u16,
    /// Which bytes of the package must come; `None`: not looked at.
    bytes: Option<std::ops::Range<usize>>,
}

/// Cases about the package that any static host of a repository must pass.
fn package_cases() -> Vec<Case> {
    let etag = format!("\"{}\"", Digest::of(&package()));
    let range = |range: &str| vec![("Range", range.to_owned())];
    let case = |fields, status, bytes| Case { method: "GET", path: package_path(), fields, status, bytes };
    let part = |text: &str, bytes| case(range(text), 206, Some(bytes));
    let if_range = |tag: &str| vec![("Range", "bytes=10-19".to_owned()), ("If-Range", tag.to_owned())];
    vec![
        case(vec![], 200, Some(0..1_000_000)),
        part("bytes=0-0", 0..1),
        part("bytes=0-999999", 0..1_000_000),
        part("bytes=123-456789", 123..456_790),
        part("bytes=999999-", 999_999..1_000_000),
        part("bytes=999990-2000000", 999_990..1_000_000),
        part("bytes=-7", 999_993..1_000_000),
        part("bytes=-2000000", 0..1_000_000),
        part("BYTES=5-6", 5..7),
        case(range("bytes=1000000-"), 416, None),
        case(range("bytes=1000000-1000001"), 416, None),
        case(range("bytes=-0"), 416, None),
        case(range("bytes=9-5"), 416, None),
        case(range("bytes=abc"), 416, None),
        case(range("pieces=0-1"), 200, Some(0..1_000_000)),
        case(range("bytes=0-1,5-6"), 200, Some(0..1_000_000)),
        case(if_range(&etag), 206, Some(10..20)),
        case(if_range("\"other\""), 200, Some(0..1_000_000)),
        case(if_range(&format!("W/{etag}")), 200, Some(0..1_000_000)),
        case(if_range("Sun, 22 Nov 2020 08:00:00 GMT"), 200, Some(0..1_000_000)),
        case(vec![("If-None-Match", etag.clone())], 304, None),
        case(vec![("If-None-Match", "\"other\"".to_owned())], 200, Some(0..1_000_000)),
        case(vec![("Accept-Encoding", "gzip, br, zstd".to_owned())], 200, Some(0..1_000_000)),
        Case { method: "HEAD", path: package_path(), fields: vec![], status: 200, bytes: Some(0..0) },
    ]
}

/// What must not be served, and the statuses it may be refused with.
fn refused_paths(outside: &str) -> Vec<String> {
    let digest = Digest::of(b"old");
    [
        "/",
        "/targets/",
        "/targets",
        "/metadata/",
        "/metadata/9.root.json",
        "/metadata/.hidden.json",
        "/targets/nothing",
        "/targets/../metadata/../outside",
        "/targets/../../outside",
        "/targets/%2e%2e/%2e%2e/outside",
        "/targets/..%2f..%2foutside",
        "/targets/..%5c..%5coutside",
        "/targets/..\\..\\outside",
        "/targets//etc/passwd",
        "/targets/%00",
        "/targets/%ff%fe",
        "/targets/%zz",
        "/metadata/..%2fsecret.txt",
        "/targets/%2e%2e%2fmetadata%2f.hidden.json",
        "/metadata/timestamp.json%00.json",
        "/metadata/timestamp.json/",
        "/metadata/timestamp.json%20",
        "/secret.txt",
        "/api/containers/download/..%2f..%2foutside",
        "/api/containers/download/sample_9.9.9_Linux_x86_64",
        "/api/containers/changelog/..%2f..%2foutside",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([
        format!("/targets/{digest}"),
        format!("/targets/{digest}."),
        format!("/targets/{}.sample_1.0.0_Linux_x86_64.kuzflow", digest.to_string().to_uppercase()),
        format!("/targets/{digest}.sample_1.0.0_Linux_x86_64.kuzflow/"),
        format!("/targets/{digest}.folder"),
        format!("/targets/{}{outside}", "../".repeat(12)),
        format!("/targets/{}{outside}", "%2e%2e%2f".repeat(12)),
    ])
    .collect()
}

fn conforms(who: &str, address: SocketAddr, repository: &Repository) {
    let (package, etag) = (package(), format!("\"{}\"", Digest::of(&package())));
    for case in package_cases() {
        let fields: Vec<(&str, &str)> = case.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = ask(address, case.method, &case.path, &fields);
        let told = format!("{who}: {} {fields:?}: {} {:?}", case.method, answer.status, answer.fields);
        assert_eq!(answer.status, case.status, "{told}");
        if let Some(bytes) = case.bytes.clone() {
            assert!(answer.body == package[bytes.clone()], "{told}: other bytes, {} of them", answer.body.len());
            assert!(case.status == 206 || answer.field("accept-ranges") == Some("bytes"), "{told}");
            assert_eq!(answer.field("content-type"), Some("application/octet-stream"), "{told}");
            assert_eq!(answer.field("content-encoding"), None, "{told}");
            let length = if case.method == "HEAD" { package.len() } else { bytes.len() };
            assert_eq!(answer.field("content-length"), Some(length.to_string().as_str()), "{told}");
        }
        let content_range = match (case.status, case.bytes) {
            (206, Some(bytes)) => Some(format!("bytes {}-{}/1000000", bytes.start, bytes.end - 1)),
            (416, _) => Some("bytes */1000000".to_owned()),
            _ => None,
        };
        assert_eq!(answer.field("content-range"), content_range.as_deref(), "{told}");
        if [200, 206].contains(&case.status) {
            assert_eq!(answer.field("etag"), Some(etag.as_str()), "{told}");
            assert_eq!(answer.field("last-modified"), None, "{told}");
            assert!(answer.field("cache-control").unwrap().contains("immutable"), "{told}");
        }
    }

    for (path, content_type, file) in [
        ("/metadata/timestamp.json".to_owned(), "application/json", "metadata/timestamp.json".to_owned()),
        ("/metadata/1.targets.json".to_owned(), "application/json", "metadata/1.targets.json".to_owned()),
        ("/nodes.json".to_owned(), "application/json", "nodes.json".to_owned()),
    ] {
        let answer = get(address, &path);
        assert_eq!((answer.status, answer.field("content-type")), (200, Some(content_type)), "{who}: {path}");
        assert!(answer.body == std::fs::read(repository.path().join(file)).unwrap(), "{who}: {path}: other bytes");
        assert_eq!(answer.field("cache-control"), Some("no-cache"), "{who}: {path}");
        let etag = answer.field("etag").unwrap();
        let again = ask(address, "GET", &path, &[("If-None-Match", etag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{who}: {path}");
        let part = ask(address, "GET", &path, &[("Range", "bytes=2-8"), ("If-Range", etag)]);
        assert_eq!((part.status, &part.body[..]), (206, &answer.body[2..9]), "{who}: {path}");
    }

    let outside = repository.path().parent().unwrap().join("outside");
    for path in refused_paths(outside.to_str().unwrap().trim_start_matches('/')) {
        let answer = get(address, &path);
        assert!([400, 404].contains(&answer.status), "{who}: {path}: {answer:?}");
        assert!(answer.field("cache-control").is_none_or(|cache| cache == "no-store"), "{who}: {path}: {answer:?}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = ask(address, method, &package_path(), &[("Content-Length", "0")]);
        assert!([403, 405].contains(&answer.status), "{who}: {method}: {answer:?}");
    }
}

fn with_traps(repository: &Repository) {
    std::fs::write(repository.path().join("secret.txt"), "secret").unwrap();
    std::fs::write(repository.path().join("metadata/.hidden.json"), "{}").unwrap();
    std::fs::create_dir(repository.path().join(format!("targets/{}.folder", Digest::of(b"old")))).unwrap();
}

#[test]
fn the_server_serves_a_repository_as_any_static_host() {
    let repository = Repository::sample();
    with_traps(&repository);
    let server = Server::start(repository.options());
    conforms("server", server.address, &repository);
    let answer = get(server.address, "/nowhere");
    assert_eq!(answer.field("x-kuzflow-node"), Some("上海-1"));
    assert_eq!((answer.json()["error"].as_str(), answer.field("cache-control")), (Some("not_found"), Some("no-store")));
}

#[test]
fn nginx_serves_the_same_and_passes_the_api_on() {
    let repository = Repository::sample();
    with_traps(&repository);
    let server = Server::start(repository.options());
    let Some(nginx) = Nginx::start(repository.path(), None) else { return };
    conforms("nginx", nginx.address, &repository);
    let with_api = Nginx::start(repository.path(), Some(server.address)).unwrap();
    conforms("nginx with api", with_api.address, &repository);
    let question = "/api/containers/check_update?platform=Linux_x86_64&current_version=1.0.0";
    assert_eq!(get(with_api.address, question).json(), get(server.address, question).json());
    assert_eq!(get(with_api.address, "/healthz").json()["node"], "上海-1");
}

// ---- the API ----

#[test]
fn update_checks_answer_as_specified() {
    let mut repository = Repository::sample();
    let server = Server::start(repository.options());
    let check = |query: &str| get(server.address, &format!("/api/containers/check_update?{query}"));
    let offer = |query: &str| check(query).json();

    let update = offer("current_version=1.0.0&platform=Linux_x86_64&user_location=Asia-Pacific&lang=zh");
    assert_eq!(
        update,
        json!({
            "update_available": true,
            "version": "2.0.0",
            "current_version": "1.0.0",
            "container_size": 1_000_000,
            "container_id": "sample_2.0.0_Linux_x86_64",
            "download_nodes": [
                { "id": "ap", "name": "上海", "region": "Asia-Pacific", "url": "http://127.0.0.1:1/ap/", "bandwidth": 400.0 },
                { "id": "cdn", "name": "cdn", "region": "Global", "url": "http://127.0.0.1:1/cdn/", "bandwidth": 100.0 },
                { "id": "eu", "name": "Frankfurt", "region": "Europe", "url": "http://127.0.0.1:1/eu/", "bandwidth": 800.0 },
            ],
            "estimated_time": 1,
            "changelog_url": "/api/containers/changelog/2.0.0?app=sample&platform=Linux_x86_64&channel=stable",
            "release_notes": "# 新\n",
            "location": &package_path()[1..],
            "mandatory": true,
            "rollout_permille": 1000,
        })
    );

    let none = json!({ "update_available": false });
    assert_eq!(offer("current_version=2.0&platform=Linux_x86_64"), none);
    assert_eq!(offer("current_version=10.0.0&platform=Linux_x86_64"), none, "an older one is never offered");
    assert_eq!(offer("current_version=1.0.0&platform=Windows_AMD64"), none);
    assert_eq!(offer("current_version=1.0.0&platform=Linux_x86_64&channel=nightly"), none);
    assert_eq!(offer("current_version=1.0.0&platform=Linux_x86_64&app=other"), none);
    assert_eq!(offer("platform=Linux_x86_64")["version"], "2.0.0", "a first install has no version yet");
    assert_eq!(offer("platform=Linux_x86_64&channel=beta")["version"], "3.0.0-beta.1");
    assert_eq!(offer("platform=Linux_x86_64&user_location=Europe%2FBerlin")["download_nodes"][0]["id"], "eu");

    let oversize = format!("platform=Linux_x86_64&app={}", "a".repeat(2000));
    let oversize_path = format!("platform=Linux_x86_64&app={}", "a".repeat(64));
    assert_eq!(check(&oversize_path).status, 200);
    for (query, status, named) in [
        ("", 400, "platform"),
        ("platform=", 400, "platform"),
        ("platform=x", 400, "platform"),
        ("platform=Linux_x86_64&current_version=latest", 400, "current_version"),
        ("platform=Linux_x86_64&app=../x", 400, "app"),
        ("platform=Linux_x86_64&platform=Linux_x86_64", 400, "platform"),
        (oversize.as_str(), 414, "too long"),
    ] {
        let answer = check(query);
        assert_eq!(answer.status, status, "{query}: {answer:?}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named) && !message.contains("src/"), "{query}: {message}");
    }

    repository.release("sample_2.1.0_Linux_x86_64", b"halted", json!({ "halted": true }));
    repository.release("sample_4.0.0_Linux_x86_64", b"far", json!({ "minimum_version": "2.0.0" }));
    repository.publish();
    assert_eq!(offer("current_version=1.0.0&platform=Linux_x86_64")["version"], "2.0.0");
    assert_eq!(offer("current_version=2.0.0&platform=Linux_x86_64")["version"], "4.0.0");
    repository.release("another_1.0.0_Linux_x86_64", b"another", json!({}));
    repository.publish();
    assert_eq!(check("platform=Linux_x86_64").status, 400, "several apps: one must be named");
    assert_eq!(offer("platform=Linux_x86_64&app=another")["container_id"], "another_1.0.0_Linux_x86_64");
}

#[test]
fn downloads_and_changelogs_by_name() {
    let repository = Repository::sample();
    let server = Server::start(repository.options());
    let path = "/api/containers/download/sample_2.0.0_Linux_x86_64";
    let part = ask(server.address, "GET", path, &[("Range", "bytes=4-7")]);
    assert_eq!((part.status, &part.body[..]), (206, &[0, 0, 0, 1][..]));
    assert_eq!(part.field("content-disposition"), Some("attachment; filename=\"sample_2.0.0_Linux_x86_64.kuzflow\""));
    assert_eq!(ask(server.address, "HEAD", path, &[]).field("content-length"), Some("1000000"));

    let notes = |query: &str, languages: &str| {
        let path = format!("/api/containers/changelog/2.0.0{query}");
        ask(server.address, "GET", &path, &[("Accept-Language", languages)])
    };
    let answer = notes("", "zh-TW,zh;q=0.9,en;q=0.8");
    assert_eq!((answer.field("content-language"), &answer.body[..]), (Some("zh-CN"), "# 新\n".as_bytes()));
    assert_eq!(answer.field("content-type"), Some("text/markdown; charset=utf-8"));
    assert_eq!(notes("", "fr").body, b"# New\n");
    assert_eq!(notes("?lang=en&platform=Linux_x86_64", "zh-CN").body, b"# New\n");
    assert_eq!(notes("?platform=Windows_AMD64", "en").status, 404);
    assert_eq!(get(server.address, "/api/containers/changelog/1.0.0").status, 404, "a release without notes");
}

#[test]
fn a_state_that_cannot_be_read_leaves_the_last_one_in_use() {
    let mut repository = Repository::sample();
    let server = Server::start(repository.options());
    let health = || get(server.address, "/healthz").json();
    assert_eq!(health()["metadata_version"], 1);
    assert_eq!((health()["status"].as_str(), health()["releases"].as_u64()), (Some("ok"), Some(3)));
    assert_eq!((health()["node"].as_str(), health()["region"].as_str()), (Some("上海-1"), Some("Asia-Pacific")));

    let timestamp = repository.path().join("metadata/timestamp.json");
    for broken in ["{", "{\"signed\": {}}", ""] {
        std::fs::write(&timestamp, broken).unwrap();
        assert_eq!(health()["metadata_version"], 1, "{broken}");
    }
    std::fs::remove_file(&timestamp).unwrap();
    assert_eq!(health()["metadata_version"], 1);
    repository.target("sample_9.0.0_Linux_x86_64.kuzflow", b"new", json!({ "kuzflow": { "written": "by a newer program" } }));
    repository.publish();
    assert_eq!((health()["metadata_version"].as_u64(), health()["releases"].as_u64()), (Some(2), Some(3)));

    std::fs::remove_file(&timestamp).unwrap();
    let message = app(&repository.options()).unwrap_err().to_string();
    assert!(message.contains("timestamp.json"), "{message}");
    let options = ServerOptions { node: "a\nb".to_owned(), ..repository.options() };
    repository.publish();
    assert!(matches!(app(&options), Err(ServerError::NodeName(_))));
}

#[test]
fn nodes_that_are_down_or_behind_are_not_offered() {
    let mut repository = Repository::sample();
    let behind = Repository::sample();
    let lagging = Server::start(behind.options());
    repository.publish();
    let good = Server::start(repository.options());
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    repository.nodes(&json!([
        { "id": "lagging", "url": format!("http://{}/", lagging.address) },
        { "id": "gone", "url": format!("http://{gone}/") },
        { "id": "good", "url": format!("http://{}/", good.address) },
    ]));
    let options = ServerOptions { health_interval: Some(Duration::from_millis(20)), ..repository.options() };
    let server = Server::start(options);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let update = get(server.address, "/api/containers/check_update?platform=Linux_x86_64").json();
        let nodes = update["download_nodes"].as_array().unwrap().clone();
        if nodes.len() == 1 && nodes[0]["id"] == "good" {
            break;
        }
        assert!(Instant::now() < deadline, "{nodes:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_nodes_the_server_offers_itself_where_it_knows_its_address() {
    let repository = Repository::sample();
    std::fs::remove_file(repository.path().join("nodes.json")).unwrap();
    let nodes = |options| {
        let server = Server::start(options);
        get(server.address, "/api/containers/check_update?platform=Linux_x86_64").json()["download_nodes"].clone()
    };
    assert_eq!(nodes(repository.options()), json!([]));
    let public_url = Some("https://update.example.com/".parse().unwrap());
    let options = ServerOptions { public_url, ..repository.options() };
    assert_eq!(nodes(options)[0]["url"], "https://update.example.com/");
}

// ---- limits ----

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
        assert!(refused, "{:?}: {}", &request[..20.min(request.len())], String::from_utf8_lossy(&status));
    }
    for client in clients {
        client.join().unwrap();
    }
}

/// A repository with a package larger than what the system's socket buffers take (some MB on loopback), as a sparse file.
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
    options.limits.header_time = Duration::from_millis(300);
    options.limits.stall_time = Duration::from_millis(300);
    options.limits.connections = 4;
    let server = Server::start(options);

    // There is room again although no client leaves by itself.
    let mut senders: Vec<TcpStream> = (0..4).map(|_| connect(server.address)).collect();
    senders[0].write_all(b"GET /healthz HT").unwrap();
    assert_eq!(get(server.address, "/healthz").status, 200);

    let mut readers: Vec<TcpStream> = (0..4).map(|_| connect(server.address)).collect();
    for stream in &mut readers {
        stream.write_all(format!("GET {large} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).unwrap();
        stream.read_exact(&mut [0; 15]).unwrap();
    }
    assert_eq!(get(server.address, "/healthz").status, 200);
    let mut buffer = vec![0; 1 << 20];
    let mut rest = |mut stream: TcpStream| -> usize {
        std::iter::from_fn(|| stream.read(&mut buffer).ok().filter(|count| *count > 0)).sum()
    };
    let shortest = readers.into_iter().map(&mut rest).min().unwrap();
    assert!(shortest < 200 << 20, "{shortest} bytes: the connection that was left ends before the file does");
}

#[test]
fn a_file_cut_while_it_is_sent_breaks_the_connection() {
    let (repository, large) = with_large_package(64 << 20);
    let server = Server::start(repository.options());
    let mut stream = connect(server.address);
    stream.write_all(format!("GET {large} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).unwrap();
    std::fs::File::options().write(true).open(repository.path().join(&large[1..])).unwrap().set_len(1 << 20).unwrap();
    let mut rest = Vec::new();
    _ = stream.read_to_end(&mut rest); // an end or a reset, but an end
    assert!(rest.len() < 63 << 20, "{} bytes", rest.len());
}

#[test]
fn told_to_stop_it_ends_what_runs_and_takes_no_more() {
    let (repository, large) = with_large_package(64 << 20);
    let mut server = Server::start(repository.options());
    let mut idle = connect(server.address);
    let mut stream = BufReader::new(connect(server.address));
    stream.get_mut().write_all(format!("GET {large} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).unwrap();
    stream.fill_buf().unwrap();
    server.tell_to_stop();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "an idle connection is closed");
    assert!(TcpStream::connect(server.address).is_err(), "no new connections");
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

// ---- the bad node ----

#[test]
fn a_rehearsed_node_is_slow_then_dead() {
    let repository = Repository::sample();
    let server = Server::start(repository.options());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let relay = |rehearsal: Rehearsal| {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        (address, runtime.spawn(rehearsal.run(listener, server.address)))
    };
    let (address, _running) = relay(Rehearsal { bytes_per_second: Some(4_000_000), dies_after_bytes: None });
    let began = Instant::now();
    assert!(get(address, &package_path()).body == package());
    assert!(began.elapsed() >= Duration::from_millis(250), "a megabyte at 4 MB/s took {:?}", began.elapsed());

    let (address, running) = relay(Rehearsal { bytes_per_second: None, dies_after_bytes: Some(600_000) });
    let mut stream = connect(address);
    stream.write_all(format!("GET {} HTTP/1.1\r\nHost: n\r\n\r\n", package_path()).as_bytes()).unwrap();
    let mut got = Vec::new();
    _ = stream.read_to_end(&mut got);
    assert!((1..=600_000).contains(&got.len()), "{} bytes", got.len());
    runtime.block_on(running).unwrap().unwrap();
    assert!(TcpStream::connect(address).is_err(), "dead nodes take no connections");
}
