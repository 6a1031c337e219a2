//! Tokens and the audit, through the real executables.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::{address, new_token, serve};
use crate::server::client::ask;
use crate::support::release::{World, kuzflow, text};

fn world() -> World {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    world
}

#[test]
fn a_token_reads_the_numbers_until_it_is_revoked() {
    let world = world();
    let data = world.path("data");
    let early = kuzflow(&["token", "list", "--data", text(&data)]);
    assert_eq!(early.code, 1, "{}", early.errors);
    assert!(early.errors.contains("kuzflow serve --data") && !data.exists(), "{}", early.errors);
    let node = serve(&world);
    let list = || kuzflow(&["token", "list", "--data", text(&data)]);
    assert_eq!(list().code, 3);
    let word = new_token(&data, "prometheus", "read");
    assert!(word.len() == 47 && word.starts_with("kuz_"), "{word}");
    let status = |word: &str, path: &str| {
        let bearer = format!("Bearer {word}");
        ask(address(&node), "GET", path, &[("Authorization", &bearer)]).status
    };
    for path in ["/metrics", "/api/statistics"] {
        assert_eq!(status(&word, path), 200, "{path}");
        assert_eq!(status(&word[..46], path), 401, "{path}");
    }
    let builder = new_token(&data, "builder", "build");
    assert_eq!(status(&builder, "/metrics"), 200, "each role reads");
    let file = world.path("token");
    fs::write(&file, format!("{word}\n")).unwrap();
    let server = format!("http://{}/", node.address);
    let asked = kuzflow(&["stats", "--server", &server, "--token", text(&file)]);
    assert_eq!(asked.code, 3, "nothing was reported: {}", asked.errors);
    let listed = list();
    assert_eq!(listed.result["tokens"].as_array().unwrap().len(), 2);
    assert!(!listed.result.to_string().contains(&word[4..]), "{}", listed.result);

    let revoke = |name: &str| kuzflow(&["token", "revoke", "--name", name, "--data", text(&data)]);
    assert_eq!(revoke("prometheus").code, 0);
    assert_eq!(status(&word, "/metrics"), 401, "at once, although the server is running");
    assert_eq!(revoke("prometheus").code, 3);
    assert_eq!(revoke("nobody").code, 1);
    assert_eq!(status(&builder, "/metrics"), 200, "the others stay");
}

#[test]
fn what_cannot_be_a_token_is_refused() {
    let world = world();
    let _node = serve(&world);
    let data = world.path("data");
    let try_new = |more: &[&str]| {
        let all = [&["token", "new", "--data", text(&data)], more].concat();
        kuzflow(&all).code
    };
    assert_eq!(try_new(&["--name", "a"]), 2, "no role");
    assert_eq!(try_new(&["--role", "read"]), 2, "no name");
    assert_eq!(try_new(&["--name", "a", "--role", "admin"]), 2);
    assert_eq!(try_new(&["--name", "", "--role", "read"]), 2);
    assert_eq!(try_new(&["--name", "a", "--role", "read", "--expires", "0"]), 2);
    assert_eq!(try_new(&["--name", "a", "--role", "read", "--expires", "1"]), 0);
    assert_eq!(try_new(&["--name", "a", "--role", "read"]), 1, "the name is taken");
}

#[test]
fn the_token_stands_alone_on_standard_output() {
    let world = world();
    let _node = serve(&world);
    let output = Command::new(env!("CARGO_BIN_EXE_kuzflow"))
        .args(["token", "new", "--name", "a", "--role", "read", "--expires", "30"])
        .args(["--data", text(&world.path("data"))])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.starts_with("kuz_") && printed.trim_end().len() == 47, "{printed}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("shown only now") && !errors.contains("kuz_"), "{errors}");
}

#[test]
fn the_audit_has_each_deed_and_its_last_hash_covers_all() {
    let world = world();
    let node = serve(&world);
    let data = world.path("data");
    let audit = |more: &[&str]| kuzflow(&[&["audit", "--data", text(&data)], more].concat());
    assert_eq!(audit(&[]).code, 3);
    new_token(&data, "alice", "operate");
    let first = audit(&["--verify"]);
    assert_eq!((first.code, first.result["count"].as_i64()), (0, Some(1)), "{}", first.errors);
    let hash = first.result["last"].as_str().unwrap().to_owned();
    kuzflow(&["token", "revoke", "--name", "alice", "--data", text(&data)]);
    let all = audit(&[]);
    let entries = all.result["entries"].as_array().unwrap();
    let deeds: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| (entry["what"].as_str().unwrap(), entry["subject"].as_str().unwrap()))
        .collect();
    assert_eq!(deeds, [("token_new", "alice (operate)"), ("token_revoked", "alice")]);
    assert_eq!(entries[1]["before"], hash.as_str());
    assert_eq!(audit(&["--verify", "--known", &hash]).code, 0, "it is still in the chain");
    let other = audit(&["--verify", "--known", &"0".repeat(64)]);
    assert_eq!(other.code, 1);
    assert!(other.errors.contains("no entry has the hash"), "{}", other.errors);
    drop(node);
    // Somebody with the file takes an entry out.
    let taken_out = Command::new("python3")
        .args(["-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM audit WHERE number = 1'); c.commit()"])
        .arg(data.join("fleet.sqlite"))
        .status()
        .unwrap();
    assert!(taken_out.success());
    let broken = audit(&["--verify"]);
    assert_eq!(broken.code, 1);
    assert!(broken.errors.contains("entry 1 is missing"), "{}", broken.errors);
}
