//! How launchers of this user speak with each other: by a socket on Unix; elsewhere by a port of
//! this computer, whose number lies in a file with a secret.
//!
//! In: a path. Out: a listener, or a connection with the secret that the other side expects. Never:
//! opens what belongs to another user.

#[cfg(not(unix))]
pub(super) use elsewhere::{Listener, Stream, connect, listen};
#[cfg(unix)]
pub(super) use unix::{Listener, Stream, connect, listen};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
    use std::os::unix::net::{SocketAddr, UnixListener};
    use std::path::Path;

    pub(crate) use std::os::unix::net::UnixStream as Stream;

    pub(crate) struct Listener(UnixListener);

    impl Listener {
        pub(crate) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
            self.0.accept()
        }

        /// Always true: nobody else can open the socket.
        pub(crate) fn is_secret(&self, secret: &str) -> bool {
            secret == "-"
        }
    }

    pub(crate) fn listen(place: &Path) -> io::Result<Listener> {
        if own_socket(place) {
            // It belonged to an earlier process with the same number.
            std::fs::remove_file(place)?;
        }
        let listener = UnixListener::bind(place)?;
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o600))?;
        Ok(Listener(listener))
    }

    pub(crate) fn connect(place: &Path) -> io::Result<(Stream, String)> {
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
mod elsewhere {
    use std::io;
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};
    use std::path::Path;
    use std::time::Duration;

    pub(crate) use std::net::TcpStream as Stream;

    use crate::model::Digest;

    pub(crate) struct Listener {
        listener: TcpListener,
        secret: Digest,
    }

    impl Listener {
        pub(crate) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
            self.listener.accept()
        }

        /// Compares digests, so that the time of the comparison reveals nothing about the secret.
        pub(crate) fn is_secret(&self, secret: &str) -> bool {
            Digest::of(secret.as_bytes()) == self.secret
        }
    }

    /// The folder is this user's own, so that nobody else reads the secret.
    pub(crate) fn listen(place: &Path) -> io::Result<Listener> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let secret = crate::session::channel::secret()?;
        std::fs::write(place, format!("{} {secret}", listener.local_addr()?.port()))?;
        Ok(Listener { listener, secret: Digest::of(secret.as_bytes()) })
    }

    pub(crate) fn connect(place: &Path) -> io::Result<(Stream, String)> {
        let damaged =
            || io::Error::new(io::ErrorKind::ConnectionRefused, "this file names no launcher");
        let bytes = crate::look::read(place, crate::look::SMALL)?.ok_or_else(damaged)?;
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
        let (port, secret) = text.split_once(' ').ok_or_else(damaged)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().map_err(|_| damaged())?));
        Ok((Stream::connect_timeout(&address, Duration::from_secs(2))?, secret.to_owned()))
    }
}
