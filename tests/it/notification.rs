//! The notification beside a running app, driven by its labels and drawn into pictures.

use std::path::PathBuf;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use kuzflow::testing::gui::{
    Language, Notification, NotificationEnd, NotificationOptions, ViewState,
};
use kuzflow::testing::messages::mailbox;
use kuzflow::testing::messages::protocol::{ClosingWait, Command, Event, Phase, ProblemKind};
use kuzflow::testing::model::Version;
use kuzflow::testing::settings::Theme;

use crate::support::scenes;
use crate::support::windows::{self, ENGLISH, Look, Shown};

/// Tenths of a second after which the notification takes answers.
const SETTLED: usize = 7;

type Window = windows::Window<Notification>;

impl Shown for Notification {
    fn prepare(&mut self, context: &egui::Context) {
        Notification::prepare(self, context);
    }

    fn show(&mut self, ui: &mut egui::Ui) {
        self.ui(ui);
    }
}

/// Size of the window that a scene needs, points.
const SIZE: egui::Vec2 = egui::vec2(280.0, 80.0);

impl Window {
    fn open(state: ViewState, look: Look) -> Self {
        let (handle, engine) = mailbox::channel();
        let options = NotificationOptions {
            app_name: look.app.to_owned(),
            appearance: look.appearance(),
            round: false,
        };
        let notification = Notification::new(state, handle, options);
        let builder = Harness::builder().with_size(SIZE).with_step_dt(0.1).with_max_steps(4);
        let mut window = Self::around(notification, engine, look, builder);
        window.wait(SETTLED);
        window
    }

    fn scene(name: &str) -> Self {
        Self::open(scenes::state(name, Language::English), ENGLISH)
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.harness.run_steps(2);
    }

    fn emit(&mut self, event: Event) {
        self.send(event);
        self.wait(SETTLED);
    }

    fn phase(&mut self, phase: Phase) {
        self.emit(Event::Phase { phase });
    }

    fn outcome(&self) -> Option<NotificationEnd> {
        self.harness.state().outcome()
    }

    /// Lets so many tenths of a second pass.
    fn wait(&mut self, tenths: usize) {
        self.harness.run_steps(tenths);
    }
}

fn version() -> Version {
    Version::new(1, 8, 6)
}

#[test]
fn an_offer_says_what_it_costs_and_takes_an_answer() {
    let mut window = Window::scene("offer-incremental");
    for text in ["LabelImg 1.8.6", "Small update • 5.4 KB", "Update", "Later"] {
        assert!(window.sees(text), "{text} is missing");
    }
    assert!(!window.sees("No restart needed"));
    window.click("Update");
    assert_eq!((window.all_commands(), window.outcome()), (vec![Command::Start], None));
    assert!(window.sees("Preparing (1/3)"));

    let mut window = Window::scene("notification-hot");
    assert!(window.sees("Small update • 1.2 MB") && window.sees("No restart needed"));
    window.click("Later");
    assert_eq!(
        (window.all_commands(), window.outcome()),
        (vec![Command::Later], Some(NotificationEnd::Declined))
    );

    let window = Window::scene("offer-prefetched");
    assert!(window.sees("Already downloaded"));
}

#[test]
fn it_goes_by_itself_unless_the_pointer_is_on_it() {
    let mut window = Window::scene("offer-incremental");
    window.wait(135);
    assert_eq!(window.outcome(), None);
    window.harness.hover_at(egui::pos2(100.0, 40.0));
    window.wait(200);
    assert_eq!(window.outcome(), None);
    window.harness.remove_cursor();
    window.wait(145);
    assert_eq!(window.outcome(), None);
    window.wait(8);
    assert_eq!(
        (window.outcome(), window.all_commands()),
        (Some(NotificationEnd::TimedOut), vec![])
    );
}

#[test]
fn the_strip_follows_an_update_to_its_end_without_a_restart() {
    let mut window = Window::scene("notification-hot");
    window.click("Update");
    window.harness.remove_cursor();
    window.phase(Phase::Downloading { version: version() });
    assert!(window.sees("Downloading (1/3)") && window.sees("Connecting…"));
    window.emit(scenes::progress_of(1_210_000, Language::English, 0.5, true));
    assert!(window.sees("605 KB of 1.2 MB • 6.8 MB/s"));
    assert_eq!(
        window.harness.get_by_label("Progress of the update").accesskit_node().numeric_value(),
        Some(50.0)
    );
    window.phase(Phase::Installing { version: version() });
    window.emit(scenes::step(643, 0));
    assert!(window.sees("Installing (2/3)") && window.sees("File 644 of 1,532"));
    // Work under way has no time limit.
    window.wait(100);
    assert_eq!(window.outcome(), None);
    window.phase(Phase::Swapping { version: version() });
    assert!(window.sees("Applying (3/3)"));
    window.phase(Phase::Swapped { version: version(), modules: Vec::new() });
    assert!(window.sees("LabelImg 1.8.6 is in use") && window.sees("No restart needed"));
    window.wait(138);
    assert_eq!(window.outcome(), None);
    window.wait(12);
    assert_eq!(window.outcome(), Some(NotificationEnd::Done));
    assert_eq!(window.all_commands(), [Command::Start]);
}

