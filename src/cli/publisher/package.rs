//! `kuzflow package`: makes the installers of a published release, for every system, on this one.

mod launchers;
mod warnings;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use jiff::Timestamp as Time;
use serde_json::{Value, json};

use self::launchers::LauncherFile;
use super::shared::VerbError;
use super::shared::faults::Faults;
use super::shared::output::Say;
use super::shared::place::PUBLISHER_LOCK_TIMEOUT;
use super::shared::project;
use crate::app::streams::error_line;
use crate::app::{Ending, shortcuts};
use crate::host;
use crate::installers::{
    Format, InstallerFaults, InstallerRecord, Measured, Payload, PayloadSources, Product,
    ProductSources, Signers, UNIVERSAL, add_to_index, finished_launcher, installers_in, write_file,
    write_launcher,
};
use crate::model::made_file::SHIPPED_LAUNCHERS;
use crate::model::{Platform, Release, Version};
use crate::publish::Project;
use crate::publish::bundle::BundleRequest;
use crate::publish::transaction::when_free;
use crate::real_path;

/// The text below `kuzflow package --help`.
pub(super) const HELP: &str = "\
An installer brings the launcher under the app's name, with launcher.toml and root.json. The first start installs the newest release from the
network; with --with-release it installs the one inside, and needs none. What installers say of the app stands in [app] of kuzflow.toml.
The same release, launcher and settings make the same bytes; SOURCE_DATE_EPOCH sets the time of the files, which is the release's otherwise.

Example: kuzflow package --launcher Linux_x86_64=kuzflow-launcher --format deb,rpm,run
         kuzflow package 1.2.0 --launcher Linux_x86_64=kuzflow-launcher --with-release --out installers";

/// The folder for installers, in the publisher's folder.
pub(super) const INSTALLERS: &str = "installers";

/// The arguments of `kuzflow package`.
#[derive(Debug, Args)]
pub(super) struct PackageArguments {
    /// Which release; the newest of the channel if absent.
    version: Option<Version>,
    /// The publisher's folder (the one that `init` made), or the repository in it; the one in or
    /// around the current folder if absent. No key is needed.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// The launcher for a platform; may be given several times. If absent, those in the publisher's
    /// folder (launchers/PLATFORM/kuzflow-launcher), the one beside this program, and those that
    /// came with it, as far as there is a release for their platform.
    #[arg(long = "launcher", value_name = "PLATFORM=FILE")]
    launchers: Vec<LauncherFile>,
    /// Which formats, with commas between them; all that fit the launchers if absent.
    #[arg(
        long = "format",
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
    )]
    formats: Vec<Format>,
    /// Small installers, which fetch the newest release at the first start. This is the default.
    #[arg(long)]
    online: bool,
    /// Put the release inside, so that the first start needs no network.
    #[arg(long, conflicts_with = "online")]
    with_release: bool,
    /// Refuse a release of another channel; the newest of this one if no release is named.
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// Where the installers are written; `installers` in the publisher's folder if absent.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Makes the installers.
pub(super) fn package(arguments: &PackageArguments, say: &Say) -> Result<Ending, VerbError> {
    let project = Project::open(&project::folder(arguments.repo.as_deref())?)?;
    // All that is wrong is named in one go, before anything is written.
    let mut faults = Faults::default();
    let releases = faults.of(project.releases()).unwrap_or_default();
    let launchers = match arguments.launchers.as_slice() {
        [] => found_launchers(&project, &releases, arguments),
        named => named.to_vec(),
    };
    let launchers = launchers::checked(launchers, say, &mut faults);
    let formats = faults.of(formats(&arguments.formats, &launchers)).unwrap_or_default();
    let signers = Signers::new(&project.settings().sign, project.folder(), error_line);
    let signers = faults.of(signers);
    for format in &formats {
        faults.of(format.check_tools());
    }
    let is_readable = faults.of(warnings::of_settings(&project)).is_some();
    warnings::of_missing_words(&project);
    let jobs = jobs(&launchers, &releases, arguments, &project, &mut faults);
    if let Some(job) = jobs.first().filter(|_| is_readable) {
        faults.of(Payload::check_settings(&job.product, &project.launcher_folder()));
    }
    let out = arguments.out.as_deref().map(real_path::simplified);
    let out = out.unwrap_or_else(|| project.folder().join(INSTALLERS));
    check_places(&out, &jobs, &formats, &mut faults);
    let signers = faults.none(signers)?;
    warnings::of_icon(&project, jobs.first().map(|job| &job.product));
    std::fs::create_dir_all(&out)
        .map_err(|error| format!("cannot create {}: {error}", out.display()))?;
    let mut made = Vec::new();
    for job in &jobs {
        let launcher = job.finished_launcher(&signers, &out, say)?;
        let bundle = if arguments.with_release { Some(bundle(&project, job, &out)?) } else { None };
        for format in formats.iter().filter(|format| format.fits(&job.platform)) {
            let payload = Payload::read(PayloadSources {
                product: &job.product,
                platform: &job.platform,
                launcher: launcher.as_deref().unwrap_or(job.launchers[0]),
                settings: &project.launcher_folder(),
                bundle: bundle.as_ref().map(|bundle| bundle.path.as_path()),
                is_managed: format.is_managed(),
            })?;
            let path = out.join(format.file_name(&job.product, &job.platform));
            say.line(&format!("making {}", path.display()));
            let measured = write_file(*format, &job.product, &payload, &signers, &path)?;
            let Measured { length, hash } = measured;
            say.line(&format!("  {length} bytes\n  sha256 {hash}"));
            let record = job.record(*format, measured, arguments.with_release);
            // At once: the index describes what stands there even if a later format fails.
            add_to_index(&out, std::slice::from_ref(&record))?;
            made.push(record);
        }
    }
    let made: Vec<Value> = made.iter().map(|record| described(record, &out)).collect();
    say.next(&next_step(arguments));
    say.result(json!({ "status": "done", "installers": made }));
    Ok(Ending::Done)
}

