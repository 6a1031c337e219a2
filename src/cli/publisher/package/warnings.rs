//! What installers would bring and users would wonder at: said, and nothing is stopped by it.
//!
//! In: the publisher's settings. Out: lines on standard error. Never: a refusal, but for settings
//! that cannot be read.

use std::path::Path;

use crate::app::streams::error_line;
use crate::installers::Product;
use crate::publish::Project;
use crate::settings::{Settings, SettingsError};

/// Warns of what the icons lack that are drawn from an SVG.
pub(super) fn of_icon(project: &Project, product: Option<&Product>) {
    let icon = project.settings().recipe.icon.as_deref().unwrap_or(Path::new("icon"));
    if let Some(reason) = product.and_then(|product| product.icon.warning()) {
        error_line(&format!("warning: {} {reason}", icon.display()));
    }
}

/// Warns of words that package managers and people look for, and that only the publisher knows.
pub(super) fn of_missing_words(project: &Project) {
    let recipe = &project.settings().recipe;
    let has_address = recipe.publisher.as_ref().is_some_and(|publisher| publisher.contains('<'));
    let missing: Vec<&str> = [
        (!has_address, "publisher (\"Name <address>\")"),
        (recipe.description.trim().is_empty(), "description"),
    ]
    .into_iter()
    .filter_map(|(is_missing, name)| is_missing.then_some(name))
    .collect();
    if !missing.is_empty() {
        error_line(&format!(
            "warning: [app] in kuzflow.toml has no {}; installers put the app's name there, and tools that check packages object",
            missing.join(" and no ")
        ));
    }
}

/// Warns of what users would notice: a launcher that only asks this computer, and another name of
/// the app than the one in kuzflow.toml.
pub(super) fn of_settings(project: &Project) -> Result<(), SettingsError> {
    let path = project.launcher_folder().join("launcher.toml");
    let settings = Settings::read(&path)?;
    let name = &project.settings().display_name;
    // An installer puts the name there if none stands there, or only the app's own.
    let has_name =
        !settings.display_name.is_empty() && settings.display_name != settings.app.as_str();
    if has_name && settings.display_name != *name {
        error_line(&format!(
            "warning: {} calls the app {:?}, kuzflow.toml calls it {name:?}; the launcher's windows will show the first until a release is installed",
            path.display(),
            settings.display_name
        ));
    }
    let is_local = |url: &url::Url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if settings.nodes.iter().all(|node| is_local(&node.url)) {
        error_line(&format!(
            "warning: {} names only this computer; put the address of your server there before others get the installers",
            path.display()
        ));
    }
    Ok(())
}
