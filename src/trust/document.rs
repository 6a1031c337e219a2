//! Signed documents: parsed, and accepted only if the required keys signed them.
//!
//! The signature is verified over the canonical form of the JSON that arrived, not over the part
//! that this program understands. So fields of a later version neither break a signature nor escape
//! it. `tough` verifies the signatures themselves.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Digest as _;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::Key;
use tough::schema::{Role, RoleKeys, RoleType, Root, Signed};

use super::error::{MirrorFaultKind, Refusal};
use super::role_names::PATCHES_ROLE;
use crate::model::Digest;

/// Documents as text, exactly as they arrived, so that digests can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Texts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) targets: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) patches: Option<String>,
    /// Documents of the delegated roles that hold releases and packs, by the role's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) roles: BTreeMap<String, String>,
}

impl Texts {
    /// The document of a delegated role.
    pub(super) fn role(&self, name: &str) -> Option<&str> {
        let own = self.patches.as_deref().filter(|_| name == PATCHES_ROLE);
        own.or_else(|| self.roles.get(name).map(String::as_str))
    }

    /// Remembers the document of a delegated role.
    pub(super) fn set_role(&mut self, name: &str, text: String) {
        if name == PATCHES_ROLE {
            self.patches = Some(text);
        } else {
            self.roles.insert(name.to_owned(), text);
        }
    }
}

/// A verified document of a role, and its text exactly as it arrived, since others name it by
/// digest.
#[derive(Clone, Debug)]
pub(super) struct TufDocument<T> {
    pub(super) text: String,
    pub(super) signed: T,
}

/// The content that a role signs.
pub(super) trait Body: DeserializeOwned {
    const ROLE: RoleType;
    /// The value of `_type`.
    const NAME: &'static str;
    fn version(&self) -> u64;
    fn expires(&self) -> Timestamp;
}

impl Body for Root {
    const ROLE: RoleType = RoleType::Root;
    const NAME: &'static str = "root";

    fn version(&self) -> u64 {
        self.version.get()
    }

    fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// The timestamp's document: it names the snapshot.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct TimestampBody(pub(super) MetaBody);

/// The snapshot's document: it names the targets.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct SnapshotBody(pub(super) MetaBody);

/// A document that names others.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct MetaBody {
    version: NonZeroU64,
    expires: Timestamp,
    pub(super) meta: BTreeMap<String, MetaFile>,
}

/// How one document names another.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct MetaFile {
    pub(super) version: NonZeroU64,
    #[serde(default)]
    pub(super) length: Option<u64>,
    #[serde(default)]
    pub(super) hashes: Option<Hashes>,
}

impl MetaFile {
    /// Whether these are the bytes that the entry names, as far as it gives length and digests.
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        self.length.is_none_or(|length| bytes.len() as u64 == length)
            && self.hashes.as_ref().is_none_or(|hashes| hashes.are_of(bytes))
    }

    /// The longest that the document may be, bytes; `most` if the entry gives no length.
    pub(super) fn limit(&self, most: u64) -> u64 {
        self.length.unwrap_or(most).min(most)
    }
}

impl Body for TimestampBody {
    const ROLE: RoleType = RoleType::Timestamp;
    const NAME: &'static str = "timestamp";

    fn version(&self) -> u64 {
        self.0.version.get()
    }

    fn expires(&self) -> Timestamp {
        self.0.expires
    }
}

impl Body for SnapshotBody {
    const ROLE: RoleType = RoleType::Snapshot;
    const NAME: &'static str = "snapshot";

    fn version(&self) -> u64 {
        self.0.version.get()
    }

    fn expires(&self) -> Timestamp {
        self.0.expires
    }
}

/// The document of the targets role, or of one that it delegates to.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TargetsBody {
    pub(super) version: NonZeroU64,
    pub(super) expires: Timestamp,
    pub(super) targets: BTreeMap<String, TargetFile>,
    #[serde(default)]
    pub(super) delegations: Option<Delegations>,
}

/// A file that a role signs.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TargetFile {
    pub(super) length: u64,
    pub(super) hashes: Hashes,
    #[serde(default)]
    pub(super) custom: BTreeMap<String, Value>,
}

/// A target's signed length and digest.
pub(super) fn signed_length_and_hash(target: &TargetFile) -> Result<(u64, Digest), String> {
    let hash = target.hashes.sha256().ok_or_else(|| "it has no SHA-256 digest".to_owned())?;
    Ok((target.length, hash))
}

