//! What fresh machine code points at, as places rather than distances.
//!
//! In: fresh bytes of x86 code, and where they stand in the output. Out: the same bytes with the four-byte distances of calls, jumps and
//! references to data replaced by where they lead, highest byte first; and back. Two calls of one function are then the same bytes, which a
//! dictionary finds (the idea of the BCJ filters of 7-Zip and xz, which know calls and jumps alone). It knows instructions by their first
//! bytes and is often wrong; what counts is that both directions are wrong in the same way. Never: a byte outside of what it was given.

/// Bits of a place that are kept; a distance that needs more is left as it is.
const BITS: u32 = 25;

/// Distances become places.
pub fn to_places(bytes: &mut [u8], at: u64) {
    each(bytes, |field, index| {
        let distance = u32::from_le_bytes(*field);
        let value = if is_near(distance) { signed(distance.wrapping_add(here(at, index))) } else { distance };
        *field = value.to_be_bytes();
    });
}

/// Places become distances again.
pub fn to_distances(bytes: &mut [u8], at: u64) {
    each(bytes, |field, index| {
        let value = u32::from_be_bytes(*field);
        let distance = if is_near(value) { signed(value.wrapping_sub(here(at, index))) } else { value };
        *field = distance.to_le_bytes();
    });
}

/// What a distance behind `index` counts from.
fn here(at: u64, index: usize) -> u32 {
    (at as u32).wrapping_add(index as u32).wrapping_add(4)
}

fn is_near(value: u32) -> bool {
    signed(value) == value
}

/// The low bits of a number, as a number with a sign.
fn signed(value: u32) -> u32 {
    ((value << (32 - BITS)) as i32 >> (32 - BITS)) as u32
}

/// Calls `change` for each field and its index. Changing it changes none of the bytes by which fields are found.
fn each(bytes: &mut [u8], mut change: impl FnMut(&mut [u8; 4], usize)) {
    let mut at = 0;
    while at < bytes.len() {
        let head = field_behind(&bytes[at..]);
        match bytes[at + head..].first_chunk_mut::<4>() {
            Some(field) if head > 0 => {
                change(field, at + head);
                at += head + 4;
            }
            _ => at += 1,
        }
    }
}

/// How many bytes before a field an instruction begins with, 0 if it has none here.
#[inline]
fn field_behind(bytes: &[u8]) -> usize {
    let next = |index: usize| bytes.get(index).copied().unwrap_or(0);
    // A register or nothing, and a distance from the next instruction.
    let relative = |index: usize| next(index) & 0xC7 == 5;
    match bytes[0] {
        0xE8 | 0xE9 => 1,
        0x03 | 0x0B | 0x23 | 0x2B | 0x33 | 0x38..=0x3B | 0x63 | 0x84 | 0x85 | 0x88..=0x8B | 0x8D if relative(1) => 2,
        0xFF if matches!(next(1), 0x15 | 0x25 | 0x35) => 2,
        0x0F if relative(2) && is_extended(next(1)) => 3,
        _ => 0,
    }
}

/// Instructions behind 0F that take a reference to data, mostly SSE's.
#[inline]
fn is_extended(operation: u8) -> bool {
    matches!(
        operation,
        0x10..=0x17 | 0x28..=0x2F | 0x51..=0x5F | 0x6E | 0x6F | 0x7E | 0x7F | 0xB6 | 0xB7 | 0xBE | 0xBF | 0xD4 | 0xD6 | 0xDB | 0xEB | 0xEF | 0xFA | 0xFE
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_calls_of_one_function_are_alike() {
        let mut bytes = [0xE8, 0x10, 0, 0, 0, 0x90, 0xE8, 0x0A, 0, 0, 0, 0x48, 0x8D, 0x05, 0xF6, 0xFF, 0xFF, 0xFF];
        let before = bytes;
        to_places(&mut bytes, 0x1000);
        assert_eq!(bytes[1..5], 0x1015_u32.to_be_bytes());
        assert_eq!(bytes[1..5], bytes[7..11]);
        assert_eq!(bytes[14..18], 0x1008_u32.to_be_bytes());
        to_distances(&mut bytes, 0x1000);
        assert_eq!(bytes, before);
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same(
            bytes in proptest::collection::vec(
                prop_oneof![2 => any::<u8>(), 3 => proptest::sample::select(vec![0xE8, 0xE9, 0x0F, 0x8B, 0x05, 0xFF, 0x15, 0, 0x10])], 0..200),
            at: u64,
        ) {
            let mut changed = bytes.clone();
            to_places(&mut changed, at);
            to_distances(&mut changed, at);
            prop_assert_eq!(changed, bytes);
        }
    }
}
