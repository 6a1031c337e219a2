//! Trees as they change between releases.

use std::collections::BTreeMap;

use super::*;

type Tree = BTreeMap<String, Vec<u8>>;

fn tree(files: &[(&str, &[u8])]) -> Tree {
    files.iter().map(|(path, content)| ((*path).to_owned(), content.to_vec())).collect()
}

/// A stand-in for a digest: any function of the content alone serves.
fn digest(content: &[u8]) -> [u8; 32] {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&hasher.finish().to_le_bytes());
    digest
}

fn files(tree: &Tree) -> Vec<File<'_>> {
    tree.iter()
        .map(|(path, content)| File { path, size: content.len() as u64, digest: digest(content) })
        .collect()
}

/// The result for one new file, with paths instead of indices.
#[derive(Debug, PartialEq)]
struct Found {
    base: String,
    relation: Relation,
    second: Option<String>,
}

struct Outcome {
    found: BTreeMap<String, Found>,
    reads: Vec<(Side, String)>,
}

impl Outcome {
    fn of(&self, path: &str) -> Option<(&str, Relation)> {
        self.found.get(path).map(|found| (found.base.as_str(), found.relation))
    }
}

fn find_with(old: &Tree, new: &Tree, limits: SelectionLimits) -> Outcome {
    let (old_files, new_files) = (files(old), files(new));
    let mut reads = Vec::new();
    let bases = find(&old_files, &new_files, limits, &mut |side, path| {
        reads.push((side, path.to_owned()));
        Ok(if side == Side::Old { old[path].clone() } else { new[path].clone() })
    })
    .unwrap();
    let mut once = reads.clone();
    once.sort_by_key(|(side, path)| (*side == Side::New, path.clone()));
    once.dedup();
    assert_eq!(once.len(), reads.len(), "a file was read twice");
    let name = |index: usize| old_files[index].path.to_owned();
    let found = new_files.iter().zip(bases).filter_map(|(file, bases)| {
        let BaseFile { base, relation, second, .. } = bases?;
        Some((file.path.to_owned(), Found { base: name(base), relation, second: second.map(name) }))
    });
    Outcome { found: found.collect(), reads }
}

fn find_all(old: &Tree, new: &Tree) -> Outcome {
    find_with(old, new, SelectionLimits::default())
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Text from words that depend on the seed: two seeds share a few phrases and no line.
fn source(seed: u64, lines: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..lines)
        .map(|_| {
            format!(
                "def function_{:x}(self):\n    return self.value_{:x}\n",
                random.u64(..),
                random.u32(..)
            )
        })
        .collect()
}

/// Imitates a recompiler: changes every 24th byte and appends a few bytes.
fn recompiled(content: &[u8], seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut made: Vec<u8> = content
        .iter()
        .enumerate()
        .map(|(at, byte)| if at % 24 == 7 { byte ^ random.u8(1..) } else { *byte })
        .collect();
    made.extend(noise(seed, 500));
    made
}

#[test]
fn the_same_content_is_not_read() {
    let old = tree(&[
        ("a/one.py", b"print(1)"),
        ("a/two.py", b"print(2)"),
        ("b/two.py", b"print(2)"),
        ("empty", b""),
    ]);
    let new = tree(&[
        ("a/one.py", b"print(1)"),
        ("b/moved/two.py", b"print(2)"),
        ("empty", b""),
        ("a/void", b""),
    ]);
    let outcome = find_all(&old, &new);
    assert_eq!(outcome.of("a/one.py"), Some(("a/one.py", Relation::Unchanged)));
    assert_eq!(
        outcome.of("b/moved/two.py"),
        Some(("b/two.py", Relation::Moved)),
        "the nearer of two"
    );
    assert_eq!(outcome.of("empty"), Some(("empty", Relation::Unchanged)));
    assert_eq!(outcome.of("a/void"), None);
    assert!(outcome.reads.is_empty());
}

#[test]
fn the_same_path_is_the_base_of_an_edited_file() {
    let (one, two) = (source(1, 60), source(2, 60));
    let old = tree(&[
        ("app/one.py", one.as_bytes()),
        ("app/two.py", two.as_bytes()),
        ("app/other.py", b"unchanged"),
    ]);
    let edited = one.replace("return", "yield").replacen("def", "async def", 30);
    let new = tree(&[
        ("app/one.py", edited.as_bytes()),
        ("app/two.py", two.as_bytes()),
        ("app/other.py", b"unchanged"),
    ]);
    let outcome = find_all(&old, &new);
    assert_eq!(outcome.of("app/one.py"), Some(("app/one.py", Relation::SamePath)));
    assert_eq!(
        outcome.reads.len(),
        2,
        "neither unchanged files nor anything twice: {:?}",
        outcome.reads
    );
}

