//! `shortcut` and `uninstall`, and what a start does for the desktop on its own.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use serde_json::json;

use super::Ending;
use super::output::Output;
use super::self_update::SelfUpdate;
use crate::desktop::shortcut::{self, System};
use crate::desktop::uninstall::Uninstall;
use crate::desktop::{Action, DesktopError, Entry};
use crate::engine::context::Context;
use crate::engine::problem;
use crate::engine::protocol::{Problem, ProblemKind};
use crate::gui::texts::{Language, Texts};
use crate::gui::{icons, letter};
use crate::host;
use crate::look;
use crate::settings::Settings;
use crate::store::{Home, StoreError};

/// What `uninstall` was told.
#[derive(Clone, Copy, Debug)]
pub struct UninstallOptions {
    /// What becomes of the user's files; asked, or kept, if it was not said.
    pub keep_data: Option<bool>,
    /// Ask nothing.
    pub yes: bool,
    /// Nobody is there to be asked.
    pub unattended: bool,
}

/// The app's name for people.
fn name_of(context: &Context) -> String {
    name_in(&context.home, &context.settings)
}

/// The app's name for people, as its active version gives it, else as the settings do.
pub fn name_in(home: &Home, settings: &Settings) -> String {
    match home.active() {
        Ok((_, record)) => record.display_name,
        Err(_) if settings.display_name.is_empty() => settings.app.to_string(),
        Err(_) => settings.display_name.clone(),
    }
}

/// The icon of an app that has none, as PNG.
fn letter_of(name: &str) -> Option<Vec<u8>> {
    let picture = icons::window(&letter::icon(name));
    crate::desktop::icon::png(picture.rgba, picture.width, picture.height)
}

/// What a shortcut says now.
fn entry(context: &Context, own: &SelfUpdate) -> Option<Entry> {
    let name = name_of(context);
    let active = context.home.active().ok().map(|(_, record)| record);
    let folder = active.as_ref().map(|record| context.home.container(&record.container));
    let icon = active.and_then(|record| look::read(&record.icon?.under(&folder?), look::SMALL).ok().flatten());
    let icon = icon.or_else(|| look::read(context.settings.icon.as_ref()?, look::SMALL).ok().flatten());
    let icon = icon
        .filter(|png| crate::desktop::icon::read(png).is_some())
        .or_else(|| letter_of(&name))
        .unwrap_or_else(|| icons::LAUNCHER.to_vec());
    let in_each = |message: &str| {
        // The first is for readers of any other language.
        let each = [("", Language::English), (Language::Chinese.tag(), Language::Chinese)];
        each.map(|(tag, language)| (tag.to_owned(), Texts::new(language).with(message, &[("app", &name)]))).to_vec()
    };
    let app = context.settings.app.as_str();
    let home = std::path::absolute(context.home.root()).unwrap_or_else(|_| context.home.root().to_owned());
    Some(Entry {
        id: shortcut::id(app, &home, host::default_home(app).as_deref()),
        comments: in_each("shortcut-comment"),
        bundle_names: in_each("shortcut-bundle"),
        actions: [("versions", "--versions", "shortcut-versions"), ("check", "--check", "shortcut-check")]
            .map(|(id, option, name)| Action { id, words: vec!["window", option], names: in_each(name) })
            .to_vec(),
        keywords: vec![app.to_owned()],
        program: own.program()?.path().to_owned(),
        arguments: own.place(),
        window_class: app.to_owned(),
        icon,
        name,
    })
}

/// Makes or removes the shortcut.
pub fn shortcut(context: &Context, own: &SelfUpdate, remove: bool, on_desktop: bool, output: &Output) -> Ending {
    let reported = |done: Result<Vec<std::path::PathBuf>, DesktopError>, message: &str, key: &str| match done {
        Ok(paths) => {
            let text = if paths.is_empty() { "shortcut-nothing" } else { message };
            output.say(&output.texts.with(text, &[("app", &name_of(context))]));
            paths.iter().for_each(|path| output.say(&format!("  {}", path.display())));
            let status = if paths.is_empty() { "nothing_to_do" } else { "done" };
            let mut result = json!({ "status": status });
            result[key] = json!(paths.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>());
            output.result(result);
            if paths.is_empty() { Ending::NothingToDo } else { Ending::Done }
        }
        Err(error) => output.problem(&problem::of_desktop(&error)),
    };
    let folders = host::user_folders();
    if remove {
        return reported(shortcut::remove(&context.home, folders.as_ref(), System::current()), "shortcut-removed", "removed");
    }
    let made = match (entry(context, own), &folders) {
        (Some(entry), Some(folders)) => shortcut::make(&entry, &context.home, folders, on_desktop, System::current()),
        _ => Err(DesktopError::NoFolder("a user's menu")),
    };
    let lacks_desktop = on_desktop && folders.as_ref().is_some_and(|folders| folders.desktop.is_none());
    if lacks_desktop && made.is_ok() {
        output.say(&output.texts.get("shortcut-no-desktop"));
    }
    reported(made, "shortcut-made", "written")
}

