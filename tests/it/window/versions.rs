//! The installed versions in the window: switched to, gone back to, pinned, removed; what they keep.

use egui_kittest::kittest::{NodeT, Queryable};
use kuzflow::testing::gui::CloseReason;
use kuzflow::testing::messages::protocol::{
    Command, Event, FilesHeld, LoginStart, NoUpdate, OldShortcuts, Phase, ShortcutChoice,
};
use kuzflow::testing::model::Version;

use super::Window;
use crate::support::scenes;

#[test]
fn versions_can_be_switched_to_and_removed_after_a_question() {
    let mut window = Window::scene("offer");
    window.click("Installed versions");
    assert!(window.sees("241 MB • installed March 17, 2026") && window.sees("Active"));
    // The active version, which also runs, can be neither switched to nor removed.
    assert_eq!(window.harness.get_all_by_label("Remove").count(), 2);
    assert_eq!(window.harness.get_all_by_label("Switch to this…").count(), 2);
    window.harness.get_all_by_label("Remove").next().unwrap().click();
    window.settle();
    assert!(
        window.sees("Remove 1.8.4?")
            && window.sees("Your own files from it are kept.")
            && window.commands().is_empty()
    );
    window.click("Cancel");
    assert!(window.commands().is_empty());
    window.harness.get_all_by_label("Remove").next().unwrap().click();
    window.settle();
    window.harness.get_all_by_label("Remove").last().unwrap().click();
    window.settle();
    let id = scenes::installed()[1].id.clone();
    assert_eq!(window.commands(), [Command::Remove(id.clone())]);
    window.click_nth("Switch to this…", 0);
    assert!(window.sees("Switch to 1.8.4?") && window.sees("Your current files come with you."));
    assert!(
        window.sees_part("1.8.5 stays installed")
            && window.sees("It takes effect when LabelImg restarts.")
    );
    assert!(!window.sees_part("did not start properly"));
    window.press(egui::Key::Escape);
    assert!(
        window.commands().is_empty() && !window.sees("Switch to 1.8.4?") && window.sees("Active")
    );
    window.click_nth("Switch to this…", 0);
    window.click("Switch");
    assert_eq!(window.commands(), [Command::Switch(id)]);
}

#[test]
fn going_back_says_what_becomes_of_the_files_and_is_offered_where_there_is_a_point() {
    let mut window = Window::scene("versions-all");
    window.click("Installed versions");
    // 1.8.6 was rolled back and has no snapshot, 1.8.5 is active.
    assert_eq!((window.count("Switch to this…"), window.count("Go back to this…")), (3, 2));
    window.click_nth("Switch to this…", 0);
    assert!(
        window.sees("Switch to 1.8.6?")
            && window.sees_part("did not start properly on this computer")
    );
    window.click("Cancel");
    window.click_nth("Go back to this…", 0);
    for text in [
        "Go back to 1.8.4?",
        "Version 1.8.4 comes back, and your files as they were on September 3, 2026, 08:02.",
        "What you did since then is kept in a folder that you can open.",
        "LabelImg will close and reopen. It asks you first if something is not saved.",
    ] {
        assert!(window.sees(text), "{text} is missing");
    }
    assert!(window.commands().is_empty());
    window.click("Go back");
    let id = scenes::installed()[1].id.clone();
    assert_eq!(window.commands(), [Command::RollBack(Some(id))]);
    window.emit(Event::Phase { phase: Phase::RollingBack });
    assert!(window.sees("Going back…") && window.closed().is_none());
    let (from, to) = (Version::new(1, 8, 5), Version::new(1, 8, 4));
    let files = FilesHeld { of_left: true, of_active: true };
    window.emit(Event::Phase {
        phase: Phase::RolledBack { from, to, retained: "/kept/1.8.4".into(), files },
    });
    assert!(window.sees("LabelImg 1.8.4 is back") && window.sees("/kept/1.8.4"));
    window.click("Open folder");
    assert!(!window.sees_part("Cannot open the folder"));
    window.press(egui::Key::Enter);
    assert_eq!(window.closed(), Some(CloseReason::ByUser));
}

