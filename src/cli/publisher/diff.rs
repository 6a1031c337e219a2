//! `kuzflow diff` compares two releases; `kuzflow apply` applies a pack without a launcher.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::progress::bar;
use crate::app::Ending;
use crate::container::Unpacker;
use crate::model::manifest::MANIFEST_PATH;
use crate::model::{Digest, Platform, RelativePath, Version};
use crate::pack::{
    self, Algorithm, Applied, ApplyOptions, Bases, Choice, Content, FileBytes, FileChange,
    MadePack, MakeOptions, Pack, Tree,
};
use crate::parallel;
use crate::publish::pack_file;
use crate::publish::package::Effort;
use crate::publish::release_trees::{FolderTree, PackageTree};
use crate::publish::{Project, PublishError};

/// The arguments of `kuzflow diff`.
#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// The older release: a folder, a package, or with --repo a published version.
    old: PathBuf,
    /// The newer release: a folder, a package, or with --repo a published version.
    new: PathBuf,
    /// The publisher's folder whose releases OLD and NEW may name.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// The platform of published versions; needed where a version has several and this computer's
    /// is not one of them.
    #[arg(long, value_name = "PLATFORM", requires = "repo")]
    platform: Option<Platform>,
    /// Write the patch pack here.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// auto (the smallest), aligned, zstd or bsdiff4.
    #[arg(long, value_name = "NAME", default_value = "auto", value_parser = choice)]
    algorithm: Choice,
    /// Cores to use; all if absent.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Memory to use for making it, in MiB; one very large file takes more.
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    memory: u64,
}

/// The arguments of `kuzflow apply`.
#[derive(Debug, Args)]
pub(super) struct ApplyArguments {
    /// The patch pack.
    pack: PathBuf,
    /// The release that it starts from: a folder.
    #[arg(long, value_name = "DIR")]
    old: PathBuf,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Cores to use; all if absent.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Memory to use, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 128)]
    memory: u64,
}

/// Parses the typed name of an algorithm.
pub(super) fn choice(text: &str) -> Result<Choice, String> {
    match text {
        "auto" => Ok(Choice::Smallest),
        "aligned" => Ok(Choice::Only(Algorithm::Aligned)),
        "zstd" => Ok(Choice::Only(Algorithm::Zstd)),
        "bsdiff4" => Ok(Choice::Only(Algorithm::Bsdiff4)),
        _ => Err("expected auto, aligned, zstd or bsdiff4".to_owned()),
    }
}

fn threads(wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| Effort::default().threads).max(1)
}

fn open(path: &Path, threads: usize) -> Result<Box<dyn Tree>, VerbError> {
    Ok(if path.is_dir() {
        Box::new(FolderTree::open(path)?)
    } else {
        Box::new(PackageTree::open(path, threads)?)
    })
}

impl DiffArguments {
    /// Whether the report is all that the verb makes.
    pub(super) fn only_reports(&self) -> bool {
        self.out.is_none()
    }
}

/// The package of a published version, if `name` is such a version and no file has this name; else
/// `name` itself.
fn find(name: &Path, arguments: &DiffArguments) -> Result<PathBuf, VerbError> {
    let version =
        name.to_str().and_then(|text| text.parse::<Version>().ok()).filter(|_| !name.exists());
    let Some(version) = version else { return Ok(name.to_owned()) };
    let Some(repo) = &arguments.repo else {
        return Err(
            format!("there is no file or folder {version}; for a published version name the repository with --repo").into()
        );
    };
    let sources = Project::open(&super::shared::project::of(repo))?.sources()?;
    let mut found: Vec<_> =
        sources.into_iter().filter(|source| source.container.version == version).collect();
    let wanted = arguments
        .platform
        .clone()
        .or_else(|| Some(Platform::current()).filter(|_| found.len() > 1));
    found.retain(|source| {
        wanted.as_ref().is_none_or(|platform| source.container.platform == *platform)
    });
    match found.pop() {
        Some(source) if found.is_empty() => Ok(source.path),
        Some(_) if wanted.is_some() => {
            Err(format!("several apps have a {version}; name their packages' files").into())
        }
        Some(_) => {
            Err(format!("{version} is published for several platforms; name one with --platform")
                .into())
        }
        None => Err(match wanted {
            Some(platform) => format!(
                "{version} is not published for {platform}; name another one with --platform"
            )
            .into(),
            None => PublishError::NoSuchRelease { version }.into(),
        }),
    }
}

/// Compares two releases and reports what a client would fetch.
pub(super) fn diff(arguments: &DiffArguments, say: &Say) -> Result<Ending, VerbError> {
    if let Some(out) = &arguments.out {
        pack_file::check_place(out)?;
    }
    let threads = threads(arguments.threads);
    let (old, new) = (find(&arguments.old, arguments)?, find(&arguments.new, arguments)?);
    let (old, new) = (open(&old, threads)?, open(&new, threads)?);
    let (choice, memory) = (arguments.algorithm, arguments.memory << 20);
    let options = MakeOptions { choice, threads, memory, most_heavy: MakeOptions::MAX_HEAVY_BYTES };
    let bar = bar(say, "comparing".to_owned());
    let progress = |bytes| bar.inc(bytes);
    let started = Instant::now();
    let made = match &arguments.out {
        Some(path) => pack_file::write(&*old, &*new, options, path, &progress)?,
        None => pack::make(&*old, &*new, options, &mut io::sink(), &progress)?,
    };
    bar.finish_and_clear();
    tell(&made, say);
    say.result(json!({
        "status": "done", "pack_bytes": made.length, "outline_bytes": made.outline, "cloned": made.cloned,
        "patched": made.count(FileChange::Patched), "added": made.count(FileChange::Added),
        "moved": made.count(FileChange::Moved), "removed": made.count(FileChange::Removed),
        "written": made.written, "seconds": started.elapsed().as_secs_f64(), "files": made.verdicts,
    }));
    Ok(Ending::Done)
}

