//! What a trial start tells of an app that writes among its own program files: its users would
//! lose that with each update.

use std::fs;

use crate::support::app_folder::{app_with, kuzflow};

/// It changes a setting beside its program, makes a document there, and keeps a third file where it
/// belongs.
const WRITES: &str = "cd \"$KUZFLOW_HOME\" || exit 1\n\
    echo changed >app/settings.ini; mkdir -p app/documents app/__pycache__\n\
    echo work >app/documents/letter.txt; echo code >app/__pycache__/a.pyc\n\
    echo kept >data/kept.txt";

#[test]
fn a_trial_names_what_an_update_would_not_bring_along() {
    let (_folder, app) = app_with(WRITES);
    fs::write(app.join("settings.ini"), "default\n").unwrap();
    let release = kuzflow(&app, &["release", "1.0.0"]);
    assert_eq!(release.code, 0, "a warning is no refusal: {}", release.errors);
    for part in [
        "warning: it changed app/settings.ini",
        "warning: it wrote app/documents/letter.txt: an update would not bring that along; write to KUZFLOW_HOME/data",
    ] {
        assert!(release.errors.contains(part), "{part}: {}", release.errors);
    }
    for part in ["kept.txt", "a.pyc"] {
        assert!(!release.errors.contains(part), "{part}: {}", release.errors);
    }
    let package = fs::read_dir(app.join("kuzflow/packages")).unwrap().next().unwrap().unwrap();
    let tried = kuzflow(&app, &["try", "--json", package.path().to_str().unwrap()]);
    assert_eq!(tried.code, 0, "{}", tried.errors);
    assert_eq!(
        tried.result()["changed_files"],
        serde_json::json!([
            { "path": "app/documents/letter.txt", "change": "written" },
            { "path": "app/settings.ini", "change": "changed" },
        ])
    );
    // `release` and `build --trial` tell the same in an event.
    let release = kuzflow(&app, &["--json", "release", "1.1.0"]);
    let event = release.reply.lines().find(|line| line.contains("\"event\":\"tried\"")).unwrap();
    assert!(event.contains("app/settings.ini") && event.contains("\"outcome\""), "{event}");
}

#[test]
fn a_trial_of_an_app_that_keeps_to_its_own_folders_warns_of_nothing() {
    let (_folder, app) = app_with("echo kept >\"$KUZFLOW_HOME/data/kept.txt\"");
    // A program of a terminal may end at once.
    let settings = app.join("kuzflow/kuzflow.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replacen("level = 1\n", "level = 1\nconsole = true\n", 1)).unwrap();
    let release = kuzflow(&app, &["release", "1.0.0"]);
    assert_eq!(release.code, 0, "{}", release.errors);
    assert!(!release.errors.contains("warning: it"), "{}", release.errors);
}
