//! Patch packs in signed metadata. Their role can waste bytes, but never block an update or name
//! anything else.

mod publishing;

use kuzflow::testing::model::Digest;
use kuzflow::testing::publish::keys::KeyPair;
use kuzflow::testing::publish::{KeyRole, PublishError, Rotation};
use kuzflow::testing::trust::{MirrorFaultKind, Repository};
use tough::TargetName;
use tough::schema::{PathPattern, PathSet, Signed, Timestamp as TimestampRole};

use crate::support::client::{
    Client, mirror_patches, mirror_snapshot, mirror_targets, next, packs, resign_patches, version,
    versions,
};
use crate::support::published::{Manner, Mirror, Publisher, days, forge, metafile, options, start};

const PACK: &str = "sample_1.1.0_Linux_x86_64.from-1.0.0.kuzpatch";

/// Two releases and a pack between them.
fn with_a_pack() -> Publisher {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    publisher.publish("1.1.0");
    publisher.add_packs(&[publisher.pack("1.0.0", "1.1.0", b"a small pack")]);
    publisher
}

/// Asserts that the repository has everything but the packs.
fn without_packs(repository: &Repository) {
    assert_eq!(versions(repository), ["1.0.0", "1.1.0"]);
    assert_eq!(packs(repository), [""; 0]);
}

#[tokio::test]
async fn packs_are_found_with_their_pieces() {
    let publisher = with_a_pack();
    let content: Vec<u8> = (0..700_000_u32).flat_map(u32::to_be_bytes).collect();
    publisher.add_packs(&[publisher.pack("1.1.0", "1.0.0", &content)]);
    let client = Client::new(&publisher);
    let mirror = publisher.mirror("mirror");
    let repository = client.accepts(mirror.clone(), start()).await;
    assert_eq!(packs(&repository), ["sample_1.0.0_Linux_x86_64.from-1.1.0.kuzpatch", PACK]);
    assert_eq!(
        (repository.patches_expire, repository.versions.patches),
        (Some(start() + days(90)), Some(3))
    );
    for pack in &repository.patches {
        let bytes = &mirror.files[&pack.location()];
        let table = pack.piece_table();
        assert_eq!(
            (Digest::of(bytes), bytes.len() as u64, table.length),
            (pack.hash, pack.length, pack.length)
        );
        for (index, hash) in (0..).zip(&table.hashes) {
            let span = table.span(index);
            assert_eq!(Digest::of(&bytes[span.start as usize..span.end as usize]), *hash);
        }
    }
    assert_eq!(
        repository.patches.iter().map(|pack| pack.patch.pieces.len()).collect::<Vec<_>>(),
        [11, 0]
    );
    assert_eq!(publisher.project.patches().unwrap(), repository.patches);
    // A pack is no ordinary target.
    assert!(repository.target(PACK).is_none());
    // Without a network the client knows the same.
    assert_eq!(client.trust.cached().unwrap(), repository);
    assert_eq!(
        serde_json::from_str::<Repository>(&serde_json::to_string(&repository).unwrap()).unwrap(),
        repository
    );
}

/// A new pack costs three small files, and a check without news one. A missing list costs a
/// request, but not the update.
#[tokio::test]
async fn only_what_is_new_is_fetched() {
    let publisher = with_a_pack();
    let client = Client::new(&publisher);
    let asked = async |mirror: Mirror| {
        let asked = mirror.asked.clone();
        client.accepts(mirror, start()).await;
        std::mem::take(&mut *asked.lock().unwrap())
    };
    asked(publisher.mirror("first")).await;
    let [root, timestamp] = ["metadata/2.root.json", "metadata/timestamp.json"];
    assert_eq!(asked(publisher.mirror("again")).await, [root, timestamp]);
    publisher.add_packs(&[publisher.pack("1.1.0", "1.0.0", b"another")]);
    let offered = asked(publisher.mirror("news")).await;
    assert_eq!(offered, [root, timestamp, "metadata/5.snapshot.json", "metadata/3.patches.json"]);
    assert_eq!(asked(publisher.mirror("again")).await, [root, timestamp]);
}

