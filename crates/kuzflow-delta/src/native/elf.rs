//! Parses ELF files: the layout of an image in memory, and its references.
//!
//! Supports little-endian files of 64 and 32 bits. Follows the System V ABI's generic part and the
//! supplements for x86-64, i386 and AArch64; exception frames follow the Linux Standard Base
//! ("Exception Frames").

use std::io;

use super::arm64;
use super::code::{self, Found, Span};
use super::fields::{Fields, Table, kind};
use super::image::{File, Image, Layout, Machine, OUTSIDE, Segment};

const EM_386: u16 = 3;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
/// Most sections that are examined.
const SECTIONS: u64 = 4096;

/// Most sections with code that are examined.
const SPANS: usize = 64;

const SHT_SYMTAB: u32 = 2;
const SHT_RELA: u32 = 4;
const SHT_DYNAMIC: u32 = 6;
const SHT_NOBITS: u32 = 8;
const SHT_REL: u32 = 9;
const SHT_DYNSYM: u32 = 11;
const SHT_INIT_ARRAY: u32 = 14;
const SHT_FINI_ARRAY: u32 = 15;
const SHT_RELR: u32 = 19;
const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;
const SHF_WRITE: u64 = 1;
const SHF_EXECINSTR: u64 = 4;

#[derive(Clone, Copy)]
struct Section {
    name: u32,
    kind: u32,
    flags: u64,
    address: u64,
    at: u64,
    length: u64,
    link: u32,
    entry: u64,
}

/// The image; `None` if the file is no ELF image.
pub(super) fn parse(file: &mut File<'_, '_>) -> io::Result<Option<Image>> {
    let head = file.array::<64>(0)?;
    let wide = head[4] == 2;
    if head[5] != 1 || !(wide || head[4] == 1) {
        return Ok(None);
    }
    let machine = match (u16::from_le_bytes([head[18], head[19]]), wide) {
        (EM_X86_64, true) => Machine::Amd64,
        (EM_AARCH64, true) => Machine::Arm64,
        (EM_386, false) => Machine::I386,
        _ => return Ok(None),
    };
    let layout = Layout::new(0, segments(file, wide)?, file.length);
    if layout.segments.is_empty() {
        return Ok(None);
    }
    let sections = sections(file, wide)?;
    let mut found = Found::default();
    let spans = code_spans(file, &sections, wide)?;
    for &span in &spans {
        match machine {
            Machine::Arm64 => arm64::sweep(file, &layout, span, &mut found)?,
            _ => code::sweep_x86(file, &layout, machine, span, false, &mut found)?,
        }
    }
    code::jump_tables(file, &layout, &spans, false, &mut found)?;
    data(file, &layout, &sections, wide, &mut found)?;
    let fields = Fields::new(found.fields, found.tables, file.length as u32);
    Ok(Some(Image { from: file.from, length: file.length, layout, fields }))
}

fn word(file: &mut File<'_, '_>, at: u64, wide: bool) -> io::Result<u64> {
    if wide { file.u64(at) } else { Ok(u64::from(file.u32(at)?)) }
}

/// Where the program headers stand, as far as the file has them.
fn program_headers(file: &mut File<'_, '_>, wide: bool) -> io::Result<Vec<u64>> {
    let (table, entry, count) = if wide {
        (file.u64(32)?, file.u16(54)?, file.u16(56)?)
    } else {
        (u64::from(file.u32(28)?), file.u16(42)?, file.u16(44)?)
    };
    let at = |number: u64| table.checked_add(number * u64::from(entry));
    let count = u64::from(count.min(super::image::SEGMENTS as u16));
    Ok((0..count).map_while(at).take_while(|&at| at < file.length).collect())
}

fn segments(file: &mut File<'_, '_>, wide: bool) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for at in program_headers(file, wide)? {
        if file.u32(at)? != PT_LOAD {
            continue;
        }
        segments.push(if wide {
            Segment {
                file_at: file.u64(at + 8)?,
                address: file.u64(at + 16)?,
                file: file.u64(at + 32)?,
                memory: file.u64(at + 40)?,
            }
        } else {
            let mut number = |offset| file.u32(at + offset).map(u64::from);
            Segment {
                file_at: number(4)?,
                address: number(8)?,
                file: number(16)?,
                memory: number(20)?,
            }
        });
    }
    Ok(segments)
}

