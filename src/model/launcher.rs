//! The launcher's own executable as signed metadata describes it, and the version of the running
//! launcher.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::pieces::PieceTable;
use super::platform::Platform;
use super::version::Version;

/// Largest executable that is unpacked, bytes. A debug build with all symbols has some 400 MB.
pub const MAX_LAUNCHER_BYTES: u64 = 1 << 30;
/// Ending of the targets that hold launchers, one zstd frame each.
pub const LAUNCHER_SUFFIX: &str = ".launcher";

/// The signed description of a published launcher: the custom part of its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launcher {
    /// Version of the launcher.
    pub version: Version,
    /// The platform it runs on.
    pub platform: Platform,
    /// Bytes of the executable.
    pub size: u64,
    /// Digest of the executable.
    pub hash: Digest,
    /// Pieces of the target, for the download.
    pub pieces: PieceTable,
}

impl Launcher {
    /// The name of the TUF target.
    pub fn target(&self) -> String {
        format!("kuzflow-launcher_{}_{}{LAUNCHER_SUFFIX}", self.version, self.platform)
    }
}

/// A launcher with the signed length and digest of its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedLauncher {
    /// Name of the TUF target.
    pub target: String,
    /// Bytes of the target.
    pub length: u64,
    /// Digest of the target.
    pub hash: Digest,
    /// The signed description.
    pub launcher: Launcher,
}

impl SignedLauncher {
    /// Where nodes serve the target, relative to their base address.
    pub fn location(&self) -> String {
        format!("targets/{}.{}", self.hash, self.target)
    }
}

/// The newest launcher for `platform` that is newer than `than`.
pub fn newer<'a>(
    launchers: &'a [SignedLauncher],
    platform: &Platform,
    than: &Version,
) -> Option<&'a SignedLauncher> {
    let fitting = launchers
        .iter()
        .filter(|signed| signed.launcher.platform == *platform && signed.launcher.version > *than);
    fitting.max_by(|a, b| a.launcher.version.cmp(&b.launcher.version))
}

/// The executable contains its version behind this text. So a publisher who signs it need not give
/// the version, and cannot give a wrong one.
const STAMP_BEGIN: &str = "kuzflow-launcher-version:[";
const STAMP_END: u8 = b']';
/// Longest text in a stamp, bytes.
const MAX_STAMP_BYTES: usize = 96;
#[used]
static STAMP: &str = concat!("kuzflow-launcher-version:[", env!("CARGO_PKG_VERSION"), "]");

/// The version of this program.
pub fn own_version() -> Version {
    // Read from the stamp in the executable, so that the running program and a reader of its file
    // get the same version.
    version_in(std::hint::black_box(STAMP).as_bytes()).unwrap_or(Version::new(0, 0, 0))
}

/// The version in the stamp of the launcher with these bytes; `None` if there is no stamp.
pub fn version_in(bytes: &[u8]) -> Option<Version> {
    stamped(bytes, STAMP_BEGIN, |text| text.parse().ok())
}

/// Each program of this project contains its name and version behind this text; older ones have only
/// the stamp above, which is the same in all of them.
const PROGRAM_BEGIN: &str = "kuzflow-program:[";
/// The programs' names.
pub(crate) const LAUNCHER: &str = "kuzflow-launcher";
pub(crate) const PUBLISHERS_TOOL: &str = "kuzflow";

/// A program of this project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// [`LAUNCHER`] or [`PUBLISHERS_TOOL`].
    pub name: &'static str,
    pub version: Version,
}

/// Which program of this project has these bytes, whatever its file is called; `None` if it does
/// not say so.
pub(crate) fn program_in(bytes: &[u8]) -> Option<Program> {
    stamped(bytes, PROGRAM_BEGIN, |text| {
        let (name, version) = text.split_once(' ')?;
        let name = [LAUNCHER, PUBLISHERS_TOOL].into_iter().find(|known| *known == name)?;
        Some(Program { name, version: version.parse().ok()? })
    })
}

/// The first text between `begin` and the end of a stamp that is one.
fn stamped<T>(bytes: &[u8], begin: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let begin = begin.as_bytes();
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, begin) {
        rest = &rest[at + begin.len()..];
        let end = rest.iter().take(MAX_STAMP_BYTES).position(|byte| *byte == STAMP_END);
        let found = end.and_then(|end| read(std::str::from_utf8(&rest[..end]).ok()?));
        if found.is_some() {
            return found;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_is_found_and_its_own_beginning_is_no_stamp() {
        assert_eq!(own_version().to_string(), env!("CARGO_PKG_VERSION"));
        let mut bytes =
            format!("\x7fELF {STAMP_BEGIN}\0 not a version] {STAMP_BEGIN}").into_bytes();
        assert_eq!(version_in(&bytes), None);
        bytes.extend(b"1.2.3-beta.1] and more");
        assert_eq!(version_in(&bytes).unwrap().to_string(), "1.2.3-beta.1");
    }

    #[test]
    fn a_program_is_known_by_its_own_stamp() {
        let found = |text: &str| {
            program_in(text.as_bytes()).map(|it| format!("{} {}", it.name, it.version))
        };
        let both =
            format!("{STAMP} {PROGRAM_BEGIN}other 1.0.0]{PROGRAM_BEGIN}kuzflow 1.2.3-rc.1] x");
        assert_eq!(found(&both).as_deref(), Some("kuzflow 1.2.3-rc.1"));
        let launcher = format!("\0{PROGRAM_BEGIN}kuzflow-launcher 0.2.0]");
        assert_eq!(found(&launcher).as_deref(), Some("kuzflow-launcher 0.2.0"));
        for other in [STAMP, "", PROGRAM_BEGIN, "kuzflow-program:[kuzflow 1.x]"] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_for_this_platform_is_taken_and_never_an_older_one() {
        let signed = |version: &str, platform: &str| {
            let pieces = PieceTable { piece_size: 1, length: 0, hashes: Vec::new() };
            let (version, platform) = (version.parse().unwrap(), platform.parse().unwrap());
            let launcher = Launcher { version, platform, size: 1, hash: Digest::of(b""), pieces };
            SignedLauncher { target: launcher.target(), length: 1, hash: Digest::of(b""), launcher }
        };
        let all = [
            signed("1.0.0", "Linux_x86_64"),
            signed("1.10.0", "Linux_x86_64"),
            signed("2.0.0", "Windows_AMD64"),
        ];
        let linux = "Linux_x86_64".parse().unwrap();
        let found = |than: &str| {
            newer(&all, &linux, &than.parse().unwrap())
                .map(|signed| signed.launcher.version.to_string())
        };
        assert_eq!(
            (found("1.2.0").as_deref(), found("1.10.0"), found("3.0.0")),
            (Some("1.10.0"), None, None)
        );
        let windows =
            newer(&all, &"Windows_AMD64".parse().unwrap(), &Version::new(1, 0, 0)).unwrap();
        assert_eq!(
            windows.location(),
            format!("targets/{}.kuzflow-launcher_2.0.0_Windows_AMD64.launcher", Digest::of(b""))
        );
    }
}
