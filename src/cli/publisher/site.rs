//! `kuzflow site`: writes a download page and a feed for a folder of installers.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use url::Url;

use super::package::{INSTALLERS, product};
use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::project;
use crate::app::Ending;
use crate::installers::{InstallerRecord, installers_in};
use crate::publish::Project;
use crate::real_path;
use crate::site::{Site, SiteRelease, write_site};

/// The text below `kuzflow site --help`.
pub(super) const HELP: &str = "\
The page shows the installers that `kuzflow package` made, the newest version first, with sizes, digests and release notes, in English and
Chinese. It works without a script; with one it puts the visitor's own system first. Upload the folder to any web server.

Example: kuzflow site --url https://www.example.com/download/";

/// The arguments of `kuzflow site`.
#[derive(Debug, Args)]
pub(super) struct SiteArguments {
    /// The publisher's folder (the one that `init` made), or the repository in it; the one in or
    /// around the current folder if absent. No key is needed.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// The folder with the installers, into which the page is written; `installers` in the
    /// publisher's folder if absent.
    #[arg(long, value_name = "DIR")]
    installers: Option<PathBuf>,
    /// Where the folder will be, for the feed.
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
}

/// Writes the page.
pub(super) fn site(arguments: &SiteArguments, say: &Say) -> Result<Ending, VerbError> {
    let project = Project::open(&project::folder(arguments.repo.as_deref())?)?;
    let usual = || project.folder().join(INSTALLERS);
    let folder = arguments.installers.as_deref().map_or_else(usual, real_path::simplified);
    let installers = installers_in(&folder)?;
    if installers.is_empty() {
        let folder = folder.display();
        return Err(
            format!("there are no installers in {folder}; make them with kuzflow package").into()
        );
    }
    let published = project.releases()?;
    let newest = published.first().ok_or("no release is published")?;
    let product = product(&project, newest, None)?;
    let mut releases: Vec<SiteRelease> = Vec::new();
    for installer in installers {
        match releases.iter_mut().find(|release| release.version == installer.version) {
            Some(release) => release.installers.push(installer),
            None => releases.push(with_notes(&project, installer)?),
        }
    }
    let site = Site {
        name: product.display_name.clone(),
        summary: product.summary.clone(),
        publisher: product.publisher.name.clone(),
        homepage: product.homepage.clone(),
        identifier: product.identifier(),
        address: arguments.url.clone(),
        releases,
    };
    let written = write_site(&site, &product.icon.png(256).unwrap_or_default(), &folder)?;
    for path in &written {
        say.line(&path.display().to_string());
    }
    say.next(&format!("upload {} to your web server", project::typed(&folder)));
    say.result(json!({ "status": "done", "folder": folder, "files": written, "versions": site.releases.iter().map(|release| release.version.to_string()).collect::<Vec<_>>() }));
    Ok(Ending::Done)
}

/// A release of the page, with the notes that are still in the repository.
fn with_notes(project: &Project, installer: InstallerRecord) -> Result<SiteRelease, VerbError> {
    let notes = project.notes_of(&installer.version)?;
    Ok(SiteRelease {
        version: installer.version.clone(),
        published: installer.published,
        notes,
        installers: vec![installer],
    })
}
