//! The window, driven by its labels like a user with a screen reader, and drawn into pictures.

use std::path::PathBuf;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use image::RgbaImage;
use kuzflow::testing::gui::{
    CloseReason, Dialog, DialogOptions, Language, Picked, Texts, ViewState,
};
use kuzflow::testing::messages::mailbox;
use kuzflow::testing::messages::protocol::{
    CheckTrigger, Command, Event, FilesHeld, NoUpdate, NodeState, Phase, ProblemKind,
};
use kuzflow::testing::model::Version;
use kuzflow::testing::settings::Theme;

use crate::support::scenes;
use crate::support::windows::{self, ENGLISH, Look, Shown};

type Window = windows::Window<Dialog>;

impl Shown for Dialog {
    fn prepare(&mut self, context: &egui::Context) {
        Dialog::prepare(self, context);
    }

    fn show(&mut self, ui: &mut egui::Ui) {
        self.ui(ui);
    }
}

impl Window {
    fn open(state: ViewState, look: Look) -> Self {
        Self::open_on(state, look, None)
    }

    /// A window on a screen with this much room for it, points.
    fn open_on(state: ViewState, look: Look, room: Option<egui::Vec2>) -> Self {
        Self::open_between(state, look, room, mailbox::channel())
    }

    /// A window with both ends of its mailbox.
    fn open_between(
        state: ViewState,
        look: Look,
        room: Option<egui::Vec2>,
        (handle, engine): (mailbox::Handle, mailbox::EngineEnd),
    ) -> Self {
        let mut dialog = Dialog::new(
            state,
            handle,
            DialogOptions {
                app_name: look.app.to_owned(),
                appearance: look.appearance(),
                details: false,
                zone: jiff::tz::TimeZone::UTC,
                open_folder: |folder| match folder.to_str() {
                    Some(path) if path.contains("1.8.4") => Ok(()),
                    _ => Err(std::io::Error::other("no file manager")),
                },
                pick_file: |question, answer| {
                    assert_eq!(question.extension, "kuzflow-bundle");
                    // The system of the Chinese window has no dialog.
                    let chosen = Picked::File("/media/stick/labelimg.kuzflow-bundle".into());
                    answer(if question.kind == "Update files" { chosen } else { Picked::NoDialog });
                },
            },
        );
        let builder = Harness::builder()
            .with_size(dialog.size_on(room))
            .with_max_steps(40)
            // Names and notes use the system's fonts, which may have no Chinese. A test in
            // `fonts.rs` checks that every text of the catalogue has its glyphs.
            .allow_missing_glyphs();
        let mut window = Self::around(dialog, engine, look, builder);
        window.settle();
        window
    }

    fn scene(name: &str) -> Self {
        Self::open(scenes::state(name, Language::English), ENGLISH)
    }

    /// Draws until nothing changes, or a little while if the picture never stands still.
    fn settle(&mut self) {
        self.harness.run_ok();
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.settle();
    }

    fn press(&mut self, key: egui::Key) {
        self.harness.key_press(key);
        self.settle();
    }

    fn emit(&mut self, event: Event) {
        self.send(event);
        // The engine's waker asks for a frame a little later; a test need not wait.
        self.harness.step();
        self.settle();
    }

    /// The commands since the last call, without questions about disk space.
    fn commands(&mut self) -> Vec<Command> {
        self.all_commands().into_iter().filter(|command| *command != Command::MeasureDisk).collect()
    }

    /// Clicks the button of this name at this place from the top, and scrolls to it if necessary.
    fn click_nth(&mut self, label: &str, place: usize) {
        self.harness.get_all_by_label(label).nth(place).unwrap().click_accesskit();
        self.settle();
    }

    fn count(&self, label: &str) -> usize {
        self.harness.query_all_by_label(label).count()
    }

