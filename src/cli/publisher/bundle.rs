//! `kuzflow bundle`: a release in one file, for computers without a network.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::shared::output::Say;
use super::shared::place::PUBLISHER_LOCK_TIMEOUT;
use super::shared::project;
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::host;
use crate::model::release::BUNDLE_EXTENSION;
use crate::model::{Platform, Version};
use crate::publish::Project;
use crate::publish::bundle::BundleRequest;
use crate::publish::transaction::when_free;

/// Arguments of `kuzflow bundle`.
#[derive(Debug, Args)]
pub(super) struct BundleArguments {
    /// The publisher's folder (the one that `init` made), or the repository in it; the one in or
    /// around the current folder if absent. No key is needed.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Which release.
    #[arg(long, value_name = "VERSION")]
    version: Version,
    /// For this platform only; may be given several times. All that the release was published for
    /// if absent.
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<Platform>,
    /// Refuse a release of another channel.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// The bundle; its name should end in .kuzflow-bundle, by which systems know what opens it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Makes the bundle.
pub(super) fn bundle(
    arguments: BundleArguments,
    say: &Say,
) -> Result<Ending, Box<dyn std::error::Error>> {
    let project = Project::open(&project::folder(arguments.repo.as_deref())?)?;
    let BundleArguments { version, platforms, channel, out, .. } = arguments;
    let request = BundleRequest { version, platforms, channel };
    let made = when_free(PUBLISHER_LOCK_TIMEOUT, || project.bundle(&request, &out))?;
    if out.extension().is_none_or(|extension| extension != BUNDLE_EXTENSION) {
        error_line(&format!(
            "warning: a name that ends in .{BUNDLE_EXTENSION} is opened by the launcher"
        ));
    }
    let now = host::now();
    if made.fresh_until <= now {
        error_line("warning: its metadata has expired; run kuzflow refresh and make it again");
    }
    for container in &made.containers {
        say.line(&container.to_string());
    }
    say.line(&format!(
        "{}: {} bytes, installs without a question until {}",
        out.display(),
        made.length,
        made.fresh_until
    ));
    say.result(json!({
        "status": "done", "file": out, "length": made.length, "containers": made.containers, "fresh_until": made.fresh_until,
    }));
    Ok(Ending::Done)
}
