//! `kuzflow publish`: adds built containers to the repository, all in one step for clients, then
//! packs from the releases before them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::publish_build::BuiltElsewhere;
use super::rollout::permille;
use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::place::{PUBLISHER_LOCK_TIMEOUT, RepositoryPlace};
use super::shared::{offered, project, upload};
use super::{patch, renew};
use crate::app::Ending;
use crate::app::streams::error_line;
use crate::error_chain;
use crate::host;
use crate::model::rollout_plan::RolloutPlan;
use crate::model::system::SystemVersions;
use crate::model::{Manifest, Release, Version};
use crate::publish::package::{Effort, inspect, release_of};
use crate::publish::transaction::when_free;
use crate::publish::{Keyring, PackageToPublish, Project, PublishError, Terms, Transaction};

/// How packages are published.
#[derive(Debug, Args)]
pub(super) struct PublishArguments {
    #[command(flatten)]
    place: RepositoryPlace,
    /// The channel; that of this version's other platforms, or the publisher's usual one, if
    /// absent.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Share of installations that may see it, in percent; that of this version's other platforms,
    /// or 100, if absent.
    #[arg(long, value_name = "PERCENT")]
    rollout: Option<f64>,
    /// Release notes in Markdown: FILE for every language, or TAG=FILE for one (zh-CN, en); what
    /// [app] in kuzflow.toml says if absent.
    #[arg(long, value_name = "[TAG=]FILE")]
    notes: Vec<String>,
    /// It is looked for before each start once it is known, and cannot be skipped.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    mandatory: Option<bool>,
    /// The oldest installed version that may move here directly.
    #[arg(long, value_name = "VERSION")]
    minimum_version: Option<Version>,
    /// The oldest launcher that can install it; older ones update themselves first, if a newer one
    /// is published.
    #[arg(long, value_name = "VERSION")]
    minimum_launcher: Option<Version>,
    /// How it reaches more installations step by step, as this TOML file says.
    #[arg(long, value_name = "FILE", conflicts_with = "rollout")]
    plan: Option<PathBuf>,
    /// Older installations pass through it before they are offered a newer release.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    watershed: Option<bool>,
    /// The oldest systems that it runs on (windows, macos, glibc, kernel); what [system] in
    /// kuzflow.toml says if absent. `none`: any.
    #[arg(long, value_name = "NAME=VERSION", value_delimiter = ',')]
    system: Vec<String>,
    /// Change what is published already: notes, channel, share or plan, mandatory, watershed, systems
    /// and minimums, as far as they are given here. Without this, publishing again changes nothing.
    #[arg(long)]
    again: bool,
    /// Make no patch packs; `kuzflow patch` can make them later.
    #[arg(long)]
    no_patches: bool,
}

/// Publishes built containers.
pub(super) fn publish(
    mut files: Vec<PathBuf>,
    built: &BuiltElsewhere,
    arguments: PublishArguments,
    say: &Say,
) -> Result<Ending, VerbError> {
    let (project, _) = arguments.open()?;
    if let Some(missing) = files.iter().find(|file| !file.is_file()) {
        return Err(format!("there is no package {}", missing.display()).into());
    }
    files.extend(built.fetch(&project, say)?);
    let mut is_new = arguments.again;
    for file in &files {
        is_new = is_new || !project.is_published(file)?;
    }
    let keyring = arguments.check(&project, [], is_new)?;
    publish_with(&project, keyring, files, arguments, say)
}

impl PublishArguments {
    /// Opens the publisher's folder, with the keys.
    pub(super) fn open(&self) -> Result<(Project, Keyring), VerbError> {
        self.place.open()
    }

