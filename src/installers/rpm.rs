//! `.rpm`: a lead, a header of digests, a header of what is said of the package and its files, and
//! a cpio archive packed with xz.
//!
//! In: what is installed, and what is said of it. Out: a package without scripts, as rpm 4.14 and later read it.
//! Never: a signature: `rpmsign` adds one afterwards.

use std::io::{self, Read, Seek, SeekFrom, Write};

use lzma_rust2::{XzOptions, XzWriter};

use super::deb::XZ_PRESET;
use super::error::InstallerError;
use super::format::{rpm_architecture, tilde};
use super::hashed::HashedWriter;
use super::linux_texts::synopsis;
use super::linux_tree::{LinuxPackage, Tree, TreeItem, own_folders};
use super::product::Product;
use super::rpm_header::{Header, HeaderValue};
use crate::model::Digest;

/// Lines of the index that span a whole header: of the digests, of the package.
const SIGNATURE_REGION: u32 = 62;
const PACKAGE_REGION: u32 = 63;
/// The algorithm of all digests: SHA-256.
const SHA256: u32 = 8;
/// Features of rpm that this package needs, and the version that brought each.
const NEEDED_FEATURES: [(&str, &str); 4] = [
    ("rpmlib(CompressedFileNames)", "3.0.4-1"),
    ("rpmlib(FileDigests)", "4.6.0-1"),
    ("rpmlib(PayloadFilesHavePrefix)", "4.0-1"),
    ("rpmlib(PayloadIsXz)", "5.2-1"),
];
/// A version with `~` needs one more.
const TILDE_FEATURE: (&str, &str) = ("rpmlib(TildeInVersions)", "4.10.0-1");
/// `rpmlib`, less, equal.
const FEATURE_FLAGS: u32 = 0x0100_000a;
/// Equal.
const PROVIDE_FLAGS: u32 = 8;
/// The build of this version of the app.
const BUILD: &str = "1";
/// The format counts a file's and the package's bytes with 32 bits.
const MAX_BYTES: u64 = u32::MAX as u64;

/// A place of the package, as the header lists it.
struct RpmFile<'a> {
    path: &'a str,
    item: &'a TreeItem,
    mode: u16,
    length: u32,
    digest: String,
}

/// Writes the package.
pub(super) fn write(
    package: &LinuxPackage<'_>,
    out: &mut (impl Write + Seek),
) -> Result<(), InstallerError> {
    let files = files(package.product, &package.tree)?;
    let start = out.stream_position()?;
    out.write_all(&lead(package))?;
    // The headers say the digest of the archive behind them, so they are written twice: first to
    // make room, then with the digest, which has the same length.
    let room = headers(package, &files, &Archive::empty())?;
    out.write_all(&room)?;
    let archive = write_archive(package.product, &files, out)?;
    let end = out.stream_position()?;
    let headers = headers(package, &files, &archive)?;
    out.seek(SeekFrom::Start(start + LEAD_BYTES as u64))?;
    out.write_all(&headers)?;
    out.seek(SeekFrom::Start(end))?;
    Ok(())
}

/// What the headers say of the archive.
struct Archive {
    digest: Digest,
    unpacked_digest: Digest,
    unpacked: u64,
    packed: u64,
}

impl Archive {
    /// An archive that is not written yet.
    fn empty() -> Self {
        let digest = Digest::of(b"");
        Self { digest, unpacked_digest: digest, unpacked: 0, packed: 0 }
    }
}

fn files<'a>(product: &Product, tree: &'a Tree) -> Result<Vec<RpmFile<'a>>, InstallerError> {
    let own = own_folders(product);
    let mut files = Vec::new();
    for (path, item) in tree {
        let file = |mode, length, digest| RpmFile { path, item, mode, length, digest };
        files.push(match item {
            TreeItem::Folder if !own.contains(path) => continue,
            TreeItem::Folder => file(0o040_755, 0, String::new()),
            TreeItem::Link { target } => {
                file(0o120_777, u32::try_from(target.len()).unwrap_or(0), String::new())
            }
            TreeItem::File { mode, content } => {
                let length = checked(content.length()?)?;
                let digest = digest_of(&mut content.open()?)?;
                file(0o100_000 | u16::try_from(*mode).unwrap_or(0o644), length, digest.to_string())
            }
        });
    }
    Ok(files)
}

fn checked(length: u64) -> Result<u32, InstallerError> {
    u32::try_from(length).map_err(|_| InstallerError::TooLarge {
        format: "rpm",
        reason: format!("{length} bytes, at most {MAX_BYTES} can be said"),
    })
}

fn digest_of(content: &mut dyn Read) -> Result<Digest, InstallerError> {
    let mut hashed = HashedWriter::new(io::sink());
    io::copy(content, &mut hashed)?;
    Ok(hashed.finish().1)
}

const LEAD_BYTES: usize = 96;

