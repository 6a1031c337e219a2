//! Rollouts on the page: how each stands, and the buttons that move it.
//!
//! In: rollouts as they stand at a time, who looks, the words of a language. Out: HTML. Never: a button for somebody who may
//! not operate, or for a move that its state makes no sense of; a text of a release that is not
//! escaped.

use super::page::hidden;
use super::parts::{section, table};
use super::words::{Language, Words};
use crate::model::rollout_move::{RolloutMove, present};
use crate::server::conductor::{RolloutState, Standing};
use crate::server::html::{escaped, grouped, percent};
use crate::server::rollouts::reach;

/// Where the buttons' forms go.
pub(super) const MOVE: &str = "/fleet/rollout";
/// The section's place on the page.
pub(super) const ANCHOR: &str = "rollouts";

/// The section of rollouts; empty without one. `lang` is the language that the address names.
pub(super) fn rollouts(
    standings: &[Standing],
    language: Language,
    lang: &str,
    may_operate: bool,
) -> String {
    if standings.is_empty() {
        return String::new();
    }
    let words = language.words();
    let rows: String =
        standings.iter().rev().map(|one| row(one, language, lang, may_operate)).collect();
    let mut heads = vec![words.version, words.stage, words.state, words.since_then];
    if may_operate {
        heads.push(words.moves);
    }
    section(ANCHOR, words.rollouts_title, words.rollouts_hint, &table(&heads, &rows))
}

fn row(standing: &Standing, language: Language, lang: &str, may_operate: bool) -> String {
    let words = language.words();
    let Standing { rollout, state, tally, at, .. } = standing;
    let word = present(&rollout.plan, rollout.word.as_ref());
    let stages = rollout.plan.stages().len();
    let stage = words.stage_of.replacen("{}", &(word.stage + 1).to_string(), 1).replacen(
        "{}",
        &stages.to_string(),
        1,
    );
    let share = reach(rollout, *at);
    let reached = words.reaches.replace("{}", &percent(i64::from(share), 1000));
    let class = match state {
        RolloutState::Halted | RolloutState::HaltedOffline | RolloutState::Recalled => {
            " class=\"bad\""
        }
        _ => "",
    };
    let (state, hint) = described(standing, words);
    let hint = if hint.is_empty() { hint } else { format!("<small>{hint}</small>") };
    let ended = [
        (words.up, tally.up),
        (words.rolled_back, tally.rolled_back),
        (words.failed, tally.failed),
    ]
    .map(|(name, n)| {
        let shown = grouped(i64::try_from(n).unwrap_or(i64::MAX));
        format!("{name}: <data value=\"{n}\">{shown}</data>")
    });
    let buttons = if may_operate {
        format!("<td class=\"moves\">{}</td>", buttons(standing, words, lang))
    } else {
        String::new()
    };
    format!(
        "<tr><td>{} {}</td><td>{stage}<small><data value=\"{share}\">{reached}</data></small></td><td{class}>{state}{hint}</td><td>{}</td>{buttons}</tr>\n",
        escaped(rollout.app.as_str()),
        escaped(&rollout.version.to_string()),
        ended.join("<br>"),
    )
}

/// The state, and what follows from it.
fn described(standing: &Standing, words: &Words) -> (String, String) {
    let plan = &standing.rollout.plan;
    let to = plan.recall_to().map(|to| escaped(&to.to_string())).unwrap_or_default();
    let version = escaped(&standing.rollout.version.to_string());
    match standing.state {
        RolloutState::NotBegun => {
            let begins = plan.begins().strftime("%Y-%m-%d %H:%M").to_string();
            (words.not_begun.replace("{}", &begins), String::new())
        }
        RolloutState::Running => (words.under_way.to_owned(), String::new()),
        RolloutState::WaitsForApproval => {
            (words.waits_for_approval.to_owned(), words.waits_hint.to_owned())
        }
        RolloutState::Finished => {
            (words.finished.to_owned(), words.finished_hint.replace("{}", &version))
        }
        RolloutState::Halted => (words.halted.to_owned(), String::new()),
        RolloutState::HaltedOffline => {
            (words.halted.to_owned(), words.halted_offline_hint.replace("{}", &version))
        }
        RolloutState::Recalled => (words.recalled_to.replace("{}", &to), String::new()),
    }
}

