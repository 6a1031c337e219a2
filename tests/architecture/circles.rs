//! The inside of rooms: no circle of files.
//!
//! A file has an arrow to the file that *defines* what it names, by a `use` or by a path. A parent
//! that only re-exports a name is passed through, so a child may say `super::Error` for what stands
//! in `error.rs`; it may not use what the parent itself defines if the parent calls the child. A
//! re-export is an arrow of the parent only where the parent uses the name itself. Test modules may
//! reach everywhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::names_only;

type Module = Vec<String>;

/// Arrows from file to file.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// A path in the code: the modules that it stands in, and its parts.
struct Path {
    within: Module,
    parts: Vec<String>,
}

struct Import {
    path: Path,
    /// The name that it gives to this file.
    name: String,
    is_public: bool,
}

#[derive(Default)]
struct Source {
    file: String,
    defines: BTreeSet<String>,
    imports: Vec<Import>,
    paths: Vec<Path>,
    words: BTreeSet<String>,
}

/// Words and signs, without comments, texts and items for tests only.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = String::new();
    for sign in names_only(code).chars() {
        if sign.is_alphanumeric() || sign == '_' {
            word.push(sign);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if !sign.is_whitespace() {
            tokens.push(sign.to_string());
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    without_tests(&tokens)
}

/// Where the bracket that opens at `at` is closed.
fn closing(tokens: &[String], at: usize) -> usize {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        match token.as_str() {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return place;
        }
    }
    tokens.len() - 1
}

fn without_tests(tokens: &[String]) -> Vec<String> {
    let (mut left, mut at) = (Vec::new(), 0);
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token == text);
    while at < tokens.len() {
        if !(is(at, "#") && is(at + 1, "[")) {
            left.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = closing(tokens, at + 1);
        let attribute = &tokens[at..=end];
        let has = |word: &str| attribute.iter().any(|token| token == word);
        at = end + 1;
        if attribute[2] != "cfg" || !has("test") || has("not") {
            continue;
        }
        while is(at, "#") {
            at = closing(tokens, at + 1) + 1;
        }
        while at < tokens.len() && !is(at, ";") && !is(at, "{") {
            at += 1;
        }
        at = if is(at, "{") { closing(tokens, at) + 1 } else { at + 1 };
        // The rest of `use a::{b, c};`.
        at += usize::from(is(at, ";"));
    }
    left
}

/// The leaves of a `use`: `a::{b, c as d}` has two.
fn leaves(tokens: &[String], before: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let mut parts = before.to_vec();
    let mut alias = None;
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "{" => {
                let end = closing(tokens, at);
                let (mut from, mut depth) = (at + 1, 0);
                for place in at + 1..=end {
                    match tokens[place].as_str() {
                        "{" => depth += 1,
                        "}" if place < end => depth -= 1,
                        _ => {}
                    }
                    if place == end || (depth == 0 && tokens[place] == ",") {
                        if from < place {
                            leaves(&tokens[from..place], &parts, found);
                        }
                        from = place + 1;
                    }
                }
                return;
            }
            "as" => {
                alias = tokens.get(at + 1).cloned();
                break;
            }
            ":" | "&" => {}
            part => parts.push(part.to_owned()),
        }
        at += 1;
    }
    if parts.last().is_some_and(|part| part == "self") {
        parts.pop();
    }
    let name = alias.or_else(|| parts.last().cloned()).unwrap_or_default();
    found.push((parts, name));
}

