//! Everything that the launcher writes outside its home, and removes again: the app's entry in the
//! system's menu, its start at login, the file type of bundles, and the launcher's own executable.
//!
//! In: an [`Entry`], the user's folders, a home. Out: files, which `<home>/desktop.json` and
//! `<home>/autostart.json` list.
//! Never: uses the network or a window. It deletes only files on that list, files of the home's own
//! layout, and files beside the executable with a name of ours.
//!
//! ```text
//! freedesktop, mac, windows   pure: an entry -> texts and bytes         icon      pure: one PNG -> the sizes and formats of each system
//! shortcut                    makes, refreshes and removes them         shell     Windows' own calls for links and the registry
//! program                     the executable: staged, verified, exchanged, confirmed or put back
//! autostart                   the start at login        old_shortcuts   those of an earlier installation
//! second_home                 names of a second home's  link_file       reads links of Windows
//! program_list                the app in Windows' list of installed programs
//! same_path                   whether two paths lead to the same file on Windows
//! uninstall                   removes everything; the user's data moves to a safe folder first
//! ```

pub(crate) mod autostart;
pub(crate) mod freedesktop;
pub(crate) mod icon;
mod link_file;
pub(crate) mod mac;
pub(crate) mod old_shortcuts;
pub(crate) mod program;
pub(crate) mod program_list;
mod same_path;
mod second_home;
#[cfg(windows)]
mod shell;
pub(crate) mod shortcut;
pub(crate) mod uninstall;
pub(crate) mod windows;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::file_error::FileError;
use crate::model::document_type::DocumentType;
use crate::store::StoreError;

/// Ending of the files that hold a release with its signed metadata, which the launcher can
/// install.
pub(crate) use crate::model::release::BUNDLE_EXTENSION as BUNDLE_SUFFIX;

/// The content of a shortcut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Name of its files and its place in the registry: ASCII letters, digits, `-` and `.`.
    pub id: String,
    /// The app's name for people.
    pub name: String,
    /// One line about the app: language tag (`zh-CN`; empty for any) and text.
    pub comments: Vec<(String, String)>,
    /// The name of the file type: language tag and text.
    pub bundle_names: Vec<(String, String)>,
    /// Actions besides starting the app.
    pub actions: Vec<Action>,
    /// Search words for the menu, besides its name.
    pub keywords: Vec<String>,
    /// Where menus show it: categories of the Desktop Menu Specification.
    pub categories: Vec<String>,
    /// Path of the launcher.
    pub program: PathBuf,
    /// The launcher's options before its verb: `--config` and `--home`, where they are not the
    /// usual ones.
    pub arguments: Vec<OsString>,
    /// The class of the app's windows, as far as it is known.
    pub window_class: String,
    /// A PNG.
    pub icon: Vec<u8>,
    /// The same as an SVG, for desktops that scale icons themselves.
    pub scalable_icon: Option<Vec<u8>>,
    /// The documents that the app opens.
    pub documents: Vec<Document>,
}

/// How this home's own files call the launcher: what tells them from those of another home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnCall {
    /// [`Entry::id`].
    pub id: String,
    /// [`Entry::program`].
    pub program: PathBuf,
    /// [`Entry::arguments`].
    pub arguments: Vec<OsString>,
}

impl Entry {
    fn own_call(&self) -> OwnCall {
        let (id, program, arguments) =
            (self.id.clone(), self.program.clone(), self.arguments.clone());
        OwnCall { id, program, arguments }
    }
}

/// A type of documents that the app opens, with its picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub kind: DocumentType,
    /// A PNG; without one such files have the app's icon.
    pub icon: Option<Vec<u8>>,
}

/// An action of a menu entry besides starting the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    /// Its name in the entry: ASCII letters.
    pub id: &'static str,
    /// The launcher's verb and its options.
    pub words: Vec<&'static str>,
    /// Its label: language tag and text.
    pub names: Vec<(String, String)>,
}

/// The texts of a menu entry in each language, as [`Entry`] has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct MenuTexts {
    pub comments: Vec<(String, String)>,
    pub bundle_names: Vec<(String, String)>,
    pub actions: Vec<Action>,
}

/// Why a change outside the home failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DesktopError {
    /// A file or folder could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A menu entry is Unicode text, and this path is not.
    #[error("{} is not Unicode, which a menu entry must be", path.display())]
    NotUnicode {
        /// The path that is not Unicode.
        path: PathBuf,
    },
    /// The system names no folder for this file.
    #[error("this system names no folder for {0}")]
    NoFolder(&'static str),
    /// A system call of Windows failed.
    #[error("the system refused to {action}")]
    #[cfg_attr(not(windows), allow(dead_code, reason = "only Windows has such calls"))]
    System {
        /// The verb of the message.
        action: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The home could not be read, locked or changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn text(path: &Path) -> Result<&str, DesktopError> {
    path.to_str().ok_or_else(|| DesktopError::NotUnicode { path: path.to_owned() })
}

/// Deletes a file; no error if there is none.
fn remove_file(path: &Path) -> Result<bool, FileError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FileError::new("remove", path, error)),
    }
}
