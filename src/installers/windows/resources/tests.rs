//! Tests of `windows::resources` with an invented program.

use super::*;

/// A program with one section of code and `room` bytes behind its headers' table.
fn program(room: usize) -> Vec<u8> {
    const ALIGNMENT: u32 = 0x200;
    const PAGE: u32 = 0x1000;
    let mut bytes = vec![0; 0x80];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes.extend(b"PE\0\0");
    // Processor, one section, no time, no symbols, length of the optional header, flags.
    bytes.extend([0x64, 0x86, 1, 0]);
    bytes.extend([0; 12]);
    bytes.extend([0xf0, 0, 0x22, 0]);
    let coff = 0x84;
    bytes.resize(coff + OPTIONAL + 0xf0, 0);
    bytes[coff + OPTIONAL..coff + OPTIONAL + 2].copy_from_slice(&PE32_PLUS.to_le_bytes());
    let table_end = bytes.len() + SECTION_BYTES;
    let header_bytes = u32::try_from(table_end + room).unwrap();
    for (at, number) in [
        (SECTION_ALIGNMENT, PAGE),
        (FILE_ALIGNMENT, ALIGNMENT),
        (IMAGE_BYTES, 2 * PAGE),
        (HEADER_BYTES, header_bytes),
        (DIRECTORY_COUNT, 16),
    ] {
        set_u32(&mut bytes, coff + at, number);
    }
    bytes.extend(b".text\0\0\0");
    let file_begin = header_bytes.next_multiple_of(ALIGNMENT);
    for number in [5, PAGE, ALIGNMENT, file_begin, 0, 0, 0, 0x6000_0020] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize(file_begin as usize, 0);
    bytes.extend([0xc3; ALIGNMENT as usize]);
    bytes
}

fn some() -> Resources {
    let mut resources = Resources::default();
    resources.insert(ICON, 1, vec![1; 100]);
    resources.insert(ICON, 2, vec![2; 3]);
    resources.insert(VERSION, 1, Vec::new());
    let text = |text: &str| Key::Text(text.encode_utf16().collect());
    resources.0.insert((text("类型"), text("A"), Key::Number(0)), b"named".to_vec());
    resources.0.insert((text("类型"), text("B"), Key::Number(0x804)), vec![9; 17]);
    resources
}

#[test]
fn what_is_put_into_a_program_is_read_from_it() {
    let plain = program(SECTION_BYTES);
    assert_eq!(read(&plain).unwrap(), Resources::default());
    let changed = replace(&plain, &some()).unwrap();
    assert_eq!(read(&changed).unwrap(), some());
    assert_eq!(replace(&plain, &some()).unwrap(), changed, "the same input, the same bytes");
    let headers = Headers::read(&changed).unwrap();
    assert_eq!(headers.section_count, 2);
    let code = headers.offset_of(&changed, 0x1000).unwrap();
    assert_eq!(changed[code..code + 5], [0xc3; 5], "the code stays");
    let size = u32_at(&changed, headers.coff + IMAGE_BYTES).unwrap();
    assert_eq!(size, 0x3000, "the new section is part of the image");
}

#[test]
fn other_resources_stay_when_an_icon_is_exchanged() {
    let changed = replace(&program(2 * SECTION_BYTES), &some()).unwrap();
    let mut resources = read(&changed).unwrap();
    resources.remove(ICON);
    resources.insert(ICON, 7, vec![7; 7]);
    let again = replace(&changed, &resources).unwrap();
    assert_eq!(read(&again).unwrap(), resources);
    assert_eq!(read(&again).unwrap().first(ICON), Some([7; 7].as_slice()));
    assert!(again.windows(8).any(|name| name == b".rsrcold"));
}

#[test]
fn the_checksum_is_the_one_that_windows_computes() {
    // By pefile's `generate_checksum` for the same bytes.
    let changed = replace(&program(SECTION_BYTES), &some()).unwrap();
    let headers = Headers::read(&changed).unwrap();
    assert_eq!(u32_at(&changed, headers.coff + CHECKSUM), Some(27_563));
}

#[test]
fn programs_that_cannot_be_changed_are_refused() {
    let full = program(0);
    assert_eq!(replace(&full, &some()), Err(ProgramError::NoRoom));
    let mut used = program(SECTION_BYTES);
    let end = Headers::read(&used).unwrap().table_end();
    used[end + 39] = 1;
    assert_eq!(replace(&used, &some()), Err(ProgramError::NoRoom));
    let mut signed = program(SECTION_BYTES);
    let directory = Headers::read(&signed).unwrap().directory(SIGNATURE_DIRECTORY);
    set_u32(&mut signed, directory + 4, 1000);
    assert!(is_signed(&signed).unwrap() && !is_signed(&full).unwrap());
    assert_eq!(replace(&signed, &some()), Err(ProgramError::Signed));
    for other in [b"".as_slice(), b"MZ", b"\x7fELF", b"#!/bin/sh\n", &[b'M'; 200]] {
        assert_eq!(read(other), Err(ProgramError::NoProgram));
    }
}

#[test]
fn no_damage_leads_to_more_than_an_error() {
    let sound = replace(&program(SECTION_BYTES), &some()).unwrap();
    for length in 0..sound.len() {
        let _ = read(&sound[..length]);
        let _ = replace(&sound[..length], &some());
    }
    // Each byte of the headers and of the tree at its extremes.
    let tree = sound.len() - 0x400;
    for at in (0..0x200).chain(tree..sound.len()) {
        for value in [0, 0x7f, 0xff] {
            let mut damaged = sound.clone();
            damaged[at] = value;
            let _ = read(&damaged);
            let _ = replace(&damaged, &some());
        }
    }
}