    /// Checks all arguments, and the keys if there is something new, before any time goes into
    /// packages. `versions` are those that need notes. Returns a keyring that has asked for all
    /// passwords.
    pub(super) fn check<'a>(
        &self,
        project: &Project,
        versions: impl IntoIterator<Item = &'a Version>,
        is_new: bool,
    ) -> Result<Keyring, VerbError> {
        self.terms()?;
        let typed = self.notes.iter().map(|text| notes_argument(text).1);
        let written =
            versions.into_iter().flat_map(|version| self.notes_of(project, version).into_values());
        if let Some(missing) = typed.chain(written).find(|notes| !notes.is_file()) {
            return Err(no_notes(&missing));
        }
        let keyring = self.place.keyring(project)?.remembering();
        if is_new {
            project.check_clock(host::now())?;
            project.check_keys(&keyring)?;
        }
        Ok(keyring)
    }

    /// The notes of a version: from the arguments, else from kuzflow.toml.
    fn notes_of(&self, project: &Project, version: &Version) -> BTreeMap<String, PathBuf> {
        match self.notes.as_slice() {
            [] => project.settings().recipe.notes_of(version, project.folder()),
            typed => typed.iter().map(|text| notes_argument(text)).collect(),
        }
    }

    /// The terms of the release from the arguments.
    fn terms(&self) -> Result<Terms, VerbError> {
        let plan = self.plan.as_deref();
        let plan = plan.map(|path| RolloutPlan::read_noting(path, host::now())).transpose()?;
        let (plan, has_beginning) = plan.unzip();
        Ok(Terms {
            plan,
            plan_begins_with_others: has_beginning == Some(false),
            watershed: self.watershed,
            system: systems(&self.system)?,
            channel: self.channel.clone(),
            rollout_permille: self.rollout.map(permille).transpose()?,
            mandatory: self.mandatory,
            minimum_version: self.minimum_version.clone(),
            minimum_launcher: self.minimum_launcher.clone(),
            again: self.again,
        })
    }

    /// Whether the command changes published terms.
    pub(super) fn changes_terms(&self) -> bool {
        self.again
    }

    /// `--repo DIR` for the next command, if this command needed it.
    fn repo_option(&self) -> String {
        self.place
            .repo
            .as_ref()
            .map(|repo| format!(" --repo {}", project::typed(repo)))
            .unwrap_or_default()
    }
}

/// The systems that were typed, as `glibc=2.28`; `None` if none were.
fn systems(typed: &[String]) -> Result<Option<SystemVersions>, VerbError> {
    let mut systems = SystemVersions::default();
    if typed.is_empty() || typed == ["none"] {
        return Ok((!typed.is_empty()).then_some(systems));
    }
    for text in typed {
        let (name, version) = text.split_once('=').unwrap_or((text, ""));
        let place = match name.trim() {
            "windows" => &mut systems.windows,
            "macos" => &mut systems.macos,
            "glibc" => &mut systems.glibc,
            "kernel" => &mut systems.kernel,
            _ => {
                let names = "windows, macos, glibc or kernel, as in glibc=2.28, or none";
                return Err(format!("--system {text}: expected {names}").into());
            }
        };
        *place = Some(version.parse()?);
    }
    Ok(Some(systems))
}

fn no_notes(path: &Path) -> VerbError {
    format!(
        "there are no release notes {}; write them, name others with --notes, or take notes out of kuzflow.toml",
        path.display()
    )
    .into()
}

/// Publishes packages. The keys are already checked. The offline keys sign twice, at the beginning
/// and at the end, when no person waits there to type a password again.
pub(super) fn publish_with(
    project: &Project,
    keyring: Keyring,
    files: Vec<PathBuf>,
    arguments: PublishArguments,
    say: &Say,
) -> Result<Ending, VerbError> {
    let terms = arguments.terms()?;
    let now = host::now();
    let packages =
        files.into_iter().map(|path| package_to_publish(project, path, &arguments, now, say));
    let mut packages = packages.collect::<Result<Vec<_>, VerbError>>()?;
    // A retry in CI may have none of the keys: published releases need none.
    let mut is_retry = !terms.again;
    for package in &packages {
        is_retry = is_retry && project.is_published(&package.path)?;
    }
    let wants_packs = !(arguments.no_patches || is_retry && lacks_pack_keys(project, &keyring)?);
    // Packs that are made in advance are published directly after the release. Two roles sign, so
    // there are two steps.
    let before = wants_packs && !project.settings().performance.background_generation;
    project.foresee(&terms, &mut packages)?;
    let mut packs = if before { Some(patch::to_packages(project, &packages, say)?) } else { None };
    let (transaction, offerings) =
        when_free(PUBLISHER_LOCK_TIMEOUT, || project.publish_on(&terms, &packages, &keyring, now))?;
    let changes = !transaction.is_empty();
    transaction.run()?;
    let releases = offered::tell(&offerings, say);
    say.event(&json!({ "event": "published", "changes": changes }));
    if wants_packs && !before {
        packs = Some(patch::to_packages(project, &packages, say)?);
    }
    let added =
        packs.as_ref().map(|packs| packs.publish(project, &keyring)).transpose()?.unwrap_or(false);
    if added {
        tell_patch_sizes(project, &keyring);
    }
    let held_back = offerings
        .iter()
        .map(|offering| &offering.release)
        .find(|release| changes && is_held_back(release));
    tell_next(project, &arguments, held_back, say);
    let status = if changes || added { "done" } else { "nothing_to_do" };
    let reported = packs.map(|packs| packs.reported).unwrap_or_default();
    say.result(json!({ "status": status, "releases": releases, "packs": reported }));
    // Status 0 also if nothing changes: the release is published, and a script needs to know
    // nothing else.
    Ok(renew::warn_after(project, Ending::Done))
}

