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
    // A file that the next installer does not bring.
    fs::write(place.join("of an older version"), "x").unwrap();
    install();
    assert!(!place.join("of an older version").exists());
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
