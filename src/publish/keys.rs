//! Signing keys: Ed25519, one PEM file each (PKCS#8, plain or encrypted with a password; `openssl
//! pkey` reads both).
//!
//! A file's name is `{role}-{first 8 digits of the key id}.pem`, so that only keys that are about
//! to sign are opened, and the user is asked for a password only then. Root and targets keys belong
//! on removable media: a [`Keyring`] searches several folders.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::Ed25519KeyPair;
use pkcs8::der::Document;
use pkcs8::der::pem::{LineEnding, PemLabel as _};
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo};
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::key::Key;
use tough::sign::Sign as _;

use super::error::{PublishError, at};
use super::role::KeyRole;
use crate::durable;
use crate::mutex;

/// Rounds of PBKDF2-HMAC-SHA256 between a password and the key that encrypts the signing key:
/// OWASP's figure of 2023.
const PASSWORD_ROUNDS: u32 = 600_000;

const NO_KEY: &str = "it is not an Ed25519 key; bring the right one with --keys DIR";
const NO_PEM: &str = "it is not a PEM file; bring the right one with --keys DIR";
const NO_PKCS8: &str = "it is not a PKCS#8 key; bring the right one with --keys DIR";
const OTHER_KEY: &str = "it is another key than its name says; bring the right one with --keys DIR";
const NEEDS_PASSWORD: &str =
    "it needs a password: type it, pipe it in, or set KUZFLOW_KEY_PASSWORD";
const WRONG_PASSWORD: &str =
    "the password is wrong (as it was typed, piped in, or set in KUZFLOW_KEY_PASSWORD)";

/// A password, which no log and no message shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// The folder of a role's keys, and whether they are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHome {
    pub folder: PathBuf,
    /// Whether they are encrypted.
    pub is_encrypted: bool,
}

/// A key that can sign.
#[derive(Clone, Debug)]
pub struct KeyPair {
    pair: Arc<Ed25519KeyPair>,
    id: Decoded<Hex>,
}

impl KeyPair {
    /// Generates a key from the system's randomness.
    pub fn generate() -> Result<Self, PublishError> {
        Ed25519KeyPair::generate().map_err(|error| crypto("make a key", error)).and_then(Self::new)
    }

    /// Reads a key file; `password` is called if it is encrypted.
    pub fn read(
        path: &Path,
        password: impl FnOnce() -> Option<String>,
    ) -> Result<Self, PublishError> {
        let text = std::fs::read_to_string(path).map_err(at(path))?;
        Self::from_pem(&text, password)
            .map_err(|reason| PublishError::Key { path: path.to_owned(), reason })
    }

    /// The key in the text of a key file; `password` is called if it is encrypted. An error is the
    /// reason why there is none.
    pub(super) fn from_pem(
        text: &str,
        password: impl FnOnce() -> Option<String>,
    ) -> Result<Self, &'static str> {
        let (label, document) = Document::from_pem(text).map_err(|_| NO_PEM)?;
        let document = document.into_secret();
        let plain = if label == EncryptedPrivateKeyInfo::PEM_LABEL {
            let encrypted =
                EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|_| NO_PKCS8)?;
            let password = password().ok_or(NEEDS_PASSWORD)?;
            encrypted.decrypt(password).map_err(|_| WRONG_PASSWORD)?
        } else {
            document
        };
        // Key files written here have no public key beside the private one; neither have openssl's.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(plain.as_bytes());
        Self::new(pair.map_err(|_| NO_KEY)?).map_err(|_| NO_KEY)
    }

    /// Writes a key file that only its owner can read, encrypted if there is a password. It never
    /// replaces another file.
    pub fn write(&self, path: &Path, password: Option<&str>) -> Result<(), PublishError> {
        let plain = self.pair.to_pkcs8v1().map_err(|error| crypto("write a key", error))?;
        let failed = |error: pkcs8::Error| crypto("write a key", error);
        let key = PrivateKeyInfo::try_from(plain.as_ref()).map_err(failed)?;
        let pem = match password {
            None => {
                let document = pkcs8::SecretDocument::encode_msg(&key)
                    .map_err(|error| failed(error.into()))?;
                document
                    .to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF)
                    .map_err(|error| failed(error.into()))?
            }
            Some(password) => {
                let (mut salt, mut vector) = ([0; 16], [0; 16]);
                let random = SystemRandom::new();
                random
                    .fill(&mut salt)
                    .and_then(|()| random.fill(&mut vector))
                    .map_err(|error| crypto("get random bytes", error))?;
                let parameters =
                    pbes2::Parameters::pbkdf2_sha256_aes256cbc(PASSWORD_ROUNDS, &salt, &vector)
                        .map_err(|error| crypto("encrypt a key", pkcs8::Error::from(error)))?;
                let document = key.encrypt_with_params(parameters, password).map_err(failed)?;
                document
                    .to_pem(EncryptedPrivateKeyInfo::PEM_LABEL, LineEnding::LF)
                    .map_err(|error| failed(error.into()))?
            }
        };
        write_secret(path, pem.as_bytes()).map_err(at(path))
    }

    /// The key's id in metadata.
    pub fn id(&self) -> &Decoded<Hex> {
        &self.id
    }

    /// The name of this key's file in a folder of keys.
    pub fn file_name(&self, role: KeyRole) -> String {
        file_name(role, &self.id)
    }

    pub(super) fn public(&self) -> Key {
        self.pair.tuf_key()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, PublishError> {
        let id = pair.tuf_key().key_id().map_err(|error| crypto("compute a key's id", error))?;
        Ok(Self { pair: Arc::new(pair), id })
    }
}

