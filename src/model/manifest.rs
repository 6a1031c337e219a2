//! The manifest, `metadata/container.json`: what a container is, how it is started, and every file
//! with its hash. The field names are those of the specification. Its digest is in signed metadata.
//!
//! [`PackageIndex`](super::PackageIndex), not this document, says where each file's bytes lie in
//! the package. An update by patches needs the manifest, but not a piece table that changes
//! completely with every release.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::path::{RelativePath, UnsafePath};
use super::platform::{AppName, ContainerId, Platform};
use super::version::Version;

pub const MANIFEST_PATH: &str = "metadata/container.json";
/// Path of the package index in a package; it is not installed.
pub const INDEX_PATH: &str = "metadata/package.json";
/// Folder in which an installed version retains the original files of those folders that the user
/// may change. The files are named by digest; no release contains this folder.
pub const RETAINED_FOLDER: &str = "metadata/kept";
/// The format version of this document that this program writes and reads.
pub const MANIFEST_FORMAT: u32 = 2;
/// Folders that belong to the user once a container is installed: their files may change, and
/// survive the container.
pub const MUTABLE_FOLDERS: [&str; 4] = ["config", "data", "logs", "temp"];
/// Folders of the release alone: any other file in them is foreign.
pub(crate) const PROGRAM_FOLDERS: [&str; 3] = ["app", "runtime", "scripts"];
/// The folder in which Python keeps bytecode beside modules, and the ending of its files.
const BYTECODE: (&str, &str) = ("__pycache__", "pyc");

/// Whether the path is bytecode, or the folder for it: Python makes it again at any time.
pub(crate) fn is_bytecode(path: &Path) -> bool {
    let (folder, ending) = BYTECODE;
    path.iter().any(|part| part == folder) || path.extension().is_some_and(|it| it == ending)
}

/// The eight folders of a container with the text of their `.description`.
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

/// The content of `metadata/container.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version, see [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The release, and how it was built.
    pub container_info: ContainerInfo,
    /// The platform that it runs on.
    pub platform_info: PlatformInfo,
    /// The app, and how it starts.
    pub application_info: ApplicationInfo,
    /// Python distributions in the container, by name.
    pub dependencies: Vec<Dependency>,
    /// Every file and symlink, except the manifest itself and the package index.
    pub file_manifest: BTreeMap<RelativePath, Entry>,
    /// Folders that contain no file.
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
    /// Build time, RFC 3339, UTC; it depends only on the inputs, so that a build can be repeated.
    pub build_date: jiff::Timestamp,
    /// The publisher's own number of the build.
    pub build_number: Option<String>,
    /// Commit of the app's files.
    pub git_commit: Option<String>,
    /// The person or program that built it.
    pub builder: String,
}

/// The specification's `platform_info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformInfo {
    /// `Linux`, `Windows` or `Darwin`.
    pub os: String,
    /// `x86_64`, `AMD64` or `arm64`.
    pub architecture: String,
    /// Version of Python found in the runtime.
    pub python_version: Option<String>,
    /// Version of Qt found in the runtime.
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
    /// Path of a PNG, if the app has one.
    pub icon: Option<RelativePath>,
    /// The form of the user's data that the app supports; higher is newer, 0 if the publisher does
    /// not count. The launcher does not switch to a version that supports only an older form than
    /// the user's data has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub data_schema: u32,
    /// How the launcher starts the app without a shell.
    pub launch: Launch,
}

// The form that serde's `skip_serializing_if` calls.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(schema: &u32) -> bool {
    *schema == 0
}

/// A process to start; all paths are relative to the container, so that it works from any folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The program, for example `runtime/bin/python3.11`.
    pub program: RelativePath,
    /// Arguments before the user's own. `{container}` stands for the container's absolute path.
    pub arguments: Vec<String>,
    pub working_folder: RelativePath,
    /// Environment variables to set. `{container}` stands for the container's absolute path.
    pub environment: BTreeMap<String, String>,
    /// Folders to put before the present value of a list variable (`PATH`, `PYTHONPATH`).
    pub prepend: BTreeMap<String, Vec<RelativePath>>,
    /// Folders to put behind the present value of a list variable: programs of the container that
    /// must not hide the system's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub append: BTreeMap<String, Vec<RelativePath>>,
    /// Variables of the session that the app does not get, since they are meant for another runtime
    /// than the container's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Whether the app reports `up` by a line in the file that `KUZFLOW_HEALTH` names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reports_up: bool,
}

