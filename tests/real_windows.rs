//! The real windows on a display of their own: one after another in one process, and the small one where it belongs, which takes no keys
//! and goes by itself; and the desktop's own notification on a bus of its own. Without a test harness, since windows must be opened on a process's main thread: this program starts itself.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[cfg(target_os = "linux")]
#[path = "support/desktop_bus.rs"]
mod desktop_bus;
#[cfg(target_os = "linux")]
#[path = "support/display.rs"]
mod display;
#[cfg(target_os = "linux")]
#[path = "support/scenes.rs"]
mod scenes;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("passed over: there is no display of its own on this system");
}

#[cfg(target_os = "linux")]
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "windows") {
        Some(at) => windows::open_all(&arguments[at + 1..]),
        None => looking::all(),
    }
}

/// The program that opens windows.
#[cfg(target_os = "linux")]
mod windows {
    use kuzflow::engine::mailbox;
    use kuzflow::engine::protocol::{Command, Event, Phase};
    use kuzflow::launcher::{self, Language, WindowOptions};
    use kuzflow::model::Version;
    use kuzflow::settings::{Renderer, Theme};

    use super::scenes;

    /// Opens a window after another: each word is a kind, a scene and a title, with colons between them.
    pub fn open_all(words: &[String]) {
        for word in words {
            let [kind, scene, title] = *word.split(':').collect::<Vec<_>>() else { panic!("{word}?") };
            let (handle, mut engine) = mailbox::channel();
            let emitter = engine.emitter();
            let system = kind == "system";
            let commands = std::thread::spawn(move || {
                while let Some(command) = engine.commands.blocking_recv() {
                    if command == Command::Quit {
                        break;
                    }
                    println!("command {command:?}");
                    if command == Command::Start && system {
                        emitter.emit(Event::Phase { phase: Phase::Downloading { version: Version::new(1, 8, 6) } });
                        std::thread::sleep(std::time::Duration::from_millis(500));
                        emitter
                            .emit(Event::Phase { phase: Phase::Swapped { version: Version::new(1, 8, 6), modules: Vec::new() } });
                        continue;
                    }
                    if command == Command::Start {
                        emitter.emit(Event::Phase { phase: Phase::Downloading { version: Version::new(1, 8, 6) } });
                        emitter.emit(scenes::progress_of(1_210_000, Language::English, 0.42, true));
                    }
                }
            });
            let options = WindowOptions {
                title: title.to_owned(),
                app_name: title.to_owned(),
                icon: None,
                language: Language::English,
                theme: Theme::Light,
                details: false,
                renderer: if kind == "opengl" { Renderer::Opengl } else { Renderer::Software },
            };
            let state = scenes::state(scene, Language::English);
            let ended = if kind == "small" {
                launcher::notify(options, handle.clone(), state).map(|notified| format!("{:?}", notified.told))
            } else if system {
                launcher::notify_by_system(&options, &handle, state).map(|notified| format!("{:?}", notified.told))
            } else {
                launcher::open(options, handle.clone(), state).map(|closed| format!("{:?}", closed.reason))
            };
            launcher::catch_up();
            handle.send(Command::Quit);
            commands.join().unwrap();
            println!("ended {title} {ended:?} {}", own_memory());
        }
    }

    /// Kilobytes of this process's own memory, files not counted.
    fn own_memory() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// The program that looks at them.
#[cfg(target_os = "linux")]
mod looking {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::desktop_bus::{Bus, Call, Desktop};
    use super::display::{Display, Place, SCREEN};

    struct Windows {
        process: Child,
        lines: BufReader<ChildStdout>,
    }

    impl Windows {
        fn open(display: &Display, scale: &str, words: &[&str]) -> Self {
            Self::on_bus("unix:path=/nonexistent", display, scale, words)
        }

        fn on_bus(bus: &str, display: &Display, scale: &str, words: &[&str]) -> Self {
            let mut process = Command::new(std::env::current_exe().unwrap())
                .env("DBUS_SESSION_BUS_ADDRESS", bus)
                .arg("windows")
                .args(words)
                .env("DISPLAY", &display.number)
                .env("WINIT_X11_SCALE_FACTOR", scale)
                .env_remove("WAYLAND_DISPLAY")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let lines = BufReader::new(process.stdout.take().unwrap());
            Self { process, lines }
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }
    }

    impl Windows {
        fn says(&mut self, part: &str) {
            let line = self.line();
            assert!(line.contains(part), "{line}");
        }
    }

    impl Drop for Windows {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    /// What must hold on a display of its own.
    type Check = fn(Display);

    pub fn all() {
        let checks: [(&str, Check); 7] = [
            ("a window after a window", a_window_after_a_window),
            ("with OpenGL and without share the loop", with_opengl_and_without),
            ("the small window stands at the lower right", it_stands_at_the_lower_right),
            ("the small window takes no keys", it_takes_no_keys),
            ("the small window goes after fifteen seconds", it_goes_after_fifteen_seconds),
            ("the small window becomes the strip", it_becomes_the_strip),
            ("the system's notification in its place", the_systems_notification),
        ];
        let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
        let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
        for (name, check) in checks.into_iter().filter(|(name, _)| asked(name)) {
            let Some(display) = Display::open() else { return };
            check(display);
            println!("{name} ... ok");
        }
    }

