//! `kuzflow-launcher peers`: the user's switch for sharing with peers on the local network, and a
//! launcher that only shares.

use serde_json::json;

use crate::app::Ending;
use crate::app::output::Output;
use crate::environment::Environment;
use crate::store::StoreError;
use crate::update::peer_service::{self, PeerHandle};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum What {
    /// Share with computers nearby, if the app's publisher allows it.
    On,
    /// Do not share.
    Off,
    /// Tell which it is.
    Status,
    /// Offer the installed versions until interrupted: for a computer that is always on.
    Serve,
}

/// Performs the verb.
pub(crate) fn peers(
    environment: &Environment,
    what: What,
    output: &Output,
) -> Result<Ending, StoreError> {
    if matches!(what, What::On | What::Off) {
        environment.home.create()?;
        let mut state = environment.home.state()?;
        state.peers_off = what == What::Off;
        environment.home.set_state(&state)?;
    }
    if what == What::Serve {
        return Ok(serve(environment, output));
    }
    let in_force = peer_service::in_force(environment);
    output.say(&output.texts.get(match in_force {
        true => "peers-switched-on",
        false if !environment.settings.peers.enabled => "peers-off-by-publisher",
        false => "peers-switched-off",
    }));
    let allowed = environment.settings.peers.enabled;
    // The user's word counts once the publisher allows sharing; until then nothing is switched on.
    let (status, ending) = if what == What::On && !in_force {
        ("nothing_to_do", Ending::NothingToDo)
    } else {
        ("done", Ending::Done)
    };
    output.result(json!({ "status": status, "peers": in_force, "allowed_by_publisher": allowed }));
    Ok(ending)
}

fn serve(environment: &Environment, output: &Output) -> Ending {
    let Some(peer_network) = PeerHandle::default().open(environment) else {
        let text = if peer_service::in_force(environment) {
            "peers-not-serving"
        } else {
            "peers-switched-off"
        };
        output.say(&output.texts.get(text));
        output.result(json!({ "status": "failed", "peers": peer_service::in_force(environment) }));
        return Ending::Failed;
    };
    output.say(&output.texts.with("peers-serving", &[("port", &peer_network.port().to_string())]));
    output.event(&json!({ "event": "serving", "port": peer_network.port() }));
    loop {
        std::thread::park();
    }
}
