//! Reports of launchers, from the update to the operator's numbers, through the real executables.
//!
//! ```text
//! way       one update, from the launcher's queue to the numbers      switches   who wants reports
//! survival  a server that is killed under load                        access     tokens and the audit
//! rollouts  a server that moves them within their plans
//! page      the operators' page                                       monitoring alert rules and board
//! proxy_logins  people who have logged in at a proxy
//! builds    an app goes up, a package comes down
//! ```

mod access;
mod builds;
mod monitoring;
mod page;
mod proxy_logins;
mod rollouts;
mod survival;
mod switches;
mod way;

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

use crate::support::release::{NodeProcess, World, kuzflow, text};

/// A server that takes reports into the folder `data`.
fn serve(world: &World) -> NodeProcess {
    world.serve_with(&["--data", text(&world.path("data"))])
}

/// Settings of launchers that report to this server.
fn settings(address: &str) -> String {
    format!("[reports]\nurl = 'http://{address}/'\n")
}

fn address(node: &NodeProcess) -> SocketAddr {
    node.address.parse().unwrap()
}

/// The numbers in the folder.
fn stats(data: &Path) -> Value {
    let reply = kuzflow(&["stats", "--data", text(data)]);
    assert!([0, 3].contains(&reply.code), "{}", reply.errors);
    reply.result["statistics"].clone()
}

/// Makes a token with this name and returns its word.
fn new_token(data: &Path, name: &str, role: &str) -> String {
    let made = kuzflow(&["token", "new", "--name", name, "--role", role, "--data", text(data)]);
    assert_eq!(made.code, 0, "{}", made.errors);
    made.result["token"].as_str().unwrap().to_owned()
}

/// How often a kind was reported, of all versions.
fn count(statistics: &Value, kind: &str) -> i64 {
    let rows = statistics["outcomes"].as_array().unwrap().iter();
    rows.filter(|row| row["kind"] == kind).map(|row| row["n"].as_i64().unwrap()).sum()
}

/// How many updates to a version reached a step.
fn reached(statistics: &Value, version: &str, stage: &str) -> i64 {
    let rows = statistics["funnel"].as_array().unwrap().iter();
    rows.filter(|row| row["version"] == version && row["stage"] == stage)
        .map(|row| row["n"].as_i64().unwrap())
        .sum()
}
