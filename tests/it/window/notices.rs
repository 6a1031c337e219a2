//! What the window reports: incidents, conflicts, problems beside another screen.

use egui_kittest::kittest::{NodeT, Queryable};
use kuzflow::testing::gui::CloseReason;
use kuzflow::testing::messages::protocol::{
    Command, Event, OldShortcuts, Phase, ProblemKind, ShortcutChoice,
};
use kuzflow::testing::model::Version;

use super::Window;
use crate::support::scenes;

#[test]
fn the_next_start_says_in_one_sentence_that_a_version_did_not_start() {
    let mut window = Window::scene("incident-crashed");
    let sentence = "You are back on 1.8.5, and your files are as they were.";
    assert!(window.sees("Version 1.8.6 did not start properly") && window.sees(sentence));
    // The window asks nothing, and offers nothing.
    assert!(
        !window.sees("Check for updates")
            && !window.sees("Close")
            && !window.sees_part("signal 11")
    );
    window.click("Details");
    for text in [
        "It crashed (signal 11).",
        "1.8.6 is not offered again on this computer. The next version will be.",
        "Your files from 1.8.6",
        "November 21, 2026, 19:44",
        "Open folder",
    ] {
        assert!(window.sees(text), "{text} is missing");
    }
    window.click("Hide details");
    assert!(!window.sees("Open folder"));
    window.click("OK");
    assert_eq!((window.commands(), window.closed()), (vec![], Some(CloseReason::ByUser)));
    for key in [egui::Key::Enter, egui::Key::Escape] {
        let mut window = Window::scene("incident");
        window.press(key);
        assert_eq!(window.closed(), Some(CloseReason::ByUser));
    }
}

#[test]
fn who_was_led_back_by_a_recall_finds_what_was_done_since() {
    let mut window = Window::scene("incident-recalled");
    assert!(window.sees("The publisher has recalled version 1.8.6"));
    let files = "You are back on 1.8.5, with your files as they were on October 11, 2026, 03:44.";
    assert!(window.sees_part(files) && window.sees_part("What you did since then is kept."));
    window.click("Details");
    assert!(window.sees("Your files from 1.8.6") && window.sees("Open folder"));
    let window = Window::scene("incident-withdrawn");
    assert!(window.sees("Version 1.8.6 was not started"));
    assert!(window.sees_part("nothing was changed"));
}

#[test]
fn what_the_disk_cannot_read_and_what_was_repaired_is_explained() {
    let mut window = Window::scene("incident-unreadable");
    assert!(window.sees("A file cannot be read"));
    window.click("Details");
    assert!(
        window.sees("Version 1.8.5 was started all the same, and your files are unchanged.")
            && window.sees_part("installed.json is there, and this computer cannot read it.")
            && window.sees_part("Input/output error")
            && window.sees("Copy details")
    );
    let mut window = Window::scene("incident-repaired");
    window.click_nth("Details", 0);
    assert!(window.sees_part("The next start tries again"));
    window.click_nth("Details", 0);
    assert!(window.sees_part("They are restored now."));
}

#[test]
fn conflicts_are_listed_with_what_lies_beside() {
    let mut window = Window::scene("incident-conflicts");
    assert!(window.sees("3 of your files are kept twice"));
    assert!(
        window.sees("config/settings.ini") && window.sees("beside it: settings.ini.new-default")
    );
    window.click("Open folder");
    let reported = "Cannot open the folder /home/user/.local/share/labelimg/containers/labelimg_1.8.5_Linux_x86_64/config";
    assert!(window.sees(reported));
    let window = Window::scene("incident-many-conflicts");
    assert!(window.sees("and 4 more"));
    assert!(window.sees_part("template-7.json") && !window.sees_part("template-8.json"));
}

#[test]
fn several_things_are_reported_the_newest_first() {
    let mut window = Window::scene("incident-several");
    assert!(window.sees("3 things you should know"));
    let top = |window: &Window, label: &str| window.harness.get_by_label(label).rect().top();
    let order = [
        "Version 1.8.6 did not start properly",
        "Version 1.8.6 could not be prepared",
        "One of your files is kept twice",
    ]
    .map(|title| top(&window, title));
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!((window.count("Details"), window.count("Got it")), (3, 0));
    window.click_nth("Details", 1);
    assert!(window.sees_part("connection refused") && window.sees("Copy details"));
    assert!(!window.sees_part("It closed again at once"));
}

#[test]
fn what_occurs_beside_another_screen_is_a_card_that_can_be_dismissed() {
    let mut window = Window::scene("incident-beside");
    assert!(
        window.sees("LabelImg 1.8.6 is available")
            && window.sees("Version 1.8.6 did not start properly")
    );
    window.click("Got it");
    assert!(!window.sees("Version 1.8.6 did not start properly") && window.sees("Update now"));
    let what = scenes::notices("incident").remove(0).what;
    assert_eq!(window.commands(), [Command::Seen(Box::new(what))]);
}

