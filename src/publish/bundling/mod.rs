//! The builder: makes a package that runs on a machine with nothing installed, from an app's
//! folder.
//!
//! In: a [`BuildRequest`]. Out: a package, and a [`Report`] about it. The builder lays a tree out
//! in a temporary folder beside the package (runtime, dependencies, app, scripts), compiles
//! bytecode with the very interpreter that will read it, and packs the tree. Never: a time, a name
//! or an order in the package that does not follow from the inputs; a change in the app's folder.

mod archive;
mod bytecode;
mod checks;
mod companion;
mod copy;
mod dependencies;
mod detect;
mod entry_point;
mod error;
mod foreign_files;
mod icon;
mod layout;
mod left_out;
mod machine_code;
mod program;
mod request;
mod revision;
mod runtime;
mod scripts;
pub(super) mod secrets;
mod start;
mod steps;
mod target;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use copy::{NEVER, is_program};
pub use entry_point::{EntryPoint, InvalidEntryPoint};
pub use error::BuildError;
pub use program::FileKind;
pub use request::{ArchiveSource, BuildRequest, InvalidRuntime, PinnedArchive, Runtime};
pub use steps::{BuildProgress, BundlingStep};

use super::package::{self, Package};
use crate::file_error::FileResult as _;
use crate::model::ContainerId;
use crate::model::made_file::MadeFile;
use crate::named_file;
use crate::real_path;
use steps::Steps;

/// A package that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The written package: manifest, index and digest.
    pub package: Package,
    /// The path of the package's file.
    pub path: PathBuf,
    /// Figures and warnings for the user.
    pub report: Report,
}

/// Figures of a build.
#[derive(Clone, Debug)]
pub struct Report {
    /// Files in the container, without the manifest.
    pub files: usize,
    /// Symlinks in it.
    pub links: usize,
    /// Bytes of all files when unpacked.
    pub unpacked_size: u64,
    /// Bytes of the package.
    pub package_size: u64,
    /// The duration of each step.
    pub steps: Vec<(BundlingStep, Duration)>,
    /// Problems that probably appear on a user's computer, or look bad there.
    pub warnings: Vec<String>,
}

/// Checks the whole request before the build takes time. Returns warnings.
pub fn check(request: &BuildRequest) -> Result<Vec<String>, BuildError> {
    checks::before(request)
}

/// Reads the archive of a runtime and pins it to the digest that it has now. One with an address is
/// downloaded into `cache`; `progress` hears how many bytes are there, and how many there will be.
pub(crate) fn pin(
    source: ArchiveSource,
    cache: Option<&Path>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PinnedArchive, BuildError> {
    archive::Archive::pin(source, cache, progress)
}

/// The file of a pinned runtime, verified; one with an address is downloaded into `cache` if it is
/// not there.
pub(crate) fn fetch_runtime(pinned: &PinnedArchive, cache: &Path) -> Result<PathBuf, BuildError> {
    archive::Archive::pinned(pinned, Some(cache), &mut |_, _| ()).map(archive::Archive::into_path)
}

/// Builds the package `out`; if `out` is a folder, `{container id}.kuzflow` in it. `progress` may
/// be called from any thread.
pub fn build(
    request: &BuildRequest,
    out: &Path,
    progress: &(dyn Fn(BuildProgress) + Sync),
) -> Result<Built, BuildError> {
    let mut warnings = check(request)?;
    let path = if out.is_dir() {
        out.join(format!("{}.kuzflow", container_id(request)))
    } else {
        out.to_path_buf()
    };
    named_file::check(&path, MadeFile::Package)?;
    let folder =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).at("create the folder", folder)?;
    let folder = real_path::resolve(folder).at("find the folder", folder)?;
    // Beside the package: there is space where packages are written, and /tmp is often small.
    let work = tempfile::Builder::new()
        .prefix(copy::WORK_PREFIX)
        .tempdir_in(&folder)
        .at("create a temporary folder in", &folder)?;
    let mut steps = Steps::new(progress);
    let (draft, more) = layout::lay_out(request, work.path(), &mut steps)?;
    warnings.extend(more);
    let package = steps
        .pack(&draft, |progress| package::write_package(&path, &draft, request.effort, progress))?;
    let report = Report {
        files: package
            .manifest
            .file_manifest
            .values()
            .filter(|entry| entry.symlink.is_none())
            .count(),
        links: package
            .manifest
            .file_manifest
            .values()
            .filter(|entry| entry.symlink.is_some())
            .count(),
        unpacked_size: package.manifest.unpacked_size(),
        package_size: package.length,
        steps: steps.finish(),
        warnings,
    };
    Ok(Built { package, path, report })
}

fn container_id(request: &BuildRequest) -> ContainerId {
    ContainerId {
        app: request.name.clone(),
        version: request.version.clone(),
        platform: request.platform.clone(),
    }
}
