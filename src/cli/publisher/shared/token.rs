//! Reads the token of a server from a file: on a command line, others would see it.

use std::path::Path;

use super::VerbError;
use crate::look;

/// Largest file with a token, bytes.
const MAX_TOKEN_BYTES: u64 = 1024;

/// The token in the file; an empty text if no file is named.
pub(crate) fn read(file: Option<&Path>) -> Result<String, VerbError> {
    let Some(path) = file else { return Ok(String::new()) };
    let bytes = look::read(path, MAX_TOKEN_BYTES)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let bytes = bytes.ok_or_else(|| format!("there is no {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
