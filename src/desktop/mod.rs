//! What the launcher leaves outside its home, and takes away again: the app's entry in the system's
//! menu, the kind of file that bundles are, and the launcher's own executable.
//!
//! In: an [`Entry`], the user's folders, a home. Out: files, of which `<home>/desktop.json` keeps a
//! list. Never: the network, a window, a file deleted that is not on that list, in the home's own
//! layout, or beside the executable under a name of ours.
//!
//! ```text
//! freedesktop, mac, windows   pure: an entry -> texts and bytes         icon      pure: one PNG -> the sizes and formats of each system
//! shortcut                    makes, refreshes and removes them         shell     Windows' own calls for links and the registry
//! program                     the executable: staged, proved, exchanged, confirmed or put back
//! uninstall                   everything goes, the user's data first of all into safety
//! ```

pub(crate) mod freedesktop;
pub(crate) mod icon;
pub(crate) mod mac;
pub(crate) mod program;
#[cfg(windows)]
mod shell;
pub(crate) mod shortcut;
pub(crate) mod uninstall;
pub(crate) mod windows;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// Ending of the files that hold a release with its proof, which the launcher can install.
pub(crate) use crate::model::release::BUNDLE_EXTENSION as BUNDLE_SUFFIX;

/// What a shortcut says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Name of its files and its place in the registry: ASCII letters, digits, `-` and `.`.
    pub id: String,
    /// The app's name for people.
    pub name: String,
    /// One line about it: language tag (`zh-CN`; empty for any) and text.
    pub comments: Vec<(String, String)>,
    /// What the kind of file is called: language tag and text.
    pub bundle_names: Vec<(String, String)>,
    /// What it can do besides.
    pub actions: Vec<Action>,
    /// Words under which it is found, besides its name.
    pub keywords: Vec<String>,
    /// The launcher.
    pub program: PathBuf,
    /// What stands before the launcher's verb: `--config` and `--home`, where they are not the
    /// usual ones.
    pub arguments: Vec<OsString>,
    /// What the app's windows say they belong to, as far as it is known.
    pub window_class: String,
    /// A PNG.
    pub icon: Vec<u8>,
}

/// What a menu entry can do besides starting the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// Its name in the entry: ASCII letters.
    pub id: &'static str,
    /// The launcher's verb and its options.
    pub words: Vec<&'static str>,
    /// What it is called: language tag and text.
    pub names: Vec<(String, String)>,
}

/// Why something outside the home could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DesktopError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `write`, `rename`, …
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A menu entry is a text, and a path that is none cannot stand in it.
    #[error("{} is not Unicode, which a menu entry must be", path.display())]
    NotUnicode {
        /// Which path.
        path: PathBuf,
    },
    /// The system names no folder for what is to be made.
    #[error("this system names no folder for {0}")]
    NoFolder(&'static str),
    /// A call of the system's own failed.
    #[error("the system refused to {action}")]
    #[cfg_attr(not(windows), allow(dead_code, reason = "only Windows has such calls"))]
    System {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The home could not be read, locked or changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DesktopError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// A path as text.
fn text(path: &Path) -> Result<&str, DesktopError> {
    path.to_str().ok_or_else(|| DesktopError::NotUnicode { path: path.to_owned() })
}

/// Deletes a file; no error if there is none.
fn remove_file(path: &Path) -> Result<bool, DesktopError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(DesktopError::io("remove", path)(error)),
    }
}
