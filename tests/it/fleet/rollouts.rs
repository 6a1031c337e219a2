//! A server that moves rollouts within their signed plans: by the numbers, and by an operator's word.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::page::{cookie, log_in, page};
use super::{address, new_token};
use crate::server::client::{Answer, ask, post, post_with};
use crate::support::release::{World, kuzflow, text};
use crate::support::waiting::until;

/// A stage that many rollbacks halt, and one for all.
const PLAN: &str = "recall_to = \"1.0.0\"\n\n[[stages]]\npercent = 10\nhours = 10000\nrollbacks = 5\nsamples = 20\n\n\
                    [[stages]]\npercent = 100\n";

/// A publisher with 1.0.0 for all, and 2.0.0 with a plan.
fn world() -> World {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let plan = world.path("plan.toml");
    std::fs::write(&plan, PLAN).unwrap();
    let package = world.build("2.0.0", &BTreeMap::from([("data/a.txt", b"a".to_vec())]));
    world.publish(&package, &["--no-patches", "--plan", text(&plan)]);
    world
}

/// Sends reports of so many updates to 2.0.0 that ended so.
fn report(address: SocketAddr, updates: std::ops::Range<u32>, kind: &str) {
    let report = |number: u32| {
        json!({
            "id": format!("{number:032x}"), "installation": format!("{number:032x}"), "update": format!("{number:032x}"),
            "at": jiff::Timestamp::now().as_second(), "kind": kind, "app": "sample", "channel": "stable",
            "platform": "Linux_x86_64", "from": "1.0.0", "to": "2.0.0", "launcher": "0.1.0", "region": "Europe",
            "reason": "crashed",
        })
    };
    let all: Vec<Value> = updates.map(report).collect();
    let answer = post(address, "/api/reports", json!({ "reports": all }).to_string().as_bytes());
    assert_eq!(answer.json()["accepted"], all.len(), "{answer:?}");
}

fn rollout(address: SocketAddr, token: &str) -> Value {
    let bearer = format!("Bearer {token}");
    let answer = ask(address, "GET", "/api/rollouts", &[("Authorization", &bearer)]);
    answer.json()["rollouts"][0].clone()
}

fn steer(address: SocketAddr, token: &str, wanted: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let path = format!("/api/rollouts/sample/2.0.0/{wanted}");
    post_with(address, &path, &[("Authorization", &bearer)], b"")
}

fn audit(data: &Path) -> Vec<String> {
    let reply = kuzflow(&["audit", "--data", text(data)]);
    let entries = reply.result["entries"].as_array().unwrap_or_else(|| panic!("{}", reply.errors));
    let deeds =
        entries.iter().filter(|entry| entry["what"].as_str().unwrap().starts_with("rollout"));
    deeds.map(|entry| format!("{} {}", entry["who"], entry["what"]).replace('"', "")).collect()
}

#[test]
fn a_release_that_is_rolled_back_too_often_is_halted_and_a_person_resumes_it() {
    let world = world();
    let data = world.path("data");
    let node = world.serve_with(&["--data", text(&data), "--steer"]);
    let address = address(&node);
    let (reader, operator) =
        (new_token(&data, "reader", "read"), new_token(&data, "anna", "operate"));
    let before = rollout(address, &reader);
    assert_eq!((&before["stage"], &before["permille"]), (&json!(1), &json!(100)), "{before}");
    report(address, 1..30, "up");
    report(address, 30..50, "rolled_back");
    until("the conductor halts it", || rollout(address, &reader)["halted"] == true);
    until("the word is signed", || rollout(address, &reader)["word"]["sequence"] == 1);
    let halted = rollout(address, &reader);
    assert_eq!((&halted["permille"], &halted["halted_offline"]), (&json!(0), &json!(false)));

    assert_eq!(steer(address, &reader, "resume").status, 403);
    assert_eq!(steer(address, "", "resume").status, 401);
    assert_eq!(steer(address, &operator, "widen").status, 404);
    let resumed = steer(address, &operator, "resume");
    assert_eq!((resumed.status, &resumed.json()["status"]), (200, &json!("done")), "{resumed:?}");
    // What came of updates before does not count against it any more.
    let after = rollout(address, &reader);
    assert_eq!(after["updates"], json!({ "up": 0, "rolled_back": 0, "failed": 0 }), "{after}");
    assert_eq!((&after["halted"], &after["permille"]), (&json!(false), &json!(100)));
    let early = steer(address, &operator, "next");
    assert_eq!(early.status, 409, "the plan's hours are not over: {early:?}");
    drop(node);

    // Another server goes on where this one was.
    let node = world.serve_with(&["--data", text(&data), "--steer"]);
    let address = self::address(&node);
    assert_eq!(rollout(address, &reader)["word"]["sequence"], 2);
    let halted = steer(address, &operator, "halt");
    assert_eq!(halted.json()["rollout"]["word"]["sequence"], 3, "{halted:?}");
    assert_eq!(steer(address, &operator, "halt").json()["status"], "nothing_to_do");
    assert_eq!(
        audit(&data),
        ["conductor rollout_halted", "anna rollout_resumed", "anna rollout_halted"]
    );
}

