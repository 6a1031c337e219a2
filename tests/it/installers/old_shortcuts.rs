//! Shortcuts that an earlier installation of the app has left: the installer names them, and they
//! give way only if the user says so.

use std::fs;
use std::process::Command;

use super::{Shop, launcher};
use crate::support::release::text;

/// Adds a line to `[app]` of the publisher's settings.
fn set(shop: &Shop, line: &str) {
    let path = shop.world.path("publisher/kuzflow.toml");
    let settings = fs::read_to_string(&path).unwrap();
    fs::write(&path, settings.replacen("[app]\n", &format!("[app]\n{line}\n"), 1)).unwrap();
}

fn answer(output: &std::process::Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn an_old_shortcut_gives_way_when_the_user_says_so_and_comes_back_with_the_uninstallation() {
    let shop = Shop::new();
    set(&shop, "replaces = [\"old app/labelImg\"]");
    let user = shop.user();
    let program = user.join("old app/labelImg");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, "").unwrap();
    let menu = user.join(".local/share/applications");
    fs::create_dir_all(&menu).unwrap();
    let put = |name: &str, exec: &str| {
        let path = menu.join(name);
        let entry = format!("[Desktop Entry]\nType=Application\nName=x\nExec={exec}\n");
        fs::write(&path, &entry).unwrap();
        (path, entry)
    };
    let (old, entry) = put("labelimg.desktop", &format!("\"{}\" %F", text(&program)));
    let (other, _) = put("other.desktop", "/usr/bin/other");

    let run = shop.installer("run", launcher(), &[]);
    let installed = answer(&shop.as_user("sh", &[text(&run)]));
    assert!(installed.contains(text(&old)), "{installed}");
    assert!(installed.contains("/.local/bin/sample old-shortcuts replace\n"), "{installed}");
    assert!(!installed.contains(text(&other)), "{installed}");
    assert!(old.exists(), "nothing is taken without a word of the user");

    let command = user.join(".local/bin/sample");
    shop.start(&command);
    let say = |what: &str| shop.as_user(&command, &["--headless", "old-shortcuts", what]);
    assert!(answer(&say("replace")).contains(text(&old)));
    assert!(!old.exists() && other.exists());
    assert!(menu.join("kuzflow-sample.desktop").is_file(), "the app is in the menu");
    for what in ["status", "replace"] {
        assert_eq!(say(what).status.code(), Some(3), "{what}: there is none any more");
    }
    assert!(answer(&say("restore")).contains(text(&old)));
    assert_eq!(fs::read_to_string(&old).unwrap(), entry);
    answer(&say("replace"));

    answer(&shop.as_user(user.join(".local/lib/sample/uninstall"), &[]));
    assert_eq!(fs::read_to_string(&old).unwrap(), entry, "the old program is still there");
    assert!(!user.join(".local/share/kuzflow/sample/old-shortcuts.json").exists());
}

#[test]
fn a_program_of_many_apps_is_refused_before_anything_is_written() {
    let shop = Shop::new();
    set(&shop, "replaces = [\"python3\"]");
    let folder = shop.world.path("publisher");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kuzflow"));
    let output = command.args(["package", "--repo", text(&folder)]).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(errors.contains("write its folder, too: MyApp/python3"), "{errors}");
    assert!(!folder.join("installers").exists());
}
