//! Paths in JSON as readable text. JSON holds only Unicode. A path that is not Unicode must still
//! be written to a record and printed for a script.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Serialises a path.
///
/// # Errors
/// Errors of the serializer.
pub fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.display().to_string().serialize(serializer)
}

/// Serialises an optional path.
///
/// # Errors
/// Errors of the serializer.
pub fn optional<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(text).serialize(serializer)
}

/// Serialises a list of paths.
///
/// # Errors
/// Errors of the serializer.
pub fn list<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| text(path)))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Record {
        #[serde(serialize_with = "path")]
        one: PathBuf,
        #[serde(serialize_with = "optional")]
        maybe: Option<PathBuf>,
        #[serde(serialize_with = "list")]
        many: Vec<PathBuf>,
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_unicode_is_written_all_the_same() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = PathBuf::from(std::ffi::OsString::from_vec(b"/home/\xff".to_vec()));
        let record =
            Record { one: odd.clone(), maybe: Some(odd.clone()), many: vec![odd, "数据".into()] };
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["one"], "/home/\u{fffd}");
        assert_eq!((&json["maybe"], &json["many"][1]), (&"/home/\u{fffd}".into(), &"数据".into()));
    }
}
