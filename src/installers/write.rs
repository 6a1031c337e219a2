//! Writes installers: which file of the room writes which format.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use super::error::InstallerError;
use super::format::Format;
use super::hashed::{Measured, measured};
use super::linux_tree::LinuxPackage;
use super::payload::Payload;
use super::product::Product;
use super::signing::Signers;
use super::tools::Tools;
use super::{deb, mac, rpm, run, windows};
use crate::durable;
use crate::file_error::FileResult as _;

/// Writes an installer to `path`, in one step.
///
/// # Errors
/// [`InstallerError`]; there is no file then, or the one before.
pub(crate) fn write_file(
    format: Format,
    product: &Product,
    payload: &Payload,
    signers: &Signers<'_>,
    path: &Path,
) -> Result<Measured, InstallerError> {
    into(path, format, |out| write(format, product, payload, signers, out))
}

/// Writes a package of tools to `path`, in one step.
///
/// # Errors
/// [`InstallerError`]; there is no file then, or the one before.
pub(crate) fn write_tools(
    format: Format,
    product: &Product,
    tools: &Tools,
    signers: &Signers<'_>,
    path: &Path,
) -> Result<Measured, InstallerError> {
    into(path, format, |out| match format {
        Format::Deb => deb::write(&LinuxPackage::of_tools(product, tools)?, out),
        Format::Rpm => rpm::write(&LinuxPackage::of_tools(product, tools)?, out),
        Format::Setup => windows::write_tools_setup(product, tools, signers.windows.as_ref(), out),
        Format::Portable => {
            windows::write_tools_folder(product, tools, signers.windows.as_ref(), out)
        }
        Format::Run | Format::App | Format::Dmg => {
            Err(InstallerError::NoTools { format: format.name() })
        }
    })
}

/// Gives a writer for the file at `path`, which is in its place once all is written.
fn into(
    path: &Path,
    format: Format,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), InstallerError>,
) -> Result<Measured, InstallerError> {
    let mut file = durable::temporary(path).at("write", path)?;
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    write(&mut out)?;
    out.flush().at("write", path)?;
    drop(out);
    set_mode(format, file.as_file()).at("write", path)?;
    durable::persist(file, path).at("write", path)?;
    // A format may go back in the file, so that only the whole file has its digest.
    Ok(measured(path)?)
}

/// Everybody may read it, and run it if it is a program.
#[cfg(unix)]
fn set_mode(format: Format, file: &File) -> io::Result<()> {
    let mode = if format == Format::Run { 0o755 } else { 0o644 };
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Other systems know no such mark.
#[cfg(not(unix))]
fn set_mode(_format: Format, _file: &File) -> io::Result<()> {
    Ok(())
}

/// Writes an installer. The place in `out` may be any; a format may go back as far as it.
fn write(
    format: Format,
    product: &Product,
    payload: &Payload,
    signers: &Signers<'_>,
    out: &mut (impl Write + Seek),
) -> Result<(), InstallerError> {
    match format {
        Format::Deb => deb::write(&LinuxPackage::of_app(product, payload)?, out),
        Format::Rpm => rpm::write(&LinuxPackage::of_app(product, payload)?, out),
        Format::Run => run::write(product, payload, out),
        Format::Setup => windows::write_setup(product, payload, signers.windows.as_ref(), out),
        Format::Portable => windows::write_portable(product, payload, out),
        Format::App => mac::write_app(product, payload, signers.macos.as_ref(), out),
        Format::Dmg => mac::write_disk_image(product, payload, signers.macos.as_ref(), out),
    }
}
