//! A publisher's folder:
//!
//! ```text
//! kuzflow.toml      what is published, where it is served, how long signatures last
//! keys/             one PEM file a key; move root-*.pem and targets-*.pem to removable media
//! repository/       what is served: metadata/ targets/ nodes.json
//! launcher/         what is shipped with the launcher: launcher.toml root.json
//! installers/       what people download, as `kuzflow package` makes it
//! making/           packs on their way into the repository
//! patch-jobs/       packs that a server was asked for
//! ```

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use jiff::Timestamp as Time;
use tough::schema::{Root, Targets};

use super::address::check_address;
use super::current::Current;
use super::error::{PublishError, at};
use super::form::MetadataForm;
use super::keys::{KeyPair, Keyring};
use super::metadata::{self, RoleDocuments};
use super::role::KeyRole;
use super::settings::ProjectSettings;
use super::transaction::{Lock, Transaction, TransactionStep};
use crate::durable;
use crate::look;
use crate::model::Node;
use crate::settings::incremental::LAUNCHER_EXAMPLE;
use crate::settings::{
    DesktopSettings, HotUpdateSettings, LauncherSettings, Settings, UpdateSettings, WindowSettings,
};
use crate::trust::PATCHES_ROLE;

const SETTINGS: &str = "kuzflow.toml";

/// `.gitignore` of a publisher's folder: keys never belong into version control, and all other
/// names are generated.
const IGNORED: &str = "keys/\nrepository/\npackages/\ninstallers/\nmaking/\npatch-jobs/\n.lock\n";

/// The files that an init has made so far. They are removed if it fails, so that the next init
/// finds no half-made folder.
struct Unfinished {
    folder: PathBuf,
    made: Vec<PathBuf>,
}

impl Unfinished {
    fn begin(project: &Project) -> Result<Self, PublishError> {
        let folder = &project.folder;
        let is_new = !folder.try_exists().unwrap_or(true);
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        let inside = [
            project.keys_folder(),
            project.repository(),
            project.launcher_folder(),
            project.settings_file(),
            folder.join(".lock"),
            project.ignore_file(),
        ];
        let new = inside
            .into_iter()
            .filter(|path| !path.try_exists().unwrap_or(true))
            .chain(is_new.then(|| folder.clone()));
        Ok(Self { folder: folder.clone(), made: new.collect() })
    }

    fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for path in &self.made {
            // The next init names what cannot be removed. The folder itself is removed only if it
            // is empty.
            let is_all = self.folder == *path;
            let _ = std::fs::remove_file(path).or_else(|_| {
                if is_all { std::fs::remove_dir(path) } else { std::fs::remove_dir_all(path) }
            });
        }
    }
}

/// The file that `path` is, or that it would lie in.
fn is_under_a_file(path: &Path) -> Option<PathBuf> {
    path.ancestors()
        .find(|above| above.exists())
        .filter(|above| !above.is_dir())
        .map(Path::to_owned)
}

/// The choices for a new publisher's folder.
#[derive(Clone, Debug)]
pub struct InitOptions {
    /// The content of `kuzflow.toml`.
    pub settings: ProjectSettings,
    /// How many root keys to make. Several root keys in different places survive the loss of one.
    pub root_keys: usize,
    /// How many of them must sign a new root.
    pub root_threshold: u64,
    /// Where the releases will stand in the signed metadata.
    pub form: MetadataForm,
    /// Encrypts the root and targets keys; `None` leaves them plain.
    pub offline_password: Option<String>,
    /// Encrypts the snapshot, timestamp and patches keys; `None` leaves them plain, so that a timer
    /// can sign.
    pub online_password: Option<String>,
}

impl InitOptions {
    /// The password that encrypts the keys of a role.
    fn password_of(&self, role: KeyRole) -> Option<&String> {
        if role.is_offline() {
            self.offline_password.as_ref()
        } else {
            self.online_password.as_ref()
        }
    }
}

/// A publisher's folder.
#[derive(Clone, Debug)]
pub struct Project {
    folder: PathBuf,
    settings: ProjectSettings,
    /// Whether this computer's time is right, whatever the repository shows.
    pub(super) trusts_clock: bool,
}

