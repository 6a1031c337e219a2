//! The types of an app's documents in the user's registry, which the launcher's own entry makes.

use std::fs;

use super::installed;
use super::links::registered;
use crate::support::release::World;

/// Writes these lines behind the launcher's settings, in place of earlier ones.
fn with_documents(world: &World, lines: &str) {
    const MARK: &str = "\n# documents\n";
    let settings = fs::read_to_string(world.config()).unwrap();
    let settings = settings.split(MARK).next().unwrap();
    fs::write(world.config(), format!("{settings}{MARK}{lines}")).unwrap();
}

fn value(key: &str) -> Option<String> {
    registered(&format!(r"HKCU\Software\Classes\{key}"))
}

#[test]
fn the_launchers_entry_opens_documents_and_forgets_them_with_the_app() {
    let (world, _node) = installed();
    let table = |extension: &str| {
        format!("[[desktop.documents]]\nextensions = ['{extension}']\nname = 'Label file'\n")
    };
    with_documents(&world, &(table("kuzflow-test-a") + &table("txt")));
    assert_eq!(world.say(&["shortcut"]).code, 0);
    let bundles = world.record("desktop.json")["class"].as_str().unwrap().to_owned();
    let app = bundles.strip_suffix(".kuzflow-bundle").unwrap();
    let class = format!("{app}.kuzflow-test-a");
    assert_eq!(value(&class).as_deref(), Some("Label file"));
    assert_eq!(value(".kuzflow-test-a"), Some(class.clone()));
    let command = value(&format!(r"{class}\shell\open\command")).unwrap();
    assert!(command.ends_with(" run -- \"%1\""), "{command}");
    assert!(value(&format!(r"{app}.txt\shell\open\command")).is_some());
    assert_ne!(value(".txt"), Some(format!("{app}.txt")), "a common type is never taken over");

    // A later installer brings another name for them.
    let lines = table("kuzflow-test-a").replace("Label file", "Picture with labels");
    with_documents(&world, &(lines + &table("txt")));
    assert_eq!(world.say(&["shortcut"]).code, 0);
    assert_eq!(value(&class).as_deref(), Some("Picture with labels"));
    assert_eq!(world.say(&["shortcut"]).code, 3, "nothing has changed");

    // A later installer brings other documents.
    with_documents(&world, &table("kuzflow-test-b"));
    assert_eq!(world.say(&["shortcut"]).code, 0);
    assert_eq!(value(&class), None);
    assert_ne!(value(".kuzflow-test-a"), Some(class));
    let class = format!("{app}.kuzflow-test-b");
    assert_eq!(value(".kuzflow-test-b"), Some(class.clone()));

    assert_eq!(world.say(&["uninstall", "--yes"]).code, 0);
    assert_eq!(value(&class), None);
    assert_ne!(value(".kuzflow-test-b"), Some(class));
}
