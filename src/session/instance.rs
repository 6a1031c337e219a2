//! Lets another start of the same launcher find the launcher that runs beside the app, and ask it
//! to show its window.
//!
//! In: a home; requests of this user's processes. Out: requests in the engine's mailbox. Never:
//! uses a network, serves another user, or answers more than whether the window is shown. A place
//! that somebody else prepared is skipped.
//!
//! Each launcher listens at a separate place, whose name identifies the home that it serves. On
//! Unix that is a socket in a folder of the session. On Windows it is a file of this user that
//! names a port of this computer and a secret.

mod system;

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::error_chain;
use crate::look;
use crate::messages::mailbox::{Handle, WindowPart};
use crate::model::Digest;
use crate::mutex;
use crate::real_path;
use crate::store::Home;
use crate::threads;

/// How long a launcher may take to show its window.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How long to wait for the first answer of a launcher beside the app. A launcher that works
/// answers within milliseconds; one that is stopped never does.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);
/// Most launchers that are asked at the same time whether they work. What killed launchers have
/// left is refused at once, so that only stopped ones count.
const MAX_ASKED_AT_ONCE: usize = 16;
/// The request that no launcher knows, and every working one answers.
const PROBE: &str = "probe";
/// How long a start waits for the window of a launcher that has answered.
const WINDOW_TIMEOUT_OF_A_START: Duration = Duration::from_millis(2500);
/// Interval between two checks whether the window is shown.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Longest message, bytes.
const MAX_MESSAGE_BYTES: u64 = 256;
/// The first answer to a request, before the window opens.
const UNDERSTOOD: &str = "understood";
/// Prefix of the places' names.
const PREFIX: &str = "kuzflow-window-";

/// Makes this launcher findable for other starts, as long as the value lives.
#[derive(Debug)]
pub(crate) struct Instance {
    place: PathBuf,
}

impl Instance {
    /// Listens in the first usable one of `folders`, and passes requests to `handle`.
    ///
    /// # Errors
    /// If no folder can be used. The launcher works all the same; only another start cannot find
    /// it.
    pub(crate) fn listen(home: &Home, folders: &[PathBuf], handle: Handle) -> io::Result<Self> {
        let name = format!("{}{}", prefix(home), std::process::id());
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "no folder to listen in");
        for folder in folders {
            let place = folder.join(&name);
            match system::listen(&place) {
                Ok(listener) => {
                    let (instance, service) = (Self { place }, Service::new(listener, handle));
                    threads::spawn("window requests", move || serve(&service))?;
                    return Ok(instance);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // If this fails, the next start that asks gets no answer, and removes the file.
        let _ = std::fs::remove_file(&self.place);
    }
}

/// Asks the launchers that serve `home` for a part of the window. Returns whether one shows it.
pub(crate) fn ask(home: &Home, folders: &[PathBuf], part: WindowPart) -> bool {
    ask_all(home, folders, part, &|| ())
}

/// The same; calls `on_answer` as soon as a launcher has understood the request. One launcher after
/// another is asked for its window, so that only one shows it; those that work come first.
fn ask_all(home: &Home, folders: &[PathBuf], part: WindowPart, on_answer: &dyn Fn()) -> bool {
    working(places(home, folders)).any(|place| {
        ask_at(&place, part, on_answer).unwrap_or_else(|error| {
            tracing::info!(error = error_chain::line(&error), place = %place.display(), "this launcher shows no window");
            false
        })
    })
}

/// Where launchers that serve `home` listen, or have listened.
fn places(home: &Home, folders: &[PathBuf]) -> Vec<PathBuf> {
    let prefix = prefix(home);
    let entries = folders.iter().flat_map(|folder| look::entries_if_readable(folder));
    let mut places: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)))
        .map(|entry| entry.path())
        .collect();
    places.sort();
    places.dedup();
    places
}

/// The places whose launchers work, in the order of their answers. All of them are asked at the
/// same time: a stopped one must not hide another one.
fn working(places: Vec<PathBuf>) -> impl Iterator<Item = PathBuf> {
    let (sender, answers) = mpsc::channel();
    let count = places.len().min(MAX_ASKED_AT_ONCE);
    let left = Arc::new(Mutex::new(places.into_iter()));
    for _ in 0..count {
        let (sender, left) = (sender.clone(), Arc::clone(&left));
        let next = move || mutex::lock(&left).next();
        let ask = move || {
            while let Some(place) = next() {
                if answers_at(&place) {
                    // Nobody waits for a late answer.
                    let _ = sender.send(place);
                }
            }
        };
        if let Err(error) = threads::spawn("window request", ask) {
            tracing::warn!(
                error = error_chain::line(&error),
                "not every launcher is asked for its window"
            );
        }
    }
    let end = Instant::now() + ANSWER_TIMEOUT;
    std::iter::from_fn(move || {
        answers.recv_timeout(end.saturating_duration_since(Instant::now())).ok()
    })
}

/// Whether a launcher listens here and works. What a killed launcher has left is removed.
fn answers_at(place: &Path) -> bool {
    let answered = request_at(place, PROBE, ANSWER_TIMEOUT).and_then(|mut answers| {
        answers.next().transpose()?.ok_or(io::ErrorKind::UnexpectedEof.into())
    });
    answered
        .inspect_err(|error: &io::Error| {
            tracing::info!(error = error_chain::line(error), place = %place.display(), "no launcher listens here");
            if error.kind() == io::ErrorKind::ConnectionRefused {
                let _ = std::fs::remove_file(place);
            }
        })
        .is_ok()
}

