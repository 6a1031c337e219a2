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

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::look;
use crate::messages::mailbox::{Handle, WindowPart};
use crate::model::Digest;
use crate::real_path;
use crate::store::Home;
use crate::threads;

/// How long a launcher may take to show its window.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How long a start waits for the first word of a launcher beside the app. A launcher that works
/// answers within milliseconds; one that is stopped never does.
const ANSWER_TIMEOUT_OF_A_START: Duration = Duration::from_millis(1500);
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
                    let instance = Self { place };
                    threads::spawn("window requests", move || serve(&listener, &handle))?;
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

/// The same; calls `on_answer` as soon as a launcher has understood the request.
fn ask_all(home: &Home, folders: &[PathBuf], part: WindowPart, on_answer: &dyn Fn()) -> bool {
    let prefix = prefix(home);
    let entries = folders.iter().flat_map(|folder| look::entries_if_readable(folder));
    let mut places: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix)))
        .map(|entry| entry.path())
        .collect();
    places.sort();
    places.dedup();
    places.iter().any(|place| match ask_at(place, part, on_answer) {
        Ok(shown) => shown,
        Err(error) => {
            tracing::info!(%error, place = %place.display(), "no launcher listens here");
            if error.kind() == io::ErrorKind::ConnectionRefused {
                // A killed launcher has left this.
                let _ = std::fs::remove_file(place);
            }
            false
        }
    })
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
        tracing::warn!(%error, "no launcher is asked for its window");
    }
    let mut limit = ANSWER_TIMEOUT_OF_A_START;
    loop {
        match answers.recv_timeout(limit) {
            Ok(Answer::Understood) => limit = WINDOW_TIMEOUT_OF_A_START,
            Ok(Answer::Ended { is_shown }) => return is_shown,
            Err(error) => {
                tracing::warn!(%error, "the launcher beside the app shows no window; the app is started");
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

fn ask_at(place: &Path, part: WindowPart, on_answer: &dyn Fn()) -> io::Result<bool> {
    let (mut stream, secret) = system::connect(place)?;
    stream.set_read_timeout(Some(TIMEOUT + Duration::from_secs(2)))?;
    stream.write_all(format!("{secret} {}\n", word(part)).as_bytes())?;
    let mut answers = BufReader::new(stream.take(MAX_MESSAGE_BYTES)).lines();
    let mut answer = answers.next().transpose()?;
    if answer.as_deref() == Some(UNDERSTOOD) {
        on_answer();
        answer = answers.next().transpose()?;
    }
    Ok(answer.as_deref() == Some("shown"))
}

/// Serves requests one after another, until the process ends.
fn serve(listener: &system::Listener, handle: &Handle) {
    while !handle.closed() {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = answer(stream, listener, handle) {
                    tracing::info!(%error, "somebody asked for the window and left");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "nobody can ask for the window");
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

fn answer(
    mut stream: system::Stream,
    listener: &system::Listener,
    handle: &Handle,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut asked = String::new();
    BufReader::new((&stream).take(MAX_MESSAGE_BYTES)).read_line(&mut asked)?;
    let (secret, asked) = asked.trim().split_once(' ').unwrap_or_default();
    let part = [WindowPart::Any, WindowPart::Versions, WindowPart::Check]
        .into_iter()
        .find(|part| word(*part) == asked);
    let part = part.filter(|_| listener.is_secret(secret));
    if part.is_some() {
        stream.write_all(format!("{UNDERSTOOD}\n").as_bytes())?;
    }
    let shown = part.is_some_and(|part| wish(handle, part));
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

#[cfg(unix)]
mod system {
    use std::io;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
    use std::os::unix::net::{SocketAddr, UnixListener};
    use std::path::Path;

    pub(super) use std::os::unix::net::UnixStream as Stream;

    pub(super) struct Listener(UnixListener);

    impl Listener {
        pub(super) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
            self.0.accept()
        }

        /// Always true: nobody else can open the socket.
        pub(super) fn is_secret(&self, secret: &str) -> bool {
            secret == "-"
        }
    }

    pub(super) fn listen(place: &Path) -> io::Result<Listener> {
        if own_socket(place) {
            // It belonged to an earlier process with the same number.
            std::fs::remove_file(place)?;
        }
        let listener = UnixListener::bind(place)?;
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o600))?;
        Ok(Listener(listener))
    }

    pub(super) fn connect(place: &Path) -> io::Result<(Stream, String)> {
        if !own_socket(place) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "this is not a socket of this user",
            ));
        }
        Ok((Stream::connect(place)?, "-".to_owned()))
    }

    fn own_socket(place: &Path) -> bool {
        let own = rustix::process::geteuid().as_raw();
        place
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.file_type().is_socket() && metadata.uid() == own)
    }
}

