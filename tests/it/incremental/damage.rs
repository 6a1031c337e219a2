//! Installed files and packs that are damaged or missing: an update goes on, and repairs them.

use super::*;

/// Flips one bit of a file, and leaves its length and time unchanged.
fn rot(path: &Path) {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Publishes `version`: forty small files, in each of which a line changes.
fn publish_many(world: &World, version: u64) {
    let names: Vec<String> = (0..40).map(|number| format!("module{number}.py")).collect();
    let content = |number: u64| {
        let mut random = fastrand::Rng::with_seed(number);
        let mut lines: Vec<String> =
            (0..250).map(|_| format!("VALUE = {}\n", random.u64(..))).collect();
        lines[100] = format!("VERSION = {version}\n");
        lines.concat().into_bytes()
    };
    let mut files: BTreeMap<&str, Vec<u8>> =
        names.iter().zip(0..).map(|(name, number)| (name.as_str(), content(number))).collect();
    files.insert("large.bin", noise(7, 700_000));
    let package = world.build(&format!("{version}.0.0"), &files);
    world.publish(&package, &[]);
}

/// A world in which 1.0.0 with many small files is installed, and 2.0.0 is published.
fn installed_many() -> (World, NodeProcess) {
    let world = World::new();
    publish_many(&world, 1);
    let node = world.serve();
    world.configure(&[&node.address], "");
    assert_eq!(world.say(&["update"]).code, 0);
    publish_many(&world, 2);
    world.configure(&[&node.address], "");
    (world, node)
}

#[test]
fn damaged_files_and_changed_settings_cost_only_themselves() {
    let (world, _node) = installed(&[]);
    let app = world.container("1.0.0").join("app");
    // A base of the pack, and a file to clone: the same length, and the same time as before.
    rot(&app.join("words.txt"));
    rot(&app.join("large.bin"));
    let update = world.say(&["update"]);
    assert_eq!((update.code, strategy(&update).as_str()), (0, "patches"), "{}", update.errors);
    assert_eq!((repaired(&update), fallen_back(&update)), (2, 0));
    assert_like_fresh(&world, "3.0.0");
    assert_eq!(world.say(&["verify"]).code, 0);
}

#[test]
fn a_damaged_base_costs_one_entry_and_not_its_group() {
    let (world, _node) = installed_many();
    let app = world.container("1.0.0").join("app");
    let before = fs::metadata(app.join("module7.py")).unwrap().len();
    rot(&app.join("module7.py"));
    let update = world.say(&["update"]);
    let pack = plan(&update)["bytes"].as_u64().unwrap();
    assert_eq!((update.code, strategy(&update).as_str()), (0, "patches"), "{}", update.errors);
    assert_eq!((repaired(&update), fallen_back(&update)), (1, 0), "{}", update.errors);
    // The entry, and the index of its package; all forty files are some 130 KB packed.
    let more = fetched(&update) - pack;
    assert!(more > 1000 && more < before + 8_000, "{more} bytes for a file of {before}");
    assert_like_fresh(&world, "2.0.0");
    // The update leaves the installed version unchanged.
    assert_eq!(
        world.say(&["verify", "1.0.0"]).result["damaged"],
        serde_json::json!(["app/module7.py"])
    );
}

#[test]
fn many_damaged_bases_and_missing_ones_are_repaired_at_once() {
    let (world, _node) = installed_many();
    let app = world.container("1.0.0").join("app");
    for number in [0, 3, 9, 39] {
        rot(&app.join(format!("module{number}.py")));
    }
    fs::remove_file(app.join("module20.py")).unwrap();
    let update = world.say(&["update"]);
    assert_eq!(
        (update.code, repaired(&update), fallen_back(&update)),
        (0, 5, 0),
        "{}",
        update.errors
    );
    assert_like_fresh(&world, "2.0.0");
}

#[test]
fn a_base_whose_release_is_no_longer_there_costs_its_group_and_nothing_more() {
    for (gone, wrong) in [(true, false), (false, false), (false, true)] {
        let (world, _node) = installed_many();
        rot(&world.container("1.0.0").join("app/module7.py"));
        let targets = fs::read_dir(world.path("publisher/repository/targets"))
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let package = targets
            .into_iter()
            .find(|path| text(path).contains("_1.0.0_") && text(path).ends_with(".kuzflow"))
            .unwrap();
        match (gone, wrong) {
            (true, _) => fs::remove_file(&package).unwrap(),
            (_, false) => {
                fs::File::options().write(true).open(&package).unwrap().set_len(100).unwrap()
            }
            (_, true) => {
                let length = fs::metadata(&package).unwrap().len();
                fs::write(&package, noise(3, usize::try_from(length).unwrap())).unwrap();
            }
        }
        let update = world.say(&["update"]);
        assert_eq!((update.code, strategy(&update).as_str()), (0, "patches"), "{}", update.errors);
        assert_eq!(repaired(&update), 0);
        // The update fetches only its group: it clones large.bin all the same.
        assert!(fallen_back(&update) >= 40 && fetched(&update) < 300_000, "{}", update.errors);
        assert_like_fresh(&world, "2.0.0");
    }
}

#[test]
fn another_version_or_the_retained_default_repairs_without_a_byte() {
    let (world, _node) = installed(&[]);
    // 2.0.0 comes by its pack. Both versions now have large.bin, which 3.0.0 needs.
    assert_eq!(world.say(&["update", "--to", "2.0.0"]).code, 0);
    rot(&world.container("2.0.0").join("app/large.bin"));
    let update = world.say(&["update"]);
    let pack = plan(&update)["bytes"].as_u64().unwrap();
    assert_eq!(
        (update.code, repaired(&update), fallen_back(&update)),
        (0, 0, 0),
        "{}",
        update.errors
    );
    assert_eq!(fetched(&update), pack);
    assert_like_fresh(&world, "3.0.0");
}
