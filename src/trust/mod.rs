//! Trust: only signed metadata decides what may be installed (The Update Framework, through
//! `tough`).
//!
//! In: a root shipped with the launcher, mirrors that deliver metadata files, the time. Out: a
//! verified [`Repository`]: releases and the digests of all other files. Never: passes on an
//! unverified byte, accepts data after a failed check, opens the network itself (the caller
//! provides a [`MetadataSource`]).
//!
//! This room implements the client workflow of the specification ([`workflow`], without I/O;
//! [`load`] asks mirrors; [`search`] follows delegations). `tough` provides keys and signatures.
//! One bad mirror does not block the others, the documents that a failed load has verified still
//! count, a damaged state does not make the installation unusable, and time is an argument.

mod bundle;
mod document;
mod error;
mod limits;
mod load;
mod names;
mod patches;
mod repository;
mod repository_keys;
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
pub use error::{MirrorFaultKind, SourceError, TrustError};
use limits::LIMITS;
pub(crate) use names::is_plain_name;
pub(crate) use patches::{PATCH_KEY, PATCHES_ROLE};
pub use repository::Repository;
pub(crate) use repository::{LAUNCHER_KEY, RELEASE_KEY};
pub use source::MetadataSource;
use state::{StateFolder, StoredMetadata};
pub use workflow::Freshness;
use workflow::{Documents, Trusted};

/// The trust of one installation: the shipped root and the folder of its trusted state.
#[derive(Clone, Debug)]
pub struct Trust {
    state: StateFolder,
    shipped_root: Vec<u8>,
}

/// The result of a refresh.
#[derive(Debug)]
pub struct Refreshed {
    /// The metadata of the first good mirror.
    pub repository: Repository,
    /// Mirrors that were asked before it, and why each was rejected.
    pub faults: Vec<MirrorFault>,
}

/// The result of judging a bundle's metadata.
#[derive(Debug)]
pub struct Judged {
    /// The newest verified metadata: the bundle's, or the metadata that was trusted before.
    pub repository: Repository,
    /// Whether the bundle's metadata is older than what was trusted before, and was not used.
    pub older: bool,
    /// Whether the keys in force signed the bundle's list of releases, so that the publisher once
    /// made it; for messages only.
    pub genuine: bool,
}

impl Trust {
    /// The trust stored in `folder` (created at the first write), which begins with `shipped_root`,
    /// a `root.json`.
    ///
    /// The shipped root counts only while `folder` has no sound root. So exchanging the file beside
    /// the launcher cannot hijack an installation (docs/security.md, fault 10).
    pub fn new(folder: impl Into<PathBuf>, shipped_root: impl Into<Vec<u8>>) -> Self {
        Self { state: StateFolder::new(folder.into()), shipped_root: shipped_root.into() }
    }

    /// Whether there is a root to begin with: a stored one, or the shipped one.
    ///
    /// # Errors
    /// [`TrustError::Root`] if neither can be used, [`TrustError::File`] if the stored one cannot be
    /// read.
    pub fn check_root(&self) -> Result<(), TrustError> {
        self.state.root(&self.shipped_root).map(drop)
    }

    /// Whether `folder` holds the trusted state of another repository than the shipped root's:
    /// another publisher's app of the same name.
    pub(crate) fn is_of_another_publisher(&self) -> bool {
        self.state.is_of_another(&self.shipped_root)
    }

    /// Stores what a load verified.
    fn save(&self, root: &TufDocument<Root>, stored: &StoredMetadata) -> Result<(), TrustError> {
        self.state.save(root, stored)?;
        self.state.remember_keys(root, &self.shipped_root);
        Ok(())
    }

    /// The result of the last successful refresh, verified again; `None` if there is none or it is
    /// damaged.
    ///
    /// It may have expired: a caller that installs from it compares [`Repository::expires`] with
    /// the time, and one that uses its patches compares [`Repository::patches_expire`] too.
    pub fn cached(&self) -> Option<Repository> {
        self.verified().map(|(root, documents)| Repository::new(&root.signed, &documents))
    }

    /// The newest stored document of each role, by the role's name in addresses: the files that
    /// another client of the same kind would store. Stored documents that no longer verify are left
    /// out.
    ///
    /// # Errors
    /// [`TrustError::Root`] and [`TrustError::File`] if the trusted state cannot be read.
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

    /// Judges a bundle: its metadata gets the same checks as a mirror's, and the verified documents
    /// are stored as after a [`Trust::refresh`].
    ///
    /// - A bundle whose metadata is older than the trusted one is an old file, not an attack, so it
    ///   is not refused for its age: the newer trusted metadata decides what of it may be
    ///   installed. Version numbers never go back, and a withdrawn release stays withdrawn. A
    ///   bundle's claim to be old needs no proof, since the claim only makes its own metadata count
    ///   less.
    /// - The timestamp and the snapshot are valid for days, but a file on a stick is used for
    ///   months. They only prove that no release is newer, which a file cannot know anyway: the
    ///   person who hands it over chooses its contents. So a person who was asked may waive their
    ///   expiry. The expiry of the root and the targets, which say what is genuine, is never
    ///   waived.
    /// - Metadata that counts although it has expired is stored too: that only raises the lowest
    ///   version accepted from then on.
    ///
    /// # Errors
    /// The same as [`Trust::refresh`]; [`TrustError::expired`] says what has expired.
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
        // Errors that cannot be waived are reported first, so the expiry of the other roles is
        // checked last.
        let loaded = self.load_one(&mirror, now, Freshness::Waived).await?;
        let checked = loaded.documents.and_then(|documents| {
            documents.check(&loaded.trusted.root.signed, now, freshness).map(|()| documents)
        });
        match checked {
            Ok(documents) => {
                self.save(
                    &loaded.trusted.root,
                    &StoredMetadata::of(&loaded.trusted, &loaded.texts),
                )?;
                let repository = Repository::new(&loaded.trusted.root.signed, &documents);
                Ok(Judged { repository, older: false, genuine: true })
            }
            Err(refusal) => Err(blame(refusal)),
        }
    }

    /// Whether `bundle` itself shows that it is older than the trusted metadata: by its timestamp,
    /// or by a root that it lacks.
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
