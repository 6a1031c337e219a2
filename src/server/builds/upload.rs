//! The body of a request for a build: `multipart/form-data` with an archive, or JSON without one.
//!
//! In: a body that grows as the client sends it. Out: fields by their names, and the archive as a
//! file with its digest. Never: an archive in memory; more bytes than allowed; a client that is
//! silent for ever; a file that stays if the request is not taken.

use std::io;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

use super::folder::BuildFolder;
use super::order::{FIELDS, Fields};
use crate::file_error::{FileError, FileResult as _};
use crate::model::Digest;
use crate::model::digest::Hasher;
use crate::server::refusal::Refusal;

/// The field with the archive.
const ARCHIVE: &str = "archive";
/// Largest field of text, and largest body of JSON, bytes.
const TEXT_BYTES: usize = 64 << 10;
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// An archive that was sent.
pub(super) struct Archive {
    pub(super) file: NamedTempFile,
    pub(super) digest: Digest,
    pub(super) length: u64,
}

/// What a request says and brings.
#[derive(Default)]
pub(super) struct Sent {
    pub(super) fields: Fields,
    pub(super) archive: Option<Archive>,
}

/// Receives the body; `most` is the largest archive in bytes.
pub(super) async fn receive(
    request: Request,
    folder: &BuildFolder,
    most: u64,
) -> Result<Sent, Refusal> {
    if has_type(request.headers(), "application/json") {
        let body = tokio::time::timeout(SILENCE, to_bytes(request.into_body(), TEXT_BYTES));
        let body = body.await.map_err(|_| silent())?.map_err(|_| {
            too_large(format!("a request without an archive has at most {TEXT_BYTES} bytes"))
        })?;
        let fields = of_json(&body).map_err(Refusal::bad)?;
        return Ok(Sent { fields, archive: None });
    }
    let mut parts = Multipart::from_request(request, &()).await.map_err(|_| {
        Refusal::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send multipart/form-data with an archive, or application/json with a git_ref",
        )
    })?;
    let mut sent = Sent::default();
    loop {
        let next = tokio::time::timeout(SILENCE, parts.next_field());
        let Some(field) = next.await.map_err(|_| silent())?.map_err(|error| broken(&error))? else {
            return Ok(sent);
        };
        let name = field.name().unwrap_or_default().to_owned();
        if name == ARCHIVE {
            if sent.archive.is_some() {
                return Err(Refusal::bad("archive: it is there twice"));
            }
            sent.archive = Some(store(field, folder, most).await?);
        } else if FIELDS.contains(&name.as_str()) {
            let text = text(field).await?;
            if sent.fields.insert(name.clone(), text).is_some() {
                return Err(Refusal::bad(format!("{name}: it is there twice")));
            }
        } else {
            let name: String = name.chars().take(64).collect();
            let known = FIELDS.join(", ");
            return Err(Refusal::bad(format!("{name:?}: unknown; expected archive, {known}")));
        }
    }
}

fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

/// The fields of a JSON object; `build_config` is an object in it.
fn of_json(body: &[u8]) -> Result<Fields, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|error| format!("the request: {error}"))?;
    let mut fields = Fields::new();
    for (name, value) in object {
        if !FIELDS.contains(&name.as_str()) {
            return Err(format!("{name:?}: unknown; expected {}", FIELDS.join(", ")));
        }
        let text = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        fields.insert(name, text);
    }
    Ok(fields)
}

async fn next_chunk(field: &mut Field<'_>) -> Result<Option<bytes::Bytes>, Refusal> {
    let chunk = tokio::time::timeout(SILENCE, field.chunk()).await.map_err(|_| silent())?;
    chunk.map_err(|error| broken(&error))
}

