//! An executable image: which bytes of its file stand at which address.
//!
//! In: a file through [`Blocks`], from a member's start on, and what the readers of the formats find
//! in it. Out: [`Image`], with its [`Fields`].
//! Never: trust in the file. All numbers are bounded before they are used.

use std::io;

use super::blocks::Blocks;
use super::fields::Fields;

/// The processor that the code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// 64-bit x86.
    Amd64,
    /// 32-bit x86.
    I386,
    /// 64-bit Arm.
    Arm64,
}

/// A part of the file that is loaded at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its address in memory, minus the image's base.
    pub address: u64,
    /// Bytes in memory.
    pub memory: u64,
    /// Its position in the file.
    pub file_at: u64,
    /// Bytes in the file.
    pub file: u64,
}

/// Positions outside of all segments have addresses from this one on.
pub(super) const OUTSIDE: u64 = 1 << 60;
/// Addresses end here.
pub(super) const HIGHEST: u64 = 1 << 48;
/// Most segments that are examined.
pub(super) const SEGMENTS: usize = 96;

/// The layout: which bytes of a file stand at which address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// The base that pointers count from.
    pub base: u64,
    /// Parts in memory, by position in the file.
    pub segments: Vec<Segment>,
}

impl Layout {
    /// Sorts segments, and drops those that do not fit a file of `length` bytes.
    pub(super) fn new(base: u64, mut segments: Vec<Segment>, length: u64) -> Self {
        segments.truncate(SEGMENTS);
        segments.retain(|segment| {
            segment.address < HIGHEST
                && segment.memory < HIGHEST
                && segment.file_at <= length
                && segment.file <= length - segment.file_at
        });
        segments.sort_by_key(|segment| (segment.file_at, segment.file, segment.address));
        for segment in &mut segments {
            segment.memory = segment.memory.max(segment.file);
        }
        Self { base, segments }
    }

    /// The segment that holds a position of the file.
    pub(super) fn segment(&self, at: u64) -> Option<&Segment> {
        self.segments.iter().find(|segment| at.wrapping_sub(segment.file_at) < segment.file)
    }

    /// Address of a position of the file.
    pub(super) fn address(&self, at: u64) -> u64 {
        self.segment(at).map_or(OUTSIDE.wrapping_add(at), |segment| {
            segment.address.wrapping_add(at - segment.file_at)
        })
    }

    /// Position in the file of an address.
    pub(super) fn position(&self, address: u64) -> Option<u64> {
        if address >= OUTSIDE {
            return Some(address - OUTSIDE);
        }
        self.segments
            .iter()
            .find(|segment| address.wrapping_sub(segment.address) < segment.file)
            .map(|segment| segment.file_at + (address - segment.address))
    }

    /// Whether an address belongs to a segment in memory.
    pub(super) fn holds(&self, address: u64) -> bool {
        self.segments.iter().any(|segment| address.wrapping_sub(segment.address) < segment.memory)
    }
}

/// An executable image in a member of a group.
pub(super) struct Image {
    /// Where its file begins in the group.
    pub from: u64,
    /// Bytes of its file.
    pub length: u64,
    /// The addresses of its bytes in memory.
    pub layout: Layout,
    /// The places where it refers to something.
    pub fields: Fields,
}

/// A member of a group; positions count from its start, and it reads as zeros behind its end.
pub(super) struct File<'a, 'b> {
    blocks: &'a mut Blocks<'b>,
    /// Where it begins.
    pub from: u64,
    /// Its bytes.
    pub length: u64,
}

impl<'a, 'b> File<'a, 'b> {
    /// The member of `length` bytes that begins at `from`.
    pub(super) fn new(blocks: &'a mut Blocks<'b>, from: u64, length: u64) -> Self {
        Self { blocks, from, length }
    }

    /// `N` bytes at `at`, zeros behind the end.
    pub(super) fn array<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        let there = self.length.saturating_sub(at).min(N as u64) as usize;
        if there > 0 {
            self.blocks.read(self.from + at, &mut bytes[..there])?;
        }
        Ok(bytes)
    }

    /// A 16-bit number.
    pub(super) fn u16(&mut self, at: u64) -> io::Result<u16> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    /// A 32-bit number.
    pub(super) fn u32(&mut self, at: u64) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    /// A 64-bit number.
    pub(super) fn u64(&mut self, at: u64) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    /// Reads bytes from `at` on, at most `buffer.len()`, fewer at the end.
    pub(super) fn read<'c>(&mut self, at: u64, buffer: &'c mut [u8]) -> io::Result<&'c [u8]> {
        let there = self.length.saturating_sub(at).min(buffer.len() as u64) as usize;
        if there > 0 {
            self.blocks.read(self.from + at, &mut buffer[..there])?;
        }
        Ok(&buffer[..there])
    }
}