#[test]
fn a_window_with_something_to_tell_stays_when_the_app_has_started() {
    let mut window = Window::scene("launched-incident");
    assert!(window.closed().is_none() && window.sees("There is something you should know"));
    window.click("Got it");
    assert_eq!(window.closed(), Some(CloseReason::Launched));
    let mut window = Window::scene("launched-incident");
    window.click("Close");
    assert_eq!(window.closed(), Some(CloseReason::ByUser));
}

const REPLACE: Command = Command::OldShortcuts(ShortcutChoice::Replace);
const LEAVE: Command = Command::OldShortcuts(ShortcutChoice::Leave);

#[test]
fn the_window_of_the_first_installation_asks_about_old_shortcuts_before_it_closes() {
    let mut window = Window::scene("launched-old-shortcuts");
    assert!(window.closed().is_none() && window.sees("One shortcut still starts the old LabelImg"));
    assert!(window.sees("on the desktop"));
    window.click("Replace");
    assert_eq!((window.commands(), window.closed()), (vec![REPLACE], None));
    // What the engine cannot do is shown, and the question stays.
    let problem = scenes::problem(ProblemKind::DiskError, "LabelImg.lnk");
    window.emit(Event::Notice { problem });
    assert!(window.sees_part("LabelImg.lnk") && window.closed().is_none());
    let replaced = OldShortcuts { replaced: 1, answered: true, ..OldShortcuts::default() };
    window.emit(Event::OldShortcuts(replaced));
    assert_eq!(window.closed(), Some(CloseReason::Launched));

    let mut window = Window::scene("launched-old-shortcuts");
    window.click("Leave");
    assert_eq!((window.commands(), window.closed()), (vec![LEAVE], Some(CloseReason::ByUser)));
}

#[test]
fn a_start_asks_about_old_shortcuts_once_and_every_way_out_is_an_answer() {
    let mut window = Window::scene("old-shortcuts");
    for text in ["3 shortcuts still start the old LabelImg", "LabelImg (safe mode)", "in the menu"]
    {
        assert!(window.count(text) > 0, "{text} is missing");
    }
    window.press(egui::Key::Enter);
    assert_eq!((window.commands(), window.closed()), (vec![REPLACE], None));
    window.emit(Event::OldShortcuts(OldShortcuts { answered: true, ..OldShortcuts::default() }));
    assert_eq!(window.closed(), Some(CloseReason::ByUser));
    let mut window = Window::scene("old-shortcuts");
    window.press(egui::Key::Escape);
    assert_eq!((window.commands(), window.closed()), (vec![LEAVE], Some(CloseReason::ByUser)));
}

#[test]
fn nobody_is_asked_about_shortcuts_twice_or_while_something_else_is_to_be_decided() {
    for state in [
        OldShortcuts { answered: true, ..scenes::old_shortcuts(2) },
        OldShortcuts { replaced: 2, ..OldShortcuts::default() },
    ] {
        let mut window = Window::scene("up-to-date");
        window.emit(Event::OldShortcuts(state));
        window.emit(Event::Phase { phase: Phase::Launched { version: Version::new(1, 8, 6) } });
        assert_eq!(window.closed(), Some(CloseReason::Launched));
    }
    let mut window = Window::scene("offer");
    window.emit(Event::OldShortcuts(scenes::old_shortcuts(2)));
    assert!(window.sees("Update now") && !window.sees("Replace"));
}

#[test]
fn files_that_are_taken_along_are_counted() {
    let window = Window::scene("taking-along");
    assert!(
        window.sees("Switching to LabelImg 1.8.6")
            && window.sees("Copying your files: 312 of 1,024 MB")
    );
    let bar = window
        .harness
        .get_all_by_label("Switching to LabelImg 1.8.6")
        .find(|node| node.accesskit_node().numeric_value().is_some());
    assert_eq!(bar.unwrap().accesskit_node().numeric_value(), Some(30.0));
}

#[test]
fn a_folder_that_cannot_be_opened_and_a_problem_aside_are_reported_and_can_be_dismissed() {
    let mut window = Window::scene("offer");
    window.click("Installed versions");
    window.harness.get_all_by_label("Open folder").next().unwrap().click();
    window.settle();
    assert!(window.harness.query_by_label_contains("Cannot open the folder").is_some());
    window.click("Got it");
    assert!(window.harness.query_by_label_contains("Cannot open the folder").is_none());
    let problem = scenes::problem(ProblemKind::VersionInUse, "1.8.5");
    window.emit(Event::Notice { problem });
    assert!(window.sees("This version is in use"));
    window.click("Got it");
    assert!(!window.sees("This version is in use"));
}

#[test]
fn a_version_that_stands_in_is_named_with_its_files_and_what_is_done_in_it_has_a_place() {
    let mut window = Window::scene("incident-stand-in");
    assert!(window.sees(
        "It is damaged, so version 1.8.5 was started. In 1.8.5 your files are as they were on November 18, 2026, 19:44; your newer files are in 1.8.6, unchanged."
    ));
    assert!(window.sees("What you did in version 1.8.5 is kept"));
    window.click_nth("Details", 0);
    assert!(window.sees("Open folder"));
}
