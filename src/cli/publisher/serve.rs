//! `kuzflow serve`: serves a repository over HTTP.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgGroup, Args};
use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::passwords::ask;
use super::shared::project;
use crate::app::Ending;
use crate::app::streams::write_line;
use crate::fleet::Place;
use crate::publish::package::Effort;
use crate::publish::{Keyring, LoginSettings, Project};
use crate::server::{
    self, BuildOptions, FleetOptions, Making, ProjectMaker, ServerOptions, Steering,
};

/// The regions that launchers know.
const REGIONS: [&str; 4] = ["Asia-Pacific", "Europe", "Americas", "Global"];

/// The arguments of `kuzflow serve`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("signing").args(["make_patches", "steer"]).multiple(true))]
pub(super) struct ServeArguments {
    /// The publisher's folder or a repository; the folder in or around the current one if absent.
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Address and port; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// This node's name, as its answers and /healthz tell it. Launchers learn of nodes from
    /// [[nodes]] in kuzflow.toml.
    #[arg(long, value_name = "NAME", default_value = "kuzflow")]
    node: String,
    /// This node's region, as /healthz tells it. Which nodes a launcher tries first follows from
    /// [[nodes]] in kuzflow.toml.
    #[arg(long, value_name = "NAME", default_value = "Global", value_parser = region)]
    region: String,
    /// Where clients reach this node, if nodes.json does not say it.
    #[arg(long, value_name = "URL")]
    public_url: Option<url::Url>,
    /// Seconds between health checks of the other nodes; 0 for none.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    health_interval: u64,
    /// How many launchers may wait for news of a release at the same time.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(..=100_000))]
    listeners: u32,
    /// How many of them may have the same address.
    #[arg(long, value_name = "N", default_value_t = 256)]
    listeners_per_address: u32,
    /// How many connections one address may hold besides its listeners.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    connections_per_address: u32,
    /// A reverse proxy stands before this server, says who asks in X-Forwarded-For, and bounds what
    /// one address may hold.
    #[arg(long)]
    behind_proxy: bool,
    /// Take the logins of people from the reverse proxy, as [server.login] in kuzflow.toml says. Needs
    /// the publisher's folder.
    #[arg(long, requires_all = ["data", "behind_proxy"])]
    trust_proxy_login: bool,
    /// Keep the addresses of clients out of the log.
    #[arg(long)]
    no_addresses: bool,
    /// Store what launchers report, in this folder or in a PostgreSQL that several servers share, and
    /// build apps that are sent. Numbers: `kuzflow stats`, GET /metrics, `kuzflow token`.
    #[arg(long, value_name = "DIR|URL")]
    data: Option<Place>,
    /// A file with one more token for reading numbers, which is made if it is missing; read-token in
    /// the folder of --data if absent, none for a PostgreSQL.
    #[arg(long, value_name = "FILE", requires = "data")]
    read_token: Option<PathBuf>,
    /// The folder for builds on request; builds in the folder of --data if absent. Servers that share
    /// a PostgreSQL share this folder as well, and build nothing without it.
    #[arg(long, value_name = "DIR", requires = "data")]
    builds: Option<PathBuf>,
    /// Build although there is no bubblewrap, or its sandbox does not work here. Whoever may build
    /// may then do what this server may: read its keys, for example.
    #[arg(long, requires = "data")]
    unsandboxed: bool,
    /// Make patch packs that clients ask for and the repository lacks. Needs the publisher's folder
    /// with its online keys.
    #[arg(long)]
    make_patches: bool,
    /// How many packs are made at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "make_patches", value_parser = clap::value_parser!(u8).range(1..=16))]
    workers: u8,
    /// Move rollouts within the plans that are signed with their releases: by what launchers report,
    /// and by requests with a token for operators. Needs the publisher's folder with its online keys.
    #[arg(long, requires = "data")]
    steer: bool,
    /// More folders with keys.
    #[arg(long, value_name = "DIR", requires = "signing")]
    keys: Vec<PathBuf>,
}

/// Serves a repository until a signal stops it.
pub(super) fn serve(arguments: ServeArguments, say: &Say) -> Result<Ending, VerbError> {
    super::shared::passwords::check_folders(&arguments.keys)?;
    let folder = project::folder(arguments.repo.as_deref())?;
    let inner = folder.join("repository");
    let repository =
        arguments.repo.clone().filter(|repo| repo.join("metadata").is_dir()).unwrap_or(inner);
    let mut options = ServerOptions::new(repository);
    // A repository without its publisher's folder is served as well. Settings with a mistake are an
    // error.
    let has_project = arguments.make_patches
        || arguments.steer
        || arguments.trust_proxy_login
        || folder.join("kuzflow.toml").exists();
    let project = has_project.then(|| Project::open(&folder)).transpose()?;
    if let Some(project) = &project {
        options.fallback = project.settings().fallback.clone();
        options.lifetimes = project.settings().lifetimes;
        options.making = arguments
            .make_patches
            .then(|| making(project, &arguments, keyring(project, &arguments)));
        options.steering = arguments.steer.then(|| Steering {
            folder: project.folder().to_owned(),
            keyring: Arc::new(keyring(project, &arguments)),
        });
    }
    options.fleet = fleet(&arguments, login(&arguments, project.as_ref())?);
    options.builds = builds(&arguments, project.as_ref());
    options.node = arguments.node;
    options.region = arguments.region;
    options.public_url = arguments.public_url;
    options.health_interval =
        Some(arguments.health_interval).filter(|seconds| *seconds > 0).map(Duration::from_secs);
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    options.limits.listeners = count(arguments.listeners);
    options.limits.listeners_per_address = count(arguments.listeners_per_address);
    options.limits.connections_per_address = count(arguments.connections_per_address);
    options.behind_proxy = arguments.behind_proxy;
    options.log_addresses = !arguments.no_addresses;
    // Faults of the repository are reported before the server takes an address and announces that
    // it serves.
    check_repository(&options)?;
    #[allow(clippy::disallowed_methods)] // a server without threads cannot begin
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listen = arguments.listen;
        let listener = tokio::net::TcpListener::bind(listen).await.map_err(|error| {
            format!("cannot listen on {listen}: {error}; choose another address with --listen")
        })?;
        let address = listener.local_addr()?;
        say.line(&format!("serving {} on http://{address}/", options.repository.display()));
        if say.is_json() {
            write_line(&json!({ "event": "serving", "address": address.to_string() }).to_string());
        }
        server::serve(options, listener, stop_signal()).await?;
        Ok::<(), VerbError>(())
    })?;
    say.result(json!({ "status": "done" }));
    Ok(Ending::Done)
}

