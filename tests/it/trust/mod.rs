//! The client against hostile, broken and outdated repositories: docs/security.md, faults 1 to 10.

mod mirrors;
mod stored;

use kuzflow::testing::model::Digest;
use kuzflow::testing::publish::{KeyRole, Rotation};
use kuzflow::testing::trust::{MirrorFaultKind, Repository, Trust, TrustError};
use tough::schema::{RoleType, Root, Signed, Timestamp as TimestampRole};

use crate::support::client::{Client, mirror_snapshot, mirror_targets, resign, version, versions};
use crate::support::published::{Manner, Mirror, Publisher, days, forge, options, start};

#[tokio::test]
async fn releases_and_their_notes_are_found() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    publisher.publish("1.1.0");
    let client = Client::new(&publisher);
    assert!(client.trust.cached().is_none());
    let mirror = publisher.mirror("good");
    let repository = client.accepts(mirror.clone(), start()).await;
    assert_eq!(versions(&repository), ["1.0.0", "1.1.0"]);
    assert_eq!(repository.expires, start() + days(7));
    let release = &repository.releases[1];
    assert_eq!(release.release.display_name, "示例 Sample");
    assert_eq!(Digest::of(&mirror.files[&release.location()]), release.hash);
    let notes =
        repository.read_small(&mirror, &release.release.notes["en"], 1 << 20).await.unwrap();
    assert!(notes.starts_with(b"# 1.1.0\n"));
    // Without a network the client knows the same, and can store and read it as a value.
    let cached = client.trust.cached().unwrap();
    assert_eq!(cached, repository);
    assert_eq!(
        serde_json::from_str::<Repository>(&serde_json::to_string(&cached).unwrap()).unwrap(),
        repository
    );
}

/// A check without news fetches one small file. A file that changed under its old name is fetched
/// all the same.
#[tokio::test]
async fn what_is_known_is_not_fetched_again() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let restored = publisher.fork();
    let client = Client::new(&publisher);
    let asked = async |mirror: Mirror| {
        let asked = mirror.asked.clone();
        let repository = client.accepts(mirror, start()).await;
        (std::mem::take(&mut *asked.lock().unwrap()), versions(&repository))
    };
    let [root, timestamp] = ["metadata/2.root.json", "metadata/timestamp.json"];
    let all = |number: u64| {
        let documents =
            ["snapshot", "targets"].map(|role| format!("metadata/{number}.{role}.json"));
        [root.to_owned(), timestamp.to_owned()].into_iter().chain(documents).collect::<Vec<_>>()
    };
    let with_patches = [all(2), vec!["metadata/1.patches.json".to_owned()]].concat();
    assert_eq!(asked(publisher.mirror("first")).await.0, with_patches);
    assert_eq!(
        asked(publisher.mirror("again")).await,
        (vec![root.to_owned(), timestamp.to_owned()], vec!["1.0.0".to_owned()])
    );
    publisher.project.refresh(&publisher.keyring(), start()).unwrap().run().unwrap();
    assert_eq!(asked(publisher.mirror("refreshed")).await.0, [root, timestamp]);
    publisher.publish("1.1.0");
    assert_eq!(asked(publisher.mirror("news")).await.0, all(3));
    // The publisher's disk was restored from a backup, and other documents got the same version
    // numbers. The known metadata stays valid until the timestamp has a new number.
    restored.project.refresh(&restored.keyring(), start()).unwrap().run().unwrap();
    restored.publish("1.2.0");
    let same =
        (vec![root.to_owned(), timestamp.to_owned()], vec!["1.0.0".to_owned(), "1.1.0".to_owned()]);
    assert_eq!(asked(restored.mirror("restored")).await, same);
    restored.project.refresh(&restored.keyring(), start()).unwrap().run().unwrap();
    assert_eq!(
        asked(restored.mirror("restored")).await,
        (all(3), vec!["1.0.0".to_owned(), "1.2.0".to_owned()])
    );
}

