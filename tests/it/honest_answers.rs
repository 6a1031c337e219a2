//! Verbs that have nothing to do say so, and files that a person has saved in another form are read
//! or named. Through the real executables.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::release::{World, text};

fn as_utf16(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
    fs::write(path, units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
}

#[test]
fn sharing_that_the_publisher_does_not_allow_is_not_switched_on() {
    let world = World::new();
    world.configure(&["127.0.0.1:9"], "[peers]\nenabled = false\n");
    let reply = world.say(&["peers", "on"]);
    assert_eq!((reply.code, &reply.result["status"]), (3, &"nothing_to_do".into()));
    assert_eq!(world.say(&["peers", "off"]).code, 0, "that is as it was wanted");
    world.configure(&["127.0.0.1:9"], "[peers]\nenabled = true\n");
    assert_eq!(world.say(&["peers", "on"]).code, 0);
}

#[test]
fn an_empty_home_has_nothing_to_uninstall() {
    let world = World::new();
    world.configure(&["127.0.0.1:9"], "");
    fs::create_dir(world.home()).unwrap();
    for _ in 0..2 {
        let output = world.launcher(&["uninstall", "--yes"]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(3), "{printed}");
        assert!(printed.contains("not installed"), "{printed}");
    }
}

/// PowerShell's `>` writes UTF-16, and old editors the code page of their country.
#[test]
fn settings_and_root_in_another_encoding_are_read_or_named() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let node = world.serve();
    world.configure(&[&node.address], "");
    let root = world.config().with_file_name("root.json");
    as_utf16(&world.config());
    as_utf16(&root);
    let reply = world.say(&["update"]);
    assert_eq!(reply.code, 0, "{}", reply.errors);
    assert!(String::from_utf8_lossy(&world.start().stdout).contains("version=1.0.0"));

    world.configure(&[&node.address], "");
    let mut bytes = fs::read(world.config()).unwrap();
    bytes.extend(b"# \xE9t\xE9\n");
    fs::write(world.config(), bytes).unwrap();
    let reply = world.say(&["check"]);
    assert_eq!(reply.code, 1);
    for part in [text(&world.config()), "save it as UTF-8"] {
        assert!(reply.errors.contains(part), "{part}: {}", reply.errors);
    }
    let output = world.start();
    assert!(String::from_utf8_lossy(&output.stdout).contains("version=1.0.0"), "it starts");
}

/// `ulimit -f`: a limit on the size of files, on shared computers and in batch jobs.
#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_the_size_of_files_is_named_and_the_app_starts() {
    let world = World::new();
    let blob: Vec<u8> = (0..2_000_000).map(|_| fastrand::u8(..)).collect();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let node = world.serve();
    world.configure(&[&node.address], "[update]\ncheck = 'never'\n");
    world.update();
    world.publish(&world.build("2.0.0", &BTreeMap::from([("blob", blob)])), &["--no-patches"]);
    // In blocks of 512 or 1,024 bytes, as the shell counts.
    let limited = |blocks: u32, arguments: &[&str]| {
        let launcher = world.launcher(arguments);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")]);
        command.arg(launcher.get_program()).args(launcher.get_args());
        for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
            command.env_remove(variable);
        }
        command.output().unwrap()
    };
    for blocks in [0, 8] {
        let output = limited(blocks, &["--headless", "run"]);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains("version=1.0.0"), "{blocks}: {output:?}");
    }
    let output = limited(600, &["--headless", "update"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("This computer allows no file of that size"), "{errors}");
    assert!(!errors.contains("Not enough disk space"), "{errors}");
    world.update();
    assert_eq!(world.active(), "2.0.0");
}
