//! Packs as a whole: random releases turned into one another, and packs that are damaged, forged,
//! or made for another release.
//!
//! A pack gives exactly its target, or reports which files it could not make. Wrong bytes never
//! pass for the right manifest, nothing panics, and no file appears outside the output folder.
#![allow(clippy::ptr_arg)] // bytes are read by position through a trait object, which a slice cannot become

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kuzflow::testing::container::Unpacker;
use kuzflow::testing::model::manifest::MANIFEST_PATH;
use kuzflow::testing::model::{Digest, Manifest, RelativePath};
use kuzflow::testing::pack::{
    self, Algorithm, Applied, ApplyOptions, Bases, Choice, Content, Failed, Made, MakeOptions,
    Pack, PackError, Tree,
};
use kuzflow::testing::publish::release_trees::FolderTree;
use kuzflow_delta::align;
use kuzflow_delta::coder::{self, Nature};
use kuzflow_delta::prediction::PlainPredictor;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

// --- trees ---

/// One place of a random tree. Every tree has the same places, so that files, links and folders
/// replace each other.
#[derive(Clone, Debug)]
enum Place {
    Nothing,
    File { spelling: usize, content: Recipe, program: bool },
    Link { to: usize },
    Folder { files: Vec<Recipe> },
    EmptyFolder,
}

/// Bytes that are related to others with the same seed.
#[derive(Clone, Debug)]
struct Recipe {
    seed: u64,
    text: bool,
    length: usize,
    /// Position, kind (0 replaces, 1 inserts, else deletes), number of bytes.
    edits: Vec<(usize, u8, usize)>,
}

/// The places, each in two spellings that Windows and macOS treat as one file: by case, or composed
/// and decomposed.
const PLACES: [[&str; 2]; 8] = [
    ["app/main.py", "app/Main.PY"],
    ["app/数据 表.txt", "app/数据 表.TXT"],
    ["app/caf\u{e9}.bin", "app/cafe\u{301}.bin"],
    ["lib/a.so", "lib/A.so"],
    ["thing", "Thing"],
    ["config/settings.toml", "config/Settings.toml"],
    ["runtime/deep/er/still/data.bin", "runtime/deep/er/still/DATA.bin"],
    ["runtime/other name", "runtime/Other Name"],
];

impl Recipe {
    fn bytes(&self) -> Vec<u8> {
        let mut random = Random(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let words = ["import", "return", "value", "päth", "release", "=", "(", ")", "\n    ", "\n"];
        let mut bytes = Vec::new();
        while bytes.len() < self.length {
            match self.text {
                true => bytes.extend_from_slice(words[random.below(words.len())].as_bytes()),
                false => bytes.push(random.next() as u8),
            }
        }
        bytes.truncate(self.length);
        for (at, kind, length) in &self.edits {
            let at = at % (bytes.len() + 1);
            let end = (at + length).min(bytes.len());
            let literals = || {
                (0..*length).map(|index| b'a' + (index * 7 + at) as u8 % 26).collect::<Vec<u8>>()
            };
            match kind {
                0 => bytes[at..end].iter_mut().for_each(|byte| *byte = byte.wrapping_add(1)),
                1 => drop(bytes.splice(at..at, literals())),
                _ => drop(bytes.drain(at..end)),
            }
        }
        bytes
    }
}

/// A small generator of numbers with the same results on every machine (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let length = prop_oneof![1 => Just(0usize), 1 => 1usize..9, 6 => 10usize..1500];
    let edits = prop::collection::vec((0usize..2000, 0u8..3, 1usize..40), 0..4);
    (0u64..4, any::<bool>(), length, edits).prop_map(|(seed, text, length, edits)| Recipe {
        seed,
        text,
        length,
        edits,
    })
}

fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        1 => Just(Place::Nothing),
        6 => (0usize..2, recipes(), any::<bool>())
            .prop_map(|(spelling, content, program)| Place::File { spelling, content, program }),
        1 => (0usize..PLACES.len()).prop_map(|to| Place::Link { to }),
        1 => prop::collection::vec(recipes(), 1..3).prop_map(|files| Place::Folder { files }),
        1 => Just(Place::EmptyFolder),
    ]
}

fn trees() -> impl Strategy<Value = Vec<Place>> {
    prop::collection::vec(places(), PLACES.len())
}

