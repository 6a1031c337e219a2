//! Packs through the executables: made when a release is published, by hand, and on a client's
//! request to a server; fetched and applied.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::contents::words;
use crate::support::release::{Reply, World, kuzflow, text, tree};
use crate::support::waiting::until;

/// A release of an app. Its module in `manipulate` changes with each version, its other file with
/// each even one.
fn build(world: &World, version: u64) -> PathBuf {
    let module = format!("VERSION = {version}\n").into_bytes();
    let files = BTreeMap::from([
        ("manipulate/executor.py", module),
        ("data/words.txt", words(version / 2)),
    ]);
    world.build(&format!("{version}.0.0"), &files)
}

fn publish(world: &World, version: u64, more: &[&str]) -> Reply {
    let package = build(world, version);
    let repo = world.path("publisher");
    let reported = kuzflow(&[&["publish", text(&package), "--repo", text(&repo)], more].concat());
    assert!([0, 3].contains(&reported.code), "{}", reported.errors);
    reported
}

/// (from, to, status) of each reported pack.
fn packs(reply: &Reply) -> Vec<(String, String, String)> {
    let field = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let reported = reply.events.iter().filter(|event| event["event"] == "pack");
    reported
        .map(|event| (field(event, "from"), field(event, "to"), field(event, "status")))
        .collect()
}

fn made(pairs: &[(u64, u64)], status: &str) -> Vec<(String, String, String)> {
    pairs
        .iter()
        .map(|(from, to)| (format!("{from}.0.0"), format!("{to}.0.0"), status.to_owned()))
        .collect()
}

/// The published packs, by `from → to`.
fn listed(world: &World) -> BTreeMap<String, Value> {
    let list = kuzflow(&["list", "--repo", text(&world.path("publisher"))]);
    assert_eq!(list.code, 0, "{}", list.errors);
    let packs = list.result["patches"].as_array().unwrap().clone();
    let version = |pack: &Value, end: &str| {
        pack["patch"][end].as_str().unwrap().split('_').nth(1).unwrap().to_owned()
    };
    packs
        .into_iter()
        .map(|pack| (format!("{} → {}", version(&pack, "from"), version(&pack, "to")), pack))
        .collect()
}

/// An answer's status and body.
fn http(address: &str, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
    (status, answer[end..].to_vec())
}

/// Unpacks a package as any zip program does.
fn unzip(package: &Path, folder: &Path) {
    let mut archive = zip::ZipArchive::new(fs::File::open(package).unwrap()).unwrap();
    archive.extract(folder).unwrap();
}

/// Applies a pack to a release, and compares the result with the expected release.
fn applies(world: &World, pack: &Path, from: u64, to: u64) {
    let unpacked = |version: u64| {
        let folder = world.path(&format!("unpacked {version}"));
        if !folder.exists() {
            unzip(&world.path(&format!("{version}.0.0.kuzflow")), &folder);
        }
        folder
    };
    let (old, new) = (unpacked(from), unpacked(to));
    let out = world.path(&format!("applied {from} {to}"));
    let applied = kuzflow(&["apply", text(pack), "--old", text(&old), "--out", text(&out)]);
    assert_eq!(applied.code, 0, "{}", applied.errors);
    let without_index = |folder: &Path| {
        let mut files = tree(folder);
        // This file belongs to the package, and not to the release.
        files.remove(Path::new("metadata/package.json"));
        files
    };
    assert_eq!(without_index(&out), without_index(&new));
}

