//! The names of the roles that hold releases and patch packs: one role for each app, channel and
//! platform and each part of its releases.
//!
//! In: a kind of release, or a role's name. Out: the role's name, or what it holds. Never: a
//! document; whether a role is trusted.

use crate::model::platform::{AppName, Platform};
use crate::model::release::Release;

/// The name of the delegated role that signs all patch packs of a repository whose releases are in
/// the targets role.
pub(crate) const PATCHES_ROLE: &str = "patches";

/// The name of the delegated role that moves rollouts within the plans that the offline keys signed.
pub(crate) const ROLLOUT_ROLE: &str = "rollout";
/// How the names of its targets end.
pub(crate) const WORD_SUFFIX: &str = ".rollout";

/// What a role of a kind of release holds; the role's name ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RolePart {
    /// The releases that some installation may be offered.
    Offer,
    /// All other releases.
    History,
    /// Patch packs to releases that are offered.
    Patches,
    /// Moves of rollouts: one role for the whole repository.
    Words,
}

impl RolePart {
    /// Those that each kind of release has, in the order in which a search visits them.
    pub(crate) const OF_A_KIND: [Self; 3] = [Self::Offer, Self::History, Self::Patches];

    /// The part that the role of this name holds; `None` for any other role.
    pub(crate) fn of(role: &str) -> Option<Self> {
        if role == ROLLOUT_ROLE {
            return Some(Self::Words);
        }
        let (_, ending) = role.rsplit_once('.')?;
        Self::OF_A_KIND.into_iter().find(|part| part.ending() == ending)
    }

    /// Whether nothing can be offered without it.
    pub(crate) const fn holds_releases(self) -> bool {
        matches!(self, Self::Offer | Self::History)
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::History => "history",
            Self::Patches => PATCHES_ROLE,
            Self::Words => ROLLOUT_ROLE,
        }
    }
}

/// App, channel and platform: an installation is offered only releases of its own kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReleaseKind {
    pub(crate) app: AppName,
    pub(crate) channel: String,
    pub(crate) platform: Platform,
}

impl ReleaseKind {
    /// The kind of a release.
    pub(crate) fn of(release: &Release) -> Self {
        Self {
            app: release.container.app.clone(),
            channel: release.channel.clone(),
            platform: release.container.platform.clone(),
        }
    }

    /// The name of the role that holds this part.
    pub(crate) fn role(&self, part: RolePart) -> String {
        format!("{}.{}.{}.{}", self.app, self.channel, self.platform, part.ending())
    }

    /// Whether a role holds releases for this app and platform, in whatever channel.
    pub(super) fn is_of_any_channel(&self, role: &str) -> bool {
        let rest = role.strip_prefix(self.app.as_str()).and_then(|rest| rest.strip_prefix('.'));
        let rest = rest.and_then(|rest| rest.rsplit_once('.'));
        rest.is_some_and(|(rest, _)| rest.ends_with(&format!(".{}", self.platform)))
    }
}

/// App, channel and platform in the name of a role, for messages: where both the app and the
/// channel have dots, the name does not say which of them has which.
pub(super) fn kind_in_name(role: &str) -> Option<[String; 3]> {
    RolePart::of(role)?;
    let (rest, _) = role.rsplit_once('.')?;
    let (rest, platform) = rest.rsplit_once('.')?;
    let (app, channel) = rest.rsplit_once('.')?;
    Some([app, channel, platform].map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(app: &str, channel: &str) -> ReleaseKind {
        ReleaseKind {
            app: app.parse().unwrap(),
            channel: channel.to_owned(),
            platform: "Linux_x86_64".parse().unwrap(),
        }
    }

    #[test]
    fn a_roles_name_says_what_it_holds() {
        let role = kind("sample", "stable").role(RolePart::Offer);
        assert_eq!(role, "sample.stable.Linux_x86_64.offer");
        assert_eq!(RolePart::of(&role), Some(RolePart::Offer));
        assert_eq!(kind_in_name(&role).unwrap(), ["sample", "stable", "Linux_x86_64"]);
        let dotted = kind("org.example.sample", "stable").role(RolePart::History);
        assert_eq!(kind_in_name(&dotted).unwrap()[0], "org.example.sample");
        assert_eq!(RolePart::of("rollout"), Some(RolePart::Words));
        for other in ["patches", "a.b.rollout", "offer", "role1", "a.b.offers", ""] {
            assert_eq!(RolePart::of(other), None, "{other}");
        }
    }
}
