//! Incremental updates through the real executables: packs, chains, single entries. Damaged data
//! falls back to another strategy, and every strategy ends in the tree of a fresh install.

mod damage;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use crate::support::contents::{noise, words};
use crate::support::release::{NodeProcess, Reply, World, copy_tree, mode, reply, text, tree};

/// Publishes `version`: two files that change with it, a large one that never changes, one that is
/// named after it, and a default setting.
fn publish(world: &World, version: u64, more: &[&str]) {
    let named = format!("named {version}.bin");
    let files = BTreeMap::from([
        ("words.txt", words(version)),
        ("module.py", format!("VERSION = {version}\n").into_bytes()),
        ("large.bin", noise(7, 700_000)),
        (named.as_str(), noise(8, 90_000)),
        ("settings.json", b"{\"default\": true}\n".to_vec()),
    ]);
    let package = world.build(&format!("{version}.0.0"), &files);
    world.publish(&package, more);
}

/// A world in which 1.0.0 is installed and 2.0.0 and 3.0.0 are published.
fn installed(more: &[&str]) -> (World, NodeProcess) {
    let (world, node) = World::installed("", |world| publish(world, 1, more));
    for version in 2..=3 {
        publish(&world, version, more);
    }
    // Publishing writes the made-up node again.
    world.configure(&[&node.address], "");
    (world, node)
}

/// Runs a verb in another home.
fn elsewhere(world: &World, home: &Path, arguments: &[&str]) -> Reply {
    let arguments = [&["--json"], arguments].concat();
    reply(&world.launcher_at(home, &world.config(), &arguments).output().unwrap())
}

/// The files of an installed version that belong to the release.
fn content(container: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(container);
    files.retain(|path, _| !path.ends_with("installed.json"));
    files
}

/// Compares `version` in the world's home with a fresh install of it.
#[track_caller]
fn assert_like_fresh(world: &World, version: &str) {
    let home = world.path("fresh home");
    let fresh = elsewhere(world, &home, &["update", "--to", version]);
    assert_eq!((fresh.code, strategy(&fresh)), (0, "full".to_owned()), "{}", fresh.errors);
    let container = world.container(version);
    let other = home.join("containers").join(container.file_name().unwrap());
    let (ours, theirs) = (content(&container), content(&other));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(ours == theirs, "some file differs");
    for path in ours.keys() {
        let look = |root: &Path| {
            let found = fs::metadata(root.join(path)).unwrap();
            (mode(&found), found.modified().unwrap())
        };
        assert_eq!(look(&container), look(&other), "{}", path.display());
    }
    fs::remove_dir_all(home).unwrap();
}

fn plan(reply: &Reply) -> serde_json::Value {
    let offers = reply.events.iter().filter(|event| event["phase"] == "offered");
    offers.map(|event| event["offer"]["plan"].clone()).next_back().unwrap_or_default()
}

fn strategy(reply: &Reply) -> String {
    plan(reply)["way"].as_str().unwrap_or_default().to_owned()
}

/// How many files were fetched another way because a patch failed.
fn fallen_back(reply: &Reply) -> u64 {
    reply.events.iter().filter_map(|event| event["fallen_back"].as_u64()).max().unwrap_or_default()
}

/// How many installed files were damaged and had their content fetched again.
fn repaired(reply: &Reply) -> u64 {
    reply.events.iter().filter_map(|event| event["mended"].as_u64()).max().unwrap_or_default()
}

/// Bytes that an update fetched besides signed metadata.
fn fetched(reply: &Reply) -> u64 {
    reply
        .events
        .iter()
        .filter(|event| event["event"] == "progress")
        .filter_map(|event| event["done"].as_u64())
        .max()
        .unwrap_or_default()
}

fn packs(world: &World) -> Vec<PathBuf> {
    let targets = fs::read_dir(world.path("publisher/repository/targets")).unwrap();
    targets
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| text(path).ends_with(".kuzpatch"))
        .collect()
}

#[test]
fn a_pack_brings_what_changed_and_the_tree_of_a_fresh_install() {
    let (world, _node) = installed(&[]);
    let dry = world.say(&["update", "--dry-run"]);
    assert_eq!((dry.code, strategy(&dry).as_str()), (0, "patches"), "{}", dry.errors);
    assert!(!world.container("3.0.0").exists(), "a dry run installs nothing");
    let update = world.say(&["update"]);
    let plan = plan(&update);
    assert_eq!((update.code, strategy(&update).as_str()), (0, "patches"), "{}", update.errors);
    assert!(plan["bytes"].as_u64().unwrap() < 1000, "{plan}");
    assert!(plan["full_bytes"].as_u64().unwrap() > 700_000);
    assert_eq!(fallen_back(&update), 0);
    assert_like_fresh(&world, "3.0.0");
    assert!(
        !world.home().join("staging").read_dir().unwrap().any(|_| true),
        "nothing is left in staging"
    );
}