fn read(module: &Module, file: &str, code: &str) -> Source {
    let tokens = tokens(code);
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token == text);
    let is_word = |at: usize| {
        tokens.get(at).is_some_and(|token| {
            token.starts_with(|first: char| first.is_alphabetic() || first == '_' || first == '*')
        })
    };
    let mut source = Source { file: file.to_owned(), ..Source::default() };
    let (mut inline, mut depth, mut at) = (Vec::<(String, usize)>::new(), 0, 0);
    while at < tokens.len() {
        let token = tokens[at].as_str();
        let within: Module =
            module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
        match token {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last().is_some_and(|(_, from)| *from == depth) {
                    inline.pop();
                }
            }
            "mod" if is_word(at + 1) && is(at + 2, "{") => {
                inline.push((tokens[at + 1].clone(), depth));
                depth += 1;
                at += 3;
                continue;
            }
            "mod" if is_word(at + 1) && is(at + 2, ";") => {
                at += 3;
                continue;
            }
            // `pub(in crate::store)` names no item.
            "in" if at > 1 && is(at - 1, "(") && is(at - 2, "pub") => {
                at = closing(&tokens, at - 1);
                continue;
            }
            "use" if is_word(at + 1) => {
                let end = (at..tokens.len()).find(|place| tokens[*place] == ";").unwrap();
                let mut found = Vec::new();
                leaves(&tokens[at + 1..end], &[], &mut found);
                let is_public = at > 0 && (is(at - 1, "pub") || is(at - 1, ")"));
                source.imports.extend(found.into_iter().map(|(parts, name)| Import {
                    path: Path { within: within.clone(), parts },
                    name,
                    is_public,
                }));
                at = end + 1;
                continue;
            }
            "struct" | "enum" | "fn" | "type" | "const" | "static" | "trait" | "union"
                if depth == 0 && is_word(at + 1) =>
            {
                source.defines.insert(tokens[at + 1].clone());
            }
            "macro_rules" => {
                source.defines.insert(tokens[at + 2].clone());
            }
            _ if is_word(at) && !(at > 1 && is(at - 1, ":") && is(at - 2, ":")) => {
                let mut parts = vec![token.to_owned()];
                while is(at + 1, ":") && is(at + 2, ":") && is_word(at + 3) {
                    at += 3;
                    parts.push(tokens[at].clone());
                }
                source.words.insert(parts[0].clone());
                if parts.len() > 1 {
                    source.paths.push(Path { within, parts });
                }
            }
            _ => {}
        }
        at += 1;
    }
    source
}

struct House {
    sources: BTreeMap<Module, Source>,
}

impl House {
    /// `files`: paths from the crate's top folder, and what is in them.
    fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let sources = files.into_iter().map(|(file, code)| {
            let mut module: Module =
                file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
                module.pop();
            }
            let source = read(&module, file, code);
            (module, source)
        });
        Self { sources: sources.collect() }
    }

    /// The module a path begins in, and what follows.
    fn begin<'a>(&self, path: &'a Path) -> Option<(Module, &'a [String])> {
        let mut module = path.within.clone();
        let mut rest = &path.parts[..];
        match rest.first()?.as_str() {
            "crate" => (module, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    module.pop()?;
                    rest = &rest[1..];
                }
            }
            first => {
                module.push(first.to_owned());
                let is_child = self.sources.contains_key(&module);
                module.pop();
                if !is_child {
                    return None;
                }
            }
        }
        Some((module, rest))
    }

    /// The module that defines what stands at `rest` below `module`.
    fn home(&self, module: &Module, rest: &[String], steps: usize) -> Option<Module> {
        let (mut module, mut rest) = (module.clone(), rest);
        while let Some(part) = rest.first() {
            module.push(part.clone());
            if !self.sources.contains_key(&module) {
                module.pop();
                break;
            }
            rest = &rest[1..];
        }
        // A module that is written into its parent's file.
        while !self.sources.contains_key(&module) {
            module.pop()?;
        }
        let Some(name) = rest.first() else { return Some(module) };
        let source = &self.sources[&module];
        if source.defines.contains(name) || steps == 0 {
            return Some(module);
        }
        if let Some(import) = source.imports.iter().find(|import| import.name == *name) {
            let Some((from, path)) = self.begin(&import.path) else { return Some(module) };
            let path: Vec<String> = path.iter().chain(&rest[1..]).cloned().collect();
            return self.home(&from, &path, steps - 1);
        }
        for import in source.imports.iter().filter(|import| import.name == "*") {
            let Some((from, path)) = self.begin(&import.path) else { continue };
            let path: Vec<String> = path[..path.len() - 1].iter().chain([name]).cloned().collect();
            let home = self.home(&from, &path, steps - 1);
            if let Some(home) = home.filter(|home| self.sources[home].defines.contains(name)) {
                return Some(home);
            }
        }
        Some(module)
    }

    fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for (module, source) in &self.sources {
            let used = |import: &&Import| !import.is_public || source.words.contains(&import.name);
            let imported = source.imports.iter().filter(used).map(|import| &import.path);
            let to = imported.chain(&source.paths).filter_map(|path| {
                let (from, rest) = self.begin(path)?;
                self.home(&from, rest, 8)
            });
            let to = to.filter(|to| to != module).map(|to| self.sources[&to].file.clone());
            arrows.insert(source.file.clone(), to.collect());
        }
        arrows
    }
}

