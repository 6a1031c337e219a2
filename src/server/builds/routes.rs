//! Requests for builds and their answers.
//!
//! In: requests with a token of the role `build`. Out: JSON, packages. Never: a build for a
//! stranger; a body that is read before the token.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::BuildAnswer;
use super::folder::BuildFolder;
use super::order::{self, Allowed, BuildOrder};
use super::service::Builds;
use super::upload::{self, Archive};
use crate::file_error::FileResult as _;
use crate::fleet::{self, FleetError, Job, JobKind, JobState, NewJob, Role};
use crate::look;
use crate::model::{ContainerId, Digest};
use crate::server::admission;
use crate::server::files;
use crate::server::fleet::Fleet;
use crate::server::refusal::Refusal;
use crate::server::state::ServerState;
use crate::server::updates;

/// Where builds are asked for.
pub(in crate::server) const BUILD: &str = "/api/containers/build";
const USER: HeaderName = HeaderName::from_static("x-user");
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest key, bytes.
const LONGEST_KEY: usize = 128;
/// Seconds after which somebody may come again who found the queue full.
const COME_BACK: HeaderValue = HeaderValue::from_static("60");
/// Room on the disk that no upload takes, bytes.
const RESERVED: u64 = 1 << 30;
/// Most builds of a list.
const LISTED: i64 = 100;

/// The parts of a server that has builds.
pub(super) fn parts(shared: &ServerState) -> Result<(&Fleet, &Builds), Refusal> {
    match (&shared.fleet, &shared.builds) {
        (Some(fleet), Some(builds)) => Ok((fleet, builds)),
        _ => Err(Refusal::not_found()),
    }
}

pub(super) fn failed(error: FleetError) -> Refusal {
    match error {
        FleetError::QueueFull(_) => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", error.to_string())
        }
        error => Refusal::internal(&error),
    }
}

fn no_build() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "not_found", "there is no such build")
}

/// `POST /api/containers/build`.
pub(in crate::server) async fn create(
    State(shared): State<ServerState>,
    request: Request,
) -> Result<Response, Refusal> {
    let (fleet, builds) = parts(&shared)?;
    let headers = request.headers().clone();
    let token = admission::who(fleet, &headers, Role::Build).await?;
    if let Some(reason) = &builds.unready {
        let message = format!("nothing is built here: {reason}");
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_sandbox", message));
    }
    let header = |name: &HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let (user, key) = (header(&USER), header(&KEY));
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
        return Err(Refusal::bad(format!("Idempotency-Key: 1 to {LONGEST_KEY} bytes")));
    }
    let most = u64::from(builds.settings.upload_mb) << 20;
    if fs4::available_space(builds.folder.path()).is_ok_and(|free| free < RESERVED) {
        return Err(upload::no_space());
    }
    let sent = upload::receive(request, &builds.folder, most).await?;
    let catalogue = shared.repository.catalogue().await;
    let app = match (&builds.app, updates::apps(&catalogue).as_slice()) {
        (Some(app), _) => Some(app),
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    let settings = &builds.settings;
    let allowed = Allowed { network: settings.network, repositories: &settings.repositories, app };
    let archive = sent.archive.as_ref().map(|archive| (archive.digest, archive.length));
    let order = BuildOrder::of(&sent.fields, archive, &token, &allowed).map_err(Refusal::bad)?;
    let user = order::user(&sent.fields, user.as_deref(), &token).map_err(Refusal::bad)?;
    let id = fleet::new_job_id().map_err(failed)?;
    if let Some(archive) = sent.archive {
        put(archive, builds.folder.clone(), id.clone()).await?;
    }
    let added = add(fleet, &order, (&id, &user), key.as_deref()).await;
    let (job, is_new) = match added {
        Ok(added) => added,
        Err(error) => {
            builds.folder.forget(&id);
            let mut response = failed(error).into_response();
            if response.status() == StatusCode::SERVICE_UNAVAILABLE {
                response.headers_mut().insert(RETRY_AFTER, COME_BACK);
            }
            return Ok(response);
        }
    };
    if !is_new {
        builds.folder.forget(&id);
    }
    let status = if is_new { StatusCode::ACCEPTED } else { StatusCode::OK };
    answer(&shared, status, &job).await
}

/// Puts an archive where its build finds it, before there is a job that somebody could take.
async fn put(archive: Archive, folder: BuildFolder, id: String) -> Result<(), Refusal> {
    let put = move || {
        let (own, place) = (folder.of(&id), folder.archive(&id));
        std::fs::create_dir(&own).at("create the folder", &own)?;
        archive.file.persist(&place).map_err(|error| error.error).map(drop).at("write", &place)
    };
    let outcome = tokio::task::spawn_blocking(put).await;
    outcome.map_err(|panic| Refusal::internal(&panic))?.map_err(|error| Refusal::internal(&error))
}

async fn add(
    fleet: &Fleet,
    order: &BuildOrder,
    (id, user): (&str, &str),
    key: Option<&str>,
) -> Result<(Job, bool), FleetError> {
    let payload = serde_json::to_string(order).unwrap_or_default();
    let subject = order.container().to_string();
    // A branch may stand for another commit the next time: such a request is always a new one.
    let content = order.content(user).unwrap_or_else(|| id.to_owned());
    let new = NewJob {
        id,
        payload: &payload,
        asked_by: user,
        key,
        content: &content,
        who: &order.token,
        subject: &subject,
    };
    fleet.store.new_job(JobKind::Build, &new).await
}