    fn sees_part(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    fn closed(&self) -> Option<CloseReason> {
        self.harness.state().closed()
    }
}

#[test]
fn an_offer_can_be_taken_put_off_or_skipped() {
    let mut window = Window::scene("offer");
    for text in [
        "LabelImg 1.8.6 is available",
        "You have version 1.8.5\nDownload • 82.6 MB • about 14 seconds • restart needed",
    ] {
        assert!(window.sees(text), "{text} is missing");
    }
    window.click("Update now");
    assert_eq!((window.commands(), window.closed()), (vec![Command::Start], None));
    for (button, command) in [("Later", Command::Later), ("Skip this version", Command::Skip)] {
        let mut window = Window::scene("offer");
        window.click(button);
        assert_eq!(
            (window.commands(), window.closed()),
            (vec![command], Some(CloseReason::ByUser))
        );
    }
}

#[test]
fn an_offer_says_which_way_it_takes_and_why() {
    let reported = |scene: &str, texts: &[&str]| {
        let mut window = Window::scene(scene);
        assert!(!window.sees("Method"), "what engineers want to know is in front");
        window.click("Details");
        for text in texts {
            assert!(window.sees(text), "{text} is missing in {scene}");
        }
    };
    let patched = "1,532 files: 1,521 reused, 9 patched, 2 downloaded";
    reported(
        "offer-incremental",
        &[
            "5.4 KB, 99.9% less than the full package",
            "about 1 second, restart needed",
            "One patch on top of 1.8.5",
            patched,
        ],
    );
    reported(
        "offer-chain",
        &["3 patches in a row, starting from 1.8.0", "about 1 second, no restart needed", patched],
    );
    reported(
        "offer-entries",
        &[
            "Changed files only, the rest comes from 1.8.4",
            "1,532 files: 1,484 reused, 48 downloaded",
            "12.5 MB, 84% less than the full package",
        ],
    );
    reported(
        "offer-above-threshold",
        &["Shanghai", "400 Mbps", "Full update", "Too much has changed for a smaller download"],
    );
    reported("offer", &["Full update", "What changed since your version is not known"]);
}

#[test]
fn a_small_download_is_counted_in_its_own_bytes_and_then_in_files() {
    let mut window = Window::scene("offer-incremental");
    let version = Version::new(1, 8, 6);
    window.emit(Event::Phase { phase: Phase::Downloading { version: version.clone() } });
    assert!(window.sees("0 B of 5.4 KB") && window.sees("Shanghai"));
    window.emit(Event::Phase { phase: Phase::Installing { version } });
    window.emit(scenes::step(643, 0));
    for text in [
        "Installing LabelImg 1.8.6",
        "Building it from what is already on this computer",
        "File 644 of 1,532",
        "41%",
    ] {
        assert!(window.sees(text), "{text} is missing");
    }
    let bar = window.harness.get_by_label("Files written");
    assert_eq!(bar.accesskit_node().numeric_value(), Some(41.0));
    // All bytes are there: the window shows no node, and mentions no patches that did not fit.
    assert!(
        !window.sees("Shanghai") && window.harness.query_by_label_contains("did not fit").is_none()
    );
    window.emit(scenes::step(1532, 0));
    assert!(window.sees("File 1,532 of 1,532") && window.sees("100%"));
}

#[test]
fn patches_that_did_not_fit_are_reported_in_one_sentence() {
    let mut window = Window::scene("fallen-back");
    assert!(
        window.sees("3 files were downloaded whole, since their patches did not fit. All is well.")
    );
    assert!(window.sees("File 1,181 of 1,532"));
    // The nodes that send these files are visible.
    assert!(window.sees("Shanghai") && window.sees("3.1 MB/s"));
    window.emit(scenes::step(1300, 1));
    assert!(
        window.sees("One file was downloaded whole, since its patch did not fit. All is well.")
    );
}

#[test]
fn a_download_can_be_paused_resumed_and_cancelled() {
    let mut window = Window::scene("downloading");
    let total = window.harness.get_by_label("Total progress");
    assert_eq!(total.accesskit_node().numeric_value(), Some(42.0));
    assert_eq!(
        window.harness.get_by_label("Progress from Shanghai").accesskit_node().numeric_value(),
        Some(19.0)
    );
    assert!(window.sees("Data do not match the signature"));
    window.click("Pause");
    window.emit(Event::Phase { phase: Phase::Paused { version: Version::new(1, 8, 6) } });
    window.click("Resume");
    window.click("Cancel");
    assert_eq!(window.commands(), [Command::Pause, Command::Resume, Command::Cancel]);
    assert_eq!(window.closed(), None);
}

#[test]
fn events_move_the_window_on_until_the_app_runs() {
    let mut window = Window::scene("offer");
    let version = Version::new(1, 8, 6);
    window.emit(Event::Phase { phase: Phase::Downloading { version: version.clone() } });
    assert!(window.sees("Downloading LabelImg 1.8.6") && window.sees("Connecting…"));
    window.emit(scenes::progress(Language::English, 0.5, true));
    assert!(window.sees("50%") && window.sees("6.8 MB/s"));
    window.emit(Event::Phase { phase: Phase::Ready { version: version.clone(), running: true } });
    window.click("Restart LabelImg");
    assert_eq!(window.commands(), [Command::RestartNow]);
    window.emit(Event::Phase { phase: Phase::Switching { version: version.clone() } });
    assert_eq!(window.closed(), None);
    window.emit(Event::Phase { phase: Phase::Launched { version } });
    assert_eq!(window.closed(), Some(CloseReason::Launched));
}

#[test]
fn an_app_that_asks_its_person_is_waited_for_and_ended_only_on_a_second_word() {
    let mut window = Window::scene("closing");
    assert!(
        window.sees("Closing LabelImg") && !window.sees("End without saving…"),
        "it was asked a moment ago"
    );
    window.click("Restart later");
    assert_eq!(
        (window.commands(), window.closed()),
        (vec![Command::RestartLater], Some(CloseReason::ByUser))
    );

    let mut window = Window::scene("closing-person");
    assert!(
        window.sees("LabelImg is waiting for you")
            && window.sees("Save or discard your work there")
    );
    assert!(window.sees("Version 1.8.6 starts as soon as LabelImg has closed."));
    window.click("End without saving…");
    assert!(window.sees("End LabelImg without saving?") && window.commands().is_empty());
    window.click("Cancel");
    assert!(!window.sees("End LabelImg without saving?") && window.commands().is_empty());
    window.click("End without saving…");
    window.click("End without saving");
    assert_eq!((window.commands(), window.closed()), (vec![Command::EndApp], None));

    // A question closes by itself when its subject is over.
    let mut window = Window::scene("closing-person");
    window.click("End without saving…");
    window.emit(Event::Phase { phase: Phase::Switching { version: Version::new(1, 8, 6) } });
    assert!(!window.sees("End LabelImg without saving?"));

    let mut window = Window::scene("closing-unreachable");
    assert!(
        window.sees("LabelImg is still running")
            && window.sees("Version 1.8.6 comes back as soon as LabelImg has closed.")
    );
    window.press(egui::Key::Escape);
    assert_eq!(
        (window.commands(), window.closed()),
        (vec![Command::RestartLater], Some(CloseReason::ByUser))
    );
}

#[test]
fn whoever_has_gone_back_can_stay_there() {
    let mut window = Window::scene("rolled-back");
    window.click("Stay at this version");
    assert_eq!(window.commands(), [Command::Pin(Some(Version::new(1, 8, 4)))]);
    assert_eq!(window.closed(), Some(CloseReason::ByUser));
    let mut window = Window::scene("rolled-back");
    window.press(egui::Key::Escape);
    assert_eq!((window.commands(), window.closed()), (vec![], Some(CloseReason::ByUser)));
}

#[test]
fn a_restart_is_explained_where_it_could_have_been_spared() {
    let why = "What changed cannot be replaced while the app runs.";
    let mut window = Window::scene("ready-blocker");
    assert!(window.sees(why) && window.sees("Restart LabelImg"));
    // The next release is another matter.
    for event in scenes::events("ready", Language::English) {
        window.emit(event);
    }
    assert!(!window.sees(why) && window.sees("Restart LabelImg"));
}

#[test]
fn the_window_closes_with_its_engine() {
    let Window { mut harness, engine } = Window::scene("checking");
    drop(engine);
    harness.step();
    assert_eq!(harness.state().closed(), Some(CloseReason::EngineEnded));
}

#[test]
fn a_failure_says_what_to_do_and_can_be_copied() {
    let mut window = Window::scene("failed");
    assert!(window.sees("The update server cannot be reached"));
    assert!(!window.sees("connection refused"));
    window.click("Details");
    window.harness.get_by_label("Copy details").click();
    window.harness.step();
    let copied =
        window.harness.output().platform_output.commands.iter().find_map(|command| match command {
            egui::OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        });
    let copied = copied.expect("nothing was copied");
    assert!(copied.contains("NoNetwork") && copied.contains("connection refused"), "{copied}");
    window.click("Try again");
    assert_eq!(window.commands(), [Command::Retry]);
}

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
fn another_start_turns_the_window_to_what_it_asks_for() {
    let (handle, engine) = mailbox::channel();
    let mut window = Window::open_between(
        scenes::state("idle", Language::English),
        ENGLISH,
        None,
        (handle.clone(), engine),
    );
    handle.want(mailbox::WindowPart::Versions);
    window.harness.step();
    window.settle();
    assert!(window.sees("Back") && handle.wanted().is_none());
    handle.want(mailbox::WindowPart::Check);
    window.harness.step();
    window.settle();
    assert_eq!(window.commands(), [Command::Check(CheckTrigger::Person)]);
}

#[test]
fn a_first_installation_that_was_cancelled_can_go_on() {
    let mut window = Window::scene("first-install");
    window.click("Install");
    window.emit(Event::Phase { phase: Phase::Cancelled });
    assert!(window.sees("Installation cancelled") && !window.sees("Check for updates"));
    window.click("Continue installing");
    assert_eq!(window.commands(), [Command::Start, Command::Start]);
}

#[test]
fn a_download_that_nobody_sends_has_no_end_in_hours() {
    let mut window = Window::scene("downloading");
    let Event::Progress(mut progress) = scenes::progress(Language::English, 0.5, true) else {
        panic!()
    };
    progress.seconds_left = Some(165_000);
    window.emit(Event::Progress(progress.clone()));
    assert!(window.sees("More than a day left"));
    for node in &mut progress.nodes {
        node.state = NodeState::Waiting;
    }
    window.emit(Event::Progress(progress));
    assert!(window.sees("Waiting") && !window.sees_part(" left"));
}

#[test]
fn a_question_goes_with_what_it_was_about() {
    let mut window = Window::scene("offer");
    window.click("Installed versions");
    window.click_nth("Go back to this…", 0);
    assert!(window.sees("Go back to 1.8.4?"));
    window.emit(Event::Installed {
        versions: scenes::installed().into_iter().take(1).collect(),
        retained: Vec::new(),
    });
    assert!(!window.sees("Go back to 1.8.4?"));
    assert!(window.commands().is_empty());
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
fn language_and_theme_can_be_changed_and_the_choice_is_reported() {
    let mut window = Window::scene("offer");
    window.click("中文");
    assert!(window.sees("LabelImg 有新版本 1.8.6") && window.sees("开始更新"));
    window.click("外观：浅色");
    let choices = window.harness.state().choices();
    assert_eq!((choices.language, choices.theme), (Some(Language::Chinese), Some(Theme::Dark)));
    window.click("English");
    assert!(window.sees("LabelImg 1.8.6 is available"));
}

#[test]
fn keys_are_enough() {
    let mut window = Window::scene("offer");
    window.press(egui::Key::Enter);
    assert_eq!(window.commands(), [Command::Start]);
    window.press(egui::Key::Escape);
    assert_eq!(
        (window.commands(), window.closed()),
        (vec![Command::Later], Some(CloseReason::ByUser))
    );

    // Enter presses the focused control, and only that.
    let mut window = Window::scene("offer");
    window.harness.get_by_label("Skip this version").focus();
    window.settle();
    window.press(egui::Key::Enter);
    assert_eq!(window.commands(), [Command::Skip]);

    let mut window = Window::scene("downloading");
    window.press(egui::Key::Escape);
    assert_eq!((window.commands(), window.closed()), (vec![], None));

    let mut window = Window::scene("offer");
    window.click("Installed versions");
    window.press(egui::Key::Escape);
    assert!(window.sees("Update now") && window.closed().is_none());
    // Tab reaches every button.
    let mut reached = Vec::new();
    for _ in 0..12 {
        window.press(egui::Key::Tab);
        reached.extend(
            ["Update now", "Later", "Skip this version", "Installed versions", "中文"]
                .into_iter()
                .filter(|label| window.harness.get_by_label(label).is_focused()),
        );
    }
    reached.sort_unstable();
    reached.dedup();
    assert_eq!(reached.len(), 5, "{reached:?}");
}

#[test]
fn nothing_is_drawn_while_nothing_occurs() {
    for scene in scenes::names() {
        // These buttons show that they wait.
        let waiting = [
            "checking",
            "closing",
            "switching",
            "rolling-back",
            "rolling-back-plain",
            "strip-swapping",
            "repairing",
        ];
        let closes = scene == "launched";
        if !closes && !waiting.contains(&scene.as_str()) {
            let mut window = Window::scene(&scene);
            assert!(
                window.harness.run_ok().is_some_and(|steps| steps <= 2),
                "{scene} keeps drawing"
            );
        }
    }
}

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
fn room(screen: (f32, f32, f32)) -> egui::Vec2 {
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
    ] {
        assert_eq!(Window::scene(scene).count(headline), 1, "{scene}");
    }
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
const LEAST: egui::Vec2 = egui::vec2(480.0, 240.0);

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
        window.emit(Event::Phase { phase: Phase::UpToDate { reason, current } });
        assert!(!window.sees("LabelImg is up to date"), "{reason:?}");
    }
}

