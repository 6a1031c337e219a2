//! Publishes the launcher's own executable as a signed target: packs it, describes it, and replaces
//! the one before.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp as Time;
use tough::schema::Target;

use super::entries::{file_of, target, target_name};
use super::error::{PublishError, at};
use super::keys::Keyring;
use super::metadata;
use super::project::Project;
use super::repository::{is_there, to_value};
use super::transaction::{Transaction, TransactionStep};
use crate::model::launcher::{self, MAX_LAUNCHER_BYTES, program_in, version_in};
use crate::model::{Digest, Launcher, PieceTable, Platform, Version, publisher};
use crate::trust::LAUNCHER_KEY;

/// Size of the smallest piece, in bytes: an executable is small, and its piece table is part of
/// every check.
const PIECE: u32 = 1 << 20;

/// How the systems call each processor.
const PROCESSORS: [&[&str]; 3] =
    [&["x86_64", "AMD64"], &["aarch64", "arm64", "ARM64"], &["x86", "i686"]];

/// An executable that is to be published.
#[derive(Clone, Debug)]
pub struct LauncherToPublish {
    /// The executable.
    pub path: PathBuf,
    /// The platform that it runs on.
    pub platform: Platform,
    /// Its version; if absent, the version that the file itself contains.
    pub version: Option<Version>,
    /// The level of compression, 1 to 19 (zstd).
    pub level: i32,
}

impl Project {
    /// Prepares a launcher for publication. Clients that have an older launcher exchange it for
    /// this one; the repository no longer offers the previous one for this platform. Publishing the
    /// same executable again changes nothing.
    ///
    /// # Errors
    /// [`PublishError::Package`] if the file is for another system, contains another version or
    /// none, or is older than the published one.
    pub fn publish_launcher(
        &self,
        launcher: &LauncherToPublish,
        keyring: &Keyring,
        now: Time,
    ) -> Result<(Transaction, Launcher), PublishError> {
        let refuse = |reason: String| PublishError::Package { path: launcher.path.clone(), reason };
        let executable = std::fs::read(&launcher.path).map_err(at(&launcher.path))?;
        if executable.len() as u64 > MAX_LAUNCHER_BYTES {
            return Err(refuse(format!("a launcher may have {MAX_LAUNCHER_BYTES} bytes")));
        }
        if let Some(os) = system_of(&executable).filter(|os| *os != launcher.platform.os) {
            return Err(refuse(format!("it is a program for {os}, not for {}", launcher.platform)));
        }
        check_processor(&executable, &launcher.platform).map_err(refuse)?;
        if let Some(other) = program_in(&executable).filter(|it| it.name != launcher::LAUNCHER) {
            return Err(refuse(format!("it is {}, not {}", other.name, launcher::LAUNCHER)));
        }
        let version = match (version_in(&executable), &launcher.version) {
            (Some(found), Some(stated)) if found != *stated => {
                return Err(refuse(format!("it says that it is version {found}, not {stated}")));
            }
            (Some(found), _) => found,
            (None, Some(stated)) => stated.clone(),
            (None, None) => {
                return Err(refuse(
                    "it is no launcher, or does not say its version; name that with --launcher-version".to_owned(),
                ));
            }
        };
        let lock = self.lock()?;
        let current = self.current_to_sign(now)?;
        let mut targets = current.content();
        let hash = Digest::of(&executable);
        let earlier: Vec<_> = targets
            .targets
            .iter()
            .filter_map(|(name, target)| Some((name.clone(), launcher_of(target)?)))
            .filter(|(_, earlier)| earlier.platform == launcher.platform)
            .collect();
        for (name, earlier) in earlier {
            if earlier.version == version && earlier.hash == hash {
                return Ok((Transaction::new(lock, Vec::new()), earlier));
            }
            if earlier.version >= version {
                return Err(refuse(format!(
                    "{} is published for {} already",
                    earlier.version, launcher.platform
                )));
            }
            if let Some(target) = targets.targets.remove(&name) {
                self.check_publisher(name.resolved(), &target, &executable).map_err(refuse)?;
            }
        }
        // Packing takes a minute; a missing key is reported before that.
        metadata::sign(
            current.targets.signed.signed.clone(),
            &[&current.root.signed.signed],
            keyring,
            &[],
        )?;
        let packed = pack(&executable, launcher)?;
        let length = packed.len() as u64;
        let piece_size = PieceTable::size_for(length).max(PIECE);
        let hashes = packed
            .chunks(usize::try_from(piece_size).unwrap_or(usize::MAX))
            .map(Digest::of)
            .collect();
        let pieces = PieceTable { piece_size, length, hashes };
        let description = Launcher {
            version,
            platform: launcher.platform.clone(),
            size: executable.len() as u64,
            hash,
            pieces,
        };
        let (name, packed_hash) = (description.target(), Digest::of(&packed));
        let destination = self.targets_folder().join(format!("{packed_hash}.{name}"));
        let mut steps = Vec::new();
        if !is_there(&destination, packed_hash, length)? {
            steps.push(TransactionStep::Write { path: destination, bytes: packed });
        }
        let custom = HashMap::from([(LAUNCHER_KEY.to_owned(), to_value(&description)?)]);
        targets.targets.insert(target_name(&name)?, target(packed_hash, length, custom));
        steps.extend(self.new_targets(&current, targets, keyring, now)?);
        Ok((Transaction::new(lock, steps), description))
    }

