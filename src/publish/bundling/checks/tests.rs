//! Tests of `publish::bundling::checks`.

use super::*;
use crate::model::Version;

const MAIN: &str = "import json\nimport helper\nfrom . import views\n\ndef main():\n    import lazy_one\n\nclass App: ...\n";

/// An app's folder with these files, and a request for it.
fn request(files: &[(&str, &str)], entry: &str) -> (tempfile::TempDir, BuildRequest) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let entry = entry.parse().unwrap();
    let request =
        BuildRequest::new(folder.path(), "sample".parse().unwrap(), Version::new(1, 0, 0), entry);
    (folder, request)
}

fn python_is_missing() -> bool {
    let missing = !Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(!missing || std::env::var_os("CI").is_none(), "python3 does not work");
    missing
}

#[test]
fn entry_points_that_cannot_be_started_are_refused_before_anything_is_installed() {
    if python_is_missing() {
        return;
    }
    let files = [
        ("pkg/__init__.py", ""),
        ("pkg/main.py", MAIN),
        ("pkg/views.py", ""),
        ("helper.py", ""),
        ("open.py", "from helper import *\nglobals()['made'] = 1\n"),
        ("lazy.py", "def __getattr__(name): ...\n"),
        ("app.py", "import helper\n"),
        ("tests/t.py", ""),
    ];
    for (entry, words) in [
        ("missing.py", "there are app.py, helper.py"),
        ("module:pkg.main:nosuch", "the module pkg.main defines no nosuch; it has App, main"),
        ("module:pkg.nosuch:main", "there is no module pkg.nosuch"),
        ("module:pkg", "no __main__.py"),
        ("exe:run", "nothing there looks like one"),
    ] {
        let (_folder, mut request) = request(&files, entry);
        request.runtime = if entry.starts_with("exe") { Runtime::None } else { Runtime::Host };
        let error = before(&request).unwrap_err().to_string();
        assert!(error.contains(words), "{entry}: {error}");
    }
    for entry in [
        "app.py",
        "module:pkg.main:main",
        "module:pkg.main:App.run",
        "module:open:made",
        "module:lazy:anything",
        "module:installed.later:x",
    ] {
        let (_folder, request) = request(&files, entry);
        assert!(before(&request).is_ok(), "{entry}: {:?}", before(&request));
    }
    let (_folder, mut request) = request(&files, "tests/t.py");
    request.exclude = vec!["tests".to_owned()];
    assert!(before(&request).unwrap_err().to_string().contains("tests is excluded"));
}

#[test]
fn programs_and_python_scripts_are_not_taken_for_each_other() {
    let files = [
        ("start.sh", "#!/bin/sh\n"),
        ("tool", "\u{7f}ELF"),
        ("app.py", "#!/usr/bin/env python3\n"),
        ("plain.py", ""),
    ];
    let files = [
        files.as_slice(),
        &[("run.py", "#!/bin/sh\n"), ("notes.txt", "hello"), ("start", "#!/usr/bin/python3\n")],
    ]
    .concat();
    let looked_at = |entry: &str| {
        let (folder, mut request) = request(&files, entry);
        request.platform = "Linux_x86_64".parse().unwrap();
        let checked = check_entry_file(&request).map_err(|error| error.to_string());
        drop(folder);
        checked
    };
    for (entry, words) in [
        ("start.sh", "write exe:start.sh"),
        ("tool", "write exe:tool"),
        ("exe:plain.py", "write plain.py, without exe:"),
        ("exe:notes.txt", "neither a program nor a script"),
    ] {
        let refused = looked_at(entry).unwrap_err();
        assert!(refused.contains(words), "{entry}: {refused}");
    }
    for (entry, is_reported) in
        [("exe:start.sh", true), ("exe:tool", true), ("exe:start", false), ("plain.py", false)]
    {
        let (_folder, request) = request(&files, entry);
        assert_eq!(python_for_nothing(&request).is_some(), is_reported, "{entry}");
    }
    for entry in [
        "exe:start.sh",
        "exe:tool",
        "exe:app.py",
        "exe:start",
        "start",
        "app.py",
        "plain.py",
        "run.py",
    ] {
        assert_eq!(looked_at(entry), Ok(()), "{entry}");
    }
}