impl Project {
    /// Makes a publisher's folder: settings, keys, an empty signed repository, and the files that
    /// ship with the launcher.
    pub fn init(folder: &Path, options: &InitOptions, now: Time) -> Result<Self, PublishError> {
        Self::init_with_keys(folder, options, None, now)
    }

    /// The same, with the root and targets keys in another folder than the online keys, for example
    /// on removable media.
    ///
    /// # Errors
    /// The same as for [`Project::init`].
    pub fn init_with_keys(
        folder: &Path,
        options: &InitOptions,
        offline_keys: Option<&Path>,
        now: Time,
    ) -> Result<Self, PublishError> {
        let settings = options.settings.clone();
        let project = Self { folder: folder.to_owned(), settings, trusts_clock: false };
        let threshold = metadata::checked_threshold(options.root_keys, options.root_threshold)?;
        options.settings.check(&project.settings_file())?;
        for node in &options.settings.nodes {
            check_address(&node.url)
                .map_err(|reason| PublishError::Address { node: node.id.clone(), reason })?;
        }
        if let Some(path) =
            [Some(folder), offline_keys].into_iter().flatten().find_map(is_under_a_file)
        {
            return Err(PublishError::NoFolder { path });
        }
        if project.settings_file().exists()
            && project.metadata_folder().join("timestamp.json").exists()
        {
            return Err(PublishError::IsProject { folder: folder.to_owned() });
        }
        let taken = [
            project.settings_file(),
            project.keys_folder(),
            project.repository(),
            project.launcher_folder(),
        ];
        if let Some(path) = taken.into_iter().find(|path| path.try_exists().unwrap_or(true)) {
            return Err(PublishError::Exists { path });
        }
        // All errors in the request are reported before there is a folder.
        let texts = [
            (project.nodes_file(), project.nodes_json()?),
            (project.launcher_folder().join("launcher.toml"), project.launcher_settings()?),
            (project.ignore_file(), project.ignored()?),
            (project.settings_file(), project.settings_toml()?),
        ];
        let unfinished = Unfinished::begin(&project)?;
        project.begin((options, offline_keys), threshold, now, texts)?;
        unfinished.keep();
        Ok(project)
    }

    fn ignore_file(&self) -> PathBuf {
        self.folder.join(".gitignore")
    }

    /// The new content of `.gitignore`. In an app's folder there may be one already: its lines
    /// stay, and keys must not get into version control there either.
    fn ignored(&self) -> Result<Vec<u8>, PublishError> {
        let path = self.ignore_file();
        let mut lines = look::read(&path, look::SMALL).map_err(at(&path))?.unwrap_or_default();
        if lines.ends_with(IGNORED.as_bytes()) {
            return Ok(lines);
        }
        if lines.last().is_some_and(|last| *last != b'\n') {
            lines.push(b'\n');
        }
        lines.extend(IGNORED.as_bytes());
        Ok(lines)
    }

    /// Makes keys and the first metadata, and writes them and `texts`.
    fn begin(
        &self,
        (options, offline_keys): (&InitOptions, Option<&Path>),
        threshold: NonZeroU64,
        now: Time,
        texts: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
    ) -> Result<(), PublishError> {
        let keys = self.keys_folder();
        std::fs::create_dir_all(&keys).map_err(at(&keys))?;
        // A web server that runs as another user serves these.
        for path in [self.metadata_folder(), self.targets_folder(), self.launcher_folder()] {
            durable::create_shared_folders(&path).map_err(at(&path))?;
        }
        let lifetimes = &options.settings.lifetimes;
        let mut root = metadata::new_root(now, lifetimes)?;
        let mut targets = metadata::new_targets(NonZeroU64::MIN, now, lifetimes)?;
        options.form.note(&mut targets);
        for role in KeyRole::ALL {
            let folder = offline_keys.filter(|_| role.is_offline());
            let folder = folder.map_or_else(|| self.keys_folder(), Path::to_owned);
            let (count, threshold) = if role == KeyRole::Root {
                (options.root_keys, threshold)
            } else {
                (1, NonZeroU64::MIN)
            };
            let keys =
                make_keys(&folder, role, count, options.password_of(role).map(String::as_str))?;
            if role.is_delegated() {
                metadata::delegate(&mut targets, role, &keys, threshold)?;
            } else {
                metadata::set_keys(&mut root, role, &keys, threshold);
            }
        }
        let keyring = self.first_keyring(options, offline_keys);
        let documents = self.first_documents(&root, targets, &keyring, now)?;
        // Files that another publisher wrote into an app's own folder stay.
        let texts = texts
            .into_iter()
            .filter(|(path, _)| *path == self.ignore_file() || !path.try_exists().unwrap_or(true));
        let steps = documents
            .into_iter()
            .chain(texts)
            .map(|(path, bytes)| TransactionStep::Write { path, bytes });
        Transaction::new(self.lock()?, steps).run()
    }

