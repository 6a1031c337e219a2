//! The download page: a folder of files that any web server can serve beside the installers.
//!
//! In: the app's names, the releases with their notes, the installers. Out: two pages (English and
//! Chinese) that link to each other, and an Atom feed. Never: needs a script (one only puts the
//! visitor's own system first); loads anything from elsewhere; passes HTML of release notes on.
//!
//! ```text
//! page   the pages      feed       news for feed readers
//! words  both languages markdown   release notes as HTML     release   what pages and feed show
//! write  the files into the folder         escape     signs of HTML and of addresses
//! ```

mod escape;
mod feed;
mod markdown;
mod page;
mod release;
mod words;
mod write;

pub(crate) use release::{Site, SiteRelease};
pub(crate) use write::write_site;