#[tokio::test]
async fn the_list_of_patches_does_not_go_back() {
    let publisher = with_a_pack();
    let old = mirror_patches(&publisher.mirror("")).0.signed;
    publisher.add_packs(&[publisher.pack("1.0.0", "1.1.0", b"a better pack")]);
    let mirror = publisher.mirror("mirror");
    let client = Client::new(&publisher);
    client.accepts(mirror.clone(), start()).await;

    // The old list under a new snapshot, all correctly signed.
    let mut stolen = mirror.clone();
    resign_patches(&mut stolen, &publisher, old.clone(), &publisher.key_files("patches"));
    client.refuses(stolen.clone(), start(), MirrorFaultKind::NotTrusted).await;
    // A client that has seen no newer list cannot notice it.
    assert_eq!(packs(&Client::new(&publisher).accepts(stolen, start()).await), [PACK]);

    // A snapshot that no longer names the list.
    let mut stolen = mirror.clone();
    let mut snapshot = mirror_snapshot(&mirror);
    snapshot.signed.version = next(snapshot.signed.version);
    snapshot.signed.meta.remove("patches.json");
    let snapshot = forge(snapshot.signed, &publisher.key_files("snapshot"));
    stolen.put(&snapshot);
    let mut timestamp: Signed<TimestampRole> = stolen.document("timestamp.json");
    timestamp.signed.version = next(timestamp.signed.version);
    timestamp.signed.meta.insert("snapshot.json".to_owned(), metafile(&snapshot));
    stolen.put(&forge(timestamp.signed, &publisher.key_files("timestamp")));
    client.refuses(stolen.clone(), start(), MirrorFaultKind::NotTrusted).await;
    without_packs(&Client::new(&publisher).accepts(stolen, start()).await);

    // The client also remembers its version if it could not fetch the list itself.
    let mut missing = mirror.clone();
    missing.files.remove(&mirror_patches(&mirror).1);
    let late = Client::new(&publisher);
    without_packs(&late.accepts(missing, start()).await);
    let mut stolen = mirror.clone();
    resign_patches(&mut stolen, &publisher, old, &publisher.key_files("patches"));
    late.refuses(stolen, start(), MirrorFaultKind::NotTrusted).await;
    late.goes_on_without(mirror, start()).await;
    // The publisher's timestamp now has a higher version than the thief's.
    publisher.publish("1.2.0");
    publisher.publish("1.3.0");
    assert_eq!(packs(&late.accepts(publisher.mirror("later"), start()).await), [PACK]);
}

#[tokio::test]
async fn an_expired_list_means_no_packs_and_nothing_else() {
    let mut options = options();
    options.settings.lifetimes.patches_days = 5;
    let publisher = Publisher::with(&options, start());
    publisher.publish("1.0.0");
    publisher.publish("1.1.0");
    publisher.add_packs(&[publisher.pack("1.0.0", "1.1.0", b"a pack")]);
    let client = Client::new(&publisher);
    assert_eq!(packs(&client.accepts(publisher.mirror("fresh"), start() + days(5)).await), [PACK]);
    without_packs(&client.accepts(publisher.mirror("old"), start() + days(6)).await);
    // The cached metadata has its expiry.
    assert_eq!(client.trust.cached().unwrap().patches_expire, Some(start() + days(5)));
    publisher.project.refresh(&publisher.keyring(), start() + days(6)).unwrap().run().unwrap();
    let repository = client.accepts(publisher.mirror("signed again"), start() + days(6)).await;
    assert_eq!(
        (packs(&repository).len(), repository.patches_expire),
        (1, Some(start() + days(11)))
    );
}

