//! The verbs of `kuzflow-launcher`: what a user can type, and which module performs it.
//!
//! ```text
//! arguments   what can be typed         invocation  what every verb works with
//! updates     what brings a release     versions    what is installed
//! wholeness   verify and repair         peers       sharing with other computers
//! reports     telling the publisher how updates went
//! shortcut    the entry in the menu     autostart   the start at login
//! uninstall   everything away           old_shortcuts   those of an earlier installation
//! demo        both sides in one process (feature publisher)
//! ```

mod arguments;
mod autostart;
mod channel;
#[cfg(feature = "publisher")]
mod demo;
mod invocation;
mod old_shortcuts;
mod peers;
mod reports;
mod shortcut;
mod uninstall;
mod updates;
mod versions;
mod wholeness;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Instant;

use clap::{CommandFactory as _, Parser as _};
use serde_json::json;

pub use self::arguments::Arguments;
use self::arguments::{Verb, files_in_full};
use self::invocation::Invocation;
use self::updates::Accept;
use self::versions::AlsoDelete;

use crate::app::installation::{Installation, PlaceError};
use crate::app::output::Output;
use crate::app::present::PresentOptions;
use crate::app::self_update::SelfUpdate;
use crate::app::starting::SlowDisk;
use crate::app::{Ending, log, run, shortcuts, streams};
#[cfg(feature = "publisher")]
use crate::error_chain;
use crate::gui::texts::{Language, Texts};
use crate::host;
use crate::messages::mailbox::WindowPart;
use crate::messages::problem;
use crate::session::instance;
use crate::settings::SecondStart;
use crate::store::{Home, StoreError};
use crate::update::self_update;

/// Runs the program with the process's arguments.
pub fn main() -> Ending {
    let began = Instant::now();
    streams::tell_panics();
    let arguments = Arguments::parse_from(host::arguments());
    refuse_conflicts(&arguments);
    let common = &arguments.common;
    let own = Arc::new(SelfUpdate::new(common.config.as_deref(), common.home.as_deref()));
    let starts =
        arguments.file.is_none() && matches!(arguments.verb, None | Some(Verb::Run { .. }));
    let shows_window = matches!(arguments.verb, Some(Verb::Window { .. }));
    let words = || Texts::new(language(common.language.as_deref(), None)).get("starting-slow-disk");
    let slow_disk = starts.then(|| SlowDisk::watch(words())).flatten();
    let place = Installation::find(common.config.as_deref(), common.home.as_deref());
    // The home of an app with unusable settings.
    let home_anyway =
        || Installation::home_anyway(common.config.as_deref(), common.home.as_deref());
    let language = language(common.language.as_deref(), place.as_ref().ok());
    let texts = texts(language, place.as_ref().ok(), home_anyway);
    let output = Output::new(common.json, texts);
    let app_arguments = match &arguments.verb {
        Some(Verb::Run { at_login: false, arguments }) => files_in_full(arguments),
        Some(Verb::Run { at_login: true, arguments }) => {
            let settings = place.as_ref().ok().map(|place| &place.settings.desktop.login_arguments);
            let set = settings.into_iter().flatten().map(OsString::from);
            set.chain(files_in_full(arguments)).collect()
        }
        _ => Vec::new(),
    };
    #[cfg(feature = "publisher")]
    if let Some(Verb::Demo { keep, megabytes }) = &arguments.verb {
        log::to_terminal(common.verbose);
        let ended = demo::demo(keep.as_deref(), *megabytes, common, &output, language);
        return ended.unwrap_or_else(|error| {
            let chain = error_chain::list(error.as_ref());
            streams::error_line(&chain.join("\n  ← "));
            output.result(json!({ "status": "failed", "chain": chain }));
            Ending::Failed
        });
    }
    // The following steps report long waits themselves.
    drop(slow_disk);
    let place = match place {
        Ok(place) => place,
        Err(error) if starts || shows_window => {
            let home = home_anyway().filter(|_| starts && error.is_of_the_settings());
            let options = common.options(language, began);
            return run::without_settings(home.as_ref(), &error, &app_arguments, options, &output);
        }
        Err(error) => return without_place(&error, arguments.verb.as_ref(), &output),
    };
    let invocation =
        Invocation { place, common, output: &output, app_arguments, language, own: &own, began };
    if let (Some(file), None) = (&arguments.file, &arguments.verb) {
        return invocation.open(file.clone());
    }
    if arguments.verb.is_none() && invocation.is_shown_elsewhere() {
        return Ending::Done;
    }
    let verb = arguments.verb.unwrap_or(Verb::Run { at_login: false, arguments: Vec::new() });
    let only_reports = verb.only_reports();
    let ending = invocation.perform(verb);
    if only_reports { ending.of_report() } else { ending }
}