/// The job with the id in an address.
pub(super) async fn job(
    shared: &ServerState,
    headers: &HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Job, Refusal> {
    let (fleet, _) = parts(shared)?;
    admission::check(fleet, headers, Role::Build).await?;
    let Path(id) = id.map_err(|_| no_build())?;
    fleet.store.job(JobKind::Build, &id).await.map_err(failed)?.ok_or_else(no_build)
}

/// What is known of a job, with what only the store and the disk know.
pub(super) async fn described(shared: &ServerState, job: &Job) -> Result<BuildAnswer, Refusal> {
    let (fleet, builds) = parts(shared)?;
    let package = package_of(job);
    let is_there = match package {
        Some((attempt, container, _)) => {
            let path = builds.folder.package(&job.id, attempt, &container);
            tokio::task::spawn_blocking(move || look::is_there(&path))
                .await
                .is_ok_and(|found| found.is_ok_and(|is_there| is_there))
        }
        None => false,
    };
    let mut answer = BuildAnswer::of(job).with_package(is_there);
    if job.state == JobState::Queued {
        let place = fleet.store.job_position(JobKind::Build, job).await;
        answer.position = Some(place.map_err(failed)?);
    }
    Ok(answer)
}

async fn answer(shared: &ServerState, status: StatusCode, job: &Job) -> Result<Response, Refusal> {
    let answer = described(shared, job).await?;
    Ok((status, [(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// `GET /api/containers/build/{id}`.
pub(in crate::server) async fn show(
    State(shared): State<ServerState>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let job = job(&shared, &headers, id).await?;
    answer(&shared, StatusCode::OK, &job).await
}

/// `DELETE /api/containers/build/{id}`: a build that waits has ended with the answer; one that runs
/// ends soon. One that has ended stays as it is.
pub(in crate::server) async fn cancel(
    State(shared): State<ServerState>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (fleet, builds) = parts(&shared)?;
    let token = admission::who(fleet, &headers, Role::Build).await?;
    let job = job(&shared, &headers, id).await?;
    let cancelled = fleet.store.cancel_job(JobKind::Build, &job.id, &token).await;
    let job = cancelled.map_err(failed)?.ok_or_else(no_build)?;
    if job.state == JobState::Cancelled {
        let archive = builds.folder.archive(&job.id);
        let removed = tokio::task::spawn_blocking(move || super::folder::remove(&archive)).await;
        removed.map_err(|panic| Refusal::internal(&panic))?;
    }
    let is_running = job.state == JobState::Running;
    answer(&shared, if is_running { StatusCode::ACCEPTED } else { StatusCode::OK }, &job).await
}

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::server) struct ListQuery {
    x_user: String,
}

/// `GET /api/containers/builds?x_user=`: the newest builds.
pub(in crate::server) async fn list(
    State(shared): State<ServerState>,
    question: Result<Query<ListQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (fleet, builds) = parts(&shared)?;
    admission::check(fleet, &headers, Role::Build).await?;
    let Query(question) = question.map_err(|error| Refusal::bad(error.body_text()))?;
    let jobs = fleet.store.jobs(JobKind::Build, &question.x_user, LISTED).await.map_err(failed)?;
    let mut answers = Vec::with_capacity(jobs.len());
    for job in &jobs {
        answers.push(described(&shared, job).await?);
    }
    let numbers = fleet.store.job_numbers(JobKind::Build).await.map_err(failed)?;
    let body = json!({
        "builds": answers,
        "queued": numbers.queued,
        "running": numbers.running,
        "workers": builds.settings.workers,
    });
    Ok(([(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// The attempt that made a job's package, its container and its digest.
fn package_of(job: &Job) -> Option<(i64, ContainerId, Digest)> {
    let result: Value = serde_json::from_str(&job.result).ok()?;
    let package = result.get("package")?;
    let text = |name: &str| package.get(name)?.as_str();
    let attempt = package.get("attempt")?.as_i64()?;
    Some((attempt, text("container_id")?.parse().ok()?, text("hash")?.parse().ok()?))
}

/// `GET /api/containers/build/{id}/package`, with ranges.
pub(in crate::server) async fn package(
    State(shared): State<ServerState>,
    id: Result<Path<String>, PathRejection>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let job = job(&shared, &headers, id).await?;
    let (_, builds) = parts(&shared)?;
    let (attempt, container, digest) = package_of(&job).ok_or_else(|| {
        let message = format!("there is no package: the build is {}", job.state.word());
        Refusal::new(StatusCode::CONFLICT, "no_package", message)
    })?;
    let path = builds.folder.package(&job.id, attempt, &container);
    let gone = || Refusal::new(StatusCode::GONE, "gone", "the package was removed; build it again");
    let is_there = {
        let path = path.clone();
        tokio::task::spawn_blocking(move || look::is_there(&path)).await
    };
    let is_there = is_there.map_err(|panic| Refusal::internal(&panic))?;
    if !is_there.map_err(|error| Refusal::internal(&error))? {
        return Err(gone());
    }
    files::send_private(path, digest, &method, &headers).await
}