#[tokio::test]
async fn a_missing_or_broken_list_never_blocks_and_another_mirror_may_have_it() {
    let publisher = with_a_pack();
    let good = publisher.mirror("good");
    let (_, location) = mirror_patches(&good);
    let mut missing = good.clone();
    missing.files.remove(&location);
    let mut flipped = good.clone();
    let middle = flipped.files[&location].len() / 2;
    flipped.file(&location)[middle] ^= 1;
    let mut empty = good.clone();
    empty.file(&location).clear();
    let mut endless = good.clone();
    endless.file(&location).extend(vec![b' '; 17 << 20]);
    for bad in [missing, flipped, empty, endless] {
        let client = Client::new(&publisher);
        without_packs(&client.accepts(bad.clone(), start()).await);
        without_packs(&client.trust.cached().unwrap());
        // The next check tries again.
        assert_eq!(packs(&client.accepts(good.clone(), start()).await), [PACK]);
        assert_eq!(packs(&client.trust.cached().unwrap()), [PACK]);
        // And once the client knows the list, no mirror can remove it.
        assert_eq!(packs(&client.accepts(bad.clone(), start()).await), [PACK]);

        let client = Client::new(&publisher);
        let mirrors = [
            bad,
            good.clone().manner(Manner::Dead),
            good.clone().manner(Manner::Portal),
            good.clone(),
        ];
        let refreshed = client.refresh(mirrors, start()).await.unwrap();
        assert!(refreshed.faults.is_empty());
        assert_eq!(packs(&refreshed.repository), [PACK]);
    }
}

/// Damage on this machine's disk.
#[tokio::test]
async fn a_damaged_stored_list_is_left_out_and_repaired() {
    let publisher = with_a_pack();
    let client = Client::new(&publisher);
    client.accepts(publisher.mirror("mirror"), start()).await;
    let path = client.state().join("metadata.json");
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [("from-1.0.0", "from-1.0.7"), ("\"patches\":\"{", "\"patches\":\"[")] {
        assert!(text.contains(from));
        std::fs::write(&path, text.replace(from, to)).unwrap();
        without_packs(&client.trust.cached().unwrap());
        assert_eq!(packs(&client.accepts(publisher.mirror("mirror"), start()).await), [PACK]);
        assert_eq!(packs(&client.trust.cached().unwrap()), [PACK]);
    }
    // The file as a launcher without support for patches left it.
    let mut older: serde_json::Value = serde_json::from_str(&text).unwrap();
    older.as_object_mut().unwrap().remove("patches").unwrap();
    std::fs::write(&path, older.to_string()).unwrap();
    without_packs(&client.trust.cached().unwrap());
    assert_eq!(packs(&client.accepts(publisher.mirror("mirror"), start()).await), [PACK]);
}

#[tokio::test]
async fn only_the_roles_own_keys_count() {
    let publisher = with_a_pack();
    let mirror = publisher.mirror("mirror");
    let list = || {
        let mut list = mirror_patches(&mirror).0.signed;
        list.version = version(50);
        list
    };
    let with = |keys: &[std::path::PathBuf]| {
        let mut mirror = mirror.clone();
        resign_patches(&mut mirror, &publisher, list(), keys);
        mirror
    };
    let stranger = with_a_pack();
    for keys in [
        stranger.key_files("patches"),
        publisher.key_files("snapshot"),
        publisher.key_files("targets"),
        Vec::new(),
    ] {
        without_packs(&Client::new(&publisher).accepts(with(&keys), start()).await);
    }
    let own = publisher.key_files("patches");
    assert_eq!(packs(&Client::new(&publisher).accepts(with(&own), start()).await), [PACK]);
    // The same signature twice is refused, as for every role.
    without_packs(
        &Client::new(&publisher).accepts(with(&[own[0].clone(), own[0].clone()]), start()).await,
    );

    // A revoked key signs no more.
    let rotation = Rotation { replace: vec![KeyRole::Patches], ..Rotation::default() };
    publisher.project.rotate(&rotation, &publisher.keyring(), start()).unwrap().run().unwrap();
    let after = publisher.mirror("after");
    let client = Client::new(&publisher);
    assert_eq!(packs(&client.accepts(after.clone(), start()).await), [PACK]);
    let mut revoked = after;
    resign_patches(&mut revoked, &publisher, list(), &own);
    without_packs(&client.accepts(revoked, start()).await);
    publisher.add_packs(&[publisher.pack("1.0.0", "1.1.0", b"signed with the new key")]);
    assert!(publisher.key_files("patches").len() == 2);
}

