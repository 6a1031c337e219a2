//! `[runtimes]` of `kuzflow.toml`: the Python that comes along on each platform, as an archive with
//! its digest.
//!
//! In: the table as it is written. Out: pinned archives, with paths from the folder of
//! `kuzflow.toml`. Never: a look at the disk or the network.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use super::bundling::{ArchiveSource, PinnedArchive};
use crate::model::{Digest, Platform};
use crate::real_path;

/// The pinned runtime of each platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Runtimes(BTreeMap<Platform, PinnedRuntime>);

impl Runtimes {
    /// Whether no platform has one.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The platforms that have one.
    pub(super) fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.0.keys()
    }

    /// Adds the runtime of a platform; `false` if it has one already. A path counts from the folder
    /// of `kuzflow.toml`.
    pub(crate) fn add(&mut self, platform: Platform, pinned: PinnedArchive) -> bool {
        let PinnedArchive { source, digest } = pinned;
        self.0.insert(platform, PinnedRuntime { source, digest }).is_none()
    }

    /// The runtime for `platform`; `project` is the folder of `kuzflow.toml`.
    pub(crate) fn pinned_for(&self, platform: &Platform, project: &Path) -> Option<PinnedArchive> {
        let PinnedRuntime { source, digest } = self.0.get(platform)?;
        let source = match source {
            ArchiveSource::File(path) => ArchiveSource::File(real_path::joined(project, path)),
            ArchiveSource::Url(url) => ArchiveSource::Url(url.clone()),
        };
        Some(PinnedArchive { source, digest: *digest })
    }
}

/// One entry, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
struct PinnedRuntime {
    source: ArchiveSource,
    digest: Digest,
}

/// One entry as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Url>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    sha256: String,
}

impl TryFrom<Written> for PinnedRuntime {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let source = match (written.url, written.file) {
            (Some(url), None) if ["http", "https"].contains(&url.scheme()) => {
                ArchiveSource::Url(url)
            }
            (Some(url), None) => {
                return Err(format!(
                    "url must begin with https:// or http://, not with {}:",
                    url.scheme()
                ));
            }
            (None, Some(file)) => ArchiveSource::File(file),
            _ => return Err("a runtime has either url or file".to_owned()),
        };
        // Some programs print digests in capitals.
        let digest = written.sha256.trim().to_lowercase().parse();
        Ok(Self { source, digest: digest.map_err(|error| format!("sha256: {error}"))? })
    }
}

impl From<PinnedRuntime> for Written {
    fn from(PinnedRuntime { source, digest }: PinnedRuntime) -> Self {
        let (url, file) = match source {
            ArchiveSource::Url(url) => (Some(url), None),
            ArchiveSource::File(file) => (None, Some(file)),
        };
        Self { url, file, sha256: digest.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Runtimes, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_entry_has_one_source_and_a_digest() {
        let digest = "AB".repeat(32);
        let text = format!(
            "Windows_AMD64 = {{ url = \"https://example.com/python.zip\", sha256 = \"{digest}\" }}\n\
             Darwin_arm64 = {{ file = \"python.tar.gz\", sha256 = \"{digest}\" }}\n"
        );
        let runtimes = read(&text).unwrap();
        assert_eq!(read(&toml::to_string(&runtimes).unwrap()).unwrap(), runtimes);
        let pinned =
            runtimes.pinned_for(&"Darwin_arm64".parse().unwrap(), Path::new("project")).unwrap();
        assert_eq!(pinned.source, ArchiveSource::File("project/python.tar.gz".into()));
        assert_eq!(pinned.digest.to_string(), digest.to_lowercase());
        assert_eq!(runtimes.pinned_for(&"Linux_x86_64".parse().unwrap(), Path::new("")), None);
        for (entry, word) in [
            (format!("{{ sha256 = \"{digest}\" }}"), "either url or file"),
            (format!("{{ url = \"https://a/\", file = \"b\", sha256 = \"{digest}\" }}"), "either"),
            (format!("{{ url = \"file:///a\", sha256 = \"{digest}\" }}"), "https://"),
            ("{ file = \"b\" }".to_owned(), "sha256"),
            ("{ file = \"b\", sha256 = \"12\" }".to_owned(), "not a SHA-256 digest"),
            (format!("{{ file = \"b\", sha256 = \"{digest}\", md5 = \"x\" }}"), "md5"),
        ] {
            let error = read(&format!("Windows_AMD64 = {entry}\n")).unwrap_err();
            assert!(error.contains(word), "{entry}: {error}");
        }
    }
}
