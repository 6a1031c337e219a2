//! Patches that lie are refused, and no more comes out than was expected.

use std::io::{self, Write as _};

use kuzflow_delta::bsdiff4::{self, Bsdiff4Error, Part};
use kuzflow_delta::dictionary::{self, DictionaryError};

use crate::{ENOUGH, bspatch, noise, unpack};

/// A patch of three streams, with a header that states their true lengths.
pub(crate) fn forged(
    controls: &[[i64; 3]],
    differences: &[u8],
    literals: &[u8],
    size: i64,
) -> Vec<u8> {
    let controls: Vec<u8> =
        controls.iter().flatten().flat_map(|number| sign_and_magnitude(*number)).collect();
    let parts = [packed(&controls), packed(differences), packed(literals)];
    assembled(parts[0].len() as i64, parts[1].len() as i64, size, &parts.concat())
}

fn assembled(controls: i64, differences: i64, size: i64, body: &[u8]) -> Vec<u8> {
    let numbers = [controls, differences, size].into_iter().flat_map(sign_and_magnitude);
    b"BSDIFF40".iter().copied().chain(numbers).chain(body.iter().copied()).collect()
}

fn sign_and_magnitude(number: i64) -> [u8; 8] {
    (number.unsigned_abs() & (u64::MAX >> 1) | u64::from(number < 0) << 63).to_le_bytes()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn forged_patches_that_are_right_are_accepted() {
    let patch = forged(&[[0, 0, 2], [1, 1, -3], [3, 0, 0]], &[1, 0, 0, 0], b"x", 5);
    assert_eq!(bspatch(b"abcd", &patch, 5).unwrap(), b"dxabc");
    // The minus sign of zero.
    let mut controls: Vec<u8> = [1, 0, 0].into_iter().flat_map(sign_and_magnitude).collect();
    controls[23] = 0x80;
    let parts = [packed(&controls), packed(&[0]), packed(&[])];
    let patch = assembled(parts[0].len() as i64, parts[1].len() as i64, 1, &parts.concat());
    assert_eq!(bspatch(b"a", &patch, 1).unwrap(), b"a");
}

#[test]
fn controls_that_lie_are_refused() {
    let limit = i64::MAX;
    for (name, controls) in [
        ("negative differences", vec![[-1, 5, 0]]),
        ("negative fresh bytes", vec![[5, -1, 0]]),
        ("more differences than new bytes", vec![[6, 0, 0]]),
        ("more fresh bytes than new bytes", vec![[0, 6, 0]]),
        ("both together are more", vec![[3, 3, 0]]),
        ("a sum that overflows", vec![[limit, limit, 0]]),
        ("huge", vec![[limit, 0, 0]]),
        ("more controls than new bytes", vec![[0, 0, 0]; 6]),
    ] {
        let patch = forged(&controls, &[0; 64], &[0; 64], 5);
        assert!(matches!(bspatch(b"abcd", &patch, 5), Err(Bsdiff4Error::Control)), "{name}");
    }
    for (name, controls) in [
        ("past the old bytes", vec![[5, 0, 0]]),
        ("moving past the old bytes", vec![[1, 0, 4], [1, 3, 0]]),
        ("moving before the old bytes", vec![[1, 0, -2], [1, 3, 0]]),
        ("moving far before", vec![[0, 0, -limit], [0, 5, 0]]),
        ("moving far behind", vec![[2, 0, limit], [0, 3, 0]]),
        ("the last control", vec![[0, 5, 5]]),
    ] {
        let patch = forged(&controls, &[0; 5], &[0; 5], 5);
        assert!(matches!(bspatch(b"abcd", &patch, 5), Err(Bsdiff4Error::Position)), "{name}");
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let honest = bsdiff4::make(b"the old bytes", b"the new bytes").unwrap();
    assert!(matches!(bspatch(b"", b"", 0), Err(Bsdiff4Error::Magic)));
    assert!(matches!(bspatch(b"", b"BSDIFF41", 0), Err(Bsdiff4Error::Magic)));
    assert!(matches!(
        bspatch(b"the old bytes", &honest, 12),
        Err(Bsdiff4Error::Size { expected: 12, found: 13 })
    ));
    let body = &honest[32..];
    for (controls, differences, size) in [
        (-1, 14, 13),
        (14, -1, 13),
        (14, 14, -13),
        (i64::MAX, i64::MAX, 13),
        (i64::MAX, 1, 13),
        (1, i64::MAX, 13),
        (body.len() as i64, 1, 13),
    ] {
        let patch = assembled(controls, differences, size, body);
        assert!(
            matches!(bspatch(b"the old bytes", &patch, 13), Err(Bsdiff4Error::Header)),
            "{controls} {differences} {size}"
        );
    }
}

#[test]
fn streams_end_where_they_should() {
    let controls = [[3, 2, 0]];
    for (part, patch) in [
        (Part::Controls, forged(&[[3, 2, 0], [0, 0, 0]], &[0; 3], b"xy", 5)),
        (Part::Differences, forged(&controls, &[0; 4], b"xy", 5)),
        (Part::Literals, forged(&controls, &[0; 3], b"xyz", 5)),
        (Part::Literals, [forged(&controls, &[0; 3], b"xy", 5), vec![0]].concat()),
    ] {
        assert!(
            matches!(bspatch(b"abc", &patch, 5), Err(Bsdiff4Error::Trailing { part: found }) if found == part),
            "{part}"
        );
    }
    for (part, patch) in [
        (Part::Controls, forged(&[[3, 1, 0]], &[0; 3], b"xy", 5)),
        (Part::Differences, forged(&controls, &[0; 2], b"xy", 5)),
        (Part::Literals, forged(&controls, &[0; 3], b"x", 5)),
    ] {
        assert!(
            matches!(bspatch(b"abc", &patch, 5), Err(Bsdiff4Error::Truncated { part: found }) if found == part),
            "{part}"
        );
    }
}

#[test]
fn a_bomb_is_left_packed() {
    // Gigabytes of zeros would be controls without end, or unrequested bytes.
    let zeros = packed(&vec![0; 40 << 20]);
    let empty = packed(&[]);
    let length = zeros.len() as i64;
    let controls = assembled(
        length,
        empty.len() as i64,
        1000,
        &[zeros.clone(), empty.clone(), empty.clone()].concat(),
    );
    assert!(matches!(bspatch(b"old", &controls, 1000), Err(Bsdiff4Error::Control)));
    let control: Vec<u8> = [0, 5, 0].into_iter().flat_map(sign_and_magnitude).collect();
    let control = packed(&control);
    let literals =
        assembled(control.len() as i64, empty.len() as i64, 5, &[control, empty, zeros].concat());
    assert!(matches!(
        bspatch(b"old", &literals, 5),
        Err(Bsdiff4Error::Trailing { part: Part::Literals })
    ));
}

#[test]
fn a_patch_cut_anywhere_is_refused() {
    let (old, new) = (noise(5, 3000), [noise(6, 100), noise(5, 2900)].concat());
    let patch = bsdiff4::make(&old, &new).unwrap();
    for end in 0..patch.len() {
        assert!(
            bspatch(&old, &patch[..end], new.len() as u64).is_err(),
            "cut at {end} of {}",
            patch.len()
        );
    }
    let patch = dictionary::make(&old, &new, 19).unwrap();
    for end in 0..patch.len() {
        assert!(
            unpack(&old, &patch[..end], new.len() as u64, ENOUGH).is_err(),
            "cut at {end} of {}",
            patch.len()
        );
    }
}

#[test]
fn errors_of_both_ends_are_handed_on() {
    struct Unreadable;
    impl kuzflow_delta::prediction::ReadAt for Unreadable {
        fn len(&self) -> u64 {
            6
        }
        fn read_at(&self, _at: u64, _buffer: &mut [u8]) -> io::Result<()> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let patch = forged(&[[3, 0, 0]], &[0; 3], &[], 3);
    assert!(matches!(
        bsdiff4::apply(&Unreadable, &patch, 3, &mut |_| Ok(())),
        Err(Bsdiff4Error::Read(_))
    ));
    let full = &mut |_: &[u8]| Err(io::ErrorKind::StorageFull.into());
    assert!(matches!(
        bsdiff4::apply(&b"old".to_vec(), &patch, 3, full),
        Err(Bsdiff4Error::Write(_))
    ));
    let patch = dictionary::make(b"old", b"new", 3).unwrap();
    assert!(matches!(
        dictionary::apply(b"old", &patch, 3, ENOUGH, full),
        Err(DictionaryError::Write(_))
    ));
}

#[test]
fn frames_that_lie_are_refused() {
    let (old, new) = (noise(7, 5000), [noise(7, 4000), noise(8, 1000)].concat());
    let patch = dictionary::make(&old, &new, 19).unwrap();
    let size = new.len() as u64;
    assert!(
        unpack(&old, &patch, size, size).unwrap() == new,
        "a window of the target's length is enough"
    );
    let too_large = unpack(&old, &patch, size, size - 1);
    assert!(
        matches!(too_large, Err(DictionaryError::Window { needed, allowed }) if needed == size && allowed == size - 1)
    );
    assert!(matches!(unpack(&old, &patch, size - 1, ENOUGH), Err(DictionaryError::Size { .. })));
    assert!(matches!(unpack(&old, &patch, size + 1, ENOUGH), Err(DictionaryError::Size { .. })));
    for behind in [&[0][..], &patch, b"\x50\x2a\x4d\x18\0\0\0\0"] {
        let trailing = unpack(&old, &[&patch, behind].concat(), size, ENOUGH);
        assert!(matches!(trailing, Err(DictionaryError::Trailing)), "{behind:?}");
    }
    assert!(matches!(unpack(&old, b"no frame", 8, ENOUGH), Err(DictionaryError::Frame)));
    assert!(
        matches!(unpack(&old, b"\x50\x2a\x4d\x18\0\0\0\0", 0, ENOUGH), Err(DictionaryError::Frame)),
        "a skippable frame"
    );
    // A frame that asks for dictionary 7.
    assert!(matches!(
        unpack(&old, b"\x28\xb5\x2f\xfd\x21\x07\x00\x01\x00\x00", 0, ENOUGH),
        Err(DictionaryError::Frame)
    ));
}

/// A frame of raw and run-length blocks: `(kind, length)`.
fn frame(header: &[u8], blocks: &[(u32, u32)]) -> Vec<u8> {
    let mut frame = [b"\x28\xb5\x2f\xfd", header].concat();
    for (index, (kind, length)) in blocks.iter().enumerate() {
        let last = u32::from(index + 1 == blocks.len());
        frame.extend_from_slice(&(last | kind << 1 | length << 3).to_le_bytes()[..3]);
        frame.extend(std::iter::repeat_n(b'a', if *kind == 1 { 1 } else { *length as usize }));
    }
    frame
}

#[test]
fn frames_without_a_content_size_stop_at_the_size_expected() {
    // A window of 1 KiB; run-length blocks of 1000 bytes.
    let patch = frame(&[0, 0], &[(1, 1000); 100]);
    assert_eq!(unpack(b"", &patch, 100_000, 1024).unwrap(), vec![b'a'; 100_000]);
    assert!(matches!(unpack(b"", &patch, 99_999, 1024), Err(DictionaryError::Size { .. })));
    assert!(matches!(unpack(b"", &patch, 100_001, 1024), Err(DictionaryError::Size { .. })));
    assert!(matches!(
        unpack(b"", &patch, 100_000, 1023),
        Err(DictionaryError::Window { needed: 1024, .. })
    ));
    // The largest possible window: nearly 4 TiB, whatever the caller allows.
    let huge = frame(&[0, 0xff], &[(1, 10)]);
    assert!(matches!(unpack(b"", &huge, 10, ENOUGH), Err(DictionaryError::Window { .. })));
    assert!(unpack(b"", &huge, 10, u64::MAX).is_err());
}
