//! How rooms look at files: an error is no absence.

use super::sources;

/// An error is no absence. Some rooms delete, move or replace a file because another one is
/// missing. There the code looks at files through `look`, which distinguishes the two.
#[test]
fn no_look_takes_an_error_for_absence() {
    let forms = [
        (
            ".flatten().flatten()",
            "look::entries, or look::entries_if_readable where nothing is decided by it",
        ),
        (".exists()", "look::is_there"),
        (".is_dir()\n", "look::is_folder"),
        ("symlink_metadata(path).is_ok()", "look::is_there"),
        ("symlink_metadata(from).is_err()", "look::is_there"),
        ("fs::read(", "look::read"),
        ("read_to_string(", "look::read"),
        ("fs::read_dir(", "look::entries"),
    ];
    let places = [
        "store",
        "desktop",
        "peers",
        "fetch",
        "trust",
        "engine",
        "update",
        "session",
        "schedule",
        "messages",
        "container",
        "durable.rs",
    ];
    let allowed = [
        // The launcher shows the output of a script.
        ("store/migration_script.rs", "fs::read("),
        // A pipe from a program that the launcher started.
        ("desktop/program/staged.rs", "read_to_string("),
        // Files of the system.
        ("store/lock.rs", "read_to_string("),
        // An unpacking ends with that error.
        ("container/unpack.rs", "fs::read_dir("),
        // The program makes every file of a tree durable; an error ends that.
        ("durable.rs", "fs::read_dir("),
    ];
    let mut found = Vec::new();
    for (_, path, code) in sources() {
        let path = path.to_str().unwrap().replace('\\', "/");
        let is_guarded =
            places.iter().any(|place| path == *place || path.starts_with(&format!("{place}/")));
        if !is_guarded || path.ends_with("tests.rs") || path.ends_with("fixture.rs") {
            continue;
        }
        let code = code.split("mod tests {").next().unwrap_or_default();
        for (form, instead) in forms {
            if code.contains(form) && !allowed.contains(&(path.as_str(), form)) {
                found.push(format!("{path}: `{}`: use {instead}", form.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
