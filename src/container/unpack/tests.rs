//! Tests of `container::unpack`.

use super::super::fixture;
use super::*;
use crate::model::package_index::Compression;

struct Staged {
    folder: tempfile::TempDir,
    manifest: Arc<Manifest>,
    index: PackageIndex,
    payload: Vec<u8>,
}

fn staged(files: &[(&str, &[u8])]) -> Staged {
    let (manifest, index, payload) = fixture::container(files);
    Staged { folder: tempfile::tempdir().unwrap(), manifest: Arc::new(manifest), index, payload }
}

impl Staged {
    fn root(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn unpack(&self) -> Result<(), ContainerError> {
        let mut package = tempfile::tempfile().unwrap();
        package.write_all(&self.payload).unwrap();
        unpack_package(&package, self.manifest.clone(), &self.index, b"{}", self.root(), 2, &|_| ())
    }

    fn change(&mut self, path: &str, change: impl FnOnce(&mut Entry, &mut Packed)) {
        let manifest = Arc::make_mut(&mut self.manifest);
        change(
            manifest.file_manifest.get_mut(path).unwrap(),
            self.index.places.get_mut(path).unwrap(),
        );
    }
}

#[test]
fn a_whole_tree() {
    let long = b"text ".repeat(200_000);
    let mut staged = staged(&[
        ("app/空 格/long.txt", &long),
        ("scripts/launch.sh", b"#!/bin/sh\n"),
        ("app/empty", b""),
    ]);
    let manifest = Arc::make_mut(&mut staged.manifest);
    manifest.empty_folders.push("data/nothing/here".parse().unwrap());
    manifest.file_manifest.insert("app/link".parse().unwrap(), fixture::link("空 格/long.txt"));
    staged.unpack().unwrap();
    let root = staged.root();
    assert_eq!(fs::read(root.join("app/空 格/long.txt")).unwrap(), long);
    assert_eq!(fs::read(root.join("app/link")).unwrap(), long);
    assert_eq!(fs::read(root.join("app/empty")).unwrap(), b"");
    assert_eq!(fs::read(root.join("metadata/container.json")).unwrap(), b"{}");
    assert!(root.join("data/nothing/here").is_dir());
    let metadata = fs::metadata(root.join("scripts/launch.sh")).unwrap();
    assert_eq!(metadata.modified().unwrap(), system_time(1_700_000_000));
    #[cfg(unix)]
    {
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777,
            0o755
        );
        assert_eq!(fs::read_link(root.join("app/link")).unwrap(), Path::new("空 格/long.txt"));
    }
}

#[test]
fn wrong_content_leaves_nothing_and_can_be_tried_again() {
    let mut staged = staged(&[("app/x", b"content")]);
    let good = staged.index.places["app/x"];
    let at = good.offset as usize;
    staged.payload[at] ^= 1;
    let unpacker = Unpacker::new(staged.manifest.clone(), staged.root()).unwrap();
    let path: RelativePath = "app/x".parse().unwrap();
    let error = unpacker.entry(&path, &good, &mut &staged.payload[at..]).unwrap_err();
    assert!(matches!(error, ContainerError::Entry { fault: Fault::Hash { .. }, .. }), "{error:?}");
    assert!(!staged.root().join("app/x").exists());
    assert_eq!(unpacker.waiting(), 2);
    staged.payload[at] ^= 1;
    unpacker.entry(&path, &good, &mut &staged.payload[at..]).unwrap();
    assert!(matches!(
        unpacker.entry(&path, &good, &mut &staged.payload[at..]),
        Err(ContainerError::Unknown { .. })
    ));
    assert!(matches!(unpacker.finish(b"{}"), Err(ContainerError::Unfinished { count: 1, .. })));
}

