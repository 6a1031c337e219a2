//! The opcode maps of x86: which bytes follow an opcode.
//!
//! In: an opcode. Out: its operands, by the codes of the Intel manual (volume 2, appendix A). Never:
//! a correction of a cell without a new version of the pack format. Both sides of a pack must find
//! the same instructions.

/// The operands of an opcode that take bytes of their own: a sum of the codes below.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Operands(u16);

impl Operands {
    /// Whether all of `others` are among these.
    pub(super) const fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// These and `others`.
    pub(super) const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those of these that are among `others`.
    pub(super) const fn only(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }
}

/// No operand takes bytes.
pub(super) const NONE: Operands = Operands(0);
/// A ModRM byte, and what it asks for.
pub(super) const E: Operands = Operands(1 << 0);
/// An 8-bit immediate, or the displacement of a short jump.
pub(super) const IB: Operands = Operands(1 << 1);
/// A 16-bit immediate.
pub(super) const IW: Operands = Operands(1 << 2);
/// An immediate of 16 or 32 bits, by operand size.
pub(super) const IZ: Operands = Operands(1 << 3);
/// An immediate of 16, 32 or 64 bits, by operand size.
pub(super) const IV: Operands = Operands(1 << 4);
/// The displacement of a near branch, 32 bits.
pub(super) const JZ: Operands = Operands(1 << 5);
/// A far pointer.
pub(super) const AP: Operands = Operands(1 << 6);
/// The address of MOV's short form.
pub(super) const OV: Operands = Operands(1 << 7);
/// Group 3: an immediate of the given size only with TEST, which ModRM tells.
pub(super) const GROUP3: Operands = Operands(1 << 8);
/// No instruction in 64-bit code.
pub(super) const I64: Operands = Operands(1 << 9);
/// No instruction at all.
pub(super) const INVALID: Operands = Operands(1 << 10);

// Cells of the maps, four columns wide.
const ____: Operands = NONE;
const BAD: Operands = INVALID;
const E_IB: Operands = E.and(IB);
const E_IZ: Operands = E.and(IZ);
const IWIB: Operands = IW.and(IB);
const IB64: Operands = IB.and(I64);
const EB64: Operands = E.and(IB64);
const AP64: Operands = AP.and(I64);
const G3B: Operands = E_IB.and(GROUP3);
const G3Z: Operands = E_IZ.and(GROUP3);

/// The map of one-byte opcodes. A prefix stands in it as well: behind REX it counts as an opcode.
#[rustfmt::skip]
pub(super) static ONE_BYTE: [Operands; 256] = [
    // 00: ADD, OR.
    E,    E,    E,    E,    IB,   IZ,   I64,  I64,  E,    E,    E,    E,    IB,   IZ,   I64,  ____,
    // 10: ADC, SBB.
    E,    E,    E,    E,    IB,   IZ,   I64,  I64,  E,    E,    E,    E,    IB,   IZ,   I64,  I64,
    // 20: AND, SUB; prefixes.
    E,    E,    E,    E,    IB,   IZ,   I64,  I64,  E,    E,    E,    E,    IB,   IZ,   I64,  I64,
    // 30: XOR, CMP; prefixes.
    E,    E,    E,    E,    IB,   IZ,   I64,  I64,  E,    E,    E,    E,    IB,   IZ,   I64,  I64,
    // 40: INC, DEC; REX in 64-bit code.
    ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____,
    // 50: PUSH, POP.
    ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, ____,
    // 60: PUSHA, BOUND, MOVSXD, prefixes, PUSH, IMUL, INS.
    I64,  I64,  I64,  E,    ____, ____, ____, ____, IZ,   E_IZ, IB,   E_IB, ____, ____, ____, ____,
    // 70: short conditional jumps.
    IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,
    // 80: group 1, TEST, XCHG, MOV, LEA, POP.
    E_IB, E_IZ, EB64, E_IB, E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,
    // 90: XCHG, far CALL, flags.
    ____, ____, ____, ____, ____, ____, ____, ____, ____, ____, AP64, ____, ____, ____, ____, ____,
    // A0: MOV, string operations, TEST.
    OV,   OV,   OV,   OV,   ____, ____, ____, ____, IB,   IZ,   ____, ____, ____, ____, ____, ____,
    // B0: MOV of an immediate.
    IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   IV,   IV,   IV,   IV,   IV,   IV,   IV,   IV,
    // C0: shifts, RET, VEX prefixes, MOV, ENTER, INT.
    E_IB, E_IB, IW,   ____, ____, ____, E_IB, E_IZ, IWIB, ____, IW,   ____, ____, IB,   I64,  ____,
    // D0: shifts, AAM, AAD, XLAT, floating point.
    E,    E,    E,    E,    IB64, IB64, I64,  ____, E,    E,    E,    E,    E,    E,    E,    E,
    // E0: LOOP, IN, OUT, CALL, JMP.
    IB,   IB,   IB,   IB,   IB,   IB,   IB,   IB,   JZ,   JZ,   AP64, IB,   ____, ____, ____, ____,
    // F0: prefixes, group 3, flags, groups 4 and 5.
    ____, ____, ____, ____, ____, ____, G3B,  G3Z,  ____, ____, ____, ____, ____, ____, E,    E,
];

/// The map of two-byte opcodes, which begin with 0F.
#[rustfmt::skip]
pub(super) static TWO_BYTE: [Operands; 256] = [
    // 00: system instructions, NOP, 3DNow!.
    E,    E,    E,    E,    BAD,  ____, ____, ____, ____, ____, BAD,  ____, BAD,  E,    ____, E_IB,
    // 10: moves of vectors, hints.
    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,
    // 20: control registers, conversions.
    E,    E,    E,    E,    BAD,  BAD,  BAD,  BAD,  E,    E,    E,    E,    E,    E,    E,    E,
    // 30: counters; escapes to the third and fourth map.
    ____, ____, ____, ____, ____, ____, BAD,  ____, E,    BAD,  E,    BAD,  BAD,  BAD,  BAD,  BAD,
    // 40: CMOV.
    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,
    // 50: arithmetic of vectors.
    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,
    // 60: packing.
    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,
    // 70: shuffles, comparisons, moves.
    E_IB, E_IB, E_IB, E_IB, E,    E,    E,    ____, E,    E,    E,    E,    E,    E,    E,    E,
    // 80: near conditional jumps.
    JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,   JZ,
    // 90: SET.
    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,
    // A0: PUSH, POP of FS and GS, CPUID, bits, shifts.
    ____, ____, ____, E,    E_IB, E,    E,    E,    ____, ____, ____, E,    E_IB, E,    E,    E,
    // B0: CMPXCHG, bits, extending moves.
    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E_IB, E,    E,    E,    E,    E,
    // C0: XADD, comparisons, BSWAP.
    E,    E,    E_IB, E,    E_IB, E_IB, E_IB, E,    ____, ____, ____, ____, ____, ____, ____, ____,
    // D0: arithmetic of vectors.
    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,
    // E0: arithmetic of vectors.
    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,
    // F0: arithmetic of vectors.
    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,    E,
];
