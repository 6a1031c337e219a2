//! Files in the window: chosen, dropped, too old.

use egui_kittest::kittest::Queryable;
use kuzflow::testing::gui::{CloseReason, Language};
use kuzflow::testing::messages::protocol::{CheckTrigger, Command, Event, Phase};
use kuzflow::testing::model::Version;

use super::Window;
use crate::support::scenes;
use crate::support::windows::{ENGLISH, Look};

/// The answer of the tests' file dialog.
fn on_the_stick() -> Command {
    Command::Check(CheckTrigger::Bundle("/media/stick/labelimg.kuzflow-bundle".into()))
}

/// A file that the user drops on the window.
#[derive(Debug)]
struct Dropped(&'static str);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        self.0.as_ref()
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("the window reads no file".to_owned())
    }
}

#[test]
fn a_file_can_be_chosen_or_dropped() {
    for scene in ["idle", "up-to-date", "offer", "ready", "failed", "cancelled"] {
        let mut window = Window::scene(scene);
        let button = window.harness.get_all_by_label("Install from a file…").next();
        button.unwrap_or_else(|| panic!("no button in {scene}")).click();
        window.settle();
        assert_eq!(window.commands(), [on_the_stick()], "{scene}");
    }
    let mut window = Window::scene("idle");
    let hovered = egui::HoveredFile { path: Some("/tmp/x".into()), ..Default::default() };
    window.harness.input_mut().hovered_files.push(hovered);
    window.harness.step();
    window.settle();
    assert!(window.sees("Drop to install"));
    window.harness.input_mut().hovered_files.clear();
    for path in ["/media/other", "/media/stick/labelimg.kuzflow-bundle"] {
        window.harness.input_mut().dropped_files.push(std::sync::Arc::new(Dropped(path)));
    }
    window.harness.step();
    window.settle();
    assert!(!window.sees("Drop to install"));
    assert_eq!(window.commands(), [on_the_stick()]);
    window.emit(Event::Phase { phase: Phase::Checking });
    assert!(window.sees("Verifying the publisher’s signature…"));
}

/// An older release asks as a switch to an installed older one does; Return changes nothing.
#[test]
fn an_older_release_is_called_older_and_asks_first() {
    let chinese = Look { language: Language::Chinese, ..ENGLISH };
    for (look, title, install, question, yes) in [
        (
            ENGLISH,
            "LabelImg 1.8.6 is older than your 1.9.0",
            "Install",
            "Switch to 1.8.6?",
            "Switch",
        ),
        (chinese, "LabelImg 1.8.6 早于您现在的版本 1.9.0", "安装", "切换到 1.8.6？", "切换"),
    ] {
        let mut window = Window::open(scenes::state("offer-older", look.language), look);
        assert!(window.sees(title));
        window.press(egui::Key::Enter);
        assert!(window.sees(question) && window.commands().is_empty());
        window.press(egui::Key::Enter);
        assert!(!window.sees(question) && window.commands().is_empty());
        window.click(install);
        window.click(yes);
        assert_eq!(window.commands(), [Command::Start]);
    }
}

#[test]
fn without_a_dialog_there_is_another_way() {
    let chinese = Look { language: Language::Chinese, ..ENGLISH };
    let mut window = Window::open(scenes::state("idle", Language::Chinese), chinese);
    window.click("从文件安装…");
    assert!(window.commands().is_empty());
    assert!(window.sees("无法打开系统的文件选择框。请把文件拖到此窗口上。"));
}

#[test]
fn a_file_waits_until_an_update_is_done() {
    for scene in ["checking", "downloading", "installing", "switching"] {
        let mut window = Window::scene(scene);
        assert!(!window.sees("Install from a file…"), "{scene}");
        let input = window.harness.input_mut();
        input
            .hovered_files
            .push(egui::HoveredFile { path: Some("/tmp/x".into()), ..Default::default() });
        window.harness.step();
        window.settle();
        assert!(window.sees("Please wait until the current step is done"), "{scene}");
        let input = window.harness.input_mut();
        input.dropped_files.push(std::sync::Arc::new(Dropped("/tmp/x")));
        window.harness.step();
        window.settle();
        assert!(window.commands().is_empty(), "{scene}");
    }
}

#[test]
fn what_comes_from_a_file_says_so() {
    let mut window = Window::scene("offer-file");
    assert!(window.sees("You have version 1.8.5\nFrom a file • restart needed"));
    window.click("Details");
    for text in ["LabelImg 1.8.6 is available", "labelimg-1.8.6.kuzflow-bundle", "no download"] {
        assert!(window.sees(text), "{text} is missing");
    }
    assert!(
        !window.sees("Shanghai")
            && !window.sees("Skip this version")
            && !window.sees("about 14 seconds")
    );
    window.click("Install");
    assert_eq!(window.commands(), [Command::Start]);
    window.emit(Event::Phase { phase: Phase::Installing { version: Version::new(1, 8, 6) } });
    assert!(window.sees("Reading it from the file, verifying and writing"));
    let window = Window::scene("offer-prefetched");
    assert!(
        window.sees("You have version 1.8.5\nAlready downloaded • restart needed")
            && !window.sees("Shanghai")
    );
}

#[test]
fn an_old_file_is_installed_only_after_a_word() {
    let mut window = Window::scene("file-expired");
    assert!(window.sees("This file is old"));
    assert!(window.harness.query_by_label_contains("September 30, 2026").is_some());
    window.press(egui::Key::Enter);
    assert_eq!(
        (window.commands(), window.closed()),
        (vec![], Some(CloseReason::ByUser)),
        "Enter is no consent"
    );
    let mut window = Window::scene("file-expired");
    window.click("Install anyway");
    assert_eq!(window.commands(), [Command::AcceptExpired]);
}
