//! Decodes one entry's packed bytes, with bounded memory and never past its declared size.

use std::fs::File;
use std::io::{self, Read};

use zstd::stream::raw::{DParameter, InBuffer, Operation as _, OutBuffer};

use crate::model::package_index::{Compression, Packed};
use crate::model::{Digest, Hasher};
use crate::positional;

/// The largest accepted zstd window, as a power of two: 8 MiB, which bounds a decoder's memory.
pub(crate) const MAX_WINDOW_LOG: u32 = 23;

/// Bytes that are read at once, and bytes that are written at once. Most entries fit both, and zstd
/// then decodes them in one pass.
const INPUT: usize = 128 << 10;
const OUTPUT: usize = 256 << 10;

/// What is wrong with an entry's bytes.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The entry unpacks to more bytes than declared (a bomb, or the wrong bytes).
    #[error("it unpacks to more than the {declared} bytes declared")]
    TooLong {
        /// The declared number of bytes.
        declared: u64,
    },
    /// The entry unpacks to fewer bytes than declared.
    #[error("it unpacks to {found} bytes, {declared} are declared")]
    TooShort {
        /// The declared number of bytes.
        declared: u64,
        /// The unpacked number of bytes.
        found: u64,
    },
    /// The packed bytes end too early.
    #[error("its packed bytes end too early")]
    Truncated,
    /// Bytes follow the entry's only frame.
    #[error("bytes follow behind its end")]
    Trailing,
    /// The bytes are no zstd frame, or the frame needs a larger window than allowed.
    #[error("its packed bytes are damaged")]
    Corrupt(#[source] io::Error),
    /// The entry unpacks to other content.
    #[error("its SHA-256 is {found}, expected {expected}")]
    Hash {
        /// The digest in the manifest.
        expected: Digest,
        /// The digest of the unpacked bytes.
        found: Digest,
    },
    /// The packed bytes cannot be read.
    #[error("its packed bytes cannot be read")]
    Read(#[source] io::Error),
    /// The unpacked bytes cannot be written.
    #[error("it cannot be written")]
    Write(#[source] io::Error),
}

/// Decodes entries one after another. Holds about 400 KiB, and up to 8 MiB more once an entry needs
/// the window.
pub(crate) struct Decoder {
    zstd: zstd::stream::raw::Decoder<'static>,
    input: Box<[u8]>,
    output: Box<[u8]>,
}

impl Decoder {
    /// Allocates a decoder with its buffers.
    pub(crate) fn new() -> Result<Self, Fault> {
        let mut zstd = zstd::stream::raw::Decoder::new().map_err(Fault::Corrupt)?;
        zstd.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(Fault::Corrupt)?;
        Ok(Self { zstd, input: vec![0; INPUT].into(), output: vec![0; OUTPUT].into() })
    }

    /// Reads `packed_size` bytes of `packed`, passes the unpacked bytes to `sink` in blocks, and
    /// returns their digest.
    ///
    /// Returns an error unless exactly `size` bytes come out of one frame that ends with the last
    /// packed byte. After an error, discard the bytes that `sink` received. `sink` never receives
    /// more than `size` bytes.
    pub(crate) fn unpack(
        &mut self,
        packed: &mut dyn Read,
        compression: Compression,
        packed_size: u64,
        size: u64,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Digest, Fault> {
        let mut tally = Tally { hasher: Hasher::default(), written: 0, declared: size, sink };
        let mut packed = packed.take(packed_size);
        match compression {
            Compression::Stored => self.copy(&mut packed, &mut tally)?,
            Compression::Zstd => self.decode(&mut packed, &mut tally)?,
        }
        if packed.limit() > 0 {
            // The missing bytes were never sent, or they lie behind the frame's end.
            return Err(if self.fill(&mut packed)? == 0 {
                Fault::Truncated
            } else {
                Fault::Trailing
            });
        }
        if tally.written != size {
            return Err(Fault::TooShort { declared: size, found: tally.written });
        }
        Ok(tally.hasher.finish())
    }

    fn copy(&mut self, packed: &mut dyn Read, tally: &mut Tally<'_>) -> Result<(), Fault> {
        loop {
            let filled = self.fill(packed)?;
            if filled == 0 {
                return Ok(());
            }
            tally.take(&self.input[..filled])?;
        }
    }

    fn decode(&mut self, packed: &mut dyn Read, tally: &mut Tally<'_>) -> Result<(), Fault> {
        self.zstd.reinit().map_err(Fault::Corrupt)?;
        loop {
            let filled = self.fill(packed)?;
            if filled == 0 {
                return Err(Fault::Truncated);
            }
            let mut input = InBuffer::around(&self.input[..filled]);
            loop {
                let mut output = OutBuffer::around(&mut self.output[..]);
                let hint = self.zstd.run(&mut input, &mut output).map_err(Fault::Corrupt)?;
                let full = output.pos() == OUTPUT;
                tally.take(output.as_slice())?;
                if hint == 0 {
                    return if input.pos() == filled { Ok(()) } else { Err(Fault::Trailing) };
                }
                if input.pos() == filled && !full {
                    break;
                }
            }
        }
    }

    /// Fills the input buffer from `packed`, as far as `packed` reaches.
    fn fill(&mut self, packed: &mut dyn Read) -> Result<usize, Fault> {
        let mut filled = 0;
        while filled < self.input.len() {
            match packed.read(&mut self.input[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Read(error)),
            }
        }
        Ok(filled)
    }
}

/// Counts and hashes the bytes for the sink, and stops at the declared size.
struct Tally<'a> {
    hasher: Hasher,
    written: u64,
    declared: u64,
    sink: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
}

impl Tally<'_> {
    fn take(&mut self, block: &[u8]) -> Result<(), Fault> {
        self.written += block.len() as u64;
        if self.written > self.declared {
            return Err(Fault::TooLong { declared: self.declared });
        }
        self.hasher.update(block);
        (self.sink)(block).map_err(Fault::Write)
    }
}

/// The bytes of one span of a file, read by position, so that several threads can read one open
/// file.
pub(crate) struct SpanReader<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> SpanReader<'a> {
    /// The bytes of `packed` in `package`.
    pub(crate) fn new(package: &'a File, packed: &Packed) -> Self {
        let span = packed.span();
        Self { file: package, at: span.start, end: span.end }
    }
}