/// Reads a package that will be published, and its notes.
fn package_to_publish(
    project: &Project,
    path: PathBuf,
    arguments: &PublishArguments,
    now: jiff::Timestamp,
    say: &Say,
) -> Result<PackageToPublish, VerbError> {
    let package = inspect(&path, Effort::default().threads)?;
    project.refuse_signing_keys(&path, &package)?;
    let mut release = release_of(&package, &project.settings().channel, now);
    release.hot_swap = Some(project.settings().incremental_update.hot_swap());
    release.system = project.settings().system.of(&release.container.platform);
    say.line(&format!("{} ({} bytes)", release.container, package.length));
    warn_of_names(project, &package.manifest);
    // `--again` changes what was typed; kuzflow.toml speaks of new releases.
    let keeps_notes =
        arguments.again && arguments.notes.is_empty() && project.is_published(&path)?;
    let notes = match keeps_notes {
        true => BTreeMap::new(),
        false => arguments.notes_of(project, &release.container.version),
    };
    if let Some(missing) = notes.values().find(|notes| !notes.is_file()) {
        return Err(no_notes(missing));
    }
    Ok(PackageToPublish { path, release, manifest: package.manifest, notes })
}

/// Writes the packs' sizes into the version tree. They are for its readers. No client needs them,
/// and the next release brings them, so a failure is only a warning.
fn tell_patch_sizes(project: &Project, keyring: &Keyring) {
    let written =
        when_free(PUBLISHER_LOCK_TIMEOUT, || project.tell_patch_sizes(keyring, host::now()))
            .and_then(Transaction::run);
    if let Err(error) = written {
        error_line(&format!(
            "warning: the version tree lacks the packs' sizes: {}",
            error_chain::line(&error)
        ));
    }
}

/// Whether not every installation gets the release.
fn is_held_back(release: &Release) -> bool {
    release.halted || release.rollout_permille < 1000
}

/// Tells what the publisher can do next; `held_back` is a release that not every installation gets.
fn tell_next(
    project: &Project,
    arguments: &PublishArguments,
    held_back: Option<&Release>,
    say: &Say,
) {
    let place = arguments.repo_option();
    say.next(&format!("kuzflow serve{place}, or {}", upload::copying(project)));
    if let Some(release) = held_back {
        let (step, when) = match release.halted {
            true => ("--resume", "once it may go on"),
            false => ("--percent 100", "once it is well"),
        };
        let version = &release.container.version;
        say.next(&format!("kuzflow rollout{place} --version {version} {step}, {when}"));
    }
}

/// Whether no packs can be signed here; a message reports it. A present key that cannot be used is
/// an error.
fn lacks_pack_keys(project: &Project, keyring: &Keyring) -> Result<bool, VerbError> {
    match project.check_pack_keys(keyring) {
        Ok(()) => Ok(false),
        Err(error @ (PublishError::MissingKeys { .. } | PublishError::NoPatchesRole)) => {
            tracing::info!("no packs are made: {}", error_chain::line(&error));
            Ok(true)
        }
        Err(error) => Err(error.into()),
    }
}

/// Warns if a release has another name than its publisher gave it, since every user would see that
/// name.
fn warn_of_names(project: &Project, manifest: &Manifest) {
    let (own, settings) = (&manifest.application_info, project.settings());
    if own.display_name != settings.display_name {
        error_line(&format!(
            "warning: {} calls the app {:?}, kuzflow.toml calls it {:?}; users will see the first",
            manifest.id(),
            own.display_name,
            settings.display_name
        ));
    }
    if own.icon.is_none() && settings.recipe.icon.is_some() {
        error_line(&format!(
            "warning: {} has no picture, though kuzflow.toml names one; menu entries will show a common one",
            manifest.id()
        ));
    }
}

/// Parses `TAG=FILE`, or `FILE` for every language.
fn notes_argument(text: &str) -> (String, PathBuf) {
    match text.split_once('=') {
        Some((tag, file))
            if !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            (tag.to_owned(), PathBuf::from(file))
        }
        _ => (String::new(), PathBuf::from(text)),
    }
}
