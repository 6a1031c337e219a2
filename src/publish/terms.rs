//! The terms on which a release is offered: channel, share, halt, mandatory, oldest version and
//! notes. The first publication decides them, and only an explicit request changes them.
//!
//! In: the present request, and the published releases. Out: the values to sign, and remarks for
//! the publisher. Never: a file, a signature.

use std::fmt;

use crate::model::launcher::own_version;
use crate::model::rollout_plan::RolloutPlan;
use crate::model::system::SystemVersions;
use crate::model::{ContainerId, Launcher, Release, Version};

/// The terms that the publisher requests; `None` requests nothing.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The channel of the release.
    pub channel: Option<String>,
    /// Share of installations that may see it, in thousandths.
    pub rollout_permille: Option<u16>,
    /// Whether the update is mandatory.
    pub mandatory: Option<bool>,
    /// The oldest installed version that may move here directly.
    pub minimum_version: Option<Version>,
    /// The oldest launcher that can install it.
    pub minimum_launcher: Option<Version>,
    /// How it reaches more installations step by step.
    pub plan: Option<RolloutPlan>,
    /// Whether the plan names no beginning, and so has that of its version on another platform.
    pub plan_begins_with_others: bool,
    /// Whether older installations pass through it before they are offered a newer one.
    pub watershed: Option<bool>,
    /// The oldest systems that it runs on.
    pub system: Option<SystemVersions>,
    /// Whether to change a published release: exactly the values given here.
    pub again: bool,
}

/// The result for one package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    New,
    /// It is published already, and stays as it is.
    Retained,
    /// It is published already, and its terms change.
    Changed,
}

/// A remark for the publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A new package takes the terms of the same version on another platform.
    Inherited {
        /// The terms that it takes over.
        what: String,
    },
    /// A requested value has no effect, since the release is published.
    Ignored {
        /// The option with the requested value.
        option: &'static str,
        /// The published value, which stays.
        stays: String,
        /// The command that would change it.
        remedy: &'static str,
    },
    /// kuzflow.toml has other rules for hot updates by now; they hold for new versions only.
    RulesRetained,
    /// The release reaches no installation, or fewer than it seems.
    Unreached(String),
}

const ROLLOUT: &str = "kuzflow rollout";
const AGAIN: &str = "kuzflow publish --again";
const NEW_NOTES: &str = "kuzflow publish --again --notes FILE";

/// Decides the terms of `release`, a package as it was built. `published` is its signed
/// description, `siblings` are the packages of the same version for other platforms. `notes_differ`
/// says whether the given notes differ from the published ones; nothing else about notes matters
/// here.
pub(super) fn decide(
    release: &mut Release,
    terms: &Terms,
    published: Option<&Release>,
    siblings: &[&Release],
    notes_differ: bool,
) -> (Standing, Vec<Remark>) {
    let terms = &in_step(terms, siblings);
    let Some(published) = published else {
        return (Standing::New, begin(release, terms, siblings));
    };
    if !terms.again {
        let remarks = ignored(terms, published, notes_differ);
        *release = published.clone();
        return (Standing::Retained, remarks);
    }
    *release = published.clone();
    apply(release, terms);
    (Standing::Changed, Vec::new())
}

/// The same terms with the plan of the version on another platform, if it differs in its beginning
/// alone and nobody has asked for another one: a server moves all platforms of a version by one plan.
fn in_step(terms: &Terms, siblings: &[&Release]) -> Terms {
    let asked = terms.plan.as_ref().filter(|_| terms.plan_begins_with_others);
    let others = siblings.iter().filter_map(|sibling| sibling.plan.as_ref());
    let same =
        asked.and_then(|asked| others.into_iter().find(|other| asked.differs_in_time(other)));
    Terms { plan: same.or(terms.plan.as_ref()).cloned(), ..terms.clone() }
}