    /// The keyring of a new project: its passwords are those that were just chosen.
    fn first_keyring(&self, options: &InitOptions, offline_keys: Option<&Path>) -> Keyring {
        let passwords = (options.offline_password.clone(), options.online_password.clone());
        let folders = offline_keys.map(Path::to_owned).into_iter().chain([self.keys_folder()]);
        Keyring::new(folders).with_passwords(move |path| {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let offline = KeyRole::ALL
                .into_iter()
                .any(|role| role.is_offline() && name.starts_with(&role.to_string()));
            if offline { passwords.0.clone() } else { passwords.1.clone() }
        })
    }

    /// The first metadata, signed: each file's path and content. The timestamp comes after what it
    /// names.
    fn first_documents(
        &self,
        root: &Root,
        targets: Targets,
        keyring: &Keyring,
        now: Time,
    ) -> Result<[(PathBuf, Vec<u8>); 6], PublishError> {
        let lifetimes = &self.settings.lifetimes;
        let targets = metadata::sign(targets, &[root], keyring, &[])?;
        let patches = metadata::new_patches(NonZeroU64::MIN, now, lifetimes)?;
        let patches = metadata::sign_patches(patches, &targets.signed.signed, keyring, &[])?;
        let patches_path = metadata::role_file(PATCHES_ROLE, &patches);
        let patches_bytes = patches.bytes.clone();
        let roles = RoleDocuments::from([(PATCHES_ROLE.to_owned(), patches)]);
        let snapshot = metadata::new_snapshot(NonZeroU64::MIN, &targets, &roles, now, lifetimes)?;
        let snapshot = metadata::sign(snapshot, &[root], keyring, &[])?;
        let timestamp = metadata::new_timestamp(NonZeroU64::MIN, &snapshot, now, lifetimes)?;
        let timestamp = metadata::sign(timestamp, &[root], keyring, &[])?;
        let root = metadata::sign(root.clone(), &[root], keyring, &[])?;
        let folder = self.metadata_folder();
        Ok([
            (folder.join("1.root.json"), root.bytes.clone()),
            (folder.join("1.targets.json"), targets.bytes),
            (folder.join(patches_path), patches_bytes),
            (folder.join("1.snapshot.json"), snapshot.bytes),
            (folder.join("timestamp.json"), timestamp.bytes),
            (self.launcher_folder().join("root.json"), root.bytes),
        ])
    }

