//! Who has signed a program of Windows (Authenticode), so that a launcher with a signature is
//! exchanged only for one of the same publisher.
//!
//! In: a program's bytes. Out: its signer. Never: a proof of the certificate; signed metadata proves
//! the bytes, and Windows judges the certificate. Without this check one build that went out
//! unsigned would take the signature from every computer, and Windows would warn of the app.

use sha2::{Sha256, Sha384, Sha512};

use super::der::{Element, Elements, IDENTIFIER, INTEGER, OCTETS, PART_0, PART_1, SEQUENCE, SET};

/// The entry of the data directory that leads to the signatures.
const SIGNATURE_DIRECTORY: usize = 4;
/// Where data directories begin in the optional header of 32-bit and of 64-bit programs.
const DIRECTORIES: [(u16, usize); 2] = [(0x10b, 96), (0x20b, 112)];
/// Where the checksum stands in it.
const CHECKSUM: usize = 64;
/// The kind of a signature that is one of PKCS #7.
const SIGNED_DATA: u16 = 2;

/// The publisher of a program, as its certificate has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signer {
    /// The attributes of the subject: what each is, and its text, however it is encoded.
    subject: Vec<(Vec<u8>, Vec<u8>)>,
    /// The public key.
    key: Vec<u8>,
}

/// What a program says of its signer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Signature {
    /// It has no signature, or is no program of Windows.
    None,
    /// It has one that cannot be read, or that is not of these bytes.
    Broken,
    By(Signer),
}

impl Signer {
    /// Whether both are the same publisher. A renewed certificate has the same subject; one for a
    /// new name of the publisher may have the same key.
    fn is_same(&self, other: &Self) -> bool {
        self.subject == other.subject || self.key == other.key
    }

    /// The publisher for people: the name, then what else the certificate says.
    fn name(&self) -> String {
        let texts = self.subject.iter().map(|(_, text)| String::from_utf8_lossy(text));
        texts.collect::<Vec<_>>().join(", ")
    }
}

/// Why a program may not take the place of a signed one: who has signed that one, and what is
/// wrong with the new one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the launcher before it is signed by {expected:?}; in the new one {found}")]
pub(crate) struct OtherPublisher {
    expected: String,
    found: String,
}

/// Whether `new` may take the place of `old`.
///
/// # Errors
/// [`OtherPublisher`] if `old` has a signature, and `new` has none of the same publisher.
pub(crate) fn check(old: &[u8], new: &[u8]) -> Result<(), OtherPublisher> {
    // A signature of this launcher that cannot be read must not keep it from being updated.
    let Signature::By(expected) = signature(old) else { return Ok(()) };
    let refuse = |found: String| Err(OtherPublisher { expected: expected.name(), found });
    match signature(new) {
        Signature::By(found) if expected.is_same(&found) => Ok(()),
        Signature::By(found) => refuse(format!("the signer is {:?}", found.name())),
        Signature::None => refuse("there is no signature".to_owned()),
        Signature::Broken => refuse("the signature is broken".to_owned()),
    }
}

/// The signature of a program.
fn signature(program: &[u8]) -> Signature {
    let Some(parts) = Parts::of(program) else { return Signature::None };
    if parts.table.is_empty() {
        return Signature::None;
    }
    let found = signed_data(parts.table).and_then(read_signed_data);
    match found {
        Some(found) if parts.has_digest(found.digest) => Signature::By(found.signer),
        _ => Signature::Broken,
    }
}