impl Body for TargetsBody {
    const ROLE: RoleType = RoleType::Targets;
    const NAME: &'static str = "targets";

    fn version(&self) -> u64 {
        self.version.get()
    }

    fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// The roles that a role delegates to, and their keys.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Delegations {
    #[serde(default)]
    keys: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) roles: Vec<DelegatedRole>,
}

/// A role that another one delegates to.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct DelegatedRole {
    pub(super) name: String,
    keyids: Vec<Decoded<Hex>>,
    threshold: NonZeroU64,
    #[serde(default)]
    pub(super) paths: Option<Vec<String>>,
    #[serde(default)]
    pub(super) path_hash_prefixes: Option<Vec<String>>,
    #[serde(default)]
    pub(super) terminating: bool,
}

impl Delegations {
    /// The keys of `role` in the form of the top-level targets role's keys, so that both are
    /// verified in the same way.
    pub(super) fn keys_of(&self, role: &DelegatedRole) -> Root {
        let mut keys = HashMap::new();
        for (id, value) in &self.keys {
            // A key of an unknown kind, or under another id than its own, signs nothing here.
            let Ok(key) = Key::deserialize(value) else { continue };
            if let Ok(own) = key.key_id()
                && serde_json::from_value::<Decoded<Hex>>(Value::String(id.clone()))
                    .is_ok_and(|id| id == own)
            {
                keys.insert(own, key);
            }
        }
        let role = RoleKeys {
            keyids: role.keyids.clone(),
            threshold: role.threshold,
            _extra: HashMap::new(),
        };
        Root {
            spec_version: String::new(),
            consistent_snapshot: true,
            version: NonZeroU64::MIN,
            expires: Timestamp::MIN,
            keys,
            roles: HashMap::from([(RoleType::Targets, role)]),
            _extra: HashMap::new(),
        }
    }
}

/// Digests by the name of their algorithm.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub(super) struct Hashes(pub(super) BTreeMap<String, String>);

impl Hashes {
    /// Whether these are the digests of `bytes`: all those of known algorithms must match, and at
    /// least one algorithm must be known.
    pub(super) fn are_of(&self, bytes: &[u8]) -> bool {
        let mut known = self.0.iter().filter_map(|(algorithm, digest)| {
            let found = match algorithm.as_str() {
                "sha256" => Digest::of(bytes).to_string(),
                "sha512" => {
                    sha2::Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
                }
                _ => return None,
            };
            Some(found.eq_ignore_ascii_case(digest))
        });
        known.next().is_some_and(|first| first && known.all(|is| is))
    }

    /// The digest that this program uses to name files.
    pub(super) fn sha256(&self) -> Option<Digest> {
        self.0.get("sha256")?.parse().ok()
    }
}

/// A body exactly as it arrived, for verifying its signatures.
#[derive(Deserialize)]
#[serde(transparent)]
struct Raw<T> {
    value: Value,
    #[serde(skip)]
    body: std::marker::PhantomData<fn() -> T>,
}

impl<T> Serialize for Raw<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: Body> Role for Raw<T> {
    const TYPE: RoleType = T::ROLE;

    // It only serves to verify signatures: the three methods below just complete the trait.
    fn expires(&self) -> Timestamp {
        Timestamp::MIN
    }

    fn version(&self) -> NonZeroU64 {
        NonZeroU64::MIN
    }

    fn filename(&self, _consistent_snapshot: bool) -> String {
        String::new()
    }
}

/// A parsed document whose signatures are not verified yet.
pub(super) struct Unverified<T> {
    text: String,
    raw: Signed<Raw<T>>,
}

