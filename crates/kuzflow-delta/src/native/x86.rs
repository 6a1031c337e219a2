//! Decodes the lengths of x86 instructions, and the references in them.
//!
//! In: machine code of 64-bit or 32-bit x86, or any other bytes. Out: instruction lengths, and the
//! position of a 32-bit relative operand. Never: a refusal; a byte that begins no instruction
//! counts as one byte, so that a linear sweep finds its step again.
//!
//! The tables follow the opcode maps of the Intel manual (volume 2, appendix A).

/// The instruction has a ModRM byte.
const M: u8 = 1;
/// An 8-bit immediate.
const B: u8 = 2;
/// A 16-bit or 32-bit immediate, by operand size.
const Z: u8 = 4;
/// A 16-bit immediate.
const W: u8 = 8;
/// A relative 32-bit operand.
const R: u8 = 16;
/// Not an instruction in 64-bit code.
const X: u8 = 32;
/// The code handles this opcode.
const S: u8 = 64;

const fn one_byte() -> [u8; 256] {
    let mut table = [0; 256];
    let mut row = 0;
    while row < 0x40 {
        table[row] = M;
        table[row + 1] = M;
        table[row + 2] = M;
        table[row + 3] = M;
        table[row + 4] = B;
        table[row + 5] = Z;
        table[row + 6] = X;
        table[row + 7] = X;
        row += 8;
    }
    let mut at = 0x60;
    while at < 0x63 {
        table[at] = X;
        at += 1;
    }
    table[0x63] = M;
    table[0x68] = Z;
    table[0x69] = M | Z;
    table[0x6A] = B;
    table[0x6B] = M | B;
    at = 0x70;
    while at < 0x80 {
        table[at] = B;
        table[at + 0x10] = M;
        at += 1;
    }
    table[0x80] = M | B;
    table[0x81] = M | Z;
    table[0x82] = M | B | X;
    table[0x83] = M | B;
    table[0x9A] = X | S;
    at = 0xA0;
    while at < 0xA4 {
        table[at] = S;
        at += 1;
    }
    table[0xA8] = B;
    table[0xA9] = Z;
    at = 0xB0;
    while at < 0xB8 {
        table[at] = B;
        table[at + 8] = S;
        at += 1;
    }
    table[0xC0] = M | B;
    table[0xC1] = M | B;
    table[0xC2] = W;
    table[0xC6] = M | B;
    table[0xC7] = M | Z;
    table[0xC8] = W | B;
    table[0xCA] = W;
    table[0xCD] = B;
    table[0xCE] = X;
    at = 0xD0;
    while at < 0xD4 {
        table[at] = M;
        at += 1;
    }
    table[0xD4] = B | X;
    table[0xD5] = B | X;
    table[0xD6] = X;
    at = 0xD8;
    while at < 0xE0 {
        table[at] = M;
        table[at + 8] = B;
        at += 1;
    }
    table[0xE8] = R;
    table[0xE9] = R;
    table[0xEA] = X | S;
    table[0xEB] = B;
    table[0xF6] = M | S;
    table[0xF7] = M | S;
    table[0xFE] = M;
    table[0xFF] = M;
    table
}

const fn two_bytes() -> [u8; 256] {
    let mut table = [M; 256];
    let plain = [
        0x05, 0x06, 0x07, 0x08, 0x09, 0x0B, 0x0E, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x37, 0x77,
        0xA0, 0xA1, 0xA2, 0xA8, 0xA9, 0xAA, 0xC8, 0xC9, 0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF,
    ];
    let mut at = 0;
    while at < plain.len() {
        table[plain[at]] = 0;
        at += 1;
    }
    let byte = [0x0F, 0x70, 0x71, 0x72, 0x73, 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6];
    at = 0;
    while at < byte.len() {
        table[byte[at]] = M | B;
        at += 1;
    }
    let none = [0x04, 0x0A, 0x0C, 0x24, 0x25, 0x26, 0x27, 0x36, 0x39, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F];
    at = 0;
    while at < none.len() {
        table[none[at]] = S;
        at += 1;
    }
    at = 0x80;
    while at < 0x90 {
        table[at] = R;
        at += 1;
    }
    table
}

static ONE: [u8; 256] = one_byte();
static TWO: [u8; 256] = two_bytes();