fn put(root: &Path, path: &str, content: &[u8], program: bool) {
    let full = root.join(path);
    fs::create_dir_all(full.parent().unwrap()).unwrap();
    fs::write(&full, content).unwrap();
    #[cfg(unix)]
    fs::set_permissions(
        &full,
        std::os::unix::fs::PermissionsExt::from_mode(if program { 0o755 } else { 0o644 }),
    )
    .unwrap();
    #[cfg(not(unix))]
    let _ = program;
}

/// Writes a tree. If the tree is to have a manifest, each `number` gives it a different one.
fn plant(root: &Path, tree: &[Place], with_manifest: bool, number: u64) {
    // A container needs at least one file.
    put(root, "scripts/launch.sh", b"#!/bin/sh\nexec app\n", true);
    for (place, names) in tree.iter().zip(PLACES) {
        match place {
            Place::Nothing => {}
            Place::File { spelling, content, program } => {
                put(root, names[*spelling], &content.bytes(), *program)
            }
            Place::Link { to } => link(root, names[0], PLACES[*to][0]),
            Place::Folder { files } => {
                for (index, content) in files.iter().enumerate() {
                    put(root, &format!("{}/inner {index}", names[0]), &content.bytes(), false);
                }
            }
            Place::EmptyFolder => fs::create_dir_all(root.join(names[0])).unwrap(),
        }
    }
    if with_manifest {
        let mut manifest = FolderTree::open(root).unwrap().manifest().clone();
        manifest.container_info.version = kuzflow::testing::model::Version::new(1, number, 0);
        manifest.container_info.build_date =
            jiff::Timestamp::from_second(1_700_000_000 + number as i64).unwrap();
        for (index, entry) in manifest.file_manifest.values_mut().enumerate() {
            entry.mtime =
                if index % 3 == 0 { -(index as i64) } else { 1_700_000_000 + number as i64 };
        }
        put(root, MANIFEST_PATH, &manifest.to_json().unwrap(), false);
    }
}

/// A link. User data must stay plain files, so there is no link in their folders.
fn link(root: &Path, path: &str, to: &str) {
    #[cfg(unix)]
    if !path.starts_with("config/") {
        let full = root.join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        let up = "../".repeat(path.matches('/').count());
        std::os::unix::fs::symlink(format!("{up}{to}"), full).unwrap();
    }
    #[cfg(not(unix))]
    let _ = (root, path, to);
}

/// Everything under a folder by its path: `d`, `l` with its target, or `f` with the executable bits
/// and the content.
fn everything(root: &Path) -> BTreeMap<PathBuf, (char, u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path();
        let kind = entry.file_type();
        #[cfg(unix)]
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions())
                & 0o111;
        #[cfg(not(unix))]
        let mode = 0;
        let what = match () {
            () if kind.is_dir() => ('d', 0, Vec::new()),
            () if kind.is_symlink() => {
                ('l', 0, fs::read_link(path).unwrap().into_os_string().into_encoded_bytes())
            }
            () => ('f', mode, fs::read(path).unwrap()),
        };
        found.insert(path.strip_prefix(root).unwrap().to_owned(), what);
    }
    found
}

/// [`everything`] without the manifest, which a folder need not have for a comparison.
fn release(root: &Path) -> BTreeMap<PathBuf, (char, u32, Vec<u8>)> {
    let mut found = everything(root);
    found.remove(Path::new(MANIFEST_PATH));
    found.remove(Path::new("metadata"));
    found
}

// --- packs ---

/// How a pack is made.
#[derive(Clone, Copy, Debug, PartialEq)]
struct How {
    choice: Choice,
    most_heavy: u64,
}

const SMALLEST: How = How { choice: Choice::Smallest, most_heavy: MakeOptions::MAX_HEAVY_BYTES };
/// Settings as for large packs: literals stand in shared streams.
const SHARED: How = How { choice: Choice::Smallest, most_heavy: 0 };
const ZSTD: How = How { choice: Choice::Only(Algorithm::Zstd), ..SMALLEST };
const BSDIFF4: How = How { choice: Choice::Only(Algorithm::Bsdiff4), ..SMALLEST };

