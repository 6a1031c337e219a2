//! The texts of a package for Linux: AppStream's description, copyright, manual page, changes.
//! Pure.

use super::format::tilde;
use super::product::Product;
use crate::desktop::freedesktop::xml;

/// The licence of the launcher, which is part of every package.
const LAUNCHER_LICENSE: &str = include_str!("../../LICENSE-MIT");
/// The licence of the fonts in the launcher.
const FONTS_LICENSE: &str = include_str!("../../assets/fonts/OFL.txt");

/// What the package says of itself, below its one line.
pub(super) fn description(product: &Product) -> String {
    format!(
        "{} is installed and kept up to date for each user by the launcher in this package. \
         The first start installs the app into the user's own folder; every update is verified \
         against its publisher's signatures.",
        product.display_name
    )
}

/// AppStream's description, by which software centres show the app.
pub(super) fn metainfo(product: &Product) -> String {
    let name = product.package_name();
    let element = |tag: &str, text: &str| format!("  <{tag}>{}</{tag}>\n", xml(text));
    let mut text =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<component type=\"desktop-application\">\n"
            .to_owned();
    text += &element("id", &product.identifier());
    text += &element("metadata_license", "FSFAP");
    text += &element("project_license", &product.license);
    text += &element("name", &product.display_name);
    text += &element("summary", &product.summary);
    text +=
        &format!("  <description>\n    <p>{}</p>\n  </description>\n", xml(&description(product)));
    text += &format!("  <launchable type=\"desktop-id\">{name}.desktop</launchable>\n");
    if let Some(homepage) = &product.homepage {
        text += &format!("  <url type=\"homepage\">{}</url>\n", xml(homepage.as_str()));
    }
    // Software centres older than 2024 read only this element, newer ones read it as well.
    text += &element("developer_name", &product.publisher.name);
    let types = product
        .documents
        .iter()
        .map(|document| format!("    <mediatype>{}</mediatype>\n", xml(&document.kind.mime)));
    let types: String = types.collect();
    text += &format!("  <provides>\n    <binary>{name}</binary>\n{types}  </provides>\n");
    text += "  <content_rating type=\"oars-1.1\"/>\n";
    let (version, day) = (product.version.to_string(), day(product));
    text += &format!(
        "  <releases>\n    <release version=\"{}\" date=\"{day}\"/>\n  </releases>\n</component>\n",
        xml(&version)
    );
    text
}