#[test]
fn a_restart_is_asked_for_with_the_reason_and_the_question_stays() {
    let mut window = Window::scene("ready-blocker");
    assert!(
        window.sees("LabelImg 1.8.6 is ready")
            && window.sees("What changed cannot be replaced while the app runs.")
    );
    window.wait(100);
    assert_eq!(window.outcome(), None);
    window.click("Restart");
    assert_eq!(window.all_commands(), [Command::RestartNow]);
    let closing = |wait| Phase::Closing { version: Some(version()), back: false, wait };
    window.phase(closing(ClosingWait::App));
    assert!(window.sees("Restarting (3/3)") && window.sees("Waiting for LabelImg to close"));
    // The app needs its user: the notification shows that as long as it takes, and the user can put
    // the restart off.
    window.phase(closing(ClosingWait::Person));
    window.wait(200);
    assert!(window.sees("LabelImg is waiting for you") && window.outcome().is_none());
    window.phase(Phase::Switching { version: version() });
    assert!(window.sees("Restarting (3/3)"));
    window.phase(Phase::Launched { version: version() });
    assert_eq!(window.outcome(), Some(NotificationEnd::Done));

    let mut window = Window::scene("closing-person");
    window.wait(SETTLED);
    window.click("Later");
    assert_eq!(
        (window.all_commands(), window.outcome()),
        (vec![Command::RestartLater], Some(NotificationEnd::Done))
    );

    let mut window = Window::scene("ready");
    window.click("Later");
    assert_eq!(
        (window.all_commands(), window.outcome()),
        (vec![Command::RestartLater], Some(NotificationEnd::Done))
    );
}

#[test]
fn a_download_can_be_stopped_and_everything_else_leads_to_the_dialog() {
    let mut window = Window::scene("strip-downloading");
    window.click("Cancel");
    assert_eq!(
        (window.all_commands(), window.outcome()),
        (vec![Command::Cancel], Some(NotificationEnd::Declined))
    );

    let mut window = Window::scene("strip-downloading");
    window.click("Show the whole window");
    assert_eq!((window.all_commands(), window.outcome()), (vec![], Some(NotificationEnd::Details)));

    let mut window = Window::scene("strip-downloading");
    window.phase(Phase::Failed { problem: scenes::problem(ProblemKind::DiskFull, "") });
    assert_eq!(window.outcome(), Some(NotificationEnd::Details));

    let mut window = Window::scene("strip-downloading");
    window.engine = None;
    window.wait(2);
    assert_eq!(window.outcome(), Some(NotificationEnd::EngineEnded));
}

#[test]
fn a_double_click_is_one_answer() {
    // The fetched release is installed between the two presses. The second press does not restart
    // the app.
    let mut window = Window::scene("offer-prefetched");
    window.click("Update");
    window.send(Event::Phase { phase: Phase::Ready { version: version(), running: true } });
    window.wait(1);
    window.click("Restart");
    assert_eq!(window.all_commands(), [Command::Start]);
    window.wait(SETTLED);
    window.click("Restart");
    assert_eq!(window.all_commands(), [Command::RestartNow]);

    let mut window = Window::scene("offer-incremental");
    window.click("Update");
    window.click("Cancel");
    assert_eq!((window.all_commands(), window.outcome()), (vec![Command::Start], None));
}

#[test]
fn keys_are_enough_once_it_has_them() {
    let mut window = Window::scene("offer-incremental");
    window.harness.key_press(egui::Key::Escape);
    window.wait(2);
    assert_eq!(
        (window.all_commands(), window.outcome()),
        (vec![Command::Later], Some(NotificationEnd::Declined))
    );

    let mut window = Window::scene("strip-downloading");
    window.harness.key_press(egui::Key::Escape);
    window.wait(2);
    assert_eq!((window.all_commands(), window.outcome()), (vec![], None));

    let mut window = Window::scene("offer-incremental");
    window.harness.get_by_label("Update").focus();
    window.wait(1);
    window.harness.key_press(egui::Key::Enter);
    window.wait(2);
    assert_eq!(window.all_commands(), [Command::Start]);
}

