//! The reference lists exactly what the programs accept: verbs and options from clap, settings from
//! the error messages of the parsers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command as Process;

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use kuzflow::testing::cli::{LauncherArguments, PublisherArguments};
use kuzflow::testing::messages::protocol::ProblemKind;
use kuzflow::testing::publish::ProjectSettings;
use kuzflow::testing::settings::Settings;

use super::pages::{pages, root};

/// If this variable is set, the test writes the pages instead of comparing them.
const WRITE: &str = "KUZFLOW_WRITE_REFERENCE";

fn programs() -> [Command; 2] {
    [PublisherArguments::command(), LauncherArguments::command()].map(|mut command| {
        command.build();
        command
    })
}

fn verbs(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

/// The text of a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;")
}

fn name_of(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .map(|names| names.iter().map(|name| format!(" {name}")).collect::<String>());
    let takes = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let value = value.filter(|_| takes).unwrap_or_default();
    match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}{value}"),
        (None, Some(long)) => format!("--{long}{value}"),
        _ => value.trim().to_owned(),
    }
}

fn description(argument: &Arg) -> String {
    let mut text = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let values = argument.get_possible_values();
    let takes = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    if takes && !values.is_empty() && !argument.is_hide_possible_values_set() {
        let values: Vec<String> = values
            .iter()
            .map(|value| match value.get_help() {
                Some(help) => format!("`{}` ({help})", value.get_name()),
                None => format!("`{}`", value.get_name()),
            })
            .collect();
        let _ = write!(text, ": {}", values.join(", "));
    }
    if takes && !defaults.is_empty() {
        let _ = write!(text, " (default: `{}`)", defaults.join(", "));
    }
    text
}

fn table(arguments: &[&Arg]) -> String {
    let mut text = "| option | means |\n| --- | --- |\n".to_owned();
    for argument in arguments {
        let _ = writeln!(
            text,
            "| `{}` | {} |",
            name_of(argument).replace('|', "\\|"),
            cell(&description(argument))
        );
    }
    text
}

fn shown(arguments: impl Iterator<Item = Arg>) -> Vec<Arg> {
    arguments
        .filter(|argument| {
            !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())
        })
        .collect()
}

fn own(verb: &Command) -> Vec<Arg> {
    shown(verb.get_arguments().filter(|argument| !argument.is_global_set()).cloned())
}

/// The page of one program.
fn page(program: &Command) -> String {
    let name = program.get_name();
    let mut text = format!(
        "# {name}: every verb and option\n\n{}. `{name} VERB --help` says the same in the terminal; `kuzflow manual DIR` writes it as man pages, and\n\
         `kuzflow completions SHELL {name}` prints completions for a shell.\n\n\
         This page is made from the program itself: `{WRITE}=1 cargo test --test it documents` writes it.\n",
        program.get_about().map(ToString::to_string).unwrap_or_default()
    );
    let globals =
        shown(program.get_arguments().filter(|argument| argument.is_global_set()).cloned());
    let without_verb = own(program);
    if !without_verb.is_empty() {
        let _ = write!(
            text,
            "\n## Without a verb\n\n{}",
            table(&without_verb.iter().collect::<Vec<_>>())
        );
    }
    let _ = write!(
        text,
        "\n## Options of every verb\n\n{}",
        table(&globals.iter().collect::<Vec<_>>())
    );
    for verb in verbs(program) {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let usage = verb.clone().render_usage().to_string();
        let _ = write!(
            text,
            "\n## {name} {}\n\n{about}.\n\n```text\n{}\n```\n",
            verb.get_name(),
            usage.trim_start_matches("Usage: ")
        );
        let arguments = own(verb);
        if !arguments.is_empty() {
            let _ = write!(text, "\n{}", table(&arguments.iter().collect::<Vec<_>>()));
        }
        if let Some(more) = verb.get_after_help() {
            let more = more.to_string();
            let (words, examples) = more.split_at(more.find("Example: ").unwrap_or(more.len()));
            if !words.trim().is_empty() {
                let _ = write!(text, "\n{}\n", words.trim());
            }
            let examples: Vec<&str> =
                examples.trim_start_matches("Example: ").lines().map(str::trim).collect();
            if !examples.is_empty() {
                let _ = write!(text, "\n```text\n{}\n```\n", examples.join("\n"));
            }
        }
    }
    text
}

