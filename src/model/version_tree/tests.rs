//! Tests of `model::version_tree`.

use super::*;
use serde_json::{Value, json};

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn files(files: &[(&str, &str)]) -> BTreeMap<RelativePath, FileState> {
    let (hot, critical) = (["manipulate.*".parse().unwrap()], ["app.py".parse().unwrap()]);
    let patterns = AppPatterns { hot_swap_modules: &hot, critical_files: &critical };
    let state = |path: &RelativePath, content: &str| FileState {
        hash: Digest::of(content.as_bytes()),
        size: content.len() as u64,
        critical: patterns.is_critical(path),
        hot_updatable: patterns.is_hot_updatable(path),
    };
    let with_path = |(path, content): &(&str, &str)| {
        let path: RelativePath = path.parse().unwrap();
        (path.clone(), state(&path, content))
    };
    files.iter().map(with_path).collect()
}

fn tree() -> VersionTree {
    let mut tree = VersionTree::default();
    let old =
        [("app/app.py", "main"), ("app/manipulate/executor.py", "one"), ("app/old_file.py", "old")];
    let new = [
        ("app/app.py", "main"),
        ("app/manipulate/executor.py", "two"),
        ("app/manipulate/new_module.py", "new"),
    ];
    tree.add(&version("1.0.0"), None, files(&old), 52_428_800);
    tree.add(&version("1.0.1"), Some(&version("1.0.0")), files(&new), 52_428_900);
    tree
}

#[test]
fn it_has_the_specifications_form() {
    let mut tree = tree();
    let hash = |content: &str| format!("sha256:{}", Digest::of(content.as_bytes()));
    let hot = |content: &str| json!({"hash": hash(content), "size": 3, "critical": false, "hot_updatable": true});
    let mut expected = json!({"version_tree": {
        "1.0.0": {
            "parent": null,
            "files": {
                "app/app.py": {"hash": hash("main"), "size": 4, "critical": true, "hot_updatable": false},
                "app/manipulate/executor.py": hot("one"),
                "app/old_file.py": {"hash": hash("old"), "size": 3, "critical": false, "hot_updatable": false},
            },
            "full_size": 52_428_800,
        },
        "1.0.1": {
            "parent": "1.0.0",
            "files": {"app/manipulate/executor.py": hot("two"), "app/manipulate/new_module.py": hot("new")},
            "changes": {
                "modified": ["app/manipulate/executor.py"],
                "added": ["app/manipulate/new_module.py"],
                "deleted": ["app/old_file.py"],
            },
            "patch_size": null,
            "full_size": 52_428_900,
        },
    }});
    let written =
        |tree: &VersionTree| serde_json::from_slice::<Value>(&tree.to_json().unwrap()).unwrap();
    assert_eq!(written(&tree), expected);
    assert_eq!(VersionTree::from_json(&tree.to_json().unwrap()).unwrap(), tree);
    tree.set_patch_sizes(|from, to| {
        (*from == version("1.0.0") && *to == version("1.0.1")).then_some(2048)
    });
    expected["version_tree"]["1.0.1"]["patch_size"] = 2048.into();
    assert_eq!(written(&tree), expected);
    assert_eq!(
        VersionTree::from_json(&tree.to_json().unwrap())
            .unwrap()
            .node(&version("1.0.1"))
            .unwrap()
            .patch_size(),
        Some(2048)
    );
}

#[test]
fn every_file_of_every_release_can_be_listed() {
    let mut tree = tree();
    let reported = |tree: &VersionTree, text: &str| {
        let files = tree.files_of(&version(text)).unwrap();
        files.into_iter().map(|(path, state)| format!("{path} {}", state.size)).collect::<Vec<_>>()
    };
    let newest = ["app/app.py 4", "app/manipulate/executor.py 3", "app/manipulate/new_module.py 3"];
    assert_eq!(reported(&tree, "1.0.1"), newest);
    tree.add(&version("1.0.2"), Some(&version("1.0.1")), files(&[("app/app.py", "longer")]), 1);
    assert_eq!(reported(&tree, "1.0.2"), ["app/app.py 6"]);
    assert_eq!(reported(&tree, "1.0.1"), newest);
    assert!(tree.files_of(&version("9.0.0")).is_none());
    // A file comes back after it was deleted.
    tree.add(
        &version("1.0.3"),
        Some(&version("1.0.2")),
        files(&[("app/app.py", "longer"), ("app/old_file.py", "back")]),
        1,
    );
    assert_eq!(reported(&tree, "1.0.3"), ["app/app.py 6", "app/old_file.py 4"]);

    // Removes the middle release, then the root.
    tree.remove(&version("1.0.1"));
    assert_eq!(tree.node(&version("1.0.2")).unwrap().parent, Some(version("1.0.0")));
    assert_eq!(reported(&tree, "1.0.2"), ["app/app.py 6"]);
    tree.remove(&version("1.0.0"));
    assert_eq!(tree.node(&version("1.0.2")).unwrap().parent, None);
    assert_eq!(reported(&tree, "1.0.3"), ["app/app.py 6", "app/old_file.py 4"]);
    VersionTree::from_json(&tree.to_json().unwrap()).unwrap();
}