impl Launch {
    /// Starts a program as it is: no arguments, no variables.
    pub fn plain(program: RelativePath, working_folder: RelativePath) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            working_folder,
            environment: BTreeMap::new(),
            prepend: BTreeMap::new(),
            append: BTreeMap::new(),
            without: Vec::new(),
            reports_up: false,
        }
    }
}

/// A Python distribution found in the container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// Name, as its own metadata spells it.
    pub name: String,
    /// Version, as its own metadata spells it; not always semantic.
    pub version: String,
}

/// One entry of the file manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Bytes when unpacked; 0 for a symlink.
    pub size: u64,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
    /// Digest of the unpacked bytes; of the target for a symlink.
    pub hash: Digest,
    /// Permissions, three octal digits as in `ls`: `644`.
    pub permissions: Permissions,
    /// The target of a symlink; `null` for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symlink: Option<String>,
}

impl Entry {
    /// Whether it has bytes in a package: it is neither a symlink nor empty.
    pub fn has_bytes(&self) -> bool {
        self.symlink.is_none() && self.size > 0
    }
}

/// Permission bits below 0o1000: setuid, setgid and sticky bits cannot be expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permissions(u16);

impl Permissions {
    /// Permissions `644`.
    pub const FILE: Self = Self(0o644);
    /// Permissions `755`.
    pub const PROGRAM: Self = Self(0o755);

    /// `755` if the owner may execute, otherwise `644`. Nothing else is carried over, so that a
    /// publisher's umask has no effect.
    pub fn from_mode(mode: u32) -> Self {
        if mode & 0o100 == 0 { Self::FILE } else { Self::PROGRAM }
    }

    /// These bits, if only the lowest nine are set and the owner may read and write.
    pub fn from_bits(bits: u32) -> Option<Self> {
        u16::try_from(bits).ok().filter(|bits| *bits < 0o1000 && bits & 0o600 == 0o600).map(Self)
    }

    /// The permission bits.
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
    /// It is not JSON of the manifest's form, or contains an unsafe path.
    #[error("the manifest cannot be read")]
    Form(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error(
        "the manifest has format {found}, this program reads format {MANIFEST_FORMAT}; update the launcher"
    )]
    Format {
        /// The format version of the document.
        found: u32,
    },
    /// Two names that some file system treats as the same, or a file that is also a folder.
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
        /// Path of the link.
        path: RelativePath,
        /// Target of the link.
        target: String,
    },
    /// A file whose description is impossible.
    #[error("the manifest's file {path} is impossible: {reason}")]
    File {
        /// Path of the file.
        path: RelativePath,
        reason: &'static str,
    },
    /// An unsafe path outside the file manifest.
    #[error(transparent)]
    Path(#[from] UnsafePath),
    /// The program to start is not in the container.
    #[error("the manifest starts {program}, which is not among its files")]
    NoProgram {
        /// The program that it would start.
        program: RelativePath,
    },
}

impl Manifest {
    /// Parses and checks a manifest. Every manifest, even a signed one, is read through this
    /// function.
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

    /// Bytes of all files when unpacked, without the manifest.
    pub fn unpacked_size(&self) -> u64 {
        self.file_manifest.values().map(|entry| entry.size).sum()
    }

    /// Refuses collisions, links that leave the container, and impossible sizes (docs/security.md,
    /// faults 11 to 13).
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

    /// Refuses two names for one place. Windows and macOS treat names that differ in case or in the
    /// form of their characters as the same. Linux distinguishes them, and Python distributions for
    /// Linux contain such names (`share/terminfo/2/2621A` and `2621a`). If the user's home is on a
    /// file system that does not distinguish them, creating the second file fails: no file is ever
    /// written through the name of another.
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
            // The same folder in two spellings is one folder on some systems and two on others.
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
            // folder.
            if MUTABLE_FOLDERS.iter().any(|folder| path.is_under(folder)) {
                return Err(refuse());
            }
        }
        // `check_names` already ensures that no path leads through a link: a link is a file there,
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
                launch: Launch::plain("app/app.py".parse().unwrap(), "app".parse().unwrap()),
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
