//! Loads metadata from mirrors. The next mirror is asked as soon as those before it fail or are
//! silent, and a document that others name by digest may come from any mirror.
//!
//! The documents that a load verifies count even if the load fails later. Each mirror is compared
//! with the state that was trusted when the load began: a mirror that lags behind another one is
//! still good for a first installation.

use std::sync::Arc;

use jiff::Timestamp;
use tough::schema::Root;

use super::document::{Texts, TufDocument, is_web_page};
use super::error::{MirrorFault, MirrorFaultKind, Refusal, TrustError};
use super::release_roles::{self, Interest, WantedRole};
use super::role_names::RolePart;
use super::source::within;
use super::state::{StateFolder, StoredMetadata};
use super::workflow::{Documents, RoleDocument, Trusted};
use super::{Freshness, LIMITS, MetadataSource, Refreshed, Repository, Trust};
use crate::hedge::{Hedge, Received};

/// Mirrors, the best first.
pub(super) type Mirrors<'a> = &'a [Arc<dyn MetadataSource>];

/// What is known before a load, and what the load is for.
#[derive(Clone, Copy)]
struct Known<'a> {
    texts: &'a Texts,
    state: &'a StateFolder,
    interest: &'a Interest,
}

/// The top of a mirror: newer roots, and its timestamp.
struct Head {
    roots: Vec<Vec<u8>>,
    timestamp: Result<Vec<u8>, Refusal>,
}

/// A load of one mirror: the documents it reached, and whether it is complete.
pub(super) struct Loaded {
    pub(super) trusted: Trusted,
    pub(super) documents: Result<Documents, Refusal>,
    pub(super) texts: Texts,
    /// Mirrors that sent something else than the signed document, where another mirror had the
    /// right one.
    pub(super) liars: Vec<MirrorFault>,
}

impl Trust {
    /// Asks the mirrors until one has metadata that passes every check, and stores it.
    ///
    /// A mirror that sends wrong data, or does not answer, is skipped and named in the result. The
    /// list of patches may come from another mirror; if none has a good list, that is no failure.
    /// If no mirror has newer metadata, and one lags behind the trusted metadata, the trusted
    /// metadata stays in force until it expires. [`MetadataSource`] sets the time limit for a
    /// mirror; `now` decides what has expired.
    ///
    /// # Errors
    /// [`TrustError::Mirrors`] if no mirror has acceptable metadata, [`TrustError::Root`] if there
    /// is no root to begin with, [`TrustError::File`] if the trusted state cannot be stored. What was
    /// trusted before stays trusted.
    pub async fn refresh(
        &self,
        mirrors: &[Arc<dyn MetadataSource>],
        now: Timestamp,
    ) -> Result<Refreshed, TrustError> {
        let stored = self.state.stored()?;
        let before = Trusted::remember(self.state.root(&self.shipped_root)?, &stored.newest);
        let (mut base, mut newest, mut whole) =
            (before.clone(), before.clone(), stored.whole().clone());
        let (mut faults, mut asked) = (Vec::new(), Vec::new());
        let mut heads = Hedge::new(0..mirrors.len(), |index, received| {
            let (mirror, root) = (Arc::clone(&mirrors[index]), before.root.clone());
            async move { head(mirror.as_ref(), root, now, &received).await }
        });
        while let Some((index, head)) = heads.next().await {
            climb(&mut base, &head.roots);
            newest.follow(&base);
            asked.push(index);
            let order: Vec<_> = in_order(mirrors, &asked);
            let known = Known { texts: &whole, state: &self.state, interest: &self.interest };
            let loaded =
                below(base.clone(), head.timestamp, &order, known, now, Freshness::Required).await;
            newest.learn(&loaded.trusted);
            faults.extend(loaded.liars);
            match loaded.documents {
                Ok(documents) => {
                    whole = loaded.texts;
                    self.save_histories(&documents)?;
                    self.save(&newest.root, &StoredMetadata::of(&newest, &whole))?;
                    return Ok(Refreshed {
                        repository: Repository::new(&newest.root.signed, &documents),
                        faults,
                    });
                }
                Err(refusal) => {
                    self.save(&newest.root, &StoredMetadata::of(&newest, &whole))?;
                    let fault = refusal.of(mirrors[index].name());
                    tracing::warn!("{fault}: {}", fault.cause);
                    faults.push(fault);
                }
            }
        }
        self.unless_behind(faults, now)
    }