#[test]
fn nothing_is_stated_of_files_where_the_launcher_holds_none() {
    let mut window = Window::scene("offer");
    let mut versions = scenes::installed();
    for version in &mut versions {
        version.holds_files = false;
    }
    window.emit(Event::Installed { versions, retained: Vec::new() });
    window.click("Installed versions");
    assert!(!window.sees_part("your files") && !window.sees_part("your current files"));
    for button in ["Switch to this…", "Go back to this…", "Remove"] {
        window.click_nth(button, 0);
        assert!(window.sees("Cancel"));
        for text in ["our files", "our current files", "our own files", "kept in a folder"] {
            assert!(!window.sees_part(text), "{button}: {text}");
        }
        window.click("Cancel");
    }
    for scene in [
        "rolling-back-plain",
        "rolled-back-plain",
        "incident-plain",
        "incident-plain-details",
        "incident-several-plain",
    ] {
        let start = scene.trim_end_matches("-details");
        let mut window = Window::scene(start);
        if start != scene {
            window.click("Details");
        }
        assert!(!window.sees_part("our files") && !window.sees_part("What you did"), "{scene}");
    }
    assert!(
        Window::scene("rolled-back").sees_part("With your files")
            && Window::scene("rolling-back").sees_part("your files")
    );
}

#[test]
fn the_version_that_only_starts_next_is_not_called_active() {
    let mut window = Window::scene("offer");
    let mut versions = scenes::installed();
    (versions[0].running, versions[1].running) = (false, true);
    window.emit(Event::Installed { versions, retained: Vec::new() });
    window.click("Installed versions");
    assert!(window.sees("Starts next") && window.sees("Running") && !window.sees("Active"));
}

#[test]
fn what_was_skipped_can_be_offered_again() {
    let mut window = Window::scene("up-to-date");
    window.emit(Event::Phase {
        phase: Phase::UpToDate { reason: NoUpdate::Skipped, current: Some(Version::new(1, 8, 5)) },
    });
    window.click("Offer it again");
    assert_eq!(window.commands(), [Command::OfferSkipped]);
}

#[test]
fn the_active_version_can_be_pinned_and_let_go() {
    let mut window = Window::scene("offer");
    window.click("Installed versions");
    assert_eq!((window.count("Stay at this version"), window.sees("Pinned")), (1, false));
    window.click("Stay at this version");
    assert_eq!(window.commands(), [Command::Pin(Some(Version::new(1, 8, 5)))]);
    let mut window = Window::scene("versions-all");
    window.click("Installed versions");
    assert!(window.sees("Pinned") && window.sees("Did not start here") && window.sees("Running"));
    window.click("Offer newer versions again");
    assert_eq!(window.commands(), [Command::Pin(None)]);
}

#[test]
fn reports_to_the_publisher_can_be_switched_off_where_he_wants_them() {
    const SWITCH: &str = "Tell the publisher how updates went";
    let mut window = Window::scene("offer");
    window.click("Installed versions");
    assert!(!window.sees(SWITCH), "the publisher wants none");
    let mut window = Window::scene("versions-all");
    window.click("Installed versions");
    window.click_nth(SWITCH, 0);
    assert_eq!(window.commands(), [Command::Report(false)]);
    window.emit(Event::Reporting { on: false });
    window.click_nth(SWITCH, 0);
    assert_eq!(window.commands(), [Command::Report(true)]);
}

