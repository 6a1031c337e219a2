//! What Windows users get: `Setup.exe`, and a folder as a zip.
//!
//! In: a product, a payload, a command that signs. Out: the bytes of one file. Never: a window of a
//! console; a change of a launcher that is signed already.
//!
//! ```text
//! resources            the icon and the version inside a program
//! icon, version_information, welcome    their bytes, and the picture of the first page
//! script, tools_script the installers as NSIS reads them       setup    an installer as NSIS makes it
//! document_script      the app's documents in that script    escaping   texts in it
//! ```

mod document_script;
mod escaping;
mod icon;
mod resources;
mod script;
mod setup;
mod tools_script;
mod version_information;
mod welcome;

pub(super) use setup::check_compiler;

use std::io::Write;
use std::path::Path;

use self::resources::ProgramError;
use self::script::{Script, ScriptFile, SetupTexts};
use self::setup::Setup;
use self::tools_script::ToolsScript;
use self::version_information::{VersionInformation, numbers};
use super::archive::archive;
use super::error::InstallerError;
use super::payload::{Content as PayloadContent, Payload, PayloadFile};
use super::product::Product;
use super::signing::Signer;
use super::tools::Tools;
use super::tree::{Content, Node};
use crate::model::Version;
use crate::model::launcher::version_in;

/// The folder of a portable installation that holds the versions, beside the launcher.
const PORTABLE_HOME: &str = "home";
/// The launcher's settings.
const SETTINGS: &str = "launcher.toml";

/// The launcher with the app's icon, name and the launcher's own version inside. A signed one stays
/// as it is: `None`.
///
/// Nothing in it depends on the app's version: so the same launcher can be published once, for all
/// releases that follow.
pub(super) fn named_launcher(
    product: &Product,
    launcher: &[u8],
    file_name: &str,
) -> Result<Option<Vec<u8>>, ProgramError> {
    if resources::is_signed(launcher)? {
        return Ok(None);
    }
    let mut inside = resources::read(launcher)?;
    icon::put(&product.icon, &mut inside).ok_or(ProgramError::NoRoom)?;
    let version = launcher_version(launcher);
    let information = VersionInformation {
        name: &product.display_name,
        publisher: &product.publisher.name,
        copyright: &product.copyright,
        version: &version,
        file_name,
    };
    inside.remove(resources::VERSION);
    inside.insert(resources::VERSION, 1, information.bytes());
    resources::replace(launcher, &inside).map(Some)
}

/// A program with the publisher's signature.
///
/// # Errors
/// [`InstallerError::Sign`] if the command fails or leaves none.
pub(super) fn signed(
    signer: &Signer,
    name: &str,
    program: &[u8],
) -> Result<Vec<u8>, InstallerError> {
    let signed = signer.signed(name, program)?;
    match resources::is_signed(&signed) {
        Ok(true) => Ok(signed),
        _ => Err(signer.no_signature(Path::new(name))),
    }
}

fn launcher_version(launcher: &[u8]) -> Version {
    version_in(launcher).unwrap_or(Version::new(0, 0, 0))
}

/// Writes the installer.
pub(super) fn write_setup(
    product: &Product,
    payload: &Payload,
    signer: Option<&Signer>,
    out: &mut impl Write,
) -> Result<(), InstallerError> {
    let program = product.program_name(&payload.platform);
    let launcher = payload.program().map(|file| file.content.read()).transpose()?;
    let others: Vec<&PayloadFile> = payload.files.iter().filter(|file| !file.is_program).collect();
    let files: Vec<ScriptFile> = others
        .iter()
        .enumerate()
        .map(|(index, file)| ScriptFile { name: &file.name, source: source_name(index) })
        .collect();
    let script = Script {
        texts: SetupTexts::of(product, payload.files.iter())?,
        description: &product.summary,
        launcher_numbers: numbers(&launcher_version(&launcher.unwrap_or_default())),
        file_name: program.strip_suffix(".exe").unwrap_or(&program),
        files: &files,
        documents: &product.documents,
    };
    let mut sources = numbered(&others);
    sources.extend(payload.program().map(|file| (LAUNCHER.to_owned(), &file.content)));
    write_signed(product, script.text(), sources, signer, out)
}

/// The launcher's file beside the script, which names it too.
const LAUNCHER: &str = "launcher.exe";

/// The name beside the script of the file with this number.
fn source_name(index: usize) -> String {
    format!("file{index}")
}