#[test]
fn a_parent_is_older_and_there() {
    let mut tree = tree();
    tree.add(&version("0.9.0"), Some(&version("1.0.0")), files(&[]), 1);
    tree.add(&version("2.0.0"), Some(&version("1.5.0")), files(&[]), 1);
    assert!(
        ["0.9.0", "2.0.0"].iter().all(|text| tree.node(&version(text)).unwrap().parent.is_none())
    );
}

#[test]
fn what_does_not_hold_together_is_refused() {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut json = serde_json::to_value(tree()).unwrap();
        change(&mut json["version_tree"]);
        VersionTree::from_json(json.to_string().as_bytes())
    };
    changed(&|_| {}).unwrap();
    for change in [
        (&|tree: &mut Value| tree["1.0.1"]["parent"] = "0.1.0".into()) as &dyn Fn(&mut Value),
        &|tree| tree["1.0.1"]["parent"] = "1.0.1".into(),
        &|tree| tree["1.0.1"]["parent"] = Value::Null,
        &|tree| tree["1.0.0"]["parent"] = "1.0.1".into(),
        &|tree| tree["1.0.1"]["changes"]["added"] = json!([]),
        &|tree| tree["1.0.1"]["changes"]["deleted"] = json!(["app/manipulate/new_module.py"]),
        &|tree| tree["1.0.1"]["changes"]["modified"] = json!(["../x"]),
        &|tree| tree["1.0.0"]["files"]["app/app.py"]["hash"] = "md5:00".into(),
        &|tree| tree["1.0.0"]["files"] = json!({"/etc/passwd": {}}),
        &|tree| *tree = json!([]),
    ] {
        assert!(changed(change).is_err());
    }
}

#[test]
fn many_releases_of_a_large_app_stay_readable() {
    let mut tree = VersionTree::default();
    let path = |index: usize| {
        format!("runtime/lib/python3.11/site-packages/package/module_{index}.py").parse().unwrap()
    };
    let state = |text: String| FileState {
        hash: Digest::of(text.as_bytes()),
        size: 1,
        critical: false,
        hot_updatable: false,
    };
    let mut files: BTreeMap<RelativePath, FileState> =
        (0..3000).map(|index| (path(index), state(format!("{index}")))).collect();
    let mut parent = None;
    for release in 0..60_u64 {
        for index in 0..20 {
            files.insert(
                path((release as usize * 37 + index) % 3000),
                state(format!("{release} {index}")),
            );
        }
        let this = Version::new(1, release, 0);
        tree.add(&this, parent.as_ref(), files.clone(), 1);
        parent = Some(this);
    }
    let whole = tree.to_json().unwrap();
    assert!(whole.len() < MAX_VERSION_TREE_BYTES / 10, "{}", whole.len());
    // Room for a tenth more than one release: the oldest are removed, the newest is complete.
    let mut short = tree.clone();
    let json = short.json_within(whole.len() * 7 / 10).unwrap();
    assert!(json.len() <= whole.len() * 7 / 10);
    assert!(short.node(&Version::new(1, 0, 0)).is_none() && short.nodes().count() > 1);
    assert_eq!(
        VersionTree::from_json(&json).unwrap().files_of(&Version::new(1, 59, 0)).unwrap(),
        files
    );
    short.json_within(10).unwrap();
    assert_eq!(short.nodes().count(), 1, "the newest stays, whatever its size");
}