fn sections(file: &mut File<'_, '_>, wide: bool) -> io::Result<Vec<Section>> {
    let (table, entry, count) = if wide {
        (file.u64(40)?, file.u16(58)?, file.u16(60)?)
    } else {
        (u64::from(file.u32(32)?), file.u16(46)?, file.u16(48)?)
    };
    let mut sections = Vec::new();
    for number in 0..u64::from(count).min(SECTIONS) {
        let Some(at) = table.checked_add(number * u64::from(entry)).filter(|&at| at < file.length)
        else {
            break;
        };
        let (name, kind) = (file.u32(at)?, file.u32(at + 4)?);
        let section = if wide {
            Section {
                name,
                kind,
                flags: file.u64(at + 8)?,
                address: file.u64(at + 16)?,
                at: file.u64(at + 24)?,
                length: file.u64(at + 32)?,
                link: file.u32(at + 40)?,
                entry: file.u64(at + 56)?,
            }
        } else {
            Section {
                name,
                kind,
                flags: u64::from(file.u32(at + 8)?),
                address: u64::from(file.u32(at + 12)?),
                at: u64::from(file.u32(at + 16)?),
                length: u64::from(file.u32(at + 20)?),
                link: file.u32(at + 24)?,
                entry: u64::from(file.u32(at + 36)?),
            }
        };
        let empty = section.kind == 0 || section.kind == SHT_NOBITS;
        let inside = section.at <= file.length && section.length <= file.length - section.at;
        sections
            .push(Section { length: if empty || !inside { 0 } else { section.length }, ..section });
    }
    Ok(sections)
}

/// Sections with code; segments with code if there are no sections.
fn code_spans(file: &mut File<'_, '_>, sections: &[Section], wide: bool) -> io::Result<Vec<Span>> {
    let mut spans: Vec<Span> = sections
        .iter()
        .filter(|section| section.flags & SHF_EXECINSTR != 0 && section.length > 0)
        .map(|section| Span { at: section.at, length: section.length })
        .collect();
    if spans.is_empty() {
        for at in program_headers(file, wide)? {
            let flags = file.u32(at + if wide { 4 } else { 24 })?;
            if file.u32(at)? == PT_LOAD && flags & PF_X != 0 {
                let (from, length) = if wide {
                    (file.u64(at + 8)?, file.u64(at + 32)?)
                } else {
                    (u64::from(file.u32(at + 4)?), u64::from(file.u32(at + 16)?))
                };
                if from < file.length {
                    spans.push(Span { at: from, length: length.min(file.length - from) });
                }
            }
        }
    }
    spans.sort_by_key(|span| span.at);
    spans.truncate(SPANS);
    code::drop_overlapping(&mut spans);
    Ok(spans)
}

/// Finds the fields of tables, of writable data, and of the section headers themselves.
fn data(
    file: &mut File<'_, '_>,
    layout: &Layout,
    sections: &[Section],
    wide: bool,
    found: &mut Found,
) -> io::Result<()> {
    let names = sections
        .get(usize::from(file.u16(if wide { 62 } else { 50 })?))
        .map_or(0, |section| section.at);
    // Examines no more bytes than the file has, however often sections name the same ones.
    let mut budget = file.length;
    for section in sections.iter().filter(|section| section.length > 0) {
        if section.length > budget {
            break;
        }
        budget -= section.length;
        let name = file.array::<16>(names + u64::from(section.name))?;
        match section.kind {
            SHT_RELA if wide => {
                found.tables.push(table(sections, section, 24));
                relocations_with_addends(file, layout, section, found)?;
            }
            SHT_REL if !wide => relocations(section, found),
            SHT_DYNSYM | SHT_SYMTAB if wide && section.entry == 24 => {
                found.tables.push(table(sections, section, 1));
                symbols(file, layout, section, found)?;
            }
            SHT_RELR if wide => packed_relocations(file, section, found)?,
            _ if name.starts_with(b".eh_frame_hdr\0") => {
                frame_header(file, layout, section, found)?
            }
            _ if name.starts_with(b".eh_frame\0") => frames(file, section, found)?,
            _ if section.flags & SHF_EXECINSTR != 0 => {}
            SHT_DYNAMIC | SHT_INIT_ARRAY | SHT_FINI_ARRAY => {
                pointers(file, layout, section, wide, found)?
            }
            _ if section.flags & SHF_WRITE != 0 || name.starts_with(b".data.rel.ro") => {
                pointers(file, layout, section, wide, found)?
            }
            _ => {}
        }
    }
    if wide { section_headers(file, sections.len() as u64, found) } else { Ok(()) }
}

