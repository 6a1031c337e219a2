//! Zstandard with the old bytes in front of the new ones, as `zstd --patch-from` does: the fast
//! algorithm for many small files or many similar files.
//!
//! In: the bases (old files, concatenated), the target, or one frame of a patch. Out: a frame, or
//! the target in blocks to a sink. Never: a frame that needs a larger window than the caller
//! allows, more bytes than the caller expects, bytes behind the frame. The `zstd` program reads the
//! frames of this module, and this module reads those of `zstd`.
//!
//! A decoder holds the bases, the window, and about half a megabyte. It can refer to the bases as
//! long as the bytes decoded so far fit the window (RFC 8878, 5.: a frame must not refer to a
//! dictionary behind the window). So the window covers the whole target: this format is for targets
//! that fit memory.

use std::io;

use zstd::zstd_safe::{self, DCtx, DParameter, InBuffer, OutBuffer};

const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Bytes that go to the sink at once: the most that a zstd block makes.
const OUTPUT: usize = 128 << 10;

/// The smallest window that a decoder can be limited to, as a power of two.
const MIN_WINDOW_LOG: u32 = 10;

/// The largest window that a frame can have on every system, as a power of two.
#[cfg(feature = "encoder")]
const MAX_WINDOW_LOG: u32 = 30;

