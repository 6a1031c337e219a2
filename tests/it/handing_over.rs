//! An app whose first process hands over to another process and ends, in the real executables. The
//! process that continues counts as the app. The launcher switches or removes no version under it,
//! also after the launcher that started it has ended; and that launcher stays with it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::support::release::{NodeProcess, World};
use crate::support::waiting::until;

/// The app. Without a `FORM` it prints its version and ends. With one it hands over in that way to
/// a program that prints its name, and works until it is asked to end.
const APP: &str = r#"#!/bin/sh
WORK='echo $$ > "$DESK/process"; while [ ! -e "$DESK/end" ]; do sleep 0.05; done; echo last >> "$KUZFLOW_HOME/data/journal"'
export WORK
# Long enough to be noted.
[ -z "$FORM" ] || sleep 0.5
case "$FORM" in
  '') echo "version=$KUZFLOW_VERSION"; exit 0;;
  background) (eval "$WORK") </dev/null >/dev/null 2>&1 & exit 0;;
  session) setsid sh -c "$WORK" </dev/null >/dev/null 2>&1 & exit 0;;
  twice) setsid sh -c 'sh -c "$WORK" & exit 0' </dev/null >/dev/null 2>&1 & exit 0;;
  daemon) setsid sh -c 'cd /; for fd in 3 4 5 6 7 8 9; do eval "exec $fd>&-"; done; exec "$KUZFLOW_HOME/app/worker"' </dev/null >/dev/null 2>&1 & exit 0;;
  slowly) setsid sh -c 'cd /; for fd in 3 4 5 6 7 8 9; do eval "exec $fd>&-"; done; sleep 0.1; exec "$KUZFLOW_HOME/app/worker"' </dev/null >/dev/null 2>&1 & exit 0;;
  cleared) env -i "PATH=$PATH" "DESK=$DESK" "KUZFLOW=$KUZFLOW_HOME" setsid "$KUZFLOW_HOME/app/worker" </dev/null >/dev/null 2>&1 & exit 0;;
  unknown) env -i "DESK=$DESK" "PROGRAM=$KUZFLOW_HOME/app/worker" "KUZFLOW=$KUZFLOW_HOME" "PATH=$PATH" setsid sh -c 'cd /; for fd in 3 4 5 6 7 8 9; do eval "exec $fd>&-"; done; sleep 0.15; exec "$PROGRAM"' </dev/null >/dev/null 2>&1 & sleep 0.05; exit 0;;
  later) sleep 3; setsid sh -c "$WORK" </dev/null >/dev/null 2>&1 & exit 0;;
  error) setsid sh -c "$WORK" </dev/null >/dev/null 2>&1 & exit 7;;
  again) setsid sh -c 'sleep 1; setsid sh -c "$WORK" & exit 0' </dev/null >/dev/null 2>&1 & exit 0;;
esac
"#;

/// A program of the container.
const WORKER: &str = r#"#!/bin/sh
echo $$ > "$DESK/process"
while [ ! -e "$DESK/end" ]; do sleep 0.05; done
echo last >> "${KUZFLOW_HOME:-$KUZFLOW}/data/journal"
"#;

/// `slowly` is a daemon that has left the folder and the lock, and does not run the worker yet, when
/// the first process ends; `unknown` is one that has dropped its environment as well.
const FORMS: [&str; 10] = [
    "background",
    "session",
    "twice",
    "daemon",
    "slowly",
    "cleared",
    "unknown",
    "later",
    "error",
    "again",
];

/// A folder of an app that hands over. The first release is installed and has come up, and the
/// second one is installed as well.
struct Desk {
    world: World,
    _node: NodeProcess,
}

impl Drop for Desk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let active = fs::read_to_string(self.world.home().join("active.json"));
            eprintln!("its launcher:\n{log}\n{active:?}");
        }
    }
}

