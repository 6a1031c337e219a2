//! Tests of `model::audience`.

use serde_json::json;

use super::*;
use crate::model::release::Recall;

fn release(version: &str, permille: u16) -> SignedRelease {
    let container: ContainerId = format!("sample_{version}_Linux_x86_64").parse().unwrap();
    SignedRelease {
        target: format!("{container}.kuzflow"),
        length: 1,
        hash: Digest::of(b""),
        release: Release { container, rollout_permille: permille, ..Release::sample(version) },
    }
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// An installation of `current`, as far as the rest does not matter.
fn installation<'a>(current: Option<&'a Version>, platform: &'a Platform) -> Audience<'a> {
    static NO_WORDS: Words = Words::new();
    static UNKNOWN: SystemVersions =
        SystemVersions { windows: None, macos: None, glibc: None, kernel: None };
    Audience {
        app: "sample",
        platform,
        channel: "stable",
        current,
        installation_id: "i",
        skipped: &[],
        failed: &[],
        region: "Global",
        ring: "",
        system: &UNKNOWN,
        words: &NO_WORDS,
        now: "2026-12-05T00:00:00Z".parse().unwrap(),
    }
}

fn linux() -> Platform {
    "Linux_x86_64".parse().unwrap()
}

fn choose<'a>(
    releases: &'a [SignedRelease],
    current: Option<&str>,
    skipped: &[Version],
    id: &str,
) -> Choice<'a> {
    let (platform, current) = (linux(), current.map(version));
    Audience { installation_id: id, skipped, ..installation(current.as_ref(), &platform) }
        .choose(releases)
}

/// What an installation of 1.0.0 is offered, with some facts changed.
fn chosen<'a>(
    releases: &'a [SignedRelease],
    current: &str,
    change: impl Fn(Audience<'_>, &mut dyn FnMut(Audience<'_>)),
) -> Choice<'a> {
    let (platform, current) = (linux(), version(current));
    let mut found = Choice::Nothing;
    change(installation(Some(&current), &platform), &mut |audience| {
        found = audience.choose(releases);
    });
    found
}

#[test]
fn the_newest_newer_release_is_offered() {
    let releases = [release("1.0.0", 1000), release("1.10.0", 1000), release("1.9.0", 1000)];
    assert_eq!(choose(&releases, Some("1.0.0"), &[], "i"), Choice::Offer(&releases[1]));
    assert_eq!(choose(&releases, None, &[], "i"), Choice::Offer(&releases[1]));
    assert_eq!(choose(&releases, Some("1.10.0"), &[], "i"), Choice::UpToDate);
    assert_eq!(choose(&releases, Some("2.0.0"), &[], "i"), Choice::UpToDate);
    assert_eq!(
        choose(&releases, Some("1.9.0"), &[Version::new(1, 10, 0)], "i"),
        Choice::Skipped(&releases[1])
    );
}

#[test]
fn who_skips_a_version_is_not_offered_an_older_one_instead() {
    let mut releases = [release("1.1.0", 1000), release("1.2.0", 1000), release("1.3.0", 1000)];
    let skipped = [Version::new(1, 2, 0)];
    assert_eq!(put_aside(&releases, &[], &Words::new()), []);
    assert_eq!(
        put_aside(&releases, &skipped, &Words::new()),
        [Version::new(1, 1, 0), Version::new(1, 2, 0)]
    );
    let aside = put_aside(&releases, &skipped, &Words::new());
    assert_eq!(
        choose(&releases, Some("1.0.0"), &aside, "i"),
        Choice::Offer(&releases[2]),
        "the newer one is"
    );
    // The skipped release is withdrawn: the older one takes its place.
    releases[1].release.halted = true;
    assert_eq!(put_aside(&releases, &skipped, &Words::new()), [Version::new(1, 2, 0)]);
    releases[1].release.halted = false;
    releases[0].release.mandatory = true;
    assert_eq!(put_aside(&releases, &skipped, &Words::new()), [Version::new(1, 2, 0)]);
    assert_eq!(put_aside(&releases, &[Version::new(9, 9, 9)], &Words::new()), []);
}

