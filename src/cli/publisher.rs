//! The verbs of `kuzflow`, the publisher's and operator's tool.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use serde_json::json;

use super::build::{self, BuildArguments};
use super::bundle::BundleArguments;
use super::output::Say;
use super::patches::PUBLISHER_LOCK_TIMEOUT;
use super::streams::error_line;
use super::{Ending, log, patches, serve};
use crate::error_chain;
use crate::host;
use crate::model::{Manifest, Version};
use crate::publish::package::{Effort, inspect, release_of};
use crate::publish::transaction::when_free;
use crate::publish::{Keyring, PackageToPublish, Project, PublishError, RolloutChange, Terms, Transaction};

/// Builds, signs, publishes and serves releases of an app.
#[derive(Debug, Parser)]
#[command(name = "kuzflow", version, after_help = "Example: kuzflow publish app_1.2.0_Linux_x86_64.kuzflow --repo my-app")]
pub struct Arguments {
    /// Print one JSON object a line: events, then {"result": …}.
    #[arg(long, global = true, help_heading = super::GLOBAL_OPTIONS)]
    json: bool,
    /// Tell on standard error what is done.
    #[arg(long, short, global = true, help_heading = super::GLOBAL_OPTIONS)]
    verbose: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a publisher's folder: settings, keys, an empty signed repository, and what to ship with the launcher.
    #[command(after_help = super::init::HELP)]
    Init(super::init::InitArguments),
    /// Build a container from an app's folder and a Python runtime.
    #[command(
        after_help = "Example: kuzflow build --app src --app-version 1.2.0 --requirements requirements.txt --out my-app.kuzflow"
    )]
    Build(Box<BuildArguments>),
    /// Build, try and publish a version in one call, as [app] in kuzflow.toml says.
    #[command(after_help = super::release::HELP)]
    Release(Box<super::release::ReleaseArguments>),
    /// Start a container once, to see what its first user would see.
    #[command(after_help = super::try_start::HELP)]
    Try(super::try_start::TryArguments),
    /// Add built containers to the repository, all in one step for clients, then patch packs from the releases before them.
    #[command(
        after_help = "Example: kuzflow publish my-app.kuzflow --repo my-app --rollout 10 --notes notes.md --notes zh-CN=说明.md"
    )]
    Publish {
        /// Built containers; those of one version for several platforms belong in one call.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        arguments: PublishArguments,
    },
    /// Change how many installations may see a release, or stop it.
    #[command(after_help = "Example: kuzflow rollout --repo my-app --version 1.2.0 --percent 50")]
    Rollout(RolloutArguments),
    /// Make the patch packs from one published version to another, also to an older one. `publish` makes the usual ones by itself.
    #[command(after_help = "Example: kuzflow patch --repo my-app --from 1.1.0 --to 1.3.0 --platform Windows_AMD64")]
    Patch(patches::PatchArguments),
    /// Sign a newer launcher: installed ones exchange themselves for it.
    #[command(after_help = "Example: kuzflow publish-launcher target/ship/kuzflow-launcher --repo my-app")]
    PublishLauncher(super::publish_launcher::PublishLauncherArguments),
    /// Sign snapshot, timestamp and the list of patches again, and take old patches out; run it by a timer, more often than the
    /// timestamp lasts.
    #[command(after_help = super::renew::REFRESH_HELP)]
    Refresh(super::renew::RefreshArguments),
    /// Sign the root and the list of releases again, with the same keys: once a year, before they expire. Nothing else changes.
    #[command(after_help = super::renew::RENEW_HELP)]
    Renew(super::renew::RefreshArguments),
    /// Make a new root with new keys for some roles, for example after one was lost or seen by others.
    #[command(after_help = super::rotate::HELP)]
    Rotate(super::rotate::RotateArguments),
    /// Tell what is published and how long its signatures last.
    #[command(after_help = "Status 4: a signature expires soon, or has expired.\n\nExample: kuzflow list --repo my-app --json")]
    List {
        #[command(flatten)]
        place: RepositoryPlace,
    },
    /// Take old releases out of the repository, so that its metadata stays small. Their installations go on.
    #[command(after_help = super::retire::HELP)]
    Retire(super::retire::RetireArguments),
    /// Check a built container: its zip, its manifest and every hash.
    #[command(after_help = "Example: kuzflow inspect my-app.kuzflow")]
    Inspect {
        /// The container.
        file: PathBuf,
    },
    /// Compare two releases: what changed, how it would be patched, and what a client would fetch.
    #[command(
        after_help = "Example: kuzflow diff my-app-1.2.0.kuzflow my-app-1.3.0.kuzflow --out 1.2-to-1.3.kuzpatch\n         kuzflow diff 1.2.0 1.3.0 --repo my-app"
    )]
    Diff(super::diff::DiffArguments),
    /// Apply a patch pack to a folder, without a launcher.
    #[command(after_help = "Example: kuzflow apply 1.2-to-1.3.kuzpatch --old containers/my-app_1.2.0_Linux_x86_64 --out 1.3")]
    Apply(super::diff::ApplyArguments),
    /// Put a release with its signed metadata into one file, for computers without a network.
    #[command(
        after_help = "Example: kuzflow bundle --repo my-app --version 1.2.0 --platform Windows_AMD64 --out my-app-1.2.0.kuzflow-bundle"
    )]
    Bundle(BundleArguments),
    /// Serve a repository over HTTP.
    #[command(
        after_help = "Example: kuzflow serve --repo my-app --listen 0.0.0.0:8080 --node shanghai-1 --region Asia-Pacific --make-patches"
    )]
    Serve(serve::ServeArguments),
    /// Print a script with which a shell completes what is typed.
    #[command(after_help = super::manual::COMPLETIONS_HELP)]
    Completions(super::manual::CompletionsArguments),
    /// Write the man pages of both programs, for packages.
    #[command(after_help = super::manual::MANUAL_HELP)]
    Manual(super::manual::ManualArguments),
}

