//! `.run`: a script with the files behind it, which installs the app for one user of any Linux.
//!
//! In: a product and a payload. Out: one file that needs `sh`, `tar` and `gzip`, and no root.
//! Never: writes outside the user's own folder; deletes a file that it did not bring.

use std::io::{self, Seek, SeekFrom, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::error::InstallerError;
use super::hashed::HashedWriter;
use super::payload::{LAUNCHER_SETTINGS, Payload};
use super::product::Product;
use crate::model::{Digest, Platform};

const INSTALL: &str = include_str!("run_install.sh");
const UNINSTALL: &str = include_str!("run_uninstall.sh");
/// The name of the script that takes the app out again.
const UNINSTALL_NAME: &str = "uninstall";

/// The settings as they are brought, by which the next installer knows whether a person has changed
/// them; then it keeps these under another name.
const SHIPPED_SETTINGS: &str = "launcher.toml.shipped";
const FORMER_SETTINGS: &str = "launcher.toml.old";

/// Writes the script and the files.
pub(super) fn write(
    product: &Product,
    payload: &Payload,
    out: &mut (impl Write + Seek),
) -> Result<(), InstallerError> {
    let start = out.stream_position()?;
    // The script says the digest of the archive behind it, so it is written twice, in the same
    // length.
    out.write_all(install_script(product, payload, Digest::of(b"")).as_bytes())?;
    let packer = GzBuilder::new().write(HashedWriter::new(&mut *out), Compression::best());
    let archive = append_files(tar::Builder::new(packer), product, payload)?;
    let (_, digest, _) = archive.into_inner()?.finish()?.finish();
    let end = out.stream_position()?;
    out.seek(SeekFrom::Start(start))?;
    out.write_all(install_script(product, payload, digest).as_bytes())?;
    out.seek(SeekFrom::Start(end))?;
    Ok(())
}

type Archive<W> = tar::Builder<GzEncoder<W>>;

fn append_files<W: Write>(
    mut archive: Archive<W>,
    product: &Product,
    payload: &Payload,
) -> Result<Archive<W>, InstallerError> {
    let header = |mode, length| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(length);
        header.set_mtime(product.seconds());
        header
    };
    for file in &payload.files {
        let length = file.content.length()?;
        let content = io::Read::take(file.content.open()?, length);
        archive.append_data(&mut header(file.mode(), length), &file.name, content)?;
        if file.name == LAUNCHER_SETTINGS {
            let content = io::Read::take(file.content.open()?, length);
            archive.append_data(&mut header(file.mode(), length), SHIPPED_SETTINGS, content)?;
        }
    }
    let script = uninstall_script(product, payload);
    let length = script.len() as u64;
    archive.append_data(&mut header(0o755, length), UNINSTALL_NAME, script.as_bytes())?;
    Ok(archive)
}

fn install_script(product: &Product, payload: &Payload, digest: Digest) -> String {
    let line = INSTALL.lines().count() + 1;
    INSTALL
        .replace("@LINE@", &line.to_string())
        .replace("@DIGEST@", &digest.to_string())
        .replace("@VERSION@", &quoted(&product.version.to_string()))
        .replace("@NAME@", &quoted(&product.package_name()))
        .replace("@MACHINES@", &quoted(machines(&payload.platform)))
        // What an app's name holds is replaced no more.
        .replace("@TITLE@", &quoted(&product.display_name))
}

/// What `uname -m` prints on the computers that run programs of the platform, with spaces between.
fn machines(platform: &Platform) -> &str {
    match platform.architecture.as_str() {
        "x86" | "i686" => "i686 i586 i386 x86_64",
        "arm" | "armv7l" => "armv7l armv8l aarch64",
        "powerpc64le" => "ppc64le",
        other => other,
    }
}

fn uninstall_script(product: &Product, payload: &Payload) -> String {
    let made = [UNINSTALL_NAME, SHIPPED_SETTINGS, FORMER_SETTINGS];
    let names = payload.files.iter().map(|file| file.name.as_str()).chain(made);
    let names = names.map(quoted).collect::<Vec<_>>().join(" ");
    UNINSTALL
        .replace("@NAME@", &quoted(&product.package_name()))
        .replace("@FILES@", &names)
        .replace("@TITLE@", &quoted(&product.display_name))
}

/// A word for a shell: between single quotes no sign has a meaning.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