#[test]
fn swapped_names_are_distinguished_by_content() {
    let (one, two) = (source(1, 80), source(2, 80));
    let old = tree(&[("app/one.py", one.as_bytes()), ("app/two.py", two.as_bytes())]);
    let exact = tree(&[("app/one.py", two.as_bytes()), ("app/two.py", one.as_bytes())]);
    let outcome = find_all(&old, &exact);
    assert_eq!(outcome.of("app/one.py"), Some(("app/two.py", Relation::Moved)));
    assert_eq!(outcome.of("app/two.py"), Some(("app/one.py", Relation::Moved)));
    assert!(outcome.reads.is_empty());

    let (edited_one, edited_two) = (format!("# edited\n{one}"), format!("{two}# edited\n"));
    let edited =
        tree(&[("app/one.py", edited_two.as_bytes()), ("app/two.py", edited_one.as_bytes())]);
    let outcome = find_all(&old, &edited);
    assert_eq!(outcome.of("app/one.py"), Some(("app/two.py", Relation::Descends)));
    assert_eq!(outcome.of("app/two.py"), Some(("app/one.py", Relation::Descends)));
}

#[test]
fn another_kind_of_file_at_the_same_path_still_is_the_last_resort() {
    let old = tree(&[("app/icon", &noise(1, 4000))]);
    let new = tree(&[("app/icon", source(1, 50).as_bytes())]);
    assert_eq!(find_all(&old, &new).of("app/icon"), Some(("app/icon", Relation::SamePath)));
}

#[test]
fn libraries_with_hashes_in_their_names() {
    let (foo, bar) = (noise(1, 60_000), noise(2, 60_000));
    let old = tree(&[
        ("lib/numpy.libs/libfoo-3fa2c4d1.so.1.2", &foo),
        ("lib/numpy.libs/libbar-77ab01cd.so.3", &bar),
    ]);
    let new = tree(&[
        ("lib/numpy.libs/libfoo-9bd01e22.so.1.3", &recompiled(&foo, 3)),
        // So different that only the name remains.
        ("lib/numpy.libs/libbar-0011aa22.so.4", &noise(4, 70_000)),
    ]);
    let outcome = find_all(&old, &new);
    let base = Some(("lib/numpy.libs/libfoo-3fa2c4d1.so.1.2", Relation::Descends));
    assert_eq!(outcome.of("lib/numpy.libs/libfoo-9bd01e22.so.1.3"), base);
    let base = Some(("lib/numpy.libs/libbar-77ab01cd.so.3", Relation::Descends));
    assert_eq!(outcome.of("lib/numpy.libs/libbar-0011aa22.so.4"), base);
}

#[test]
fn installed_metadata_of_the_next_version() {
    let folders = ["labelimg-1.8", "lxml-5.2", "pillow-10.3"];
    let metadata =
        |name: &str, patch: u32| format!("Name: {name}\nVersion: {patch}\n{}", source(9, 20));
    let make = |patch: u32| -> Tree {
        let of = |folder: &str| {
            let place = format!("site-packages/{folder}.{patch}.dist-info");
            let record = source(folder.len() as u64 * 100, 30)
                .replace("7", if patch == 5 { "7" } else { "seven" });
            [
                (format!("{place}/METADATA"), metadata(folder, patch).into_bytes()),
                (format!("{place}/RECORD"), record.into_bytes()),
            ]
        };
        folders.iter().flat_map(|folder| of(folder)).collect()
    };
    let outcome = find_all(&make(5), &make(6));
    for folder in folders {
        for file in ["METADATA", "RECORD"] {
            let base = format!("site-packages/{folder}.5.dist-info/{file}");
            let new = format!("site-packages/{folder}.6.dist-info/{file}");
            assert_eq!(outcome.of(&new), Some((base.as_str(), Relation::Descends)));
        }
    }
}

#[test]
fn a_folder_that_was_renamed_and_edited() {
    let old: Tree = (0..40)
        .map(|index| (format!("libs/part{index}/__init__.py"), source(index, 30).into_bytes()))
        .collect();
    let new: Tree = (0..40)
        .map(|index| {
            (
                format!("labelImg/libs/part{index}/__init__.py"),
                format!("import os\n{}", source(index, 30)).into_bytes(),
            )
        })
        .collect();
    let outcome = find_all(&old, &new);
    for index in 0..40 {
        let base = format!("libs/part{index}/__init__.py");
        assert_eq!(
            outcome.of(&format!("labelImg/libs/part{index}/__init__.py")),
            Some((base.as_str(), Relation::Descends))
        );
    }
}