/// The first bytes, by which other programs know the file. rpm itself reads the header.
fn lead(package: &LinuxPackage<'_>) -> [u8; LEAD_BYTES] {
    let LinuxPackage { product, platform, .. } = package;
    let mut lead = [0; LEAD_BYTES];
    lead[..8].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb, 3, 0, 0, 0]);
    let architecture: u16 = match rpm_architecture(platform) {
        "aarch64" => 19,
        "armv7hl" => 12,
        _ => 1,
    };
    lead[8..10].copy_from_slice(&architecture.to_be_bytes());
    let name = format!("{}-{}-{BUILD}", product.package_name(), tilde(product));
    for (place, byte) in lead[10..75].iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    lead[76..80].copy_from_slice(&[0, 1, 0, 5]); // Linux; digests and signatures in a header
    lead
}

fn headers(
    package: &LinuxPackage<'_>,
    files: &[RpmFile<'_>],
    archive: &Archive,
) -> Result<Vec<u8>, InstallerError> {
    let package = package_header(package, files, archive)?.to_bytes(PACKAGE_REGION);
    let mut signature = Header::default();
    signature.text(273, Digest::of(&package).to_string());
    signature.number(1000, checked(package.len() as u64 + archive.packed)?);
    signature.number(1007, checked(archive.unpacked)?);
    let mut bytes = signature.to_bytes(SIGNATURE_REGION);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend(package);
    Ok(bytes)
}

fn package_header(
    package: &LinuxPackage<'_>,
    files: &[RpmFile<'_>],
    archive: &Archive,
) -> Result<Header, InstallerError> {
    let LinuxPackage { product, platform, description, .. } = package;
    let mut header = Header::default();
    let version = tilde(product);
    header.set(100, HeaderValue::Texts(vec!["C".to_owned()]));
    header.text(1000, product.package_name());
    header.text(1001, version.clone());
    header.text(1002, BUILD);
    header.set(1004, HeaderValue::Translated(synopsis(product)));
    header.set(1005, HeaderValue::Translated(description.clone()));
    header.number(1006, checked(product.seconds())?);
    header.text(1007, "localhost");
    let installed: u64 = files.iter().map(|file| u64::from(file.length)).sum();
    header.number(1009, checked(installed)?);
    header.text(1011, product.publisher.name.clone());
    header.text(1014, product.license.clone());
    header.set(1016, HeaderValue::Translated("Unspecified".to_owned()));
    if let Some(homepage) = &product.homepage {
        header.text(1020, homepage.as_str());
    }
    header.text(1021, "linux");
    header.text(1022, rpm_architecture(platform));
    header.text(1044, format!("{}-{version}-{BUILD}.src.rpm", product.package_name()));
    header.text(1064, "4.18.0");
    header.text(1124, "cpio");
    header.text(1125, "xz");
    header.text(1126, XZ_PRESET.to_string());
    header.text(5062, "utf-8");
    header.set(5092, HeaderValue::Texts(vec![archive.digest.to_string()]));
    header.number(5093, SHA256);
    header.set(5097, HeaderValue::Texts(vec![archive.unpacked_digest.to_string()]));
    relations(package, &version, &mut header);
    list(product, files, &mut header)?;
    Ok(header)
}

/// What the package provides and needs.
fn relations(package: &LinuxPackage<'_>, version: &str, header: &mut Header) {
    header.set(1047, HeaderValue::Texts(vec![package.product.package_name()]));
    header.set(1112, HeaderValue::Int32(vec![PROVIDE_FLAGS]));
    header.set(1113, HeaderValue::Texts(vec![format!("{version}-{BUILD}")]));
    let needs = &package.needs;
    let suffix = if needs.is_64_bit { "()(64bit)" } else { "" };
    let library = needs.c_library.map(|(major, minor)| {
        let bits = if needs.is_64_bit { "(64bit)" } else { "" };
        format!("libc.so.6(GLIBC_{major}.{minor}){bits}")
    });
    let unwinder = needs.unwinder.then(|| format!("libgcc_s.so.1{suffix}"));
    let tilde = version.contains('~').then_some(TILDE_FEATURE);
    let features = NEEDED_FEATURES.into_iter().chain(tilde);
    let features =
        features.map(|(name, version)| (name.to_owned(), FEATURE_FLAGS, version.to_owned()));
    // Whom an address of a server belongs to is proved by the system's certificates.
    let certificates = "ca-certificates".to_owned();
    let libraries = library
        .into_iter()
        .chain(unwinder)
        .chain([certificates])
        .map(|name| (name, 0, String::new()));
    let mut all: Vec<(String, u32, String)> = libraries.chain(features).collect();
    all.sort();
    header.set(1049, HeaderValue::Texts(all.iter().map(|need| need.0.clone()).collect()));
    header.set(1048, HeaderValue::Int32(all.iter().map(|need| need.1).collect()));
    header.set(1050, HeaderValue::Texts(all.iter().map(|need| need.2.clone()).collect()));
}

/// The list of files: one array for each property.
fn list(
    product: &Product,
    files: &[RpmFile<'_>],
    header: &mut Header,
) -> Result<(), InstallerError> {
    let mut folders: Vec<String> = files.iter().map(|file| folder_of(file.path)).collect();
    folders.sort();
    folders.dedup();
    let folder_index = |file: &RpmFile<'_>| {
        let at = folders.binary_search(&folder_of(file.path)).unwrap_or(0);
        u32::try_from(at).unwrap_or(0)
    };
    let base = |file: &RpmFile<'_>| file.path.rsplit('/').next().unwrap_or_default().to_owned();
    let texts =
        |of: &dyn Fn(&RpmFile<'_>) -> String| HeaderValue::Texts(files.iter().map(of).collect());
    let numbers =
        |of: &dyn Fn(&RpmFile<'_>) -> u32| HeaderValue::Int32(files.iter().map(of).collect());
    let shorts =
        |of: &dyn Fn(&RpmFile<'_>) -> u16| HeaderValue::Int16(files.iter().map(of).collect());
    let link = |file: &RpmFile<'_>| match file.item {
        TreeItem::Link { target } => target.clone(),
        _ => String::new(),
    };
    let is_document = |file: &RpmFile<'_>| {
        let documents = ["usr/share/doc/", "usr/share/man/"];
        documents.iter().any(|folder| file.path.starts_with(folder))
            && matches!(file.item, TreeItem::File { .. })
    };
    let time = checked(product.seconds())?;
    header.set(1028, numbers(&|file| file.length));
    header.set(1030, shorts(&|file| file.mode));
    header.set(1033, shorts(&|_| 0));
    header.set(1034, numbers(&|_| time));
    header.set(1035, texts(&|file| file.digest.clone()));
    header.set(1036, texts(&link));
    header.set(1037, numbers(&|file| if is_document(file) { 2 } else { 0 }));
    header.set(1039, texts(&|_| "root".to_owned()));
    header.set(1040, texts(&|_| "root".to_owned()));
    header.set(1045, numbers(&|_| u32::MAX));
    header.set(1095, numbers(&|_| 1));
    let inodes = (1..).take(files.len()).collect();
    header.set(1096, HeaderValue::Int32(inodes));
    header.set(1097, texts(&|_| String::new()));
    header.set(1116, numbers(&folder_index));
    header.set(1117, texts(&base));
    header.set(1118, HeaderValue::Texts(folders.clone()));
    header.number(5011, SHA256);
    Ok(())
}

/// The folder of a place, with a slash at both ends.
fn folder_of(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) => format!("/{folder}/"),
        None => "/".to_owned(),
    }
}

/// Writes the files as a packed cpio archive.
fn write_archive(
    product: &Product,
    files: &[RpmFile<'_>],
    out: &mut impl Write,
) -> Result<Archive, InstallerError> {
    let packer = XzWriter::new(HashedWriter::new(out), XzOptions::with_preset(XZ_PRESET))?;
    let mut cpio = HashedWriter::new(packer);
    for (inode, file) in (1..).zip(files) {
        let head =
            CpioHead { inode, mode: file.mode, time: product.seconds(), length: file.length };
        head.write(&format!("./{}", file.path), &mut cpio)?;
        match file.item {
            TreeItem::Folder => {}
            TreeItem::Link { target } => cpio.write_all(target.as_bytes())?,
            TreeItem::File { content, .. } => {
                let mut source = content.open()?.take(u64::from(file.length));
                io::copy(&mut source, &mut cpio)?;
            }
        }
        pad(&mut cpio)?;
    }
    CpioHead { inode: 0, mode: 0, time: 0, length: 0 }.write("TRAILER!!!", &mut cpio)?;
    let (packer, unpacked_digest, unpacked) = cpio.finish();
    let (_, digest, packed) = packer.finish()?.finish();
    Ok(Archive { digest, unpacked_digest, unpacked, packed })
}

/// What stands before a file in a cpio archive ("new ASCII format").
struct CpioHead {
    inode: u32,
    mode: u16,
    time: u64,
    length: u32,
}

impl CpioHead {
    fn write(&self, name: &str, out: &mut HashedWriter<impl Write>) -> io::Result<()> {
        let Self { inode, mode, time, length } = self;
        let name_length = name.len() + 1;
        write!(
            out,
            "070701{inode:08x}{mode:08x}{:08x}{:08x}{:08x}{time:08x}{length:08x}{:08x}{:08x}{:08x}{:08x}{name_length:08x}{:08x}{name}\0",
            0, 0, 1, 0, 0, 0, 0, 0
        )?;
        pad(out)
    }
}

/// Zero bytes up to a multiple of four.
fn pad(out: &mut HashedWriter<impl Write>) -> io::Result<()> {
    let missing = out.length().next_multiple_of(4) - out.length();
    (0..missing).try_for_each(|_| out.write_all(&[0]))
}
