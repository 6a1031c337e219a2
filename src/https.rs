//! HTTP clients whose https works as far as this computer allows it.
//!
//! The system chooses the trusted certificate authorities. Where that choice cannot be read (a
//! variable that names a missing file, a container without certificates), the usual places of
//! certificates count instead. If these are missing too, each https server is refused, and
//! everything else works. In: how to build a client, or an address. Out: a client, or what is at the
//! address. Never: accepts a server without a trusted certificate; waits for a silent one for ever.

#[cfg(feature = "publisher")]
use std::io;
#[cfg(not(any(windows, target_vendor = "apple")))]
use std::path::Path;
#[cfg(feature = "publisher")]
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Error};
#[cfg(feature = "publisher")]
use url::Url;

use crate::error_chain;

/// Where Debian, Fedora, openSUSE and Alpine store certificates.
#[cfg(not(any(windows, target_vendor = "apple")))]
const USUAL: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The client that `builder` describes, with the system's certificates as far as they are
/// available.
pub(crate) fn client(builder: impl Fn() -> Result<ClientBuilder, Error>) -> Result<Client, Error> {
    builder()?.build().or_else(|error| {
        let found = usual();
        tracing::warn!(
            error = error_chain::line(&error),
            found = found.len(),
            "the certificates that this computer names cannot be used; those in the usual places are"
        );
        builder()?.tls_certs_only(found).build()
    })
}

/// A client for addresses that are never https.
pub(crate) fn plain_client(builder: ClientBuilder) -> Result<Client, Error> {
    builder.tls_certs_only([]).build()
}

/// The silence that ends a download.
#[cfg(feature = "publisher")]
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Takes a part of a download, and its whole length if the server has said it.
#[cfg(feature = "publisher")]
pub(crate) type DownloadSink<'a> = dyn FnMut(&[u8], Option<u64>) -> io::Result<()> + 'a;

/// Downloads what is at `address`; `sink` gets it part by part.
#[cfg(feature = "publisher")]
pub(crate) async fn download(address: Url, sink: &mut DownloadSink<'_>) -> io::Result<()> {
    let failed = |error: Error| io::Error::other(error.without_url());
    let build = || Ok(Client::builder().connect_timeout(IDLE_TIMEOUT).read_timeout(IDLE_TIMEOUT));
    let response = client(build).map_err(failed)?.get(address).send().await.map_err(failed)?;
    let mut response = response.error_for_status().map_err(failed)?;
    let length = response.content_length();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        sink(&part, length)?;
    }
    Ok(())
}

/// Fetches a document of at most `limit` bytes, with a token if that is not empty.
#[cfg(feature = "publisher")]
pub(crate) async fn get_with_token(address: Url, token: &str, limit: usize) -> io::Result<Vec<u8>> {
    let failed = |error: Error| io::Error::other(error.without_url());
    let build = || Ok(Client::builder().connect_timeout(IDLE_TIMEOUT).read_timeout(IDLE_TIMEOUT));
    let mut request = client(build).map_err(failed)?.get(address);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    let mut response =
        request.send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        if body.len() + part.len() > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// A file that is fetched with a token, from a place on if its beginning is here already.
#[cfg(feature = "publisher")]
#[derive(Clone, Debug)]
pub(crate) struct Resumed<'a> {
    pub address: Url,
    pub token: &'a str,
    /// Bytes that are here.
    pub from: u64,
    /// The file's entity tag: of another file nothing comes.
    pub etag: &'a str,
}

/// Fetches the rest of a file; `sink` gets it part by part. Returns false if the server sends no such
/// rest, and nothing has come.
#[cfg(feature = "publisher")]
pub(crate) async fn download_rest(
    file: &Resumed<'_>,
    sink: &mut DownloadSink<'_>,
) -> io::Result<bool> {
    let failed = |error: Error| io::Error::other(error.without_url());
    let build = || Ok(Client::builder().connect_timeout(IDLE_TIMEOUT).read_timeout(IDLE_TIMEOUT));
    let mut request = client(build).map_err(failed)?.get(file.address.clone());
    if !file.token.is_empty() {
        request = request.bearer_auth(file.token);
    }
    if file.from > 0 {
        let range = format!("bytes={}-", file.from);
        request = request.header("range", range).header("if-range", file.etag);
    }
    let response = request.send().await.map_err(failed)?;
    let is_rest = response.status() == reqwest::StatusCode::PARTIAL_CONTENT;
    let refuses = response.status() == reqwest::StatusCode::RANGE_NOT_SATISFIABLE;
    if file.from > 0 && (refuses || response.status().is_success() && !is_rest) {
        return Ok(false);
    }
    let mut response = response.error_for_status().map_err(failed)?;
    let length = response.content_length();
    while let Some(part) = response.chunk().await.map_err(failed)? {
        sink(&part, length)?;
    }
    Ok(true)
}

#[cfg(not(any(windows, target_vendor = "apple")))]
fn usual() -> Vec<Certificate> {
    first_of(USUAL.iter().map(Path::new))
}

/// On these systems the system itself decides, and no variable changes that.
#[cfg(any(windows, target_vendor = "apple"))]
fn usual() -> Vec<Certificate> {
    Vec::new()
}

/// The certificates of the first file that holds any.
#[cfg(not(any(windows, target_vendor = "apple")))]
fn first_of<'a>(files: impl Iterator<Item = &'a Path>) -> Vec<Certificate> {
    let read = |file: &Path| {
        Certificate::from_pem_bundle(&std::fs::read(file).ok()?)
            .ok()
            .filter(|found| !found.is_empty())
    };
    files.into_iter().find_map(read).unwrap_or_default()
}

#[cfg(all(test, not(any(windows, target_vendor = "apple"))))]
mod tests {
    use super::*;

    /// The certificate of an authority that signs no server.
    const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUCCY8eIgl4uaWV35MOsQtVcpO+q4wCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyODEwMzAyOVoYDzIxMjYxMTA0MTAz
MDI5WjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQ5SVDMRK+8yarRdIRdyRNwlnyWmk1rzL9QwdDBtzRbCaMzidYR8KCQ9sVjSCtd
KSCiEGypRuOyt7oMKNR4/eQ2o1MwUTAdBgNVHQ4EFgQUuX4SHn7lU/cqQM4dA1yS
Z7VtAbkwHwYDVR0jBBgwFoAUuX4SHn7lU/cqQM4dA1ySZ7VtAbkwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAx/GgfbiMOnGMcaI9P8LnmSMJfu76
Fbjp3LnXcNWgPyoCIC7A+UO7xOCNbKsylKSIi694w2BUBZ4fHFG25ZpRQtE9
-----END CERTIFICATE-----
";

    #[test]
    fn the_first_file_with_certificates_counts() {
        let folder = tempfile::tempdir().unwrap();
        let [none, empty, good] = ["none", "empty", "good"].map(|name| folder.path().join(name));
        std::fs::write(&empty, "no certificate").unwrap();
        std::fs::write(&good, AUTHORITY.repeat(2)).unwrap();
        let found = |files: &[&Path]| first_of(files.iter().copied()).len();
        assert_eq!(found(&[&none, &empty, &good]), 2);
        assert_eq!(found(&[&none, &empty]), 0);
    }

    #[test]
    fn a_client_without_any_certificate_can_be_had() {
        assert!(plain_client(Client::builder()).is_ok());
    }
}
