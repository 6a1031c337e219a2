//! A client that sends exactly the given bytes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path, &[])
}

pub fn ask(address: SocketAddr, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let fields: String =
        fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n{fields}\r\n");
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&mut BufReader::new(stream), method == "HEAD")
}

pub fn post(address: SocketAddr, path: &str, body: &[u8]) -> Answer {
    post_with(address, path, &[], body)
}

pub fn post_with(address: SocketAddr, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Answer {
    let fields: String =
        fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = connect(address);
    stream.write_all(head.as_bytes()).unwrap();
    // A server may answer and close before it has read the whole body.
    let _ = stream.write_all(body);
    read_answer(&mut BufReader::new(stream), false)
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(crate::support::waiting::LIMIT)).unwrap();
    stream
}

pub fn read_answer(stream: &mut BufReader<TcpStream>, head: bool) -> Answer {
    let mut lines = std::iter::from_fn(|| {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        Some(line.trim_end().to_owned()).filter(|line| !line.is_empty())
    });
    let status = lines.next().expect("an answer").split(' ').nth(1).unwrap().parse().unwrap();
    let fields: Vec<(String, String)> = lines
        .map(|line| {
            line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()
        })
        .collect();
    let mut answer = Answer { status, fields, body: Vec::new() };
    let length: Option<u64> = answer.field("content-length").map(|length| length.parse().unwrap());
    match length {
        _ if head || status == 304 => {}
        Some(length) => assert_eq!(
            stream.take(length).read_to_end(&mut answer.body).unwrap() as u64,
            length,
            "{answer:?}"
        ),
        None => _ = stream.read_to_end(&mut answer.body).unwrap(),
    }
    answer
}
