//! A thief with the online keys, and mirrors that serve what is old, against the roles for
//! releases: docs/security.md, faults 2 to 8.

use std::num::NonZeroU64;

use kuzflow::testing::trust::MirrorFaultKind;
use tough::TargetName;
use tough::schema::{Signed, Snapshot, Targets, Timestamp as TimestampRole};

use super::*;
use crate::support::client::next;
use crate::support::published::{Mirror, forge};

pub(super) fn version_of(mirror: &Mirror, role: &str) -> NonZeroU64 {
    mirror_snapshot(mirror).signed.meta[&format!("{role}.json")].version
}

fn document(mirror: &Mirror, role: &str) -> Signed<Targets> {
    mirror.document(&format!("{}.{role}.json", version_of(mirror, role)))
}

/// Puts another document of a role in place, signed with the keys of `signer`, under a new snapshot
/// and timestamp.
pub(super) fn put(
    mirror: &mut Mirror,
    publisher: &Publisher,
    role: &str,
    mut new: Targets,
    signer: &str,
) {
    new.version = next(version_of(mirror, role));
    let version = new.version;
    let signed = forge(new, &publisher.key_files(signer));
    let location = format!("metadata/{version}.{role}.json");
    mirror.files.insert(location, serde_json::to_vec(&signed).unwrap());
    rename(mirror, publisher, role, version);
}

/// Makes the snapshot name this version of a role's document.
pub(super) fn rename(mirror: &mut Mirror, publisher: &Publisher, role: &str, version: NonZeroU64) {
    let mut snapshot: Signed<Snapshot> = mirror_snapshot(mirror);
    snapshot.signed.version = next(snapshot.signed.version);
    snapshot.signed.meta.get_mut(&format!("{role}.json")).unwrap().version = version;
    let snapshot = forge(snapshot.signed, &publisher.key_files("snapshot"));
    mirror.put(&snapshot);
    let mut timestamp: Signed<TimestampRole> = mirror.document("timestamp.json");
    timestamp.signed.version = next(timestamp.signed.version);
    let entry = timestamp.signed.meta.get_mut("snapshot.json").unwrap();
    (entry.version, entry.length, entry.hashes) = (snapshot.signed.version, None, None);
    mirror.put(&forge(timestamp.signed, &publisher.key_files("timestamp")));
}

/// Releases for others in this one's role are left out, whoever signed them.
#[tokio::test]
async fn a_release_of_another_channel_platform_or_app_is_left_out() {
    let publisher = publisher();
    publish(&publisher, &["1.0.0", "1.1.0"]);
    publish_beta(&publisher, "2.0.0");
    let mut mirror = publisher.mirror("thief");
    let beta = document(&mirror, "sample.beta.Linux_x86_64.offer").signed;
    let (name, good) = beta.targets.iter().find(|(name, _)| name.raw().ends_with("flow")).unwrap();
    let mut offer = document(&mirror, OFFER).signed;
    offer.targets.insert(name.clone(), good.clone());
    for container in ["sample_3.0.0_Windows_AMD64", "other_3.0.0_Linux_x86_64"] {
        let mut release = good.clone();
        release.custom.get_mut("release").unwrap()["container"] = container.into();
        release.custom.get_mut("release").unwrap()["channel"] = "stable".into();
        offer.targets.insert(TargetName::new(format!("{container}.kuzflow")).unwrap(), release);
    }
    // Even with the right channel it is not the role of that platform.
    put(&mut mirror, &publisher, OFFER, offer, "targets");
    let client = installation(&publisher, "stable");
    let repository = client.accepts(mirror, start()).await;
    assert_eq!(versions(&repository), ["1.0.0", "1.1.0"]);
}

