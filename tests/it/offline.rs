//! Releases without a network, through the real executables: bundles made, carried, installed,
//! damaged, forged and aged; and prefetched releases.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kuzflow::testing::publish::{Keyring, Project};

use crate::support::release::{PROGRAM, Reply, World, reply, text, tree};
use crate::support::waiting::until;

const KILOBYTE: usize = 1 << 10;
/// A platform on which these tests do not run.
const OTHER: &str = if cfg!(windows) { "Linux_x86_64" } else { "Windows_AMD64" };
const MEGABYTE: usize = 1 << 20;
/// No program listens at this address.
const NOBODY: &str = "127.0.0.1:9";

/// A publisher with these releases, a launcher with unreachable nodes, and no installed version.
fn world(versions: &[(&str, usize)]) -> World {
    let world = World::new();
    for (version, size) in versions {
        world.release(version, *size);
    }
    world.configure(&[NOBODY], "");
    world
}

fn bundle(world: &World, version: &str) -> PathBuf {
    let out = world.path(&format!("{version}.kuzflow-bundle"));
    world.kuzflow(&[
        "bundle",
        "--repo",
        text(&world.path("publisher")),
        "--version",
        version,
        "--out",
        text(&out),
    ]);
    out
}

fn install(world: &World, file: &Path) -> Reply {
    world.say(&["install", text(file)])
}

fn installs(world: &World, file: &Path, version: &str) {
    installs_with(world, file, version, &[]);
}

fn installs_with(world: &World, file: &Path, version: &str, more: &[&str]) {
    let reply = world.say(&[&["install", text(file)], more].concat());
    assert_eq!(
        (reply.code, reply.result["status"].as_str()),
        (0, Some("installed")),
        "{}",
        reply.errors
    );
    assert_eq!(reply.result["version"], version);
    is_whole(world, version);
    assert!(starts(world).contains(&format!("version={version} ")));
}

/// Asserts that the installed files equal the built ones.
fn is_whole(world: &World, version: &str) {
    let built = tree(&world.path(&format!("app {version}")));
    let there = tree(&world.container(version).join("app"));
    let there: BTreeMap<_, _> =
        there.into_iter().filter(|(path, _)| !path.ends_with(".description")).collect();
    assert_eq!(there, built);
}

