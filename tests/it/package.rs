//! Packages across both sides: what the publisher writes, the launcher unpacks, unzip programs
//! read, and `inspect` refuses.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kuzflow::testing::container::{self, ContainerError, Fault};
use kuzflow::testing::model::manifest::*;
use kuzflow::testing::model::release::DocumentLocation;
use kuzflow::testing::model::{Manifest, PackageIndex, RelativePath};
use kuzflow::testing::publish::package::{
    self, Content, Draft, Effort, Item, Package, PackageError,
};
use proptest::prelude::*;

use crate::support::published::sample_manifest;

const EFFORT: Effort = Effort { level: 3, threads: 2 };

fn draft(files: &[(&str, &[u8])]) -> Draft {
    let with_program = files.iter().copied().chain([("app/app.py", &b"print('hello')\n"[..])]);
    let manifest = sample_manifest("1.2.3", "");
    Draft {
        container_info: manifest.container_info,
        platform_info: manifest.platform_info,
        application_info: manifest.application_info,
        dependencies: Vec::new(),
        items: with_program
            .map(|(path, content)| (path.parse().unwrap(), Item::text(content)))
            .collect(),
        empty_folders: Vec::new(),
    }
}

/// A draft with one of every kind of entry.
fn varied() -> Draft {
    let noise: Vec<u8> = std::iter::repeat_with({
        let mut random = fastrand::Rng::with_seed(7);
        move || random.u8(..)
    })
    .take(3000)
    .collect();
    let text = "a line of text that packs well\n".repeat(100);
    let mut draft = draft(&[
        ("app/noise", &noise),
        ("app/数据 1.txt", text.as_bytes()),
        ("app/empty", b""),
        ("app/tiny", b"x"),
    ]);
    let link =
        Item { content: Content::Link("数据 1.txt".to_owned()), permissions: Permissions::FILE };
    draft.items.insert("app/link".parse().unwrap(), link);
    let program = Item { permissions: Permissions::PROGRAM, ..Item::text("#!/bin/sh\n") };
    draft.items.insert("scripts/launch.sh".parse().unwrap(), program);
    draft.empty_folders.push("data/empty".parse().unwrap());
    draft
}

fn write(folder: &Path, draft: &Draft) -> (PathBuf, Package) {
    let path = folder.join("sample.kuzflow");
    let package = package::write_package(&path, draft, EFFORT, &|_| ()).unwrap();
    (path, package)
}

fn unpack(path: &Path, package: &Package, root: PathBuf) -> Result<(), ContainerError> {
    let bytes = fs::read(path).unwrap();
    let part = |location: &DocumentLocation| {
        &bytes[location.offset as usize..][..location.packed_size as usize]
    };
    let json =
        container::read_document(part(&package.manifest_location), &package.manifest_location)?;
    let manifest = Arc::new(Manifest::from_json(&json)?);
    assert_eq!(*manifest, package.manifest);
    let index =
        container::read_index(part(&package.index_location), &package.index_location, &manifest)?;
    assert_eq!(index, package.index);
    container::unpack_package(&File::open(path).unwrap(), manifest, &index, &json, root, 2, &|_| ())
}

#[test]
fn what_is_written_can_be_inspected_unpacked_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (path, package) = write(folder.path(), &varied());
    let inspected = package::inspect(&path, 2).unwrap();
    assert_eq!((inspected.length, inspected.hash), (package.length, package.hash));
    let documents =
        |package: &Package| (package.manifest_location.clone(), package.index_location.clone());
    assert_eq!(
        (documents(&inspected), &inspected.manifest),
        (documents(&package), &package.manifest)
    );
    assert_eq!(inspected.index, package.index);
    let release = package::release_of(&inspected, "stable", jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(
        (release.container.to_string().as_str(), release.file_count),
        ("sample_1.2.3_Linux_x86_64", 7)
    );

    let root = folder.path().join("tree");
    unpack(&path, &package, root.clone()).unwrap();
    let verification = container::verify_tree(&root, &package.manifest, 2, &|_| ());
    assert!(verification.is_whole() && verification.extra.is_empty(), "{verification:?}");
    assert_eq!(fs::read_to_string(root.join("app/link")).unwrap().lines().count(), 100);
    assert_eq!(
        fs::read(root.join("metadata/container.json")).unwrap(),
        package.manifest.to_json().unwrap()
    );
    // Beside the package there is only the folder that it was unpacked into.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_same_items_make_the_same_bytes_on_any_number_of_cores() {
    let folder = tempfile::tempdir().unwrap();
    let draft = varied();
    let mut hashes: Vec<_> = [1, 2, 5]
        .map(|threads| {
            let path = folder.path().join(format!("{threads}.kuzflow"));
            package::write_package(&path, &draft, Effort { level: 9, threads }, &|_| ())
                .unwrap()
                .hash
        })
        .to_vec();
    hashes.dedup();
    assert_eq!(hashes.len(), 1);
}

