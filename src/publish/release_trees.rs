//! Releases as trees that can be compared: a folder, an installed container, or a package as it is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::package::{PackageError, inspect};
use crate::container::{Decoder, SpanReader};
use crate::file_error::{FileError, FileResult as _};
use crate::look;
use crate::model::manifest::*;
use crate::model::{Digest, Manifest, PackageIndex, RelativePath};
use crate::mutex;
use crate::pack::Tree;

/// Why a tree cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The file system returned an error.
    #[error(transparent)]
    File(#[from] FileError),
    /// The package is refused.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A container cannot have a name that the folder contains.
    #[error("{} cannot be in a container", path.display())]
    Name { path: PathBuf },
    /// The folder's content cannot be a container.
    #[error("{} cannot be a container", path.display())]
    Manifest {
        path: PathBuf,
        /// Why it cannot be one.
        source: InvalidManifest,
    },
    /// The folder is empty.
    #[error("{} has no files", path.display())]
    Empty { path: PathBuf },
}

pub struct FolderTree {
    root: PathBuf,
    manifest: Manifest,
}

/// Files of an installed container that belong to no release.
const NOT_OF_A_RELEASE: [&str; 3] = [MANIFEST_PATH, INDEX_PATH, "metadata/installed.json"];

impl FolderTree {
    /// Reads every file in `root`. If the folder has a manifest, the tree takes from it everything
    /// that is not about files, and the times of files with exactly the content in the manifest. It
    /// takes nothing else about files, since they may have changed.
    pub fn open(root: &Path) -> Result<Self, TreeError> {
        let mut files = BTreeMap::new();
        let mut empty_folders = Vec::new();
        for found in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
            let found = found.map_err(|error| {
                let path = error.path().unwrap_or(root).to_owned();
                FileError::new("read", path, error)
            })?;
            let path = found.path();
            let relative = path
                .strip_prefix(root)
                .ok()
                .and_then(Path::to_str)
                .and_then(|text| text.replace('\\', "/").parse().ok());
            let relative: RelativePath =
                relative.ok_or_else(|| TreeError::Name { path: path.to_owned() })?;
            if NOT_OF_A_RELEASE.contains(&relative.as_str()) || relative.is_under(RETAINED_FOLDER) {
                continue;
            }
            if found.file_type().is_dir() {
                if fs::read_dir(path).at("list", path)?.next().is_none() {
                    empty_folders.push(relative);
                }
                continue;
            }
            files.insert(relative, entry(path, &found.file_type())?);
        }
        let known = fs::read(root.join(MANIFEST_PATH))
            .ok()
            .and_then(|json| Manifest::from_json(&json).ok());
        let program =
            files.iter().find(|(_, entry)| entry.symlink.is_none()).map(|(path, _)| path.clone());
        let program = program.ok_or_else(|| TreeError::Empty { path: root.to_owned() })?;
        let manifest = match known {
            Some(known) => {
                for (path, entry) in &mut files {
                    let stated = known
                        .file_manifest
                        .get(path)
                        .filter(|stated| stated.hash == entry.hash && stated.size == entry.size);
                    if let Some(stated) = stated {
                        entry.mtime = stated.mtime;
                        if !cfg!(unix) {
                            entry.permissions = stated.permissions;
                        }
                    }
                }
                Manifest { file_manifest: files, empty_folders, ..known }
            }
            None => nameless(files, empty_folders, program),
        };
        manifest.check().map_err(|source| TreeError::Manifest { path: root.to_owned(), source })?;
        Ok(Self { root: root.to_owned(), manifest })
    }
}

impl Tree for FolderTree {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn read(&self, path: &RelativePath) -> io::Result<Vec<u8>> {
        fs::read(path.under(&self.root))
    }
}

/// The entry of a file or link for a manifest. Its own time is ignored: a build gives all files one
/// time.
fn entry(path: &Path, kind: &fs::FileType) -> Result<Entry, TreeError> {
    if kind.is_symlink() {
        let target = fs::read_link(path).at("read", path)?;
        let target =
            target.to_str().ok_or_else(|| TreeError::Name { path: path.to_owned() })?.to_owned();
        let hash = Digest::of(target.as_bytes());
        return Ok(Entry {
            size: 0,
            mtime: 0,
            hash,
            permissions: Permissions::PROGRAM,
            symlink: Some(target),
        });
    }
    let mut file = File::open(path).at("open", path)?;
    let metadata = file.metadata().at("look at", path)?;
    let hash = look::digest(&file).at("read", path)?;
    let size = file.stream_position().at("read", path)?;
    Ok(Entry { size, mtime: 0, hash, permissions: permissions(&metadata), symlink: None })
}

#[cfg(unix)]
fn permissions(metadata: &fs::Metadata) -> Permissions {
    Permissions::from_mode(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()))
}

#[cfg(not(unix))]
fn permissions(_: &fs::Metadata) -> Permissions {
    Permissions::FILE
}

/// A manifest for a folder without one.
fn nameless(
    file_manifest: BTreeMap<RelativePath, Entry>,
    empty_folders: Vec<RelativePath>,
    program: RelativePath,
) -> Manifest {
    let platform = crate::model::Platform::current();
    Manifest {
        format: MANIFEST_FORMAT,
        container_info: ContainerInfo {
            version: crate::model::Version::new(0, 0, 0),
            build_date: jiff::Timestamp::UNIX_EPOCH,
            build_number: None,
            git_commit: None,
            builder: String::new(),
        },
        platform_info: PlatformInfo {
            os: platform.os,
            architecture: platform.architecture,
            python_version: None,
            qt_version: None,
        },
        application_info: ApplicationInfo {
            name: crate::model::platform::AppName::nameless(),
            display_name: String::new(),
            description: String::new(),
            main_executable: program.clone(),
            icon: None,
            data_schema: 0,
            launch: Launch::plain(program.clone(), program),
        },
        dependencies: Vec::new(),
        file_manifest,
        empty_folders,
        signature: None,
    }
}

/// A package, read in place.
pub struct PackageTree {
    file: File,
    manifest: Manifest,
    index: PackageIndex,
    decoders: Mutex<Vec<Decoder>>,
}

impl PackageTree {
    /// Opens and proves a package with `threads` cores.
    pub fn open(path: &Path, threads: usize) -> Result<Self, TreeError> {
        let package = inspect(path, threads)?;
        let file = File::open(path).at("open", path)?;
        Ok(Self {
            file,
            manifest: package.manifest,
            index: package.index,
            decoders: Mutex::default(),
        })
    }

    /// The places of its files' bytes.
    pub fn index(&self) -> &PackageIndex {
        &self.index
    }
}

impl Tree for PackageTree {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn read(&self, path: &RelativePath) -> io::Result<Vec<u8>> {
        let entry = self.manifest.file_manifest.get(path).ok_or(io::ErrorKind::NotFound)?;
        let Some(packed) = self.index.places.get(path) else { return Ok(Vec::new()) };
        let pooled = mutex::lock(&self.decoders).pop();
        let mut decoder = pooled.map_or_else(Decoder::new, Ok).map_err(io::Error::other)?;
        let mut content = Vec::new();
        let mut keep = |block: &[u8]| {
            content.extend_from_slice(block);
            Ok(())
        };
        let mut source = SpanReader::new(&self.file, packed);
        let unpacked =
            decoder.unpack(&mut source, packed.compression, packed.size, entry.size, &mut keep);
        mutex::lock(&self.decoders).push(decoder);
        unpacked.map_err(io::Error::other)?;
        Ok(content)
    }
}
