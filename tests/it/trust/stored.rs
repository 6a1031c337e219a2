//! What a launcher has verified before, as it is stored.

use super::*;

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
