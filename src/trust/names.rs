//! Names of targets: which names are plain, and which names match a pattern.

/// Whether a target's name is plain: ASCII letters, digits and `.`, `-`, `_`, `+`, not beginning
/// with a dot. Such a name is one flat file name on every system and needs no quoting in an
/// address.
pub(crate) fn is_plain_name(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
}

/// Whether a shell pattern (`*`, `?`, `[…]`, `[!…]`) matches a name. No wildcard matches a `/`.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), name.split('/').collect());
    patterns.len() == parts.len()
        && patterns.iter().zip(&parts).all(|(pattern, part)| {
            part_fits(&pattern.chars().collect::<Vec<_>>(), &part.chars().collect::<Vec<_>>())
        })
}

/// Backtracks only to the last `*`, so that no pattern costs more than its length times the name's.
fn part_fits(pattern: &[char], part: &[char]) -> bool {
    let (mut at, mut from, mut star) = (0, 0, None);
    while at < part.len() {
        match pattern.get(from) {
            Some('*') => {
                star = Some((from, at));
                from += 1;
                continue;
            }
            Some('?') => {
                (at, from) = (at + 1, from + 1);
                continue;
            }
            Some('[') => {
                if let Some((holds, length)) = set(&pattern[from..], part[at]) {
                    if holds {
                        (at, from) = (at + 1, from + length);
                        continue;
                    }
                } else if part[at] == '[' {
                    (at, from) = (at + 1, from + 1);
                    continue;
                }
            }
            Some(letter) if *letter == part[at] => {
                (at, from) = (at + 1, from + 1);
                continue;
            }
            _ => {}
        }
        let Some((place, taken)) = star else { return false };
        star = Some((place, taken + 1));
        (from, at) = (place + 1, taken + 1);
    }
    pattern[from..].iter().all(|letter| *letter == '*')
}

/// Whether a set at the start of `pattern` contains `letter`, and the set's length; `None` if the
/// set has no end.
fn set(pattern: &[char], letter: char) -> Option<(bool, usize)> {
    let negated = pattern.get(1) == Some(&'!');
    let begin = 1 + usize::from(negated);
    // A bracket in the first place belongs to the set.
    let end = begin + 1 + pattern.get(begin + 1..)?.iter().position(|letter| *letter == ']')?;
    let (mut holds, mut at) = (false, begin);
    while at < end {
        if at + 2 < end && pattern[at + 1] == '-' {
            holds |= (pattern[at]..=pattern[at + 2]).contains(&letter);
            at += 3;
        } else {
            holds |= pattern[at] == letter;
            at += 1;
        }
    }
    Some((holds != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell_and_stop_at_a_slash() {
        for (pattern, name) in [
            ("*", "a"),
            ("*.md", "README.md"),
            ("foo-?.tgz", "foo-1.tgz"),
            ("releases/*/*", "releases/x/y"),
            ("a*b*c", "aXbYbZc"),
            ("[ab]x", "bx"),
            ("[!ab]x", "cx"),
            ("[0-9]", "5"),
            ("[]]", "]"),
            ("a[", "a["),
            ("**", ""),
            ("说?", "说明"),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.md", "releases/README.md"),
            ("*", "a/b"),
            ("foo-?.tgz", "foo-10.tgz"),
            ("*.md", "README.MD"),
            ("a", "ab"),
            ("ab", "a"),
            ("[ab]x", "cx"),
            ("[!ab]x", "ax"),
            ("?", "/"),
            ("?", ""),
            ("releases/*", "releases"),
        ] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
        // No pattern takes exponential time.
        assert!(!fits(&"*a".repeat(500), &"a".repeat(499)));
    }

    #[test]
    fn names_are_plain() {
        assert!(is_plain_name("sample_1.0.0_Linux_x86_64.kuzflow") && is_plain_name("a+b_c-1.md"));
        for bad in ["", ".hidden", "a/b", "..", "a\\b", "a b", "a%2fb", "a?b", "说明.md", "a:b"] {
            assert!(!is_plain_name(bad), "{bad}");
        }
    }
}
