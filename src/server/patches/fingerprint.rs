//! Compares the files that a client reports as installed with the files of the release that it
//! names. Pure.
//!
//! In: the specification's `current_fingerprint.files`, as an object of paths or as a list, each
//! with a SHA-256 and perhaps a size. The paths begin at the container (`app/app.py`) or, all of
//! them, at the app's own folder (`app.py`, as the specification's examples). Also the files of two
//! releases as the signed version tree has them. Out: the files that a pack cannot start from, and
//! the cost of fetching them singly. Never: trusts either; applying a pack verifies every file that
//! it starts from.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::model::version_tree::FileState;
use crate::model::{Digest, RelativePath};

/// The folder of the app's own files in a container.
const APP_FOLDER: &str = "app";

/// Installed files. Paths that no release can have are ignored.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Files(BTreeMap<RelativePath, StatedFile>);

/// The reported facts of one file. Times and other fields are ignored: they differ between
/// installations.
#[derive(Clone, Copy, Debug, PartialEq)]
struct StatedFile {
    hash: Digest,
    size: Option<u64>,
}

impl Files {
    /// The reported files that differ from those of `base`. A file that is not in `base` is the
    /// user's own.
    pub(super) fn differing<'a>(
        &'a self,
        base: &'a BTreeMap<RelativePath, FileState>,
    ) -> impl Iterator<Item = &'a RelativePath> {
        let differs = |state: &FileState, stated: &StatedFile| {
            state.hash != stated.hash || stated.size.is_some_and(|size| size != state.size)
        };
        // If no path lies below `app`, the paths begin at the app's folder: in a container it is
        // one folder of several.
        let of_the_app = !self.0.keys().any(|path| path.is_under(APP_FOLDER));
        let find = move |path: &RelativePath| {
            let within: Option<RelativePath> =
                if of_the_app { format!("{APP_FOLDER}/{path}").parse().ok() } else { None };
            within
                .and_then(|within| base.get_key_value(&within))
                .or_else(|| base.get_key_value(path))
        };
        let both = self.0.iter().filter_map(move |(path, stated)| Some((find(path)?, stated)));
        both.filter(move |((_, state), stated)| differs(state, stated)).map(|((path, _), _)| path)
    }
}

/// The most bytes that fetching these files singly takes: their unpacked size in `target`. A file
/// that is not in it is not needed.
pub(super) fn to_fetch<'a>(
    differing: impl IntoIterator<Item = &'a RelativePath>,
    target: &BTreeMap<RelativePath, FileState>,
) -> u64 {
    differing
        .into_iter()
        .filter_map(|path| target.get(path))
        .fold(0, |sum, state| sum.saturating_add(state.size))
}

impl<'de> Deserialize<'de> for Files {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Files;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter
                    .write_str("files: an object of paths, or a list of objects with a path, each with a SHA-256 as its hash")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Files, A::Error> {
                let mut files = BTreeMap::new();
                while let Some(path) = map.next_key::<String>()? {
                    let Entry { hash, size, .. } = map.next_value()?;
                    insert(&mut files, &path, hash, size)?;
                }
                Ok(Files(files))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Files, A::Error> {
                let mut files = BTreeMap::new();
                while let Some(Entry { path, hash, size }) = list.next_element()? {
                    let path = path.ok_or_else(|| A::Error::missing_field("path"))?;
                    insert(&mut files, &path, hash, size)?;
                }
                Ok(Files(files))
            }
        }

        deserializer.deserialize_any(Form)
    }
}

fn insert<E: Error>(
    files: &mut BTreeMap<RelativePath, StatedFile>,
    path: &str,
    hash: Option<String>,
    size: Option<u64>,
) -> Result<(), E> {
    let hash = hash.ok_or_else(|| E::missing_field("hash"))?;
    let digits = hash.strip_prefix("sha256:").unwrap_or(&hash);
    let hash = digits
        .parse()
        .map_err(|_| E::custom(format_args!("{path:.80}: its hash is no SHA-256")))?;
    // Windows installations may report paths with backslashes.
    if let Ok(path) = path.replace('\\', "/").parse() {
        files.insert(path, StatedFile { hash, size });
    }
    Ok(())
}

/// One file: a hash, or an object with one.
#[derive(Default)]
struct Entry {
    path: Option<String>,
    hash: Option<String>,
    size: Option<u64>,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Form;

        impl<'de> Visitor<'de> for Form {
            type Value = Entry;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a SHA-256, or an object with one as its hash")
            }