#[test]
fn packs_are_applied_one_after_another_where_that_is_the_way() {
    let (world, _node) = installed(&["--no-patches"]);
    let folder = world.path("publisher");
    for (from, to) in [("1.0.0", "2.0.0"), ("2.0.0", "3.0.0")] {
        world.kuzflow(&["patch", "--repo", text(&folder), "--from", from, "--to", to]);
    }
    let update = world.say(&["update"]);
    assert_eq!(
        (update.code, plan(&update)["patches"].as_array().unwrap().len()),
        (0, 2),
        "{}",
        update.errors
    );
    assert_eq!(fallen_back(&update), 0);
    assert_like_fresh(&world, "3.0.0");
    // And back again, by entries: no pack leads there from the remaining version, which has nearly
    // all the bytes.
    assert_eq!(world.say(&["remove", "1.0.0"]).code, 0);
    let back = world.say(&["update", "--to", "2.0.0"]);
    assert_eq!((back.code, strategy(&back).as_str()), (0, "entries"), "{}", back.errors);
    assert_like_fresh(&world, "2.0.0");
}

#[test]
fn without_any_pack_only_the_entries_that_nobody_holds_are_fetched() {
    let (world, _node) = installed(&["--no-patches"]);
    let update = world.say(&["update"]);
    let plan = plan(&update);
    assert_eq!((update.code, strategy(&update).as_str()), (0, "entries"), "{}", update.errors);
    let bytes = plan["bytes"].as_u64().unwrap();
    assert!(bytes < 200_000, "{plan}");
    assert_like_fresh(&world, "3.0.0");
}

#[test]
fn a_pack_that_nodes_lie_about_or_do_not_have_is_done_without() {
    for lie in [true, false] {
        let (world, _node) = installed(&[]);
        for pack in packs(&world) {
            if lie {
                let mut bytes = fs::read(&pack).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0xff;
                fs::write(&pack, bytes).unwrap();
            } else {
                fs::remove_file(&pack).unwrap();
            }
        }
        let update = world.say(&["update"]);
        assert_eq!((update.code, strategy(&update).as_str()), (0, "patches"), "{}", update.errors);
        assert!(update.events.iter().any(|event| event["event"] == "node_fault"));
        assert!(fallen_back(&update) > 0);
        assert_like_fresh(&world, "3.0.0");
    }
}

/// Packs lead only from 1.0.0 to 2.0.0. The changes of 3.0.0 are fetched entry by entry, and all
/// changes of 2.0.0 come by its pack.
#[test]
fn packs_to_a_release_on_the_way_and_then_its_entries() {
    let world = World::new();
    let node = world.serve();
    let release = |version: u64, more: &[&str]| {
        let mut large = noise(7, 700_000);
        if version > 1 {
            large[300_000..300_100].fill(9);
        }
        let module = format!("VERSION = {version}\n").into_bytes();
        let files = BTreeMap::from([
            ("module.py", module),
            ("large.bin", large),
            ("same.bin", noise(8, 600_000)),
        ]);
        let package = world.build(&format!("{version}.0.0"), &files);
        world.publish(&package, more);
    };
    release(1, &[]);
    world.configure(&[&node.address], "");
    assert_eq!(world.say(&["update"]).code, 0);
    release(2, &[]);
    release(3, &["--no-patches"]);
    world.configure(&[&node.address], "");
    let pack = fs::metadata(&packs(&world)[0]).unwrap().len();
    let dry = plan(&world.say(&["update", "--dry-run"]));
    assert_eq!(
        (dry["way"].as_str(), dry["from"].as_str()),
        (Some("patches_and_entries"), Some("1.0.0")),
        "{dry}"
    );
    assert_eq!(
        (dry["patches"].as_array().unwrap().len(), dry["files"]["patched"].as_u64()),
        (1, Some(1)),
        "{dry}"
    );
    let damaged = world.path("damaged home");
    copy_tree(&world.home(), &damaged);

    let update = world.say(&["update"]);
    assert_eq!(
        (update.code, fallen_back(&update), repaired(&update)),
        (0, 0, 0),
        "{}",
        update.errors
    );
    let bytes = plan(&update)["bytes"].as_u64().unwrap();
    assert!(
        bytes < 10_000 && (pack + 1..=bytes).contains(&fetched(&update)),
        "{bytes} {pack} {}",
        fetched(&update)
    );
    assert_like_fresh(&world, "3.0.0");

    // Without its pack the large file is fetched whole.
    packs(&world).iter().for_each(|pack| fs::remove_file(pack).unwrap());
    let update = elsewhere(&world, &damaged, &["update"]);
    assert_eq!((update.code, fallen_back(&update)), (0, 1), "{} {}", update.errors, update.result);
    let container = damaged.join("containers").join(world.container("3.0.0").file_name().unwrap());
    assert!(content(&container) == content(&world.container("3.0.0")), "some file differs");
}