/// The moves that make sense now, the usual one first.
fn moves(standing: &Standing) -> Vec<RolloutMove> {
    let has_way_back = standing.rollout.plan.recall_to().is_some();
    let moves = match standing.state {
        RolloutState::Running | RolloutState::WaitsForApproval => {
            vec![RolloutMove::Next, RolloutMove::Halt, RolloutMove::Recall]
        }
        RolloutState::NotBegun | RolloutState::Finished => {
            vec![RolloutMove::Halt, RolloutMove::Recall]
        }
        RolloutState::Halted => vec![RolloutMove::Resume, RolloutMove::Recall],
        // A word cannot end it, and has nothing to add.
        RolloutState::HaltedOffline => Vec::new(),
        RolloutState::Recalled => vec![RolloutMove::TakeBack],
    };
    let is_allowed = |wanted: &RolloutMove| standing.rollout.after(*wanted, standing.at).is_ok();
    let fits = |wanted: &RolloutMove| *wanted != RolloutMove::Recall || has_way_back;
    moves.into_iter().filter(fits).filter(is_allowed).collect()
}

fn buttons(standing: &Standing, words: &Words, lang: &str) -> String {
    moves(standing).into_iter().map(|wanted| button(standing, wanted, words, lang)).collect()
}

fn button(standing: &Standing, wanted: RolloutMove, words: &Words, lang: &str) -> String {
    let text = match wanted {
        RolloutMove::Halt => words.halt,
        RolloutMove::Resume => words.resume,
        RolloutMove::Next => words.next_stage,
        RolloutMove::Recall => words.recall_now,
        RolloutMove::TakeBack => words.take_back,
    };
    let rollout = &standing.rollout;
    let version = rollout.version.to_string();
    let lang = if lang.is_empty() { String::new() } else { hidden("lang", lang) };
    let form = format!(
        "<form method=\"post\" action=\"{MOVE}\">{}{}{}{lang}<button>{text}</button></form>",
        hidden("app", rollout.app.as_str()),
        hidden("version", &version),
        hidden("move", wanted.word()),
    );
    // What reaches every installation is read before it is pressed.
    if wanted != RolloutMove::Recall {
        return form;
    }
    let to = rollout.plan.recall_to().map(ToString::to_string).unwrap_or_default();
    let sure = words
        .recall_explained
        .replacen("{}", &escaped(&version), 1)
        .replacen("{}", &escaped(&to), 1)
        .replacen("{}", &escaped(&version), 1);
    format!("<details><summary>{}</summary><p>{sure}</p>{form}</details>", words.recall)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::fleet::Tally;
    use crate::model::rollout_plan::RolloutWord;
    use crate::publish::PlannedRollout;

    fn standing(state: RolloutState) -> Standing {
        let plan: crate::model::rollout_plan::RolloutPlan = serde_json::from_value(json!({
            "stages": [{"permille": 100}, {"permille": 1000}],
            "begins": "2026-11-01T00:00:00Z", "recall_to": "1.0.0",
        }))
        .unwrap();
        let word = RolloutWord {
            halted: state == RolloutState::Halted,
            recalled: state == RolloutState::Recalled,
            plan: Some(plan.digest()),
            ..RolloutWord::default()
        };
        let rollout = PlannedRollout {
            app: "sample".parse().unwrap(),
            version: "2.0.0".parse().unwrap(),
            plan,
            plans_differ: false,
            is_halted_offline: state == RolloutState::HaltedOffline,
            word: Some(word),
        };
        let tally = Tally { up: 1234, rolled_back: 5, failed: 0 };
        let at = "2026-11-30T00:00:00Z".parse().unwrap();
        Standing { rollout, state, since: Timestamp::UNIX_EPOCH, tally, at }
    }

    fn html(state: RolloutState, language: Language, may_operate: bool) -> String {
        rollouts(&[standing(state)], language, "zh-CN", may_operate)
    }

    #[test]
    fn each_state_has_its_buttons() {
        for (state, expected) in [
            (RolloutState::Running, &["next", "halt", "recall"][..]),
            (RolloutState::WaitsForApproval, &["next", "halt", "recall"]),
            (RolloutState::Finished, &["halt", "recall"]),
            (RolloutState::Halted, &["resume", "recall"]),
            (RolloutState::HaltedOffline, &[]),
            (RolloutState::Recalled, &["take-back"]),
        ] {
            let page = html(state, Language::English, true);
            for wanted in RolloutMove::ALL {
                let field = format!("name=\"move\" value=\"{wanted}\"");
                let is_there = page.contains(&field);
                assert_eq!(is_there, expected.contains(&wanted.word()), "{state:?} {wanted}");
            }
        }
        assert_eq!(rollouts(&[], Language::English, "", true), "");
    }

    #[test]
    fn a_reader_sees_how_a_rollout_stands_and_no_button() {
        for state in RolloutState::ALL {
            let page = html(state, Language::Chinese, false);
            assert!(!page.contains("<form"), "{state:?}: {page}");
            assert!(page.contains("1,234") && page.contains("sample 2.0.0"), "{page}");
            assert!(!page.contains("{}"), "{page}");
            assert!(!html(state, Language::English, true).contains("{}"));
        }
        let running = html(RolloutState::Running, Language::English, false);
        assert!(running.contains("1 of 2") && running.contains("value=\"100\""), "{running}");
    }
}
