//! Replaces what differs from run to run.

/// `folder` becomes `FOLDER`, a time `TIME`, a digest `DIGEST`, a node's address `NODE`, a number
/// with a point or with more than three digits `N`.
pub fn settle(text: &str, folder: &str) -> String {
    let text = text.replace(folder, "FOLDER/");
    let mut settled = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find(is_part) {
        settled.push_str(&rest[..start]);
        let end = rest[start..].find(|c| !is_part(c)).map_or(rest.len(), |length| start + length);
        settled.push_str(&word(&rest[start..end]));
        rest = &rest[end..];
    }
    without_days(&(settled + rest))
}

/// `November 28,` becomes `MONTH DAY,`; a line of HTTP that tells the date names none.
fn without_days(text: &str) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let is_day = |word: &str| word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit());
    let mut lines = Vec::new();
    for line in text.split('\n') {
        if line.starts_with("date: ") {
            lines.push("date: DAY".to_owned());
            continue;
        }
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for index in 1..words.len() {
            let day = words[index].trim_end_matches([',', '.']).to_owned();
            if MONTHS.contains(&words[index - 1].as_str()) && is_day(&day) {
                words[index] = words[index].replacen(&day, "DAY", 1);
                words[index - 1] = "MONTH".to_owned();
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n")
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".:-+_".contains(c)
}

fn word(word: &str) -> String {
    let trimmed = word.trim_start_matches([':', '.']);
    if trimmed.len() < word.len() {
        return word[..word.len() - trimmed.len()].to_owned() + &self::word(trimmed);
    }
    // As names of folders have it: 20261128T140300.5Z-sample_1.0.0.
    if word.as_bytes().get(8) == Some(&b'T')
        && word[..8].bytes().all(|byte| byte.is_ascii_digit())
        && let Some((_, more)) = word.split_once('Z')
    {
        return format!("TIME{more}");
    }
    let bare = word.trim_end_matches(['.', ':', '-']);
    let end = &word[bare.len()..];
    if let Some((digest, more)) = bare.split_once(['.', ':', '-'])
        && is_digest(digest)
    {
        return format!("DIGEST.{more}{end}");
    }
    if bare.starts_with("127.0.0.1:") && bare != "127.0.0.1:9" {
        return format!("NODE{end}");
    }
    let plain = bare.trim_start_matches(['+', '-']).trim_end_matches(char::is_alphabetic);
    let digits = bare.chars().filter(char::is_ascii_digit).count();
    let is_number = plain.len() == bare.len() || plain.len() + 2 >= bare.len();
    let tiny = bare.contains('e') && bare.contains('.') && bare.parse::<f64>().is_ok();
    let word = if tiny {
        "N"
    } else if is_digest(bare) {
        "DIGEST"
    } else if digits >= 4 && is_time(bare) {
        "TIME"
    } else if is_number
        && !plain.is_empty()
        && plain.chars().all(|c| c.is_ascii_digit() || c == '.')
        && (plain.matches('.').count() == 1 || (plain.len() > 3 && !plain.contains('.')))
    {
        "N"
    } else {
        bare
    };
    format!("{word}{end}")
}

fn is_digest(word: &str) -> bool {
    word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `2026-11-28`, `14:03`, `2026-11-28T14:03:00.5Z`.
fn is_time(word: &str) -> bool {
    let parts = |separator: char| word.split(separator).count();
    let only = |others: &str| word.chars().all(|c| c.is_ascii_digit() || others.contains(c));
    (parts('-') == 3 && only("-:.TZ+")) || (parts(':') >= 2 && only(":"))
}

#[test]
fn what_differs_from_run_to_run_is_replaced() {
    let folder = "/tmp/a b/";
    for (from, to) in [
        ("/tmp/a b/home of 1.10.0", "FOLDER/home of 1.10.0"),
        ("at 2026-11-28T14:03:00.5Z, 2026-11-28 14:03:00", "at TIME, TIME TIME"),
        ("{\"seconds\":0.25,\"n\":12345,\"m\":12}", "{\"seconds\":N,\"n\":N,\"m\":12}"),
        ("http://127.0.0.1:4321/ and http://127.0.0.1:9/", "http://NODE/ and http://127.0.0.1:9/"),
        ("ba63ba63ba63ba63ba63ba63ba63ba63.sample_1.0.0_Linux", "DIGEST.sample_1.0.0_Linux"),
        ("0.2s, 3.5 MB, 6.1e-6 s", "N, N MB, N s"),
        ("20261128T140300.5Z-sample_1.0.0", "TIME-sample_1.0.0"),
        ("on November 28, 14:03", "on MONTH DAY, TIME"),
    ] {
        assert_eq!(settle(from, folder), to);
    }
}
