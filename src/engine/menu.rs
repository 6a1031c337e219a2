//! The version menu's side of the engine: what it shows, and the user's switches for the start at
//! login and for old shortcuts.
//!
//! In: the session. Out: events. Never: changes a version.

use super::installed::{installed, retained};
use crate::messages::mailbox::Emitter;
use crate::messages::problem;
use crate::messages::protocol::{Event, ShortcutChoice};
use crate::reports;
use crate::session::app_session::AppSession;
use crate::update::peer_service;

/// Reports all of it.
pub(super) fn report(session: &AppSession, emitter: &Emitter) {
    let environment = &session.environment;
    if environment.settings.peers.enabled {
        emitter.emit(Event::Sharing { on: peer_service::in_force(environment) });
    }
    if environment.settings.reports.is_on() {
        emitter.emit(Event::Reporting { on: reports::is_on(environment) });
    }
    if !environment.settings.channels.is_empty() {
        let channels = environment.settings.channels.clone();
        emitter.emit(Event::Channels { channel: environment.channel(), channels });
    }
    report_login_start(session, emitter);
    report_old_shortcuts(session, emitter);
    match installed(environment) {
        Ok(versions) => {
            emitter.emit(Event::Installed { versions, retained: retained(environment) });
        }
        Err(error) => emitter.emit(Event::Notice { problem: problem::of_store(&error) }),
    }
}

/// Makes the system start the app at login, or no longer.
pub(super) fn start_at_login(session: &AppSession, emitter: &Emitter, on: bool) {
    let turned = session.login_switch.as_ref().map(|switch| switch.turn(on));
    if let Some(Err(problem)) = turned {
        emitter.emit(Event::Notice { problem });
    }
}

/// Lets old shortcuts give way, leaves them, or puts them back.
pub(super) fn choose(session: &AppSession, emitter: &Emitter, choice: ShortcutChoice) {
    let done = session.old_shortcuts.as_ref().map(|switch| switch.choose(choice));
    if let Some(Err(problem)) = done {
        emitter.emit(Event::Notice { problem });
    }
}

/// Turns reports to the publisher on or off.
pub(super) fn turn_reports(session: &AppSession, emitter: &Emitter, on: bool) {
    if let Err(error) = reports::turn(session.home(), on) {
        emitter.emit(Event::Notice { problem: problem::of_store(&error) });
    }
}

/// Follows another channel.
pub(super) fn choose_channel(session: &AppSession, emitter: &Emitter, channel: &str) {
    match session.environment.choose_channel(channel) {
        Ok(true) => {}
        Ok(false) => tracing::warn!(channel, "the publisher does not offer this channel"),
        Err(error) => emitter.emit(Event::Notice { problem: problem::of_store(&error) }),
    }
}

/// A state that cannot be read is not shown: nothing that a person wants depends on it now.
fn report_login_start(session: &AppSession, emitter: &Emitter) {
    match session.login_switch.as_ref().map(|switch| switch.state()) {
        Some(Ok(state)) => emitter.emit(Event::LoginStart { state }),
        Some(Err(problem)) => {
            tracing::warn!(?problem, "it is unknown whether the app starts at login");
        }
        None => {}
    }
}

/// Likewise.
fn report_old_shortcuts(session: &AppSession, emitter: &Emitter) {
    match session.old_shortcuts.as_ref().map(|switch| switch.state()) {
        Some(Ok(state)) => emitter.emit(Event::OldShortcuts(state)),
        Some(Err(problem)) => tracing::warn!(?problem, "it is unknown which old shortcuts remain"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::engine::driver;
    use crate::environment::Environment;
    use crate::messages::language::Setup;
    use crate::messages::login_switch::LoginSwitch;
    use crate::messages::mailbox::Handle;
    use crate::messages::protocol::{Command, LoginStart, Problem, ProblemKind};
    use crate::session::channel::ChannelHandle;
    use crate::settings::Settings;
    use crate::store::Home;

    const SETTINGS: &str = "app = 'sample'\n[[nodes]]\nid = 'one'\nurl = 'http://127.0.0.1:9/'\n";

    /// A system that starts what it is asked to, and refuses to stop that.
    #[derive(Default)]
    struct Stubborn(AtomicBool);

    impl LoginSwitch for Stubborn {
        fn state(&self) -> Result<LoginStart, Problem> {
            let on = self.0.load(Ordering::Relaxed);
            Ok(if on { LoginStart::On } else { LoginStart::Off })
        }

        fn turn(&self, on: bool) -> Result<(), Problem> {
            let refusal = Problem::new(ProblemKind::DiskError, "autostart", &std::fmt::Error);
            if on {
                self.0.store(true, Ordering::Relaxed)
            } else {
                return Err(refusal);
            }
            Ok(())
        }
    }

    /// The events up to the next list of versions, which are about the switch.
    fn answers(handle: &Handle) -> Vec<Event> {
        let mut found = Vec::new();
        loop {
            for event in handle.wait(Duration::from_secs(60)) {
                match event {
                    Event::Installed { .. } => return found,
                    Event::LoginStart { .. } | Event::Notice { .. } => found.push(event),
                    _ => {}
                }
            }
            assert!(!handle.closed(), "the engine has ended");
        }
    }

    #[test]
    fn the_engine_turns_the_switch_and_shows_how_it_stands_then() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment {
            home: Home::new(folder.path()),
            settings: Settings::parse(SETTINGS, Path::new("launcher.toml")).unwrap(),
            shipped_root: Vec::new(),
            included_bundle: None,
            arguments: Vec::new(),
            language: "en".to_owned(),
        };
        let session = AppSession::new(Arc::new(environment), ChannelHandle::new(Vec::new()))
            .with_login_switch(Some(Arc::new(Stubborn::default())));
        let (handle, engine) = driver::spawn(session, Setup::default()).unwrap();
        assert_eq!(answers(&handle), [Event::LoginStart { state: LoginStart::Off }]);
        handle.send(Command::StartAtLogin(true));
        assert_eq!(answers(&handle), [Event::LoginStart { state: LoginStart::On }]);
        // A refusal is shown, and so is that nothing has changed.
        handle.send(Command::StartAtLogin(false));
        let refused = answers(&handle);
        assert!(matches!(&refused[0], Event::Notice { problem } if problem.subject == "autostart"));
        assert_eq!(refused[1..], [Event::LoginStart { state: LoginStart::On }]);
        driver::quit(&handle, engine);
    }
}
