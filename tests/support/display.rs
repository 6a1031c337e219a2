//! An X server of its own for a test, and the tools to look at its windows.

#![allow(dead_code)] // each test binary uses its own part

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A display of its own, with the programs to look at it and press keys; `None` where they are not installed.
pub struct Display {
    server: Child,
    /// Its name, for `DISPLAY`.
    pub number: String,
}

impl Display {
    pub fn open() -> Option<Self> {
        let server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1280x1000x24", "-nolisten", "tcp"])
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
        Some(Self { server, number: format!(":{}", number.trim()) })
    }

    pub fn tool(&self, arguments: &[&str]) -> String {
        let output = Command::new("xdotool").args(arguments).env("DISPLAY", &self.number).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The window with this title, once it is there.
    pub fn window(&self, title: &str) -> Option<String> {
        let end = Instant::now() + Duration::from_secs(40);
        while Instant::now() < end {
            if let Some(id) = self.tool(&["search", "--onlyvisible", "--name", title]).lines().next() {
                return Some(id.to_owned());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        None
    }

    /// Enter: the primary button.
    pub fn press_enter(&self, window: &str) {
        self.tool(&["windowfocus", "--sync", window]);
        self.tool(&["keydown", "Return", "sleep", "0.2", "keyup", "Return"]);
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
