//! Tests of `cli::launcher`.

use super::*;
use crate::messages::protocol::{NoUpdate, Problem, ProblemKind};

/// What a text puts in quotes, as a person types it.
fn typed(text: &str) -> Vec<String> {
    let quoted = text.split('“').skip(1).filter_map(|rest| rest.split_once('”'));
    quoted
        .map(|(words, _)| words.replace("VERSION", "1.0.0").replace("FILE", "a.kuzflow-bundle"))
        .collect()
}

#[test]
fn every_command_that_a_text_names_can_be_typed() {
    for language in Language::ALL {
        let texts = Texts::new(language).for_terminal();
        let next = |kind| {
            let problem = Problem { kind, subject: "1.0.0".to_owned(), chain: Vec::new() };
            let [_, _, next] = texts.problem(&problem);
            next
        };
        let mut named: Vec<String> = ProblemKind::ALL.map(next).into();
        named.push(texts.no_update(&NoUpdate::Pinned));
        let commands: Vec<String> = named.iter().flat_map(|text| typed(text)).collect();
        assert!(commands.len() > 12, "{commands:?}");
        for command in commands {
            let words = std::iter::once("kuzflow-launcher").chain(command.split(' '));
            let parsed = Arguments::try_parse_from(words);
            assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
        }
    }
}
