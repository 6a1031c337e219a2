//! Tests of the public patch formats: other programs apply our patches, and we apply theirs; forged
//! patches are refused.
#![cfg(feature = "encoder")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests")]

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use kuzflow_delta::bsdiff4::{self, Bsdiff4Error, Part};
use kuzflow_delta::dictionary::{self, DictionaryError};
use proptest::prelude::*;

const ENOUGH: u64 = 64 << 20;

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// Old and new bytes of every kind that matters, with a name.
fn pairs() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let text: String = (0..4000)
        .map(|line| format!("{line}: the number {} is not {}\n", line * 7, line ^ 99))
        .collect();
    let edited = text.replace("1: the", "1: a").replace("77", "seventy-seven");
    let binary = noise(1, 200_000);
    let mut moved = binary.clone();
    moved.rotate_left(70_000);
    moved.iter_mut().step_by(37).for_each(|byte| *byte = byte.wrapping_add(3));
    moved.extend(noise(2, 5000));
    vec![
        ("text", text.clone().into_bytes(), edited.into_bytes()),
        ("binary", binary.clone(), moved),
        ("empty old", Vec::new(), text.clone().into_bytes()),
        ("empty new", text.into_bytes(), Vec::new()),
        ("both empty", Vec::new(), Vec::new()),
        ("equal", binary.clone(), binary.clone()),
        ("one byte", vec![1], vec![2]),
        ("zeros", vec![0; 50_000], vec![0; 70_001]),
        ("cut", binary.clone(), binary[50_000..50_100].to_vec()),
    ]
}

fn bspatch(old: &[u8], patch: &[u8], size: u64) -> Result<Vec<u8>, Bsdiff4Error> {
    let mut made = Vec::new();
    bsdiff4::apply(&old.to_vec(), patch, size, &mut |block| {
        made.extend_from_slice(block);
        assert!(made.len() as u64 <= size, "more than it should be");
        Ok(())
    })?;
    Ok(made)
}

fn unpack(bases: &[u8], patch: &[u8], size: u64, limit: u64) -> Result<Vec<u8>, DictionaryError> {
    let mut made = Vec::new();
    dictionary::apply(bases, patch, size, limit, &mut |block| {
        made.extend_from_slice(block);
        assert!(made.len() as u64 <= size, "more than it should be");
        Ok(())
    })?;
    Ok(made)
}