fn tell(made: &MadePack, say: &Say) {
    for verdict in &made.verdicts {
        let name = verdict.algorithm.and_then(|algorithm| serde_json::to_value(algorithm).ok());
        let algorithm = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default();
        let from = verdict.base.as_ref().map(|base| format!("  from {base}")).unwrap_or_default();
        say.line(&format!(
            "{:<10} {:>11} {:>10} {:<8} {}{from}",
            verdict.what, verdict.size, verdict.packed, algorithm, verdict.path
        ));
    }
    say.line(&format!(
        "{} bytes in all: {} for the list of files, {} for the files; {} files are taken over as they are",
        made.length,
        made.outline,
        made.length - made.outline,
        made.cloned
    ));
}

/// The files of a folder as base files.
struct FolderBases<'a>(&'a Path);

impl Bases for FolderBases<'_> {
    fn open(&self, path: &RelativePath, _: &Digest) -> Option<File> {
        File::open(path.under(self.0)).ok()
    }
}

/// Applies a pack to a folder and makes another folder.
pub(super) fn apply(arguments: &ApplyArguments, say: &Say) -> Result<Ending, VerbError> {
    let started = Instant::now();
    let threads = threads(arguments.threads);
    let pack = File::open(&arguments.pack)
        .map_err(|error| format!("cannot open the pack {}: {error}", arguments.pack.display()))?;
    let parent = folder_for_new(&arguments.out)?;
    let old = FolderTree::open(&arguments.old)?;
    let file = FileBytes::new(pack)?;
    let opened = Pack::open(&file, old.manifest())?;
    let scratch = tempfile::Builder::new().prefix(".kuzflow-apply-").tempdir_in(parent)?;
    let stop = AtomicBool::new(false);
    let options = ApplyOptions { threads, memory: arguments.memory << 20, stop: &stop };
    let bases = FolderBases(&arguments.old);
    let (made, failed) =
        pack::apply(&opened, &file, old.manifest(), &bases, scratch.path(), options, &|_| ())?;
    if let Some(failed) = failed.into_iter().next() {
        return Err(failed.into());
    }
    let made: Vec<Applied> = made.into_iter().flatten().collect();
    let digests: Vec<Digest> = made.iter().map(|applied| applied.digest).collect();
    let (manifest, json) = opened.manifest(old.manifest(), &digests)?;
    let files = manifest.file_manifest.len();
    let unpacker = Unpacker::new(std::sync::Arc::new(manifest), arguments.out.clone())?;
    let copies = adopt_made(&unpacker, &opened, made)?;
    copy_all(&unpacker, &copies, &arguments.old, threads)?;
    unpacker.finish(&json)?;
    // From a folder without a manifest, `apply` makes a folder without one.
    if !arguments.old.join(MANIFEST_PATH).exists() {
        remove_manifest(&arguments.out, &opened)?;
    }
    let count = copies.len();
    say.line(&format!("{}: {files} files, {count} of them taken over", arguments.out.display()));
    say.result(json!({
        "status": "done", "files": files, "cloned": count, "seconds": started.elapsed().as_secs_f64(),
    }));
    Ok(Ending::Done)
}

/// The folder in which `out` is made. Refuses an `out` that has content.
fn folder_for_new(out: &Path) -> Result<&Path, VerbError> {
    let is_empty = out.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    if out.exists() && !is_empty {
        let out = out.display();
        return Err(format!("{out} is there already; name a new folder with --out").into());
    }
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(parent.unwrap_or(Path::new(".")))
}

/// Puts the files that the pack made in their places. Returns those that are copies of old ones,
/// with their sources.
fn adopt_made<'a>(
    unpacker: &Unpacker,
    pack: &'a Pack,
    made: Vec<Applied>,
) -> Result<Vec<(&'a RelativePath, &'a RelativePath)>, VerbError> {
    let mut made = made.into_iter();
    let mut copies = Vec::new();
    for (path, fate) in &pack.outline.fates {
        match &fate.content {
            Content::Made(_) => {
                let applied = made.next().ok_or("the pack made too few files")?;
                unpacker.adopt(path, &applied.path, applied.digest)?;
            }
            Content::Old(base) => copies.push((path, base)),
            Content::Empty | Content::Link(_) => {}
        }
    }
    Ok(copies)
}

/// Takes the manifest out of a new folder, and the manifest's folder if nothing else is in it.
fn remove_manifest(out: &Path, pack: &Pack) -> Result<(), VerbError> {
    let manifest = out.join(MANIFEST_PATH);
    std::fs::remove_file(&manifest)?;
    if let Some(folder) = manifest.parent().filter(|_| !manifest_folder_is_wanted(pack)) {
        std::fs::remove_dir(folder)?;
    }
    Ok(())
}

/// Whether the release has its own files or folders where its manifest would lie.
fn manifest_folder_is_wanted(pack: &Pack) -> bool {
    let outline = &pack.outline;
    outline.fates.keys().chain(&outline.head.empty_folders).any(|path| path.is_under("metadata"))
}

fn copy_all(
    unpacker: &Unpacker,
    copies: &[(&RelativePath, &RelativePath)],
    from: &Path,
    threads: usize,
) -> Result<(), VerbError> {
    Ok(parallel::each(
        copies,
        threads,
        || (),
        |(), (path, base)| unpacker.clone_from(path, &base.under(from)),
    )?)
}