#[test]
fn an_independent_reader_finds_every_entry_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (path, package) = write(folder.path(), &varied());
    let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(archive.len(), package.manifest.file_manifest.len() + 3);
    for (name, entry) in &package.manifest.file_manifest {
        let mut file = archive.by_name(name.as_str()).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        match &entry.symlink {
            Some(target) => {
                assert_eq!((content.as_slice(), file.is_symlink()), (target.as_bytes(), true))
            }
            None => assert_eq!(kuzflow::testing::model::Digest::of(&content), entry.hash, "{name}"),
        }
        if let Some(packed) = package.index.places.get(name) {
            assert_eq!(
                (file.data_start(), file.compressed_size()),
                (Some(packed.offset), packed.size)
            );
            assert_eq!(file.unix_mode().unwrap() & 0o777, entry.permissions.mode());
        }
    }
    assert!(archive.by_name("data/empty/").unwrap().is_dir());
    let last = archive.by_index(archive.len() - 1).unwrap();
    assert_eq!(
        (last.name().unwrap().as_ref(), last.data_start()),
        (MANIFEST_PATH, Some(package.manifest_location.offset))
    );
}

#[test]
fn bsdtar_unpacks_the_same_tree() {
    let folder = tempfile::tempdir().unwrap();
    let (path, package) = write(folder.path(), &varied());
    let root = folder.path().join("tree");
    fs::create_dir(&root).unwrap();
    let run = std::process::Command::new("bsdtar")
        .arg("-xf")
        .arg(&path)
        .arg("-C")
        .arg(&root)
        .env("LC_ALL", "C.UTF-8")
        .status();
    let Ok(status) = run else {
        assert!(std::env::var_os("CI").is_none(), "bsdtar (libarchive-tools) is missing");
        eprintln!("passed over: bsdtar (libarchive-tools) is missing");
        return;
    };
    assert!(status.success());
    let verification = container::verify_tree(&root, &package.manifest, 2, &|_| ());
    assert!(verification.is_whole() && verification.extra.is_empty(), "{verification:?}");
}

#[test]
fn no_byte_of_a_package_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, package) = write(folder.path(), &draft(&[("app/a", &[b'a'; 100])]));
    let good = fs::read(&path).unwrap();
    let changed = folder.path().join("changed");
    // zstd has more than one frame for the same content. Then only the file's hash differs, which
    // is signed too.
    let frames = [&package.index_location, &package.manifest_location]
        .map(|location| location.span().unwrap());
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&changed, &bytes).unwrap();
        match package::inspect(&changed, 1) {
            Err(_) => {}
            Ok(other) if frames.iter().any(|frame| frame.contains(&(at as u64))) => {
                assert_eq!((&other.manifest, &other.index), (&package.manifest, &package.index));
                assert_ne!(other.hash, package.hash);
            }
            Ok(_) => panic!("byte {at} of {} can be changed", good.len()),
        }
    }
    for cut in 0..good.len() {
        fs::write(&changed, &good[..cut]).unwrap();
        assert!(package::inspect(&changed, 1).is_err(), "cut at {cut}");
    }
    for (what, bytes) in
        [("behind", [&good[..], b"x"].concat()), ("before", [b"x", &good[..]].concat())]
    {
        fs::write(&changed, &bytes).unwrap();
        assert!(package::inspect(&changed, 1).is_err(), "a byte {what}");
    }
}

