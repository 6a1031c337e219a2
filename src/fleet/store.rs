//! The store of reports: opens it, and holds what must be held while a server uses it.
//!
//! In: a folder, or the address of a PostgreSQL. Out: a store whose tables have the present form.
//! Never: two servers in one folder; a folder that a question made.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::database::Database;
use super::error::FleetError;
use super::schema;
use crate::durable;
use crate::file_error::FileResult as _;
use crate::look;

/// The database in the folder.
const FILE: &str = "fleet.sqlite";
/// The file that the one server of the folder locks.
const LOCK: &str = "fleet.lock";

/// Where reports are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder of one server.
    Folder(PathBuf),
    /// A PostgreSQL that several servers share.
    Postgres(String),
}

impl FromStr for Place {
    type Err = FleetError;

    fn from_str(text: &str) -> Result<Self, FleetError> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Ok(Self::Postgres(text.to_owned()));
        }
        if text.is_empty() || text.contains("://") {
            return Err(FleetError::Place(text.split("://").next().unwrap_or_default().to_owned()));
        }
        Ok(Self::Folder(PathBuf::from(text)))
    }
}

/// An open store. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(super) database: Database,
    /// Held as long as a server uses the folder.
    _lock: Option<Arc<File>>,
}

impl Store {
    /// Opens the store for a server; makes it if it is not there.
    pub(crate) async fn open(place: &Place) -> Result<Self, FleetError> {
        let (database, lock) = match place {
            Place::Folder(folder) => {
                durable::create_private_folders(folder).at("create", folder)?;
                let lock = lock(folder)?;
                (Database::sqlite(&folder.join(FILE), true).await?, Some(Arc::new(lock)))
            }
            Place::Postgres(address) => (Database::postgres(address).await?, None),
        };
        schema::bring_up_to_date(&database).await?;
        Ok(Self { database, _lock: lock })
    }

    /// Opens the store for questions, beside a server.
    ///
    /// # Errors
    /// [`FleetError::Missing`] if there is none.
    pub(crate) async fn read(place: &Place) -> Result<Self, FleetError> {
        let database = match place {
            Place::Folder(folder) => {
                let file = folder.join(FILE);
                if !look::is_there(&file).at("look at", &file)? {
                    return Err(FleetError::Missing { folder: folder.clone() });
                }
                Database::sqlite(&file, false).await?
            }
            Place::Postgres(address) => Database::postgres(address).await?,
        };
        schema::bring_up_to_date(&database).await?;
        Ok(Self { database, _lock: None })
    }
}

/// Takes the folder for this server. The system gives it back when the server ends, however it
/// ends.
fn lock(folder: &Path) -> Result<File, FleetError> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = durable::written_by_owner(&mut options).open(&path).at("open", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FleetError::InUse { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => Err(error).at("lock", &path).map_err(FleetError::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_postgresql() {
        assert_eq!("data".parse::<Place>().unwrap(), Place::Folder("data".into()));
        assert!(matches!("postgres://a/b".parse::<Place>().unwrap(), Place::Postgres(_)));
        for wrong in ["", "mysql://user:secret@a/b"] {
            let error = wrong.parse::<Place>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
