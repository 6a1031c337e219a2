//! `.deb`: an `ar` archive with the control files and the tree, each a tar packed with xz.
//!
//! In: what is installed, and what is said of it. Out: a package without scripts; the triggers of dpkg bring menu,
//! icons and kinds of files up to date. Never: a configuration file in `/etc`, a file in a user's
//! folder.

use std::io::{self, Seek, SeekFrom, Write};

use lzma_rust2::{XzOptions, XzWriter};
use md5::{Digest as _, Md5};

use super::error::InstallerError;
use super::format::{debian_architecture, tilde};
use super::linux_texts::{maintainer, synopsis};
use super::linux_tree::{LinuxPackage, Tree, TreeItem};
use super::product::Product;

/// The effort of xz: the size of a higher one is the same to a percent.
pub(super) const XZ_PRESET: u32 = 6;
/// Libraries that the launcher's window loads where they are: without them it asks in the terminal.
const WINDOW_LIBRARIES: &str =
    "libx11-6, libx11-xcb1, libxcursor1, libxi6, libxkbcommon-x11-0, xdg-utils";
/// The most bytes that the length of a part can say.
const MAX_PART_BYTES: u64 = 9_999_999_999;

/// Writes the package.
pub(super) fn write(
    package: &LinuxPackage<'_>,
    out: &mut (impl Write + Seek),
) -> Result<(), InstallerError> {
    let LinuxPackage { product, tree, .. } = package;
    let control = control_files(package)?;
    out.write_all(b"!<arch>\n")?;
    part(out, "debian-binary", product, |out| Ok(out.write_all(b"2.0\n")?))?;
    part(out, "control.tar.xz", product, |out| {
        let mut tar = packed_tar(out)?;
        for (name, bytes) in &control {
            let header = header(tar::EntryType::Regular, 0o644, bytes.len() as u64, product);
            append(&mut tar, header, name, bytes.as_slice())?;
        }
        finish(tar)
    })?;
    part(out, "data.tar.xz", product, |out| {
        let mut tar = packed_tar(out)?;
        append_tree(&mut tar, tree, product)?;
        finish(tar)
    })
}

/// One part of the `ar` archive. Its length stands in front, and is known after it is written.
fn part<W: Write + Seek>(
    out: &mut W,
    name: &str,
    product: &Product,
    content: impl FnOnce(&mut W) -> Result<(), InstallerError>,
) -> Result<(), InstallerError> {
    let start = out.stream_position()?;
    let time = product.seconds();
    let head =
        |length: u64| format!("{name:<16}{time:<12}{:<6}{:<6}{:<8}{length:<10}`\n", 0, 0, 100_644);
    out.write_all(head(0).as_bytes())?;
    let begin = out.stream_position()?;
    content(out)?;
    let end = out.stream_position()?;
    let length = end - begin;
    if length > MAX_PART_BYTES {
        let reason = format!("{name} has {length} bytes, at most {MAX_PART_BYTES} can be said");
        return Err(InstallerError::TooLarge { format: "deb", reason });
    }
    out.seek(SeekFrom::Start(start))?;
    out.write_all(head(length).as_bytes())?;
    out.seek(SeekFrom::Start(end))?;
    if !length.is_multiple_of(2) {
        out.write_all(b"\n")?;
    }
    Ok(())
}

type PackedTar<'a, W> = tar::Builder<XzWriter<&'a mut W>>;

fn packed_tar<W: Write>(out: &mut W) -> Result<PackedTar<'_, W>, InstallerError> {
    Ok(tar::Builder::new(XzWriter::new(out, XzOptions::with_preset(XZ_PRESET))?))
}

fn finish<W: Write>(tar: PackedTar<'_, W>) -> Result<(), InstallerError> {
    tar.into_inner()?.finish()?;
    Ok(())
}

fn header(kind: tar::EntryType, mode: u32, size: u64, product: &Product) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(product.seconds());
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    mut header: tar::Header,
    name: &str,
    content: impl io::Read,
) -> Result<(), InstallerError> {
    // dpkg's own archives name the owners as well.
    header.set_username("root")?;
    header.set_groupname("root")?;
    Ok(tar.append_data(&mut header, name, content)?)
}

