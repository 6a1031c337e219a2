//! The real executables on the machines of a publisher, an operator and a user: build, publish,
//! serve, check, update, switch.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use crate::support::display::{self, Display};
use crate::support::release::{self, PROGRAM, World, reply, text, tree};
use crate::support::slow_node::{SlowNode, Slowness};
use crate::support::small_disk::SmallDisk;
use crate::support::waiting::until;

const MEGABYTE: usize = 1 << 20;

/// A world with 1.0.0 installed from one node.
fn installed() -> (World, release::NodeProcess) {
    World::installed("", |world| world.release("1.0.0", MEGABYTE))
}

#[test]
fn from_first_install_to_removal() {
    let world = World::new();
    world.release("1.0.0", MEGABYTE);
    let (one, two) = (world.serve(), world.serve());
    world.configure(&[&one.address, &two.address], "");

    let none = world.say(&["list"]);
    assert_eq!(none.code, 3, "nothing is installed");
    for verb in [["verify"].as_slice(), &["rollback"], &["pin"]] {
        let none = world.say(verb);
        assert_eq!(none.result["problem"]["kind"], "nothing_installed");
        assert!(
            !none.errors.contains("network connection"),
            "nobody has asked the network: {}",
            none.errors
        );
    }
    let check = world.say(&["check"]);
    assert_eq!(
        (check.code, check.result["version"].as_str()),
        (0, Some("1.0.0")),
        "{}",
        check.errors
    );
    assert!(check.result["current"].is_null());
    let update = world.say(&["update"]);
    assert_eq!(
        (update.code, update.result["version"].as_str()),
        (0, Some("1.0.0")),
        "{}",
        update.errors
    );
    assert!(update.events.iter().any(|event| event["phase"] == "downloading"));
    assert!(
        !update.events.iter().any(|event| event["event"] == "notice"),
        "a first installation finds nothing amiss"
    );
    let progress = update.events.iter().rev().find(|event| event["event"] == "progress").unwrap();
    assert_eq!(progress["done"], progress["total"]);
    assert_eq!(progress["nodes"].as_array().unwrap().len(), 2);
    let (written, files) =
        (progress["files_done"].as_u64().unwrap(), progress["files_total"].as_u64().unwrap());
    // Empty files and links come at the very end; all others are counted while they are written.
    assert!(written > 0 && written + 20 >= files, "{written} of {files} files were told");

    // The installed files equal the built ones.
    let app = tree(&world.path("app 1.0.0"));
    assert_eq!(
        tree(&world.container("1.0.0").join("app"))
            .into_iter()
            .filter(|(path, _)| !path.ends_with(".description"))
            .collect::<BTreeMap<_, _>>(),
        app
    );
    assert!(
        !world.home().join("staging").read_dir().unwrap().any(|_| true),
        "nothing is left in staging"
    );

    for verb in ["check", "update"] {
        let nothing = world.say(&[verb]);
        assert_eq!(
            (nothing.code, nothing.result["status"].as_str()),
            (3, Some("nothing_to_do")),
            "{}",
            nothing.errors
        );
    }

    let notes = world.path("notes.md");
    fs::write(&notes, "# New\n").unwrap();
    let package = world.build("1.1.0", &BTreeMap::from([("new.txt", b"new".to_vec())]));
    world.publish(&package, &["--notes", text(&notes)]);
    let check = world.say(&["check"]);
    assert_eq!((check.code, check.result["current"].as_str()), (0, Some("1.0.0")));
    let offer = check.events.iter().find(|event| event["phase"] == "offered").unwrap();
    assert_eq!(offer["offer"]["notes"], "# New\n");
    assert_eq!(world.say(&["update"]).code, 0);
    let list = world.say(&["list"]);
    let versions: Vec<(String, bool)> = list.result["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            (
                version["id"].as_str().unwrap().split('_').nth(1).unwrap().to_owned(),
                version["active"] == true,
            )
        })
        .collect();
    assert_eq!(versions, [("1.1.0".to_owned(), true), ("1.0.0".to_owned(), false)]);
    let (newest, before) = (&list.result["versions"][0], &list.result["versions"][1]);
    assert!(
        newest["left"].is_null() && before["left"].is_string(),
        "the version before can be gone back to"
    );
    assert_eq!(list.result["kept"][0]["folder"], before["folder"]);
    let disk_use = &list.result["disk_use"];
    let parts =
        disk_use["folders"].as_array().unwrap().iter().map(|part| part["bytes"].as_u64().unwrap());
    assert!(
        parts.sum::<u64>() <= disk_use["whole"].as_u64().unwrap()
            && disk_use["whole"].as_u64().unwrap() > MEGABYTE as u64
    );
    assert_eq!(
        (world.say(&["pin"]).code, world.say(&["list"]).result["versions"][0]["pinned"].as_bool()),
        (0, Some(true))
    );
    assert_eq!(world.say(&["pin", "--release"]).code, 0);

    assert_eq!(world.say(&["switch", "1.0.0"]).code, 0);
    assert_eq!(world.say(&["remove", "1.0.0"]).result["problem"]["kind"], "version_in_use");
    assert_eq!(
        world.say(&["update", "--to", "1.1.0"]).code,
        0,
        "an installed version needs no download"
    );
    assert_eq!(
        world.say(&["update", "--to", "9.9.9"]).result["problem"]["kind"],
        "no_such_version"
    );
    assert_eq!(world.say(&["remove", "1.0.0"]).code, 0);
    let gone = world.say(&["switch", "1.0.0"]);
    assert_eq!((gone.code, gone.result["problem"]["kind"].as_str()), (1, Some("not_installed")));
    assert!(
        gone.errors.contains("1.0.0 is not on this computer"),
        "the server was not asked: {}",
        gone.errors
    );
    assert_eq!(
        world.launcher(&["switch"]).output().unwrap().status.code(),
        Some(2),
        "a usage error"
    );
}

