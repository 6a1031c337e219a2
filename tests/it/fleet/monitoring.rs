//! The alert rules and the board for Prometheus and Grafana name metrics that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{address, new_token};
use crate::server::client::{ask, get};
use crate::support::release::{World, text};
use crate::support::waiting::until;

/// The names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
    words.filter(|word| word.starts_with("kuzflow_")).map(ToOwned::to_owned).collect()
}

fn monitoring(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/monitoring");
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn rules_and_board_name_metrics_that_there_are() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let data = world.path("data");
    let node = world.serve_with(&["--data", text(&data), "--steer", "--health-interval", "1"]);
    world.write_node_list(&format!(
        "[{{\"id\": \"here\", \"region\": \"Europe\", \"url\": \"http://{}/\"}}]",
        node.address
    ));
    let bearer = format!("Bearer {}", new_token(&data, "prometheus", "read"));
    let metrics = || {
        let answer = ask(address(&node), "GET", "/metrics", &[("Authorization", &bearer)]);
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    };
    until("the node is checked", || metrics().contains("kuzflow_node_up{node=\"here\"} 1"));
    let page = metrics();
    let there: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(ToOwned::to_owned)
        .collect();
    let (rules, board) = (monitoring("alerts.yml"), monitoring("grafana.json"));
    let used: BTreeSet<String> = names(&rules).union(&names(&board)).cloned().collect();
    assert!(names(&rules).len() > 5 && names(&board).len() > 12, "{used:?}");
    let missing: Vec<&String> = used.difference(&there).collect();
    assert!(missing.is_empty(), "{missing:?}\n{page}");
    let shown = names(&board);
    let unused: Vec<&String> = there.difference(&shown).collect();
    assert!(unused.is_empty(), "the board shows everything: {unused:?}");
    let board: Value = serde_json::from_str(&board).unwrap();
    assert!(board["panels"].as_array().unwrap().len() > 10);
    // Each metric is described.
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/reports.md");
    let described = names(&fs::read_to_string(reference).unwrap());
    assert_eq!(there.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_server_counts_what_it_answers() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let data = world.path("data");
    let node = world.serve_with(&["--data", text(&data)]);
    let bearer = format!("Bearer {}", new_token(&data, "prometheus", "read"));
    let value = |name: &str| -> f64 {
        let answer = ask(address(&node), "GET", "/metrics", &[("Authorization", &bearer)]);
        let page = String::from_utf8(answer.body).unwrap();
        let line = page.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name}: {page}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    let before = value("kuzflow_sent_bytes_total");
    let range = [("Range", "bytes=0-99")];
    let part = ask(address(&node), "GET", "/metadata/timestamp.json", &range);
    assert_eq!((part.status, part.body.len()), (206, 100));
    for _ in 0..3 {
        assert_eq!(get(address(&node), "/nowhere").status, 404);
    }
    // An answer counts when its connection has let go of it.
    until("they are counted", || value("kuzflow_requests_total{status=\"4xx\"}") == 3.0);
    assert_eq!(value("kuzflow_range_requests_total"), 1.0);
    assert!(value("kuzflow_sent_bytes_total") >= before + 100.0);
    assert!((0.0..3600.0).contains(&value("kuzflow_repository_age_seconds")));
    assert!((0.0..3600.0).contains(&value("kuzflow_reports_age_seconds")));
    assert_eq!(value("kuzflow_requests_total{status=\"5xx\"}"), 0.0);
}