impl Desk {
    fn new() -> Self {
        let world = World::new();
        for version in ["1.0.0", "1.1.0"] {
            publish(&world, version);
        }
        let node = world.serve();
        world.configure(
            &[&node.address],
            "[update]\ncheck = 'never'\n[health]\nsurvival_seconds = 1\n",
        );
        for version in ["1.1.0", "1.0.0"] {
            let update = world.say(&["update", "--to", version]);
            assert_eq!(update.code, 0, "{}", update.errors);
        }
        let desk = Self { world, _node: node };
        fs::create_dir_all(desk.path("")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.path("desk").join(name)
    }

    fn launcher(&self, form: &str) -> Command {
        let mut command = self.world.launcher(&["--verbose", "--headless", "run"]);
        command.env("FORM", form).env("DESK", self.path(""));
        command
    }

    /// Starts the app in this way; returns its launcher once the app has handed over.
    fn start(&self, form: &str) -> Child {
        for name in ["process", "end"] {
            let _ = fs::remove_file(self.path(name));
        }
        // Printed if the test fails.
        let log = fs::File::create(self.path("log")).unwrap();
        let mut command = self.launcher(form);
        let launcher = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        until(form, || {
            fs::read_to_string(self.path("process")).is_ok_and(|text| text.ends_with('\n'))
        });
        until(form, || !self.first_processes_live(&launcher));
        launcher
    }

    fn first_processes_live(&self, launcher: &Child) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", launcher.id())).unwrap().flatten();
        let children = |thread: fs::DirEntry| {
            fs::read_to_string(thread.path().join("children")).unwrap_or_default()
        };
        threads.map(children).any(|children| !children.trim().is_empty())
    }

    /// The version that a start begins, beside the running one.
    fn starts(&self) -> String {
        let output = self.launcher("").output().unwrap();
        let reply = String::from_utf8_lossy(&output.stdout).into_owned();
        let reply = reply.lines().find_map(|line| line.strip_prefix("version=")).map(str::to_owned);
        reply.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }

    fn runs(&self, version: &str) -> bool {
        let list = self.world.say(&["list"]).result;
        let named = format!("_{version}_");
        list["versions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["id"].as_str().unwrap().contains(&named) && one["running"] == true)
    }

    fn end(&self) {
        fs::write(self.path("end"), "").unwrap();
        until("it ends", || !self.runs("1.0.0") && !self.runs("1.1.0"));
    }

    /// Whether the active version has come up; two such runs end its probation.
    fn has_come_up(&self) -> bool {
        let text = fs::read_to_string(self.world.home().join("active.json")).unwrap();
        let active: serde_json::Value = serde_json::from_str(&text).unwrap();
        active.get("probation").is_none_or(|probation| probation["up"] == true)
    }

    /// The records of the first release's processes.
    fn records(&self) -> Vec<(PathBuf, String)> {
        let container = self.world.container("1.0.0");
        let folder = self
            .world
            .home()
            .join("running")
            .join(format!("{}.d", container.file_name().unwrap().to_str().unwrap()));
        let records = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
        let is_process =
            |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().parse::<u32>().is_ok();
        records
            .filter(is_process)
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap_or_default()))
            .collect()
    }

    fn journal(&self, version: &str) -> usize {
        let journal = fs::read_to_string(self.world.container(version).join("data/journal"));
        journal.map(|text| text.lines().count()).unwrap_or_default()
    }
}

fn publish(world: &World, version: &str) {
    fs::create_dir_all(world.path(&format!("app {version}"))).unwrap();
    for (name, script) in [("run.sh", APP), ("worker", WORKER)] {
        world.write_script(version, name, script);
    }
    let package = world.pack(version, "exe:run.sh", &["--runtime", "none"]);
    world.publish(&package, &["--no-patches"]);
}

