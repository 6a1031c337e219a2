//! Arbitrary bytes as a patch pack: opened against a fixed small release, and applied into a
//! temporary folder.
//!
//! In: bytes from libFuzzer, with the magic put before them, since guessing it teaches nothing.
//! Out: nothing, or a crash. The target hashes every file that the reader makes: the file and its
//! reported digest must match. must belong together.

#![no_main]

use std::fs::{self, File};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use kuzflow::testing::pack::{self, ApplyOptions, Bases, Pack, Tree};
use kuzflow::testing::model::{Digest, RelativePath};
use kuzflow::testing::publish::release_trees::FolderTree;
use libfuzzer_sys::fuzz_target;

/// The files that packs start from. The seeds in `corpus` fit only these files.
const FILES: [(&str, &[u8]); 3] = [
    ("app/main.py", b"import sys\nprint('one')\nprint('two')\nsys.exit(0)\n"),
    ("lib/data.bin", &[7; 300]),
    ("run.sh", b"#!/bin/sh\nexec python app/main.py\n"),
];

/// The target makes no file larger than this, bytes. A few bytes of a pack can stand for many,
/// which fills a disk but is no bug.
const MAX_MADE_BYTES: u64 = 1 << 20;

struct World {
    folder: tempfile::TempDir,
    tree: FolderTree,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in FILES {
            let full = folder.path().join(path);
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(full, content).unwrap();
        }
        let tree = FolderTree::open(folder.path()).unwrap();
        Self { folder, tree }
    }
}

struct FolderBases<'a>(&'a Path);

impl Bases for FolderBases<'_> {
    fn open(&self, path: &RelativePath, _: &Digest) -> Option<File> {
        File::open(path.under(self.0)).ok()
    }
}

fuzz_target!(|bytes: &[u8]| {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(World::new);
    let base = world.tree.manifest();
    let bytes = [b"KZP3", bytes].concat();
    let Ok(opened) = Pack::open(&bytes, base) else { return };
    if opened.outline.made().any(|(_, made)| made.size > MAX_MADE_BYTES) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("scratch");
    fs::create_dir(&folder).unwrap();
    let options = ApplyOptions { threads: 1, memory: 64 << 20, stop: &AtomicBool::new(false) };
    let bases = FolderBases(world.folder.path());
    let Ok((made, failed)) = pack::apply(&opened, &bytes, base, &bases, &folder, options, &|_| ()) else { return };
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    for applied in made.iter().flatten() {
        assert_eq!(Digest::of(&fs::read(&applied.path).unwrap()), applied.digest);
    }
    if failed.is_empty() {
        let digests: Vec<Digest> = made.iter().flatten().map(|applied| applied.digest).collect();
        let _ = opened.manifest(base, &digests);
    }
});