/// Where the publisher's folder and its keys are.
#[derive(Debug, Args)]
pub struct RepositoryPlace {
    /// The publisher's folder (the one that `init` made), or the repository in it; the one in or around the current folder if absent.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// More folders with keys, for example on removable media. The password of an encrypted key is typed, piped in, or taken from the
    /// variable KUZFLOW_KEY_PASSWORD.
    #[arg(long, value_name = "DIR")]
    keys: Vec<PathBuf>,
}

/// How packages are published.
#[derive(Debug, Args)]
pub struct PublishArguments {
    #[command(flatten)]
    place: RepositoryPlace,
    /// The channel; that of this version's other platforms, or the publisher's usual one, if absent.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Share of installations that may see it, in percent; that of this version's other platforms, or 100, if absent.
    #[arg(long, value_name = "PERCENT")]
    rollout: Option<f64>,
    /// Release notes in Markdown: FILE for every language, or TAG=FILE for one (zh-CN, en); what [app] in kuzflow.toml says if absent.
    #[arg(long, value_name = "[TAG=]FILE")]
    notes: Vec<String>,
    /// It is looked for before each start once it is known, and cannot be skipped.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    mandatory: Option<bool>,
    /// The oldest installed version that may move here directly.
    #[arg(long, value_name = "VERSION")]
    minimum_version: Option<Version>,
    /// The oldest launcher that can install it; older ones update themselves first, if a newer one is published.
    #[arg(long, value_name = "VERSION")]
    minimum_launcher: Option<Version>,
    /// Change what is published already: notes, channel, share, mandatory and minimums, as far as they are given here. Without this,
    /// publishing again changes nothing.
    #[arg(long)]
    again: bool,
    /// Make no patch packs; `kuzflow patch` can make them later.
    #[arg(long)]
    no_patches: bool,
}

