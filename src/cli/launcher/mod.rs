//! The verbs of `kuzflow-launcher`: what can be typed, and which room does it.
//!
//! ```text
//! updates     what brings a release here    versions    what is installed
//! wholeness   verify and repair             peers       sharing with other computers
//! shortcut    the entry in the menu         uninstall   everything away
//! demo        both sides in one process     (feature publisher)
//! ```

#[cfg(feature = "publisher")]
mod demo;
mod peers;
mod shortcut;
mod uninstall;
mod updates;
mod versions;
mod wholeness;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde_json::json;

use crate::app::installation::Installation;
use crate::app::output::Output;
use crate::app::self_update::SelfUpdate;
use crate::app::starting::SlowDisk;
use crate::app::{Ending, log, present, run, shortcuts, streams, terminal};
use crate::engine::driver;
use crate::environment::Environment;
#[cfg(feature = "publisher")]
use crate::error_chain;
use crate::gui::texts::{Language, Texts};
use crate::host;
use crate::messages::language::Setup;
use crate::messages::mailbox::{Handle, WindowPart};
use crate::messages::problem;
use crate::messages::protocol::{Command, Phase, Problem, ProblemKind};
use crate::model::Version;
use crate::model::release::BUNDLE_EXTENSION;
use crate::session::app_session::AppSession;
use crate::session::channel::ChannelHandle;
use crate::session::instance;
use crate::settings::{Renderer, SecondStart};
use crate::store::{InstalledRecord, StoreError};
use crate::update::self_update;

/// Starts an app in its active version, and keeps it up to date.
#[derive(Debug, Parser)]
#[command(
    name = "kuzflow-launcher",
    version,
    after_help = "Example: kuzflow-launcher update --json"
)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Open the window with what is in this bundle, as a file manager does.
    #[arg(value_name = "FILE", value_parser = OsStringValueParser::new().try_map(bundle))]
    file: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Args)]
struct Common {
    /// Where versions are installed.
    #[arg(long, global = true, help_heading = super::GLOBAL_OPTIONS, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The settings; launcher.toml beside this program if absent. The trusted root.json lies beside
    /// them.
    #[arg(long, global = true, help_heading = super::GLOBAL_OPTIONS, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object a line: events, then {"result": …}.
    #[arg(long, global = true, help_heading = super::GLOBAL_OPTIONS)]
    json: bool,
    /// No window: everything in the terminal.
    #[arg(long, global = true, help_heading = super::GLOBAL_OPTIONS)]
    headless: bool,
    /// How to draw the window: auto, opengl or software.
    #[arg(long, global = true, help_heading = super::GLOBAL_OPTIONS, value_name = "HOW", value_parser = renderer)]
    renderer: Option<Renderer>,
    /// zh-CN or en; the system's language if absent.
    #[arg(long, global = true, help_heading = super::GLOBAL_OPTIONS, value_name = "TAG")]
    language: Option<String>,
    /// Tell on standard error what is done.
    #[arg(long, short, global = true, help_heading = super::GLOBAL_OPTIONS)]
    verbose: bool,
}

