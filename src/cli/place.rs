//! Where a launcher finds its settings, its root and its home.

use std::path::{Path, PathBuf};

use crate::host;
use crate::settings::{Settings, SettingsError};
use crate::store::Home;

/// What every verb of the launcher needs.
#[derive(Clone, Debug)]
pub struct Place {
    /// The settings in force.
    pub settings: Settings,
    /// `root.json` beside the settings.
    pub shipped_root: Vec<u8>,
    /// Where versions are installed.
    pub home: Home,
}

/// Why a launcher does not know where it is.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The settings are missing or wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// `root.json` is missing.
    #[error("cannot read the trusted root {}", path.display())]
    Root {
        /// Where it should be.
        path: PathBuf,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// The system names no folder for data.
    #[error("this system names no folder for a user's data; name one with --home")]
    NoHome,
}

impl Place {
    /// Reads `config`, or `launcher.toml` beside the program, and `root.json` beside that. The root never comes from the settings
    /// themselves or from the environment.
    pub fn find(config: Option<&Path>, home: Option<&Path>) -> Result<Self, PlaceError> {
        let beside = || host::program_folder().unwrap_or_default().join("launcher.toml");
        let config = config.map_or_else(beside, Path::to_path_buf);
        let settings = Settings::read(&config)?;
        let folder = config.parent().unwrap_or(Path::new("."));
        let path = folder.join("root.json");
        let shipped_root = std::fs::read(&path).map_err(|source| PlaceError::Root { path, source })?;
        let home = match (home, &settings.home) {
            (Some(home), _) => home.to_owned(),
            // A relative home in the settings means: beside them (a portable installation).
            (None, Some(home)) => folder.join(home),
            (None, None) => host::default_home(settings.app.as_str()).ok_or(PlaceError::NoHome)?,
        };
        Ok(Self { settings, shipped_root, home: Home::new(home) })
    }
}