fn apply(release: &mut Release, terms: &Terms) {
    let Terms { channel, rollout_permille, mandatory, minimum_version, minimum_launcher, .. } =
        terms;
    let Terms { plan, watershed, system, .. } = terms;
    release.channel = channel.clone().unwrap_or_else(|| release.channel.clone());
    if let Some(share) = rollout_permille {
        follow_share(release, *share);
    }
    if let Some(plan) = plan {
        follow_plan(release, plan.clone());
    }
    release.watershed = watershed.unwrap_or(release.watershed);
    release.system = system.map_or(release.system, |system| system.of(&release.container.platform));
    release.mandatory = mandatory.unwrap_or(release.mandatory);
    release.minimum_version = minimum_version.clone().or(release.minimum_version.take());
    release.minimum_launcher = minimum_launcher.clone().or(release.minimum_launcher.take());
}

/// One share for all, at once: a plan ends with it.
pub(super) fn follow_share(release: &mut Release, permille: u16) {
    (release.rollout_permille, release.plan) = (permille, None);
}

/// A plan. A launcher that knows no plans stays with the share of the stage that is signed as
/// reached, until the plan ends.
pub(super) fn follow_plan(release: &mut Release, plan: RolloutPlan) {
    if let Some(stage) = plan.stages().get(plan.signed_stage()) {
        release.rollout_permille = stage.permille;
    }
    release.plan = Some(plan);
}

/// The terms of a new package. The terms of its version on another platform hold here as well: a
/// version that was withdrawn for one system must not return by way of another.
fn begin(release: &mut Release, terms: &Terms, siblings: &[&Release]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut inherit = |what: String| remarks.push(Remark::Inherited { what });
    if let Some(first) = siblings.first() {
        if siblings.iter().any(|sibling| sibling.halted) {
            release.halted = true;
            inherit("halted".to_owned());
        }
        if let Some(bad) = siblings.iter().find(|sibling| sibling.recalled.is_some()) {
            release.recalled = bad.recalled.clone();
            inherit("recalled".to_owned());
        }
        if siblings.iter().all(|sibling| sibling.watershed) && terms.watershed.is_none() {
            release.watershed = true;
            inherit("watershed".to_owned());
        }
        let share = siblings
            .iter()
            .map(|sibling| sibling.rollout_permille)
            .min()
            .unwrap_or(release.rollout_permille);
        let asks = terms.rollout_permille.is_some() || terms.plan.is_some();
        if let Some(plan) = siblings.iter().find_map(|sibling| sibling.plan.clone())
            && !asks
        {
            follow_plan(release, plan);
            inherit("its plan".to_owned());
        } else if share != release.rollout_permille && !asks {
            release.rollout_permille = share;
            inherit(percent(share));
        }
        let same_channel = siblings.iter().all(|sibling| sibling.channel == first.channel);
        if same_channel && terms.channel.is_none() && release.channel != first.channel {
            release.channel = first.channel.clone();
            inherit(format!("channel {}", first.channel));
        }
        if siblings.iter().all(|sibling| sibling.mandatory)
            && terms.mandatory.is_none()
            && !release.mandatory
        {
            release.mandatory = true;
            inherit("mandatory".to_owned());
        }
    }
    apply(release, terms);
    remarks
}

/// The requested values that differ from the published ones.
fn ignored(terms: &Terms, published: &Release, notes_differ: bool) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut ignore =
        |option, stays, remedy| remarks.push(Remark::Ignored { option, stays, remedy });
    if terms.rollout_permille.is_some_and(|share| share != published.rollout_permille) {
        ignore(
            "--rollout",
            format!("its share stays {}", percent(published.rollout_permille)),
            ROLLOUT,
        );
    }
    if terms.channel.as_ref().is_some_and(|channel| *channel != published.channel) {
        ignore("--channel", format!("it stays in the channel {}", published.channel), AGAIN);
    }
    if terms.mandatory.is_some_and(|mandatory| mandatory != published.mandatory) {
        let stays = if published.mandatory { "it stays mandatory" } else { "it stays optional" };
        ignore("--mandatory", stays.to_owned(), AGAIN);
    }
    if terms.plan.is_some() && terms.plan != published.plan {
        let stays = if published.plan.is_some() { "its plan stays" } else { "it has no plan" };
        ignore("--plan", stays.to_owned(), ROLLOUT);
    }
    if terms.watershed.is_some_and(|watershed| watershed != published.watershed) {
        let stays = if published.watershed { "it stays a watershed" } else { "it stays none" };
        ignore("--watershed", stays.to_owned(), AGAIN);
    }
    let of_platform = |system: SystemVersions| system.of(&published.container.platform);
    if terms.system.is_some_and(|system| of_platform(system) != published.system) {
        ignore("--system", "the systems it needs stay".to_owned(), AGAIN);
    }
    let other =
        |asked: &Option<Version>, stands: &Option<Version>| asked.is_some() && asked != stands;
    let stays = |stands: &Option<Version>| {
        stands.as_ref().map_or("there is none".to_owned(), |version| format!("it stays {version}"))
    };
    if other(&terms.minimum_version, &published.minimum_version) {
        ignore("--minimum-version", stays(&published.minimum_version), AGAIN);
    }
    if other(&terms.minimum_launcher, &published.minimum_launcher) {
        ignore("--minimum-launcher", stays(&published.minimum_launcher), AGAIN);
    }
    if notes_differ {
        ignore("--notes", "its notes stay as they are".to_owned(), NEW_NOTES);
    }
    remarks
}

