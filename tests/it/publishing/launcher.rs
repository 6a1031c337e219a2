//! What launchers get besides releases: the version tree, settings, what is shipped with them.

use super::*;

/// The tree of all published releases, in the specification's form.
#[test]
fn the_version_tree_reports_what_each_release_changed() {
    let mut publisher = Publisher::new();
    let tree_file = |publisher: &Publisher| {
        let mirror = publisher.mirror("");
        let trees: Vec<_> = mirror
            .files
            .keys()
            .filter(|name| name.ends_with(".sample_Linux_x86_64.versions.json"))
            .collect();
        assert_eq!(trees.len(), 1, "one tree at a time: {trees:?}");
        mirror.files[trees[0]].clone()
    };
    let tree = |publisher: &Publisher| {
        serde_json::from_slice::<serde_json::Value>(&tree_file(publisher)).unwrap()
    };
    let with = |publisher: &Publisher, packages: &[kuzflow::testing::publish::PackageToPublish]| {
        publisher.project.publish(packages, &publisher.keyring(), start()).unwrap()
    };
    // Two releases at once, the newer one first.
    let packages = ["1.1.0", "1.0.0"]
        .map(|version| publisher.package(version, &format!("content of {version} ")));
    let length = std::fs::metadata(&packages[0].path).unwrap().len();
    with(&publisher, &packages).run().unwrap();
    let first = tree(&publisher);
    assert_eq!(first["version_tree"]["1.0.0"]["parent"], serde_json::Value::Null);
    assert_eq!(first["version_tree"]["1.0.0"]["files"].as_object().unwrap().len(), 3);
    assert_eq!(
        first["version_tree"]["1.1.0"],
        serde_json::json!({
            "parent": "1.0.0",
            "files": {
                "app/manipulate/executor.py": {
                    "hash": format!("sha256:{}", Digest::of(b"content of 1.1.0 ")), "size": 17, "critical": false, "hot_updatable": true,
                },
                "app/version.txt": {
                    "hash": format!("sha256:{}", Digest::of(b"1.1.0")), "size": 5, "critical": false, "hot_updatable": false,
                },
            },
            "changes": { "modified": ["app/manipulate/executor.py", "app/version.txt"], "added": [], "deleted": [] },
            "patch_size": null,
            "full_size": length,
        })
    );
    assert_eq!(first["version_tree"]["1.0.0"]["files"]["app/app.py"]["critical"], true);

    // Another channel has its own sequence; releases published in between stand in between.
    let mut beta = publisher.package("2.0.0-beta.1", "beta ");
    beta.release.channel = "beta".to_owned();
    with(&publisher, &[beta]).run().unwrap();
    publisher.publish("1.2.0");
    publisher.publish("1.0.5");
    let parents = |publisher: &Publisher| {
        let tree = tree(publisher);
        let nodes = tree["version_tree"].as_object().unwrap().iter();
        nodes
            .map(|(version, node)| {
                format!("{version} < {}", node["parent"].as_str().unwrap_or("-"))
            })
            .collect::<Vec<_>>()
    };
    let expected =
        ["1.0.0 < -", "1.0.5 < 1.0.0", "1.1.0 < 1.0.0", "1.2.0 < 1.1.0", "2.0.0-beta.1 < -"];
    assert_eq!(parents(&publisher), expected);

    // The tree has a pack's size on request, or from the next release on. The same release again
    // changes nothing.
    publisher.add_packs(&[publisher.pack("1.1.0", "1.2.0", b"a pack of 19 bytes.")]);
    let again = publisher.package("1.2.0", "content of 1.2.0 ");
    assert!(with(&publisher, std::slice::from_ref(&again)).is_empty());
    let reported = publisher.fork();
    let tell = || reported.project.tell_patch_sizes(&reported.keyring(), start()).unwrap();
    tell().run().unwrap();
    assert_eq!(tree(&reported)["version_tree"]["1.2.0"]["patch_size"], 19);
    assert!(tell().is_empty(), "it is told already");
    publisher.publish("1.3.0");
    let grown = tree(&publisher);
    assert_eq!(grown["version_tree"]["1.2.0"]["patch_size"], 19);
    assert_eq!(grown["version_tree"]["1.1.0"]["patch_size"], serde_json::Value::Null);
    assert!(with(&publisher, &[again]).is_empty());

    // The same releases in another order of calls on another day give the same bytes.
    let bytes = tree_file(&publisher);
    publisher.now = start() + days(3);
    assert!(with(&publisher, &packages).is_empty());
    assert_eq!(tree_file(&publisher), bytes);

    // A lost or damaged tree does not prevent publishing.
    let folder = publisher.project.repository().join("targets");
    for damage in ["{}", "gone"] {
        let path = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let path = path
            .into_iter()
            .find(|path| path.to_str().unwrap().ends_with("versions.json"))
            .unwrap();
        if damage == "gone" { std::fs::remove_file(path) } else { std::fs::write(path, damage) }
            .unwrap();
        publisher.publish(if damage == "gone" { "1.4.0" } else { "1.5.0" });
        assert_eq!(parents(&publisher).len(), 1);
    }
}

