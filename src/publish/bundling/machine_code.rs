//! For which system and processor the machine code in a file is.
//!
//! In: the first bytes of a file. Out: [`MachineCode`], or nothing for any other file. Never: runs
//! it; a decision about it.

use std::fmt;

use crate::model::Platform;

/// Bytes of a file that are read: headers of programs stand in its first pages.
pub(super) const HEAD_BYTES: usize = 4096;
/// More architectures than this are in no file of macOS; Java's class files begin like one and have
/// their version in its place, which is larger.
const MAX_FAT_ARCHITECTURES: u32 = 30;

/// Machine code, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MachineCode {
    /// `Linux`, `Windows` or `Darwin`, as platforms spell them.
    system: &'static str,
    /// The processors; several in a universal file.
    processors: Vec<&'static str>,
    /// Whether another program loads it into its own process.
    is_library: bool,
}

impl MachineCode {
    /// Reads the header at the start of a file.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x7f, b'E', b'L', b'F', ..] => elf(head),
            [b'M', b'Z', ..] => pe(head),
            [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => mach_o(head),
            [0xca, 0xfe, 0xba, 0xbe | 0xbf, ..] => universal(head),
            _ => None,
        }
    }

    /// Whether a computer of this platform runs it, or loads it into its programs.
    pub(super) fn runs_on(&self, platform: &Platform) -> bool {
        let own = processor(&platform.architecture);
        let runs = |there: &&str| {
            processor(there) == own
                // Windows starts programs of these processors as well; it loads no library of
                // another into them.
                || (self.system == "Windows"
                    && !self.is_library
                    && matches!((*there, own.as_str()), ("x86", "x86_64" | "aarch64") | ("x86_64", "aarch64")))
        };
        self.system == platform.os && self.processors.iter().any(runs)
    }

    /// Whether it is a program of Windows: a wheel for every system may bring one, which starts a
    /// script there.
    pub(super) fn is_windows_program(&self) -> bool {
        self.system == "Windows" && !self.is_library
    }
}

impl fmt::Display for MachineCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let system = if self.system == "Darwin" { "macOS" } else { self.system };
        write!(f, "{system} {}", self.processors.join(" + "))
    }
}

/// One name for the processors that systems call differently.
fn processor(architecture: &str) -> String {
    let name = architecture.to_lowercase();
    match name.as_str() {
        "amd64" | "x64" => "x86_64",
        "arm64" => "aarch64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "armv6l" | "armv7l" | "armhf" => "arm",
        other => other,
    }
    .to_owned()
}