fn reached<'a>(arrows: &'a Arrows, from: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        next.extend(arrows[file].iter().map(String::as_str).filter(|to| seen.insert(*to)));
    }
    seen
}

/// Files that lead to each other, with the arrows among them.
fn circles(arrows: &Arrows) -> Vec<String> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|file| (file.as_str(), reached(arrows, file))).collect();
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for file in reached.keys().filter(|file| reached[**file].contains(**file)) {
        let circle: BTreeSet<&str> =
            reached[*file].iter().copied().filter(|to| reached[to].contains(file)).collect();
        if seen.insert(*file) {
            seen.extend(&circle);
            let lines = circle.iter().map(|from| {
                let to = arrows[*from].iter().filter(|to| circle.contains(to.as_str()));
                format!("{from} -> {}", to.cloned().collect::<Vec<_>>().join(" "))
            });
            found.push(lines.collect::<Vec<_>>().join("\n"));
        }
    }
    found
}

#[test]
fn circles_are_seen() {
    let seen = |files: &[(&str, &str)]| circles(&House::new(files.iter().copied()).arrows());
    let two = [("a.rs", "use crate::b::{B, c::C};"), ("b.rs", "fn b() { super::a::a() }")];
    assert_eq!(seen(&two).len(), 1);
    // What a parent hands on is its child's; what it defines is its own.
    let error = ("room/error.rs", "pub enum Error {}");
    let child = ("room/child.rs", "use super::Error;");
    let parent = "mod child;\nmod error;\npub use error::Error;\nfn run() { child::run() }";
    assert!(seen(&[("room/mod.rs", parent), error, child]).is_empty());
    let parent = "mod child;\npub enum Error {}\nfn run() { child::run() }";
    assert_eq!(seen(&[("room/mod.rs", parent), child]).len(), 1);
    let reexport = "mod child;\npub use child::run;\npub enum Error {}";
    assert!(seen(&[("room/mod.rs", reexport), child]).is_empty());
    let used = "mod child;\npub use child::run;\npub enum Error {}\nfn both() { run() }";
    assert_eq!(seen(&[("room/mod.rs", used), child]).len(), 1);
    // Tests, and modules inside of a file.
    let tests = "#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}\npub struct A;";
    assert!(seen(&[("a.rs", tests), ("b.rs", "use crate::a::A;\npub struct B;")]).is_empty());
    let inline = "pub struct A;\nmod inner {\n    use super::A;\n}";
    assert!(seen(&[("a.rs", inline)]).is_empty());
    let inline = "mod inner {\n    use super::super::b::B;\n}\npub struct A;";
    assert_eq!(seen(&[("a.rs", inline), ("b.rs", "use crate::a::A;\npub struct B;")]).len(), 1);
}

#[test]
fn files_of_a_room_depend_on_each_other_one_way() {
    let mut found = Vec::new();
    for top in ["src", "crates/kuzflow-delta/src"] {
        let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(top);
        let mut files = Vec::new();
        crate::rust_files(&top, &mut files);
        let files: Vec<(String, String)> = files
            .iter()
            .map(|file| {
                let name = file.strip_prefix(&top).unwrap().to_str().unwrap().replace('\\', "/");
                (name, std::fs::read_to_string(file).unwrap())
            })
            .filter(|(name, _)| !name.ends_with("tests.rs") && !name.contains("/tests/"))
            .filter(|(name, _)| !name.starts_with("bin/") && !name.ends_with("fixture.rs"))
            .collect();
        let house = House::new(files.iter().map(|(name, code)| (name.as_str(), code.as_str())));
        let arrows = house.arrows();
        assert!(arrows.values().map(BTreeSet::len).sum::<usize>() > files.len());
        found.extend(circles(&arrows));
    }
    assert!(found.is_empty(), "circles of files:\n{}", found.join("\n\n"));
}
