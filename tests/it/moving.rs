//! A repository that moves, silent nodes, and settings that do not fit: through the real
//! executables.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::release::{self, NodeProcess, World};

const SIZE: usize = 20_000;

impl World {
    /// Writes nodes, and optionally settings for launchers, into the publisher's `kuzflow.toml`.
    fn name_nodes(&self, nodes: &[&NodeProcess], client: &str) {
        let path = self.path("publisher/kuzflow.toml");
        let text = fs::read_to_string(&path).unwrap();
        let retained = text
            .split("[[nodes]]")
            .next()
            .unwrap()
            .split("[client")
            .next()
            .unwrap()
            .trim_end_matches('#');
        let mut file = fs::File::create(&path).unwrap();
        writeln!(file, "{retained}\n{client}").unwrap();
        for (number, node) in nodes.iter().enumerate() {
            writeln!(
                file,
                "[[nodes]]\nid = \"moved-{number}\"\nurl = \"http://{}/\"",
                node.address
            )
            .unwrap();
        }
    }

    /// A node that never answers.
    fn silent() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    fn offered(&self) -> Option<String> {
        let check = self.say(&["check"]);
        assert!([0, 3].contains(&check.code), "{}", check.errors);
        check.result["version"].as_str().map(str::to_owned)
    }
}

/// The new address comes with a release, or with a refresh of the present metadata. Then the old
/// address is switched off.
#[test]
fn installations_follow_a_repository_that_moves() {
    for signed in [true, false] {
        let world = World::new();
        world.release("1.0.0", SIZE);
        let (old, new) = (world.serve(), world.serve());
        world.configure(&[&old.address], "");
        assert_eq!(world.say(&["update"]).code, 0);
        world.name_nodes(&[&new], "");
        let publisher = world.path("publisher");
        let repository = release::text(&publisher).to_owned();
        if signed {
            world.kuzflow(&["renew", "--repo", &repository]);
            // Launchers learn it from signed settings, and not from the unsigned list.
            fs::write(world.path("publisher/repository/nodes.json"), "[]").unwrap();
        } else {
            world.kuzflow(&["refresh", "--repo", &repository]);
        }
        assert_eq!(world.offered(), None, "nothing is new but the address");
        let copy = world.home().join("trust/launcher-settings.json");
        assert_eq!(copy.is_file(), signed);
        drop(old);
        world.release("1.1.0", SIZE);
        assert_eq!(world.offered().as_deref(), Some("1.1.0"), "signed: {signed}");
        let update = world.say(&["update"]);
        assert_eq!(
            (update.code, update.result["version"].as_str()),
            (0, Some("1.1.0")),
            "{}",
            update.errors
        );
    }
}

#[test]
fn signed_settings_are_adopted_and_bad_ones_change_nothing() {
    let world = World::new();
    world.release("1.0.0", SIZE);
    let node = world.serve();
    world.name_nodes(&[&node], "[client.peers]\nenabled = true\n");
    let publisher = world.path("publisher");
    world.kuzflow(&["renew", "--repo", release::text(&publisher)]);
    world.configure(&[&node.address], "");
    let allowed = || world.say(&["peers", "status"]).result["allowed_by_publisher"].as_bool();
    assert_eq!(allowed(), Some(false));
    assert_eq!(world.say(&["update"]).code, 0);
    assert_eq!(allowed(), Some(true), "the publisher has switched sharing on");
    // The copy is damaged: the shipped settings count, and the next check restores it.
    let copy = world.home().join("trust/launcher-settings.json");
    let whole = fs::read(&copy).unwrap();
    fs::write(&copy, b"{\"app\": \"sample\", \"settings\": 5}").unwrap();
    assert_eq!(allowed(), Some(false));
    assert_eq!(world.offered(), None);
    assert_eq!((fs::read(&copy).unwrap(), allowed()), (whole, Some(true)));
    // The publisher's program refuses settings that launchers would ignore.
    world.name_nodes(&[&node], "[client.window]\nlanguage = \"en\"\n");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_kuzflow"))
        .args(["list", "--repo"])
        .arg(&publisher)
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && reported.contains("window.language"), "{reported}");
}