/// Why `release` reaches no installation, or fewer than it seems, among the `others` that are
/// published with it. `usual_channel` is the channel of releases for which the publisher names
/// none.
pub(super) fn reach(
    release: &Release,
    others: &[&Release],
    launchers: &[Launcher],
    usual_channel: &str,
) -> Vec<Remark> {
    let container = &release.container;
    let same = |other: &&&Release| {
        let found = &other.container;
        found.app == container.app
            && found.platform == container.platform
            && other.channel == release.channel
            && found != container
    };
    let others: Vec<&Release> = others.iter().filter(same).copied().collect();
    let version = &container.version;
    let is_first_in_channel = others.is_empty() && release.channel != usual_channel;
    let reasons = [
        unknown_to_old_launchers(release),
        behind_a_newer(version, &others),
        held_back(release),
        without_a_step(release, &others),
        without_a_launcher(release, launchers),
        is_first_in_channel.then(|| {
            format!(
                "{version} is the first release in the channel {}: only launchers whose launcher.toml names this channel, or whose user has chosen it, are offered it",
                release.channel
            )
        }),
    ];
    reasons.into_iter().flatten().map(Remark::Unreached).collect()
}

/// What launchers of an earlier kuzflow do not know, and do not obey.
fn unknown_to_old_launchers(release: &Release) -> Option<String> {
    let version = &release.container.version;
    let own = own_version();
    if release.minimum_launcher.as_ref().is_some_and(|minimum| *minimum >= own) {
        return None;
    }
    let keeps_out = format!("--minimum-launcher {own} has them update themselves first");
    if release.watershed {
        Some(format!(
            "launchers that were built before watersheds go past {version}: for them, publish what comes after it with --minimum-version {version}"
        ))
    } else if !release.system.is_none() {
        Some(format!(
            "launchers that were built before minimum systems install {version} on any system: {keeps_out}"
        ))
    } else {
        None
    }
}

/// A newer release that is offered instead.
fn behind_a_newer(version: &Version, others: &[&Release]) -> Option<String> {
    let newer = others.iter().filter(|other| {
        other.container.version > *version && !other.halted && other.rollout_permille > 0
    });
    let newer = newer.max_by(|a, b| a.container.version.cmp(&b.container.version))?;
    let newest = &newer.container.version;
    let is_for_all = newer.rollout_permille == 1000 && newer.plan.is_none();
    let whom = if is_for_all && newer.minimum_version.is_none() {
        "nobody will be offered".to_owned()
    } else {
        format!("only installations that may not have {newest} yet will be offered")
    };
    let hint = if version.is_pre_release() && newest.is_pre_release() && is_glued(version) {
        "; write rc.9 and rc.10: a number that stands alone behind a dot is compared as a number"
    } else {
        ""
    };
    Some(format!("{newest} is newer than {version}, so {whom} {version}{hint}"))
}

/// The release itself is offered to nobody.
fn held_back(release: &Release) -> Option<String> {
    let version = &release.container.version;
    if let Some(recall) = &release.recalled {
        Some(format!("{version} is recalled to {}: nobody is offered it", recall.to))
    } else if release.halted {
        Some(format!("{version} is halted: nobody is offered it until `{ROLLOUT} --resume`"))
    } else if release.rollout_permille == 0 {
        Some(format!(
            "the share of {version} is 0 %: nobody is offered it until `{ROLLOUT} --percent N`"
        ))
    } else {
        None
    }
}

