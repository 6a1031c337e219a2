//! The window on screens of every size: what fits, what is in sight, what keys and words say there.

use egui_kittest::kittest::{NodeT, Queryable};
use kuzflow::testing::gui::{Language, Texts};
use kuzflow::testing::messages::protocol::{Command, Event, NoUpdate, Phase, ProblemKind};
use kuzflow::testing::model::Version;

use super::Window;
use crate::support::scenes;
use crate::support::windows::{ENGLISH, Look};

/// Screens: width, height, scale.
const SCREENS: [(f32, f32, f32); 6] = [
    (1024.0, 600.0, 1.0),
    (1280.0, 800.0, 2.0),
    (1366.0, 768.0, 1.5),
    (1920.0, 1080.0, 1.0),
    (3840.0, 2160.0, 2.5),
    (1024.0, 600.0, 2.0),
];

/// The room for a window's contents on a screen of this size, without a bar of 48 points, a title
/// and borders; points.
pub(super) fn room(screen: (f32, f32, f32)) -> egui::Vec2 {
    let (width, height, scale) = screen;
    egui::vec2(width, height) / scale - egui::vec2(24.0, 48.0 + 56.0)
}

#[test]
fn every_button_is_on_every_screen_from_the_first_frame_on_in_both_languages() {
    for screen in SCREENS {
        // Low screens are tested in both languages; the others have room for more words.
        let low = room(screen).y < 400.0;
        for language in
            Language::ALL.into_iter().filter(|language| low || *language == Language::English)
        {
            let texts = Texts::new(language).of_app("LabelImg");
            // Rare scenes are tested only where there is the least room.
            let least = screen == SCREENS[SCREENS.len() - 1];
            for scene in
                scenes::names().into_iter().filter(|scene| least || !scenes::is_rare(scene))
            {
                let state = scenes::state(&scene, language);
                let actions = state.actions();
                let shown =
                    [actions.primary, actions.secondary, actions.quiet].into_iter().flatten();
                let name = |name: &str| texts.get(name);
                let buttons: Vec<String> = shown
                    .map(|action| name(action.text()))
                    .chain([
                        if language == Language::Chinese { "English" } else { "中文" }.to_owned()
                    ])
                    .collect();
                let look = Look { language, scale: screen.2, ..ENGLISH };
                let mut window = Window::open_on(state, look, Some(room(screen)));
                for again in [false, true] {
                    let whole = window.harness.ctx.content_rect();
                    assert!(
                        whole.width() <= room(screen).x + 0.5
                            && whole.height() <= room(screen).y + 0.5,
                        "{scene} {screen:?}"
                    );
                    for button in &buttons {
                        let found = window.harness.get_all_by_label(button).filter(|node| {
                            node.accesskit_node().role() == egui::Role::Button
                                && whole.contains_rect(node.rect())
                        });
                        assert!(
                            found.count() > 0,
                            "{scene} {language:?} {screen:?}: {button:?} is cut off, again: {again}"
                        );
                    }
                    window.harness.step();
                }
            }
        }
    }
}

#[test]
fn the_window_keeps_its_size_from_the_offer_to_the_end() {
    let mut window = Window::scene("offer");
    let size = |window: &Window| window.harness.ctx.content_rect().size();
    let before = size(&window);
    let version = Version::new(1, 8, 6);
    for phase in [
        Phase::Downloading { version: version.clone() },
        Phase::Paused { version: version.clone() },
        Phase::Installing { version: version.clone() },
        Phase::Ready { version, running: true },
        Phase::Failed { problem: scenes::problem(ProblemKind::DiskFull, "1 GB") },
    ] {
        window.emit(Event::Phase { phase: phase.clone() });
        assert_eq!(size(&window), before, "{phase:?}");
    }
    window.click("Details");
    assert_eq!(size(&window), before);
}