fn bytes<const N: usize>(head: &[u8], at: usize) -> Option<[u8; N]> {
    head.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn elf(head: &[u8]) -> Option<MachineCode> {
    const RELOCATABLE: u16 = 1;
    let is_big_endian = *head.get(5)? == 2;
    let number = |at| {
        let two = bytes(head, at)?;
        Some(if is_big_endian { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    };
    // Object files: no system runs them, and programs for the kernel have this form.
    let kind = number(16)?;
    if kind == RELOCATABLE {
        return None;
    }
    let processor = match number(18)? {
        3 => "x86",
        21 if is_big_endian => "ppc64",
        21 => "ppc64le",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        _ => "of another processor",
    };
    Some(MachineCode { system: "Linux", processors: vec![processor], is_library: kind == 3 })
}

fn pe(head: &[u8]) -> Option<MachineCode> {
    const LIBRARY: u16 = 0x2000;
    let header = usize::try_from(u32::from_le_bytes(bytes(head, 0x3c)?)).ok()?;
    if head.get(header..header.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let number = |at: usize| bytes(head, header.checked_add(at)?).map(u16::from_le_bytes);
    let machine = number(4)?;
    if is_managed(head, header + 24) {
        return None;
    }
    let processor = match machine {
        0x014c => "x86",
        0x01c4 => "arm",
        0x8664 => "x86_64",
        0xaa64 => "aarch64",
        _ => "of another processor",
    };
    let is_library = number(22)? & LIBRARY != 0;
    Some(MachineCode { system: "Windows", processors: vec![processor], is_library })
}

/// Whether a file of Windows is code for .NET, which runs on each processor and system. `optional`
/// is where its optional header begins.
fn is_managed(head: &[u8], optional: usize) -> bool {
    /// The entry of the table of directories that only such code has.
    const RUNTIME_HEADER: usize = 14;
    let table = match bytes(head, optional).map(u16::from_le_bytes) {
        Some(0x10b) => optional + 96,
        Some(0x20b) => optional + 112,
        _ => return false,
    };
    let counted = bytes(head, table - 4).map_or(0, u32::from_le_bytes);
    let place = bytes(head, table + RUNTIME_HEADER * 8).map_or(0, u32::from_le_bytes);
    counted > 14 && place != 0
}

fn mach_o(head: &[u8]) -> Option<MachineCode> {
    const OBJECT: u32 = 1;
    const PROGRAM: u32 = 2;
    let kind = u32::from_le_bytes(bytes(head, 12)?);
    if kind == OBJECT {
        return None;
    }
    let processors = vec![mac_processor(u32::from_le_bytes(bytes(head, 4)?))];
    Some(MachineCode { system: "Darwin", processors, is_library: kind != PROGRAM })
}

fn universal(head: &[u8]) -> Option<MachineCode> {
    let count = u32::from_be_bytes(bytes(head, 4)?);
    if !(1..=MAX_FAT_ARCHITECTURES).contains(&count) {
        return None;
    }
    let size = if head[3] == 0xbf { 32 } else { 20 };
    let processors = (0..usize::try_from(count).ok()?)
        .map(|index| {
            bytes(head, 8 + index * size).map(|kind| mac_processor(u32::from_be_bytes(kind)))
        })
        .collect::<Option<Vec<_>>>()?;
    Some(MachineCode { system: "Darwin", processors, is_library: true })
}

fn mac_processor(kind: u32) -> &'static str {
    match kind {
        7 => "x86",
        0x0100_0007 => "x86_64",
        0x0100_000c => "arm64",
        _ => "of another processor",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kind: u16, machine: u16) -> Vec<u8> {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(64, 0);
        head[16..18].copy_from_slice(&kind.to_le_bytes());
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head
    }

    fn pe(machine: u16, characteristics: u16, runtime_header: u32) -> Vec<u8> {
        let mut head = b"MZ".to_vec();
        head.resize(512, 0);
        head[0x3c] = 0x80;
        head[0x80..0x84].copy_from_slice(b"PE\0\0");
        head[0x84..0x86].copy_from_slice(&machine.to_le_bytes());
        head[0x96..0x98].copy_from_slice(&characteristics.to_le_bytes());
        head[0x98..0x9a].copy_from_slice(&0x20b_u16.to_le_bytes());
        head[0x98 + 108] = 16;
        head[0x98 + 112 + 14 * 8..][..4].copy_from_slice(&runtime_header.to_le_bytes());
        head
    }

    fn runs(head: &[u8], platform: &str) -> bool {
        MachineCode::of(head).unwrap().runs_on(&platform.parse().unwrap())
    }

    #[test]
    fn machine_code_runs_on_its_own_system_and_processor() {
        let mac = [&b"\xcf\xfa\xed\xfe\x0c\0\0\x01\0\0\0\0"[..], &[6, 0, 0, 0]].concat();
        let mut both = b"\xca\xfe\xba\xbe\0\0\0\x02".to_vec();
        for kind in [0x0100_0007_u32, 0x0100_000c] {
            both.extend(kind.to_be_bytes());
            both.extend([0; 16]);
        }
        let library = 0x2022;
        for (head, platforms) in [
            (elf(3, 62), &["Linux_x86_64"][..]),
            (elf(2, 183), &["Linux_aarch64"]),
            (pe(0x8664, library, 0), &["Windows_AMD64"]),
            (pe(0xaa64, library, 0), &["Windows_ARM64"]),
            (pe(0x8664, 0x22, 0), &["Windows_AMD64", "Windows_ARM64"]),
            (pe(0x14c, 0x22, 0), &["Windows_AMD64", "Windows_ARM64", "Windows_x86"]),
            (mac, &["Darwin_arm64"]),
            (both, &["Darwin_arm64", "Darwin_x86_64"]),
        ] {
            for platform in [
                "Linux_x86_64",
                "Linux_aarch64",
                "Windows_AMD64",
                "Windows_ARM64",
                "Windows_x86",
                "Darwin_arm64",
                "Darwin_x86_64",
            ] {
                let expected = platforms.contains(&platform);
                let code = MachineCode::of(&head).unwrap();
                assert_eq!(runs(&head, platform), expected, "{code} on {platform}");
            }
        }
    }

    #[test]
    fn other_files_are_no_machine_code() {
        for head in [
            &b"MZ"[..],
            b"MZ stub of a game",
            b"\x7fELF",
            b"\xca\xfe\xba\xbe\0\0\0\x34",
            b"import sys\n",
            b"",
        ] {
            assert_eq!(MachineCode::of(head), None, "{head:?}");
        }
        assert_eq!(MachineCode::of(&elf(1, 247)), None, "a program for the kernel");
        assert_eq!(MachineCode::of(&pe(0x14c, 0x2022, 0x2008)), None, "code for .NET");
        assert_eq!(MachineCode::of(&elf(3, 62)).unwrap().to_string(), "Linux x86_64");
        assert!(!MachineCode::of(&elf(3, 62)).unwrap().is_windows_program());
    }

    #[test]
    fn any_head_is_read_without_a_panic() {
        let pe = pe(0x8664, 0x2022, 0);
        for length in 0..pe.len() {
            let _ = MachineCode::of(&pe[..length]);
        }
        let mut far = pe;
        far[0x3c..0x40].copy_from_slice(&[0xff; 4]);
        assert_eq!(MachineCode::of(&far), None);
    }
}
