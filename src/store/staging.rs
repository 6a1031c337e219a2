//! A version that is being put together: its folder in `staging/`, and its registration in one
//! rename.

use std::fs;
use std::path::{Path, PathBuf};

use super::copying::allocated;
use super::files::{entries, exists, remove_tree};
use super::lock::HomeLock;
use super::names::is_own_name;
use super::ownership::remove_item;
use super::{Home, InstalledRecord, StoreError, carry_over, contents, first_run, hooks, retained};
use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::model::{ContainerId, Digest, Manifest};

/// Space that stays free on the disk, bytes: the system and the app need some too.
const RESERVE: u64 = 32 << 20;

/// `staging/<id>/`. Dropping it deletes nothing: verified pieces stay for the next try.
#[derive(Clone, Debug)]
pub(crate) struct Staging {
    home: Home,
    id: ContainerId,
}

impl Staging {
    /// Opens the staging folder of `id`. The lock proves that no other launcher uses it. Remains of
    /// a kill in the home are cleaned up first.
    pub(crate) fn open(home: &Home, id: &ContainerId, lock: &HomeLock) -> Result<Self, StoreError> {
        home.remove_left(lock);
        retained::settle(home, true, lock)?;
        // If the pointer names exactly this version, which is damaged, the new installation makes
        // the pointer valid again, with the user's files in it.
        if home.named()?.is_none_or(|active| active.container != *id) {
            home.ensure_active(lock)?;
        }
        let staging = Self { home: home.clone(), id: id.clone() };
        let folder = staging.folder();
        durable::create_private_folders(&folder).at("create", &folder)?;
        Ok(staging)
    }

    fn folder(&self) -> PathBuf {
        self.home.staging().join(self.id.to_string())
    }

    /// The partial file of the package.
    pub(crate) fn package(&self) -> PathBuf {
        self.folder().join("package.partial")
    }