/// docs/security.md, fault 1.
#[tokio::test]
async fn only_what_is_signed_is_read() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let mut mirror = publisher.mirror("mirror");
    let repository = Client::new(&publisher).accepts(mirror.clone(), start()).await;
    let notes = repository.releases[0].release.notes["en"].clone();
    let location = repository.target(&notes).unwrap().location.clone();
    let length = repository.target(&notes).unwrap().length;

    let unknown = repository.read_small(&mirror, "other.md", 1 << 20).await.unwrap_err();
    assert!(matches!(unknown, TrustError::UnknownTarget { .. }), "{unknown}");
    let unknown = repository.read_small(&mirror, "../timestamp.json", 1 << 20).await.unwrap_err();
    assert!(matches!(unknown, TrustError::UnknownTarget { .. }), "{unknown}");
    let long = repository.read_small(&mirror, &notes, length - 1).await.unwrap_err();
    assert!(matches!(long, TrustError::TooLong { .. }), "{long}");
    assert_eq!(repository.read_small(&mirror, &notes, length).await.unwrap().len() as u64, length);

    mirror.file(&location)[3] ^= 1;
    assert_eq!(
        repository.read_small(&mirror, &notes, length).await.unwrap_err().fault(),
        Some(MirrorFaultKind::NotTrusted)
    );
    mirror.file(&location)[3] ^= 1;
    mirror.file(&location).push(b'!');
    assert_eq!(
        repository.read_small(&mirror, &notes, length).await.unwrap_err().fault(),
        Some(MirrorFaultKind::NotTrusted)
    );
    mirror.files.remove(&location);
    assert_eq!(
        repository.read_small(&mirror, &notes, length).await.unwrap_err().fault(),
        Some(MirrorFaultKind::Unusable)
    );
}

/// docs/security.md, fault 2.
#[tokio::test]
async fn no_role_goes_back() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let old = publisher.mirror("old");
    publisher.publish("1.1.0");
    let new = publisher.mirror("new");
    let client = Client::new(&publisher);
    client.accepts(new.clone(), start()).await;

    // The whole repository as it was: the timestamp is older. A lagging copy looks the same, so it
    // is neither news nor an attack.
    client.goes_on_without(old.clone(), start()).await;

    // With the timestamp's stolen key: a new timestamp that names the old snapshot.
    let mut stolen = old.clone();
    let mut timestamp: Signed<TimestampRole> = stolen.document("timestamp.json");
    timestamp.signed.version = version(100);
    stolen.put(&forge(timestamp.signed, &publisher.key_files("timestamp")));
    client.refuses(stolen, start(), MirrorFaultKind::NotTrusted).await;

    // With both online keys stolen: a new snapshot that names the old targets.
    let mut stolen = old.clone();
    let targets = mirror_targets(&old);
    resign(&mut stolen, &publisher, &targets, 100, 100);
    client.refuses(stolen, start(), MirrorFaultKind::NotTrusted).await;

    // A snapshot that no longer names the targets.
    let mut stolen = new.clone();
    let mut snapshot = mirror_snapshot(&new);
    snapshot.signed.version = version(100);
    snapshot.signed.meta.clear();
    let snapshot = forge(snapshot.signed, &publisher.key_files("snapshot"));
    stolen.put(&snapshot);
    let mut timestamp: Signed<TimestampRole> = stolen.document("timestamp.json");
    timestamp.signed.version = version(100);
    let meta = timestamp.signed.meta.get_mut("snapshot.json").unwrap();
    (meta.version, meta.length, meta.hashes) = (version(100), None, None);
    stolen.put(&forge(timestamp.signed, &publisher.key_files("timestamp")));
    client.refuses(stolen, start(), MirrorFaultKind::NotTrusted).await;

    // An old root under the name of the next.
    let mut replayed = new.clone();
    replayed.files.insert("metadata/2.root.json".to_owned(), publisher.root());
    client.refuses(replayed, start(), MirrorFaultKind::NotTrusted).await;

    // The thief's timestamp counts, since it was signed. The last whole state stays valid, until
    // its own expiry.
    client.goes_on_without(new.clone(), start()).await;
    assert_eq!(versions(&client.trust.cached().unwrap()), ["1.0.0", "1.1.0"]);
    client.refuses(new, start() + days(8), MirrorFaultKind::Expired).await;
}

/// docs/security.md, fault 3.
#[tokio::test]
async fn what_expired_is_refused_whatever_the_clock_did_before() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let mirror = publisher.mirror("frozen");
    let client = Client::new(&publisher);
    client.accepts(mirror.clone(), start()).await;
    client.refuses(mirror.clone(), start() + days(8), MirrorFaultKind::Expired).await;
    // The last known state is still stored, and has its expiry.
    assert!(client.trust.cached().unwrap().expires < start() + days(8));
    // The clock was wrong and is set back: no lasting harm, also after a large step.
    client.accepts(mirror.clone(), start()).await;
    client.accepts(mirror.clone(), start() - days(400)).await;
    client.refuses(mirror.clone(), start() + days(8), MirrorFaultKind::Expired).await;
    // Signed again, it is valid again.
    publisher.project.refresh(&publisher.keyring(), start() + days(8)).unwrap().run().unwrap();
    client.accepts(publisher.mirror("fresh"), start() + days(8)).await;
    client.goes_on_without(mirror.clone(), start()).await;
    // An attacker who withholds the newer one gains the time until it expires, and no more.
    client.goes_on_without(mirror.clone(), start() + days(14)).await;
    client.refuses(mirror, start() + days(16), MirrorFaultKind::Expired).await;
}

