//! The manifest, `metadata/container.json`: what a container is, how it is started, and every file
//! with its hash. Field names are those of the specification. Its digest is in signed metadata.
//!
//! Where each file's bytes lie in the package is not said here but in
//! [`PackageIndex`](super::PackageIndex): whoever comes by patches needs this document, and not a
//! piece table that changes from end to end with every release.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::path::{RelativePath, UnsafePath};
use super::platform::{AppName, ContainerId, Platform};
use super::version::Version;

/// Where the manifest lies in a container.
pub const MANIFEST_PATH: &str = "metadata/container.json";
/// Where the package index lies in a package; it is not installed.
pub const INDEX_PATH: &str = "metadata/package.json";
/// Where an installed version keeps what came with it in the folders that the user may change;
/// named by digest, of no release.
pub const RETAINED_FOLDER: &str = "metadata/kept";
/// The version of this document's form that this program writes and reads.
pub const MANIFEST_FORMAT: u32 = 2;
/// Folders that belong to the user once a container is installed: their files may change, and
/// outlive the container.
pub const MUTABLE_FOLDERS: [&str; 4] = ["config", "data", "logs", "temp"];
/// The eight folders of a container with the words in their `.description`.
pub const FOLDERS: [(&str, &str); 8] = [
    ("app", "应用程序文件"),
    ("runtime", "运行时环境"),
    ("config", "配置文件"),
    ("data", "数据目录"),
    ("logs", "日志目录"),
    ("temp", "临时文件"),
    ("scripts", "启动脚本"),
    ("metadata", "元数据文件"),
];

/// `metadata/container.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// Which release this is and how it was built.
    pub container_info: ContainerInfo,
    /// What it runs on.
    pub platform_info: PlatformInfo,
    /// What it is and how it starts.
    pub application_info: ApplicationInfo,
    /// Python distributions in the container, by name.
    pub dependencies: Vec<Dependency>,
    /// Every file and symlink but the manifest itself and the package index.
    pub file_manifest: BTreeMap<RelativePath, Entry>,
    /// Folders without a file in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty_folders: Vec<RelativePath>,
    /// The specification's field. Always `null`: the signature is the repository's TUF metadata,
    /// which covers this document.
    pub signature: Option<String>,
}

/// The specification's `container_info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerInfo {
    /// Version of the app.
    pub version: Version,
    /// RFC 3339, UTC; fixed by the inputs, so that a build can be repeated.
    pub build_date: jiff::Timestamp,
    /// The publisher's own count.
    pub build_number: Option<String>,
    /// Commit that the app's files come from.
    pub git_commit: Option<String>,
    /// Who or what built it.
    pub builder: String,
}

/// The specification's `platform_info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformInfo {
    /// `Linux`, `Windows`, `Darwin`.
    pub os: String,
    /// `x86_64`, `AMD64`, `arm64`.
    pub architecture: String,
    /// Found in the runtime.
    pub python_version: Option<String>,
    /// Found in the runtime.
    pub qt_version: Option<String>,
}

/// The specification's `application_info`, and how the app is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationInfo {
    /// Name in ids.
    pub name: AppName,
    /// Name for people.
    pub display_name: String,
    /// One line about the app.
    pub description: String,
    /// `scripts/launch.sh` or `scripts/launch.bat`.
    pub main_executable: RelativePath,
    /// A PNG, if the app has one.
    pub icon: Option<RelativePath>,
    /// The form of user data that it knows; higher is newer, 0 if the publisher does not count. A
    /// version that knows less than what the user has is not switched to.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub data_schema: u32,
    /// How the launcher starts it without a shell.
    pub launch: Launch,
}

// The form that serde's `skip_serializing_if` calls.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(schema: &u32) -> bool {
    *schema == 0
}

/// A process to start: everything relative to the container, so that it works from any folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The program, for example `runtime/bin/python3.11`.
    pub program: RelativePath,
    /// Arguments before the user's own. `{container}` stands for the container's absolute path.
    pub arguments: Vec<String>,
    /// Working folder.
    pub working_folder: RelativePath,
    /// Variables to set. `{container}` stands for the container's absolute path.
    pub environment: BTreeMap<String, String>,
    /// Folders to put before what a list variable (`PATH`, `PYTHONPATH`) already holds.
    pub prepend: BTreeMap<String, Vec<RelativePath>>,
    /// Folders to put behind what a list variable already holds: programs of the container that
    /// nothing of the system gives way to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub append: BTreeMap<String, Vec<RelativePath>>,
    /// Variables of the session that are not handed on, since they are meant for another runtime
    /// than the container's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Whether the app says when it is up, by a line in the file that `KUZFLOW_HEALTH` names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reports_up: bool,
}