fn make(old: &Path, new: &Path, how: How) -> Vec<u8> {
    let (old, new) = (FolderTree::open(old).unwrap(), FolderTree::open(new).unwrap());
    let mut bytes = Vec::new();
    let How { choice, most_heavy } = how;
    let options = MakeOptions { choice, threads: 2, memory: 512 * MIB, most_heavy };
    let made = pack::make(&old, &new, options, &mut bytes, &|_| ()).unwrap();
    assert_eq!(made.length, bytes.len() as u64);
    bytes
}

struct FolderBases<'a>(&'a Path);

impl Bases for FolderBases<'_> {
    fn open(&self, path: &RelativePath, _: &Digest) -> Option<File> {
        File::open(path.under(self.0)).ok()
    }
}

type Outcome = (Vec<Option<Applied>>, Vec<Failed>);

fn apply_files(
    bytes: &Vec<u8>,
    (manifest, old): (&Manifest, &Path),
    folder: &Path,
    memory: u64,
) -> Result<(Pack, Outcome), PackError> {
    let stop = AtomicBool::new(false);
    let opened = Pack::open(bytes, manifest)?;
    let options = ApplyOptions { threads: 2, memory, stop: &stop };
    let outcome =
        pack::apply(&opened, bytes, manifest, &FolderBases(old), folder, options, &|_| ())?;
    Ok((opened, outcome))
}

/// Applies a pack to `old` and makes `out` of it, as `kuzflow apply` does.
fn apply(bytes: &Vec<u8>, old: &Path, out: &Path, memory: u64) {
    let manifest = FolderTree::open(old).unwrap().manifest().clone();
    let scratch = tempfile::tempdir_in(out.parent().unwrap()).unwrap();
    let (opened, (made, failed)) =
        apply_files(bytes, (&manifest, old), scratch.path(), memory).unwrap();
    assert!(failed.is_empty(), "{failed:?}");
    let made: Vec<Applied> = made.into_iter().map(Option::unwrap).collect();
    let digests: Vec<Digest> = made.iter().map(|applied| applied.digest).collect();
    let (target, json) = opened.manifest(&manifest, &digests).unwrap();
    let unpacker = Unpacker::new(Arc::new(target), out.to_owned()).unwrap();
    let mut made = made.into_iter();
    for (path, fate) in &opened.outline.fates {
        match &fate.content {
            Content::Made(_) => {
                let applied = made.next().unwrap();
                unpacker.adopt(path, &applied.path, applied.digest).unwrap();
            }
            Content::Old(base) => unpacker.clone_from(path, &base.under(old)).unwrap(),
            Content::Empty | Content::Link(_) => {}
        }
    }
    unpacker.finish(&json).unwrap();
}

fn goes_over(old: &Path, new: &Path, out: &Path, how: How, memory: u64) {
    let bytes = make(old, new, how);
    apply(&bytes, old, out, memory);
    assert_eq!(release(out), release(new));
    assert_eq!(
        FolderTree::open(out).unwrap().manifest(),
        FolderTree::open(new).unwrap().manifest()
    );
}

