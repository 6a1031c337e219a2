//! One update, from the launcher's queue to the operator's numbers.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use super::{address, count, reached, serve, settings, stats};
use crate::server::client::{ask, post};
use crate::support::release::{PROGRAM, World, kuzflow, text};
use crate::support::waiting::until;

const STEPS: [&str; 5] = ["offered", "started", "fetched", "installed", "switched"];

/// Runs the app until it is up, and ends it.
fn run_until_up(world: &World) {
    let mut command = world.launcher(&["--headless", "run"]);
    let mut launcher = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it is up", || world.record("active.json")["probation"]["up"] == true);
    until("that is written down", || {
        let kinds = world.say(&["reports", "show"]);
        let reports = kinds.result["reports"].as_array().cloned().unwrap_or_default();
        reports.iter().any(|report| report["kind"] == "up")
    });
    world.end_apps();
    launcher.wait().unwrap();
}

#[test]
fn what_waits_to_be_sent_is_shown_and_says_nothing_about_the_computer() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let node = world.serve();
    // Nobody takes reports there, so all of them wait.
    world.configure(&[&node.address], &settings("127.0.0.1:9"));
    world.update();
    let shown = world.say(&["reports", "show"]);
    let waiting = shown.result["reports"].as_array().unwrap();
    let kinds: Vec<&str> = waiting.iter().map(|report| report["kind"].as_str().unwrap()).collect();
    assert!(STEPS.iter().all(|step| kinds.contains(step)), "{kinds:?}");
    let everything = shown.result["reports"].to_string();
    let home = world.home();
    for secret in [text(&home), "kuzflow 测试", "node-0.", "127.0.0.1"] {
        assert!(!everything.contains(secret), "{secret}: {everything}");
    }
    let state = world.record("state.json");
    assert!(!everything.contains(state["installation_id"].as_str().unwrap()));
}

#[test]
fn an_update_is_reported_step_by_step_and_every_view_shows_the_same_numbers() {
    let world = World::new();
    let orders = BTreeMap::from([("orders", b"SILENT=1\nSTAY=600\n".to_vec())]);
    world.publish(&world.build("1.0.0", &orders), &["--no-patches"]);
    let node = serve(&world);
    let more = format!(
        "[update]\ncheck = 'never'\n[health]\nsurvival_seconds = 1\n{}",
        settings(&node.address)
    );
    world.configure(&[&node.address], &more);
    world.update();
    run_until_up(&world);
    let check = world.say(&["check"]);
    assert_eq!(check.code, 3, "{}", check.errors);
    let data = world.path("data");
    until("the reports are there", || reached(&stats(&data), "1.0.0", "up") == 1);
    let numbers = stats(&data);
    for step in STEPS {
        assert_eq!(reached(&numbers, "1.0.0", step), 1, "{step}: {numbers:#}");
    }
    assert_eq!(world.say(&["reports", "show"]).result["reports"].as_array().unwrap().len(), 0);
    // The same through the server, for the operator alone.
    let server = format!("http://{}/", node.address);
    let token = data.join("read-token");
    let asked = kuzflow(&["stats", "--server", &server, "--token", text(&token)]);
    assert_eq!(asked.result["statistics"], numbers, "{}", asked.errors);
    assert_eq!(kuzflow(&["stats", "--server", &server]).code, 1, "a stranger");
    let word = fs::read_to_string(&token).unwrap();
    let bearer = format!("Bearer {}", word.trim());
    let metrics = ask(address(&node), "GET", "/metrics", &[("Authorization", &bearer)]);
    let page = String::from_utf8(metrics.body).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("kuzflow_reports_total{"));
    let sum: i64 = rows.map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum();
    let kinds = numbers["outcomes"].as_array().unwrap();
    assert_eq!(sum, kinds.iter().map(|row| row["n"].as_i64().unwrap()).sum::<i64>(), "{page}");
    assert!(page.contains("kuzflow_signature_seconds{role=\"timestamp\"}"), "{page}");
    for path in ["/metrics", "/api/statistics"] {
        assert_eq!(ask(address(&node), "GET", path, &[]).status, 401, "{path}");
    }
}

