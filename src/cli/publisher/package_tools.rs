//! `kuzflow package-tools`: makes packages of programs for a terminal. This project's own programs
//! are published so.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde_json::{Value, json};

use super::package::{INSTALLERS, source_date};
use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::project;
use crate::app::streams::error_line;
use crate::app::{Ending, shortcuts};
use crate::host;
use crate::installers::{Format, Measured, Product, ProductSources, Signers, Tools, write_tools};
use crate::model::{Platform, Version};
use crate::publish::Project;
use crate::real_path;

/// The text below `kuzflow package-tools --help`.
pub(super) const HELP: &str = "\
FOLDER holds the files as they are installed: for Linux what lies below /usr (bin, share/man, share/doc), for Windows the programs at its top,
with other files in folders. What packages say of the tools stands in [app] of a kuzflow.toml; no repository and no key is needed.
On Windows `setup` adds the folder to the user's PATH. SOURCE_DATE_EPOCH sets the time of all files; the same input makes the same bytes then.

Example: kuzflow package-tools 1.2.0 build/linux --platform Linux_x86_64 --format deb
         kuzflow package-tools 1.2.0 build/windows --platform Windows_AMD64 --format setup,portable --out download";

/// The arguments of `kuzflow package-tools`.
#[derive(Debug, Args)]
pub(super) struct PackageToolsArguments {
    /// The version of the tools.
    version: Version,
    /// The folder with the tools.
    folder: PathBuf,
    /// The platform that they are built for.
    #[arg(long)]
    platform: Platform,
    /// Which formats, with commas between them; all that fit the platform if absent.
    #[arg(
        long = "format",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Format::OF_TOOLS.map(Format::name)).try_map(|name| name.parse::<Format>())
    )]
    formats: Vec<Format>,
    /// The folder with kuzflow.toml; the one in or around the current folder if absent.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Where the packages are written; `installers` in the folder of kuzflow.toml if absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Makes the packages.
pub(super) fn package_tools(
    arguments: &PackageToolsArguments,
    say: &Say,
) -> Result<Ending, VerbError> {
    let project = Project::open(&project::folder(arguments.repo.as_deref())?)?;
    let formats = formats(arguments)?;
    // All that can be wrong with the settings is named before anything is written.
    let signers = Signers::new(&project.settings().sign, project.folder(), error_line)?;
    for format in &formats {
        format.check_tools()?;
    }
    let product = product(&project, &arguments.version)?;
    let tools = Tools::read(&arguments.folder, arguments.platform.clone())?;
    let out = arguments.out.as_deref().map(real_path::simplified);
    let out = out.unwrap_or_else(|| project.folder().join(INSTALLERS));
    std::fs::create_dir_all(&out)
        .map_err(|error| format!("cannot create {}: {error}", out.display()))?;
    let mut made: Vec<Value> = Vec::new();
    for format in formats {
        let path = out.join(format.file_name(&product, &arguments.platform));
        let Measured { length, hash } = write_tools(format, &product, &tools, &signers, &path)?;
        say.line(&format!("{}: {length} bytes\n  sha256 {hash}", path.display()));
        made.push(json!({ "path": path, "format": format, "length": length, "hash": hash }));
    }
    say.result(json!({ "status": "done", "packages": made }));
    Ok(Ending::Done)
}

fn formats(arguments: &PackageToolsArguments) -> Result<Vec<Format>, String> {
    let PackageToolsArguments { platform, formats, .. } = arguments;
    let fits = |format: &Format| format.fits(platform);
    if let Some(format) = formats.iter().find(|format| !fits(format)) {
        return Err(format!("{format} is not made for {platform}"));
    }
    let all = Format::OF_TOOLS.into_iter();
    let all = all.filter(|format| formats.is_empty() || formats.contains(format));
    let fitting: Vec<Format> = all.filter(fits).collect();
    if fitting.is_empty() {
        return Err(format!("there is no package of tools for {platform}"));
    }
    Ok(fitting)
}

fn product(project: &Project, version: &Version) -> Result<Product, VerbError> {
    let name = &project.settings().display_name;
    let letter = shortcuts::letter_of(name).unwrap_or_default();
    let time = source_date()?.unwrap_or_else(host::now);
    Ok(Product::read(ProductSources {
        settings: project.settings(),
        folder: project.folder(),
        version,
        published: time,
        menu: &shortcuts::menu_texts(name),
        letter: &letter,
        time: None,
    })?)
}
