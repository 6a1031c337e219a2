//! Finds a target among those of the targets role and of every role that it delegates to: in
//! pre-order, each role once, and not beyond a terminating delegation (5.6.7 of the specification).
//!
//! The document of a role is verified with the keys of the delegation that led to it, each time
//! anew: a document that is valid for one delegator proves nothing for another.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;

use super::document::{
    Body as _, DelegatedRole, Delegations, Hashes, SnapshotBody, TargetFile, TargetsBody,
    TufDocument,
};
use super::error::{Expired, MirrorFaultKind, Refusal, TrustError};
use super::load::wanted;
use super::source::encoded;
use super::workflow::{is_meant, meant};
use super::{LIMITS, MetadataSource, Trust, names};

/// Most roles that one search visits.
const MAX_ROLES: usize = 128;

/// A target that a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTarget {
    /// Where mirrors serve it, relative to their base address.
    pub location: String,
    /// Length of the file, bytes.
    pub length: u64,
    hashes: Hashes,
}

impl FoundTarget {
    /// Whether these are the signed bytes.
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.length && self.hashes.are_of(bytes)
    }

    fn new(name: &str, file: &TargetFile) -> Option<Self> {
        let digest = file.hashes.0.get("sha256").or_else(|| file.hashes.0.values().next())?;
        let mut parts: Vec<String> = name.split('/').map(encoded).collect();
        let last = parts.last_mut()?;
        *last = format!("{}.{last}", encoded(digest));
        // No role signs a name that leads out of the folder.
        if parts.iter().any(|part| matches!(part.as_str(), "" | "." | "..")) {
            return None;
        }
        Some(Self {
            location: format!("targets/{}", parts.join("/")),
            length: file.length,
            hashes: file.hashes.clone(),
        })
    }
}

impl Trust {
    /// Looks for the target `name` in the result of the last refresh, and loads the documents of
    /// delegated roles on the way from `mirrors`. Verified documents are stored.
    ///
    /// # Errors
    /// [`TrustError::UnknownTarget`] if no role that may sign the target names it,
    /// [`TrustError::Mirrors`] if no mirror has a good document of a role on the way,
    /// [`TrustError::File`] if a document cannot be stored.
    pub async fn find_target(
        &self,
        mirrors: &[Arc<dyn MetadataSource>],
        name: &str,
        now: Timestamp,
    ) -> Result<FoundTarget, TrustError> {
        let unknown = || TrustError::UnknownTarget { name: name.to_owned() };
        let (_, documents) = self.verified().ok_or_else(unknown)?;
        let mut search = Search {
            trust: self,
            mirrors,
            snapshot: &documents.snapshot.signed,
            name,
            now,
            visited: BTreeSet::new(),
        };
        match search.within(&documents.targets.signed).await? {
            SearchOutcome::Found(file) => FoundTarget::new(name, &file).ok_or_else(unknown),
            SearchOutcome::Goes | SearchOutcome::Ends => Err(unknown()),
        }
    }
}

enum SearchOutcome {
    Found(TargetFile),
    /// Not found here; the search goes on with other roles.
    Goes,
    /// Not found here, and the search ends.
    Ends,
}

struct Search<'a> {
    trust: &'a Trust,
    mirrors: &'a [Arc<dyn MetadataSource>],
    snapshot: &'a SnapshotBody,
    name: &'a str,
    now: Timestamp,
    visited: BTreeSet<String>,
}

impl Search<'_> {
    /// Boxed, since it calls itself.
    fn within<'a>(
        &'a mut self,
        targets: &'a TargetsBody,
    ) -> Pin<Box<dyn Future<Output = Result<SearchOutcome, TrustError>> + Send + 'a>> {
        Box::pin(async move {
            if let Some(file) = targets.targets.get(self.name) {
                return Ok(SearchOutcome::Found(file.clone()));
            }
            let Some(delegations) = &targets.delegations else { return Ok(SearchOutcome::Goes) };
            for role in delegations.roles.iter().filter(|role| may_sign(role, self.name)) {
                if self.visited.len() >= MAX_ROLES {
                    return Ok(SearchOutcome::Ends);
                }
                if !self.visited.insert(role.name.clone()) {
                    continue;
                }
                let document = self.document(delegations, role).await?;
                match self.within(&document.signed).await? {
                    SearchOutcome::Goes if role.terminating => return Ok(SearchOutcome::Ends),
                    SearchOutcome::Goes => {}
                    outcome => return Ok(outcome),
                }
            }
            Ok(SearchOutcome::Goes)
        })
    }

    /// The document of a delegated role: the stored one if the snapshot names it, otherwise a
    /// mirror's.
    async fn document(
        &self,
        delegations: &Delegations,
        role: &DelegatedRole,
    ) -> Result<TufDocument<TargetsBody>, TrustError> {
        let failed =
            |refusal: Refusal| TrustError::Mirrors { faults: vec![refusal.of(&role.name)] };
        let file = self.snapshot.0.meta.get(&format!("{}.json", role.name)).ok_or_else(|| {
            failed(Refusal::new(
                MirrorFaultKind::NotTrusted,
                format!("the snapshot does not name the role {:?}", role.name),
            ))
        })?;
        let keys = delegations.keys_of(role);
        let read = |bytes: &[u8]| -> Result<TufDocument<TargetsBody>, Refusal> {
            let document: TufDocument<TargetsBody> = meant(file, &role.name, bytes, &keys)?;
            let at = document.signed.expires();
            if at < self.now {
                return Err(Refusal {
                    kind: MirrorFaultKind::Expired,
                    cause: Expired { role: "delegated", at, waivable: false }.into(),
                });
            }
            Ok(document)
        };
        let stored = self.trust.state.delegated(&role.name).and_then(|bytes| read(&bytes).ok());
        if let Some(stored) = stored.filter(|stored| is_meant(file, stored)) {
            return Ok(stored);
        }
        let mut found = None;
        let mut step = |bytes: &[u8]| {
            found = Some(read(bytes)?);
            Ok(())
        };
        let location = format!("metadata/{}.{}.json", file.version, encoded(&role.name));
        wanted(self.mirrors, &location, file.limit(LIMITS.targets), &mut step)
            .await
            .map_err(failed)?;
        let found =
            found.ok_or_else(|| TrustError::UnknownTarget { name: self.name.to_owned() })?;
        self.trust.state.save_delegated(&role.name, &found.text)?;
        Ok(found)
    }
}

/// Whether a role may sign a target of this name.
fn may_sign(role: &DelegatedRole, name: &str) -> bool {
    let by_path = role.paths.iter().flatten().any(|pattern| names::fits(pattern, name));
    let digest = crate::model::Digest::of(name.as_bytes()).to_string();
    by_path
        || role
            .path_hash_prefixes
            .iter()
            .flatten()
            .any(|prefix| digest.starts_with(prefix.as_str()))
}