fn strategies() -> impl Strategy<Value = How> {
    prop_oneof![2 => Just(SMALLEST), 2 => Just(SHARED), 1 => Just(ZSTD), 1 => Just(BSDIFF4)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// docs/security.md, fault 15: between any two releases a pack leads from each to the other.
    #[test]
    fn any_release_becomes_any_other(a in trees(), b in trees(), how in strategies(), with_manifest in any::<bool>()) {
        let world = tempfile::tempdir().unwrap();
        let folder = |name: &str| world.path().join(name);
        plant(&folder("a"), &a, with_manifest, 0);
        plant(&folder("b"), &b, with_manifest, 1);
        goes_over(&folder("a"), &folder("b"), &folder("forward"), how, 512 * MIB);
        goes_over(&folder("b"), &folder("a"), &folder("backward"), how, 32 * MIB);
        if with_manifest {
            let json = |name: &str| fs::read(folder(name).join(MANIFEST_PATH)).unwrap();
            prop_assert_eq!((json("forward"), json("backward")), (json("b"), json("a")));
        }
    }
}

// --- a fixed pair of releases ---

fn recipe(seed: u64, text: bool, length: usize, edits: &[(usize, u8, usize)]) -> Vec<u8> {
    Recipe { seed, text, length, edits: edits.to_vec() }.bytes()
}

/// Two releases with two changed texts, two changed binary files, a new one, a moved one, a removed
/// one, and swapped names.
struct World {
    folder: tempfile::TempDir,
    manifest: Manifest,
    /// The expected bytes of the files that packs make, by path.
    right: BTreeMap<String, Vec<u8>>,
    json: Vec<u8>,
}

impl World {
    /// Files of about `length` bytes.
    fn new(length: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        for (path, seed, text) in [
            ("app/a.py", 1, true),
            ("app/b.py", 2, true),
            ("lib/a.bin", 3, false),
            ("lib/b.bin", 4, false),
        ] {
            put(&old, path, &recipe(seed, text, length, &[]), false);
            put(
                &new,
                path,
                &recipe(seed, text, length, &[(length / 3, 0, 3), (length / 2, 1, 9)]),
                false,
            );
        }
        put(&new, "app/new.py", &recipe(6, true, length / 2, &[]), true);
        for (path, to, seed) in [("data/moved", "data/here", 7), ("x", "y", 8), ("y", "x", 9)] {
            put(&old, path, &recipe(seed, false, 40, &[]), false);
            put(&new, to, &recipe(seed, false, 40, &[]), false);
        }
        put(&old, "gone", b"gone", false);
        let [manifest, target] =
            [&old, &new].map(|root| FolderTree::open(root).unwrap().manifest().clone());
        let right = everything(&new).into_iter().filter(|(_, found)| found.0 == 'f');
        let right = right
            .map(|(path, found)| (path.to_str().unwrap().replace('\\', "/"), found.2))
            .collect();
        Self { json: target.to_json().unwrap(), folder, manifest, right }
    }

    fn old(&self) -> PathBuf {
        self.folder.path().join("old")
    }

    fn pack(&self, how: How) -> Vec<u8> {
        make(&self.old(), &self.folder.path().join("new"), how)
    }

    /// Checks the files that the pack made, and returns their paths.
    fn check_files(&self, opened: &Pack, made: &[Option<Applied>]) -> BTreeSet<String> {
        assert_eq!(opened.outline.made().count(), made.len());
        let mut whole = BTreeSet::new();
        for ((path, _), applied) in opened.outline.made().zip(made) {
            if let Some(applied) = applied {
                assert_eq!(fs::read(&applied.path).unwrap(), self.right[path.as_str()], "{path}");
                whole.insert(path.to_string());
            }
        }
        whole
    }

    /// Applies bytes that may be no pack. The reader may refuse them in any way. If it accepts
    /// them, it must have made the right files.
    fn survives(&self, bytes: &Vec<u8>) -> bool {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("scratch");
        fs::create_dir(&folder).unwrap();
        let outcome = apply_files(bytes, (&self.manifest, &self.old()), &folder, 512 * MIB);
        let beside: Vec<_> =
            fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside, ["scratch"]);
        let Ok((opened, (made, failed))) = outcome else { return false };
        for path in everything(&folder).keys() {
            let number: usize = path.to_str().unwrap().parse().unwrap();
            assert!(made[number].is_some(), "a failed group left {path:?}");
        }
        for applied in made.iter().flatten() {
            assert_eq!(Digest::of(&fs::read(&applied.path).unwrap()), applied.digest);
        }
        if !failed.is_empty() || made.iter().any(Option::is_none) {
            return false;
        }
        let digests: Vec<Digest> = made.iter().flatten().map(|applied| applied.digest).collect();
        let Ok((_, json)) = opened.manifest(&self.manifest, &digests) else { return false };
        // Four bytes of check are no proof, but no attacker here has searched for a collision.
        assert_eq!(String::from_utf8_lossy(&json), String::from_utf8_lossy(&self.json));
        self.check_files(&opened, &made);
        true
    }
}

const ALL: [How; 4] = [SMALLEST, SHARED, ZSTD, BSDIFF4];

