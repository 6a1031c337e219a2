//! An offer: a release that this installation may move to, with its plan and its price in bytes.

use std::path::PathBuf;

use serde::Serialize;

use super::node::{Node, without_passwords};
use super::plan::Plan;
use super::release::SignedRelease;
use super::version::Version;

/// A release that this installation may move to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offer {
    /// The release with its signed length and digest.
    pub signed: SignedRelease,
    /// The active version; `None` before the first install.
    pub current: Option<Version>,
    /// The plan by which it is fetched.
    pub plan: Plan,
    /// Bytes still to fetch, without those that an interrupted download left on disk.
    pub bytes_to_fetch: u64,
    /// Release notes in Markdown, in the best available language; empty if there are none.
    pub notes: String,
    /// The nodes for the download, the best first.
    #[serde(serialize_with = "without_passwords")]
    pub nodes: Vec<Node>,
    /// Estimated seconds of the download, from this client's measurements of its nodes; `None`
    /// before any measurement.
    pub estimated_seconds: Option<u64>,
    /// Why it is offered in place of the active version, if that one is recalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recalled: Option<RecalledVersion>,
    /// Estimated seconds in which this computer puts the version together once all bytes are here,
    /// from its last installation; `None` before one that could be measured.
    #[serde(skip)]
    pub installing_seconds: Option<u64>,
    /// The bundle that contains it, for [`super::plan::UpdateStrategy::File`].
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::readable::optional")]
    pub file: Option<PathBuf>,
}

/// A version that the publisher has recalled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecalledVersion {
    /// The version that is left.
    pub version: Version,
    /// The publisher's reason, in the best available language; empty if there is none.
    pub reason: String,
    /// The day of the user's files that come back with the release on offer; `None` if the present
    /// ones go along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_of: Option<jiff::Timestamp>,
}

impl Offer {
    /// The version on offer.
    pub fn version(&self) -> &Version {
        &self.signed.release.container.version
    }

    /// Estimated seconds until the version is ready; `None` while that cannot be estimated.
    pub fn seconds(&self) -> Option<u64> {
        if self.plan.is_local() {
            return self.installing_seconds;
        }
        self.estimated_seconds.map(|seconds| seconds + self.installing_seconds.unwrap_or_default())
    }

    /// The newer active version that it would replace at a person's wish; `None` if it is no step
    /// back, or one that the publisher wants.
    pub fn replaces_newer(&self) -> Option<&Version> {
        let is_wish = self.recalled.is_none();
        self.current.as_ref().filter(|current| is_wish && *current > self.version())
    }
}
