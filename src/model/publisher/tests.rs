//! Tests with programs of mingw-w64 that osslsigncode has signed with certificates of openssl.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::*;

/// A folder with programs, keys and certificates.
pub(crate) struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    /// `None` if a tool is missing, which is said.
    pub(crate) fn new() -> Option<Self> {
        for tool in ["x86_64-w64-mingw32-gcc", "openssl", "osslsigncode"] {
            if let Err(error) = Command::new(tool).arg("--version").output() {
                eprintln!("not tested: {tool}: {error}");
                return None;
            }
        }
        Some(Self { folder: tempfile::tempdir().unwrap() })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, line: &str, more: &[&str]) {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(more).current_dir(self.folder.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A program that ends with this status.
    pub(crate) fn program(&self, status: u8) -> Vec<u8> {
        let source = self.path("source.c");
        fs::write(source, format!("int start(void) {{ return {status}; }}")).unwrap();
        self.run("x86_64-w64-mingw32-gcc -nostdlib -s -Wl,-e,start -o program.exe source.c", &[]);
        fs::read(self.path("program.exe")).unwrap()
    }

    /// A certificate for a new key, or for one that is there.
    pub(crate) fn certify(&self, name: &str, key: &str, subject: &str) {
        let key_path = self.path(key);
        if !key_path.exists() {
            self.run("openssl genrsa -out", &[key, "2048"]);
        }
        let options = ["-out", name, "-key", key, "-subj", subject, "-days", "2"];
        self.run("openssl req -x509 -new -utf8 -addext extendedKeyUsage=codeSigning", &options);
    }

    pub(crate) fn signed(
        &self,
        program: &[u8],
        certificate: &str,
        key: &str,
        digest: &str,
    ) -> Vec<u8> {
        fs::write(self.path("unsigned.exe"), program).unwrap();
        let _ = fs::remove_file(self.path("signed.exe"));
        let options = ["-certs", certificate, "-key", key, "-h", digest];
        self.run("osslsigncode sign -in unsigned.exe -out signed.exe", &options);
        fs::read(self.path("signed.exe")).unwrap()
    }
}

pub(crate) const EXAMPLE: &str = "/C=DE/O=Example 示例 Ltd/CN=Example Launcher";
pub(crate) const SIGNER: &str = "Example Launcher, DE, Example 示例 Ltd";

#[test]
fn a_signed_program_is_replaced_only_by_one_of_the_same_publisher() {
    let Some(workshop) = Workshop::new() else { return };
    let (old, new) = (workshop.program(1), workshop.program(2));
    workshop.certify("first", "key", EXAMPLE);
    workshop.certify("renewed", "other key", EXAMPLE);
    workshop.certify("new name", "key", "/O=Renamed/CN=Renamed");
    workshop.certify("stranger", "third key", "/C=DE/O=Example 示例 Ltd/CN=Somebody else");
    let sign =
        |program: &[u8], certificate, key| workshop.signed(program, certificate, key, "sha256");
    let signed = sign(&old, "first", "key");
    let Signature::By(signer) = signature(&signed) else { panic!("{:?}", signature(&signed)) };
    assert_eq!(signer.name(), SIGNER);

    assert_eq!(check(&old, &new), Ok(()), "none of both");
    assert_eq!(check(&old, &signed), Ok(()), "a signature is new");
    assert_eq!(check(&signed, &sign(&new, "first", "key")), Ok(()));
    assert_eq!(check(&signed, &sign(&new, "renewed", "other key")), Ok(()), "the same subject");
    assert_eq!(check(&signed, &sign(&new, "new name", "key")), Ok(()), "the same key");
    for digest in ["sha384", "sha512"] {
        let other = workshop.signed(&new, "first", "key", digest);
        assert_eq!(check(&signed, &other), Ok(()), "{digest}");
    }
    let refused = |new: &[u8]| {
        let refused = check(&signed, new).unwrap_err();
        assert_eq!(refused.expected, SIGNER);
        refused.found
    };
    assert_eq!(refused(&new), "there is no signature");
    assert_eq!(refused(b"#!/bin/sh\n"), "there is no signature");
    let stranger = refused(&sign(&new, "stranger", "third key"));
    assert_eq!(stranger, "the signer is \"Somebody else, DE, Example 示例 Ltd\"");
}

#[test]
fn a_signature_that_is_not_of_these_bytes_counts_for_nothing() {
    let Some(workshop) = Workshop::new() else { return };
    workshop.certify("first", "key", EXAMPLE);
    let signed = workshop.signed(&workshop.program(1), "first", "key", "sha256");
    let table = Parts::of(&signed).unwrap().table;
    let at = signed.len() - table.len();
    // Any byte of the program but its checksum and the place of the signature.
    for changed in [0x40, 0x200, at - 1] {
        let mut other = signed.clone();
        other[changed] ^= 1;
        assert_eq!(signature(&other), Signature::Broken, "{changed:#x}");
    }
    // The signature of another program.
    let other = workshop.signed(&workshop.program(2), "first", "key", "sha256");
    let taken: Vec<u8> = other[..at].iter().chain(table).copied().collect();
    assert_eq!(signature(&taken), Signature::Broken);
    // One that is cut, however much of it is left.
    for left in (at..signed.len()).step_by(37) {
        assert_eq!(signature(&signed[..left]), Signature::Broken, "{left}");
    }
    // What is damaged in it is no reason to panic, and never another publisher.
    let right = signature(&signed);
    for changed in (at..signed.len()).step_by(11) {
        let mut damaged = signed.clone();
        damaged[changed] = damaged[changed].wrapping_add(128);
        let found = signature(&damaged);
        let is_same = |signer: &Signer| matches!(&right, Signature::By(by) if by.is_same(signer));
        assert!(!matches!(&found, Signature::By(signer) if !is_same(signer)), "{changed}");
    }
    // A launcher whose own signature is broken can still be updated.
    assert_eq!(check(&taken, &workshop.program(3)), Ok(()));
}
