//! Tests of `desktop::old_shortcuts` in the folders of an invented user.

use std::fs;

use super::*;
use crate::desktop::shortcut::tests::{User, entry, user};

const OWN: &str = "/home/u/.local/lib/label/labelImg";

fn programs(texts: &[&str]) -> Vec<ReplacedProgram> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn put_entry(path: &Path, exec: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("[Desktop Entry]\nType=Application\nName=x\nExec={exec}\n")).unwrap();
}

fn found(user: &User, texts: &[&str], system: System) -> Vec<OldShortcut> {
    find(&programs(texts), Path::new(OWN), &user.home, &user.folders, system)
}

fn paths(old: &[OldShortcut]) -> Vec<PathBuf> {
    old.iter().map(|it| it.path.clone()).collect()
}

#[test]
fn only_entries_that_start_the_old_program_are_found() {
    let user = user();
    let menu = user.folders.data.join("applications");
    let desktop = user.folders.desktop.clone().unwrap();
    for (name, exec) in [
        ("old.desktop", "/opt/label/labelImg %F"),
        ("sub/script.desktop", "python3 \"/opt/my label/main.py\""),
        ("own.desktop", &format!("{OWN} run")),
        ("other.desktop", "/usr/bin/gimp labelImg.png"),
        ("no entry.txt", "/opt/label/labelImg"),
    ] {
        put_entry(&menu.join(name), exec);
    }
    put_entry(&desktop.join("icon.desktop"), "labelImg");
    let old = found(&user, &["labelImg", "my label/main.py"], System::Freedesktop);
    let mut expected =
        [menu.join("old.desktop"), menu.join("sub/script.desktop"), desktop.join("icon.desktop")];
    expected.sort();
    assert_eq!(paths(&old), expected);
    assert_eq!(old.iter().filter(|it| it.is_on_desktop).count(), 1);
    assert!(old.iter().all(|it| it.name == "x"), "as the entry says: {old:?}");
    assert!(found(&user, &[], System::Freedesktop).is_empty());
    assert!(found(&user, &["labelImg"], System::Mac).is_empty());
}

#[test]
fn the_launchers_own_entry_is_no_old_one() {
    let user = user();
    let own = crate::desktop::Entry { program: "/srv/moved/labelImg".into(), ..entry() };
    shortcut::make(&own, &user.home, &user.folders, true, System::Freedesktop).unwrap();
    assert!(found(&user, &["labelImg"], System::Freedesktop).is_empty());
}

#[test]
fn a_link_of_squirrel_is_found_in_the_start_menu() {
    let user = user();
    let menu = user.folders.data.join("Microsoft\\Windows\\Start Menu\\Programs");
    fs::create_dir_all(menu.join("Example Ltd")).unwrap();
    let link = menu.join("Example Ltd/LabelImg.lnk");
    fs::write(&link, include_bytes!("../written.lnk")).unwrap();
    fs::write(menu.join("broken.lnk"), "x").unwrap();
    let old = found(&user, &["LabelImg/Update.exe"], System::Windows);
    assert_eq!(paths(&old), [link]);
    assert_eq!(old[0].program, r"C:\LabelImg\Update.exe");
    assert_eq!(old[0].name, "LabelImg");
}

#[test]
fn what_gave_way_comes_back_as_it_was_if_its_program_is_there() {
    let user = user();
    let menu = user.folders.data.join("applications");
    let program = user.folders.home.join("old/labelImg");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, "").unwrap();
    let names = ["a.desktop", "gone.desktop", "taken.desktop"];
    put_entry(&menu.join(names[0]), program.to_str().unwrap());
    let gone = user.folders.home.join("gone/labelImg");
    put_entry(&menu.join(names[1]), gone.to_str().unwrap());
    put_entry(&menu.join(names[2]), program.to_str().unwrap());
    let before = fs::read(menu.join(names[0])).unwrap();
    let old = found(&user, &["labelImg"], System::Freedesktop);
    record(&old, &user.home).unwrap();
    remove(&old).unwrap();
    assert_eq!(replaced(&user.home).unwrap(), 3);
    assert!(names.iter().all(|name| !menu.join(name).exists()) && is_recorded(&user.home));
    assert!(found(&user, &["labelImg"], System::Freedesktop).is_empty());
    fs::write(menu.join(names[2]), "the user's own").unwrap();

    assert_eq!(restore(&user.home).unwrap(), [menu.join(names[0])]);
    assert_eq!(fs::read(menu.join(names[0])).unwrap(), before);
    assert!(!menu.join(names[1]).exists(), "it would start nothing");
    assert_eq!(fs::read(menu.join(names[2])).unwrap(), b"the user's own");
    assert!(!is_recorded(&user.home) && restore(&user.home).unwrap().is_empty());
}

/// As on Windows, where an icon has the app's name.
#[test]
fn the_apps_own_shortcut_in_the_place_of_an_old_one_stays_until_it_goes_itself() {
    let user = user();
    let menu = user.folders.data.join("applications");
    let place = menu.join("kuzflow-sample.desktop");
    put_entry(&place, "labelImg");
    put_entry(&menu.join("old.desktop"), "labelImg");
    let before = fs::read(&place).unwrap();
    let old = found(&user, &["labelImg"], System::Freedesktop);
    assert_eq!(old.len(), 2);
    record(&old, &user.home).unwrap();
    let own = crate::desktop::Entry { program: OWN.into(), ..entry() };
    shortcut::make(&own, &user.home, &user.folders, false, System::Freedesktop).unwrap();
    remove(&old).unwrap();
    let own = fs::read(&place).unwrap();
    assert!(own != before && !menu.join("old.desktop").exists());
    assert_eq!(replaced(&user.home).unwrap(), 1);

    assert_eq!(restore(&user.home).unwrap(), [menu.join("old.desktop")]);
    assert_eq!(fs::read(&place).unwrap(), own);
    assert!(is_recorded(&user.home) && replaced(&user.home).unwrap() == 0);
    shortcut::remove(&user.home, None, None, System::Freedesktop).unwrap();
    assert_eq!(restore(&user.home).unwrap(), std::slice::from_ref(&place));
    assert!(fs::read(&place).unwrap() == before && !is_recorded(&user.home));
}

#[test]
fn a_record_that_cannot_be_read_is_not_written_over() {
    let user = user();
    user.home.create().unwrap();
    fs::write(user.home.old_shortcuts(), "damaged").unwrap();
    put_entry(&user.folders.data.join("applications/a.desktop"), "labelImg");
    let old = found(&user, &["labelImg"], System::Freedesktop);
    assert!(record(&old, &user.home).is_err() && replaced(&user.home).is_err());
    assert_eq!(fs::read(user.home.old_shortcuts()).unwrap(), b"damaged");
}
