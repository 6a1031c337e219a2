//! What in an app's folder is no part of the app: caches, the publisher's own folder, keys, and
//! what `kuzflow` itself has made there. Without this each release would carry those before it.
//!
//! In: paths in the app's folder, as they are copied. Out: which of them stay out, and what the
//! publisher should know about it. Never: a change in the app's folder.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::path::Path;

use serde::Deserialize;

use super::copy::{Exclusions, NEVER};
use super::secrets;
use crate::look;
use crate::model::made_file::{
    DOWNLOAD_PAGE_ICON, HOME_MARKER, INSTALLERS_INDEX, SHIPPED_LAUNCHERS,
};
use crate::model::manifest::MANIFEST_PATH;
use crate::model::{Manifest, Platform};
use crate::named_file;

/// What the folder of a publisher holds, besides `kuzflow.toml`.
const PUBLISHERS: [&str; 9] = [
    "kuzflow.toml",
    "keys",
    "repository",
    "launcher",
    "packages",
    "installers",
    "making",
    "patch-jobs",
    ".lock",
];

/// Endings of the names of installers, in small letters.
const INSTALLER_ENDINGS: [&str; 8] =
    [".deb", ".rpm", ".run", ".dmg", ".msi", ".appimage", "setup.exe", "-portable.zip"];

/// What stays out of the copy of one folder.
pub(super) struct LeftOut<'a> {
    folder: &'a Path,
    patterns: Exclusions,
    /// What the publisher should know, by the path that it is about.
    notes: RefCell<BTreeMap<String, String>>,
    /// For each folder what stays out of it, since it is a folder of installers.
    of_installers: RefCell<BTreeMap<String, BTreeSet<String>>>,
}

impl<'a> LeftOut<'a> {
    /// For `folder`, with the publisher's own patterns.
    pub(super) fn new(folder: &'a Path, exclude: &[String]) -> Self {
        let patterns = NEVER.iter().copied().chain(exclude.iter().map(String::as_str));
        Self {
            folder,
            patterns: Exclusions::new(patterns),
            notes: RefCell::default(),
            of_installers: RefCell::default(),
        }
    }

    /// Whether `path` stays out; `/` stands between its parts.
    pub(super) fn covers(&self, path: &str) -> bool {
        if self.patterns.covers(path) || self.is_publishers(path) || self.is_of_installers(path) {
            return true;
        }
        let full = self.folder.join(path);
        let is_folder = full.is_dir();
        let what = if is_folder { kind_of_folder(&full) } else { kind_of_file(&full) };
        if let Some(what) = &what {
            self.note(path, &format!("{} is left out: it is {what}", full.display()));
        } else if !is_folder && looks_like_installer(path) {
            self.note(
                path,
                &format!(
                    "{} looks like an installer, and every user would get it with the app; leave it out with `exclude`",
                    full.display()
                ),
            );
        }
        what.is_some()
    }

    /// What the publisher should know about the copied folder.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes.into_inner().into_values().collect()
    }

    fn note(&self, about: &str, note: &str) {
        self.notes.borrow_mut().insert(about.to_owned(), note.to_owned());
    }

    /// Whether it is a publisher's folder, or a part of one that is the app's folder itself: users
    /// must not get keys and packages.
    fn is_publishers(&self, path: &str) -> bool {
        let is_one = |folder: &Path| folder.join("kuzflow.toml").is_file();
        is_one(&self.folder.join(path)) || (PUBLISHERS.contains(&path) && is_one(self.folder))
    }

    /// Whether `kuzflow package` or `kuzflow site` has made it, as the list of installers beside it
    /// says.
    fn is_of_installers(&self, path: &str) -> bool {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut known = self.of_installers.borrow_mut();
        let made = known.entry(folder.to_owned()).or_insert_with(|| {
            let made = made_in(&self.folder.join(folder), folder.is_empty());
            if !made.is_empty() {
                let shown = self.folder.join(folder);
                let note = format!("the installers in {} are left out", shown.display());
                self.note(folder, &note);
            }
            made
        });
        made.contains(name)
    }
}

/// A line of the list of installers.
#[derive(Deserialize)]
struct Listed {
    file: String,
    #[serde(rename = "format")]
    _format: String,
}

/// The names of what `kuzflow package` and `kuzflow site` have made in a folder; none if it has no
/// list of installers. In the app's top folder the picture may be the app's own.
fn made_in(folder: &Path, is_top: bool) -> BTreeSet<String> {
    let list = look::read(&folder.join(INSTALLERS_INDEX), look::SMALL).ok().flatten();
    let listed = list.and_then(|json| serde_json::from_slice::<Vec<Listed>>(&json).ok());
    let Some(listed) = listed else { return BTreeSet::new() };
    let fixed = [INSTALLERS_INDEX, SHIPPED_LAUNCHERS].into_iter();
    let fixed = fixed.chain((!is_top).then_some(DOWNLOAD_PAGE_ICON)).map(str::to_owned);
    listed.into_iter().map(|line| line.file).chain(fixed).collect()
}

/// What a folder is that does not belong to an app.
fn kind_of_folder(folder: &Path) -> Option<String> {
    if folder.join(HOME_MARKER).is_file() {
        return Some("the home of a launcher".to_owned());
    }
    let manifest = look::read(&folder.join(MANIFEST_PATH), look::LARGE).ok().flatten();
    if manifest.is_some_and(|json| Manifest::from_json(&json).is_ok()) {
        return Some("an unpacked release".to_owned());
    }
    holds_installers_only(folder).then(|| "a folder of installers".to_owned())
}