/// A static host of the simplest kind: it sends files unchanged and whole, whatever range a client
/// asks for.
fn serve_whole_files(root: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |mut stream: TcpStream| -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
        let (status, body) = fs::read(root.join(path))
            .map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )?;
        stream.write_all(&body)
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // A client that has enough closes the connection.
            std::thread::spawn(move || _ = answer(stream));
        }
    });
    address
}

#[test]
fn a_host_that_sends_whole_files_only_will_do() {
    let world = World::new();
    let address = serve_whole_files(world.path("publisher/repository")).to_string();
    publish(&world, 1, &[]);
    world.configure(&[&address], "");
    let first = world.say(&["update"]);
    assert_eq!(
        (first.code, strategy(&first).as_str()),
        (0, "full"),
        "{} {}",
        first.errors,
        first.result
    );
    (2..=3).for_each(|version| publish(&world, version, &[]));
    world.configure(&[&address], "");
    let by_pack = world.say(&["update", "--to", "2.0.0"]);
    assert_eq!(
        (by_pack.code, strategy(&by_pack).as_str(), fallen_back(&by_pack)),
        (0, "patches", 0),
        "{}",
        by_pack.errors
    );
    // Without its pack single entries would be next; this host cannot serve them.
    packs(&world).iter().for_each(|pack| fs::remove_file(pack).unwrap());
    let whole = world.say(&["update"]);
    assert_eq!(
        (whole.code, strategy(&whole).as_str()),
        (0, "patches"),
        "{} {}",
        whole.errors,
        whole.result
    );
    assert!(fallen_back(&whole) > 0);
    assert_like_fresh(&world, "3.0.0");
}

#[test]
fn without_the_whole_package_as_a_way_out_it_is_never_fetched() {
    let world = World::new();
    publish(&world, 1, &[]);
    let node = world.serve();
    let set = |tables: &str| world.configure(&[&node.address], tables);
    set("[fallback]\nenable_full_update = false\n");
    let first = world.say(&["update"]);
    assert_eq!(
        (first.code, strategy(&first).as_str()),
        (0, "full"),
        "the first one can only come whole: {}",
        first.errors
    );
    publish(&world, 2, &["--no-patches"]);
    set("[fallback]\nenable_full_update = false\nfallback_threshold = 0.0000001\n");
    let dry = world.say(&["update", "--dry-run"]);
    assert_eq!(
        (dry.code, plan(&dry)["way"].as_str()),
        (0, Some("entries")),
        "any share will do: {}",
        dry.errors
    );
    set("[incremental_update]\nenabled = false\n[fallback]\nenable_full_update = false\n");
    for arguments in
        [&["check"][..], &["update"], &["update", "--to", "2.0.0"], &["update", "--dry-run"]]
    {
        let nothing = world.say(arguments);
        assert_eq!(
            (nothing.code, nothing.result["reason"].as_str()),
            (3, Some("only_whole")),
            "{arguments:?} {}",
            nothing.result
        );
    }
    assert!(!world.container("2.0.0").exists());
    set("[incremental_update]\nenabled = false\n");
    assert_eq!(strategy(&world.say(&["update", "--dry-run"])), "full");
    // A mandatory release comes whatever the settings are.
    publish(&world, 3, &["--no-patches", "--mandatory"]);
    set("[incremental_update]\nenabled = false\n[fallback]\nenable_full_update = false\n");
    let mandatory = world.say(&["update"]);
    assert_eq!(
        (mandatory.code, strategy(&mandatory).as_str()),
        (0, "full"),
        "{}",
        mandatory.errors
    );
}

#[test]
fn settings_choose_the_strategy() {
    let (world, node) = installed(&[]);
    let strategies = [
        ("[incremental_update]\nenabled = false\n", "full", "switched_off"),
        ("[incremental_update]\nmax_patch_size = 10\n", "entries", "cheapest"),
        ("[fallback]\nfallback_threshold = 0.0000001\n", "full", "above_threshold"),
        ("", "patches", "cheapest"),
    ];
    for (settings, strategy, reason) in strategies {
        world.configure(&[&node.address], settings);
        let dry = world.say(&["update", "--dry-run"]);
        let plan = plan(&dry);
        assert_eq!(
            (plan["way"].as_str(), plan["reason"].as_str()),
            (Some(strategy), Some(reason)),
            "{settings} {}",
            dry.errors
        );
    }
    world.configure(&[&node.address], "[fallback]\nfallback_threshold = 2.0\n");
    let refused = world.say(&["check"]);
    assert!(
        refused.code != 0 && refused.errors.contains("fallback_threshold"),
        "{}",
        refused.errors
    );
}

#[test]
fn a_kill_at_any_time_is_made_good_by_the_next_run() {
    let (world, _node) = installed(&[]);
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..6 {
        let mut update = world
            .launcher(&["--json", "update"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(random.u64(20..400)));
        let _ = update.kill();
        let _ = update.wait();
        let _ = fs::remove_dir_all(world.container("3.0.0"));
    }
    let update = world.say(&["update"]);
    assert_eq!(update.code, 0, "{} {}", update.errors, update.result);
    assert_like_fresh(&world, "3.0.0");
}
