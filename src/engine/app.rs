//! The app that this launcher started, as the engine and the start share it.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::launch::{self, RunningApp};
use crate::store::{Home, InstalledRecord, StoreError, switch};

/// Holds the running app, or the last one that ran. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct AppSlot(Arc<Mutex<Option<Arc<RunningApp>>>>);

impl AppSlot {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<RunningApp>>> {
        // A panic elsewhere does not change which app runs.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an app in the place of the one before.
    pub fn set(&self, app: RunningApp) -> Arc<RunningApp> {
        let app = Arc::new(app);
        *self.lock() = Some(Arc::clone(&app));
        app
    }

    /// The app started last.
    pub fn get(&self) -> Option<Arc<RunningApp>> {
        self.lock().clone()
    }

    /// The app started last, while it runs.
    pub fn running(&self) -> Option<Arc<RunningApp>> {
        self.get().filter(|app| app.ended().is_none())
    }

    /// Whether `app` is still the one started last.
    pub fn holds(&self, app: &Arc<RunningApp>) -> bool {
        self.lock().as_ref().is_some_and(|held| Arc::ptr_eq(held, app))
    }
}

/// Starts the active version, and where that cannot be started the newest other one that can (promise 1).
pub fn start(home: &Home, arguments: &[OsString], variable: fn(&str) -> Option<OsString>) -> Result<RunningApp, StoreError> {
    let chosen = switch::resolve_for_start(home)?;
    let begin = |record: &InstalledRecord| launch::start(home, record, arguments, variable);
    let first = match begin(&chosen) {
        Ok(app) => return Ok(app),
        Err(error) => error,
    };
    tracing::error!(error = &first as &dyn std::error::Error, "the active version cannot be started");
    for other in home.installed()?.into_iter().filter(|other| other.container != chosen.container) {
        match begin(&other) {
            Ok(app) => return Ok(app),
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "nor can this version"),
        }
    }
    Err(first)
}