/// Whether the program ran. If it is missing, the test prints a note, or fails on the machine that
/// checks every change.
fn run(command: &mut Command, missing: &str) -> bool {
    match command.output() {
        Ok(output) if output.status.success() => true,
        // Python without the module ends with this status, which our script sets.
        Err(_) => absent(missing),
        Ok(output) if output.status.code() == Some(77) => absent(missing),
        Ok(output) => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn absent(missing: &str) -> bool {
    assert!(std::env::var_os("CI").is_none(), "{missing} is missing");
    eprintln!("skipped: {missing} is missing");
    false
}

/// Tests both directions with one program: `apply` and `make` receive the files `old`, `new` and
/// `patch` of a folder. The second direction leaves out the pairs that `cannot_make` selects.
fn exchange(
    missing: &str,
    ours: impl Fn(&[u8], &[u8]) -> Vec<u8>,
    read: impl Fn(&[u8], &[u8], u64) -> Vec<u8>,
    apply: impl Fn(&Path) -> Command,
    make: impl Fn(&Path) -> Command,
    cannot_make: impl Fn(&[u8], &[u8]) -> bool,
) {
    for (name, old, new) in pairs() {
        let folder = tempfile::tempdir().unwrap();
        let at = |file: &str| folder.path().join(file);
        fs::write(at("old"), &old).unwrap();
        fs::write(at("patch"), ours(&old, &new)).unwrap();
        if !run(&mut apply(folder.path()), missing) {
            return;
        }
        assert!(
            fs::read(at("new")).unwrap() == new,
            "{name}: {missing} makes other bytes of our patch"
        );
        if cannot_make(&old, &new) {
            continue;
        }
        fs::remove_file(at("patch")).unwrap();
        if !run(&mut make(folder.path()), missing) {
            return;
        }
        assert!(
            read(&old, &fs::read(at("patch")).unwrap(), new.len() as u64) == new,
            "{name}: we make other bytes of its patch"
        );
    }
}

fn with_arguments(program: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments);
    command
}

#[test]
fn what_we_make_we_apply() {
    for (name, old, new) in pairs() {
        let patch = bsdiff4::make(&old, &new).unwrap();
        assert!(bspatch(&old, &patch, new.len() as u64).unwrap() == new, "{name}");
        let patch = dictionary::make(&old, &new, 19).unwrap();
        assert!(unpack(&old, &patch, new.len() as u64, ENOUGH).unwrap() == new, "{name}");
    }
}

#[test]
fn patches_are_small() {
    for (name, old, new) in pairs() {
        if matches!(name, "text" | "equal" | "cut" | "zeros") {
            let sizes = [
                bsdiff4::make(&old, &new).unwrap().len(),
                dictionary::make(&old, &new, 19).unwrap().len(),
            ];
            assert!(sizes.iter().all(|size| *size < 3200), "{name}: {sizes:?}");
        }
    }
}

#[test]
fn bspatch_and_bsdiff_understand_us() {
    exchange(
        "bsdiff",
        |old, new| bsdiff4::make(old, new).unwrap(),
        |old, patch, size| bspatch(old, patch, size).unwrap(),
        |folder| with_arguments("bspatch", folder, &["old", "new", "patch"]),
        |folder| with_arguments("bsdiff", folder, &["old", "new", "patch"]),
        // Debian's program maps both files, and no empty file can be mapped.
        |old, new| old.is_empty() || new.is_empty(),
    );
}

#[test]
fn the_python_module_bsdiff4_understands_us() {
    let script = |call: &str| {
        format!("try: import bsdiff4\nexcept ImportError: raise SystemExit(77)\nbsdiff4.{call}")
    };
    // The virtual environment that `.ci/run` makes, else the system's Python.
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tuf-venv/bin/python");
    let usual = if std::path::Path::new(ours).exists() { ours } else { "python3" };
    let python = std::env::var("PYTHON").unwrap_or_else(|_| usual.to_owned());
    exchange(
        "Python's bsdiff4",
        |old, new| bsdiff4::make(old, new).unwrap(),
        |old, patch, size| bspatch(old, patch, size).unwrap(),
        |folder| {
            with_arguments(&python, folder, &["-c", &script("file_patch('old', 'new', 'patch')")])
        },
        |folder| {
            with_arguments(&python, folder, &["-c", &script("file_diff('old', 'new', 'patch')")])
        },
        |_, _| false,
    );
}

#[test]
fn zstd_understands_us() {
    exchange(
        "zstd",
        |old, new| dictionary::make(old, new, 19).unwrap(),
        |old, patch, size| unpack(old, patch, size, ENOUGH).unwrap(),
        |folder| {
            with_arguments(
                "zstd",
                folder,
                &["-q", "-f", "-d", "--patch-from=old", "patch", "-o", "new"],
            )
        },
        |folder| {
            with_arguments(
                "zstd",
                folder,
                &["-q", "-19", "--long=25", "--patch-from=old", "new", "-o", "patch"],
            )
        },
        // Version 1.5.4 aborts.
        |_, new| new.is_empty(),
    );
}

/// A patch of three streams, with a header that states their true lengths.
fn forged(controls: &[[i64; 3]], differences: &[u8], literals: &[u8], size: i64) -> Vec<u8> {
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

/// An old file, and a new one made of its pieces, edits and literals.
fn related() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let bytes = || {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            prop::collection::vec(0_u8..3, 0..600)
        ]
    };
    let edits = prop::collection::vec(
        (any::<prop::sample::Index>(), 0_usize..300, bytes(), any::<bool>()),
        0..6,
    );
    (bytes(), edits).prop_map(|(old, edits)| {
        let mut new = Vec::new();
        for (from, length, literals, keep) in edits {
            if !old.is_empty() {
                let from = from.index(old.len());
                new.extend_from_slice(&old[from..old.len().min(from + length)]);
            }
            if let Some(middle) = new.len().checked_div(2).and_then(|at| new.get_mut(at)) {
                *middle = middle.wrapping_add(1);
            }
            if keep {
                new.extend(literals);
            }
        }
        (old, new)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pair_comes_back((old, new) in related()) {
        let patch = bsdiff4::make(&old, &new).unwrap();
        prop_assert!(bspatch(&old, &patch, new.len() as u64).unwrap() == new);
        let patch = dictionary::make(&old, &new, 12).unwrap();
        prop_assert!(unpack(&old, &patch, new.len() as u64, ENOUGH).unwrap() == new);
    }

    /// Changed bytes give an error, or as many bytes as expected; never more, and never a panic.
    #[test]
    fn any_damage_is_survived((old, new) in related(), places in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4)) {
        let size = new.len() as u64;
        for format in 0..2 {
            let mut patch = if format == 0 { bsdiff4::make(&old, &new).unwrap() } else { dictionary::make(&old, &new, 12).unwrap() };
            for (place, change) in &places {
                let at = place.index(patch.len());
                patch[at] ^= change;
            }
            let made = if format == 0 { bspatch(&old, &patch, size).ok() } else { unpack(&old, &patch, size, ENOUGH).ok() };
            prop_assert!(made.is_none_or(|made| made.len() as u64 == size));
        }
    }

    /// The streams' contents, not their packing, are arbitrary here, so that controls are reached.
    #[test]
    fn any_controls_are_survived(
        controls in prop::collection::vec([-3_i64..40, -3_i64..40, -60_i64..60], 0..8),
        differences in prop::collection::vec(any::<u8>(), 0..100),
        literals in prop::collection::vec(any::<u8>(), 0..100),
        size in 0_i64..100,
    ) {
        let patch = forged(&controls, &differences, &literals, size);
        let made = bspatch(&[9; 50], &patch, size.unsigned_abs());
        prop_assert!(made.is_err() || made.unwrap().len() as i64 == size);
    }
}
