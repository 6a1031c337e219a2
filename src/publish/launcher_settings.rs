//! Publishes the settings of launchers as a signed target: the place of the repository, and the
//! content of `[client]` in `kuzflow.toml`. Launchers apply it on top of the settings that they
//! were shipped with. So a repository can move and switches can be turned without a new launcher.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};
use tough::schema::Targets;

use super::entries::{release_of, target, target_name};
use super::error::PublishError;
use super::project::Project;
use super::repository::is_there;
use super::settings::ProjectSettings;
use super::transaction::TransactionStep;
use crate::model::Digest;
use crate::settings::renewed::{self, MAX_RENEWAL_BYTES, Renewal, RenewalError};

/// The key in the target's custom metadata, for programs that list a repository.
const SETTINGS_KEY: &str = "launcher_settings";

impl ProjectSettings {
    /// The document for launchers; `None` if it would be empty.
    pub(super) fn renewal(&self) -> Result<Option<Renewal>, RenewalError> {
        let mut settings = Map::new();
        for (key, value) in &self.client {
            settings.insert(key.clone(), serde_json::to_value(value)?);
        }
        if !self.nodes.is_empty() && !settings.contains_key("nodes") {
            settings.insert("nodes".to_owned(), serde_json::to_value(self.public_nodes())?);
        }
        Ok((!settings.is_empty()).then(|| Renewal { app: self.app.clone(), settings }))
    }

    /// Refuses a `[client]` that launchers would ignore.
    pub(super) fn check_client(&self, path: &Path) -> Result<(), PublishError> {
        let refuse = |error: RenewalError| PublishError::Settings {
            path: path.to_owned(),
            source: error.into(),
        };
        let Some(renewal) = self.renewal().map_err(refuse)? else { return Ok(()) };
        let shipped = format!(
            "app = \"{}\"\n[[nodes]]\nid = \"shipped\"\nurl = \"http://127.0.0.1/\"\n",
            self.app
        );
        let (_, mut passed_over) = renewal.over(&shipped, Path::new("[client]")).map_err(refuse)?;
        if passed_over.is_empty() { Ok(()) } else { Err(refuse(passed_over.swap_remove(0))) }
    }
}

impl Project {
    /// Whether `kuzflow.toml` has settings that launchers do not know yet. The offline keys sign
    /// them, so `refresh` cannot publish them. Before the first release there are no launchers that
    /// could know other settings.
    ///
    /// # Errors
    /// The errors of reading the repository.
    pub fn has_unsigned_launcher_settings(&self) -> Result<bool, PublishError> {
        let signed = self.current()?.content();
        let mut wanted = signed.clone();
        self.renew_launcher_settings(&mut wanted)?;
        Ok(signed.targets.values().any(|target| release_of(target).is_some())
            && wanted.targets != signed.targets)
    }

    /// Puts the present settings of launchers into `targets`; returns the step that brings the
    /// file.
    pub(super) fn renew_launcher_settings(
        &self,
        targets: &mut Targets,
    ) -> Result<Option<TransactionStep>, PublishError> {
        let refuse = |error: RenewalError| PublishError::Settings {
            path: self.folder().join("kuzflow.toml"),
            source: error.into(),
        };
        let name = renewed::target_name(&self.settings().app);
        let Some(renewal) = self.settings().renewal().map_err(refuse)? else {
            targets.targets.remove(&target_name(&name)?);
            return Ok(None);
        };
        let bytes = serde_json::to_vec_pretty(&renewal).map_err(|error| refuse(error.into()))?;
        if bytes.len() as u64 > MAX_RENEWAL_BYTES {
            return Err(PublishError::Options(format!(
                "the settings for launchers may have {MAX_RENEWAL_BYTES} bytes"
            )));
        }
        let (hash, length) = (Digest::of(&bytes), bytes.len() as u64);
        let custom = HashMap::from([(SETTINGS_KEY.to_owned(), Value::Bool(true))]);
        targets.targets.insert(target_name(&name)?, target(hash, length, custom));
        let path = self.targets_folder().join(format!("{hash}.{name}"));
        Ok((!is_there(&path, hash, length)?).then_some(TransactionStep::Write { path, bytes }))
    }
}