#[test]
fn the_reference_is_what_the_programs_accept() {
    for program in programs() {
        let path = root().join(format!("docs/reference/{}.md", program.get_name()));
        let wanted = page(&program);
        if std::env::var_os(WRITE).is_some() {
            fs::write(&path, &wanted).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap();
        let first = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
        assert!(
            found == wanted,
            "{} is old, {WRITE}=1 cargo test --test it documents writes it anew: {first:?}",
            path.display()
        );
    }
}

/// Commands in documents name verbs and options that exist.
#[test]
fn commands_in_documents_are_accepted() {
    let programs = programs();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in pages() {
        let blocks = page.code_blocks.iter().filter(|block| {
            ["sh", "text", ""].contains(&block.words.split(' ').next().unwrap_or_default())
        });
        let lines = blocks.flat_map(|block| block.text.lines().map(ToOwned::to_owned));
        for line in lines.chain(page.code_spans.iter().cloned()) {
            let line = line.trim().trim_start_matches("$ ");
            for program in &programs {
                let Some(rest) =
                    line.strip_prefix(program.get_name()).and_then(|rest| rest.strip_prefix(' '))
                else {
                    continue;
                };
                checked += 1;
                if let Some(why) = fault(program, rest) {
                    wrong.push(format!("{}: `{line}`: {why}", page.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 100, "only {checked} commands are found");
}

/// The fault of the rest of a command line; words in capitals are placeholders.
fn fault(program: &Command, rest: &str) -> Option<String> {
    let words: Vec<&str> = rest
        .split_whitespace()
        .take_while(|word| !["#", "|", "||", "&&", ">", ";", "←"].contains(word))
        .collect();
    let options = |command: &Command| -> Vec<String> {
        command
            .get_arguments()
            .filter_map(|argument| argument.get_long())
            .map(ToOwned::to_owned)
            .chain(["help".to_owned(), "version".to_owned()])
            .collect()
    };
    let mut known = options(program);
    let mut verb = None;
    let mut is_value = false;
    for word in words.iter().map(|word| word.trim_matches(['[', ']', ',', '.', '(', ')'])) {
        if word == "--" {
            break;
        }
        if let Some(option) = word.strip_prefix("--") {
            let option: String =
                option.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            if !known.contains(&option) {
                return Some(format!("there is no option --{option}"));
            }
            is_value = ["home", "config", "language", "renderer"].contains(&option.as_str());
        } else if is_value {
            is_value = false;
        } else if verb.is_none()
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            && !word.starts_with('-')
        {
            let found = program.find_subcommand(word);
            match found {
                Some(found) => known.extend(options(found)),
                // This is a line of output, or of a drawing.
                None if word == "is"
                    || programs().iter().any(|program| program.get_name() == word) =>
                {
                    return None;
                }
                None => return Some(format!("there is no verb {word}")),
            }
            verb = Some(word);
        } else if verb.is_none() && !word.starts_with('-') {
            return None;
        }
    }
    None
}

#[test]
fn man_pages_and_completions_have_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let kuzflow = |arguments: &[&str]| {
        let output = Process::new(env!("CARGO_BIN_EXE_kuzflow")).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let pages = folder.path().join("share/man1");
    kuzflow(&["manual", pages.to_str().unwrap()]);
    for program in programs() {
        let name = program.get_name();
        let scripts: Vec<String> = ["bash", "zsh", "fish", "powershell"]
            .iter()
            .map(|shell| kuzflow(&["completions", shell, name]))
            .collect();
        for verb in verbs(&program) {
            let page =
                fs::read_to_string(pages.join(format!("{name}-{}.1", verb.get_name()))).unwrap();
            for option in own(verb).iter().filter_map(Arg::get_long) {
                assert!(
                    page.contains(&option.replace('-', "\\-")),
                    "{name} {}: --{option}",
                    verb.get_name()
                );
            }
            assert!(
                scripts.iter().all(|script| script.contains(verb.get_name())),
                "{name} {}",
                verb.get_name()
            );
        }
    }
    let bash =
        Process::new("bash").args(["-n", "/dev/stdin"]).stdin(std::process::Stdio::piped()).spawn();
    if let Ok(mut bash) = bash {
        std::io::Write::write_all(
            bash.stdin.as_mut().unwrap(),
            kuzflow(&["completions", "bash"]).as_bytes(),
        )
        .unwrap();
        assert!(bash.wait().unwrap().success(), "bash reads its script");
    }
}

/// The keys that a parser names in its error about an unknown key.
fn known_keys(error: &str) -> Vec<String> {
    let list = error.split("expected").nth(1).unwrap_or_default();
    list.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// Reads a settings file, or returns its error.
type Parse<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// All settings of a file: table (empty: the top) to keys, found through its parser's errors.
fn settings(smallest: &str, parse: Parse<'_>) -> BTreeMap<String, Vec<String>> {
    parse(smallest).unwrap();
    let top = known_keys(&parse(&format!("unknown-key = 1\n{smallest}")).unwrap_err());
    let tables = top.iter().filter_map(|table| {
        let text = if smallest.contains(&format!("[{table}]\n")) {
            smallest.replace(&format!("[{table}]\n"), &format!("[{table}]\nunknown-key = 1\n"))
        } else {
            format!("{smallest}\n[{table}]\nunknown-key = 1\n")
        };
        let error = parse(&text).err()?;
        error.contains("unknown-key").then(|| (table.clone(), known_keys(&error)))
    });
    let mut all: BTreeMap<String, Vec<String>> = tables.collect();
    all.insert(String::new(), top);
    all
}

fn chain(error: &dyn std::error::Error) -> String {
    format!("{error} {}", error.source().map(chain).unwrap_or_default())
}

#[test]
fn every_setting_is_in_the_reference() {
    let launcher = |text: &str| {
        Settings::parse(text, Path::new("launcher.toml")).map(drop).map_err(|error| chain(&error))
    };
    let publisher = |text: &str| {
        toml::from_str::<ProjectSettings>(text).map(drop).map_err(|error| error.to_string())
    };
    let files: [(&str, &str, Parse<'_>, usize); 2] = [
        (
            "launcher-toml.md",
            "app = 'sample'\n[[nodes]]\nid = 'one'\nurl = 'http://127.0.0.1:1/'\n",
            &launcher,
            60,
        ),
        ("kuzflow-toml.md", "[app]\nname = 'sample'\n", &publisher, 35),
    ];
    for (name, smallest, parse, least) in files {
        let text = fs::read_to_string(root().join("docs/reference").join(name)).unwrap();
        let settings = settings(smallest, parse);
        assert!(settings.values().map(Vec::len).sum::<usize>() >= least, "{name}: {settings:?}");
        for (table, keys) in settings {
            let heading = if table.is_empty() {
                "\n## At the top\n".to_owned()
            } else {
                format!("\n## `[{table}]`\n")
            };
            let section = text
                .split(&heading)
                .nth(1)
                .unwrap_or_else(|| panic!("{name} has no heading {heading:?}"));
            let section = section.split("\n## ").next().unwrap();
            for key in keys {
                let has_own_heading = table.is_empty()
                    && (text.contains(&format!("## `[{key}]`"))
                        || text.contains(&format!("## `[[{key}]]`")));
                assert!(
                    has_own_heading || section.contains(&format!("`{key}`")),
                    "{name}, {heading:?} lacks {key}"
                );
            }
        }
    }
}

#[test]
fn every_kind_of_problem_is_in_the_reference() {
    let text = fs::read_to_string(root().join("docs/reference/json-output.md")).unwrap();
    for kind in ProblemKind::ALL {
        let name = serde_json::to_value(kind).unwrap();
        let row = format!("| `{}` |", name.as_str().unwrap());
        assert!(text.contains(&row), "docs/reference/json-output.md lacks {row}");
    }
}
