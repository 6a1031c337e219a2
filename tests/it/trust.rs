//! The client against hostile, broken and outdated repositories: docs/security.md, faults 1 to 10.

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

/// docs/security.md, fault 2: each document counts as soon as it is verified, and the client uses
/// none before all of them are there.
#[tokio::test]
async fn what_a_failed_load_has_verified_counts_and_is_not_used() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let first = publisher.mirror("first");
    let client = Client::new(&publisher);
    client.accepts(first.clone(), start()).await;
    publisher.publish("1.1.0");
    let second = publisher.mirror("second");
    let timestamp: Signed<TimestampRole> = second.document("timestamp.json");
    let snapshot =
        format!("metadata/{}.snapshot.json", timestamp.signed.meta["snapshot.json"].version);
    let targets = format!("metadata/{}.targets.json", mirror_targets(&second).signed.version);
    for (location, kind) in
        [(&snapshot, MirrorFaultKind::NotTrusted), (&targets, MirrorFaultKind::NotTrusted)]
    {
        let mut broken = second.clone();
        let middle = broken.file(location).len() / 2;
        broken.file(location)[middle] ^= 1;
        client.refuses(broken, start(), kind).await;
        // The client stored the new timestamp: the mirror as it was before lags behind it.
        client.goes_on_without(first.clone(), start()).await;
        // A copy that is still being made.
        let mut missing = second.clone();
        missing.files.remove(location);
        client.goes_on_without(missing.clone(), start()).await;
        // Before the first whole state the client has nothing to use, except the documents of
        // another mirror.
        let late = Client::new(&publisher);
        late.refuses(missing.clone(), start(), MirrorFaultKind::Behind).await;
        let other = Client::new(&publisher);
        let refreshed = other.refresh([missing.clone(), first.clone()], start()).await.unwrap();
        assert_eq!(
            (refreshed.faults.len(), versions(&refreshed.repository)),
            (1, vec!["1.0.0".to_owned()])
        );
    }
    client.accepts(second, start()).await;
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

/// docs/security.md, fault 5.
#[tokio::test]
async fn documents_of_two_times_do_not_mix() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let old = publisher.mirror("old");
    publisher.publish("1.1.0");
    let new = publisher.mirror("new");
    let client = Client::new(&publisher);
    for role in ["snapshot", "targets"] {
        let (from, to) = (format!("metadata/2.{role}.json"), format!("metadata/3.{role}.json"));
        let mut mixed = new.clone();
        mixed.files.insert(to, old.files[&from].clone());
        client.refuses(mixed, start(), MirrorFaultKind::NotTrusted).await;
        // The versions must also fit where no document names lengths and digests.
    }
    let mut mixed = new.clone();
    let mut claimed = mirror_targets(&new);
    claimed.signed.version = version(9);
    resign(&mut mixed, &publisher, &claimed, 9, 9);
    mixed
        .files
        .insert("metadata/9.targets.json".to_owned(), old.files["metadata/2.targets.json"].clone());
    client.refuses(mixed, start(), MirrorFaultKind::NotTrusted).await;
}

/// docs/security.md, fault 6: a limit for every file. (The source ends a drip.)
#[tokio::test]
async fn endless_data_ends() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let good = publisher.mirror("good");
    let client = Client::new(&publisher);
    client
        .refuses(good.clone().manner(Manner::Endless), start(), MirrorFaultKind::NotTrusted)
        .await;
    for location in ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json"] {
        let mut padded = good.clone();
        let file =
            padded.files.entry(format!("metadata/{location}")).or_insert_with(|| b"{}".to_vec());
        file.extend(vec![b' '; 17 << 20]);
        client.refuses(padded, start(), MirrorFaultKind::NotTrusted).await;
    }
    // Nesting that would overflow the stack of a naive parser.
    let mut nested = good.clone();
    *nested.file("metadata/timestamp.json") =
        format!("{{\"signed\":{{\"x\":{}", "[".repeat(60_000)).into_bytes();
    client.refuses(nested, start(), MirrorFaultKind::Unusable).await;
}

