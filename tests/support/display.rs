//! A display of its own for tests of the real windows, with the programs to look at it, point and press keys.
#![allow(dead_code)] // each program that includes this file uses a part of it

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
        let server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", &format!("{}x{}x24", SCREEN.0, SCREEN.1), "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let tools = Command::new("xdotool").arg("version").output();
        let (Ok(mut server), Ok(_)) = (server, tools) else {
            assert!(std::env::var_os("CI").is_none(), "CI has Xvfb and xdotool");
            eprintln!("passed over: Xvfb or xdotool is not installed");
            return None;
        };
        let mut number = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut number).unwrap();
        Some(Self { server, others: Vec::new(), number: format!(":{}", number.trim()) })
    }

    /// Starts another program on it that ends with it; `false` if it is not installed.
    pub fn start(&mut self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        command.args(arguments).env("DISPLAY", &self.number).stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn().map(|child| self.others.push(child));
        started.is_ok()
    }

    /// What `xdotool` says.
    pub fn tool(&self, arguments: &[&str]) -> String {
        self.run("xdotool", arguments)
    }

    /// What a program says; nothing if it is not installed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).env("DISPLAY", &self.number).output();
        output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The window with this title that is to be seen now.
    pub fn visible(&self, title: &str) -> Option<String> {
        self.tool(&["search", "--onlyvisible", "--name", title]).lines().next().map(str::to_owned)
    }

    /// The window with this title, once it is there.
    pub fn window(&self, title: &str) -> Option<String> {
        let end = Instant::now() + Duration::from_secs(40);
        while Instant::now() < end {
            if let Some(id) = self.visible(title) {
                return Some(id);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }

    /// Whether the window with this title goes within a limit.
    pub fn goes(&self, title: &str, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.visible(title).is_some() {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// Where a window is.
    pub fn place(&self, window: &str) -> Place {
        let told = self.tool(&["getwindowgeometry", "--shell", window]);
        let number = |name: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {told}"))
        };
        Place { left: number("X"), top: number("Y"), width: number("WIDTH"), height: number("HEIGHT") }
    }

    /// Enter: the primary button.
    pub fn press_enter(&self, window: &str) {
        self.tool(&["windowfocus", "--sync", window]);
        self.tool(&["keydown", "Return", "sleep", "0.2", "keyup", "Return"]);
    }

    /// A click of the left button.
    pub fn click(&self, x: i32, y: i32) {
        self.tool(&["mousemove", "--sync", &x.to_string(), &y.to_string()]);
        self.tool(&["mousedown", "1", "sleep", "0.2", "mouseup", "1"]);
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
