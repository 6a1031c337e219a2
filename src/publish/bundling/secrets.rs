//! Finds private keys among the files of an app: what is packed goes to every user.
//!
//! In: files of the app. Out: which of them are keys that `kuzflow` signs with, and which hold
//! another private key. Never: reads a large file.

use std::io;
use std::path::Path;

use super::copy;
use crate::file_error::FileError;
use crate::look;
use crate::publish::role::KeyRole;

/// Largest file that is looked into, bytes: a key is a short text.
pub(in crate::publish) const MAX_KEY_BYTES: u64 = 16 << 10;
/// Hexadecimal digits of a key's id in the name of its file.
const ID_DIGITS: usize = 8;

/// Whether the file is a key that `kuzflow` made to sign with. No app needs it, and whoever has it
/// can sign in the publisher's name.
pub(super) fn is_signing_key(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    is_key_name(name) && holds_private_key(path)
}

pub(in crate::publish) fn is_key_name(name: &str) -> bool {
    let id = KeyRole::ALL.iter().find_map(|role| name.strip_prefix(&format!("{role}-")));
    let id = id.and_then(|rest| rest.strip_suffix(".pem"));
    id.is_some_and(|id| id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether the file holds a private key in the form that OpenSSL, OpenSSH and `kuzflow` write. A
/// file that cannot be read may hold one.
fn holds_private_key(path: &Path) -> bool {
    match look::read(path, MAX_KEY_BYTES) {
        Ok(bytes) => bytes.is_some_and(|bytes| is_private_key(&bytes)),
        Err(error) => {
            !matches!(error.kind(), io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput)
        }
    }
}

pub(in crate::publish) fn is_private_key(bytes: &[u8]) -> bool {
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    holds(b"-----BEGIN ") && holds(b"PRIVATE KEY-----")
}

/// A warning for each private key that the app brings along. Dependencies and the runtime are other
/// people's work: what they publish is no secret.
pub(super) fn warnings(tree: &Path) -> Result<Vec<String>, FileError> {
    let mut found = Vec::new();
    for folder in ["app", "config", "scripts"] {
        for entry in walkdir::WalkDir::new(tree.join(folder)).sort_by_file_name() {
            let entry = entry.map_err(|error| copy::walk_error(tree, error))?;
            if entry.file_type().is_file() && holds_private_key(entry.path()) {
                let path = entry.path().strip_prefix(tree).unwrap_or(entry.path());
                found.push(format!(
                    "{} is a private key, which every user gets; leave it out with `exclude`",
                    path.display()
                ));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(unix)]
    use crate::publish::bundling::{BuildRequest, Runtime, build};

    #[test]
    #[cfg(unix)]
    fn a_package_has_no_signing_key_and_other_private_keys_are_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path().join("app");
        let key = "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n";
        for (path, text) in [
            ("run", "#!/bin/sh\n"),
            ("offline-keys/root-0a1b2c3d.pem", key),
            ("targets-12345678.pem", key),
            ("secrets/id.pem", key),
            ("certificates/root-0a1b2c3d.pem", "-----BEGIN CERTIFICATE-----\n"),
        ] {
            let path = app.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let version = crate::model::Version::new(1, 0, 0);
        let name = "sample".parse().unwrap();
        let mut request = BuildRequest::new(&app, name, version, "exe:run".parse().unwrap());
        request.runtime = Runtime::None;
        let built = build(&request, folder.path(), &|_| ()).unwrap();
        let files = built.package.manifest.file_manifest.keys();
        let packed: Vec<&str> =
            files.map(|path| path.as_str()).filter(|path| path.ends_with(".pem")).collect();
        assert_eq!(packed, ["app/certificates/root-0a1b2c3d.pem", "app/secrets/id.pem"]);
        let warnings = built.report.warnings.join("\n");
        for named in ["root-0a1b2c3d.pem is left out", "targets-12345678.pem is left out", "id.pem"]
        {
            assert!(warnings.contains(named), "{named}: {warnings}");
        }
    }

    #[test]
    fn keys_are_known_by_name_and_text() {
        for name in ["root-0a1b2c3d.pem", "targets-FFFFFFFF.pem", "timestamp-00000000.pem"] {
            assert!(is_key_name(name), "{name}");
        }
        for name in ["root.pem", "root-0a1b2c3.pem", "leaf-0a1b2c3d.pem", "root-0a1b2c3d.txt"] {
            assert!(!is_key_name(name), "{name}");
        }
        for text in [
            "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
            "text before\n-----BEGIN OPENSSH PRIVATE KEY-----\n",
        ] {
            assert!(is_private_key(text.as_bytes()), "{text}");
        }
        for text in ["-----BEGIN CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", ""] {
            assert!(!is_private_key(text.as_bytes()), "{text}");
        }
    }
}
