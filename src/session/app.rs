//! Holds the app that this launcher started, shared by the engine and the start, and performs the
//! start itself.

use std::ffi::OsString;
use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::switching::WORTH_A_BAR;
use crate::error_chain;
use crate::messages::protocol::{Event, Phase, Progress};
use crate::model::incident::Incident;
use crate::mutex;
use crate::store::hooks::{self, HookOptions};
use crate::store::launch::{self, Call, RunningApp, Variable, Which};
use crate::store::lock::HomeLock;
use crate::store::resolution::resolve_for_start;
use crate::store::switch::SwitchOptions;
use crate::store::{Home, InstalledRecord, StoreError};
use crate::threads;

/// Holds the running app, or the last one that ran. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct AppHandle(Arc<AppState>);

#[derive(Default)]
struct AppState {
    /// Held while a launcher thread ends an app, switches versions, or starts an app: one at a
    /// time.
    alone: Mutex<()>,
    held: Mutex<Held>,
    released: Condvar,
}

type IncidentListener = Box<dyn Fn(&Incident) + Send>;

#[derive(Default)]
struct Held {
    app: Option<Arc<RunningApp>>,
    /// An app whose end somebody handles and then decides what follows.
    attended: Option<Arc<RunningApp>>,
    /// Number of waiters that will start another app when this one has ended.
    expecting: usize,
    /// Whether the attended app is not known to be up yet.
    on_trial: bool,
    listener: Option<IncidentListener>,
    /// Incidents from before a listener was set.
    unreported: Vec<Incident>,
    /// Whether the app's standard error goes to the home, since nobody reads it.
    keeps_errors: bool,
}

/// While this value lives, another start may follow the end of the app.
pub(crate) struct Attending {
    handle: AppHandle,
    app: Arc<RunningApp>,
}

impl Attending {
    /// Puts another start in the place of the app, unless somebody else has done so meanwhile.
    pub(crate) fn replace(
        &mut self,
        start: impl FnOnce() -> Result<RunningApp, StoreError>,
    ) -> Result<Option<Arc<RunningApp>>, StoreError> {
        if !self.handle.holds(&self.app) {
            return Ok(None);
        }
        let app = shared(start()?);
        let mut held = self.handle.lock();
        (held.app, held.attended) = (Some(Arc::clone(&app)), Some(Arc::clone(&app)));
        self.app = Arc::clone(&app);
        self.handle.0.released.notify_all();
        Ok(Some(app))
    }

    /// Records that the app is up.
    pub(crate) fn came_up(&self) {
        self.handle.lock().on_trial = false;
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        let mut held = self.handle.lock();
        if held.attended.as_ref().is_some_and(|attended| Arc::ptr_eq(attended, &self.app)) {
            (held.attended, held.on_trial) = (None, false);
        }
        self.handle.0.released.notify_all();
    }
}

/// While this value lives, another start follows the end of the app.
pub(crate) struct Expecting(AppHandle);

impl Drop for Expecting {
    fn drop(&mut self) {
        self.0.lock().expecting -= 1;
        self.0.0.released.notify_all();
    }
}

