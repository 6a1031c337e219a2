//! `GET /api/incremental/patch/{id}`: a pack, or the status of its patch job.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::SignedDuration;
use serde::Deserialize;

use super::id::PatchId;
use super::queue::Status;
use crate::host;
use crate::model::platform::AppName;
use crate::server::refusal::Refusal;
use crate::server::state::ServerState;
use crate::server::{files, updates};

/// Seconds after which a client that waits for a pack should ask again.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("2");
/// How long after the publishing of a pack this server may not know it yet.
const UNSEEN: SignedDuration = SignedDuration::from_secs(10);

/// The query of a request for a pack.
#[derive(Debug, Deserialize)]
pub(in crate::server) struct PatchPlace {
    app: Option<String>,
}

/// `GET /api/incremental/patch/{id}?app=`: the pack, with ranges; 202 with its job's status while
/// it is being made. `app` is required only if the repository has several.
pub(in crate::server) async fn patch(
    State(shared): State<ServerState>,
    id: Result<Path<String>, PathRejection>,
    place: Result<Query<PatchPlace>, QueryRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let id: PatchId = id.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(no_patch)?;
    let Query(place) = place.map_err(|error| Refusal::bad(error.body_text()))?;
    let app: Option<AppName> = updates::parsed("app", place.app.as_deref())?;
    let catalogue = shared.repository.catalogue().await;
    let mut found = catalogue.usable_patches().filter(|signed| {
        let (from, to) = (&signed.patch.from, &signed.patch.to);
        from.version == id.from
            && to.version == id.to
            && to.platform == id.platform
            && app.as_ref().is_none_or(|app| to.app == *app)
    });
    if let Some(signed) = found.next() {
        if found.next().is_some() {
            return Err(several_apps());
        }
        let mut response =
            files::send_target(shared.repository.root(), &signed.location(), &method, &headers)
                .await?;
        let disposition = HeaderValue::try_from(format!("attachment; filename=\"{id}.kuzpatch\""));
        response
            .headers_mut()
            .insert(CONTENT_DISPOSITION, disposition.map_err(|error| Refusal::internal(&error))?);
        // This address can later name other bytes: a pack that was made again.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return Ok(response);
    }
    let mut jobs = shared.patches.as_ref().map(|service| service.jobs(&id)).unwrap_or_default();
    jobs.retain(|job| app.as_ref().is_none_or(|app| job.to.app == *app));
    let job = jobs.pop().ok_or_else(no_patch)?;
    if !jobs.is_empty() {
        return Err(several_apps());
    }
    match job.status {
        Status::Queued | Status::Generating => Ok(wait(&id, job.status)),
        // The pack is published but this server does not know it yet; or the pack is old by now.
        Status::Completed if host::now().duration_since(job.updated) < UNSEEN => {
            Ok(wait(&id, Status::Generating))
        }
        Status::Completed => Err(no_patch()),
        Status::Failed => {
            let message =
                "this patch could not be made, or would save nothing; fetch the whole package";
            Err(Refusal::new(StatusCode::GONE, "patch_failed", message))
        }
    }
}

fn wait(id: &PatchId, status: Status) -> Response {
    let fields = [(CACHE_CONTROL, HeaderValue::from_static("no-store")), (RETRY_AFTER, ASK_AGAIN)];
    (StatusCode::ACCEPTED, fields, Json(serde_json::json!({ "patch_id": id, "status": status })))
        .into_response()
}

pub(super) fn several_apps() -> Refusal {
    Refusal::bad("app: missing, and the repository has several")
}

fn no_patch() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no such patch")
}
