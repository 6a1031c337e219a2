//! The operators' page, as a browser gets it.

use std::collections::BTreeMap;
use std::io::{BufReader, Write as _};
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{address, new_token, serve, stats};
use crate::server::client::{Answer, ask, connect, post, post_with, read_answer};
use crate::server::running::Nginx;
use crate::support::release::{NodeProcess, World, kuzflow, text};

fn world() -> (World, NodeProcess) {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let node = serve(&world);
    (world, node)
}

/// Sends one report; `more` replaces fields.
fn report(address: SocketAddr, number: u32, kind: &str, more: &Value) {
    let mut report = json!({
        "id": format!("{number:032x}"), "installation": format!("{:032x}", number / 100), "update": format!("{:032x}", number / 100),
        "at": jiff::Timestamp::now().as_second(), "kind": kind, "app": "sample", "channel": "stable",
        "platform": "Linux_x86_64", "from": "0.9.0", "to": "1.0.0", "launcher": "0.1.0", "region": "Europe",
    });
    for (name, value) in more.as_object().unwrap() {
        report[name] = value.clone();
    }
    let body = json!({ "reports": [report] }).to_string();
    let answer = post(address, "/api/reports", body.as_bytes()).json();
    assert_eq!(answer["accepted"], 1, "{answer} {report}");
}

pub(super) fn log_in(address: SocketAddr, token: &str, fields: &[(&str, &str)]) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token)
        .append_pair("lang", "")
        .finish();
    post_with(address, "/fleet/login", fields, form.as_bytes())
}

/// The cookie of an answer, as a browser sends it back.
pub(super) fn cookie(answer: &Answer) -> String {
    let header = answer.field("set-cookie").unwrap_or_else(|| panic!("{answer:?}"));
    header.split(';').next().unwrap().to_owned()
}

pub(super) fn page(address: SocketAddr, path: &str, cookie: &str) -> (u16, String) {
    let answer = ask(address, "GET", path, &[("Cookie", cookie)]);
    (answer.status, String::from_utf8(answer.body).unwrap())
}

/// The rows of a section: the text of the first cell, and the numbers.
fn rows(html: &str, section: &str) -> Vec<(String, Vec<i64>)> {
    let begin = format!("id=\"{section}\"");
    let (_, rest) = html.split_once(&begin).unwrap_or_else(|| panic!("{section}: {html}"));
    let section = rest.split("</section>").next().unwrap();
    let rows = section.split("<tr>").skip(1).filter(|row| row.contains("<td"));
    rows.map(|row| {
        let first = row.split(['>', '<']).nth(2).unwrap().to_owned();
        let values = row.split("<data value=\"").skip(1);
        let values = values.map(|rest| rest.split('"').next().unwrap().parse().unwrap());
        (first, values.collect())
    })
    .collect()
}

#[test]
fn the_page_shows_the_numbers_of_stats() {
    let (world, node) = world();
    let (to, data) = (address(&node), world.path("data"));
    let nothing = json!({});
    for update in 1..=9 {
        for (place, kind) in ["offered", "started", "installed", "switched"].iter().enumerate() {
            report(to, update * 100 + place as u32, kind, &nothing);
        }
        let fetched = json!({
            "way": "patches", "bytes": 1000 + update, "full_bytes": 100_000, "milliseconds": 50,
            "region": if update < 4 { "Americas" } else { "Europe" },
            "nodes": [{"node": "frankfurt-1", "bytes": 600, "faults": 1}, {"node": "LAN", "bytes": 400 + update}],
        });
        report(to, update * 100 + 10, "fetched", &fetched);
        let version = json!({"to": if update < 6 { "1.10.0" } else { "1.9.0" }});
        match update {
            1..=5 => report(to, update * 100 + 11, "up", &version),
            6..=7 => report(to, update * 100 + 11, "rolled_back", &json!({"reason": "hung"})),
            _ => report(to, update * 100 + 11, "failed", &json!({"problem": "disk_full"})),
        }
        report(to, update * 100 + 12, "active", &version);
    }
    let word = new_token(&data, "alice", "read");
    let cookie = cookie(&log_in(to, &word, &[]));
    let numbers = stats(&data);
    let sum = |table: &str, field: &str, fits: &dyn Fn(&Value) -> bool| -> i64 {
        let rows = numbers[table].as_array().unwrap().iter().filter(|row| fits(row));
        rows.map(|row| row[field].as_i64().unwrap()).sum()
    };
    let (status, html) = page(to, "/fleet", &cookie);
    assert_eq!(status, 200);
    let stages = ["offered", "fetched", "installed", "up", "rolled_back", "failed"];
    let mut seen = 0;
    for (release, shown) in rows(&html, "funnel") {
        let expected = stages.map(|stage| {
            sum("funnel", "n", &|row| row["version"] == release.as_str() && row["stage"] == stage)
        });
        assert_eq!(shown, expected, "{release}");
        seen += 1;
    }
    assert_eq!(seen, 2, "1.10.0 came up, 1.0.0 was the rest: {html}");
    assert_eq!(rows(&html, "rollbacks")[0].1, [2]);
    assert!(html.contains("the app did not respond") && html.contains("disk full"));
    assert_eq!(rows(&html, "failures")[0].1, [2]);
    let nodes = rows(&html, "nodes");
    assert!(!nodes.is_empty());
    for (node, shown) in nodes {
        let of = |field| sum("nodes", field, &|row| row["node"] == node.as_str());
        assert_eq!(shown, [of("downloads"), of("bytes"), of("faults")], "{node}");
    }
    let regions = rows(&html, "regions");
    assert_eq!(regions.len(), 2);
    for (region, shown) in regions {
        let of = |field| sum("regions", field, &|row| row["region"] == region.as_str());
        let saved = of("full_bytes") - of("bytes");
        assert_eq!(shown, [of("downloads"), of("bytes"), saved], "{region}");
    }
    let versions = &rows(&html, "versions")[0];
    let days =
        numbers["versions"].as_array().unwrap().iter().map(|row| row["day"].as_i64().unwrap());
    let last = days.max().unwrap();
    let of = |version: &str| {
        let is_shown = |row: &Value| row["version"] == version && row["day"] == last;
        sum("versions", "installations", &is_shown)
    };
    assert_eq!(
        versions.1,
        [of("1.10.0"), of("1.9.0"), of("0.9.0")].into_iter().filter(|n| *n > 0).collect::<Vec<_>>()
    );

    // A filter asks the same question as the options of `stats`.
    let filtered = kuzflow(&["stats", "--data", text(&data), "--days", "7", "--version", "1.10.0"]);
    let (_, html) = page(to, "/fleet?days=7&app=&version=1.10.0", &cookie);
    let up = filtered.result["statistics"]["funnel"][0]["n"].as_i64().unwrap();
    assert_eq!(rows(&html, "funnel"), [("1.10.0".to_owned(), vec![0, 0, 0, up, 0, 0])]);
    assert!(html.contains("<option value=\"1.10.0\" selected>"), "{html}");
    let (_, html) = page(to, "/fleet?version=7.0.0", &cookie);
    assert!(html.contains("Nothing like this was reported"), "{html}");
}

