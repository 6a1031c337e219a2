//! Tests of `model::manifest`.

use super::*;

fn file(size: u64) -> Entry {
    Entry { size, mtime: 0, hash: Digest::of(b"x"), permissions: Permissions::FILE, symlink: None }
}

fn link(target: &str) -> Entry {
    Entry {
        size: 0,
        hash: Digest::of(target.as_bytes()),
        symlink: Some(target.to_owned()),
        ..file(0)
    }
}

fn manifest(entries: &[(&str, Entry)]) -> Manifest {
    let mut files: BTreeMap<RelativePath, Entry> =
        entries.iter().map(|(path, entry)| (path.parse().unwrap(), entry.clone())).collect();
    files.entry("app/app.py".parse().unwrap()).or_insert_with(|| file(10));
    Manifest::sample(files)
}

fn refused(entries: &[(&str, Entry)]) -> InvalidManifest {
    manifest(entries).check().unwrap_err()
}

fn manifest_for(os: &str, entries: &[(&str, Entry)]) -> Manifest {
    let mut manifest = manifest(entries);
    manifest.platform_info.os = os.to_owned();
    manifest
}

#[test]
fn json_and_back() {
    let manifest = manifest(&[("app/b", file(5)), ("app/l", link("b"))]);
    let json = manifest.to_json().unwrap();
    assert_eq!(Manifest::from_json(&json).unwrap(), manifest);
    let text = String::from_utf8(json).unwrap();
    assert!(
        text.contains("\"file_manifest\"")
            && text.contains("\"permissions\": \"644\"")
            && text.contains("\"signature\": null")
    );
    assert!(matches!(
        Manifest::from_json(text.replace("\"format\": 2", "\"format\": 1").as_bytes()),
        Err(InvalidManifest::Format { found: 1 })
    ));
    assert!(Manifest::from_json(text.replace("\"644\"", "\"4755\"").as_bytes()).is_err());
    assert!(Manifest::from_json(text.replace("app/b", "../b").as_bytes()).is_err());
}

#[test]
fn names_that_collide_are_refused() {
    for os in ["Linux", "Windows", "Darwin"] {
        for pair in [
            ("app/x", "app/x/y"),
            ("metadata/Container.json", "app/z"),
            ("metadata/package.json", "app/z"),
        ] {
            let error =
                manifest_for(os, &[(pair.0, file(1)), (pair.1, file(1))]).check().unwrap_err();
            assert!(matches!(error, InvalidManifest::Collision { .. }), "{os} {pair:?}: {error}");
        }
    }
}

#[test]
fn names_that_differ_in_case_alone_collide_where_the_system_takes_them_for_one() {
    for pair in [
        ("app/A.py", "app/a.py"),
        ("App2/x", "app2/y"),
        ("app/X", "app/x/y"),
        ("app/u\u{308}.txt", "app/\u{fc}.txt"),
        ("runtime/share/terminfo/2/2621A", "runtime/share/terminfo/2/2621a"),
        ("runtime/share/terminfo/E/Eterm", "runtime/share/terminfo/e/eterm"),
    ] {
        let checked = |os| manifest_for(os, &[(pair.0, file(1)), (pair.1, file(1))]).check();
        for os in ["Windows", "Darwin"] {
            assert!(matches!(checked(os), Err(InvalidManifest::Collision { .. })), "{os} {pair:?}");
        }
        assert!(checked("Linux").is_ok(), "{pair:?}");
    }
}

#[test]
fn links_that_leave_or_lead_are_refused() {
    assert!(matches!(refused(&[("app/l", link("../../x"))]), InvalidManifest::Link { .. }));
    assert!(matches!(refused(&[("app/l", link("/etc"))]), InvalidManifest::Link { .. }));
    assert!(matches!(refused(&[("data/l", link("x"))]), InvalidManifest::Link { .. }));
    assert!(matches!(
        refused(&[("app/l", Entry { hash: Digest::of(b"other"), ..link("b") })]),
        InvalidManifest::Link { .. }
    ));
    assert!(matches!(
        refused(&[("app/l", link("../data")), ("app/l/x", file(1))]),
        InvalidManifest::Collision { .. }
    ));
}

#[test]
fn impossible_sizes_are_refused() {
    assert!(refused(&[("app/b", file(0))]).to_string().contains("hash"));
    assert!(refused(&[("app/b", file(u64::MAX))]).to_string().contains("beyond"));
}

#[test]
fn the_program_must_be_among_the_files() {
    let mut manifest = manifest(&[]);
    manifest.application_info.launch.program = "runtime/bin/python3".parse().unwrap();
    assert!(matches!(manifest.check(), Err(InvalidManifest::NoProgram { .. })));
}