#[test]
fn another_product_platform_or_channel_is_nothing() {
    let mut beta = release("2.0.0", 1000);
    beta.release.channel = "beta".to_owned();
    let mut windows = release("2.0.0", 1000);
    windows.release.container.platform = "Windows_AMD64".parse().unwrap();
    let mut other = release("2.0.0", 1000);
    other.release.container.app = "other".parse().unwrap();
    assert_eq!(choose(&[beta, windows, other], Some("1.0.0"), &[], "i"), Choice::Nothing);
}

#[test]
fn a_rollout_is_stable_and_only_grows() {
    let admitted = |permille: u16, id: &str| {
        matches!(choose(&[release("2.0.0", permille)], Some("1.0.0"), &[], id), Choice::Offer(_))
    };
    let ids: Vec<String> = (0..2000).map(|n| format!("installation-{n}")).collect();
    let share = ids.iter().filter(|id| admitted(250, id)).count();
    assert!((400..600).contains(&share), "{share} of 2000 in a rollout of a quarter");
    assert!(ids.iter().all(|id| !admitted(250, id) || admitted(500, id)));
    assert!(ids.iter().all(|id| !admitted(0, id) && admitted(1000, id)));
    let mut halted = release("2.0.0", 1000);
    halted.release.halted = true;
    assert!(matches!(choose(&[halted], Some("1.0.0"), &[], "i"), Choice::NotYet(_)));
}

#[test]
fn a_minimum_version_closes_the_direct_path() {
    let mut far = release("3.0.0", 1000);
    far.release.minimum_version = Some(Version::new(2, 0, 0));
    let releases = [far, release("2.0.0", 1000)];
    assert_eq!(choose(&releases, Some("1.0.0"), &[], "i"), Choice::Offer(&releases[1]));
    assert_eq!(choose(&releases, Some("2.0.0"), &[], "i"), Choice::Offer(&releases[0]));
}

#[test]
fn nobody_jumps_over_a_watershed() {
    let mut releases = [
        release("1.1.0", 1000),
        release("2.0.0", 1000),
        release("3.0.0", 1000),
        release("4.0.0", 1000),
    ];
    (releases[1].release.watershed, releases[2].release.watershed) = (true, true);
    assert_eq!(choose(&releases, Some("1.0.0"), &[], "i"), Choice::Offer(&releases[1]));
    assert_eq!(choose(&releases, Some("2.0.0"), &[], "i"), Choice::Offer(&releases[2]));
    assert_eq!(choose(&releases, Some("2.5.0"), &[], "i"), Choice::Offer(&releases[2]));
    assert_eq!(choose(&releases, Some("3.0.0"), &[], "i"), Choice::Offer(&releases[3]));
    assert_eq!(
        choose(&releases, None, &[], "i"),
        Choice::Offer(&releases[3]),
        "nothing to convert"
    );
    // Nor where it is not to be had: what comes behind it relies on it.
    releases[1].release.halted = true;
    assert_eq!(choose(&releases, Some("1.0.0"), &[], "i"), Choice::Offer(&releases[0]));
    assert_eq!(choose(&releases, Some("1.1.0"), &[], "i"), Choice::NotYet(&releases[1]));
    releases[1].release.halted = false;
    let skipped = [version("2.0.0")];
    assert_eq!(choose(&releases, Some("1.1.0"), &skipped, "i"), Choice::Skipped(&releases[1]));
    releases[1].release.recalled = Some(Recall { to: version("1.1.0"), reason: BTreeMap::new() });
    assert_eq!(choose(&releases, Some("1.1.0"), &[], "i"), Choice::NotYet(&releases[1]));
}

