//! The place where an app finds its launcher: a Unix domain socket in a folder that only this user
//! can open, or a named pipe on Windows.
//!
//! In: a name. Out: connections of this user's processes. Never: listens on a network, admits
//! another user, or uses a place that somebody else could have prepared: names are random, and a
//! folder or pipe that exists already is refused.

use std::io;
use std::path::Path;

/// Longest path of a socket, bytes: the system's limit is 104 (macOS) to 108 (Linux), its end
/// included.
#[cfg(unix)]
const MAX_PATH_BYTES: usize = 100;
/// From this age a folder without a socket counts as left by a killed launcher.
#[cfg(unix)]
const LEFT_BEHIND: std::time::Duration = std::time::Duration::from_secs(60);
/// Prefix of the folders' names.
#[cfg(unix)]
const PREFIX: &str = "kuzflow-";

/// 128 random bits as hexadecimal digits.
pub(in crate::session) fn secret() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(unix)]
mod system {
    use super::*;
    use crate::look;
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    use std::path::PathBuf;

    pub(crate) type AppStream = tokio::net::UnixStream;

    /// A listening socket. Dropping it removes its folder.
    #[derive(Debug)]
    pub(crate) struct Endpoint {
        folder: PathBuf,
        path: PathBuf,
        listener: Option<std::os::unix::net::UnixListener>,
    }

    impl Endpoint {
        /// Opens a socket in the first of `places` that exists and is short enough.
        pub(crate) fn open(places: &[PathBuf]) -> io::Result<Self> {
            let mut result = Err(io::Error::new(io::ErrorKind::NotFound, "no folder for a socket"));
            for place in places {
                result = Self::open_in(place);
                if result.is_ok() {
                    break;
                }
            }
            result
        }

