//! Decodes the lengths of x86 instructions, and the references in them.
//!
//! In: machine code of 64-bit or 32-bit x86, or any other bytes. Out: instruction lengths, and the
//! position of a 32-bit relative operand. Never: a refusal; a byte that begins no instruction
//! counts as one byte, so that a linear sweep finds its step again.

use super::opcode_maps::{
    AP, E, GROUP3, I64, IB, INVALID, IV, IW, IZ, JZ, NONE, ONE_BYTE, OV, Operands, TWO_BYTE,
};

/// The longest instruction.
pub const MAX_INSTRUCTION_BYTES: usize = 15;

/// How an instruction refers to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Nothing.
    None,
    /// The operand of a call.
    Call,
    /// The operand of a jump.
    Jump,
    /// The operand of a conditional jump.
    Branch,
    /// A displacement from the end of the instruction, in an instruction that computes the address.
    Address,
    /// A displacement from the end of the instruction, in any other instruction.
    Memory,
    /// A 32-bit displacement that is an address itself (32-bit code), or one on top of an index
    /// register.
    Absolute,
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// In bytes, at least 1.
    pub length: u8,
    /// How the instruction refers to something.
    pub operand: Operand,
    /// Where the 4 bytes of the operand begin.
    pub at: u8,
}

const UNKNOWN: Instruction = Instruction { length: 1, operand: Operand::None, at: 0 };

/// The instruction at the start of `code`; one byte if it is no instruction or incomplete.
pub fn decode(code: &[u8], wide: bool) -> Instruction {
    decode_whole(code, wide)
        .filter(|instruction| {
            usize::from(instruction.length) <= code.len().min(MAX_INSTRUCTION_BYTES)
        })
        .unwrap_or(UNKNOWN)
}

/// Whether a byte may stand before an instruction. In 64-bit code that includes the bytes that
/// widen registers, of which one counts.
pub fn is_prefix(byte: u8, wide: bool) -> bool {
    matches!(byte, 0x66 | 0x67 | 0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3)
        || (wide && byte & 0xF0 == 0x40)
}

/// The instruction at the start of `code`, or `None`. The bytes before its operand decide: `code`
/// may end behind those.
pub fn decode_whole(code: &[u8], wide: bool) -> Option<Instruction> {
    let prefixes = Prefixes::read(code, wide)?;
    let opcode = Opcode::read(code, wide, prefixes.length)?;
    if opcode.operands.has(JZ) {
        // A branch with a 16-bit displacement is left out.
        let has_32_bits = wide || !prefixes.small_operands;
        return has_32_bits.then_some(Instruction {
            length: (opcode.end + 4) as u8,
            operand: opcode.reference,
            at: opcode.end as u8,
        });
    }
    let memory = Memory::read(code, wide, &prefixes, &opcode)?;
    let immediates = size_of_immediates(code, wide, &prefixes, &opcode)?;
    Some(Instruction {
        length: (memory.end + immediates) as u8,
        operand: memory.operand,
        at: memory.displacement as u8,
    })
}

/// What stands before an opcode.
#[derive(Default)]
struct Prefixes {
    /// In bytes, REX included.
    length: usize,
    /// Operands have 16 bits (66).
    small_operands: bool,
    /// Addresses have half of their size (67).
    small_addresses: bool,
    /// Operands have 64 bits (REX.W).
    large_operands: bool,
}

impl Prefixes {
    fn read(code: &[u8], wide: bool) -> Option<Self> {
        let mut found = Self::default();
        loop {
            match code.get(found.length)? {
                0x66 => found.small_operands = true,
                0x67 => found.small_addresses = true,
                0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3 => {}
                rex @ 0x40..=0x4F if wide => {
                    found.large_operands = rex & 8 != 0;
                    found.length += 1;
                    return Some(found);
                }
                _ => return Some(found),
            }
            found.length += 1;
            if found.length >= MAX_INSTRUCTION_BYTES {
                return None;
            }
        }
    }
}

/// An opcode with the bytes that lead to its map.
struct Opcode {
    /// Where the bytes behind it begin.
    end: usize,
    operands: Operands,
    /// What a displacement from the end of the instruction refers to.
    reference: Operand,
}

impl Opcode {
    fn read(code: &[u8], wide: bool, at: usize) -> Option<Self> {
        let byte = *code.get(at)?;
        let next = *code.get(at + 1).unwrap_or(&0);
        // In 32-bit code these are LES, LDS and BOUND as well, whose ModRM byte names memory.
        let is_vector = wide || next >= 0xC0;
        match byte {
            0x0F => Self::two_byte(next, at + 1),
            0xC5 if is_vector => Self::vector(code, 1, at + 2),
            0xC4 if is_vector => Self::vector(code, next & 31, at + 3),
            0x62 if is_vector => Self::vector(code, next & 7, at + 4),
            _ => Self::one_byte(byte, wide, at),
        }
    }

