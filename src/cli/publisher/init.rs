//! `kuzflow init`: makes a publisher's folder from the arguments, and from facts in the app's
//! folder.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::{passwords, project};
use crate::app::Ending;
use crate::error_chain;
use crate::host;
use crate::model::platform::AppName;
use crate::model::{Node, Platform};
use crate::publish::bundling::{self, ArchiveSource};
use crate::publish::discover::Discovered;
use crate::publish::recipe::Recipe;
use crate::publish::{InitOptions, MetadataForm, Project, ProjectSettings, Runtimes, address};
use crate::real_path;

/// The text below `kuzflow init --help`.
pub(super) const HELP: &str = "\
In an app's folder nothing else need be said: name, entry point, requirements, picture and licence are looked for, and written to kuzflow.toml,
where you can change them. The app's folder itself is not changed, but for the new folder in it.

For releases for Windows and macOS name their Python with --runtime: the embeddable zip of python.org, a standalone build.

Example: kuzflow init
         kuzflow init --node https://updates.example.com/ --runtime Windows_AMD64=python-3.12.8-embed-amd64.zip
         kuzflow init my-app --name my-app --display-name \"My App\" --node https://updates.example.com/";

/// The arguments of `kuzflow init`.
#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The folder to make; `kuzflow` in the current one if absent.
    folder: Option<PathBuf>,
    /// The app's name in ids; if absent, what its folder tells.
    #[arg(long, visible_alias = "app", value_name = "NAME")]
    name: Option<AppName>,
    /// The app's name for people.
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// The app's folder; the current one if absent.
    #[arg(long, value_name = "DIR")]
    app_folder: Option<PathBuf>,
    /// Where the repository will be served; may be given several times. `kuzflow serve` on this
    /// computer if absent, for a first try.
    #[arg(long = "node", value_name = "URL")]
    nodes: Vec<String>,
    /// The address where `kuzflow serve` answers: launchers hear there at once of a release.
    /// Without it they look every two hours; a static host has none.
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// The Python for a platform, as an archive: a file, or an address from which it is downloaded
    /// once. Its digest is written to [runtimes] in kuzflow.toml. May be given several times.
    #[arg(long = "runtime", value_name = "PLATFORM=ARCHIVE")]
    runtimes: Vec<RuntimeArchive>,
    /// The channel of releases that name none.
    #[arg(long, value_name = "NAME", default_value = "stable")]
    channel: String,
    /// How many root keys to make.
    #[arg(long, value_name = "N", default_value_t = 1)]
    root_keys: usize,
    /// How many of them must sign a new root.
    #[arg(long, value_name = "N", default_value_t = 1)]
    root_threshold: u64,
    /// Ask for a password for the root and targets keys; or take it from a pipe, or from
    /// KUZFLOW_KEY_PASSWORD.
    #[arg(long)]
    encrypt: bool,
    /// Put the root and targets keys into this folder, for example on removable media; a server
    /// needs only the others.
    #[arg(long, value_name = "DIR")]
    keys_out: Option<PathBuf>,
}

/// An archive with the Python for a platform.
#[derive(Clone, Debug)]
struct RuntimeArchive {
    platform: Platform,
    source: ArchiveSource,
}

impl FromStr for RuntimeArchive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (platform, archive) = text.split_once('=').ok_or(
            "expected a platform and an archive, for example Windows_AMD64=python-3.12.8-embed-amd64.zip",
        )?;
        let platform = platform.parse::<Platform>().map_err(|error| error.to_string())?;
        let is_address = archive.starts_with("https://") || archive.starts_with("http://");
        let source = if is_address {
            ArchiveSource::Url(archive.parse().map_err(|error| format!("{error}"))?)
        } else {
            ArchiveSource::File(archive.into())
        };
        Ok(Self { platform, source })
    }
}