#[test]
fn a_browser_logs_in_through_nginx_at_any_port() {
    let (world, node) = world();
    let word = new_token(&world.path("data"), "alice", "read");
    let repository = world.path("publisher/repository");
    let Some(nginx) = Nginx::start(&repository, Some(address(&node))) else { return };
    // Without TLS browsers say where a form comes from by this field alone.
    let log_in = |origin: &str| {
        let form = format!("token={word}&lang=");
        let request = format!(
            "POST /fleet/login HTTP/1.1\r\nHost: {}\r\nOrigin: {origin}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{form}",
            nginx.address,
            form.len()
        );
        let mut stream = connect(nginx.address);
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut BufReader::new(stream), false).status
    };
    assert_eq!(log_in(&format!("http://{}", nginx.address)), 303);
    assert_eq!(log_in(&format!("http://{}", nginx.address.ip())), 403, "another server there");
}

#[test]
fn a_stranger_sees_the_door_only() {
    let (world, node) = world();
    let (to, data) = (address(&node), world.path("data"));
    report(to, 1, "offered", &json!({"to": "7.7.7"}));
    for cookie in ["", "kuzflow-fleet=", "kuzflow-fleet=x", "kuzflow-fleet='--"] {
        let (status, html) = page(to, "/fleet", cookie);
        assert_eq!(status, 401, "{cookie}");
        assert!(html.contains("type=\"password\"") && !html.contains("7.7.7"), "{html}");
    }
    let word = new_token(&data, "alice", "operate");
    let wrong = log_in(to, &word[..46], &[]);
    assert_eq!((wrong.status, wrong.field("set-cookie")), (401, None));
    for foreign in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
        let refused = log_in(to, &word, &[foreign]);
        assert_eq!((refused.status, refused.field("set-cookie")), (403, None), "{foreign:?}");
    }
    let welcome = log_in(to, &word, &[("Origin", "http://node")]);
    assert_eq!((welcome.status, welcome.field("location")), (303, Some("/fleet")));
    let header = welcome.field("set-cookie").unwrap();
    assert!(header.contains("HttpOnly") && header.contains("SameSite=Strict"), "{header}");
    let alice = cookie(&welcome);
    assert!(!alice.contains(&word[4..]), "a cookie is no token");
    let (status, html) = page(to, "/fleet", &alice);
    assert!(status == 200 && html.contains("7.7.7") && html.contains("alice"), "{html}");
    // Logging out ends this login; nobody else's, and nobody else can do it.
    let other = cookie(&log_in(to, &word, &[]));
    let leave = |fields: &[(&str, &str)]| post_with(to, "/fleet/logout", fields, b"");
    assert_eq!(leave(&[("Cookie", &alice), ("Sec-Fetch-Site", "cross-site")]).status, 403);
    assert_eq!(page(to, "/fleet", &alice).0, 200);
    assert_eq!(leave(&[("Cookie", &alice)]).status, 303);
    assert_eq!((page(to, "/fleet", &alice).0, page(to, "/fleet", &other).0), (401, 200));
    kuzflow(&["token", "revoke", "--name", "alice", "--data", text(&data)]);
    assert_eq!(page(to, "/fleet", &other).0, 401, "a login ends with its token");
    assert_eq!(log_in(to, &word, &[]).status, 401);
    // The server's own word opens the door, too.
    let own = std::fs::read_to_string(data.join("read-token")).unwrap();
    let cookie = cookie(&log_in(to, own.trim(), &[]));
    assert_eq!(page(to, "/fleet", &cookie).0, 200);
    let audit = kuzflow(&["audit", "--data", text(&data)]);
    let entries = audit.result["entries"].as_array().unwrap();
    let deeds: Vec<&str> = entries.iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    let expected =
        ["token_new", "login", "login", "logout", "token_revoked", "login_refused", "login"];
    assert_eq!(deeds, expected);
    // Whoever tries often waits: of so many, one minute has more than it may.
    let attempts: Vec<u16> = (0..45).map(|_| log_in(to, "kuz_guess", &[]).status).collect();
    assert!(attempts.contains(&429), "{attempts:?}");
}

