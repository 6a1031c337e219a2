//! The pages.

use super::escape::{escaped, in_address};
use super::markdown::to_html;
use super::release::{Site, SiteRelease};
use super::words::{PageLanguage, Words};
use crate::installers::{Format, InstallerRecord};
use crate::model::made_file::DOWNLOAD_PAGE_ICON;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// The feed's name, beside the page.
pub(super) const FEED: &str = "feed.atom";
/// The icon's name, beside the page.
pub(super) const ICON: &str = DOWNLOAD_PAGE_ICON;

/// The page in one language.
pub(super) fn page(site: &Site, language: PageLanguage) -> String {
    let words = language.words();
    let title = escaped(&words.title.replace("{}", &site.name));
    let (newest, older) = match site.releases.split_first() {
        Some((newest, older)) => (newest_release(newest, language), older_releases(older, words)),
        None => (format!("<p>{}</p>\n", words.nothing), String::new()),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"{ICON}\">\n\
         <link rel=\"alternate\" type=\"application/atom+xml\" href=\"{FEED}\">\n\
         <link rel=\"alternate\" hreflang=\"{}\" href=\"{}\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><img src=\"{ICON}\" alt=\"\"><div><h1>{title}</h1><div>{}</div></div></header>\n\
         {}{newest}{older}<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        language.tag(),
        language.other().tag(),
        language.other().file_name(),
        escaped(&site.summary),
        links(site, language),
    )
}

fn links(site: &Site, language: PageLanguage) -> String {
    let words = language.words();
    let link = |address: &str, text: &str| format!("<a href=\"{}\">{text}</a>", escaped(address));
    let homepage = site.homepage.as_ref().map(|homepage| link(homepage.as_str(), words.homepage));
    let other = link(language.other().file_name(), words.other_language);
    let links: Vec<String> = homepage.into_iter().chain([link(FEED, words.feed), other]).collect();
    format!("<nav>{}</nav>\n", links.join(" "))
}

fn newest_release(release: &SiteRelease, language: PageLanguage) -> String {
    let words = language.words();
    let version = escaped(&words.newest.replace("{}", &release.version.to_string()));
    let notes = release.notes_in(language.tag()).map(|notes| {
        format!("<h3>{}</h3>\n<section lang=\"\">{}</section>\n", words.whats_new, to_html(notes))
    });
    format!(
        "<main id=\"newest\">\n<h2>{version} <small>{}</small></h2>\n{}<p><small>{}</small></p>\n{}</main>\n",
        release.day(),
        table(release, words),
        words.verify,
        notes.unwrap_or_default(),
    )
}

fn older_releases(releases: &[SiteRelease], words: &Words) -> String {
    if releases.is_empty() {
        return String::new();
    }
    let each: String = releases
        .iter()
        .map(|release| {
            let version = escaped(&release.version.to_string());
            format!(
                "<details id=\"v{version}\"><summary>{version} <small>{}</small></summary>\n{}</details>\n",
                release.day(),
                table(release, words)
            )
        })
        .collect();
    format!("<h2>{}</h2>\n{each}", words.older)
}

fn table(release: &SiteRelease, words: &Words) -> String {
    let mut installers: Vec<&InstallerRecord> = release.installers.iter().collect();
    installers.sort_by_key(|installer| place(installer.format));
    let rows: String = installers.into_iter().map(|it| row(it, words)).collect();
    format!(
        "<table>\n<thead><tr><th>{}</th><th>{}</th><th>SHA-256</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n",
        words.file, words.size
    )
}

/// The place in the table: of each system what most of its users want comes first.
fn place(format: Format) -> usize {
    const ORDER: [Format; 7] = [
        Format::Setup,
        Format::Portable,
        Format::Dmg,
        Format::App,
        Format::Deb,
        Format::Rpm,
        Format::Run,
    ];
    ORDER.iter().position(|other| *other == format).unwrap_or(ORDER.len())
}

fn row(installer: &InstallerRecord, words: &Words) -> String {
    let InstallerRecord { file, platform, length, hash, .. } = installer;
    let system = match installer.format {
        Format::Deb => words.debian,
        Format::Rpm => words.red_hat,
        Format::Run => words.any_linux,
        Format::Setup => words.windows,
        Format::Portable => words.windows_portable,
        Format::App => words.mac_archive,
        Format::Dmg => words.mac,
    };
    let kind = if installer.with_release { words.with_release } else { words.online };
    let is_arm = ["arm64", "aarch64", "ARM64"].contains(&platform.architecture.as_str());
    let name = escaped(file);
    format!(
        "<tr data-system=\"{}\" data-arm=\"{is_arm}\"><td><a href=\"{}\" download>{name}</a> \
         <span class=\"yours-note\" hidden>{}</span><br>{system} ({})<br><small>{kind}</small></td>\
         <td>{}</td><td><code>{hash}</code></td></tr>\n",
        escaped(&platform.os),
        in_address(file),
        words.for_you,
        escaped(&platform.architecture),
        size(*length),
    )
}

/// Megabytes with one digit behind the point.
fn size(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp as Time;

    use super::*;
    use crate::model::{Digest, Version};

    #[test]
    fn what_most_users_of_a_system_want_comes_first() {
        let record = |format: Format| InstallerRecord {
            file: format!("file.{}", format.name()),
            format,
            platform: format!("{}_x86_64", format.system()).parse().unwrap(),
            version: Version::new(1, 0, 0),
            channel: "stable".to_owned(),
            published: Time::UNIX_EPOCH,
            with_release: false,
            length: 1,
            hash: Digest::of(b""),
        };
        let release = SiteRelease {
            version: Version::new(1, 0, 0),
            published: Time::UNIX_EPOCH,
            notes: BTreeMap::new(),
            installers: Format::ALL.map(record).to_vec(),
        };
        let html = table(&release, PageLanguage::English.words());
        let names = html.split("href=\"file.").skip(1).map(|rest| rest.split('"').next().unwrap());
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["setup", "portable", "dmg", "app", "deb", "rpm", "run"]
        );
    }
}