#[test]
fn sharing_with_peers_can_be_switched_off_where_the_publisher_allows_it() {
    const SWITCH: &str = "Share updates with computers nearby";
    let mut window = Window::scene("offer");
    window.click("Installed versions");
    assert!(!window.sees(SWITCH), "it is no question here");
    let mut window = Window::scene("versions-all");
    window.click("Installed versions");
    window.click_nth(SWITCH, 0);
    assert_eq!(window.commands(), [Command::Share(false)]);
    // The window stays as it was until the engine sends an event.
    window.click_nth(SWITCH, 0);
    assert_eq!(window.commands(), [Command::Share(false)]);
    window.emit(Event::Sharing { on: false });
    window.click_nth(SWITCH, 0);
    assert_eq!(window.commands(), [Command::Share(true)]);
}

#[test]
fn the_start_at_login_is_switched_where_its_state_is_shown() {
    const SWITCH: &str = "Start LabelImg when I log in";
    let mut window = Window::scene("offer");
    window.click("Installed versions");
    assert!(!window.sees(SWITCH), "this launcher has no switch for it");
    let mut window = Window::scene("versions-all");
    window.click("Installed versions");
    window.click_nth(SWITCH, 0);
    assert_eq!(window.commands(), [Command::StartAtLogin(true)]);
    window.emit(Event::LoginStart { state: LoginStart::On });
    window.click_nth(SWITCH, 0);
    assert_eq!(window.commands(), [Command::StartAtLogin(false)]);
}

#[test]
fn a_start_at_login_that_cannot_be_switched_says_why() {
    const SWITCH: &str = "Start LabelImg when I log in";
    let mut window = Window::scene("login-off-in-system");
    window.click("Installed versions");
    for (state, reason) in [
        (LoginStart::OffInSystem, "Windows has switched this off."),
        (LoginStart::Unavailable, "This system has no folder for programs that start at login."),
    ] {
        window.emit(Event::LoginStart { state });
        assert!(window.sees_part(reason), "{state:?}");
        assert!(window.harness.get_by_label(SWITCH).accesskit_node().is_disabled());
        window.click_nth(SWITCH, 0);
        assert!(window.commands().is_empty(), "{state:?}");
    }
}

#[test]
fn old_shortcuts_are_replaced_and_brought_back_by_a_switch() {
    const SWITCH: &str = "Replace old shortcuts of LabelImg";
    let mut window = Window::scene("up-to-date");
    window.click("Installed versions");
    assert!(!window.sees(SWITCH), "there are none");
    let mut window = Window::scene("old-shortcuts-replaced");
    window.click("Installed versions");
    assert!(window.sees_part("2 shortcuts of an earlier installation were replaced."));
    window.click_nth(SWITCH, 0);
    assert_eq!(window.commands(), [Command::OldShortcuts(ShortcutChoice::Restore)]);
    let back = OldShortcuts { answered: true, ..scenes::old_shortcuts(2) };
    window.emit(Event::OldShortcuts(back));
    assert!(window.sees("2 shortcuts still start an earlier installation."));
    window.click_nth(SWITCH, 0);
    assert_eq!(window.commands(), [Command::OldShortcuts(ShortcutChoice::Replace)]);
}

#[test]
fn room_on_the_disk_is_asked_for_when_it_is_looked_at_and_can_be_freed_after_a_question() {
    let mut window = Window::scene("offer");
    assert!(window.all_commands().is_empty());
    window.click("Installed versions");
    assert_eq!(window.all_commands(), [Command::MeasureDisk]);
    assert!(window.sees("3 versions, up to 749 MB on the disk") && !window.sees("Free up space…"));
    // A version was added or removed: the figures change too.
    window.emit(Event::Installed { versions: scenes::installed(), retained: scenes::retained() });
    assert_eq!(window.all_commands(), [Command::MeasureDisk]);

    let mut window = Window::scene("versions-all");
    window.click("Installed versions");
    assert!(window.sees("One old version can go: up to 233 MB"));
    window.click_nth("Free up space…", 0);
    assert!(
        window.sees("Will be deleted: 1.8.0. That frees up to 233 MB.")
            && window.commands().is_empty()
    );
    window.click("Free up space");
    assert_eq!(window.commands(), [Command::Prune]);
}

