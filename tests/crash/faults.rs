//! Faults of disk, processes, migrations and new versions (docs/security.md, faults 20 to 24),
//! through the real executable.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::check::{Reference, listing};
use crate::points::Fault;
use crate::scenes::{Stage, change_json, reply_of_app};
use crate::support::release::{reply, text};

/// The versions that a run started, in their order, with its status.
fn run(stage: &Stage, home: &Path) -> (Vec<String>, Option<i32>) {
    let starts = home.with_extension("starts");
    let _ = fs::remove_file(&starts);
    let begun = Instant::now();
    let mut command = stage.launcher(home, "impatient", &["--headless", "run"]);
    let output = command.env("STARTS", &starts).stdin(Stdio::null()).output().unwrap();
    assert!(begun.elapsed() < crate::support::waiting::LIMIT, "the run does not end");
    let starts = fs::read_to_string(&starts).unwrap_or_default();
    (starts.lines().map(str::to_owned).collect(), output.status.code())
}

#[test]
fn a_new_version_that_does_not_come_up_is_tried_twice_left_and_not_offered_again() {
    let stage = Stage::shared();
    for fault in ["crash", "hang"] {
        let home = stage.copy(stage.template("first start on probation"), fault);
        stage.spoil(&home, fault);
        if fault == "hang" {
            // `kuzflow build --reports-up` records it like this.
            let record = stage.container(&home, "2.0.0").join("metadata/installed.json");
            change_json(&record, |record| record["launch"]["reports_up"] = true.into());
        }
        assert_eq!(
            run(&stage, &home),
            (vec!["2.0.0".into(), "2.0.0".into(), "1.0.0".into()], Some(0)),
            "{fault}"
        );
        assert_eq!(run(&stage, &home), (vec!["1.0.0".into()], Some(0)), "{fault}");
        // The release between them, which this home has never seen, is the newest on offer.
        let check = stage.say(&home, "plain", &["check"]);
        assert_eq!(
            (check.code, check.result["version"].as_str()),
            (0, Some("1.5.0")),
            "{fault}: {}",
            check.errors
        );
        assert_eq!(run(&stage, &home).0, ["1.0.0"], "{fault}");
    }
}

#[test]
fn a_version_that_ends_with_status_0_is_never_recorded_as_failed() {
    let stage = Stage::shared();
    let home = stage.copy(stage.template("first start on probation"), "quit");
    stage.spoil(&home, "quit");
    for _ in 0..7 {
        assert_eq!(
            run(&stage, &home),
            (vec!["2.0.0".into()], Some(0)),
            "it may have handed over to what nobody here can see"
        );
    }
}

#[test]
fn a_new_version_that_crashes_later_is_left_after_three_crashes() {
    let stage = Stage::shared();
    let home = stage.copy(stage.template("first start on probation"), "later");
    stage.spoil(&home, "later");
    for _ in 0..2 {
        assert_eq!(
            run(&stage, &home),
            (vec!["2.0.0".into()], Some(7)),
            "whoever saw it crash decides whether to start it again"
        );
    }
    assert_eq!(run(&stage, &home), (vec!["2.0.0".into(), "1.0.0".into()], Some(0)));
    assert_eq!(run(&stage, &home).0, ["1.0.0"]);
    assert_eq!(stage.say(&home, "plain", &["check"]).result["version"], "1.5.0");
}

#[test]
fn on_a_read_only_disk_the_app_starts_and_every_verb_says_why_it_cannot() {
    let stage = Stage::shared();
    for scene in &stage.scenes {
        let home = stage.copy(&scene.template, &format!("{} read-only", scene.name));
        let before = listing(&home);
        let command = stage.launcher(&home, scene.settings, &[&["--json"], scene.verb].concat());
        let traced = stage.tracer.run(&command, Some((Fault::ReadOnly, 1)), &home);
        let reply = reply(&traced.output);
        assert!(!reply.errors.contains("panicked"), "{}: {}", scene.name, reply.errors);
        if scene.verb == ["run"] {
            let reported = reply_of_app(&traced.output.stdout);
            // Under this fault the launcher cannot leave a version that does not come up for good.
            // The version before starts all the same.
            let expected = if scene.name == "rollback by itself" {
                reported.starts_with("version=1.0.0")
            } else {
                !reported.is_empty()
            };
            assert!(expected, "{}: {reported:?} {}", scene.name, reply.errors);
        } else {
            let kind = reply.result["problem"]["kind"].as_str();
            assert_eq!(
                (reply.code, kind),
                (1, Some("disk_error")),
                "{}: {}",
                scene.name,
                reply.errors
            );
        }
        // A broken app may write anything.
        if scene.name != "rollback by itself" {
            assert_eq!(
                listing(&home),
                before,
                "{}: something was written all the same",
                scene.name
            );
        }
    }
}