/// Makes a publisher's folder.
pub(super) fn init(arguments: InitArguments, say: &Say) -> Result<Ending, VerbError> {
    let mut nodes = Vec::new();
    for (number, text) in (1..).zip(&arguments.nodes) {
        // The message does not repeat the text, since it may hold a password.
        nodes
            .push(Node::at(address(text).map_err(|error| {
                format!("the address of node {number} cannot be used: {error}")
            })?));
    }
    let mut client = toml::Table::new();
    if let Some(text) = &arguments.api {
        let api = address(text)
            .map_err(|error| format!("the address of --api cannot be used: {error}"))?;
        client.insert("api".to_owned(), api.to_string().into());
    }
    let app_folder = arguments.app_folder.clone().unwrap_or_else(|| PathBuf::from("."));
    if !app_folder.is_dir() {
        return Err(format!("the app's folder {} is not there", app_folder.display()).into());
    }
    let found = discovered(&arguments, &app_folder);
    let folder = arguments.folder.unwrap_or_else(|| app_folder.join(project::USUAL_NAME));
    let folder = real_path::simplified(&folder);
    if let Some(warning) = is_deleted_by_builds(&app_folder, &folder) {
        return Err(warning.into());
    }
    let name = arguments.name.or_else(|| found.as_ref()?.name.clone());
    let name = name.ok_or(
        "nothing here looks like an app (a pyproject.toml, an app.py, one program): go to its folder, or name it with --name and say in \
         kuzflow.toml what is started",
    )?;
    let display_name = arguments
        .display_name
        .or_else(|| found.as_ref()?.display_name.clone())
        .unwrap_or_else(|| name.to_string());
    let version = found.as_ref().and_then(|found| found.version.clone());
    let recipe = found.map(|found| placed(found.recipe, &app_folder, &folder)).unwrap_or_default();
    let runtimes = pinned(&arguments.runtimes, &folder, say)?;
    let password = if arguments.encrypt { Some(passwords::new_password()?) } else { None };
    let options = InitOptions {
        settings: ProjectSettings {
            channel: arguments.channel,
            nodes: distinct(nodes),
            recipe,
            runtimes,
            client,
            ..ProjectSettings::new(name, display_name)
        },
        root_keys: arguments.root_keys,
        root_threshold: arguments.root_threshold,
        form: MetadataForm::Roles,
        offline_password: password,
        online_password: None,
    };
    let offline = arguments.keys_out.as_deref();
    let is_new = offline.is_some_and(|folder| !folder.exists());
    let project = Project::init_with_keys(&folder, &options, offline, host::now())?;
    if let Some(folder) = offline.filter(|_| is_new) {
        keep_out_of_version_control(folder)?;
    }
    let offline = offline.map_or_else(|| project.keys_folder(), Path::to_owned);
    tell(&project, &offline, version.as_deref().unwrap_or("1.0.0"), say);
    say.result(json!({ "status": "done", "folder": folder.to_string_lossy(), "repository": project.repository().to_string_lossy(), "launcher": project.launcher_folder().to_string_lossy(), "app": options.settings.app, "entry": options.settings.recipe.entry, "offline_keys": offline.to_string_lossy(), "online_keys": project.keys_folder().to_string_lossy() }));
    Ok(Ending::Done)
}

/// The archives with their digests. Those with an address are downloaded.
fn pinned(archives: &[RuntimeArchive], folder: &Path, say: &Say) -> Result<Runtimes, VerbError> {
    let mut runtimes = Runtimes::default();
    for RuntimeArchive { platform, source } in archives {
        if matches!(source, ArchiveSource::Url(_)) {
            say.line(&format!("{platform}: downloading {source}"));
        }
        let cache = host::cache_folder();
        let mut pinned =
            bundling::pin(source.clone(), cache.as_deref(), &mut |_, _| ()).map_err(|error| {
                format!("the runtime for {platform}: {}", error_chain::line(&error))
            })?;
        if let ArchiveSource::File(path) = &mut pinned.source {
            *path = relative_to(folder, path);
        }
        if !runtimes.add(platform.clone(), pinned) {
            return Err(format!("there are two runtimes for {platform}; name one").into());
        }
    }
    Ok(runtimes)
}