#[test]
fn retained_files_are_listed_and_can_be_opened() {
    let mut window = Window::scene("versions-all");
    window.click("Installed versions");
    assert!(
        window.sees("Your files from version 1.8.6")
            && window.sees("November 21, 2026, 19:44 • 12.4 MB")
    );
    // The files lie in the version's folder, whose size is shown above.
    assert!(window.sees("September 3, 2026, 08:02"));
    let last = window.count("Open folder") - 1;
    window.click_nth("Open folder", last - 1);
    assert!(!window.sees_part("Cannot open the folder"), "1.8.4 can be opened");
    window.click_nth("Open folder", last);
    assert!(window.sees_part("Cannot open the folder"));
}

/// The only copy of somebody's work goes after a question alone, and Return does not answer it.
#[test]
fn files_that_were_set_aside_are_deleted_after_a_question() {
    let mut window = Window::scene("versions-all");
    window.click("Installed versions");
    // The files of the other states lie in their versions' folders, and go with these.
    assert_eq!(window.count("Delete…"), 1);
    window.click_nth("Delete…", 0);
    let question = "Delete your files from version 1.8.6?";
    let only = "They exist only here. Once they are deleted, nothing brings them back.";
    assert!(window.sees(question) && window.sees(only));
    window.press(egui::Key::Enter);
    assert!(!window.sees(question) && window.commands().is_empty());
    window.click_nth("Delete…", 0);
    window.click("Delete");
    let folder = "/home/user/.local/share/labelimg/snapshots/20261121T194400.000000Z-labelimg_1.8.6_Linux_x86_64";
    assert_eq!(window.commands(), [Command::DeleteRetained(folder.into())]);
}

#[test]
fn a_channel_is_chosen_where_the_publisher_offers_some_and_the_way_back_is_offered() {
    let mut window = Window::scene("versions-all");
    window.click("Installed versions");
    assert!(!window.sees("Channel"), "the publisher offers none");
    let mut window = Window::scene("ahead-of-channel");
    window.click("Installed versions");
    assert!(window.sees("Channel"));
    window.click_nth("beta", 0);
    assert_eq!(window.commands(), [Command::ChooseChannel("beta".to_owned())]);
    // Back to an older version of the channel: one that was left comes back as it was.
    let mut window = Window::scene("ahead-of-channel");
    assert!(window.sees_part("newer than 1.8.4"));
    window.click("Go back now");
    assert_eq!(window.commands(), [], "the window asks first");
    window.click("Go back");
    let container = "labelimg_1.8.4_Linux_x86_64".parse().unwrap();
    assert_eq!(window.commands(), [Command::RollBack(Some(container))]);
    let mut window = Window::scene("ahead-of-channel");
    window.emit(Event::Installed { versions: Vec::new(), retained: Vec::new() });
    window.click("Go back now");
    assert_eq!(window.commands(), [Command::CheckVersion(Version::new(1, 8, 4))]);
}

#[test]
fn a_recall_and_an_old_system_are_shown_with_their_reasons() {
    let mut window = Window::scene("recalled");
    assert!(window.sees_part("has recalled version 1.8.5"));
    assert!(window.sees_part("It loses labels"));
    assert!(window.sees_part("Your files come back as they were on October 8, 2026"));
    assert!(!window.sees("Skip this version"), "it comes as a mandatory one");
    window.click("Update now");
    assert_eq!(window.commands(), [Command::Start], "nobody asks whether an older one is meant");
    let mut window = Window::scene("withdrawn-skipped");
    assert!(window.sees_part("has recalled the version that you have"));
    assert!(window.sees_part("It loses labels") && window.sees_part("which you chose to skip"));
    window.click("Offer it again");
    assert_eq!(window.commands(), [Command::OfferSkipped], "what helps is at hand");
    let window = Window::scene("system-too-old");
    assert!(window.sees_part("needs glibc 2.28, this computer has glibc 2.17"));
}