impl<T: Body> Unverified<T> {
    /// Reads the outer form of a document.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if let Some(refusal) = foreign(T::NAME, bytes, None) {
            return Err(refusal);
        }
        let unusable = |cause: String| {
            Refusal::new(MirrorFaultKind::Unusable, format!("no {} document: {cause}", T::NAME))
        };
        let text =
            std::str::from_utf8(bytes).map_err(|error| unusable(error.to_string()))?.to_owned();
        let raw: Signed<Raw<T>> =
            serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { text, raw })
    }

    /// Whether enough of the keys that `keys` names for this role signed it.
    pub(super) fn is_signed_by(&self, keys: &Root) -> Result<(), Refusal> {
        keys.verify_role(&self.raw).map_err(|error| {
            Refusal::new(MirrorFaultKind::NotTrusted, format!("the {} document: {error}", T::NAME))
        })
    }

    /// The document's content. Only for documents whose signatures are verified.
    fn open(self) -> Result<TufDocument<T>, Refusal> {
        let not_trusted = |cause: String| {
            Refusal::new(
                MirrorFaultKind::NotTrusted,
                format!("the signed {} document: {cause}", T::NAME),
            )
        };
        let field = |name: &str| {
            self.raw.signed.value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (kind, form) = (field("_type"), field("spec_version"));
        if kind != T::NAME {
            return Err(not_trusted(format!("it is a {kind:?} document")));
        }
        if !form.starts_with("1.") {
            return Err(not_trusted(format!("its form {form:?} is not known")));
        }
        let signed = T::deserialize(self.raw.signed.value)
            .map_err(|error| not_trusted(error.to_string()))?;
        Ok(TufDocument { text: self.text, signed })
    }

    /// The document's content, if enough of the keys in `keys` signed it.
    pub(super) fn verify(self, keys: &Root) -> Result<TufDocument<T>, Refusal> {
        self.is_signed_by(keys)?;
        self.open()
    }
}

/// Whether `bytes` are the page of a website, of a network's sign-in, or of a static host for what
/// it lacks.
pub(super) fn is_web_page(bytes: &[u8]) -> bool {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'<')
}

/// Why `bytes` are no document at all, if that is obvious: an incomplete copy, or the sign-in page
/// of a network. Neither is a forgery.
pub(super) fn foreign(role: &str, bytes: &[u8], length: Option<u64>) -> Option<Refusal> {
    let unusable = |cause: String| Some(Refusal::new(MirrorFaultKind::Unusable, cause));
    // A complete document that is too short is a different document under this name.
    let is_cut = || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err();
    match length {
        _ if is_web_page(bytes) => {
            unusable(format!("a web page came in place of the {role} document"))
        }
        Some(length) if (bytes.len() as u64) < length && is_cut() => {
            unusable(format!("the {role} document is not whole: {} of {length} bytes", bytes.len()))
        }
        _ => None,
    }
}

/// Parses a root and verifies it with its own keys.
pub(super) fn root(bytes: &[u8]) -> Result<TufDocument<Root>, Refusal> {
    let unverified = Unverified::<Root>::read(bytes)?;
    let own = Root::deserialize(&unverified.raw.signed.value).map_err(|error| {
        Refusal::new(MirrorFaultKind::Unusable, format!("no root document: {error}"))
    })?;
    unverified.verify(&own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_document_and_a_web_page_are_no_forgeries() {
        let of = |bytes: &[u8], length| {
            foreign("snapshot", bytes, length)
                .map(|refusal| (refusal.kind, refusal.cause.to_string()))
        };
        let unusable = |cause: &str| Some((MirrorFaultKind::Unusable, cause.to_owned()));
        assert_eq!(
            of(b"{\"sig", Some(500)),
            unusable("the snapshot document is not whole: 5 of 500 bytes")
        );
        assert_eq!(
            of(b"", Some(500)),
            unusable("the snapshot document is not whole: 0 of 500 bytes")
        );
        for length in [None, Some(3), Some(500)] {
            assert_eq!(
                of(b"\r\n <!DOCTYPE html>", length),
                unusable("a web page came in place of the snapshot document")
            );
        }
        let whole = b"{\"signed\":1}";
        for length in [None, Some(3), Some(12), Some(500)] {
            assert_eq!(of(whole, length), None, "{length:?}");
        }
    }

    #[test]
    fn every_known_digest_must_fit_and_one_must_be_known() {
        let of = |pairs: &[(&str, String)]| {
            Hashes(
                pairs
                    .iter()
                    .map(|(algorithm, digest)| ((*algorithm).to_owned(), digest.clone()))
                    .collect(),
            )
            .are_of(b"bytes")
        };
        let sha256 = Digest::of(b"bytes").to_string();
        let sha512: String =
            sha2::Sha512::digest(b"bytes").iter().map(|byte| format!("{byte:02x}")).collect();
        let wrong = "0".repeat(64);
        assert!(of(&[("sha256", sha256.clone())]) && of(&[("sha512", sha512.clone())]));
        assert!(of(&[
            ("sha256", sha256.clone()),
            ("sha512", sha512.clone()),
            ("new", wrong.clone())
        ]));
        assert!(
            !of(&[("sha256", sha256), ("sha512", wrong.clone())])
                && !of(&[("sha256", wrong.clone()), ("sha512", sha512)])
        );
        assert!(!of(&[("new", wrong)]) && !of(&[]));
    }
}