/// The table that a section is, whose values count from the section that it is linked to.
fn table(sections: &[Section], section: &Section, stride: u32) -> Table {
    let base = sections
        .get(section.link as usize)
        .map_or(0, |linked| if linked.address == 0 { OUTSIDE + linked.at } else { linked.address });
    Table { from: section.at as u32, base, stride }
}

/// Where the whole entries of a section stand, from its entry number `first`.
fn entries(section: &Section, length: u64, first: u64) -> impl Iterator<Item = u64> + use<> {
    let end = section.at + section.length;
    (section.at + first * length..end.saturating_sub(length - 1)).step_by(length as usize)
}

/// `Elf64_Rela`: place, type and symbol, addend.
fn relocations_with_addends(
    file: &mut File<'_, '_>,
    layout: &Layout,
    section: &Section,
    found: &mut Found,
) -> io::Result<()> {
    for at in entries(section, 24, 0) {
        found.fields.push((at as u32, kind::PLACE));
        let addend = file.u64(at + 16)?;
        if file.u32(at + 12)? != 0 {
            found.fields.push((at as u32 + 12, kind::NUMBER));
        } else if layout.holds(addend) {
            found.fields.push((at as u32 + 16, kind::ADDEND));
        }
    }
    Ok(())
}

/// `Elf32_Rel`: place, type and symbol.
fn relocations(section: &Section, found: &mut Found) {
    found.fields.extend(entries(section, 8, 0).map(|at| (at as u32, kind::POINTER_32)));
}

/// `Elf64_Sym`, without the empty first one: name, type, section, value, size.
fn symbols(
    file: &mut File<'_, '_>,
    layout: &Layout,
    section: &Section,
    found: &mut Found,
) -> io::Result<()> {
    for at in entries(section, 24, 1) {
        found.fields.push((at as u32, kind::NAME));
        let value = file.u64(at + 8)?;
        if value != 0 && layout.holds(value) {
            found.fields.push((at as u32 + 8, kind::VALUE));
            if file.u64(at + 16)? != 0 {
                found.fields.push((at as u32 + 16, kind::SIZE));
            }
        }
    }
    Ok(())
}

/// `Elf64_Relr`: even words are places, odd ones are bitmaps of the words behind the last place.
fn packed_relocations(
    file: &mut File<'_, '_>,
    section: &Section,
    found: &mut Found,
) -> io::Result<()> {
    for at in entries(section, 8, 0) {
        if file.u64(at)? & 1 == 0 {
            found.fields.push((at as u32, kind::PLACE));
        }
    }
    Ok(())
}

/// The headers of a 64-bit file's sections, without the empty first one: address and position.
fn section_headers(file: &mut File<'_, '_>, count: u64, found: &mut Found) -> io::Result<()> {
    let table = file.u64(40)?;
    if table == 0 || file.u16(58)? != 64 {
        return Ok(());
    }
    let end = file.length;
    let headers = (1..count).map(|number| table + number * 64);
    for at in headers.take_while(|at| at + 64 <= end) {
        if file.u64(at + 16)? != 0 {
            found.fields.push((at as u32 + 16, kind::PLACE));
        }
        found.fields.push((at as u32 + 24, kind::FILE));
    }
    Ok(())
}

/// Finds words that look like addresses.
fn pointers(
    file: &mut File<'_, '_>,
    layout: &Layout,
    section: &Section,
    wide: bool,
    found: &mut Found,
) -> io::Result<()> {
    let step = if wide { 8 } else { 4 };
    let from = section.at.next_multiple_of(step);
    for at in (from..(section.at + section.length).saturating_sub(step - 1)).step_by(step as usize)
    {
        let value = word(file, at, wide)?;
        if value >= 0x1000 && layout.holds(value) {
            found.fields.push((at as u32, if wide { kind::POINTER } else { kind::POINTER_32 }));
        }
    }
    Ok(())
}

