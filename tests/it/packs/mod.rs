//! Packs as a whole: random releases turned into one another, and packs that are damaged, forged,
//! or made for another release.
//!
//! A pack gives exactly its target, or reports which files it could not make. Wrong bytes never
//! pass for the right manifest, nothing panics, and no file appears outside the output folder.
#![allow(clippy::ptr_arg)] // bytes are read by position through a trait object, which a slice cannot become

mod damage;
mod forged;
mod recipes;

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

use self::recipes::{Random, plant, put, recipe, trees};

/// Bytes of a pack before its groups.
fn outline_of(bytes: &Vec<u8>, world: &World) -> usize {
    let opened = Pack::open(bytes, &world.manifest).unwrap();
    opened.groups.iter().map(|group| group.span.start).min().unwrap() as usize
}

const MIB: u64 = 1 << 20;

// --- trees ---

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

// --- damage ---

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