#[test]
fn a_wrong_or_missing_base_costs_its_group_only() {
    for how in ALL {
        for removed in [false, true] {
            let world = World::new(600);
            let bytes = world.pack(how);
            let victim = world.old().join("lib/a.bin");
            let mut content = fs::read(&victim).unwrap();
            content[17] ^= 1;
            if removed {
                fs::remove_file(&victim).unwrap()
            } else {
                fs::write(&victim, content).unwrap()
            }
            let place = tempfile::tempdir().unwrap();
            let (opened, (made, failed)) =
                apply_files(&bytes, (&world.manifest, &world.old()), place.path(), 512 * MIB)
                    .unwrap();
            match (&failed[..], removed) {
                ([Failed::NoBase { path }], true) | ([Failed::WrongBase { path }], false) => {
                    assert_eq!(path.as_str(), "lib/a.bin")
                }
                other => panic!("{other:?}"),
            }
            let mut expected: BTreeSet<String> =
                opened.outline.made().map(|(path, _)| path.to_string()).collect();
            let paths: Vec<String> = expected.iter().cloned().collect();
            for group in opened.groups.iter().filter(|group| {
                opened.bases_of(group).iter().any(|base| base.as_str() == "lib/a.bin")
            }) {
                group.members.iter().for_each(|number| assert!(expected.remove(&paths[*number])));
            }
            assert!(expected.contains("app/a.py") && !expected.contains("lib/a.bin"));
            assert_eq!(world.check_files(&opened, &made), expected);
            assert_eq!(everything(place.path()).len(), expected.len());
        }
    }
}

/// A damaged part of a large pack that several groups need: the other groups are made.
#[test]
fn a_damaged_shared_stream_costs_whoever_needs_it_only() {
    let world = World::new(600);
    // The group with the least data has the heavy model.
    let bytes = world.pack(How { most_heavy: 100, ..SHARED });
    let opened = Pack::open(&bytes, &world.manifest).unwrap();
    let (sharing, alone): (Vec<_>, Vec<_>) =
        opened.groups.iter().partition(|group| Pack::shares(group));
    assert!(!sharing.is_empty() && !alone.is_empty(), "{:?}", opened.groups);
    let mut damaged = bytes.clone();
    damaged[opened.literals[0].span.start as usize] = 77;
    let place = tempfile::tempdir().unwrap();
    let (_, (made, failed)) =
        apply_files(&damaged, (&world.manifest, &world.old()), place.path(), 512 * MIB).unwrap();
    assert!(failed.iter().all(|failed| matches!(failed, Failed::Patch(_))), "{failed:?}");
    assert_eq!(failed.len(), 1 + sharing.len());
    let numbers: BTreeSet<usize> = alone.iter().flat_map(|group| group.members.clone()).collect();
    assert_eq!(
        made.iter()
            .enumerate()
            .filter(|(_, made)| made.is_some())
            .map(|(number, _)| number)
            .collect::<BTreeSet<_>>(),
        numbers
    );
    assert_eq!(world.check_files(&opened, &made).len(), numbers.len());
    assert_eq!(everything(place.path()).len(), numbers.len());
}

/// One part of a pack is applied alone, as after the repair of a base, whether it shares a stream
/// or not.
#[test]
fn groups_can_be_applied_one_by_one() {
    let world = World::new(600);
    for most_heavy in [0, 100] {
        let bytes = world.pack(How { most_heavy, ..SHARED });
        let whole = Pack::open(&bytes, &world.manifest).unwrap();
        let mut made = vec![None; whole.outline.made().count()];
        let place = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(false);
        for group in &whole.groups {
            let mut part = whole.clone();
            part.groups = vec![group.clone()];
            let options = ApplyOptions { threads: 2, memory: 512 * MIB, stop: &stop };
            let (now, failed) = pack::apply(
                &part,
                &bytes,
                &world.manifest,
                &FolderBases(&world.old()),
                place.path(),
                options,
                &|_| (),
            )
            .unwrap();
            assert!(failed.is_empty(), "{failed:?}");
            now.into_iter()
                .enumerate()
                .filter(|(_, made)| made.is_some())
                .for_each(|(number, now)| made[number] = now);
        }
        assert_eq!(world.check_files(&whole, &made).len(), made.len());
    }
}