/// The folder of the keys may lie in the app's folder, which is often under version control.
fn keep_out_of_version_control(keys: &Path) -> Result<(), VerbError> {
    let file = keys.join(".gitignore");
    std::fs::write(&file, "*\n")
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    Ok(())
}

/// The facts in the app's folder, if it belongs to this app: the current folder may be any.
fn discovered(arguments: &InitArguments, app_folder: &Path) -> Option<Discovered> {
    let found = Discovered::in_folder(app_folder);
    let is_this = arguments.name.is_none() || arguments.name == found.name;
    (arguments.app_folder.is_some() || found.is_app() && (is_this || arguments.folder.is_none()))
        .then_some(found)
}

/// Whether `folder` would lie in the output of a build tool. The tool deletes its output before the
/// next build, and would delete the keys with it.
fn is_deleted_by_builds(app_folder: &Path, folder: &Path) -> Option<String> {
    let [app, inside] = [app_folder, folder]
        .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let app: PathBuf = app.components().collect();
    let is_output = |path: &Path| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().to_ascii_lowercase())
            .unwrap_or_default();
        ["dist", "build", "target"].contains(&name.as_str()) || name.ends_with(".dist")
    };
    let made =
        app.join("_internal").is_dir() || is_output(&app) || app.parent().is_some_and(is_output);
    (made && inside.starts_with(&app)).then(|| {
        format!(
            "{} is made by a build, which deletes it the next time, and a publisher's folder in it with its keys: go up to your project and \
             call `kuzflow init kuzflow --app-folder DIR` with this folder as DIR",
            app.display()
        )
    })
}

/// The recipe with its paths relative to the publisher's folder.
fn placed(recipe: Recipe, app_folder: &Path, folder: &Path) -> Recipe {
    let from_there = |path: PathBuf| relative_to(folder, &app_folder.join(path));
    Recipe {
        folder: recipe.folder.map(|folder| folder.map(&from_there)),
        requirements: recipe.requirements.map(&from_there),
        icon: recipe.icon.map(&from_there),
        license_file: recipe.license_file.map(from_there),
        ..recipe
    }
}

