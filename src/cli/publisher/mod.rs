//! The verbs of `kuzflow`, the publisher's and operator's tool: one file a verb, and `shared` for
//! what several need.

// Help texts name tables of kuzflow.toml in brackets, which the documents take for links.
#![allow(rustdoc::broken_intra_doc_links)]

mod audit;
mod build;
mod bundle;
mod convert;
mod diff;
mod init;
mod inspect;
mod list;
mod manual;
mod package;
mod package_tools;
mod patch;
mod publish;
mod publish_build;
mod publish_launcher;
mod recall;
mod release;
mod renew;
mod retire;
mod rollout;
mod rotate;
mod serve;
mod shared;
mod site;
mod stats;
mod token;
mod try_start;

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};
use serde_json::json;

use self::build::BuildArguments;
use self::bundle::BundleArguments;
use self::shared::VerbError;
use self::shared::output::Say;
use self::shared::place::RepositoryPlace;
use crate::app::streams::error_line;
use crate::app::{Ending, log};
use crate::error_chain;
use crate::host;

/// Builds, signs, publishes and serves releases of an app.
#[derive(Debug, Parser)]
#[command(
    name = "kuzflow",
    version,
    after_help = "Example: kuzflow publish app_1.2.0_Linux_x86_64.kuzflow --repo my-app"
)]
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
    /// Make a publisher's folder: settings, keys, an empty signed repository, and what to ship with
    /// the launcher.
    #[command(after_help = init::HELP)]
    Init(init::InitArguments),
    /// Build a container from an app's folder and a Python runtime.
    #[command(
        after_help = "Example: kuzflow build --app src --app-version 1.2.0 --requirements requirements.txt --out my-app.kuzflow\n         kuzflow build --app-version 1.2.0 --platform Windows_AMD64 --out ."
    )]
    Build(Box<BuildArguments>),
    /// Build, try and publish a version in one call, as [app] in kuzflow.toml says.
    #[command(after_help = release::HELP)]
    Release(Box<release::ReleaseArguments>),
    /// Start a container once, to see what its first user would see.
    #[command(after_help = try_start::HELP)]
    Try(try_start::TryArguments),
    /// Add built containers to the repository, all in one step for clients, then patch packs from
    /// the releases before them.
    #[command(
        after_help = "Example: kuzflow publish my-app.kuzflow --repo my-app --rollout 10 --notes notes.md --notes zh-CN=说明.md\n         kuzflow publish --build 4f0c… --server https://updates.example.com/ --token-file ci-token --repo my-app"
    )]
    Publish {
        /// Built containers; those of one version for several platforms belong in one call.
        #[arg(required_unless_present = "build", value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        built: publish_build::BuiltElsewhere,
        #[command(flatten)]
        arguments: publish::PublishArguments,
    },
    /// Change how many installations may see a release, or stop it.
    #[command(after_help = "Example: kuzflow rollout --repo my-app --version 1.2.0 --percent 50")]
    Rollout(rollout::RolloutArguments),
    /// Recall a bad release: the installations that have it go to another one.
    #[command(after_help = recall::HELP)]
    Recall(recall::RecallArguments),
    /// Make the patch packs from one published version to another, also to an older one. `publish`
    /// makes the usual ones by itself.
    #[command(
        after_help = "Example: kuzflow patch --repo my-app --from 1.1.0 --to 1.3.0 --platform Windows_AMD64"
    )]
    Patch(patch::PatchArguments),
    /// Sign a newer launcher: installed ones exchange themselves for it.
    #[command(
        after_help = "Example: kuzflow publish-launcher target/ship/kuzflow-launcher --repo my-app"
    )]
    PublishLauncher(publish_launcher::PublishLauncherArguments),
    /// Sign snapshot, timestamp and the list of patches again, and take old patches out; run it by
    /// a timer, more often than the timestamp lasts.
    #[command(after_help = renew::REFRESH_HELP)]
    Refresh(renew::RefreshArguments),
    /// Sign the root and the list of releases again, with the same keys: once a year, before they
    /// expire. Nothing else changes.
    #[command(after_help = renew::RENEW_HELP)]
    Renew(renew::RefreshArguments),
    /// Make a new root with new keys for some roles, for example after one was lost or seen by
    /// others.
    #[command(after_help = rotate::HELP)]
    Rotate(rotate::RotateArguments),
    /// Tell what is published and how long its signatures last.
    #[command(
        after_help = "Status 4: a signature expires soon, or has expired.\n\nExample: kuzflow list --repo my-app --json"
    )]
    List {
        #[command(flatten)]
        place: RepositoryPlace,
    },
    /// Take old releases out of the repository. Their installations go on.
    #[command(after_help = retire::HELP)]
    Retire(retire::RetireArguments),
    /// Give each app, channel and platform its own list of releases, so that a check fetches a few
    /// kilobytes however many releases there are.
    #[command(after_help = convert::HELP)]
    ConvertMetadata(convert::ConvertArguments),
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
    Diff(diff::DiffArguments),
    /// Apply a patch pack to a folder, without a launcher.
    #[command(
        after_help = "Example: kuzflow apply 1.2-to-1.3.kuzpatch --old containers/my-app_1.2.0_Linux_x86_64 --out 1.3"
    )]
    Apply(diff::ApplyArguments),
    /// Put a release with its signed metadata into one file, for computers without a network.
    #[command(
        after_help = "Example: kuzflow bundle --repo my-app --version 1.2.0 --platform Windows_AMD64 --out my-app-1.2.0.kuzflow-bundle"
    )]
    Bundle(BundleArguments),
    /// Make installers of a published release: the files that people download.
    #[command(after_help = package::HELP)]
    Package(package::PackageArguments),
    /// Make packages of programs for a terminal, which bring no app and no launcher.
    #[command(after_help = package_tools::HELP)]
    PackageTools(package_tools::PackageToolsArguments),
    /// Write a download page and a feed for the installers.
    #[command(after_help = site::HELP)]
    Site(site::SiteArguments),
    /// Serve a repository over HTTP.
    #[command(
        after_help = "Example: kuzflow serve --repo my-app --listen 0.0.0.0:8080 --node shanghai-1 --region Asia-Pacific --make-patches"
    )]
    Serve(serve::ServeArguments),
    /// Tell what launchers have reported: how far updates came, what failed, what was fetched.
    #[command(after_help = stats::HELP)]
    Stats(stats::StatsArguments),
    /// Make, list and revoke the tokens with which people and programs read the numbers of a server.
    #[command(after_help = token::HELP)]
    Token(token::TokenArguments),
    /// Tell who made and revoked tokens and who logged in, and whether that list is whole.
    #[command(after_help = audit::HELP)]
    Audit(audit::AuditArguments),
    /// Print a script with which a shell completes what is typed.
    #[command(after_help = manual::COMPLETIONS_HELP)]
    Completions(manual::CompletionsArguments),
    /// Write the man pages of both programs, for packages.
    #[command(after_help = manual::MANUAL_HELP)]
    Manual(manual::ManualArguments),
}