#[test]
fn a_pack_for_another_release_is_refused() {
    for how in ALL {
        let world = World::new(300);
        let bytes = world.pack(how);
        assert!(world.survives(&bytes));
        // The same paths with other content; one more path; the target itself.
        let mut other = world.manifest.clone();
        other
            .file_manifest
            .values_mut()
            .for_each(|entry| entry.hash = Digest::of(entry.hash.as_bytes()));
        let mut more = world.manifest.clone();
        let entry = more.file_manifest.values().next().unwrap().clone();
        more.file_manifest.insert("a/b".parse().unwrap(), entry);
        let target = FolderTree::open(&world.folder.path().join("new")).unwrap().manifest().clone();
        for (manifest, root) in [(&other, "old"), (&more, "old"), (&target, "new")] {
            let place = tempfile::tempdir().unwrap();
            let Ok((opened, (made, failed))) = apply_files(
                &bytes,
                (manifest, &world.folder.path().join(root)),
                place.path(),
                512 * MIB,
            ) else {
                continue;
            };
            let digests: Vec<Digest> =
                made.iter().flatten().map(|applied| applied.digest).collect();
            assert!(!failed.is_empty() || opened.manifest(manifest, &digests).is_err());
        }
        // Every base has other content: each group with a base fails, and groups without one are
        // right.
        let place = tempfile::tempdir().unwrap();
        if let Ok((opened, (made, failed))) =
            apply_files(&bytes, (&other, &world.old()), place.path(), 512 * MIB)
        {
            assert!(
                failed.iter().all(|failed| matches!(failed, Failed::WrongBase { .. })),
                "{failed:?}"
            );
            world.check_files(&opened, &made);
        }
    }
}

#[test]
fn it_stops_when_asked() {
    let world = World::new(300);
    let bytes = world.pack(BSDIFF4);
    let opened = Pack::open(&bytes, &world.manifest).unwrap();
    assert!(opened.groups.len() > 2);
    for before in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let stop = AtomicBool::new(before);
        let options = ApplyOptions { threads: 1, memory: 512 * MIB, stop: &stop };
        let old = world.old();
        let progress = |_| stop.store(true, Ordering::Relaxed);
        let outcome = pack::apply(
            &opened,
            &bytes,
            &world.manifest,
            &FolderBases(&old),
            place.path(),
            options,
            &progress,
        );
        assert!(matches!(outcome, Err(PackError::Stopped)));
        assert_eq!(everything(place.path()).len(), usize::from(!before));
    }
}

/// A full disk: no part of the unfinished file stays, and the error names the full disk.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_leaves_nothing() {
    for length in [600, 400_000] {
        let world = World::new(length);
        let bytes = world.pack(ZSTD);
        let opened = Pack::open(&bytes, &world.manifest).unwrap();
        let place = tempfile::tempdir().unwrap();
        let victim =
            opened.outline.made().position(|(path, _)| path.as_str() == "lib/b.bin").unwrap();
        std::os::unix::fs::symlink("/dev/full", place.path().join(victim.to_string())).unwrap();
        let (opened, (made, failed)) =
            apply_files(&bytes, (&world.manifest, &world.old()), place.path(), 512 * MIB).unwrap();
        assert!(
            matches!(&failed[..], [Failed::File(error)] if error.action == "write" && error.is_disk_full()),
            "{failed:?}"
        );
        assert!(made[victim].is_none());
        assert_eq!(everything(place.path()).len(), world.check_files(&opened, &made).len());
    }
}

// --- damage ---

/// Bytes of a pack before its groups.
fn outline_of(bytes: &Vec<u8>, world: &World) -> usize {
    let opened = Pack::open(bytes, &world.manifest).unwrap();
    opened.groups.iter().map(|group| group.span.start).min().unwrap() as usize
}

/// The first byte to damage. Outlines are coded alike whatever the groups are, so one outline is
/// damaged everywhere, and the others only in their groups.
fn first_of_interest(bytes: &Vec<u8>, world: &World, how: How) -> usize {
    if how == SMALLEST { 0 } else { outline_of(bytes, world) }
}

#[test]
fn a_pack_cut_anywhere_is_no_pack() {
    for how in ALL {
        let world = World::new(60);
        let bytes = world.pack(how);
        for length in first_of_interest(&bytes, &world, how)..bytes.len() {
            assert!(
                !world.survives(&bytes[..length].to_vec()),
                "{how:?}, {length} of {} bytes",
                bytes.len()
            );
        }
        assert!(!world.survives(&[&bytes[..], b"\0"].concat()));
        assert!(world.survives(&bytes));
    }
}