/// Whether all in a folder is what `kuzflow package` and `kuzflow site` have made. In any other
/// folder only these files stay out.
fn holds_installers_only(folder: &Path) -> bool {
    let made = made_in(folder, false);
    let is_made = |entry: &DirEntry| {
        entry.file_name().to_str().is_some_and(|name| made.contains(name))
            || kind_of_file(&entry.path()).is_some()
    };
    !made.is_empty() && look::entries(folder).is_ok_and(|entries| entries.iter().all(is_made))
}

/// What a file is that does not belong to an app. What cannot be read is the copy's error.
fn kind_of_file(file: &Path) -> Option<String> {
    if secrets::is_signing_key(file) {
        return Some(
            "a key that signs your releases; keep it outside of the app's folder".to_owned(),
        );
    }
    let kind = named_file::kind_of(file).ok().flatten();
    kind.map(|kind| format!("a {kind} that kuzflow made"))
}

/// By its name alone, which is not certain.
fn looks_like_installer(path: &str) -> bool {
    let small = path.to_ascii_lowercase();
    INSTALLER_ENDINGS.iter().any(|ending| small.ends_with(ending)) || is_shipped_launcher(path)
}

/// Whether it lies where `kuzflow package` puts launchers as they are shipped.
fn is_shipped_launcher(path: &str) -> bool {
    let mut parts = path.rsplit('/').skip(1);
    let platform = parts.next().and_then(|part| part.parse::<Platform>().ok());
    platform.is_some_and(|it| ["Linux", "Windows", "Darwin"].contains(&it.os.as_str()))
        && parts.next() == Some(SHIPPED_LAUNCHERS)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(folder: &Path, path: &str, content: impl AsRef<[u8]>) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    const INDEX: &str = r#"[{"file": "my-app_1.0.0_amd64.deb", "format": "deb"}]"#;

    #[test]
    fn what_kuzflow_made_stays_out_under_any_name_and_what_is_the_apps_goes_in() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &[u8]| write(folder.path(), path, content);
        let manifest = crate::container::fixture::container(&[("app/a", b"a")]).0;
        write("backup.dat", b"PK\x03\x04....metadata/container.json....");
        write("changes", b"KZP3....");
        write("unpacked/metadata/container.json", &manifest.to_json().unwrap());
        write("home/kuzflow-home.txt", b"");
        write("publisher/kuzflow.toml", b"");
        write("out/installers.json", INDEX.as_bytes());
        write("out/my-app_1.0.0_amd64.deb", b"");
        write("out/launchers/Linux_x86_64/my-app", b"");
        write("out/icon.png", b"");
        write("out/manual.txt", b"the app's own");
        write("installers/installers.json", INDEX.as_bytes());
        write("installers/my-app_1.0.0_amd64.deb", b"");
        write("installers/feed.atom", b"<feed>\n  <id>urn:kuzflow:sample</id>");
        write("data/installers.json", b"{\"of\": \"another program\"}");
        write("data/icon.png", b"");
        write("metadata/container.json", b"{}");
        let left_out = LeftOut::new(folder.path(), &["*.psd".to_owned()]);
        for path in [
            "backup.dat",
            "changes",
            "unpacked",
            "home",
            "publisher",
            "out/installers.json",
            "out/my-app_1.0.0_amd64.deb",
            "out/launchers",
            "out/icon.png",
            "installers",
            "x.kuzflow-bundle",
            ".tmp-123-abc",
            "image.psd",
        ] {
            assert!(left_out.covers(path), "{path}");
        }
        for path in
            ["out", "out/manual.txt", "data", "data/installers.json", "data/icon.png", "metadata"]
        {
            assert!(!left_out.covers(path), "{path}");
        }
        let notes = left_out.into_notes().join("\n");
        for part in [
            "backup.dat is left out: it is a package that kuzflow made",
            "changes is left out: it is a patch pack",
            "unpacked is left out: it is an unpacked release",
            "home is left out: it is the home of a launcher",
            "out are left out",
            "installers is left out: it is a folder of installers",
        ] {
            assert!(notes.contains(part), "{part}: {notes}");
        }
    }

    #[test]
    fn what_only_looks_like_an_installer_goes_in_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let named = [
            "old/my-app_0.9.0_amd64.deb",
            "My App Setup.exe",
            "my-app-1.0.0-windows-x64-portable.zip",
            "launchers/Linux_x86_64/my-app",
        ];
        let others = ["run", "tools/setup.py", "launchers/readme/text", "debian.txt"];
        for path in named.iter().chain(&others) {
            write(folder.path(), path, "");
        }
        let left_out = LeftOut::new(folder.path(), &[]);
        assert!(named.iter().chain(&others).all(|path| !left_out.covers(path)));
        let notes = left_out.into_notes();
        assert_eq!(notes.len(), named.len(), "{notes:?}");
        assert!(notes.iter().all(|note| note.contains("`exclude`")), "{notes:?}");
    }

    #[test]
    fn installers_and_packages_of_an_app_that_is_its_own_publishers_folder_stay_out() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "kuzflow.toml", "");
        let left_out = LeftOut::new(folder.path(), &[]);
        assert!(PUBLISHERS.iter().all(|path| left_out.covers(path)));
        assert!(!left_out.covers("src/installers"));
    }

    #[test]
    fn installers_in_the_apps_top_folder_stay_out_and_its_picture_goes_in() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), INSTALLERS_INDEX, INDEX);
        let left_out = LeftOut::new(folder.path(), &[]);
        assert!(left_out.covers("my-app_1.0.0_amd64.deb") && left_out.covers("launchers"));
        assert!(!left_out.covers("icon.png") && !left_out.covers("app.py"));
    }
}
