//! Packs that somebody made on purpose.

use super::*;

fn put_number(numbers: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        numbers.push(value as u8 | 0x80);
        value >>= 7;
    }
    numbers.push(value as u8);
}

fn put_signed(numbers: &mut Vec<u8>, value: i64) {
    put_number(
        numbers,
        if value < 0 { ((-(value + 1)) as u64) << 1 | 1 } else { (value as u64) << 1 },
    );
}

/// The three streams of a pack's outline; its groups are among the numbers.
fn streams(opened: &Pack, base: &Manifest) -> [Vec<u8>; 3] {
    let parts = opened.outline.write(base).unwrap();
    let mut numbers = parts.numbers;
    put_number(&mut numbers, opened.groups.len() as u64);
    for group in &opened.groups {
        numbers.push(group.algorithm as u8);
        put_number(&mut numbers, group.span.end - group.span.start);
        let lengths = group.literals.each_ref().map(|literals| literals.end - literals.start);
        numbers.push(lengths.iter().rev().fold(0, |set, length| set << 1 | u8::from(*length > 0)));
        lengths
            .iter()
            .filter(|length| **length > 0)
            .for_each(|length| put_number(&mut numbers, *length));
        put_number(&mut numbers, group.members.len() as u64);
        let mut next = 0;
        for member in &group.members {
            put_signed(&mut numbers, *member as i64 - next);
            next = *member as i64 + 1;
        }
    }
    let used = opened.literals.iter().filter(|stream| stream.length > 0);
    used.for_each(|stream| put_number(&mut numbers, stream.span.end - stream.span.start));
    [parts.head, parts.names, numbers]
}

/// A pack with these streams, whatever their contents, and these groups after them.
fn forge(base: &Manifest, check: &[u8], streams: &[Vec<u8>; 3], groups: &[u8]) -> Vec<u8> {
    let mut old =
        serde_json::to_vec(&Manifest { file_manifest: BTreeMap::new(), ..base.clone() }).unwrap();
    for path in base.file_manifest.keys() {
        old.extend_from_slice(path.as_str().as_bytes());
        old.push(b'\n');
    }
    let joined = streams.concat();
    let steps = align::align(&old, &joined, &align::AlignOptions::text()).unwrap();
    let options =
        coder::CoderOptions::for_target(Nature::Text, joined.len() as u64, joined.len() as u64);
    let mut packed = Vec::new();
    let out = (&mut packed, &mut Default::default());
    coder::encode(&old, &joined, &steps, options, &mut PlainPredictor::new(&old), out).unwrap();
    let mut out = b"KZP3".to_vec();
    out.extend_from_slice(check);
    for length in [packed.len(), streams[0].len(), streams[1].len(), streams[2].len()] {
        put_number(&mut out, length as u64);
    }
    out.extend(packed);
    out.extend_from_slice(groups);
    out
}

#[test]
fn forged_outlines_never_make_wrong_files() {
    let mut random = Random(4711);
    for how in ALL {
        let world = World::new(60);
        let bytes = world.pack(how);
        let opened = Pack::open(&bytes, &world.manifest).unwrap();
        let streams = streams(&opened, &world.manifest);
        let start = outline_of(&bytes, &world);
        assert!(world.survives(&forge(&world.manifest, &bytes[4..8], &streams, &bytes[start..])));
        for _ in 0..60 {
            let mut forged = streams.clone();
            // Mostly the numbers change: they decide the positions of writes.
            mutate(&mut forged[[2, 2, 2, 1, 0][random.below(5)]], &mut random);
            world.survives(&forge(&world.manifest, &bytes[4..8], &forged, &bytes[start..]));
        }
    }
}

/// Impossible lengths, alone and together.
#[test]
fn impossible_lengths_are_refused() {
    let world = World::new(60);
    let bytes = world.pack(SMALLEST);
    let opened = Pack::open(&bytes, &world.manifest).unwrap();
    for size in [u64::MAX, u64::MAX / 2 + 1, u64::MAX / 2] {
        let mut opened = opened.clone();
        for fate in opened.outline.fates.values_mut() {
            if let Content::Made(Made { size: made, .. }) = &mut fate.content {
                *made = size;
            }
        }
        let start = outline_of(&bytes, &world);
        let forged = forge(
            &world.manifest,
            &bytes[4..8],
            &streams(&opened, &world.manifest),
            &bytes[start..],
        );
        assert!(matches!(Pack::open(&forged, &world.manifest), Err(PackError::Form(_))), "{size}");
    }
}
