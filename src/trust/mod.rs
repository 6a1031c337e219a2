//! Trust: what may be installed is what signed metadata says (The Update Framework, through
//! `tough`).
//!
//! In: a root shipped with the launcher, mirrors that hand over metadata files, the time. Out: a
//! verified [`Repository`]: releases and the digests of everything else. Never: an unproved byte
//! handed on, a way round a failed check, or a network of its own ([`MetadataSource`] is the
//! caller's).
//!
//! The client workflow of the specification is this room's own ([`workflow`], without I/O; [`load`]
//! asks mirrors; [`search`] follows delegations). Keys and signatures are `tough`'s. One bad mirror
//! does not block the others, what a failed load has verified counts, a damaged state does not
//! brick the installation, and time is an argument.

mod bundle;
mod document;
mod error;
mod load;
mod names;
mod patches;
mod repository;
mod search;
mod source;
mod state;
mod workflow;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tough::schema::Root;

pub use bundle::Bundle;
pub(crate) use bundle::BundleError;
use document::{Body as _, TufDocument};
pub(crate) use error::MirrorFault;
pub use error::{MirrorFaultKind, TrustError};
pub(crate) use names::is_plain_name;
pub(crate) use patches::{PATCH_KEY, PATCHES_ROLE};
pub use repository::Repository;
pub(crate) use repository::{LAUNCHER_KEY, RELEASE_KEY};
pub use source::{MetadataSource, SourceError};
use state::{StateFolder, StoredMetadata};
use workflow::{Documents, Trusted};

/// Largest metadata files that are read, bytes.
pub(crate) struct TrustLimits {
    root: u64,
    timestamp: u64,
    snapshot: u64,
    targets: u64,
    /// Roots that one load follows.
    roots: usize,
}

/// A targets file of 16 MiB describes some 10,000 releases.
pub(crate) const LIMITS: TrustLimits = TrustLimits {
    root: 512 << 10,
    timestamp: 64 << 10,
    snapshot: 512 << 10,
    targets: 16 << 20,
    roots: 1024,
};

/// The trust of one installation: where it began, and what it has seen since.
#[derive(Clone, Debug)]
pub struct Trust {
    state: StateFolder,
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
    /// The bundle's list of releases is signed by the keys in force, so that it once was the
    /// publisher's; for messages only.
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

impl Trust {
    /// Trust kept in `folder` (made when it is first written), beginning with `shipped_root`, a
    /// `root.json`.
    ///
    /// The shipped root counts only as long as `folder` has no sound root of its own, so exchanging
    /// the file beside the launcher cannot take over an installation (docs/security.md, fault 10).
    pub fn new(folder: impl Into<PathBuf>, shipped_root: impl Into<Vec<u8>>) -> Self {
        Self { state: StateFolder::new(folder.into()), shipped_root: shipped_root.into() }
    }

    /// Whether there is a root to begin with: a stored one, or the shipped one.
    ///
    /// # Errors
    /// [`TrustError::Root`] if neither can be used, [`TrustError::Io`] if the stored one cannot be read.
    pub fn check_root(&self) -> Result<(), TrustError> {
        self.state.root(&self.shipped_root).map(drop)
    }

    /// What the last successful refresh found, verified once more; `None` if there is none or it is
    /// damaged.
    ///
    /// It may have expired: whoever installs from it compares [`Repository::expires`] with the
    /// time, whoever uses its patches [`Repository::patches_expire`] too.
    pub fn cached(&self) -> Option<Repository> {
        self.verified().map(|(root, documents)| Repository::new(&root.signed, &documents))
    }

    /// The newest document of each role that is remembered, by the role's name as it stands in
    /// addresses: what another client of the same kind would keep as files. Stored documents that
    /// no longer verify are not among them.
    ///
    /// # Errors
    /// [`TrustError::Root`] and [`TrustError::Io`] if the trusted state cannot be read.
    pub fn texts(&self) -> Result<Vec<(String, String)>, TrustError> {
        let trusted =
            Trusted::remember(self.state.root(&self.shipped_root)?, &self.state.stored()?.newest);
        let texts = trusted.texts();
        let below = [
            ("timestamp", texts.timestamp),
            ("snapshot", texts.snapshot),
            ("targets", texts.targets),
        ];
        let below = below.into_iter().filter_map(|(role, text)| Some((role.to_owned(), text?)));
        let root = ("root".to_owned(), trusted.root.text.clone());
        Ok(std::iter::once(root).chain(below).chain(self.state.all_delegated()?).collect())
    }