#[derive(Debug, Args)]
struct RolloutArguments {
    #[command(flatten)]
    place: RepositoryPlace,
    /// Which release.
    #[arg(long, value_name = "VERSION")]
    version: Version,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Change {
    /// Share of installations that may see it, in percent.
    #[arg(long, value_name = "N")]
    percent: Option<f64>,
    /// No new installs.
    #[arg(long)]
    halt: bool,
    /// Installs again, up to the share it had.
    #[arg(long)]
    resume: bool,
}

type VerbError = Box<dyn std::error::Error>;

/// Runs the program with the process's arguments.
pub fn main() -> Ending {
    let arguments = Arguments::parse_from(host::arguments());
    let serving = matches!(arguments.verb, Verb::Serve(_));
    log::to_terminal(arguments.verbose || serving);
    let say = Say::new(arguments.json);
    match perform(arguments.verb, &say) {
        Ok(ending) => ending,
        Err(error) => {
            let chain = error_chain::list(error.as_ref());
            error_line(&format!("error: {}", chain.join("\n  ← ")));
            say.result(json!({ "status": "failed", "chain": chain }));
            Ending::Failed
        }
    }
}

fn perform(verb: Verb, say: &Say) -> Result<Ending, VerbError> {
    match verb {
        Verb::Init(arguments) => super::init::init(arguments, say),
        Verb::Build(arguments) => build::build(*arguments, say),
        Verb::Release(arguments) => super::release::release(*arguments, say),
        Verb::Try(arguments) => super::try_start::try_start(&arguments, say),
        Verb::Publish { files, arguments } => publish(files, arguments, say),
        Verb::Rollout(arguments) => rollout(&arguments, say),
        Verb::Patch(arguments) => patches::patch(&arguments, say),
        Verb::PublishLauncher(arguments) => super::publish_launcher::publish(arguments, say),
        Verb::Refresh(arguments) => super::renew::refresh(&arguments, say),
        Verb::Renew(arguments) => super::renew::renew(&arguments, say),
        Verb::Rotate(arguments) => super::rotate::rotate(&arguments, say),
        Verb::List { place } => super::listing::list(&place, say),
        Verb::Retire(arguments) => super::retire::retire(arguments, say),
        Verb::Inspect { file } => {
            let package = inspect(&file, Effort::default().threads)?;
            let manifest = &package.manifest;
            say.line(&format!(
                "{}: {} files, {} bytes unpacked, {} bytes packed",
                manifest.id(),
                manifest.file_manifest.len(),
                manifest.unpacked_size(),
                package.length
            ));
            say.result(json!({ "status": "done", "container": manifest.id(), "files": manifest.file_manifest.len(), "unpacked": manifest.unpacked_size(), "length": package.length, "hash": package.hash, "platform_info": manifest.platform_info, "dependencies": manifest.dependencies }));
            Ok(Ending::Done)
        }
        Verb::Diff(arguments) => super::diff::diff(&arguments, say),
        Verb::Apply(arguments) => super::diff::apply(&arguments, say),
        Verb::Bundle(arguments) => super::bundle::bundle(arguments, say),
        Verb::Serve(arguments) => serve::serve(arguments, say),
        Verb::Completions(arguments) => Ok(super::manual::completions(&arguments)),
        Verb::Manual(arguments) => Ok(super::manual::manual(&arguments, say)?),
    }
}

impl RepositoryPlace {
    /// Opens it, with the keys.
    pub fn open(&self) -> Result<(Project, Keyring), VerbError> {
        let project = Project::open(&super::project::folder(self.repo.as_deref())?)?;
        super::passwords::check_folders(&self.keys)?;
        let folders = self.keys.iter().cloned().chain([project.keys_folder()]);
        Ok((project.clone(), Keyring::new(folders).with_passwords(super::passwords::ask)))
    }
}

fn finish(transaction: Transaction, say: &Say, done: &str) -> Result<Ending, VerbError> {
    if transaction.is_empty() {
        say.line("nothing to do");
        say.result(json!({ "status": "nothing_to_do" }));
        return Ok(Ending::NothingToDo);
    }
    transaction.run()?;
    say.line(done);
    say.result(json!({ "status": "done" }));
    Ok(Ending::Done)
}

fn permille(percent: f64) -> Result<u16, VerbError> {
    if !(0.0..=100.0).contains(&percent) {
        return Err(format!("a rollout is 0 to 100 percent, not {percent}").into());
    }
    Ok((percent * 10.0).round() as u16)
}

fn publish(files: Vec<PathBuf>, arguments: PublishArguments, say: &Say) -> Result<Ending, VerbError> {
    let (project, _) = arguments.open()?;
    if let Some(missing) = files.iter().find(|file| !file.is_file()) {
        return Err(format!("there is no package {}", missing.display()).into());
    }
    let mut is_new = arguments.again;
    for file in &files {
        is_new = is_new || !project.is_published(file)?;
    }
    let keyring = arguments.check(&project, [], is_new)?;
    publish_with(&project, keyring, files, arguments, say)
}

impl PublishArguments {
    /// Opens the publisher's folder, with the keys.
    pub fn open(&self) -> Result<(Project, Keyring), VerbError> {
        self.place.open()
    }

