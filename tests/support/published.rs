//! A publisher's folder for tests, mirrors in memory, and a thief who signs with stolen keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use kuzflow::testing::model::manifest::{Entry, MANIFEST_FORMAT};
use kuzflow::testing::model::release::DocumentLocation;
use kuzflow::testing::model::{
    ContainerId, Digest, Manifest, Patch, Platform, RelativePath, Release,
};
use kuzflow::testing::publish::keys::KeyPair;
use kuzflow::testing::publish::{
    InitOptions, Keyring, MetadataForm, PackToPublish, PackageToPublish, Project, ProjectSettings,
};
use kuzflow::testing::trust::{MetadataSource, SourceError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tough::schema::{Role, Signature, Signed};

/// The time at which the tests begin.
pub fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

pub fn options() -> InitOptions {
    InitOptions {
        settings: ProjectSettings::new("sample".parse().unwrap(), "示例 Sample"),
        root_keys: 1,
        root_threshold: 1,
        form: MetadataForm::Single,
        offline_password: None,
        online_password: None,
    }
}

/// The same for a repository with roles for each app, channel and platform.
pub fn options_with_roles() -> InitOptions {
    InitOptions { form: MetadataForm::Roles, ..options() }
}

/// A publisher with its own folder.
pub struct Publisher {
    pub folder: tempfile::TempDir,
    pub project: Project,
    pub now: Timestamp,
}

impl Publisher {
    pub fn new() -> Self {
        Self::with(&options(), start())
    }

    pub fn with(options: &InitOptions, now: Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::init(&folder.path().join("publisher"), options, now).unwrap();
        Self { folder, project, now }
    }

    /// One publisher with its releases in the targets role, and one with roles for each app, channel
    /// and platform.
    pub fn of_each_form() -> [Self; 2] {
        [options(), options_with_roles()].map(|options| Self::with(&options, start()))
    }

    /// The same publisher with all files copied: later changes of one do not affect the other.
    pub fn fork(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_tree(self.folder.path(), folder.path());
        Self {
            project: Project::open(&folder.path().join("publisher")).unwrap(),
            folder,
            now: self.now,
        }
    }

    pub fn keyring(&self) -> Keyring {
        Keyring::new([self.project.keys_folder()])
    }

    /// A package on disk. Its bytes follow from `version` and `content`.
    pub fn package(&self, version: &str, content: &str) -> PackageToPublish {
        let platform = "Linux_x86_64".parse().unwrap();
        package_in(self.folder.path(), &platform, version, content, self.now)
    }

    pub fn publish(&self, version: &str) {
        let package = self.package(version, &format!("content of {version} "));
        self.project.publish(&[package], &self.keyring(), self.now).unwrap().run().unwrap();
    }

    /// A pack between two published releases. Its bytes are `content`.
    pub fn pack(&self, from: &str, to: &str, content: &[u8]) -> PackToPublish {
        let container = |version: &str| {
            format!("sample_{version}_Linux_x86_64").parse::<ContainerId>().unwrap()
        };
        let releases = self.project.releases().unwrap();
        let manifest = |version: &str| {
            let release =
                releases.iter().find(|release| release.container == container(version)).unwrap();
            release.manifest.hash
        };
        let path = self.folder.path().join(format!("pack-{}", Digest::of(content)));
        std::fs::write(&path, content).unwrap();
        let patch = Patch {
            from: container(from),
            to: container(to),
            base_manifest: manifest(from),
            target_manifest: manifest(to),
            cloned: 8,
            patched: 1,
            added: 1,
            removed: 0,
            written: 1000,
            memory: 32 << 20,
            created: self.now,
            requires_restart: true,
            hot_swappable: 0,
            piece_size: 0,
            pieces: Vec::new(),
        };
        PackToPublish { path, patch }
    }

    /// Publishes packs between releases that are published.
    pub fn add_packs(&self, packs: &[PackToPublish]) {
        self.project.add_patches(packs, &self.keyring(), self.now).unwrap().run().unwrap();
    }

    /// Turns the repository into one from before patches existed.
    pub fn forget_patches(&self) {
        self.rewrite(|targets, snapshot| {
            targets.delegations = None;
            snapshot.meta.clear();
        });
        let lists = self.project.repository().join("metadata");
        let lists = std::fs::read_dir(lists).unwrap().map(|entry| entry.unwrap().path());
        let lists = lists.filter(|path| path.to_str().unwrap().ends_with(".patches.json"));
        lists.chain(self.key_files("patches")).for_each(|path| std::fs::remove_file(path).unwrap());
    }

    /// Changes the targets and the snapshot without the publisher's program, signed with its own
    /// keys.
    pub fn rewrite(
        &self,
        change: impl FnOnce(&mut tough::schema::Targets, &mut tough::schema::Snapshot),
    ) {
        let mut mirror = self.mirror("");
        let mut timestamp: Signed<tough::schema::Timestamp> = mirror.document("timestamp.json");
        let snapshot = format!("{}.snapshot.json", timestamp.signed.meta["snapshot.json"].version);
        let mut snapshot: Signed<tough::schema::Snapshot> = mirror.document(&snapshot);
        let targets = format!("{}.targets.json", snapshot.signed.meta["targets.json"].version);
        let mut targets: Signed<tough::schema::Targets> = mirror.document(&targets);
        change(&mut targets.signed, &mut snapshot.signed);
        let targets = forge(targets.signed, &self.key_files("targets"));
        mirror.put(&targets);
        snapshot.signed.meta.insert("targets.json".to_owned(), metafile(&targets));
        let snapshot = forge(snapshot.signed, &self.key_files("snapshot"));
        mirror.put(&snapshot);
        timestamp.signed.meta.insert("snapshot.json".to_owned(), metafile(&snapshot));
        mirror.put(&forge(timestamp.signed, &self.key_files("timestamp")));
        for (location, bytes) in mirror.files {
            std::fs::write(self.project.repository().join(location), bytes).unwrap();
        }
    }

    pub fn mirror(&self, name: &str) -> Mirror {
        Mirror::of(name, &self.project.repository())
    }

    pub fn root(&self) -> Vec<u8> {
        std::fs::read(self.project.repository().join("metadata/1.root.json")).unwrap()
    }

    /// The key files of a role.
    pub fn key_files(&self, role: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.project.keys_folder()).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(role));
        files
    }
}

