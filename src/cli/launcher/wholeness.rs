//! The verb `verify`, and with `--repair` the repair of damaged files.
//!
//! In: which version. Out: which files are damaged, or which were repaired. Never: a change of the
//! user's settings and data.

use serde_json::json;

use super::invocation::Invocation;
use crate::app::Ending;
use crate::container::verify_tree;
use crate::error_chain;
use crate::look;
use crate::messages::problem;
use crate::messages::protocol::{Command, Phase};
use crate::model::manifest::MANIFEST_PATH;
use crate::model::{ContainerId, Manifest, Version};
use crate::parallel;
use crate::store::home::RECORD;
use crate::store::{InstalledRecord, StoreError};
use crate::update::repair;

impl Invocation<'_> {
    /// Repairs a version, whole or damaged; without an argument the version of the next start.
    pub(super) fn repair(&self, version: Option<&Version>) -> Ending {
        let home = &self.place.home;
        let found = match version {
            Some(version) => repair::find(&self.environment(), version),
            None => home.named().and_then(|named| match named {
                Some(active) => Ok(active.container),
                None => home.active().map(|(active, _)| active.container),
            }),
        };
        let id = match found {
            Ok(id) => id,
            Err(error) => return self.output.problem(&problem::of_store(&error)),
        };
        self.engine(Command::Repair(id), |phase| match phase {
            Phase::Repaired(repaired) if repaired.left.is_empty() => Some(Ending::Done),
            Phase::Repaired(_) | Phase::Failed { .. } | Phase::Cancelled => Some(Ending::Failed),
            _ => None,
        })
    }

    pub(super) fn verify(&self, version: Option<&Version>) -> Result<Ending, StoreError> {
        let record = match version {
            Some(version) => self.record(version),
            None => self.place.home.active().map(|(_, record)| record),
        };
        let record = match (record, version) {
            (Ok(record), _) => record,
            // The version's folder exists, but its record does not.
            (Err(error), Some(version)) => match repair::find(&self.environment(), version) {
                Ok(id) => return Ok(self.damaged(&id, &[RECORD.to_owned()])),
                Err(_) => return Err(error),
            },
            (Err(error), None) => return Err(error),
        };
        let path = self.place.home.manifest(&record.container);
        let json = match look::read(&path, look::LARGE) {
            Ok(json) => json.unwrap_or_default(),
            Err(error) => {
                self.output.say(&format!("{MANIFEST_PATH}: it cannot be read: {error}"));
                return Ok(self.damaged(&record.container, &[MANIFEST_PATH.to_owned()]));
            }
        };
        let manifest = (crate::model::Digest::of(&json) == record.manifest)
            .then(|| Manifest::from_json(&json).ok())
            .flatten();
        let Some(manifest) = manifest else {
            self.output.say(&format!("{MANIFEST_PATH}: it is not the one that was installed"));
            return Ok(self.damaged(&record.container, &[MANIFEST_PATH.to_owned()]));
        };
        let tree = self.place.home.container(&record.container);
        let verification = verify_tree(&tree, &manifest, parallel::workers(), &|_| ());
        for damage in &verification.damaged {
            self.output.say(&format!("{}: {}", damage.path, damage.what));
        }
        let mut damaged: Vec<_> =
            verification.damaged.iter().map(|damage| damage.path.to_string()).collect();
        // The manifest stood in for a record that cannot be read.
        if let Err(error) = self.place.home.written_record(&record.container) {
            self.output.say(&format!("{RECORD}: {}", error_chain::line(&error)));
            damaged.push(RECORD.to_owned());
        } else if InstalledRecord::of(&manifest, record.manifest, record.installed) != record {
            self.output.say(&format!("{RECORD}: it says something else than the manifest"));
            damaged.push(RECORD.to_owned());
        }
        if !damaged.is_empty() {
            return Ok(self.damaged(&record.container, &damaged));
        }
        self.output.say(&format!("{}: ✓", record.container));
        self.output
            .result(json!({ "status": "done", "container": record.container, "damaged": damaged }));
        Ok(Ending::Done)
    }

    pub(super) fn damaged(&self, id: &ContainerId, damaged: &[String]) -> Ending {
        self.output.say(&format!("{id}: ✗"));
        self.output
            .say(&self.output.texts.with("repair-hint", &[("version", &id.version.to_string())]));
        self.output.result(json!({ "status": "damaged", "container": id, "damaged": damaged }));
        Ending::Failed
    }
}
