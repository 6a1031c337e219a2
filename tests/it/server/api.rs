//! Update checks, downloads and changelogs by name, health.

use std::time::Duration;

use kuzflow::testing::server::{ServerError, ServerOptions, app};
use serde_json::json;

use super::client::{Answer, ask, get};
use super::repository::{Repository, package_path};
use super::running::Server;
use crate::support::waiting::until;

#[test]
fn update_checks_answer_as_specified() {
    let mut repository = Repository::sample();
    let server = Server::start(repository.options());
    let check = |query: &str| get(server.address, &format!("/api/containers/check_update?{query}"));
    let offer = |query: &str| check(query).json();

    let update =
        offer("current_version=1.0.0&platform=Linux_x86_64&user_location=Asia-Pacific&lang=zh");
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
    assert_eq!(
        offer("current_version=10.0.0&platform=Linux_x86_64"),
        none,
        "an older one is never offered"
    );
    assert_eq!(offer("current_version=1.0.0&platform=Windows_AMD64"), none);
    assert_eq!(offer("current_version=1.0.0&platform=Linux_x86_64&channel=nightly"), none);
    assert_eq!(offer("current_version=1.0.0&platform=Linux_x86_64&app=other"), none);
    assert_eq!(
        offer("platform=Linux_x86_64")["version"],
        "2.0.0",
        "a first install has no version yet"
    );
    assert_eq!(offer("platform=Linux_x86_64&channel=beta")["version"], "3.0.0-beta.1");
    assert_eq!(
        offer("platform=Linux_x86_64&user_location=Europe%2FBerlin")["download_nodes"][0]["id"],
        "eu"
    );

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
    assert_eq!(
        offer("platform=Linux_x86_64&app=another")["container_id"],
        "another_1.0.0_Linux_x86_64"
    );
}

#[test]
fn downloads_and_changelogs_by_name() {
    let repository = Repository::sample();
    let server = Server::start(repository.options());
    let path = "/api/containers/download/sample_2.0.0_Linux_x86_64";
    let part = ask(server.address, "GET", path, &[("Range", "bytes=4-7")]);
    assert_eq!((part.status, &part.body[..]), (206, &[0, 0, 0, 1][..]));
    assert_eq!(
        part.field("content-disposition"),
        Some("attachment; filename=\"sample_2.0.0_Linux_x86_64.kuzflow\"")
    );
    assert_eq!(ask(server.address, "HEAD", path, &[]).field("content-length"), Some("1000000"));

    let notes = |query: &str, languages: &str| {
        let path = format!("/api/containers/changelog/2.0.0{query}");
        ask(server.address, "GET", &path, &[("Accept-Language", languages)])
    };
    let answer = notes("", "zh-TW,zh;q=0.9,en;q=0.8");
    assert_eq!(
        (answer.field("content-language"), &answer.body[..]),
        (Some("zh-CN"), "# 新\n".as_bytes())
    );
    assert_eq!(answer.field("content-type"), Some("text/markdown; charset=utf-8"));
    assert_eq!(notes("", "fr").body, b"# New\n");
    assert_eq!(notes("?lang=en&platform=Linux_x86_64", "zh-CN").body, b"# New\n");
    assert_eq!(notes("?platform=Windows_AMD64", "en").status, 404);
    assert_eq!(
        get(server.address, "/api/containers/changelog/1.0.0").status,
        404,
        "a release without notes"
    );
}

