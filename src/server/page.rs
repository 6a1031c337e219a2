//! The page for a person who opens the server's address in a browser: it says that this is an
//! update server, for which app, and with which versions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse};

use super::html::escaped;
use super::state::ServerState;
use crate::model::{Release, Version};

/// `GET /`.
pub(super) async fn front(State(shared): State<ServerState>) -> impl IntoResponse {
    let catalogue = shared.repository.catalogue().await;
    let page = page(catalogue.releases.iter().map(|signed| &signed.release));
    let fields = [
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (fields, Html(page))
}

/// The newest release of each app, channel and platform that is open to all users.
fn page<'a>(releases: impl Iterator<Item = &'a Release>) -> String {
    let mut newest: BTreeMap<(&str, &str, String), &Version> = BTreeMap::new();
    for release in releases.filter(|release| !release.halted && release.rollout_permille == 1000) {
        let container = &release.container;
        let key = (
            release.display_name.as_str(),
            release.channel.as_str(),
            container.platform.to_string(),
        );
        let known = newest.entry(key).or_insert(&container.version);
        *known = (*known).max(&container.version);
    }
    let mut names: Vec<&str> = newest.keys().map(|(name, ..)| *name).collect();
    names.dedup();
    let title = if names.is_empty() {
        "Update server".to_owned()
    } else {
        format!("{} – updates", escaped(&names.join(", ")))
    };
    let mut rows = String::new();
    for ((name, channel, platform), version) in &newest {
        let cells = [*name, &version.to_string(), channel, platform]
            .map(|cell| format!("<td>{}</td>", escaped(cell)))
            .concat();
        // Writing into a string does not fail.
        let _ = writeln!(rows, "<tr>{cells}</tr>");
    }
    let content = if rows.is_empty() {
        "<p>Nothing is published yet.</p>".to_owned()
    } else {
        format!(
            "<table>\n<tr><th>App</th><th>Version</th><th>Channel</th><th>Platform</th></tr>\n{rows}</table>"
        )
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <style>body{{font:16px/1.5 system-ui,sans-serif;margin:3em auto;max-width:40em;padding:0 1em}}\
         td,th{{text-align:left;padding:.2em 1.5em .2em 0}}</style></head>\n\
         <body><h1>{title}</h1>\n<p>This is an update server. The app fetches its updates from here by itself; there is nothing to do on this page.</p>\n\
         {content}\n</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(version: &str, name: &str) -> Release {
        Release { display_name: name.to_owned(), ..Release::sample(version) }
    }

    #[test]
    fn the_page_names_the_app_and_what_all_may_have() {
        let halted = Release { halted: true, ..release("3.0.0", "示例") };
        let page =
            page([&release("1.10.0", "示例"), &release("1.9.0", "示例"), &halted].into_iter());
        assert!(
            page.contains("示例 – updates")
                && page.contains("<td>1.10.0</td>")
                && page.contains("update server")
        );
        assert!(!page.contains("1.9.0") && !page.contains("3.0.0"));
    }

    #[test]
    fn names_are_text_and_an_empty_repository_is_reported() {
        let page = page([&release("1.0.0", "<script>alert(\"1\")</script>")].into_iter());
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        assert!(super::page(std::iter::empty()).contains("Nothing is published yet"));
    }
}