#[test]
fn a_migration_that_fails_halfway_changes_nothing_and_is_reported_once() {
    let stage = Stage::shared();
    let home = stage.copy(stage.template("switch with a migration"), "halfway");
    let script = stage.container(&home, "2.0.0").join("scripts/migrate");
    fs::write(
        &script,
        "#!/bin/sh\necho half > data/document\nrm -r data/notes\necho no such table >&2\nexit 3\n",
    )
    .unwrap();
    let before = listing(&home);
    let switch = stage.say(&home, "plain", &["switch", "2.0.0"]);
    assert_eq!(
        (switch.code, switch.result["problem"]["kind"].as_str()),
        (1, Some("migration_failed")),
        "{}",
        switch.errors
    );
    assert!(switch.errors.contains("no such table"), "{}", switch.errors);
    assert_eq!(listing(&home), before, "a failed migration left something");
    // At a start: the launcher tries once and reports once, and the version before runs.
    change_json(&home.join("active.json"), |active| {
        let two = stage.container(&home, "2.0.0");
        active["pending"] = text(&two).rsplit('/').next().unwrap().into();
    });
    let reported = [(); 2].map(|()| {
        let output = stage.launcher(&home, "plain", &["--json", "run"]).output().unwrap();
        assert!(
            reply_of_app(&output.stdout)
                .starts_with("version=1.0.0\nsettings of one\ndocument of one\nnote of one")
        );
        reply(&output).events.iter().filter(|event| event["event"] == "happened").count()
    });
    assert_eq!(reported, [1, 0]);
}