/// A package in `folder`. Its bytes follow from `version` and `content`.
pub fn package_in(
    folder: &Path,
    platform: &Platform,
    version: &str,
    content: &str,
    now: Timestamp,
) -> PackageToPublish {
    let manifest = format!("{{\"version\": {version:?}}}\n").into_bytes();
    let packed = zstd::encode_all(manifest.as_slice(), 3).unwrap();
    let index = DocumentLocation { offset: 0, packed_size: 1, size: 1, hash: Digest::of(b"") };
    let payload = content.repeat(100).into_bytes();
    let location = DocumentLocation {
        offset: payload.len() as u64,
        packed_size: packed.len() as u64,
        size: manifest.len() as u64,
        hash: Digest::of(&manifest),
    };
    let container = format!("sample_{version}_{platform}").parse().unwrap();
    let release = Release {
        display_name: "示例 Sample".to_owned(),
        unpacked_size: 1000,
        file_count: 10,
        ..Release::without_terms(container, now, location, index)
    };
    let path = folder.join(format!("build-{version}-{platform}-{}.kuzflow", Digest::of(&payload)));
    std::fs::write(&path, [payload, packed].concat()).unwrap();
    let notes = folder.join(format!("notes-{version}.md"));
    std::fs::write(&notes, format!("# {version}\n\n{content}\n")).unwrap();
    let mut manifest = sample_manifest(version, content);
    (manifest.platform_info.os, manifest.platform_info.architecture) =
        (platform.os.clone(), platform.architecture.clone());
    PackageToPublish { path, release, manifest, notes: BTreeMap::from([("en".to_owned(), notes)]) }
}