/// The texts in a language, with the app's name, as far as it is known.
fn texts(
    language: Language,
    place: Option<&Installation>,
    home_anyway: impl Fn() -> Option<Home>,
) -> Texts {
    let name = match place {
        Some(place) => Some(shortcuts::name_in(&place.home, &place.settings)),
        None => home_anyway().as_ref().and_then(run::name_in),
    };
    match name {
        Some(name) => Texts::new(language).of_app(&name),
        None => Texts::new(language),
    }
}

/// What a verb says where there is no installation of this launcher's.
fn without_place(error: &PlaceError, verb: Option<&Verb>, output: &Output) -> Ending {
    let uninstalls = matches!(verb, Some(Verb::Uninstall { .. }));
    match error {
        PlaceError::Home { app, source: StoreError::AnotherProgram { .. } } if uninstalls => {
            uninstall::nothing(app, output)
        }
        // An installer's own removal must go on; what the other publisher's launcher installed stays.
        PlaceError::AnotherPublisher { .. } if uninstalls => {
            uninstall::of_another_publisher(&error.problem(), output)
        }
        _ => output.problem(&error.problem()),
    }
}

/// Ends the process with a word about arguments that contradict each other.
fn refuse_conflicts(arguments: &Arguments) {
    fn refuse(why: &str) -> ! {
        Arguments::command().error(clap::error::ErrorKind::ArgumentConflict, why).exit()
    }
    let unattended = arguments.common.headless || arguments.common.json;
    if unattended && matches!(arguments.verb, Some(Verb::Window { .. })) {
        refuse("a window needs somebody who sees it");
    }
    if arguments.file.is_some() && arguments.verb.is_some() {
        refuse("a file without a verb before it, or a verb: not both");
    }
}

/// The language from the command line, else the choice in the window, else the setting, else the
/// system's language.
fn language(wanted: Option<&str>, place: Option<&Installation>) -> Language {
    let chosen = || place.and_then(|place| place.home.state().ok()?.language);
    let set = || place.map(|place| place.settings.window.language.clone());
    let setting = wanted.map(str::to_owned).or_else(chosen).or_else(set);
    Language::choose(setting.as_deref().unwrap_or("auto"), host::system_language().as_deref())
}

impl Invocation<'_> {
    /// A table from verbs to what performs them.
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
                return run::window(
                    &self.app_session_of_window(),
                    part,
                    self.options(),
                    self.output,
                );
            }
            Verb::Run { at_login, .. } => {
                let options = PresentOptions { at_login, ..self.options() };
                let ending = match self.own.begin() {
                    Some(ending) => return ending,
                    None => run::run(&self.app_session_of_window(), options, self.output, self.own),
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
            Verb::Install { file, accept_expired, accept_older } => {
                let accept = Accept { expired: accept_expired, older: accept_older };
                return self.install(file, accept);
            }
            Verb::Shortcut { remove, desktop } => {
                return shortcut::shortcut(
                    &self.environment(),
                    self.own,
                    remove,
                    desktop,
                    self.output,
                );
            }
            Verb::Autostart { what } => {
                return autostart::autostart(&self.environment(), self.own, what, self.output);
            }
            Verb::OldShortcuts { what } => {
                let environment = self.environment();
                return old_shortcuts::old_shortcuts(&environment, self.own, what, self.output);
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
            Verb::Prune { keep, damaged, set_aside } => {
                self.prune(keep, AlsoDelete { damaged, set_aside })
            }
            Verb::Channel { name, back } => self.channel(name.as_deref(), back),
            Verb::Reports { what } => reports::reports(&self.environment(), what, self.output),
            Verb::Peers { what } => peers::peers(&self.environment(), what, self.output),
        };
        result.unwrap_or_else(|error| self.output.problem(&problem::of_store(&error)))
    }

    /// A second start without a verb: the launcher beside the running app shows its window, unless
    /// the settings ask for another start of the app.
    fn is_shown_elsewhere(&self) -> bool {
        self.place.settings.window.second_start == SecondStart::Window
            && !self.options().headless
            && instance::ask_before_start(&self.place.home, &host::private_folders())
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
}

#[cfg(test)]
mod tests;