#[tokio::test]
async fn the_online_keys_sign_no_release() {
    let publisher = publisher();
    publish(&publisher, &["1.0.0", "1.1.0"]);
    let client = installation(&publisher, "stable");
    client.accepts(publisher.mirror("good"), start()).await;
    let release = {
        let offer = document(&publisher.mirror("m"), OFFER).signed;
        let found = offer
            .targets
            .iter()
            .find(|(name, _)| name.raw().contains("1.1.0_Linux_x86_64.kuzflow"));
        found.map(|(_, target)| target.clone()).unwrap()
    };
    let mut evil = release;
    evil.custom.get_mut("release").unwrap()["container"] = "sample_9.0.0_Linux_x86_64".into();
    let evil_name = TargetName::new("sample_9.0.0_Linux_x86_64.kuzflow").unwrap();

    // In the list of packs, which the thief may sign.
    let mut mirror = publisher.mirror("thief");
    let mut list = document(&mirror, PATCHES).signed;
    list.targets.insert(evil_name.clone(), evil.clone());
    put(&mut mirror, &publisher, PATCHES, list, "patches");
    let thief = mirror.clone();
    let repository = client.accepts(mirror, start()).await;
    assert_eq!(versions(&repository), ["1.0.0", "1.1.0"]);

    // In the offer, which he may not sign.
    for signer in ["patches", "snapshot", "timestamp"] {
        let mut mirror = thief.clone();
        let mut offer = document(&mirror, OFFER).signed;
        offer.targets.insert(evil_name.clone(), evil.clone());
        put(&mut mirror, &publisher, OFFER, offer, signer);
        client.refuses(mirror, start(), MirrorFaultKind::NotTrusted).await;
    }
}

/// The snapshot names versions without digests: they cannot go back, and no other document has the
/// same number.
#[tokio::test]
async fn an_old_offer_is_refused() {
    let publisher = publisher();
    publish(&publisher, &["1.0.0", "1.1.0"]);
    let old = publisher.mirror("old");
    publish(&publisher, &["1.2.0"]);
    let client = installation(&publisher, "stable");
    let now = publisher.mirror("now");
    client.accepts(now.clone(), start()).await;

    // A thief of the keys of snapshot and timestamp.
    let mut mirror = now.clone();
    rename(&mut mirror, &publisher, OFFER, version_of(&old, OFFER));
    client.refuses(mirror, start(), MirrorFaultKind::NotTrusted).await;

    // A mirror that serves the old one under the new name.
    let newcomer = installation(&publisher, "stable");
    let mut mirror = now.clone();
    let [was, is] =
        [&old, &now].map(|mirror| format!("metadata/{}.{OFFER}.json", version_of(mirror, OFFER)));
    *mirror.file(&is) = old.files[&was].clone();
    newcomer.refuses(mirror, start(), MirrorFaultKind::NotTrusted).await;
    // Another mirror has the right one.
    let mut lying = now.clone();
    lying.name = "liar".to_owned();
    *lying.file(&is) = old.files[&was].clone();
    let refreshed = newcomer.refresh([lying, now], start()).await.unwrap();
    assert_eq!(versions(&refreshed.repository), ["1.1.0", "1.2.0"]);
    assert_eq!(refreshed.faults.len(), 1);
}

/// A copy that is not whole yet: the release stays away, and what was known goes on.
#[tokio::test]
async fn an_offer_that_is_missing_is_a_copy_that_lags_behind() {
    let publisher = publisher();
    publish(&publisher, &["1.0.0"]);
    let client = installation(&publisher, "stable");
    client.accepts(publisher.mirror("first"), start()).await;
    publish(&publisher, &["1.1.0"]);
    let mut half = publisher.mirror("half");
    let offer = format!("metadata/{}.{OFFER}.json", version_of(&half, OFFER));
    half.files.remove(&offer);
    client.goes_on_without(half, start()).await;
    let repository = client.accepts(publisher.mirror("whole"), start()).await;
    assert_eq!(versions(&repository), ["1.0.0", "1.1.0"]);
    // A list of packs that is missing costs nothing but bytes.
    publisher.add_packs(&[publisher.pack("1.0.0", "1.1.0", b"pack")]);
    let mut half = publisher.mirror("half");
    let list = format!("metadata/{}.{PATCHES}.json", version_of(&half, PATCHES));
    half.files.remove(&list);
    let repository = client.accepts(half, start()).await;
    assert_eq!((versions(&repository).len(), packs(&repository).len()), (2, 0));
    // The history is not asked for.
    let mut without = publisher.mirror("without");
    let history = format!("metadata/{}.{HISTORY}.json", version_of(&without, HISTORY));
    without.files.remove(&history);
    assert_eq!(packs(&client.accepts(without, start()).await).len(), 1);
}
