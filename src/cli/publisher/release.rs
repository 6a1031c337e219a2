//! `kuzflow release`: takes a version from the app's folder to the repository in one call. It
//! checks, builds, tries and publishes.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::build;
use super::publish::{self, PublishArguments};
use super::shared::VerbError;
use super::shared::output::Say;
use super::try_start::{self, TrialOptions};
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::model::{ContainerId, Platform, Version};
use crate::publish::Project;
use crate::publish::bundling::{BuildRequest, check};

/// The text below `kuzflow release --help`.
pub(super) const HELP: &str = "\
What is built stands in [app] of kuzflow.toml. All that can be wrong with it, with the notes and with the keys is looked at first; then it is
built for this computer's platform, started once, and published. What is published already is not built again: an interrupted release is
taken up by the same call. A container for another platform (--platform) cannot be started here and is published without that; its
Python stands in [runtimes] of kuzflow.toml.

Example: kuzflow release 1.2.0 --rollout 10
         kuzflow release 1.2.0 --platform Windows_AMD64 --platform Darwin_arm64 --platform Linux_x86_64";

/// The name of the folder for built packages, in the publisher's folder.
const PACKAGES: &str = "packages";

/// The arguments of `kuzflow release`.
#[derive(Debug, Args)]
pub(super) struct ReleaseArguments {
    /// Which release: 1.2.0, or 2.0.0-rc.1.
    version: Version,
    /// What it is for; this machine's platform if absent. May be given several times: one version,
    /// a container for each. Others need a runtime in [runtimes].
    #[arg(long, value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Do not start it before it is published.
    #[arg(long)]
    no_trial: bool,
    /// How hard to compress, 1 (fast) to 22 (small); what [app] says if absent.
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=22))]
    level: Option<i32>,
    #[command(flatten)]
    trial: TrialOptions,
    #[command(flatten)]
    publish: PublishArguments,
}

/// Makes and publishes a release.
pub(super) fn release(arguments: ReleaseArguments, say: &Say) -> Result<Ending, VerbError> {
    let (project, _) = arguments.publish.open()?;
    let mut platforms = arguments.platform;
    if platforms.is_empty() {
        platforms.push(Platform::current());
    }
    platforms.sort();
    platforms.dedup();
    // These checks take no time; the following steps do.
    let mut requests: Vec<BuildRequest> = Vec::new();
    for platform in platforms {
        let mut request = build::request_of(&project, arguments.version.clone(), platform, None)?;
        request.effort.level = arguments.level.unwrap_or(request.effort.level);
        check(&request)?;
        requests.push(request);
    }
    let published = project.releases()?;
    let is_published = |id: &ContainerId| published.iter().any(|release| release.container == *id);
    let is_new = arguments.publish.changes_terms()
        || !requests.iter().all(|request| is_published(&id_of(request)));
    let keyring = arguments.publish.check(&project, [&arguments.version], is_new)?;
    let packages = project.folder().join(PACKAGES);
    std::fs::create_dir_all(&packages)
        .map_err(|error| format!("cannot create {}: {error}", packages.display()))?;
    let trial = (!arguments.no_trial).then_some(&arguments.trial);
    let mut files: Vec<PathBuf> = Vec::new();
    for request in &requests {
        let path = packages.join(format!("{}.kuzflow", id_of(request)));
        let is_ready = if is_published(&id_of(request)) {
            build_again(&project, request, &path, say)?;
            true
        } else {
            build::run(request, &path, say)?;
            starts(request, &path, trial, say)?
        };
        if !is_ready {
            return Ok(Ending::Failed);
        }
        files.push(path);
    }
    publish::publish_with(&project, keyring, files, arguments.publish, say)
}

/// Brings the package of a published release back to `path`, if it is not there. A second build of
/// the same app has the same bytes. So a publisher who lost the package can still see that nothing
/// is new.
fn build_again(
    project: &Project,
    request: &BuildRequest,
    path: &Path,
    say: &Say,
) -> Result<(), VerbError> {
    let id = id_of(request);
    if path.is_file() {
        say.line(&format!("{id} is published already; it is not built again"));
        return Ok(());
    }
    build::run(request, path, say)?;
    if project.is_published(path)? {
        return Ok(());
    }
    let _ = std::fs::remove_file(path);
    Err(format!("{id} is published already, with other bytes; a changed app needs a new version")
        .into())
}

/// Whether a new package may be published, as far as a trial start shows.
fn starts(
    request: &BuildRequest,
    path: &Path,
    trial: Option<&TrialOptions>,
    say: &Say,
) -> Result<bool, VerbError> {
    let (id, Some(options)) = (id_of(request), trial) else { return Ok(true) };
    let options = options.for_program(request.console);
    match try_start::of_package(path, &options, say)? {
        Some(true) => {}
        Some(false) => {
            error_line(&format!(
                "{id} is not published, since it does not start here. Mend it and call the same again; or publish it all the same with --no-trial"
            ));
            say.result(json!({ "status": "failed", "container": id, "path": path, "reason": "the trial start failed" }));
            return Ok(false);
        }
        None => error_line(&format!(
            "warning: {id} was not tried: it is not for this computer; run kuzflow try {} on one of that platform",
            path.display()
        )),
    }
    Ok(true)
}

fn id_of(request: &BuildRequest) -> ContainerId {
    ContainerId {
        app: request.name.clone(),
        version: request.version.clone(),
        platform: request.platform.clone(),
    }
}
