//! Shows an engine to a person: in the whole window, or, beside the running app, in the small
//! window or as a notification of the system.
//!
//! In: an engine's handle and the view state so far. Out: how it ended. Never: decides about
//! updates; it decides only which window shows them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::shortcuts;
use crate::environment::Environment;
use crate::error_chain;
use crate::gui::{
    self, Language, NotificationEnd, Notified, Texts, ViewState, WindowError, WindowOptions,
};
use crate::host;
use crate::look;
use crate::messages::mailbox::Handle;
use crate::messages::protocol::{Command, Event, Phase};
use crate::model::Offer;
use crate::model::plan::UpdateStrategy;
use crate::session::app_session::AppSession;
use crate::session::instance::Instance;
use crate::settings::{Announcement, Renderer, Theme};
use crate::store::{Home, HomeState, StoreError};
use crate::threads;

/// Whether the last window of this process had its details open when it was closed.
static DETAILS: AtomicBool = AtomicBool::new(false);

/// The window options of the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PresentOptions {
    /// Open no window.
    pub headless: bool,
    /// The renderer, in place of the setting.
    pub renderer: Option<Renderer>,
    /// The language at the beginning.
    pub language: Language,
    /// The system has started the app at login: nothing is asked that can wait.
    pub at_login: bool,
    /// When the wait began that a person has seen nothing of: as a rule with the program.
    pub began: Instant,
}

impl PresentOptions {
    /// The same after the person has seen a window, or lines in the terminal.
    pub(crate) fn begun_now(self) -> Self {
        Self { began: Instant::now(), ..self }
    }
}

/// Announces an offer, or its result, beside the running app as the settings say. Returns when the
/// user has answered and the work that this began has ended, or when nobody has answered. If one
/// kind of announcement is not available the next one is used: the small window, the system's
/// notification, the whole window.
pub(crate) fn announce(
    session: &AppSession,
    handle: &Handle,
    view: ViewState,
    options: PresentOptions,
) -> NotificationEnd {
    let environment = &session.environment;
    let (wanted, runs) = (environment.settings.window.notification, !session.app.is_over());
    let announcement = match view.offer() {
        Some(offer) => announcement(wanted, offer, runs),
        None => Some(wanted).filter(|wanted| *wanted != Announcement::Off),
    };
    let Some(announcement) = announcement else {
        tracing::info!("nothing is announced, as the settings want it");
        return NotificationEnd::TimedOut;
    };
    let Notified { outcome, state } = match announcement {
        Announcement::Window => small(environment, handle, view, options, &[by_window, by_system]),
        Announcement::System => small(environment, handle, view, options, &[by_system, by_window]),
        Announcement::Dialog | Announcement::Off => {
            Notified { outcome: NotificationEnd::Details, state: view }
        }
    };
    if outcome == NotificationEnd::Details {
        show(environment, handle, state, options);
    }
    outcome
}

/// The kind of announcement for an offer; `None` if it is not announced. A mandatory offer comes
/// with the whole window, and so does a first installation. So does an offer that may help an app
/// that has ended, unless the settings switch announcements off: no work would be disturbed.
fn announcement(wanted: Announcement, offer: &Offer, runs: bool) -> Option<Announcement> {
    if offer.signed.release.mandatory || offer.current.is_none() {
        return Some(Announcement::Dialog);
    }
    match wanted {
        Announcement::Off => None,
        _ if !runs => Some(Announcement::Dialog),
        Announcement::Window
            if !offer.plan.is_incremental() && offer.plan.strategy != UpdateStrategy::Installed =>
        {
            Some(Announcement::Dialog)
        }
        wanted => Some(wanted),
    }
}

type Notify = fn(WindowOptions, &Handle, ViewState) -> Result<Notified, WindowError>;

fn by_window(
    window: WindowOptions,
    handle: &Handle,
    view: ViewState,
) -> Result<Notified, WindowError> {
    gui::notify(window, handle.clone(), view)
}

fn by_system(
    window: WindowOptions,
    handle: &Handle,
    view: ViewState,
) -> Result<Notified, WindowError> {
    gui::notify_by_system(&window, handle, view)
}

