//! `kuzflow list`: shows the published releases, and how long their signatures last.

use std::collections::BTreeMap;

use serde_json::json;

use super::shared::VerbError;
use super::shared::offered::word_of;
use super::shared::output::Say;
use super::shared::place::RepositoryPlace;
use crate::app::Ending;
use crate::host;
use crate::publish::Urgency;

/// Reports releases, launchers, packs, and how long signatures last.
pub(super) fn list(place: &RepositoryPlace, say: &Say) -> Result<Ending, VerbError> {
    let (project, _) = place.open()?;
    let releases = project.releases()?;
    let rollouts = project.planned_rollouts()?;
    for release in &releases {
        let share = f64::from(release.rollout_permille) / 10.0;
        let state = match (&release.recalled, release.halted, word_of(&rollouts, release)) {
            (Some(recall), ..) => format!("recalled to {}", recall.to),
            (None, true, _) => "halted".to_owned(),
            (None, false, Some(word)) if word.recalled => "recalled by a server".to_owned(),
            (None, false, Some(word)) if word.halted => "halted by a server".to_owned(),
            (None, false, Some(word)) => format!("stage {}", word.stage + 1),
            (None, false, None) => format!("{share} %"),
        };
        say.line(&format!(
            "{:<44} {:<8} {state:>8}  {}",
            release.container.to_string(),
            release.channel,
            release.published
        ));
    }
    let retired = project.retired()?;
    for container in &retired {
        say.line(&format!("{:<44} retired", container.to_string()));
    }
    let launchers = project.launchers()?;
    for launcher in &launchers {
        let name = format!("launcher {} for {}", launcher.version, launcher.platform);
        say.line(&format!("{name:<44} {:>10} bytes", launcher.pieces.length));
    }
    let patches = project.patches()?;
    for signed in &patches {
        let (from, restart) = (
            &signed.patch.from.version,
            if signed.patch.requires_restart { "restart" } else { "hot" },
        );
        let name = format!("{} from {from}", signed.patch.to);
        say.line(&format!(
            "{name:<44} {:>10} bytes  {restart:<8} {}",
            signed.length, signed.patch.created
        ));
    }
    let expiries =
        project.expiries()?.into_iter().map(|(role, time)| (role.to_string(), time.to_string()));
    let expiries: BTreeMap<String, String> = expiries.collect();
    let deadlines = project.deadlines(host::now())?;
    for deadline in &deadlines {
        let remark = match deadline.state {
            Urgency::Fine | Urgency::Unknown => "",
            Urgency::Soon => "  SOON",
            Urgency::Past => "  EXPIRED",
        };
        let expires =
            deadline.expires.map_or_else(|| "at an unknown time".to_owned(), |at| at.to_string());
        say.line(&format!("{} expires {expires}{remark}", deadline.role));
    }
    // Signed metadata leaves usual values out. A reader of this output should not need to know
    // them, so it has all of them.
    let releases: Vec<_> = releases
        .iter()
        .map(|release| {
            let mut line = json!(release);
            line["mandatory"] = release.mandatory.into();
            line["halted"] = release.halted.into();
            line["rollout_permille"] = release.rollout_permille.into();
            line["watershed"] = release.watershed.into();
            line["notes"] = json!(release.notes);
            line["word"] = json!(word_of(&rollouts, release));
            line
        })
        .collect();
    say.result(
        json!({ "status": "done", "releases": releases, "retired": retired, "launchers": launchers, "patches": patches, "expires": expiries, "deadlines": deadlines }),
    );
    Ok(super::renew::warn(&deadlines))
}