        fn open_in(place: &Path) -> io::Result<Self> {
            let folder = place.join(format!("{PREFIX}{}", &secret()?[..16]));
            let path = folder.join("app");
            if path.as_os_str().len() > MAX_PATH_BYTES {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidFilename,
                    "the path is too long for a socket",
                ));
            }
            // Fails if it exists: so nobody can have prepared it.
            std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
            let mut endpoint = Self { folder, path, listener: None };
            let listener = std::os::unix::net::UnixListener::bind(&endpoint.path)?;
            listener.set_nonblocking(true)?;
            endpoint.listener = Some(listener);
            Ok(endpoint)
        }

        /// The address for the app.
        pub(crate) fn address(&self) -> std::ffi::OsString {
            self.path.clone().into_os_string()
        }

        /// Begins to accept connections, within a runtime. May be called again after the runtime of
        /// an earlier call has ended.
        pub(crate) fn listen(&mut self) -> io::Result<AppListener> {
            let listener =
                self.listener.as_ref().ok_or_else(|| io::Error::other("nowhere to listen"))?;
            tokio::net::UnixListener::from_std(listener.try_clone()?).map(AppListener)
        }
    }

    impl Drop for Endpoint {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
            let _ = std::fs::remove_dir(&self.folder);
        }
    }

    /// Accepts connections.
    pub(crate) struct AppListener(tokio::net::UnixListener);

    impl AppListener {
        /// The next connection; `None` for one of another user, which is closed.
        pub(crate) async fn accept(&mut self) -> io::Result<Option<AppStream>> {
            let (stream, _) = self.0.accept().await?;
            let own = rustix::process::geteuid().as_raw();
            let peer = stream.peer_cred().map(|peer| peer.uid());
            Ok(matches!(peer, Ok(user) if user == own).then_some(stream))
        }
    }

    /// Whether no process listens at a socket. The test does not wait: the owner may be stopped,
    /// with a full queue.
    fn is_refused(path: &Path) -> bool {
        use rustix::net::{SocketAddrUnix, connect};
        let ask = || connect(&socket_that_never_waits()?, &SocketAddrUnix::new(path)?);
        ask() == Err(rustix::io::Errno::CONNREFUSED)
    }

    #[cfg(not(target_vendor = "apple"))]
    fn socket_that_never_waits() -> rustix::io::Result<std::os::fd::OwnedFd> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
    }

    /// macOS makes a socket first and takes its flags then.
    #[cfg(target_vendor = "apple")]
    fn socket_that_never_waits() -> rustix::io::Result<std::os::fd::OwnedFd> {
        use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
        use rustix::net::{AddressFamily, SocketType, socket};
        let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        ioctl_fionbio(&socket, true)?;
        Ok(socket)
    }

    fn is_old(entry: &std::fs::DirEntry) -> bool {
        let made = entry.metadata().and_then(|found| found.modified());
        made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age > LEFT_BEHIND))
    }

    /// Removes what killed launchers left in `places`: folders of this user at whose socket no
    /// process listens.
    pub(crate) fn remove_left(places: &[PathBuf]) {
        let own = rustix::process::geteuid().as_raw();
        for entry in places.iter().flat_map(|place| look::entries_if_readable(place)) {
            let is_named = entry.file_name().to_str().is_some_and(|name| {
                name.strip_prefix(PREFIX).is_some_and(|rest| {
                    rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
                })
            });
            let is_own = is_named
                && entry
                    .metadata()
                    .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == own);
            if !is_own {
                continue;
            }
            let path = entry.path().join("app");
            match look::is_there(&path) {
                Ok(true) if is_refused(&path) => {
                    let _ = std::fs::remove_file(&path);
                    let _ = std::fs::remove_dir(entry.path());
                }
                // Its launcher was killed before it listened; one that is about to listen is
                // younger. Only an empty folder can be removed.
                Ok(false) if is_old(&entry) => {
                    let _ = std::fs::remove_dir(entry.path());
                }
                _ => {}
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use super::*;
    use interprocess::os::windows::named_pipe::{
        PipeListenerOptions, PipeMode, pipe_mode, tokio as pipes,
    };
    use interprocess::os::windows::security_descriptor::SecurityDescriptor;
    use std::path::PathBuf;

    pub(crate) type AppStream = pipes::DuplexPipeStream<pipe_mode::Bytes>;

    /// The name of a pipe. The launcher makes the pipe when it listens; an app that connects
    /// earlier tries again.
    #[derive(Debug)]
    pub(crate) struct Endpoint {
        name: String,
    }

    impl Endpoint {
        /// A pipe with a random name; pipes have no folder.
        pub(crate) fn open(_places: &[PathBuf]) -> io::Result<Self> {
            Ok(Self { name: format!(r"\\.\pipe\kuzflow-{}", secret()?) })
        }

        /// The address for the app.
        pub(crate) fn address(&self) -> std::ffi::OsString {
            self.name.clone().into()
        }

        /// Begins to accept connections, within a runtime. May be called again after the runtime of
        /// an earlier call has ended. A flag on the pipe's first instance refuses a name that
        /// another process has taken.
        pub(crate) fn listen(&mut self) -> io::Result<AppListener> {
            // Full access for the owner, who is this user, and for nobody else. `P` excludes
            // inherited rights.
            let description =
                widestring::U16CString::from_str("D:P(A;;GA;;;OW)").map_err(io::Error::other)?;
            let listener = PipeListenerOptions::new()
                .path(Path::new(&self.name))
                .mode(PipeMode::Bytes)
                .accept_remote(false)
                .security_descriptor(Some(SecurityDescriptor::deserialize(&description)?))
                .create_tokio_duplex::<pipe_mode::Bytes>()?;
            Ok(AppListener(listener))
        }
    }

    /// Accepts connections.
    pub(crate) struct AppListener(pipes::PipeListener<pipe_mode::Bytes, pipe_mode::Bytes>);

    impl AppListener {
        /// The next connection. The pipe's security descriptor keeps other users out.
        pub(crate) async fn accept(&mut self) -> io::Result<Option<AppStream>> {
            self.0.accept().await.map(Some)
        }
    }

    /// Nothing to remove: a pipe ends with its process.
    pub(crate) fn remove_left(_places: &[PathBuf]) {}
}

pub(super) use system::{AppListener, AppStream, Endpoint, remove_left};

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_folder_is_closed_to_others_short_and_goes_with_the_endpoint() {
        let short = tempfile::tempdir_in("/tmp").unwrap();
        let long = short.path().join("x".repeat(90));
        std::fs::create_dir(&long).unwrap();
        let endpoint =
            Endpoint::open(&[short.path().join("absent"), long.clone(), short.path().to_owned()])
                .unwrap();
        let path = std::path::PathBuf::from(endpoint.address());
        let folder = path.parent().unwrap().to_owned();
        assert_eq!(folder.parent().unwrap(), short.path());
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(&long).unwrap().count(), 0);
        drop(endpoint);
        assert!(!folder.exists());
        assert!(Endpoint::open(&[long]).is_err());
    }

    #[test]
    fn what_the_dead_left_is_removed_and_nothing_else() {
        let place = tempfile::tempdir_in("/tmp").unwrap();
        let places = [place.path().to_owned()];
        let alive = Endpoint::open(&places).unwrap();
        let dead = Endpoint::open(&places).unwrap();
        let folder = std::path::PathBuf::from(dead.address()).parent().unwrap().to_owned();
        // A killed process closes its socket and removes nothing.
        let path = std::path::PathBuf::from(dead.address());
        drop(dead);
        std::fs::create_dir(&folder).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let other = place.path().join("kuzflow-something");
        std::fs::create_dir(&other).unwrap();
        // A child of another test holds a copy of the socket until it starts its program.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while folder.exists() && std::time::Instant::now() < end {
            remove_left(&places);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(!folder.exists() && other.exists());
        assert!(std::path::PathBuf::from(alive.address()).exists());
    }
}