fn day(product: &Product) -> jiff::civil::Date {
    product.time.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Whose work the package is, and under which licences.
pub(super) fn copyright(product: &Product) -> String {
    let name = &product.display_name;
    format!(
        "This package has two works: {name}, and the launcher that installs and updates it.\n{}\n\
         {}\n\
         The launcher (Kuzflow Launcher)\n\n{LAUNCHER_LICENSE}\n\
         The fonts in the launcher (Noto Sans CJK)\n\n{FONTS_LICENSE}",
        homepage_line(product),
        work(product)
    )
}

/// The same for a package of tools, which is one work.
pub(super) fn tools_copyright(product: &Product) -> String {
    format!("{}{}", homepage_line(product), work(product))
}

fn homepage_line(product: &Product) -> String {
    product.homepage.as_ref().map(|url| format!("Homepage: {url}\n")).unwrap_or_default()
}

/// The publisher's own work: its name, whose it is, its licence.
fn work(product: &Product) -> String {
    let licence = match &product.license_text {
        Some(text) => text.trim_end().to_owned(),
        None => format!("Licence: {}", product.license),
    };
    format!("{}\n\n{}\n\n{licence}\n", product.display_name, product.copyright)
}

/// The manual page of the command.
pub(super) fn manual(product: &Product) -> String {
    let (name, version) = (product.package_name(), &product.version);
    let day = day(product);
    let line = |text: &str| roff(text);
    format!(
        ".TH {} 1 {day} \"{version}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n[\\fIrun\\fR [\\fIargument\\fR ...]]\n.br\n.B {}\n\
         \\fIcheck\\fR | \\fIupdate\\fR | \\fIlist\\fR | \\fIrollback\\fR | \\fIuninstall\\fR\n.SH DESCRIPTION\n\
         Starts {} and keeps it up to date. The first start installs it into the folder of the user.\n\
         .B {} \\-\\-help\nlists all verbs and options.\n",
        line(&name.to_uppercase()),
        line(&name),
        line(&product.summary),
        line(&name),
        line(&name),
        line(&product.display_name),
        line(&name),
    )
}

/// Text in a manual page, without its signs.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-").replace('"', "\\(dq");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

/// The list of changes in Debian's form; `more` says where to read what is new.
pub(super) fn changes(product: &Product, more: &str) -> String {
    // The form asks for a place for an address, also where there is none.
    let address = if product.publisher.email.is_none() { " <>" } else { "" };
    let author = maintainer(product) + address;
    let time = product.time.strftime("%a, %d %b %Y %H:%M:%S +0000");
    format!(
        "{} ({}) stable; urgency=medium\n\n  * Version {} of {}.{more}\n\n -- {}  {time}\n",
        product.package_name(),
        tilde(product),
        product.version,
        product.display_name,
        author,
    )
}

/// The one line about the app as lists of packages want it: without an article.
pub(super) fn synopsis(product: &Product) -> String {
    let summary = product.summary.as_str();
    let bare = ["A ", "An ", "The "].iter().find_map(|article| summary.strip_prefix(article));
    let bare = bare.unwrap_or(summary).trim_start();
    let mut signs = bare.chars();
    let first = signs.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + signs.as_str()
}

/// Who answers mail about the package.
pub(super) fn maintainer(product: &Product) -> String {
    let publisher = &product.publisher;
    match &publisher.email {
        // A name with other signs stands in quotes, as in mail.
        Some(email) if publisher.name.contains(|c: char| "()<>[]:;@\\,.\"".contains(c)) => {
            format!("\"{}\" <{email}>", publisher.name.replace('"', "'"))
        }
        Some(email) => format!("{} <{email}>", publisher.name),
        None => publisher.name.clone(),
    }
}

/// The version of the GNU C library that `program` needs; `None` if it needs none.
///
/// A program names each version of a symbol that it uses, `GLIBC_2.34`, as text of its dynamic
/// section; no other text in a program has this form, and a higher one would only ask for more.
pub(super) fn needed_c_library(program: &[u8]) -> Option<(u32, u32)> {
    const PREFIX: &[u8] = b"GLIBC_";
    let mut newest = None;
    let mut rest = program;
    while let Some(at) = rest.windows(PREFIX.len()).position(|window| window == PREFIX) {
        rest = &rest[at + PREFIX.len()..];
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
        let version = std::str::from_utf8(&rest[..end]).ok().and_then(numbers);
        newest = newest.max(version);
    }
    newest
}

fn numbers(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    let version = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    // Symbols of 2.2.5 need no newer library than those of 2.2.
    Some(version)
}

/// Whether `program` loads the library of this name when it starts.
pub(super) fn needs_library(program: &[u8], name: &str) -> bool {
    let text: Vec<u8> = name.bytes().chain([0]).collect();
    program.windows(text.len()).any(|window| window == text)
}

#[cfg(test)]
mod tests {
    use super::super::product::tests::sample;
    use super::*;

    #[test]
    fn the_newest_symbol_decides_which_c_library_is_needed() {
        let program = b"\0GLIBC_2.2.5\0GLIBC_2.34\0libgcc_s.so.1\0GLIBC_2.9\0GLIBC_PRIVATE\0GLIBC_";
        assert_eq!(needed_c_library(program), Some((2, 34)));
        assert_eq!(needed_c_library(b"static"), None);
        assert!(needs_library(program, "libgcc_s.so.1") && !needs_library(program, "libgcc_s.so"));
    }

    #[test]
    fn texts_cannot_break_out_of_their_place() {
        let product = Product {
            display_name: "A <b> & \"c\"".to_owned(),
            summary: ".TH \\evil -x".to_owned(),
            ..sample()
        };
        assert!(metainfo(&product).contains("<name>A &lt;b&gt; &amp; &quot;c&quot;</name>"));
        assert!(manual(&product).contains("\\- \\&.TH \\eevil \\-x\n"));
        assert!(copyright(&product).contains("Permission is granted."));
    }

    #[test]
    fn lists_of_packages_begin_with_no_article() {
        let line = |summary: &str| synopsis(&Product { summary: summary.to_owned(), ..sample() });
        assert_eq!(line("An editor"), "Editor");
        assert_eq!(line("Analyses things"), "Analyses things");
        assert_eq!(line("编辑器"), "编辑器");
    }
}