#[test]
fn publishing_makes_packs_from_the_releases_before() {
    let world = World::new();
    assert_eq!(packs(&publish(&world, 1, &[])), [], "nothing is before the first");
    assert_eq!(packs(&publish(&world, 2, &[])), made(&[(1, 2)], "made"));
    let third = publish(&world, 3, &[]);
    assert_eq!(packs(&third), made(&[(2, 3), (1, 3)], "made"));
    assert_eq!(third.result["status"], "done");
    let order: Vec<&str> =
        third.events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(order, ["published", "pack", "pack"], "the release does not wait for packs");

    let packs_now = listed(&world);
    assert_eq!(
        packs_now.keys().collect::<Vec<_>>(),
        ["1.0.0 → 2.0.0", "1.0.0 → 3.0.0", "2.0.0 → 3.0.0"]
    );
    // From 2 to 3 only a module changed that a running app can take over; from 1 to 2 the words
    // changed as well.
    let reported = |pair: &str| {
        (
            packs_now[pair]["patch"]["requires_restart"].clone(),
            packs_now[pair]["patch"]["hot_swappable"].clone(),
        )
    };
    assert_eq!(reported("2.0.0 → 3.0.0"), (json!(false), json!(1)));
    assert_eq!(reported("1.0.0 → 2.0.0"), (json!(true), json!(1)));
    assert!(
        packs_now.values().all(|pack| pack["length"].as_u64().unwrap() < 8000),
        "{packs_now:?}"
    );
    let metadata = tree(&world.path("publisher/repository/metadata"));
    let lists = metadata.iter().filter(|(path, _)| text(path).ends_with(".patches.json"));
    assert!(
        lists
            .map(|(_, list)| String::from_utf8_lossy(list).into_owned())
            .any(|list| list.contains("from-2.0.0.kuzpatch"))
    );
    assert!(tree(&world.path("publisher/making")).is_empty(), "nothing is left behind");
    // The signed version tree has the sizes of packs that were made after their release.
    let targets = tree(&world.path("publisher/repository/targets"));
    let trees: Vec<&Vec<u8>> = targets
        .iter()
        .filter(|(path, _)| text(path).ends_with("versions.json"))
        .map(|(_, tree)| tree)
        .collect();
    assert_eq!(trees.len(), 1);
    let reported: Value = serde_json::from_slice(trees[0]).unwrap();
    for (from, to) in [("1.0.0", "2.0.0"), ("2.0.0", "3.0.0")] {
        assert_eq!(
            reported["version_tree"][to]["patch_size"],
            packs_now[&format!("{from} → {to}")]["length"]
        );
    }

    // The same call again changes nothing.
    let again = publish(&world, 3, &[]);
    assert_eq!((again.code, again.result["status"].as_str()), (0, Some("nothing_to_do")));
    assert_eq!(packs(&again), made(&[(2, 3), (1, 3)], "known"));
    assert_eq!(packs(&publish(&world, 4, &["--no-patches"])), []);

    // The packs that a client fetches give the release.
    let node = world.serve();
    for (from, to) in [(1, 3), (2, 3)] {
        let (status, pack) = http(
            &node.address,
            "GET",
            &format!("/api/incremental/patch/{from}.0.0_{to}.0.0_{}", platform()),
            "",
        );
        assert_eq!(status, 200);
        let path = world.path("downloaded.kuzpatch");
        fs::write(&path, pack).unwrap();
        applies(&world, &path, from, to);
    }
}

fn platform() -> String {
    kuzflow::testing::model::Platform::current().to_string()
}