fn region(text: &str) -> Result<String, String> {
    let known = REGIONS.into_iter().find(|known| known.eq_ignore_ascii_case(text));
    known
        .map(str::to_owned)
        .ok_or_else(|| format!("not a region: {text:?}, expected {}", REGIONS.join(", ")))
}

/// Where reports are stored, if the operator wants any.
fn fleet(arguments: &ServeArguments, login: Option<LoginSettings>) -> Option<FleetOptions> {
    let place = arguments.data.clone()?;
    let token = match (&arguments.read_token, &place) {
        (Some(file), _) => Some(file.clone()),
        (None, Place::Folder(folder)) => Some(folder.join("read-token")),
        (None, Place::Postgres(_)) => None,
    };
    Some(FleetOptions { place, token, login })
}

/// Whose logins are taken from a reverse proxy.
fn login(
    arguments: &ServeArguments,
    project: Option<&Project>,
) -> Result<Option<LoginSettings>, VerbError> {
    let Some(project) = project.filter(|_| arguments.trust_proxy_login) else { return Ok(None) };
    let login = &project.settings().server.login;
    if login.proxies.is_empty() || (login.roles.is_empty() && login.users.is_empty()) {
        return Err("--trust-proxy-login: [server.login] in kuzflow.toml names no proxies, or no roles and users; nobody could log in".into());
    }
    Ok(Some(login.clone()))
}

/// Where and how builds are made, if the operator has a place for them.
fn builds(arguments: &ServeArguments, project: Option<&Project>) -> Option<BuildOptions> {
    let folder = match (&arguments.builds, arguments.data.as_ref()?) {
        (Some(folder), _) => folder.clone(),
        (None, Place::Folder(data)) => server::usual_folder(data),
        (None, Place::Postgres(_)) => return None,
    };
    let settings = project.map(|project| project.settings().server.builds.clone());
    let runtimes =
        project.map(|project| (project.settings().runtimes.clone(), project.folder().to_owned()));
    Some(BuildOptions {
        folder,
        settings: settings.unwrap_or_default(),
        unsandboxed: arguments.unsandboxed,
        app: project.map(|project| project.settings().app.clone()),
        runtimes: runtimes.unwrap_or_default(),
    })
}

fn check_repository(options: &ServerOptions) -> Result<(), VerbError> {
    let folder = &options.repository;
    if !folder.join("metadata/timestamp.json").is_file() {
        let hint = "name the folder that `kuzflow init` made, or the repository in it, with --repo";
        return Err(format!("there is no repository in {}; {hint}", folder.display()).into());
    }
    let without_making = ServerOptions {
        making: None,
        fleet: None,
        builds: None,
        steering: None,
        ..options.clone()
    };
    server::app(&without_making).map(|_| ()).map_err(VerbError::from)
}

/// The keys that this server signs with.
fn keyring(project: &Project, arguments: &ServeArguments) -> Keyring {
    let folders = arguments.keys.iter().cloned().chain([project.keys_folder()]);
    Keyring::new(folders).with_passwords(ask)
}

/// The settings for making packs in this publisher's folder.
fn making(project: &Project, arguments: &ServeArguments, keyring: Keyring) -> Making {
    let workers = usize::from(arguments.workers);
    let threads = (Effort::default().threads / workers).max(1);
    Making {
        jobs: project.folder().join("patch-jobs"),
        workers,
        maker: Arc::new(ProjectMaker::new(project.folder().to_owned(), keyring, threads)),
    }
}

/// Ctrl-C, or the service manager's SIGTERM.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// An address to listen on: numbers, or a name of this computer such as `localhost`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let named = || text.to_socket_addrs().ok()?.next();
    text.parse().ok().or_else(named).ok_or_else(|| {
        "expected an address and a port, for example 127.0.0.1:8080 for this computer, 0.0.0.0:8080 for every network".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_and_may_be_a_name() {
        assert_eq!(address("0.0.0.0:80").unwrap().port(), 80);
        assert!(address("localhost:8080").unwrap().ip().is_loopback());
        for wrong in ["127.0.0.1", "127.0.0.1:80x", "8080", ""] {
            assert!(address(wrong).unwrap_err().contains("127.0.0.1:8080"), "{wrong}");
        }
    }
}