#[test]
fn bombs_truncations_and_tails_are_refused() {
    let zeros = vec![0u8; 8 << 20];
    type Change = fn(&mut Entry, &mut Packed);
    let cases: [(&str, Change); 4] = [
        ("bomb", |entry, _| entry.size = 1000),
        ("short", |entry, _| entry.size += 1),
        ("truncated", |_, packed| packed.size -= 1),
        ("trailing", |_, packed| packed.size += 1),
    ];
    for (name, change) in cases {
        let mut staged = staged(&[("app/zeros", &zeros)]);
        staged.change("app/zeros", change);
        let error = staged.unpack().unwrap_err();
        let as_expected = matches!(
            (name, &error),
            ("bomb", ContainerError::Entry { fault: Fault::TooLong { declared: 1000 }, .. })
                | ("short", ContainerError::Entry { fault: Fault::TooShort { .. }, .. })
                | ("truncated", ContainerError::Entry { fault: Fault::Truncated, .. })
                | ("trailing", ContainerError::Entry { fault: Fault::Trailing, .. })
        );
        assert!(as_expected, "{name}: {error:?}");
        assert!(!staged.root().join("app/zeros").exists(), "{name}");
    }
    // The length exposes a bomb that is declared as stored.
    let mut staged = staged(&[("app/zeros", &zeros)]);
    staged.change("app/zeros", |_, packed| packed.compression = Compression::Stored);
    assert!(matches!(
        staged.unpack(),
        Err(ContainerError::Entry { fault: Fault::TooShort { .. }, .. })
    ));
}

#[test]
fn files_of_another_version_are_used_if_they_are_the_right_ones() {
    let staged = staged(&[("app/x", b"content"), ("app/y", b"other")]);
    let unpacker = Unpacker::new(staged.manifest.clone(), staged.root()).unwrap();
    let [x, y, app]: [RelativePath; 3] =
        ["app/x", "app/y", "app/app.py"].map(|path| path.parse().unwrap());
    let file = staged.folder.path().join("installed");
    fs::write(&file, b"contenT").unwrap();
    let error = unpacker.clone_from(&x, &file).unwrap_err();
    assert!(matches!(error, ContainerError::Entry { fault: Fault::Hash { .. }, .. }), "{error:?}");
    fs::write(&file, b"content and more").unwrap();
    assert!(unpacker.clone_from(&x, &file).is_err());
    assert!(!staged.root().join("app/x").exists());
    fs::write(&file, b"content").unwrap();
    unpacker.clone_from(&x, &file).unwrap();
    // A copy: writing to it changes nothing in the other version.
    fs::write(staged.root().join("app/x"), b"changed").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"content");
    assert!(matches!(unpacker.clone_from(&x, &file), Err(ContainerError::Unknown { .. })));

    fs::write(&file, b"other").unwrap();
    assert!(unpacker.adopt(&y, &file, Digest::of(b"content")).is_err());
    unpacker.adopt(&y, &file, Digest::of(b"other")).unwrap();
    assert!(!file.exists() && unpacker.waiting() == 1);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(staged.root().join("app/y"), &file).unwrap();
        assert!(unpacker.clone_from(&app, &file).is_err(), "a link is not followed");
    }
    assert!(unpacker.clone_from(&app, &staged.folder.path().join("none")).is_err());
}

#[test]
fn a_folder_with_something_in_it_is_refused() {
    let staged = staged(&[]);
    fs::create_dir(staged.root()).unwrap();
    fs::write(staged.root().join("planted"), b"").unwrap();
    assert!(matches!(staged.unpack(), Err(ContainerError::NotEmpty { .. })));
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_planted_link() {
    let staged = staged(&[("app/x", b"content")]);
    let outside = staged.folder.path().join("outside");
    fs::write(&outside, b"before").unwrap();
    let unpacker = Unpacker::new(staged.manifest.clone(), staged.root()).unwrap();
    std::os::unix::fs::symlink(&outside, staged.root().join("app/x")).unwrap();
    let path: RelativePath = "app/x".parse().unwrap();
    let good = staged.index.places["app/x"];
    let at = good.offset as usize;
    let error = unpacker.entry(&path, &good, &mut &staged.payload[at..]).unwrap_err();
    assert!(matches!(error, ContainerError::File(_)), "{error:?}");
    assert_eq!(fs::read(&outside).unwrap(), b"before");
}

#[test]
fn no_root_through_a_link_to_a_full_folder() {
    let staged = staged(&[]);
    fs::create_dir(staged.folder.path().join("full")).unwrap();
    fs::write(staged.folder.path().join("full/x"), b"").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("full", staged.root()).unwrap();
    #[cfg(unix)]
    assert!(matches!(staged.unpack(), Err(ContainerError::NotEmpty { .. })));
}
