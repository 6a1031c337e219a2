//! `kuzflow publish --build`: fetches the package of a build that a server made, so that whoever has
//! the key publishes it.
//!
//! In: the build's id, the server, a token. Out: a package in the publisher's folder, proved, and the
//! lines that say what will be signed. Never: a package of which a byte was not proved; a download
//! that begins anew where its beginning is here.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::shared::VerbError;
use super::shared::output::Say;
use super::shared::token;
use crate::model::report::RandomId;
use crate::model::{ContainerId, Digest};
use crate::publish::Project;
use crate::publish::package::{Effort, Package, inspect};
use crate::{https, look, threads};

/// Largest answer about a build, bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// How long the server may take to say what a build is.
const ANSWER_TIME: Duration = Duration::from_secs(60);
/// The folder for packages, in the publisher's folder.
const PACKAGES: &str = "packages";

/// Builds of a server.
#[derive(Debug, Args)]
pub(super) struct BuiltElsewhere {
    /// Publish what a server has built, by the build's id. Those of one version for several
    /// platforms belong in one call.
    #[arg(long, value_name = "ID", requires = "server")]
    build: Vec<RandomId>,
    /// The server that has built it.
    #[arg(long, value_name = "URL", requires = "build")]
    server: Option<url::Url>,
    /// The file with a token of that server, whose role is build.
    #[arg(long, value_name = "FILE", requires = "build")]
    token_file: Option<PathBuf>,
}

/// What a server says of a build.
#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    x_user: String,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    git_ref: Option<String>,
    result: Option<Built>,
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Debug, Deserialize)]
struct Built {
    container_id: ContainerId,
    length: u64,
    hash: Digest,
    /// Absent once the server has removed the package.
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    message: String,
}

impl BuiltElsewhere {
    /// Fetches the packages of all builds that were named, and shows what they are.
    pub(super) fn fetch(&self, project: &Project, say: &Say) -> Result<Vec<PathBuf>, VerbError> {
        let Some(server) = &self.server else { return Ok(Vec::new()) };
        let token = token::read(self.token_file.as_deref())?;
        let folder = project.folder().join(PACKAGES);
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let fetching = Fetching { server, token: &token, folder: &folder, say };
        self.build.iter().map(|id| fetching.package(&id.to_string())).collect()
    }
}

struct Fetching<'a> {
    server: &'a url::Url,
    token: &'a str,
    folder: &'a Path,
    say: &'a Say,
}