fn append_tree(
    tar: &mut tar::Builder<impl Write>,
    tree: &Tree,
    product: &Product,
) -> Result<(), InstallerError> {
    for (path, item) in tree {
        match item {
            TreeItem::Folder => {
                let header = header(tar::EntryType::Directory, 0o755, 0, product);
                append(tar, header, &format!("{path}/"), io::empty())?;
            }
            TreeItem::File { mode, content } => {
                let length = content.length()?;
                let header = header(tar::EntryType::Regular, *mode, length, product);
                append(tar, header, path, io::Read::take(content.open()?, length))?;
            }
            TreeItem::Link { target } => {
                let mut header = header(tar::EntryType::Symlink, 0o777, 0, product);
                header.set_username("root")?;
                header.set_groupname("root")?;
                tar.append_link(&mut header, path, target)?;
            }
        }
    }
    Ok(())
}

fn control_files(
    package: &LinuxPackage<'_>,
) -> Result<[(&'static str, Vec<u8>); 2], InstallerError> {
    let mut installed = 0;
    let mut sums = String::new();
    for (path, item) in &package.tree {
        installed += 1; // each place takes a block, as dpkg-gencontrol counts
        if let TreeItem::File { content, .. } = item {
            installed += content.length()?.div_ceil(1024).saturating_sub(1);
            sums += &format!("{}  {path}\n", md5_of(&mut content.open()?)?);
        }
    }
    let control = control(package, installed);
    Ok([("control", control.into_bytes()), ("md5sums", sums.into_bytes())])
}

fn md5_of(content: &mut dyn io::Read) -> Result<String, InstallerError> {
    let mut hasher = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn control(package: &LinuxPackage<'_>, installed_kib: u64) -> String {
    let LinuxPackage { product, platform, description, .. } = package;
    let mut lines = vec![
        format!("Package: {}", product.package_name()),
        format!("Version: {}", tilde(product)),
        format!("Section: {}", section(&product.categories)),
        "Priority: optional".to_owned(),
        format!("Architecture: {}", debian_architecture(platform)),
        format!("Maintainer: {}", maintainer(product)),
        format!("Installed-Size: {installed_kib}"),
    ];
    lines.push(format!("Depends: {}", depends(package)));
    lines.push(format!("Recommends: {WINDOW_LIBRARIES}"));
    lines.extend(product.homepage.as_ref().map(|homepage| format!("Homepage: {homepage}")));
    lines.push(format!("Description: {}", synopsis(product)));
    lines.extend(wrapped(description).map(|line| format!(" {line}")));
    lines.join("\n") + "\n"
}

fn depends(package: &LinuxPackage<'_>) -> String {
    let needs = &package.needs;
    let library = needs.c_library.map(|(major, minor)| format!("libc6 (>= {major}.{minor})"));
    let unwinder = needs.unwinder.then(|| "libgcc-s1".to_owned());
    // Whom an address of a server belongs to is proved by the system's certificates.
    let certificates = "ca-certificates".to_owned();
    let names = library.into_iter().chain(unwinder).chain([certificates]);
    names.collect::<Vec<_>>().join(", ")
}

/// Debian's section for the first category that it knows.
fn section(categories: &[String]) -> &'static str {
    let known = |category: &String| match category.as_str() {
        "AudioVideo" | "Audio" => Some("sound"),
        "Video" => Some("video"),
        "Development" => Some("devel"),
        "Education" => Some("education"),
        "Game" => Some("games"),
        "Graphics" => Some("graphics"),
        "Network" => Some("net"),
        "Office" => Some("text"),
        "Science" => Some("science"),
        "System" => Some("admin"),
        _ => None,
    };
    categories.iter().find_map(known).unwrap_or("utils")
}

/// Lines of at most 79 signs.
fn wrapped(text: &str) -> impl Iterator<Item = String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let is_full = lines.last().is_some_and(|line| line.len() + word.len() > 77);
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if !is_full => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.into_iter()
}