/// A Python distribution found in the container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// As its metadata spells it.
    pub name: String,
    /// As its metadata spells it; not always semantic.
    pub version: String,
}

/// One line of the file manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Bytes when unpacked; 0 for a symlink.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Digest of the unpacked bytes; for a symlink, of its target.
    pub hash: Digest,
    /// Three octal digits, as `ls` shows them: `644`.
    pub permissions: Permissions,
    /// What a symlink points to; `null` for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symlink: Option<String>,
}

impl Entry {
    /// Whether it has bytes in a package: neither a symlink nor empty.
    pub fn has_bytes(&self) -> bool {
        self.symlink.is_none() && self.size > 0
    }
}

/// Permission bits below 0o1000: no setuid, setgid or sticky bit can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permissions(u16);

impl Permissions {
    /// `644`.
    pub const FILE: Self = Self(0o644);
    /// `755`.
    pub const PROGRAM: Self = Self(0o755);

    /// `755` if the owner may execute, else `644`: all that is carried over, so that a publisher's
    /// umask changes nothing.
    pub fn from_mode(mode: u32) -> Self {
        if mode & 0o100 == 0 { Self::FILE } else { Self::PROGRAM }
    }

    /// These bits, if no other than the lowest nine are set and the owner may read and write.
    pub fn from_bits(bits: u32) -> Option<Self> {
        u16::try_from(bits).ok().filter(|bits| *bits < 0o1000 && bits & 0o600 == 0o600).map(Self)
    }

    /// The bits.
    pub fn mode(self) -> u32 {
        u32::from(self.0)
    }
}

impl Serialize for Permissions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:03o}", self.0))
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        match u32::from_str_radix(&text, 8)
            .ok()
            .filter(|_| text.len() == 3)
            .and_then(Self::from_bits)
        {
            Some(permissions) => Ok(permissions),
            None => Err(serde::de::Error::custom(format!(
                "permissions {text:?} are not three octal digits that let the owner read and write"
            ))),
        }
    }
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    /// Not JSON of the manifest's form, or a path in it is unsafe.
    #[error("the manifest cannot be read")]
    Form(#[from] serde_json::Error),
    /// Written by a newer program.
    #[error(
        "the manifest has format {found}, this program reads format {MANIFEST_FORMAT}; update the launcher"
    )]
    Format {
        /// The format it has.
        found: u32,
    },
    /// Two names that some file system takes for one, or a file that is also a folder.
    #[error("the manifest names {second} although {first} is there already")]
    Collision {
        /// The earlier name.
        first: String,
        /// The later name.
        second: String,
    },
    /// A symlink that leaves the container, or a path that leads through a symlink.
    #[error("the manifest's symlink {path} -> {target} is not allowed")]
    Link {
        /// The link.
        path: RelativePath,
        /// What it points to.
        target: String,
    },
    /// A file that is impossible as it is described.
    #[error("the manifest's file {path} is impossible: {reason}")]
    File {
        /// The file.
        path: RelativePath,
        /// Why.
        reason: &'static str,
    },
    /// An unsafe path outside the file list.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// The program to start is not in the container.
    #[error("the manifest starts {program}, which is not among its files")]
    NoProgram {
        /// What it would start.
        program: RelativePath,
    },
}

impl Manifest {
    /// Reads and checks a manifest. Every manifest, also a signed one, comes in this way.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidManifest> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let Head { format } = serde_json::from_slice(json)?;
        if format != MANIFEST_FORMAT {
            return Err(InvalidManifest::Format { found: format });
        }
        let manifest: Self = serde_json::from_slice(json)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The document's bytes: two-space indented JSON with a line feed at the end.
    pub fn to_json(&self) -> Result<Vec<u8>, InvalidManifest> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// The container's id.
    pub fn id(&self) -> ContainerId {
        ContainerId {
            app: self.application_info.name.clone(),
            version: self.container_info.version.clone(),
            platform: self.platform(),
        }
    }

