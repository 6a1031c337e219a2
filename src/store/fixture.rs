//! Homes with installed versions, for the tests of this room.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;

use super::lock::HomeLock;
use super::staging::Staging;
use super::{Home, InstalledRecord};
use crate::model::manifest::*;
use crate::model::{ContainerId, Digest, Launch, Manifest};

pub(crate) struct Fixture {
    pub home: Home,
    pub lock: HomeLock,
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// An empty home in a folder whose name has a space and Chinese characters.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path().join("我的 home"));
        let lock = HomeLock::take(&home).unwrap();
        Self { home, lock, _folder: folder }
    }

    /// Releases the lock; the folder lives as long as the returned value.
    pub(crate) fn release(self) -> tempfile::TempDir {
        drop(self.lock);
        self._folder
    }

    /// Installs a version with these files; its program is `runtime/run`.
    pub(crate) fn install(&self, version: &str, files: &[(&str, &str)]) -> ContainerId {
        self.install_with(version, files, &["runtime/run"])
    }

    /// Installs a version with one more program at `path`.
    #[cfg(unix)]
    pub(crate) fn install_program(&self, version: &str, path: &str, text: &str) -> ContainerId {
        self.install_with(version, &[(path, text)], &["runtime/run", path])
    }

    fn install_with(
        &self,
        version: &str,
        files: &[(&str, &str)],
        programs: &[&str],
    ) -> ContainerId {
        let staging = Staging::open(&self.home, &id(version), &self.lock).unwrap();
        let tree = staging.fresh_tree().unwrap();
        let script = "#!/bin/sh\necho \"$KUZFLOW_VERSION|$KUZFLOW_HOME|$LIST|$PWD|$*\" > \"$OUT\"\nexec sleep \"${SLEEP:-0}\"\n";
        let all = [("runtime/run", script), ("metadata/.description", "")];
        let manifest = manifest(version, all.iter().chain(files));
        for (path, text) in all.iter().chain(files) {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        }
        programs.iter().for_each(|path| make_executable(&tree.join(path)));
        fs::write(tree.join(MANIFEST_PATH), manifest.to_json().unwrap()).unwrap();
        staging.register(&manifest, Digest::of(b""), jiff::Timestamp::UNIX_EPOCH).unwrap().container
    }

    pub(crate) fn write(&self, id: &ContainerId, path: &str, text: &str) {
        let path = self.home.container(id).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, id: &ContainerId, path: &str) -> Option<String> {
        fs::read_to_string(self.home.container(id).join(path)).ok()
    }

    pub(crate) fn record(&self, id: &ContainerId) -> InstalledRecord {
        self.home.record(id).unwrap()
    }

    /// Writes another record of an installed version.
    pub(crate) fn change_record(
        &self,
        id: &ContainerId,
        change: impl FnOnce(&mut InstalledRecord),
    ) {
        let mut record = self.record(id);
        change(&mut record);
        Home::write_record(&self.home.container(id), &record).unwrap();
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        self.home
            .installed()
            .unwrap()
            .iter()
            .map(|record| record.container.version.to_string())
            .collect()
    }
}

#[cfg(unix)]
fn make_executable(path: &Path) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

#[cfg(not(unix))]
fn make_executable(_path: &Path) {}

/// Puts a link to itself in the place of an item: a read, and a look at anything below, is an error,
/// for root as well, and does not look like a missing file. Returns where the item is meanwhile.
#[cfg(unix)]
pub(crate) fn make_unreadable(path: &Path) -> PathBuf {
    let aside = path.with_extension("aside");
    let _ = fs::rename(path, &aside);
    std::os::unix::fs::symlink(path, path).unwrap();
    aside
}

/// Puts the item back.
#[cfg(unix)]
pub(crate) fn make_readable(path: &Path, aside: &Path) {
    fs::remove_file(path).unwrap();
    fs::rename(aside, path).unwrap();
}

pub(crate) fn id(version: &str) -> ContainerId {
    format!("sample_{version}_Linux_x86_64").parse().unwrap()
}

fn manifest<'a>(version: &str, files: impl Iterator<Item = &'a (&'a str, &'a str)>) -> Manifest {
    let entry = |text: &str| Entry {
        size: text.len() as u64,
        mtime: 0,
        hash: Digest::of(text.as_bytes()),
        permissions: Permissions::FILE,
        symlink: None,
    };
    let files = files.map(|(path, text)| (path.parse().unwrap(), entry(text))).collect();
    let mut manifest = Manifest::sample(files);
    manifest.container_info.version = version.parse().unwrap();
    manifest.application_info.main_executable = "runtime/run".parse().unwrap();
    manifest.application_info.launch = Launch {
        arguments: vec!["--root={container}/x".to_owned()],
        environment: BTreeMap::from([("OUT".to_owned(), "{container}/temp-out".to_owned())]),
        prepend: BTreeMap::from([("LIST".to_owned(), vec!["app".parse().unwrap()])]),
        ..Launch::plain("runtime/run".parse().unwrap(), "metadata".parse().unwrap())
    };
    manifest
}