/// Draws scenes into `target/pictures`: a few, or those in `KUZFLOW_PICTURES` (`all`, or names with
/// commas). `KUZFLOW_SCALE` is the scale, `KUZFLOW_SCREEN` the screen in pixels (`1024x600`),
/// `KUZFLOW_APP` the app. `packaging/screenshots.sh` makes the README's pictures with it.
#[test]
fn pictures() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let wanted =
        std::env::var("KUZFLOW_PICTURES").unwrap_or_else(|_| "offer,troubled,remove".to_owned());
    let scale = std::env::var("KUZFLOW_SCALE").map_or(1.0, |scale| scale.parse().unwrap());
    let room = std::env::var("KUZFLOW_SCREEN").ok().map(|size| {
        let (width, height) = size.split_once('x').unwrap();
        room((width.parse().unwrap(), height.parse().unwrap(), scale))
    });
    let looks = [
        (Language::Chinese, Theme::Light),
        (Language::English, Theme::Dark),
        (Language::English, Theme::Light),
        (Language::Chinese, Theme::Dark),
    ];
    let named = std::env::var_os("KUZFLOW_PICTURES").is_some();
    for (language, theme) in looks.into_iter().take(if named { looks.len() } else { 2 }) {
        let steps = STEPS.into_iter().map(|(name, ..)| name).chain(["drop"]).map(str::to_owned);
        for scene in scenes::names().into_iter().chain(steps) {
            if wanted == "all" || wanted.split(',').any(|name| name == scene) {
                let picture =
                    picture(&scene, Look { language, theme, scale, app: windows::app() }, room);
                let colours: std::collections::HashSet<_> = picture.pixels().collect();
                assert!(colours.len() > 100, "{scene} is empty");
                picture
                    .save(
                        folder.join(
                            format!("{scene}-{}-{theme:?}.png", language.tag()).to_lowercase(),
                        ),
                    )
                    .unwrap();
            }
        }
    }
}

