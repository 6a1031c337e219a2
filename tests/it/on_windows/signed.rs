//! The exchange of a launcher with a signature: only for one of the same publisher. `.ci/windows`
//! signs the launchers. Whether Windows trusts a certificate is no concern of the launcher's, and
//! Wine could not show it. packaging/windows/acceptance.ps1 has certificates of Windows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::QUIET;
use crate::support::release::{NodeProcess, Reply, World, kuzflow, reply, text};

/// The folder of the signed launchers: `.ci/wine/signed.py` says which there are.
fn signed_launchers() -> Option<PathBuf> {
    let folder = std::env::var_os("KUZFLOW_SIGNED_LAUNCHERS").map(PathBuf::from);
    if folder.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI signs launchers");
        eprintln!("passed over: KUZFLOW_SIGNED_LAUNCHERS names no signed launchers");
    }
    folder
}

/// A computer with a signed launcher in its own folder.
struct Machine {
    world: World,
    launchers: PathBuf,
    launcher: PathBuf,
    _node: NodeProcess,
}

impl Machine {
    fn new() -> Option<Self> {
        let launchers = signed_launchers()?;
        let world = World::new();
        world.release("1.0.0", 1 << 12);
        let node = world.serve();
        world.configure(&[&node.address], QUIET);
        let launcher = world.path("program/kuzflow-launcher.exe");
        fs::create_dir_all(launcher.parent().unwrap()).unwrap();
        fs::copy(launchers.join("present.exe"), &launcher).unwrap();
        Some(Self { world, launchers, launcher, _node: node })
    }

    fn say(&self, arguments: &[&str]) -> Reply {
        let (home, config) = (self.world.home(), self.world.config());
        let mut command = Command::new(&self.launcher);
        command.args(["--home", text(&home), "--config", text(&config), "--json"]);
        reply(&command.args(arguments).output().unwrap())
    }

    fn publish(&self, name: &str) -> Reply {
        let (path, folder) = (self.launchers.join(name), self.world.path("publisher"));
        kuzflow(&["publish-launcher", text(&path), "--repo", text(&folder), "--level", "1"])
    }

    /// The version of the launcher in place, as it reports it.
    fn version(&self) -> String {
        self.say(&["self-test"]).result["version"].as_str().unwrap_or_default().to_owned()
    }

    fn is(&self, name: &str) -> bool {
        let read = |path: &Path| fs::read(path).unwrap();
        read(&self.launcher) == read(&self.launchers.join(name))
    }
}

#[test]
fn a_launcher_of_the_same_publisher_takes_the_place_of_a_signed_one() {
    let Some(machine) = Machine::new() else { return };
    assert_eq!(machine.version(), env!("CARGO_PKG_VERSION"));
    let published = machine.publish("renewed.exe");
    assert_eq!(published.code, 0, "{}", published.errors);
    let update = machine.say(&["update"]);
    assert_eq!(update.code, 0, "{}", update.errors);
    assert_eq!(machine.version(), "0.9.0");
    assert!(machine.is("renewed.exe"));
    // The publisher cannot go on with a launcher of somebody else by mistake.
    let refused = machine.publish("foreign.exe");
    assert!(refused.code == 1 && refused.errors.contains("signed by"), "{}", refused.errors);
}

#[test]
fn a_launcher_of_another_publisher_never_takes_the_place_of_a_signed_one() {
    let Some(machine) = Machine::new() else { return };
    assert_eq!(machine.publish("foreign.exe").code, 0);
    let update = machine.say(&["update"]);
    assert_eq!(update.code, 0, "the app's own update is not concerned: {}", update.errors);
    for part in ["is signed by", "Kuzflow Tests Ltd", "the signer is", "Somebody Else Ltd"] {
        assert!(update.errors.contains(part), "{part}: {}", update.errors);
    }
    assert!(machine.is("present.exe"));
    // Another download would bring the same bytes.
    let again = machine.say(&["update"]);
    assert!(again.code == 3 && !again.errors.contains("Somebody Else"), "{}", again.errors);
    assert!(machine.is("present.exe") && !machine.launcher.with_extension("new.exe").exists());
}
