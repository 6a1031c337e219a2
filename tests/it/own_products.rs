//! What `kuzflow` itself makes in an app's folder is no part of the next release, and where it
//! writes it replaces no file of another kind.

use std::fs;
use std::path::Path;

use kuzflow::testing::model::Platform;

use crate::support::app_folder::{Did, app, kuzflow};
use crate::support::release::text;

/// Runs a verb that must succeed.
fn done(app: &Path, arguments: &[&str]) -> Did {
    let did = kuzflow(app, arguments);
    assert_eq!(did.code, 0, "{arguments:?}: {}{}", did.reply, did.errors);
    did
}

/// The names in the package of a release.
fn names(app: &Path, version: &str) -> Vec<String> {
    let package = format!("kuzflow/packages/my-app_{version}_{}.kuzflow", Platform::current());
    let archive = zip::ZipArchive::new(fs::File::open(app.join(package)).unwrap()).unwrap();
    let mut names: Vec<String> =
        archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    names.sort();
    names
}

/// The package of a release, from the app's folder.
fn package(version: &str) -> String {
    format!("kuzflow/packages/my-app_{version}_{}.kuzflow", Platform::current())
}

/// A launcher for `kuzflow package` that is never started.
fn launcher() -> String {
    format!("{}={}", Platform::current(), "/bin/true")
}

#[test]
fn a_release_has_nothing_of_what_kuzflow_made_in_the_apps_folder() {
    let (_folder, app) = app();
    done(&app, &["release", "1.0.0", "--no-trial"]);
    let first = names(&app, "1.0.0");
    // Each verb that writes, with names that its own patterns do not fit.
    done(&app, &["bundle", "--version", "1.0.0", "--out", "for-the-stick"]);
    done(&app, &["bundle", "--version", "1.0.0", "--out", "x.kuzflow-bundle"]);
    done(&app, &["build", "--app-version", "1.0.1", "--out", "copy.zip"]);
    done(&app, &["diff", &package("1.0.0"), "copy.zip", "--out", "changes.dat"]);
    fs::create_dir(app.join("unpacked")).unwrap();
    let archive = fs::File::open(app.join("copy.zip")).unwrap();
    zip::ZipArchive::new(archive).unwrap().extract(app.join("unpacked")).unwrap();
    let launcher = launcher();
    for out in ["installers", "."] {
        let format = ["package", "--launcher", &launcher, "--format", "run", "--out", out];
        done(&app, &format);
        done(&app, &["site", "--installers", out]);
    }
    let release = done(&app, &["release", "1.1.0", "--no-trial"]);
    let icon = "app/icon.png".to_owned();
    let second: Vec<String> = names(&app, "1.1.0").into_iter().filter(|it| *it != icon).collect();
    assert_eq!(second, first);
    for part in
        ["for-the-stick is left out: it is a bundle", "copy.zip is left out: it is a package"]
    {
        assert!(release.errors.contains(part), "{part}: {}", release.errors);
    }
}

#[test]
fn what_may_be_an_installer_is_packed_and_named() {
    let (_folder, app) = app();
    fs::write(app.join("my-app_0.9.0_amd64.deb"), "!<arch>\n").unwrap();
    let release = done(&app, &["release", "1.0.0", "--no-trial"]);
    assert!(
        release.errors.contains("my-app_0.9.0_amd64.deb looks like an installer"),
        "{}",
        release.errors
    );
    assert!(names(&app, "1.0.0").contains(&"app/my-app_0.9.0_amd64.deb".to_owned()));
}

#[test]
fn no_verb_writes_over_a_file_of_another_kind() {
    let (folder, app) = app();
    done(&app, &["release", "1.0.0", "--no-trial"]);
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    let thesis = work.join("thesis.odt");
    let (out, old) = (text(&thesis), package("1.0.0"));
    let cases: [&[&str]; 3] = [
        &["build", "--app-version", "1.0.1", "--out", out],
        &["bundle", "--version", "1.0.0", "--out", out],
        &["diff", &old, &old, "--out", out],
    ];
    for arguments in cases {
        fs::write(&thesis, "years of work").unwrap();
        let did = kuzflow(&app, arguments);
        assert_eq!(did.code, 1, "{arguments:?}: {}", did.reply);
        assert!(did.errors.contains("thesis.odt is there already, and is no"), "{}", did.errors);
        assert_eq!(fs::read(&thesis).unwrap(), b"years of work", "{arguments:?}");
        assert_eq!(fs::read_dir(&work).unwrap().count(), 1, "nothing is left beside it");
        // Its own file, and an empty one, are replaced; a folder is none.
        fs::write(&thesis, "").unwrap();
        done(&app, arguments);
        done(&app, arguments);
        fs::remove_file(&thesis).unwrap();
        if arguments[0] != "build" {
            let in_folder = [&arguments[..arguments.len() - 1], &[text(&work)]].concat();
            let did = kuzflow(&app, &in_folder);
            assert!(did.code == 1 && did.errors.contains("is no file"), "{}", did.errors);
        }
    }
}

#[test]
fn a_folder_for_installers_pages_and_manuals_keeps_what_others_put_there() {
    let (folder, app) = app();
    done(&app, &["release", "1.0.0", "--no-trial"]);
    let out = folder.path().join("www");
    let launcher = launcher();
    let package = ["package", "--launcher", &launcher, "--format", "run", "--out", text(&out)];
    let site = ["site", "--installers", text(&out)];
    let name = fs::read_dir(&out).ok();
    assert!(name.is_none());
    done(&app, &package);
    let installer = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "run"))
        .unwrap();
    let manual = out.join("kuzflow-serve.1");
    let cases: [(&Path, &[&str]); 6] = [
        (&installer, &package),
        (&out.join("installers.json"), &package),
        (&out.join("index.html"), &site),
        (&out.join("feed.atom"), &site),
        (&out.join("icon.png"), &site),
        (&manual, &["manual", text(&out)]),
    ];
    for (path, arguments) in cases {
        let before = fs::read(path).ok();
        fs::write(path, "somebody's own").unwrap();
        let did = kuzflow(&app, arguments);
        assert_eq!(did.code, 1, "{arguments:?}: {}", did.reply);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(did.errors.contains(name), "{name}: {}", did.errors);
        assert_eq!(fs::read(path).unwrap(), b"somebody's own", "{arguments:?}");
        match before {
            Some(bytes) => fs::write(path, bytes).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        done(&app, arguments);
        done(&app, arguments);
    }
}

#[test]
fn init_in_an_apps_folder_keeps_its_gitignore_and_adds_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".gitignore"), "*.log").unwrap();
    done(folder.path(), &["init", ".", "--name", "my-app"]);
    let lines = fs::read_to_string(folder.path().join(".gitignore")).unwrap();
    assert!(lines.starts_with("*.log\nkeys/\n"), "{lines}");
}
