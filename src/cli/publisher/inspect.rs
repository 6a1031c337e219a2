//! `kuzflow inspect`: checks a built container: its zip, its manifest and every hash.

use std::path::Path;

use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use crate::app::Ending;
use crate::publish::package::{Effort, inspect};

/// Checks one container, and reports its contents.
pub(super) fn inspect_file(file: &Path, say: &Say) -> Result<Ending, VerbError> {
    let package = inspect(file, Effort::default().threads)?;
    let manifest = &package.manifest;
    say.line(&format!(
        "{}: {} files, {} bytes unpacked, {} bytes packed",
        manifest.id(),
        manifest.file_manifest.len(),
        manifest.unpacked_size(),
        package.length
    ));
    say.result(json!({ "status": "done", "container": manifest.id(), "files": manifest.file_manifest.len(), "unpacked": manifest.unpacked_size(), "length": package.length, "hash": package.hash, "platform_info": manifest.platform_info, "dependencies": manifest.dependencies }));
    Ok(Ending::Done)
}
