//! The launcher as it is shipped: under the app's name and with its icon on Windows, for all given
//! processors on macOS, signed.
//!
//! In: the launchers that were built. Out: the bytes of one program. Never: a change of a program
//! that is signed already.

use std::fs;
use std::path::Path;

use super::error::InstallerError;
use super::product::Product;
use super::signing::Signers;
use super::{mac, windows};
use crate::durable;
use crate::file_error::FileResult as _;
use crate::model::Platform;
use crate::model::made_file::MadeFile;
use crate::named_file;

/// The launcher for `platform` from these files; `None` if the first of them is shipped as it is.
///
/// # Errors
/// [`InstallerError::Launcher`] if a file is none for this platform, those of signing.
pub(crate) fn finished_launcher(
    product: &Product,
    platform: &Platform,
    launchers: &[&Path],
    signers: &Signers<'_>,
) -> Result<Option<Vec<u8>>, InstallerError> {
    let [first, ..] = launchers else { return Ok(None) };
    let refuse = |reason: String| InstallerError::Launcher { path: first.to_path_buf(), reason };
    let read = |path: &&Path| fs::read(path).at("read", path);
    let programs = launchers.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    match platform.os.as_str() {
        "Windows" => {
            let name = product.program_name(platform);
            let named = windows::named_launcher(product, &programs[0], &name);
            let named = named.map_err(|error| refuse(error.to_string()))?;
            match (named, &signers.windows) {
                (Some(named), Some(signer)) => Ok(Some(windows::signed(signer, &name, &named)?)),
                (named, _) => Ok(named),
            }
        }
        "Darwin" if programs.len() > 1 => {
            let parts: Vec<&[u8]> = programs.iter().map(Vec::as_slice).collect();
            let whole = mac::universal(&parts);
            let reason = "it and the others are not programs for one processor each";
            whole.map(Some).ok_or_else(|| refuse(reason.to_owned()))
        }
        _ => Ok(None),
    }
}

/// Writes a finished launcher to `path`, in one step.
///
/// # Errors
/// [`InstallerError::Place`] if something else than a program stands there, or
/// [`InstallerError::File`].
pub(crate) fn write_launcher(path: &Path, bytes: &[u8]) -> Result<(), InstallerError> {
    named_file::check(path, MadeFile::Program)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).at("create", folder)?;
    }
    Ok(durable::replace(path, bytes).at("write", path)?)
}