/// Possible contents of a package of `version`: `app/app.py`, which never changes, and two files
/// that follow from `version` and `content`.
pub fn sample_manifest(version: &str, content: &str) -> Manifest {
    let files = [
        ("app/app.py", "main"),
        ("app/manipulate/executor.py", content),
        ("app/version.txt", version),
    ];
    let entry = |content: &str| -> Entry {
        let (size, hash) = (content.len(), Digest::of(content.as_bytes()));
        serde_json::from_value(
            serde_json::json!({ "size": size, "hash": hash, "mtime": 0, "permissions": "644" }),
        )
        .unwrap()
    };
    let files: BTreeMap<RelativePath, Entry> =
        files.map(|(path, content)| (path.parse().unwrap(), entry(content))).into();
    serde_json::from_value(serde_json::json!({
        "format": MANIFEST_FORMAT,
        "container_info": { "version": version, "build_date": "2026-01-01T00:00:00Z", "builder": "test" },
        "platform_info": { "os": "Linux", "architecture": "x86_64" },
        "application_info": {
            "name": "sample", "display_name": "Sample", "description": "", "main_executable": "scripts/launch.sh",
            "launch": {
                "program": "app/app.py", "arguments": [], "working_folder": "app", "environment": {}, "prepend": {},
            },
        },
        "dependencies": [],
        "file_manifest": files,
        "package": { "piece_size": 65536, "length": 0, "hashes": [] },
    }))
    .unwrap()
}

pub fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy_tree(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// How a mirror answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Honest,
    /// The mirror accepts no connection.
    Dead,
    /// The mirror answers every request with a login page.
    Portal,
    /// The mirror sends without end, whatever the limit.
    Endless,
}

/// A mirror in memory.
#[derive(Clone)]
pub struct Mirror {
    pub name: String,
    pub files: BTreeMap<String, Vec<u8>>,
    pub manner: Manner,
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    pub fn of(name: &str, folder: &Path) -> Self {
        let mut files = BTreeMap::new();
        for part in ["metadata", "targets"] {
            for entry in std::fs::read_dir(folder.join(part)).unwrap() {
                let entry = entry.unwrap();
                let location = format!("{part}/{}", entry.file_name().to_str().unwrap());
                files.insert(location, std::fs::read(entry.path()).unwrap());
            }
        }
        Self { name: name.to_owned(), files, manner: Manner::Honest, asked: Arc::default() }
    }

    pub fn manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    pub fn file(&mut self, location: &str) -> &mut Vec<u8> {
        self.files.get_mut(location).unwrap_or_else(|| panic!("the mirror has no {location}"))
    }

    /// A parsed document of `metadata`.
    pub fn document<T: DeserializeOwned>(&self, name: &str) -> Signed<T> {
        serde_json::from_slice(&self.files[&format!("metadata/{name}")]).unwrap()
    }

    /// Puts a signed document in place.
    pub fn put<T: Role + Serialize>(&mut self, document: &Signed<T>) {
        self.files.insert(
            format!("metadata/{}", document.signed.filename(true)),
            serde_json::to_vec(document).unwrap(),
        );
    }

    pub fn boxed(self) -> Arc<dyn MetadataSource> {
        Arc::new(self)
    }
}

#[async_trait::async_trait]
impl MetadataSource for Mirror {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, location: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        self.asked.lock().unwrap().push(location.to_owned());
        match self.manner {
            Manner::Honest => self.files.get(location).cloned().ok_or(SourceError::NotFound),
            Manner::Dead => Err(SourceError::Other("connection refused".into())),
            Manner::Portal => Ok(b"<!DOCTYPE html><title>Welcome to our hotel</title>".to_vec()),
            Manner::Endless => Ok(vec![b' '; usize::try_from(limit).unwrap() + 1]),
        }
    }
}

/// Signs `document` with the keys in `files`: a holder of those keys can do it, allowed or not.
pub fn forge<T: Role + Serialize>(document: T, files: &[PathBuf]) -> Signed<T> {
    use aws_lc_rs::signature::Ed25519KeyPair;
    let message = document.canonical_form().unwrap();
    let signatures = files.iter().map(|path| {
        let pem = std::fs::read_to_string(path).unwrap();
        let (_, der) = pkcs8::SecretDocument::from_pem(&pem).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.as_bytes()).unwrap();
        let keyid = KeyPair::read(path, || None).unwrap().id().clone();
        Signature { keyid, sig: pair.sign(&message).as_ref().to_vec().into() }
    });
    Signed { signatures: signatures.collect(), signed: document }
}

/// The entry by which another document names this one, as [`Mirror::put`] writes it.
pub fn metafile<T: Role + Serialize>(document: &Signed<T>) -> tough::schema::Metafile {
    let bytes = serde_json::to_vec(document).unwrap();
    serde_json::from_value(serde_json::json!({
        "version": document.signed.version(), "length": bytes.len(), "hashes": { "sha256": Digest::of(&bytes) },
    }))
    .unwrap()
}