impl Fetching<'_> {
    fn address(&self, path: &str) -> url::Url {
        let mut address = self.server.clone();
        address.set_path(&format!("{}{path}", self.server.path().trim_end_matches('/')));
        address
    }

    /// The package of one build.
    fn package(&self, id: &str) -> Result<PathBuf, VerbError> {
        let answer = self.answer(id)?;
        let Some(built) = &answer.result else {
            let why = answer.error.as_ref().map(|error| format!(": {}", error.message));
            let why = why.unwrap_or_default();
            return Err(format!(
                "there is no package of the build {id}: it is {}{why}",
                answer.status
            )
            .into());
        };
        let path = self.folder.join(format!("{id}.kuzflow"));
        let is_here = digest(&path)?.is_some_and(|digest| digest == built.hash);
        if !is_here {
            self.download(id, built, &path)?;
        }
        let package = inspect(&path, Effort::default().threads)?;
        self.show(id, &answer, built, &package)?;
        Ok(path)
    }

    fn answer(&self, id: &str) -> Result<Answer, VerbError> {
        let server = self.server;
        let address = self.address(&format!("/api/containers/build/{id}"));
        let asked = https::get_with_token(address, self.token, MAX_ANSWER_BYTES);
        let body = threads::runtime(1)?
            .block_on(async { tokio::time::timeout(ANSWER_TIME, asked).await })
            .map_err(|_| format!("{server} does not answer"))?
            .map_err(|error| format!("{server} says nothing of the build {id}: {error}; is the id right, and is the role of the token build (--token-file)?"))?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Downloads the package, or the rest of it.
    fn download(&self, id: &str, built: &Built, path: &Path) -> Result<(), VerbError> {
        if built.url.is_none() {
            return Err(format!(
                "{} has removed the package of the build {id}; build it again",
                self.server
            )
            .into());
        }
        let partial = self.folder.join(format!("{id}.part"));
        let here = look::at(&partial)?.map_or(0, |found| found.len());
        let from = if here < built.length { here } else { 0 };
        let mut fetched = self.rest(id, built, &partial, from)?;
        if from > 0 && digest(&partial)? != Some(built.hash) {
            // What was here was the beginning of another file.
            fetched = self.rest(id, built, &partial, 0)?;
        }
        let found = digest(&partial)?;
        if found != Some(built.hash) {
            fs::remove_file(&partial)?;
            return Err(format!(
                "{} has sent another package than it has announced; nothing is published",
                self.server
            )
            .into());
        }
        fs::rename(&partial, path)
            .map_err(|error| format!("cannot rename {}: {error}", partial.display()))?;
        self.say.event(&json!({ "event": "fetched", "build": id, "bytes": fetched }));
        Ok(())
    }

    /// Appends what comes from `from` on; returns how many bytes came.
    fn rest(&self, id: &str, built: &Built, partial: &Path, from: u64) -> Result<u64, VerbError> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(from == 0).append(from > 0);
        let unwritable = |error| format!("cannot write {}: {error}", partial.display());
        let mut file = options.open(partial).map_err(unwritable)?;
        let mut came = 0;
        let etag = format!("\"{}\"", built.hash);
        let address = self.address(&format!("/api/containers/build/{id}/package"));
        let wanted = https::Resumed { address, token: self.token, from, etag: &etag };
        let mut sink = |bytes: &[u8], _: Option<u64>| {
            came += bytes.len() as u64;
            if from + came > built.length {
                return Err(std::io::Error::other("more bytes come than were announced"));
            }
            file.write_all(bytes)
        };
        let is_rest = threads::runtime(1)?
            .block_on(https::download_rest(&wanted, &mut sink))
            .map_err(|error| {
                format!("the package of the build {id} did not come: {error}; the same call goes on where it stopped")
            })?;
        file.sync_all().map_err(unwritable)?;
        if is_rest { Ok(came) } else { self.rest(id, built, partial, 0) }
    }

    /// Shows what will be signed.
    fn show(
        &self,
        id: &str,
        answer: &Answer,
        built: &Built,
        package: &Package,
    ) -> Result<(), VerbError> {
        let found = package.manifest.id();
        if found != built.container_id {
            return Err(format!(
                "the build {id} is announced as {}, and is {found}",
                built.container_id
            )
            .into());
        }
        let info = &package.manifest.container_info;
        let files = package.manifest.file_manifest.len();
        let unpacked = package.manifest.unpacked_size();
        let line = |name: &str, value: &str| self.say.line(&format!("  {name:<14} {value}"));
        self.say.line(&format!("build {id} of {}, to be signed:", self.server));
        line("container", &found.to_string());
        line("name", &package.manifest.application_info.display_name);
        line(
            "for",
            &format!("{} (token {})", answer.x_user, answer.token.as_deref().unwrap_or("–")),
        );
        line(
            "files",
            &format!("{files}, {unpacked} bytes unpacked, {} bytes packed", package.length),
        );
        line("SHA-256", &package.hash.to_string());
        let commit = info.git_commit.as_deref().unwrap_or("–");
        line(
            "commit",
            &answer.git_ref.as_ref().map_or(commit.to_owned(), |it| format!("{commit} ({it})")),
        );
        line("build number", info.build_number.as_deref().unwrap_or("–"));
        self.say.event(&json!({
            "event": "build", "build": id, "container": found, "files": files, "unpacked": unpacked,
            "length": package.length, "hash": package.hash, "commit": info.git_commit,
        }));
        Ok(())
    }
}

/// The digest of a file; `None` if it is not there.
fn digest(path: &Path) -> Result<Option<Digest>, VerbError> {
    if !look::is_there(path)? {
        return Ok(None);
    }
    let file =
        File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    Ok(Some(look::digest(file)?))
}