#[test]
fn an_offer_that_comes_again_is_asked_again() {
    let mut window = Window::scene("offer-incremental");
    window.click("Update");
    assert!(!window.sees("Later"));
    for event in scenes::events("offer", Language::English) {
        window.emit(event);
    }
    assert!(window.sees("Download • 82.6 MB") && window.sees("Later"));
}

/// The scenes of the notification.
const SCENES: [&str; 13] = [
    "offer",
    "offer-incremental",
    "notification-hot",
    "offer-prefetched",
    "long-incremental",
    "strip-downloading",
    "paused",
    "applying",
    "strip-swapping",
    "taking-along",
    "swapped",
    "ready",
    "ready-blocker",
];

#[test]
fn every_word_fits_in_both_languages() {
    for language in Language::ALL {
        for scene in SCENES {
            let window = Window::open(scenes::state(scene, language), Look { language, ..ENGLISH });
            let whole = egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(280.0, 160.0));
            let mut labels: Vec<(String, egui::Rect)> = Vec::new();
            for node in window.harness.root().children_recursive() {
                let seen = node.accesskit_node();
                let Some(label) = seen.label() else { continue };
                if [egui::Role::Button, egui::Role::Label].contains(&seen.role())
                    && node.rect().width() < 270.0
                {
                    assert!(
                        whole.contains_rect(node.rect()),
                        "{scene} {language:?}: {label} is cut off"
                    );
                    labels.push((label, node.rect()));
                }
            }
            for (index, (one, place)) in labels.iter().enumerate() {
                for (other, there) in &labels[index + 1..] {
                    assert!(
                        !place.shrink(0.5).intersects(there.shrink(0.5)),
                        "{scene} {language:?}: {one} over {other}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_long_name_of_an_app_leaves_the_version_to_be_read() {
    let whole = "Photogrammetry Workbench Professional XXL";
    for app in
        [whole, "图文校对与数据版本管理工作完整版共享增强版图文校对与数据版本管理工作完整版共享"]
    {
        for (scene, version) in [
            ("offer-incremental", " 1.8.6"),
            ("ready", " 1.8.6 is ready"),
            ("swapped", " 1.8.6 is in use"),
        ] {
            let window =
                Window::open(scenes::state(scene, Language::English), Look { app, ..ENGLISH });
            let labels = window.harness.root().children_recursive().filter_map(|node| {
                let node = node.accesskit_node();
                node.label().or_else(|| node.value())
            });
            let titles: Vec<String> = labels.filter(|label| label.contains(version)).collect();
            let beginning: String = app.chars().take(2).collect();
            assert!(
                titles.iter().any(|title| title.starts_with(&beginning) && title.contains('…')),
                "{scene}: {titles:?}"
            );
        }
    }
}

/// Draws scenes into `target/pictures`: a few, or those in `KUZFLOW_NOTIFICATIONS` (`all`, or names
/// with commas), at the scale in `KUZFLOW_SCALE`.
#[test]
fn pictures() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    let named = std::env::var("KUZFLOW_NOTIFICATIONS");
    let wanted = named.as_deref().unwrap_or("offer-incremental,ready-blocker");
    let scale = std::env::var("KUZFLOW_SCALE").map_or(1.0, |scale| scale.parse().unwrap());
    for (language, theme) in [
        (Language::Chinese, Theme::Light),
        (Language::English, Theme::Dark),
        (Language::English, Theme::Light),
        (Language::Chinese, Theme::Dark),
    ] {
        for scene in SCENES
            .into_iter()
            .filter(|scene| wanted == "all" || wanted.split(',').any(|name| name == *scene))
        {
            let mut window = Window::open(
                scenes::state(scene, language),
                Look { language, theme, scale, app: windows::app() },
            );
            window.harness.remove_cursor();
            let height = window.harness.state().height();
            window.harness.set_size(egui::vec2(SIZE.x, height));
            window.wait(1);
            let picture = window.harness.render().unwrap();
            assert_eq!(picture.dimensions(), ((SIZE.x * scale) as u32, (height * scale) as u32));
            let colours: std::collections::HashSet<_> = picture.pixels().collect();
            assert!(colours.len() > 50, "{scene} is empty");
            picture
                .save(
                    folder.join(
                        format!("small-{scene}-{}-{theme:?}.png", language.tag()).to_lowercase(),
                    ),
                )
                .unwrap();
        }
    }
}
