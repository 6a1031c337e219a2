//! A node made of plain sockets that misbehaves on request, for tests of all code that fetches. It
//! serves one object under every path, with Range and keep-alive, from threads of this process.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kuzflow::testing::model::Node;

/// The behaviour of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Behaviour {
    /// Proper answers.
    Healthy,
    /// Proper answers at so many bytes a second, over all connections.
    Limited(u64),
    /// Every body ends after so many bytes.
    CutAfter(u64),
    /// Every body falls silent after so many bytes.
    StallAfter(u64),
    /// The byte at this offset of the object is wrong.
    LieAt(u64),
    /// 200 with the whole object for any Range.
    IgnoreRange,
    /// 206 with bytes from another place.
    WrongContentRange,
    /// Every answer has another entity tag, as of several servers behind one name.
    Tags,
    /// Answers begin after so many milliseconds.
    Late(u64),
    /// 206 with so many bytes at most, however many were asked for.
    AtMost(u64),
    /// 200 with the whole object for any Range, without its length.
    Chunked,
    /// 404 to every other request, as of several servers one of which does not have the object yet.
    NotEverywhere,
    /// Each answer sends so many bytes normally, and then a byte each half second.
    Fades(u64),
    /// 206 with `Content-Encoding: gzip`.
    Gzip,
    /// 302 to this address.
    Redirect(String),
    /// 200 with a page that says "log in".
    Portal,
    /// This status, without a body.
    Status(u16),
    /// Closes every connection at once.
    Dead,
    /// One byte at a time, so many a second.
    Drip(u64),
    /// Claims that the object has this length.
    Size(u64),
    /// 200 without Content-Length, zeros without end.
    Endless,
}

/// A running node; ends when dropped.
pub struct FaultyNode {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    content: Arc<Vec<u8>>,
    behaviour: Mutex<Behaviour>,
    requests: AtomicUsize,
    sent: AtomicU64,
    ended: AtomicBool,
    /// When the next byte may be sent, for limited rates.
    free_at: Mutex<Instant>,
    /// Request lines and heads, in order.
    heads: Mutex<Vec<String>>,
}

