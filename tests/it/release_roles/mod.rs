//! Repositories with roles for each app, channel and platform: what a check reads of them, what
//! their publisher changes, and the conversion of older repositories.

#[cfg(target_os = "linux")]
mod bytes;
#[cfg(target_os = "linux")]
mod conversion;
mod thief;
mod words;

use jiff::Timestamp;
use kuzflow::testing::publish::{
    KeyRole, RenewalOptions, Retirement, RolloutChange, Rotation, Selection, Terms,
};
use kuzflow::testing::trust::Trust;

use crate::support::client::{Client, mirror_snapshot, mirror_targets, packs, versions};
use crate::support::published::{Publisher, days, options_with_roles, start};

const OFFER: &str = "sample.stable.Linux_x86_64.offer";
const HISTORY: &str = "sample.stable.Linux_x86_64.history";
const PATCHES: &str = "sample.stable.Linux_x86_64.patches";

fn publisher() -> Publisher {
    Publisher::with(&options_with_roles(), start())
}

fn publish(publisher: &Publisher, versions: &[&str]) {
    versions.iter().for_each(|version| publisher.publish(version));
}

/// Publishes a version in the channel `beta`.
fn publish_beta(publisher: &Publisher, version: &str) {
    let mut package = publisher.package(version, "beta ");
    package.release.channel = "beta".to_owned();
    let transaction = publisher.project.publish(&[package], &publisher.keyring(), publisher.now);
    transaction.unwrap().run().unwrap();
}

/// An installation of `sample` for Linux in this channel.
fn installation(publisher: &Publisher, channel: &str) -> Client {
    let Client { folder, trust } = Client::new(publisher);
    Client { folder, trust: of_kind(trust, channel) }
}

fn of_kind(trust: Trust, channel: &str) -> Trust {
    trust.for_kind(&"sample".parse().unwrap(), channel, &"Linux_x86_64".parse().unwrap())
}

/// The documents that `client` asks for, without their folder.
async fn asked(client: &Client, publisher: &Publisher, now: Timestamp) -> Vec<String> {
    let mirror = publisher.mirror("mirror");
    let asked = mirror.asked.clone();
    client.accepts(mirror, now).await;
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    asked.iter().map(|location| location.trim_start_matches("metadata/").to_owned()).collect()
}

#[tokio::test]
async fn a_check_reads_what_is_offered_to_it_and_nothing_else() {
    let publisher = publisher();
    publish(&publisher, &["1.0.0", "1.1.0", "1.2.0"]);
    publish_beta(&publisher, "2.0.0");
    let client = installation(&publisher, "stable");
    let first = asked(&client, &publisher, start()).await;
    let names: Vec<&str> =
        first.iter().map(|name| name.trim_start_matches(|c: char| c.is_ascii_digit())).collect();
    let (offer, patches) = (format!(".{OFFER}.json"), format!(".{PATCHES}.json"));
    assert_eq!(
        names,
        [".root.json", "timestamp.json", ".snapshot.json", ".targets.json", &offer, &patches]
    );
    let known = client.trust.cached().unwrap();
    assert_eq!(versions(&known), ["1.1.0", "1.2.0"]);
    assert!(known.lacks_history);
    assert_eq!(known.others, [["sample", "beta", "Linux_x86_64"]]);

    assert_eq!(asked(&client, &publisher, start()).await, ["2.root.json", "timestamp.json"]);
    // A release of another channel changes nothing here but the snapshot.
    publish_beta(&publisher, "2.1.0");
    let after = asked(&client, &publisher, start()).await;
    assert_eq!(after.len(), 3, "{after:?}");
    publish(&publisher, &["1.3.0"]);
    let after = asked(&client, &publisher, start()).await;
    assert_eq!(after.len(), 4, "root, timestamp, snapshot, offer: {after:?}");
    assert!(after[3].ends_with(&offer), "{after:?}");
    assert_eq!(versions(&client.trust.cached().unwrap()), ["1.2.0", "1.3.0"]);

    // A person who names a release asks for history, and that does not disturb later checks.
    let all = Client { trust: client.trust.clone().with_history(), ..client };
    let after = asked(&all, &publisher, start()).await;
    let history = |name: &&String| name.ends_with(".history.json");
    assert_eq!(after.iter().filter(history).count(), 2, "of both channels: {after:?}");
    let everything = all.trust.cached().unwrap();
    assert_eq!(versions(&everything), ["1.0.0", "1.1.0", "1.2.0", "1.3.0", "2.0.0", "2.1.0"]);
    assert!(!everything.lacks_history);
    let client = Client { trust: of_kind(all.trust.clone(), "stable"), ..all };
    assert_eq!(asked(&client, &publisher, start()).await, ["2.root.json", "timestamp.json"]);
    assert_eq!(versions(&client.trust.cached().unwrap()), ["1.2.0", "1.3.0"]);
}

