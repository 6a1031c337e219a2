//! A separate display for tests of the real windows, with programs that examine it, point and press
//! keys.

use std::process::{Child, Command, Stdio};

use super::waiting::{comes, insist};

/// Width and height of the display's screen, pixels.
pub const SCREEN: (i32, i32) = (1280, 1000);

/// A running display.
pub struct Display {
    server: Child,
    others: Vec<Child>,
    /// The display's name for `DISPLAY`.
    pub number: String,
}

/// The place and size of a window, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub left: i32,
    pub top: i32,
    pub width: i32,
    pub height: i32,
}

/// How high a notification is that asks something. While it shows progress it is lower.
pub const QUESTION_HEIGHT: i32 = 80;

impl Display {
    /// Opens a display; `None` where its programs are not installed.
    pub fn open() -> Option<Self> {
        if cfg!(windows) {
            eprintln!("passed over: Windows has no display of a test's own");
            return None;
        }
        if [("Xvfb", "-version"), ("xdotool", "version")]
            .iter()
            .any(|(tool, word)| Command::new(tool).arg(word).output().is_err())
        {
            assert!(std::env::var_os("CI").is_none(), "CI has Xvfb and xdotool");
            eprintln!("passed over: Xvfb or xdotool is not installed");
            return None;
        }
        // Servers that look for a free number at the same moment collide.
        (0..20).find_map(|_| Self::try_open()).or_else(|| panic!("no display can be opened"))
    }

    fn try_open() -> Option<Self> {
        // Without `-noreset` the server restarts whenever its last client leaves, and refuses
        // clients at that moment.
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
        // The server prints its number once it accepts connections.
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(server.stdout.take().unwrap()),
            &mut number,
        )
        .unwrap();
        let display = Self { server, others: Vec::new(), number: format!(":{}", number.trim()) };
        number.trim().parse::<u32>().is_ok().then_some(display)
    }

    /// Starts another program on the display that ends with it; `false` if it is not installed.
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

    /// Starts a window manager and waits until it is ready; `false` if it is not installed.
    pub fn start_window_manager(&mut self) -> bool {
        let started = self.start("openbox", &["--sm-disable"]);
        // `xprop` may be missing on a developer's machine; then the first window may come too early
        // for the window manager.
        let says = || self.run("xprop", &["-root", "_NET_SUPPORTING_WM_CHECK"]);
        started && (says().is_empty() || comes(|| says().contains("window id")))
    }

    /// The output of `xdotool`.
    pub fn tool(&self, arguments: &[&str]) -> String {
        self.run("xdotool", arguments)
    }

    /// The output of a program; empty if it is not installed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        for _ in 0..20 {
            let Ok(output) =
                Command::new(program).args(arguments).env("DISPLAY", &self.number).output()
            else {
                break;
            };
            // If another window closed while the program searched all windows, it has found none.
            if !String::from_utf8_lossy(&output.stderr).contains("X Error of failed request") {
                return String::from_utf8_lossy(&output.stdout).into_owned();
            }
        }
        String::new()
    }

    /// The visible window with this title.
    pub fn visible(&self, title: &str) -> Option<String> {
        self.tool(&["search", "--onlyvisible", "--name", title]).lines().next().map(str::to_owned)
    }

    /// Waits for the window with this title.
    pub fn window(&self, title: &str) -> Option<String> {
        let mut window = None;
        comes(|| {
            window = self.visible(title);
            window.is_some()
        });
        window
    }

    /// Waits until the window with this title closes. Returns whether it did.
    pub fn goes(&self, title: &str) -> bool {
        comes(|| self.visible(title).is_none())
    }

    /// The place of a window.
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

    /// Waits until a notification stands in the corner of the screen, at least this high, and
    /// returns its place. A question is higher than progress, and one with a sentence below is
    /// higher still.
    #[track_caller]
    pub fn standing(&self, window: &str, height: i32) -> Place {
        let mut place = self.place(window);
        let stands = comes(|| {
            place = self.place(window);
            place.left + place.width == SCREEN.0 - 10 && place.height >= height
        });
        assert!(stands, "never {height} high in the corner: {place:?}");
        place
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

    /// Moves the pointer to a position.
    pub fn point_at(&self, x: i32, y: i32) {
        self.tool(&["mousemove", "--sync", &x.to_string(), &y.to_string()]);
    }

    /// Clicks the left button.
    pub fn click(&self, x: i32, y: i32) {
        self.point_at(x, y);
        self.tool(&["mousedown", "1", "sleep", "0.2", "mouseup", "1"]);
    }

    /// Clicks until the click has an effect.
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
