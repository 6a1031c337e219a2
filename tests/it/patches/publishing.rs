//! Packs on the publisher's side: signed, replaced, refused, taken out.

use super::*;

#[tokio::test]
async fn packs_are_signed_where_no_release_can_be() {
    let publisher = with_a_pack();
    let offline = [publisher.key_files("root"), publisher.key_files("targets")].concat();
    offline.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    publisher.add_packs(&[publisher.pack("1.1.0", "1.0.0", b"another")]);
    let key = publisher.key_files("patches").remove(0);
    let away = publisher.folder.path().join("key");
    std::fs::rename(&key, &away).unwrap();
    let another = publisher.pack("1.0.0", "1.1.0", b"a third");
    let error =
        publisher.project.add_patches(&[another], &publisher.keyring(), start()).unwrap_err();
    assert!(
        matches!(
            error,
            PublishError::MissingKeys { role: KeyRole::Patches, needed: 1, found: 0, .. }
        ),
        "{error}"
    );

    // A refresh continues without that key. With the key it signs the list again once half of its
    // life is over.
    let client = Client::new(&publisher);
    let refresh = |day| {
        publisher.project.refresh(&publisher.keyring(), start() + days(day)).unwrap().run().unwrap()
    };
    refresh(50);
    let repository = client.accepts(publisher.mirror("without"), start() + days(50)).await;
    assert_eq!(
        (repository.versions.patches, repository.patches_expire),
        (Some(3), Some(start() + days(90)))
    );
    std::fs::rename(&away, &key).unwrap();
    refresh(50);
    let repository = client.accepts(publisher.mirror("with"), start() + days(50)).await;
    assert_eq!(
        (repository.versions.patches, repository.patches_expire),
        (Some(4), Some(start() + days(140)))
    );
    assert_eq!(packs(&repository).len(), 2);
    refresh(51);
    assert_eq!(
        client.accepts(publisher.mirror(""), start() + days(51)).await.versions.patches,
        Some(4),
        "it is young"
    );
}

#[test]
fn the_same_pack_again_is_nothing_and_a_new_one_takes_its_place() {
    let publisher = with_a_pack();
    let add = |content: &[u8], day| {
        let mut pack = publisher.pack("1.0.0", "1.1.0", content);
        pack.patch.created = start() + days(day);
        publisher.project.add_patches(&[pack], &publisher.keyring(), start() + days(day)).unwrap()
    };
    assert!(add(b"a small pack", 1).is_empty());
    let before = publisher.project.patches().unwrap();
    add(b"a smaller one", 1).run().unwrap();
    let after = publisher.project.patches().unwrap();
    assert_eq!(
        after.iter().map(|pack| (pack.hash, pack.patch.created)).collect::<Vec<_>>(),
        [(Digest::of(b"a smaller one"), start() + days(1))]
    );
    let is_there = |location: String| publisher.project.repository().join(location).exists();
    assert!(is_there(after[0].location()) && !is_there(before[0].location()));
}

#[test]
fn a_pack_that_does_not_fit_is_refused() {
    let publisher = with_a_pack();
    let refusal = |change: &dyn Fn(&mut kuzflow::testing::model::Patch)| {
        let mut pack = publisher.pack("1.0.0", "1.1.0", b"new bytes");
        change(&mut pack.patch);
        match publisher.project.add_patches(&[pack], &publisher.keyring(), start()) {
            Err(PublishError::Package { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert!(
        refusal(&|patch| patch.from.version = "0.9.0".parse().unwrap()).contains("not published")
    );
    assert!(refusal(&|patch| patch.to.app = "other".parse().unwrap()).contains("not published"));
    assert!(refusal(&|patch| patch.base_manifest = Digest::of(b"")).contains("another manifest"));
    assert!(refusal(&|patch| patch.target_manifest = Digest::of(b"")).contains("another manifest"));
    let to_itself = refusal(&|patch| {
        (patch.from, patch.base_manifest) = (patch.to.clone(), patch.target_manifest)
    });
    assert!(to_itself.contains("leads from"), "{to_itself}");
    let empty = publisher.pack("1.0.0", "1.1.0", b"");
    let error = publisher.project.add_patches(&[empty], &publisher.keyring(), start()).unwrap_err();
    assert!(error.to_string().contains("empty"), "{error}");
}

#[test]
fn old_packs_go_and_so_do_those_of_releases_that_went() {
    let publisher = with_a_pack();
    publisher.publish("1.2.0");
    let mut young = publisher.pack("1.1.0", "1.2.0", b"younger");
    young.patch.created = start() + days(20);
    publisher.add_packs(&[young, publisher.pack("1.0.0", "1.2.0", b"as old")]);
    let expire = |day| {
        publisher.project.expire_patches(30, &publisher.keyring(), start() + days(day)).unwrap()
    };
    let names = || {
        publisher.project.patches().unwrap().into_iter().map(|pack| pack.target).collect::<Vec<_>>()
    };
    let files = || {
        let entries = std::fs::read_dir(publisher.project.repository().join("targets")).unwrap();
        entries
            .filter(|entry| {
                entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "kuzpatch")
            })
            .count()
    };
    assert!(expire(29).is_empty());
    let from_the_old = publisher.fork();
    expire(30).run().unwrap();
    assert_eq!(
        (names(), files()),
        (vec!["sample_1.2.0_Linux_x86_64.from-1.1.0.kuzpatch".to_owned()], 1)
    );

    // 1.2.0 is retired; packs that lead away from a removed release would stay.
    let publisher = from_the_old;
    publisher.rewrite(|targets, _| {
        targets
            .targets
            .remove(&TargetName::new("sample_1.2.0_Linux_x86_64.kuzflow").unwrap())
            .unwrap();
    });
    publisher
        .project
        .expire_patches(30, &publisher.keyring(), start() + days(1))
        .unwrap()
        .run()
        .unwrap();
    let left = publisher.project.patches().unwrap();
    assert_eq!(
        left.iter().map(|pack| pack.target.as_str()).collect::<Vec<_>>(),
        ["sample_1.1.0_Linux_x86_64.from-1.0.0.kuzpatch"]
    );

    // The next call removes the files of a killed publisher, and signs nothing for that.
    let stray =
        publisher.project.repository().join(format!("targets/{}.stray.kuzpatch", Digest::of(b"")));
    std::fs::write(&stray, "").unwrap();
    let sweep = publisher.project.remove_patches(|_| false, &publisher.keyring(), start()).unwrap();
    assert_eq!(sweep.remaining(), 1);
    sweep.run().unwrap();
    assert!(!stray.exists());
}
