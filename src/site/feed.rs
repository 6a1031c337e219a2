//! The Atom feed: one entry a release.

use super::escape::escaped;
use super::markdown::to_html;
use super::page::FEED;
use super::release::Site;
use super::words::PageLanguage;

/// The feed.
pub(super) fn feed(site: &Site) -> String {
    let page = PageLanguage::English.file_name();
    let place = |name: &str| match &site.address {
        Some(address) => address.join(name).map_or_else(|_| name.to_owned(), String::from),
        None => name.to_owned(),
    };
    let id = escaped(&site.identifier);
    // A feed without an entry was updated at no time.
    let updated = site.releases.iter().map(|release| release.published).max().unwrap_or_default();
    let entries: String = site
        .releases
        .iter()
        .map(|release| {
            let version = escaped(&release.version.to_string());
            let notes = release.notes_in(PageLanguage::English.tag()).map(to_html).unwrap_or_default();
            format!(
                "  <entry>\n    <id>urn:kuzflow:{id}:{version}</id>\n    <title>{} {version}</title>\n    <updated>{}</updated>\n    \
                 <link href=\"{}\"/>\n    <content type=\"html\">{}</content>\n  </entry>\n",
                escaped(&site.name),
                release.published,
                escaped(&place(page)),
                escaped(&notes)
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n  <id>urn:kuzflow:{id}</id>\n  \
         <title>{}</title>\n  <author><name>{}</name></author>\n  <updated>{updated}</updated>\n  <link rel=\"self\" href=\"{}\"/>\n  \
         <link href=\"{}\"/>\n{entries}</feed>\n",
        escaped(&site.name),
        escaped(&site.publisher),
        escaped(&place(FEED)),
        escaped(&place(page))
    )
}
