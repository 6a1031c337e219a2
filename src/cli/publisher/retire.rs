//! `kuzflow retire`: removes releases from the repository.

use clap::Args;
use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::place::{PUBLISHER_LOCK_TIMEOUT, RepositoryPlace};
use super::shared::project::typed;
use crate::app::Ending;
use crate::host;
use crate::model::{Platform, Version};
use crate::publish::transaction::when_free;
use crate::publish::{Retired, Retirement, Selection};

/// The text below `kuzflow retire --help`.
pub(super) const HELP: &str = "\
Packages, packs and the history of a repository grow with each release; this takes old ones out. Installations of a retired version go
on: they start, go back, verify, and update as before. Nobody can install it anew. It keeps by itself what somebody is offered: the newest
release of each channel, what is being rolled out, and steps on the way to a release with a minimum version. To stop a bad release use
`kuzflow rollout --halt`: that works from the upload on, and can be taken back.

Example: kuzflow retire --repo my-app --keep 20 --older-than 180
         kuzflow retire --repo my-app 1.0.0 1.0.1";

/// The arguments of `kuzflow retire`.
#[derive(Debug, Args)]
pub(super) struct RetireArguments {
    /// Which releases, on all their platforms.
    #[arg(value_name = "VERSION", required_unless_present_any = ["keep", "older_than"])]
    versions: Vec<Version>,
    /// All but the newest N of each channel and platform; with --older-than those of them that are
    /// old.
    #[arg(long, value_name = "N", conflicts_with = "versions")]
    keep: Option<usize>,
    /// All that were published so many days ago; with --keep all of them but the newest N.
    #[arg(long, value_name = "DAYS", conflicts_with = "versions")]
    older_than: Option<u32>,
    /// Of this platform only.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<Platform>,
    /// Of this channel only.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Leave their packages and notes in `targets`; the next call without this deletes them.
    #[arg(long)]
    keep_files: bool,
    /// Tell what would be taken out, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: RepositoryPlace,
}

impl RetireArguments {
    /// Whether the report is all that the verb makes.
    pub(super) const fn only_reports(&self) -> bool {
        self.dry_run
    }
}

/// Removes releases from the repository.
pub(super) fn retire(arguments: RetireArguments, say: &Say) -> Result<Ending, VerbError> {
    let RetireArguments {
        versions,
        keep,
        older_than,
        platform,
        channel,
        keep_files,
        dry_run,
        place,
    } = arguments;
    let (project, keyring) = place.open()?;
    let selection = match versions.is_empty() {
        true => Selection::Rule { keep, older_than_days: older_than },
        false => Selection::Versions(versions),
    };
    let retirement = Retirement { selection, platform, channel, keep_files };
    let (transaction, retired) =
        when_free(PUBLISHER_LOCK_TIMEOUT, || project.retire(&retirement, &keyring, host::now()))?;
    let changes = !transaction.is_empty();
    if !dry_run {
        transaction.run()?;
    }
    tell(&retired, dry_run, say);
    if changes && !dry_run {
        // The metadata goes first here: until it is there, it names what is deleted.
        say.next(&format!(
            "copy {} to your web server: metadata first, timestamp.json last of it, and delete what is gone from targets after that",
            typed(&project.repository())
        ));
    }
    let status = match (changes, dry_run) {
        (false, _) => "nothing_to_do",
        (true, true) => "dry_run",
        (true, false) => "done",
    };
    let ids = |releases: &[crate::model::Release]| {
        releases.iter().map(|release| release.container.clone()).collect::<Vec<_>>()
    };
    let needed: Vec<_> = retired
        .needed
        .iter()
        .map(|(container, need)| json!({ "container": container, "reason": need.to_string() }))
        .collect();
    say.result(json!({
        "status": status,
        "retired": ids(&retired.releases),
        "needed": needed,
        "already": retired.already,
        "packs": retired.packs,
        "files": retired.files.0,
        "bytes": retired.files.1,
    }));
    let ending = if changes { Ending::Done } else { Ending::NothingToDo };
    Ok(super::renew::warn_after(&project, ending))
}

fn tell(retired: &Retired, dry_run: bool, say: &Say) {
    let would = if dry_run { "would be " } else { "" };
    for release in &retired.releases {
        say.line(&format!("{}: {would}retired", release.container));
    }
    for (container, need) in &retired.needed {
        say.line(&format!("{container}: stays, since {need}"));
    }
    for version in &retired.already {
        say.line(&format!("{version}: retired already"));
    }
    let (files, bytes) = retired.files;
    if retired.packs > 0 {
        say.line(&format!("patch packs that led there: {} {would}taken out", retired.packs));
    }
    if files > 0 {
        say.line(&format!("files in targets: {files} {would}deleted, {bytes} bytes"));
    }
    if retired.releases.is_empty() {
        say.line("no release to take out");
    } else {
        say.line("installations of these versions go on and update as before; nobody can install them anew");
    }
}