/// The app's output when the shortcut starts it.
fn starts(world: &World) -> String {
    let settings = fs::read_to_string(world.config()).unwrap();
    world.configure(&[NOBODY], "[update]\ncheck = 'never'\n");
    let output = world.launcher(&["run"]).output().unwrap();
    fs::write(world.config(), settings).unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn refused(world: &World, file: &Path, kind: &str) -> Reply {
    let reply = install(world, file);
    assert_eq!(
        (reply.code, reply.result["problem"]["kind"].as_str()),
        (1, Some(kind)),
        "{}",
        reply.errors
    );
    reply
}

fn versions(world: &World) -> Vec<String> {
    let list = world.say(&["list"]);
    let id = |version: &serde_json::Value| {
        version["id"].as_str().unwrap().split('_').nth(1).unwrap().to_owned()
    };
    list.result["versions"].as_array().unwrap().iter().map(id).collect()
}

/// Signs the timestamp as if it had been signed so many days ago.
fn age(world: &World, days: i64) {
    let project = Project::open(&world.path("publisher")).unwrap().trusting_clock();
    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    project.refresh(&Keyring::new([project.keys_folder()]), then).unwrap().run().unwrap();
}

#[test]
fn from_the_first_install_on_without_a_network() {
    let world = world(&[("1.0.0", 200 * KILOBYTE)]);
    let one = bundle(&world, "1.0.0");
    installs(&world, &one, "1.0.0");
    assert_eq!(install(&world, &one).code, 3, "it is in use already");
    fs::write(world.container("1.0.0").join("data/mine"), "precious").unwrap();
    let notes = world.path("notes.md");
    fs::write(&notes, "# Out of a file\n").unwrap();
    let package = world.build("1.1.0", &BTreeMap::from([("new.txt", b"new".to_vec())]));
    world.publish(&package, &["--notes", text(&notes)]);
    let two = bundle(&world, "1.1.0");
    let reply = install(&world, &two);
    assert_eq!(reply.code, 0, "{}", reply.errors);
    let phases: Vec<&str> =
        reply.events.iter().filter_map(|event| event["phase"].as_str()).collect();
    assert_eq!(phases, ["checking", "offered", "installing", "ready"]);
    let offer = &reply.events.iter().find(|event| event["phase"] == "offered").unwrap()["offer"];
    assert_eq!(
        (offer["notes"].as_str(), offer["current"].as_str()),
        (Some("# Out of a file\n"), Some("1.0.0"))
    );
    assert_eq!(
        (offer["bytes_to_fetch"].as_u64(), offer["plan"]["way"].as_str()),
        (Some(0), Some("file"))
    );
    assert_eq!(offer["file"].as_str(), Some(text(&two)));
    assert!(starts(&world).contains("version=1.1.0 "));
    assert_eq!(fs::read_to_string(world.container("1.1.0").join("data/mine")).unwrap(), "precious");
    // A file manager gives the bundle like this; without a window it works like the verb. The
    // signature of the older release is still valid, but nobody has said that it may go back.
    let answer = |arguments: &[&str]| {
        let reply = reply_by(&world, &[&["--json"], arguments].concat());
        (reply.code, reply.result["version"].as_str().map(str::to_owned))
    };
    assert_eq!(answer(&[text(&one)]), (3, Some("1.0.0".to_owned())));
    assert!(starts(&world).contains("version=1.1.0 "));
    assert_eq!(answer(&["install", "--accept-older", text(&one)]), (0, Some("1.0.0".to_owned())));
    assert!(starts(&world).contains("version=1.0.0 "));
    assert_eq!(answer(&[text(&two)]), (0, Some("1.1.0".to_owned())));
    assert_eq!(reply_by(&world, &["isntall"]).code, 2, "a misspelt verb is no file");
    assert!(
        !world.home().join("staging").read_dir().unwrap().any(|_| true),
        "nothing is left in staging"
    );
}

fn reply_by(world: &World, arguments: &[&str]) -> Reply {
    reply(&world.launcher(arguments).output().unwrap())
}

#[test]
fn whatever_bit_is_flipped_nothing_untrue_is_installed() {
    let world = world(&[("1.0.0", 40 * KILOBYTE), ("1.1.0", 60 * KILOBYTE)]);
    installs(&world, &bundle(&world, "1.0.0"), "1.0.0");
    let file = bundle(&world, "1.1.0");
    let whole = fs::read(&file).unwrap();
    let (mut refused, tries) = (0, 160);
    for number in 0..tries {
        // Half of the flipped bits are in the first tenth, where headers and metadata are.
        let part = if number % 2 == 0 { whole.len() / 10 } else { whole.len() };
        let at = part * number / tries;
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (number % 8);
        fs::write(&file, bytes).unwrap();
        let reply = install(&world, &file);
        if reply.code == 0 {
            // No code reads this bit: it is in padding, or in the zip's own directory.
            is_whole(&world, "1.1.0");
            assert_eq!(world.say(&["switch", "1.0.0"]).code, 0);
            assert_eq!(world.say(&["remove", "1.1.0"]).code, 0);
        } else {
            refused += 1;
            let kind = reply.result["problem"]["kind"].as_str().unwrap().to_owned();
            assert!(kind.starts_with("bundle_"), "{at}: {kind} {}", reply.errors);
            assert_eq!(versions(&world), ["1.0.0"], "{at}");
        }
    }
    assert!(refused * 2 > tries, "{refused} of {tries} are refused");
    assert!(starts(&world).contains("version=1.0.0 "));
    fs::write(&file, whole).unwrap();
    installs(&world, &file, "1.1.0");
}

#[test]
fn what_is_cut_short_or_something_else_differs_from_a_forgery() {
    let world = world(&[("1.0.0", 40 * KILOBYTE)]);
    let file = bundle(&world, "1.0.0");
    let whole = fs::read(&file).unwrap();
    for part in [0, 1, 511, 512, 700, 2000, whole.len() / 2, whole.len() - 2000] {
        fs::write(&file, &whole[..part]).unwrap();
        refused(&world, &file, "bundle_damaged");
    }
    fs::write(&file, b"%PDF-1.7 ".repeat(1000)).unwrap();
    refused(&world, &file, "bundle_damaged");
    #[cfg(unix)]
    refused(&world, Path::new("/dev/zero"), "bundle_damaged");
    refused(&world, &world.path("none.kuzflow-bundle"), "file_missing");
    // A bundle of another publisher, of an app with the same name.
    let other = World::new();
    other.release("9.0.0", 40 * KILOBYTE);
    let reply = refused(&world, &bundle(&other, "9.0.0"), "bundle_not_trusted");
    assert!(reply.errors.contains("nothing was installed"), "{}", reply.errors);
    assert_eq!(world.say(&["list"]).code, 3);
}

#[test]
fn what_is_not_for_this_installation_is_refused() {
    let world = world(&[("1.0.0", 40 * KILOBYTE)]);
    installs(&world, &bundle(&world, "1.0.0"), "1.0.0");
    // A program of this system would be refused in a package for another one.
    let app = world.path("app of another system");
    fs::create_dir(&app).unwrap();
    fs::write(app.join(PROGRAM), "#!/bin/sh\n").unwrap();
    let windows = world.path("windows.kuzflow");
    let build = [
        "build",
        "--app",
        text(&app),
        "--name",
        "sample",
        "--app-version",
        "1.1.0",
        "--platform",
        OTHER,
    ];
    let entry = format!("exe:{PROGRAM}");
    let rest = ["--entry", &entry, "--runtime", "none", "--level", "1", "--out", text(&windows)];
    world.kuzflow(&[build.as_slice(), rest.as_slice()].concat());
    world.publish(&windows, &["--no-patches"]);
    let reply = refused(&world, &bundle(&world, "1.1.0"), "bundle_unsuitable");
    assert!(reply.errors.contains(&format!("sample_1.1.0_{OTHER}")), "{}", reply.errors);
    let publish = |version: &str, more: &[&str]| {
        let package = world.build(version, &BTreeMap::new());
        world.publish(&package, &[&["--no-patches"], more].concat());
        bundle(&world, version)
    };
    // One file for both platforms: each takes its own release.
    installs(&world, &publish("1.1.0", &[]), "1.1.0");
    refused(&world, &publish("1.2.0", &["--channel", "beta"]), "bundle_unsuitable");
    let reply =
        refused(&world, &publish("3.0.0", &["--minimum-version", "2.0.0"]), "bundle_too_far");
    assert!(reply.errors.contains("2.0.0"), "{}", reply.errors);
    // A rollout that excludes this installation, and a skipped version, are no obstacle for a user
    // who has the bundle.
    installs(&world, &publish("1.3.0", &["--rollout", "0"]), "1.3.0");
    // A file goes past no watershed, and onto no system that is too old.
    publish("1.4.0", &["--watershed"]);
    let past = refused(&world, &publish("1.5.0", &[]), "bundle_too_far");
    assert!(past.errors.contains("1.4.0"), "{}", past.errors);
    let needs = ["--system", "kernel=99.0", "--system", "windows=99.0"];
    let new = refused(&world, &publish("1.3.1", &needs), "bundle_unsuitable");
    assert!(new.errors.contains("99.0"), "{}", new.errors);
}

#[test]
fn what_was_withdrawn_since_is_refused_and_an_older_release_that_still_stands_is_not() {
    let world =
        world(&[("1.0.0", 40 * KILOBYTE), ("1.1.0", 41 * KILOBYTE), ("1.2.0", 42 * KILOBYTE)]);
    let files = ["1.0.0", "1.1.0"].map(|version| bundle(&world, version));
    let publisher = world.path("publisher");
    world.kuzflow(&["rollout", "--repo", text(&publisher), "--version", "1.1.0", "--halt"]);
    // On a computer that does not know of the withdrawal, the bundle's release still counts.
    // Without a network the launcher cannot know better.
    let newest = bundle(&world, "1.2.0");
    installs(&world, &newest, "1.2.0");
    let trusted = fs::read(world.home().join("trust/metadata.json")).unwrap();
    refused(&world, &files[1], "bundle_withdrawn");
    installs_with(&world, &files[0], "1.0.0", &["--accept-older"]);
    assert_eq!(
        fs::read(world.home().join("trust/metadata.json")).unwrap(),
        trusted,
        "version numbers do not go back"
    );
}

/// A computer that was online since knows what is offered now, and not what became of the rest.
#[test]
fn whether_an_old_file_still_counts_shows_the_next_connection() {
    let world =
        world(&[("1.0.0", 40 * KILOBYTE), ("1.1.0", 41 * KILOBYTE), ("1.2.0", 42 * KILOBYTE)]);
    let old = ["1.0.0", "1.1.0"].map(|version| bundle(&world, version));
    world.release("1.3.0", 43 * KILOBYTE);
    let node = world.serve();
    world.configure(&[&node.address], "");
    assert_eq!(world.say(&["update"]).code, 0);
    world.configure(&[NOBODY], "");
    let reply = refused(&world, &old[0], "bundle_undecided");
    assert!(reply.errors.contains("sample_1.0.0_"), "{}", reply.errors);
    world.configure(&[&node.address], "");
    installs_with(&world, &old[0], "1.0.0", &["--accept-older"]);
    // Now it has seen the whole list.
    world.configure(&[NOBODY], "");
    installs(&world, &old[1], "1.1.0");
}

/// A stick of last year is no new version: nobody goes back without having said so.
#[test]
fn an_older_release_is_no_new_one_and_needs_a_word() {
    let world = world(&[("1.0.0", 40 * KILOBYTE), ("1.2.0", 41 * KILOBYTE)]);
    let files = ["1.0.0", "1.2.0"].map(|version| bundle(&world, version));
    installs(&world, &files[1], "1.2.0");
    let active = fs::read(world.home().join("active.json")).unwrap();
    let refused = |installed: &[&str]| {
        let reply = install(&world, &files[0]);
        assert_eq!(reply.code, 3, "{}", reply.errors);
        let expected = serde_json::json!({ "status": "nothing_to_do", "reason": "older", "version": "1.0.0", "current": "1.2.0" });
        assert_eq!(reply.result, expected);
        assert_eq!(versions(&world), installed);
        assert_eq!(fs::read(world.home().join("active.json")).unwrap(), active);
    };
    refused(&["1.2.0"]);
    let output = world.launcher(&["install", text(&files[0])]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("示例 Sample 1.0.0 is older than your 1.2.0"), "{printed}");
    assert!(
        printed.contains("add --accept-older") && !printed.contains("is available"),
        "{printed}"
    );
    assert_eq!(world.say(&["pin"]).code, 0);
    refused(&["1.2.0"]);
    installs_with(&world, &files[0], "1.0.0", &["--accept-older"]);
    // Now it is installed, and still older.
    assert_eq!(world.say(&["switch", "1.2.0"]).code, 0);
    assert_eq!(install(&world, &files[0]).code, 3);
    // Whoever names a version wants that one, and is told what it is.
    let output = world.launcher(&["--headless", "update", "--to", "1.0.0"]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && printed.contains("is older than your 1.2.0"), "{printed}");
}

#[test]
fn an_old_file_needs_a_word_unless_a_node_has_newer_metadata() {
    let world = world(&[("1.0.0", 40 * KILOBYTE)]);
    age(&world, 20);
    let file = bundle(&world, "1.0.0");
    let reply = refused(&world, &file, "bundle_expired");
    let day: jiff::civil::Date =
        reply.result["problem"]["subject"].as_str().unwrap().parse().unwrap();
    let day = day.strftime("%B %-d, %Y");
    assert!(reply.errors.contains(&format!("only until {day}")), "{}", reply.errors);
    assert_eq!(world.say(&["list"]).code, 3);
    let reply = world.say(&["install", text(&file), "--accept-expired"]);
    assert_eq!(
        (reply.code, reply.result["status"].as_str()),
        (0, Some("installed")),
        "{}",
        reply.errors
    );
    is_whole(&world, "1.0.0");
    // The same bundle on a computer with a network: new metadata verifies it, and the launcher asks
    // no question.
    fs::remove_dir_all(world.home()).unwrap();
    world.kuzflow(&["refresh", "--repo", text(&world.path("publisher"))]);
    let node = world.serve();
    world.configure(&[&node.address], "");
    installs(&world, &file, "1.0.0");
    // A waiver accepts only an old age.
    let other = World::new();
    other.release("9.0.0", 40 * KILOBYTE);
    age(&other, 20);
    let reply = world.say(&["install", text(&bundle(&other, "9.0.0")), "--accept-expired"]);
    assert_eq!(reply.result["problem"]["kind"], "bundle_not_trusted");
}

#[test]
fn killed_at_any_time_the_next_try_converges() {
    let world = world(&[("1.0.0", 40 * KILOBYTE), ("2.0.0", 16 * MEGABYTE)]);
    installs(&world, &bundle(&world, "1.0.0"), "1.0.0");
    let file = bundle(&world, "2.0.0");
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..12 {
        let mut command = world.launcher(&["--json", "install", text(&file)]);
        let mut going = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(10..500)));
        let _ = going.kill();
        going.wait().unwrap();
        let reported = starts(&world);
        assert!(
            reported.contains("version=1.0.0 ") || reported.contains("version=2.0.0 "),
            "round {round}: {reported}"
        );
        assert_eq!(world.say(&["verify"]).code, 0, "round {round}");
    }
    let last = install(&world, &file);
    assert!(matches!(last.code, 0 | 3), "{}", last.errors);
    is_whole(&world, "2.0.0");
    assert_eq!(fs::read_dir(world.home().join("staging")).unwrap().count(), 0);
}

