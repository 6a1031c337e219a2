//! The requirements on any static host of a repository, for our server and for nginx.

use std::net::SocketAddr;

use kuzflow::testing::model::Digest;

use super::client::{ask, get};
use super::repository::{Repository, package, package_path};
use super::running::{Nginx, Server};

struct Case {
    method: &'static str,
    path: String,
    fields: Vec<(&'static str, String)>,
    status: u16,
    /// The bytes of the package that must arrive; `None`: not checked.
    bytes: Option<std::ops::Range<usize>>,
}

/// Cases about the package that any static host of a repository must pass.
fn package_cases() -> Vec<Case> {
    let etag = format!("\"{}\"", Digest::of(&package()));
    let range = |range: &str| vec![("Range", range.to_owned())];
    let case =
        |fields, status, bytes| Case { method: "GET", path: package_path(), fields, status, bytes };
    let part = |text: &str, bytes| case(range(text), 206, Some(bytes));
    let if_range =
        |tag: &str| vec![("Range", "bytes=10-19".to_owned()), ("If-Range", tag.to_owned())];
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
        Case {
            method: "HEAD",
            path: package_path(),
            fields: vec![],
            status: 200,
            bytes: Some(0..0),
        },
    ]
}

/// Paths that must not be served, and the allowed statuses of the refusal.
fn refused_paths(outside: &str) -> Vec<String> {
    let digest = Digest::of(b"old");
    [
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
        let fields: Vec<(&str, &str)> =
            case.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = ask(address, case.method, &case.path, &fields);
        let reported =
            format!("{who}: {} {fields:?}: {} {:?}", case.method, answer.status, answer.fields);
        assert_eq!(answer.status, case.status, "{reported}");
        if let Some(bytes) = case.bytes.clone() {
            assert!(
                answer.body == package[bytes.clone()],
                "{reported}: other bytes, {} of them",
                answer.body.len()
            );
            assert!(
                case.status == 206 || answer.field("accept-ranges") == Some("bytes"),
                "{reported}"
            );
            assert_eq!(
                answer.field("content-type"),
                Some("application/octet-stream"),
                "{reported}"
            );
            assert_eq!(answer.field("content-encoding"), None, "{reported}");
            let length = if case.method == "HEAD" { package.len() } else { bytes.len() };
            assert_eq!(
                answer.field("content-length"),
                Some(length.to_string().as_str()),
                "{reported}"
            );
        }
        let content_range = match (case.status, case.bytes) {
            (206, Some(bytes)) => Some(format!("bytes {}-{}/1000000", bytes.start, bytes.end - 1)),
            (416, _) => Some("bytes */1000000".to_owned()),
            _ => None,
        };
        assert_eq!(answer.field("content-range"), content_range.as_deref(), "{reported}");
        if [200, 206].contains(&case.status) {
            assert_eq!(answer.field("etag"), Some(etag.as_str()), "{reported}");
            assert_eq!(answer.field("last-modified"), None, "{reported}");
            assert!(answer.field("cache-control").unwrap().contains("immutable"), "{reported}");
        }
    }

    for (path, content_type, file) in [
        (
            "/metadata/timestamp.json".to_owned(),
            "application/json",
            "metadata/timestamp.json".to_owned(),
        ),
        (
            "/metadata/1.targets.json".to_owned(),
            "application/json",
            "metadata/1.targets.json".to_owned(),
        ),
        ("/nodes.json".to_owned(), "application/json", "nodes.json".to_owned()),
    ] {
        let answer = get(address, &path);
        assert_eq!(
            (answer.status, answer.field("content-type")),
            (200, Some(content_type)),
            "{who}: {path}"
        );
        assert!(
            answer.body == std::fs::read(repository.path().join(file)).unwrap(),
            "{who}: {path}: other bytes"
        );
        assert_eq!(answer.field("cache-control"), Some("no-cache"), "{who}: {path}");
        let etag = answer.field("etag").unwrap();
        let again = ask(address, "GET", &path, &[("If-None-Match", etag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{who}: {path}");
        let part = ask(address, "GET", &path, &[("Range", "bytes=2-8"), ("If-Range", etag)]);
        assert_eq!((part.status, &part.body[..]), (206, &answer.body[2..9]), "{who}: {path}");
    }

    comes_compressed(who, address, repository);

    let outside = repository.path().parent().unwrap().join("outside");
    for path in refused_paths(outside.to_str().unwrap().trim_start_matches('/')) {
        let answer = get(address, &path);
        assert!([400, 404].contains(&answer.status), "{who}: {path}: {answer:?}");
        assert!(
            answer.field("cache-control").is_none_or(|cache| cache == "no-store"),
            "{who}: {path}: {answer:?}"
        );
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = ask(address, method, &package_path(), &[("Content-Length", "0")]);
        assert!([403, 405].contains(&answer.status), "{who}: {method}: {answer:?}");
    }
}

/// Launchers fetch JSON as gzip, and read the signed bytes.
fn comes_compressed(who: &str, address: SocketAddr, repository: &Repository) {
    let stored = std::fs::read(repository.path().join("metadata/1.targets.json")).unwrap();
    let client =
        kuzflow::testing::fetch::Client::new(&kuzflow::testing::fetch::ClientOptions::default())
            .unwrap();
    let came = std::sync::atomic::AtomicU64::new(0);
    let count = |bytes| {
        came.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    };
    let url = format!("http://{address}/metadata/1.targets.json").parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let document =
        runtime.block_on(client.get_counting(&url, stored.len() as u64, &count)).unwrap();
    assert!(document == stored, "{who}: another document");
    let came = came.into_inner();
    assert!(came < stored.len() as u64 / 2, "{who}: {came} of {} bytes", stored.len());
    for (accepts, encoding) in [("gzip", Some("gzip")), ("br", None), ("gzip;q=0", None)] {
        let head =
            ask(address, "HEAD", "/metadata/1.targets.json", &[("Accept-Encoding", accepts)]);
        assert_eq!(
            (head.status, head.field("content-encoding")),
            (200, encoding),
            "{who}: {accepts}"
        );
        assert!(
            head.field("vary").is_some_and(|vary| vary.eq_ignore_ascii_case("accept-encoding")),
            "{who}: {head:?}"
        );
    }
}

fn with_traps(repository: &Repository) {
    std::fs::write(repository.path().join("secret.txt"), "secret").unwrap();
    std::fs::write(repository.path().join("metadata/.hidden.json"), "{}").unwrap();
    std::fs::create_dir(repository.path().join(format!("targets/{}.folder", Digest::of(b"old"))))
        .unwrap();
}

#[test]
fn the_server_serves_a_repository_as_any_static_host() {
    let repository = Repository::sample();
    with_traps(&repository);
    let server = Server::start(repository.options());
    conforms("server", server.address, &repository);
    // Each form has its own tag, and a range refers to the document as it is stored.
    let path = "/metadata/1.targets.json";
    let packed = ask(server.address, "GET", path, &[("Accept-Encoding", "gzip")]);
    let (tag, plain) = (packed.field("etag").unwrap(), get(server.address, path));
    assert_ne!(Some(tag), plain.field("etag"));
    let known =
        ask(server.address, "GET", path, &[("Accept-Encoding", "gzip"), ("If-None-Match", tag)]);
    assert_eq!((known.status, known.field("content-encoding"), known.body.len()), (304, None, 0));
    let part =
        ask(server.address, "GET", path, &[("Accept-Encoding", "gzip"), ("Range", "bytes=2-8")]);
    assert_eq!(
        (part.status, part.field("content-encoding"), &part.body[..]),
        (206, None, &plain.body[2..9])
    );
    let other = ask(server.address, "GET", path, &[("Range", "bytes=2-8"), ("If-Range", tag)]);
    assert_eq!(
        (other.status, other.body == plain.body),
        (200, true),
        "a part of another form is not gone on with"
    );

    let page = get(server.address, "/");
    let text = String::from_utf8(page.body.clone()).unwrap();
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        text.contains("update server") && text.contains("2.0.0") && !text.contains("1.0.0"),
        "{text}"
    );
    let answer = get(server.address, "/nowhere");
    assert_eq!(answer.field("x-kuzflow-node"), Some("上海-1"));
    assert_eq!(
        (answer.json()["error"].as_str(), answer.field("cache-control")),
        (Some("not_found"), Some("no-store"))
    );
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
