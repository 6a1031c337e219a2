//! The decoder and the readers of executable files beside other people's: iced-x86 and goblin.
//!
//! Packs depend on what is found in code, so a difference stays and is named here with its reason
//! ([`difference`]). What it costs is a worse prediction there.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use goblin::elf::Elf;
use goblin::pe::PE;
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::blocks::Blocks;
use super::image::{Image, Layout};
use super::kind;
use super::object::parse;
use super::x86::{Operand, decode};

/// What iced-x86 finds at the start of `code`: length, operand, where the operand stands.
fn judged(code: &[u8], wide: bool) -> Option<(Instruction, (usize, Operand, usize))> {
    let bits = if wide { 64 } else { 32 };
    let mut decoder = Decoder::with_ip(bits, code, 0, DecoderOptions::NONE);
    let instruction = decoder.decode();
    if instruction.is_invalid() {
        return None;
    }
    let parts = decoder.get_constant_offsets(&instruction);
    let kinds = || (0..instruction.op_count()).map(|number| instruction.op_kind(number));
    let branches = kinds().any(|kind| matches!(kind, OpKind::NearBranch32 | OpKind::NearBranch64));
    let operand = if branches && parts.immediate_size() == 4 {
        let operand = match instruction.mnemonic() {
            Mnemonic::Call => Operand::Call,
            Mnemonic::Jmp => Operand::Jump,
            _ => Operand::Branch,
        };
        Some((operand, parts.immediate_offset()))
    } else if parts.displacement_size() == 4 && kinds().any(|kind| kind == OpKind::Memory) {
        let operand = if !instruction.is_ip_rel_memory_operand() {
            Operand::Absolute
        } else if instruction.mnemonic() == Mnemonic::Lea {
            Operand::Address
        } else {
            Operand::Memory
        };
        Some((operand, parts.displacement_offset()))
    } else {
        None
    };
    let (operand, at) = operand.unwrap_or((Operand::None, 0));
    Some((instruction, (instruction.len(), operand, at)))
}

/// The same of our decoder.
fn ours(code: &[u8], wide: bool) -> (usize, Operand, usize) {
    let found = decode(code, wide);
    let at = if found.operand == Operand::None { 0 } else { usize::from(found.at) };
    (usize::from(found.length), found.operand, at)
}

/// Why the two may differ about an instruction.
fn difference(code: &[u8], instruction: &Instruction, wide: bool) -> Option<&'static str> {
    let prefixes = code
        .iter()
        .take_while(|byte| {
            matches!(byte, 0x26 | 0x2E | 0x36 | 0x3E | 0x64..=0x67 | 0xF0 | 0xF2 | 0xF3)
        })
        .count();
    let half = code[..prefixes].contains(&0x66);
    let short = code[..prefixes].contains(&0x67);
    let rest = &code[prefixes..];
    let rex = wide && rest[0] & 0xF0 == 0x40;
    let rest = if rex { &rest[1..] } else { rest };
    match rest {
        // The processor ignores it then; it counts as an instruction of its own here.
        [0x26 | 0x2E | 0x36 | 0x3E | 0x40..=0x4F | 0x64..=0x67 | 0xF0 | 0xF2 | 0xF3, ..] if rex => {
            Some("REX before another prefix")
        }
        // ModRM names registers whatever its mode says. Only kernels have them.
        [0x0F, 0x20..=0x23, ..] => Some("control and debug registers"),
        // SSE4a, which AMD has given up.
        [0x0F, 0x78, ..]
            if matches!(instruction.mnemonic(), Mnemonic::Extrq | Mnemonic::Insertq) =>
        {
            Some("EXTRQ and INSERTQ with two bytes")
        }
        // XOP, which AMD has given up.
        [0x8F, ..] if !matches!(instruction.mnemonic(), Mnemonic::Pop) => Some("XOP"),
        // Far pointers and bounds, which 32-bit programs do not use.
        [0x62 | 0xC4 | 0xC5, next, ..] if !wide && *next < 0xC0 => Some("LES, LDS and BOUND"),
        // A branch within 64 KiB.
        [0xE8 | 0xE9, ..] | [0x0F, 0x80..=0x8F, ..] if !wide && half => Some("16-bit branches"),
        [0xA0..=0xA3, ..] if !wide && short => Some("16-bit addresses of MOV"),
        // The short form of MOV: its address counts as an immediate.
        [0xA0..=0xA3, ..] => Some("addresses of MOV"),
        // A branch in the map of immediates.
        [0xC7, 0xF8, ..] if instruction.code() == Code::Xbegin_rel32 => Some("XBEGIN"),
        _ => None,
    }
}

