//! The demo: everything that a newcomer needs to see an update, in one folder and one process. It
//! makes two releases of a sample app with the host's Python, a publisher's folder, and three local
//! nodes of different speed, one of which fails midway.
//!
//! In: a folder. Out: settings for a launcher, and nodes that serve until the value is dropped.
//! Never: does anything that the real publisher, server and launcher do not do.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::durable;
use crate::error_chain;
use crate::file_error::{FileError, FileResult as _};
use crate::host;
use crate::model::platform::{AppName, InvalidAppName};
use crate::model::{Node, Version};
use crate::publish::bundling::{BuildError, BuildProgress, BuildRequest, EntryPoint, build};
use crate::publish::package::{Effort, inspect, release_of};
use crate::publish::{
    InitOptions, Keyring, MetadataForm, PackageToPublish, Project, ProjectSettings, PublishError,
};
use crate::server::fault_injection::FaultInjection;
use crate::server::{self, ServerError, ServerOptions};
use crate::settings::Settings;

const APP: &str = include_str!("../../assets/demo/app.py");
const NOTES: [(&str, &str); 2] = [
    ("zh-CN", include_str!("../../assets/demo/notes.zh-CN.md")),
    ("en", include_str!("../../assets/demo/notes.en.md")),
];
const OLD: Version = Version::new(1, 0, 0);
const NEW: Version = Version::new(2, 0, 0);

/// The nodes: id, name, region, bytes a second, bytes after which the node fails.
const NODES: [(&str, &str, &str, u64, Option<u64>); 3] = [
    ("shanghai", "上海 Shanghai", "Asia-Pacific", 4_000_000, None),
    ("frankfurt", "Frankfurt", "Europe", 2_500_000, None),
    ("oregon", "Oregon", "Americas", 1_500_000, Some(3_000_000)),
];