/// The first of these kinds that is available; if none is, the caller uses the whole window.
fn small(
    environment: &Environment,
    handle: &Handle,
    view: ViewState,
    options: PresentOptions,
    strategies: &[Notify],
) -> Notified {
    let window = window_options(environment, options);
    for notify in strategies {
        match notify(window.clone(), handle, view.clone()) {
            Ok(notified) => {
                tracing::info!(outcome = ?notified.outcome, "notification ended");
                return notified;
            }
            Err(error) => {
                tracing::info!(error = error_chain::line(&error), "no notification in this way")
            }
        }
    }
    Notified { outcome: NotificationEnd::Details, state: view }
}

/// The window's options where there are no settings.
pub(crate) fn nameless_window_options(app_name: String, options: PresentOptions) -> WindowOptions {
    WindowOptions {
        title: app_name.clone(),
        app_name,
        class: env!("CARGO_PKG_NAME").to_owned(),
        icon: None,
        icon_file: None,
        language: options.language,
        theme: Theme::Auto,
        renderer: options.renderer.unwrap_or(Renderer::Auto),
        details: true,
    }
}

/// The window's options, from the app and the settings.
pub(crate) fn window_options(environment: &Environment, options: PresentOptions) -> WindowOptions {
    let settings = &environment.settings;
    let active = environment.home.active().ok().map(|(_, record)| record);
    let app_name = shortcuts::name_in(&environment.home, settings);
    let title = if active.is_some() { "window-title" } else { "window-title-install" };
    let folder = active.as_ref().map(|record| environment.home.container(&record.container));
    let own = active.and_then(|record| Some(record.icon?.under(&folder?)));
    let read = |file: PathBuf| Some((look::read(&file, look::SMALL).ok().flatten()?, file));
    let (icon, icon_file) = own.into_iter().chain(settings.icon.clone()).find_map(read).unzip();
    WindowOptions {
        title: Texts::new(options.language).of_app(&app_name).get(title),
        app_name,
        class: settings.app.to_string(),
        icon,
        icon_file,
        language: options.language,
        theme: settings.window.theme,
        renderer: options.renderer.unwrap_or(settings.window.renderer),
        details: DETAILS.load(Ordering::Relaxed),
    }
}

/// Opens the window at the request of another start of the launcher, with the present view state.
pub(crate) fn show_wanted(
    environment: &Environment,
    handle: &Handle,
    mut view: ViewState,
    options: PresentOptions,
) -> bool {
    let phase = wanted_phase(handle.phase());
    if view.phase != phase {
        view.apply(Event::Phase { phase });
    }
    handle.send(Command::List);
    show(environment, handle, view, options)
}

/// The phase that a requested window shows. The start of the app is no news to the user who
/// requested it, and would close the window at once.
fn wanted_phase(phase: Phase) -> Phase {
    match phase {
        Phase::Launched { .. } => Phase::Idle,
        phase => phase,
    }
}

/// Lets another start of the launcher request this engine's window, as long as the value lives.
pub(crate) fn listen(
    environment: &Environment,
    handle: &Handle,
    options: PresentOptions,
) -> Option<Instance> {
    if options.headless {
        return None;
    }
    let listening = Instance::listen(&environment.home, &host::private_folders(), handle.clone());
    listening
        .inspect_err(|error| {
            tracing::warn!(
                error = error_chain::line(error),
                "no other start can ask for the window"
            )
        })
        .ok()
}

/// Opens the window. `false` if no window can be opened; the user then gets a message of the
/// system, where it has one.
pub(crate) fn show(
    environment: &Environment,
    handle: &Handle,
    view: ViewState,
    options: PresentOptions,
) -> bool {
    let window = window_options(environment, options);
    let app_name = window.app_name.clone();
    match gui::open(window, handle.clone(), view) {
        Ok(closed) => {
            tracing::info!(?closed, "window closed");
            if let Some(details) = closed.choices.details {
                DETAILS.store(details, Ordering::Relaxed);
            }
            if let Some(language) = closed.choices.language
                && let Err(error) = keep_language(&environment.home, language)
            {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "the chosen language is forgotten"
                );
            }
            true
        }
        Err(error) => {
            tracing::error!(error = error_chain::line(&error), "no window");
            handle.refuse_wanted();
            // The message waits for a click; the app must not wait for it.
            let tell = move || gui::tell_no_window(&app_name, &Texts::new(options.language));
            if let Err(error) = threads::spawn("message", tell) {
                tracing::warn!(error = error_chain::line(&error), "nor can it be told");
            }
            false
        }
    }
}

