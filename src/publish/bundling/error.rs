//! Why nothing was built.
//!
//! In: what checking, copying and packing find. Out: one error that names the file and says what to
//! do. Never: a panic.

use std::path::PathBuf;

use super::entry_point::EntryPoint;
use crate::file_error::FileError;
use crate::model::path::UnsafePath;
use crate::model::{Digest, Platform};
use crate::named_file::OutputError;
use crate::publish::package::PackageError;

/// What to do about machine code for another system.
pub(super) const FOREIGN_FILES_HELP: &str = "leave them out (exclude, prune or runtime_exclude), or keep what belongs to the app all the same (foreign_files)";

/// Why the build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file system refuses.
    #[error(transparent)]
    File(#[from] FileError),
    /// The package's place is taken by something else.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A file has a name that some system does not allow.
    #[error("{} cannot be in a container; rename it, or exclude it", path.display())]
    Name {
        path: PathBuf,
        /// The defect of its name.
        source: UnsafePath,
    },
    /// A file's name is no Unicode, or it is neither file, folder nor link.
    #[error("{} cannot be in a container: {reason}", path.display())]
    Kind {
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// A link points out of the app, or to nothing.
    #[error("the link {} -> {} leads out of its folder or nowhere; put the file there, or exclude the link", path.display(), target.display())]
    Link {
        /// The link's path.
        path: PathBuf,
        /// The text of the link.
        target: PathBuf,
    },
    /// A file or folder that the request names does not exist.
    #[error("cannot find {what}: {}", path.display())]
    Missing {
        /// What it is to be.
        what: &'static str,
        /// The path in the request.
        path: PathBuf,
    },
    /// There is a file where a folder is needed, or the other way round.
    #[error("{what} must be a {wanted}: {}", path.display())]
    OtherKind {
        /// What it is to be.
        what: &'static str,
        /// The kind that is needed.
        wanted: &'static str,
        /// The path in the request.
        path: PathBuf,
    },
    /// The icon cannot be used.
    #[error("the icon {} {reason}", path.display())]
    Icon {
        /// The icon's path.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// A script of the release cannot be run on the container's system.
    #[error("{what} {} cannot be run: {reason}", path.display())]
    Script {
        /// Which of the scripts it is.
        what: &'static str,
        path: PathBuf,
        /// Why not, and what to do.
        reason: &'static str,
    },
    /// The entry point does not exist.
    #[error("the entry point {entry} is not in {}; {there}", app.display())]
    NoEntry {
        entry: EntryPoint,
        /// The folder that was searched.
        app: PathBuf,
        /// The likely alternatives, for the message.
        there: String,
    },
    /// The entry point exists, but it is left out of the container.
    #[error(
        "the entry point {entry} is left out of the container, since {part} is excluded; name another entry point, or move it"
    )]
    EntryExcluded {
        entry: EntryPoint,
        /// The part of its path that is excluded.
        part: String,
    },
    /// The entry point's module cannot be started by that name.
    #[error("the entry point {entry} cannot be started: {reason}")]
    Entry {
        entry: EntryPoint,
        /// Why not.
        reason: String,
    },
    /// The entry point needs Python, and the runtime has none.
    #[error(
        "the entry point {entry} needs a Python runtime, and the runtime given has none for {platform}"
    )]
    NoRuntime {
        entry: EntryPoint,
        /// The platform of the container.
        platform: Platform,
    },
    /// This machine does not have the Python of the request.
    #[error("cannot run {}; install Python 3 on this machine, or name another one", python.display())]
    NoPython {
        /// The program that the builder tried to run.
        python: PathBuf,
        source: std::io::Error,
    },
    /// The Python of this machine is for another platform.
    #[error(
        "the Python of this machine runs on {current}, the package is for {wanted}; name a Python for it in [runtimes] of kuzflow.toml, or with --runtime"
    )]
    ForeignRuntime {
        /// The platform of this machine's Python.
        current: Platform,
        /// The platform of the package.
        wanted: Platform,
    },
    /// This machine has neither pip nor uv to install the requirements.
    #[error("neither '{} -m pip' nor 'uv' runs on this machine; install one of them (Debian: python3-pip)", python.display())]
    NoInstaller {
        /// The Python that has no pip.
        python: PathBuf,
    },
    /// The requirements cannot be read.
    #[error("{} cannot be used: {reason}", path.display())]
    Requirements {
        /// The path of the requirements.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Nothing can be installed for this platform with the tools of this machine.
    #[error("uv cannot install packages for {platform}; install pip for '{}' (Debian: python3-pip)", python.display())]
    ForeignInstaller {
        /// The platform of the package.
        platform: Platform,
        /// The Python that has no pip.
        python: PathBuf,
    },
    /// A requirement has no wheel for the platform, or an older Python than the package's.
    #[error(
        "{package} has no wheel for {target}. Require a version that has one; leave it out there with a marker such as {marker}; or, if it is pure Python, build a wheel (pip wheel --no-deps) and add its folder to the requirements (--find-links FOLDER).\n{output}"
    )]
    NoWheel {
        /// The requirement as the installer names it.
        package: String,
        /// The platform of the container and the version of its Python.
        target: String,
        /// A marker that is false there.
        marker: String,
        /// The end of the installer's output.
        output: String,
    },
    /// The container has machine code that its platform cannot run.
    #[error("not for {platform}: {files}; {}", FOREIGN_FILES_HELP)]
    ForeignFiles {
        /// The platform of the package.
        platform: Platform,
        /// The files, each with its system and processor.
        files: String,
    },
    /// The name of the platform is spelled in another way than systems spell it.
    #[error("no computer calls itself {platform}; {advice}")]
    Platform {
        /// The name as it was given.
        platform: Platform,
        /// The right name, or all of them.
        advice: String,
    },
    /// The archive is not the one that was pinned.
    #[error(
        "{archive} is not the archive that kuzflow.toml names: its SHA-256 is {found}, and not {wanted}. It was not opened"
    )]
    ArchiveDigest {
        /// The archive's address or path.
        archive: String,
        /// The digest that is pinned.
        wanted: Digest,
        /// The digest that the file has.
        found: Digest,
    },
    /// The archive cannot be downloaded.
    #[error("cannot download {address}; get it another way, and name it with file instead of url")]
    Download {
        /// The archive's address.
        address: String,
        source: std::io::Error,
    },
    /// The archive has an unknown form.
    #[error("{} is no .tar.gz, .tgz, .tar.zst, .tar or .zip", path.display())]
    Archive {
        /// The archive's path.
        path: PathBuf,
    },
    /// A program that the build ran has failed.
    #[error("{what} failed ({status}):\n{output}")]
    Tool {
        /// The name of the program, for people.
        what: String,
        /// How the program ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// Writing the package failed.
    #[error(transparent)]
    Package(#[from] PackageError),
}