/// The offset of the zip's directory, from its end record.
fn directory_of(bytes: &[u8]) -> usize {
    let at = bytes.len() - 6;
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

#[test]
fn hostile_directories_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, package) =
        write(folder.path(), &draft(&[("app/a", &[b'a'; 100]), ("app/b", &[b'b'; 100])]));
    let good = fs::read(&path).unwrap();
    let directory = directory_of(&good);
    let end = good.len() - 22;
    let changed = folder.path().join("changed");
    let refused = |bytes: &[u8]| {
        fs::write(&changed, bytes).unwrap();
        package::inspect(&changed, 1).unwrap_err()
    };
    let with_end = |body: &[u8], count: u16, size: u32| {
        let mut bytes = body.to_vec();
        bytes.extend(&good[end..end + 8]);
        bytes.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
        bytes.extend(size.to_le_bytes());
        bytes.extend(&good[end + 16..]);
        bytes
    };
    // The first central header once more: two overlapping entries of one name.
    let name_length =
        usize::from(u16::from_le_bytes(good[directory + 28..directory + 30].try_into().unwrap()));
    let first = &good[directory..directory + 46 + name_length];
    let doubled = [&good[..directory], first, &good[directory..end]].concat();
    let size = (end - directory + first.len()) as u32;
    assert!(matches!(
        refused(&with_end(&doubled, 6, size)),
        PackageError::Disagreement { part: "directory header", .. }
    ));
    // One entry left out of the directory, so that unzip programs miss it.
    let missing = [&good[..directory], &good[directory + first.len()..end]].concat();
    let size = (end - directory - first.len()) as u32;
    assert!(matches!(
        refused(&with_end(&missing, 4, size)),
        PackageError::Disagreement { part: "directory header", .. }
    ));
    // Another name in the local header than in the directory.
    let mut renamed = good.clone();
    let local = package.index.places["app/a"].offset as usize;
    renamed[local - 1] = b'z';
    assert!(matches!(refused(&renamed), PackageError::Disagreement { part: "local header", .. }));
    // A comment after the end, in which a second directory could hide.
    let mut comment = good.clone();
    let length = comment.len();
    comment[length - 2] = 4;
    comment.extend(b"PK\x05\x06");
    assert!(matches!(refused(&comment), PackageError::NoPackage { .. }));
    assert!(matches!(refused(b"PK"), PackageError::NoPackage { .. }));
}

/// A package with documents that `change` has modified; everything around them is right.
fn forged(folder: &Path, change: impl FnOnce(&mut Manifest, &mut PackageIndex)) -> PathBuf {
    let (path, mut package) =
        write(folder, &draft(&[("app/a", &[b'a'; 100]), ("app/b", &[b'b'; 100])]));
    change(&mut package.manifest, &mut package.index);
    let bytes = fs::read(&path).unwrap();
    let payload = package.index.pieces.length as usize;
    let directory = directory_of(&bytes);
    let end = bytes.len() - 22;
    let index_local = payload..package.index_location.offset as usize;
    let manifest_local = package.index_location.span().unwrap().end as usize
        ..package.manifest_location.offset as usize;
    let last = end - 46 - MANIFEST_PATH.len();
    let before_last = last - 46 - INDEX_PATH.len();
    let documents = [
        (package.index.to_json().unwrap(), index_local, before_last..last),
        (package.manifest.to_json().unwrap(), manifest_local, last..end),
    ];
    let mut out = bytes[..payload].to_vec();
    let mut headers = Vec::new();
    for (json, local, central) in documents {
        let frame = zstd::encode_all(&json[..], 3).unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(&json);
        let patch = |header: &[u8], at: usize| {
            let mut header = header.to_vec();
            header[at..at + 4].copy_from_slice(&crc.sum().to_le_bytes());
            header[at + 4..at + 8].copy_from_slice(&(frame.len() as u32).to_le_bytes());
            header[at + 8..at + 12].copy_from_slice(&(json.len() as u32).to_le_bytes());
            header
        };
        let mut header = patch(&bytes[central], 16);
        header[42..46].copy_from_slice(&(out.len() as u32).to_le_bytes());
        headers.extend(header);
        out.extend(patch(&bytes[local], 14));
        out.extend(frame);
    }
    let at = out.len() as u32;
    out.extend(&bytes[directory..before_last]);
    out.extend(headers);
    out.extend(&bytes[end..bytes.len() - 6]);
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    let forged = folder.join("forged");
    fs::write(&forged, out).unwrap();
    forged
}

#[test]
fn documents_that_lie_about_their_package_are_refused() {
    type Change = fn(&mut Manifest, &mut PackageIndex);
    let cases: [(&str, Change); 8] = [
        ("hash", |m, _| entry(m, "app/a").hash = kuzflow::testing::model::Digest::of(b"")),
        ("size", |m, _| entry(m, "app/a").size += 1),
        ("permissions", |m, _| entry(m, "app/a").permissions = Permissions::PROGRAM),
        ("place", |_, i| *i.places.get_mut("app/a").unwrap() = i.places["app/b"]),
        ("packed size", |_, i| i.places.get_mut("app/a").unwrap().size -= 1),
        ("name", |m, i| {
            let moved = m.file_manifest.remove("app/a").unwrap();
            m.file_manifest.insert("app/c".parse().unwrap(), moved);
            let place = i.places.remove("app/a").unwrap();
            i.places.insert("app/c".parse().unwrap(), place);
        }),
        ("extra", |m, _| {
            m.empty_folders.push("app/none".parse().unwrap());
        }),
        ("piece", |_, i| i.pieces.hashes[0] = kuzflow::testing::model::Digest::of(b"")),
    ];
    let folder = tempfile::tempdir().unwrap();
    package::inspect(&forged(folder.path(), |_, _| ()), 1).unwrap();
    for (name, change) in cases {
        let forged = forged(folder.path(), change);
        assert!(package::inspect(&forged, 1).is_err(), "a wrong {name} passes");
    }
}