/// A label in Chinese and English, and its number among equal ones from the top.
type Click = ((&'static str, &'static str), usize);
const MENU: Click = (("已安装版本", "Installed versions"), 0);
const DETAILS: (&str, &str) = ("详情", "Details");
/// Pictures after clicks: a name, the first scene, the clicks.
const END_APP: Click = (("不保存并退出…", "End without saving…"), 0);
const STEPS: [(&str, &str, &[Click]); 21] = [
    ("offer-details", "offer", &[(DETAILS, 0)]),
    ("incremental-details", "offer-incremental", &[(DETAILS, 0)]),
    ("chain-details", "long-incremental", &[(DETAILS, 0)]),
    ("eight-details", "eight-offered", &[(DETAILS, 0)]),
    ("file-details", "offer-file", &[(DETAILS, 0)]),
    ("error-details", "error-very-long", &[(DETAILS, 0)]),
    ("end-app", "closing-person", &[END_APP]),
    ("incident-plain-details", "incident-plain", &[(DETAILS, 0)]),
    ("versions", "offer", &[MENU]),
    ("remove", "offer", &[MENU, (("移除", "Remove"), 0)]),
    ("details", "failed", &[(DETAILS, 0)]),
    ("versions-every", "versions-all", &[MENU]),
    ("sharing", "sharing", &[MENU]),
    ("switch-to", "versions-all", &[MENU, (("切换到此版本…", "Switch to this…"), 0)]),
    ("go-back-to", "versions-all", &[MENU, (("恢复到此版本…", "Go back to this…"), 0)]),
    ("free-space", "versions-all", &[MENU, (("释放空间…", "Free up space…"), 0)]),
    ("incident-crashed-details", "incident-crashed", &[(DETAILS, 0)]),
    ("incident-reported-details", "incident-reported", &[(DETAILS, 0)]),
    ("incident-not-switched-details", "incident-not-switched", &[(DETAILS, 0)]),
    ("incident-several-details", "incident-several", &[(DETAILS, 0)]),
    ("incident-beside-details", "incident-beside", &[(DETAILS, 0)]),
];

fn picture(scene: &str, look: Look, room: Option<egui::Vec2>) -> RgbaImage {
    let text =
        |(chinese, english)| if look.language == Language::Chinese { chinese } else { english };
    let (start, clicks) = STEPS
        .into_iter()
        .find(|(name, ..)| *name == scene)
        .map_or((scene, &[][..]), |(_, start, clicks)| (start, clicks));
    let start = if scene == "drop" { "offer" } else { start };
    let mut window = Window::open_on(scenes::state(start, look.language), look, room);
    if scene == "drop" {
        window
            .harness
            .input_mut()
            .hovered_files
            .push(egui::HoveredFile { path: Some("/tmp/x".into()), ..Default::default() });
        window.harness.step();
    }
    for (label, place) in clicks {
        window.click_nth(text(*label), *place);
    }
    window.harness.remove_cursor();
    window.settle();
    window.harness.render().unwrap()
}
