//! Finds the place of a user's item among the next version's files.
//!
//! In: what lies there. Out: a path at which the item loses nothing and replaces nothing of another
//! kind. Never: changes anything.

use std::path::{Path, PathBuf};

use crate::file_error::FileResult as _;
use crate::look;
use crate::store::StoreError;
use crate::store::files::name_beside;

/// Suffix of a user's file or folder whose place an item of another kind has.
const RETAINED_SUFFIX: &str = ".kept";

/// The place of `relative` below `target`, and whether it had to move. A folder stays where a file
/// should lie, and any other item stays where a folder should lie; the user's item then gets a name
/// beside it. Only kinds decide, so that a repetition finds the same place.
pub(super) fn free_place(target: &Path, relative: &Path) -> Result<(PathBuf, bool), StoreError> {
    place_of(target, relative, relative.iter().count())
}

/// The same for a folder.
pub(super) fn free_place_of_folder(
    target: &Path,
    relative: &Path,
) -> Result<(PathBuf, bool), StoreError> {
    place_of(target, relative, usize::MAX)
}

/// `file` is the number of parts of a path that ends in a file.
fn place_of(target: &Path, relative: &Path, file: usize) -> Result<(PathBuf, bool), StoreError> {
    let mut place = target.to_owned();
    let mut moved = false;
    for (index, part) in relative.iter().enumerate() {
        place.push(part);
        let is_file = index + 1 == file;
        while look::at(&place).at("look at", &place)?.is_some_and(|found| found.is_dir() == is_file)
        {
            place = name_beside(&place, RETAINED_SUFFIX);
            moved = true;
        }
    }
    Ok((place, moved))
}
