//! Holds the Chinese guide beside the English one, so that neither falls behind the other.
//!
//! In: the pages of both languages. Out: where a page lacks a block, a name in code or a link.
//! Never: a judgement on the words between them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::pages::{CodeBlock, Page, root};

const ENGLISH: &str = "docs/guide";
const CHINESE: &str = "docs/zh-CN/guide";

/// A page in both languages.
struct Pair {
    name: String,
    english: Page,
    chinese: Page,
}

impl Pair {
    fn read(english: &str, chinese: &str) -> Self {
        let page = |path: &str| Page::read(&root().join(path));
        Self { name: chinese.to_owned(), english: page(english), chinese: page(chinese) }
    }

    /// Each difference of what `part` takes from both pages.
    fn differences(&self, part: impl Fn(&Page) -> BTreeSet<String>) -> Vec<String> {
        let (english, chinese) = (part(&self.english), part(&self.chinese));
        let lacks = english.difference(&chinese).map(|it| format!("{} lacks {it}", self.name));
        let adds = chinese.difference(&english).map(|it| format!("{} adds {it}", self.name));
        lacks.chain(adds).collect()
    }
}

fn names(folder: &str) -> BTreeSet<String> {
    let files = fs::read_dir(root().join(folder)).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

fn pairs() -> Vec<Pair> {
    let guide = names(ENGLISH)
        .into_iter()
        .map(|name| Pair::read(&format!("{ENGLISH}/{name}"), &format!("{CHINESE}/{name}")));
    guide.chain([Pair::read("README.md", "README.zh-CN.md")]).collect()
}

/// What a page is built of, in order. A block of code counts with its text but without its
/// comments, which each page has in its own language.
fn blocks(page: &Page) -> Vec<String> {
    let mut code = page.code_blocks.iter();
    Parser::new_ext(&page.text, Options::ENABLE_TABLES)
        .filter_map(|event| match event {
            Event::Start(Tag::Heading { level, .. }) => Some(format!("a heading {level}")),
            Event::Start(Tag::Paragraph) => Some("a paragraph".to_owned()),
            Event::Start(Tag::Item) => Some("an item of a list".to_owned()),
            Event::Start(Tag::TableRow) => Some("a row of a table".to_owned()),
            Event::Start(Tag::CodeBlock(_)) => code.next().map(without_comments),
            _ => None,
        })
        .collect()
}

fn without_comments(block: &CodeBlock) -> String {
    let lines = block.text.lines().map(|line| {
        let comment = if line.starts_with("# ") { Some(0) } else { line.find(" # ") };
        line[..comment.unwrap_or(line.len())].trim_end()
    });
    format!("code `{}`\n{}", block.words, lines.collect::<Vec<_>>().join("\n"))
}

/// Files that a page links to, whatever their language. Pictures show a window in one language.
fn linked(page: &Page) -> BTreeSet<String> {
    let without_language = |path: &Path| {
        let path = path.strip_prefix(root()).unwrap().to_str().unwrap();
        let path = path.replace('\\', "/");
        path.replace("docs/zh-CN/", "docs/").replace(".zh-CN.md", ".md")
    };
    let own = without_language(&page.path);
    let files = page.linked_files();
    let files = files.iter().map(|path| without_language(path));
    files.filter(|path| *path != own && !path.starts_with("assets/screenshots/")).collect()
}

#[test]
fn every_page_of_the_guide_is_there_in_both_languages() {
    assert!(names(ENGLISH).len() >= 10, "the guide has moved");
    assert_eq!(names(ENGLISH), names(CHINESE));
}

#[test]
fn both_languages_have_the_same_headings_paragraphs_rows_and_code() {
    for pair in pairs() {
        let (english, chinese) = (blocks(&pair.english), blocks(&pair.chinese));
        for (place, (expected, found)) in english.iter().zip(&chinese).enumerate() {
            assert_eq!(found, expected, "{}: block {place}", pair.name);
        }
        assert_eq!(chinese.len(), english.len(), "{}: blocks", pair.name);
    }
}

#[test]
fn both_languages_name_the_same_commands_settings_and_pages() {
    let spans = |page: &Page| page.code_spans.iter().cloned().collect();
    let differences: Vec<String> = pairs()
        .iter()
        .flat_map(|pair| [pair.differences(spans), pair.differences(linked)].concat())
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_comment_in_code_does_not_count_and_a_setting_does() {
    let code = |text: &str| {
        without_comments(&CodeBlock { words: "toml".to_owned(), text: text.to_owned() })
    };
    assert_eq!(code("# one\nname = 1   # two\n"), code("# 一\nname = 1 # 二\n"));
    assert_ne!(code("name = 1\n"), code("name = 2\n"));
    assert_ne!(code("#level = 19   # hard\n"), code("#level = 12   # hard\n"));
}