#[test]
fn what_the_launcher_is_shipped_with_is_ready() {
    let mut options = options();
    let node = |id: &str| Node {
        id: id.to_owned(),
        ..Node::at(format!("https://{id}.example/updates").parse().unwrap())
    };
    options.settings.nodes = vec![node("one"), node("two")];
    let publisher = Publisher::with(&options, start());
    let settings =
        Settings::read(&publisher.project.launcher_folder().join("launcher.toml")).unwrap();
    assert_eq!(
        (settings.app.as_str(), settings.channel.as_str(), settings.nodes.len()),
        ("sample", "stable", 2)
    );
    assert_eq!(
        std::fs::read(publisher.project.launcher_folder().join("root.json")).unwrap(),
        publisher.root()
    );
    let nodes = std::fs::read(publisher.project.repository().join("nodes.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<Node>>(&nodes).unwrap(), options.settings.nodes);
    let again = Project::open(&publisher.folder.path().join("publisher")).unwrap();
    assert_eq!(again.settings(), &options.settings);
    // Without any node the repository works on this machine.
    let alone = Publisher::new();
    let settings = Settings::read(&alone.project.launcher_folder().join("launcher.toml")).unwrap();
    assert_eq!(settings.nodes[0].url.as_str(), "http://127.0.0.1:8080/");
    // The example in the settings works once its comment marks are removed.
    let folder = alone.folder.path().join("publisher");
    let text = std::fs::read_to_string(folder.join("kuzflow.toml")).unwrap();
    let (head, example) = text.split_once("#[[nodes]]").unwrap();
    std::fs::write(
        folder.join("kuzflow.toml"),
        format!("{head}[[nodes]]{}", example.replace("\n#", "\n")),
    )
    .unwrap();
    assert_eq!(Project::open(&folder).unwrap().settings().nodes[0].id, "asia-1");
    // The examples for patches work too, on either side.
    for (path, table) in [
        (folder.join("kuzflow.toml"), "#[incremental_update]"),
        (folder.join("launcher/launcher.toml"), "#[fallback]"),
    ] {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(table), "{text}");
        let lines = text.lines().map(|line| {
            line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
        });
        std::fs::write(&path, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
    assert!(Project::open(&folder).unwrap().settings().incremental_update.enabled);
    Settings::read(&folder.join("launcher/launcher.toml")).unwrap();
    let mut impossible = std::fs::read_to_string(folder.join("kuzflow.toml")).unwrap();
    impossible = impossible.replace("fallback_threshold = 0.7", "fallback_threshold = 7.0");
    std::fs::create_dir(folder.join("impossible")).unwrap();
    std::fs::write(folder.join("impossible/kuzflow.toml"), impossible).unwrap();
    let error = Project::open(&folder.join("impossible")).unwrap_err();
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("fallback.fallback_threshold"),
        "{error}"
    );
    // The next publish or refresh brings the settings to the clients.
    Project::open(&folder).unwrap().refresh(&alone.keyring(), start()).unwrap().run().unwrap();
    let nodes = std::fs::read_to_string(folder.join("repository/nodes.json")).unwrap();
    assert!(nodes.contains("asia-1"), "{nodes}");
}

/// The initial settings are written on both sides, and no comment contradicts them.
#[test]
fn settings_of_patches_reach_the_launcher() {
    let mut options = options();
    options.settings.fallback.max_patch_chain_length = 2;
    options.settings.incremental_update.critical_files.clear();
    let publisher = Publisher::with(&options, start());
    let again = Project::open(&publisher.folder.path().join("publisher")).unwrap();
    assert_eq!(again.settings(), &options.settings);
    let launcher =
        Settings::read(&publisher.project.launcher_folder().join("launcher.toml")).unwrap();
    assert_eq!(
        (launcher.fallback, launcher.incremental_update),
        (options.settings.fallback.clone(), options.settings.incremental_update.clone())
    );
    options.settings.performance.chunk_size = 1;
    let error =
        Project::init(&publisher.folder.path().join("other"), &options, start()).unwrap_err();
    assert!(
        matches!(error, PublishError::Settings { .. })
            && !publisher.folder.path().join("other").exists(),
        "{error}"
    );
}