/// A prepared demo: the releases are built, and one node serves the old one.
#[derive(Debug)]
pub(crate) struct Demo {
    folder: PathBuf,
    project: Project,
    built: PathBuf,
    origin: SocketAddr,
    runtime: Runtime,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The sample app cannot be built, for example without Python.
    #[error("the sample app cannot be built")]
    Build(#[from] BuildError),
    /// It cannot be published.
    #[error("the sample app cannot be published")]
    Publish(#[from] PublishError),
    /// A node cannot serve.
    #[error("a local node cannot serve")]
    Serve(#[from] ServerError),
    /// A file or a socket failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The settings cannot be written down.
    #[error("the launcher's settings cannot be written")]
    Settings(#[from] toml::ser::Error),
    /// The sample app's name.
    #[error(transparent)]
    Name(#[from] InvalidAppName),
    /// The sample app's entry point.
    #[error(transparent)]
    Entry(#[from] crate::model::path::UnsafePath),
    /// A node's address.
    #[error(transparent)]
    Address(#[from] url::ParseError),
}

impl Demo {
    /// Builds both releases in `folder`, publishes the old one, and serves it. `megabytes` of noise
    /// go into the new release, so that there is something to download.
    pub(crate) fn prepare(
        folder: &Path,
        megabytes: u32,
        progress: &(dyn Fn(&Version, BuildProgress) + Sync),
    ) -> Result<Self, DemoError> {
        let name: AppName = "sample".parse()?;
        let built = folder.join("built");
        fs::create_dir_all(&built).at("create", &built)?;
        for (version, greeting, noise) in [
            (&OLD, "Hello from the old release", 1),
            (&NEW, "Hello from the NEW release", megabytes),
        ] {
            let app = folder.join(format!("app-{version}"));
            write_app(&app, greeting, noise)?;
            let mut request = BuildRequest::new(
                &app,
                name.clone(),
                version.clone(),
                EntryPoint::Script("app.py".parse()?),
            );
            request.display_name = "Sample App".to_owned();
            request.description = "The sample app of the demo".to_owned();
            // Users judge a demo by its waiting time, not by the size of its package.
            request.effort.level = 3;
            build(&request, &built.join(format!("{version}.kuzflow")), &|step| {
                progress(version, step)
            })?;
        }
        #[allow(clippy::disallowed_methods)] // the demo without threads cannot begin
        let runtime = Runtime::new().at("start the nodes in", folder)?;
        let bind = || runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = bind().at("listen for", folder)?;
        let origin = listener.local_addr().at("listen for", folder)?;
        let nodes = vec![Node::at(format!("http://{origin}/").parse()?)];
        let settings = ProjectSettings { nodes, ..ProjectSettings::new(name, "Sample App") };
        let options = InitOptions {
            settings,
            root_keys: 1,
            root_threshold: 1,
            form: MetadataForm::Roles,
            offline_password: None,
            online_password: None,
        };
        let project = Project::init(&folder.join("publisher"), &options, host::now())?;
        let server = ServerOptions::new(project.repository());
        runtime.spawn(async move {
            if let Err(error) = server::serve(server, listener, std::future::pending()).await {
                tracing::error!(error = error_chain::line(&error), "the demo's server has ended");
            }
        });
        let demo = Self { folder: folder.to_owned(), project, built, origin, runtime };
        demo.publish(&OLD)?;
        Ok(demo)
    }

    /// The path of the launcher's settings; `root.json` lies beside them.
    pub(crate) fn config(&self) -> PathBuf {
        self.project.launcher_folder().join("launcher.toml")
    }

    /// The folder where the sample app is installed.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// Publishes the new release, and replaces the single node by three slow ones.
    pub(crate) fn go_on(&self) -> Result<(), DemoError> {
        self.publish(&NEW)?;
        let path = self.config();
        let mut settings =
            Settings::read(&path).map_err(std::io::Error::other).at("read", &path)?;
        settings.region = "Asia-Pacific".to_owned();
        settings.update.delay_seconds = 0;
        settings.nodes.clear();
        for (id, name, region, bytes_per_second, dies_after_bytes) in NODES {
            let listener = self
                .runtime
                .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
                .at("listen for", &path)?;
            let address = listener.local_addr().at("listen for", &path)?;
            let fault_injection =
                FaultInjection { bytes_per_second: Some(bytes_per_second), dies_after_bytes };
            let origin = self.origin;
            self.runtime.spawn(async move {
                if let Err(error) = fault_injection.run(listener, origin).await {
                    tracing::error!(
                        error = error_chain::line(&error),
                        id,
                        "a node of the demo has ended"
                    );
                }
            });
            let url = format!("http://{address}/").parse()?;
            settings.nodes.push(Node {
                id: id.to_owned(),
                name: name.to_owned(),
                region: region.to_owned(),
                ..Node::at(url)
            });
        }
        fs::write(&path, toml::to_string(&settings)?).at("write", &path)?;
        // The published list names the old single node, which is fast. An empty list keeps it from
        // coming back.
        let list = self.project.repository().join("nodes.json");
        Ok(durable::replace(&list, b"[]").at("write", &list)?)
    }

    fn publish(&self, version: &Version) -> Result<(), DemoError> {
        let path = self.built.join(format!("{version}.kuzflow"));
        let package = inspect(&path, Effort::default().threads).map_err(BuildError::from)?;
        let release = release_of(&package, "stable", host::now());
        let mut notes = BTreeMap::new();
        for (language, text) in NOTES {
            let file = self.built.join(format!("notes.{language}.md"));
            fs::write(&file, text).at("write", &file)?;
            notes.insert(language.to_owned(), file);
        }
        let keyring = Keyring::new([self.project.keys_folder()]);
        self.project
            .publish(
                &[PackageToPublish { path, release, manifest: package.manifest, notes }],
                &keyring,
                host::now(),
            )?
            .run()?;
        Ok(())
    }
}

fn write_app(app: &Path, greeting: &str, megabytes: u32) -> Result<(), DemoError> {
    fs::create_dir_all(app).at("create", app)?;
    // Noise does not compress; the same seed gives the same bytes.
    let mut random = fastrand::Rng::with_seed(u64::from(megabytes));
    let mut noise = vec![0; (megabytes as usize) << 20];
    random.fill(&mut noise);
    let files = [
        ("app.py", APP.as_bytes().to_vec()),
        ("greeting.py", format!("GREETING = {greeting:?}\n").into_bytes()),
        ("noise.bin", noise),
    ];
    for (name, bytes) in files {
        let path = app.join(name);
        fs::write(&path, bytes).at("write", &path)?;
    }
    Ok(())
}