#[test]
fn imports_that_nothing_answers_are_warned_of() {
    if python_is_missing() {
        return;
    }
    let files = [
        ("app/pkg/__init__.py", ""),
        ("app/pkg/main.py", MAIN),
        ("app/pkg/views.py", "import not_installed.part\nimport installed\n"),
        (
            "app/helper.py",
            "try:\n    import optional_one\nexcept ImportError:\n    pass\nimport os, sys\n",
        ),
        ("site/installed/__init__.py", ""),
    ];
    let (folder, mut request) = request(&files, "module:pkg.main:main");
    request.app = folder.path().join("app");
    let warnings = |request: &BuildRequest| {
        installed(request, tool::python("python3"), folder.path(), &folder.path().join("site"))
            .unwrap()
    };
    let reported = warnings(&request);
    assert_eq!(reported.len(), 1, "{reported:?}");
    for part in ["pkg/views.py, line 1 imports not_installed", "--requirements FILE"] {
        assert!(reported[0].contains(part), "{reported:?}");
    }
    fs::write(folder.path().join("app/helper.py"), "import sys\nsys.path.append('vendored')\n")
        .unwrap();
    assert!(warnings(&request).is_empty(), "who looks in other places finds it there");
    fs::write(folder.path().join("app/pkg/main.py"), "def main(:\n").unwrap();
    assert!(warnings(&request)[0].contains("main.py, line 1"), "{:?}", warnings(&request));
}

#[test]
fn pictures_and_files_that_are_not_what_they_should_be_are_refused() {
    let (folder, request) = request(
        &[
            ("run", "#!/bin/sh\n"),
            ("icon.svg", "<svg xmlns='x'/>"),
            ("empty.png", ""),
            ("icon.txt", "GIF8"),
        ],
        "exe:run",
    );
    let request = BuildRequest { runtime: Runtime::None, ..request };
    let with = |change: &dyn Fn(&mut BuildRequest)| {
        let mut request = request.clone();
        change(&mut request);
        before(&request)
    };
    let refused = |change: &dyn Fn(&mut BuildRequest)| with(change).unwrap_err().to_string();
    for (icon, reason) in [
        ("icon.svg", "is no SVG"),
        ("empty.png", "is no PNG and no SVG"),
        ("icon.txt", "is no PNG and no SVG but a GIF"),
    ] {
        assert!(refused(&|request| request.icon = Some(icon.into())).contains(reason));
    }
    assert!(refused(&|request| request.icon = Some("none.png".into())).contains("the icon"));
    assert!(
        refused(&|request| request.requirements = Some("none.txt".into()))
            .contains("the requirements: none.txt")
    );
    assert!(refused(&|request| request.migrate = Some("none.py".into())).contains("the migration"));
    assert!(refused(&|request| request.config = Some("none".into())).contains("default settings"));
    assert!(
        refused(&|request| request.app = "none".into())
            .contains("cannot find the app's folder: none")
    );
    let (file, inside) = (folder.path().join("run"), folder.path().to_owned());
    assert!(
        refused(&|request| request.app = file.clone())
            .contains("the app's folder must be a folder")
    );
    assert!(
        refused(&|request| request.requirements = Some(inside.clone()))
            .contains("the requirements must be a file")
    );
    let png = |width: u32, height: u32| {
        let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
        let bytes =
            [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".as_slice(), &size, &[8, 6, 0, 0, 0]].concat();
        fs::write(folder.path().join("icon.png"), bytes).unwrap();
        with(&|request| request.icon = Some("icon.png".into())).unwrap()
    };
    assert!(png(256, 256).is_empty());
    assert!(png(32, 32)[0].contains("32 × 32") && png(256, 128).len() == 1);
}
