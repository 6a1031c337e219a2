//! Finds a launcher's settings, its root and its home.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::environment;
use crate::error_chain;
use crate::host;
use crate::look;
use crate::messages::problem;
use crate::messages::protocol::{Problem, ProblemKind};
use crate::model::release::INCLUDED_BUNDLE;
use crate::plain;
use crate::settings::renewed::{self, Renewal};
use crate::settings::{Settings, SettingsError};
use crate::store::{Home, StoreError};

/// The name of the settings' file.
const SETTINGS: &str = "launcher.toml";

/// What every verb of the launcher needs.
#[derive(Clone, Debug)]
pub(crate) struct Installation {
    /// The settings in force.
    pub settings: Settings,
    /// `root.json` beside the settings; empty if it cannot be read.
    pub shipped_root: Vec<u8>,
    /// The bundle beside the settings, if an installer brought one.
    pub included_bundle: Option<PathBuf>,
    /// Where versions are installed.
    pub home: Home,
}

/// Why a launcher cannot find its place.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// The settings are missing or wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The system names no folder for data.
    #[error("this system names no folder for a user's data; name one with --home")]
    NoHome,
    /// The home is another publisher's, whose app has the same name.
    #[error(
        "the root.json beside launcher.toml is not of the repository that {} trusts",
        home.display()
    )]
    AnotherPublisher {
        /// The home folder.
        home: PathBuf,
    },
    /// The home is not the launcher's.
    #[error("{app} cannot be installed in its home")]
    Home {
        /// The app's name in the settings.
        app: String,
        source: StoreError,
    },
}

impl PlaceError {
    /// The error for a person.
    pub(crate) fn problem(&self) -> Problem {
        let subject = match self {
            Self::Settings(error) => error_chain::line(error),
            Self::NoHome => self.to_string(),
            Self::Home { source, .. } => return problem::of_store(source),
            Self::AnotherPublisher { home } => {
                let subject = home.display().to_string();
                return Problem::new(ProblemKind::AppOfAnotherPublisher, subject, self);
            }
        };
        Problem::new(ProblemKind::BadSettings, subject, self)
    }

    /// Whether what is installed in the home may start all the same: only the settings are wrong.
    pub(crate) fn is_of_the_settings(&self) -> bool {
        matches!(self, Self::Settings(_) | Self::NoHome)
    }
}

impl Installation {
    /// Reads `config`, or `launcher.toml` beside the program, and `root.json` beside that. The root
    /// never comes from the settings themselves or from the environment.
    pub(crate) fn find(config: Option<&Path>, home: Option<&Path>) -> Result<Self, PlaceError> {
        let config = config_file(config);
        let shipped = Settings::read(&config)?;
        let folder = config.parent().unwrap_or(Path::new("."));
        // Without the root nothing new is trusted, and a check will report that; installed versions
        // start all the same.
        let shipped_root = look::read(&folder.join("root.json"), look::SMALL)
            .inspect_err(|error| {
                tracing::error!(error = error_chain::line(error), "root.json cannot be read")
            })
            .unwrap_or_default()
            .map(as_utf8)
            .unwrap_or_default();
        let included = folder.join(INCLUDED_BUNDLE);
        // One that cannot be looked at is tried, so that the log says why it is of no use.
        let included_bundle = Some(included).filter(|path| look::is_there(path).unwrap_or(true));
        let home = home_for(shipped.app.as_str(), shipped.home.as_deref(), folder, home)
            .ok_or(PlaceError::NoHome)?;
        home.refuse_another_program()
            .map_err(|source| PlaceError::Home { app: shipped.app.to_string(), source })?;
        if environment::is_of_another_publisher(&home, &shipped_root) {
            return Err(PlaceError::AnotherPublisher { home: home.root().to_owned() });
        }
        let settings = renewed_settings(&config, &home, &shipped).unwrap_or(shipped);
        Ok(Self { settings, shipped_root, included_bundle, home })
    }

    /// The home alone, for settings that cannot be used: from `--home`, or from the readable part
    /// of the settings.
    pub(crate) fn home_anyway(config: Option<&Path>, home: Option<&Path>) -> Option<Home> {
        #[derive(Deserialize)]
        struct Readable {
            app: Option<String>,
            home: Option<PathBuf>,
        }
        let config = config_file(config);
        let text = look::read(&config, look::SMALL).unwrap_or_default().unwrap_or_default();
        // One wrong letter in a comment must not hide which app this is.
        let text = plain::of_file(text.clone())
            .unwrap_or_else(|_| String::from_utf8_lossy(&text).into_owned());
        let readable: Option<Readable> = toml::from_str(&text).ok();
        let (app, set) = readable.map_or((None, None), |readable| (readable.app, readable.home));
        match (home, app) {
            (Some(home), _) => Some(Home::new(home)),
            (None, Some(app)) => {
                home_for(&app, set.as_deref(), config.parent().unwrap_or(Path::new(".")), None)
            }
            (None, None) => None,
        }
    }
}

