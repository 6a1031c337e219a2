//! Real launchers that share: the package, single files of an installed version, but no user files;
//! and the user's switch.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kuzflow::testing::model::{Digest, Manifest};

use crate::support::release::{Reply, World, reply, tree};
use crate::support::slow_node::{SlowNode, Slowness};
use crate::support::waiting::until;

/// Another computer on the local network.
fn at(world: &World, home: &Path, arguments: &[&str]) -> Command {
    world.launcher_at(home, &world.config(), &[&["--json"], arguments].concat())
}

fn say(world: &World, home: &Path, arguments: &[&str]) -> Reply {
    reply(&at(world, home, arguments).output().unwrap())
}

/// `peers serve`; killed when dropped.
struct Serving {
    child: Child,
    port: u64,
}

impl Serving {
    fn start(world: &World, home: &Path) -> Self {
        let mut child =
            at(world, home, &["peers", "serve"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let reported: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self { child, port: reported["port"].as_u64().unwrap() }
    }

    /// The status of an answer to a well-formed request for content.
    fn status(&self, digest: &Digest) -> String {
        let mut stream =
            TcpStream::connect(("127.0.0.1", u16::try_from(self.port).unwrap())).unwrap();
        let port = self.port;
        write!(
            stream,
            "GET /kuzflow/1/sample/content/{digest} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        )
        .unwrap();
        let mut start = [0; 12];
        stream.read_exact(&mut start).unwrap();
        String::from_utf8_lossy(&start[9..]).into_owned()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configure(world: &World, node: &str, known: Option<u64>) {
    let known = known.map(|port| format!("known = ['127.0.0.1:{port}']\n")).unwrap_or_default();
    world.configure(&[node], &format!("[peers]\nenabled = true\nmulticast = false\n{known}"));
}

/// Bytes from peers, and from all sources.
fn shares(reply: &Reply) -> (u64, u64) {
    let mut reported = reply
        .events
        .iter()
        .filter(|event| event["event"] == "progress" && event["nodes"] != serde_json::json!([]));
    let nodes = reported
        .next_back()
        .map(|event| event["nodes"].as_array().unwrap().clone())
        .unwrap_or_default();
    let done = |node: &serde_json::Value| node["done"].as_u64().unwrap();
    let from_peers = nodes.iter().filter(|node| node["region"] == "LAN").map(done).sum();
    (from_peers, nodes.iter().map(done).sum())
}

fn container(home: &Path) -> PathBuf {
    let mut folders =
        fs::read_dir(home.join("containers")).unwrap().map(|entry| entry.unwrap().path());
    folders.find(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.')).unwrap()
}

fn content(home: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(&container(home));
    files.retain(|path, _| !path.ends_with("installed.json"));
    files
}

#[test]
fn peers_share_what_was_signed_and_nothing_else() {
    let world = World::new();
    world.release("1.0.0", 3_000_000);
    let node = world.serve();
    configure(&world, &node.address, None);
    let [first, second, third] = ["first", "second", "third"].map(|name| world.path(name));
    assert_eq!(say(&world, &first, &["update"]).code, 0);
    assert!(fs::read_dir(first.join("neighbours")).unwrap().count() >= 2, "the package is kept");

    // The package in pieces, from a launcher that fetched it before. A busy computer may hear of it
    // late: the node sends little until then.
    let serving = Serving::start(&world, &first);
    let slow = Slowness { rate: 100_000, ..Slowness::default() };
    let slow = SlowNode::start(&world.path("publisher/repository"), slow);
    configure(&world, &slow.address, Some(serving.port));
    let updated = say(&world, &second, &["update"]);
    assert_eq!(updated.code, 0, "{}", updated.errors);
    let (from_peers, all) = shares(&updated);
    assert!(from_peers * 10 > all * 8, "{from_peers} of {all}");
    assert_eq!(content(&second), content(&first));

    // User files, files that the user changed, and the launcher's own files are not shared.
    let root = container(&first);
    let json = fs::read(root.join("metadata/container.json")).unwrap();
    let manifest = Manifest::from_json(&json).unwrap();
    assert_eq!(serving.status(&Digest::of(&json)), "200");
    let shared = manifest
        .files_with_bytes()
        .find(|(path, _)| path.as_str().ends_with("file 7.bin"))
        .unwrap();
    assert_eq!(serving.status(&shared.1.hash), "200");
    let changed = manifest
        .files_with_bytes()
        .find(|(path, _)| path.as_str().ends_with("file 8.bin"))
        .unwrap();
    let length = usize::try_from(changed.1.size).unwrap();
    fs::write(changed.0.under(&root), vec![b'x'; length]).unwrap();
    fs::write(root.join("data/diary.txt"), "private").unwrap();
    fs::write(root.join("app/notes.txt"), "private too").unwrap();
    for secret in [
        changed.1.hash,
        Digest::of(&vec![b'x'; length]),
        Digest::of(b"private"),
        Digest::of(b"private too"),
        Digest::of(&fs::read(first.join("state.json")).unwrap()),
        Digest::of(&fs::read(root.join("metadata/installed.json")).unwrap()),
    ] {
        assert_eq!(serving.status(&secret), "404");
    }
    // Another process switches sharing off meanwhile.
    assert_eq!(say(&world, &first, &["peers", "off"]).code, 0);
    until("nothing is given any more", || serving.status(&shared.1.hash) == "404");
    assert_eq!(say(&world, &first, &["peers", "on"]).code, 0);
    drop(serving);

    // Single files, from a launcher that installed the version long ago: the changed file comes
    // from the node. A peer is asked for a moment only, in which a busy computer may not answer.
    let _ = fs::remove_dir_all(first.join("neighbours"));
    let serving = Serving::start(&world, &first);
    configure(&world, &node.address, Some(serving.port));
    until("files come from the peer", || {
        let _ = fs::remove_dir_all(&third);
        let updated = say(&world, &third, &["update"]);
        assert_eq!(updated.code, 0, "{}", updated.errors);
        updated.events.iter().any(|event| event["nodes"][0]["id"] == "near:")
    });
    assert_eq!(content(&third), content(&second));
}

#[test]
fn the_user_has_the_last_word() {
    let world = World::new();
    world.release("1.0.0", 200_000);
    let node = world.serve();
    world.configure(&[&node.address], "");
    let home = world.path("home");
    let status = |reply: &Reply| {
        (
            reply.result["peers"].as_bool().unwrap(),
            reply.result["allowed_by_publisher"].as_bool().unwrap(),
        )
    };
    assert_eq!(
        status(&say(&world, &home, &["peers", "on"])),
        (false, false),
        "the publisher has not switched it on"
    );
    configure(&world, &node.address, None);
    assert_eq!(status(&say(&world, &home, &["peers", "status"])), (true, true));
    assert_eq!(say(&world, &home, &["update"]).code, 0);
    assert!(home.join("neighbours").exists());
    assert_eq!(status(&say(&world, &home, &["peers", "off"])), (false, true));
    assert_eq!(say(&world, &home, &["peers", "serve"]).code, 1);
    assert!(!home.join("neighbours").exists(), "nothing is kept for nobody");
    assert_eq!(status(&say(&world, &home, &["peers", "on"])), (true, true));
}
