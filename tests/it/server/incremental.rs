//! Requests about patches: analysis, packs by id, packs on request, and hostile requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use kuzflow::testing::model::version_tree::FileState;
use kuzflow::testing::model::{ContainerId, Digest, RelativePath, VersionTree};
use kuzflow::testing::server::{JobOutcome, Maker, Making, ServerOptions};
use serde_json::{Value, json};

use super::client::{ask, connect, get, post};
use super::repository::Repository;
use super::running::Server;
use crate::support::waiting::{LIMIT, until};

const ANALYZE: &str = "/api/incremental/analyze";

fn id(version: &str) -> String {
    format!("sample_{version}_Linux_x86_64")
}

/// Releases 1.0.0 to 4.0.0 and packs between adjacent ones.
fn adjacent_packs() -> Repository {
    let mut repository = Repository::new();
    for version in ["1.0.0", "2.0.0", "3.0.0", "4.0.0"] {
        repository.release(&id(version), &vec![b'x'; 1000], json!({}));
    }
    repository.pack(
        &id("1.0.0"),
        "2.0.0",
        &[1; 100],
        json!({ "requires_restart": false, "hot_swappable": 3 }),
    );
    repository.pack(&id("2.0.0"), "3.0.0", &[2; 200], json!({}));
    repository.pack(&id("1.0.0"), "3.0.0", &[3; 500], json!({}));
    repository.pack(&id("3.0.0"), "1.0.0", &[4; 50], json!({}));
    repository.nodes(&json!([{ "id": "one", "region": "Global", "url": "http://127.0.0.1:1/", "bandwidth": 0.001 }]));
    repository.publish();
    repository
}

