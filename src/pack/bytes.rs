//! Bytes by position: of a file, and of several sources as if they stood one behind the other.

use std::fs::File;
use std::io;

use kuzflow_delta::prediction::ReadAt;

use crate::positional;

/// An open file. Its length is the one it had when it was opened.
#[derive(Debug)]
pub(crate) struct FileBytes {
    file: File,
    length: u64,
}

impl FileBytes {
    /// The bytes of `file`.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl ReadAt for FileBytes {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        positional::read_exact_at(&self.file, buffer, at)
    }
}

/// Several sources as one.
pub(super) struct Joined<'a> {
    /// Each source with the position of its first byte.
    parts: Vec<(u64, &'a dyn ReadAt)>,
    length: u64,
}

impl<'a> Joined<'a> {
    /// Joins `parts`, one behind the other.
    pub(super) fn new(parts: impl Iterator<Item = &'a dyn ReadAt>) -> Self {
        let mut joined = Self { parts: Vec::new(), length: 0 };
        for part in parts {
            joined.parts.push((joined.length, part));
            joined.length += part.len();
        }
        joined
    }
}

impl ReadAt for Joined<'_> {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, mut at: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        let mut index = self.parts.partition_point(|(start, _)| *start <= at).saturating_sub(1);
        while !buffer.is_empty() {
            let (start, part) = self.parts.get(index).ok_or(io::ErrorKind::UnexpectedEof)?;
            let left = part.len().saturating_sub(at - start);
            let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let (now, rest) = buffer.split_at_mut(count);
            part.read_at(at - start, now)?;
            at += count as u64;
            buffer = rest;
            index += 1;
        }
        Ok(())
    }
}

/// Reads `span` of a source as a stream.
pub(super) struct SpanOfSource<'a> {
    source: &'a (dyn ReadAt + Sync),
    at: u64,
    end: u64,
}

impl<'a> SpanOfSource<'a> {
    /// The bytes of `span`, which must lie in the source.
    pub(super) fn new(source: &'a (dyn ReadAt + Sync), span: &std::ops::Range<u64>) -> Self {
        Self { source, at: span.start, end: span.end }
    }
}

impl io::Read for SpanOfSource<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        self.source.read_at(self.at, &mut buffer[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_parts_read_like_one() {
        let parts: [&[u8]; 4] = [b"abc", b"", b"d", b"efgh"];
        let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
        let joined = Joined::new(parts.iter().map(|part| part as &dyn ReadAt));
        assert_eq!(joined.len(), 8);
        for from in 0..=8 {
            for to in from..=8 {
                let mut buffer = vec![0; to - from];
                joined.read_at(from as u64, &mut buffer).unwrap();
                assert_eq!(buffer, b"abcdefgh"[from..to]);
            }
        }
        assert!(joined.read_at(7, &mut [0; 2]).is_err());
        assert!(joined.read_at(100, &mut [0; 1]).is_err());
        assert!(Joined::new(std::iter::empty()).read_at(0, &mut [0; 1]).is_err());
    }
}