#[test]
fn silent_nodes_in_front_hold_nobody_up_and_are_asked_last_from_then_on() {
    let world = World::new();
    world.release("1.0.0", SIZE);
    let node = world.serve();
    let ((_one, first), (_two, second)) = (World::silent(), World::silent());
    world.configure(&[&first, &second, &node.address], "");
    // A silent node costs about a second. Without the other nodes beside it each would cost 30 s,
    // every time; a busy computer slows down one attempt of three, and not all.
    let mut durations = (0..3).map(|_| {
        let _ = fs::remove_dir_all(world.home());
        let began = Instant::now();
        assert_eq!(world.offered().as_deref(), Some("1.0.0"));
        began.elapsed()
    });
    assert!(
        durations.any(|duration| duration < Duration::from_secs(10)),
        "each check takes longer"
    );
    let known = fs::read_to_string(world.home().join("known-nodes.json")).unwrap();
    assert!(known.contains(&first) && known.contains(&second), "{known}");
    assert!(!known.split("silent").nth(1).unwrap().contains(&node.address), "{known}");
}

#[test]
fn a_launcher_that_is_set_up_for_something_else_says_so_and_names_both_sides() {
    let world = World::new();
    world.release("1.0.0", SIZE);
    let node = world.serve();
    for (from, to, sides) in [
        ("app = 'sample'", "app = 'other'", ["other, stable, ", " / sample, stable, "]),
        (
            "app = 'sample'",
            "app = 'sample'\nchannel = 'beta'",
            ["sample, beta, ", " / sample, stable, "],
        ),
    ] {
        world.configure(&[&node.address], "");
        let text = fs::read_to_string(world.config()).unwrap();
        fs::write(world.config(), text.replace(from, to)).unwrap();
        let check = world.say(&["check"]);
        let problem = &check.result["problem"];
        assert_eq!(
            (check.code, problem["kind"].as_str()),
            (1, Some("nothing_for_this")),
            "{}",
            check.result
        );
        let subject = problem["subject"].as_str().unwrap();
        assert!(sides.iter().all(|side| subject.contains(side)), "{subject}");
    }
    // A missing file is reported as missing, where no earlier root is stored.
    fs::remove_dir_all(world.home()).unwrap();
    world.configure(&[&node.address], "");
    let root = world.path("publisher/launcher/root.json");
    fs::rename(&root, root.with_extension("aside")).unwrap();
    let check = world.say(&["check"]);
    assert_eq!(
        (check.code, check.result["problem"]["kind"].as_str()),
        (1, Some("bad_settings")),
        "{}",
        check.result
    );
    assert!(
        check.result["problem"]["subject"].as_str().unwrap().contains("root.json is missing"),
        "{}",
        check.result
    );
    fs::remove_file(world.config()).unwrap();
    let check = world.say(&["check"]);
    assert!(
        check.result["problem"]["subject"].as_str().unwrap().contains("launcher.toml"),
        "{}",
        check.result
    );
}

#[test]
fn a_password_in_a_nodes_address_is_not_reported() {
    let world = World::new();
    world.release("1.0.0", SIZE);
    let node = world.serve();
    world.configure(&[&format!("deploy:hunter2@{}", node.address)], "");
    let reply = |arguments: &[&str]| {
        let output =
            world.launcher(&[&["--json", "--verbose"], arguments].concat()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    for verb in [&["check"][..], &["update"]] {
        let reported = reply(verb);
        assert!(reported.contains("1.0.0") && !reported.contains("hunter2"), "{reported}");
    }
    drop(node);
    world.configure(&["deploy:hunter2@127.0.0.1:9"], "");
    let reported = reply(&["check"]);
    assert!(reported.contains("127.0.0.1:9") && !reported.contains("hunter2"), "{reported}");
}