#[cfg(not(unix))]
mod system {
    use std::io;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};
    use std::path::Path;
    use std::time::Duration;

    pub(super) use std::net::TcpStream as Stream;

    use crate::model::Digest;

    pub(super) struct Listener {
        listener: TcpListener,
        secret: Digest,
    }

    impl Listener {
        pub(super) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
            self.listener.accept()
        }

        /// Compares digests, so that the time of the comparison reveals nothing about the secret.
        pub(super) fn is_secret(&self, secret: &str) -> bool {
            Digest::of(secret.as_bytes()) == self.secret
        }
    }

    /// The folder is this user's own, so that nobody else reads the secret.
    pub(super) fn listen(place: &Path) -> io::Result<Listener> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let secret = super::super::channel::secret()?;
        std::fs::write(place, format!("{} {secret}", listener.local_addr()?.port()))?;
        Ok(Listener { listener, secret: Digest::of(secret.as_bytes()) })
    }

    pub(super) fn connect(place: &Path) -> io::Result<(Stream, String)> {
        let damaged =
            || io::Error::new(io::ErrorKind::ConnectionRefused, "this file names no launcher");
        let bytes = crate::look::read(place, crate::look::SMALL)?.ok_or_else(damaged)?;
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
        let (port, secret) = text.split_once(' ').ok_or_else(damaged)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().map_err(|_| damaged())?));
        Ok((Stream::connect_timeout(&address, Duration::from_secs(2))?, secret.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::mailbox;

    /// Takes the request as a window does, after a moment.
    fn show(handle: &Handle) -> WindowPart {
        loop {
            handle.wait(Duration::from_millis(50));
            if let Some(part) = handle.take_wanted() {
                return part;
            }
        }
    }

    #[test]
    fn another_start_finds_the_launcher_of_its_home_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let (home, other) =
            (Home::new(folder.path().join("one")), Home::new(folder.path().join("two")));
        assert!(!ask(&home, &folders, WindowPart::Any), "nobody is there");
        let (handle, _engine) = mailbox::channel();
        let instance = Instance::listen(&home, &folders, handle.clone()).unwrap();
        for part in [WindowPart::Any, WindowPart::Versions, WindowPart::Check] {
            let window = handle.clone();
            let window = std::thread::spawn(move || show(&window));
            assert!(ask(&home, &folders, part));
            assert_eq!(window.join().unwrap(), part);
        }
        assert!(!ask(&other, &folders, WindowPart::Any), "it serves another home");
        drop(instance);
        assert!(!ask(&home, &folders, WindowPart::Any), "it has ended");
    }

    #[test]
    fn a_start_hears_at_once_that_a_launcher_works_and_passes_over_a_stopped_one() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let home = Home::new(folder.path().join("home"));
        let stopped = system::listen(&folder.path().join(format!("{}0", prefix(&home)))).unwrap();
        assert!(!ask_before_start(&home, &folders), "nobody accepts the request");
        drop(stopped);
        std::fs::remove_file(folder.path().join(format!("{}0", prefix(&home)))).unwrap();
        let (handle, _engine) = mailbox::channel();
        let _instance = Instance::listen(&home, &folders, handle.clone()).unwrap();
        // The answer comes before the window takes the request.
        let (open, opens) = mpsc::channel();
        let window = std::thread::spawn(move || {
            opens.recv().unwrap();
            show(&handle)
        });
        let on_answer = || open.send(()).unwrap();
        assert!(ask_all(&home, &folders, WindowPart::Any, &on_answer));
        assert_eq!(window.join().unwrap(), WindowPart::Any);
    }

    #[test]
    fn a_window_that_cannot_be_opened_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let home = Home::new(folder.path().join("home"));
        let (handle, _engine) = mailbox::channel();
        let _instance = Instance::listen(&home, &folders, handle.clone()).unwrap();
        let refusing = std::thread::spawn(move || {
            while handle.wanted().is_none() {
                handle.wait(Duration::from_millis(50));
            }
            handle.refuse_wanted();
        });
        assert!(!ask(&home, &folders, WindowPart::Any));
        refusing.join().unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn what_a_killed_launcher_left_is_removed_and_what_is_no_socket_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let home = Home::new(folder.path().join("home"));
        let (dead, file) = (
            folder.path().join(format!("{}1", prefix(&home))),
            folder.path().join(format!("{}2", prefix(&home))),
        );
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        std::fs::write(&file, "somebody's").unwrap();
        assert!(!ask(&home, &folders, WindowPart::Any));
        assert_eq!((dead.exists(), file.exists()), (false, true));
    }
}
