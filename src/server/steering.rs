//! How a server signs words about rollouts: in the publisher's folder, with its online keys.
//!
//! In: a word that is stored. Out: the same, signed and in force; the releases with a plan. Never: a
//! word that their plans do not allow, which `publish/steering` refuses.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::ServerError;
use crate::host;
use crate::model::rollout_plan::RolloutWord;
use crate::publish::transaction::when_free;
use crate::publish::{Keyring, PlannedRollout, Project, PublishError};

/// How long a word waits for a publisher who works in the folder.
const PUBLISHER_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// How a server signs words.
#[derive(Clone, Debug)]
pub struct Steering {
    /// The publisher's folder.
    pub folder: PathBuf,
    /// Its online keys.
    pub keyring: Arc<Keyring>,
}

impl Steering {
    /// All rollouts with a plan, as they are signed.
    pub(super) async fn rollouts(&self) -> Result<Vec<PlannedRollout>, ServerError> {
        let folder = self.folder.clone();
        blocking(move || Project::open(&folder)?.planned_rollouts()).await
    }

    /// Signs a word that is stored.
    pub(super) async fn sign(
        &self,
        rollout: &PlannedRollout,
        word: RolloutWord,
    ) -> Result<(), ServerError> {
        let (folder, keyring) = (self.folder.clone(), Arc::clone(&self.keyring));
        let (app, version) = (rollout.app.clone(), rollout.version.clone());
        blocking(move || {
            let project = Project::open(&folder)?;
            let (transaction, _) = when_free(PUBLISHER_LOCK_TIMEOUT, || {
                project.steer((&app, &version), |_| Ok(Some(word)), &keyring, host::now())
            })?;
            transaction.run()
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, ServerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(ServerError::Steering),
        // The thread panicked, and has said so in the log.
        Err(_) => Err(ServerError::Steering(PublishError::Options(
            "the work on the repository broke off".to_owned(),
        ))),
    }
}