#[test]
fn a_state_that_cannot_be_read_leaves_the_last_one_in_use() {
    let mut repository = Repository::sample();
    let server = Server::start(repository.options());
    let health = || get(server.address, "/healthz").json();
    assert_eq!(health()["metadata_version"], 1);
    assert_eq!((health()["status"].as_str(), health()["releases"].as_u64()), (Some("ok"), Some(3)));
    assert_eq!(
        (health()["node"].as_str(), health()["region"].as_str()),
        (Some("上海-1"), Some("Asia-Pacific"))
    );

    let timestamp = repository.path().join("metadata/timestamp.json");
    for broken in ["{", "{\"signed\": {}}", ""] {
        std::fs::write(&timestamp, broken).unwrap();
        assert_eq!(health()["metadata_version"], 1, "{broken}");
    }
    std::fs::remove_file(&timestamp).unwrap();
    assert_eq!(health()["metadata_version"], 1);
    repository.target(
        "sample_9.0.0_Linux_x86_64.kuzflow",
        b"new",
        json!({ "release": { "written": "by a newer program" } }),
    );
    repository.publish();
    assert_eq!(
        (health()["metadata_version"].as_u64(), health()["releases"].as_u64()),
        (Some(2), Some(3))
    );

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
    // No program listens at this address.
    let gone = "127.0.0.1:9";
    repository.nodes(&json!([
        { "id": "lagging", "url": format!("http://{}/", lagging.address) },
        { "id": "gone", "url": format!("http://{gone}/") },
        { "id": "good", "url": format!("http://{}/", good.address) },
    ]));
    let options =
        ServerOptions { health_interval: Some(Duration::from_millis(20)), ..repository.options() };
    let server = Server::start(options);
    until("the good one is offered alone", || {
        let update =
            get(server.address, "/api/containers/check_update?platform=Linux_x86_64").json();
        let nodes = update["download_nodes"].as_array().unwrap();
        nodes.len() == 1 && nodes[0]["id"] == "good"
    });
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

/// No deadline passes silently: the status alone shows it to monitors.
#[test]
fn healthz_reports_deadlines_and_turns_to_503_once_one_is_past() {
    let mut repository = Repository::sample();
    let server = Server::start(repository.options());
    let health = || get(server.address, "/healthz");
    assert_eq!((health().status, health().json()["status"].as_str()), (200, Some("ok")));
    let later =
        |hours: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours)).to_string();
    repository.patches_expire = Box::leak(later(24).into_boxed_str());
    repository.publish();
    let soon = health();
    assert_eq!((soon.status, soon.json()["status"].as_str()), (200, Some("warning")));
    assert!(soon.json()["warnings"][0].as_str().unwrap().contains("patches"));
    assert_eq!(soon.json()["deadlines"][0]["role"], "patches");
    repository.patches_expire = Box::leak(later(-1).into_boxed_str());
    repository.publish();
    let past = health();
    assert_eq!((past.status, past.json()["status"].as_str()), (503, Some("expired")));
    // A root has its own number, which no other document names.
    repository.patches_expire = "2999-01-01T00:00:00Z";
    repository.publish();
    assert_eq!(health().status, 200);
    let root =
        serde_json::json!({ "signed": { "version": 5, "expires": later(-1) }, "signatures": [] });
    std::fs::write(repository.path().join("metadata/5.root.json"), root.to_string()).unwrap();
    let past = health();
    assert_eq!((past.status, past.json()["deadlines"][0]["role"].as_str()), (503, Some("root")));
}

/// What a server cannot know it never calls fine: nobody would be warned before the end.
#[test]
fn healthz_warns_where_an_end_is_not_known() {
    let mut repository = Repository::sample();
    repository.publish();
    let metadata = repository.path().join("metadata");
    let roots = ["1.root.json", "2.root.json"].map(|name| metadata.join(name));
    let health = || get(Server::start(repository.options()).address, "/healthz");
    let unknown = |answer: &Answer| -> Vec<String> {
        let answer = answer.json();
        let deadlines = answer["deadlines"].as_array().unwrap().iter();
        let unknown = deadlines.filter(|deadline| deadline["state"] == "unknown");
        unknown
            .inspect(|deadline| assert!(deadline["expires"].is_null(), "{deadline}"))
            .map(|deadline| deadline["role"].as_str().unwrap().to_owned())
            .collect()
    };
    let warns = |what: &str, role: &str| {
        let found = health();
        let body = found.json();
        assert_eq!((found.status, body["status"].as_str()), (200, Some("warning")), "{what}");
        assert_eq!(unknown(&found), [role], "{what}: {body}");
        assert!(body["warnings"][0].as_str().unwrap().contains(role), "{what}: {body}");
        assert_eq!(body["expires"], "2999-01-01T00:00:00Z", "the earliest that is known");
    };
    assert_eq!((health().json()["status"].as_str(), unknown(&health()).len()), (Some("ok"), 0));
    let whole = std::fs::read(&roots[1]).unwrap();
    std::fs::write(&roots[1], "{").unwrap();
    warns("a root that cannot be read", "root");
    std::fs::write(&roots[1], r#"{"signed": {"version": 2}, "signatures": []}"#).unwrap();
    warns("a root that does not say its end", "root");
    roots.iter().for_each(|root| std::fs::remove_file(root).unwrap());
    warns("a copy without roots", "root");
    std::fs::write(&roots[1], whole).unwrap();
    std::fs::write(metadata.join("2.patches.json"), "{").unwrap();
    warns("a list of patches that cannot be read", "patches");
}