#[test]
fn an_old_system_is_offered_the_newest_release_that_it_can_run() {
    let mut releases = [release("1.1.0", 1000), release("2.0.0", 1000)];
    releases[1].release.system = serde_json::from_value(json!({"glibc": "2.28"})).unwrap();
    let of = |glibc: &str, current: &str| {
        let system = serde_json::from_value(json!({ "glibc": glibc })).unwrap();
        chosen(&releases, current, |audience, ask| ask(Audience { system: &system, ..audience }))
    };
    assert_eq!(of("2.28", "1.0.0"), Choice::Offer(&releases[1]));
    assert_eq!(of("2.17", "1.0.0"), Choice::Offer(&releases[0]));
    let too_old = SystemTooOld { needed: "glibc 2.28".into(), found: "glibc 2.17".into() };
    assert_eq!(of("2.17", "1.1.0"), Choice::SystemTooOld(&releases[1], too_old));
    assert_eq!(of("2.17", "2.0.0"), Choice::UpToDate);
    assert_eq!(choose(&releases, Some("1.0.0"), &[], "i"), Choice::Offer(&releases[1]), "unknown");
    // A release that is not open to this installation says nothing about its system.
    releases[1].release.rollout_permille = 0;
    let system = serde_json::from_value(json!({"glibc": "2.17"})).unwrap();
    let closed =
        chosen(&releases, "1.1.0", |audience, ask| ask(Audience { system: &system, ..audience }));
    assert_eq!(closed, Choice::NotYet(&releases[1]));
}

#[test]
fn who_has_a_recalled_release_is_sent_to_the_named_one_and_others_are_not_offered_it() {
    let mut releases = [release("1.0.0", 1000), release("2.0.0", 1000)];
    releases[1].release.recalled = Some(Recall { to: version("1.0.0"), reason: BTreeMap::new() });
    let back = Choice::Recalled { bad: &releases[1], to: &releases[0] };
    assert_eq!(choose(&releases, Some("2.0.0"), &[], "i"), back);
    assert_eq!(choose(&releases, Some("2.0.0"), &[version("1.0.0")], "i"), back, "mandatory");
    assert_eq!(choose(&releases, Some("0.9.0"), &[], "i"), Choice::Offer(&releases[0]));
    assert_eq!(choose(&releases, Some("1.0.0"), &[], "i"), Choice::UpToDate);
    // What may not take its place, does not.
    let failed = [version("1.0.0")];
    let here =
        chosen(&releases, "2.0.0", |audience, ask| ask(Audience { failed: &failed, ..audience }));
    assert_eq!(here, Choice::Withdrawn(&releases[1]));
    let with = |change: &dyn Fn(&mut Release)| {
        let mut changed = releases.clone();
        change(&mut changed[0].release);
        matches!(choose(&changed, Some("2.0.0"), &[], "i"), Choice::Withdrawn(_))
    };
    assert!(with(&|to| to.halted = true));
    assert!(with(
        &|to| to.recalled = Some(Recall { to: version("0.9.0"), reason: BTreeMap::new() })
    ));
    assert!(with(&|to| to.channel = "beta".to_owned()), "another channel's");
    let mut fixed = releases.to_vec();
    fixed[0].release.halted = true;
    fixed.push(release("2.1.0", 1000));
    assert_eq!(choose(&fixed, Some("2.0.0"), &[], "i"), Choice::Offer(&fixed[2]));
}

#[test]
fn a_recall_to_what_was_recalled_since_leads_on_and_a_circle_ends() {
    let recall = |to: &str| Some(Recall { to: version(to), reason: BTreeMap::new() });
    let mut releases = [release("1.0.0", 1000), release("2.0.0", 1000), release("3.0.0", 1000)];
    releases[2].release.recalled = recall("2.0.0");
    releases[1].release.recalled = recall("1.0.0");
    let back = Choice::Recalled { bad: &releases[2], to: &releases[0] };
    assert_eq!(choose(&releases, Some("3.0.0"), &[], "i"), back);
    let mut circle = releases.clone();
    circle[1].release.recalled = recall("3.0.0");
    assert_eq!(choose(&circle, Some("3.0.0"), &[], "i"), Choice::Withdrawn(&circle[2]));
}