#[test]
fn one_pair_by_hand_also_backwards_and_compared_by_version() {
    let world = World::new();
    (1..=3).for_each(|version| _ = publish(&world, version, &["--no-patches"]));
    let repo = world.path("publisher");
    let patch = |from: &str, to: &str, more: &[&str]| {
        kuzflow(&[&["patch", "--repo", text(&repo), "--from", from, "--to", to], more].concat())
    };
    assert!(listed(&world).is_empty());
    let back = patch("3.0.0", "1.0.0", &["--platform", &platform()]);
    assert_eq!((back.code, packs(&back)), (0, made(&[(3, 1)], "made")), "{}", back.errors);
    let again = patch("3.0.0", "1.0.0", &[]);
    assert_eq!((again.code, packs(&again)), (0, made(&[(3, 1)], "known")));
    let location = &listed(&world)["3.0.0 → 1.0.0"];
    let name = format!(
        "targets/{}.{}",
        location["hash"].as_str().unwrap(),
        location["target"].as_str().unwrap()
    );
    applies(&world, &repo.join("repository").join(name), 3, 1);
    for (from, to, more, named) in [
        ("9.0.0", "1.0.0", vec![], "9.0.0"),
        ("1.0.0", "9.0.0", vec![], "9.0.0"),
        ("1.0.0", "1.0.0", vec![], "the same"),
        ("1.0.0", "2.0.0", vec!["--platform", "Darwin_arm64"], "1.0.0"),
    ] {
        let refused = patch(from, to, &more);
        assert_eq!(refused.code, 1);
        assert!(refused.errors.contains(named), "{}", refused.errors);
    }
    assert_eq!(patch("1.0.0", "latest", &[]).code, 2);

    let compared = kuzflow(&["diff", "1.0.0", "2.0.0", "--repo", text(&repo)]);
    assert_eq!(compared.code, 0, "{}", compared.errors);
    let packages = (world.path("1.0.0.kuzflow"), world.path("2.0.0.kuzflow"));
    let by_file = kuzflow(&["diff", text(&packages.0), text(&packages.1)]);
    assert_eq!(compared.result["pack_bytes"], by_file.result["pack_bytes"]);
    let unknown = kuzflow(&["diff", "1.0.0", "9.0.0", "--repo", text(&repo)]);
    assert!(unknown.code == 1 && unknown.errors.contains("9.0.0"), "{}", unknown.errors);
    let nowhere = kuzflow(&["diff", "1.0.0", "2.0.0"]);
    assert!(nowhere.code == 1 && nowhere.errors.contains("--repo"), "{}", nowhere.errors);
}

#[test]
fn packs_that_are_not_worth_it_or_cannot_be_made() {
    let world = World::new();
    let settings = world.path("publisher/kuzflow.toml");
    let usual = fs::read_to_string(&settings).unwrap();
    let written: String = usual
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    let set = |tables: &str| fs::write(&settings, format!("{written}\n{tables}\n")).unwrap();
    publish(&world, 1, &[]);
    set("[incremental_update]\nmax_patch_size = 10");
    let large = publish(&world, 2, &[]);
    assert_eq!((large.code, packs(&large)), (0, made(&[(1, 2)], "refused")));
    let reason = large.events.iter().find(|event| event["event"] == "pack").unwrap()["reason"]
        .as_str()
        .unwrap();
    assert!(reason.contains("max_patch_size"), "{reason}");
    set("[fallback]\nfallback_threshold = 7");
    let mistaken =
        kuzflow(&["serve", "--repo", text(&world.path("publisher")), "--listen", "127.0.0.1:0"]);
    assert!(
        mistaken.code == 1 && mistaken.errors.contains("fallback.fallback_threshold"),
        "{}",
        mistaken.errors
    );
    set("[fallback]\nfallback_threshold = 0.0000001");
    assert_eq!(packs(&publish(&world, 2, &[])), made(&[(1, 2)], "refused"));
    set("[performance]\nmax_memory_usage = 33554432");
    assert_eq!(packs(&publish(&world, 2, &[])), made(&[(1, 2)], "refused"));
    set("[incremental_update]\nenabled = false");
    assert_eq!(packs(&publish(&world, 3, &[])), []);
    set(
        "[incremental_update]\nlatest_releases = 1\n[performance]\nbackground_generation = false\ncompression_algorithm = 'zstd'",
    );
    let before = publish(&world, 4, &[]);
    assert_eq!(packs(&before), made(&[(3, 4)], "made"));
    let order: Vec<&str> =
        before.events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(order, ["pack", "published"]);
    assert_eq!(listed(&world).keys().collect::<Vec<_>>(), ["3.0.0 → 4.0.0"]);

    // A damaged package in the repository loses its packs, but the release succeeds.
    let damaged = tree(&world.path("publisher/repository/targets"))
        .into_keys()
        .find(|path| text(path).contains("_4.0.0_") && text(path).ends_with(".kuzflow"));
    let damaged = world.path("publisher/repository/targets").join(damaged.unwrap());
    let mut bytes = fs::read(&damaged).unwrap();
    // Every byte, since a pack reads only what differs, which may be a few.
    bytes.iter_mut().skip(100).for_each(|byte| *byte ^= 1);
    fs::write(&damaged, bytes).unwrap();
    let fifth = publish(&world, 5, &[]);
    assert_eq!((fifth.code, packs(&fifth)), (0, made(&[(4, 5)], "failed")), "{}", fifth.errors);
    assert!(fifth.errors.contains("warning"), "{}", fifth.errors);

    let repo = world.path("publisher");
    let refresh = || kuzflow(&["refresh", "--repo", text(&repo)]).result["expired_patches"].clone();
    assert_eq!(
        (refresh(), listed(&world).len()),
        (json!(0), 1),
        "it is young; tests/it/patches lets time pass"
    );
}