/// Asks for the password of a key file; `None` if nobody answers.
pub type AskPassword = Box<dyn Fn(&Path) -> Option<String> + Send + Sync>;

/// Folders with keys, and a source of passwords.
pub struct Keyring {
    folders: Vec<PathBuf>,
    ask: AskPassword,
    /// The keys that were read, if the keyring remembers them.
    read: Option<Mutex<BTreeMap<PathBuf, KeyPair>>>,
}

impl Keyring {
    /// A keyring of these folders, searched in this order. Without [`Keyring::with_passwords`]
    /// encrypted keys cannot be used.
    pub fn new(folders: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { folders: folders.into_iter().collect(), ask: Box::new(|_| None), read: None }
    }

    /// The same folders, with a source of passwords.
    #[must_use]
    pub fn with_passwords(
        self,
        ask: impl Fn(&Path) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { ask: Box::new(ask), ..self }
    }

    /// The same folders; the keyring reads each key once and asks for its password once. For a
    /// program that signs several times and then ends.
    #[must_use]
    pub fn remembering(self) -> Self {
        Self { read: Some(Mutex::default()), ..self }
    }

    fn read(&self, path: &Path) -> Result<KeyPair, PublishError> {
        let Some(read) = &self.read else { return KeyPair::read(path, || (self.ask)(path)) };
        // After a panic in another thread, the keys are still as they were read.
        let mut read = mutex::lock(read);
        if let Some(known) = read.get(path) {
            return Ok(known.clone());
        }
        let pair = KeyPair::read(path, || (self.ask)(path))?;
        read.insert(path.to_owned(), pair.clone());
        Ok(pair)
    }

    /// The keys of a role in these folders that have one of these ids, apart from those in `known`.
    pub(super) fn available(
        &self,
        role: KeyRole,
        ids: &[Decoded<Hex>],
        known: &[KeyPair],
    ) -> Result<Vec<KeyPair>, PublishError> {
        let mut found = Vec::new();
        for id in ids.iter().filter(|id| known.iter().all(|key| key.id() != *id)) {
            let name = file_name(role, id);
            let Some(path) = self
                .folders
                .iter()
                .map(|folder| folder.join(&name))
                .find(|path| path.try_exists().unwrap_or(true))
            else {
                continue;
            };
            let pair = self.read(&path)?;
            if pair.id() != id {
                return Err(PublishError::Key { path, reason: OTHER_KEY });
            }
            found.push(pair);
        }
        Ok(found)
    }

    /// The home of the keys with these ids; `None` if these folders have none of them. Encrypted
    /// keys need no password for this.
    pub(super) fn home(&self, role: KeyRole, ids: &[Decoded<Hex>]) -> Option<KeyHome> {
        let label = format!("-----BEGIN {}-----", EncryptedPrivateKeyInfo::PEM_LABEL);
        let is_encrypted =
            |path: &PathBuf| std::fs::read_to_string(path).is_ok_and(|text| text.contains(&label));
        let of = |id| {
            let name = file_name(role, id);
            self.folders
                .iter()
                .map(|folder| (folder.clone(), folder.join(&name)))
                .find(|(_, path)| path.try_exists().unwrap_or(true))
        };
        let found: Vec<(PathBuf, PathBuf)> = ids.iter().filter_map(of).collect();
        let (folder, _) = found.first()?.clone();
        Some(KeyHome { folder, is_encrypted: found.iter().any(|(_, path)| is_encrypted(path)) })
    }

