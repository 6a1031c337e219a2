//! What can be typed after `kuzflow-launcher`.
//!
//! In: the process's arguments. Out: [`Arguments`] with one [`Verb`]. Never: a verb's work.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};

use super::{autostart, old_shortcuts, peers, reports};
use crate::app::present;
use crate::cli::GLOBAL_OPTIONS;
use crate::gui::texts::Language;
use crate::model::Version;
use crate::model::release::BUNDLE_EXTENSION;
use crate::settings::Renderer;

/// Starts an app in its active version, and keeps it up to date.
#[derive(Debug, Parser)]
#[command(
    name = "kuzflow-launcher",
    version,
    after_help = "Example: kuzflow-launcher update --json"
)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// Open the window with what is in this bundle, as a file manager does.
    #[arg(value_name = "FILE", value_parser = OsStringValueParser::new().try_map(bundle))]
    pub(super) file: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// Where versions are installed.
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
    /// The settings; launcher.toml beside this program if absent. The trusted root.json lies beside
    /// them.
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print one JSON object a line: events, then {"result": …}.
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS)]
    pub(super) json: bool,
    /// No window: everything in the terminal.
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS)]
    pub(super) headless: bool,
    /// How to draw the window: auto, opengl or software.
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "HOW", value_parser = renderer)]
    pub(super) renderer: Option<Renderer>,
    /// zh-CN or en; the system's language if absent.
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "TAG")]
    pub(super) language: Option<String>,
    /// Tell on standard error what is done.
    #[arg(long, short, global = true, help_heading = GLOBAL_OPTIONS)]
    pub(super) verbose: bool,
}