#[test]
fn a_publisher_at_work_is_waited_for() {
    let world = World::new();
    (1..=2).for_each(|version| _ = publish(&world, version, &["--no-patches"]));
    let project = kuzflow::testing::publish::Project::open(&world.path("publisher")).unwrap();
    let keyring = kuzflow::testing::publish::Keyring::new([project.keys_folder()]);
    let at_work = project.refresh(&keyring, kuzflow::testing::host::now()).unwrap();
    let mut patch = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
    patch.args(["patch", "--repo", text(project.folder()), "--from", "1.0.0", "--to", "2.0.0"]);
    let mut child = patch.spawn().unwrap();
    let made = || tree(&world.path("publisher/making")).values().any(|pack| !pack.is_empty());
    until("the pack is made", || {
        assert!(child.try_wait().unwrap().is_none(), "it did not wait");
        world.path("publisher/making").exists() && made()
    });
    assert!(listed(&world).is_empty());
    at_work.run().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(listed(&world).len(), 1);
}

#[test]
fn a_server_makes_what_is_asked_for() {
    let world = World::new();
    (1..=2).for_each(|version| _ = publish(&world, version, &["--no-patches"]));
    let node = world.serve_with(&["--make-patches", "--workers", "2"]);
    let question = json!({ "current_fingerprint": { "version": "1.0.0" } }).to_string();
    let analyze = || -> Value {
        let (status, body) = http(&node.address, "POST", "/api/incremental/analyze", &question);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    };
    let first = analyze();
    assert_eq!(
        (first["way"].as_str(), first["status"].as_str()),
        (Some("full"), Some("queued")),
        "{first}"
    );
    let path = format!("/api/incremental/patch/1.0.0_2.0.0_{}", platform());
    let mut pack = Vec::new();
    until("a pack is made", || {
        let (status, body) = http(&node.address, "GET", &path, "");
        assert!([200, 202].contains(&status), "{}", String::from_utf8_lossy(&body));
        pack = body;
        status == 200
    });
    let now = analyze();
    assert_eq!(
        (now["way"].as_str(), now["total_size"].as_u64()),
        (Some("patches"), Some(pack.len() as u64)),
        "{now}"
    );
    assert_eq!(now["patches"][0]["url"], path.as_str());
    let file = world.path("made.kuzpatch");
    fs::write(&file, pack).unwrap();
    applies(&world, &file, 1, 2);
    let job =
        world.path(&format!("publisher/patch-jobs/sample_2.0.0_{}.from-1.0.0.json", platform()));
    until("the job is done", || fs::read_to_string(&job).unwrap().contains("completed"));
    assert_eq!(listed(&world).len(), 1, "signed, as the publisher's own");
}
