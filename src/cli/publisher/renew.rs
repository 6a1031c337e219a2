//! `kuzflow refresh` and `kuzflow renew` sign the same content again. Here are also the warnings of
//! all verbs about signatures that expire.

use clap::Args;
use serde_json::{Value, json};

use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::place::{PUBLISHER_LOCK_TIMEOUT, RepositoryPlace};
use super::shared::upload;
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::error_chain;
use crate::host;
use crate::publish::deadlines::most_urgent;
use crate::publish::transaction::when_free;
use crate::publish::{
    Deadline, KeyRole, Keyring, Project, PublishError, Renewal, RenewalOptions, Urgency,
};

/// The text below `kuzflow refresh --help`.
pub(super) const REFRESH_HELP: &str = "\
Status 4: signed again, but a signature expires soon (root, targets: within 60 days; the others: within 3 days), has expired, or cannot
be renewed because its key is missing. Only `kuzflow renew` signs root and targets again.

Example: kuzflow refresh --repo my-app";

/// The text below `kuzflow renew --help`.
pub(super) const RENEW_HELP: &str = "\
It needs the keys of root and targets; what they are missing for stays as it is, and is told. Status 4: done, but a signature still
expires soon.

Example: kuzflow renew --repo my-app --keys /media/keys";

/// The arguments of `kuzflow refresh` and `kuzflow renew`.
#[derive(Debug, Args)]
pub(super) struct RefreshArguments {
    #[command(flatten)]
    place: RepositoryPlace,
    /// Let the new documents bear at least this number: after a restore from a backup, when
    /// launchers say that the metadata is older than what they have seen.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    at_least: u64,
}

/// Signs the roles that a timer can sign, and removes old patches.
pub(super) fn refresh(arguments: &RefreshArguments, say: &Say) -> Result<Ending, VerbError> {
    let options = RenewalOptions { at_least: arguments.at_least, ..RenewalOptions::default() };
    let (project, keyring) = arguments.place.open()?;
    let report = sign(&project, &keyring, options, say)?;
    let expired = expire(&project, &keyring).unwrap_or_else(|error| {
        // Clients can work without this, but not without a timestamp.
        error_line(&format!(
            "warning: old patches are not taken out: {}",
            error_chain::line(&error)
        ));
        0
    });
    if expired > 0 {
        say.line(&format!("{expired} old patches are taken out"));
    }
    warn_of_unsigned_settings(&project);
    finish(&project, report, expired, say)
}

/// Warns if launchers do not know yet what kuzflow.toml says to them. The verb's work is done by
/// now, so nothing here makes it fail.
fn warn_of_unsigned_settings(project: &Project) {
    match project.has_unsigned_launcher_settings() {
        Ok(false) => {}
        Ok(true) => error_line(
            "warning: what kuzflow.toml says to launchers ([client], [[nodes]]) has changed, and is signed by the targets key: nodes.json \
             is up to date, and launchers take over the rest after `kuzflow renew --keys DIR` or the next release",
        ),
        Err(error) => error_line(&format!(
            "warning: whether launchers know what kuzflow.toml says is not known: {}",
            error_chain::line(&error)
        )),
    }
}

/// Also signs root and targets again.
pub(super) fn renew(arguments: &RefreshArguments, say: &Say) -> Result<Ending, VerbError> {
    let options = RenewalOptions { root: true, targets: true, at_least: arguments.at_least };
    let (project, keyring) = arguments.place.open()?;
    let report = sign(&project, &keyring, options, say)?;
    finish(&project, report, 0, say)
}

/// Renews the list of releases if it expires soon and its keys are here: `rotate` does so beside a
/// new root.
pub(super) fn renew_targets_if_pressing(
    project: &Project,
    keyring: &Keyring,
    say: &Say,
) -> Result<(), VerbError> {
    let now = host::now();
    let is_pressing =
        |deadline: &Deadline| deadline.role == KeyRole::Targets && deadline.is_pressing();
    if project.deadlines(now)?.iter().any(is_pressing) {
        let options = RenewalOptions { targets: true, ..RenewalOptions::default() };
        match sign(project, keyring, options, say) {
            Ok(_) => {}
            Err(error) => error_line(&format!(
                "warning: the list of releases is not signed again: {}",
                error_chain::line(error.as_ref())
            )),
        }
    }
    Ok(())
}

/// Which roles were signed and which were not, for scripts.
struct RenewReport {
    renewed: Vec<Value>,
    left: Vec<Value>,
}

fn sign(
    project: &Project,
    keyring: &Keyring,
    options: RenewalOptions,
    say: &Say,
) -> Result<RenewReport, VerbError> {
    let Renewal { transaction, renewed, left } =
        when_free(PUBLISHER_LOCK_TIMEOUT, || project.renew(options, keyring, host::now()))?;
    transaction.run()?;
    let expiries = project.expiries()?;
    let mut report = RenewReport { renewed: Vec::new(), left: Vec::new() };
    for (role, expires) in expiries.iter().filter(|(role, _)| renewed.contains(role)) {
        say.line(&format!("{role}: signed again, until {expires}"));
        report.renewed.push(json!({ "role": role.to_string(), "expires": expires }));
    }
    for (role, error) in &left {
        let cause = error_chain::line(error);
        error_line(&format!("warning: {role}: not signed again: {cause}"));
        report.left.push(json!({ "role": role.to_string(), "reason": cause }));
    }
    Ok(report)
}

fn finish(
    project: &Project,
    report: RenewReport,
    expired_patches: usize,
    say: &Say,
) -> Result<Ending, VerbError> {
    upload::tell_next(project, say);
    let deadlines = project.deadlines(host::now())?;
    let expiring = warn(&deadlines);
    let ending = if report.left.is_empty() { expiring } else { Ending::Expiring };
    say.result(json!({
        "status": "done",
        "expired_patches": expired_patches,
        "renewed": report.renewed,
        "not_renewed": report.left,
        "deadlines": deadlines,
    }));
    Ok(ending)
}

/// Warns on standard error of each signature that expires soon or has expired.
pub(super) fn warn(deadlines: &[Deadline]) -> Ending {
    let pressing: Vec<&Deadline> =
        deadlines.iter().filter(|deadline| deadline.is_pressing()).collect();
    for deadline in &pressing {
        error_line(&format!("warning: {deadline}"));
    }
    if pressing.is_empty() { Ending::Done } else { Ending::Expiring }
}

/// The same, and what launchers do not know yet, after another verb has done its work. Only an expired signature changes that verb's
/// ending.
pub(super) fn warn_after(project: &Project, ending: Ending) -> Ending {
    warn_of_unsigned_settings(project);
    let Ok(deadlines) = project.deadlines(host::now()) else { return ending };
    warn(&deadlines);
    let has_expired = most_urgent(&deadlines) == Urgency::Past;
    if ending == Ending::Done && has_expired { Ending::Expiring } else { ending }
}

/// Removes old packs. Returns how many.
fn expire(project: &Project, keyring: &Keyring) -> Result<usize, PublishError> {
    let before = project.patches()?.len();
    if before == 0 {
        return Ok(0);
    }
    let days = project.settings().incremental_update.patch_retention_days;
    when_free(PUBLISHER_LOCK_TIMEOUT, || project.expire_patches(days, keyring, host::now()))?
        .run()?;
    Ok(before - project.patches()?.len())
}
