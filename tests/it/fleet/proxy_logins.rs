//! People who have logged in at a reverse proxy, through the real executables.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;

use super::{address, new_token};
use crate::server::client::{Answer, ask};
use crate::support::release::{NodeProcess, World, kuzflow, text};

const ANN: (&str, &str) = ("X-Forwarded-Email", "ann@example.com");
const ID: (&str, &str) = ("X-Forwarded-User", "4711");

/// A repository whose server takes logins from the proxy at this address.
fn world(proxy: &str) -> World {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let settings = format!(
        "\n[server.login]\nproxies = ['{proxy}']\n[server.login.roles]\nsre = 'operate'\nmakers = 'build'\n"
    );
    let path = world.path("publisher/kuzflow.toml");
    OpenOptions::new().append(true).open(path).unwrap().write_all(settings.as_bytes()).unwrap();
    world
}

fn serve(world: &World, more: &[&str]) -> NodeProcess {
    let data = world.path("data");
    world.serve_with(&[&["--data", text(&data), "--behind-proxy"], more].concat())
}

fn groups(names: &str) -> (&str, &str) {
    ("X-Forwarded-Groups", names)
}

fn page(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[test]
fn a_person_whom_the_proxy_names_has_the_roles_of_his_groups() {
    let world = world("127.0.0.1");
    let node = serve(&world, &["--trust-proxy-login"]);
    let to = address(&node);
    let get = |path: &str, fields: &[(&str, &str)]| ask(to, "GET", path, fields);
    let seen = get("/fleet", &[ID, ANN, groups("staff,sre")]);
    assert!(seen.status == 200 && page(&seen).contains("ann@example.com"), "{}", page(&seen));
    assert!(!page(&seen).contains("/fleet/logout"), "the proxy ends this login");
    assert_eq!(get("/metrics", &[ANN, groups("makers")]).status, 200, "each role reads");
    // Who operates does not build, and who builds does.
    let end = |fields: &[(&str, &str)]| ask(to, "DELETE", "/api/containers/build/none", fields);
    assert_eq!(end(&[ANN, groups("sre")]).status, 403);
    assert_eq!(end(&[ANN, groups("sre, makers")]).status, 404, "there is no such build");
    let other_site = ("Sec-Fetch-Site", "cross-site");
    assert_eq!(end(&[ANN, groups("makers"), other_site]).status, 401, "the browser was there");

    // Without a role, without a name, and with two names.
    for path in ["/fleet", "/metrics"] {
        assert_eq!(get(path, &[ANN, groups("staff")]).status, 403, "{path}");
        assert_eq!(get(path, &[groups("sre")]).status, 401, "{path}");
        assert_eq!(get(path, &[ANN, groups("sre"), groups("staff")]).status, 400, "{path}");
    }
    let word = new_token(&world.path("data"), "prometheus", "read");
    let bearer = ("Authorization", format!("Bearer {word}"));
    let fields = [ANN, groups("staff"), (bearer.0, bearer.1.as_str())];
    assert_eq!(get("/metrics", &fields).status, 200, "a token counts before a login");
    let named = kuzflow(&[
        "token",
        "new",
        "--name",
        "login:ann@example.com",
        "--role",
        "read",
        "--data",
        text(&world.path("data")),
    ]);
    assert_eq!(named.code, 2, "no token looks like a person in the audit");

    get("/fleet", &[ANN, groups("sre")]);
    let audit = kuzflow(&["audit", "--verify", "--data", text(&world.path("data"))]);
    assert_eq!(audit.code, 0, "{}", audit.errors);
    let audit = kuzflow(&["audit", "--data", text(&world.path("data"))]);
    let entries = audit.result["entries"].as_array().unwrap().iter();
    let logins = entries.filter(|entry| entry["what"] == "login");
    let who: Vec<&str> = logins.map(|entry| entry["who"].as_str().unwrap()).collect();
    assert_eq!(who, ["login:ann@example.com"], "one visit of a day is one login");
}

#[test]
fn headers_of_anybody_else_name_nobody() {
    // The client here is not the proxy; without the option nobody is.
    for (proxy, more) in [("192.0.2.1", &["--trust-proxy-login"][..]), ("127.0.0.1", &[])] {
        let world = world(proxy);
        let node = serve(&world, more);
        for path in ["/fleet", "/metrics", "/api/containers/builds"] {
            let answer = ask(address(&node), "GET", path, &[ID, ANN, groups("sre,makers")]);
            assert_eq!(answer.status, 401, "{proxy} {path}");
        }
        let twice = [ANN, ANN, groups("sre")];
        let update = ask(address(&node), "GET", "/metadata/timestamp.json", &twice);
        assert_eq!(update.status, 200, "a company's network may add such headers");
    }
}

#[test]
fn logins_need_a_proxy_and_roles() {
    let world = world("127.0.0.1");
    let (folder, data) = (world.path("publisher"), world.path("data"));
    let serve = |more: &[&str]| {
        let common = ["serve", "--repo", text(&folder), "--data", text(&data)];
        kuzflow(&[&common, more].concat())
    };
    assert_eq!(serve(&["--trust-proxy-login"]).code, 2, "without --behind-proxy");
    let path = folder.join("kuzflow.toml");
    let settings = fs::read_to_string(&path).unwrap();
    fs::write(&path, settings.replace("proxies = ['127.0.0.1']", "")).unwrap();
    let refused = serve(&["--trust-proxy-login", "--behind-proxy"]);
    assert!(refused.code == 1 && refused.errors.contains("[server.login]"), "{}", refused.errors);
}
