//! The window, driven by its labels like a user with a screen reader, and drawn into pictures. Here:
//! the way of an update through the window. The files beside this one have the other subjects.

mod files;
mod notices;
mod pictures;
mod screens;
mod versions;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use kuzflow::testing::gui::{CloseReason, Dialog, DialogOptions, Language, Picked, ViewState};
use kuzflow::testing::messages::mailbox;
use kuzflow::testing::messages::protocol::{CheckTrigger, Command, Event, NodeState, Phase};
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