/// The role may name packs of published releases only, whatever its keys sign.
#[tokio::test]
async fn the_role_can_name_nothing_but_packs_that_fit() {
    let publisher = with_a_pack();
    let mut mirror = publisher.mirror("mirror");
    let targets = mirror_targets(&mirror).signed;
    let mut list = mirror_patches(&mirror).0.signed;
    list.version = version(50);
    let good = list.targets[&TargetName::new(PACK).unwrap()].clone();
    let mut put = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut target = serde_json::to_value(&good).unwrap();
        change(&mut target);
        list.targets
            .insert(TargetName::new(name).unwrap(), serde_json::from_value(target).unwrap());
    };
    let patch = |key: &'static str, value: serde_json::Value| {
        move |target: &mut serde_json::Value| target["custom"]["patch"][key] = value.clone()
    };
    let name = |to: &str, from: &str| format!("sample_{to}_Linux_x86_64.from-{from}.kuzpatch");
    let [from, to] = ["from", "to"].map(|key| {
        move |target: &mut serde_json::Value, version: &str| {
            target["custom"]["patch"][key] = format!("sample_{version}_Linux_x86_64").into();
        }
    });
    // Names that are no packs: among them another package under the release's name, and names that
    // could act as a path.
    let release = serde_json::to_value(
        &targets.targets[&TargetName::new("sample_1.1.0_Linux_x86_64.kuzflow").unwrap()],
    )
    .unwrap();
    for other in ["sample_1.1.0_Linux_x86_64.kuzflow", "sample_2.0.0_Linux_x86_64.kuzflow"] {
        put(other, &|target| {
            *target = release.clone();
            target["hashes"]["sha256"] = Digest::of(b"another package").to_string().into();
        });
    }
    put("notes.md", &|_| {});
    put("folder/x.kuzpatch", &|_| {});
    put(".hidden.kuzpatch", &|_| {});
    // Packs that do not fit their names, the releases, their pieces, or this program.
    put(&name("1.1.0", "0.9.0"), &|_| {});
    put(&name("1.0.0", "1.0.0"), &|target| to(target, "1.0.0"));
    put(&name("3.0.0", "1.0.0"), &|target| to(target, "3.0.0"));
    put(&name("1.1.0", "0.8.0"), &|target| {
        from(target, "0.8.0");
        patch("target_manifest", Digest::of(b"another").to_string().into())(target);
    });
    put(&name("1.1.0", "0.7.0"), &|target| {
        from(target, "0.7.0");
        patch("piece_size", 4.into())(target);
        patch("pieces", serde_json::json!([Digest::of(b"")]))(target);
    });
    put(&name("1.1.0", "0.6.0"), &|target| {
        from(target, "0.6.0");
        patch("cloned", "all".into())(target);
    });
    put(&name("1.1.0", "0.5.0"), &|target| target["custom"] = serde_json::json!({}));
    // From a retired version: an installation may still have it.
    put(&name("1.1.0", "0.1.0"), &|target| from(target, "0.1.0"));
    let keys = publisher.key_files("patches");
    resign_patches(&mut mirror, &publisher, list, &keys);
    let before = Client::new(&publisher).accepts(publisher.mirror(""), start()).await;
    let repository = Client::new(&publisher).accepts(mirror, start()).await;
    assert_eq!(repository.releases, before.releases);
    assert!(
        repository.target("notes.md").is_none()
            && repository.target("sample_2.0.0_Linux_x86_64.kuzflow").is_none()
    );
    assert_eq!(packs(&repository), [name("1.1.0", "0.1.0"), PACK.to_owned()]);
}

/// The paths in the delegation count, and not only the names that this program expects.
#[tokio::test]
async fn a_narrower_delegation_is_honoured() {
    let publisher = with_a_pack();
    publisher.add_packs(&[publisher.pack("1.1.0", "1.0.0", b"and back")]);
    publisher.rewrite(|targets, _| {
        let role = &mut targets.delegations.as_mut().unwrap().roles[0];
        role.paths = PathSet::Paths(vec![PathPattern::new("sample_1.1.*.kuzpatch").unwrap()]);
    });
    assert_eq!(
        packs(&Client::new(&publisher).accepts(publisher.mirror("mirror"), start()).await),
        [PACK]
    );
}