/// Compares the two at the start of `code`; gives the length that iced-x86 finds.
fn compare(code: &[u8], wide: bool, differences: &mut BTreeSet<&'static str>) -> usize {
    let Some((instruction, theirs)) = judged(code, wide) else { return 1 };
    let found = ours(code, wide);
    // On top of a register alone, a displacement of 64-bit code is no address, and is not told.
    let is_plain = wide
        && theirs.1 == Operand::Absolute
        && instruction.memory_base() != Register::None
        && instruction.memory_index() == Register::None;
    if found != theirs && !(is_plain && found == (theirs.0, Operand::None, 0)) {
        let reason = difference(code, &instruction, wide);
        let text = || format!("{:02X?} {:?}", &code[..code.len().min(15)], instruction.code());
        differences.insert(reason.unwrap_or_else(|| {
            panic!("64-bit: {wide}, iced-x86 {theirs:?}, ours {found:?}: {}", text())
        }));
    }
    theirs.0
}

/// Every instruction that iced-x86 takes for one, in random bytes that begin as many do.
#[test]
fn random_code_is_read_as_iced_x86_reads_it() {
    let mut seen = BTreeSet::new();
    for wide in [true, false] {
        let mut random = fastrand::Rng::with_seed(1);
        for round in 0..400_000 {
            let mut code = [0; 24];
            random.fill(&mut code);
            match round % 9 {
                0 => code[0] = 0x66,
                1 => code[0] = 0x0F,
                2 => code[0] = 0x62,
                3 => code[0] = 0xC4,
                4 => code[0] = 0xC5,
                5 => code[0] = 0x48,
                6 => code[..2].copy_from_slice(&[0x66, 0x48]),
                7 => code[..2].copy_from_slice(&[0x66, 0x0F]),
                _ => {}
            }
            compare(&code, wide, &mut seen);
        }
    }
    // A reason that no longer has a case is taken out.
    assert!(seen.len() >= 8, "{seen:?}");
}