/// Reads the sorted table of functions: pairs of distances from the section's start.
fn frame_header(
    file: &mut File<'_, '_>,
    layout: &Layout,
    section: &Section,
    found: &mut Found,
) -> io::Result<()> {
    // The header: version 1, a distance to the frames, a count, and pairs of distances.
    if file.array::<4>(section.at)? != [1, 0x1B, 0x03, 0x3B] {
        return Ok(());
    }
    found.fields.push((section.at as u32 + 4, kind::DATA));
    let count = u64::from(file.u32(section.at + 8)?).min(section.length.saturating_sub(12) / 8);
    found.tables.push(Table {
        from: section.at as u32 + 12,
        base: layout.address(section.at),
        stride: 1,
    });
    for number in 0..count * 2 {
        found.fields.push(((section.at + 12 + number * 4) as u32, kind::OFFSET));
    }
    Ok(())
}

/// Reads a number with seven bits in each byte; returns its value and length.
fn variable(bytes: &[u8]) -> (u64, usize) {
    let mut value = 0;
    for (index, &byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return (value, index + 1);
        }
    }
    (value, bytes.len().min(9))
}

/// What a common information entry says of the frame descriptions (FDE) that name it.
#[derive(Clone, Copy, Default)]
struct Cie {
    /// Functions are given as 32-bit distances.
    distances: bool,
    /// The entry has a length of more data, and a 32-bit distance to data for exceptions.
    more: bool,
}

/// Reads frame descriptions: functions with their lengths, and data for exceptions.
fn frames(file: &mut File<'_, '_>, section: &Section, found: &mut Found) -> io::Result<()> {
    let end = section.at + section.length;
    let mut at = section.at;
    let mut last: (u64, Cie) = (u64::MAX, Cie::default());
    while at + 8 <= end {
        let length = u64::from(file.u32(at)?);
        if length == 0 || length == 0xFFFF_FFFF || length < 4 || at + 4 + length > end {
            break;
        }
        let id = u64::from(file.u32(at + 4)?);
        if id == 0 {
            last = (at, cie(file, at, length, found)?);
        } else {
            found.fields.push((at as u32 + 4, kind::BACK));
            let origin = (at + 4).wrapping_sub(id);
            if origin != last.0 && origin < at && origin >= section.at {
                let mut unused = Found::default();
                let length = u64::from(file.u32(origin)?);
                last = (origin, cie(file, origin, length, &mut unused)?);
            }
            if last.1.distances && length >= 12 {
                found.fields.push((at as u32 + 8, kind::DISTANCE));
                found.fields.push((at as u32 + 12, kind::LENGTH));
                if last.1.more
                    && length >= 17
                    && file.array::<1>(at + 16)?[0] == 4
                    && file.u32(at + 17)? != 0
                {
                    found.fields.push((at as u32 + 17, kind::DATA));
                }
            }
        }
        at += 4 + length;
    }
    Ok(())
}

/// Reads a common information entry.
fn cie(file: &mut File<'_, '_>, at: u64, length: u64, found: &mut Found) -> io::Result<Cie> {
    let bytes = file.array::<48>(at)?;
    let bytes = &bytes[..bytes.len().min(length as usize + 4)];
    let mut cie = Cie::default();
    let Some(text) = bytes.get(9..) else { return Ok(cie) };
    let Some(text_end) = text.iter().position(|&byte| byte == 0) else { return Ok(cie) };
    let letters = &text[..text_end];
    if letters.first() != Some(&b'z') {
        return Ok(cie);
    }
    let mut place = 9 + text_end + 1;
    for _ in 0..4 {
        place += variable(bytes.get(place..).unwrap_or(&[])).1;
    }
    for letter in &letters[1..] {
        let encoding = bytes.get(place).copied().unwrap_or(0);
        match letter {
            b'R' => {
                cie.distances = encoding == 0x1B;
                place += 1;
            }
            b'L' => {
                cie.more = encoding == 0x1B;
                place += 1;
            }
            b'P' => {
                if encoding & 0x7F != 0x1B {
                    return Ok(cie);
                }
                found.fields.push(((at as usize + place + 1) as u32, kind::DATA));
                place += 5;
            }
            _ => {}
        }
    }
    Ok(cie)
}