#[test]
fn details_come_into_sight_on_a_low_screen() {
    let screen = Some(room((1280.0, 800.0, 2.0)));
    for (scene, below) in [("offer", "Method"), ("failed", "Copy details")] {
        let mut window = Window::open_on(scenes::state(scene, Language::English), ENGLISH, screen);
        window.click_nth("Details", 0);
        let (first, foot) = (
            window.harness.get_by_label("Hide details").rect(),
            window.harness.ctx.content_rect().bottom() - 54.0,
        );
        assert!(window.sees(below) && first.bottom() < foot - 60.0, "{scene}: {first:?} of {foot}");
    }
}

#[test]
fn without_notes_the_particulars_are_to_be_seen() {
    let window = Window::scene("notes-none");
    assert!(window.sees("Method") && window.sees("Download size") && !window.sees_part("etails"));
}

#[test]
fn four_nodes_of_which_two_fail_need_no_scroll_bar() {
    let window = Window::scene("troubled");
    let last = window.harness.get_by_label("Cannot send parts of a file").rect();
    let pause = window.harness.get_by_label("Pause").rect();
    // The card's own margin, and the distance above the buttons.
    assert!(last.bottom() + 14.0 + 12.0 <= pause.top(), "{last:?} {pause:?}");
}

#[test]
fn a_short_list_of_servers_leaves_room_for_the_notes() {
    let notes = |scene: &str, screen| {
        let state = scenes::state(scene, Language::English);
        Window::open_on(state, ENGLISH, screen).sees("What’s new")
    };
    let low = Some(room((1366.0, 768.0, 1.5)));
    assert!(notes("one-node", None));
    assert!(!notes("troubled", None) && !notes("one-node", low), "they would need a scroll bar");
}

#[test]
fn no_time_is_left_once_the_last_byte_has_arrived() {
    let mut window = Window::scene("downloading");
    assert!(window.sees("7 seconds left") && window.sees("6.8 MB/s"));
    window.emit(scenes::progress(Language::English, 1.0, true));
    assert!(window.sees("100%") && window.sees("Verifying and writing"));
    assert!(!window.sees_part(" left") && !window.sees_part("MB/s"));
}

#[test]
fn other_versions_are_offered_only_where_there_are_some() {
    let alone = Window::scene("first-did-not-start");
    assert!(alone.sees("Try again") && alone.sees("Close"));
    assert!(!alone.sees_part("Installed versions") && !alone.sees_part("another version"));
    let others = Window::scene("did-not-start");
    assert!(others.sees("Installed versions") && others.sees_part("choose another version"));
}

#[test]
fn a_first_installation_names_no_method() {
    let mut window = Window::scene("first-install");
    window.click("Details");
    assert!(window.sees("Download size") && window.sees("Estimated time"));
    assert!(!window.sees("Method") && !window.sees("Full update"));
}

#[test]
fn notes_do_not_scroll_within_a_page_that_scrolls() {
    let state = || scenes::state("notes-200-lines", Language::English);
    let lines = |window: &Window| {
        let notes = window.harness.get_all_by_label_contains("of this release, which");
        notes.map(|line| line.rect().bottom()).fold(0.0, f32::max)
    };
    // A low screen, and one with the details folded out: all lines stand above the next part.
    let low = Window::open_on(state(), ENGLISH, Some(room((1280.0, 800.0, 2.0))));
    assert!(low.harness.get_by_label("Details").rect().top() > lines(&low));
    let mut open = Window::open(state(), ENGLISH);
    assert!(open.harness.get_by_label("Details").rect().bottom() < 560.0, "notes scroll alone");
    open.click("Details");
    assert!(open.harness.get_by_label("Hide details").rect().top() > lines(&open));
    assert!(open.sees("Method"));
}

#[test]
fn notes_in_another_language_say_in_which() {
    let chinese = Look { language: Language::Chinese, ..ENGLISH };
    let scene = "notes-of-another-language";
    assert!(Window::scene(scene).sees("What’s new (中文)"));
    assert!(
        Window::open(scenes::state(scene, Language::Chinese), chinese).sees("更新内容（English）")
    );
    assert!(Window::scene("offer").sees("What’s new"));
}

