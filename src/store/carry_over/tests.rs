//! Tests of what becomes of the user's files, and of the defaults beside them.

use crate::model::ContainerId;
use crate::store::fixture::Fixture;
#[cfg(unix)]
use crate::store::fixture::make_unreadable;

use super::super::copying::allocated;
use super::*;

/// The files that `to` would get, in a separate folder.
struct Laid {
    carried_over: CarriedOver,
    folder: PathBuf,
}

fn conflict(yours: &str, beside: &str) -> Conflict {
    Conflict { yours: PathBuf::from(yours), beside: PathBuf::from(beside) }
}

impl Laid {
    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(path)).ok()
    }
}

fn carry(fixture: &Fixture, from: &ContainerId, to: &ContainerId) -> Laid {
    let folder = fixture.home.root().join(format!("laid-{:08x}", fastrand::u32(..)));
    fs::create_dir(&folder).unwrap();
    let (source, target) = (fixture.home.container(from), fixture.home.container(to));
    Laid { carried_over: lay_out(&source, &target, &folder, false, &|_, _| ()).unwrap(), folder }
}

#[test]
fn each_file_goes_its_own_way() {
    let fixture = Fixture::new();
    let old = [
        ("config/untouched", "a"),
        ("config/changed", "a"),
        ("config/both", "a"),
        ("config/same", "a"),
        ("config/gone", "a"),
        ("temp/t", "a"),
    ];
    let new = [
        ("config/untouched", "b"),
        ("config/changed", "a"),
        ("config/both", "b"),
        ("config/same", "b"),
    ];
    let (one, two) = (fixture.install("1.0.0", &old), fixture.install("2.0.0", &new));
    fixture.write(&one, "config/changed", "mine");
    fixture.write(&one, "config/both", "mine");
    fixture.write(&one, "config/same", "b");
    fixture.write(&one, "data/folder/made", "mine");
    fixture.write(&one, "temp/made", "mine");
    fs::create_dir(fixture.home.container(&one).join("data/empty")).unwrap();
    for round in 0..2 {
        let laid = carry(&fixture, &one, &two);
        assert_eq!(
            laid.carried_over.conflicts,
            [conflict("config/both", "config/both.new-default")],
            "round {round}"
        );
        assert_eq!(
            laid.carried_over.carried,
            [Path::new("config/changed"), Path::new("data/folder/made")]
        );
        assert!(laid.folder.join("data/empty").is_dir() && laid.folder.join("logs").is_dir());
        let read = |path: &str| laid.read(path);
        assert_eq!(read("config/untouched").as_deref(), Some("b"), "an untouched default moves on");
        assert_eq!(read("config/changed").as_deref(), Some("mine"));
        assert_eq!(read("config/both").as_deref(), Some("mine"));
        assert_eq!(read("config/both.new-default").as_deref(), Some("b"));
        assert_eq!(read("config/same").as_deref(), Some("b"));
        assert_eq!(
            read("config/gone"),
            None,
            "an untouched default that is no longer shipped goes"
        );
        assert_eq!(read("data/folder/made").as_deref(), Some("mine"));
        assert_eq!(read("temp/made"), None);
    }
    assert_eq!(
        fixture.read(&one, "config/both").as_deref(),
        Some("mine"),
        "the old version is as it was"
    );
}
#[test]
fn a_version_that_was_used_before_finds_its_defaults_and_the_present_files_and_no_older_ones() {
    let fixture = Fixture::new();
    let files = [("config/default", "a"), ("config/reset", "a"), ("config/moved", "a")];
    let one = fixture.install("1.0.0", &files);
    let two = fixture
        .install("2.0.0", &[("config/default", "a"), ("config/reset", "b"), ("config/moved", "b")]);
    for (path, text) in [
        ("data/document", "old"),
        ("data/only here", "old"),
        ("config/reset", "mine"),
        ("config/moved", "mine"),
    ] {
        fixture.write(&one, path, text);
    }
    for (path, text) in [
        ("data/document", "present"),
        ("config/default", "present"),
        ("config/reset", "a"),
        ("data/new", "present"),
    ] {
        fixture.write(&two, path, text);
    }
    assert!(!is_pristine(&fixture.home.container(&one)));
    let laid = carry(&fixture, &two, &one);
    assert!(laid.carried_over.conflicts.is_empty(), "{:?}", laid.carried_over);
    for path in ["data/document", "config/default", "data/new"] {
        assert_eq!(laid.read(path).as_deref(), Some("present"), "{path}");
    }
    assert_eq!(
        laid.read("data/only here"),
        None,
        "the user deleted it since, or it belongs to another time"
    );
    assert_eq!(
        laid.read("config/reset").as_deref(),
        Some("a"),
        "what the user has now, though it is a shipped default here"
    );
    assert_eq!(
        laid.read("config/moved").as_deref(),
        Some("a"),
        "the default, though the user had changed it in that version"
    );
}