    /// The trusted metadata, if the only fault is a mirror that lags behind it.
    fn unless_behind(
        &self,
        mut faults: Vec<MirrorFault>,
        now: Timestamp,
    ) -> Result<Refreshed, TrustError> {
        if faults.iter().any(|fault| fault.kind == MirrorFaultKind::Behind)
            && let Some((root, documents)) = self.verified()
        {
            match documents.check(&root.signed, now, Freshness::Required) {
                Ok(()) => {
                    return Ok(Refreshed {
                        repository: Repository::new(&root.signed, &documents),
                        faults,
                    });
                }
                // An attacker who holds back newer metadata gains the time until the expiry, and no
                // more.
                Err(refusal) => faults.push(refusal.of("(what was trusted before)")),
            }
        }
        Err(TrustError::Mirrors { faults })
    }

    /// Loads what `interest` selects from one mirror, without storing anything.
    pub(super) async fn load_one(
        &self,
        mirror: &Arc<dyn MetadataSource>,
        interest: &Interest,
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<Loaded, TrustError> {
        let stored = self.state.stored()?;
        let mut trusted = Trusted::remember(self.state.root(&self.shipped_root)?, &stored.newest);
        let head = head(mirror.as_ref(), trusted.root.clone(), now, &Received::default()).await;
        climb(&mut trusted, &head.roots);
        let known = Known { texts: stored.whole(), state: &self.state, interest };
        Ok(below(trusted, head.timestamp, std::slice::from_ref(mirror), known, now, freshness)
            .await)
    }
}

/// The mirror that was asked last, then those that were not asked yet, then those without good
/// data.
fn in_order(mirrors: Mirrors, asked: &[usize]) -> Vec<Arc<dyn MetadataSource>> {
    let (last, before) = asked
        .split_last()
        .map_or((&[][..], asked), |(last, before)| (std::slice::from_ref(last), before));
    let others: Vec<usize> = (0..mirrors.len()).filter(|index| !asked.contains(index)).collect();
    last.iter().chain(&others).chain(before).map(|index| Arc::clone(&mirrors[*index])).collect()
}

impl Trusted {
    /// Takes a newer root of `other`, which has seen the same documents, except those that the root
    /// dropped.
    fn follow(&mut self, other: &Self) {
        if other.root.signed.version > self.root.signed.version {
            *self = other.clone();
        }
    }
}

/// Takes the roots that a mirror has beyond the trusted one. They were verified as they arrived,
/// but perhaps starting from an older one.
fn climb(trusted: &mut Trusted, roots: &[Vec<u8>]) {
    for bytes in roots {
        // Roots that are already known do not follow the trusted one, and are refused here.
        if let Err(refusal) = trusted.next_root(bytes) {
            tracing::debug!("a root does not follow: {}", refusal.cause);
        }
    }
}

/// 5.3 and 5.4.1 of the specification for one mirror.
async fn head(
    mirror: &dyn MetadataSource,
    root: TufDocument<Root>,
    now: Timestamp,
    received: &Received,
) -> Head {
    let mut trusted = Trusted { root, timestamp: None, snapshot: None, targets: None };
    let mut roots = Vec::new();
    let chain = async {
        // A mirror that breaks off must not hide a newer root: only its explicit answer "not found"
        // ends the chain.
        while roots.len() < LIMITS.roots {
            let location = format!(
                "metadata/{}.root.json",
                trusted.root.signed.version.get().saturating_add(1)
            );
            match fetch(mirror, &location, LIMITS.root, received).await {
                // Some static hosts answer with a page and status 200 for what they lack. Whoever can
                // send a page can send "not found" as well.
                Ok(bytes) if is_web_page(&bytes) => break,
                Ok(bytes) => {
                    trusted.next_root(&bytes)?;
                    roots.push(bytes);
                }
                Err(super::SourceError::NotFound) => break,
                Err(error) => return Err(error.into()),
            }
        }
        trusted.check_root(now)?;
        Ok(fetch(mirror, "metadata/timestamp.json", LIMITS.timestamp, received).await?)
    };
    let timestamp = chain.await;
    Head { roots, timestamp }
}

async fn fetch(
    mirror: &dyn MetadataSource,
    location: &str,
    limit: u64,
    received: &Received,
) -> Result<Vec<u8>, super::SourceError> {
    let bytes = mirror.get_counting(location, limit, received).await?;
    received.answered();
    within(bytes, limit)
}

/// 5.4 to 5.6: the documents below the root.
async fn below(
    mut trusted: Trusted,
    timestamp: Result<Vec<u8>, Refusal>,
    mirrors: Mirrors<'_>,
    known: Known<'_>,
    now: Timestamp,
    freshness: Freshness,
) -> Loaded {
    // Both the newest documents and the last set that fit together are good for a document that is
    // named again.
    let whole = Trusted::remember(trusted.root.clone(), known.texts);
    let mut liars = Vec::new();
    let steps = async {
        let timestamp = timestamp?;
        trusted.timestamp(&timestamp, now, freshness).map_err(|refusal| {
            let was_trusted =
                known.texts.timestamp.as_ref().is_some_and(|known| known.as_bytes() == timestamp);
            if refusal.kind == MirrorFaultKind::NotTrusted && was_trusted {
                replaced_keys()
            } else {
                refusal
            }
        })?;
        if !trusted.has_wanted_snapshot()
            && !offer(&mut trusted, whole.texts().snapshot, |trusted, text| {
                trusted.snapshot(text, now, freshness)
            })
        {
            let file = trusted.wanted_snapshot()?.clone();
            let location = format!("metadata/{}.snapshot.json", file.version);
            let mut step = |bytes: &[u8]| trusted.snapshot(bytes, now, freshness);
            liars.extend(wanted(mirrors, &location, file.limit(LIMITS.snapshot), &mut step).await?);
        }
        trusted.check_snapshot(now, freshness)?;
        if !trusted.has_wanted_targets()
            && !offer(&mut trusted, whole.texts().targets, |trusted, text| {
                trusted.targets(text, now)
            })
        {
            let file = trusted.wanted_targets()?.clone();
            let location = format!("metadata/{}.targets.json", file.version);
            let mut step = |bytes: &[u8]| trusted.targets(bytes, now);
            liars.extend(wanted(mirrors, &location, file.limit(LIMITS.targets), &mut step).await?);
        }
        trusted.documents().ok_or_else(|| {
            Refusal::new(
                MirrorFaultKind::NotTrusted,
                "its documents do not fit together".to_owned(),
            )
        })
    };
    let documents = steps.await.and_then(|documents| {
        documents.check(&trusted.root.signed, now, freshness).map(|()| documents)
    });
    let mut texts = trusted.texts();
    let documents = match documents {
        Ok(documents) => {
            let with_roles = with_roles(documents, &mut texts, known, mirrors, now);
            with_roles.await.and_then(|(documents, wrong)| {
                liars.extend(wrong);
                documents.check(&trusted.root.signed, now, freshness).map(|()| documents)
            })
        }
        Err(refusal) => Err(refusal),
    };
    Loaded { trusted, documents, texts, liars }
}

/// A copy that lags behind still has the documents from before a new root replaced the keys that
/// signed them.
fn replaced_keys() -> Refusal {
    let cause = "its timestamp is the one of before the keys were replaced".to_owned();
    Refusal::new(MirrorFaultKind::Behind, cause)
}

/// Whether a known text passes the step.
fn offer(
    trusted: &mut Trusted,
    text: Option<String>,
    step: impl Fn(&mut Trusted, &[u8]) -> Result<(), Refusal>,
) -> bool {
    text.is_some_and(|text| step(trusted, text.as_bytes()).is_ok())
}

/// Asks the mirrors for a document that signed metadata names, until one has a document that passes
/// `step`. Returns the mirrors that sent wrong data before that.
pub(super) async fn wanted(
    mirrors: Mirrors<'_>,
    location: &str,
    limit: u64,
    step: &mut (dyn FnMut(&[u8]) -> Result<(), Refusal> + Send),
) -> Result<Vec<MirrorFault>, Refusal> {
    let mut answers = Hedge::new(0..mirrors.len(), |index, received| {
        let (mirror, location) = (Arc::clone(&mirrors[index]), location.to_owned());
        async move { fetch(mirror.as_ref(), &location, limit, &received).await }
    });
    let (mut first, mut liars) = (None, Vec::new());
    while let Some((index, answer)) = answers.next().await {
        let passed = match answer {
            Ok(bytes) => step(&bytes),
            // The document that names it is genuine. So the rest is still on its way to this copy,
            // or somebody holds it back.
            Err(super::SourceError::NotFound) => Err(Refusal::new(
                MirrorFaultKind::Behind,
                format!("{location} is signed, and is not there"),
            )),
            Err(error) => Err(error.into()),
        };
        let Err(refusal) = passed else { return Ok(liars) };
        let name = mirrors[index].name();
        if refusal.kind == MirrorFaultKind::NotTrusted {
            tracing::warn!(mirror = name, %location, "{}", refusal.cause);
            liars.push(Refusal::new(refusal.kind, refusal.cause.to_string()).of(name));
        } else {
            tracing::info!(mirror = name, %location, "{}", refusal.cause);
        }
        first.get_or_insert(refusal);
    }
    Err(first.unwrap_or_else(|| {
        Refusal::new(MirrorFaultKind::Unreachable, "there is no mirror to ask".to_owned())
    }))
}

/// Adds the documents of the roles that the load is for: known ones, otherwise those of the first of
/// `mirrors` that has them. Their texts go into `texts`. Also returns the mirrors that sent wrong
/// ones.
async fn with_roles(
    mut documents: Documents,
    texts: &mut Texts,
    known: Known<'_>,
    mirrors: Mirrors<'_>,
    now: Timestamp,
) -> Result<(Documents, Vec<MirrorFault>), Refusal> {
    let (targets, snapshot) = (&documents.targets.signed, &documents.snapshot.signed);
    let (mut roles, mut liars) = (Vec::new(), Vec::new());
    for role in release_roles::wanted(known.interest, targets, snapshot) {
        let found = match known.state.known_role(&role, known.texts) {
            Some(found) => Ok(found),
            None => match load_role(&role, mirrors, &mut liars).await {
                Err(refusal) => StateFolder::last_words(&role, known.texts).ok_or(refusal),
                found => found,
            },
        };
        match found {
            Ok(mut found) => {
                if role.part != RolePart::History {
                    texts.set_role(role.name(), found.document.text.clone());
                }
                let expires = found.document.signed.expires;
                found.has_lapsed = role.is_dispensable && expires < now;
                if found.has_lapsed {
                    tracing::warn!("what the role {} signed expired at {expires}", role.name());
                }
                if !found.has_lapsed || role.part == RolePart::Words {
                    roles.push(found);
                }
            }
            Err(refusal) if role.is_required => return Err(refusal),
            // A bundle, or an incomplete copy, has none.
            Err(refusal) if refusal.kind == MirrorFaultKind::Behind => {
                tracing::info!("the role {} is not there: {}", role.name(), refusal.cause);
            }
            Err(refusal) => {
                tracing::warn!("the role {} cannot be trusted: {}", role.name(), refusal.cause);
            }
        }
    }
    documents.lacks_history = release_roles::lacks_history(known.interest, targets, &roles);
    documents.roles = roles;
    Ok((documents, liars))
}

async fn load_role(
    role: &WantedRole<'_>,
    mirrors: Mirrors<'_>,
    liars: &mut Vec<MirrorFault>,
) -> Result<RoleDocument, Refusal> {
    let (location, limit) = role.location(LIMITS.targets)?;
    let mut found = None;
    let mut step = |bytes: &[u8]| {
        found = Some(role.verify(bytes)?);
        Ok(())
    };
    let wrong = wanted(mirrors, &location, limit, &mut step).await?;
    if role.is_required {
        liars.extend(wrong);
    }
    found.ok_or_else(|| {
        Refusal::new(MirrorFaultKind::Unreachable, format!("nobody has sent {location}"))
    })
}
