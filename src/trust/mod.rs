//! Trust: what may be installed is what signed metadata says (The Update Framework, through `tough`).
//!
//! In: a root shipped with the launcher, mirrors that hand over metadata files, the time. Out: a verified [`Repository`]: releases
//! and the digests of everything else. Never: an unproved byte handed on, a way round a failed check, or a network of its own
//! ([`MetadataSource`] is the caller's).
//!
//! What this room adds to `tough`: a whole load per mirror, so that one bad mirror does not block the others; trusted state that
//! is replaced in one step and only after everything was checked; a damaged state that does not brick the installation; time as
//! an argument.

mod bundle;
mod error;
mod patches;
mod repository;
mod source;
mod state;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tough::schema::{Role, Root, Signed, Targets};
use tough::{ExpirationEnforcement, Limits, RepositoryLoader};

pub use bundle::{Bundle, BundleError};
pub use error::{Expired, MirrorFault, MirrorFaultKind, TrustError};
pub use patches::{PATCH_KEY, PATCHES_ROLE};
pub use repository::{LAUNCHER_KEY, RELEASE_KEY, Repository, Target, Versions, is_plain_name};
use source::SourceTransport;
pub use source::{FolderSource, MetadataSource, SourceError};
use state::{Documents, State};

/// Largest metadata files that are read, bytes. A targets file of 16 MiB describes some 10,000 releases.
pub(crate) const LIMITS: Limits = Limits {
    max_root_size: 512 << 10,
    max_timestamp_size: 64 << 10,
    max_snapshot_size: 512 << 10,
    max_targets_size: 16 << 20,
    max_root_updates: 1024,
};

/// The trust of one installation: where it began, and what it has seen since.
#[derive(Clone, Debug)]
pub struct Trust {
    state: State,
    shipped_root: Vec<u8>,
}

/// What a refresh found.
#[derive(Debug)]
pub struct Refreshed {
    /// What the first good mirror has.
    pub repository: Repository,
    /// Mirrors that were asked before it, and why each was passed over.
    pub faults: Vec<MirrorFault>,
}

/// What a bundle's metadata was good for.
#[derive(Debug)]
pub struct Judged {
    /// The newest verified metadata there is: the bundle's, or what was trusted before.
    pub repository: Repository,
    /// The bundle's metadata is older than what was trusted before, and was not used.
    pub older: bool,
    /// The bundle's list of releases is signed by the keys in force, so that it once was the publisher's; for messages only.
    pub genuine: bool,
}

/// Whether the roles that only say "this is the newest" may have expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// They may not.
    Required,
    /// They may: a person was told and wants it so.
    Waived,
}

/// Why one mirror's load did not succeed: its own fault, or this machine's (then no other mirror can help).
enum Failure {
    Mirror(MirrorFaultKind, error::Cause),
    Local(TrustError),
}

impl Trust {
    /// Trust kept in `folder` (made when it is first written), beginning with `shipped_root`, a `root.json`.
    ///
    /// The shipped root counts only as long as `folder` has no sound root of its own, so exchanging the file beside the launcher
    /// cannot take over an installation (FAULTS 10).
    pub fn new(folder: impl Into<PathBuf>, shipped_root: impl Into<Vec<u8>>) -> Self {
        Self { state: State::new(folder.into()), shipped_root: shipped_root.into() }
    }

    /// Whether there is a root to begin with: a stored one, or the shipped one.
    ///
    /// # Errors
    /// [`TrustError::Root`] if neither can be used, [`TrustError::Io`] if the stored one cannot be read.
    pub fn check_root(&self) -> Result<(), TrustError> {
        self.state.root(&self.shipped_root).map(drop)
    }

    /// What the last successful refresh found, verified once more; `None` if there is none or it is damaged.
    ///
    /// It may have expired: whoever installs from it compares [`Repository::expires`] with the time, whoever uses its patches
    /// [`Repository::patches_expire`] too.
    pub fn cached(&self) -> Option<Repository> {
        self.verified().map(|(root, documents)| Repository::new(&root, &documents))
    }

    fn verified(&self) -> Option<(Signed<Root>, Documents)> {
        let root = self.state.root(&self.shipped_root).ok()?;
        let (mut documents, texts) = self.state.documents()?;
        if !documents.verify(&root) {
            return None;
        }
        let wanted = patches::wanted(&documents.targets.signed, &documents.snapshot.signed);
        documents.patches = wanted.zip(texts.patches).and_then(|(wanted, text)| {
            let verified = wanted.verify(text.as_bytes());
            verified.inspect_err(|cause| tracing::warn!("the stored patches are damaged and not used: {cause}")).ok()
        });
        Some((root, documents))
    }