#[test]
fn a_file_where_the_other_side_has_a_folder_is_retained_beside() {
    let fixture = Fixture::new();
    let one = fixture.install("1.0.0", &[]);
    let two = fixture.install("2.0.0", &[("config/file/inside", "b"), ("config/folder", "b")]);
    fixture.write(&one, "config/file", "mine");
    fixture.write(&one, "config/folder/deep/inside", "mine");
    for _ in 0..2 {
        let laid = carry(&fixture, &one, &two);
        let folder = conflict("config/folder.kept/deep/inside", "config/folder");
        assert_eq!(
            laid.carried_over.conflicts,
            [conflict("config/file.kept", "config/file"), folder]
        );
        let read = |path: &str| laid.read(path);
        assert_eq!(read("config/file/inside").as_deref(), Some("b"));
        assert_eq!(read("config/file.kept").as_deref(), Some("mine"));
        assert_eq!(read("config/folder").as_deref(), Some("b"));
        assert_eq!(read("config/folder.kept/deep/inside").as_deref(), Some("mine"));
    }
}

#[test]
fn files_and_folders_keep_mode_and_time() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    fixture.write(&one, "data/folder/file", "mine");
    let source = fixture.home.container(&one).join("data/folder/file");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&source).unwrap().set_modified(time).unwrap();
    for path in [&source, source.parent().unwrap()] {
        let mut permissions = fs::metadata(path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(path, permissions).unwrap();
    }
    let is_read_only = |folder: &Path| fs::metadata(folder).unwrap().permissions().readonly();
    let folder_is_read_only = is_read_only(source.parent().unwrap());
    // Windows' folders have this attribute; Wine leaves it out.
    assert!(folder_is_read_only || cfg!(windows));
    for _ in 0..2 {
        let laid = carry(&fixture, &one, &two);
        let copy = fs::metadata(laid.folder.join("data/folder/file")).unwrap();
        assert!(copy.permissions().readonly());
        assert_eq!(copy.modified().unwrap(), time);
        assert_eq!(is_read_only(&laid.folder.join("data/folder")), folder_is_read_only);
        crate::store::files::remove_tree(&laid.folder).unwrap();
        assert!(!laid.folder.exists(), "read-only folders can be removed too");
    }
    crate::store::files::remove_tree(&fixture.home.container(&one)).unwrap();
}

#[test]
#[cfg(unix)]
fn links_stay_links() {
    use std::os::unix::fs::symlink;
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    let outside = fixture.home.root().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("photo"), "x").unwrap();
    fixture.write(&one, "data/file", "mine");
    let source = fixture.home.container(&one).join("data");
    symlink(&outside, source.join("folder")).unwrap();
    symlink("file", source.join("near")).unwrap();
    symlink("nowhere", source.join("broken")).unwrap();
    for _ in 0..2 {
        let laid = carry(&fixture, &one, &two);
        let target = laid.folder.join("data");
        assert_eq!(laid.carried_over.carried.len(), 4);
        assert_eq!(fs::read_link(target.join("folder")).unwrap(), outside);
        assert_eq!(fs::read_link(target.join("near")).unwrap(), Path::new("file"));
        assert_eq!(fs::read_link(target.join("broken")).unwrap(), Path::new("nowhere"));
    }
    assert_eq!(fs::read_to_string(outside.join("photo")).unwrap(), "x");
}

