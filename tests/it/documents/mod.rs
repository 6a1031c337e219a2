//! Compares the documents with the programs: links, the reference, commands, citations, and the
//! guide's first app as the page has it.
//!
//! ```text
//! pages       the Markdown files, their links and anchors
//! reference   verbs, options and settings
//! translation the Chinese guide beside the English one
//! walk        the guide's first app, typed by a machine
//! ```

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod five_commands;
mod pages;
mod reference;
mod translation;
#[cfg(unix)]
mod walk;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pages::{Page, pages, root};

/// Files below `folder` with one of these endings, without other repositories and the build's
/// output.
fn files_below(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            if !name.starts_with('.')
                && !["target", "suite", "node_modules"].contains(&name.as_str())
            {
                files_below(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for folder in
        ["src", "tests", "examples", "benches", "fuzz", "packaging", "crates", "assets/runtime"]
    {
        files_below(&root().join(folder), &[".rs", ".py", ".sh", ".service", ".conf"], &mut files);
    }
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Numbers after `word` or `words` in a text: `fault 4`, `faults 6, 16 and 27`, `faults 11 to 13`.
fn numbers_behind(text: &str, word: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(word) {
        let mut rest = text[at + word.len()..].trim_start_matches('s');
        loop {
            let number: String =
                rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
            let Ok(value) = number.parse() else { break };
            found.insert(value);
            rest = &rest.trim_start()[number.len()..];
            let next =
                [", ", " and ", " to "].iter().find_map(|between| rest.strip_prefix(between));
            let Some(behind) = next else { break };
            rest = behind;
        }
    }
    found
}

#[test]
fn links_and_anchors_resolve() {
    let pages = pages();
    assert!(pages.len() > 30, "{} pages", pages.len());
    let broken: Vec<String> = pages.iter().flat_map(|page| page.broken_links(&pages)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A reader who opens the folder in an editor can reach every page from the first one.
#[test]
fn every_page_is_reached_from_the_readme() {
    let pages = pages();
    let mut reached: BTreeSet<PathBuf> = BTreeSet::from([root().join("README.md")]);
    loop {
        let next: BTreeSet<PathBuf> = pages
            .iter()
            .filter(|page| reached.contains(&page.path))
            .flat_map(Page::linked_files)
            .collect();
        let before = reached.len();
        reached.extend(next);
        if reached.len() == before {
            break;
        }
    }
    let lost: Vec<&PathBuf> = pages
        .iter()
        .map(|page| &page.path)
        .filter(|path| path.starts_with(root().join("docs")) && !reached.contains(*path))
        .collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}

#[test]
fn the_readme_is_short() {
    for name in ["README.md", "README.zh-CN.md"] {
        let length = fs::metadata(root().join(name)).unwrap().len();
        assert!(
            length <= 6144,
            "{name} has {length} bytes, 6144 are allowed: move a part of it into docs/"
        );
    }
}

#[test]
fn no_document_names_a_machine() {
    let hosts = [("crates", "io"), ("pypi", "org"), ("npmjs", "org")]
        .map(|(name, end)| format!("{name}.{end}"));
    let folders = ["root", "home"].map(|name| format!("/{name}/"));
    let foreign = hosts.into_iter().chain(folders).collect::<Vec<_>>();
    let found: Vec<String> = pages()
        .iter()
        .flat_map(|page| {
            let named = foreign.iter().filter(|name| page.text.contains(name.as_str()));
            named.map(|name| format!("{}: {name}", page.path.display())).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// `fault 11` and `promise 1` in sources name lines of docs/security.md, and a path of a page names
/// an existing page.
#[test]
fn citations_lead_somewhere() {
    let security = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let specification = fs::read_to_string(root().join("docs/internals/specification.md")).unwrap();
    let mut lost = Vec::new();
    let mut cited = BTreeSet::new();
    for (path, text) in sources() {
        if path.starts_with(root().join("tests/it/documents")) {
            continue;
        }
        for (word, anchor) in
            [("docs/security.md, fault", "fault"), ("docs/security.md, promise", "promise")]
        {
            for number in numbers_behind(&text, word) {
                cited.insert((anchor, number));
                if !security.contains(&format!("<a id=\"{anchor}-{number}\"></a>")) {
                    lost.push(format!("{}: {anchor} {number}", path.display()));
                }
            }
        }
        if text.contains("FAULTS ") {
            lost.push(format!("{}: write `docs/security.md, fault N`", path.display()));
        }
        for (at, _) in text.match_indices("its section ") {
            let section: String =
                text[at + 12..].chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            if !specification.contains(&format!("| {} |", section.trim_end_matches('.'))) {
                lost.push(format!("{}: section {section} of the specification", path.display()));
            }
        }
        for (at, _) in text.match_indices("docs/") {
            let page: String = text[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "/-_.".contains(*c))
                .collect();
            let page = page.trim_end_matches('.');
            let ours = [
                "docs/guide/",
                "docs/reference/",
                "docs/operations/",
                "docs/internals/",
                "docs/security",
                "docs/glossary",
            ];
            if ours.iter().any(|start| page.starts_with(start)) && !root().join(page).is_file() {
                lost.push(format!("{}: {page}", path.display()));
            }
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(cited.len() > 20, "the citations are no longer found: {cited:?}");
}

/// A test that a document names as a proof exists.
#[test]
fn proofs_are_there() {
    let code: String = sources().into_iter().map(|(_, text)| text).collect();
    let mut missing = Vec::new();
    for name in
        ["docs/security.md", "docs/internals/architecture.md", "docs/internals/home-layout.md"]
    {
        let page = Page::read(&root().join(name));
        for span in &page.code_spans {
            let is_test = span.matches('_').count() >= 3
                && span.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if is_test
                && !code.contains(&format!("fn {span}("))
                && !code.contains(&format!("def {span}("))
            {
                missing.push(format!("{name}: {span}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The reference lists every address that the server answers.
#[test]
fn every_route_is_in_the_reference() {
    let server = fs::read_to_string(root().join("src/server/mod.rs")).unwrap();
    let reference = fs::read_to_string(root().join("docs/reference/http-api.md")).unwrap();
    let routes: Vec<&str> =
        server.match_indices(".route(\"").map(|(at, found)| &server[at + found.len()..]).collect();
    let routes: Vec<&str> = routes.into_iter().filter_map(|rest| rest.split('"').next()).collect();
    assert!(routes.len() >= 10, "{routes:?}");
    let missing: Vec<&&str> = routes.iter().filter(|route| !reference.contains(**route)).collect();
    assert!(missing.is_empty(), "docs/reference/http-api.md lacks {missing:?}");
}