/// The installers of one platform; on macOS of both processors, if both launchers were given.
struct Job<'a> {
    platform: Platform,
    launchers: Vec<&'a Path>,
    /// The release for each processor, all of the same version.
    releases: Vec<&'a Release>,
    product: Product,
}

/// What installers are made for. Two launchers for macOS make one universal program.
fn jobs<'a>(
    launchers: &'a [LauncherFile],
    releases: &'a [Release],
    arguments: &PackageArguments,
    project: &Project,
    faults: &mut Faults,
) -> Vec<Job<'a>> {
    let time = faults.of(source_date()).flatten();
    let mut jobs: Vec<Job> = Vec::new();
    for LauncherFile { platform, path } in launchers {
        let Some(release) = faults.of(chosen(releases, platform, arguments, project)) else {
            continue;
        };
        let is_mac = platform.os == Format::Dmg.system();
        let earlier = jobs.iter_mut().find(|job| is_mac && job.platform.os == platform.os);
        if let Some(earlier) = earlier {
            faults.of(earlier.add(path, release));
            continue;
        }
        let product = faults.all(product(project, release, time));
        jobs.extend(product.map(|product| Job {
            platform: platform.clone(),
            launchers: vec![path],
            releases: vec![release],
            product,
        }));
    }
    if jobs.is_empty() {
        // Without a release, the settings are looked at all the same.
        faults.all(product_of(project, &Version::new(0, 0, 0), host::now(), time));
    }
    jobs
}