/// The settings as the publisher has renewed them by a signed document; the home has a verified
/// copy of it.
fn renewed_settings(config: &Path, home: &Home, shipped: &Settings) -> Option<Settings> {
    let bytes = renewed::read(&home.renewed_settings())?;
    let text = plain::of_file(look::read(config, look::SMALL).ok()??).ok()?;
    let over = Renewal::parse(&bytes, &shipped.app).and_then(|renewal| renewal.over(&text, config));
    match over {
        Ok((settings, passed_over)) => {
            for error in passed_over {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "a renewed setting does not count"
                );
            }
            Some(settings)
        }
        Err(error) => {
            tracing::warn!(error = error_chain::line(&error), "the shipped settings count");
            None
        }
    }
}

fn config_file(config: Option<&Path>) -> PathBuf {
    config.map_or_else(
        || shipped_config(&host::program_folder().unwrap_or_default()),
        Path::to_path_buf,
    )
}

/// The settings that were shipped with the program in `folder`: beside it, or in an application
/// bundle of macOS among the resources, since a signature takes what lies beside a program for
/// programs.
fn shipped_config(folder: &Path) -> PathBuf {
    let beside = folder.join(SETTINGS);
    let contents = folder.parent().filter(|_| folder.ends_with("Contents/MacOS"));
    match contents.map(|contents| contents.join("Resources").join(SETTINGS)) {
        Some(resource) if matches!(look::is_there(&beside), Ok(false)) => resource,
        _ => beside,
    }
}

fn home_for(app: &str, set: Option<&Path>, folder: &Path, wanted: Option<&Path>) -> Option<Home> {
    let home = match (wanted, set) {
        (Some(home), _) => home.to_owned(),
        // A relative home in the settings begins at the settings' folder (a portable installation).
        (None, Some(home)) => folder.join(home),
        (None, None) => default_home(app)?,
    };
    Some(Home::new(home))
}

/// The home of an app when none is named: the one that an earlier launcher made, if it is still
/// there, otherwise the usual one. Nothing is moved: paths of the app's files stay what they are.
pub(crate) fn default_home(app: &str) -> Option<PathBuf> {
    let (usual, earlier) = host::default_homes(app)?;
    // A user may have moved it to another disk, and left a link in its place.
    let is_home = |folder: &PathBuf| match std::fs::metadata(folder) {
        Ok(found) => found.is_dir() && Home::new(folder).is_launchers(),
        // A link without its end: the other disk is not there. Nothing is begun anew meanwhile.
        Err(_) => look::is_there(folder).unwrap_or(true),
    };
    let earlier = earlier.filter(|earlier| !is_home(&usual) && is_home(earlier));
    Some(earlier.unwrap_or(usual))
}

/// The document as the publisher made it, whatever encoding a person has saved it in.
fn as_utf8(bytes: Vec<u8>) -> Vec<u8> {
    plain::of_file(bytes.clone()).map_or(bytes, String::into_bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_settings_of_an_application_bundle_are_among_its_resources() {
        let folder = tempfile::tempdir().unwrap();
        let contents = folder.path().join("示例.app/Contents");
        let programs = contents.join("MacOS");
        fs::create_dir_all(&programs).unwrap();
        assert_eq!(shipped_config(&programs), contents.join("Resources/launcher.toml"));
        // A publisher who has put them beside the program keeps them there.
        fs::write(programs.join(SETTINGS), "").unwrap();
        assert_eq!(shipped_config(&programs), programs.join(SETTINGS));
        assert_eq!(shipped_config(folder.path()), folder.path().join(SETTINGS));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_file() {
        assert_eq!(as_utf8(b"\xEF\xBB\xBF{}".to_vec()), b"{}");
        assert_eq!(as_utf8(b"\xFF\xFE{\0}\0".to_vec()), b"{}");
        assert_eq!(as_utf8(b"{\xE9}".to_vec()), b"{\xE9}", "what is wrong with it is said later");
        assert_eq!(as_utf8(b"{}".to_vec()), b"{}");
    }
}
