//! Hooks that do well, fail, hang, and are interrupted.

use std::fs;
use std::time::Instant;

use super::*;
use crate::store::fixture::Fixture;
use crate::store::staging::Staging;
use crate::store::switch::{SwitchOptions, switch};

/// Notes each run, with what the hook is shown.
const NOTES: &str =
    "echo \"$KUZFLOW_HOOK|$KUZFLOW_FROM|$KUZFLOW_VERSION|$PWD\" >> \"$KUZFLOW_DATA/runs\"";

/// Installs a version whose hook `name` is this shell script, and makes it the active one.
fn install(fixture: &Fixture, version: &str, name: &str, script: &str) -> ContainerId {
    let path = format!("scripts/{name}");
    let script = format!("#!/bin/sh\nmkdir -p \"$KUZFLOW_DATA\"\n{script}\n");
    let id = fixture.install_program(version, &path, &script);
    switch(&fixture.home, &id, SwitchOptions::PLAIN, &fixture.lock).unwrap();
    id
}

fn first_start(fixture: &Fixture, id: &ContainerId) -> Result<(), HookError> {
    after_install(&fixture.home, &fixture.record(id), HookOptions::PLAIN, &fixture.lock)
}

fn runs(fixture: &Fixture, id: &ContainerId) -> Vec<String> {
    let text = fixture.read(id, "data/runs").unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn after_install_runs_once_for_each_version_in_its_folder() {
    let fixture = Fixture::new();
    let one = install(&fixture, "1.0.0", AFTER_INSTALL, NOTES);
    assert!(is_due(&fixture.home, &one));
    first_start(&fixture, &one).unwrap();
    first_start(&fixture, &one).unwrap();
    let folder = |id: &ContainerId| std::path::absolute(fixture.home.container(id)).unwrap();
    let line = |from: &str, id: &ContainerId| {
        format!("after-install|{from}|{}|{}", id.version, folder(id).display())
    };
    assert_eq!(runs(&fixture, &one), [line("", &one)]);
    let two = install(&fixture, "2.0.0", AFTER_INSTALL, NOTES);
    first_start(&fixture, &two).unwrap();
    // The user's files came along, and with them what the first version's hook had noted.
    assert_eq!(runs(&fixture, &two), [line("", &one), line("1.0.0", &two)]);
    assert!(!is_due(&fixture.home, &two));
    // A version without a hook has none due.
    let three = fixture.install("3.0.0", &[]);
    assert!(!is_due(&fixture.home, &three));
    first_start(&fixture, &three).unwrap();
}

#[test]
fn a_hook_that_fails_is_reported_with_its_last_lines_and_never_runs_again() {
    let fixture = Fixture::new();
    let script = format!("{NOTES}\necho no such service >&2\nexit 4");
    let id = install(&fixture, "1.0.0", AFTER_INSTALL, &script);
    let error = first_start(&fixture, &id).unwrap_err();
    let shown = error_chain::line(&error);
    assert!(shown.contains("exit status: 4") && shown.contains("no such service"), "{shown}");
    assert!(error.is_final());
    first_start(&fixture, &id).unwrap();
    assert_eq!(runs(&fixture, &id).len(), 1);
    let log = fixture.home.logs().join(format!("hooks-{id}.txt"));
    assert_eq!(fs::read_to_string(log).unwrap(), "no such service\n");
}

#[test]
fn a_hook_that_hangs_is_ended_with_all_its_processes() {
    let fixture = Fixture::new();
    // What it starts writes once the hook has been ended, however late a busy computer ends it.
    let script = "(until [ -e \"$KUZFLOW_DATA/gate\" ]; do sleep 0.1; done; echo late > \"$KUZFLOW_DATA/late\") &\n\
                  while :; do echo waiting; done";
    let id = install(&fixture, "1.0.0", AFTER_INSTALL, script);
    let options = HookOptions { limit: Duration::from_millis(500), ..HookOptions::PLAIN };
    let begun = Instant::now();
    let ended = after_install(&fixture.home, &fixture.record(&id), options, &fixture.lock);
    let is_time =
        matches!(ended, Err(HookError::Failed { source: ScriptFailure::TimeLimit { .. }, .. }));
    assert!(is_time && begun.elapsed() < Duration::from_secs(60));
    // What it wrote without end is bounded.
    let log = fixture.home.logs().join(format!("hooks-{id}.txt"));
    assert!(fs::metadata(log).unwrap().len() <= 256 << 10);
    fixture.write(&id, "data/gate", "");
    std::thread::sleep(Duration::from_secs(2));
    assert!(fixture.read(&id, "data/late").is_none(), "a process of the hook went on");
}

#[test]
fn a_hook_whose_output_has_no_place_runs_another_time() {
    let fixture = Fixture::new();
    let id = install(&fixture, "1.0.0", AFTER_INSTALL, NOTES);
    let log = fixture.home.logs().join(format!("hooks-{id}.txt"));
    fs::create_dir_all(&log).unwrap();
    let error = first_start(&fixture, &id).unwrap_err();
    assert!(matches!(error, HookError::Store(StoreError::File(_))), "{error:?}");
    assert!(is_due(&fixture.home, &id));
    fs::remove_dir(&log).unwrap();
    first_start(&fixture, &id).unwrap();
    assert_eq!(runs(&fixture, &id).len(), 1);
    assert!(!is_due(&fixture.home, &id));
}

#[test]
fn a_hook_that_a_kill_interrupted_runs_again_but_not_for_ever() {
    let fixture = Fixture::new();
    let id = install(&fixture, "1.0.0", AFTER_INSTALL, NOTES);
    let due = |runs| Due { from: None, runs };
    // The launcher was killed in two runs.
    write(&fixture.home, &id, &due(2)).unwrap();
    first_start(&fixture, &id).unwrap();
    assert_eq!(runs(&fixture, &id).len(), 1);
    write(&fixture.home, &id, &due(3)).unwrap();
    assert!(matches!(first_start(&fixture, &id), Err(HookError::Interrupted { .. })));
    assert!(!is_due(&fixture.home, &id));
    first_start(&fixture, &id).unwrap();
    assert_eq!(runs(&fixture, &id).len(), 1);
    // A power cut left half of the file.
    fs::write(fixture.home.due_hook(&id), "{\"from").unwrap();
    first_start(&fixture, &id).unwrap();
    assert_eq!(runs(&fixture, &id).len(), 2);
}

#[test]
fn a_removed_version_has_no_hook_due_and_installed_again_it_has() {
    let fixture = Fixture::new();
    let one = install(&fixture, "1.0.0", AFTER_INSTALL, NOTES);
    let two = install(&fixture, "2.0.0", AFTER_INSTALL, NOTES);
    crate::store::remove::set_aside(&fixture.home, &one, &fixture.lock).unwrap();
    assert!(!is_due(&fixture.home, &one) && is_due(&fixture.home, &two));
    fixture.install_program("1.0.0", "scripts/after-install", "#!/bin/sh\n");
    assert!(is_due(&fixture.home, &one));
    // The same version without the hook, as another release may have it.
    let tree = Staging::open(&fixture.home, &one, &fixture.lock).unwrap().fresh_tree().unwrap();
    expect(&fixture.home, &one, &tree).unwrap();
    assert!(!is_due(&fixture.home, &one));
}

#[test]
fn before_uninstall_is_the_active_versions() {
    let fixture = Fixture::new();
    install(&fixture, "1.0.0", BEFORE_UNINSTALL, "exit 1");
    let two = install(&fixture, "2.0.0", BEFORE_UNINSTALL, NOTES);
    before_uninstall(&fixture.home, HookOptions::PLAIN, &fixture.lock).unwrap();
    assert_eq!(runs(&fixture, &two).len(), 1);
    let empty = Fixture::new();
    before_uninstall(&empty.home, HookOptions::PLAIN, &empty.lock).unwrap();
}
