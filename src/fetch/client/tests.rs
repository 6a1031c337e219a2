//! Tests of `fetch::client`.

use super::*;

#[test]
fn redirects_lead_to_the_web_and_never_inside() {
    let refused = |from: &str, to: &str| {
        super::refused(&to.parse().unwrap(), &[from.parse().unwrap()]).is_some()
    };
    let (public, local) = ("http://cdn.example.com/", "http://127.0.0.1:8080/");
    for to in ["https://other.example.com/", "http://other.example.com/", "http://10.0.0.8/"] {
        assert!(!refused(public, to), "{to}");
    }
    for to in [
        "http://127.0.0.1:631/",
        "http://169.254.169.254/latest/",
        "http://localhost/",
        "http://[::1]/",
    ] {
        assert!(refused(public, to), "{to}");
    }
    assert!(
        refused(local, "http://169.254.169.254/latest/"),
        "what is on the wire is not this computer"
    );
    assert!(
        !refused(local, "http://127.0.0.1:9090/"),
        "a repository that is on this computer itself"
    );
    for to in
        ["ftp://other.example.com/", "file:///etc/passwd", "http://user:secret@other.example.com/"]
    {
        assert!(refused(public, to) && refused(local, to), "{to}");
    }
    assert!(refused("https://cdn.example.com/", "http://cdn.example.com/"));
    let many = vec![public.parse().unwrap(); REDIRECTS + 1];
    assert!(super::refused(&public.parse().unwrap(), &many).is_some());
}

#[test]
fn a_slow_line_goes_on_and_a_drip_ends() {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let ends = |bytes: u64| {
        let mut steady = Steady::new(Duration::from_secs(30), start);
        (1..4000).find(|seconds| !steady.goes_on(bytes, start + second * *seconds))
    };
    assert_eq!(ends(100), None);
    assert_eq!(ends(1), Some(30));
    // A good start does not excuse a silence without end.
    let mut steady = Steady::new(Duration::from_secs(30), start);
    assert!(steady.goes_on(1 << 20, start + second * 30));
    assert!(!steady.goes_on(1, start + second * 61));
}

/// A node that answers each request depending on the request's head.
fn node(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Url {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/metadata/7.targets.json", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut head, mut part) = (stream.unwrap(), Vec::new(), [0; 1024]);
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                let count = stream.read(&mut part).unwrap();
                head.extend_from_slice(&part[..count]);
            }
            let _ = stream.write_all(&answer(&String::from_utf8_lossy(&head).to_ascii_lowercase()));
        }
    });
    url
}

fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn json_comes_compressed_from_nodes_that_can_and_plain_from_others() {
    use std::io::Write as _;
    let document = b"{\"signed\": {}}".repeat(100);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&document).unwrap();
    let packed = encoder.finish().unwrap();
    let client = Client::new(&ClientOptions::default()).unwrap();
    let (whole, cut) = (
        answer("content-encoding: gzip\r\n", &packed),
        answer("content-encoding: gzip\r\n", &packed[..20]),
    );
    let plain = answer("", &document);
    let asks = |head: &str| head.contains("accept-encoding: gzip\r\n");
    let (compressing, ignoring, broken) = (
        node({
            let (whole, plain) = (whole.clone(), plain.clone());
            move |head| if asks(head) { whole.clone() } else { plain.clone() }
        }),
        node({
            let plain = plain.clone();
            move |_| plain.clone()
        }),
        node(move |head| if asks(head) { cut.clone() } else { plain.clone() }),
    );
    for url in [&compressing, &ignoring, &broken] {
        assert_eq!(client.get(url, document.len() as u64).await.unwrap(), document);
        let short = client.get(url, document.len() as u64 - 1).await;
        assert!(matches!(short, Err(FetchError::TooLarge { .. })), "{short:?}");
    }
    let came = std::sync::atomic::AtomicU64::new(0);
    let count = |bytes| {
        came.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    };
    client.get_counting(&compressing, 1 << 20, &count).await.unwrap();
    assert_eq!(came.into_inner(), packed.len() as u64);
    // The client never asks for a compressed span.
    let other = compressing.join("/targets/package").unwrap();
    for asked in
        [client.ask(&other, &(0..10), false).await, client.ask(&compressing, &(0..10), false).await]
    {
        assert!(asked.unwrap().headers().get(CONTENT_ENCODING).is_none());
    }
}

#[tokio::test]
async fn what_is_sent_is_sent_to_nobody_else() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let was_asked = Arc::new(AtomicBool::new(false));
    let other = node({
        let was_asked = Arc::clone(&was_asked);
        move |_| {
            was_asked.store(true, Ordering::Release);
            answer("", b"{}")
        }
    });
    let client = Client::new(&ClientOptions::default()).unwrap();
    for status in [301, 302, 307, 308] {
        let moved = format!(
            "HTTP/1.1 {status} Moved\r\nlocation: {other}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        let url = node(move |_| moved.clone().into_bytes());
        assert_eq!(client.post_json(&url, Vec::new(), 100).await.unwrap().status, status);
        assert!(!was_asked.load(Ordering::Acquire), "{status}");
        assert!(client.get(&url, 100).await.is_ok(), "documents may lie elsewhere");
        assert!(was_asked.swap(false, Ordering::AcqRel));
    }
    let posted = client.post_json(&other, Vec::new(), 100).await.unwrap();
    assert_eq!((posted.status, was_asked.load(Ordering::Acquire)), (200, true));
}
