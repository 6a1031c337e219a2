//! Trust: only signed metadata decides what may be installed (The Update Framework, through
//! `tough`).
//!
//! In: a root shipped with the launcher, mirrors that deliver metadata files, the time. Out: a
//! verified [`Repository`]: releases and the digests of all other files. Never: passes on an
//! unverified byte, accepts data after a failed check, opens the network itself (the caller
//! provides a [`MetadataSource`]).
//!
//! This room implements the client workflow of the specification ([`workflow`], without I/O;
//! [`load`] asks mirrors; [`release_roles`] says which delegated roles hold the releases of an
//! installation; [`search`] follows delegations). `tough` provides keys and signatures.
//! One bad mirror does not block the others, the documents that a failed load has verified still
//! count, a damaged state does not make the installation unusable, and time is an argument.

mod bundle;
mod document;
mod error;
mod limits;
mod load;
mod names;
mod patches;
mod release_roles;
mod repository;
mod repository_keys;
mod role_names;
mod search;
mod source;
mod state;
mod words;
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
pub(crate) use patches::PATCH_KEY;
use release_roles::Interest;
pub use repository::Repository;
use repository::has_release;
pub(crate) use repository::{LAUNCHER_KEY, RELEASE_KEY};
pub(crate) use role_names::{PATCHES_ROLE, ROLLOUT_ROLE, ReleaseKind, RolePart, WORD_SUFFIX};
pub use source::MetadataSource;
use source::encoded;
use state::{StateFolder, StoredMetadata};
pub(crate) use words::SignedWord;
pub use workflow::Freshness;
use workflow::{Documents, Trusted};

use crate::model::platform::{AppName, Platform};

/// The trust of one installation: the shipped root and the folder of its trusted state.
#[derive(Clone, Debug)]
pub struct Trust {
    state: StateFolder,
    shipped_root: Vec<u8>,
    interest: Interest,
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
        Self {
            state: StateFolder::new(folder.into()),
            shipped_root: shipped_root.into(),
            interest: Interest::default(),
        }
    }

    /// The same for an installation on this computer: of a repository that has each kind of release
    /// in its own roles, only what this app is offered in this channel is read.
    #[must_use]
    pub(crate) fn for_installation(self, app: &AppName, channel: &str) -> Self {
        self.for_kind(app, channel, &Platform::current())
    }

    /// The same for an installation on this platform.
    #[must_use]
    pub fn for_kind(self, app: &AppName, channel: &str, platform: &Platform) -> Self {
        let kind = ReleaseKind {
            app: app.clone(),
            channel: channel.to_owned(),
            platform: platform.clone(),
        };
        Self { interest: Interest::of(kind), ..self }
    }

    /// The same with what is offered in other channels: for one that a user has left.
    #[must_use]
    pub(crate) fn with_other_channels(self) -> Self {
        Self { interest: self.interest.with_other_channels(), ..self }
    }

    /// The same with the releases that are no longer offered, and those of other channels: for a
    /// release that a person names.
    #[must_use]
    pub fn with_history(self) -> Self {
        Self { interest: self.interest.with_history(), ..self }
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

    /// Stores the lists of releases that are no longer offered: they are long, and few loads need
    /// them.
    fn save_histories(&self, documents: &Documents) -> Result<(), TrustError> {
        for role in documents.roles.iter().filter(|role| role.part == RolePart::History) {
            self.state.save_delegated(&role.name, &role.document.text)?;
        }
        Ok(())
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
        let stored = self.state.stored()?;
        let trusted = Trusted::remember(self.state.root(&self.shipped_root)?, &stored.newest);
        let texts = trusted.texts();
        let below = [
            ("timestamp", texts.timestamp),
            ("snapshot", texts.snapshot),
            ("targets", texts.targets),
        ];
        let below = below.into_iter().filter_map(|(role, text)| Some((role.to_owned(), text?)));
        let root = ("root".to_owned(), trusted.root.text.clone());
        let roles = stored.newest.roles.iter();
        let roles = roles.map(|(role, text)| (encoded(role), text.clone()));
        let all = std::iter::once(root).chain(below).chain(roles);
        let searched = self.state.all_delegated()?.into_iter();
        Ok(all
            .chain(searched.filter(|(role, _)| !stored.newest.roles.contains_key(role)))
            .collect())
    }

    fn verified(&self) -> Option<(TufDocument<Root>, Documents)> {
        self.verified_for(&self.interest)
    }

    /// The verified documents that `interest` selects; `None` if one that it requires is missing.
    fn verified_for(&self, interest: &Interest) -> Option<(TufDocument<Root>, Documents)> {
        let root = self.state.root(&self.shipped_root).ok()?;
        let stored = self.state.stored().ok()?;
        let texts = stored.whole();
        let mut documents = Trusted::remember(root.clone(), texts).documents()?;
        let mut roles = Vec::new();
        let (targets, snapshot) = (&documents.targets.signed, &documents.snapshot.signed);
        for role in release_roles::wanted(interest, targets, snapshot) {
            let known = self.state.known_role(&role, texts);
            match known.or_else(|| StateFolder::last_words(&role, texts)) {
                Some(found) => roles.push(found),
                // The history is fetched when somebody asks for it. A repository under conversion has
                // the releases in the targets role too, which an older launcher has stored.
                None if role.is_required
                    && role.part == RolePart::Offer
                    && !targets.targets.values().any(has_release) =>
                {
                    return None;
                }
                None => tracing::debug!("the role {} is not stored", role.name()),
            }
        }
        documents.lacks_history = release_roles::lacks_history(interest, targets, &roles);
        documents.roles = roles;
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
            && let Some((root, documents)) = self.verified_for(&self.interest.clone().available())
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
        let interest = self.interest.clone().available();
        let loaded = self.load_one(&mirror, &interest, now, Freshness::Waived).await?;
        let checked = loaded.documents.and_then(|documents| {
            documents.check(&loaded.trusted.root.signed, now, freshness).map(|()| documents)
        });
        match checked {
            Ok(documents) => {
                self.save_histories(&documents)?;
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
        let Some((root, documents)) = self.verified_for(&self.interest.clone().available()) else {
            return false;
        };
        let timestamp = bundle.get("metadata/timestamp.json", LIMITS.timestamp).await;
        let claimed = timestamp.ok().and_then(|json| serde_json::from_slice::<Claim>(&json).ok());
        claimed.is_some_and(|claim| claim.signed.version < documents.timestamp.signed.version())
            || bundle.newest_root().is_some_and(|newest| newest < root.signed.version.get())
    }
}
