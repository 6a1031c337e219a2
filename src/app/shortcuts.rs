//! The app's entry in the menu: its content, and how it follows the app after a start or an update.
//!
//! In: the app's active version, its settings, this launcher's own path. Out: `Entry`, and files
//! that `desktop` writes. Never: asks a person; the verbs do that.

use std::path::PathBuf;

use super::installation;
use super::program_list;
use super::self_update::SelfUpdate;
use crate::desktop::shortcut::{self, System};
use crate::desktop::{Action, Document, Entry, MenuTexts, OwnCall, autostart, icon};
use crate::environment::Environment;
use crate::error_chain;
use crate::gui::texts::{Language, Texts};
use crate::gui::{icons, letter};
use crate::host;
use crate::look;
use crate::model::document_type::DocumentType;
use crate::settings::Settings;
use crate::store::{Home, StoreError};

/// The app's name for people.
pub(crate) fn name_of(environment: &Environment) -> String {
    name_in(&environment.home, &environment.settings)
}

/// The app's name for people, from its active version, otherwise from the settings.
pub(crate) fn name_in(home: &Home, settings: &Settings) -> String {
    match home.active() {
        Ok((_, record)) => record.display_name,
        Err(_) if settings.display_name.is_empty() => settings.app.to_string(),
        Err(_) => settings.display_name.clone(),
    }
}

/// The icon of an app without its own icon, as PNG.
pub(crate) fn letter_of(name: &str) -> Option<Vec<u8>> {
    let picture = icons::window(&letter::icon(name));
    icon::png(picture.rgba, picture.width, picture.height)
}

/// How this home's shortcuts call the launcher; `None` if it does not know its own path.
pub(crate) fn own_call(environment: &Environment, own: &SelfUpdate) -> Option<OwnCall> {
    let app = environment.settings.app.as_str();
    let home = std::path::absolute(environment.home.root())
        .unwrap_or_else(|_| environment.home.root().to_owned());
    let id = shortcut::id(app, &home, installation::default_home(app).as_deref());
    let program = own.program()?.path().to_owned();
    Some(OwnCall { id, program, arguments: own.place() })
}

/// The present content of the shortcut.
pub(crate) fn entry(environment: &Environment, own: &SelfUpdate) -> Option<Entry> {
    let name = name_of(environment);
    let active = environment.home.active().ok().map(|(_, record)| record);
    let folder = active.as_ref().map(|record| environment.home.container(&record.container));
    let released = active.and_then(|record| {
        let icon = record.icon?;
        Some((icon.under(&folder?), icon.is_under("metadata")))
    });
    // An SVG beside a PNG of the app's own folder is the app's business.
    let files =
        released.into_iter().chain(environment.settings.icon.clone().map(|file| (file, true)));
    let mut found = files.filter_map(|(file, is_paired)| {
        let png = look::read(&file, look::SMALL).ok().flatten()?;
        let scalable = file.with_extension("svg");
        icon::read(&png)?;
        Some((png, is_paired.then(|| look::read(&scalable, look::SMALL).ok().flatten()).flatten()))
    });
    let (icon, scalable_icon) = found
        .next()
        .unwrap_or_else(|| (letter_of(&name).unwrap_or_else(|| icons::LAUNCHER.to_vec()), None));
    let MenuTexts { comments, bundle_names, actions } = menu_texts(&name);
    let app = environment.settings.app.as_str();
    let OwnCall { id, program, arguments } = own_call(environment, own)?;
    Some(Entry {
        id,
        comments,
        bundle_names,
        actions,
        keywords: vec![app.to_owned()],
        categories: vec!["Utility".to_owned()],
        program,
        arguments,
        window_class: app.to_owned(),
        documents: documents(&environment.settings),
        icon,
        scalable_icon,
        name,
    })
}

/// The documents that the app opens. A picture that cannot be read is left out: the app's icon
/// takes its place.
fn documents(settings: &Settings) -> Vec<Document> {
    // The settings are checked when they are read.
    let types = DocumentType::all(&settings.desktop.documents, &settings.app).unwrap_or_default();
    let picture = |path: &PathBuf| {
        look::read(path, look::SMALL).ok().flatten().filter(|png| icon::read(png).is_some())
    };
    types
        .into_iter()
        .map(|kind| Document { icon: kind.icon.as_ref().and_then(picture), kind })
        .collect()
}

/// The texts of the menu entry of an app with this name.
pub(crate) fn menu_texts(name: &str) -> MenuTexts {
    let in_each = |message: &str| {
        // The first is for readers of all other languages.
        let each = [("", Language::English), (Language::Chinese.tag(), Language::Chinese)];
        each.map(|(tag, language)| {
            (tag.to_owned(), Texts::new(language).with(message, &[("app", name)]))
        })
        .to_vec()
    };
    let actions =
        [("versions", "--versions", "shortcut-versions"), ("check", "--check", "shortcut-check")];
    MenuTexts {
        comments: in_each("shortcut-comment"),
        bundle_names: in_each("shortcut-bundle"),
        actions: actions
            .map(|(id, option, name)| Action {
                id,
                words: vec!["window", option],
                names: in_each(name),
            })
            .to_vec(),
    }
}

/// Background work after a start or an update: the shortcut and the start at login follow the app's
/// name and icon, and the launcher's place; the list of installed programs follows its version.
/// After the first installation a shortcut is made if the settings say so. Errors are only logged.
pub(crate) fn follow(environment: &Environment, own: &SelfUpdate, was_empty: bool) {
    program_list::follow(environment, own, was_empty);
    let home = &environment.home;
    let wanted = was_empty && environment.settings.desktop.shortcut;
    if !wanted && !shortcut::is_made(home) && !autostart::is_made(home) {
        return;
    }
    let (Some(entry), Some(folders)) = (entry(environment, own), host::user_folders()) else {
        return;
    };
    if environment.home.active().is_err() {
        return;
    }
    if let Err(error) = autostart::refresh(&entry, home, &folders, System::current()) {
        tracing::warn!(error = error_chain::line(&error), "the start at login stays as it is");
    }
    let done = if wanted {
        shortcut::make(&entry, home, &folders, false, System::current())
    } else {
        shortcut::refresh(&entry, home, &folders, System::current())
    };
    match done {
        Ok(written) if written.is_empty() => {}
        Ok(written) => tracing::info!(?written, "the shortcut is up to date"),
        Err(error) => {
            tracing::warn!(error = error_chain::line(&error), "the shortcut stays as it is")
        }
    }
}

/// Whether nothing is installed yet, as far as is known.
pub(crate) fn is_empty(home: &Home) -> bool {
    matches!(home.active(), Err(StoreError::NothingInstalled { .. }))
}
