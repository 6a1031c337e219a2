//! A newcomer's first steps through the real executables: `init` in an app's folder, `release`, and
//! the usual mistakes.

use std::fs;
#[cfg(unix)]
use std::path::Path;
#[cfg(unix)]
use std::process::Command;

#[cfg(unix)]
use crate::support::app_folder::app_with;
use crate::support::app_folder::{app, kuzflow};
use crate::support::program::PROGRAM;

#[cfg(unix)]
fn listed(app: &Path) -> serde_json::Value {
    let list = kuzflow(app, &["list", "--json"]);
    let last = list.reply.lines().last().unwrap().to_owned();
    serde_json::from_str::<serde_json::Value>(&last).unwrap()["result"]["releases"].clone()
}

/// What differs between systems stands in one file; a platform that it leaves out is named.
#[cfg(target_os = "linux")]
#[test]
fn one_file_of_settings_serves_builds_for_all_systems() {
    let (folder, app) = app_with("exit 0");
    // The headers of a program for Windows; a script is one for Linux.
    let mut program = [b"MZ".as_slice(), &[0; 58], &[0x80, 0, 0, 0]].concat();
    program.resize(0x80, 0);
    program.extend(b"PE\0\0\x64\x86");
    program.resize(512, 0);
    let windows = folder.path().join("windows");
    fs::create_dir(&windows).unwrap();
    fs::write(windows.join("app.exe"), program).unwrap();
    let settings = app.join("kuzflow/kuzflow.toml");
    let before = fs::read_to_string(&settings).unwrap();
    let write = |entry: &str| {
        let text = before
            .replacen(
                "folder = \"..\"\n",
                "folder = { Linux = \"..\", Windows = \"../../windows\" }\n",
                1,
            )
            .replacen(&format!("entry = \"exe:{PROGRAM}\"\n"), &format!("entry = {entry}\n"), 1);
        fs::write(&settings, text).unwrap();
    };
    write("{ Linux = \"exe:run.sh\", Windows_AMD64 = \"exe:app.exe\" }");
    let platforms = ["--platform", "Linux_x86_64", "--platform", "Windows_AMD64"];
    let release = kuzflow(&app, &[&["release", "1.0.0", "--no-trial"], &platforms[..]].concat());
    assert_eq!(release.code, 0, "{}", release.errors);
    for (platform, program) in [("Linux_x86_64", "app/run.sh"), ("Windows_AMD64", "app/app.exe")] {
        let package = format!("kuzflow/packages/my-app_1.0.0_{platform}.kuzflow");
        let bytes = fs::read(app.join(&package)).unwrap();
        let names = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let names: Vec<String> =
            names.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert!(names.iter().any(|name| name == program), "{platform}: {names:?}");
    }
    let other = kuzflow(&app, &["release", "1.0.1", "--platform", "Darwin_arm64"]);
    assert!(
        other.errors.contains("entry in [app] of kuzflow.toml names none for Darwin_arm64; add entry.Darwin_arm64, or entry.Darwin"),
        "{}",
        other.errors
    );
    write("{ linux = \"exe:run.sh\" }");
    let mistyped = kuzflow(&app, &["release", "1.0.1"]);
    assert!(
        mistyped.errors.contains("\"linux\" is no platform; write Linux"),
        "{}",
        mistyped.errors
    );
}

