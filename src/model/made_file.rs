//! The files that `kuzflow` makes, each known by its first and last bytes, whatever its name is.
//! Pure.

use std::fmt;

/// How many bytes of a file's beginning, and of its end, tell its kind.
pub(crate) const TELLING_BYTES: usize = 4096;
/// The name of the list of installers in a folder.
pub(crate) const INSTALLERS_INDEX: &str = "installers.json";
/// The folder beside installers for launchers as they are shipped.
pub(crate) const SHIPPED_LAUNCHERS: &str = "launchers";
/// The picture beside a download page.
pub(crate) const DOWNLOAD_PAGE_ICON: &str = "icon.png";
/// The file that marks a folder as a launcher's home.
pub(crate) const HOME_MARKER: &str = "kuzflow-home.txt";

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MadeFile {
    Package,
    Bundle,
    PatchPack,
    DownloadPage,
    Feed,
    Picture,
    ManualPage,
    DebianPackage,
    RpmPackage,
    InstallScript,
    WindowsProgram,
    Zip,
    DiskImage,
    Program,
}

impl MadeFile {
    /// The kinds that only `kuzflow` makes, so that the bytes alone are certain.
    const CERTAIN: [Self; 5] =
        [Self::Package, Self::Bundle, Self::PatchPack, Self::DownloadPage, Self::Feed];

    /// The kind of a file that nobody else makes, by its first and last bytes; `None` for all other
    /// files.
    pub(crate) fn of(first: &[u8], last: &[u8]) -> Option<Self> {
        Self::CERTAIN.into_iter().find(|kind| kind.fits(first, last))
    }

    /// Whether a file with these first and last bytes is of this kind.
    pub(crate) fn fits(self, first: &[u8], last: &[u8]) -> bool {
        match self {
            // The manifest is the last entry of a package.
            Self::Package => Self::Zip.fits(first, last) && holds(last, b"metadata/container.json"),
            // A tar whose first member is the first root.
            Self::Bundle => {
                first.starts_with(b"metadata/1.root.json\0")
                    && first.get(257..262) == Some(b"ustar")
            }
            // The number behind it is the version of the form.
            Self::PatchPack => first.starts_with(b"KZP"),
            Self::DownloadPage => holds(
                first,
                b"<link rel=\"alternate\" type=\"application/atom+xml\" href=\"feed.atom\">",
            ),
            Self::Feed => holds(first, b"<id>urn:kuzflow:"),
            Self::Picture => first.starts_with(b"\x89PNG\r\n\x1a\n"),
            Self::ManualPage => holds(first, b".TH kuzflow"),
            Self::DebianPackage => first.starts_with(b"!<arch>\ndebian-binary"),
            Self::RpmPackage => first.starts_with(&[0xed, 0xab, 0xee, 0xdb]),
            Self::InstallScript => first.starts_with(b"#!/bin/sh\n# Installs "),
            Self::WindowsProgram => first.starts_with(b"MZ"),
            Self::Zip => first.starts_with(b"PK\x03\x04"),
            Self::DiskImage => trailer(last).starts_with(b"koly"),
            Self::Program => is_program(first),
        }
    }
}

impl fmt::Display for MadeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Package => "package",
            Self::Bundle => "bundle",
            Self::PatchPack => "patch pack",
            Self::DownloadPage => "download page",
            Self::Feed => "feed",
            Self::Picture => "PNG",
            Self::ManualPage => "man page",
            Self::DebianPackage => "Debian package",
            Self::RpmPackage => "RPM package",
            Self::InstallScript => "installer",
            Self::WindowsProgram => "program for Windows",
            Self::Zip => "zip archive",
            Self::DiskImage => "disk image",
            Self::Program => "program",
        })
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The trailer of a disk image: its last 512 bytes.
fn trailer(last: &[u8]) -> &[u8] {
    last.last_chunk::<512>().map_or(&[], |trailer| trailer)
}

/// The first bytes of programs of Linux, Windows and macOS.
fn is_program(first: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 5] = [
        b"\x7fELF",
        b"MZ",
        &[0xcf, 0xfa, 0xed, 0xfe],
        &[0xce, 0xfa, 0xed, 0xfe],
        &[0xca, 0xfe, 0xba, 0xbe],
    ];
    BEGINNINGS.iter().any(|beginning| first.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_kuzflow_makes_is_taken_for_its_own() {
        let mut tar = b"metadata/1.root.json".to_vec();
        tar.resize(257, 0);
        tar.extend(b"ustar  \0");
        let page = b"<!DOCTYPE html>\n<link rel=\"alternate\" type=\"application/atom+xml\" href=\"feed.atom\">";
        let cases: [(&[u8], &[u8], Option<MadeFile>); 9] = [
            (b"PK\x03\x04..", b"..metadata/container.json..PK\x05\x06", Some(MadeFile::Package)),
            (b"PK\x03\x04..", b"mimetype..PK\x05\x06", None),
            (&tar, b"", Some(MadeFile::Bundle)),
            (&tar[..200], b"", None),
            (b"KZP3....", b"", Some(MadeFile::PatchPack)),
            (page, b"", Some(MadeFile::DownloadPage)),
            (b"<feed>\n  <id>urn:kuzflow:sample</id>", b"", Some(MadeFile::Feed)),
            (b"#!/bin/sh\necho hello", b"", None),
            (b"", b"", None),
        ];
        for (first, last, kind) in cases {
            assert_eq!(MadeFile::of(first, last), kind, "{}", String::from_utf8_lossy(first));
        }
    }

    #[test]
    fn installers_are_known_by_the_marks_of_their_formats() {
        let mut image = vec![0; 600];
        image.splice(88..92, *b"koly");
        assert!(MadeFile::DiskImage.fits(b"", &image) && !MadeFile::DiskImage.fits(b"", b"koly x"));
        assert!(MadeFile::DebianPackage.fits(b"!<arch>\ndebian-binary   1", b""));
        assert!(!MadeFile::DebianPackage.fits(b"!<arch>\n/ a library", b""));
        assert!(MadeFile::InstallScript.fits(b"#!/bin/sh\n# Installs 'My App'", b""));
        assert!(!MadeFile::InstallScript.fits(b"#!/bin/sh\nrm -rf", b""));
        assert!(MadeFile::Program.fits(b"\x7fELF\x02", b"") && MadeFile::Program.fits(b"MZ", b""));
        assert!(!MadeFile::Program.fits(b"text", b""));
    }
}
