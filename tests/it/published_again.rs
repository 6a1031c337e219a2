//! `kuzflow publish --again` through the executable: what is typed changes, and nothing else.

use std::fs;

use serde_json::Value;

use crate::support::release::{World, kuzflow, text, tree};

/// The signed description of the release 1.0.0.
fn description(world: &World) -> Value {
    let metadata = world.path("publisher/repository/metadata");
    let number = |name: &str| {
        let (number, role) = name.split_once('.')?;
        role.ends_with(".offer.json").then_some((number.parse::<u64>().ok()?, name.to_owned()))
    };
    let names = fs::read_dir(&metadata).unwrap().map(|entry| entry.unwrap().file_name());
    let newest = names.filter_map(|name| number(name.to_str().unwrap())).max().unwrap().1;
    let document = fs::read(metadata.join(newest)).unwrap();
    let document: Value = serde_json::from_slice(&document).unwrap();
    let mut targets = document["signed"]["targets"].as_object().unwrap().values();
    targets.find_map(|target| target["custom"].get("release")).unwrap().clone()
}

const NEXT: &str = "# Of the next release";

/// Whether the repository has these release notes.
fn has_notes(world: &World, notes: &str) -> bool {
    tree(&world.path("publisher/repository/targets")).values().any(|file| file == notes.as_bytes())
}

#[test]
fn again_changes_what_is_typed_whatever_the_settings_say_by_now() {
    let world = World::new();
    let folder = world.path("publisher");
    let settings = folder.join("kuzflow.toml");
    let before = fs::read_to_string(&settings).unwrap();
    let write = |notes: &str, rules: &str| {
        fs::write(folder.join("notes.md"), notes).unwrap();
        let text = before.replacen("[app]\n", "[app]\nnotes = \"notes.md\"\n", 1);
        let rules = format!("\n[incremental_update]\nhot_swap_modules = [\"{rules}\"]\n");
        fs::write(&settings, text + &rules).unwrap();
    };
    write("# First", "ui.*");
    let package = world.build("1.0.0", &std::collections::BTreeMap::new());
    world.publish(&package, &[]);
    let published = description(&world);
    assert_eq!(published["hot_swap"]["modules"][0], "ui.*", "{published}");

    write(NEXT, "core.*");
    let publish = |more: &[&str]| {
        let reply =
            kuzflow(&[&["publish", text(&package), "--repo", text(&folder)], more].concat());
        assert_eq!(reply.code, 0, "{}", reply.errors);
        reply.errors
    };
    let reported = publish(&["--again", "--mandatory"]);
    assert!(reported.contains("hot_swap_modules"), "what is left is told: {reported}");
    let mut expected = published;
    expected["mandatory"] = true.into();
    assert_eq!(description(&world), expected);

    // A file of notes that is gone by now is no obstacle, and one that is typed is taken.
    fs::rename(folder.join("notes.md"), folder.join("typed.md")).unwrap();
    publish(&["--again", "--mandatory=false"]);
    expected.as_object_mut().unwrap().remove("mandatory");
    assert_eq!(description(&world), expected);
    assert!(!has_notes(&world, NEXT));
    publish(&["--again", "--notes", text(&folder.join("typed.md"))]);
    assert!(has_notes(&world, NEXT));
}