/// Refuses a folder in which a file of another kind has the name of an installer, or whose list of
/// installers is another program's.
fn check_places(out: &Path, jobs: &[Job<'_>], formats: &[Format], faults: &mut Faults) {
    faults.of(installers_in(out));
    for job in jobs {
        for format in formats.iter().filter(|format| format.system() == job.platform.os) {
            let path = out.join(format.file_name(&job.product, &job.platform));
            faults.of(format.check_place(&path));
        }
    }
}

impl<'a> Job<'a> {
    /// Adds the launcher of another processor.
    fn add(&mut self, launcher: &'a Path, release: &'a Release) -> Result<(), String> {
        let (one, other) = (&self.releases[0].container, &release.container);
        if one.version != other.version {
            return Err(format!("{one} and {other} differ in their version; name one for both"));
        }
        self.platform.architecture = UNIVERSAL.to_owned();
        self.launchers.push(launcher);
        self.releases.push(release);
        Ok(())
    }

    fn record(&self, format: Format, measured: Measured, with_release: bool) -> InstallerRecord {
        let release = self.releases[0];
        InstallerRecord {
            file: format.file_name(&self.product, &self.platform),
            format,
            platform: self.platform.clone(),
            version: release.container.version.clone(),
            channel: release.channel.clone(),
            published: release.published,
            with_release,
            length: measured.length,
            hash: measured.hash,
        }
    }

    /// The launcher as it is shipped, if it is not shipped as it was built: a file beside the
    /// installers, which `publish-launcher` can publish.
    fn finished_launcher(
        &self,
        signers: &Signers,
        out: &Path,
        say: &Say,
    ) -> Result<Option<PathBuf>, VerbError> {
        let Self { platform, launchers, product, .. } = self;
        let finished = finished_launcher(product, platform, launchers, signers)?;
        let Some(finished) = finished else { return Ok(None) };
        let folder = out.join(SHIPPED_LAUNCHERS).join(platform.to_string());
        let path = folder.join(product.program_name(platform));
        write_launcher(&path, &finished)?;
        say.line(&format!("{}: the launcher as it is shipped", path.display()));
        Ok(Some(path))
    }
}

/// The page of these installers, as it is typed.
fn next_step(arguments: &PackageArguments) -> String {
    let option = |name: &str, path: &Option<PathBuf>| {
        let path = path.as_ref().map(|path| project::typed(path));
        path.map(|path| format!(" {name} {path}")).unwrap_or_default()
    };
    let repo = option("--repo", &arguments.repo);
    format!("kuzflow site{repo}{}", option("--installers", &arguments.out))
}

/// An installer for scripts: as the index has it, with its path.
fn described(record: &InstallerRecord, out: &Path) -> Value {
    let mut line = json!(record);
    line["path"] = json!(out.join(&record.file));
    line
}

/// The launchers in the usual places for which there is a release to put into an installer. Warns of
/// a release for which there is none.
fn found_launchers(
    project: &Project,
    releases: &[Release],
    arguments: &PackageArguments,
) -> Vec<LauncherFile> {
    let is_wanted = |platform: &Platform| {
        let formats = arguments.formats.iter();
        let mut formats =
            formats.chain(Format::ALL.iter().filter(|_| arguments.formats.is_empty()));
        formats.any(|format| format.fits(platform))
            && chosen(releases, platform, arguments, project).is_ok()
    };
    let place = project.folder().join(launchers::FOLDER);
    let mut found = launchers::found(&place);
    found.retain(|launcher| is_wanted(&launcher.platform));
    let platforms = releases.iter().map(|release| &release.container.platform);
    for platform in platforms.collect::<BTreeSet<_>>() {
        if is_wanted(platform) && found.iter().all(|launcher| launcher.platform != *platform) {
            error_line(&format!(
                "warning: the release for {platform} gets no installer, because there is no launcher for it: put it into {}, or name it with --launcher {platform}=FILE",
                launchers::usual_path(&place, platform).display()
            ));
        }
    }
    if found.is_empty() {
        found.push(LauncherFile::beside());
    }
    found
}

/// The formats that were named; without names all that fit a launcher.
fn formats(named: &[Format], launchers: &[LauncherFile]) -> Result<Vec<Format>, String> {
    let fits = |format: &Format| launchers.iter().any(|launcher| format.fits(&launcher.platform));
    if let Some(format) = named.iter().find(|format| !fits(format)) {
        let system = format.system();
        if let Some(other) = launchers.iter().find(|launcher| launcher.platform.os == system) {
            return Err(format!(
                "{format} is not made for {}, only for 64-bit processors of Intel and AMD{}",
                other.platform,
                if other.platform.architecture == "ARM64" { "; portable is" } else { "" },
            ));
        }
        return Err(format!(
            "{format} is for {system}; give a launcher for it with --launcher {system}_…=FILE"
        ));
    }
    let all = Format::ALL.into_iter().filter(|format| named.is_empty() || named.contains(format));
    let formats: Vec<Format> = all.filter(fits).collect();
    if formats.is_empty() {
        let platforms: Vec<String> =
            launchers.iter().map(|launcher| launcher.platform.to_string()).collect();
        return Err(format!("no installer is made for {}", platforms.join(", ")));
    }
    Ok(formats)
}

/// The release for `platform`: the version that was named, or the newest that is not halted.
fn chosen<'a>(
    releases: &'a [Release],
    platform: &Platform,
    arguments: &PackageArguments,
    project: &Project,
) -> Result<&'a Release, String> {
    let PackageArguments { version, channel, .. } = arguments;
    let usual = &project.settings().channel;
    let channel = channel.as_ref().or(version.is_none().then_some(usual));
    let mut fitting = releases
        .iter()
        .filter(|release| release.container.platform == *platform)
        .filter(|release| channel.is_none_or(|channel| release.channel == *channel));
    let found = match version {
        Some(version) => fitting.find(|release| release.container.version == *version),
        None => fitting.find(|release| !release.halted),
    };
    let what = version
        .as_ref()
        .map_or_else(|| "no release".to_owned(), |version| format!("no release {version}"));
    let where_from =
        channel.map(|channel| format!(" in the channel {channel}")).unwrap_or_default();
    match found {
        Some(release) if release.halted => Err(format!(
            "{} is halted, no launcher would install it; resume it with kuzflow rollout first",
            release.container
        )),
        Some(release) => Ok(release),
        None => Err(format!("{what} is published for {platform}{where_from}")),
    }
}

