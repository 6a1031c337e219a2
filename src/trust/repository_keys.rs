//! Whether the root that a launcher ships belongs to the repository that its home trusts. Two
//! publishers may give their apps the same name, and then both launchers find one home.
//!
//! Publishers replace keys, so no single key is the mark of a repository. But each root is signed
//! by keys of the one before it: so the keys of all roots that a home has trusted are remembered,
//! and a shipped root of the same repository has one of them.
//!
//! In: the shipped root, the trusted one, the remembered keys. Out: whether they belong together.
//! Never: decides what is trusted. Nothing here is verified: the answer only keeps a launcher from
//! work on somebody else's app.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The ids of the keys that a root names, or that signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RootKeys {
    version: u64,
    keys: BTreeSet<String>,
}

impl RootKeys {
    /// The keys of a `root.json`; `None` if it is none.
    pub(super) fn of(root: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            signed: Content,
            signatures: Vec<Signature>,
        }
        #[derive(Deserialize)]
        struct Content {
            version: u64,
            keys: BTreeMap<String, IgnoredAny>,
        }
        #[derive(Deserialize)]
        struct Signature {
            keyid: String,
        }
        let Document { signed, signatures } = serde_json::from_slice(root).ok()?;
        let signers = signatures.into_iter().map(|signature| signature.keyid);
        Some(Self {
            version: signed.version,
            keys: signed.keys.into_keys().chain(signers).collect(),
        })
    }

    /// Whether this shipped root belongs to the repository whose newest root is `trusted`.
    /// `remembered` are the keys of the roots before that; an earlier launcher left none.
    pub(super) fn belong_to(&self, trusted: &Self, remembered: Option<&BTreeSet<String>>) -> bool {
        let is_known = |key: &String| {
            trusted.keys.contains(key) || remembered.is_some_and(|keys| keys.contains(key))
        };
        // A root is signed by keys of the root before it. Between two that are further apart all
        // keys may have been replaced: then nothing refutes it, and a check decides.
        let is_next = self.version.abs_diff(trusted.version) <= 1;
        self.keys.iter().any(is_known) || !is_next
    }

    pub(super) fn into_keys(self) -> BTreeSet<String> {
        self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(version: u64, keys: &[&str]) -> RootKeys {
        RootKeys { version, keys: keys.iter().map(|key| (*key).to_owned()).collect() }
    }

    #[test]
    fn the_keys_of_a_root_are_those_it_names_and_those_that_signed_it() {
        let json = br#"{"signed": {"version": 2, "keys": {"a": {}}, "roles": {}},
            "signatures": [{"keyid": "a", "sig": ""}, {"keyid": "b", "sig": ""}]}"#;
        assert_eq!(RootKeys::of(json), Some(root(2, &["a", "b"])));
        assert_eq!(RootKeys::of(b""), None);
        assert_eq!(RootKeys::of(b"{\"signed\": {}}"), None);
    }

    #[test]
    fn another_publishers_root_has_no_key_in_common() {
        let none = BTreeSet::new();
        for (shipped, trusted) in [(1, 1), (1, 2), (2, 1), (3, 3)] {
            let (shipped, trusted) = (root(shipped, &["b"]), root(trusted, &["a"]));
            assert!(!shipped.belong_to(&trusted, Some(&none)), "{shipped:?}");
            assert!(!shipped.belong_to(&trusted, None), "{shipped:?}");
        }
    }

    #[test]
    fn roots_that_are_further_apart_refute_nothing() {
        let none = BTreeSet::new();
        assert!(root(3, &["b"]).belong_to(&root(1, &["a"]), Some(&none)), "a newer installer");
        assert!(root(1, &["b"]).belong_to(&root(7, &["a"]), Some(&none)), "an older installer");
    }

    #[test]
    fn keys_that_were_replaced_are_remembered() {
        let trusted = root(3, &["e", "f"]);
        let remembered: BTreeSet<String> = ["a", "b"].map(str::to_owned).into();
        assert!(root(1, &["a", "c"]).belong_to(&trusted, Some(&remembered)), "an older launcher");
        assert!(root(3, &["e"]).belong_to(&trusted, Some(&remembered)), "the same root");
        assert!(root(4, &["f", "g"]).belong_to(&trusted, Some(&remembered)), "signed by the last");
        assert!(root(1, &["z"]).belong_to(&trusted, None), "a home of an earlier launcher");
    }
}
