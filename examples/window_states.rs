//! The real window with a scripted engine: `cargo run --example window_states -- [--scene offer]
//! [--renderer software] [--language en] [--theme dark]`. Without a scene it plays a whole update,
//! as fast as you press its buttons. With `--scene offer-incremental` it plays an update that
//! fetches a pack and applies it. With `--small` it shows the notification beside a running app.

#![allow(clippy::disallowed_methods)] // a program of its own

#[path = "../tests/support/scenes/mod.rs"]
#[allow(dead_code, clippy::unwrap_used)] // tests use more of it, and may panic
mod scenes;

use std::time::Duration;

use kuzflow::testing::gui::{Language, WindowOptions, notify, open};
use kuzflow::testing::messages::mailbox::{self, Emitter};
use kuzflow::testing::messages::protocol::{Command, Event, Phase};
use kuzflow::testing::model::Version;
use kuzflow::testing::settings::{Renderer, Theme};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1))
    };
    let language = Language::choose(value("--language").map_or("zh-CN", String::as_str), None);
    let renderer = match value("--renderer").map(String::as_str) {
        Some("software") => Renderer::Software,
        _ => Renderer::Opengl,
    };
    let theme = match value("--theme").map(String::as_str) {
        Some("dark") => Theme::Dark,
        Some("light") => Theme::Light,
        _ => Theme::Auto,
    };
    let (handle, mut engine) = mailbox::channel();
    let emitter = engine.emitter();
    let scene = value("--scene").map_or("offer", String::as_str).to_owned();
    let state = scenes::state(&scene, language);
    std::thread::spawn(move || {
        while let Some(command) = engine.commands.blocking_recv() {
            println!("{command:?}");
            play(&command, &emitter, language, scene == "offer-incremental");
        }
    });
    let options = WindowOptions {
        title: "LabelImg".to_owned(),
        app_name: "LabelImg".to_owned(),
        class: "labelimg".to_owned(),
        icon: None,
        icon_file: None,
        language,
        theme,
        renderer,
        details: false,
    };
    if arguments.iter().any(|argument| argument == "--small") {
        println!("{:?}", notify(options, handle, state).map(|notified| notified.outcome));
    } else {
        println!("{:?}", open(options, handle, state));
    }
}

fn play(command: &Command, emitter: &Emitter, language: Language, incremental: bool) {
    let version = Version::new(1, 8, 6);
    let phase = |phase| emitter.emit(Event::Phase { phase });
    match command {
        Command::Start | Command::Resume if incremental => {
            phase(Phase::Downloading { version: version.clone() });
            emitter.emit(scenes::progress_of(5_432, language, 1.0, true));
            std::thread::sleep(Duration::from_millis(300));
            phase(Phase::Installing { version: version.clone() });
            for done in (0..=1532).step_by(20) {
                emitter.emit(scenes::step(done, 0));
                std::thread::sleep(Duration::from_millis(50));
            }
            phase(Phase::Ready { version, running: true });
        }
        Command::Start | Command::Resume => {
            phase(Phase::Downloading { version: version.clone() });
            for step in 0..=50 {
                emitter.emit(scenes::progress(language, f64::from(step) / 50.0, true));
                std::thread::sleep(Duration::from_millis(100));
            }
            phase(Phase::Installing { version: version.clone() });
            std::thread::sleep(Duration::from_millis(500));
            phase(Phase::Ready { version, running: true });
        }
        Command::RestartNow => {
            phase(Phase::Switching { version: version.clone() });
            std::thread::sleep(Duration::from_secs(1));
            phase(Phase::Launched { version });
        }
        Command::Pause => phase(Phase::Paused { version }),
        Command::Cancel => phase(Phase::Cancelled),
        Command::Check { .. } | Command::Retry => {
            scenes::events("offer", language).into_iter().for_each(|e| emitter.emit(e))
        }
        _ => {}
    }
}