    /// Looks at all that is typed, and at the keys if there is something new, before time goes into packages; `versions` are those whose
    /// notes must be there. Gives a keyring that has asked for all passwords.
    pub fn check<'a>(
        &self,
        project: &Project,
        versions: impl IntoIterator<Item = &'a Version>,
        is_new: bool,
    ) -> Result<Keyring, VerbError> {
        self.terms()?;
        let typed = self.notes.iter().map(|text| notes_argument(text).1);
        let written = versions.into_iter().flat_map(|version| self.notes_of(project, version).into_values());
        if let Some(missing) = typed.chain(written).find(|notes| !notes.is_file()) {
            return Err(no_notes(&missing));
        }
        let keyring = self.open()?.1.remembering();
        if is_new {
            project.check_keys(&keyring)?;
        }
        Ok(keyring)
    }

    /// The notes of a version: what is typed, else what kuzflow.toml says.
    fn notes_of(&self, project: &Project, version: &Version) -> BTreeMap<String, PathBuf> {
        match self.notes.as_slice() {
            [] => project.settings().recipe.notes_of(version, project.folder()),
            typed => typed.iter().map(|text| notes_argument(text)).collect(),
        }
    }

    /// What is said of the release.
    fn terms(&self) -> Result<Terms, VerbError> {
        Ok(Terms {
            channel: self.channel.clone(),
            rollout_permille: self.rollout.map(permille).transpose()?,
            mandatory: self.mandatory,
            minimum_version: self.minimum_version.clone(),
            minimum_launcher: self.minimum_launcher.clone(),
            again: self.again,
        })
    }

    /// Whether what is published already is to change.
    pub fn changes_terms(&self) -> bool {
        self.again
    }

    /// `--repo DIR` for the next command, if it was needed for this one.
    fn repo_option(&self) -> String {
        self.place.repo.as_ref().map(|repo| format!(" --repo {}", super::project::typed(repo))).unwrap_or_default()
    }
}

fn no_notes(path: &Path) -> VerbError {
    format!(
        "there are no release notes {}; write them, name others with --notes, or take notes out of kuzflow.toml",
        path.display()
    )
    .into()
}

