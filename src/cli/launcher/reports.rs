//! `reports`: the user's switch for reports to the publisher, and what would be sent next.

use serde_json::json;

use crate::app::Ending;
use crate::app::output::Output;
use crate::environment::Environment;
use crate::model::node::redacted;
use crate::reports::{is_on, turn, waiting};
use crate::store::StoreError;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum What {
    /// Report, if the app's publisher wants it.
    On,
    /// Do not report, and delete what waits.
    Off,
    /// Print what would be sent next, and where to.
    Show,
}

/// Performs the verb.
pub(super) fn reports(
    environment: &Environment,
    what: What,
    output: &Output,
) -> Result<Ending, StoreError> {
    if what != What::Show {
        turn(&environment.home, what == What::On)?;
    }
    let settings = &environment.settings;
    let address = settings.reports.address(settings.api.as_ref()).map(|url| redacted(&url));
    let on = is_on(environment);
    output.say(&output.texts.get(match on {
        true => "reports-switched-on",
        false if address.is_none() => "reports-off-by-publisher",
        false => "reports-switched-off",
    }));
    let reports = if on { waiting(&environment.home) } else { Vec::new() };
    if let Some(address) = address.as_ref().filter(|_| on && what == What::Show) {
        let text = if reports.is_empty() { "reports-none-waiting" } else { "reports-waiting" };
        output.say(&output.texts.with(text, &[("address", address.as_str())]));
        for report in &reports {
            output.say(&serde_json::to_string_pretty(report).unwrap_or_default());
        }
    }
    // The user's word counts once the publisher wants reports; until then nothing is switched on.
    let (status, ending) = if what == What::On && !on {
        ("nothing_to_do", Ending::NothingToDo)
    } else {
        ("done", Ending::Done)
    };
    let shown = (what == What::Show).then_some(&reports);
    output
        .result(json!({ "status": status, "reporting": on, "address": address, "reports": shown }));
    Ok(ending)
}