#[test]
fn who_has_left_a_channel_still_hears_of_a_recall_there() {
    let recall = Recall { to: version("2.0.0"), reason: BTreeMap::new() };
    let mut releases = [release("1.0.0", 1000), release("2.0.0", 1000), release("2.1.0", 1000)];
    for beta in &mut releases[1..] {
        beta.release.channel = "beta".to_owned();
    }
    let ahead = version("2.1.0");
    let is_recalled = |releases: &[SignedRelease], version: &Version| {
        let (platform, current) = (linux(), None);
        installation(current, &platform).has_recalled(releases, version)
    };
    assert_eq!(choose(&releases, Some("2.1.0"), &[], "i"), Choice::UpToDate);
    assert_eq!(is_recalled(&releases, &ahead), Some(false), "or no more");
    assert_eq!(is_recalled(&releases, &version("3.0.0")), None);
    releases[2].release.recalled = Some(recall);
    let within = Choice::Recalled { bad: &releases[2], to: &releases[1] };
    assert_eq!(choose(&releases, Some("2.1.0"), &[], "i"), within);
    assert_eq!(is_recalled(&releases, &ahead), Some(true));
    // Where that channel has nothing to take its place, it is only known to be recalled.
    let mut alone = releases.clone();
    alone[1].release.halted = true;
    assert_eq!(choose(&alone, Some("2.1.0"), &[], "i"), Choice::Withdrawn(&alone[2]));
    assert_eq!(choose(&releases[1..], Some("2.1.0"), &[], "i"), within, "an empty channel");
    // What the followed channel has taken over is its own matter.
    let mut in_both = releases.to_vec();
    in_both.push(release("2.1.0", 1000));
    assert_eq!(choose(&in_both, Some("2.1.0"), &[], "i"), Choice::UpToDate);
    assert_eq!(is_recalled(&in_both, &ahead), Some(false));
}

#[test]
fn a_recall_forward_passes_no_watershed() {
    let recall = Recall { to: version("3.0.0"), reason: BTreeMap::new() };
    let mut releases = [release("1.0.0", 1000), release("2.0.0", 1000), release("3.0.0", 1000)];
    releases[0].release.recalled = Some(recall);
    let forward = Choice::Recalled { bad: &releases[0], to: &releases[2] };
    assert_eq!(choose(&releases, Some("1.0.0"), &[], "i"), forward);
    let mut parted = releases.clone();
    parted[1].release.watershed = true;
    assert_eq!(choose(&parted, Some("1.0.0"), &[], "i"), Choice::Offer(&parted[1]));
    let mut transaction = releases.clone();
    transaction[2].release.minimum_version = Some(version("2.0.0"));
    assert_eq!(choose(&transaction, Some("1.0.0"), &[], "i"), Choice::Offer(&transaction[1]));
}

#[test]
fn a_word_recalls_only_where_the_plan_says_and_a_plan_reaches_whom_it_names() {
    let mut releases = [release("1.0.0", 1000), release("2.0.0", 10)];
    let plan = json!({
        "stages": [{"permille": 1000}], "begins": "2026-12-01T00:00:00Z",
        "only": {"rings": ["insiders"], "from": ">=1, <2"},
    });
    releases[1].release.plan = Some(serde_json::from_value(plan.clone()).unwrap());
    let in_ring = |releases: &[SignedRelease], ring: &str, current: &str, words: &Words| {
        let found =
            chosen(releases, current, |audience, ask| ask(Audience { ring, words, ..audience }));
        match found {
            Choice::Offer(offer) => offer.release.container.version.to_string(),
            Choice::Recalled { to, .. } => format!("back to {}", to.release.container.version),
            other => format!("{other:?}").split('(').next().unwrap_or_default().to_owned(),
        }
    };
    let none = Words::new();
    assert_eq!(in_ring(&releases, "insiders", "1.0.0", &none), "2.0.0");
    assert_eq!(in_ring(&releases, "", "1.0.0", &none), "NotYet");
    assert_eq!(in_ring(&releases, "insiders", "0.9.0", &none), "1.0.0");
    let word = RolloutWord { sequence: 1, recalled: true, ..RolloutWord::default() };
    let words = Words::from([(version("2.0.0"), word)]);
    assert_eq!(in_ring(&releases, "", "2.0.0", &words), "UpToDate", "the plan names no version");
    let mut named = plan;
    named["recall_to"] = "1.0.0".into();
    releases[1].release.plan = Some(serde_json::from_value(named).unwrap());
    assert_eq!(in_ring(&releases, "", "2.0.0", &words), "back to 1.0.0");
    assert_eq!(in_ring(&releases, "", "2.0.0", &none), "UpToDate");
    let halted =
        Words::from([(version("2.0.0"), RolloutWord { halted: true, ..RolloutWord::default() })]);
    assert_eq!(in_ring(&releases, "insiders", "1.0.0", &halted), "NotYet");
}
