//! Lets somebody stop work on a large file between two reads.
//!
//! In: a reader, and a flag that another thread may set. Out: the reader's bytes, or an error once
//! the flag is set. Never: decides what a stop means; whoever owns the work asks the flag.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

/// A reader that fails once the flag is set.
pub(crate) struct Stoppable<'a, R> {
    bytes: R,
    stop: &'a AtomicBool,
}

impl<'a, R: Read> Stoppable<'a, R> {
    /// The bytes of `bytes`, until `stop` is set.
    pub(crate) fn new(bytes: R, stop: &'a AtomicBool) -> Self {
        Self { bytes, stop }
    }
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            // Not `Interrupted`: readers try that one again.
            return Err(io::Error::other("it was stopped"));
        }
        self.bytes.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_until_it_is_stopped() {
        let stop = AtomicBool::new(false);
        let mut bytes = Stoppable::new(io::repeat(7), &stop);
        let mut buffer = [0; 3];
        assert_eq!(bytes.read(&mut buffer).unwrap(), 3);
        stop.store(true, Ordering::Relaxed);
        assert!(bytes.read_to_end(&mut Vec::new()).is_err(), "not for ever");
    }
}