impl Read for SpanReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = positional::read_at(self.file, &mut buffer[..wanted], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(
        packed: &[u8],
        compression: Compression,
        packed_size: u64,
        size: u64,
    ) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        let hash = Decoder::new()?.unpack(
            &mut &packed[..],
            compression,
            packed_size,
            size,
            &mut |block| {
                out.extend_from_slice(block);
                Ok(())
            },
        )?;
        assert!(out.len() as u64 <= size);
        assert_eq!(hash, Digest::of(&out));
        Ok(out)
    }

    fn zstd_frame(content: &[u8]) -> Vec<u8> {
        zstd::encode_all(content, 3).unwrap()
    }

    #[test]
    fn exactly_what_was_packed() {
        for length in [0usize, 1, 1000, INPUT, OUTPUT, OUTPUT + 1, 3 * OUTPUT + 17] {
            let content: Vec<u8> = (0..length).map(|k| (k * k / 7) as u8).collect();
            let frame = zstd_frame(&content);
            assert_eq!(
                decode(&frame, Compression::Zstd, frame.len() as u64, length as u64).unwrap(),
                content
            );
            assert_eq!(
                decode(&content, Compression::Stored, length as u64, length as u64).unwrap(),
                content
            );
        }
    }

    #[test]
    fn a_bomb_ends_at_the_declared_size() {
        let frame = zstd_frame(&vec![0; 50 << 20]);
        for declared in [0, 10, OUTPUT as u64, (50 << 20) - 1] {
            let result = decode(&frame, Compression::Zstd, frame.len() as u64, declared);
            assert!(matches!(result, Err(Fault::TooLong { .. })), "{declared}");
        }
        assert!(matches!(decode(b"abc", Compression::Stored, 3, 2), Err(Fault::TooLong { .. })));
    }

    #[test]
    fn every_truncation_is_reported() {
        let content: Vec<u8> = (0..3000u32).flat_map(u32::to_le_bytes).collect();
        let frame = zstd_frame(&content);
        for cut in 0..frame.len() {
            // The source ends early, and the manifest says that it ends there.
            let reported =
                decode(&frame[..cut], Compression::Zstd, frame.len() as u64, content.len() as u64);
            assert!(matches!(reported, Err(Fault::Truncated)), "{cut}: {reported:?}");
            let declared = decode(&frame, Compression::Zstd, cut as u64, content.len() as u64);
            assert!(matches!(declared, Err(Fault::Truncated)), "{cut}: {declared:?}");
        }
        assert!(matches!(decode(b"ab", Compression::Stored, 3, 3), Err(Fault::Truncated)));
        assert!(matches!(decode(b"ab", Compression::Stored, 2, 3), Err(Fault::TooShort { .. })));
    }

    #[test]
    fn nothing_may_follow_the_frame() {
        let frame = zstd_frame(b"content");
        for tail in [
            &b"x"[..],
            &zstd_frame(b""),
            &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0],
            &vec![7; 3 * INPUT],
        ] {
            let packed = [&frame[..], tail].concat();
            let result = decode(&packed, Compression::Zstd, packed.len() as u64, 7);
            assert!(matches!(result, Err(Fault::Trailing)), "{result:?}");
        }
    }

    #[test]
    fn a_window_beyond_the_limit_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(MAX_WINDOW_LOG + 1).unwrap();
        std::io::Write::write_all(&mut encoder, &vec![1; 20 << 20]).unwrap();
        let frame = encoder.finish().unwrap();
        assert!(matches!(
            decode(&frame, Compression::Zstd, frame.len() as u64, 20 << 20),
            Err(Fault::Corrupt(_))
        ));
        assert!(matches!(
            decode(b"no zstd at all", Compression::Zstd, 14, 5),
            Err(Fault::Corrupt(_))
        ));
    }
}