impl AppHandle {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // A panic elsewhere does not change which app runs.
        mutex::lock(&self.0.held)
    }

    /// Keeps other threads of this process from ending, switching and starting, as long as the
    /// value lives.
    pub(crate) fn alone(&self) -> MutexGuard<'_, ()> {
        mutex::lock(&self.0.alone)
    }

    /// Puts an app in the place of the one before.
    pub(crate) fn set(&self, app: RunningApp) -> Arc<RunningApp> {
        let app = shared(app);
        self.lock().app = Some(Arc::clone(&app));
        self.0.released.notify_all();
        app
    }

    /// The same, and records that somebody will decide what follows its end. `on_trial`: another
    /// version may soon take its place.
    pub(crate) fn set_attended(
        &self,
        app: RunningApp,
        on_trial: bool,
    ) -> (Arc<RunningApp>, Attending) {
        let app = shared(app);
        let mut held = self.lock();
        (held.app, held.attended, held.on_trial) =
            (Some(Arc::clone(&app)), Some(Arc::clone(&app)), on_trial);
        (Arc::clone(&app), Attending { handle: self.clone(), app })
    }

    /// The app started last.
    pub(crate) fn get(&self) -> Option<Arc<RunningApp>> {
        self.lock().app.clone()
    }

    /// The app started last, while it runs.
    pub(crate) fn running(&self) -> Option<Arc<RunningApp>> {
        self.get().filter(|app| app.ended().is_none())
    }

    /// Whether the app is on probation and not known to be up yet.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.lock().on_trial
    }

    /// Whether somebody decides what follows the end of the app.
    pub(crate) fn is_attended(&self) -> bool {
        self.lock().attended.is_some()
    }

    /// Announces that another start will follow the end of the app.
    pub(crate) fn expect_another(&self) -> Expecting {
        self.lock().expecting += 1;
        Expecting(self.clone())
    }

    /// Whether the last app has ended, and no other start will follow by itself.
    pub(crate) fn is_over(&self) -> bool {
        let held = self.lock();
        held.attended.is_none()
            && held.expecting == 0
            && held.app.as_ref().is_none_or(|app| app.ended().is_some())
    }

    /// Whether `app` is still the one started last.
    pub(crate) fn holds(&self, app: &Arc<RunningApp>) -> bool {
        self.lock().app.as_ref().is_some_and(|held| Arc::ptr_eq(held, app))
    }

    /// Blocks until `app` has ended and the decision about what follows is made. Returns the app
    /// that took its place, if one did.
    pub(crate) fn wait_for(&self, app: &Arc<RunningApp>) -> (ExitStatus, Option<Arc<RunningApp>>) {
        let status = app.wait();
        let mut held = self.lock();
        let follows = |held: &Held| {
            let is_attended =
                held.attended.as_ref().is_some_and(|attended| Arc::ptr_eq(attended, app));
            let is_last = held.app.as_ref().is_none_or(|held| Arc::ptr_eq(held, app));
            is_attended || held.expecting > 0 && is_last
        };
        while follows(&held) {
            held = self.0.released.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
        (status, held.app.clone().filter(|held| !Arc::ptr_eq(held, app)))
    }

    /// Blocks until the last app has ended and none follows; `None` if none was started.
    pub(crate) fn wait(&self) -> Option<ExitStatus> {
        let mut app = self.get()?;
        loop {
            match self.wait_for(&app) {
                (_, Some(next)) => app = next,
                (status, None) => return Some(status),
            }
        }
    }

    /// Sets the listener for incidents while an app is attended.
    pub(crate) fn on_happening(&self, listener: impl Fn(&Incident) + Send + 'static) {
        let mut held = self.lock();
        held.unreported.drain(..).for_each(|what| listener(&what));
        held.listener = Some(Box::new(listener));
    }

    /// Stores in the home what apps started from now on write to standard error, since nobody reads
    /// it.
    pub(crate) fn keep_errors(&self) {
        self.lock().keeps_errors = true;
    }

    /// Whether standard error is stored in the home.
    pub(crate) fn keeps_errors(&self) -> bool {
        self.lock().keeps_errors
    }

    /// Passes an incident to the listener.
    pub(crate) fn tell(&self, what: &Incident) {
        let mut held = self.lock();
        match &held.listener {
            Some(listener) => listener(what),
            None => held.unreported.push(what.clone()),
        }
    }
}

/// An app that was just started, and a thread that notes its end at once. Without a thread the end
/// is noted when somebody asks.
fn shared(app: RunningApp) -> Arc<RunningApp> {
    let app = Arc::new(app);
    let watched = Arc::clone(&app);
    if let Err(error) = threads::spawn("end of the app", move || watched.note_first_end()) {
        tracing::info!(
            error = error_chain::line(&error),
            "how long the app runs will be known less exactly"
        );
    }
    app
}