/// Whatever the publisher does, a client that reads everything sees the same in both forms.
#[tokio::test]
async fn both_forms_say_the_same_after_every_change() {
    let publishers = Publisher::of_each_form();
    let clients = publishers.each_ref().map(Client::new);
    let same = async |what: &str, now: Timestamp| {
        let mut seen = Vec::new();
        for (publisher, client) in publishers.iter().zip(&clients) {
            let repository = client.accepts(publisher.mirror(what), now).await;
            let listed = publisher.project.releases().unwrap();
            assert_eq!(listed.len(), repository.releases.len(), "{what}");
            let releases: Vec<_> =
                repository.releases.iter().map(|signed| signed.release.clone()).collect();
            seen.push((releases, packs(&repository)));
        }
        assert_eq!(seen[0], seen[1], "{what}");
        seen.swap_remove(1)
    };
    let each = |change: &dyn Fn(&Publisher)| publishers.iter().for_each(change);
    each(&|publisher| publish(publisher, &["1.0.0", "1.1.0", "1.2.0", "1.3.0"]));
    same("published", start()).await;
    each(&|publisher| {
        publisher.add_packs(&[
            publisher.pack("1.2.0", "1.3.0", b"forth"),
            publisher.pack("1.1.0", "1.2.0", b"between"),
        ]);
    });
    let (_, found) = same("packs", start()).await;
    assert_eq!(found.len(), 2);
    each(&|publisher| {
        let (version, keyring) = ("1.0.0".parse().unwrap(), publisher.keyring());
        let halted =
            publisher.project.set_rollout(&version, RolloutChange::Halt, &keyring, publisher.now);
        halted.unwrap().run().unwrap();
    });
    let (releases, _) = same("halted", start()).await;
    assert!(releases[0].halted, "a release of the past can be halted too");
    each(&|publisher| {
        let rotation = Rotation { replace: KeyRole::ALL.to_vec(), ..Rotation::default() };
        let rotated = publisher.project.rotate(&rotation, &publisher.keyring(), publisher.now);
        rotated.unwrap().run().unwrap();
    });
    same("rotated", start()).await;
    // The same release comes into another channel.
    each(&|publisher| {
        let terms = Terms { channel: Some("beta".to_owned()), again: true, ..Terms::default() };
        let package = publisher.package("1.3.0", "content of 1.3.0 ");
        let moved =
            publisher.project.publish_on(&terms, &[package], &publisher.keyring(), publisher.now);
        moved.unwrap().0.run().unwrap();
    });
    let (releases, found) = same("moved", start()).await;
    assert_eq!((releases[3].channel.as_str(), found.len()), ("beta", 2));
    each(&|publisher| {
        let retirement = Retirement {
            selection: Selection::Versions(vec!["1.1.0".parse().unwrap()]),
            platform: None,
            channel: None,
            keep_files: false,
        };
        let retired = publisher.project.retire(&retirement, &publisher.keyring(), publisher.now);
        retired.unwrap().0.run().unwrap();
    });
    let (releases, _) = same("retired", start()).await;
    assert_eq!(releases.len(), 3);
    // Half a year later, and a whole one.
    for (day, targets) in [(200, false), (350, true)] {
        let now = start() + days(day);
        each(&|publisher| {
            let options = RenewalOptions { root: targets, targets, at_least: 0 };
            let renewal = publisher.project.renew(options, &publisher.keyring(), now).unwrap();
            assert!(renewal.left.is_empty(), "{:?}", renewal.left);
            renewal.transaction.run().unwrap();
        });
        same("renewed", now + days(1)).await;
    }
    same("a year later", start() + days(356)).await;
}

/// The targets document names no release, so that it stays as it is.
#[tokio::test]
async fn a_publish_changes_no_document_of_others() {
    let publisher = publisher();
    publish(&publisher, &["1.0.0", "1.1.0"]);
    let before = mirror_targets(&publisher.mirror("before"));
    assert!(before.signed.targets.is_empty(), "{:?}", before.signed.targets.keys());
    publish(&publisher, &["1.2.0", "1.3.0"]);
    assert_eq!(mirror_targets(&publisher.mirror("after")).signed.version, before.signed.version);
}

/// The snapshot names a role by its version alone. After a restore from a backup the publisher signs
/// under numbers that no client has seen, so that nobody takes a document of before for a new one.
#[tokio::test]
async fn after_a_restore_no_number_means_two_documents() {
    let publisher = publisher();
    publish(&publisher, &["1.0.0", "1.1.0"]);
    let backup = publisher.fork();
    publish(&publisher, &["1.2.0", "1.3.0"]);
    let client = installation(&publisher, "stable");
    client.accepts(publisher.mirror("before"), start()).await;
    let seen = mirror_snapshot(&publisher.mirror("before")).signed.version.get();
    let options = RenewalOptions { at_least: seen + 1, ..RenewalOptions::default() };
    let renewal = backup.project.renew(options, &backup.keyring(), start()).unwrap();
    renewal.transaction.run().unwrap();
    publish(&backup, &["1.2.1"]);
    let repository = client.accepts(backup.mirror("after"), start()).await;
    assert_eq!(versions(&repository), ["1.1.0", "1.2.1"]);
}

/// A list has eight packs at most, and those to the newest release stay.
#[tokio::test]
async fn a_list_of_packs_does_not_grow() {
    let publisher = publisher();
    let all: Vec<String> = (0..12).map(|minor| format!("1.{minor}.0")).collect();
    all.iter().for_each(|version| publisher.publish(version));
    let to_last: Vec<_> =
        all[..9].iter().map(|from| publisher.pack(from, "1.11.0", from.as_bytes())).collect();
    publisher.add_packs(&[publisher.pack("1.9.0", "1.10.0", b"to the one before")]);
    publisher.add_packs(&to_last[1..]);
    let listed = |publisher: &Publisher| {
        let known = publisher.project.patches().unwrap().into_iter();
        known.map(|pack| pack.patch.from.version.to_string()).collect::<Vec<_>>()
    };
    let eight: Vec<String> = all[1..9].to_vec();
    assert_eq!(listed(&publisher), eight);
    // One more comes, and that of the oldest goes.
    publisher.add_packs(&[publisher.pack("1.9.0", "1.11.0", b"one more")]);
    assert_eq!(listed(&publisher), all[2..10].to_vec());
    let folder = std::fs::read_dir(publisher.project.repository().join("targets")).unwrap();
    let files = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.filter(|name| name.ends_with(".kuzpatch")).count(), 8);
    let client = installation(&publisher, "stable");
    assert_eq!(packs(&client.accepts(publisher.mirror("m"), start()).await).len(), 8);
}