            fn visit_str<E: Error>(self, hash: &str) -> Result<Entry, E> {
                Ok(Entry { hash: Some(hash.to_owned()), ..Entry::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
                let mut entry = Entry::default();
                while let Some(field) = map.next_key::<String>()? {
                    match field.as_str() {
                        "path" => entry.path = Some(map.next_value()?),
                        "hash" => entry.hash = Some(map.next_value()?),
                        "size" => entry.size = map.next_value()?,
                        _ => _ = map.next_value::<IgnoredAny>()?,
                    }
                }
                Ok(entry)
            }
        }

        deserializer.deserialize_any(Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Files, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn release(files: &[(&str, &str)]) -> BTreeMap<RelativePath, FileState> {
        let state = |content: &str| FileState {
            hash: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            critical: false,
            hot_updatable: false,
        };
        files.iter().map(|(path, content)| (path.parse().unwrap(), state(content))).collect()
    }

    #[test]
    fn every_form_says_the_same() {
        let hash = Digest::of(b"x");
        let forms = [
            format!(r#"{{ "app/a.py": "{hash}" }}"#),
            format!(
                r#"{{ "app\\a.py": {{ "hash": "sha256:{hash}", "mtime": 17.5, "version": null }} }}"#
            ),
            format!(
                r#"[ {{ "path": "app/a.py", "hash": "{hash}", "size": null, "other": [1, {{}}] }} ]"#
            ),
            format!(
                r#"[ {{ "path": "app/a.py", "hash": "{hash}" }}, {{ "path": "../../etc/passwd", "hash": "{hash}" }} ]"#
            ),
        ];
        let all: Vec<Files> = forms.iter().map(|form| parse(form).unwrap()).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
        assert_eq!(all[0].0.len(), 1);
        for (wrong, word) in [
            (r#"{ "app/a.py": "12" }"#, "app/a.py"),
            (r#"{ "app/a.py": {} }"#, "hash"),
            (r#"[ { "hash": "x" } ]"#, "path"),
            (r#"[ 7 ]"#, "SHA-256"),
            (r#""x""#, "files"),
        ] {
            let message = parse(wrong).unwrap_err();
            assert!(message.contains(word), "{wrong}: {message}");
        }
    }

    #[test]
    fn what_differs_is_fetched_if_it_is_still_needed() {
        let base = release(&[
            ("app/same", "1"),
            ("app/broken", "22"),
            ("app/short", "333"),
            ("app/gone", "4444"),
            ("app/untold", "5"),
        ]);
        let target = release(&[
            ("app/same", "1"),
            ("app/broken", "changed"),
            ("app/short", "333"),
            ("app/untold", "5"),
        ]);
        let hash = |text: &str| Digest::of(text.as_bytes());
        let files = parse(&format!(
            r#"{{ "app/same": "{}", "app/broken": "{}", "app/short": {{ "hash": "{}", "size": 2 }}, "app/gone": "{}", "data/mine": "{}" }}"#,
            hash("1"),
            hash("?"),
            hash("333"),
            hash("?"),
            hash("?"),
        ));
        let files = files.unwrap();
        let differing: Vec<&RelativePath> = files.differing(&base).collect();
        assert_eq!(
            differing.iter().map(|path| path.as_str()).collect::<Vec<_>>(),
            ["app/broken", "app/gone", "app/short"]
        );
        assert_eq!(to_fetch(differing, &target), 7 + 3);
    }

    #[test]
    fn places_in_the_apps_own_folder_will_do_if_all_are() {
        let base = release(&[
            ("app/app.py", "1"),
            ("app/config/operation.json", "2"),
            ("config/operation.json", "3"),
            ("runtime/python", "4"),
        ]);
        let hash = |text: &str| Digest::of(text.as_bytes());
        let differing = |files: &[(&str, &str)]| -> Vec<String> {
            let files: Vec<String> = files
                .iter()
                .map(|(path, content)| format!(r#""{path}": "{}""#, hash(content)))
                .collect();
            let files = parse(&format!("{{ {} }}", files.join(", "))).unwrap();
            files.differing(&base).map(ToString::to_string).collect()
        };
        assert_eq!(differing(&[("app.py", "?"), ("config/operation.json", "2")]), ["app/app.py"]);
        assert_eq!(
            differing(&[("app/app.py", "1"), ("config/operation.json", "2")]),
            ["config/operation.json"]
        );
        assert_eq!(
            differing(&[("runtime/python", "?")]),
            ["runtime/python"],
            "what the app's folder lacks is the container's"
        );
    }
}