/// What installers and the download page say of the app.
pub(super) fn product(
    project: &Project,
    release: &Release,
    time: Option<Time>,
) -> Result<Product, InstallerFaults> {
    product_of(project, &release.container.version, release.published, time)
}

fn product_of(
    project: &Project,
    version: &Version,
    published: Time,
    time: Option<Time>,
) -> Result<Product, InstallerFaults> {
    let name = &project.settings().display_name;
    let letter = shortcuts::letter_of(name).unwrap_or_default();
    let menu = shortcuts::menu_texts(name);
    Product::read(ProductSources {
        settings: project.settings(),
        folder: project.folder(),
        version,
        published,
        menu: &menu,
        letter: &letter,
        time,
    })
}

/// The release in one file, which is deleted at the end.
struct TemporaryBundle {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

fn bundle(project: &Project, job: &Job, out: &Path) -> Result<TemporaryBundle, VerbError> {
    let release = job.releases[0];
    let folder = tempfile::Builder::new().prefix(".kuzflow-").tempdir_in(out)?;
    let path = folder.path().join("bundle");
    let request = BundleRequest {
        version: release.container.version.clone(),
        platforms: job.releases.iter().map(|it| it.container.platform.clone()).collect(),
        channel: Some(release.channel.clone()),
    };
    let made = when_free(PUBLISHER_LOCK_TIMEOUT, || project.bundle(&request, &path))?;
    if made.fresh_until <= host::now() {
        return Err("the repository's metadata has expired, so a first start without a network would refuse the release inside; run kuzflow refresh first".into());
    }
    Ok(TemporaryBundle { path, _folder: folder })
}

/// The time that reproducible builds agree on, if it is set.
pub(super) fn source_date() -> Result<Option<Time>, String> {
    let Some(text) = host::variable("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let text = text.to_string_lossy();
    let seconds =
        text.parse::<i64>().ok().filter(|seconds| (0..=i64::from(u32::MAX)).contains(seconds));
    let time = seconds.and_then(|seconds| Time::from_second(seconds).ok());
    time.map(Some)
        .ok_or_else(|| format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds since 1970"))
}
