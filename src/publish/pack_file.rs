//! A pack as a file that somebody asked for, beside the repository.
//!
//! In: two releases as trees, and a path. Out: the pack there, in one step. Never: half a pack at
//! that path; a file of another kind replaced.

use std::io::{self, BufWriter};
use std::path::Path;

use crate::durable;
use crate::file_error::{FileError, FileResult as _};
use crate::model::made_file::MadeFile;
use crate::named_file::{self, OutputError};
use crate::pack::{self, MadePack, MakeOptions, MakePackError, Tree};

/// Why there is no such file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackFileError {
    /// The path is taken by something else.
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    File(#[from] FileError),
    /// The two releases cannot be compared.
    #[error(transparent)]
    Make(#[from] MakePackError),
}

/// Refuses a path where something else than a pack stands, before time goes into making one.
///
/// # Errors
/// [`PackFileError::Output`].
pub(crate) fn check_place(out: &Path) -> Result<(), PackFileError> {
    Ok(named_file::check(out, MadeFile::PatchPack)?)
}

/// Makes the pack from `old` to `new` and writes it to `out`.
///
/// # Errors
/// [`PackFileError`]; what stood at `out` before is still there then.
pub(crate) fn write(
    old: &dyn Tree,
    new: &dyn Tree,
    options: MakeOptions,
    out: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<MadePack, PackFileError> {
    check_place(out)?;
    let mut writer = BufWriter::new(durable::temporary(out).at("write", out)?);
    let made = pack::make(old, new, options, &mut writer, progress)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error).at("write", out)?;
    durable::persist(file, out).at("write", out)?;
    Ok(made)
}