/// The longest instruction.
pub const LONGEST: usize = 15;

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
        .filter(|instruction| usize::from(instruction.length) <= code.len().min(LONGEST))
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
    let mut at = 0;
    let mut half = false;
    let mut rex = 0;
    let mut short_address = false;
    let mut opcode = *code.first()?;
    loop {
        match opcode {
            0x66 => half = true,
            0x67 => short_address = true,
            0x26 | 0x2E | 0x36 | 0x3E | 0x64 | 0x65 | 0xF0 | 0xF2 | 0xF3 => {}
            _ => break,
        }
        at += 1;
        if at >= LONGEST {
            return None;
        }
        opcode = *code.get(at)?;
    }
    if wide && opcode & 0xF0 == 0x40 {
        rex = opcode;
        at += 1;
        opcode = *code.get(at)?;
    }
    let next = *code.get(at + 1).unwrap_or(&0);
    let mut flags;
    let mut operand = Operand::None;
    let vector = wide || next >= 0xC0;
    match opcode {
        0x0F => {
            at += 1;
            opcode = next;
            match opcode {
                0x38 => {
                    at += 1;
                    flags = M;
                }
                0x3A => {
                    at += 1;
                    flags = M | B;
                }
                _ => {
                    flags = TWO[usize::from(opcode)];
                    if flags == R {
                        operand = Operand::Branch;
                    }
                    if flags & S != 0 {
                        return None;
                    }
                }
            }
        }
        0xC5 if vector => {
            at += 2;
            flags = TWO[usize::from(*code.get(at)?)] & !R | M;
            if code.get(at) == Some(&0x77) {
                flags = 0;
            }
        }
        0xC4 | 0x62 if vector => {
            let map = next & if opcode == 0x62 { 7 } else { 31 };
            at += if opcode == 0x62 { 4 } else { 3 };
            let inner = *code.get(at)?;
            flags = match map {
                1 => TWO[usize::from(inner)] & !(R | S) | M,
                2 | 5 | 6 => M,
                3 => M | B,
                _ => return None,
            };
            if map == 1 && inner == 0x77 {
                flags = 0;
            }
        }
        _ => {
            flags = ONE[usize::from(opcode)];
            if flags & X != 0 && wide {
                return None;
            }
            match opcode {
                0xE8 => operand = Operand::Call,
                0xE9 => operand = Operand::Jump,
                _ => {}
            }
        }
    }
    let simple = ONE[usize::from(opcode)] & S != 0 && flags & S != 0;
    at += 1;
    let mut immediate = 0;
    if simple {
        match opcode {
            0x9A | 0xEA => immediate += if half { 4 } else { 6 },
            0xA0..=0xA3 => immediate += if wide && !short_address { 8 } else { 4 },
            0xB8..=0xBF => {
                immediate += if rex & 8 != 0 {
                    8
                } else if half {
                    2
                } else {
                    4
                }
            }
            0xF6 if code.get(at)? & 0x30 == 0 => flags |= B,
            0xF7 if code.get(at)? & 0x30 == 0 => flags |= Z,
            _ => {}
        }
    }
    if flags & B != 0 {
        immediate += 1;
    }
    if flags & W != 0 {
        immediate += 2;
    }
    if flags & Z != 0 {
        immediate += if half && rex & 8 == 0 { 2 } else { 4 };
    }
    let mut place = at;
    if flags & R != 0 {
        if !wide && half {
            return None;
        }
        return Some(Instruction { length: (at + 4) as u8, operand, at: place as u8 });
    }
    if flags & M != 0 {
        let modrm = *code.get(at)?;
        at += 1;
        let (mode, register) = (modrm >> 6, modrm & 7);
        if short_address && !wide {
            at += match mode {
                0 if register == 6 => 2,
                1 => 1,
                2 => 2,
                _ => 0,
            };
        } else if mode != 3 {
            let mut base = register;
            if register == 4 {
                base = *code.get(at)? & 7;
                at += 1;
            }
            place = at;
            match mode {
                0 if base == 5 => {
                    at += 4;
                    operand = if !wide || register == 4 {
                        Operand::Absolute
                    } else if opcode == 0x8D {
                        Operand::Address
                    } else {
                        Operand::Memory
                    };
                }
                1 => at += 1,
                2 => {
                    at += 4;
                    if register == 4 || !wide {
                        operand = Operand::Absolute;
                    }
                }
                _ => {}
            }
        }
    }
    Some(Instruction { length: (at + immediate) as u8, operand, at: place as u8 })
}
