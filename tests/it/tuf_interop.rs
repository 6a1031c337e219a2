//! An independent client, python-tuf's `ngclient`, verifies and downloads from our repository over
//! HTTP.
//!
//! It needs a Python with `tuf==7.0.0` and `securesystemslib[crypto]==1.4.0`: `KUZFLOW_TUF_PYTHON`,
//! else the virtual environment `target/tuf-venv`, else `python3`.

use std::path::{Path, PathBuf};
use std::process::Command;

use kuzflow::testing::publish::{InitOptions, KeyRole, Rotation};

use crate::support::published::{Publisher, options, options_with_roles};

/// Serves argv[1] on a free port of the loopback, and updates the client in argv[2] from it. Then
/// it downloads the targets after argv[3], the client's first root.
const CLIENT: &str = r#"
import functools, http.server, os, sys, threading
from tuf.ngclient import Updater

class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

served, client, root, *targets = sys.argv[1:]
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=served))
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
for folder in ("metadata", "targets"):
    os.makedirs(os.path.join(client, folder), exist_ok=True)
updater = Updater(
    os.path.join(client, "metadata"), f"{base}/metadata/", os.path.join(client, "targets"), f"{base}/targets/",
    bootstrap=open(root, "rb").read(),
)
updater.refresh()
for name in targets:
    info = updater.get_targetinfo(name)
    print(name, "none" if info is None else updater.download_target(info))
"#;

fn python() -> Option<PathBuf> {
    let chosen = std::env::var_os("KUZFLOW_TUF_PYTHON").map(PathBuf::from);
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tuf-venv/bin/python");
    let candidates = chosen.into_iter().chain([ours, PathBuf::from("python3")]);
    let works = |python: &PathBuf| {
        let output = Command::new(python).args(["-c", "import tuf.ngclient"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = candidates.into_iter().find(works);
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "no Python with tuf: see the head of this file");
        println!("passed over: no Python with tuf: see the head of this file");
    }
    found
}

/// The client's output, or its error.
fn update(
    python: &Path,
    publisher: &Publisher,
    client: &Path,
    targets: &[&str],
) -> Result<String, String> {
    let root = publisher.project.repository().join("metadata/1.root.json");
    let mut command = Command::new(python);
    command
        .arg("-c")
        .arg(CLIENT)
        .arg(publisher.project.repository())
        .arg(client)
        .arg(root)
        .args(targets);
    // A proxy of the environment must not stand between two processes of this machine.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn python_tuf_verifies_and_downloads_also_after_a_rotation() {
    let Some(python) = python() else { return };
    for options in [options(), options_with_roles()] {
        verifies_and_downloads(&python, options);
    }
}

fn verifies_and_downloads(python: &Path, mut options: InitOptions) {
    (options.root_keys, options.root_threshold) = (3, 2);
    // The independent client uses the system's clock.
    let publisher = Publisher::with(&options, jiff::Timestamp::now());
    let client = tempfile::tempdir().unwrap();
    // A line of the output is a target's name and the name of its saved file.
    let downloaded = |output: &str, name: &str| {
        let path = output.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        std::fs::read(path).unwrap()
    };

    let mut package = publisher.package("1.0.0", "first ");
    // The name is composed differently from canonical JSON: the signature is over the form that
    // every client computes.
    package.release.display_name = "U\u{308}bung \"示例\" \\ \u{1f600}".to_owned();
    publisher
        .project
        .publish(&[package.clone()], &publisher.keyring(), publisher.now)
        .unwrap()
        .run()
        .unwrap();
    let names = ["sample_1.0.0_Linux_x86_64.kuzflow", "sample_1.0.0_Linux_x86_64.en.md"];
    let output = update(python, &publisher, client.path(), &names).unwrap();
    assert_eq!(downloaded(&output, names[0]), std::fs::read(&package.path).unwrap());
    assert!(downloaded(&output, names[1]).starts_with(b"# 1.0.0\n"));

    for replace in [vec![KeyRole::Root], KeyRole::ALL.to_vec()] {
        let rotation = Rotation { replace, ..Rotation::default() };
        publisher
            .project
            .rotate(&rotation, &publisher.keyring(), publisher.now)
            .unwrap()
            .run()
            .unwrap();
    }
    publisher.publish("1.1.0-beta.1+build.5");
    // A delegated role signed this target: the client finds it by its name's pattern.
    let content: Vec<u8> = (0..3_u32 << 18).flat_map(u32::to_be_bytes).collect();
    publisher.add_packs(&[publisher.pack("1.0.0", "1.1.0-beta.1+build.5", &content)]);
    let new = "sample_1.1.0-beta.1+build.5_Linux_x86_64.kuzflow";
    let pack = "sample_1.1.0-beta.1+build.5_Linux_x86_64.from-1.0.0.kuzpatch";
    let output = update(
        python,
        &publisher,
        client.path(),
        &[new, pack, "sample_9.9.9_Linux_x86_64.kuzflow"],
    )
    .unwrap();
    assert!(!downloaded(&output, new).is_empty());
    assert_eq!(downloaded(&output, pack), content);
    assert!(output.contains("9.9.9_Linux_x86_64.kuzflow none"), "{output}");

    // The client does verify: it notices one flipped bit.
    publisher.publish("1.2.0");
    let mirror = publisher.mirror("mirror");
    let last = mirror
        .files
        .keys()
        .find(|name| name.ends_with("sample_1.2.0_Linux_x86_64.kuzflow"))
        .unwrap();
    let path = publisher.project.repository().join(last);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[7] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let complaint =
        update(python, &publisher, client.path(), &["sample_1.2.0_Linux_x86_64.kuzflow"])
            .unwrap_err();
    assert!(complaint.contains("LengthOrHashMismatchError"), "{complaint}");
}
