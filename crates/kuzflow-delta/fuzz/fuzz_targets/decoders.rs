//! Arbitrary bytes as a patch, for each algorithm.
//!
//! In: bytes from libFuzzer; the first byte selects the algorithm, the second one the length of the
//! new bytes. Out: nothing, or a crash. A decoder that makes more bytes than the caller asked for
//! counts as a crash.

#![no_main]

use std::io::{self, Read};

use kuzflow_delta::coder::{self, CoderLimits, STREAMS};
use kuzflow_delta::native::{NativePredictor, NativeImages};
use kuzflow_delta::prediction::{PlainPredictor, Predictor};
use kuzflow_delta::{bsdiff4, dictionary};
use libfuzzer_sys::fuzz_target;

/// Bytes of memory that a decoder may take.
const MEMORY: u64 = 64 << 20;

fuzz_target!(|bytes: &[u8]| {
    let [algorithm, length, rest @ ..] = bytes else { return };
    let length = u64::from(*length) * 64;
    let mut made = 0;
    let mut sink = |block: &[u8]| -> io::Result<()> {
        made += block.len() as u64;
        assert!(made <= length);
        Ok(())
    };
    // The bytes behind the patch serve as old bytes, so that the fuzzer makes up images in them
    // too.
    let (patch, old) = rest.split_at(rest.len() / 2);
    let old = old.to_vec();
    match algorithm % 4 {
        0 => drop(bsdiff4::apply(&old, patch, length, &mut sink)),
        1 => drop(dictionary::apply(&old, patch, length, MEMORY, &mut sink)),
        native => {
            let limits = CoderLimits { most_steps: 1 << 16, most_memory: MEMORY };
            let (packed, literals) = patch.split_at(patch.len() / 2);
            let mut packed = packed;
            let mut streams = [literals; STREAMS];
            let streams = streams.each_mut().map(|stream| stream as &mut dyn Read);
            let Ok(program) = NativeImages::new(&old, &[old.len() as u64]) else { return };
            let predictor = |steps: &[kuzflow_delta::CopyInstruction]| -> io::Result<Box<dyn Predictor + '_>> {
                if native == 3 {
                    return Ok(Box::new(NativePredictor::new(&old, &program, &[length], steps, literals)?));
                }
                Ok(Box::new(PlainPredictor::new(&old)))
            };
            drop(coder::decode(&old, length, &limits, (&mut packed, streams), predictor, &mut sink));
        }
    }
});
