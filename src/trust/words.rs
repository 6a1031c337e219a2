//! The role that moves rollouts. The targets role delegates to it, with an online key, for names that
//! end in `.rollout` and nothing else.
//!
//! In: the verified document of the role. Out: its words, one for each version of an app. Never: a
//! release, a share or a version to go to: a word only chooses within the plan that the offline keys
//! signed. A fault of this role means that there are no words, and each rollout stays where its plan
//! begins.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::{TargetFile, TargetsBody};
use super::names::is_plain_name;
use super::release_roles::may_name;
use super::role_names::{ROLLOUT_ROLE, WORD_SUFFIX};
use crate::model::Version;
use crate::model::platform::AppName;
use crate::model::rollout_plan::RolloutWord;

/// The highest number of a word. A thief of the key could otherwise sign the last number that there
/// is, and nobody could move the rollout after him.
const HIGHEST_NUMBER: u64 = 1 << 32;

/// A word, and the version that it is about, on all platforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedWord {
    /// The app.
    pub app: AppName,
    /// The version.
    pub version: Version,
    /// The move.
    pub word: RolloutWord,
}

impl SignedWord {
    /// The name of the target that a word about this version has.
    pub(crate) fn target_name(app: &AppName, version: &Version) -> String {
        format!("{app}_{version}{WORD_SUFFIX}")
    }

    /// The word as it counts; of a list that has lapsed, the stops do, and no stage.
    pub(super) fn in_force(self, has_lapsed: bool) -> Self {
        let plan = self.word.plan.filter(|_| !has_lapsed);
        Self { word: RolloutWord { plan, ..self.word }, ..self }
    }

    /// The word in a target's description; an error text if there is none.
    pub(crate) fn read(name: &str, custom: Value) -> Result<Self, String> {
        let about = name.strip_suffix(WORD_SUFFIX).and_then(|name| name.rsplit_once('_'));
        let (app, version) = about.ok_or_else(|| "it names no version of an app".to_owned())?;
        let signed = Self {
            app: app.parse().map_err(|error| format!("its app: {error}"))?,
            version: version.parse().map_err(|error| format!("its version: {error}"))?,
            word: serde_json::from_value(custom).map_err(|error| error.to_string())?,
        };
        if signed.word.sequence > HIGHEST_NUMBER {
            return Err(format!("its number is above {HIGHEST_NUMBER}"));
        }
        let usual = Self::target_name(&signed.app, &signed.version);
        if usual == name { Ok(signed) } else { Err(format!("its name should be {usual}")) }
    }
}

/// The words in `list`. One that is unreadable, or that the role may not sign, is left out with a
/// warning.
pub(super) fn words(targets: &TargetsBody, list: &TargetsBody) -> Vec<SignedWord> {
    let mut words = Vec::new();
    for (name, target) in &list.targets {
        match read(targets, name, target) {
            Ok(word) => words.push(word),
            Err(reason) => tracing::warn!("the word {name:?} is left out: {reason}"),
        }
    }
    words
}

fn read(targets: &TargetsBody, name: &str, target: &TargetFile) -> Result<SignedWord, String> {
    // TUF's order: a delegated role cannot redefine a name that the delegating role itself names.
    if targets.targets.contains_key(name) {
        Err("the targets role names it as well".to_owned())
    } else if !is_plain_name(name) || !may_name(targets, ROLLOUT_ROLE, name) {
        Err(format!("the role {ROLLOUT_ROLE} may not sign such a name"))
    } else {
        SignedWord::read(name, target.custom.clone().into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn targets(value: Value) -> TargetsBody {
        serde_json::from_value(value).unwrap()
    }

    fn target(custom: Value) -> Value {
        json!({"length": 0, "hashes": {"sha256": "00".repeat(32)}, "custom": custom})
    }

    #[test]
    fn what_is_no_word_about_a_version_is_left_out() {
        let expires = "2999-01-01T00:00:00Z";
        let role = json!({"name": "rollout", "keyids": [], "threshold": 1, "paths": ["*.rollout"]});
        let own = json!({"x_3.0.0.rollout": target(json!({"sequence": 9, "stage": 9}))});
        let delegating = targets(json!({"version": 1, "expires": expires, "targets": own,
            "delegations": {"keys": {}, "roles": [role]}}));
        let good = json!({"sequence": 7, "stage": 1, "halted": true});
        let list = targets(json!({"version": 1, "expires": expires, "targets": {
            "my-app_2.0.0-rc.1.rollout": target(good.clone()),
            "x_3.0.0.rollout": target(good.clone()),
            "x_2.0.0.kuzflow": target(good.clone()),
            "x_2.0.rollout": target(good.clone()),
            "x.rollout": target(good),
            "x_2.0.0.rollout": target(json!({"sequence": 1, "stage": -1})),
            "x_2.0.1.rollout": target(json!({"sequence": 1, "stage": "all"})),
            "x_2.0.2.rollout": target(json!({})),
            "x_2.0.3.rollout": target(json!({"sequence": u64::MAX, "stage": 0, "halted": true})),
        }}));
        let found = words(&delegating, &list);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].app.as_str(), found[0].word.stage), ("my-app", 1));
        assert!(found[0].word.halted && !found[0].word.recalled);
        assert_eq!(found[0].version, "2.0.0-rc.1".parse().unwrap());
    }
}