#[test]
fn a_new_default_put_beside_does_not_outlive_its_release() {
    let fixture = Fixture::new();
    let ids = [("1.0.0", "a"), ("2.0.0", "b"), ("3.0.0", "c")]
        .map(|(version, text)| fixture.install(version, &[("config/x", text)]));
    let switch = |id| {
        crate::store::switch::switch(
            &fixture.home,
            id,
            crate::store::switch::SwitchOptions::PLAIN,
            &fixture.lock,
        )
    };
    for id in &ids {
        switch(id).unwrap();
        if *id == ids[0] {
            fixture.write(id, "config/x", "mine");
        }
    }
    assert_eq!(fixture.read(&ids[1], "config/x.new-default").as_deref(), Some("b"));
    assert_eq!(fixture.read(&ids[2], "config/x").as_deref(), Some("mine"));
    assert_eq!(fixture.read(&ids[2], "config/x.new-default").as_deref(), Some("c"));
}

#[test]
#[cfg(unix)]
fn a_default_that_cannot_be_read_is_an_error_and_not_gone() {
    let fixture = Fixture::new();
    let one = fixture.install("1.0.0", &[("config/settings", "one"), ("config/plain", "one")]);
    let two = fixture.install("2.0.0", &[("config/settings", "two"), ("config/plain", "two")]);
    let (source, target) = (fixture.home.container(&one), fixture.home.container(&two));
    fixture.write(&one, "config/settings", "mine");
    let retained = target.join(crate::model::manifest::RETAINED_FOLDER);
    let aside = make_unreadable(&retained);
    // The version still has its defaults in their own places.
    let laid = carry(&fixture, &one, &two);
    assert_eq!(laid.read("config/settings.new-default").as_deref(), Some("two"));
    fixture.write(&two, "config/settings", "of an earlier time");
    let folder = fixture.home.root().join("not laid");
    fs::create_dir(&folder).unwrap();
    let refused = lay_out(&source, &target, &folder, false, &|_, _| ()).unwrap_err();
    assert!(matches!(&refused, StoreError::File(_)), "{refused:?}");
    // The default is lost for good: nothing lies beside the user's file, and nobody is told so.
    fs::remove_file(&retained).unwrap();
    let laid = carry(&fixture, &one, &two);
    assert_eq!(laid.carried_over.conflicts, []);
    assert_eq!(laid.read("config/settings").as_deref(), Some("mine"));
    assert_eq!(laid.read("config/settings.new-default"), None);
    assert_eq!(laid.read("config/plain").as_deref(), Some("two"));
    fs::rename(&aside, &retained).unwrap();
    let laid = carry(&fixture, &one, &two);
    assert_eq!(
        laid.carried_over.conflicts,
        [conflict("config/settings", "config/settings.new-default")]
    );
}

#[test]
#[cfg(unix)]
fn user_folders_that_cannot_be_looked_at_are_not_lost() {
    let fixture = Fixture::new();
    let one = fixture.install("1.0.0", &[]);
    let container = fixture.home.container(&one);
    assert!(!has_files(&container).unwrap());
    std::os::unix::fs::symlink("/nowhere", container.join("data")).unwrap();
    assert!(has_files(&container).unwrap(), "a link to a disk that is not mounted now");
    make_unreadable(&container);
    assert!(has_files(&container).is_err());
}

#[test]
fn with_a_damaged_manifest_everything_is_the_users() {
    let fixture = Fixture::new();
    let (one, two) = (
        fixture.install("1.0.0", &[("config/x", "a")]),
        fixture.install("2.0.0", &[("config/x", "b")]),
    );
    fs::write(fixture.home.manifest(&one), "{").unwrap();
    let laid = carry(&fixture, &one, &two);
    assert_eq!(laid.carried_over.conflicts, [conflict("config/x", "config/x.new-default")]);
    assert_eq!(laid.read("config/x").as_deref(), Some("a"));
    assert_eq!(laid.read("config/x.new-default").as_deref(), Some("b"));
    // The manifest of the next version cannot be read: its present files serve as defaults.
    fs::write(fixture.home.manifest(&two), "{").unwrap();
    fixture.write(&one, "data/made", "mine");
    let laid = carry(&fixture, &one, &two);
    assert_eq!(
        (laid.read("config/x").as_deref(), laid.read("data/made").as_deref()),
        (Some("a"), Some("mine"))
    );
}