/// What comes after a start or an update, in the background: the shortcut follows the app's name and icon; after the first installation
/// one is made if the settings say so. What goes wrong is told in the log only.
pub fn follow(context: &Context, own: &SelfUpdate, was_empty: bool) {
    let wanted = was_empty && context.settings.desktop.shortcut;
    if !wanted && !shortcut::is_made(&context.home) {
        return;
    }
    let (Some(entry), Some(folders)) = (entry(context, own), host::user_folders()) else { return };
    if context.home.active().is_err() {
        return;
    }
    let done = if wanted {
        shortcut::make(&entry, &context.home, &folders, false, System::current())
    } else {
        shortcut::refresh(&entry, &context.home, &folders, System::current())
    };
    match done {
        Ok(written) if written.is_empty() => {}
        Ok(written) => tracing::info!(?written, "the shortcut is up to date"),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the shortcut stays as it is"),
    }
}

/// Uninstalls; asks what becomes of the user's files if somebody is there.
pub fn uninstall(context: &Context, own: &SelfUpdate, options: UninstallOptions, output: &Output) -> Ending {
    let name = name_of(context);
    let folder = context.home.root().display().to_string();
    let ask = |message: &str, usual: bool| ask(&output.texts.with(message, &[("app", &name), ("folder", &folder)]), usual);
    let attended = !options.unattended && !options.yes && std::io::stdin().is_terminal();
    if attended && !ask("uninstall-question", false) {
        output.say(&output.texts.get("uninstall-left"));
        return Ending::NothingToDo;
    }
    let keep_data = options.keep_data.unwrap_or_else(|| !attended || ask("uninstall-question-data", true));
    let folders = host::user_folders();
    let uninstall =
        Uninstall { home: &context.home, folders: folders.as_ref(), program: own.program(), keep_data, now: host::now() };
    match uninstall.perform() {
        Ok(done) => {
            output.say(&output.texts.with(if done.anything { "uninstall-done" } else { "uninstall-nothing" }, &[("app", &name)]));
            let tell = |message: &str, path: &std::path::Path| {
                output.say(&output.texts.with(message, &[("folder", &path.display().to_string())]));
            };
            done.retained.iter().for_each(|path| tell("uninstall-kept", path));
            done.foreign.iter().for_each(|path| tell("uninstall-foreign", path));
            if let Some(program) = own.program().filter(|_| done.anything) {
                tell("uninstall-launcher", program.path());
            }
            let paths =
                |paths: &[std::path::PathBuf]| paths.iter().map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>();
            let status = if done.anything { "done" } else { "nothing_to_do" };
            output.result(json!({ "status": status, "kept": paths(&done.retained), "foreign": paths(&done.foreign) }));
            if done.anything { Ending::Done } else { Ending::NothingToDo }
        }
        Err(DesktopError::Store(error @ StoreError::InUse { .. })) => {
            output.problem(&Problem::new(ProblemKind::AppRunning, name, &error))
        }
        Err(error) => output.problem(&problem::of_desktop(&error)),
    }
}

/// A question with yes or no as an answer; an empty one, or the end of the input, means `usual`.
fn ask(question: &str, usual: bool) -> bool {
    let mut out = std::io::stderr();
    let choice = if usual { "[Y/n]" } else { "[y/N]" };
    // Nobody can answer what cannot be shown; then the usual answer holds.
    let shown = write!(out, "{question} {choice} ").and_then(|()| out.flush());
    let mut answer = String::new();
    if shown.is_err() || std::io::stdin().lock().read_line(&mut answer).is_err() {
        return usual;
    }
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" | "是" => true,
        "n" | "no" | "否" => false,
        _ => usual,
    }
}

/// Whether nothing is installed yet.
pub fn is_empty(home: &Home) -> bool {
    home.active().is_err()
}