    /// The manifest, stored between tries.
    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder().join("container.json")
    }

    /// The package index, stored between tries.
    pub(crate) fn index(&self) -> PathBuf {
        self.folder().join("package.json")
    }

    /// The partial file of the pack `name`.
    pub(crate) fn pack(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Returns an empty folder for files that are made before the tree is known. Files that an
    /// interrupted try made are deleted.
    pub(crate) fn fresh_made(&self) -> Result<PathBuf, StoreError> {
        let made = self.folder().join("made");
        remove_tree(&made)?;
        durable::create_private_folders(&made).at("create", &made)?;
        Ok(made)
    }

    /// The folder of the growing tree.
    pub(crate) fn tree(&self) -> PathBuf {
        self.folder().join("tree")
    }

    /// Returns an empty folder for the tree. Files that an interrupted try unpacked are deleted:
    /// unpacking again is cheaper than verifying them.
    pub(crate) fn fresh_tree(&self) -> Result<PathBuf, StoreError> {
        let tree = self.tree();
        remove_tree(&tree)?;
        durable::create_shared_folders(&tree).at("create", &tree)?;
        Ok(tree)
    }

    /// Returns an error if the disk lacks space for the rest of the package and the unpacked tree.
    pub(crate) fn check_space(&self, package: u64, unpacked: u64) -> Result<(), StoreError> {
        let package_file = self.package();
        let there = fs::metadata(&package_file).map_or(0, |found| allocated(&package_file, &found));
        // Every file wastes half a block on average; a sixteenth covers that for real trees.
        let needed =
            package.saturating_sub(there).saturating_add(unpacked).saturating_add(unpacked / 16);
        self.home.check_space(needed.saturating_add(RESERVE))
    }

    /// Makes the finished tree an installed version: record, durability, one rename. Afterwards the
    /// staging folder is gone.
    ///
    /// Only an incomplete version can be in the way: a whole one would have been found before. It
    /// may still hold all of the user's files. They are carried over into the tree before it is put
    /// in place, and the old folder stays beside it.
    pub(crate) fn register(
        self,
        manifest: &Manifest,
        digest: Digest,
        now: jiff::Timestamp,
    ) -> Result<InstalledRecord, StoreError> {
        let record = InstalledRecord {
            container: self.id.clone(),
            ..InstalledRecord::of(manifest, digest, now)
        };
        let place = self.home.container(&self.id);
        let aside = self.home.containers().join(format!(".damaged-{}", self.id));
        // The first exists if a kill came between the renames below.
        for damaged in [&aside, &place] {
            if exists(damaged)? {
                tracing::error!(folder = %damaged.display(), "a damaged version is in the way; its user files are carried over");
                carry_over::rescue(damaged, &self.tree())?.log();
            }
        }
        // The first version here gets the retained user data of an uninstalled one.
        let is_first = self.home.is_empty()?;
        let taken = if is_first { retained::adopt(&self.home, &self.tree())? } else { None };
        contents::keep(&self.tree(), manifest)?;
        Home::write_record(&self.tree(), &record)?;
        durable::sync_tree(&self.tree()).at("make durable", &self.tree())?;
        // Without an extra suffix: its files are not carried over yet. With one: it is only
        // retained.
        let retained = || {
            self.home.containers().join(format!(".damaged-{}-{:08x}", self.id, fastrand::u32(..)))
        };
        if exists(&place)? {
            if exists(&aside)? {
                rename(&aside, &retained())?;
            }
            rename(&place, &aside)?;
        }
        // Whoever kept user data here has seen the app before.
        if is_first && taken.is_none() {
            first_run::expect(&self.home);
        }
        hooks::expect(&self.home, &self.id, &self.tree())?;
        rename(&self.tree(), &place)?;
        if exists(&aside)? {
            rename(&aside, &retained())?;
        }
        durable::sync_folder(&self.home.containers()).at("make durable", &place)?;
        if let Some(carried_over) = taken {
            carried_over.log();
            retained::adopted(&self.home);
        }
        // The version is installed, even if its pieces cannot be deleted.
        if let Err(error) = self.remove() {
            tracing::warn!(
                error = error_chain::line(&error),
                "the pieces of an installed version are not deleted"
            );
        }
        Ok(record)
    }

    /// Deletes the staging folder with all verified pieces.
    pub(crate) fn remove(self) -> Result<(), StoreError> {
        Ok(remove_tree(&self.folder())?)
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    durable::rename(from, to).at("rename", from)
}

/// The staging folder of `id` as an interrupted download may have left it; read only.
pub(crate) fn left_by(home: &Home, id: &ContainerId) -> Staging {
    Staging { home: home.clone(), id: id.clone() }
}

/// Deletes staged versions other than `keep`: a newer release makes an older half-fetched one
/// worthless.
pub(crate) fn remove_others(
    home: &Home,
    keep: &ContainerId,
    _lock: &HomeLock,
) -> Result<(), StoreError> {
    for entry in entries(&home.staging())? {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name != keep.to_string() && is_own_name("staging", name) {
            remove_item(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::MANIFEST_PATH;
    use crate::store::fixture::{Fixture, id};
    use crate::store::switch::{SwitchOptions, switch};

    const RECORD: &str = "metadata/installed.json";

    fn damaged(fixture: &Fixture) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(fixture.home.containers()).unwrap().map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".damaged-"))
            .collect()
    }

    #[test]
    fn the_users_files_of_a_damaged_version_come_back_with_it() {
        let fixture = Fixture::new();
        let files = [("config/changed", "a"), ("config/untouched", "a"), ("app/code", "a")];
        let one = fixture.install("1.0.0", &[]);
        fixture.write(&one, "data/made", "stale");
        let two = fixture.install("2.0.0", &files);
        switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        for (path, text) in [
            ("data/made", "mine"),
            ("config/changed", "mine"),
            ("app/code", "broken"),
            (RECORD, "{\"conta"),
        ] {
            fixture.write(&two, path, text);
        }
        assert_eq!(fixture.install("2.0.0", &files), two);
        let read = |path: &str| fixture.read(&two, path);
        assert_eq!(fixture.versions(), ["2.0.0", "1.0.0"]);
        assert_eq!(read("data/made").as_deref(), Some("mine"));
        assert_eq!(read("config/changed").as_deref(), Some("mine"));
        assert_eq!(read("config/changed.new-default"), None, "the same default");
        assert_eq!(read("config/untouched").as_deref(), Some("a"));
        assert_eq!(read("app/code").as_deref(), Some("a"));
        let retained = damaged(&fixture);
        assert_eq!(retained.len(), 1);
        assert_eq!(fs::read_to_string(retained[0].join("app/code")).unwrap(), "broken");
        // The pointer named it all the time, so its files stay, not those of the version that was
        // used instead.
        assert_eq!(fixture.home.active().unwrap().0.container, two);
        switch(&fixture.home, &two, SwitchOptions::PLAIN, &fixture.lock).unwrap();
        assert_eq!(read("data/made").as_deref(), Some("mine"));
    }

    #[test]
    fn without_a_manifest_what_differs_from_the_new_default_is_the_users() {
        let fixture = Fixture::new();
        let two = fixture.install("2.0.0", &[("config/differs", "a"), ("config/same", "b")]);
        fs::write(fixture.home.container(&two).join(RECORD), "").unwrap();
        fs::write(fixture.home.container(&two).join(MANIFEST_PATH), "").unwrap();
        fixture.install("2.0.0", &[("config/differs", "b"), ("config/same", "b")]);
        assert_eq!(fixture.read(&two, "config/differs").as_deref(), Some("a"));
        assert_eq!(fixture.read(&two, "config/differs.new-default").as_deref(), Some("b"));
        assert_eq!(fixture.read(&two, "config/same.new-default"), None);
    }

    #[test]
    fn a_kill_between_the_renames_costs_nothing() {
        let fixture = Fixture::new();
        let two = id("2.0.0");
        // The old version was moved aside, but the new tree was not put in place. Then the same
        // again, with a damaged version at the place as well.
        let aside = fixture.home.containers().join(format!(".damaged-{two}"));
        for round in 1..=2 {
            fs::create_dir_all(aside.join("data")).unwrap();
            fs::write(aside.join("data/aside"), format!("mine {round}")).unwrap();
            let record = fixture.home.container(&two).join(RECORD);
            if round == 2 {
                fs::write(record, "").unwrap();
            }
            fixture.install("2.0.0", &[]);
            assert!(!aside.exists(), "what was carried over is not carried again");
        }
        assert_eq!(damaged(&fixture).len(), 3);
        assert_eq!(
            fixture.read(&two, "data/aside").as_deref(),
            Some("mine 1"),
            "the version at the place is the later one"
        );
    }
}