#[test]
fn an_update_that_fails_or_is_taken_back_is_reported_with_its_reason() {
    let world = World::new();
    let orders = |text: &str| BTreeMap::from([("orders", text.as_bytes().to_vec())]);
    world.publish(&world.build("1.0.0", &orders("SILENT=1\n")), &["--no-patches"]);
    let node = serve(&world);
    let more = format!(
        "[update]\ncheck = 'never'\n[health]\nsurvival_seconds = 3600\n{}",
        settings(&node.address)
    );
    world.configure(&[&node.address], &more);
    world.update();
    world.start();
    world.publish(&world.build("2.0.0", &orders("SILENT=1\nCODE=7\n")), &["--no-patches"]);
    world.update();
    world.start();
    assert_eq!(world.active(), "1.0.0", "{}", world.log());
    let data = world.path("data");
    until("the rollback is reported", || {
        world.say(&["check"]);
        reached(&stats(&data), "2.0.0", "rolled_back") == 1
    });
    let numbers = stats(&data);
    let rows = numbers["outcomes"].as_array().unwrap();
    let row = rows.iter().find(|row| row["kind"] == "rolled_back").unwrap();
    assert_eq!(row["detail"], "crashed", "{numbers:#}");
    let versions = numbers["versions"].as_array().unwrap();
    assert!(versions.iter().all(|row| row["version"] != "2.0.0"), "nobody has it: {numbers:#}");
}

#[test]
fn an_update_that_fails_at_the_switch_is_reported_by_every_way_to_it() {
    let world = World::new();
    let entry = format!("exe:{PROGRAM}");
    let more = ["--runtime", "none", "--display-name", "示例 Sample", "--data-schema", "7"];
    world.build("1.0.0", &BTreeMap::new());
    world.publish(&world.pack("1.0.0", &entry, &more), &["--no-patches"]);
    let node = world.serve();
    world.configure(&[&node.address], &settings("127.0.0.1:9"));
    world.update();
    // It does not know the form of the user's files.
    world.publish(&world.build("1.1.0", &BTreeMap::new()), &["--no-patches"]);
    let failed = || {
        let waiting = world.say(&["reports", "show"]).result["reports"].clone();
        let failed = waiting.as_array().unwrap().iter().filter(|report| report["kind"] == "failed");
        let failed = failed.inspect(|report| {
            assert_eq!(
                (&report["problem"], &report["to"]),
                (&"data_too_new".into(), &"1.1.0".into())
            );
            assert_eq!(report["from"], "1.0.0");
        });
        failed.count()
    };
    assert_eq!((world.say(&["update"]).code, failed()), (1, 1));
    assert_eq!((world.say(&["switch", "1.1.0"]).code, failed()), (1, 2));
    assert_eq!(world.active(), "1.0.0");
}

#[test]
fn what_anybody_can_send_is_bounded_and_counts_once() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let node = serve(&world);
    let report = |number: u32, app: &str, at: i64| {
        serde_json::json!({
            "id": format!("{number:032x}"), "installation": format!("{number:032x}"), "at": at, "kind": "up", "app": app,
            "channel": "stable", "platform": "Linux_x86_64", "to": "1.0.0", "launcher": "0.1.0", "region": "Europe",
        })
    };
    let send = |reports: Vec<serde_json::Value>| {
        let body = serde_json::json!({ "reports": reports }).to_string();
        post(address(&node), "/api/reports", body.as_bytes())
    };
    let now = jiff::Timestamp::now().as_second();
    let month = 31 * 24 * 60 * 60;
    let mixed = vec![
        report(1, "sample", now),
        report(1, "sample", now),
        report(2, "another", now),
        report(3, "sample", now - month),
        report(4, "sample", now + month),
        serde_json::json!({"id": "nonsense"}),
    ];
    let answer = send(mixed.clone()).json();
    assert_eq!(answer, serde_json::json!({"accepted": 1, "known": 1, "refused": 4}));
    let again = send(mixed).json();
    assert_eq!(again, serde_json::json!({"accepted": 0, "known": 2, "refused": 4}));
    assert_eq!(count(&stats(&world.path("data")), "up"), 1);
    assert_eq!(send((0..65).map(|number| report(number, "sample", now)).collect()).status, 413);
    let large = format!("{{\"reports\": [], \"x\": \"{}\"}}", "x".repeat(200_000));
    assert_eq!(post(address(&node), "/api/reports", large.as_bytes()).status, 413);
    for nonsense in ["", "[]", "{\"reports\": 5}", "<html>"] {
        assert_eq!(post(address(&node), "/api/reports", nonsense.as_bytes()).status, 400);
    }
    assert_eq!(ask(address(&node), "GET", "/api/reports", &[]).status, 405);
}