    pub(super) fn missing(
        &self,
        role: KeyRole,
        ids: &[Decoded<Hex>],
        needed: u64,
        found: usize,
    ) -> PublishError {
        let files = ids.iter().map(|id| file_name(role, id)).collect();
        PublishError::MissingKeys { role, needed, found, files, folders: self.folders.clone() }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("folders", &self.folders).finish_non_exhaustive()
    }
}

fn file_name(role: KeyRole, id: &Decoded<Hex>) -> String {
    let digits: String = id.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{role}-{digits}.pem")
}

fn write_secret(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(path)?;
    opened.write_all(bytes)?;
    opened.sync_all()?;
    path.parent().map_or(Ok(()), durable::sync_folder)
}

pub(super) fn crypto(what: &'static str, error: impl Into<super::error::Cause>) -> PublishError {
    PublishError::Crypto { what, source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_plain_and_encrypted() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        for password in [None, Some("a pass word, 口令")] {
            let path =
                folder.path().join(if password.is_some() { "encrypted.pem" } else { "plain.pem" });
            key.write(&path, password).unwrap();
            let again = KeyPair::read(&path, || password.map(str::to_owned)).unwrap();
            assert_eq!(again.id(), key.id());
            assert_eq!(again.sign(b"message"), key.sign(b"message"));
            assert!(key.write(&path, password).is_err(), "a key must never be overwritten");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
        let encrypted = folder.path().join("encrypted.pem");
        let reason = |password: Option<&str>| {
            KeyPair::read(&encrypted, || password.map(str::to_owned)).unwrap_err().to_string()
        };
        assert!(reason(Some("wrong")).contains("the password is wrong"));
        assert!(reason(None).contains("needs a password"));
    }

    #[test]
    fn a_password_is_asked_for_once_by_a_keyring_that_remembers() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        key.write(&folder.path().join(key.file_name(KeyRole::Targets)), Some("password")).unwrap();
        for (remembers, expected) in [(false, 3), (true, 1)] {
            let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let count = asked.clone();
            let keyring = Keyring::new([folder.path().to_owned()]).with_passwords(move |_| {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Some("password".to_owned())
            });
            let keyring = if remembers { keyring.remembering() } else { keyring };
            for _ in 0..3 {
                let found = keyring
                    .available(KeyRole::Targets, std::slice::from_ref(key.id()), &[])
                    .unwrap();
                assert_eq!(found.first().map(KeyPair::id), Some(key.id()));
            }
            assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), expected);
        }
    }

    #[test]
    fn what_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "hello").unwrap();
        assert!(KeyPair::read(&path, || None).unwrap_err().to_string().contains("not a PEM file"));
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")
            .unwrap();
        assert!(
            KeyPair::read(&path, || None).unwrap_err().to_string().contains("not an Ed25519 key")
        );
    }

    /// The folder of `--keys DIR` comes before the publisher's own, so the advice holds.
    #[test]
    fn a_key_that_is_not_the_right_one_names_the_way_to_bring_that() {
        let [own, media] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [key, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
        let name = key.file_name(KeyRole::Targets);
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let available = |folders: &[&tempfile::TempDir]| {
            let keyring = Keyring::new(folders.iter().map(|folder| folder.path().to_owned()));
            keyring.available(KeyRole::Targets, std::slice::from_ref(key.id()), &[])
        };
        for text in ["hello", encrypted, &encrypted.replace("ENCRYPTED ", ""), ""] {
            let path = own.path().join(&name);
            if text.is_empty() {
                std::fs::remove_file(&path).unwrap();
                other.write(&path, None).unwrap();
            } else {
                std::fs::write(&path, text).unwrap();
            }
            let reported = available(&[&own]).unwrap_err().to_string();
            let helps = reported.contains(&name) && reported.contains("--keys DIR");
            assert!(helps, "{text}: {reported}");
        }
        key.write(&media.path().join(&name), None).unwrap();
        assert_eq!(available(&[&media, &own]).unwrap()[0].id(), key.id());
    }
}
