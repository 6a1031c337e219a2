//! The app that this launcher started, as the engine and the start share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::launch::RunningApp;

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