    /// Asks the mirrors, in their order, until one has metadata that passes every check, and remembers it.
    ///
    /// A mirror that lies, lags behind what was seen before, or does not answer is passed over and named in the result. The list of
    /// patches may come from a later one; that no mirror has a good one is no failure.
    /// How long a mirror may take is for its [`MetadataSource`] to bound. `now` decides what has expired.
    ///
    /// # Errors
    /// [`TrustError::Mirrors`] if no mirror has acceptable metadata, [`TrustError::Root`] if there is no root to begin with,
    /// [`TrustError::Io`] if the trusted state cannot be kept. What was trusted before stays trusted.
    pub async fn refresh(&self, mirrors: &[Arc<dyn MetadataSource>], now: Timestamp) -> Result<Refreshed, TrustError> {
        let mut faults = Vec::new();
        for (index, mirror) in mirrors.iter().enumerate() {
            match self.load(mirror, &mirrors[index..], now, Freshness::Required).await {
                Ok(repository) => return Ok(Refreshed { repository, faults }),
                Err(Failure::Local(error)) => return Err(error),
                Err(Failure::Mirror(kind, cause)) => {
                    let fault = MirrorFault { mirror: mirror.name().to_owned(), kind, cause };
                    tracing::warn!("{fault}: {}", fault.cause);
                    faults.push(fault);
                }
            }
        }
        Err(TrustError::Mirrors { faults })
    }

    /// Judges a bundle: its metadata gets the checks of a mirror's, and what passes is remembered as after a [`Trust::refresh`].
    ///
    /// - A bundle with older metadata than was seen before is no attack but an old file, so it is not refused for its age: the newer
    ///   metadata that is trusted already says what of it may be installed. Version numbers never go back, and what was withdrawn
    ///   since stays withdrawn. That a bundle claims to be old needs no proof, since the claim only takes its own word from it.
    /// - The timestamp and the snapshot last for days, a file on a stick for months. They say nothing of a release but that none is
    ///   newer, which a file cannot know anyway: whoever hands it over chooses what is in it. So a person who was told may waive
    ///   their expiry. That of the root and the targets, which say what is genuine, is never waived.
    /// - Metadata that counts although it has expired is remembered too: that only raises the lowest version accepted from then on.
    ///
    /// # Errors
    /// As [`Trust::refresh`]; [`TrustError::expired`] tells what has expired.
    pub async fn judge(&self, bundle: &Bundle, now: Timestamp, freshness: Freshness) -> Result<Judged, TrustError> {
        let mirror: Arc<dyn MetadataSource> = Arc::new(bundle.clone());
        let blame = |failure| match failure {
            Failure::Local(error) => error,
            Failure::Mirror(kind, cause) => {
                TrustError::Mirrors { faults: vec![MirrorFault { mirror: mirror.name().to_owned(), kind, cause }] }
            }
        };
        if self.is_ahead_of(bundle).await
            && let Some((root, documents)) = self.verified()
        {
            check(&root, &documents, now, freshness).map_err(blame)?;
            let genuine = bundle.newest_targets().await.is_some_and(|targets| root.signed.verify_role(&targets).is_ok());
            return Ok(Judged { repository: Repository::new(&root, &documents), older: true, genuine });
        }
        let loaded = self.load(&mirror, &[], now, freshness).await;
        loaded.map(|repository| Judged { repository, older: false, genuine: true }).map_err(blame)
    }

    /// Whether `bundle` itself says that it is older than what is trusted already: by its timestamp, or by a root that it lacks.
    async fn is_ahead_of(&self, bundle: &Bundle) -> bool {
        let Some((stored, _)) = self.state.documents() else { return false };
        let Ok(root) = self.state.root(&self.shipped_root) else { return false };
        let timestamp = bundle.get("metadata/timestamp.json", LIMITS.max_timestamp_size).await;
        let claimed = timestamp.ok().and_then(|json| serde_json::from_slice::<Signed<tough::schema::Timestamp>>(&json).ok());
        claimed.is_some_and(|claimed| claimed.signed.version < stored.timestamp.signed.version)
            || bundle.newest_root().is_some_and(|newest| newest < root.signed.version.get())
    }