#[test]
fn after_a_rollback_both_copies_of_what_was_edited_are_there() {
    let stage = Stage::shared();
    let home = stage.copy(stage.template("rollback"), "both");
    let back = stage.say(&home, "plain", &["rollback"]);
    assert_eq!(back.code, 0, "{}", back.errors);
    assert!(stage.start(&home).0.contains("document of one"));
    let found: Vec<_> =
        fs::read_dir(home.join("snapshots")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert_eq!(found.len(), 1);
    let retained = found[0].join("files/data");
    assert_eq!(fs::read_to_string(retained.join("document")).unwrap(), "document of two\n");
    assert_eq!(
        fs::metadata(retained.join("document")).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // The same holds when that version is removed.
    assert_eq!(stage.say(&home, "plain", &["remove", "2.0.0"]).code, 0);
    assert_eq!(fs::read_to_string(retained.join("document")).unwrap(), "document of two\n");
    assert_eq!(fs::read_to_string(retained.join("notes/笔 记.txt")).unwrap(), "note of two\n");
}

#[test]
fn prune_takes_neither_the_running_nor_the_active_nor_the_fallback_version() {
    let stage = Stage::shared();
    let home = stage.copy(stage.template("prune"), "protected");
    stage.must(&home, &["switch", "1.0.0"]);
    let running = stage.start_and_stay(&home);
    // 1.0.0 runs, 2.0.0 is active, 1.5.0 is the version before it.
    change_json(&home.join("active.json"), |active| {
        let id = |version: &str| {
            stage.container(&home, version).file_name().unwrap().to_str().unwrap().to_owned()
        };
        (active["container"], active["previous"]) = (id("2.0.0").into(), id("1.5.0").into());
    });
    let prune = stage.say(&home, "plain", &["prune", "--keep", "0"]);
    assert_eq!(prune.code, 3, "{:?}", prune.result);
    for version in ["1.0.0", "2.0.0"] {
        assert_eq!(
            stage.say(&home, "plain", &["remove", version]).result["problem"]["kind"],
            "version_in_use"
        );
    }
    running.end();
    let prune = stage.say(&home, "plain", &["prune", "--keep", "0"]);
    assert_eq!(prune.result["removed"].as_array().unwrap().len(), 1, "{:?}", prune.result);
    assert!(!stage.container(&home, "1.0.0").exists());
    assert_eq!(run(&stage, &home).0, ["2.0.0"]);
}

#[test]
fn stale_locks_reused_process_ids_and_open_files_hold_nothing_up() {
    let stage = Stage::shared();
    let home = stage.copy(stage.template("remove"), "stale");
    fs::write(home.join("lock"), "12345\n").unwrap();
    let id = stage.container(&home, "1.0.0").file_name().unwrap().to_owned();
    let records = home.join("running").join(format!("{}.d", id.to_str().unwrap()));
    // The id of a living process, with the start time of another one: this test's own.
    fs::create_dir_all(&records).unwrap();
    fs::write(records.join(std::process::id().to_string()), "1").unwrap();
    let lock = fs::File::create(home.join("running").join(&id)).unwrap();
    lock.lock_shared().unwrap();
    let open = fs::File::open(stage.container(&home, "1.0.0").join("app/words.txt")).unwrap();
    let remove = stage.say(&home, "plain", &["remove", "1.0.0"]);
    assert_eq!(remove.code, 0, "{}", remove.errors);
    assert!(!stage.container(&home, "1.0.0").exists());
    drop((open, lock));
}

#[test]
fn launchers_at_once_get_in_nobodys_way() {
    let stage = Stage::shared();
    let home = stage.copy(stage.template("switch"), "crowd");
    let verbs: [&[&str]; 6] = [
        &["run"],
        &["update"],
        &["switch", "1.0.0"],
        &["switch", "2.0.0"],
        &["rollback"],
        &["prune", "--keep", "0"],
    ];
    // Results that another launcher's work may cause; any other result is a fault.
    let expected =
        ["busy", "no_rollback_point", "no_such_version", "not_installed", "version_in_use"];
    let end = Instant::now() + Duration::from_secs(5);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (stage, home) = (&stage, &home);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                while Instant::now() < end {
                    let verb = random.choice(verbs).unwrap();
                    let output = stage
                        .launcher(home, "plain", &[&["--json"], verb].concat())
                        .output()
                        .unwrap();
                    let reply = reply(&output);
                    let kind = reply.result["problem"]["kind"].as_str().unwrap_or_default();
                    if verb == ["run"] {
                        let reported = reply_of_app(&output.stdout);
                        let whole = ["version=1.0.0", "version=2.0.0"]
                            .iter()
                            .any(|version| reported.starts_with(version));
                        assert!(
                            whole && reported.contains("document of one"),
                            "{reported:?} {}",
                            reply.errors
                        );
                    } else {
                        assert!(
                            matches!(reply.code, 0 | 3) || expected.contains(&kind),
                            "{verb:?}: {kind} {}",
                            reply.errors
                        );
                    }
                    assert!(!reply.errors.contains("panicked"), "{}", reply.errors);
                }
            });
        }
    });
    // The launcher may prune the version or leave it.
    stage.say(&home, "plain", &["update", "--to", "2.0.0"]);
    let reported = stage.start(&home).0;
    assert!(
        reported.starts_with("version=2.0.0") && reported.contains("document of one"),
        "{reported}"
    );
    let names: Vec<_> =
        fs::read_dir(&home).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(names.iter().all(|name| !text(Path::new(name)).starts_with('.')
        && name != "incoming"
        && name != "journal.json"));
    let versions: Vec<_> = fs::read_dir(home.join("containers"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert!(
        versions.iter().all(|path| path.join("metadata/installed.json").exists()),
        "{versions:?}"
    );
    assert_eq!(fs::read_dir(home.join("staging")).unwrap().count(), 0);
}

#[test]
fn killed_at_random_times_the_next_run_converges() {
    let stage = Stage::shared();
    let played: Vec<_> =
        stage.scenes.iter().map(|scene| (scene, Reference::play(&stage, scene))).collect();
    let mut random = fastrand::Rng::with_seed(19);
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        let (scene, reference) = random.choice(&played).unwrap();
        let delay = Duration::from_micros(random.u64(500..120_000));
        if let Err(failure) = crate::check::try_time(&stage, scene, reference, delay) {
            panic!("{failure}");
        }
    }
}