/// The other way round: a target of the targets role is no pack, and hides the role's own.
#[tokio::test]
async fn a_pack_named_by_the_targets_role_is_an_ordinary_target() {
    let publisher = with_a_pack();
    let list = mirror_patches(&publisher.mirror("")).0.signed;
    publisher.rewrite(|targets, _| targets.targets.extend(list.targets.clone()));
    let repository = Client::new(&publisher).accepts(publisher.mirror("mirror"), start()).await;
    without_packs(&repository);
    assert!(repository.target(PACK).is_some());
}

#[tokio::test]
async fn lists_of_two_times_do_not_mix() {
    let publisher = with_a_pack();
    let old = publisher.mirror("old");
    publisher.add_packs(&[publisher.pack("1.1.0", "1.0.0", b"another")]);
    let new = publisher.mirror("new");
    let (old_location, new_location) = (mirror_patches(&old).1, mirror_patches(&new).1);
    assert_ne!(old_location, new_location);
    let mut mixed = new.clone();
    mixed.files.insert(new_location.clone(), old.files[&old_location].clone());
    without_packs(&Client::new(&publisher).accepts(mixed, start()).await);
    // The versions must also fit where no document names lengths and digests.
    let mut mixed = new.clone();
    let mut list = mirror_patches(&new).0.signed;
    list.version = version(9);
    resign_patches(&mut mixed, &publisher, list, &publisher.key_files("patches"));
    let mut snapshot = mirror_snapshot(&mixed);
    let entry = snapshot.signed.meta.get_mut("patches.json").unwrap();
    (entry.length, entry.hashes) = (None, None);
    snapshot.signed.version = next(snapshot.signed.version);
    let snapshot = forge(snapshot.signed, &publisher.key_files("snapshot"));
    mixed.put(&snapshot);
    let mut timestamp: Signed<TimestampRole> = mixed.document("timestamp.json");
    timestamp.signed.version = next(timestamp.signed.version);
    timestamp.signed.meta.insert("snapshot.json".to_owned(), metafile(&snapshot));
    mixed.put(&forge(timestamp.signed, &publisher.key_files("timestamp")));
    assert_eq!(packs(&Client::new(&publisher).accepts(mixed.clone(), start()).await).len(), 2);
    mixed.files.insert("metadata/9.patches.json".to_owned(), old.files[&old_location].clone());
    without_packs(&Client::new(&publisher).accepts(mixed, start()).await);
}

#[tokio::test]
async fn a_repository_from_before_there_were_patches_goes_on_working() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    publisher.forget_patches();
    let client = Client::new(&publisher);
    let repository = client.accepts(publisher.mirror("older"), start()).await;
    assert_eq!((repository.versions.patches, repository.patches_expire), (None, None));
    assert_eq!(publisher.project.patches().unwrap(), []);
    assert_eq!(publisher.project.expiries().unwrap().len(), 4);
    publisher.project.refresh(&publisher.keyring(), start()).unwrap().run().unwrap();
    let error = publisher.project.add_patches(&[], &publisher.keyring(), start()).unwrap_err();
    assert!(matches!(error, PublishError::NoPatchesRole), "{error}");
    // A plan that is not carried out leaves no key behind.
    let package = publisher.package("1.1.0", "content of 1.1.0 ");
    drop(publisher.project.publish(&[package], &publisher.keyring(), start()).unwrap());
    assert_eq!(publisher.key_files("patches").len(), 0);

    publisher.publish("1.1.0");
    assert_eq!(publisher.key_files("patches").len(), 1);
    assert!(KeyPair::read(&publisher.key_files("patches")[0], || None).is_ok());
    publisher.add_packs(&[publisher.pack("1.0.0", "1.1.0", b"a pack")]);
    assert_eq!(packs(&client.accepts(publisher.mirror("now"), start()).await), [PACK]);

    // Or by a rotation.
    let publisher = Publisher::new();
    publisher.forget_patches();
    let rotation = Rotation { replace: vec![KeyRole::Patches], ..Rotation::default() };
    publisher.project.rotate(&rotation, &publisher.keyring(), start()).unwrap().run().unwrap();
    assert!(publisher.project.add_patches(&[], &publisher.keyring(), start()).unwrap().is_empty());
}
