//! Made-up releases: trees of files that are cheap to describe, and changes between them.

use super::*;

/// One place of a random tree. Every tree has the same places, so that files, links and folders
/// replace each other.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Nothing,
    File { spelling: usize, content: Recipe, program: bool },
    Link { to: usize },
    Folder { files: Vec<Recipe> },
    EmptyFolder,
}

/// Bytes that are related to others with the same seed.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    seed: u64,
    text: bool,
    length: usize,
    /// Position, kind (0 replaces, 1 inserts, else deletes), number of bytes.
    edits: Vec<(usize, u8, usize)>,
}

/// The places, each in two spellings that Windows and macOS treat as one file: by case, or composed
/// and decomposed.
pub(super) const PLACES: [[&str; 2]; 8] = [
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
    pub(super) fn bytes(&self) -> Vec<u8> {
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
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }
}

pub(super) fn recipes() -> impl Strategy<Value = Recipe> {
    let length = prop_oneof![1 => Just(0usize), 1 => 1usize..9, 6 => 10usize..1500];
    let edits = prop::collection::vec((0usize..2000, 0u8..3, 1usize..40), 0..4);
    (0u64..4, any::<bool>(), length, edits).prop_map(|(seed, text, length, edits)| Recipe {
        seed,
        text,
        length,
        edits,
    })
}

pub(super) fn places() -> impl Strategy<Value = Place> {
    prop_oneof![
        1 => Just(Place::Nothing),
        6 => (0usize..2, recipes(), any::<bool>())
            .prop_map(|(spelling, content, program)| Place::File { spelling, content, program }),
        1 => (0usize..PLACES.len()).prop_map(|to| Place::Link { to }),
        1 => prop::collection::vec(recipes(), 1..3).prop_map(|files| Place::Folder { files }),
        1 => Just(Place::EmptyFolder),
    ]
}

pub(super) fn trees() -> impl Strategy<Value = Vec<Place>> {
    prop::collection::vec(places(), PLACES.len())
}

pub(super) fn put(root: &Path, path: &str, content: &[u8], program: bool) {
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
pub(super) fn plant(root: &Path, tree: &[Place], with_manifest: bool, number: u64) {
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
pub(super) fn link(root: &Path, path: &str, to: &str) {
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

pub(super) fn recipe(
    seed: u64,
    text: bool,
    length: usize,
    edits: &[(usize, u8, usize)],
) -> Vec<u8> {
    Recipe { seed, text, length, edits: edits.to_vec() }.bytes()
}