    /// Opens a publisher's folder.
    pub fn open(folder: &Path) -> Result<Self, PublishError> {
        let path = folder.join(SETTINGS);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                PublishError::NoProject { folder: folder.to_owned() }
            }
            _ => at(&path)(error),
        })?;
        let settings: ProjectSettings = toml::from_str(&text)
            .map_err(|error| PublishError::Settings { path: path.clone(), source: error.into() })?;
        settings.check(&path)?;
        Ok(Self { folder: folder.to_owned(), settings, trusts_clock: false })
    }

    /// The content of `kuzflow.toml`.
    pub fn settings(&self) -> &ProjectSettings {
        &self.settings
    }

    /// The publisher's folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder that is served.
    pub fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    /// The folder for new keys; keys are also searched here first.
    pub fn keys_folder(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// The folder of files that ship with the launcher: `launcher.toml` and `root.json`.
    pub fn launcher_folder(&self) -> PathBuf {
        self.folder.join("launcher")
    }

    /// When each role's signature expires, for a timely warning.
    pub fn expiries(&self) -> Result<Vec<(KeyRole, Time)>, PublishError> {
        Ok(self.current()?.expiries())
    }

    pub(super) fn current(&self) -> Result<Current, PublishError> {
        Current::read(&self.metadata_folder())
    }

    pub(super) fn metadata_folder(&self) -> PathBuf {
        self.repository().join("metadata")
    }

    pub(super) fn targets_folder(&self) -> PathBuf {
        self.repository().join("targets")
    }

    pub(super) fn lock(&self) -> Result<Lock, PublishError> {
        let folders = [
            self.metadata_folder(),
            self.targets_folder(),
            self.repository(),
            self.launcher_folder(),
        ];
        Lock::take(&self.folder.join(".lock"), &folders)
    }

    /// The step that updates `nodes.json`; `None` if it is current.
    pub(super) fn nodes_step(&self) -> Result<Option<TransactionStep>, PublishError> {
        let (path, bytes) = (self.nodes_file(), self.nodes_json()?);
        Ok((std::fs::read(&path).ok().as_ref() != Some(&bytes))
            .then_some(TransactionStep::Write { path, bytes }))
    }

    fn nodes_file(&self) -> PathBuf {
        self.repository().join("nodes.json")
    }

    pub(super) fn settings_file(&self) -> PathBuf {
        self.folder.join(SETTINGS)
    }

    fn nodes_json(&self) -> Result<Vec<u8>, PublishError> {
        let mut json = serde_json::to_vec_pretty(&self.settings.public_nodes())
            .map_err(|error| self.unwritable(error))?;
        json.push(b'\n');
        Ok(json)
    }

    fn settings_toml(&self) -> Result<Vec<u8>, PublishError> {
        self.settings.to_toml().map(String::into_bytes).map_err(|error| self.unwritable(error))
    }

    /// A `launcher.toml` that finds this repository. If there is no node, it names one on this
    /// machine, for a first try with `kuzflow serve`.
    fn launcher_settings(&self) -> Result<Vec<u8>, PublishError> {
        let mut nodes = self.settings.public_nodes();
        let named = self.settings.client.get("api").and_then(toml::Value::as_str);
        let mut api = named
            .map(str::parse::<url::Url>)
            .transpose()
            .map_err(|error| self.unwritable(error))?;
        if nodes.is_empty() {
            let local: url::Url =
                "http://127.0.0.1:8080/".parse().map_err(|error| self.unwritable(error))?;
            // `kuzflow serve` can also notify clients of something new.
            api.get_or_insert_with(|| local.clone());
            nodes.push(Node {
                id: "local".to_owned(),
                name: "local".to_owned(),
                ..Node::at(local)
            });
        }
        let settings = Settings {
            icon: None,
            health: crate::settings::HealthSettings::default(),
            app: self.settings.app.clone(),
            display_name: self.settings.display_name.clone(),
            channel: self.settings.channel.clone(),
            channels: Vec::new(),
            region: "Global".to_owned(),
            ring: String::new(),
            nodes,
            api,
            update: UpdateSettings::default(),
            window: WindowSettings::default(),
            incremental_update: self.settings.incremental_update.clone(),
            performance: self.settings.performance.clone(),
            fallback: self.settings.fallback.clone(),
            hot_update: HotUpdateSettings::default(),
            peers: crate::settings::Peers::default(),
            reports: crate::settings::Reports::default(),
            desktop: DesktopSettings::default(),
            launcher: LauncherSettings::default(),
            home: None,
        };
        let example = if self.settings.has_usual_patches() { LAUNCHER_EXAMPLE } else { "" };
        let text = toml::to_string(&settings).map_err(|error| self.unwritable(error))? + example;
        Settings::parse(&text, &self.launcher_folder().join("launcher.toml"))
            .map_err(|error| self.unwritable(error))?;
        Ok(text.into_bytes())
    }

    fn unwritable(&self, error: impl Into<super::error::Cause>) -> PublishError {
        PublishError::Settings { path: self.settings_file(), source: error.into() }
    }
}

/// Makes new keys of a role and writes their files.
fn make_keys(
    folder: &Path,
    role: KeyRole,
    count: usize,
    password: Option<&str>,
) -> Result<Vec<KeyPair>, PublishError> {
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    let make = |_| {
        let key = KeyPair::generate()?;
        key.write(&folder.join(key.file_name(role)), password)?;
        Ok(key)
    };
    (0..count).map(make).collect()
}
