//! `kuzflow publish-launcher`: signs a newer launcher for installed ones.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::shared::output::Say;
use super::shared::place::{PUBLISHER_LOCK_TIMEOUT, RepositoryPlace};
use super::shared::upload;
use crate::app::Ending;
use crate::host;
use crate::model::{Platform, Version};
use crate::publish::launcher::LauncherToPublish;
use crate::publish::transaction::when_free;

/// The arguments of `kuzflow publish-launcher`.
#[derive(Debug, Args)]
pub(super) struct PublishLauncherArguments {
    /// The launcher's executable, as users run it.
    file: PathBuf,
    #[command(flatten)]
    place: RepositoryPlace,
    /// What it runs on; this machine's if absent.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Its version; only for a file that does not say it itself.
    #[arg(long, value_name = "VERSION")]
    launcher_version: Option<Version>,
    /// How hard it is packed, 1 to 19.
    #[arg(long, value_name = "N", default_value_t = 19, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
}

/// Signs an executable, so that installed launchers replace themselves with it.
pub(super) fn publish(
    arguments: PublishLauncherArguments,
    say: &Say,
) -> Result<Ending, Box<dyn std::error::Error>> {
    let PublishLauncherArguments { file, place, platform, launcher_version, level } = arguments;
    let (project, keyring) = place.open()?;
    if !file.is_file() {
        return Err(format!("there is no launcher {}", file.display()).into());
    }
    let platform = platform.unwrap_or_else(Platform::current);
    let launcher = LauncherToPublish { path: file, platform, version: launcher_version, level };
    let (transaction, description) = when_free(PUBLISHER_LOCK_TIMEOUT, || {
        project.publish_launcher(&launcher, &keyring, host::now())
    })?;
    let changes = !transaction.is_empty();
    transaction.run()?;
    let (version, platform) = (&description.version, &description.platform);
    let what = if changes { "published" } else { "published already; nothing is changed" };
    say.line(&format!(
        "launcher {version} for {platform} ({} bytes): {what}",
        description.pieces.length
    ));
    upload::tell_next(&project, say);
    let status = if changes { "done" } else { "nothing_to_do" };
    say.result(json!({ "status": status, "version": version, "platform": platform, "length": description.pieces.length }));
    Ok(super::renew::warn_after(&project, Ending::Done))
}
