//! The version menu's side of the engine: what it shows, and the user's switch for the start at
//! login.
//!
//! In: the session. Out: events. Never: changes a version.

use super::installed::{installed, retained};
use crate::messages::mailbox::Emitter;
use crate::messages::problem;
use crate::messages::protocol::Event;
use crate::session::app_session::AppSession;
use crate::update::peer_service;

/// Reports all of it.
pub(super) fn report(session: &AppSession, emitter: &Emitter) {
    let environment = &session.environment;
    if environment.settings.peers.enabled {
        emitter.emit(Event::Sharing { on: peer_service::in_force(environment) });
    }
    report_login_start(session, emitter);
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
