//! What a check fetches of a repository with hundreds of releases, counted between the executables:
//! 1.2 KB if there is nothing new, 8 KB if there is an update, headers apart.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use kuzflow::testing::model::{Digest, Patch, Platform};
use kuzflow::testing::publish::{Keyring, PackToPublish, Project};

use crate::support::published::{options_with_roles, package_in};
use crate::support::release::{World, text};

/// The budget of a check that finds nothing, bytes.
const NOTHING_NEW: usize = 1200;
/// The budget of a check that finds an update, bytes.
const UPDATE_FOUND: usize = 8000;
/// Releases of each platform.
const RELEASES: u64 = 275;

/// A relay before a node, which counts the bytes of each answer's body by path.
struct Counter {
    address: String,
    bodies: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Counter {
    fn before(node: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (bodies, node) = (Arc::<Mutex<Vec<_>>>::default(), node.to_owned());
        let counted = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (node, counted) = (node.clone(), Arc::clone(&counted));
                std::thread::spawn(move || relay(stream, &node, &counted));
            }
        });
        Self { address, bodies }
    }

    /// The metadata and lists that were fetched since the last call, and their bytes; packages
    /// apart.
    fn fetched(&self) -> (Vec<(String, usize)>, usize) {
        let mut all = std::mem::take(&mut *self.bodies.lock().unwrap());
        all.retain(|(path, _)| !path.starts_with("/targets/"));
        let sum = all.iter().map(|(_, bytes)| bytes).sum();
        (all, sum)
    }
}

/// Passes one request on, and its answer back; then both connections end.
fn relay(mut client: TcpStream, node: &str, counted: &Mutex<Vec<(String, usize)>>) {
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut head = format!("{first}\r\n");
    for line in lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if !line.to_ascii_lowercase().starts_with("connection:") {
            head.push_str(&format!("{line}\r\n"));
        }
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut server = TcpStream::connect(node).unwrap();
    server.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    // Counted first: whoever has the answer may look at once.
    counted.lock().unwrap().push((path, answer.len() - end));
    let _ = client.write_all(&answer);
}

/// Publishes all releases but the newest for three platforms, in one step.
fn history(project: &Project, folder: &std::path::Path) {
    let platforms: Vec<Platform> =
        [Platform::current().to_string().as_str(), "Windows_ARM64", "Darwin_x86_64"]
            .map(|name| name.parse().unwrap())
            .to_vec();
    let now = Timestamp::now();
    let packages: Vec<_> = (1..RELEASES)
        .flat_map(|number| platforms.iter().map(move |platform| (number, platform)))
        .map(|(number, platform)| {
            let mut package =
                package_in(folder, platform, &format!("1.{number}.0"), &format!("{number} "), now);
            package.notes.clear();
            package
        })
        .collect();
    let keyring = Keyring::new([project.keys_folder()]);
    project.publish(&packages, &keyring, now).unwrap().run().unwrap();
}

/// Publishes as many packs to the newest release as a list may have.
fn packs(project: &Project, folder: &std::path::Path) {
    let releases = project.releases().unwrap();
    let mine: Vec<_> = releases
        .iter()
        .filter(|release| release.container.platform == Platform::current())
        .collect();
    let to = mine[0];
    let packs: Vec<_> = mine[1..9]
        .iter()
        .map(|from| {
            let content = from.container.to_string();
            let path = folder.join(format!("pack-{}", Digest::of(content.as_bytes())));
            std::fs::write(&path, content.repeat(100)).unwrap();
            let patch = Patch {
                from: from.container.clone(),
                to: to.container.clone(),
                base_manifest: from.manifest.hash,
                target_manifest: to.manifest.hash,
                cloned: 1234,
                patched: 12,
                added: 3,
                removed: 4,
                written: 123_456_789,
                memory: 64 << 20,
                created: Timestamp::from_second(1_790_000_000).unwrap(),
                requires_restart: true,
                hot_swappable: 0,
                piece_size: 0,
                pieces: Vec::new(),
            };
            PackToPublish { path, patch }
        })
        .collect();
    let keyring = Keyring::new([project.keys_folder()]);
    project.add_patches(&packs, &keyring, Timestamp::now()).unwrap().run().unwrap();
}

#[test]
fn a_check_costs_a_few_kilobytes_however_many_releases_there_are() {
    let world = World::new();
    let folder = world.path("publisher");
    std::fs::remove_dir_all(&folder).unwrap();
    let project = Project::init(&folder, &options_with_roles(), Timestamp::now()).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    history(&project, scratch.path());
    let notes = world.path("notes.md");
    std::fs::write(&notes, "# What is new\n").unwrap();
    let publish = |version: &str, content: &[u8]| {
        let package = world.build(version, &BTreeMap::from([("data/a.txt", content.to_vec())]));
        world.publish(&package, &["--no-patches", "--notes", text(&notes)]);
    };
    publish("2.0.0", b"first");
    let node = world.serve();
    let counter = Counter::before(&node.address);
    world.configure(&[&counter.address], "[update]\ncheck = 'never'\n");
    world.update();
    let (first, _) = counter.fetched();
    assert!(first.iter().any(|(path, _)| path.ends_with(".offer.json")), "{first:?}");

    let nothing = world.say(&["check"]);
    assert_eq!(nothing.code, 3, "{}", nothing.errors);
    let (fetched, bytes) = counter.fetched();
    println!("nothing new: {bytes} bytes, {fetched:?}");
    assert!(bytes <= NOTHING_NEW, "{bytes} bytes: {fetched:?}");

    publish("2.1.0", b"second");
    packs(&project, scratch.path());
    let found = world.say(&["check"]);
    assert_eq!(found.code, 0, "{}", found.errors);
    let (fetched, bytes) = counter.fetched();
    println!("an update: {bytes} bytes, {fetched:?}");
    assert!(bytes <= UPDATE_FOUND, "{bytes} bytes: {fetched:?}");

    // A version of the past is there for whoever names it, at the price of the history.
    let named = world.say(&["update", "--to", "1.7.0", "--dry-run"]);
    let (fetched, _) = counter.fetched();
    assert!(fetched.iter().any(|(path, _)| path.ends_with(".history.json")), "{fetched:?}");
    assert!(!named.errors.contains("no such release"), "{}", named.errors);
}
