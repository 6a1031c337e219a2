//! `.run`: installed, replaced and taken out again by a user without root.

use std::fs;
use std::path::Path;

use super::{Shop, launcher, small_program};
use crate::support::release::text;

#[test]
fn a_user_installs_starts_replaces_and_removes_it_and_the_users_files_stay() {
    let shop = Shop::new();
    let run = shop.installer("run", launcher(), &[]);
    let user = shop.user();
    let (place, command) = (user.join(".local/lib/sample"), user.join(".local/bin/sample"));
    let install = || {
        let output = shop.as_user("sh", &[text(&run)]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        assert_eq!(errors, "");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(install().contains("示例 Sample 1.0.0 is installed"));
    assert!(user.join(".local/share/applications/kuzflow-sample.desktop").is_file());
    assert!(shop.start(&command).contains("version=1.0.0"), "the first start installs the app");
    fs::write(shop.data("1.0.0").join("mine"), "x").unwrap();
    // What a person has put there, or changed, stays; what the former installer brought does not.
    let others = ["notes of mine", ".hidden", "it's a name;$x", "of an older version"];
    for other in others {
        fs::write(place.join(other), other).unwrap();
    }
    fs::create_dir(place.join("folder")).unwrap();
    fs::write(place.join("folder/deep"), "x").unwrap();
    let script = fs::read_to_string(place.join("uninstall")).unwrap();
    let script = script.replace("for file in ", "for file in 'of an older version' ");
    fs::write(place.join("uninstall"), script).unwrap();
    let settings = fs::read_to_string(place.join("launcher.toml")).unwrap();
    fs::write(place.join("launcher.toml"), format!("# changed\n{settings}")).unwrap();
    install();
    for other in &others[..3] {
        assert_eq!(fs::read_to_string(place.join(other)).unwrap(), *other);
        fs::remove_file(place.join(other)).unwrap();
    }
    assert!(place.join("folder/deep").is_file() && !place.join(others[3]).exists());
    fs::remove_dir_all(place.join("folder")).unwrap();
    let former_settings = fs::read_to_string(place.join("launcher.toml.old")).unwrap();
    assert_eq!(former_settings, format!("# changed\n{settings}"));
    assert_eq!(fs::read_to_string(place.join("launcher.toml")).unwrap(), settings);
    install();
    assert_eq!(
        fs::read_to_string(place.join("launcher.toml.old")).unwrap(),
        former_settings,
        "once more"
    );
    // An installation that was ended before it had put them back.
    let former = user.join(".local/lib/.sample.old");
    fs::create_dir(&former).unwrap();
    for name in ["uninstall", "launcher.toml"] {
        fs::copy(place.join(name), former.join(name)).unwrap();
    }
    fs::write(former.join("mine"), "x").unwrap();
    install();
    assert!(place.join("mine").is_file() && !former.exists());
    fs::remove_file(place.join("mine")).unwrap();
    assert!(shop.start(&command).contains("version=1.0.0"), "the app is still there");

    let removed = shop.as_user(place.join("uninstall"), &[]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    for left in [&place, &command, &user.join(".local/share/applications/kuzflow-sample.desktop")] {
        assert!(fs::symlink_metadata(left).is_err(), "{}", left.display());
    }
    let retained = crate::support::release::tree(&user.join(".local/share/kuzflow/sample"));
    let retained: Vec<&Path> = retained.keys().map(AsRef::as_ref).collect();
    assert!(retained.iter().any(|path| path.ends_with("mine")), "{retained:?}");
    // The next installation takes the user's files over.
    install();
    shop.start(&command);
    assert!(shop.data("1.0.0").join("mine").is_file());
}

#[test]
fn a_launcher_that_is_newer_than_the_file_stays() {
    let shop = Shop::new();
    // Its version is that of the tools to which `true` belongs.
    let run = shop.installer("run", small_program(), &[]);
    let program = shop.user().join(".local/lib/sample/sample");
    let install = || {
        let output = shop.as_user("sh", &[text(&run)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    install();
    let brought = fs::read(&program).unwrap();
    let answer = String::from_utf8(shop.as_user(&program, &["--version"]).stdout).unwrap();
    let version = answer.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    // Writes a launcher of this version; says whether the next installation leaves it.
    let stays = |version: &str| {
        let script = format!("#!/bin/sh\n[ \"$1\" != --version ] || echo 'sample {version}'\n");
        // The file is a new one: the one before may run.
        fs::remove_file(&program).unwrap();
        fs::write(&program, &script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, mode).unwrap();
        fs::write(program.with_extension("update.json"), "{}").unwrap();
        install();
        let is_script = fs::read(&program).unwrap() == script.as_bytes();
        assert_eq!(program.with_extension("update.json").exists(), is_script, "{version}");
        assert!(is_script || fs::read(&program).unwrap() == brought, "{version}");
        is_script
    };
    for newer in ["99.0.0", "99.0.0-rc.1", &format!("{version}.1"), "99.0.0+build"] {
        assert!(stays(newer), "{newer}");
    }
    for older in ["0.1.0", &version, &format!("{version}-rc.1"), "unknown", ""] {
        assert!(!stays(older), "{older}");
    }
}

#[test]
fn versions_are_ordered_as_everywhere() {
    let script = include_str!("../../../src/installers/run_install.sh");
    let functions = &script[script.find("next_parts()").unwrap()..];
    let functions = &functions[..functions.find("# A launcher renews itself").unwrap()];
    let order = [
        "0.9.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.2.0",
        "1.10.0",
        "2.0.0+x",
    ];
    for (at, one) in order.iter().enumerate() {
        for (other_at, other) in order.iter().enumerate() {
            let test = format!("{functions}\nis_newer '{one}' '{other}'");
            let status = std::process::Command::new("sh").args(["-c", &test]).status().unwrap();
            assert_eq!(status.success(), at > other_at, "{one} and {other}");
        }
    }
}

#[test]
fn a_damaged_file_is_refused_and_nothing_of_a_user_is_replaced() {
    let shop = Shop::new();
    let run = shop.installer("run", small_program(), &[]);
    let user = shop.user();
    let command = user.join(".local/bin/sample");
    fs::create_dir_all(command.parent().unwrap()).unwrap();
    fs::write(&command, "of the user").unwrap();
    // /bin/true says yes to everything, also to `shortcut`.
    let output = shop.as_user("sh", &[text(&run)]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("is another program and stays"));
    assert_eq!(fs::read(&command).unwrap(), b"of the user");

    let mut bytes = fs::read(&run).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    fs::write(&run, &bytes).unwrap();
    fs::remove_dir_all(user.join(".local/lib")).unwrap();
    let output = shop.as_user("sh", &[text(&run)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("this file is damaged"));
    assert!(!user.join(".local/lib/sample").exists());
}
