//! The scenes that are interrupted: homes made by the real executables, and the verb that changes
//! each.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;

use crate::points::{Fault, Tracer};
use crate::support::release::{NodeProcess, Reply, World, reply, text};
use crate::support::waiting::until;

/// Prints the running version and the user's files that it finds. A file `app/fault` beside it
/// makes it a release that does not come up.
const APP: &str = r#"#!/bin/sh
cd "$KUZFLOW_HOME" || exit 9
fault=$(cat app/fault 2>/dev/null)
[ -z "$STARTS" ] || echo "$KUZFLOW_VERSION" >> "$STARTS"
case $fault in
    crash) echo broken > data/broken; exit 7;;
    hang) exec sleep 600;;
    quit) exit 0;;
    later) echo up > "$KUZFLOW_HEALTH"; sleep 0.3; exit 7;;
esac
echo "version=$KUZFLOW_VERSION"
cat config/settings data/document data/notes/* data/link
echo end
[ -z "$KUZFLOW_HEALTH" ] || echo up > "$KUZFLOW_HEALTH"
[ -z "$STAY" ] || exec sleep "$STAY"
exit 0
"#;

/// A release's migration script, in several steps.
const MIGRATE: &str = "#!/bin/sh\nset -e\necho \"migrated $1 to $2\" >> data/document\necho made > data/made\nmv data/made data/table\n";

const CUT_SHORT: &str = "switch that was cut short";

/// A home, and the verb that changes it.
pub struct Scene {
    pub name: &'static str,
    /// The home before the verb.
    pub template: PathBuf,
    pub verb: &'static [&'static str],
    /// The name of the settings file.
    pub settings: &'static str,
    /// The app's output if the verb did nothing; empty if the app cannot start then.
    pub before: String,
    /// Another output that a disturbed start may have: a step that cannot be put off may have to
    /// wait for a working disk.
    pub meanwhile: String,
    /// Kinds of problems by which the repeated verb reports that nothing is left to do.
    pub nothing_left: &'static [&'static str],
}

/// The publisher, its node, and all scenes.
pub struct Stage {
    pub world: World,
    /// The folder of homes. It is in memory if the machine has room there, since the tests are not
    /// about the disk.
    pub homes: tempfile::TempDir,
    pub scenes: Vec<Scene>,
    pub tracer: Tracer,
    node: NodeProcess,
    copies: AtomicUsize,
}

impl Stage {
    /// The stage that all tests share; it is dropped with the last of them.
    pub fn shared() -> Arc<Self> {
        static STAGE: Mutex<Weak<Stage>> = Mutex::new(Weak::new());
        let mut stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
        stage.upgrade().unwrap_or_else(|| {
            let set = Arc::new(Self::set());
            *stage = Arc::downgrade(&set);
            set
        })
    }

    fn set() -> Self {
        let world = World::new();
        let node = world.serve();
        let memory = Path::new("/dev/shm");
        let folder = if fs4::available_space(memory).is_ok_and(|free| free > 1 << 30) {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let homes = tempfile::Builder::new().prefix("kuzflow 家 ").tempdir_in(folder).unwrap();
        let tracer = Tracer::compile(homes.path());
        let mut stage =
            Self { world, homes, scenes: Vec::new(), tracer, node, copies: AtomicUsize::new(0) };
        stage.configure();
        stage.scenes();
        stage
    }

    fn configure(&self) {
        self.world.configure(&[&self.node.address], "[update]\ncheck = 'never'\n");
        let settings = fs::read_to_string(self.world.config()).unwrap();
        for (name, more) in [
            ("plain", ""),
            ("full", "[incremental_update]\nenabled = false\n"),
            ("entries", "[incremental_update]\nmax_patch_size = 10\n"),
            ("impatient", "[health]\nup_within_seconds = 1\n"),
        ] {
            fs::write(self.settings(name), format!("{settings}{more}")).unwrap();
        }
    }

    pub fn settings(&self, name: &str) -> PathBuf {
        self.world.config().with_file_name(format!("{name}.toml"))
    }

    /// The launcher in a home.
    pub fn launcher(&self, home: &Path, settings: &str, arguments: &[&str]) -> Command {
        self.world.launcher_at(home, &self.settings(settings), arguments)
    }

    /// Runs a verb with `--json`.
    pub fn say(&self, home: &Path, settings: &str, verb: &[&str]) -> Reply {
        reply(&self.launcher(home, settings, &[&["--json"], verb].concat()).output().unwrap())
    }

    /// Makes a plain run. Returns the app's output, and the launcher's status and messages.
    pub fn start(&self, home: &Path) -> (String, String) {
        let output = self
            .launcher(home, "plain", &["--headless", "run"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (
            reply_of_app(&output.stdout),
            format!("{:?} {}", output.status, String::from_utf8_lossy(&output.stderr)),
        )
    }

    /// The home of a scene.
    pub fn template(&self, scene: &str) -> &Path {
        &self.scenes.iter().find(|known| known.name == scene).unwrap().template
    }

    /// A copy of a home, named after its purpose.
    pub fn copy(&self, home: &Path, name: &str) -> PathBuf {
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let copy = self.homes.path().join(format!("{number} {name}"));
        assert!(
            Command::new("cp").args(["-a", "-T"]).args([home, &copy]).status().unwrap().success()
        );
        copy
    }

    fn publish(&self, version: &str, words: usize) {
        let app = self.world.path(&format!("app {version}"));
        let config = self.world.path(&format!("config {version}"));
        fs::create_dir_all(&app).unwrap();
        fs::create_dir_all(&config).unwrap();
        fs::write(app.join("run.sh"), APP).unwrap();
        fs::set_permissions(app.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        let mut lines: Vec<String> =
            (0..200).map(|number| format!("line {number} says {}\n", random.u64(..))).collect();
        lines[words] = format!("version {version} was here\n");
        fs::write(app.join("words.txt"), lines.concat()).unwrap();
        fs::write(
            app.join("same.bin"),
            std::iter::repeat_with(|| random.u8(..)).take(20_000).collect::<Vec<_>>(),
        )
        .unwrap();
        fs::write(app.join("empty"), "").unwrap();
        symlink("words.txt", app.join("link")).unwrap();
        fs::write(config.join("settings"), format!("default of {version}\n")).unwrap();
        fs::write(config.join("plain"), format!("plain {version}\n")).unwrap();
        let more = ["--runtime", "none", "--config-defaults", text(&config)];
        let out = self.world.pack(version, "exe:run.sh", &more);
        self.world.publish(&out, &[]);
        // Publishing writes the made-up node again.
        self.configure();
    }

    /// Makes the 2.0.0 of this home fail to come up, in this way.
    pub fn spoil(&self, home: &Path, fault: &str) {
        fs::write(self.container(home, "2.0.0").join("app/fault"), fault).unwrap();
    }

    pub fn container(&self, home: &Path, version: &str) -> PathBuf {
        let name = self.world.container(version);
        home.join("containers").join(name.file_name().unwrap())
    }

    /// Plays the user's work in `version`.
    pub fn edit(&self, home: &Path, version: &str, what: &str) {
        let container = self.container(home, version);
        fs::create_dir_all(container.join("data/notes")).unwrap();
        fs::create_dir_all(container.join("data/empty folder")).unwrap();
        fs::write(container.join("config/settings"), format!("settings of {what}\n")).unwrap();
        fs::write(container.join("data/document"), format!("document of {what}\n")).unwrap();
        fs::write(container.join("data/notes/笔 记.txt"), format!("note of {what}\n")).unwrap();
        fs::set_permissions(container.join("data/document"), fs::Permissions::from_mode(0o600))
            .unwrap();
        let _ = symlink("document", container.join("data/link"));
    }

    pub fn must(&self, home: &Path, verb: &[&str]) {
        let reply = self.say(home, "plain", verb);
        assert_eq!(reply.code, 0, "{verb:?}: {}", reply.errors);
    }

    fn scenes(&mut self) {
        let at = |name: &str| self.homes.path().join(name);
        self.publish("1.0.0", 10);
        let [nothing, one] = ["nothing", "one"].map(at);
        fs::create_dir(&nothing).unwrap();
        self.must(&one, &["update"]);
        self.edit(&one, "1.0.0", "one");
        let says_one = self.start(&one).0;
        self.publish("1.5.0", 20);
        self.publish("2.0.0", 30);

        let half = self.copy(&one, "half");
        self.must(&half, &["update", "--to", "1.5.0"]);
        self.edit(&half, "1.5.0", "half");
        self.start(&half);
        let three = self.copy(&half, "three");
        self.must(&three, &["update"]);
        let fresh = self.copy(&one, "fresh");
        self.must(&fresh, &["update"]);
        let two = self.copy(&fresh, "two");
        self.edit(&two, "2.0.0", "two");
        let says_two = self.start(&two).0;
        self.edit(&three, "2.0.0", "two");
        assert_eq!(self.start(&three).0, says_two);

        let pending = self.copy(&one, "pending");
        self.update_while_it_runs(&pending);
        let ready = self.copy(&pending, "ready");
        change_json(&ready.join("active.json"), |active| {
            drop(active.as_object_mut().unwrap().remove("pending"))
        });
        let migrating = self.copy(&ready, "migrating");
        let script = self.container(&migrating, "2.0.0").join("scripts/migrate");
        fs::write(&script, MIGRATE).unwrap();
        fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();

        let cut = self.cut_short(&ready);
        let broken = self.copy(&fresh, "broken");
        self.spoil(&broken, "crash");
        let returned = self.copy(&two, "returned");
        self.must(&returned, &["switch", "1.0.0"]);
        self.edit(&returned, "1.0.0", "later");
        self.start(&returned);
        self.must(&returned, &["rollback", "2.0.0"]);
        assert_eq!(self.start(&returned).0, says_two);

        let damaged = self.copy(&two, "damaged");
        fs::write(self.container(&damaged, "2.0.0").join("app/words.txt"), "rotten").unwrap();
        fs::remove_file(self.container(&damaged, "2.0.0").join("app/same.bin")).unwrap();

        let mut add = |name, template, verb, settings, before: &str, nothing_left| {
            let meanwhile = if name == CUT_SHORT { says_one.clone() } else { String::new() };
            self.scenes.push(Scene {
                name,
                template,
                verb,
                settings,
                before: before.to_owned(),
                meanwhile,
                nothing_left,
            });
        };
        let none: &[&str] = &[];
        add("check", one.clone(), &["check"][..], "plain", &says_one, none);
        add("install", nothing, &["update"], "plain", "", none);
        add("update in full", one.clone(), &["update"], "full", &says_one, none);
        add("update by packs", one.clone(), &["update"], "plain", &says_one, none);
        add("update by entries", one.clone(), &["update"], "entries", &says_one, none);
        add("switch", ready, &["switch", "2.0.0"], "plain", &says_one, none);
        add("switch back", two.clone(), &["switch", "1.0.0"], "plain", &says_two, none);
        add("switch at the next start", pending, &["run"], "plain", &says_one, none);
        add("switch with a migration", migrating, &["switch", "2.0.0"], "plain", &says_one, none);
        add(CUT_SHORT, cut, &["run"], "plain", "", none);
        add("rollback", two.clone(), &["rollback"], "plain", &says_two, &["no_rollback_point"]);
        add(
            "rollback to a snapshot",
            returned,
            &["rollback", "1.0.0"],
            "plain",
            &says_two,
            &["no_rollback_point"],
        );
        add("rollback by itself", broken, &["run"], "plain", "", none);
        add("first start on probation", fresh, &["run"], "plain", &says_one, none);
        add("plain start", two, &["run"], "plain", &says_two, none);
        add("repair", damaged, &["verify", "--repair"], "plain", &says_two, none);
        add("prune", three.clone(), &["prune", "--keep", "0"], "plain", &says_two, none);
        add("remove", three, &["remove", "1.0.0"], "plain", &says_two, &["not_installed"]);
    }

    /// A home in which a switch to 2.0.0 was killed in the middle of moving folders into place.
    fn cut_short(&self, ready: &Path) -> PathBuf {
        let [probe, cut] = ["probe", "cut short"].map(|name| self.copy(ready, name));
        let verb = ["--json", "switch", "2.0.0"];
        let changes = self.tracer.run(&self.launcher(&probe, "plain", &verb), None, &probe).changes;
        let moved = |change: &String| {
            change.starts_with("rename")
                && change.contains("/incoming/")
                && change.ends_with("/config")
        };
        let moved = changes.iter().position(moved).unwrap();
        // Numbers begin with 1; so this is the next call.
        self.tracer.run(&self.launcher(&cut, "plain", &verb), Some((Fault::Kill, moved + 2)), &cut);
        assert!(cut.join("journal.json").exists());
        cut
    }

    /// Installs the new version beside the running one, where it waits.
    fn update_while_it_runs(&self, home: &Path) {
        let running = self.start_and_stay(home);
        self.must(home, &["update"]);
        running.end();
    }

    /// Starts the active version, which continues to run.
    pub fn start_and_stay(&self, home: &Path) -> Staying {
        let mut command = self.launcher(home, "plain", &["--headless", "run"]);
        let launcher =
            command.env("STAY", "600").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let staying = Staying { launcher, home: home.to_owned() };
        let runs = || {
            let list = self.say(home, "plain", &["list"]).result;
            list["versions"]
                .as_array()
                .is_some_and(|versions| versions.iter().any(|version| version["running"] == true))
        };
        until("the app starts", runs);
        staying
    }
}

/// A running app with its launcher.
pub struct Staying {
    launcher: std::process::Child,
    home: PathBuf,
}

impl Staying {
    pub fn end(mut self) {
        end_app(&self.home);
        self.launcher.wait().unwrap();
    }
}

/// Ends the app that runs in a home, by the process ids in the home's records.
fn end_app(home: &Path) {
    let folders = fs::read_dir(home.join("running"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    for entry in folders.flat_map(|folder| fs::read_dir(folder).unwrap().flatten()) {
        if entry.file_name().to_str().unwrap().parse::<u32>().is_ok() {
            // Records of earlier starts name processes that have ended.
            let _ = Command::new("kill").arg(entry.file_name()).stderr(Stdio::null()).status();
        }
    }
}

pub fn change_json(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

/// The app's standard output at its last start, in lower case; the launcher's own output stands
/// between.
pub fn reply_of_app(stdout: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdout).into_owned();
    // The launcher's lines about the app begin with its name.
    let is_apps = |line: &&str| {
        line.starts_with(|first: char| first.is_ascii_lowercase()) && !line.starts_with("sample ")
    };
    let lines = text.lines().filter(is_apps).collect::<Vec<_>>();
    let Some(start) = lines.iter().rposition(|line| line.starts_with("version=")) else {
        return String::new();
    };
    let end = lines[start..].iter().position(|line| *line == "end");
    end.map_or_else(String::new, |end| lines[start..start + end].join("\n"))
}
