//! The real windows on a separate display: one after another in one process. The notification
//! appears at its place, takes no keys and closes by itself. The desktop's own notification appears
//! on a separate bus. There is no test harness, since windows must be opened on a process's main
//! thread: this program starts itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // a test fails by panicking

#[cfg(target_os = "linux")]
mod desktop_bus;
#[cfg(target_os = "linux")]
#[path = "../support/mod.rs"]
#[allow(dead_code)] // the other tests use more of it
mod support;

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
    use kuzflow::testing::gui::{self, Language, WindowOptions};
    use kuzflow::testing::messages::mailbox;
    use kuzflow::testing::messages::protocol::{Command, Event, Phase};
    use kuzflow::testing::model::Version;
    use kuzflow::testing::settings::{Renderer, Theme};

    use crate::support::scenes;

    /// Opens one window after another: each word is a kind, a scene and a title, with colons
    /// between them.
    pub fn open_all(words: &[String]) {
        for word in words {
            let [kind, scene, title] = *word.split(':').collect::<Vec<_>>() else {
                panic!("{word}?")
            };
            let (handle, mut engine) = mailbox::channel();
            let emitter = engine.emitter();
            let system = kind == "system";
            let flow = kind == "flow";
            let commands = std::thread::spawn(move || {
                while let Some(command) = engine.commands.blocking_recv() {
                    if command == Command::Quit {
                        break;
                    }
                    println!("command {command:?}");
                    if command == Command::Start && system {
                        emitter.emit(Event::Phase {
                            phase: Phase::Downloading { version: Version::new(1, 8, 6) },
                        });
                        std::thread::sleep(std::time::Duration::from_millis(500));
                        emitter.emit(Event::Phase {
                            phase: Phase::Swapped {
                                version: Version::new(1, 8, 6),
                                modules: Vec::new(),
                            },
                        });
                        continue;
                    }
                    if command == Command::Start && flow {
                        play(&emitter);
                        continue;
                    }
                    if command == Command::Start {
                        emitter.emit(Event::Phase {
                            phase: Phase::Downloading { version: Version::new(1, 8, 6) },
                        });
                        emitter.emit(scenes::progress_of(1_210_000, Language::English, 0.42, true));
                    }
                }
            });
            let options = WindowOptions {
                title: title.to_owned(),
                app_name: title.to_owned(),
                class: "sample".to_owned(),
                icon: None,
                icon_file: None,
                language: Language::English,
                theme: Theme::Light,
                details: false,
                renderer: if kind == "opengl" { Renderer::Opengl } else { Renderer::Software },
            };
            let state = scenes::state(scene, Language::English);
            let ended = if kind == "small" {
                gui::notify(options, handle.clone(), state)
                    .map(|notified| format!("{:?}", notified.outcome))
            } else if system {
                gui::notify_by_system(&options, &handle, state)
                    .map(|notified| format!("{:?}", notified.outcome))
            } else {
                gui::open(options, handle.clone(), state)
                    .map(|closed| format!("{:?}", closed.reason))
            };
            gui::catch_up();
            handle.send(Command::Quit);
            commands.join().unwrap();
            println!("ended {title} {ended:?} {}", own_memory());
        }
    }

    /// Plays a whole update with a pause and a failure, each phase for half a second.
    fn play(emitter: &mailbox::Emitter) {
        let version = Version::new(1, 8, 6);
        for phase in [
            Phase::Downloading { version: version.clone() },
            Phase::Paused { version: version.clone() },
            Phase::Downloading { version: version.clone() },
            Phase::Installing { version: version.clone() },
            Phase::Failed {
                problem: scenes::problem(
                    kuzflow::testing::messages::protocol::ProblemKind::DiskFull,
                    "1 GB",
                ),
            },
            Phase::Ready { version: version.clone(), running: true },
        ] {
            println!("phase {phase:?}");
            emitter.emit(Event::Phase { phase });
            emitter.emit(scenes::progress(Language::English, 0.42, true));
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        println!("played");
    }

    /// Kilobytes of this process's private memory, without files.
    fn own_memory() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// The program that checks the windows.
#[cfg(target_os = "linux")]
mod looking {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc::{Receiver, channel};
    use std::time::{Duration, Instant};

    use super::desktop_bus::{Bus, Call, Desktop};
    use crate::support::display::{Display, Place, SCREEN};
    use crate::support::waiting::{LIMIT, comes, insist};

    struct Windows {
        process: Child,
        lines: Receiver<String>,
        began: Instant,
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
            let (sender, lines) = channel();
            let read = BufReader::new(process.stdout.take().unwrap()).lines();
            std::thread::spawn(move || {
                read.map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
            Self { process, lines, began: Instant::now() }
        }

        fn line(&self) -> String {
            self.lines.recv_timeout(LIMIT).expect("the program says more")
        }

        /// The next line about a window that has ended. `act` plays the user until the line comes.
        fn ended(&self, act: impl Fn()) -> String {
            let mut ended = None;
            insist("the end of a window", act, || {
                let mut lines = self.lines.try_iter();
                ended = ended.take().or_else(|| lines.find(|line| line.starts_with("ended")));
                ended.is_some()
            });
            ended.unwrap()
        }
    }

    impl Windows {
        fn says(&self, part: &str) {
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

    /// A check on a separate display.
    type Check = fn(Display);

    pub fn all() {
        let checks: [(&str, Check); 9] = [
            ("a window after a window", a_window_after_a_window),
            ("with OpenGL and without share the loop", with_opengl_and_without),
            ("the small window stands at the lower right", it_stands_at_the_lower_right),
            ("the small window takes no keys", it_takes_no_keys),
            ("the small window goes after fifteen seconds", it_goes_after_fifteen_seconds),
            ("the small window becomes the strip", it_becomes_the_strip),
            ("the system's notification in its place", the_systems_notification),
            ("what happened is told in front of the app", incidents_are_shown_in_front_of_the_app),
            ("the window stands still through an update", it_stands_still),
        ];
        let wanted: Vec<String> =
            std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
        let asked = |name: &str| {
            wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
        };
        for (name, check) in checks.into_iter().filter(|(name, _)| asked(name)) {
            let Some(display) = Display::open() else { return };
            check(display);
            println!("{name} ... ok");
        }
    }

    fn a_window_after_a_window(display: Display) {
        let mut words =
            vec!["dialog:incident:first", "dialog:offer:second", "small:offer-incremental:third"];
        words.extend([
            "dialog:offer:fourth",
            "small:ready:fifth",
            "dialog:offer:sixth",
            "dialog:offer:seventh",
        ]);
        let windows = Windows::open(&display, "1", &words);
        let mut memory = Vec::new();
        // Notifications open here: under the pointer they stay, however long it takes to find them.
        display.point_at(SCREEN.0 - 100, SCREEN.1 - 50);
        for word in &words {
            let [kind, _, title] = *word.split(':').collect::<Vec<_>>() else { unreachable!() };
            let window = display.window(title).unwrap_or_else(|| panic!("{title} is not opened"));
            let line = windows.ended(|| {
                if kind == "small" {
                    std::thread::sleep(Duration::from_millis(600));
                    let Some(window) = display.visible(title) else { return };
                    let place = display.place(&window);
                    display.click(place.left + place.width - 40, place.top + place.height / 2 + 16);
                } else {
                    // The first window asks nothing, so Escape is no answer there.
                    display.press(&window, if title == "first" { "Return" } else { "Escape" });
                }
            });
            assert!(line.contains(&format!("{title} Ok(")), "{line}");
            assert!(display.visible(title).is_none(), "{title} is still to be seen");
            memory.push(line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
        }
        println!("own memory after each window, kB: {memory:?}");
        let grown = memory.last().unwrap().saturating_sub(memory[1]);
        assert!(grown < 4096, "each window leaves something behind: {memory:?}");
    }

    fn with_opengl_and_without(display: Display) {
        let windows = Windows::open(
            &display,
            "1",
            &["opengl:offer:first", "dialog:offer:second", "opengl:offer:third"],
        );
        for title in ["first", "second", "third"] {
            // Without OpenGL it may have ended without a window.
            let line = windows.ended(|| {
                let mut looks = (0..50).map(|_| {
                    std::thread::sleep(Duration::from_millis(100));
                    display.visible(title)
                });
                if let Some(window) = looks.find_map(|window| window) {
                    // The first frame of OpenGL without a graphics card takes its time.
                    std::thread::sleep(Duration::from_secs(1));
                    display.press(&window, "Escape");
                }
            });
            if line.contains("NoDrawing") && title != "second" {
                println!("passed over: no OpenGL on this display");
                continue;
            }
            assert!(line.contains(&format!("{title} Ok(")), "{line}");
        }
    }

    /// Waits until the window has stood still for a little while, and returns its place.
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
        // A bar of 40 pixels at the bottom, as a desktop reports it.
        let free = SCREEN.1 - 40;
        let area = format!("0,0,{},{free}", SCREEN.0);
        display
            .run("xprop", &["-root", "-f", "_NET_WORKAREA", "32c", "-set", "_NET_WORKAREA", &area]);
        let bottom = if display.run("xprop", &["-root", "_NET_WORKAREA"]).contains("= 0") {
            free
        } else {
            SCREEN.1
        };
        for scale in [1, 2] {
            let windows =
                Windows::open(&display, &scale.to_string(), &["small:offer-incremental:little"]);
            let window = display.window("little").expect("the small window opens");
            let (width, height, margin) = (280 * scale, 80 * scale, 10 * scale);
            let place = Place {
                left: SCREEN.0 - width - margin,
                top: bottom - height - margin,
                width,
                height,
            };
            let mut last = None;
            let stands = comes(|| {
                last = Some(display.place(&window));
                last == Some(place)
            });
            assert!(stands, "at scale {scale}: {last:?} in place of {place:?}");
            assert_eq!(at_rest(&display, &window), place, "at scale {scale}");
            assert!(display.goes("little"));
            windows.says("Ok(\"TimedOut\")");
        }
    }

    fn it_takes_no_keys(mut display: Display) {
        let managed = display.start_window_manager();
        println!("{}", if managed { "with a window manager" } else { "without a window manager" });
        let _work = Windows::open(&display, "1", &["dialog:offer:work"]);
        let work = display.window("work").expect("another window");
        let focused = || display.tool(&["getwindowfocus"]).trim().to_owned();
        insist(
            "the focus",
            || drop(display.tool(&["windowfocus", "--sync", &work])),
            || focused() == work,
        );
        let before = focused();
        let little = Windows::open(&display, "1", &["small:offer-incremental:little"]);
        let small = display.window("little").expect("the small window opens");
        // Under the pointer it stays, however long this takes.
        display.point_at(SCREEN.0 - 100, SCREEN.1 - 50);
        for _ in 0..8 {
            assert_eq!(focused(), before, "the keys went to the small window");
            std::thread::sleep(Duration::from_millis(200));
        }
        // A click on it does not give it the keyboard either: keys go to the other window.
        let place = at_rest(&display, &small);
        let line = little.ended(|| {
            display.click(place.left + place.width - 40, place.top + place.height / 2 + 16)
        });
        assert!(line.contains("Declined"), "later means later: {line}");
        assert!(display.goes("little"));
        assert_eq!(focused(), before);
    }

    fn it_goes_after_fifteen_seconds(display: Display) {
        display.tool(&["mousemove", "10", "10"]);
        let windows = Windows::open(
            &display,
            "1",
            &["small:offer-incremental:alone", "small:offer-incremental:pointed"],
        );
        display.window("alone").expect("the small window opens");
        // `notification.rs` tests that it does not stay longer than that, with a clock that other
        // work on this computer does not stretch.
        windows.says("alone Ok(\"TimedOut\")");
        let stayed = windows.began.elapsed();
        assert!(stayed > Duration::from_secs(15), "it was there for {stayed:?}");
        println!("from the start of the program to its end: {stayed:.1?}");

        display.window("pointed").unwrap();
        display.point_at(SCREEN.0 - 230, SCREEN.1 - 50);
        std::thread::sleep(Duration::from_secs(18));
        assert!(display.visible("pointed").is_some(), "it went under the pointer");
        let left = Instant::now();
        display.point_at(10, 10);
        std::thread::sleep(Duration::from_secs(3));
        assert!(
            display.visible("pointed").is_some() || left.elapsed() > Duration::from_secs(12),
            "the time begins anew"
        );
        assert!(display.goes("pointed"), "it stays after the pointer has left");
        windows.says("pointed Ok(\"TimedOut\")");
    }

    fn it_becomes_the_strip(display: Display) {
        let windows = Windows::open(&display, "1", &["small:offer-incremental:little"]);
        let window = display.window("little").expect("the small window opens");
        // Under the pointer it stays, however long this takes.
        display.point_at(SCREEN.0 - 100, SCREEN.1 - 50);
        let place = at_rest(&display, &window);
        let mut line = None;
        let says = |line: &mut Option<String>| {
            *line = windows.lines.try_recv().ok();
            line.is_some()
        };
        display.click_until(
            place.left + place.width - 40,
            place.top + place.height / 2 - 16,
            || says(&mut line),
        );
        assert_eq!(line.take().unwrap(), "command Start");
        assert!(comes(|| display.place(&window).height == 60), "it becomes the strip");
        let strip = at_rest(&display, &window);
        assert_eq!((strip.left, strip.width, strip.height), (place.left, place.width, 60));
        assert_eq!(strip.top + strip.height, place.top + place.height, "on the same line");
        // A click on the cross.
        display.click_until(strip.left + strip.width - 18, strip.top + 16, || says(&mut line));
        assert_eq!(line.unwrap(), "command Cancel");
        windows.says("Ok(\"Declined\")");
    }

    /// The window that reports a rollback comes up beside an app that opens its own windows at the
    /// same time.
    fn incidents_are_shown_in_front_of_the_app(mut display: Display) {
        if !display.start_window_manager() {
            assert!(std::env::var_os("CI").is_none(), "CI has openbox");
            return println!("passed over: no openbox");
        }
        for kind in ["dialog", "opengl"] {
            let _app = Windows::open(&display, "1", &["dialog:offer:work"]);
            let app = display.window("^work").expect("the app opens its window");
            let windows =
                Windows::open(&display, "1", &[&format!("{kind}:incident:what happened")]);
            let (mut notice, mut ended) = (None, None);
            comes(|| {
                notice = display.visible("^what happened");
                ended = windows.lines.try_recv().ok();
                notice.is_some() || ended.is_some()
            });
            if kind == "opengl" && ended.is_some_and(|line| line.contains("NoDrawing")) {
                println!("passed over: no OpenGL on this display");
                continue;
            }
            let notice = notice.expect("what happened is told");
            // Once when it appears, and whenever the user turns to the app again.
            for _ in 0..2 {
                display.tool(&["windowactivate", "--sync", &app]);
                is_above(&display, &notice, &app);
            }
        }
    }

    /// Whether the one window stays above the other.
    fn is_above(display: &Display, notice: &str, app: &str) {
        // From the lowest to the uppermost.
        let place = |stacking: &str, window: &str| {
            let id = format!("{:#x}", window.parse::<u64>().unwrap());
            stacking.trim().split([',', ' ']).position(|other| other == id)
        };
        let mut stacking = String::new();
        let above = comes(|| {
            stacking = display.run("xprop", &["-root", "_NET_CLIENT_LIST_STACKING"]);
            matches!([place(&stacking, app), place(&stacking, notice)], [Some(app), Some(notice)] if app < notice)
        });
        assert!(above, "the app covers it: {stacking}");
    }

    /// A button that the user has found stays at its place.
    fn it_stands_still(mut display: Display) {
        for managed in [false, true] {
            if managed && !display.start_window_manager() {
                assert!(std::env::var_os("CI").is_none(), "CI has openbox");
                return println!("passed over: no openbox");
            }
            let windows = Windows::open(&display, "1", &["flow:offer:window"]);
            let window = display.window("^window").expect("the window opens");
            let place = at_rest(&display, &window);
            display.press(&window, "Return");
            windows.says("command Start");
            loop {
                let line = windows.line();
                if line == "played" {
                    break;
                }
                assert!(line.starts_with("phase"), "{line}");
                std::thread::sleep(Duration::from_millis(250));
                assert_eq!(display.place(&window), place, "{line}, managed: {managed}");
            }
        }
    }

    fn the_systems_notification(display: Display) {
        let Some(bus) = Bus::open() else { return };
        let open = |scene: &str| {
            Windows::on_bus(&bus.address, &display, "1", &[&format!("system:{scene}:little")])
        };
        // Without a desktop, and on a desktop without buttons, there is no notification, and the
        // error comes soon.
        open("notification-hot").says("Err(NoNotifications(");
        let poor = bus.desktop(&["body"]);
        open("notification-hot").says("no buttons");
        drop(poor);

        let desktop = bus.desktop(&["body", "actions"]);
        let shown = |desktop: &Desktop| match desktop.call() {
            Call::Show { id, title, text, actions, picture, .. } => {
                assert_eq!(picture, "(iiibiiay)", "the app's, not one of the desktop");
                (id, title, text, actions)
            }
            other => panic!("{other:?}"),
        };
        let windows = open("notification-hot");
        let (id, title, text, actions) = shown(&desktop);
        assert_eq!(
            (title.as_str(), text.as_str()),
            ("little: new version 1.8.6", "Small update • 1.2 MB\nNo restart needed")
        );
        assert_eq!(actions, ["0", "Update", "1", "Later", "default", "little: new version 1.8.6"]);
        // The message of another program.
        desktop.choose(id + 1, "1");
        desktop.choose(id, "0");
        windows.says("command Start");
        assert_eq!(desktop.call(), Call::Close(id));
        let (_, title, text, actions) = shown(&desktop);
        assert_eq!(
            (title.as_str(), text.as_str(), actions.len()),
            ("little 1.8.6 is in use", "No restart needed", 0)
        );
        windows.says("Ok(\"Done\")");

        for (scene, action, command, outcome) in [
            ("offer-incremental", "1", Some("command Later"), "Declined"),
            ("offer-incremental", "default", None, "Details"),
            ("ready-blocker", "0", Some("command RestartNow"), ""),
        ] {
            let windows = open(scene);
            let (id, _, text, _) = shown(&desktop);
            assert!(
                scene != "ready-blocker"
                    || text.ends_with("What changed cannot be replaced while the app runs."),
                "{text}"
            );
            desktop.choose(id, action);
            if let Some(command) = command {
                windows.says(command);
            }
            if !outcome.is_empty() {
                windows.says(outcome);
                assert_eq!(desktop.call(), Call::Close(id));
            }
        }

        for (reason, outcome) in [(1, "TimedOut"), (2, "command Later")] {
            let windows = open("offer-incremental");
            let (id, ..) = shown(&desktop);
            desktop.closed(id, reason);
            windows.says(outcome);
            assert_eq!(desktop.call(), Call::Close(id));
        }
    }
}
