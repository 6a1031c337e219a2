//! Bundles as a client verifies them: flipped bits, rollbacks, replaced keys, expiry; and as a
//! publisher makes them.

use std::path::{Path, PathBuf};

use kuzflow::testing::publish::bundle::BundleRequest;
use kuzflow::testing::publish::{KeyRole, PublishError, Rotation};
use kuzflow::testing::trust::{Bundle, Freshness, Judged, MirrorFaultKind, TrustError};

use crate::support::client::{Client, versions};
use crate::support::published::{Publisher, days, start};

const REQUIRED: Freshness = Freshness::Required;

fn request(version: &str) -> BundleRequest {
    BundleRequest { version: version.parse().unwrap(), platforms: Vec::new(), channel: None }
}

fn bundled(publisher: &Publisher, version: &str) -> PathBuf {
    let out =
        publisher.folder.path().join(format!("{version}-{}.kuzflow-bundle", fastrand::u64(..)));
    publisher.project.bundle(&request(version), &out).unwrap();
    out
}

async fn judge(
    client: &Client,
    file: &Path,
    day: i64,
    freshness: Freshness,
) -> Result<Judged, TrustError> {
    client.trust.judge(&Bundle::open(file).unwrap(), start() + days(day), freshness).await
}

fn kind(result: Result<Judged, TrustError>) -> Option<MirrorFaultKind> {
    result.unwrap_err().fault()
}

#[tokio::test]
async fn a_bundle_is_worth_as_much_as_a_mirror() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    publisher.publish("1.1.0");
    let file = bundled(&publisher, "1.1.0");
    let bundle = Bundle::open(&file).unwrap();
    let client = Client::new(&publisher);
    let judged = client.trust.judge(&bundle, start(), REQUIRED).await.unwrap();
    assert_eq!(
        (versions(&judged.repository), judged.older),
        (vec!["1.0.0".to_owned(), "1.1.0".to_owned()], false)
    );
    assert_eq!(client.trust.cached().unwrap(), judged.repository, "it is remembered");
    // The bundle contains only the requested release, with its notes.
    let release = &judged.repository.releases[1];
    let place = bundle.place(&release.location()).unwrap();
    assert_eq!(kuzflow::testing::model::Digest::of(&bundle.read(&place).unwrap()), release.hash);
    assert_eq!(bundle.place(&judged.repository.releases[0].location()), None);
    let notes =
        judged.repository.read_small(&bundle, &release.release.notes["en"], 1 << 20).await.unwrap();
    assert!(notes.starts_with(b"# 1.1.0\n"));
    // A root that only signs itself is not trusted.
    let stranger = Client::new(&Publisher::new());
    assert_eq!(kind(judge(&stranger, &file, 0, REQUIRED).await), Some(MirrorFaultKind::NotTrusted));
}

#[tokio::test]
async fn no_flipped_bit_of_the_metadata_is_believed() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let file = bundled(&publisher, "1.0.0");
    let whole = std::fs::read(&file).unwrap();
    let true_one = judge(&Client::new(&publisher), &file, 0, REQUIRED).await.unwrap().repository;
    let targets = Bundle::open(&file).unwrap().place(&true_one.releases[0].location()).unwrap();
    let (mut refused, mut tried) = (0, 0);
    for at in (0..usize::try_from(targets.start).unwrap()).step_by(29) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&file, bytes).unwrap();
        tried += 1;
        let client = Client::new(&publisher);
        let judged = match Bundle::open(&file) {
            Ok(bundle) => client.trust.judge(&bundle, start(), REQUIRED).await.ok(),
            Err(_) => None,
        };
        match judged {
            // The bit belonged to padding, or to a document that is not needed.
            Some(judged) => {
                assert_eq!(judged.repository, true_one, "a flipped bit at {at} was believed")
            }
            None => {
                refused += 1;
                assert!(client.trust.cached().is_none(), "what was refused at {at} is remembered");
            }
        }
    }
    assert!(refused * 3 > tried, "{refused} of {tried} are refused");
}

/// docs/security.md, fault 4: version numbers never go back, and a withdrawn release stays
/// withdrawn.
#[tokio::test]
async fn an_old_bundle_is_judged_by_newer_metadata() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    publisher.publish("1.1.0");
    let old = bundled(&publisher, "1.1.0");
    publisher.publish("1.2.0");
    let new = bundled(&publisher, "1.2.0");
    let client = Client::new(&publisher);
    let newest = judge(&client, &new, 0, REQUIRED).await.unwrap().repository;
    let judged = judge(&client, &old, 0, REQUIRED).await.unwrap();
    assert!(judged.older && judged.genuine);
    assert_eq!(judged.repository, newest);
    let forged = Publisher::new();
    forged.publish("1.1.0");
    assert!(!judge(&client, &bundled(&forged, "1.1.0"), 0, REQUIRED).await.unwrap().genuine);
    assert_eq!(client.trust.cached().unwrap(), newest, "nothing older is stored");
    // The trusted metadata has expired as well: the client asks the same question as for a new
    // bundle.
    let error = judge(&client, &old, 8, REQUIRED).await.unwrap_err();
    assert!(error.expired().unwrap().waivable);
    assert!(judge(&client, &old, 8, Freshness::Waived).await.unwrap().older);
    // An attacker who makes an old bundle look new gains nothing. A client that knows the newer
    // documents uses them; for another one the old documents do not fit.
    publisher.project.refresh(&publisher.keyring(), start()).unwrap().run().unwrap();
    let fresh = bundled(&publisher, "1.2.0");
    let parts = |file: &Path| (Bundle::open(file).unwrap(), std::fs::read(file).unwrap());
    let ((fresh, fresh_bytes), (stale, mut bytes)) = (parts(&fresh), parts(&old));
    let [from, to] =
        [&fresh, &stale].map(|bundle| bundle.place("metadata/timestamp.json").unwrap());
    let range = |span: &std::ops::Range<u64>| span.start as usize..span.end as usize;
    assert_eq!(
        from.end - from.start,
        to.end - to.start,
        "the same length, so it can be put in its place"
    );
    bytes[range(&to)].copy_from_slice(&fresh_bytes[range(&from)]);
    std::fs::write(&old, bytes).unwrap();
    let judged = judge(&client, &old, 0, REQUIRED).await.unwrap().repository;
    assert_eq!(
        (&judged.releases, judged.versions.targets),
        (&newest.releases, newest.versions.targets)
    );
    assert!(judge(&Client::new(&publisher), &old, 0, REQUIRED).await.is_err());
}

