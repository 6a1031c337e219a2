//! A server that is killed under load: what it acknowledged is counted, and counted once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::{count, serve, stats};
use crate::support::release::{NodeProcess, World, text};

const BATCH: u32 = 16;
const CLIENTS: u32 = 6;
const KILLS: usize = 5;

/// Posts the reports with these numbers. `None` without a whole answer.
fn post(address: &str, numbers: std::ops::Range<u32>) -> Option<u16> {
    let now = jiff::Timestamp::now().as_second();
    let reports: Vec<_> = numbers
        .map(|number| {
            serde_json::json!({
                "id": format!("{number:032x}"), "installation": format!("{:032x}", number % 7), "update": format!("{number:032x}"),
                "at": now, "kind": "installed", "app": "sample", "channel": "stable", "platform": "Linux_x86_64",
                "from": "0.9.0", "to": "1.0.0", "launcher": "0.1.0", "region": "Europe",
            })
        })
        .collect();
    let body = serde_json::json!({ "reports": reports }).to_string();
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(crate::support::waiting::LIMIT)).ok()?;
    let head = format!(
        "POST /api/reports HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // An answer that was cut acknowledges nothing.
    body.ends_with('}').then_some(())?;
    head.split(' ').nth(1)?.parse().ok()
}

#[test]
fn what_a_killed_server_acknowledged_is_counted_once() {
    let world = World::new();
    world.publish(&world.build("1.0.0", &BTreeMap::new()), &["--no-patches"]);
    let data = world.path("data");
    let first = serve(&world);
    let address = first.address.clone();
    let (next, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let acknowledged = Mutex::new(BTreeSet::new());
    let client = || {
        while !done.load(Ordering::Relaxed) {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            // Until it is acknowledged, as a launcher does; some are sent once more.
            loop {
                match post(&address, batch * BATCH..(batch + 1) * BATCH) {
                    Some(200) => break,
                    _ if done.load(Ordering::Relaxed) => return,
                    _ => std::thread::sleep(Duration::from_millis(5)),
                }
            }
            acknowledged.lock().unwrap().insert(batch);
            if batch % 5 == 0 {
                post(&address, batch * BATCH..(batch + 1) * BATCH);
            }
        }
    };
    let _node = std::thread::scope(|scope| {
        let mut node: NodeProcess = first;
        (0..CLIENTS).for_each(|_| drop(scope.spawn(client)));
        for _ in 0..KILLS {
            let before = acknowledged.lock().unwrap().len();
            crate::support::waiting::until("the server works", || {
                acknowledged.lock().unwrap().len() > before + 3
            });
            std::thread::sleep(Duration::from_millis(fastrand::u64(0..40)));
            // SIGKILL, in the middle of whatever it does.
            drop(node);
            node = world.serve_at(&address, &["--data", text(&data)]);
        }
        done.store(true, Ordering::Relaxed);
        node
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert!(acknowledged.len() > KILLS * 3, "{}", acknowledged.len());
    let sent = next.load(Ordering::Relaxed);
    let counted = count(&stats(&data), "installed");
    let acknowledged = i64::from(BATCH) * acknowledged.len() as i64;
    assert!(counted >= acknowledged, "{counted} of {acknowledged} that were acknowledged");
    assert!(counted <= i64::from(sent * BATCH), "{counted} of {sent} batches");
    // Once all of them are sent again, each is there exactly once, in every table.
    for batch in 0..sent {
        assert_eq!(post(&address, batch * BATCH..(batch + 1) * BATCH), Some(200));
    }
    let numbers = stats(&data);
    let all = i64::from(sent * BATCH);
    assert_eq!(count(&numbers, "installed"), all);
    assert_eq!(super::reached(&numbers, "1.0.0", "installed"), all);
}