#[test]
fn a_name_that_leaves_no_room_for_an_ending_is_shortened_and_known_again() {
    let fixture = Fixture::new();
    let [long, other] = ["x", "y"].map(|end| format!("config/{}{end}", "长".repeat(83)));
    let files = |text: &'static str| [(long.as_str(), text), (other.as_str(), text)];
    let ids = [("1.0.0", "a"), ("2.0.0", "b"), ("3.0.0", "c")]
        .map(|(version, text)| fixture.install(version, &files(text)));
    let switch = |id| {
        crate::store::switch::switch(
            &fixture.home,
            id,
            crate::store::switch::SwitchOptions::PLAIN,
            &fixture.lock,
        )
    };
    for id in &ids {
        let (_, carried_over) = switch(id).unwrap();
        if *id == ids[0] {
            fixture.write(id, &long, "mine");
            fixture.write(id, &other, "mine too");
            continue;
        }
        assert_eq!(carried_over.conflicts.len(), 2);
        let texts = carried_over
            .conflicts
            .iter()
            .map(|both| fixture.read(id, both.beside.to_str().unwrap()).unwrap());
        let expected = if *id == ids[1] { "b" } else { "c" };
        assert_eq!(texts.collect::<Vec<_>>(), [expected; 2], "{:?}", carried_over.conflicts);
    }
    let names = fs::read_dir(fixture.home.container(&ids[2]).join("config")).unwrap();
    assert_eq!(names.count(), 4, "the new default of before is gone");
}

#[cfg(unix)]
#[test]
fn a_large_file_of_holes_needs_no_room() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    fixture.write(&one, "data/table", "head");
    let table = fs::File::options()
        .write(true)
        .open(fixture.home.container(&one).join("data/table"))
        .unwrap();
    table.set_len(4 << 30).unwrap();
    assert!(bytes_of(&fixture.home.container(&one)).unwrap() < 1 << 20);
    let laid = carry(&fixture, &one, &two);
    let path = laid.folder.join("data/table");
    let copy = fs::metadata(&path).unwrap();
    assert_eq!(copy.len(), 4 << 30);
    assert!(allocated(&path, &copy) < 1 << 20, "holes stay holes");
}

#[test]
fn what_goes_while_files_are_carried_over_is_no_failure() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    for number in 0..20 {
        fixture.write(&one, &format!("data/file-{number:02}"), "mine");
    }
    fixture.write(&one, "data/later/file", "mine");
    let (source, target) = (fixture.home.container(&one), fixture.home.container(&two));
    let folder = fixture.home.root().join("laid");
    fs::create_dir(&folder).unwrap();
    // Like a program that still works with these files: after the first of them was carried over,
    // it deletes others.
    let reported = |_, _| {
        for number in 10..20 {
            let _ = fs::remove_file(source.join(format!("data/file-{number:02}")));
        }
        let _ = fs::remove_dir_all(source.join("data/later"));
    };
    let carried_over = lay_out(&source, &target, &folder, false, &reported).unwrap();
    assert_eq!(carried_over.carried.len(), 10);
    assert!(
        folder.join("data/file-09").exists()
            && !folder.join("data/file-10").exists()
            && !folder.join("data/later/file").exists()
    );
}

#[cfg(unix)]
#[test]
fn a_file_with_several_names_stays_one() {
    use std::os::unix::fs::MetadataExt as _;
    let fixture = Fixture::new();
    let (one, two) = (fixture.install("1.0.0", &[]), fixture.install("2.0.0", &[]));
    fixture.write(&one, "data/backup/first", "0123456789");
    fixture.write(&one, "data/single", "mine");
    let data = fixture.home.container(&one).join("data");
    for name in ["backup/second", "third"] {
        fs::hard_link(data.join("backup/first"), data.join(name)).unwrap();
    }
    // A second name outside of the user's folders does not belong to the user's files.
    fs::hard_link(data.join("single"), fixture.home.root().join("elsewhere")).unwrap();
    assert_eq!(bytes_of(&fixture.home.container(&one)).unwrap(), 14);
    let laid = carry(&fixture, &one, &two);
    let found = |name: &str| fs::metadata(laid.folder.join("data").join(name)).unwrap();
    assert_eq!(
        ["backup/first", "backup/second", "third"].map(|name| found(name).ino()),
        [found("third").ino(); 3]
    );
    assert_eq!((found("third").nlink(), found("single").nlink()), (3, 1));
    assert_ne!(
        found("third").ino(),
        fs::metadata(data.join("third")).unwrap().ino(),
        "the version that is left keeps its own"
    );
}
