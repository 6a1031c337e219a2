//! Servers that run on the loopback.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kuzflow::testing::server::{ServerError, ServerOptions, serve};
use tokio::sync::oneshot;

use crate::support::waiting::{LIMIT, until};

/// `kuzflow serve` on a free port of the loopback, in its own runtime.
pub struct Server {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<Result<(), ServerError>>>,
}

impl Server {
    pub fn start(options: ServerOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let shutdown = async { _ = stopped.await };
                serve(options, listener, shutdown).await
            })
        });
        // It has read its repository once it answers: a test that changes a file there before that
        // would end it.
        until("the server answers or has ended", || thread.is_finished() || answers(address));
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    pub fn tell_to_stop(&mut self) {
        _ = self.stop.take().map(|stop| stop.send(()));
    }

    pub fn wait(&mut self) -> Result<(), ServerError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tell_to_stop();
        _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Whether a server takes a request there, whatever it says.
fn answers(address: SocketAddr) -> bool {
    let request = b"GET /healthz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(request)?;
        stream.read(&mut [0])
    });
    asked.is_ok_and(|length| length > 0)
}

/// nginx with our shipped configuration; its listen address, root and proxied server are replaced.
pub struct Nginx {
    pub address: SocketAddr,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// `None`, with the reason on standard error, where nginx is missing; a failure where CI
    /// requires nginx.
    pub fn start(repository: &Path, api: Option<SocketAddr>) -> Option<Self> {
        let found = ["nginx", "/usr/sbin/nginx"]
            .into_iter()
            .find(|program| Command::new(program).arg("-v").output().is_ok());
        let Some(program) = found else {
            assert!(std::env::var_os("CI").is_none(), "nginx is missing");
            eprintln!("passed over: nginx is not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/nginx/kuzflow.conf");
        // No other program takes the port before nginx does, since no other one uses this address.
        let [third, fourth] = [(); 2].map(|()| fastrand::u8(1..=254));
        let own = Ipv4Addr::new(127, 77, third, fourth);
        let address = TcpListener::bind((own, 0)).unwrap().local_addr().unwrap();
        let mut site = std::fs::read_to_string(shipped).unwrap();
        for (shipped, here) in [
            ("listen 8080;", format!("listen {address};")),
            ("root /srv/kuzflow/repository;", format!("root \"{}\";", repository.display())),
        ] {
            assert!(site.contains(shipped), "{shipped} is not in the shipped configuration");
            site = site.replace(shipped, &here);
        }
        if let Some(api) = api {
            let at = site.find("    # location ~ \"^/(api/").unwrap();
            let proxied =
                site[at..].replace("    # ", "    ").replace("127.0.0.1:8081", &api.to_string());
            site.replace_range(at.., &proxied);
        }
        std::fs::write(folder.path().join("kuzflow.conf"), site).unwrap();
        std::fs::write(
            folder.path().join("nginx.conf"),
            MAIN.replace("FOLDER", folder.path().to_str().unwrap()),
        )
        .unwrap();
        let mut command = Command::new(program);
        command
            .args(["-e", "stderr", "-c"])
            .arg(folder.path().join("nginx.conf"))
            .arg("-p")
            .arg(folder.path());
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        let nginx = Self { address, process, _folder: folder };
        until("nginx listens; its message is on standard error", || {
            TcpStream::connect(nginx.address).is_ok()
        });
        return Some(nginx);

        const MAIN: &str = "daemon off; master_process off; pid \"FOLDER/pid\"; error_log stderr crit;
            events { worker_connections 256; }
            http {
                access_log off;
                client_body_temp_path \"FOLDER/body\"; proxy_temp_path \"FOLDER/proxy\"; fastcgi_temp_path \"FOLDER/fastcgi\";
                uwsgi_temp_path \"FOLDER/uwsgi\"; scgi_temp_path \"FOLDER/scgi\";
                include kuzflow.conf;
            }";
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
