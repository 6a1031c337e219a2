//! A node that serves a whole repository slowly: it delays each byte, never answers its first
//! requests, or holds its answers until a test has done something.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// In what way a node is slow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slowness {
    /// Bytes a second, all answers together; 0 for no limit.
    pub rate: u64,
    /// The pause before each answer.
    pub latency: Duration,
    /// How many of the first requests for parts of packages and packs are never answered.
    pub lost: usize,
    /// The node never answers.
    pub is_silent: bool,
}

/// A running node. Its threads end with the test's process.
pub struct SlowNode {
    /// Host and port.
    pub address: String,
    line: Arc<Line>,
}

struct Line {
    folder: PathBuf,
    slowness: Slowness,
    lost: AtomicUsize,
    is_held: AtomicBool,
    /// Only one answer sends at a time, so that the rate applies to all together.
    sending: Mutex<()>,
}

impl SlowNode {
    /// Serves the repository in `folder`.
    pub fn start(folder: &Path, slowness: Slowness) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let line = Arc::new(Line {
            folder: folder.to_owned(),
            slowness,
            lost: AtomicUsize::new(0),
            is_held: AtomicBool::new(false),
            sending: Mutex::default(),
        });
        let serving = Arc::clone(&line);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let line = Arc::clone(&serving);
                thread::spawn(move || line.serve(connection));
            }
        });
        Self { address, line }
    }

    /// From now on no further byte is sent, also of answers that have begun, until `let_go`. Only
    /// a node with a rate can be held.
    pub fn hold(&self) {
        self.line.is_held.store(true, Ordering::Relaxed);
    }

    pub fn let_go(&self) {
        self.line.is_held.store(false, Ordering::Relaxed);
    }
}

impl Line {
    /// Answers requests until the other side closes the connection.
    fn serve(&self, connection: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(connection.try_clone().ok()?);
        loop {
            let (mut path, mut range) = (String::new(), None);
            loop {
                let mut text = String::new();
                if reader.read_line(&mut text).ok()? == 0 {
                    return None;
                }
                let text = text.trim_end();
                if text.is_empty() {
                    break;
                }
                if path.is_empty() {
                    path = text.split(' ').nth(1)?.split('?').next()?.to_owned();
                } else if let Some(value) = text.to_ascii_lowercase().strip_prefix("range: bytes=")
                {
                    let (first, last) = value.split_once('-')?;
                    range = Some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?));
                }
            }
            let is_lost =
                range.is_some() && self.lost.fetch_add(1, Ordering::Relaxed) < self.slowness.lost;
            if is_lost || self.slowness.is_silent {
                // Waits until the client has given up.
                let _ = std::io::copy(&mut reader, &mut std::io::sink());
                return None;
            }
            thread::sleep(self.slowness.latency);
            self.answer(&connection, &path, range)?;
        }
    }

    fn answer(
        &self,
        mut connection: &TcpStream,
        path: &str,
        range: Option<(usize, usize)>,
    ) -> Option<()> {
        let Ok(content) = fs::read(self.folder.join(path.trim_start_matches('/'))) else {
            return connection
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .ok();
        };
        let (head, body) = match range {
            None => ("200 OK\r\n".to_owned(), content.as_slice()),
            Some((first, last)) => {
                let last = last.min(content.len() - 1);
                let total = content.len();
                (
                    format!(
                        "206 Partial Content\r\nContent-Range: bytes {first}-{last}/{total}\r\n"
                    ),
                    content.get(first..=last)?,
                )
            }
        };
        write!(connection, "HTTP/1.1 {head}Content-Length: {}\r\n\r\n", body.len()).ok()?;
        let Slowness { rate, .. } = self.slowness;
        if rate == 0 {
            return connection.write_all(body).ok();
        }
        for part in body.chunks(usize::try_from(rate / 20).unwrap().max(1)) {
            let _turn = self.sending.lock().unwrap();
            while self.is_held.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(10));
            }
            connection.write_all(part).ok()?;
            thread::sleep(Duration::from_millis(50));
        }
        Some(())
    }
}