/// The parts of a program, as its signature covers them.
struct Parts<'a> {
    /// What is signed: all but the checksum, the entry of the signatures, and these.
    signed: [&'a [u8]; 4],
    /// The table of the signatures.
    table: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` if it is no program of Windows. A table that lies beyond the end is one that cannot
    /// be read.
    fn of(program: &'a [u8]) -> Option<Self> {
        if program.get(..2) != Some(b"MZ") {
            return None;
        }
        let begin = number(program, 0x3c)?;
        if program.get(begin..begin.checked_add(4)?) != Some(b"PE\0\0") {
            return None;
        }
        let optional = begin + 24;
        let kind = short(program, optional)?;
        let directories = DIRECTORIES.iter().find(|(found, _)| *found == kind)?.1;
        let entry = optional + directories + SIGNATURE_DIRECTORY * 8;
        let checksum = optional + CHECKSUM;
        if number(program, optional + directories - 4)? <= SIGNATURE_DIRECTORY {
            return None;
        }
        let (at, length) = (number(program, entry)?, number(program, entry + 4)?);
        let at = if length == 0 { program.len() } else { at.min(program.len()) };
        let end = at.saturating_add(length).min(program.len());
        let signed = [
            program.get(..checksum)?,
            program.get(checksum + 4..entry)?,
            program.get(entry + 8..at)?,
            &program[end..],
        ];
        // Of a length that is not there, one byte remains, which is no signature.
        let table = if length > 0 && at == end { &program[..1] } else { &program[at..end] };
        Some(Self { signed, table })
    }

    fn has_digest(&self, digest: &[u8]) -> bool {
        match digest.len() {
            32 => self.hash::<Sha256>() == digest,
            48 => self.hash::<Sha384>() == digest,
            64 => self.hash::<Sha512>() == digest,
            // SHA-1 and older ones prove nothing any more.
            _ => false,
        }
    }

    fn hash<D: sha2::Digest>(&self) -> Vec<u8> {
        let mut hasher = D::new();
        for part in self.signed {
            hasher.update(part);
        }
        hasher.finalize().to_vec()
    }
}

/// The first signature of a table that is one of PKCS #7.
fn signed_data(mut table: &[u8]) -> Option<&[u8]> {
    loop {
        let length = number(table, 0)?;
        let (kind, signature) = (short(table, 6)?, table.get(8..length)?);
        if usize::from(kind) == usize::from(SIGNED_DATA) {
            return Some(signature);
        }
        table = table.get(length.next_multiple_of(8)..)?;
    }
}

/// What a signature says.
struct SignedData<'a> {
    signer: Signer,
    /// The digest of the program.
    digest: &'a [u8],
}

/// Reads a signature of PKCS #7: the certificate of its signer, and the digest that it signs.
fn read_signed_data(bytes: &[u8]) -> Option<SignedData<'_>> {
    let mut outer = Elements(bytes).within(SEQUENCE)?;
    outer.content(IDENTIFIER)?;
    let mut data = outer.within(PART_0)?.within(SEQUENCE)?;
    data.content(INTEGER)?;
    data.content(SET)?;
    let mut signed = data.within(SEQUENCE)?;
    signed.content(IDENTIFIER)?;
    let mut about = signed.within(PART_0)?.within(SEQUENCE)?;
    about.content(SEQUENCE)?;
    let mut digest = about.within(SEQUENCE)?;
    digest.content(SEQUENCE)?;
    let digest = digest.content(OCTETS)?;
    let certificates = data.within(PART_0)?;
    data.skip_part(PART_1);
    let mut signer = data.within(SET)?.within(SEQUENCE)?;
    signer.content(INTEGER)?;
    let mut named = signer.within(SEQUENCE)?;
    let wanted = (named.content(SEQUENCE)?, named.content(INTEGER)?);
    let signer = certificates
        .filter_map(Certificate::read)
        .find(|certificate| (certificate.issuer, certificate.serial) == wanted)?;
    Some(SignedData { signer: signer.signer()?, digest })
}

/// The parts of a certificate (X.509) that say whose it is.
struct Certificate<'a> {
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    key: &'a [u8],
}

impl<'a> Certificate<'a> {
    fn read(element: Element<'a>) -> Option<Self> {
        let mut fields = Elements(element.content).within(SEQUENCE)?;
        fields.skip_part(PART_0);
        let serial = fields.content(INTEGER)?;
        fields.content(SEQUENCE)?;
        let issuer = fields.content(SEQUENCE)?;
        fields.content(SEQUENCE)?;
        let (subject, key) = (fields.content(SEQUENCE)?, fields.content(SEQUENCE)?);
        Some(Self { serial, issuer, subject, key })
    }

    fn signer(&self) -> Option<Signer> {
        let mut subject = Vec::new();
        for set in Elements(self.subject) {
            for attribute in Elements(set.content) {
                let mut attribute = Elements(attribute.content);
                let kind = attribute.content(IDENTIFIER)?;
                subject.push((kind.to_vec(), attribute.next()?.content.to_vec()));
            }
        }
        // The order of their kinds, in which the common name is the first.
        subject.sort();
        (!subject.is_empty()).then(|| Signer { subject, key: self.key.to_vec() })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests;