#[test]
fn a_file_beside_the_running_app_waits_for_the_next_start() {
    let world = world(&[("1.0.0", 40 * KILOBYTE), ("2.0.0", 41 * KILOBYTE)]);
    installs(&world, &bundle(&world, "1.0.0"), "1.0.0");
    world.configure(&[NOBODY], "[update]\ncheck = 'never'\n");
    let mut app =
        world.launcher(&["run"]).env("STAY", "600").stdout(Stdio::null()).spawn().unwrap();
    until("the app runs", || world.say(&["list"]).result["versions"][0]["running"] == true);
    let reply = install(&world, &bundle(&world, "2.0.0"));
    assert_eq!(reply.code, 0, "{}", reply.errors);
    assert_eq!(
        reply.events.iter().rfind(|event| event["phase"] == "ready").unwrap()["running"],
        true
    );
    assert!(fs::read_to_string(world.home().join("active.json")).unwrap().contains("pending"));
    world.end_apps();
    app.wait().unwrap();
    assert!(starts(&world).contains("version=2.0.0 "));
}

#[test]
fn what_was_prefetched_needs_no_network_any_more() {
    let world = world(&[("1.0.0", 40 * KILOBYTE)]);
    installs(&world, &bundle(&world, "1.0.0"), "1.0.0");
    world.release("1.1.0", 200 * KILOBYTE);
    let node = world.serve();
    world.configure(&[&node.address], "");
    let reply = world.say(&["update", "--prefetch"]);
    assert_eq!((reply.code, reply.result["ready"].as_bool()), (0, Some(true)), "{}", reply.errors);
    assert!(starts(&world).contains("version=1.0.0 "), "it is not chosen");
    let list = world.say(&["list"]).result["versions"].clone();
    assert_eq!(
        (list[0]["ready"].as_bool(), list[0]["active"].as_bool()),
        (Some(true), Some(false)),
        "{list}"
    );
    assert_eq!(
        (list[1]["ready"].as_bool(), list[1]["active"].as_bool()),
        (Some(false), Some(true)),
        "{list}"
    );
    assert_eq!(world.say(&["update", "--prefetch"]).code, 3, "once is enough");
    world.say(&["prune", "--keep", "0"]);
    assert_eq!(versions(&world), ["1.1.0", "1.0.0"], "what was fetched ahead is not old");
    // With a network: the launcher offers it without a byte to fetch.
    let check = world.say(&["check"]);
    assert_eq!(
        (check.code, check.result["bytes"].as_u64(), check.result["ready"].as_bool()),
        (0, Some(0), Some(true))
    );
    drop(node);
    let check = world.say(&["check"]);
    assert_eq!(
        (check.code, check.result["version"].as_str()),
        (0, Some("1.1.0")),
        "{}",
        check.errors
    );
    let update = world.say(&["update"]);
    assert_eq!(
        (update.code, update.result["version"].as_str()),
        (0, Some("1.1.0")),
        "{}",
        update.errors
    );
    is_whole(&world, "1.1.0");
    assert!(starts(&world).contains("version=1.1.0 "));
    // No prefetched release is left: now a missing network is an error.
    assert_eq!(world.say(&["check"]).result["problem"]["kind"], "no_network");
}

#[test]
fn what_is_found_beside_the_app_is_fetched_by_itself_if_the_settings_say_so() {
    let world = world(&[("1.0.0", 40 * KILOBYTE)]);
    installs(&world, &bundle(&world, "1.0.0"), "1.0.0");
    world.release("1.1.0", 100 * KILOBYTE);
    let node = world.serve();
    world.configure(&[&node.address], "[update]\ndelay_seconds = 0\nprefetch = true\n");
    let mut app = world
        .launcher(&["--headless", "run"])
        .env("STAY", "600")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("it is fetched", || world.say(&["list"]).result["versions"][0]["ready"] == true);
    let active = fs::read_to_string(world.home().join("active.json")).unwrap();
    assert!(
        active.contains("sample_1.0.0") && !active.contains("1.1.0"),
        "it waits to be asked for: {active}"
    );
    world.end_apps();
    app.wait().unwrap();
    assert!(starts(&world).contains("version=1.0.0 "));
}
