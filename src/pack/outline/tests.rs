//! Tests of `pack::outline`.

use super::*;

fn entry(text: &str) -> Entry {
    Entry {
        size: text.len() as u64,
        mtime: 0,
        hash: Digest::of(text.as_bytes()),
        permissions: Permissions::FILE,
        symlink: None,
    }
}

fn link(target: &str) -> Entry {
    Entry {
        size: 0,
        hash: Digest::of(target.as_bytes()),
        symlink: Some(target.to_owned()),
        ..entry("")
    }
}

fn manifest(files: &[(&str, Entry)]) -> Manifest {
    let files = files.iter().map(|(path, entry)| (path.parse().unwrap(), entry.clone()));
    Manifest::sample(files.collect())
}

fn path(text: &str) -> RelativePath {
    text.parse().unwrap()
}

/// Base and target, and an outline with one of every kind.
fn example() -> (Manifest, Manifest, Outline) {
    let base = manifest(&[
        ("app/app.py", entry("main")),
        ("app/changed", entry("old text")),
        ("app/gone", entry("gone")),
        ("app/kept", entry("kept")),
        ("app/kept too", Entry { mtime: 77, ..entry("kept too") }),
        ("app/link", link("kept")),
        ("app/renamed-1", entry("renamed")),
        ("app/script", entry("#!")),
        ("app/turns", entry("file")),
    ]);
    let mut target = manifest(&[
        ("app/app.py", entry("main")),
        ("app/changed", entry("new text, longer")),
        ("app/kept", entry("kept")),
        ("app/kept too", Entry { mtime: 77, ..entry("kept too") }),
        ("app/link", link("changed")),
        ("app/new", entry("new")),
        ("app/new empty", entry("")),
        ("app/renamed-2", entry("renamed")),
        ("app/renamed-3", entry("renamed and changed")),
        ("app/script", Entry { permissions: Permissions::PROGRAM, mtime: -5, ..entry("#!") }),
        ("app/turns", link("kept")),
    ]);
    target.container_info.build_date = jiff::Timestamp::from_second(1000).unwrap();
    for entry in target.file_manifest.values_mut().filter(|entry| entry.mtime == 0) {
        entry.mtime = 1000;
    }
    let made = |size, base: Option<&str>| Content::Made(Made { size, base: base.map(path) });
    let content = |name: &str, entry: &Entry| match (name, &entry.symlink) {
        (_, Some(target)) => Content::Link(target.clone()),
        ("app/changed", _) => made(entry.size, Some("app/changed")),
        ("app/new", _) => made(entry.size, None),
        ("app/renamed-2", _) => Content::Old(path("app/renamed-1")),
        ("app/renamed-3", _) => made(entry.size, Some("app/renamed-1")),
        (_, _) if entry.size == 0 => Content::Empty,
        (name, _) => Content::Old(path(name)),
    };
    let fates = target.file_manifest.iter().map(|(name, entry)| {
        let fate = Fate {
            content: content(name.as_str(), entry),
            permissions: entry.permissions,
            mtime: entry.mtime,
        };
        (name.clone(), fate)
    });
    let outline = Outline {
        fates: fates.collect(),
        head: Manifest { file_manifest: BTreeMap::new(), ..target.clone() },
    };
    (base, target, outline)
}

fn read(base: &Manifest, streams: &Streams) -> Result<Outline, PackError> {
    let mut numbers = Numbers::new(&streams.numbers);
    let outline = Outline::read(base, &streams.head, &streams.names, &mut numbers)?;
    assert!(numbers.rest().is_empty());
    Ok(outline)
}

#[test]
fn an_outline_comes_back_and_gives_the_manifest() {
    let (base, target, outline) = example();
    let streams = outline.write(&base).unwrap();
    assert_eq!(read(&base, &streams).unwrap(), outline);
    let made: Vec<Digest> =
        outline.made().map(|(path, _)| target.file_manifest[path].hash).collect();
    assert_eq!(made.len(), 3);
    assert_eq!(outline.manifest(&base, &made).unwrap(), target);
    assert!(outline.manifest(&base, &made[1..]).is_err());
    let names = String::from_utf8(streams.names).unwrap();
    assert_eq!(names, "changed\nkept\napp/new\napp/new empty\napp/renamed-2\napp/renamed-3\n");
    assert!(streams.numbers.len() < 60, "{}", streams.numbers.len());
}

#[test]
fn what_does_not_change_costs_nothing() {
    let (base, _, _) = example();
    let old = Numbered::new(&base);
    let fates = base
        .file_manifest
        .iter()
        .map(|(path, entry)| (path.clone(), old.expected(Some((path, entry)), 9)));
    let mut head = Manifest { file_manifest: BTreeMap::new(), ..base.clone() };
    head.container_info.build_date = jiff::Timestamp::from_second(9).unwrap();
    let streams = Outline { head, fates: fates.collect() }.write(&base).unwrap();
    assert_eq!((streams.names.len(), streams.numbers.as_slice()), (0, &[0, 0, 0][..]));
}

#[test]
fn cut_and_changed_streams_are_refused_or_give_another_manifest() {
    let (base, _, outline) = example();
    let streams = outline.write(&base).unwrap();
    for cut in 0..streams.numbers.len() {
        let numbers = streams.numbers[..cut].to_vec();
        assert!(read(&base, &Streams { numbers, ..streams.clone() }).is_err(), "{cut}");
    }
    for at in 0..streams.numbers.len() {
        for bit in 0..8 {
            let mut numbers = streams.numbers.clone();
            numbers[at] ^= 1 << bit;
            let mut reader = Numbers::new(&numbers);
            if let Ok(other) = Outline::read(&base, &streams.head, &streams.names, &mut reader) {
                assert!(
                    other != outline || !reader.rest().is_empty(),
                    "byte {at} bit {bit} says nothing"
                );
            }
        }
    }
    let names = b"../x\n".repeat(9);
    assert!(read(&base, &Streams { names, ..streams }).is_err());
}