fn numbered<'a>(files: &[&'a PayloadFile]) -> Vec<(String, &'a PayloadContent)> {
    let named = |(index, file): (usize, &&'a PayloadFile)| (source_name(index), &file.content);
    files.iter().enumerate().map(named).collect()
}

/// Makes the installer of a script, signs it, and writes it.
fn write_signed(
    product: &Product,
    script: String,
    sources: Vec<(String, &PayloadContent)>,
    signer: Option<&Signer>,
    out: &mut impl Write,
) -> Result<(), InstallerError> {
    let setup = Setup {
        script,
        sources,
        icon: icon::file(&product.icon).unwrap_or_default(),
        welcome: welcome::picture(&product.icon),
        license: product.license_text.as_deref().unwrap_or_default(),
        seconds: product.seconds(),
    };
    let mut installer = setup.make(signer)?;
    if let Some(signer) = signer {
        let name = format!("{}-setup.exe", product.package_name());
        installer = signed(signer, &name, &installer)?;
    }
    out.write_all(&installer)?;
    Ok(())
}

/// Writes the installer of tools, whose programs are signed as well.
pub(super) fn write_tools_setup(
    product: &Product,
    tools: &Tools,
    signer: Option<&Signer>,
    out: &mut impl Write,
) -> Result<(), InstallerError> {
    let files = signed_tools(tools, signer)?;
    let listed: Vec<ScriptFile> = files
        .iter()
        .enumerate()
        .map(|(index, file)| ScriptFile { name: &file.name, source: source_name(index) })
        .collect();
    let script = ToolsScript {
        texts: SetupTexts::of(product, files.iter())?,
        folder: &product.windows_name(),
        files: &listed,
    };
    write_signed(product, script.text(), numbered(&files.iter().collect::<Vec<_>>()), signer, out)
}

/// Writes a folder of tools as an archive.
pub(super) fn write_tools_folder(
    product: &Product,
    tools: &Tools,
    signer: Option<&Signer>,
    out: &mut impl Write,
) -> Result<(), InstallerError> {
    let mut nodes = Vec::new();
    for file in signed_tools(tools, signer)? {
        put(&mut nodes, &file.name, file.content.read()?, file.is_program);
    }
    let name = format!("{}-{}", product.windows_name(), product.version);
    out.write_all(&archive(&[Node::folder(&name, nodes)], product.time)?)?;
    Ok(())
}

/// The files of tools, the programs signed, if there is a command for that.
fn signed_tools(
    tools: &Tools,
    signer: Option<&Signer>,
) -> Result<Vec<PayloadFile>, InstallerError> {
    let mut files = tools.files();
    let Some(signer) = signer else { return Ok(files) };
    for file in files.iter_mut().filter(|file| file.is_program) {
        let program = signed(signer, &file.name, &file.content.read()?)?;
        file.content = PayloadContent::Bytes(program);
    }
    Ok(files)
}

/// Puts a file at its path into a tree.
fn put(nodes: &mut Vec<Node>, path: &str, bytes: Vec<u8>, is_executable: bool) {
    let Some((folder, rest)) = path.split_once('/') else {
        nodes.push(Node::file(path, bytes, is_executable));
        return;
    };
    if !nodes.iter().any(|node| node.name == folder) {
        nodes.push(Node::folder(folder, Vec::new()));
    }
    let below = nodes.iter_mut().find(|node| node.name == folder).map(|node| &mut node.content);
    if let Some(Content::Folder(below)) = below {
        put(below, rest, bytes, is_executable);
    }
}

/// Writes a folder that can be taken along: with the app's versions and the user's files inside.
pub(super) fn write_portable(
    product: &Product,
    payload: &Payload,
    out: &mut impl Write,
) -> Result<(), InstallerError> {
    let mut nodes = Vec::new();
    for file in &payload.files {
        let mut bytes = file.content.read()?;
        if file.name == SETTINGS {
            bytes = portable_settings(bytes);
        }
        let content = Content::File { bytes, is_executable: file.is_program };
        nodes.push(Node { name: file.name.clone(), content });
    }
    let program = product.program_name(&payload.platform);
    let name = program.strip_suffix(".exe").unwrap_or(&program);
    let folder = Node::folder(name, nodes);
    out.write_all(&archive(&[folder], product.time)?)?;
    Ok(())
}

/// Settings with a home beside them, unless they name one. The table's keys come before the first
/// table, so the line may stand at the top.
fn portable_settings(settings: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&settings).into_owned();
    let names_home = text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("home"));
    if names_home { settings } else { format!("home = \"{PORTABLE_HOME}\"\n{text}").into_bytes() }
}
