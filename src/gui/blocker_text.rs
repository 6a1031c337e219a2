//! Why a running app cannot take over a version without a restart, in one plain sentence.
//!
//! In: the blockers that the app named. Out: a text of the catalogue. Never: a module's name or a
//! code; those are in the log.

use super::texts::Texts;
use crate::messages::protocol::SwapBlocker;

impl Texts {
    /// The sentence; `None` if there is no blocker.
    pub fn blocker(&self, blockers: &[SwapBlocker]) -> Option<String> {
        let named = blockers.iter().map(|blocker| name(&blocker.code));
        // A change that the app left half done outweighs one that it did not begin. Among equals
        // the app's first blocker counts.
        let heaviest =
            named.clone().find(|name| *name == "blocker-undo").or_else(|| named.clone().next());
        heaviest.map(|name| self.get(name))
    }
}

/// The message of a code, as `assets/runtime/PROTOCOL.md` lists them.
fn name(code: &str) -> &'static str {
    match code {
        "c-extension" | "resource" | "main-module" | "removed-module" | "runtime" => {
            "blocker-files"
        }
        "other-file" | "loaded-twice" | "kind-of-module" | "special-module" | "circular" => {
            "blocker-loading"
        }
        "syntax" | "unreadable" | "wrong-digest" | "bad-path" | "bad-kind" | "bad-digest"
        | "bad-change" | "bad-container" | "no-container" => "blocker-content",
        "missing-name" | "required-attribute" => "blocker-needed",
        "live-class" | "live-qt-class" | "layout" | "migrate" | "held" | "undeclared-state" => {
            "blocker-in-use"
        }
        "import-error" | "self-check" | "starts-thread" | "listener" | "failed" => "blocker-tried",
        "main-thread" | "busy" => "blocker-busy",
        "undo" => "blocker-undo",
        _ => "blocker-other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gui::Language;

    fn blockers(codes: &[&str]) -> Vec<SwapBlocker> {
        let blocker = |code: &&str| SwapBlocker {
            code: (*code).to_owned(),
            text: "words for the log".to_owned(),
            module: Some("app.executor".to_owned()),
            path: None,
        };
        codes.iter().map(blocker).collect()
    }

    #[test]
    fn every_code_of_the_protocol_has_a_sentence_of_its_own_kind() {
        let listed = include_str!("../../assets/runtime/PROTOCOL.md");
        let table = listed.split("Codes of reasons:").nth(1).unwrap().split("## ").next().unwrap();
        let codes: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next())
            .flat_map(|cell| cell.split("`, `"))
            .collect();
        let codes: Vec<&str> = codes.into_iter().map(|code| code.trim_matches('`')).collect();
        assert!(codes.len() > 30, "{codes:?}");
        for code in codes {
            assert_ne!(name(code), "blocker-other", "{code}");
        }
        let english = Texts::new(Language::English);
        assert_eq!(
            english.blocker(&blockers(&["next-year"])).unwrap(),
            "This change takes effect after a restart."
        );
    }

    #[test]
    fn the_heaviest_is_reported_and_nothing_technical() {
        for texts in Language::ALL.map(Texts::new) {
            assert_eq!(texts.blocker(&[]), None);
            let reported = texts.blocker(&blockers(&["c-extension", "undo"])).unwrap();
            assert_eq!(reported, texts.get("blocker-undo"));
            assert_eq!(
                texts.blocker(&blockers(&["live-class", "syntax"])),
                Some(texts.get("blocker-in-use"))
            );
            assert!(!reported.contains("app.executor") && !reported.contains("words for the log"));
        }
    }
}