#[cfg(unix)]
#[test]
fn a_release_is_one_call_and_says_what_comes_next() {
    let (_folder, app) = app_with("echo \"$HOME\" > \"$KUZFLOW_HOME/data/home\"; exit 0");
    let release = kuzflow(&app, &["release", "1.0.0"]);
    assert_eq!(release.code, 0, "{}{}", release.reply, release.errors);
    assert!(
        release.reply.contains("it ended by itself with status 0"),
        "it is tried: {}",
        release.reply
    );
    assert!(
        release.errors.contains("warning: it has ended at once"),
        "an app without a window is published with a word: {}",
        release.errors
    );
    assert!(release.reply.contains("next: kuzflow serve"), "{}", release.reply);
    let releases = listed(&app);
    assert_eq!(releases[0]["display_name"], "My App", "the name is said once");
    // Where the publisher has said that it is a program of a terminal, there is no word.
    let settings = app.join("kuzflow/kuzflow.toml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replacen("level = 1\n", "level = 1\nconsole = true\n", 1)).unwrap();
    let console = kuzflow(&app, &["release", "1.0.1"]);
    assert_eq!(console.code, 0, "{}", console.errors);
    assert!(!console.errors.contains("ended at once"), "{}", console.errors);

    // Neither keys nor the repository are in the package.
    let package =
        fs::read_dir(app.join("kuzflow/packages")).unwrap().next().unwrap().unwrap().path();
    let again = kuzflow(&app, &["inspect", package.to_str().unwrap(), "--json"]);
    let reported: serde_json::Value =
        serde_json::from_str(again.reply.lines().last().unwrap()).unwrap();
    let files = reported["result"]["files"].as_u64().unwrap();
    assert!(files < 20, "{files} files");

    // The same call again changes nothing; the output names the change of the share as the next
    // step.
    let again = kuzflow(&app, &["release", "1.0.0"]);
    assert!(
        again.reply.contains("is published already") && [0, 3].contains(&again.code),
        "{}{}",
        again.reply,
        again.errors
    );
    let staged = kuzflow(&app, &["release", "1.1.0", "--rollout", "10", "--no-trial"]);
    assert!(
        staged.reply.contains("next: kuzflow rollout --version 1.1.0 --percent 100"),
        "{}{}",
        staged.reply,
        staged.errors
    );
}

#[cfg(unix)]
#[test]
fn what_does_not_start_is_not_published() {
    let (_folder, app) = app_with("echo 'no database here' >&2; exit 7");
    let release = kuzflow(&app, &["release", "1.0.0"]);
    assert_eq!(release.code, 1);
    for part in ["it ended with status 7", "no database here", "--no-trial"] {
        assert!(release.errors.contains(part), "{part}: {}", release.errors);
    }
    assert_eq!(listed(&app).as_array().unwrap().len(), 0);
    let package =
        fs::read_dir(app.join("kuzflow/packages")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(kuzflow(&app, &["try", package.to_str().unwrap()]).code, 1);
    // The trial start leaves no file beside the package.
    assert_eq!(fs::read_dir(app.join("kuzflow/packages")).unwrap().count(), 1);
    assert_eq!(kuzflow(&app, &["release", "1.0.0", "--no-trial"]).code, 0);
}

#[cfg(unix)]
#[test]
fn a_trial_sees_what_a_user_would_see_and_nothing_of_the_publishers() {
    let (folder, app) = app_with(
        "[ -e \"$HOME/.publishers\" ] && exit 9; echo \"$QT_QPA_PLATFORM\"; exec sleep 60",
    );
    fs::write(folder.path().join(".publishers"), "").unwrap();
    let out = folder.path().join("p.kuzflow");
    let build = kuzflow(&app, &["build", "--app-version", "1.0.0", "--out", out.to_str().unwrap()]);
    assert_eq!(build.code, 0, "{}", build.errors);
    let output = Command::new(env!("CARGO_BIN_EXE_kuzflow"))
        .args(["try", out.to_str().unwrap(), "--seconds", "5", "--json"])
        .env("HOME", folder.path())
        .output()
        .unwrap();
    let last = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().to_owned();
    let reported: serde_json::Value = serde_json::from_str(&last).unwrap();
    assert_eq!(
        (output.status.code(), reported["result"]["status"].as_str()),
        (Some(0), Some("done")),
        "{reported}"
    );
    assert_eq!(reported["result"]["wrote"].as_str().map(str::trim), Some("offscreen"));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("ended at once"), "it goes on");
}

#[test]
fn mistakes_are_reported_before_anything_is_made() {
    let (folder, app) = app();
    for (arguments, words) in [
        (vec!["release", "1.0.0", "--notes", "none.md"], "there are no release notes none.md"),
        (vec!["release", "1.0.0", "--rollout", "200"], "0 to 100 percent"),
        (
            vec!["release", "1.0.0", "--keys", "/nowhere/at/all", "--repo", "nothing"],
            "kuzflow init",
        ),
        (vec!["release", "1.2.3.4"], "write for example 1.2.3"),
        (
            vec!["build", "--app-version", "1.0.0", "--entry", "exe:nosuch", "--out", "x.kuzflow"],
            "there are exe:run.",
        ),
        (
            vec!["build", "--app-version", "1.0.0", "--icon", PROGRAM, "--out", "x.kuzflow"],
            "is no PNG",
        ),
        (vec!["publish", "none.kuzflow"], "there is no package none.kuzflow"),
    ] {
        let did = kuzflow(&app, &arguments);
        assert!(did.code != 0 && did.errors.contains(words), "{arguments:?}: {}", did.errors);
    }
    assert!(!app.join("kuzflow/packages").exists() && !app.join("x.kuzflow").exists());

    // Without its key a release ends before it is built.
    for key in fs::read_dir(app.join("kuzflow/keys")).unwrap().flatten() {
        if key.file_name().to_string_lossy().starts_with("targets-") {
            fs::rename(key.path(), folder.path().join(key.file_name())).unwrap();
        }
    }
    let release = kuzflow(&app, &["release", "1.0.0"]);
    assert!(release.code == 1 && release.errors.contains("targets"), "{}", release.errors);
    assert!(!app.join("kuzflow/packages").exists(), "nothing was built");
    let media = folder.path().to_str().unwrap();
    assert_eq!(kuzflow(&app, &["release", "1.0.0", "--keys", media]).code, 0);
}

#[test]
fn an_init_that_fails_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for node in [
        "ftp://updates.example.com/",
        "127.0.0.1:24000",
        "https://deploy:hunter2@updates.example.com/",
    ] {
        let init = kuzflow(folder.path(), &["init", "made", "--app", "my-app", "--node", node]);
        assert_eq!(init.code, 1, "{node}");
        assert!(
            init.errors.contains("https") || init.errors.contains("password"),
            "{}",
            init.errors
        );
        assert!(!init.errors.contains("hunter2") && !folder.path().join("made").exists(), "{node}");
    }
    assert_eq!(
        kuzflow(
            folder.path(),
            &["init", "made", "--app", "my-app", "--root-keys", "1", "--root-threshold", "2"]
        )
        .code,
        1
    );
    let init = kuzflow(folder.path(), &["init", "made", "--app", "my-app"]);
    assert!(init.code == 0 && init.reply.contains("next: "), "{}{}", init.reply, init.errors);
    let ignored = fs::read_to_string(folder.path().join("made/.gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "keys/"), "keys do not go into version control");
}

#[test]
fn every_help_keeps_the_options_of_all_verbs_apart() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["init", "build", "release", "try", "publish", "rollout", "list", "serve", "bundle"]
    {
        let help = kuzflow(folder.path(), &[verb, "--help"]).reply;
        let (own, global) =
            help.split_once("Global options:").unwrap_or_else(|| panic!("{verb}: {help}"));
        assert!(global.contains("--json") && global.contains("--verbose"), "{verb}");
        assert!(!own.contains("--json") && help.contains("Example: kuzflow "), "{verb}");
    }
}