/// docs/security.md, fault 7.
#[tokio::test]
async fn a_bad_mirror_does_not_block_the_good_one() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let client = Client::new(&publisher);
    let frozen = publisher.mirror("frozen");
    let later = start() + days(8);
    publisher.project.refresh(&publisher.keyring(), later).unwrap().run().unwrap();
    let good = publisher.mirror("good");
    let mut liar = publisher.mirror("liar");
    liar.file("metadata/2.targets.json")[200] ^= 1;
    let mut empty = publisher.mirror("empty");
    empty.files.clear();
    let mut half = publisher.mirror("half");
    half.files.remove("metadata/2.targets.json");
    let bad = [
        (good.clone().manner(Manner::Dead), MirrorFaultKind::Unreachable),
        (good.clone().manner(Manner::Portal), MirrorFaultKind::Unusable),
        (good.clone().manner(Manner::Endless), MirrorFaultKind::NotTrusted),
        (frozen, MirrorFaultKind::Expired),
        (liar, MirrorFaultKind::NotTrusted),
        (empty, MirrorFaultKind::Unusable),
        (half, MirrorFaultKind::Unusable),
    ];
    let mirrors: Vec<Mirror> = bad.iter().map(|(mirror, _)| mirror.clone()).chain([good]).collect();
    let refreshed = client.refresh(mirrors.clone(), later).await.unwrap();
    assert_eq!(versions(&refreshed.repository), ["1.0.0"]);
    let found: Vec<_> =
        refreshed.faults.iter().map(|fault| (fault.mirror.clone(), fault.kind)).collect();
    // Then the others supply the documents that the liar's timestamp names; the client need not ask
    // mirrors behind it for a timestamp.
    let expected: Vec<_> =
        bad[..5].iter().map(|(mirror, kind)| (mirror.name.clone(), *kind)).collect();
    assert_eq!(found, expected);

    // As in the engine: on another thread.
    let trust = client.trust.clone();
    let good: Vec<_> = mirrors.iter().rev().take(1).cloned().map(Mirror::boxed).collect();
    tokio::spawn(async move { trust.refresh(&good, later).await.unwrap() }).await.unwrap();

    // All bad: the user sees the gravest fault. None at all: no network.
    let error = Client::new(&publisher).refresh(mirrors[..2].to_vec(), later).await.unwrap_err();
    assert_eq!(error.fault(), Some(MirrorFaultKind::Unusable));
    let error = client.refresh([], later).await.unwrap_err();
    assert_eq!(error.fault(), Some(MirrorFaultKind::Unreachable));
    assert!(client.trust.cached().is_some());
}

/// A host for single-page apps answers with its page, status 200, for what it lacks.
#[tokio::test]
async fn a_page_in_place_of_the_next_root_ends_the_chain_of_roots() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let client = Client::new(&publisher);
    let page = b"\xEF\xBB\xBF<!doctype html><title>Sample</title>".to_vec();
    let mut mirror = publisher.mirror("host");
    mirror.files.insert("metadata/2.root.json".to_owned(), page.clone());
    let repository = client.accepts(mirror.clone(), start()).await;
    assert_eq!(versions(&repository), ["1.0.0"]);
    // A page in place of what must be there is told as such, and hides nothing.
    mirror.files.insert("metadata/timestamp.json".to_owned(), page);
    let error = client.refresh([mirror], start()).await.unwrap_err();
    assert_eq!(error.fault(), Some(MirrorFaultKind::Unusable), "{error}");
}

