//! Finds the publisher's folder when no argument names it: in or around the current folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::real_path;

/// The file that marks a publisher's folder.
const SETTINGS: &str = "kuzflow.toml";
/// The folder that `init` makes in an app's folder if none is named.
pub(crate) const USUAL_NAME: &str = "kuzflow";

/// The publisher's folder for the argument `named`; without it, the one in or around the current
/// folder.
pub(crate) fn folder(named: Option<&Path>) -> Result<PathBuf, String> {
    match named {
        Some(named) => Ok(of(&real_path::simplified(named))),
        None => found_above(Path::new(".")),
    }
}

/// The folder with `kuzflow.toml`: `folder` itself, or the one above it, for which the repository
/// in it may be named as well.
pub(crate) fn of(folder: &Path) -> PathBuf {
    let above = folder
        .parent()
        .filter(|above| above.join(SETTINGS).exists() && !folder.join(SETTINGS).exists());
    above.unwrap_or(folder).to_owned()
}

/// `start` itself, else the only publisher's folder in it, else the same from a parent folder.
fn found_above(start: &Path) -> Result<PathBuf, String> {
    let is_one = |folder: &Path| folder.join(SETTINGS).is_file();
    if is_one(start) {
        return Ok(start.to_owned());
    }
    let inside = fs::read_dir(start)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| start.join(entry.file_name()));
    let mut inside: Vec<PathBuf> = inside.filter(|folder| is_one(folder)).collect();
    inside.sort();
    match inside.as_slice() {
        [only] => return Ok(only.strip_prefix(".").unwrap_or(only).to_owned()),
        [] => {}
        several => {
            let names: Vec<String> =
                several.iter().map(|path| path.display().to_string()).collect();
            return Err(format!(
                "there are several publisher's folders here: {}; name one with --repo DIR",
                names.join(", ")
            ));
        }
    }
    let absolute = std::path::absolute(start).unwrap_or_else(|_| start.to_owned());
    let above = absolute
        .ancestors()
        .skip(1)
        .flat_map(|folder| [folder.to_owned(), folder.join(USUAL_NAME)]);
    above.into_iter().find(|folder| is_one(folder)).ok_or_else(|| {
        "there is no publisher's folder (with a kuzflow.toml) here; make one with `kuzflow init`, or name yours with --repo DIR".to_owned()
    })
}

/// A path as it is typed in a shell.
pub(crate) fn typed(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/\\._-+:".contains(c);
    if text.chars().all(plain) { text } else { format!("\"{text}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_publishers_folder_is_found_above_the_current_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let make = |name: &str| {
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(root.join(name).join(SETTINGS), "").unwrap();
        };
        fs::create_dir_all(root.join("app/src/deep")).unwrap();
        assert!(found_above(&root.join("app/src")).unwrap_err().contains("kuzflow init"));
        make("app/kuzflow");
        for from in ["app", "app/src", "app/src/deep", "app/kuzflow"] {
            assert_eq!(found_above(&root.join(from)).unwrap(), root.join("app/kuzflow"), "{from}");
        }
        make("app/other");
        assert!(found_above(&root.join("app")).unwrap_err().contains("--repo DIR"));
        assert_eq!(of(&root.join("app/other/repository")), root.join("app/other"));
    }
}