/// Presses a button of the page, as a browser does.
fn press(address: SocketAddr, cookie: &str, wanted: &str, fields: &[(&str, &str)]) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("app", "sample")
        .append_pair("version", "2.0.0")
        .append_pair("move", wanted)
        .append_pair("lang", "en")
        .finish();
    let fields: Vec<_> = fields.iter().copied().chain([("Cookie", cookie)]).collect();
    post_with(address, "/fleet/rollout", &fields, form.as_bytes())
}

#[test]
fn an_operator_moves_a_rollout_by_the_buttons_of_the_page() {
    let world = world();
    let data = world.path("data");
    let node = world.serve_with(&["--data", text(&data), "--steer"]);
    let address = address(&node);
    let login =
        |name: &str, role: &str| cookie(&log_in(address, &new_token(&data, name, role), &[]));
    let (reader, operator) = (login("reader", "read"), login("anna", "operate"));
    let shown = page(address, "/fleet", &reader).1;
    assert!(shown.contains("sample 2.0.0") && !shown.contains("/fleet/rollout"), "{shown}");
    assert!(shown.contains("release published"), "the timeline: {shown}");
    let shown = page(address, "/fleet", &operator).1;
    let button = |wanted: &str| format!("name=\"move\" value=\"{wanted}\"");
    assert!(shown.contains(&button("halt")) && !shown.contains(&button("resume")), "{shown}");

    assert_eq!(press(address, "", "halt", &[]).status, 401);
    assert_eq!(press(address, &reader, "halt", &[]).status, 403);
    let foreign = [("Sec-Fetch-Site", "cross-site")];
    assert_eq!(press(address, &operator, "halt", &foreign).status, 403);
    assert_eq!(press(address, &operator, "resume", &[]).status, 303, "nothing to do");
    assert_eq!(press(address, &operator, "next", &[]).status, 409, "its hours are not over");
    assert_eq!(press(address, &operator, "widen", &[]).status, 404);
    let token = new_token(&data, "program", "read");
    assert_eq!(rollout(address, &token)["word"], Value::Null, "nothing has moved");

    let recalled = press(address, &operator, "recall", &[]);
    let place = recalled.field("location").unwrap();
    assert_eq!((recalled.status, place), (303, "/fleet?lang=en#rollouts"), "{recalled:?}");
    let now = rollout(address, &token);
    assert_eq!((&now["state"], &now["recalled"]), (&json!("recalled"), &json!(true)), "{now}");
    let shown = page(address, "/fleet", &operator).1;
    assert!(shown.contains(&button("take-back")) && shown.contains("recalled to 1.0.0"), "{shown}");
    assert_eq!(press(address, &operator, "take-back", &[]).status, 303);
    assert_eq!(rollout(address, &token)["state"], "halted");
    assert_eq!(press(address, &operator, "resume", &[]).status, 303);
    assert_eq!(rollout(address, &token)["state"], "running");
    assert_eq!(audit(&data), ["anna rollout_resumed"]);
    let shown = page(address, "/fleet", &reader).1;
    for deed in ["release recalled", "recall taken back", "rollout resumed"] {
        assert!(shown.contains(deed), "{deed}: {shown}");
    }
}

#[test]
fn a_server_that_is_not_asked_to_steer_has_no_such_address() {
    let world = world();
    let data = world.path("data");
    let node = world.serve_with(&["--data", text(&data)]);
    let operator = new_token(&data, "anna", "operate");
    assert_eq!(steer(address(&node), &operator, "halt").status, 404);
    // At a terminal the online key does the same.
    let repo = world.path("publisher");
    let online = |wanted: &str| {
        kuzflow(&["rollout", "--repo", text(&repo), "--version", "2.0.0", "--online", wanted])
    };
    let halted = online("halt");
    assert_eq!(halted.code, 0, "{}", halted.errors);
    assert_eq!(online("halt").code, 3);
    assert_eq!(online("next").code, 1, "it is halted");
}
