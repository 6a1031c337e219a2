//! Markdown files as the tests see them: links, anchors, code.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A Markdown file.
pub struct Page {
    pub path: PathBuf,
    pub text: String,
    pub links: Vec<String>,
    pub anchors: BTreeSet<String>,
    pub code_spans: Vec<String>,
    pub code_blocks: Vec<CodeBlock>,
}

/// A block of code: the words after the fence, and the lines.
pub struct CodeBlock {
    pub words: String,
    pub text: String,
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of the repository.
pub fn pages() -> Vec<Page> {
    let mut files = Vec::new();
    super::files_below(&root(), &[".md"], &mut files);
    // Release notes of the sample app belong to that app.
    files.retain(|path| !path.starts_with(root().join("assets/demo")));
    files.sort();
    files.iter().map(|path| Page::read(path)).collect()
}

impl Page {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let mut page = Self {
            path: path.to_owned(),
            text: text.clone(),
            links: Vec::new(),
            anchors: BTreeSet::new(),
            code_spans: Vec::new(),
            code_blocks: Vec::new(),
        };
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut heading: Option<String> = None;
        let mut block: Option<CodeBlock> = None;
        for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let count = seen.entry(slug.clone()).or_default();
                    page.anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
                    *count += 1;
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.to_string())
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let words = if let CodeBlockKind::Fenced(words) = kind {
                        words.to_string()
                    } else {
                        String::new()
                    };
                    block = Some(CodeBlock { words, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => page.code_blocks.extend(block.take()),
                Event::Text(part) => match (&mut block, &mut heading) {
                    (Some(block), _) => block.text.push_str(&part),
                    (None, Some(heading)) => heading.push_str(&part),
                    _ => {}
                },
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    page.code_spans.push(code.to_string());
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    let id = html.split("id=\"").nth(1).and_then(|rest| rest.split('"').next());
                    page.anchors.extend(id.map(ToOwned::to_owned));
                }
                _ => {}
            }
        }
        page
    }

    /// Links to a missing file, or to a missing heading of a file.
    pub fn broken_links(&self, pages: &[Self]) -> Vec<String> {
        self.links
            .iter()
            .filter_map(|link| {
                self.fault(link, pages).map(|why| format!("{}: {link}: {why}", self.path.display()))
            })
            .collect()
    }

    /// The files that links lead to.
    pub fn linked_files(&self) -> Vec<PathBuf> {
        self.links
            .iter()
            .filter(|link| !is_elsewhere(link))
            .map(|link| self.target(link).0)
            .collect()
    }

    fn target(&self, link: &str) -> (PathBuf, Option<String>) {
        let (file, anchor) = link
            .split_once('#')
            .map_or((link, None), |(file, anchor)| (file, Some(anchor.to_owned())));
        if file.is_empty() {
            return (self.path.clone(), anchor);
        }
        let mut path = self.path.parent().unwrap().to_owned();
        for part in Path::new(file) {
            match part.to_str() {
                Some("..") => drop(path.pop()),
                Some(".") | None => {}
                Some(name) => path.push(name),
            }
        }
        (path, anchor)
    }

    fn fault(&self, link: &str, pages: &[Self]) -> Option<&'static str> {
        if is_elsewhere(link) {
            return None;
        }
        let (path, anchor) = self.target(link);
        if !path.starts_with(root()) || !path.exists() {
            return Some("there is no such file");
        }
        let anchor = anchor?;
        let page = pages.iter().find(|page| page.path == path)?;
        (!page.anchors.contains(&anchor)).then_some("there is no such heading")
    }
}

/// A link to another site, which the tests do not visit.
fn is_elsewhere(link: &str) -> bool {
    ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme))
}

/// The anchor of a heading where Markdown is shown: letters, digits, `-` and `_`; blanks become
/// `-`.
fn slug(heading: &str) -> String {
    let retained = heading.to_lowercase();
    retained
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn headings_become_anchors_as_where_they_are_shown() {
    assert_eq!(slug("The user's files"), "the-users-files");
    assert_eq!(slug("[[nodes]]"), "nodes");
    assert_eq!(slug("kuzflow serve"), "kuzflow-serve");
    assert_eq!(slug("A `check`, and 2 more: yes"), "a-check-and-2-more-yes");
    assert_eq!(slug("第一步：应用"), "第一步应用");
}