async fn text(mut field: Field<'_>) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(&mut field).await? {
        if bytes.len() + chunk.len() > TEXT_BYTES {
            return Err(too_large(format!("a field has at most {TEXT_BYTES} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Refusal::bad("a field is no text"))
}

/// Writes the archive to the disk as it comes. The file goes if the request is broken off.
async fn store(mut field: Field<'_>, folder: &BuildFolder, most: u64) -> Result<Archive, Refusal> {
    let uploads = folder.uploads();
    let failed = |error: FileError| Refusal::internal(&error);
    let file = NamedTempFile::new_in(&uploads).at("write to", &uploads).map_err(failed)?;
    let path = file.path().to_owned();
    let copy = file.reopen().at("open", &path).map_err(failed)?;
    let mut out = tokio::fs::File::from_std(copy);
    let (mut hasher, mut length) = (Hasher::default(), 0u64);
    while let Some(chunk) = next_chunk(&mut field).await? {
        length += chunk.len() as u64;
        if length > most {
            return Err(too_large(format!(
                "an archive has at most {} MB here (upload_mb in [server.builds])",
                most >> 20
            )));
        }
        hasher.update(&chunk);
        out.write_all(&chunk).await.map_err(|error| unwritable(&error, &path))?;
    }
    out.sync_all().await.map_err(|error| unwritable(&error, &path))?;
    Ok(Archive { file, digest: hasher.finish(), length })
}

fn unwritable(error: &io::Error, path: &std::path::Path) -> Refusal {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let error = FileError::new("write", path, error.kind());
    if full { no_space() } else { Refusal::internal(&error) }
}

pub(super) fn no_space() -> Refusal {
    Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", "the server's disk is nearly full")
}

fn too_large(message: String) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
}

fn silent() -> Refusal {
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the upload stopped for too long")
}

fn broken(error: &MultipartError) -> Refusal {
    Refusal::bad(format!("the upload: {}", error.body_text()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::response::IntoResponse as _;

    use super::*;

    async fn sent(content: &str, body: &str, most: u64) -> (Result<Sent, u16>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let builds = BuildFolder::open(&folder.path().join("builds")).unwrap();
        let request = Request::builder()
            .method("POST")
            .header(CONTENT_TYPE, content)
            .body(Body::from(body.to_owned()))
            .unwrap();
        let sent = receive(request, &builds, most).await;
        let files = std::fs::read_dir(builds.uploads()).unwrap().count();
        (sent.map_err(|refusal| refusal.into_response().status().as_u16()), files)
    }

    fn part(name: &str, content: &str) -> String {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n{content}\r\n"
        )
    }

    const FORM: &str = "multipart/form-data; boundary=b";

    #[tokio::test]
    async fn a_form_has_fields_and_an_archive() {
        let body =
            [part("version", "1.0.0"), part("archive", "PK…"), "--b--\r\n".to_owned()].concat();
        let (sent, files) = sent(FORM, &body, 100).await;
        let sent = sent.unwrap();
        let archive = sent.archive.unwrap();
        assert_eq!((sent.fields["version"].as_str(), files), ("1.0.0", 1));
        assert_eq!((archive.digest, archive.length), (Digest::of("PK…".as_bytes()), 5));
    }

    #[tokio::test]
    async fn json_has_the_same_fields() {
        let body = r#"{"version": "1.0.0", "git_ref": "main", "build_config": {"level": 3}, "x_user": null}"#;
        let (sent, _) = sent("application/json; charset=utf-8", body, 100).await;
        let fields = sent.unwrap().fields;
        assert_eq!(fields["build_config"], r#"{"level":3}"#);
        assert!(!fields.contains_key("x_user"));
    }

    #[tokio::test]
    async fn what_is_not_taken_leaves_nothing_behind() {
        let archive = part("archive", &"x".repeat(101));
        let broken = part("archive", "half of it");
        for (content, body, status) in [
            ("text/plain", String::new(), 415),
            (FORM, format!("{archive}--b--\r\n"), 413),
            (FORM, broken.trim_end().to_owned(), 400),
            (FORM, [part("archive", "x"), part("archive", "y"), "--b--".to_owned()].concat(), 400),
            (FORM, format!("{}--b--", part("nonsense", "x")), 400),
            (FORM, format!("{}--b--", part("version", &"x".repeat(70_000))), 413),
            ("application/json", "[]".to_owned(), 400),
            ("application/json", "{\"nonsense\": 1}".to_owned(), 400),
            ("application/json", " ".repeat(70_000), 413),
        ] {
            let (sent, files) = sent(content, &body, 100).await;
            let got = sent.map(|_| ()).unwrap_err();
            assert_eq!((got, files), (status, 0), "{content} {}", &body[..body.len().min(99)]);
        }
    }
}
