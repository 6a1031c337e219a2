//! The way through a SOCKS proxy, which Clash, V2Ray, `ssh -D` and images of companies name in
//! `ALL_PROXY`: through the real executable.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::release::World;

/// A SOCKS 5 proxy without a password. It connects everybody to one node, whatever they ask for.
struct Proxy {
    address: String,
    /// The hosts that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(node: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (node, seen) = (node.to_owned(), Arc::clone(&asked));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (node, seen) = (node.clone(), Arc::clone(&seen));
                std::thread::spawn(move || pass_on(client, &node, &seen));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers a greeting and a request to connect (RFC 1928), then copies both ways.
fn pass_on(mut client: TcpStream, node: &str, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let methods = read(&mut client, 2)?[1];
    read(&mut client, methods.into())?;
    client.write_all(&[5, 0])?;
    let host = match read(&mut client, 4)?[3] {
        3 => {
            let length = read(&mut client, 1)?[0];
            String::from_utf8_lossy(&read(&mut client, length.into())?).into_owned()
        }
        4 => format!("{:?}", read(&mut client, 16)?),
        _ => read(&mut client, 4)?.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
    };
    read(&mut client, 2)?;
    asked.lock().unwrap().push(host);
    let server = TcpStream::connect(node)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || copy(from, to));
    copy(server, client)
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}

fn read(stream: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Both spellings: with the first the launcher looks the name up itself, with the second the proxy
/// does. A name that does not exist can only be reached through the proxy.
#[test]
fn an_update_comes_through_the_socks_proxy_of_the_environment() {
    let world = World::new();
    let node = world.serve();
    let proxy = Proxy::start(&node.address);
    for (version, scheme, host) in
        [("1.0.0", "socks5", "127.0.0.1"), ("2.0.0", "socks5h", "updates.invalid")]
    {
        world.release(version, 20_000);
        // No program listens at this port, so what arrives has come through the proxy.
        world.configure(&[&format!("{host}:9")], "");
        let variables = ["http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy"];
        let mut update = world.launcher(&["update"]);
        variables.iter().for_each(|name| {
            update.env_remove(name);
        });
        update.env("ALL_PROXY", format!("{scheme}://{}", proxy.address));
        let output = update.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{scheme}: {errors}\n{}", world.log());
        assert_eq!(world.active(), version);
        assert!(proxy.asked().iter().any(|asked| asked == host), "{:?}", proxy.asked());
    }
}
