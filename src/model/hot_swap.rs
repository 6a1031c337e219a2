//! What an update means for a running app: which files differ between the release whose code it
//! runs and another one, and whether a running Python could take all of that over.
//!
//! In: two manifests and the publisher's patterns. Out: a list of changes, and yes or no. Never:
//! promises that the hot swap will succeed. The app itself decides (`assets/runtime/PROTOCOL.md`),
//! since only the app knows what it has loaded.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::manifest::{Entry, Launch, Manifest};
use super::path::RelativePath;
use super::pattern::{AppPatterns, FilePattern, ModulePattern};

/// The publisher's patterns, in the form that a release carries, so that they are signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotSwap {
    /// Modules that a running app can take over.
    pub modules: Vec<ModulePattern>,
    /// Files that it cannot take over, whatever the other list says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<FilePattern>,
}

impl HotSwap {
    /// The two lists, for questions about files.
    pub fn patterns(&self) -> AppPatterns<'_> {
        AppPatterns { hot_swap_modules: &self.modules, critical_files: &self.critical }
    }
}

/// A changed file, in the form that the app receives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedFile {
    /// Path in the container.
    pub path: RelativePath,
    pub kind: ChangeKind,
    /// Digest of the new file; `None` if it was removed.
    pub sha256: Option<Digest>,
}

/// The kinds of change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The file has other bytes, other permissions, or another kind.
    Modified,
    /// The file is new.
    Added,
    /// The file was removed.
    Removed,
}

/// The changes between two releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Every changed file, by path, including those that only name the release.
    pub changes: Vec<ChangedFile>,
    /// Whether the app certainly needs a restart.
    pub requires_restart: bool,
    /// How many modules a running app could take over, even if another change needs a restart.
    pub modules: u64,
}

impl Difference {
    /// The changes from `old` to `new`.
    ///
    /// A running app can take over the source of a module below `app` that the patterns name,
    /// together with its byte code. Every other file that was changed, added, moved or removed
    /// needs a restart. So does another way of starting, or another form of the user's data. The
    /// manifest and the start script are exceptions: they contain the version and are no part of a
    /// running app.
    pub fn between(old: &Manifest, new: &Manifest, patterns: AppPatterns<'_>) -> Self {
        let schema = |manifest: &Manifest| manifest.application_info.data_schema;
        let mut found = Self {
            requires_restart: launch(old) != launch(new) || schema(old) != schema(new),
            ..Self::default()
        };
        for (path, entry) in &new.file_manifest {
            match old.file_manifest.get(path) {
                None => found.note(path, ChangeKind::Added, Some(entry), patterns),
                Some(before) if !is_same(before, entry) => {
                    found.note(path, ChangeKind::Modified, Some(entry), patterns)
                }
                Some(_) => {}
            }
        }
        for path in old.file_manifest.keys().filter(|path| !new.file_manifest.contains_key(*path)) {
            found.note(path, ChangeKind::Removed, None, patterns);
        }
        found.changes.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        found
    }

    fn note(
        &mut self,
        path: &RelativePath,
        kind: ChangeKind,
        entry: Option<&Entry>,
        patterns: AppPatterns<'_>,
    ) {
        if is_of_the_app(path) {
            let is_link = entry.is_some_and(|entry| entry.symlink.is_some());
            match extension(path) {
                "py" if patterns.is_hot_updatable(path) && !is_link => self.modules += 1,
                "pyc" if patterns.is_hot_updatable(path) && !is_link => {}
                _ => self.requires_restart = true,
            }
        }
        self.changes.push(ChangedFile {
            path: path.clone(),
            kind,
            sha256: entry.map(|entry| entry.hash),
        });
    }
}

/// A running app does not notice another time of a file.
fn is_same(one: &Entry, other: &Entry) -> bool {
    (one.hash, one.size, one.permissions, &one.symlink)
        == (other.hash, other.size, other.permissions, &other.symlink)
}

/// How a release is started, without the variable for its version, which differs each time.
fn launch(manifest: &Manifest) -> Launch {
    let mut launch = manifest.application_info.launch.clone();
    launch.environment.remove("KUZFLOW_VERSION");
    launch
}

/// Whether a running app could notice a change of this file.
fn is_of_the_app(path: &RelativePath) -> bool {
    let path = path.as_str();
    !path.starts_with("metadata/") && !matches!(path, "scripts/launch.sh" | "scripts/launch.bat")
}

