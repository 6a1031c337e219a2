//! Parses PE files: the layout of an image in memory, and its references.
//!
//! Addresses are counted from the image's base. Follows Microsoft's "PE Format", "x64 exception
//! handling" and, for the tables of C++ exceptions, the runtime's `ehdata.h`.

use std::io;

use super::arm64;
use super::code::{self, Found, Span};
use super::fields::{Fields, kind};
use super::image::{File, Image, Layout, Machine, Segment};

const MACHINE_I386: u16 = 0x14C;
const MACHINE_AMD64: u16 = 0x8664;
const MACHINE_ARM64: u16 = 0xAA64;
const FLAG_CODE: u32 = 0x20;
const FLAG_EXECUTE: u32 = 0x2000_0000;

const EXPORTS: usize = 0;
const IMPORTS: usize = 1;
const RESOURCES: usize = 2;
const EXCEPTIONS: usize = 3;
const RELOCATIONS: usize = 5;
const DELAYED_IMPORTS: usize = 13;

/// The state while the tables are read.
struct Tables<'a, 'b, 'c> {
    file: &'a mut File<'b, 'c>,
    layout: &'a Layout,
    code: &'a [Span],
    found: &'a mut Found,
    /// Steps left: reading a hostile file takes at most as many steps as the file has bytes.
    budget: u64,
}

/// The image; `None` if the file is no PE image.
pub(super) fn parse(file: &mut File<'_, '_>) -> io::Result<Option<Image>> {
    let head = u64::from(file.u32(0x3C)?);
    if head + 24 > file.length || file.array::<4>(head)? != *b"PE\0\0" {
        return Ok(None);
    }
    let machine = match file.u16(head + 4)? {
        MACHINE_AMD64 => Machine::Amd64,
        MACHINE_I386 => Machine::I386,
        MACHINE_ARM64 => Machine::Arm64,
        _ => return Ok(None),
    };
    let options = head + 24;
    let wide = file.u16(options)? == 0x20B;
    let base = if wide { file.u64(options + 24)? } else { u64::from(file.u32(options + 28)?) };
    let (segments, code) = sections(file, head)?;
    let layout = Layout::new(base, segments, file.length);
    let mut found = Found::default();
    for &span in &code {
        match machine {
            Machine::Arm64 => arm64::sweep(file, &layout, span, &mut found)?,
            _ => code::sweep_x86(
                file,
                &layout,
                machine,
                span,
                machine == Machine::Amd64,
                &mut found,
            )?,
        }
    }
    if machine == Machine::Amd64 {
        code::jump_tables(file, &layout, &code, true, &mut found)?;
    }
    let directories = directories(file, options + if wide { 112 } else { 96 })?;
    let budget = file.length;
    let mut tables = Tables { file, layout: &layout, code: &code, found: &mut found, budget };
    tables.exceptions(directories[EXCEPTIONS], machine)?;
    tables.imports(directories[IMPORTS], wide, 20)?;
    tables.imports(directories[DELAYED_IMPORTS], wide, 32)?;
    tables.exports(directories[EXPORTS])?;
    tables.resources(directories[RESOURCES])?;
    tables.relocations(directories[RELOCATIONS])?;
    let fields = Fields::new(found.fields, found.tables, file.length as u32);
    Ok(Some(Image { from: file.from, length: file.length, layout, fields }))
}

/// The segments of the image, the headers first, and the code among them. `head` is the position of
/// the signature.
fn sections(file: &mut File<'_, '_>, head: u64) -> io::Result<(Vec<Segment>, Vec<Span>)> {
    let (count, optional) = (u64::from(file.u16(head + 6)?), u64::from(file.u16(head + 20)?));
    let options = head + 24;
    let headers = u64::from(file.u32(options + 60)?).min(file.length);
    let mut segments = vec![Segment { address: 0, memory: headers, file_at: 0, file: headers }];
    let mut code = Vec::new();
    for number in 0..count.min(super::image::SEGMENTS as u64 - 1) {
        let at = options + optional + number * 40;
        let (memory, address) = (u64::from(file.u32(at + 8)?), u64::from(file.u32(at + 12)?));
        let (length, file_at, flags) =
            (u64::from(file.u32(at + 16)?), u64::from(file.u32(at + 20)?), file.u32(at + 36)?);
        if file_at >= file.length {
            segments.push(Segment { address, memory, file_at: file.length, file: 0 });
            continue;
        }
        let length = length.min(file.length - file_at);
        segments.push(Segment { address, memory, file_at, file: length });
        if flags & (FLAG_CODE | FLAG_EXECUTE) != 0 {
            let length = if memory == 0 { length } else { length.min(memory) };
            code.push(Span { at: file_at, length });
        }
    }
    code.sort_by_key(|span| span.at);
    code::drop_overlapping(&mut code);
    Ok((segments, code))
}