    fn one_byte(byte: u8, wide: bool, at: usize) -> Option<Self> {
        let operands = ONE_BYTE[usize::from(byte)];
        let reference = match byte {
            0xE8 => Operand::Call,
            0xE9 => Operand::Jump,
            0x8D => Operand::Address,
            _ => Operand::Memory,
        };
        let is_valid = !(wide && operands.has(I64));
        is_valid.then_some(Self { end: at + 1, operands, reference })
    }

    /// An opcode behind 0F. Those of the maps behind 38 and 3A all have the same operands.
    fn two_byte(byte: u8, at: usize) -> Option<Self> {
        let (operands, end) = match byte {
            0x38 => (E, at + 2),
            0x3A => (E.and(IB), at + 2),
            _ => (TWO_BYTE[usize::from(byte)], at + 1),
        };
        let reference = if operands.has(JZ) { Operand::Branch } else { Operand::Memory };
        (!operands.has(INVALID)).then_some(Self { end, operands, reference })
    }

    /// An opcode behind VEX or EVEX, which stands at `at` and is in the map of that number.
    fn vector(code: &[u8], map: u8, at: usize) -> Option<Self> {
        let byte = *code.get(at)?;
        let operands = match (map, byte) {
            // VZEROUPPER, VZEROALL.
            (1, 0x77) => NONE,
            (1, _) => E.and(TWO_BYTE[usize::from(byte)].only(IB)),
            (2 | 5 | 6, _) => E,
            (3, _) => E.and(IB),
            _ => return None,
        };
        Some(Self { end: at + 1, operands, reference: Operand::Memory })
    }
}

/// What ModRM asks for.
struct Memory {
    /// Where the displacement begins; behind the opcode if there is none to be told.
    displacement: usize,
    /// Where the immediates begin.
    end: usize,
    operand: Operand,
}

impl Memory {
    fn read(code: &[u8], wide: bool, prefixes: &Prefixes, opcode: &Opcode) -> Option<Self> {
        let plain = |end| Self { displacement: opcode.end, end, operand: Operand::None };
        if !opcode.operands.has(E) {
            return Some(plain(opcode.end));
        }
        let modrm = *code.get(opcode.end)?;
        let end = opcode.end + 1;
        let (mode, register) = (modrm >> 6, modrm & 7);
        if prefixes.small_addresses && !wide {
            return Some(plain(match mode {
                0 if register == 6 => end + 2,
                1 => end + 1,
                2 => end + 2,
                _ => end,
            }));
        }
        if mode == 3 {
            return Some(plain(end));
        }
        let has_index = register == 4;
        let base = if has_index { code.get(end)? & 7 } else { register };
        let displacement = end + usize::from(has_index);
        let is_absolute = !wide || has_index;
        let (size, operand) = match mode {
            0 if base == 5 && is_absolute => (4, Operand::Absolute),
            0 if base == 5 => (4, opcode.reference),
            1 => (1, Operand::None),
            2 if is_absolute => (4, Operand::Absolute),
            2 => (4, Operand::None),
            _ => (0, Operand::None),
        };
        Some(Self { displacement, end: displacement + size, operand })
    }
}

/// How many bytes the immediates have, and addresses that are no part of ModRM.
fn size_of_immediates(
    code: &[u8],
    wide: bool,
    prefixes: &Prefixes,
    opcode: &Opcode,
) -> Option<usize> {
    let operands = opcode.operands;
    // Of group 3 only TEST has one.
    if operands.has(GROUP3) && code.get(opcode.end)? & 0x30 != 0 {
        return Some(0);
    }
    let by_operand_size = |small, usual, large| match prefixes {
        Prefixes { large_operands: true, .. } => large,
        Prefixes { small_operands: true, .. } => small,
        _ => usual,
    };
    let sizes = [
        (IB, 1),
        (IW, 2),
        (IZ, by_operand_size(2, 4, 4)),
        (IV, by_operand_size(2, 4, 8)),
        (AP, by_operand_size(4, 6, 6)),
        (OV, if wide && !prefixes.small_addresses { 8 } else { 4 }),
    ];
    Some(sizes.iter().filter(|(code, _)| operands.has(*code)).map(|(_, size)| size).sum())
}