    /// Loads all from `mirror`, but the list of patches from the first of `with_patches` that has it.
    async fn load(
        &self,
        mirror: &Arc<dyn MetadataSource>,
        with_patches: &[Arc<dyn MetadataSource>],
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<Repository, Failure> {
        let root = self.state.root(&self.shipped_root).map_err(Failure::Local)?;
        let root_json = serde_json::to_vec(&root).map_err(|source| Failure::Local(TrustError::Root { source: source.into() }))?;
        // `tough` writes each file as soon as that file is checked; it gets a copy, and the whole counts only when all is well.
        // The copy lacks `latest_known_time.json`, with which `tough` refuses to work after a clock was set back.
        let (scratch, known) = self.state.scratch().map_err(Failure::Local)?;
        let transport = SourceTransport::new(Arc::clone(mirror), known);
        let base = source::base_url().map_err(|error| Failure::Mirror(MirrorFaultKind::Unusable, error.into()))?;
        let loaded = RepositoryLoader::new(&root_json, base.metadata, base.targets)
            .transport(transport.clone())
            .limits(LIMITS)
            .datastore(scratch.path())
            // `tough` asks the system's clock; here time is an argument, so expiry is checked below.
            .expiration_enforcement(ExpirationEnforcement::Unsafe)
            .load()
            .await;
        let found = match loaded {
            Ok(loaded) => {
                let documents = Documents {
                    timestamp: loaded.timestamp().clone(),
                    snapshot: loaded.snapshot().clone(),
                    targets: loaded.targets().clone(),
                    patches: None,
                };
                Ok((loaded.root().clone(), documents))
            }
            // A load that got as far as the delegated roles ends there, since it is not given them.
            Err(error) => state::before_delegations(scratch.path()).ok_or_else(|| error::classify(error)),
        };
        let checked = found.and_then(|(root, documents)| check(&root, &documents, now, freshness).map(|()| (root, documents)));
        match checked {
            Ok((new_root, mut documents)) => {
                let mut texts = documents.texts(|location| transport.used(location)).ok_or_else(|| {
                    Failure::Mirror(MirrorFaultKind::Unusable, "the repository's file names do not fit its versions".into())
                })?;
                if let Some((patches, text)) = load_patches(&documents, &transport, with_patches).await {
                    texts.patches = Some(text);
                    documents.patches = Some(patches).filter(|patches| !has_expired(patches, now));
                }
                self.state.save(&new_root, &texts).map_err(Failure::Local)?;
                Ok(Repository::new(&new_root, &documents))
            }
            Err(failure) => {
                // A newer root counts even if the rest does not: it may revoke the very keys that the next mirror signs with.
                if let Some(newer) = state::newer_root(scratch.path(), &root) {
                    self.state.advance(&root, &newer).map_err(Failure::Local)?;
                }
                Err(failure)
            }
        }
    }
}

/// What `tough` leaves to its caller: nothing may have expired, and file names must carry versions and digests, since that is
/// where nodes are asked for them.
fn check(root: &Signed<Root>, documents: &Documents, now: Timestamp, freshness: Freshness) -> Result<(), Failure> {
    if !root.signed.consistent_snapshot {
        return Err(Failure::Mirror(MirrorFaultKind::Unusable, "the repository has no consistent snapshots".into()));
    }
    let Documents { timestamp, snapshot, targets, patches: _ } = documents;
    // First what cannot be waived.
    let expiries = [
        Expired { role: "root", at: root.signed.expires(), waivable: false },
        Expired { role: "targets", at: targets.signed.expires(), waivable: false },
        Expired { role: "timestamp", at: timestamp.signed.expires(), waivable: true },
        Expired { role: "snapshot", at: snapshot.signed.expires(), waivable: true },
    ];
    let counts = |expired: &Expired| !(expired.waivable && freshness == Freshness::Waived);
    match expiries.into_iter().find(|expired| expired.at < now && counts(expired)) {
        Some(expired) => Err(Failure::Mirror(MirrorFaultKind::Expired, expired.into())),
        None => Ok(()),
    }
}

/// The document of the role for patches and its text: from the last load, else from the first of `mirrors` that has it. Whatever is
/// wrong with it is told in the log and means that there is none.
async fn load_patches(
    documents: &Documents,
    transport: &SourceTransport,
    mirrors: &[Arc<dyn MetadataSource>],
) -> Option<(Signed<Targets>, String)> {
    let wanted = patches::wanted(&documents.targets.signed, &documents.snapshot.signed)?;
    let (location, limit) = (wanted.location(), wanted.limit(LIMITS.max_targets_size));
    let mut bytes = transport.recalled(&location);
    for mirror in mirrors {
        if bytes.is_some() {
            break;
        }
        match mirror.get(&location, limit).await {
            Ok(answer) if wanted.is(&answer) => bytes = Some(answer),
            Ok(_) => tracing::warn!("mirror {} has another list of patches than the one that was signed", mirror.name()),
            Err(error) => tracing::warn!("mirror {} does not give the list of patches: {error}", mirror.name()),
        }
    }
    let bytes = bytes?;
    let checked = wanted.verify(&bytes).and_then(|patches| Ok((patches, String::from_utf8(bytes)?)));
    checked.inspect_err(|cause| tracing::warn!("the list of patches cannot be trusted, there are none: {cause}")).ok()
}

/// Whether the list of patches has expired.
fn has_expired(patches: &Signed<Targets>, now: Timestamp) -> bool {
    let expires = patches.signed.expires();
    if expires < now {
        tracing::warn!("the list of patches expired at {expires}: there are none");
    }
    expires < now
}