impl FaultyNode {
    /// Serves `content`.
    pub fn start(content: &Arc<Vec<u8>>, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            content: Arc::clone(content),
            behaviour: Mutex::new(behaviour),
            requests: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            free_at: Mutex::new(Instant::now()),
            heads: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if accepting.ended.load(Ordering::Relaxed) {
                    break;
                }
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// From now on the node has this behaviour, also in answers that have begun.
    pub fn becomes(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// The node's base address.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The node as the launcher names it; the id is its address.
    pub fn node(&self) -> Node {
        Node::at(self.url().parse().unwrap())
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// The number of body bytes so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }
}

impl Drop for FaultyNode {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn behaviour(&self) -> Behaviour {
        self.behaviour.lock().unwrap().clone()
    }

    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        while let Some(head) = read_head(&mut stream) {
            if self.ended.load(Ordering::Relaxed) || self.behaviour() == Behaviour::Dead {
                break;
            }
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            let range = range_of(&head, self.content.len() as u64);
            self.heads.lock().unwrap().push(head);
            if self.answer(&mut stream, range, number).is_none() {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    /// `None` if the connection shall close.
    fn answer(
        &self,
        stream: &mut TcpStream,
        range: Option<(u64, u64)>,
        number: usize,
    ) -> Option<()> {
        let length = self.content.len() as u64;
        let (mut start, mut end) = range.unwrap_or((0, length));
        let mut partial = range.is_some();
        let mut stated_length = length;
        let mut extra = String::new();
        let mut tag = "\"one\"";
        match self.behaviour() {
            Behaviour::IgnoreRange => partial = false,
            Behaviour::WrongContentRange => start = start.saturating_sub(1000),
            Behaviour::Tags => tag = ["\"one\"", "W/\"two\""][number % 2],
            Behaviour::Late(milliseconds) => {
                std::thread::sleep(Duration::from_millis(milliseconds))
            }
            Behaviour::NotEverywhere if number.is_multiple_of(2) => {
                return send(stream, "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n");
            }
            Behaviour::Chunked => {
                send(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                return self.body(stream, 0, length).and(None);
            }
            Behaviour::Gzip => extra = "Content-Encoding: gzip\r\n".to_owned(),
            Behaviour::Size(size) => stated_length = size,
            Behaviour::AtMost(bytes) => end = end.min(start + bytes),
            Behaviour::Redirect(to) => {
                return send(
                    stream,
                    &format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"),
                );
            }
            Behaviour::Portal => {
                let page = "<html><body>Please log in to the hotel's network</body></html>";
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{page}",
                    page.len()
                );
                return send(stream, &head);
            }
            Behaviour::Status(status) => {
                return send(stream, &format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"));
            }
            Behaviour::Endless => {
                send(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
                while !self.ended.load(Ordering::Relaxed) {
                    stream.write_all(&[0; 4096]).ok()?;
                }
                return None;
            }
            _ => {}
        }
        let (first, last) = if partial { (start, end) } else { (0, length) };
        let status = if partial {
            format!(
                "206 Partial Content\r\nContent-Range: bytes {first}-{}/{stated_length}",
                last - 1
            )
        } else {
            "200 OK".to_owned()
        };
        let reply = if partial { last - first } else { stated_length };
        send(
            stream,
            &format!("HTTP/1.1 {status}\r\nETag: {tag}\r\nContent-Length: {reply}\r\n{extra}\r\n"),
        )?;
        self.body(stream, first, last)
    }

    fn body(&self, stream: &mut TcpStream, first: u64, last: u64) -> Option<()> {
        let mut at = first;
        while at < last {
            let behaviour = self.behaviour();
            let mut count = (last - at).min(16 << 10);
            match behaviour {
                Behaviour::CutAfter(bytes) => {
                    count = count.min((first + bytes).saturating_sub(at));
                    if count == 0 {
                        return None;
                    }
                }
                Behaviour::StallAfter(bytes) => {
                    count = count.min((first + bytes).saturating_sub(at));
                    if count == 0 {
                        self.wait_until(|| self.behaviour() != behaviour)?;
                        continue;
                    }
                }
                Behaviour::Drip(rate) => {
                    count = 1;
                    self.pace(count, rate)?;
                }
                Behaviour::Limited(rate) => {
                    // Small portions: otherwise one of many connections would be silent for long.
                    count = count.min((rate / 50).max(1));
                    self.pace(count, rate)?;
                }
                Behaviour::Fades(bytes) if at < first + bytes => {
                    count = count.min(first + bytes - at)
                }
                Behaviour::Fades(_) => {
                    count = 1;
                    let due = Instant::now() + Duration::from_millis(500);
                    self.wait_until(|| Instant::now() >= due || self.behaviour() != behaviour)?;
                }
                Behaviour::Dead => return None,
                _ => {}
            }
            let mut bytes = self.content[at as usize..(at + count) as usize].to_vec();
            if let Behaviour::LieAt(offset) = behaviour
                && (at..at + count).contains(&offset)
            {
                bytes[(offset - at) as usize] ^= 1;
            }
            stream.write_all(&bytes).ok()?;
            self.sent.fetch_add(count, Ordering::Relaxed);
            at += count;
        }
        Some(())
    }

    fn pace(&self, bytes: u64, rate: u64) -> Option<()> {
        let due = {
            let mut free_at = self.free_at.lock().unwrap();
            *free_at = (*free_at).max(Instant::now())
                + Duration::from_secs_f64(bytes as f64 / rate as f64);
            *free_at
        };
        self.wait_until(|| Instant::now() >= due)
    }

    fn wait_until(&self, done: impl Fn() -> bool) -> Option<()> {
        while !done() {
            if self.ended.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Some(())
    }
}

fn send(stream: &mut TcpStream, text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).ok()
}

fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 16 << 10 || stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// The span of a `Range: bytes=a-b`, cut to the object.
fn range_of(head: &str, length: u64) -> Option<(u64, u64)> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("range:"))?;
    let (first, last) = line.split_once("bytes=")?.1.trim().split_once('-')?;
    Some((first.parse().ok()?, last.parse::<u64>().map_or(length, |last| (last + 1).min(length))))
}
