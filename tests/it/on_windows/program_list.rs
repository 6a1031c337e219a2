//! The app in Windows' list of installed programs, whose entry a setup has made.

use std::fs;
use std::process::Command;

use super::{QUIET, Registered, publish};
use crate::support::release::{World, reply, text};

const ENTRY: &str = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\sample";

fn reg(arguments: &[&str]) -> String {
    let output = Command::new("reg").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A value of the entry.
fn value(name: &str, kind: &str) -> String {
    let reported = reg(&["query", ENTRY, "/v", name]);
    reported.split_once(kind).unwrap().1.trim().to_owned()
}

#[test]
fn the_list_of_programs_shows_the_version_that_the_launcher_has_installed() {
    let world = World::new();
    publish(&world, "1.0.0", &[]);
    let node = world.serve();
    world.configure(&[&node.address], QUIET);
    // What a setup brings: a launcher that finds its settings and its home by itself, and the entry.
    let folder = world.path("Programs").join("Sample");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("Sample.exe");
    fs::copy(env!("CARGO_BIN_EXE_kuzflow-launcher"), &program).unwrap();
    let settings = fs::read_to_string(world.config()).unwrap();
    let home = world.home();
    let settings = format!("home = '{}'\n{settings}", text(&home));
    fs::write(folder.join("launcher.toml"), settings).unwrap();
    fs::copy(world.path("publisher/launcher/root.json"), folder.join("root.json")).unwrap();
    let _registered = Registered::new(&[ENTRY]);
    let plain = text(&folder).replace('/', "\\");
    for (name, text) in [("InstallLocation", plain.as_str()), ("DisplayVersion", "0.9.0")] {
        reg(&["add", ENTRY, "/v", name, "/t", "REG_SZ", "/d", text, "/f"]);
    }
    let update = || {
        let update = reply(&Command::new(&program).args(["--json", "update"]).output().unwrap());
        assert_eq!(update.code, 0, "{}", update.errors);
    };
    update();
    assert_eq!(value("DisplayVersion", "REG_SZ"), "1.0.0");
    let kilobytes = value("EstimatedSize", "REG_DWORD");
    let kilobytes = u64::from_str_radix(kilobytes.trim_start_matches("0x"), 16).unwrap();
    let launcher = fs::metadata(&program).unwrap().len();
    assert!(kilobytes > launcher / 1024, "{kilobytes} kB, with the app");
    publish(&world, "1.1.0", &[]);
    update();
    assert_eq!(value("DisplayVersion", "REG_SZ"), "1.1.0");
    // Another launcher of the same home is not the one in the list.
    assert_eq!(world.say(&["switch", "1.0.0"]).code, 0);
    assert_eq!(world.active(), "1.0.0");
    assert_eq!(value("DisplayVersion", "REG_SZ"), "1.1.0");
}