    fn verified(&self) -> Option<(TufDocument<Root>, Documents)> {
        let root = self.state.root(&self.shipped_root).ok()?;
        let stored = self.state.stored().ok()?;
        let texts = stored.whole();
        let mut documents = Trusted::remember(root.clone(), texts).documents()?;
        let wanted = patches::wanted(&documents.targets.signed, &documents.snapshot.signed);
        let patches = wanted.zip(texts.patches.as_ref()).and_then(|(wanted, text)| {
            let verified = wanted.verify(text.as_bytes());
            verified
                .inspect_err(|refusal| {
                    tracing::warn!("the stored patches are not used: {}", refusal.cause)
                })
                .ok()
        });
        documents.patches = patches;
        Some((root, documents))
    }

    /// Judges a bundle: its metadata gets the checks of a mirror's, and what passes is remembered
    /// as after a [`Trust::refresh`].
    ///
    /// - A bundle with older metadata than was seen before is no attack but an old file, so it is
    ///   not refused for its age: the newer metadata that is trusted already says what of it may be
    ///   installed. Version numbers never go back, and what was withdrawn since stays withdrawn.
    ///   That a bundle claims to be old needs no proof, since the claim only takes its own word
    ///   from it.
    /// - The timestamp and the snapshot last for days, a file on a stick for months. They say
    ///   nothing of a release but that none is newer, which a file cannot know anyway: whoever
    ///   hands it over chooses what is in it. So a person who was told may waive their expiry. That
    ///   of the root and the targets, which say what is genuine, is never waived.
    /// - Metadata that counts although it has expired is remembered too: that only raises the
    ///   lowest version accepted from then on.
    ///
    /// # Errors
    /// As [`Trust::refresh`]; [`TrustError::expired`] tells what has expired.
    pub async fn judge(
        &self,
        bundle: &Bundle,
        now: Timestamp,
        freshness: Freshness,
    ) -> Result<Judged, TrustError> {
        let mirror: Arc<dyn MetadataSource> = Arc::new(bundle.clone());
        let blame = |refusal: error::Refusal| TrustError::Mirrors {
            faults: vec![refusal.of(mirror.name())],
        };
        if self.is_ahead_of(bundle).await
            && let Some((root, documents)) = self.verified()
        {
            documents.check(&root.signed, now, freshness).map_err(blame)?;
            let genuine = bundle
                .newest_targets()
                .await
                .is_some_and(|targets| targets.is_signed_by(&root.signed).is_ok());
            return Ok(Judged {
                repository: Repository::new(&root.signed, &documents),
                older: true,
                genuine,
            });
        }
        // What cannot be waived is told first, so the age of the others is looked at last.
        let loaded = self.load_one(&mirror, now, Freshness::Waived).await?;
        let checked = loaded.documents.and_then(|documents| {
            documents.check(&loaded.trusted.root.signed, now, freshness).map(|()| documents)
        });
        match checked {
            Ok(documents) => {
                self.state.save(
                    &loaded.trusted.root,
                    &StoredMetadata::of(&loaded.trusted, &loaded.texts),
                )?;
                let repository = Repository::new(&loaded.trusted.root.signed, &documents);
                Ok(Judged { repository, older: false, genuine: true })
            }
            Err(refusal) => Err(blame(refusal)),
        }
    }

    /// Whether `bundle` itself says that it is older than what is trusted already: by its
    /// timestamp, or by a root that it lacks.
    async fn is_ahead_of(&self, bundle: &Bundle) -> bool {
        #[derive(serde::Deserialize)]
        struct Claim {
            signed: Claimed,
        }
        #[derive(serde::Deserialize)]
        struct Claimed {
            version: u64,
        }
        let Some((root, documents)) = self.verified() else { return false };
        let timestamp = bundle.get("metadata/timestamp.json", LIMITS.timestamp).await;
        let claimed = timestamp.ok().and_then(|json| serde_json::from_slice::<Claim>(&json).ok());
        claimed.is_some_and(|claim| claim.signed.version < documents.timestamp.signed.version())
            || bundle.newest_root().is_some_and(|newest| newest < root.signed.version.get())
    }
}