/// docs/security.md, fault 3: each role's own expiry counts.
#[tokio::test]
async fn every_role_expires() {
    for (role, days_until) in [("root", 10), ("targets", 20), ("snapshot", 30), ("timestamp", 40)] {
        let mut options = options();
        let lifetimes = &mut options.settings.lifetimes;
        (
            lifetimes.root_days,
            lifetimes.targets_days,
            lifetimes.snapshot_days,
            lifetimes.timestamp_days,
        ) = (90, 90, 90, 90);
        match role {
            "root" => lifetimes.root_days = days_until,
            "targets" => lifetimes.targets_days = days_until,
            "snapshot" => lifetimes.snapshot_days = days_until,
            _ => lifetimes.timestamp_days = days_until,
        }
        let publisher = Publisher::with(&options, start());
        let client = Client::new(&publisher);
        let until = start() + days(days_until.into());
        client.accepts(publisher.mirror("mirror"), until).await;
        let message = client
            .refuses(
                publisher.mirror("mirror"),
                until + jiff::SignedDuration::from_secs(1),
                MirrorFaultKind::Expired,
            )
            .await;
        assert!(message.contains(&format!("{role} metadata expired")), "{message}");
    }
}

/// docs/security.md, fault 4.
#[tokio::test]
async fn a_fast_forward_is_undone_by_a_new_root() {
    // The new root comes with good metadata, or first with a mirror that has nothing else. After
    // the replacement of one of the two keys clients forget the documents that both signed.
    let (both, one) = (vec![KeyRole::Snapshot, KeyRole::Timestamp], vec![KeyRole::Timestamp]);
    for (root_comes_alone, replace) in [(false, &both), (true, &both), (false, &one), (true, &one)]
    {
        let publisher = Publisher::new();
        publisher.publish("1.0.0");
        let client = Client::new(&publisher);
        let mut stolen = publisher.mirror("thief");
        let targets = mirror_targets(&stolen);
        resign(&mut stolen, &publisher, &targets, u64::MAX, u64::MAX);
        client.accepts(stolen.clone(), start()).await;
        client.goes_on_without(publisher.mirror("good"), start()).await;

        let rotation = Rotation { replace: replace.clone(), ..Rotation::default() };
        let old_keys = publisher.key_files("timestamp");
        publisher.project.rotate(&rotation, &publisher.keyring(), start()).unwrap().run().unwrap();
        if root_comes_alone {
            stolen.files.insert(
                "metadata/2.root.json".to_owned(),
                publisher.mirror("").files["metadata/2.root.json"].clone(),
            );
            // The accepted document from before the replacement looks like that of a lagging copy.
            // Another document that the old keys signed is a forgery.
            let error = client.refresh([stolen.clone()], start()).await.unwrap_err();
            assert_eq!(error.fault(), Some(MirrorFaultKind::Behind));
            // The root counts although the rest did not: a mirror that hides it cannot bring the
            // stolen keys back.
            stolen.files.remove("metadata/2.root.json");
            client.refuses(stolen.clone(), start(), MirrorFaultKind::Behind).await;
            let mut timestamp: Signed<TimestampRole> = stolen.document("timestamp.json");
            timestamp.signed.expires += days(1);
            stolen.put(&forge(timestamp.signed, &old_keys));
            client.refuses(stolen, start(), MirrorFaultKind::NotTrusted).await;
        }
        assert_eq!(versions(&client.accepts(publisher.mirror("good"), start()).await), ["1.0.0"]);
    }
}

/// docs/security.md, fault 8, as far as parsing goes: signed nonsense is left out, the rest stays
/// usable.
#[tokio::test]
async fn descriptions_that_contradict_themselves_are_left_out() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    publisher.publish("1.1.0");
    publisher.publish("1.2.0");
    let mut mirror = publisher.mirror("mirror");
    let mut targets = mirror_targets(&mirror);
    targets.signed.version = version(50);
    for (name, target) in &mut targets.signed.targets {
        match name.raw() {
            // Its name is that of another platform's package.
            "sample_1.1.0_Linux_x86_64.kuzflow" => {
                target.custom.get_mut("release").unwrap()["container"] =
                    "sample_1.1.0_Windows_AMD64".into();
            }
            // Its form may make sense to a later program.
            "sample_1.2.0_Linux_x86_64.kuzflow" => {
                target.custom.get_mut("release").unwrap()["channel"] =
                    serde_json::json!({"any of": ["a", "b"]});
            }
            _ => {}
        }
    }
    let template = targets.signed.targets.values().next().unwrap().clone();
    targets.signed.targets.insert(tough::TargetName::new("folder/name").unwrap(), template);
    let targets = forge(targets.signed, &publisher.key_files("targets"));
    mirror.put(&targets);
    resign(&mut mirror, &publisher, &targets, 50, 50);
    let repository = Client::new(&publisher).accepts(mirror, start()).await;
    assert_eq!(versions(&repository), ["1.0.0"]);
    assert!(repository.target("folder/name").is_none());
}

