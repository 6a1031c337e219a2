//! Finds fields in machine code.
//!
//! In: a span of code in a file. Out: its operands that refer into the image, and the tables of
//! jump targets that they lead to. Never: more than one pass over the code; a table longer than the
//! code can use.

use std::io;

use super::fields::{Table, kind};
use super::image::{File, Layout, Machine, Segment};
use super::x86::{self, Instruction, Operand};

/// Bytes read at a time.
const PART: usize = 64 << 10;
/// Most entries of a table of jump targets.
const ENTRIES: u32 = 4096;
/// The jump targets of one table lie within this many bytes.
const REACH: u64 = 1 << 20;

/// The results so far.
#[derive(Default)]
pub(super) struct Found {
    /// Fields, by position and kind.
    pub fields: Vec<(u32, u8)>,
    /// Tables of jump targets.
    pub tables: Vec<Table>,
    /// Addresses that code refers to as a whole: tables may begin there.
    pub candidates: Vec<u64>,
}

/// A span of code: positions in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Its first byte.
    pub at: u64,
    /// Its bytes.
    pub length: u64,
}

/// Drops spans that begin in an earlier one, which would be examined again and again. The spans are
/// sorted.
pub(super) fn drop_overlapping(spans: &mut Vec<Span>) {
    let mut end = 0;
    spans.retain(|span| {
        let keep = span.at >= end;
        if keep {
            end = span.at + span.length;
        }
        keep
    });
}

/// Finds the fields in a span of x86 code. If `displacements` is set, 32-bit displacements on top
/// of a register count from the image's base.
pub(super) fn sweep_x86(
    file: &mut File<'_, '_>,
    layout: &Layout,
    machine: Machine,
    span: Span,
    displacements: bool,
    found: &mut Found,
) -> io::Result<()> {
    let wide = machine == Machine::Amd64;
    let Some(segment) = layout.segment(span.at).copied() else { return Ok(()) };
    let mut sweep = Sweep { layout, segment, displacements, found };
    let end = (span.at + span.length).min(segment.file_at + segment.file);
    let mut buffer = vec![0; PART + x86::MAX_INSTRUCTION_BYTES];
    let mut at = span.at;
    while at < end {
        let code = file.read(at, &mut buffer)?;
        let limit = ((end - at) as usize).min(PART).min(code.len());
        if limit == 0 {
            break;
        }
        let mut offset = 0;
        while offset < limit {
            let code = &code[offset..];
            offset += sweep.instruction(x86::decode(code, wide), code, at + offset as u64);
        }
        at += offset as u64;
    }
    Ok(())
}

/// The state of a sweep through a span of x86 code.
struct Sweep<'a> {
    layout: &'a Layout,
    /// The segment that has the span.
    segment: Segment,
    displacements: bool,
    found: &'a mut Found,
}

impl Sweep<'_> {
    /// Notes the field of an instruction, which stands at `at` in the file and begins `code`.
    /// Returns the distance to the next instruction.
    fn instruction(&mut self, instruction: Instruction, code: &[u8], at: u64) -> usize {
        let length = usize::from(instruction.length);
        if instruction.operand == Operand::None {
            return length;
        }
        let place = usize::from(instruction.at);
        let value = code
            .get(place..place + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, i32::from_le_bytes);
        let position = (at + place as u64) as u32;
        let Some(kind) = relative_kind(instruction.operand, length - place - 4) else {
            self.displacement(value, position);
            return length;
        };
        let behind = self.segment.address + (at - self.segment.file_at) + length as u64;
        let target = behind.wrapping_add_signed(i64::from(value));
        let inside = if kind <= kind::BRANCH {
            target.wrapping_sub(self.segment.address) < self.segment.file
        } else {
            self.layout.holds(target)
        };
        if !inside {
            // Not code, or out of step with the instructions.
            return 1;
        }
        self.found.fields.push((position, kind));
        if kind == kind::ADDRESS && target & 3 == 0 {
            self.found.candidates.push(target);
        }
        length
    }

    /// Notes a displacement on top of a register, if such ones count from the image's base.
    fn displacement(&mut self, value: i32, position: u32) {
        let target = u64::from(value as u32);
        if self.displacements && value >= 0x1000 && self.layout.holds(target) {
            self.found.fields.push((position, kind::RELATIVE_OPERAND));
            self.found.candidates.push(target);
        }
    }
}

/// The kind of an operand that counts from the end of its instruction, `rest` bytes behind it;
/// `None` for the others.
const fn relative_kind(operand: Operand, rest: usize) -> Option<u8> {
    Some(match operand {
        Operand::Call => kind::CALL,
        Operand::Jump => kind::JUMP,
        Operand::Branch => kind::BRANCH,
        Operand::Address => kind::ADDRESS,
        Operand::Memory => match rest {
            0 => kind::MEMORY,
            1 => kind::MEMORY_1,
            2 => kind::MEMORY_2,
            _ => kind::MEMORY_4,
        },
        Operand::Absolute | Operand::None => return None,
    })
}

/// Finds tables of jump targets at the candidates. Entries are distances from the table's start, or
/// addresses without the image's base.
pub(super) fn jump_tables(
    file: &mut File<'_, '_>,
    layout: &Layout,
    code: &[Span],
    relative: bool,
    found: &mut Found,
) -> io::Result<()> {
    let mut candidates = std::mem::take(&mut found.candidates);
    candidates.sort_unstable();
    candidates.dedup();
    let in_code = |target: u64| {
        layout.position(target).filter(|&position| {
            code.iter().any(|span| position.wrapping_sub(span.at) < span.length)
        })
    };
    for (index, &base) in candidates.iter().enumerate() {
        let Some(start) = layout.position(base) else { continue };
        if !relative && in_code(base).is_some() {
            continue;
        }
        let next = candidates.get(index + 1).map_or(u64::MAX, |next| next - base);
        let mut first = None;
        let mut count = 0;
        while count < ENTRIES && u64::from(count) * 4 < next {
            let at = start + u64::from(count) * 4;
            if at + 4 > file.length {
                break;
            }
            let value = file.u32(at)?;
            let target = if relative {
                u64::from(value)
            } else {
                base.wrapping_add_signed(i64::from(value as i32))
            };
            if in_code(target).is_none() || target.abs_diff(*first.get_or_insert(target)) > REACH {
                break;
            }
            count += 1;
        }
        if count < 2 {
            continue;
        }
        for entry in 0..count {
            found.fields.push((
                start as u32 + entry * 4,
                if relative { kind::RELATIVE } else { kind::OFFSET },
            ));
        }
        if !relative {
            found.tables.push(Table { from: start as u32, base, stride: 1 });
        }
    }
    Ok(())
}