/// Address and length of each directory in the table at `table`.
fn directories(file: &mut File<'_, '_>, table: u64) -> io::Result<[(u64, u64); 16]> {
    let mut directories = [(0, 0); 16];
    for (number, directory) in directories.iter_mut().enumerate() {
        let at = table + number as u64 * 8;
        *directory = (u64::from(file.u32(at)?), u64::from(file.u32(at + 4)?));
    }
    Ok(directories)
}

impl Tables<'_, '_, '_> {
    fn spend(&mut self, steps: u64) -> bool {
        let enough = self.budget >= steps;
        self.budget = self.budget.saturating_sub(steps);
        enough
    }

    /// Position in the file of an address, if at least `length` bytes follow there.
    fn position(&self, address: u64, length: u64) -> Option<u64> {
        self.layout
            .position(address)
            .filter(|at| at.checked_add(length).is_some_and(|end| end <= self.file.length))
    }

    fn add(&mut self, at: u64, kind: u8) {
        self.found.fields.push((at as u32, kind));
    }

    /// Marks an address without base at a position and returns it, if it is one.
    fn relative(&mut self, at: u64) -> io::Result<Option<u64>> {
        let target = u64::from(self.file.u32(at)?);
        if target == 0 || !self.layout.holds(target) {
            return Ok(None);
        }
        self.add(at, kind::RELATIVE);
        Ok(Some(target))
    }

    fn in_code(&self, address: u64) -> bool {
        self.layout
            .position(address)
            .is_some_and(|at| self.code.iter().any(|span| at.wrapping_sub(span.at) < span.length))
    }

    /// Reads the functions and how to unwind them.
    fn exceptions(&mut self, (address, length): (u64, u64), machine: Machine) -> io::Result<()> {
        let entry = if machine == Machine::Amd64 { 12 } else { 8 };
        let Some(start) = self.position(address, entry) else { return Ok(()) };
        let mut seen = 0;
        for number in 0..length / entry {
            let at = start + number * entry;
            if at + entry > self.file.length || !self.spend(entry) {
                break;
            }
            let Some(_begin) = self.relative(at)? else { break };
            if machine != Machine::Amd64 {
                if self.file.u32(at + 4)? & 3 == 0 {
                    self.relative(at + 4)?;
                }
                continue;
            }
            self.relative(at + 4)?;
            let Some(unwind) = self.relative(at + 8)? else { continue };
            if unwind & 3 == 0 && unwind > seen {
                self.unwind(unwind)?;
                seen = unwind;
            }
        }
        Ok(())
    }

    /// Reads the data behind the unwind codes: a handler and its data, or another function.
    fn unwind(&mut self, address: u64) -> io::Result<()> {
        let Some(at) = self.position(address, 4) else { return Ok(()) };
        let head = self.file.array::<4>(at)?;
        let after = at + 4 + u64::from(head[2]).next_multiple_of(2) * 2;
        match head[0] >> 3 {
            4 => {
                for place in 0..3 {
                    self.relative(after + place * 4)?;
                }
            }
            1..=3 => {
                let Some(handler) = self.relative(after)? else { return Ok(()) };
                if !self.in_code(handler) {
                    return Ok(());
                }
                let value = u64::from(self.file.u32(after + 4)?);
                // Either a count of scopes, four addresses each, or the address of a description.
                let first = u64::from(self.file.u32(after + 8)?);
                let scopes_end = after + 8 + value * 16;
                if (1..1000).contains(&value)
                    && scopes_end <= self.file.length
                    && self.in_code(first)
                {
                    for place in (after + 8..scopes_end).step_by(4) {
                        if !self.spend(4) {
                            break;
                        }
                        self.relative(place)?;
                    }
                } else if value >= 0x1000
                    && self.layout.position(value).is_some()
                    && !self.in_code(value)
                {
                    self.add(after + 4, kind::RELATIVE);
                    self.description(value)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads a function's C++ exception tables (version 3 of the format).
    fn description(&mut self, address: u64) -> io::Result<()> {
        let Some(at) = self.position(address, 40) else { return Ok(()) };
        if self.file.u32(at)? & 0x1FFF_FFFF & !3 != 0x1993_0520 {
            return Ok(());
        }
        for (count_at, table_at, entry, places) in
            [(4, 8, 8, &[4_u64][..]), (12, 16, 20, &[16][..]), (20, 24, 8, &[0][..])]
        {
            let count = u64::from(self.file.u32(at + count_at)?);
            let Some(table) = self.relative(at + table_at)? else { continue };
            let Some(start) = self.position(table, entry) else { continue };
            for number in 0..count {
                let item = start + number * entry;
                if item + entry > self.file.length || !self.spend(entry) {
                    break;
                }
                for place in places {
                    self.relative(item + place)?;
                }
                if entry == 20 {
                    let handlers = u64::from(self.file.u32(item + 12)?);
                    let address = u64::from(self.file.u32(item + 16)?);
                    let Some(handler) = self.position(address, 20) else { continue };
                    for number in 0..handlers {
                        let item = handler + number * 20;
                        if item + 20 > self.file.length || !self.spend(20) {
                            break;
                        }
                        self.relative(item + 4)?;
                        self.relative(item + 12)?;
                    }
                }
            }
        }
        self.relative(at + 32)?;
        Ok(())
    }

    fn imports(&mut self, (address, length): (u64, u64), wide: bool, entry: u64) -> io::Result<()> {
        let Some(start) = self.position(address, entry) else { return Ok(()) };
        for number in 0..length / entry {
            let at = start + number * entry;
            if at + entry > self.file.length || !self.spend(entry) {
                break;
            }
            let places: &[u64] = if entry == 20 { &[0, 12, 16] } else { &[4, 8, 12, 16, 20, 24] };
            for &place in places {
                let target = self.relative(at + place)?;
                if (entry == 20 && place != 12 || entry == 32 && place == 16)
                    && let Some(target) = target
                {
                    self.thunks(target, wide)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the addresses of imported names, up to a zero.
    fn thunks(&mut self, address: u64, wide: bool) -> io::Result<()> {
        let step = if wide { 8 } else { 4 };
        let Some(mut at) = self.position(address, step) else { return Ok(()) };
        while at + step <= self.file.length && self.spend(step) {
            let value = if wide { self.file.u64(at)? } else { u64::from(self.file.u32(at)?) };
            if value == 0 {
                break;
            }
            self.relative(at)?;
            at += step;
        }
        Ok(())
    }

    fn exports(&mut self, (address, _): (u64, u64)) -> io::Result<()> {
        let Some(at) = self.position(address, 40) else { return Ok(()) };
        self.relative(at + 12)?;
        for (count_at, table_at) in [(20, 28), (24, 32)] {
            let count = u64::from(self.file.u32(at + count_at)?);
            let Some(table) = self.relative(at + table_at)? else { continue };
            let Some(start) = self.position(table, 4) else { continue };
            for number in 0..count {
                let item = start + number * 4;
                if item + 4 > self.file.length || !self.spend(4) {
                    break;
                }
                self.relative(item)?;
            }
        }
        self.relative(at + 36)?;
        Ok(())
    }

    /// Reads the addresses of the resources' bytes.
    fn resources(&mut self, (address, _): (u64, u64)) -> io::Result<()> {
        let mut waiting = vec![(0, 0)];
        while let Some((offset, level)) = waiting.pop() {
            let Some(at) = self.position(address + offset, 16) else { continue };
            let entries = u64::from(self.file.u16(at + 12)?) + u64::from(self.file.u16(at + 14)?);
            for number in 0..entries {
                let item = at + 16 + number * 8;
                if item + 8 > self.file.length || !self.spend(64) {
                    return Ok(());
                }
                let value = self.file.u32(item + 4)?;
                let inner = u64::from(value & 0x7FFF_FFFF);
                if value >> 31 == 0 {
                    if let Some(leaf) = self.position(address + inner, 16) {
                        self.relative(leaf)?;
                    }
                } else if level < 3 {
                    waiting.push((inner, level + 1));
                }
            }
        }
        Ok(())
    }

    /// Reads the relocations: pages with pointers, and the pointers.
    fn relocations(&mut self, (address, length): (u64, u64)) -> io::Result<()> {
        let Some(start) = self.position(address, 8) else { return Ok(()) };
        let end = (start + length).min(self.file.length);
        let mut at = start;
        while at + 8 <= end && self.spend(8) {
            let (page, block) = (u64::from(self.file.u32(at)?), u64::from(self.file.u32(at + 4)?));
            if block < 8 || at + block > end {
                break;
            }
            self.add(at, kind::RELATIVE);
            for place in (at + 8..at + block - 1).step_by(2) {
                let entry = self.file.u16(place)?;
                let kind = match entry >> 12 {
                    10 => kind::POINTER,
                    3 => kind::POINTER_32,
                    _ => continue,
                };
                if let Some(position) = self.position(page + u64::from(entry & 0xFFF), 8) {
                    self.add(position, kind);
                }
            }
            at += block;
        }
        Ok(())
    }
}
