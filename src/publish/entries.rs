//! Targets as entries of signed documents: their names, their files, and the releases that they
//! describe.
//!
//! In: a name, a digest, a description. Out: an entry, or what one says. Never: a file's content.

use std::collections::HashMap;

use tough::TargetName;
use tough::schema::{Hashes, Target};

use super::error::PublishError;
use crate::model::{ContainerId, Digest, Release};
use crate::trust::{RELEASE_KEY, is_plain_name};

pub(super) fn target(
    hash: Digest,
    length: u64,
    custom: HashMap<String, serde_json::Value>,
) -> Target {
    let hashes = Hashes { sha256: hash.as_bytes().to_vec().into(), _extra: HashMap::new() };
    Target { length, hashes, custom, _extra: HashMap::new() }
}

pub(super) fn target_name(name: &str) -> Result<TargetName, PublishError> {
    let refused = |reason: String| {
        PublishError::Options(format!("{name:?} cannot be a target's name{reason}"))
    };
    if !is_plain_name(name) {
        return Err(refused(String::new()));
    }
    TargetName::new(name).map_err(|error| refused(format!(": {error}")))
}

pub(super) fn release_of(target: &Target) -> Option<Release> {
    target.custom.get(RELEASE_KEY).and_then(|value| serde_json::from_value(value.clone()).ok())
}

/// The file of a target in the folder of targets.
pub(super) fn file_of(name: &str, target: &Target) -> String {
    let hash: String = target.hashes.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hash}.{name}")
}

/// The name of a release's package.
pub(super) fn package_name(container: &ContainerId) -> String {
    format!("{container}.kuzflow")
}