#[test]
fn hostile_names_are_text_and_nothing_is_loaded_from_elsewhere() {
    let (world, node) = world();
    let to = address(&node);
    let evil = "<script>alert(1)</script>\"'&";
    let fetched = json!({
        "channel": evil, "region": evil, "way": evil, "to": "1.0.0-script.alert", "bytes": 1, "full_bytes": 2,
        "nodes": [{"node": evil, "bytes": 1}],
    });
    report(to, 1, "fetched", &fetched);
    report(to, 2, "rolled_back", &json!({"reason": evil}));
    report(to, 3, "failed", &json!({"problem": evil}));
    let name = "<b>alice</b>";
    let word = new_token(&world.path("data"), name, "read");
    let cookie = cookie(&log_in(to, &word, &[]));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("channel", "")
        .append_pair("platform", "")
        .finish();
    let hostile = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("version", evil)
        .append_pair("app", evil)
        .finish();
    for path in [format!("/fleet?{query}"), format!("/fleet?{hostile}"), "/fleet?lang=zh".into()] {
        let answer = ask(to, "GET", &path, &[("Cookie", &cookie)]);
        let policy = answer.field("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        let html = String::from_utf8(answer.body).unwrap();
        assert!(html.contains("&lt;script&gt;alert(1)"), "{path}: {html}");
        for sign in ["<script", "<b>", " style=", "http://", "https://", "javascript:"] {
            assert!(!html.contains(sign), "{path}: {sign}: {html}");
        }
    }
    let style = ask(to, "GET", "/fleet/style.css", &[]);
    assert_eq!((style.status, style.field("content-type")), (200, Some("text/css; charset=utf-8")));
}

#[test]
fn the_page_is_in_two_languages_and_says_how_reports_are_switched_on() {
    let (world, node) = world();
    let to = address(&node);
    let word = new_token(&world.path("data"), "alice", "read");
    let cookie = cookie(&log_in(to, &word, &[]));
    let get = |path: &str, language: &str| {
        let fields = [("Cookie", cookie.as_str()), ("Accept-Language", language)];
        String::from_utf8(ask(to, "GET", path, &fields).body).unwrap()
    };
    let english = get("/fleet", "de, fr;q=0.5");
    assert!(english.contains("No reports yet") && english.contains("lang=\"en\""), "{english}");
    assert!(english.contains("[reports]\nurl = \"http://node/\""), "{english}");
    let chinese = get("/fleet", "zh-CN,zh;q=0.9,en;q=0.8");
    assert!(
        chinese.contains("还没有报告") && chinese.contains("<html lang=\"zh-CN\">"),
        "{chinese}"
    );
    assert!(get("/fleet?lang=en", "zh-CN").contains("No reports yet"));
    report(to, 1, "offered", &json!({}));
    assert!(get("/fleet?lang=zh-CN&days=7", "en").contains("更新进行到哪一步"));
    assert!(get("/fleet?lang=zh-CN&days=7", "en").contains("href=\"/fleet?days=7&amp;lang=en\""));
}

#[test]
fn a_server_without_a_store_has_no_page() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let node = world.serve();
    for path in ["/fleet", "/fleet/style.css"] {
        assert_eq!(ask(address(&node), "GET", path, &[]).status, 404, "{path}");
    }
    assert_eq!(log_in(address(&node), "x", &[]).status, 404);
}

#[test]
fn behind_a_proxy_the_cookie_is_for_tls_alone() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let data = world.path("data");
    let node = world.serve_with(&["--data", text(&data), "--behind-proxy"]);
    let word = new_token(&data, "alice", "read");
    for (protocol, secure) in [("https", true), ("http", false)] {
        let answer = log_in(address(&node), &word, &[("X-Forwarded-Proto", protocol)]);
        let header = answer.field("set-cookie").unwrap();
        assert_eq!(header.ends_with("; Secure"), secure, "{header}");
    }
}