/// A flipped bit may have no effect; but wrong files never pass.
#[test]
fn a_flipped_bit_never_makes_wrong_files() {
    for how in ALL {
        let world = World::new(60);
        let bytes = world.pack(how);
        for at in first_of_interest(&bytes, &world, how)..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at * 5 % 8);
            world.survives(&damaged);
        }
    }
}

#[test]
fn random_damage_never_makes_wrong_files() {
    let mut random = Random(42);
    for how in ALL {
        let world = World::new(3000);
        let bytes = world.pack(how);
        for _ in 0..40 {
            let mut damaged = bytes.clone();
            mutate(&mut damaged, &mut random);
            world.survives(&damaged);
        }
    }
}

/// A few changes: bits, bytes, whole stretches deleted, doubled, or filled.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(3) {
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(8)).min(bytes.len());
        match random.below(6) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let copied = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copied));
            }
            4 => bytes[at..end].fill(0xff),
            _ => bytes[at] = bytes[at].wrapping_add(if random.below(2) == 0 { 1 } else { 255 }),
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

// --- forged packs: well-coded outlines with contents that no publisher would write ---

fn put_number(numbers: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        numbers.push(value as u8 | 0x80);
        value >>= 7;
    }
    numbers.push(value as u8);
}

fn put_signed(numbers: &mut Vec<u8>, value: i64) {
    put_number(
        numbers,
        if value < 0 { ((-(value + 1)) as u64) << 1 | 1 } else { (value as u64) << 1 },
    );
}

/// The three streams of a pack's outline; its groups are among the numbers.
fn streams(opened: &Pack, base: &Manifest) -> [Vec<u8>; 3] {
    let parts = opened.outline.write(base).unwrap();
    let mut numbers = parts.numbers;
    put_number(&mut numbers, opened.groups.len() as u64);
    for group in &opened.groups {
        numbers.push(group.algorithm as u8);
        put_number(&mut numbers, group.span.end - group.span.start);
        let lengths = group.literals.each_ref().map(|literals| literals.end - literals.start);
        numbers.push(lengths.iter().rev().fold(0, |set, length| set << 1 | u8::from(*length > 0)));
        lengths
            .iter()
            .filter(|length| **length > 0)
            .for_each(|length| put_number(&mut numbers, *length));
        put_number(&mut numbers, group.members.len() as u64);
        let mut next = 0;
        for member in &group.members {
            put_signed(&mut numbers, *member as i64 - next);
            next = *member as i64 + 1;
        }
    }
    let used = opened.literals.iter().filter(|stream| stream.length > 0);
    used.for_each(|stream| put_number(&mut numbers, stream.span.end - stream.span.start));
    [parts.head, parts.names, numbers]
}

/// A pack with these streams, whatever their contents, and these groups after them.
fn forge(base: &Manifest, check: &[u8], streams: &[Vec<u8>; 3], groups: &[u8]) -> Vec<u8> {
    let mut old =
        serde_json::to_vec(&Manifest { file_manifest: BTreeMap::new(), ..base.clone() }).unwrap();
    for path in base.file_manifest.keys() {
        old.extend_from_slice(path.as_str().as_bytes());
        old.push(b'\n');
    }
    let joined = streams.concat();
    let steps = align::align(&old, &joined, &align::AlignOptions::text()).unwrap();
    let options =
        coder::CoderOptions::for_target(Nature::Text, joined.len() as u64, joined.len() as u64);
    let mut packed = Vec::new();
    let out = (&mut packed, &mut Default::default());
    coder::encode(&old, &joined, &steps, options, &mut PlainPredictor::new(&old), out).unwrap();
    let mut out = b"KZP3".to_vec();
    out.extend_from_slice(check);
    for length in [packed.len(), streams[0].len(), streams[1].len(), streams[2].len()] {
        put_number(&mut out, length as u64);
    }
    out.extend(packed);
    out.extend_from_slice(groups);
    out
}

#[test]
fn forged_outlines_never_make_wrong_files() {
    let mut random = Random(4711);
    for how in ALL {
        let world = World::new(60);
        let bytes = world.pack(how);
        let opened = Pack::open(&bytes, &world.manifest).unwrap();
        let streams = streams(&opened, &world.manifest);
        let start = outline_of(&bytes, &world);
        assert!(world.survives(&forge(&world.manifest, &bytes[4..8], &streams, &bytes[start..])));
        for _ in 0..60 {
            let mut forged = streams.clone();
            // Mostly the numbers change: they decide the positions of writes.
            mutate(&mut forged[[2, 2, 2, 1, 0][random.below(5)]], &mut random);
            world.survives(&forge(&world.manifest, &bytes[4..8], &forged, &bytes[start..]));
        }
    }
}