    fn a_window_after_a_window(display: Display) {
        let mut words = vec!["dialog:told:first", "dialog:offer:second", "small:offer-incremental:third"];
        words.extend(["dialog:offer:fourth", "small:ready:fifth", "dialog:offer:sixth", "dialog:offer:seventh"]);
        let mut windows = Windows::open(&display, "1", &words);
        let mut memory = Vec::new();
        for word in &words {
            let [kind, _, title] = *word.split(':').collect::<Vec<_>>() else { unreachable!() };
            let window = display.window(title).unwrap_or_else(|| panic!("{title} is not opened"));
            if kind == "small" {
                std::thread::sleep(Duration::from_millis(600));
                let place = display.place(&window);
                display.click(place.left + place.width - 40, place.top + place.height / 2 + 16);
            } else {
                display.tool(&["windowfocus", "--sync", &window]);
                display.tool(&["keydown", "Escape", "sleep", "0.2", "keyup", "Escape"]);
                if title == "first" {
                    // It asks nothing, so that Escape is no answer there.
                    display.press_enter(&window);
                }
            }
            let mut line = windows.line();
            while !line.starts_with("ended") {
                assert!(!line.is_empty(), "the program ended in {title}");
                line = windows.line();
            }
            assert!(line.contains(&format!("{title} Ok(")), "{line}");
            assert!(display.visible(title).is_none(), "{title} is still to be seen");
            memory.push(line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
        }
        println!("own memory after each window, kB: {memory:?}");
        let grown = memory.last().unwrap().saturating_sub(memory[1]);
        assert!(grown < 4096, "each window leaves something behind: {memory:?}");
    }

    fn with_opengl_and_without(display: Display) {
        let mut windows = Windows::open(&display, "1", &["opengl:offer:first", "dialog:offer:second", "opengl:offer:third"]);
        for title in ["first", "second", "third"] {
            let mut line = String::new();
            let end = Instant::now() + Duration::from_secs(40);
            while display.visible(title).is_none() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(100));
            }
            match display.visible(title) {
                Some(window) => {
                    // The first frame of OpenGL without a card takes its time.
                    std::thread::sleep(Duration::from_secs(1));
                    display.tool(&["windowfocus", "--sync", &window]);
                    display.tool(&["keydown", "Escape", "sleep", "0.2", "keyup", "Escape"]);
                }
                None => assert_eq!(title, "first", "a later window is not opened"),
            }
            while !line.starts_with("ended") {
                line = windows.line();
                assert!(!line.is_empty(), "the program ended in {title}");
            }
            if line.contains("NoDrawing") && title != "second" {
                println!("passed over: no OpenGL on this display");
                continue;
            }
            assert!(line.contains(&format!("{title} Ok(")), "{line}");
        }
    }

    /// Waits until the window has stood still for a little while, and says where.
    fn at_rest(display: &Display, window: &str) -> Place {
        let mut last = display.place(window);
        loop {
            std::thread::sleep(Duration::from_millis(400));
            let place = display.place(window);
            if place == last {
                return place;
            }
            last = place;
        }
    }

    fn it_stands_at_the_lower_right(display: Display) {
        // A bar of 40 pixels at the bottom, as a desktop tells of it.
        let free = SCREEN.1 - 40;
        let area = format!("0,0,{},{free}", SCREEN.0);
        display.run("xprop", &["-root", "-f", "_NET_WORKAREA", "32c", "-set", "_NET_WORKAREA", &area]);
        let bottom = if display.run("xprop", &["-root", "_NET_WORKAREA"]).contains("= 0") { free } else { SCREEN.1 };
        for scale in [1, 2] {
            let mut windows = Windows::open(&display, &scale.to_string(), &["small:offer-incremental:little"]);
            let window = display.window("little").expect("the small window opens");
            let (width, height, margin) = (280 * scale, 80 * scale, 10 * scale);
            let place = Place { left: SCREEN.0 - width - margin, top: bottom - height - margin, width, height };
            assert_eq!(at_rest(&display, &window), place, "at scale {scale}");
            assert!(display.goes("little", Duration::from_secs(25)));
            windows.says("Ok(\"TimedOut\")");
        }
    }

    fn it_takes_no_keys(mut display: Display) {
        let managed = display.start("openbox", &["--sm-disable"]);
        println!("{}", if managed { "with a window manager" } else { "without a window manager" });
        std::thread::sleep(Duration::from_secs(1));
        let _work = Windows::open(&display, "1", &["dialog:offer:work"]);
        let work = display.window("work").expect("another window");
        display.tool(&["windowfocus", "--sync", &work]);
        let focused = || display.tool(&["getwindowfocus"]).trim().to_owned();
        let before = focused();
        assert_eq!(before, work);
        let _small = Windows::open(&display, "1", &["small:offer-incremental:little"]);
        let small = display.window("little").expect("the small window opens");
        for _ in 0..8 {
            assert_eq!(focused(), before, "the keys went to the small window");
            std::thread::sleep(Duration::from_millis(200));
        }
        // Nor by a click on it: keys go on to the work.
        let place = at_rest(&display, &small);
        display.click(place.left + place.width - 40, place.top + place.height / 2 + 16);
        assert!(display.goes("little", Duration::from_secs(4)), "later means later");
        assert_eq!(focused(), before);
    }

