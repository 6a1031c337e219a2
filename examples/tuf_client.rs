//! The launcher's own TUF client with the command line of TUF's conformance suite
//! (`tests/conformance/run`).
//!
//! Nothing here decides what is trusted: that is `kuzflow::trust`, over the HTTP client of
//! `kuzflow::fetch`, as in the launcher. This example writes the trusted documents as the files
//! that the suite reads. It is stricter in one point: where the launcher continues with its stored
//! metadata because a mirror lags behind, the suite expects an error, so the example ends with
//! status 1.

#![allow(clippy::disallowed_methods)] // a program of its own
#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kuzflow::testing::fetch::{Client, ClientOptions, FetchError};
use kuzflow::testing::trust::{MetadataSource, SourceError, Trust};
use url::Url;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The command line of the conformance suite.
#[derive(Default)]
struct Request {
    metadata_dir: PathBuf,
    metadata_url: Option<Url>,
    target_names: Vec<String>,
    target_base_url: Option<Url>,
    target_dir: PathBuf,
    command: String,
    trusted_root: PathBuf,
}

impl Request {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut request = Self::default();
        let folder = |text: String| -> Result<Option<Url>, Failure> {
            Ok(Some(format!("{}/", text.trim_end_matches('/')).parse()?))
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--metadata-dir" => request.metadata_dir = value()?.into(),
                "--metadata-url" => request.metadata_url = folder(value()?)?,
                "--target-name" => request.target_names.push(value()?),
                "--target-base-url" => request.target_base_url = folder(value()?)?,
                "--target-dir" => request.target_dir = value()?.into(),
                "init" => {
                    (request.command, request.trusted_root) = (argument.clone(), value()?.into())
                }
                "refresh" | "download" => request.command = argument,
                _ => return Err(format!("{argument} is not known").into()),
            }
        }
        Ok(request)
    }

    /// The folder of the client's own state, which the suite does not read.
    fn state(&self) -> PathBuf {
        self.metadata_dir.join(".state")
    }

    fn initial_root(&self) -> PathBuf {
        self.metadata_dir.join(".initial_root")
    }
}

/// A repository whose metadata and targets lie at two addresses.
struct Source {
    client: Client,
    metadata: Url,
    targets: Option<Url>,
}

#[async_trait::async_trait]
impl MetadataSource for Source {
    fn name(&self) -> &str {
        self.metadata.as_str()
    }

    async fn get(&self, location: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let other = |error: Failure| SourceError::Other(error);
        let url = match (
            location.strip_prefix("metadata/"),
            location.strip_prefix("targets/"),
            &self.targets,
        ) {
            (Some(name), ..) => self.metadata.join(name),
            (_, Some(name), Some(targets)) => targets.join(name),
            _ => return Err(SourceError::NotFound),
        };
        match self.client.get(&url.map_err(|error| other(error.into()))?, limit).await {
            Ok(body) => Ok(body.to_vec()),
            Err(error) if error.is_not_found() => Err(SourceError::NotFound),
            Err(FetchError::TooLarge { limit, .. }) => Err(SourceError::TooLong { limit }),
            Err(error) => Err(other(error.into())),
        }
    }
}

async fn run(request: &Request) -> Result<(), Failure> {
    if request.command == "init" {
        let root = std::fs::read(&request.trusted_root)?;
        std::fs::write(request.initial_root(), &root)?;
        std::fs::write(request.metadata_dir.join("root.json"), root)?;
        return Ok(());
    }
    let trust = Trust::new(request.state(), std::fs::read(request.initial_root())?);
    let metadata = request.metadata_url.clone().ok_or("--metadata-url is missing")?;
    let client = Client::new(&ClientOptions::default())?;
    let mirror: Arc<dyn MetadataSource> =
        Arc::new(Source { client, metadata, targets: request.target_base_url.clone() });
    let result = work(request, &trust, &mirror).await;
    show(&trust, &request.metadata_dir)?;
    result
}

async fn work(
    request: &Request,
    trust: &Trust,
    mirror: &Arc<dyn MetadataSource>,
) -> Result<(), Failure> {
    let mirrors = std::slice::from_ref(mirror);
    let now = jiff::Timestamp::now();
    let refreshed = trust.refresh(mirrors, now).await?;
    if let Some(fault) = refreshed.faults.into_iter().next() {
        return Err(fault.into());
    }
    for name in &request.target_names {
        let target = trust.find_target(mirrors, name, now).await?;
        // Each name becomes one flat file, whatever characters it has.
        let file = request.target_dir.join(name.replace('%', "%25").replace('/', "%2F"));
        if std::fs::read(&file).is_ok_and(|bytes| target.is(&bytes)) {
            continue;
        }
        let bytes = mirror.get(&target.location, target.length).await?;
        if !target.is(&bytes) {
            return Err(format!("{name} is not what was signed").into());
        }
        std::fs::write(file, bytes)?;
    }
    Ok(())
}

/// Writes the trusted documents where the suite reads them.
fn show(trust: &Trust, folder: &Path) -> Result<(), Failure> {
    let texts = trust.texts()?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let role = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".json"));
        if role.is_some_and(|role| !texts.iter().any(|(known, _)| known == role)) {
            std::fs::remove_file(path)?;
        }
    }
    for (role, text) in texts {
        std::fs::write(folder.join(format!("{role}.json")), text)?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    let result = match Request::parse(std::env::args().skip(1)) {
        Ok(request) => run(&request).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", kuzflow::testing::error_chain::line(error.as_ref()));
            std::process::ExitCode::FAILURE
        }
    }
}