#[test]
fn a_very_long_path_leaves_what_to_do_next_in_sight() {
    let window = Window::open_on(
        scenes::state("error-very-long", Language::English),
        ENGLISH,
        Some(room((1366.0, 768.0, 1.5))),
    );
    let next = "Check the disk and the folder’s permissions, close programs that use the file, then try again.";
    let place = window.harness.get_by_label(next).rect();
    assert!(place.bottom() < window.harness.ctx.content_rect().bottom() - 60.0, "{place:?}");
    assert!(window.sees_part("/home/user/.local/share/labelimg") && window.sees_part("…"));
}

#[test]
fn a_headline_says_what_failed() {
    for (scene, headline) in [
        ("problem-nonetwork", "The update was not completed"),
        ("problem-launchfailed", "LabelImg cannot be started"),
        ("problem-norollbackpoint", "This could not be done"),
        ("first-failed", "The installation was not completed"),
        ("did-not-start", "LabelImg did not start"),
        ("problem-endedwitherror", "LabelImg ended with an error"),
        ("problem-homeofanotherprogram", "LabelImg cannot be started"),
        ("problem-appofanotherpublisher", "LabelImg cannot be started"),
    ] {
        assert_eq!(Window::scene(scene).count(headline), 1, "{scene}");
    }
}

#[test]
fn a_launcher_that_cannot_begin_says_once_that_nothing_was_changed() {
    for scene in
        ["problem-badsettings", "problem-homeofanotherprogram", "problem-appofanotherpublisher"]
    {
        let window = Window::scene(scene);
        let sentences = window.harness.query_all_by_label_contains("Nothing was changed").count();
        assert_eq!(sentences, 1, "{scene}");
        assert!(window.sees("Close") && !window.sees("Try again"), "{scene}");
    }
}

#[test]
fn where_nothing_is_installed_no_installed_version_is_spoken_of() {
    let window = Window::scene("problem-nothinginstalled");
    assert!(window.sees("Nothing was installed") && !window.sees_part("works as before"));
}

#[test]
fn a_repair_that_is_not_complete_can_be_tried_again() {
    let mut window = Window::scene("repaired-left");
    window.click("Try again");
    assert_eq!(window.commands(), [Command::Retry]);
    assert!(!Window::scene("repaired-whole").sees("Try again"));
}

#[test]
fn nothing_is_estimated_before_the_first_bytes_nor_while_all_are_silent() {
    let window = Window::scene("connecting");
    assert!(
        window.sees("Connecting…") && !window.sees("0 B/s") && !window.sees("Estimating time left")
    );
    for scene in ["one-node-silent", "all-silent"] {
        let window = Window::scene(scene);
        assert!(
            window.sees("Waiting") && !window.sees_part(" left") && !window.sees("0 B/s"),
            "{scene}"
        );
        assert!(!window.sees_part("files written"), "{scene}: none is before all bytes are there");
    }
}

/// The least size of the window, points.
pub(super) const LEAST: egui::Vec2 = egui::vec2(480.0, 240.0);

#[test]
fn nothing_overlaps_in_the_least_window_of_an_app_with_a_long_name() {
    let app = "Annotation Workbench for Photographs";
    for language in Language::ALL {
        let look = Look { language, app, ..ENGLISH };
        let texts = Texts::new(language).of_app(app);
        let open = |scene| Window::open_on(scenes::state(scene, language), look, Some(LEAST));
        let window = open("failed");
        let name = window.harness.get_by_label(app).rect();
        let versions = window.harness.get_by_label(&texts.get("action-versions")).rect();
        assert!(name.right() < versions.left(), "{language:?}: {name:?} {versions:?}");
        for scene in ["notes-200-lines", "mandatory"] {
            let mut window = open(scene);
            window.harness.remove_cursor();
            window.settle();
            let later = window.harness.get_by_label(&texts.get("action-later")).rect();
            let picture = window.harness.render().unwrap();
            // Between the quiet button and the others there is only the background.
            let row = later.center().y as u32;
            let background = picture.get_pixel(1, row);
            for x in later.left() as u32 - 40..later.left() as u32 - 4 {
                for y in later.top() as u32..later.bottom() as u32 {
                    assert_eq!(picture.get_pixel(x, y), background, "{scene} {language:?} {x} {y}");
                }
            }
        }
    }
}