#[test]
fn no_version_is_switched_or_removed_under_what_goes_on_in_the_place_of_the_first_process() {
    let desk = Desk::new();
    let mut written = 0;
    for form in FORMS {
        let mut launcher = desk.start(form);
        assert!(desk.runs("1.0.0"), "{form}");
        assert!(launcher.try_wait().unwrap().is_none(), "{form}: its launcher stays with it");
        let switch = desk.world.say(&["switch", "1.1.0"]);
        assert_eq!(switch.code, 0, "{form}: {}", switch.errors);
        assert_eq!(desk.starts(), "1.0.0", "{form}: the switch waits for its end");
        assert!(desk.runs("1.0.0"), "{form}: after another instance has ended");
        assert_ne!(desk.world.say(&["rollback", "1.1.0"]).code, 0, "{form}");
        // An app that ends with an error before it is up has failed, and would be tried again.
        until(form, || desk.has_come_up());
        desk.end();
        assert_eq!(
            launcher.wait().unwrap().code(),
            Some(if form == "error" { 7 } else { 0 }),
            "{form}"
        );
        assert_eq!(desk.starts(), "1.1.0", "{form}");
        written += 1;
        assert_eq!(desk.journal("1.1.0"), written, "{form}: what it wrote last has come along");
        assert_eq!(desk.world.say(&["switch", "1.0.0"]).code, 0, "{form}");
    }
}

#[test]
fn it_is_known_to_a_later_launcher_when_its_own_has_ended() {
    let desk = Desk::new();
    for form in ["session", "twice", "daemon", "cleared"] {
        // Its launcher saw the first process end, or had ended before.
        for saw in [true, false] {
            let mut launcher = desk.start(form);
            if !saw {
                // The same, as if a launcher had started the app that records only the first
                // process.
                until(form, || desk.records().iter().any(|(_, text)| text.ends_with(" ended")));
                for (record, text) in desk.records() {
                    match text.strip_suffix(" ended") {
                        Some(started) => fs::write(&record, started).unwrap(),
                        None => fs::remove_file(&record).unwrap(),
                    }
                }
            }
            launcher.kill().unwrap();
            launcher.wait().unwrap();
            assert!(desk.runs("1.0.0"), "{form} {saw}");
            assert_eq!(desk.world.say(&["switch", "1.1.0"]).code, 0, "{form} {saw}");
            assert_eq!([desk.starts(), desk.starts()], ["1.0.0", "1.0.0"], "{form} {saw}");
            assert!(desk.runs("1.0.0"), "{form} {saw}");
            desk.end();
            assert_eq!(desk.starts(), "1.1.0", "{form} {saw}");
            assert_eq!(desk.world.say(&["switch", "1.0.0"]).code, 0, "{form} {saw}");
        }
    }
}

#[test]
fn a_version_that_something_runs_without_being_its_app_is_not_removed() {
    let desk = Desk::new();
    // This version is not active: the user has started a program of it by hand.
    let worker = desk.world.container("1.1.0").join("app/worker");
    let mut command = Command::new(&worker);
    let mut process = command
        .env("DESK", desk.path(""))
        .env("KUZFLOW", desk.world.container("1.1.0"))
        .spawn()
        .unwrap();
    until("it works", || desk.path("process").exists());
    assert!(desk.runs("1.1.0"));
    assert_ne!(desk.world.say(&["remove", "1.1.0"]).code, 0);
    assert_eq!(desk.world.say(&["prune", "--keep", "0"]).result["removed"], serde_json::json!([]));
    assert!(worker.exists());
    desk.end();
    process.wait().unwrap();
    assert_eq!(desk.world.say(&["remove", "1.1.0"]).code, 0);
}

#[test]
fn what_an_app_has_opened_long_before_its_end_is_not_the_app() {
    let desk = Desk::new();
    let _ = fs::remove_file(desk.path("end"));
    // Another program, with the environment, the folder and the open files of the app that started
    // it.
    let script = "#!/bin/sh\n[ -n \"$FORM\" ] || { echo \"version=$KUZFLOW_VERSION\"; exit 0; }\n\
        setsid sh -c 'while [ ! -e \"$DESK/end\" ]; do sleep 0.05; done' </dev/null >/dev/null 2>&1 &\n\
        echo begun > \"$DESK/process\"; sleep 11\n";
    fs::write(desk.world.container("1.0.0").join("app/run.sh"), script).unwrap();
    let output = desk.launcher("opens").output().unwrap();
    assert!(output.status.success());
    assert!(!desk.runs("1.0.0"), "the app has ended, whatever it opened");
    assert_eq!(desk.world.say(&["switch", "1.1.0"]).code, 0);
    assert_eq!(desk.starts(), "1.1.0");
    fs::write(desk.path("end"), "").unwrap();
}
