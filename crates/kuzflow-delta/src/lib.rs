//! Small differences between files: a publisher makes them (feature `encoder`), and every holder of
//! the old files can apply them.
//!
//! ```text
//! aligned      align ── prediction (plain, native) ── coder     our own algorithm, smallest on nearly everything measured
//! bsdiff4      the classical format, readable by others
//! dictionary   zstd with the old files in its window, as `zstd --patch-from`
//! base_selection   which old file is the base of a new one                    (feature `encoder`)
//! ```
//!
//! In: old bytes, by position ([`prediction::ReadAt`]), and patches from anywhere. Out: patches, or
//! new bytes in order to a sink. Never: a file, the network, a thread, a clock, randomness; trust
//! in a patch. A damaged or forged patch gives an error or wrong bytes, so the caller compares the
//! new bytes with a hash that it trusts. The caller's limits bound memory and instructions.
//!
//! The stream has no header of its own. The caller's container stores beside it the length of the
//! new bytes, and for native code the lengths of the files and the hints. Encoder and decoder must
//! be of the same version of the format; the caller's container states that version.
//!
//! # Example
//!
//! Our own algorithm, with both sides in one program:
//!
//! ```
//! # #[cfg(feature = "encoder")] {
//! use kuzflow_delta::align::{self, AlignOptions};
//! use kuzflow_delta::coder::{self, CoderLimits, CoderOptions, Nature, STREAMS};
//! use kuzflow_delta::prediction::PlainPredictor;
//!
//! let old = b"The quick brown fox jumps over the lazy dog. ".repeat(40);
//! let mut new = old.clone();
//! new.splice(700..705, *b"slow and");
//!
//! // The publisher: where the new bytes stand in the old ones, then everything as one coded stream.
//! let steps = align::align(&old, &new, &AlignOptions::text())?;
//! let options = CoderOptions::for_target(Nature::Text, new.len() as u64, steps.iter().map(|step| step.literals).sum());
//! let (mut patch, mut literals) = (Vec::new(), [const { Vec::new() }; STREAMS]);
//! coder::encode(&old, &new, &steps, options, &mut PlainPredictor::new(&old), (&mut patch, &mut literals))?;
//! assert!(patch.len() < 64);
//!
//! // The holder of the old bytes.
//! let limits = CoderLimits { most_steps: 1000, most_memory: 64 << 20 };
//! // Literals stand in the stream itself; the option `apart` puts them into streams that many patches share.
//! let mut none = [const { std::io::empty() }; STREAMS];
//! let mut made = Vec::new();
//! coder::decode(
//!     &old,
//!     new.len() as u64,
//!     &limits,
//!     (&mut patch.as_slice(), none.each_mut().map(|stream| stream as &mut dyn std::io::Read)),
//!     |_steps| Ok(Box::new(PlainPredictor::new(&old))),
//!     &mut |bytes| {
//!         made.extend_from_slice(bytes);
//!         Ok(())
//!     },
//! )?;
//! assert_eq!(made, new);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs)]
#![cfg_attr(feature = "encoder", warn(unreachable_pub))]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(test, allow(clippy::disallowed_methods))] // tests look for programs on this computer

#[cfg(feature = "encoder")]
pub mod align;
#[cfg(feature = "encoder")]
pub mod base_selection;
pub mod bsdiff4;
pub mod coder;
pub mod dictionary;
mod instruction;
pub mod native;
pub mod prediction;

pub use instruction::CopyInstruction;