impl Common {
    /// What is said about the window.
    pub(super) const fn options(
        &self,
        language: Language,
        began: Instant,
    ) -> present::PresentOptions {
        present::PresentOptions {
            headless: self.headless || self.json,
            renderer: self.renderer,
            language,
            at_login: false,
            began,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Start the app, then look for updates; what a desktop shortcut does.
    #[command(after_help = "Example: kuzflow-launcher run -- --open \"some file.txt\"")]
    Run {
        /// The system starts the app at login: hand over the setting desktop.login_arguments, too.
        #[arg(long, hide = true)]
        at_login: bool,
        /// Handed over to the app.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Open the whole window: installed versions, a check, sharing, language. If the app runs, its
    /// launcher shows it.
    #[command(after_help = "Example: kuzflow-launcher window --versions")]
    Window {
        /// With the installed versions.
        #[arg(long)]
        versions: bool,
        /// And look for a release.
        #[arg(long, conflicts_with = "versions")]
        check: bool,
    },
    /// Two releases of a sample app, three local nodes, one update; nothing else is needed.
    #[cfg(feature = "publisher")]
    #[command(after_help = "Example: kuzflow-launcher demo --headless")]
    Demo {
        /// Keep the demo's files here instead of a temporary folder.
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
        /// Megabytes of padding in the sample app, to have something to download.
        #[arg(long, default_value_t = 24)]
        megabytes: u32,
    },
    /// Look for a release. Status 0: there is one; 3: there is none.
    #[command(after_help = "Example: kuzflow-launcher check --json")]
    Check,
    /// Fetch and install the newest release, or another one. Status 3: there was nothing to do.
    #[command(after_help = "Example: kuzflow-launcher update --to 1.8.5 --dry-run")]
    Update {
        /// This version, also an older one: then the app goes back to it, with your present files.
        #[arg(long, value_name = "VERSION")]
        to: Option<Version>,
        /// Only tell what would be fetched, in what way, and why.
        #[arg(long)]
        dry_run: bool,
        /// Fetch and unpack, but do not choose it: a later update or switch needs no network then.
        /// Status 3: it was done before.
        #[arg(long, conflicts_with = "dry_run")]
        prefetch: bool,
    },
    /// Install the release in a bundle (a file that `kuzflow bundle` made), with the same checks as
    /// over the network.
    #[command(
        after_help = "Example: kuzflow-launcher install /media/stick/my-app-1.2.0.kuzflow-bundle"
    )]
    Install {
        /// The bundle.
        file: PathBuf,
        /// Also if its metadata is too old to say that there is nothing newer.
        #[arg(long)]
        accept_expired: bool,
        /// Also if its release is older than the active version, which it then replaces. Status 3
        /// without this option.
        #[arg(long)]
        accept_older: bool,
    },
    /// Tell what is installed.
    #[command(after_help = "Example: kuzflow-launcher list --json")]
    List,
    /// Make an installed version the active one.
    #[command(after_help = "Example: kuzflow-launcher switch 1.8.5")]
    Switch {
        /// Which one.
        version: Version,
    },
    /// Go back to the version before, or another one, with your files as they were when you left
    /// it. What you did since is kept aside.
    #[command(after_help = "Example: kuzflow-launcher rollback")]
    Rollback {
        /// Which version; the one before the active one if absent.
        version: Option<Version>,
        /// Only tell which states can be gone back to.
        #[arg(long)]
        list: bool,
    },
    /// Stay at a version: newer ones are not offered, unless they are mandatory.
    #[command(after_help = "Example: kuzflow-launcher pin")]
    Pin {
        /// Stay no longer.
        #[arg(long)]
        release: bool,
    },
    /// Do not offer a version.
    #[command(after_help = "Example: kuzflow-launcher skip 1.8.7")]
    Skip {
        /// Which one; with --undo all of them if absent.
        #[arg(required_unless_present = "undo")]
        version: Option<Version>,
        /// Offer it again.
        #[arg(long)]
        undo: bool,
    },
    /// Remove an installed version that is not in use.
    #[command(after_help = "Example: kuzflow-launcher remove 1.8.5")]
    Remove {
        /// Which one.
        version: Version,
    },
    /// Hash an installed version's files again. Status 1: something is damaged.
    #[command(after_help = "Example: kuzflow-launcher verify 1.8.6 --repair")]
    Verify {
        /// Which one; the active one if absent.
        version: Option<Version>,
        /// Mend what is damaged: from other files on this computer, by a patch, or fetched again.
        /// Settings and data are not touched.
        #[arg(long)]
        repair: bool,
    },
    /// Put the app into the menu: this launcher with these settings and this home.
    #[command(after_help = "Example: kuzflow-launcher shortcut --desktop")]
    Shortcut {
        /// Take it away again.
        #[arg(long)]
        remove: bool,
        /// An icon on the desktop too.
        #[arg(long, conflicts_with = "remove")]
        desktop: bool,
    },
    /// Start the app when the user logs in, or not.
    #[command(after_help = "Example: kuzflow-launcher autostart on")]
    Autostart {
        /// What to do.
        what: autostart::What,
    },
    /// Replace the shortcuts that an earlier installation of the app has left, or put them back.
    #[command(after_help = "Example: kuzflow-launcher old-shortcuts replace")]
    OldShortcuts {
        /// What to do.
        what: old_shortcuts::What,
    },
    /// Remove all versions, caches and shortcuts; the user's settings and data are kept, unless
    /// told otherwise.
    #[command(after_help = "Example: kuzflow-launcher uninstall --keep-data --yes")]
    Uninstall {
        /// Keep the user's settings and data for the next installation; what happens if nobody can
        /// be asked.
        #[arg(long, conflicts_with = "delete_data")]
        keep_data: bool,
        /// Delete the user's settings and data as well.
        #[arg(long)]
        delete_data: bool,
        /// Ask nothing.
        #[arg(long)]
        yes: bool,
    },
    /// Share what is installed with other computers of the same local network, or not.
    #[command(after_help = "Example: kuzflow-launcher peers off")]
    Peers {
        /// What to do.
        what: peers::What,
    },
    /// Tell which channel is followed, or follow another one that the publisher offers. A version that
    /// is newer than all of that channel stays until the channel has caught up.
    #[command(after_help = "Example: kuzflow-launcher channel beta")]
    Channel {
        /// Which one; only tell if absent.
        name: Option<String>,
        /// If the active version is newer than all of the channel, go back to the channel's newest
        /// now: with your files as they were when you left that version; if there is no such state,
        /// with your present files.
        #[arg(long)]
        back: bool,
    },
    /// Report to the app's publisher how updates went, or not. What is sent names neither you nor
    /// your files.
    #[command(after_help = "Example: kuzflow-launcher reports show")]
    Reports {
        /// What to do.
        what: reports::What,
    },
    /// What a new launcher is asked before it takes the place of the old one.
    #[command(hide = true)]
    SelfTest,
    /// Remove old versions beyond the number to keep.
    #[command(after_help = "Example: kuzflow-launcher prune --keep 1")]
    Prune {
        /// How many to keep besides the active one; the setting update.keep_versions if absent.
        #[arg(long, value_name = "N")]
        keep: Option<usize>,
        /// Also delete what repairs and new installations have set aside of damaged versions
        /// (`list` names it); files that somebody has put among the app's own may be in it.
        #[arg(long)]
        damaged: bool,
        /// Also delete your files that rollbacks set aside, and those of versions that stood in for
        /// a damaged one (`list` names them). They exist nowhere else.
        #[arg(long)]
        set_aside: bool,
    },
}

impl Verb {
    /// Whether the verb's output is all that it makes.
    pub(super) fn only_reports(&self) -> bool {
        matches!(
            self,
            Self::Check
                | Self::List
                | Self::Update { dry_run: true, .. }
                | Self::Rollback { list: true, .. }
                | Self::Verify { repair: false, .. }
                | Self::Peers { what: peers::What::Status }
                | Self::Reports { what: reports::What::Show }
                | Self::Channel { name: None, back: false }
                | Self::Autostart { what: autostart::What::Status }
                | Self::OldShortcuts { what: old_shortcuts::What::Status }
        )
    }
}

fn renderer(text: &str) -> Result<Renderer, String> {
    match text {
        "auto" => Ok(Renderer::Auto),
        "opengl" => Ok(Renderer::Opengl),
        "software" => Ok(Renderer::Software),
        _ => Err("expected auto, opengl or software".to_owned()),
    }
}

/// A file without a verb must be seen to be a bundle, or every misspelt verb would be one.
fn bundle(text: OsString) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_bundle = path.extension().is_some_and(|extension| extension == BUNDLE_EXTENSION);
    if is_bundle {
        Ok(path)
    } else {
        Err(format!("neither a verb nor a file that ends in .{BUNDLE_EXTENSION}"))
    }
}

/// Files and folders that are named relative to this folder get their whole paths: the app works in
/// a folder of its own. What is no such name (an option, a word that happens to be one of a folder)
/// stays.
pub(super) fn files_in_full(arguments: &[OsString]) -> Vec<OsString> {
    let in_full = |argument: &OsString| {
        let path = std::path::Path::new(argument);
        let is_option = argument.to_string_lossy().starts_with('-');
        let is_one =
            !is_option && looks_like_a_path(argument) && path.is_relative() && path.exists();
        is_one
            .then(|| std::path::absolute(path).ok())
            .flatten()
            .map_or_else(|| argument.clone(), PathBuf::into_os_string)
    };
    arguments.iter().map(in_full).collect()
}

/// `report.txt`, `papers/a`, `papers/`, `.` and `..`, and no single word.
fn looks_like_a_path(argument: &OsString) -> bool {
    let path = std::path::Path::new(argument);
    let is_word = matches!(path.components().next(), Some(std::path::Component::Normal(_)))
        && path.components().count() == 1
        && !argument.to_string_lossy().ends_with(std::path::is_separator);
    path.extension().is_some() || !is_word
}
