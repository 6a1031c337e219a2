//! Reads the command and the name of a menu entry: Desktop Entry Specification 1.5. Pure.

/// The words of `Exec` of the entry itself, without field codes; none if it starts no program.
pub(super) fn words(text: &str) -> Vec<String> {
    value(text, "Exec").map(|exec| split(&exec)).unwrap_or_default()
}

/// The name of the entry.
pub(super) fn name(text: &str) -> Option<String> {
    value(text, "Name").filter(|name| !name.is_empty())
}

/// The value of a key of the entry itself.
fn value(text: &str, key: &str) -> Option<String> {
    let mut is_main = false;
    for line in text.lines() {
        if let Some(group) = line.trim().strip_prefix('[') {
            // Further groups are actions.
            is_main = group == "Desktop Entry]";
        } else if let (true, Some((found, value))) = (is_main, line.split_once('='))
            && found.trim() == key
        {
            return Some(unescaped(value.trim()));
        }
    }
    None
}

/// The value of a string, whose escapes are those of the file.
fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut signs = value.chars();
    while let Some(sign) = signs.next() {
        if sign != '\\' {
            text.push(sign);
            continue;
        }
        match signs.next() {
            Some('s') => text.push(' '),
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('\\') | None => text.push('\\'),
            Some(other) => text.extend(['\\', other]),
        }
    }
    text
}

/// The words of a command line; a word in double quotes may have blanks.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut is_quoted, mut has_word) = (false, false);
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '"' => (is_quoted, has_word) = (!is_quoted, true),
            '\\' if is_quoted => word.extend(signs.next()),
            sign if sign.is_whitespace() && !is_quoted => {
                if has_word {
                    words.push(std::mem::take(&mut word));
                }
                has_word = false;
            }
            sign => {
                word.push(sign);
                has_word = true;
            }
        }
    }
    if has_word {
        words.push(word);
    }
    let is_code = |word: &String| word.len() == 2 && word.starts_with('%') && word != "%%";
    words.retain(|word| !is_code(word));
    words.into_iter().map(|word| word.replace("%%", "%")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_the_entry_is_read_and_no_other() {
        let text = "# comment\n[Desktop Entry]\nType=Application\nName[de]=Exec=x\n\
            Exec=\"/opt/my app/label \\\\\"Img\" --open %F 100%%\n\n\
            [Desktop Action new]\nExec=other\n";
        assert_eq!(words(text), ["/opt/my app/label \"Img", "--open", "100%"]);
        assert_eq!(words("[Desktop Action new]\nExec=other\n"), [""; 0]);
        assert_eq!(words("[Desktop Entry]\nType=Link\nURL=x\n"), [""; 0]);
        assert_eq!(
            words("[Desktop Entry]\nExec=python3 /opt/app/main.py"),
            ["python3", "/opt/app/main.py"]
        );
    }
}