/// The relative path from a folder to another path, with `/` on every system; the path itself where
/// there is none.
fn relative_to(from: &Path, to: &Path) -> PathBuf {
    let clean = |path: &Path| -> Option<Vec<std::ffi::OsString>> {
        let mut parts = Vec::new();
        for part in std::path::absolute(path).ok()?.components() {
            match part {
                Component::ParentDir => drop(parts.pop()),
                Component::CurDir => {}
                part => parts.push(part.as_os_str().to_owned()),
            }
        }
        Some(parts)
    };
    let (Some(from), Some(target)) = (clean(from), clean(to)) else { return to.to_owned() };
    let common = from.iter().zip(&target).take_while(|(one, other)| one == other).count();
    if common == 0 {
        return to.to_owned();
    }
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    let down = target[common..].iter().map(|part| part.to_string_lossy().into_owned());
    let parts: Vec<String> = up.chain(down).collect();
    PathBuf::from(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

fn tell(project: &Project, offline: &Path, version: &str, say: &Say) {
    let (settings, folder) = (project.settings(), project.folder());
    let recipe = &settings.recipe;
    say.line(&format!(
        "{} is ready, for {} ({})",
        folder.display(),
        settings.display_name,
        settings.app
    ));
    let line = |name: &str, path: &Path, words: &str| {
        say.line(&format!("  {name:<10} {}: {words}", path.display()))
    };
    let built = match (&recipe.folder, &recipe.entry) {
        (Some(app), Some(entry)) => {
            let shown = |app: &PathBuf| relative_to(Path::new("."), &folder.join(app));
            let apps: Vec<String> =
                app.values().map(|app| shown(app).display().to_string()).collect();
            format!("what releases are made of: {entry} from {}; look it over", apps.join(", "))
        }
        _ => "set folder and entry in [app]: what releases are made of".to_owned(),
    };
    line("settings", &folder.join("kuzflow.toml"), &built);
    if let Some(file) = &recipe.license_file {
        let path = relative_to(Path::new("."), &folder.join(file));
        line("licence", &path, "installers show it; its short name belongs into license in [app]");
    }
    line("serve", &project.repository(), "kuzflow serve, or any web server");
    line("ship", &project.launcher_folder(), "both files belong beside kuzflow-launcher");
    let keys = project.keys_folder();
    let words = "root-*.pem and targets-*.pem sign releases; keep two copies of them, on removable media (--keys DIR brings them back)";
    line("keep safe", offline, words);
    line(
        "",
        &keys,
        "snapshot-*.pem, timestamp-*.pem, patches-*.pem and rollout-*.pem are what a server and its timer need",
    );
    if settings.nodes.is_empty() {
        say.line("note: without --node launchers look at http://127.0.0.1:8080/, where `kuzflow serve` answers on this computer. Before you");
        say.line("      ship, put your own address into kuzflow.toml and launcher/launcher.toml");
    }
    if settings.nodes.iter().any(|node| node.url.scheme() == "http" && !is_local(node)) {
        say.line("note: what goes over http:// cannot be changed on its way, but read along; https:// hides which app it is for");
    }
    // The next command names the folder only where verbs would not find it by themselves.
    let is_peer = project::folder(None).is_ok_and(|found| found == folder);
    let repo = if is_peer { String::new() } else { format!(" --repo {}", project::typed(folder)) };
    let release = format!("kuzflow release {version}{repo}");
    match recipe.entry {
        Some(_) => say.next(&release),
        None => {
            let settings = project::typed(&folder.join("kuzflow.toml"));
            say.next(&format!("set folder and entry in {settings}, then {release}"));
        }
    }
}

fn is_local(node: &Node) -> bool {
    node.url
        .host_str()
        .is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

/// Numbers the names of nodes on the same host.
fn distinct(mut nodes: Vec<Node>) -> Vec<Node> {
    for index in 1..nodes.len() {
        let same = nodes[..index]
            .iter()
            .filter(|before| before.url.host_str() == nodes[index].url.host_str())
            .count();
        if nodes[..index].iter().any(|before| before.id == nodes[index].id) {
            nodes[index].id = format!("{}-{}", nodes[index].id, same + 1);
            let id = nodes[index].id.clone();
            nodes[index].name = id;
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_not_put_where_a_build_deletes_them() {
        let project = tempfile::tempdir().unwrap();
        let at = |path: &str| project.path().join(path);
        for folder in ["dist/app/_internal", "frozen/_internal", "app.dist", "src"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        for (app, folder, is_deleted) in [
            ("dist/app", "dist/app/kuzflow", true),
            ("dist", "dist/kuzflow", true),
            ("frozen", "frozen/kuzflow", true),
            ("app.dist", "app.dist/kuzflow", true),
            ("dist/app", "kuzflow", false),
            ("frozen", "kuzflow", false),
            ("src", "src/kuzflow", false),
        ] {
            let reported = is_deleted_by_builds(&at(app), &at(folder));
            assert_eq!(reported.is_some(), is_deleted, "{app} {folder}: {reported:?}");
        }
    }

    #[test]
    fn paths_in_the_settings_are_from_the_settings() {
        for (from, to, expected) in [
            ("app/kuzflow", "app", ".."),
            ("app/kuzflow", "app/src", "../src"),
            ("app", "app/", "."),
            ("./publisher", "./app/icon.png", "../app/icon.png"),
            ("a/../app/kuzflow", "app/./x", "../x"),
        ] {
            assert_eq!(
                relative_to(Path::new(from), Path::new(to)),
                Path::new(expected),
                "{from} {to}"
            );
        }
    }
}
