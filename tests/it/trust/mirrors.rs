//! Mirrors that are bad, endless or broken beside good ones.

use super::*;

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
