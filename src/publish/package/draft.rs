//! What a package is made of, and what is known of one that was written or inspected.
//!
//! In: the builder's or the inspector's findings. Out: plain values, and the release's description
//! for signed metadata. Never: a byte read or written.

use std::collections::BTreeMap;

use super::squeeze::Item;
use crate::model::manifest::*;
use crate::model::release::{DocumentLocation, Release};
use crate::model::{Digest, Manifest, PackageIndex, RelativePath};

/// The content and description of a package that is to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Which release this is. Its build date is the time of every entry.
    pub container_info: ContainerInfo,
    /// The platform that it runs on.
    pub platform_info: PlatformInfo,
    /// The app's names, icon and launch.
    pub application_info: ApplicationInfo,
    /// The packages in it, for information.
    pub dependencies: Vec<Dependency>,
    /// Files and links.
    pub items: BTreeMap<RelativePath, Item>,
    /// Folders without a file in them.
    pub empty_folders: Vec<RelativePath>,
}

/// A package that was written or inspected.
#[derive(Clone, Debug)]
pub struct Package {
    /// What it says about itself.
    pub manifest: Manifest,
    /// The places of its files' bytes.
    pub index: PackageIndex,
    /// The place of the manifest in the package.
    pub manifest_location: DocumentLocation,
    /// The place of the index in the package.
    pub index_location: DocumentLocation,
    /// Bytes of the whole file.
    pub length: u64,
    /// Digest of the whole file.
    pub hash: Digest,
}

/// The description of a package for signed metadata. The publisher adds mandatory, rollout, minimum
/// version and notes.
pub fn release_of(package: &Package, channel: &str, published: jiff::Timestamp) -> Release {
    let manifest = &package.manifest;
    Release {
        display_name: manifest.application_info.display_name.clone(),
        channel: channel.to_owned(),
        unpacked_size: manifest.unpacked_size(),
        file_count: manifest.file_manifest.len() as u64,
        ..Release::without_terms(
            manifest.id(),
            published,
            package.manifest_location.clone(),
            package.index_location.clone(),
        )
    }
}
