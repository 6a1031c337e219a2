//! Links in the start menu and on the desktop, and the type of an app's files.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Registered, installed, launcher_in_plain_form};
use crate::support::release::World;

/// The default value of a key of the registry.
pub(super) fn registered(key: &str) -> Option<String> {
    let output = Command::new("reg").args(["query", key, "/ve"]).output().unwrap();
    let reported = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(reported.split_once("REG_SZ")?.1.trim().to_owned()).filter(|_| output.status.success())
}

/// The key of the class of files that this world's launcher opens.
fn class(world: &World) -> String {
    format!(r"HKCU\Software\Classes\{}", world.record("desktop.json")["class"].as_str().unwrap())
}

#[test]
fn links_and_file_type_name_the_launcher_in_plain_form_and_go_with_the_app() {
    let (world, _node) = installed();
    let made = world.say(&["shortcut", "--desktop"]);
    assert_eq!(made.code, 0, "{}", made.errors);
    let written = made.result["written"].as_array().unwrap().iter();
    let written: Vec<PathBuf> = written.map(|path| path.as_str().unwrap().into()).collect();
    let links: Vec<&PathBuf> =
        written.iter().filter(|path| path.extension().is_some_and(|end| end == "lnk")).collect();
    assert!(links.len() >= 2, "the menu's and the desktop's: {written:?}");
    let launcher = launcher_in_plain_form();
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for link in links {
        let bytes = fs::read(link).unwrap();
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(has(&wide(r"kuzflow-launcher.exe")), "{}", link.display());
        assert!(!has(&wide(r"\\?\")), "{}", link.display());
    }
    let class = class(&world);
    let command = registered(&format!(r"{class}\shell\open\command")).unwrap();
    assert!(command.contains(&launcher) && command.contains("%1"), "{command}");
    assert!(!command.contains(r"\\?\"), "{command}");

    fs::write(world.container("1.0.0").join("data/mine.txt"), "mine").unwrap();
    let done = world.say(&["uninstall", "--yes"]);
    assert_eq!(done.code, 0, "{}", done.errors);
    assert!(written.iter().all(|path| !path.exists()), "{written:?}");
    assert_eq!(registered(&class), None);
    let left: Vec<_> =
        fs::read_dir(world.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["user-data"], "the user's files, and nothing else");
}

#[test]
fn two_homes_of_an_app_have_links_of_their_own() {
    let ((one, _node), (other, _other_node)) = (installed(), installed());
    let links = |world: &World| -> Vec<PathBuf> {
        let made = world.say(&["shortcut", "--desktop"]);
        assert_eq!(made.code, 0, "{}", made.errors);
        let written = made.result["written"].as_array().unwrap().iter();
        let written = written.map(|path| PathBuf::from(path.as_str().unwrap()));
        written.filter(|path| path.extension().is_some_and(|end| end == "lnk")).collect()
    };
    let (first, second) = (links(&one), links(&other));
    assert!(first.len() >= 2 && first.len() == second.len(), "{first:?} {second:?}");
    assert!(first.iter().all(|link| !second.contains(link)), "{first:?} {second:?}");
    assert_eq!(one.say(&["uninstall", "--yes"]).code, 0);
    assert!(!first.iter().any(|link| link.exists()), "{first:?}");
    assert!(second.iter().all(|link| link.exists()), "{second:?}");
    assert_eq!(other.say(&["uninstall", "--yes"]).code, 0);
    assert!(!second.iter().any(|link| link.exists()), "{second:?}");
}

/// Before launchers looked, the second home took the link of the first one over.
#[test]
fn what_is_another_homes_by_now_stays() {
    let ((one, _node), (other, _other_node)) = (installed(), installed());
    let link = |world: &World, words: &[&str]| -> PathBuf {
        let made = world.say(words);
        assert_eq!(made.code, 0, "{}", made.errors);
        let file = made.result["file"].as_str();
        let written = made.result["written"].as_array().into_iter().flatten();
        let mut links = file.into_iter().chain(written.map(|path| path.as_str().unwrap()));
        links.find(|path| path.ends_with(".lnk")).unwrap().into()
    };
    for words in [&["shortcut"][..], &["autostart", "on"]] {
        let (own, theirs) = (link(&one, words), link(&other, words));
        assert_ne!(own, theirs);
        fs::copy(&theirs, &own).unwrap();
        let marked = link(&one, words);
        assert!(marked != own && marked.exists() && own.exists(), "{}", marked.display());
        assert_eq!(fs::read(&own).unwrap(), fs::read(&theirs).unwrap());
        fs::remove_file(&own).unwrap();
    }
    let (own, theirs) =
        (link(&one, &["autostart", "status"]), link(&other, &["autostart", "status"]));
    fs::copy(&theirs, &own).unwrap();
    assert_eq!(one.say(&["autostart", "status"]).result["autostart"], false);
    assert_eq!(one.say(&["autostart", "off"]).code, 3);
    assert!(own.exists());
    for world in [&one, &other] {
        assert_eq!(world.say(&["uninstall", "--yes"]).code, 0);
    }
    assert!(own.exists(), "it was the other home's, which does not know this place");
    fs::remove_file(own).unwrap();
}

/// Windows' list of startup apps, as its settings and its task manager write it.
const STARTUP_APPS: &str =
    r"HKCU\Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\StartupFolder";

#[test]
fn a_start_at_login_that_the_task_manager_has_switched_off_is_not_called_on() {
    let (world, _node) = installed();
    let on = world.say(&["autostart", "on"]);
    assert_eq!((on.code, &on.result["autostart"]), (0, &true.into()), "{}", on.errors);
    let file = PathBuf::from(on.result["file"].as_str().unwrap());
    let link = file.file_name().unwrap().to_str().unwrap();
    let list = |arguments: &[&str]| {
        let done = Command::new("reg").args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    let _registered = Registered::new(&[STARTUP_APPS, "/v", link]);
    let switched_off = "030000000000000000000000";
    list(&["add", STARTUP_APPS, "/v", link, "/t", "REG_BINARY", "/d", switched_off, "/f"]);
    assert_eq!(world.say(&["autostart", "status"]).result["autostart"], false);
    // The person's word there counts more than the launcher's switch.
    let again = world.say(&["autostart", "on"]);
    assert_eq!((again.code, &again.result["autostart"]), (3, &false.into()), "{}", again.errors);
    list(&["delete", STARTUP_APPS, "/v", link, "/f"]);
    assert_eq!(world.say(&["autostart", "status"]).result["autostart"], true);
    assert_eq!(world.say(&["autostart", "off"]).code, 0);
    assert!(!file.exists());
}