fn entry<'a>(manifest: &'a mut Manifest, path: &str) -> &'a mut Entry {
    manifest.file_manifest.get_mut(path).unwrap()
}

#[test]
fn a_folder_named_twice_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut draft = draft(&[]);
    draft.empty_folders = vec!["data/x".parse().unwrap(), "data/x".parse().unwrap()];
    let (path, _) = write(folder.path(), &draft);
    assert!(matches!(
        package::inspect(&path, 1),
        Err(PackageError::Disagreement { part: "only entry", .. })
    ));
}

#[test]
fn more_entries_than_a_plain_zip_can_count() {
    let folder = tempfile::tempdir().unwrap();
    let mut draft = draft(&[]);
    draft.empty_folders =
        (0..66_000).map(|number| format!("data/{number}").parse().unwrap()).collect();
    let (path, package) = write(folder.path(), &draft);
    assert_eq!(package::inspect(&path, 2).unwrap().hash, package.hash);
    let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(archive.len(), 66_003);
    assert!(archive.by_name("data/65999/").unwrap().is_dir());
}

#[test]
fn a_package_with_one_changed_byte_does_not_unpack() {
    let folder = tempfile::tempdir().unwrap();
    let (path, package) = write(folder.path(), &varied());
    let mut bytes = fs::read(&path).unwrap();
    let at = package.index.places["app/noise"].offset as usize;
    bytes[at + 100] ^= 4;
    fs::write(&path, bytes).unwrap();
    let error = unpack(&path, &package, folder.path().join("tree")).unwrap_err();
    assert!(matches!(error, ContainerError::Entry { fault: Fault::Hash { .. }, .. }), "{error:?}");
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), vec![b'x'; 1000]).unwrap();
    for listed in [999, 1001] {
        let mut draft = draft(&[]);
        let content = Content::File(folder.path().join("file"), listed);
        draft
            .items
            .insert("app/file".parse().unwrap(), Item { content, permissions: Permissions::FILE });
        let error = package::write_package(&folder.path().join("out"), &draft, EFFORT, &|_| ())
            .unwrap_err();
        assert!(matches!(error, PackageError::Changed { .. }), "{error:?}");
        assert!(!folder.path().join("out").exists());
    }
}

/// Random trees: paths of up to three parts out of few names, so that files and folders collide.
fn trees() -> impl Strategy<Value = BTreeMap<String, (Vec<u8>, bool)>> {
    let name = proptest::sample::select(vec!["a", "b.txt", "文件", "with space", "ü"]);
    let path = proptest::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
    let content = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0usize..200_000).prop_map(|(byte, length)| vec![byte; length]),
    ];
    proptest::collection::btree_map(path, (content, any::<bool>()), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back_as_it_was(tree in trees()) {
        let mut draft = draft(&[]);
        let is_folder = |path: &str| tree.keys().any(|other| other.starts_with(&format!("{path}/")));
        let files: Vec<_> = tree.iter().filter(|(path, _)| !is_folder(path)).collect();
        for (path, (content, executable)) in &files {
            let permissions = if *executable { Permissions::PROGRAM } else { Permissions::FILE };
            let item = Item { permissions, ..Item::text(content.clone()) };
            draft.items.insert(format!("app/x/{path}").parse().unwrap(), item);
        }
        let folder = tempfile::tempdir().unwrap();
        let (path, package) = write(folder.path(), &draft);
        prop_assert_eq!(&package::inspect(&path, 2).unwrap().manifest, &package.manifest);
        let root = folder.path().join("tree");
        unpack(&path, &package, root.clone()).unwrap();
        for (path, (content, executable)) in files {
            let relative: RelativePath = format!("app/x/{path}").parse().unwrap();
            let full = relative.under(&root);
            prop_assert_eq!(&fs::read(&full).unwrap(), content);
            // Windows has no such permission.
            #[cfg(unix)]
            {
                let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&full).unwrap().permissions());
                prop_assert_eq!(mode & 0o777, if *executable { 0o755 } else { 0o644 });
            }
            #[cfg(not(unix))]
            let _ = executable;
        }
        let verification = container::verify_tree(&root, &package.manifest, 2, &|_| ());
        prop_assert!(verification.is_whole() && verification.extra.is_empty());
    }
}
