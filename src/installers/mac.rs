//! What macOS users get: an application bundle (`MyApp.app`), in an archive and in a disk image.
//!
//! In: a product, a payload, a command that signs. Out: the bytes of one file. Never: a file other
//! than programs beside the launcher, since a signature takes everything there for programs; the
//! settings lie in `Contents/Resources`.
//!
//! ```text
//! information    Info.plist              icon          .icns
//! document_types the documents in it
//! universal      one program for both processors
//! volume         files and folders as macOS mounts them        disk_image    a volume as a .dmg
//! ```

mod disk_image;
mod document_types;
mod icon;
mod information;
mod universal;
mod volume;

use std::io::Write;
use std::path::Path;

pub(super) use universal::universal;
pub(crate) use volume::VolumeError;

use super::archive::archive;
use super::error::InstallerError;
use super::icons::Icon;
use super::payload::Payload;
use super::product::Product;
use super::signing::Signer;
use super::tree::{self, Content, Node};
use crate::file_error::FileResult as _;

/// Where Finder shows a user's apps; the disk image has a link to it, onto which the app is dragged.
const APPLICATIONS: &str = "/Applications";
/// Type and creator of a bundle, as the oldest tools want it.
const PACKAGE_INFORMATION: &[u8] = b"APPL????";
/// The payload's picture of the app, in place of which a bundle has one of its own.
const ICON: &str = "icon.icns";

/// Writes the application bundle as an archive.
pub(super) fn write_app(
    product: &Product,
    payload: &Payload,
    signer: Option<&Signer>,
    out: &mut impl Write,
) -> Result<(), InstallerError> {
    let bundle = bundle(product, payload, signer)?;
    out.write_all(&archive(&[bundle], product.time)?)?;
    Ok(())
}

/// Writes the application bundle in a disk image, beside a link to the folder of all apps.
pub(super) fn write_disk_image(
    product: &Product,
    payload: &Payload,
    signer: Option<&Signer>,
    out: &mut impl Write,
) -> Result<(), InstallerError> {
    let bundle = bundle(product, payload, signer)?;
    let link = Content::Link(APPLICATIONS.to_owned());
    let nodes = [bundle, Node { name: "Applications".to_owned(), content: link }];
    let volume = volume::volume(&product.package_name(), &nodes, product.time)?;
    let mut image = disk_image::disk_image(&volume)?;
    if let Some(signer) = signer {
        image = signer.signed(&format!("{}.dmg", product.package_name()), &image)?;
    }
    out.write_all(&image)?;
    Ok(())
}

/// The application bundle, signed if there is a command for it.
fn bundle(
    product: &Product,
    payload: &Payload,
    signer: Option<&Signer>,
) -> Result<Node, InstallerError> {
    let program = product.program_name(&payload.platform);
    let (mut programs, mut resources) = (Vec::new(), Vec::new());
    for file in &payload.files {
        let bytes = file.content.read()?;
        if file.is_program {
            programs.push(Node::file(&program, bytes, true));
        } else {
            resources.push(Node::file(&file.name, bytes, false));
        }
    }
    resources.push(Node::file(ICON, icon::file(&product.icon).unwrap_or_default(), false));
    for document in &product.documents {
        let picture = document.icon.as_deref().and_then(Icon::read);
        let bytes = picture.and_then(|picture| icon::file(&picture));
        let name = document_types::picture_name(&document.kind);
        resources.extend(bytes.map(|bytes| Node::file(&name, bytes, false)));
    }
    resources.sort_by(|a, b| a.name.cmp(&b.name));
    let information = information::information(product, &program).into_bytes();
    let contents = vec![
        Node::file("Info.plist", information, false),
        Node::folder("MacOS", programs),
        Node::file("PkgInfo", PACKAGE_INFORMATION.to_vec(), false),
        Node::folder("Resources", resources),
    ];
    let bundle = Node::folder(&format!("{program}.app"), vec![Node::folder("Contents", contents)]);
    match signer {
        Some(signer) => signed(bundle, signer),
        None => Ok(bundle),
    }
}

/// The bundle after a program has signed it on the disk, which adds files to it.
fn signed(bundle: Node, signer: &Signer) -> Result<Node, InstallerError> {
    let folder = tempfile::tempdir().at("make", Path::new("a temporary folder"))?;
    let path = folder.path().join(&bundle.name);
    let name = bundle.name.clone();
    tree::write(&[bundle], folder.path())?;
    signer.sign(&path)?;
    if !path.join("Contents/_CodeSignature").is_dir() {
        return Err(signer.no_signature(Path::new(&name)));
    }
    Ok(Node::folder(&name, tree::read(&path)?))
}
