//! Packs and bases that are damaged, cut or taken away: never wrong files, and no more than the
//! damaged part is lost.

use super::*;

#[test]
fn a_wrong_or_missing_base_costs_its_group_only() {
    for how in ALL {
        for removed in [false, true] {
            let world = World::new(600);
            let bytes = world.pack(how);
            let victim = world.old().join("lib/a.bin");
            let mut content = fs::read(&victim).unwrap();
            content[17] ^= 1;
            if removed {
                fs::remove_file(&victim).unwrap()
            } else {
                fs::write(&victim, content).unwrap()
            }
            let place = tempfile::tempdir().unwrap();
            let (opened, (made, failed)) =
                apply_files(&bytes, (&world.manifest, &world.old()), place.path(), 512 * MIB)
                    .unwrap();
            match (&failed[..], removed) {
                ([Failed::NoBase { path }], true) | ([Failed::WrongBase { path }], false) => {
                    assert_eq!(path.as_str(), "lib/a.bin")
                }
                other => panic!("{other:?}"),
            }
            let mut expected: BTreeSet<String> =
                opened.outline.made().map(|(path, _)| path.to_string()).collect();
            let paths: Vec<String> = expected.iter().cloned().collect();
            for group in opened.groups.iter().filter(|group| {
                opened.bases_of(group).iter().any(|base| base.as_str() == "lib/a.bin")
            }) {
                group.members.iter().for_each(|number| assert!(expected.remove(&paths[*number])));
            }
            assert!(expected.contains("app/a.py") && !expected.contains("lib/a.bin"));
            assert_eq!(world.check_files(&opened, &made), expected);
            assert_eq!(everything(place.path()).len(), expected.len());
        }
    }
}

/// A damaged part of a large pack that several groups need: the other groups are made.
#[test]
fn a_damaged_shared_stream_costs_whoever_needs_it_only() {
    let world = World::new(600);
    // The group with the least data has the heavy model.
    let bytes = world.pack(How { most_heavy: 100, ..SHARED });
    let opened = Pack::open(&bytes, &world.manifest).unwrap();
    let (sharing, alone): (Vec<_>, Vec<_>) =
        opened.groups.iter().partition(|group| Pack::shares(group));
    assert!(!sharing.is_empty() && !alone.is_empty(), "{:?}", opened.groups);
    let mut damaged = bytes.clone();
    damaged[opened.literals[0].span.start as usize] = 77;
    let place = tempfile::tempdir().unwrap();
    let (_, (made, failed)) =
        apply_files(&damaged, (&world.manifest, &world.old()), place.path(), 512 * MIB).unwrap();
    assert!(failed.iter().all(|failed| matches!(failed, Failed::Patch(_))), "{failed:?}");
    assert_eq!(failed.len(), 1 + sharing.len());
    let numbers: BTreeSet<usize> = alone.iter().flat_map(|group| group.members.clone()).collect();
    assert_eq!(
        made.iter()
            .enumerate()
            .filter(|(_, made)| made.is_some())
            .map(|(number, _)| number)
            .collect::<BTreeSet<_>>(),
        numbers
    );
    assert_eq!(world.check_files(&opened, &made).len(), numbers.len());
    assert_eq!(everything(place.path()).len(), numbers.len());
}

#[test]
fn a_pack_for_another_release_is_refused() {
    for how in ALL {
        let world = World::new(300);
        let bytes = world.pack(how);
        assert!(world.survives(&bytes));
        // The same paths with other content; one more path; the target itself.
        let mut other = world.manifest.clone();
        other
            .file_manifest
            .values_mut()
            .for_each(|entry| entry.hash = Digest::of(entry.hash.as_bytes()));
        let mut more = world.manifest.clone();
        let entry = more.file_manifest.values().next().unwrap().clone();
        more.file_manifest.insert("a/b".parse().unwrap(), entry);
        let target = FolderTree::open(&world.folder.path().join("new")).unwrap().manifest().clone();
        for (manifest, root) in [(&other, "old"), (&more, "old"), (&target, "new")] {
            let place = tempfile::tempdir().unwrap();
            let Ok((opened, (made, failed))) = apply_files(
                &bytes,
                (manifest, &world.folder.path().join(root)),
                place.path(),
                512 * MIB,
            ) else {
                continue;
            };
            let digests: Vec<Digest> =
                made.iter().flatten().map(|applied| applied.digest).collect();
            assert!(!failed.is_empty() || opened.manifest(manifest, &digests).is_err());
        }
        // Every base has other content: each group with a base fails, and groups without one are
        // right.
        let place = tempfile::tempdir().unwrap();
        if let Ok((opened, (made, failed))) =
            apply_files(&bytes, (&other, &world.old()), place.path(), 512 * MIB)
        {
            assert!(
                failed.iter().all(|failed| matches!(failed, Failed::WrongBase { .. })),
                "{failed:?}"
            );
            world.check_files(&opened, &made);
        }
    }
}

/// A full disk: no part of the unfinished file stays, and the error names the full disk.
#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_leaves_nothing() {
    for length in [600, 400_000] {
        let world = World::new(length);
        let bytes = world.pack(ZSTD);
        let opened = Pack::open(&bytes, &world.manifest).unwrap();
        let place = tempfile::tempdir().unwrap();
        let victim =
            opened.outline.made().position(|(path, _)| path.as_str() == "lib/b.bin").unwrap();
        std::os::unix::fs::symlink("/dev/full", place.path().join(victim.to_string())).unwrap();
        let (opened, (made, failed)) =
            apply_files(&bytes, (&world.manifest, &world.old()), place.path(), 512 * MIB).unwrap();
        assert!(
            matches!(&failed[..], [Failed::File(error)] if error.action == "write" && error.is_disk_full()),
            "{failed:?}"
        );
        assert!(made[victim].is_none());
        assert_eq!(everything(place.path()).len(), world.check_files(&opened, &made).len());
    }
}

/// The first byte to damage. Outlines are coded alike whatever the groups are, so one outline is
/// damaged everywhere, and the others only in their groups.
fn first_of_interest(bytes: &Vec<u8>, world: &World, how: How) -> usize {
    if how == SMALLEST { 0 } else { outline_of(bytes, world) }
}

#[test]
fn a_pack_cut_anywhere_is_no_pack() {
    for how in ALL {
        let world = World::new(60);
        let bytes = world.pack(how);
        for length in first_of_interest(&bytes, &world, how)..bytes.len() {
            assert!(
                !world.survives(&bytes[..length].to_vec()),
                "{how:?}, {length} of {} bytes",
                bytes.len()
            );
        }
        assert!(!world.survives(&[&bytes[..], b"\0"].concat()));
        assert!(world.survives(&bytes));
    }
}

/// A flipped bit may have no effect; but wrong files never pass.
#[test]
fn a_flipped_bit_never_makes_wrong_files() {
    for how in ALL {
        let world = World::new(60);
        let bytes = world.pack(how);
        for at in first_of_interest(&bytes, &world, how)..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at * 5 % 8);
            world.survives(&damaged);
        }
    }
}

#[test]
fn random_damage_never_makes_wrong_files() {
    let mut random = Random(42);
    for how in ALL {
        let world = World::new(3000);
        let bytes = world.pack(how);
        for _ in 0..40 {
            let mut damaged = bytes.clone();
            mutate(&mut damaged, &mut random);
            world.survives(&damaged);
        }
    }
}