#[test]
fn a_file_renamed_beyond_recognition() {
    let old = tree(&[
        ("app/canvas.py", source(1, 100).as_bytes()),
        ("app/gone.py", source(2, 100).as_bytes()),
    ]);
    let new =
        tree(&[("gui/drawing/surface.txt", format!("{}\n# moved\n", source(1, 100)).as_bytes())]);
    assert_eq!(
        find_all(&old, &new).of("gui/drawing/surface.txt"),
        Some(("app/canvas.py", Relation::Descends))
    );
}

#[test]
fn files_that_have_nothing_to_do_with_each_other_are_no_bases() {
    let old = tree(&[
        ("app/a.py", source(1, 100).as_bytes()),
        ("app/__init__.py", source(3, 5).as_bytes()),
    ]);
    let new = tree(&[
        ("app/b.py", source(2, 100).as_bytes()),
        ("lib/__init__.py", source(4, 5).as_bytes()),
    ]);
    let outcome = find_all(&old, &new);
    assert!(outcome.found.is_empty(), "{:?}", outcome.found);
}

#[test]
fn a_new_file_made_from_one_that_stays() {
    let stays = source(1, 100);
    let mut old: Tree = (0..500)
        .map(|index| (format!("app/module{index:03}.py"), source(index + 10, 20).into_bytes()))
        .collect();
    old.insert("app/dialog.py".to_owned(), stays.clone().into_bytes());
    old.insert("other/unrelated.py".to_owned(), source(3, 20).into_bytes());
    let mut new = old.clone();
    new.insert(
        "app/dialog_extended.py".to_owned(),
        format!("{stays}\nclass Extended: pass\n").into_bytes(),
    );
    let outcome = find_all(&old, &new);
    assert_eq!(outcome.of("app/dialog_extended.py"), Some(("app/dialog.py", Relation::Descends)));
    assert!(outcome.reads.len() <= 1 + MAX_SEARCH, "{}", outcome.reads.len());
}

#[test]
fn two_files_that_became_one() {
    let (one, two) = (source(1, 100), source(2, 80));
    let old = tree(&[
        ("app/one.py", one.as_bytes()),
        ("app/two.py", two.as_bytes()),
        ("app/three.py", source(3, 80).as_bytes()),
    ]);
    let new = tree(&[("app/one.py", format!("{one}{two}").as_bytes())]);
    let found = &find_all(&old, &new).found["app/one.py"];
    let expected = Found {
        base: "app/one.py".into(),
        relation: Relation::SamePath,
        second: Some("app/two.py".into()),
    };
    assert_eq!(*found, expected);
}

#[test]
fn what_a_hundred_files_share_proves_nothing() {
    let licence = source(100, 40);
    let with_licence = |seed: u64| format!("{licence}{}", source(seed, 20)).into_bytes();
    let old: Tree = (0..100)
        .map(|index| (format!("app/part{index:03}/code.py"), with_licence(index)))
        .collect();
    let mut new: Tree = old
        .iter()
        .map(|(path, content)| (path.replace("part", "piece"), [content, &b"#\n"[..]].concat()))
        .collect();
    new.insert("app/new.py".to_owned(), with_licence(777));
    let outcome = find_all(&old, &new);
    for index in 0..100 {
        let base = format!("app/part{index:03}/code.py");
        assert_eq!(
            outcome.of(&format!("app/piece{index:03}/code.py")),
            Some((base.as_str(), Relation::Descends))
        );
    }
}

#[test]
fn beyond_the_limits_names_decide() {
    let (one, two) = (source(1, 80), source(2, 80));
    let old = tree(&[("one-1.0.py", one.as_bytes()), ("two.py", two.as_bytes())]);
    let new = tree(&[
        ("one-1.1.py", format!("{one}#").as_bytes()),
        ("two.py", format!("{two}#").as_bytes()),
    ]);
    for limits in [
        SelectionLimits { all: 0, ..SelectionLimits::default() },
        SelectionLimits { one: 100, ..SelectionLimits::default() },
    ] {
        let outcome = find_with(&old, &new, limits);
        assert_eq!(outcome.of("one-1.1.py"), Some(("one-1.0.py", Relation::Descends)));
        assert_eq!(outcome.of("two.py"), Some(("two.py", Relation::SamePath)));
        assert!(outcome.reads.is_empty());
    }
    let all = (one.len() + two.len()) as u64 + 10;
    assert!(
        find_with(&old, &new, SelectionLimits { all, ..SelectionLimits::default() }).reads.len()
            < 4
    );
}

#[test]
fn an_unreadable_file_is_named() {
    let old = tree(&[("a", b"old")]);
    let new = tree(&[("a", b"new")]);
    let result = find(&files(&old), &files(&new), SelectionLimits::default(), &mut |_, _| {
        Err(io::ErrorKind::PermissionDenied.into())
    });
    assert!(matches!(result, Err(BaseSelectionError::Read { path, .. }) if path == "a"));
}
