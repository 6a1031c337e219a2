//! `POST /api/reports`, `GET /api/statistics` and `GET /metrics`: reports of launchers, and the
//! numbers that follow from them. A server has them only if it was given a place for reports.
//!
//! In: batches of anybody, questions with a token. Out: how many reports were counted;
//! numbers. Never: an answer to a batch that is not safe; a report of an app that the repository does
//! not have; a number for a stranger.

use axum::body::to_bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::access::Client;
use super::admission;
use super::fleet::Fleet;
use super::measures::measures;
use super::refusal::Refusal;
use super::repository::Catalogue;
use super::state::ServerState;
use super::updates;
use crate::fleet::{
    Busy, MOST_DAYS, NEWEST_REPORT, OLDEST_REPORT, Role, USUAL_DAYS, Window, metrics_text,
};
use crate::host;
use crate::model::report::{BATCH_BYTES, BATCH_REPORTS, Batch, BatchAnswer, Report};

/// Seconds after which a launcher may come again when there is no room now.
const COME_BACK_SECONDS: u64 = 60;

fn the(shared: &ServerState) -> Result<&Fleet, Refusal> {
    shared.fleet.as_ref().ok_or_else(Refusal::not_found)
}

/// `POST /api/reports`: a batch of a launcher. 200 means that it is safe.
pub(super) async fn take_reports(
    State(shared): State<ServerState>,
    request: Request,
) -> Result<Response, Refusal> {
    let fleet = the(&shared)?;
    let now = host::now().as_second();
    let address = request.extensions().get::<Client>().map(|Client(address)| *address);
    if !fleet.admits_batch(address, now) {
        let refusal = Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "this address has sent many reports in this minute",
        );
        return Ok(later(refusal));
    }
    let body = to_bytes(request.into_body(), BATCH_BYTES + 1024).await.map_err(|_| {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "a batch has at most 96 KiB")
    })?;
    let batch: Batch<serde_json::Value> = serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad(format!("not a batch of reports: {error}")))?;
    if batch.reports.len() > BATCH_REPORTS {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("a batch has at most {BATCH_REPORTS} reports"),
        ));
    }
    if !fleet.admits_reports(address, now, batch.reports.len()) {
        let refusal = Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "this address has sent many reports in this hour",
        );
        return Ok(later(refusal));
    }
    if !fleet.has_room(now) {
        return Ok(later(not_stored()));
    }
    let catalogue = shared.repository.catalogue().await;
    fleet.know(&catalogue);
    let sent = batch.reports.len() as u64;
    let reports: Vec<Report> = batch
        .reports
        .into_iter()
        .filter_map(|value| Report::parse(value).ok())
        .filter(|report| is_welcome(report, &catalogue, now))
        .collect();
    let understood = reports.len() as u64;
    let accepted = if reports.is_empty() {
        0
    } else {
        match fleet.ingest.take(reports, batch.dropped).await {
            Ok(accepted) => accepted,
            Err(Busy) => return Ok(later(not_stored())),
        }
    };
    let answer = BatchAnswer { accepted, known: understood - accepted, refused: sent - understood };
    Ok(updates::answer(&answer))
}

/// Whether a report is about an app of this repository and not older than what the store remembers,
/// so that it cannot count twice.
fn is_welcome(report: &Report, catalogue: &Catalogue, now: i64) -> bool {
    let is_of_now = (now - OLDEST_REPORT..=now + NEWEST_REPORT).contains(&report.at);
    is_of_now && updates::apps(catalogue).contains(&&report.app)
}

fn not_stored() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "busy",
        "the reports are not stored; send them again later",
    )
}

fn later(refusal: Refusal) -> Response {
    let mut response = refusal.into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(COME_BACK_SECONDS));
    response
}

/// The parameters of `GET /api/statistics`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StatisticsQuery {
    days: Option<u32>,
    app: String,
    channel: String,
    platform: String,
    version: String,
}

/// `GET /api/statistics?days=&app=&channel=&platform=&version=`.
pub(super) async fn statistics(
    State(shared): State<ServerState>,
    question: Result<Query<StatisticsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let fleet = the(&shared)?;
    admission::check(fleet, &headers, Role::Read).await?;
    let Query(question) = question.map_err(|error| Refusal::bad(error.body_text()))?;
    let StatisticsQuery { days, app, channel, platform, version } = question;
    let days = days.unwrap_or(USUAL_DAYS).clamp(1, MOST_DAYS);
    let since = Window::of_days(host::now().as_second(), days).since;
    let window = Window { since, app, channel, platform, version };
    let all = fleet.store.statistics(&window).await;
    Ok(updates::answer(&all.map_err(|error| Refusal::internal(&error))?))
}

/// `GET /metrics`, for Prometheus.
pub(super) async fn metrics(
    State(shared): State<ServerState>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let fleet = the(&shared)?;
    admission::check(fleet, &headers, Role::Read).await?;
    let all = fleet.store.totals().await.map_err(|error| Refusal::internal(&error))?;
    let catalogue = shared.repository.catalogue().await;
    let text = metrics_text(&all, &measures(&shared, fleet, &catalogue).await);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}