/// No older release reaches its minimum version.
fn without_a_step(release: &Release, others: &[&Release]) -> Option<String> {
    let (version, minimum) = (&release.container.version, release.minimum_version.as_ref()?);
    let mut versions = others.iter().map(|other| &other.container.version);
    let has_step = versions.any(|other| other >= minimum && other < version);
    (!has_step).then(|| {
        format!(
            "no older release is {minimum} or newer: only first installations will be offered {version}"
        )
    })
}

/// No launcher that can install it is published.
fn without_a_launcher(release: &Release, launchers: &[Launcher]) -> Option<String> {
    let (container, minimum) = (&release.container, release.minimum_launcher.as_ref()?);
    let published = launchers.iter().filter(|launcher| launcher.platform == container.platform);
    let newest = published.map(|launcher| &launcher.version).max();
    newest.is_none_or(|newest| newest < minimum).then(|| {
        format!(
            "no launcher {minimum} is published for {}: launchers that are older cannot install {} until \
             `kuzflow publish-launcher` brings one",
            container.platform, container.version
        )
    })
}

/// A remark on the first release of an app if the settings beside the launcher name another app,
/// for example after a change of the name in kuzflow.toml alone.
pub(super) fn for_another_app(
    release: &Release,
    others: &[&Release],
    shipped: &str,
) -> Option<Remark> {
    let app = &release.container.app;
    let is_other =
        |other: &&Release| other.container.app == *app && other.container != release.container;
    if app.to_string() == shipped || others.iter().any(is_other) {
        return None;
    }
    Some(Remark::Unreached(format!(
        "launcher/launcher.toml is for {shipped}, and this is the first release of {app}: write \
         app = \"{app}\" there before you ship it"
    )))
}

/// Whether letters and digits stand together in its pre-release part, as in `rc10`: such words are
/// compared as text.
fn is_glued(version: &Version) -> bool {
    let text = version.to_string();
    let parts = text
        .split_once('-')
        .map(|(_, after)| after.split('+').next().unwrap_or_default())
        .unwrap_or_default();
    parts.split('.').any(|part| {
        part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

/// A share as text for people.
pub(crate) fn percent(permille: u16) -> String {
    format!("{} %", f64::from(permille) / 10.0)
}

/// The state of a release in a few words: `stable, 10 %, halted`.
pub(crate) fn in_words(release: &Release) -> String {
    let share = match &release.plan {
        None => percent(release.rollout_permille),
        Some(plan) => planned(plan),
    };
    let mut words = vec![release.channel.clone(), share];
    words.extend(release.watershed.then(|| "watershed".to_owned()));
    words.extend(release.recalled.as_ref().map(|recall| format!("recalled to {}", recall.to)));
    words.extend(release.halted.then(|| "halted".to_owned()));
    words.extend(release.mandatory.then(|| "mandatory".to_owned()));
    words.join(", ")
}

/// A plan in a few words: `plan of 1 %, 10 %, 100 %`, with the stage that is signed as reached.
fn planned(plan: &RolloutPlan) -> String {
    let shares: Vec<String> = plan.stages().iter().map(|stage| percent(stage.permille)).collect();
    let reached = match plan.signed_stage() {
        0 => String::new(),
        stage => format!(" from stage {}", stage + 1),
    };
    format!("plan of {}{reached}", shares.join(", "))
}

impl Remark {
    /// The text of the remark, about `container`.
    pub fn about(&self, container: &ContainerId) -> String {
        match self {
            Self::Unreached(text) => text.clone(),
            other => format!("{container}: {other}"),
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherited { what } => {
                write!(f, "{what}, as for the other platforms of this version")
            }
            Self::Ignored { option, stays, remedy } => {
                write!(
                    f,
                    "{option} is not applied to what is published: {stays}; `{remedy}` changes it"
                )
            }
            Self::RulesRetained => f.write_str(
                "its rules for hot updates (hot_swap_modules, critical_files) stay as they were published; those of kuzflow.toml now hold \
                 from the next version on",
            ),
            Self::Unreached(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests;