fn analyze(address: SocketAddr, from: &str, to: Option<&str>) -> Value {
    let mut question = json!({ "current_fingerprint": { "version": from } });
    if let Some(to) = to {
        question["target_version"] = to.into();
    }
    let answer = post(address, ANALYZE, question.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[test]
fn the_cheapest_packs_are_the_answer() {
    let mut repository = adjacent_packs();
    let server = Server::start(repository.options());
    let pack = |from: &str, to: &str, bytes: &[u8], hot: bool| {
        let patch_id = format!("{from}_{to}_Linux_x86_64");
        json!({
            "patch_id": patch_id, "url": format!("/api/incremental/patch/{patch_id}"),
            "location": format!("targets/{}.{}.from-{from}.kuzpatch", Digest::of(bytes), id(to)),
            "from": from, "to": to, "size": bytes.len(), "requires_restart": !hot, "hot_swappable": hot,
        })
    };
    assert_eq!(
        analyze(server.address, "1.0.0", Some("3.0.0")),
        json!({
            "has_updates": true, "target_version": "3.0.0",
            "patches": [pack("1.0.0", "2.0.0", &[1; 100], true), pack("2.0.0", "3.0.0", &[2; 200], false)],
            "total_size": 300, "estimated_time": 3, "requires_restart": true, "hot_swappable_count": 1,
            "full_size": 1000, "way": "patches", "differing_files": null, "status": null,
        })
    );
    let hot = analyze(server.address, "1.0.0", Some("2.0.0"));
    assert_eq!(
        (hot["requires_restart"].clone(), hot["hot_swappable_count"].clone()),
        (json!(false), json!(1))
    );
    let back = analyze(server.address, "3.0.0", Some("1.0.0"));
    assert_eq!((back["way"].as_str(), back["total_size"].as_u64()), (Some("patches"), Some(50)));
    // No pack leads to the newest release: the answer is the whole package, and this server makes
    // no packs.
    let newest = analyze(server.address, "1.0.0", None);
    assert_eq!(
        newest,
        json!({
            "has_updates": true, "target_version": "4.0.0", "patches": [], "total_size": 1000, "estimated_time": 8,
            "requires_restart": true, "hot_swappable_count": 0, "full_size": 1000, "way": "full", "differing_files": null,
            "status": null,
        })
    );
    let unknown = analyze(server.address, "0.5.0", Some("3.0.0"));
    assert_eq!(
        (unknown["way"].as_str(), unknown["total_size"].as_u64()),
        (Some("full"), Some(1000))
    );
    for (from, to) in [("4.0.0", None), ("9.0.0", None), ("2.0.0", Some("2.0.0"))] {
        let nothing = analyze(server.address, from, to);
        assert_eq!(nothing["has_updates"], false, "{from}");
        assert_eq!(
            (nothing["way"].as_str(), nothing["target_version"].as_str()),
            (Some("none"), Some(from))
        );
        assert_eq!(
            (nothing["total_size"].as_u64(), nothing["patches"].clone()),
            (Some(0), json!([]))
        );
    }

    // Settings of the publisher: shorter chains, other thresholds.
    let with = |change: &dyn Fn(&mut ServerOptions)| {
        let mut options = repository.options();
        change(&mut options);
        let server = Server::start(options);
        analyze(server.address, "1.0.0", Some("3.0.0"))["total_size"].as_u64().unwrap()
    };
    assert_eq!(with(&|options| options.fallback.max_patch_chain_length = 1), 500);
    assert_eq!(
        with(&|options| options.fallback.fallback_threshold = 0.3),
        1000,
        "no less than the threshold is too much"
    );
    let never_whole = |options: &mut ServerOptions| {
        options.fallback.fallback_threshold = 0.3;
        options.fallback.enable_full_update = false;
    };
    assert_eq!(with(&never_whole), 300, "without a way out any share of the package will do");

    // An expired list, a broken list, and a list with packs for other bytes.
    repository.patches_expire = "2020-01-01T00:00:00Z";
    repository.publish();
    assert_eq!(analyze(server.address, "1.0.0", Some("3.0.0"))["way"], "full");
    assert_eq!(get(server.address, "/api/incremental/patch/1.0.0_2.0.0_Linux_x86_64").status, 404);
    repository.patches_expire = "2999-01-01T00:00:00Z";
    repository.pack(
        &id("1.0.0"),
        "3.0.0",
        b"other base",
        json!({ "base_manifest": Digest::of(b"other") }),
    );
    repository.pack(&id("2.0.0"), "3.0.0", b"unreadable", json!({ "cloned": "many" }));
    repository.publish();
    assert_eq!(analyze(server.address, "1.0.0", Some("3.0.0"))["way"], "full");
    assert_eq!(
        analyze(server.address, "1.0.0", Some("2.0.0"))["way"],
        "patches",
        "the others stay"
    );
    repository.publish();
    let lists = std::fs::read_dir(repository.path().join("metadata"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    lists
        .filter(|path| path.to_str().unwrap().ends_with("patches.json"))
        .for_each(|path| std::fs::write(path, "{").unwrap());
    assert_eq!(analyze(server.address, "1.0.0", Some("2.0.0"))["way"], "full");
    assert_eq!(get(server.address, "/healthz").json()["releases"], 4);
}

#[test]
fn files_that_are_not_what_their_release_brought_cost_what_fetching_them_costs() {
    let mut repository = adjacent_packs();
    let files = |files: &[(&str, &[u8])]| -> BTreeMap<RelativePath, FileState> {
        let state = |bytes: &[u8]| FileState {
            hash: Digest::of(bytes),
            size: bytes.len() as u64,
            critical: false,
            hot_updatable: false,
        };
        files.iter().map(|(path, bytes)| (path.parse().unwrap(), state(bytes))).collect()
    };
    let version = |text: &str| text.parse().unwrap();
    let mut tree = VersionTree::default();
    tree.add(
        &version("1.0.0"),
        None,
        files(&[("app/a", b"a"), ("app/b", b"b"), ("app/gone", b"c")]),
        1000,
    );
    tree.add(
        &version("2.0.0"),
        Some(&version("1.0.0")),
        files(&[("app/a", &[1; 60]), ("app/b", &[1; 600])]),
        1000,
    );
    repository.target("sample_Linux_x86_64.versions.json", &tree.to_json().unwrap(), json!({}));
    repository.publish();
    let server = Server::start(repository.options());
    let ask = |from: &str, files: Value| {
        let question = json!({ "current_fingerprint": { "version": from, "files": files }, "target_version": "2.0.0" });
        let answer = post(server.address, ANALYZE, question.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        (
            answer["way"].as_str().unwrap().to_owned(),
            answer["total_size"].as_u64().unwrap(),
            answer["differing_files"].clone(),
        )
    };
    let hash = |bytes: &[u8]| Digest::of(bytes).to_string();
    let whole = json!({ "app/a": hash(b"a"), "app/b": { "hash": hash(b"b"), "size": 1, "mtime": 3 }, "data/mine": hash(b"?") });
    assert_eq!(ask("1.0.0", whole), ("patches".to_owned(), 100, json!([])));
    let one = json!([{ "path": "app/a", "hash": format!("sha256:{}", hash(b"?")) }]);
    assert_eq!(ask("1.0.0", one), ("patches".to_owned(), 160, json!(["app/a"])));
    let gone = json!({ "app/gone": hash(b"?") });
    assert_eq!(
        ask("1.0.0", gone),
        ("patches".to_owned(), 100, json!(["app/gone"])),
        "the new release does not need it"
    );
    let much = json!({ "app/b": hash(b"?"), "app/a": hash(b"a") });
    assert_eq!(
        ask("1.0.0", much),
        ("full".to_owned(), 1000, json!(["app/b"])),
        "700 bytes are no less than the threshold"
    );
    assert_eq!(
        ask("2.0.0", json!({ "app/a": hash(b"a") })),
        ("none".to_owned(), 0, json!(["app/a"]))
    );
    assert_eq!(
        ask("3.0.0", json!({ "app/a": hash(b"a") })).2,
        Value::Null,
        "the tree does not know it"
    );
    assert_eq!(ask("1.0.0", Value::Null).2, Value::Null);

    // A damaged tree adds no facts, and the answer comes all the same.
    repository.target("sample_Linux_x86_64.versions.json", b"{", json!({}));
    repository.publish();
    assert_eq!(
        ask("1.0.0", json!({ "app/a": hash(b"?") })),
        ("patches".to_owned(), 100, Value::Null)
    );
}

#[test]
fn releases_that_are_closed_and_several_kinds_of_them() {
    let mut repository = adjacent_packs();
    repository.release(&id("5.0.0"), b"halted", json!({ "halted": true }));
    repository.release(&id("6.0.0"), b"far", json!({ "minimum_version": "4.0.0" }));
    repository.release(&id("7.0.0-beta.1"), b"beta", json!({ "channel": "beta" }));
    repository.publish();
    let server = Server::start(repository.options());
    let asked = |question: Value| post(server.address, ANALYZE, question.to_string().as_bytes());
    assert_eq!(analyze(server.address, "1.0.0", None)["target_version"], "4.0.0");
    assert_eq!(analyze(server.address, "4.0.0", None)["target_version"], "6.0.0");
    let beta =
        asked(json!({ "current_fingerprint": { "version": "1.0.0" }, "channel": "beta" })).json();
    assert_eq!(beta["target_version"], "7.0.0-beta.1");
    for closed in ["5.0.0", "6.0.0", "99.0.0"] {
        let answer = asked(
            json!({ "current_fingerprint": { "version": "1.0.0" }, "target_version": closed }),
        );
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (404, Some("not_found")),
            "{closed}"
        );
    }

    repository.release("sample_1.0.0_Windows_AMD64", b"windows", json!({}));
    repository.publish();
    let both = json!({ "current_fingerprint": { "version": "1.0.0" }, "target_version": "2.0.0" });
    let answer = asked(both.clone());
    assert_eq!(answer.status, 400);
    assert!(answer.json()["message"].as_str().unwrap().contains("platform"), "{answer:?}");
    let mut one = both.clone();
    one["platform"] = "Linux_x86_64".into();
    assert_eq!(asked(one.clone()).json()["way"], "patches");

    repository.release("another_1.0.0_Linux_x86_64", b"old", json!({}));
    repository.release("another_2.0.0_Linux_x86_64", &[b'y'; 1000], json!({}));
    repository.pack("another_1.0.0_Linux_x86_64", "2.0.0", b"another's", json!({}));
    repository.publish();
    assert!(asked(one.clone()).json()["message"].as_str().unwrap().contains("app"));
    one["app"] = "another".into();
    let url = asked(one.clone()).json()["patches"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(get(server.address, &url).body, b"another's");
    assert_eq!(get(server.address, url.split('?').next().unwrap()).status, 400);
    one["app"] = "nobody".into();
    assert_eq!(asked(one).status, 404);
}

#[test]
fn packs_come_with_ranges_under_their_ids() {
    let repository = adjacent_packs();
    let server = Server::start(repository.options());
    let path = "/api/incremental/patch/2.0.0_3.0.0_Linux_x86_64";
    let whole = get(server.address, path);
    assert_eq!((whole.status, &whole.body[..]), (200, &[2; 200][..]));
    assert_eq!(
        whole.field("content-disposition"),
        Some("attachment; filename=\"2.0.0_3.0.0_Linux_x86_64.kuzpatch\"")
    );
    assert_eq!(whole.field("etag"), Some(format!("\"{}\"", Digest::of(&[2; 200])).as_str()));
    assert_eq!(whole.field("cache-control"), Some("no-cache"));
    let part = ask(server.address, "GET", path, &[("Range", "bytes=190-")]);
    assert_eq!(
        (part.status, part.body.len(), part.field("content-range")),
        (206, 10, Some("bytes 190-199/200"))
    );
    assert_eq!(ask(server.address, "GET", path, &[("Range", "bytes=200-")]).status, 416);
    assert_eq!(ask(server.address, "GET", path, &[("Range", "bytes=0-1,3-4")]).status, 200);
    assert_eq!(ask(server.address, "HEAD", path, &[]).field("content-length"), Some("200"));
    assert_eq!(ask(server.address, "POST", path, &[("Content-Length", "0")]).status, 405);
    assert_eq!(get(server.address, ANALYZE).status, 405);
}

#[test]
fn hostile_questions_are_refused_in_plain_words() {
    let repository = adjacent_packs();
    let (making, _work, _done) = waiting_maker(repository.path());
    let jobs = making.jobs.clone();
    let server = Server::start(ServerOptions { making: Some(making), ..repository.options() });
    for name in [
        "..%2f..%2foutside",
        "%2e%2e%2f1.0.0_2.0.0_Linux_x86_64",
        "1.0.0_2.0.0_Linux_x86_64%2f..",
        "1.0.0_2.0.0_Linux_x86_64%00",
        "1.0.0_2.0.0_..%5cLinux_x86_64",
        "v1.0.0_2.0.0_Linux_x86_64",
        "1.0_2.0.0_Linux_x86_64",
        "1.0.0_2.0.0",
        "1.0.0_9.0.0_Linux_x86_64",
        "%ff",
        "",
    ] {
        let answer = get(server.address, &format!("/api/incremental/patch/{name}"));
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (404, Some("not_found")),
            "{name}: {answer:?}"
        );
    }
    let long = "1".repeat(2000);
    assert_eq!(get(server.address, &format!("/api/incremental/patch/{long}")).status, 414);

    let deep = format!(
        "{{\"current_fingerprint\":{{\"version\":\"1.0.0\",\"files\":{}",
        "[".repeat(60_000)
    );
    let version = |text: &str| json!({ "current_fingerprint": { "version": text } }).to_string();
    for (question, named) in [
        (String::new(), "question"),
        ("{".to_owned(), "question"),
        ("[]".to_owned(), "question"),
        (deep, "question"),
        ("{}".to_owned(), "current_fingerprint"),
        (r#"{"current_fingerprint":{"version":1}}"#.to_owned(), "question"),
        (version(""), "current_fingerprint.version"),
        (version("../../etc/passwd"), "current_fingerprint.version"),
        (version(&"9".repeat(1000)), "current_fingerprint.version"),
        (
            r#"{"current_fingerprint":{"version":"1.0.0"},"target_version":"latest"}"#.to_owned(),
            "target_version",
        ),
        (
            r#"{"current_fingerprint":{"version":"1.0.0"},"platform":"../Linux"}"#.to_owned(),
            "platform",
        ),
        (r#"{"current_fingerprint":{"version":"1.0.0"},"app":"../sample"}"#.to_owned(), "app"),
    ] {
        let answer = post(server.address, ANALYZE, question.as_bytes());
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 400, "{question:.80}: {answer:?}");
        assert!(message.contains(named) && !message.contains("src/"), "{question:.80}: {message}");
        assert!(message.len() < 500, "{message}");
    }
    // Pairs that are not published make no job.
    analyze(server.address, "0.1.0", Some("4.0.0"));
    assert_eq!(std::fs::read_dir(&jobs).unwrap().count(), 0);

    let long = json!({ "current_fingerprint": { "version": "1.0.0", "files": { "x".repeat(9000): "no hash" } } });
    let message = post(server.address, ANALYZE, long.to_string().as_bytes()).json()["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("xxx: its hash is no SHA-256") && message.len() < 500, "{message}");

    // The server accepts a fingerprint of many files. It refuses one that is too long, whatever its
    // header claims about its length.
    let files: serde_json::Map<String, Value> = (0..15_000)
        .map(|number| {
            (
                format!("app/module_{number}.py"),
                json!({ "hash": Digest::of(b""), "size": 1, "mtime": 1.5 }),
            )
        })
        .collect();
    let question = json!({ "current_fingerprint": { "version": "1.0.0", "files": files }, "target_version": "2.0.0" });
    assert_eq!(
        post(server.address, ANALYZE, question.to_string().as_bytes()).json()["way"],
        "patches"
    );
    let answer = post(server.address, ANALYZE, &vec![b' '; (4 << 20) + 1]);
    assert_eq!((answer.status, answer.json()["error"].as_str()), (413, Some("too_large")));
    assert_eq!(chunked(server.address, 5 << 20), 413);
}

/// Sends `length` bytes in chunks, without announcing the total; returns the status.
fn chunked(address: SocketAddr, length: usize) -> u16 {
    use std::io::{BufReader, Write as _};
    let mut stream = connect(address);
    let head = format!(
        "POST {ANALYZE} HTTP/1.1\r\nHost: node\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [format!("{:x}\r\n", 64 << 10).as_bytes(), &[b' '; 64 << 10], b"\r\n"].concat();
    for _ in 0..length / (64 << 10) {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    super::client::read_answer(&mut BufReader::new(stream), false).status
}

/// A maker that reports its requested jobs and waits for the outcome.
struct WaitingMaker {
    work: Mutex<Sender<(ContainerId, ContainerId)>>,
    done: Mutex<Receiver<JobOutcome>>,
}

impl Maker for WaitingMaker {
    fn make(&self, from: &ContainerId, to: &ContainerId) -> JobOutcome {
        self.work.lock().unwrap().send((from.clone(), to.clone())).unwrap();
        self.done
            .lock()
            .unwrap()
            .recv()
            .unwrap_or_else(|_| JobOutcome::Failed("the test is over".to_owned()))
    }
}

fn waiting_maker(
    folder: &Path,
) -> (Making, Receiver<(ContainerId, ContainerId)>, Sender<JobOutcome>) {
    let (work, working) = channel();
    let (outcome, done) = channel();
    let maker = Arc::new(WaitingMaker { work: Mutex::new(work), done: Mutex::new(done) });
    (Making { jobs: folder.join("patch-jobs"), workers: 1, maker }, working, outcome)
}

#[test]
fn a_missing_pack_is_made_meanwhile() {
    let mut repository = adjacent_packs();
    repository.release(&id("4.0.0"), &vec![b'x'; 1000], json!({ "halted": true }));
    repository.forget_packs();
    repository.publish();
    let (making, work, outcome) = waiting_maker(repository.path());
    let jobs = making.jobs.clone();
    let server = Server::start(ServerOptions { making: Some(making), ..repository.options() });
    let path = "/api/incremental/patch/1.0.0_3.0.0_Linux_x86_64";
    assert_eq!(get(server.address, path).status, 404, "nobody asked for it");

    let first = analyze(server.address, "1.0.0", Some("3.0.0"));
    assert_eq!((first["way"].as_str(), first["status"].as_str()), (Some("full"), Some("queued")));
    let second = analyze(server.address, "2.0.0", Some("3.0.0"));
    assert_eq!(second["status"], "queued");
    // No client is offered the target of the first pair, and a requested pack makes no downgrade.
    assert_eq!(analyze(server.address, "1.0.0", Some("2.0.0"))["status"], Value::Null);
    assert_eq!(analyze(server.address, "3.0.0", Some("2.0.0"))["status"], Value::Null);
    let begun = work.recv_timeout(LIMIT).unwrap();
    assert_eq!((begun.0.to_string(), begun.1.to_string()), (id("1.0.0"), id("3.0.0")));
    assert_eq!(
        analyze(server.address, "1.0.0", Some("3.0.0"))["status"],
        "generating",
        "the same pair is one job"
    );
    let waiting = get(server.address, path);
    assert_eq!((waiting.status, waiting.field("retry-after")), (202, Some("2")));
    assert_eq!(
        waiting.json(),
        json!({ "patch_id": "1.0.0_3.0.0_Linux_x86_64", "status": "generating" })
    );
    let other = get(server.address, "/api/incremental/patch/2.0.0_3.0.0_Linux_x86_64");
    assert_eq!((other.status, other.json()["status"].as_str()), (202, Some("queued")));

    // The pack is published; a client is not refused while the server has not seen it yet.
    outcome.send(JobOutcome::Completed).unwrap();
    let job = || -> Value {
        serde_json::from_slice(
            &std::fs::read(jobs.join("sample_3.0.0_Linux_x86_64.from-1.0.0.json")).unwrap(),
        )
        .unwrap()
    };
    until("the job ends", || job()["status"] == "completed");
    assert_eq!(get(server.address, path).status, 202);
    repository.pack(&id("1.0.0"), "3.0.0", &[7; 70], json!({}));
    repository.publish();
    assert_eq!(get(server.address, path).body, [7; 70]);
    let now = analyze(server.address, "1.0.0", Some("3.0.0"));
    assert_eq!(
        (now["way"].as_str(), now["total_size"].as_u64(), now["status"].clone()),
        (Some("patches"), Some(70), Value::Null)
    );

    // The other pack is not available.
    assert_eq!(work.recv_timeout(LIMIT).unwrap().0.to_string(), id("2.0.0"));
    outcome.send(JobOutcome::Refused("/secret/path says no".to_owned())).unwrap();
    let path = "/api/incremental/patch/2.0.0_3.0.0_Linux_x86_64";
    until("the job fails", || get(server.address, path).status != 202);
    let failed = get(server.address, path);
    assert_eq!((failed.status, failed.json()["error"].as_str()), (410, Some("patch_failed")));
    assert!(
        !String::from_utf8_lossy(&failed.body).contains("secret"),
        "the reason is the operator's"
    );
    let answer = analyze(server.address, "2.0.0", Some("3.0.0"));
    assert_eq!((answer["way"].as_str(), answer["status"].as_str()), (Some("full"), Some("failed")));
}

/// A detour over other releases is an answer, and meanwhile the server makes the pack of the pair
/// itself.
#[test]
fn a_detour_is_made_shorter_for_next_time() {
    let mut repository = adjacent_packs();
    repository.pack(&id("3.0.0"), "4.0.0", &[5; 50], json!({}));
    repository.publish();
    let (making, work, outcome) = waiting_maker(repository.path());
    let server = Server::start(ServerOptions { making: Some(making), ..repository.options() });
    let reported = |answer: &Value| {
        (answer["way"].as_str().unwrap().to_owned(), answer["total_size"].as_u64().unwrap())
    };
    let detour = analyze(server.address, "2.0.0", Some("4.0.0"));
    assert_eq!(
        (reported(&detour), detour["status"].as_str()),
        (("patches".to_owned(), 250), Some("queued"))
    );
    let begun = work.recv_timeout(LIMIT).unwrap();
    assert_eq!((begun.0.to_string(), begun.1.to_string()), (id("2.0.0"), id("4.0.0")));
    repository.pack(&id("2.0.0"), "4.0.0", &[9; 60], json!({}));
    repository.publish();
    outcome.send(JobOutcome::Completed).unwrap();
    until("the pack is seen", || {
        analyze(server.address, "2.0.0", Some("4.0.0"))["total_size"] == 60
    });
    // A pair with its own pack makes no job, though another way is cheaper.
    let cheaper = analyze(server.address, "1.0.0", Some("3.0.0"));
    assert_eq!(
        (reported(&cheaper), cheaper["status"].clone()),
        (("patches".to_owned(), 300), Value::Null)
    );
}

#[test]
fn the_same_versions_of_two_apps_have_their_own_jobs() {
    let mut repository = adjacent_packs();
    for version in ["1.0.0", "4.0.0"] {
        repository.release(&format!("another_{version}_Linux_x86_64"), &[b'y'; 1000], json!({}));
    }
    repository.publish();
    let (making, work, outcome) = waiting_maker(repository.path());
    let server = Server::start(ServerOptions { making: Some(making), ..repository.options() });
    let asked = |app: &str| {
        let question = json!({ "current_fingerprint": { "version": "1.0.0" }, "app": app, "target_version": "4.0.0" });
        post(server.address, ANALYZE, question.to_string().as_bytes()).json()["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let path = |app: &str| format!("/api/incremental/patch/1.0.0_4.0.0_Linux_x86_64?app={app}");
    assert_eq!(asked("sample"), "queued");
    assert_eq!(work.recv_timeout(LIMIT).unwrap().1.app.as_str(), "sample");
    assert_eq!(get(server.address, &path("another")).status, 404, "nobody asked for that one");
    outcome.send(JobOutcome::Refused("it saves nothing".to_owned())).unwrap();
    until("the job fails", || get(server.address, &path("sample")).status == 410);
    assert_eq!(asked("another"), "queued", "what failed was another app's");
    assert_eq!(work.recv_timeout(LIMIT).unwrap().1.app.as_str(), "another");
    assert_eq!(get(server.address, &path("another")).json()["status"], "generating");
    assert_eq!(asked("sample"), "failed");
    assert_eq!(
        get(server.address, "/api/incremental/patch/1.0.0_4.0.0_Linux_x86_64").status,
        400,
        "which app's?"
    );
}

#[test]
fn a_server_that_was_killed_in_the_middle_goes_on() {
    let mut repository = adjacent_packs();
    repository.forget_packs();
    repository.publish();
    let (making, work, _outcome) = waiting_maker(repository.path());
    let server = Server::start(ServerOptions { making: Some(making), ..repository.options() });
    analyze(server.address, "1.0.0", Some("4.0.0"));
    work.recv_timeout(LIMIT).unwrap();
    drop(server);

    struct Panics(Mutex<u32>, Sender<ContainerId>);
    impl Maker for Panics {
        fn make(&self, _: &ContainerId, to: &ContainerId) -> JobOutcome {
            let mut count = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *count += 1;
            self.1.send(to.clone()).unwrap();
            if *count == 1 {
                panic!("a fault of the maker, on purpose")
            } else {
                JobOutcome::Completed
            }
        }
    }
    let (reported, made) = channel();
    let maker = Arc::new(Panics(Mutex::new(0), reported));
    let making = Making { jobs: repository.path().join("patch-jobs"), workers: 2, maker };
    let server = Server::start(ServerOptions { making: Some(making), ..repository.options() });
    for attempt in 0..2 {
        assert_eq!(made.recv_timeout(LIMIT).unwrap().to_string(), id("4.0.0"), "attempt {attempt}");
    }
    let job = repository.path().join("patch-jobs/sample_4.0.0_Linux_x86_64.from-1.0.0.json");
    let read = || -> Value { serde_json::from_slice(&std::fs::read(&job).unwrap()).unwrap() };
    until("the job ends", || read()["status"] == "completed");
    assert_eq!(
        read()["attempts"],
        3,
        "one before the restart, one that panicked, one that went well"
    );
    assert_eq!(get(server.address, "/healthz").status, 200);
}