    /// The platform it runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.platform_info.os.clone(),
            architecture: self.platform_info.architecture.clone(),
        }
    }

    /// Bytes of all files when unpacked, the manifest aside.
    pub fn unpacked_size(&self) -> u64 {
        self.file_manifest.values().map(|entry| entry.size).sum()
    }

    /// Refuses collisions, links that leave, impossible sizes (docs/security.md, faults 11 to 13).
    pub fn check(&self) -> Result<(), InvalidManifest> {
        self.check_names()?;
        self.check_links()?;
        self.check_sizes()?;
        let launch = &self.application_info.launch;
        if !self.file_manifest.contains_key(&launch.program) {
            return Err(InvalidManifest::NoProgram { program: launch.program.clone() });
        }
        Ok(())
    }

    /// Refuses two names for one place. Windows and macOS take names that differ in case or in the
    /// form of their characters for the same; Linux keeps them apart, and Python distributions for
    /// it bring such names (`share/terminfo/2/2621A` and `2621a`). Where a person has put the home
    /// on a file system that does not, creating the second file fails: nothing is ever written
    /// through a name of another.
    fn check_names(&self) -> Result<(), InvalidManifest> {
        let folds = matches!(self.platform_info.os.as_str(), "Windows" | "Darwin");
        let key =
            |path: &RelativePath| if folds { path.folded() } else { path.as_str().to_owned() };
        let collision = |first: &str, second: &str| InvalidManifest::Collision {
            first: first.to_owned(),
            second: second.to_owned(),
        };
        let own = [MANIFEST_PATH, INDEX_PATH];
        let mut files: HashMap<String, &str> = HashMap::new();
        for path in self.file_manifest.keys() {
            let folded = path.folded();
            if let Some(reserved) = own.iter().find(|reserved| reserved.to_uppercase() == folded) {
                return Err(collision(reserved, path.as_str()));
            }
            if let Some(first) = files.insert(key(path), path.as_str()) {
                return Err(collision(first, path.as_str()));
            }
        }
        let mut folders: HashMap<String, &str> = HashMap::new();
        let in_files = self.file_manifest.keys().flat_map(RelativePath::ancestors);
        let empty = self
            .empty_folders
            .iter()
            .flat_map(|folder| std::iter::once(folder.as_str()).chain(folder.ancestors()));
        for folder in in_files.chain(empty) {
            let key = key(&folder.parse::<RelativePath>()?);
            // The same folder in two spellings is one folder here and two folders there.
            let other = folders
                .insert(key.clone(), folder)
                .filter(|first| *first != folder)
                .or_else(|| files.get(&key).copied());
            if let Some(first) = other {
                return Err(collision(first, folder));
            }
        }
        Ok(())
    }

    fn check_links(&self) -> Result<(), InvalidManifest> {
        for (path, entry) in &self.file_manifest {
            let Some(target) = &entry.symlink else { continue };
            let refuse = || InvalidManifest::Link { path: path.clone(), target: target.clone() };
            if path.resolve_link(target).is_none()
                || entry.size != 0
                || entry.hash != Digest::of(target.as_bytes())
            {
                return Err(refuse());
            }
            // User data must stay plain files: a link there would let a later write leave its
            // place.
            if MUTABLE_FOLDERS.iter().any(|folder| path.is_under(folder)) {
                return Err(refuse());
            }
        }
        // That no path leads through a link follows from `check_names`: a link is a file there,
        // never also a folder.
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), InvalidManifest> {
        let mut sum = 0u64;
        for (path, entry) in &self.file_manifest {
            let refuse = |reason| Err(InvalidManifest::File { path: path.clone(), reason });
            if entry.size == 0 && entry.symlink.is_none() && entry.hash != Digest::of(b"") {
                return refuse("it is empty, but its hash is not that of nothing");
            }
            match sum.checked_add(entry.size) {
                Some(larger) => sum = larger,
                None => return refuse("all sizes together are beyond all numbers"),
            }
        }
        Ok(())
    }

    /// The files that have bytes in a package, in the order of their paths.
    pub fn files_with_bytes(&self) -> impl Iterator<Item = (&RelativePath, &Entry)> {
        self.file_manifest.iter().filter(|(_, entry)| entry.has_bytes())
    }
}

#[cfg(test)]
impl Manifest {
    /// A manifest for tests: version 1.0.0 of `sample`, which starts `app/app.py`.
    pub(crate) fn sample(file_manifest: BTreeMap<RelativePath, Entry>) -> Self {
        Self {
            format: MANIFEST_FORMAT,
            container_info: ContainerInfo {
                version: Version::new(1, 0, 0),
                build_date: jiff::Timestamp::UNIX_EPOCH,
                build_number: None,
                git_commit: None,
                builder: "test".to_owned(),
            },
            platform_info: PlatformInfo {
                os: "Linux".to_owned(),
                architecture: "x86_64".to_owned(),
                python_version: None,
                qt_version: None,
            },
            application_info: ApplicationInfo {
                name: "sample".parse().unwrap(),
                display_name: "Sample".to_owned(),
                description: String::new(),
                main_executable: "scripts/launch.sh".parse().unwrap(),
                icon: None,
                data_schema: 0,
                launch: Launch {
                    program: "app/app.py".parse().unwrap(),
                    arguments: Vec::new(),
                    working_folder: "app".parse().unwrap(),
                    environment: BTreeMap::new(),
                    prepend: BTreeMap::new(),
                    append: BTreeMap::new(),
                    without: Vec::new(),
                    reports_up: false,
                },
            },
            dependencies: Vec::new(),
            file_manifest,
            empty_folders: Vec::new(),
            signature: None,
        }
    }
}

#[cfg(test)]
mod tests;
