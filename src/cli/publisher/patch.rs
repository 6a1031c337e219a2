//! `kuzflow patch`, and the packs that `kuzflow publish` makes. The progress report has one entry
//! for each pack.

use std::time::Instant;

use clap::Args;
use serde_json::{Value, json};

use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::place::{PUBLISHER_LOCK_TIMEOUT, RepositoryPlace};
use super::shared::progress::bar;
use super::shared::upload;
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::error_chain;
use crate::host;
use crate::model::{Platform, Version};
use crate::publish::pack_making::{ContainerSource, NewPack, PackMakingError, earlier};
use crate::publish::package::Effort;
use crate::publish::{Keyring, Making, PackMaker, PackageToPublish, Project, PublishError};

/// The arguments of `kuzflow patch`.
#[derive(Debug, Args)]
pub(super) struct PatchArguments {
    #[command(flatten)]
    place: RepositoryPlace,
    /// The installed version.
    #[arg(long, value_name = "VERSION")]
    from: Version,
    /// The version that the pack makes; also an older one.
    #[arg(long, value_name = "VERSION")]
    to: Version,
    /// One platform; all that have both versions if absent.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
}

/// Makes and publishes the packs between two published versions.
pub(super) fn patch(arguments: &PatchArguments, say: &Say) -> Result<Ending, VerbError> {
    let (project, keyring) = arguments.place.open()?;
    let pairs = project.pairs(&arguments.from, &arguments.to, arguments.platform.as_ref())?;
    let known = project.patches()?;
    let is_known = |(from, to): &(ContainerSource, ContainerSource)| {
        known
            .iter()
            .any(|known| known.patch.from == from.container && known.patch.to == to.container)
    };
    // Existing packs need no key. New ones take time, and a missing key is reported before.
    let keyring = keyring.remembering();
    if !pairs.iter().all(is_known) {
        project.check_pack_keys(&keyring)?;
    }
    let mut packs = Packs::new(&project, say);
    for (from, to) in &pairs {
        packs.make(from, to)?;
    }
    let published = packs.publish(&project, &keyring)?;
    let has_all = published || packs.reported.iter().all(|pack| pack["status"] == "known");
    if has_all {
        upload::tell_next(&project, say);
    }
    let status = if published { "done" } else { "nothing_to_do" };
    say.result(json!({ "status": status, "packs": packs.reported }));
    Ok(if has_all { Ending::Done } else { Ending::NothingToDo })
}

/// Makes packs to these packages from the releases before them. It reports a pair that fails and
/// makes the others; the release does not wait for any.
///
/// # Errors
/// If the repository itself cannot be read.
pub(super) fn to_packages<'a>(
    project: &Project,
    packages: impl IntoIterator<Item = &'a PackageToPublish>,
    say: &'a Say,
) -> Result<Packs<'a>, PublishError> {
    let mut packs = Packs::new(project, say);
    let incremental = &project.settings().incremental_update;
    if !incremental.enabled || incremental.latest_releases == 0 {
        return Ok(packs);
    }
    let new: Vec<ContainerSource> =
        packages.into_iter().map(ContainerSource::of).collect::<Result<_, _>>()?;
    // Packages that are not published yet may be steps on the way to each other.
    let mut all = project.sources()?;
    all.extend(new.iter().cloned());
    all.sort_by(|a, b| a.container.cmp(&b.container));
    all.dedup_by(|a, b| a.container == b.container);
    for to in &new {
        for from in earlier(&all, to, incremental.latest_releases) {
            if let Err(error) = packs.make(from, to) {
                packs.tell_failure(from, to, &error);
            }
        }
    }
    Ok(packs)
}

/// The packs that one call of the program makes.
pub(super) struct Packs<'a> {
    maker: PackMaker,
    say: &'a Say,
    made: Vec<NewPack>,
    /// One line of JSON for each pair, as it was printed.
    pub reported: Vec<Value>,
}

impl<'a> Packs<'a> {
    fn new(project: &Project, say: &'a Say) -> Self {
        let maker = PackMaker::new(project, Effort::default().threads);
        Self { maker, say, made: Vec::new(), reported: Vec::new() }
    }

    /// Makes one pack, and reports the outcome.
    fn make(
        &mut self,
        from: &ContainerSource,
        to: &ContainerSource,
    ) -> Result<(), PackMakingError> {
        let started = Instant::now();
        let bar = bar(self.say, format!("{} → {}", from.container.version, to.container));
        let making = self.maker.make(from, to, host::now(), &|bytes| bar.inc(bytes));
        bar.finish_and_clear();
        let names = || format!("{} → {}", from.container.version, to.container);
        let mut event = event(from, to);
        match making? {
            Making::Known(known) => {
                self.say.line(&format!("  {}: there is a pack of {} bytes", names(), known.length));
                event["status"] = "known".into();
                event["bytes"] = known.length.into();
            }
            Making::Refused(reason) => {
                self.say.line(&format!("  {}: no pack: {reason}", names()));
                event["status"] = "refused".into();
                event["reason"] = reason.to_string().into();
            }
            Making::Made(pack) => {
                let share = 100.0 * pack.length as f64 / pack.package.max(1) as f64;
                let restart =
                    if pack.patch.requires_restart { "" } else { ", without a new start" };
                self.say.line(&format!(
                    "  {}: {} bytes, {share:.1} % of the package{restart}",
                    names(),
                    pack.length
                ));
                event["status"] = "made".into();
                event["bytes"] = pack.length.into();
                event["requires_restart"] = pack.patch.requires_restart.into();
                event["hot_swappable"] = pack.patch.hot_swappable.into();
                event["seconds"] = started.elapsed().as_secs_f64().into();
                self.made.push(pack);
            }
        }
        self.tell(event);
        Ok(())
    }

    /// Reports that a pair has no pack because of an error.
    fn tell_failure(
        &mut self,
        from: &ContainerSource,
        to: &ContainerSource,
        error: &PackMakingError,
    ) {
        let mut event = event(from, to);
        let reason = error_chain::line(error);
        error_line(&format!(
            "warning: {} → {}: no pack: {reason}",
            from.container.version, to.container
        ));
        event["status"] = "failed".into();
        event["reason"] = reason.into();
        self.tell(event);
    }

    fn tell(&mut self, event: Value) {
        self.say.event(&event);
        self.reported.push(event);
    }

    /// Publishes the finished packs. Returns whether the repository changed.
    pub(super) fn publish(
        &self,
        project: &Project,
        keyring: &Keyring,
    ) -> Result<bool, PublishError> {
        if self.made.is_empty() {
            Ok(false)
        } else {
            project.publish_packs(&self.made, keyring, PUBLISHER_LOCK_TIMEOUT)
        }
    }
}

fn event(from: &ContainerSource, to: &ContainerSource) -> Value {
    let (old, new) = (&from.container.version, &to.container.version);
    json!({ "event": "pack", "from": old, "to": new, "platform": to.container.platform.to_string(), "package_bytes": to.length })
}
