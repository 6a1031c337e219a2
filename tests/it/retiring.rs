//! Releases that are removed from the repository, and a second publishing of the same release:
//! through the executables.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::release::{Reply, World, kuzflow, text, tree};

/// A release whose large file changes a little with each version.
fn build(world: &World, version: u64) -> PathBuf {
    let mut random = fastrand::Rng::with_seed(7);
    let mut content = vec![0; 200_000];
    random.fill(&mut content);
    content[usize::try_from(version).unwrap() * 1000] ^= 0xff;
    world.build(&format!("{version}.0.0"), &BTreeMap::from([("data/large.bin", content)]))
}

fn publish(world: &World, version: u64) {
    let package = build(world, version);
    world.publish(&package, &[]);
}

fn retire(world: &World, arguments: &[&str]) -> Reply {
    let repo = world.path("publisher");
    kuzflow(&[&["retire", "--repo", text(&repo)], arguments].concat())
}

fn ids(reply: &Reply, field: &str) -> Vec<String> {
    let list = reply.result[field]
        .as_array()
        .unwrap_or_else(|| panic!("{field} of {}: {}", reply.result, reply.errors));
    let version = |id: &str| id.split('_').nth(1).unwrap().to_owned();
    list.iter().map(|id| version(id["container"].as_str().or(id.as_str()).unwrap())).collect()
}

fn list(world: &World) -> Reply {
    kuzflow(&["list", "--repo", text(&world.path("publisher"))])
}

