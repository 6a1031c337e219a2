//! Honest and hostile archives.

use super::*;

const LIMITS: ArchiveLimits = ArchiveLimits { bytes: 1 << 20, entries: 100 };

/// A tar of entries: kind, name, content or target.
fn tar_of(entries: &[(tar::EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        // The crate refuses hostile names, so they are written by hand.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        let is_link = kind.is_symlink() || kind.is_hard_link();
        if is_link {
            header.as_mut_bytes()[157..157 + content.len()].copy_from_slice(content.as_bytes());
        }
        let content = if is_link { "" } else { content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip_of(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        writer.start_file(*name, options).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn unpacked_within(
    bytes: &[u8],
    limits: ArchiveLimits,
) -> Result<tempfile::TempDir, SourceArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    fs::write(&archive, bytes).unwrap();
    let to = folder.path().join("to");
    let outcome = unpack(&archive, &to, limits, &|| false);
    let beside: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(beside.len() <= 2, "{beside:?}");
    outcome.map(|()| folder)
}

fn unpacked(bytes: &[u8]) -> Result<tempfile::TempDir, SourceArchiveError> {
    unpacked_within(bytes, LIMITS)
}

use tar::EntryType as Kind;

#[test]
fn every_form_is_unpacked() {
    let tar = tar_of(&[
        (Kind::XGlobalHeader, "pax_global_header", ""),
        (Kind::Directory, "./", ""),
        (Kind::Directory, "./app/", ""),
        (Kind::Regular, "./app/main.py", "print(1)"),
    ]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();
    let zip = zip_of(&[("app/main.py", 0o755, "print(1)")]);
    for bytes in [tar, gzip.finish().unwrap(), zstd, zip] {
        let folder = unpacked(&bytes).unwrap();
        let to = folder.path().join("to");
        assert_eq!(fs::read_to_string(to.join("app/main.py")).unwrap(), "print(1)");
        assert_eq!(top(&to), to.join("app"));
        assert_eq!(top(&to.join("app")), to.join("app"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(to.join("app/main.py")).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o755);
        }
    }
    for bytes in [&b""[..], b"<!doctype html>", &[0x1f, 0x8b, 8, 0], b"PK\x03\x04nonsense"] {
        assert!(unpacked(bytes).is_err());
    }
}

#[test]
fn no_path_leaves_the_folder() {
    for name in ["../evil", "/evil", "a/../../evil", "a\\..\\..\\evil", "C:evil", "a/./b"] {
        let tar = tar_of(&[(Kind::Regular, name, "x")]);
        assert!(matches!(unpacked(&tar), Err(SourceArchiveError::Path(_))), "{name}");
        let zip = zip_of(&[(name, 0o644, "x")]);
        assert!(unpacked(&zip).is_err(), "{name}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    for kind in [Kind::Link, Kind::Char, Kind::Block, Kind::Fifo] {
        let tar = tar_of(&[(Kind::Regular, "a", "x"), (kind, "b", "a")]);
        assert!(matches!(unpacked(&tar), Err(SourceArchiveError::Kind { .. })), "{kind:?}");
    }
}

#[cfg(unix)]
#[test]
fn links_stay_inside_and_nothing_is_written_through_them() {
    let tar = tar_of(&[
        (Kind::Symlink, "lib/a.so", "a.so.1"),
        (Kind::Regular, "lib/a.so.1", "x"),
        (Kind::Symlink, "b", "lib"),
    ]);
    let folder = unpacked(&tar).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("to/b/a.so")).unwrap(), "x");
    for target in ["..", "/etc", "../../x", "lib/../..", ""] {
        let tar = tar_of(&[(Kind::Symlink, "b", target)]);
        assert!(matches!(unpacked(&tar), Err(SourceArchiveError::Link { .. })), "{target}");
    }
    for entries in [
        [(Kind::Symlink, "b", "lib"), (Kind::Regular, "b/evil", "x")],
        [(Kind::Regular, "b/evil", "x"), (Kind::Symlink, "b", "lib")],
        [(Kind::Symlink, "b", "lib"), (Kind::Symlink, "b/evil", "x")],
        [(Kind::Symlink, "b", "lib"), (Kind::Regular, "b", "x")],
        [(Kind::Regular, "b", "x"), (Kind::Regular, "B", "x")],
    ] {
        assert!(unpacked(&tar_of(&entries)).is_err(), "{entries:?}");
    }
    let zip = {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        writer.add_symlink("a", "../evil", options).unwrap();
        writer.finish().unwrap().into_inner()
    };
    assert!(matches!(unpacked(&zip), Err(SourceArchiveError::Link { .. })));
}

#[test]
fn an_archive_is_bounded() {
    let large = zip_of(&[("a", 0o644, &"x".repeat(1000))]);
    let limits = ArchiveLimits { bytes: 999, entries: 100 };
    assert!(matches!(unpacked_within(&large, limits), Err(SourceArchiveError::TooLarge(999))));
    let many = tar_of(&[(Kind::Regular, "a", ""), (Kind::Regular, "b", "")]);
    let limits = ArchiveLimits { bytes: 999, entries: 1 };
    assert!(matches!(unpacked_within(&many, limits), Err(SourceArchiveError::TooMany(1))));
}
