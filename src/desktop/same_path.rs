//! Whether two paths lead to the same file on Windows, where capitals count for nothing. One of them
//! may be as a person has typed it for a setup, and lead through a link.
//!
//! In: two paths. Out: whether they are the same. Never: an error; what leads nowhere is compared as it
//! is written.

use std::path::Path;

use crate::real_path;

/// Whether both lead to the same file or folder.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| {
        real_path::resolve(path).map_or_else(|_| plain(path), |resolved| plain(&resolved))
    };
    plain(one) == plain(other) || real(one) == real(other)
}

/// A path as Windows compares it.
fn plain(path: &Path) -> String {
    path.to_string_lossy().replace('/', "\\").trim_end_matches('\\').to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_and_separators_do_not_count_and_names_do() {
        let same = |one: &str, other: &str| is_same(Path::new(one), Path::new(other));
        assert!(same(r"C:\Programs\Sample", "c:/programs/SAMPLE/"));
        assert!(!same(r"C:\Programs\Sample", r"C:\Programs\Sample 2"));
        assert!(!same(r"C:\Programs\Sample", r"D:\Programs\Sample") && !same("", "C:/"));
    }

    #[test]
    #[cfg(unix)]
    fn a_link_leads_to_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let (place, link) = (folder.path().join("place"), folder.path().join("link"));
        std::fs::create_dir(&place).unwrap();
        std::os::unix::fs::symlink(&place, &link).unwrap();
        assert!(is_same(&link, &place) && !is_same(&link, folder.path()));
        assert!(!is_same(&link.join("none"), &place.join("none")), "nothing is there");
    }
}