/// Stores the language that the user has chosen. A state that cannot be read now stays as it is: it
/// holds more than the language.
fn keep_language(home: &Home, language: Language) -> Result<(), StoreError> {
    let state = home.state()?;
    home.set_state(&HomeState { language: Some(language.tag().to_owned()), ..state })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Version;
    use crate::model::plan::{Plan, Reason};

    #[test]
    #[cfg(unix)]
    fn a_chosen_language_never_replaces_a_state_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let before = home.state().unwrap();
        let path = folder.path().join("state.json");
        let aside = crate::store::fixture::make_unreadable(&path);
        assert!(keep_language(&home, Language::Chinese).is_err());
        crate::store::fixture::make_readable(&path, &aside);
        assert_eq!(home.state().unwrap(), before);
        keep_language(&home, Language::Chinese).unwrap();
        let expected = HomeState { language: Some("zh-CN".to_owned()), ..before };
        assert_eq!(home.state().unwrap(), expected);
    }

    fn offer(strategy: UpdateStrategy) -> Offer {
        let plan = Plan { strategy, ..Plan::full(1, 1, Reason::Cheapest) };
        Offer { current: Some(Version::new(1, 0, 0)), plan, ..*crate::messages::fixture::offer() }
    }

    #[test]
    fn small_updates_come_small_and_others_with_the_whole_window() {
        let by_window = |strategy| announcement(Announcement::Window, &offer(strategy), true);
        assert_eq!(
            [UpdateStrategy::Patches, UpdateStrategy::Entries, UpdateStrategy::Installed]
                .map(by_window),
            [Some(Announcement::Window); 3]
        );
        assert_eq!(
            [UpdateStrategy::Full, UpdateStrategy::File].map(by_window),
            [Some(Announcement::Dialog); 2]
        );
        assert_eq!(
            announcement(Announcement::System, &offer(UpdateStrategy::Full), true),
            Some(Announcement::System)
        );
        assert_eq!(
            announcement(Announcement::Dialog, &offer(UpdateStrategy::Patches), true),
            Some(Announcement::Dialog)
        );
        assert_eq!(
            announcement(Announcement::Window, &offer(UpdateStrategy::Patches), false),
            Some(Announcement::Dialog)
        );
        assert_eq!(
            [true, false].map(|runs| announcement(
                Announcement::Off,
                &offer(UpdateStrategy::Patches),
                runs
            )),
            [None, None]
        );
    }

    #[test]
    fn a_window_that_was_asked_for_stays_after_the_app_has_started() {
        let version = Version::new(1, 0, 0);
        let mut view = ViewState::default();
        view.apply(Event::Phase { phase: Phase::Launched { version: version.clone() } });
        assert!(view.finished(), "such a window closes by itself");
        view.apply(Event::Phase { phase: wanted_phase(view.phase.clone()) });
        assert!(!view.finished() && view.at_rest());
        let ready = Phase::Ready { version, running: true };
        assert_eq!(wanted_phase(ready.clone()), ready);
    }

    #[test]
    fn what_cannot_be_put_off_is_never_small_or_silent() {
        let mut mandatory = offer(UpdateStrategy::Patches);
        mandatory.signed.release.mandatory = true;
        let first = Offer { current: None, ..offer(UpdateStrategy::Full) };
        for wanted in
            [Announcement::Window, Announcement::System, Announcement::Dialog, Announcement::Off]
        {
            assert_eq!(announcement(wanted, &mandatory, true), Some(Announcement::Dialog));
            assert_eq!(announcement(wanted, &first, true), Some(Announcement::Dialog));
        }
    }
}