/// Impossible lengths, alone and together.
#[test]
fn impossible_lengths_are_refused() {
    let world = World::new(60);
    let bytes = world.pack(SMALLEST);
    let opened = Pack::open(&bytes, &world.manifest).unwrap();
    for size in [u64::MAX, u64::MAX / 2 + 1, u64::MAX / 2] {
        let mut opened = opened.clone();
        for fate in opened.outline.fates.values_mut() {
            if let Content::Made(Made { size: made, .. }) = &mut fate.content {
                *made = size;
            }
        }
        let start = outline_of(&bytes, &world);
        let forged = forge(
            &world.manifest,
            &bytes[4..8],
            &streams(&opened, &world.manifest),
            &bytes[start..],
        );
        assert!(matches!(Pack::open(&forged, &world.manifest), Err(PackError::Form(_))), "{size}");
    }
}

/// Incompressible bytes cost their own size and little more: no patch is larger than its file.
#[test]
fn noise_costs_itself() {
    let world = tempfile::tempdir().unwrap();
    let folder = |name: &str| world.path().join(name);
    let mut random = Random(99);
    let mut noise = |length: usize| (0..length).map(|_| random.next() as u8).collect::<Vec<u8>>();
    let (old, new, added) = (noise(300_000), noise(300_000), noise(20_000));
    let part = [&old[..100_000], &added[..], &old[100_000..]].concat();
    put(&folder("a"), "app/key", &old, false);
    put(&folder("a"), "app/part", &old, false);
    put(&folder("b"), "app/key", &new, false);
    put(&folder("b"), "app/part", &part, false);
    for how in [SMALLEST, SHARED] {
        let bytes = make(&folder("a"), &folder("b"), how);
        assert!(bytes.len() < 320_000 + 300, "{}", bytes.len());
        apply(&bytes, &folder("a"), &folder("out"), 32 * MIB);
        assert_eq!(release(&folder("out")), release(&folder("b")));
        fs::remove_dir_all(folder("out")).unwrap();
    }
}

/// A stream that ends in more zeros than the decoder assumes comes back whole, whatever the bytes
/// are.
#[test]
fn long_copies_with_few_changes_come_back() {
    let world = tempfile::tempdir().unwrap();
    let folder = |name: &str| world.path().join(name);
    for seed in 1..=6 {
        let mut random = Random(seed);
        let old: Vec<u8> = (0..300_000).map(|_| random.next() as u8).collect();
        let mut new = old.clone();
        let at = 10_005 * seed as usize;
        new[at..at + 20].fill(1);
        put(&folder("a"), "app/big.bin", &old, false);
        put(&folder("b"), "app/big.bin", &new, false);
        goes_over(&folder("a"), &folder("b"), &folder(&format!("out {seed}")), SMALLEST, 32 * MIB);
    }
}

// --- programs ---

/// A real program with some bytes changed and some moved.
#[test]
fn a_program_goes_over() {
    let candidates = ["/bin/true", "/usr/bin/true", "/bin/cat", "/bin/echo"];
    let found = candidates
        .iter()
        .find_map(|path| fs::read(path).ok().filter(|bytes| bytes.starts_with(b"\x7fELF")));
    let Some(program) = found.filter(|bytes| bytes.len() < 1 << 20) else { return };
    let mut changed = program.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0x55;
    let copied = changed[middle..middle + 64].to_vec();
    drop(changed.splice(middle + 512..middle + 512, copied));
    drop(changed.drain(middle + 2048..middle + 2112));
    let world = tempfile::tempdir().unwrap();
    let folder = |name: &str| world.path().join(name);
    put(&folder("a"), "bin/program", &program, true);
    put(&folder("b"), "bin/program", &changed, true);
    goes_over(&folder("a"), &folder("b"), &folder("forward"), SMALLEST, 32 * MIB);
    goes_over(&folder("b"), &folder("a"), &folder("backward"), SHARED, 32 * MIB);
}
