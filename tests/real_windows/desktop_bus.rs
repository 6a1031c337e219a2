//! A separate bus with a desktop that shows notifications for tests: it records the requests, and
//! presses buttons.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use zbus::zvariant::OwnedValue;

const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// A running bus.
pub struct Bus {
    daemon: Child,
    /// The value for `DBUS_SESSION_BUS_ADDRESS`.
    pub address: String,
}

/// The desktop on a bus.
pub struct Desktop {
    connection: zbus::Connection,
    calls: Receiver<Call>,
}

/// A request to the desktop.
#[derive(Debug, PartialEq, Eq)]
pub enum Call {
    /// A message to show: its number, the number that it replaces, title, text, the actions with
    /// their names, and the signature of its picture, or the name of the desktop's own.
    Show {
        id: u32,
        replaces: u32,
        title: String,
        text: String,
        actions: Vec<String>,
        picture: String,
    },
    /// A message to take back.
    Close(u32),
}

struct Notifications {
    capabilities: Vec<String>,
    calls: Sender<Call>,
    count: u32,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    fn get_capabilities(&self) -> Vec<String> {
        self.capabilities.clone()
    }

    #[allow(clippy::too_many_arguments)] // the interface has so many
    fn notify(
        &mut self,
        _app_name: String,
        replaces: u32,
        icon: String,
        title: String,
        text: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedValue>,
        _timeout: i32,
    ) -> u32 {
        let id = if replaces == 0 {
            self.count += 1;
            self.count
        } else {
            replaces
        };
        let picture =
            hints.get("image-data").map_or(icon, |data| data.value_signature().to_string());
        self.calls.send(Call::Show { id, replaces, title, text, actions, picture }).unwrap();
        id
    }

    fn close_notification(&self, id: u32) {
        self.calls.send(Call::Close(id)).unwrap();
    }
}

impl Bus {
    /// Opens a bus; `None` where it is not installed.
    pub fn open() -> Option<Self> {
        let daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut daemon) = daemon else {
            assert!(std::env::var_os("CI").is_none(), "CI has dbus-daemon");
            println!("passed over: dbus-daemon is not installed");
            return None;
        };
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Some(Self { daemon, address: address.trim().to_owned() })
    }

    /// A desktop with these capabilities.
    pub fn desktop(&self, capabilities: &[&str]) -> Desktop {
        let (sender, calls) = channel();
        let capabilities = capabilities.iter().map(|capability| (*capability).to_owned()).collect();
        let notifications = Notifications { capabilities, calls: sender, count: 40 };
        let connection = pollster::block_on(async {
            let builder = zbus::connection::Builder::address(self.address.as_str()).unwrap();
            builder
                .name(SERVICE)
                .unwrap()
                .serve_at(PATH, notifications)
                .unwrap()
                .build()
                .await
                .unwrap()
        });
        Desktop { connection, calls }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Desktop {
    /// The next request to the desktop.
    pub fn call(&self) -> Call {
        self.calls
            .recv_timeout(crate::support::waiting::LIMIT)
            .expect("the desktop is asked for something")
    }

    /// Reports that the user chose an action of a message, and that the message has closed, as
    /// desktops do.
    pub fn choose(&self, id: u32, action: &str) {
        self.say("ActionInvoked", &(id, action));
        self.closed(id, 2);
    }

    /// Reports that a message has closed: 1 it expired, 2 the user dismissed it.
    pub fn closed(&self, id: u32, reason: u32) {
        self.say("NotificationClosed", &(id, reason));
    }

    fn say<B: serde::Serialize + zbus::zvariant::DynamicType>(&self, signal: &str, body: &B) {
        pollster::block_on(self.connection.emit_signal(None::<&str>, PATH, SERVICE, signal, body))
            .unwrap();
    }
}
