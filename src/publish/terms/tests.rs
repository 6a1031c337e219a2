//! Tests of `publish::terms`.

use super::*;
use crate::model::HotSwap;

fn release(version: &str, platform: &str) -> Release {
    Release {
        container: format!("sample_{version}_{platform}").parse().unwrap(),
        ..Release::sample(version)
    }
}

fn linux(version: &str) -> Release {
    release(version, "Linux_x86_64")
}

fn systems() -> SystemVersions {
    serde_json::from_str(r#"{"glibc": "2.28", "windows": "10.0.17763"}"#).unwrap()
}

fn everything() -> Terms {
    Terms {
        channel: Some("Beta".to_owned()),
        rollout_permille: Some(500),
        mandatory: Some(true),
        minimum_version: Some(Version::new(0, 9, 0)),
        minimum_launcher: Some(Version::new(2, 0, 0)),
        plan: None,
        plan_begins_with_others: false,
        watershed: Some(true),
        system: Some(systems()),
        again: false,
    }
}

#[test]
fn a_plan_without_a_beginning_begins_with_its_version_elsewhere() {
    let plan = |begins: &str| -> Option<RolloutPlan> {
        let plan =
            serde_json::json!({"stages": [{"permille": 10}, {"permille": 1000}], "begins": begins});
        serde_json::from_value(plan).unwrap()
    };
    let (first, later) = (plan("2026-12-01T08:00:00Z"), plan("2026-12-01T08:05:00Z"));
    let sibling = Release { plan: first.clone(), ..release("1.0.0", "Windows_AMD64") };
    let decided = |asks_for_a_time: bool| {
        let terms = Terms {
            plan: later.clone(),
            plan_begins_with_others: !asks_for_a_time,
            ..Terms::default()
        };
        let mut new = linux("1.0.0");
        decide(&mut new, &terms, None, &[&sibling], false);
        new.plan
    };
    assert_eq!(decided(false), first);
    assert_eq!(decided(true), later);
}

#[test]
fn what_was_decided_stays_whatever_a_retry_says() {
    let published = Release { halted: true, rollout_permille: 100, ..linux("1.0.0") };
    for terms in [Terms::default(), everything()] {
        let mut again = linux("1.0.0");
        let (standing, remarks) = decide(&mut again, &terms, Some(&published), &[], false);
        assert_eq!((standing, &again), (Standing::Retained, &published));
        assert_eq!(remarks.len(), if terms.channel.is_some() { 7 } else { 0 }, "{remarks:?}");
    }
    let same = Terms {
        rollout_permille: Some(100),
        channel: Some("stable".to_owned()),
        ..Terms::default()
    };
    let (_, remarks) = decide(&mut linux("1.0.0"), &same, Some(&published), &[], true);
    assert_eq!(remarks.len(), 1, "what is as asked needs no remark: {remarks:?}");
    assert!(
        remarks[0].to_string().contains("--notes") && remarks[0].to_string().contains("--again")
    );
}

#[test]
fn again_changes_what_is_stated_and_nothing_else() {
    let published =
        Release { halted: true, rollout_permille: 100, mandatory: true, ..linux("1.0.0") };
    let change = |terms: Terms| {
        let mut release = linux("1.0.0");
        assert_eq!(decide(&mut release, &terms, Some(&published), &[], false).0, Standing::Changed);
        release
    };
    assert_eq!(change(Terms { again: true, ..Terms::default() }), published);
    let beta = change(Terms { again: true, channel: Some("beta".to_owned()), ..Terms::default() });
    assert_eq!(beta, Release { channel: "beta".to_owned(), ..published.clone() });
    let all = change(Terms { again: true, ..everything() });
    assert!(all.halted, "nothing but `rollout --resume` ends a halt");
    assert_eq!((all.rollout_permille, all.channel.as_str()), (500, "Beta"));
    assert!(!change(Terms { again: true, mandatory: Some(false), ..Terms::default() }).mandatory);
}

/// Whoever makes a release mandatory does not sign other rules for running apps along.
#[test]
fn again_leaves_the_rules_for_hot_updates() {
    let rules = |pattern: &str| {
        Some(HotSwap { modules: vec![pattern.parse().unwrap()], critical: Vec::new() })
    };
    let again = Terms { again: true, mandatory: Some(true), ..Terms::default() };
    for published in [rules("ui.*"), None] {
        let published = Release { hot_swap: published, ..linux("1.0.0") };
        let mut release = Release { hot_swap: rules("core.*"), ..linux("1.0.0") };
        decide(&mut release, &again, Some(&published), &[], false);
        assert_eq!(release, Release { mandatory: true, ..published });
    }
}

#[test]
fn another_platform_of_a_version_takes_its_terms() {
    let sibling = Release {
        halted: true,
        rollout_permille: 100,
        channel: "beta".to_owned(),
        ..linux("1.0.0")
    };
    let mut windows = release("1.0.0", "Windows_AMD64");
    let (standing, remarks) = decide(&mut windows, &Terms::default(), None, &[&sibling], false);
    assert_eq!((standing, remarks.len()), (Standing::New, 3));
    assert_eq!(
        (windows.halted, windows.rollout_permille, windows.channel.as_str()),
        (true, 100, "beta")
    );
    let mut stated = release("1.0.0", "Windows_AMD64");
    let terms = Terms {
        channel: Some("stable".to_owned()),
        rollout_permille: Some(1000),
        ..Terms::default()
    };
    decide(&mut stated, &terms, None, &[&sibling], false);
    assert_eq!(
        (stated.halted, stated.rollout_permille, stated.channel.as_str()),
        (true, 1000, "stable"),
        "said, but for the halt"
    );
}

#[test]
fn a_release_that_reaches_nobody_is_reported() {
    let reported = |release: &Release, others: &[&Release]| -> Vec<String> {
        reach(release, others, &[], "stable").iter().map(ToString::to_string).collect()
    };
    let fine = linux("1.1.0");
    assert_eq!(reported(&fine, &[&linux("1.0.0"), &release("2.0.0", "Windows_AMD64")]), [""; 0]);
    let [older] = &reported(&linux("1.0.0-rc10"), &[&linux("1.0.0-rc9")])[..] else { panic!() };
    assert!(
        older.contains("1.0.0-rc9 is newer") && older.contains("nobody") && older.contains("rc.10"),
        "{older}"
    );
    assert!(reported(&linux("1.0.0-rc.10"), &[&linux("1.0.0-rc.9")]).is_empty());
    assert!(reported(&linux("1.0.1"), &[&linux("2.0.0")])[0].contains("nobody"));
    let partly = Release { rollout_permille: 100, ..linux("2.0.0") };
    assert!(reported(&linux("1.0.1"), &[&partly])[0].contains("only installations"));
    let halted = Release { halted: true, ..linux("2.0.0") };
    assert!(reported(&linux("1.0.1"), &[&halted]).is_empty());
    assert!(reported(&halted, &[]).iter().any(|text| text.contains("--resume")));
    assert!(reported(&Release { rollout_permille: 0, ..linux("1.0.0") }, &[])[0].contains("0 %"));
    let minimum = Release { minimum_version: Some(Version::new(9, 0, 0)), ..linux("2.0.0") };
    assert!(reported(&minimum, &[&linux("1.0.0")])[0].contains("only first installations"));
    let needs = Release { minimum_launcher: Some(Version::new(9, 0, 0)), ..linux("2.0.0") };
    assert!(reported(&needs, &[])[0].contains("publish-launcher"));
    assert!(
        reported(&Release { channel: "Stable".to_owned(), ..linux("2.0.0") }, &[&linux("1.0.0")])
            [0]
        .contains("channel")
    );
}

#[test]
fn the_first_release_of_another_app_than_the_launcher_is_for_is_reported() {
    let first = linux("1.0.0");
    let [remark] = &for_another_app(&first, &[&first], "other").into_iter().collect::<Vec<_>>()[..]
    else {
        panic!()
    };
    let text = remark.to_string();
    assert!(text.contains("is for other") && text.contains("app = \"sample\""), "{text}");
    assert_eq!(for_another_app(&first, &[], "sample"), None);
    let second = linux("1.1.0");
    assert_eq!(for_another_app(&second, &[&first, &second], "other"), None, "reported once");
}

#[test]
fn another_platform_is_recalled_and_rolled_out_as_the_first_and_has_its_own_system() {
    let plan: RolloutPlan = serde_json::from_value(serde_json::json!({
        "stages": [{"permille": 10}, {"permille": 1000}], "begins": "2026-12-01T00:00:00Z",
    }))
    .unwrap();
    let mut first = linux("2.0.0");
    let terms = Terms { plan: Some(plan), system: Some(systems()), ..Terms::default() };
    decide(&mut first, &terms, None, &[], false);
    assert_eq!(first.system, systems().of(&first.container.platform));
    assert_eq!(first.rollout_permille, 10, "for launchers that know no plans");
    assert!(in_words(&first).contains("plan of 1 %, 100 %"), "{}", in_words(&first));
    first.recalled =
        Some(crate::model::release::Recall { to: Version::new(1, 0, 0), reason: [].into() });
    let mut second = release("2.0.0", "Windows_AMD64");
    let (_, remarks) = decide(&mut second, &Terms::default(), None, &[&first], false);
    assert_eq!((&second.plan, &second.recalled), (&first.plan, &first.recalled));
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    let mut third = release("2.0.0", "Windows_AMD64");
    let share = Terms { rollout_permille: Some(500), ..Terms::default() };
    decide(&mut third, &share, None, &[&first], false);
    assert_eq!((third.plan, third.rollout_permille), (None, 500), "what is typed counts");
}