impl Verb {
    /// Whether the verb's output is all that it makes.
    fn only_reports(&self) -> bool {
        match self {
            Self::List { .. } | Self::Inspect { .. } | Self::Try(_) => true,
            Self::Completions(_) | Self::Stats(_) | Self::Audit(_) => true,
            // A token that was made and not printed is lost.
            Self::Token(_) => true,
            Self::Diff(arguments) => arguments.only_reports(),
            Self::Retire(arguments) => arguments.only_reports(),
            Self::ConvertMetadata(arguments) => arguments.only_reports(),
            _ => false,
        }
    }
}

/// Runs the program with the process's arguments.
pub fn main() -> Ending {
    let arguments = Arguments::parse_from(host::arguments());
    let serving = matches!(arguments.verb, Verb::Serve(_));
    log::to_terminal(arguments.verbose || serving);
    let say = Say::new(arguments.json);
    let only_reports = arguments.verb.only_reports();
    match perform(arguments.verb, &say) {
        Ok(ending) if only_reports => ending.of_report(),
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
        Verb::Init(arguments) => init::init(arguments, say),
        Verb::Build(arguments) => build::build(*arguments, say),
        Verb::Release(arguments) => release::release(*arguments, say),
        Verb::Try(arguments) => try_start::try_start(&arguments, say),
        Verb::Publish { files, built, arguments } => {
            publish::publish(files, &built, arguments, say)
        }
        Verb::Rollout(arguments) => rollout::rollout(&arguments, say),
        Verb::Recall(arguments) => recall::recall(&arguments, say),
        Verb::Patch(arguments) => patch::patch(&arguments, say),
        Verb::PublishLauncher(arguments) => publish_launcher::publish(arguments, say),
        Verb::Refresh(arguments) => renew::refresh(&arguments, say),
        Verb::Renew(arguments) => renew::renew(&arguments, say),
        Verb::Rotate(arguments) => rotate::rotate(&arguments, say),
        Verb::List { place } => list::list(&place, say),
        Verb::Retire(arguments) => retire::retire(arguments, say),
        Verb::ConvertMetadata(arguments) => convert::convert(&arguments, say),
        Verb::Inspect { file } => inspect::inspect_file(&file, say),
        Verb::Diff(arguments) => diff::diff(&arguments, say),
        Verb::Apply(arguments) => diff::apply(&arguments, say),
        Verb::Bundle(arguments) => bundle::bundle(arguments, say),
        Verb::Package(arguments) => package::package(&arguments, say),
        Verb::PackageTools(arguments) => package_tools::package_tools(&arguments, say),
        Verb::Site(arguments) => site::site(&arguments, say),
        Verb::Serve(arguments) => serve::serve(arguments, say),
        Verb::Stats(arguments) => stats::stats(&arguments, say),
        Verb::Token(arguments) => token::token(&arguments, say),
        Verb::Audit(arguments) => audit::audit(&arguments, say),
        Verb::Completions(arguments) => Ok(manual::completions(&arguments, Arguments::command)),
        Verb::Manual(arguments) => Ok(manual::manual(&arguments, Arguments::command, say)?),
    }
}