/// Starts the active version, and nobody attends it: the only start that is possible without
/// settings (docs/security.md, promise 1). `tell` receives the events of the switch.
pub(crate) fn start(
    home: &Home,
    arguments: &[OsString],
    variable: Variable,
    tell: &dyn Fn(Event),
) -> Result<RunningApp, StoreError> {
    let call = Call { arguments, variable, environment: &[], keep_errors: false };
    tell_pending(home, tell);
    let on_progress = |done, total| tell_progress(tell, done, total);
    let options = SwitchOptions { variable, on_progress: &on_progress, ..SwitchOptions::PLAIN };
    let hook_options = HookOptions { variable, ..HookOptions::PLAIN };
    let mut chosen = resolve_for_start(home, options)?;
    // A failure is in the log; without settings nobody would read a notice.
    let _ = hooks::run_if_due(home, &chosen.record, hook_options, || HomeLock::take(home));
    let started = launch_or_other(home, &chosen.record, Which::Active, call);
    if !matches!(started, Err(StoreError::Switched { .. })) {
        return started;
    }
    chosen = resolve_for_start(home, options)?;
    launch_or_other(home, &chosen.record, Which::Active, call)
}

/// Emits an event for the switch that a start carries out first, if one is pending.
pub(crate) fn tell_pending(home: &Home, tell: &dyn Fn(Event)) {
    if let Some(coming) = home.named().ok().flatten().and_then(|active| active.pending) {
        tell(Event::Phase { phase: Phase::Switching { version: coming.version } });
    }
}

/// Emits how many bytes of the user's files are carried over so far.
pub(crate) fn tell_progress(tell: &dyn Fn(Event), done: u64, total: u64) {
    // After them the release's migration script runs, whose progress is unknown.
    let known = if done < total && total >= WORTH_A_BAR { (done, total) } else { (0, 0) };
    tell(Event::Progress(Progress { done: known.0, total: known.1, ..Progress::default() }));
}

/// Starts a version, or where that is impossible the newest other one that can be started
/// (docs/security.md, promise 1).
pub(crate) fn launch_or_other(
    home: &Home,
    chosen: &InstalledRecord,
    which: Which,
    call: Call<'_>,
) -> Result<RunningApp, StoreError> {
    let begin = |record: &InstalledRecord, which| launch::start(home, record, which, call);
    let first = match begin(chosen, which) {
        Ok(app) => return Ok(app),
        Err(error @ StoreError::Switched { .. }) => return Err(error),
        Err(error) => error,
    };
    tracing::error!(error = error_chain::line(&first), "the active version cannot be started");
    if first.is_of_the_system() {
        // No other version can be started either.
        return Err(first);
    }
    for other in home.installed()?.into_iter().filter(|other| other.container != chosen.container) {
        match begin(&other, Which::Any) {
            Ok(app) => return Ok(app),
            Err(error) => {
                tracing::error!(error = error_chain::line(&error), "nor can this version")
            }
        }
    }
    Err(first)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::fixture::Fixture;

    #[test]
    fn the_end_of_an_app_is_noted_before_anybody_asks() {
        let fixture = Fixture::new();
        let id = fixture.install("1.0.0", &[]);
        let (handle, record) = (AppHandle::default(), fixture.record(&id));
        let is_noted = || {
            let app = launch::start(&fixture.home, &record, Which::Any, Call::PLAIN).unwrap();
            let app = handle.set(app);
            // This launcher is busy with other things.
            std::thread::sleep(Duration::from_millis(500));
            app.ended().is_some() && app.lifetime() + Duration::from_millis(100) < app.age()
        };
        // On a busy computer the app itself may take that long.
        assert!((0..50).any(|_| is_noted()));
    }
}