/// Why applying or making a patch failed.
#[derive(Debug, thiserror::Error)]
pub enum DictionaryError {
    /// The patch is no zstd frame, or it asks for a dictionary by its number.
    #[error("the patch is not a zstd frame that can be read with old files alone")]
    Frame,
    /// The frame needs a larger window than the caller allows.
    #[error("the patch needs a window of {needed} bytes, {allowed} are allowed")]
    Window {
        /// The window in the frame, in bytes.
        needed: u64,
        /// The window that the caller allows, in bytes.
        allowed: u64,
    },
    /// The frame makes another number of bytes than the caller expects.
    #[error("the patch does not make the {expected} bytes expected")]
    Size {
        /// The size in signed metadata.
        expected: u64,
    },
    /// The patch ends too early.
    #[error("the patch ends too early")]
    Truncated,
    /// Bytes follow the frame.
    #[error("bytes follow behind the patch's end")]
    Trailing,
    /// The error of zstd: damaged, made for other old bytes, or out of memory.
    #[error("zstd: {0}")]
    Zstd(&'static str),
    /// The new bytes cannot be written.
    #[error("the new bytes cannot be written")]
    Write(#[source] io::Error),
}

impl DictionaryError {
    fn zstd(code: zstd_safe::ErrorCode) -> Self {
        Self::Zstd(zstd_safe::get_error_name(code))
    }
}

/// Decodes `patch` against `bases` and passes the target to `sink` in blocks of at most 128 KiB.
///
/// `memory_limit` is the largest window allowed, in bytes; the module's head lists the other
/// memory. Returns an error unless the patch is one frame that makes exactly `size` bytes. After an
/// error, discard the bytes that `sink` received; it never receives more than `size` bytes. Other
/// bases than those of the patch may give other bytes without an error: the caller compares hashes.
pub fn apply(
    bases: &[u8],
    patch: &[u8],
    size: u64,
    memory_limit: u64,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), DictionaryError> {
    let frame = FrameHeader::parse(patch)?;
    if frame.content.is_some_and(|content| content != size) {
        return Err(DictionaryError::Size { expected: size });
    }
    if frame.window > memory_limit {
        return Err(DictionaryError::Window { needed: frame.window, allowed: memory_limit });
    }
    let mut decoder = DCtx::try_create().ok_or(DictionaryError::Zstd("out of memory"))?;
    let window_log = log_of(frame.window).max(MIN_WINDOW_LOG);
    decoder.set_parameter(DParameter::WindowLogMax(window_log)).map_err(DictionaryError::zstd)?;
    decoder.ref_prefix(bases).map_err(DictionaryError::zstd)?;
    let mut block = vec![0; OUTPUT];
    let mut input = InBuffer::around(patch);
    let mut left = size;
    loop {
        let taken_before = input.pos();
        let mut output = OutBuffer::around(&mut block[..]);
        let hint =
            decoder.decompress_stream(&mut output, &mut input).map_err(DictionaryError::zstd)?;
        let made = output.as_slice();
        left =
            left.checked_sub(made.len() as u64).ok_or(DictionaryError::Size { expected: size })?;
        if !made.is_empty() {
            sink(made).map_err(DictionaryError::Write)?;
        }
        if hint == 0 {
            break;
        }
        if made.is_empty() && input.pos() == taken_before {
            return Err(DictionaryError::Truncated);
        }
    }
    if input.pos() < patch.len() {
        return Err(DictionaryError::Trailing);
    }
    if left > 0 {
        return Err(DictionaryError::Size { expected: size });
    }
    Ok(())
}

/// Makes the frame that turns `bases` into `target`, at a zstd `level` (19 is meant for patches; up
/// to 22).
///
/// Memory: match tables of about 12 bytes for each byte of bases and target, at most about 650 MiB.
/// If bases and target are more than 1 GiB together, the encoder cannot reach a part of them.
#[cfg(feature = "encoder")]
pub fn make(bases: &[u8], target: &[u8], level: i32) -> Result<Vec<u8>, DictionaryError> {
    use zstd_safe::{CCtx, CParameter};

    let mut encoder = CCtx::try_create().ok_or(DictionaryError::Zstd("out of memory"))?;
    let total_log = log_of((bases.len() as u64).saturating_add(target.len() as u64))
        .clamp(MIN_WINDOW_LOG, MAX_WINDOW_LOG);
    // The content size stays in the frame: with it, a decoder holds the target and not this window.
    // There is no checksum: signed metadata has the hashes of whole files.
    for parameter in [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(total_log),
        // The tables of a level are made for sources of at most 8 MiB (128 MiB at level 22). Where
        // they do not hold the bases, zstd drops the first part of these: 28 MB of Python sources
        // made 1,860,120 bytes, and 194,422 with tables that fit.
        CParameter::HashLog(total_log.min(25)),
        CParameter::ChainLog((total_log + 1).min(27)),
        // Finds matches beyond those tables; where everything fits, patches still get 0 to 1 %
        // smaller.
        CParameter::EnableLongDistanceMatching(true),
    ] {
        encoder.set_parameter(parameter).map_err(DictionaryError::zstd)?;
    }
    encoder.ref_prefix(bases).map_err(DictionaryError::zstd)?;
    let mut patch = Vec::with_capacity(zstd_safe::compress_bound(target.len()));
    encoder.compress2(&mut patch, target).map_err(DictionaryError::zstd)?;
    patch.shrink_to_fit();
    Ok(patch)
}

/// Smallest `n` with `2^n >= length`.
fn log_of(length: u64) -> u32 {
    length.max(1).checked_next_power_of_two().map_or(u64::BITS, u64::trailing_zeros)
}

/// The contents of a frame's first bytes (RFC 8878, 3.1.1.1).
struct FrameHeader {
    /// Bytes that the decoder has to hold.
    window: u64,
    /// Bytes of the whole content, if the frame gives them.
    content: Option<u64>,
}

impl FrameHeader {
    fn parse(frame: &[u8]) -> Result<Self, DictionaryError> {
        let rest = frame.strip_prefix(&MAGIC).ok_or(DictionaryError::Frame)?;
        let (&descriptor, mut rest) = rest.split_first().ok_or(DictionaryError::Truncated)?;
        let single_segment = descriptor & 0x20 != 0;
        let mut take = |length: usize| {
            let (taken, behind) =
                rest.split_at_checked(length).ok_or(DictionaryError::Truncated)?;
            rest = behind;
            Ok::<_, DictionaryError>(
                taken.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)),
            )
        };
        let window = if single_segment {
            None
        } else {
            let byte = take(1)?;
            let base = 1_u64 << (10 + (byte >> 3));
            Some(base + base / 8 * (byte & 7))
        };
        let dictionary = take([0, 1, 2, 4][usize::from(descriptor & 3)])?;
        if dictionary != 0 {
            return Err(DictionaryError::Frame);
        }
        let content = match (descriptor >> 6, single_segment) {
            (0, false) => None,
            (0, true) => Some(take(1)?),
            (1, _) => Some(take(2)? + 256),
            (2, _) => Some(take(4)?),
            _ => Some(take(8)?),
        };
        let window = window.or(content).ok_or(DictionaryError::Frame)?;
        Ok(Self { window, content })
    }
}