    fn it_goes_after_fifteen_seconds(display: Display) {
        display.tool(&["mousemove", "10", "10"]);
        let mut windows = Windows::open(&display, "1", &["small:offer-incremental:alone", "small:offer-incremental:pointed"]);
        display.window("alone").expect("the small window opens");
        let seen = Instant::now();
        assert!(display.goes("alone", Duration::from_secs(25)), "it stays");
        let stayed = seen.elapsed();
        assert!(stayed > Duration::from_millis(14_000) && stayed < Duration::from_secs(22), "it stayed {stayed:?}");
        println!("it stayed for {stayed:.1?}");
        windows.says("alone Ok(\"TimedOut\")");

        let window = display.window("pointed").unwrap();
        let place = at_rest(&display, &window);
        let middle = [place.left + 60, place.top + 40].map(|number| number.to_string());
        display.tool(&["mousemove", "--sync", &middle[0], &middle[1]]);
        std::thread::sleep(Duration::from_secs(18));
        assert!(display.visible("pointed").is_some(), "it went under the pointer");
        display.tool(&["mousemove", "--sync", "10", "10"]);
        std::thread::sleep(Duration::from_secs(3));
        assert!(display.visible("pointed").is_some(), "the time begins anew");
        assert!(display.goes("pointed", Duration::from_secs(20)), "it stays after the pointer has left");
        windows.says("pointed Ok(\"TimedOut\")");
    }

    fn it_becomes_the_strip(display: Display) {
        let mut windows = Windows::open(&display, "1", &["small:offer-incremental:little"]);
        let window = display.window("little").expect("the small window opens");
        let place = at_rest(&display, &window);
        display.click(place.left + place.width - 40, place.top + place.height / 2 - 16);
        assert_eq!(windows.line(), "command Start");
        let strip = at_rest(&display, &window);
        assert_eq!((strip.left, strip.width, strip.height), (place.left, place.width, 60));
        assert_eq!(strip.top + strip.height, place.top + place.height, "on the same line");
        // The cross.
        display.click(strip.left + strip.width - 18, strip.top + 16);
        assert_eq!(windows.line(), "command Cancel");
        windows.says("Ok(\"Declined\")");
    }

    fn the_systems_notification(display: Display) {
        let Some(bus) = Bus::open() else { return };
        let open = |scene: &str| Windows::on_bus(&bus.address, &display, "1", &[&format!("system:{scene}:little")]);
        // Without a desktop, and on one that has no buttons, it is not to be had, and soon.
        open("notification-hot").says("Err(NoNotifications(");
        let poor = bus.desktop(&["body"]);
        open("notification-hot").says("no buttons");
        drop(poor);

        let desktop = bus.desktop(&["body", "actions"]);
        let shown = |desktop: &Desktop| match desktop.call() {
            Call::Show { id, title, text, actions, .. } => (id, title, text, actions),
            other => panic!("{other:?}"),
        };
        let mut windows = open("notification-hot");
        let (id, title, text, actions) = shown(&desktop);
        assert_eq!((title.as_str(), text.as_str()), ("little: new version 1.8.6", "Small update • 1.2 MB\nNo restart needed"));
        assert_eq!(actions, ["0", "Update", "1", "Later", "default", "little: new version 1.8.6"]);
        // Another program's message.
        desktop.choose(id + 1, "1");
        desktop.choose(id, "0");
        windows.says("command Start");
        assert_eq!(desktop.call(), Call::Close(id));
        let (_, title, text, actions) = shown(&desktop);
        assert_eq!((title.as_str(), text.as_str(), actions.len()), ("little 1.8.6 is in use", "No restart needed", 0));
        windows.says("Ok(\"Done\")");

        for (scene, action, command, told) in [
            ("offer-incremental", "1", Some("command Later"), "Declined"),
            ("offer-incremental", "default", None, "Details"),
            ("ready-obstacle", "0", Some("command RestartNow"), ""),
        ] {
            let mut windows = open(scene);
            let (id, _, text, _) = shown(&desktop);
            assert!(
                scene != "ready-obstacle" || text.ends_with("What changed cannot be exchanged while the app runs."),
                "{text}"
            );
            desktop.choose(id, action);
            if let Some(command) = command {
                windows.says(command);
            }
            if !told.is_empty() {
                windows.says(told);
                assert_eq!(desktop.call(), Call::Close(id));
            }
        }

        for (reason, told) in [(1, "TimedOut"), (2, "command Later")] {
            let mut windows = open("offer-incremental");
            let (id, ..) = shown(&desktop);
            desktop.closed(id, reason);
            windows.says(told);
            assert_eq!(desktop.call(), Call::Close(id));
        }
    }
}