/// The served packages and packs, by version.
fn files(world: &World) -> Vec<String> {
    let names = tree(&world.path("publisher/repository/targets")).into_keys();
    let names = names.map(|path| text(&path).split_once('.').unwrap().1.to_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".kuzflow")).collect();
    names.sort();
    names.iter().map(|name| name.split('_').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn installations_of_a_retired_version_verify_update_by_patches_and_go_back() {
    let world = World::new();
    let node = world.serve();
    world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
    publish(&world, 1);
    assert_eq!(world.say(&["update"]).code, 0);
    (2..=5).for_each(|version| publish(&world, version));
    let before = fs::metadata(newest(&world, "history")).unwrap().len();

    let dry = retire(&world, &["--keep", "2", "--dry-run"]);
    assert_eq!((dry.code, dry.result["status"].as_str()), (0, Some("dry_run")), "{}", dry.errors);
    assert_eq!(ids(&list(&world), "releases").len(), 5, "nothing is done");
    let done = retire(&world, &["--keep", "2"]);
    assert_eq!(
        (done.code, ids(&done, "retired")),
        (0, vec!["3.0.0".into(), "2.0.0".into(), "1.0.0".into()]),
        "{}",
        done.errors
    );
    // The list has eight packs, and the one to 2.0.0 made way for those to 5.0.0.
    assert_eq!(done.result["packs"], 2, "those that led to 3.0.0");
    assert_eq!(files(&world), ["4.0.0", "5.0.0"]);
    assert!(fs::metadata(newest(&world, "history")).unwrap().len() < before * 2 / 3);
    let listed = list(&world);
    assert_eq!(ids(&listed, "releases"), ["5.0.0", "4.0.0"]);
    assert_eq!(ids(&listed, "retired"), ["1.0.0", "2.0.0", "3.0.0"]);
    let again = retire(&world, &["--keep", "2"]);
    assert_eq!(
        (again.code, again.result["status"].as_str()),
        (3, Some("nothing_to_do")),
        "{}",
        again.errors
    );
    let named = retire(&world, &["1.0.0"]);
    assert_eq!(
        (named.code, &named.result["already"]),
        (3, &serde_json::json!(["1.0.0"])),
        "{}",
        named.errors
    );

    // The work of a timer and of the next publish.
    let repo = world.path("publisher");
    assert_eq!(kuzflow(&["refresh", "--repo", text(&repo)]).code, 0);
    publish(&world, 6);
    assert_eq!(ids(&list(&world), "releases"), ["6.0.0", "5.0.0", "4.0.0"]);

    assert_eq!(world.say(&["verify"]).code, 0);
    let plan = world.say(&["update", "--dry-run"]);
    assert!(plan.result.to_string().contains("atch"), "by patches: {}", plan.result);
    let update = world.say(&["update"]);
    assert_eq!(update.code, 0, "{}", update.errors);
    let back = world.say(&["rollback", "1.0.0"]);
    assert_eq!(back.code, 0, "{}", back.errors);
    assert_eq!(world.say(&["verify"]).code, 0);
    let run = world.launcher(&["run", "--headless"]).output().unwrap();
    assert!(String::from_utf8_lossy(&run.stdout).contains("version=1.0.0"));
    // No launcher can get it any more.
    let gone = world.say(&["update", "--to", "2.0.0"]);
    assert_eq!(gone.code, 1, "{}", gone.errors);
}

/// The file of the newest metadata of a role.
fn newest(world: &World, role: &str) -> PathBuf {
    let folder = world.path("publisher/repository/metadata");
    let number = |path: &Path| -> u64 { text(path).split('.').next().unwrap().parse().unwrap() };
    let files =
        tree(&folder).into_keys().filter(|path| text(path).ends_with(&format!(".{role}.json")));
    folder.join(files.max_by_key(|path| number(path)).unwrap())
}

#[test]
fn what_somebody_is_offered_stays() {
    let world = World::new();
    let repo = world.path("publisher");
    for (version, more) in
        [(1, &[][..]), (2, &[]), (3, &["--minimum-version", "2.0.0"]), (4, &["--rollout", "10"])]
    {
        let package = build(&world, version);
        world.publish(&package, more);
    }
    for (version, words) in
        [("4.0.0", "being rolled out"), ("3.0.0", "new installations"), ("2.0.0", "by way of it")]
    {
        let refused = retire(&world, &["1.0.0", version]);
        assert_eq!(refused.code, 1, "{version}");
        assert!(
            refused.errors.contains(words) && refused.errors.contains("--halt"),
            "{}",
            refused.errors
        );
    }
    assert_eq!(ids(&list(&world), "releases").len(), 4, "nothing is half done");
    let rule = retire(&world, &["--keep", "0"]);
    assert_eq!(
        (ids(&rule, "retired"), ids(&rule, "needed")),
        (vec!["1.0.0".to_owned()], vec!["3.0.0".into(), "2.0.0".into()])
    );
    let unknown = retire(&world, &["9.0.0"]);
    assert!(unknown.code == 1 && unknown.errors.contains("9.0.0"), "{}", unknown.errors);
    assert_eq!(retire(&world, &[]).code, 2, "nothing is named");
    assert_eq!(retire(&world, &["1.0.0", "--keep", "3"]).code, 2);
    // A halted release may be retired.
    world.kuzflow(&["rollout", "--repo", text(&repo), "--version", "4.0.0", "--halt"]);
    assert_eq!(
        ids(&retire(&world, &["--older-than", "0"]), "retired"),
        [""; 0],
        "it is somebody's work in hand"
    );
    assert_eq!(ids(&retire(&world, &["4.0.0", "--keep-files"]), "retired"), ["4.0.0"]);
    assert_eq!(files(&world), ["2.0.0", "3.0.0", "4.0.0"]);
    let swept = retire(&world, &["4.0.0"]);
    assert_eq!(
        (swept.code, &swept.result["files"]),
        (0, &serde_json::json!(1)),
        "{}",
        swept.errors
    );
    assert_eq!(files(&world), ["2.0.0", "3.0.0"]);
}

#[test]
fn a_retired_version_comes_back_only_when_that_is_stated_and_never_with_other_bytes() {
    let world = World::new();
    let repo = world.path("publisher");
    (1..=2).for_each(|version| publish(&world, version));
    assert_eq!(retire(&world, &["1.0.0"]).code, 0);
    let package = world.path("1.0.0.kuzflow");
    let publish = |more: &[&str]| {
        kuzflow(&[&["publish", text(&package), "--repo", text(&repo)], more].concat())
    };
    let refused = publish(&[]);
    assert!(
        refused.code == 1
            && refused.errors.contains("retired")
            && refused.errors.contains("--again"),
        "{}",
        refused.errors
    );
    let retained = package.with_extension("kept");
    fs::rename(&package, &retained).unwrap();
    world.build("1.0.0", &BTreeMap::from([("data/large.bin", b"another".to_vec())]));
    for more in [&[][..], &["--again"]] {
        let refused = publish(more);
        assert!(refused.code == 1 && refused.errors.contains("other bytes"), "{}", refused.errors);
    }
    fs::rename(&retained, &package).unwrap();
    assert_eq!(publish(&["--again"]).code, 0);
    let listed = list(&world);
    assert_eq!((ids(&listed, "releases").len(), ids(&listed, "retired").len()), (2, 0));
}

/// A retry in CI, when the offline keys are on their medium again.
#[test]
fn what_is_published_needs_no_keys_to_be_published_again() {
    let world = World::new();
    let repo = world.path("publisher");
    (1..=2).for_each(|version| publish(&world, version));
    let package = world.path("2.0.0.kuzflow");
    let publish = |package: &Path, more: &[&str]| {
        kuzflow(&[&["publish", text(package), "--repo", text(&repo)], more].concat())
    };
    let keys = world.path("publisher/keys");
    let away = world.path("medium");
    fs::create_dir(&away).unwrap();
    let before = tree(&world.path("publisher/repository"));
    for roles in [&["root", "targets"][..], &["snapshot", "timestamp", "patches"]] {
        for (name, content) in tree(&keys) {
            if roles.iter().any(|role| text(&name).starts_with(role)) {
                fs::write(away.join(&name), content).unwrap();
                fs::remove_file(keys.join(&name)).unwrap();
            }
        }
        let again = publish(&package, &[]);
        assert_eq!(
            (again.code, again.result["status"].as_str()),
            (0, Some("nothing_to_do")),
            "{}",
            again.errors
        );
        assert!(again.result["releases"][0]["standing"] == "kept", "{}", again.result);
        assert_eq!(tree(&world.path("publisher/repository")), before);
        let patch = kuzflow(&["patch", "--repo", text(&repo), "--from", "1.0.0", "--to", "2.0.0"]);
        assert_eq!(
            (patch.code, patch.result["packs"][0]["status"].as_str()),
            (0, Some("known")),
            "{}",
            patch.errors
        );
    }
    // A real change reports the missing key, before any work.
    let changed = publish(&package, &["--again", "--mandatory"]);
    assert!(changed.code == 1 && changed.errors.contains("--keys"), "{}", changed.errors);
    let new = build(&world, 3);
    let refused = publish(&new, &[]);
    assert!(refused.code == 1 && refused.errors.contains("targets"), "{}", refused.errors);
    let back = kuzflow(&["patch", "--repo", text(&repo), "--from", "2.0.0", "--to", "1.0.0"]);
    assert!(
        back.code == 1 && back.errors.contains("patches") && back.events.is_empty(),
        "{}",
        back.errors
    );
    assert_eq!(publish(&new, &["--keys", text(&away)]).code, 0);
}

/// A timer can sign only a part of the settings in kuzflow.toml; the output must not suggest that
/// it signs all.
#[test]
fn refresh_says_what_launchers_do_not_hear_of() {
    let world = World::new();
    let repo = world.path("publisher");
    let refresh = || kuzflow(&["refresh", "--repo", text(&repo)]);
    publish(&world, 1);
    assert!(!refresh().errors.contains("renew"));
    let settings = repo.join("kuzflow.toml");
    let before = fs::read_to_string(&settings).unwrap();
    fs::write(
        &settings,
        format!("{before}\n[[nodes]]\nid = \"eu\"\nurl = \"https://eu.example.com/\"\n"),
    )
    .unwrap();
    let reported = refresh();
    assert!(
        reported.code == 0
            && reported.errors.contains("[[nodes]]")
            && reported.errors.contains("kuzflow renew"),
        "{}",
        reported.errors
    );
    assert!(
        fs::read_to_string(repo.join("repository/nodes.json")).unwrap().contains("eu.example.com")
    );
    assert_eq!(kuzflow(&["renew", "--repo", text(&repo)]).code, 0);
    assert!(!refresh().errors.contains("renew"));
}

/// Publishing again changes nothing that was decided: with the offline keys or without them, new
/// settings for launchers are reported and not signed.
#[test]
fn publishing_again_reports_changed_settings_and_signs_nothing() {
    let world = World::new();
    let repo = world.path("publisher");
    publish(&world, 1);
    let settings = repo.join("kuzflow.toml");
    let mut content = fs::read_to_string(&settings).unwrap();
    content.push_str("\n[[nodes]]\nid = \"eu\"\nurl = \"https://eu.example.com/\"\n");
    fs::write(&settings, content).unwrap();
    let package = world.path("1.0.0.kuzflow");
    let metadata = || tree(&world.path("publisher/repository/metadata"));
    let signed = metadata();
    for without_keys in [false, true] {
        if without_keys {
            fs::rename(world.path("publisher/keys"), world.path("medium")).unwrap();
        }
        let again = kuzflow(&["publish", text(&package), "--repo", text(&repo)]);
        assert!(
            again.code == 0
                && again.errors.contains("[[nodes]]")
                && again.errors.contains("kuzflow renew"),
            "{}",
            again.errors
        );
        assert_eq!(metadata(), signed);
    }
    let nodes = fs::read_to_string(repo.join("repository/nodes.json")).unwrap();
    assert!(nodes.contains("eu.example.com"), "{nodes}");
}

#[test]
fn init_names_the_server_that_says_when_there_is_something_new() {
    let folder = tempfile::tempdir().unwrap();
    let init = |name: &str, more: &[&str]| {
        let path = folder.path().join(name);
        let reported = kuzflow(&[&["init", text(&path), "--app", "sample"], more].concat());
        (
            reported.code,
            reported.errors,
            fs::read_to_string(path.join("launcher/launcher.toml")).unwrap_or_default(),
        )
    };
    let (_, _, local) = init("local", &[]);
    assert!(
        local.contains("api = \"http://127.0.0.1:8080/\""),
        "the quick start has push: {local}"
    );
    let (_, _, fixed) = init("static", &["--node", "https://cdn.example.com/"]);
    assert!(!fixed.contains("\napi ="), "a static host has none: {fixed}");
    let (_, _, both) =
        init("both", &["--node", "https://cdn.example.com/", "--api", "https://api.example.com/"]);
    assert!(both.contains("api = \"https://api.example.com/\""), "{both}");
    assert!(
        fs::read_to_string(folder.path().join("both/kuzflow.toml"))
            .unwrap()
            .contains("api = \"https://api.example.com/\"")
    );
    let (code, errors, _) = init("wrong", &["--api", "api.example.com"]);
    assert!(
        code == 1 && errors.contains("--api") && !folder.path().join("wrong").exists(),
        "{errors}"
    );
}

/// Each error names the fault, the file, and the next step, before any work.
#[test]
fn wrong_calls_name_their_fault_and_the_way_out() {
    let world = World::new();
    let repo = world.path("publisher");
    publish(&world, 1);
    let refused = |arguments: &[&str], words: &[&str]| {
        let reported = kuzflow(arguments);
        assert!([1, 2].contains(&reported.code), "{arguments:?}: {}", reported.errors);
        assert!(
            words.iter().all(|word| reported.errors.contains(word)),
            "{arguments:?}: {}",
            reported.errors
        );
    };
    let (here, nowhere) = (text(&repo), world.path("nowhere"));
    refused(&["apply", text(&nowhere), "--old", here, "--out", "x"], &["the pack", "nowhere"]);
    refused(&["publish-launcher", text(&nowhere), "--repo", here], &["no launcher", "nowhere"]);
    refused(&["publish", text(&nowhere), "--repo", here], &["no package", "nowhere"]);
    refused(&["serve", "--repo", here, "--listen", "localhost"], &["127.0.0.1:8080"]);
    refused(&["retire", "1.0.0", "--channel", "beta", "--repo", here], &["in the channel stable"]);
    fs::remove_file(repo.join("repository/metadata/timestamp.json")).unwrap();
    for verb in ["list", "refresh", "renew"] {
        refused(&[verb, "--repo", here], &["incomplete", "timestamp.json", "backup"]);
    }
}