#[test]
fn every_question_has_its_answers_in_the_least_window() {
    for language in Language::ALL {
        let texts = Texts::new(language).of_app(ENGLISH.app);
        let look = Look { language, ..ENGLISH };
        for (action, answer) in [
            ("action-remove", "action-remove"),
            ("action-switch", "action-switch-now"),
            ("action-go-back", "action-go-back-now"),
            ("action-prune", "action-prune-now"),
        ] {
            let state = scenes::state("versions-all", language);
            let mut window = Window::open_on(state, look, Some(LEAST));
            window.click(&texts.get("action-versions"));
            window.click_nth(&texts.get(action), 0);
            let whole = window.harness.ctx.content_rect().shrink(12.0);
            for answer in ["action-cancel", answer] {
                let name = texts.get(answer);
                let mut found = window.harness.get_all_by_label(&name);
                assert!(found.any(|node| whole.contains_rect(node.rect())), "{name} {language:?}");
            }
        }
    }
}

#[test]
fn a_long_version_leaves_the_subtitle_above_the_buttons_of_the_least_window() {
    let state = scenes::state("long-offer", Language::English);
    let window = Window::open_on(state, ENGLISH, Some(LEAST));
    let subtitle = window.harness.get_by_label_contains("Download •").rect();
    let later = window.harness.get_by_label("Later").rect();
    assert!(subtitle.bottom() <= later.top(), "{subtitle:?} {later:?}");
}

#[test]
fn peers_are_not_counted_as_servers() {
    let window = Window::scene("peers");
    assert!(window.sees_part("Downloading from 3 servers  •  11 computers nearby"));
    assert!(Window::scene("downloading").sees_part("Downloading from 3 servers  •  643 of"));
}

#[test]
fn tab_goes_from_left_to_right_and_from_top_to_bottom() {
    let mut window = Window::scene("offer");
    let mut seen = Vec::new();
    for _ in 0..9 {
        window.press(egui::Key::Tab);
        let focused = window.harness.root().children_recursive().find(|node| node.is_focused());
        seen.extend(focused.and_then(|node| node.accesskit_node().label()));
    }
    let wanted = [
        "Installed versions",
        "Install from a file…",
        "Appearance: light",
        "中文",
        "Details",
        "Skip this version",
        "Later",
        "Update now",
    ];
    let seen: Vec<&str> =
        seen.iter().map(String::as_str).filter(|label| wanted.contains(label)).collect();
    assert_eq!(seen[..wanted.len()], wanted);
}

#[test]
fn return_does_the_safe_thing_in_every_question() {
    for (button, place) in
        [("Remove", 0), ("Switch to this…", 0), ("Go back to this…", 0), ("Free up space…", 0)]
    {
        let mut window = Window::scene("versions-all");
        window.click("Installed versions");
        window.click_nth(button, place);
        assert!(window.harness.get_by_label("Cancel").is_focused(), "{button}");
        window.press(egui::Key::Enter);
        assert!(window.commands().is_empty() && !window.sees("Cancel"), "{button}");
    }
}

#[test]
fn only_who_has_the_newest_version_reads_so() {
    let mut window = Window::scene("up-to-date");
    assert!(window.sees("LabelImg is up to date"));
    for (reason, current) in [
        (NoUpdate::NothingPublished, None),
        (NoUpdate::Skipped, Some(Version::new(1, 8, 5))),
        (NoUpdate::Pinned, Some(Version::new(1, 8, 5))),
        (NoUpdate::FailedHere, Some(Version::new(1, 8, 5))),
        (NoUpdate::NotYet, Some(Version::new(1, 8, 5))),
    ] {
        window.emit(Event::Phase { phase: Phase::UpToDate { reason: reason.clone(), current } });
        assert!(!window.sees("LabelImg is up to date"), "{reason:?}");
    }
}
