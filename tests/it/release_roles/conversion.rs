//! `kuzflow convert-metadata`: through the executable, on a repository with all releases in the
//! targets role, and what installed launchers of both kinds find after each step.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kuzflow::testing::publish::Terms;

use super::*;
use crate::support::client::mirror_patches;
use crate::support::published::options;
use crate::support::release::{Reply, kuzflow, text, tree};

fn convert(publisher: &Publisher, arguments: &[&str]) -> Reply {
    let repo = publisher.project.folder();
    kuzflow(&[&["convert-metadata", "--repo", text(repo)], arguments].concat())
}

fn form(reply: &Reply) -> (i32, &str, &str) {
    let word = |name: &str| reply.result[name].as_str().unwrap_or_default();
    (reply.code, word("status"), word("after"))
}

/// What a launcher from before there were roles for releases reads: the targets role itself, and
/// the list of all packs.
fn old_launcher_sees(publisher: &Publisher) -> (usize, usize) {
    let mirror = publisher.mirror("old");
    let releases = mirror_targets(&mirror).signed.targets;
    let releases = releases.keys().filter(|name| name.raw().ends_with(".kuzflow")).count();
    (releases, mirror_patches(&mirror).0.signed.targets.len())
}

/// Takes the documents of the roles for releases out of what `client` has stored.
fn forget_roles(client: &Client) {
    let path = client.folder.path().join("trust/metadata.json");
    let mut stored: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(stored.as_object_mut().unwrap().remove("roles").is_some());
    std::fs::write(&path, stored.to_string()).unwrap();
}

/// A publisher whose releases need this launcher, as of so many days ago.
fn old_repository(days_ago: i64, launcher: Option<&str>) -> Publisher {
    let mut publisher = Publisher::with(&options(), Timestamp::now() - days(days_ago));
    publish(&publisher, &["1.0.0", "1.1.0", "1.2.0"]);
    let mut package = publisher.package("1.3.0", "the newest ");
    package.release.minimum_launcher = launcher.map(|version| version.parse().unwrap());
    let (keyring, now) = (publisher.keyring(), publisher.now);
    publisher.project.publish(&[package], &keyring, now).unwrap().run().unwrap();
    publisher.now = Timestamp::now();
    publisher.project.refresh(&publisher.keyring(), publisher.now).unwrap().run().unwrap();
    publisher.add_packs(&[publisher.pack("1.2.0", "1.3.0", b"pack")]);
    publisher
}

#[tokio::test]
async fn a_repository_is_converted_by_two_steps_and_no_launcher_loses_a_release() {
    let publisher = old_repository(40, Some("0.1.0"));
    let now = publisher.now;
    let client = installation(&publisher, "stable");
    assert_eq!(versions(&client.accepts(publisher.mirror("before"), now).await).len(), 4);

    let files = |publisher: &Publisher| tree(&publisher.project.repository());
    let before = files(&publisher);
    let dry = convert(&publisher, &[]);
    assert_eq!(form(&dry), (0, "dry_run", "both"), "{}", dry.errors);
    assert_eq!(files(&publisher), before, "nothing is changed");
    let early = convert(&publisher, &["--drop-old", "--write"]);
    assert_eq!(early.code, 1);
    assert!(early.errors.contains("without --drop-old"), "{}", early.errors);

    let added = convert(&publisher, &["--write"]);
    assert_eq!(form(&added), (0, "done", "both"), "{}", added.errors);
    assert_eq!(old_launcher_sees(&publisher), (4, 1));
    let repository = client.accepts(publisher.mirror("both"), now).await;
    assert_eq!((versions(&repository).len(), packs(&repository).len()), (4, 1));
    // What a launcher that knew no roles has stored counts at once when a newer one takes its place.
    forget_roles(&client);
    assert_eq!(versions(&client.trust.cached().unwrap()).len(), 4);
    let again = convert(&publisher, &["--write"]);
    assert_eq!(form(&again), (3, "nothing_to_do", "both"), "{}", again.errors);
    // Both go on with what is published now.
    publish(&publisher, &["1.4.0"]);
    publisher.add_packs(&[publisher.pack("1.3.0", "1.4.0", b"another")]);
    assert_eq!(old_launcher_sees(&publisher), (5, 2));
    let repository = client.accepts(publisher.mirror("both"), now).await;
    assert_eq!((versions(&repository).len(), packs(&repository).len()), (5, 2));

    let refused = convert(&publisher, &["--drop-old", "--write"]);
    assert_eq!(refused.code, 1, "1.4.0 needs no new launcher");
    for word in ["1.4.0", "30 days", "--minimum-launcher 0.1.0"] {
        assert!(refused.errors.contains(word), "{word}: {}", refused.errors);
    }
}

#[tokio::test]
async fn the_old_list_is_dropped_once_no_launcher_needs_it() {
    let young = old_repository(10, Some("0.1.0"));
    assert_eq!(convert(&young, &["--write"]).code, 0);
    assert_eq!(convert(&young, &["--drop-old", "--write"]).code, 1, "10 days are too few");
    let done = convert(&young, &["--drop-old", "--after-days", "7", "--write"]);
    assert_eq!(form(&done), (0, "done", "roles"), "{}", done.errors);

    let publisher = old_repository(40, Some("0.1.0"));
    let client = installation(&publisher, "stable");
    client.accepts(publisher.mirror("single"), publisher.now).await;
    assert_eq!(convert(&publisher, &["--write"]).code, 0);
    let done = convert(&publisher, &["--drop-old", "--write"]);
    assert_eq!(form(&done), (0, "done", "roles"), "{}", done.errors);
    assert_eq!(old_launcher_sees(&publisher), (0, 0));
    let repository = client.accepts(publisher.mirror("roles"), publisher.now).await;
    assert_eq!(versions(&repository), ["1.2.0", "1.3.0"]);
    assert_eq!(packs(&repository).len(), 1);
    forget_roles(&client);
    assert!(client.trust.cached().is_none(), "only a check can tell what is offered");
    let listed: BTreeMap<_, _> = publisher
        .project
        .releases()
        .unwrap()
        .into_iter()
        .map(|release| (release.container.version.to_string(), release))
        .collect();
    assert_eq!(listed.len(), 4);
    // The publisher goes on as before.
    let terms = Terms::default();
    let package = publisher.package("1.4.0", "after it ");
    let (keyring, now) = (publisher.keyring(), publisher.now);
    publisher.project.publish_on(&terms, &[package], &keyring, now).unwrap().0.run().unwrap();
    let repository = client.accepts(publisher.mirror("later"), now).await;
    assert_eq!(versions(&repository), ["1.3.0", "1.4.0"]);
}
