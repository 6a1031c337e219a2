//! The fields of an image: where it refers to something, and how.
//!
//! Positions are relative to the image's file. A field has 4 or 8 bytes; fields do not overlap.

/// How a field refers to its target; the numbers are the kinds that the entropy coder sees. All
/// values are little-endian.
pub mod kind {
    /// Operand of a call: 4 bytes, from its end.
    pub const CALL: u8 = 1;
    /// Operand of a jump: 4 bytes, from its end.
    pub const JUMP: u8 = 2;
    /// Operand of a conditional jump: 4 bytes, from its end.
    pub const BRANCH: u8 = 3;
    /// Displacement of an address: 4 bytes, from its end.
    pub const ADDRESS: u8 = 4;
    /// Displacement in memory: 4 bytes, from its end.
    pub const MEMORY: u8 = 5;
    /// Displacement in memory: 4 bytes, from 1 byte behind it.
    pub const MEMORY_1: u8 = 6;
    /// Displacement in memory: 4 bytes, from 2 bytes behind it.
    pub const MEMORY_2: u8 = 7;
    /// Displacement in memory: 4 bytes, from 4 bytes behind it.
    pub const MEMORY_4: u8 = 8;
    /// An address with the image's base: 4 bytes.
    pub const POINTER_32: u8 = 9;
    /// An address with the image's base: 8 bytes.
    pub const POINTER: u8 = 10;
    /// An address without the image's base: 4 bytes.
    pub const RELATIVE: u8 = 11;
    /// A distance from the field itself: 4 bytes.
    pub const DISTANCE: u8 = 12;
    /// A distance back from the field itself: 4 bytes.
    pub const BACK: u8 = 13;
    /// A signed distance from the base of the field's [`Table`](super::Table): 4 bytes.
    pub const OFFSET: u8 = 14;
    /// A length of what the distance in the 4 bytes before refers to: 4 bytes.
    pub const LENGTH: u8 = 15;
    /// Where a relocation applies: 8 bytes.
    pub const PLACE: u8 = 16;
    /// What a relocation adds: 8 bytes.
    pub const ADDEND: u8 = 17;
    /// Value of a symbol: 8 bytes.
    pub const VALUE: u8 = 18;
    /// Length of what the address in the 8 bytes before refers to: 8 bytes.
    pub const SIZE: u8 = 19;
    /// Offset of a name in the base of the field's table: 4 bytes.
    pub const NAME: u8 = 20;
    /// Number of an entry in the base of the field's table: 4 bytes.
    pub const NUMBER: u8 = 21;
    /// A 26-bit branch of arm64: 4 bytes.
    pub const ARM_BRANCH: u8 = 22;
    /// A position in the file: 8 bytes.
    pub const FILE: u8 = 25;
    /// A distance from the field itself to data for exceptions: 4 bytes.
    pub const DATA: u8 = 27;
    /// A 32-bit exception handler address or other address without base in instructions: 4 bytes.
    pub const RELATIVE_OPERAND: u8 = 26;
}

/// How many bytes a field of a kind has.
pub(super) fn size(kind: u8) -> usize {
    match kind {
        kind::POINTER | kind::PLACE | kind::ADDEND | kind::VALUE | kind::SIZE | kind::FILE => 8,
        _ => 4,
    }
}

/// Fields between here and the next table count from this base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Table {
    /// Where the fields begin in the file.
    pub from: u32,
    /// The address that they count from.
    pub base: u64,
    /// Bytes of an entry.
    pub stride: u32,
}

const SHIFT: u32 = 11;

/// Fields in order of position; two bytes for each.
#[derive(Default)]
pub(super) struct Fields {
    /// Position within its block, and kind (5 bits).
    entries: Vec<u16>,
    /// Index of the first entry of each block.
    blocks: Vec<u32>,
    /// Tables in order.
    tables: Vec<Table>,
}

impl Fields {
    /// Builds the list from fields in any order. Where fields overlap, the one that begins earlier
    /// wins; at the same place, the one that was found later wins.
    pub(super) fn new(mut found: Vec<(u32, u8)>, mut tables: Vec<Table>, length: u32) -> Self {
        found.sort_by_key(|&(at, _)| at);
        tables.sort_unstable();
        tables.dedup_by_key(|table| table.from);
        let mut fields =
            Self { entries: Vec::with_capacity(found.len()), blocks: Vec::new(), tables };
        let mut end = 0;
        for (index, &(at, kind)) in found.iter().enumerate() {
            if at < end
                || found.get(index + 1).is_some_and(|next| next.0 == at)
                || at as usize + size(kind) > length as usize
            {
                continue;
            }
            end = at + size(kind) as u32;
            while fields.blocks.len() <= (at >> SHIFT) as usize {
                fields.blocks.push(fields.entries.len() as u32);
            }
            fields.entries.push(((at & ((1 << SHIFT) - 1)) as u16) << 5 | u16::from(kind));
        }
        fields
    }

    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Index of the first field at or behind `at`.
    pub(super) fn seek(&self, at: u32) -> usize {
        let block = (at >> SHIFT) as usize;
        let Some(&from) = self.blocks.get(block) else { return self.entries.len() };
        let to = self.blocks.get(block + 1).map_or(self.entries.len(), |&to| to as usize);
        let within = (at & ((1 << SHIFT) - 1)) as u16;
        from as usize + self.entries[from as usize..to].partition_point(|entry| entry >> 5 < within)
    }

    /// Position and kind of a field by its index; `hint` is a position in its block or in the block
    /// before that holds a field.
    pub(super) fn get(&self, index: usize, hint: u32) -> Option<(u32, u8)> {
        let entry = *self.entries.get(index)?;
        let mut block = (hint >> SHIFT) as usize;
        while self.blocks.get(block + 1).is_some_and(|&next| next as usize <= index) {
            block += 1;
        }
        Some(((block as u32) << SHIFT | u32::from(entry >> 5), (entry & 31) as u8))
    }

    /// The table that a field belongs to.
    pub(super) fn table(&self, at: u32) -> Table {
        let index = self.tables.partition_point(|table| table.from <= at);
        index.checked_sub(1).and_then(|index| self.tables.get(index)).copied().unwrap_or(Table {
            from: 0,
            base: 0,
            stride: 1,
        })
    }
}