fn extension(path: &RelativePath) -> &str {
    path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::Permissions;

    fn entry(content: &str) -> Entry {
        Entry {
            size: content.len() as u64,
            mtime: 0,
            hash: Digest::of(content.as_bytes()),
            permissions: Permissions::FILE,
            symlink: None,
        }
    }

    fn manifest(files: &[(&str, &str)]) -> Manifest {
        Manifest::sample(
            files.iter().map(|(path, content)| (path.parse().unwrap(), entry(content))).collect(),
        )
    }

    fn patterns() -> HotSwap {
        HotSwap {
            modules: vec!["manipulate.*".parse().unwrap(), "config.*".parse().unwrap()],
            critical: vec!["manipulate/core.py".parse().unwrap()],
        }
    }

    fn reported(old: &Manifest, new: &Manifest) -> (bool, u64) {
        let found = Difference::between(old, new, patterns().patterns());
        (found.requires_restart, found.modules)
    }

    #[test]
    fn modules_that_the_patterns_name_need_no_restart_and_everything_else_does() {
        let module = "app/manipulate/executor.py";
        let old = manifest(&[
            (module, "one"),
            ("app/manipulate/old.py", "old"),
            ("scripts/launch.sh", "1.0.0"),
        ]);
        assert_eq!(reported(&old, &old), (false, 0));
        let changed: &[(&str, &str)] = &[
            (module, "two"),
            ("app/manipulate/__pycache__/executor.cpython-311.pyc", "code"),
            ("app/manipulate/new.py", "new"),
            ("scripts/launch.sh", "2.0.0"),
        ];
        let new = manifest(changed);
        assert_eq!(reported(&old, &new), (false, 3), "changed, added, removed");
        let paths: Vec<_> = Difference::between(&old, &new, patterns().patterns()).changes;
        let kinds: Vec<_> = paths
            .iter()
            .map(|change| (change.path.as_str(), change.kind, change.sha256.is_some()))
            .collect();
        assert_eq!(
            kinds,
            [
                ("app/manipulate/__pycache__/executor.cpython-311.pyc", ChangeKind::Added, true),
                (module, ChangeKind::Modified, true),
                ("app/manipulate/new.py", ChangeKind::Added, true),
                ("app/manipulate/old.py", ChangeKind::Removed, false),
                ("scripts/launch.sh", ChangeKind::Modified, true),
            ]
        );
        for other in [
            "app/manipulate/core.py",
            "app/other.py",
            "app/manipulate/fast.so",
            "app/config/operation.json",
            "runtime/lib/os.py",
            "config/default.ini",
            "scripts/migrate",
        ] {
            let with = manifest(&[changed, &[(other, "x")]].concat());
            assert_eq!(reported(&old, &with), (true, 3), "{other} was added");
            assert!(reported(&with, &old).0, "{other} was removed");
        }
    }

    #[test]
    fn another_way_of_starting_or_another_form_of_data_needs_a_restart_and_another_version_does_not()
     {
        let old = manifest(&[]);
        let mut new = old.clone();
        new.application_info
            .launch
            .environment
            .insert("KUZFLOW_VERSION".to_owned(), "2.0.0".to_owned());
        assert_eq!(reported(&old, &new), (false, 0));
        new.application_info.launch.arguments.push("-X".to_owned());
        assert_eq!(reported(&old, &new), (true, 0));
        let mut new = old.clone();
        new.application_info.data_schema += 1;
        assert_eq!(reported(&old, &new), (true, 0));
    }

    #[test]
    fn permissions_count_and_times_do_not() {
        let module: RelativePath = "app/manipulate/executor.py".parse().unwrap();
        let old = manifest(&[(module.as_str(), "one")]);
        let mut new = old.clone();
        new.file_manifest.get_mut(&module).unwrap().mtime = 7;
        assert_eq!(Difference::between(&old, &new, patterns().patterns()), Difference::default());
        new.file_manifest.get_mut(&module).unwrap().permissions = Permissions::PROGRAM;
        assert_eq!(reported(&old, &new), (false, 1));
        let link = new.file_manifest.get_mut(&module).unwrap();
        (link.size, link.symlink) = (0, Some("other.py".to_owned()));
        assert_eq!(reported(&old, &new), (true, 0), "a link is read by nobody");
    }
}