/// docs/security.md, fault 9: thresholds.
#[tokio::test]
async fn a_threshold_counts_different_keys() {
    let mut options = options();
    (options.root_keys, options.root_threshold) = (3, 2);
    let publisher = Publisher::with(&options, start());
    let keys = publisher.key_files("root");
    assert_eq!(keys.len(), 3);
    let client = Client::new(&publisher);
    let mirror = publisher.mirror("mirror");
    let mut root: Signed<Root> = mirror.document("1.root.json");
    root.signed.version = version(2);
    let with = |signed: Signed<Root>| {
        let mut mirror = mirror.clone();
        mirror.put(&signed);
        mirror
    };
    client
        .refuses(with(forge(root.signed.clone(), &keys[..1])), start(), MirrorFaultKind::NotTrusted)
        .await;
    let twice = [keys[0].clone(), keys[0].clone()];
    client
        .refuses(with(forge(root.signed.clone(), &twice)), start(), MirrorFaultKind::NotTrusted)
        .await;
    // A role whose key list names one key twice, and a signature twice, still has one signer.
    let mut doubled = root.signed.clone();
    let ids = &mut doubled.roles.get_mut(&RoleType::Root).unwrap().keyids;
    let first = ids[0].clone();
    ids.fill(first);
    client.refuses(with(forge(doubled, &keys[..1])), start(), MirrorFaultKind::NotTrusted).await;
    // Signed by strangers.
    let stranger = Publisher::with(&options, start());
    client
        .refuses(
            with(forge(root.signed.clone(), &stranger.key_files("root"))),
            start(),
            MirrorFaultKind::NotTrusted,
        )
        .await;
    // A threshold of zero.
    let mut none = mirror.clone();
    let mut signed = serde_json::to_value(forge(root.signed.clone(), &keys)).unwrap();
    signed["signed"]["roles"]["timestamp"]["threshold"] = 0.into();
    none.files.insert("metadata/2.root.json".to_owned(), serde_json::to_vec(&signed).unwrap());
    client.refuses(none, start(), MirrorFaultKind::Unusable).await;
    // Two of three are enough.
    client.accepts(with(forge(root.signed, &keys[1..])), start()).await;
}

/// docs/security.md, fault 9: a chain of roots, and revoked keys.
#[tokio::test]
async fn a_client_several_roots_behind_catches_up_and_revoked_keys_stay_revoked() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let client = Client::new(&publisher);
    let late = Client::new(&publisher);
    let before = publisher.mirror("before");
    client.accepts(before.clone(), start()).await;
    let old_timestamp_key = publisher.key_files("timestamp");
    let old_targets_key = publisher.key_files("targets");
    let rotate = |replace: &[KeyRole]| {
        let rotation = Rotation { replace: replace.to_vec(), ..Rotation::default() };
        publisher.project.rotate(&rotation, &publisher.keyring(), start()).unwrap().run().unwrap();
    };
    rotate(&[KeyRole::Root]);
    rotate(&[KeyRole::Timestamp, KeyRole::Targets]);
    rotate(&[]);
    rotate(&KeyRole::ALL);
    publisher.publish("1.1.0");
    let after = publisher.mirror("after");
    let repository = client.accepts(after.clone(), start()).await;
    assert_eq!(
        (repository.versions.root, versions(&repository)),
        (5, vec!["1.0.0".to_owned(), "1.1.0".to_owned()])
    );
    assert_eq!(late.accepts(after.clone(), start()).await, repository);

    let mut revoked = after.clone();
    let mut timestamp: Signed<TimestampRole> = after.document("timestamp.json");
    timestamp.signed.version = version(100);
    revoked.put(&forge(timestamp.signed, &old_timestamp_key));
    client.refuses(revoked, start(), MirrorFaultKind::NotTrusted).await;

    let mut revoked = after.clone();
    let mut targets = mirror_targets(&after);
    targets.signed.version = version(100);
    let targets = forge(targets.signed, &old_targets_key);
    revoked.put(&targets);
    resign(&mut revoked, &publisher, &targets, 100, 100);
    client.refuses(revoked, start(), MirrorFaultKind::NotTrusted).await;
    // The repository from before the rotation, for a client that has seen it.
    client.refuses(before, start(), MirrorFaultKind::NotTrusted).await;
}