/// A mirror that breaks off while the client reads the chain of roots must not make it stay with an
/// old root.
#[tokio::test]
async fn a_broken_connection_is_not_the_end_of_the_roots_chain() {
    struct Breaks(Mirror);
    #[async_trait::async_trait]
    impl kuzflow::testing::trust::MetadataSource for Breaks {
        fn name(&self) -> &str {
            "breaks"
        }
        async fn get(
            &self,
            location: &str,
            limit: u64,
        ) -> Result<Vec<u8>, kuzflow::testing::trust::SourceError> {
            if location.ends_with("2.root.json") {
                return Err(kuzflow::testing::trust::SourceError::Other("connection reset".into()));
            }
            self.0.get(location, limit).await
        }
    }
    let publisher = Publisher::new();
    let client = Client::new(&publisher);
    let error = client
        .trust
        .refresh(&[std::sync::Arc::new(Breaks(publisher.mirror("")))], start())
        .await
        .unwrap_err();
    assert_eq!(error.fault(), Some(MirrorFaultKind::Unreachable), "{error}");
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

/// docs/security.md, fault 10, and damage to the stored files.
#[tokio::test]
async fn the_stored_root_counts_and_damage_does_not_brick() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let other = Publisher::new();
    other.publish("9.0.0");
    let client = Client::new(&publisher);
    client.accepts(publisher.mirror("mirror"), start()).await;

    // An attacker replaces the root beside the launcher: the installation still trusts its own.
    let adopted = Client {
        trust: Trust::new(client.state(), other.root()),
        folder: tempfile::tempdir().unwrap(),
    };
    let error = adopted.refresh([other.mirror("other")], start()).await.unwrap_err();
    assert_eq!(error.fault(), Some(MirrorFaultKind::NotTrusted));
    assert_eq!(
        versions(&adopted.refresh([publisher.mirror("mirror")], start()).await.unwrap().repository),
        ["1.0.0"]
    );
    // A shipped file that is no root is not needed either.
    assert!(Trust::new(client.state(), "nonsense").cached().is_some());

    // The stored root is truncated: the shipped one replaces it, and the client still notices an
    // older repository.
    let old = publisher.mirror("old");
    publisher.publish("1.1.0");
    client.accepts(publisher.mirror("new"), start()).await;
    let root = client.state().join("root.json");
    let whole = std::fs::read(&root).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 2] {
        std::fs::write(&root, &whole[..length]).unwrap();
        client.goes_on_without(old.clone(), start()).await;
        assert_eq!(versions(&client.trust.cached().unwrap()), ["1.0.0", "1.1.0"]);
    }
    client.accepts(publisher.mirror("new"), start()).await;
    assert_eq!(std::fs::read(&root).unwrap().len(), whole.len());

    // The other file is damaged: nothing is cached, and the next refresh restores it.
    let metadata = client.state().join("metadata.json");
    let whole = std::fs::read(&metadata).unwrap();
    let mut forged = whole.clone();
    let place = whole.windows(5).position(|part| part == b"1.1.0").unwrap();
    forged[place] = b'7';
    for damaged in [&b""[..], b"{}", b"\0\0\0\0", &whole[..whole.len() / 2], &forged] {
        std::fs::write(&metadata, damaged).unwrap();
        assert!(client.trust.cached().is_none());
        client.accepts(publisher.mirror("new"), start()).await;
        assert!(client.trust.cached().is_some());
    }

    // Neither a stored nor a shipped root: the client reports it, and sends no request.
    let lost = Trust::new(client.folder.path().join("empty"), "nonsense");
    let mirror = publisher.mirror("mirror");
    let asked = mirror.asked.clone();
    let error = lost.refresh(&[mirror.boxed()], start()).await.unwrap_err();
    assert!(matches!(error, TrustError::Root { .. }), "{error}");
    assert!(asked.lock().unwrap().is_empty());
}

/// The client writes the state's two files one after the other. The next refresh repairs the result
/// of a kill in between.
#[tokio::test]
async fn a_kill_between_the_two_files_of_the_state_does_no_harm() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let client = Client::new(&publisher);
    client.accepts(publisher.mirror("before"), start()).await;
    let old_root = std::fs::read(client.state().join("root.json")).unwrap();
    let rotation = Rotation { replace: KeyRole::ALL.to_vec(), ..Rotation::default() };
    publisher.project.rotate(&rotation, &publisher.keyring(), start()).unwrap().run().unwrap();
    publisher.publish("1.1.0");
    let repository = client.accepts(publisher.mirror("after"), start()).await;
    std::fs::write(client.state().join("root.json"), old_root).unwrap();
    assert!(client.trust.cached().is_none());
    assert_eq!(client.accepts(publisher.mirror("after"), start()).await, repository);
    assert_eq!(client.trust.cached(), Some(repository));
}

/// Only the trusted state can stop a refresh on this side, and the error names the file.
#[tokio::test]
async fn a_state_that_cannot_be_written_is_named() {
    let publisher = Publisher::new();
    let client = Client::new(&publisher);
    std::fs::write(client.state(), "a file where a folder should be").unwrap();
    let error = client.refresh([publisher.mirror("mirror")], start()).await.unwrap_err();
    assert!(matches!(error, TrustError::File(_)) && error.to_string().contains("trust"), "{error}");
    assert_eq!(error.fault(), None);
}
