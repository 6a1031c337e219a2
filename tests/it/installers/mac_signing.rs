//! `[sign] macos` with a real signer: the code of rcodesign, as the Python package
//! `apple-platform-py` brings it, with a certificate of its own. Where it is missing, this is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::mac::{PLATFORMS, package, shop};
use super::tool;
use crate::support::release::text;

/// Signs what it is given, as rcodesign does it, without a time stamp of Apple's server.
const SIGN: &str = "
import sys, os, apple_platform as apple
key, path = sys.argv[1:]
if not os.path.exists(key):
    apple.certificates.generate_self_signed(person_name='Example').write_pem_bundle(key)
signer = apple.Signer(pem=apple.PemKey(files=[key]))
apple.sign(path, signer=signer, timestamp_url='none', code_signature_flags=['runtime'])
";

/// Checks the bundle and prints what its signatures say.
const VERIFY: &str = "
import sys, json, apple_platform as apple
bundle, program, image = sys.argv[1:]
read = lambda path: apple.read_signature(path)
print(json.dumps({
    'problems': apple.verify_macho(program),
    'program': apple.code_directory_identifier(read(program)),
    'has_certificate': apple.reading.has_cms_signature(read(program)),
    'image': apple.reading.has_cms_signature(read(image)),
    'resources': 'Contents/_CodeSignature/CodeResources' in json.dumps(read(bundle), default=str),
}))
";

/// The Python with the signer; `None` if there is none.
fn python() -> Option<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/apple-venv/bin/python");
    let has_signer = |python: &Path| {
        let output = Command::new(python).args(["-c", "import apple_platform"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let found = [ours, "python3".into()].into_iter().find(|python| has_signer(python));
    if found.is_none() {
        eprintln!("not tested: there is no Python with apple-platform-py on this computer");
    }
    found
}

/// A program of macOS that does nothing: headers, one page of code, room for a signature.
fn program(processor: u32) -> Vec<u8> {
    const BASE: u64 = 1 << 32;
    const PAGE: u64 = 0x4000;
    const CODE: u64 = 16;
    let segment = |name: &str, address: u64, size: u64, at: u64, length: u64, rights: u32| {
        let mut bytes = [0x19_u32, 72].map(u32::to_le_bytes).concat();
        bytes.extend(name.bytes().chain([0; 16]).take(16));
        bytes.extend([address, size, at, length].map(u64::to_le_bytes).concat());
        bytes.extend([rights, rights, 0, 0].map(u32::to_le_bytes).concat());
        bytes
    };
    let mut code = segment("__TEXT", BASE, PAGE, 0, PAGE, 5);
    code[4..8].copy_from_slice(&152_u32.to_le_bytes());
    code[64..68].copy_from_slice(&1_u32.to_le_bytes());
    code.extend("__text\0\0\0\0\0\0\0\0\0\0__TEXT\0\0\0\0\0\0\0\0\0\0".bytes());
    code.extend([BASE + PAGE - CODE, CODE].map(u64::to_le_bytes).concat());
    let place = u32::try_from(PAGE - CODE).unwrap();
    code.extend([place, 2, 0, 0, 0x8000_0400, 0, 0, 0].map(u32::to_le_bytes).concat());
    let symbols = [2, 24, 0x4000, 0, 0x4000, 16].map(u32::to_le_bytes).concat();
    let mut entry = [0x8000_0028_u32, 24].map(u32::to_le_bytes).concat();
    entry.extend([PAGE - CODE, 0].map(u64::to_le_bytes).concat());
    let commands = [
        segment("__PAGEZERO", 0, BASE, 0, 0, 0),
        code,
        segment("__LINKEDIT", BASE + PAGE, PAGE, PAGE, 16, 1),
        symbols,
        entry,
    ];
    let body = commands.concat();
    let length = u32::try_from(body.len()).unwrap();
    let head = [0xfeed_facf, processor, 0, 2, 5, length, 0x85, 0].map(u32::to_le_bytes).concat();
    let mut bytes = [head, body].concat();
    bytes.resize(PAGE as usize + 16, 0);
    bytes
}

#[test]
fn the_bundle_and_the_image_are_signed_with_a_certificate_and_verified() {
    let Some(python) = python() else { return };
    let (shop, launchers) = shop();
    for (launcher, processor) in launchers.iter().zip([0x0100_000c, 0x0100_0007]) {
        fs::write(launcher, program(processor)).unwrap();
    }
    let settings = shop.world.path("publisher/kuzflow.toml");
    let before = fs::read_to_string(&settings).unwrap();
    let key = shop.world.path("key.pem");
    let command = [text(&python), "-c", SIGN, text(&key), "{file}"];
    fs::write(&settings, format!("{before}\n[sign]\nmacos = {command:?}\n")).unwrap();
    // One launcher, and both in a universal program.
    for (number, kind) in [(1, "arm64"), (PLATFORMS.len(), "universal")] {
        let made = package(&shop, &launchers[..number], "app,dmg", &[]);
        assert!(text(&made[0]).ends_with(&format!("{kind}.zip")));
        let place = shop.world.path(kind);
        let out = format!("-o{}", text(&place));
        if tool("7z", &["x", "-y", &out, text(&made[0])]).is_none() {
            return;
        }
        let bundle = place.join("示例 Sample.app");
        let program = bundle.join("Contents/MacOS/示例 Sample");
        let arguments = ["-c", VERIFY, text(&bundle), text(&program), text(&made[1])];
        let printed = tool(text(&python), &arguments).unwrap();
        let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(found["problems"], serde_json::json!([]), "{found}");
        assert_eq!(found["program"], "com.example.sample", "{found}");
        for part in ["has_certificate", "image", "resources"] {
            assert_eq!(found[part], true, "{kind} {part}: {found}");
        }
    }
}