/// The same for a start, which goes on if no launcher answers soon: that launcher may be stopped,
/// or hang.
pub(crate) fn ask_before_start(home: &Home, folders: &[PathBuf]) -> bool {
    let (home, folders) = (home.clone(), folders.to_vec());
    let (sender, answers) = mpsc::channel();
    let ask = move || {
        // After its timeout the start receives nothing any more.
        let on_answer = || {
            let _ = sender.send(Answer::Understood);
        };
        let is_shown = ask_all(&home, &folders, WindowPart::Any, &on_answer);
        let _ = sender.send(Answer::Ended { is_shown });
    };
    if let Err(error) = threads::spawn("window request", ask) {
        tracing::warn!(error = error_chain::line(&error), "no launcher is asked for its window");
    }
    let mut limit = ANSWER_TIMEOUT;
    loop {
        match answers.recv_timeout(limit) {
            Ok(Answer::Understood) => limit = WINDOW_TIMEOUT_OF_A_START,
            Ok(Answer::Ended { is_shown }) => return is_shown,
            Err(error) => {
                tracing::warn!(
                    error = error_chain::line(&error),
                    "the launcher beside the app shows no window; the app is started"
                );
                return false;
            }
        }
    }
}

/// What becomes of a request.
enum Answer {
    /// A launcher has understood it and opens its window.
    Understood,
    /// All launchers have been asked.
    Ended { is_shown: bool },
}

/// Prefix of the names of the places that serve a home.
fn prefix(home: &Home) -> String {
    let root = home.root();
    let root = real_path::resolve(root)
        .or_else(|_| std::path::absolute(root))
        .unwrap_or_else(|_| root.to_owned());
    let digest = Digest::of(root.as_os_str().as_encoded_bytes()).to_string();
    format!("{PREFIX}{}-", &digest[..16])
}

const fn word(part: WindowPart) -> &'static str {
    match part {
        WindowPart::Any => "window",
        WindowPart::Versions => "versions",
        WindowPart::Check => "check",
    }
}

/// Sends a request, and returns the lines of the answer. Each may take so long.
fn request_at(
    place: &Path,
    request: &str,
    timeout: Duration,
) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    let (mut stream, secret) = system::connect(place)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(format!("{secret} {request}\n").as_bytes())?;
    Ok(BufReader::new(stream.take(MAX_MESSAGE_BYTES)).lines())
}

fn ask_at(place: &Path, part: WindowPart, on_answer: &dyn Fn()) -> io::Result<bool> {
    let mut answers = request_at(place, word(part), TIMEOUT + Duration::from_secs(2))?;
    let mut answer = answers.next().transpose()?;
    if answer.as_deref() == Some(UNDERSTOOD) {
        on_answer();
        answer = answers.next().transpose()?;
    }
    Ok(answer.as_deref() == Some("shown"))
}

/// What answers the requests of other starts.
struct Service {
    listener: system::Listener,
    handle: Handle,
    /// Held while a part of the window is requested: the engine takes one request at a time.
    alone: Mutex<()>,
}

impl Service {
    fn new(listener: system::Listener, handle: Handle) -> Arc<Self> {
        Arc::new(Self { listener, handle, alone: Mutex::default() })
    }
}

/// Serves requests until the process ends, each on a thread of its own: a window that opens slowly
/// must not make its launcher look like a stopped one.
fn serve(service: &Arc<Service>) {
    while !service.handle.closed() {
        match service.listener.accept() {
            Ok((stream, _)) => {
                let service = Arc::clone(service);
                let serve = move || {
                    if let Err(error) = answer(stream, &service) {
                        tracing::info!(
                            error = error_chain::line(&error),
                            "somebody asked for the window and left"
                        );
                    }
                };
                if let Err(error) = threads::spawn("window request", serve) {
                    tracing::warn!(
                        error = error_chain::line(&error),
                        "a request for the window is not answered"
                    );
                }
            }
            Err(error) => {
                tracing::warn!(error = error_chain::line(&error), "nobody can ask for the window");
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

fn answer(mut stream: system::Stream, service: &Service) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut asked = String::new();
    BufReader::new((&stream).take(MAX_MESSAGE_BYTES)).read_line(&mut asked)?;
    let (secret, asked) = asked.trim().split_once(' ').unwrap_or_default();
    let part = [WindowPart::Any, WindowPart::Versions, WindowPart::Check]
        .into_iter()
        .find(|part| word(*part) == asked);
    let part = part.filter(|_| service.listener.is_secret(secret));
    if part.is_some() {
        stream.write_all(format!("{UNDERSTOOD}\n").as_bytes())?;
    }
    let shown = part.is_some_and(|part| {
        let _alone = mutex::lock(&service.alone);
        wish(&service.handle, part)
    });
    stream.write_all(if shown { b"shown\n" } else { b"not shown\n" })
}

/// Requests the part, and waits until it is shown.
fn wish(handle: &Handle, part: WindowPart) -> bool {
    handle.want(part);
    let end = Instant::now() + TIMEOUT;
    while handle.wanted().is_some() {
        if Instant::now() > end || handle.closed() {
            // No window takes the request in time: it is withdrawn.
            handle.take_wanted();
            return false;
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    !handle.take_refused()
}

#[cfg(test)]
mod tests;