impl Common {
    /// What is said about the window.
    const fn options(&self, language: Language) -> present::PresentOptions {
        present::PresentOptions {
            headless: self.headless || self.json,
            renderer: self.renderer,
            language,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the app, then look for updates; what a desktop shortcut does.
    #[command(after_help = "Example: kuzflow-launcher run -- --open \"some file.txt\"")]
    Run {
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
        /// This version, also an older one.
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
    },
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
fn files_in_full(arguments: &[OsString]) -> Vec<OsString> {
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

/// Runs the program with the process's arguments.
pub fn main() -> Ending {
    streams::tell_panics();
    let arguments = Arguments::parse_from(host::arguments());
    let unattended = arguments.common.headless || arguments.common.json;
    if unattended && matches!(arguments.verb, Some(Verb::Window { .. })) {
        Arguments::command()
            .error(clap::error::ErrorKind::ArgumentConflict, "a window needs somebody who sees it")
            .exit();
    }
    if arguments.file.is_some() && arguments.verb.is_some() {
        let conflict = "a file without a verb before it, or a verb: not both";
        Arguments::command().error(clap::error::ErrorKind::ArgumentConflict, conflict).exit();
    }
    let common = &arguments.common;
    let own = SelfUpdate::new(common.config.as_deref(), common.home.as_deref());
    let starts =
        arguments.file.is_none() && matches!(arguments.verb, None | Some(Verb::Run { .. }));
    let words = || Texts::new(language(common.language.as_deref(), None)).get("starting-slow-disk");
    let slow_disk = starts.then(|| SlowDisk::watch(words())).flatten();
    let place = Installation::find(common.config.as_deref(), common.home.as_deref());
    // The home of an app whose settings cannot be used.
    let home_anyway =
        || Installation::home_anyway(common.config.as_deref(), common.home.as_deref());
    let language = language(common.language.as_deref(), place.as_ref().ok());
    let texts = Texts::new(language);
    let texts = match &place {
        Ok(place) => texts.of_app(&shortcuts::name_in(&place.home, &place.settings)),
        Err(_) => match home_anyway().as_ref().and_then(run::name_in) {
            Some(name) => texts.of_app(&name),
            None => texts,
        },
    };
    let output = Output::new(common.json, texts);
    let app_arguments = match &arguments.verb {
        Some(Verb::Run { arguments }) => files_in_full(arguments),
        _ => Vec::new(),
    };
    #[cfg(feature = "publisher")]
    if let Some(Verb::Demo { keep, megabytes }) = &arguments.verb {
        log::to_terminal(common.verbose);
        return demo::demo(keep.as_deref(), *megabytes, common, &output, language).unwrap_or_else(
            |error| {
                let chain = error_chain::list(error.as_ref());
                streams::error_line(&chain.join("\n  ← "));
                output.result(json!({ "status": "failed", "chain": chain }));
                Ending::Failed
            },
        );
    }
    // What follows tells itself that it lasts.
    drop(slow_disk);
    let place = match place {
        Ok(place) => place,
        Err(error)
            if arguments.file.is_none()
                && matches!(
                    arguments.verb,
                    None | Some(Verb::Run { .. } | Verb::Window { .. })
                ) =>
        {
            let home =
                home_anyway().filter(|_| !matches!(arguments.verb, Some(Verb::Window { .. })));
            return run::without_settings(
                home.as_ref(),
                &error,
                &app_arguments,
                common.options(language),
                &output,
            );
        }
        Err(error) => {
            return output.problem(&Problem::new(
                ProblemKind::BadSettings,
                error.subject(),
                &error,
            ));
        }
    };
    let session = Session { place, common, output: &output, app_arguments, language, own: &own };
    if let (Some(file), None) = (&arguments.file, &arguments.verb) {
        return session.open(file.clone());
    }
    if arguments.verb.is_none() && session.is_shown_elsewhere() {
        return Ending::Done;
    }
    session.perform(arguments.verb.unwrap_or(Verb::Run { arguments: Vec::new() }))
}

/// What is said on the command line, else what was chosen in the window, else the setting, else the
/// system's language.
fn language(wanted: Option<&str>, place: Option<&Installation>) -> Language {
    let chosen = || place.and_then(|place| place.home.state().ok()?.language);
    let set = || place.map(|place| place.settings.window.language.clone());
    let setting = wanted.map(str::to_owned).or_else(chosen).or_else(set);
    Language::choose(setting.as_deref().unwrap_or("auto"), host::system_language().as_deref())
}

/// One invocation.
struct Session<'a> {
    place: Installation,
    common: &'a Common,
    output: &'a Output,
    app_arguments: Vec<OsString>,
    language: Language,
    own: &'a SelfUpdate,
}

impl Session<'_> {
    fn perform(&self, verb: Verb) -> Ending {
        let terminal =
            !matches!(verb, Verb::Run { .. } | Verb::Window { .. }) || self.common.headless;
        if matches!(verb, Verb::Run { .. }) {
            streams::never_wait_for_output();
        }
        if self.common.verbose || terminal {
            log::to_terminal(self.common.verbose);
        } else {
            log::to_folder(&self.place.home.logs());
        }
        let result = match verb {
            Verb::Window { versions, check } => {
                let part = match (versions, check) {
                    (true, _) => WindowPart::Versions,
                    (_, true) => WindowPart::Check,
                    _ => WindowPart::Any,
                };
                return run::window(&self.app_session(), part, self.options(), self.output);
            }
            Verb::Run { .. } => {
                let ending = match self.own.begin() {
                    Some(ending) => return ending,
                    None => run::run(&self.app_session(), self.options(), self.output, self.own),
                };
                if let Ending::App(status) = ending {
                    self.output.result(json!({ "status": "ended", "code": status }));
                }
                return ending;
            }
            #[cfg(feature = "publisher")]
            Verb::Demo { .. } => return Ending::Failed,
            Verb::Check => return self.check(),
            Verb::Update { to, dry_run: true, .. } => return self.plan(to),
            Verb::Update { to, prefetch: true, .. } => return self.prefetch(to),
            Verb::Update { to, .. } => return self.update(to),
            Verb::Install { file, accept_expired } => return self.install(file, accept_expired),
            Verb::Shortcut { remove, desktop } => {
                return shortcut::shortcut(
                    &self.environment(),
                    self.own,
                    remove,
                    desktop,
                    self.output,
                );
            }
            Verb::Uninstall { keep_data, delete_data, yes } => {
                let keep_data = if delete_data { Some(false) } else { keep_data.then_some(true) };
                let unattended = self.common.json || self.common.headless;
                let options = uninstall::UninstallOptions { keep_data, yes, unattended };
                return uninstall::uninstall(&self.environment(), self.own, options, self.output);
            }
            Verb::SelfTest => return self.test_self(),
            Verb::List => self.list(),
            Verb::Switch { version } => self.switch(&version),
            Verb::Rollback { list: true, .. } => self.points(),
            Verb::Rollback { version, list: false } => return self.roll_back(version),
            Verb::Pin { release } => self.pin(release),
            Verb::Skip { version, undo: true } => self.offer_again(version),
            Verb::Skip { version, undo: false } => self.skip(version),
            Verb::Remove { version } => self.remove(&version),
            Verb::Verify { version, repair: true } => return self.repair(version.as_ref()),
            Verb::Verify { version, repair: false } => self.verify(version.as_ref()),
            Verb::Prune { keep, damaged } => self.prune(keep, damaged),
            Verb::Peers { what } => peers::peers(&self.environment(), what, self.output),
        };
        result.unwrap_or_else(|error| self.output.problem(&problem::of_store(&error)))
    }

    /// A second start without a verb: the launcher beside the running app shows its window, unless
    /// the settings want the app once more.
    fn is_shown_elsewhere(&self) -> bool {
        self.place.settings.window.second_start == SecondStart::Window
            && !self.options().headless
            && instance::ask_before_start(&self.place.home, &host::private_folders())
    }

    fn environment(&self) -> Arc<Environment> {
        let Installation { settings, shipped_root, home } = self.place.clone();
        let arguments = self.app_arguments.clone();
        let language = self.language.tag().to_owned();
        Arc::new(Environment { home, settings, shipped_root, arguments, language })
    }

    fn app_session(&self) -> AppSession {
        AppSession::new(self.environment(), ChannelHandle::new(host::private_folders()))
    }

    fn options(&self) -> present::PresentOptions {
        self.common.options(self.language)
    }

    /// Starts an engine, gives it one command, and follows it until `until` knows the ending.
    fn engine(&self, command: Command, until: impl Fn(&Phase) -> Option<Ending>) -> Ending {
        let (handle, thread) = match driver::spawn(self.app_session(), Setup::default()) {
            Ok(engine) => engine,
            Err(problem) => return self.output.problem(&problem),
        };
        handle.send(command);
        let ending = terminal::follow(&handle, self.output, until);
        quit(&handle, thread);
        ending
    }

    fn test_self(&self) -> Ending {
        match self_update::test_self(&self.environment()) {
            Ok(version) => {
                self.output.result(json!({ "status": "done", "version": version }));
                Ending::Done
            }
            Err(problem) => self.output.problem(&problem),
        }
    }

    fn record(&self, version: &Version) -> Result<InstalledRecord, StoreError> {
        let records = self.place.home.installed()?;
        let found = records.into_iter().find(|record| record.container.version == *version);
        // One that is there and cannot be looked at now is not told as absent.
        let here = if found.is_none() { self.place.home.folders()? } else { Vec::new() };
        if let Some(id) = here.into_iter().find(|id| id.version == *version)
            && let Err(error @ StoreError::Io { .. }) = self.place.home.record(&id)
        {
            return Err(error);
        }
        found.ok_or_else(|| StoreError::NotInstalled { id: version.to_string() })
    }
}

fn quit(handle: &Handle, thread: std::thread::JoinHandle<()>) {
    handle.send(Command::Quit);
    // A panic there was told by the panic hook; the outcome stands.
    let _ = thread.join();
}