/// Publishes packages. The keys were checked; the offline ones sign twice, at the beginning and at the end, when nobody waits there to type
/// a password again.
pub fn publish_with(
    project: &Project,
    keyring: Keyring,
    files: Vec<PathBuf>,
    arguments: PublishArguments,
    say: &Say,
) -> Result<Ending, VerbError> {
    let terms = arguments.terms()?;
    let now = host::now();
    let mut packages = Vec::new();
    for path in files {
        let package = inspect(&path, Effort::default().threads)?;
        let mut release = release_of(&package, &project.settings().channel, now);
        release.hot_swap = Some(project.settings().incremental_update.hot_swap());
        say.line(&format!("{} ({} bytes)", release.container, package.length));
        warn_of_names(project, &package.manifest);
        let notes = arguments.notes_of(project, &release.container.version);
        if let Some(missing) = notes.values().find(|notes| !notes.is_file()) {
            return Err(no_notes(missing));
        }
        packages.push(PackageToPublish { path, release, manifest: package.manifest, notes });
    }
    // A retry in CI may have none of the keys: what is there already needs none.
    let is_retained = !terms.again
        && packages
            .iter()
            .try_fold(true, |retained, package| Ok::<bool, PublishError>(retained && project.is_published(&package.path)?))?;
    let wants_packs = !(arguments.no_patches || is_retained && lacks_pack_keys(project, &keyring)?);
    // Packs that are made before are published right behind the release: two roles sign, so there are two steps.
    let before = wants_packs && !project.settings().performance.background_generation;
    project.foresee(&terms, &mut packages)?;
    let mut packs = if before { Some(patches::to_packages(project, &packages, say)?) } else { None };
    let (transaction, offerings) = when_free(PUBLISHER_LOCK_TIMEOUT, || project.publish_on(&terms, &packages, &keyring, now))?;
    let changes = !transaction.is_empty();
    transaction.run()?;
    let releases = super::offered::tell(&offerings, say);
    say.event(&json!({ "event": "published", "changes": changes }));
    if wants_packs && !before {
        packs = Some(patches::to_packages(project, &packages, say)?);
    }
    let added = packs.as_ref().map(|packs| packs.publish(project, &keyring)).transpose()?.unwrap_or(false);
    if added {
        let sizes =
            when_free(PUBLISHER_LOCK_TIMEOUT, || project.tell_patch_sizes(&keyring, host::now())).and_then(Transaction::run);
        // They are for those who read the tree; no client needs them, and the next release brings them.
        sizes.unwrap_or_else(|error| {
            error_line(&format!("warning: the version tree lacks the packs' sizes: {}", error_chain::line(&error)))
        });
    }
    let place = arguments.repo_option();
    match packages.first() {
        Some(first) if changes && offerings.iter().any(|offering| offering.release.rollout_permille < 1000) => {
            say.next(&format!(
                "kuzflow rollout{place} --version {} --percent 100, once it is well",
                first.release.container.version
            ));
        }
        _ => say.next(&format!(
            "kuzflow serve{place}, or copy {} to your web server: targets first, metadata/timestamp.json last",
            project.repository().display()
        )),
    }
    let status = if changes || added { "done" } else { "nothing_to_do" };
    let reported = packs.map(|packs| packs.reported).unwrap_or_default();
    say.result(json!({ "status": status, "releases": releases, "packs": reported }));
    // Status 0 also if nothing changes: it is published, which is all that a script wants to know.
    Ok(super::renew::warn_after(project, Ending::Done))
}

/// Whether no packs can be signed here; told. A key that is here and cannot be used is an error.
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

/// A release that bears another name than its publisher gave it shows it to every user.
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

/// `TAG=FILE`, or `FILE` for every language.
fn notes_argument(text: &str) -> (String, PathBuf) {
    match text.split_once('=') {
        Some((tag, file)) if !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => {
            (tag.to_owned(), PathBuf::from(file))
        }
        _ => (String::new(), PathBuf::from(text)),
    }
}

fn rollout(arguments: &RolloutArguments, say: &Say) -> Result<Ending, VerbError> {
    let (project, keyring) = arguments.place.open()?;
    let change = match &arguments.change {
        Change { halt: true, .. } => RolloutChange::Halt,
        Change { resume: true, .. } => RolloutChange::Resume,
        Change { percent, .. } => RolloutChange::Permille(permille(percent.unwrap_or_default())?),
    };
    let transaction =
        when_free(PUBLISHER_LOCK_TIMEOUT, || project.set_rollout(&arguments.version, change, &keyring, host::now()))?;
    let ending = finish(transaction, say, "rollout changed")?;
    super::offered::tell_version(&project, &arguments.version, say)?;
    Ok(super::renew::warn_after(&project, ending))
}