#[test]
fn the_app_gets_its_arguments_and_gives_its_status() {
    let (world, _node) = installed();
    world.configure(&["127.0.0.1:9"], "[update]\ncheck = 'never'\n");
    let output = world
        .launcher_without_screen(&["run", "--", "a b", "数据"])
        .env("CODE", "42")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "version=1.0.0 args=a b 数据\n");
    assert_eq!(output.status.code(), Some(42));
}

#[test]
fn the_app_starts_without_network_window_pointer_or_settings() {
    let (world, node) = installed();
    drop(node);
    let starts = |world: &World, what: &str| {
        let output = world.launcher_without_screen(&["run"]).output().unwrap();
        let reported = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            reported.contains("version=1.0.0"),
            "{what}: {reported} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    world.configure(&["127.0.0.1:9"], "[update]\ndelay_seconds = 0\n");
    starts(&world, "no network");
    world.configure(&["127.0.0.1:9"], "[update]\ncheck = 'before-start'\n");
    starts(&world, "a check before the start without a network, and no window");
    fs::write(world.home().join("active.json"), "{").unwrap();
    starts(&world, "a damaged pointer");
    fs::write(world.home().join("state.json"), "{").unwrap();
    starts(&world, "damaged state");
    let _ = fs::remove_dir_all(world.home().join("trust"));
    fs::write(world.home().join("trust"), "in the way").unwrap();
    starts(&world, "no trusted metadata");
    fs::write(world.config(), "nonsense").unwrap();
    starts(&world, "damaged settings");
}

#[test]
fn a_version_that_cannot_be_started_is_stepped_over() {
    let (world, _node) = installed();
    world.release("2.0.0", MEGABYTE);
    assert_eq!(world.say(&["update"]).code, 0);
    fs::remove_file(world.container("2.0.0").join("app").join(PROGRAM)).unwrap();
    world.configure(&["127.0.0.1:9"], "[update]\ncheck = 'never'\n");
    let output = world.launcher_without_screen(&["run"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("version=1.0.0"));
}

#[test]
fn an_update_while_the_app_runs_waits_for_the_next_start() {
    let (world, node) = installed();
    world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
    let mut app =
        world.launcher(&["run"]).env("STAY", "600").stdout(Stdio::null()).spawn().unwrap();
    until("the app runs", || world.say(&["list"]).result["versions"][0]["running"] == true);
    world.release("2.0.0", MEGABYTE);
    assert_eq!(world.say(&["update"]).code, 0);
    let active = fs::read_to_string(world.home().join("active.json")).unwrap();
    assert!(
        active.contains("pending") && active.contains("sample_1.0.0"),
        "no switch under the running app: {active}"
    );
    fs::write(world.container("1.0.0").join("data/written late"), "mine").unwrap();
    // The launcher dies; the app continues, and its version is still known to run.
    app.kill().unwrap();
    app.wait().unwrap();
    let list = world.say(&["list"]);
    assert_eq!(list.result["versions"][1]["running"], true, "{:?}", list.result);
    assert_eq!(world.say(&["remove", "1.0.0"]).result["problem"]["kind"], "version_in_use");
    world.end_apps();
    until("the new version starts", || {
        let output = world.launcher(&["run"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("version=2.0.0")
    });
    assert_eq!(
        fs::read_to_string(world.container("2.0.0").join("data/written late")).unwrap(),
        "mine"
    );
}

#[test]
fn settings_in_ruins_start_the_app_and_fail_every_other_verb() {
    let (world, _node) = installed();
    let settings = fs::read_to_string(world.config()).unwrap();
    let home = world.home();
    fs::write(world.config(), format!("home = '{}'\nchanel = 'x'\n{settings}", text(&home)))
        .unwrap();
    // As a shortcut starts it: the command line does not name the home.
    let mut launcher = std::process::Command::new(env!("CARGO_BIN_EXE_kuzflow-launcher"));
    let output = launcher
        .args(release::WITHOUT_SCREEN)
        .args(["--config", text(&world.config()), "run", "--", "x"])
        .env_remove("DISPLAY")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "version=1.0.0 args=x\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let check = world.say(&["check"]);
    assert_eq!((check.code, check.result["problem"]["kind"].as_str()), (1, Some("bad_settings")));
    fs::write(world.config(), settings).unwrap();
    fs::remove_file(world.path("publisher/launcher/root.json")).unwrap();
    let output = world.launcher_without_screen(&["run", "x"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("version=1.0.0 args=x"),
        "without a root"
    );
}

#[test]
fn a_version_that_fails_at_once_is_still_updated() {
    let Some(display) = Display::open() else { return };
    let (world, node) = installed();
    world.release("2.0.0", MEGABYTE);
    world.configure(&[&node.address], "[update]\ndelay_seconds = 1\n");
    let mut launcher = world
        .launcher(&["run"])
        .env("DISPLAY", &display.number)
        .env("CODE", "3")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let window = display.window("Sample").expect("the window opens although the app has failed");
    display.press_until(&window, "Return", || world.log().contains("Downloading"));
    // The version is installed and started. It fails in this environment as does the one before, so
    // it is not recorded as failed.
    let state = || -> serde_json::Value {
        serde_json::from_slice(&fs::read(world.home().join("state.json")).unwrap_or_default())
            .unwrap_or_default()
    };
    let active = || fs::read_to_string(world.home().join("active.json")).unwrap_or_default();
    until("both are known to fail", || world.log().contains("neither is recorded as failed"));
    // The log line comes before the launcher has gone back, so the test waits for each of the
    // three.
    until("the version that the person chose is active again", || {
        active().contains("sample_2.0.0")
    });
    until("neither is recorded as failed", || {
        state()["accused"].is_null() && state()["failed"].is_null()
    });
    assert!(
        world.container("2.0.0").exists(),
        "a version that is not recorded as failed stays installed"
    );
    let _ = launcher.kill();
    launcher.wait().unwrap();
}

#[test]
fn a_crowd_of_dead_nodes_does_not_push_the_good_one_out() {
    let (world, node) = installed();
    world.release("2.0.0", MEGABYTE);
    world.configure(&[&node.address], "");
    let dead = |index: usize| {
        format!(
            r#"{{"id":"dead-{index}","url":"http://127.0.0.1:{index}/","bandwidth":10000,"metrics":{{"bandwidth_mbps":10000,"latency_ms":1,"availability_percent":100,"cpu_usage_percent":0}}}}"#
        )
    };
    let list = (1..20).map(dead).collect::<Vec<_>>().join(",");
    world.write_node_list(&format!("[{list}]"));
    let update = world.say(&["update"]);
    assert_eq!(update.code, 0, "{}", update.errors);
}

#[test]
fn a_withdrawn_release_is_not_to_be_had_by_name() {
    let (world, _node) = installed();
    world.release("2.0.0", MEGABYTE);
    let publisher = world.path("publisher");
    world.kuzflow(&["rollout", "--repo", text(&publisher), "--version", "2.0.0", "--halt"]);
    let update = world.say(&["update", "--to", "2.0.0"]);
    assert_eq!(
        (update.code, update.result["problem"]["kind"].as_str()),
        (1, Some("no_such_version"))
    );
    assert!(update.errors.contains("halted"), "{}", update.errors);
}

#[test]
fn killed_at_any_time_the_next_run_converges() {
    let (world, node) = installed();
    world.release("2.0.0", 24 * MEGABYTE);
    world.configure(&[&node.address], "[update]\nmax_bytes_per_second = 40_000_000\n");
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..12 {
        let mut update = world
            .launcher(&["--json", "update"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(random.u64(30..700)));
        let _ = update.kill();
        update.wait().unwrap();
        // Whatever the interruption was: the app starts, in the old version or in the new one,
        // whole.
        world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
        let reported = String::from_utf8_lossy(&world.launcher(&["run"]).output().unwrap().stdout)
            .into_owned();
        assert!(
            reported.contains("version=1.0.0") || reported.contains("version=2.0.0"),
            "round {round}: {reported}"
        );
        let verify = world.say(&["verify"]);
        assert_eq!(verify.code, 0, "round {round}: {:?}", verify.result);
        world.configure(&[&node.address], "[update]\nmax_bytes_per_second = 40_000_000\n");
    }
    let update = world.say(&["update"]);
    assert!(matches!(update.code, 0 | 3), "{}", update.errors);
    assert_eq!(
        tree(&world.path("app 2.0.0")),
        tree(&world.container("2.0.0").join("app"))
            .into_iter()
            .filter(|(path, _)| !path.ends_with(".description"))
            .collect::<BTreeMap<_, _>>()
    );
    assert_eq!(fs::read_dir(world.home().join("staging")).unwrap().count(), 0);
}

#[test]
fn a_resumed_download_fetches_only_what_is_missing() {
    let (world, node) = installed();
    world.release("2.0.0", 12 * MEGABYTE);
    // A busy computer may look late: the download must not have ended by then.
    world.configure(&[&node.address], "[update]\nmax_bytes_per_second = 1_000_000\n");
    let mut update = world
        .launcher(&["--json", "update"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let journal = world.home().join("staging");
    let begun = || {
        tree(&journal)
            .iter()
            .any(|(path, bytes)| text(path).ends_with(".journal") && bytes.len() > 300)
    };
    until("pieces are noted", begun);
    update.kill().unwrap();
    update.wait().unwrap();
    let check = world.say(&["check"]);
    let (left, all) = (
        check.result["bytes"].as_u64().unwrap(),
        check.events.iter().find_map(|event| event["offer"]["signed"]["length"].as_u64()).unwrap(),
    );
    assert!(left < all && left > 0, "{left} of {all} are left to fetch");
    world.configure(&[&node.address], "");
    assert_eq!(world.say(&["update"]).code, 0);
}

#[test]
fn damage_is_found() {
    let (world, _node) = installed();
    assert_eq!(world.say(&["verify"]).code, 0);
    let file = world.container("1.0.0").join("app/data/file 3.bin");
    let mut content = fs::read(&file).unwrap();
    content[100] ^= 1;
    fs::write(&file, content).unwrap();
    let verify = world.say(&["verify"]);
    assert_eq!(
        (verify.code, verify.result["damaged"][0].as_str()),
        (1, Some("app/data/file 3.bin"))
    );
    // Files of the user may change.
    fs::write(world.container("1.0.0").join("data/mine"), "x").unwrap();
    assert_eq!(world.say(&["verify"]).result["damaged"].as_array().unwrap().len(), 1);
    let manifest = world.container("1.0.0").join("metadata/container.json");
    let json = fs::read_to_string(&manifest).unwrap().replace("示例", "假的");
    fs::write(&manifest, json).unwrap();
    assert_eq!(
        world.say(&["verify"]).result["damaged"],
        serde_json::json!(["metadata/container.json"])
    );
}

#[test]
fn nothing_untrusted_is_installed() {
    let world = World::new();
    world.release("1.0.0", MEGABYTE);
    let node = world.serve();
    // Another publisher's root: the launcher trusts nothing that this repository signs.
    let other = World::new();
    world.configure(&[&node.address], "");
    fs::copy(
        other.path("publisher/launcher/root.json"),
        world.path("publisher/launcher/root.json"),
    )
    .unwrap();
    let check = world.say(&["check"]);
    assert_eq!(
        (check.code, check.result["problem"]["kind"].as_str()),
        (1, Some("not_trusted")),
        "{}",
        check.errors
    );
    assert!(check.errors.contains("threshold"), "the cause is told: {}", check.errors);
    assert!(
        !world.home().join("containers").read_dir().is_ok_and(|mut found| found.next().is_some())
    );
}

#[test]
fn a_package_that_was_changed_on_the_node_is_refused() {
    let world = World::new();
    world.release("1.0.0", MEGABYTE);
    let package = world.published();
    let mut bytes = fs::read(&package).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&package, bytes).unwrap();
    let node = world.serve();
    world.configure(&[&node.address], "");
    let update = world.say(&["update"]);
    assert_eq!(update.code, 1);
    assert_eq!(update.result["problem"]["kind"], "nodes_unusable", "{}", update.errors);
    assert!(update.events.iter().any(|event| event["event"] == "node_fault"
        && event["fault"] == "wrong_bytes"
        && event["dropped"] == true));
    assert_eq!(world.say(&["list"]).code, 3);
}

#[test]
fn a_lying_node_beside_a_good_one_is_named_and_left() {
    let world = World::new();
    world.release("1.0.0", 8 * MEGABYTE);
    // Slower than the liar, so that there is something left for the liar on any computer.
    let slow = Slowness { rate: 3_000_000, ..Slowness::default() };
    let good = SlowNode::start(&world.path("publisher/repository"), slow);
    // The second node serves a copy of the repository with one changed byte.
    let copy = World::new();
    release::copy_tree(&world.path("publisher/repository"), &copy.path("publisher/repository"));
    let package = copy.published();
    let mut bytes = fs::read(&package).unwrap();
    for at in (1000..bytes.len() - 200_000).step_by(50_000) {
        bytes[at] ^= 1;
    }
    fs::write(&package, bytes).unwrap();
    let bad = copy.serve();
    world.configure(&[&bad.address, &good.address], "");
    let update = world.say(&["update"]);
    assert_eq!(update.code, 0, "{}", update.errors);
    let fault = update.events.iter().find(|event| event["node"] == "node-0").unwrap();
    assert_eq!((fault["fault"].as_str(), &fault["dropped"]), (Some("wrong_bytes"), &true.into()));
    assert_eq!(world.say(&["verify"]).code, 0);
}

#[test]
fn two_launchers_at_once() {
    let (world, _node) = installed();
    world.release("2.0.0", 8 * MEGABYTE);
    let slow = Slowness { rate: 2_000_000, ..Slowness::default() };
    let node = SlowNode::start(&world.path("publisher/repository"), slow);
    world.configure(&[&node.address], "");
    let first = world
        .launcher(&["--json", "update"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let staging = world.home().join("staging");
    until("the first one works", || fs::read_dir(&staging).unwrap().count() > 0);
    // It works until the second one has been refused, however long that takes.
    node.hold();
    let second = world.say(&["prune"]);
    assert_eq!(
        (second.code, second.result["problem"]["kind"].as_str()),
        (1, Some("busy")),
        "{}",
        second.errors
    );
    assert_eq!(world.say(&["list"]).code, 0, "looking needs no lock");
    node.let_go();
    let first = reply(&first.wait_with_output().unwrap());
    assert_eq!(first.code, 0, "{}", first.errors);
}

#[test]
fn a_full_disk_is_reported_before_the_first_byte() {
    let world = World::new();
    world.release("1.0.0", 24 * MEGABYTE);
    let node = world.serve();
    world.configure(&[&node.address], "");
    let Some(_disk) = SmallDisk::mount(&world.home(), "size=40m") else { return };
    let update = world.say(&["update"]);
    let left = fs::read_dir(world.home().join("staging"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect::<Vec<_>>();
    let packages = left.iter().filter(|folder| folder.join("package.partial").exists()).count();
    assert_eq!(
        (update.code, update.result["problem"]["kind"].as_str()),
        (1, Some("disk_full")),
        "{}",
        update.errors
    );
    assert_eq!(packages, 0, "nothing was fetched");
}

#[test]
fn a_rollout_a_halt_and_a_mandatory_release() {
    let (world, _node) = installed();
    let package = world.build("2.0.0", &BTreeMap::new());
    world.publish(&package, &["--rollout", "0"]);
    let publisher = world.path("publisher");
    let change = |arguments: &[&str]| {
        world.kuzflow(
            &[&["rollout", "--repo", text(&publisher), "--version", "2.0.0"], arguments].concat(),
        )
    };
    let reason = |world: &World| world.say(&["check"]).result["reason"].as_str().map(str::to_owned);
    assert_eq!(reason(&world).as_deref(), Some("not_yet"));
    change(&["--percent", "100"]);
    assert_eq!(world.say(&["check"]).code, 0);
    change(&["--halt"]);
    assert_eq!(reason(&world).as_deref(), Some("not_yet"));
    change(&["--resume"]);
    assert_eq!(world.say(&["update"]).code, 0);
    let package = world.build("3.0.0", &BTreeMap::new());
    world.publish(&package, &["--mandatory"]);
    assert_eq!(world.say(&["check"]).result["mandatory"], true);
}

#[test]
fn a_disk_that_fills_on_the_way_leaves_the_old_version_and_recovers() {
    let world = World::new();
    world.release("1.0.0", MEGABYTE);
    let node = world.serve();
    world.configure(&[&node.address], "");
    let Some(_disk) = SmallDisk::mount(&world.home(), "size=120m") else { return };
    assert_eq!(world.say(&["update"]).code, 0);
    world.release("2.0.0", 24 * MEGABYTE);
    world.configure(&[&node.address], "[update]\nmax_bytes_per_second = 1_000_000\n");
    let update = world
        .launcher(&["--json", "update"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let staging = world.home().join("staging");
    until("something was fetched", || !tree(&staging).is_empty());
    // Another program fills the disk.
    let filler = world.home().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 65536]).is_ok() {}
    drop(file);
    let update = reply(&update.wait_with_output().unwrap());
    assert_eq!(
        (update.code, update.result["problem"]["kind"].as_str()),
        (1, Some("disk_full")),
        "{}",
        update.errors
    );
    world.configure(&["127.0.0.1:9"], "[update]\ncheck = 'never'\n");
    let reported = world.launcher(&["run"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&reported.stdout).contains("version=1.0.0"),
        "the app starts on a full disk"
    );
    fs::remove_file(filler).unwrap();
    world.configure(&[&node.address], "");
    assert_eq!(world.say(&["update"]).code, 0);
    assert_eq!(world.say(&["verify"]).code, 0);
}

#[test]
fn the_app_starts_from_a_read_only_home() {
    let world = World::new();
    world.release("1.0.0", MEGABYTE);
    let node = world.serve();
    world.configure(&[&node.address], "");
    let Some(disk) = SmallDisk::mount(&world.home(), "size=60m") else { return };
    assert_eq!(world.say(&["update"]).code, 0);
    world.release("2.0.0", MEGABYTE);
    disk.remount("ro");
    let reported = world.launcher(&["run"]).output().unwrap();
    assert!(
        String::from_utf8_lossy(&reported.stdout).contains("version=1.0.0"),
        "{}",
        String::from_utf8_lossy(&reported.stderr)
    );
    assert_eq!(world.say(&["update"]).result["problem"]["kind"], "disk_error");
    disk.remount("rw");
    assert_eq!(world.say(&["update"]).code, 0);
}

#[test]
fn updated_in_the_real_window() {
    let Some(display) = Display::open() else { return };
    let (world, node) = installed();
    world.release("2.0.0", 4 * MEGABYTE);
    world.configure(&[&node.address], "[update]\ndelay_seconds = 0\n");
    let log = world.path("app.log");
    let mut launcher = world
        .launcher(&["run"])
        .env("DISPLAY", &display.number)
        .env("STAY", "600")
        .stdout(fs::File::create(&log).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let window = display.window("Sample").expect("the window opens by itself");
    let reported = || fs::read_to_string(&log).unwrap();
    until("the app was started before the window", || reported().contains("version=1.0.0"));
    let active = || fs::read_to_string(world.home().join("active.json")).unwrap();
    display.press_until(&window, "Return", || world.log().contains("Downloading"));
    until("installed, and chosen for the next start", || active().contains("pending"));
    assert!(!reported().contains("version=2.0.0"));
    until("the window hears of it", || world.log().contains("Ready {"));
    display.press_until(&window, "Return", || world.log().contains("Closing {"));
    until("restarted in the new version", || reported().contains("version=2.0.0"));
    assert!(display.goes("Sample"), "the window is gone");
    until("only the new version runs", || {
        let list = world.say(&["list"]).result;
        let versions = list["versions"].as_array().unwrap().iter();
        versions.map(|version| version["running"] == true).eq([true, false])
    });
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    world.end_apps();
}

#[test]
fn updated_from_the_small_window_beside_the_app() {
    let Some(display) = Display::open() else { return };
    let (world, node) = installed();
    // The same data: the update fetches only the files with the version in them.
    world.release("2.0.0", MEGABYTE);
    world.configure(&[&node.address], "[update]\ndelay_seconds = 0\n");
    let log = world.path("app.log");
    let mut launcher = world
        .launcher(&["run"])
        .env("DISPLAY", &display.number)
        .env_remove("WAYLAND_DISPLAY")
        .env("STAY", "600")
        .stdout(fs::File::create(&log).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let window = display.window("Sample").expect("the small window opens by itself");
    // Under the pointer the window stays, however long this takes.
    display.point_at(display::SCREEN.0 - 100, display::SCREEN.1 - 50);
    let reported = || fs::read_to_string(&log).unwrap();
    let active = || fs::read_to_string(world.home().join("active.json")).unwrap();
    let place = display.standing(&window, display::QUESTION_HEIGHT);
    assert_eq!(place.width, 280);
    // The upper of the two buttons: now, and once the version is installed, restart.
    let (x, y) = (place.left + place.width - 40, place.top + place.height / 2 - 16);
    display.click_until(x, y, || world.log().contains("Downloading"));
    until("installed, and chosen for the next start", || active().contains("pending"));
    assert!(!reported().contains("version=2.0.0"));
    until("the window hears of it", || world.log().contains("Ready {"));
    display.standing(&window, display::QUESTION_HEIGHT);
    display.click_until(x, y, || world.log().contains("Closing {"));
    until("restarted in the new version", || reported().contains("version=2.0.0"));
    assert!(display.goes("Sample"), "the window is gone");
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    world.end_apps();
}