/// Programs and libraries of this machine, and of Windows where `.ci/run` has put some.
fn programs() -> Vec<Vec<u8>> {
    let mut paths = vec![std::env::current_exe().unwrap()];
    paths.extend(
        ["/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/libc.so.6", "/lib64/libc.so.6"]
            .map(PathBuf::from),
    );
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/qt-venv/lib");
    for python in fs::read_dir(target).into_iter().flatten().flatten() {
        let packages = python.path().join("site-packages");
        for folder in ["setuptools", "pip/_vendor/distlib"] {
            let files = fs::read_dir(packages.join(folder)).into_iter().flatten().flatten();
            paths.extend(
                files
                    .map(|entry| entry.path())
                    .filter(|path| path.extension().is_some_and(|extension| extension == "exe")),
            );
        }
    }
    paths.into_iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// A file as goblin reads it.
enum OracleFile<'a> {
    Elf(Box<Elf<'a>>),
    Pe(Box<PE<'a>>),
}

impl<'a> OracleFile<'a> {
    fn read(file: &'a [u8]) -> Self {
        if file.starts_with(b"MZ") {
            return Self::Pe(Box::new(PE::parse(file).unwrap()));
        }
        Self::Elf(Box::new(Elf::parse(file).unwrap()))
    }
}

fn image(file: &[u8]) -> Image {
    parse(&mut Blocks::new(&file), 0, file.len() as u64).unwrap().unwrap()
}

/// Where an image has fields of a kind.
fn places(image: &Image, wanted: u8) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut hint = 0;
    for index in 0..image.fields.len() {
        let (at, kind) = image.fields.get(index, hint).unwrap();
        hint = at;
        if kind == wanted {
            found.insert(at);
        }
    }
    found
}

/// Code as compilers write it, from one instruction to the next: nearly nothing differs.
#[test]
fn real_code_is_read_as_iced_x86_reads_it() {
    let mut seen = BTreeSet::new();
    for file in programs() {
        let (wide, spans) = match OracleFile::read(&file) {
            OracleFile::Elf(elf) if elf.header.e_machine == goblin::elf::header::EM_X86_64 => {
                let text = elf.section_headers.iter().filter(|section| section.is_executable());
                (true, text.map(|text| (text.sh_offset, text.sh_size)).collect::<Vec<_>>())
            }
            OracleFile::Pe(pe) if [0x14C, 0x8664].contains(&pe.header.coff_header.machine) => {
                let text = pe.sections.iter().filter(|section| section.characteristics & 0x20 != 0);
                let spans = text.map(|text| {
                    let length = text.virtual_size.min(text.size_of_raw_data);
                    (u64::from(text.pointer_to_raw_data), u64::from(length))
                });
                (pe.is_64, spans.collect())
            }
            _ => continue,
        };
        for (from, length) in spans {
            let code = &file[from as usize..][..length.min(2 << 20) as usize];
            let mut at = 0;
            while at + 15 <= code.len() {
                at += compare(&code[at..], wide, &mut seen);
            }
        }
    }
    // libc has one XBEGIN; the addresses of MOV are found by the relocations that name them.
    assert!(seen.iter().all(|reason| ["XBEGIN", "addresses of MOV"].contains(reason)), "{seen:?}");
}

fn judge_elf(file: &[u8], elf: &Elf<'_>) {
    let image = image(file);
    let mut segments: Vec<_> = elf
        .program_headers
        .iter()
        .filter(|header| header.p_type == goblin::elf::program_header::PT_LOAD)
        .map(|header| (header.p_offset, header.p_vaddr, header.p_filesz, header.p_memsz))
        .collect();
    segments.sort_unstable();
    let found = image.layout.segments.iter();
    let mut found: Vec<_> =
        found.map(|each| (each.file_at, each.address, each.file, each.memory)).collect();
    found.sort_unstable();
    assert_eq!(found, segments);
    // What the loader moves: each relocation's place, and an addend that lies in the image.
    let (places, addends) = (places(&image, kind::PLACE), places(&image, kind::ADDEND));
    let mut relocations = 0;
    for (section, table) in &elf.shdr_relocs {
        let header = &elf.section_headers[*section];
        for (number, relocation) in table.iter().enumerate() {
            let at = header.sh_offset as u32 + 24 * number as u32;
            assert!(places.contains(&at), "relocation {number} at {at}");
            let addend = relocation.r_addend.unwrap_or(0) as u64;
            if relocation.r_sym == 0 {
                assert_eq!(addends.contains(&(at + 16)), image.layout.holds(addend), "{addend}");
            }
            relocations += 1;
        }
    }
    assert!(relocations > 10, "{relocations}");
}

/// Which bytes of a PE file stand at which address, as goblin says.
fn judge_layout(layout: &Layout, pe: &PE<'_>, length: u64) {
    assert_eq!(layout.base, pe.image_base);
    for section in &pe.sections {
        let address = u64::from(section.virtual_address);
        let at = u64::from(section.pointer_to_raw_data);
        if section.size_of_raw_data > 0 && at < length {
            assert_eq!(layout.position(address), Some(at), "{:?}", section.name());
            assert_eq!(layout.address(at), address, "{:?}", section.name());
        }
        assert!(layout.holds(address + u64::from(section.virtual_size) - 1));
    }
}

fn judge_pe(file: &[u8], pe: &PE<'_>) {
    let image = image(file);
    judge_layout(&image.layout, pe, file.len() as u64);
    let relative = places(&image, kind::RELATIVE);
    let mut found = 0;
    let place = |address: u32| image.layout.position(u64::from(address)).unwrap() as u32;
    // Functions with their ends and how to unwind them.
    let tables = pe.header.optional_header.unwrap().data_directories;
    let machine = pe.header.coff_header.machine;
    if let (Some(exceptions), Some(table)) = (&pe.exception_data, tables.get_exception_table())
        && machine == 0x8664
    {
        for (number, function) in exceptions.functions().enumerate() {
            let function = function.unwrap();
            let at = place(table.virtual_address) + 12 * number as u32;
            assert!(relative.contains(&at), "function {number} at {:#x}", function.begin_address);
            assert!(relative.contains(&(at + 4)) && relative.contains(&(at + 8)), "{number}");
            found += 1;
        }
    }
    // Libraries that are imported: the name of each, and where its addresses stand.
    if let Some(table) = tables.get_import_table() {
        let libraries = pe.libraries.len();
        for number in 0..libraries as u32 {
            let at = place(table.virtual_address) + 20 * number;
            assert!(relative.contains(&(at + 12)) && relative.contains(&(at + 16)), "{number}");
            found += 1;
        }
    }
    assert!(found > 0);
}

#[test]
fn executable_files_are_read_as_goblin_reads_them() {
    let mut judged = BTreeSet::new();
    for file in programs() {
        match OracleFile::read(&file) {
            OracleFile::Elf(elf) if elf.is_64 => {
                judge_elf(&file, &elf);
                judged.insert("ELF");
            }
            OracleFile::Pe(pe) => {
                judge_pe(&file, &pe);
                judged.insert("PE");
            }
            OracleFile::Elf(_) => {}
        }
    }
    assert!(judged.contains("ELF") || !cfg!(target_os = "linux"), "{judged:?}");
    if !judged.contains("PE") {
        assert!(std::env::var_os("CI").is_none(), "CI has programs for Windows");
        eprintln!("passed over: no program for Windows; .ci/run installs some");
    }
}

/// The processors are those that goblin names.
#[test]
fn processors_are_named_alike() {
    for file in programs() {
        let machine = match OracleFile::read(&file) {
            OracleFile::Elf(elf) => elf.header.e_machine,
            OracleFile::Pe(pe) => pe.header.coff_header.machine,
        };
        let expected = match machine {
            62 | 0x8664 => Some(true),
            3 | 0x14C => Some(false),
            _ => None,
        };
        assert_eq!(super::is_wide_x86(&file), expected);
    }
}
