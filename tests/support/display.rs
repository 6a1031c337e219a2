//! A display of its own for tests of the real windows, with the programs to look at it, point and
//! press keys.

use std::process::{Child, Command, Stdio};

use super::waiting::{comes, insist};

/// Width and height of its screen, pixels.
pub const SCREEN: (i32, i32) = (1280, 1000);

/// A display.
pub struct Display {
    server: Child,
    others: Vec<Child>,
    /// Its name for `DISPLAY`.
    pub number: String,
}

/// Where a window is, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub left: i32,
    pub top: i32,
    pub width: i32,
    pub height: i32,
}

impl Display {
    /// A display of its own; `None` where what it takes is not installed.
    pub fn open() -> Option<Self> {
        if [("Xvfb", "-version"), ("xdotool", "version")]
            .iter()
            .any(|(tool, word)| Command::new(tool).arg(word).output().is_err())
        {
            assert!(std::env::var_os("CI").is_none(), "CI has Xvfb and xdotool");
            eprintln!("passed over: Xvfb or xdotool is not installed");
            return None;
        }
        // Servers that look for a free number at the same moment get into each other's way.
        (0..20).find_map(|_| Self::try_open()).or_else(|| panic!("no display can be opened"))
    }

    fn try_open() -> Option<Self> {
        // Without `-noreset` the server begins anew whenever its last client leaves, and refuses
        // who comes at that moment.
        let mut server = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                &format!("{}x{}x24", SCREEN.0, SCREEN.1),
                "-nolisten",
                "tcp",
                "-noreset",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut number = String::new();
        // It says its number once it takes connections.
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(server.stdout.take().unwrap()),
            &mut number,
        )
        .unwrap();
        let display = Self { server, others: Vec::new(), number: format!(":{}", number.trim()) };
        number.trim().parse::<u32>().is_ok().then_some(display)
    }

    /// Starts another program on it that ends with it; `false` if it is not installed.
    pub fn start(&mut self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("DISPLAY", &self.number)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = command.spawn().map(|child| self.others.push(child));
        started.is_ok()
    }

    /// Starts a window manager and waits until it manages; `false` if it is not installed.
    pub fn start_window_manager(&mut self) -> bool {
        let started = self.start("openbox", &["--sm-disable"]);
        // `xprop` may be missing where a developer works; then the first window comes a moment too
        // early for its manager.
        let says = || self.run("xprop", &["-root", "_NET_SUPPORTING_WM_CHECK"]);
        started && (says().is_empty() || comes(|| says().contains("window id")))
    }

    /// What `xdotool` says.
    pub fn tool(&self, arguments: &[&str]) -> String {
        self.run("xdotool", arguments)
    }

    /// What a program says; nothing if it is not installed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        for _ in 0..20 {
            let Ok(output) =
                Command::new(program).args(arguments).env("DISPLAY", &self.number).output()
            else {
                break;
            };
            // Another window went while it looked through all of them: it has seen nothing.
            if !String::from_utf8_lossy(&output.stderr).contains("X Error of failed request") {
                return String::from_utf8_lossy(&output.stdout).into_owned();
            }
        }
        String::new()
    }

    /// The window with this title that is to be seen now.
    pub fn visible(&self, title: &str) -> Option<String> {
        self.tool(&["search", "--onlyvisible", "--name", title]).lines().next().map(str::to_owned)
    }

    /// The window with this title, once it is there.
    pub fn window(&self, title: &str) -> Option<String> {
        let mut window = None;
        comes(|| {
            window = self.visible(title);
            window.is_some()
        });
        window
    }

    /// Whether the window with this title goes.
    pub fn goes(&self, title: &str) -> bool {
        comes(|| self.visible(title).is_none())
    }

    /// Where a window is.
    pub fn place(&self, window: &str) -> Place {
        let reported = self.tool(&["getwindowgeometry", "--shell", window]);
        let number = |name: &str| {
            let line = reported.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("no {name} in {reported}"))
        };
        Place {
            left: number("X"),
            top: number("Y"),
            width: number("WIDTH"),
            height: number("HEIGHT"),
        }
    }

    /// Presses a key in a window.
    pub fn press(&self, window: &str, key: &str) {
        self.tool(&["windowfocus", "--sync", window]);
        self.tool(&["keydown", key, "sleep", "0.2", "keyup", key]);
    }

    /// Presses a key in a window until it has an effect.
    #[track_caller]
    pub fn press_until(&self, window: &str, key: &str, has_effect: impl FnMut() -> bool) {
        insist(key, || self.press(window, key), has_effect);
    }

    /// Puts the pointer somewhere.
    pub fn point_at(&self, x: i32, y: i32) {
        self.tool(&["mousemove", "--sync", &x.to_string(), &y.to_string()]);
    }

    /// A click of the left button.
    pub fn click(&self, x: i32, y: i32) {
        self.point_at(x, y);
        self.tool(&["mousedown", "1", "sleep", "0.2", "mouseup", "1"]);
    }

    /// Clicks until it has an effect.
    #[track_caller]
    pub fn click_until(&self, x: i32, y: i32, has_effect: impl FnMut() -> bool) {
        insist("a click", || self.click(x, y), has_effect);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        for child in self.others.iter_mut().chain([&mut self.server]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
