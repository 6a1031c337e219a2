//! One thing has one word: names that the glossary refuses do not come back.

use std::fs;
use std::path::{Path, PathBuf};

use super::rust_files;

/// The refused words in `docs/glossary.md`.
fn refused_words() -> Vec<String> {
    let glossary =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/glossary.md")).unwrap();
    let (_, section) = glossary.split_once("## Words that are refused").unwrap();
    let block = section.split("```").nth(1).unwrap();
    let words: Vec<String> = block
        .lines()
        .skip(1)
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    assert!(words.len() > 10, "{words:?}");
    words
}

/// The names of a catalogue's texts, a word of each name by itself.
fn message_names(catalogue: &str) -> String {
    let names = catalogue.lines().filter_map(|line| line.split_once(" = "));
    names.map(|(name, _)| format!("{} ", name.replace('-', " "))).collect()
}

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all_files(&path, found) } else { found.push(path) }
    }
}

/// The code without comments, texts and characters; names and signs are left.
pub(super) fn names_only(code: &str) -> String {
    let signs: Vec<char> = code.chars().collect();
    let (mut names, mut at) = (String::new(), 0);
    let starts = |at: usize, text: &str| {
        text.chars().enumerate().all(|(step, sign)| signs.get(at + step) == Some(&sign))
    };
    while at < signs.len() {
        if starts(at, "//") {
            while at < signs.len() && signs[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            while at < signs.len() && !starts(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if signs[at] == 'r' && (starts(at, "r\"") || starts(at, "r#\"")) {
            let end = if starts(at, "r#") { "\"#" } else { "\"" };
            at += 1 + end.len();
            while at < signs.len() && !starts(at, end) {
                at += 1;
            }
            at += end.len();
        } else if signs[at] == '"' {
            at += 1;
            while at < signs.len() && signs[at] != '"' {
                at += if signs[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if signs[at] == '\''
            && (signs.get(at + 1) == Some(&'\\') || signs.get(at + 2) == Some(&'\''))
        {
            at += 2;
            while at < signs.len() && signs[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else {
            names.push(signs[at]);
            at += 1;
        }
        if names.ends_with(|sign: char| !sign.is_alphanumeric() && sign != '_')
            || at >= signs.len()
            || signs[at] == '"'
        {
            names.push(' ');
        }
    }
    names
}

/// Python's code without comments and texts.
fn python_names(code: &str) -> String {
    let (mut names, mut rest) = (String::new(), code);
    while let Some(sign) = rest.chars().next() {
        let quotes = [r#"""""#, "'''", "\"", "'"].into_iter().find(|text| rest.starts_with(text));
        if let Some(quotes) = quotes {
            rest = after_text(&rest[quotes.len()..], quotes);
            names.push(' ');
        } else if sign == '#' {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else {
            names.push(sign);
            rest = &rest[sign.len_utf8()..];
        }
    }
    names
}

/// What follows the end of a text that `quotes` closes.
fn after_text<'a>(mut rest: &'a str, quotes: &str) -> &'a str {
    while let Some(sign) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix(quotes) {
            return behind;
        }
        rest = &rest[sign.len_utf8()..];
        if sign == '\\' {
            rest = rest.chars().next().map_or("", |escaped| &rest[escaped.len_utf8()..]);
        }
    }
    rest
}

/// The names that a shell script gives to variables and functions: `name=`, `for name in`, `name()`.
fn shell_names(script: &str) -> String {
    let mut names = String::new();
    for line in script.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let given = line.match_indices(['=', '(']).map(|(at, _)| &line[..at]);
        let looped = line.split("for ").skip(1).filter_map(|rest| rest.split(" in ").next());
        for before in given.chain(looped) {
            let name = before.rsplit(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
            names.extend(name.take(1).chain([" "]));
        }
    }
    names
}

/// The words of a name: `PeerNetwork`, `peer_network` and `PEER_NETWORK` have two.
fn words_of(name: &str) -> String {
    let mut words = String::from("_");
    let mut before = '_';
    for sign in name.chars() {
        if sign.is_uppercase() && (before.is_lowercase() || before.is_numeric()) {
            words.push('_');
        }
        words.extend(sign.to_lowercase());
        before = sign;
    }
    words.push('_');
    words
}

/// One thing has one word. Refused names do not come back.
#[test]
fn refused_words_stay_out_of_names() {
    assert_eq!(words_of("PeerNetwork"), "_peer_network_");
    assert_eq!(
        names_only("let a = \"kin\"; // kin\nb").split_whitespace().collect::<Vec<_>>(),
        ["let", "a", "=", ";", "b"]
    );
    assert_eq!(
        python_names("kept = 'told' # said\n\"\"\"near\n\"\"\"b")
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["kept", "=", "b"]
    );
    assert_eq!(
        shell_names("kept=$1\n# told=\nfor lane in a b; do mend() { x=1; }")
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["kept", "mend", "x", "lane"]
    );
    let refused: Vec<String> =
        refused_words().into_iter().map(|word| format!("_{word}_")).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    ["src", "tests", "examples", "fuzz/fuzz_targets", "crates"]
        .iter()
        .for_each(|folder| rust_files(&root.join(folder), &mut files));
    let rust = files.len();
    for folder in ["assets", "benches", "packaging", ".ci", "src/publish/bundling"] {
        all_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > rust + 60, "assets and scripts have names too");
    let mut found = std::collections::BTreeSet::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let code = match path.rsplit('.').next() {
            Some("rs") => names_only(&fs::read_to_string(&file).unwrap()),
            Some("ftl") => message_names(&fs::read_to_string(&file).unwrap()),
            Some("py") => python_names(&fs::read_to_string(&file).unwrap()),
            Some("sh" | "ci/run") => shell_names(&fs::read_to_string(&file).unwrap()),
            _ => String::new(),
        };
        let names = code
            .split(|sign: char| !sign.is_alphanumeric() && sign != '_')
            .chain(path.split(['/', '.', '-']));
        for name in names {
            let words = words_of(name);
            // A crate that serves as an oracle names two kinds of operands in the manual's term.
            if ["NearBranch32", "NearBranch64"].contains(&name) {
                continue;
            }
            if refused.iter().any(|word| words.contains(word.as_str())) {
                found.insert(format!("{path}: {name}"));
            }
        }
    }
    assert!(
        found.is_empty(),
        "docs/glossary.md has better words:\n{}",
        found.into_iter().collect::<Vec<_>>().join("\n")
    );
}