#[tokio::test]
async fn replaced_keys_make_older_bundles_old_and_not_evil() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let old = bundled(&publisher, "1.0.0");
    let rotation =
        Rotation { replace: vec![KeyRole::Timestamp, KeyRole::Snapshot], ..Rotation::default() };
    publisher.project.rotate(&rotation, &publisher.keyring(), start()).unwrap().run().unwrap();
    publisher.publish("1.1.0");
    let new = bundled(&publisher, "1.1.0");
    // The bundle has the chain of roots from the shipped one.
    let client = Client::new(&publisher);
    assert_eq!(judge(&client, &new, 0, REQUIRED).await.unwrap().repository.versions.root, 2);
    let judged = judge(&client, &old, 0, REQUIRED).await.unwrap();
    assert_eq!((judged.older, judged.repository.versions.root), (true, 2));
}

#[tokio::test]
async fn age_can_be_accepted_and_the_end_of_the_root_or_the_targets_cannot() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let file = bundled(&publisher, "1.0.0");
    for (day, accepted) in [(6, true), (8, false), (40, false), (364, false)] {
        let client = Client::new(&publisher);
        let judged = judge(&client, &file, day, REQUIRED).await;
        assert_eq!(judged.is_ok(), accepted, "day {day}");
        if let Err(error) = judged {
            assert_eq!(
                (error.fault(), error.expired().unwrap().waivable),
                (Some(MirrorFaultKind::Expired), true),
                "day {day}"
            );
            assert!(client.trust.cached().is_none(), "what is refused is not remembered");
            assert!(judge(&client, &file, day, Freshness::Waived).await.is_ok(), "day {day}");
            // From then on the seen versions count.
            assert!(client.trust.cached().unwrap().expires < start() + days(day));
        }
    }
    let error = judge(&Client::new(&publisher), &file, 366, Freshness::Waived).await.unwrap_err();
    assert!(!error.expired().unwrap().waivable, "{error}");
    // A waiver accepts an old age, but no wrong signature.
    let stranger = Client::new(&Publisher::new());
    assert_eq!(
        kind(judge(&stranger, &file, 40, Freshness::Waived).await),
        Some(MirrorFaultKind::NotTrusted)
    );
}

#[test]
fn what_is_made_is_whole_and_always_the_same() {
    let publisher = Publisher::new();
    publisher.publish("1.0.0");
    let [one, two] = [bundled(&publisher, "1.0.0"), bundled(&publisher, "1.0.0")];
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    let out = publisher.folder.path().join("none.kuzflow-bundle");
    let make = |request: &BundleRequest| publisher.project.bundle(request, &out);
    assert!(matches!(make(&request("9.0.0")), Err(PublishError::NoSuchRelease { .. })));
    let elsewhere =
        BundleRequest { platforms: vec!["Windows_AMD64".parse().unwrap()], ..request("1.0.0") };
    let reported = |made: Result<_, PublishError>| made.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        reported(make(&elsewhere)),
        "1.0.0 is published for Linux_x86_64 (channel stable) only"
    );
    let beta = BundleRequest { channel: Some("beta".to_owned()), ..request("1.0.0") };
    assert!(reported(make(&beta)).contains("channel stable"));
    // The publisher's program notices a bit that the disk lost before it makes the bundle.
    let targets = std::fs::read_dir(publisher.project.repository().join("targets")).unwrap();
    let package = targets
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "kuzflow"))
        .unwrap();
    let mut bytes = std::fs::read(&package).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&package, bytes).unwrap();
    assert!(matches!(make(&request("1.0.0")), Err(PublishError::Damaged { .. })));
    let halt = kuzflow::testing::publish::RolloutChange::Halt;
    publisher
        .project
        .set_rollout(&"1.0.0".parse().unwrap(), halt, &publisher.keyring(), start())
        .unwrap()
        .run()
        .unwrap();
    assert!(matches!(make(&request("1.0.0")), Err(PublishError::Options(_))));
    assert!(!out.exists(), "a file that was not made to its end is not there");
}