    /// Refuses a launcher that installed ones would refuse: one of Windows that is not signed by
    /// the publisher of the one before. Nothing is said if that one's file is gone.
    fn check_publisher(
        &self,
        name: &str,
        earlier: &Target,
        executable: &[u8],
    ) -> Result<(), String> {
        let path = self.targets_folder().join(file_of(name, earlier));
        let Ok(Ok(earlier)) = std::fs::File::open(path).map(zstd::decode_all) else {
            return Ok(());
        };
        publisher::check(&earlier, executable).map_err(|other| {
            format!("{other}. Installed launchers take only one of the same publisher: sign it as the one before, or bring it with a new installer")
        })
    }

    /// The published launchers.
    ///
    /// # Errors
    /// The errors of reading the repository.
    pub fn launchers(&self) -> Result<Vec<Launcher>, PublishError> {
        Ok(self.current()?.targets.signed.signed.targets.values().filter_map(launcher_of).collect())
    }
}

pub(super) fn launcher_of(target: &Target) -> Option<Launcher> {
    target.custom.get(LAUNCHER_KEY).and_then(|value| serde_json::from_value(value.clone()).ok())
}

fn pack(executable: &[u8], launcher: &LauncherToPublish) -> Result<Vec<u8>, PublishError> {
    let failed = at(Path::new(&launcher.path));
    let pack = || {
        let mut encoder = zstd::Encoder::new(Vec::new(), launcher.level)?;
        encoder.include_checksum(false)?;
        std::io::Write::write_all(&mut encoder, executable)?;
        encoder.finish()
    };
    pack().map_err(failed)
}

/// The system that a program is for, by its first bytes; `None` for any other file, such as a
/// script.
pub(crate) fn system_of(executable: &[u8]) -> Option<&'static str> {
    match executable {
        [0x7f, b'E', b'L', b'F', ..] => Some("Linux"),
        [b'M', b'Z', ..] => Some("Windows"),
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => Some("Darwin"),
        _ => None,
    }
}

/// Refuses a program for another processor than that of `platform`, as far as both are known.
pub(crate) fn check_processor(executable: &[u8], platform: &Platform) -> Result<(), String> {
    let known =
        PROCESSORS.iter().flat_map(|names| names.iter()).any(|name| *name == platform.architecture);
    match processor_of(executable) {
        Some(names) if known && !names.contains(&platform.architecture.as_str()) => Err(format!(
            "it is a program for processors called {}, not for {platform}",
            names.join(" or ")
        )),
        _ => Ok(()),
    }
}

/// How platforms call the processor that a program is for; `None` if its headers name none of the
/// usual ones.
fn processor_of(executable: &[u8]) -> Option<&'static [&'static str]> {
    let short = |at: usize| executable.get(at..at + 2).map(|two| [two[0], two[1]]);
    // Where each kind of program names its processor: in ELF and in PE as a number of two bytes, in
    // Mach-O as one of four, whose ends are enough.
    let machine = match system_of(executable)? {
        "Linux" => short(18)?,
        "Windows" => {
            let [low, high] = short(0x3c)?;
            short(usize::from(u16::from_le_bytes([low, high])) + 4)?
        }
        // Of a universal program each part has its own.
        _ if executable[0] == 0xca => return None,
        _ => {
            let [first, _] = short(4)?;
            [first, executable.get(7).copied()?]
        }
    };
    match machine {
        [62, 0] | [0x64, 0x86] | [7, 1] => Some(PROCESSORS[0]),
        [183, 0] | [0x64, 0xaa] | [12, 1] => Some(PROCESSORS[1]),
        [3, 0] | [0x4c, 1] => Some(PROCESSORS[2]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_their_beginning() {
        assert_eq!(system_of(b"\x7fELF\x02"), Some("Linux"));
        assert_eq!(system_of(b"MZ\x90"), Some("Windows"));
        assert_eq!(system_of(&[0xcf, 0xfa, 0xed, 0xfe, 7]), Some("Darwin"));
        assert_eq!(system_of(b"#!/bin/sh"), None);
        assert_eq!(system_of(b""), None);
    }

    #[test]
    fn the_processor_of_a_program_stands_in_its_headers() {
        let elf = |machine: u8| [&b"\x7fELF\x02\x01"[..], &[0; 12], &[machine, 0, 1, 0]].concat();
        assert_eq!(processor_of(&elf(62)), Some(&["x86_64", "AMD64"][..]));
        assert_eq!(processor_of(&elf(183)), Some(&["aarch64", "arm64", "ARM64"][..]));
        assert_eq!(processor_of(&elf(20)), None, "PowerPC is not known here");
        let mut windows = [b"MZ".as_slice(), &[0; 58], &[0x80, 0, 0, 0]].concat();
        windows.resize(0x80, 0);
        windows.extend(b"PE\0\0\x4c\x01");
        assert_eq!(processor_of(&windows), Some(&["x86", "i686"][..]));
        assert_eq!(processor_of(&windows[..0x82]), None);
        let mac = [0xfeed_facf_u32, 0x0100_000c].map(u32::to_le_bytes).concat();
        assert_eq!(processor_of(&mac), Some(&["aarch64", "arm64", "ARM64"][..]));
        assert_eq!(processor_of(b"#!/bin/sh"), None);
    }
}
