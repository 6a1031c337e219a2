//! What a path reveals about the origin of a file: names without their versions and hashes, and the
//! similarity of two paths.

/// A path in parts that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// As given, with `/` between folders.
    pub path: &'a str,
    /// The folders without versions and hashes, outermost first.
    pub folders: Vec<String>,
    /// The last part without version and hash.
    pub file: String,
}

/// Similarity of two paths that differ in version numbers and hashes only, out of [`SAME`].
pub(super) const RENUMBERED: u32 = 900;

/// Similarity of a path to itself.
pub(super) const SAME: u32 = 1000;

impl<'a> Name<'a> {
    /// Parses a relative path with `/` between folders.
    pub(super) fn new(path: &'a str) -> Self {
        let mut parts: Vec<String> = path.split('/').map(plain).collect();
        let file = parts.pop().unwrap_or_default();
        Self { path, folders: parts, file }
    }

    /// The whole path without versions and hashes.
    pub(super) fn plain_path(&self) -> String {
        self.folders.iter().chain([&self.file]).map(String::as_str).collect::<Vec<_>>().join("/")
    }

    /// The innermost folder and the file, without versions and hashes.
    pub(super) fn plain_tail(&self) -> String {
        format!("{}/{}", self.folders.last().map_or("", String::as_str), self.file)
    }

    /// The folder and what kind of file it is, without versions and hashes.
    pub(super) fn folder_key(&self) -> String {
        format!("{}/*.{}", self.folders.join("/"), self.extension())
    }

    /// The part behind the last dot of the file's name; nothing for `.hidden`.
    pub(super) fn extension(&self) -> &str {
        self.file
            .rsplit_once('.')
            .filter(|(stem, _)| !stem.is_empty())
            .map_or("", |(_, extension)| extension)
    }

    /// How similar two paths are, from 0 to [`SAME`].
    pub(super) fn nearness(&self, other: &Name<'_>) -> u32 {
        if self.path == other.path {
            return SAME;
        }
        if self.file == other.file && self.folders == other.folders {
            return RENUMBERED;
        }
        let file = if self.file == other.file {
            400
        } else if !self.extension().is_empty() && self.extension() == other.extension() {
            150
        } else {
            0
        };
        let longer = self.folders.len().max(other.folders.len());
        let shorter = self.folders.len().min(other.folders.len());
        let same = |pairs: &mut dyn Iterator<Item = (&String, &String)>| {
            pairs.take_while(|(one, two)| one == two).count()
        };
        let outer = same(&mut self.folders.iter().zip(&other.folders));
        let inner = same(&mut self.folders.iter().rev().zip(other.folders.iter().rev()));
        let folders = (outer + inner).min(shorter);
        // Files at the top level share their folder too.
        file + u32::try_from((400 * folders).checked_div(longer).unwrap_or(400)).unwrap_or(0)
    }
}

/// A part of a path with `#` for each number, version and hash in it: `libfoo-3fa2c4d1.so.1.2` and
/// `libfoo-9bd01e22.so.1.3` are both `libfoo-#.so`, `labelimg-1.8.5.dist-info` is
/// `labelimg-#.dist-info`.
fn plain(part: &str) -> String {
    let mut made = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if end == 0 {
            made.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, behind) = rest.split_at(end);
        // `1.2.3` and `1.2.3rc1` and `1.2.3.post1` are one number.
        let goes_on =
            made.strip_suffix(['.', '-', '+', '_']).is_some_and(|before| before.ends_with('#'));
        if is_hash(word) || is_version(word, goes_on) {
            if goes_on {
                made.pop();
            } else {
                made.push('#');
            }
        } else {
            push_without_digits(&mut made, word);
        }
        rest = behind;
    }
    // `libfoo.so.1.2` is the shared library `libfoo.so`.
    match made.strip_suffix(".#") {
        Some(library) if library.ends_with(".so") => library.to_owned(),
        _ => made,
    }
}

/// Letters and digits that no one would type: eight or more, of both, and hexadecimal or with
/// several changes between the two.
fn is_hash(word: &str) -> bool {
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hexadecimal = word.bytes().all(|byte| byte.is_ascii_hexdigit());
    // `libQt5Core` has two, `resources2024` one.
    let changes = word
        .as_bytes()
        .windows(2)
        .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
        .count();
    word.len() >= 8
        && letters > 0
        && digits > 0
        && digits + letters == word.len()
        && (hexadecimal || changes >= 3)
}

/// `12`, `v2`, `1rc2`; and behind a number also `rc2`, `post1`, `dev0`.
fn is_version(word: &str, goes_on: bool) -> bool {
    let unprefixed = word.strip_prefix(['v', 'V']).unwrap_or(word);
    let behind = unprefixed.trim_start_matches(|c: char| c.is_ascii_digit());
    let suffix = behind.trim_end_matches(|c: char| c.is_ascii_digit());
    let known = ["a", "b", "c", "rc", "alpha", "beta", "dev", "post", "pre"].contains(&suffix);
    if behind.len() < unprefixed.len() {
        suffix.is_empty() || known
    } else {
        goes_on && known && word.len() == unprefixed.len()
    }
}

/// A word with `#` for each run of digits.
fn push_without_digits(made: &mut String, word: &str) {
    for c in word.chars() {
        if !c.is_ascii_digit() {
            made.push(c);
        } else if !made.ends_with('#') {
            made.push('#');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_hashes_leave_names() {
        for (name, expected) in [
            ("libfoo-3fa2c4d1.so.1.2", "libfoo-#.so"),
            ("libfoo-9bd01e22.so.1.3", "libfoo-#.so"),
            ("libQt5Core.so.5", "libQt#Core.so"),
            ("libQt5Core.so", "libQt#Core.so"),
            ("labelimg-1.8.5.dist-info", "labelimg-#.dist-info"),
            ("labelimg-1.8.6rc1.dist-info", "labelimg-#.dist-info"),
            ("labelimg-1.8.6.post1.dist-info", "labelimg-#.dist-info"),
            ("numpy-1.26.0.dev0+g12ab34cd", "numpy-#"),
            (
                "_multiarray.cpython-311-x86_64-linux-gnu.so",
                "_multiarray.cpython-#-x#-linux-gnu.so",
            ),
            ("main.8f3c2a1b.js", "main.#.js"),
            ("index-BvT3x9Qa.css", "index-#.css"),
            ("python3.11", "python#"),
            ("resources2024.py", "resources#.py"),
            ("v2", "#"),
            ("decade.txt", "decade.txt"),
            ("betamax", "betamax"),
            ("数据 12.txt", "数据 #.txt"),
            ("", ""),
        ] {
            assert_eq!(plain(name), expected, "{name}");
        }
    }

    #[test]
    fn nearness_follows_name_folder_and_extension() {
        let nearness = |one, two| Name::new(one).nearness(&Name::new(two));
        let steps = [
            nearness("a/b/c.py", "a/b/c.py"),
            nearness("lib/foo-1.2/c.py", "lib/foo-1.3/c.py"),
            nearness("a/b/c.py", "a/x/b/c.py"),
            nearness("a/b/c.py", "x/y/c.py"),
            nearness("a/b/c.py", "x/y/d.py"),
            nearness("a/b/c.py", "x/y/d.txt"),
        ];
        assert!(steps.is_sorted_by(|one, two| one > two), "{steps:?}");
        assert_eq!(steps[5], 0);
        assert!(nearness("a/b/c.py", "a/b/d.py") > nearness("a/b/c.py", "x/b/d.py"));
    }
}
